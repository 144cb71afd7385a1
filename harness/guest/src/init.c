// SPDX-License-Identifier: GPL-2.0-only
/*
 * The first process of the guest: runs the probes that the kernel command line
 * names, reports on the second serial port, and waits to be switched off.
 *
 *   probe.run=meminfo,zoneinfo,touch  probe.touch_bytes=N  probe.touch_threads=N
 *
 * The probes of the correctness gate run in a child of their own: what they
 * find may be fatal, and the others have to have their turn.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "gate.h"
#include "guest.h"

#ifdef __x86_64__
#define CONSOLE "/dev/ttyS0"
#define RESULTS "/dev/ttyS1"
#else	/* The console is no 16550 */
#define CONSOLE "/dev/ttyAMA0"
#define RESULTS "/dev/ttyS0"
#endif
/* The host switches off when it has read the last line; this is for a host that is gone */
#define LINGER_S 120
/* A probe of the gate that takes longer has failed */
#define PATIENCE_S 150

static char words[4096];

static const struct {
	const char *name;
	int (*probe)(const char *root, FILE *out);
} isolated[] = {
	{ "settle", settle_probe },
	{ "census", census_probe },
	{ "freelist", freelist_probe },
	{ "block", block_probe },
	{ "huge", huge_probe },
	{ "migrate", migrate_probe },
	{ "compact", compact_probe },
	{ "fill", fill_probe },
	{ "oom", oom_probe },
	{ "walk", walk_probe },
	{ "cma", cma_probe },
};

/* The value of the last word key=value of the command line, or a default */
static const char *word(const char *key, const char *value, char *buffer, size_t size)
{
	char *copy = strdup(words), *state = NULL, *token;
	size_t length = strlen(key);

	snprintf(buffer, size, "%s", value);
	for (token = strtok_r(copy, " \n", &state); token; token = strtok_r(NULL, " \n", &state))
		if (!strncmp(token, key, length) && token[length] == '=')
			snprintf(buffer, size, "%s", token + length + 1);
	free(copy);
	return buffer;
}

static void mount_all(void)
{
	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir("/dev", 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	/* The kernel may have done it (CONFIG_DEVTMPFS_MOUNT) */
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
}

static void off(void)
{
	sync();
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

/* The results port, raw: a terminal would turn LF into CR LF */
static FILE *open_results(void)
{
	int fd = open(RESULTS, O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct termios mode;

	if (fd < 0)
		return NULL;
	if (!tcgetattr(fd, &mode)) {
		cfmakeraw(&mode);
		cfsetspeed(&mode, B115200);
		tcsetattr(fd, TCSANOW, &mode);
	}
	return fdopen(fd, "w");
}

static void hello(FILE *out)
{
	struct utsname name;

	uname(&name);
	fputs("{\"probe\":\"hello\",\"release\":", out);
	json_string(out, name.release);
	fprintf(out, ",\"cpus\":%ld}\n", sysconf(_SC_NPROCESSORS_ONLN));
	fflush(out);
}

static void run_isolated(const char *name, int (*probe)(const char *, FILE *), FILE *out)
{
	int status = 0;
	pid_t pid;

	fflush(out);
	pid = fork();
	if (pid < 0) {
		json_error(out, name, "fork");
		return;
	}
	if (!pid) {
		alarm(PATIENCE_S);
		status = probe("", out);
		fflush(out);
		_exit(-status);
	}
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		fprintf(out, "{\"probe\":\"%s\",\"error\":\"killed\",\"reason\":\"signal %d\"}\n",
			name, WTERMSIG(status));
}

static void run(const char *name, FILE *out)
{
	char bytes[32], threads[32];
	unsigned int i;

	for (i = 0; i < sizeof(isolated) / sizeof(isolated[0]); i++) {
		if (!strcmp(name, isolated[i].name)) {
			run_isolated(name, isolated[i].probe, out);
			fflush(out);
			return;
		}
	}
	if (!strcmp(name, "meminfo")) {
		meminfo_probe("", out);
	} else if (!strcmp(name, "zoneinfo")) {
		zoneinfo_probe("", out);
	} else if (!strcmp(name, "touch")) {
		word("probe.touch_bytes", "67108864", bytes, sizeof(bytes));
		word("probe.touch_threads", "1", threads, sizeof(threads));
		touch_probe("", atoll(bytes), atoi(threads), out);
	} else {
		errno = EINVAL;
		json_error(out, name, "no such probe");
	}
	fflush(out);
}

int main(void)
{
	char list[256], *state = NULL, *name;
	FILE *file, *out;

	mount_all();
	file = fopen("/proc/cmdline", "re");
	if (file && !fgets(words, sizeof(words), file))
		words[0] = '\0';
	out = open_results();
	if (!out) {
		dprintf(1, "probes: no results port %s\n", RESULTS);
		off();
	}

	hello(out);
	word("probe.run", "meminfo,zoneinfo,touch", list, sizeof(list));
	for (name = strtok_r(list, ",", &state); name; name = strtok_r(NULL, ",", &state))
		run(name, out);
	fputs("{\"probe\":\"done\"}\n", out);
	fflush(out);
	tcdrain(fileno(out));
#ifdef SHELL
	shell(CONSOLE);
#else
	sleep(LINGER_S);
#endif
	off();
}
