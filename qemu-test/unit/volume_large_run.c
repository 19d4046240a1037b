/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "qemu-test/unit/volume_large.h"

static int64_t fake_time;

int64_t volume_now_ns(void)
{
	return 1700000000000000000ll + (fake_time += 1000);
}

bool step(struct run *r)
{
	if (volume_disk_due(r->vd)) {
		volume_disk_run(r->vd);
		return true;
	}
	return fake_disk_step(&r->disk);
}

static void again(struct run *r)
{
	if (!step(r)) {
		fail_msg("nothing is under way, and somebody waits");
	}
}

bool told;

void ready(struct volume_wait *wait)
{
	(void)wait;
	told = true;
}

void wait_told(struct run *r)
{
	while (!told) {
		again(r);
	}
	told = false;
}

void sync_all(struct run *r)
{
	struct volume_wait wait = { .ready = ready };
	int error;

	told = false;
	while ((error = volume_disk_sync(r->vd, &wait)) == EAGAIN) {
		wait_told(r);
	}
	assert_int_equal(error, 0);
	volume_disk_end(r->vd, &wait);
}

int operate(struct run *r, operation op)
{
	struct volume_wait wait = { .ready = ready };
	int error;

	for (told = false;;) {
		error = volume_disk_begin(r->vd, &wait);
		if (error == 0) {
			error = op(r);
		}
		if (error != EAGAIN) {
			break;
		}
		wait_told(r);
	}
	volume_disk_end(r->vd, &wait);
	return error;
}

void open_disk(struct run *r, const struct image *image)
{
	char why[JOURNAL_WHY];
	int error;

	memset(r, 0, sizeof(*r));
	r->memory = malloc(FRAMES * 1024);
	assert_non_null(r->memory);
	fake_disk_open(&r->disk, image->data, image->size, 512,
		       BLOCK_HAS_FLUSH | BLOCK_HAS_FUA);
	assert_int_equal(volume_disk_new(&r->disk.dev, r->memory,
					 FRAMES * 1024, &r->vd), 0);
	while ((error = volume_disk_open(r->vd, &r->vol, why)) == EAGAIN) {
		again(r);
	}
	if (error != 0) {
		fail_msg("%d: %s", error, why);
	}
}

void close_disk(struct run *r)
{
	struct volume_wait wait = { .ready = ready };
	int error;

	told = false;
	while ((error = volume_disk_close(r->vd, &wait)) == EAGAIN) {
		wait_told(r);
	}
	assert_int_equal(error, 0);
	volume_disk_end(r->vd, &wait);
}

void free_disk(struct run *r)
{
	volume_disk_free(r->vd);
	fake_disk_close(&r->disk);
	free(r->memory);
}
