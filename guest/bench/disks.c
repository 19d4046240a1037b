/* SPDX-License-Identifier: MIT */
/*
 * Figures of a block device, past Linux's cache where that can be. Its first 64
 * MiB are overwritten.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define SPAN		(64u << 20)	/* bytes that are used */
#define SMALL		4096u
#define SMALLS		200u
#define LARGES		(8u << 20)	/* bytes of the others, in order */

/* The same places each time. */
static off_t place_next(void)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (off_t)(x % (SPAN / SMALL) * SMALL);
}

/* Nothing is a hole afterwards. */
static bool disk_open(struct phase_place *place)
{
	/* Its pages are there, too. */
	memset(bench_buffer, 0x5a, sizeof(bench_buffer));
	place->file = open(place->dir, O_RDWR | O_DIRECT);
	if (place->file < 0 && errno == EINVAL) {
		place->file = open(place->dir, O_RDWR);
	}
	for (off_t at = 0; place->file >= 0 && at < SPAN; at += CHUNK) {
		if (pwrite(place->file, bench_buffer, CHUNK, at) != CHUNK) {
			return false;
		}
	}
	return place->file >= 0 && fdatasync(place->file) == 0;
}

static bool small(struct phase_place *place, bool write_it, bool sync_it)
{
	for (unsigned int i = 0; i < SMALLS / place->part; i++) {
		off_t at = place_next();
		ssize_t n = write_it
			    ? pwrite(place->file, bench_buffer, SMALL, at)
			    : pread(place->file, bench_buffer, SMALL, at);

		if (n != SMALL || (sync_it && fdatasync(place->file))) {
			return false;
		}
	}
	return true;
}

static bool large(struct phase_place *place, bool write_it, unsigned int len)
{
	for (off_t at = 0; at < LARGES; at += len) {
		ssize_t n = write_it
			    ? pwrite(place->file, bench_buffer, len, at)
			    : pread(place->file, bench_buffer, len, at);

		if (n != (ssize_t)len) {
			return false;
		}
	}
	return true;
}

static bool read_4k(struct phase_place *place)
{
	return small(place, false, false);
}

static bool write_4k(struct phase_place *place)
{
	return small(place, true, false);
}

static bool write_4k_fsync(struct phase_place *place)
{
	return small(place, true, true);
}

static bool read_64k(struct phase_place *place)
{
	return large(place, false, CHUNK);
}

static bool write_64k(struct phase_place *place)
{
	return large(place, true, CHUNK);
}

static bool read_1024k(struct phase_place *place)
{
	return large(place, false, sizeof(bench_buffer));
}

static bool write_1024k(struct phase_place *place)
{
	return large(place, true, sizeof(bench_buffer));
}

static bool disk_close(struct phase_place *place)
{
	return close(place->file) == 0;
}

/** place.dir is the device. */
const struct phase disks_phases[] = {
	{ "blk_read_4k", SMALLS, disk_open, read_4k },
	{ "blk_write_4k", SMALLS, NULL, write_4k },
	{ "blk_write_4k_fsync", SMALLS, NULL, write_4k_fsync },
	{ "blk_read_64k", LARGES / CHUNK, NULL, read_64k },
	{ "blk_write_64k", LARGES / CHUNK, NULL, write_64k },
	{ "blk_read_1024k", LARGES / sizeof(bench_buffer), NULL, read_1024k },
	{ "blk_write_1024k", LARGES / sizeof(bench_buffer), NULL,
	  write_1024k },
	{ NULL, 0, NULL, disk_close },
	{ 0 }
};
