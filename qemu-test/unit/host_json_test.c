// SPDX-License-Identifier: MIT
/* JSON as it is written, hostile texts above all, and the histogram of durations. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "host-bridge/rt/latency.h"
#include "host-bridge/ui/json.h"

static char *out;
static size_t size;

static struct json start(void)
{
	return (struct json){ .to = open_memstream(&out, &size) };
}

static void is(struct json *j, const char *expected)
{
	fclose(j->to);
	assert_string_equal(out, expected);
	free(out);
}

static void test_nesting(void **state)
{
	struct json j = start();

	(void)state;
	json_begin(&j, NULL, '{');
	json_number(&j, "most", UINT64_MAX);
	json_begin(&j, "list", '[');
	json_end(&j, ']');
	json_begin(&j, "objects", '[');
	for (int i = 0; i < 2; i++) {
		json_begin(&j, NULL, '{');
		json_signed(&j, "less", -5 * i);
		json_end(&j, '}');
	}
	json_end(&j, ']');
	json_truth(&j, "yes", true);
	json_begin(&j, "texts", '[');
	json_text(&j, NULL, "");
	json_text(&j, NULL, "b");
	json_end(&j, ']');
	json_truth(&j, "no", false);
	json_end(&j, '}');
	is(&j, "{\"most\": 18446744073709551615, \"list\": [], "
	   "\"objects\": [{\"less\": 0}, {\"less\": -5}], \"yes\": true, "
	   "\"texts\": [\"\", \"b\"], \"no\": false}");
}

static void one(const char *text, const char *expected)
{
	struct json j = start();

	json_text(&j, NULL, text);
	is(&j, expected);
}

static void test_texts(void **state)
{
	(void)state;
	one("a/b ~", "\"a/b ~\"");
	one("\"\\\n\x1b[2J\x7f", "\"\\u0022\\u005c\\u000a\\u001b[2J\\u007f\"");
	one("caf\xc3\xa9 \xe2\x82\xac \xf0\x9d\x84\x9e",
	    "\"caf\\u00e9 \\u20ac \\ud834\\udd1e\"");
	one("\xc2\x80\xc2\x9f\xc2\xa0", "\"\\u0080\\u009f\\u00a0\"");
	one("\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf",
	    "\"\\uffff\\ud800\\udc00\\udbff\\udfff\"");
}

/* Bytes alone, cut short, too long a form, surrogates, beyond the end; none eats
 * what follows, or the NUL. */
static void test_no_utf8(void **state)
{
	(void)state;
	one("\x80x\xffy", "\"\\ufffdx\\ufffdy\"");
	one("\xc3", "\"\\ufffd\"");
	one("\xc2", "\"\\ufffd\"");
	one("\xc3\"", "\"\\ufffd\\u0022\"");
	one("\xe2\x82", "\"\\ufffd\\ufffd\"");
	one("\xc0\xaf", "\"\\ufffd\\ufffd\"");
	one("\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"");
	one("\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"");
	one("\xf8\x88\x80\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\"");
}

/* A name is a text like another. */
static void test_names(void **state)
{
	struct json j = start();

	(void)state;
	json_begin(&j, NULL, '{');
	json_number(&j, "a\": 1, \"b\xff", 2);
	json_end(&j, '}');
	is(&j, "{\"a\\u0022: 1, \\u0022b\\ufffd\": 2}");
}

/* Buckets go on from each other, and each holds what it is for. */
static void test_buckets(void **state)
{
	unsigned before = 0;

	(void)state;
	for (uint64_t t = 0; t < 1 << 20; t++) {
		unsigned bucket = latency_bucket(t);

		assert_true(bucket == before || bucket == before + 1);
		before = bucket;
	}
	assert_int_equal(latency_bucket((1ull << 41) - 1), LATENCY_BUCKETS - 1);
	assert_int_equal(latency_bucket(UINT64_MAX), LATENCY_BUCKETS - 1);
}

static void test_percentiles(void **state)
{
	static struct latency l;
	uint64_t most = 0;

	(void)state;
	assert_int_equal(latency_of(&l, 500), 0);
	latency_add(&l, 7000);
	assert_int_equal(latency_of(&l, 500), 7000);
	assert_int_equal(latency_of(&l, 990), 7000);
	for (unsigned share = 10; share <= 1000; share += 10) {
		static struct latency all;

		all = (struct latency){ 0 };
		for (uint64_t t = 1; t <= 1000; t++) {
			latency_add(&all, t * 1000);
		}
		/* At most a quarter too large, never too small. */
		assert_in_range(latency_of(&all, share), share * 1000,
				share * 1250);
		assert_true(latency_of(&all, share) >= most);
		most = latency_of(&all, share);
	}
	assert_int_equal(most, 1000000);
	latency_add(&l, UINT64_MAX);
	assert_int_equal(latency_of(&l, 990), UINT64_MAX);
	assert_int_equal(l.count, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nesting),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_no_utf8),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_buckets),
		cmocka_unit_test(test_percentiles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
