// SPDX-License-Identifier: GPL-2.0-only
/*
 * A shell on the console, for a person who looks around in the guest when the
 * probes are done. It has a terminal of its own, so that Ctrl-C reaches what
 * runs in it and nobody else.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

#define BUSYBOX "/bin/busybox"

static void become(const char *const *argv)
{
	static char *const environment[] = { "PATH=/bin", "HOME=/", "TERM=vt100", NULL };

	execve(BUSYBOX, (char *const *)argv, environment);
	perror(BUSYBOX);
	_exit(127);
}

void shell(const char *console)
{
	static const char *const install[] = { "busybox", "--install", "-s", "/bin", NULL };
	static const char *const sh[] = { "sh", NULL };
	pid_t pid, ended;
	int fd;

	pid = fork();
	if (!pid)
		become(install);
	waitpid(pid, NULL, 0);
	pid = fork();
	if (!pid) {
		setsid();
		/* Without O_NOCTTY: it is the terminal of the session from here on */
		fd = open(console, O_RDWR);
		if (fd < 0) {
			perror(console);
			_exit(127);
		}
		dup2(fd, 0);
		dup2(fd, 1);
		dup2(fd, 2);
		if (fd > 2)
			close(fd);
		become(sh);
	}
	/* What a shell leaves behind becomes ours */
	do
		ended = wait(NULL);
	while (ended > 0 && ended != pid);
}
