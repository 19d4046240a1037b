// SPDX-License-Identifier: MIT
/*
 * The functions of vfs.h. An assertion that fails is a fault of the driver, or
 * of the test.
 */
#include <stdarg.h>

#include "fuse_i.h"

#include "guest/driver/fuse.h"

struct workqueue_struct fake_unbound;

static char text[16384];

void vfs_log(const char *format, ...)
{
	size_t len = strlen(text);
	va_list args;

	assert(len < sizeof(text) / 2);
	va_start(args, format);
	vsnprintf(text + len, sizeof(text) - len, format, args);
	va_end(args);
}

bool vfs_said(const char *wanted)
{
	bool same = strcmp(text, wanted) == 0;

	if (!same) {
		fprintf(stderr, "the VFS was told:\n%sand not:\n%s", text,
			wanted);
	}
	text[0] = '\0';
	return same;
}

void vfs_add(struct super_block *sb, struct inode *inode,
	     struct dentry *dentry, struct dentry *parent, const char *name)
{
	static const struct file_operations files;
	static const struct inode_operations dirs;
	static const struct address_space_operations pages;

	inode->i_sb = sb;
	inode->i_fop = &files;
	inode->i_op = &dirs;
	if (inode->i_mapping) {
		inode->i_mapping->a_ops = &pages;
	}
	fuse_name_adopt(inode);
	inode->count = 1;
	inode->next = sb->inodes;
	inode->alias = dentry;
	sb->inodes = inode;
	dentry->d_inode = inode;
	dentry->d_name = (struct qstr)QSTR_INIT((const u8 *)name,
						(u32)strlen(name));
	dentry->d_parent = parent;
	dentry->d_fsdata = dentry;
	dentry->hashed = true;
	dentry->count = 1;
	if (parent) {
		dentry->d_sib.next = parent->d_children.first;
		parent->d_children.first = &dentry->d_sib;
	}
}

/* ---- Locks ---- */

static void wait_for(const bool *writer, const int *readers)
{
	assert(fake.locks + fake.rcu + fake.irq == 0);
	for (int n = 0; *writer || *readers > 0; n++) {
		assert(n < 100 && fake.sleep);
		fake.sleep();
	}
}

void inode_lock(struct inode *inode)
{
	wait_for(&inode->i_rwsem.writer, &inode->i_rwsem.readers);
	inode->i_rwsem.writer = true;
}

bool inode_trylock(struct inode *inode)
{
	if (inode->i_rwsem.writer || inode->i_rwsem.readers > 0) {
		return false;
	}
	inode->i_rwsem.writer = true;
	return true;
}

void inode_unlock(struct inode *inode)
{
	assert(inode->i_rwsem.writer);
	inode->i_rwsem.writer = false;
}

void down_read_non_owner(struct rw_semaphore *sem)
{
	static const int none;

	wait_for(&sem->writer, &none);
	sem->readers++;
}

void up_read_non_owner(struct rw_semaphore *sem)
{
	assert(sem->readers > 0);
	sem->readers--;
}

/* ---- Inodes and names ---- */

void ihold(struct inode *inode)
{
	assert(inode->count > 0);
	inode->count++;
}

void iput(struct inode *inode)
{
	assert(fake.locks + fake.rcu == 0);
	if (inode) {
		assert(inode->count > 1);	/* the cache's own stays */
		inode->count--;
	}
}

struct inode *ilookup5(struct super_block *sb, unsigned long hash,
		       int (*test)(struct inode *inode, void *data),
		       void *data)
{
	(void)hash;
	assert(fake.locks + fake.rcu == 0);
	for (struct inode *inode = sb->inodes; inode; inode = inode->next) {
		if (test(inode, data)) {
			ihold(inode);
			return inode;
		}
	}
	return NULL;
}

static struct dentry *dentry_get(struct dentry *dentry)
{
	if (dentry) {
		dentry->count++;
	}
	return dentry;
}

struct dentry *dget_parent(struct dentry *dentry)
{
	return dentry_get(dentry->d_parent);
}

void dput(struct dentry *dentry)
{
	assert(fake.locks + fake.rcu == 0);
	assert(dentry->count > 1);
	dentry->count--;
}

struct dentry *d_find_any_alias(struct inode *inode)
{
	return dentry_get(inode->alias);
}

struct dentry *d_lookup(struct dentry *parent, const struct qstr *name)
{
	struct dentry *child;

	assert(name->hash == name->len);
	hlist_for_each_entry(child, &parent->d_children, d_sib) {
		if (child->hashed && child->d_name.len == name->len &&
		    memcmp(child->d_name.name, name->name, name->len) == 0) {
			return dentry_get(child);
		}
	}
	return NULL;
}

int invalidate_inode_pages2_range(struct address_space *mapping,
				  unsigned long first, unsigned long last)
{
	vfs_log("pages %llu %lx-%lx\n",
		(unsigned long long)mapping->host->nodeid, first, last);
	return 0;
}
