/* SPDX-License-Identifier: MIT */
/*
 * What is typed at the machine's keyboards, as the bytes that a terminal would send.
 * serial.c reads it as the console's.
 */
#ifndef ISTHMUS_KEYS_H
#define ISTHMUS_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of a keyboard's driver: bytes of a key. What there is no room for is lost, whole. */
void keys_put(const char *bytes, size_t len);
/* The next byte, or -1. */
int keys_read(void);
/* True when this byte was typed; it and what was typed before are dropped. */
bool keys_take(uint8_t byte);
/* Whether the terminal on the screen answers questions: if who types last is here, and
 * not at the serial line's terminal, which answers itself. */
void keys_answer(bool on);

#endif
