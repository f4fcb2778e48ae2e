/* The other side of `verdicts.rs`: DPDK's rte_acl, AVX2, in batches of 32, on one core. Public API only.
 *
 *   rte_acl EAL_OPTIONS -- RULES KEYS
 *
 * RULES: ClassBench filters, the first that matches wins. KEYS: 16 bytes a packet, as `struct key` below.
 * Reads commands from standard input, one a line, and answers each with one line:
 *   run           nanoseconds of this thread for one pass over all packets
 *   portions N    the same, of portions of N keys that were copied just before; copying them is not in the time
 *   results FILE  writes a number of 32 bits a packet: the filter that matched, from 1, or 0
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <rte_acl.h>
#include <rte_eal.h>
#include <rte_errno.h>

#define BATCH 32

/* Addresses and ports in network order. */
struct key { uint8_t proto, pad[3]; uint32_t src, dst; uint16_t sport, dport; } __attribute__((packed));

enum { PROTO, SRC, DST, SPORT, DPORT, FIELDS };
static const struct rte_acl_field_def fields[FIELDS] = {
	{ RTE_ACL_FIELD_TYPE_BITMASK, 1, PROTO, 0, 0 },
	{ RTE_ACL_FIELD_TYPE_MASK, 4, SRC, 1, 4 },
	{ RTE_ACL_FIELD_TYPE_MASK, 4, DST, 2, 8 },
	{ RTE_ACL_FIELD_TYPE_RANGE, 2, SPORT, 3, 12 },
	{ RTE_ACL_FIELD_TYPE_RANGE, 2, DPORT, 3, 14 },
};
RTE_ACL_RULE_DEF(filter, FIELDS);

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "rte_acl: %s: %s\n", what, why);
	return 1;
}

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec + 1e-9 * t.tv_nsec;
}

static struct filter *read_filters(const char *path, uint32_t *count)
{
	FILE *file = fopen(path, "r");
	struct filter *all = NULL;
	char line[512];
	uint32_t room = 0;
	*count = 0;
	while (file && fgets(line, sizeof line, file)) {
		unsigned s[4], sl, d[4], dl, s0, s1, d0, d1, p, pm;
		if (sscanf(line, "@%u.%u.%u.%u/%u %u.%u.%u.%u/%u %u : %u %u : %u %x/%x", s, s + 1, s + 2, s + 3, &sl, d, d + 1,
			   d + 2, d + 3, &dl, &s0, &s1, &d0, &d1, &p, &pm) != 16)
			continue;
		if (*count == room) {
			room = room ? 2 * room : 1024;
			all = realloc(all, room * sizeof *all);
			if (!all)
				return NULL;
		}
		struct filter *f = &all[(*count)++];
		memset(f, 0, sizeof *f);
		f->data.category_mask = 1;
		f->data.userdata = *count;
		f->data.priority = RTE_ACL_MAX_PRIORITY - (int)*count;
		f->field[PROTO].value.u8 = p;
		f->field[PROTO].mask_range.u8 = pm;
		f->field[SRC].value.u32 = s[0] << 24 | s[1] << 16 | s[2] << 8 | s[3];
		f->field[SRC].mask_range.u32 = sl;
		f->field[DST].value.u32 = d[0] << 24 | d[1] << 16 | d[2] << 8 | d[3];
		f->field[DST].mask_range.u32 = dl;
		f->field[SPORT].value.u16 = s0;
		f->field[SPORT].mask_range.u16 = s1;
		f->field[DPORT].value.u16 = d0;
		f->field[DPORT].mask_range.u16 = d1;
	}
	if (file)
		fclose(file);
	return all;
}

static struct key *read_keys(const char *path, uint32_t *count)
{
	FILE *file = fopen(path, "rb");
	if (!file || fseek(file, 0, SEEK_END))
		return NULL;
	long bytes = ftell(file);
	rewind(file);
	*count = bytes / sizeof(struct key);
	struct key *keys = malloc(bytes + 1);
	if (keys && fread(keys, sizeof *keys, *count, file) != *count)
		keys = NULL;
	fclose(file);
	return keys;
}

static void classify(struct rte_acl_ctx *acl, const uint8_t **data, uint32_t *results, uint32_t count)
{
	for (uint32_t i = 0; i < count; i += BATCH)
		rte_acl_classify(acl, data + i, results + i, count - i < BATCH ? count - i : BATCH, 1);
}

int main(int argc, char **argv)
{
	int used = rte_eal_init(argc, argv);
	if (used < 0)
		return fail("EAL", rte_strerror(rte_errno));
	argc -= used;
	argv += used;
	if (argc != 3)
		return fail("arguments", "RULES KEYS expected");
	uint32_t filters, packets;
	struct filter *filter = read_filters(argv[1], &filters);
	struct key *keys = read_keys(argv[2], &packets);
	if (!filter || !keys)
		return fail("input", "no filters or no packets");

	struct rte_acl_param param = { .name = "bench", .socket_id = SOCKET_ID_ANY, .rule_size = RTE_ACL_RULE_SZ(FIELDS), .max_rule_num = filters };
	struct rte_acl_config config = { .num_categories = 1, .num_fields = FIELDS };
	memcpy(config.defs, fields, sizeof fields);
	struct rte_acl_ctx *acl = rte_acl_create(&param);
	if (!acl)
		return fail("create", rte_strerror(rte_errno));
	int rc = rte_acl_add_rules(acl, (struct rte_acl_rule *)filter, filters);
	if (!rc)
		rc = rte_acl_build(acl, &config);
	if (!rc)
		rc = rte_acl_set_ctx_classify(acl, RTE_ACL_CLASSIFY_AVX2);
	if (rc)
		return fail("build", rte_strerror(-rc));

	const uint8_t **data = malloc(packets * sizeof *data);
	uint32_t *results = calloc(packets, sizeof *results);
	struct key *portion = malloc(packets * sizeof *portion);
	const uint8_t **portion_data = malloc(packets * sizeof *portion_data);
	if (!data || !results || !portion || !portion_data)
		return fail("memory", "none left");
	for (uint32_t i = 0; i < packets; i++) {
		data[i] = (const uint8_t *)&keys[i];
		portion_data[i] = (const uint8_t *)&portion[i];
	}
	char line[4096];
	uint32_t size;
	while (fgets(line, sizeof line, stdin)) {
		line[strcspn(line, "\n")] = 0;
		if (!strcmp(line, "run")) {
			double start = seconds();
			classify(acl, data, results, packets);
			printf("%.0f\n", 1e9 * (seconds() - start));
		} else if (sscanf(line, "portions %" SCNu32, &size) == 1 && size > 0 && size <= packets) {
			double spent = 0;
			for (uint32_t i = 0; i < packets; i += size) {
				uint32_t count = packets - i < size ? packets - i : size;
				memcpy(portion, keys + i, count * sizeof *portion);
				double start = seconds();
				classify(acl, portion_data, results + i, count);
				spent += seconds() - start;
			}
			printf("%.0f\n", 1e9 * spent);
		} else if (!strncmp(line, "results ", 8)) {
			FILE *file = fopen(line + 8, "wb");
			if (!file || fwrite(results, sizeof *results, packets, file) != packets || fclose(file))
				return fail(line + 8, "cannot be written");
			printf("done\n");
		} else {
			return fail("unknown command", line);
		}
		fflush(stdout);
	}
	return 0;
}
