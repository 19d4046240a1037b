/* SPDX-License-Identifier: MIT */
/*
 * FUSE requests that list directories. A listing has no state: each entry has a
 * cookie that goes on behind it, and a made-up one shows some entries or none and
 * does no harm.
 */
#include <errno.h>
#include <string.h>

#include "host-bridge/files/fuse_ops.h"

#define ALIGN8(n)	(((n) + 7u) & ~(size_t)7)

/* Where entries go; head bytes are left free before each. */
struct listing {
	uint8_t *at, *end;
	size_t head;
	bool full;			/* one did not fit and was left out */
};

/* Puts one entry. False ends the listing: only whole ones are sent. */
static bool listing_entry(void *arg, const struct volume_entry *entry)
{
	struct listing *list = arg;
	struct fuse_dirent dirent = {
		.ino = entry->ino, .off = entry->cookie,
		.namelen = entry->name_len, .type = entry->type,
	};
	size_t len = ALIGN8(list->head + sizeof(dirent) + entry->name_len);
	uint8_t *to = list->at;

	if ((size_t)(list->end - to) < len) {
		list->full = true;
		return false;
	}
	memset(to, 0, len);
	memcpy(to + list->head, &dirent, sizeof(dirent));
	memcpy(to + list->head + sizeof(dirent), entry->name, entry->name_len);
	list->at += len;
	return true;
}

/* Lists into the reply what fits most bytes, and what Linux has room for. */
static int list_dir(struct fuse_request *r, size_t head, uint32_t most)
{
	const struct fuse_read_in *in = r->arg;
	uint32_t size = in->size < most ? in->size : most;
	struct listing list = {
		.at = r->out, .end = r->out + size, .head = head,
	};
	int error = volume_readdir(r->vol, r->node->ino, in->offset,
				   listing_entry, &list);

	if (error == 0 && list.full && list.at == r->out) {
		error = EINVAL;		/* not even one entry fits */
	}
	r->out_len = (uint32_t)(list.at - r->out);
	return error;
}

/** READDIR: fuse_read_in -> fuse_dirent name .. */
int fuse_readdir(struct fuse_request *r)
{
	return list_dir(r, 0, FUSE_CHANNEL_DATA_MAX);
}

static bool is_dots(const struct fuse_dirent *dirent)
{
	const char *name = (const char *)(dirent + 1);

	return name[0] == '.' && (dirent->namelen == 1 ||
				  (dirent->namelen == 2 && name[1] == '.'));
}

/* Looks at all files that are listed, so that none has to be waited for when the
 * first has been counted; 0 or EAGAIN. */
static int look_ahead(struct fuse_request *r)
{
	int error = 0;

	for (uint32_t at = 0; at < r->out_len; ) {
		struct fuse_direntplus *entry = (void *)(r->out + at);
		struct volume_attr attr;

		if (!is_dots(&entry->dirent) &&
		    volume_getattr(r->vol, (uint32_t)entry->dirent.ino,
				   &attr) == EAGAIN) {
			error = EAGAIN;
		}
		at += ALIGN8(sizeof(*entry) + entry->dirent.namelen);
	}
	return error;
}

/**
 * READDIRPLUS: the same with a fuse_entry_out before each, as LOOKUP would give
 * it. Of "." and ".." Linux wants none; a file for which there is no node is
 * without one, for it can be looked up alone.
 */
int fuse_readdirplus(struct fuse_request *r)
{
	struct fuse_session *s = r->session;
	int error = list_dir(r, sizeof(struct fuse_entry_out),
			     FUSE_READDIR_MAX);

	if (error == 0 && s->server->turns != NULL) {
		error = look_ahead(r);
	}
	/* What follows changes what the volume has in memory, so not before it
	 * has shown the entries. */
	for (uint32_t at = 0; error == 0 && at < r->out_len; ) {
		struct fuse_direntplus *entry = (void *)(r->out + at);

		/* Half of the nodes are for those that are asked for. */
		if (!is_dots(&entry->dirent) &&
		    s->node_count < FUSE_NODES_MAX / 2 &&
		    fuse_entry_of(r, (uint32_t)entry->dirent.ino,
				  &entry->entry_out) != 0) {
			memset(&entry->entry_out, 0, sizeof(entry->entry_out));
		}
		at += ALIGN8(sizeof(*entry) + entry->dirent.namelen);
	}
	return error;
}
