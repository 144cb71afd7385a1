// SPDX-License-Identifier: GPL-2.0-only
/* One probe by hand, on any machine: probe NAME [ROOT [BYTES THREADS]] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	const char *root = argc > 2 ? argv[2] : "";

	if (!strcmp(name, "meminfo"))
		return -meminfo_probe(root, stdout);
	if (!strcmp(name, "zoneinfo"))
		return -zoneinfo_probe(root, stdout);
	if (!strcmp(name, "touch"))
		return -touch_probe(root, argc > 3 ? atoll(argv[3]) : 1 << 20,
				    argc > 4 ? atoi(argv[4]) : 1, stdout);
	fprintf(stderr, "usage: probe meminfo|zoneinfo|touch [ROOT [BYTES THREADS]]\n");
	return 2;
}
