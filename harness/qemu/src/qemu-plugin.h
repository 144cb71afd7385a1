/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What we use of QEMU's interface for TCG plugins, in the versions 1 (QEMU 4.2 to
 * 8.2) and 2 (9.0 and newer, which refuse 1). Distributions ship no header; the
 * names and types are those that the manual of QEMU documents ("QEMU TCG
 * Plugins", https://www.qemu.org/docs/master/devel/tcg-plugins.html).
 *
 * Whoever includes it defines _GNU_SOURCE before.
 */
#ifndef QEMU_PLUGIN_H
#define QEMU_PLUGIN_H

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t plugin_id;
typedef uint32_t mem_info;

struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_hwaddr;

/* What QEMU says of itself at the start */
struct plugin_host {
	const char *target;
	struct {
		int oldest, newest;
	} version;
	bool system;
	int cpus, most_cpus;
};

enum { NO_REGS };
enum { MEM_WRITE = 2, MEM_ANY };
enum { INLINE_ADD };

typedef void (*on_translation)(plugin_id id, struct qemu_plugin_tb *block);
typedef void (*on_execution)(unsigned int cpu, void *data);
typedef void (*on_access)(unsigned int cpu, mem_info info, uint64_t vaddr, void *data);
typedef void (*on_end)(plugin_id id, void *data);

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, on_translation callback);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *block, on_execution callback,
					  int flags, void *data);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, on_execution callback,
					    int flags, void *data);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn, on_access callback, int flags,
				      int access, void *data);

/* Up to version 1. The inline counters of 2 are not used: they spoil constants of the guest's code */
__attribute__((weak)) void qemu_plugin_register_vcpu_insn_exec_inline(
	struct qemu_plugin_insn *insn, int operation, void *at, uint64_t more);

void qemu_plugin_register_atexit_cb(plugin_id id, on_end callback, void *data);

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *block, size_t index);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
uintptr_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *to, size_t size);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *block);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);

bool qemu_plugin_mem_is_store(mem_info info);
unsigned int qemu_plugin_mem_size_shift(mem_info info);
struct qemu_plugin_hwaddr *qemu_plugin_get_hwaddr(mem_info info, uint64_t vaddr);
bool qemu_plugin_hwaddr_is_io(const struct qemu_plugin_hwaddr *place);
uint64_t qemu_plugin_hwaddr_phys_addr(const struct qemu_plugin_hwaddr *place);

EXPORT int qemu_plugin_version = 1;

/* QEMU reads the version after it has loaded the plugin, and scoreboards came with 2 */
__attribute__((constructor)) static void choose_version(void)
{
	if (dlsym(RTLD_DEFAULT, "qemu_plugin_scoreboard_new"))
		qemu_plugin_version = 2;
}

/* Before QEMU 9.1 an address is answered, since then how many bytes were copied */
static inline const void *insn_bytes(const struct qemu_plugin_insn *insn)
{
	static uint8_t bytes[16];
	uintptr_t answer = qemu_plugin_insn_data(insn, bytes, sizeof(bytes));

	return answer > sizeof(bytes) ? (const void *)answer : bytes;
}

/*
 * The CPU that runs. With all of them on one thread QEMU 10 tells callbacks the one
 * for which their block was translated, so it is asked for what it is not told.
 */
static inline unsigned int this_cpu(unsigned int told)
{
	static void *(*cpu_of)(int index), **current, *last;
	static unsigned int index;

	if (!cpu_of) {
		*(void **)&cpu_of = dlsym(RTLD_DEFAULT, "qemu_get_cpu");
		current = dlsym(RTLD_DEFAULT, "current_cpu");
	}
	if (!cpu_of || !current)
		return told;
	if (*current != last)
		for (last = *current, index = 0; cpu_of(index) != last; index++)
			;
	return index;
}

#endif
