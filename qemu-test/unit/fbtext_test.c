/* SPDX-License-Identifier: MIT */
/* The terminal on a framebuffer, against pictures of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "text/fbtext.h"

#define WIDTH	(10 * FBTEXT_WIDTH + 3)		/* and a margin */
#define HEIGHT	(4 * FBTEXT_HEIGHT + 5)
#define STRIDE	(WIDTH + 7)
#define OUTSIDE	0xdeadbeefu
#define GREY	0xb8b8b8u

static struct fbtext t;
static uint32_t *pixels;

static int make(void **state)
{
	(void)state;
	/* exactly as large as it is: ASan sees what is beyond it */
	pixels = malloc(STRIDE * HEIGHT * sizeof(*pixels));
	for (unsigned i = 0; i < STRIDE * HEIGHT; i++) {
		pixels[i] = OUTSIDE;
	}
	fbtext_init(&t, pixels, WIDTH, HEIGHT, STRIDE, true);
	fbtext_text(&t, FBTEXT_CLEAR);
	return 0;
}

static int end(void **state)
{
	(void)state;
	free(pixels);
	return 0;
}

/* A cell's glyph by its points, '?' if it is none; the ink in *ink. */
static char look(unsigned col, unsigned row, uint32_t *ink)
{
	const uint32_t *at = pixels + row * FBTEXT_HEIGHT * STRIDE +
			     col * FBTEXT_WIDTH;

	for (int c = FBTEXT_GLYPHS - 1; c >= 0; c--) {
		bool same = true;

		*ink = 0;
		for (unsigned y = 0; y < FBTEXT_HEIGHT; y++) {
			for (unsigned x = 0; x < FBTEXT_WIDTH; x++) {
				bool on = fbtext_font[c][y] >> (7 - x) & 1;
				uint32_t p = at[y * STRIDE + x];

				*ink = on ? p : *ink;
				same &= on == (p != 0);
			}
		}
		if (same) {
			return c < ' ' ? '#' : (char)c;
		}
	}
	return '?';
}

/* All of the screen, as lines that end with '|'. */
static const char *shown(void)
{
	static char text[200];
	char *to = text;
	uint32_t ink;

	t.hidden = true;
	fbtext_draw(&t);
	for (unsigned row = 0; row < 4; row++) {
		for (unsigned col = 0; col < 10; col++) {
			*to++ = look(col, row, &ink);
		}
		while (to[-1] == ' ') {
			to--;
		}
		*to++ = '|';
	}
	*to = 0;
	return text;
}

static void says(const char *bytes, const char *want)
{
	fbtext_text(&t, FBTEXT_CLEAR);
	fbtext_text(&t, bytes);
	assert_string_equal(shown(), want);
}

static void text(void **state)
{
	(void)state;
	says("Hello\nworld", "Hello|world|||");
	says("0123456789", "0123456789||||");
	says("0123456789a", "0123456789|a|||");
	says("0123456789\nb", "0123456789|b|||");
	says("1\n2\n3\n4\n5\n6", "3|4|5|6|");
	says("ab\rc\tdx", "cb      dx||||");
	says("abc\b\bX", "aXc||||");
	says("\xe2\x94\x80\xc3\xa4\xe2\x82\xac.", "###.||||");
	says("\xff\x80.", "##.||||");
	says("\xe2\x94x\x80", "x#||||");
	says("\x1e" "0123456789abcdefyes", "yes||||");
}

static void sequences(void **state)
{
	(void)state;
	says("abcdef\033[3D\033[K", "abc||||");
	says("abcdef\033[3D\033[1K", "    ef||||");
	says("a\nb\nc\nd\033[2;1H\033[J", "a||||");
	says("\033[2;3Hx\033[Ay\033[2Bz\033[1Gw", "   y|  x|w   z||");
	says("\0337ab\033[999;999Hc\0338d", "db|||         c|");
	says("\033]0;a title\007x\033]1;b\033\\y\033(Bz", "xyz||||");
	says("\033[1;2;3;4;5;6;0;8;9;10;11;12mx", "x||||");
	says("\033[99999999999Cx", "         x||||");
	says("a\033[?1049hb", "b||||");
	fbtext_text(&t, "\033[6n");
	assert_true(t.asked);
}

/* The usual colour, a failure's, and one on another paper, from both orders of
 * bytes. */
static void colours(void **state)
{
	uint32_t ink;

	(void)state;
	says("a" FBTEXT_FAILURE "b" FBTEXT_USUAL "c", "abc||||");
	assert_int_equal(look(0, 0, &ink), 'a');
	assert_int_equal(ink, GREY);
	assert_int_equal(look(1, 0, &ink), 'b');
	assert_int_equal(ink, 0xff5050);
	assert_int_equal(look(2, 0, &ink), 'c');
	assert_int_equal(ink, GREY);
	fbtext_init(&t, pixels, WIDTH, HEIGHT, STRIDE, false);
	fbtext_text(&t, FBTEXT_CLEAR "\033[34;42mx");
	fbtext_draw(&t);
	assert_int_equal(pixels[5 * STRIDE], 0xd06030);	/* the x's corner */
	assert_int_equal(pixels[0], 0x40a020);
}

/* Drawn is what has changed, and never beyond the screen. */
static void drawing(void **state)
{
	unsigned i, x;

	(void)state;
	says("abc", "abc||||");
	for (i = 0; i < HEIGHT; i++) {
		for (x = 0; x < STRIDE; x++) {
			assert_true((pixels[i * STRIDE + x] == OUTSIDE) ==
				    (x >= WIDTH));
		}
	}
	pixels[0] = pixels[FBTEXT_WIDTH] = 1;
	fbtext_text(&t, "\033[Ha");
	fbtext_draw(&t);
	assert_int_equal(pixels[0], 1);
	fbtext_text(&t, "x");
	fbtext_draw(&t);
	assert_int_equal(pixels[FBTEXT_WIDTH], 0);
	/* the cursor, the other way round */
	fbtext_text(&t, "\033[?25h\033[4;10H");
	fbtext_draw(&t);
	assert_int_equal(pixels[3 * FBTEXT_HEIGHT * STRIDE + 9 * FBTEXT_WIDTH],
			 GREY);
}

/* Over what others have drawn: lines that are written to are cleared. */
static void over(void **state)
{
	(void)state;
	says("1111\n2222\n3333\n4444", "1111|2222|3333|4444|");
	fbtext_init(&t, pixels, WIDTH, HEIGHT, STRIDE, true);
	fbtext_text(&t, "\nx\n");
	assert_string_equal(shown(), "1111|x||4444|");
	fbtext_text(&t, "a\nb\nc");
	assert_string_equal(shown(), "x|a|b|c|");
}

/* A screen of 8K has letters of four points a side; one without a cell none. */
static void sizes(void **state)
{
	static uint32_t large[17 * 2 * 8 * 4];

	(void)state;
	fbtext_init(&t, pixels, 7, 15, STRIDE, true);
	fbtext_text(&t, FBTEXT_CLEAR "text\n");
	fbtext_draw(&t);
	assert_int_equal(pixels[0], OUTSIDE);
	fbtext_init(&t, large, 7680, 4320, 7680, true);
	assert_int_equal(t.scale, 4);
	assert_int_equal(t.cols, 240);
	assert_int_equal(t.rows, 67);
	fbtext_init(&t, large, 3840, 2160, 3840, true);
	assert_int_equal(t.scale, 2);
	fbtext_init(&t, large, 1920, 1080, 1920, true);
	assert_int_equal(t.scale, 1);
	assert_int_equal(t.rows, 67);
}

/* Any bytes at all, and a cursor that is nowhere, as of another CPU that died. */
static void anything(void **state)
{
	(void)state;
	srand(7);
	for (unsigned i = 0; i < 300000; i++) {
		static const char likely[] = "\033[;0123456789ABCDGHJKfhlmn?\n";
		char c = rand() & 3 ? likely[rand() % (sizeof(likely) - 1)]
				    : (char)rand();

		fbtext_put(&t, c);
		if (i % 1000 == 0) {
			fbtext_draw(&t);
		}
		if (i % 5000 == 0) {
			t.row = (uint32_t)rand();
			t.col = (uint32_t)rand() % (t.cols + 1);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(text, make, end),
		cmocka_unit_test_setup_teardown(sequences, make, end),
		cmocka_unit_test_setup_teardown(colours, make, end),
		cmocka_unit_test_setup_teardown(drawing, make, end),
		cmocka_unit_test_setup_teardown(over, make, end),
		cmocka_unit_test_setup_teardown(sizes, make, end),
		cmocka_unit_test_setup_teardown(anything, make, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
