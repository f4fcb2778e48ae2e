/* A panic inside the library, which is built with the feature `inject` for this: a code, no crash, and a handle that may only
 * be closed. */
#include "check.h"

int nicfw_inject_panic(nicfw_adapter *adapter, nicfw_error *err);

int main(int argc, char **argv) {
    const char *where = where_of(argc, argv);
    nicfw_adapter *nic = adopted(where);
    nicfw_list *list = NULL;
    nicfw_adapter_info info = NICFW_INIT(nicfw_adapter_info);
    GIVES(NICFW_E_INTERNAL, nicfw_inject_panic(nic, &err));
    CHECK(strstr(err.message, "injected") != NULL && err.state == NICFW_STATE_UNKNOWN);
    GIVES(NICFW_E_INTERNAL, nicfw_adapter_get_info(nic, &info, &err));
    GIVES(NICFW_E_INTERNAL, nicfw_adapter_read_counters(nic, &list, &err));
    GIVES(NICFW_E_INTERNAL, nicfw_inject_panic(nic, &err));
    CHECK(list == NULL && info.vendor == 0);
    OK(nicfw_adapter_close(nic, NICFW_LEAVE_RULES, &err));
    GIVES(NICFW_E_HANDLE, nicfw_adapter_get_info(nic, &info, &err));
    nic = adopted(where);
    OK(nicfw_adapter_get_info(nic, &info, &err)); /* the library works on */
    OK(nicfw_adapter_close(nic, NICFW_LEAVE_RULES, &err));
    puts("panic: ok");
    return 0;
}
