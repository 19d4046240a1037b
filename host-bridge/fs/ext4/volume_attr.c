/* SPDX-License-Identifier: MIT */
/*
 * A file's attributes: mode, owner, size, times, and how an inode holds them.
 * What an inode of the device says may be anything and is shown in bounds.
 */
#include <errno.h>
#include <string.h>

#include "host-bridge/fs/ext4/volume_int.h"

#define NS_PER_S	1000000000u
/* Older inodes have less behind the first 128 bytes. */
#define EXTRA_TIMES	24u	/* i_extra_isize that covers crtime_extra */
#define TIME_MIN	((int64_t)INT32_MIN)
#define TIME_MAX	(TIME_MIN + (1ll << 34) - 1)

/* A time as an inode has it: 32 bits of seconds, and beside them 30 bits of
 * nanoseconds and 2 more of seconds, if the inode has room for these. Good from
 * 1901 to 2446, else to 2038.
 * [Linux "Documentation/filesystems/ext4/inodes.rst: Inode Timestamps"] */
static void time_put(uint32_t *sec, uint32_t *extra, struct volume_time time)
{
	int64_t last = extra != NULL ? TIME_MAX : INT32_MAX;
	int64_t s = time.sec < TIME_MIN ? TIME_MIN
		    : time.sec > last ? last : time.sec;

	/* At either end without nanoseconds, as Linux does it. */
	if (s == TIME_MIN || s == last) {
		time.nsec = 0;
	}
	*sec = (uint32_t)s;
	if (extra != NULL) {
		/* The bits above the 32 signed ones of the seconds. */
		uint32_t epoch = (uint32_t)((s - (int32_t)s) >> 32) & 3;

		*extra = time.nsec << 2 | epoch;
	}
}

/* The same way back; extra is 0 for an inode without. */
static struct volume_time time_take(uint32_t sec, uint32_t extra)
{
	uint32_t nsec = extra >> 2;

	return (struct volume_time){
		.sec = (int64_t)(int32_t)sec + ((int64_t)(extra & 3) << 32),
		/* 30 bits can hold more than there are in a second. */
		.nsec = nsec < NS_PER_S ? nsec : NS_PER_S - 1,
	};
}

/**
 * Sets times of a file, those that which names (VNODE_*). What an inode has no
 * room for becomes the nearest that it has.
 */
void vnode_set_times(struct vnode *vn, unsigned which, struct volume_time time)
{
	struct ext2_inode_large *in = &vn->in;
	bool extra = in->i_extra_isize >= EXTRA_TIMES;

	if ((which & VNODE_ATIME) != 0) {
		time_put(&in->i_atime, extra ? &in->i_atime_extra : NULL,
			 time);
	}
	if ((which & VNODE_MTIME) != 0) {
		time_put(&in->i_mtime, extra ? &in->i_mtime_extra : NULL,
			 time);
	}
	if ((which & VNODE_CTIME) != 0) {
		time_put(&in->i_ctime, extra ? &in->i_ctime_extra : NULL,
			 time);
	}
	if ((which & VNODE_BTIME) != 0 && extra) {
		time_put(&in->i_crtime, &in->i_crtime_extra, time);
	}
	vn->dirty = true;
}

/** Sets those times of a file to now. */
void vnode_touch(struct vnode *vn, unsigned which)
{
	vnode_set_times(vn, which, volume_now());
}

/** The file was written to: its times, unless nobody wants them so exactly. What was
 * written is in the running transaction in any case. */
void vnode_touch_written(const struct volume *vol, struct vnode *vn)
{
	struct volume_time now = volume_now();

	if (!vn->rarely || vn->dirty || vn->tree_dirty ||
	    (uint32_t)now.sec != vn->in.i_mtime) {
		vnode_set_times(vn, VNODE_MTIME | VNODE_CTIME, now);
	}
	vn->round = vol->dev->running;
}

/**
 * Reads the times of a file into attr; the time of birth is 0 where the inode
 * has no room for it.
 */
void vnode_times(const struct vnode *vn, struct volume_attr *attr)
{
	const struct ext2_inode_large *in = &vn->in;
	bool extra = in->i_extra_isize >= EXTRA_TIMES;

	attr->atime = time_take(in->i_atime, extra ? in->i_atime_extra : 0);
	attr->mtime = time_take(in->i_mtime, extra ? in->i_mtime_extra : 0);
	attr->ctime = time_take(in->i_ctime, extra ? in->i_ctime_extra : 0);
	attr->btime = extra ? time_take(in->i_crtime, in->i_crtime_extra)
			    : (struct volume_time){ 0 };
}

/* A device's numbers: ext4 has an old form for small ones and a new one, of
 * which only one is not 0. [Linux "fs/ext4/inode.c: __ext4_iget"] */
static void attr_rdev(const struct vnode *vn, struct volume_attr *attr)
{
	uint32_t old = vn->in.i_block[0];
	uint32_t new = vn->in.i_block[1];

	if (!vnode_is(vn, VOLUME_S_IFCHR) && !vnode_is(vn, VOLUME_S_IFBLK)) {
		attr->rdev_major = attr->rdev_minor = 0;
	} else if (old != 0) {
		attr->rdev_major = old >> 8 & 0xff;
		attr->rdev_minor = old & 0xff;
	} else {
		attr->rdev_major = new >> 8 & 0xfff;
		attr->rdev_minor = (new & 0xff) | (new >> 12 & 0xfff00);
	}
}

/**
 * Reads a file's attributes, all fields; a size and block count are as of now,
 * not as flushed last. Returns 0, ESTALE, EIO or ENOMEM; then attr is
 * unchanged.
 */
int volume_getattr(struct volume *vol, uint32_t ino, struct volume_attr *attr)
{
	struct vnode *vn;
	int error;

	volume_trim(vol);
	error = vnode_get(vol, ino, &vn);
	if (error != 0) {
		return error;
	}
	attr->ino = ino;
	attr->mode = vn->in.i_mode;
	attr->uid = inode_uid(vn->in);
	attr->gid = inode_gid(vn->in);
	attr->nlink = vn->in.i_links_count;
	attr->gen = vn->in.i_generation;
	attr->flags = flags_visible(vn);
	attr->size = vnode_size(vn);
	attr->blocks = ext2fs_get_stat_i_blocks(vol->fs, &vn->in_small);
	vnode_times(vn, attr);
	attr_rdev(vn, attr);
	return 0;
}

/* Owner and permission bits; the type cannot change. Ids have 32 bits in two
 * halves. */
static void setattr_owner(struct vnode *vn, unsigned what,
			  const struct volume_attr *attr)
{
	if ((what & VOLUME_SET_UID) != 0) {
		vn->in.i_uid = (uint16_t)attr->uid;
		ext2fs_set_i_uid_high(vn->in, attr->uid >> 16);
	}
	if ((what & VOLUME_SET_GID) != 0) {
		vn->in.i_gid = (uint16_t)attr->gid;
		ext2fs_set_i_gid_high(vn->in, attr->gid >> 16);
	}
	if ((what & VOLUME_SET_MODE) != 0) {
		vn->in.i_mode = (uint16_t)((vn->in.i_mode & VOLUME_S_IFMT) |
					   (attr->mode & 07777));
	}
	/* Whoever runs it would get rights for another content, or another
	 * owner. [Linux "fs/attr.c: setattr_should_drop_suidgid"] */
	if ((what & VOLUME_SET_KILL_PRIV) != 0 &&
	    !vnode_is(vn, VOLUME_S_IFDIR)) {
		vn->in.i_mode &= (uint16_t)~LINUX_S_ISUID;
		if ((vn->in.i_mode & LINUX_S_IXGRP) != 0 ||
		    (what & VOLUME_SET_KILL_SGID) != 0) {
			vn->in.i_mode &= (uint16_t)~LINUX_S_ISGID;
		}
	}
}

/* What can fail of a change; each part of it changes nothing when it does. */
static int setattr_try(struct volume *vol, struct vnode *vn, unsigned what,
		       const struct volume_attr *attr)
{
	unsigned grows = VOLUME_SET_ATIME | VOLUME_SET_MTIME |
			 VOLUME_SET_CTIME | VOLUME_SET_KILL_PRIV |
			 VOLUME_SET_KILL_SGID;
	/* Times of an append-only file change when it grows, and privileges
	 * end. */
	int error = (what & ~grows) != 0 ? flags_free(vn) : flags_growing(vn);

	if (error == 0 &&
	    (what & (VOLUME_SET_MODE | VOLUME_SET_KILL_PRIV)) != 0) {
		error = xattr_ready(vol, vn, false);
	}
	if (error != 0) {
		return error;
	}
	if ((what & VOLUME_SET_SIZE) != 0) {
		error = file_resize(vol, vn, attr->size);
	}
	if (error == 0 && (what & VOLUME_SET_MODE) != 0) {
		error = acl_chmod(vol, vn, attr->mode);
	}
	if (error == 0 && (what & VOLUME_SET_KILL_PRIV) != 0 &&
	    vnode_is(vn, VOLUME_S_IFREG)) {
		error = xattr_write(vol, vn, "security.capability", NULL, 0,
				    0);
	}
	return error;
}

/* The times of a change; that of the change itself becomes now unless it is
 * given. */
static void setattr_times(struct vnode *vn, unsigned what,
			  const struct volume_attr *attr)
{
	struct volume_time now = volume_now();

	if ((what & VOLUME_SET_SIZE) != 0) {
		vnode_set_times(vn, VNODE_MTIME, now);
	}
	if ((what & VOLUME_SET_ATIME) != 0) {
		vnode_set_times(vn, VNODE_ATIME, attr->atime);
	}
	if ((what & VOLUME_SET_MTIME) != 0) {
		vnode_set_times(vn, VNODE_MTIME, attr->mtime);
	}
	vnode_set_times(vn, VNODE_CTIME,
			(what & VOLUME_SET_CTIME) != 0 ? attr->ctime : now);
}

/**
 * Changes what says (VOLUME_SET_*), all of it or nothing (after EIO, ENOSPC or
 * ENOMEM the size may be set and no more); the change time becomes now unless it
 * is given. Without bits only that. An access ACL follows the mode. Returns 0,
 * EISDIR or EINVAL (size of what has none), EFBIG, EOPNOTSUPP (size of a file
 * with block maps), EPERM (immutable; append-only, but for what
 * changes as it grows: times, privileges), EROFS, ESTALE,
 * ENOSPC, EIO or ENOMEM.
 */
int volume_setattr(struct volume *vol, uint32_t ino, unsigned what,
		   const struct volume_attr *attr)
{
	struct vnode *vn;
	uint64_t size = 0;
	int error;

	volume_trim(vol);
	error = vol->dev->read_only ? EROFS : vnode_get(vol, ino, &vn);
	if (error == 0) {
		size = vnode_size(vn);
		error = setattr_try(vol, vn, what, attr);
		if (error != 0 && size != vnode_size(vn)) {
			event_modified(vol, vn, 0, VOLUME_TO_END);
		}
	}
	if (error != 0) {
		return error;
	}
	setattr_owner(vn, what, attr);
	setattr_times(vn, what, attr);
	if ((what & VOLUME_SET_SIZE) != 0) {
		event_modified(vol, vn, size < attr->size ? size : attr->size,
			       VOLUME_TO_END);
	}
	if ((what & ~VOLUME_SET_SIZE) != 0 || what == 0) {
		event_attrib(vol, vn);
	}
	return 0;
}
