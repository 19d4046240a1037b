/* SPDX-License-Identifier: MIT */
/*
 * Which driver is for which PCI function. Where its registers are pci_regs.c has
 * checked: the drivers trust what they are given.
 */
#include <errno.h>
#include <stddef.h>

#include "drivers/e1000.h"
#include "drivers/virtio_net.h"
#include "host-bridge/dev/pci.h"
#include "host-bridge/dev/pci_regs.h"
#include "host-bridge/net/nics.h"
#include "host-bridge/rt/notice.h"

#define CLASS_NETWORK	0x020000u	/* mask 0xff0000 */

/* [virtio 1.2 "PCI Device Discovery"] */
#define VIRTIO_VENDOR	0x1af4u
#define VIRTIO_NET	0x1041u
#define VIRTIO_NET_OLD	0x1000u		/* has both kinds of registers */

#define INTEL		0x8086u
#define INTEL_82540EM	0x100eu
#define INTEL_82574L	0x10d3u

#define FRAMES		0u		/* messages */
#define LINK		1u

static void on_frames(void *arg)
{
	nic_interrupt(arg);
}

static void on_link(void *arg)
{
	nic_link_interrupt(arg);
}

static void again(void *arg)
{
	struct pci_dev *dev = arg;

	pci_irq_again(dev, dev->messages ? FRAMES : PCI_INTX);
}

/* Interrupt and bus, then it may start. */
static void add(struct pci_dev *dev, struct nic *nic, bool link_message)
{
	int error = !nic ? ENOMEM :
		    dev->messages ? pci_irq(dev, FRAMES, on_frames, nic) :
		    pci_intx(dev, on_frames, nic);

	if (error == 0 && link_message) {
		error = pci_irq(dev, LINK, on_link, nic);
	}
	if (error == 0) {
		error = pci_master(dev, true);
	}
	if (error != 0) {
		pci_regs_no_use(dev, "it has no interrupt, or may not use the "
				"bus", error);
		return;
	}
	nic->again = again;
	nic->again_arg = dev;
	nics_add(nic);
}

static void probe_virtio(struct pci_dev *dev)
{
	struct virtio_regs regs;
	bool link_message = dev->messages > LINK;

	if (pci_regs_virtio(dev, &regs) != 0) {
		pci_regs_no_use(dev, "it has no registers of virtio 1", ENOENT);
		return;
	}
	add(dev, virtio_net_new(&regs, link_message), link_message);
}

static void probe_intel(struct pci_dev *dev)
{
	struct e1000_regs regs = {
		.express = dev->device == INTEL_82574L, .cut = pci_regs_cut,
		.arg = dev,
	};
	uint32_t size;

	regs.base = pci_regs_memory(dev, 0, 0, E1000_REGS_BYTES, &size);
	if (!regs.base) {
		pci_regs_no_use(dev, "it has no registers", ENOENT);
		return;
	}
	add(dev, e1000_new(&regs, pci_capability(dev, PCI_CAP_MSIX, 0) != 0 &&
			   dev->messages > 0), false);
}

static void say_unknown(const struct pci_dev *dev)
{
	notice("isthmus: network card %04x:%02x:%02x.%x, %04x:%04x: there is no "
	       "driver for it", dev->address >> 16, dev->address >> 8 & 0xff,
	       dev->address >> 3 & 31, dev->address & 7, dev->vendor,
	       dev->device);
}

/** Every network function that a driver here is for is claimed by it. */
void nics_probe(void)
{
	static const struct {
		uint16_t vendor, device;
		const char *driver;
		void (*probe)(struct pci_dev *dev);
	} drivers[] = {
		{ VIRTIO_VENDOR, VIRTIO_NET, "virtio-net", probe_virtio },
		{ VIRTIO_VENDOR, VIRTIO_NET_OLD, "virtio-net", probe_virtio },
		{ INTEL, INTEL_82540EM, "e1000", probe_intel },
		{ INTEL, INTEL_82574L, "e1000", probe_intel },
	};
	struct pci_dev *dev = NULL;

	while ((dev = pci_find(dev, CLASS_NETWORK, 0xff0000)) != NULL) {
		for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]);
		     i++) {
			if (dev->vendor == drivers[i].vendor &&
			    dev->device == drivers[i].device &&
			    pci_claim(dev, drivers[i].driver) == 0) {
				drivers[i].probe(dev);
			}
		}
		if (!dev->driver) {
			say_unknown(dev);
		}
	}
}
