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

/* What the fuse module does: whether it opens, and its answer. */
static bool opens;
static int answer;
static bool asked;		/* the LOOKUP went to the host */

static struct dentry *fuse_lookup(struct inode *dir, struct dentry *entry,
				  unsigned int flags)
{
	return flags ? ERR_PTR(-EIO) : other.d_inode ? &other : NULL;
}

/* Is a LOOKUP of this dentry's name answered by the driver? */
static bool is_answered_here(const struct dentry *entry)
{
	struct ask ask = ask_of(FUSE_LOOKUP, 2, sizeof(struct fuse_entry_out));
	bool here;

	ask.ap.args.in_args[0].value = entry->d_name.name;
	ask.ap.args.out_args[0].value = ask.out;
	ask.req = fake_request(fm, &ask.ap.args, false);
	here = is_answered(&ask);
	if (!here) {
		settle();
		assert_true(server_run());
		assert_int_equal(got.opcode, FUSE_LOOKUP);
		server_reply(got.unique, -ENOENT, NULL, 0);
	}
	assert_int_equal(fake_answered(ask.req), -ENOENT);
	return here;
}

static int fuse_atomic_open(struct inode *dir, struct dentry *entry,
			    struct file *f, unsigned int flags, umode_t mode)
{
	struct dentry same = *entry;
	unsigned char bytes[] = "n";

	asked = !is_answered_here(entry);
	/* Another dentry of that name is none of ours. */
	same.d_name.name = bytes;
	assert_false(is_answered_here(&same));
	f->f_path.dentry = opens ? entry : NULL;
	f->f_mode = opens ? FMODE_OPENED : 0;
	f->f_op = opens ? entry->d_inode->i_fop : NULL;
	return answer;
}

static int fuse_unlink(struct inode *dir, struct dentry *entry)
{
	entry->d_fsdata = NULL;
	return answer;
}

static const struct file_operations fuse_files;
static const struct inode_operations fuse_dirs = {
	fuse_lookup, fuse_atomic_open, fuse_unlink,
};

static const struct inode_operations *begin(void)
{
	start();
	fi = (struct fuse_inode){ .inode = {
		.nodeid = 7, .i_mode = 0100644, .i_fop = &fuse_files,
	} };
	dir_fi = (struct fuse_inode){ .inode = {
		.nodeid = 3, .i_mode = S_IFDIR | 0755, .i_op = &fuse_dirs,
	} };
	name = (struct dentry){
		.d_inode = &fi.inode, .d_name.name = (const u8 *)"n",
	};
	other = (struct dentry){ 0 };
	file = (struct file){ 0 };
	opens = true;
	answer = 0;
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
	/* Looked up: this name's inode, another name's, none; an error. */
	assert_false(fuse_name_adopted(&fi.inode));
	assert_null(ops->lookup(&dir_fi.inode, &name, 0));
	ours = fi.inode.i_fop;
	assert_ptr_not_equal(ours, &fuse_files);
	assert_true(fuse_name_adopted(&fi.inode));
	fi.inode.i_fop = &fuse_files;
	name.d_inode = NULL;
	assert_null(ops->lookup(&dir_fi.inode, &name, 0));
	other.d_inode = &fi.inode;
	assert_ptr_equal(ops->lookup(&dir_fi.inode, &name, 0), &other);
	assert_ptr_equal(fi.inode.i_fop, ours);
	assert_true(IS_ERR(ops->lookup(&dir_fi.inode, &name, 1)));
	/* Made and opened; found only; an error. */
	fi.inode.i_fop = &fuse_files;
	name.d_inode = &fi.inode;
	assert_int_equal(ops->atomic_open(&dir_fi.inode, &name, &file, 0, 0),
			 0);
	assert_ptr_equal(fi.inode.i_fop, ours);
	assert_ptr_equal(file.f_op, ours);
	opens = false;
	fi.inode.i_fop = &fuse_files;
	assert_int_equal(ops->atomic_open(&dir_fi.inode, &name, &file, 0, 0),
			 0);
	assert_ptr_equal(fi.inode.i_fop, ours);
	assert_null(file.f_op);
	answer = -EIO;
	assert_int_equal(ops->atomic_open(&dir_fi.inode, &name, &file, 0, 0),
			 -EIO);
	/* Links and the like are left alone. */
	fi.inode.i_mode = 0120777;
	assert_true(fuse_name_adopted(&fi.inode));
	stop();
}

/* A file that must be new is not looked up: if it has to be looked up, and for
 * as long as it is made. */
static void test_new(void **state)
{
	const struct inode_operations *ops = begin();
	unsigned int both = O_CREAT | O_EXCL;

	(void)state;
	for (u32 i = 0; i < 20; i++) {
		name.in_lookup = true;
		answer = i % 2 ? -EEXIST : 0;
		assert_int_equal(ops->atomic_open(&dir_fi.inode, &name, &file,
						  both, 0), answer);
		assert_false(asked);
		assert_false(is_answered_here(&name));
	}
	answer = 0;
	ops->atomic_open(&dir_fi.inode, &name, &file, O_CREAT, 0);
	assert_true(asked);
	ops->atomic_open(&dir_fi.inode, &name, &file, O_EXCL, 0);
	assert_true(asked);
	name.in_lookup = false;
	ops->atomic_open(&dir_fi.inode, &name, &file, both, 0);
	assert_true(asked);
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
		cmocka_unit_test(test_unlink),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
