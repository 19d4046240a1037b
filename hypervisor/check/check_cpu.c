/* SPDX-License-Identifier: MIT */
/*
 * What a CPU has been told: its own registers, and of the vCPUs that are pinned to it,
 * as its VMCSs and VMCBs say. [SDM3 "VM-Execution Control Fields", "Host-State Area";
 * APM2 "VMCB Layout, Control Area"]
 */
#include "../svm/svm.h"
#include "../vmx/vmx.h"
#include "check.h"

/* Of these bits a change must exit. */
#define CR0_OURS	(CR0_PE | CR0_NE | CR0_NW | CR0_CD | CR0_PG)
#define CR4_OURS	(CR4_PSE | CR4_PAE | CR4_MCE | CR4_VMXE | CR4_PCIDE | CR4_OSXSAVE | \
			 CR4_SMEP | CR4_SMAP)
#define EXCEPTIONS	(BIT32(X86_EXC_DB) | BIT32(X86_EXC_AC) | BIT32(X86_EXC_MC))
#define PIN_MUST	(PIN_EXT_INTR_EXIT | PIN_NMI_EXIT | PIN_VIRTUAL_NMIS | PIN_PREEMPTION_TIMER)
#define PROC_MUST	(PROC_HLT_EXIT | PROC_MWAIT_EXIT | PROC_RDPMC_EXIT | PROC_CR8_LOAD_EXIT | \
			 PROC_CR8_STORE_EXIT | PROC_IO_BITMAPS | PROC_MSR_BITMAPS | \
			 PROC_MONITOR_EXIT | PROC_SECONDARY | PROC_TSC_OFFSETTING)
#define PROC2_MUST	(PROC2_EPT | PROC2_VPID | PROC2_UNRESTRICTED | PROC2_WBINVD_EXIT)
#define EXIT_MUST	(EXIT_SAVE_DEBUG | EXIT_HOST_64 | EXIT_ACK_INTR | EXIT_SAVE_PAT | \
			 EXIT_LOAD_PAT | EXIT_SAVE_EFER | EXIT_LOAD_EFER)
#define ENTRY_MUST	(ENTRY_LOAD_DEBUG | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER)
#define MISC1_MUST	(MISC1(INTR) | MISC1(NMI) | MISC1(INIT) | MISC1(RDPMC) | MISC1(CPUID) | \
			 MISC1(RSM) | MISC1(INVD) | MISC1(HLT) | MISC1(INVLPGA) | \
			 MISC1(IOIO) | MISC1(MSR) | MISC1(TASK_SWITCH) | MISC1(SHUTDOWN))
#define MISC2_MUST	(MISC2(VMRUN) | MISC2(VMMCALL) | MISC2(VMLOAD) | MISC2(VMSAVE) | \
			 MISC2(STGI) | MISC2(CLGI) | MISC2(SKINIT) | MISC2(WBINVD) | \
			 MISC2(MONITOR) | MISC2(MWAIT) | MISC2(XSETBV) | MISC2(RDPRU))

/* The numbers: bits that some processors want to be 1. [SDM3 "VMX Capability Reporting
 * Facility"] */
static void vmcs(const struct vcpu *v, const struct percpu *pc)
{
	const struct partition *p = v->partition;
	uint64_t ports = ptr_hpa(p->native_ports).v;
	const struct check_rule rules[] = {
		{ vmread(VMCS_EPT_POINTER), p->gpm_root.v | 0x1e, 0, "EPT pointer" },
		{ vmread(VMCS_IO_BITMAP_A), ports, 0, "I/O bitmap A" },
		{ vmread(VMCS_IO_BITMAP_B), ports + PAGE_SIZE, 0, "I/O bitmap B" },
		{ vmread(VMCS_MSR_BITMAP), ptr_hpa(p->native_msrs).v, 0, "MSR bitmap" },
		{ vmread(VMCS_LINK_POINTER), ~0ull, 0, "VMCS link pointer" },
		{ vmread(VMCS_VPID), ((struct vmx_vcpu *)v->backend)->vpid, 0, "VPID" },
		{ vmread(VMCS_HOST_CR3), read_cr3(), 0, "host CR3" },
		{ vmread(VMCS_HOST_CR4), read_cr4(), 0, "host CR4" },
		{ vmread(VMCS_HOST_IA32_EFER), rdmsr(MSR_IA32_EFER), 0, "host EFER" },
		{ vmread(VMCS_HOST_IA32_PAT), PAT_RESET, 0, "host PAT" },
		{ vmread(VMCS_HOST_RIP), (uintptr_t)vmx_exit_point, 0, "host RIP" },
		{ vmread(VMCS_HOST_GS_BASE), (uintptr_t)pc, 0, "host GS base" },
		{ vmread(VMCS_HOST_GDTR_BASE), (uintptr_t)pc->gdt, 0, "host GDTR" },
		{ vmread(VMCS_HOST_TR_BASE), (uintptr_t)&pc->tss, 0, "host TR" },
		{ vmread(VMCS_HOST_IDTR_BASE), (uintptr_t)idt, 0, "host IDTR" },
		{ vmread(VMCS_HOST_CS_SELECTOR) | vmread(VMCS_HOST_SS_SELECTOR) << 16 |
		  vmread(VMCS_HOST_TR_SELECTOR) << 32, 0x1800100008, 0, "host CS, SS, TR" },
		{ vmread(VMCS_HOST_SYSENTER_CS) | vmread(VMCS_HOST_SYSENTER_EIP) |
		  vmread(VMCS_HOST_SYSENTER_ESP), 0, 0, "host SYSENTER" },
		{ vmread(VMCS_CR0_MASK), CR0_OURS, ~0ull, "CR0 mask" },
		{ vmread(VMCS_CR4_MASK), CR4_OURS, ~0ull, "CR4 mask" },
		{ vmread(VMCS_EXCEPTION_BITMAP), EXCEPTIONS, 0, "exception bitmap" },
		{ vmread(VMCS_PIN_BASED_CTLS), PIN_MUST, 0x16, "pin-based controls" },
		{ vmread(VMCS_PROC_BASED_CTLS), PROC_MUST, PROC_INTR_WINDOW |
		  PROC_NMI_WINDOW | PROC_MOV_DR_EXIT | 0x0401e172, "processor-based controls" },
		{ vmread(VMCS_PROC_BASED_CTLS2), PROC2_MUST, PROC2_RDTSCP | PROC2_INVPCID,
		  "secondary controls" },
		{ vmread(VMCS_EXIT_CTLS), EXIT_MUST, 0x36dff, "exit controls" },
		{ vmread(VMCS_ENTRY_CTLS), ENTRY_MUST, ENTRY_IA32E | 0x11ff, "entry controls" },
		{ vmread(VMCS_EXIT_MSR_STORE_COUNT) | vmread(VMCS_EXIT_MSR_LOAD_COUNT) |
		  vmread(VMCS_ENTRY_MSR_LOAD_COUNT) | vmread(VMCS_CR3_TARGET_COUNT), 0, 0,
		  "lists of MSRs, CR3 targets" },
	};

	check_rules(rules, ARRAY_SIZE(rules), p, v->index);
}

static void vmcb(const struct vcpu *v, const struct vmcb *b)
{
	const struct partition *p = v->partition;
	const struct check_rule rules[] = {
		{ b->n_cr3, p->gpm_root.v, 0, "nCR3" },
		{ b->np_enable, 1, 0, "nested paging" },
		{ b->iopm_base_pa, ptr_hpa(p->native_ports).v, 0, "I/O permissions map" },
		{ b->msrpm_base_pa, ptr_hpa(p->native_msrs).v, 0, "MSR permissions map" },
		{ b->guest_asid, ((struct svm_vcpu *)v->backend)->asid, 0, "ASID" },
		{ b->intercept_cr, CR_WRITE(0) | CR_WRITE(4) | CR_READ(4) | CR_READ(8) |
		  CR_WRITE(8), ~0u, "intercepts of control registers" },
		{ b->intercept_exc, EXCEPTIONS, ~0u, "intercepts of exceptions" },
		{ b->intercept_misc1, MISC1_MUST, ~0u, "intercepts 1" },
		{ b->intercept_misc2, MISC2_MUST, ~0u, "intercepts 2" },
		{ b->int_ctl, INT_CTL_V_INTR_MASKING, INT_CTL_V_IRQ | INT_CTL_V_IGN_TPR | 0xff,
		  "interrupt control" },
		{ b->lbr_control | b->clean, 0, 0, "virtualization of branches and more" },
		{ b->efer, EFER_SVME, ~0ull, "EFER" },
	};

	check_rules(rules, ARRAY_SIZE(rules), p, v->index);
}

/** This CPU's own registers, and its vCPUs' controls, as far as they have run. It is in
 * no guest, interrupts off. */
void check_cpu_state(void)
{
	const struct percpu *pc = this_cpu();
	const struct check_rule own[] = {
		{ read_cr3(), paging_cr3, 0, "a CPU's CR3" },
		{ read_cr0(), CR0_PG | CR0_WP | CR0_PE, ~0ull, "a CPU's CR0" },
		{ rdmsr(MSR_IA32_EFER), EFER_NXE, ~0ull, "a CPU's EFER" },
	};
	const struct vmx_vcpu *current = pc->backend_current;

	check_rules(own, ARRAY_SIZE(own), NULL, pc->index);
	for (uint32_t i = 0; i < pc->vcpu_count; i++) {
		const struct vcpu *v = pc->vcpus[i];
		const struct vmx_vcpu *x = v->backend;
		const struct svm_vcpu *y = v->backend;

		if (CHECK_VMX && x->launched) {
			vmptrld(x->vmcs);
			vmcs(v, pc);
		} else if (!CHECK_VMX && y->vmcb->guest_asid) {
			vmcb(v, y->vmcb);
		}
	}
	if (CHECK_VMX && current) {
		vmptrld(current->vmcs);
	}
}
