// SPDX-License-Identifier: MIT
/*
 * libFuzzer target: Linux' channel driver, with mounts and sockets, against a host
 * partition that the input plays. qemu-test/unit/driver_fuse_play.h says what
 * must hold.
 */
#include "driver_fuse_play.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__asan_default_options(void);

/* A run is over soon: what it has freed need not be remembered for long. */
const char *__asan_default_options(void)
{
	return "malloc_context_size=2:quarantine_size_mb=2";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	driver_fuse_play(data, size);
	return 0;
}
