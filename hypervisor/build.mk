# SPDX-License-Identifier: MIT
# hypervisor.elf: freestanding, no SSE, own page tables, linked high.
HV_CFLAGS := -std=gnu11 -O2 -g -ffreestanding -mno-red-zone -mgeneral-regs-only \
	-mcmodel=kernel -fno-pic -fno-pie -fno-stack-protector -fcf-protection=none \
	-fno-asynchronous-unwind-tables -fno-common -fno-strict-aliasing -nostdinc \
	-isystem $(shell $(CC) -print-file-name=include) \
	-Wall -Wextra -Werror -Wshadow -Wmissing-prototypes -Wvla -Wstrict-prototypes \
	-Wframe-larger-than=1536 -Ihypervisor/include
HV_SRCS := $(wildcard hypervisor/core/*.c hypervisor/x86/*.c hypervisor/vmx/*.c \
	hypervisor/svm/*.c hypervisor/x86/*.S hypervisor/vmx/*.S hypervisor/svm/*.S)
HV_OBJS := $(patsubst hypervisor/%,build/hypervisor/%.o,$(HV_SRCS))

build/hypervisor/%.c.o: hypervisor/%.c
	@mkdir -p $(@D)
	$(CC) $(HV_CFLAGS) -MMD -MP -c $< -o $@

build/hypervisor/%.S.o: hypervisor/%.S
	@mkdir -p $(@D)
	$(CC) $(HV_CFLAGS) -MMD -MP -c $< -o $@

build/hypervisor/hypervisor.elf: $(HV_OBJS) hypervisor/hypervisor.lds
	$(CC) -nostdlib -static -no-pie -Wl,-z,noexecstack,-z,max-page-size=4096,--build-id=none \
		-T hypervisor/hypervisor.lds -o $@ $(HV_OBJS)

-include $(HV_OBJS:.o=.d)
