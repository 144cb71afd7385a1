// SPDX-License-Identifier: GPL-2.0-only
/*
 * The free lists of each zone: /proc/buddyinfo, and /proc/pagetypeinfo that counts them again,
 * with the zone's own counter of free pages at the same moment.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "gate.h"
#include "guest.h"

#define PAGEBLOCK 512ULL
#define MAX_ZONES 4096
#define TRIES 16

struct list {
	int node;
	char zone[32];
	unsigned long long free;
	unsigned long long free_before;
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

/* Each CPU keeps up to 125 pages of the counters to itself: have them added up first */
static void refresh(const char *root)
{
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/proc/sys/vm/stat_refresh", root);
	file = fopen(path, "w");
	if (!file)
		return;
	fputs("1\n", file);
	fclose(file);
}

static int read_free(const char *root, struct list *lists, int *count)
{
	char line[256], zone[32] = "";
	unsigned long long pages;
	FILE *file;
	int node = -1;

	refresh(root);
	file = open_file(root, "/proc/zoneinfo", 0);
	if (!file)
		return -1;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "Node %d, zone %31s", &node, zone) == 2)
			continue;
		if (sscanf(line, " pages free %llu", &pages) == 1)
			find(lists, count, node, zone)->free = pages;
	}
	fclose(file);
	return 0;
}

/* Reads all that can be read of the lists at once; -1 with errno where a file is not there */
static int read_all(const char *root, struct list *lists, int *count)
{
	FILE *buddy, *typed;
	int i;

	memset(lists, 0, MAX_ZONES * sizeof(*lists));
	*count = 0;
	if (read_free(root, lists, count))
		return -1;
	for (i = 0; i < *count; i++)
		lists[i].free_before = lists[i].free;
	buddy = open_file(root, "/proc/buddyinfo", 0);
	if (!buddy)
		return -1;
	read_lists(buddy, lists, count, 0);
	typed = open_file(root, "/proc/pagetypeinfo", 0);
	if (!typed)
		return -1;
	read_lists(typed, lists, count, 1);
	return read_free(root, lists, count);
}

/* Whether no page came or went between the first file and the last */
static int stood_still(const struct list *lists, int count)
{
	int i;

	for (i = 0; i < count; i++)
		if (lists[i].free != lists[i].free_before)
			return 0;
	return 1;
}

int freelist_probe(const char *root, FILE *out)
{
	struct list *lists = calloc(MAX_ZONES, sizeof(*lists));
	int count = 0, i;

	if (!lists)
		return json_error(out, "freelist", "no memory");
	for (i = 0; i < TRIES; i++) {
		if (read_all(root, lists, &count))
			return json_error(out, "freelist", "zoneinfo, buddyinfo or pagetypeinfo");
		if (stood_still(lists, count))
			break;
	}
	for (i = 0; i < count; i++) {
		fprintf(out, "{\"probe\":\"freelist\",\"node\":%d,\"zone\":", lists[i].node);
		json_string(out, lists[i].zone);
		fprintf(out, ",\"free_pages\":%llu,\"buddy_pages\":%llu", lists[i].free,
			lists[i].buddy);
		fprintf(out, ",\"typed_pages\":%llu,\"block_pages\":%llu}\n", lists[i].typed,
			lists[i].blocks);
	}
	free(lists);
	return count ? 0 : json_error(out, "freelist", "no zone");
}
