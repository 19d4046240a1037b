/* SPDX-License-Identifier: MIT */
/*
 * Names: looking them up, making, linking and removing them (volume_rename.c
 * moves them). Each function looks at everything that may refuse first, then
 * makes room, then changes; if the change fails all the same it is taken back.
 *
 * A directory's links are its name, its own "." and the ".." of each directory
 * in it.
 */
#include <errno.h>
#include <string.h>

#include "host-bridge/fs/ext4/volume_int.h"

#define NEW_BLOCKS	8u	/* of a new file and its name, at most */
#define FAST_LINK_MAX	59u	/* longest link text kept in the inode */

/**
 * Whether a name, of at least one byte, is "." or "..": entries that make up
 * the tree and are never made, moved or removed by name.
 */
bool name_is_dots(const char *name, size_t len)
{
	return name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.'));
}

/**
 * Whether that can be a name at all: 0, EINVAL or ENAMETOOLONG. Any bytes are
 * good but '/' and NUL, as in Linux.
 */
int name_check(const char *name, size_t len)
{
	if (len == 0 || memchr(name, '/', len) != NULL ||
	    memchr(name, '\0', len) != NULL) {
		return EINVAL;
	}
	return len > VOLUME_NAME_MAX ? ENAMETOOLONG : 0;
}

/* Gets the directory for a change of that name in it. Returns 0, EINVAL or
 * ENAMETOOLONG (name), EROFS, ENOENT, ENOTDIR or EPERM (directory: removed;
 * none; immutable), ESTALE, EIO or ENOMEM. */
static int name_begin(struct volume *vol, uint32_t ino, const char *name,
		      size_t len, struct vnode **dir)
{
	int error = name_check(name, len);

	if (error == 0 && vol->dev->read_only) {
		error = EROFS;
	}
	if (error == 0) {
		error = vnode_get_dir(vol, ino, dir);
	}
	if (error == 0 && (*dir)->in.i_links_count == 0) {
		error = ENOENT;		/* removed, but still held */
	}
	return error != 0 ? error : flags_growing(*dir);
}

/* Has all read that making a file in dir needs beside the name: an inode, blocks
 * for what it has from the beginning, the ACLs that dir hands on. */
static int name_make_ready(struct volume *vol, struct vnode *dir)
{
	int error = alloc_inode_ready(vol, dir->ino);
	int acls = xattr_ready(vol, dir, false);

	if (error == 0) {
		error = alloc_ready(vol, 0, NEW_BLOCKS);
	}
	return error != 0 ? error : acls;
}

/* As name_begin(), for a new name: EEXIST when it is there ("." and ".." always
 * are), and makes room; make: for a new file. */
static int name_begin_new(struct volume *vol, uint32_t ino, const char *name,
			  size_t len, bool make, struct vnode **dir)
{
	uint32_t place, found;
	int error = name_begin(vol, ino, name, len, dir);

	if (error != 0) {
		return error;
	}
	error = dir_find(vol, *dir, name, len, &place, &found);
	if (error == 0) {
		return EEXIST;
	}
	if (error == ENOENT) {
		error = make && !vol->dev->instant ? name_make_ready(vol, *dir)
						: 0;
	}
	return error != 0 ? error : dir_reserve(vol, *dir, name, len);
}

/* Takes back a file that was just made and has no name yet, its blocks and
 * inode. */
static void name_undo(struct volume *vol, struct vnode *vn)
{
	vn->in.i_links_count = 0;
	vnode_unref(vol, vn);
}

/* Makes a file that has no name yet, with what its directory hands on. */
static int name_make(struct volume *vol, struct vnode *parent,
		     const struct volume_make *make, struct vnode **vn)
{
	int error = vnode_new(vol, parent, make, vn);

	if (error == 0) {
		error = acl_inherit(vol, parent, *vn, make->umask);
		if (error != 0) {
			name_undo(vol, *vn);
		}
	}
	return error;
}

/**
 * Looks a name up in a directory; "." and ".." are names in it, and the root's
 * ".." is the root. What is found is not held: it is good until the volume is
 * next changed. Returns 0, ENOENT, ENOTDIR, EINVAL or ENAMETOOLONG (not a
 * name), EOPNOTSUPP (block maps), ESTALE, EIO or ENOMEM.
 */
int volume_lookup(struct volume *vol, uint32_t dir, const char *name,
		  size_t len, uint32_t *ino)
{
	struct vnode *vn;
	uint32_t place;
	int error = name_check(name, len);

	volume_trim(vol);
	if (error == 0) {
		error = vnode_get_dir(vol, dir, &vn);
	}
	if (error == 0) {
		error = dir_find(vol, vn, name, len, &place, ino);
	}
	return error;
}

/**
 * Makes a file of make's type and enters it under a name: regular, directory,
 * FIFO, socket or device (which are nothing but data here). *ino is set only
 * with 0; the file is not held. Returns 0, EEXIST, EINVAL or ENAMETOOLONG
 * (name), ENOENT, ENOTDIR or EPERM (dir: removed; none; immutable), ENOSPC,
 * EMLINK, EROFS, ESTALE, EIO or ENOMEM. The type is the caller's to check.
 */
int volume_create(struct volume *vol, uint32_t dir, const char *name,
		  size_t len, const struct volume_make *make, uint32_t *ino)
{
	bool is_dir = (make->mode & VOLUME_S_IFMT) == VOLUME_S_IFDIR;
	struct vnode *parent, *vn;
	int error;

	volume_trim(vol);
	error = name_begin_new(vol, dir, name, len, true, &parent);
	if (error == 0) {
		error = name_make(vol, parent, make, &vn);
	}
	if (error != 0) {
		return error;
	}
	if (is_dir) {
		error = dir_init(vol, vn, dir);
		if (error == 0) {
			/* Its ".." is a link to the parent. */
			error = vnode_set_links(vol, parent, 1);
		}
	}
	if (error == 0) {
		error = dir_insert(vol, parent, name, len, vn->ino,
				   make->mode);
		if (error != 0 && is_dir) {
			vnode_set_links(vol, parent, -1);
		}
	}
	if (error != 0) {
		name_undo(vol, vn);
		return error;
	}
	*ino = vn->ino;
	event_name(vol, VOLUME_CREATED, parent, name, len, vn);
	return 0;
}

/**
 * Makes a regular file without a name, in dir's part of the volume, and holds
 * it for the caller. volume_link() can give it a name while it is held; it is
 * gone when the last hold is and it has none. Returns 0, ENOENT or ENOTDIR
 * (dir), EINVAL (no regular file), ENOSPC, EROFS, ESTALE, EIO or ENOMEM.
 */
int volume_tmpfile(struct volume *vol, uint32_t dir,
		   const struct volume_make *make, uint32_t *ino)
{
	struct vnode *parent, *vn;
	int error;

	volume_trim(vol);
	error = name_begin(vol, dir, "tmpfile", 7, &parent);
	if (error == 0 && (make->mode & VOLUME_S_IFMT) != VOLUME_S_IFREG) {
		error = EINVAL;
	}
	if (error == 0) {
		error = name_make_ready(vol, parent);
	}
	if (error == 0) {
		error = name_make(vol, parent, make, &vn);
	}
	if (error != 0) {
		return error;
	}
	vn->holds++;
	vn->linkable = true;
	vn->in.i_links_count = 0;
	vnode_unref(vol, vn);
	*ino = vn->ino;
	return 0;
}

/**
 * Makes a symbolic link: make gives the owner. target is 1 to 4095 bytes
 * without NUL, and need not lead anywhere. Returns as volume_create(), also
 * EINVAL for an empty target, or ENAMETOOLONG for the target.
 */
int volume_symlink(struct volume *vol, uint32_t dir, const char *name,
		   size_t len, const char *target, size_t target_len,
		   const struct volume_make *make, uint32_t *ino)
{
	struct volume_make link = *make;
	struct vnode *parent, *vn;
	size_t done;
	int error;

	if (target_len == 0 || memchr(target, '\0', target_len) != NULL) {
		return EINVAL;
	}
	if (target_len >= vol->block_size) {
		return ENAMETOOLONG;
	}
	link.mode = VOLUME_S_IFLNK | 0777;
	volume_trim(vol);
	error = name_begin_new(vol, dir, name, len, true, &parent);
	if (error == 0) {
		error = vnode_new(vol, parent, &link, &vn);
	}
	if (error != 0) {
		return error;
	}
	/* A short text takes the place of the extent tree in the inode. */
	if (target_len <= FAST_LINK_MAX) {
		vn->in.i_flags &= ~(uint32_t)EXT4_EXTENTS_FL;
		memset(vn->in.i_block, 0, sizeof(vn->in.i_block));
		memcpy(vn->in.i_block, target, target_len);
		vnode_set_size(vol, vn, target_len);
	} else {
		error = file_write(vol, vn, 0, target, target_len, &done);
	}
	if (error == 0) {
		error = dir_insert(vol, parent, name, len, vn->ino, link.mode);
	}
	if (error != 0) {
		name_undo(vol, vn);
		return error;
	}
	*ino = vn->ino;
	event_name(vol, VOLUME_CREATED, parent, name, len, vn);
	return 0;
}

/**
 * Gives a file another name, or the first to one from volume_tmpfile(). Returns
 * as volume_create(), or EPERM for a directory and what is immutable or
 * append-only, ENOENT for a file that has no name left, EMLINK. The link is
 * counted before the name is there: a name without a count would be damage.
 */
int volume_link(struct volume *vol, uint32_t ino, uint32_t dir,
		const char *name, size_t len)
{
	struct vnode *parent, *vn;
	int error;

	volume_trim(vol);
	error = vnode_get(vol, ino, &vn);
	if (error == 0 && vnode_is(vn, VOLUME_S_IFDIR)) {
		error = EPERM;
	}
	if (error == 0 && vn->in.i_links_count == 0 && !vn->linkable) {
		error = ENOENT;
	}
	if (error == 0) {
		error = flags_free(vn);
	}
	if (error == 0) {
		error = name_begin_new(vol, dir, name, len, false,
				       &parent);
	}
	if (error == 0) {
		error = vnode_set_links(vol, vn, 1);
	}
	if (error != 0) {
		return error;
	}
	error = dir_insert(vol, parent, name, len, ino, vn->in.i_mode);
	if (error != 0) {
		vnode_set_links(vol, vn, -1);
		return error;
	}
	vn->linkable = false;
	if (!vn->cut) {
		orphan_remove(vol, vn);	/* one from volume_tmpfile() is */
	}
	vnode_touch(vn, VNODE_CTIME);
	event_attrib(vol, vn);
	event_name(vol, VOLUME_CREATED, parent, name, len, vn);
	return 0;
}

/**
 * Whether vn may lose its name in dir: 0, or EPERM for what is immutable or
 * append-only, either of them.
 */
int name_loose(const struct vnode *dir, const struct vnode *vn)
{
	int error = flags_free(dir);

	return error != 0 ? error : flags_free(vn);
}

/* A name of vn in dir is gone: counts it, and frees what has none left and is
 * not held. A directory loses its "." with it. */
static void name_gone(struct volume *vol, const struct vnode *dir,
		      const char *name, size_t len, struct vnode *vn)
{
	if (vnode_is(vn, VOLUME_S_IFDIR)) {
		vn->in.i_links_count = 0;
		/* For its mark: the inode is to be written. */
		vnode_set_size(vol, vn, vnode_size(vn));
	} else {
		vnode_set_links(vol, vn, -1);
	}
	vnode_touch(vn, VNODE_CTIME);
	vnode_unref(vol, vn);
	event_attrib(vol, vn);
	event_name(vol, VOLUME_DELETED, dir, name, len, vn);
}

/**
 * Finds a name and what it names. Returns 0, ENOENT, EIO (also for a name of an
 * inode that is not in use, which is damage), EOPNOTSUPP or ENOMEM.
 */
int name_find(struct volume *vol, struct vnode *dir, const char *name,
		     size_t len, uint32_t *place, struct vnode **vn)
{
	uint32_t ino;
	int error = dir_find(vol, dir, name, len, place, &ino);

	if (error != 0) {
		return error;
	}
	error = vnode_get(vol, ino, vn);
	return error == ESTALE ? EIO : error;
}

/**
 * Removes a name of a file that is no directory. A held file lives on without
 * it, until its last volume_release(). Returns 0, ENOENT, EISDIR, ENOTDIR
 * (dir), EINVAL or ENAMETOOLONG (not a name), EPERM (either is immutable or
 * append-only), EROFS, ESTALE, EIO or ENOMEM.
 */
int volume_unlink(struct volume *vol, uint32_t dir, const char *name,
		  size_t len)
{
	struct vnode *parent, *vn;
	uint32_t place;
	int error;

	volume_trim(vol);
	error = name_begin(vol, dir, name, len, &parent);
	if (error == 0) {
		error = name_find(vol, parent, name, len, &place, &vn);
	}
	if (error == 0 && vnode_is(vn, VOLUME_S_IFDIR)) {
		error = EISDIR;
	}
	if (error == 0) {
		error = name_loose(parent, vn);
	}
	if (error == 0) {
		error = vnode_free_ready(vol, vn);
	}
	if (error == 0) {
		error = dir_remove(vol, parent, place);
	}
	if (error == 0) {
		name_gone(vol, parent, name, len, vn);
	}
	return error;
}

/**
 * Removes an empty directory; held, it lives on, empty, and nothing can be made
 * in it. The root has no name to be removed by. Returns as volume_unlink() but
 * for EISDIR, or ENOTEMPTY (also for ".."), ENOTDIR, EINVAL (".").
 */
int volume_rmdir(struct volume *vol, uint32_t dir, const char *name,
		 size_t len)
{
	struct vnode *parent, *vn;
	uint32_t place;
	bool empty;
	int error;

	volume_trim(vol);
	error = name_begin(vol, dir, name, len, &parent);
	if (error == 0 && name_is_dots(name, len)) {
		error = len == 1 ? EINVAL : ENOTEMPTY;
	}
	if (error == 0) {
		error = name_find(vol, parent, name, len, &place, &vn);
	}
	if (error == 0 && !vnode_is(vn, VOLUME_S_IFDIR)) {
		error = ENOTDIR;
	}
	if (error == 0) {
		error = name_loose(parent, vn);
	}
	if (error == 0) {
		error = dir_empty(vol, vn, &empty);
	}
	if (error == 0 && !empty) {
		error = ENOTEMPTY;
	}
	if (error == 0) {
		error = vnode_free_ready(vol, vn);
	}
	if (error == 0) {
		error = dir_remove(vol, parent, place);
	}
	if (error == 0) {
		vnode_set_links(vol, parent, -1);
		name_gone(vol, parent, name, len, vn);
	}
	return error;
}

/**
 * Shows the entries of a directory to fn, from cookie on (0: all), in an order
 * that stays: what is there all the time is shown once, what comes or goes
 * meanwhile may be or not. "." and ".." are among them. fn must not call the
 * volume. Before a disk that may be some of them only, at least one: the end is
 * where none is shown. Returns 0, ENOTDIR, ESTALE, EIO or ENOMEM.
 */
int volume_readdir(struct volume *vol, uint32_t dir, uint64_t cookie,
		   bool (*fn)(void *arg, const struct volume_entry *entry),
		   void *arg)
{
	struct vnode *vn;
	int error;

	volume_trim(vol);
	error = vnode_get_dir(vol, dir, &vn);
	return error != 0 ? error : dir_each(vol, vn, cookie, fn, arg);
}
