// SPDX-License-Identifier: GPL-2.0-only
/*
 * isthmus: FUSE requests that need no answer of the host's. Reading and writing
 * go by node, not by what was opened, so an open for reading is nothing to the
 * host; nor is closing it. What the host has to know but nobody waits for
 * (closing a file that was open for writing, the times of a file just written)
 * goes to it with the next request, or a little later.
 *
 * All in process context, where sleeping is allowed, without locks.
 */
#include <linux/fcntl.h>
#include <linux/slab.h>

#include "fuse.h"

static bool open_answer(const struct fuse_args *args)
{
	const struct fuse_open_in *in = args->in_args[0].value;
	struct fuse_open_out *out = args->out_args[0].value;

	/* With FMODE_EXEC and all others: what matters is who may write. */
	if ((in->flags & O_ACCMODE) != O_RDONLY || (in->flags & O_TRUNC)) {
		return false;
	}
	*out = (struct fuse_open_out){ .open_flags = FOPEN_KEEP_CACHE };
	return true;
}

/* A file that was open only for reading: its fh is 0. */
static bool release_answer(const struct fuse_args *args)
{
	const struct fuse_release_in *in = args->in_args[0].value;

	return in->fh == 0 &&
	       !(in->release_flags & FUSE_RELEASE_FLOCK_UNLOCK);
}

/* FLUSH gives up POSIX locks, and has nothing else to do: the pages have been
 * written before. */
static bool flush_answer(struct fuse_session *s, u64 nodeid)
{
	return xa_empty(&s->locked) || !xa_load(&s->locked, nodeid);
}

/* A node that has a POSIX lock, or may get one: from now on FLUSH is sent. */
static void lock_seen(struct fuse_session *s, const struct fuse_req *req)
{
	const struct fuse_lk_in *in = req->args->in_args[0].value;

	if (!(in->lk_flags & FUSE_LK_FLOCK) && in->lk.type != F_UNLCK) {
		xa_store(&s->locked, req->in.h.nodeid, xa_mk_value(1),
			 GFP_NOFS | __GFP_NOFAIL);
	}
}

/**
 * Answers a request that a process waits for, if the host need not know of it.
 * False: it has to be sent.
 */
bool fuse_local_answer(struct fuse_session *s, struct fuse_req *req)
{
	bool answered = false;

	switch (req->in.h.opcode) {
	case FUSE_OPEN:
		/* Not where the next read would fail. */
		answered = READ_ONCE(s->state) < SESSION_DEAD &&
			   open_answer(req->args);
		break;
	case FUSE_RELEASE:
		answered = release_answer(req->args);
		break;
	case FUSE_FLUSH:
		answered = flush_answer(s, req->in.h.nodeid);
		break;
	case FUSE_SETLK:
	case FUSE_SETLKW:
		lock_seen(s, req);
		break;
	}
	if (answered) {
		fuse_end(s, req, 0);
	}
	return answered;
}

static int is_node(struct inode *inode, void *nodeid)
{
	return get_node_id(inode) == *(u64 *)nodeid;
}

/* Is this the kernel writing a file's times, as it writes its pages? It does not
 * look at the answer, but for an error. A process that sets the time by the same
 * request has the inode locked, and the kernel has not. */
static bool writes_times(struct fuse_session *s, const struct fuse_req *req)
{
	const struct fuse_setattr_in *in = req->args->in_args[0].value;
	u64 nodeid = req->in.h.nodeid;
	struct inode *inode;
	bool is;

	if ((in->valid & ~FATTR_FH) != (FATTR_MTIME | FATTR_CTIME)) {
		return false;
	}
	rcu_read_lock();
	inode = find_inode_rcu(s->fm->sb, nodeid, is_node, &nodeid);
	is = inode && (READ_ONCE(inode->i_state) & I_SYNC) &&
	     !inode_is_locked(inode);
	rcu_read_unlock();
	return is;
}

/**
 * A copy of a request that may be answered before the host has got it. NULL: it
 * may not, or there is no memory.
 */
struct fuse_req *fuse_local_copy(struct fuse_session *s,
				 const struct fuse_req *req)
{
	const struct fuse_in_arg *in = req->args->in_args;
	const struct fuse_release_in *release = in->value;
	struct fuse_own *own;

	switch (req->in.h.opcode) {
	case FUSE_RELEASE:
		/* Giving up the lock is what somebody may wait for. */
		if (release->release_flags & FUSE_RELEASE_FLOCK_UNLOCK) {
			return NULL;
		}
		break;
	case FUSE_SETATTR:
		if (!writes_times(s, req)) {
			return NULL;
		}
		break;
	default:
		return NULL;
	}
	if (req->args->in_numargs != 1 || in->size > sizeof(own->body)) {
		return NULL;
	}
	own = kzalloc(sizeof(*own), GFP_NOFS | __GFP_NOWARN);
	if (!own) {
		return NULL;
	}
	INIT_LIST_HEAD(&own->req.list);
	own->req.in.h = req->in.h;
	own->req.args = &own->args;
	memcpy(own->body, in->value, in->size);
	own->args.in_numargs = 1;
	own->args.in_args[0].size = in->size;
	own->args.in_args[0].value = own->body;
	return &own->req;
}
