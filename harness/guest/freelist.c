// SPDX-License-Identifier: GPL-2.0-only
/* The free lists of each zone: /proc/buddyinfo, and /proc/pagetypeinfo that counts them again */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "gate.h"
#include "guest.h"

#define PAGEBLOCK 512ULL
#define MAX_ZONES 4096

struct list {
	int node;
	char zone[32];
	unsigned long long buddy;
	unsigned long long typed;
	unsigned long long blocks;
};

static struct list *find(struct list *lists, int *count, int node, const char *zone)
{
	int i;

	for (i = 0; i < *count; i++)
		if (lists[i].node == node && !strcmp(lists[i].zone, zone))
			return &lists[i];
	if (*count == MAX_ZONES)
		return &lists[0];
	lists[i].node = node;
	snprintf(lists[i].zone, sizeof(lists[i].zone), "%s", zone);
	++*count;
	return &lists[i];
}

/* Numbers of blocks, order by order from 0, as pages; ">100000" counts as the number */
static unsigned long long pages_of(const char *text)
{
	unsigned long long pages = 0, number;
	int order, skip;

	for (order = 0; ; order++, text += skip) {
		text += strspn(text, " \t>");
		if (sscanf(text, "%llu%n", &number, &skip) != 1)
			return pages;
		pages += number << order;
	}
}

static unsigned long long sum_of(const char *text)
{
	unsigned long long sum = 0, number;
	int skip;

	for (; sscanf(text, " %llu%n", &number, &skip) == 1; text += skip)
		sum += number;
	return sum;
}

static void read_lists(FILE *file, struct list *lists, int *count, int typed)
{
	char line[1024], zone[32], type[32];
	int node, skip, counting = 0;

	while (fgets(line, sizeof(line), file)) {
		/* Of pagetypeinfo the first part of a node has pages by order, the second pageblocks */
		if (!strncmp(line, "Free pages count", 16))
			counting = 0;
		if (!strncmp(line, "Number of blocks type", 21))
			counting = 1;
		skip = 0;
		if (typed && !counting &&
		    sscanf(line, "Node %d, zone %31[^,], type %31s%n", &node, zone, type,
			   &skip) == 3 && skip)
			find(lists, count, node, zone)->typed += pages_of(line + skip);
		else if (sscanf(line, "Node %d, zone %31[^, ]%n", &node, zone, &skip) != 2 || !skip)
			continue;
		else if (typed && counting)
			find(lists, count, node, zone)->blocks +=
				sum_of(line + skip + strspn(line + skip, ", ")) * PAGEBLOCK;
		else if (!typed)
			find(lists, count, node, zone)->buddy +=
				pages_of(line + skip + strspn(line + skip, ", "));
	}
	fclose(file);
}

int freelist_probe(const char *root, FILE *out)
{
	struct list *lists = calloc(MAX_ZONES, sizeof(*lists));
	FILE *buddy = open_file(root, "/proc/buddyinfo", 0);
	FILE *typed = open_file(root, "/proc/pagetypeinfo", 0);
	int count = 0, i;

	if (!lists || !buddy || !typed)
		return json_error(out, "freelist", "/proc/buddyinfo or /proc/pagetypeinfo");
	read_lists(buddy, lists, &count, 0);
	read_lists(typed, lists, &count, 1);
	for (i = 0; i < count; i++) {
		fprintf(out, "{\"probe\":\"freelist\",\"node\":%d,\"zone\":", lists[i].node);
		json_string(out, lists[i].zone);
		fprintf(out, ",\"buddy_pages\":%llu,\"typed_pages\":%llu,\"block_pages\":%llu}\n",
			lists[i].buddy, lists[i].typed, lists[i].blocks);
	}
	free(lists);
	return count ? 0 : json_error(out, "freelist", "no zone");
}
