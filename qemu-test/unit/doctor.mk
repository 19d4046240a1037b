# SPDX-License-Identifier: MIT
# Unit tests of the doctor's pure parts.

UNIT_TESTS += doctor_test

doctor_test_SRCS := qemu-test/unit/doctor_test.c $(addprefix doctor/,check.c checks_board.c \
	checks_cpu.c checks_firmware.c checks_types.c checks_virt.c mtrr.c report.c) text/fmt.c

UNIT_TESTS += doctor_look_test

doctor_look_test_SRCS := qemu-test/unit/doctor_look_test.c doctor/look_board.c boot/acpi.c \
	boot/iommu.c boot/memmap.c
