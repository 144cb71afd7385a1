// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counts the stores into the memmap of a Linux guest: from the CPUs of which
 * NUMA node, to the memory of which node, about the pages of which node, and in
 * which phase of the boot (docs/locality.md).
 *
 * The phases are those of the series boot-marks. QEMU tells where a store goes,
 * not its value, and that is enough: when a phase has ended, boot_mark_end()
 * writes to boot_marks[phase][node + 1]. So stores wait for the next mark: one of
 * a node takes those of the CPUs that share a node with the one that set it, one
 * of no node takes all. What a function `enter` does before its mark is kept
 * apart from what was stored before it.
 *
 * There are no locks: only for -icount, where the CPUs of the guest take turns.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "qemu-plugin.h"

/* x86-64 with 4-level paging and nokaslr (Documentation/arch/x86/x86_64/mm.rst) */
#define DIRECT_MAP	0xffff888000000000ull
#define MEMMAP		0xffffea0000000000ull
#define MAX_RAM		(64ull << 40)
#define PAGE_BYTES	4096
#define STRUCT_PAGE	64

/* Where boot_mark_end() writes the end of an interval (init/boot_marks.c of the series) */
#define MARK_BYTES	40
#define MARK_END	8

/* Nodes and phases are counted from -1, for none */
#define MAX_NODES	8
#define NODES		(MAX_NODES + 1)
#define PHASES		33
#define MAX_ARGS	256

struct tally {
	struct {
		uint64_t stores, bytes;
	} at[NODES * NODES];
};

/* RAM of a node. What QEMU calls the physical address is `shift` more than the guest's */
struct range {
	uint64_t start, end, node, shift;
	bool known;
};

static struct range ranges[MAX_ARGS];
static uint64_t cpu_nodes[MAX_ARGS], enter[MAX_ARGS];
static uint64_t code_start, code_end, marks, rows, columns, ignored = PHASES;
static int nr_ranges, nr_unknown, nr_cpus, nr_enter;
static const char *out;

static struct tally inner[MAX_NODES], outer[MAX_NODES], total[PHASES][NODES][MAX_NODES];
static uint64_t calls[PHASES][NODES];

static void move(struct tally *to, struct tally *from)
{
	int i;

	for (i = 0; i < NODES * NODES; i++) {
		to->at[i].stores += from->at[i].stores;
		to->at[i].bytes += from->at[i].bytes;
	}
	memset(from, 0, sizeof(*from));
}

/* The node + 1 of an address; with `qemu` it is one of QEMU */
static uint64_t place(uint64_t address, bool qemu)
{
	int i;

	for (i = 0; i < nr_ranges; i++) {
		uint64_t at = address - (qemu ? ranges[i].shift : 0);

		if (at >= ranges[i].start && at < ranges[i].end && (ranges[i].known || !qemu))
			return ranges[i].node + 1;
	}
	return 0;
}

/*
 * QEMU 7.2 adds the offset of a memory backend among all blocks to the one in its
 * container, which is no address of the guest. The direct map shows how far off it
 * is: the memmap of a node is written after its page tables, which lie there too.
 */
static void learn(uint64_t at, const struct qemu_plugin_hwaddr *where)
{
	int i;

	for (i = 0; i < nr_ranges; i++) {
		if (ranges[i].known || at < ranges[i].start || at >= ranges[i].end)
			continue;
		ranges[i].shift = qemu_plugin_hwaddr_phys_addr(where) - at;
		ranges[i].known = true;
		nr_unknown--;
	}
}

static void stored(unsigned int cpu, mem_info info, uint64_t vaddr, void *data)
{
	bool memmap = vaddr - MEMMAP < MAX_RAM / PAGE_BYTES * STRUCT_PAGE;
	struct qemu_plugin_hwaddr *where;
	uint64_t to, about;
	struct tally *tally;

	(void)data;
	if (!memmap && !(nr_unknown && vaddr - DIRECT_MAP < MAX_RAM))
		return;
	/* QEMU 7.2 calls for some loads too, although only stores were asked for */
	if (!qemu_plugin_mem_is_store(info))
		return;
	where = qemu_plugin_get_hwaddr(info, vaddr);
	if (!where || qemu_plugin_hwaddr_is_io(where))
		return;
	if (!memmap) {
		learn(vaddr - DIRECT_MAP, where);
		return;
	}
	to = place(qemu_plugin_hwaddr_phys_addr(where), true);
	about = place((vaddr - MEMMAP) / STRUCT_PAGE * PAGE_BYTES, false);
	tally = &inner[cpu_nodes[this_cpu(cpu)]];
	tally->at[to * NODES + about].stores++;
	tally->at[to * NODES + about].bytes += 1ull << qemu_plugin_mem_size_shift(info);
}

static void entered(unsigned int cpu, void *data)
{
	(void)data;
	move(&outer[cpu_nodes[this_cpu(cpu)]], &inner[cpu_nodes[this_cpu(cpu)]]);
}

static void marked(unsigned int cpu, mem_info info, uint64_t vaddr, void *data)
{
	uint64_t at = vaddr - marks, phase = at / MARK_BYTES / columns;
	uint64_t column = at / MARK_BYTES % columns, node;

	(void)data;
	if (at % MARK_BYTES != MARK_END || phase >= rows || column >= NODES)
		return;
	if (!qemu_plugin_mem_is_store(info))
		return;
	calls[phase + 1][column]++;
	for (node = 0; node < MAX_NODES && phase != ignored; node++) {
		if (column && node != cpu_nodes[this_cpu(cpu)])
			continue;
		move(&total[phase + 1][column][node], &inner[node]);
		move(column ? &inner[node] : &total[phase + 1][column][node], &outer[node]);
	}
}

static void translated(plugin_id id, struct qemu_plugin_tb *block)
{
	size_t i, size = qemu_plugin_tb_n_insns(block);
	int n;

	(void)id;
	for (i = 0; i < size; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(block, i);
		uint64_t at = qemu_plugin_insn_vaddr(insn);
		bool mark = at >= code_start && at < code_end;

		for (n = 0; n < nr_enter; n++)
			if (at == enter[n])
				qemu_plugin_register_vcpu_insn_exec_cb(insn, entered, NO_REGS, NULL);
		qemu_plugin_register_vcpu_mem_cb(insn, mark ? marked : stored, NO_REGS, MEM_WRITE,
						 NULL);
	}
}

static void print(FILE *file, int phase, int column, int node, const struct tally *tally)
{
	int i;

	for (i = 0; i < NODES * NODES; i++)
		if (tally->at[i].stores)
			fprintf(file, "stores %d %d %d %d %d %" PRIu64 " %" PRIu64 "\n", phase - 1,
				column - 1, node, i / NODES - 1, i % NODES - 1,
				tally->at[i].stores, tally->at[i].bytes);
}

/* What no mark took came after the boot: phase -1 */
static void ended(plugin_id id, void *data)
{
	FILE *file = fopen(out, "we");
	int phase, column, node;

	(void)id, (void)data;
	if (!file) {
		perror(out);
		return;
	}
	fprintf(file, "stores-by-phase 1\n");
	for (phase = 0; phase < PHASES; phase++) {
		for (column = 0; column < NODES; column++) {
			if (calls[phase][column])
				fprintf(file, "mark %d %d %" PRIu64 "\n", phase - 1, column - 1,
					calls[phase][column]);
			for (node = 0; node < MAX_NODES; node++)
				print(file, phase, column, node, &total[phase][column][node]);
		}
	}
	for (node = 0; node < MAX_NODES; node++) {
		move(&inner[node], &outer[node]);
		print(file, 0, 0, node, &inner[node]);
	}
	fprintf(file, "end\n");
	fclose(file);
}

/* One KEY=VALUE; false for what is unknown or too much */
static bool option(const char *text)
{
	uint64_t a = 0, b = 0, c = 0;
	char key[8] = "";
	int got = sscanf(text, "%7[a-z]=%" SCNx64 "-%" SCNx64 "-%" SCNx64, key, &a, &b, &c);

	if (!strncmp(text, "out=", 4)) {
		out = text + 4;
	} else if (!strcmp(key, "ram") && got == 4 && c < MAX_NODES && nr_ranges < MAX_ARGS) {
		ranges[nr_ranges++] = (struct range){ .start = a, .end = b, .node = c };
		nr_unknown = nr_ranges;
	} else if (!strcmp(key, "cpu") && got == 2 && a < MAX_NODES && nr_cpus < MAX_ARGS) {
		cpu_nodes[nr_cpus++] = a;
	} else if (!strcmp(key, "enter") && got == 2 && nr_enter < MAX_ARGS) {
		enter[nr_enter++] = a;
	} else if (!strcmp(key, "marks") && got == 4 && b < PHASES && c) {
		marks = a, rows = b, columns = c;
	} else if (!strcmp(key, "code") && got == 3) {
		code_start = a, code_end = b;
	} else if (!strcmp(key, "ignore") && got == 2) {
		ignored = a;
	} else {
		return false;
	}
	return true;
}

EXPORT int qemu_plugin_install(plugin_id id, const struct plugin_host *host, int argc, char **argv)
{
	int i;

	for (i = 0; i < argc; i++) {
		if (!option(argv[i])) {
			fprintf(stderr, "stores: cannot take %s\n", argv[i]);
			return -1;
		}
	}
	if (!out || !columns || !code_end || host->cpus != nr_cpus) {
		fprintf(stderr, "stores: options are missing\n");
		return -1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	qemu_plugin_register_atexit_cb(id, ended, NULL);
	return 0;
}
