/* SPDX-License-Identifier: MIT */
/*
 * From keys to what a terminal sends. Keys are numbered as by scan code set 1, with
 * KEY_EXTENDED for those that have 0xe0 before it. Pure.
 */
#ifndef ISTHMUS_KEYMAP_H
#define ISTHMUS_KEYMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEY_EXTENDED	0x80u
#define KEYMAP_BYTES	8u		/* that a key makes at most */

/* A keyboard, or several that are one for who types. */
struct keymap {
	const struct keymap_layout *layout;
	bool shift[2], control[2], alt, altgr, caps;
};

/* By its name, "us" or "de"; NULL is "us". false: there is none of that name, and it
 * is "us". All keys are up. */
bool keymap_init(struct keymap *map, const char *layout);
/* A key went down (again), or up. Returns how many bytes that makes. */
size_t keymap_key(struct keymap *map, unsigned key, bool down,
		  char bytes[KEYMAP_BYTES]);
/* The key of a USB keyboard's usage, without modifiers' names; 0: none that is
 * known. [HID Usage Tables "Keyboard/Keypad Page"] */
unsigned keymap_usb(uint8_t usage);

#endif
