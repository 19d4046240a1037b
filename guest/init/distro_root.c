/* SPDX-License-Identifier: MIT */
/*
 * A distribution's root becomes the root of this process, and of its mount namespace
 * all that is not the distribution's goes. After that a path is one of the
 * distribution's, wherever its links lead.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "distro.h"

#define HERE		"/mnt/distro"	/* where the root is mounted first */
#define MODULES		"/lib/modules"
#define PROGRAM		"/init"		/* ours, which is `isthmus`, too */
#define OUR_COMMAND	INIT_RUN_DIR "/isthmus"
#define OUR_LINK	"/usr/local/bin/isthmus"
#define MOUNTS_MAX	256
#define PATH_LEN	256
/* [Linux "include/uapi/linux/mount.h"]; the C library's header has both or none. */
#define TREE_CLONE	1
#define FROM_EMPTY	0x4

/* What each distribution has; made where it is missing. The kernel's own settings can
 * be changed, as containers in there need it; devices are not for it to manage. */
static const struct {
	const char *source, *target, *type;
	unsigned long flags;
	const char *options;
} mounts[] = {
	{ "proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "" },
	{ "sysfs", "/sys", "sysfs",
	  MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, "" },
	{ "cgroup2", "/sys/fs/cgroup", "cgroup2",
	  MS_NOSUID | MS_NODEV | MS_NOEXEC, "" },
	{ "tmpfs", "/dev", "tmpfs", MS_NOSUID | MS_STRICTATIME,
	  "mode=0755,size=4m" },
	/* As /proc, but without anything of it covered: a user namespace in here
	 * may have a /proc of its own only where one is to be seen whole. */
	{ "proc", "/dev/.proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "" },
	{ "devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
	  "mode=0620,gid=5,ptmxmode=0666" },
	{ "tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777" },
	{ "tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755" },
	{ "tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777" },
};

/* Takes all of this namespace away but for the root that is now and HERE: it would
 * keep file systems in use that our Linux thinks it has unmounted. */
static void leave_rest(void)
{
	static char points[MOUNTS_MAX][PATH_LEN];
	FILE *f = fopen("/proc/self/mounts", "re");
	int count = 0;

	while (f && count < MOUNTS_MAX &&
	       fscanf(f, "%*s %255s %*[^\n]", points[count]) == 1) {
		count++;
	}
	if (f) {
		fclose(f);
	}
	while (count-- > 0) {
		if (strcmp(points[count], "/") != 0 &&
		    strcmp(points[count], HERE) != 0) {
			umount2(points[count], MNT_DETACH);
		}
	}
}

/* A copy of what is mounted at, or lies below, that path; -1 if there is none. */
static int take_tree(const char *path)
{
	return (int)syscall(SYS_open_tree, AT_FDCWD, path,
			    TREE_CLONE | O_CLOEXEC);
}

static void put_tree(int tree, const char *path)
{
	if (tree >= 0) {
		(void)syscall(SYS_move_mount, tree, "", AT_FDCWD, path,
			      FROM_EMPTY);
		close(tree);
	}
}

/* One file; there may be none. */
static void put_file(int tree, const char *path)
{
	int fd = tree < 0 ? -1 : open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);

	if (fd >= 0) {
		close(fd);
	}
	put_tree(tree, path);
}

/* The host's commands, by a name that is in everybody's PATH, unless the distribution
 * has something there; and what is to be run here, if it is a file. */
static void put_ours(int program, int command)
{
	mkdir(INIT_RUN_DIR, 0755);
	put_file(program, OUR_COMMAND);
	put_file(command, INIT_RUN_COMMAND);
	(void)symlink(OUR_COMMAND, OUR_LINK);
}

/* The kernel's file systems. False with errno: without them nothing goes. */
static bool mount_all(void)
{
	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		mkdir(mounts[i].target, 0755);
		if (mount(mounts[i].source, mounts[i].target, mounts[i].type,
			  mounts[i].flags, mounts[i].options)) {
			return false;
		}
		if (strcmp(mounts[i].target, "/dev") == 0) {
			distro_dev();
		}
	}
	/* A letter written there ends our Linux. */
	(void)mount("/proc/sysrq-trigger", "/proc/sysrq-trigger", NULL, MS_BIND,
		    NULL);
	(void)mount(NULL, "/proc/sysrq-trigger", NULL,
		    MS_REMOUNT | MS_BIND | MS_RDONLY, NULL);
	return true;
}

/**
 * Goes into the root at that place: this process has a mount namespace that it may
 * change, is process 1 of its pid namespace, and knows no path any more that it knew.
 * False, and why.
 */
bool distro_root_enter(const struct distro_place *place, char *why, size_t size)
{
	char modules[sizeof(MODULES) + 66];
	int host = take_tree(INIT_HOST_DIR), program = take_tree(PROGRAM);
	int command = take_tree(INIT_RUN_COMMAND), tree;
	struct utsname kernel;

	uname(&kernel);
	snprintf(modules, sizeof(modules), MODULES "/%s", kernel.release);
	tree = take_tree(modules);
	mkdir("/mnt", 0755);
	mkdir(HERE, 0700);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    !distro_mount(place, HERE, 0)) {
		snprintf(why, size, "its root cannot be mounted: %s",
			 strerror(errno));
		return false;
	}
	leave_rest();
	/* Not pivot_root(): the initramfs is no mount that could go. */
	if (chdir(HERE) || mount(".", "/", NULL, MS_MOVE, NULL) ||
	    chroot(".") || chdir("/") || !mount_all()) {
		snprintf(why, size, "its root cannot be entered: %s",
			 strerror(errno));
		return false;
	}
	mkdir("/mnt", 0755);
	mkdir(INIT_HOST_DIR, 0755);
	put_tree(host, INIT_HOST_DIR);
	mkdir("/lib", 0755);
	mkdir(MODULES, 0755);
	mkdir(modules, 0755);
	put_tree(tree, modules);
	put_ours(program, command);
	/* What is mounted later in here is seen by what divides it further. */
	(void)mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL);
	return true;
}
