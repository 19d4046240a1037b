// SPDX-License-Identifier: MIT
/*
 * The host's end of a channel: follows the state table, drives the ring, and
 * hands packets and connections to vsock_packet.c. docs/channel.md, "States and
 * reset", gives the rules that the two ends' state words follow.
 *
 * The peer is not trusted: it may write anything into its section at any time.
 * All reading of it goes through proto/ring.h, which copies and checks; a broken
 * rule there resets the channel. The state table is the hypervisor's and can be
 * believed, but not to be the same at the next look. No locks: the event loop
 * alone calls this.
 */
#include <errno.h>
#include <stdlib.h>

#include "host-bridge/rt/tsc.h"
#include "vsock_internal.h"

/* For the console's status: why the channel went down last. */
static const char *const fault_text[] = {
	[RING_OK] = "none",
	[RING_BAD_SIZE] = "section size is not valid",
	[RING_BAD_HEADER] = "peer's ring header is not valid",
	[RING_BAD_PROD] = "peer's prod index is not valid",
	[RING_BAD_CONS] = "peer's cons index is not valid",
	[RING_BAD_LENGTH] = "peer's packet length is not valid",
};

/**
 * Makes the endpoint of a channel and starts to bring it up: DOWN first,
 * whatever the word says, as docs/channel.md wants of an end that starts. The
 * region stays mapped for ever; *channel is copied. NULL: no memory. Traffic
 * needs vsock_event() to be called from then on.
 */
struct vsock *vsock_init(const struct vsock_channel *channel)
{
	struct vsock *vs = calloc(1, sizeof(*vs));

	if (vs == NULL) {
		return NULL;
	}
	vs->channel = *channel;
	vs->table = channel->region;
	/* The hypervisor's word, fixed for good; ring_init() checks it. */
	vs->output_size = ring_load(&vs->table[CHANNEL_ST_OUTPUT_SIZE]);
	vs->seed = seed_make();
	/* A child of a template may know the ports of that one's connections
	 * still, and shall not take ours for them. */
	vs->next_port = (uint32_t)(seed_make() >> 33);
	vs->stats.reason = fault_text[RING_OK];
	for (unsigned i = 0; i < VSOCK_CONNS; i++) {
		vs->conn[i].hash_next = vs->free;
		vs->free = &vs->conn[i];
	}
	vs->own_state = CHANNEL_STATE_DOWN;
	channel->set_state(channel->ctx, vs->own_state);
	return vs;
}

/* Sets the own state word; the hypervisor tells the peer. */
static void set_state(struct vsock *vs, uint32_t state)
{
	vs->own_state = state;
	vs->channel.set_state(vs->channel.ctx, state);
}

/* Leaves the ring: every connection ends, without a RST, for which there is no
 * way any more; nothing more is written. on_close follows from the work
 * list. */
static void link_down(struct vsock *vs, const char *reason)
{
	vs->attached = false;
	vs->fault = RING_OK;
	vs->tx_blocked = false;
	vs->late_count = 0;
	vs->stats.resets++;
	vs->stats.reason = reason;
	for (unsigned i = 0; i < VSOCK_CONNS; i++) {
		if (vs->conn[i].state != CONN_FREE) {
			vsock_conn_kill(&vs->conn[i], ECONNRESET, false);
		}
	}
	set_state(vs, CHANNEL_STATE_DOWN);
}

/* One look at the state table, and the steps it allows. Several may follow each
 * other in one call; what depends on the peer waits for its next state event.
 * Each word is read once: what changes after that causes an event of its own.
 * Numbers in brackets are the rules of docs/channel.md, "States and reset". */
static void link_step(struct vsock *vs)
{
	unsigned own = vs->channel.peer;
	uint32_t gen = ring_load(&vs->table[CHANNEL_ST_GENERATION]);
	uint32_t peer = ring_load(&vs->table[CHANNEL_ST_STATE(1 - own)]);
	uint8_t *region = vs->channel.region;
	uint8_t *section = region +
			   CHANNEL_OUTPUT_OFFSET(own, vs->output_size);
	enum ring_status status;

	/* (3) The peer stopped or went down; a READY of its may be one from
	 * before. */
	if (vs->own_state != CHANNEL_STATE_DOWN && gen != vs->generation) {
		link_down(vs, "new generation");
	} else if (vs->own_state == CHANNEL_STATE_READY &&
		   (peer == CHANNEL_STATE_DOWN ||
		    (vs->attached && peer != CHANNEL_STATE_READY))) {
		link_down(vs, "peer went down");
	}
	/* (1) While the peer is READY it may look at our header, which is made
	 * anew here: wait until it has seen us DOWN. */
	if (vs->own_state == CHANNEL_STATE_DOWN &&
	    peer != CHANNEL_STATE_READY) {
		status = ring_init(&vs->ring, section, region +
				   CHANNEL_OUTPUT_OFFSET(1 - own,
							 vs->output_size),
				   vs->output_size, gen);
		if (status != RING_OK) {
			vs->stats.reason = fault_text[status];
			return;
		}
		vs->generation = gen;
		set_state(vs, CHANNEL_STATE_INIT);
	}
	/* (2) The peer may follow us to READY from INIT; from DOWN it shall see
	 * our INIT first. */
	if (vs->own_state == CHANNEL_STATE_INIT &&
	    peer != CHANNEL_STATE_DOWN) {
		set_state(vs, CHANNEL_STATE_READY);
	}
	/* (4) Both READY: one look at the peer's header, then traffic. */
	if (vs->own_state == CHANNEL_STATE_READY && !vs->attached &&
	    peer == CHANNEL_STATE_READY) {
		status = ring_attach(&vs->ring);
		if (status == RING_OK) {
			vs->attached = true;
		} else {
			link_down(vs, fault_text[status]);
		}
	}
}

/* Serves the work list in turn until it is empty, the ring is full or the time
 * is up; one in any case. Callbacks may put connections on it, the one being
 * served too. */
static void service_all(struct vsock *vs, uint64_t until)
{
	bool first = true;

	while (vs->work_head != NULL && vs->fault == RING_OK &&
	       (first || tsc_now() < until)) {
		struct vsock_conn *conn = vs->work_head;

		first = false;
		vs->work_head = conn->work_next;
		conn->on_work = false;
		if (!vsock_service(conn)) {
			/* It is on the list again already. */
			if (conn->on_work) {
				break;
			}
			/* It was not done: first again, when there is space. */
			conn->on_work = true;
			conn->work_next = vs->work_head;
			if (vs->work_head == NULL) {
				vs->work_tail = conn;
			}
			vs->work_head = conn;
			break;
		}
	}
}

/* Whether a connection that died is still there. Its on_close comes before the
 * next packet, which may be for the same ports. */
static bool reap(struct vsock *vs, uint64_t until)
{
	if (vs->dead > 0) {
		service_all(vs, until);
	}
	return vs->dead > 0;
}

/* Takes packets, one in any case unless a dead connection is in its way. True:
 * the time was up, there may be more. While our ring has no space for an
 * answer, the peer's packets stay where they are: so each packet can be
 * answered by one without payload, and a peer that sends without reading fills
 * its own ring only. */
static bool input_all(struct vsock *vs, uint64_t until)
{
	struct ring_packet packet;
	enum ring_status status;
	bool first = true;

	for (;;) {
		if (reap(vs, until) || vs->fault != RING_OK) {
			return !vs->tx_blocked;
		}
		/* A look; the packet stays until ring_rx_done(). */
		status = ring_rx_next(&vs->ring, &packet);
		if (status == RING_EMPTY) {
			return false;
		}
		if (!first && tsc_now() >= until) {
			return true;
		}
		first = false;
		if (status == RING_OK) {
			status = ring_tx_begin(&vs->ring, 0);
		}
		if (status == RING_FULL) {
			vs->tx_blocked = true;
			vs->tx_need = 0;
			return false;
		}
		if (status != RING_OK) {
			vs->fault = status;
			return false;
		}
		vsock_input(vs, &packet);
		ring_rx_done(&vs->ring);
	}
}

/* Publishes, rings the peer if it asked, and asks for the next doorbell. True:
 * there is something to do already. At most one doorbell for all that was done
 * since the last time. */
static bool finish(struct vsock *vs)
{
	bool bell = ring_rx_commit(&vs->ring);
	bool more = false;

	/* Not ||: both must be done. */
	bell |= ring_tx_commit(&vs->ring);
	if (bell) {
		vs->stats.doorbells++;
		vs->channel.doorbell(vs->channel.ctx);
	}
	if (vs->tx_blocked) {
		enum ring_status status = ring_tx_arm(&vs->ring, vs->tx_need);

		if (status == RING_FULL) {
			/* Space wakes us, and what it wakes us for looks at
			 * the peer's packets too. */
			return false;
		}
		/* There is space after all, or a fault that the next round
		 * finds. */
		more = true;
	}
	return ring_rx_arm(&vs->ring) || more;
}

/**
 * Does what there is to do until the time is up: see vsock_endpoint.h.
 * Makes callbacks. Returns true if it wants to be called again before the loop
 * blocks; after false a doorbell or a state event will come for whatever is
 * next. Called by the event loop only, never from a callback.
 */
bool vsock_event(struct vsock *vs, uint64_t until)
{
	bool more = false;

	link_step(vs);
	if (vs->attached) {
		/* Tried anew each time: the space may be there. */
		vs->tx_blocked = false;
		vsock_send_late(vs);
		more = input_all(vs, until);
	}
	service_all(vs, until);
	/* What callbacks left behind was served or is on the list. */
	vs->due = false;
	if (vs->fault != RING_OK) {
		link_down(vs, fault_text[vs->fault]);
		return true;
	}
	if (!vs->attached) {
		return vs->work_head != NULL;
	}
	more |= vs->work_head != NULL && !vs->tx_blocked;
	return finish(vs) || more;
}

/**
 * See vsock_endpoint.h: a packet put or a connection to be served since
 * vsock_event() last ended.
 */
bool vsock_due(const struct vsock *vs)
{
	return vs->due;
}

/**
 * Tells the time, in ms of any clock that does not go back; a call a second or
 * so will do: it is how exact deadlines are. Connections that wait too long for
 * an answer end, with callbacks from the next vsock_event().
 */
void vsock_tick(struct vsock *vs, uint64_t now_ms)
{
	vs->now_ms = now_ms;
	for (unsigned i = 0; i < VSOCK_CONNS; i++) {
		struct vsock_conn *conn = &vs->conn[i];

		if (conn->deadline == 0 || now_ms < conn->deadline ||
		    conn->state == CONN_FREE) {
			continue;
		}
		/* A peer that does not confirm our shutdown is as gone. */
		vsock_conn_kill(conn, conn->state == CONN_CONNECTING ?
				ETIMEDOUT : 0, true);
	}
}

/**
 * Fills *status for the console. What is read of the peer's section here is
 * only shown, so it need not be checked.
 */
void vsock_get_status(const struct vsock *vs, struct vsock_status *status)
{
	*status = vs->stats;
	status->up = vs->attached;
	status->generation = vs->generation;
	status->output_size = vs->output_size;
	if (vs->attached) {
		status->tx_used = vs->ring.prod -
				  ring_load(&vs->ring.peer->cons);
		status->rx_used = ring_load(&vs->ring.peer->prod) -
				  vs->ring.cons;
		status->peer_live = ring_load(&vs->ring.peer->live);
	}
}
