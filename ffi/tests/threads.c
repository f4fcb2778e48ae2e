/* Two threads with one adapter, its policies and its plans, and with each other's handles, which they also close. Whatever
 * comes first, every call ends in a code that its situation explains. */
#include <pthread.h>
#include <stdatomic.h>

#include "check.h"

#define ROUNDS 60
#define SHARED 8

static nicfw_adapter *nic;
static nicfw_compiled *policies[2];
/* Handles that both threads use and close. */
static _Atomic(nicfw_list *) lists[SHARED];

static int allowed(int code, const int *codes) {
    for (; *codes != 1; codes++)
        if (code == *codes)
            return 1;
    fprintf(stderr, "unexpected %d: %s\n", code, err.message);
    return 0;
}
#define EITHER(call, ...) CHECK(allowed((call), (const int[]){__VA_ARGS__, 1}))

static void *changes(void *unused) {
    (void)unused;
    for (int round = 0; round < ROUNDS; round++) {
        nicfw_plan *plan = NULL;
        EITHER(nicfw_adapter_plan(nic, policies[round % 2], "stress", &plan, &err), NICFW_OK);
        EITHER(nicfw_adapter_apply(nic, plan, NULL, NULL, NULL, &err), NICFW_OK, NICFW_E_STALE);
        EITHER(nicfw_plan_free(plan, &err), NICFW_OK);
        EITHER(nicfw_plan_free(plan, &err), NICFW_E_HANDLE);
    }
    return NULL;
}

static void *looks(void *own) {
    unsigned *seed = own;
    for (int round = 0; round < ROUNDS * 20; round++) {
        nicfw_list *list = NULL;
        size_t length;
        uint64_t number;
        *seed = *seed * 1664525u + 1013904223u;
        unsigned at = (*seed >> 16) % SHARED;
        switch ((*seed >> 24) % 5) {
        case 0:
            EITHER(nicfw_compiled_explain(policies[at % 2], FLOW, &list, &err), NICFW_OK);
            nicfw_list_free(atomic_exchange(&lists[at], list), NULL);
            break;
        case 1:
            EITHER(nicfw_adapter_list_usage(nic, &list, &err), NICFW_OK);
            nicfw_list_free(atomic_exchange(&lists[at], list), NULL);
            break;
        case 2:
            EITHER(nicfw_list_length(lists[at], &length, &err), NICFW_OK, NICFW_E_HANDLE);
            break;
        case 3:
            EITHER(nicfw_list_number(lists[at], 0, NICFW_FIELD_VERDICT, &number, &err), NICFW_OK, NICFW_E_HANDLE,
                   NICFW_E_NOT_FOUND);
            break;
        default:
            EITHER(nicfw_list_free(lists[at], &err), NICFW_OK, NICFW_E_HANDLE);
        }
    }
    return NULL;
}

static void *reads_until_closed(void *unused) {
    (void)unused;
    for (;;) {
        nicfw_list *list;
        int code = nicfw_adapter_read_counters(nic, &list, &err);
        if (code != NICFW_OK) {
            /* Closed before the call, or while it waited for the adapter. */
            EITHER(code, NICFW_E_HANDLE);
            return NULL;
        }
        OK(nicfw_list_free(list, &err));
    }
}

int main(int argc, char **argv) {
    nic = adopted(where_of(argc, argv));
    policies[0] = compiled_for(nic, WEB);
    policies[1] = compiled_for(nic, WEB_AND_DNS);
    unsigned seeds[2] = {1, 2};
    pthread_t threads[2];
    CHECK(pthread_create(&threads[0], NULL, changes, NULL) == 0);
    CHECK(pthread_create(&threads[1], NULL, looks, &seeds[1]) == 0);
    looks(&seeds[0]);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    CHECK(pthread_create(&threads[0], NULL, reads_until_closed, NULL) == 0);
    nicfw_list *list;
    OK(nicfw_adapter_read_counters(nic, &list, &err));
    OK(nicfw_list_free(list, &err));
    OK(nicfw_adapter_close(nic, NICFW_LEAVE_RULES, &err));
    pthread_join(threads[0], NULL);
    for (int i = 0; i < SHARED; i++)
        nicfw_list_free(lists[i], NULL);
    OK(nicfw_compiled_free(policies[0], &err));
    OK(nicfw_compiled_free(policies[1], &err));
    puts("threads: ok");
    return 0;
}
