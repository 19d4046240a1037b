/* SPDX-License-Identifier: MIT */
/*
 * For tests: a volume in memory made by mke2fs, which e2fsck judges when the
 * test is over, and a device that fails when it is told to.
 */
#ifndef ISTHMUS_VOLUME_FIXTURE_H
#define ISTHMUS_VOLUME_FIXTURE_H

#include "host-bridge/fs/volume.h"
#include "host-bridge/blk/volume_dev.h"

struct fixture {
	char folder[64];
	uint8_t *image;
	size_t size;
	struct volume_dev *mem;
	struct volume_dev dev;		/* before mem: can fail */
	bool *poked;			/* blocks, since the last flush */
	long fail_after;		/* calls until one fails; <0: never */
	uint32_t *there;		/* by block: see fixture_waits */
	uint32_t turn;
	uint64_t asked;			/* blocks that the volume has asked for */
	struct volume *vol;
};

/* From now on blocks are absent when they are asked for first, and there when
 * they are asked for again in the same turn. Between turns, which
 * fixture_turn() ends, many become absent that are not to be written. */
extern bool fixture_waits;
/* volume_again.c: EAGAIN is passed on now, for who asks tries again by himself. */
extern bool fixture_passes;
void fixture_turn(struct volume_dev *dev);
void fixture_again(struct volume_dev *dev);	/* the same turn, once more */
/* options: for mke2fs, beside type, block size and the file. */
void fixture_open(struct fixture *f, unsigned mib, const char *options);
/* Replaces the volume by what a shell command makes of the image ("%s"). */
void fixture_command(struct fixture *f, const char *command);
/* What the device holds now, in a file of the fixture's folder, or in memory. */
void fixture_copy(struct fixture *f, const char *file);
void fixture_write(const struct fixture *f, const char *file,
		   struct volume_dev *dev);
uint8_t *fixture_image(struct fixture *f, size_t *size);
/* Runs a shell command in that folder. */
void fixture_run(const struct fixture *f, const char *command);
/* Opens the volume anew as the device holds it now; nothing is closed. */
void fixture_crash(struct fixture *f);
/* Closes the volume; e2fsck -fn must find nothing. */
void fixture_check(struct fixture *f);
/* As fixture_check(), and opens the volume again. */
void fixture_reopen(struct fixture *f);
void fixture_close(struct fixture *f);

/* Shorthands for tests; what they do must succeed. */
#define ROOT	VOLUME_ROOT
#define NAME(s)	(s), strlen(s)

extern const struct volume_make file_make, dir_make;
uint32_t new_file(struct volume *vol, uint32_t dir, const char *name);
uint32_t new_dir(struct volume *vol, uint32_t dir, const char *name);
uint32_t find(struct volume *vol, uint32_t dir, const char *name); /* or 0 */
void put(struct volume *vol, uint32_t ino, uint64_t at, const void *data,
	 size_t len);
struct volume_attr attr_of(struct volume *vol, uint32_t ino);
uint64_t blocks_free(struct volume *vol);
/* volume_rename(), and what it returns. */
int move(struct volume *vol, uint32_t od, const char *on, uint32_t nd,
	 const char *nn);

#endif
