// SPDX-License-Identifier: GPL-2.0-only
/* Moves pages with a pattern from node to node, one by one and a whole process at a time */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "gate.h"
#include "guest.h"

#define PAGES 2048
#define MPOL_MF_MOVE 2

static void *address[PAGES];
static int target[PAGES], status[PAGES];

/* Pages that are not on the node, as far as their struct pages tell */
static int elsewhere(int node)
{
	int i, count = 0;

	if (syscall(SYS_move_pages, 0, PAGES, address, NULL, status, 0) < 0)
		return -1;
	for (i = 0; i < PAGES; i++)
		count += status[i] != node;
	return count;
}

static int wrong_words(uint64_t seed)
{
	int i, count = 0;

	for (i = 0; i < PAGES; i++)
		count += *(uint64_t *)address[i] != pattern(seed, i);
	return count;
}

static int move_one_by_one(int node)
{
	int i;

	for (i = 0; i < PAGES; i++)
		target[i] = node;
	return syscall(SYS_move_pages, 0, PAGES, address, target, status, MPOL_MF_MOVE) < 0 ? -1 : 0;
}

static int move_process(int from, int to)
{
	unsigned long old[MAX_NODES / 64] = { 0 }, new[MAX_NODES / 64] = { 0 };

	old[from / 64] = 1UL << from % 64;
	new[to / 64] = 1UL << to % 64;
	return syscall(SYS_migrate_pages, 0, MAX_NODES, old, new) < 0 ? -1 : 0;
}

int migrate_probe(const char *root, FILE *out)
{
	int nodes[MAX_NODES], count = memory_nodes(root, nodes, MAX_NODES), i, moves = 0;
	int from, to, left = 0, wrong = 0;
	char *memory;

	if (count < 2)
		return check(out, "migration", SKIP, "one node");
	memory = map_on(nodes[0], PAGES * PAGE, 0);
	if (!memory)
		return check_errno(out, "migration", "cannot map memory of a node");
	for (i = 0; i < PAGES; i++) {
		address[i] = memory + i * PAGE;
		*(uint64_t *)address[i] = pattern(1, i);
	}
	/* Once around page by page, then the other way all at once */
	for (i = 0, from = 0; i < 2 * count; i++, from = to) {
		to = i < count ? (i + 1) % count : (2 * count - 1 - i);
		if (from == to)
			continue;
		if (i < count ? move_one_by_one(nodes[to]) : move_process(nodes[from], nodes[to]))
			return check_errno(out, "migration",
					   i < count ? "move_pages" : "migrate_pages");
		left += elsewhere(nodes[to]);
		wrong += wrong_words(1);
		moves++;
	}
	munmap(memory, PAGES * PAGE);
	return check(out, "migration", left || wrong ? FAIL : PASS,
		     "%d moves of %d pages over %d nodes, %d not moved, %d wrong", moves, PAGES,
		     count, left, wrong);
}
