// SPDX-License-Identifier: GPL-2.0-only
/* Waits until MemTotal stands still: a kernel may still be adding memory */
#include <time.h>

#include "gate.h"
#include "guest.h"

#define PAUSE_NS 250000000L
#define QUIET 6
#define PATIENCE 400

int settle_probe(const char *root, FILE *out)
{
	long long total = meminfo_bytes(root, -1, "MemTotal:"), now;
	struct timespec pause = { .tv_nsec = PAUSE_NS };
	int quiet = 0, i;

	for (i = 0; i < PATIENCE && quiet < QUIET; i++) {
		nanosleep(&pause, NULL);
		now = meminfo_bytes(root, -1, "MemTotal:");
		quiet = now == total ? quiet + 1 : 0;
		total = now;
	}
	fprintf(out, "{\"probe\":\"settle\",\"mem_total_bytes\":%lld,\"waits\":%d}\n", total, i);
	return quiet < QUIET ? -1 : 0;
}
