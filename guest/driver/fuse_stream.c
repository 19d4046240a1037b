// SPDX-License-Identifier: GPL-2.0-only
/*
 * isthmus: large reads and writes past Linux's cache. The host has the files in
 * memory: what Linux reads once need not lie there a second time. And a page of
 * the cache costs more than its bytes' way to the host.
 *
 * A read of STREAM_MIN bytes or more, of which Linux has no page, goes from the
 * host to the process, as with O_DIRECT, if the file was not read so far before:
 * what is read again is kept (stream_first()). Such a write goes from the process
 * to the host: then nothing is left to be flushed, and want of space is met by who
 * writes. Everything else, and whatever stands in the way, goes through the cache
 * as ever.
 *
 * A file's functions are taken when it is opened: fuse_name.c puts ours into each
 * inode before. Process context.
 */
#include <linux/fs.h>
#include <linux/pagemap.h>
#include <linux/uio.h>

#include "fuse.h"

/* Half of what goes with one message: below, the cache's own reading ahead is
 * as good. */
#define STREAM_MIN	65536
/* Who can read what he writes, a database, is likely to: so much at the beginning
 * of his file is kept. */
#define KEEP_READER	(1 << 20)

/* fuse's own functions, and those with ours in place of some. Made once; `made`
 * guards that. */
static const struct file_operations *fuse_files;
static struct file_operations file_ops;
static DEFINE_SPINLOCK(made);

/* Can n bytes of this go past the cache? Of one piece of a process' memory, by
 * somebody who waits; and none of it is in the cache, by which the fuse module
 * and other processes see the file. */
static bool can_pass(struct kiocb *iocb, const struct iov_iter *iter,
		     loff_t n)
{
	return n >= STREAM_MIN && is_sync_kiocb(iocb) &&
	       !(iocb->ki_flags & (IOCB_DIRECT | IOCB_NOWAIT |
				   IOCB_APPEND)) &&
	       user_backed_iter(iter) &&
	       iov_iter_single_seg_count(iter) == iov_iter_count(iter) &&
	       !filemap_range_has_page(iocb->ki_filp->f_mapping, iocb->ki_pos,
				       iocb->ki_pos + n - 1);
}

/* Is this the first read so far into the file since Linux knows it? If so it is
 * remembered, where the fuse module has nothing. Two at once: either may count. */
static bool stream_first(struct inode *inode, loff_t pos, loff_t n)
{
	if (pos < (loff_t)READ_ONCE(inode->i_private)) {
		return false;
	}
	WRITE_ONCE(inode->i_private, (void *)(pos + n));
	return true;
}

static ssize_t read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	loff_t n = min_t(loff_t, iov_iter_count(to),
			 i_size_read(inode) - iocb->ki_pos);
	ssize_t got = -EFAULT;

	if (can_pass(iocb, to, n) && stream_first(inode, iocb->ki_pos, n)) {
		iocb->ki_flags |= IOCB_DIRECT;
		got = fuse_files->read_iter(iocb, to);
		iocb->ki_flags &= ~IOCB_DIRECT;
	}
	/* Memory that is no pages', a device's: it can be copied to. */
	return got == -EFAULT ? fuse_files->read_iter(iocb, to) : got;
}

/* The inode is locked, and what may be written is known. */
static ssize_t write_locked(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t done = 0, n = file_modified(iocb->ki_filp);

	if (n < 0) {
		return n;
	}
	do {
		n = fuse_write_past(inode, iocb->ki_pos, from);
		if (n > 0) {
			iocb->ki_pos += n;
			done += n;
		}
	} while (n > 0 && iov_iter_count(from) != 0);
	if (n == -EAGAIN) {
		n = __generic_file_write_iter(iocb, from);
		done += max_t(ssize_t, n, 0);
	}
	return done != 0 ? done : n;
}

/* Is it to pass the cache, if it can? */
static bool stream_write(const struct kiocb *iocb)
{
	return !(iocb->ki_filp->f_mode & FMODE_READ) ||
	       iocb->ki_pos >= KEEP_READER;
}

/* As generic_file_write_iter(). Before, the fuse module may have to ask for the
 * mode, and a program's set-user-ID bits go by the request that has the data. */
static ssize_t write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t n;

	if (iocb->ki_flags & IOCB_DIRECT) {
		fuse_room_make(get_fuse_conn(inode)->iq.priv,
			       iov_iter_count(from) / PAGE_SIZE + 1);
	}
	if (!stream_write(iocb) ||
	    !can_pass(iocb, from, iov_iter_count(from)) ||
	    !fuse_knows(inode, STATX_MODE | STATX_SIZE) ||
	    (inode->i_mode & (S_ISUID | S_ISGID))) {
		return fuse_files->write_iter(iocb, from);
	}
	inode_lock(inode);
	n = generic_write_checks(iocb, from);
	if (n > 0) {
		n = write_locked(iocb, from);
	}
	inode_unlock(inode);
	return n > 0 ? generic_write_sync(iocb, n) : n;
}

static int flush(struct file *file, fl_owner_t id)
{
	return fuse_local_flush(file) ? 0 : fuse_files->flush(file, id);
}

static int release(struct inode *inode, struct file *file)
{
	return fuse_local_release(inode, file) ? 0 :
	       fuse_files->release(inode, file);
}

/**
 * Puts our functions into a regular file's inode, which has fuse's or ours: those
 * of fuse are the same for all files.
 */
void fuse_stream_adopt(struct inode *inode)
{
	spin_lock(&made);
	if (!fuse_files) {
		file_ops = *inode->i_fop;
		file_ops.read_iter = read_iter;
		file_ops.write_iter = write_iter;
		file_ops.flush = flush;
		file_ops.release = release;
		fuse_files = inode->i_fop;
	}
	spin_unlock(&made);
	fuse_write_adopt(inode);
	WRITE_ONCE(inode->i_fop, &file_ops);
}

/** Has an inode our functions? */
bool fuse_stream_adopted(const struct inode *inode)
{
	return inode->i_fop == &file_ops;
}

/** The same for a file that fuse has just opened. */
void fuse_stream_opened(struct file *file)
{
	if (file->f_op == fuse_files) {
		file->f_op = &file_ops;
	}
}
