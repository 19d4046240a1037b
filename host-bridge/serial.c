/* SPDX-License-Identifier: MIT */
/* Serial lines over the 16550 driver and the event loop. */
#include <string.h>

#include "drivers/uart16550.h"
#include "host-bridge/hc.h"
#include "host-bridge/loop.h"
#include "host-bridge/serial.h"

#define COM2_PORT	0x2f8
#define BUSY_LEVEL	4096u	/* bytes: a third of a second at 115200 */

static struct uart16550 uarts[SERIAL_LINES];
static void (*drained)(void);

/* Line l is the partition's own interrupt line l: see the manifest. */
static void on_irq(void *arg)
{
	struct uart16550 *uart = arg;
	bool was_busy = serial_busy();

	uart16550_interrupt(uart);
	if (drained && was_busy && !serial_busy()) {
		drained();
	}
}

/** Sets both lines up and unmasks their interrupts. A line that is not there
 * swallows its output. */
void serial_init(uint16_t console_port)
{
	(void)uart16550_init(&uarts[SERIAL_CONSOLE], console_port);
	(void)uart16550_init(&uarts[SERIAL_LINUX], COM2_PORT);
	for (unsigned i = 0; i < SERIAL_LINES; i++) {
		loop_on_event(HC_EVENT_IRQ(i), on_irq, &uarts[i]);
		(void)hc_irq(i, 1);
	}
}

/** Queues bytes as they are; waits for this UART alone when it is full. */
void serial_write(enum serial_line line, const void *data, size_t len)
{
	struct uart16550 *uart = &uarts[line];
	const uint8_t *at = data;

	for (;;) {
		size_t taken = uart16550_write(uart, at, len);

		at += taken;
		len -= taken;
		if (len == 0) {
			break;
		}
		(void)loop_wait_only(HC_EVENT_IRQ(line), LOOP_FOREVER);
		uart16550_interrupt(uart);
	}
}

/** Queues text for a terminal. */
void serial_text(const char *text, size_t len)
{
	while (len > 0) {
		const char *nl = memchr(text, '\n', len);
		size_t part = nl ? (size_t)(nl - text) : len;

		serial_write(SERIAL_CONSOLE, text, part);
		if (nl) {
			serial_write(SERIAL_CONSOLE, "\r\n", 2);
			part++;
		}
		text += part;
		len -= part;
	}
}

/** The next key, or -1; never waits. */
int serial_read(void)
{
	return uart16550_read(&uarts[SERIAL_CONSOLE]);
}

/** Looks through what was typed for one key. */
bool serial_typed(uint8_t byte)
{
	return uart16550_take(&uarts[SERIAL_CONSOLE], byte);
}

/** For the end of the program: sends everything by polling. */
void serial_drain(void)
{
	for (size_t i = 0; i < SERIAL_LINES; i++) {
		uart16550_drain(&uarts[i]);
	}
}

/** One function in all, called from the loop. */
void serial_on_drained(void (*fn)(void))
{
	drained = fn;
}

/** Flow control: see serial_on_drained(). */
bool serial_busy(void)
{
	return uart16550_queued(&uarts[SERIAL_CONSOLE]) > BUSY_LEVEL;
}
