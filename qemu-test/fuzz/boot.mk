# SPDX-License-Identifier: MIT
# libFuzzer targets of what the loader does not trust.

# A minute each by default: make fuzz-boot FUZZ_SECONDS=600
FUZZ_SECONDS ?= 60
BOOT_FUZZ_FLAGS := -g -O1 -std=gnu11 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
	-I. -isystem build/deps/libfdt
BOOT_FUZZ_RUN := -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 -seed=1 \
	-artifact_prefix=build/fuzz/

build/fuzz/boot_manifest: qemu-test/fuzz/boot_manifest.c $(BOOT_MANIFEST_SRCS) build/deps/libfdt
	@mkdir -p $(@D)
	clang $(BOOT_FUZZ_FLAGS) -o $@ $(filter %.c,$^) build/deps/libfdt/fdt.c \
		build/deps/libfdt/fdt_ro.c
build/fuzz/boot_memmap: qemu-test/fuzz/boot_memmap.c boot/memmap.c
	@mkdir -p $(@D)
	clang $(BOOT_FUZZ_FLAGS) -o $@ $^
build/fuzz/boot_images: qemu-test/fuzz/boot_images.c boot/elf.c boot/acpi.c boot/iommu.c
	@mkdir -p $(@D)
	clang $(BOOT_FUZZ_FLAGS) -o $@ $^

build/fuzz/boot_pci: qemu-test/fuzz/boot_pci.c boot/pci.c boot/pci_bars.c boot/memmap.c
	@mkdir -p $(@D)
	clang $(BOOT_FUZZ_FLAGS) -o $@ $^

build/fuzz/boot_black_box: qemu-test/fuzz/boot_black_box.c proto/black_box.c
	@mkdir -p $(@D)
	clang $(BOOT_FUZZ_FLAGS) -o $@ $^

# Where the fuzzers start from: the default manifest with digests in it, and a
# static program ('f' chooses the ELF checker).
build/fuzz/boot-seeds: build/unit/isthmus.dtb
	@mkdir -p $@/manifest $@/images $@/memmap $@/pci $@/black_box
	cp $< $@/manifest/default
	for module in $$(fdtget -l $< /modules); do \
		fdtput -t bx $@/manifest/default /modules/$$module sha256 $$(seq 10 41); \
	done
	echo '.globl _start; _start: ret; .bss; .skip 9' | gcc -x assembler -nostdlib -static \
		-Wl,-Ttext-segment=0x200000,--build-id=none -s -o $@/program -
	(printf f; cat $@/program) >$@/images/program
	touch $@

.PHONY: fuzz-boot
fuzz-boot: build/fuzz/boot_manifest build/fuzz/boot_memmap build/fuzz/boot_images \
		build/fuzz/boot_pci build/fuzz/boot_black_box \
		build/fuzz/boot-seeds
	for part in manifest memmap images pci black_box; do \
		build/fuzz/boot_$$part $(BOOT_FUZZ_RUN) -max_len=16384 build/fuzz/boot-seeds/$$part \
			|| exit 1; \
	done
