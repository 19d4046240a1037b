/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * isthmus: the part of compat.h that needs the fuse module's private header: how
 * that module hands its messages to a transport, and how it names pages.
 */
#ifndef ISTHMUS_COMPAT_FUSE_H
#define ISTHMUS_COMPAT_FUSE_H

#include <linux/slab.h>

#include "compat.h"

/* What fuse_queue.c defines. */
void fuse_session_forget(struct fuse_iqueue *fiq,
			 struct fuse_forget_link *link);
void fuse_session_interrupt(struct fuse_iqueue *fiq, struct fuse_req *req);
void fuse_session_request(struct fuse_iqueue *fiq, struct fuse_req *req);

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
/* What write_cache_pages() hands out. */
typedef struct folio compat_dirty;
#define compat_dirty_page(folio)	(&(folio)->page)

#define COMPAT_FUSE_OPS							\
	.send_forget	= fuse_session_forget,				\
	.send_interrupt	= fuse_session_interrupt,			\
	.send_req	= fuse_session_request,

#define compat_atime(inode)	inode_get_atime(inode)

/* What the fuse module knows of an open file, which has left its inode's list. */
static inline void compat_fuse_file_free(struct fuse_inode *fi,
					 struct fuse_file *ff)
{
	spin_lock(&fi->lock);
	if (ff->iomode == IOM_CACHED && --fi->iocachectr == 0) {
		clear_bit(FUSE_I_CACHE_IO_MODE, &fi->state);
	}
	spin_unlock(&fi->lock);
	kfree(ff->args);
	kfree(ff);
}

/* The memory of a request's page i, and its length. A folio's is contiguous. */
static inline u8 *compat_fuse_page(const struct fuse_args_pages *ap, u32 i,
				   u32 *length)
{
	if (ap->uses_folios) {
		*length = ap->folio_descs[i].length;
		return folio_address(ap->folios[i]) +
		       ap->folio_descs[i].offset;
	}
	*length = ap->descs[i].length;
	return page_address(ap->pages[i]) + ap->descs[i].offset;
}
#else
typedef struct page compat_dirty;
#define compat_dirty_page(page)		(page)

/* 6.1 puts what there is to send on a list of the queue's, one at a time, and
 * calls with the queue locked. */
static inline void compat_wake_forget(struct fuse_iqueue *fiq)
	__releases(fiq->lock)
{
	struct fuse_forget_link *link = fuse_dequeue_forget(fiq, 1, NULL);

	spin_unlock(&fiq->lock);
	fuse_session_forget(fiq, link);
}

static inline void compat_wake_interrupt(struct fuse_iqueue *fiq)
	__releases(fiq->lock)
{
	struct fuse_req *req = list_last_entry(&fiq->interrupts,
					       struct fuse_req, intr_entry);

	list_del_init(&req->intr_entry);
	spin_unlock(&fiq->lock);
	fuse_session_interrupt(fiq, req);
}

static inline void compat_wake_pending(struct fuse_iqueue *fiq)
	__releases(fiq->lock)
{
	struct fuse_req *req = list_last_entry(&fiq->pending,
					       struct fuse_req, list);

	list_del_init(&req->list);
	spin_unlock(&fiq->lock);
	fuse_session_request(fiq, req);
}

#define COMPAT_FUSE_OPS							\
	.wake_forget_and_unlock		= compat_wake_forget,		\
	.wake_interrupt_and_unlock	= compat_wake_interrupt,	\
	.wake_pending_and_unlock	= compat_wake_pending,

#define compat_atime(inode)	((inode)->i_atime)

static inline void compat_fuse_file_free(struct fuse_inode *fi,
					 struct fuse_file *ff)
{
	kfree(ff->release_args);
	mutex_destroy(&ff->readdir.lock);
	kfree(ff);
}

static inline u8 *compat_fuse_page(const struct fuse_args_pages *ap, u32 i,
				   u32 *length)
{
	*length = ap->descs[i].length;
	return page_address(ap->pages[i]) + ap->descs[i].offset;
}
#endif

#endif
