/* SPDX-License-Identifier: MIT */
/* For volume_large_test.c: a volume on the recording disk, before a small cache. */
#ifndef ISTHMUS_VOLUME_LARGE_H
#define ISTHMUS_VOLUME_LARGE_H

#include <string.h>

#include "host-bridge/fs/volume_disk.h"
#include "qemu-test/unit/fake/disk.h"
#include "qemu-test/unit/journal_fixture.h"

#define FRAMES		512u		/* of the cache: 64 in a transaction */

#define NAME(s)		(s), strlen(s)

struct run {
	struct fake_disk disk;
	struct volume_disk *vd;
	struct volume *vol;
	uint8_t *memory;
	unsigned files;			/* pieces, so far */
};

/* Tried again until it is not EAGAIN. */
typedef int (*operation)(struct run *r);

bool step(struct run *r);
/* Until who waits is told. */
extern bool told;
void ready(struct volume_wait *wait);
void wait_told(struct run *r);
void sync_all(struct run *r);
/* As often as it takes; returns what it does in the end. */
int operate(struct run *r, operation op);
void open_disk(struct run *r, const struct image *image);
void close_disk(struct run *r);
void free_disk(struct run *r);

#endif
