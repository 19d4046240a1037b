/* SPDX-License-Identifier: MIT */
/*
 * Commands about the machine's devices, as far as they are the host partition's.
 */
#include <stdio.h>

#include "host-bridge/dev/dma.h"
#include "host-bridge/dev/pci.h"
#include "host-bridge/ui/commands.h"

#define LINES_SHOWN	16u

/* "none", or the lines, and how many there were; of one without messages too, if
 * it works as an ISA device. */
static void print_interrupts(const struct pci_dev *dev)
{
	unsigned lines[LINES_SHOWN];
	uint64_t taken;
	unsigned count = pci_interrupts(dev, lines, LINES_SHOWN, &taken);

	if (count == 0) {
		printf("%u possible, none used\n", dev->messages +
		       (dev->isa_irq[0] != 0) + (dev->isa_irq[1] != 0) +
		       (dev->intx != 0));
		return;
	}
	printf("line%s", count > 1 ? "s" : "");
	for (unsigned i = 0; i < count; i++) {
		printf("%s %u", i > 0 ? "," : "", lines[i]);
	}
	printf(", %llu taken\n", (unsigned long long)taken);
}

/* One function a line, then the memory that they may reach. */
static void run_pci(const struct command_env *env, int argc, char **argv,
		    const char *rest)
{
	struct pci_dev *dev;

	(void)env;
	(void)argc;
	(void)argv;
	(void)rest;
	for (unsigned i = 0; (dev = pci_get(i)); i++) {
		printf("  %04x:%02x:%02x.%x %04x:%04x %-23s driver %s%s; "
		       "interrupts: ", (unsigned)dev->address >> 16,
		       (unsigned)dev->address >> 8 & 0xff,
		       (unsigned)dev->address >> 3 & 0x1f,
		       (unsigned)dev->address & 7, dev->vendor, dev->device,
		       pci_class_name(dev->class),
		       dev->driver ? dev->driver : "none",
		       dev->master ? ", bus master" : "");
		print_interrupts(dev);
	}
	printf("  DMA pool: %llu KiB, %llu of them free; %s\n",
	       (unsigned long long)dma_size() >> 10,
	       (unsigned long long)dma_room() >> 10,
	       dma_guarded() ? "an IOMMU keeps devices to it" :
	       "no IOMMU: a bus master can reach all memory");
}

const struct command commands_devices[] = {
	{ "pci", "", "the PCI functions that are ours",
	  "  Address, ids of vendor and device, class, who drives it, the lines\n"
	  "  its interrupts are on. Which ones are ours is said in the manifest.\n",
	  0, 0, run_pci, NULL },
	{ 0 }
};
