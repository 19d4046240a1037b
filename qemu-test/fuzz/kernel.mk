# SPDX-License-Identifier: MIT
# libFuzzer on what host-bridge loads into guests: make fuzz-kernel FUZZ_SECONDS=600

build/fuzz/kernel: qemu-test/fuzz/kernel_fuzz.c \
		$(addprefix host-bridge/guest/,elf_image.c linux_image.c)
	@mkdir -p $(@D)
	clang $(BOOT_FUZZ_FLAGS) -o $@ $^

# It starts from kernels of ours, of each kind.
.PHONY: fuzz-kernel
fuzz-kernel: build/fuzz/kernel build/guest/payload.bzImage $(guest_kernel32)
	@mkdir -p build/fuzz/kernel-seeds
	cp $(filter build/guest/%,$^) build/fuzz/kernel-seeds
	build/fuzz/kernel $(BOOT_FUZZ_RUN) -max_len=32768 build/fuzz/kernel-seeds
