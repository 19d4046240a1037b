// SPDX-License-Identifier: GPL-2.0-only
/*
 * isthmus: our functions for directories, and how an inode gets ours: as its
 * directory looks it up or makes it, or as its name is met in the cache.
 *
 * A name that is not there need not be asked for:
 *
 * - A file that may be made (O_CREAT), of a name that Linux does not know, is made
 *   at once: the host makes only what is new. If it does not, the name is looked
 *   up after all, and what it says then counts.
 * - A name that was just removed is gone until the host says otherwise, as it
 *   does of any name. An answer that is older than its word is met by what
 *   fuse_notify.c does: the directory is locked here.
 *
 * Process context.
 */
#include <linux/dcache.h>
#include <linux/fcntl.h>
#include <linux/fs.h>

#include "compat_vfs.h"
#include "fuse.h"

/* Fuse's functions for all directories, and those with ours in place of some.
 * Made once; `made` guards that. */
static const struct inode_operations *fuse_dirs;
static struct inode_operations dir_ops;
static DEFINE_SPINLOCK(made);

static struct dentry *lookup(struct inode *dir, struct dentry *entry,
			     unsigned int flags)
{
	struct dentry *found = fuse_dirs->lookup(dir, entry, flags);

	if (!IS_ERR(found)) {
		fuse_name_adopt(d_inode(found ? found : entry));
	}
	return found;
}

/* A file was made, and is open. It has no capabilities, for which the first write
 * would ask. */
static void opened_new(struct file *file)
{
	fuse_name_adopt(file_inode(file));
	fuse_stream_opened(file);
	inode_has_no_xattr(file_inode(file));
}

/* What was taken to be new could not be made: perhaps it is there. Then the VFS opens
 * it, and checks whether the caller may, which it does not for what was made.
 * Nobody else looks the name up meanwhile: the directory's lock is held. */
static int look_first(struct inode *dir, struct dentry *entry,
		      struct file *file, unsigned int flags, umode_t mode)
{
	struct dentry *found;

	file->f_mode &= ~FMODE_CREATED;
	d_drop(entry);
	found = lookup(dir, entry, 0);
	if (IS_ERR(found)) {
		return PTR_ERR(found);
	}
	return found || d_inode(entry) ? finish_no_open(file, found) :
	       fuse_dirs->atomic_open(dir, entry, file, flags, mode);
}

/* Looks a name up, and makes and opens a new file. */
static int atomic_open(struct inode *dir, struct dentry *entry,
		       struct file *file, unsigned int flags, umode_t mode)
{
	bool unknown = (flags & O_CREAT) && d_in_lookup(entry);
	int err;

	if (unknown) {
		/* As a name that is not there, which nobody is to believe. */
		d_add(entry, NULL);
	}
	err = fuse_dirs->atomic_open(dir, entry, file, flags, mode);
	if (err && err != -EEXIST && unknown && !d_inode(entry)) {
		err = look_first(dir, entry, file, flags, mode);
	}
	if (err) {
		return err;
	}
	if (file->f_mode & FMODE_OPENED) {
		/* Whoever met it meanwhile did not believe it, and has dropped
		 * it. What the host dropped is so again (fuse_notify.c). */
		if (d_unhashed(entry)) {
			d_rehash(entry);
		}
		opened_new(file);
	} else {
		fuse_name_adopt(d_inode(file->f_path.dentry ?
					file->f_path.dentry : entry));
	}
	return 0;
}

/* Makes and opens a file without a name. */
static int make_unnamed(compat_idmap *idmap, struct inode *dir,
			struct file *file, umode_t mode)
{
	int err = fuse_dirs->tmpfile(idmap, dir, file, mode);

	if (err == 0) {
		opened_new(file);
	}
	return err;
}

/* The entry stays as a name that is not there, if nobody else has it. Fuse's
 * functions find in it until when it is to be believed. */
static int unlink(struct inode *dir, struct dentry *entry)
{
	int err = fuse_dirs->unlink(dir, entry);

	if (err == 0) {
		entry->d_fsdata = (void *)(get_jiffies_64() +
					   MAX_JIFFY_OFFSET);
	}
	return err;
}

static void adopt_dir(struct inode *dir)
{
	spin_lock(&made);
	if (!fuse_dirs) {
		dir_ops = *dir->i_op;
		dir_ops.lookup = lookup;
		dir_ops.atomic_open = atomic_open;
		dir_ops.tmpfile = make_unnamed;
		dir_ops.unlink = unlink;
		fuse_dirs = dir->i_op;
	}
	spin_unlock(&made);
	WRITE_ONCE(dir->i_op, &dir_ops);
}

/** Has an inode our functions, if it is to have any? Without a reference too:
 * then what it says of one that is being freed means nothing. */
bool fuse_name_adopted(const struct inode *inode)
{
	return S_ISREG(inode->i_mode) ? fuse_stream_adopted(inode) :
	       !S_ISDIR(inode->i_mode) || inode->i_op == &dir_ops;
}

/**
 * Puts our functions into an inode, to which the caller has a reference; NULL: a
 * name that is not there.
 */
void fuse_name_adopt(struct inode *inode)
{
	if (!inode || fuse_name_adopted(inode)) {
		return;
	}
	if (S_ISREG(inode->i_mode)) {
		fuse_stream_adopt(inode);
	} else {
		adopt_dir(inode);
	}
}
