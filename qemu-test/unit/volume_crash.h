/* SPDX-License-Identifier: MIT */
/* For volume_crash_test.c: a volume on the recording disk, what is done to it and
 * what that promises; the states that power cuts leave of it, and their judges. */
#ifndef ISTHMUS_VOLUME_CRASH_H
#define ISTHMUS_VOLUME_CRASH_H

#include <string.h>

#include "host-bridge/fs/volume_disk.h"
#include "qemu-test/unit/fake/disk.h"
#include "qemu-test/unit/journal_fixture.h"
#include "qemu-test/unit/volume_tree.h"

#define MOST		220u		/* operations of a workload */
#define OPERATIONS	12u
#define FRAMES		256u		/* blocks in memory */
#define LENGTH		200u		/* of a random one */
#define HASHED_LENGTH	60u		/* of one on a directory that gets a tree */
#define NAME(s)		(s), strlen(s)

/* From that instant of the disk on, a cut leaves what the volume was after so many
 * operations, or later. */
struct promise {
	unsigned at, least;
};

struct run {
	struct fake_disk disk;
	struct volume_disk *vd;
	struct volume *vol;
	uint8_t *memory;
	const struct image *image;	/* as it was before */
	struct tree trees[MOST];	/* after so many operations */
	unsigned done;			/* operations */
	unsigned files;
	struct promise promises[2 * MOST];
	unsigned promised;
	uint64_t seed;
};

/* Who waits, and whether he has been told to try again. */
struct crash_waiter {
	struct volume_wait wait;
	bool ready;
};

enum lasting { NOT, FSYNC, SYNC };

typedef int (*operation)(struct run *r);

/* What an operation is for fsync: the file or directory that it has changed. */
struct step {
	operation op;
	const char *path;
};

/* Each is tried again until it is not EAGAIN. These are on names that the image
 * has. */
extern const struct step steps[OPERATIONS];
int op_random(struct run *r);	/* by r->seed */
int op_hashed(struct run *r);	/* likewise, with long names in /d */
int op_many(struct run *r);	/* by r->files: 700 are made, then changed */

/* volume_crash_run.c. The image is the caller's until the end. */
void crash_start(struct run *r, const struct image *image, uint64_t seed);
void crash_trim_all(struct volume *vol);
bool crash_step(struct run *r);
/* Brings about what was missing. */
void again(void *arg);
/* Goes on until a waiter who got EAGAIN is told to try again. */
void crash_wait(struct run *r, struct crash_waiter *waiter);
/* An operation to its end, and what it returned; then the tree that it has left. */
int crash_only(struct run *r, operation op);
void crash_operate(struct run *r, operation op);
void crash_sync(struct run *r);
/* As the file server does it, of what lies there; if nothing does, of the root. */
void crash_fsync(struct run *r, const char *path);
void crash_lasting(struct run *r, enum lasting how, const char *path);
/* Operations by that seed, now and then lasting, at the end all: LENGTH of
 * op_random(), HASHED_LENGTH of op_hashed(). */
void crash_random(struct run *r, operation op, uint64_t seed);
void crash_close(struct run *r);
void crash_finish(struct run *r);

/* volume_crash_judge.c: a copy of the image is what states are made in. */
struct crash_counts {
	unsigned states, judged, twice, refused;
};

void judge_open(const struct image *image, struct crash_counts *counts);
/* So many different states, about, or as many as there are, of the instants from
 * one on. */
void judge_all(struct run *r, unsigned from, unsigned wanted);
/* As if the log had been damaged before that: each of so many states has one other
 * byte there. */
void judge_damaged(struct run *r, unsigned count);
void judge_close(void);

#endif
