/* SPDX-License-Identifier: MIT */
/*
 * Room loop: when things happen. Events of the hypervisor, timers, work; who
 * has a turn, and for how long. Trusts its handlers to return; what brings
 * events about may be hostile, so none may take more than its share. May include
 * rt.
 *
 * The event loop. There are no threads and no interrupts: everything runs
 * from loop_step(), which blocks in the hypervisor until an event or the
 * next timer. Handlers and timer functions must not call loop_step()
 * themselves; code at top level (console commands) may, to wait for
 * something that handlers bring about.
 */
#ifndef ISTHMUS_LOOP_H
#define ISTHMUS_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "host-bridge/rt/tsc.h"

#define LOOP_FOREVER	(~0ull)

struct loop_timer {
	struct loop_timer *next;	/* list by deadline */
	uint64_t deadline;		/* TSC; 0: not set */
	void (*fn)(struct loop_timer *timer);
};

/* Work that comes in no order of its own: fn(work, until) is called when more is
 * set, by whatever brings some about, or when due(work), if there is one, says before
 * a wait that other code has left something. fn does what there is, and something
 * in any case, but begins nothing after until (TSC); true: there is more. Who
 * has had least time of those with more goes first, and all that has come
 * meanwhile is looked at before the next. */
struct loop_work {
	struct loop_work *next;
	bool (*fn)(struct loop_work *work, uint64_t until);
	bool (*due)(struct loop_work *work);
	bool more;
	uint64_t used;			/* TSC ticks: loop.c */
};

void loop_init(uint64_t tsc_hz);
/* Calls fn(arg) whenever the event (a HC_EVENT_* mask of one bit) occurs. */
void loop_on_event(uint64_t event, void (*fn)(void *arg), void *arg);
/* In a handler that leaves something to do: its event comes again in the next
 * turn, which does not wait; all others get theirs before. */
void loop_again(uint64_t event);
/* Of the bits that are not the hypervisor's: requests that block.c has finished. */
#define LOOP_EVENT_BLOCKS	(1ull << 24)
/* The next wait does not block: who waits at top level, or other work, may have
 * something to do now. */
void loop_turn(void);
/* From now on its work is done; *work must stay, and is part of an object of
 * the caller's. */
void loop_work_add(struct loop_work *work);
/* Whether some of it was left by the last turn. */
bool loop_busy(void);
/* Waits for events until deadline (TSC), serves them and due timers, does the
 * work. What all that brings about can be looked at when it returns. */
void loop_step(uint64_t deadline);

/* Around each loop_step() from now on: what belongs to the code at top level is put
 * aside for handlers, and taken up again. NULL, NULL: nothing. */
void loop_around(void (*before)(void), void (*after)(void));

/* Sets the timer to run fn delay_ms from now; a set timer is moved. */
void loop_timer_set(struct loop_timer *timer, uint64_t delay_ms,
		    void (*fn)(struct loop_timer *timer));
void loop_timer_cancel(struct loop_timer *timer);

/* Time: the TSC, and its rate as measured by boot/. */
static inline uint64_t loop_now(void)
{
	return tsc_now();
}

uint64_t loop_ms_to_ticks(uint64_t ms);
uint64_t loop_ticks_to_ms(uint64_t ticks);
/* Milliseconds since the program started. */
uint64_t loop_uptime_ms(void);

#endif
