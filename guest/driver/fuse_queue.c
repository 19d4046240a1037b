// SPDX-License-Identifier: GPL-2.0-only
/*
 * isthmus: what the kernel's fuse module calls: here is a request, here is a
 * FORGET, this one's process has got a signal.
 *
 * The cheap round trip: who sends a request that a process waits for looks for
 * its answer in the ring before that process begins to wait, and it does not
 * have to. A request of the background (reading ahead) is sent with fc->bg_lock
 * held, which its end takes: it goes to the host from the work queue, many with
 * one doorbell, or with the next request of the mount's; and whoever has no lock
 * ends those that are answered.
 */
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "fuse.h"

/* Ends what is answered in one of the lists. May sleep if that of `list` may. */
static void complete_list(struct fuse_session *s, struct list_head *list)
{
	struct isthmus *ch = &isthmus_channel;
	struct fuse_req *req, *next;
	unsigned long flags;
	LIST_HEAD(done);

	spin_lock_irqsave(&ch->lock, flags);
	list_splice_init(list, &done);
	spin_unlock_irqrestore(&ch->lock, flags);
	list_for_each_entry_safe(req, next, &done, list) {
		list_del_init(&req->list);
		if (req->in.h.opcode == FUSE_WRITE) {
			fuse_local_written(s, req);
		}
		fuse_request_end(req);
	}
}

/** The work queue's turn: publishes requests of the background, ends answered
 * ones. */
void fuse_session_done(struct work_struct *work)
{
	struct fuse_session *s = container_of(work, struct fuse_session,
					      done_work);
	struct isthmus *ch = &isthmus_channel;
	unsigned long flags;

	spin_lock_irqsave(&ch->lock, flags);
	if (ch->up) {
		isthmus_tx_done(ch, flags);
	} else {
		spin_unlock_irqrestore(&ch->lock, flags);
	}
	complete_list(s, &s->done);
	complete_list(s, &s->done_slow);
}

/* Answered here, and told to the host later. False: it has to be sent. */
static bool send_copy(struct fuse_session *s, struct fuse_req *req)
{
	struct fuse_req *copy = fuse_local_copy(s, req);

	if (!copy) {
		return false;
	}
	fuse_end(s, req, fuse_session_tell(s, copy) ? 0 : -ENOTCONN);
	return true;
}

/**
 * "Send this": its answer comes through fuse_request_end(). Process context;
 * one of the background may come with spin locks held.
 */
void fuse_session_request(struct fuse_iqueue *fiq, struct fuse_req *req)
{
	struct isthmus *ch = &isthmus_channel;
	struct fuse_session *s = fiq->priv;
	bool background = test_bit(FR_BACKGROUND, &req->flags);
	unsigned long flags;
	u32 opcode;
	bool sent;

	clear_bit(FR_PENDING, &req->flags);
	if (!background &&
	    (fuse_local_answer(s, req) || send_copy(s, req))) {
		return;
	}
	/* Also while it waits to be sent: so we hear of signals. */
	set_bit(FR_SENT, &req->flags);
	spin_lock_irqsave(&ch->lock, flags);
	sent = fuse_session_send(ch, s, req);
	if (sent && background) {
		queue_work(isthmus_fuse_wq, &s->done_work);
	}
	if (!sent || background) {
		spin_unlock_irqrestore(&ch->lock, flags);
		return;
	}
	opcode = req->in.h.opcode;
	isthmus_tx_done(ch, flags);
	if (unlikely(opcode == FUSE_SETLK || opcode == FUSE_SETLKW)) {
		fuse_local_locked(s);
	}
	if (!list_empty_careful(&s->done)) {
		complete_list(s, &s->done);
	}
}

/**
 * "Send this FORGET." Process context. Where the host has little room it goes at
 * once: the file may have no name any more, and its room is wanted. Likewise when
 * the host has to take others before it can be sent.
 */
void fuse_session_forget(struct fuse_iqueue *fiq,
			 struct fuse_forget_link *link)
{
	struct isthmus *ch = &isthmus_channel;
	struct fuse_session *s = fiq->priv;
	bool scarce = READ_ONCE(s->full) ||
		      (READ_ONCE(s->ready) && !fuse_room_for(s, 0));
	bool full = false;
	unsigned long flags;

	if (!xa_empty(&s->locked)) {
		xa_erase(&s->locked, link->forget_one.nodeid);
	}
	spin_lock_irqsave(&ch->lock, flags);
	if (s->state >= SESSION_DEAD) {
		spin_unlock_irqrestore(&ch->lock, flags);
		kfree(link);
		return;
	}
	if ((fuse_forget_add(s, link) || scarce) && s->state == SESSION_UP &&
	    list_empty(&s->pending)) {
		full = !fuse_forget_put(ch, s);
	}
	if ((scarce || full) && s->state == SESSION_UP) {
		isthmus_tx_done(ch, flags);
	} else {
		isthmus_tx_later(ch, flags);
	}
}

/* ---- Signals ---- */

/**
 * The process that waits for the request, which is the current one, has got a
 * signal. If it is to end, it does not wait for the host. Else the host is told,
 * which may answer EINTR.
 */
void fuse_session_interrupt(struct fuse_iqueue *fiq, struct fuse_req *req)
{
	struct isthmus *ch = &isthmus_channel;
	struct fuse_session *s = fiq->priv;
	unsigned long flags;

	spin_lock_irqsave(&ch->lock, flags);
	/* Answered just now? */
	if (list_empty(&req->list)) {
		spin_unlock_irqrestore(&ch->lock, flags);
		return;
	}
	fuse_waiter_add(s, req);
	if (fatal_signal_pending(current)) {
		/* The host is told all the same: it may be waiting, too. */
		fuse_killed(s, req);
	} else {
		s->interrupt = true;
		fuse_session_watch_later();
	}
	fuse_session_pump(ch, s);
	if (ch->up) {
		isthmus_tx_done(ch, flags);
	} else {
		spin_unlock_irqrestore(&ch->lock, flags);
	}
}

/* ---- What the host tells ---- */

/* The next notification; what came before it is carried out. */
static struct fuse_notice *next_notice(struct fuse_session *s, bool done)
{
	struct isthmus *ch = &isthmus_channel;
	struct fuse_notice *notice;
	unsigned long flags;

	spin_lock_irqsave(&ch->lock, flags);
	if (done) {
		s->notices_done++;
		s->ack = true;
	}
	notice = s->stopping || !s->ready ? NULL :
		 list_first_entry_or_null(&s->notices, struct fuse_notice,
					  list);
	if (notice) {
		list_del(&notice->list);
	} else if (s->ack) {
		fuse_session_pump(ch, s);
		if (ch->up) {
			isthmus_tx_done(ch, flags);
			return NULL;
		}
	}
	spin_unlock_irqrestore(&ch->lock, flags);
	return notice;
}

/** The notifications' turn: all there are, then the host is told how many. */
void fuse_session_notices(struct work_struct *work)
{
	struct fuse_session *s = container_of(work, struct fuse_session,
					      notice_work);
	struct fuse_notice *notice;
	bool done = false;

	while ((notice = next_notice(s, done)) != NULL) {
		isthmus_fuse_notify(s, notice->code, notice->body,
				    notice->len);
		kfree(notice);
		done = true;
	}
	if (READ_ONCE(s->state) >= SESSION_DEAD) {
		fuse_notify_unlock(s);
	}
}

/** The mount has its superblock: what the host has told is carried out. */
void fuse_session_ready(struct fuse_session *s)
{
	struct isthmus *ch = &isthmus_channel;
	unsigned long flags;

	spin_lock_irqsave(&ch->lock, flags);
	s->ready = true;
	spin_unlock_irqrestore(&ch->lock, flags);
	queue_work(isthmus_fuse_notice_wq, &s->notice_work);
}

const struct fuse_iqueue_ops fuse_session_ops = {
	COMPAT_FUSE_OPS
	.release = fuse_session_release,
};
