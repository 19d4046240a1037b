/* SPDX-License-Identifier: MIT */
/*
 * Start of a virtio 1 device, step by step as [virtio 1.2 "Device Initialization"]
 * has it. What its registers say is checked: a queue's place for notifications lies
 * where it is mapped, its size is one that our memory has room for.
 */
#include <errno.h>
#include <string.h>

#include "drivers/virtio_pci.h"
#include "host-bridge/dev/dma.h"

/* [virtio 1.2 "Common configuration structure layout"] */
#define COMMON_DEVICE_FEATURE_SELECT	0x00
#define COMMON_DEVICE_FEATURE		0x04
#define COMMON_DRIVER_FEATURE_SELECT	0x08
#define COMMON_DRIVER_FEATURE		0x0c
#define COMMON_CONFIG_MSIX_VECTOR	0x10
#define COMMON_DEVICE_STATUS		0x14
#define COMMON_QUEUE_SELECT		0x16
#define COMMON_QUEUE_SIZE		0x18
#define COMMON_QUEUE_MSIX_VECTOR	0x1a
#define COMMON_QUEUE_ENABLE		0x1c
#define COMMON_QUEUE_NOTIFY_OFF		0x1e
#define COMMON_QUEUE_DESC		0x20
#define COMMON_QUEUE_DRIVER		0x28
#define COMMON_QUEUE_DEVICE		0x30

static void common_out64(const struct virtio_regs *regs, uint32_t at,
			 const void *what)
{
	uint64_t bus = dma_bus(what);

	mmio_out32(regs->common, at, (uint32_t)bus);
	mmio_out32(regs->common, at + 4, (uint32_t)(bus >> 32));
}

static void status_out(const struct virtio_regs *regs, uint8_t status)
{
	mmio_out8(regs->common, COMMON_DEVICE_STATUS, status);
}

/** See virtio_pci.h. */
uint8_t virtio_pci_status(const struct virtio_regs *regs)
{
	return mmio_in8(regs->common, COMMON_DEVICE_STATUS);
}

/** See virtio_pci.h. [virtio 1.2 "Device Reset"] */
void virtio_pci_reset(const struct virtio_regs *regs)
{
	status_out(regs, 0);
}

/** See virtio_pci.h. The device knows of a driver then, which has said what it
 * wants. */
uint64_t virtio_pci_negotiate(const struct virtio_regs *regs, uint64_t wanted,
			      const char **why)
{
	uint64_t features = 0;

	status_out(regs, VIRTIO_ACKNOWLEDGE);
	status_out(regs, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
	for (uint32_t half = 0; half < 2; half++) {
		mmio_out32(regs->common, COMMON_DEVICE_FEATURE_SELECT, half);
		features |= (uint64_t)mmio_in32(regs->common,
						COMMON_DEVICE_FEATURE)
			    << 32 * half;
	}
	features &= wanted;
	if (!(features & VIRTIO_F_VERSION_1)) {
		*why = "it is not of virtio 1";
		return 0;
	}
	/* [virtio 1.2 "Reserved Feature Bits"]: without this bit it takes
	 * addresses for the machine's own, and an IOMMU does not hold it. */
	if (regs->translated && !(features & VIRTIO_F_ACCESS_PLATFORM)) {
		*why = "it bypasses the IOMMU (no ACCESS_PLATFORM)";
		return 0;
	}
	for (uint32_t half = 0; half < 2; half++) {
		mmio_out32(regs->common, COMMON_DRIVER_FEATURE_SELECT, half);
		mmio_out32(regs->common, COMMON_DRIVER_FEATURE,
			   (uint32_t)(features >> 32 * half));
	}
	status_out(regs, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER |
		   VIRTIO_FEATURES_OK);
	if (!(virtio_pci_status(regs) & VIRTIO_FEATURES_OK)) {
		*why = "it refuses its own features";
		return 0;
	}
	return features;
}

/** See virtio_pci.h. A size is a power of two [virtio 1.2 "Virtqueue
 * Configuration"]. */
int virtio_pci_queue(const struct virtio_regs *regs, unsigned index,
		     struct virtio_queue *queue, uint16_t vector)
{
	struct virtio_ring *ring = queue->ring;
	uint16_t size, off;

	mmio_out16(regs->common, COMMON_QUEUE_SELECT, (uint16_t)index);
	size = mmio_in16(regs->common, COMMON_QUEUE_SIZE);
	off = mmio_in16(regs->common, COMMON_QUEUE_NOTIFY_OFF);
	size = size < VIRTIO_QUEUE_MAX ? size : VIRTIO_QUEUE_MAX;
	if (size == 0 || size & (size - 1) ||
	    (uint64_t)off * regs->notify_multiplier + 2 > regs->notify_size ||
	    (queue->size && queue->size != size)) {
		return EINVAL;
	}
	queue->size = size;
	queue->notify = off * regs->notify_multiplier;
	queue->avail = queue->used = 0;
	memset(&ring->avail, 0, sizeof(ring->avail));
	memset((void *)&ring->used, 0, sizeof(ring->used));
	mmio_out16(regs->common, COMMON_QUEUE_SIZE, size);
	mmio_out16(regs->common, COMMON_QUEUE_MSIX_VECTOR, vector);
	common_out64(regs, COMMON_QUEUE_DESC, ring->desc);
	common_out64(regs, COMMON_QUEUE_DRIVER, &ring->avail);
	common_out64(regs, COMMON_QUEUE_DEVICE, (void *)&ring->used);
	mmio_out16(regs->common, COMMON_QUEUE_ENABLE, 1);
	return 0;
}

/** See virtio_pci.h. */
void virtio_pci_config_vector(const struct virtio_regs *regs, uint16_t vector)
{
	mmio_out16(regs->common, COMMON_CONFIG_MSIX_VECTOR, vector);
}

/** See virtio_pci.h. */
void virtio_pci_ready(const struct virtio_regs *regs)
{
	status_out(regs, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER |
		   VIRTIO_FEATURES_OK | VIRTIO_DRIVER_OK);
}

/** See virtio_pci.h. Four bytes. */
uint32_t virtio_pci_config(const struct virtio_regs *regs, uint32_t at)
{
	return at + 4 <= regs->device_size ? mmio_in32(regs->device, at) : 0;
}

/** See virtio_pci.h. Each field is read as wide as it is [virtio 1.2 "Driver
 * Requirements: PCI Device Layout"]. */
uint16_t virtio_pci_config16(const struct virtio_regs *regs, uint32_t at)
{
	return at + 2 <= regs->device_size ? mmio_in16(regs->device, at) : 0;
}

/** See virtio_pci.h. */
uint8_t virtio_pci_config8(const struct virtio_regs *regs, uint32_t at)
{
	return at + 1 <= regs->device_size ? mmio_in8(regs->device, at) : 0;
}
