/* SPDX-License-Identifier: MIT */
/*
 * Serial lines over the 16550 driver and the event loop.
 *
 * Output is queued in the driver's ring (256 KiB a line) and leaves by
 * interrupt events. Who writes more waits, inside a handler too, and then for
 * that UART alone (loop_wait_only): nothing is lost, nothing runs in between,
 * and so nothing here can be entered twice. What Linux sends passes through as
 * bytes; it is not looked at.
 */
#include <string.h>

#include "drivers/uart16550.h"
#include "host-bridge/rt/hc.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/dev/serial.h"
#include "host-bridge/rt/sink.h"

#define COM2_PORT	0x2f8
#define BUSY_LEVEL	4096u	/* bytes: a third of a second at 115200 */

static const struct sink console_sink = {
	.text = serial_text,
	.drain = serial_drain,
};

static struct uart16550 uarts[SERIAL_LINES];
static void (*drained)(void *arg);
static void *drained_arg;

/* Line l is the partition's own interrupt line l: see the manifest. The lines
 * are edge-triggered (flags 0 there), so HC_IRQ need not unmask them again. */
static void on_irq(void *arg)
{
	struct uart16550 *uart = arg;
	bool was_busy = serial_busy();

	uart16550_interrupt(uart);
	if (drained && was_busy && !serial_busy()) {
		drained(drained_arg);
	}
}

/**
 * Sets both lines up, 115200 8N1, and unmasks their interrupts. console_port is
 * boot/'s (struct host_info), COM2 is where PCs have it. A line that is not
 * there swallows its output and never has input. The console's is then the sink
 * of this program's text.
 */
void serial_init(uint16_t console_port)
{
	(void)uart16550_init(&uarts[SERIAL_CONSOLE], console_port);
	(void)uart16550_init(&uarts[SERIAL_LINUX], COM2_PORT);
	for (unsigned i = 0; i < SERIAL_LINES; i++) {
		loop_on_event(HC_EVENT_IRQ(i), on_irq, &uarts[i]);
		(void)hc_irq(i, 1);
	}
	sink_set(&console_sink);
}

/**
 * Queues bytes as they are; waits for this UART alone when it is full, as long
 * as that takes: a line whose UART stops sending for good stops this program.
 * Callable from handlers.
 */
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

/**
 * Queues text for a terminal on the console line: LF becomes CR LF, all else
 * stays. Where the sink's text ends up.
 */
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

/**
 * The next key, or -1; never waits. Keys come in by interrupt events, so a
 * caller that found none runs loop_step() before it asks again.
 */
int serial_read(void)
{
	return uart16550_read(&uarts[SERIAL_CONSOLE]);
}

/**
 * Looks through what was typed for one key, and drops it with all before it:
 * ctrl-c typed ahead of other input must work. Nothing is dropped when it is
 * not there.
 */
bool serial_typed(uint8_t byte)
{
	return uart16550_take(&uarts[SERIAL_CONSOLE], byte);
}

/**
 * For the end of the program: sends everything by polling. Without the event
 * loop or interrupts; a UART that stands still is given up after a while.
 */
void serial_drain(void)
{
	for (size_t i = 0; i < SERIAL_LINES; i++) {
		uart16550_drain(&uarts[i]);
	}
}

/**
 * One function in all, called from the loop's interrupt handler when the
 * console's queue has shrunk below the mark that serial_busy() tells of.
 */
void serial_on_drained(void (*fn)(void *arg), void *arg)
{
	drained = fn;
	drained_arg = arg;
}

/**
 * Flow control: true while more than BUSY_LEVEL bytes wait for the console. See
 * serial_on_drained().
 */
bool serial_busy(void)
{
	return uart16550_queued(&uarts[SERIAL_CONSOLE]) > BUSY_LEVEL;
}
