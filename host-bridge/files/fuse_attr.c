/* SPDX-License-Identifier: MIT */
/* What several answers have: attributes, entries. */
#include <errno.h>
#include <string.h>

#include "host-bridge/files/fuse_ops.h"

/**
 * A device's numbers in one, as Linux's new_encode_dev() has them: 12 bits of
 * major, 20 of minor.
 */
uint32_t fuse_attr_rdev(const struct volume_attr *attr)
{
	return (attr->rdev_minor & 0xff) | attr->rdev_major << 8 |
	       (attr->rdev_minor & ~0xffu) << 12;
}

/** Attributes as FUSE has them. */
void fuse_attr_of(struct fuse_attr *to, const struct volume_attr *from)
{
	*to = (struct fuse_attr){
		.ino = from->ino, .size = from->size, .blocks = from->blocks,
		.atime = (uint64_t)from->atime.sec,
		.mtime = (uint64_t)from->mtime.sec,
		.ctime = (uint64_t)from->ctime.sec,
		.atimensec = from->atime.nsec, .mtimensec = from->mtime.nsec,
		.ctimensec = from->ctime.nsec,
		.mode = from->mode, .nlink = from->nlink, .uid = from->uid,
		.gid = from->gid, .rdev = fuse_attr_rdev(from),
		.blksize = 4096,
	};
}

/**
 * The entry of a file whose name is being told: counts its node once more.
 * Returns 0 or an errno value; then nothing was counted.
 */
int fuse_entry_of(struct fuse_request *r, uint32_t ino,
		  struct fuse_entry_out *to)
{
	struct volume_attr attr;
	struct fuse_node *node;
	int error = volume_getattr(r->vol, ino, &attr);

	if (error == 0) {
		error = fuse_node_look_up(r->session, &attr, r->in.uid, &node);
	}
	if (error != 0) {
		return error;
	}
	fuse_legacy_counted(node, r->in.opcode);
	to->nodeid = fuse_node_id(r->session, ino, attr.gen);
	to->generation = ino == r->session->root ? 0 : attr.gen;
	to->entry_valid = to->attr_valid = FUSE_FOREVER;
	to->entry_valid_nsec = to->attr_valid_nsec = 0;
	fuse_attr_of(&to->attr, &attr);
	return 0;
}

/* One of them, by the id that Linux has for it. */
static void dir_put(struct fuse_request *r, uint64_t nodeid, uint32_t ino)
{
	struct fuse_channel_dir *to = (void *)(r->out + r->out_len);
	struct fuse_attr fa;
	struct volume_attr attr;

	_Static_assert(sizeof(fa) == sizeof(to->attr), "");
	if (volume_getattr(r->vol, ino, &attr) == 0) {
		to->nodeid = nodeid;
		fuse_attr_of(&fa, &attr);
		memcpy(to->attr, &fa, sizeof(fa));
		r->out_len += sizeof(*to);
	}
}

/**
 * The reply's last part: the directories in which it has changed names, as they
 * are now. It is complete without, if they cannot be read.
 */
void fuse_dirs_put(struct fuse_request *r)
{
	const struct fuse_rename_in *in = r->arg;
	struct fuse_node *node;

	dir_put(r, r->in.nodeid, r->node->ino);
	/* Both of RENAME's begin with it. */
	if ((r->in.opcode == FUSE_RENAME || r->in.opcode == FUSE_RENAME2) &&
	    in->newdir != r->in.nodeid &&
	    fuse_node_get(r->session, in->newdir, r->in.uid, &node) == 0) {
		dir_put(r, in->newdir, node->ino);
	}
}

/** An entry as the reply's next part. */
int fuse_entry_put(struct fuse_request *r, uint32_t ino)
{
	struct fuse_entry_out *to = (void *)(r->out + r->out_len);
	int error = fuse_entry_of(r, ino, to);

	if (error == 0) {
		r->out_len += sizeof(*to);
	}
	return error;
}
