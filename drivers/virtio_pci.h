/* SPDX-License-Identifier: MIT */
/*
 * What drivers of virtio 1 have in common over PCI, without the transitional
 * registers: the common configuration, and split queues [virtio 1.2 "Virtio Over
 * PCI Bus", "Split Virtqueues"].
 *
 * A ring is memory that the device may write anywhere; what our side must know
 * of it is in struct virtio_queue, which it does not see.
 */
#ifndef ISTHMUS_VIRTIO_PCI_H
#define ISTHMUS_VIRTIO_PCI_H

#include <stdbool.h>
#include <stdint.h>

#include "drivers/mmio.h"

/* [virtio 1.2 "Device Status Field"] */
#define VIRTIO_ACKNOWLEDGE	1u
#define VIRTIO_DRIVER		2u
#define VIRTIO_DRIVER_OK	4u
#define VIRTIO_FEATURES_OK	8u
#define VIRTIO_NEEDS_RESET	64u

/* [virtio 1.2 "Reserved Feature Bits"] */
#define VIRTIO_F_INDIRECT_DESC		(1ull << 28)
#define VIRTIO_F_VERSION_1		(1ull << 32)
#define VIRTIO_F_ACCESS_PLATFORM	(1ull << 33)

#define VIRTIO_DESC_NEXT	1u
#define VIRTIO_DESC_WRITE	2u
#define VIRTIO_DESC_INDIRECT	4u

#define VIRTIO_NO_INTERRUPT	1u	/* in avail.flags */
#define VIRTIO_NO_NOTIFY	1u	/* in used.flags */

#define VIRTIO_QUEUE_MAX	256u

/* Where the device has its structures [virtio 1.2 "Virtio Structure PCI
 * Capabilities"]; whoever fills this in has seen to it that they lie in mapped
 * memory. */
struct virtio_regs {
	volatile void *common;		/* at least 56 bytes */
	volatile void *device;
	uint32_t device_size;
	volatile void *notify;
	uint32_t notify_size;
	uint32_t notify_multiplier;
	/* Addresses on the bus are not the machine's: the device must know. */
	bool translated;
	/* Takes the bus from the device, for good. */
	void (*cut)(void *arg);
	void *arg;
};

struct virtio_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

struct virtio_used {
	uint32_t id;
	uint32_t len;
};

/* A queue's part of the memory that a device reads and writes; from dma_alloc(). */
struct virtio_ring {
	/* Of this alignment [virtio 1.2 "Split Virtqueues"], so that no entry
	 * lies in two pages, which may be in two places on the bus. */
	_Alignas(16) struct virtio_desc desc[VIRTIO_QUEUE_MAX];
	struct {
		uint16_t flags, idx, ring[VIRTIO_QUEUE_MAX];
	} avail;
	struct {
		_Alignas(4) volatile uint16_t flags;
		volatile uint16_t idx;
		volatile struct virtio_used ring[VIRTIO_QUEUE_MAX];
	} used;
};

struct virtio_queue {
	struct virtio_ring *ring;
	uint16_t size;			/* 0: never set up */
	uint16_t avail, used;		/* free-running */
	uint32_t notify;		/* offset in regs->notify */
};

/* Resets it; done when virtio_pci_status() is 0. */
void virtio_pci_reset(const struct virtio_regs *regs);
uint8_t virtio_pci_status(const struct virtio_regs *regs);
/* Begins with a device that has been reset: of the wanted features those that it
 * has, which are VERSION_1 and, where it must be, ACCESS_PLATFORM at least; 0: it
 * is not for us, and why. */
uint64_t virtio_pci_negotiate(const struct virtio_regs *regs, uint64_t wanted,
			      const char **why);
/* Queue number "index", as large as the device has it, at most VIRTIO_QUEUE_MAX,
 * with the interrupt "vector". EINVAL: it cannot be used, or has another size than
 * before. */
int virtio_pci_queue(const struct virtio_regs *regs, unsigned index,
		     struct virtio_queue *queue, uint16_t vector);
/* The interrupt for changes of its configuration. */
void virtio_pci_config_vector(const struct virtio_regs *regs, uint16_t vector);
/* The device may use its queues from now on. */
void virtio_pci_ready(const struct virtio_regs *regs);
/* A field of the configuration, 0 where the device has less of it. */
uint32_t virtio_pci_config(const struct virtio_regs *regs, uint32_t at);
uint16_t virtio_pci_config16(const struct virtio_regs *regs, uint32_t at);
uint8_t virtio_pci_config8(const struct virtio_regs *regs, uint32_t at);

/** The chain that begins at a descriptor is the device's: [virtio 1.2 "Supplying
 * Buffers to The Device"], without a word to it yet. */
static inline void virtio_offer(struct virtio_queue *queue, uint16_t head)
{
	struct virtio_ring *ring = queue->ring;

	ring->avail.ring[queue->avail++ % queue->size] = head;
	mmio_order();
	*(volatile uint16_t *)&ring->avail.idx = queue->avail;
}

/** Says so. Without a look at used.flags, which would need a fence here. */
static inline void virtio_kick(const struct virtio_regs *regs,
			       const struct virtio_queue *queue, uint16_t index)
{
	mmio_out16(regs->notify, queue->notify, index);
}

/** How many entries of the used ring are new; more than size: nonsense. They may
 * be read when this has returned. */
static inline uint16_t virtio_news(const struct virtio_queue *queue)
{
	uint16_t idx = queue->ring->used.idx;

	mmio_order();
	return (uint16_t)(idx - queue->used);
}

/** The next of those entries, read once. */
static inline struct virtio_used virtio_take(struct virtio_queue *queue)
{
	volatile struct virtio_used *at =
		&queue->ring->used.ring[queue->used++ % queue->size];

	return (struct virtio_used) { .id = at->id, .len = at->len };
}

#endif
