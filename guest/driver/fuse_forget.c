// SPDX-License-Identifier: GPL-2.0-only
/*
 * isthmus: FORGET. Nobody waits for it and it has no answer, so it goes to the
 * host with the next request; and it is kept until the host is known to have
 * carried it out, which is when a request that was sent later is answered. All
 * with ch->lock held.
 */
#include <linux/slab.h>

#include "fuse.h"

/* What one answer may free: the rest waits for the next. */
#define FREE_AT_ONCE	16

/** One more, after all others. The list's from now on. */
void fuse_forget_add(struct fuse_session *s, struct fuse_forget_link *link)
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
}

/**
 * Writes the oldest that was not sent (there is one). False: no credit or
 * space.
 */
bool fuse_forget_put(struct isthmus *ch, struct fuse_session *s)
{
	const struct fuse_forget_one *one = &s->forget_next->forget_one;
	struct fuse_forget_in in = { .nlookup = one->nlookup };

	if (!fuse_put_small(ch, s, FUSE_FORGET, 0, one->nodeid, &in,
			    sizeof(in))) {
		return false;
	}
	s->forgets_sent++;
	s->forget_next = s->forget_next->next;
	return true;
}

/**
 * The host has carried out so many: they need not be sent again. A few at a time
 * are freed.
 */
void fuse_forget_sure(struct fuse_session *s, u64 sure)
{
	struct fuse_forget_link *link;
	int n;

	if (sure > s->forgets_sure) {
		s->forgets_sure = sure;
	}
	for (n = 0; n < FREE_AT_ONCE && s->forgets_done < s->forgets_sure;
	     n++) {
		link = s->forget_first;
		s->forget_first = link->next;
		s->forgets_done++;
		kfree(link);
	}
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

/**
 * The answer to a request that was given up: if it found a node, that is
 * forgotten. Without memory for it, the host knows the node as long as the
 * session.
 */
void fuse_forget_found(struct fuse_session *s, u32 opcode,
		       const struct fuse_rx *rx)
{
	struct fuse_forget_link *link;
	u64 nodeid;

	switch (opcode) {
	case FUSE_LOOKUP:
	case FUSE_CREATE:
	case FUSE_MKNOD:
	case FUSE_MKDIR:
	case FUSE_SYMLINK:
	case FUSE_LINK:
	case FUSE_TMPFILE:
		break;
	default:
		return;
	}
	memcpy(&nodeid, rx->first, sizeof(nodeid));
	if (rx->head.error != 0 || nodeid == 0 ||
	    rx->head.len < sizeof(rx->head) + sizeof(struct fuse_entry_out)) {
		return;
	}
	link = kmalloc(sizeof(*link), GFP_ATOMIC | __GFP_NOWARN);
	if (link) {
		link->forget_one.nodeid = nodeid;
		link->forget_one.nlookup = 1;
		fuse_forget_add(s, link);
	}
}
