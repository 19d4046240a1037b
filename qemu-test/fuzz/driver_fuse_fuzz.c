// SPDX-License-Identifier: MIT
/*
 * libFuzzer target: Linux' channel driver, with mounts and sockets, against a host
 * partition that the input plays. qemu-test/unit/driver_fuse_play.h says what
 * must hold.
 */
#include "driver_fuse_play.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	driver_fuse_play(data, size);
	return 0;
}
