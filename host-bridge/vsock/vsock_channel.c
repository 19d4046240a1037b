/* SPDX-License-Identifier: MIT */
/*
 * An endpoint on a real channel: its rings are woken by the event loop, its
 * doorbell and state are hypercalls. The only file of this room that knows of
 * either.
 */
#include <stdlib.h>

#include "proto/host_info.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/rt/container.h"
#include "host-bridge/rt/cpu.h"
#include "host-bridge/rt/hc.h"
#include "host-bridge/vsock/vsock_endpoint.h"

#define TICK_MS		1000u
#define SLICES_PER_MS	8u	/* of connections: vsock_slice_end() */
#define CHANNEL_BITS	8u	/* HC_EVENT_DOORBELL, HC_EVENT_STATE */

/* Our end of a channel; lives as long as the program. */
struct end {
	struct end *next;	/* with the same event bits */
	unsigned channel;
	struct vsock *vs;
	struct loop_work work;
	struct loop_timer tick;
};

static struct end *ends[CHANNEL_BITS];

/* What the endpoint needs of the outside. Failure is not possible: the channel
 * was found by HC_QUERY, and the host partition is one of its ends. */
static void ring_doorbell(void *ctx)
{
	const struct end *end = ctx;

	(void)hc_doorbell(end->channel);
}

static void set_state(void *ctx, uint32_t state)
{
	const struct end *end = ctx;

	(void)hc_channel_state(end->channel, state);
}

static bool do_work(struct loop_work *work, uint64_t until)
{
	return vsock_event(CONTAINER(work, struct end, work)->vs, until);
}

static bool is_due(struct loop_work *work)
{
	return vsock_due(CONTAINER(work, struct end, work)->vs);
}

/* A doorbell, or a new state: there is something to look at. */
static void on_event(void *arg)
{
	for (struct end *end = *(struct end **)arg; end; end = end->next) {
		end->work.more = true;
	}
}

/* Time for the endpoint's deadlines, and for what it puts off; a second is fine
 * enough for them. */
static void on_tick(struct loop_timer *timer)
{
	struct end *end = CONTAINER(timer, struct end, tick);

	end->work.more = true;
	vsock_tick(end->vs, loop_uptime_ms());
	loop_timer_set(timer, TICK_MS, on_tick);
}

/**
 * The endpoint of a channel by its number, or NULL: there is no such channel,
 * or we are no end of it. Linux's side may come up later, and is followed by
 * the state table. Nothing happens on it before the next loop_step(): whoever
 * listens at once misses no connection. Without memory for it the program ends.
 */
struct vsock *vsock_channel_open(unsigned channel)
{
	struct vsock_channel wires = {
		.region = (void *)(uintptr_t)(HOST_CHANNEL_GPA +
					      channel * HOST_CHANNEL_STRIDE),
		.doorbell = ring_doorbell,
		.set_state = set_state,
	};
	struct end *end, **same = &ends[channel % CHANNEL_BITS];
	struct hc_regs regs;

	if (hc_query(HC_QUERY_CHANNEL, channel, 0, &regs) != HC_OK) {
		return NULL;
	}
	end = calloc(1, sizeof(*end));
	wires.peer = (unsigned)regs.rsi;
	wires.ctx = end;
	wires.slice = loop_ms_to_ticks(1) / SLICES_PER_MS;
	if (end) {
		end->channel = channel;
		end->vs = vsock_init(&wires);
	}
	if (!end || !end->vs) {
		cpu_fatal("no memory for the endpoint of channel %u", channel);
	}
	end->next = *same;
	*same = end;
	loop_on_event(HC_EVENT_DOORBELL(channel), on_event, same);
	loop_on_event(HC_EVENT_STATE(channel), on_event, same);
	end->work.fn = do_work;
	end->work.due = is_due;
	loop_work_add(&end->work);
	loop_timer_set(&end->tick, TICK_MS, on_tick);
	return end->vs;
}
