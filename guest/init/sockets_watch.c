/* SPDX-License-Identifier: MIT */
/*
 * Sockets that programs of this Linux have made under /mnt/host: whether they listen,
 * which the kernel tells nobody by itself. To connect a datagram socket to another
 * kind says whether one is bound there, and is no connection; which kind it is, and
 * whether it listens, /proc/net/unix says, by the name that it was bound with. Who is
 * not listed there is in a network namespace of its own: it is taken for a stream.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "init.h"
#include "sockets.h"

#define WATCHED_MAX	256u
#define LOOK_MS		250
#define NEW_MS		1000	/* so long it may be made without being bound */
#define ACCEPTS		0x10000u	/* __SO_ACCEPTCON in Flags */

struct watched {
	uint64_t nodeid;
	int fd;			/* O_PATH */
	uint32_t type;		/* 0: the host was not told yet */
	int64_t born, due;	/* ms */
	bool bound;		/* once it was */
	char name[SOCKETS_NAME_MAX + 1];
};

static struct watched *watched[WATCHED_MAX];
static unsigned count;

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void forget(unsigned i)
{
	close(watched[i]->fd);
	free(watched[i]);
	watched[i] = watched[--count];
}

/** From now on it is looked at. name: its last part, as it was made. */
void sockets_watch(const struct sockets_node *node, const char *name,
		   size_t len)
{
	struct watched *w = count < WATCHED_MAX && len <= SOCKETS_NAME_MAX
			    ? calloc(1, sizeof(*w)) : NULL;

	if (!w) {
		return;
	}
	w->nodeid = node->nodeid;
	w->fd = sockets_open_node(node->nodeid, O_PATH);
	w->born = w->due = now_ms();
	memcpy(w->name, name, len);
	watched[count++] = w;
}

/** Its inode, or -1. */
int sockets_watch_fd(uint64_t nodeid)
{
	for (unsigned i = 0; i < count; i++) {
		if (watched[i]->nodeid == nodeid) {
			return watched[i]->fd;
		}
	}
	return -1;
}

/* Whether a socket is bound there; 0, EPROTOTYPE: another kind than a datagram one,
 * or another error. */
static int probe(const struct watched *w)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), error;

	snprintf(to.sun_path, sizeof(to.sun_path), "/proc/self/fd/%d", w->fd);
	error = connect(s, (struct sockaddr *)&to, sizeof(to)) == 0 ? 0 : errno;
	close(s);
	return error;
}

/* What /proc/net/unix says of those with that name: a type that one listens with; 0:
 * none listens; -1: there is none. */
static int listed(const char *name)
{
	FILE *f = fopen("/proc/net/unix", "re");
	char line[512];
	int found = -1;

	while (f && found <= 0 && fgets(line, sizeof(line), f)) {
		unsigned flags, type;
		const char *at;
		int path = 0;

		if (sscanf(line, "%*s %*x %*x %x %x %*x %*u %n", &flags, &type,
			   &path) < 2 || path == 0) {
			continue;
		}
		line[strcspn(line, "\n")] = '\0';
		at = strrchr(line + path, '/');
		if (strcmp(at ? at + 1 : line + path, name) == 0) {
			found = flags & ACCEPTS ? (int)type : 0;
		}
	}
	if (f) {
		fclose(f);
	}
	return found;
}

/* One of them. False: it is nothing any more. */
static bool look(struct watched *w, int64_t now, int control)
{
	struct sockets_node node = { .nodeid = w->nodeid };
	int64_t age = now - w->born;
	int error = probe(w), type;

	if (error != EPROTOTYPE &&
	    (error == 0 || w->bound || age >= NEW_MS)) {
		return false;
	}
	w->bound |= error == EPROTOTYPE;
	w->due = now + (age < 2 ? 1 : age / 2 > LOOK_MS ? LOOK_MS : age / 2);
	if (error != EPROTOTYPE || w->type != 0) {
		return true;
	}
	type = listed(w->name);
	if (type < 0 && age >= NEW_MS) {
		type = SOCK_STREAM;
	}
	if (type > 0) {
		node.type = w->type = (uint32_t)type;
		(void)sockets_send(control, SOCKETS_LISTENS, &node,
				   sizeof(node));
	}
	return true;
}

/** Looks at those that it is time for, tells the host; returns when to look again, in
 * ms, or -1. */
int sockets_watch_look(int control)
{
	int64_t now = now_ms(), next = -1;

	for (unsigned i = 0; i < count; ) {
		struct sockets_node node = { .nodeid = watched[i]->nodeid };

		if (watched[i]->due <= now && !look(watched[i], now, control)) {
			(void)sockets_send(control, SOCKETS_GONE, &node,
					   sizeof(node));
			forget(i);
			continue;
		}
		if (next < 0 || watched[i]->due - now < next) {
			next = watched[i]->due - now;
		}
		i++;
	}
	return (int)next;
}

/** The host has forgotten all. */
void sockets_watch_end(void)
{
	while (count > 0) {
		forget(count - 1);
	}
}
