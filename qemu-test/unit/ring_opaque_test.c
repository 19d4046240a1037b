// SPDX-License-Identifier: MIT
/*
 * Bytes out of the ring (proto/ring.h): the compiler must know nothing of what a
 * copy holds, though it may know all of what it was made from; else it could look
 * there instead, and the other end may have changed that since. To be compiled with
 * optimization, and without what a sanitizer adds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "proto/ring.h"

/* Does the compiler know what is there? */
#define KNOWN(byte)	__builtin_constant_p(byte)

static const uint8_t data[64] = { 1, 2, 3, 4, 5, 6, 7, 8 };

static void test_copies_are_opaque(void **state)
{
	const struct ring ring = { .rx_data = data, .size = sizeof(data) };
	uint8_t plain[4], copy[4], wrapped[4];

	(void)state;
	/* Of a plain copy it does: this test sees what it is to see. */
	memcpy(plain, data, sizeof(plain));
	assert_true(KNOWN(plain[1]));
	ring_rx_get(&ring, 0, copy, sizeof(copy));
	assert_false(KNOWN(copy[1]));
	assert_int_equal(copy[1], 2);
	ring_rx_get(&ring, 62, wrapped, sizeof(wrapped));
	assert_false(KNOWN(wrapped[3]));
	assert_int_equal(wrapped[3], 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copies_are_opaque),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
