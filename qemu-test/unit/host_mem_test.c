/* SPDX-License-Identifier: MIT */
/* memcpy, memmove and memset of host-bridge against plain byte loops. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SIZE	1600
#define LEN_MAX	1100

uint8_t mem_wide;	/* the copy loop through AVX registers */

void *host_memcpy(void *to, const void *from, size_t len);
void *host_memmove(void *to, const void *from, size_t len);
void *host_memset(void *to, int byte, size_t len);

static uint8_t got[SIZE], want[SIZE], source[SIZE];

static void fill(uint8_t *at)
{
	for (int i = 0; i < SIZE; i++) {
		at[i] = (uint8_t)(i * 31 + 7);
	}
}

static void copies_any_length_and_alignment(void **state)
{
	(void)state;
	mem_wide = __builtin_cpu_supports("avx") != 0;
	for (size_t len = 0; len <= LEN_MAX; len++) {
		if (len == LEN_MAX / 2 + 200) {
			mem_wide = 0;
		}
		for (size_t shift = 0; shift < 9; shift++) {
			fill(source);
			memset(got, 0xee, SIZE);
			memset(want, 0xee, SIZE);
			for (size_t i = 0; i < len; i++) {
				want[64 + shift + i] = source[3 + i];
			}
			assert_ptr_equal(host_memcpy(got + 64 + shift,
						     source + 3, len),
					 got + 64 + shift);
			assert_memory_equal(got, want, SIZE);
		}
	}
}

/* All distances at which source and destination can overlap. */
static void moves_overlapping(void **state)
{
	(void)state;
	mem_wide = __builtin_cpu_supports("avx") != 0;
	for (int len = 0; len <= 1100; len += len < 100 ? 1 : 37) {
		for (int by = -101; by <= 101; by++) {
			fill(got);
			fill(want);
			for (int i = 0; i < len; i++) {
				want[200 + by + i] =
					(uint8_t)((200 + i) * 31 + 7);
			}
			assert_ptr_equal(host_memmove(got + 200 + by,
						      got + 200, (size_t)len),
					 got + 200 + by);
			assert_memory_equal(got, want, SIZE);
		}
	}
}

static void sets_any_length(void **state)
{
	(void)state;
	for (size_t len = 0; len <= LEN_MAX; len++) {
		fill(got);
		fill(want);
		for (size_t i = 0; i < len; i++) {
			want[33 + i] = 0xa5;
		}
		assert_ptr_equal(host_memset(got + 33, 0x5a5, len), got + 33);
		assert_memory_equal(got, want, SIZE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_any_length_and_alignment),
		cmocka_unit_test(moves_overlapping),
		cmocka_unit_test(sets_any_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
