/* SPDX-License-Identifier: MIT */
/*
 * FUSE requests on a file's blocks and flags: FALLOCATE, LSEEK, COPY_FILE_RANGE,
 * and the IOCTLs that Linux makes for chattr(1) and the like.
 */
#include <errno.h>
#include <string.h>

#include "host-bridge/files/fuse_ops.h"

/* What Linux's ioctl numbers say: direction, size, group, number.
 * [Linux "include/uapi/linux/fs.h"] */
#define IOC_GETFLAGS	0x80086601u
#define IOC_SETFLAGS	0x40086602u
#define IOC_FSGETXATTR	0x801c581fu
#define IOC_FSSETXATTR	0x401c5820u

#define MODE_PRIVILEGES	06000u		/* set-user-ID, set-group-ID */

/* struct fsxattr; we know flags only. */
struct fsxattr {
	uint32_t xflags, extsize, nextents, projid, cowextsize;
	uint8_t pad[8];
};

#define XFLAG_IMMUTABLE	0x08u
#define XFLAG_APPEND	0x10u
#define XFLAG_NODUMP	0x80u

static const struct {
	uint32_t flag, xflag;
} same[] = {
	{ VOLUME_FL_IMMUTABLE, XFLAG_IMMUTABLE },
	{ VOLUME_FL_APPEND, XFLAG_APPEND },
	{ VOLUME_FL_NODUMP, XFLAG_NODUMP },
};

/* A file has got another content by these, as by a WRITE; but it is the driver that
 * says whether set-user-ID and set-group-ID end. */
static int end_privileges(struct fuse_request *r, uint32_t ino)
{
	struct volume_attr attr;
	int error;

	if ((r->in.padding & FUSE_CHANNEL_KILL_SUIDGID) == 0) {
		return 0;
	}
	error = volume_getattr(r->vol, ino, &attr);
	if (error != 0 || (attr.mode & MODE_PRIVILEGES) == 0) {
		return error;
	}
	return volume_setattr(r->vol, ino, fuse_kill_of(r), &attr);
}

/** FALLOCATE: fuse_fallocate_in. */
int fuse_fallocate(struct fuse_request *r)
{
	const struct fuse_fallocate_in *in = r->arg;
	bool last = false;
	int error = 0;

	if (in->length > (uint64_t)INT64_MAX ||
	    in->offset > (uint64_t)INT64_MAX - in->length) {
		return EFBIG;
	}
	/* What must not be done twice is done last: the other may have to
	 * wait. */
	if ((in->mode & (VOLUME_FALLOC_COLLAPSE | VOLUME_FALLOC_INSERT)) != 0) {
		error = end_privileges(r, r->node->ino);
		last = true;
	}
	if (error == 0) {
		error = volume_fallocate(r->vol, r->node->ino, in->mode,
					 in->offset, in->length);
	}
	return error != 0 || last ? error : end_privileges(r, r->node->ino);
}

/** LSEEK: fuse_lseek_in -> fuse_lseek_out. Only for data and holes. */
int fuse_lseek(struct fuse_request *r)
{
	const struct fuse_lseek_in *in = r->arg;
	struct fuse_lseek_out *out = (void *)r->out;
	uint64_t found = 0;
	int error;

	if (in->whence != VOLUME_SEEK_DATA && in->whence != VOLUME_SEEK_HOLE) {
		return EINVAL;
	}
	error = volume_seek(r->vol, r->node->ino, in->offset, in->whence,
			    &found);
	out->offset = found;
	r->out_len = sizeof(*out);
	return error;
}

/**
 * COPY_FILE_RANGE: fuse_copy_file_range_in -> fuse_write_out: as much as one
 * request should take; Linux asks again for the rest.
 */
int fuse_copy_file_range(struct fuse_request *r)
{
	const struct fuse_copy_file_range_in *in = r->arg;
	struct fuse_write_out *out = (void *)r->out;
	struct fuse_node *to;
	size_t done = 0;
	int error;

	if (in->flags != 0 || in->off_in > (uint64_t)INT64_MAX ||
	    in->off_out > (uint64_t)INT64_MAX) {
		return EINVAL;
	}
	error = fuse_node_get(r->session, in->nodeid_out, r->in.uid, &to);
	if (error == 0) {
		error = volume_copy(r->vol, r->node->ino, in->off_in, to->ino,
				    in->off_out, in->len, &done);
	}
	if (error == 0 && done > 0) {
		error = end_privileges(r, to->ino);
	}
	*out = (struct fuse_write_out){ .size = (uint32_t)done };
	r->out_len = sizeof(*out);
	return error;
}

/* What an IOCTL answers: its result, and len bytes of data if there is room for
 * so many. */
static int ioctl_put(struct fuse_request *r, const void *data, uint32_t len)
{
	const struct fuse_ioctl_in *in = r->arg;
	struct fuse_ioctl_out *out = (void *)r->out;

	if (in->out_size != len) {
		return EINVAL;
	}
	memset(out, 0, sizeof(*out));
	if (len > 0) {
		memcpy(out + 1, data, len);
	}
	r->out_len = (uint32_t)sizeof(*out) + len;
	return 0;
}

static int get_flags(struct fuse_request *r, bool as_fsxattr)
{
	struct fsxattr fsx = { 0 };
	uint32_t flags;
	int error = volume_get_flags(r->vol, r->node->ino, &flags);

	if (error != 0) {
		return error;
	}
	if (!as_fsxattr) {
		return ioctl_put(r, &flags, sizeof(flags));
	}
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		fsx.xflags |= (flags & same[i].flag) != 0 ? same[i].xflag : 0;
	}
	return ioctl_put(r, &fsx, sizeof(fsx));
}

/* Linux's fuse module does not know that the time of change is another now, and
 * takes it from no answer: it is told, before the answer. Not where it has times
 * of its own, since it writes to the file. */
static int put_flags(struct fuse_request *r, uint32_t flags)
{
	int error = fuse_again_turn(r, true);

	if (error == 0) {
		error = volume_set_flags(r->vol, r->node->ino, flags);
	}
	if (error != 0) {
		return error;
	}
	if (r->node->writers == 0) {
		fuse_tell_size(r->session, r->node);
	}
	return ioctl_put(r, NULL, 0);
}

static int set_flags(struct fuse_request *r)
{
	uint32_t flags;

	if (r->data_len != sizeof(flags)) {
		return EINVAL;
	}
	memcpy(&flags, r->data, sizeof(flags));
	return put_flags(r, flags);
}

/* Flags that have another number, and those that have none there stay. */
static int set_fsxattr(struct fuse_request *r)
{
	struct fsxattr fsx;
	uint32_t flags;
	int error;

	if (r->data_len != sizeof(fsx)) {
		return EINVAL;
	}
	memcpy(&fsx, r->data, sizeof(fsx));
	error = volume_get_flags(r->vol, r->node->ino, &flags);
	if (error != 0) {
		return error;
	}
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		flags &= ~same[i].flag;
		flags |= (fsx.xflags & same[i].xflag) != 0 ? same[i].flag : 0;
		fsx.xflags &= ~same[i].xflag;
	}
	if (fsx.xflags != 0 || fsx.extsize != 0 || fsx.projid != 0 ||
	    fsx.cowextsize != 0) {
		return EOPNOTSUPP;
	}
	return put_flags(r, flags);
}

/** IOCTL: fuse_ioctl_in data -> fuse_ioctl_out data. ENOTTY: not one of these. */
int fuse_ioctl(struct fuse_request *r)
{
	const struct fuse_ioctl_in *in = r->arg;

	if (in->in_size != r->data_len) {
		return EINVAL;
	}
	switch (in->cmd) {
	case IOC_GETFLAGS:
		return get_flags(r, false);
	case IOC_FSGETXATTR:
		return get_flags(r, true);
	case IOC_SETFLAGS:
		return set_flags(r);
	case IOC_FSSETXATTR:
		return set_fsxattr(r);
	default:
		return ENOTTY;
	}
}
