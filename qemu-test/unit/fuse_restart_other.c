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

#define SEEN_FILES	128u

/* What the other Linux believes: names, and sizes of files. */
static struct {
	enum { UNSEEN, SEEN_FREE, SEEN } names[WORKERS][2][NAMES];
	uint64_t ids[WORKERS][2][NAMES];
	struct seen {
		uint64_t id, count;	/* id 0: none */
		uint32_t size;
	} files[SEEN_FILES];
	struct call *call;		/* GETATTR of id; 0: LOOKUP of the name */
	uint64_t id;
	unsigned worker, in, name;
	uint64_t dir;
	bool late;			/* told something meanwhile */
} other;

static struct seen *seen(uint64_t id)
{
	unsigned i = 0;

	while (i < SEEN_FILES && other.files[i].id != id) {
		i++;
	}
	return i < SEEN_FILES ? &other.files[i] : NULL;
}

/* The directory of that id: all its names, or one, are not to be believed. */
void other_unsee(uint64_t dir, const char *name, size_t len)
{
	for (unsigned i = 0; i < WORKERS; i++) {
		for (unsigned in = 0; in < 2; in++) {
			for (unsigned n = 0; n < NAMES; n++) {
				if (restart_dir(&workers[i], in) == dir &&
				    (name == NULL ||
				     (strlen(restart_name(n)) == len &&
				      memcmp(restart_name(n), name, len) == 0))) {
					other.names[i][in][n] = UNSEEN;
				}
			}
		}
	}
}

void world_notice(unsigned guest, int code, const void *body)
{
	const struct fuse_notify_inval_entry_out *entry_out = body;
	const struct fuse_channel_attr *attr = body;
	struct seen *file;

	if (guest == 0) {
		return;
	}
	other.late = true;
	if (code == FUSE_NOTIFY_INVAL_ENTRY) {
		other_unsee(entry_out->parent, (const char *)(entry_out + 1),
		      entry_out->namelen);
	} else if (code == FUSE_CHANNEL_NOTIFY_ATTR) {
		file = seen(attr->nodeid);
		if (file != NULL) {
			file->size = (uint32_t)attr->size;
		}
		if (attr->flags & FUSE_CHANNEL_ATTR_NAMES) {
			other_unsee(attr->nodeid, NULL, 0);
		}
	}
}

/* What it has looked up is there, by the id that it was told, unless somebody is
 * just doing something about it. */
static void is_there(void)
{
	unsigned error = (unsigned)other.call->error;

	for (unsigned i = 0; error != 0 && i < WORKERS; i++) {
		for (unsigned n = 0; n < 2 * NAMES; n++) {
			const struct worker *w = &workers[i];

			if (other.names[i][n / NAMES][n % NAMES] == SEEN &&
			    other.ids[i][n / NAMES][n % NAMES] == other.id &&
			    w->call == NULL && !other.late) {
				IS(error, 0);
			}
		}
	}
}

/* Its look-up is answered. */
static void have_seen(void)
{
	const struct fuse_entry_out *out = (const void *)other.call->reply;
	struct seen *file;

	if (other.call->error == 0 && out->nodeid != 0) {
		file = seen(out->nodeid);
		file = file != NULL ? file : seen(0);
		assert_non_null(file);
		if (file->id == 0) {
			*file = (struct seen){ .id = out->nodeid };
			/* Else it asks again, sooner or later. */
			file->size = other.late ? UINT32_MAX
						: (uint32_t)out->attr.size;
		}
		file->count++;
	}
	if (other.call->error == 0 && !other.late) {
		other.names[other.worker][other.in][other.name] =
			out->nodeid != 0 ? SEEN : SEEN_FREE;
		other.ids[other.worker][other.in][other.name] = out->nodeid;
	}
}

/* It looks a name up, or forgets a file. */
void other_look(void)
{
	struct seen *file = &other.files[world_chance(SEEN_FILES)];

	if (other.call != NULL) {
		if (other.call->answered) {
			doing = "the other Linux";
			if (other.id != 0) {
				is_there();
			} else {
				have_seen();
			}
			world_done(other.call);
			other.call = NULL;
		}
		return;
	}
	other.late = false;
	other.id = world_chance(2) == 0 ? file->id : 0;
	if (other.id != 0) {
		struct fuse_getattr_in in = { 0 };

		other.call = world_call(1, FUSE_GETATTR, other.id);
		call_put(other.call, &in, sizeof(in));
		world_send(other.call);
		return;
	}
	if (file->id != 0 && world_chance(8) == 0) {
		world_forget(1, file->id, file->count);
		for (unsigned i = 0; i < WORKERS * 2 * NAMES; i++) {
			if ((&other.ids[0][0][0])[i] == file->id) {
				(&other.names[0][0][0])[i] = UNSEEN;
			}
		}
		file->id = 0;
		return;
	}
	other.worker = world_chance(WORKERS);
	other.in = workers[other.worker].sub != 0 ? world_chance(2) : 0;
	other.name = world_chance(NAMES);
	other.call = world_call(1, FUSE_LOOKUP,
				restart_dir(&workers[other.worker], other.in));
	call_name(other.call, restart_name(other.name));
	world_send(other.call);
}

/* A worker was answered: what the other believes of its files is so. */
void other_is_right(const struct worker *w)
{
	unsigned at = (unsigned)(w - workers);

	for (unsigned in = 0; in < 1u + (w->sub != 0); in++) {
		for (unsigned n = 0; n < NAMES; n++) {
			const struct file *file = w->names[in][n];

			if (other.names[at][in][n] != UNSEEN) {
				IS(other.names[at][in][n] == SEEN
				   ? other.ids[at][in][n] : 0,
				   file != NULL ? file->node : 0);
			}
		}
	}
	for (unsigned i = 0; i < FILES; i++) {
		const struct file *file = &w->files[i];
		const struct seen *s = file->used ? seen(file->node) : NULL;

		if (s != NULL && s->size != UINT32_MAX) {
			IS(s->size, file->size);
		}
	}
}

void other_begin(void)
{
	memset(&other, 0, sizeof(other));
}
