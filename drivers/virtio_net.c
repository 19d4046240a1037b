/* SPDX-License-Identifier: MIT */
/*
 * The virtio network driver. Each entry of a queue's table has a buffer of its own
 * for good; what is sent takes as many as it needs, chained. Which entries are the
 * device's, and how they are chained, is kept in memory that it does not see: what
 * it writes over its queue leads nowhere else. Used entries are read once and
 * checked.
 *
 * The queue for sending interrupts only after it was full: what is sent is taken
 * back when more is, or by nic.c's timer.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/virtio_net.h"
#include "host-bridge/dev/dma.h"

/* [virtio 1.2 "Network Device", "Feature bits"] */
#define F_CSUM		(1ull << 0)
#define F_GUEST_CSUM	(1ull << 1)
#define F_MTU		(1ull << 3)
#define F_MAC		(1ull << 5)
#define F_HOST_TSO4	(1ull << 11)
#define F_HOST_TSO6	(1ull << 12)
#define F_STATUS	(1ull << 16)
#define F_WANTED	(F_CSUM | F_GUEST_CSUM | F_MTU | F_MAC | F_HOST_TSO4 | \
			 F_HOST_TSO6 | F_STATUS | VIRTIO_F_VERSION_1 | \
			 VIRTIO_F_ACCESS_PLATFORM)

/* [virtio 1.2 "Network Device", "Device configuration layout"] */
#define CONFIG_MAC	0
#define CONFIG_STATUS	6
#define CONFIG_MTU	10
#define STATUS_LINK_UP	1u
#define MTU_LEAST	576u		/* [RFC 791]; below it is nonsense */

#define NEEDS_CSUM	1u
#define DATA_VALID	2u
#define GSO_TCPV4	1u
#define GSO_TCPV6	4u

#define RX		0u
#define TX		1u
#define SLOTS		VIRTIO_QUEUE_MAX
#define SLOT_BYTES	2048u
#define NO_SLOT		0xffffu

enum step { STEP_RESET, STEP_IS_RESET };

/* Before each frame [virtio 1.2 "Network Device", "Device Operation"]. */
struct header {
	uint8_t flags, gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};

_Static_assert(sizeof(struct header) == 12, "as the device has it");

/* All that the device reads and writes. */
struct shared {
	struct virtio_ring rings[2];
	uint8_t slots[2][SLOTS][SLOT_BYTES];
};

struct virtio_net {
	struct nic nic;
	struct virtio_regs regs;
	struct shared *shared;
	struct virtio_queue queues[2];
	uint64_t features;
	bool link_vector;
	/* Of entries: that they are the device's (first ones of a chain only,
	 * of those for sending); the next one, of a chain or of those that
	 * are free. */
	bool given[2][SLOTS];
	uint16_t next[SLOTS];
	uint16_t free, free_count;
};

static struct virtio_net *net_of(struct nic *nic)
{
	return (struct virtio_net *)nic;
}

/* The first time only: a card that is another one afterwards is not used. */
static int read_config(struct virtio_net *net)
{
	struct nic *nic = &net->nic;
	uint64_t f = net->features;
	uint8_t mac[6];
	unsigned mtu;

	for (unsigned i = 0; i < 6; i++) {
		mac[i] = virtio_pci_config8(&net->regs, CONFIG_MAC + i);
	}
	if (!(f & F_MAC) || !nic_address(nic, mac)) {
		nic->why = "it has no address";
		return EINVAL;
	}
	mtu = f & F_MTU ? virtio_pci_config16(&net->regs, CONFIG_MTU) : NIC_MTU;
	nic->mtu = mtu >= MTU_LEAST && mtu < NIC_MTU ? mtu : NIC_MTU;
	/* TSO is with checksums only [virtio 1.2 "Feature bit requirements"] */
	nic->offers = !(f & F_CSUM) ? 0 :
		      NIC_CSUM | (f & F_HOST_TSO4 ? NIC_TSO4 : 0) |
		      (f & F_HOST_TSO6 ? NIC_TSO6 : 0);
	nic->model = "virtio network card";
	return 0;
}

/* Tells the device of what it has been given, if it asks for that [virtio 1.2
 * "Available Buffer Notification Suppression"]: what it is given before its word is
 * read. */
static void kick(struct virtio_net *net, unsigned which)
{
	const struct virtio_queue *queue = &net->queues[which];

	mmio_fence();
	if (!(queue->ring->used.flags & VIRTIO_NO_NOTIFY)) {
		virtio_kick(&net->regs, queue, (uint16_t)which);
	}
}

static void give_rx(struct virtio_net *net, uint16_t slot)
{
	net->queues[RX].ring->desc[slot] = (struct virtio_desc) {
		.addr = dma_bus(net->shared->slots[RX][slot]),
		.len = SLOT_BYTES, .flags = VIRTIO_DESC_WRITE,
	};
	net->given[RX][slot] = true;
	virtio_offer(&net->queues[RX], slot);
}

static void interrupts(struct virtio_net *net, unsigned which, bool on)
{
	*(volatile uint16_t *)&net->queues[which].ring->avail.flags =
		on ? 0 : VIRTIO_NO_INTERRUPT;
}

static int set_queues(struct virtio_net *net)
{
	memset(net->given, 0, sizeof(net->given));
	for (unsigned i = 0; i < 2; i++) {
		if (virtio_pci_queue(&net->regs, i, &net->queues[i], 0) != 0) {
			net->nic.why = "its queues are not usable";
			return EINVAL;
		}
	}
	net->free = 0;
	net->free_count = net->queues[TX].size;
	for (uint16_t i = 0; i < net->free_count; i++) {
		net->next[i] = i + 1;
	}
	interrupts(net, TX, false);
	for (uint16_t i = 0; i < net->queues[RX].size; i++) {
		give_rx(net, i);
	}
	return 0;
}

static int set_up(struct virtio_net *net)
{
	uint64_t features = virtio_pci_negotiate(&net->regs, F_WANTED,
						 &net->nic.why);
	int error;

	if (!features || (net->nic.known && features != net->features)) {
		return EINVAL;
	}
	net->features = features;
	virtio_pci_config_vector(&net->regs, net->link_vector);
	error = set_queues(net);
	if (error == 0 && !net->nic.known) {
		error = read_config(net);
	}
	if (error == 0) {
		virtio_pci_ready(&net->regs);
		kick(net, RX);
	}
	return error;
}

static int begin(struct nic *nic)
{
	struct virtio_net *net = net_of(nic);

	if (nic->step == STEP_RESET) {
		virtio_pci_reset(&net->regs);
		nic_step(nic, STEP_IS_RESET, NIC_START_MS);
		return EAGAIN;
	}
	return virtio_pci_status(&net->regs) != 0 ? EAGAIN : set_up(net);
}

static void read_link(struct nic *nic)
{
	struct virtio_net *net = net_of(nic);

	if (virtio_pci_status(&net->regs) & VIRTIO_NEEDS_RESET) {
		nic->errors++;
		nic->lost = true;
	}
	nic_link(nic, !(net->features & F_STATUS) ||
		 virtio_pci_config16(&net->regs, CONFIG_STATUS) &
		 STATUS_LINK_UP);
}

/* What has been sent is free again. */
static void take_back(struct virtio_net *net)
{
	struct virtio_queue *queue = &net->queues[TX];
	uint16_t news = virtio_news(queue);
	unsigned count = 0;

	if (news > queue->size) {
		nic_lost(&net->nic);
		return;
	}
	while (news-- > 0) {
		uint32_t id = virtio_take(queue).id;
		uint16_t slot;

		if (id >= queue->size || !net->given[TX][id]) {
			net->nic.nonsense++;
			continue;
		}
		net->given[TX][id] = false;
		count++;
		for (slot = (uint16_t)id; slot != NO_SLOT; ) {
			uint16_t next = net->next[slot];

			net->next[slot] = net->free;
			net->free = slot;
			net->free_count++;
			slot = next;
		}
	}
	nic_sent(&net->nic, count);
}

/* Takes "needed" entries, chained; the first one. */
static uint16_t take_slots(struct virtio_net *net, unsigned needed)
{
	uint16_t first = net->free, last = first;

	net->free_count -= (uint16_t)needed;
	while (--needed > 0) {
		last = net->next[last];
	}
	net->free = net->next[last];
	net->next[last] = NO_SLOT;
	return first;
}

static struct header header_of(const struct nic_offload *off, size_t header)
{
	struct header h = { .num_buffers = 0 };

	if (off && off->csum) {
		h.flags = NEEDS_CSUM;
		h.csum_start = off->csum_start;
		h.csum_offset = off->csum_offset;
	}
	if (off && off->gso) {
		h.gso_type = off->gso == NIC_TSO4 ? GSO_TCPV4 : GSO_TCPV6;
		h.gso_size = off->gso_size;
		h.hdr_len = (uint16_t)header;
	}
	return h;
}

/* Copies header and data into the entries of a chain. */
static void fill(struct virtio_net *net, uint16_t slot,
		 const struct header *header, const struct nic_seg *segs,
		 unsigned count, size_t len)
{
	size_t at = 0, head = sizeof(*header);

	while (slot != NO_SLOT) {
		uint8_t *data = net->shared->slots[TX][slot];
		size_t part = SLOT_BYTES - head < len - at ? SLOT_BYTES - head :
			      len - at;
		uint16_t next = net->next[slot];

		if (head) {
			memcpy(data, header, head);
		}
		nic_gather(data + head, segs, count, at, part);
		net->queues[TX].ring->desc[slot] = (struct virtio_desc) {
			.addr = dma_bus(data), .len = (uint32_t)(head + part),
			.flags = next != NO_SLOT ? VIRTIO_DESC_NEXT : 0,
			.next = next != NO_SLOT ? next : 0,
		};
		at += part;
		head = 0;
		slot = next;
	}
}

static void tell(struct nic *nic)
{
	kick(net_of(nic), TX);
}

static int send(struct nic *nic, const struct nic_seg *segs, unsigned count,
		size_t len, const struct nic_offload *off, size_t header)
{
	struct virtio_net *net = net_of(nic);
	struct header h = header_of(off, header);
	unsigned needed = (unsigned)((sizeof(h) + len + SLOT_BYTES - 1) /
				     SLOT_BYTES);
	uint16_t slot;

	take_back(net);
	if (needed > net->queues[TX].size) {
		return EMSGSIZE;
	}
	if (needed > net->free_count) {
		/* it may have sent everything just before */
		interrupts(net, TX, true);
		mmio_fence();
		take_back(net);
		if (needed > net->free_count) {
			return ENOBUFS;
		}
	}
	slot = take_slots(net, needed);
	fill(net, slot, &h, segs, count, len);
	net->given[TX][slot] = true;
	virtio_offer(&net->queues[TX], slot);
	if (!nic->held) {
		tell(nic);
	}
	return 0;
}

/* What the device says of a frame's sums, in a header that it may still write. */
static unsigned sums_of(struct virtio_net *net, const uint8_t *slot)
{
	struct header h;

	memcpy(&h, slot, sizeof(h));
	if (!(net->features & F_GUEST_CSUM)) {
		return 0;
	}
	if (h.flags & NEEDS_CSUM) {
		net->nic.open = (struct nic_offload){
			.csum = true, .csum_start = h.csum_start,
			.csum_offset = h.csum_offset,
		};
		return NIC_RX_CSUM_OPEN;
	}
	return h.flags & DATA_VALID ? NIC_RX_CSUM_GOOD : 0;
}

/* One frame that has come; its place is the device's again. */
static void take_frame(struct virtio_net *net)
{
	struct virtio_used used = virtio_take(&net->queues[RX]);
	size_t head = sizeof(struct header);
	uint16_t slot = (uint16_t)used.id;

	if (used.id >= net->queues[RX].size || !net->given[RX][slot]) {
		net->nic.nonsense++;
		return;
	}
	net->given[RX][slot] = false;
	if (used.len < head || used.len > SLOT_BYTES) {
		net->nic.nonsense++;
	} else {
		const uint8_t *data = net->shared->slots[RX][slot];

		nic_receive(&net->nic, data + head, used.len - head,
			    sums_of(net, data));
	}
	give_rx(net, slot);
}

/* While there is more nobody has to say so. */
static bool look(struct nic *nic)
{
	struct virtio_net *net = net_of(nic);
	unsigned budget = NIC_BUDGET;
	uint16_t news = virtio_news(&net->queues[RX]);

	if (!net->link_vector) {
		read_link(nic);
	}
	take_back(net);
	interrupts(net, TX, nic->full);
	if (news > net->queues[RX].size) {
		nic_lost(nic);
		return false;
	}
	nic->more = news > budget;
	interrupts(net, RX, !nic->more);
	for (; news > 0 && budget > 0; news--, budget--) {
		take_frame(net);
	}
	kick(net, RX);
	nic->more = virtio_news(&net->queues[RX]) != 0;
	return true;
}

static bool stop(struct nic *nic, bool at_last)
{
	struct virtio_net *net = net_of(nic);

	(void)at_last;
	virtio_pci_reset(&net->regs);
	net->regs.cut(net->regs.arg);
	return true;
}

/** See virtio_net.h. It is not started yet. */
struct nic *virtio_net_new(const struct virtio_regs *regs, bool link_vector)
{
	static const struct nic_ops ops = {
		.begin = begin, .send = send, .tell = tell, .look = look,
		.link = read_link, .stop = stop,
	};
	struct virtio_net *net = calloc(1, sizeof(*net));

	if (!net) {
		return NULL;
	}
	net->shared = dma_alloc(sizeof(*net->shared), 4096);
	if (!net->shared) {
		free(net);
		return NULL;
	}
	net->queues[RX].ring = &net->shared->rings[RX];
	net->queues[TX].ring = &net->shared->rings[TX];
	net->regs = *regs;
	net->link_vector = link_vector;
	nic_init(&net->nic, &ops);
	return &net->nic;
}
