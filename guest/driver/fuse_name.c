// SPDX-License-Identifier: GPL-2.0-only
/*
 * isthmus: our functions for directories, and how an inode gets ours: as its
 * directory looks it up or makes it, or as its name is met in the cache.
 *
 * A name that is not there need not be asked for:
 *
 * - A file that must be new (O_EXCL) is made at once: the host says EEXIST if it
 *   is not. The fuse module looks it up before; that is answered here.
 * - A name that was just removed is gone until the host says otherwise, as it
 *   does of any name. An answer that is older than its word is met by what
 *   fuse_notify.c does: the directory is locked here.
 *
 * Process context.
 */
#include <linux/dcache.h>
#include <linux/fcntl.h>
#include <linux/fs.h>

#include "fuse.h"

#define NEW_NAMES	8u

/* Fuse's functions for all directories, and those with ours in place of some.
 * Made once; `made` guards that. */
static const struct inode_operations *fuse_dirs;
static struct inode_operations dir_ops;
static DEFINE_SPINLOCK(made);

/* Names in dentries that must be new and are being made. */
static const void *new_names[NEW_NAMES];

/** Is this the name, in its dentry, of a file that must be new? */
bool fuse_name_is_new(const void *name)
{
	u32 i;

	for (i = 0; i < NEW_NAMES; i++) {
		if (READ_ONCE(new_names[i]) == name) {
			return true;
		}
	}
	return false;
}

/* A place for the name, if one is free; else it is looked up. */
static const void **new_name(const void *name)
{
	u32 i;

	for (i = 0; i < NEW_NAMES; i++) {
		if (!cmpxchg(&new_names[i], NULL, name)) {
			return &new_names[i];
		}
	}
	return NULL;
}

static struct dentry *lookup(struct inode *dir, struct dentry *entry,
			     unsigned int flags)
{
	struct dentry *found = fuse_dirs->lookup(dir, entry, flags);

	if (!IS_ERR(found)) {
		fuse_name_adopt(d_inode(found ? found : entry));
	}
	return found;
}

/* Looks a name up, and makes and opens a new file. */
static int atomic_open(struct inode *dir, struct dentry *entry,
		       struct file *file, unsigned int flags, umode_t mode)
{
	const void **place = NULL;
	int err;

	if ((flags & O_CREAT) && (flags & O_EXCL) && d_in_lookup(entry)) {
		place = new_name(entry->d_name.name);
	}
	err = fuse_dirs->atomic_open(dir, entry, file, flags, mode);
	if (place) {
		WRITE_ONCE(*place, NULL);
	}
	if (err) {
		return err;
	}
	if (file->f_path.dentry) {
		entry = file->f_path.dentry;
	}
	fuse_name_adopt(d_inode(entry));
	if (file->f_mode & FMODE_OPENED) {
		fuse_stream_opened(file);
	}
	return 0;
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
