# SPDX-License-Identifier: MIT
# BOOTX64.EFI: the loader, a GNU-EFI program.

BOOT_LIBFDT := build/deps/libfdt
BOOT_OUT := build/boot
BOOT_SRCS := $(wildcard boot/*.c)
BOOT_OBJS := $(BOOT_SRCS:boot/%.c=$(BOOT_OUT)/%.o) \
	$(BOOT_OUT)/proto/sha256.o $(BOOT_OUT)/proto/black_box.o $(BOOT_OUT)/drivers/tco.o \
	$(patsubst %,$(BOOT_OUT)/drivers/uart_%.o,places poll regs) \
	$(TEXT_SRCS:%.c=$(BOOT_OUT)/%.o) $(BOOT_OUT)/fdt.o $(BOOT_OUT)/fdt_ro.o

BOOT_CFLAGS := -std=gnu11 -O2 -g -ffreestanding -fpic -fshort-wchar \
	-fno-stack-protector -fno-strict-aliasing -mno-red-zone \
	-mgeneral-regs-only -fcf-protection=none -fno-asynchronous-unwind-tables \
	-fno-tree-loop-distribute-patterns -DGNU_EFI_USE_MS_ABI -I. \
	-isystem /usr/include/efi -isystem /usr/include/efi/x86_64 \
	-isystem $(BOOT_LIBFDT) -DFDT_ASSUME_MASK=4 -MMD -MP
BOOT_WARN := -Wall -Wextra -Werror -Wshadow -Wmissing-prototypes -Wvla

ARTIFACTS += $(BOOT_OUT)/BOOTX64.EFI

$(BOOT_OUT)/%.o: boot/%.c | $(BOOT_LIBFDT)
	@mkdir -p $(@D)
	$(CC) $(BOOT_CFLAGS) $(BOOT_WARN) -c $< -o $@

$(BOOT_OUT)/proto/%.o: proto/%.c
	@mkdir -p $(@D)
	$(CC) $(BOOT_CFLAGS) $(BOOT_WARN) -c $< -o $@

$(BOOT_OUT)/drivers/%.o: drivers/%.c
	@mkdir -p $(@D)
	$(CC) $(BOOT_CFLAGS) $(BOOT_WARN) -c $< -o $@

$(BOOT_OUT)/text/%.o: text/%.c
	@mkdir -p $(@D)
	$(CC) $(BOOT_CFLAGS) $(BOOT_WARN) -c $< -o $@

$(BOOT_OUT)/build/text/%.o: build/text/%.c
	@mkdir -p $(@D)
	$(CC) $(BOOT_CFLAGS) $(BOOT_WARN) -c $< -o $@

# libfdt, with our flags: its own warnings are not ours.
$(BOOT_OUT)/fdt.o $(BOOT_OUT)/fdt_ro.o: $(BOOT_LIBFDT)
	@mkdir -p $(@D)
	$(CC) $(BOOT_CFLAGS) -c $</$(@F:.o=.c) -o $@

# GNU-EFI 3.0.18 calls _entry, of its own library, where older ones call efi_main;
# and it leaves .rodata a section of its own. For DOCTOR.EFI, too.
define BOOT_LINK
	$(LD) -nostdlib -shared -Bsymbolic -znocombreloc -z noexecstack \
		--no-warn-rwx-segments --fatal-warnings --defsym=_entry=efi_main \
		-T /usr/lib/elf_x86_64_efi.lds /usr/lib/crt0-efi-x86_64.o $^ \
		/usr/lib/libgnuefi.a -o $@
	@! nm -u $@ | grep . || { rm $@; false; }
endef
define BOOT_EFI
	objcopy -j .text -j .sdata -j .data -j .rodata -j .dynamic -j .dynsym \
		-j .rel -j .rela -j .reloc --target efi-app-x86_64 \
		--subsystem=10 $< $@
endef

$(BOOT_OUT)/boot.so: $(BOOT_OBJS)
	$(BOOT_LINK)

$(BOOT_OUT)/BOOTX64.EFI: $(BOOT_OUT)/boot.so
	$(BOOT_EFI)

-include $(wildcard $(BOOT_OUT)/*.d $(BOOT_OUT)/proto/*.d $(BOOT_OUT)/drivers/*.d $(BOOT_OUT)/text/*.d)
