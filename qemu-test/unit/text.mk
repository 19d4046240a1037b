# SPDX-License-Identifier: MIT
# Unit tests of the screen and of keyboards.
UNIT_TESTS += fbtext keymap i8042

fbtext_SRCS := qemu-test/unit/fbtext_test.c text/fbtext.c build/text/font.c
keymap_SRCS := qemu-test/unit/keymap_test.c drivers/keymap.c
i8042_SRCS := qemu-test/unit/i8042_test.c drivers/i8042.c
i8042_CFLAGS := -include qemu-test/unit/fake/disk_machine.h

UNIT_TESTS += xhci
xhci_SRCS := qemu-test/unit/xhci_test.c qemu-test/unit/fake/xhci.c \
	qemu-test/unit/fake/device.c qemu-test/unit/fake/disk_no_ports.c \
	drivers/xhci_rings.c drivers/usb.c drivers/usb_look.c drivers/usb_keys.c \
	drivers/keymap.c
xhci_CFLAGS := -Iqemu-test/unit -include qemu-test/unit/fake/disk_machine.h
