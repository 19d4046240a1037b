/* SPDX-License-Identifier: MIT */
/*
 * A terminal in cells, and their drawing. Pure but for the framebuffer. What is
 * written into a cell is always within the arrays, whatever the cursor says: a
 * panic may have come in the middle of a change of it.
 *
 * [ECMA-48 "Control functions"], and xterm's ESC 7, ESC 8.
 */
#include "text/fbtext.h"

#define ESC		0x1b
#define BEL		0x07
#define NUMBER_MAX	10000u

/* Glyph 0xff is none: a screen of which nothing is known. */
#define UNKNOWN		0xffffu

enum state {
	TEXT,
	ESCAPE,		/* ESC has come */
	ONE_MORE,	/* a character set's name, which is skipped */
	SEQUENCE,	/* ESC [ */
	STRING,		/* ESC ] and its like: up to BEL or ESC \ */
	STRING_ESCAPE,
	MARK,		/* number[0] more of a mark's bytes */
};

/* Red, green, blue as 0xrrggbb. */
static const uint32_t palette[16] = {
	0x000000, 0xb02020, 0x20a040, 0xa07020, 0x3060d0, 0x9040b0, 0x2090a0, 0xb8b8b8,
	0x606060, 0xff5050, 0x50e070, 0xf0d050, 0x70a0ff, 0xe080ff, 0x60d8e8, 0xffffff,
};

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint16_t cell_of(const struct fbtext *t, uint32_t glyph)
{
	uint32_t ink = t->reverse ? t->paper : t->ink;
	uint32_t paper = t->reverse ? t->ink & 7 : t->paper;

	return (uint16_t)(glyph | ink << 8 | paper << 12);
}

/* The cell at a place of the screen, counted by rows; beyond it, its last. */
static uint16_t *cell_at(struct fbtext *t, uint32_t place)
{
	uint32_t all = t->cols * t->rows;
	uint32_t i = least(place, all - 1) + t->top * t->cols;

	return &t->cells[i >= all ? i - all : i];
}

/* Blanks from one place up to another, which is left. */
static void erase(struct fbtext *t, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < least(to, t->cols * t->rows); i++) {
		*cell_at(t, i) = cell_of(t, ' ');
	}
}

/* The usual colours, cursor and all. */
static void plain(struct fbtext *t)
{
	t->ink = FBTEXT_GREY;
	t->paper = 0;
	t->reverse = false;
}

static void reset(struct fbtext *t)
{
	plain(t);
	t->hidden = t->asked = t->over = false;
	t->col = t->row = t->saved_col = t->saved_row = 0;
	t->state = TEXT;
	t->more = 0;
	erase(t, 0, t->cols * t->rows);
}

/** See fbtext.h. A screen that is too small for a letter is none: cols or rows 0. */
void fbtext_init(struct fbtext *t, volatile uint32_t *pixels, uint32_t width,
		 uint32_t height, uint32_t stride, bool blue_first)
{
	t->pixels = pixels;
	t->width = width;
	t->height = height;
	t->stride = stride;
	t->blue_first = blue_first;
	t->top = 0;
	t->scale = 1;
	while (width / t->scale / FBTEXT_WIDTH > FBTEXT_COLS ||
	       height / t->scale / FBTEXT_HEIGHT > FBTEXT_ROWS) {
		t->scale++;
	}
	t->cols = width / t->scale / FBTEXT_WIDTH;
	t->rows = height / t->scale / FBTEXT_HEIGHT;
	reset(t);
	for (uint32_t i = 0; i < FBTEXT_CELLS; i++) {
		t->cells[i] = t->shown[i] = UNKNOWN;
	}
	t->over = t->hidden = true;
}

static void new_line(struct fbtext *t)
{
	bool scroll = t->row + 1 >= t->rows;

	if (scroll) {
		t->top = t->top + 1 < t->rows ? t->top + 1 : 0;
	} else {
		t->row++;
	}
	if (scroll || t->over) {
		erase(t, t->row * t->cols, (t->row + 1) * t->cols);
	}
}

static void put_glyph(struct fbtext *t, uint32_t glyph)
{
	if (t->col >= t->cols) {
		t->col = 0;
		new_line(t);
	}
	*cell_at(t, t->row * t->cols + t->col) = cell_of(t, glyph);
	t->col++;
}

/* One character that is not ASCII. */
static void put_code(struct fbtext *t, uint32_t code)
{
	uint32_t i = FBTEXT_SPECIALS - 1;

	while (i > 0 && fbtext_specials[i] != code) {
		i--;
	}
	put_glyph(t, i);
}

/* A byte of 0x80 or more: those of one character make one picture. */
static void put_utf8(struct fbtext *t, uint8_t byte)
{
	if (byte >= 0xc0 && byte < 0xf8) {
		t->more = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : 1;
		t->code = byte & (0x3fu >> t->more);
	} else if (t->more > 0) {
		t->code = t->code << 6 | (byte & 0x3f);
		if (--t->more == 0) {
			put_code(t, t->code);
		}
	} else {
		t->more = 0;
		put_glyph(t, 0);
	}
}

static void control(struct fbtext *t, uint8_t byte)
{
	switch (byte) {
	case ESC:
		t->state = ESCAPE;
		break;
	case FBTEXT_MARK:
		t->state = MARK;
		t->number[0] = FBTEXT_MARK_LEN;
		break;
	case '\r':
		t->col = 0;
		break;
	case '\n':
		t->col = 0;
		new_line(t);
		break;
	case '\b':
		t->col = least(t->col, t->cols) - (t->col > 0);
		break;
	case '\t':
		t->col = least((t->col | 7) + 1, t->cols - 1);
		break;
	}
}

/* "m": colours. [ECMA-48 "SGR - SELECT GRAPHIC RENDITION"] */
static void colour(struct fbtext *t, uint32_t n)
{
	if (n == 0) {
		plain(t);
	} else if (n == 1) {
		t->ink |= 8;
	} else if (n == 7 || n == 27) {
		t->reverse = n == 7;
	} else if (n >= 30 && n <= 37) {
		t->ink = (uint8_t)((t->ink & 8) | (n - 30));
	} else if (n == 39) {
		t->ink = FBTEXT_GREY;
	} else if (n >= 40 && n <= 47) {
		t->paper = (uint8_t)(n - 40);
	} else if (n == 49) {
		t->paper = 0;
	} else if (n >= 90 && n <= 97) {
		t->ink = (uint8_t)(n - 90 + 8);
	}
}

static void move(struct fbtext *t, uint32_t col, uint32_t row)
{
	t->col = least(col, t->cols - 1);
	t->row = least(row, t->rows - 1);
}

/* "J" and "K": what of the screen, or of the line, is erased. */
static void erase_part(struct fbtext *t, uint32_t first, uint32_t end)
{
	uint32_t at = t->row * t->cols + least(t->col, t->cols);

	erase(t, t->number[0] == 0 ? at : first,
	      t->number[0] == 1 ? at + 1 : end);
}

/* The private modes that are looked at: 25 is the cursor, 1049 another screen, of
 * which there is none: it begins and ends empty. */
static void mode(struct fbtext *t, bool on)
{
	if (t->number[0] == 25) {
		t->hidden = !on;
	} else if (t->number[0] == 1049) {
		move(t, 0, 0);
		erase(t, 0, t->cols * t->rows);
	}
}

/* The last byte of ESC [ .. */
static void sequence(struct fbtext *t, uint8_t byte)
{
	const uint32_t by = t->number[0] ? t->number[0] : 1;
	const uint32_t line = t->row * t->cols;

	switch (byte) {
	case 'A':
		move(t, t->col, t->row - least(t->row, by));
		break;
	case 'B':
		move(t, t->col, t->row + by);
		break;
	case 'C':
		move(t, t->col + by, t->row);
		break;
	case 'D':
		move(t, t->col - least(t->col, by), t->row);
		break;
	case 'G':
		move(t, by - 1, t->row);
		break;
	case 'H':
	case 'f':
		move(t, t->number[1] ? t->number[1] - 1 : 0, by - 1);
		break;
	case 'J':
		erase_part(t, 0, t->cols * t->rows);
		break;
	case 'K':
		erase_part(t, line, line + t->cols);
		break;
	case 'm':
		for (uint32_t i = 0; i < t->numbers; i++) {
			colour(t, t->number[i]);
		}
		break;
	case 'n':
		t->asked = t->number[0] == 6;
		break;
	case 'h':
	case 'l':
		mode(t, byte == 'h');
		break;
	}
}

/* A byte behind ESC [: digits and what parts them, up to the last. */
static void in_sequence(struct fbtext *t, uint8_t byte)
{
	uint32_t *number = &t->number[t->numbers - 1];

	if (byte >= '0' && byte <= '9') {
		*number = least(*number * 10 + byte - '0', NUMBER_MAX);
	} else if (byte == ';' && t->numbers < FBTEXT_NUMBERS) {
		t->number[t->numbers++] = 0;
	} else if (byte >= '@') {
		t->state = TEXT;
		sequence(t, byte);
	}
}

/* The byte behind ESC. */
static void after_escape(struct fbtext *t, uint8_t byte)
{
	t->state = TEXT;
	switch (byte) {
	case '[':
		t->state = SEQUENCE;
		t->numbers = 1;
		t->number[0] = t->number[1] = 0;
		break;
	case ']':
	case 'P':
	case 'X':
	case '^':
	case '_':
		t->state = STRING;
		break;
	case '(':
	case ')':
	case '#':
	case '%':
		t->state = ONE_MORE;
		break;
	case '7':
		t->saved_col = t->col;
		t->saved_row = t->row;
		break;
	case '8':
		move(t, t->saved_col, t->saved_row);
		break;
	case 'c':
		reset(t);
		break;
	}
}

static void in_string(struct fbtext *t, uint8_t byte)
{
	if (byte == BEL || t->state == STRING_ESCAPE) {
		t->state = TEXT;
	} else if (byte == ESC) {
		t->state = STRING_ESCAPE;
	}
}

/** See fbtext.h. */
void fbtext_put(struct fbtext *t, char c)
{
	uint8_t byte = (uint8_t)c;

	if (t->cols == 0 || t->rows == 0) {
		return;
	}
	if (t->state == SEQUENCE && byte >= ' ') {
		in_sequence(t, byte);
	} else if (t->state == STRING || t->state == STRING_ESCAPE) {
		in_string(t, byte);
	} else if (t->state == ESCAPE) {
		after_escape(t, byte);
	} else if (t->state == ONE_MORE) {
		t->state = TEXT;
	} else if (t->state == MARK) {
		t->state = --t->number[0] ? MARK : TEXT;
	} else if (byte >= 0x80) {
		put_utf8(t, byte);
	} else if (byte >= ' ' && byte < FBTEXT_GLYPHS) {
		t->more = 0;
		put_glyph(t, byte);
	} else {
		control(t, byte);
	}
}

/** The same with all of a string. */
void fbtext_text(struct fbtext *t, const char *text)
{
	for (; *text; text++) {
		fbtext_put(t, *text);
	}
}

static uint32_t pixel(const struct fbtext *t, uint32_t number)
{
	uint32_t rgb = palette[number];

	return t->blue_first ? rgb :
	       rgb >> 16 | (rgb & 0xff00) | (rgb & 0xff) << 16;
}

static void draw_cell(const struct fbtext *t, uint32_t col, uint32_t row,
		      uint16_t cell)
{
	const uint8_t *points = fbtext_font[least(cell & 0xff, FBTEXT_GLYPHS - 1)];
	const uint32_t colours[2] = { pixel(t, cell >> 12),
				      pixel(t, cell >> 8 & 15) };
	volatile uint32_t *line = t->pixels +
		(uint64_t)row * FBTEXT_HEIGHT * t->scale * t->stride +
		col * FBTEXT_WIDTH * t->scale;

	for (uint32_t y = 0; y < FBTEXT_HEIGHT * t->scale; y++) {
		for (uint32_t bits = points[y / t->scale], x = FBTEXT_WIDTH; x-- > 0;) {
			for (uint32_t n = t->scale; n > 0; n--) {
				*line++ = colours[bits >> x & 1];
			}
		}
		line += t->stride - FBTEXT_WIDTH * t->scale;
	}
}

/* What lies beside the cells, once. */
static void draw_margins(const struct fbtext *t)
{
	uint32_t right = t->cols * FBTEXT_WIDTH * t->scale;
	uint32_t below = t->rows * FBTEXT_HEIGHT * t->scale;

	for (uint32_t y = 0; y < t->height; y++) {
		for (uint32_t x = y < below ? right : 0; x < t->width; x++) {
			t->pixels[(uint64_t)y * t->stride + x] = 0;
		}
	}
}

/** See fbtext.h. The cursor is a cell the other way round. */
void fbtext_draw(struct fbtext *t)
{
	uint32_t cursor = t->hidden ? FBTEXT_CELLS :
			  t->row * t->cols + least(t->col, t->cols - 1);

	if (t->cols == 0 || t->rows == 0) {
		return;
	}
	if (t->shown[0] == UNKNOWN && !t->over) {
		draw_margins(t);
	}
	for (uint32_t row = 0, i = 0; row < t->rows; row++) {
		for (uint32_t col = 0; col < t->cols; col++, i++) {
			uint16_t cell = *cell_at(t, i);

			if (cell == UNKNOWN && t->shown[i] != UNKNOWN) {
				cell = ' ';	/* scrolled to here */
			} else if (i == cursor) {
				cell = (uint16_t)((cell & 0xff) | cell >> 12 << 8 |
						  (cell >> 8 & 7) << 12);
			}
			if (cell != t->shown[i]) {
				t->shown[i] = cell;
				draw_cell(t, col, row, cell);
			}
		}
	}
}
