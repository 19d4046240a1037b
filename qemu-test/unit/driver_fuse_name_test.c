// SPDX-License-Identifier: MIT
/*
 * Directories of FUSE mounts in a fake kernel: how inodes get the driver's
 * functions, and names that the host is not asked for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "driver_fuse.h"

static struct fuse_inode fi, dir_fi;
static struct file file;
static struct dentry name, other;
static struct inode *there;	/* what the host has of the name */

/* What the fuse module does: whether it opens, and its answers, the first to who
 * makes what was not looked up. */
static bool opens, dropped;
static int answer, first_answer;
static u32 lookups, creates;

static struct dentry *fuse_lookup(struct inode *dir, struct dentry *entry,
				  unsigned int flags)
{
	lookups++;
	if (flags) {
		return ERR_PTR(-EIO);
	}
	if (other.d_inode) {
		return &other;
	}
	d_add(entry, there);
	return NULL;
}

/* The host makes what is not there. */
static int fuse_atomic_open(struct inode *dir, struct dentry *entry,
			    struct file *f, unsigned int flags, umode_t mode)
{
	int err = lookups == 0 ? first_answer : answer;

	if (d_in_lookup(entry)) {
		fuse_lookup(dir, entry, 0);
	}
	if (!(flags & O_CREAT) || entry->d_inode) {
		return finish_no_open(f, NULL);
	}
	assert_true(entry->hashed && entry->d_fsdata == NULL);
	creates++;
	/* By another process that looks for the name, or by the host. */
	entry->hashed = !dropped;
	f->f_mode |= FMODE_CREATED;
	if (err == 0) {
		entry->d_inode = &fi.inode;
		f->f_mode |= opens ? FMODE_OPENED : 0;
		f->f_path.dentry = opens ? entry : NULL;
		f->f_inode = opens ? &fi.inode : NULL;
		f->f_op = opens ? fi.inode.i_fop : NULL;
	}
	return err;
}

static int fuse_tmpfile(struct mnt_idmap *idmap, struct inode *dir,
			struct file *f, umode_t mode)
{
	f->f_inode = &fi.inode;
	f->f_op = fi.inode.i_fop;
	return answer;
}

static int fuse_unlink(struct inode *dir, struct dentry *entry)
{
	entry->d_fsdata = NULL;
	return answer;
}

static const struct file_operations fuse_files;
static const struct address_space_operations fuse_pages;
static struct address_space mapping;
static const struct inode_operations fuse_dirs = {
	fuse_lookup, fuse_atomic_open, fuse_tmpfile, fuse_unlink,
};

/* A name that Linux does not know. */
static void unknown(void)
{
	name = (struct dentry){ .in_lookup = true };
	file = (struct file){ 0 };
	lookups = creates = 0;
}

static const struct inode_operations *begin(void)
{
	start();
	fi = (struct fuse_inode){ .inode = {
		.nodeid = 7, .i_mode = 0100644, .i_fop = &fuse_files,
		.i_mapping = &mapping,
	} };
	mapping = (struct address_space){ .a_ops = &fuse_pages };
	dir_fi = (struct fuse_inode){ .inode = {
		.nodeid = 3, .i_mode = S_IFDIR | 0755, .i_op = &fuse_dirs,
	} };
	there = &fi.inode;
	other = (struct dentry){ 0 };
	opens = true;
	answer = first_answer = 0;
	unknown();
	assert_false(fuse_name_adopted(&dir_fi.inode));
	fuse_name_adopt(&dir_fi.inode);
	assert_true(fuse_name_adopted(&dir_fi.inode));
	return dir_fi.inode.i_op;
}

/* Each way in which an inode comes. */
static void test_adopt(void **state)
{
	const struct inode_operations *ops = begin();
	const struct file_operations *ours;

	(void)state;
	fuse_name_adopt(NULL);
	/* Looked up: this name's inode, none, another name's; an error. */
	assert_false(fuse_name_adopted(&fi.inode));
	assert_null(ops->lookup(&dir_fi.inode, &name, 0));
	ours = fi.inode.i_fop;
	assert_ptr_not_equal(ours, &fuse_files);
	assert_ptr_not_equal(mapping.a_ops, &fuse_pages);
	assert_true(fuse_name_adopted(&fi.inode));
	fi.inode.i_fop = &fuse_files;
	there = NULL;
	unknown();
	assert_null(ops->lookup(&dir_fi.inode, &name, 0));
	other.d_inode = &fi.inode;
	unknown();
	assert_ptr_equal(ops->lookup(&dir_fi.inode, &name, 0), &other);
	assert_ptr_equal(fi.inode.i_fop, ours);
	other.d_inode = NULL;
	assert_true(IS_ERR(ops->lookup(&dir_fi.inode, &name, 1)));
	/* Made and opened; made only; found; an error. */
	fi.inode.i_fop = &fuse_files;
	unknown();
	assert_int_equal(ops->atomic_open(&dir_fi.inode, &name, &file, O_CREAT,
					  0), 0);
	assert_ptr_equal(fi.inode.i_fop, ours);
	assert_ptr_equal(file.f_op, ours);
	opens = false;
	fi.inode.i_fop = &fuse_files;
	unknown();
	assert_int_equal(ops->atomic_open(&dir_fi.inode, &name, &file, O_CREAT,
					  0), 0);
	assert_ptr_equal(fi.inode.i_fop, ours);
	assert_null(file.f_op);
	there = &fi.inode;
	fi.inode.i_fop = &fuse_files;
	unknown();
	assert_int_equal(ops->atomic_open(&dir_fi.inode, &name, &file, 0, 0),
			 0);
	assert_ptr_equal(fi.inode.i_fop, ours);
	assert_int_equal(file.f_mode, 0);
	/* Without a name; or not made. */
	fi.inode.i_fop = &fuse_files;
	fi.inode.i_flags = 0;
	answer = -ENOSPC;
	assert_int_equal(ops->tmpfile(NULL, &dir_fi.inode, &file, 0), -ENOSPC);
	assert_ptr_equal(file.f_op, &fuse_files);
	answer = 0;
	assert_int_equal(ops->tmpfile(NULL, &dir_fi.inode, &file, 0), 0);
	assert_ptr_equal(fi.inode.i_fop, ours);
	assert_ptr_equal(file.f_op, ours);
	assert_int_equal(fi.inode.i_flags, S_NOSEC);
	/* Links and the like are left alone. */
	fi.inode.i_mode = 0120777;
	assert_true(fuse_name_adopted(&fi.inode));
	stop();
}

/* A file that may be made is not looked up, if Linux does not know its name. */
static void test_new(void **state)
{
	const struct inode_operations *ops = begin();
	unsigned int both = O_CREAT | O_EXCL;

	(void)state;
	there = NULL;
	for (u32 i = 0; i < 4; i++) {
		unknown();
		dropped = i / 2;
		assert_int_equal(ops->atomic_open(&dir_fi.inode, &name, &file,
						  i % 2 ? both : O_CREAT, 0),
				 0);
		assert_true(name.hashed);
		assert_int_equal(lookups, 0);
		assert_int_equal(creates, 1);
		assert_int_equal(file.f_mode, FMODE_CREATED | FMODE_OPENED);
		assert_int_equal(fi.inode.i_flags, S_NOSEC);
	}
	dropped = false;
	unknown();
	ops->atomic_open(&dir_fi.inode, &name, &file, O_EXCL, 0);
	assert_int_equal(lookups, 1);
	/* It is known that there is none: nothing is asked twice. */
	first_answer = -EIO;
	unknown();
	d_add(&name, NULL);
	assert_int_equal(ops->atomic_open(&dir_fi.inode, &name, &file, both,
					  0), -EIO);
	assert_int_equal(lookups, 0);
	/* EEXIST says it all. */
	first_answer = -EEXIST;
	unknown();
	assert_int_equal(ops->atomic_open(&dir_fi.inode, &name, &file, both,
					  0), -EEXIST);
	assert_int_equal(lookups, 0);
	stop();
}

/* If the host does not make it, for whatever reason, it is looked up. What is
 * there is not made, nor opened unchecked. */
static void test_not_new(void **state)
{
	static const int errors[] = { -ESTALE, -EROFS, -EPERM, -ENOSPC };
	const struct inode_operations *ops = begin();

	(void)state;
	for (u32 i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		first_answer = errors[i];
		there = &fi.inode;
		there->i_flags = 0;
		unknown();
		assert_int_equal(ops->atomic_open(&dir_fi.inode, &name, &file,
						  O_CREAT, 0), 0);
		assert_int_equal(lookups, 1);
		assert_int_equal(creates, 1);
		assert_int_equal(file.f_mode, 0);
		assert_null(file.f_path.dentry);
		assert_ptr_equal(name.d_inode, there);
		assert_true(fuse_name_adopted(there));
		assert_int_equal(there->i_flags, 0);
		/* A directory's one dentry, in place of this. */
		other.d_inode = &dir_fi.inode;
		unknown();
		assert_int_equal(ops->atomic_open(&dir_fi.inode, &name, &file,
						  O_CREAT, 0), 0);
		assert_ptr_equal(file.f_path.dentry, &other);
		assert_int_equal(file.f_mode, 0);
		other.d_inode = NULL;
		/* Gone by then: it is made. Or cannot be, indeed. */
		there = NULL;
		answer = i % 2 ? errors[i] : 0;
		unknown();
		assert_int_equal(ops->atomic_open(&dir_fi.inode, &name, &file,
						  O_CREAT, 0), answer);
		assert_int_equal(lookups, 1);
		assert_int_equal(creates, 2);
	}
	stop();
}

/* What was removed is not there, for long. */
static void test_unlink(void **state)
{
	const struct inode_operations *ops = begin();

	(void)state;
	assert_int_equal(ops->unlink(&dir_fi.inode, &name), 0);
	assert_true((u64)name.d_fsdata > get_jiffies_64() + (1ul << 50));
	answer = -ENOENT;
	assert_int_equal(ops->unlink(&dir_fi.inode, &name), -ENOENT);
	assert_null(name.d_fsdata);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_adopt),
		cmocka_unit_test(test_new),
		cmocka_unit_test(test_not_new),
		cmocka_unit_test(test_unlink),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
