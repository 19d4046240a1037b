/* SPDX-License-Identifier: MIT */
/*
 * A root of its own for Linux: with root= on the command line the initramfs is only
 * the way there. The disk is mounted, what PID 1 has mounted moves over, and that
 * disk's own init becomes PID 1. What does not go is said, and the initramfs stays
 * the root: then there is a shell to look from.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "init.h"

#define NEW_ROOT	"/newroot"
/* [Linux "include/uapi/linux/magic.h"] */
#define RAMFS_MAGIC	0x858458f6ul
#define TMPFS_MAGIC	0x01021994ul
#define WAIT_SECONDS	10	/* for the device */
#define OPEN_FILES	16

static const char *const moved[] = {
	"/proc", "/sys", "/dev", "/run", "/tmp", INIT_HOST_DIR,
};
/* As Linux looks for one. [Linux "init/main.c: kernel_init"] */
static const char *const inits[] = {
	"/sbin/init", "/etc/init", "/bin/init", "/bin/sh",
};

static struct {
	char line[4096];
	const char *device, *type, *options, *init;
	unsigned long flags;
	char path[64];		/* of the device */
} root = { .type = "ext4", .options = "" };

static void take(const char *word)
{
	const char *value;

	if ((value = cmdline_after(word, "root="))) {
		root.device = value;
	} else if ((value = cmdline_after(word, "rootfstype="))) {
		root.type = value;
	} else if ((value = cmdline_after(word, "rootflags="))) {
		root.options = value;
	} else if ((value = cmdline_after(word, "init="))) {
		root.init = value;
	} else if (strcmp(word, "ro") == 0) {
		root.flags = MS_RDONLY;
	}
}

/** Whether the command line wants another root than the initramfs. */
bool root_wanted(void)
{
	cmdline_words(root.line, sizeof(root.line), take);
	return root.device && root.device[0];
}

/* Whether that block device has that name with the host. */
static bool named(const char *device, const char *name)
{
	char path[300], has[40] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/sys/block/%s/name", device);
	f = fopen(path, "re");
	if (!f) {
		return false;
	}
	if (fgets(has, sizeof(has), f)) {
		has[strcspn(has, "\n")] = '\0';
	}
	fclose(f);
	return strcmp(has, name) == 0;
}

/** The block device, a name in /dev, of the disk that has that name with the host. */
bool root_disk(const char *name, char device[32])
{
	struct dirent *entry;
	DIR *dir = opendir("/sys/block");

	device[0] = '\0';
	while (dir && (entry = readdir(dir))) {
		if (named(entry->d_name, name)) {
			snprintf(device, 32, "%.31s", entry->d_name);
		}
	}
	if (dir) {
		closedir(dir);
	}
	return device[0];
}

/* The path of the device, which is there, goes into root.path. */
static bool find_device(void)
{
	char device[32];

	if (root.device[0] == '/') {
		snprintf(root.path, sizeof(root.path), "%s", root.device);
	} else if (root_disk(root.device, device)) {
		snprintf(root.path, sizeof(root.path), "/dev/%s", device);
	} else {
		return false;
	}
	return access(root.path, F_OK) == 0;
}

static time_t seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

/* Disks come when the host has said what there is: with each that comes, a look. */
static bool wait_device(void)
{
	struct pollfd fd = {
		.fd = inotify_init1(IN_CLOEXEC), .events = POLLIN,
	};
	time_t until = seconds() + WAIT_SECONDS;
	bool found;

	inotify_add_watch(fd.fd, "/dev", IN_CREATE);
	while (!(found = find_device()) && seconds() < until) {
		char events[1024];

		if (poll(&fd, 1, 1000) > 0) {
			(void)!read(fd.fd, events, sizeof(events));
		}
	}
	close(fd.fd);
	return found;
}

/* The init in there: the one that is wanted, or the first that there is. */
static bool find_init(void)
{
	char path[300];

	for (size_t i = 0; !root.init && i < sizeof(inits) / sizeof(*inits);
	     i++) {
		struct stat st;

		snprintf(path, sizeof(path), NEW_ROOT "%s", inits[i]);
		/* A link is looked at when that is the root. */
		if (lstat(path, &st) == 0) {
			root.init = inits[i];
		}
	}
	if (!root.init) {
		return false;
	}
	snprintf(path, sizeof(path), NEW_ROOT "%.200s", root.init);
	return faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool mount_root(void)
{
	if (!wait_device()) {
		init_log("root=%s: there is no such device", root.device);
		return false;
	}
	mkdir(NEW_ROOT, 0755);
	if (mount(root.path, NEW_ROOT, root.type, root.flags, root.options)) {
		init_log("root=%s: cannot mount %s as %s: %s", root.device,
			 root.path, root.type, strerror(errno));
		return false;
	}
	if (!find_init()) {
		init_log("root=%s: it holds no %s", root.device,
			 root.init ? root.init : "init");
		umount2(NEW_ROOT, MNT_DETACH);
		return false;
	}
	return true;
}

/* What was mounted is where it was, seen from the new root. */
static void move_mounts(void)
{
	char to[64];

	mkdir(NEW_ROOT "/mnt", 0755);
	for (size_t i = 0; i < sizeof(moved) / sizeof(*moved); i++) {
		snprintf(to, sizeof(to), NEW_ROOT "%s", moved[i]);
		mkdir(to, 0755);
		if (mount(moved[i], to, NULL, MS_MOVE, NULL)) {
			init_log("root=%s: %s stays behind: %s", root.device,
				 moved[i], strerror(errno));
			umount2(moved[i], MNT_DETACH);
		}
	}
}

/* Whether what is the root now is memory, and of no more use. */
static bool in_memory(void)
{
	struct statfs fs;

	return statfs("/", &fs) == 0 && ((unsigned long)fs.f_type == RAMFS_MAGIC ||
					 (unsigned long)fs.f_type == TMPFS_MAGIC);
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	remove(path);
	return 0;
}

/**
 * Goes over to the root that is wanted. False, with the reason in the log: the
 * initramfs is the root still.
 */
bool root_enter(void)
{
	if (!mount_root()) {
		init_log("the initramfs stays the root");
		return false;
	}
	move_mounts();
	/* What runs keeps its own. */
	if (in_memory()) {
		nftw("/", remove_one, OPEN_FILES, FTW_PHYS | FTW_MOUNT |
		     FTW_DEPTH);
	}
	if (chdir(NEW_ROOT) || mount(".", "/", NULL, MS_MOVE, NULL) ||
	    chroot(".") || chdir("/")) {
		init_log("root=%s: cannot go there: %s", root.device,
			 strerror(errno));
		return false;
	}
	init_log("the root is %s, its init %s", root.path, root.init);
	return true;
}

/** Its init takes this process's place. Returns only if it does not go. */
void root_init(void)
{
	execl(root.init, root.init, (char *)NULL);
	init_log("%s: %s; going on without it", root.init, strerror(errno));
}
