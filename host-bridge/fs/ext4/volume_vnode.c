/* SPDX-License-Identifier: MIT */
/*
 * Inodes in memory: found by number in a hash table, kept by a clock until room
 * is needed. A freed inode's vnode stays as "dead", to be written as free,
 * until room is needed or its number is used again.
 *
 * Each inode in use has at most one vnode, and from when that is made to when
 * it is dropped it is the truth: the table on the device is older. libext2fs
 * looks at the table only where we have just written it back.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/fs/ext4/volume_int.h"

/* The link that leads to an inode's vnode, or to NULL at the end of its
 * chain. */
static struct vnode **vnode_slot(struct volume *vol, uint32_t ino)
{
	struct vnode **slot = &vol->hash[ino & (VOLUME_VNODES - 1)];

	while (*slot != NULL && (*slot)->ino != ino) {
		slot = &(*slot)->hash_next;
	}
	return slot;
}

/**
 * Enters a vnode among those that a flush looks at: whoever gets one may make it
 * dirty.
 */
void vnode_see(struct volume *vol, struct vnode *vn)
{
	if (vn->seen) {
		return;
	}
	vn->seen = true;
	vol->seen_count++;
	vn->seen_prev = NULL;
	vn->seen_next = vol->seen;
	if (vol->seen != NULL) {
		vol->seen->seen_prev = vn;
	}
	vol->seen = vn;
}

/** Takes a vnode out of them, which is clean, or goes. */
void vnode_unsee(struct volume *vol, struct vnode *vn)
{
	if (!vn->seen) {
		return;
	}
	if (vn->seen_next != NULL) {
		vn->seen_next->seen_prev = vn->seen_prev;
	}
	if (vn->seen_prev != NULL) {
		vn->seen_prev->seen_next = vn->seen_next;
	} else {
		vol->seen = vn->seen_next;
	}
	vol->seen_count--;
	vn->seen = false;
}

/* A vnode without content for an inode that has none, in hash and ring; NULL:
 * no memory. It goes behind the clock hand, so it is looked at last. */
static struct vnode *vnode_alloc(struct volume *vol, uint32_t ino)
{
	struct vnode *vn = calloc(1, sizeof(*vn));
	struct vnode **slot = &vol->hash[ino & (VOLUME_VNODES - 1)];

	if (vn == NULL) {
		return NULL;
	}
	vn->ino = ino;
	vn->used = true;
	vn->hash_next = *slot;
	*slot = vn;
	if (vol->hand == NULL) {
		vol->hand = vn->ring_prev = vn->ring_next = vn;
	} else {
		vn->ring_next = vol->hand;
		vn->ring_prev = vol->hand->ring_prev;
		vn->ring_prev->ring_next = vn;
		vn->ring_next->ring_prev = vn;
	}
	vol->vnodes++;
	vnode_see(vol, vn);
	return vn;
}

/** To be called when what a vnode has beside the inode takes more or less. */
void vnode_count(struct volume *vol, struct vnode *vn)
{
	size_t bytes = vn->run_space * sizeof(*vn->runs) +
		       vn->leaf_space * sizeof(*vn->leaves) +
		       vn->tree_space * sizeof(*vn->tree) + index_bytes(vn);

	vol->content += bytes - vn->content;
	vn->content = bytes;
}

/* Frees what was read or made beside the inode; it can be read again. */
static void vnode_free_content(struct volume *vol, struct vnode *vn)
{
	index_free(vn);
	free(vn->runs);
	free(vn->leaves);
	free(vn->tree);
	vn->runs = NULL;
	vn->leaves = NULL;
	vn->tree = NULL;
	vn->run_space = vn->leaf_space = vn->tree_space = 0;
	vn->run_count = vn->leaf_count = vn->tree_count = vn->cursor = 0;
	vn->leaf = vn->leaf_first = vn->leaves_changed = 0;
	vol->tree_due -= vn->tree_due;
	vn->tree_due = 0;
	vn->runs_valid = vn->tree_dirty = false;
	vol->content -= vn->content;
	vn->content = 0;
}

/** Forgets a vnode, written back or not. Nobody may hold it. */
void vnode_drop(struct volume *vol, struct vnode *vn)
{
	*vnode_slot(vol, vn->ino) = vn->hash_next;
	/* The hand must not point at what is gone. */
	if (vol->hand == vn) {
		vol->hand = vn->ring_next == vn ? NULL : vn->ring_next;
	}
	vn->ring_prev->ring_next = vn->ring_next;
	vn->ring_next->ring_prev = vn->ring_prev;
	vol->vnodes--;
	if (vn->round > vol->dropped_round) {
		vol->dropped_round = vn->round;
	}
	vnode_unsee(vol, vn);
	vnode_free_content(vol, vn);
	free(vn);
}

/* Makes room when runs, trees and names take too much memory: forgets those of
 * the vnodes that were not lately used, also of held ones. Where that is of no
 * use, all being in use, it is done again when an eighth more has come. */
static void volume_shrink(struct volume *vol)
{
	size_t enough = vol->content_limit / 8 * 7;
	uint32_t steps = 2 * vol->vnodes;

	for (; vol->content > enough && steps > 0; steps--) {
		struct vnode *vn = vol->hand;

		vol->hand = vn->ring_next;
		if (!vn->used && vn->content > 0 &&
		    vnode_writeback(vol, vn) == 0) {
			vnode_free_content(vol, vn);
		}
		vn->used = false;
	}
	vol->content_most = vol->content > enough
			    ? vol->content + vol->content_limit / 8
			    : vol->content_limit;
}

/**
 * Makes room when too many vnodes are in memory, or too much that belongs to
 * them: writes back and forgets the ones that are neither held nor lately used,
 * an eighth of them at once. Where most are held it is of no use, and costs as
 * much as there are: so it is done again when as many have come, or were let go
 * (volume_release()). One that cannot be written stays. For volume_trim().
 */
void volume_make_room(struct volume *vol)
{
	/* Once around to take the marks away, once to find who has none. */
	uint32_t steps = 2 * vol->vnodes;

	if (vol->content > vol->content_most) {
		volume_shrink(vol);
	}
	if (vol->vnodes <= vol->vnodes_most) {
		return;
	}
	for (; vol->vnodes > VOLUME_VNODES * 7 / 8 && steps > 0; steps--) {
		struct vnode *vn = vol->hand;

		vol->hand = vn->ring_next;
		if (vn->holds == 0 && !vn->used && !vn->orphan &&
		    vnode_writeback(vol, vn) == 0) {
			vnode_drop(vol, vn);
		} else {
			vn->used = false;
		}
	}
	vol->vnodes_most = vol->vnodes > VOLUME_VNODES * 7 / 8
			   ? vol->vnodes + VOLUME_VNODES / 8 : VOLUME_VNODES;
}

/**
 * The vnode of an inode, in use or not, be it one that no name can mean. Returns
 * 0, ESTALE (there is no such inode), EAGAIN, EIO or ENOMEM.
 */
int vnode_load_any(struct volume *vol, uint32_t ino, struct vnode **out)
{
	struct vnode *vn;
	int error;

	if (ino == 0 || ino > vol->fs->super->s_inodes_count) {
		return ESTALE;
	}
	vn = *vnode_slot(vol, ino);
	if (vn == NULL) {
		vn = vnode_alloc(vol, ino);
		error = vn != NULL ? inode_read(vol, vn) : ENOMEM;
		if (error != 0) {
			if (vn != NULL) {
				vnode_drop(vol, vn);
			}
			return error;
		}
	}
	vnode_see(vol, vn);
	*out = vn;
	return 0;
}

/* Reads an inode that is not in memory. A number that came from a client or
 * from a damaged directory may be anything: ESTALE for the reserved inodes
 * (journal, resize and the like, which are no files), for one beyond the table,
 * and for one without links, which is free. */
static int vnode_load(struct volume *vol, uint32_t ino, struct vnode **out)
{
	struct ext2_super_block *sb = vol->fs->super;
	int error;

	if ((ino != VOLUME_ROOT && ino < EXT2_FIRST_INO(sb)) ||
	    (ino == sb->s_orphan_file_inum &&
	     ext2fs_has_feature_orphan_file(sb))) {
		return ESTALE;
	}
	error = vnode_load_any(vol, ino, out);
	if (error == 0 && (*out)->in.i_links_count == 0) {
		vnode_drop(vol, *out);
		error = ESTALE;
	}
	return error;
}

/**
 * The vnode of an inode that is in use: one with a name, or held without. Good
 * until volume_trim() is next called. Returns 0, ESTALE (no such file), EIO or
 * ENOMEM.
 */
int vnode_get(struct volume *vol, uint32_t ino, struct vnode **out)
{
	struct vnode *vn = *vnode_slot(vol, ino);

	if (vn == NULL) {
		return vnode_load(vol, ino, out);
	}
	if (vn->dead || vn->unfreed) {
		return ESTALE;
	}
	vn->used = true;
	vnode_see(vol, vn);
	*out = vn;
	return 0;
}

/**
 * As vnode_get(), and ENOTDIR if it is no directory; then *out is set all the
 * same.
 */
int vnode_get_dir(struct volume *vol, uint32_t ino, struct vnode **out)
{
	int error = vnode_get(vol, ino, out);

	if (error == 0 && !vnode_is(*out, VOLUME_S_IFDIR)) {
		error = ENOTDIR;
	}
	return error;
}

/* Owner and mode of a new file in dir. A directory with set-group-ID gives its
 * group to what is made in it, and the bit to directories.
 * [Linux "fs/inode.c: inode_init_owner"] */
static void vnode_init_owner(struct vnode *vn, const struct vnode *dir,
			     const struct volume_make *make)
{
	uint32_t mode = make->mode, gid = make->gid;

	if ((dir->in.i_mode & LINUX_S_ISGID) != 0) {
		gid = inode_gid(dir->in);
		mode |= LINUX_S_ISDIR(mode) ? LINUX_S_ISGID : 0;
	}
	vn->in.i_mode = (uint16_t)mode;
	vn->in.i_uid = (uint16_t)make->uid;
	ext2fs_set_i_uid_high(vn->in, make->uid >> 16);
	vn->in.i_gid = (uint16_t)gid;
	ext2fs_set_i_gid_high(vn->in, gid >> 16);
}

/* A new file's inode: nothing of the one that had the number before remains.
 * Its generation is another, so that a client can tell the two apart. */
static void vnode_init(struct volume *vol, struct vnode *vn,
		       const struct vnode *dir, const struct volume_make *make)
{
	uint32_t type = make->mode & VOLUME_S_IFMT;
	uint32_t major = make->rdev_major, minor = make->rdev_minor;

	memset(vn->raw, 0, sizeof(vn->raw));
	vnode_init_owner(vn, dir, make);
	vn->in.i_links_count = type == VOLUME_S_IFDIR ? 2 : 1;
	vn->in.i_extra_isize = sizeof(vn->in) - EXT2_GOOD_OLD_INODE_SIZE;
	/* 0 is that of what mke2fs makes. */
	vol->generation += vol->generation == 0;
	vn->in.i_generation = vol->generation++;
	vnode_touch(vn, VNODE_ATIME | VNODE_MTIME | VNODE_CTIME |
		    VNODE_BTIME);
	if (type == VOLUME_S_IFCHR || type == VOLUME_S_IFBLK) {
		/* The old form where it does, as Linux writes it. */
		if (major < 256 && minor < 256) {
			vn->in.i_block[0] = major << 8 | minor;
		} else {
			vn->in.i_block[1] = (minor & 0xff) | major << 8 |
					    (minor & ~0xffu) << 12;
		}
	} else if (type == VOLUME_S_IFREG || type == VOLUME_S_IFDIR ||
		   type == VOLUME_S_IFLNK) {
		tree_init(vn);
	}
	flags_inherit(vn, dir);
	vn->runs_valid = true;
	vn->dirty = true;
	vn->used = true;
	vn->dead = vn->linkable = vn->hands_nothing = false;
}

/**
 * Takes a free inode, in dir's group or else in another, and makes a file of it
 * that has one link (a directory two) and no content. Returns 0, ENOSPC, ENOMEM
 * or EIO (the bitmap says free of an inode that is not: damage).
 */
int vnode_new(struct volume *vol, const struct vnode *dir,
	      const struct volume_make *make, struct vnode **out)
{
	bool is_dir = LINUX_S_ISDIR(make->mode);
	struct vnode *vn;
	uint32_t ino;
	bool fresh;
	int error = volume_alloc_inode(vol, dir->ino, is_dir, &ino, &fresh);

	if (error != 0) {
		return error;
	}
	/* From here on it is used; vnode_unref() without links frees it
	 * again. */
	vn = *vnode_slot(vol, ino);
	if (vn != NULL && !vn->dead) {
		return EIO;
	}
	error = inode_ready(vol, ino, fresh);
	if (error == 0 && vn == NULL) {
		vn = vnode_alloc(vol, ino);
		error = vn == NULL ? ENOMEM : 0;
	}
	if (error != 0) {
		volume_free_inode(vol, ino, is_dir);
		return error;
	}
	vnode_init(vol, vn, dir, make);
	vnode_see(vol, vn);
	*out = vn;
	return 0;
}

/* Gives back a file's block of extended attributes, or its share of it. Returns
 * 0, EAGAIN, ENOSPC or EIO. */
static int vnode_free_xattrs(struct volume *vol, struct vnode *vn)
{
	uint64_t block = ext2fs_file_acl_block(vol->fs, &vn->in_small);
	struct ext2_ext_attr_header *header;

	if (block == 0) {
		return 0;
	}
	header = (void *)vol->dev->ops->change(vol->dev, block, false);
	if (header == NULL) {
		return poke_error(vol);
	}
	if (header->h_refcount > 1) {
		header->h_refcount--;
		ext2fs_ext_attr_block_csum_set(vol->fs, vn->ino, block,
					       header);
	} else {
		volume_free(vol, block, 1);
	}
	ext2fs_file_acl_block_set(vol->fs, &vn->in_small, 0);
	ext2fs_iblk_sub_blocks(vol->fs, &vn->in_small, 1);
	vn->dirty = true;
	return 0;
}

/**
 * Has read what freeing a file needs, which is to lose a name; nothing for one
 * that will live on. Returns 0 or EAGAIN: what is damaged is found out later.
 */
int vnode_free_ready(struct volume *vol, struct vnode *vn)
{
	uint64_t block = ext2fs_file_acl_block(vol->fs, &vn->in_small);
	bool dir = vnode_is(vn, VOLUME_S_IFDIR);
	struct volume_dev *dev = vol->dev;

	if (dev->instant || vn->holds > 0 ||
	    (vn->in.i_links_count > 1 && !dir)) {
		return 0;
	}
	if ((vn->in.i_flags & EXT4_EXTENTS_FL) != 0 &&
	    tree_load(vol, vn) == EAGAIN) {
		return EAGAIN;
	}
	return block != 0 && dev->ops->peek(dev, block) == NULL && dev->absent
	       ? EAGAIN : 0;
}

/**
 * Frees a file that has no links and no holders: its blocks, as many as the
 * transaction has room for, extended attributes and inode. Returns 0, or EAGAIN,
 * ENOMEM, ENOSPC or EIO; then it is still an orphan, and this is to be called
 * again.
 */
int vnode_free(struct volume *vol, struct vnode *vn)
{
	bool runs = (vn->in.i_flags & EXT4_EXTENTS_FL) != 0;
	int error = runs ? tree_load(vol, vn) : 0;

	if (error == 0 && runs && !run_truncate(vol, vn, 0)) {
		error = due_wait(vol);
	}
	if (error == 0) {
		error = vnode_free_xattrs(vol, vn);
	}
	if (error != 0) {
		return error;
	}
	orphan_remove(vol, vn);
	volume_free_inode(vol, vn->ino, vnode_is(vn, VOLUME_S_IFDIR));
	vnode_free_content(vol, vn);
	vn->in.i_dtime = (uint32_t)volume_now().sec;
	memset(vn->in.i_block, 0, sizeof(vn->in.i_block));
	/* There is no tree: e2fsck takes a block of the table for garbage, and
	 * what is alive there with it, when half of it claims one. */
	vn->in.i_flags &= ~EXT4_EXTENTS_FL;
	vnode_set_size(vol, vn, 0);
	/* In memory until it is written, so that the table says so too. */
	vn->dead = true;
	return 0;
}

/**
 * To be called whenever a link or a hold has gone. Lets a file go that has no
 * links: frees it if it has no holders either, now or (volume_end()) when what
 * is needed for that is there; else it is an orphan. Otherwise does nothing.
 */
void vnode_unref(struct volume *vol, struct vnode *vn)
{
	if (vn->in.i_links_count != 0 || vn->dead) {
		return;
	}
	if (vn->holds == 0 && vol->keeper != NULL) {
		vn->holds = vol->keeper->fn(vol->keeper, vn->ino);
	}
	vn->dirty = true;
	/* An orphan's last holder goes at any time, begun or not: before a journal
	 * it is freed when there is room for that. */
	if (vn->holds == 0 && (!vn->orphan || vol->dev->running == 0) &&
	    vnode_free(vol, vn) == 0) {
		return;
	}
	if (!vn->orphan) {
		orphan_add(vol, vn);
	}
	if (vn->holds == 0) {
		orphan_unended(vol, vn, &vn->unfreed);
	}
}

/**
 * Writes an inode, its extent tree and its directory blocks' checksums, if it
 * was changed. The tree's root is in the inode, so the tree comes first.
 * Returns 0, EAGAIN, EIO or ENOSPC; then it stays dirty.
 */
int vnode_writeback(struct volume *vol, struct vnode *vn)
{
	int error = 0;

	if (!vn->dirty) {
		return 0;
	}
	if (vn->tree_dirty) {
		error = tree_store(vol, vn);
	}
	if (error == 0 && vn->index != NULL && vol->csum) {
		error = dir_writeback(vol, vn);
	}
	if (error == 0) {
		error = inode_write(vol, vn);
	}
	vn->dirty = error != 0;
	vn->round = vol->dev->running;
	return error;
}

/**
 * The transaction that a file's last change is in, data or inode, or an earlier
 * change of another file: when that is lasting, so is the file. 0: there are no
 * transactions.
 */
uint64_t volume_round(struct volume *vol, uint32_t ino)
{
	const struct vnode *vn = *vnode_slot(vol, ino);
	uint64_t round = vn == NULL ? 0 : vn->dirty ? vol->dev->running
						    : vn->round;

	return round != 0 ? round : vol->dropped_round;
}

/**
 * Sets the size of a file, in bytes; its blocks are the caller's. From 2 GiB on
 * the library also notes in the superblock that there are such.
 */
void vnode_set_size(struct volume *vol, struct vnode *vn, uint64_t size)
{
	ext2fs_inode_size_set(vol->fs, &vn->in_small, (ext2_off64_t)size);
	vn->dirty = true;
}

/**
 * Adds 1 or -1 to the number of links. A directory that had too many to count
 * has 1 for ever, if the volume's features say so. Returns 0 or EMLINK (for an
 * addition); freeing is vnode_unref()'s.
 * [Linux "fs/ext4/namei.c: ext4_inc_count"]
 */
int vnode_set_links(struct volume *vol, struct vnode *vn, int change)
{
	bool dir = vnode_is(vn, VOLUME_S_IFDIR);
	uint32_t links = vn->in.i_links_count;

	if (dir && links == 1) {
		return 0;
	}
	if (change > 0 && links >= VOLUME_LINK_MAX) {
		if (!dir || !ext2fs_has_feature_dir_nlink(vol->fs->super)) {
			return EMLINK;
		}
		links = 1;
	} else {
		links = (uint32_t)((int)links + change);
	}
	vn->in.i_links_count = (uint16_t)links;
	vn->dirty = true;
	return 0;
}
