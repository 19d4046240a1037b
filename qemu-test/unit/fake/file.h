/* SPDX-License-Identifier: MIT */
/*
 * Open files, and processes that read and write them, as much as the driver sees
 * of them. Part of fuse_i.h.
 */
#ifndef FAKE_FILE_H
#define FAKE_FILE_H

#define S_ISUID			0004000u
#define S_ISGID			0002000u
#define S_ISDIR(mode)		(((mode) & 0170000) == 0040000)
#define STATX_SIZE		0x200u
#define IOCB_DIRECT		1u
#define IOCB_NOWAIT		2u
#define IOCB_APPEND		4u
#define FMODE_OPENED		1u
#define FMODE_READ		2u
#define FMODE_CREATED		4u
#define max_t(type, a, b)	((type)(a) > (type)(b) ? (type)(a) : (type)(b))

typedef unsigned int umode_t;
typedef void *fl_owner_t;

/* A process' memory: pages in a row, of which it begins somewhere in the first. */
struct iov_iter {
	struct page *pages;
	size_t at, count, segment;
	bool kernel, device;
};

struct file {
	struct inode *f_inode;
	struct address_space *f_mapping;
	const struct file_operations *f_op;
	unsigned int f_mode, f_flags;
	void *private_data;
	struct {
		struct dentry *dentry;
	} f_path;
};

struct kiocb {
	struct file *ki_filp;
	loff_t ki_pos;
	unsigned int ki_flags;
	bool async;
};

struct file_operations {
	ssize_t (*read_iter)(struct kiocb *iocb, struct iov_iter *to);
	ssize_t (*write_iter)(struct kiocb *iocb, struct iov_iter *from);
	int (*flush)(struct file *file, fl_owner_t id);
	int (*release)(struct inode *inode, struct file *file);
};

/* What the fuse module knows of an open file. */
struct fuse_file {
	struct fuse_mount *fm;
	void *args;
	u64 fh, nodeid;
	int count;
	struct list_head write_entry;
	bool polled_node;
	enum { IOM_NONE, IOM_CACHED } iomode;
	bool flock;
};

#define refcount_read(count)	(*(count))
#define RB_EMPTY_NODE(node)	(!*(node))
#define FUSE_I_CACHE_IO_MODE	5
#define S_NOSEC			1u
#define inode_has_no_xattr(i)	((void)((i)->i_flags |= S_NOSEC))

#define in_group_p(gid)		((gid) == fake.group)
#define capable(cap)		((void)(cap), fake.fsetid)
#define capable_wrt_inode_uidgid(idmap, inode, cap)	\
	((void)(idmap), (void)(inode), (void)(cap), fake.fsetid_here)

enum { CAP_FSETID = 4 };

struct mnt_idmap;
extern struct mnt_idmap nop_mnt_idmap;

struct inode_operations {
	struct dentry *(*lookup)(struct inode *dir, struct dentry *entry,
				 unsigned int flags);
	int (*atomic_open)(struct inode *dir, struct dentry *entry,
			   struct file *file, unsigned int flags,
			   umode_t mode);
	int (*tmpfile)(struct mnt_idmap *idmap, struct inode *dir,
		       struct file *file, umode_t mode);
	int (*unlink)(struct inode *dir, struct dentry *entry);
};

#define MAX_JIFFY_OFFSET	(1l << 60)
#define d_in_lookup(d)		((d)->in_lookup)
#define d_drop(d)		((void)((d)->hashed = false))
#define d_unhashed(d)		(!(d)->hashed)
#define d_rehash(d)		(assert(!(d)->hashed), (void)((d)->hashed = true))
#define d_add(d, i)							\
	(assert(!(d)->hashed && !(d)->d_inode), (void)((d)->d_inode = (i)), \
	 (void)((d)->in_lookup = false), (void)((d)->hashed = true))

static inline int finish_no_open(struct file *file, struct dentry *entry)
{
	file->f_path.dentry = entry;
	return 0;
}

#define file_inode(f)			((f)->f_inode)
#define is_sync_kiocb(iocb)		(!(iocb)->async)
#define user_backed_iter(i)		(!(i)->kernel)
#define iov_iter_count(i)		((i)->count)
#define iov_iter_single_seg_count(i)	((i)->segment)
#define iov_iter_revert(i, n)	((void)((i)->at -= (n), (i)->count += (n), \
					(i)->segment += (n)))
#define put_page(p)		(assert((p)->refs > 0), (void)(p)->refs--)
#define filemap_invalidate_lock(m)	(assert(!(m)->no_new), \
					 (void)((m)->no_new = true))
#define filemap_invalidate_unlock(m)	(assert((m)->no_new), \
					 (void)((m)->no_new = false))

ssize_t iov_iter_get_pages2(struct iov_iter *iter, struct page **pages,
			    size_t max, unsigned int most, size_t *start);
bool filemap_range_has_page(struct address_space *mapping, loff_t first,
			    loff_t last);

/* The test's. */
ssize_t generic_write_checks(struct kiocb *iocb, struct iov_iter *from);
int file_modified(struct file *file);
ssize_t __generic_file_write_iter(struct kiocb *iocb, struct iov_iter *from);
ssize_t generic_write_sync(struct kiocb *iocb, ssize_t n);

#endif
