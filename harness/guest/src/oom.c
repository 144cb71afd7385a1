// SPDX-License-Identifier: GPL-2.0-only
/*
 * A child takes memory until the kernel kills it for it. By then it has to have
 * got what MemAvailable promised, and afterwards all of it has to be back.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gate.h"
#include "guest.h"

#define CHUNK (16UL << 20)
#define MAX_EATERS 64
#define SLACK (32L << 20)
#define SCORE "/proc/self/oom_score_adj"

/* Shared with the child, which does not live to tell */
static atomic_ullong *taken;

static void *eat(void *unused)
{
	char *memory;
	size_t at;

	for (;;) {
		memory = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (memory == MAP_FAILED)
			return unused;
		for (at = 0; at < CHUNK; at += PAGE) {
			memory[at] = 1;
			atomic_fetch_add_explicit(taken, PAGE, memory_order_relaxed);
		}
	}
}

static void child(const char *root)
{
	pthread_t thread[MAX_EATERS];
	long count = sysconf(_SC_NPROCESSORS_ONLN), i;

	write_text(root, SCORE, 0, "1000");
	for (i = 0; i < count && i < MAX_EATERS; i++)
		if (pthread_create(&thread[i], NULL, eat, NULL))
			_exit(2);
	/* It comes here only when mmap() fails */
	for (i = 0; i < count && i < MAX_EATERS; i++)
		pthread_join(thread[i], NULL);
	_exit(1);
}

int oom_probe(const char *root, FILE *out)
{
	long long available = meminfo_bytes(root, -1, "MemAvailable:");
	long long before = free_bytes(root, -1), after;
	int status = 0;
	pid_t pid;

	taken = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (taken == MAP_FAILED)
		return json_error(out, "oom", "mmap");
	/* Only the child is to die */
	if (write_text(root, SCORE, 0, "-1000"))
		return json_error(out, "oom", SCORE);
	fflush(out);
	pid = fork();
	if (pid < 0)
		return json_error(out, "oom", "fork");
	if (!pid)
		child(root);
	waitpid(pid, &status, 0);
	after = free_again(root, -1, before, SLACK);
	fprintf(out, "{\"probe\":\"oom\",\"signal\":%d,\"available_bytes\":%lld,"
		"\"taken_bytes\":%llu,\"free_before_bytes\":%lld,\"free_after_bytes\":%lld}\n",
		WIFSIGNALED(status) ? WTERMSIG(status) : 0, available,
		(unsigned long long)atomic_load(taken), before, after);
	return 0;
}
