/* What the C tests share: a check that says where it failed, and the way to an adapter with a policy. */
#ifndef CHECK_H
#define CHECK_H

#include <libnicfw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(holds)                                                             \
    do {                                                                         \
        if (!(holds)) {                                                          \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #holds);  \
            exit(1);                                                             \
        }                                                                        \
    } while (0)

/* The call returns the code; if it is no success, the error says the same code. */
#define GIVES(expected, call)                                                                                     \
    do {                                                                                                          \
        err.code = 12345;                                                                                         \
        int given = (call);                                                                                       \
        if (given != (expected) || (given != NICFW_OK && err.code != given)) {                                    \
            fprintf(stderr, "%s:%d: %s gave %d (%s: %s), expected %d\n", __FILE__, __LINE__, #call, given,        \
                    nicfw_strerror(given), given == NICFW_OK ? "" : err.message, (int)(expected));                \
            exit(1);                                                                                              \
        }                                                                                                         \
    } while (0)
#define OK(call) GIVES(NICFW_OK, call)

static _Thread_local nicfw_error err = NICFW_INIT(nicfw_error);

#define HEAD "nicfw: 1\nunbound: allow\nmulticast: deny\n"
#define BINDING "bindings:\n" \
    "  - {container: shop-1, ip: 10.30.1.17, mac: \"02:00:0a:1e:01:11\", attach: {macvlan: vepa}, policy: web}\n"

static const char BASE[] = HEAD;
static const char WEB[] = HEAD
    "policies:\n"
    "  web:\n"
    "    - {allow: in, proto: tcp, local_ports: [80, 443], remote: 10.20.0.0/16, reason: shop front, ticket: CHG-1}\n"
    BINDING;
static const char WEB_AND_DNS[] = HEAD
    "policies:\n"
    "  web:\n"
    "    - {allow: in, proto: tcp, local_ports: [80, 443], remote: 10.20.0.0/16, reason: shop front, ticket: CHG-1}\n"
    "    - {allow: out, proto: udp, remote: 10.0.0.53, remote_ports: 53, reason: DNS}\n"
    BINDING;
#define FLOW "tcp 10.20.3.4:51000 > 10.30.1.17:443"

static inline nicfw_compiled *compiled(const char *text, const nicfw_compiled *previous) {
    nicfw_policy *policy;
    nicfw_compiled *made;
    OK(nicfw_policy_parse(text, "test.yaml", &policy, &err));
    OK(nicfw_policy_compile(policy, NULL, previous, &made, &err));
    OK(nicfw_policy_free(policy, &err));
    return made;
}

/* An adapter that a policy without bindings was adopted for. */
static inline nicfw_adapter *adopted(const char *where) {
    nicfw_adapter *adapter;
    nicfw_policy *policy;
    nicfw_compiled *base;
    OK(nicfw_adapter_open(where, NULL, &adapter, &err));
    OK(nicfw_policy_parse(BASE, "base", &policy, &err));
    OK(nicfw_adapter_compile(adapter, policy, NULL, &base, &err));
    OK(nicfw_adapter_adopt(adapter, base, &err));
    OK(nicfw_policy_free(policy, &err));
    OK(nicfw_compiled_free(base, &err));
    return adapter;
}

static inline nicfw_compiled *compiled_for(nicfw_adapter *adapter, const char *text) {
    nicfw_policy *policy;
    nicfw_compiled *made;
    OK(nicfw_policy_parse(text, "test.yaml", &policy, &err));
    OK(nicfw_adapter_compile(adapter, policy, NULL, &made, &err));
    OK(nicfw_policy_free(policy, &err));
    return made;
}

/* A text of an item; static. */
static inline const char *text_of(const nicfw_list *list, size_t index, int field) {
    static _Thread_local char text[4096];
    OK(nicfw_list_text(list, index, field, text, sizeof text, NULL, &err));
    return text;
}

static inline uint64_t number_of(const nicfw_list *list, size_t index, int field) {
    uint64_t number;
    OK(nicfw_list_number(list, index, field, &number, &err));
    return number;
}

static inline size_t length_of(const nicfw_list *list) {
    size_t length;
    OK(nicfw_list_length(list, &length, &err));
    return length;
}

/* Gives the place of a usage error where a test is started wrongly. */
static inline const char *where_of(int argc, char **argv) {
    CHECK(argc == 2);
    return argv[1];
}

#endif
