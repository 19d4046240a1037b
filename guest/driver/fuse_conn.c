// SPDX-License-Identifier: GPL-2.0-only
/*
 * isthmus: a FUSE mount's connection to the host: a stream made of the same
 * packets as any vsock connection but kept here. Local ports are below 1024,
 * which no unprivileged process can bind: the host serves files to no other.
 *
 * When the connection ends, by a reset of the channel or because the host ends
 * it, requests wait; the next connection begins with HELLO, and then they go
 * again, in their order and under their numbers. Only the removal of the
 * device, and a host that has forgotten the session, end a mount for ever.
 *
 * All with ch->lock held but for what a mount calls.
 */
#include <linux/interrupt.h>
#include <linux/mm.h>
#include <linux/workqueue.h>

#include "fuse.h"

#define MOUNT_TIMEOUT	(5 * HZ)
#define STOP_TIMEOUT	(5 * HZ)
/* How long after a connection's end, which was not the channel's, the next one
 * is tried; and how soon a signal to a waiting process is noticed that was
 * interrupted before. */
#define WATCH_TIME	(HZ / 4)

/* By local port. A session that is not here gets no packets. */
static struct fuse_session *sessions[FUSE_MOUNTS];

static void watch_turn(struct work_struct *work);
static DECLARE_DELAYED_WORK(watch, watch_turn);

/** Has the watch look at the sessions in a while. */
void fuse_session_watch_later(void)
{
	if (!delayed_work_pending(&watch)) {
		schedule_delayed_work(&watch, WATCH_TIME);
	}
}

/* The session's end: nothing comes or goes any more. */
static void session_dead(struct isthmus *ch, struct fuse_session *s)
{
	struct fuse_req *req, *next;

	s->state = SESSION_DEAD;
	list_splice_tail_init(&s->pending, &s->out);
	list_for_each_entry_safe(req, next, &s->out, list) {
		fuse_give_up(s, req, -ENOTCONN);
	}
	/* It lets files go that the host has locked. */
	queue_work(isthmus_fuse_notice_wq, &s->notice_work);
	wake_up(&ch->wq);
}

/* The connection's end. What was sent waits in front of what was not; answers
 * that nobody wants will not come. */
static void connection_lost(struct isthmus *ch, struct fuse_session *s)
{
	u32 n;

	kfree(s->rx.notice);
	memset(&s->rx, 0, sizeof(s->rx));
	fuse_dir_unknown(s);
	for_each_set_bit(n, s->taken, FUSE_SLOTS) {
		if (!s->slot[n].req) {
			fuse_slot_free(s, &s->slot[n]);
		}
	}
	list_splice_init(&s->out, &s->pending);
	s->hello = false;
	if (s->known) {
		s->state = SESSION_DOWN;
	} else {
		/* A mount that waits, and is told no. */
		session_dead(ch, s);
	}
	wake_up(&ch->wq);
}

/* Tells the host that the connection is over. When there is no space now, the
 * thread does. */
static void send_rst(struct isthmus *ch, struct fuse_session *s)
{
	s->rst = !stream_packet(ch, &s->stream, VIRTIO_VSOCK_OP_RST);
}

/* The mount's end, or what is as good: the host is told, and all requests
 * fail. */
static void session_end(struct isthmus *ch, struct fuse_session *s)
{
	if (s->state >= SESSION_DEAD) {
		return;
	}
	if (ch->up && s->state != SESSION_DOWN) {
		send_rst(ch, s);
	}
	s->known = false;
	connection_lost(ch, s);
}

/* The RST is out, or nobody is there to tell: nothing keeps a session whose
 * mount is gone. */
static void rst_done(struct fuse_session *s)
{
	s->rst = false;
	if (s->state == SESSION_GONE) {
		sessions[s->stream.port - FUSE_PORT_FIRST] = NULL;
		kfree(s);
	}
}

/* Asks the host for a connection. False: the channel is down, or has no space
 * now; then the thread tries, or tells ch->wq. */
static bool connect(struct isthmus *ch, struct fuse_session *s)
{
	if (!stream_connect(ch, &s->stream)) {
		return false;
	}
	s->state = SESSION_CONNECTING;
	return true;
}

/* The first message. */
static void send_hello(struct isthmus *ch, struct fuse_session *s)
{
	struct fuse_channel_hello hello = {
		.version = FUSE_CHANNEL_VERSION,
		.session = s->id,
		.notified = s->notices_received,
	};

	s->hello = !fuse_put_small(ch, s, FUSE_CHANNEL_HELLO,
				   FUSE_UNIQUE_NONE, 0, &hello,
				   sizeof(hello));
}

/* A notification count, if it is due. */
static bool put_ack(struct isthmus *ch, struct fuse_session *s)
{
	struct fuse_channel_done done = { .notified = s->notices_done };

	return fuse_put_small(ch, s, FUSE_NOTIFY_REPLY, 0, 0, &done,
			      sizeof(done));
}

/* INTERRUPT, once for each time that the host gets the request. */
static bool put_interrupt(struct isthmus *ch, struct fuse_session *s,
			  struct fuse_slot *slot)
{
	struct fuse_interrupt_in in = { .unique = slot->unique };

	if (!slot->told) {
		slot->told = fuse_put_small(ch, s, FUSE_INTERRUPT,
					    in.unique | 1, 0, &in,
					    sizeof(in));
	}
	return slot->told;
}

/* For those who wait for what the host has got, and those who did. */
static bool put_interrupts(struct isthmus *ch, struct fuse_session *s)
{
	struct fuse_slot *slot;
	u32 i;

	for (i = 0; i < s->waiters; i++) {
		slot = fuse_slot_of(s, s->waiter[i].req);
		if (slot && !put_interrupt(ch, s, slot)) {
			return false;
		}
	}
	for_each_set_bit(i, s->taken, FUSE_SLOTS) {
		slot = &s->slot[i];
		if (!slot->req && !put_interrupt(ch, s, slot)) {
			return false;
		}
	}
	return true;
}

/* Would it be one more than may wait for locks? The slots that are left are
 * for others: one of them may be the unlocking. */
static bool too_many_locks(struct fuse_session *s, const struct fuse_req *req)
{
	return req->in.h.opcode == FUSE_SETLKW && !fuse_slot_of(s, req) &&
	       s->locks >= FUSE_CHANNEL_WAITS_MAX;
}

/**
 * Writes what is due, as far as it goes. FORGETs come after requests: what was
 * answered before it was sent must find its node known.
 */
void fuse_session_pump(struct isthmus *ch, struct fuse_session *s)
{
	struct fuse_req *req;

	if (s->state != SESSION_UP) {
		return;
	}
	if (s->ack) {
		s->ack = !put_ack(ch, s);
	}
	while (!list_empty(&s->pending)) {
		req = list_first_entry(&s->pending, struct fuse_req, list);
		if (too_many_locks(s, req)) {
			fuse_give_up(s, req, -ENOLCK);
		} else if (fuse_put_request(ch, s, req)) {
			list_move_tail(&req->list, &s->out);
		} else {
			return;
		}
	}
	if (s->interrupt) {
		s->interrupt = !put_interrupts(ch, s);
	}
	while (s->forget_next && fuse_forget_put(ch, s)) {
	}
}

/**
 * Sends a request, or has it wait for its turn. False: it was not sent. What can
 * never be is ended.
 */
bool fuse_session_send(struct isthmus *ch, struct fuse_session *s,
		       struct fuse_req *req)
{
	if (s->state >= SESSION_DEAD) {
		fuse_end(s, req, -ENOTCONN);
		return false;
	}
	if (req->in.h.len > FUSE_MESSAGE_MAX || too_many_locks(s, req)) {
		fuse_end(s, req, req->in.h.opcode == FUSE_SETLKW ? -ENOLCK :
			 -EIO);
		return false;
	}
	if (s->state == SESSION_UP && list_empty(&s->pending)) {
		/* Files without a name give their space back by it. */
		while (unlikely(s->forget_next) && fuse_forget_put(ch, s)) {
		}
		if (fuse_put_request(ch, s, req)) {
			list_add_tail(&req->list, &s->out);
			return true;
		}
	}
	list_add_tail(&req->list, &s->pending);
	return false;
}

/**
 * Sends a request of the driver's own that nobody waits for: with the next one, or
 * a little later. False: the host will never get it. ch->lock is taken here.
 */
bool fuse_session_tell(struct fuse_session *s, struct fuse_req *own)
{
	struct isthmus *ch = &isthmus_channel;
	unsigned long flags;
	bool alive;

	spin_lock_irqsave(&ch->lock, flags);
	alive = s->state < SESSION_DEAD;
	if (fuse_session_send(ch, s, own)) {
		isthmus_tx_later(ch, flags);
	} else {
		spin_unlock_irqrestore(&ch->lock, flags);
	}
	return alive;
}

/* One packet for the session, in any state of it. */
static void input(struct isthmus *ch, struct fuse_session *s,
		  const struct ring_packet *packet)
{
	bool ok;

	if (s->state == SESSION_DOWN || s->state >= SESSION_DEAD) {
		return;
	}
	ok = stream_credit(&s->stream, packet);
	switch (packet->op) {
	case VIRTIO_VSOCK_OP_RW:
		ok = ok && s->state >= SESSION_HELLO &&
		     fuse_receive(ch, s, packet->len);
		break;
	case VIRTIO_VSOCK_OP_RESPONSE:
		ok = ok && s->state == SESSION_CONNECTING;
		if (ok) {
			s->state = SESSION_HELLO;
			send_hello(ch, s);
		}
		break;
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		/* Every request tells the host our count. */
		break;
	default:	/* RST; SHUTDOWN: a file server that stops serving */
		ok = false;
	}
	if (!ok) {
		if (packet->op != VIRTIO_VSOCK_OP_RST) {
			send_rst(ch, s);
		}
		s->failed = true;
		connection_lost(ch, s);
		fuse_session_watch_later();
	} else if (unlikely(s->hello || s->ack || s->interrupt ||
			    s->forget_waits || !list_empty(&s->pending))) {
		/* Credit, or a number for the next. */
		isthmus_flush_later(ch);
	}
}

/**
 * Deals with a packet if it is for a FUSE mount (lock held, any context). False:
 * it is for somebody else.
 */
bool isthmus_fuse_input(struct isthmus *ch, const struct ring_packet *packet)
{
	u32 index = packet->dst_port - FUSE_PORT_FIRST;

	if (packet->src_port != FUSE_CHANNEL_PORT || index >= FUSE_MOUNTS ||
	    !sessions[index] || packet->type != VIRTIO_VSOCK_TYPE_STREAM) {
		return false;
	}
	input(ch, sessions[index], packet);
	return true;
}

/**
 * There may be space, or the channel is up again (lock held, ch->up): does what
 * is due.
 */
void isthmus_fuse_flush(struct isthmus *ch)
{
	struct fuse_session *s;
	int i;

	for (i = 0; i < FUSE_MOUNTS; i++) {
		s = sessions[i];
		if (!s) {
			continue;
		}
		if (s->rst) {
			send_rst(ch, s);
			if (s->rst) {
				continue;
			}
			rst_done(s);
			if (!sessions[i]) {
				continue;
			}
		}
		if (s->state == SESSION_DOWN && !s->failed && s->known) {
			connect(ch, s);
		}
		if (s->hello) {
			send_hello(ch, s);
		}
		fuse_session_pump(ch, s);
	}
}

/**
 * Some time has passed since there was something that nobody waits for (lock held,
 * ch->up): what of it needs an answer of the host's that no other request will
 * have is asked for.
 */
void isthmus_fuse_idle(struct isthmus *ch)
{
	struct fuse_session *s;
	struct fuse_req *req;
	int i;

	for (i = 0; i < FUSE_MOUNTS; i++) {
		s = sessions[i];
		if (s && s->state == SESSION_UP &&
		    (fuse_forget_idle(s) || fuse_room_idle(s))) {
			req = fuse_room_ask(s);
			if (req) {
				fuse_session_send(ch, s, req);
			}
		}
	}
}

/**
 * The channel went down (lock held): every mount's requests wait for it to come
 * back. When there is no device any more, they fail, and all later ones. Returns
 * how many had been sent and had no answer yet.
 */
u32 isthmus_fuse_reset(struct isthmus *ch)
{
	struct fuse_session *s;
	struct list_head *item;
	u32 count = 0;
	int i;

	for (i = 0; i < FUSE_MOUNTS; i++) {
		s = sessions[i];
		if (!s) {
			continue;
		}
		list_for_each(item, &s->out) {
			count++;
		}
		if (s->state < SESSION_DEAD) {
			s->failed = false;
			if (s->state != SESSION_DOWN) {
				connection_lost(ch, s);
			}
			if (!ch->bound) {
				session_dead(ch, s);
			}
		}
		rst_done(s);
	}
	return count;
}

/* What is looked at now and then: connections that ended, processes that were
 * killed after a first signal, the last requests of a mount that goes. */
static void session_check(struct isthmus *ch, struct fuse_session *s)
{
	if (s->failed && s->state == SESSION_DOWN && !s->rst) {
		s->failed = false;
		connect(ch, s);
	}
	fuse_waiters_check(s);
	fuse_session_pump(ch, s);
	if (s->stopping && (s->state != SESSION_UP ||
			    time_after(jiffies, s->stop))) {
		session_end(ch, s);
	}
	if (s->failed || s->waiters != 0 || s->stopping) {
		fuse_session_watch_later();
	}
}

static void watch_turn(struct work_struct *work)
{
	struct isthmus *ch = &isthmus_channel;
	unsigned long flags;
	int i;

	spin_lock_irqsave(&ch->lock, flags);
	for (i = 0; i < FUSE_MOUNTS; i++) {
		if (sessions[i] && sessions[i]->state < SESSION_DEAD) {
			session_check(ch, sessions[i]);
		}
	}
	if (ch->up) {
		isthmus_tx_done(ch, flags);
	} else {
		spin_unlock_irqrestore(&ch->lock, flags);
	}
}

/* Takes a free port and asks for the first connection. -EMFILE: all mounts are
 * in use. -ENODEV: there is no device. -EAGAIN: ch->wq tells when to try
 * again. */
static int first_connect(struct isthmus *ch, struct fuse_session *s)
{
	unsigned long flags;
	int i, err;

	spin_lock_irqsave(&ch->lock, flags);
	for (i = 0; i < FUSE_MOUNTS && sessions[i]; i++) {
	}
	s->stream.port = FUSE_PORT_FIRST + i;
	s->stream.peer = FUSE_CHANNEL_PORT;
	if (i == FUSE_MOUNTS) {
		err = -EMFILE;
	} else if (!READ_ONCE(ch->bound)) {
		err = -ENODEV;
	} else if (!connect(ch, s)) {
		err = -EAGAIN;
	} else {
		sessions[i] = s;
		isthmus_tx_done(ch, flags);
		return 0;
	}
	s->stream.port = 0;
	spin_unlock_irqrestore(&ch->lock, flags);
	return err;
}

/**
 * A new mount's connection. Waits for the channel and for the host's answers,
 * at most 5 s in all. Fails with -ENODEV (no device), -ENOTCONN (channel down,
 * or full), -EMFILE, -ETIMEDOUT, -ECONNREFUSED (no file server); a killed mount
 * with whatever its wait makes of it. May sleep.
 */
int fuse_session_open(struct fuse_session *s)
{
	struct isthmus *ch = &isthmus_channel;
	long left;
	int err;

	left = wait_event_killable_timeout(ch->wq, (err = first_connect(ch, s))
					   != -EAGAIN, MOUNT_TIMEOUT);
	if (err) {
		return err != -EAGAIN ? err : left < 0 ? (int)left : -ENOTCONN;
	}
	left = wait_event_killable_timeout(ch->wq, READ_ONCE(s->state) >=
					   SESSION_UP, left);
	if (left <= 0) {
		return left == 0 ? -ETIMEDOUT : (int)left;
	}
	return READ_ONCE(s->state) == SESSION_UP ? 0 : -ECONNREFUSED;
}

/**
 * The mount begins to go: no notification is carried out any more, since that
 * needs its files; and what is still to be answered has 5 s. May sleep as
 * long.
 */
void fuse_session_stop(struct fuse_session *s)
{
	struct isthmus *ch = &isthmus_channel;
	unsigned long flags;

	spin_lock_irqsave(&ch->lock, flags);
	s->stopping = true;
	s->stop = jiffies + STOP_TIMEOUT;
	if (s->state < SESSION_UP) {
		session_end(ch, s);
	}
	fuse_session_watch_later();
	spin_unlock_irqrestore(&ch->lock, flags);
	cancel_work_sync(&s->notice_work);
}

/**
 * The session's end: all requests fail, the host is told. May sleep.
 */
void fuse_session_close(struct fuse_session *s)
{
	struct isthmus *ch = &isthmus_channel;
	unsigned long flags;

	spin_lock_irqsave(&ch->lock, flags);
	session_end(ch, s);
	if (ch->up) {
		isthmus_tx_done(ch, flags);
	} else {
		spin_unlock_irqrestore(&ch->lock, flags);
	}
}

/**
 * Nobody has the session any more: it is freed, at once or as soon as the host
 * is told its end. May sleep.
 */
void fuse_session_release(struct fuse_iqueue *fiq)
{
	struct isthmus *ch = &isthmus_channel;
	struct fuse_session *s = fiq->priv;
	struct fuse_notice *notice, *next;
	unsigned long flags;

	fuse_session_close(s);
	cancel_work_sync(&s->notice_work);
	cancel_work_sync(&s->done_work);
	xa_destroy(&s->locked);
	list_for_each_entry_safe(notice, next, &s->notices, list) {
		kfree(notice);
	}
	spin_lock_irqsave(&ch->lock, flags);
	fuse_forget_free(s);
	s->state = SESSION_GONE;
	if (s->stream.port == 0) {
		kfree(s);
	} else if (!s->rst) {
		rst_done(s);
	}
	spin_unlock_irqrestore(&ch->lock, flags);
}

/** At the module's end. */
void fuse_session_watch_stop(void)
{
	cancel_delayed_work_sync(&watch);
}
