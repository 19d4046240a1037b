# SPDX-License-Identifier: MIT
# Unit tests of the 16550: where it is, and how it is driven.

UNIT_TESTS += uart_test uart_regs_test boot_serial_test

uart_test_SRCS := qemu-test/unit/uart_test.c drivers/uart_places.c drivers/uart_poll.c \
	drivers/uart16550.c
uart_regs_test_SRCS := qemu-test/unit/uart_regs_test.c drivers/uart_regs.c drivers/uart_poll.c
boot_serial_test_SRCS := qemu-test/unit/boot_serial_test.c boot/serial.c boot/memmap.c \
	drivers/uart_places.c
boot_serial_test_CFLAGS := -fshort-wchar -DGNU_EFI_USE_MS_ABI \
	-isystem /usr/include/efi -isystem /usr/include/efi/x86_64
