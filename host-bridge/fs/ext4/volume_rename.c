/* SPDX-License-Identifier: MIT */
/*
 * Moving a name: everything that may refuse or fail comes first, then the new
 * name is entered and the old one removed, and what the new name meant before
 * is let go. [POSIX "rename()"]
 *
 * What is moved keeps its inode, so fids and holds do not notice. A directory
 * that moves to another one has its ".." changed, and both parents' links.
 */
#include <errno.h>
#include <string.h>

#include "host-bridge/fs/ext4/volume_int.h"

struct rename {
	struct vnode *old_dir, *new_dir;
	struct vnode *vn;		/* what is moved */
	struct vnode *target;		/* what is replaced, or NULL */
	/* Of the two names, and of ".." in what is moved. */
	uint32_t old_place, new_place, up_place;
	bool moves;			/* a directory, to another one */
};

/* Whether dir is, or is below, the directory ino: 0 no, EINVAL yes, EIO or
 * ENOMEM. Else a directory moved into itself would be cut off from the root.
 * More steps up than there are inodes: the tree is damaged, and goes in a
 * circle. */
static int rename_below(struct volume *vol, struct vnode *dir, uint32_t ino)
{
	uint32_t steps = vol->fs->super->s_inodes_count;
	int error = 0;

	for (; error == 0 && dir->ino != ino; steps--) {
		uint32_t place, up;

		if (dir->ino == VOLUME_ROOT) {
			return 0;
		}
		error = dir_find(vol, dir, "..", 2, &place, &up);
		if (error == 0) {
			error = vnode_get_dir(vol, up, &dir);
		}
		if (error != 0 || steps == 0) {
			return EIO;
		}
	}
	return EINVAL;
}

/* Whether the target may be replaced: its type, and emptiness. Returns 0,
 * ENOTDIR, EISDIR, ENOTEMPTY, EIO or ENOMEM. */
static int rename_target(struct volume *vol, const struct rename *r)
{
	bool dir = vnode_is(r->vn, VOLUME_S_IFDIR);
	bool empty;
	int error;

	if (r->target == NULL || r->target == r->vn) {
		return 0;
	}
	if (!vnode_is(r->target, VOLUME_S_IFDIR)) {
		return dir ? ENOTDIR : 0;
	}
	if (!dir) {
		return EISDIR;
	}
	error = dir_empty(vol, r->target, &empty);
	return error != 0 ? error : empty ? 0 : ENOTEMPTY;
}

/* Everything that may refuse, before anything is changed. Finds what is moved,
 * and what is replaced if there is something. */
static int rename_check(struct volume *vol, struct rename *r,
			const char *old_name, size_t old_len,
			const char *new_name, size_t new_len)
{
	int error = name_find(vol, r->old_dir, old_name, old_len,
			      &r->old_place, &r->vn);

	/* Removed but still held: a name in it would never be found again. The
	 * old one has the name, so it is alive. */
	if (error == 0 && r->new_dir->in.i_links_count == 0) {
		error = ENOENT;
	}
	if (error == 0 && vnode_is(r->vn, VOLUME_S_IFDIR)) {
		error = rename_below(vol, r->new_dir, r->vn->ino);
	}
	if (error == 0) {
		error = name_find(vol, r->new_dir, new_name, new_len,
				  &r->new_place, &r->target);
		if (error == ENOENT) {
			r->target = NULL;
			error = 0;
		}
	}
	return error != 0 ? error : rename_target(vol, r);
}

/*
 * Gets hold of every block that will change, and of a link in the new
 * directory for one that moves there: after this nothing can fail.
 */
static int rename_ready(struct volume *vol, struct rename *r, size_t len)
{
	uint32_t up;
	int error = 0;

	r->moves = r->old_dir != r->new_dir && vnode_is(r->vn, VOLUME_S_IFDIR);
	if (r->target == NULL) {
		error = dir_reserve(vol, r->new_dir, len);
	} else if (dir_entry(vol, r->new_dir, r->new_place, true) == NULL) {
		error = EIO;
	}
	if (error == 0 &&
	    dir_entry(vol, r->old_dir, r->old_place, true) == NULL) {
		error = EIO;
	}
	if (error != 0 || !r->moves) {
		return error;
	}
	error = dir_find(vol, r->vn, "..", 2, &r->up_place, &up);
	if (error == 0 && dir_entry(vol, r->vn, r->up_place, true) == NULL) {
		error = EIO;
	}
	return error != 0 ? error : vnode_set_links(vol, r->new_dir, 1);
}

/* The name of the target means another file now: counts its link off, and its
 * parent's if it was a directory; frees it if nobody holds it. */
static void rename_drop_target(struct volume *vol, struct rename *r)
{
	if (r->target == NULL) {
		return;
	}
	if (vnode_is(r->target, VOLUME_S_IFDIR)) {
		vnode_set_links(vol, r->new_dir, -1);
		r->target->in.i_links_count = 0;
	} else {
		vnode_set_links(vol, r->target, -1);
	}
	vnode_touch(r->target, VNODE_CTIME);
	vnode_unref(vol, r->target);
}

/* Tells of the move, and of what has lost its name by it. */
static void rename_report(struct volume *vol, const struct rename *r,
			  const char *old_name, size_t old_len,
			  const char *new_name, size_t new_len)
{
	struct volume_event event = {
		.what = VOLUME_MOVED,
		.is_dir = vnode_is(r->vn, VOLUME_S_IFDIR),
		.ino = r->vn->ino,
		.dir = r->old_dir->ino, .name = old_name, .len = old_len,
		.new_dir = r->new_dir->ino, .new_name = new_name,
		.new_len = new_len,
		.victim = r->target != NULL ? r->target->ino : 0,
	};

	event_send(vol, &event);
	if (r->target != NULL) {
		event_attrib(vol, r->target);
	}
}

/* Between the two changes what is moved has two names, and its links are not
 * counted for it: nobody looks in between. */
static int rename_do(struct volume *vol, struct rename *r,
		     const char *old_name, size_t old_len,
		     const char *new_name, size_t new_len)
{
	int error = rename_check(vol, r, old_name, old_len, new_name, new_len);

	/* Two names of one file: nothing is done, as POSIX says. */
	if (error != 0 || r->target == r->vn) {
		return error;
	}
	error = rename_ready(vol, r, new_len);
	if (error != 0) {
		return error;
	}
	if (r->target == NULL) {
		dir_insert(vol, r->new_dir, new_name, new_len, r->vn->ino,
			   r->vn->in.i_mode);
	} else {
		dir_replace(vol, r->new_dir, r->new_place, r->vn->ino,
			    r->vn->in.i_mode);
	}
	dir_remove(vol, r->old_dir, r->old_place);
	if (r->moves) {
		dir_replace(vol, r->vn, r->up_place, r->new_dir->ino,
			    VOLUME_S_IFDIR);
		vnode_set_links(vol, r->old_dir, -1);
	}
	vnode_touch(r->vn, VNODE_CTIME);
	rename_drop_target(vol, r);
	rename_report(vol, r, old_name, old_len, new_name, new_len);
	return 0;
}

/**
 * Moves a name, over what the new name meant before if that is of the same
 * kind. Two names of one file stay as they are. Returns 0, ENOENT, EINVAL (a
 * directory into itself; not a name), EBUSY ("." or ".."), ENOTEMPTY, EISDIR,
 * ENOTDIR, ENAMETOOLONG, EMLINK, ENOSPC, EROFS, ESTALE, EIO or ENOMEM.
 */
int volume_rename(struct volume *vol, uint32_t old_dir, const char *old_name,
		  size_t old_len, uint32_t new_dir, const char *new_name,
		  size_t new_len, unsigned flags)
{
	struct rename r = { 0 };
	int error = flags != 0 ? EINVAL : name_check(old_name, old_len);

	if (error == 0) {
		error = name_check(new_name, new_len);
	}
	/* They are the tree's own, no names to be moved. */
	if (error == 0 && (name_is_dots(old_name, old_len) ||
			   name_is_dots(new_name, new_len))) {
		error = EBUSY;
	}
	if (error == 0 && vol->dev->read_only) {
		error = EROFS;
	}
	if (error != 0) {
		return error;
	}
	volume_trim(vol);
	error = vnode_get_dir(vol, old_dir, &r.old_dir);
	if (error == 0) {
		error = vnode_get_dir(vol, new_dir, &r.new_dir);
	}
	return error != 0 ? error
			  : rename_do(vol, &r, old_name, old_len, new_name,
				      new_len);
}
