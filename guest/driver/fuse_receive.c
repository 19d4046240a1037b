// SPDX-License-Identifier: GPL-2.0-only
/*
 * isthmus: FUSE messages off the ring: a reply goes straight into its request's
 * arguments and pages, in whatever context finds it.
 *
 * All with ch->lock held, and so in hard interrupts too.
 *
 * Trust: the host may send anything. A reply's number is looked up among those
 * that are out, its length is compared with what the request has room for; what
 * does not fit ends the request with EIO, what is not FUSE the connection.
 */
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "fuse.h"

/* What finding a reply's request and waking its process counts as. */
#define REPLY_COST	256u

/* Has the request room for this reply, which has no error? *tail is what is not
 * for it, at the end. */
static bool fits(const struct fuse_args *args, u32 len, u32 *tail)
{
	u32 i, room = 0;

	for (i = 0; i < args->out_numargs; i++) {
		room += args->out_args[i].size;
	}
	*tail = args->opcode == FUSE_WRITE &&
		len - room == sizeof(struct fuse_channel_room) ? len - room :
		fuse_dir_tail(args->opcode, len - room);
	return len - *tail == room ||
	       (args->out_argvar && len < room &&
		room - len <= args->out_args[i - 1].size);
}

/* A reply's header is here: whose is it? A number that nobody has is no fault:
 * its request may have been given up before a reset. */
static void reply_begin(struct fuse_session *s)
{
	struct fuse_rx *rx = &s->rx;
	u32 len = rx->head.len - sizeof(rx->head);
	int error = rx->head.error;

	rx->slot = fuse_slot_by(s, rx->head.unique);
	if (!rx->slot) {
		return;
	}
	rx->req = rx->slot->req;
	if (!rx->req || !rx->req->fm) {
		return;
	}
	/* Of those that Linux gives to programs; an error's reply ends there. */
	if (error > 0 || error <= -ERESTARTSYS ||
	    (error ? len != 0 : !fits(rx->req->args, len, &rx->tail))) {
		rx->head.error = -EIO;
		rx->tail = 0;
		/* The rest is dropped, as for a request given up. */
		rx->arg = rx->req->args->out_numargs;
	}
}

/* A notification's header is here. False: the host has more under way than it
 * may, or there is no memory: it sends them again on the next connection. */
static bool notice_begin(struct fuse_session *s)
{
	struct fuse_rx *rx = &s->rx;
	u32 len = rx->head.len - sizeof(rx->head);

	if (len > FUSE_NOTICE_MAX ||
	    s->notices_received - s->notices_done ==
	    FUSE_CHANNEL_NOTIFY_MAX) {
		return false;
	}
	rx->notice = kmalloc(struct_size(rx->notice, body, len),
			     GFP_ATOMIC | __GFP_NOWARN);
	if (!rx->notice) {
		return false;
	}
	rx->notice->code = rx->head.error;
	rx->notice->len = len;
	return true;
}

/* The header of a message is here. False: not FUSE. */
static bool message_begin(struct fuse_session *s)
{
	struct fuse_rx *rx = &s->rx;

	rx->slot = NULL;
	rx->req = NULL;
	rx->arg = rx->arg_at = rx->page = rx->page_at = rx->tail = 0;
	if (rx->head.len < sizeof(rx->head) ||
	    rx->head.len > FUSE_MESSAGE_MAX) {
		return false;
	}
	if (s->state == SESSION_HELLO) {
		return rx->head.unique == FUSE_UNIQUE_NONE &&
		       rx->head.len == sizeof(rx->head) +
				       sizeof(struct fuse_channel_hello_out);
	}
	if (rx->head.unique == 0) {
		return notice_begin(s);
	}
	reply_begin(s);
	return true;
}

/* n bytes, from offset in the packet on, to the request's arguments. What there
 * is no place for, is dropped. */
static void body_to_args(struct isthmus *ch, struct fuse_rx *rx, u32 offset,
			 u32 n)
{
	const struct fuse_args *args = rx->req->args;
	const struct fuse_args_pages *ap =
		container_of(args, struct fuse_args_pages, args);
	u32 part, length;
	u8 *to;

	while (n != 0 && rx->arg < args->out_numargs) {
		const struct fuse_arg *arg = &args->out_args[rx->arg];

		if (args->out_pages && rx->arg == args->out_numargs - 1) {
			if (rx->page >= ap->num_pages) {
				return;
			}
			to = compat_fuse_page(ap, rx->page, &length) +
			     rx->page_at;
			part = min(n, length - rx->page_at);
			rx->page_at += part;
			if (rx->page_at == length) {
				rx->page++;
				rx->page_at = 0;
			}
		} else {
			to = arg->value + rx->arg_at;
			part = min(n, arg->size - rx->arg_at);
			rx->arg_at += part;
			if (rx->arg_at == arg->size) {
				rx->arg++;
				rx->arg_at = 0;
			}
		}
		ring_rx_copy(&ch->ring, offset, to, part);
		offset += part;
		n -= part;
	}
}

/* n bytes of the body are in the packet, from offset on. */
static void message_body(struct isthmus *ch, struct fuse_rx *rx, u32 offset,
			 u32 n)
{
	u32 at = rx->at - sizeof(rx->head);
	u32 tail = rx->head.len - sizeof(rx->head) - rx->tail;

	if (unlikely(at + n > tail)) {
		u32 skip = tail > at ? tail - at : 0;

		ring_rx_copy(&ch->ring, offset + skip,
			     (u8 *)rx->dir + (at + skip - tail), n - skip);
		n = skip;
	}
	if (rx->req && rx->req->fm) {
		body_to_args(ch, rx, offset, n);
	} else if (rx->notice) {
		ring_rx_copy(&ch->ring, offset, rx->notice->body + at, n);
	} else if (at < sizeof(rx->first)) {
		ring_rx_copy(&ch->ring, offset, rx->first + at,
			     min_t(u32, n, sizeof(rx->first) - at));
	}
}

/* What of the pages the reply has not filled, where the fuse module relies on
 * it. */
static void zero_rest(const struct fuse_args *args, u32 len)
{
	const struct fuse_args_pages *ap =
		container_of(args, struct fuse_args_pages, args);
	u32 i, length;

	for (i = 0; i < ap->num_pages; i++) {
		u8 *page = compat_fuse_page(ap, i, &length);

		if (len < length) {
			memset(page + len, 0, length - len);
		}
		len -= min(len, length);
	}
}

/* The answer is here, all of it. */
static void reply_end(struct fuse_session *s)
{
	struct fuse_rx *rx = &s->rx;
	struct fuse_slot *slot = rx->slot;
	struct fuse_req *req = rx->req;
	struct fuse_args *args;
	u32 i, len;

	if (!slot) {
		return;
	}
	fuse_forget_sure(s, slot->forgets);
	fuse_dir_answered(s, slot);
	fuse_slot_free(s, slot);
	if (!req) {
		fuse_forget_found(s, slot, rx);
		return;
	}
	rx->req = NULL;
	args = req->args;
	if (rx->head.error == 0 && args->out_argvar) {
		len = rx->head.len - sizeof(rx->head);
		for (i = 0; i + 1 < args->out_numargs; i++) {
			len -= args->out_args[i].size;
		}
		args->out_args[i].size = len;
		if (args->out_pages && args->page_zeroing) {
			zero_rest(args, len);
		}
	}
	if (rx->head.error == 0) {
		fuse_room_answered(s, req);
	}
	list_del_init(&req->list);
	fuse_end(s, req, rx->head.error);
}

/* The answer to HELLO: requests can go, what waits goes soon. False: the
 * connection cannot be used. */
static bool hello_end(struct isthmus *ch, struct fuse_session *s)
{
	struct fuse_channel_hello_out hello;
	bool resumed;

	memcpy(&hello, s->rx.first, sizeof(hello));
	resumed = hello.flags & FUSE_CHANNEL_RESUMED;
	if (s->rx.head.error != 0 || hello.version != FUSE_CHANNEL_VERSION) {
		return false;
	}
	if (s->known != resumed) {
		/* Files that are open are not open there any more, locks not
		 * held: going on would do harm without a word. */
		pr_err("isthmus: the host has forgotten a mount's session\n");
		s->known = false;
		return false;
	}
	s->known = true;
	s->state = SESSION_UP;
	fuse_forget_resume(s, hello.forgets);
	fuse_room_told(s, hello.room);
	s->interrupt = s->waiters != 0;
	/* Of what is carried out the last connection may have told nothing. */
	s->ack = s->notices_done != 0;
	if (!list_empty(&s->pending) || s->forget_next || s->interrupt ||
	    s->ack) {
		isthmus_flush_later(ch);
	}
	wake_up(&ch->wq);
	return true;
}

/* The message is complete. False: it ends the connection. */
static bool message_end(struct isthmus *ch, struct fuse_session *s)
{
	struct fuse_rx *rx = &s->rx;

	isthmus_rx_charge(ch, REPLY_COST);
	rx->at = 0;
	if (s->state == SESSION_HELLO) {
		return hello_end(ch, s);
	}
	if (rx->notice) {
		fuse_dir_unknown(s);
		list_add_tail(&rx->notice->list, &s->notices);
		s->notices_received++;
		rx->notice = NULL;
		if (!s->stopping) {
			queue_work(isthmus_fuse_notice_wq, &s->notice_work);
		}
		return true;
	}
	reply_end(s);
	return true;
}

/**
 * len bytes of the stream are in the current packet. False: not FUSE. Packets
 * and messages need not begin together.
 */
bool fuse_receive(struct isthmus *ch, struct fuse_session *s, u32 len)
{
	struct fuse_rx *rx = &s->rx;
	u32 offset = 0, n;

	while (offset < len) {
		if (rx->at < sizeof(rx->head)) {
			n = min_t(u32, len - offset,
				  sizeof(rx->head) - rx->at);
			ring_rx_copy(&ch->ring, offset,
				     (u8 *)&rx->head + rx->at, n);
			rx->at += n;
			offset += n;
			if (rx->at < sizeof(rx->head)) {
				break;
			}
			if (!message_begin(s)) {
				return false;
			}
		}
		n = min(len - offset, rx->head.len - rx->at);
		if (n != 0) {
			message_body(ch, rx, offset, n);
			rx->at += n;
			offset += n;
		}
		if (rx->at == rx->head.len && !message_end(ch, s)) {
			return false;
		}
	}
	return true;
}
