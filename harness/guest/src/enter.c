// SPDX-License-Identifier: GPL-2.0-only
/*
 * The first process of a guest that is the image of a distribution: finds the
 * root file system, lets in who holds the key, and hands over to the init there.
 *
 *   guest.root=auto|/dev/vda1  guest.user=root
 *
 * All that it writes goes to an overlay that ends with the guest. So no image
 * has to know how keys come in, neither by cloud-init nor by a credential.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <unistd.h>

#define IMAGE "/image"
#define INIT "/sbin/init"
#define DISK_WAIT 50
#define DISK_PAUSE_US 100000

struct user {
	unsigned int uid, gid;
	char home[256];
};

/* What the host packed beside this program; empty where it packed none */
static char key[512], host_key[2048];

/* The value of the last word key=value of the command line, or a default */
static const char *word(const char *name, const char *value, char *buffer, size_t size)
{
	FILE *file = fopen("/proc/cmdline", "re");
	size_t length = strlen(name);
	char token[4096];

	snprintf(buffer, size, "%s", value);
	while (file && fscanf(file, "%4095s", token) == 1)
		if (!strncmp(token, name, length) && token[length] == '=')
			snprintf(buffer, size, "%s", token + length + 1);
	if (file)
		fclose(file);
	return buffer;
}

static void read_text(const char *path, char *buffer, size_t size)
{
	FILE *file = fopen(path, "re");

	buffer[file ? fread(buffer, 1, size - 1, file) : 0] = '\0';
	if (file)
		fclose(file);
}

/* Adds text to a file that is its owner's alone */
static int append(const char *path, const char *text, const struct user *owner)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	ssize_t length = strlen(text);
	int bad;

	if (fd < 0)
		return -1;
	bad = write(fd, text, length) != length || fchown(fd, owner->uid, owner->gid) ||
	      fchmod(fd, 0600);
	return close(fd) || bad ? -1 : 0;
}

/* Mounts a disk or a partition if there is a system on it */
static int mount_system(const char *device)
{
	char line[128], name[64];
	FILE *file = fopen("/proc/filesystems", "re");
	struct stat found;

	while (file && fgets(line, sizeof(line), file)) {
		if (!strncmp(line, "nodev", 5) || sscanf(line, " %63s", name) != 1)
			continue;
		if (mount(device, IMAGE, name, MS_SILENT, NULL))
			continue;
		/* Not access(): where the link leads is for the image to say */
		if (!lstat(IMAGE INIT, &found)) {
			fclose(file);
			return 0;
		}
		umount(IMAGE);
	}
	if (file)
		fclose(file);
	return -1;
}

static int find_system(const char *asked)
{
	char line[256], name[64], device[80];
	FILE *file;

	if (strcmp(asked, "auto"))
		return mount_system(asked);
	file = fopen("/proc/partitions", "re");
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%*u %*u %*u %63s", name) != 1)
			continue;
		snprintf(device, sizeof(device), "/dev/%s", name);
		if (!mount_system(device)) {
			fclose(file);
			return 0;
		}
	}
	if (file)
		fclose(file);
	return -1;
}

/* passwd(5): name, password, uid, gid, comment and home, any of the text empty */
static int find_user(const char *name, struct user *user)
{
	FILE *file = fopen("/etc/passwd", "re");
	char line[1024], *rest, *field[6];
	int found = 0, i;

	while (file && !found && fgets(line, sizeof(line), file)) {
		rest = line;
		for (i = 0; i < 6; i++)
			field[i] = strsep(&rest, ":\n");
		if (!field[5] || strcmp(field[0], name))
			continue;
		user->uid = strtoul(field[2], NULL, 10);
		user->gid = strtoul(field[3], NULL, 10);
		snprintf(user->home, sizeof(user->home), "%s", field[5]);
		found = 1;
	}
	if (file)
		fclose(file);
	return found ? 0 : -1;
}

static int let_in(const char *name)
{
	struct user user = { 0 };
	char path[512];

	if (find_user(name, &user)) {
		errno = ENOENT;
		return -1;
	}
	snprintf(path, sizeof(path), "%s/.ssh", user.home);
	if (mkdir(path, 0700) && errno != EEXIST)
		return -1;
	if (chown(path, user.uid, user.gid) || chmod(path, 0700))
		return -1;
	strcat(path, "/authorized_keys");
	return append(path, key, &user);
}

/* Images for clouds have no host key before cloud-init has made one */
static void give_host_key(void)
{
	struct user root = { 0 };
	glob_t found;

	if (glob("/etc/ssh/ssh_host_*_key", 0, NULL, &found) == GLOB_NOMATCH)
		append("/etc/ssh/ssh_host_ed25519_key", host_key, &root);
}

static void give_up(const char *what, const char *of)
{
	/* A new line first: the message must not be the rest of one of the kernel's */
	dprintf(1, "\nguest: %s %s: %s\n", what, of, strerror(errno));
	sync();
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

int main(void)
{
	char root[128], user[64];
	int i, missing;

	mkdir("/proc", 0755);
	mkdir(IMAGE, 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	/* The kernel may have done it (CONFIG_DEVTMPFS_MOUNT) */
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	word("guest.root", "auto", root, sizeof(root));
	word("guest.user", "root", user, sizeof(user));
	read_text("/key", key, sizeof(key));
	read_text("/host_key", host_key, sizeof(host_key));

	for (i = 0, missing = 1; missing && i < DISK_WAIT; i++) {
		missing = find_system(root);
		if (missing)
			usleep(DISK_PAUSE_US);
	}
	if (missing)
		give_up("no disk with " INIT " that this kernel can read:", root);
	umount("/proc");
	/* What is left of the initramfs is memory */
	unlink("/init");
	unlink("/key");
	unlink("/host_key");
	if (mount("/dev", IMAGE "/dev", NULL, MS_MOVE, NULL) || chdir(IMAGE) ||
	    mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/"))
		give_up("cannot enter", root);
	if (*key && let_in(user))
		give_up("cannot let in", user);
	if (*host_key)
		give_host_key();
	execl(INIT, "init", NULL);
	give_up("cannot run", INIT);
}
