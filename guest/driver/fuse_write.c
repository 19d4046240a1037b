// SPDX-License-Identifier: GPL-2.0-only
/*
 * isthmus: dirty pages to the host. The fuse module does not trust its servers to
 * answer ever: it writes copies of pages, from its background queue. Here a
 * request's bytes are in the ring when it is sent, and the host needs nothing of
 * Linux's memory to answer; so pages are written as they are, under the kernel's
 * own writeback bit, many with one doorbell, and who writes them finds the
 * answers in the ring itself.
 *
 * The fuse module's own way stays for an inode that was met without a name
 * (fuse_name.c), until it has one; the two do not meet in one page, since who
 * writes to it waits for the first.
 *
 * And a process' own memory goes the same way, where the file has no pages.
 *
 * Where the host has little room (fuse_room.c), or none, each writer waits for its
 * page, and is told itself. That it has none although it said so is seen when pages
 * are written, long after their writers went on: what they had written is lost, and
 * said when the file is written to again, synced or closed.
 *
 * All in process context, where sleeping is allowed.
 */
#include <linux/backing-dev.h>
#include <linux/fs.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/uio.h>
#include <linux/writeback.h>

#include "fuse.h"

#define PAGES_MAX	(FUSE_CHANNEL_DATA_MAX / PAGE_SIZE)
/* Before answers are waited for: what the host has room for at once. */
#define BATCH_MAX	16u
#define BLOCKS_UNKNOWN	U32_MAX

struct batch;

/* One request: pages in a row. */
struct write {
	struct fuse_own own;
	struct fuse_args_pages ap;
	struct fuse_write_in in;
	struct fuse_write_out out;
	struct batch *batch;
	struct write *next;		/* sent after it */
	int error;
	u32 bytes;
	struct page *page[PAGES_MAX];
	struct fuse_page_desc desc[PAGES_MAX];
};

/* The writing of one inode. */
struct batch {
	struct fuse_session *s;
	struct inode *inode;
	bool user;			/* a process' pages: one request */
	ssize_t written;		/* of these, or an error */
	struct write *write;		/* not sent yet */
	struct write *sent, **last;
	u32 count, bytes;		/* of these */
	u32 left;			/* without an answer: under ch->lock */
	wait_queue_head_t wait;
};

/* An answer, or none will come. ch->lock held. */
static void write_done(struct fuse_session *s, struct fuse_own *own, int error)
{
	struct write *w = container_of(own, struct write, own);
	const struct fuse_rx *rx = &s->rx;
	u32 len = rx->head.len - sizeof(rx->head);
	struct fuse_channel_room room;

	if (error > 0 || error <= -ERESTARTSYS) {
		error = -EIO;
	}
	if (error == 0 && len == sizeof(w->out) + sizeof(room)) {
		memcpy(&room, rx->first + sizeof(w->out), sizeof(room));
		fuse_room_told(s, room.blocks);
	} else if (error == 0 && len != sizeof(w->out)) {
		error = -EIO;
	}
	if (error == 0) {
		memcpy(&w->out, rx->first, sizeof(w->out));
		/* The host that writes less has no room for more. */
		error = w->out.size == w->bytes ? 0 : -ENOSPC;
	}
	w->error = error;
	if (--w->batch->left == 0) {
		wake_up(&w->batch->wait);
	}
}

static struct write *write_new(struct batch *b, loff_t pos)
{
	struct write *w = kmalloc(sizeof(*w), GFP_NOFS | __GFP_NOWARN);

	if (!w) {
		return NULL;
	}
	memset(w, 0, offsetof(struct write, page));
	INIT_LIST_HEAD(&w->own.req.list);
	w->own.req.args = &w->ap.args;
	w->own.req.in.h.opcode = FUSE_WRITE;
	w->own.req.in.h.nodeid = get_node_id(b->inode);
	w->own.done = write_done;
	w->batch = b;
	w->in.offset = pos;
	w->in.write_flags = FUSE_WRITE_CACHE;
	w->ap.pages = w->page;
	w->ap.descs = w->desc;
	w->ap.args.in_pages = true;
	w->ap.args.in_numargs = 2;
	w->ap.args.in_args[0].size = sizeof(w->in);
	w->ap.args.in_args[0].value = &w->in;
	return w;
}

static void put_pages(const struct write *w)
{
	u32 i;

	for (i = 0; i < w->ap.num_pages; i++) {
		put_page(w->page[i]);
	}
}

/* A process' pages are let go; what of them is written belongs to the file now.
 * fi->lock held. */
static void user_end(struct batch *b, const struct write *w)
{
	loff_t end = w->in.offset + w->out.size;

	put_pages(w);
	b->written = w->error;
	if (w->out.size != 0 && w->out.size <= w->bytes) {
		b->written = w->out.size;
		if (end > i_size_read(b->inode)) {
			i_size_write(b->inode, end);
		}
	}
}

/* Is the host full? Room was found where the file has more blocks now. */
static void see_room(struct batch *b, const struct write *w)
{
	if (w->error == -ENOSPC) {
		WRITE_ONCE(b->s->full, true);
	} else if (w->error == 0 && READ_ONCE(b->s->full) &&
		   w->out.padding != BLOCKS_UNKNOWN &&
		   w->out.padding > b->inode->i_blocks) {
		WRITE_ONCE(b->s->full, false);
	}
}

/* What the answers say, in the order they came. The number of blocks is right
 * only if nobody else was writing, and no older word of the host's may follow. */
static void write_end(struct batch *b, struct write *w)
{
	struct fuse_inode *fi = get_fuse_inode(b->inode);
	u32 i;

	if (!b->user) {
		mapping_set_error(b->inode->i_mapping, w->error);
	}
	see_room(b, w);
	spin_lock(&fi->lock);
	if (b->user) {
		user_end(b, w);
	}
	if (w->error || w->out.padding == BLOCKS_UNKNOWN ||
	    fi->writectr != 1) {
		set_mask_bits(&fi->inval_mask, 0, STATX_BASIC_STATS);
	} else {
		b->inode->i_blocks = w->out.padding;
		fi->attr_version = atomic64_inc_return(
			&get_fuse_conn(b->inode)->attr_version);
	}
	spin_unlock(&fi->lock);
	for (i = 0; i < w->ap.num_pages && !b->user; i++) {
		end_page_writeback(w->page[i]);
	}
	kfree(w);
}

/* Waits for all answers. A process that is killed does not: what the host has got
 * it carries out, and it counts as written, for a file may have holes but nothing
 * behind its end. */
static void batch_wait(struct batch *b)
{
	struct isthmus *ch = &isthmus_channel;
	struct write *w = b->sent;
	unsigned long flags;
	bool sent;

	if (!b->user) {
		wait_event(b->wait, READ_ONCE(b->left) == 0);
		return;
	}
	if (wait_event_killable(b->wait, READ_ONCE(b->left) == 0) == 0) {
		return;
	}
	spin_lock_irqsave(&ch->lock, flags);
	if (b->left != 0) {
		sent = fuse_slot_of(b->s, &w->own.req);
		fuse_give_up(b->s, &w->own.req, -EINTR);
		if (sent) {
			w->out.size = w->bytes;
		}
	}
	spin_unlock_irqrestore(&ch->lock, flags);
}

/* Publishes what was sent, and waits for all answers. */
static void batch_end(struct batch *b)
{
	struct isthmus *ch = &isthmus_channel;
	unsigned long flags;
	struct write *w;

	if (!b->sent) {
		return;
	}
	spin_lock_irqsave(&ch->lock, flags);
	if (ch->up) {
		isthmus_tx_done(ch, flags);
		spin_lock_irqsave(&ch->lock, flags);
	}
	/* Seen under the lock: whoever counted the last one has let go. */
	while (b->left != 0) {
		spin_unlock_irqrestore(&ch->lock, flags);
		batch_wait(b);
		spin_lock_irqsave(&ch->lock, flags);
	}
	spin_unlock_irqrestore(&ch->lock, flags);
	while ((w = b->sent) != NULL) {
		b->sent = w->next;
		write_end(b, w);
	}
	b->last = &b->sent;
	b->count = b->bytes = 0;
}

/* Sends the request that was gathered. */
static void batch_send(struct batch *b)
{
	struct isthmus *ch = &isthmus_channel;
	struct write *w = b->write;
	unsigned long flags;

	if (!w) {
		return;
	}
	b->write = NULL;
	w->in.size = w->bytes;
	w->ap.args.in_args[1].size = w->bytes;
	w->own.req.in.h.len = sizeof(struct fuse_in_header) + sizeof(w->in) +
			      w->bytes;
	*b->last = w;
	b->last = &w->next;
	spin_lock_irqsave(&ch->lock, flags);
	b->left++;
	fuse_session_send(ch, b->s, &w->own.req);
	spin_unlock_irqrestore(&ch->lock, flags);
	b->count++;
	b->bytes += w->bytes;
	if (b->count == BATCH_MAX || b->bytes >= FUSE_CHANNEL_DATA_MAX) {
		batch_end(b);
	}
}

/* A locked page that is not dirty any more: to be written from now on. False:
 * no memory. What lies behind the file's end is not the file's: cut off, while
 * this page waited. */
static bool batch_page(struct batch *b, struct page *page)
{
	loff_t pos = page_offset(page), size = i_size_read(b->inode);
	struct write *w = b->write;
	u32 length;

	if (pos >= size) {
		return true;
	}
	length = min_t(loff_t, size - pos, PAGE_SIZE);
	if (w && (w->ap.num_pages == PAGES_MAX ||
		  w->in.offset + w->bytes != pos)) {
		batch_send(b);
		w = NULL;
	}
	if (!w) {
		w = b->write = write_new(b, pos);
	}
	if (!w) {
		return false;
	}
	set_page_writeback(page);
	w->page[w->ap.num_pages] = page;
	w->desc[w->ap.num_pages++] = (struct fuse_page_desc){
		.length = length,
	};
	w->bytes += length;
	return true;
}

/* Who changes a file's size holds it still meanwhile (fuse_set_nowrite()): no
 * bytes behind the new end may be written later. The fuse module wakes nobody
 * when it lets go, so it is asked again; it has one request out at most. And
 * from now on it waits for us. */
static void batch_begin(struct batch *b, struct inode *inode)
{
	struct fuse_inode *fi = get_fuse_inode(inode);

	*b = (struct batch){
		.s = get_fuse_conn(inode)->iq.priv, .inode = inode,
	};
	b->last = &b->sent;
	init_waitqueue_head(&b->wait);
	spin_lock(&fi->lock);
	while (fi->writectr < 0) {
		spin_unlock(&fi->lock);
		wait_event_timeout(fi->page_waitq,
				   READ_ONCE(fi->writectr) >= 0, 1);
		spin_lock(&fi->lock);
	}
	fi->writectr++;
	spin_unlock(&fi->lock);
}

static void batch_finish(struct batch *b)
{
	struct fuse_inode *fi = get_fuse_inode(b->inode);

	batch_send(b);
	batch_end(b);
	spin_lock(&fi->lock);
	fi->writectr--;
	spin_unlock(&fi->lock);
	wake_up(&fi->page_waitq);
}

static int write_dirty(compat_dirty *dirty, struct writeback_control *wbc,
		       void *data)
{
	struct page *page = compat_dirty_page(dirty);
	bool ok = batch_page(data, page);

	if (!ok) {
		redirty_page_for_writepage(wbc, page);
	}
	unlock_page(page);
	return ok ? 0 : -ENOMEM;
}

static int write_pages(struct address_space *mapping,
		       struct writeback_control *wbc)
{
	struct batch b;
	int err;

	if (fuse_is_bad(mapping->host)) {
		return -EIO;
	}
	batch_begin(&b, mapping->host);
	err = write_cache_pages(mapping, wbc, write_dirty, &b);
	batch_finish(&b);
	return err;
}

/* One page, which stays locked: it is about to be dropped. */
static int launder(struct folio *folio)
{
	struct inode *inode = folio->mapping->host;
	struct batch b;
	bool ok;

	if (!folio_clear_dirty_for_io(folio)) {
		return 0;
	}
	batch_begin(&b, inode);
	ok = batch_page(&b, &folio->page);
	if (!ok) {
		filemap_dirty_folio(folio->mapping, folio);
	}
	batch_finish(&b);
	return ok ? 0 : -ENOMEM;
}

/* Pages of a process' memory into the batch's request. False: they are none, or
 * not there. */
static bool user_pages(struct write *w, struct iov_iter *from)
{
	size_t offset;
	ssize_t n = iov_iter_get_pages2(from, w->page, FUSE_CHANNEL_DATA_MAX,
					PAGES_MAX, &offset);

	if (n <= 0) {
		return false;
	}
	for (w->bytes = n; n > 0; w->ap.num_pages++) {
		u32 length = min_t(u32, n, PAGE_SIZE - offset);

		w->desc[w->ap.num_pages] = (struct fuse_page_desc){
			.length = length, .offset = offset,
		};
		n -= length;
		offset = 0;
	}
	return true;
}

/**
 * Writes what a process has in its memory, not by pages of the file's: as much of
 * `from` as one request can take, at pos. The inode is locked, so none of these
 * pages can be made for writing; nor, meanwhile, for reading. Returns how many
 * bytes are written, or an error; -EAGAIN: the file has such a page, or this is
 * memory that has none, or there is no other: all that is left has to go by pages
 * of the file's.
 */
ssize_t fuse_write_past(struct inode *inode, loff_t pos, struct iov_iter *from)
{
	struct address_space *mapping = inode->i_mapping;
	struct batch b;
	struct write *w;
	u32 bytes;

	fuse_room_make(get_fuse_conn(inode)->iq.priv,
		       iov_iter_count(from) / PAGE_SIZE + 1);
	batch_begin(&b, inode);
	b.user = true;
	b.written = -EAGAIN;
	w = write_new(&b, pos);
	if (!w || !user_pages(w, from)) {
		kfree(w);
		batch_finish(&b);
		return -EAGAIN;
	}
	bytes = w->bytes;
	filemap_invalidate_lock(mapping);
	if (filemap_range_has_page(mapping, pos, pos + bytes - 1)) {
		put_pages(w);
		kfree(w);
	} else {
		b.write = w;
	}
	batch_finish(&b);
	filemap_invalidate_unlock(mapping);
	iov_iter_revert(from, bytes - max_t(ssize_t, b.written, 0));
	return b.written;
}

/* Have all writes been answered? While a file is cut none are sent; when that is
 * over nobody is woken, but then none is on its way either. */
static bool idle(struct fuse_inode *fi)
{
	bool is;

	spin_lock(&fi->lock);
	is = (fi->writectr == 0 || fi->writectr == FUSE_NOWRITE) &&
	     list_empty(&fi->queued_writes);
	spin_unlock(&fi->lock);
	return is;
}

/**
 * Writes what is dirty of a file, its times too, and waits until the host has it:
 * the fuse module counts a page as written when it has a copy of it. The inode is
 * the caller's to keep. May sleep. Returns 0 or why something is lost.
 */
int fuse_write_all(struct inode *inode)
{
	struct fuse_inode *fi = get_fuse_inode(inode);
	int err = write_inode_now(inode, 1);

	wait_event(fi->page_waitq, idle(fi));
	return err;
}

/* The fuse module's functions for files, and with ours in place of some. Made
 * once; `made` guards that. */
static const struct address_space_operations *fuse_ops;
static struct address_space_operations file_ops;
static DEFINE_SPINLOCK(made);

/* A write() that was refused: neither its bytes nor the size that they gave are
 * the file's. */
static void take_back(struct inode *inode, loff_t pos, loff_t size)
{
	struct fuse_inode *fi = get_fuse_inode(inode);

	spin_lock(&fi->lock);
	i_size_write(inode, size);
	spin_unlock(&fi->lock);
	invalidate_inode_pages2_range(inode->i_mapping, pos / PAGE_SIZE,
				      pos / PAGE_SIZE);
}

/* A page has been written to, with the inode locked. Is the host full, or nearly,
 * it is asked at once: this page's or an older one's error is the writer's, and
 * has been told then. */
static int write_to(struct file *file, struct address_space *mapping,
		    loff_t pos, unsigned int len, unsigned int copied,
		    compat_dirty *page, void *data)
{
	struct inode *inode = mapping->host;
	struct fuse_session *s = get_fuse_conn(inode)->iq.priv;
	loff_t size = i_size_read(inode);
	int done = fuse_ops->write_end(file, mapping, pos, len, copied, page,
				       data);
	int err = 0;

	if (done > 0 && (READ_ONCE(s->full) || !fuse_room_for(s, 0))) {
		fuse_room_make(s, 0);
		err = file_write_and_wait_range(file, pos, pos + done - 1);
		filemap_check_errors(mapping);
	}
	/* An older one's, if it is not full any more. */
	if (err && READ_ONCE(s->full)) {
		take_back(inode, pos, size);
	}
	return err ? err : done;
}

/** Puts our functions into a regular file's inode, for its pages. */
void fuse_write_adopt(struct inode *inode)
{
	spin_lock(&made);
	if (!fuse_ops) {
		file_ops = *inode->i_mapping->a_ops;
		file_ops.write_end = write_to;
		file_ops.launder_folio = launder;
		/* One page at a time, for want of memory: the flusher has
		 * more at once. */
		file_ops.writepage = NULL;
		file_ops.writepages = write_pages;
		fuse_ops = inode->i_mapping->a_ops;
	}
	spin_unlock(&made);
	WRITE_ONCE(inode->i_mapping->a_ops, &file_ops);
}
