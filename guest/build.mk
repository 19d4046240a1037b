# SPDX-License-Identifier: MIT
# The Linux partition: kernel, channel driver, init with the agent, the three
# initramfs archives, the bare test payload, the benchmark.
#
# Boot cost is looked at with initcall_debug, and counted by the time stamp
# counter that init prints first ("up, tsc N"): on Bochs one tick is one
# instruction from the kernel's entry on.

guest_out := build/guest
guest_init_src := $(filter-out proto/sha256.c proto/black_box.c,$(wildcard guest/init/*.c proto/*.c))
guest_driver_src := $(wildcard guest/driver/*.[ch] guest/driver/Kbuild)
guest_kernel := build/deps/linux-build
guest_debian := build/deps/debian-kernel

ARTIFACTS += $(addprefix $(guest_out)/,bzImage initrd.cpio initrd-distro.cpio)
TEST_ARTIFACTS += $(addprefix $(guest_out)/,initrd-debian.cpio vmlinuz-debian \
	payload.bzImage hvbench)

guest_warn := -Wall -Wextra -Werror -Wshadow -Wmissing-prototypes -Wvla
# musl: a static init of 70 KB. Its gcc does not look for kernel headers.
guest_cc := musl-gcc -std=gnu11 -Os $(guest_warn) -static -s -I. \
	-idirafter /usr/include -idirafter /usr/include/x86_64-linux-gnu \
	-ffunction-sections -fdata-sections -Wl,--gc-sections

$(guest_out)/bzImage: $(guest_kernel)
	@mkdir -p $(@D)
	cp $</bzImage $@

$(guest_out)/vmlinuz-debian: $(guest_debian)
	@mkdir -p $(@D)
	cp $</vmlinuz $@

$(guest_out)/init: $(guest_init_src) $(wildcard guest/init/*.h proto/*.h)
	@mkdir -p $(@D)
	$(guest_cc) -o $@ $(guest_init_src)

$(guest_out)/gen_init_cpio: build/deps/linux
	@mkdir -p $(@D)
	gcc -O2 -o $@ $</usr/gen_init_cpio.c

# The driver is built from a copy, with the ABI headers beside it: kbuild
# writes where its sources are. Debian's kernel would have it described in BTF,
# which wants pahole and is of no use to it.
guest_own_build := $(guest_kernel)/build
guest_debian_build := $(guest_debian)/headers
guest_abi := $(wildcard hypervisor/include/abi/*.h)
guest_proto := $(addprefix proto/,channel_device.h fuse_channel.h nbd.h \
	net_channel.h ring.h)

$(guest_out)/driver/%/isthmus.ko: $(guest_driver_src) $(guest_abi) \
		$(guest_proto) build/deps/linux
	@rm -rf $(@D) && mkdir -p $(@D)/abi $(@D)/proto
	@cp $(guest_driver_src) build/deps/linux/fs/fuse/fuse_i.h $(@D)
	@cp $(guest_abi) $(@D)/abi
	@cp $(guest_proto) $(@D)/proto
	$(MAKE) -s -C $(guest_$*_build) M=$(abspath $(@D)) \
		CONFIG_DEBUG_INFO_BTF_MODULES= modules

$(guest_out)/driver/own/isthmus.ko: $(guest_kernel)
# Somebody else's build, and not always the version of our sources.
$(guest_out)/driver/debian/isthmus.ko: $(guest_debian) \
	$(guest_out)/fuse-header-checked

$(guest_out)/fuse-header-checked: guest/check-fuse-header $(guest_debian) \
		build/deps/linux
	@mkdir -p $(@D)
	guest/check-fuse-header $(realpath build/deps/linux) \
		$(abspath $(guest_debian_build))
	@touch $@

# The archives: initrd.list, and the modules in the order init loads them.
guest_initrd_inputs := $(guest_out)/init $(guest_out)/gen_init_cpio \
	guest/initrd.list guest/mkinitrd $(wildcard guest/etc/*) \
	build/deps/busybox
guest_mkinitrd = guest/mkinitrd $(guest_out) build/deps/busybox/busybox $@

$(guest_out)/initrd.cpio: $(guest_out)/driver/own/isthmus.ko \
		$(guest_initrd_inputs)
	$(guest_mkinitrd) $<

# What only distributions need: plain boots do not pay for it.
$(guest_out)/initrd-distro.cpio: guest/mkinitrd-distro $(guest_kernel) \
		build/deps/tar build/deps/mke2fs $(guest_out)/gen_init_cpio
	$< $(guest_out)/gen_init_cpio $(guest_kernel)/modules \
		build/deps/tar/tar build/deps/mke2fs/mke2fs $@

CHECKS += distro
.PHONY: check-distro
check-distro: $(guest_out)/init build/deps/tar build/deps/mke2fs \
		build/suites/serve
	@qemu-test/distro/program_test.py

# The stock kernel has the file system, and what the driver needs, as modules.
$(guest_out)/initrd-debian.cpio: $(guest_out)/driver/debian/isthmus.ko \
		$(guest_initrd_inputs) guest/module-order
	modules=$$(guest/module-order $(guest_debian)/modules fuse $<) && \
		$(guest_mkinitrd) $$modules

# The bare payload that tries what it must not: payload/main.c.
$(guest_out)/payload.bzImage: guest/payload/payload.lds \
		$(wildcard guest/payload/*.[chS]) drivers/portio.h $(guest_abi) \
		$(wildcard proto/*.h) qemu-test/hostile/ports.h
	@mkdir -p $(@D)
	gcc $(guest_warn) -std=gnu11 -Os -ffreestanding -fno-pic -fno-pie \
		-mno-red-zone -mgeneral-regs-only -fno-stack-protector \
		-fcf-protection=none -fno-asynchronous-unwind-tables \
		-I. -Ihypervisor/include -nostdlib -static -no-pie -Wl,-n \
		-Wl,--build-id=none,--no-warn-rwx-segments,-T,$< -o $@.elf \
		$(wildcard guest/payload/*.[cS])
	objcopy -O binary $@.elf $@

$(guest_out)/hvbench: $(wildcard guest/bench/*.[ch])
	@mkdir -p $(@D)
	gcc $(guest_warn) -std=gnu11 -O2 -static -o $@ $(filter %.c,$^)

-include guest/diff/build.mk
-include guest/kernel32/build.mk
-include guest/canary/build.mk
