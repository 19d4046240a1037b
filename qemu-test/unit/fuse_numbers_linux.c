/* SPDX-License-Identifier: MIT */
/* The FUSE protocol as the build machine's Linux has it. */
#include <linux/fuse.h>

#include "qemu-test/unit/fuse_numbers_list.h"

const struct fuse_number *fuse_numbers_linux(unsigned *count)
{
	*count = sizeof(numbers) / sizeof(numbers[0]);
	return numbers;
}
