// SPDX-License-Identifier: GPL-2.0-only
/*
 * isthmus: FUSE messages into the ring: from the fuse module's arguments and pages
 * straight into it, the whole of a message or nothing. And the numbers of
 * requests that are out.
 *
 * All but fuse_own_new() with ch->lock held, and so in hard interrupts too.
 */
#include <linux/slab.h>

#include "fuse.h"

/* A number's lowest bit is INTERRUPT's, then comes the slot. */
#define SLOT_SHIFT	1
static_assert((FUSE_SLOTS & (FUSE_SLOTS - 1)) == 0, "a slot in a number");

/**
 * A request of the driver's own, with the opcode, node and ids of head. It belongs
 * to who sends it, and is freed when it ends. NULL: no memory, or too long. In any
 * context, as gfp says.
 */
struct fuse_req *fuse_own_new(const struct fuse_in_header *head,
			      const void *body, u32 len, gfp_t gfp)
{
	struct fuse_own *own;

	if (len > sizeof(own->body)) {
		return NULL;
	}
	own = kzalloc(sizeof(*own), gfp);
	if (!own) {
		return NULL;
	}
	INIT_LIST_HEAD(&own->req.list);
	own->req.in.h = *head;
	own->req.in.h.len = sizeof(*head) + len;
	own->req.args = &own->args;
	memcpy(own->body, body, len);
	own->args.in_numargs = 1;
	own->args.in_args[0].size = len;
	own->args.in_args[0].value = own->body;
	return &own->req;
}

/* Numbers rise in the order of the stream. */
static u64 number_new(struct fuse_session *s, u32 slot)
{
	return s->next++ * (FUSE_SLOTS << SLOT_SHIFT) |
	       (u64)slot << SLOT_SHIFT;
}

/**
 * A small message of the driver's own: header and len bytes of body. unique 0:
 * one that has no answer, its number is nobody's. False: no credit or space;
 * nothing was written.
 */
bool fuse_put_small(struct isthmus *ch, struct fuse_session *s, u32 opcode,
		    u64 unique, u64 nodeid, const void *body, u32 len)
{
	struct fuse_in_header head = {
		.len = sizeof(head) + len,
		.opcode = opcode,
		.unique = unique ? unique : number_new(s, 0),
		.nodeid = nodeid,
	};
	struct stream_put p;

	if (!stream_begin(ch, &s->stream, &p, head.len)) {
		return false;
	}
	stream_bytes(&p, &head, sizeof(head));
	stream_bytes(&p, body, len);
	return true;
}

/** The slot of that number. NULL: nobody has it. */
struct fuse_slot *fuse_slot_by(struct fuse_session *s, u64 unique)
{
	struct fuse_slot *slot =
		&s->slot[unique >> SLOT_SHIFT & (FUSE_SLOTS - 1)];

	return slot->unique == unique ? slot : NULL;
}

/** The slot of a request that is out. NULL: the host has not got it. */
struct fuse_slot *fuse_slot_of(struct fuse_session *s,
			       const struct fuse_req *req)
{
	struct fuse_slot *slot = fuse_slot_by(s, req->in.h.unique);

	return slot && slot->req == req ? slot : NULL;
}

/** The answer has come, or will not: the slot is free, and so is its number. */
void fuse_slot_free(struct fuse_session *s, struct fuse_slot *slot)
{
	__clear_bit(slot - s->slot, s->taken);
	if (slot->lock) {
		s->locks--;
	} else {
		s->busy--;
	}
	slot->unique = 0;
	slot->req = NULL;
	if (slot->privs) {
		fuse_privs_after(s, slot->privs);
	}
}

/* The request's slot: the one it has, or a free one. NULL: as many are out as
 * may be. */
static struct fuse_slot *slot_find(struct fuse_session *s,
				   const struct fuse_req *req)
{
	struct fuse_slot *slot = fuse_slot_of(s, req);
	u32 n;

	if (slot) {
		return slot;
	}
	if (s->busy >= FUSE_CHANNEL_OUT_MAX &&
	    req->in.h.opcode != FUSE_SETLKW) {
		return NULL;
	}
	n = find_first_zero_bit(s->taken, FUSE_SLOTS);
	return n < FUSE_SLOTS ? &s->slot[n] : NULL;
}

/* Gives the free slot to the request, and a number with it. */
static void slot_take(struct fuse_session *s, struct fuse_slot *slot,
		      struct fuse_req *req)
{
	__set_bit(slot - s->slot, s->taken);
	slot->req = req;
	slot->nodeid = req->in.h.nodeid;
	slot->privs = fuse_privs_node(req);
	slot->opcode = req->in.h.opcode;
	slot->lock = slot->opcode == FUSE_SETLKW;
	if (slot->lock) {
		s->locks++;
	} else {
		s->busy++;
	}
	slot->unique = number_new(s, slot - s->slot);
	req->in.h.unique = slot->unique;
}

static void put_pages(struct stream_put *p, const struct fuse_args *args, u32 n)
{
	const struct fuse_args_pages *ap =
		container_of(args, struct fuse_args_pages, args);
	u32 i, length;

	for (i = 0; n != 0; i++) {
		const u8 *data = compat_fuse_page(ap, i, &length);

		length = min(length, n);
		stream_bytes(p, data, length);
		n -= length;
	}
}

/**
 * Writes the request as one or more packets, and takes a number for it if it
 * has none. False: no credit, no space or no number for it now; nothing was
 * written then. The whole or nothing, so that requests do not mix in the
 * stream.
 */
bool fuse_put_request(struct isthmus *ch, struct fuse_session *s,
		      struct fuse_req *req)
{
	const struct fuse_args *args = req->args;
	struct fuse_slot *slot = slot_find(s, req);
	struct stream_put p;
	u32 i;

	if (!slot || !stream_begin(ch, &s->stream, &p, req->in.h.len)) {
		return false;
	}
	if (slot->unique == 0) {
		slot_take(s, slot, req);
	}
	slot->told = false;
	slot->forgets = s->forgets_sent;
	stream_bytes(&p, &req->in.h, sizeof(req->in.h));
	for (i = 0; i < args->in_numargs; i++) {
		const struct fuse_in_arg *arg = &args->in_args[i];

		if (args->in_pages && i == args->in_numargs - 1) {
			put_pages(&p, args, arg->size);
		} else {
			stream_bytes(&p, arg->value, arg->size);
		}
	}
	return true;
}
