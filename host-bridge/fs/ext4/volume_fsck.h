/* SPDX-License-Identifier: MIT */
/*
 * Inside fsck: volume_fsck.c looks at groups and inodes one by one and goes from piece
 * to piece; volume_fsck_use.c finds blocks that two have, volume_fsck_names.c links
 * that are not as many as names.
 */
#ifndef ISTHMUS_VOLUME_FSCK_H
#define ISTHMUS_VOLUME_FSCK_H

#include "host-bridge/fs/ext4/volume_group.h"

#define FSCK_SUSPECTS	16u		/* blocks, of one window */

/* Who takes a block that somebody has, or had, already. */
struct fsck_suspect {
	uint64_t block;
	uint32_t ino;
};

/* What is remembered between calls. */
struct fsck_state {
	struct volume_observer observer;	/* of names that change */
	uint64_t from, count;		/* the window: blocks, or inodes */
	uint8_t *used, *shared;		/* blocks of it that somebody has */
	struct fsck_suspect suspects[FSCK_SUSPECTS];
	unsigned suspect_count;
	uint16_t *names;		/* how many there are of its inodes */
	bool unread;			/* those of some directory are not in it */
};

struct look {
	struct volume *vol;
	struct volume_fsck *check;
	uint32_t ino;			/* 0: the group */
	bool quiet;			/* all that is wrong was said before */
	/* For each run of blocks that an inode has; shared: with extended
	 * attributes, which others may have too. Returns 0, EAGAIN or EIO. */
	int (*blocks)(struct look *l, uint64_t first, uint64_t count,
		      bool shared);
	unsigned claims[FSCK_SUSPECTS];
};

/* volume_fsck.c */
void fsck_bad(struct look *l, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
int fsck_inode(struct look *l, uint32_t ino,
	       const struct ext2_inode_large **in);
int fsck_walk(struct look *l, const struct ext2_inode_large *in);

/* volume_fsck_use.c */
int use_window(struct volume *vol, struct volume_fsck *check, uint64_t from);
int use_touch(struct look *l, uint64_t first, uint64_t count, bool shared);
int use_mark(struct look *l, uint64_t first, uint64_t count, bool shared);
int use_seek(struct look *l, const struct ext2_inode_large *in);
void use_end(struct fsck_state *state);

/* volume_fsck_names.c */
int names_window(struct volume *vol, struct volume_fsck *check, uint32_t from);
int names_read(struct look *l, bool *more);
void names_compare(struct look *l, const struct ext2_inode_large *in);
void names_end(struct volume *vol, struct fsck_state *state);

#endif
