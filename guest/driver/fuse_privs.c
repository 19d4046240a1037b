// SPDX-License-Identifier: GPL-2.0-only
/*
 * isthmus: set-user-ID and set-group-ID, which end when somebody who may not set
 * them changes a file. The host does that, and cannot know what the process may:
 * its capabilities and groups are Linux's. The fuse module says of some requests
 * that the bits end; of fallocate and copy_file_range it does not, and of none
 * that the process is not in the file's group. Then set-group-ID ends even where
 * the group may not execute. [Linux "fs/attr.c: setattr_should_drop_sgid"]
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/fs.h>

#include "compat_vfs.h"
#include "fuse.h"

/* Does the process that sends this end what it may not set? */
static bool ends(const struct fuse_req *req)
{
	const void *in = req->args->in_args[0].value;

	switch (req->in.h.opcode) {
	case FUSE_OPEN:
		return ((const struct fuse_open_in *)in)->open_flags &
		       FUSE_OPEN_KILL_SUIDGID;
	case FUSE_SETATTR:
		return ((const struct fuse_setattr_in *)in)->valid &
		       FATTR_KILL_SUIDGID;
	case FUSE_WRITE:
		return ((const struct fuse_write_in *)in)->write_flags &
		       FUSE_WRITE_KILL_SUIDGID;
	case FUSE_FALLOCATE:
	case FUSE_COPY_FILE_RANGE:
		return !capable(CAP_FSETID);
	}
	return false;
}

/* The node that is changed. */
static u64 changed(const struct fuse_req *req)
{
	const struct fuse_copy_file_range_in *in =
		req->args->in_args[0].value;

	return req->in.h.opcode == FUSE_COPY_FILE_RANGE ? in->nodeid_out :
	       req->in.h.nodeid;
}

/** A request is about to be sent, by the process that waits for it. */
void fuse_privs_before(struct fuse_session *s, struct fuse_req *req)
{
	struct inode *inode;

	if (!ends(req)) {
		return;
	}
	req->in.h.padding = FUSE_CHANNEL_KILL_SUIDGID;
	rcu_read_lock();
	inode = fuse_find_inode(s, changed(req));
	if (!inode || !(in_group_p(inode->i_gid) ||
			compat_capable(inode, CAP_FSETID))) {
		req->in.h.padding |= FUSE_CHANNEL_KILL_SGID;
	}
	rcu_read_unlock();
}

/** The node in which such bits end by this request; 0: none. */
u64 fuse_privs_node(const struct fuse_req *req)
{
	return unlikely(req->in.h.padding & FUSE_CHANNEL_KILL_SUIDGID) ?
	       changed(req) : 0;
}

/** The host has carried out such a request, or may have, and nobody has gone on who
 * waits for it. If the node had such bits its mode is to be asked for: the fuse
 * module does not look for them. */
void fuse_privs_after(struct fuse_session *s, u64 nodeid)
{
	struct inode *inode;

	rcu_read_lock();
	inode = fuse_find_inode(s, nodeid);
	if (inode && READ_ONCE(inode->i_mode) & (S_ISUID | S_ISGID)) {
		set_mask_bits(&get_fuse_inode(inode)->inval_mask, 0,
			      STATX_MODE);
	}
	rcu_read_unlock();
}
