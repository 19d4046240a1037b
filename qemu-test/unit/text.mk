# SPDX-License-Identifier: MIT
# Unit tests of the screen and of keyboards.
UNIT_TESTS += fbtext keymap i8042

fbtext_SRCS := qemu-test/unit/fbtext_test.c text/fbtext.c build/text/font.c
keymap_SRCS := qemu-test/unit/keymap_test.c drivers/keymap.c
i8042_SRCS := qemu-test/unit/i8042_test.c drivers/i8042.c
i8042_CFLAGS := -include qemu-test/unit/fake/disk_machine.h
