# SPDX-License-Identifier: MIT
# The differential test's program: own sections on the payload's start-up.
guest_diff_src := guest/payload/header.S guest/payload/machine.c \
	$(wildcard guest/diff/*.[cS])

TEST_ARTIFACTS += $(guest_out)/diff.bzImage

$(guest_out)/diff.bzImage: guest/payload/payload.lds $(guest_diff_src) \
		$(wildcard guest/payload/*.h guest/diff/*.h) drivers/portio.h $(guest_abi)
	@mkdir -p $(@D)
	gcc $(guest_warn) -std=gnu11 -Os -ffreestanding -fno-pic -fno-pie \
		-mno-red-zone -mgeneral-regs-only -fno-stack-protector \
		-fcf-protection=none -fno-asynchronous-unwind-tables \
		-fno-strict-aliasing -I. -Ihypervisor/include -nostdlib -static \
		-no-pie -Wl,-n \
		-Wl,--build-id=none,--no-warn-rwx-segments,-T,$< -o $@.elf \
		$(guest_diff_src)
	objcopy -O binary $@.elf $@
