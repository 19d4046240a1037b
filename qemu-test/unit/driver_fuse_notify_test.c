// SPDX-License-Identifier: MIT
/*
 * What the driver does with what the host tells of its files: names, attributes,
 * pages, locks and events, from hosts that mean well or not, with others at work
 * in the directories and over resets. guest/driver/fuse_notify.c in a fake
 * kernel, whose VFS keeps a log (fake/vfs.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "driver_fuse.h"

#define DIR	7u		/* what Linux knows */
#define FILE_A	11u
#define FILE_B	12u

static struct fuse_inode dir, file[2];
static struct address_space mapping[2];
static struct dentry dir_entry, entry[2];
static u64 told;		/* notifications so far */

static struct fuse_session *session(void)
{
	return fm->fc->iq.priv;
}

static void init(struct fuse_inode *fi, u64 nodeid, unsigned int mode)
{
	*fi = (struct fuse_inode){ .inode = {
		.nodeid = nodeid, .i_mode = mode, .i_size = 10000,
	} };
	INIT_LIST_HEAD(&fi->queued_writes);
}

/* A mount with a directory and two files in it. */
static int begin(void **state)
{
	static const char *const names[] = { "a", "b" };

	(void)state;
	start();
	told = 0;
	init(&dir, DIR, S_IFDIR);
	dir_entry = (struct dentry){ 0 };
	vfs_add(sb, &dir.inode, &dir_entry, NULL, "dir");
	for (int i = 0; i < 2; i++) {
		init(&file[i], FILE_A + i, 0100644);
		mapping[i] = (struct address_space){
			.host = &file[i].inode,
		};
		file[i].inode.i_mapping = &mapping[i];
		entry[i] = (struct dentry){ 0 };
		vfs_add(sb, &file[i].inode, &entry[i], &dir_entry, names[i]);
	}
	return 0;
}

/* Nothing is kept from which the mount could go. */
static int end(void **state)
{
	(void)state;
	assert_true(vfs_said(""));
	stop();
	for (int i = 0; i < 2; i++) {
		assert_int_equal(file[i].inode.count, 1);
		assert_int_equal(entry[i].count, 1);
		assert_int_equal(file[i].inode.i_rwsem.readers, 0);
	}
	assert_int_equal(dir.inode.count, 1);
	assert_int_equal(dir_entry.count, 1);
	return 0;
}

/* Has the host been told that all is carried out? */
static bool is_acked(void)
{
	u64 done = 0;

	while (server_next()) {
		if (got.opcode == FUSE_NOTIFY_REPLY) {
			memcpy(&done, got_body, sizeof(done));
		}
	}
	return done == told;
}

static void tell(int code, const void *body, u32 len)
{
	server_say(0, code, body, len);
	told++;
	ring_linux();
	fake_run();
	fake_run_queues();
}

static void tell_name(u64 parent, const char *name, u32 len, u32 claimed)
{
	u8 body[FUSE_NOTICE_MAX] = { 0 };
	struct fuse_notify_inval_entry_out out = {
		.parent = parent, .namelen = claimed,
	};

	memcpy(body, &out, sizeof(out));
	memcpy(body + sizeof(out), name, len);
	tell(FUSE_NOTIFY_INVAL_ENTRY, body, (u32)sizeof(out) + len);
}

static void tell_node(int code, u64 nodeid)
{
	struct fuse_channel_node node = { .nodeid = nodeid };

	tell(code, &node, sizeof(node));
}

static void tell_attr(const struct fuse_channel_attr *attr)
{
	tell(FUSE_CHANNEL_NOTIFY_ATTR, attr, sizeof(*attr));
}

static void tell_event(u64 parent, u64 nodeid, u32 mask, const char *name,
		       u32 len)
{
	u8 body[FUSE_NOTICE_MAX] = { 0 };
	struct fuse_channel_event ev = {
		.parent = parent, .nodeid = nodeid, .mask = mask,
		.cookie = 5, .namelen = len,
	};

	memcpy(body, &ev, sizeof(ev));
	memcpy(body + sizeof(ev), name, min(len, 256u));
	tell(FUSE_CHANNEL_NOTIFY_EVENT, body,
	     (u32)sizeof(ev) + min(len, 256u));
}

static int looked_at(int which, unsigned int flags)
{
	return sb->s_d_op->d_revalidate(&entry[which], flags);
}

/* A name goes, and what is known of its directory; others stay. */
static void names(void **state)
{
	(void)state;
	tell_name(DIR, "a", 1, 1);
	assert_true(is_acked());
	assert_true(vfs_said("drop a\n"));
	assert_null(entry[0].d_fsdata);
	assert_non_null(entry[1].d_fsdata);
	assert_int_equal(dir.inval_mask, STATX_BASIC_STATS);
	assert_int_equal(dir.inode.version, 1);
	assert_false(dir.inode.i_rwsem.writer);
	assert_int_equal(looked_at(1, LOOKUP_RCU), 1);
	/* That Linux does not have: the directory's attributes all the same;
	 * and a directory that it does not have. */
	tell_name(DIR, "new", 3, 3);
	tell_name(99, "a", 1, 1);
	assert_true(is_acked());
	assert_int_equal(dir.inode.version, 2);
	assert_true(vfs_said(""));
}

/* Somebody who waits for an answer of the host's has the directory: the
 * notification is carried out all the same, and until he lets go nobody believes
 * the name. */
static void names_of_locked(void **state)
{
	(void)state;
	dir.inode.i_rwsem.writer = fake_unbound.held = true;
	tell_name(DIR, "a", 1, 1);
	assert_true(is_acked());
	assert_true(vfs_said("drop a\n"));
	entry[0].hashed = true;		/* from an older answer */
	assert_int_equal(looked_at(0, 0), 0);
	assert_int_equal(looked_at(0, LOOKUP_RCU), -ECHILD);
	assert_int_equal(looked_at(1, 0), 1);
	dir.inode.i_rwsem.writer = fake_unbound.held = false;
	fake_run_queues();
	assert_true(vfs_said("drop a\n"));
	assert_false(dir.inode.i_rwsem.writer);
	assert_int_equal(looked_at(0, LOOKUP_RCU), 1);

	/* The mount goes before its turn comes, and waits for it. */
	dir.inode.i_rwsem.writer = fake_unbound.held = true;
	tell_name(DIR, "b", 1, 1);
	assert_true(vfs_said("drop b\n"));
	dir.inode.i_rwsem.writer = false;
}

/* More names than are kept: none of the directory's is believed, and those who
 * watch it are told that events were lost. */
static void too_many_names(void **state)
{
	char name[16];

	(void)state;
	dir.inode.i_rwsem.writer = fake_unbound.held = true;
	for (int i = 0; i < 256; i++) {
		snprintf(name, sizeof(name), "x%d", i);
		tell_name(DIR, name, (u32)strlen(name), (u32)strlen(name));
		assert_true(is_acked());
	}
	assert_int_equal(looked_at(1, 0), 1);
	assert_true(vfs_said(""));
	tell_name(DIR, "y", 1, 1);
	assert_true(is_acked());
	assert_true(vfs_said("shrink 7\nevent 7 4bc6\n"));
	assert_int_equal(looked_at(1, 0), 0);
	assert_null(entry[1].d_fsdata);
	dir.inode.i_rwsem.writer = fake_unbound.held = false;
	fake_run_queues();
	assert_true(vfs_said("shrink 7\nevent 7 4bc6\n"));
	assert_int_equal(looked_at(1, 0), 1);
}

static void names_that_are_none(void **state)
{
	char longest[256];

	(void)state;
	memset(longest, 'x', sizeof(longest));
	tell_name(DIR, "a", 1, 0);
	tell_name(DIR, "a", 1, 2);
	tell_name(DIR, "a", 1, ~0u);
	tell_name(DIR, longest, 256, 256);
	tell(FUSE_NOTIFY_INVAL_ENTRY, "a", 1);
	assert_true(is_acked());
	assert_int_equal(dir.inode.version, 0);
	tell_name(DIR, longest, 255, 255);
	tell_name(DIR, "a\0b", 3, 3);
	tell_name(DIR, "../a", 4, 4);
	assert_true(is_acked());
	assert_int_equal(dir.inode.version, 3);
	assert_true(vfs_said(""));
	assert_non_null(entry[0].d_fsdata);
}

/* Size and times are as the host says, and the pages go; but what Linux has not
 * written is not cut off, unless the host says that it has cut it. */
static void attributes(void **state)
{
	struct fuse_channel_attr attr = {
		.nodeid = FILE_A, .size = 20000, .mtime = 5, .mtimensec = 7,
		.ctime = -6, .ctimensec = ~0u, .offset = 4096, .length = 8192,
	};
	const struct inode *inode = &file[0].inode;

	(void)state;
	tell_attr(&attr);
	assert_true(is_acked());
	assert_true(vfs_said("pages 11 1-2\n"));
	assert_int_equal(inode->i_size, 20000);
	assert_true(inode->i_mtime.tv_sec == 5 && inode->i_mtime.tv_nsec == 7);
	assert_true(inode->i_ctime.tv_sec == -6 &&
		    inode->i_ctime.tv_nsec == 999999999);
	assert_int_equal(file[0].inval_mask, STATX_BASIC_STATS);
	assert_true(file[0].attr_version == (u64)fm->fc->attr_version.counter);

	attr.length = 0;
	attr.size = 100;
	tell_attr(&attr);
	assert_true(vfs_said("cut 11 100\n"));
	mapping[0].dirty = true;
	attr.size = 50;
	tell_attr(&attr);
	assert_int_equal(inode->i_size, 100);
	assert_true(vfs_said(""));
	attr.flags = FUSE_CHANNEL_ATTR_CUT;
	tell_attr(&attr);
	assert_int_equal(inode->i_size, 50);
	assert_true(vfs_said("cut 11 50\n"));
	attr.size = 200;
	tell_attr(&attr);
	assert_int_equal(inode->i_size, 200);
	assert_true(vfs_said(""));
}

static void attributes_that_are_none(void **state)
{
	struct fuse_channel_attr attr = {
		.nodeid = FILE_A, .size = ~0ull, .offset = 5000,
		.length = ~0ull,
	};

	(void)state;
	tell_attr(&attr);
	assert_true(vfs_said("pages 11 1-ffffffffffffffff\n"));
	assert_int_equal(file[0].inode.i_size, INT64_MAX);
	attr.offset = ~0ull;
	attr.length = 1;
	tell_attr(&attr);
	assert_true(vfs_said("pages 11 7ffffffffffff-ffffffffffffffff\n"));
	attr.offset = 0;
	tell_attr(&attr);
	assert_true(vfs_said("pages 11 0-0\n"));
	tell(FUSE_CHANNEL_NOTIFY_ATTR, &attr, sizeof(attr) - 1);
	tell(4711, &attr, sizeof(attr));
	tell(-1, NULL, 0);
	assert_true(is_acked());
	/* A directory has no size of Linux's own, and no pages. */
	attr.nodeid = DIR;
	tell_attr(&attr);
	assert_int_equal(dir.inode.i_size, 10000);
	assert_int_equal(dir.inval_mask, STATX_BASIC_STATS);
	assert_true(vfs_said(""));
	attr.flags = FUSE_CHANNEL_ATTR_NAMES;
	tell_attr(&attr);
	assert_true(vfs_said("shrink 7\nevent 7 4bc6\n"));
	assert_true(is_acked());
}

/* An inode that is made of an answer from before is not believed. */
static void attributes_of_what_comes(void **state)
{
	struct fuse_channel_attr attr = { .nodeid = 99 };
	struct inode *inode;

	(void)state;
	tell_attr(&attr);
	assert_true(is_acked());
	inode = sb->s_op->alloc_inode(sb);
	assert_true(session()->missed != 0);
	assert_true(get_fuse_inode(inode)->attr_version == session()->missed);
	free(get_fuse_inode(inode));
}

/* Each mount has a number, without which fanotify takes none. */
static void file_system_has_a_number(void **state)
{
	struct kstatfs buf = { 0 };

	(void)state;
	sb->s_dev = 35;
	assert_int_equal(sb->s_op->statfs(sb->s_root, &buf), 0);
	assert_int_equal(buf.f_fsid, 35);
	fake.no_memory = true;
	assert_int_equal(sb->s_op->statfs(sb->s_root, &buf), -ENOMEM);
	fake.no_memory = false;
}

static void answered(void)
{
	file[0].writectr = 0;
}

/* One file at a time is locked, when it is written; over a reset too. */
static void files_are_locked(void **state)
{
	const int *a = &file[0].inode.i_rwsem.readers;
	const int *b = &file[1].inode.i_rwsem.readers;

	(void)state;
	file[0].writectr = 1;
	fake.sleep = answered;
	tell_node(FUSE_CHANNEL_NOTIFY_FLUSH, FILE_A);
	fake.sleep = NULL;
	assert_true(*a == 0 && file[0].writectr == 0);
	tell_node(FUSE_CHANNEL_NOTIFY_LOCK, FILE_A);
	assert_true(is_acked());
	assert_true(*a == 1);
	tell_node(FUSE_CHANNEL_NOTIFY_LOCK, FILE_B);
	tell_node(FUSE_CHANNEL_NOTIFY_LOCK, FILE_B);
	assert_true(vfs_said("write 11\nwrite 11\nwrite 12\nwrite 12\n"));
	assert_true(*a == 0 && *b == 1);
	/* What is not locked, no file, or not known. */
	tell_node(FUSE_CHANNEL_NOTIFY_UNLOCK, FILE_A);
	tell_node(FUSE_CHANNEL_NOTIFY_LOCK, DIR);
	tell_node(FUSE_CHANNEL_NOTIFY_LOCK, 99);
	tell(FUSE_CHANNEL_NOTIFY_LOCK, "1234567", 7);
	assert_true(is_acked());
	assert_true(*b == 1 && dir.inode.i_rwsem.readers == 0);

	*host_word(0) = CHANNEL_STATE_DOWN;
	host_table[CHANNEL_ST_GENERATION]++;
	fake_interrupt(0);
	server_settle();
	assert_true(*b == 1);
	tell_node(FUSE_CHANNEL_NOTIFY_UNLOCK, FILE_B);
	assert_true(is_acked());
	assert_true(*b == 0 && vfs_said(""));
}

/* The session ends, the mount goes: no file stays locked. */
static void locks_end(void **state)
{
	(void)state;
	tell_node(FUSE_CHANNEL_NOTIFY_LOCK, FILE_A);
	assert_int_equal(file[0].inode.i_rwsem.readers, 1);
	server.forgetful = true;
	*host_word(0) = CHANNEL_STATE_DOWN;
	host_table[CHANNEL_ST_GENERATION]++;
	fake_interrupt(0);
	server_settle();
	server.forgetful = false;
	assert_int_equal(file[0].inode.i_rwsem.readers, 0);
	assert_true(vfs_said("write 11\n"));
}

static void locks_end_with_the_mount(void **state)
{
	(void)state;
	tell_node(FUSE_CHANNEL_NOTIFY_LOCK, FILE_A);
	assert_int_equal(file[0].inode.i_rwsem.readers, 1);
	assert_true(vfs_said("write 11\n"));
}

/* Watchers hear of what is, by the name that it has; of what makes no sense they
 * hear nothing. */
static void events(void **state)
{
	char longest[256];

	(void)state;
	memset(longest, 'x', sizeof(longest));
	tell_event(DIR, FILE_A, FS_CREATE, "new", 3);
	tell_event(DIR, 99, FS_MOVED_FROM | FS_ISDIR, "old", 3);
	assert_true(vfs_said("event 7/new 100 5\nevent 7/old 40000040 5\n"));
	tell_event(DIR, FILE_A, FS_MODIFY, "a", 1);
	tell_event(DIR, 99, FS_ATTRIB, "zz", 2);
	tell_event(0, FILE_A, FS_MOVE_SELF | FS_DELETE_SELF, "", 0);
	assert_true(vfs_said("event a 2\nevent 7/zz 4 0\nevent 11 800\n"
			     "gone 11\n"));
	tell_event(DIR, FILE_A, ~0u, "n", 1);
	assert_true(vfs_said("event 7/n 400003c0 5\nevent a 6\n"
			     "event 11 800\ngone 11\n"));
	tell_event(DIR, FILE_A, FS_CREATE, "a\0b", 3);
	tell_event(DIR, FILE_A, FS_CREATE, "\0b", 2);
	assert_true(vfs_said("event 7/a 100 5\n"));
	tell_event(DIR, FILE_A, FS_CREATE, "", 0);
	tell_event(DIR, FILE_A, FS_CREATE, longest, 256);
	tell_event(DIR, FILE_A, FS_CREATE, longest, ~0u);
	tell_event(99, 98, ~0u, "n", 1);
	tell_event(DIR, FILE_A, 1, "n", 1);
	tell(FUSE_CHANNEL_NOTIFY_EVENT, "x", 1);
	assert_true(is_acked());
	assert_true(vfs_said(""));
}

/* A host that tells something before the mount has a superblock. */
static void told_early(void **state)
{
	(void)state;
	load();
	server.hasty = true;
	assert_int_equal(fuse_mounted(&sb), 0);
	fm = sb->s_fs_info;
	fake_run_queues();
	assert_int_equal(session()->notices_done, 1);
	stop();
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(names),
		TEST(names_of_locked),
		TEST(too_many_names),
		TEST(names_that_are_none),
		TEST(attributes),
		TEST(attributes_that_are_none),
		TEST(attributes_of_what_comes),
		TEST(file_system_has_a_number),
		TEST(files_are_locked),
		TEST(locks_end),
		TEST(locks_end_with_the_mount),
		TEST(events),
		cmocka_unit_test(told_early),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
