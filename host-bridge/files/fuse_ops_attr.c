/* SPDX-License-Identifier: MIT */
/*
 * FUSE requests about a file's attributes, and a link's text. Linux keeps what it
 * is told until it is told otherwise.
 */
#include <errno.h>
#include <string.h>

#include "host-bridge/files/fuse_ops.h"

#define NSEC_MAX	999999999u
/* Of statx(2): all that stat(2) has, and when it was made. */
#define STATX_BASIC	0x7ffu
#define STATX_BTIME	0x800u
#define STATX_ATTR_IMMUTABLE	0x10u
#define STATX_ATTR_APPEND	0x20u
#define STATX_ATTR_NODUMP	0x40u

static int attr_put(struct fuse_request *r)
{
	struct fuse_attr_out *out = (void *)r->out;
	struct volume_attr attr;
	int error = volume_getattr(r->vol, r->node->ino, &attr);

	if (error == 0) {
		*out = (struct fuse_attr_out){ .attr_valid = FUSE_FOREVER };
		fuse_attr_of(&out->attr, &attr);
		r->out_len = sizeof(*out);
	}
	return error;
}

/** GETATTR: fuse_getattr_in -> fuse_attr_out. The node counts, no open file. */
int fuse_getattr(struct fuse_request *r)
{
	return attr_put(r);
}

static struct fuse_sx_time sx_time(struct volume_time time)
{
	return (struct fuse_sx_time){ .tv_sec = time.sec, .tv_nsec = time.nsec };
}

/** STATX: fuse_statx_in -> fuse_statx_out: all there is, whatever is asked. */
int fuse_statx(struct fuse_request *r)
{
	struct fuse_statx_out *out = (void *)r->out;
	struct volume_attr attr;
	int error = volume_getattr(r->vol, r->node->ino, &attr);

	if (error != 0) {
		return error;
	}
	*out = (struct fuse_statx_out){ .attr_valid = FUSE_FOREVER };
	out->stat = (struct fuse_statx){
		.mask = STATX_BASIC | STATX_BTIME, .blksize = 4096,
		/* The numbers are those of the inode's flags. */
		.attributes = attr.flags & (STATX_ATTR_IMMUTABLE |
					    STATX_ATTR_APPEND |
					    STATX_ATTR_NODUMP),
		.attributes_mask = STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND |
				   STATX_ATTR_NODUMP,
		.nlink = attr.nlink, .uid = attr.uid, .gid = attr.gid,
		.mode = (uint16_t)attr.mode, .ino = attr.ino,
		.size = attr.size, .blocks = attr.blocks,
		.atime = sx_time(attr.atime), .btime = sx_time(attr.btime),
		.ctime = sx_time(attr.ctime), .mtime = sx_time(attr.mtime),
		.rdev_major = attr.rdev_major, .rdev_minor = attr.rdev_minor,
	};
	r->out_len = sizeof(*out);
	return 0;
}

/* A time that is to be set: now, by our clock, or the one given. */
static struct volume_time time_of(uint32_t valid, uint32_t now, uint64_t sec,
				  uint32_t nsec)
{
	return (valid & now) != 0 ? volume_now() : (struct volume_time){
		.sec = (int64_t)sec, .nsec = nsec,
	};
}

/* Does a process set times to what it likes? That both are now it may say of a file
 * that it may only add to; and what its kernel knows of a file that was written
 * names an open file. [Linux "fs/attr.c: may_setattr"] */
static bool sets_times(uint32_t valid)
{
	uint32_t touch = FATTR_ATIME | FATTR_ATIME_NOW | FATTR_MTIME;

	return (valid & (FATTR_ATIME | FATTR_MTIME)) != 0 &&
	       (valid & FATTR_FH) == 0 && (valid & touch) != touch;
}

/* EPERM for a file that may only grow. */
static int may_set_times(struct fuse_request *r)
{
	struct volume_attr attr;
	int error = volume_getattr(r->vol, r->node->ino, &attr);

	return error == 0 && (attr.flags & VOLUME_FL_APPEND) != 0 ? EPERM
								   : error;
}

/**
 * SETATTR: fuse_setattr_in -> fuse_attr_out. All of it is changed or nothing.
 * EINVAL for a time that is none, EPERM for one of an append-only file.
 */
int fuse_setattr(struct fuse_request *r)
{
	const struct fuse_setattr_in *in = r->arg;
	uint32_t valid = in->valid;
	struct volume_attr attr = {
		.mode = in->mode, .uid = in->uid, .gid = in->gid,
		.size = in->size,
	};
	unsigned what = 0;
	int error = 0;

	if (in->atimensec > NSEC_MAX || in->mtimensec > NSEC_MAX ||
	    in->ctimensec > NSEC_MAX) {
		return EINVAL;
	}
	if (sets_times(valid)) {
		error = may_set_times(r);
	}
	if (error != 0) {
		return error;
	}
	attr.atime = time_of(valid, FATTR_ATIME_NOW, in->atime, in->atimensec);
	attr.mtime = time_of(valid, FATTR_MTIME_NOW, in->mtime, in->mtimensec);
	attr.ctime = time_of(valid, 0, in->ctime, in->ctimensec);
	what |= (valid & FATTR_MODE) != 0 ? VOLUME_SET_MODE : 0;
	what |= (valid & FATTR_UID) != 0 ? VOLUME_SET_UID : 0;
	what |= (valid & FATTR_GID) != 0 ? VOLUME_SET_GID : 0;
	what |= (valid & FATTR_SIZE) != 0 ? VOLUME_SET_SIZE : 0;
	what |= (valid & FATTR_ATIME) != 0 ? VOLUME_SET_ATIME : 0;
	what |= (valid & FATTR_MTIME) != 0 ? VOLUME_SET_MTIME : 0;
	what |= (valid & FATTR_CTIME) != 0 ? VOLUME_SET_CTIME : 0;
	/* A new owner ends privileges, and Linux leaves that to us, if it does
	 * not say the mode. [Linux "include/uapi/linux/fuse.h":
	 * FUSE_HANDLE_KILLPRIV_V2] */
	if ((valid & FATTR_KILL_SUIDGID) != 0 ||
	    ((valid & (FATTR_UID | FATTR_GID)) != 0 &&
	     (valid & FATTR_MODE) == 0)) {
		what |= fuse_kill_of(r);
	}
	error = volume_setattr(r->vol, r->node->ino, what, &attr);
	return error != 0 ? error : attr_put(r);
}

/** READLINK: -> the text, as it was given, without an end. */
int fuse_readlink(struct fuse_request *r)
{
	size_t len = 0;
	int error = volume_readlink(r->vol, r->node->ino, (char *)r->out,
				    FUSE_CHANNEL_HEAD_MAX, &len);

	r->out_len = error == 0 ? (uint32_t)len : 0;
	return error;
}
