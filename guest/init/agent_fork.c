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
#include <unistd.h>
#include <linux/random.h>

#include "agent.h"
#include "init.h"

#define SETTLE_US	50000
#define BOOT_ID		"/proc/sys/kernel/random/boot_id"
#define MACHINE_ID	"/etc/machine-id"
#define MACHINE_ID_LEN	32u		/* hexadecimal digits */

/**
 * This Linux is about to be frozen: what it has not written yet it writes, and the
 * host's files go, for their connection will not be its children's. A process
 * that has one of them open finds it dead there. What is still beginning, as the
 * agent's other processes are when Linux has just come up, ends first: each child
 * would do it anew. 0 or an errno value.
 */
int agent_freeze(void)
{
	usleep(SETTLE_US);
	sync();
	return umount2(INIT_HOST_DIR, MNT_DETACH) && errno != EINVAL &&
	       errno != ENOENT ? errno : 0;
}

/* What programs take for this machine, and for its start, is nobody else's. The
 * kernel has the latter from the template, once somebody there has asked. The texts
 * are parts of the seed. [machine-id(5), random(4) "/proc interfaces"] */
static int set_ids(const char *seed)
{
	const char *s = seed + AGENT_SEED / 2;
	char machine[MACHINE_ID_LEN + 2], start[40];
	int error;

	snprintf(machine, sizeof(machine), "%.*s\n", (int)MACHINE_ID_LEN, seed);
	snprintf(start, sizeof(start), "%.8s-%.4s-4%.3s-8%.3s-%.12s\n", s,
		 s + 8, s + 13, s + 17, s + 20);
	error = own_file(MACHINE_ID, machine);
	return error ? error : own_file(BOOT_ID, start);
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
 * AGENT_SEED of them; net is the word that a command line would have for it, or
 * empty. 0 or an errno value.
 */
int agent_fork(const char *name, const char *seed, const char *net)
{
	int error = stir(seed), ids = set_ids(seed);

	net_again(net);
	distro_names_all();
	if (sethostname(name, strlen(name))) {
		return errno;
	}
	return error ? error : ids;
}

/** The host's files, where they were in the template. 0 or an errno value. */
int agent_mount(void)
{
	return boot_mount_host() ? 0 : errno;
}
