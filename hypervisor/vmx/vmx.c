/* SPDX-License-Identifier: MIT */
/*
 * The VT-x backend: VMX operation on each CPU, a VMCS for each vCPU, and the
 * run from VM entry to VM exit. A VMCS is used only on the CPU its vCPU is
 * pinned to, so VMCLEAR is needed only at a reset, to make it launchable anew,
 * and never to move it. No locks. The processor is believed; what it lacks
 * ends the start-up with a sentence.
 */
#include <hv.h>
#include <partition.h>
#include <percpu.h>
#include <x86.h>
#include "vmx.h"

/* IA32_FEATURE_CONTROL. [SDM3 "Enabling and Entering VMX Operation"] */
#define FEATURE_CONTROL_LOCK	BIT64(0)
#define FEATURE_CONTROL_VMXON	BIT64(2)

/* IA32_VMX_EPT_VPID_CAP. [SDM3 "VPID and EPT Capabilities"] */
#define EPT_CAP_WALK4		BIT64(6)
#define EPT_CAP_WB		BIT64(14)
#define EPT_CAP_2M		BIT64(16)
#define EPT_CAP_INVEPT_SINGLE	BIT64(25)
#define VPID_CAP_INVVPID_SINGLE	BIT64(41)
#define EPT_CAP_NEEDED	(EPT_CAP_WALK4 | EPT_CAP_WB | EPT_CAP_2M | \
			 EPT_CAP_INVEPT_SINGLE | VPID_CAP_INVVPID_SINGLE)

#define CPUID7_EDX_ARCH_CAP	BIT32(29)
#define ARCH_CAP_PSCHANGE_MC_NO	BIT64(6)

uint32_t vmx_ctls[VMX_CTLS];	/* written by probe, then constant */
static uint32_t timer_shift;	/* preemption timer: TSC >> shift */
/* what STAR, LSTAR, CSTAR and FMASK hold in each CPU */
static uint64_t cpu_syscall_msr[BOOT_MAX_CPUS][4];
/* whose these are: it changes them by vmx_load_syscalls() only */
static const struct vmx_vcpu *cpu_syscalls_of[BOOT_MAX_CPUS];

/* EPT entries; probe says what of split_exec. [SDM3 "EPT Translation
 * Mechanism"] */
static struct pt_format ept_format = {
	.table = 7,			/* read, write, execute */
	.present = 7,
	.leaf = BIT64(0) | BIT64(6),	/* readable, ignore the guest's PAT */
	.large = BIT64(7),
	.write = BIT64(1),
	.exec = BIT64(2),
	.no_exec = 0,
	.uncached = 0,			/* memory type 0 */
	.cached = 6ull << 3,		/* write-back */
};

/* Each control with the reason why it is set: those that must be, those that are if
 * possible, and what a processor without the first is. In this order: the MSR of the
 * secondary ones is there only with PROC_SECONDARY. */
static const struct {
	uint32_t msr, want, wish;
	const char *lacks;
} controls[VMX_CTLS] = {
	[CTL_PIN] = { MSR_IA32_VMX_PINBASED_CTLS,
		PIN_EXT_INTR_EXIT |	/* devices are ours */
		/* NMIs are the machine's, too; the guest's are virtual */
		PIN_NMI_EXIT | PIN_VIRTUAL_NMIS |
		PIN_PREEMPTION_TIMER,	/* time slices */
		0, "VT-x without preemption timer or virtual NMIs" },
	[CTL_PROC] = { MSR_IA32_VMX_PROCBASED_CTLS,
		PROC_TSC_OFFSETTING |	/* guests start at 0 */
		/* idle time is the scheduler's; counters are not shown */
		PROC_HLT_EXIT | PROC_MWAIT_EXIT | PROC_MONITOR_EXIT |
		PROC_RDPMC_EXIT |
		PROC_CR8_LOAD_EXIT | PROC_CR8_STORE_EXIT | /* a virtual TPR */
		PROC_MOV_DR_EXIT |	/* see vcpu_load_dr() */
		PROC_IO_BITMAPS | PROC_MSR_BITMAPS | PROC_SECONDARY,
		0, "VT-x without I/O or MSR bitmaps" },
	[CTL_PROC2] = { MSR_IA32_VMX_PROCBASED_CTLS2,
		PROC2_EPT | PROC2_VPID | PROC2_UNRESTRICTED |
		PROC2_WBINVD_EXIT,	/* the caches are everybody's */
		PROC2_RDTSCP | PROC2_INVPCID,	/* as CPUID says */
		"VT-x without EPT, VPID or unrestricted guest" },
	/* the exit takes the interrupt and tells its vector; DR7, PAT and EFER
	 * are each side's own */
	[CTL_EXIT] = { MSR_IA32_VMX_EXIT_CTLS,
		EXIT_SAVE_DEBUG | EXIT_HOST_64 | EXIT_ACK_INTR | EXIT_SAVE_PAT |
		EXIT_LOAD_PAT | EXIT_SAVE_EFER | EXIT_LOAD_EFER,
		0, "VT-x without loading of PAT and EFER" },
	[CTL_ENTRY] = { MSR_IA32_VMX_ENTRY_CTLS,
		ENTRY_LOAD_DEBUG | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER,
		0, "VT-x without loading of PAT and EFER" },
};

/**
 * The capability MSR of a control, the TRUE_ one where there is one: only that
 * allows some controls, CR3 exits among them, to be 0. [SDM3 "Basic VMX
 * Information"]
 */
uint64_t vmx_ctl_cap(enum vmx_ctl c)
{
	bool true_ctls = c != CTL_PROC2 &&
			 (rdmsr(MSR_IA32_VMX_BASIC) & BIT64(55));

	return rdmsr(controls[c].msr + (true_ctls ? VMX_TRUE_CTLS_OFFSET : 0));
}

/* Does a page that changes its size while two CPUs execute in it end in a
 * machine check? Then a guest can stop the machine by its own tables, unless
 * what it executes is always of 4 KiB here. Only processors without the error
 * say something. [Intel "Machine Check Error on Page Size Change",
 * CVE-2018-12207] */
static bool has_itlb_multihit(void)
{
	return cpuid(0, 0).eax < 7 ||
	       !(cpuid(7, 0).edx & CPUID7_EDX_ARCH_CAP) ||
	       !(rdmsr(MSR_IA32_ARCH_CAPABILITIES) & ARCH_CAP_PSCHANGE_MC_NO);
}

/**
 * hvm_ops.probe: also chooses the controls. Boot CPU. The order matters: MSRs
 * that the processor may not have are read only after the bit that promises
 * them.
 */
static const char *vmx_probe(void)
{
	uint64_t fc, ept;
	uint32_t i;

	if (!(cpuid(1, 0).ecx & BIT32(5))) {
		return "no VT-x (CPUID.1:ECX.VMX is 0)";
	}
	fc = rdmsr(MSR_IA32_FEATURE_CONTROL);
	if ((fc & FEATURE_CONTROL_LOCK) && !(fc & FEATURE_CONTROL_VMXON)) {
		return "VT-x is locked off by firmware "
		       "(IA32_FEATURE_CONTROL): enable it in the set-up";
	}
	for (i = 0; i < VMX_CTLS; i++) {
		if (!vmx_adjust_ctls(vmx_ctl_cap(i), controls[i].want,
				     controls[i].wish, &vmx_ctls[i])) {
			return controls[i].lacks;
		}
	}
	ept = rdmsr(MSR_IA32_VMX_EPT_VPID_CAP);
	if ((ept & EPT_CAP_NEEDED) != EPT_CAP_NEEDED) {
		return "EPT lacks 4-level walks, 2 MiB pages or INVEPT/INVVPID";
	}
	timer_shift = (uint32_t)rdmsr(MSR_IA32_VMX_MISC) & 0x1f;
	ept_format.split_exec = has_itlb_multihit();
	return NULL;
}

static uint32_t revision(void)
{
	return (uint32_t)rdmsr(MSR_IA32_VMX_BASIC) & 0x7fffffff;
}

/**
 * hvm_ops.cpu_enable: this CPU enters VMX operation; page is its VMXON region.
 * HC_EPERM: locked off here, though not on the boot CPU; HC_EINVAL: VMXON
 * failed. [SDM3 "Enabling and Entering VMX Operation"]
 */
static hv_status_t vmx_cpu_enable(hpa_t page)
{
	uint64_t fc = rdmsr(MSR_IA32_FEATURE_CONTROL);
	uint8_t failed;
	uint32_t i;

	if (!(fc & FEATURE_CONTROL_LOCK)) {
		/* firmware often leaves it unlocked: then it is ours to set */
		wrmsr(MSR_IA32_FEATURE_CONTROL,
		      fc | FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMXON);
	} else if (!(fc & FEATURE_CONTROL_VMXON)) {
		return HC_EPERM;
	}
	/* bits that VMX operation fixes [SDM3 "Restrictions on VMX
	 * Operation"] */
	write_cr0((read_cr0() | rdmsr(MSR_IA32_VMX_CR0_FIXED0)) &
		  rdmsr(MSR_IA32_VMX_CR0_FIXED1));
	write_cr4(((read_cr4() | CR4_VMXE) | rdmsr(MSR_IA32_VMX_CR4_FIXED0)) &
		  rdmsr(MSR_IA32_VMX_CR4_FIXED1));
	for (i = 0; i < ARRAY_SIZE(cpu_syscall_msr[0]); i++) {
		wrmsr(MSR_IA32_STAR + i, 0);	/* the firmware's */
	}
	/* [SDM3 "VMXON Region"] */
	*(uint32_t *)hpa_ptr(page) = revision();
	__asm__ volatile("vmxon %1; setna %0"
			 : "=r"(failed) : "m"(page.v) : "cc", "memory");
	return failed ? HC_EINVAL : HC_OK;
}

/**
 * hvm_ops.vcpu_init. The VMCS stays as it is until vmx_vcpu_reset(), on the
 * vCPU's CPU. Boot CPU, so the counter needs no lock; VPID 0 is the
 * hypervisor's.
 */
static void vmx_vcpu_init(struct vcpu *v)
{
	static uint16_t next_vpid = 1;
	struct vmx_vcpu *x = hpa_ptr(frame_boot(FRAME_HYPERVISOR, PAGE_SIZE,
						"a vCPU"));

	x->vmcs = frame_boot(FRAME_HYPERVISOR, PAGE_SIZE, "a vCPU's VMCS");
	x->vpid = next_vpid++;
	/* [SDM3 "Format of the VMCS Region"] */
	*(uint32_t *)hpa_ptr(x->vmcs) = revision();
	v->backend = x;
}

/**
 * SYSCALL's MSRs, as x has them, into the CPU. A vCPU with EFER.SCE clear
 * cannot use them, nor read others' (they exit), so only those with SCE set
 * call this, and often find their own values. On x's CPU.
 */
void vmx_load_syscalls(const struct vmx_vcpu *x)
{
	uint64_t *held = cpu_syscall_msr[this_cpu()->index];
	uint32_t i;

	cpu_syscalls_of[this_cpu()->index] = x;
	for (i = 0; i < ARRAY_SIZE(x->g.syscall_msr); i++) {
		if (held[i] != x->g.syscall_msr[i]) {
			held[i] = x->g.syscall_msr[i];
			wrmsr(MSR_IA32_STAR + i, held[i]);
		}
	}
}

/* The CPU's MSRs that no VMCS field switches, from one vCPU (NULL: nobody) to
 * another. SWAPGS changes KERNEL_GS_BASE without an exit. */
static void switch_msrs(struct vmx_vcpu *from, const struct vmx_vcpu *to)
{
	if (from) {
		from->g.kernel_gs_base = rdmsr(MSR_IA32_KERNEL_GS_BASE);
	}
	if (!from || from->g.kernel_gs_base != to->g.kernel_gs_base) {
		wrmsr(MSR_IA32_KERNEL_GS_BASE, to->g.kernel_gs_base);
	}
	if (to->g.syscalls && cpu_syscalls_of[this_cpu()->index] != to) {
		vmx_load_syscalls(to);
	}
}

/** The part of vmx_load() that is seldom. On to's CPU, another one current. */
NOINLINE void vmx_switch(struct vmx_vcpu *to)
{
	struct percpu *pc = this_cpu();

	switch_msrs(pc->backend_current, to);
	vmptrld(to->vmcs);
	pc->backend_current = to;
}

/* Operand of INVEPT and INVVPID: EPT pointer or VPID, linear address. */
struct inv_desc {
	uint64_t what, address;
};

/**
 * INVVPID, single context: drops all of one vCPU's translations on this CPU,
 * which is the only one that has any.
 */
void vmx_flush_vpid(uint16_t vpid)
{
	struct inv_desc d = { vpid, 0 };

	__asm__ volatile("invvpid %0, %1" : : "m"(d), "r"(1ull)
			 : "cc", "memory");
}

/* The flush that a new epoch asks for: INVEPT, single context, on this CPU. Other
 * CPUs do the same for vCPUs of their own. Said when it is done, and all before it
 * too, as INVEPT is serializing (see release.c). */
static NOINLINE void renew(struct vcpu *v)
{
	uint64_t epoch = __atomic_load_n(&v->partition->gpm_epoch,
					 __ATOMIC_SEQ_CST);
	struct inv_desc d = { vmx_eptp(v->partition), 0 };

	__asm__ volatile("invept %0, %1" : : "m"(d), "r"(1ull)
			 : "cc", "memory");
	__atomic_store_n(&v->gpm_epoch, epoch, __ATOMIC_RELEASE);
}

/* Only the fields that this reason defines: each VMREAD costs, and the others
 * are not defined. */
static void read_exit(struct vmx_exit_raw *raw, uint32_t reason)
{
	*raw = (struct vmx_exit_raw){
		.reason = reason,
		.insn_len = (uint32_t)vmread(VMCS_EXIT_INSN_LEN),
	};
	switch (reason) {
	case VMX_EXIT_REASON_EXCEPTION_NMI:
		raw->intr_error = (uint32_t)vmread(VMCS_EXIT_INTR_ERROR);
		raw->qualification = vmread(VMCS_EXIT_QUALIFICATION);
		/* fall through */
	case VMX_EXIT_REASON_EXT_INTR:
		raw->intr_info = (uint32_t)vmread(VMCS_EXIT_INTR_INFO);
		break;
	case VMX_EXIT_REASON_EPT_VIOLATION:
		raw->gpa = vmread(VMCS_GUEST_PHYSICAL_ADDRESS);
		/* fall through */
	case VMX_EXIT_REASON_IO:
	case VMX_EXIT_REASON_CR_ACCESS:
		raw->qualification = vmread(VMCS_EXIT_QUALIFICATION);
		break;
	default:
		if (reason & VMX_EXIT_ENTRY_FAILURE) {
			raw->qualification = vmread(VMCS_EXIT_QUALIFICATION);
		}
		break;
	}
}

/* An exit in the middle of an event's delivery: deliver it again. */
static void reinject(struct vmx_vcpu *x, const struct vmx_exit_raw *raw)
{
	uint32_t info = (uint32_t)vmread(VMCS_IDT_VECTORING_INFO);

	if (vmx_iret_undone(raw, info)) {
		vmwrite(VMCS_GUEST_INTERRUPTIBILITY,
			vmread(VMCS_GUEST_INTERRUPTIBILITY) | GUEST_BLOCK_NMI);
	}
	if (!vmx_delivers_again(raw, info)) {
		return;
	}
	if (info & INTR_INFO_ERROR) {
		vmwrite(VMCS_ENTRY_EXCEPTION_ERROR,
			vmread(VMCS_IDT_VECTORING_ERROR));
	}
	/* software interrupts and exceptions push the RIP behind them */
	if (INTR_INFO_TYPE(info) >= INTR_TYPE_SOFT_FIRST) {
		vmwrite(VMCS_ENTRY_INSN_LEN, vmread(VMCS_EXIT_INSN_LEN));
	}
	if (INTR_INFO_TYPE(info) == VM_EVENT_NMI) {
		/* its delivery will block NMIs again */
		vmwrite(VMCS_GUEST_INTERRUPTIBILITY,
			vmread(VMCS_GUEST_INTERRUPTIBILITY) & ~GUEST_BLOCK_NMI);
	}
	/* bits 12 to 30 are undefined there and must be 0 here */
	vmwrite(VMCS_ENTRY_INTR_INFO, info & ~0x7ffff000u);
	x->g.event_pending = true;
}

/* A #DB exit leaves DR6 and DR7 as they were: the reflected exception must
 * find them changed. [SDM3 "Exit Qualification for Debug Exceptions"] */
static void debug_exit(struct vcpu *v, const struct vm_exit *e)
{
	if (e->exc.vector == X86_EXC_DB) {
		vcpu_load_dr(v);
		write_dr6((read_dr6() & ~0xfull) | e->exc.info);
		vmwrite(VMCS_GUEST_DR7, vmread(VMCS_GUEST_DR7) & ~BIT64(13));
	}
}

/* The processor clears the valid bit of ENTRY_INTR_INFO at an exit. */
static void entered(struct vmx_vcpu *x)
{
	x->launched = 1;
	x->g.event_pending = false;
}

/* The instruction itself failed: no exit fields, only an error number. */
static NOINLINE void not_entered(struct vmx_vcpu *x, struct vm_exit *e)
{
	*e = (struct vm_exit){ .code = VM_EXIT_ENTRY_FAIL,
			       .rip = vmread(VMCS_GUEST_RIP) };
	e->raw_code = vmread(VMCS_INSN_ERROR);
	x->entry_failed = true;
}

/* An exit that neither its reason alone tells, nor is frequent. */
static NOINLINE void other_exit(struct vcpu *v, uint32_t reason,
				struct vm_exit *e)
{
	struct vmx_vcpu *x = v->backend;
	struct vmx_exit_raw raw;

	read_exit(&raw, reason);
	vmx_exit_decode(&raw, e);
	e->rip = vmread(VMCS_GUEST_RIP);
	if (reason & VMX_EXIT_ENTRY_FAILURE) {
		x->entry_failed = e->code == VM_EXIT_ENTRY_FAIL;
		return;
	}
	entered(x);
	if (reason == VMX_EXIT_REASON_EPT_VIOLATION ||
	    reason == VMX_EXIT_REASON_EXCEPTION_NMI) {
		reinject(x, &raw);
	}
	if (e->code == VM_EXIT_INTR_WINDOW) {
		vmx_close_windows(x);
	}
	if (e->code == VM_EXIT_EXCEPTION) {
		debug_exit(v, e);
	}
}

/**
 * hvm_ops.vcpu_run: one VM entry, until an exit or host TSC limit. A refused
 * entry is an exit too, VM_EXIT_ENTRY_FAIL: raw_code is the VM-instruction
 * error or the exit reason. On v's CPU, interrupts off, v's state loaded,
 * no lock held.
 */
static void vmx_vcpu_run(struct vcpu *v, uint64_t limit, struct vm_exit *e)
{
	struct vmx_vcpu *x = vmx_load(v);
	uint64_t now = rdtsc();
	uint64_t reason;

	if (v->gpm_epoch != __atomic_load_n(&v->partition->gpm_epoch,
					    __ATOMIC_SEQ_CST)) {
		renew(v);
	}
	/* 0 exits before the first instruction; of a limit too far for the field's
	 * 32 bits the lower ones end early, and the scheduler looks at the time */
	vmwrite(VMCS_PREEMPTION_TIMER, limit <= now ? 0 :
		(limit - now) >> timer_shift);
	if (vmx_enter(&v->regs, x->launched)) {
		not_entered(x, e);
		return;
	}
	reason = vmread(VMCS_EXIT_REASON);
	e->code = vmx_simple_code(reason);
	if (!e->code) {
		if (reason != VMX_EXIT_REASON_IO) {
			other_exit(v, (uint32_t)reason, e);
			return;
		}
		vmx_decode_io(vmread(VMCS_EXIT_QUALIFICATION), e);
	}
	/* most are instructions, which exit before an event's delivery or after
	 * it */
	entered(x);
	e->rip = vmread(VMCS_GUEST_RIP);
	e->insn_len = (uint32_t)vmread(VMCS_EXIT_INSN_LEN);
}

const struct hvm_ops hvm_vmx = {
	.name = "VT-x with EPT",
	.gpm_format = &ept_format,
	.msr_bytes = PAGE_SIZE, .msr_step = 1, .msr_write = 0x4000,
	HVM_OPS(vmx)
};
