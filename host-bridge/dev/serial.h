/* SPDX-License-Identifier: MIT */
/*
 * Room dev: the machine's devices, on the drivers of drivers/ and the loop's
 * events. Trusts the hardware, as far as it answers at all. May include rt and
 * loop.
 *
 * The machine's two serial lines: COM1 carries the console, COM2 what Linux
 * prints on its own serial port. Output is never lost: when a ring is full
 * the writer waits for that UART alone, and all other events stay pending.
 */
#ifndef ISTHMUS_SERIAL_H
#define ISTHMUS_SERIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum serial_line {
	SERIAL_CONSOLE,
	SERIAL_LINUX,
	SERIAL_LINES
};

void serial_init(uint16_t console_port);
/* Raw bytes. */
void serial_write(enum serial_line line, const void *data, size_t len);
/* Text on the console: each newline becomes CR LF. */
void serial_text(const char *text, size_t len);
/* Next byte typed at the console, or -1. */
int serial_read(void);
/* True when this byte was typed; it and what was typed before are dropped. */
bool serial_typed(uint8_t byte);
/* Waits until all output has left the machine. */
void serial_drain(void);
/* Calls fn(arg) when little is queued on the console after more was: for flow
 * control of what is shown. */
void serial_on_drained(void (*fn)(void *arg), void *arg);
/* True when so much is queued on the console that senders should pause. */
bool serial_busy(void);

#endif
