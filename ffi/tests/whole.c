/* The whole way of a program, with what each step must show: open, adopt, reserve, build, plan, apply with progress, explain,
 * diff, counters, release, audit, log, and what is left behind. */
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "check.h"

static uint64_t steps, steps_total;
static int inner_code;

static void on_step(void *user, uint64_t done, uint64_t total) {
    CHECK(user == &steps && done == steps + 1);
    steps = done;
    steps_total = total;
    nicfw_list *list;
    inner_code = nicfw_probe(NULL, &list, NULL);
}

static unsigned lines;

static void on_line(void *user, int level, const char *message) {
    CHECK(user == &lines && level >= NICFW_LOG_ERROR && level <= NICFW_LOG_INFO && strlen(message) > 0);
    lines++;
}

/* WEB_AND_DNS, call by call. */
static nicfw_policy *built(void) {
    nicfw_builder *b;
    nicfw_policy *policy;
    OK(nicfw_builder_new("test.yaml", &b, &err));
    OK(nicfw_builder_set_unbound(b, NICFW_ALLOW, &err));
    OK(nicfw_builder_set_multicast(b, NICFW_DENY, &err));
    OK(nicfw_builder_set_owner(b, "platform-team", &err));
    nicfw_ports ephemeral = {32768, 60999};
    OK(nicfw_builder_set_ephemeral(b, &ephemeral, 1, &err));
    nicfw_term office = {.net = {{10, 20}, 4, 16}};
    OK(nicfw_builder_add_group(b, "office", &office, 1, &err));
    OK(nicfw_builder_add_policy(b, "web", &err));
    nicfw_term by_name = {.group = "office"};
    nicfw_ports web[] = {{80, 80}, {443, 443}};
    nicfw_rule rule = NICFW_INIT(nicfw_rule);
    rule.direction = NICFW_IN;
    rule.action = NICFW_ALLOW;
    rule.proto = NICFW_PROTO_TCP;
    rule.remote = &by_name;
    rule.remote_count = 1;
    rule.local_ports = web;
    rule.local_ports_count = 2;
    rule.reason = "shop front";
    rule.ticket = "CHG-1";
    OK(nicfw_builder_add_rule(b, "web", &rule, &err));
    nicfw_term server = {.net = {{10, 0, 0, 53}, 4, 32}};
    nicfw_ports dns = {53, 53};
    nicfw_rule out = NICFW_INIT(nicfw_rule);
    out.direction = NICFW_OUT;
    out.action = NICFW_ALLOW;
    out.proto = NICFW_PROTO_UDP;
    out.remote = &server;
    out.remote_count = 1;
    out.remote_ports = &dns;
    out.remote_ports_count = 1;
    OK(nicfw_builder_add_rule(b, "web", &out, &err));
    nicfw_addr ip = {{10, 30, 1, 17}, 4, 32};
    nicfw_binding binding = NICFW_INIT(nicfw_binding);
    binding.container = "shop-1";
    binding.policy = "web";
    binding.ips = &ip;
    binding.ips_count = 1;
    memcpy(binding.mac, "\x02\x00\x0a\x1e\x01\x11", 6);
    binding.attach = NICFW_ATTACH_MACVLAN_VEPA;
    OK(nicfw_builder_add_binding(b, &binding, &err));
    OK(nicfw_builder_build(b, &policy, &err));
    OK(nicfw_builder_free(b, &err));
    return policy;
}

static void what_is_built_is_what_is_written(void) {
    nicfw_policy *policy = built();
    nicfw_compiled *by_calls, *by_text = compiled(WEB_AND_DNS, NULL), *smaller = compiled(WEB, NULL);
    nicfw_list *list;
    OK(nicfw_policy_compile(policy, NULL, NULL, &by_calls, &err));
    OK(nicfw_compiled_diff(by_calls, by_text, &list, &err));
    CHECK(length_of(list) == 0);
    OK(nicfw_list_free(list, &err));
    OK(nicfw_compiled_diff(smaller, by_text, &list, &err));
    CHECK(length_of(list) > 0 && number_of(list, 0, NICFW_FIELD_VERDICT) == NICFW_ALLOW);
    CHECK(strstr(text_of(list, 0, NICFW_FIELD_TEXT), "newly allowed") != NULL);
    OK(nicfw_list_free(list, &err));
    OK(nicfw_compiled_list_openings(by_text, &list, &err));
    const char *first = "10.0.0.53 from udp 53 may reach shop-1 udp 32768-60999 unasked: test.yaml:7";
    CHECK(length_of(list) == 4 && strcmp(text_of(list, 0, NICFW_FIELD_TEXT), first) == 0);
    CHECK(strcmp(text_of(list, 0, NICFW_FIELD_CONTAINER), "shop-1") == 0);
    /* The last two, ARP and group addresses, concern every container. */
    GIVES(NICFW_E_NOT_FOUND, nicfw_list_text(list, 2, NICFW_FIELD_CONTAINER, NULL, 0, NULL, &err));
    GIVES(NICFW_E_NOT_FOUND, nicfw_list_text(list, 3, NICFW_FIELD_CONTAINER, NULL, 0, NULL, &err));
    OK(nicfw_list_free(list, &err));
    OK(nicfw_policy_decide(policy, FLOW, &list, &err));
    CHECK(length_of(list) == 1 && number_of(list, 0, NICFW_FIELD_VERDICT) == NICFW_ALLOW);
    CHECK(strcmp(text_of(list, 0, NICFW_FIELD_OWNER), "platform-team") == 0);
    OK(nicfw_list_free(list, &err));
    OK(nicfw_policy_list_warnings(policy, &list, &err));
    OK(nicfw_list_free(list, &err));
    OK(nicfw_compiled_list_warnings(by_calls, &list, &err));
    CHECK(length_of(list) == 2 && strstr(text_of(list, 0, NICFW_FIELD_TEXT), "0.0.0.0") != NULL &&
          strstr(text_of(list, 1, NICFW_FIELD_TEXT), "later fragments") != NULL);
    OK(nicfw_list_free(list, &err));
    OK(nicfw_policy_list_problems("nicfw: 1\nunbound: perhaps\nrules: 3\n", "bad.yaml", &list, &err));
    CHECK(length_of(list) >= 2 && number_of(list, 0, NICFW_FIELD_LINE) >= 1);
    OK(nicfw_list_free(list, &err));

    nicfw_packet packet = NICFW_INIT(nicfw_packet);
    memcpy(packet.dst_mac, "\x02\x00\x0a\x1e\x01\x11", 6);
    packet.ether_type = 0x0800;
    packet.proto = NICFW_PROTO_TCP;
    packet.has_ports = 1;
    packet.src_port = 51000;
    packet.dst_port = 443;
    packet.src = (nicfw_addr){{10, 20, 3, 4}, 4, 32};
    packet.dst = (nicfw_addr){{10, 30, 1, 17}, 4, 32};
    OK(nicfw_compiled_explain_packet(by_text, &packet, &list, &err));
    CHECK(length_of(list) == 1 && number_of(list, 0, NICFW_FIELD_VERDICT) == NICFW_ALLOW);
    CHECK(number_of(list, 0, NICFW_FIELD_DIRECTION) == NICFW_IN);
    CHECK(strstr(text_of(list, 0, NICFW_FIELD_ENTRY), "local_ip=10.30.1.17") != NULL);
    CHECK(strncmp(text_of(list, 0, NICFW_FIELD_MATCHES), "local_ip=10.30.1.17\n", 20) == 0);
    OK(nicfw_list_free(list, &err));
    packet.dst_port = 22;
    OK(nicfw_compiled_explain_packet(by_text, &packet, &list, &err));
    CHECK(number_of(list, 0, NICFW_FIELD_VERDICT) == NICFW_DENY);
    OK(nicfw_list_free(list, &err));
    OK(nicfw_compiled_free(by_calls, &err));
    OK(nicfw_compiled_free(by_text, &err));
    OK(nicfw_compiled_free(smaller, &err));
    OK(nicfw_policy_free(policy, &err));
}

/* The questions of whoever writes a policy. */
static void what_a_writer_asks(void) {
    static const char hidden[] = HEAD
        "policies:\n"
        "  web:\n"
        "    - {allow: in, proto: tcp, remote: 10.0.0.0/8, replies: no, reason: shop front}\n"
        "    - {allow: in, proto: tcp, local_ports: 443, remote: 10.20.0.0/16, replies: no, reason: office}\n"
        BINDING;
    nicfw_policy *policy;
    nicfw_list *list;
    OK(nicfw_policy_parse(hidden, "hidden.yaml", &policy, &err));
    OK(nicfw_policy_lint(policy, "2026-11-23", &list, &err));
    CHECK(length_of(list) >= 1 && strcmp(text_of(list, 0, NICFW_FIELD_LINT), "never-matches") == 0);
    CHECK(number_of(list, 0, NICFW_FIELD_LINE) == 7 && strstr(text_of(list, 0, NICFW_FIELD_TEXT), "rule 1") != NULL);
    OK(nicfw_list_free(list, &err));
    OK(nicfw_policy_find_nearest(policy, "udp 10.20.3.4:51000 > 10.30.1.17:443", &list, &err));
    CHECK(length_of(list) == 1 && number_of(list, 0, NICFW_FIELD_DIRECTION) == NICFW_IN);
    CHECK(number_of(list, 0, NICFW_FIELD_LINE) == 6);
    CHECK(strstr(text_of(list, 0, NICFW_FIELD_OBSTACLES), "protocol") != NULL);
    OK(nicfw_list_free(list, &err));
    OK(nicfw_policy_find_nearest(policy, FLOW, &list, &err)); /* it passes */
    CHECK(length_of(list) == 0);
    OK(nicfw_list_free(list, &err));
    nicfw_target small = NICFW_INIT(nicfw_target);
    nicfw_compiled *made;
    small.sizes[0] = (nicfw_size){"rules", 32};
    small.sizes_count = 1;
    OK(nicfw_policy_compile(policy, &small, NULL, &made, &err));
    OK(nicfw_compiled_list_usage(made, &list, &err));
    uint64_t used = number_of(list, 0, NICFW_FIELD_USED);
    OK(nicfw_list_free(list, &err));
    OK(nicfw_compiled_count_more(made, "shop-1", &list, &err));
    uint64_t more = number_of(list, 0, NICFW_FIELD_MORE);
    CHECK(length_of(list) == 1 && more > 0 && more <= 32 - used);
    CHECK(strcmp(text_of(list, 0, NICFW_FIELD_TABLE), "rules") == 0);
    CHECK(strcmp(text_of(list, 0, NICFW_FIELD_CONTAINER), "shop-1") == 0);
    OK(nicfw_list_free(list, &err));
    OK(nicfw_compiled_free(made, &err));
    OK(nicfw_policy_free(policy, &err));
}

static uint64_t size_of(const nicfw_target *target, const char *name) {
    for (uint32_t at = 0; at < target->sizes_count; at++)
        if (strcmp(target->sizes[at].name, name) == 0)
            return target->sizes[at].value;
    return 0;
}

/* Beside shop-1, for which an address and a MAC are reserved. */
static void reservations_add_up(nicfw_adapter *nic) {
    nicfw_adapter_info info = NICFW_INIT(nicfw_adapter_info);
    nicfw_addr first = {{10, 30, 1, 20}, 4, 32}, second = {{10, 30, 1, 21}, 4, 32};
    nicfw_list *list;
    OK(nicfw_adapter_reserve(nic, "two", &first, 1, NULL, &err));
    OK(nicfw_adapter_reserve(nic, "two", &second, 1, NULL, &err));
    OK(nicfw_adapter_list_containers(nic, &list, &err));
    CHECK(length_of(list) == 2 && strcmp(text_of(list, 1, NICFW_FIELD_CONTAINER), "two") == 0);
    CHECK(strcmp(text_of(list, 1, NICFW_FIELD_ADDRESSES), "10.30.1.20\n10.30.1.21") == 0);
    OK(nicfw_list_free(list, &err));
    OK(nicfw_adapter_get_info(nic, &info, &err));
    CHECK(info.entries == 4);
    GIVES(NICFW_E_HELD, nicfw_adapter_reserve(nic, "db-1", &first, 1, NULL, &err));
    GIVES(NICFW_E_HELD, nicfw_adapter_reserve(nic, "db-1", &second, 1, NULL, &err));
    OK(nicfw_adapter_release(nic, "two", &err)); /* both */
    OK(nicfw_adapter_get_info(nic, &info, &err));
    CHECK(info.entries == 2);
}

/* A container that a policy binds to 10.30.1.17 reserves one more address. */
static void a_bound_container_reserves_one_more(nicfw_adapter *nic) {
    nicfw_addr more = {{10, 30, 1, 30}, 4, 32};
    nicfw_list *list;
    OK(nicfw_adapter_reserve(nic, "shop-1", &more, 1, NULL, &err));
    OK(nicfw_adapter_list_containers(nic, &list, &err));
    CHECK(length_of(list) == 2 && number_of(list, 0, NICFW_FIELD_BOUND) == 1 && number_of(list, 1, NICFW_FIELD_BOUND) == 0);
    CHECK(strcmp(text_of(list, 0, NICFW_FIELD_ADDRESSES), "10.30.1.17") == 0);
    CHECK(strcmp(text_of(list, 1, NICFW_FIELD_CONTAINER), "shop-1") == 0);
    CHECK(strcmp(text_of(list, 1, NICFW_FIELD_ADDRESSES), "10.30.1.30") == 0);
    OK(nicfw_list_free(list, &err));
    OK(nicfw_adapter_release(nic, "shop-1", &err));
}

static void the_adapter_follows(nicfw_adapter *nic) {
    nicfw_adapter_info info = NICFW_INIT(nicfw_adapter_info);
    nicfw_target target = NICFW_INIT(nicfw_target);
    nicfw_report report = NICFW_INIT(nicfw_report);
    nicfw_plan_info plan_info = NICFW_INIT(nicfw_plan_info);
    nicfw_list *list;
    nicfw_policy *policy;
    nicfw_plan *plan, *other;
    int drifted = 77;
    OK(nicfw_adapter_get_info(nic, &info, &err));
    CHECK(info.vendor == 0x1924 && info.adopted == 1 && info.entries == 0 && info.needs_recovery == 0);
    OK(nicfw_adapter_get_target(nic, &target, &err));
    CHECK(target.size == sizeof target && strcmp(target.family, "rules") == 0 && target.sizes_count == 10);
    CHECK(size_of(&target, "rules") == 8192 && size_of(&target, "entries_per_node") == 16);
    CHECK(strcmp(info.family, "rules") == 0 && info.family_version == target.family_version);

    nicfw_addr ip = {{10, 30, 1, 17}, 4, 32};
    OK(nicfw_adapter_reserve(nic, "shop-1", &ip, 1, (const uint8_t *)"\x02\x00\x0a\x1e\x01\x11", &err));
    GIVES(NICFW_E_HELD, nicfw_adapter_reserve(nic, "db-1", &ip, 1, NULL, &err));
    CHECK(strcmp(err.place, "10.30.1.17") == 0 && strstr(err.message, "shop-1") != NULL);
    GIVES(NICFW_E_ARGUMENT, nicfw_adapter_reserve(nic, "db-1", NULL, 0, NULL, &err));
    OK(nicfw_adapter_list_containers(nic, &list, &err));
    CHECK(length_of(list) == 1 && number_of(list, 0, NICFW_FIELD_BOUND) == 0);
    CHECK(strcmp(text_of(list, 0, NICFW_FIELD_ADDRESSES), "10.30.1.17") == 0);
    CHECK(strcmp(text_of(list, 0, NICFW_FIELD_MAC), "02:00:0a:1e:01:11") == 0);
    OK(nicfw_list_free(list, &err));
    reservations_add_up(nic);

    nicfw_compiled *web = compiled_for(nic, WEB), *dns = compiled_for(nic, WEB_AND_DNS);
    OK(nicfw_adapter_plan(nic, web, "test", &plan, &err));
    OK(nicfw_adapter_plan(nic, dns, "test", &other, &err));
    OK(nicfw_plan_get_info(plan, &plan_info, &err));
    OK(nicfw_plan_list_commands(plan, &list, &err));
    CHECK(plan_info.commands > 0 && length_of(list) == plan_info.commands);
    CHECK(number_of(list, 0, NICFW_FIELD_PHASE) >= NICFW_PHASE_PREPARE && number_of(list, 0, NICFW_FIELD_PAUSE) <= 1);
    size_t last = length_of(list) - 1;
    CHECK(number_of(list, last, NICFW_FIELD_PHASE) <= NICFW_PHASE_TIDY);
    for (size_t at = 1; at <= last; at++) /* they come in this order */
        CHECK(number_of(list, at - 1, NICFW_FIELD_PHASE) <= number_of(list, at, NICFW_FIELD_PHASE));
    OK(nicfw_list_free(list, &err));
    OK(nicfw_plan_list_peaks(plan, &list, &err));
    CHECK(length_of(list) == 2 && strcmp(text_of(list, 0, NICFW_FIELD_TABLE), "rules") == 0);
    CHECK(number_of(list, 0, NICFW_FIELD_USED) > 0);
    OK(nicfw_list_free(list, &err));
    OK(nicfw_plan_list_closed(plan, &list, &err));
    CHECK(length_of(list) == plan_info.closed_meanwhile);
    OK(nicfw_list_free(list, &err));
    OK(nicfw_adapter_apply(nic, plan, on_step, &steps, &report, &err));
    CHECK(report.commands == plan_info.commands && steps == report.commands && steps_total == steps);
    CHECK(inner_code == NICFW_E_CALLBACK && report.fingerprint_len > 0);
    CHECK(strcmp(report.family, "rules") == 0);
    GIVES(NICFW_E_STALE, nicfw_adapter_apply(nic, other, NULL, NULL, &report, &err));
    CHECK(err.state == NICFW_STATE_UNCHANGED);
    OK(nicfw_plan_free(plan, &err));
    OK(nicfw_plan_free(other, &err));

    OK(nicfw_adapter_read_counters(nic, &list, &err));
    CHECK(length_of(list) > 0 && number_of(list, 0, NICFW_FIELD_RX_FRAMES) == 0);
    OK(nicfw_list_free(list, &err));
    OK(nicfw_adapter_list_usage(nic, &list, &err));
    CHECK(length_of(list) == 9 && strcmp(text_of(list, 0, NICFW_FIELD_TABLE), "rules") == 0);
    CHECK(number_of(list, 0, NICFW_FIELD_AVAILABLE) == 8192 && number_of(list, 0, NICFW_FIELD_USED) > 0);
    CHECK(strncmp(text_of(list, 0, NICFW_FIELD_BY_POLICY), "web ", 4) == 0);
    OK(nicfw_list_free(list, &err));
    OK(nicfw_compiled_list_usage(web, &list, &err));
    OK(nicfw_list_free(list, &err));
    OK(nicfw_compiled_explain(web, FLOW, &list, &err));
    CHECK(strcmp(text_of(list, 0, NICFW_FIELD_TEXT), "allow: policy web, rule 1 (test.yaml:6)") == 0);
    CHECK(strcmp(text_of(list, 0, NICFW_FIELD_TICKET), "CHG-1") == 0 && number_of(list, 0, NICFW_FIELD_LINE) == 6);
    OK(nicfw_list_free(list, &err));
    OK(nicfw_adapter_get_policy(nic, &policy, &err));
    OK(nicfw_policy_decide(policy, FLOW, &list, &err));
    CHECK(number_of(list, 0, NICFW_FIELD_VERDICT) == NICFW_ALLOW);
    OK(nicfw_list_free(list, &err));
    OK(nicfw_policy_free(policy, &err));
    OK(nicfw_adapter_list_containers(nic, &list, &err));
    CHECK(number_of(list, 0, NICFW_FIELD_BOUND) == 1 && strcmp(text_of(list, 0, NICFW_FIELD_ADDRESSES), "10.30.1.17") == 0);
    OK(nicfw_list_free(list, &err));
    a_bound_container_reserves_one_more(nic);

    OK(nicfw_adapter_audit(nic, &drifted, &err));
    CHECK(drifted == 0);
    OK(nicfw_adapter_commit_cache(nic, &err));
    OK(nicfw_adapter_recover(nic, &report, &err));
    CHECK(report.commands == 0);
    GIVES(NICFW_E_NOT_FOUND, nicfw_adapter_release(nic, "shop-1", &err)); /* the policy binds it */
    nicfw_compiled *none = compiled_for(nic, BASE);
    OK(nicfw_adapter_plan(nic, none, "test", &plan, &err));
    OK(nicfw_adapter_apply(nic, plan, NULL, NULL, NULL, &err));
    OK(nicfw_plan_free(plan, &err));
    OK(nicfw_adapter_release(nic, "shop-1", &err));
    OK(nicfw_adapter_get_info(nic, &info, &err));
    CHECK(info.entries == 0);
    OK(nicfw_adapter_adopt(nic, dns, &err)); /* once more, with another policy */
    nicfw_compiled *foreign;
    nicfw_target two = NICFW_INIT(nicfw_target);
    two.sizes[0] = (nicfw_size){"subnet_nodes", 8};
    two.sizes_count = 1;
    OK(nicfw_adapter_get_policy(nic, &policy, &err));
    OK(nicfw_policy_compile(policy, &two, NULL, &foreign, &err));
    GIVES(NICFW_E_FIT, nicfw_adapter_adopt(nic, foreign, &err));
    GIVES(NICFW_E_FIT, nicfw_adapter_plan(nic, foreign, "test", &plan, &err));
    OK(nicfw_adapter_read_counters(nic, &list, &err)); /* all as before */
    OK(nicfw_list_free(list, &err));
    OK(nicfw_policy_free(policy, &err));
    OK(nicfw_compiled_free(foreign, &err));
    OK(nicfw_compiled_free(none, &err));
    OK(nicfw_compiled_free(web, &err));
    OK(nicfw_compiled_free(dns, &err));
}

/* A connection that somebody else made, passed as a number. */
static void by_file_descriptor(const char *where) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    nicfw_adapter *nic;
    char text[32];
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(at.sun_path, sizeof at.sun_path, "%s", where + strlen("vfio-user:"));
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0);
    snprintf(text, sizeof text, "fd:%d", fd);
    OK(nicfw_adapter_open(text, NULL, &nic, &err));
    close(fd);
    nicfw_adapter_info info = NICFW_INIT(nicfw_adapter_info);
    OK(nicfw_adapter_get_info(nic, &info, &err));
    CHECK(info.vendor == 0x1924 && info.adopted == 0);
    nicfw_list *list = NULL;
    GIVES(NICFW_E_ORDER, nicfw_adapter_read_counters(nic, &list, &err));
    OK(nicfw_adapter_close(nic, NICFW_LEAVE_EMPTY, &err));
}

int main(int argc, char **argv) {
    const char *where = where_of(argc, argv);
    nicfw_open_opts opts = NICFW_INIT(nicfw_open_opts);
    nicfw_adapter *nic, *second;
    OK(nicfw_set_log(on_line, &lines, NICFW_LOG_INFO, &err));
    what_is_built_is_what_is_written();
    what_a_writer_asks();
    nic = adopted(where);
    CHECK(lines > 0);
    GIVES(NICFW_E_OPEN, nicfw_adapter_open(where, NULL, &second, &err)); /* one driver at a time */
    the_adapter_follows(nic);
    OK(nicfw_adapter_close(nic, NICFW_LEAVE_BLOCKED, &err));
    OK(nicfw_set_log(NULL, NULL, NICFW_LOG_OFF, &err));
    unsigned before = lines;
    opts.command_timeout_ms = 5000;
    opts.grace_us = 1;
    OK(nicfw_adapter_open(where, &opts, &nic, &err));
    OK(nicfw_adapter_close(nic, NICFW_LEAVE_RULES, &err));
    by_file_descriptor(where);
    CHECK(lines == before);
    puts("whole: ok");
    return 0;
}
