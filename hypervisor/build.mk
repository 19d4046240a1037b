# SPDX-License-Identifier: MIT
# hypervisor.elf: freestanding, no SSE, own page tables, linked high.
HV_CFLAGS := -std=gnu11 -O2 -flto -fno-fat-lto-objects -g -ffreestanding -mno-red-zone -mgeneral-regs-only \
	-mcmodel=kernel -fno-pic -fno-pie -fno-stack-protector -fcf-protection=none \
	-fno-asynchronous-unwind-tables -fno-common -fno-strict-aliasing -nostdinc \
	-isystem $(shell $(CC) -print-file-name=include) \
	-Wall -Wextra -Werror -Wshadow -Wmissing-prototypes -Wvla -Wstrict-prototypes \
	-Wframe-larger-than=1536 -fno-tree-loop-distribute-patterns \
	-Ihypervisor/include -I.
HV_SRCS := $(wildcard hypervisor/core/*.c hypervisor/x86/*.c hypervisor/vmx/*.c \
	hypervisor/svm/*.c hypervisor/iommu/*.c hypervisor/check/*.c hypervisor/box/*.c hypervisor/x86/*.S hypervisor/vmx/*.S hypervisor/svm/*.S)
HV_OBJS := $(patsubst hypervisor/%,build/hypervisor/%.o,$(HV_SRCS)) \
	$(TEXT_SRCS:%=build/hypervisor/shared/%.o)

build/hypervisor/%.c.o: hypervisor/%.c
	@mkdir -p $(@D)
	$(CC) $(HV_CFLAGS) -MMD -MP -c $< -o $@

build/hypervisor/shared/%.c.o: %.c
	@mkdir -p $(@D)
	$(CC) $(HV_CFLAGS) -MMD -MP -c $< -o $@

build/hypervisor/%.S.o: hypervisor/%.S
	@mkdir -p $(@D)
	$(CC) $(HV_CFLAGS) -MMD -MP -c $< -o $@

build/hypervisor/hypervisor.elf: $(HV_OBJS) hypervisor/hypervisor.lds
	$(CC) $(HV_CFLAGS) -nostdlib -static -no-pie -Wl,-z,noexecstack,-z,max-page-size=4096,--build-id=none \
		-T hypervisor/hypervisor.lds -o $@ $(HV_OBJS)

# The same with an exit trace in front of three functions, for tests:
# qemu-test/trace/trace.c. Its objects are its own, without -flto: the linker
# wraps only what it can see.
TEST_ARTIFACTS += build/hypervisor/hypervisor-trace.elf

hv_comma := ,
HV_TRACE_WRAP := exit_handle vcpu_prepare partition_create_all
HV_TRACE_CFLAGS := $(filter-out -flto% -fno-fat-lto-objects,$(HV_CFLAGS))
HV_TRACE_OBJS := $(patsubst hypervisor/%,build/hypervisor/traced/%.o, \
	$(HV_SRCS)) $(TEXT_SRCS:%=build/hypervisor/traced/shared/%.o) \
	build/hypervisor/traced/trace.o

build/hypervisor/traced/%.o: hypervisor/%
	@mkdir -p $(@D)
	$(CC) $(HV_TRACE_CFLAGS) -MMD -MP -c $< -o $@

build/hypervisor/traced/shared/%.c.o: %.c
	@mkdir -p $(@D)
	$(CC) $(HV_TRACE_CFLAGS) -MMD -MP -c $< -o $@

build/hypervisor/traced/trace.o: qemu-test/trace/trace.c
	@mkdir -p $(@D)
	$(CC) $(HV_TRACE_CFLAGS) -MMD -MP -c $< -o $@

build/hypervisor/hypervisor-trace.elf: $(HV_TRACE_OBJS) hypervisor/hypervisor.lds
	$(CC) $(HV_TRACE_CFLAGS) -nostdlib -static -no-pie \
		-Wl,-z,noexecstack,-z,max-page-size=4096,--build-id=none \
		$(addprefix -Wl$(hv_comma)--wrap=,$(HV_TRACE_WRAP)) \
		-T hypervisor/hypervisor.lds -o $@ $(HV_TRACE_OBJS)

# And one with the hostile tests' oracle there: qemu-test/hostile/oracle.c.
TEST_ARTIFACTS += build/hypervisor/hypervisor-hostile.elf

HV_HOSTILE_WRAP := exit_handle vcpu_prepare partition_kill partition_create_all \
	lock_take lock_try lock_drop frame_take
HV_HOSTILE_OBJS := $(filter-out %/trace.o,$(HV_TRACE_OBJS)) \
	build/hypervisor/traced/oracle.o

build/hypervisor/traced/oracle.o: qemu-test/hostile/oracle.c
	@mkdir -p $(@D)
	$(CC) $(HV_TRACE_CFLAGS) -I. -MMD -MP -c $< -o $@

build/hypervisor/hypervisor-hostile.elf: $(HV_HOSTILE_OBJS) hypervisor/hypervisor.lds
	$(CC) $(HV_TRACE_CFLAGS) -nostdlib -static -no-pie \
		-Wl,-z,noexecstack,-z,max-page-size=4096,--build-id=none \
		$(addprefix -Wl$(hv_comma)--wrap=,$(HV_HOSTILE_WRAP)) \
		-T hypervisor/hypervisor.lds -o $@ $(HV_HOSTILE_OBJS)

-include $(HV_OBJS:.o=.d) $(HV_TRACE_OBJS:.o=.d) build/hypervisor/traced/oracle.d

# And one that tells what of it runs: qemu-test/coverage, tools/coverage. The
# compiler's calls need frames that the gate of the usual one has not.
HV_COVER_CFLAGS := $(filter-out -Wframe-larger-than=%,$(HV_TRACE_CFLAGS))
HV_COVER_OBJS := $(patsubst hypervisor/%,build/hypervisor/covered/%.o,$(HV_SRCS)) \
	$(TEXT_SRCS:%=build/hypervisor/traced/shared/%.o)

build/hypervisor/covered/%.c.o: hypervisor/%.c
	@mkdir -p $(@D)
	$(CC) $(HV_COVER_CFLAGS) -fsanitize-coverage=trace-pc \
		-fno-optimize-sibling-calls -MMD -MP -c $< -o $@

build/hypervisor/covered/%.S.o: hypervisor/%.S
	@mkdir -p $(@D)
	$(CC) $(HV_COVER_CFLAGS) -MMD -MP -c $< -o $@

build/hypervisor/hypervisor-coverage.elf: qemu-test/coverage/coverage.c $(HV_COVER_OBJS) \
		hypervisor/hypervisor.lds
	$(CC) $(HV_COVER_CFLAGS) -nostdlib -static -no-pie \
		-Wl,-z,noexecstack,-z,max-page-size=4096,--build-id=none \
		-T hypervisor/hypervisor.lds -o $@ $< $(HV_COVER_OBJS)

-include $(HV_COVER_OBJS:.o=.d)

# Mutants for boot tests: see their sources in qemu-test/mutants.
HV_MUTANT_OBJS := $(filter-out %/trace.o,$(HV_TRACE_OBJS))
HV_WRAP_entry_fail := vmx_vcpu_reset
HV_WRAP_stuck := paging_init cpuid_policy_init cpu_ap_entry
HV_WRAP_black_box := stage exit_handle box_nmi
HV_WRAP_restart := exit_handle vcpu_prepare

build/hypervisor/mutants/%.o: qemu-test/mutants/%.c
	@mkdir -p $(@D)
	$(CC) $(HV_TRACE_CFLAGS) -I. -MMD -MP -c $< -o $@

build/hypervisor/mutant-%.elf: build/hypervisor/mutants/%.o $(HV_MUTANT_OBJS) \
		hypervisor/hypervisor.lds
	$(CC) $(HV_TRACE_CFLAGS) -nostdlib -static -no-pie \
		-Wl,-z,noexecstack,-z,max-page-size=4096,--build-id=none \
		$(addprefix -Wl$(hv_comma)--wrap=,$(HV_WRAP_$*)) \
		-T hypervisor/hypervisor.lds -o $@ $< $(HV_MUTANT_OBJS)

# And those with a file changed (qemu-test/mutants/isolation.py): CHANGED is which of
# hypervisor/, BY what is compiled in its place, AS what is made. changed-hostile: with
# the hostile tests' oracle (qemu-test/mutants/registers.py).
.PHONY: changed-hypervisor changed-hostile
changed-hypervisor: HV_CHANGED_OBJS := $(HV_MUTANT_OBJS)
changed-hostile: HV_CHANGED_OBJS := $(HV_HOSTILE_OBJS)
changed-hostile: HV_CHANGED_WRAP := $(HV_HOSTILE_WRAP)
changed-hypervisor: $(HV_MUTANT_OBJS)
changed-hostile: $(HV_HOSTILE_OBJS)
changed-hypervisor changed-hostile:
	$(CC) $(HV_TRACE_CFLAGS) -I$(dir hypervisor/$(CHANGED)) -w -c $(BY) -o $(AS).o
	$(CC) $(HV_TRACE_CFLAGS) -nostdlib -static -no-pie \
		-Wl,-z,noexecstack,-z,max-page-size=4096,--build-id=none \
		$(addprefix -Wl$(hv_comma)--wrap=,$(HV_CHANGED_WRAP)) \
		-T hypervisor/hypervisor.lds -o $(AS) $(AS).o \
		$(filter-out build/hypervisor/traced/$(CHANGED).o,$(HV_CHANGED_OBJS))

.PRECIOUS: build/hypervisor/mutants/%.o
-include $(wildcard build/hypervisor/mutants/*.d)
