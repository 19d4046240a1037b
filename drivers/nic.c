/* SPDX-License-Identifier: MIT */
/*
 * Starts, time limits, link and frames of a network card: see nic.h. No locks:
 * everything runs in the loop's handlers, but for nic_send(), which may run at top
 * level, or within receive().
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "drivers/nic.h"

#define TICK_MS		100u		/* frames that the card has */
#define STEP_MS		3u		/* a start goes on */
#define HEAD_BYTES	128u		/* of headers that offloads look at */

static void on_timer(struct loop_timer *timer);

static struct nic *nic_of(struct loop_timer *timer)
{
	return (struct nic *)((char *)timer - offsetof(struct nic, timer));
}

static void set_timer(struct nic *nic)
{
	bool steps = nic->state == NIC_STARTING || nic->state == NIC_STOPPING;

	if (!nic->timer.deadline && (steps || (nic->in_flight && nic->link))) {
		loop_timer_set(&nic->timer, steps ? STEP_MS : TICK_MS,
			       on_timer);
	}
}

/** The driver goes on to another step of the start, which may take so long. */
void nic_step(struct nic *nic, unsigned step, unsigned ms)
{
	nic->step = step;
	nic->step_deadline = loop_uptime_ms() + ms;
}

/* What it had is lost with it. */
static void forget(struct nic *nic)
{
	nic->tx_dropped += nic->in_flight;
	nic->in_flight = 0;
	nic->more = nic->lost = false;
}

/* Until the card is stopped it may write to memory, which stays as it is. */
static void stop(struct nic *nic)
{
	if (nic->ops->stop(nic, loop_uptime_ms() >= nic->step_deadline)) {
		nic->state = NIC_FAILED;
		nic->news = true;
	}
}

static void fail(struct nic *nic, const char *why)
{
	nic->state = NIC_STOPPING;
	nic->why = why;
	nic->link = false;
	forget(nic);
	nic_step(nic, 0, NIC_STOP_MS);
	stop(nic);
}

/** Begins a start: the first one, or one that ends what the card was doing. */
void nic_start(struct nic *nic)
{
	uint64_t now = loop_uptime_ms();

	nic->state = NIC_STARTING;
	forget(nic);
	nic_step(nic, 0, NIC_START_MS);
	if (now < nic->rest_until) {
		nic->step_deadline += nic->rest_until - now;
	}
	loop_timer_cancel(&nic->timer);
	set_timer(nic);
}

static void restart(struct nic *nic)
{
	nic->resets++;
	nic_start(nic);
}

static void go_on(struct nic *nic)
{
	uint64_t now = loop_uptime_ms();
	int error;

	if (now < nic->rest_until) {
		return;
	}
	error = nic->ops->begin(nic);
	if (error == 0) {
		nic->state = NIC_READY;
		nic->known = true;
		nic->rest_until = now + NIC_REST_MS;
		nic->news = true;
		nic->roomy |= nic->full;
		nic->full = false;
		nic->ops->link(nic);
	} else if (error != EAGAIN) {
		fail(nic, nic->why ? nic->why : "it could not be started");
	} else if (now >= nic->step_deadline) {
		fail(nic, "it does not answer");
	}
}

/* The user hears of changes when the driver is done, and may send. */
static void tell(struct nic *nic)
{
	bool news = nic->news, room = nic->roomy && nic->state == NIC_READY;

	nic->news = false;
	nic->roomy = nic->roomy && !room;
	if (news && nic->changed) {
		nic->changed(nic->arg);
	}
	if (room && nic->room) {
		nic->room(nic->arg);
	}
}

/* What the card has done, within the budget. */
static void look(struct nic *nic)
{
	if (nic->state != NIC_READY || nic->looking) {
		return;
	}
	nic->more = false;
	nic->looking = true;
	if (!nic->ops->look(nic)) {
		nic->lost = true;
	}
	if (nic->received) {
		nic->received(nic->arg);
	}
	nic->looking = false;
	if (nic->lost) {
		restart(nic);
	}
}

/* After all that may have changed something. */
static void after(struct nic *nic)
{
	if (nic->more) {
		nic->again(nic->again_arg);
	}
	set_timer(nic);
	tell(nic);
}

/** Serves what the card has done; harmless when there was nothing. A start goes on
 * by the timer only. */
void nic_interrupt(struct nic *nic)
{
	nic->interrupts += !nic->more;
	look(nic);
	after(nic);
}

/** The link may have changed. */
void nic_link_interrupt(struct nic *nic)
{
	nic->interrupts++;
	if (nic->state == NIC_READY) {
		nic->ops->link(nic);
		if (nic->lost) {
			restart(nic);
		}
		after(nic);
	}
}

/* Frames wait for a link as long as they have to. */
static void hang_look(struct nic *nic)
{
	if (nic->state == NIC_READY && nic->in_flight && nic->link &&
	    loop_uptime_ms() >= nic->sent_deadline) {
		nic->hangs++;
		restart(nic);
	}
}

static void on_timer(struct loop_timer *timer)
{
	nic_poll(nic_of(timer));
}

/** See nic.h. From the loop's handlers, or where the loop runs no more. */
void nic_poll(struct nic *nic)
{
	if (nic->state == NIC_STARTING) {
		go_on(nic);
	} else if (nic->state == NIC_STOPPING) {
		stop(nic);
	} else {
		look(nic);
		hang_look(nic);
	}
	after(nic);
}

/** To be called by the driver's look only. A frame of no possible length is
 * dropped, and so is one for another station, which some cards hand on; a driver
 * has seen to it that it lies in the card's memory. */
void nic_receive(struct nic *nic, const volatile void *frame, size_t len,
		 unsigned flags)
{
	if (len < NIC_HEADER || len > NIC_FRAME_MAX || !nic->receive) {
		nic->rx_dropped++;
		return;
	}
	if (flags & NIC_RX_CSUM_OPEN && (nic->open.csum_start < NIC_HEADER ||
	    nic->open.csum_start + nic->open.csum_offset + 2u > len)) {
		nic->nonsense++;
		return;
	}
	/* Once: the card may write there at any time. */
	memcpy(nic->frame, (const void *)frame, len);
	if (!(nic->frame[0] & 1) && memcmp(nic->frame, nic->mac, 6) != 0) {
		nic->rx_dropped++;
		return;
	}
	nic->rx_packets++;
	nic->rx_bytes += len;
	nic->receive(nic->arg, nic->frame, len, flags);
}

/** So many frames are sent, or dropped by the card. */
void nic_sent(struct nic *nic, unsigned frames)
{
	if (frames == 0) {
		return;
	}
	nic->in_flight -= frames < nic->in_flight ? frames : nic->in_flight;
	nic->sent_deadline = loop_uptime_ms() + NIC_SEND_MS;
	nic->roomy |= nic->full;
	nic->full = false;
}

/** As the card has it now. */
void nic_link(struct nic *nic, bool up)
{
	if (nic->link != up) {
		nic->link = up;
		nic->link_changes++;
		nic->news = true;
		nic->sent_deadline = loop_uptime_ms() + NIC_SEND_MS;
	}
}

/** From anywhere in a driver: it is started anew when that has returned. */
void nic_lost(struct nic *nic)
{
	nic->nonsense++;
	nic->lost = true;
}

/** See nic.h. [IEEE 802.3 "Address fields"]: neither a group's nor zero. */
bool nic_address(struct nic *nic, const uint8_t *mac)
{
	static const uint8_t zero[6];

	memcpy(nic->mac, mac, sizeof(nic->mac));
	return !(mac[0] & 1) && memcmp(mac, zero, sizeof(zero)) != 0;
}

/** See nic.h. The segments have so many bytes. */
void nic_gather(void *to, const struct nic_seg *segs, unsigned count,
		size_t at, size_t len)
{
	uint8_t *out = to;

	for (unsigned i = 0; i < count && len > 0; i++) {
		size_t part = segs[i].len;

		if (at >= part) {
			at -= part;
			continue;
		}
		part = part - at < len ? part - at : len;
		memcpy(out, (const uint8_t *)segs[i].data + at, part);
		out += part;
		len -= part;
		at = 0;
	}
}

/* One frame, or what the card itself makes several of. */
static int give(struct nic *nic, const struct nic_seg *segs, unsigned count,
		size_t len, const struct nic_offload *off, size_t header)
{
	int error = nic->ops->send(nic, segs, count, len, off, header);

	if (error == ENOBUFS && nic->held) {
		/* It may send what it has not heard of yet. */
		nic->ops->tell(nic);
		error = nic->ops->send(nic, segs, count, len, off, header);
	}
	if (error != 0) {
		nic->full |= error == ENOBUFS;
		return error;
	}
	if (nic->in_flight++ == 0) {
		nic->sent_deadline = loop_uptime_ms() + NIC_SEND_MS;
	}
	nic->tx_packets++;
	nic->tx_bytes += len;
	return 0;
}

/* Several frames, of which the card hears at once. Those for which there is no room
 * are lost, but not if it is the first. */
static int give_frames(struct nic *nic, const uint8_t *all, size_t len,
		       const struct nic_offload *off, size_t header)
{
	static uint8_t frame[NIC_FRAME_MAX];
	struct nic_seg seg = { .data = frame };
	int error = 0;
	unsigned i;

	nic->held = true;
	for (i = 0; (seg.len = nic_soft_frame(all, len, off, header, i,
					      frame)) != 0; i++) {
		error = give(nic, &seg, 1, seg.len, NULL, 0);
		if (error != 0 && i == 0) {
			break;
		}
		nic->tx_dropped += error != 0;
	}
	nic->held = false;
	nic->ops->tell(nic);
	return i == 0 ? error : 0;
}

/* What the card does not do itself: the checksum, or several frames. */
static int give_made(struct nic *nic, const struct nic_seg *segs,
		     unsigned count, size_t len, const struct nic_offload *off,
		     size_t header)
{
	static uint8_t all[NIC_SEND_MAX];
	struct nic_seg seg = { all, len };

	nic_gather(all, segs, count, 0, len);
	if (off->gso) {
		return give_frames(nic, all, len, off, header);
	}
	nic_soft_csum(all, len, off);
	return give(nic, &seg, 1, len, NULL, 0);
}

static int send(struct nic *nic, const struct nic_seg *segs, unsigned count,
		const struct nic_offload *off)
{
	uint8_t head[HEAD_BYTES];
	size_t len = 0, header = 0, have;
	unsigned needs;

	if (nic->state != NIC_READY || !nic->link) {
		return ENETDOWN;
	}
	for (unsigned i = 0; i < count; i++) {
		len += segs[i].len;
	}
	needs = off ? off->gso | (off->csum ? NIC_CSUM : 0) : 0;
	if (count > NIC_SEGS_MAX || len < NIC_HEADER || len > NIC_SEND_MAX ||
	    (!(needs & ~NIC_CSUM) && len > NIC_HEADER + nic->mtu)) {
		return EMSGSIZE;
	}
	if (!needs) {
		return give(nic, segs, count, len, NULL, 0);
	}
	have = len < HEAD_BYTES ? len : HEAD_BYTES;
	nic_gather(head, segs, count, 0, have);
	if (!nic_soft_check(nic, head, have, len, off, &header)) {
		return EINVAL;
	}
	if (needs & ~nic->offers) {
		return give_made(nic, segs, count, len, off, header);
	}
	return give(nic, segs, count, len, off, header);
}

/** See nic.h. Whatever is not sent is counted. */
int nic_send(struct nic *nic, const struct nic_seg *segs, unsigned count,
	     const struct nic_offload *off)
{
	int error = send(nic, segs, count, off);

	nic->tx_dropped += error != 0;
	if (nic->lost && !nic->looking) {
		restart(nic);
	}
	set_timer(nic);
	return error;
}

/** "virtio network card, 52:54:00:12:34:56, link up, checksums, TSO" */
void nic_describe(const struct nic *nic, char *text, size_t size)
{
	const uint8_t *mac = nic->mac;

	snprintf(text, size, "%s, %02x:%02x:%02x:%02x:%02x:%02x, link %s%s%s",
		 nic->model, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5],
		 nic->link ? "up" : "down",
		 nic->offers & NIC_CSUM ? ", checksums" : "",
		 nic->offers & (NIC_TSO4 | NIC_TSO6) ? ", TSO" : "");
}

/** Before nic_start(); what the driver has set stays. */
void nic_init(struct nic *nic, const struct nic_ops *ops)
{
	nic->ops = ops;
	nic->mtu = NIC_MTU;
}
