/* SPDX-License-Identifier: MIT */
/* From keys to bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/keymap.h"

#define UP	0x100u		/* of the lists below */
#define CTRL	0x1du
#define SHIFT	0x2au
#define ALT	0x38u
#define ALTGR	(0x38u | KEY_EXTENDED)
#define CAPS	0x3au

static struct keymap map;

/* What a list of keys, up to a 0, makes. */
static const char *made(const unsigned *keys)
{
	static char text[100];
	char *to = text;

	for (; *keys; keys++) {
		char bytes[KEYMAP_BYTES];
		size_t len = keymap_key(&map, *keys & 0xff, !(*keys & UP), bytes);

		assert_true(len <= KEYMAP_BYTES);
		memcpy(to, bytes, len);
		to += len;
	}
	*to = 0;
	return text;
}

#define makes(want, ...)	\
	assert_string_equal(made((const unsigned []){ __VA_ARGS__, 0 }), want)

static void american(void **state)
{
	(void)state;
	assert_true(keymap_init(&map, NULL));
	makes("ls\r", 0x26, 0x26 | UP, 0x1f, 0x1f | UP, 0x1c, 0x1c | UP);
	makes("aAa", 0x1e, SHIFT, 0x1e, SHIFT | UP, 0x1e);
	makes("!@|?~\"", SHIFT, 2, 3, 0x2b, 0x35, 0x29, 0x28, SHIFT | UP);
	makes("A1a", CAPS, 0x1e, 2, SHIFT, 0x1e, SHIFT | UP, CAPS | UP);
	makes("q", CAPS, 0x10, CAPS | UP);
	makes("\003\035", CTRL, 0x2e, 0x1b, CTRL | UP);
	makes("\035", CTRL | KEY_EXTENDED, 6, (CTRL | KEY_EXTENDED) | UP);
	makes("\033x", ALT, 0x2d, ALT | UP);
	makes("\177\t \033", 0x0e, 0x0f, 0x39, 1);
	makes("\033[A\033[3~\r/", 0x48 | KEY_EXTENDED, 0x53 | KEY_EXTENDED,
	      0x1c | KEY_EXTENDED, 0x35 | KEY_EXTENDED);
	makes("7-0.*", 0x47, 0x4a, 0x52, 0x53, 0x37);
	makes("\\|", 0x56, SHIFT, 0x56, SHIFT | UP);
	/* keys of no use, and numbers that are no keys */
	makes("", 0x3b, 0x57, 0x58, 0x7f, 0x4c | KEY_EXTENDED,
	      0x1e | KEY_EXTENDED);
}

static void german(void **state)
{
	(void)state;
	assert_true(keymap_init(&map, "de"));
	makes("zy-", 0x15, 0x2c, 0x35);
	makes("\xc3\xa4\xc3\x9f", 0x28, 0x0c);
	makes("\xc3\x84\xc2\xa7", SHIFT, 0x28, 4, SHIFT | UP);
	makes("\xc3\x84", CAPS, 0x28, CAPS);
	makes("{[]}\\@\xe2\x82\xac|~", ALTGR, 8, 9, 0xa, 0xb, 0xc, 0x10, 0x12,
	      0x56, 0x1b, ALTGR | UP);
	makes("<>", 0x56, SHIFT, 0x56, SHIFT | UP);
	makes("\035", CTRL, 6, CTRL | UP);
	assert_false(keymap_init(&map, "none"));
	makes("yz", 0x15, 0x2c);
}

/* A USB keyboard's numbers come to the same keys. */
static void usb(void **state)
{
	static const struct { uint8_t usage; unsigned key; } some[] = {
		{ 0, 0 }, { 1, 0 }, { 3, 0 }, { 4, 0x1e }, { 0x1d, 0x2c },
		{ 0x1e, 2 }, { 0x27, 0x0b }, { 0x28, 0x1c }, { 0x29, 1 },
		{ 0x2a, 0x0e }, { 0x2b, 0x0f }, { 0x2c, 0x39 }, { 0x38, 0x35 },
		{ 0x39, CAPS }, { 0x3a, 0 }, { 0x49, 0xd2 }, { 0x4c, 0xd3 },
		{ 0x4f, 0xcd }, { 0x52, 0xc8 }, { 0x54, 0xb5 }, { 0x58, 0x9c },
		{ 0x59, 0x4f }, { 0x62, 0x52 }, { 0x63, 0x53 }, { 0x64, 0x56 },
		{ 0x65, 0 }, { 0x66, 0 }, { 0xff, 0 },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
		assert_int_equal(keymap_usb(some[i].usage), some[i].key);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(american),
		cmocka_unit_test(german),
		cmocka_unit_test(usb),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
