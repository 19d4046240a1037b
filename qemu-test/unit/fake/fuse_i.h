/* SPDX-License-Identifier: MIT */
/*
 * The private header of the kernel's fuse module, as much of it as the driver
 * asks for, and what a file system is beside that. Its functions are in fuse.c;
 * they assert what the real ones rely on: that a request ends once, and where
 * locks may be taken.
 */
#ifndef FAKE_FUSE_I_H
#define FAKE_FUSE_I_H

#include "kernel.h"
#include "/usr/include/linux/fuse.h"

#include "vfs.h"

#define PAGE_SIZE	4096u
#define O_ACCMODE	3u
#define O_RDONLY	0u
#define O_WRONLY	1u
#define O_CREAT		0100u
#define O_EXCL		0200u
#define O_TRUNC		01000u
#define F_RDLCK		0u
#define F_WRLCK		1u
#define F_UNLCK		2u
#define S_IFDIR		0040000u
#define I_SYNC		128u
#define I_DIRTY_SYNC	1u
#define I_DIRTY_DATASYNC	2u
#define STATX_BLOCKS	0x400u
#define STATX_MODE	2u
#define STATX_NLINK	4u
#define STATX_ATIME	0x20u
#define STATX_MTIME	0x40u
#define STATX_CTIME	0x80u
#define STATX_BASIC_STATS	0x7ffu
#define I_LINKABLE	0x400u
#define BDI_CAP_STRICTLIMIT	4u
#define BDI_CAP_WRITEBACK_ACCT	2u
#define PAGECACHE_TAG_DIRTY	0
#define SB_ACTIVE	1u

/* ---- Requests ---- */

struct page {
	u8 bytes[PAGE_SIZE];
	unsigned long index;
	int refs;
	bool locked, dirty, writeback, reported;
	struct list_head lru;
};

struct folio {
	struct page page;
	struct address_space *mapping;
};

#define page_address(p)		((p)->bytes)
#define folio_address(f)	((f)->page.bytes)

struct fuse_in_arg {
	unsigned int size;
	const void *value;
};

struct fuse_arg {
	unsigned int size;
	void *value;
};

struct fuse_page_desc {
	unsigned int length, offset;
};

struct fuse_mount;

struct fuse_args {
	u64 nodeid;
	u32 opcode;
	u8 in_numargs, out_numargs;
	bool force, in_pages, out_pages, out_argvar, page_zeroing, may_block;
	struct fuse_in_arg in_args[3];
	struct fuse_arg out_args[2];
	void (*end)(struct fuse_mount *fm, struct fuse_args *args, int error);
};

struct fuse_args_pages {
	struct fuse_args args;
	union {
		struct page **pages;
		struct folio **folios;
	};
	union {
		struct fuse_page_desc *descs, *folio_descs;
	};
	unsigned int num_pages;
	bool uses_folios;
};

enum {
	FR_BACKGROUND, FR_INTERRUPTED, FR_PENDING, FR_SENT, FR_FINISHED,
	FR_ASYNC,
};

struct fuse_req {
	struct list_head list;
	struct fuse_args *args;
	int count;
	unsigned long flags;
	struct {
		struct fuse_in_header h;
	} in;
	struct {
		struct fuse_out_header h;
	} out;
	wait_queue_head_t waitq;
	struct fuse_mount *fm;
};

struct fuse_forget_link {
	struct fuse_forget_one forget_one;
	struct fuse_forget_link *next;
};

struct fuse_iqueue;

struct fuse_iqueue_ops {
	void (*send_forget)(struct fuse_iqueue *q,
			    struct fuse_forget_link *link);
	void (*send_interrupt)(struct fuse_iqueue *q, struct fuse_req *req);
	void (*send_req)(struct fuse_iqueue *q, struct fuse_req *req);
	void (*release)(struct fuse_iqueue *q);
};

struct fuse_iqueue {
	const struct fuse_iqueue_ops *ops;
	void *priv;
};

/* ---- Mounts ---- */

struct user_namespace;

struct fuse_conn {
	int count;
	struct user_namespace *user_ns;
	struct fuse_iqueue iq;
	spinlock_t bg_lock;
	wait_queue_head_t blocked_waitq;
	void (*release)(struct fuse_conn *fc);
	unsigned int max_pages_limit;
	int num_waiting;		/* requests that have not ended */
	bool initialized, conn_error, conn_init, no_flush;
	bool delete_stale, auto_submounts, sync_fs;
	atomic64_t attr_version;
};

struct writeback_control;
struct address_space;

struct file;

struct address_space_operations {
	int (*writepage)(struct page *page, struct writeback_control *wbc);
	int (*writepages)(struct address_space *mapping,
			  struct writeback_control *wbc);
	int (*launder_folio)(struct folio *folio);
	int (*write_end)(struct file *file, struct address_space *mapping,
			 loff_t pos, unsigned int len, unsigned int copied,
			 struct folio *folio, void *data);
};

struct address_space {
	bool dirty;
	struct inode *host;
	const struct address_space_operations *a_ops;
	struct folio *folios;		/* all there are */
	unsigned int count;
	int error;
	bool no_new;			/* pages */
};

struct timespec64 {
	long tv_sec, tv_nsec;
};

struct inode {
	u64 nodeid, i_blocks, i_size;
	unsigned int i_mode, i_nlink, i_uid, i_gid, i_blkbits, i_flags;
	struct timespec64 i_atime, i_mtime, i_ctime;
	unsigned long i_state;
	struct super_block *i_sb;
	struct address_space *i_mapping;
	const struct file_operations *i_fop;
	const struct inode_operations *i_op;
	void *i_private;
	bool locked;
	/* fuse_notify.c's: vfs.h. */
	struct rw_semaphore i_rwsem;
	struct inode *next;		/* of its superblock's */
	struct dentry *alias;
	int count;
	u64 version;
	unsigned int written;		/* write_inode_now() */
};

struct fuse_inode {
	struct inode inode;
	spinlock_t lock;
	wait_queue_head_t page_waitq;
	u64 attr_version, i_time;
	u32 inval_mask;
	u64 orig_ino;
	int writectr, iocachectr;
	unsigned long state;
	struct list_head queued_writes;
};

struct kstatfs {
	u64 f_fsid;
};

#define u64_to_fsid(v)		(v)
#define huge_encode_dev(dev)	(dev)

struct super_operations {
	struct inode *(*alloc_inode)(struct super_block *sb);
	int (*statfs)(struct dentry *dentry, struct kstatfs *buf);
};

enum { WB_RECLAIMABLE, WB_WRITEBACK };

struct bdi_writeback {
	s64 stat[2];
};

#define wb_stat(wb, item)	((wb)->stat[item])
#define wb_stat_sum		wb_stat
#define wb_stat_error()		0u

struct backing_dev_info {
	unsigned int capabilities, ratio;
	struct bdi_writeback wb;
};

#define bdi_set_max_ratio(bdi, r)	((bdi)->ratio = (r))

struct super_block {
	struct backing_dev_info *s_bdi, bdi;
	struct fuse_mount *s_fs_info;
	struct dentry *s_root;
	unsigned int s_dev;
	unsigned int s_flags;
	int active;
	struct rw_semaphore s_umount;
	unsigned int syncs;		/* sync_inodes_sb() */
	long s_time_min, s_time_max;
	struct inode *inode;		/* the one that is known */
	struct inode *inodes;		/* fuse_notify.c's */
	const struct super_operations *s_op;
	const struct dentry_operations *s_d_op;
};

struct fuse_mount {
	struct fuse_conn *fc;
	struct super_block *sb;
	int mounts;
};

enum { FUSE_DAX_NEVER = 2 };

struct fuse_fs_context {
	unsigned int rootmode, max_read, blksize;
	bool default_permissions, allow_other, destroy, no_control;
	bool no_force_umount;
	int dax_mode;
	void **fudptr;
};

struct file_system_type;
struct fs_context_operations;

struct fs_context {
	int purpose;
	const struct fs_context_operations *ops;
	void *fs_private, *s_fs_info;
	struct user_namespace *user_ns;
	struct dentry *root;
	char *source;
};

struct fs_parameter {
	const char *key;
	char *string;
};

struct fs_parameter_spec {
	const char *name;
	int opt;
};

struct fs_parse_result {
	int unused;
};

struct fs_context_operations {
	void (*free)(struct fs_context *fsc);
	int (*parse_param)(struct fs_context *fsc, struct fs_parameter *p);
	int (*get_tree)(struct fs_context *fsc);
	int (*reconfigure)(struct fs_context *fsc);
};

struct file_system_type {
	void *owner;
	const char *name;
	int (*init_fs_context)(struct fs_context *fsc);
	const struct fs_parameter_spec *parameters;
	void (*kill_sb)(struct super_block *sb);
};

#define fsparam_string(name, opt)	{ name, opt }
#define fsparam_flag(name, opt)		{ name, opt }
#define invalf(fsc, ...)		((void)(fsc), -EINVAL)
#define FS_CONTEXT_FOR_SUBMOUNT		2
#define MODULE_ALIAS_FS(name)
#define get_random_bytes(p, n)		memset(p, 0x5a, n)
#define get_fuse_mount_super(sb)	((sb)->s_fs_info)
#define get_node_id(inode)		((inode)->nodeid)
#define get_fuse_inode(i)	container_of(i, struct fuse_inode, inode)
#define inode_get_atime(i)	((i)->i_atime)
#define i_size_read(i)		((i)->i_size)
#define i_size_write(i, n)	((void)((i)->i_size = (u64)(n)))
#define from_kuid(ns, id)	((void)(ns), (id))
#define from_kgid(ns, id)	from_kuid(ns, id)
#define get_fuse_conn(i)	((i)->i_sb->s_fs_info->fc)
#define fuse_is_bad(i)		((void)(i), false)
#define page_offset(p)		((loff_t)(p)->index << 12)
#define set_page_writeback(p)	(assert((p)->locked && !(p)->writeback), \
				 (void)((p)->writeback = true))
#define end_page_writeback(p)	(assert((p)->writeback && fake.locks == 0), \
				 (void)((p)->writeback = false))
#define unlock_page(p)		((void)((p)->locked = false))
#define redirty_page_for_writepage(wbc, p) \
	((void)(wbc), (void)((p)->dirty = true))
#define filemap_dirty_folio(m, f)	((void)((f)->page.dirty = true))
#define mapping_set_error(m, e)	((void)((m)->error = (e) ? (e) : (m)->error))
#define get_jiffies_64()	((u64)fake.time)
#define time_after64(a, b)	((a) > (b))

/* Of a file nobody else has open: told once, it is told. */
#define filemap_check_errors(m)	((void)((m)->error = 0))
int file_write_and_wait_range(struct file *file, loff_t from, loff_t to);
int invalidate_inode_pages2_range(struct address_space *mapping,
				  unsigned long first, unsigned long last);
bool folio_clear_dirty_for_io(struct folio *folio);
int write_cache_pages(struct address_space *mapping,
		      struct writeback_control *wbc,
		      int (*fn)(struct folio *folio,
				struct writeback_control *wbc, void *data),
		      void *data);
int write_inode_now(struct inode *inode, int sync);
bool down_read_trylock(struct rw_semaphore *sem);
void up_read(struct rw_semaphore *sem);
void sync_inodes_sb(struct super_block *sb);
#define FS_IOC_SETFLAGS		0x40086602u
#define FS_IOC_FSSETXATTR	0x401c5820u
#define mapping_tagged(m, tag)	((m)->dirty)
#define S_ISREG(mode)		(((mode) & 0170000) == 0100000)
#define cmpxchg(p, old, new) ({						\
	__typeof__(*(p)) was_ = *(p);					\
	if (was_ == (old)) {						\
		*(p) = (new);						\
	}								\
	was_;								\
})
#define set_mask_bits(p, mask, bits) \
	((void)(*(p) = (*(p) & ~(mask)) | (bits)))
#define inode_is_locked(inode)		((inode)->locked)
#define sync_filesystem(sb)		((void)(sb))
#define set_anon_super_fc		NULL
#define dget(d)				(d)

int fs_parse(struct fs_context *fsc, const struct fs_parameter_spec *spec,
	     struct fs_parameter *param, struct fs_parse_result *result);
int register_filesystem(struct file_system_type *type);
int unregister_filesystem(struct file_system_type *type);
struct super_block *sget_fc(struct fs_context *fsc,
			    int (*test)(struct super_block *sb,
					struct fs_context *fsc), void *set);
void deactivate_locked_super(struct super_block *sb);
void kill_anon_super(struct super_block *sb);
struct inode *find_inode_rcu(struct super_block *sb, unsigned long hash,
			     int (*test)(struct inode *inode, void *data),
			     void *data);

void fuse_conn_init(struct fuse_conn *fc, struct fuse_mount *fm,
		    struct user_namespace *ns,
		    const struct fuse_iqueue_ops *ops, void *priv);
void fuse_free_conn(struct fuse_conn *fc);
int fuse_fill_super_common(struct super_block *sb,
			   struct fuse_fs_context *ctx);
void fuse_send_init(struct fuse_mount *fm);
int fuse_init_fs_context_submount(struct fs_context *fsc);
bool fuse_mount_remove(struct fuse_mount *fm);
void fuse_conn_destroy(struct fuse_mount *fm);
void fuse_mount_destroy(struct fuse_mount *fm);
void fuse_request_end(struct fuse_req *req);

#include "qemu-test/unit/fake/file.h"

/* ---- What a test does ---- */

extern struct file_system_type *fake_fs;
int fake_mount(const char *option, struct super_block **sb);
void fake_umount(struct super_block *sb);
/* A request of that opcode, as the module makes one; it is sent. */
struct fuse_req *fake_request(struct fuse_mount *fm, struct fuse_args *args,
			      bool background);
/* The process has got its answer. Returns its error. */
int fake_answered(struct fuse_req *req);
void fake_signal(struct fuse_req *req, bool fatal);
void fake_forget(struct fuse_mount *fm, u64 nodeid, u64 nlookup);

#endif
