/* SPDX-License-Identifier: MIT */
/*
 * Flags of files, as chattr sets them, and what immutable and append-only
 * forbid. Who may set them is the caller's to check.
 * [Linux "Documentation/filesystems/ext4/inodes.rst: i_flags"]
 */
#include <errno.h>
#include <string.h>

#include "host-bridge/fs/ext4/volume_int.h"

/* Those that a user can see; and set here; and that Linux may set, but that say
 * how a file is kept, which is not ours to change.
 * [Linux "fs/ext4/ext4.h: EXT4_FL_USER_VISIBLE, EXT4_FL_USER_MODIFIABLE"] */
#define VISIBLE		0x725bdfffu
#define SETTABLE	0x2003c0ffu
#define KEPT		(EXT4_EXTENTS_FL | EXT4_CASEFOLD_FL | FS_DAX_FL)
/* What a directory hands on, and who takes what.
 * [Linux "fs/ext4/ext4.h: EXT4_FL_INHERITED, ext4_mask_flags"] */
#define INHERITED	(EXT2_SECRM_FL | EXT2_UNRM_FL | EXT2_COMPR_FL | \
			 EXT2_SYNC_FL | EXT2_NODUMP_FL | EXT2_NOATIME_FL | \
			 EXT2_NOCOMPR_FL | EXT3_JOURNAL_DATA_FL | \
			 EXT2_NOTAIL_FL | EXT2_DIRSYNC_FL | \
			 EXT4_PROJINHERIT_FL)
#define DIR_ONLY	(EXT2_DIRSYNC_FL | EXT2_TOPDIR_FL | \
			 EXT4_PROJINHERIT_FL)
#define ALL_KINDS	(EXT2_NODUMP_FL | EXT2_NOATIME_FL)

/* Those of some flags that mean something for a file of that kind. */
static uint32_t flags_for(const struct vnode *vn, uint32_t flags)
{
	if (vnode_is(vn, VOLUME_S_IFDIR)) {
		return flags;
	}
	return vnode_is(vn, VOLUME_S_IFREG) ? flags & ~DIR_ONLY
					    : flags & ALL_KINDS;
}

/** Gives a new file the flags that its directory hands on. */
void flags_inherit(struct vnode *vn, const struct vnode *dir)
{
	vn->in.i_flags |= flags_for(vn, dir->in.i_flags & INHERITED);
}

/** The flags of a file that a user sees. */
uint32_t flags_visible(const struct vnode *vn)
{
	return vn->in.i_flags & VISIBLE;
}

/**
 * Whether a file is neither immutable nor append-only, so that everything of it
 * may be changed and it may be moved and removed: 0 or EPERM.
 */
int flags_free(const struct vnode *vn)
{
	return (vn->in.i_flags & (EXT2_IMMUTABLE_FL | EXT2_APPEND_FL)) != 0
	       ? EPERM : 0;
}

/** Whether something may be added to a file or directory: 0 or EPERM. */
int flags_growing(const struct vnode *vn)
{
	return (vn->in.i_flags & EXT2_IMMUTABLE_FL) != 0 ? EPERM : 0;
}

/**
 * Whether these bytes may be written to a regular file, whose runs are loaded.
 * To an append-only one no byte may be changed that it has; Linux writes whole
 * pages, so to write the same again is no change. Returns 0, EPERM or EIO.
 */
int flags_writing(struct volume *vol, struct vnode *vn, uint64_t offset,
		  const uint8_t *buf, size_t len)
{
	uint64_t size = vnode_size(vn);
	int error = flags_growing(vn);

	if (error != 0 || flags_free(vn) == 0) {
		return error;
	}
	while (error == 0 && len > 0 && offset < size) {
		size_t piece = len < size - offset ? len
						   : (size_t)(size - offset);
		const uint8_t *data;

		error = file_peek(vol, vn, offset, &piece, &data);
		if (error == 0 && memcmp(data, buf, piece) != 0) {
			error = EPERM;
		}
		offset += piece;
		buf += piece;
		len -= piece;
	}
	return error;
}

/**
 * Reads a file's flags, those that FS_IOC_GETFLAGS shows. Returns 0, ESTALE,
 * EIO or ENOMEM.
 */
int volume_get_flags(struct volume *vol, uint32_t ino, uint32_t *flags)
{
	struct vnode *vn;
	int error;

	volume_trim(vol);
	error = vnode_get(vol, ino, &vn);
	if (error == 0) {
		*flags = flags_visible(vn);
	}
	return error;
}

/**
 * Sets a file's flags to those that FS_IOC_SETFLAGS can set; those that it can
 * only read stay as they are. Who may (root, for immutable and append-only; the
 * owner) is the caller's to check. Returns 0, EOPNOTSUPP (neither file nor
 * directory; a flag that no user sees, that means nothing for such a file, or
 * that says how a file is kept), EROFS, ESTALE, EIO or ENOMEM.
 */
int volume_set_flags(struct volume *vol, uint32_t ino, uint32_t flags)
{
	struct vnode *vn;
	int error;

	volume_trim(vol);
	error = vol->dev->read_only ? EROFS : vnode_get(vol, ino, &vn);
	if (error != 0) {
		return error;
	}
	if ((!vnode_is(vn, VOLUME_S_IFREG) && !vnode_is(vn, VOLUME_S_IFDIR)) ||
	    (flags & ~VISIBLE) != 0 || flags_for(vn, flags) != flags ||
	    ((flags ^ vn->in.i_flags) & KEPT) != 0) {
		return EOPNOTSUPP;
	}
	vn->in.i_flags = (flags & SETTABLE) | (vn->in.i_flags & ~SETTABLE);
	vnode_touch(vn, VNODE_CTIME);
	event_attrib(vol, vn);
	return 0;
}
