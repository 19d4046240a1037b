/* SPDX-License-Identifier: MIT */
/*
 * A terminal on a linear framebuffer of 32 bits a pixel, as far as our programs
 * and a shell need one: text, colours, and the common control sequences of
 * ECMA-48. For the loader, the hypervisor and host-bridge alike, so it calls
 * nothing, allocates nothing, and never reads the framebuffer, which is slow:
 * struct fbtext remembers what is there.
 *
 * Bytes may come from anybody. No lock: who has the structure has one.
 */
#ifndef ISTHMUS_TEXT_FBTEXT_H
#define ISTHMUS_TEXT_FBTEXT_H

#include <stdbool.h>
#include <stdint.h>

#define FBTEXT_WIDTH	8u		/* of a cell, pixels */
#define FBTEXT_HEIGHT	16u
#define FBTEXT_COLS	240u		/* a larger screen has larger letters */
#define FBTEXT_ROWS	68u
#define FBTEXT_CELLS	(FBTEXT_COLS * FBTEXT_ROWS)
#define FBTEXT_SPECIALS	32u		/* pictures that are not ASCII's */
#define FBTEXT_GLYPHS	127u
#define FBTEXT_NUMBERS	8u		/* of a sequence; the rest is not heeded */

/* Colours by ECMA-48's numbers, 8 more being bright. */
#define FBTEXT_GREY	7u
#define FBTEXT_FAILURE	"\033[91m"	/* what a failure's line begins with .. */
#define FBTEXT_USUAL	"\033[m"	/* .. and ends with */

struct fbtext {
	volatile uint32_t *pixels;
	uint32_t stride;		/* pixels a line */
	uint32_t width, height;		/* pixels */
	uint32_t scale;			/* pixels of a point */
	uint32_t cols, rows;
	uint32_t top;			/* of cells' rows, the first on the screen */
	bool blue_first;		/* byte 0 of a pixel; else red */
	bool hidden;			/* the cursor */
	bool asked;			/* somebody wants to know where it is */
	bool reverse;
	bool over;			/* what is on the screen stays, but for lines
					 * that are written to */
	uint8_t ink, paper;		/* for what is written next */
	uint32_t col, row;		/* col == cols: the line is full */
	uint32_t saved_col, saved_row;
	uint32_t state;			/* of a sequence: fbtext.c */
	uint32_t number[FBTEXT_NUMBERS], numbers;
	uint32_t code, more;		/* of UTF-8: so far, and bytes to come */
	/* A cell: the glyph, << 8 ink, << 12 paper. */
	uint16_t cells[FBTEXT_CELLS];	/* as they shall be, by rows, from top on */
	uint16_t shown[FBTEXT_CELLS];	/* as they are on the screen */
};

/* Made from font.txt; ASCII's stand at their codes, the leftmost point in bit 7. */
extern const uint8_t fbtext_font[FBTEXT_GLYPHS][FBTEXT_HEIGHT];
extern const uint16_t fbtext_specials[FBTEXT_SPECIALS];

/* Before a line of ours on the serial line may stand this byte and a secret, which is
 * for the tool and not shown. */
#define FBTEXT_MARK	0x1e
#define FBTEXT_MARK_LEN	16u

/* stride in pixels; blue_first: of a pixel's bytes. A terminal over what is on the
 * screen already: lines that are written to are cleared, others stay. FBTEXT_CLEAR,
 * written next, makes it an empty one. */
#define FBTEXT_CLEAR	"\033c"
void fbtext_init(struct fbtext *t, volatile uint32_t *pixels, uint32_t width,
		 uint32_t height, uint32_t stride, bool blue_first);
/* LF goes to the beginning of the next line. */
void fbtext_put(struct fbtext *t, char c);
void fbtext_text(struct fbtext *t, const char *text);
/* Brings the screen up to date: writes the cells that have changed. */
void fbtext_draw(struct fbtext *t);

#endif
