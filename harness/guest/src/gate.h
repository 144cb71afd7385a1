/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the probes of the correctness gate share. A probe prints facts, which
 * the host compares with those of the eager kernel, and a line for each check
 * that it can judge itself.
 */
#ifndef GATE_H
#define GATE_H

#include <stdint.h>
#include <stdio.h>

#define PAGE 4096UL
#define MAX_NODES 1024

enum result { PASS, FAIL, SKIP };

int census_probe(const char *root, FILE *out);
int freelist_probe(const char *root, FILE *out);
int fill_probe(const char *root, FILE *out);
int huge_probe(const char *root, FILE *out);
int block_probe(const char *root, FILE *out);
int migrate_probe(const char *root, FILE *out);
int compact_probe(const char *root, FILE *out);
int oom_probe(const char *root, FILE *out);
int settle_probe(const char *root, FILE *out);
int walk_probe(const char *root, FILE *out);
int cma_probe(const char *root, FILE *out);

/* Prints {"probe":"check","check":...,"result":...,"detail":...}; -1 for a failure */
int check(FILE *out, const char *name, enum result result, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* A failed check that ends with what errno says */
int check_errno(FILE *out, const char *name, const char *what);

/* The value of a field of /proc/meminfo, or of a node's where node >= 0; -1 for none */
long long meminfo_bytes(const char *root, int node, const char *label);

/*
 * MemFree, of a node or of all where node < 0, and the pages on per-CPU lists:
 * they grow to a tenth of memory when much is freed, and shrink by and by.
 */
long long free_bytes(const char *root, int node);

/* free_bytes() when it is within slack of what it was before, or after ten seconds */
long long free_again(const char *root, int node, long long before, long long slack);

/* Nodes with memory, in order; answers how many */
int memory_nodes(const char *root, int *nodes, int max);

/* A CPU of the node, or for a node without CPUs any that is online */
int node_cpu(const char *root, int node);
void run_on(int cpu);

/* Zeroed memory that can only come from one node; NULL with errno */
void *map_on(int node, size_t bytes, int flags);

/* What word number at of a mapping holds in a pass */
uint64_t pattern(uint64_t seed, uint64_t at);

int read_number(const char *root, const char *path, int number, long long *value);
int write_text(const char *root, const char *path, int number, const char *text);

/* Memory blocks as sysfs shows them: the node of each, -1 for none or offline */
struct blocks {
	unsigned long long bytes;
	int count;
	short *node;
};

int read_blocks(const char *root, struct blocks *blocks);
int pfn_node(const struct blocks *blocks, uint64_t pfn);

#endif
