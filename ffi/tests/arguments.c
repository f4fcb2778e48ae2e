/* Every wrong argument has its error, and outputs stay as they are. Needs no adapter. */
#include "check.h"

#define KEEP ((void *)0x5a5a)

static void null_pointers(nicfw_policy *policy, nicfw_compiled *made, nicfw_list *list) {
    nicfw_policy *p = KEEP;
    nicfw_compiled *c = KEEP;
    nicfw_list *l = KEEP;
    nicfw_builder *b = KEEP;
    nicfw_adapter *a = KEEP;
    uint64_t number;
    char text[4] = "abc";
    GIVES(NICFW_E_ARGUMENT, nicfw_adapter_open(NULL, NULL, &a, &err));
    CHECK(strcmp(err.place, "where") == 0 && strcmp(err.message, "where is NULL") == 0);
    GIVES(NICFW_E_ARGUMENT, nicfw_adapter_open("fd:0", NULL, NULL, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_probe(NULL, NULL, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_policy_parse(NULL, "n", &p, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_policy_parse(BASE, NULL, &p, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_policy_parse(BASE, "n", NULL, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_policy_load(NULL, &p, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_policy_load("n", NULL, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_policy_list_problems(NULL, "n", &l, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_policy_list_problems(BASE, NULL, &l, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_policy_list_problems(BASE, "n", NULL, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_policy_list_warnings(policy, NULL, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_policy_decide(policy, NULL, &l, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_policy_decide(policy, FLOW, NULL, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_policy_lint(policy, NULL, &l, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_policy_lint(policy, "2026-11-23", NULL, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_policy_find_nearest(policy, NULL, &l, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_policy_find_nearest(policy, FLOW, NULL, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_policy_compile(policy, NULL, NULL, NULL, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_compiled_list_usage(made, NULL, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_compiled_list_warnings(made, NULL, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_compiled_list_openings(made, NULL, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_compiled_explain(made, NULL, &l, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_compiled_explain(made, FLOW, NULL, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_compiled_explain_packet(made, NULL, &l, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_compiled_diff(made, made, NULL, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_compiled_count_more(made, NULL, &l, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_compiled_count_more(made, "shop-1", NULL, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_builder_new(NULL, &b, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_builder_new("n", NULL, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_list_length(list, NULL, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_list_number(list, 0, NICFW_FIELD_USED, NULL, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_list_text(list, 0, NICFW_FIELD_TEXT, NULL, 4, NULL, &err));
    /* Fields: of the other type, missing, made up; items that are not there. */
    GIVES(NICFW_E_ARGUMENT, nicfw_list_number(list, 0, NICFW_FIELD_TEXT, &number, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_list_text(list, 0, NICFW_FIELD_USED, text, sizeof text, NULL, &err));
    GIVES(NICFW_E_NOT_FOUND, nicfw_list_text(list, 0, NICFW_FIELD_TICKET, text, sizeof text, NULL, &err));
    GIVES(NICFW_E_NOT_FOUND, nicfw_list_text(list, 0, 987654, text, sizeof text, NULL, &err));
    GIVES(NICFW_E_NOT_FOUND, nicfw_list_number(list, SIZE_MAX, NICFW_FIELD_USED, &number, &err));
    size_t needed = 0;
    GIVES(NICFW_E_BUFFER, nicfw_list_text(list, 0, NICFW_FIELD_TEXT, text, sizeof text, &needed, &err));
    CHECK(needed > 4);
    GIVES(NICFW_E_BUFFER, nicfw_list_text(list, 0, NICFW_FIELD_TEXT, NULL, 0, &needed, &err));
    CHECK(p == KEEP && c == KEEP && l == KEEP && b == KEEP && a == KEEP && strcmp(text, "abc") == 0);
    /* An error that is NULL is none of the call's business. */
    CHECK(nicfw_policy_parse(NULL, "n", &p, NULL) == NICFW_E_ARGUMENT);
}

static void texts(nicfw_policy *policy, nicfw_compiled *made) {
    nicfw_policy *p = KEEP;
    nicfw_list *l = KEEP;
    nicfw_adapter *a = KEEP;
    GIVES(NICFW_E_ARGUMENT, nicfw_policy_parse("\xff\xfe", "n", &p, &err));
    GIVES(NICFW_E_POLICY, nicfw_policy_parse("nicfw: 1\nunbound: maybe\n", "n.yaml", &p, &err));
    CHECK(strcmp(err.place, "n.yaml") == 0 && err.line == 1 && strstr(err.message, "n.yaml:2:10:") != NULL);
    GIVES(NICFW_E_IO, nicfw_policy_load("/nonexistent/policy", &p, &err));
    CHECK(strcmp(err.place, "/nonexistent/policy") == 0);
    GIVES(NICFW_E_IO, nicfw_policy_load("/", &p, &err));
    GIVES(NICFW_E_FLOW, nicfw_policy_decide(policy, "tcp", &l, &err));
    GIVES(NICFW_E_FLOW, nicfw_policy_decide(policy, "tcp 1.2.3.4:5 > 6.7.8.9:10", &l, &err));
    GIVES(NICFW_E_FLOW, nicfw_policy_find_nearest(policy, "tcp", &l, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_policy_lint(policy, "tomorrow", &l, &err));
    CHECK(strcmp(err.place, "today") == 0);
    GIVES(NICFW_E_NOT_FOUND, nicfw_compiled_count_more(made, "shop-2", &l, &err));
    CHECK(strcmp(err.place, "shop-2") == 0);
    GIVES(NICFW_E_ARGUMENT, nicfw_probe("eth0", &l, &err));
    GIVES(NICFW_E_NOT_FOUND, nicfw_probe("ffff:ff:1f.7", &l, &err));
    const char *nowhere[] = {"", "eth0", "0000:65:00.0", "pci:eth0", "fd:", "fd:x", "fd:-1", "fd:99999999999"};
    for (size_t i = 0; i < sizeof nowhere / sizeof *nowhere; i++)
        GIVES(NICFW_E_ARGUMENT, nicfw_adapter_open(nowhere[i], NULL, &a, &err));
    const char *absent[] = {"pci:ffff:ff:1f.7", "fd:54321", "fd:0", "vfio-user:/nonexistent/nic.sock"};
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) {
        GIVES(NICFW_E_OPEN, nicfw_adapter_open(absent[i], NULL, &a, &err));
        CHECK(strcmp(err.place, absent[i]) == 0 && err.state == NICFW_STATE_UNCHANGED);
    }
    CHECK(p == KEEP && l == KEEP && a == KEEP);
}

static void enums_and_flags(void) {
    nicfw_builder *b;
    nicfw_adapter *a = KEEP;
    OK(nicfw_builder_new("b", &b, &err));
    OK(nicfw_builder_add_policy(b, "p", &err));
    GIVES(NICFW_E_ORDER, nicfw_builder_add_policy(b, "p", &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_builder_set_unbound(b, 0, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_builder_set_multicast(b, 3, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_builder_set_owner(b, NULL, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_adapter_close(NULL, 3, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_set_log(NULL, NULL, 6, &err));
    nicfw_open_opts opts = NICFW_INIT(nicfw_open_opts);
    opts.switch_firmware = 2;
    GIVES(NICFW_E_ARGUMENT, nicfw_adapter_open("fd:0", &opts, &a, &err));

    nicfw_rule good = NICFW_INIT(nicfw_rule);
    good.direction = NICFW_IN;
    good.action = NICFW_ALLOW;
    GIVES(NICFW_E_ORDER, nicfw_builder_add_rule(b, "q", &good, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_builder_add_rule(b, "p", NULL, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_builder_add_rule(b, NULL, &good, &err));
    nicfw_ports backward = {2, 1};
    nicfw_term term = {.net = {{10}, 5, 8}};
#define BAD_RULE(change)                                                           \
    do {                                                                           \
        nicfw_rule rule = good;                                                    \
        change;                                                                    \
        GIVES(NICFW_E_ARGUMENT, nicfw_builder_add_rule(b, "p", &rule, &err));      \
        GIVES(NICFW_E_ARGUMENT, nicfw_builder_add_management(b, &rule, NULL, &err)); \
    } while (0)
    BAD_RULE(rule.direction = 0);
    BAD_RULE(rule.direction = 3);
    BAD_RULE(rule.action = 0);
    BAD_RULE(rule.proto = 6);
    BAD_RULE(rule.proto = 0x200);
    BAD_RULE(rule.proto = INT32_MIN);
    BAD_RULE(rule.replies = 3);
    BAD_RULE(rule.sample = 2);
    BAD_RULE(rule.owner = "\xff");
    BAD_RULE(rule.remote_count = 1);
    BAD_RULE((rule.remote = &term, rule.remote_count = 1));
    BAD_RULE((rule.local_ports = &backward, rule.local_ports_count = 1));
    BAD_RULE((rule.remote_ports = &backward, rule.remote_ports_count = SIZE_MAX));
    term.net.len = 4;
    term.net.prefix = 33;
    BAD_RULE((rule.local = &term, rule.local_count = 1));
    term.net.prefix = 8;
    term.except = 2;
    BAD_RULE((rule.local = &term, rule.local_count = 1));
    GIVES(NICFW_E_ARGUMENT, nicfw_builder_add_group(b, "g", &term, 1, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_builder_set_ephemeral(b, &backward, 1, &err));

    nicfw_addr prefix = {{10}, 4, 8};
    nicfw_binding binding = NICFW_INIT(nicfw_binding);
    GIVES(NICFW_E_ARGUMENT, nicfw_builder_add_binding(b, &binding, &err));
    binding.container = "c";
    GIVES(NICFW_E_ARGUMENT, nicfw_builder_add_binding(b, &binding, &err));
    binding.policy = "p";
    binding.attach = 7;
    GIVES(NICFW_E_ARGUMENT, nicfw_builder_add_binding(b, &binding, &err));
    binding.attach = NICFW_ATTACH_SRIOV;
    binding.ips = &prefix;
    binding.ips_count = 1;
    GIVES(NICFW_E_ARGUMENT, nicfw_builder_add_binding(b, &binding, &err));
    GIVES(NICFW_E_ARGUMENT, nicfw_builder_add_binding(b, NULL, &err));
    nicfw_policy *p = KEEP;
    GIVES(NICFW_E_POLICY, nicfw_builder_build(b, &p, &err)); /* neither unbound nor multicast was said */
    GIVES(NICFW_E_ARGUMENT, nicfw_builder_build(b, NULL, &err));
    CHECK(p == KEEP && a == KEEP);
    OK(nicfw_builder_free(b, &err));
}

static void targets_and_packets(nicfw_policy *policy, nicfw_compiled *made) {
    nicfw_compiled *c = KEEP;
    nicfw_list *l = KEEP;
    nicfw_target target = NICFW_INIT(nicfw_target);
    target.family_version = 9;
    GIVES(NICFW_E_FIT, nicfw_policy_compile(policy, &target, NULL, &c, &err));
    target.family_version = 0;
    strcpy(target.family, "mae");
    GIVES(NICFW_E_FIT, nicfw_policy_compile(policy, &target, NULL, &c, &err));
    CHECK(strcmp(err.place, "target.family") == 0 && strstr(err.message, "rules") != NULL);
    memset(target.family, 'r', sizeof target.family); /* no NUL */
    GIVES(NICFW_E_ARGUMENT, nicfw_policy_compile(policy, &target, NULL, &c, &err));
    memset(target.family, 0, sizeof target.family);
    strcpy(target.family, "\xff");
    GIVES(NICFW_E_ARGUMENT, nicfw_policy_compile(policy, &target, NULL, &c, &err));
    strcpy(target.family, "rules");
    target.reserved = 1;
    GIVES(NICFW_E_UNSUPPORTED, nicfw_policy_compile(policy, &target, NULL, &c, &err));
    target.reserved = 0;
    target.sizes_count = 1;
    target.sizes[0] = (nicfw_size){"entries_per_node", 3};
    GIVES(NICFW_E_ARGUMENT, nicfw_policy_compile(policy, &target, NULL, &c, &err));
    target.sizes[0].value = 256;
    GIVES(NICFW_E_ARGUMENT, nicfw_policy_compile(policy, &target, NULL, &c, &err));
    target.sizes[0].value = UINT64_C(1) << 32 | 16; /* not 16 */
    GIVES(NICFW_E_ARGUMENT, nicfw_policy_compile(policy, &target, NULL, &c, &err));
    target.sizes[0] = (nicfw_size){"action sets", 0};
    GIVES(NICFW_E_ARGUMENT, nicfw_policy_compile(policy, &target, NULL, &c, &err));
    CHECK(strcmp(err.place, "target.sizes") == 0 && strstr(err.message, "portrange_id_max") != NULL);
    memset(target.sizes[0].name, 'r', sizeof target.sizes[0].name);
    GIVES(NICFW_E_ARGUMENT, nicfw_policy_compile(policy, &target, NULL, &c, &err));
    target.sizes[0] = target.sizes[1] = (nicfw_size){"rules", 9000};
    target.sizes_count = 2;
    GIVES(NICFW_E_ARGUMENT, nicfw_policy_compile(policy, &target, NULL, &c, &err));
    CHECK(strstr(err.message, "twice") != NULL);
    target.sizes_count = 25;
    GIVES(NICFW_E_ARGUMENT, nicfw_policy_compile(policy, &target, NULL, &c, &err));
    target.sizes_count = 1;
    target.sizes[0].value = 2;
    GIVES(NICFW_E_FIT, nicfw_policy_compile(policy, &target, NULL, &c, &err));
    CHECK(strcmp(err.place, "test.yaml") == 0 && err.line > 0 && strstr(err.message, "Nothing was sent") != NULL);
    nicfw_packet packet = NICFW_INIT(nicfw_packet);
    packet.src.len = 4;
    packet.src.prefix = 32;
    GIVES(NICFW_E_ARGUMENT, nicfw_compiled_explain_packet(made, &packet, &l, &err));
    packet.dst.len = 16;
    packet.dst.prefix = 128;
    GIVES(NICFW_E_ARGUMENT, nicfw_compiled_explain_packet(made, &packet, &l, &err));
    packet.dst = packet.src;
    packet.proto = 6;
    GIVES(NICFW_E_ARGUMENT, nicfw_compiled_explain_packet(made, &packet, &l, &err));
    packet.proto = NICFW_PROTO_TCP;
    packet.has_ports = 2;
    GIVES(NICFW_E_ARGUMENT, nicfw_compiled_explain_packet(made, &packet, &l, &err));
    CHECK(c == KEEP && l == KEEP);
}

int main(void) {
    nicfw_policy *policy;
    nicfw_list *list;
    OK(nicfw_policy_parse(WEB, "test.yaml", &policy, &err));
    nicfw_compiled *made = compiled(WEB, NULL);
    OK(nicfw_compiled_list_usage(made, &list, &err));
    null_pointers(policy, made, list);
    texts(policy, made);
    enums_and_flags();
    targets_and_packets(policy, made);
    for (int code = -30; code <= 5; code++)
        CHECK(strlen(nicfw_strerror(code)) > 3 && strlen(nicfw_state_text(code)) > 3);
    CHECK(nicfw_abi_version() == NICFW_ABI_VERSION && strcmp(nicfw_version(), "") != 0);
    OK(nicfw_list_free(list, &err));
    OK(nicfw_compiled_free(made, &err));
    OK(nicfw_policy_free(policy, &err));
    puts("arguments: ok");
    return 0;
}
