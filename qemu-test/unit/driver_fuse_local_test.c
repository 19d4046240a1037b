// SPDX-License-Identifier: MIT
/*
 * What the FUSE transport of the Linux driver knows without asking the host, or
 * tells it later. In a fake kernel.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "driver_fuse.h"

/* What needs no answer of the host's, and what waits for company. */
static void test_local(void **state)
{
	struct ask open = ask_of(FUSE_OPEN, sizeof(struct fuse_open_in),
				 sizeof(struct fuse_open_out));
	struct ask end = ask_of(FUSE_RELEASE, sizeof(struct fuse_release_in),
				0);
	struct ask flush = ask_of(FUSE_FLUSH, sizeof(struct fuse_flush_in),
				  0);
	struct fuse_open_in *in = (void *)open.in;
	struct fuse_release_in *release = (void *)end.in;
	unsigned int doorbells;

	(void)state;
	start();
	*in = (struct fuse_open_in){ .flags = 0100000 | 0x20 };
	ask_send(&open);
	assert_int_equal(fake_answered(open.req), 0);
	assert_int_equal(((struct fuse_open_out *)open.out)->open_flags,
			 FOPEN_KEEP_CACHE);
	memset(release, 0, sizeof(*release));
	release->fh = ((struct fuse_open_out *)open.out)->fh;
	assert_true(release->fh >> 63);
	ask_send(&end);
	assert_int_equal(fake_answered(end.req), 0);
	ask_send(&flush);
	assert_int_equal(fake_answered(flush.req), 0);
	assert_false(server_run());

	/* For writing: the host is asked; closing is told it later. */
	in->flags = 1;
	ask_send(&open);
	assert_true(server_run());
	server_reply(got.unique, 0, open.out, sizeof(struct fuse_open_out));
	assert_int_equal(fake_answered(open.req), 0);
	release->fh = 5;
	doorbells = host_doorbells;
	ask_send(&end);
	assert_int_equal(fake_answered(end.req), 0);
	assert_int_equal(host_doorbells, doorbells);
	assert_false(server_run());
	assert_true(fake_run_work());
	assert_true(host_doorbells > doorbells);
	assert_true(server_run());
	assert_int_equal(got.opcode, FUSE_RELEASE);
	assert_int_equal(((struct fuse_release_in *)got_body)->fh, 5);
	server_reply(got.unique, 0, NULL, 0);
	/* With flock: it is waited for. */
	release->release_flags = FUSE_RELEASE_FLOCK_UNLOCK;
	ask_send(&end);
	assert_false(is_answered(&end));
	assert_true(server_run());
	server_reply(got.unique, 0, NULL, 0);
	assert_int_equal(fake_answered(end.req), 0);
	stop();
}

static void overwrite(void)
{
	fm->fc->no_flush = true;
}

/* A POSIX lock: from now on FLUSH is sent, for that node. And so is RELEASE, of
 * any kind: the lock may be the open file's. Until the node is forgotten. */
static void test_local_locks(void **state)
{
	struct ask end = ask_of(FUSE_RELEASE, sizeof(struct fuse_release_in),
				0);
	struct ask flush = ask_of(FUSE_FLUSH, sizeof(struct fuse_flush_in),
				  0);
	struct ask lock = ask_of(FUSE_SETLK, sizeof(struct fuse_lk_in), 0);
	struct fuse_release_in *release = (void *)end.in;
	struct fuse_lk_in *lk = (void *)lock.in;

	(void)state;
	start();
	/* The fuse module is told to ask; also if it overwrites that. */
	*lk = (struct fuse_lk_in){ .lk.type = F_WRLCK };
	assert_true(fm->fc->no_flush);
	fake.doorbell = overwrite;
	ask_send(&lock);
	fake.doorbell = host_doorbell;
	assert_false(fm->fc->no_flush);
	assert_true(server_run());
	server_reply(got.unique, 0, NULL, 0);
	assert_int_equal(fake_answered(lock.req), 0);
	flush.ap.args.nodeid = 8;
	ask_send(&flush);
	assert_int_equal(fake_answered(flush.req), 0);
	flush.ap.args.nodeid = 7;
	ask_send(&flush);
	assert_false(is_answered(&flush));
	assert_true(server_run());
	server_reply(got.unique, 0, NULL, 0);
	assert_int_equal(fake_answered(flush.req), 0);
	for (int i = 0; i < 2; i++) {
		release->release_flags = 0;
		release->fh = i == 0 ? 5 : 1ull << 63 | 1;
		ask_send(&end);
		assert_false(is_answered(&end));
		assert_true(server_run());
		assert_int_equal(((struct fuse_release_in *)got_body)->fh,
				 release->fh);
		server_reply(got.unique, 0, NULL, 0);
		assert_int_equal(fake_answered(end.req), 0);
	}
	fake_forget(fm, 7, 1);
	ask_send(&flush);
	assert_int_equal(fake_answered(flush.req), 0);
	stop();
}

/* Times: the kernel's writing of them is told later, a process' setting is
 * not. Who has the inode locked is one, or fsync. */
static void test_times(void **state)
{
	static const struct {
		u32 valid;
		bool locked, sync, later;
	} cases[] = {
		{ FATTR_MTIME | FATTR_CTIME, false, true, true },
		{ FATTR_MTIME | FATTR_CTIME, true, true, false },
		{ FATTR_MTIME | FATTR_CTIME, false, false, false },
		{ FATTR_MTIME | FATTR_CTIME | FATTR_FH, true, true, true },
		{ FATTR_MTIME | FATTR_CTIME | FATTR_FH, true, false, false },
		{ FATTR_MTIME | FATTR_CTIME | FATTR_ATIME, false, true,
		  false },
		{ FATTR_MTIME, false, true, false },
	};
	struct ask ask = ask_of(FUSE_SETATTR, sizeof(struct fuse_setattr_in),
				sizeof(struct fuse_attr_out));
	struct fuse_setattr_in *in = (void *)ask.in;
	struct fuse_attr_out *out = (void *)ask.out, answer = { .attr_valid = 1 };
	struct address_space mapping = { 0 };
	struct fuse_inode fi = { .orig_ino = 7, .inode = {
		.nodeid = 7, .i_mapping = &mapping, .i_mode = 0100640,
		.i_nlink = 2, .i_blkbits = 12, .i_uid = 5,
	} };

	(void)state;
	start();
	sb->inode = &fi.inode;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		*in = (struct fuse_setattr_in){
			.valid = cases[i].valid, .mtime = 5 + i,
		};
		fi.inode.locked = cases[i].locked;
		fi.inode.i_state = cases[i].sync ? I_SYNC : 0;
		ask_send(&ask);
		assert_int_equal(is_answered(&ask), cases[i].later);
		if (cases[i].later) {
			assert_int_equal(out->attr.mode, 0100640);
			assert_int_equal(out->attr.nlink, 2);
			assert_int_equal(out->attr.uid, 5);
			assert_int_equal(out->attr.blksize, 4096);
			fake_run_work();
		}
		assert_true(server_run());
		assert_int_equal(((struct fuse_setattr_in *)got_body)->mtime,
				 5 + i);
		/* The host sees who it was. */
		assert_int_equal(((struct fuse_setattr_in *)got_body)->valid,
				 cases[i].valid | (cases[i].later ? FATTR_FH :
						   0));
		server_reply(got.unique, 0, &answer, sizeof(answer));
		assert_int_equal(fake_answered(ask.req), 0);
	}
	sb->inode = NULL;
	stop();
}

/* What a written file's blocks are comes with the answers to WRITE: after closing
 * it they are known, unless something else is not. */
static void test_blocks(void **state)
{
	struct address_space mapping = { 0 };
	struct fuse_inode fi = { .inode = {
		.nodeid = 7, .i_mode = 0100644, .i_mapping = &mapping,
	} };
	struct ask end = ask_of(FUSE_RELEASE, sizeof(struct fuse_release_in),
				0);
	struct ask write = ask_of(FUSE_WRITE, 100, 8);
	struct fuse_write_out out = { .size = 60, .padding = 24 };

	(void)state;
	start();
	sb->inode = &fi.inode;
	INIT_LIST_HEAD(&fi.queued_writes);
	memset(end.in, 0, sizeof(end.in));
	((struct fuse_release_in *)end.in)->fh = 3;
	for (int i = 0; i < 6; i++) {
		out.padding = i == 5 ? U32_MAX : 24 + i;
		write.ended = false;
		write.ap.args.in_args[0].value = write.in;
		write.ap.args.out_args[0].value = write.out;
		fake_request(fm, &write.ap.args, true);
		fake_run_queues();
		while (server_run()) {
			server_reply(got.unique, 0, &out,
				     got.opcode == FUSE_WRITE ? sizeof(out) :
				     0);
		}
		fake_run_queues();
		assert_true(write.ended);
		assert_int_equal(fi.inode.i_blocks, i == 5 ? 28 : 24 + i);
		fi.inval_mask = STATX_BLOCKS | (i == 1 ? 1 : 0);
		mapping.dirty = i == 2;
		fi.writectr = i == 3;
		fi.inode.i_mode = i == 4 ? 0040755 : 0100644;
		ask_send(&end);
		assert_int_equal(fake_answered(end.req), 0);
		assert_int_equal(fi.inval_mask, i == 0 || i == 5 ? 0 :
				 STATX_BLOCKS | (i == 1 ? 1 : 0));
	}
	sb->inode = NULL;
	stop();
}

/* Who may not set set-user-ID ends it by a write, and by fallocate and
 * copy_file_range, of which the fuse module does not say so. If the file had any the
 * mode is asked for anew. */
static void test_kill_suid(void **state)
{
	struct fuse_inode fi = { .inode = { .nodeid = 7, .i_gid = 5 } };
	struct ask write = ask_of(FUSE_WRITE, sizeof(struct fuse_write_in),
				  8);
	struct ask open = ask_of(FUSE_OPEN, sizeof(struct fuse_open_in), 16);
	struct ask set = ask_of(FUSE_SETATTR, sizeof(struct fuse_setattr_in),
				sizeof(struct fuse_attr_out));
	struct ask fall = ask_of(FUSE_FALLOCATE,
				 sizeof(struct fuse_fallocate_in), 0);
	struct ask copy = ask_of(FUSE_COPY_FILE_RANGE,
				 sizeof(struct fuse_copy_file_range_in), 8);
	const struct {
		struct ask *ask;
		u32 mode;
		bool said;		/* by the fuse module */
		bool fsetid;
		u64 to;
		u16 kill;
		u32 unknown;
	} cases[] = {
		{ &write, 0104755, false, false, 0, 0, 0 },
		{ &write, 0104755, true, false, 0, 1, STATX_MODE },
		{ &write, 0102755, true, false, 0, 1, STATX_MODE },
		{ &write, 0100755, true, false, 0, 1, 0 },
		{ &open, 0104755, false, false, 0, 0, 0 },
		{ &open, 0104755, true, false, 0, 1, STATX_MODE },
		{ &set, 0104755, true, false, 0, 1, STATX_MODE },
		{ &set, 0104755, false, false, 0, 0, 0 },
		{ &fall, 0104755, false, false, 0, 1, STATX_MODE },
		{ &fall, 0104755, false, true, 0, 0, 0 },
		{ &fall, 0100755, false, false, 0, 1, 0 },
		{ &copy, 0104755, false, false, 7, 1, STATX_MODE },
		{ &copy, 0104755, false, true, 7, 0, 0 },
		{ &copy, 0104755, false, false, 8, 3, 0 },
	};

	(void)state;
	start();
	sb->inode = &fi.inode;
	fake.group = 5;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ask *ask = cases[i].ask;

		((struct fuse_write_in *)write.in)->write_flags =
			cases[i].said ? FUSE_WRITE_KILL_SUIDGID : 0;
		*(struct fuse_open_in *)open.in = (struct fuse_open_in){
			.flags = 01001,
			.open_flags = cases[i].said ? FUSE_OPEN_KILL_SUIDGID :
						      0,
		};
		((struct fuse_setattr_in *)set.in)->valid = FATTR_SIZE |
			(cases[i].said ? FATTR_KILL_SUIDGID : 0);
		((struct fuse_copy_file_range_in *)copy.in)->nodeid_out =
			cases[i].to;
		copy.ap.args.nodeid = 9;
		fake.fsetid = cases[i].fsetid;
		fi.inode.i_mode = cases[i].mode;
		fi.inval_mask = 0;
		ask_send(ask);
		assert_true(server_run());
		assert_int_equal(got.padding, cases[i].kill);
		server_reply(got.unique, 0, ask->out,
			     ask->ap.args.out_args[0].size);
		assert_int_equal(fake_answered(ask->req), 0);
		assert_int_equal(fi.inval_mask, cases[i].unknown);
	}
	fake.fsetid = false;
	sb->inode = NULL;
	stop();
}

/* Set-group-ID of a file that the group may not execute ends for who is not in the
 * group, nor has the right over the file: the host is told. */
static void test_kill_sgid(void **state)
{
	struct fuse_inode fi = { .inode = {
		.nodeid = 7, .i_gid = 5, .i_mode = 0102644,
	} };
	struct ask fall = ask_of(FUSE_FALLOCATE,
				 sizeof(struct fuse_fallocate_in), 0);
	struct ask set = ask_of(FUSE_SETATTR, sizeof(struct fuse_setattr_in),
				sizeof(struct fuse_attr_out));

	(void)state;
	start();
	sb->inode = &fi.inode;
	((struct fuse_setattr_in *)set.in)->valid = FATTR_SIZE |
						    FATTR_KILL_SUIDGID;
	for (int i = 0; i < 8; i++) {
		struct ask *ask = i & 4 ? &set : &fall;
		bool member = i & 1, may = i & 2;

		fake.group = member ? 5 : 6;
		fake.fsetid_here = may;
		ask_send(ask);
		assert_true(server_run());
		assert_int_equal(got.padding, FUSE_CHANNEL_KILL_SUIDGID |
				 (member || may ? 0 : FUSE_CHANNEL_KILL_SGID));
		server_reply(got.unique, 0, ask->out,
			     ask->ap.args.out_args[0].size);
		assert_int_equal(fake_answered(ask->req), 0);
	}
	fake.fsetid_here = false;
	sb->inode = NULL;
	stop();
}

/* Before the host says where data is, or makes a file immutable, it has all of
 * it; what cannot be written is the answer. */
static void test_written_before(void **state)
{
	struct address_space mapping = { 0 };
	struct fuse_inode fi = { .inode = {
		.nodeid = 7, .i_mode = 0100644, .i_mapping = &mapping,
	} };
	struct ask seek = ask_of(FUSE_LSEEK, sizeof(struct fuse_lseek_in),
				 sizeof(struct fuse_lseek_out));
	struct ask ctl = ask_of(FUSE_IOCTL, sizeof(struct fuse_ioctl_in),
				sizeof(struct fuse_ioctl_out));
	const struct {
		struct ask *ask;
		unsigned int cmd, mode, written;
		int error;
	} cases[] = {
		{ &seek, 0, 0100644, 1, 0 },
		{ &seek, 0, 0100644, 1, -ENOSPC },
		{ &ctl, FS_IOC_SETFLAGS, 0100644, 1, 0 },
		{ &ctl, FS_IOC_FSSETXATTR, 0100644, 1, 0 },
		{ &ctl, FS_IOC_SETFLAGS, 0100644, 1, -EIO },
		{ &ctl, FS_IOC_SETFLAGS, 0040755, 0, -EIO },
		{ &ctl, 0x80086601, 0100644, 0, -EIO },
	};

	(void)state;
	start();
	INIT_LIST_HEAD(&fi.queued_writes);
	sb->inode = &fi.inode;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ask *ask = cases[i].ask;
		bool lost = cases[i].written && cases[i].error;

		fi.inode.written = 0;
		fi.inode.i_mode = cases[i].mode;
		mapping.error = cases[i].error;
		*(struct fuse_ioctl_in *)ctl.in = (struct fuse_ioctl_in){
			.cmd = cases[i].cmd,
		};
		ask_send(ask);
		assert_int_equal(fi.inode.written, cases[i].written);
		assert_int_equal(is_answered(ask), lost);
		if (!lost) {
			assert_true(server_run());
			server_reply(got.unique, 0, ask->out,
				     ask->ap.args.out_args[0].size);
		}
		assert_int_equal(fake_answered(ask->req), lost ?
				 cases[i].error : 0);
	}
	sb->inode = NULL;
	stop();
}

/* FORGETs wait for each other: all there are go before the next request, or when
 * there are many, or after 100 ms. */
static void test_forgets(void **state)
{
	static const u32 counts[] = { 1, 2, 31, 70 };
	const struct fuse_batch_forget_in *batch = (const void *)got_body;
	const struct fuse_forget_one *one = (const void *)(batch + 1);
	struct ask ask = ask_of(FUSE_GETATTR, 10, 10);
	u64 forgets = 0;

	(void)state;
	start();
	server.silent = true;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		u32 seen = 0, left = counts[i];
		unsigned int doorbells = host_doorbells;

		for (u32 j = 0; j < counts[i]; j++) {
			fake_forget(fm, 100 + j, j + 1);
		}
		assert_int_equal(host_doorbells, doorbells);
		if (i % 2 == 0) {
			ask_send(&ask);
		} else {
			fake_run_work();
		}
		while (seen < counts[i]) {
			assert_true(server_next());
			if (left == 1) {
				assert_int_equal(got.opcode, FUSE_FORGET);
				assert_int_equal(got.nodeid, 100 + seen);
				seen++;
				break;
			}
			assert_int_equal(got.opcode, FUSE_BATCH_FORGET);
			assert_int_equal(batch->count, min(left, 32u));
			assert_int_equal(got.len, sizeof(got) + 8 +
					 16 * batch->count);
			for (u32 j = 0; j < batch->count; j++, seen++) {
				assert_int_equal(one[j].nodeid, 100 + seen);
				assert_int_equal(one[j].nlookup, seen + 1);
			}
			left = counts[i] - seen;
		}
		forgets += counts[i];
		if (i % 2 == 0) {
			assert_true(server_next());
			assert_int_equal(got.opcode, FUSE_GETATTR);
			server_reply(got.unique, 0, ask.out, 10);
			assert_int_equal(fake_answered(ask.req), 0);
		} else if (counts[i] >= 64) {
			/* So many, and no request: are they carried out? */
			assert_true(server_next());
			assert_int_equal(got.opcode, FUSE_STATFS);
			server_reply(got.unique, -EIO, NULL, 0);
		}
		assert_false(server_next());
	}
	server.forgets = forgets;
	stop();
}

static u64 given;

/* The server runs when it is rung, as it does on the same processor; it gives credit
 * back when half is used up. */
static void serve(void)
{
	host_doorbells++;
	assert_false(server_run() && got.opcode != FUSE_STATFS);
	if (server.received - given >= server.credit / 2) {
		given = server.received;
		server_packet(VIRTIO_VSOCK_OP_CREDIT_UPDATE, NULL, 0);
	}
}

/* Very many, as when Linux drops its cache, go as the host takes them, in long
 * messages; and when nobody asks for anything then, the host is asked whether it has
 * carried them out, and they are freed. */
static void test_forgets_many(void **state)
{
	static const u64 count = 40000;
	struct fuse_statfs_out out = { .st = {
		.bavail = 4000, .frsize = 1024,
	} };
	struct fuse_session *s;
	unsigned int turns = 0;
	u64 messages;

	(void)state;
	start();
	s = fm->fc->iq.priv;
	server.credit = 0x8000;
	server_packet(VIRTIO_VSOCK_OP_CREDIT_UPDATE, NULL, 0);
	ring_linux();
	given = server.received;
	messages = s->next;
	host_doorbells = 0;
	fake.doorbell = serve;
	for (u64 i = 0; i < count; i++) {
		fake_forget(fm, 100 + i, 1);
	}
	/* All that one ring of the host's cannot hold has not waited for 100 ms. */
	assert_in_range(count - server.forgets, 0, server.credit / 16);
	assert_in_range(host_doorbells, 1, 1 + count * 16 / server.credit * 5 / 2);
	got.opcode = 0;
	assert_true(fake_run_work());
	fake.doorbell = host_doorbell;
	assert_int_equal(server.forgets, count);
	assert_in_range(s->next - messages, 1, count / 32 + 1);
	assert_int_equal(s->forgets_done, 0);
	assert_int_equal(got.opcode, FUSE_STATFS);
	assert_int_equal(got.nodeid, FUSE_ROOT_ID);
	assert_int_equal(got.len, sizeof(got));
	server_reply(got.unique, 0, &out, sizeof(out));
	assert_int_equal(s->room, 1000);
	while (fake_run_work()) {
		turns++;
		assert_false(server_run());
	}
	assert_int_equal(s->forgets_done, count);
	assert_in_range(turns, 1, 100);
	stop();
}

/* What is sent while the host takes nothing goes when it does. */
static void test_forgets_later(void **state)
{
	(void)state;
	start();
	server.credit = 0x2000;
	server_packet(VIRTIO_VSOCK_OP_CREDIT_UPDATE, NULL, 0);
	ring_linux();
	for (u64 i = 0; i < 4000; i++) {
		fake_forget(fm, 100 + i, 1);
	}
	fake_run_work();
	for (int i = 0; i < 40 && server.forgets < 4000; i++) {
		assert_false(server_run() && got.opcode != FUSE_STATFS);
		server_packet(VIRTIO_VSOCK_OP_CREDIT_UPDATE, NULL, 0);
		ring_linux();
		fake_run();
	}
	assert_int_equal(server.forgets, 4000);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_local),
		cmocka_unit_test(test_local_locks),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_kill_suid),
		cmocka_unit_test(test_kill_sgid),
		cmocka_unit_test(test_written_before),
		cmocka_unit_test(test_forgets),
		cmocka_unit_test(test_forgets_many),
		cmocka_unit_test(test_forgets_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
