// SPDX-License-Identifier: GPL-2.0-only
/* Scatters memory on every node, asks the kernel to compact it, and looks whether it did */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "gate.h"
#include "guest.h"

#define PAGES 4096
#define TRIGGER "/proc/sys/vm/compact_memory"

static long long event(const char *root, const char *name)
{
	FILE *file = open_file(root, "/proc/vmstat", 0);
	long long value, found = 0;
	char word[64];

	while (file && fscanf(file, "%63s %lld", word, &value) == 2)
		if (!strcmp(word, name))
			found = value;
	if (file)
		fclose(file);
	return found;
}

/* Every second page of a mapping that was all there */
static char *scatter(int node)
{
	char *memory = map_on(node, PAGES * PAGE, 0);
	int i;

	if (!memory)
		return NULL;
	for (i = 0; i < PAGES; i++)
		*(uint64_t *)(memory + i * PAGE) = pattern(node + 1, i);
	for (i = 1; i < PAGES; i += 2)
		munmap(memory + i * PAGE, PAGE);
	return memory;
}

static int wrong_words(const char *memory, int node)
{
	int i, count = 0;

	for (i = 0; i < PAGES; i += 2)
		count += *(const uint64_t *)(memory + i * PAGE) != pattern(node + 1, i);
	return count;
}

int compact_probe(const char *root, FILE *out)
{
	int nodes[MAX_NODES], count = memory_nodes(root, nodes, MAX_NODES), i, wrong = 0;
	long long scanned = event(root, "compact_migrate_scanned");
	long long moved = event(root, "pgmigrate_success");
	char **memory = calloc(count ? count : 1, sizeof(*memory));

	if (!memory)
		return check_errno(out, "compaction", "no memory");
	for (i = 0; i < count; i++) {
		memory[i] = scatter(nodes[i]);
		if (!memory[i])
			return check_errno(out, "compaction", "cannot map memory of a node");
	}
	if (write_text(root, TRIGGER, 0, "1"))
		return check_errno(out, "compaction", TRIGGER);
	scanned = event(root, "compact_migrate_scanned") - scanned;
	moved = event(root, "pgmigrate_success") - moved;
	for (i = 0; i < count; i++) {
		wrong += wrong_words(memory[i], nodes[i]);
		munmap(memory[i], PAGES * PAGE);
	}
	free(memory);
	return check(out, "compaction", wrong || !scanned || !moved ? FAIL : PASS,
		     "%lld pages scanned, %lld moved, %d wrong", scanned, moved, wrong);
}
