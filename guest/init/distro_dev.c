/* SPDX-License-Identifier: MIT */
/*
 * /dev of a distribution: memory of its own, with what each Linux has there and the
 * devices that containers use. Disks are not among them. There is no console: a
 * program would be started on it, which nobody sees.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "distro.h"

/* [Linux "Documentation/admin-guide/devices.txt"] A number that belongs to a module
 * has that one loaded when the device is opened. */
static const struct {
	const char *path;
	mode_t mode;
	unsigned major, minor;
} nodes[] = {
	{ "/dev/null", S_IFCHR | 0666, 1, 3 },
	{ "/dev/zero", S_IFCHR | 0666, 1, 5 },
	{ "/dev/full", S_IFCHR | 0666, 1, 7 },
	{ "/dev/random", S_IFCHR | 0666, 1, 8 },
	{ "/dev/urandom", S_IFCHR | 0666, 1, 9 },
	{ "/dev/tty", S_IFCHR | 0666, 5, 0 },
	{ "/dev/net/tun", S_IFCHR | 0666, 10, 200 },
	{ "/dev/fuse", S_IFCHR | 0666, 10, 229 },
	{ "/dev/autofs", S_IFCHR | 0600, 10, 235 },
	{ "/dev/loop-control", S_IFCHR | 0660, 10, 237 },
};

static const struct {
	const char *path, *to;
} links[] = {
	{ "/dev/ptmx", "pts/ptmx" },
	{ "/dev/fd", "/proc/self/fd" },
	{ "/dev/stdin", "/proc/self/fd/0" },
	{ "/dev/stdout", "/proc/self/fd/1" },
	{ "/dev/stderr", "/proc/self/fd/2" },
	{ "/dev/core", "/proc/kcore" },
};

#define LOOPS	8u	/* devices for images, which the kernel makes when opened */

/** Fills /dev, which is empty. */
void distro_dev(void)
{
	mode_t mask = umask(0);
	char path[32];

	mkdir("/dev/net", 0755);
	for (size_t i = 0; i < sizeof(nodes) / sizeof(*nodes); i++) {
		mknod(nodes[i].path, nodes[i].mode,
		      makedev(nodes[i].major, nodes[i].minor));
	}
	for (unsigned i = 0; i < LOOPS; i++) {
		snprintf(path, sizeof(path), "/dev/loop%u", i);
		mknod(path, S_IFBLK | 0660, makedev(7, i));
	}
	for (size_t i = 0; i < sizeof(links) / sizeof(*links); i++) {
		(void)!symlink(links[i].to, links[i].path);
	}
	umask(mask);
}
