/* A program and a library of different versions: structures that are shorter or longer than the library's. */
#include <stddef.h>

#include "check.h"

/* What a structure may look like in a later version. */
#define NEWER(type)          \
    struct {                 \
        type known;          \
        unsigned char more[24]; \
    }

int main(int argc, char **argv) {
    nicfw_adapter *nic = NULL;
    const char *where = where_of(argc, argv);

    /* Input: the rest of a shorter one counts as zero, the rest of a longer one must be zero. */
    NEWER(nicfw_open_opts) opts;
    memset(&opts, 0, sizeof opts);
    opts.known.size = sizeof opts;
    opts.known.command_timeout_ms = 3000;
    opts.more[23] = 1;
    GIVES(NICFW_E_UNSUPPORTED, nicfw_adapter_open(where, &opts.known, &nic, &err));
    CHECK(nic == NULL && strstr(err.message, "opts") != NULL);
    opts.more[23] = 0;
    OK(nicfw_adapter_open(where, &opts.known, &nic, &err));
    OK(nicfw_adapter_close(nic, NICFW_LEAVE_RULES, &err));
    opts.known.size = offsetof(nicfw_open_opts, switch_firmware);
    opts.known.switch_firmware = 99; /* the caller's structure ends before it */
    OK(nicfw_adapter_open(where, &opts.known, &nic, &err));

    /* Output: as much as there is room for; what the library does not know becomes zero. */
    NEWER(nicfw_adapter_info) info;
    memset(&info, 0xa5, sizeof info);
    info.known.size = sizeof info;
    OK(nicfw_adapter_get_info(nic, &info.known, &err));
    CHECK(info.known.size == sizeof info && info.known.vendor == 0x1924);
    for (size_t i = 0; i < sizeof info.more; i++)
        CHECK(info.more[i] == 0);
    memset(&info, 0xa5, sizeof info);
    info.known.size = offsetof(nicfw_adapter_info, firmware);
    OK(nicfw_adapter_get_info(nic, &info.known, &err));
    CHECK(info.known.vendor == 0x1924 && info.known.firmware[0] == 0xa5a5 && info.known.entries == 0xa5a5a5a5a5a5a5a5);

    /* A size that was never set. */
    size_t sizes[] = {0, 1, 7, 4097, SIZE_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        info.known.size = sizes[i];
        GIVES(NICFW_E_ARGUMENT, nicfw_adapter_get_info(nic, &info.known, &err));
        CHECK(info.known.firmware[0] == 0xa5a5);
    }

    /* The error itself: shorter, longer, not initialised. */
    nicfw_error short_error;
    memset(&short_error, 0x5a, sizeof short_error);
    short_error.size = offsetof(nicfw_error, line);
    CHECK(nicfw_adapter_get_info(nic, NULL, &short_error) == NICFW_E_ARGUMENT);
    CHECK(short_error.code == NICFW_E_ARGUMENT && short_error.line == 0x5a5a5a5a && short_error.message[0] == 0x5a);
    NEWER(nicfw_error) long_error;
    memset(&long_error, 0x5a, sizeof long_error);
    long_error.known.size = sizeof long_error;
    CHECK(nicfw_adapter_get_info(nic, NULL, &long_error.known) == NICFW_E_ARGUMENT);
    CHECK(strcmp(long_error.known.message, "info is NULL") == 0 && long_error.more[0] == 0);
    memset(&short_error, 0, sizeof short_error);
    CHECK(nicfw_adapter_get_info(nic, NULL, &short_error) == NICFW_E_ARGUMENT && short_error.code == 0);

    /* A rule and a packet of an older program. */
    nicfw_builder *builder;
    nicfw_rule rule = NICFW_INIT(nicfw_rule);
    OK(nicfw_builder_new("b", &builder, &err));
    OK(nicfw_builder_add_policy(builder, "p", &err));
    rule.size = offsetof(nicfw_rule, proto);
    rule.direction = NICFW_OUT;
    rule.action = NICFW_DENY;
    rule.proto = 12345;
    OK(nicfw_builder_add_rule(builder, "p", &rule, &err));

    /* What later versions may give a meaning. */
    nicfw_term term = {.group = "g", .reserved = {0, 0, 0, 0, 1}};
    GIVES(NICFW_E_UNSUPPORTED, nicfw_builder_add_group(builder, "g", &term, 1, &err));
    rule.size = sizeof rule;
    rule.reserved = 1;
    GIVES(NICFW_E_UNSUPPORTED, nicfw_builder_add_rule(builder, "p", &rule, &err));
    OK(nicfw_builder_free(builder, &err));
    OK(nicfw_adapter_close(nic, NICFW_LEAVE_RULES, &err));
    puts("structures: ok");
    return 0;
}
