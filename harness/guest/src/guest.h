/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the programs of the guest share. Results are JSON objects, one a line,
 * on a port of their own: user space output would cut into lines of printk.
 */
#ifndef GUEST_H
#define GUEST_H

#include <stdio.h>

/* A probe prints its objects to out; it answers 0, or -1 after json_error(). */
int meminfo_probe(const char *root, FILE *out);
int zoneinfo_probe(const char *root, FILE *out);
int touch_probe(const char *root, long long bytes, int threads, FILE *out);

/* Prints {"probe": probe, "error": what: errno} */
int json_error(FILE *out, const char *probe, const char *what);

/* Prints text as a JSON string, whatever is in it */
void json_string(FILE *out, const char *text);

/* Opens root/path; path may have %d for a number */
FILE *open_file(const char *root, const char *path, int number);

/* Has a shell on a terminal until it ends; only in the initramfs that has busybox */
void shell(const char *console);

#endif
