/* SPDX-License-Identifier: MIT */
/*
 * Port accesses of Linux in the event loop, against a hypervisor that has as
 * many of them as the test wants.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "host-bridge/guest/linux_acpi.h"
#include "host-bridge/guest/linux_io.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/dev/serial.h"
#include "host_hc.h"

#define LINUX_ID	1u
#define OTHER_ID	2u
#define NO_ID		3u
#define PCI_ADDRESS	0xcf8u
#define MANY		1000u

static uint64_t events;			/* bits not yet taken */
static unsigned left, answered;		/* accesses */
static unsigned calls;			/* hypercalls */
/* One to come instead of the many, and what it was answered. */
static struct hc_ioreq *single;
static uint64_t answer;
static unsigned answered_at_key;

__attribute__((target("general-regs-only")))
int64_t hypercall(enum hypercall nr, struct hc_regs *regs)
{
	calls++;
	switch (nr) {
	case HC_WAIT:
		/* Nobody would wake it. */
		assert_true(events != 0 || regs->rdi == 0);
		regs->rdi = events;
		events = 0;
		return HC_OK;
	case HC_IOREQ_GET:
		if (single) {
			regs->rdi = single->handle;
			regs->rsi = single->word;
			regs->rdx = single->value;
			single = NULL;
			return HC_OK;
		}
		if (left == 0) {
			return HC_ENOENT;
		}
		left--;
		regs->rdi = LINUX_ID << 16;
		regs->rsi = PCI_ADDRESS | 4u << 16 | HC_IOREQ_IN;
		return HC_OK;
	case HC_IOREQ_DONE:
		answered++;
		answer = regs->rsi;
		return HC_OK;
	default:
		return HC_ENOENT;
	}
}

static bool line_busy;
static unsigned line_bytes;
static char line_text[400];
static void (*line_drained)(void *arg);

void serial_write(enum serial_line line, const void *data, size_t len)
{
	assert_int_equal(line, SERIAL_LINUX);
	if (line_bytes + len < sizeof(line_text)) {
		memcpy(line_text + line_bytes, data, len);
	}
	line_bytes += (unsigned)len;
}

bool serial_busy(enum serial_line line)
{
	assert_int_equal(line, SERIAL_LINUX);
	return line_busy;
}

void serial_on_drained(enum serial_line line, void (*fn)(void *arg), void *arg)
{
	assert_int_equal(line, SERIAL_LINUX);
	(void)arg;
	line_drained = fn;
}

static void on_key(void *arg)
{
	(void)arg;
	answered_at_key = answered;
}

/* Requests of each Linux, and the last one. */
static unsigned requests[2];
static enum linux_request request;

static void asked(void *arg, enum linux_request what)
{
	request = what;
	++*(unsigned *)arg;
}

/* What the first Linux said. */
static char words[200];

static void said(void *arg, const char *reason)
{
	assert_ptr_equal(arg, &requests[0]);
	strcat(words, reason);
}

static struct config_guest wants[2] = {
	{ .id = LINUX_ID, .name = "one" }, { .id = OTHER_ID, .name = "two" },
};
static struct linux_io devices[2];

static int setup(void **state)
{
	static bool once;

	(void)state;
	loop_init(1000000000);
	loop_on_event(HC_EVENT_IRQ(0), on_key, NULL);
	if (!once) {
		linux_io_init(&devices[0], &wants[0], asked, said,
			      &requests[0]);
		linux_io_init(&devices[1], &wants[1], asked, said,
			      &requests[1]);
		once = true;
	}
	events = left = answered = calls = answered_at_key = 0;
	requests[0] = requests[1] = 0;
	request = LINUX_REQUEST_NONE;
	words[0] = '\0';
	return 0;
}

/* One access costs a wait and three calls: none is left, it is asked. */
static void one_is_cheap(void **state)
{
	(void)state;
	left = 1;
	events = HC_EVENT_IOREQ;
	loop_step(LOOP_FOREVER);
	assert_int_equal(answered, 1);
	assert_int_equal(calls, 4);
}

/* There is always one more; a key is served all the same, and no access is
 * forgotten though the bit came once. */
static void many_hold_up_nobody(void **state)
{
	(void)state;
	left = MANY;
	events = HC_EVENT_IOREQ | HC_EVENT_IRQ(0);
	loop_step(LOOP_FOREVER);
	assert_in_range(answered_at_key, 1, 64);
	for (unsigned turn = 0; turn < MANY && left > 0; turn++) {
		loop_step(LOOP_FOREVER);
	}
	assert_int_equal(answered, MANY);
}

/* One access; what was read. */
static uint64_t sized(uint32_t partition, unsigned port, unsigned size, bool in,
		      uint32_t value)
{
	struct hc_ioreq req = {
		.handle = partition << 16,
		.word = port | size << 16 | (in ? HC_IOREQ_IN : 0),
		.value = value,
	};

	single = &req;
	answer = 0;
	events = HC_EVENT_IOREQ;
	loop_step(LOOP_FOREVER);
	return answer;
}

static uint64_t access(uint32_t partition, unsigned port, bool in,
		       uint8_t value)
{
	return sized(partition, port, 1, in, value);
}

static char logged(struct linux_io *io)
{
	uint64_t at = 0;
	char text[2];

	assert_int_equal(linux_io_log(io, &at, text, sizeof(text)), 1);
	return text[0];
}

/* Two Linux partitions: registers, log and requests of one are not the
 * other's. A partition that nobody loaded has no devices. */
static void each_has_its_own(void **state)
{
	(void)state;
	access(LINUX_ID, UART_MODEL_PORT, false, 'a');
	access(OTHER_ID, UART_MODEL_PORT, false, 'b');
	access(NO_ID, UART_MODEL_PORT, false, 'c');
	assert_int_equal(logged(&devices[0]), 'a');
	assert_int_equal(logged(&devices[1]), 'b');
	access(LINUX_ID, UART_MODEL_PORT + 7, false, 0x55);
	assert_int_equal(access(LINUX_ID, UART_MODEL_PORT + 7, true, 0), 0x55);
	assert_int_equal(access(OTHER_ID, UART_MODEL_PORT + 7, true, 0), 0);
	assert_true(access(NO_ID, UART_MODEL_PORT + 7, true, 0) == ~0ull);
	access(OTHER_ID, LINUX_PORT_RESET, false, LINUX_RESET_VALUE);
	assert_int_equal(requests[0], 0);
	assert_int_equal(requests[1], 1);
	assert_int_equal(request, LINUX_REQUEST_RESET);
}

/* The registers that end a Linux, and their neighbours and half steps. */
static void power_registers(void **state)
{
	static const struct {
		unsigned port, size;
		uint32_t value;
		enum linux_request want;
	} writes[] = {
		{ 0x600, 1, 0x06, LINUX_REQUEST_RESET },	/* FADT */
		{ 0x600, 1, 0x02, LINUX_REQUEST_NONE },
		{ 0x600, 4, 0x06, LINUX_REQUEST_NONE },
		{ 0x604, 1, 0x34, LINUX_REQUEST_POWER_OFF },
		{ 0x604, 1, 0x14, LINUX_REQUEST_NONE },
		{ 0xcf9, 1, 0x06, LINUX_REQUEST_RESET },
		{ 0xcf9, 1, 0x0e, LINUX_REQUEST_RESET },
		{ 0xcf9, 1, 0x02, LINUX_REQUEST_NONE },
		{ 0xcf8, 1, 0x06, LINUX_REQUEST_NONE },
		{ 0xcf8, 4, 0x80000606, LINUX_REQUEST_NONE },
		{ 0x3f8, 1, 0x06, LINUX_REQUEST_NONE },
	};

	for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++) {
		setup(state);
		sized(LINUX_ID, writes[i].port, writes[i].size, false,
		      writes[i].value);
		assert_int_equal(request, writes[i].want);
		/* Who asked for its end is not answered any more. */
		assert_int_equal(answered, request == LINUX_REQUEST_NONE);
	}
}

static void print(const char *text)
{
	for (; *text; text++) {
		access(LINUX_ID, UART_MODEL_PORT, false, (uint8_t)*text);
	}
}

/* The first line that tells why, once; and anew after a restart. */
static void says_why(void **state)
{
	static const char longest[] = "Kernel panic - not syncing: ";
	char text[400];

	(void)state;
	print("[    0.1] Linux version\n[    0.2] Initramfs unpacking failed: "
	      "write \x1b[2Jerror\r\n");
	assert_string_equal(words,
			    "Initramfs unpacking failed: write ?[2Jerror");
	print("[    0.3] Kernel panic - not syncing: No working init found.\n");
	assert_string_equal(words,
			    "Initramfs unpacking failed: write ?[2Jerror");
	assert_string_equal(devices[0].says.reason, words);
	assert_string_equal(devices[1].says.reason, "");
	linux_io_reset(&devices[0]);
	assert_string_equal(devices[0].says.reason, "");
	words[0] = '\0';
	memset(text, 'x', sizeof(text));
	memcpy(text, longest, sizeof(longest) - 1);
	text[sizeof(text) - 2] = '\n';
	text[sizeof(text) - 1] = '\0';
	print("Kernel panic - not syn\ncing\n");
	assert_string_equal(words, "");
	print(text);
	assert_int_equal(strlen(words), LINUX_SAYS_MAX - 1);
	assert_memory_equal(words, text, LINUX_SAYS_MAX - 1);
}

/* A vCPU that prints while the line is busy stands still until it is not; what
 * others ask is answered, and what a start that is over printed is nobody's. */
static void slow_line(void **state)
{
	(void)state;
	line_busy = true;
	line_bytes = 0;
	access(LINUX_ID, UART_MODEL_PORT, false, 'x');
	assert_int_equal(answered, 0);
	access(LINUX_ID, UART_MODEL_PORT + 5, true, 0);
	access(LINUX_ID, PCI_ADDRESS, true, 0);
	access(OTHER_ID, UART_MODEL_PORT + 7, true, 0);
	assert_int_equal(answered, 3);
	access(OTHER_ID, UART_MODEL_PORT, false, 'y');
	linux_io_reset(&devices[1]);
	line_busy = false;
	line_drained(NULL);
	assert_int_equal(answered, 4);
	assert_int_equal(line_bytes, 1);
	line_drained(NULL);
	assert_int_equal(answered, 4);
}

/* Several Linuxes share the second line: whole lines, each with its name. What
 * one has not ended when it ends is a line too. */
static void lines_have_names(void **state)
{
	static const char one[] = "first\r\nthi", two[] = "second\r\n";

	(void)state;
	wants[0].several = wants[1].several = true;
	line_bytes = 0;
	memset(line_text, 0, sizeof(line_text));
	for (unsigned i = 0; i < sizeof(one) - 1; i++) {
		access(LINUX_ID, UART_MODEL_PORT, false, (uint8_t)one[i]);
		if (i < sizeof(two) - 1) {
			access(OTHER_ID, UART_MODEL_PORT, false,
			       (uint8_t)two[i]);
		}
	}
	assert_string_equal(line_text, "one: first\r\ntwo: second\r\n");
	linux_io_reset(&devices[0]);
	linux_io_reset(&devices[1]);
	assert_string_equal(line_text, "one: first\r\ntwo: second\r\n"
			    "one: thi\r\n");
	line_bytes = 0;
	for (unsigned i = 0; i < LINUX_LINE; i++) {
		access(LINUX_ID, UART_MODEL_PORT, false, 'x');
	}
	assert_int_equal(line_bytes, 5 + LINUX_LINE + 2);
	wants[0].several = wants[1].several = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(one_is_cheap, setup),
		cmocka_unit_test_setup(many_hold_up_nobody, setup),
		cmocka_unit_test_setup(each_has_its_own, setup),
		cmocka_unit_test_setup(power_registers, setup),
		cmocka_unit_test_setup(says_why, setup),
		cmocka_unit_test_setup(slow_line, setup),
		cmocka_unit_test_setup(lines_have_names, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
