# SPDX-License-Identifier: MIT
# Unit tests of the disk drivers: each against a device of the test's.
DISK_UNIT := disk_virtio disk_ata disk_nvme disk_ahci
UNIT_TESTS += $(DISK_UNIT)

disk_virtio_UNDER := virtio_blk.c virtio_pci.c
disk_ata_UNDER := ata.c ata_identify.c
disk_nvme_UNDER := nvme_queue.c nvme_start.c
disk_ahci_UNDER := ahci_port.c ahci_start.c ata_identify.c
$(foreach t,virtio nvme ahci,$(eval disk_$(t)_PORTS := no_ports))

$(foreach t,$(DISK_UNIT),\
	$(eval $(t)_SRCS := qemu-test/unit/$(t)_test.c \
		qemu-test/unit/fake/$(t).c \
		$($(t)_PORTS:%=qemu-test/unit/fake/disk_%.c) \
		qemu-test/unit/disk_fixture.c \
		qemu-test/unit/fake/device.c drivers/disk.c \
		host-bridge/blk/block.c \
		$(addprefix drivers/,$($(t)_UNDER)))\
	$(eval $(t)_CFLAGS := -Iqemu-test/unit \
		-include qemu-test/unit/fake/disk_machine.h))

UNIT_TESTS += disk_gpt
disk_gpt_SRCS := qemu-test/unit/disk_gpt_test.c host-bridge/blk/gpt.c \
	host-bridge/blk/block.c

# disks.c is part of the test.
UNIT_TESTS += disk_list
disk_list_CFLAGS := -Iqemu-test/unit
disk_list_SRCS := qemu-test/unit/disk_list_test.c \
	qemu-test/unit/disk_fixture.c qemu-test/unit/fake/device.c \
	drivers/disk.c host-bridge/blk/gpt.c host-bridge/blk/block.c

UNIT_TESTS += disk_pci
disk_pci_SRCS := qemu-test/unit/disk_pci_test.c host-bridge/blk/disks_pci.c \
	host-bridge/net/nics_pci.c host-bridge/dev/pci_regs.c
