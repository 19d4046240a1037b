/* SPDX-License-Identifier: MIT */
/* Removes a tree. It may be interrupted at any point, and called again. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/fs.h>

#include "distro_tree.h"

/* What chattr(1) has made unchangeable can be changed. */
static void release(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC |
			O_NONBLOCK), flags;

	if (fd >= 0 && ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
		flags &= ~(FS_IMMUTABLE_FL | FS_APPEND_FL);
		(void)ioctl(fd, FS_IOC_SETFLAGS, &flags);
	}
	if (fd >= 0) {
		close(fd);
	}
}

static bool remove_one(int dir, const char *name, const struct stat *st)
{
	int how = S_ISDIR(st->st_mode) ? AT_REMOVEDIR : 0;

	if (unlinkat(dir, name, how) == 0) {
		return true;
	}
	if (errno != EPERM) {
		return false;
	}
	release(dir, ".");
	/* To open another kind may do something. */
	if (S_ISDIR(st->st_mode) || S_ISREG(st->st_mode)) {
		release(dir, name);
	}
	return unlinkat(dir, name, how) == 0;
}

static bool clear_in(int fd)
{
	DIR *dir = fdopendir(fd);
	struct dirent *entry;
	bool good = dir, some = true;

	/* Names that go while they are read may hide others. */
	while (good && some) {
		some = false;
		rewinddir(dir);
		while (good && (errno = 0, entry = readdir(dir))) {
			if (!distro_tree_dots(entry->d_name)) {
				good = distro_tree_clear(fd, entry->d_name);
				some = true;
			}
		}
		good = good && errno == 0;
	}
	if (dir) {
		closedir(dir);
	}
	return good;
}

/** Removes what has that name in the folder, and all in it; nothing is there: well.
 * False with errno. */
bool distro_tree_clear(int dir, const char *name)
{
	struct stat st;
	int fd;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW)) {
		return errno == ENOENT;
	}
	if (S_ISDIR(st.st_mode)) {
		fd = distro_tree_folder(dir, name);
		if (fd < 0 || !clear_in(fd)) {
			return false;
		}
	}
	return remove_one(dir, name, &st);
}
