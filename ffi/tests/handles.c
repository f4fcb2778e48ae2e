/* Every function with handles that are NULL, closed, closed twice, of another kind and made up: NICFW_E_HANDLE, and what it
 * would have written stays. No adapter is needed but for a closed handle of one. */
#include "check.h"

#define KEEP ((void *)0x5a5a)

/* One bad handle of each sort, for a kind whose own handle is `closed`. */
struct bad {
    void *sorts[5];
};

static nicfw_policy *policy_handle(void) {
    nicfw_policy *policy;
    OK(nicfw_policy_parse(WEB, "w", &policy, &err));
    return policy;
}

static struct bad bad(void *closed, void *other_kind) {
    static long local;
    struct bad made = {{NULL, closed, other_kind, &local, (void *)((uintptr_t)closed ^ (1u << 25))}};
    return made;
}

#define EACH(set, call)                                       \
    for (size_t sort = 0; sort < 5; sort++) {                 \
        void *h = (set).sorts[sort];                          \
        GIVES(NICFW_E_HANDLE, call);                          \
    }
/* Ending NULL is fine. */
#define EACH_END(set, call)                                   \
    for (size_t sort = 0; sort < 5; sort++) {                 \
        void *h = (set).sorts[sort];                          \
        GIVES(h == NULL ? NICFW_OK : NICFW_E_HANDLE, call);   \
    }

int main(int argc, char **argv) {
    nicfw_policy *policy = policy_handle();
    nicfw_compiled *made = compiled(WEB, NULL);
    nicfw_list *out = KEEP;
    nicfw_rule rule = NICFW_INIT(nicfw_rule);
    rule.direction = NICFW_IN;
    rule.action = NICFW_ALLOW;
    nicfw_binding binding = NICFW_INIT(nicfw_binding);
    binding.container = "c";
    binding.policy = "p";
    nicfw_packet packet = NICFW_INIT(nicfw_packet);
    nicfw_addr ip = {{10, 0, 0, 1}, 4, 32};

    nicfw_adapter *adapter = adopted(where_of(argc, argv));
    OK(nicfw_adapter_close(adapter, NICFW_LEAVE_RULES, &err));
    GIVES(NICFW_E_HANDLE, nicfw_adapter_close(adapter, NICFW_LEAVE_RULES, &err));
    struct bad b = bad(adapter, policy);
    nicfw_adapter_info info = NICFW_INIT(nicfw_adapter_info);
    nicfw_target target = NICFW_INIT(nicfw_target);
    nicfw_report report = NICFW_INIT(nicfw_report);
    nicfw_policy *policy_out = KEEP;
    nicfw_compiled *compiled_out = KEEP;
    nicfw_plan *plan_out = KEEP;
    int drifted = 77;
    EACH_END(b, nicfw_adapter_close(h, NICFW_LEAVE_RULES, &err));
    EACH(b, nicfw_adapter_get_info(h, &info, &err));
    EACH(b, nicfw_adapter_get_target(h, &target, &err));
    EACH(b, nicfw_adapter_get_policy(h, &policy_out, &err));
    EACH(b, nicfw_adapter_list_usage(h, &out, &err));
    EACH(b, nicfw_adapter_list_containers(h, &out, &err));
    EACH(b, nicfw_adapter_adopt(h, made, &err));
    EACH(b, nicfw_adapter_reserve(h, "c", &ip, 1, NULL, &err));
    EACH(b, nicfw_adapter_release(h, "c", &err));
    EACH(b, nicfw_adapter_compile(h, policy, NULL, &compiled_out, &err));
    EACH(b, nicfw_adapter_plan(h, made, "r", &plan_out, &err));
    EACH(b, nicfw_adapter_apply(h, NULL, NULL, NULL, &report, &err));
    EACH(b, nicfw_adapter_recover(h, &report, &err));
    EACH(b, nicfw_adapter_audit(h, &drifted, &err));
    EACH(b, nicfw_adapter_commit_cache(h, &err));
    EACH(b, nicfw_adapter_read_counters(h, &out, &err));
    CHECK(info.vendor == 0 && target.sizes_count == 0 && report.commands == 0 && drifted == 77);

    /* The second and third handle of a call, beside a good first one. */
    adapter = adopted(where_of(argc, argv));
    nicfw_compiled *gone = compiled(WEB, NULL);
    OK(nicfw_compiled_free(gone, &err));
    b = bad(gone, policy);
    EACH(b, nicfw_adapter_adopt(adapter, h, &err));
    EACH(b, nicfw_adapter_plan(adapter, h, "r", &plan_out, &err));
    for (size_t sort = 1; sort < 5; sort++) { /* no previous result is fine */
        GIVES(NICFW_E_HANDLE, nicfw_adapter_compile(adapter, policy, b.sorts[sort], &compiled_out, &err));
        GIVES(NICFW_E_HANDLE, nicfw_policy_compile(policy, NULL, b.sorts[sort], &compiled_out, &err));
    }
    EACH(b, nicfw_compiled_diff(h, made, &out, &err));
    EACH(b, nicfw_compiled_diff(made, h, &out, &err));
    EACH(b, nicfw_compiled_list_usage(h, &out, &err));
    EACH(b, nicfw_compiled_list_warnings(h, &out, &err));
    EACH(b, nicfw_compiled_list_openings(h, &out, &err));
    EACH(b, nicfw_compiled_explain(h, FLOW, &out, &err));
    EACH(b, nicfw_compiled_explain_packet(h, &packet, &out, &err));
    EACH(b, nicfw_compiled_count_more(h, "shop-1", &out, &err));
    EACH_END(b, nicfw_compiled_free(h, &err));

    nicfw_compiled *fitting = compiled_for(adapter, WEB);
    nicfw_plan *plan;
    nicfw_plan_info plan_info = NICFW_INIT(nicfw_plan_info);
    OK(nicfw_adapter_plan(adapter, fitting, "r", &plan, &err));
    OK(nicfw_compiled_free(fitting, &err));
    OK(nicfw_plan_free(plan, &err));
    b = bad(plan, policy);
    EACH(b, nicfw_adapter_apply(adapter, h, NULL, NULL, &report, &err));
    EACH(b, nicfw_plan_get_info(h, &plan_info, &err));
    EACH(b, nicfw_plan_list_commands(h, &out, &err));
    EACH(b, nicfw_plan_list_closed(h, &out, &err));
    EACH(b, nicfw_plan_list_peaks(h, &out, &err));
    EACH_END(b, nicfw_plan_free(h, &err));
    CHECK(plan_info.commands == 0);
    OK(nicfw_adapter_close(adapter, NICFW_LEAVE_RULES, &err));

    nicfw_policy *closed = policy_handle();
    OK(nicfw_policy_free(closed, &err));
    b = bad(closed, made);
    EACH(b, nicfw_policy_compile(h, NULL, NULL, &compiled_out, &err));
    EACH(b, nicfw_policy_list_warnings(h, &out, &err));
    EACH(b, nicfw_policy_decide(h, FLOW, &out, &err));
    EACH(b, nicfw_policy_lint(h, "2026-11-23", &out, &err));
    EACH(b, nicfw_policy_find_nearest(h, FLOW, &out, &err));
    EACH_END(b, nicfw_policy_free(h, &err));

    nicfw_builder *builder;
    OK(nicfw_builder_new("b", &builder, &err));
    OK(nicfw_builder_free(builder, &err));
    b = bad(builder, policy);
    nicfw_ports ports = {1, 2};
    nicfw_term term = {.group = "g"};
    EACH(b, nicfw_builder_set_unbound(h, NICFW_ALLOW, &err));
    EACH(b, nicfw_builder_set_multicast(h, NICFW_DENY, &err));
    EACH(b, nicfw_builder_set_owner(h, "o", &err));
    EACH(b, nicfw_builder_set_ephemeral(h, &ports, 1, &err));
    EACH(b, nicfw_builder_add_group(h, "g", &term, 1, &err));
    EACH(b, nicfw_builder_add_policy(h, "p", &err));
    EACH(b, nicfw_builder_add_rule(h, "p", &rule, &err));
    EACH(b, nicfw_builder_add_management(h, &rule, NULL, &err));
    EACH(b, nicfw_builder_add_binding(h, &binding, &err));
    EACH(b, nicfw_builder_build(h, &policy_out, &err));
    EACH_END(b, nicfw_builder_free(h, &err));

    nicfw_list *list;
    OK(nicfw_compiled_list_usage(made, &list, &err));
    OK(nicfw_list_free(list, &err));
    b = bad(list, policy);
    size_t length = 77;
    uint64_t number = 77;
    char text[8] = "keep";
    EACH(b, nicfw_list_length(h, &length, &err));
    EACH(b, nicfw_list_number(h, 0, NICFW_FIELD_USED, &number, &err));
    EACH(b, nicfw_list_text(h, 0, NICFW_FIELD_TEXT, text, sizeof text, &length, &err));
    EACH_END(b, nicfw_list_free(h, &err));

    CHECK(out == KEEP && policy_out == KEEP && compiled_out == KEEP && plan_out == KEEP);
    CHECK(length == 77 && number == 77 && strcmp(text, "keep") == 0);
    OK(nicfw_policy_free(policy, &err));
    OK(nicfw_compiled_free(made, &err));
    puts("handles: ok");
    return 0;
}
