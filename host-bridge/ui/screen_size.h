/* SPDX-License-Identifier: MIT */
/*
 * How large a terminal is that says so itself: its answer comes among the keys, and
 * is not one. Pure but for the question.
 */
#ifndef ISTHMUS_SCREEN_SIZE_H
#define ISTHMUS_SCREEN_SIZE_H

#include <stdbool.h>
#include <stdint.h>

/* Of one that says nothing, and the most that is used of another. */
#define SCREEN_ROWS	24u
#define SCREEN_COLS	80u
#define SCREEN_ROWS_MAX	200u
#define SCREEN_COLS_MAX	250u

/* All 0: not asked yet. */
struct screen_size {
	unsigned rows, cols;		/* 0: unknown */
	bool asked;			/* an answer may come */
	unsigned state;			/* bytes of an escape sequence so far */
	unsigned number[2], which;
};

void screen_size_ask(struct screen_size *s);
/* Takes a byte that was typed. True: it is a key. */
bool screen_size_key(struct screen_size *s, uint8_t byte);
void screen_size_get(const struct screen_size *s, unsigned *rows,
		     unsigned *cols);

#endif
