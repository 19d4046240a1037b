/* SPDX-License-Identifier: MIT */
/*
 * The channel to the host, brought up and used as docs/channel.md says, without
 * interrupts: whoever waits looks. One stream's bytes are kept at a time; packets of
 * others are dropped.
 */
#include "cpu.h"
#include "link.h"
#include "payload.h"
#include "abi/channel.h"
#include "abi/hypercall.h"
#include "proto/channel_device.h"

#define BUFFER		(1u << 20)	/* buf_alloc */
#define WAIT_MS		500u
#define KEPT		(256u << 10)

struct ring link_ring;

static uint8_t kept[KEPT];		/* received, not asked for yet */
static uint32_t kept_from, kept_to;

/* What the ring is copied by, and the compiler's own. */
void *memcpy(void *to, const void *from, size_t n)
{
	void *d = to;

	__asm__ volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(n) : :
			 "memory");
	return to;
}

void *memset(void *to, int byte, size_t n)
{
	void *d = to;

	__asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(byte) :
			 "memory");
	return to;
}

static const volatile uint32_t *table(void)
{
	return (const volatile uint32_t *)(uintptr_t)CHANNEL_GUEST_REGION_GPA;
}

static uint32_t own_end(void)
{
	return port_in32(CHANNEL_GUEST_IO_PORT + CHANNEL_IO_ID);
}

static uint32_t peer_state(void)
{
	return table()[CHANNEL_ST_STATE(1 - own_end())];
}

static void set_state(uint32_t state)
{
	port_out32(CHANNEL_GUEST_IO_PORT + CHANNEL_IO_STATE, state);
}

/** Ticks of the TSC in so many ms. */
uint64_t link_ticks(uint32_t ms)
{
	static uint64_t hz;

	if (!hz) {
		(void)payload_call(HC_INFO, 0, 0, 0, 0, 0);
		hz = payload_call_rdx;
	}
	return hz / 1000 * ms;
}

/* Until the peer's state is that one, or (not) another. */
static bool wait_state(uint32_t state, bool is)
{
	uint64_t until = rdtsc() + link_ticks(WAIT_MS);

	while ((peer_state() == state) != is) {
		if (rdtsc() > until) {
			return false;
		}
		__asm__ volatile("pause");
	}
	return true;
}

void link_bell(void)
{
	port_out32(CHANNEL_GUEST_IO_PORT + CHANNEL_IO_DOORBELL, 0);
}

void link_down(void)
{
	set_state(CHANNEL_STATE_DOWN);
}

bool link_is_up(void)
{
	return peer_state() == CHANNEL_STATE_READY;
}

/** Has the host reset the channel, as it must for what was done? */
bool link_goes_down(void)
{
	link_bell();
	return wait_state(CHANNEL_STATE_READY, false);
}

/** From whatever state to traffic, with new rings. */
bool link_up(void)
{
	uint32_t s = table()[CHANNEL_ST_OUTPUT_SIZE], own = own_end();
	uint64_t region = CHANNEL_GUEST_REGION_GPA;

	kept_from = kept_to = 0;
	link_down();
	if (!wait_state(CHANNEL_STATE_READY, false)) {
		return false;
	}
	(void)ring_init(&link_ring, (void *)(uintptr_t)
			(region + CHANNEL_OUTPUT_OFFSET(own, (uint64_t)s)),
			(void *)(uintptr_t)(region +
			CHANNEL_OUTPUT_OFFSET(1 - own, (uint64_t)s)), s,
			table()[CHANNEL_ST_GENERATION]);
	set_state(CHANNEL_STATE_INIT);
	if (!wait_state(CHANNEL_STATE_DOWN, false)) {
		return false;
	}
	set_state(CHANNEL_STATE_READY);
	return wait_state(CHANNEL_STATE_READY, true) &&
	       ring_attach(&link_ring) == RING_OK;
}

/** One packet of that stream, published and rung for. */
bool link_send(const struct stream *s, uint32_t op, const void *data,
	       uint32_t len)
{
	struct ring_packet p = {
		.src_cid = 3, .dst_cid = 2, .src_port = s->local,
		.dst_port = s->remote, .len = len, .type = TYPE_STREAM,
		.op = (uint16_t)op, .flags = op == OP_SHUTDOWN ? 3 : 0,
		.buf_alloc = BUFFER, .fwd_cnt = s->got,
	};

	if (ring_tx_packet(&link_ring, &p, data) != RING_OK) {
		return false;
	}
	if (ring_tx_commit(&link_ring)) {
		link_bell();
	}
	return true;
}

/** The next packet of the host's; false: none within that time. */
bool link_next(struct ring_packet *packet, uint8_t *data, uint32_t ms)
{
	uint64_t until = rdtsc() + link_ticks(ms);

	while (ring_rx_next(&link_ring, packet) != RING_OK) {
		if (!ring_rx_arm(&link_ring) && rdtsc() > until) {
			return false;
		}
		__asm__ volatile("pause");
	}
	ring_rx_copy(&link_ring, 0, data, packet->len);
	ring_rx_done(&link_ring);
	if (ring_rx_commit(&link_ring)) {
		link_bell();
	}
	return true;
}

/* One packet, for s if it is its: bytes are kept. */
static bool take(struct stream *s, uint32_t *op)
{
	static uint8_t data[RING_PAYLOAD_MAX];
	struct ring_packet p;

	*op = 0;
	if (!link_next(&p, data, WAIT_MS)) {
		return false;
	}
	if (p.dst_port != s->local || p.src_port != s->remote) {
		return true;
	}
	*op = p.op;
	s->credit = p.buf_alloc;
	s->consumed = p.fwd_cnt;
	if (p.op == OP_RST || p.op == OP_SHUTDOWN) {
		s->ended = true;
	}
	if (p.op == OP_CREDIT_REQUEST) {
		(void)link_send(s, OP_CREDIT_UPDATE, NULL, 0);
	}
	if (p.op == OP_RW && kept_to + p.len <= KEPT) {
		memcpy(kept + kept_to, data, p.len);
		kept_to += p.len;
	}
	return true;
}

/** A connection to a port of the host's; false: it was refused. */
bool stream_open(struct stream *s, uint32_t local, uint32_t remote)
{
	uint32_t op = 0;

	*s = (struct stream){ .local = local, .remote = remote };
	kept_from = kept_to = 0;
	if (!link_send(s, OP_REQUEST, NULL, 0)) {
		return false;
	}
	while (op != OP_RESPONSE && !s->ended) {
		if (!take(s, &op)) {
			return false;
		}
	}
	return !s->ended;
}

/** All of it, as the host's credit allows. */
bool stream_put(struct stream *s, const void *data, uint32_t len)
{
	uint32_t done = 0, op;

	while (done < len) {
		uint32_t room = s->credit - (s->sent - s->consumed);
		uint32_t n = len - done < room ? len - done : room;

		n = n < RING_PAYLOAD_MAX ? n : RING_PAYLOAD_MAX;
		if (n && link_send(s, OP_RW, (const uint8_t *)data + done, n)) {
			s->sent += n;
			done += n;
		} else if (!take(s, &op) || s->ended) {
			return false;
		}
	}
	return true;
}

/** So many bytes, in whatever packets they come; false: the stream ends before. */
bool stream_get(struct stream *s, void *data, uint32_t len)
{
	uint32_t op;

	while (kept_to - kept_from < len) {
		if (s->ended || !take(s, &op)) {
			return false;
		}
	}
	memcpy(data, kept + kept_from, len);
	kept_from += len;
	s->got += len;
	if (kept_from == kept_to) {
		kept_from = kept_to = 0;
	}
	return true;
}

/** Ends it at once: who waits for the host's RST waits half a second for each. */
void stream_close(struct stream *s)
{
	(void)link_send(s, OP_SHUTDOWN, NULL, 0);
	(void)link_send(s, OP_RST, NULL, 0);
	s->ended = true;
}

/** A connection of the echo's, with bytes that come back as they were. */
bool stream_echoes(uint32_t local, uint32_t bytes)
{
	static uint8_t out[4096], in[4096];
	struct stream s;
	bool good;

	for (uint32_t i = 0; i < bytes; i++) {
		out[i] = (uint8_t)mixed(local * 4096 + i);
		in[i] = 0;
	}
	good = stream_open(&s, local, PORT_ECHO) &&
	       stream_put(&s, out, bytes) && stream_get(&s, in, bytes);
	for (uint32_t i = 0; i < bytes; i++) {
		good = good && in[i] == out[i];
	}
	stream_close(&s);
	return good;
}
