// SPDX-License-Identifier: MIT
/* What waits for who has asked for a command's output; a terminal's size among keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/ui/outbox.h"
#include "host-bridge/ui/screen_size.h"

/* All frames of *o, n bytes sent at a time: output into text, its length returned;
 * the number of frames, and the last one's type. */
static size_t drain(struct outbox *o, size_t n, uint8_t *text,
		    unsigned *frames, uint8_t *type)
{
	static uint8_t bytes[OUTBOX_MAX * 2];
	const uint8_t *data;
	size_t have = 0, len, out = 0;

	while ((len = outbox_rest(o, &data)) > 0) {
		len = len < n ? len : n;
		memcpy(bytes + have, data, len);
		have += len;
		outbox_sent(o, len);
	}
	*frames = 0;
	for (size_t at = 0; at < have; ++*frames) {
		uint32_t size;

		assert_in_range(have - at, AGENT_HEADER, SIZE_MAX);
		memcpy(&size, bytes + at + 1, 4);
		assert_in_range(size, 0, OUTBOX_FRAME);
		assert_in_range(size, 0, have - at - AGENT_HEADER);
		*type = bytes[at];
		if (*type == AGENT_STDOUT) {
			memcpy(text + out, bytes + at + AGENT_HEADER, size);
			out += size;
		}
		at += AGENT_HEADER + size;
	}
	return out;
}

static uint8_t text[OUTBOX_MAX * 2], wanted[OUTBOX_MAX * 2];

/* Small pieces are one frame, as long as it has not begun to go. */
static void test_pieces(void **state)
{
	struct outbox o = { 0 };
	const uint8_t *data;
	uint32_t status = 7;
	unsigned frames;
	uint8_t type;

	(void)state;
	outbox_frame(&o, AGENT_STDOUT, "one ", 4);
	outbox_frame(&o, AGENT_STDOUT, "two ", 4);
	assert_int_equal(outbox_rest(&o, &data), AGENT_HEADER + 8);
	outbox_sent(&o, 1);
	outbox_frame(&o, AGENT_STDOUT, "three", 5);
	assert_int_equal(outbox_rest(&o, &data), 2 * AGENT_HEADER + 12);
	outbox_free(&o);
	outbox_frame(&o, AGENT_STDOUT, "x", 1);
	outbox_frame(&o, AGENT_STDERR, "err", 3);
	outbox_frame(&o, AGENT_STDOUT, "y", 1);
	outbox_frame(&o, AGENT_EXIT, &status, 4);
	assert_int_equal(drain(&o, 3, text, &frames, &type), 2);
	assert_memory_equal(text, "xy", 2);
	assert_int_equal(frames, 4);
	assert_int_equal(type, AGENT_EXIT);
	assert_false(o.lost);
	outbox_free(&o);
}

static void take_rest(struct outbox *o, uint8_t *all, size_t *gone)
{
	const uint8_t *data;
	size_t n = outbox_rest(o, &data);

	memcpy(all + *gone, data, n);
	*gone += n;
	outbox_sent(o, n);
}

/* Any mix of what comes and what goes brings the same bytes. */
static void test_mix(void **state)
{
	(void)state;
	srand(1);
	for (unsigned run = 0; run < 200; run++) {
		struct outbox o = { 0 };
		static uint8_t all[OUTBOX_MAX];
		size_t in = 0, gone = 0, at = 0, out = 0;

		for (unsigned i = 0; i < 100; i++) {
			size_t n = (size_t)rand() % (run % 2 ? 20000 : 50);
			const uint8_t *data;
			size_t has;

			if (in + n > sizeof(wanted) / 4) {
				break;
			}
			memset(wanted + in, 'a' + (int)(i % 26), n);
			outbox_frame(&o, AGENT_STDOUT, wanted + in, n);
			in += n;
			has = outbox_rest(&o, &data);
			n = (size_t)rand() % (has + 1);
			memcpy(all + gone, data, n);
			gone += n;
			outbox_sent(&o, n);
		}
		take_rest(&o, all, &gone);
		while (at < gone) {
			uint32_t size;

			memcpy(&size, all + at + 1, 4);
			memcpy(text + out, all + at + AGENT_HEADER, size);
			out += size;
			at += AGENT_HEADER + size;
		}
		assert_int_equal(out, in);
		assert_memory_equal(text, wanted, in);
		assert_false(o.lost);
		outbox_free(&o);
	}
}

/* What is too much is lost, and said; the end still has room. */
static void test_too_much(void **state)
{
	struct outbox o = { 0 };
	uint32_t status = 1;
	unsigned frames;
	uint8_t type;
	size_t len;

	(void)state;
	memset(wanted, 'x', sizeof(wanted));
	for (unsigned i = 0; i < 3 * OUTBOX_MAX / 1000; i++) {
		outbox_frame(&o, AGENT_STDOUT, wanted, 1000);
	}
	assert_true(o.lost);
	outbox_frame(&o, AGENT_EXIT, &status, 4);
	assert_in_range(o.size, 1, 2 * OUTBOX_MAX);
	len = drain(&o, 100000, text, &frames, &type);
	assert_in_range(len, OUTBOX_MAX - 20000, OUTBOX_MAX);
	assert_int_equal(type, AGENT_EXIT);
	outbox_free(&o);
}

static unsigned keys(struct screen_size *s, const char *typed)
{
	unsigned count = 0;

	for (; *typed; typed++) {
		count += screen_size_key(s, (uint8_t)*typed);
	}
	return count;
}

static void is(const struct screen_size *s, unsigned rows, unsigned cols)
{
	unsigned r, c;

	screen_size_get(s, &r, &c);
	assert_int_equal(r, rows);
	assert_int_equal(c, cols);
}

static void test_size(void **state)
{
	struct screen_size s = { 0 };

	(void)state;
	is(&s, 24, 80);
	s.asked = true;
	assert_int_equal(keys(&s, "a\033[50;132Rq"), 2);
	assert_false(s.asked);
	is(&s, 50, 132);
	/* In pieces, and the next one wins. */
	assert_int_equal(keys(&s, "\033[1"), 0);
	assert_int_equal(keys(&s, "0;4"), 0);
	assert_int_equal(keys(&s, "0R"), 0);
	is(&s, 10, 40);
	/* Arrows, nonsense, and numbers that are none. */
	assert_int_equal(keys(&s, "\033[A\033OP\033[R\033[0;5R\033[;R"), 0);
	is(&s, 10, 40);
	assert_int_equal(keys(&s, "\033[99999999999;1R"), 0);
	is(&s, SCREEN_ROWS_MAX, 1);
	assert_int_equal(keys(&s, "q"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_mix),
		cmocka_unit_test(test_too_much),
		cmocka_unit_test(test_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
