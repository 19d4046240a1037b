/* SPDX-License-Identifier: MIT */
/*
 * Where a serial port is, as it is named and as tables say it, right ones and bad
 * ones; and the drivers of a 16550, on one that is made up here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/uart16550.h"
#include "drivers/uart_places.h"
#include "drivers/uart_regs.h"

/* ---- the 16550 ---- */

static struct model {
	bool absent;		/* all ones */
	bool no_loop;		/* something with a scratch register, at most */
	bool busy;		/* sends and sends */
	uint8_t scratch, ier, lcr, mcr, fcr;
	uint8_t low, high;	/* divisor */
	unsigned sent, waiting;
	uint8_t out[64];
	uint8_t in[64];
	unsigned in_first, in_count;
} model;

static const struct boot_uart here = { .base = 0x2f8, .divisor = 12 };

uint8_t uart_get(const struct boot_uart *at, enum uart_register reg)
{
	assert_int_equal(at->base, here.base);
	if (model.absent) {
		return 0xff;
	}
	switch ((unsigned)reg) {
	case UART_DATA:
		assert_int_equal(model.lcr & UART_LCR_DLAB, 0);
		return model.in[model.in_first++ % sizeof(model.in)];
	case UART_IIR:
		return 0xc1;
	case UART_LCR:
		return model.lcr;
	case UART_MCR:
		return model.mcr;
	case UART_LSR:
		return (uint8_t)((model.busy ? 0 : UART_LSR_THRE | UART_LSR_TEMT) |
				 (model.in_first < model.in_count ? UART_LSR_DATA : 0));
	case UART_MSR:
		return model.no_loop || !(model.mcr & 0x10) ? 0xb0 :
		       (uint8_t)((model.mcr & 2) << 3 | (model.mcr & 1) << 5 |
				 (model.mcr & 0xc) << 4);
	case UART_SCRATCH:
		return model.scratch;
	}
	fail();
	return 0;
}

void uart_put(const struct boot_uart *at, enum uart_register reg, uint8_t value)
{
	bool divisor = (model.lcr & UART_LCR_DLAB) != 0;

	assert_int_equal(at->base, here.base);
	switch ((unsigned)reg) {
	case UART_DATA:
		if (divisor) {
			model.low = value;
		} else {
			model.out[model.sent++ % sizeof(model.out)] = value;
		}
		break;
	case UART_IER:
		*(divisor ? &model.high : &model.ier) = value;
		break;
	case UART_FCR:
		model.fcr = value;
		break;
	case UART_LCR:
		model.lcr = value;
		break;
	case UART_MCR:
		model.mcr = value;
		break;
	case UART_SCRATCH:
		model.scratch = value;
		break;
	default:
		fail();
	}
}

static int fresh(void **state)
{
	(void)state;
	model = (struct model) { .ier = 0x0f, .mcr = 0x0b, .low = 3, .high = 1 };
	return 0;
}

static void present(void **state)
{
	(void)state;
	assert_true(uart_present(&here));
	assert_int_equal(model.ier, 0);
	assert_int_equal(model.mcr, 0x0b);
	assert_int_equal(model.sent, 0);
	model.no_loop = true;
	assert_false(uart_present(&here));
	assert_int_equal(model.mcr, 0x0b);
	model = (struct model) { .absent = true };
	assert_false(uart_present(&here));
}

static void set_up(void **state)
{
	struct boot_uart as_is = here;

	(void)state;
	uart_set_up(&here);
	assert_int_equal(model.low | model.high << 8, 12);
	assert_int_equal(model.lcr, UART_LCR_8N1);
	assert_int_equal(model.ier, 0);
	assert_int_equal(model.mcr, UART_MCR_ON);
	/* large ones have two bytes; 0 leaves what there is */
	as_is.divisor = 0x900;
	uart_set_up(&as_is);
	assert_int_equal(model.low | model.high << 8, 0x900);
	as_is.divisor = 0;
	uart_set_up(&as_is);
	assert_int_equal(model.low | model.high << 8, 0x900);
	assert_int_equal(model.sent, 0);
	/* one that is stuck does not stop us */
	model.busy = true;
	uart_set_up(&here);
	uart_send(&here, 'x');
	assert_int_equal(model.out[0], 'x');
}

static struct uart16550 uart;

static void polled(void **state)
{
	(void)state;
	assert_true(uart16550_init(&uart, &here, true));
	assert_int_equal(model.low | model.high << 8, 12);
	assert_int_equal(model.ier, 0);
	assert_int_equal(model.mcr & UART_MCR_OUT2, 0);
	assert_int_equal(uart16550_write(&uart, "twenty characters ..", 20), 20);
	assert_int_equal(model.ier, 0);
	/* a FIFO at a time */
	uart16550_interrupt(&uart);
	assert_int_equal(model.sent, 16);
	memcpy(model.in, "ab", 2);
	model.in_count = 2;
	uart16550_interrupt(&uart);
	assert_memory_equal(model.out, "twenty characters ..", 20);
	assert_int_equal(uart16550_read(&uart), 'a');
	assert_int_equal(uart16550_read(&uart), 'b');
	assert_int_equal(uart16550_read(&uart), -1);
	assert_int_equal(model.ier, 0);
}

static void interrupts(void **state)
{
	const struct boot_uart none = { 0 };

	(void)state;
	assert_true(uart16550_init(&uart, &here, false));
	assert_int_equal(model.ier, 1);
	assert_int_equal(model.mcr & UART_MCR_OUT2, UART_MCR_OUT2);
	uart16550_write(&uart, "x", 1);
	assert_int_equal(model.ier, 3);
	uart16550_interrupt(&uart);
	assert_int_equal(model.ier, 1);
	/* none at all takes everything, and nothing is touched */
	assert_false(uart16550_init(&uart, &none, true));
	assert_int_equal(uart16550_write(&uart, "x", 1), 1);
	uart16550_interrupt(&uart);
	model.absent = true;
	assert_false(uart16550_init(&uart, &here, false));
}

/* ---- names ---- */

static void names(void **state)
{
	static const struct {
		const char *name;
		uint64_t base;
		uint32_t kind;
	} good[] = {
		{ "com1", 0x3f8, 0 }, { "com2", 0x2f8, 0 }, { "com3", 0x3e8, 0 },
		{ "com4", 0x2e8, 0 }, { "none", 0, 0 }, { "0x2f8", 0x2f8, 0 },
		{ "0xFFF8", 0xfff8, 0 }, { "0x100", 0x100, 0 },
		{ "mmio:0xfe030008", 0xfe030008, BOOT_UART_BYTES },
		{ "mmio32:0xfedc9000", 0xfedc9000, BOOT_UART_WORDS },
		{ "mmio:0xfffffff8", 0xfffffff8, BOOT_UART_BYTES },
		{ "mmio:0x100000", 0x100000, BOOT_UART_BYTES },
	};
	static const char *const bad[] = {
		"", "com", "com0", "com5", "com11", "COM1", "com1 ", "comf", "2f8", "0x", "0x2f9",
		"0xf8", "0xcf8", "0x10000", "0x2fg", "0x3f8,115200", "none ", "No",
		"mmio:", "mmio:0x", "mmio:fe030000", "mmio:0xfe030004", "mmio32:0xfedc9010",
		"mmio:0x1fe030000", "mmio:0xfff8", "mmio:0xfee00000", "mmio32:0xfec00000",
		"mmio:0xfed00000", "mmio16:0xfe030000", "pci:0000:00:03.0",
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct boot_uart u = { .divisor = 7 };

		assert_true(uart_named(good[i].name, &u));
		assert_int_equal(u.base, good[i].base);
		assert_int_equal(u.kind, good[i].kind);
		assert_int_equal(u.divisor, u.base == 0 ? 7 : u.kind == BOOT_UART_PORTS);
	}
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct boot_uart u = { 0 };

		if (uart_named(bad[i], &u)) {
			fail_msg("\"%s\" is taken", bad[i]);
		}
	}
}

static void divisors(void **state)
{
	static const struct {
		uint32_t clock, speed, divisor;
	} good[] = {
		{ 0, 115200, 1 }, { 0, 57600, 2 }, { 0, 9600, 12 }, { 0, 50, 2304 },
		{ 1843200, 38400, 3 }, { 14745600, 921600, 1 }, { 48000000, 115200, 26 },
		{ 24000000, 115200, 13 }, { 0, 113000, 1 },
	};
	static const uint32_t bad[][2] = {
		{ 0, 0 }, { 0, 230400 }, { 0, 921600 }, { 0, 76800 }, { 0, 100000 },
		{ 1000000, 115200 }, { 1000000000, 50 },
	};
	uint32_t divisor;

	(void)state;
	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(uart_divisor(good[i].clock, good[i].speed, &divisor));
		assert_int_equal(divisor, good[i].divisor);
	}
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(uart_divisor(bad[i][0], bad[i][1], &divisor));
	}
}

/* ---- ACPI ---- */

static void put(uint8_t *p, uint64_t v, unsigned bytes)
{
	memcpy(p, &v, bytes);
}

/* A table in memory of exactly its size: what is read behind it is found. */
static uint8_t *table(const uint8_t *bytes, uint32_t size)
{
	uint8_t *t = malloc(size ? size : 1);

	assert_non_null(t);
	memcpy(t, bytes, size);
	return t;
}

static bool spcr(const uint8_t *bytes, uint32_t size, struct uart_found *found)
{
	uint8_t *t = table(bytes, size);
	bool is;

	memset(found, 0xee, sizeof(*found));
	is = uart_by_spcr(t, size, found);
	free(t);
	return is;
}

static bool dbg2(const uint8_t *bytes, uint32_t size, struct uart_found *found)
{
	uint8_t *t = table(bytes, size);
	bool is;

	memset(found, 0xee, sizeof(*found));
	is = uart_by_dbg2(t, size, found);
	free(t);
	return is;
}

static void gas(uint8_t *at, uint8_t space, uint8_t width, uint64_t address)
{
	memset(at, 0, 12);
	at[0] = space;
	at[1] = width;
	put(at + 4, address, 8);
}

static void spcr_make(uint8_t t[80])
{
	memset(t, 0, 80);
	memcpy(t, "SPCR", 4);
	put(t + 4, 80, 4);
	t[8] = 2;
	gas(t + 40, 1, 8, 0x2f8);
	t[58] = 7;
	put(t + 64, 0xffffffff, 4);
}

static void spcr_says(void **state)
{
	uint8_t t[84] = { 0 };
	struct uart_found f;

	(void)state;
	spcr_make(t);
	assert_true(spcr(t, 80, &f));
	assert_int_equal(f.uart.base, 0x2f8);
	assert_int_equal(f.uart.kind, BOOT_UART_PORTS);
	assert_int_equal(f.uart.divisor, 1);
	t[58] = 3;
	assert_true(spcr(t, 80, &f));
	assert_int_equal(f.uart.divisor, 12);
	/* as it is; and what no revision has */
	t[58] = 0;
	assert_true(spcr(t, 80, &f));
	assert_int_equal(f.uart.divisor, 0);
	t[58] = 255;
	assert_true(spcr(t, 80, &f));
	assert_int_equal(f.uart.divisor, 0);
	/* a clock, and a speed in full from revision 4 on */
	t[58] = 7;
	put(t + 76, 48000000, 4);
	assert_true(spcr(t, 80, &f));
	assert_int_equal(f.clock, 48000000);
	assert_int_equal(f.uart.divisor, 26);
	put(t + 80, 1500000, 4);
	assert_true(spcr(t, 84, &f));
	assert_int_equal(f.uart.divisor, 26);
	t[8] = 4;
	assert_true(spcr(t, 84, &f));
	assert_int_equal(f.uart.divisor, 2);
	put(t + 80, 0, 4);
	assert_true(spcr(t, 84, &f));
	assert_int_equal(f.uart.divisor, 26);
}

static void spcr_in_memory(void **state)
{
	uint8_t t[80];
	struct uart_found f;

	(void)state;
	spcr_make(t);
	t[36] = 0x12;
	gas(t + 40, 0, 32, 0xfedc9000);
	assert_true(spcr(t, 80, &f));
	assert_int_equal(f.uart.kind, BOOT_UART_WORDS);
	assert_int_equal(f.uart.base, 0xfedc9000);
	/* nobody says which clock: as the firmware has set it */
	assert_int_equal(f.uart.divisor, 0);
	gas(t + 40, 0, 8, 0xfe030008);
	put(t + 76, 1843200, 4);
	assert_true(spcr(t, 80, &f));
	assert_int_equal(f.uart.kind, BOOT_UART_BYTES);
	assert_int_equal(f.uart.divisor, 1);
}

static void spcr_bad(void **state)
{
	static const struct {
		uint8_t space, width;
		uint64_t address;
	} places[] = {
		{ 0, 8, 0 }, { 1, 8, 0 },		/* redirection is off */
		{ 1, 32, 0x2f8 }, { 1, 64, 0x2f8 }, { 0, 16, 0xfe030000 }, { 0, 64, 0xfe030000 },
		{ 2, 8, 0x2f8 }, { 3, 8, 0x2f8 }, { 0x7f, 8, 0x2f8 }, { 255, 8, 0xfe030000 },
		{ 1, 8, 0x10000 }, { 1, 8, 0xfffffffffffffff8 }, { 1, 8, 0x1000002f8 },
		{ 0, 8, 0x3f8 }, { 0, 8, 0xff000 }, { 0, 8, 0x100000000 },
		{ 0, 8, 0xfffffffffffffff8 }, { 0, 32, 0x8000000000000000 }, { 0, 8, 0xfee00300 },
		{ 0, 8, 0xfec00000 }, { 0, 8, 0xfe030001 }, { 0, 32, 0xfe030010 },
	};
	uint8_t t[80];
	struct uart_found f;

	(void)state;
	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		spcr_make(t);
		gas(t + 40, places[i].space, places[i].width, places[i].address);
		if (spcr(t, 80, &f)) {
			fail_msg("place %u is taken", i);
		}
	}
	spcr_make(t);
	t[42] = 1;			/* bit offset */
	assert_false(spcr(t, 80, &f));
	for (unsigned kind = 0; kind < 256; kind++) {
		spcr_make(t);
		t[36] = (uint8_t)kind;
		assert_int_equal(spcr(t, 80, &f), kind == 0 || kind == 1 || kind == 0x12);
	}
	spcr_make(t);
	for (uint32_t size = 0; size < 80; size++) {
		assert_false(spcr(t, size, &f));
	}
}

/* A debug device that is no serial port, then one that is at COM3. */
static void dbg2_make(uint8_t t[144])
{
	memset(t, 0, 144);
	memcpy(t, "DBG2", 4);
	put(t + 4, 144, 4);
	put(t + 36, 44, 4);
	put(t + 40, 2, 4);
	put(t + 45, 40, 2);
	t[47] = 1;
	put(t + 56, 0x8003, 2);
	put(t + 62, 22, 2);
	gas(t + 66, 1, 8, 0x2e8);
	put(t + 85, 60, 2);
	t[87] = 1;
	put(t + 96, 0x8000, 2);
	put(t + 102, 40, 2);
	gas(t + 124, 1, 8, 0x3e8);
}

static void dbg2_says(void **state)
{
	uint8_t t[144];
	struct uart_found f;

	(void)state;
	dbg2_make(t);
	assert_true(dbg2(t, 144, &f));
	assert_int_equal(f.uart.base, 0x3e8);
	assert_int_equal(f.uart.divisor, 1);
	assert_int_equal(f.clock, 0);
	put(t + 56, 0x8000, 2);
	assert_true(dbg2(t, 144, &f));
	assert_int_equal(f.uart.base, 0x2e8);
	/* one of another kind is passed over */
	put(t + 58, 3, 2);
	assert_true(dbg2(t, 144, &f));
	assert_int_equal(f.uart.base, 0x3e8);
}

static void dbg2_bad(void **state)
{
	static const struct {
		unsigned at, bytes;
		uint64_t value;
	} spoilt[] = {
		{ 36, 4, 0xffffffff }, { 36, 4, 123 }, { 36, 4, 144 }, { 40, 4, 0 }, { 40, 4, 1 },
		{ 45, 2, 0 }, { 45, 2, 21 }, { 45, 2, 0xffff }, { 45, 2, 101 }, { 85, 2, 61 },
		{ 85, 2, 51 }, { 87, 1, 0 }, { 96, 2, 0 }, { 98, 2, 2 }, { 102, 2, 49 },
		{ 102, 2, 0xffff }, { 124, 1, 3 }, { 128, 8, 0 },
	};
	uint8_t t[144];
	struct uart_found f;

	(void)state;
	for (unsigned i = 0; i < sizeof(spoilt) / sizeof(spoilt[0]); i++) {
		dbg2_make(t);
		put(t + spoilt[i].at, spoilt[i].value, spoilt[i].bytes);
		if (dbg2(t, 144, &f)) {
			fail_msg("number %u is taken", i);
		}
	}
	dbg2_make(t);
	for (uint32_t size = 0; size < 144; size++) {
		assert_false(dbg2(t, size, &f));
	}
}

/* Whatever is said: only a place that can be one, and nothing behind the table. */
static void anything(void **state)
{
	uint8_t t[160];
	struct uart_found f;
	unsigned found = 0;

	(void)state;
	srand(1);
	for (unsigned round = 0; round < 400000; round++) {
		uint32_t size = (uint32_t)rand() % sizeof(t);
		bool is, of_spcr = round % 2;

		memset(t, 0, sizeof(t));
		if (of_spcr) {
			spcr_make(t);
		} else {
			dbg2_make(t);
		}
		size = rand() % 4 ? (of_spcr ? 84 : 144) : size;
		for (int spoil = rand() % 8; spoil > 0; spoil--) {
			t[36 + rand() % (int)(sizeof(t) - 36)] = (uint8_t)rand();
		}
		is = of_spcr ? spcr(t, size, &f) : dbg2(t, size, &f);
		found += is;
		assert_true(!is || (uart_place_ok(&f.uart) && f.uart.base != 0 &&
				    f.uart.kind <= BOOT_UART_WORDS && f.uart.divisor <= 0xffff));
	}
	assert_true(found > 10000 && found < 390000);
}

/* ---- PCI ---- */

static void pci(void **state)
{
	uint32_t c[6] = { 0x00021b36, 0x3, 0x07000201, 0, 0xc001, 0 };
	struct uart_found f;

	(void)state;
	assert_true(uart_by_pci(c, &f));
	assert_int_equal(f.uart.base, 0xc000);
	assert_int_equal(f.uart.kind, BOOT_UART_PORTS);
	assert_int_equal(f.uart.divisor, 1);
	/* in memory, of 32 bits and of 64 */
	c[4] = 0xfebf0000;
	assert_true(uart_by_pci(c, &f));
	assert_int_equal(f.uart.kind, BOOT_UART_BYTES);
	assert_int_equal(f.uart.base, 0xfebf0000);
	assert_int_equal(f.uart.divisor, 0);
	c[4] = 0xfebf000c;
	assert_true(uart_by_pci(c, &f));
	assert_int_equal(f.uart.base, 0xfebf0000);
	c[5] = 1;
	assert_false(uart_by_pci(c, &f));
	c[4] = 0xc001;
	/* no address; a modem, a parallel port, a later interface, a bridge */
	for (unsigned i = 0; i < 5; i++) {
		static const uint32_t class[] = { 0x07000201, 0x07030201, 0x07010201, 0x07000701,
						  0x07000201 };

		c[4] = i == 0 ? 1 : 0xc001;
		c[2] = class[i];
		c[3] = i == 4 ? 0x10000 : 0;
		assert_false(uart_by_pci(c, &f));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(present, fresh),
		cmocka_unit_test_setup(set_up, fresh),
		cmocka_unit_test_setup(polled, fresh),
		cmocka_unit_test_setup(interrupts, fresh),
		cmocka_unit_test(names),
		cmocka_unit_test(divisors),
		cmocka_unit_test(spcr_says),
		cmocka_unit_test(spcr_in_memory),
		cmocka_unit_test(spcr_bad),
		cmocka_unit_test(dbg2_says),
		cmocka_unit_test(dbg2_bad),
		cmocka_unit_test(anything),
		cmocka_unit_test(pci),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
