/* SPDX-License-Identifier: MIT */
/*
 * Which driver is for which PCI function. What a function says of where its
 * registers are is checked here: the drivers trust what they are given.
 */
#include <errno.h>
#include <stddef.h>

#include "drivers/ahci.h"
#include "drivers/ata.h"
#include "drivers/nvme.h"
#include "drivers/virtio_blk.h"
#include "host-bridge/blk/disks.h"
#include "host-bridge/dev/dma.h"
#include "host-bridge/dev/pci.h"
#include "host-bridge/rt/notice.h"

#define CLASS_STORAGE	0x010000u	/* mask 0xff0000 */
#define CLASS_IDE	0x010100u	/* mask 0xffff00 */
#define CLASS_AHCI	0x010601u
#define CLASS_NVME	0x010802u

#define PAGE		4096u

/* [virtio 1.2 "PCI Device Discovery"; "Virtio Structure PCI Capabilities"] */
#define VIRTIO_VENDOR		0x1af4u
#define VIRTIO_BLOCK		0x1042u
#define VIRTIO_BLOCK_OLD	0x1001u	/* has both kinds of registers */
#define VIRTIO_CAP_TYPE		3
#define VIRTIO_CAP_BAR		4
#define VIRTIO_CAP_OFFSET	8
#define VIRTIO_CAP_LENGTH	12
#define VIRTIO_CAP_MULTIPLIER	16
#define VIRTIO_TYPE_COMMON	1u
#define VIRTIO_TYPE_NOTIFY	2u
#define VIRTIO_TYPE_DEVICE	4u
#define VIRTIO_COMMON_BYTES	56u

static void no_use(const struct pci_dev *dev, const char *what, int error)
{
	notice("isthmus: %s at %04x:%02x:%02x.%x is of no use: %s (error %d)",
	       pci_class_name(dev->class), (unsigned)(dev->address >> 16),
	       (unsigned)(dev->address >> 8 & 0xff),
	       (unsigned)(dev->address >> 3 & 31),
	       (unsigned)(dev->address & 7), what, error);
}

static void cut(void *arg)
{
	(void)pci_master(arg, false);
}

static void on_disk(void *arg)
{
	disk_interrupt(arg);
}

static void on_ahci(void *arg)
{
	ahci_interrupt(arg);
}

static void on_ata(void *arg)
{
	ata_interrupt(arg);
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

/* Memory of a function: NULL, if it has not at least so much. */
static volatile void *memory(const struct pci_dev *dev, unsigned number,
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

/* Interrupt and bus for a disk that is a function by itself. */
static void add_function(struct pci_dev *dev, struct disk *disk,
			 const char *kind, unsigned number)
{
	int error = disk ? pci_irq(dev, 0, on_disk, disk) : ENOMEM;

	if (error == 0) {
		error = pci_master(dev, true);
	}
	if (error != 0) {
		no_use(dev, "it has no interrupt, or may not use the bus",
		       error);
		return;
	}
	disks_add(disk, kind, number);
}

static void probe_nvme(struct pci_dev *dev, unsigned number)
{
	struct nvme_regs regs = { .cut = cut, .arg = dev };

	regs.base = memory(dev, 0, 0, 0x1000 + 16, &regs.size);
	if (!regs.base) {
		no_use(dev, "it has no registers", ENOENT);
		return;
	}
	add_function(dev, nvme_new(&regs), "nvme", number);
}

/* One of the structures: the first of its type that lies in memory, as the device
 * prefers it [virtio 1.2 "Virtio Structure PCI Capabilities"]. */
static void virtio_structure(const struct pci_dev *dev, unsigned cap,
			     struct virtio_blk_regs *regs)
{
	unsigned type = pci_read(dev, cap + VIRTIO_CAP_TYPE, 1);
	unsigned bar = pci_read(dev, cap + VIRTIO_CAP_BAR, 1);
	uint32_t offset = pci_read(dev, cap + VIRTIO_CAP_OFFSET, 4);
	uint32_t length = pci_read(dev, cap + VIRTIO_CAP_LENGTH, 4), size;
	volatile void *at = bar < 6 ? memory(dev, bar, offset, length, &size) :
			    NULL;

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

static void probe_virtio(struct pci_dev *dev, unsigned number)
{
	struct virtio_blk_regs regs = {
		.translated = dma_guarded(), .cut = cut, .arg = dev,
	};
	unsigned cap = 0;

	while ((cap = pci_capability(dev, PCI_CAP_VENDOR, cap)) != 0) {
		virtio_structure(dev, cap, &regs);
	}
	if (!regs.common || !regs.notify || !regs.device) {
		no_use(dev, "it has no registers of virtio 1", ENOENT);
		return;
	}
	add_function(dev, virtio_blk_new(&regs), "virtio", number);
}

static void probe_ahci(struct pci_dev *dev, unsigned number)
{
	struct ahci_regs regs = { .cut = cut, .arg = dev };
	struct ahci *ahci;
	int error;

	regs.base = memory(dev, 5, 0, 0x180, &regs.size);
	ahci = regs.base ? ahci_new(&regs) : NULL;
	error = ahci ? pci_irq(dev, 0, on_ahci, ahci) : ENOENT;
	if (error == 0) {
		error = pci_master(dev, true);
	}
	if (error != 0) {
		no_use(dev, "it has no registers or no interrupt, or may not "
		       "use the bus", error);
		return;
	}
	for (unsigned i = 0; i < AHCI_PORTS; i++) {
		if (ahci_disk(ahci, i)) {
			disks_add(ahci_disk(ahci, i), "ahci",
				  number * AHCI_PORTS + i);
		}
	}
}

/* In compatibility mode: its channels are where they have always been
 * [PCI IDE Controller Specification 1.0 "Compatibility and PCI-Native Mode"]. */
static void probe_ide(struct pci_dev *dev, unsigned number)
{
	struct pci_bar bar;
	int error = pci_bar(dev, 4, &bar);

	if (error != 0 || bar.regs || bar.size < 16) {
		no_use(dev, "it has no bus master", error);
		return;
	}
	error = pci_master(dev, true);
	for (unsigned i = 0; error == 0 && i < 2; i++) {
		struct ata_ports ports = {
			i ? 0x170 : 0x1f0, i ? 0x376 : 0x3f6,
			(uint16_t)(bar.port + 8 * i),
		};
		struct ata_channel *channel = dev->isa_irq[i] ?
					      ata_channel_new(&ports) : NULL;

		if (channel && pci_isa_irq(dev, i, on_ata, channel) == 0) {
			disks_add(ata_disk(channel, 0), "ide",
				  number * 4 + 2 * i);
			disks_add(ata_disk(channel, 1), "ide",
				  number * 4 + 2 * i + 1);
		}
	}
}

/** Every storage function that a driver here is for is claimed by it. */
void disks_probe(void)
{
	static const struct {
		uint32_t mask, class;
		uint16_t vendor, device;	/* 0: any */
		const char *driver;
		void (*probe)(struct pci_dev *dev, unsigned number);
	} drivers[] = {
		{ 0xff0000, CLASS_STORAGE, VIRTIO_VENDOR, VIRTIO_BLOCK,
		  "virtio-blk", probe_virtio },
		{ 0xff0000, CLASS_STORAGE, VIRTIO_VENDOR, VIRTIO_BLOCK_OLD,
		  "virtio-blk", probe_virtio },
		{ 0xffffff, CLASS_NVME, 0, 0, "nvme", probe_nvme },
		{ 0xffffff, CLASS_AHCI, 0, 0, "ahci", probe_ahci },
		{ 0xffff00, CLASS_IDE, 0, 0, "ide", probe_ide },
	};

	for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
		struct pci_dev *dev = NULL;
		unsigned number = 0;

		while ((dev = pci_find(dev, drivers[i].class,
				       drivers[i].mask)) != NULL) {
			if ((!drivers[i].vendor ||
			     (dev->vendor == drivers[i].vendor &&
			      dev->device == drivers[i].device)) &&
			    pci_claim(dev, drivers[i].driver) == 0) {
				drivers[i].probe(dev, number++);
			}
		}
	}
}
