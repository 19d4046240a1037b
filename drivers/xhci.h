/* SPDX-License-Identifier: MIT */
/*
 * xHCI controllers [xHCI 1.2] as far as keyboards need them: devices at the root
 * ports, and at hubs there; of these the keyboards that know the boot protocol
 * [HID 1.11 "Boot Interface Descriptors"]. Everything else is let alone.
 *
 * Neither controller nor devices are trusted: what they say is checked, and what
 * they do not say in time is not waited for.
 */
#ifndef ISTHMUS_XHCI_H
#define ISTHMUS_XHCI_H

#include <stdbool.h>
#include <stdint.h>

struct xhci_regs {
	volatile void *base;		/* BAR 0 */
	uint32_t size;
	/* Takes the bus from the controller, for good. */
	void (*cut)(void *arg);
	void *arg;
};

struct xhci;

/* Stops and resets it, which takes half a second at most, and starts it: key() is
 * then called for what is typed, as keymap.h numbers keys. NULL: *why says why. */
struct xhci *xhci_new(const struct xhci_regs *regs,
		      void (*key)(unsigned key, bool down), const char **why);
void xhci_interrupt(struct xhci *x);
/* Keyboards that are ready; for people. */
unsigned xhci_keyboards(const struct xhci *x);

#endif
