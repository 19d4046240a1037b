/* SPDX-License-Identifier: MIT */
/* The size of a terminal: see screen_size.h. */
#include <stdio.h>

#include "host-bridge/ui/screen_size.h"

#define ESC	0x1b
#define DIGITS	10000u		/* numbers do not become longer */

/** The question: the cursor goes as far as it can, says where it is, and comes back.
 * [ECMA-48 "DSR - DEVICE STATUS REPORT"] */
void screen_size_ask(struct screen_size *s)
{
	s->asked = true;
	printf("\0337\033[999;999H\033[6n\0338");
}

/* Bytes of a sequence behind its "ESC [". */
static void take(struct screen_size *s, uint8_t byte)
{
	unsigned *number = &s->number[s->which];

	if (byte >= '0' && byte <= '9') {
		*number = *number < DIGITS ? *number * 10 + byte - '0' : DIGITS;
	} else if (byte == ';') {
		s->which = 1;
		s->number[1] = 0;
	} else {
		s->state = 0;
		if (byte == 'R' && s->number[0] > 0 && s->number[1] > 0) {
			s->asked = false;
			s->rows = s->number[0];
			s->cols = s->number[1];
		}
	}
}

/** See screen_size.h. Of other sequences, as of arrows, nothing is a key either. */
bool screen_size_key(struct screen_size *s, uint8_t byte)
{
	if (byte == ESC) {
		s->state = 1;
		return false;
	}
	if (s->state == 1) {
		s->state = byte == '[' || byte == 'O' ? 2 : 0;
		s->which = s->number[0] = s->number[1] = 0;
		return false;
	}
	if (s->state == 2) {
		take(s, byte);
		return false;
	}
	return true;
}

static unsigned within(unsigned is, unsigned without, unsigned most)
{
	return is == 0 ? without : is < most ? is : most;
}

/** See screen_size.h. */
void screen_size_get(const struct screen_size *s, unsigned *rows,
		     unsigned *cols)
{
	*rows = within(s->rows, SCREEN_ROWS, SCREEN_ROWS_MAX);
	*cols = within(s->cols, SCREEN_COLS, SCREEN_COLS_MAX);
}
