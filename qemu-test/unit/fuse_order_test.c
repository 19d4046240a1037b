/* SPDX-License-Identifier: MIT */
/*
 * Nobody reads what was true before. Several sessions, each a Linux that keeps
 * names and content until it is told to drop them, and the console make, remove,
 * write and read a few files at random; notifications are carried out late,
 * connections are lost. All changes have one order, the server's. Each read must
 * give a state that is no older than the last change that had been acknowledged
 * when it began.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/files/fuse_server_int.h"
#include "qemu-test/unit/fuse_peer.h"

#define STEPS		100000u
#define NAMES		4u
#define FILES		(STEPS + 1)
#define QUEUE		512u	/* more than can be under way */
#define TEXT		8u	/* bytes of content */

/* What changes: how often it did, and up to where that is acknowledged. */
struct state {
	unsigned now, acked;
};

/* A file that there was once; number 0 is none. */
static struct file {
	uint64_t node;		/* 0: nobody has asked yet */
	uint32_t ino;
	struct state content;
	char text[TEXT + 1];
} files[FILES];
static unsigned file_count;

static struct name {
	struct state state;
	unsigned file;
} names[NAMES];

/* What a Linux has of a name. */
struct cached {
	bool known, content_known;
	unsigned file, version, content_version;
	uint64_t lookups;
};

enum act { NOTHING, MAKE, REMOVE, WRITE };

/* A change that is not acknowledged yet. */
struct change {
	enum act act;
	unsigned name, file, version;
};

static struct kernel {
	struct peer *peer;
	struct cached cached[NAMES];
	struct change change;
	uint64_t unique;
	struct said queue[QUEUE];
	unsigned done, came;	/* of the queue */
} linuxes[PEERS];

static struct change console;
static bool console_locks;	/* its change waits for the lock */
static unsigned reads[2];	/* asked for, from the cache */

static unsigned pick(unsigned count)
{
	static uint64_t x = 88172645463325252;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (unsigned)(x % count);
}

static const char *name_of(unsigned n)
{
	static const char text[NAMES][2] = { "a", "b", "c", "d" };

	return text[n];
}

/* ---- Linux's side ---- */

static void forget(struct kernel *l, uint64_t node, uint64_t lookups)
{
	struct fuse_forget_in in = { .nlookup = lookups };

	if (lookups > 0) {
		(void)ask(l->peer, FUSE_FORGET, node, &in, sizeof(in), NULL);
	}
}

static void drop_name(struct kernel *l, unsigned n)
{
	struct cached *c = &l->cached[n];

	forget(l, files[c->file].node, c->lookups);
	*c = (struct cached){ 0 };
}

static void drop_content(struct kernel *l, uint64_t node)
{
	for (unsigned n = 0; n < NAMES; n++) {
		if (files[l->cached[n].file].node == node) {
			l->cached[n].content_known = false;
		}
	}
}

static void carry_out(struct kernel *l, const struct said *m)
{
	struct fuse_channel_attr attr;

	switch (m->code) {
	case FUSE_NOTIFY_INVAL_ENTRY:
		drop_name(l, m->body[sizeof(struct fuse_notify_inval_entry_out)]
			  - 'a');
		break;
	case FUSE_CHANNEL_NOTIFY_ATTR:
		memcpy(&attr, m->body, sizeof(attr));
		drop_content(l, attr.nodeid);
		for (unsigned n = 0; n < NAMES; n++) {
			if (attr.flags & FUSE_CHANNEL_ATTR_NAMES) {
				drop_name(l, n);
			}
		}
		break;
	}
}

static void told(struct peer *p, const struct said *m)
{
	struct kernel *l = &linuxes[p - peers];

	assert_true(l->came - l->done < QUEUE);
	l->queue[l->came++ % QUEUE] = *m;
}

/* Some of what was told, and acknowledges it. */
static void carry_out_some(struct kernel *l, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		carry_out(l, &l->queue[l->done++ % QUEUE]);
	}
	ack(l->peer, l->peer->acked + count);
}

/* A name is looked at, in the cache if it is there. */
static struct cached *read_name(struct kernel *l, unsigned n)
{
	struct cached *c = &l->cached[n];
	struct file *file;
	uint64_t node;

	reads[c->known]++;
	if (!c->known) {
		node = node_of(l->peer, name_of(n));
		file = &files[names[n].file];
		if (names[n].file != 0 && file->node == 0) {
			file->node = node;
		}
		assert_true(node == file->node);
		assert_true((uint32_t)node == file->ino);
		*c = (struct cached){
			.known = true, .file = names[n].file,
			.version = names[n].state.now, .lookups = node != 0,
		};
	}
	assert_true(c->version >= names[n].state.acked);
	return c;
}

static void read_content(struct kernel *l, unsigned n)
{
	struct cached *c = read_name(l, n);
	struct fuse_read_in in = { .size = TEXT };
	struct file *file = &files[c->file];

	if (c->file == 0) {
		return;
	}
	reads[c->content_known]++;
	if (!c->content_known) {
		memset(l->peer->body, 0, TEXT);
		assert_int_equal(reply(l->peer, ask(l->peer, FUSE_READ,
				       file->node, &in, sizeof(in), NULL)), 0);
		assert_memory_equal(l->peer->body, file->text, TEXT);
		c->content_known = true;
		c->content_version = file->content.now;
	}
	assert_true(c->content_version >= file->content.acked);
}

/* ---- Changes ---- */

static void make_text(struct file *file)
{
	snprintf(file->text, sizeof(file->text), "%08x",
		 ++file->content.now);
}

/* A change by the server's order: it is now. */
static void is_now(struct change *change)
{
	struct name *name = &names[change->name];
	struct file *file = &files[change->file];

	switch (change->act) {
	case MAKE:
		name->file = ++file_count;
		files[name->file].ino = find(f.vol, ROOT,
					     name_of(change->name));
		change->version = ++name->state.now;
		break;
	case REMOVE:
		name->file = 0;
		change->version = ++name->state.now;
		break;
	case WRITE:
		change->version = file->content.now;
		break;
	case NOTHING:
		break;
	}
}

static void is_acked(struct change *change)
{
	struct state *state = change->act == WRITE ?
			      &files[change->file].content :
			      &names[change->name].state;

	if (change->act != NOTHING && change->version > state->acked) {
		state->acked = change->version;
	}
	change->act = NOTHING;
}

static struct change any_change(void)
{
	unsigned n = pick(NAMES);

	return (struct change){
		.act = names[n].file == 0 ? MAKE : pick(3) == 0 ? REMOVE : WRITE,
		.name = n, .file = names[n].file,
	};
}

static uint64_t send_change(struct kernel *l)
{
	const struct change *change = &l->change;
	const char *name = name_of(change->name);

	switch (change->act) {
	case MAKE:
		return make(l->peer, name);
	case REMOVE:
		return ask(l->peer, FUSE_UNLINK, FUSE_ROOT_ID, NULL, 0, name);
	default:
		return write_it(l->peer, files[change->file].node, 0,
				files[change->file].text, 0);
	}
}

static void begin(struct kernel *l)
{
	l->change = any_change();
	if (l->change.act == WRITE) {
		/* By its node, which it has looked up. */
		l->change.file = read_name(l, l->change.name)->file;
		if (l->change.file == 0) {
			l->change.act = NOTHING;
			return;
		}
		make_text(&files[l->change.file]);
		drop_content(l, files[l->change.file].node);
	} else {
		drop_name(l, l->change.name);
	}
	l->unique = send_change(l);
	is_now(&l->change);
}

/* Whether the answer is there. A node that it names is not kept. */
static void look_at(struct kernel *l)
{
	if (reply(l->peer, l->unique) == NONE) {
		return;
	}
	assert_int_equal(reply(l->peer, l->unique), 0);
	if (l->change.act == MAKE) {
		forget(l, ((struct fuse_entry_out *)l->peer->body)->nodeid, 1);
	}
	is_acked(&l->change);
}

/* The connection is lost: what is not acknowledged comes again, and so does the
 * request. */
static void lose(struct kernel *l)
{
	uint64_t last = l->peer->unique;

	fuse_conn_free(l->peer->conn);
	l->came = l->done;
	l->peer->count = l->peer->acked;
	connect_peer(l->peer);
	if (l->change.act != NOTHING) {
		l->peer->unique = l->unique - 2;
		assert_true(send_change(l) == l->unique);
		l->peer->unique = last;
	}
}

static void console_begins(void)
{
	const char *name;

	console = any_change();
	name = name_of(console.name);
	switch (console.act) {
	case MAKE:
		(void)new_file(f.vol, ROOT, name);
		is_now(&console);
		break;
	case REMOVE:
		assert_int_equal(volume_unlink(f.vol, ROOT, NAME(name)), 0);
		is_now(&console);
		break;
	default:
		fuse_server_lock(server, files[console.file].ino, ROOT,
				 NAME(name));
		console_locks = true;
		break;
	}
}

static void console_goes_on(void)
{
	struct file *file = &files[console.file];

	if (!fuse_server_settled(server)) {
		return;
	}
	if (!console_locks) {
		is_acked(&console);
		return;
	}
	/* All have written what they had. Somebody may have removed it. */
	console_locks = false;
	if (names[console.name].file == console.file) {
		make_text(file);
		put(f.vol, file->ino, 0, file->text, TEXT);
		is_now(&console);
	} else {
		console.act = NOTHING;
	}
	fuse_server_unlock(server);
}

static void step(struct kernel *l)
{
	switch (pick(12)) {
	case 0:
	case 1:
		if (l->change.act == NOTHING) {
			begin(l);
		}
		break;
	case 2:
		if (console.act == NOTHING && !console_locks &&
		    fuse_server_settled(server)) {
			console_begins();
		}
		break;
	case 3:
		if (pick(8) == 0) {
			lose(l);
		}
		break;
	case 4:
	case 5:
	case 6:
		carry_out_some(l, pick(l->came - l->done + 1));
		break;
	case 7:
		(void)read_name(l, pick(NAMES));
		break;
	default:
		read_content(l, pick(NAMES));
	}
}

static void one_order(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PEERS; i++) {
		linuxes[i].peer = &peers[i];
	}
	for (unsigned n = 0; n < STEPS; n++) {
		step(&linuxes[pick(PEERS)]);
		for (unsigned i = 0; i < PEERS; i++) {
			if (linuxes[i].change.act != NOTHING) {
				look_at(&linuxes[i]);
			}
		}
		if (console.act != NOTHING || console_locks) {
			console_goes_on();
		}
	}
	assert_true(reads[0] > STEPS / 10 && reads[1] > STEPS / 10);
	assert_true(file_count > STEPS / 100);
}

static int begin_all(void **state)
{
	peer_told = told;
	return setup(state);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_order, begin_all,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
