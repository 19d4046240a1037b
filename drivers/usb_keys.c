/* SPDX-License-Identifier: MIT */
/*
 * Reports of keyboards in the boot protocol: modifiers in a byte, then up to six keys
 * that are down. [HID 1.11 "Boot Keyboard"]
 */
#include <string.h>

#include "drivers/keymap.h"
#include "drivers/xhci_int.h"

/* Keys of the bits of a report's first byte; 0: none of ours. */
static const uint8_t modifiers[8] = { 0x1d, 0x2a, 0x38, 0, 0x9d, 0x36, 0xb8, 0 };

/** Its keys are up, whoever held them. */
void usb_let_go(struct xhci *x, struct usb_device *d)
{
	for (unsigned i = 0; i < 8; i++) {
		if ((d->held[0] >> i & 1) && modifiers[i]) {
			x->key(modifiers[i], false);
		}
		if (i >= 2 && keymap_usb(d->held[i])) {
			x->key(keymap_usb(d->held[i]), false);
		}
	}
	memset(d->held, 0, sizeof(d->held));
}

static bool among(const uint8_t keys[8], uint8_t usage)
{
	return memchr(keys + 2, usage, 6) != NULL;
}

/** What has changed since the last report. */
void usb_keys(struct xhci *x, struct usb_device *d, const uint8_t report[8])
{
	uint8_t changed = report[0] ^ d->held[0];

	if (report[2] == 1) {
		return;			/* too many keys: it does not know which */
	}
	for (unsigned i = 0; i < 8; i++) {
		if ((changed >> i & 1) && modifiers[i]) {
			x->key(modifiers[i], report[0] >> i & 1);
		}
	}
	for (unsigned i = 2; i < 8; i++) {
		unsigned was = keymap_usb(d->held[i]), is = keymap_usb(report[i]);

		if (was && !among(report, d->held[i])) {
			x->key(was, false);
		}
		if (is && !among(d->held, report[i])) {
			x->key(is, true);
		}
	}
	memcpy(d->held, report, 8);
}

/** See xhci.h. */
unsigned xhci_keyboards(const struct xhci *x)
{
	unsigned count = 0;

	for (unsigned i = 0; i < XHCI_DEVICES; i++) {
		count += x->devices[i].used && x->devices[i].ready &&
			 !x->devices[i].is_hub;
	}
	return count;
}
