/* SPDX-License-Identifier: MIT */
/*
 * Blocks that two files have, or a file and the file system: a bit for each block of
 * a window, all inodes, then the next window. A bit that is set already makes a
 * suspect, no more: between two calls blocks change hands. Another pass looks who else
 * has it, at the same instant as the suspect.
 */
#include <stdlib.h>
#include <string.h>

#include "host-bridge/fs/ext4/volume_fsck.h"

#define WINDOW		(1u << 23)	/* blocks: two bitmaps of 1 MiB */

static bool get(const uint8_t *map, uint64_t bit)
{
	return (map[bit / 8] >> bit % 8 & 1) != 0;
}

static void set(uint8_t *map, uint64_t bit)
{
	map[bit / 8] |= (uint8_t)(1u << bit % 8);
}

/* Cuts a run to the window; false: nothing is left. Blocks are its own then. */
static bool clip(const struct fsck_state *s, uint64_t *first, uint64_t *count)
{
	uint64_t end = *first + *count;

	if (end <= s->from || *first >= s->from + s->count) {
		return false;
	}
	end = end > s->from + s->count ? s->count : end - s->from;
	*first = *first < s->from ? 0 : *first - s->from;
	*count = end - *first;
	return true;
}

/**
 * Begins with the blocks from one on, as many as fit; the file system's own are
 * somebody's. Returns 0 or ENOMEM; check->state is there.
 */
int use_window(struct volume *vol, struct volume_fsck *check, uint64_t from)
{
	uint64_t left = ext2fs_blocks_count(vol->fs->super) - from;
	uint64_t most = check->at_once != 0 ? check->at_once : WINDOW;
	struct fsck_state *s = check->state;
	size_t bytes;

	use_end(s);
	s->from = from;
	s->count = left < most ? left : most;
	bytes = (size_t)(s->count + 7) / 8;
	s->used = calloc(2, bytes);
	if (s->used == NULL) {
		s->count = 0;
		return ENOMEM;
	}
	s->shared = s->used + bytes;
	for (uint32_t i = 0; i < vol->fs->group_desc_count; i++) {
		struct group_run runs[GROUP_OWN];
		unsigned count = group_own(vol, i, runs);

		for (unsigned n = 0; n < count; n++) {
			if (!clip(s, &runs[n].first, &runs[n].count)) {
				continue;
			}
			for (uint64_t at = 0; at < runs[n].count; at++) {
				set(s->used, runs[n].first + at);
			}
		}
	}
	return 0;
}

/** Has all that an inode has read. */
int use_touch(struct look *l, uint64_t first, uint64_t count, bool shared)
{
	(void)l;
	(void)first;
	(void)count;
	(void)shared;
	return 0;
}

/* Whether a block is one of the file system's. */
static bool is_own(struct volume *vol, uint64_t block)
{
	for (uint32_t i = 0; i < vol->fs->group_desc_count; i++) {
		struct group_run runs[GROUP_OWN];
		unsigned count = group_own(vol, i, runs);

		for (unsigned n = 0; n < count; n++) {
			if (block >= runs[n].first &&
			    block - runs[n].first < runs[n].count) {
				return true;
			}
		}
	}
	return false;
}

/** Marks what an inode has; what is marked already makes one suspect of it. */
int use_mark(struct look *l, uint64_t first, uint64_t count, bool shared)
{
	struct fsck_state *s = l->check->state;
	bool suspect = false;

	if (!clip(s, &first, &count)) {
		return 0;
	}
	for (uint64_t bit = first; bit < first + count; bit++) {
		bool taken = get(s->used, bit) ||
			     (!shared && get(s->shared, bit));

		set(shared ? s->shared : s->used, bit);
		if (!taken || suspect) {
			continue;
		}
		suspect = true;
		if (is_own(l->vol, s->from + bit)) {
			l->quiet = false;
			fsck_bad(l, "block %llu of it is the file system's own",
				 (unsigned long long)(s->from + bit));
			l->quiet = true;
		} else if (s->suspect_count < FSCK_SUSPECTS) {
			s->suspects[s->suspect_count++] = (struct fsck_suspect){
				s->from + bit, l->ino,
			};
		}
	}
	return 0;
}

/* Counts how often an inode has what is suspect. */
static int count_claims(struct look *l, uint64_t first, uint64_t count,
			bool shared)
{
	const struct fsck_state *s = l->check->state;

	(void)shared;
	for (unsigned i = 0; i < s->suspect_count; i++) {
		uint64_t block = s->suspects[i].block;

		l->claims[i] += block >= first && block - first < count;
	}
	return 0;
}

/* How often the suspect has its block now. */
static int suspect_has(const struct look *l, unsigned i, unsigned *claims)
{
	struct look other = {
		.vol = l->vol, .check = l->check, .quiet = true,
		.blocks = count_claims,
		.ino = l->check->state->suspects[i].ino,
	};
	const struct ext2_inode_large *in;
	int error = fsck_inode(&other, other.ino, &in);

	if (error == 0 && in != NULL) {
		error = fsck_walk(&other, in);
	}
	*claims = other.claims[i];
	return error;
}

/** Looks whether an inode has what is suspect, and the suspect too. */
int use_seek(struct look *l, const struct ext2_inode_large *in)
{
	const struct fsck_state *s = l->check->state;
	int error;

	memset(l->claims, 0, sizeof(l->claims));
	l->quiet = true;
	l->blocks = count_claims;
	error = fsck_walk(l, in);
	l->quiet = false;
	for (unsigned i = 0; error == 0 && i < s->suspect_count; i++) {
		unsigned claims = l->claims[i];
		uint32_t ino = s->suspects[i].ino;

		if (claims > 0 && ino != l->ino) {
			error = suspect_has(l, i, &claims);
			if (error == 0 && claims > 0) {
				fsck_bad(l, "block %llu of it is inode %u's, too",
					 (unsigned long long)
					 s->suspects[i].block, (unsigned)ino);
			}
		} else if (claims > 1) {
			fsck_bad(l, "it has block %llu twice",
				 (unsigned long long)s->suspects[i].block);
		}
	}
	return error;
}

/** Forgets a window. */
void use_end(struct fsck_state *state)
{
	free(state->used);
	state->used = state->shared = NULL;
	state->suspect_count = 0;
}
