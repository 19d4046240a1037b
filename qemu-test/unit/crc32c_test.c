/* SPDX-License-Identifier: MIT */
/* CRC-32C beside its definition, bit by bit, for all lengths and places. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host-bridge/rt/crc32c.h"

static uint32_t by_bits(uint32_t crc, const uint8_t *data, size_t len)
{
	for (; len > 0; data++, len--) {
		crc ^= *data;
		for (unsigned i = 0; i < 8; i++) {
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
		}
	}
	return crc;
}

/* [RFC 3720 "CRC Examples"] has the check value with the inversions. */
static void test_known(void **state)
{
	(void)state;
	assert_int_equal(~crc32c(~0u, "123456789", 9), 0xe3069283);
	assert_int_equal(crc32c(7, "", 0), 7);
}

static void test_lengths(void **state)
{
	uint8_t data[280];
	uint32_t x = 1;

	(void)state;
	for (unsigned i = 0; i < sizeof(data); i++) {
		x = x * 1664525 + 1013904223;
		data[i] = (uint8_t)(x >> 24);
	}
	for (size_t at = 0; at < 9; at++) {
		for (size_t len = 0; len <= sizeof(data) - at; len++) {
			assert_int_equal(crc32c(x, data + at, len),
					 by_bits(x, data + at, len));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
