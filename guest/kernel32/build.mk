# SPDX-License-Identifier: MIT
# Small kernels for the loader of ELF files: one for each way in.
guest_kernel32 := $(addprefix $(guest_out)/kernel32-,multiboot.elf pvh.elf)

TEST_ARTIFACTS += $(guest_kernel32)

$(guest_out)/kernel32-pvh.elf: kernel32_flags := -DPVH
$(guest_kernel32): guest/kernel32/kernel32.lds $(wildcard guest/kernel32/*.[cS]) \
		drivers/portio.h
	@mkdir -p $(@D)
	gcc $(guest_warn) $(kernel32_flags) -m32 -march=i686 -std=gnu11 -Os -ffreestanding \
		-fno-pic -fno-pie -mgeneral-regs-only -fno-stack-protector -fcf-protection=none \
		-fno-asynchronous-unwind-tables -I. -nostdlib -static -no-pie -Wl,-n \
		-Wl,--build-id=none,--no-warn-rwx-segments,-T,$< -o $@ \
		guest/kernel32/entry.S guest/kernel32/main.c
