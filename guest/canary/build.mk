# SPDX-License-Identifier: MIT
# The canary of the hostile tests: on the payload's start-up, as guest/diff.
guest_canary_src := guest/payload/header.S guest/payload/machine.c \
	$(wildcard guest/canary/*.[cS])

TEST_ARTIFACTS += $(guest_out)/canary.bzImage

$(guest_out)/canary.bzImage: guest/payload/payload.lds $(guest_canary_src) \
		$(wildcard guest/payload/*.h guest/canary/*.h) \
		qemu-test/hostile/ports.h drivers/portio.h
	@mkdir -p $(@D)
	gcc $(guest_warn) -std=gnu11 -O2 -ffreestanding -fno-pic -fno-pie \
		-mno-red-zone -mgeneral-regs-only -fno-stack-protector \
		-fcf-protection=none -fno-asynchronous-unwind-tables \
		-fno-strict-aliasing -I. -Ihypervisor/include -nostdlib -static \
		-no-pie -Wl,-n \
		-Wl,--build-id=none,--no-warn-rwx-segments,-T,$< -o $@.elf \
		$(guest_canary_src)
	objcopy -O binary $@.elf $@
