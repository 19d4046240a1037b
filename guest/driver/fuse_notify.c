// SPDX-License-Identifier: GPL-2.0-only
/*
 * isthmus: carries out what the host tells a mount. The host is the only one who
 * writes these files beside Linux, so what Linux knows of them stays true until
 * the host says otherwise, and the host acknowledges nobody's change before all
 * have carried out its notifications.
 *
 * So nothing here may wait for somebody whose request the host answers only
 * after an acknowledgement from here: for the lock of an inode, which whoever
 * makes, removes or writes files holds meanwhile. What is in the caches is
 * changed without. What is on its way into them, from an answer that was older
 * than the notification, is met by two means:
 *
 * - A name is put on a list, where it counts as stale at each look at it, until
 *   its directory's lock could be had once: then all that were on their way have
 *   arrived. `settle` waits for that lock, and nobody for `settle`.
 * - An inode that is made from an older answer begins with expired attributes,
 *   by its version (alloc_inode()).
 *
 * Trust: the host may name any node and say anything of it. It can make files
 * wrong, which it can anyway. Process context; one notification of a mount at a
 * time.
 */
#include <linux/dcache.h>
#include <linux/fsnotify.h>
#include <linux/iversion.h>
#include <linux/namei.h>
#include <linux/pagemap.h>
#include <linux/posix_acl.h>
#include <linux/slab.h>
#include <linux/statfs.h>

#include "compat_vfs.h"
#include "fuse.h"

/* What watchers can be told. */
#define EVENTS_NAME	(FS_CREATE | FS_DELETE | FS_MOVED_FROM | FS_MOVED_TO)
#define EVENTS_FILE	(FS_MODIFY | FS_ATTRIB | FS_MOVE_SELF)

#define STALE_MANY	256u

/* A name that counts as stale. */
struct stale {
	struct list_head list;
	struct inode *dir;
	struct qstr name;		/* of no length: each of its names */
	unsigned char bytes[NAME_MAX + 1];
};

/* A file that the host changes: its lock is ours. */
struct fuse_locked {
	struct list_head list;
	struct inode *inode;
};

static LIST_HEAD(stale_list);
static DEFINE_SPINLOCK(stale_lock);
/* Looked at without the lock: 0 means that no name is to be compared. */
static unsigned int stale_count;

static void settle(struct work_struct *work);
static DECLARE_WORK(settle_work, settle);

/* fuse's own functions, which are the same for all mounts. */
static struct dentry_operations dentry_ops;
static int (*fuse_revalidate)(struct dentry *dentry, unsigned int flags);
static struct inode *(*fuse_alloc)(struct super_block *sb);
static int (*fuse_stat_fs)(struct dentry *dentry, struct kstatfs *buf);

static struct fuse_session *session_of(struct super_block *sb)
{
	return get_fuse_conn_super(sb)->iq.priv;
}

static int node_is(struct inode *inode, void *nodeid)
{
	return get_node_id(inode) == *(u64 *)nodeid;
}

/* The inode that Linux has for a node, with a reference; or NULL. One that is
 * just being made is waited for: that takes no answer of the host's. */
static struct inode *find(struct super_block *sb, u64 nodeid)
{
	return ilookup5(sb, nodeid, node_is, &nodeid);
}

/* Is this name of this directory on the list? */
static bool is_stale(const struct inode *dir, const struct qstr *name)
{
	struct stale *stale;
	bool found = false;

	spin_lock(&stale_lock);
	list_for_each_entry(stale, &stale_list, list) {
		found = stale->dir == dir &&
			(stale->name.len == 0 ||
			 (stale->name.len == name->len &&
			  memcmp(stale->bytes, name->name, name->len) == 0));
		if (found) {
			break;
		}
	}
	spin_unlock(&stale_lock);
	return found;
}

/* May a cached name be believed? In RCU mode nothing is compared: the walk comes
 * again without. */
static int revalidate(struct dentry *dentry, unsigned int flags)
{
	struct inode *inode = d_inode_rcu(dentry);

	if (unlikely(inode && !fuse_name_adopted(inode))) {
		if (flags & LOOKUP_RCU) {
			return -ECHILD;
		}
		fuse_name_adopt(inode);
	}
	if (unlikely(READ_ONCE(stale_count) > 0)) {
		struct name_snapshot name;
		struct dentry *parent;
		bool stale;

		if (flags & LOOKUP_RCU) {
			return -ECHILD;
		}
		parent = dget_parent(dentry);
		take_dentry_name_snapshot(&name, dentry);
		stale = is_stale(d_inode(parent), &name.name);
		release_dentry_name_snapshot(&name);
		dput(parent);
		if (stale) {
			return 0;
		}
	}
	return fuse_revalidate(dentry, flags);
}

/* A new inode counts as changed when the last notification for a node that Linux
 * did not have was carried out: an answer that is older does not fill it. */
static struct inode *alloc_inode(struct super_block *sb)
{
	struct inode *inode = fuse_alloc(sb);

	if (inode) {
		get_fuse_inode(inode)->attr_version =
			READ_ONCE(session_of(sb)->missed);
	}
	return inode;
}

/* Without a number to tell file systems apart by, as fuse leaves it, fanotify
 * watches nothing. */
static int stat_fs(struct dentry *dentry, struct kstatfs *buf)
{
	int err = fuse_stat_fs(dentry, buf);

	buf->f_fsid = u64_to_fsid(huge_encode_dev(dentry->d_sb->s_dev));
	return err;
}

/**
 * Puts our functions between the VFS and fuse. For each mount, after fuse has
 * filled its superblock and before anybody uses it; calls may not overlap.
 */
void fuse_notify_mount(struct super_block *sb)
{
	struct fuse_session *s = session_of(sb);

	if (!fuse_alloc) {
		fuse_alloc = sb->s_op->alloc_inode;
		fuse_stat_fs = sb->s_op->statfs;
		dentry_ops = *sb->s_d_op;
		fuse_revalidate = dentry_ops.d_revalidate;
		dentry_ops.d_revalidate = revalidate;
	}
	s->ops = *sb->s_op;
	s->ops.alloc_inode = alloc_inode;
	s->ops.statfs = stat_fs;
	sb->s_op = &s->ops;
	sb->s_d_op = &dentry_ops;
	fuse_name_adopt(d_inode(sb->s_root));
}

/* Drops one name of a directory, if it is cached. */
static void drop_name(struct inode *dir, struct qstr *name)
{
	struct dentry *parent = d_find_any_alias(dir);
	struct dentry *entry;

	if (!parent) {
		return;
	}
	name->hash = full_name_hash(parent, name->name, name->len);
	entry = d_lookup(parent, name);
	dput(parent);
	if (entry) {
		d_invalidate(entry);
		/* Were it put back into the cache by who holds it, it would
		 * have to be asked for. */
		entry->d_fsdata = NULL;
		dput(entry);
	}
}

/* A directory's names have changed. */
static void dir_changed(struct inode *dir)
{
	set_mask_bits(&get_fuse_inode(dir)->inval_mask, 0, STATX_BASIC_STATS);
	/* What was read of it is known by this. */
	inode_maybe_inc_iversion(dir, true);
}

/* All names of a directory have to be asked for: the host had too many changes
 * to say each. Its watchers have lost events, and are told so. */
static void expire_names(struct inode *dir)
{
	struct dentry *parent = d_find_any_alias(dir);
	struct dentry *child;

	if (parent) {
		spin_lock(&parent->d_lock);
		compat_for_each_child(child, parent) {
			child->d_fsdata = NULL;
		}
		spin_unlock(&parent->d_lock);
		shrink_dcache_parent(parent);
		dput(parent);
	}
	fsnotify_inode(dir, EVENTS_NAME | EVENTS_FILE | FS_Q_OVERFLOW);
}

/* What is on the list is dropped: one name, or each. */
static void drop(struct stale *stale)
{
	if (stale->name.len > 0) {
		drop_name(stale->dir, &stale->name);
	} else {
		expire_names(stale->dir);
	}
	dir_changed(stale->dir);
}

/* Takes names off the list when their directory's lock was had, the first one
 * in each turn. */
static void settle(struct work_struct *work)
{
	for (;;) {
		struct stale *stale;

		spin_lock(&stale_lock);
		stale = list_first_entry_or_null(&stale_list, struct stale,
						 list);
		spin_unlock(&stale_lock);
		if (!stale) {
			return;
		}
		inode_lock(stale->dir);
		drop(stale);
		spin_lock(&stale_lock);
		list_del(&stale->list);
		WRITE_ONCE(stale_count, stale_count - 1);
		spin_unlock(&stale_lock);
		inode_unlock(stale->dir);
		iput(stale->dir);
		kfree(stale);
	}
}

/* Drops a name of a directory, or all (len 0); the reference to dir goes with
 * it. When many wait for their locks, all: the host may name as many as it
 * likes. */
static void make_stale(struct inode *dir, const void *name, u32 len)
{
	struct stale *stale = kmalloc(sizeof(*stale), GFP_NOFS | __GFP_NOFAIL);
	struct stale now;

	if (READ_ONCE(stale_count) >= STALE_MANY) {
		len = 0;
	}
	memcpy(stale->bytes, name, len);
	stale->bytes[len] = '\0';
	stale->name = (struct qstr)QSTR_INIT(stale->bytes, len);
	stale->dir = dir;
	if (inode_trylock(dir)) {
		drop(stale);
		inode_unlock(dir);
		iput(dir);
		kfree(stale);
		return;
	}
	now = *stale;
	now.name.name = now.bytes;
	ihold(dir);
	/* First it counts as stale, then it is dropped. */
	spin_lock(&stale_lock);
	list_add_tail(&stale->list, &stale_list);
	WRITE_ONCE(stale_count, stale_count + 1);
	spin_unlock(&stale_lock);
	queue_work(system_unbound_wq, &settle_work);
	drop(&now);
	iput(dir);
}

/* INVAL_ENTRY. */
static void inval_entry(struct super_block *sb, const void *body, u32 len)
{
	const struct fuse_notify_inval_entry_out *out = body;
	struct inode *dir;

	if (len < sizeof(*out) || out->namelen == 0 ||
	    out->namelen > NAME_MAX || out->namelen > len - sizeof(*out)) {
		return;
	}
	dir = find(sb, out->parent);
	if (dir) {
		make_stale(dir, out + 1, out->namelen);
	}
}

/* What Linux keeps of a regular file by itself; the size is cut only if it says
 * so or nothing waits to be written. True: the file is shorter now. */
static bool set_size_and_times(struct inode *inode,
			       const struct fuse_channel_attr *attr)
{
	loff_t old = i_size_read(inode);
	loff_t size = min_t(u64, attr->size, MAX_LFS_FILESIZE);
	bool cut = size < old && ((attr->flags & FUSE_CHANNEL_ATTR_CUT) ||
				  !mapping_tagged(inode->i_mapping,
						  PAGECACHE_TAG_DIRTY));

	if (size > old || cut) {
		i_size_write(inode, size);
	}
	compat_set_mtime(inode, attr->mtime,
			 min_t(u32, attr->mtimensec, NSEC_PER_SEC - 1));
	compat_set_ctime(inode, attr->ctime,
			 min_t(u32, attr->ctimensec, NSEC_PER_SEC - 1));
	return cut;
}

/* Drops the pages of a range that anybody has; the cut ones too. */
static void drop_pages(struct inode *inode,
		       const struct fuse_channel_attr *attr, bool cut)
{
	pgoff_t first = min_t(u64, attr->offset, MAX_LFS_FILESIZE) >> PAGE_SHIFT;
	u64 end = attr->offset + attr->length;

	if (cut) {
		truncate_pagecache(inode, i_size_read(inode));
	}
	if (attr->length > 0) {
		/* ~0: to the end. */
		invalidate_inode_pages2_range(inode->i_mapping, first,
			end < attr->offset || end > MAX_LFS_FILESIZE ?
			(pgoff_t)-1 : (pgoff_t)((end - 1) >> PAGE_SHIFT));
	}
}

/* ATTR. */
static void attr_changed(struct super_block *sb,
			 const struct fuse_channel_attr *attr)
{
	struct fuse_conn *fc = get_fuse_conn_super(sb);
	struct inode *inode = find(sb, attr->nodeid);
	struct fuse_inode *fi;
	bool cut = false;

	if (!inode) {
		/* One that is made from an older answer is not to be believed;
		 * one that was made since the look is: look again. */
		WRITE_ONCE(session_of(sb)->missed,
			   atomic64_inc_return(&fc->attr_version));
		smp_mb();
		inode = find(sb, attr->nodeid);
		if (!inode) {
			return;
		}
	}
	fi = get_fuse_inode(inode);
	spin_lock(&fi->lock);
	/* Answers that are older change nothing now. */
	fi->attr_version = atomic64_inc_return(&fc->attr_version);
	if (S_ISREG(inode->i_mode)) {
		cut = set_size_and_times(inode, attr);
	}
	spin_unlock(&fi->lock);
	set_mask_bits(&fi->inval_mask, 0, STATX_BASIC_STATS);
	forget_all_cached_acls(inode);
	if (S_ISREG(inode->i_mode) || S_ISLNK(inode->i_mode)) {
		drop_pages(inode, attr, cut);
	} else if (S_ISDIR(inode->i_mode) &&
		   (attr->flags & FUSE_CHANNEL_ATTR_NAMES)) {
		make_stale(inode, "", 0);
		return;
	}
	iput(inode);
}

/* Lets all files go that are locked, or the one. */
static void unlock(struct fuse_session *s, const struct inode *inode)
{
	struct fuse_locked *locked, *next;

	list_for_each_entry_safe(locked, next, &s->locked_files, list) {
		if (!inode || locked->inode == inode) {
			list_del(&locked->list);
			up_read_non_owner(&locked->inode->i_rwsem);
			iput(locked->inode);
			kfree(locked);
		}
	}
}

/* Flushes a file and keeps its lock, the only one: who has it now waits for an
 * answer of the host's at most, never for a notification. For reading: that keeps
 * writers out, and is of no task. One that had it for writing would be looked at
 * by all who wait, and our worker may be gone before the host lets go. */
static void lock(struct fuse_session *s, struct inode *inode)
{
	struct fuse_locked *locked = kmalloc(sizeof(*locked),
					     GFP_NOFS | __GFP_NOFAIL);

	unlock(s, NULL);
	down_read_non_owner(&inode->i_rwsem);
	ihold(inode);
	locked->inode = inode;
	list_add(&locked->list, &s->locked_files);
	fuse_write_all(inode);
}

/* FLUSH, LOCK, UNLOCK. */
static void flush_node(struct fuse_session *s, int code, u64 nodeid)
{
	struct inode *inode = find(s->fm->sb, nodeid);

	if (!inode) {
		return;
	}
	if (code == FUSE_CHANNEL_NOTIFY_UNLOCK) {
		unlock(s, inode);
	} else if (S_ISREG(inode->i_mode) && !fuse_is_bad(inode)) {
		if (code == FUSE_CHANNEL_NOTIFY_LOCK) {
			lock(s, inode);
		} else {
			fuse_write_all(inode);
		}
	}
	iput(inode);
}

/* An event of a file's content or attributes: its watchers learn of it, and its
 * directory's with its name. */
static void event_file(struct inode *dir, struct inode *inode,
		       const struct qstr *name, u32 mask)
{
	struct dentry *dentry = inode ? d_find_alias(inode) : NULL;

	if (dentry) {
		fsnotify_dentry(dentry, mask & ~FS_ISDIR);
		dput(dentry);
	} else if (inode) {
		fsnotify_inode(inode, mask & ~FS_ISDIR);
	}
	if (!dentry && dir) {
		/* Nobody has looked at it yet. */
		fsnotify_name(mask, dir, FSNOTIFY_EVENT_INODE, dir, name, 0);
	}
}

/* EVENT. Who watches a directory or a file keeps its inode. */
static void event(struct super_block *sb, const void *body, u32 len)
{
	const struct fuse_channel_event *ev = body;
	unsigned char bytes[NAME_MAX + 1];
	struct qstr name = QSTR_INIT(bytes, 0);
	struct inode *dir = NULL, *inode = NULL;
	u32 mask;

	if (len < sizeof(*ev) || ev->namelen > NAME_MAX ||
	    ev->namelen > len - sizeof(*ev)) {
		return;
	}
	/* Watchers copy it up to its NUL. */
	memcpy(bytes, ev + 1, ev->namelen);
	bytes[ev->namelen] = '\0';
	name.len = strlen(bytes);
	mask = ev->mask & (EVENTS_NAME | EVENTS_FILE | FS_DELETE_SELF |
			   FS_ISDIR);
	dir = ev->parent && name.len > 0 ? find(sb, ev->parent) : NULL;
	inode = ev->nodeid ? find(sb, ev->nodeid) : NULL;
	if (dir && (mask & EVENTS_NAME)) {
		fsnotify_name(mask & (EVENTS_NAME | FS_ISDIR),
			      inode ? inode : dir, FSNOTIFY_EVENT_INODE, dir,
			      &name, ev->cookie);
	}
	if (mask & (FS_MODIFY | FS_ATTRIB)) {
		event_file(dir, inode, &name,
			   mask & (FS_MODIFY | FS_ATTRIB | FS_ISDIR));
	}
	if (inode && (mask & FS_MOVE_SELF)) {
		fsnotify_inode(inode, FS_MOVE_SELF);
	}
	if (inode && (mask & FS_DELETE_SELF)) {
		fsnotify_inoderemove(inode);
	}
	iput(inode);
	iput(dir);
}

/**
 * Carries out one notification, in full. What makes no sense, or is not known, is
 * nothing. Sends requests of its own, and waits for their answers, which the
 * host does not hold back. See fuse.h.
 */
void isthmus_fuse_notify(struct fuse_session *s, int code, const void *body,
			 u32 len)
{
	struct super_block *sb = s->fm->sb;

	switch (code) {
	case FUSE_NOTIFY_INVAL_ENTRY:
		inval_entry(sb, body, len);
		break;
	case FUSE_CHANNEL_NOTIFY_ATTR:
		if (len >= sizeof(struct fuse_channel_attr)) {
			attr_changed(sb, body);
		}
		break;
	case FUSE_CHANNEL_NOTIFY_FLUSH:
	case FUSE_CHANNEL_NOTIFY_LOCK:
	case FUSE_CHANNEL_NOTIFY_UNLOCK:
		if (len >= sizeof(struct fuse_channel_node)) {
			flush_node(s, code,
				   ((const struct fuse_channel_node *)
				    body)->nodeid);
		}
		break;
	case FUSE_CHANNEL_NOTIFY_EVENT:
		event(sb, body, len);
		break;
	}
}

/**
 * The session is over: no file stays locked, and none is by a notification that
 * comes later. As above.
 */
void fuse_notify_unlock(struct fuse_session *s)
{
	unlock(s, NULL);
}

/**
 * Waits until no inode is held from here any more. For who unmounts, after the
 * last notification and before its inodes go: no request is out then, so that
 * every lock can be had.
 */
void fuse_notify_unmount(struct fuse_session *s)
{
	cancel_work_sync(&s->notice_work);
	unlock(s, NULL);
	flush_work(&settle_work);
}
