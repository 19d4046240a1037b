/* SPDX-License-Identifier: MIT */
/*
 * As much of Linux's VFS as guest/driver/fuse_notify.c asks for. What it does to
 * files goes into a log, a line each, which a test compares (vfs.c). References
 * are counted, and locks are taken only where nobody has them: who would wait
 * has fake.sleep called, as in kernel.h.
 */
#ifndef FAKE_VFS_H
#define FAKE_VFS_H

#define NAME_MAX		255
#define PAGE_SHIFT		12
#define MAX_LFS_FILESIZE	INT64_MAX
#define NSEC_PER_SEC		1000000000l
#define FUSE_NOWRITE		INT32_MIN
#define LOOKUP_RCU		0x100u
#define S_ISDIR(mode)		(((mode) & 0170000) == 0040000)
#define S_ISLNK(mode)		(((mode) & 0170000) == 0120000)
#define FS_MODIFY		0x2u
#define FS_ATTRIB		0x4u
#define FS_MOVED_FROM		0x40u
#define FS_MOVED_TO		0x80u
#define FS_CREATE		0x100u
#define FS_DELETE		0x200u
#define FS_DELETE_SELF		0x400u
#define FS_MOVE_SELF		0x800u
#define FS_Q_OVERFLOW		0x4000u
#define FS_ISDIR		0x40000000u
#define FSNOTIFY_EVENT_INODE	1

typedef unsigned long pgoff_t;

struct qstr {
	u32 len, hash;
	const unsigned char *name;
};

#define QSTR_INIT(n, l)		{ .name = (n), .len = (l) }

struct hlist_node {
	struct hlist_node *next;
};

struct hlist_head {
	struct hlist_node *first;
};

struct inode;

struct dentry {
	struct super_block *d_sb;
	struct inode *d_inode;
	struct dentry *d_parent;
	struct qstr d_name;
	void *d_fsdata;
	spinlock_t d_lock;
	struct hlist_head d_children;
	struct hlist_node d_sib;
	bool hashed, in_lookup;
	int count;
};

struct name_snapshot {
	struct qstr name;
};

struct dentry_operations {
	int (*d_revalidate)(struct dentry *dentry, unsigned int flags);
};

/* Who has it for writing is somebody else. */
struct rw_semaphore {
	int readers;
	bool writer;
};

#define hlist_for_each_entry(pos, head, member)				\
	for (struct hlist_node *n_ = (head)->first;			\
	     n_ && ((pos) = container_of(n_, __typeof__(*(pos)), member)); \
	     n_ = n_->next)
#define list_for_each_entry(pos, head, member)				\
	for (pos = list_entry((head)->next, __typeof__(*pos), member);	\
	     &pos->member != (head);					\
	     pos = list_entry(pos->member.next, __typeof__(*pos), member))
#define list_add(item, head)		list_add_tail(item, (head)->next)
#define smp_mb()			((void)0)
#define DECLARE_WORK(w, f)	struct work_struct w = { .func = (f) }
#define system_unbound_wq		(&fake_unbound)
#define flush_work(w) \
	((void)(w), fake_unbound.held = false, (void)fake_run_queues())
#define get_fuse_conn_super(sb)		((sb)->s_fs_info->fc)
#define inode_set_mtime(i, s, n) \
	((void)((i)->i_mtime = (struct timespec64){ (s), (n) }))
#define inode_set_ctime(i, s, n) \
	((void)((i)->i_ctime = (struct timespec64){ (s), (n) }))
#define inode_maybe_inc_iversion(i, f)	((void)(f), (void)(i)->version++)
#define forget_all_cached_acls(i)	((void)(i))
#define d_inode(d)			((d)->d_inode)
#define d_inode_rcu(d)			((d)->d_inode)
#define full_name_hash(salt, name, len) ((void)(salt), (void)(name), (len))
#define take_dentry_name_snapshot(s, d)	((void)((s)->name = (d)->d_name))
#define release_dentry_name_snapshot(s)	((void)(s))
#define d_find_alias(i)			d_find_any_alias(i)
#define fsnotify_inode(i, mask) \
	vfs_log("event %llu %x\n", (unsigned long long)(i)->nodeid, mask)
#define fsnotify_dentry(d, mask) \
	vfs_log("event %s %x\n", (d)->d_name.name, mask)
#define fsnotify_name(mask, data, type, dir, name_, cookie)		\
	((void)(data), (void)(type),					\
	 vfs_log("event %llu/%.*s %x %u\n",				\
		 (unsigned long long)(dir)->nodeid, (int)(name_)->len,	\
		 (name_)->name, mask, cookie))
#define fsnotify_inoderemove(i) \
	vfs_log("gone %llu\n", (unsigned long long)(i)->nodeid)
#define truncate_pagecache(i, size) \
	vfs_log("cut %llu %lld\n", (unsigned long long)(i)->nodeid, \
		(long long)(size))
#define d_invalidate(d) \
	(vfs_log("drop %s\n", (d)->d_name.name), \
	 (void)((d)->hashed = false))
#define shrink_dcache_parent(d) \
	vfs_log("shrink %llu\n", (unsigned long long)(d)->d_inode->nodeid)

extern struct workqueue_struct fake_unbound;
void vfs_log(const char *format, ...) __attribute__((format(printf, 1, 2)));
void inode_lock(struct inode *inode);
bool inode_trylock(struct inode *inode);
void inode_unlock(struct inode *inode);
void down_read_non_owner(struct rw_semaphore *sem);
void up_read_non_owner(struct rw_semaphore *sem);
void ihold(struct inode *inode);
void iput(struct inode *inode);
struct inode *ilookup5(struct super_block *sb, unsigned long hash,
		       int (*test)(struct inode *inode, void *data),
		       void *data);
struct dentry *dget_parent(struct dentry *dentry);
void dput(struct dentry *dentry);
struct dentry *d_find_any_alias(struct inode *inode);
struct dentry *d_lookup(struct dentry *parent, const struct qstr *name);

/* ---- What a test does ---- */

/* Looks at the log, and empties it. */
bool vfs_said(const char *text);
/* A file that Linux knows: its inode is in the superblock, its name in the
 * directory's dentry; parent NULL: it is the root. */
void vfs_add(struct super_block *sb, struct inode *inode,
	     struct dentry *dentry, struct dentry *parent, const char *name);

#endif
