/* SPDX-License-Identifier: MIT */
/*
 * proto/fuse.h against the build machine's <linux/fuse.h>: every size, offset and
 * number that both have. That may be of an older minor version.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/fuse.h"
#include "proto/fuse_channel.h"
#include "qemu-test/unit/fuse_numbers_list.h"

static void numbers_are_linuxs(void **state)
{
	const struct fuse_number *theirs;
	unsigned count, found = 0;

	(void)state;
	theirs = fuse_numbers_linux(&count);
	for (unsigned i = 0; i < count; i++) {
		for (unsigned k = 0; k < sizeof(numbers) / sizeof(numbers[0]);
		     k++) {
			if (strcmp(numbers[k].name, theirs[i].name) != 0) {
				continue;
			}
			found++;
			if (numbers[k].value != theirs[i].value) {
				fail_msg("%s is %llu, not %llu",
					 theirs[i].name, theirs[i].value,
					 numbers[k].value);
			}
		}
	}
	assert_int_equal(found, count);
}

/* Messages are a whole number of 8 bytes, so that structures in a row are
 * aligned. */
static void structures_are_aligned(void **state)
{
	unsigned sizes = 0;

	(void)state;
	for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (strncmp(numbers[i].name, "sizeof ", 7) == 0) {
			sizes++;
			assert_int_equal(numbers[i].value % 8, 0);
		}
	}
	assert_true(sizes > 40);
	assert_int_equal(sizeof(struct fuse_channel_hello) % 8, 0);
	assert_int_equal(sizeof(struct fuse_channel_hello_out) % 8, 0);
	assert_int_equal(sizeof(struct fuse_channel_event) % 8, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_linuxs),
		cmocka_unit_test(structures_are_aligned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
