# SPDX-License-Identifier: MIT
# Tests of the journal, with e2fsprogs as the second opinion.
UNIT_TESTS += journal_recover
journal_recover_SRCS := qemu-test/unit/journal_recover_test.c \
	qemu-test/unit/journal_fixture.c \
	$(addprefix host-bridge/fs/jbd2/jbd2_,recover.c super.c)

UNIT_TESTS += crc32c
crc32c_SRCS := qemu-test/unit/crc32c_test.c

JOURNAL_SRCS := $(wildcard host-bridge/fs/jbd2/*.c) \
	$(addprefix host-bridge/blk/cache_,blocks.c io.c trim.c wait.c)
JOURNAL_WORLD_SRCS := $(JOURNAL_SRCS) $(FAKE_DISK_SRCS) \
	$(addprefix qemu-test/unit/journal_,fixture.c world.c)
UNIT_TESTS += journal_crash
journal_crash_SRCS := qemu-test/unit/journal_crash_test.c $(JOURNAL_WORLD_SRCS)
UNIT_TESTS += journal_home
journal_home_SRCS := qemu-test/unit/journal_home_test.c $(JOURNAL_WORLD_SRCS)

VOLUME_CRASH_SRCS := $(addprefix qemu-test/unit/volume_crash_,ops.c run.c trim.c) \
	qemu-test/unit/volume_tree.c qemu-test/unit/journal_fixture.c \
	$(FAKE_DISK_SRCS) $(JOURNAL_SRCS) host-bridge/blk/volume_mem.c \
	$(addprefix host-bridge/fs/volume_,disk.c path.c) \
	$(wildcard host-bridge/fs/ext4/*.c)
UNIT_TESTS += volume_crash
volume_crash_SRCS := qemu-test/unit/volume_crash_test.c \
	qemu-test/unit/volume_crash_judge.c $(VOLUME_CRASH_SRCS)
volume_crash_LIBS := -lext2fs -lcom_err

UNIT_TESTS += volume_loop
volume_loop_SRCS := qemu-test/unit/volume_loop_test.c \
	host-bridge/fs/volume_loop.c host-bridge/rt/legacy.c
volume_loop_CFLAGS := -include qemu-test/unit/fake/clock.h

UNIT_TESTS += volume_mount
volume_mount_SRCS := qemu-test/unit/volume_mount_test.c $(VOLUME_CRASH_SRCS)
volume_mount_LIBS := -lext2fs -lcom_err

UNIT_TESTS += volume_large
volume_large_SRCS := $(addprefix qemu-test/unit/volume_large_,test.c run.c) \
	$(filter-out qemu-test/unit/volume_%,$(VOLUME_CRASH_SRCS))
volume_large_LIBS := -lext2fs -lcom_err

# A volume on a disk that is a sparse file.
VOLUME_SPARSE := $(addprefix volume_,scale feature million cost trim)
UNIT_TESTS += $(VOLUME_SPARSE)
$(foreach t,$(VOLUME_SPARSE),\
	$(eval $(t)_SRCS := qemu-test/unit/$(t)_test.c \
		qemu-test/unit/volume_sparse.c \
		host-bridge/blk/block.c $(JOURNAL_SRCS) \
		$(addprefix host-bridge/fs/volume_,disk.c path.c) \
		$(wildcard host-bridge/fs/ext4/*.c))\
	$(eval $(t)_LIBS := -lext2fs -lcom_err))
volume_cost_CFLAGS := -fno-sanitize=all -Wno-maybe-uninitialized

# Linux's files over the end of the program that serves them.
UNIT_TESTS += fuse_restart
fuse_restart_SRCS := $(addprefix qemu-test/unit/fuse_restart_,test.c \
	ops.c other.c world.c) \
	qemu-test/unit/journal_fixture.c $(FAKE_DISK_SRCS) $(JOURNAL_SRCS) \
	host-bridge/blk/volume_mem.c \
	$(addprefix host-bridge/fs/volume_,disk.c path.c) \
	$(wildcard host-bridge/fs/ext4/*.c) $(FUSE_SERVER_SRCS)
fuse_restart_LIBS := -lext2fs -lcom_err
