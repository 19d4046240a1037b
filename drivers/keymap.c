/* SPDX-License-Identifier: MIT */
/*
 * Layouts, and the sequences of keys without a character, as xterm has them. The
 * keypad is one with digits. What a layout has is a code point for each key from 2
 * to 0x35, and for the key beside the left shift.
 */
#include <string.h>

#include "drivers/keymap.h"

#define FIRST		0x02u
#define LAST		0x35u
#define KEYS		(LAST - FIRST + 1)
#define KEY_CTRL	0x1du
#define KEY_LSHIFT	0x2au
#define KEY_RSHIFT	0x36u
#define KEY_ALT		0x38u
#define KEY_CAPS	0x3au
#define KEY_5		0x06u
#define KEY_102		0x56u		/* beside the left shift */
#define KEYPAD		0x47u
#define KEYPAD_END	0x53u
#define ESC		"\033"
#define DELETE		0x7f		/* what backspace sends */

struct keymap_layout {
	const char *name;
	uint16_t plain[KEYS], shift[KEYS];
	uint16_t beside[3];		/* the key 0x56: plain, shift, AltGr */
	struct {
		uint8_t key;
		uint16_t code;
	} altgr[12];
};

/* In each row the keys from the left: a letter's key stands for both its cases. 0
 * is no character. */
static const struct keymap_layout layouts[] = {
	{ .name = "us",
	  .plain = { '1', '2', '3', '4', '5', '6', '7', '8', '9', '0', '-', '=', DELETE, '\t',
		     'q', 'w', 'e', 'r', 't', 'y', 'u', 'i', 'o', 'p', '[', ']', '\r', 0,
		     'a', 's', 'd', 'f', 'g', 'h', 'j', 'k', 'l', ';', '\'', '`', 0, '\\',
		     'z', 'x', 'c', 'v', 'b', 'n', 'm', ',', '.', '/' },
	  .shift = { '!', '@', '#', '$', '%', '^', '&', '*', '(', ')', '_', '+', DELETE, '\t',
		     'Q', 'W', 'E', 'R', 'T', 'Y', 'U', 'I', 'O', 'P', '{', '}', '\r', 0,
		     'A', 'S', 'D', 'F', 'G', 'H', 'J', 'K', 'L', ':', '"', '~', 0, '|',
		     'Z', 'X', 'C', 'V', 'B', 'N', 'M', '<', '>', '?' },
	  .beside = { '\\', '|', '|' } },
	{ .name = "de",
	  .plain = { '1', '2', '3', '4', '5', '6', '7', '8', '9', '0', 0xdf, 0xb4, DELETE, '\t',
		     'q', 'w', 'e', 'r', 't', 'z', 'u', 'i', 'o', 'p', 0xfc, '+', '\r', 0,
		     'a', 's', 'd', 'f', 'g', 'h', 'j', 'k', 'l', 0xf6, 0xe4, '^', 0, '#',
		     'y', 'x', 'c', 'v', 'b', 'n', 'm', ',', '.', '-' },
	  .shift = { '!', '"', 0xa7, '$', '%', '&', '/', '(', ')', '=', '?', '`', DELETE, '\t',
		     'Q', 'W', 'E', 'R', 'T', 'Z', 'U', 'I', 'O', 'P', 0xdc, '*', '\r', 0,
		     'A', 'S', 'D', 'F', 'G', 'H', 'J', 'K', 'L', 0xd6, 0xc4, 0xb0, 0, '\'',
		     'Y', 'X', 'C', 'V', 'B', 'N', 'M', ';', ':', '_' },
	  .beside = { '<', '>', '|' },
	  .altgr = { { 0x03, 0xb2 }, { 0x04, 0xb3 }, { 0x08, '{' }, { 0x09, '[' },
		     { 0x0a, ']' }, { 0x0b, '}' }, { 0x0c, '\\' }, { 0x10, '@' },
		     { 0x12, 0x20ac }, { 0x1b, '~' }, { 0x32, 0xb5 } } },
};

/* From 0x47 on; of the extended keys there, the sequences. */
static const char keypad[] = "789-456+1230.";
static const char *const sequences[KEYPAD_END - KEYPAD + 1] = {
	ESC "[H", ESC "[A", ESC "[5~", NULL, ESC "[D", NULL, ESC "[C", NULL,
	ESC "[F", ESC "[B", ESC "[6~", ESC "[2~", ESC "[3~",
};

/* Usages 4 to 0x39, then 0x46 to 0x65. */
static const uint8_t usb_first[] = {
	0x1e, 0x30, 0x2e, 0x20, 0x12, 0x21, 0x22, 0x23, 0x17, 0x24, 0x25, 0x26, 0x32, 0x31,
	0x18, 0x19, 0x10, 0x13, 0x1f, 0x14, 0x16, 0x2f, 0x11, 0x2d, 0x15, 0x2c,
	0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x1c, 0x01, 0x0e, 0x0f,
	0x39, 0x0c, 0x0d, 0x1a, 0x1b, 0x2b, 0x2b, 0x27, 0x28, 0x29, 0x33, 0x34, 0x35, 0x3a,
};
static const uint8_t usb_second[] = {
	0, 0, 0, 0xd2, 0xc7, 0xc9, 0xd3, 0xcf, 0xd1, 0xcd, 0xcb, 0xd0, 0xc8, 0,
	0xb5, 0x37, 0x4a, 0x4e, 0x9c, 0x4f, 0x50, 0x51, 0x4b, 0x4c, 0x4d, 0x47, 0x48, 0x49,
	0x52, 0x53, 0x56, 0,
};

/** See keymap.h. */
unsigned keymap_usb(uint8_t usage)
{
	unsigned first = usage - 4u, second = usage - 0x46u;

	return first < sizeof(usb_first) ? usb_first[first] :
	       second < sizeof(usb_second) ? usb_second[second] : 0;
}

/** See keymap.h. */
bool keymap_init(struct keymap *map, const char *layout)
{
	unsigned i = sizeof(layouts) / sizeof(layouts[0]) - 1;

	while (i > 0 && (!layout || strcmp(layouts[i].name, layout) != 0)) {
		i--;
	}
	*map = (struct keymap){ .layout = &layouts[i] };
	return !layout || strcmp(layouts[i].name, layout) == 0;
}

/* Keys that change what others mean; false: it is none. */
static bool modifier(struct keymap *map, unsigned key, bool down)
{
	switch (key) {
	case KEY_LSHIFT:
	case KEY_RSHIFT:
		map->shift[key == KEY_RSHIFT] = down;
		return true;
	case KEY_CTRL:
	case KEY_CTRL | KEY_EXTENDED:
		map->control[key != KEY_CTRL] = down;
		return true;
	case KEY_ALT:
		map->alt = down;
		return true;
	case KEY_ALT | KEY_EXTENDED:
		map->altgr = down;
		return true;
	case KEY_CAPS:
		map->caps ^= down;
		return true;
	default:
		return false;
	}
}

static bool is_letter(uint16_t code)
{
	return (code >= 'a' && code <= 'z') || (code >= 0xe0 && code <= 0xfe);
}

/* The character of a key in the middle, 0: none. */
static uint16_t character(const struct keymap *map, unsigned key)
{
	const struct keymap_layout *l = map->layout;
	bool shift = map->shift[0] || map->shift[1];
	uint16_t plain;

	if (key == KEY_102) {
		return l->beside[map->altgr ? 2 : shift];
	}
	if (key < FIRST || key > LAST) {
		return key == 0x39 ? ' ' : 0;
	}
	for (unsigned i = 0; map->altgr && l->altgr[i].key; i++) {
		if (l->altgr[i].key == key) {
			return l->altgr[i].code;
		}
	}
	plain = l->plain[key - FIRST];
	return shift != (map->caps && is_letter(plain)) ?
	       l->shift[key - FIRST] : plain;
}

/* As UTF-8, of at most three bytes. */
static size_t encode(uint16_t code, char *bytes)
{
	if (code < 0x80) {
		bytes[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		bytes[0] = (char)(0xc0 | code >> 6);
		bytes[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	bytes[0] = (char)(0xe0 | code >> 12);
	bytes[1] = (char)(0x80 | (code >> 6 & 0x3f));
	bytes[2] = (char)(0x80 | (code & 0x3f));
	return 3;
}

/* Of an extended key, or of the keypad; 0: it is neither. */
static size_t special(unsigned key, char *bytes)
{
	unsigned plain = key & ~KEY_EXTENDED;
	const char *text;

	if (key == 0x01) {
		text = ESC;
	} else if (key == (0x1c | KEY_EXTENDED)) {
		text = "\r";
	} else if (key == (0x35 | KEY_EXTENDED)) {
		text = "/";
	} else if (key == 0x37) {
		text = "*";
	} else if (plain < KEYPAD || plain > KEYPAD_END) {
		return 0;
	} else if (!(key & KEY_EXTENDED)) {
		bytes[0] = keypad[plain - KEYPAD];
		return 1;
	} else {
		text = sequences[plain - KEYPAD];
	}
	if (!text) {
		return 0;
	}
	memcpy(bytes, text, strlen(text));
	return strlen(text);
}

/** See keymap.h. */
size_t keymap_key(struct keymap *map, unsigned key, bool down,
		  char bytes[KEYMAP_BYTES])
{
	uint16_t code;
	size_t at = 0;

	if (modifier(map, key, down) || !down) {
		return 0;
	}
	at = special(key, bytes);
	code = at || (key & KEY_EXTENDED) ? 0 : character(map, key);
	if (!code) {
		return at;
	}
	if (map->control[0] || map->control[1]) {
		/* as xterm has it: ctrl-5 is ctrl-], which some layouts hide */
		code = key == KEY_5 ? 0x1d : code == ' ' ? 0 : code & 0x1f;
	}
	if (map->alt) {
		bytes[at++] = ESC[0];
	}
	return at + encode(code, bytes + at);
}
