// SPDX-License-Identifier: GPL-2.0-only
/* Huge pages at run time, on every node: transparent ones, hugetlb of 2 MiB and of 1 GiB */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "gate.h"
#include "guest.h"

#define PMD_SIZE (2UL << 20)
#define PUD_SIZE (1UL << 30)
#define THP_BYTES (32UL << 20)
#define SMALL_PAGES 16
#define ENABLED "/sys/kernel/mm/transparent_hugepage/enabled"

#ifndef MAP_HUGE_SHIFT
#define MAP_HUGE_SHIFT 26
#endif

/* Bytes of this process that transparent huge pages map */
static long long thp_bytes(void)
{
	FILE *file = fopen("/proc/self/smaps_rollup", "re");
	long long kib = -1;
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "AnonHugePages: %lld kB", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib < 0 ? -1 : kib << 10;
}

/* The word in brackets: what is set now */
static void read_selected(const char *root, const char *path, char *word, size_t size)
{
	FILE *file = open_file(root, path, 0);
	char line[128] = "", *begin, *end;

	if (file && !fgets(line, sizeof(line), file))
		line[0] = '\0';
	if (file)
		fclose(file);
	begin = strchr(line, '[');
	end = begin ? strchr(begin, ']') : NULL;
	snprintf(word, size, "%.*s", end ? (int)(end - begin - 1) : 0, begin ? begin + 1 : "");
}

/* Pages of 4 KiB in memory whose first word is not the one that was written */
static unsigned long touch_all(uint64_t *memory, size_t bytes, uint64_t seed)
{
	size_t i, pages = bytes / PAGE, words = PAGE / sizeof(uint64_t);
	unsigned long wrong = 0;

	for (i = 0; i < pages; i++)
		memory[i * words] = pattern(seed, i);
	for (i = 0; i < pages; i++)
		wrong += memory[i * words] != pattern(seed, i);
	return wrong;
}

static int thp_node(int node, long long *huge, unsigned long *wrong)
{
	char *raw = map_on(node, THP_BYTES + PMD_SIZE, 0), *memory;

	if (!raw)
		return -1;
	memory = (char *)(((uintptr_t)raw + PMD_SIZE - 1) / PMD_SIZE * PMD_SIZE);
	/* ENOSYS where the kernel has no madvise(): then it is on for all */
	madvise(memory, THP_BYTES, MADV_HUGEPAGE);
	*huge = thp_bytes();
	*wrong = touch_all((uint64_t *)memory, THP_BYTES, node + 1);
	*huge = thp_bytes() - *huge;
	munmap(raw, THP_BYTES + PMD_SIZE);
	return 0;
}

static int check_thp(const char *root, const int *nodes, int count, FILE *out)
{
	unsigned long wrong = 0, bad = 0;
	long long huge = 0, least = THP_BYTES;
	int all, i, failed = 0;
	char selected[32];

	/* Bytes of no mapping: only ENOSYS is an answer about the system call */
	all = madvise(NULL, 0, MADV_NORMAL) && errno == ENOSYS;
	read_selected(root, ENABLED, selected, sizeof(selected));
	if (write_text(root, ENABLED, 0, all ? "always" : "madvise"))
		return check_errno(out, "thp", ENABLED);
	for (i = 0; i < count && !failed; i++) {
		failed = thp_node(nodes[i], &huge, &wrong) ? errno : 0;
		least = huge < least ? huge : least;
		bad += wrong;
	}
	write_text(root, ENABLED, 0, selected);
	errno = failed;
	if (failed)
		return check_errno(out, "thp", "cannot map memory of a node");
	return check(out, "thp", bad || least < (long long)(THP_BYTES - PMD_SIZE) ? FAIL : PASS,
		     "%d nodes, at least %lld of %lu MiB in huge pages, %lu wrong pages, %s", count,
		     least >> 20, THP_BYTES >> 20, bad, all ? "always" : "madvise");
}

/* Huge pages that the node gave, -1 with errno; wrong counts what did not keep its pattern */
static int hugetlb_node(const char *root, int node, size_t size, int wanted, unsigned long *wrong)
{
	char path[128], number[16];
	long long given = 0, left = 0;
	int shift = size == PMD_SIZE ? 21 : 30;
	void *memory;

	snprintf(path, sizeof(path),
		 "/sys/devices/system/node/node%%d/hugepages/hugepages-%lukB/nr_hugepages",
		 size >> 10);
	snprintf(number, sizeof(number), "%d", wanted);
	if (write_text(root, path, node, number) || read_number(root, path, node, &given))
		return -1;
	if (given) {
		memory = map_on(node, given * size, MAP_HUGETLB | shift << MAP_HUGE_SHIFT);
		if (!memory)
			return -1;
		*wrong += touch_all(memory, given * size, node + 1);
		munmap(memory, given * size);
	}
	if (write_text(root, path, node, "0") || read_number(root, path, node, &left))
		return -1;
	/* Pages that cannot be given back are as wrong as those with another pattern */
	*wrong += left;
	return given;
}

static int check_hugetlb(const char *root, const int *nodes, int count, FILE *out,
			 const char *name, size_t size, int wanted, int needed)
{
	char list[256] = "";
	unsigned long wrong = 0;
	int i, given, good = 0;

	for (i = 0; i < count; i++) {
		given = hugetlb_node(root, nodes[i], size, wanted, &wrong);
		if (given < 0)
			return check_errno(out, name, "cannot allocate, map or give back");
		good += given == wanted;
		snprintf(list + strlen(list), sizeof(list) - strlen(list), " %d:%d", nodes[i], given);
	}
	return check(out, name, wrong || good < needed ? FAIL : PASS,
		     "pages by node%s, %d wanted of each, %d nodes needed, %lu wrong", list, wanted,
		     needed, wrong);
}

int huge_probe(const char *root, FILE *out)
{
	int nodes[MAX_NODES], count = memory_nodes(root, nodes, MAX_NODES), result;

	/* Not every node has a whole free GiB that begins where it must: one is enough */
	result = check_hugetlb(root, nodes, count, out, "hugetlb-1g", PUD_SIZE, 1, 1);
	result |= check_hugetlb(root, nodes, count, out, "hugetlb-2m", PMD_SIZE, SMALL_PAGES, count);
	return result | check_thp(root, nodes, count, out);
}
