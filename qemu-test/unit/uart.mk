# SPDX-License-Identifier: MIT
# Unit tests of the 16550: where it is, and how it is driven.

UNIT_TESTS += uart_test uart_regs_test

uart_test_SRCS := qemu-test/unit/uart_test.c drivers/uart_places.c drivers/uart_poll.c \
	drivers/uart16550.c
uart_regs_test_SRCS := qemu-test/unit/uart_regs_test.c drivers/uart_regs.c drivers/uart_poll.c
