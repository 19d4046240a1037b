/* SPDX-License-Identifier: MIT */
/*
 * Room fs: file systems. This header is what the rest knows of them, ext4/ the
 * one there is. Does not trust what is on the volume: an image may be broken or
 * made up. May include rt, loop, dev and blk.
 *
 * The volume: an ext4 file system on a block device of ours (volume_dev.h),
 * used by the file server and by the console. Files are named by inode number;
 * every function returns 0 or an errno value and changes nothing when it
 * fails, unless it says so. On a device that waits for a disk each may return
 * EAGAIN: a block is being read, and the call is to be made again when it is
 * there. Names are bytes with a length: 1 to 255, without
 * '/' and NUL. Symbolic links are data: nothing here follows one, except
 * volume_path(). Access rights are stored and never checked, but for immutable
 * and append-only: whoever holds the volume is trusted with all of it. One
 * thread, one event loop. Contracts are with the definitions, in ext4/.
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
	uint32_t ino, mode, uid, gid, nlink, rdev_major, rdev_minor;
	uint32_t gen;			/* tells a number's users apart */
	uint32_t flags;			/* VOLUME_FL_* */
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
/* What a write or a new owner takes from all but directories: set-user-ID,
 * set-group-ID where the group may execute, "security.capability". */
#define VOLUME_SET_KILL_PRIV	0x80u
#define VOLUME_SET_KILL_SGID	0x100u	/* with it: set-group-ID in any case */

struct volume_stat {
	uint32_t block_size;		/* bytes */
	uint64_t blocks, blocks_free, files, files_free;
	uint64_t blocks_room;		/* of these free, that can be written */
	uint64_t id;
};

/* Owner and mode of what is created; mode's type bits choose the type. A
 * directory's default ACL takes the place of the umask, its set-group-ID bit
 * that of the gid. */
struct volume_make {
	uint32_t mode, umask, uid, gid, rdev_major, rdev_minor;
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

/* Observers are told of every change that succeeded, right after it. */
enum volume_what {
	VOLUME_CREATED,		/* a name: of a new file or a known one */
	VOLUME_DELETED,		/* a name */
	VOLUME_MOVED,		/* a name */
	VOLUME_MODIFIED,	/* content or size */
	VOLUME_ATTRIB,		/* mode, owner, times, links, flags, xattrs */
};

#define VOLUME_TO_END	UINT64_MAX	/* a length: all from the offset on */

/*
 * One change. Implied, and no event of their own: the times and size of the
 * file whose content changed, the times, size and links of directories in which
 * names changed, and that a directory that moved has another "..". A file that
 * lives on gets an ATTRIB beside the event that changed its links: before
 * CREATED and DELETED, after MOVED (the victim). An exchange is two MOVED.
 */
struct volume_event {
	enum volume_what what;
	bool is_dir;			/* ino is a directory */
	bool exchanged;			/* MOVED: in either place is a file */
	const void *origin;		/* as volume_origin() was told */
	uint32_t ino;			/* what is named, or has changed */
	/* The name, and where it was moved to; 0 and NULL where there is none.
	 * Not terminated, good during the call. */
	uint32_t dir, new_dir;
	const char *name, *new_name;
	size_t len, new_len;
	uint32_t victim;		/* MOVED: lost its name by it, or 0 */
	uint64_t offset, length;	/* MODIFIED: which bytes */
};

/* The observer's own memory, until volume_unobserve(). fn may look at the
 * volume, but not change, hold or release anything of it. */
struct volume_observer {
	void (*fn)(struct volume_observer *observer,
		   const struct volume_event *event);
	struct volume_observer *next;
};

/* Whether the file system agrees with itself: volume_fsck.c says in what. */
struct volume_fsck {
	/* Blocks, or inodes, that are remembered at once; 0: what is usual. */
	uint32_t at_once;
	unsigned phase;			/* where it goes on: what for, */
	uint32_t group, next;		/* group, its inode, */
	uint64_t cookie;		/* its names */
	bool done;
	uint32_t groups;		/* looked at */
	uint64_t inodes, blocks;	/* looked at; of files */
	uint64_t nameless;		/* inodes: open, or left by a crash */
	uint64_t skipped;		/* files without extents */
	uint64_t found;			/* what is wrong */
	char text[512];			/* of this call, the first of them */
	struct fsck_state *state;
};
int volume_fsck(struct volume *vol, struct volume_fsck *check);
/* When it is done, or is to be no more. */
void volume_fsck_end(struct volume *vol, struct volume_fsck *check);

/* The time of day, in ns since 1970: volume_now.c. */
int64_t volume_now_ns(void);

static inline struct volume_time volume_now(void)
{
	int64_t now = volume_now_ns();

	return (struct volume_time){
		.sec = now / 1000000000, .nsec = (uint32_t)(now % 1000000000),
	};
}

/*
 * How a volume on a disk is waited for: one of these goes before functions of the
 * volume that belong together, all of which may then say EAGAIN.
 */
struct volume_wait;			/* blk/cache.h */

struct volume_turns {
	/* Nothing will be changed. */
	void (*look)(struct volume_turns *turns, struct volume_wait *wait);
	/* 0; EAGAIN; EROFS: nothing can be changed any more. */
	int (*begin)(struct volume_turns *turns, struct volume_wait *wait);
	/* 0 when all that was done before its first call is lasting, or all up to
	 * the transaction that is wait->number then; EAGAIN; EIO. */
	int (*sync)(struct volume_turns *turns, struct volume_wait *wait);
	/* Who waited has come to his end. */
	void (*end)(struct volume_turns *turns, struct volume_wait *wait);
};

int volume_open(struct volume_dev *dev, struct volume **out);
/* Why it did not, as the end of a sentence. */
#define VOLUME_WHY		120u
void volume_why(struct volume_dev *dev, char text[VOLUME_WHY]);
/* Whether it will, before anything is done to the device. */
int volume_known(struct volume_dev *dev, char text[VOLUME_WHY]);
int volume_flush(struct volume *vol);
/* Before a journal: how many blocks a flush will change, at most; and what is done
 * between other calls, as long as there is something. */
uint32_t volume_due(const struct volume *vol);
bool volume_unended(const struct volume *vol);
bool volume_hold_orphan(struct volume *vol, uint32_t ino, uint32_t gen);
void volume_end_orphans(struct volume *vol);
uint32_t volume_transaction(const struct volume *vol);
/* For volume_turns.sync(), of what is changed now. */
uint64_t volume_running(const struct volume *vol);
int volume_end(struct volume *vol);
void volume_freed(struct volume *vol);
int volume_close(struct volume *vol);
void volume_drop(struct volume *vol);
int volume_statfs(struct volume *vol, struct volume_stat *st);

/* Anybody may observe, from outside of an observer's fn. */
void volume_observe(struct volume *vol, struct volume_observer *observer);
void volume_unobserve(struct volume *vol, struct volume_observer *observer);
/* Who makes all changes from now on, in events; NULL: the console. */
void volume_origin(struct volume *vol, const void *who);

/* A held file stays usable when its last name is removed. */
int volume_hold(struct volume *vol, uint32_t ino);
void volume_release(struct volume *vol, uint32_t ino);
/* Of a held file: a write that changes nothing but content sets its times when they
 * are older than a second, so that to make it lasting needs no transaction. */
void volume_times_rarely(struct volume *vol, uint32_t ino);
/* Who knows so many files that holding each would cost too much: asked when one
 * without a name has no holder any more; so many holds it gets. It may not call
 * the volume meanwhile. One for a volume; its own memory; NULL: none. */
struct volume_keeper {
	uint32_t (*fn)(struct volume_keeper *keeper, uint32_t ino);
};
void volume_keep(struct volume *vol, struct volume_keeper *keeper);

int volume_getattr(struct volume *vol, uint32_t ino, struct volume_attr *attr);
int volume_setattr(struct volume *vol, uint32_t ino, unsigned what,
		   const struct volume_attr *attr);
int volume_fsync(struct volume *vol, uint32_t ino);
/* For volume_turns.sync(), as the wait's number. */
uint64_t volume_round(struct volume *vol, uint32_t ino);

int volume_lookup(struct volume *vol, uint32_t dir, const char *name,
		  size_t len, uint32_t *ino);
/* Calls fn for each entry from cookie on (0: from the start) until it returns
 * false. fn must not change the volume. */
int volume_readdir(struct volume *vol, uint32_t dir, uint64_t cookie,
		   bool (*fn)(void *arg, const struct volume_entry *entry),
		   void *arg);
int volume_create(struct volume *vol, uint32_t dir, const char *name,
		  size_t len, const struct volume_make *make, uint32_t *ino);
/* A file without a name: *ino is held for the caller, and gone when it is
 * released without volume_link() having given it one. */
int volume_tmpfile(struct volume *vol, uint32_t dir,
		   const struct volume_make *make, uint32_t *ino);
int volume_symlink(struct volume *vol, uint32_t dir, const char *name,
		   size_t len, const char *target, size_t target_len,
		   const struct volume_make *make, uint32_t *ino);
int volume_link(struct volume *vol, uint32_t ino, uint32_t dir,
		const char *name, size_t len);
int volume_unlink(struct volume *vol, uint32_t dir, const char *name,
		  size_t len);
int volume_rmdir(struct volume *vol, uint32_t dir, const char *name,
		 size_t len);
/* As Linux numbers them. */
#define VOLUME_RENAME_NOREPLACE	1u	/* EEXIST when new_name is there */
#define VOLUME_RENAME_EXCHANGE	2u	/* both are there, and change places */
#define VOLUME_RENAME_WHITEOUT	4u	/* old_name becomes a whiteout */
int volume_rename(struct volume *vol, uint32_t old_dir, const char *old_name,
		  size_t old_len, uint32_t new_dir, const char *new_name,
		  size_t new_len, unsigned flags);
int volume_readlink(struct volume *vol, uint32_t ino, char *buf, size_t size,
		    size_t *len);

int volume_read(struct volume *vol, uint32_t ino, uint64_t offset, void *buf,
		size_t len, size_t *done);
int volume_map(struct volume *vol, uint32_t ino, uint64_t offset, size_t len,
	       struct volume_seg *segs, unsigned max, unsigned *count,
	       size_t *done);
int volume_write(struct volume *vol, uint32_t ino, uint64_t offset,
		 const void *buf, size_t len, size_t *done);

/* Gives a range blocks, or takes them, or moves what follows. As Linux numbers
 * the modes (FALLOC_FL_*), and combined as there; 0: blocks that read as zeros
 * where there were none, and a size that covers them. */
#define VOLUME_FALLOC_KEEP_SIZE	0x01u
#define VOLUME_FALLOC_PUNCH	0x02u
#define VOLUME_FALLOC_COLLAPSE	0x08u
#define VOLUME_FALLOC_ZERO	0x10u
#define VOLUME_FALLOC_INSERT	0x20u
int volume_fallocate(struct volume *vol, uint32_t ino, unsigned mode,
		     uint64_t offset, uint64_t len);
/* The next data or hole from offset on; as Linux numbers whence. */
#define VOLUME_SEEK_DATA	3u
#define VOLUME_SEEK_HOLE	4u
int volume_seek(struct volume *vol, uint32_t ino, uint64_t offset,
		unsigned whence, uint64_t *found);
/* Copies from one file to another, or within one where the ranges do not
 * overlap. *done: as much as one call should take, or as is there; 0 at the
 * end of from. */
#define VOLUME_COPY_MAX		(1u << 20)
int volume_copy(struct volume *vol, uint32_t from, uint64_t from_offset,
		uint32_t to, uint64_t to_offset, uint64_t len, size_t *done);

/* Flags of a file, as FS_IOC_GETFLAGS numbers them: those with a meaning here;
 * others are kept. An immutable file cannot be changed, an append-only one only
 * grow: EPERM from everything that would. */
#define VOLUME_FL_IMMUTABLE	0x10u
#define VOLUME_FL_APPEND	0x20u
#define VOLUME_FL_NODUMP	0x40u
int volume_get_flags(struct volume *vol, uint32_t ino, uint32_t *flags);
int volume_set_flags(struct volume *vol, uint32_t ino, uint32_t flags);

/* Extended attributes: name is terminated, "user.x" and the like. POSIX ACLs
 * are "system.posix_acl_access" and "system.posix_acl_default", in the form
 * that Linux's system calls have; they and the mode follow each other. */
int volume_xattr_get(struct volume *vol, uint32_t ino, const char *name,
		     void **value, size_t *len);
int volume_xattr_list(struct volume *vol, uint32_t ino, void **names,
		      size_t *len);
#define VOLUME_XATTR_CREATE	1u	/* EEXIST when it is there */
#define VOLUME_XATTR_REPLACE	2u	/* ENODATA when it is not */
#define VOLUME_XATTR_KILL_SGID	4u	/* with an access ACL: ends set-group-ID */
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
