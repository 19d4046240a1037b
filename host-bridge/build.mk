# SPDX-License-Identifier: MIT
# host-bridge.elf: the host partition's program, on newlib.

HOST_OUT := build/host-bridge
HOST_LIBFDT := build/deps/libfdt
HOST_NEWLIB := build/deps/newlib
HOST_EXT2FS := build/deps/ext2fs
HOST_LWIP := build/deps/lwip

# What the loader alone has of the two is left out.
HOST_SRCS := $(filter-out proto/black_box.c drivers/tco.c drivers/uart_places.c, \
	$(wildcard host-bridge/*.c host-bridge/*/*.c host-bridge/*/*/*.c proto/*.c drivers/*.c)) $(TEXT_SRCS)
HOST_ASMS := $(wildcard host-bridge/*/*.S)
HOST_OBJS := $(HOST_SRCS:%.c=$(HOST_OUT)/%.o) $(HOST_ASMS:%.S=$(HOST_OUT)/%.o) \
	$(HOST_OUT)/fdt.o $(HOST_OUT)/fdt_ro.o

# lwIP, with the options in host-bridge/net/lwip. Its files are not known before it
# is fetched, so it becomes an archive: $(1) compiles, $(2) is ar. In place of its
# memp.c there is net/stack_pools.c.
LWIP_INCLUDES := -Ihost-bridge/net/lwip -isystem $(HOST_LWIP)/src/include
LWIP_FILES := core/*.c core/ipv4/*.c core/ipv6/*.c netif/ethernet.c \
	apps/sntp/sntp.c
LWIP_OPTIONS := $(wildcard host-bridge/net/lwip/*.h host-bridge/net/lwip/arch/*.h)
LWIP_NEEDS := $(HOST_LWIP) $(LWIP_OPTIONS)
define LWIP_ARCHIVE
	@rm -rf $@ $@.d && mkdir -p $@.d
	@cd $(HOST_LWIP)/src && ls $(LWIP_FILES) | grep -v memp | (cd $(CURDIR) && xargs -P 2 -I% \
		sh -c '$(1) -w -c $(HOST_LWIP)/src/% -o $@.d/$$(basename % .c).o')
	@$(2) rcsD $@ $@.d/*.o
endef

# No red zone: the trap entries and hc_entry's call use the stack. A freestanding
# machine, not Linux, is what the headers of newlib and libext2fs shall see.
# Link-time optimisation is worth a tenth of the instructions of an RPC. Blocks are
# copied by rt/mem.S, which is faster than what the compiler makes in place.
HOST_CFLAGS := -std=gnu11 -O2 -g -flto -fno-fat-lto-objects \
	-flto-partition=one -mmemcpy-strategy=libcall:-1:noalign \
	-mno-red-zone -fno-pic -fno-pie -mcmodel=small \
	-fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables \
	-ffunction-sections -fdata-sections -U__linux__ -U__linux -Ulinux \
	-U__gnu_linux__ -U__unix__ -U__unix -Uunix -nostdinc \
	-isystem $(HOST_NEWLIB)/include \
	-isystem $(shell $(CC) -print-file-name=include) -I. \
	-Ihypervisor/include -isystem $(HOST_LIBFDT) \
	-isystem host-bridge/rt/compat -isystem $(HOST_EXT2FS)/include \
	$(LWIP_INCLUDES)
HOST_WARN := -Wall -Wextra -Werror -Wshadow -Wmissing-prototypes -Wvla

ARTIFACTS += $(HOST_OUT)/host-bridge.elf

$(HOST_OUT)/%.o: %.c host-bridge/build.mk | $(HOST_NEWLIB) $(HOST_LIBFDT) $(HOST_EXT2FS) \
		$(HOST_LWIP)
	@mkdir -p $(@D)
	$(CC) $(HOST_CFLAGS) $(HOST_WARN) -MMD -MP -c $< -o $@

$(HOST_OUT)/%.o: %.S
	@mkdir -p $(@D)
	$(CC) -I$(HOST_OUT) -c $< -o $@

$(HOST_OUT)/host-bridge/guest/linux_dsdt.o: $(HOST_OUT)/linux_dsdt.aml

$(HOST_OUT)/linux_dsdt.aml: host-bridge/guest/linux_dsdt.dsl
	@mkdir -p $(@D)
	iasl -vs -p $(@:.aml=) $< >$(@:.aml=.txt) || { cat $(@:.aml=.txt); false; }

# lwIP's headers include these, so that they are none of ours to the compiler.
$(filter $(HOST_OUT)/host-bridge/net/% $(HOST_OUT)/host-bridge/ui/%,$(HOST_OBJS)): \
	$(LWIP_OPTIONS)

# libfdt, with our flags: its own warnings are not ours.
$(HOST_OUT)/fdt.o $(HOST_OUT)/fdt_ro.o: $(HOST_LIBFDT)
	@mkdir -p $(@D)
	$(CC) $(HOST_CFLAGS) -c $</$(@F:.o=.c) -o $@

$(HOST_OUT)/lwip.a: $(LWIP_NEEDS) host-bridge/build.mk | $(HOST_NEWLIB)
	$(call LWIP_ARCHIVE,$(CC) $(HOST_CFLAGS),gcc-ar)

HOST_LINK = $(CC) $(HOST_CFLAGS) -nostdlib -static -no-pie \
	-Wl,--gc-sections,-z,noexecstack,--fatal-warnings,--build-id=none \
	-T host-bridge/rt/host-bridge.lds -Wl,-Map,$(@:.elf=.map) $(1) \
	-Wl,--start-group $(HOST_EXT2FS)/lib/libext2fs.a \
	$(HOST_EXT2FS)/lib/libcom_err.a $(HOST_OUT)/lwip.a $(HOST_NEWLIB)/lib/libc.a \
	$(shell $(CC) -print-libgcc-file-name) -Wl,--end-group -o $@

$(HOST_OUT)/host-bridge.elf: $(HOST_OBJS) $(HOST_OUT)/lwip.a host-bridge/rt/host-bridge.lds
	$(call HOST_LINK,$(HOST_OBJS))

-include $(HOST_OBJS:.o=.d)

# The same program on a bare emulator: hypercalls are answered in C.
HOST_MOCK_OBJS := $(HOST_OUT)/mock/mock.o $(HOST_OUT)/mock/mock_start.o

$(HOST_OUT)/mock/%.o: qemu-test/mock/%.c host-bridge/build.mk | $(HOST_NEWLIB)
	@mkdir -p $(@D)
	$(CC) $(HOST_CFLAGS) $(HOST_WARN) -MMD -MP -c $< -o $@

$(HOST_OUT)/mock/mock_start.o: qemu-test/mock/mock_start.S $(HOST_OUT)/mock.dtb
	@mkdir -p $(@D)
	$(CC) -I$(HOST_OUT) -c $< -o $@

$(HOST_OUT)/mock.dtb: qemu-test/mock/mock.dts
	@mkdir -p $(@D)
	dtc -q -O dtb -o $@ $<

$(HOST_OUT)/host-bridge-mock.elf: $(HOST_OBJS) $(HOST_MOCK_OBJS) $(HOST_OUT)/lwip.a \
		host-bridge/rt/host-bridge.lds
	$(call HOST_LINK,$(HOST_OBJS) $(HOST_MOCK_OBJS))

CHECKS += host-console
.PHONY: check-host-console
check-host-console: $(HOST_OUT)/host-bridge-mock.elf
	@qemu-test/mock/console_test.py

# And with a test of PCI in it (qemu-test/pci/). The linker wraps only what it
# can see, so the file whose call is wrapped is built without -flto.
TEST_ARTIFACTS += $(HOST_OUT)/host-bridge-probe.elf

HOST_PROBE_OBJS := $(HOST_OUT)/probe/main.o $(HOST_OUT)/probe/probe.o \
	$(HOST_OUT)/probe/storm.o

$(HOST_OUT)/probe/main.o: host-bridge/main.c
$(HOST_OUT)/probe/probe.o: qemu-test/pci/probe.c
$(HOST_OUT)/probe/storm.o: qemu-test/pci/storm.c
$(HOST_PROBE_OBJS) $(HOST_OUT)/probe/host.o: host-bridge/build.mk | $(HOST_NEWLIB) $(HOST_LIBFDT) $(HOST_EXT2FS)
	@mkdir -p $(@D)
	$(CC) $(filter-out -flto% -fno-fat-lto-objects,$(HOST_CFLAGS)) $(HOST_WARN) \
		-MMD -MP -c $(filter %.c,$^) -o $@

$(HOST_OUT)/host-bridge-probe.elf: $(HOST_PROBE_OBJS) $(HOST_OBJS) $(HOST_OUT)/lwip.a \
		host-bridge/rt/host-bridge.lds
	$(call HOST_LINK,-Wl$(hv_comma)--wrap=pci_init $(HOST_PROBE_OBJS) \
		$(filter-out $(HOST_OUT)/host-bridge/main.o,$(HOST_OBJS)))

# And with an enemy in it (qemu-test/hostile/host.c), likewise.
TEST_ARTIFACTS += $(HOST_OUT)/host-bridge-hostile.elf

HOST_HOSTILE_OBJS := $(HOST_OUT)/probe/main.o $(HOST_OUT)/probe/host.o

$(HOST_OUT)/probe/host.o: qemu-test/hostile/host.c

$(HOST_OUT)/host-bridge-hostile.elf: $(HOST_HOSTILE_OBJS) $(HOST_OBJS) $(HOST_OUT)/lwip.a \
		host-bridge/rt/host-bridge.lds
	$(call HOST_LINK,-Wl$(hv_comma)--wrap=pci_init $(HOST_HOSTILE_OBJS) \
		$(filter-out $(HOST_OUT)/host-bridge/main.o,$(HOST_OBJS)))

-include $(HOST_PROBE_OBJS:.o=.d) $(HOST_OUT)/probe/host.d
