/* Lets an adapter guard a container: first pci:0000:65:00.0 web.yaml, or, at the socket of `nicfw-model serve --socket
 * /tmp/nic.sock`, first vfio-user:/tmp/nic.sock web.yaml. Built by: cc first.c $(pkg-config --cflags --libs nicfw) */
#include <libnicfw.h>
#include <stdio.h>
#include <stdlib.h>

static nicfw_error err = NICFW_INIT(nicfw_error);

static void must(int code) {
    if (code == NICFW_OK)
        return;
    fprintf(stderr, "%s\n  at %s line %u: %s\n  the adapter holds: %s\n", nicfw_strerror(code), err.place,
            (unsigned)err.line, err.message, nicfw_state_text(err.state));
    exit(1);
}

static void show(nicfw_list *list) {
    char text[1024];
    for (size_t i = 0; nicfw_list_text(list, i, NICFW_FIELD_TEXT, text, sizeof text, NULL, NULL) == NICFW_OK; i++)
        puts(text);
    must(nicfw_list_free(list, &err));
}

int main(int argc, char **argv) {
    nicfw_adapter *nic; nicfw_policy *base, *policy; nicfw_compiled *before, *after; nicfw_plan *plan; nicfw_list *list;
    nicfw_report report = NICFW_INIT(nicfw_report);
    const nicfw_addr ip = {{10, 30, 1, 17}, 4, 32};
    const uint8_t mac[6] = {0x02, 0x00, 0x0a, 0x1e, 0x01, 0x11};
    if (argc != 3)
        return fprintf(stderr, "usage: first WHERE POLICY\n"), 2;
    must(nicfw_adapter_open(argv[1], NULL, &nic, &err));
    /* What an adapter holds cannot be read back: adopting drops it, and loads a policy, here one that binds nobody. */
    must(nicfw_policy_parse("nicfw: 1\nunbound: allow\nmulticast: deny\n", "base", &base, &err));
    must(nicfw_adapter_compile(nic, base, NULL, &before, &err));
    must(nicfw_adapter_adopt(nic, before, &err));
    must(nicfw_adapter_reserve(nic, "shop-1", &ip, 1, mac, &err)); /* closed before it starts */
    must(nicfw_policy_load(argv[2], &policy, &err));
    must(nicfw_adapter_compile(nic, policy, before, &after, &err));
    must(nicfw_adapter_plan(nic, after, "shop-1 comes", &plan, &err));
    must(nicfw_adapter_apply(nic, plan, NULL, NULL, &report, &err));
    printf("%llu commands\n", (unsigned long long)report.commands);
    must(nicfw_compiled_explain(after, "tcp 10.20.3.4:51000 > 10.30.1.17:443", &list, &err));
    show(list);
    must(nicfw_adapter_read_counters(nic, &list, &err));
    show(list);
    must(nicfw_plan_free(plan, &err) | nicfw_compiled_free(after, &err) | nicfw_compiled_free(before, &err));
    must(nicfw_policy_free(policy, &err) | nicfw_policy_free(base, &err));
    must(nicfw_adapter_close(nic, NICFW_LEAVE_RULES, &err));
    return 0;
}
