/* SPDX-License-Identifier: MIT */
/*
 * The last answers to requests that must not be carried out twice, for when
 * their connection is lost on the way and they come again. Linux has no more
 * than FUSE_CHANNEL_OUT_MAX requests without an answer, and answers are lost
 * from some one on: so this many are enough, if their order is that in which
 * they were sent last. [qemu-test/spin/fuse_resume.pml]
 */
#include <stdlib.h>
#include <string.h>

#include "host-bridge/files/fuse_legacy.h"

/**
 * Keeps a whole reply, with its header, in the oldest one's place. Without
 * memory for a long one it is not kept: only a listing is long, and its files
 * are then counted once more than Linux knows. left: its record, or NULL.
 */
void fuse_kept_add(struct fuse_session *s, const struct volume_seg *segs,
		   unsigned count, struct fuse_left_answer *left)
{
	struct fuse_kept *kept = &s->kept[s->kept_next];
	const struct fuse_out_header *header = segs[0].data;
	uint8_t *to = kept->bytes;

	s->kept_next = (s->kept_next + 1) % FUSE_CHANNEL_OUT_MAX;
	legacy_drop(LEGACY_ANSWER, kept->left);
	kept->left = left;
	fuse_legacy_sent(s, left);
	if (kept->big != NULL) {
		free(kept->big);
		kept->big = NULL;
	}
	kept->len = header->len;
	kept->unique = header->unique;
	if (kept->len > sizeof(kept->bytes)) {
		kept->big = to = malloc(kept->len);
		if (to == NULL) {
			kept->unique = 0;
			return;
		}
	}
	for (unsigned i = 0; i < count; i++) {
		memcpy(to, segs[i].data, segs[i].len);
		to += segs[i].len;
	}
}

/* Makes an answer the newest one. */
static void kept_renew(struct fuse_session *s, unsigned i)
{
	struct fuse_kept kept = s->kept[i];
	unsigned next = (i + 1) % FUSE_CHANNEL_OUT_MAX;

	while (next != s->kept_next) {
		s->kept[i] = s->kept[next];
		i = next;
		next = (next + 1) % FUSE_CHANNEL_OUT_MAX;
	}
	s->kept[i] = kept;
}

static void kept_drop(struct fuse_kept *kept)
{
	free(kept->big);
	kept->big = NULL;
	legacy_drop(LEGACY_ANSWER, kept->left);
	kept->left = NULL;
	kept->unique = 0;
}

/* Sends it again, when others know what it means for them. */
static void kept_send(struct fuse_session *s, unsigned i,
		      const struct fuse_in_header *in)
{
	struct fuse_later_reply **list = fuse_coherence_again(s);
	struct fuse_kept *kept = &s->kept[i];
	struct volume_seg seg = {
		.data = kept->big != NULL ? kept->big : kept->bytes,
		.len = kept->len,
	};
	struct fuse_request r;

	if (list == NULL) {
		fuse_send(s, &seg, 1);
		fuse_legacy_sent(s, kept->left);
		kept_renew(s, i);
		return;
	}
	fuse_request_begin(&r, s, in);
	s->server->change = 0;
	if (!fuse_later_reply(&r, &seg, 1, list, 0)) {
		fuse_cut_off(s);
		return;
	}
	/* It will have a place of its own, as the newest: not two. */
	kept_drop(kept);
	kept_renew(s, i);
	s->kept_next = (s->kept_next + FUSE_CHANNEL_OUT_MAX - 1) % FUSE_CHANNEL_OUT_MAX;
}

/** Sends the answer that is kept for a request again. Whether there is one. */
bool fuse_kept_send(struct fuse_session *s, const struct fuse_in_header *in)
{
	for (unsigned i = 0; i < FUSE_CHANNEL_OUT_MAX; i++) {
		if (s->kept[i].unique == in->unique) {
			kept_send(s, i, in);
			return true;
		}
	}
	return false;
}

/** Gives the memory back: the session is over. */
void fuse_kept_end(struct fuse_session *s)
{
	for (unsigned i = 0; i < FUSE_CHANNEL_OUT_MAX; i++) {
		kept_drop(&s->kept[i]);
	}
}
