// SPDX-License-Identifier: GPL-2.0-only
/*
 * One probe by hand, on any machine: probe [--here] NAME [ROOT [BYTES THREADS]]
 *
 * Probes that change the machine below /proc and /sys, or take all memory that
 * the files there call free, are for a guest. Elsewhere they run on a copy only,
 * and those that a copy does not hold back not at all. --here says that this is
 * a guest.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "gate.h"
#include "guest.h"

/* As init.c says it, without a root to look below */
static int hello_probe(const char *root, FILE *out)
{
	struct utsname name;

	(void)root;
	uname(&name);
	fputs("{\"probe\":\"hello\",\"release\":", out);
	json_string(out, name.release);
	fprintf(out, ",\"cpus\":%ld}\n", sysconf(_SC_NPROCESSORS_ONLN));
	return 0;
}

static const struct {
	const char *name;
	int (*probe)(const char *root, FILE *out);
	int acts;	/* 1: below root, 2: wherever root is */
} probes[] = {
	{ "hello", hello_probe, 0 },
	{ "meminfo", meminfo_probe, 0 },
	{ "zoneinfo", zoneinfo_probe, 0 },
	{ "settle", settle_probe, 0 },
	{ "census", census_probe, 0 },
	{ "freelist", freelist_probe, 0 },
	{ "migrate", migrate_probe, 0 },
	{ "block", block_probe, 1 },
	{ "compact", compact_probe, 1 },
	{ "fill", fill_probe, 1 },
	{ "huge", huge_probe, 2 },
	{ "oom", oom_probe, 2 },
	{ "walk", walk_probe, 2 },
	{ "cma", cma_probe, 2 },
};

static int may_harm(int acts, const char *root)
{
	return acts > 1 || (acts && !root[strspn(root, "/.")]);
}

int main(int argc, char **argv)
{
	int here = argc > 1 && !strcmp(argv[1], "--here");
	const char *name, *root;
	unsigned int i;

	argc -= here;
	argv += here;
	name = argc > 1 ? argv[1] : "";
	root = argc > 2 ? argv[2] : "";
	for (i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
		if (strcmp(name, probes[i].name))
			continue;
		if (!here && may_harm(probes[i].acts, root)) {
			fprintf(stderr, "%s would change this machine: name a copy of /proc and /sys\n",
				name);
			return 2;
		}
		return -probes[i].probe(root, stdout);
	}
	if (!strcmp(name, "touch"))
		return -touch_probe(root, argc > 3 ? atoll(argv[3]) : 1 << 20,
				    argc > 4 ? atoi(argv[4]) : 1, stdout);
	fprintf(stderr, "usage: probe [--here] NAME [ROOT [BYTES THREADS]]\n");
	return 2;
}
