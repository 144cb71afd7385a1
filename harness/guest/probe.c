// SPDX-License-Identifier: GPL-2.0-only
/*
 * One probe by hand, on any machine: probe NAME [ROOT [BYTES THREADS]]
 *
 * Probes that change the machine below /proc and /sys, or take all memory that
 * the files there call free, are for a guest. Here they run on a copy only.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gate.h"
#include "guest.h"

static const struct {
	const char *name;
	int (*probe)(const char *root, FILE *out);
	int acts;
} probes[] = {
	{ "meminfo", meminfo_probe, 0 },
	{ "zoneinfo", zoneinfo_probe, 0 },
	{ "settle", settle_probe, 0 },
	{ "census", census_probe, 0 },
	{ "freelist", freelist_probe, 0 },
	{ "migrate", migrate_probe, 0 },
	{ "block", block_probe, 1 },
	{ "compact", compact_probe, 1 },
	{ "fill", fill_probe, 1 },
};

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	const char *root = argc > 2 ? argv[2] : "";
	unsigned int i;

	for (i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
		if (strcmp(name, probes[i].name))
			continue;
		if (probes[i].acts && !root[strspn(root, "/.")]) {
			fprintf(stderr, "%s would change this machine: name a copy of /proc and /sys\n",
				name);
			return 2;
		}
		return -probes[i].probe(root, stdout);
	}
	if (!strcmp(name, "touch"))
		return -touch_probe(root, argc > 3 ? atoll(argv[3]) : 1 << 20,
				    argc > 4 ? atoi(argv[4]) : 1, stdout);
	fprintf(stderr, "usage: probe NAME [ROOT [BYTES THREADS]]\n");
	return 2;
}
