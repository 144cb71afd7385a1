// SPDX-License-Identifier: GPL-2.0-only
/*
 * All free memory of every node, at once: a pattern is written, verified when
 * every node is full, and given back; then the same again from other CPUs.
 *
 * Two mappings of one page show as a wrong pattern. A page that lies on another
 * node than its memory was bound to, or whose struct page names another one,
 * shows because its place in physical memory is known from the memory blocks.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "gate.h"
#include "guest.h"

#define PASSES 2
#define BATCH 512
/* Words of a page that are written and verified, one in each cache line pair */
#define WORDS 8
#define STRIDE (PAGE / sizeof(uint64_t) / WORDS)
/* Left free on each node, beside 1/128 of it: watermarks, page tables, per-CPU lists */
#define SPARE (48L << 20)
#define SLACK (16L << 20)

struct filler {
	pthread_t thread;
	const char *root;
	int node;
	int cpu[PASSES];
	size_t pages;
	size_t filled[PASSES];
	uint64_t *memory;
	long long total;
	long long before;
	long long full;
	long long after;
	uint64_t wrong;
	uint64_t dirty;
	uint64_t astray;
	uint64_t mislabelled;
	uint64_t first_bad_pfn;
	int error;
};

static pthread_barrier_t barrier;
static struct blocks blocks;

/* Pages of the node that can be had right now, at least one */
static size_t room(const struct filler *f)
{
	long long bytes = meminfo_bytes(f->root, f->node, "MemFree:") - SPARE - f->total / 128;

	return bytes > (long long)PAGE ? bytes / PAGE : 1;
}

static void write_pattern(struct filler *f, uint64_t seed)
{
	size_t i, word;

	for (i = 0; i < f->pages; i++) {
		uint64_t *page = f->memory + i * (PAGE / sizeof(uint64_t));
		int dirty = 0;

		page[0] = pattern(seed, i * WORDS);
		for (word = 1; word < WORDS; word++) {
			dirty |= page[word * STRIDE] != 0;
			page[word * STRIDE] = pattern(seed, i * WORDS + word);
		}
		f->dirty += dirty;
	}
}

static void verify_pattern(struct filler *f, uint64_t seed)
{
	size_t i, word;

	for (i = 0; i < f->pages; i++) {
		const uint64_t *page = f->memory + i * (PAGE / sizeof(uint64_t));
		int wrong = 0;

		for (word = 0; word < WORDS; word++)
			wrong |= page[word * STRIDE] != pattern(seed, i * WORDS + word);
		f->wrong += wrong;
	}
}

/* Where the pages really are, and where their struct pages say that they are */
static int verify_places(struct filler *f)
{
	static const char path[] = "/proc/self/pagemap";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t entry[BATCH], first;
	void *address[BATCH];
	int status[BATCH];
	size_t i, j, count;

	if (fd < 0)
		return -1;
	for (i = 0; i < f->pages; i += count) {
		count = f->pages - i < BATCH ? f->pages - i : BATCH;
		first = (uintptr_t)f->memory / PAGE + i;
		if (pread(fd, entry, count * 8, first * 8) != (ssize_t)(count * 8))
			break;
		for (j = 0; j < count; j++)
			address[j] = (char *)f->memory + (i + j) * PAGE;
		if (syscall(SYS_move_pages, 0, count, address, NULL, status, 0) < 0)
			break;
		for (j = 0; j < count; j++) {
			uint64_t pfn = entry[j] & ((1ULL << 55) - 1);
			int astray = pfn_node(&blocks, pfn) != f->node;
			int mislabelled = status[j] != f->node;

			if ((astray || mislabelled) && !f->first_bad_pfn)
				f->first_bad_pfn = pfn;
			f->astray += astray;
			f->mislabelled += mislabelled;
		}
	}
	close(fd);
	return i < f->pages ? -1 : 0;
}

/* Everybody passes every barrier, with memory or without */
static void *work(void *arg)
{
	struct filler *f = arg;
	int pass;

	for (pass = 0; pass < PASSES; pass++) {
		uint64_t seed = f->node * PASSES + pass + 1;

		run_on(f->cpu[pass]);
		f->pages = room(f);
		f->filled[pass] = f->pages;
		pthread_barrier_wait(&barrier);
		f->memory = map_on(f->node, f->pages * PAGE, 0);
		if (f->memory)
			write_pattern(f, seed);
		else
			f->error = errno;
		pthread_barrier_wait(&barrier);
		if (!pass)
			f->full = free_bytes(f->root, f->node);
		if (f->memory)
			verify_pattern(f, seed);
		if (f->memory && !pass && verify_places(f))
			f->error = errno;
		pthread_barrier_wait(&barrier);
		if (f->memory)
			munmap(f->memory, f->pages * PAGE);
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

static void print_filler(const struct filler *f, FILE *out)
{
	fprintf(out, "{\"probe\":\"fill\",\"node\":%d,\"total_bytes\":%lld,\"filled_bytes\":%llu,"
		"\"refilled_bytes\":%llu,"
		"\"free_before_bytes\":%lld,\"free_full_bytes\":%lld,\"free_after_bytes\":%lld,"
		"\"wrong_pages\":%llu,\"dirty_pages\":%llu,\"astray_pages\":%llu,"
		"\"mislabelled_pages\":%llu",
		f->node, f->total, (unsigned long long)f->filled[0] * PAGE,
		(unsigned long long)f->filled[1] * PAGE, f->before, f->full, f->after,
	 (unsigned long long)f->wrong, (unsigned long long)f->dirty,
		(unsigned long long)f->astray, (unsigned long long)f->mislabelled);
	if (f->astray || f->mislabelled)
		fprintf(out, ",\"first_bad_pfn\":%llu", (unsigned long long)f->first_bad_pfn);
	if (f->error) {
		fputs(",\"reason\":", out);
		json_string(out, strerror(f->error));
	}
	fputs("}\n", out);
}

static void set_up(struct filler *f, const char *root, int node, int next)
{
	f->root = root;
	f->node = node;
	f->cpu[0] = node_cpu(root, node);
	/* The second pass takes and gives back from another node's CPU */
	f->cpu[1] = node_cpu(root, next);
	f->total = meminfo_bytes(root, node, "MemTotal:");
	f->before = free_bytes(root, node);
}

int fill_probe(const char *root, FILE *out)
{
	int nodes[MAX_NODES], count = memory_nodes(root, nodes, MAX_NODES), i;
	struct filler *fillers = calloc(count ? count : 1, sizeof(*fillers));

	if (!count || !fillers || read_blocks(root, &blocks) ||
	    pthread_barrier_init(&barrier, NULL, count))
		return json_error(out, "fill", "no nodes or no memory blocks in sysfs");
	for (i = 0; i < count; i++)
		set_up(&fillers[i], root, nodes[i], nodes[(i + 1) % count]);
	for (i = 0; i < count; i++)
		/* The others would wait at the barrier for ever: nothing to save */
		if (pthread_create(&fillers[i].thread, NULL, work, &fillers[i]))
			return json_error(out, "fill", "cannot start a thread");
	for (i = 0; i < count; i++)
		pthread_join(fillers[i].thread, NULL);
	for (i = 0; i < count; i++) {
		fillers[i].after = free_again(root, nodes[i], fillers[i].before, SLACK);
		print_filler(&fillers[i], out);
	}
	free(blocks.node);
	free(fillers);
	return 0;
}
