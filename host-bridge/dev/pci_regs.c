/* SPDX-License-Identifier: MIT */
/*
 * Registers of PCI functions: see pci_regs.h.
 */
#include <errno.h>
#include <stddef.h>

#include "host-bridge/dev/dma.h"
#include "host-bridge/dev/pci_regs.h"
#include "host-bridge/rt/notice.h"

#define PAGE		4096u

/* [virtio 1.2 "Virtio Structure PCI Capabilities"] */
#define VIRTIO_CAP_TYPE		3
#define VIRTIO_CAP_BAR		4
#define VIRTIO_CAP_OFFSET	8
#define VIRTIO_CAP_LENGTH	12
#define VIRTIO_CAP_MULTIPLIER	16
#define VIRTIO_TYPE_COMMON	1u
#define VIRTIO_TYPE_NOTIFY	2u
#define VIRTIO_TYPE_DEVICE	4u
#define VIRTIO_COMMON_BYTES	56u

/** See pci_regs.h. */
void pci_regs_no_use(const struct pci_dev *dev, const char *what, int error)
{
	notice("isthmus: %s at %04x:%02x:%02x.%x is of no use: %s (error %d)",
	       pci_class_name(dev->class), (unsigned)(dev->address >> 16),
	       (unsigned)(dev->address >> 8 & 0xff),
	       (unsigned)(dev->address >> 3 & 31),
	       (unsigned)(dev->address & 7), what, error);
}

/** See pci_regs.h. */
void pci_regs_cut(void *arg)
{
	(void)pci_master(arg, false);
}

/* How much of a BAR's memory, from offset on, is ours to touch: the pages of an
 * MSI-X table are not. */
static uint64_t room(const struct pci_dev *dev, unsigned number,
		     const struct pci_bar *bar, uint64_t offset)
{
	unsigned cap = pci_capability(dev, PCI_CAP_MSIX, 0);
	uint64_t first, end, room = offset < bar->size ? bar->size - offset : 0;
	uint32_t table;

	if (!cap) {
		return room;
	}
	table = pci_read(dev, cap + 4, 4);
	if ((table & 7) != number) {
		return room;
	}
	first = (table & ~7u) / PAGE * PAGE;
	end = (table & ~7u) + ((pci_read(dev, cap + 2, 2) & 0x7ff) + 1) * 16ull;
	end = (end + PAGE - 1) / PAGE * PAGE;
	if (offset >= end) {
		return room;
	}
	return offset >= first ? 0 : first - offset < room ? first - offset :
	       room;
}

/** See pci_regs.h. */
volatile void *pci_regs_memory(const struct pci_dev *dev, unsigned number,
			       uint32_t offset, uint32_t least, uint32_t *size)
{
	struct pci_bar bar;
	uint64_t here;

	if (pci_bar(dev, number, &bar) != 0 || !bar.regs) {
		return NULL;
	}
	here = room(dev, number, &bar, offset);
	if (here < least) {
		return NULL;
	}
	*size = here < UINT32_MAX ? (uint32_t)here : UINT32_MAX;
	return (volatile char *)bar.regs + offset;
}

/* One of the structures: the first of its type that lies in memory, as the device
 * prefers it [virtio 1.2 "Virtio Structure PCI Capabilities"]. */
static void virtio_structure(const struct pci_dev *dev, unsigned cap,
			     struct virtio_regs *regs)
{
	unsigned type = pci_read(dev, cap + VIRTIO_CAP_TYPE, 1);
	unsigned bar = pci_read(dev, cap + VIRTIO_CAP_BAR, 1);
	uint32_t offset = pci_read(dev, cap + VIRTIO_CAP_OFFSET, 4);
	uint32_t length = pci_read(dev, cap + VIRTIO_CAP_LENGTH, 4), size;
	volatile void *at = bar >= 6 ? NULL :
			    pci_regs_memory(dev, bar, offset, length, &size);

	if (!at || offset % 4 != 0) {
		return;
	}
	if (type == VIRTIO_TYPE_COMMON && !regs->common &&
	    length >= VIRTIO_COMMON_BYTES) {
		regs->common = at;
	} else if (type == VIRTIO_TYPE_NOTIFY && !regs->notify) {
		regs->notify = at;
		regs->notify_size = length;
		regs->notify_multiplier =
			pci_read(dev, cap + VIRTIO_CAP_MULTIPLIER, 4);
	} else if (type == VIRTIO_TYPE_DEVICE && !regs->device) {
		regs->device = at;
		regs->device_size = length;
	}
}

/** See pci_regs.h. *regs is filled in, but for the driver's choice of an
 * interrupt. */
int pci_regs_virtio(struct pci_dev *dev, struct virtio_regs *regs)
{
	unsigned cap = 0;

	*regs = (struct virtio_regs){
		.translated = dma_guarded(), .cut = pci_regs_cut, .arg = dev,
	};
	while ((cap = pci_capability(dev, PCI_CAP_VENDOR, cap)) != 0) {
		virtio_structure(dev, cap, regs);
	}
	return regs->common && regs->notify && regs->device ? 0 : ENOENT;
}
