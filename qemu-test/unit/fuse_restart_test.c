/* SPDX-License-Identifier: MIT */
/*
 * Programs in Linux make, link, move, remove, write and read files, also such without
 * a name, while the host's program ends at any instant, as it begins, too: what each
 * is answered is what it would be without that, and so is what is there at the end.
 * Each has a directory of its own, and knows what is in there.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qemu-test/unit/fuse_restart_world.h"

#define WORKERS		6u
#define FILES		8u
#define NAMES		5u
#define SIZE		5000u
#define EXCHANGE	2u
#define NOREPLACE	1u
#define O_EXCL_		0200u

struct file {
	bool used, linkable, open, attr;
	uint64_t id;			/* 0: Linux does not know it */
	uint64_t count;			/* of what has named it */
	uint64_t fh;
	unsigned links;
	uint32_t size;
	uint8_t data[SIZE];
};

struct worker {
	uint64_t dir;
	uint64_t sub;			/* in there; 0: there is none */
	uint64_t sub_count;
	struct file files[FILES];
	struct file *names[2][NAMES];
	struct call *call;
	void (*then)(struct worker *w);	/* it was answered */
	/* What then() is to know. */
	int error;			/* as it should be */
	struct file *file;
	unsigned in, name, in2, name2, flags;
	uint32_t at, len;
};

static struct worker workers[WORKERS];
static struct image made;
static uint64_t the_seed;
static const char *doing;

static uint64_t dir_of(const struct worker *w, unsigned in)
{
	return in == 0 ? w->dir : w->sub;
}

static const char *text(unsigned name)
{
	static const char *const names[NAMES] = {
		"a", "b", "a-longer-name", "d", "e",
	};

	return names[name];
}

static void is_error(const struct worker *w)
{
	if (w->call->error != w->error) {
		fail_msg("seed %lu, worker %u: %s: errno %d, not %d, after %u "
			 "ends", (unsigned long)the_seed,
			 (unsigned)(w - workers), doing, w->call->error,
			 w->error, counts.ends);
	}
}

#define IS(a, b) is((a), (b), #a, w)

static void is(uint64_t a, uint64_t b, const char *what, const struct worker *w)
{
	if (a != b) {
		fail_msg("seed %lu, worker %u: %s: %s is %lu, not %lu, after %u "
			 "ends", (unsigned long)the_seed,
			 (unsigned)(w - workers), doing, what,
			 (unsigned long)a, (unsigned long)b, counts.ends);
	}
}

/* An answer names a file. */
static void entry(struct worker *w, struct file *file)
{
	const struct fuse_entry_out *out = (const void *)w->call->reply;

	if (file->id == 0) {
		file->id = out->nodeid;
	}
	IS(out->nodeid, file->id);
	IS(out->attr.nlink, file->links);
	IS(out->attr.size, file->size);
	file->count++;
}

static struct file *unused(struct worker *w)
{
	for (unsigned i = 0; i < FILES; i++) {
		if (!w->files[i].used) {
			return &w->files[i];
		}
	}
	return NULL;
}

/* One that Linux knows, by chance; NULL: none. */
static struct file *known(struct worker *w)
{
	unsigned at = world_chance(FILES);

	for (unsigned i = 0; i < FILES; i++) {
		struct file *file = &w->files[(at + i) % FILES];

		if (file->used && file->id != 0) {
			return file;
		}
	}
	return NULL;
}

static void send(struct worker *w, void (*then)(struct worker *w), int error)
{
	w->then = then;
	w->error = error;
	world_send(w->call);
}

/* ---- What they do ---- */

static void made_file(struct worker *w)
{
	struct file *file = w->file;

	if (w->error != 0) {
		return;
	}
	memset(file, 0, sizeof(*file));
	file->used = true;
	file->links = w->flags;
	file->linkable = w->flags == 0;
	entry(w, file);
	file->fh = ((const struct fuse_open_out *)(w->call->reply +
		    sizeof(struct fuse_entry_out)))->fh;
	file->open = true;
	if (file->links > 0) {
		w->names[w->in][w->name] = file;
	}
}

static void make(struct worker *w, bool unnamed)
{
	struct fuse_create_in in = { .flags = 2 | O_EXCL_, .mode = 0100644 };

	w->file = unused(w);
	if (w->file == NULL) {
		return;
	}
	w->flags = !unnamed;
	w->call = world_call(unnamed ? FUSE_TMPFILE : FUSE_CREATE,
			     dir_of(w, w->in));
	call_put(w->call, &in, sizeof(in));
	call_name(w->call, text(w->name));
	send(w, made_file, !unnamed && w->names[w->in][w->name] != NULL
	     ? EEXIST : 0);
}

static void linked(struct worker *w)
{
	if (w->error == 0) {
		w->file->links++;
		w->names[w->in][w->name] = w->file;
		entry(w, w->file);
	}
}

static void give_name(struct worker *w)
{
	struct fuse_link_in in;

	w->file = known(w);
	/* Linux gives no name to what had one, and has none. */
	if (w->file == NULL || (w->file->links == 0 && !w->file->linkable)) {
		return;
	}
	in.oldnodeid = w->file->id;
	w->call = world_call(FUSE_LINK, dir_of(w, w->in));
	call_put(w->call, &in, sizeof(in));
	call_name(w->call, text(w->name));
	send(w, linked, w->names[w->in][w->name] != NULL ? EEXIST : 0);
	w->file->linkable = w->file->linkable && w->error != 0;
}

/* One name less. */
static void unnamed(struct file *file)
{
	file->links--;
	if (file->links == 0 && file->id == 0) {
		file->used = false;
	}
}

static void removed(struct worker *w)
{
	if (w->error == 0) {
		unnamed(w->names[w->in][w->name]);
		w->names[w->in][w->name] = NULL;
	}
}

static void take_name(struct worker *w)
{
	w->call = world_call(FUSE_UNLINK, dir_of(w, w->in));
	call_name(w->call, text(w->name));
	send(w, removed, w->names[w->in][w->name] == NULL ? ENOENT : 0);
}

static void moved(struct worker *w)
{
	struct file **from = &w->names[w->in][w->name];
	struct file **to = &w->names[w->in2][w->name2], *gone = *to;

	if (w->error != 0 || *from == *to) {
		return;
	}
	*to = *from;
	*from = w->flags == EXCHANGE ? gone : NULL;
	if (w->flags != EXCHANGE && gone != NULL) {
		unnamed(gone);
	}
}

static void move_name(struct worker *w)
{
	struct fuse_rename2_in in;
	const struct file *from, *to;

	w->in2 = w->sub != 0 ? world_chance(2) : 0;
	w->name2 = world_chance(NAMES);
	if (w->in == w->in2 && w->name == w->name2) {
		return;
	}
	w->flags = world_chance(3);
	from = w->names[w->in][w->name];
	to = w->names[w->in2][w->name2];
	in = (struct fuse_rename2_in){ dir_of(w, w->in2), w->flags, 0 };
	w->call = world_call(FUSE_RENAME2, dir_of(w, w->in));
	call_put(w->call, &in, sizeof(in));
	call_name(w->call, text(w->name));
	call_name(w->call, text(w->name2));
	send(w, moved, from == NULL ? ENOENT :
	     w->flags == EXCHANGE && to == NULL ? ENOENT :
	     w->flags == NOREPLACE && to != NULL ? EEXIST : 0);
}

static void wrote(struct worker *w)
{
	IS(((const struct fuse_write_out *)w->call->reply)->size, w->len);
}

static void write_some(struct worker *w)
{
	struct fuse_write_in in = { 0 };
	struct file *file = known(w);

	if (file == NULL) {
		return;
	}
	w->len = 1 + world_chance(SIZE / 2);
	in.offset = world_chance(SIZE - w->len);
	in.size = w->len;
	if (in.offset > file->size) {
		memset(file->data + file->size, 0, in.offset - file->size);
	}
	for (uint32_t i = 0; i < w->len; i++) {
		file->data[in.offset + i] = (uint8_t)world_chance(256);
	}
	if (in.offset + w->len > file->size) {
		file->size = (uint32_t)in.offset + w->len;
	}
	w->call = world_call(FUSE_WRITE, file->id);
	call_put(w->call, &in, sizeof(in));
	call_put(w->call, file->data + in.offset, w->len);
	send(w, wrote, 0);
}

static void have_read(struct worker *w)
{
	IS(w->call->reply_len, w->file->size);
	for (uint32_t i = 0; i < w->file->size; i++) {
		if (w->call->reply[i] != w->file->data[i]) {
			IS(i, w->file->size);
		}
	}
}

static void read_all(struct worker *w, struct file *file)
{
	struct fuse_read_in in = { .size = SIZE };

	w->file = file;
	w->call = world_call(FUSE_READ, file->id);
	call_put(w->call, &in, sizeof(in));
	send(w, have_read, 0);
}

static void looked_up(struct worker *w)
{
	struct file *file = w->names[w->in][w->name];

	if (file != NULL) {
		entry(w, file);
	} else {
		IS(((const struct fuse_entry_out *)w->call->reply)->nodeid, 0);
	}
}

static void look_up(struct worker *w)
{
	w->call = world_call(FUSE_LOOKUP, dir_of(w, w->in));
	call_name(w->call, text(w->name));
	send(w, looked_up, 0);
}

static void got_attr(struct worker *w)
{
	const struct fuse_attr_out *out = (const void *)w->call->reply;

	IS(out->attr.nlink, w->file->links);
	IS(out->attr.size, w->file->size);
}

static void get_attr(struct worker *w, struct file *file)
{
	struct fuse_getattr_in in = { 0 };

	w->file = file;
	w->call = world_call(FUSE_GETATTR, file->id);
	call_put(w->call, &in, sizeof(in));
	send(w, got_attr, 0);
}

static void resize(struct worker *w, struct file *file)
{
	struct fuse_setattr_in in = {
		.valid = FATTR_SIZE, .size = world_chance(SIZE),
	};

	w->file = file;
	if (in.size > file->size) {
		memset(file->data + file->size, 0, in.size - file->size);
	}
	file->size = (uint32_t)in.size;
	w->call = world_call(FUSE_SETATTR, file->id);
	call_put(w->call, &in, sizeof(in));
	send(w, got_attr, 0);
}

static void done(struct worker *w)
{
	(void)w;
}

static void fsync_it(struct worker *w, const struct file *file)
{
	struct fuse_fsync_in in = { 0 };

	w->call = world_call(FUSE_FSYNC, file->id);
	call_put(w->call, &in, sizeof(in));
	send(w, done, 0);
}

static void closed(struct worker *w)
{
	w->file->open = false;
}

static void opened(struct worker *w)
{
	w->file->open = true;
	w->file->fh = ((const struct fuse_open_out *)w->call->reply)->fh;
}

static void open_or_close(struct worker *w, struct file *file)
{
	struct fuse_release_in release = { .fh = file->fh };
	struct fuse_open_in in = { .flags = 2 };

	w->file = file;
	w->call = world_call(file->open ? FUSE_RELEASE : FUSE_OPEN, file->id);
	if (file->open) {
		call_put(w->call, &release, sizeof(release));
	} else {
		call_put(w->call, &in, sizeof(in));
	}
	send(w, file->open ? closed : opened, 0);
}

static void set_attr(struct worker *w, struct file *file)
{
	struct fuse_setxattr_in in = { .size = 3, .flags = 1 };
	bool set = world_chance(2);

	w->call = world_call(set ? FUSE_SETXATTR : FUSE_REMOVEXATTR, file->id);
	if (set) {
		call_put(w->call, &in, sizeof(in));
	}
	call_name(w->call, "user.n");
	if (set) {
		call_put(w->call, "123", 3);
	}
	send(w, done, set == file->attr ? (set ? EEXIST : ENODATA) : 0);
	file->attr = set;
}

static void made_dir(struct worker *w)
{
	w->sub = ((const struct fuse_entry_out *)w->call->reply)->nodeid;
}

static void removed_dir(struct worker *w)
{
	if (w->error == 0) {
		world_forget(w->sub, 1);
		w->sub = 0;
	}
}

static void sub_dir(struct worker *w)
{
	struct fuse_mkdir_in in = { .mode = 0755 };
	int error = 0;

	w->call = world_call(w->sub == 0 ? FUSE_MKDIR : FUSE_RMDIR, w->dir);
	if (w->sub == 0) {
		call_put(w->call, &in, sizeof(in));
	}
	call_name(w->call, "sub");
	for (unsigned i = 0; i < NAMES; i++) {
		error = w->names[1][i] != NULL ? ENOTEMPTY : error;
	}
	send(w, w->sub == 0 ? made_dir : removed_dir, error);
}

static void forget_it(struct file *file)
{
	if (!file->open) {
		world_forget(file->id, file->count);
		file->id = file->count = 0;
		file->used = file->links > 0;
	}
}

/* A request of a worker's, or a FORGET; or nothing. */
static void act(struct worker *w)
{
	unsigned what = world_chance(20);
	struct file *file = known(w);

	w->in = w->sub != 0 ? world_chance(2) : 0;
	w->name = world_chance(NAMES);
	if (what < 3) {
		make(w, false);
	} else if (what < 5) {
		give_name(w);
	} else if (what < 7) {
		take_name(w);
	} else if (what < 9) {
		move_name(w);
	} else if (what < 10) {
		look_up(w);
	} else if (what < 11) {
		make(w, true);
	} else if (what < 12) {
		sub_dir(w);
	} else if (file == NULL) {
		return;
	} else if (what < 14) {
		write_some(w);
	} else if (what < 15) {
		read_all(w, file);
	} else if (what < 16) {
		get_attr(w, file);
	} else if (what < 17) {
		resize(w, file);
	} else if (what < 18) {
		set_attr(w, file);
	} else if (what < 19) {
		open_or_close(w, file);
	} else if (world_chance(8) == 0) {
		fsync_it(w, file);
	} else {
		forget_it(file);
	}
}

/* Waits for a worker's answer. */
static void finish(struct worker *w, bool ends)
{
	while (w->call != NULL && !w->call->answered) {
		world_turn(ends);
	}
}

static const char *name_of(const struct worker *w)
{
	static char said[32];
	struct fuse_in_header head;

	memcpy(&head, w->call->bytes, sizeof(head));
	snprintf(said, sizeof(said), "opcode %u", head.opcode);
	return said;
}

static void settle(struct worker *w)
{
	if (w->call != NULL && w->call->answered) {
		doing = name_of(w);
		is_error(w);
		w->then(w);
		world_done(w->call);
		w->call = NULL;
	}
}

static void step_into(struct worker *w)
{
	w->dir = ((const struct fuse_entry_out *)w->call->reply)->nodeid;
}

/* The mount, and a directory for each. */
static void set_up(void)
{
	struct fuse_init_in init = {
		.major = 7, .minor = 41, .max_readahead = 1 << 20,
		.flags = UINT32_MAX, .flags2 = UINT32_MAX,
	};
	struct fuse_mkdir_in in = { .mode = 0755 };

	memset(workers, 0, sizeof(workers));
	workers[0].call = world_call(FUSE_INIT, 0);
	call_put(workers[0].call, &init, sizeof(init));
	send(&workers[0], done, 0);
	finish(&workers[0], false);
	settle(&workers[0]);
	for (unsigned i = 0; i < WORKERS; i++) {
		struct worker *w = &workers[i];
		char name[8];

		snprintf(name, sizeof(name), "w%u", i);
		w->call = world_call(FUSE_MKDIR, FUSE_ROOT_ID);
		call_put(w->call, &in, sizeof(in));
		call_name(w->call, name);
		send(w, step_into, 0);
		finish(w, false);
		settle(w);
	}
}

static void look_at_all(struct worker *w)
{
	for (w->in = 0; w->in < 1 + (w->sub != 0); w->in++) {
		for (w->name = 0; w->name < NAMES; w->name++) {
			look_up(w);
			finish(w, false);
			settle(w);
		}
	}
	for (unsigned i = 0; i < FILES; i++) {
		if (w->files[i].used) {
			read_all(w, &w->files[i]);
			finish(w, false);
			settle(w);
			get_attr(w, &w->files[i]);
			finish(w, false);
			settle(w);
		}
	}
}

static void play(uint64_t seed, unsigned turns)
{
	struct image image;

	the_seed = seed;
	world_begin(&made, BLOCK_HAS_FLUSH | (seed % 2 ? BLOCK_HAS_FUA : 0),
		    seed);
	set_up();
	for (unsigned i = 0; i < turns; i++) {
		struct worker *w = &workers[world_chance(WORKERS)];

		settle(w);
		if (w->call == NULL) {
			act(w);
		}
		world_turn(true);
	}
	for (unsigned i = 0; i < WORKERS; i++) {
		finish(&workers[i], true);
		settle(&workers[i]);
		look_at_all(&workers[i]);
	}
	world_end(&image);
	if (image_run(&image, "e2fsck -fn image") != 0) {
		fail_msg("seed %lu: e2fsck", (unsigned long)seed);
	}
	image_free(&image);
}

static void over_ends(void **state)
{
	const char *many = getenv("RESTARTS"), *from = getenv("SEED");
	uint64_t first = from != NULL ? strtoull(from, NULL, 0) : 1;
	unsigned rounds = many != NULL ? (unsigned)atoi(many) : 8;
	struct restart_counts all = { 0 };

	(void)state;
	image_make(&made, 1024, "2600K", "-N 256 -J size=1", NULL);
	for (uint64_t seed = first; seed < first + rounds; seed++) {
		play(seed, 40000);
		all.ends += counts.ends;
		all.early += counts.early;
		all.met += counts.met;
		all.again += counts.again;
		all.requests += counts.requests;
	}
	print_message("%u requests; %u ends, %u of them as it began, %u in the "
		      "middle of requests, %u of which went again\n",
		      all.requests, all.ends, all.early, all.met, all.again);
	image_free(&made);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(over_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
