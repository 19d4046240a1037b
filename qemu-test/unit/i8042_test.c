/* SPDX-License-Identifier: MIT */
/* The keyboard controller's driver, against one that the test plays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/i8042.h"
#include "drivers/keymap.h"

/* The controller: what is in its output buffer, and what it was told. */
static struct {
	bool absent, stuck, mute, no_translation, endless;
	uint8_t out[64];
	unsigned count, reads;
	uint8_t config, command;
	bool keyboard, scans;
	bool mouse;		/* the bytes are a mouse's */
} c;

static void give(const char *bytes, size_t len)
{
	memcpy(c.out + c.count, bytes, len);
	c.count += (unsigned)len;
}

uint32_t fake_port_in(uint16_t port, unsigned size)
{
	uint8_t byte = c.out[0];

	assert_int_equal(size, 1);
	c.reads++;
	if (c.absent) {
		return 0xff;
	}
	if (port == 0x64) {
		return (c.count || c.endless ? 1 : 0) | (c.stuck ? 2 : 0) |
		       (c.mouse ? 0x20 : 0);
	}
	assert_int_equal(port, 0x60);
	if (c.count) {
		c.count--;
		memmove(c.out, c.out + 1, c.count);
	}
	return byte;
}

static void command(uint32_t value)
{
	c.command = (uint8_t)value;
	switch (value) {
	case 0x20:
		if (!c.mute) {
			give((const char *)&c.config, 1);
		}
		break;
	case 0xad:
	case 0xae:
		c.keyboard = value == 0xae;
		break;
	case 0x60:
	case 0xa7:
		break;
	default:
		fail_msg("command %x", value);
	}
}

void fake_port_out(uint16_t port, unsigned size, uint32_t value)
{
	assert_int_equal(size, 1);
	assert_false(c.stuck);
	if (port == 0x64) {
		command(value);
	} else if (c.command == 0x60) {
		c.config = (uint8_t)(c.no_translation ? value & ~0x40u : value);
		c.command = 0;
	} else {
		assert_int_equal(value, 0xf4);
		c.scans = true;
		give("\xfa", 1);
	}
}

uint64_t fake_in(volatile void *regs, uint32_t at, unsigned size)
{
	(void)regs;
	(void)at;
	(void)size;
	return 0;
}

void fake_out(volatile void *regs, uint32_t at, unsigned size, uint64_t value)
{
	(void)regs;
	(void)at;
	(void)size;
	(void)value;
}

static struct i8042 k;

static int make(void **state)
{
	(void)state;
	memset(&c, 0, sizeof(c));
	c.config = 0x32;	/* all off, but for the mouse's interrupt */
	return 0;
}

/* Whatever was there before is dropped, and so is the keyboard's answer. */
static void taken(void **state)
{
	(void)state;
	give("\x1e\x9e", 2);
	assert_true(i8042_init(&k));
	assert_true(c.keyboard && c.scans && !k.set2);
	assert_int_equal(c.config, 0x61);
	assert_int_equal(i8042_key(&k), -1);
}

static void not_taken(void **state)
{
	(void)state;
	c.absent = true;
	assert_false(i8042_init(&k));
	assert_int_equal(c.reads, 1);
	assert_int_equal(i8042_key(&k), -1);
	c.absent = false;
	c.stuck = true;
	assert_false(i8042_init(&k));
	c.stuck = false;
	c.mute = true;
	assert_false(i8042_init(&k));
	c.mute = false;
	c.endless = true;		/* whatever it says: not for ever */
	(void)i8042_init(&k);
	assert_true(c.reads < 400000);
}

static void keys_are(const char *bytes, size_t len, const int *want)
{
	give(bytes, len);
	for (; *want >= 0; want++) {
		assert_int_equal(i8042_key(&k), *want);
	}
	assert_int_equal(i8042_key(&k), -1);
	assert_int_equal(c.count, 0);
}

#define keys(bytes, ...)	\
	keys_are(bytes, sizeof(bytes) - 1, (const int []){ __VA_ARGS__, -1 })

static void translated(void **state)
{
	(void)state;
	assert_true(i8042_init(&k));
	keys("\x1e\x9e", 0x1e, 0x1e | I8042_UP);
	keys("\xe0\x48\xe0\xc8", 0xc8, 0xc8 | I8042_UP);
	keys("\xe0\x2a\xe0\x48\xe0\xc8\xe0\xaa", 0xc8, 0xc8 | I8042_UP);
	keys("\xe1\x1d\x45\xe1\x9d\xc5\x1e", 0x1e);	/* Pause */
	keys("\xfa\xfe\x00\xff\x1f", 0x1f);
	c.mouse = true;
	keys("\x1e\x1f", -1);
	c.mouse = false;
	/* one that says something for ever */
	memset(c.out, 0xfa, sizeof(c.out));
	c.count = sizeof(c.out);
	c.reads = 0;
	assert_int_equal(i8042_key(&k), -1);
	assert_true(c.reads <= 2 * 64);
}

static void untranslated(void **state)
{
	(void)state;
	c.no_translation = true;
	assert_true(i8042_init(&k));
	assert_true(k.set2);
	keys("\x1c\xf0\x1c", 0x1e, 0x1e | I8042_UP);
	keys("\xe0\x75\xe0\xf0\x75", 0xc8, 0xc8 | I8042_UP);
	keys("\x5a\x66\x76\x83\xff\x84", 0x1c, 0x0e, 0x01, 0x41);
	keys("\xe1\x14\x77\xe1\xf0\x14\xf0\x77\x1b", 0x1f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(taken, make),
		cmocka_unit_test_setup(not_taken, make),
		cmocka_unit_test_setup(translated, make),
		cmocka_unit_test_setup(untranslated, make),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
