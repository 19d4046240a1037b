/* SPDX-License-Identifier: MIT */
/*
 * Sockets of other Linuxes, as they are here: a listener for each, bound to the very
 * inode that the real one has, for the host answers so when a name is made that stands
 * in for it. Who connects sees the user who made the real one.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "init.h"
#include "sockets.h"

#define BACKLOG		128

struct standing {
	struct sockets_open offer;
	int fd;
};

static struct standing *standing;
static unsigned count, room;

/* A listener; -1 with a line in the log. */
static int make(const struct sockets_open *offer)
{
	struct sockaddr_un own = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, (int)offer->node.type | SOCK_CLOEXEC |
		       SOCK_NONBLOCK, 0);
	struct stat st;
	bool good;

	snprintf(own.sun_path, sizeof(own.sun_path), INIT_HOST_DIR "/"
		 SOCKETS_STAND_IN "%u", offer->node.number);
	good = bind(s, (struct sockaddr *)&own, sizeof(own)) == 0;
	if (good) {
		/* The kernel finds out that there is no such name, and lets the
		 * inode go when the socket does. */
		(void)stat(own.sun_path, &st);
		good = sockets_become(offer->uid, offer->gid) &&
		       listen(s, BACKLOG) == 0;
		sockets_be_root();
	}
	if (!good) {
		init_log("sockets: one of another Linux cannot be had: %m");
		close(s);
		return -1;
	}
	return s;
}

/** One is offered. */
void sockets_stand(const struct sockets_open *offer)
{
	if (count == room) {
		unsigned more = room + 64;
		void *bigger = realloc(standing, more * sizeof(*standing));

		if (!bigger) {
			return;
		}
		standing = bigger;
		room = more;
	}
	standing[count].offer = *offer;
	standing[count].fd = make(offer);
	count += standing[count].fd >= 0;
}

/** It is not any more. Who waits in its backlog is refused. */
void sockets_stand_down(uint64_t nodeid)
{
	for (unsigned i = 0; i < count; i++) {
		if (standing[i].offer.node.nodeid == nodeid) {
			close(standing[i].fd);
			standing[i] = standing[--count];
			return;
		}
	}
}

unsigned sockets_stand_count(void)
{
	return count;
}

/** The listener number i, and what it stands for. */
int sockets_stand_fd(unsigned i, struct sockets_open *offer)
{
	*offer = standing[i].offer;
	return standing[i].fd;
}

void sockets_stand_end(void)
{
	while (count > 0) {
		close(standing[--count].fd);
	}
}
