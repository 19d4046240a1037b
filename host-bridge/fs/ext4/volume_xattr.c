/* SPDX-License-Identifier: MIT */
/*
 * Extended attributes, by libext2fs: it works on the inode in the table, so
 * ours is written back before and read again after. It finds their values in
 * the inode's tail or in a block, which files may share, and keeps counts and
 * checksums. [libext2fs "ext_attr.c"]
 *
 * What a "trusted." or "security." attribute means is Linux's affair. ACLs are
 * attributes with a form of their own: volume_acl.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/fs/ext4/volume_int.h"

#define XATTR_NAME_MAX	255u		/* with its kind, as Linux' */
#define EA_MAGIC	0xea020000u	/* before attributes in the inode */

/* Whether a file has any attributes; costs next to nothing: the inode in memory
 * says so. */
static bool xattr_any(struct volume *vol, const struct vnode *vn)
{
	size_t at = EXT2_GOOD_OLD_INODE_SIZE + vn->in.i_extra_isize;
	uint32_t magic = 0;

	/* i_extra_isize is the device's word. */
	if (at + sizeof(magic) <= VOLUME_INODE_SIZE) {
		memcpy(&magic, vn->raw + at, sizeof(magic));
	}
	return magic == EA_MAGIC ||
	       ext2fs_file_acl_block(vol->fs, (void *)&vn->in_small) != 0;
}

/* Reads all attributes of a file: *handle is to be closed after 0. The inode is
 * in the table then, as it is in memory. */
static int xattr_open(struct volume *vol, struct vnode *vn,
		      struct ext2_xattr_handle **handle)
{
	int error = vnode_writeback(vol, vn);
	errcode_t code;

	if (error != 0) {
		return error;
	}
	/* The library keeps the block of the table that it saw last. */
	ext2fs_flush_icache(vol->fs);
	code = ext2fs_xattrs_open(vol->fs, vn->ino, handle);
	if (code == 0) {
		/* ACLs as they are: the library would turn them. */
		unsigned raw = XATTR_HANDLE_FLAG_RAW;

		ext2fs_xattrs_flags(*handle, &raw, NULL);
		code = ext2fs_xattrs_read(*handle);
		if (code != 0) {
			ext2fs_xattrs_close(handle);
		}
	}
	return volume_errno(code);
}

/**
 * Reads an attribute as it is stored: *value is the caller's to free(). Returns
 * 0, ENODATA, EIO or ENOMEM; then *value is not changed.
 */
int xattr_read(struct volume *vol, struct vnode *vn, const char *name,
	       void **value, size_t *len)
{
	struct ext2_xattr_handle *handle;
	int error = xattr_any(vol, vn) ? xattr_open(vol, vn, &handle)
				       : ENODATA;

	if (error != 0) {
		return error;
	}
	error = volume_errno(ext2fs_xattr_get(handle, name, value, len));
	ext2fs_xattrs_close(&handle);
	return error;
}

/**
 * Reads an attribute into memory of its own: *value is the caller's to free().
 * Returns 0, ENODATA, ESTALE, EIO or ENOMEM; then *value is not changed.
 */
int volume_xattr_get(struct volume *vol, uint32_t ino, const char *name,
		     void **value, size_t *len)
{
	struct vnode *vn;
	int error;

	volume_trim(vol);
	error = vnode_get(vol, ino, &vn);
	if (error != 0) {
		return error;
	}
	return acl_name(name) ? acl_get(vol, vn, name, value, len)
			      : xattr_read(vol, vn, name, value, len);
}

/* Names gathered so far, each with its NUL. */
struct name_list {
	char *names;
	size_t len;
	bool failed;
};

/* Adds one name; ends the walk when there is no memory. */
static int xattr_list_one(char *name, char *value, size_t value_len,
			  void *data)
{
	struct name_list *list = data;
	size_t len = strlen(name) + 1;
	char *bigger = realloc(list->names, list->len + len);

	(void)value;
	(void)value_len;
	if (bigger == NULL) {
		list->failed = true;
		return XATTR_ABORT;
	}
	memcpy(bigger + list->len, name, len);
	list->names = bigger;
	list->len += len;
	return 0;
}

/**
 * Lists the attributes' names, each with its NUL: *names is the caller's to
 * free(), NULL when there are none. All kinds are listed; which ones a user may
 * see is for Linux to say. Returns 0, ESTALE, EIO or ENOMEM; then *names is not
 * changed.
 */
int volume_xattr_list(struct volume *vol, uint32_t ino, void **names,
		      size_t *len)
{
	struct name_list list = { 0 };
	struct ext2_xattr_handle *handle;
	struct vnode *vn;
	int error;

	volume_trim(vol);
	error = vnode_get(vol, ino, &vn);
	if (error == 0 && xattr_any(vol, vn)) {
		error = xattr_open(vol, vn, &handle);
		if (error == 0) {
			ext2fs_xattrs_iterate(handle, xattr_list_one, &list);
			ext2fs_xattrs_close(&handle);
		}
	}
	if (error == 0 && list.failed) {
		error = ENOMEM;
	}
	if (error != 0) {
		free(list.names);
		return error;
	}
	*names = list.names;
	*len = list.len;
	return 0;
}

/* Whether an attribute may be set under these flags: 0, EEXIST, ENODATA, or
 * another error. */
static int xattr_set_flags(struct ext2_xattr_handle *handle, const char *name,
			   unsigned flags)
{
	void *old;
	size_t len;
	int error = volume_errno(ext2fs_xattr_get(handle, name, &old, &len));

	if (error == 0) {
		free(old);
		return (flags & VOLUME_XATTR_CREATE) != 0 ? EEXIST : 0;
	}
	if (error == ENODATA && (flags & VOLUME_XATTR_REPLACE) == 0) {
		return 0;
	}
	return error;
}

/**
 * Has read what the attributes of a file are in; write: and what is needed to
 * change them. Returns 0 or EAGAIN: all else is found out by who does it.
 */
int xattr_ready(struct volume *vol, struct vnode *vn, bool write)
{
	uint64_t block = ext2fs_file_acl_block(vol->fs, &vn->in_small);
	struct volume_dev *dev = vol->dev;
	int error = 0;

	if (dev->instant || (!write && !xattr_any(vol, vn))) {
		return 0;
	}
	if (inode_touch(vol, vn->ino) == EAGAIN) {
		error = EAGAIN;
	}
	if (block != 0 && dev->ops->peek(dev, block) == NULL && dev->absent) {
		error = EAGAIN;
	}
	if (write && alloc_ready(vol, 0, 2) != 0) {
		error = EAGAIN;
	}
	return error;
}

/**
 * Stores an attribute as it is, or removes it (value NULL), which then need not
 * be there. libext2fs changes the inode in the table, so ours is read again.
 * Returns 0, EEXIST, ENODATA, ENOSPC, ERANGE, EIO or ENOMEM.
 */
int xattr_write(struct volume *vol, struct vnode *vn, const char *name,
		const void *value, size_t len, unsigned flags)
{
	struct ext2_xattr_handle *handle;
	int error, again;

	/* Nothing to remove, for most files. */
	if (value == NULL && !xattr_any(vol, vn)) {
		return (flags & VOLUME_XATTR_REPLACE) != 0 ? ENODATA : 0;
	}
	error = xattr_ready(vol, vn, true);
	/* The first of all. [Linux "fs/ext4/xattr.c:
	 * ext4_xattr_update_super_block"] */
	if (error == 0 && !ext2fs_has_feature_xattr(vol->fs->super)) {
		ext2fs_set_feature_xattr(vol->fs->super);
		ext2fs_mark_super_dirty(vol->fs);
	}
	if (error == 0) {
		error = xattr_open(vol, vn, &handle);
	}
	if (error != 0) {
		return error;
	}
	vn->hands_nothing = false;
	error = xattr_set_flags(handle, name, flags);
	if (error == 0) {
		error = volume_errno(value != NULL
			? ext2fs_xattr_set(handle, name, value, len)
			: ext2fs_xattr_remove(handle, name));
	}
	ext2fs_xattrs_close(&handle);
	again = inode_read(vol, vn);
	return error != 0 ? error : again;
}

/* Begins a change: refuses where nothing may be changed. */
static int xattr_begin(struct volume *vol, uint32_t ino, struct vnode **vn)
{
	int error;

	volume_trim(vol);
	error = vol->dev->read_only ? EROFS : vnode_get(vol, ino, vn);
	if (error == 0) {
		error = flags_free(*vn);
	}
	return error != 0 ? error : xattr_ready(vol, *vn, true);
}

/* Ends a change that went as error says. */
static int xattr_end(struct volume *vol, struct vnode *vn, int error)
{
	if (error == 0) {
		vnode_touch(vn, VNODE_CTIME);
		event_attrib(vol, vn);
	}
	return error;
}

/* Whether a name is of a kind that is kept: 0, EINVAL (nothing after the
 * kind), ERANGE (longer than any; libext2fs would cut it) or EOPNOTSUPP. */
static int xattr_kind(const char *name)
{
	static const char *const kinds[] = { "user.", "trusted.", "security." };

	if (strlen(name) > XATTR_NAME_MAX) {
		return ERANGE;
	}
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t len = strlen(kinds[i]);

		if (strncmp(name, kinds[i], len) == 0) {
			return name[len] != '\0' ? 0 : EINVAL;
		}
	}
	return EOPNOTSUPP;
}

/**
 * Sets an attribute, by flags VOLUME_XATTR_*; one that cannot be set stays as
 * it was. For ACLs the flags are not looked at but for KILL_SGID, and the mode
 * follows (acl_set()). Returns 0, EEXIST, ENODATA, EINVAL (no name after the
 * kind; no ACL), EOPNOTSUPP (no such kind of name: those of ours are "user.",
 * "trusted.", "security." and the ACLs' two), EACCES (a default ACL of what is
 * no directory), ENOSPC (they must fit the inode and one block), ERANGE (a name
 * of more than XATTR_NAME_MAX bytes), EPERM (immutable; append-only), EROFS,
 * ESTALE, EIO or ENOMEM.
 */
int volume_xattr_set(struct volume *vol, uint32_t ino, const char *name,
		     const void *value, size_t len, unsigned flags)
{
	int error = acl_name(name) ? 0 : xattr_kind(name);
	struct vnode *vn;

	if (error == 0) {
		error = xattr_begin(vol, ino, &vn);
	}
	if (error != 0) {
		return error;
	}
	error = acl_name(name)
		? acl_set(vol, vn, name, value, len,
			  (flags & VOLUME_XATTR_KILL_SGID) != 0)
		: xattr_write(vol, vn, name, value != NULL ? value : "", len,
			      flags);
	return xattr_end(vol, vn, error);
}

/**
 * Removes an attribute, of any kind. Returns as volume_xattr_set(); ENODATA if
 * it is not there, but for an ACL, which then is as it should be.
 */
int volume_xattr_remove(struct volume *vol, uint32_t ino, const char *name)
{
	struct vnode *vn;
	int error = xattr_begin(vol, ino, &vn);

	if (error != 0) {
		return error;
	}
	error = acl_name(name)
		? acl_set(vol, vn, name, NULL, 0, false)
		: xattr_write(vol, vn, name, NULL, 0, VOLUME_XATTR_REPLACE);
	return xattr_end(vol, vn, error);
}
