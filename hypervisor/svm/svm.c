/* SPDX-License-Identifier: MIT */
/*
 * The AMD-V backend: SVM on each CPU, a VMCB for each vCPU, and the run from
 * VMRUN to #VMEXIT. Time limits come from the CPU's own LAPIC timer: with
 * V_INTR_MASKING a physical interrupt ends the run whatever the guest's IF.
 * Needs nothing beyond nested paging; uses next-RIP save, decode assists and
 * flush by ASID where CPUID shows them. No locks: a VMCB belongs to the CPU
 * its vCPU is pinned to.
 */
#include <hv.h>
#include <percpu.h>
#include <x86.h>
#include "svm.h"

/* [APM3 "Function 8000_000Ah-SVM Features"] */
#define CPUID_SVM		0x8000000au
#define SVM_EDX_NP		BIT32(0)
#define VM_CR_SVMDIS		BIT64(4)

#define EVENT_TICKS		1000u	/* until a handler's first exit */

uint32_t svm_features, svm_asids;	/* set by probe, then constant */
static uint64_t host_area[BOOT_MAX_CPUS];	/* VMSAVE of the CPU's own */

/* Nested page-table entries. [APM2 "Nested Paging"] */
static const struct pt_format npt_format = {
	.table = 7,			/* present, write, user */
	.present = 1,
	.leaf = BIT64(0) | BIT64(2),	/* all guest accesses are "user" */
	.large = BIT64(7),
	.write = BIT64(1),
	.exec = 0,
	.no_exec = BIT64(63),
	.uncached = BIT64(3) | BIT64(4),
	.cached = 0,
};

/**
 * hvm_ops.probe: the leaf that promises SVM comes before VM_CR, which exists
 * only then. Boot CPU. [APM2 "Enabling SVM"]
 */
static const char *svm_probe(void)
{
	struct cpuid_regs r;

	if (cpuid(0x80000000, 0).eax < CPUID_SVM ||
	    !(cpuid(0x80000001, 0).ecx & BIT32(2))) {
		return "neither VT-x nor AMD-V (CPUID)";
	}
	if (rdmsr(MSR_VM_CR) & VM_CR_SVMDIS) {
		return "AMD-V is disabled by firmware (VM_CR.SVMDIS): enable "
		       "it in the set-up";
	}
	r = cpuid(CPUID_SVM, 0);
	if (!(r.edx & SVM_EDX_NP)) {
		return "AMD-V without nested paging";
	}
	if (r.ebx < 2) {
		return "AMD-V without an ASID for guests";
	}
	svm_asids = r.ebx;
	svm_features = r.edx;
	return NULL;
}

/**
 * hvm_ops.cpu_enable: page is where VMRUN keeps this CPU's state; a second
 * one, for VMSAVE's part, is allocated here. [APM2 "Enabling SVM"]
 */
static hv_status_t svm_cpu_enable(hpa_t page)
{
	hpa_t own = frame_boot(FRAME_HYPERVISOR, PAGE_SIZE,
			       "a CPU's own state");

	wrmsr(MSR_IA32_EFER, rdmsr(MSR_IA32_EFER) | EFER_SVME);
	wrmsr(MSR_VM_HSAVE_PA, page.v);
	host_area[this_cpu()->index] = own.v;
	__asm__ volatile("vmsave %0" : : "a"(own.v) : "memory");
	return HC_OK;
}

/**
 * hvm_ops.vcpu_init. Each vCPU has an ASID for good, and among those of its CPU
 * for itself, so nothing is flushed when vCPUs take turns; another CPU's TLB
 * knows nothing of it. Where a CPU has more vCPUs than ASIDs (KVM offers 8),
 * the last one is shared: see flush_shared(). Boot CPU.
 */
static void svm_vcpu_init(struct vcpu *v)
{
	static uint32_t used[BOOT_MAX_CPUS];
	struct svm_vcpu *x = hpa_ptr(frame_boot(FRAME_HYPERVISOR, PAGE_SIZE,
						"a vCPU"));
	hpa_t vmcb = frame_boot(FRAME_HYPERVISOR, PAGE_SIZE, "a vCPU's VMCB");

	/* 0 is the hypervisor's */
	if (used[v->cpu->index] < svm_asids - 1) {
		used[v->cpu->index]++;
	}
	x->vmcb = hpa_ptr(vmcb);
	x->vmcb_pa = vmcb.v;
	x->asid = used[v->cpu->index];
	x->shared = x->asid == svm_asids - 1;
	v->backend = x;
}

/* Drops x's translations at the next VMRUN, which is on this CPU. [APM2 "TLB
 * Control"] */
static void flush(const struct svm_vcpu *x)
{
	x->vmcb->tlb_control = svm_features & SVM_FLUSH_ASID ?
			       TLB_FLUSH_ASID : TLB_FLUSH_ALL;
}

/* The flush that a new epoch asks for. Said before VMRUN does it: until then no
 * translation of the guest's is used (see release.c). */
static NOINLINE void renew(struct vcpu *v)
{
	uint64_t epoch = __atomic_load_n(&v->partition->gpm_epoch,
					 __ATOMIC_SEQ_CST);

	flush(v->backend);
	__atomic_store_n(&v->gpm_epoch, epoch, __ATOMIC_RELEASE);
}

/* The last ASID may be that of several vCPUs of this CPU: who runs with it
 * after another one flushes. */
static void flush_shared(struct percpu *pc, struct svm_vcpu *x)
{
	if (x->shared && pc->backend_current != x) {
		pc->backend_current = x;
		flush(x);
	}
}

/* An exit in the middle of an event's delivery: deliver it again. */
static NOINLINE void reinject(struct vmcb *b)
{
	if (svm_delivers_again(b)) {
		b->eventinj = b->exitintinfo;
		b->eventinj_error = b->exitintinfo_error;
	}
}

/* NMIs stay blocked until the handler's IRET has been executed: it has when
 * an exit finds RIP elsewhere. IRETs exit only meanwhile. The run may have had a
 * TF of ours: see svm_vcpu_inject(). */
static NOINLINE void track_nmi(struct svm_vcpu *x, struct vm_exit *e)
{
	struct vmcb *b = x->vmcb;
	uint64_t stepped = x->step_dr6;

	x->step_dr6 = 0;
	if (b->exitcode == SVM_EXIT_IRET) {
		e->code = VM_EXIT_NMI;	/* nothing to answer */
		x->iret_rip = b->rip;
		b->intercept_misc1 &= ~MISC1(IRET);
	} else if (x->iret_rip && x->iret_rip != b->rip) {
		x->nmi_blocked = false;
		if (stepped && b->exitcode == SVM_EXIT_EXCP0 + X86_EXC_DB) {
			e->code = VM_EXIT_NMI;
			b->dr6 = stepped;
		}
	} else if (stepped) {
		b->rflags &= ~RFLAGS_TF;
	}
}

/**
 * hvm_ops.vcpu_run: one VMRUN, until an exit or host TSC limit, whose
 * interrupt then waits at the LAPIC (VM_EXIT_EXT_INTR without a vector). A
 * refused VMRUN is VM_EXIT_ENTRY_FAIL. On v's CPU, interrupts off, v's state
 * loaded, no lock held.
 */
static void svm_vcpu_run(struct vcpu *v, uint64_t limit, struct vm_exit *e)
{
	struct svm_vcpu *x = v->backend;
	struct vmcb *b = x->vmcb;

	/* also after a change of paging mode, which sets v->gpm_epoch to 0 */
	if (v->gpm_epoch != __atomic_load_n(&v->partition->gpm_epoch,
					    __ATOMIC_SEQ_CST)) {
		renew(v);
	}
	flush_shared(v->cpu, x);
	/* an event that QEMU delivers it delivers once more if its count of
	 * instructions ends before an exit: docs/platforms.md */
	if (b->eventinj && limit < rdtsc() + EVENT_TICKS) {
		lapic_timer_stop();
		limit = rdtsc() + EVENT_TICKS;
	}
	if (!timer_is_set(v->cpu, limit)) {
		lapic_timer_start(limit);
	}
	/* RAX is VMRUN's operand, so the guest's is in the VMCB meanwhile */
	b->rax = v->regs.rax;
	if (x->step_dr6) {
		b->rflags |= RFLAGS_TF;
	}
	svm_enter(&v->regs, x->vmcb_pa, host_area[v->cpu->index]);
	v->regs.rax = b->rax;
	/* done by this VMRUN */
	b->tlb_control = 0;
	e->rip = b->rip;
	svm_exit_decode(b, e);
	/* nothing ran: the event is still where it was */
	if (e->code == VM_EXIT_ENTRY_FAIL) {
		return;
	}
	/* it was delivered, or exitintinfo has it */
	b->eventinj = 0;
	if (b->exitintinfo & EVENTINJ_VALID) {
		reinject(b);
	}
	if (x->nmi_blocked) {
		track_nmi(x, e);
	}
	if (BIT32(e->code) & SVM_INSTRUCTIONS) {
		svm_complete(v, b, e);
	} else if (e->code == VM_EXIT_INTR_WINDOW) {
		/* it has opened; the dummy interrupt has done its work */
		b->int_ctl &= ~INT_CTL_V_IRQ;
		b->intercept_misc1 &= ~MISC1(VINTR);
	}
}

const struct hvm_ops hvm_svm = {
	.name = "AMD-V with nested paging",
	.gpm_format = &npt_format,
	.msr_bytes = 2 * PAGE_SIZE, .msr_step = 2, .msr_write = 1,
	HVM_OPS(svm)
};
