/* SPDX-License-Identifier: MIT */
/*
 * Room dev: the machine's devices, on the drivers of drivers/ and the loop's
 * events. Trusts the hardware, as far as it answers at all. May include rt and
 * loop.
 *
 * The machine's two serial lines: that which boot/ has found carries the console,
 * COM2 what Linux prints on its own serial port. Output is queued, and nobody waits for a line:
 * it says when it is busy, and when it can take more.
 */
#ifndef ISTHMUS_SERIAL_H
#define ISTHMUS_SERIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/host_info.h"

enum serial_line {
	SERIAL_CONSOLE,
	SERIAL_LINUX,
	SERIAL_LINES
};

/* Somebody elsewhere who has the console for a while: as the functions below. */
struct serial_other {
	void (*write)(const void *data, size_t len);
	int (*read)(void);
	bool (*typed)(uint8_t byte);
	bool (*busy)(void);
	void (*drop)(void);
};

void serial_init(const struct boot_uart *console, uint32_t console_irq);
/* Until the next call, SERIAL_CONSOLE means that one; NULL: the line again. What is
 * typed on the line stays there, but for what serial_typed() looks for. Returns whom
 * it has meant. */
const struct serial_other *serial_divert(const struct serial_other *other);
/* The line's queue, or the other's, has shrunk: see serial_on_drained(). */
void serial_drained(enum serial_line line);
/* Raw bytes. Never waits: what the queue has no room for is lost, so whoever
 * has much to say looks at serial_busy() before each piece, of at most
 * SERIAL_PIECE bytes. */
#define SERIAL_PIECE	(64u << 10)
void serial_write(enum serial_line line, const void *data, size_t len);
/* Text on the console: each newline becomes CR LF. */
void serial_text(const char *text, size_t len);
/* Next byte typed at the line's terminal, or -1. */
int serial_read(enum serial_line line);
/* True when this byte was typed; it and what was typed before are dropped. */
bool serial_typed(enum serial_line line, uint8_t byte);
/* Waits until all output has left the machine. */
void serial_drain(void);
/* Calls fn(arg) when the line is no longer busy, after it was. */
void serial_on_drained(enum serial_line line, void (*fn)(void *arg),
		       void *arg);
/* True when so much is queued that senders should pause. */
bool serial_busy(enum serial_line line);
/* Drops what is queued for the line: the user has seen enough. */
void serial_drop(enum serial_line line);

#endif
