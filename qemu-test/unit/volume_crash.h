/* SPDX-License-Identifier: MIT */
/* For volume_crash_test.c: a volume on the recording disk, and what is done to
 * it. */
#ifndef ISTHMUS_VOLUME_CRASH_H
#define ISTHMUS_VOLUME_CRASH_H

#include <string.h>

#include "host-bridge/fs/volume_disk.h"
#include "qemu-test/unit/fake/disk.h"
#include "qemu-test/unit/volume_tree.h"

#define MOST		220u		/* operations of a workload */
#define OPERATIONS	12u
#define NAME(s)		(s), strlen(s)

struct run {
	struct fake_disk disk;
	struct volume_disk *vd;
	struct volume *vol;
	uint8_t *memory;
	struct tree trees[MOST];	/* after so many operations */
	unsigned done;			/* operations */
	unsigned files;
	unsigned synced[MOST], synced_at[MOST], syncs;	/* so many operations
							 * last since then */
	uint64_t seed;
};

/* Brings about what was missing. */
void again(void *arg);

/* Each is tried again until it is not EAGAIN. The first twelve are on names that
 * the image has. */
typedef int (*operation)(struct run *r);
extern const operation operations[OPERATIONS];
int op_random(struct run *r);	/* by r->seed */
int op_many(struct run *r);	/* by r->files: 700 are made, then changed */

#endif
