// SPDX-License-Identifier: GPL-2.0-only
/*
 * isthmus: FUSE requests that need no answer of the host's. Reading and writing
 * go by node, not by what was opened, so an open for reading is nothing to the
 * host; nor is closing it. What the host has to know but nobody waits for
 * (closing a file that was open for writing, the times of a file just written)
 * goes to it with the next request, or a little later.
 *
 * In process context, where sleeping is allowed, without locks, but for what says
 * otherwise.
 */
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/pagemap.h>
#include <linux/slab.h>

#include "fuse.h"

/* What the driver opens itself has a number that is not the host's. */
#define OWN_FH		(1ull << 63)

static bool open_answer(struct fuse_session *s, const struct fuse_args *args)
{
	const struct fuse_open_in *in = args->in_args[0].value;
	struct fuse_open_out *out = args->out_args[0].value;

	/* With FMODE_EXEC and all others: what matters is who may write. */
	if ((in->flags & O_ACCMODE) != O_RDONLY || (in->flags & O_TRUNC)) {
		return false;
	}
	*out = (struct fuse_open_out){
		.fh = OWN_FH | atomic64_inc_return(&s->last_fh),
		.open_flags = FOPEN_KEEP_CACHE,
	};
	return true;
}

static bool had_lock(struct fuse_session *s, u64 nodeid)
{
	return !xa_empty(&s->locked) && xa_load(&s->locked, nodeid);
}

/* Does closing the file let locks go, which others may wait for? Its own kind
 * (flock), or those of fcntl that are the open file's and not the process'. */
static bool unlocks(struct fuse_session *s, const struct fuse_req *req)
{
	const struct fuse_release_in *in = req->args->in_args[0].value;

	return (in->release_flags & FUSE_RELEASE_FLOCK_UNLOCK) ||
	       had_lock(s, req->in.h.nodeid);
}

/* A file that was open only for reading. */
static bool release_answer(struct fuse_session *s, const struct fuse_req *req)
{
	const struct fuse_release_in *in = req->args->in_args[0].value;

	return (in->fh & OWN_FH) && !unlocks(s, req);
}

/* FLUSH gives up POSIX locks, and has nothing else to do: the pages have been
 * written before. As long as no node has had such a lock the fuse module does
 * not even ask (no_flush). */
static bool flush_answer(struct fuse_session *s, u64 nodeid)
{
	return !had_lock(s, nodeid);
}

/* What the fuse module knows of the file, as the host would say it. Size and the
 * other times are the kernel's in any case. */
static void fill_attr(struct fuse_session *s, struct inode *inode,
		      struct fuse_attr_out *out)
{
	struct timespec64 atime = compat_atime(inode);

	*out = (struct fuse_attr_out){
		.attr_valid = U32_MAX,
		.attr = {
			.ino = get_fuse_inode(inode)->orig_ino,
			.size = i_size_read(inode),
			.blocks = inode->i_blocks,
			.atime = atime.tv_sec,
			.atimensec = atime.tv_nsec,
			.mode = inode->i_mode,
			.nlink = inode->i_nlink,
			.uid = from_kuid(s->fm->fc->user_ns, inode->i_uid),
			.gid = from_kgid(s->fm->fc->user_ns, inode->i_gid),
			.blksize = 1u << inode->i_blkbits,
		},
	};
}

/* Does the kernel have all of a file's attributes right, but for these? */
static bool is_known(struct inode *inode, u32 but)
{
	return fuse_knows(inode, ~but);
}

/* Those that the fuse module does not know are right all the same: reading
 * changes no time here, and the number of blocks came with the answers to
 * writes. And directories: fuse_dir.c. */
static bool getattr_answer(struct fuse_session *s, const struct fuse_req *req)
{
	struct fuse_attr_out *out = req->args->out_args[0].value;
	struct inode *inode;
	bool known;

	if (fuse_dir_attr(s, req->in.h.nodeid, &out->attr)) {
		out->attr_valid = U32_MAX;
		return true;
	}
	rcu_read_lock();
	inode = fuse_find_inode(s, req->in.h.nodeid);
	known = inode && is_known(inode, STATX_BLOCKS | STATX_ATIME);
	if (known) {
		fill_attr(s, inode, out);
	}
	rcu_read_unlock();
	return known;
}

/* Times of a file that has no name any more, and gets none: whoever has it open
 * sees the kernel's. It writes them with each name that goes. */
static bool setattr_answer(struct fuse_session *s, const struct fuse_req *req)
{
	const struct fuse_setattr_in *in = req->args->in_args[0].value;
	struct inode *inode;
	bool is;

	if ((in->valid & ~FATTR_FH) != (FATTR_MTIME | FATTR_CTIME)) {
		return false;
	}
	rcu_read_lock();
	inode = fuse_find_inode(s, req->in.h.nodeid);
	is = inode && inode->i_nlink == 0 &&
	     !(READ_ONCE(inode->i_state) & I_LINKABLE) &&
	     is_known(inode, STATX_BLOCKS | STATX_ATIME | STATX_MTIME |
		      STATX_CTIME | STATX_NLINK);
	if (is) {
		fill_attr(s, inode, req->args->out_args[0].value);
	}
	rcu_read_unlock();
	return is;
}

/* What the host must have before: where a file has data and holes it cannot say of
 * what is not written yet (LSEEK), and would refuse that once the file is
 * immutable (chattr). Who asks has the file open: its inode stays. 0 or an
 * error. */
static int write_before(struct fuse_session *s, const struct fuse_req *req)
{
	const struct fuse_ioctl_in *in = req->args->in_args[0].value;
	struct inode *inode;

	if (req->in.h.opcode == FUSE_IOCTL && in->cmd != FS_IOC_SETFLAGS &&
	    in->cmd != FS_IOC_FSSETXATTR) {
		return 0;
	}
	rcu_read_lock();
	inode = fuse_find_inode(s, req->in.h.nodeid);
	rcu_read_unlock();
	return inode && S_ISREG(inode->i_mode) ? fuse_write_all(inode) : 0;
}

/* A node that has a POSIX lock, or may get one: from now on FLUSH is sent. */
static void lock_seen(struct fuse_session *s, const struct fuse_req *req)
{
	const struct fuse_lk_in *in = req->args->in_args[0].value;

	if (!(in->lk_flags & FUSE_LK_FLOCK) && in->lk.type != F_UNLCK) {
		xa_store(&s->locked, req->in.h.nodeid, xa_mk_value(1),
			 GFP_NOFS | __GFP_NOFAIL);
		s->fm->fc->no_flush = 0;
	}
}

/**
 * A request for a lock was sent. The fuse module sets bits beside no_flush, each
 * once and without a lock: one of these may have put no_flush back as it was
 * cleared. By now that is over.
 */
void fuse_local_locked(struct fuse_session *s)
{
	if (!xa_empty(&s->locked)) {
		s->fm->fc->no_flush = 0;
	}
}

/**
 * Answers a request that a process waits for, if the host need not know of it,
 * or cannot be asked. False: it has to be sent.
 */
bool fuse_local_answer(struct fuse_session *s, struct fuse_req *req)
{
	bool answered = false;
	int error = 0;

	switch (req->in.h.opcode) {
	case FUSE_OPEN:
		/* Not where the next read would fail. */
		answered = READ_ONCE(s->state) < SESSION_DEAD &&
			   open_answer(s, req->args);
		break;
	case FUSE_RELEASE:
		answered = release_answer(s, req);
		break;
	case FUSE_FLUSH:
		answered = flush_answer(s, req->in.h.nodeid);
		break;
	case FUSE_GETATTR:
		answered = getattr_answer(s, req);
		break;
	case FUSE_SETATTR:
		answered = setattr_answer(s, req);
		break;
	case FUSE_SETLK:
	case FUSE_SETLKW:
		lock_seen(s, req);
		break;
	case FUSE_LSEEK:
	case FUSE_IOCTL:
		error = write_before(s, req);
		answered = error != 0;
		break;
	}
	if (answered) {
		fuse_end(s, req, error);
	} else {
		fuse_room_before(s, req);
		fuse_privs_before(s, req);
	}
	return answered;
}

/**
 * A WRITE of the background is answered: its answer says how many blocks the
 * file has now.
 */
void fuse_local_written(struct fuse_session *s, const struct fuse_req *req)
{
	const struct fuse_arg *arg = &req->args->out_args[0];
	const struct fuse_write_out *out = arg->value;
	struct inode *inode;

	if (req->out.h.error == -ENOSPC) {
		WRITE_ONCE(s->full, true);
	}
	if (req->out.h.error || arg->size != sizeof(*out) ||
	    out->padding == U32_MAX) {
		return;
	}
	rcu_read_lock();
	inode = fuse_find_inode(s, req->in.h.nodeid);
	if (inode) {
		spin_lock(&get_fuse_inode(inode)->lock);
		inode->i_blocks = out->padding;
		spin_unlock(&get_fuse_inode(inode)->lock);
	}
	rcu_read_unlock();
}

/* A file that was open for writing is closed. The fuse module has just marked
 * its blocks as not known, since it has written its pages; but see above. If
 * more is not known than these, or more is to be written, it stays so. */
static void blocks_known(struct fuse_session *s, u64 nodeid)
{
	struct fuse_inode *fi;
	struct inode *inode;

	rcu_read_lock();
	inode = fuse_find_inode(s, nodeid);
	fi = inode ? get_fuse_inode(inode) : NULL;
	if (fi && S_ISREG(inode->i_mode) &&
	    !mapping_tagged(inode->i_mapping, PAGECACHE_TAG_DIRTY)) {
		spin_lock(&fi->lock);
		if (fi->writectr == 0 && list_empty(&fi->queued_writes)) {
			cmpxchg(&fi->inval_mask, STATX_BLOCKS, 0);
		}
		spin_unlock(&fi->lock);
	}
	rcu_read_unlock();
}

/* Is this the kernel writing a file's times, as it writes its pages? It does not
 * look at the answer, but for an error. A process that sets the time by the same
 * request has the inode locked; of those that write, only fsync has, and knows a
 * file that is open. Should it be a process all the same, which sets one of the
 * times of an open file while the kernel writes it, then it gets an answer. */
static bool writes_times(struct fuse_session *s, const struct fuse_req *req)
{
	const struct fuse_args *args = req->args;
	const struct fuse_setattr_in *in = args->in_args[0].value;
	struct inode *inode;
	bool is = false;

	if ((in->valid & ~FATTR_FH) != (FATTR_MTIME | FATTR_CTIME) ||
	    args->out_args[0].size != sizeof(struct fuse_attr_out)) {
		return false;
	}
	rcu_read_lock();
	inode = fuse_find_inode(s, req->in.h.nodeid);
	if (inode && (READ_ONCE(inode->i_state) & I_SYNC)) {
		is = (in->valid & FATTR_FH) || !inode_is_locked(inode);
	}
	if (is) {
		fill_attr(s, inode, args->out_args[0].value);
	}
	rcu_read_unlock();
	return is;
}

/* What the kernel says of times names an open file even if none is open any more:
 * so the host knows it from what a process sets. */
static void mark_times(struct fuse_req *copy)
{
	struct fuse_own *own = container_of(copy, struct fuse_own, req);

	((struct fuse_setattr_in *)own->body)->valid |= FATTR_FH;
}

/**
 * A copy of a request that may be answered before the host has got it. NULL: it
 * may not, or there is no memory.
 */
struct fuse_req *fuse_local_copy(struct fuse_session *s,
				 const struct fuse_req *req)
{
	const struct fuse_in_arg *in = req->args->in_args;
	struct fuse_req *copy;

	switch (req->in.h.opcode) {
	case FUSE_RELEASE:
		if (unlocks(s, req)) {
			return NULL;
		}
		blocks_known(s, req->in.h.nodeid);
		break;
	case FUSE_SETATTR:
		if (!writes_times(s, req)) {
			return NULL;
		}
		break;
	default:
		return NULL;
	}
	if (req->args->in_numargs != 1) {
		return NULL;
	}
	copy = fuse_own_new(&req->in.h, in->value, in->size,
			    GFP_NOFS | __GFP_NOWARN);
	if (copy && req->in.h.opcode == FUSE_SETATTR) {
		mark_times(copy);
	}
	return copy;
}

/**
 * A process closes a file. True: nothing is to be done, for it could only be read
 * (the fuse module would write what others have written), and no locks go.
 */
bool fuse_local_flush(struct file *file)
{
	const struct fuse_file *ff = file->private_data;
	struct fuse_session *s = ff->fm->fc->iq.priv;

	return (ff->fh & OWN_FH) && !had_lock(s, ff->nodeid);
}

/* RELEASE of a file that was open for writing: later. */
static bool tell_release(struct fuse_session *s, const struct file *file)
{
	const struct fuse_file *ff = file->private_data;
	struct fuse_in_header head = {
		.opcode = FUSE_RELEASE, .nodeid = ff->nodeid,
	};
	struct fuse_release_in in = {
		.fh = ff->fh, .flags = file->f_flags,
	};
	struct fuse_req *own = fuse_own_new(&head, &in, sizeof(in),
					    GFP_NOFS | __GFP_NOWARN);

	if (own) {
		blocks_known(s, ff->nodeid);
		fuse_session_tell(s, own);
	}
	return own;
}

/**
 * An open file's end, as the fuse module has it, without a request of its. False:
 * it has to do it: there are locks, or requests under way that name the file.
 */
bool fuse_local_release(struct inode *inode, struct file *file)
{
	struct fuse_inode *fi = get_fuse_inode(inode);
	struct fuse_file *ff = file->private_data;
	struct fuse_session *s = ff->fm->fc->iq.priv;
	bool written = !(ff->fh & OWN_FH), alone;

	if (ff->flock || had_lock(s, ff->nodeid) ||
	    !RB_EMPTY_NODE(&ff->polled_node)) {
		return false;
	}
	/* By a mapping, perhaps; the host is to hear of it before. */
	if (written) {
		write_inode_now(inode, 1);
	}
	spin_lock(&fi->lock);
	list_del_init(&ff->write_entry);
	alone = refcount_read(&ff->count) == 1;
	spin_unlock(&fi->lock);
	if (!alone || (written && !tell_release(s, file))) {
		return false;
	}
	compat_fuse_file_free(fi, ff);
	return true;
}
