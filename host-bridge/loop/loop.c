/* SPDX-License-Identifier: MIT */
/*
 * Event loop: one hypercall to wait, a table from event bit to handler, and a
 * short sorted list of timers.
 *
 * No locks: one CPU, no interrupts, and handlers do not call loop_step(). Event
 * bits come from the hypervisor, which is trusted; a bit only says "look", so
 * one too many does no harm and two of a kind may come as one.
 */
#include <stddef.h>

#include "host-bridge/loop/loop.h"
#include "host-bridge/rt/hc.h"

#define EVENT_BITS	64
/* So long at most, an eighth of a millisecond, before other work, keys, timers and
 * Linux's port accesses are looked at again: a peer that always has one more
 * packet, or packets that cost much, holds up nobody. */
#define WORKS_PER_MS	8u
/* Work that had nothing to do for long is this much before the others, no more;
 * and a turn counts as no longer. */
#define AHEAD_MS	1u

static struct {
	void (*fn)(void *arg);
	void *arg;
} handlers[EVENT_BITS];

static struct loop_work *works;		/* one for each channel, and others */
static uint64_t all_used;	/* as much all have had that had to do */
/* Earliest first; a handful (tick, agent's report), so a list is enough. */
static struct loop_timer *timers;
static uint64_t pending;	/* taken from the hypervisor, not yet served */
static bool turn;		/* the next wait does not block */
static void (*before_step)(void), (*after_step)(void);	/* loop_around() */
static uint64_t ticks_per_ms = 1;
static uint64_t ticks_per_turn = 1, ticks_ahead = 1;
static uint64_t start;

/**
 * Before all else here; time begins now. tsc_hz is boot/'s measurement; 0 or
 * absurd: delays get very short, which is better than a division by zero.
 */
void loop_init(uint64_t tsc_hz)
{
	start = loop_now();
	if (tsc_hz >= 1000) {
		ticks_per_ms = tsc_hz / 1000;
		ticks_per_turn = ticks_per_ms / WORKS_PER_MS;
		ticks_ahead = ticks_per_ms * AHEAD_MS;
	}
}

/**
 * One handler for each event bit; a second call replaces the first. Bits
 * without a handler are dropped when they come.
 */
void loop_on_event(uint64_t event, void (*fn)(void *arg), void *arg)
{
	unsigned bit = (unsigned)__builtin_ctzll(event);

	handlers[bit].fn = fn;
	handlers[bit].arg = arg;
}

/**
 * See loop.h. Also for an event that nothing caused: its handler looks.
 */
void loop_again(uint64_t event)
{
	pending |= event;
}

/** See loop.h. From work functions and handlers. */
void loop_turn(void)
{
	turn = true;
}

/**
 * The next wait does not block, so that fn runs soon. Both functions are called
 * by loop_step() only, never while a handler runs.
 */
void loop_work_add(struct loop_work *work)
{
	work->more = true;
	work->next = works;
	works = work;
}

/** See loop.h. The next turn does not wait then. */
bool loop_busy(void)
{
	for (const struct loop_work *w = works; w; w = w->next) {
		if (w->more) {
			return true;
		}
	}
	return false;
}

/* Until it has nothing left or its time is up; what is left then is remembered
 * in work->more, so that the next wait does not block. used is a virtual time: who
 * goes on has had least, so all others that have something to do have had as
 * much; who had nothing for long has saved little. */
static void run_work(struct loop_work *work)
{
	uint64_t begun = tsc_now(), now, until = begun + ticks_per_turn;

	if (work->used + ticks_ahead < all_used) {
		work->used = all_used - ticks_ahead;
	} else if (work->used > all_used) {
		all_used = work->used;
	}
	do {
		work->more = work->fn(work, until);
		now = tsc_now();
	} while (work->more && now < until);
	/* the time is the machine's: others may have had most of it */
	now -= begun;
	work->used += now < ticks_ahead ? now : ticks_ahead;
}

/* Does the work that has had least time, if any has something to do. */
static void run_next(void)
{
	struct loop_work *least = NULL;

	for (struct loop_work *w = works; w; w = w->next) {
		if (w->more && (!least || w->used < least->used)) {
			least = w;
		}
	}
	if (least) {
		run_work(least);
	}
}

/* A timer is off the list when its function runs: it may set itself again, but
 * not to 0 ms, with which this would never end. */
static void run_timers(void)
{
	while (timers && timers->deadline <= loop_now()) {
		struct loop_timer *timer = timers;

		timers = timer->next;
		timer->deadline = 0;
		timer->fn(timer);
	}
}

/** See loop.h. From top level. */
void loop_around(void (*before)(void), void (*after)(void))
{
	before_step = before;
	after_step = after;
}

/**
 * One turn: wait, events in order of their bits, timers, work. deadline is a
 * TSC value, 0 for "do not wait", LOOP_FOREVER for none. Returns after each
 * wake-up, also one without cause, so callers look at what they wait for and
 * call again. Not from handlers, timer or work functions.
 */
void loop_step(uint64_t deadline)
{
	uint64_t events;
	bool more = false;

	if (before_step) {
		before_step();
	}
	/* A command may have queued packets since the last turn. Nobody would
	 * ring for those: they must be in the ring, with the doorbell, before
	 * we block. */
	for (struct loop_work *w = works; w; w = w->next) {
		if (w->due && w->due(w)) {
			run_work(w);
		}
		more |= w->more;
	}
	events = pending;
	if (timers && timers->deadline < deadline) {
		deadline = timers->deadline;
	}
	/* Deferred events first, but look for new ones at the same time. */
	events |= hc_wait(more || events || turn ? 0 : deadline);
	turn = false;
	/* Before the handlers: one that is not done (loop_again) puts its bit
	 * back. */
	pending = 0;
	while (events) {
		unsigned bit = (unsigned)__builtin_ctzll(events);

		events &= events - 1;
		if (handlers[bit].fn) {
			handlers[bit].fn(handlers[bit].arg);
		}
	}
	if (timers) {
		run_timers();
	}
	run_next();
	if (after_step) {
		after_step();
	}
}

/**
 * Takes the timer off the list; harmless when it is not on it, or was never
 * set. From anywhere, its own function included.
 */
void loop_timer_cancel(struct loop_timer *timer)
{
	for (struct loop_timer **at = &timers; *at; at = &(*at)->next) {
		if (*at == timer) {
			*at = timer->next;
			break;
		}
	}
	timer->deadline = 0;
}

/**
 * (Re)starts a one-shot timer: fn(timer) from loop_step(), not before delay_ms
 * from now. *timer must stay valid until it ran or was cancelled.
 */
void loop_timer_set(struct loop_timer *timer, uint64_t delay_ms,
		    void (*fn)(struct loop_timer *timer))
{
	struct loop_timer **at = &timers;

	loop_timer_cancel(timer);
	timer->fn = fn;
	timer->deadline = loop_now() + loop_ms_to_ticks(delay_ms);
	/* Behind those of the same time: they run in the order in which they
	 * were set. */
	while (*at && (*at)->deadline <= timer->deadline) {
		at = &(*at)->next;
	}
	timer->next = *at;
	*at = timer;
}

/** Milliseconds as TSC ticks; no delay used here comes near an overflow. */
uint64_t loop_ms_to_ticks(uint64_t ms)
{
	return ms * ticks_per_ms;
}

/** TSC ticks as whole milliseconds, rounded down. */
uint64_t loop_ticks_to_ms(uint64_t ticks)
{
	return ticks / ticks_per_ms;
}

/** Milliseconds since loop_init(). */
uint64_t loop_uptime_ms(void)
{
	return loop_ticks_to_ms(loop_now() - start);
}
