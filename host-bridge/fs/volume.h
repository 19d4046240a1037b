/* SPDX-License-Identifier: MIT */
/*
 * Room fs: file systems. This header is what the rest knows of them, ext4/ the
 * one there is. Does not trust what is on the volume: an image may be broken or
 * made up. May include rt, loop, dev and blk.
 *
 * The volume: an ext4 file system on a block device of ours (volume_dev.h),
 * used by the 9P server and by the console. Files are named by inode number;
 * every function returns 0 or an errno value and changes nothing when it
 * fails, unless it says so. Names are bytes with a length: 1 to 255, without
 * '/' and NUL. Symbolic links are data: nothing here follows one, except
 * volume_path(). Access rights are stored and never checked: whoever holds the
 * volume is trusted with all of it. One thread, one event loop.
 */
#ifndef ISTHMUS_VOLUME_H
#define ISTHMUS_VOLUME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VOLUME_ROOT		2u	/* inode of the root directory */
#define VOLUME_NAME_MAX		255u

/* File types and mode bits, as Linux and ext4 number them. */
#define VOLUME_S_IFMT		0170000u
#define VOLUME_S_IFSOCK		0140000u
#define VOLUME_S_IFLNK		0120000u
#define VOLUME_S_IFREG		0100000u
#define VOLUME_S_IFBLK		0060000u
#define VOLUME_S_IFDIR		0040000u
#define VOLUME_S_IFCHR		0020000u
#define VOLUME_S_IFIFO		0010000u

struct volume;
struct volume_dev;

/* Since 1970; nsec is below a second. Inodes hold 1901 to 2446: what is set
 * beyond becomes the nearest of these, as in Linux's ext4. */
struct volume_time {
	int64_t sec;
	uint32_t nsec;
};

struct volume_attr {
	uint32_t ino, mode, uid, gid, nlink, rdev_major, rdev_minor, gen;
	uint64_t size;			/* bytes */
	uint64_t blocks;		/* of 512 bytes */
	struct volume_time atime, mtime, ctime, btime;
};

/* What volume_setattr() shall change. */
#define VOLUME_SET_MODE		0x01u	/* permission bits only */
#define VOLUME_SET_UID		0x02u
#define VOLUME_SET_GID		0x04u
#define VOLUME_SET_SIZE		0x08u
#define VOLUME_SET_ATIME	0x10u
#define VOLUME_SET_MTIME	0x20u
#define VOLUME_SET_CTIME	0x40u

struct volume_stat {
	uint32_t block_size;		/* bytes */
	uint64_t blocks, blocks_free, files, files_free;
	uint64_t id;
};

/* Owner and mode of what is created; mode's type bits choose the type. */
struct volume_make {
	uint32_t mode, uid, gid, rdev_major, rdev_minor;
};

struct volume_entry {
	uint32_t ino;
	uint8_t type;			/* DT_* as Linux numbers them */
	uint8_t name_len;
	const char *name;		/* not terminated */
	uint64_t cookie;		/* continues after this entry */
};

/* A piece of a file in memory; see volume_map(). */
struct volume_seg {
	const void *data;
	size_t len;
};

/* The time of day, in ns since 1970: volume_now.c. */
int64_t volume_now_ns(void);

static inline struct volume_time volume_now(void)
{
	int64_t now = volume_now_ns();

	return (struct volume_time){
		.sec = now / 1000000000, .nsec = (uint32_t)(now % 1000000000),
	};
}

int volume_open(struct volume_dev *dev, struct volume **out);
/* Why it did not, as the end of a sentence. */
#define VOLUME_WHY		120u
void volume_why(struct volume_dev *dev, char text[VOLUME_WHY]);
int volume_flush(struct volume *vol);
int volume_close(struct volume *vol);
int volume_statfs(struct volume *vol, struct volume_stat *st);

/* A held file stays usable when its last name is removed. */
int volume_hold(struct volume *vol, uint32_t ino);
void volume_release(struct volume *vol, uint32_t ino);

int volume_getattr(struct volume *vol, uint32_t ino, struct volume_attr *attr);
int volume_setattr(struct volume *vol, uint32_t ino, unsigned what,
		   const struct volume_attr *attr);
int volume_fsync(struct volume *vol, uint32_t ino);

int volume_lookup(struct volume *vol, uint32_t dir, const char *name,
		  size_t len, uint32_t *ino);
/* The same, and the cookie of what was found: volume_entry_at(). */
int volume_lookup_entry(struct volume *vol, uint32_t dir, const char *name,
			size_t len, uint32_t *ino, uint64_t *cookie);
/* Calls fn for the entry that has that cookie, if it is there still. */
int volume_entry_at(struct volume *vol, uint32_t dir, uint64_t cookie,
		    void (*fn)(void *arg, const struct volume_entry *entry),
		    void *arg);
/* Calls fn for each entry from cookie on (0: from the start) until it returns
 * false. fn must not change the volume. */
int volume_readdir(struct volume *vol, uint32_t dir, uint64_t cookie,
		   bool (*fn)(void *arg, const struct volume_entry *entry),
		   void *arg);
int volume_create(struct volume *vol, uint32_t dir, const char *name,
		  size_t len, const struct volume_make *make, uint32_t *ino);
int volume_symlink(struct volume *vol, uint32_t dir, const char *name,
		   size_t len, const char *target, size_t target_len,
		   const struct volume_make *make, uint32_t *ino);
int volume_link(struct volume *vol, uint32_t ino, uint32_t dir,
		const char *name, size_t len);
int volume_unlink(struct volume *vol, uint32_t dir, const char *name,
		  size_t len);
int volume_rmdir(struct volume *vol, uint32_t dir, const char *name,
		 size_t len);
int volume_rename(struct volume *vol, uint32_t old_dir, const char *old_name,
		  size_t old_len, uint32_t new_dir, const char *new_name,
		  size_t new_len);
int volume_readlink(struct volume *vol, uint32_t ino, char *buf, size_t size,
		    size_t *len);

int volume_read(struct volume *vol, uint32_t ino, uint64_t offset, void *buf,
		size_t len, size_t *done);
int volume_map(struct volume *vol, uint32_t ino, uint64_t offset, size_t len,
	       struct volume_seg *segs, unsigned max, unsigned *count,
	       size_t *done);
int volume_write(struct volume *vol, uint32_t ino, uint64_t offset,
		 const void *buf, size_t len, size_t *done);

/* Extended attributes: name is terminated, "user.x" and the like. */
int volume_xattr_get(struct volume *vol, uint32_t ino, const char *name,
		     void **value, size_t *len);
int volume_xattr_list(struct volume *vol, uint32_t ino, void **names,
		      size_t *len);
#define VOLUME_XATTR_CREATE	1u	/* EEXIST when it is there */
#define VOLUME_XATTR_REPLACE	2u	/* ENODATA when it is not */
int volume_xattr_set(struct volume *vol, uint32_t ino, const char *name,
		     const void *value, size_t len, unsigned flags);
int volume_xattr_remove(struct volume *vol, uint32_t ino, const char *name);

/* Paths for people: '/' separates, "." and ".." work, links are followed (up
 * to 40) when follow is set or more path comes after them. */
int volume_path(struct volume *vol, const char *path, bool follow,
		uint32_t *ino);
/* Splits off the last component: its directory must exist. */
int volume_path_parent(struct volume *vol, const char *path, uint32_t *dir,
		       const char **name, size_t *len);

#endif
