# SPDX-License-Identifier: MIT
# Unit tests of the Linux driver: its sources in a fake kernel (fake/kernel.h,
# fake/fuse_i.h), which is what each header they include stands for.

DRIVER_UNIT := driver driver_link driver_disk driver_disk_wrong driver_net driver_fuse \
	$(addprefix driver_fuse_,local \
	known notify resume write stream name close)
UNIT_TESTS += $(DRIVER_UNIT)

DRIVER_SRCS := $(filter-out $(addprefix guest/driver/,clock.c fuse_notify.c \
	hypercall.c report.c), $(wildcard guest/driver/*.c))
DRIVER_FAKES := $(addprefix qemu-test/unit/fake/,blk.c kernel.c fuse.c netdev.c)
DRIVER_HEADERS := $(addprefix build/unit/kernel/,$(shell \
	sed -n 's/^\#include <\(.*\)>/\1/p' guest/driver/*.c guest/driver/*.h \
	proto/ring.h proto/fuse_channel.h proto/nbd.h proto/net_channel.h | grep / | sort -u))
DRIVER_FLAGS := -D__KERNEL__ -Ibuild/unit/kernel -Iqemu-test/unit/fake \
	-Wno-unused-parameter -Wno-sign-compare -Wno-pointer-sign

$(DRIVER_HEADERS):
	@mkdir -p $(@D)
	@echo '#include "qemu-test/unit/fake/$(or \
		$(if $(filter %/linux/fs.h,$@),fuse_i), \
		$(if $(filter %/linux/blk-mq.h,$@),kernel_blk), \
		$(if $(filter %/netdevice.h %/virtio_net.h %/if_arp.h \
			%/if_ether.h,$@),kernel_netdev), \
		$(if $(filter %/linux/page_reporting.h,$@),kernel_report),kernel).h"' >$@

$(foreach t,$(DRIVER_UNIT),\
	$(eval $(t)_SRCS := qemu-test/unit/$(t)_test.c $(DRIVER_SRCS) \
		$(DRIVER_FAKES))\
	$(eval $(t)_CFLAGS := $(DRIVER_FLAGS))\
	$(eval $(t)_NEEDS := $(DRIVER_HEADERS)))
driver_fuse_notify_SRCS += guest/driver/fuse_notify.c qemu-test/unit/fake/vfs.c

UNIT_TESTS += driver_report
driver_report_SRCS := qemu-test/unit/driver_report_test.c guest/driver/report.c
driver_report_CFLAGS := $(DRIVER_FLAGS)
driver_report_NEEDS := $(DRIVER_HEADERS)
