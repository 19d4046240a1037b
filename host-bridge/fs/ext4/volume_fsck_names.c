/* SPDX-License-Identifier: MIT */
/*
 * Whether each file has as many names as links: a number for each inode of a window,
 * all directories, then the inodes, then the next window. Names come and go meanwhile:
 * an observer notes whose, and those are left out.
 */
#include <stdlib.h>

#include "host-bridge/fs/ext4/volume_fsck.h"

#define WINDOW		(1u << 19)	/* inodes: 1 MiB */
#define CHUNK		512u		/* names of one call */
#define CHANGED		UINT16_MAX	/* in place of a number */
#define MANY		(CHANGED - 1)	/* that, or more */

static uint16_t *names_of(const struct fsck_state *s, uint32_t ino)
{
	return s->names != NULL && ino >= s->from && ino - s->from < s->count
	       ? &s->names[ino - s->from] : NULL;
}

static void changed(const struct fsck_state *s, uint32_t ino)
{
	uint16_t *names = names_of(s, ino);

	if (names != NULL) {
		*names = CHANGED;
	}
}

/* volume_observer.fn */
static void heard(struct volume_observer *observer,
		  const struct volume_event *event)
{
	const struct fsck_state *s = (struct fsck_state *)((char *)observer -
				     offsetof(struct fsck_state, observer));

	if (event->what != VOLUME_MODIFIED && event->what != VOLUME_ATTRIB) {
		changed(s, event->ino);
		changed(s, event->dir);
		changed(s, event->new_dir);
		changed(s, event->victim);
	}
}

/**
 * Begins with the inodes from one on, as many as fit. Returns 0 or ENOMEM;
 * check->state is there.
 */
int names_window(struct volume *vol, struct volume_fsck *check, uint32_t from)
{
	uint32_t left = vol->fs->super->s_inodes_count - from + 1;
	uint32_t most = check->at_once != 0 ? check->at_once : WINDOW;
	struct fsck_state *s = check->state;

	names_end(vol, s);
	s->from = from;
	s->count = left < most ? left : most;
	s->names = calloc((size_t)s->count, sizeof(*s->names));
	if (s->names == NULL) {
		s->count = 0;
		return ENOMEM;
	}
	s->observer.fn = heard;
	volume_observe(vol, &s->observer);
	return 0;
}

struct chunk {
	const struct look *l;
	unsigned left;
	uint64_t cookie;
	bool wild;			/* a name of no inode */
};

static bool count_name(void *arg, const struct volume_entry *entry)
{
	struct chunk *chunk = arg;
	uint16_t *names = names_of(chunk->l->check->state, entry->ino);

	if (names != NULL && *names < MANY) {
		++*names;
	}
	chunk->wild |= entry->ino > chunk->l->vol->fs->super->s_inodes_count;
	chunk->cookie = entry->cookie;
	return --chunk->left > 0;
}

/**
 * Counts some names of the directory l->ino, from check->cookie on; *more: it has
 * more, and the cookie is set. Returns 0, EAGAIN or ENOMEM, then nothing was counted.
 */
int names_read(struct look *l, bool *more)
{
	struct chunk chunk = { .l = l, .left = CHUNK };
	int error = volume_readdir(l->vol, l->ino, l->check->cookie,
				   count_name, &chunk);

	if (error == EAGAIN || error == ENOMEM) {
		return error;
	}
	if (error != 0) {
		l->check->state->unread = true;
	}
	/* With block maps in place of extents it is none of ours. */
	if (error != 0 && error != EOPNOTSUPP) {
		fsck_bad(l, "its names cannot be read");
	}
	if (chunk.wild) {
		fsck_bad(l, "a name in it is of an inode that there is not");
	}
	*more = error == 0 && chunk.left < CHUNK;
	l->check->cookie = *more ? chunk.cookie : 0;
	return 0;
}

/** Compares an inode's links with its names; in: NULL if it is free. Where names could
 * not be read there may be more. */
void names_compare(struct look *l, const struct ext2_inode_large *in)
{
	const uint16_t *names = names_of(l->check->state, l->ino);
	struct ext2_super_block *sb = l->vol->fs->super;
	uint32_t links = in != NULL ? in->i_links_count : 0;

	if (names == NULL || *names == CHANGED ||
	    (l->check->state->unread && *names <= links) ||
	    (l->ino < EXT2_FIRST_INO(sb) && l->ino != VOLUME_ROOT) ||
	    (l->ino == sb->s_orphan_file_inum &&
	     ext2fs_has_feature_orphan_file(sb))) {
		return;
	}
	if (in == NULL && *names > 0) {
		fsck_bad(l, "it is free, and has %u names", *names);
	} else if (links > 0 && *names == 0) {
		fsck_bad(l, "it has no name");
	} else if (in != NULL && links != *names &&
		   /* A directory that has too many to count has 1. */
		   !(links == 1 && LINUX_S_ISDIR(in->i_mode) && *names > 2)) {
		fsck_bad(l, "it has %u links, and %u names", (unsigned)links,
			 *names);
	}
}

/** Forgets a window. */
void names_end(struct volume *vol, struct fsck_state *state)
{
	if (state->names != NULL) {
		volume_unobserve(vol, &state->observer);
	}
	free(state->names);
	state->names = NULL;
}
