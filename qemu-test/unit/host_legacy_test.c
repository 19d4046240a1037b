/* SPDX-License-Identifier: MIT */
/* Records that outlive the program: whole or not there, wherever it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/rt/legacy.h"

#define SIZE	0x800000u
#define OPENS	16384u		/* as many as there may be */

struct open_record {
	struct legacy head;
	uint64_t value;
	uint8_t rest[LEGACY_OPEN_SIZE - 16];
};

static uint8_t *memory;

static struct open_record *put(uint32_t owner, uint64_t value, uint32_t change)
{
	struct open_record r = { { owner, change }, value, { 0 } };

	return legacy_add(LEGACY_OPEN, &r);
}

static unsigned count(void)
{
	struct open_record *r = NULL;
	unsigned n = 0;

	while ((r = legacy_next(LEGACY_OPEN, r)) != NULL) {
		n++;
	}
	return n;
}

static int begin(void **state)
{
	(void)state;
	memory = calloc(1, SIZE);
	legacy_init(memory, SIZE, 0);
	return memory == NULL;
}

static int end(void **state)
{
	(void)state;
	legacy_init(NULL, 0, 0);
	free(memory);
	return 0;
}

/* What was in the memory at first is nobody's record, nor last words. */
static void not_ours(void **state)
{
	(void)state;
	legacy_init(NULL, 0, 0);
	memset(memory, 1, SIZE);
	legacy_init(memory, SIZE, 0);
	assert_int_equal(count(), 0);
	assert_string_equal(legacy_said(), "");
	assert_non_null(put(1, 10, 0));
	assert_int_equal(count(), 1);
}

/* Long last words are cut, and lie over no record. */
static void long_words(void **state)
{
	static char text[SIZE - 4096];

	(void)state;
	put(1, 10, 0);
	memset(text, 'x', sizeof(text) - 1);
	legacy_say(text);
	legacy_init(memory, SIZE, 1);
	assert_in_range(strlen(legacy_said()), 100, 1000);
	assert_int_equal(count(), 1);
	assert_int_equal(((struct open_record *)legacy_next(LEGACY_OPEN, NULL))
			 ->value, 10);
}

static void outlives(void **state)
{
	struct open_record *r, *gone;

	(void)state;
	assert_true(legacy_on());
	assert_int_equal(legacy_lives(), 0);
	r = put(1, 10, 0);
	gone = put(2, 20, 0);
	put(3, 30, 0);
	legacy_drop(LEGACY_OPEN, gone);
	legacy_drop(LEGACY_OPEN, NULL);
	legacy_say("its end\n");
	legacy_say("a second");
	legacy_init(memory, SIZE, 1);
	assert_int_equal(legacy_lives(), 1);
	assert_string_equal(legacy_said(), "its end?");
	assert_int_equal(count(), 2);
	assert_ptr_equal(legacy_next(LEGACY_OPEN, NULL), r);
	assert_int_equal(r->value, 10);
	/* the free place is found */
	assert_ptr_equal(put(4, 40, 0), gone);
	assert_int_equal(count(), 3);
	legacy_init(memory, SIZE, 2);
	assert_string_equal(legacy_said(), "");
}

/* A record that was being written, or taken away, is not there. */
static void is_whole_or_not_there(void **state)
{
	struct open_record *r;

	(void)state;
	r = put(1, 10, 0);
	put(2, 20, 0);
	r->head.owner = 0;		/* what comes first, and last */
	legacy_init(memory, SIZE, 1);
	assert_int_equal(count(), 1);
	assert_ptr_equal(put(5, 50, 0), r);
	assert_int_equal(count(), 2);
}

static void settles(void **state)
{
	struct open_record *r = NULL;

	(void)state;
	put(1, 1, 0);
	put(1, 2, 0xfffffffe);		/* numbers go round */
	put(1, 3, 0xffffffff);
	put(1, 4, 1);
	put(1, 5, 7);
	legacy_settle(1);
	assert_int_equal(count(), 3);
	while ((r = legacy_next(LEGACY_OPEN, r)) != NULL) {
		assert_true(r->value <= 3);
		assert_int_equal(r->head.change, 0);
	}
}

/* Whoever takes all that can be had leaves the others their shares, through one record's
 * owner or through many, and in the next program, too. */
static void shares(void **state)
{
	unsigned n[LEGACY_SHARERS] = { 0 };
	void *last = NULL, *before = NULL, *r;

	(void)state;
	legacy_share(3);
	/* 1, 17, 33 .. */
	while ((r = put(16 * (n[1] % 16) + 1, 1, 0)) != NULL) {
		before = last;
		last = r;
		n[1]++;
	}
	assert_in_range(n[1], OPENS / 3, OPENS - 2 * (OPENS / 3));
	while (put(2, 2, 0) != NULL) {
		n[2]++;
	}
	assert_in_range(n[2], OPENS / 3, OPENS - n[1] - OPENS / 3);
	legacy_init(memory, SIZE, 1);
	legacy_share(3);
	assert_null(put(1, 1, 0));
	assert_null(put(2, 2, 0));
	while (put(3, 3, 0) != NULL) {
		n[3]++;
	}
	assert_in_range(n[3], OPENS / 3, OPENS);
	assert_int_equal(count(), OPENS);
	/* what is given back is had again, by whom it was; the one beyond its share is not */
	legacy_drop(LEGACY_OPEN, last);
	legacy_drop(LEGACY_OPEN, before);
	assert_null(put(2, 2, 0));
	assert_non_null(put(1, 1, 0));
	assert_null(put(1, 1, 0));
	/* one alone has all */
	legacy_init(memory, SIZE, 2);
	last = NULL;
	while ((last = legacy_next(LEGACY_OPEN, last)) != NULL) {
		legacy_drop(LEGACY_OPEN, last);
	}
	for (n[0] = 0; put(5, 5, 0) != NULL; n[0]++) {
	}
	assert_int_equal(n[0], OPENS);
}

static void is_bounded(void **state)
{
	const uint8_t next[LEGACY_LOCK_SIZE] = { 9, 9, 9, 9, 9, 9, 9, 9 };
	const void *lock = legacy_add(LEGACY_LOCK, next), *first;
	unsigned n = 0;

	(void)state;
	while (put(1, n, 0) != NULL) {
		n++;
	}
	assert_int_equal(count(), n);
	assert_true(n >= 10000);
	assert_memory_equal(lock, next, sizeof(next));
	for (unsigned i = 0; i < 3; i++) {
		legacy_drop(LEGACY_OPEN, legacy_next(LEGACY_OPEN, NULL));
	}
	first = put(2, 0, 0);
	assert_non_null(first);
	assert_ptr_not_equal(put(2, 0, 0), first);
	assert_non_null(put(2, 0, 0));
	assert_null(put(2, 0, 0));
	assert_int_equal(count(), n);
	/* what is damaged is no record */
	memset(memory + 8, 0xff, 64);
	legacy_init(memory, SIZE, 1);
	assert_int_equal(count(), 0);
	/* not enough, or none */
	legacy_init(memory, SIZE / 2, 0);
	assert_false(legacy_on());
	assert_null(put(1, 1, 0));
	assert_null(legacy_next(LEGACY_OPEN, NULL));
	legacy_settle(0);
	legacy_say("nobody hears");
	assert_string_equal(legacy_said(), "");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(outlives, begin, end),
		cmocka_unit_test_setup_teardown(not_ours, begin, end),
		cmocka_unit_test_setup_teardown(long_words, begin, end),
		cmocka_unit_test_setup_teardown(is_whole_or_not_there, begin,
						end),
		cmocka_unit_test_setup_teardown(settles, begin, end),
		cmocka_unit_test_setup_teardown(is_bounded, begin, end),
		cmocka_unit_test_setup_teardown(shares, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
