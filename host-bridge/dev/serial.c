/* SPDX-License-Identifier: MIT */
/*
 * Serial lines over the 16550 driver and the event loop.
 *
 * Output is queued in the driver's ring (256 KiB a line) and leaves by
 * interrupt events, or by a timer where the line has no interrupt. Nobody waits
 * here, for the line may be slow, or stand still: who has much to say is told when
 * to pause and when to go on, long before the ring is full. What Linux sends passes
 * through as bytes; it is not looked at. What goes to the console's line is on the
 * screen too, and keys of a keyboard are as if typed there.
 */
#include <string.h>

#include "drivers/uart16550.h"
#include "host-bridge/dev/keys.h"
#include "host-bridge/dev/screen.h"
#include "host-bridge/dev/serial.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/rt/hc.h"
#include "host-bridge/rt/sink.h"
#include "text/fbtext.h"

#define COM2_PORT	0x2f8
#define LINE_COM2	1u	/* our line of its interrupt: see the manifest */
#define POLL_MS		1u	/* while something goes in or out .. */
#define POLL_IDLE_MS	10u	/* .. and when nothing does for POLL_AWAKE_MS */
#define POLL_AWAKE_MS	1000u

static void own(bool on);

static const struct sink console_sink = {
	.text = serial_text,
	.drain = serial_drain,
	.own = own,
};

static const struct serial_other *other;
static bool only_own;		/* what is said now is for the line */

static struct line {
	struct uart16550 uart;
	void (*drained)(void *arg);
	void *drained_arg;
	size_t busy;		/* bytes queued, from which on it is */
} lines[SERIAL_LINES];

/* Interrupts are edge-triggered (flags 0 in the manifest), so HC_IRQ need not
 * unmask them again. */
static void on_irq(void *arg)
{
	struct line *line = arg;
	enum serial_line number = (enum serial_line)(line - lines);
	bool was_busy = serial_busy(number);

	uart16550_interrupt(&line->uart);
	if (was_busy && !serial_busy(number)) {
		serial_drained(number);
	}
}

/* The console's, if it has no interrupt. A FIFO of 16 bytes at 115200 lasts for
 * POLL_MS; nobody types faster than POLL_IDLE_MS before that has been noticed. */
static void on_poll(struct loop_timer *timer)
{
	static uint64_t moved;
	struct uart16550 *uart = &lines[SERIAL_CONSOLE].uart;
	uint32_t received = uart->rx_head + uart->rx_lost;

	on_irq(&lines[SERIAL_CONSOLE]);
	if (uart->rx_head + uart->rx_lost != received ||
	    uart16550_queued(uart) > 0) {
		moved = loop_uptime_ms();
	}
	loop_timer_set(timer, loop_uptime_ms() - moved < POLL_AWAKE_MS ?
		       POLL_MS : POLL_IDLE_MS, on_poll);
}

static bool diverted(enum serial_line line)
{
	return other && !only_own && line == SERIAL_CONSOLE;
}

static void own(bool on)
{
	only_own = on;
}

/** See serial.h. From top level, between commands; or from a handler, which has it back
 * as it was before it returns. */
const struct serial_other *serial_divert(const struct serial_other *to)
{
	const struct serial_other *was = other;

	other = to;
	return was;
}

/** See serial.h. */
void serial_drained(enum serial_line line)
{
	if (lines[line].drained) {
		lines[line].drained(lines[line].drained_arg);
	}
}

static void listen(enum serial_line line, uint32_t irq)
{
	loop_on_event(HC_EVENT_IRQ(irq), on_irq, &lines[line]);
	(void)hc_irq(irq, 1);
}

/**
 * Sets both lines up, 8N1, and unmasks their interrupts. The console's is boot/'s
 * word: where it is, how fast, and its interrupt line, or HOST_UART_POLLED. Linux's
 * is COM2, where PCs have it, unless that is the console's. A line that is not
 * there swallows its output and never has input. The console's is then the sink
 * of this program's text.
 */
void serial_init(const struct boot_uart *console, uint32_t console_irq)
{
	static struct loop_timer timer;
	const struct boot_uart com2 = {
		.base = console->base == COM2_PORT ? 0 : COM2_PORT,
		.divisor = 1 };		/* 115200 baud */

	if (uart16550_init(&lines[SERIAL_CONSOLE].uart, console,
			   console_irq == HOST_UART_POLLED) &&
	    console_irq == HOST_UART_POLLED) {
		on_poll(&timer);
	}
	/* A twentieth of a second at 115200: so long ctrl-c has to wait. */
	lines[SERIAL_CONSOLE].busy = 512;
	lines[SERIAL_LINUX].busy = UART_TX_SIZE / 2;
	if (uart16550_init(&lines[SERIAL_LINUX].uart, &com2, false)) {
		listen(SERIAL_LINUX, LINE_COM2);
	}
	if (console_irq != HOST_UART_POLLED) {
		listen(SERIAL_CONSOLE, console_irq);
	}
	sink_set(&console_sink);
}

/**
 * Queues bytes as they are; see serial.h about those that do not fit. Callable
 * from handlers.
 */
void serial_write(enum serial_line line, const void *data, size_t len)
{
	if (diverted(line)) {
		other->write(data, len);
		return;
	}
	if (line == SERIAL_CONSOLE) {
		screen_write(data, len);
	}
	(void)uart16550_write(&lines[line].uart, data, len);
}

/* Does a line of text say that a stage has failed? */
static bool says_failure(const char *text, size_t len)
{
	static const char words[] = "isthmus: FAILED";
	size_t at = len > FBTEXT_MARK_LEN && text[0] == FBTEXT_MARK ?
		    1 + FBTEXT_MARK_LEN : 0;

	return len >= at + sizeof(words) - 1 &&
	       memcmp(text + at, words, sizeof(words) - 1) == 0;
}

/* Not for the serial line, whose terminal is somebody's own. */
static void colour(const char *sequence)
{
	if (!diverted(SERIAL_CONSOLE)) {
		screen_write(sequence, strlen(sequence));
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

		if (says_failure(text, part)) {
			colour(FBTEXT_FAILURE);
			serial_write(SERIAL_CONSOLE, text, part);
			colour(FBTEXT_USUAL);
		} else {
			serial_write(SERIAL_CONSOLE, text, part);
		}
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
int serial_read(enum serial_line line)
{
	int key;

	if (diverted(line)) {
		return other->read();
	}
	key = uart16550_read(&lines[line].uart);
	if (line == SERIAL_CONSOLE) {
		if (key >= 0) {
			keys_answer(false);
		} else {
			key = keys_read();
		}
	}
	return key;
}

/**
 * Looks through what was typed for one key, and drops it with all before it:
 * ctrl-c typed ahead of other input must work. Nothing is dropped when it is
 * not there.
 */
bool serial_typed(enum serial_line line, uint8_t byte)
{
	return uart16550_take(&lines[line].uart, byte) ||
	       (line == SERIAL_CONSOLE && keys_take(byte)) ||
	       (diverted(line) && other->typed(byte));
}

/**
 * For the end of the program: sends everything by polling. Without the event
 * loop or interrupts; a UART that stands still is given up after a while.
 */
void serial_drain(void)
{
	screen_draw();
	for (size_t i = 0; i < SERIAL_LINES; i++) {
		uart16550_drain(&lines[i].uart);
	}
}

/**
 * One function for each line, called from the loop's interrupt handler when the
 * queue has shrunk to where serial_busy() is false again.
 */
void serial_on_drained(enum serial_line line, void (*fn)(void *arg), void *arg)
{
	lines[line].drained = fn;
	lines[line].drained_arg = arg;
}

/**
 * Flow control: true while more waits for the line than it sends soon. What is
 * left of the ring then has room for a piece all the same, and for notices.
 */
bool serial_busy(enum serial_line line)
{
	return diverted(line) ? other->busy() :
	       uart16550_queued(&lines[line].uart) > lines[line].busy;
}

/**
 * For ctrl-c: what is queued for the line is not sent any more. There was
 * little of it: nobody is told that the line has drained but by the next piece.
 */
void serial_drop(enum serial_line line)
{
	if (diverted(line)) {
		other->drop();
		return;
	}
	uart16550_drop(&lines[line].uart);
}
