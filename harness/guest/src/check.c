// SPDX-License-Identifier: GPL-2.0-only
/* How the probes of the gate report, and what they need to know of the machine */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "gate.h"
#include "guest.h"

#define MPOL_BIND 2
#define PAUSE_NS 50000000L

static const char * const results[] = { "pass", "fail", "skip" };

int check(FILE *out, const char *name, enum result result, const char *format, ...)
{
	char detail[512];
	va_list words;

	va_start(words, format);
	vsnprintf(detail, sizeof(detail), format, words);
	va_end(words);
	fprintf(out, "{\"probe\":\"check\",\"check\":\"%s\",\"result\":\"%s\",\"detail\":",
		name, results[result]);
	json_string(out, detail);
	fputs("}\n", out);
	fflush(out);
	return result == FAIL ? -1 : 0;
}

int check_errno(FILE *out, const char *name, const char *what)
{
	return check(out, name, FAIL, "%s: %s", what, strerror(errno));
}

long long meminfo_bytes(const char *root, int node, const char *label)
{
	FILE *file = node < 0 ? open_file(root, "/proc/meminfo", 0) :
		open_file(root, "/sys/devices/system/node/node%d/meminfo", node);
	long long kib, found = -1;
	char line[256];
	const char *at;

	while (file && fgets(line, sizeof(line), file)) {
		at = strstr(line, label);
		if (at && sscanf(at + strlen(label), " %lld kB", &kib) == 1) {
			found = kib << 10;
			break;
		}
	}
	if (file)
		fclose(file);
	return found;
}

static long long percpu_bytes(const char *root, int node)
{
	FILE *file = open_file(root, "/proc/zoneinfo", 0);
	long long pages = 0, count;
	int here = -1;
	char line[256];

	while (file && fgets(line, sizeof(line), file)) {
		sscanf(line, "Node %d, zone", &here);
		if (sscanf(line, " count: %lld", &count) == 1 && (node < 0 || node == here))
			pages += count;
	}
	if (file)
		fclose(file);
	return pages * PAGE;
}

long long free_bytes(const char *root, int node)
{
	return meminfo_bytes(root, node, "MemFree:") + percpu_bytes(root, node);
}

long long free_again(const char *root, int node, long long before, long long slack)
{
	struct timespec pause = { .tv_nsec = PAUSE_NS };
	long long now = 0;
	int i;

	for (i = 0; i < 200; i++) {
		now = free_bytes(root, node);
		if (before - now <= slack)
			break;
		nanosleep(&pause, NULL);
	}
	return now;
}

int memory_nodes(const char *root, int *nodes, int max)
{
	int node, count = 0;

	for (node = 0; node < MAX_NODES && count < max; node++)
		if (meminfo_bytes(root, node, "MemTotal:") > 0)
			nodes[count++] = node;
	return count;
}

int node_cpu(const char *root, int node)
{
	FILE *file = open_file(root, "/sys/devices/system/node/node%d/cpulist", node);
	int cpu = -1;

	if (file && fscanf(file, "%d", &cpu) != 1)
		cpu = -1;
	if (file)
		fclose(file);
	return cpu < 0 ? (int)(node % sysconf(_SC_NPROCESSORS_ONLN)) : cpu;
}

void run_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

void *map_on(int node, size_t bytes, int flags)
{
	unsigned long mask[MAX_NODES / 64] = { 0 };
	void *memory;

	mask[node / 64] = 1UL << node % 64;
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
	if (memory == MAP_FAILED)
		return NULL;
	if (syscall(SYS_mbind, memory, bytes, MPOL_BIND, mask, MAX_NODES, 0)) {
		int error = errno;

		munmap(memory, bytes);
		errno = error;
		return NULL;
	}
	return memory;
}

uint64_t pattern(uint64_t seed, uint64_t at)
{
	return (at + 1) * 0x9e3779b97f4a7c15ULL ^ seed * 0xff51afd7ed558ccdULL;
}

int read_number(const char *root, const char *path, int number, long long *value)
{
	FILE *file = open_file(root, path, number);
	int found;

	if (!file)
		return -1;
	found = fscanf(file, "%lld", value);
	fclose(file);
	if (found != 1)
		errno = ENODATA;
	return found == 1 ? 0 : -1;
}

int write_text(const char *root, const char *path, int number, const char *text)
{
	char name[256], full[512];
	ssize_t done;
	int fd, error;

	snprintf(name, sizeof(name), path, number);
	snprintf(full, sizeof(full), "%s%s", root, name);
	fd = open(full, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	done = write(fd, text, strlen(text));
	error = errno;
	close(fd);
	errno = error;
	return done == (ssize_t)strlen(text) ? 0 : -1;
}

/* The node that a memory block links to, -1 where it has none */
static int block_node(const char *root, int number)
{
	char full[512];
	struct dirent *entry;
	int node = -1;
	DIR *folder;

	snprintf(full, sizeof(full), "%s/sys/devices/system/memory/memory%d", root, number);
	folder = opendir(full);
	while (folder && (entry = readdir(folder)))
		if (sscanf(entry->d_name, "node%d", &node) == 1)
			break;
	if (folder)
		closedir(folder);
	return node;
}

int read_blocks(const char *root, struct blocks *blocks)
{
	FILE *file = open_file(root, "/sys/devices/system/memory/block_size_bytes", 0);
	char full[512], word[32];
	struct dirent *entry;
	DIR *folder;
	int number;

	memset(blocks, 0, sizeof(*blocks));
	if (!file)
		return -1;
	if (fscanf(file, "%llx", &blocks->bytes) != 1 || !blocks->bytes)
		blocks->bytes = 0;
	fclose(file);
	snprintf(full, sizeof(full), "%s/sys/devices/system/memory", root);
	folder = blocks->bytes ? opendir(full) : NULL;
	if (!folder)
		return -1;
	while ((entry = readdir(folder))) {
		if (sscanf(entry->d_name, "memory%d", &number) != 1 || number < 0)
			continue;
		if (number >= blocks->count) {
			blocks->node = realloc(blocks->node, (number + 1) * sizeof(short));
			if (!blocks->node)
				abort();
			while (blocks->count <= number)
				blocks->node[blocks->count++] = -1;
		}
		file = open_file(root, "/sys/devices/system/memory/memory%d/state", number);
		if (file && fscanf(file, "%31s", word) == 1 && !strcmp(word, "online"))
			blocks->node[number] = block_node(root, number);
		if (file)
			fclose(file);
	}
	closedir(folder);
	return 0;
}

int pfn_node(const struct blocks *blocks, uint64_t pfn)
{
	uint64_t number = pfn / (blocks->bytes / PAGE);

	return number < (uint64_t)blocks->count ? blocks->node[number] : -1;
}
