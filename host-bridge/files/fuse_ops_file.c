/* SPDX-License-Identifier: MIT */
/*
 * FUSE requests on a file's content. They go by node: Linux has checked at open
 * what a caller may. Reads show the volume's own blocks, writes put data there as
 * it arrives: nothing is gathered on the way.
 */
#include <errno.h>
#include <string.h>

#include "host-bridge/files/fuse_ops.h"
#include "host-bridge/rt/tsc.h"

#define O_WRONLY	1u
#define O_RDWR		2u

/**
 * The reply's next part: a file is open, for writing counted, so that others know
 * of changes that are not written yet. One for reading is a number and no more:
 * locks are had through it.
 */
int fuse_open_put(struct fuse_request *r, struct fuse_node *node,
		  uint32_t flags)
{
	uint32_t access = flags & FUSE_O_ACCMODE;
	struct fuse_open_out *out = (void *)(r->out + r->out_len);
	int error = 0;

	*out = (struct fuse_open_out){
		.fh = ++r->session->last_fh, .open_flags = FOPEN_KEEP_CACHE,
	};
	fuse_legacy_count(r->session);
	if (access == O_WRONLY || access == O_RDWR) {
		error = fuse_open_new(r->session, node, r->in.uid, out->fh,
				      NULL);
	}
	r->out_len += sizeof(*out);
	return error;
}

/* Whether a file's flags let it be opened so: what Linux asks of its own files'
 * flags, and does not know of ours. */
static bool flags_allow(const struct volume_attr *attr, uint32_t how)
{
	bool writes = (how & FUSE_O_ACCMODE) != 0;

	if ((attr->flags & VOLUME_FL_IMMUTABLE) != 0) {
		return !writes && (how & FUSE_O_TRUNC) == 0;
	}
	return (attr->flags & VOLUME_FL_APPEND) == 0 ||
	       ((!writes || (how & FUSE_O_APPEND) != 0) &&
		(how & FUSE_O_TRUNC) == 0);
}

/**
 * OPEN: fuse_open_in -> fuse_open_out. With O_TRUNC the file is empty when it is
 * open. Only regular files: the others are Linux's own when they are open.
 */
int fuse_open(struct fuse_request *r)
{
	const struct fuse_open_out *out = (const void *)r->out;
	const struct fuse_open_in *in = r->arg;
	struct volume_attr attr;
	int error = volume_getattr(r->vol, r->node->ino, &attr);

	if (error == 0 && (attr.mode & VOLUME_S_IFMT) != VOLUME_S_IFREG) {
		error = (attr.mode & VOLUME_S_IFMT) == VOLUME_S_IFDIR ? EISDIR
								      : ENXIO;
	}
	if (error == 0 && r->session->read_only &&
	    (in->flags & FUSE_O_ACCMODE) != 0) {
		error = EROFS;
	}
	if (error == 0 && !flags_allow(&attr, in->flags)) {
		error = EPERM;
	}
	if (error == 0 && (in->flags & FUSE_O_TRUNC) != 0) {
		error = fuse_again_turn(r, true);
	}
	if (error == 0) {
		error = fuse_open_put(r, r->node, in->flags);
	}
	/* Last, for what is gone is gone. */
	if (error == 0 && (in->flags & FUSE_O_TRUNC) != 0) {
		attr.size = 0;
		error = volume_setattr(r->vol, r->node->ino, VOLUME_SET_SIZE |
				       ((in->open_flags &
					 FUSE_OPEN_KILL_SUIDGID) != 0 ?
					fuse_kill_of(r) : 0), &attr);
		if (error != 0) {
			fuse_open_end(r->session, out->fh);
		}
	}
	return error;
}

/** RELEASE: fuse_release_in. Always succeeds: it may come a second time. */
int fuse_release(struct fuse_request *r)
{
	const struct fuse_release_in *in = r->arg;

	if ((in->release_flags & FUSE_RELEASE_FLOCK_UNLOCK) != 0) {
		fuse_lock_release(r->session, r->node, in->lock_owner, true);
	}
	fuse_lock_close(r->session, r->node, in->fh);
	fuse_open_end(r->session, in->fh);
	return 0;
}

/** READ: fuse_read_in -> data, less than asked only at the file's end. */
int fuse_read(struct fuse_request *r)
{
	const struct fuse_read_in *in = r->arg;

	if (in->size > FUSE_CHANNEL_DATA_MAX) {
		return EINVAL;
	}
	/* FUSE_SEGS_MAX pieces are enough even when no two blocks lie
	 * together. */
	return volume_map(r->vol, r->node->ino, in->offset, in->size,
			  r->session->server->segs + 1, FUSE_SEGS_MAX - 1,
			  &r->seg_count, &r->seg_bytes);
}

/**
 * WRITE: fuse_write_in data -> fuse_write_out. This is when its head is there;
 * len bytes of data will be.
 */
int fuse_write_begin(struct fuse_request *r, const struct fuse_write_in *in,
		     uint32_t len)
{
	struct volume_attr attr;
	int error;

	if (r->session->minor == 0) {
		return EPROTO;
	}
	if (in->size != len || in->offset > (uint64_t)INT64_MAX - len ||
	    r->in.total_extlen != 0) {
		return EINVAL;
	}
	error = fuse_node_get(r->session, r->in.nodeid, r->in.uid, &r->node);
	if (error == 0 && (in->write_flags & FUSE_WRITE_KILL_SUIDGID) != 0) {
		error = volume_setattr(r->vol, r->node->ino, fuse_kill_of(r),
				       &attr);
	}
	return error;
}

/**
 * The data was there, count bytes of it are written. The answer says how many
 * blocks the file has now, so that Linux need not ask.
 */
void fuse_write_end(struct fuse_request *r, uint32_t ino, uint32_t count,
		    int error)
{
	struct fuse_write_out *out = (void *)r->out;
	struct volume_attr attr;

	/* What is short would be taken for lasting, as far as it goes. */
	if (error != 0 && r->again != NULL &&
	    (r->again->write.flags & FUSE_O_DSYNC) != 0) {
		count = 0;
	}
	if (error == 0 || count > 0) {
		*out = (struct fuse_write_out){
			.size = count, .padding = UINT32_MAX,
		};
		if (volume_getattr(r->vol, ino, &attr) == 0 &&
		    attr.blocks < UINT32_MAX) {
			out->padding = (uint32_t)attr.blocks;
		}
		r->out_len = sizeof(*out);
		error = 0;
	}
	r->node = fuse_node_find(r->session, ino);
	r->changed = count > 0;
	fuse_request_done(r, error);
}

/**
 * Writes the next bytes of a WRITE; *done: how many, also when it says EAGAIN. After
 * another error the rest is not written: it would leave a gap.
 */
int fuse_write_some(struct fuse_request *r, uint32_t ino, uint64_t offset,
		    const uint8_t *data, size_t len, size_t *done)
{
	int error = 0;

	for (*done = 0; error == 0 && *done < len; ) {
		size_t some = 0;

		error = fuse_again_turn(r, true);
		if (error == 0) {
			error = volume_write(r->vol, ino, offset + *done,
					     data + *done, len - *done, &some);
		}
		*done += some;
		/* On a disk it was as far as was in memory. */
		if (error == 0 && *done < len &&
		    (r->again == NULL || some == 0)) {
			error = ENOSPC;
		}
	}
	return error;
}

/**
 * A WRITE to be answered when it is lasting (O_SYNC, O_DSYNC): Linux asks for that
 * by itself, but not with O_DIRECT. What is written is. Returns 0, EAGAIN or EIO.
 */
int fuse_write_lasts(struct fuse_request *r, const struct fuse_write_in *in,
		     uint32_t ino)
{
	return (in->flags & FUSE_O_DSYNC) == 0 || r->again == NULL
	       ? 0 : fuse_again_sync(r, ino);
}

/** A WRITE that has waited: what is left of it, which r->again has. */
void fuse_write_again(struct fuse_request *r)
{
	struct fuse_again *again = r->again;
	const struct fuse_write_in *in = &again->write;
	uint32_t ino = 0;
	size_t done = 0;
	/* Or all is written, and not lasting yet. */
	bool over = again->count > 0 && again->len == 0;
	int error = fuse_again_turn(r, !over);

	if (error == 0) {
		error = again->count == 0
			? fuse_write_begin(r, in, in->size)
			: fuse_node_get(r->session, r->in.nodeid, r->in.uid,
					&r->node);
	}
	if (error == 0) {
		ino = r->node->ino;
		error = fuse_write_some(r, ino, in->offset + again->count,
					again->body, again->len, &done);
	}
	again->count += (uint32_t)done;
	again->len -= (uint32_t)done;
	if (error == 0) {
		error = fuse_write_lasts(r, in, ino);
	}
	if (error == EAGAIN) {
		memmove(again->body, again->body + done, again->len);
		error = fuse_again_put(r, NULL, 0);
		if (error == 0) {
			return;
		}
	}
	fuse_write_end(r, ino, again->count, error);
	fuse_again_end(again);
}

/** FLUSH: fuse_flush_in: a process has closed it, and loses its locks. */
int fuse_flush(struct fuse_request *r)
{
	const struct fuse_flush_in *in = r->arg;

	fuse_lock_release(r->session, r->node, in->lock_owner, false);
	return 0;
}

/** FSYNC, FSYNCDIR: fuse_fsync_in. As lasting as the volume's device is. */
int fuse_fsync(struct fuse_request *r)
{
	struct fuse_again *again = r->again;
	uint64_t begun = tsc_now();
	int error;

	if (again != NULL && again->begun == 0) {
		again->begun = begun;
	}
	error = again != NULL ? fuse_again_sync(r, r->node->ino)
			      : volume_fsync(r->vol, r->node->ino);
	if (error == 0) {
		latency_add(&r->session->server->lasting, tsc_now() -
			    (again != NULL ? again->begun : begun));
	}
	return error;
}

/** See fuse_server.h. */
const struct latency *fuse_server_lasting(const struct fuse_server *server)
{
	return &server->lasting;
}
