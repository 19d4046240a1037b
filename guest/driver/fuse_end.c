// SPDX-License-Identifier: GPL-2.0-only
/*
 * isthmus: how a FUSE request ends. All with ch->lock held, and so in hard
 * interrupts too: who waits for a request is told at once; everything else that
 * follows from an answer takes locks of the fuse module's that no interrupt may
 * take, and is left to the session's work.
 */
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "fuse.h"

/* Ends of requests, and publishing: others wait for memory that these give
 * back. And notifications, which wait for the first. */
struct workqueue_struct *isthmus_fuse_wq, *isthmus_fuse_notice_wq;

/* Ends a request that a process waits for. It does what fuse_request_end() would
 * do but take fiq->lock, which is for interrupts that are queued there, and this
 * driver queues none there. What is left then gives a reference back. */
static void end_waiter(struct fuse_req *req)
{
	set_bit(FR_FINISHED, &req->flags);
	smp_mb__after_atomic();
	if (waitqueue_active(&req->waitq)) {
		wake_up(&req->waitq);
	}
	fuse_request_end(req);
}

/* Nobody waits for it any more. */
static void waiter_gone(struct fuse_session *s, const struct fuse_req *req)
{
	u32 i;

	for (i = 0; i < s->waiters; i++) {
		if (s->waiter[i].req == req) {
			s->waiter[i] = s->waiter[--s->waiters];
			return;
		}
	}
}

/**
 * Ends a request that is in no list and has no slot. It may be gone
 * afterwards.
 */
void fuse_end(struct fuse_session *s, struct fuse_req *req, int error)
{
	struct fuse_own *own;

	req->out.h.error = error;
	clear_bit(FR_SENT, &req->flags);
	if (unlikely(test_bit(FR_INTERRUPTED, &req->flags))) {
		waiter_gone(s, req);
	}
	if (!req->fm) {
		own = container_of(req, struct fuse_own, req);
		if (own->done) {
			own->done(s, own, error);
		} else {
			kfree(own);
		}
	} else if (test_bit(FR_BACKGROUND, &req->flags) ||
		   test_bit(FR_ASYNC, &req->flags)) {
		bool slow = req->args->may_block;

		list_add_tail(&req->list, slow ? &s->done_slow : &s->done);
		queue_work(isthmus_fuse_wq, &s->done_work);
	} else {
		end_waiter(req);
	}
}

/**
 * Ends a request that is in one of the lists, without its answer. If the host
 * has got it, its number stays taken until the answer comes.
 */
void fuse_give_up(struct fuse_session *s, struct fuse_req *req, int error)
{
	struct fuse_slot *slot = fuse_slot_of(s, req);

	if (slot) {
		slot->req = NULL;
		s->interrupt = true;
	}
	if (s->rx.req == req) {
		s->rx.req = NULL;
		/* Some of it has gone where nobody looks any more. */
		slot->opcode = 0;
	}
	list_del_init(&req->list);
	fuse_end(s, req, error);
}

/**
 * The same for one whose process has been killed. What it was about to close or
 * to unlock, the host is told all the same.
 */
void fuse_killed(struct fuse_session *s, struct fuse_req *req)
{
	const struct fuse_in_arg *in = req->args->in_args;
	struct fuse_req *copy;

	if (!fuse_slot_of(s, req) && (req->in.h.opcode == FUSE_FLUSH ||
				      req->in.h.opcode == FUSE_RELEASE)) {
		copy = fuse_own_new(&req->in.h, in->value, in->size,
				    GFP_ATOMIC | __GFP_NOWARN);
		if (copy) {
			list_add_tail(&copy->list, &req->list);
		}
	}
	fuse_give_up(s, req, -EINTR);
}

/**
 * The current process waits for the request, and has got a signal. There are
 * fewer places than processes only for those whose requests wait to be sent:
 * these are looked at no more.
 */
void fuse_waiter_add(struct fuse_session *s, struct fuse_req *req)
{
	waiter_gone(s, req);
	if (s->waiters < FUSE_SLOTS) {
		s->waiter[s->waiters++] = (struct fuse_waiter){
			.req = req, .task = current,
		};
	}
}

/** Ends requests whose processes have been killed after all. */
void fuse_waiters_check(struct fuse_session *s)
{
	u32 i = 0;

	while (i < s->waiters) {
		if (fatal_signal_pending(s->waiter[i].task)) {
			/* Another takes this one's place. */
			fuse_killed(s, s->waiter[i].req);
		} else {
			i++;
		}
	}
}
