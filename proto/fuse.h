/* SPDX-License-Identifier: MIT */
/*
 * The FUSE kernel protocol as host-bridge speaks it: 7.36 to 7.41. Names and
 * numbers are those of Linux's <linux/fuse.h>, so that one who knows that finds
 * his way, and what we never say or hear is left out. All integers
 * little-endian; every structure is a whole number of 8 bytes but where a text
 * follows. [Linux "include/uapi/linux/fuse.h"]
 */
#ifndef ISTHMUS_PROTO_FUSE_H
#define ISTHMUS_PROTO_FUSE_H

#include <stdint.h>

#define FUSE_KERNEL_VERSION		7u
#define FUSE_KERNEL_MINOR_VERSION	41u
/* Older ones have other structures. */
#define FUSE_OLDEST_MINOR		23u
#define FUSE_ROOT_ID			1u

enum fuse_opcode {
	FUSE_LOOKUP = 1, FUSE_FORGET, FUSE_GETATTR, FUSE_SETATTR, FUSE_READLINK,
	FUSE_SYMLINK,
	FUSE_MKNOD = 8, FUSE_MKDIR, FUSE_UNLINK, FUSE_RMDIR, FUSE_RENAME,
	FUSE_LINK, FUSE_OPEN, FUSE_READ, FUSE_WRITE, FUSE_STATFS, FUSE_RELEASE,
	FUSE_FSYNC = 20, FUSE_SETXATTR, FUSE_GETXATTR, FUSE_LISTXATTR,
	FUSE_REMOVEXATTR, FUSE_FLUSH, FUSE_INIT, FUSE_OPENDIR, FUSE_READDIR,
	FUSE_RELEASEDIR, FUSE_FSYNCDIR, FUSE_GETLK, FUSE_SETLK, FUSE_SETLKW,
	FUSE_ACCESS, FUSE_CREATE, FUSE_INTERRUPT, FUSE_BMAP, FUSE_DESTROY,
	FUSE_IOCTL, FUSE_POLL, FUSE_NOTIFY_REPLY, FUSE_BATCH_FORGET,
	FUSE_FALLOCATE, FUSE_READDIRPLUS, FUSE_RENAME2, FUSE_LSEEK,
	FUSE_COPY_FILE_RANGE, FUSE_SETUPMAPPING, FUSE_REMOVEMAPPING,
	FUSE_SYNCFS, FUSE_TMPFILE, FUSE_STATX,
	FUSE_OPCODES			/* one more than the last */
};

/* In the header of a message that is no reply: `unique` is 0. */
enum fuse_notify_code {
	FUSE_NOTIFY_INVAL_INODE = 2, FUSE_NOTIFY_INVAL_ENTRY,
	FUSE_NOTIFY_DELETE = 6,
};

struct fuse_in_header {
	uint32_t len, opcode;
	uint64_t unique, nodeid;
	uint32_t uid, gid, pid;
	uint16_t total_extlen;	/* in 8 bytes */
	uint16_t padding;	/* ours: FUSE_CHANNEL_KILL_, proto/fuse_channel.h */
};

struct fuse_out_header {
	uint32_t len;
	int32_t error;				/* 0 or -errno */
	uint64_t unique;
};

struct fuse_attr {
	uint64_t ino, size, blocks, atime, mtime, ctime;
	uint32_t atimensec, mtimensec, ctimensec, mode, nlink, uid, gid, rdev;
	uint32_t blksize, flags;
};

struct fuse_entry_out {
	uint64_t nodeid, generation, entry_valid, attr_valid;
	uint32_t entry_valid_nsec, attr_valid_nsec;
	struct fuse_attr attr;
};

struct fuse_attr_out {
	uint64_t attr_valid;
	uint32_t attr_valid_nsec, dummy;
	struct fuse_attr attr;
};

struct fuse_forget_in {
	uint64_t nlookup;
};

struct fuse_forget_one {
	uint64_t nodeid, nlookup;
};

struct fuse_batch_forget_in {
	uint32_t count, dummy;			/* fuse_forget_one follow */
};

struct fuse_getattr_in {
	uint32_t getattr_flags, dummy;
	uint64_t fh;
};

struct fuse_setattr_in {
	uint32_t valid, padding;		/* FATTR_ */
	uint64_t fh, size, lock_owner, atime, mtime, ctime;
	uint32_t atimensec, mtimensec, ctimensec, mode, unused4, uid, gid;
	uint32_t unused5;
};

#define FATTR_MODE		0x0001u
#define FATTR_UID		0x0002u
#define FATTR_GID		0x0004u
#define FATTR_SIZE		0x0008u
#define FATTR_ATIME		0x0010u
#define FATTR_MTIME		0x0020u
#define FATTR_FH		0x0040u
#define FATTR_ATIME_NOW		0x0080u
#define FATTR_MTIME_NOW		0x0100u
#define FATTR_LOCKOWNER		0x0200u
#define FATTR_CTIME		0x0400u
#define FATTR_KILL_SUIDGID	0x0800u

/* A name follows these, a link's text after SYMLINK's. */
struct fuse_mknod_in {
	uint32_t mode, rdev, umask, padding;
};

struct fuse_mkdir_in {
	uint32_t mode, umask;
};

struct fuse_rename_in {
	uint64_t newdir;
};

struct fuse_rename2_in {
	uint64_t newdir;
	uint32_t flags, padding;
};

struct fuse_link_in {
	uint64_t oldnodeid;
};

struct fuse_open_in {
	uint32_t flags, open_flags;
};

struct fuse_create_in {
	uint32_t flags, mode, umask, open_flags;
};

#define FUSE_OPEN_KILL_SUIDGID	1u

/* The last is named padding before 7.40. */
struct fuse_open_out {
	uint64_t fh;
	uint32_t open_flags;			/* FOPEN_ */
	int32_t backing_id;
};

#define FOPEN_DIRECT_IO		1u
#define FOPEN_KEEP_CACHE	2u
#define FOPEN_CACHE_DIR		8u

struct fuse_release_in {
	uint64_t fh;
	uint32_t flags, release_flags;
	uint64_t lock_owner;
};

#define FUSE_RELEASE_FLUSH		1u
#define FUSE_RELEASE_FLOCK_UNLOCK	2u

struct fuse_flush_in {
	uint64_t fh;
	uint32_t unused, padding;
	uint64_t lock_owner;
};

struct fuse_read_in {
	uint64_t fh, offset;
	uint32_t size, read_flags;
	uint64_t lock_owner;
	uint32_t flags, padding;
};

struct fuse_write_in {
	uint64_t fh, offset;
	uint32_t size, write_flags;
	uint64_t lock_owner;
	uint32_t flags, padding;
};

#define FUSE_WRITE_CACHE	1u
#define FUSE_WRITE_LOCKOWNER	2u
#define FUSE_WRITE_KILL_SUIDGID	4u

struct fuse_write_out {
	uint32_t size;
	uint32_t padding;	/* ours: blocks of 512 bytes, proto/fuse_channel.h */
};

struct fuse_kstatfs {
	uint64_t blocks, bfree, bavail, files, ffree;
	uint32_t bsize, namelen, frsize, padding, spare[6];
};

struct fuse_statfs_out {
	struct fuse_kstatfs st;
};

struct fuse_fsync_in {
	uint64_t fh;
	uint32_t fsync_flags, padding;
};

/* The name and the value follow; without FUSE_SETXATTR_EXT only the first half
 * is there. */
struct fuse_setxattr_in {
	uint32_t size, flags, setxattr_flags, padding;
};

#define FUSE_COMPAT_SETXATTR_IN_SIZE	8u
#define FUSE_SETXATTR_ACL_KILL_SGID	1u

struct fuse_getxattr_in {
	uint32_t size, padding;
};

struct fuse_getxattr_out {
	uint32_t size, padding;
};

struct fuse_file_lock {
	uint64_t start, end;			/* the last byte */
	uint32_t type, pid;
};

struct fuse_lk_in {
	uint64_t fh, owner;
	struct fuse_file_lock lk;
	uint32_t lk_flags, padding;
};

struct fuse_lk_out {
	struct fuse_file_lock lk;
};

#define FUSE_LK_FLOCK		1u

/* Before 7.36 it ends after flags. */
struct fuse_init_in {
	uint32_t major, minor, max_readahead, flags, flags2, unused[11];
};

#define FUSE_COMPAT_INIT_IN_SIZE	16u

struct fuse_init_out {
	uint32_t major, minor, max_readahead, flags;
	uint16_t max_background, congestion_threshold;
	uint32_t max_write, time_gran;
	uint16_t max_pages, map_alignment;
	uint32_t flags2, unused[7];
};

#define FUSE_POSIX_LOCKS	(1ull << 1)
#define FUSE_ATOMIC_O_TRUNC	(1ull << 3)
#define FUSE_EXPORT_SUPPORT	(1ull << 4)
#define FUSE_BIG_WRITES		(1ull << 5)
#define FUSE_DONT_MASK		(1ull << 6)
#define FUSE_FLOCK_LOCKS	(1ull << 10)
#define FUSE_HAS_IOCTL_DIR	(1ull << 11)
#define FUSE_DO_READDIRPLUS	(1ull << 13)
#define FUSE_READDIRPLUS_AUTO	(1ull << 14)
#define FUSE_WRITEBACK_CACHE	(1ull << 16)
#define FUSE_PARALLEL_DIROPS	(1ull << 18)
#define FUSE_POSIX_ACL		(1ull << 20)
#define FUSE_ABORT_ERROR	(1ull << 21)
#define FUSE_MAX_PAGES		(1ull << 22)
#define FUSE_CACHE_SYMLINKS	(1ull << 23)
#define FUSE_EXPLICIT_INVAL_DATA (1ull << 25)
#define FUSE_HANDLE_KILLPRIV_V2	(1ull << 28)
#define FUSE_SETXATTR_EXT	(1ull << 29)
#define FUSE_INIT_EXT		(1ull << 30)	/* flags2 is there */
#define FUSE_DIRECT_IO_ALLOW_MMAP (1ull << 36)

struct fuse_interrupt_in {
	uint64_t unique;
};

/* in_size bytes follow, out_size bytes the reply. */
struct fuse_ioctl_in {
	uint64_t fh;
	uint32_t flags, cmd;
	uint64_t arg;
	uint32_t in_size, out_size;
};

struct fuse_ioctl_out {
	int32_t result;
	uint32_t flags, in_iovs, out_iovs;
};

struct fuse_fallocate_in {
	uint64_t fh, offset, length;
	uint32_t mode, padding;
};

struct fuse_lseek_in {
	uint64_t fh, offset;
	uint32_t whence, padding;
};

struct fuse_lseek_out {
	uint64_t offset;
};

struct fuse_copy_file_range_in {
	uint64_t fh_in, off_in, nodeid_out, fh_out, off_out, len, flags;
};

/* An entry of READDIR: its name follows, and zeroes up to 8 bytes. One of
 * READDIRPLUS has a fuse_entry_out before; nodeid 0 there says nothing. */
struct fuse_dirent {
	uint64_t ino, off;
	uint32_t namelen, type;
};

struct fuse_direntplus {
	struct fuse_entry_out entry_out;
	struct fuse_dirent dirent;
};

struct fuse_sx_time {
	int64_t tv_sec;
	uint32_t tv_nsec;
	int32_t reserved;
};

/* The mask is statx(2)'s. */
struct fuse_statx {
	uint32_t mask, blksize;
	uint64_t attributes;
	uint32_t nlink, uid, gid;
	uint16_t mode, spare0;
	uint64_t ino, size, blocks, attributes_mask;
	struct fuse_sx_time atime, btime, ctime, mtime;
	uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
	uint64_t spare2[14];
};

struct fuse_statx_in {
	uint32_t getattr_flags, reserved;
	uint64_t fh;
	uint32_t sx_flags, sx_mask;
};

struct fuse_statx_out {
	uint64_t attr_valid;
	uint32_t attr_valid_nsec, flags;
	uint64_t spare[2];
	struct fuse_statx stat;
};

/* Notifications; names follow, with a NUL that namelen does not count. */
struct fuse_notify_inval_inode_out {
	uint64_t ino;				/* a node id */
	int64_t off, len;			/* off < 0: attributes only */
};

struct fuse_notify_inval_entry_out {
	uint64_t parent;
	uint32_t namelen, flags;
};

struct fuse_notify_delete_out {
	uint64_t parent, child;
	uint32_t namelen, padding;
};

#endif
