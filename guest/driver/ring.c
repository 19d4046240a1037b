// SPDX-License-Identifier: GPL-2.0-only
/*
 * isthmus: packets into the ring and off it. Below all others of this driver:
 * for what is not the ring's it calls nobody but ch->input.
 *
 * The cheap round trip: who sends a packet first takes back the request for a
 * doorbell, publishes, rings the host, and then looks at the ring itself. Where
 * host and Linux share a CPU the answer is there when the doorbell instruction
 * returns, and no interrupt was spent on it. Replies of the file server's are
 * completed on the spot, in any context, up to a budget; what is beyond it, and
 * socket packets, which need a process, go to the interrupt thread.
 *
 * What the host writes into its section is checked as if it were hostile
 * (proto/ring.h): a wrong index or length resets the channel, and touches nothing
 * else. A write to an I/O register is a VM exit; the host may run, and answer,
 * before it returns.
 */
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/workqueue.h>

#include "isthmus.h"

/* What one turn may take off the ring with interrupts off, in bytes copied: some
 * 50 us. The work that a packet is besides counts as so many bytes. */
#define RX_BUDGET	0x40000u
#define RX_PACKET_COST	1024u

/* The one channel, and whether it is of use now: isthmus.h. */
struct isthmus isthmus_channel;

/**
 * Own word of the state table; the hypervisor writes it and tells the host.
 * rx_mutex held.
 */
void isthmus_set_state(struct isthmus *ch, u32 state)
{
	ch->own_state = state;
	outl(state, ch->port + CHANNEL_IO_STATE);
}

/* The host broke a rule of the ring (lock held): the thread resets it. Until
 * then each further look finds the same fault, or nothing. */
static void ring_fault(struct isthmus *ch, enum ring_status status)
{
	ch->fault = status;
	irq_wake_thread(ch->irq, ch);
}

/**
 * Puts one packet into the ring (lock held, ch->up). header is a struct
 * virtio_vsock_hdr, whose len says how long payload is, at most
 * RING_PAYLOAD_MAX. The host sees it after isthmus_tx_done() or another commit.
 * False: no space, or the ring is at fault; nothing was put.
 */
bool isthmus_tx_put(struct isthmus *ch, const void *header,
		    const void *payload)
{
	enum ring_status status = ring_tx_packet(&ch->ring, header, payload);

	if (status > RING_FULL) {
		ring_fault(ch, status);
	}
	return status == RING_OK;
}

/**
 * Like isthmus_tx_put(), for a socket packet: its header is at skb->head, its
 * payload may be in pieces (from Linux 6.12 on, when it is large).
 */
bool isthmus_tx_put_skb(struct isthmus *ch, struct sk_buff *skb)
{
	enum ring_status status;
	struct skb_seq_state pieces;
	u32 done = 0, n;
	const u8 *data;

	if (!skb_is_nonlinear(skb)) {
		return isthmus_tx_put(ch, skb->head, skb->data);
	}
	status = ring_tx_begin(&ch->ring, skb->len);
	if (status > RING_FULL) {
		ring_fault(ch, status);
	}
	if (status != RING_OK) {
		return false;
	}
	ring_tx_put(&ch->ring, 0, skb->head, RING_PACKET_HEADER);
	skb_prepare_seq_read(skb, 0, skb->len, &pieces);
	while ((n = skb_seq_read(done, &data, &pieces)) != 0) {
		ring_tx_put(&ch->ring, RING_PACKET_HEADER + done, data, n);
		done += n;
	}
	ring_tx_end(&ch->ring, skb->len);
	return true;
}

/**
 * Asks to be told about space for len payload bytes (lock held). Then the
 * interrupt thread empties tx_queue and wakes ch->wq. False: there is space
 * now. True also after a fault: the reset wakes all who wait.
 */
bool isthmus_tx_wait(struct isthmus *ch, u32 len)
{
	enum ring_status status;

	/* The host can make no space of what it does not see: publish first.
	 * [docs/channel.md "Waiting for space"] */
	if (ring_tx_commit(&ch->ring)) {
		outl(0, ch->port + CHANNEL_IO_DOORBELL);
	}
	status = ring_tx_arm(&ch->ring, len);
	if (status > RING_FULL) {
		ring_fault(ch, status);
	}
	if (status != RING_OK) {
		ch->tx_blocked = true;
		return true;
	}
	/* Others may wait for more, and what they asked for is overwritten:
	 * they have to ask again. */
	if (ch->tx_blocked) {
		irq_wake_thread(ch->irq, ch);
	}
	return false;
}

/**
 * One turn: takes packets of files off the ring up to the first socket packet, as
 * many as the budget allows (lock held).
 */
enum isthmus_rx isthmus_rx_poll(struct isthmus *ch, struct ring_packet *packet)
{
	enum ring_status status;
	bool bell;

	if (!ch->up) {
		return RX_NOTHING;
	}
	ch->rx_budget = RX_BUDGET;
	do {
		status = ring_rx_next(&ch->ring, packet);
		while (status == RING_OK && ch->rx_budget != 0 &&
		       ch->input(ch, packet)) {
			isthmus_rx_charge(ch, packet->len + RX_PACKET_COST);
			ring_rx_done(&ch->ring);
			status = ring_rx_next(&ch->ring, packet);
		}
		/* They may have been answered with packets of ours (RST), so
		 * both directions are published; one doorbell serves both. */
		bell = ring_rx_commit(&ch->ring);
		bell |= ring_tx_commit(&ch->ring);
		if (bell) {
			outl(0, ch->port + CHANNEL_IO_DOORBELL);
		}
		if (status > RING_FULL) {
			ring_fault(ch, status);
		}
	/* Asking and then looking once more: a packet that came in between
	 * would ring nobody. [docs/channel.md "Why no wake-up is lost"] */
	} while (status == RING_EMPTY && ring_rx_arm(&ch->ring));

	ch->rx_more = status == RING_OK && ch->rx_budget == 0;
	return status != RING_OK ? RX_NOTHING :
	       ch->rx_more ? RX_MORE : RX_SOCKET;
}

/**
 * Publishes what was put, rings the host if it asked, looks for the answer, and
 * drops the lock taken with flags. Any context that may take the lock; ch->up.
 */
void isthmus_tx_done(struct isthmus *ch, unsigned long flags)
{
	struct ring_packet packet;
	bool bell;

	/* No doorbell for the answer: isthmus_rx_poll() below looks, and asks again
	 * when it finds nothing. */
	ring_rx_disarm(&ch->ring);
	bell = ring_tx_commit(&ch->ring);
	/* The exit is outside the lock, so that another CPU can use the ring
	 * and interrupts get through while the host runs. The device stays as
	 * long: channel_remove() waits for it. */
	rcu_read_lock();
	spin_unlock_irqrestore(&ch->lock, flags);
	if (bell) {
		outl(0, ch->port + CHANNEL_IO_DOORBELL);
	}
	rcu_read_unlock();
	spin_lock_irqsave(&ch->lock, flags);
	if (isthmus_rx_poll(ch, &packet) != RX_NOTHING) {
		irq_wake_thread(ch->irq, ch);
	}
	spin_unlock_irqrestore(&ch->lock, flags);
}

/**
 * Like isthmus_tx_done() for packets whose answer nobody waits for: they go
 * with the next packet, or after 100 ms. So the host is not rung for them, and
 * the timer is set once for many.
 */
void isthmus_tx_later(struct isthmus *ch, unsigned long flags)
{
	isthmus_publish_later(ch);
	spin_unlock_irqrestore(&ch->lock, flags);
}
