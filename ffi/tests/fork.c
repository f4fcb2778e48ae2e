/* A child that was forked may not use the library, however it was made: each call says so at once, also when a thread of the
 * parent held a lock, and the parent's adapter goes on as if there was no child. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

/* Of the sanitizers; gcc comes without the header that declares it. */
int __sanitizer_install_malloc_and_free_hooks(void (*)(const volatile void *, size_t), void (*)(const volatile void *));

/* In a child: whoever asks for memory could wait for a lock that another thread of the parent held. */
static void allocated(const volatile void *block, size_t size) {
    (void)block;
    (void)size;
    _exit(103);
}

static void freed(const volatile void *block) {
    (void)block;
    _exit(104);
}

/* What a child does with what it inherits; the number of the first call that did not say NICFW_E_FORK, or 0. */
static int child(nicfw_adapter *nic, nicfw_compiled *web, nicfw_plan *plan) {
    nicfw_adapter_info info = NICFW_INIT(nicfw_adapter_info);
    nicfw_error error = NICFW_INIT(nicfw_error), unset = {0};
    nicfw_policy *policy = NULL;
    nicfw_list *list = NULL;
    if (__sanitizer_install_malloc_and_free_hooks(allocated, freed) == 0)
        return 105;
    int all[] = {
        nicfw_adapter_get_info(nic, &info, &error),
        nicfw_adapter_read_counters(nic, &list, &error),
        nicfw_adapter_adopt(nic, web, &error),
        nicfw_adapter_apply(nic, plan, NULL, NULL, NULL, &error),
        nicfw_policy_parse(BASE, "base", &policy, &error),
        nicfw_compiled_explain(web, FLOW, &list, &error),
        nicfw_plan_free(plan, &error),
        nicfw_adapter_close(nic, NICFW_LEAVE_EMPTY, &error),
        nicfw_adapter_close(NULL, NICFW_LEAVE_EMPTY, NULL),
        nicfw_adapter_close(NULL, NICFW_LEAVE_EMPTY, &unset),
        nicfw_set_log(NULL, NULL, NICFW_LOG_OFF, &error),
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i] != NICFW_E_FORK)
            return (int)i + 1;
    if (policy != NULL || list != NULL || error.code != NICFW_E_FORK || error.state != NICFW_STATE_UNCHANGED)
        return 100;
    if (strstr(error.message, "exec first") == NULL || nicfw_abi_version() != NICFW_ABI_VERSION)
        return 101;
    return strcmp(nicfw_strerror(NICFW_E_FORK), "unknown code") == 0 ? 102 : 0;
}

/* Waits for a child that ends by itself. */
static void ends_well(pid_t pid) {
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid);
    if (WIFSIGNALED(status) || WEXITSTATUS(status) != 0)
        fprintf(stderr, "the child: signal %d, call %d\n", WTERMSIG(status), WEXITSTATUS(status));
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void forked(nicfw_adapter *nic, nicfw_compiled *web, nicfw_plan *plan) {
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        alarm(60); /* one that waits for a lock is ended */
        _exit(child(nic, web, plan));
    }
    ends_well(pid);
}

/* As container runtimes do, past everything that the C library does at fork(): in a PID namespace of its own if that is
 * allowed, where the child has number 1. */
static void cloned(nicfw_adapter *nic, nicfw_compiled *web, nicfw_plan *plan) {
    long pid = syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid < 0)
        pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    CHECK(pid >= 0);
    if (pid == 0)
        syscall(SYS_exit_group, child(nic, web, plan));
    ends_well((pid_t)pid);
}

static atomic_int stop;

/* Holds the library's locks nearly all the time. */
static void *busy(void *nic) {
    nicfw_adapter_info info = NICFW_INIT(nicfw_adapter_info);
    nicfw_list *list;
    while (!stop) {
        OK(nicfw_adapter_get_info(nic, &info, &err));
        OK(nicfw_adapter_read_counters(nic, &list, &err));
        OK(nicfw_list_free(list, &err));
    }
    return NULL;
}

int main(int argc, char **argv) {
    const char *where = where_of(argc, argv);
    nicfw_adapter *nic = adopted(where);
    nicfw_compiled *web = compiled_for(nic, WEB), *dns = compiled_for(nic, WEB_AND_DNS);
    nicfw_adapter_info info = NICFW_INIT(nicfw_adapter_info);
    nicfw_plan *plan;
    nicfw_list *list;
    int drifted = 77;
    OK(nicfw_adapter_plan(nic, web, "test", &plan, &err));
    forked(nic, web, plan);
    cloned(nic, web, plan);
    /* The plan is still good, so nothing was sent; and it can be carried out, so nothing was closed. */
    OK(nicfw_adapter_apply(nic, plan, NULL, NULL, NULL, &err));
    OK(nicfw_plan_free(plan, &err));
    OK(nicfw_adapter_plan(nic, dns, "test", &plan, &err));
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, busy, nic) == 0);
    for (int i = 0; i < 50; i++)
        forked(nic, web, plan);
    stop = 1;
    CHECK(pthread_join(thread, NULL) == 0);
    OK(nicfw_adapter_apply(nic, plan, NULL, NULL, NULL, &err));
    OK(nicfw_adapter_audit(nic, &drifted, &err));
    CHECK(drifted == 0);
    OK(nicfw_adapter_get_info(nic, &info, &err));
    CHECK(info.needs_recovery == 0 && info.entries > 0);
    OK(nicfw_adapter_read_counters(nic, &list, &err));
    OK(nicfw_list_free(list, &err));
    OK(nicfw_plan_free(plan, &err));
    OK(nicfw_compiled_free(web, &err));
    OK(nicfw_compiled_free(dns, &err));
    OK(nicfw_adapter_close(nic, NICFW_LEAVE_EMPTY, &err));
    puts("fork: ok");
    return 0;
}
