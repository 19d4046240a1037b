// SPDX-License-Identifier: MIT
/*
 * Dirty pages of FUSE mounts in a fake kernel: what goes to the host, in how many
 * messages, and what its answers do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "driver_fuse.h"

#define PAGES	40u

static struct folio folios[PAGES];
static struct address_space mapping;
static struct fuse_inode fi;
static int fuse_write_end(struct file *file, struct address_space *m,
			  loff_t pos, unsigned int len, unsigned int copied,
			  struct folio *folio, void *data);
static const struct address_space_operations fuse_files = {
	.write_end = fuse_write_end,
};
static struct file file = { .f_mapping = &mapping };

/* What the host got, and what it says. */
static struct {
	u64 offset;
	u32 size;
} writes[16];
static u32 count, turns;
static int error;
static u32 reply_size, reply_short, reply_blocks, reply_room;
static bool lose;

static void host_turn(void)
{
	turns++;
	settle();
	while (server_run()) {
		const struct fuse_write_in *in = (const void *)got_body;
		struct fuse_write_out out[2] = {
			{ in->size - reply_short, reply_blocks },
			{ reply_room, 0 },
		};

		assert_int_equal(got.opcode, FUSE_WRITE);
		assert_int_equal(got.nodeid, 7);
		assert_int_equal(in->write_flags, FUSE_WRITE_CACHE);
		assert_int_equal(got.len, sizeof(got) + sizeof(*in) +
				 in->size);
		for (u32 i = 0; i < in->size; i += 100) {
			assert_int_equal(got_body[sizeof(*in) + i],
					 (in->offset + i) / PAGE_SIZE);
		}
		/* While it is out its pages say so, and a size stays. */
		assert_true(folios[in->offset / PAGE_SIZE].page.writeback);
		assert_int_equal(fi.writectr, 1);
		writes[count].offset = in->offset;
		writes[count++].size = in->size;
		if (!lose) {
			server_say(got.unique, error, out,
				   error ? 0 : reply_size);
		}
	}
	if (lose) {
		lose = false;
		*host_word(0) = CHANNEL_STATE_DOWN;
		fake_interrupt(0);
		fake_run();
		settle();
	}
	ring_linux();
	fake_run();
}

static void begin(loff_t size)
{
	start();
	mapping = (struct address_space){
		.host = &fi.inode, .a_ops = &fuse_files, .folios = folios,
		.count = PAGES,
	};
	fi = (struct fuse_inode){ .inode = {
		.nodeid = 7, .i_mode = 0100644, .i_size = (u64)size, .i_sb = sb,
		.i_mapping = &mapping,
	} };
	memset(folios, 0, sizeof(folios));
	for (u32 i = 0; i < PAGES; i++) {
		folios[i].page.index = i;
		folios[i].mapping = &mapping;
		memset(folios[i].page.bytes, (int)i, PAGE_SIZE);
	}
	count = turns = reply_short = 0;
	error = 0;
	reply_size = sizeof(struct fuse_write_out);
	reply_blocks = 77;
	fuse_write_adopt(&fi.inode);
	assert_ptr_not_equal(mapping.a_ops, &fuse_files);
	fake.sleep = host_turn;
}

static void dirty(u32 first, u32 n)
{
	while (n-- != 0) {
		folios[first++].page.dirty = true;
	}
}

static int write_out(void)
{
	int err = mapping.a_ops->writepages(&mapping, NULL);

	for (u32 i = 0; i < PAGES; i++) {
		assert_false(folios[i].page.writeback);
		assert_false(folios[i].page.locked);
	}
	assert_int_equal(fi.writectr, 0);
	return err;
}

static void end(void)
{
	fake.sleep = NULL;
	stop();
}

static void test_setup(void **state)
{
	(void)state;
	begin(0);
	assert_int_equal(sb->s_bdi->capabilities, BDI_CAP_WRITEBACK_ACCT);
	end();
}

/* Pages in a row are one message, many messages one wait. */
static void test_messages(void **state)
{
	(void)state;
	begin(36 * PAGE_SIZE + 100);
	dirty(0, 34);
	dirty(36, 4);
	assert_int_equal(write_out(), 0);
	assert_int_equal(count, 3);
	assert_int_equal(writes[0].size, 32 * PAGE_SIZE);
	assert_int_equal(writes[1].offset, 32 * PAGE_SIZE);
	assert_int_equal(writes[1].size, 2 * PAGE_SIZE);
	assert_int_equal(writes[2].offset, 36 * PAGE_SIZE);
	assert_int_equal(writes[2].size, 100);
	assert_int_equal(mapping.error, 0);
	assert_int_equal(fi.inode.i_blocks, 77);
	assert_int_equal(fi.inval_mask, 0);
	assert_true(fi.attr_version != 0);
	/* Pages here and there: one turn of the host's for all. */
	count = turns = 0;
	for (u32 i = 0; i < 12; i++) {
		dirty(3 * i, 1);
	}
	assert_int_equal(write_out(), 0);
	assert_int_equal(count, 12);
	assert_int_equal(turns, 1);
	/* Nothing to do. */
	assert_int_equal(write_out(), 0);
	assert_int_equal(count, 12);
	end();
}

/* Each kind of answer that is not good ends in the file's error. */
static void test_errors(void **state)
{
	static const struct {
		int error, said;
		u32 size, less;
	} cases[] = {
		{ -ENOSPC, -ENOSPC, 8, 0 }, { -ENOSPC, 0, 8, 1 },
		{ -EIO, 0, 4, 0 }, { -EIO, 0, 12, 0 }, { -EIO, 5, 8, 0 },
		{ -EIO, -ERESTARTSYS, 8, 0 },
	};

	(void)state;
	for (u32 i = 0; i < 6; i++) {
		begin(PAGE_SIZE);
		error = cases[i].said;
		reply_size = cases[i].size;
		reply_short = cases[i].less;
		dirty(0, 1);
		assert_int_equal(write_out(), 0);
		assert_int_equal(mapping.error, cases[i].error);
		assert_int_equal(fi.inval_mask, STATX_BASIC_STATS);
		end();
	}
}

/* Without memory a page stays dirty. */
static void test_memory(void **state)
{
	(void)state;
	begin(3 * PAGE_SIZE);
	dirty(0, 3);
	fake.no_memory = true;
	assert_int_equal(write_out(), -ENOMEM);
	fake.no_memory = false;
	assert_true(folios[0].page.dirty && folios[2].page.dirty);
	assert_int_equal(mapping.error, 0);
	assert_int_equal(write_out(), 0);
	assert_int_equal(count, 1);
	end();
}

static void let_go(void)
{
	fi.writectr = 0;
	fi.inode.i_size = PAGE_SIZE;
	fake.sleep = host_turn;
}

/* Somebody changes the size: it is waited for, and no byte behind the new end
 * goes out. */
static void test_size(void **state)
{
	(void)state;
	begin(3 * PAGE_SIZE);
	dirty(0, 3);
	fi.writectr = -1000;
	fake.sleep = let_go;
	assert_int_equal(write_out(), 0);
	assert_int_equal(count, 1);
	assert_int_equal(writes[0].size, PAGE_SIZE);
	end();
}

/* A reset while it is out: it goes again. The device's end: it fails. */
static void test_reset(void **state)
{
	(void)state;
	begin(PAGE_SIZE);
	dirty(0, 1);
	lose = true;
	assert_int_equal(write_out(), 0);
	assert_int_equal(count, 2);
	assert_int_equal(mapping.error, 0);
	fake_remove();
	dirty(0, 1);
	assert_int_equal(write_out(), 0);
	assert_int_equal(mapping.error, -ENOTCONN);
	end();
}

/* The fuse module's. */
static int fuse_write_end(struct file *to, struct address_space *m,
			  loff_t pos, unsigned int len, unsigned int copied,
			  struct folio *folio, void *data)
{
	assert_ptr_equal(folio, &folios[pos / PAGE_SIZE]);
	folio->page.dirty = copied != 0;
	if (fi.inode.i_size < (u64)pos + copied) {
		fi.inode.i_size = (u64)pos + copied;
	}
	return (int)copied;
}

/* write() of n bytes into one page. */
static int write_to(loff_t pos, u32 n)
{
	return mapping.a_ops->write_end(&file, &mapping, pos, n, n,
					&folios[pos / PAGE_SIZE], NULL);
}

/* A host that is full: who writes is told at once, nothing of it stays, and it is
 * not told again; until there is room. */
static void test_full(void **state)
{
	(void)state;
	begin(PAGE_SIZE);
	/* There is room: nobody waits. */
	assert_int_equal(write_to(0, 50), 50);
	assert_int_equal(count, 0);
	/* The last write before it was known. */
	error = -ENOSPC;
	assert_int_equal(write_to(PAGE_SIZE, 100), 100);
	assert_int_equal(write_out(), 0);
	assert_int_equal(mapping.error, -ENOSPC);
	assert_int_equal(fi.inode.i_size, PAGE_SIZE + 100);
	/* It is known now. Of a page as it is, none at all, and no hole. */
	for (u32 at = 0; at < 3; at++) {
		static const loff_t pos[] = { 100, PAGE_SIZE + 100,
					      3 * PAGE_SIZE };

		count = 0;
		assert_int_equal(write_to(pos[at], 200), -ENOSPC);
		assert_int_equal(count, 1);
		assert_int_equal(mapping.error, 0);
		assert_int_equal(fi.inode.i_size, PAGE_SIZE + 100);
		assert_int_equal(fi.writectr, 0);
	}
	assert_int_equal(write_to(0, 0), 0);
	assert_int_equal(count, 1);
	/* What has its blocks can be written. The host stays full. */
	error = 0;
	fi.inode.i_blocks = 77;
	assert_int_equal(write_to(0, 50), 50);
	assert_int_equal(count, 2);
	assert_int_equal(write_to(0, 50), 50);
	assert_int_equal(count, 3);
	/* There is room again: but this is the last to ask. */
	reply_blocks = 85;
	assert_int_equal(write_to(2 * PAGE_SIZE, 50), 50);
	assert_int_equal(count, 4);
	assert_int_equal(fi.inode.i_blocks, 85);
	assert_int_equal(write_to(2 * PAGE_SIZE, 50), 50);
	assert_int_equal(count, 4);
	assert_int_equal(fi.inode.i_size, 2 * PAGE_SIZE + 50);
	/* An older error is said even so, of what is written nothing lost. */
	error = -ENOSPC;
	assert_int_equal(write_out(), 0);
	error = 0;
	reply_blocks = 93;
	assert_int_equal(write_to(2 * PAGE_SIZE, 80), -ENOSPC);
	assert_int_equal(fi.inode.i_size, 2 * PAGE_SIZE + 80);
	assert_int_equal(mapping.error, 0);
	end();
}

static unsigned int bells;

static void bell(void)
{
	bells++;
}

/* The host says how much room it has. No more waits to be written than fits there;
 * what would be too much is preceded by all that waits, and waited for. */
static void test_room(void **state)
{
	struct ask dir = ask_of(FUSE_MKDIR, 8, 0);
	struct ask fall = ask_of(FUSE_FALLOCATE,
				 sizeof(struct fuse_fallocate_in), 0);
	struct ask *asks[] = { &dir, &fall };
	struct fuse_session *s;
	s64 *waits;

	(void)state;
	begin(PAGE_SIZE);
	s = fm->fc->iq.priv;
	waits = sb->bdi.wb.stat;
	assert_int_equal(s->room, server.room);
	reply_size = sizeof(struct fuse_write_out) +
		     sizeof(struct fuse_channel_room);
	reply_room = 300;
	dirty(0, 1);
	assert_int_equal(write_out(), 0);
	assert_int_equal(mapping.error, 0);
	assert_int_equal(s->room, 300);
	count = 0;
	waits[WB_RECLAIMABLE] = 30;
	waits[WB_WRITEBACK] = 5;
	assert_int_equal(write_to(0, 50), 50);
	assert_int_equal(count, 0);
	/* One more, and blocks that lead to them, would be too much. */
	waits[WB_WRITEBACK] = 6;
	assert_int_equal(write_to(0, 50), 50);
	assert_int_equal(count, 1);
	assert_int_equal(sb->syncs, 1);
	assert_int_equal(write_to(0, 50), 50);
	assert_int_equal(count, 1);
	/* Also if somebody has the mount's lock. */
	waits[WB_RECLAIMABLE] = 60;
	sb->s_umount.writer = true;
	assert_int_equal(write_to(0, 50), 50);
	assert_int_equal(count, 2);
	assert_int_equal(sb->syncs, 1);
	sb->s_umount.writer = false;
	/* Near the end only the writer's page waits. */
	reply_room = 200;
	assert_int_equal(write_to(0, 50), 50);
	assert_int_equal(sb->syncs, 2);
	waits[WB_RECLAIMABLE] = 1;
	assert_int_equal(write_to(0, 50), 50);
	assert_int_equal(sb->syncs, 2);
	assert_int_equal(count, 4);
	error = -ENOSPC;
	assert_int_equal(write_to(PAGE_SIZE, 50), -ENOSPC);
	assert_int_equal(fi.inode.i_size, PAGE_SIZE);
	error = 0;
	/* What others take counts too, before and after. */
	s->room = 1000;
	((struct fuse_fallocate_in *)fall.in)->length = 400 * PAGE_SIZE;
	for (u32 i = 0; i < 2; i++) {
		waits[WB_RECLAIMABLE] = 300;
		ask_send(asks[i]);
		assert_true(server_run());
		server_reply(got.unique, 0, NULL, 0);
		assert_int_equal(fake_answered(asks[i]->req), 0);
		assert_int_equal(sb->syncs, 2 + i);
		assert_int_equal(s->room, i == 0 ? 996 : 592);
	}
	end();
}

/* When what others may have taken is most of what there was, the host is asked. */
static void test_room_asked(void **state)
{
	const struct fuse_statfs_out space = { .st = {
		.bavail = 900, .frsize = 4096,
	} };
	struct ask dir = ask_of(FUSE_MKDIR, 8, 0);
	struct fuse_session *s;

	(void)state;
	begin(PAGE_SIZE);
	s = fm->fc->iq.priv;
	s->room = 1000;
	for (u32 i = 1; i <= 126; i++) {
		assert_false(fake_run_work());
		ask_send(&dir);
		assert_true(server_run());
		server_reply(got.unique, 0, NULL, 0);
		assert_int_equal(fake_answered(dir.req), 0);
		assert_int_equal(s->room, 1000 - 4 * i);
	}
	assert_true(fake_run_work());
	assert_true(server_run());
	assert_int_equal(got.opcode, FUSE_STATFS);
	server_reply(got.unique, 0, &space, sizeof(space));
	assert_int_equal(s->room, 900);
	end();
}

/* A file that goes gives its room back, later if there is enough. */
static void test_room_back(void **state)
{
	struct fuse_session *s;

	(void)state;
	begin(PAGE_SIZE);
	s = fm->fc->iq.priv;
	fake.doorbell = bell;
	for (u32 i = 0; i < 2; i++) {
		s->room = i == 0 ? 1u << 20 : 100;
		bells = 0;
		ring_rx_arm(&host_ring);
		fake_forget(fm, 100, 1);
		assert_int_equal(bells, i);
		if (i == 0) {
			fake_run_work();
		}
		assert_true(server_next());
		assert_int_equal(got.opcode, FUSE_FORGET);
	}
	server.forgets += 2;
	end();
}

static void test_launder(void **state)
{
	(void)state;
	begin(2 * PAGE_SIZE);
	folios[1].page.locked = true;
	assert_int_equal(mapping.a_ops->launder_folio(&folios[1]), 0);
	assert_int_equal(count, 0);
	folios[1].page.dirty = true;
	assert_int_equal(mapping.a_ops->launder_folio(&folios[1]), 0);
	assert_int_equal(count, 1);
	assert_true(folios[1].page.locked && !folios[1].page.dirty);
	folios[1].page.dirty = true;
	fake.no_memory = true;
	assert_int_equal(mapping.a_ops->launder_folio(&folios[1]), -ENOMEM);
	fake.no_memory = false;
	assert_true(folios[1].page.dirty);
	folios[1].page.locked = false;
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_setup),
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_room_asked),
		cmocka_unit_test(test_room_back),
		cmocka_unit_test(test_launder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
