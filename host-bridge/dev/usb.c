/* SPDX-License-Identifier: MIT */
/* xHCI controllers by their class; what is typed goes to keyboard.h. */
#include <stddef.h>

#include "drivers/xhci.h"
#include "host-bridge/dev/keyboard.h"
#include "host-bridge/dev/pci.h"
#include "host-bridge/dev/usb.h"
#include "host-bridge/rt/notice.h"

#define CLASS_XHCI	0x0c0330u
#define CONTROLLERS	4u

static struct xhci *found[CONTROLLERS];

static void on_irq(void *arg)
{
	struct xhci **of = arg;

	if (*of) {
		xhci_interrupt(*of);
	}
}

static void cut(void *arg)
{
	(void)pci_master(arg, false);
}

/* Interrupt and bus first: it is at work when xhci_new() returns. Returns why it
 * cannot be used, or NULL. */
static const char *take(struct pci_dev *dev, struct xhci **of)
{
	struct pci_bar bar;
	const char *why;

	if (pci_bar(dev, 0, &bar) != 0 || !bar.regs || bar.size > UINT32_MAX) {
		return "it has no registers";
	}
	if ((dev->messages ? pci_irq(dev, 0, on_irq, of) :
			     pci_intx(dev, on_irq, of)) != 0 ||
	    pci_master(dev, true) != 0) {
		return "it has no interrupt, or may not use the bus";
	}
	*of = xhci_new(&(struct xhci_regs){ bar.regs, (uint32_t)bar.size, cut,
					    dev },
		       keyboard_key_repeated, &why);
	return *of ? NULL : why;
}

/** See usb.h. */
void usb_init(void)
{
	struct pci_dev *dev = NULL;
	unsigned i = 0;

	while (i < CONTROLLERS && (dev = pci_find(dev, CLASS_XHCI, 0xffffff))) {
		const char *why = pci_claim(dev, "xhci") == 0 ?
				  take(dev, &found[i]) : "it is taken";

		if (why) {
			notice("USB controller %02x:%02x.%u: %s",
			       (unsigned)dev->address >> 8 & 0xff,
			       (unsigned)dev->address >> 3 & 0x1f,
			       (unsigned)dev->address & 7, why);
		}
		i++;
	}
}
