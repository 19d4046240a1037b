/* SPDX-License-Identifier: MIT */
/*
 * Which driver is for which PCI function. Where its registers are pci_regs.c has
 * checked: the drivers trust what they are given.
 */
#include <errno.h>
#include <stddef.h>

#include "drivers/ahci.h"
#include "drivers/ata.h"
#include "drivers/nvme.h"
#include "drivers/virtio_blk.h"
#include "host-bridge/blk/disks.h"
#include "host-bridge/dev/pci.h"
#include "host-bridge/dev/pci_regs.h"

#define CLASS_STORAGE	0x010000u	/* mask 0xff0000 */
#define CLASS_IDE	0x010100u	/* mask 0xffff00 */
#define CLASS_AHCI	0x010601u
#define CLASS_NVME	0x010802u

/* [virtio 1.2 "PCI Device Discovery"] */
#define VIRTIO_VENDOR		0x1af4u
#define VIRTIO_BLOCK		0x1042u
#define VIRTIO_BLOCK_OLD	0x1001u	/* has both kinds of registers */

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

/* Interrupt and bus for a disk that is a function by itself. */
static void add_function(struct pci_dev *dev, struct disk *disk,
			 const char *kind, unsigned number)
{
	int error = disk ? pci_irq(dev, 0, on_disk, disk) : ENOMEM;

	if (error == 0) {
		error = pci_master(dev, true);
	}
	if (error != 0) {
		pci_regs_no_use(dev, "it has no interrupt, or may not use the bus",
		       error);
		return;
	}
	disks_add(disk, kind, number);
}

static void probe_nvme(struct pci_dev *dev, unsigned number)
{
	struct nvme_regs regs = { .cut = pci_regs_cut, .arg = dev };

	regs.base = pci_regs_memory(dev, 0, 0, 0x1000 + 16, &regs.size);
	if (!regs.base) {
		pci_regs_no_use(dev, "it has no registers", ENOENT);
		return;
	}
	add_function(dev, nvme_new(&regs), "nvme", number);
}

static void probe_virtio(struct pci_dev *dev, unsigned number)
{
	struct virtio_regs regs;

	if (pci_regs_virtio(dev, &regs) != 0) {
		pci_regs_no_use(dev, "it has no registers of virtio 1", ENOENT);
		return;
	}
	add_function(dev, virtio_blk_new(&regs), "virtio", number);
}

static void probe_ahci(struct pci_dev *dev, unsigned number)
{
	struct ahci_regs regs = { .cut = pci_regs_cut, .arg = dev };
	struct ahci *ahci;
	int error;

	regs.base = pci_regs_memory(dev, 5, 0, 0x180, &regs.size);
	ahci = regs.base ? ahci_new(&regs) : NULL;
	error = ahci ? pci_irq(dev, 0, on_ahci, ahci) : ENOENT;
	if (error == 0) {
		error = pci_master(dev, true);
	}
	if (error != 0) {
		pci_regs_no_use(dev, "it has no registers or no interrupt, or may not "
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
		pci_regs_no_use(dev, "it has no bus master", error);
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
