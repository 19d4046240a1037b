/* SPDX-License-Identifier: MIT */
/*
 * A socket of the host's own under /mnt/host: a program in a Linux writes a line for the
 * console, reads what that prints, and its end. It is for programs to which vsock is
 * not open, as in a container. Only what ends at once and shows how things are is to be
 * had, and of that what the manifest gives to that Linux (host_commands.c), of which a
 * client is known to be; who in it, nobody looks at but the kernel, by the socket's
 * mode.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/host_commands.h"
#include "host-bridge/fs/volume_call.h"
#include "host-bridge/sockets/sockets.h"
#include "host-bridge/ui/commands.h"
#include "host-bridge/ui/host_commands.h"
#include "host-bridge/ui/host_socket.h"
#include "host-bridge/ui/outbox.h"

#define CLIENTS		4u		/* of one Linux */
#define MODE		(VOLUME_S_IFSOCK | 0666u)

struct client {
	struct client *next;
	struct host_commands *of;
	char line[HOST_COMMANDS_LINE];
	size_t len;
	bool asked;			/* the answer is in out */
	struct outbox out;
};

static const struct command_env *linuxes;
static struct client *clients;

static bool came(struct sockets_own *own, const struct vsock *vs)
{
	struct host_commands *of = NULL;
	struct client *c;
	unsigned count = 0;

	for (unsigned i = 0; i < linuxes->count; i++) {
		if (linuxes[i].vsock == vs) {
			of = linuxes[i].host;
		}
	}
	for (c = clients; c; c = c->next) {
		count += c->of == of;
	}
	c = of && count < CLIENTS ? calloc(1, sizeof(*c)) : NULL;
	if (c) {
		c->of = of;
		c->next = clients;
		clients = c;
		sockets_own_set_arg(own, c);
	}
	return c != NULL;
}

/* Takes what has come of the line. What comes behind its end is dropped. */
static void read_line(struct sockets_own *own, struct client *c)
{
	char piece[256];
	size_t n;

	while ((n = sockets_own_read(own, piece, sizeof(piece))) > 0) {
		const char *end = memchr(piece, '\n', n);
		size_t take = end ? (size_t)(end - piece) : n;
		bool fits = take < sizeof(c->line) - c->len;

		if (c->asked) {
			continue;
		}
		if (fits) {
			memcpy(c->line + c->len, piece, take);
			c->len += take;
		}
		if (end || !fits) {
			c->asked = true;
			host_commands_show(c->of, fits ? c->line : "",
					   fits ? c->len : 0, &c->out);
		}
	}
	if (!c->asked && sockets_own_is(own) == SOCKETS_OWN_ENDED) {
		c->asked = true;
		host_commands_show(c->of, c->line, c->len, &c->out);
	}
}

static void write_answer(struct sockets_own *own, struct client *c)
{
	const uint8_t *data;
	size_t len, n;

	while ((len = outbox_rest(&c->out, &data)) > 0 &&
	       (n = sockets_own_write(own, data, len)) > 0) {
		outbox_sent(&c->out, n);
	}
	if (len == 0) {
		sockets_own_end(own);
	}
}

static bool event(struct sockets_own *own)
{
	struct client *c = sockets_own_arg(own), **at = &clients;

	read_line(own, c);
	if (c->asked) {
		write_answer(own, c);
	}
	if (!sockets_own_gone(own)) {
		return true;
	}
	while (*at != c) {
		at = &(*at)->next;
	}
	*at = c->next;
	outbox_free(&c->out);
	free(c);
	return false;
}

/* The node id of a socket at that path, which is made if nothing is there. */
static int make(const struct command_env *env, const char *path, uint64_t *nodeid)
{
	static const struct volume_make as = { .mode = MODE };
	struct volume *vol = env->volume;
	struct volume_turns *turns = env->turns;
	struct volume_attr attr;
	const char *name = "";
	uint32_t dir = 0, ino = 0;
	size_t len = 0;
	int error = VOLUME_LOOK(turns, volume_path(vol, path, false, &ino));

	if (error == ENOENT) {
		error = VOLUME_LOOK(turns, volume_path_parent(vol, path, &dir,
							      &name, &len));
		if (error == 0) {
			error = VOLUME_CHANGE(turns, volume_create(
				vol, dir, name, len, &as, &ino));
		}
	}
	if (error == 0) {
		error = VOLUME_LOOK(turns, volume_getattr(vol, ino, &attr));
	}
	if (error == 0) {
		*nodeid = (uint64_t)attr.gen << 32 | ino;
		error = (attr.mode & VOLUME_S_IFMT) == VOLUME_S_IFSOCK
			? 0 : EEXIST;
	}
	return error;
}

/** See host_socket.h. Once. */
int host_socket_serve(const struct command_env *all, const char *path)
{
	static const struct sockets_server server = { came, event };
	uint64_t nodeid;
	int error = all->volume ? make(all, path, &nodeid) : ENODEV;

	linuxes = all;
	return error ? error : sockets_own_listen(nodeid, &server);
}
