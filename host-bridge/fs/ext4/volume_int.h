/* SPDX-License-Identifier: MIT */
/*
 * Inside the volume. libext2fs reads superblock and group descriptors, and
 * reads and writes extended attributes; bitmaps are changed where they lie
 * (volume_group.c); what every request needs is held in memory in our own form
 * and written back later:
 *
 *   vnode       an inode, with its extents as a sorted array of runs
 *   dir_index   a directory's names, hashed to places in its blocks
 *
 * A vnode stays in memory while it is held, and else until room is needed,
 * which is looked for only where a public function begins (volume_trim()):
 * within one such call every vnode pointer stays good.
 */
#ifndef ISTHMUS_VOLUME_INT_H
#define ISTHMUS_VOLUME_INT_H

#include <errno.h>
#include <ext2fs/ext2_fs.h>
#include <ext2fs/ext2fs.h>

#include "host-bridge/fs/volume.h"
#include "host-bridge/blk/volume_dev.h"

#define VOLUME_INODE_SIZE	256u
/* Metadata that is damaged; newlib has no such number. Not told to others. */
#ifndef EUCLEAN
#define EUCLEAN			117
#endif
#define VOLUME_VNODES		8192u	/* kept in memory, held ones apart */
#define VOLUME_CONTENT		(16u << 20)	/* bytes of what is beside them */
#define VOLUME_LINK_MAX		65000u
#define RUN_MAX			32768u	/* blocks of one extent */

/* Blocks lblk.. of a file are blocks pblk.. of the device. Fragmented files
 * have many, so all is in 16 bytes. */
struct run {
	uint32_t lblk, len;
	uint64_t pblk : 63, unwritten : 1;	/* then it reads as zeros */
};

/* A leaf of an extent tree, with the runs that follow those of the one before. */
#define TREE_ROOT_ENTRIES	4u	/* in the inode's 60 bytes */
struct tree_leaf {
	uint64_t block;
	uint32_t count;
	bool changed;			/* since it was written */
};

struct dir_index;

struct vnode {
	struct vnode *hash_next;
	struct vnode *ring_prev, *ring_next;
	/* Those that were looked at since they were last written back. */
	struct vnode *seen_prev, *seen_next;
	uint32_t ino;
	uint32_t holds;
	uint64_t round;		/* the transaction it was last written in */
	bool used;		/* since the clock hand passed */
	bool seen;		/* in that list */
	bool dirty;		/* the inode differs from the table's */
	bool tree_dirty;	/* the runs differ from the extent tree */
	bool runs_valid;
	bool dead;		/* freed; to be written as such */
	bool linkable;		/* has had no name yet: volume_tmpfile() */
	bool hands_nothing;	/* known to have no default ACL */
	bool orphan;		/* in the list of those: volume_orphan.c */
	bool rarely;		/* volume_times_rarely() */
	bool unfreed;		/* an orphan that nobody holds any more */
	bool cut;		/* one that has blocks beyond its end */
	bool spoilt;		/* one that cannot be ended: for e2fsck */
	struct vnode *orphan_prev, *orphan_next;
	struct run *runs;
	uint32_t run_count, run_space;
	uint32_t cursor;	/* the run found last */
	struct tree_leaf *leaves;
	uint32_t leaf_count, leaf_space, leaves_changed;
	uint32_t leaf, leaf_first;	/* looked at last; its first run */
	uint64_t read_end;	/* bytes: where the last read ended, and what */
	uint64_t ahead_end;	/* has been told to the device: volume_ahead.c */
	uint64_t *tree;		/* the extent tree's other blocks */
	uint32_t tree_count, tree_space;
	uint32_t tree_due;	/* counted in vol->tree_due */
	struct dir_index *index;
	size_t content;			/* bytes of the four, as counted last */
	union {
		struct ext2_inode_large in;
		struct ext2_inode in_small;
		uint8_t raw[VOLUME_INODE_SIZE];
	};
};

/* What is given back, and the bitmaps do not say so yet, or nobody may use yet:
 * volume_free.c. */
enum freed_what { FREED_BLOCKS, FREED_INODE, FREED_DIR };

struct freed {
	uint64_t first;
	uint32_t count;
	enum freed_what what;
	uint64_t tid;			/* the transaction it waits for */
	uint64_t trim;			/* then the device's; 0: none yet */
};

struct freed_list {
	struct freed *all;
	uint32_t count, space;
	uint64_t blocks;		/* in all of them */
};

struct group;

/* The entries of a leaf of a directory's hash tree, sorted, or of several. */
struct batch {
	uint32_t ino, leaf;		/* whose, if it may be used again; 0 */
	struct htree_item *items;
	uint32_t count, space;
};

struct volume {
	ext2_filsys fs;
	struct volume_dev *dev;
	uint32_t block_size, shift;	/* the device's, from now on */
	uint32_t node_entries;		/* in a block of an extent tree */
	struct vnode **hash;		/* VOLUME_VNODES buckets */
	struct vnode *hand;		/* clock hand in the ring of vnodes */
	struct vnode *seen;		/* all that are dirty are in it */
	uint32_t seen_count;
	/* Blocks that the flush will change: of extent trees; bitmaps of what was
	 * freed, and descriptors. */
	uint32_t tree_due, group_due;
	uint32_t vnodes;
	uint32_t vnodes_most;		/* before volume_trim() looks */
	/* Bytes of all runs, trees and names; how many there should be, and how
	 * many before volume_trim() looks. */
	size_t content, content_limit, content_most;
	struct group *groups;
	uint32_t group_dirty;		/* first in the list of those */
	uint32_t group_blocks, group_inodes;	/* that each has */
	uint32_t desc_size;		/* bytes of a descriptor */
	bool desc_long;			/* it has the counts' upper halves */
	bool uninit;			/* bitmaps may be unwritten */
	struct freed_list freed, waiting;
	uint64_t waiting_next;		/* of those: what is lasting first */
	uint64_t waiting_trim;		/* and what the device does first */
	uint64_t waiting_all;		/* what all free blocks wait for */
	uint64_t dropped_round;		/* the last of a vnode that was dropped */
	struct vnode *orphans;
	uint32_t unended;		/* of them: to be freed, or cut off */
	bool orphan_file;		/* names some that are not there yet */
	uint64_t goal;			/* where to look for free blocks */
	/* No inode is free from inode_from to before inode_next. */
	uint32_t inode_from, inode_next;
	struct batch batch;		/* that was shown last */
	uint64_t seed;			/* of the name hash */
	uint32_t generation;
	bool csum;			/* metadata has checksums */
	uint8_t scratch[VOLUME_BLOCK_MAX] __attribute__((aligned(8)));
	struct volume_observer *observers;
	bool telling;			/* them: vnodes are in use */
	struct volume_keeper *keeper;
	const void *origin;		/* of changes: volume_origin() */
};

/* volume_io.c */
int volume_super(struct volume_dev *dev, struct ext2_super_block *sb);
extern const io_manager volume_io_manager;
errcode_t volume_io_open(struct volume_dev *dev, ext2_filsys *fs);
int volume_errno(errcode_t code);

/* volume_inode.c */
int inode_read(struct volume *vol, struct vnode *vn);
int inode_write(struct volume *vol, struct vnode *vn);
int inode_touch(struct volume *vol, uint32_t ino);
int inode_ready(struct volume *vol, uint32_t ino, bool fresh);
uint32_t inode_block_csum(const struct volume *vol, const struct vnode *vn,
			  const void *data, size_t len);

/* volume_due.c */
bool due_fits(const struct volume *vol, uint32_t blocks);
bool due_possible(const struct volume *vol, uint32_t blocks);
int due_wait(struct volume *vol);

/* volume_orphan.c */
void orphan_add(struct volume *vol, struct vnode *vn);
void orphan_unended(struct volume *vol, struct vnode *vn, bool *what);
int orphan_settle(struct volume *vol, struct vnode *vn);
void orphan_remove(struct volume *vol, struct vnode *vn);
int orphan_recover(struct volume *vol);
uint32_t orphan_csum(const struct volume *vol, const struct vnode *file,
		     uint64_t block, const void *data);

/* volume_vnode.c */
int vnode_load_any(struct volume *vol, uint32_t ino, struct vnode **out);
int vnode_get(struct volume *vol, uint32_t ino, struct vnode **out);
int vnode_get_dir(struct volume *vol, uint32_t ino, struct vnode **out);
int vnode_new(struct volume *vol, const struct vnode *dir,
	      const struct volume_make *make, struct vnode **out);
void vnode_unref(struct volume *vol, struct vnode *vn);
int vnode_free_ready(struct volume *vol, struct vnode *vn);
int vnode_free(struct volume *vol, struct vnode *vn);
int vnode_writeback(struct volume *vol, struct vnode *vn);
void vnode_see(struct volume *vol, struct vnode *vn);
void vnode_unsee(struct volume *vol, struct vnode *vn);
void vnode_count(struct volume *vol, struct vnode *vn);
void vnode_drop(struct volume *vol, struct vnode *vn);
void volume_make_room(struct volume *vol);

/* Makes room where too much is in memory. No vnode pointer may be in use: so it
 * is called where a public function begins, and nowhere else; when an observer
 * calls that, all stays. */
static inline void volume_trim(struct volume *vol)
{
	if ((vol->vnodes > vol->vnodes_most ||
	     vol->content > vol->content_most) && !vol->telling) {
		volume_make_room(vol);
	}
}

/* Why the device gave no block. */
static inline int dev_error(const struct volume_dev *dev)
{
	return dev->absent ? EAGAIN : dev->full ? ENOSPC : EIO;
}

static inline int poke_error(const struct volume *vol)
{
	return dev_error(vol->dev);
}

static inline bool vnode_is(const struct vnode *vn, uint32_t type)
{
	return (vn->in.i_mode & VOLUME_S_IFMT) == type;
}

static inline uint64_t vnode_size(const struct vnode *vn)
{
	return (uint64_t)vn->in.i_size_high << 32 | vn->in.i_size;
}

void vnode_set_size(struct volume *vol, struct vnode *vn, uint64_t size);
int vnode_set_links(struct volume *vol, struct vnode *vn, int change);

/* volume_attr.c */
#define VNODE_ATIME	1u
#define VNODE_MTIME	2u
#define VNODE_CTIME	4u
#define VNODE_BTIME	8u
void vnode_touch(struct vnode *vn, unsigned which);
void vnode_touch_written(const struct volume *vol, struct vnode *vn);
void vnode_set_times(struct vnode *vn, unsigned which,
		     struct volume_time time);
void vnode_times(const struct vnode *vn, struct volume_attr *attr);

/* volume_alloc.c */
int volume_alloc(struct volume *vol, uint64_t goal, uint32_t want,
		 uint64_t *first, uint32_t *got);
int volume_alloc_inode(struct volume *vol, uint32_t dir, bool is_dir,
		       uint32_t *ino, bool *fresh);
int alloc_ready(struct volume *vol, uint64_t goal, uint64_t count);
int alloc_inode_ready(struct volume *vol, uint32_t dir);
void volume_alloc_hooks(struct volume *vol);

/* volume_free.c */
void volume_free(struct volume *vol, uint64_t first, uint32_t count);
void volume_untake(struct volume *vol, uint64_t first, uint32_t count);
void volume_free_inode(struct volume *vol, uint32_t ino, bool dir);
int free_flush(struct volume *vol);

/* volume_group.c */
int group_open(struct volume *vol);
int group_flush(struct volume *vol);

/* volume_tree.c */
uint32_t tree_node_entries(uint32_t block_size);
void tree_init(struct vnode *vn);
int tree_load(struct volume *vol, struct vnode *vn);
int tree_store(struct volume *vol, struct vnode *vn);

/* volume_leaf.c */
uint32_t leaf_index(const struct volume *vol, uint32_t leaves);
void leaf_due(struct volume *vol, struct vnode *vn);
void leaf_changed(struct volume *vol, struct vnode *vn, uint32_t at);
void leaf_changed_from(struct volume *vol, struct vnode *vn, uint32_t at);
uint32_t leaf_cost(const struct volume *vol, struct vnode *vn, uint32_t at);
void leaf_added(struct volume *vol, struct vnode *vn, uint32_t at);
void leaf_removed(struct volume *vol, struct vnode *vn, uint32_t at,
		  uint32_t count);
void leaf_none(struct volume *vol, struct vnode *vn);
int leaf_memory(struct vnode *vn, uint32_t runs, uint32_t leaves,
		uint32_t others);
void leaf_trim(struct volume *vol, struct vnode *vn);
int leaf_reserve(struct volume *vol, struct vnode *vn, uint32_t lblk,
		 uint32_t end, uint32_t more);

/* volume_run.c */
const struct run *run_find(struct vnode *vn, uint32_t lblk);
uint32_t run_number(struct vnode *vn, uint32_t lblk);
uint32_t run_cost(const struct volume *vol, uint32_t runs, uint32_t blocks);
uint64_t run_goal(const struct vnode *vn, uint32_t at);
int run_extend(struct volume *vol, struct vnode *vn, uint32_t lblk,
	       uint32_t want, bool unwritten, uint64_t *pblk, uint32_t *got);
void run_undo(struct volume *vol, struct vnode *vn, uint32_t count);
bool run_truncate(struct volume *vol, struct vnode *vn, uint32_t lblk);
int run_punch(struct volume *vol, struct vnode *vn, uint32_t lblk,
	      uint32_t count);
void run_written(struct volume *vol, struct vnode *vn, uint32_t lblk,
		 uint32_t count);
int run_unwrite(struct volume *vol, struct vnode *vn, uint32_t lblk,
		uint32_t count);
int run_ready(struct volume *vol, struct vnode *vn, uint32_t lblk,
	      uint32_t count);
uint32_t run_missing(struct vnode *vn, uint32_t lblk, uint32_t count);
int run_fill(struct volume *vol, struct vnode *vn, uint32_t lblk,
	     uint32_t count);
void run_collapse(struct volume *vol, struct vnode *vn, uint32_t lblk,
		  uint32_t count);
int run_make_gap(struct volume *vol, struct vnode *vn, uint32_t lblk,
		 uint32_t count);

/* volume_dir.c; a place is the offset of an entry in the directory */
struct ext2_dir_entry_2 *dir_entry(struct volume *vol, struct vnode *dir,
				   uint32_t place, bool write);
int dir_find(struct volume *vol, struct vnode *dir, const char *name,
	     size_t len, uint32_t *place, uint32_t *ino);
int dir_insert(struct volume *vol, struct vnode *dir, const char *name,
	       size_t len, uint32_t ino, uint32_t mode);
int dir_reserve(struct volume *vol, struct vnode *dir, const char *name,
		size_t len);
int dir_remove(struct volume *vol, struct vnode *dir, uint32_t place);
int dir_replace(struct volume *vol, struct vnode *dir, uint32_t place,
		uint32_t ino, uint32_t mode);
int dir_init(struct volume *vol, struct vnode *dir, uint32_t parent);
int dir_empty(struct volume *vol, struct vnode *dir, bool *empty);
int dir_writeback(struct volume *vol, struct vnode *dir);
int dir_each(struct volume *vol, struct vnode *dir, uint64_t cookie,
	     bool (*fn)(void *arg, const struct volume_entry *entry),
	     void *arg);

/* volume_name.c */
bool name_is_dots(const char *name, size_t len);
int name_check(const char *name, size_t len);
int name_loose(const struct vnode *dir, const struct vnode *vn);
int name_find(struct volume *vol, struct vnode *dir, const char *name,
	      size_t len, uint32_t *place, struct vnode **vn);

/* volume_file.c */
/* No file can be longer. */
static inline uint64_t file_max(const struct volume *vol)
{
	return (uint64_t)UINT32_MAX << vol->shift;
}

bool file_room(const struct volume *vol);
int file_get(struct volume *vol, uint32_t ino, struct vnode **vn);
int file_peek(struct volume *vol, struct vnode *vn, uint64_t offset,
	      size_t *len, const uint8_t **data);
int file_zero(struct volume *vol, struct vnode *vn, uint64_t offset,
	      size_t len);
int file_touch(struct volume *vol, struct vnode *vn, uint64_t offset,
	       uint64_t len);
int file_write_ready(struct volume *vol, struct vnode *vn, uint64_t offset,
		     size_t len);
int file_resize(struct volume *vol, struct vnode *vn, uint64_t size);
int file_write(struct volume *vol, struct vnode *vn, uint64_t offset,
	       const void *buf, size_t len, size_t *done);

/* volume_ahead.c */
void file_fetch(struct volume *vol, struct vnode *vn, uint64_t offset,
		uint64_t len);
void file_ahead(struct volume *vol, struct vnode *vn, uint64_t offset,
		uint64_t len);

/* volume_xattr.c; values as they are stored */
int xattr_read(struct volume *vol, struct vnode *vn, const char *name,
	       void **value, size_t *len);
int xattr_ready(struct volume *vol, struct vnode *vn, bool write);
int xattr_write(struct volume *vol, struct vnode *vn, const char *name,
		const void *value, size_t len, unsigned flags);

/* volume_acl.c */
bool acl_name(const char *name);
int acl_get(struct volume *vol, struct vnode *vn, const char *name,
	    void **value, size_t *len);
int acl_set(struct volume *vol, struct vnode *vn, const char *name,
	    const void *value, size_t len, bool kill_sgid);
int acl_chmod(struct volume *vol, struct vnode *vn, uint32_t mode);
int acl_inherit(struct volume *vol, struct vnode *dir, struct vnode *vn,
		uint32_t umask);

/* volume_flags.c */
void flags_inherit(struct vnode *vn, const struct vnode *dir);
uint32_t flags_visible(const struct vnode *vn);
int flags_free(const struct vnode *vn);
int flags_growing(const struct vnode *vn);
int flags_writing(struct volume *vol, struct vnode *vn, uint64_t offset,
		  const uint8_t *buf, size_t len);

/* volume_event.c */
void event_send(struct volume *vol, struct volume_event *event);
void event_name(struct volume *vol, enum volume_what what,
		const struct vnode *dir, const char *name, size_t len,
		const struct vnode *vn);
void event_attrib(struct volume *vol, const struct vnode *vn);
void event_modified(struct volume *vol, const struct vnode *vn,
		    uint64_t offset, uint64_t length);

/* volume_why.c */
bool volume_refused(const struct ext2_super_block *sb, uint64_t blocks,
		    char text[VOLUME_WHY]);

/* volume_index.c */
int index_load(struct volume *vol, struct vnode *dir);
void index_free(struct vnode *dir);
size_t index_bytes(const struct vnode *dir);

#endif
