/* SPDX-License-Identifier: MIT */
/*
 * PCI functions that the manifest gives to the host partition. The hypervisor does
 * what could undo isolation, and the rest of configuration space is read only but
 * for a few bits (docs/hypercalls.md, HC_PCI).
 *
 * A driver, at start-up, in this order:
 *
 *	for (dev = NULL; (dev = pci_find(dev, 0x010601, 0xffffff));) {
 *		if (pci_claim(dev, "ahci") == 0 &&
 *		    pci_bar(dev, 5, &bar) == 0 && bar.regs) { ..
 *			ring = dma_alloc(4096, 4096);		(dma.h)
 *			pci_irq(dev, 0, on_interrupt, my);
 *			pci_master(dev, true);
 *
 * Registers are volatile memory, uncached, of the sizes that the device wants; what
 * they say is the device's word and not trusted. on_interrupt(my) runs from the
 * loop, like any handler: it looks what there is to do, which may be nothing, and
 * returns soon. Functions that fail return an error number, and have then changed
 * nothing.
 */
#ifndef ISTHMUS_PCI_H
#define ISTHMUS_PCI_H

#include <stdbool.h>
#include <stdint.h>

#define PCI_CAP_VENDOR	0x09u		/* virtio's, for one */
#define PCI_CAP_MSI	0x05u
#define PCI_CAP_EXPRESS	0x10u
#define PCI_CAP_MSIX	0x11u

#define PCI_INTX		0x20000u

struct pci_dev {
	uint32_t address;	/* segment << 16 | bus << 8 | device << 3 |
				 * function */
	uint16_t vendor, device;
	uint32_t class;		/* class, subclass, interface: 0x010601 */
	uint8_t revision;
	unsigned messages;	/* interrupts that it can send; 0: none */
	uint8_t isa_irq[2];	/* 1 + line of an IDE channel in compatibility
				 * mode; 0: not so */
	uint8_t intx;		/* 1 + line of one without messages; 0: none */
	const char *driver;	/* who has claimed it; NULL: nobody */
	bool master;
};

/* Memory or ports of a function. */
struct pci_bar {
	volatile void *regs;	/* NULL: it is ports */
	uint16_t port;
	uint64_t size;
};

/* Finds what there is; before any driver. */
void pci_init(void);
/* By number, in order of addresses; NULL: no more. */
struct pci_dev *pci_get(unsigned index);
/* The next after `after` (NULL: the first) with (class & mask) == class. */
struct pci_dev *pci_find(const struct pci_dev *after, uint32_t class,
			 uint32_t mask);
/* EBUSY: another driver has it. driver must stay. */
int pci_claim(struct pci_dev *dev, const char *driver);

/* Configuration space, size 1, 2 or 4; all ones: there is no such register. */
uint32_t pci_read(const struct pci_dev *dev, unsigned offset, unsigned size);
/* EPERM: not ours to change. */
int pci_write(const struct pci_dev *dev, unsigned offset, unsigned size,
	      uint32_t value);
/* Where the next capability with that id is, after the one at `after` (0: the
 * first); 0: none. */
unsigned pci_capability(const struct pci_dev *dev, unsigned id,
			unsigned after);

/* From now on the function answers there. ENOENT: it has no such BAR, or one that
 * we may not have. Memory lacks the pages of MSI-X tables: touching them is the
 * end of this program. */
int pci_bar(const struct pci_dev *dev, unsigned number, struct pci_bar *bar);

/* Message `message` of the function calls fn(arg) from the loop; each takes a line
 * of its own. A message is a write to memory: only a bus master sends it. ENOENT:
 * it has no such message; ENOSPC: no line is left. Again for the same message:
 * another fn. */
int pci_irq(struct pci_dev *dev, unsigned message, void (*fn)(void *arg),
	    void *arg);
/* From fn: it is called again in the next turn, which does not wait. PCI_INTX is
 * pci_intx()'s. */
void pci_irq_again(struct pci_dev *dev, unsigned message);
/* It sends none any more; one on its way may still call fn. */
void pci_irq_off(struct pci_dev *dev, unsigned message);
/* The same for an IDE channel (0 or 1) in compatibility mode, an edge; ENOENT: it
 * is none. */
int pci_isa_irq(struct pci_dev *dev, unsigned channel, void (*fn)(void *arg),
		void *arg);

/* The same for a function without messages, on a line that it may have with others,
 * level-triggered: fn is to look at the device, and make it quiet. ENOENT: it has
 * none; ENOSPC: too many functions are like that. */
int pci_intx(struct pci_dev *dev, void (*fn)(void *arg), void *arg);

/* Whether it may read and write memory by itself: of all, what dma.h gives. */
int pci_master(struct pci_dev *dev, bool on);
/* A function-level reset, as bus master no more: EAGAIN until 100 ms have passed,
 * so call again from a timer. After 0 all is as after power-on: pci_bar(),
 * pci_irq() and pci_master() anew. ENOTSUP: it cannot. */
int pci_reset(struct pci_dev *dev);

/* For people: what a class is, "AHCI controller" for one. */
const char *pci_class_name(uint32_t class);
/* Interrupts taken of all its messages and channels, and the lines they are on, at
 * most max of them; returns how many lines. */
unsigned pci_interrupts(const struct pci_dev *dev, unsigned *lines,
			unsigned max, uint64_t *taken);

#endif
