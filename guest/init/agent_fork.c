/* SPDX-License-Identifier: MIT */
/*
 * What the agent does when this Linux becomes a template, or finds itself to be
 * the child of one: what a child must not have in common with its template, and
 * with the other children, is let go before, or made anew after.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <linux/magic.h>
#include <linux/random.h>

#include "agent.h"
#include "init.h"

#define MACHINE_ID	"/etc/machine-id"
#define MACHINE_ID_LEN	32u		/* hexadecimal digits */

/**
 * This Linux is about to be frozen: what it has not written yet it writes, and the
 * host's files go, for their connection will not be its children's. A process
 * that has one of them open finds it dead there. 0 or an errno value.
 */
int agent_freeze(void)
{
	sync();
	return umount2(INIT_HOST_DIR, MNT_DETACH) && errno != EINVAL &&
	       errno != ENOENT ? errno : 0;
}

/* Of a root in memory, whose machine-id is nobody else's; on a disk it is the
 * disk's. [machine-id(5)] */
static void set_machine_id(const char *seed)
{
	struct statfs fs;
	int fd;

	if (statfs("/", &fs) || (fs.f_type != TMPFS_MAGIC &&
				 fs.f_type != RAMFS_MAGIC)) {
		return;
	}
	fd = open(MACHINE_ID, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0444);
	if (fd < 0 || dprintf(fd, "%.*s\n", MACHINE_ID_LEN, seed) < 0) {
		init_log("%s: %s", MACHINE_ID, strerror(errno));
	}
	if (fd >= 0) {
		close(fd);
	}
}

/* The kernel's random numbers go on from what the template had: with the seed, which
 * no other has, they do not, from here on. It need not be secret. Without enough
 * entropy yet the kernel has given none out, and takes the seed up when it does.
 * [random(4) "ioctl(2) interface"] */
static int stir(const char *seed)
{
	int fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC), error = 0;

	if (fd < 0) {
		return errno;
	}
	if (write(fd, seed, strlen(seed)) < 0 ||
	    (ioctl(fd, RNDRESEEDCRNG) && errno != ENODATA)) {
		error = errno;
	}
	close(fd);
	return error;
}

/**
 * This Linux is a child, and is told who it is. The seed is of hexadecimal digits,
 * AGENT_SEED of them. 0 or an errno value.
 */
int agent_fork(const char *name, const char *seed)
{
	int error = stir(seed);

	set_machine_id(seed);
	return sethostname(name, strlen(name)) ? errno : error;
}

/** The host's files, where they were in the template. 0 or an errno value. */
int agent_mount(void)
{
	return boot_mount_host() ? 0 : errno;
}
