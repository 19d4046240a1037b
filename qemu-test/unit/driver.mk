# SPDX-License-Identifier: MIT
# Unit tests of the Linux driver: its sources in a fake kernel (fake/kernel.h,
# fake/fuse_i.h), which is what each header they include stands for.

UNIT_TESTS += driver driver_fuse driver_fuse_local \
	driver_fuse_known driver_fuse_notify driver_fuse_resume \
	driver_fuse_write driver_fuse_stream driver_fuse_name driver_fuse_close \
	driver_disk

DRIVER_SRCS := $(filter-out guest/driver/clock.c guest/driver/fuse_notify.c, \
	$(wildcard guest/driver/*.c))
DRIVER_FAKES := $(addprefix qemu-test/unit/fake/,blk.c kernel.c fuse.c)
DRIVER_HEADERS := $(addprefix build/unit/kernel/,$(shell \
	sed -n 's/^\#include <\(.*\)>/\1/p' guest/driver/*.c guest/driver/*.h \
	hypervisor/include/abi/ring.h proto/fuse_channel.h proto/nbd.h | grep / | sort -u))
DRIVER_FLAGS := -D__KERNEL__ -Ibuild/unit/kernel -Iqemu-test/unit/fake \
	-Wno-unused-parameter -Wno-sign-compare -Wno-pointer-sign

$(DRIVER_HEADERS):
	@mkdir -p $(@D)
	@echo '#include "qemu-test/unit/fake/$(or \
		$(if $(filter %/linux/fs.h,$@),fuse_i), \
		$(if $(filter %/linux/blk-mq.h,$@),kernel_blk),kernel).h"' >$@

driver_SRCS := qemu-test/unit/driver_test.c $(DRIVER_SRCS) $(DRIVER_FAKES)
driver_CFLAGS := $(DRIVER_FLAGS)
driver_NEEDS := $(DRIVER_HEADERS)

driver_fuse_SRCS := qemu-test/unit/driver_fuse_test.c $(DRIVER_SRCS) \
	$(DRIVER_FAKES)
driver_fuse_CFLAGS := $(DRIVER_FLAGS)
driver_fuse_NEEDS := $(DRIVER_HEADERS)

driver_fuse_resume_SRCS := qemu-test/unit/driver_fuse_resume_test.c \
	$(DRIVER_SRCS) $(DRIVER_FAKES)
driver_fuse_resume_CFLAGS := $(DRIVER_FLAGS)
driver_fuse_resume_NEEDS := $(DRIVER_HEADERS)

driver_fuse_local_SRCS := qemu-test/unit/driver_fuse_local_test.c \
	$(DRIVER_SRCS) $(DRIVER_FAKES)
driver_fuse_local_CFLAGS := $(DRIVER_FLAGS)
driver_fuse_local_NEEDS := $(DRIVER_HEADERS)

driver_fuse_write_SRCS := qemu-test/unit/driver_fuse_write_test.c \
	$(DRIVER_SRCS) $(DRIVER_FAKES)
driver_fuse_write_CFLAGS := $(DRIVER_FLAGS)
driver_fuse_write_NEEDS := $(DRIVER_HEADERS)

driver_fuse_known_SRCS := qemu-test/unit/driver_fuse_known_test.c \
	$(DRIVER_SRCS) $(DRIVER_FAKES)
driver_fuse_known_CFLAGS := $(DRIVER_FLAGS)
driver_fuse_known_NEEDS := $(DRIVER_HEADERS)

driver_fuse_stream_SRCS := qemu-test/unit/driver_fuse_stream_test.c \
	$(DRIVER_SRCS) $(DRIVER_FAKES)
driver_fuse_stream_CFLAGS := $(DRIVER_FLAGS)
driver_fuse_stream_NEEDS := $(DRIVER_HEADERS)

driver_fuse_notify_SRCS := qemu-test/unit/driver_fuse_notify_test.c \
	$(DRIVER_SRCS) guest/driver/fuse_notify.c $(DRIVER_FAKES) \
	qemu-test/unit/fake/vfs.c
driver_fuse_notify_CFLAGS := $(DRIVER_FLAGS)
driver_fuse_notify_NEEDS := $(DRIVER_HEADERS)

driver_fuse_name_SRCS := qemu-test/unit/driver_fuse_name_test.c \
	$(DRIVER_SRCS) $(DRIVER_FAKES)
driver_fuse_name_CFLAGS := $(DRIVER_FLAGS)
driver_fuse_name_NEEDS := $(DRIVER_HEADERS)

driver_disk_SRCS := qemu-test/unit/driver_disk_test.c $(DRIVER_SRCS) \
	$(DRIVER_FAKES)
driver_disk_CFLAGS := $(DRIVER_FLAGS)
driver_disk_NEEDS := $(DRIVER_HEADERS)

driver_fuse_close_SRCS := qemu-test/unit/driver_fuse_close_test.c \
	$(DRIVER_SRCS) $(DRIVER_FAKES)
driver_fuse_close_CFLAGS := $(DRIVER_FLAGS)
driver_fuse_close_NEEDS := $(DRIVER_HEADERS)
