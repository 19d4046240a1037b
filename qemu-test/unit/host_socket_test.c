// SPDX-License-Identifier: MIT
/*
 * The host's own socket: whose a client is, its line in pieces, an answer that is taken
 * in pieces, how many there may be, and what is at its place already.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/fs/volume_call.h"
#include "host-bridge/sockets/sockets.h"
#include "host-bridge/ui/commands.h"
#include "host-bridge/ui/host_commands.h"
#include "host-bridge/ui/host_socket.h"
#include "host-bridge/ui/outbox.h"

#define ANSWER	5000u

/* ---- What is below ---- */

struct sockets_own {
	void *arg;
	const char *in;			/* that it has sent, not read yet */
	bool has_ended, gone;		/* the client */
	size_t room, got;		/* of the answer */
	bool ended;
};

static const struct sockets_server *server;
static uint64_t listens_at;
static uint32_t mode;
static int path_error;
static unsigned shown, made;
static const struct host_commands *asked_of;
static char asked[1100];

int sockets_own_listen(uint64_t nodeid, const struct sockets_server *of)
{
	listens_at = nodeid;
	server = of;
	return 0;
}

void *sockets_own_arg(const struct sockets_own *own)
{
	return own->arg;
}

void sockets_own_set_arg(struct sockets_own *own, void *arg)
{
	own->arg = arg;
}

bool sockets_own_gone(const struct sockets_own *own)
{
	return own->gone;
}

enum sockets_own_is sockets_own_is(const struct sockets_own *own)
{
	return own->has_ended && !*own->in ? SOCKETS_OWN_ENDED
					   : SOCKETS_OWN_OPEN;
}

size_t sockets_own_read(struct sockets_own *own, void *to, size_t size)
{
	size_t n = strlen(own->in) < size ? strlen(own->in) : size;

	memcpy(to, own->in, n);
	own->in += n;
	return n;
}

size_t sockets_own_write(struct sockets_own *own, const void *data, size_t len)
{
	size_t n = len < own->room ? len : own->room;

	assert_false(own->ended);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(((const char *)data)[i], 'x');
	}
	own->room -= n;
	own->got += n;
	return n;
}

void sockets_own_end(struct sockets_own *own)
{
	own->ended = true;
	own->gone |= own->has_ended;
}

void host_commands_show(struct host_commands *hc, const char *line, size_t len,
			struct outbox *out)
{
	static char text[ANSWER];
	uint32_t status = 0;

	shown++;
	asked_of = hc;
	memcpy(asked, line, len);
	asked[len] = '\0';
	memset(text, 'x', sizeof(text));
	outbox_frame(out, AGENT_STDOUT, text, sizeof(text) - 1);
	outbox_frame(out, AGENT_STDERR, text, 1);
	outbox_frame(out, AGENT_EXIT, &status, sizeof(status));
	outbox_text(out);
}

int volume_call_turn(struct volume_call *call)
{
	(void)call;
	return 0;
}

bool volume_call_again(struct volume_call *call, int error)
{
	(void)call;
	(void)error;
	return false;
}

int volume_path(struct volume *vol, const char *path, bool follow,
		uint32_t *ino)
{
	(void)vol;
	(void)path;
	assert_false(follow);
	*ino = 12;
	return path_error;
}

int volume_path_parent(struct volume *vol, const char *path, uint32_t *dir,
		       const char **name, size_t *len)
{
	(void)vol;
	*dir = VOLUME_ROOT;
	*name = path + 1;
	*len = strlen(path + 1);
	return 0;
}

int volume_create(struct volume *vol, uint32_t dir, const char *name,
		  size_t len, const struct volume_make *make, uint32_t *ino)
{
	(void)vol;
	assert_int_equal(dir, VOLUME_ROOT);
	assert_memory_equal(name, "h", len);
	mode = make->mode;
	*ino = 13;
	made++;
	return 0;
}

int volume_getattr(struct volume *vol, uint32_t ino, struct volume_attr *attr)
{
	(void)vol;
	(void)ino;
	*attr = (struct volume_attr){ .gen = 7, .mode = mode };
	return 0;
}

/* ---- Two Linuxes ---- */

#define A	((struct vsock *)8)
#define B	((struct vsock *)16)

static struct command_env all[2] = {
	{ .volume = (void *)8, .count = 2, .vsock = A, .host = (void *)32 },
	{ .vsock = B, .host = (void *)64 },
};

static void test_place(void **state)
{
	(void)state;
	path_error = ENOENT;
	assert_int_equal(host_socket_serve(all, "/h"), 0);
	assert_int_equal(listens_at, 7ull << 32 | 13);
	assert_int_equal(mode, 0140666);
	path_error = 0;
	assert_int_equal(host_socket_serve(all, "/h"), 0);
	assert_int_equal(listens_at, 7ull << 32 | 12);
	assert_int_equal(made, 1);
	mode = 0100644;
	assert_int_equal(host_socket_serve(all, "/h"), EEXIST);
	path_error = ENOTDIR;
	assert_int_equal(host_socket_serve(all, "/h"), ENOTDIR);
}

static void test_line(void **state)
{
	struct sockets_own c = { .in = "stat" };

	(void)state;
	shown = 0;
	assert_true(server->came(&c, B));
	assert_true(server->event(&c));
	c.in = "us --json\nand more";
	c.room = 3000;
	assert_true(server->event(&c));
	assert_string_equal(asked, "status --json");
	assert_ptr_equal(asked_of, all[1].host);
	assert_int_equal(c.got, 3000);
	assert_false(c.ended);
	/* One line; then the rest of the answer, and its end. */
	c.in = "help\n";
	c.room = 3000;
	assert_true(server->event(&c));
	assert_int_equal(shown, 1);
	assert_int_equal(c.got, ANSWER);
	assert_true(c.ended);
	c.gone = true;
	assert_false(server->event(&c));
	/* The client's end is the line's, too. */
	c = (struct sockets_own){ .in = "help", .has_ended = true,
				  .room = ANSWER };
	assert_true(server->came(&c, A));
	assert_false(server->event(&c));
	assert_string_equal(asked, "help");
	assert_ptr_equal(asked_of, all[0].host);
	assert_int_equal(c.got, ANSWER);
}

/* One that is too long is refused as no line; who goes amid his is forgotten. */
static void test_bounds(void **state)
{
	static char text[1500];
	struct sockets_own many[5] = { { .in = "" } }, c = { .in = text };

	(void)state;
	memset(text, 'a', sizeof(text) - 1);
	shown = 0;
	assert_true(server->came(&c, A));
	assert_true(server->event(&c));
	assert_int_equal(shown, 1);
	assert_string_equal(asked, "");
	c.gone = true;
	assert_false(server->event(&c));
	for (unsigned i = 0; i < 5; i++) {
		many[i].in = "x";
		assert_int_equal(server->came(&many[i], A), i < 4);
	}
	c = (struct sockets_own){ .in = "" };
	assert_true(server->came(&c, B));
	assert_false(server->came(&many[4], (struct vsock *)24));
	c.gone = true;
	assert_false(server->event(&c));
	for (unsigned i = 0; i < 4; i++) {
		many[i].gone = true;
		assert_false(server->event(&many[i]));
	}
	assert_int_equal(shown, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_place), cmocka_unit_test(test_line),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
