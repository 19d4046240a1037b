/* SPDX-License-Identifier: MIT */
/*
 * Files that a session has open for writing. Reads and writes go by node, so an
 * open file is nothing but a count, by which others know who may have changes
 * that are not written yet; its number is for RELEASE to end it.
 */
#include <errno.h>
#include <stdlib.h>

#include "host-bridge/files/fuse_legacy.h"
#include "host-bridge/rt/tsc.h"

/* Numbers are ours, but any may be asked for. */
static struct fuse_open **bucket_of(struct fuse_session *s, uint64_t fh)
{
	return &s->opens[seed_bucket(s->seed, fh, FUSE_OPEN_BITS)];
}

/**
 * Counts one more writer of a node, by a new number; left: its record, NULL: there is
 * none yet. Returns 0, ENFILE (too many, or too many of the user's) or ENOMEM.
 */
int fuse_open_new(struct fuse_session *s, struct fuse_node *node, uint32_t uid,
		  uint64_t fh, struct fuse_left_open *left)
{
	struct fuse_user *user = fuse_user_get(s, uid);
	struct fuse_open *open = malloc(sizeof(*open));
	struct fuse_open **bucket;
	int error = user == NULL || open == NULL ? ENOMEM : 0;

	if (s->opens == NULL) {
		s->opens = calloc(1u << FUSE_OPEN_BITS, sizeof(struct fuse_open *));
	}
	if (s->opens == NULL) {
		error = ENOMEM;
	}
	if (error == 0 && !fuse_quota(user, user->opens, s->open_count, 1,
				      FUSE_OPENS_MAX)) {
		error = ENFILE;
	}
	if (error != 0) {
		free(open);
		if (user != NULL) {
			fuse_user_put(s, user);
		}
		return error;
	}
	bucket = bucket_of(s, fh);
	*open = (struct fuse_open){
		.next = *bucket, .fh = fh, .node = node, .user = user,
	};
	*bucket = open;
	user->opens++;
	s->open_count++;
	node->writers++;
	open->left = left != NULL ? left : fuse_legacy_open(s, open);
	return 0;
}

/* Ends the open file that link leads to. */
static void open_free(struct fuse_session *s, struct fuse_open **link)
{
	struct fuse_open *open = *link;

	*link = open->next;
	s->open_count--;
	legacy_drop(LEGACY_OPEN, open->left);
	open->user->opens--;
	fuse_user_put(s, open->user);
	open->node->writers--;
	fuse_coherence_closed(s, open->node);
	free(open);
}

/** RELEASE: one writer less; nothing if there is no such number. */
void fuse_open_end(struct fuse_session *s, uint64_t fh)
{
	struct fuse_open **link = s->opens == NULL ? NULL : bucket_of(s, fh);

	while (link != NULL && *link != NULL && (*link)->fh != fh) {
		link = &(*link)->next;
	}
	if (link != NULL && *link != NULL) {
		open_free(s, link);
	}
}

/**
 * Ends open files of a session that is over, some in any case and then until it
 * is later than until (TSC). Returns whether there was time for all of them.
 */
bool fuse_open_end_some(struct fuse_session *s, uint64_t until)
{
	unsigned done = 0;

	for (uint32_t i = 0; s->open_count > 0; i++) {
		while (s->opens[i] != NULL) {
			if (done++ >= 32 && tsc_now() >= until) {
				return false;
			}
			open_free(s, &s->opens[i]);
		}
	}
	free(s->opens);
	s->opens = NULL;
	return true;
}
