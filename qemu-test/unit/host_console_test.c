/* SPDX-License-Identifier: MIT */
/*
 * The console's pure parts: line editing on a terminal of one row, words,
 * completion.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/ui/line_edit.h"
#include "host-bridge/ui/words.h"

/* ---- A terminal that knows CR, BEL, characters, ESC [K, ESC [nD ---- */

static char row[256];
static size_t column;
static struct line_edit line;

static size_t escape(const char *at)
{
	char *end;
	unsigned long n = strtoul(at + 2, &end, 10);

	if (*end == 'K') {
		memset(row + column, '\0', sizeof(row) - column);
	} else if (*end == 'D') {
		assert_true(column >= n);
		column -= n;
	}
	return (size_t)(end + 1 - at);
}

static void terminal(void *arg, const char *bytes, size_t len)
{
	char text[4096];

	assert_ptr_equal(arg, row);
	assert_true(len < sizeof(text));
	memcpy(text, bytes, len);
	text[len] = '\0';
	for (size_t i = 0; i < len;) {
		if (text[i] == '\x1b') {
			i += escape(text + i);
		} else if (text[i] == '\r') {
			column = 0;
			i++;
		} else if (text[i] == '\n') {
			memset(row, 0, sizeof(row));
			i++;
		} else if (text[i] == '\a') {
			i++;
		} else {
			assert_true(column < LINE_COLUMNS);
			row[column++] = text[i++];
		}
	}
}

static enum line_result type(const char *keys)
{
	enum line_result result = LINE_MORE;

	for (; *keys; keys++) {
		result = line_edit_key(&line, (unsigned char)*keys);
	}
	return result;
}

static int setup(void **state)
{
	(void)state;
	memset(row, 0, sizeof(row));
	column = 0;
	line_edit_init(&line, "> ", terminal, row);
	line_edit_start(&line);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < LINE_HISTORY; i++) {
		free(line.history[i]);
	}
	return 0;
}

static void edits_in_the_middle(void **state)
{
	(void)state;
	type("helo world");
	assert_string_equal(row, "> helo world");
	type("\x1b[D\x1b[D\x1b[D\x1b[D\x1b[D\x1b[D\x1b[Dl");
	assert_string_equal(row, "> hello world");
	assert_int_equal(column, 6);
	type("\x01" "A" "\x05" "B" "\x1b[H\x1b[C\x1b[3~\x7f");
	assert_string_equal(row, "> ello worldB");
	assert_int_equal(type("\r"), LINE_DONE);
	assert_string_equal(line.text, "ello worldB");
}

static void kills(void **state)
{
	(void)state;
	type("one two  three\x17");
	assert_string_equal(row, "> one two  ");
	type("\x17");
	assert_string_equal(row, "> one ");
	type("x\x1b[D\x0b");
	assert_string_equal(row, "> one ");
	type("\x15");
	assert_string_equal(row, "> ");
	type("\x7f\x08\x04\x1b[3~\x1b[A\x1b[B\x1b[D\x1b[C");	/* nothing */
	assert_string_equal(row, "> ");
	assert_int_equal(type("abc\x03"), LINE_INTERRUPT);
}

static void history(void **state)
{
	(void)state;
	for (const char *c = "abcc"; *c; c++) {
		char key[2] = { *c, '\0' };

		type(key);
		assert_int_equal(type("\r"), LINE_DONE);
		line_edit_start(&line);
	}
	type("new\x1b[A");
	assert_string_equal(row, "> c");
	type("\x1bOA");			/* "c" is there once */
	assert_string_equal(row, "> b");
	type("\x10\x1b[A\x1b[A");
	assert_string_equal(row, "> a");
	type("\x1b[B\x0e\x1b[B\x1b[B");
	assert_string_equal(row, "> new");
	for (int i = 0; i < 3 * LINE_HISTORY; i++) {
		char text[3] = { (char)('0' + i / 10), (char)('0' + i % 10) };

		line_edit_start(&line);
		type(text);
		type("\n");
	}
	line_edit_start(&line);
	for (int i = 0; i < 2 * LINE_HISTORY; i++) {
		type("\x1b[A");
	}
	assert_string_equal(row, "> 64");
}

/* Stands in for strdup(): none is left when the test says so. */
static bool no_memory;

char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
char *__wrap_strdup(const char *text)
{
	return no_memory ? NULL : __real_strdup(text);
}

/* A line that cannot be kept costs no other its place. */
static void history_without_memory(void **state)
{
	(void)state;
	for (int i = 0; i <= LINE_HISTORY; i++) {
		char text[3] = { (char)('0' + i / 10), (char)('0' + i % 10) };

		no_memory = i == LINE_HISTORY;
		line_edit_start(&line);
		type(text);
		type("\n");
	}
	no_memory = false;
	line_edit_start(&line);
	for (int i = 0; i < 2 * LINE_HISTORY; i++) {
		type("\x1b[A");
	}
	assert_string_equal(row, "> 00");
}

static void long_lines_scroll(void **state)
{
	(void)state;
	for (int i = 0; i < 2000; i++) {
		type(i % 2 ? "b" : "a");
	}
	assert_int_equal(line.len, LINE_MAX_LEN - 1);
	assert_true(column < LINE_COLUMNS);
	type("\x01");
	assert_memory_equal(row, "> abab", 6);
	assert_int_equal(column, 2);
	type("\x1b[Cx");
	assert_memory_equal(row, "> abab", 6);	/* it is full */
	type("\x05\x7f\x01x");
	assert_memory_equal(row, "> xabab", 7);
	assert_int_equal(type("\r"), LINE_DONE);
	assert_int_equal(strlen(line.text), LINE_MAX_LEN - 1);
}

static void line_ends_and_odd_sequences(void **state)
{
	(void)state;
	assert_int_equal(type("a\r"), LINE_DONE);
	line_edit_start(&line);
	assert_int_equal(line_edit_key(&line, '\n'), LINE_MORE);
	assert_int_equal(type("b\n"), LINE_DONE);
	line_edit_start(&line);
	type("x\x1b[1;5Cy\x1b[15~z\x1bq\x1b[999999999999~w");
	assert_string_equal(row, "> xyzw");
	for (int key = 1; key < 256; key++) {
		line_edit_key(&line, (unsigned char)key);
	}
}

static void notices_redraw(void **state)
{
	(void)state;
	type("abc\x1b[D");
	line_edit_hide(&line);
	assert_string_equal(row, "");
	line_edit_show(&line);
	assert_string_equal(row, "> abc");
	assert_int_equal(column, 4);
}

/* ---- Words and completion ---- */

static void words(void **state)
{
	char text[] = "  cp  'a b' \"c'd\"  e\\ f\\\\ '' g\"h i\"j ";
	char open[] = "ls 'a b";
	char many[] = "a b c d e f g h i j k l m n o p q";
	char most[] = "a b c d e f g h i j k l m n o p";
	char *w[WORDS_MAX];

	(void)state;
	assert_int_equal(words_split(text, w), 6);
	assert_string_equal(w[0], "cp");
	assert_string_equal(w[1], "a b");
	assert_string_equal(w[2], "c'd");
	assert_string_equal(w[3], "e f\\");
	assert_string_equal(w[4], "");
	assert_string_equal(w[5], "gh ij");
	assert_int_equal(words_split(open, w), -1);
	assert_int_equal(words_split(many, w), -1);
	assert_int_equal(words_split(most, w), 16);
	assert_string_equal(words_rest(" exec  echo 'x  y' ", 1),
			    "echo 'x  y' ");
	assert_string_equal(words_rest("exec", 1), "");
}

static void completion(void **state)
{
	static struct completion c;
	char name[40];

	(void)state;
	completion_init(&c, "li", 2);
	completion_add(&c, "linux", 5);
	completion_add(&c, "log", 3);
	completion_add(&c, "l", 1);
	assert_int_equal(c.count, 1);
	assert_int_equal(c.common_len, 5);
	completion_add(&c, "lines", 5);
	assert_int_equal(c.count, 2);
	assert_int_equal(c.common_len, 3);
	assert_memory_equal(c.names, "linux\0lines\0", 13);
	completion_init(&c, "", 0);
	for (int i = 0; i < 1000; i++) {
		memset(name, 'a' + i % 26, sizeof(name));
		completion_add(&c, name, sizeof(name));
	}
	assert_int_equal(c.count, 1000);
	assert_int_equal(c.common_len, 0);
	assert_true(c.more);
}

/* Characters at the edges of what is shown, each with a byte behind it. */
static void visible_characters(void **state)
{
	static const char *const shown[] = {
		" ", "~", "\xc2\xa0", "\xc3\xa9", "\xdf\xbf",
		"\xe0\xa0\x80", "\xe2\x9b\x9b", "\xed\x9f\xbf",
		"\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80",
		"\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf",
	};
	static const char *const hidden[] = {
		"\x01", "\x1b", "\x1f", "\x7f",
		"\x80", "\x9b", "\x9f", "\xa0", "\xbf",	/* alone */
		"\xc2\x80", "\xc2\x9b", "\xc2\x9f",	/* C1 */
		"\xc0\x9b", "\xc1\xbf", "\xe0\x82\x9b",	/* too long */
		"\xe0\x9f\xbf", "\xf0\x80\x82\x9b",
		"\xf0\x8f\xbf\xbf",
		"\xed\xa0\x80", "\xed\xbf\xbf",		/* surrogates */
		"\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xff",
		"\xc3", "\xc3(", "\xe2\x9b", "\xe2(\x9b", "\xf0\x9f\x98",
	};
	char text[8];

	(void)state;
	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
		size_t len = strlen(shown[i]);

		snprintf(text, sizeof(text), "%s\x9b", shown[i]);
		assert_int_equal(words_visible(text, len + 1), len);
		assert_int_equal(words_visible(text, len), len);
		assert_int_equal(words_visible(text, len - 1 + (len == 1)),
				 len == 1);
	}
	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
		snprintf(text, sizeof(text), "%sx", hidden[i]);
		assert_int_equal(words_visible(text, strlen(text)), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(edits_in_the_middle, setup,
						teardown),
		cmocka_unit_test_setup_teardown(kills, setup, teardown),
		cmocka_unit_test_setup_teardown(history, setup, teardown),
		cmocka_unit_test_setup_teardown(history_without_memory, setup,
						teardown),
		cmocka_unit_test_setup_teardown(long_lines_scroll, setup,
						teardown),
		cmocka_unit_test_setup_teardown(line_ends_and_odd_sequences,
						setup, teardown),
		cmocka_unit_test_setup_teardown(notices_redraw, setup,
						teardown),
		cmocka_unit_test(words),
		cmocka_unit_test(completion),
		cmocka_unit_test(visible_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
