// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tells what the work clock moved while no CPU of the guest had anything to do.
 *
 * With -icount sleep=off the clock is the instructions executed and, on top, two
 * kinds of jumps to the next timer: the one that QEMU makes when all CPUs have
 * halted, and one for each CPU that an INIT resets, whose whole turn then counts
 * as executed, since the reset forgets what was left of it.
 *
 * The first is what the clock is ahead of the instructions that QEMU counts, and
 * exact. The second is what that count is ahead of ours. Ours takes blocks that a
 * fault leaves for whole ones, some tens of instructions between two looks, so
 * that only a leap is taken for a jump.
 *
 * QEMU's two counts are no part of its interface for plugins. They are looked up
 * by name, where QEMU lets its modules see them.
 *
 * After a HLT, after code as low as that with which a CPU begins, and every now
 * and then, the next RDTSC writes down what was idle so far, where that is more:
 *
 *     CLOCK IDLE
 *
 * CLOCK is what that RDTSC reads, in ns. So what was idle when the TSC was read is
 * the IDLE of the last line whose CLOCK is not above it. WFI and the counter of the
 * generic timer take their places on arm64, where no CPU begins in low memory.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "qemu-plugin.h"

#define REAL_MODE	(1 << 20)
#define WINDOW		(1 << 17)
#define LEAP		1000
#define MAX_LINES	(1 << 20)	/* a guest that sits there for hours fills no disk */

static int64_t (*clock_ns)(void), (*executed)(void), (*to_ns)(int64_t);
static void (*update)(void *cpu);
static void *(*cpu_of)(int index);

static int64_t ours, counted, ahead, leaps, idle;
static int lines;
static bool due, arm64;
static FILE *file;

/* In a thread of its own: on that of a CPU QEMU answers only where an instruction may do I/O */
static void *look(void *data)
{
	int64_t now = clock_ns(), theirs = executed(), leap = theirs - counted - ahead, found;

	(void)data;
	ahead += leap;
	if (leap > LEAP)
		leaps += leap;
	found = now - to_ns(theirs - leaps);
	if (found > idle && lines++ < MAX_LINES) {
		fprintf(file, "%" PRId64 " %" PRId64 "\n", now, found);
		idle = found;
	}
	return NULL;
}

/* RDTSC ends its block, so that both counts have all of it */
static void on_tsc(unsigned int cpu, void *data)
{
	pthread_t thread;
	void *each;
	int i;

	(void)cpu, (void)data;
	if (!due && ours - counted < WINDOW)
		return;
	counted = ours;
	/* Which of them runs is not said reliably, and the others have nothing to add */
	for (i = 0; (each = cpu_of(i)); i++)
		update(each);
	if (!pthread_create(&thread, NULL, look, NULL))
		pthread_join(thread, NULL);
	due = false;
}

static void on_block(unsigned int cpu, void *size)
{
	(void)cpu;
	ours += (size_t)size;
}

static void on_wait(unsigned int cpu, void *data)
{
	(void)cpu, (void)data;
	due = true;
}

static bool is_insn(const struct qemu_plugin_insn *insn, const char *code, size_t size)
{
	return qemu_plugin_insn_size(insn) == size && !memcmp(insn_bytes(insn), code, size);
}

/* HLT; and WFI of arm64 */
static bool waits(const struct qemu_plugin_insn *insn)
{
	return arm64 ? is_insn(insn, "\x7f\x20\x03\xd5", 4) : is_insn(insn, "\xf4", 1);
}

/* RDTSC and RDTSCP; and MRS from CNTVCT_EL0, to whatever register */
static bool reads_clock(const struct qemu_plugin_insn *insn)
{
	uint32_t code;

	if (!arm64)
		return is_insn(insn, "\x0f\x31", 2) || is_insn(insn, "\x0f\x01\xf9", 3);
	memcpy(&code, insn_bytes(insn), sizeof(code));
	return (code & ~0x1fU) == 0xd53be040;
}

static void translated(plugin_id id, struct qemu_plugin_tb *block)
{
	size_t i, size = qemu_plugin_tb_n_insns(block);
	bool low = !arm64 && qemu_plugin_tb_vaddr(block) < REAL_MODE;

	(void)id;
	qemu_plugin_register_vcpu_tb_exec_cb(block, on_block, NO_REGS, (void *)size);
	for (i = 0; i < size; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(block, i);

		if ((!i && low) || waits(insn))
			qemu_plugin_register_vcpu_insn_exec_cb(insn, on_wait, NO_REGS, NULL);
		if (reads_clock(insn))
			qemu_plugin_register_vcpu_insn_exec_cb(insn, on_tsc, NO_REGS, NULL);
	}
}

static void ended(plugin_id id, void *data)
{
	(void)id, (void)data;
	fprintf(file, "end\n");
	fclose(file);
}

EXPORT int qemu_plugin_install(plugin_id id, const struct plugin_host *host, int argc, char **argv)
{
	arm64 = !strcmp(host->target, "aarch64");
	file = argc == 1 && !strncmp(argv[0], "out=", 4) ? fopen(argv[0] + 4, "we") : NULL;
	if (!file) {
		perror("idle: out=FILE");
		return -1;
	}
	fprintf(file, "idle-by-clock 1\n");
	qemu_plugin_register_atexit_cb(id, ended, NULL);
	*(void **)&clock_ns = dlsym(RTLD_DEFAULT, "icount_get");
	*(void **)&executed = dlsym(RTLD_DEFAULT, "icount_get_raw");
	*(void **)&to_ns = dlsym(RTLD_DEFAULT, "icount_to_ns");
	*(void **)&update = dlsym(RTLD_DEFAULT, "icount_update");
	*(void **)&cpu_of = dlsym(RTLD_DEFAULT, "qemu_get_cpu");
	if (clock_ns && executed && to_ns && update && cpu_of)
		qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	else
		fprintf(file, "unknown\n");
	return 0;
}
