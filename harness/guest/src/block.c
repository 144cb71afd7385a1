// SPDX-License-Identifier: GPL-2.0-only
/* Takes a memory block of every node offline and online again, through sysfs */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gate.h"
#include "guest.h"

#define STATE "/sys/devices/system/memory/memory%d/state"

/* A block of the node that goes offline, -1 with errno for none */
static int take_offline(const char *root, const struct blocks *blocks, int node)
{
	int number, mine = 0, skip, error = ENODEV;

	for (number = 0; number < blocks->count; number++)
		mine += blocks->node[number] == node;
	/* From the middle of the node on: its ends hold what the boot put there */
	skip = mine / 2;
	for (number = 0; number < blocks->count; number++) {
		if (blocks->node[number] != node || skip-- > 0)
			continue;
		if (!write_text(root, STATE, number, "offline"))
			return number;
		error = errno;
	}
	errno = error;
	return -1;
}

static int check_node(const char *root, const struct blocks *blocks, int node, char *why,
		      size_t size)
{
	long long total = meminfo_bytes(root, node, "MemTotal:"), less, again;
	int number = take_offline(root, blocks, node);

	if (number < 0) {
		snprintf(why, size, "node %d: no block goes offline: %s", node, strerror(errno));
		return -1;
	}
	less = meminfo_bytes(root, node, "MemTotal:");
	if (write_text(root, STATE, number, "online")) {
		snprintf(why, size, "node %d: memory%d stays offline: %s", node, number,
			 strerror(errno));
		return -1;
	}
	again = meminfo_bytes(root, node, "MemTotal:");
	snprintf(why, size, "node %d: memory%d took %lld MiB and brought %lld MiB back", node,
		 number, (total - less) >> 20, (again - less) >> 20);
	return total - less == (long long)blocks->bytes && again == total ? 0 : -1;
}

int block_probe(const char *root, FILE *out)
{
	int nodes[MAX_NODES], count = memory_nodes(root, nodes, MAX_NODES), i, bad = 0;
	char why[128], all[480] = "";
	struct blocks blocks;

	if (!count || read_blocks(root, &blocks))
		return check_errno(out, "memory-blocks", "no memory blocks in sysfs");
	for (i = 0; i < count; i++) {
		bad |= check_node(root, &blocks, nodes[i], why, sizeof(why));
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", i ? "; " : "", why);
	}
	free(blocks.node);
	return check(out, "memory-blocks", bad ? FAIL : PASS, "%s", all);
}
