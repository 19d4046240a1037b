/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The ring of a channel: one direction of packets from one end's output
 * section to the other end. docs/channel.md is the specification; this file is
 * the one implementation, used by host-bridge, by the Linux driver and by
 * the tests. No calls but memcpy and memset, no allocation, no locks: the
 * caller serialises the transmit functions (ring_tx_*) among themselves and
 * the receive functions (ring_rx_*) among themselves; the two groups may run
 * at the same time.
 *
 * Trust: none in the peer. Everything in its section may change at any time
 * to any value. A shared word is read once, by ring_load(), into a local,
 * and checked against private copies before it is used; packet bytes are
 * copied out before anything looks at them. A peer that breaks a rule gets a
 * RING_BAD_* status, and the caller resets the channel.
 *
 * Indices count bytes, run free over 32 bits and are masked only to address
 * the data area. Only whole packets are published.
 */
#ifndef ISTHMUS_RING_H
#define ISTHMUS_RING_H

#ifdef __KERNEL__
#include <linux/string.h>
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#endif

/* How bytes get into the rings and out; who has a better way says so before. */
#ifndef RING_COPY
#define RING_COPY	memcpy
#endif

#define RING_MAGIC		0x474e5249u	/* "IRNG" */
#define RING_VERSION		1u
#define RING_HEADER_SIZE	4096u
#define RING_DATA_MIN		0x40000u	/* three of the largest */
#define RING_DATA_MAX		0x2000000u
#define RING_PAYLOAD_MAX	0x10000u
#define RING_ALIGN		8u

/* First page of an output section. Written by its owner only; each group has
 * a cache line of its own because the two ends poll different ones. */
struct ring_header {
	uint32_t magic;
	uint32_t version;
	uint32_t generation;
	uint32_t pad0[13];
	uint32_t prod;		/* bytes ever put into the owner's ring */
	uint32_t pad1[15];
	uint32_t cons;		/* bytes ever taken from the peer's ring */
	uint32_t pad2[15];
	uint32_t prod_event;	/* doorbell when the peer's prod passes this */
	uint32_t pad3[15];
	uint32_t cons_event;	/* doorbell when the peer's cons passes this */
	uint32_t pad4[15];
	uint32_t live;		/* counts the owner's looks at its input */
	uint32_t pad5[15];
};

/* A packet: this header, then len bytes, then padding to RING_ALIGN. Little
 * endian; the fields of struct virtio_vsock_hdr.
 * [virtio 1.2 "Socket Device: Device Operation"] */
struct ring_packet {
	uint64_t src_cid;
	uint64_t dst_cid;
	uint32_t src_port;
	uint32_t dst_port;
	uint32_t len;
	uint16_t type;
	uint16_t op;
	uint32_t flags;
	uint32_t buf_alloc;
	uint32_t fwd_cnt;
} __attribute__((packed));

#define RING_PACKET_HEADER	44u
#define RING_RECORD(len) \
	((RING_PACKET_HEADER + (len) + RING_ALIGN - 1) & ~(RING_ALIGN - 1))

_Static_assert(sizeof(struct ring_packet) == RING_PACKET_HEADER,
	       "packet header is 44 bytes");
_Static_assert(sizeof(struct ring_header) == 6 * 64, "header layout");

enum ring_status {
	RING_OK = 0,
	RING_EMPTY,		/* nothing to receive */
	RING_FULL,		/* no space for that packet now */
	RING_BAD_SIZE,		/* own parameter: section size */
	RING_BAD_HEADER,	/* peer's magic, version or generation */
	RING_BAD_PROD,		/* peer's prod out of the ring or moved back */
	RING_BAD_CONS,		/* peer's cons beyond our prod, or moved back */
	RING_BAD_LENGTH,	/* packet too long, or not wholly published */
};

/* One end, private to it. */
struct ring {
	struct ring_header *own;	/* written here, readable by the peer */
	const struct ring_header *peer;	/* any value at any time */
	uint8_t *tx_data;
	const uint8_t *rx_data;
	uint32_t size;			/* of each data area, power of two */
	uint32_t generation;
	/* Transmit: checked copies. */
	uint32_t prod;			/* written so far, published or not */
	uint32_t published;
	uint32_t peer_cons;
	/* Receive: checked copies. */
	uint32_t cons;
	uint32_t cons_published;
	uint32_t peer_prod;
	uint32_t record;		/* size of the packet at cons */
	uint32_t looks;
};

/*
 * Memory order. The comments below claim in the C11 model; on x86-TSO an
 * acquire fence and a release fence are compiler barriers only, and the full
 * fence is a locked instruction. Frama-C knows neither: there every shared
 * word is volatile and execution is sequential.
 */
#ifdef __FRAMAC__
#define ring_fence_acquire()	((void)0)
#define ring_fence_release()	((void)0)
#define ring_fence_full()	((void)0)
#define ring_opaque(p)		((void)(p))
#else
#define ring_fence_acquire()	__atomic_thread_fence(__ATOMIC_ACQUIRE)
#define ring_fence_release()	__atomic_thread_fence(__ATOMIC_RELEASE)
#define ring_fence_full()	__atomic_thread_fence(__ATOMIC_SEQ_CST)
/* The compiler must take *p as it is now, not fetch it again from where it was
 * copied from. */
#define ring_opaque(p)		__asm__ volatile("" : : "r"(p) : "memory")
#endif

/** The one way to read a shared word: once, then ordered before later use. */
static inline uint32_t ring_load(const uint32_t *word)
{
	uint32_t value = *(const volatile uint32_t *)word;

	ring_fence_acquire();
	return value;
}

/** The one way to write a shared word: after everything before it. */
static inline void ring_store(uint32_t *word, uint32_t value)
{
	ring_fence_release();
	*(volatile uint32_t *)word = value;
}

/** True when an index that moved from `from` to `to` passed `event`. */
static inline bool ring_passed(uint32_t event, uint32_t from, uint32_t to)
{
	return to - event - 1 < to - from;
}

/**
 * Prepares this end: own header page reset, all indices 0, and the data area
 * cleared if it was in use: what was for the peer before is not for the one
 * that comes now. A section starts as zeroes, so the first time there is
 * nothing to clear. The own state word
 * must not be READY, so that the peer does not look. own_section and
 * peer_section are section_size bytes each, page aligned.
 * Returns RING_OK or RING_BAD_SIZE (nothing touched).
 */
static inline enum ring_status ring_init(struct ring *r, void *own_section,
					 const void *peer_section,
					 uint32_t section_size,
					 uint32_t generation)
{
	uint32_t size = section_size - RING_HEADER_SIZE;

	if (section_size < RING_HEADER_SIZE || size < RING_DATA_MIN ||
	    size > RING_DATA_MAX || (size & (size - 1)) != 0) {
		return RING_BAD_SIZE;
	}
	memset(r, 0, sizeof(*r));
	r->own = (struct ring_header *)own_section;
	r->peer = (const struct ring_header *)peer_section;
	r->tx_data = (uint8_t *)own_section + RING_HEADER_SIZE;
	r->rx_data = (const uint8_t *)peer_section + RING_HEADER_SIZE;
	r->size = size;
	r->generation = generation;

	if (r->own->magic != 0) {
		memset(r->tx_data, 0, size);
	}
	memset(r->own, 0, sizeof(*r->own));
	r->own->magic = RING_MAGIC;
	r->own->version = RING_VERSION;
	r->own->generation = generation;
	/* Passed only after 4 GiB: no doorbell for space until asked for. */
	r->own->cons_event = 0u - RING_ALIGN;
	ring_fence_release();
	return RING_OK;
}

/**
 * Checks the peer's header; to be called when its state word says READY and
 * before the first ring_rx or ring_tx call. RING_OK or RING_BAD_HEADER.
 */
static inline enum ring_status ring_attach(const struct ring *r)
{
	if (ring_load(&r->peer->magic) != RING_MAGIC ||
	    ring_load(&r->peer->version) != RING_VERSION ||
	    ring_load(&r->peer->generation) != r->generation) {
		return RING_BAD_HEADER;
	}
	return RING_OK;
}

/* ---- Transmit ---- */

/**
 * Makes sure that a packet of len payload bytes fits. RING_OK, RING_FULL, or
 * RING_BAD_CONS. Then: ring_tx_put() from offset 0, and ring_tx_end().
 */
static inline enum ring_status ring_tx_begin(struct ring *r, uint32_t len)
{
	uint32_t need = RING_RECORD(len);
	uint32_t cons;

	if (need <= r->size - (r->prod - r->peer_cons)) {
		return RING_OK;
	}
	/* Acquire: the stores of ring_tx_put() come after the peer's reads
	 * of the bytes it gives back with this index. */
	cons = ring_load(&r->peer->cons);
	if (cons - r->peer_cons > r->published - r->peer_cons ||
	    (cons & (RING_ALIGN - 1)) != 0) {
		return RING_BAD_CONS;
	}
	r->peer_cons = cons;
	return need <= r->size - (r->prod - cons) ? RING_OK : RING_FULL;
}

/**
 * Copies n bytes to offset (from the packet header's first byte) of the packet
 * begun. Within what ring_tx_begin() granted.
 */
static inline void ring_tx_put(struct ring *r, uint32_t offset,
			       const void *src, uint32_t n)
{
	uint32_t at = (r->prod + offset) & (r->size - 1);
	uint32_t first = r->size - at;

	if (n <= first) {
		RING_COPY(r->tx_data + at, src, n);
	} else {
		RING_COPY(r->tx_data + at, src, first);
		RING_COPY(r->tx_data, (const uint8_t *)src + first, n - first);
	}
}

/** Ends the packet begun; the peer sees it after ring_tx_commit(). */
static inline void ring_tx_end(struct ring *r, uint32_t len)
{
	r->prod += RING_RECORD(len);
}

/**
 * One packet: header (whose len says how long payload is, at most
 * RING_PAYLOAD_MAX) and payload. RING_OK, RING_FULL or RING_BAD_CONS.
 */
static inline enum ring_status ring_tx_packet(struct ring *r,
					      const struct ring_packet *packet,
					      const void *payload)
{
	enum ring_status status = ring_tx_begin(r, packet->len);

	if (status == RING_OK) {
		ring_tx_put(r, 0, packet, RING_PACKET_HEADER);
		if (packet->len != 0) {
			ring_tx_put(r, RING_PACKET_HEADER, payload,
				    packet->len);
		}
		ring_tx_end(r, packet->len);
	}
	return status;
}

/**
 * Publishes the packets ended so far. True: the peer asked for a doorbell.
 *
 * The full fence orders the store of prod before the load of the peer's
 * prod_event, as ring_rx_arm() orders its store of prod_event before its load
 * of our prod: of the two loads at least one sees the other's store, so
 * either we ring or the peer sees the packet. x86-TSO lets a load pass an
 * older store in the store buffer: without the fence both could miss.
 */
static inline bool ring_tx_commit(struct ring *r)
{
	uint32_t from = r->published;

	if (r->prod == from) {
		return false;
	}
	r->published = r->prod;
	ring_store(&r->own->prod, r->prod);
	ring_fence_full();
	return ring_passed(ring_load(&r->peer->prod_event), from, r->prod);
}

/**
 * After RING_FULL for len payload bytes: asks for a doorbell once that much
 * is free. RING_FULL: wait for it. RING_OK: there is space after all.
 * RING_BAD_CONS. Publishes nothing: call ring_tx_commit() before.
 */
static inline enum ring_status ring_tx_arm(struct ring *r, uint32_t len)
{
	/* That packet fits when cons >= prod + need - size; the peer rings when
	 * cons passes the value before. */
	ring_store(&r->own->cons_event,
		   r->prod + RING_RECORD(len) - r->size - 1);
	/* As in ring_tx_commit(), against ring_rx_commit(). */
	ring_fence_full();
	return ring_tx_begin(r, len);
}

/* ---- Receive ---- */

/* Copies n bytes that start offset bytes behind cons. */
static inline void ring_rx_get(const struct ring *r, uint32_t offset,
			       void *dst, uint32_t n)
{
	uint32_t at = (r->cons + offset) & (r->size - 1);
	uint32_t first = r->size - at;

	if (n <= first) {
		RING_COPY(dst, r->rx_data + at, n);
	} else {
		RING_COPY(dst, r->rx_data + at, first);
		RING_COPY((uint8_t *)dst + first, r->rx_data, n - first);
	}
	ring_opaque(dst);
}

/**
 * Looks at the next packet: its header is copied to *packet and its length
 * checked. RING_OK, RING_EMPTY, RING_BAD_PROD or RING_BAD_LENGTH. Then
 * ring_rx_copy() of the payload, and ring_rx_done().
 */
static inline enum ring_status ring_rx_next(struct ring *r,
					    struct ring_packet *packet)
{
	uint32_t known = r->peer_prod - r->cons;
	uint32_t record;

	if (known == 0) {
		/* Acquire: the packet's bytes are read after the index that
		 * covers them. */
		uint32_t prod = ring_load(&r->peer->prod);

		known = prod - r->cons;
		if (known > r->size || (prod & (RING_ALIGN - 1)) != 0) {
			return RING_BAD_PROD;
		}
		r->peer_prod = prod;
		if (known == 0) {
			return RING_EMPTY;
		}
	}
	if (known < RING_RECORD(0)) {
		return RING_BAD_LENGTH;
	}
	ring_rx_get(r, 0, packet, RING_PACKET_HEADER);
	if (packet->len > RING_PAYLOAD_MAX) {
		return RING_BAD_LENGTH;
	}
	record = RING_RECORD(packet->len);
	if (record > known) {
		return RING_BAD_LENGTH;
	}
	r->record = record;
	return RING_OK;
}

/**
 * Copies n payload bytes from offset (0 = first payload byte) of the current
 * packet. offset + n is at most its len.
 */
static inline void ring_rx_copy(const struct ring *r, uint32_t offset,
				void *dst, uint32_t n)
{
	ring_rx_get(r, RING_PACKET_HEADER + offset, dst, n);
}

/**
 * The current packet's payload where it lies, for who reads each byte of it once:
 * the other end may change it at any time. NULL: it is in two pieces.
 */
static inline const void *ring_rx_at(const struct ring *r, uint32_t n)
{
	uint32_t at = (r->cons + RING_PACKET_HEADER) & (r->size - 1);

	return n <= r->size - at ? r->rx_data + at : NULL;
}

/** Done with the current packet; its space returns with ring_rx_commit(). */
static inline void ring_rx_done(struct ring *r)
{
	r->cons += r->record;
	r->record = 0;
}

/**
 * Gives the space of the packets done back. True: the peer waits for space
 * and asked for a doorbell. The release in ring_store() keeps our reads of
 * the packets before the store; the full fence pairs with ring_tx_arm().
 */
static inline bool ring_rx_commit(struct ring *r)
{
	uint32_t from = r->cons_published;

	if (r->cons == from) {
		return false;
	}
	r->cons_published = r->cons;
	ring_store(&r->own->cons, r->cons);
	ring_fence_full();
	return ring_passed(ring_load(&r->peer->cons_event), from, r->cons);
}

/**
 * Asks for a doorbell at the next packet and looks once more. True: there is
 * one already (or a bad index): go on receiving, do not wait.
 */
static inline bool ring_rx_arm(struct ring *r)
{
	ring_store(&r->own->live, ++r->looks);
	ring_store(&r->own->prod_event, r->cons);
	ring_fence_full();
	return ring_load(&r->peer->prod) != r->cons;
}

/**
 * Takes the request for a doorbell back: for an end about to look by itself.
 * A doorbell already on its way may still come.
 */
static inline void ring_rx_disarm(struct ring *r)
{
	ring_store(&r->own->prod_event, r->cons - RING_ALIGN);
}

#endif
