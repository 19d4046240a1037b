/* SPDX-License-Identifier: MIT */
/*
 * For nbd_test.c, linked with volume_again.c: the file's blocks are not there when
 * they are asked for first, changes wait for their turn now and then, and a flush is
 * done later. What Linux gets must be the same.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host-bridge/blk/cache.h"
#include "qemu-test/unit/fake/nbd.h"
#include "qemu-test/unit/volume_fixture.h"

extern struct fixture f;		/* nbd_test.c's */
static struct volume_wait *waits;	/* who may */
static unsigned begun;

static void look(struct volume_turns *turns, struct volume_wait *wait)
{
	(void)turns;
	waits = wait;
	fixture_passes = true;
}

static int begin(struct volume_turns *turns, struct volume_wait *wait)
{
	look(turns, wait);
	return begun++ % 3 == 1 ? EAGAIN : 0;
}

static int sync_all(struct volume_turns *turns, struct volume_wait *wait)
{
	look(turns, wait);
	if (wait->number++ < 3) {
		return EAGAIN;
	}
	fixture_passes = false;
	return volume_flush(f.vol);
}

static void end(struct volume_turns *turns, struct volume_wait *wait)
{
	(void)turns;
	if (waits == wait) {
		waits = NULL;
	}
	fixture_passes = false;
}

static void settle(void)
{
	if (waits != NULL) {
		waits->ready(waits);
	}
}

static struct volume_turns turns = { look, begin, sync_all, end };

static void __attribute__((constructor)) waiting(void)
{
	nbd_turns = &turns;
	nbd_settle = settle;
}
