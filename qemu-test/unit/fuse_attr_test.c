/* SPDX-License-Identifier: MIT */
/* The FUSE server's requests on what belongs to a file: attributes, named ones,
 * rights, space. Error numbers are Linux's. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qemu-test/unit/fuse_talk.h"

#define GO	assert_int_equal
#define O_RDWR	2u
#define O_WRONLY 1u
#define O_TRUNC	01000u

static const struct fuse_entry_out *entry(void)
{
	return (const void *)a.reply;
}

static struct fuse_attr attr_by(uint64_t node)
{
	struct fuse_attr attr;

	GO(getattr(&a, node, &attr), 0);
	return attr;
}

static void attributes_are_set(void **state)
{
	struct fuse_setattr_in in = {
		.valid = FATTR_MODE | FATTR_UID | FATTR_GID | FATTR_SIZE |
			 FATTR_ATIME | FATTR_MTIME | FATTR_CTIME,
		.mode = 0107754, .uid = 12, .gid = 13, .size = 70000,
		.atime = (uint64_t)-1000000000ll, .atimensec = 123456789,
		.mtime = 9999999999ull, .mtimensec = 999999999,
		.ctime = 86400, .ctimensec = 1,
	};
	struct fuse_attr attr;
	uint64_t node;

	(void)state;
	GO(make_file(&a, ROOT_ID, "x", &node, NULL), 0);
	GO(ask(&a, FUSE_SETATTR, node, &in, sizeof(in), NULL, NULL), 0);
	attr = ((const struct fuse_attr_out *)a.reply)->attr;
	GO(attr.mode, 0107754);
	GO(attr.uid, 12);
	GO(attr.gid, 13);
	GO(attr.size, 70000);
	GO((int64_t)attr.atime, -1000000000);
	GO(attr.atimensec, 123456789);
	GO(attr.mtime, 9999999999ull);
	GO(attr.mtimensec, 999999999);
	GO(attr.ctime, 86400);
	GO(attr.ctimensec, 1);
	in.atimensec = 1000000000;
	GO(ask(&a, FUSE_SETATTR, node, &in, sizeof(in), NULL, NULL), 22);
	in.atimensec = 0;
	in.valid = FATTR_ATIME | FATTR_ATIME_NOW | FATTR_KILL_SUIDGID;
	GO(ask(&a, FUSE_SETATTR, node, &in, sizeof(in), NULL, NULL), 0);
	attr = attr_by(node);
	assert_true((int64_t)attr.atime > 1600000000);
	GO(attr.mtime, 9999999999ull);
	in.valid = FATTR_SIZE;
	GO(ask(&a, FUSE_SETATTR, ROOT_ID, &in, sizeof(in), NULL, NULL), 21);
	begin(&a, FUSE_SETATTR, node);
	put_bytes(&a, &in, sizeof(in) - 8);
	GO(talk(&a), 22);
}

/* By what Linux flags: a write, O_TRUNC, a new size. Set-group-ID that the group
 * cannot use ends if the driver says so. */
static void privileges_end_with_a_write(void **state)
{
	const struct {
		uint32_t before;
		uint16_t kill;
		uint32_t after;
	} cases[] = {
		{ 06755, 0, 0755 }, { 06755, 2, 0755 }, { 06644, 0, 02644 },
		{ 06644, 1, 02644 }, { 06644, 3, 0644 }, { 02644, 2, 0644 },
	};
	struct fuse_setattr_in in = { .valid = FATTR_MODE };
	struct fuse_setattr_in cut = { .valid = FATTR_SIZE |
					       FATTR_KILL_SUIDGID };
	struct fuse_open_in open = {
		.flags = O_WRONLY | O_TRUNC,
		.open_flags = FUSE_OPEN_KILL_SUIDGID,
	};
	uint64_t node;

	(void)state;
	GO(make_file(&a, ROOT_ID, "x", &node, NULL), 0);
	for (size_t i = 0; i < 3 * sizeof(cases) / sizeof(cases[0]); i++) {
		in.mode = cases[i / 3].before;
		GO(ask(&a, FUSE_SETATTR, node, &in, sizeof(in), NULL, NULL),
		   0);
		a.kill = cases[i / 3].kill;
		GO(write_file(&a, node, 0, "x", 1, 0), 0);
		GO(attr_by(node).mode, 0100000 | in.mode);
		GO(i % 3 == 0 ? write_file(&a, node, 0, "x", 1,
					   FUSE_WRITE_KILL_SUIDGID) :
		   i % 3 == 1 ? ask(&a, FUSE_OPEN, node, &open, sizeof(open),
				    NULL, NULL) :
		   ask(&a, FUSE_SETATTR, node, &cut, sizeof(cut), NULL, NULL),
		   0);
		GO(attr_by(node).mode, 0100000 | cases[i / 3].after);
		GO(attr_by(node).size, i % 3 == 0);
	}
}

/* With FALLOCATE and COPY_FILE_RANGE Linux does not say that they should: the
 * driver does, whoever it is. */
static void privileges_end_with_another_content(void **state)
{
	struct fuse_setattr_in in = { .valid = FATTR_MODE };
	struct fuse_fallocate_in fall = { .length = 5000 };
	struct fuse_copy_file_range_in copy = { .len = 100 };
	uint64_t x, y;

	(void)state;
	GO(make_file(&a, ROOT_ID, "x", &x, NULL), 0);
	GO(make_file(&a, ROOT_ID, "y", &y, NULL), 0);
	GO(write_file(&a, y, 0, "data", 4, 0), 0);
	copy.nodeid_out = x;
	for (unsigned i = 0; i < 32; i++) {
		bool copies = i & 1, exec = i & 2;

		in.mode = exec ? 06755 : 06644;
		GO(ask(&a, FUSE_SETATTR, x, &in, sizeof(in), NULL, NULL), 0);
		a.uid = i & 4 ? 0 : 1000;
		a.kill = (uint16_t)(i >> 3);
		GO(copies ? ask(&a, FUSE_COPY_FILE_RANGE, y, &copy,
				sizeof(copy), NULL, NULL) :
			    ask(&a, FUSE_FALLOCATE, x, &fall, sizeof(fall),
				NULL, NULL), 0);
		GO(attr_by(x).mode & 07777, (a.kill & 1) == 0 ? in.mode :
		   exec ? 0755 : a.kill == 3 ? 0644 : 02644);
	}
	a.uid = 0;
	/* Nothing was copied; it could not be done. */
	GO(ask(&a, FUSE_SETATTR, x, &in, sizeof(in), NULL, NULL), 0);
	a.kill = 3;
	copy.off_in = 4;
	GO(ask(&a, FUSE_COPY_FILE_RANGE, y, &copy, sizeof(copy), NULL, NULL),
	   0);
	fall.mode = 0x100;
	GO(ask(&a, FUSE_FALLOCATE, x, &fall, sizeof(fall), NULL, NULL), 95);
	GO(attr_by(x).mode, 0100000 | in.mode);
}

static uint64_t few_blocks(struct volume_dev *dev)
{
	(void)dev;
	return 5;
}

static uint64_t room_said(void)
{
	return ((const struct fuse_channel_room *)
		(a.reply + sizeof(struct fuse_write_out)))->blocks;
}

/* How much room there is, is told with each WRITE, and when a mount is there again:
 * free blocks, and memory for them. */
static void room_is_told(void **state)
{
	const struct fuse_statfs_out *statfs = (const void *)a.reply;
	struct volume_dev_ops ops = *f.dev.ops;
	const struct volume_dev_ops *before = f.dev.ops;
	uint64_t node, room;

	(void)state;
	GO(make_file(&a, ROOT_ID, "x", &node, NULL), 0);
	for (unsigned i = 0; i < 4; i++) {
		GO(write_file(&a, node, i * 8192, "x", 1, 0), 0);
		GO(room_said(), blocks_free(f.vol));
	}
	room = room_said();
	GO(write_file(&a, node, 0, "x", 1, 0), 0);
	GO(room_said(), room);
	disconnect(&a);
	connect_to(&a);
	GO(hello(&a, 0), 0);
	GO(((const struct fuse_channel_hello_out *)a.reply)->room, room);
	ops.room = few_blocks;
	f.dev.ops = &ops;
	GO(write_file(&a, node, 0, "x", 1, 0), 0);
	GO(room_said(), 5);
	GO(ask(&a, FUSE_STATFS, ROOT_ID, NULL, 0, NULL, NULL), 0);
	GO(statfs->st.bavail, 5);
	GO(statfs->st.bfree, room);
	f.dev.ops = before;
}

/* Linux says only that there is a new owner. */
static void privileges_end_with_an_owner(void **state)
{
	static const uint32_t kinds[] = { 0100000, 0010000, 0060000, 0140000 };
	static const uint32_t owners[] = { FATTR_UID, FATTR_GID };
	struct fuse_setattr_in in = { .uid = 7, .gid = 8 };
	uint64_t node;

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		struct fuse_mknod_in make = { .mode = kinds[i / 2] | 0644 };
		char name[2] = { (char)('a' + i), 0 };

		GO(ask(&a, FUSE_MKNOD, ROOT_ID, &make, sizeof(make), name,
		       NULL), 0);
		node = lookup_id(&a, ROOT_ID, name);
		in.valid = FATTR_MODE;
		in.mode = 06755;
		GO(ask(&a, FUSE_SETATTR, node, &in, sizeof(in), NULL, NULL),
		   0);
		if (i < 2) {
			GO(setxattr(&a, node, "security.capability", "x", 1,
				    0), 0);
		}
		in.valid = owners[i % 2];
		GO(ask(&a, FUSE_SETATTR, node, &in, sizeof(in), NULL, NULL),
		   0);
		GO(attr_by(node).mode, kinds[i / 2] | 0755);
		if (i < 2) {
			GO(ask(&a, FUSE_REMOVEXATTR, node, NULL, 0,
			       "security.capability", NULL), 61);
		}
	}
	GO(make_dir(&a, ROOT_ID, "dir", &node), 0);
	in.valid = FATTR_MODE;
	GO(ask(&a, FUSE_SETATTR, node, &in, sizeof(in), NULL, NULL), 0);
	in.valid = FATTR_UID | FATTR_GID;
	GO(ask(&a, FUSE_SETATTR, node, &in, sizeof(in), NULL, NULL), 0);
	GO(attr_by(node).mode, 0046755);
}

/* A directory's default ACL takes the place of the umask; an access ACL changes
 * the mode. */
static void acls_come_with_a_directory(void **state)
{
	/* Version 2; user rwx, user 1000 r-x, group r-x, mask r-x, other ---. */
	static const struct {
		uint32_t version;
		struct {
			uint16_t tag, perm;
			uint32_t id;
		} entries[5];
	} acl = { 2, {
		{ 1, 7, UINT32_MAX }, { 2, 5, 1000 }, { 4, 5, UINT32_MAX },
		{ 16, 5, UINT32_MAX }, { 32, 0, UINT32_MAX },
	} };
	struct fuse_create_in in = {
		.flags = O_RDWR, .mode = 0100666, .umask = 077,
	};
	struct fuse_getxattr_in get = { .size = 100 };
	uint64_t dir;

	(void)state;
	GO(make_dir(&a, ROOT_ID, "d", &dir), 0);
	GO(setxattr(&a, dir, "system.posix_acl_default", &acl, sizeof(acl),
		    0), 0);
	GO(ask(&a, FUSE_CREATE, dir, &in, sizeof(in), "x", NULL), 0);
	GO(entry()->attr.mode, 0100640);
	GO(ask(&a, FUSE_GETXATTR, entry()->nodeid, &get, sizeof(get),
	       "system.posix_acl_access", NULL), 0);
	GO(a.reply_len, sizeof(acl));
	GO(setxattr(&a, dir, "system.posix_acl_access", &acl, sizeof(acl),
		    0), 0);
	GO(attr_by(dir).mode, 040750);
	GO(setxattr(&a, dir, "system.posix_acl_access", &acl, 10, 0), 22);
}

static void attributes_have_names(void **state)
{
	struct fuse_getxattr_in in = { 0 };
	static char big[65536];
	uint64_t node;

	(void)state;
	GO(make_file(&a, ROOT_ID, "x", &node, NULL), 0);
	GO(setxattr(&a, node, memset(big, 'n', 256), "value", 5, 0), 34);
	GO(setxattr(&a, node, "user.one", "value", 5, 0), 0);
	GO(setxattr(&a, node, "user.one", "value", 5, 1), 17);
	GO(setxattr(&a, node, "user.two", "value", 5, 2), 61);
	GO(setxattr(&a, node, "user.two", "value", 5, 4), 22);
	GO(setxattr(&a, node, "trusted.x", "", 0, 0), 0);
	GO(setxattr(&a, node, "security.x", "abc", 3, 0), 0);
	GO(ask(&a, FUSE_GETXATTR, node, &in, sizeof(in), "user.one", NULL), 0);
	GO(((const struct fuse_getxattr_out *)a.reply)->size, 5);
	in.size = 4;
	GO(ask(&a, FUSE_GETXATTR, node, &in, sizeof(in), "user.one", NULL),
	   34);
	in.size = 100;
	GO(ask(&a, FUSE_GETXATTR, node, &in, sizeof(in), "user.one", NULL), 0);
	GO(a.reply_len, 5);
	assert_memory_equal(a.reply, "value", 5);
	GO(ask(&a, FUSE_GETXATTR, node, &in, sizeof(in), "user.no", NULL), 61);
	GO(ask(&a, FUSE_LISTXATTR, node, &in, sizeof(in), NULL, NULL), 0);
	GO(a.reply_len, 9 + 10 + 11);
	GO(ask(&a, FUSE_REMOVEXATTR, node, NULL, 0, "user.one", NULL), 0);
	GO(ask(&a, FUSE_REMOVEXATTR, node, NULL, 0, "user.one", NULL), 61);
	assert_true(setxattr(&a, node, "user.big", big, sizeof(big), 0) != 0);
	/* The size is not what follows. */
	begin(&a, FUSE_SETXATTR, node);
	put_bytes(&a, (uint32_t[4]){ 6, 0, 0, 0 }, 16);
	put_text(&a, "user.x");
	put_bytes(&a, "short", 5);
	GO(talk(&a), 22);
	begin(&a, FUSE_SETXATTR, node);
	put_bytes(&a, "short", 5);
	GO(talk(&a), 22);
}

static void space_is_given_found_and_copied(void **state)
{
	static uint8_t data[8192];
	struct fuse_fallocate_in fall = { .length = 20000, .mode = 1 };
	struct fuse_lseek_in seek = { .whence = 4 };
	const struct fuse_lseek_out *found = (const void *)a.reply;
	struct fuse_copy_file_range_in copy = { .len = 1 << 30 };
	uint64_t x, y;

	(void)state;
	memset(data, 'x', sizeof(data));
	GO(make_file(&a, ROOT_ID, "x", &x, NULL), 0);
	GO(make_file(&a, ROOT_ID, "y", &y, NULL), 0);
	GO(ask(&a, FUSE_FALLOCATE, x, &fall, sizeof(fall), NULL, NULL), 0);
	GO(attr_by(x).size, 0);
	GO(attr_by(x).blocks, 40);
	fall.mode = 0;
	GO(ask(&a, FUSE_FALLOCATE, x, &fall, sizeof(fall), NULL, NULL), 0);
	GO(attr_by(x).size, 20000);
	fall.mode = 0x40;
	GO(ask(&a, FUSE_FALLOCATE, x, &fall, sizeof(fall), NULL, NULL), 95);
	fall.mode = 0;
	fall.offset = UINT64_MAX - 5;
	GO(ask(&a, FUSE_FALLOCATE, x, &fall, sizeof(fall), NULL, NULL), 27);
	GO(write_file(&a, x, 65536, data, 8192, 0), 0);
	seek.offset = 65536;
	GO(ask(&a, FUSE_LSEEK, x, &seek, sizeof(seek), NULL, NULL), 0);
	GO(found->offset, 65536 + 8192);
	seek.whence = 3;
	seek.offset = 30000;
	GO(ask(&a, FUSE_LSEEK, x, &seek, sizeof(seek), NULL, NULL), 0);
	GO(found->offset, 65536);
	seek.offset = 65536 + 8192;
	GO(ask(&a, FUSE_LSEEK, x, &seek, sizeof(seek), NULL, NULL), 6);
	seek.whence = 2;
	GO(ask(&a, FUSE_LSEEK, x, &seek, sizeof(seek), NULL, NULL), 22);
	copy.off_in = 65000;
	copy.nodeid_out = y;
	copy.off_out = 5;
	GO(ask(&a, FUSE_COPY_FILE_RANGE, x, &copy, sizeof(copy), NULL, NULL),
	   0);
	GO(((const struct fuse_write_out *)a.reply)->size, 8192 + 536);
	GO(read_file(&a, y, 5 + 536, 8192), 0);
	assert_memory_equal(a.reply, data, 8192);
	copy.off_in = 1 << 20;
	GO(ask(&a, FUSE_COPY_FILE_RANGE, x, &copy, sizeof(copy), NULL, NULL),
	   0);
	GO(((const struct fuse_write_out *)a.reply)->size, 0);
	copy.nodeid_out = 4711;
	GO(ask(&a, FUSE_COPY_FILE_RANGE, x, &copy, sizeof(copy), NULL, NULL),
	   116);
	copy.flags = 1;
	GO(ask(&a, FUSE_COPY_FILE_RANGE, x, &copy, sizeof(copy), NULL, NULL),
	   22);
}

static int ioctl_on(uint64_t node, uint32_t cmd, const void *data,
		    uint32_t in_size, uint32_t out_size)
{
	struct fuse_ioctl_in in = {
		.cmd = cmd, .in_size = in_size, .out_size = out_size,
	};

	begin(&a, FUSE_IOCTL, node);
	put_bytes(&a, &in, sizeof(in));
	put_bytes(&a, data, in_size);
	return talk(&a);
}

/* Was Linux told of the file's times, before the answer? */
static bool told(uint64_t node, unsigned notices)
{
	const struct fuse_channel_attr *said = (const void *)a.notice;
	struct fuse_attr attr;

	if (a.notices != notices + 1) {
		return false;
	}
	GO(a.code, FUSE_CHANNEL_NOTIFY_ATTR);
	GO(getattr(&a, node, &attr), 0);
	return said->nodeid == node && said->length == 0 &&
	       said->ctime == (int64_t)attr.ctime &&
	       said->ctimensec == attr.ctimensec && said->size == attr.size;
}

/* Flags change the time of change, which Linux does not see. */
static void flags_change_a_time(void **state)
{
	uint32_t flags = VOLUME_FL_NODUMP | 0x80000, fsx[7] = { 0x80 };
	unsigned notices;
	uint64_t node, fh;

	(void)state;
	GO(make_file(&a, ROOT_ID, "x", &node, &fh), 0);
	/* It has times of its own. */
	notices = a.notices;
	GO(ioctl_on(node, 0x40086602, &flags, 4, 0), 0);
	GO(a.notices, notices);
	GO(release(&a, node, fh, 0, 0), 0);
	GO(ioctl_on(node, 0x40086602, &flags, 4, 0), 0);
	assert_true(told(node, notices));
	notices = a.notices;
	GO(ioctl_on(node, 0x401c5820, fsx, 28, 0), 0);
	assert_true(told(node, notices));
	notices = a.notices;
	GO(ioctl_on(node, 0x40086602, &flags, 3, 0), 22);
	GO(a.notices, notices);
}

static void flags_are_shown_and_set(void **state)
{
	uint32_t flags, fsx[7] = { 0 };
	uint64_t node;

	(void)state;
	GO(make_file(&a, ROOT_ID, "x", &node, NULL), 0);
	GO(ioctl_on(node, 0x80086601, NULL, 0, 4), 0);
	memcpy(&flags, a.reply + 16, 4);
	flags |= 0x10;
	GO(ioctl_on(node, 0x40086602, &flags, 4, 0), 0);
	GO(a.reply_len, 16);
	GO(ioctl_on(node, 0x80086601, NULL, 0, 4), 0);
	memcpy(&flags, a.reply + 16, 4);
	GO(flags & 0x30, 0x10);
	GO(write_file(&a, node, 0, "x", 1, 0), 1);
	GO(ioctl_on(node, 0x801c581f, NULL, 0, 28), 0);
	GO(a.reply_len, 16 + 28);
	memcpy(fsx, a.reply + 16, 28);
	GO(fsx[0], 8);
	fsx[0] = 0x80;
	GO(ioctl_on(node, 0x401c5820, fsx, 28, 0), 0);
	GO(write_file(&a, node, 0, "x", 1, 0), 0);
	fsx[0] = 0x80000;
	GO(ioctl_on(node, 0x401c5820, fsx, 28, 0), 95);
	/* Sizes that are not theirs, and what we do not know. */
	GO(ioctl_on(node, 0x401c5820, fsx, 24, 0), 22);
	GO(ioctl_on(node, 0x40086602, &flags, 3, 0), 22);
	GO(ioctl_on(node, 0x80086601, NULL, 0, 1 << 30), 22);
	GO(ioctl_on(node, 0x5401, NULL, 0, 0), 25);
}

/* Linux asks nobody else whether a file's flags let it be opened. */
static void flags_forbid_opening(void **state)
{
	static const struct {
		uint32_t flags, how;
		int error;
	} cases[] = {
		{ 0x10, 0, 0 }, { 0x10, 1, 1 }, { 0x10, 2, 1 },
		{ 0x10, 1 | 02000, 1 }, { 0x10, 01000, 1 },
		{ 0x20, 0, 0 }, { 0x20, 1, 1 }, { 0x20, 2, 1 },
		{ 0x20, 1 | 02000, 0 }, { 0x20, 2 | 02000, 0 },
		{ 0x20, 1 | 02000 | 01000, 1 }, { 0x20, 01000, 1 },
		{ 0x30, 1 | 02000, 1 }, { 0, 1, 0 }, { 0, 2 | 01000, 0 },
	};
	uint32_t others, flags;
	uint64_t node, fh;

	(void)state;
	GO(make_file(&a, ROOT_ID, "x", &node, NULL), 0);
	GO(ioctl_on(node, 0x80086601, NULL, 0, 4), 0);
	memcpy(&others, a.reply + 16, 4);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		flags = others | cases[i].flags;
		GO(ioctl_on(node, 0x40086602, &flags, 4, 0), 0);
		GO(open_file(&a, node, cases[i].how, &fh), cases[i].error);
		if (cases[i].error == 0) {
			GO(release(&a, node, fh, 0, 0), 0);
		}
	}
}

/* Times of an append-only file are set to now, by a process, or as it is written;
 * and with another's writing privileges end there too. */
static void an_append_only_files_times(void **state)
{
	uint32_t flags = VOLUME_FL_APPEND | 0x80000, now = FATTR_ATIME |
			 FATTR_ATIME_NOW | FATTR_MTIME;
	const struct {
		uint32_t valid;
		int error;
	} cases[] = {
		{ now | FATTR_CTIME, 0 },
		{ now | FATTR_MTIME_NOW, 0 },
		{ FATTR_MTIME | FATTR_CTIME | FATTR_FH, 0 },
		{ FATTR_CTIME, 0 },
		{ FATTR_MTIME | FATTR_CTIME, 1 },
		{ FATTR_ATIME | FATTR_MTIME | FATTR_CTIME, 1 },
		{ FATTR_ATIME | FATTR_ATIME_NOW | FATTR_CTIME, 1 },
		{ FATTR_ATIME | FATTR_CTIME, 1 },
		{ FATTR_MODE | FATTR_CTIME, 1 },
		{ FATTR_UID | FATTR_CTIME | FATTR_KILL_SUIDGID, 1 },
	};
	struct fuse_setattr_in in = { .valid = FATTR_MODE, .mode = 0106755 };
	uint64_t node;

	(void)state;
	GO(make_file(&a, ROOT_ID, "x", &node, NULL), 0);
	GO(ask(&a, FUSE_SETATTR, node, &in, sizeof(in), NULL, NULL), 0);
	GO(ioctl_on(node, 0x40086602, &flags, 4, 0), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		in.valid = cases[i].valid;
		in.mtime = 100 + i;
		GO(ask(&a, FUSE_SETATTR, node, &in, sizeof(in), NULL, NULL),
		   cases[i].error);
	}
	GO(attr_by(node).mtime, 102);
	GO(attr_by(node).mode, 0106755);
	GO(write_file(&a, node, 0, "x", 1, FUSE_WRITE_KILL_SUIDGID), 0);
	GO(attr_by(node).mode, 0100755);
	flags = VOLUME_FL_IMMUTABLE | 0x80000;
	GO(ioctl_on(node, 0x40086602, &flags, 4, 0), 0);
	in.valid = now | FATTR_CTIME;
	GO(ask(&a, FUSE_SETATTR, node, &in, sizeof(in), NULL, NULL), 1);
}

static uint64_t links_of(unsigned i)
{
	struct fuse_attr attr;

	memcpy(&attr, a.dirs[i].attr, sizeof(attr));
	return attr.nlink;
}

/* What changes names tells of the directories, as GETATTR would; not when it
 * failed, nor when it comes again. */
static void directories_are_told(void **state)
{
	struct fuse_rename_in to = { 0 };
	struct fuse_attr attr, now;
	uint64_t d, e;

	(void)state;
	GO(make_dir(&a, ROOT_ID, "d", &d), 0);
	GO(a.dir_count, 1);
	GO(a.dirs[0].nodeid, ROOT_ID);
	memcpy(&attr, a.dirs[0].attr, sizeof(attr));
	GO(getattr(&a, ROOT_ID, &now), 0);
	assert_memory_equal(&now, &attr, sizeof(now));
	GO(make_dir(&a, d, "e", &e), 0);
	GO(a.dirs[0].nodeid, d);
	GO(links_of(0), 3);
	to.newdir = ROOT_ID;
	GO(ask(&a, FUSE_RENAME, d, &to, sizeof(to), "e", "f"), 0);
	GO(a.dir_count, 2);
	GO(a.dirs[0].nodeid, d);
	GO(links_of(0), 2);
	GO(a.dirs[1].nodeid, ROOT_ID);
	GO(ask(&a, FUSE_RENAME, ROOT_ID, &to, sizeof(to), "f", "g"), 0);
	GO(a.dir_count, 1);
	GO(ask(&a, FUSE_RMDIR, ROOT_ID, NULL, 0, "f", NULL), 2);
	GO(a.dir_count, 0);
	GO(ask(&a, FUSE_RMDIR, ROOT_ID, NULL, 0, "g", NULL), 0);
	GO(a.dir_count, 1);
	disconnect(&a);
	connect_to(&a);
	GO(hello(&a, 0), 0);
	a.unique -= 2;
	GO(ask(&a, FUSE_RMDIR, ROOT_ID, NULL, 0, "g", NULL), 0);
	GO(a.dir_count, 0);
}

int main(void)
{
#define T(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(attributes_are_set),
		T(privileges_end_with_a_write),
		T(privileges_end_with_another_content),
		T(room_is_told),
		T(privileges_end_with_an_owner),
		T(acls_come_with_a_directory),
		T(attributes_have_names),
		T(space_is_given_found_and_copied),
		T(flags_are_shown_and_set),
		T(flags_change_a_time),
		T(flags_forbid_opening),
		T(an_append_only_files_times),
		T(directories_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
