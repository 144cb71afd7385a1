// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every page of memory, as /proc/kpageflags and /proc/kpagecount show it.
 *
 * A page that nobody freed after the boot has no flag at all, as one that the
 * kernel took for itself has: what tells them apart is a whole block of the
 * largest order without any flag. A free page that counts as mapped has never
 * been initialised.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gate.h"
#include "guest.h"

/* include/uapi/linux/kernel-page-flags.h, and those of fs/proc/page.c for the kernel's own */
#define KPF(bit) (1ULL << (bit))
#define KPF_LRU KPF(5)
#define KPF_SLAB KPF(7)
#define KPF_BUDDY KPF(10)
#define KPF_HUGE KPF(17)
#define KPF_HWPOISON KPF(19)
#define KPF_NOPAGE KPF(20)
#define KPF_OFFLINE KPF(23)
#define KPF_PGTABLE KPF(26)
#define KPF_RESERVED KPF(32)

/* Pages in a block of MAX_PAGE_ORDER */
#define BLOCK 1024

enum kind {
	NOPAGE, BUDDY, RESERVED, LRU, SLAB, PGTABLE, HUGE, OFFLINE, BARE, OTHER,
	LOST_BLOCKS, FREE_MAPPED, HWPOISON, KINDS
};

static const char * const names[KINDS] = {
	"nopage_pages", "buddy_pages", "reserved_pages", "lru_pages", "slab_pages",
	"pgtable_pages", "huge_pages", "offline_pages", "bare_pages", "other_pages",
	"lost_blocks", "free_mapped_pages", "hwpoison_pages",
};

struct census {
	uint64_t pages;
	uint64_t count[KINDS];
	uint64_t first_lost;
	uint64_t first_mapped;
};

static const struct {
	uint64_t flag;
	enum kind kind;
} kinds[] = {
	{ KPF_NOPAGE, NOPAGE }, { KPF_BUDDY, BUDDY }, { KPF_RESERVED, RESERVED },
	{ KPF_HUGE, HUGE }, { KPF_LRU, LRU }, { KPF_SLAB, SLAB }, { KPF_PGTABLE, PGTABLE },
	{ KPF_OFFLINE, OFFLINE },
};

static enum kind kind_of(uint64_t flags)
{
	unsigned int i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (flags & kinds[i].flag)
			return kinds[i].kind;
	return flags ? OTHER : BARE;
}

static void count_block(struct census *census, uint64_t pfn, const uint64_t *flags,
			const uint64_t *mapped)
{
	int i, bare = 0;

	for (i = 0; i < BLOCK; i++) {
		enum kind kind = kind_of(flags[i]);

		census->pages++;
		census->count[kind]++;
		bare += kind == BARE && !mapped[i];
		census->count[HWPOISON] += !!(flags[i] & KPF_HWPOISON);
		if (kind == BUDDY && mapped[i] && !census->count[FREE_MAPPED]++)
			census->first_mapped = pfn + i;
	}
	if (bare == BLOCK && !census->count[LOST_BLOCKS]++)
		census->first_lost = pfn;
}

static void print_census(int node, const struct census *census, FILE *out)
{
	int i;

	fprintf(out, "{\"probe\":\"census\",\"node\":%d,\"pages\":%llu", node,
		(unsigned long long)census->pages);
	for (i = 0; i < KINDS; i++)
		fprintf(out, ",\"%s\":%llu", names[i], (unsigned long long)census->count[i]);
	if (census->count[LOST_BLOCKS])
		fprintf(out, ",\"first_lost_pfn\":%llu", (unsigned long long)census->first_lost);
	if (census->count[FREE_MAPPED])
		fprintf(out, ",\"first_free_mapped_pfn\":%llu",
			(unsigned long long)census->first_mapped);
	fputs("}\n", out);
}

static int open_pages(const char *root, const char *path)
{
	char full[512];

	snprintf(full, sizeof(full), "%s%s", root, path);
	return open(full, O_RDONLY | O_CLOEXEC);
}

/* A short read leaves zeros: a page that cannot be read has to show */
static int read_block(int fd, uint64_t pfn, uint64_t *words)
{
	ssize_t done = pread(fd, words, BLOCK * sizeof(*words), pfn * sizeof(*words));

	if (done != (ssize_t)(BLOCK * sizeof(*words))) {
		errno = done < 0 ? errno : ENODATA;
		return -1;
	}
	return 0;
}

int census_probe(const char *root, FILE *out)
{
	static uint64_t flags[BLOCK], mapped[BLOCK];
	struct census *census = calloc(MAX_NODES, sizeof(*census));
	int flags_fd = open_pages(root, "/proc/kpageflags");
	int count_fd = open_pages(root, "/proc/kpagecount");
	struct blocks blocks;
	uint64_t pfn, end;
	int node, result = 0;

	if (!census || flags_fd < 0 || count_fd < 0 || read_blocks(root, &blocks))
		return json_error(out, "census", "/proc/kpageflags, kpagecount or memory blocks");
	end = blocks.count * (blocks.bytes / PAGE);
	for (pfn = 0; pfn < end && !result; pfn += BLOCK) {
		node = pfn_node(&blocks, pfn);
		if (node < 0 || node >= MAX_NODES)
			continue;
		if (read_block(flags_fd, pfn, flags) || read_block(count_fd, pfn, mapped))
			result = json_error(out, "census", "cannot read all pages");
		else
			count_block(&census[node], pfn, flags, mapped);
	}
	for (node = 0; node < MAX_NODES && !result; node++)
		if (census[node].pages)
			print_census(node, &census[node], out);
	close(flags_fd);
	close(count_fd);
	free(blocks.node);
	free(census);
	return result;
}
