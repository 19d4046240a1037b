// SPDX-License-Identifier: MIT
/*
 * libFuzzer target: Linux' channel driver against a host partition that the
 * input plays. qemu-test/unit/driver_play.h says what must hold.
 */
#include "driver_play.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	driver_play(data, size);
	return 0;
}
