/* SPDX-License-Identifier: MIT */
/*
 * Files that differ between a template's children, which have its root in common.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <linux/magic.h>

#include "init.h"

#define OVER	"/run/isthmus-"		/* and the file's name */

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0444);
	int error = 0;

	if (fd < 0) {
		return errno;
	}
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text)) {
		error = errno;
	}
	close(fd);
	return error;
}

/**
 * The file has this text from now on. Where it lies in memory, or would, it is
 * written; else, be it on a disk, which is not this Linux's to write to, or one of
 * the kernel's own, another is laid over it, if it is there. 0 or an errno value.
 */
int own_file(const char *path, const char *text)
{
	bool there = access(path, F_OK) == 0;
	struct statfs fs;
	char over[64];
	int error;

	if (statfs(there ? path : "/", &fs)) {
		return errno;
	}
	if (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC) {
		return write_file(path, text);
	}
	if (!there) {
		return 0;
	}
	snprintf(over, sizeof(over), "%s%s", OVER, strrchr(path, '/') + 1);
	error = write_file(over, text);
	return error ? error :
	       mount(over, path, NULL, MS_BIND, NULL) ? errno : 0;
}
