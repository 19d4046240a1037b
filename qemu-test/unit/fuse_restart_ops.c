/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qemu-test/unit/fuse_restart.h"

#define EXCHANGE	2u
#define NOREPLACE	1u
#define O_EXCL_		0200u

/* An answer names a file. */
static void entry(struct worker *w, struct file *file)
{
	const struct fuse_entry_out *out = (const void *)w->call->reply;

	if (file->id == 0) {
		file->id = file->node = out->nodeid;
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

void ops_send(struct worker *w, void (*then)(struct worker *w), int error)
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
	w->call = world_call(0, unnamed ? FUSE_TMPFILE : FUSE_CREATE,
			     restart_dir(w, w->in));
	call_put(w->call, &in, sizeof(in));
	call_name(w->call, restart_name(w->name));
	ops_send(w, made_file, !unnamed && w->names[w->in][w->name] != NULL
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
	w->call = world_call(0, FUSE_LINK, restart_dir(w, w->in));
	call_put(w->call, &in, sizeof(in));
	call_name(w->call, restart_name(w->name));
	ops_send(w, linked, w->names[w->in][w->name] != NULL ? EEXIST : 0);
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
	w->call = world_call(0, FUSE_UNLINK, restart_dir(w, w->in));
	call_name(w->call, restart_name(w->name));
	ops_send(w, removed, w->names[w->in][w->name] == NULL ? ENOENT : 0);
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
	in = (struct fuse_rename2_in){ restart_dir(w, w->in2), w->flags, 0 };
	w->call = world_call(0, FUSE_RENAME2, restart_dir(w, w->in));
	call_put(w->call, &in, sizeof(in));
	call_name(w->call, restart_name(w->name));
	call_name(w->call, restart_name(w->name2));
	ops_send(w, moved, from == NULL ? ENOENT :
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
	w->call = world_call(0, FUSE_WRITE, file->id);
	call_put(w->call, &in, sizeof(in));
	call_put(w->call, file->data + in.offset, w->len);
	ops_send(w, wrote, 0);
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

void ops_read(struct worker *w, struct file *file)
{
	struct fuse_read_in in = { .size = SIZE };

	w->file = file;
	w->call = world_call(0, FUSE_READ, file->id);
	call_put(w->call, &in, sizeof(in));
	ops_send(w, have_read, 0);
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

void ops_look_up(struct worker *w)
{
	w->call = world_call(0, FUSE_LOOKUP, restart_dir(w, w->in));
	call_name(w->call, restart_name(w->name));
	ops_send(w, looked_up, 0);
}

static void got_attr(struct worker *w)
{
	const struct fuse_attr_out *out = (const void *)w->call->reply;

	IS(out->attr.nlink, w->file->links);
	IS(out->attr.size, w->file->size);
}

void ops_get_attr(struct worker *w, struct file *file)
{
	struct fuse_getattr_in in = { 0 };

	w->file = file;
	w->call = world_call(0, FUSE_GETATTR, file->id);
	call_put(w->call, &in, sizeof(in));
	ops_send(w, got_attr, 0);
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
	w->call = world_call(0, FUSE_SETATTR, file->id);
	call_put(w->call, &in, sizeof(in));
	ops_send(w, got_attr, 0);
}

static void fsync_it(struct worker *w, const struct file *file)
{
	struct fuse_fsync_in in = { 0 };

	w->call = world_call(0, FUSE_FSYNC, file->id);
	call_put(w->call, &in, sizeof(in));
	ops_send(w, NULL, 0);
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
	w->call = world_call(0, file->open ? FUSE_RELEASE : FUSE_OPEN, file->id);
	if (file->open) {
		call_put(w->call, &release, sizeof(release));
	} else {
		call_put(w->call, &in, sizeof(in));
	}
	ops_send(w, file->open ? closed : opened, 0);
}

static void set_attr(struct worker *w, struct file *file)
{
	struct fuse_setxattr_in in = { .size = 3, .flags = 1 };
	bool set = world_chance(2);

	w->call = world_call(0, set ? FUSE_SETXATTR : FUSE_REMOVEXATTR, file->id);
	if (set) {
		call_put(w->call, &in, sizeof(in));
	}
	call_name(w->call, "user.n");
	if (set) {
		call_put(w->call, "123", 3);
	}
	ops_send(w, NULL, set == file->attr ? (set ? EEXIST : ENODATA) : 0);
	file->attr = set;
}

static void made_dir(struct worker *w)
{
	w->sub = ((const struct fuse_entry_out *)w->call->reply)->nodeid;
}

static void removed_dir(struct worker *w)
{
	if (w->error == 0) {
		world_forget(0, w->sub, 1);
		other_unsee(w->sub, NULL, 0);
		w->sub = 0;
	}
}

static void sub_dir(struct worker *w)
{
	struct fuse_mkdir_in in = { .mode = 0755 };
	int error = 0;

	w->call = world_call(0, w->sub == 0 ? FUSE_MKDIR : FUSE_RMDIR, w->dir);
	if (w->sub == 0) {
		call_put(w->call, &in, sizeof(in));
	}
	call_name(w->call, "sub");
	for (unsigned i = 0; i < NAMES; i++) {
		error = w->names[1][i] != NULL ? ENOTEMPTY : error;
	}
	ops_send(w, w->sub == 0 ? made_dir : removed_dir, error);
}

/* Linux forgets a file, and looks it up again at once if it has a name. */
static void forget_it(struct worker *w, struct file *file)
{
	if (file->open) {
		return;
	}
	world_forget(0, file->id, file->count);
	file->id = file->count = 0;
	file->used = file->links > 0;
	for (unsigned i = 0; file->used && i < 2 * NAMES; i++) {
		if (w->names[i / NAMES][i % NAMES] == file) {
			w->in = i / NAMES;
			w->name = i % NAMES;
		}
	}
	if (file->used) {
		ops_look_up(w);
	}
}

/* A request of a worker's, or a FORGET; or nothing. */
void ops_act(struct worker *w)
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
		ops_look_up(w);
	} else if (what < 11) {
		make(w, true);
	} else if (what < 12) {
		sub_dir(w);
	} else if (file == NULL) {
		return;
	} else if (what < 14) {
		write_some(w);
	} else if (what < 15) {
		ops_read(w, file);
	} else if (what < 16) {
		ops_get_attr(w, file);
	} else if (what < 17) {
		resize(w, file);
	} else if (what < 18) {
		set_attr(w, file);
	} else if (what < 19) {
		open_or_close(w, file);
	} else if (world_chance(8) == 0) {
		fsync_it(w, file);
	} else {
		forget_it(w, file);
	}
}
