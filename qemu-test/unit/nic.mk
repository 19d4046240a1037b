# SPDX-License-Identifier: MIT
# Unit tests of the drivers of network cards: each against a card of the test's.
NIC_UNIT := nic_virtio nic_e1000
UNIT_TESTS += $(NIC_UNIT)

nic_virtio_UNDER := virtio_net.c virtio_pci.c
nic_e1000_UNDER := e1000.c

$(foreach t,$(NIC_UNIT),\
	$(eval $(t)_SRCS := qemu-test/unit/$(t)_test.c \
		qemu-test/unit/fake/$(t).c qemu-test/unit/nic_fixture.c \
		qemu-test/unit/fake/device.c \
		qemu-test/unit/fake/disk_no_ports.c \
		drivers/nic.c drivers/nic_soft.c \
		$(addprefix drivers/,$($(t)_UNDER)))\
	$(eval $(t)_CFLAGS := -Iqemu-test/unit \
		-include qemu-test/unit/fake/disk_machine.h))

UNIT_TESTS += nic_soft
nic_soft_SRCS := qemu-test/unit/nic_soft_test.c drivers/nic.c drivers/nic_soft.c
