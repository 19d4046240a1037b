/* SPDX-License-Identifier: MIT */
/*
 * For tests of the journal: an image that mke2fs makes, where its journal lies,
 * what debugfs and e2fsck make of it, and a device in memory with blocks of any
 * size.
 */
#ifndef ISTHMUS_JOURNAL_FIXTURE_H
#define ISTHMUS_JOURNAL_FIXTURE_H

#include "host-bridge/fs/jbd2/jbd2.h"

struct image {
	uint8_t *data;
	size_t size;
	uint32_t block_size;
	uint64_t blocks;
	uint64_t *log;			/* where the journal's blocks are */
	struct journal_place place;
};

/* mke2fs -t ext4 with these options beside -b; then, if not NULL, a script for
 * debugfs, which finds files a, b, c, d of 16 blocks: of letters, and d of what
 * looks like a journal's blocks. */
void image_make(struct image *im, uint32_t block_size, const char *size,
		const char *options, const char *script);
/* Nothing but an empty journal, from block 1 on. */
void image_blank(struct image *im, uint32_t block_size, uint64_t blocks,
		 uint32_t log_blocks);
void image_copy(struct image *to, const struct image *from);
void image_free(struct image *im);
/* Runs a command on it, with $image its file. Returns the exit status. */
int image_run(struct image *im, const char *command);
/* What e2fsck does with its journal; fails the test if e2fsck complains. */
void image_e2fsck(struct image *im);
/* Takes ext4's word for "replay me first" away, or gives it. */
void image_needs_recovery(struct image *im, bool needs);
/* The journal's superblock anew, with its checksum. */
void image_shorten_log(struct image *im, uint32_t blocks);
/* All but superblocks and the log is the same. */
bool image_same(const struct image *a, const struct image *b);

struct image_dev {
	struct volume_dev dev;
	struct image *image;
	unsigned absent;		/* every n-th first look misses; 0: none */
	unsigned looks;
	bool fetched[1u << 14];
	long fail_after;		/* pokes until one fails; <0: never */
	unsigned flushes;
};

void image_dev_open(struct image_dev *dev, struct image *image);
/* The recovery of an image, whatever it takes. */
int image_recover(struct image_dev *dev, struct journal_found *found,
		  char why[JOURNAL_WHY]);

#endif
