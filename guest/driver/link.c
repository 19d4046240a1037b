// SPDX-License-Identifier: GPL-2.0-only
/*
 * isthmus: the state table of the channel. docs/channel.md, "States", gives the
 * rules; host-bridge follows the same ones. All with rx_mutex held.
 *
 * The table is the hypervisor's, so its words are true; but they change at any
 * time, and the host chooses its own. A state interrupt follows each change, so
 * a step that is not possible now is tried again then.
 */
#include "isthmus.h"

/**
 * Leaves the ring: sockets are reset, FUSE requests wait, nothing more is written.
 * The own state word becomes DOWN. From any state; reason is for the log. May
 * sleep.
 */
void isthmus_link_down(struct isthmus *ch, const char *reason)
{
	unsigned long flags;
	bool was_up = ch->up;
	u32 waiting;

	spin_lock_irqsave(&ch->lock, flags);
	/* Under the lock: whoever holds it next finds the channel down and
	 * keeps off the ring, before its header is made anew. */
	ch->up = false;
	ch->tx_blocked = false;
	ch->rx_more = false;
	ch->fault = RING_OK;
	waiting = isthmus_fuse_reset(ch) + isthmus_disk_reset(ch);
	isthmus_net_reset(ch);
	spin_unlock_irqrestore(&ch->lock, flags);

	/* send_pkt() adds nothing more. */
	skb_queue_purge(&ch->tx_queue);
	isthmus_set_state(ch, CHANNEL_STATE_DOWN);
	if (was_up) {
		dev_info(&ch->pdev->dev,
			 "channel down: %s; %u requests wait\n",
			 reason, waiting);
		isthmus_vsock_reset();
	}
	wake_up_all(&ch->wq);
}

/* Both ends are READY: traffic, if the host's header is of this generation. A
 * host that says READY with a wrong header gets a DOWN for it. */
static void link_up(struct isthmus *ch)
{
	unsigned long flags;

	if (ring_attach(&ch->ring) != RING_OK) {
		isthmus_link_down(ch, "the host's ring header is not valid");
		return;
	}
	spin_lock_irqsave(&ch->lock, flags);
	ch->up = true;
	/* Mounts that went on without the channel connect again. */
	ch->tx_blocked = true;
	spin_unlock_irqrestore(&ch->lock, flags);
	dev_info(&ch->pdev->dev, "channel up, generation %u\n",
		 ch->generation);
	wake_up_all(&ch->wq);
}

/* The host's word: one read, of a value that is good for one decision. */
static u32 peer_state(const struct isthmus *ch)
{
	return ring_load(&ch->table[CHANNEL_ST_STATE(1 - ch->peer)]);
}

/**
 * Looks at the state table and takes the steps it allows, as many as follow one
 * another. To be called after each state interrupt, and after
 * isthmus_link_down(), to come up again. Process context.
 */
void isthmus_link_step(struct isthmus *ch)
{
	u32 gen = ring_load(&ch->table[CHANNEL_ST_GENERATION]);
	void *region = ch->region;

	/* Rule 3, before all others: a partition stopped meanwhile, or the peer
	 * left. */
	if (ch->own_state != CHANNEL_STATE_DOWN && gen != ch->generation) {
		isthmus_link_down(ch, "new generation");
	} else if (ch->own_state == CHANNEL_STATE_READY &&
		   (peer_state(ch) == CHANNEL_STATE_DOWN ||
		    (ch->up && peer_state(ch) != CHANNEL_STATE_READY))) {
		isthmus_link_down(ch, "the host went down");
	}
	/* Rule 1: not while the host still says READY. It must have seen our
	 * DOWN, or it could take the new header for the old one. */
	if (ch->own_state == CHANNEL_STATE_DOWN &&
	    peer_state(ch) != CHANNEL_STATE_READY) {
		/* gen was read before the header is made; if it has changed
		 * since, its state interrupt brings us back here, to DOWN. */
		if (ring_init(&ch->ring, region +
			      CHANNEL_OUTPUT_OFFSET(ch->peer, ch->section),
			      region + CHANNEL_OUTPUT_OFFSET(1 - ch->peer,
							     ch->section),
			      ch->section, gen) != RING_OK) {
			dev_err(&ch->pdev->dev, "section size %u not valid\n",
				ch->section);
			return;
		}
		ch->generation = gen;
		isthmus_set_state(ch, CHANNEL_STATE_INIT);
	}
	/* Rule 2. */
	if (ch->own_state == CHANNEL_STATE_INIT &&
	    peer_state(ch) != CHANNEL_STATE_DOWN) {
		isthmus_set_state(ch, CHANNEL_STATE_READY);
	}
	if (ch->own_state == CHANNEL_STATE_READY && !ch->up &&
	    peer_state(ch) == CHANNEL_STATE_READY) {
		link_up(ch);
	}
}
