/* SPDX-License-Identifier: MIT */
/*
 * Which driver is for which PCI function. Where its registers are pci_regs.c has
 * checked: the drivers trust what they are given.
 */
#include <errno.h>
#include <stddef.h>

#include "drivers/virtio_net.h"
#include "host-bridge/dev/pci.h"
#include "host-bridge/dev/pci_regs.h"
#include "host-bridge/net/nics.h"

#define CLASS_NETWORK	0x020000u	/* mask 0xff0000 */

/* [virtio 1.2 "PCI Device Discovery"] */
#define VIRTIO_VENDOR	0x1af4u
#define VIRTIO_NET	0x1041u
#define VIRTIO_NET_OLD	0x1000u		/* has both kinds of registers */

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
	pci_irq_again(arg, FRAMES);
}

/* Interrupt and bus, then it may start. */
static void add(struct pci_dev *dev, struct nic *nic, bool link_message)
{
	int error = nic ? pci_irq(dev, FRAMES, on_frames, nic) : ENOMEM;

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
	}
}
