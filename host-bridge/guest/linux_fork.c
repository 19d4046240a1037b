/* SPDX-License-Identifier: MIT */
/*
 * Templates: a Linux that is frozen, and others that go on from where it was. What
 * is the same in all of them, and what is a child's own, is the hypervisor's
 * matter (docs/hypercalls.md "HC_FORK"); here are the devices that it finds, and
 * what becomes of it afterwards. Top-level code only.
 */
#include "host-bridge/guest/linux.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/rt/hc.h"

/**
 * Stops a running Linux where it is, for good: it becomes a template. What it had
 * of ours, its connections and its mount, is over. Returns NULL, or why not, as
 * the end of a sentence about it. Waits for its vCPUs, with the loop.
 */
const char *linux_freeze(struct guest *guest)
{
	struct hc_regs regs;
	int64_t status;

	if (guest->state != LINUX_RUNNING) {
		return "is not running";
	}
	if (guest->child) {
		return "is a child itself";
	}
	linux_between(guest, true);
	do {
		regs = (struct hc_regs){ .rdi = HC_FORK_FREEZE,
					 .rsi = guest->want->id };
		status = hc_call(HC_FORK, &regs);
		/* They may be on our CPU. */
		if (status == HC_EAGAIN) {
			loop_step(loop_now() + loop_ms_to_ticks(1));
		}
	} while (status == HC_EAGAIN && guest->state == LINUX_RUNNING);
	linux_between(guest, false);
	if (status != HC_OK) {
		return "has ended meanwhile";
	}
	guest->state = LINUX_FROZEN;
	guest->ready = false;
	linux_leave(guest, true);
	loop_timer_cancel(&guest->ready_timer);
	if (guest->on_down) {
		guest->on_down(guest->down_arg);
	}
	return NULL;
}

/**
 * Starts a Linux that is down as a child of a template. Returns NULL, or why not,
 * as the end of a sentence about it. Its agent has not been heard of yet, and who
 * it is it does not know: see linux_set_ready().
 */
const char *linux_fork(const struct guest *of, struct guest *guest)
{
	struct hc_regs regs = { .rdi = HC_FORK_CHILD, .rsi = of->want->id,
				.rdx = guest->want->id };
	int64_t status;

	if (of->state != LINUX_FROZEN) {
		return "needs a template, a Linux that is frozen";
	}
	if (guest->state == LINUX_RUNNING || guest->state == LINUX_FROZEN) {
		return "is not down";
	}
	/* Before its first instruction can meet a device: it has set them up as
	 * the template. */
	linux_io_copy(&guest->io, &of->io);
	status = hc_call(HC_FORK, &regs);
	if (status != HC_OK) {
		return status == HC_EINVAL ? "differs from the template in "
		       "memory, vCPUs or channels" : "cannot be started now";
	}
	guest->state = LINUX_RUNNING;
	guest->child = true;
	guest->ready = false;
	linux_leave(guest, false);
	guest->started_ms = loop_uptime_ms();
	return NULL;
}
