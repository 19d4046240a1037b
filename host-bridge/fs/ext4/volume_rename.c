/* SPDX-License-Identifier: MIT */
/*
 * Moving a name: everything that may refuse or fail comes first, then the new
 * name is entered and the old one removed, and what the new name meant before
 * is let go; or both names change what they mean. [POSIX "rename()"]
 * [Linux man-pages "rename(2)": renameat2]
 *
 * What is moved keeps its inode, so nodes and holds do not notice. A directory
 * that moves to another one has its ".." changed, and both parents' links.
 */
#include <errno.h>
#include <string.h>

#include "host-bridge/fs/ext4/volume_int.h"

struct rename {
	unsigned flags;			/* VOLUME_RENAME_* */
	struct vnode *old_dir, *new_dir;
	struct vnode *vn;		/* what is moved */
	struct vnode *target;		/* what is replaced, or NULL */
	struct vnode *whiteout;		/* what takes the old name, or NULL */
	/* Of the two names, and of ".." in the directories that move. */
	uint32_t old_place, new_place, up_place, target_up_place;
	bool moves, target_moves;	/* a directory, to another one */
	int new_links;			/* what new_dir gets, old_dir loses */
};

/* Whether dir is, or is below, the directory ino: 0 no, EINVAL yes, EAGAIN, EIO
 * or ENOMEM. Else a directory moved into itself would be cut off from the root.
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
		if (error == EAGAIN || error == ENOMEM) {
			return error;
		}
		if (error != 0 || steps == 0) {
			return EIO;
		}
	}
	return EINVAL;
}

/* Whether the target may be replaced: its type, and emptiness. Returns 0,
 * ENOTDIR, EISDIR, ENOTEMPTY, EAGAIN, EIO or ENOMEM. */
static int rename_target(struct volume *vol, const struct rename *r)
{
	bool dir = vnode_is(r->vn, VOLUME_S_IFDIR);
	bool empty;
	int error;

	if (r->target == NULL || r->target == r->vn) {
		return 0;
	}
	if (!vnode_is(r->target, VOLUME_S_IFDIR)) {
		return dir ? ENOTDIR : vnode_free_ready(vol, r->target);
	}
	if (!dir) {
		return EISDIR;
	}
	error = dir_empty(vol, r->target, &empty);
	if (error == 0 && !empty) {
		error = ENOTEMPTY;
	}
	return error != 0 ? error : vnode_free_ready(vol, r->target);
}

/* What the flags say of the target that is there or not. */
static int rename_flags(const struct rename *r)
{
	if ((r->flags & VOLUME_RENAME_NOREPLACE) != 0 && r->target != NULL) {
		return EEXIST;
	}
	if ((r->flags & VOLUME_RENAME_EXCHANGE) != 0 && r->target == NULL) {
		return ENOENT;
	}
	return 0;
}

/* Whether what is immutable or append-only stands in the way. */
static int rename_may(const struct rename *r)
{
	int error = name_loose(r->old_dir, r->vn);

	if (error != 0) {
		return error;
	}
	return r->target != NULL ? name_loose(r->new_dir, r->target)
				 : flags_growing(r->new_dir);
}

/* Everything that may refuse, before anything is changed. Finds what is moved,
 * and what is replaced if there is something. */
static int rename_check(struct volume *vol, struct rename *r,
			const char *old_name, size_t old_len,
			const char *new_name, size_t new_len)
{
	bool exchange = (r->flags & VOLUME_RENAME_EXCHANGE) != 0;
	int error = name_find(vol, r->old_dir, old_name, old_len,
			      &r->old_place, &r->vn);

	/* Removed but still held: a name in it would never be found again. The
	 * old one has the name, so it is alive. */
	if (error == 0 && r->new_dir->in.i_links_count == 0) {
		error = ENOENT;
	}
	if (error == 0) {
		error = name_find(vol, r->new_dir, new_name, new_len,
				  &r->new_place, &r->target);
		if (error == ENOENT) {
			r->target = NULL;
			error = 0;
		}
	}
	if (error == 0) {
		error = rename_flags(r);
	}
	if (error == 0 && r->target != r->vn) {
		error = rename_may(r);
	}
	if (error == 0 && vnode_is(r->vn, VOLUME_S_IFDIR)) {
		error = rename_below(vol, r->new_dir, r->vn->ino);
	}
	if (error == 0 && exchange && vnode_is(r->target, VOLUME_S_IFDIR)) {
		error = rename_below(vol, r->old_dir, r->target->ino);
	}
	return error != 0 || exchange ? error : rename_target(vol, r);
}

/* Gets hold of the ".." of a directory that moves. */
static int rename_ready_up(struct volume *vol, struct vnode *dir,
			   uint32_t *place)
{
	uint32_t up;
	int error = dir_find(vol, dir, "..", 2, place, &up);

	if (error == 0 && dir_entry(vol, dir, *place, true) == NULL) {
		error = poke_error(vol);
	}
	return error;
}

/* A device without number, which union file systems take for "nothing is here":
 * it has no name yet. */
static int rename_whiteout(struct volume *vol, struct rename *r)
{
	static const struct volume_make make = { .mode = VOLUME_S_IFCHR };

	return vnode_new(vol, r->old_dir, &make, &r->whiteout);
}

/*
 * Gets hold of every block that will change, of the whiteout, and of a link in
 * the directory that gets one: after this nothing can fail.
 */
static int rename_ready(struct volume *vol, struct rename *r,
			const char *name, size_t len)
{
	bool exchange = (r->flags & VOLUME_RENAME_EXCHANGE) != 0;
	bool other = r->old_dir != r->new_dir;
	int error = 0;

	r->moves = other && vnode_is(r->vn, VOLUME_S_IFDIR);
	r->target_moves = other && exchange &&
			  vnode_is(r->target, VOLUME_S_IFDIR);
	r->new_links = (int)r->moves - (int)r->target_moves;
	if (dir_entry(vol, r->old_dir, r->old_place, true) == NULL) {
		error = poke_error(vol);
	}
	if (error == 0 && r->moves) {
		error = rename_ready_up(vol, r->vn, &r->up_place);
	}
	if (error == 0 && r->target_moves) {
		error = rename_ready_up(vol, r->target, &r->target_up_place);
	}
	if (error == 0 && (r->flags & VOLUME_RENAME_WHITEOUT) != 0) {
		error = alloc_inode_ready(vol, r->old_dir->ino);
	}
	/* From here on there is something to see. */
	if (error == 0 && r->target == NULL) {
		error = dir_reserve(vol, r->new_dir, name, len);
	} else if (error == 0 &&
		   dir_entry(vol, r->new_dir, r->new_place, true) == NULL) {
		error = poke_error(vol);
	}
	if (error == 0 && r->new_links != 0) {
		error = vnode_set_links(vol, r->new_links > 0 ? r->new_dir
							      : r->old_dir, 1);
	}
	if (error == 0 && (r->flags & VOLUME_RENAME_WHITEOUT) != 0) {
		error = rename_whiteout(vol, r);
		if (error != 0 && r->new_links != 0) {
			vnode_set_links(vol, r->new_dir, -1);
		}
	}
	return error;
}

/* The name of the target means another file now: counts its link off, and its
 * parent's if it was a directory; frees it if nobody holds it. */
static void rename_drop_target(struct volume *vol, struct rename *r)
{
	if (vnode_is(r->target, VOLUME_S_IFDIR)) {
		vnode_set_links(vol, r->new_dir, -1);
		r->target->in.i_links_count = 0;
	} else {
		vnode_set_links(vol, r->target, -1);
	}
	vnode_touch(r->target, VNODE_CTIME);
	vnode_unref(vol, r->target);
}

/* The old name goes, or means what takes its place. */
static void rename_old_name(struct volume *vol, struct rename *r)
{
	struct vnode *vn = (r->flags & VOLUME_RENAME_EXCHANGE) != 0
			   ? r->target : r->whiteout;

	if (vn == NULL) {
		dir_remove(vol, r->old_dir, r->old_place);
	} else {
		dir_replace(vol, r->old_dir, r->old_place, vn->ino,
			    vn->in.i_mode);
	}
}

/* Tells of the move, and of what has lost its name by it. */
static void rename_report(struct volume *vol, const struct rename *r,
			  const char *old_name, size_t old_len,
			  const char *new_name, size_t new_len)
{
	bool exchange = (r->flags & VOLUME_RENAME_EXCHANGE) != 0;
	struct volume_event event = {
		.what = VOLUME_MOVED, .exchanged = exchange,
		.is_dir = vnode_is(r->vn, VOLUME_S_IFDIR),
		.ino = r->vn->ino,
		.dir = r->old_dir->ino, .name = old_name, .len = old_len,
		.new_dir = r->new_dir->ino, .new_name = new_name,
		.new_len = new_len,
		.victim = r->target != NULL && !exchange ? r->target->ino : 0,
	};

	event_send(vol, &event);
	if (exchange) {
		event = (struct volume_event){
			.what = VOLUME_MOVED, .exchanged = true,
			.is_dir = vnode_is(r->target, VOLUME_S_IFDIR),
			.ino = r->target->ino,
			.dir = r->new_dir->ino, .name = new_name,
			.len = new_len,
			.new_dir = r->old_dir->ino, .new_name = old_name,
			.new_len = old_len,
		};
		event_send(vol, &event);
	} else if (r->target != NULL) {
		event_attrib(vol, r->target);
	}
	if (r->whiteout != NULL) {
		event_name(vol, VOLUME_CREATED, r->old_dir, old_name, old_len,
			   r->whiteout);
	}
}

/* Between the changes what is moved has two names, and its links are not
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
	error = rename_ready(vol, r, new_name, new_len);
	if (error != 0) {
		return error;
	}
	if (r->target == NULL) {
		uint32_t ino;

		/* Making room in a hash tree may have moved it. */
		if (r->old_dir == r->new_dir &&
		    (r->old_dir->in.i_flags & EXT2_INDEX_FL) != 0) {
			dir_find(vol, r->old_dir, old_name, old_len,
				 &r->old_place, &ino);
		}
		dir_insert(vol, r->new_dir, new_name, new_len, r->vn->ino,
			   r->vn->in.i_mode);
	} else {
		dir_replace(vol, r->new_dir, r->new_place, r->vn->ino,
			    r->vn->in.i_mode);
	}
	rename_old_name(vol, r);
	if (r->moves) {
		dir_replace(vol, r->vn, r->up_place, r->new_dir->ino,
			    VOLUME_S_IFDIR);
	}
	if (r->target_moves) {
		dir_replace(vol, r->target, r->target_up_place,
			    r->old_dir->ino, VOLUME_S_IFDIR);
	}
	if (r->new_links != 0) {
		vnode_set_links(vol, r->new_links > 0 ? r->old_dir
						      : r->new_dir, -1);
	}
	vnode_touch(r->vn, VNODE_CTIME);
	if ((r->flags & VOLUME_RENAME_EXCHANGE) != 0) {
		vnode_touch(r->target, VNODE_CTIME);
	} else if (r->target != NULL) {
		rename_drop_target(vol, r);
	}
	rename_report(vol, r, old_name, old_len, new_name, new_len);
	return 0;
}

/* Only combinations that Linux has. */
static bool rename_flags_good(unsigned flags)
{
	unsigned all = VOLUME_RENAME_NOREPLACE | VOLUME_RENAME_EXCHANGE |
		       VOLUME_RENAME_WHITEOUT;

	return (flags & ~all) == 0 &&
	       ((flags & VOLUME_RENAME_EXCHANGE) == 0 ||
		flags == VOLUME_RENAME_EXCHANGE);
}

/**
 * Moves a name, over what the new name meant before if that is of the same
 * kind. Two names of one file stay as they are. By flags (VOLUME_RENAME_*) not
 * over anything; or what both names mean, of any kinds, changes places; or the
 * old name becomes a whiteout, a device without number. Returns 0, ENOENT,
 * EEXIST, EINVAL (a directory into itself; not a name; flags that do not go
 * together), EBUSY ("." or ".."), EPERM (immutable; append-only), ENOTEMPTY,
 * EISDIR, ENOTDIR, ENAMETOOLONG, EMLINK, ENOSPC, EROFS, ESTALE, EIO or ENOMEM.
 */
int volume_rename(struct volume *vol, uint32_t old_dir, const char *old_name,
		  size_t old_len, uint32_t new_dir, const char *new_name,
		  size_t new_len, unsigned flags)
{
	struct rename r = { .flags = flags };
	int error = rename_flags_good(flags) ? name_check(old_name, old_len)
					     : EINVAL;

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
