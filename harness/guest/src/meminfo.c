// SPDX-License-Identifier: GPL-2.0-only
/* /proc/meminfo with what /proc/vmstat has of the memmap, and the same per node from sysfs */
#include <stdio.h>
#include <string.h>

#include "guest.h"

#define MAX_NODES 1024

static const struct {
	const char *label;
	const char *key;
} fields[] = {
	{ "MemTotal:", "mem_total_bytes" },
	{ "MemFree:", "mem_free_bytes" },
	{ "MemAvailable:", "mem_available_bytes" },
	{ "Slab:", "slab_bytes" },
	{ "PageTables:", "page_tables_bytes" },
	{ "Percpu:", "percpu_bytes" },
};

/* Prints what a meminfo file has of the fields; lines of a node begin with "Node N " */
static void print_fields(FILE *file, FILE *out)
{
	char line[256], label[64];
	unsigned long long kib;
	unsigned int i;
	int node;

	while (fgets(line, sizeof(line), file)) {
		const char *text = line;
		int skip = 0;

		if (sscanf(line, "Node %d %n", &node, &skip) == 1)
			text += skip;
		if (sscanf(text, "%63s %llu kB", label, &kib) != 2)
			continue;
		for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
			if (!strcmp(label, fields[i].label))
				fprintf(out, ",\"%s\":%llu", fields[i].key, kib << 10);
	}
}

/* Pages that the page allocator gave for the memmap of memory that came late */
static void print_memmap(const char *root, FILE *out)
{
	FILE *file = open_file(root, "/proc/vmstat", 0);
	unsigned long long pages;
	char line[256];

	if (!file)
		return;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "nr_memmap_pages %llu", &pages) == 1)
			fprintf(out, ",\"memmap_pages\":%llu", pages);
	fclose(file);
}

int meminfo_probe(const char *root, FILE *out)
{
	FILE *file = open_file(root, "/proc/meminfo", 0);
	int node;

	if (!file)
		return json_error(out, "meminfo", "/proc/meminfo");
	fputs("{\"probe\":\"meminfo\"", out);
	print_fields(file, out);
	print_memmap(root, out);
	fputs("}\n", out);
	fclose(file);

	for (node = 0; node < MAX_NODES; node++) {
		file = open_file(root, "/sys/devices/system/node/node%d/meminfo", node);
		if (!file)
			continue;
		fprintf(out, "{\"probe\":\"node_meminfo\",\"node\":%d", node);
		print_fields(file, out);
		fputs("}\n", out);
		fclose(file);
	}
	return 0;
}
