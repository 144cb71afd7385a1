// SPDX-License-Identifier: GPL-2.0-only
/*
 * The page fault test: threads write a word to every page of their share.
 *
 * Three passes tell a lasting cost from one that is paid once:
 *   first-touch	memory that nobody had since the boot: page faults, and
 *			what a lazy kernel left to do
 *   retouch-mapped	the same pages again: no faults, the loop alone
 *   touch-recycled	other mappings, after the first were given back: page
 *			faults on memory that is initialised by now
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#ifdef __x86_64__
#include <x86intrin.h>
#endif

#include "guest.h"

#define PAGE 4096UL
#define PASSES 3

static const char * const kinds[PASSES] = {
	"first-touch", "retouch-mapped", "touch-recycled",
};

struct worker {
	pthread_t thread;
	int number;
	int cpu;
	unsigned int node;
	size_t bytes;
	volatile char *memory;
	uint64_t start[PASSES];
	uint64_t end[PASSES];
	uint64_t ns[PASSES];
	long faults[PASSES];
};

static pthread_barrier_t barrier;
static atomic_int failures;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static long faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_minflt;
}

/* Nothing before it is still going on when the counter is read */
static uint64_t tsc(void)
{
	uint64_t value;

#ifdef __x86_64__
	_mm_lfence();
	value = __rdtsc();
	_mm_lfence();
#else
	uint64_t rate;

	/* In ns, as the TSC counts on the work clock */
	asm volatile("mrs %0, cntfrq_el0" : "=r" (rate));
	asm volatile("isb; mrs %0, cntvct_el0; isb" : "=r" (value) : : "memory");
	value *= 1000000000 / rate;
#endif
	return value;
}

static volatile char *map(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	/* Faults of 4 KiB; the kernel may lack huge pages, which is as good */
	madvise(memory, bytes, MADV_NOHUGEPAGE);
	return memory;
}

static void pass(struct worker *w, int number)
{
	uint64_t ns;
	size_t at;

	pthread_barrier_wait(&barrier);
	w->faults[number] = faults();
	ns = now_ns();
	w->start[number] = tsc();
	for (at = 0; at < w->bytes; at += PAGE)
		w->memory[at] = (char)number + 1;
	w->end[number] = tsc();
	w->ns[number] = now_ns() - ns;
	w->faults[number] = faults() - w->faults[number];
}

static void *work(void *arg)
{
	struct worker *w = arg;
	cpu_set_t set;
	int i;

	CPU_ZERO(&set);
	CPU_SET(w->cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	getcpu(NULL, &w->node);

	for (i = 0; i < PASSES; i++) {
		if (kinds[i][0] != 'r') {
			/* All give back before any takes again */
			if (w->memory)
				munmap((void *)w->memory, w->bytes);
			pthread_barrier_wait(&barrier);
			w->memory = map(w->bytes);
			if (!w->memory)
				failures++;
		}
		/* Everybody sees the same number of failures behind the barrier */
		pthread_barrier_wait(&barrier);
		if (failures)
			return NULL;
		pass(w, i);
	}
	return NULL;
}

static long long available_bytes(const char *root)
{
	FILE *file = open_file(root, "/proc/meminfo", 0);
	long long kib = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "MemAvailable: %lld kB", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib << 10;
}

static void print_pass(const struct worker *w, int threads, int number, FILE *out)
{
	uint64_t first = UINT64_MAX, last = 0, ns = 0, pages = 0;
	long total = 0;
	int i;

	for (i = 0; i < threads; i++) {
		fprintf(out,
			"{\"probe\":\"touch\",\"pass\":%d,\"kind\":\"%s\",\"thread\":%d,"
			"\"cpu\":%d,\"node\":%u,\"pages\":%zu,\"tsc_start\":%llu,"
			"\"tsc_end\":%llu,\"ns\":%llu,\"faults_minor\":%ld}\n",
			number + 1, kinds[number], w[i].number, w[i].cpu, w[i].node,
			w[i].bytes / PAGE, (unsigned long long)w[i].start[number],
			(unsigned long long)w[i].end[number],
			(unsigned long long)w[i].ns[number], w[i].faults[number]);
		first = w[i].start[number] < first ? w[i].start[number] : first;
		last = w[i].end[number] > last ? w[i].end[number] : last;
		ns = w[i].ns[number] > ns ? w[i].ns[number] : ns;
		pages += w[i].bytes / PAGE;
		total += w[i].faults[number];
	}
	fprintf(out,
		"{\"probe\":\"touch_total\",\"pass\":%d,\"kind\":\"%s\",\"threads\":%d,"
		"\"pages\":%llu,\"tsc_span\":%llu,\"wall_ns\":%llu,\"faults_minor\":%ld}\n",
		number + 1, kinds[number], threads, (unsigned long long)pages,
		(unsigned long long)(last - first), (unsigned long long)ns, total);
}

int touch_probe(const char *root, long long bytes, int threads, FILE *out)
{
	long long room = available_bytes(root) / 4 * 3;
	long long asked = bytes;
	struct worker *workers;
	cpu_set_t online;
	int cpu = -1, i;

	if (room && bytes > room)
		bytes = room;
	if (threads < 1 || bytes / threads < (long long)PAGE)
		return json_error(out, "touch", "fewer than one page a thread");
	fprintf(out, "{\"probe\":\"touch_setup\",\"asked_bytes\":%lld,\"touched_bytes\":%lld,"
		"\"threads\":%d,\"page_bytes\":%lu}\n", asked, bytes, threads, PAGE);

	workers = calloc(threads, sizeof(*workers));
	if (!workers || sched_getaffinity(0, sizeof(online), &online) ||
	    pthread_barrier_init(&barrier, NULL, threads))
		return json_error(out, "touch", "setup");

	for (i = 0; i < threads; i++) {
		do {
			cpu = (cpu + 1) % CPU_SETSIZE;
		} while (!CPU_ISSET(cpu, &online));
		workers[i].number = i;
		workers[i].cpu = cpu;
		workers[i].bytes = bytes / threads / PAGE * PAGE;
		/* The others would wait at the barrier for ever: nothing to save */
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			return json_error(out, "touch", "cannot start a thread");
	}
	for (i = 0; i < threads; i++)
		pthread_join(workers[i].thread, NULL);
	if (failures)
		return json_error(out, "touch", "cannot map memory");
	for (i = 0; i < PASSES; i++)
		print_pass(workers, threads, i, out);
	free(workers);
	return 0;
}
