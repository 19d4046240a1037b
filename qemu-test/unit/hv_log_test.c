/* SPDX-License-Identifier: MIT */
/* The log: its formats against the C library's, the ring, the serial line. */
#include <stdio.h>

#include "hv_fakes.h"

static uint64_t cursor;
static struct black_box memory;
static unsigned last_turns, polls;
static bool stuck;

/* Only when all has been said. */
void sched_last_turn(void)
{
	last_turns++;
	cpu_halt_forever();
}

uint8_t inb(uint16_t port)
{
	assert_int_equal(port, 0x3f8 + 5);
	assert_true(++polls <= 1000000);
	return stuck ? 0 : 0x20;
}

void outb(uint16_t port, uint8_t v)
{
	assert_int_equal(port, 0x3f8);
	polls = 0;
	assert_true(fake.serial_len < sizeof(fake.serial) - 1);
	fake.serial[fake.serial_len++] = (char)v;
}

static int make(void **state)
{
	(void)state;
	fakes_reset();
	box = &memory;
	log_quiet();
	cursor = ~0ull;
	(void)log_read(&cursor, NULL, 0);	/* to the end */
	return 0;
}

static const char *text(void)
{
	static char out[1000];
	uint32_t n = log_read(&cursor, out, sizeof(out) - 1);

	out[n] = 0;
	return out;
}

#define same(...) do {							\
	char want[500];							\
	snprintf(want, sizeof(want), __VA_ARGS__);			\
	strcat(want, "\n");						\
	log_write(__VA_ARGS__);						\
	assert_string_equal(text(), want);				\
} while (0)

static void formats(void **state)
{
	static const unsigned long long values[] = {
		0, 1, 9, 10, 0x7fffffff, 0x80000000, 0xffffffff,
		0x123456789abcdef, 0x7fffffffffffffff, 0x8000000000000000,
		~0ull,
	};
	uint32_t i;

	(void)state;
	same("plain");
	same("%s and %s%%", "one", "");
	for (i = 0; i < ARRAY_SIZE(values); i++) {
		same("%llu %llx %lu", values[i], values[i],
		     (unsigned long)values[i]);
		same("%u %x", (unsigned)values[i], (unsigned)values[i]);
		same("[%20llx] [%016llx] [%3u] [%03x]", values[i], values[i],
		     (unsigned)values[i], (unsigned)values[i]);
	}
	log_write("%#llx %#x", 0ull, 0x12u);
	assert_string_equal(text(), "0x0 0x12\n");
}

static void reading(void **state)
{
	uint64_t here = cursor, ahead = cursor + 1000;
	char out[8];

	(void)state;
	log_write("0123456789");
	assert_int_equal(log_read(&here, out, 8), 8);
	assert_memory_equal(out, "01234567", 8);
	assert_int_equal(here, cursor + 8);
	assert_int_equal(log_read(&here, out, 8), 3);
	assert_memory_equal(out, "89\n", 3);
	assert_int_equal(log_read(&here, out, 8), 0);
	/* a cursor from the future comes back to the present */
	assert_int_equal(log_read(&ahead, out, 8), 0);
	assert_int_equal(ahead, here);
}

static void lost_text(void **state)
{
	uint64_t old = cursor, now;
	char out[16];
	uint32_t i;

	(void)state;
	for (i = 0; i < 8192; i++) {
		log_write("%015u", i);		/* 16 bytes a line, twice the ring */
	}
	now = cursor + 8192 * 16;
	assert_int_equal(log_read(&old, out, 16), 16);
	assert_int_equal(old, now - 65536 + 16);
	assert_memory_equal(out, "000000000004096\n", 16);
	old = 0;
	assert_int_equal(log_read(&old, out, 16), 16);
	assert_memory_equal(out, "000000000004096\n", 16);
}

static void serial_line(void **state)
{
	(void)state;
	log_init(0x3f8);
	stage(40, "entered");
	fake.serial[fake.serial_len] = 0;
	assert_string_equal(fake.serial, "isthmus: stage 40 entered\r\n");
	log_quiet();
	log_write("unseen");
	assert_null(strstr(fake.serial, "unseen"));
	/* the host partition hears of what it can read */
	partition_count = 1;
	log_write("seen");
	assert_int_equal(fake.events, 0);	/* partitions[0] is NULL yet */
	partitions[0] = &(struct partition){ .id = 0 };
	log_write("seen");
	assert_int_equal(fake.events, HC_EVENT_LOG);
	partition_count = 0;
	log_init(0);
	fake.serial_len = 0;
	log_write("no UART");
	assert_int_equal(fake.serial_len, 0);
}

/* A UART that takes nothing is not waited for for ever. */
static void stuck_line(void **state)
{
	(void)state;
	log_init(0x3f8);
	stuck = true;
	log_write("x");
	stuck = false;
	assert_memory_equal(fake.serial, "x\r\n", 3);
	assert_string_equal(text(), "x\n");
}

/* Registers in memory: one byte each, or 32 bits, which is the only access. Nothing
 * is written but to the first. */
static void in_memory(void **state)
{
	uint32_t words[9] = { [5] = 0xffffff20 };
	uint8_t bytes[9] = { [5] = 0x20 };

	(void)state;
	boot.uart.kind = BOOT_UART_WORDS;
	log_init((uintptr_t)words);
	log_write("to words");
	assert_int_equal(words[0], '\n');
	for (unsigned i = 1; i < 9; i++) {
		assert_int_equal(words[i], i == 5 ? 0xffffff20 : 0);
	}
	boot.uart.kind = BOOT_UART_BYTES;
	log_init((uintptr_t)bytes);
	log_write("to bytes");
	assert_memory_equal(bytes, "\n\0\0\0\0\x20\0\0\0", 9);
	/* none is ready: it is not waited for for ever */
	bytes[5] = 0;
	log_write("stuck");
	assert_int_equal(fake.serial_len, 0);
	boot.uart.kind = BOOT_UART_PORTS;
}

/* The very first words have nowhere to be kept. */
static void before_the_box(void **state)
{
	(void)state;
	log_init(0x3f8);
	box = NULL;
	fake.serial_len = 0;
	log_write("early");
	fake.serial[fake.serial_len] = 0;
	assert_string_equal(fake.serial, "early\r\n");
}

static void failures(void **state)
{
	(void)state;
	log_init(0x3f8);
	log_quiet();
	assert_panics(stage_failed(46, "virtualization", "CPU %u: %s", 3,
				   "no VT-x"));
	fake.serial[fake.serial_len] = 0;
	assert_string_equal(fake.serial, "\r\nisthmus: FAILED stage 46 "
			    "virtualization: CPU 3: no VT-x\r\n");
	fake.serial_len = 0;
	log_nmi(0);			/* nobody's */
	assert_int_equal(last_turns, 0);
	/* the tool believes a line with this run's mark, wherever it comes */
	strcpy(boot.mark, "\x1e" "0123456789abcdef");
	assert_panics(panic("page %#llx", 0x1000ull));
	assert_int_equal(last_turns, 1);
	assert_panics(log_nmi(0));
	assert_int_equal(last_turns, 2);
	fake.serial[fake.serial_len] = 0;
	assert_non_null(strstr(fake.serial, "\r\n\x1e" "0123456789abcdef"
			       "isthmus: PANIC in the hypervisor: page "
			       "0x1000\r\n"));
	/* a second panic, on another CPU or in the dump, says nothing more */
	fake.serial_len = 0;
	assert_panics(panic("again"));
	assert_int_equal(fake.serial_len, 0);
	assert_int_equal(last_turns, 2);
}

#define PIXELS	(640u * 160)
#define FAILURE	0xff5050u

/* Whether a line of text has points of that colour; none of any: 0. */
static bool drawn(const uint32_t *pixels, unsigned row, uint32_t colour)
{
	for (unsigned i = 0; i < 640 * 16; i++) {
		if (pixels[row * 640 * 16 + i] == colour) {
			return true;
		}
	}
	return false;
}

/* All that has been said, from boot/'s words on; nothing while the screen is the
 * host partition's; and last words over what that has drawn, but for their lines. */
static void on_screen(void **state)
{
	static uint32_t pixels[PIXELS];
	static const char said[] = "first\nsecond\n";

	(void)state;
	for (const char *c = said; *c; c++) {
		box_put(&box->log, *c);		/* the loader's */
	}
	assert_string_equal(text(), said);
	assert_int_equal(fake.serial_len, 0);
	boot.screen = (struct boot_screen){ 0, sizeof(pixels), 640, 160, 640, 1 };
	log_screen(pixels);
	log_write("third");
	assert_true(drawn(pixels, 2, 0xb8b8b8));
	log_screen(pixels);		/* elsewhere, the same */
	log_quiet();
	memset(pixels, 0x11, sizeof(pixels));
	log_write("fourth");
	assert_false(drawn(pixels, 9, 0));
	assert_panics(stage_failed(46, "virtualization", "no"));
	assert_true(drawn(pixels, 1, FAILURE));
	assert_false(drawn(pixels, 1, 0x11111111));
	assert_true(drawn(pixels, 5, 0x11111111));
	boot.screen = (struct boot_screen){ 0 };
	log_quiet();
}

#define TEST(f)	cmocka_unit_test_setup(f, make)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		/* first: the log is short */
		TEST(on_screen), TEST(formats), TEST(reading), TEST(lost_text),
		TEST(serial_line), TEST(before_the_box), TEST(stuck_line), TEST(in_memory),
		TEST(failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
