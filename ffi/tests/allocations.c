/* What a program closes is given back: the same work, done again and again, takes no more memory. Run it
 * with GLIBC_TUNABLES=glibc.malloc.tcache_count=0. */
#include <malloc.h>

#include "check.h"

static void work(const char *where) {
    nicfw_adapter *nic = adopted(where);
    nicfw_compiled *web = compiled_for(nic, WEB);
    nicfw_plan *plan;
    nicfw_list *list;
    nicfw_policy *none = NULL;
    OK(nicfw_adapter_plan(nic, web, "test", &plan, &err));
    OK(nicfw_adapter_apply(nic, plan, NULL, NULL, NULL, &err));
    GIVES(NICFW_E_STALE, nicfw_adapter_apply(nic, plan, NULL, NULL, NULL, &err));
    OK(nicfw_adapter_read_counters(nic, &list, &err));
    OK(nicfw_list_free(list, &err));
    OK(nicfw_compiled_explain(web, FLOW, &list, &err));
    OK(nicfw_list_free(list, &err));
    GIVES(NICFW_E_POLICY, nicfw_policy_parse("nicfw: 2\n", "bad", &none, &err));
    OK(nicfw_plan_free(plan, &err));
    OK(nicfw_compiled_free(web, &err));
    OK(nicfw_adapter_close(nic, NICFW_LEAVE_EMPTY, &err));
}

int main(int argc, char **argv) {
    const char *where = where_of(argc, argv);
    for (int i = 0; i < 3; i++)
        work(where);
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < 20; i++)
        work(where);
    size_t after = mallinfo2().uordblks;
    printf("allocations: %zu bytes in use before 20 rounds, %zu after\n", before, after);
    CHECK(after == before);
    return 0;
}
