# SPDX-License-Identifier: MIT
# Unit tests of the loader's pure parts.

UNIT_TESTS += boot_manifest_test boot_parts_test boot_pci_test \
	boot_handoff_test boot_iommu_test black_box_test

# libfdt as the tests use it: with the sanitizers, without our warnings.
build/unit/libfdt.o: build/deps/libfdt
	@mkdir -p $(@D)
	gcc -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -r -nostdlib -o $@ \
		$(addprefix $</,fdt.c fdt_ro.c fdt_rw.c fdt_wip.c)
build/unit/isthmus.dtb: boot/isthmus.dts
	@mkdir -p $(@D)
	dtc -q -I dts -O dtb -o $@ $<

BOOT_MANIFEST_SRCS := boot/manifest_decode.c boot/manifest_props.c boot/manifest_pci.c \
	boot/fdt_check.c drivers/uart_places.c text/fmt.c

boot_manifest_test_SRCS := qemu-test/unit/boot_manifest_test.c $(BOOT_MANIFEST_SRCS)
build/unit/boot_manifest_test: build/unit/libfdt.o build/unit/isthmus.dtb
boot_manifest_test_CFLAGS := -isystem build/deps/libfdt
boot_manifest_test_NEEDS := build/deps/libfdt

boot_parts_test_SRCS := qemu-test/unit/boot_parts_test.c boot/acpi.c boot/elf.c text/fmt.c \
	boot/memmap.c boot/paging.c proto/sha256.c boot/virt.c

black_box_test_SRCS := qemu-test/unit/black_box_test.c proto/black_box.c
black_box_test_CFLAGS := -Ihypervisor/include

boot_pci_test_SRCS := qemu-test/unit/boot_pci_test.c boot/pci.c boot/pci_bars.c boot/memmap.c
UNIT_TESTS += boot_pci_stop_test
boot_pci_stop_test_SRCS := qemu-test/unit/boot_pci_stop_test.c boot/pci.c boot/pci_bars.c \
	boot/memmap.c
boot_handoff_test_SRCS := qemu-test/unit/boot_handoff_test.c boot/pci_handoff.c boot/memmap.c
boot_iommu_test_SRCS := qemu-test/unit/boot_iommu_test.c boot/iommu.c

UNIT_TESTS += boot_box_test
boot_box_test_SRCS := qemu-test/unit/boot_box_test.c boot/box.c proto/black_box.c
boot_box_test_CFLAGS = $(boot_place_test_CFLAGS)

UNIT_TESTS += boot_place_test
boot_place_test_SRCS := qemu-test/unit/boot_place_test.c boot/files.c boot/partitions.c \
	boot/elf.c boot/paging.c proto/black_box.c proto/sha256.c
boot_place_test_CFLAGS := -fshort-wchar -DGNU_EFI_USE_MS_ABI \
	-isystem /usr/include/efi -isystem /usr/include/efi/x86_64
