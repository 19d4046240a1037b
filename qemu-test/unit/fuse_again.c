/* SPDX-License-Identifier: MIT */
/*
 * For tests of the FUSE server, linked with volume_again.c: what the server asks the
 * volume for is not there at first, changes have to wait for their turn now and
 * then, and what is to be lasting is it later. What Linux is told must be the same.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host-bridge/blk/cache.h"
#include "host-bridge/fs/ext4/volume_int.h"
#include "qemu-test/unit/fuse_talk.h"

#define WAITS_MAX	256u

static struct volume_wait *waits[WAITS_MAX];
static unsigned count, begun;

static void note(struct volume_wait *wait)
{
	for (unsigned i = 0; i < count; i++) {
		if (waits[i] == wait) {
			return;
		}
	}
	if (wait != NULL) {
		assert_true(count < WAITS_MAX);
		waits[count++] = wait;
	}
}

static void look(struct volume_turns *turns, struct volume_wait *wait)
{
	(void)turns;
	note(wait);
}

static int begin_change(struct volume_turns *turns, struct volume_wait *wait)
{
	(void)turns;
	note(wait);
	return begun++ % 5 == 3 ? EAGAIN : 0;
}

static int sync_all(struct volume_turns *turns, struct volume_wait *wait)
{
	(void)turns;
	note(wait);
	if (wait->number++ < 3) {
		return EAGAIN;
	}
	return volume_flush(f.vol);
}

/* All files of which nobody has a hold go out of memory, and no block has to
 * stay. */
static void forget_files(void)
{
	bool passes = fixture_passes;

	fixture_passes = false;
	assert_int_equal(volume_flush(f.vol), 0);
	fixture_passes = passes;
	for (uint32_t n = f.vol->vnodes; n > 0; n--) {
		struct vnode *vn = f.vol->hand;

		f.vol->hand = vn->ring_next;
		if (vn->holds == 0 && !vn->orphan &&
		    vnode_writeback(f.vol, vn) == 0) {
			vnode_drop(f.vol, vn);
		}
	}
}

static void end(struct volume_turns *turns, struct volume_wait *wait)
{
	(void)turns;
	for (unsigned i = 0; i < count; i++) {
		if (waits[i] == wait) {
			waits[i] = waits[--count];
			break;
		}
	}
	forget_files();
	fixture_turn(&f.dev);
}

static void inside(bool inside)
{
	fixture_passes = inside;
}

/* The last that waits is the first that need not. */
static void settle(void)
{
	bool more = true;

	for (unsigned tries = 0; more; tries++) {
		assert_true(tries < 1000);
		for (unsigned i = count; i > 0; i--) {
			waits[i - 1]->ready(waits[i - 1]);
		}
		more = fuse_server_ready(server);
		(void)fuse_server_go_on(server, FOREVER);
	}
}

static struct volume_turns turns = { look, begin_change, sync_all, end };

static void __attribute__((constructor)) waiting(void)
{
	talk_turns = &turns;
	talk_inside = inside;
	talk_settle = settle;
}
