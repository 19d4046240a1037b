/* SPDX-License-Identifier: MIT */
/*
 * Event loop: one hypercall to wait, a table from event bit to handler, and
 * a short sorted list of timers.
 */
#include <stddef.h>

#include "host-bridge/hc.h"
#include "host-bridge/loop.h"

#define EVENT_BITS	64
#define WORK_ROUNDS	16	/* between two looks at the events */

static struct {
	void (*fn)(void *arg);
	void *arg;
} handlers[EVENT_BITS];

static struct {
	bool (*fn)(void *arg);
	bool (*due)(void *arg);
	void *arg;
	bool more;		/* fn wanted to be called again */
} work;

static struct loop_timer *timers;
static uint64_t pending;	/* taken from the hypervisor, not yet served */
static uint64_t ticks_per_ms = 1;
static uint64_t start;

/** Before all else here. tsc_hz 0 or absurd: delays get very short. */
void loop_init(uint64_t tsc_hz)
{
	start = loop_now();
	if (tsc_hz >= 1000) {
		ticks_per_ms = tsc_hz / 1000;
	}
}

/** One handler for each event bit; a second call replaces the first. */
void loop_on_event(uint64_t event, void (*fn)(void *arg), void *arg)
{
	unsigned bit = (unsigned)__builtin_ctzll(event);

	handlers[bit].fn = fn;
	handlers[bit].arg = arg;
}

/** One work function in all: the channel's. */
void loop_on_work(bool (*fn)(void *arg), bool (*due)(void *arg), void *arg)
{
	work.fn = fn;
	work.due = due;
	work.arg = arg;
	work.more = true;
}

static void run_work(void)
{
	int rounds = WORK_ROUNDS;

	do {
		work.more = work.fn && work.fn(work.arg);
	} while (work.more && --rounds > 0);
}

/* A timer is off the list when its function runs: it may set itself again. */
static void run_timers(void)
{
	while (timers && timers->deadline <= loop_now()) {
		struct loop_timer *timer = timers;

		timers = timer->next;
		timer->deadline = 0;
		timer->fn(timer);
	}
}

/**
 * One turn: wait, events in order of their bits, timers, work. Returns after
 * each wake-up, so callers look at what they wait for and call again.
 */
void loop_step(uint64_t deadline)
{
	uint64_t events;

	if (work.fn && work.due(work.arg)) {
		run_work();
	}
	events = pending;
	if (timers && timers->deadline < deadline) {
		deadline = timers->deadline;
	}
	/* Deferred events first, but look for new ones at the same time. */
	events |= hc_wait(work.more || events ? 0 : deadline);
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
	run_work();
}

/**
 * For code that must wait inside a handler, for its device alone. Returns
 * the bits that came of events, 0 at the deadline.
 */
uint64_t loop_wait_only(uint64_t events, uint64_t deadline)
{
	uint64_t taken;

	while (!(pending & events)) {
		pending |= hc_wait(deadline);
		if (deadline != LOOP_FOREVER && loop_now() >= deadline) {
			break;
		}
	}
	taken = pending & events;
	pending &= ~events;
	return taken;
}

/** Takes the timer off the list; harmless when it is not on it. */
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

/** (Re)starts a one-shot timer. *timer must stay valid until it ran. */
void loop_timer_set(struct loop_timer *timer, uint64_t delay_ms,
		    void (*fn)(struct loop_timer *timer))
{
	struct loop_timer **at = &timers;

	loop_timer_cancel(timer);
	timer->fn = fn;
	timer->deadline = loop_now() + loop_ms_to_ticks(delay_ms);
	while (*at && (*at)->deadline <= timer->deadline) {
		at = &(*at)->next;
	}
	timer->next = *at;
	*at = timer;
}

/** Milliseconds as TSC ticks. */
uint64_t loop_ms_to_ticks(uint64_t ms)
{
	return ms * ticks_per_ms;
}

/** TSC ticks as whole milliseconds. */
uint64_t loop_ticks_to_ms(uint64_t ticks)
{
	return ticks / ticks_per_ms;
}

/** Milliseconds since loop_init(). */
uint64_t loop_uptime_ms(void)
{
	return loop_ticks_to_ms(loop_now() - start);
}
