/* SPDX-License-Identifier: MIT */
/*
 * The console as a client of a socket under /mnt/host that a program in a Linux has
 * made: lines that are typed go there, what comes back is shown as it is.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "host-bridge/fs/volume_call.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/sockets/sockets.h"
#include "host-bridge/ui/commands.h"
#include "host-bridge/ui/commands_connect.h"
#include "host-bridge/ui/console.h"

#define KEY_CTRL_D	0x04
#define KEY_CTRL_H	0x08
#define KEY_CTRL_BRACKET	0x1d
#define KEY_DELETE	0x7f

struct talk {
	struct sockets_own *own;
	char line[SOCKETS_OWN_MAX];
	size_t len;
	bool whole, last;	/* the line is to be sent; nothing after it */
	bool left;		/* the user has */
	bool last_cr;		/* LF is of it */
	bool amid;		/* what was shown did not end with a line */
};

/* The node id of the socket at path. 0 or an errno value. */
static int find(const struct command_env *env, const char *path, uint64_t *nodeid)
{
	struct volume_attr attr;
	uint32_t ino = 0;
	int error = ENODEV;

	if (env->volume) {
		error = VOLUME_LOOK(env->turns, volume_path(env->volume, path,
							    true, &ino));
	}
	if (error == 0) {
		error = VOLUME_LOOK(env->turns, volume_getattr(env->volume, ino,
							       &attr));
	}
	if (error == 0) {
		*nodeid = (uint64_t)attr.gen << 32 | ino;
		error = (attr.mode & VOLUME_S_IFMT) == VOLUME_S_IFSOCK
			? 0 : ENOTSOCK;
	}
	return error;
}

/* Takes a character off, with all its bytes. */
static void erase(struct talk *t)
{
	while (t->len > 0 && ((unsigned char)t->line[--t->len] & 0xc0) == 0x80) {
	}
	printf("\b \b");
}

/* A line is whole. One of a stream ends with LF, a packet has none. */
static void end_line(struct talk *t)
{
	if (!sockets_own_packets(t->own)) {
		t->line[t->len++] = '\n';
	}
	t->whole = t->len > 0;
}

static void take_key(struct talk *t, unsigned char key)
{
	if (key == KEY_CTRL_BRACKET) {
		t->left = true;
	} else if (key == KEY_CTRL_D) {
		t->whole = t->len > 0;
		t->last = t->len == 0;
	} else if (key == '\r' || (key == '\n' && !t->last_cr)) {
		printf("\n");
		end_line(t);
	} else if (key == KEY_DELETE || key == KEY_CTRL_H) {
		if (t->len > 0) {
			erase(t);
		}
	} else if ((key >= ' ' || key == '\t') && t->len < sizeof(t->line) - 1) {
		t->line[t->len++] = (char)key;
		putchar(key);
	}
	t->last_cr = key == '\r';
}

/* What came, up to a piece. False: nothing. */
static bool show(struct talk *t)
{
	static char piece[4096];
	size_t n = sockets_own_read(t->own, piece, sizeof(piece));

	if (n == 0) {
		return false;
	}
	fwrite(piece, 1, n, stdout);
	t->amid = piece[n - 1] != '\n';
	if (t->amid && sockets_own_packets(t->own)) {
		printf("\n");
		t->amid = false;
	}
	return true;
}

/* All that can be done without waiting. False: nothing. */
static bool step(struct talk *t)
{
	bool did = show(t);
	int key = -1;

	if (!t->whole && !t->last) {
		key = console_key();
	}
	if (key >= 0) {
		take_key(t, (unsigned char)key);
		did = true;
	}
	if (t->whole && sockets_own_write(t->own, t->line, t->len) > 0) {
		t->whole = false;
		t->len = 0;
		did = true;
	}
	if (t->last && !t->whole) {
		sockets_own_end(t->own);
	}
	fflush(stdout);
	return did;
}

/* Until one of both has enough. */
static void talk(struct talk *t)
{
	bool go_on = true;

	while (go_on && !t->left) {
		bool did = step(t);
		enum sockets_own_is is = sockets_own_is(t->own);

		if (is == SOCKETS_OWN_ENDED || is == SOCKETS_OWN_OVER) {
			return;
		}
		if (did) {
			go_on = console_go_on();
		} else {
			loop_step(LOOP_FOREVER);
			go_on = !console_interrupted();
			printf("%s", go_on ? "" : "^C\n");
		}
	}
}

/** connect PATH [TEXT] */
void commands_connect(const struct command_env *env, int argc, char **argv,
		      const char *rest)
{
	struct talk t = { 0 };
	char path[COMMANDS_PATH] = "";
	uint64_t nodeid;
	int error = EINVAL;

	(void)argc;
	(void)argv;
	if (strlen(rest) < sizeof(path) && words_first(&rest, path)) {
		error = find(env, path, &nodeid);
	}
	if (error == 0) {
		error = sockets_own_connect(nodeid, &t.own);
	}
	if (error != 0) {
		printf("%s: %s\n", path, strerror(error));
		commands_fail();
		return;
	}
	if (*rest) {
		t.len = strlen(rest);
		memcpy(t.line, rest, t.len);
		end_line(&t);
		t.last = true;
	}
	talk(&t);
	if (t.amid) {
		printf("\n");
	}
	if (sockets_own_is(t.own) == SOCKETS_OWN_OVER) {
		printf("%s: the connection was refused, or broken off\n", path);
		commands_fail();
	}
	sockets_own_close(t.own);
}
