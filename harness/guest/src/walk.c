// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that is in use from the boot on, seen by those who walk the memmap: is
 * it there for /proc and for a memory error? And is a CMA area, for who allocates
 * from it? A kernel that says of such pages that they do not exist boots well.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "gate.h"
#include "guest.h"

#define GIB (1UL << 30)
#define BASE_BYTES (16UL << 20)
#define NODE_DATA_BYTES 1024
#define MAX_SEGMENTS 4096
/* In what a writer of nr_hugepages answers at the latest */
#define PATIENCE_S 20

#ifndef MAP_HUGE_SHIFT
#define MAP_HUGE_SHIFT 26
#endif
#ifndef MADV_HWPOISON
#define MADV_HWPOISON 100
#endif

#define HUGE "/sys/kernel/mm/hugepages/hugepages-1048576kB/"
#define NODE_HUGE "/sys/devices/system/node/node%d/hugepages/hugepages-1048576kB/nr_hugepages"

/* Documentation/admin-guide/mm/pagemap.rst */
#define PRESENT (1ULL << 63)
#define PFN_MASK ((1ULL << 55) - 1)
#define KPF_NOPAGE (1ULL << 20)

static int open_at(const char *root, const char *path)
{
	char full[512];

	snprintf(full, sizeof(full), "%s%s", root, path);
	return open(full, O_RDONLY | O_CLOEXEC);
}

static int read_at(int fd, void *to, size_t size, off_t at)
{
	ssize_t done = pread(fd, to, size, at);

	if (done == (ssize_t)size)
		return 0;
	errno = done < 0 ? errno : ENODATA;
	return -1;
}

/* A page of 1 GiB that the boot took */
static void *map_huge(void)
{
	void *memory = mmap(NULL, GIB, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB | 30 << MAP_HUGE_SHIFT, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

/* Of pages that this process maps: how many, and how many /proc/kpageflags does not know */
static int count_hidden(const char *root, const char *memory, size_t bytes,
			unsigned long *mapped, unsigned long *hidden)
{
	int map = open_at(root, "/proc/self/pagemap"), flags = open_at(root, "/proc/kpageflags");
	uint64_t entry, flag;
	int result = map < 0 || flags < 0 ? -1 : 0;
	size_t at;

	for (at = 0; at < bytes && !result; at += PAGE) {
		result = read_at(map, &entry, sizeof(entry),
				 ((uintptr_t)memory + at) / PAGE * sizeof(entry));
		if (result || !(entry & PRESENT))
			continue;
		result = read_at(flags, &flag, sizeof(flag), (entry & PFN_MASK) * sizeof(flag));
		(*mapped)++;
		/* A page in use has some flag: no flag at all is no page, too */
		*hidden += !flag || flag & KPF_NOPAGE;
	}
	close(map);
	close(flags);
	return result;
}

static int check_mapped(const char *root, const int *nodes, int count, char *huge, FILE *out)
{
	unsigned long mapped = 0, hidden = 0, huge_mapped = 0, huge_hidden = 0;
	int i, result = count_hidden(root, huge, GIB, &huge_mapped, &huge_hidden);
	char *memory;

	for (i = 0; i < count && !result; i++) {
		memory = map_on(nodes[i], BASE_BYTES, 0);
		if (!memory)
			return check_errno(out, "mapped-pages", "cannot map memory of a node");
		memset(memory, 1, BASE_BYTES);
		result = count_hidden(root, memory, BASE_BYTES, &mapped, &hidden);
		munmap(memory, BASE_BYTES);
	}
	if (result)
		return check_errno(out, "mapped-pages", "/proc/self/pagemap or kpageflags");
	if (!mapped || !huge_mapped)
		return check(out, "mapped-pages", FAIL, "no page has a number");
	return check(out, "mapped-pages", hidden || huge_hidden ? FAIL : PASS,
		     "of %lu mapped pages %lu are none for /proc/kpageflags, of a huge page's"
		     " %lu %lu", mapped, hidden, huge_mapped, huge_hidden);
}

/* The address of a symbol of the kernel, 0 for none */
static unsigned long long symbol(const char *root, const char *name)
{
	FILE *file = open_file(root, "/proc/kallsyms", 0);
	unsigned long long address, found = 0;
	char line[512], word[256], kind;

	while (file && !found && fgets(line, sizeof(line), file))
		if (sscanf(line, "%llx %c %255s", &address, &kind, word) == 3 && !strcmp(word, name))
			found = address;
	if (file)
		fclose(file);
	return found;
}

/* Reads memory of the kernel by its address; -1 with errno */
static int read_kernel(int fd, unsigned long long address, void *to, size_t size)
{
	Elf64_Phdr part;
	Elf64_Ehdr head;
	int i;

	if (read_at(fd, &head, sizeof(head), 0))
		return -1;
	for (i = 0; i < head.e_phnum && i < MAX_SEGMENTS; i++) {
		if (read_at(fd, &part, sizeof(part), head.e_phoff + i * sizeof(part)))
			return -1;
		if (part.p_type == PT_LOAD && address >= part.p_vaddr &&
		    address + size <= part.p_vaddr + part.p_memsz)
			return read_at(fd, to, size, part.p_offset + (address - part.p_vaddr));
	}
	errno = EFAULT;
	return -1;
}

/* What describes a node is memory of that node, and never all zeros */
static int check_kcore(const char *root, const int *nodes, int count, FILE *out)
{
	static const char zeros[NODE_DATA_BYTES];
	unsigned long long table = symbol(root, "node_data"), address;
	int fd = open_at(root, "/proc/kcore"), i, blank = 0;
	char list[128] = "", data[NODE_DATA_BYTES];

	if (fd < 0)
		return check(out, "kcore", SKIP, "no /proc/kcore");
	if (!table)
		return check(out, "kcore", SKIP, "no symbol node_data in /proc/kallsyms");
	for (i = 0; i < count; i++) {
		if (read_kernel(fd, table + nodes[i] * sizeof(address), &address, sizeof(address)) ||
		    read_kernel(fd, address, data, sizeof(data)))
			return check_errno(out, "kcore", "cannot read what describes a node");
		if (!memcmp(data, zeros, sizeof(data))) {
			blank++;
			snprintf(list + strlen(list), sizeof(list) - strlen(list), " %d", nodes[i]);
		}
	}
	close(fd);
	return check(out, "kcore", blank ? FAIL : PASS, "pg_data_t of %d of %d nodes reads as zeros%s%s",
		     blank, count, blank ? ": node" : "", list);
}

static void poison_child(void)
{
	char *huge = map_huge();

	if (!huge)
		_exit(errno);
	*(volatile char *)huge = 1;
	if (madvise(huge, PAGE, MADV_HWPOISON))
		_exit(errno);
	*(volatile char *)huge = 2;
	_exit(0);
}

/* An error in a huge page kills who uses it, and nobody else gets the page */
static int check_poison(const char *root, FILE *out)
{
	long long before = meminfo_bytes(root, -1, "HardwareCorrupted:"), corrupted;
	int status = 0;
	pid_t pid;

	if (before < 0)
		return check(out, "hwpoison-1g", SKIP, "the kernel has no MEMORY_FAILURE");
	fflush(out);
	pid = fork();
	if (pid < 0)
		return check_errno(out, "hwpoison-1g", "fork");
	if (!pid)
		poison_child();
	waitpid(pid, &status, 0);
	corrupted = meminfo_bytes(root, -1, "HardwareCorrupted:") - before;
	if (WIFEXITED(status) && WEXITSTATUS(status) == ENOSYS)
		return check(out, "hwpoison-1g", SKIP, "the kernel has no madvise()");
	if (WIFEXITED(status))
		return check(out, "hwpoison-1g", FAIL, "no SIGBUS: %s; %lld KiB corrupted",
			     strerror(WEXITSTATUS(status)), corrupted >> 10);
	return check(out, "hwpoison-1g", WTERMSIG(status) == SIGBUS && corrupted > 0 ? PASS : FAIL,
		     "signal %d, %lld KiB corrupted", WTERMSIG(status), corrupted >> 10);
}

int walk_probe(const char *root, FILE *out)
{
	int nodes[MAX_NODES], count = memory_nodes(root, nodes, MAX_NODES), result;
	long long free_pages = 0;
	char *huge = NULL;

	result = check_kcore(root, nodes, count, out);
	if (!read_number(root, HUGE "free_hugepages", 0, &free_pages) && free_pages > 0)
		huge = map_huge();
	if (!huge) {
		check(out, "mapped-pages", SKIP, "the boot took no page of 1 GiB");
		check(out, "hwpoison-1g", SKIP, "the boot took no page of 1 GiB");
		return result;
	}
	*(volatile char *)huge = 1;
	result |= check_mapped(root, nodes, count, huge, out);
	munmap(huge, GIB);
	return result | check_poison(root, out);
}

/*
 * Asks each node for as many pages of 1 GiB as CMA has: some lie where the boot has
 * initialised nothing. A kernel that never answers spins in here.
 */
static void ask_all(const char *root, const int *nodes, int count, long long pages)
{
	char number[32];
	int i;

	snprintf(number, sizeof(number), "%lld", pages);
	for (i = 0; i < count; i++)
		write_text(root, NODE_HUGE, nodes[i], number);
	_exit(0);
}

int cma_probe(const char *root, FILE *out)
{
	int nodes[MAX_NODES], count = memory_nodes(root, nodes, MAX_NODES), i, status;
	long long total = meminfo_bytes(root, -1, "CmaTotal:"), given = 0;
	const struct timespec pause = { .tv_nsec = 50000000 };
	pid_t pid, done = 0;

	if (total < (long long)GIB)
		return check(out, "hugetlb-cma", SKIP, "CmaTotal is %lld MiB", total >> 20);
	fflush(out);
	pid = fork();
	if (pid < 0)
		return check_errno(out, "hugetlb-cma", "fork");
	if (!pid)
		ask_all(root, nodes, count, total / GIB);
	for (i = 0; i < PATIENCE_S * 20 && !done; i++) {
		nanosleep(&pause, NULL);
		done = waitpid(pid, &status, WNOHANG);
	}
	if (done != pid)
		return check(out, "hugetlb-cma", FAIL, "a write to nr_hugepages does not return in %d s",
			     PATIENCE_S);
	read_number(root, HUGE "nr_hugepages", 0, &given);
	write_text(root, HUGE "nr_hugepages", 0, "0");
	return check(out, "hugetlb-cma", given < total / (long long)GIB ? FAIL : PASS,
		     "%lld pages of 1 GiB, CmaTotal %lld MiB", given, total >> 20);
}
