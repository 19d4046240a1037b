// SPDX-License-Identifier: GPL-2.0-only
/*
 * isthmus: FORGET. Nobody waits for it and it has no answer, so it goes to the
 * host before the next request, or after 100 ms, or when there are many, all that
 * there are in one message (BATCH_FORGET); and it is kept until the host is known
 * to have carried it out, which is when a request that was sent later is answered.
 * Is there none, one of the driver's own asks. All with ch->lock held.
 */
#include <linux/slab.h>

#include "fuse.h"

/* What one answer may free, and one idle turn: the rest waits for the next. */
#define FREE_AT_ONCE	16
#define FREE_IDLE	512
/* So many are enough for a message. */
#define BATCH_MIN	32
/* So many that the host may not have carried out are worth asking. */
#define ASK_MIN		64

/** One more, after all others. The list's from now on. True: there are enough for
 * a message. */
bool fuse_forget_add(struct fuse_session *s, struct fuse_forget_link *link)
{
	link->next = NULL;
	if (s->forget_first) {
		s->forget_last->next = link;
	} else {
		s->forget_first = link;
	}
	s->forget_last = link;
	if (!s->forget_next) {
		s->forget_next = link;
	}
	return (++s->forgets_made - s->forgets_sent) % BATCH_MIN == 0;
}

/**
 * Writes the oldest that were not sent (there is one), as many as one message
 * takes. False: no credit or space.
 */
bool fuse_forget_put(struct isthmus *ch, struct fuse_session *s)
{
	struct fuse_forget_batch *batch = &s->forget_batch;
	struct fuse_forget_link *next = s->forget_next;
	u32 n = 0;
	bool put;

	while (next && n < FUSE_FORGETS) {
		batch->one[n++] = next->forget_one;
		next = next->next;
	}
	batch->in.count = n;
	if (n == 1) {
		struct fuse_forget_in in = {
			.nlookup = batch->one[0].nlookup,
		};

		put = fuse_put_small(ch, s, FUSE_FORGET, 0,
				     batch->one[0].nodeid, &in, sizeof(in));
	} else {
		put = fuse_put_small(ch, s, FUSE_BATCH_FORGET, 0, 0, batch,
				     sizeof(batch->in) +
				     n * sizeof(batch->one[0]));
	}
	s->forget_waits = !put;
	if (put) {
		s->forgets_sent += n;
		s->forget_next = next;
	}
	return put;
}

/* Frees some that are known to be carried out. True: there are more. */
static bool free_some(struct fuse_session *s, int most)
{
	struct fuse_forget_link *link;
	int n;

	for (n = 0; n < most && s->forgets_done < s->forgets_sure; n++) {
		link = s->forget_first;
		s->forget_first = link->next;
		s->forgets_done++;
		kfree(link);
	}
	return s->forgets_done < s->forgets_sure;
}

/**
 * The host has carried out so many: they need not be sent again. A few at a time
 * are freed. Not those that are to be sent: a host may answer a request again
 * before it has come again.
 */
void fuse_forget_sure(struct fuse_session *s, u64 sure)
{
	sure = min(sure, s->forgets_sent);
	if (sure > s->forgets_sure) {
		s->forgets_sure = sure;
	}
	if (free_some(s, FREE_AT_ONCE)) {
		isthmus_publish_later(&isthmus_channel);
	}
}

/** Some time has passed: those that need no answer of the host's for it are freed.
 * True: of others there are so many that it is to be asked. */
bool fuse_forget_idle(struct fuse_session *s)
{
	if (free_some(s, FREE_IDLE)) {
		schedule_delayed_work(&isthmus_channel.publish, 1);
	}
	return s->forgets_made - s->forgets_sure >= ASK_MIN;
}

/**
 * A new connection, where the host says that it has carried out so many: all
 * after these go once more. A count that cannot be true is corrected.
 */
void fuse_forget_resume(struct fuse_session *s, u64 sure)
{
	u64 n;

	s->forgets_sure = clamp(sure, s->forgets_sure, s->forgets_sent);
	s->forgets_sent = s->forgets_sure;
	s->forget_next = s->forget_first;
	for (n = s->forgets_done; n < s->forgets_sent; n++) {
		s->forget_next = s->forget_next->next;
	}
}

/** At the session's end. */
void fuse_forget_free(struct fuse_session *s)
{
	struct fuse_forget_link *link;

	while ((link = s->forget_first) != NULL) {
		s->forget_first = link->next;
		kfree(link);
	}
	s->forget_next = NULL;
}

/* A file that is open for nobody: closed again. */
static void release_found(struct fuse_session *s, u64 nodeid,
			  const struct fuse_open_out *open)
{
	struct fuse_in_header head = {
		.opcode = FUSE_RELEASE, .nodeid = nodeid,
	};
	struct fuse_release_in in = { .fh = open->fh };
	struct fuse_req *req;

	if (open->fh == 0) {
		return;
	}
	req = fuse_own_new(&head, &in, sizeof(in), GFP_ATOMIC | __GFP_NOWARN);
	if (req) {
		list_add_tail(&req->list, &s->pending);
	}
}

/* A node that was found for nobody. */
static void forget_found(struct fuse_session *s, u64 nodeid)
{
	struct fuse_forget_link *link = kmalloc(sizeof(*link),
						GFP_ATOMIC | __GFP_NOWARN);

	if (link) {
		link->forget_one.nodeid = nodeid;
		link->forget_one.nlookup = 1;
		fuse_forget_add(s, link);
	}
}

/**
 * The answer to a request that was given up: what it opened is closed, the node
 * that it found is forgotten. Without memory for that, the host keeps them as
 * long as the session.
 */
void fuse_forget_found(struct fuse_session *s, const struct fuse_slot *slot,
		       const struct fuse_rx *rx)
{
	const struct fuse_found *found = &rx->found;
	u32 len = rx->head.len - sizeof(rx->head);

	if (rx->head.error != 0) {
		return;
	}
	switch (slot->opcode) {
	case FUSE_OPEN:
		if (len == sizeof(found->open)) {
			release_found(s, slot->nodeid, &rx->open);
		}
		return;
	case FUSE_CREATE:
	case FUSE_TMPFILE:
		if (len == sizeof(*found)) {
			release_found(s, found->entry.nodeid, &found->open);
		}
		break;
	case FUSE_LOOKUP:
	case FUSE_MKNOD:
	case FUSE_MKDIR:
	case FUSE_SYMLINK:
	case FUSE_LINK:
		break;
	default:
		return;
	}
	if (len >= sizeof(found->entry) && found->entry.nodeid != 0) {
		forget_found(s, found->entry.nodeid);
	}
}
