# SPDX-License-Identifier: MIT
# Unit tests of the hypervisor: pure parts, and parts run against fakes. The
# sources under test are the hypervisor's own, built for the build machine.

HV_UNIT := hv_decode hv_mmio hv_memory hv_hypercall hv_vlapic hv_policy \
	hv_log hv_exit hv_vcpu hv_vmcs hv_check hv_mc hv_cost_vmx hv_cost_svm \
	hv_asid hv_execute hv_release hv_day hv_fork hv_fork_life \
	hv_fork_prepare hv_fork_kill hv_record
HV_UNIT += hv_life hv_svm_vcpu hv_vmx
HV_UNIT += hv_kvmclock
HV_UNIT += hv_restart
HV_UNIT += hv_sched hv_sched_order hv_fair
HV_UNIT += hv_channel
HV_UNIT += hv_xsave
HV_UNIT += hv_paging
HV_UNIT += hv_box
HV_UNIT += hv_lapic
HV_UNIT += hv_trap
HV_UNIT += hv_irq
HV_UNIT += hv_pci hv_pci_config
HV_UNIT += hv_vtd hv_amdvi
HV_UNIT += hv_hold hv_grow hv_scale hv_threads
HV_UNIT += hv_check_cpu
HV_UNIT += hv_isolation_vmx hv_isolation_svm hv_isolation_cost_svm
UNIT_TESTS += $(HV_UNIT)

hv_decode_UNDER := vmx/decode.c
hv_mmio_UNDER := x86/mmio.c x86/guest_fetch.c
hv_memory_UNDER := core/fork.c core/frame.c core/gpm.c core/partition.c core/promise.c \
	core/donate.c core/release.c
hv_life_UNDER := $(hv_memory_UNDER)
hv_restart_UNDER := $(hv_memory_UNDER) core/channel.c core/restart.c
hv_hypercall_UNDER := core/hypercall.c
hv_vlapic_UNDER := x86/vlapic.c
hv_policy_UNDER := x86/cpuid.c x86/msr.c
hv_xsave_UNDER := x86/cpuid.c
hv_log_UNDER := core/log.c
hv_exit_UNDER := core/exit.c
hv_vcpu_UNDER := core/vcpu.c
hv_vmcs_UNDER := vmx/vcpu.c x86/msr.c x86/cpuid.c x86/vlapic.c
hv_check_UNDER := vmx/check.c
hv_check_cpu_UNDER := check/check.c check/check_cpu.c
hv_channel_UNDER := $(hv_memory_UNDER) core/channel.c
hv_paging_UNDER := x86/paging.c
hv_box_UNDER := box/box.c
hv_trap_UNDER := x86/desc.c
hv_irq_UNDER := x86/irq.c
hv_kvmclock_UNDER := x86/kvmclock.c x86/vlapic.c
hv_pci_UNDER := core/pci.c
hv_pci_config_UNDER := x86/pci_config.c
hv_lapic_UNDER := x86/lapic.c x86/tsc.c
hv_sched_UNDER := core/sched.c core/lock.c
hv_fair_UNDER := core/sched.c
hv_mc_UNDER := x86/mc.c
hv_iommu_UNDER := iommu/iommu.c iommu/iommu_domain.c iommu/iommu_report.c \
	iommu/vtd.c iommu/amdvi.c
hv_iommu_UNDER += check/check.c check/check_map.c check/check_guest.c iommu/iommu_check.c
hv_vtd_UNDER := $(hv_iommu_UNDER)
hv_amdvi_UNDER := $(hv_iommu_UNDER)
hv_execute_UNDER := $(hv_memory_UNDER)
hv_hold_UNDER := $(hv_memory_UNDER) core/channel.c
hv_grow_UNDER := $(hv_hold_UNDER)
hv_scale_UNDER := $(hv_hold_UNDER)
hv_threads_UNDER := $(hv_hold_UNDER) core/lock.c
hv_release_UNDER := $(hv_memory_UNDER)
hv_day_UNDER := $(hv_memory_UNDER)
hv_fork_UNDER := $(hv_memory_UNDER) core/channel.c
hv_fork_life_UNDER := $(hv_fork_UNDER)
hv_fork_kill_UNDER := $(hv_fork_UNDER)
hv_fork_prepare_UNDER := core/vcpu.c
hv_isolation_UNDER := $(hv_fork_UNDER) check/check.c check/check_map.c check/check_guest.c \
	iommu/iommu_check.c
hv_isolation_vmx_UNDER := $(hv_isolation_UNDER) core/restart.c
hv_isolation_svm_UNDER := $(hv_isolation_UNDER) core/restart.c
hv_isolation_cost_svm_UNDER := $(hv_isolation_UNDER)
hv_record_UNDER := $(hv_fork_UNDER) core/record.c x86/vlapic.c x86/msr.c \
	x86/cpuid.c x86/kvmclock.c x86/guest_fetch.c svm/vcpu.c svm/check.c svm/decode.c

hv_cost_UNDER := core/exit.c core/hypercall.c core/vcpu.c x86/lapic.c x86/msr.c
hv_cost_vmx_UNDER := $(hv_cost_UNDER) vmx/decode.c vmx/vcpu.c vmx/vmx.c
hv_asid_UNDER := svm/check.c svm/decode.c svm/vcpu.c svm/svm.c
hv_svm_vcpu_UNDER := $(hv_asid_UNDER)
hv_vmx_UNDER := vmx/decode.c vmx/vcpu.c vmx/vmx.c
hv_cost_svm_UNDER := $(hv_cost_UNDER) svm/decode.c svm/vcpu.c svm/svm.c

$(foreach t,$(HV_UNIT),\
	$(eval $(t)_SRCS := qemu-test/unit/$(t)_test.c \
		qemu-test/unit/fake/hv_fakes.c qemu-test/unit/fake/hv_box.c \
		$(addprefix hypervisor/,$($(t)_UNDER)))\
	$(eval $(t)_CFLAGS := -include qemu-test/unit/fake/hv_machine.h \
		-Iqemu-test/unit/fake))
hv_memory_SRCS += qemu-test/unit/fake/hv_memory.c
hv_life_SRCS += qemu-test/unit/fake/hv_memory.c
hv_restart_SRCS += qemu-test/unit/fake/hv_memory.c
hv_execute_SRCS += qemu-test/unit/fake/hv_memory.c
hv_release_SRCS += qemu-test/unit/fake/hv_memory.c
hv_day_SRCS += qemu-test/unit/fake/hv_memory.c
hv_day_CFLAGS += -DMACHINE_MIB=512
$(foreach t,hv_fork hv_fork_life hv_fork_kill hv_record hv_isolation_vmx hv_isolation_svm,$(eval $(t)_SRCS += \
	qemu-test/unit/fake/hv_memory.c qemu-test/unit/fake/hv_fork.c))
hv_log_SRCS += $(TEXT_SRCS)
$(foreach t,hv_vtd hv_amdvi,$(eval $(t)_CFLAGS += -fPIC)$(eval $(t)_SRCS += \
	qemu-test/unit/fake/hv_iommu.c qemu-test/unit/fake/hv_check.c))
# The same test on a processor of each vendor.
$(foreach t,vmx svm,$(eval hv_cost_$(t)_SRCS := \
	$(patsubst %/hv_cost_$(t)_test.c,%/hv_cost_test.c \
		qemu-test/unit/cost_$(t).c \
		qemu-test/unit/cost_never.c,$(hv_cost_$(t)_SRCS))))
# The same with the entries of each vendor; -fPIC: symbols where the hypervisor's are.
$(foreach t,vmx svm,$(foreach n,hv_isolation hv_isolation_cost,\
	$(eval $(n)_$(t)_SRCS := $(patsubst %/$(n)_$(t)_test.c,%/$(n)_test.c,$($(n)_$(t)_SRCS)))\
	$(eval $(n)_$(t)_CFLAGS += -DFORMAT=hvm_$(t) -fPIC)))
# Compiled as the hypervisor is, as its instructions are counted.
hv_steps_CFLAGS := -D_GNU_SOURCE -O2 -fno-sanitize=all -mgeneral-regs-only \
	-fno-stack-protector -fcf-protection=none -fno-strict-aliasing \
	-ffreestanding -mno-red-zone
hv_hold_CFLAGS += $(hv_steps_CFLAGS)
hv_grow_CFLAGS += $(hv_steps_CFLAGS)
hv_isolation_cost_svm_CFLAGS += $(hv_steps_CFLAGS) -fno-pic -fno-pie -mcmodel=kernel
hv_isolation_cost_svm_LIBS := -no-pie
# ThreadSanitizer has other addresses for itself.
hv_threads_CFLAGS += -fno-sanitize=all -fsanitize=thread -DDMAP_BASE=0x1000000000ull
hv_threads_LIBS := -fno-sanitize=all -fsanitize=thread \
	-Wl,--wrap=lock_take,--wrap=lock_try,--wrap=lock_drop
# The CPU's flags, or RIP, in a signal handler.
hv_vcpu_CFLAGS += -D_GNU_SOURCE
hv_vmx_CFLAGS += -D_GNU_SOURCE
hv_vtd_CFLAGS += -D_GNU_SOURCE
hv_fork_kill_CFLAGS += -D_GNU_SOURCE
hv_fork_kill_LIBS := -Wl,--wrap=lock_drop
