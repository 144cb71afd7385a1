// SPDX-License-Identifier: GPL-2.0-only
/* /proc/zoneinfo: the totals of each populated zone and of its per-CPU lists, in pages */
#include <stdio.h>
#include <string.h>

#include "guest.h"

static const char * const fields[] = {
	"free", "min", "low", "high", "spanned", "present", "managed",
};

#define NR_FIELDS (sizeof(fields) / sizeof(fields[0]))

struct zone {
	int node;
	char name[32];
	unsigned long long pages[NR_FIELDS];
	unsigned long long percpu;
};

static void print_zone(const struct zone *zone, FILE *out)
{
	unsigned int i;

	fprintf(out, "{\"probe\":\"zoneinfo\",\"node\":%d,\"zone\":", zone->node);
	json_string(out, zone->name);
	for (i = 0; i < NR_FIELDS; i++)
		fprintf(out, ",\"%s_pages\":%llu", fields[i], zone->pages[i]);
	fprintf(out, ",\"percpu_pages\":%llu}\n", zone->percpu);
}

int zoneinfo_probe(const char *root, FILE *out)
{
	FILE *file = open_file(root, "/proc/zoneinfo", 0);
	struct zone zone = { .node = -1 };
	unsigned long long value;
	char line[256], word[32];
	unsigned int i;

	if (!file)
		return json_error(out, "zoneinfo", "/proc/zoneinfo");

	while (fgets(line, sizeof(line), file)) {
		struct zone next = { 0 };

		if (sscanf(line, "Node %d, zone %31s", &next.node, next.name) == 2) {
			/* Index 5 is present: zones without memory are left out */
			if (zone.node >= 0 && zone.pages[5])
				print_zone(&zone, out);
			zone = next;
			continue;
		}
		if (sscanf(line, " pages free %llu", &value) == 1) {
			zone.pages[0] = value;
			continue;
		}
		if (sscanf(line, " %31s %llu", word, &value) != 2)
			continue;
		if (!strcmp(word, "count:"))
			zone.percpu += value;
		for (i = 1; i < NR_FIELDS; i++)
			/* "high:" of a per-CPU list has a colon, and comes later */
			if (!strcmp(word, fields[i]))
				zone.pages[i] = value;
	}
	if (zone.node >= 0 && zone.pages[5])
		print_zone(&zone, out);
	fclose(file);
	return 0;
}
