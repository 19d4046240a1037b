/* SPDX-License-Identifier: MIT */
/*
 * When an init has started all that it is to start: systemd says so, to a socket that
 * whoever runs it as a container's has given it. Until then a command would find no
 * message bus, and no journal. Other inits do not say it, and nobody waits for them.
 * [sd_notify(3); systemd.io/CONTAINER_INTERFACE]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "distro.h"

#define READY_SECONDS	60	/* a service may take as long as it likes */
#define LOOK_MS		20
#define MESSAGE_MAX	4096u

/** The keeper's end of the socket, of which SIGIO tells; -1 if there is none. */
int distro_ready_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && (fcntl(fd, F_SETOWN, getpid()) ||
			fcntl(fd, F_SETFL, O_NONBLOCK | O_ASYNC))) {
		close(fd);
		return -1;
	}
	return fd;
}

/** Gives it the name that its init is told, in the new root. False: it cannot be. */
bool distro_ready_bind(int fd)
{
	static const struct sockaddr_un name = {
		.sun_family = AF_UNIX, .sun_path = DISTRO_NOTIFY,
	};

	(void)mkdir("/run/host", 0755);
	return fd >= 0 &&
	       bind(fd, (const struct sockaddr *)&name, sizeof(name)) == 0 &&
	       chmod(DISTRO_NOTIFY, 0600) == 0;
}

/** Takes what there is, so that nobody who says something waits. True: it is ready. */
bool distro_ready_hear(int fd)
{
	char text[MESSAGE_MAX + 1];
	bool ready = false;
	ssize_t n;

	while (fd >= 0 && (n = recv(fd, text, MESSAGE_MAX, MSG_DONTWAIT)) >= 0) {
		text[n] = '\0';
		ready |= distro_ready_text(text);
	}
	return ready;
}

/* Whether that process is an init that will say it. */
static bool says(pid_t init)
{
	char path[40], exe[256] = "";

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)init);
	return readlink(path, exe, sizeof(exe) - 1) > 0 &&
	       distro_init_notifies(exe);
}

/**
 * Waits until the distribution's init, of which fd is a descriptor (pidfd_open(2)), has
 * started all, is dead, or has had its time: then who comes is let in all the same.
 */
void distro_ready_wait(const char *name, pid_t init, int fd)
{
	struct pollfd end = { .fd = fd, .events = POLLIN };

	for (int i = 0; i < READY_SECONDS * 1000 / LOOK_MS && says(init) &&
	     !distro_is_ready(name) && poll(&end, 1, LOOK_MS) == 0; i++) {
	}
}
