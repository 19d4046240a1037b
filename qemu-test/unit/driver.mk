# SPDX-License-Identifier: MIT
# Unit tests of the Linux driver: its sources in a fake kernel (fake/kernel.h),
# which is what each header they include stands for.

UNIT_TESTS += driver

DRIVER_SRCS := $(addprefix guest/driver/,channel.c link.c p9.c ring.c \
	vsock.c)
DRIVER_FAKES := qemu-test/unit/fake/kernel.c
DRIVER_HEADERS := $(addprefix build/unit/kernel/,$(shell \
	sed -n 's/^\#include <\(.*\)>/\1/p' $(DRIVER_SRCS) guest/driver/*.h \
	hypervisor/include/abi/ring.h | grep / | sort -u))
DRIVER_FLAGS := -D__KERNEL__ -Ibuild/unit/kernel -Wno-unused-parameter \
	-Wno-sign-compare

$(DRIVER_HEADERS):
	@mkdir -p $(@D)
	@echo '#include "qemu-test/unit/fake/kernel.h"' >$@

driver_SRCS := qemu-test/unit/driver_test.c $(DRIVER_SRCS) $(DRIVER_FAKES)
driver_CFLAGS := $(DRIVER_FLAGS)
build/unit/driver: | $(DRIVER_HEADERS)
