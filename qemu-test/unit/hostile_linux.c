/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "host-bridge/ui/commands.h"
#include "host-bridge/ui/commands_linux.h"
#include "host-bridge/ui/console.h"
#include "host-bridge/guest/linux.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/files/fuse_service.h"
#include "host-bridge/ui/places.h"
#include "host-bridge/vsock/vsock.h"
#include "proto/agent.h"
#include "qemu-test/unit/hostile_linux.h"

#define ANSWER_MAX	(256u * 1024)

size_t hostile_piece;
unsigned hostile_turns, hostile_patience;

/* The one connection that a client has. */
struct vsock_conn {
	const struct vsock_ops *ops;
	void *arg;
	bool there, opened;
};

static struct vsock_conn conn;
static struct places places;
static const struct command_env env = { .places = &places };
static hostile_answer answer_to;
static uint8_t request[ANSWER_MAX], answer[ANSWER_MAX];
static size_t request_len, answer_at, answer_len;

struct vsock_conn *vsock_connect(struct vsock *vs, uint32_t port,
				 const struct vsock_ops *ops, void *arg)
{
	(void)vs;
	assert(port == AGENT_PORT_9P && !conn.there);
	conn = (struct vsock_conn){ ops, arg, true, false };
	request_len = answer_at = answer_len = 0;
	return &conn;
}

size_t vsock_send(struct vsock_conn *to, const void *data, size_t len)
{
	assert(to == &conn && conn.there);
	assert(len <= sizeof(request) - request_len);
	memcpy(request + request_len, data, len);
	request_len += len;
	return len;
}

void vsock_reset(struct vsock_conn *to)
{
	assert(to == &conn && conn.there);
	conn.there = false;
}

void vsock_shutdown(struct vsock_conn *to, unsigned flags)
{
	(void)flags;
	vsock_reset(to);
}

void *vsock_arg(const struct vsock_conn *of)
{
	return of->arg;
}

void vsock_set_arg(struct vsock_conn *of, void *arg)
{
	of->arg = arg;
}

/* One turn: opens, or gives a piece of the answer, or makes one. Nothing more
 * to say: hangs up. */
void loop_step(uint64_t deadline)
{
	size_t n = answer_len - answer_at;

	hostile_turns++;
	if (!conn.there || deadline == 0) {
		return;
	}
	if (!conn.opened) {
		conn.opened = true;
		conn.ops->on_open(&conn);
		return;
	}
	if (n == 0 && request_len > 0) {
		n = answer_len = answer_to(request, request_len, answer,
					   sizeof(answer));
		answer_at = request_len = 0;
	}
	if (n == 0) {
		conn.there = false;
		conn.ops->on_close(&conn, ECONNRESET);
		return;
	}
	n = hostile_piece != 0 && hostile_piece < n ? hostile_piece : n;
	answer_at += n;
	conn.ops->on_data(&conn, answer + answer_at - n, n);
}

uint64_t loop_uptime_ms(void)
{
	return 0;
}

bool console_interrupted(void)
{
	return hostile_patience != 0 && hostile_turns >= hostile_patience;
}

bool console_go_on(void)
{
	loop_step(0);
	return !console_interrupted();
}

const struct command_env *commands_linux_named(const struct command_env *of,
					       const char *name)
{
	(void)name;
	return of;
}

const struct command_env *commands_linux_find(const struct command_env *of,
					      const char *name)
{
	return commands_linux_named(of, name);
}

void commands_linux_names(const struct command_env *of, struct completion *c,
			  const char *end)
{
	(void)of;
	(void)c;
	(void)end;
}

bool commands_linux_wait(const struct command_env *of)
{
	(void)of;
	return true;
}

bool linux_ready(const struct guest *guest)
{
	(void)guest;
	return true;
}

/* Linux as it is first met; the client is made once, for the program. */
static const struct command *begin(hostile_answer answer_now,
				   const char *name)
{
	static bool made;
	const struct command *c = commands_files;

	if (!made) {
		places_init(&places, NULL, NULL, NULL);
		assert(places_add(&places, "linux", (struct vsock *)&conn) == 0);
		made = true;
	}
	if (conn.there) {
		conn.there = false;
		conn.ops->on_close(&conn, 0);
	}
	answer_to = answer_now;
	hostile_turns = 0;
	while (strcmp(c->name, name) != 0) {
		c++;
	}
	return c;
}

void hostile_command(hostile_answer answer_now, const char *line)
{
	char copy[256], *words[WORDS_MAX];
	int count;
	const struct command *c;

	snprintf(copy, sizeof(copy), "%s", line);
	count = words_split(copy, words);
	assert(count > 0);
	c = begin(answer_now, words[0]);
	c->run(&env, count, words, "");
}

void hostile_complete(hostile_answer answer_now, const char *command,
		      const char *prefix, struct completion *found)
{
	completion_init(found, prefix, strlen(prefix));
	begin(answer_now, command)->complete(&env, found);
}

/* No FUSE here. */
void fuse_service_lock(struct fuse_server *server, uint32_t ino, uint32_t dir,
		       const char *name, size_t len)
{
	(void)server;
	(void)ino;
	(void)dir;
	(void)name;
	(void)len;
}
