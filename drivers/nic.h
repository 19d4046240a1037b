/* SPDX-License-Identifier: MIT */
/*
 * What the drivers of network cards have in common: frames in both directions,
 * the link, starts, and what becomes of a card that hangs.
 *
 * Nobody waits here, and no frame does but in the card's own queue. A card is
 * started in steps, which the loop's timer calls. One that has had frames for too
 * long, with its link up, is started anew, and so is one that is lost; what it had
 * is lost with it, as on a wire. That may happen again and again, but not more
 * than once in NIC_REST_MS. One that cannot be started has failed: it can reach
 * memory no more.
 *
 * What a card says is checked by its driver; what cannot be is counted (nonsense)
 * and not believed. What it brings is anybody's: a frame that is handed on is a
 * private copy of a possible length, and no more.
 */
#ifndef ISTHMUS_NIC_H
#define ISTHMUS_NIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host-bridge/loop/loop.h"

#define NIC_HEADER	14u		/* bytes of an Ethernet header */
#define NIC_MTU		1500u
/* Of a frame that comes: with a VLAN's tag, without what the card checks. */
#define NIC_FRAME_MAX	(NIC_HEADER + 4 + NIC_MTU)
/* Of what is sent at once, in several frames. */
#define NIC_SEND_MAX	(NIC_HEADER + 65535u)
#define NIC_SEGS_MAX	64u

/* What a card does itself, where others have it done here. */
#define NIC_CSUM	1u		/* finishes partial checksums */
#define NIC_TSO4	2u		/* makes frames of more TCP than one has */
#define NIC_TSO6	4u

/* Of a frame that has come: the card finds its checksums right; or one was never
 * finished, as nic->open says, for it has not left this computer. */
#define NIC_RX_CSUM_GOOD	1u
#define NIC_RX_CSUM_OPEN	2u

/* How long frames may be the card's, a step of a start may take. */
#define NIC_SEND_MS	5000u
#define NIC_START_MS	5000u
#define NIC_STOP_MS	1000u
#define NIC_REST_MS	1000u		/* from one start to the next */

/* Frames that are handed on before others have their turn. */
#define NIC_BUDGET	64u

enum nic_state { NIC_STARTING, NIC_READY, NIC_STOPPING, NIC_FAILED };

struct nic;

struct nic_seg {
	const void *data;
	size_t len;
};

/* What is to be done to what is sent, as Linux has it [virtio 1.2 "Network
 * Device", "Packet Transmission"]. Offsets are from the Ethernet header. */
struct nic_offload {
	bool csum;			/* the sum from csum_start on to the
					 * end, into csum_offset behind it */
	uint8_t gso;			/* 0, NIC_TSO4, NIC_TSO6 */
	uint16_t csum_start, csum_offset;
	uint16_t gso_size;		/* TCP's bytes in a frame */
};

struct nic_ops {
	/* A step of a start, the first one with nic->step == 0: 0 when the
	 * card is ready, EAGAIN when it is to be called again, else it has
	 * failed. */
	int (*begin)(struct nic *nic);
	/* What is sent, len bytes in all, is copied; off is NULL, or asks for
	 * what the card offers, and has been checked; header: bytes of what
	 * each frame begins with. ENOBUFS: there is no room, and the card will
	 * interrupt when there is. */
	int (*send)(struct nic *nic, const struct nic_seg *segs,
		    unsigned count, size_t len, const struct nic_offload *off,
		    size_t header);
	/* The card hears of what it was given while nic->held. */
	void (*tell)(struct nic *nic);
	/* Looks for what the card has done: nic_receive() for each frame that
	 * has come, at most NIC_BUDGET, and nic->more if there are others;
	 * nic_sent(); nic_link(). False: it is in a state from which only a
	 * start leads out. */
	bool (*look)(struct nic *nic);
	/* Calls nic_link(). */
	void (*link)(struct nic *nic);
	/* It is to reach memory no more: true when that is so. It is asked
	 * again until then, and at last in a way that cannot fail. */
	bool (*stop)(struct nic *nic, bool at_last);
};

struct nic {
	const struct nic_ops *ops;
	char name[16];
	const char *model;
	uint8_t mac[6];
	unsigned mtu;			/* bytes of IP */
	unsigned offers;		/* NIC_CSUM, .. */
	bool link;
	enum nic_state state;
	const char *why;		/* it has failed */

	/* The user's, from the loop's handlers only. frame: Ethernet header
	 * first, until receive() returns, which may send. received(): no more
	 * come for now. room(): there is some, after ENOBUFS. Each may be
	 * NULL. */
	void (*receive)(void *arg, const void *frame, size_t len,
			unsigned flags);
	void (*received)(void *arg);
	void (*changed)(void *arg);	/* the link, or it has failed */
	void (*room)(void *arg);
	void *arg;
	/* The finder's: nic_interrupt() is to be called again, when others had
	 * their turn. */
	void (*again)(void *arg);
	void *again_arg;

	unsigned step;			/* of a start: the driver's */
	uint64_t step_deadline;
	uint64_t rest_until;
	uint64_t sent_deadline;
	unsigned in_flight;		/* frames that are the card's */
	bool known;			/* model, mac: it has started once */
	bool more, looking, lost;
	bool held;			/* more is sent at once: see tell() */
	bool full, roomy, news;		/* that the user is to hear of */
	struct loop_timer timer;
	uint8_t frame[NIC_FRAME_MAX];
	struct nic_offload open;	/* of that, with NIC_RX_CSUM_OPEN */
	/* Counters. */
	uint64_t rx_packets, rx_bytes, rx_dropped;
	uint64_t tx_packets, tx_bytes, tx_dropped;
	uint64_t errors;		/* that the card told of */
	uint64_t nonsense;		/* what it said was not possible */
	uint64_t hangs, resets, interrupts, link_changes;
};

/* For who uses it. */

/* Sends a frame, or what becomes several; copied. ENOBUFS: it has no room;
 * ENETDOWN: its link is down, or it is not ready; EMSGSIZE, EINVAL: it is none
 * that can be sent. */
int nic_send(struct nic *nic, const struct nic_seg *segs, unsigned count,
	     const struct nic_offload *off);
/* Looks at it as for an interrupt, when there are none: what it was given is sent,
 * what has come is handed on, a start goes on. */
void nic_poll(struct nic *nic);
/* One line: model, address, link, what it does itself. */
void nic_describe(const struct nic *nic, char *text, size_t size);

/* For who has found it. */

void nic_start(struct nic *nic);
void nic_interrupt(struct nic *nic);
void nic_link_interrupt(struct nic *nic);

/* For drivers. */

void nic_init(struct nic *nic, const struct nic_ops *ops);
void nic_step(struct nic *nic, unsigned step, unsigned ms);
/* Its own address; false: it is none that a card can have. */
bool nic_address(struct nic *nic, const uint8_t *mac);
/* A frame that has come, in memory that the card may still write; with
 * NIC_RX_CSUM_OPEN nic->open has been set. */
void nic_receive(struct nic *nic, const volatile void *frame, size_t len,
		 unsigned flags);
void nic_sent(struct nic *nic, unsigned frames);
void nic_link(struct nic *nic, bool up);
/* What it said was not possible, and it must be started anew. */
void nic_lost(struct nic *nic);
/* Copies len bytes of segments, from byte "at" on. */
void nic_gather(void *to, const struct nic_seg *segs, unsigned count,
		size_t at, size_t len);

/* nic_soft.c: does what a card does not. */

/* Whether off makes sense for what is sent; *header: what each frame begins with,
 * where it becomes several. */
bool nic_soft_check(const struct nic *nic, const uint8_t *head, size_t have,
		    size_t len, const struct nic_offload *off, size_t *header);
/* A frame, finished in place. */
void nic_soft_csum(uint8_t *frame, size_t len, const struct nic_offload *off);
/* Frame number i of all, into out, which has header + gso_size bytes; its length,
 * 0: there are no more. */
size_t nic_soft_frame(const uint8_t *all, size_t len,
		      const struct nic_offload *off, size_t header, unsigned i,
		      uint8_t *out);

#endif
