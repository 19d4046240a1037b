# SPDX-License-Identifier: MIT
# What judges a disk after a power cut (qemu-test/boot/power.py).
TEST_ARTIFACTS += build/power/recover
build/power/recover: qemu-test/power/recover.c $(FAKE_DISK_SRCS) \
		$(JOURNAL_SRCS) host-bridge/blk/volume_mem.c \
		host-bridge/fs/volume_disk.c $(wildcard host-bridge/fs/ext4/*.c) \
		$(wildcard $(addprefix host-bridge/, blk/*.h fs/*.h fs/*/*.h))
	@mkdir -p $(@D)
	gcc $(UNIT_FLAGS) -o $@ $(filter %.c,$^) -lext2fs -lcom_err
