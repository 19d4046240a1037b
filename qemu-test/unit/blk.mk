# SPDX-License-Identifier: MIT
# Tests of block devices, over a disk that writes down what it is asked to do.
FAKE_DISK_SRCS := qemu-test/unit/fake/disk.c host-bridge/blk/block.c

UNIT_TESTS += block
block_SRCS := qemu-test/unit/block_test.c $(FAKE_DISK_SRCS)

UNIT_TESTS += cache
cache_SRCS := qemu-test/unit/cache_test.c $(FAKE_DISK_SRCS) \
	$(addprefix host-bridge/blk/cache_,blocks.c io.c trim.c wait.c)
