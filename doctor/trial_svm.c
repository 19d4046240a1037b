/* SPDX-License-Identifier: MIT */
/*
 * The trial's part for AMD-V. Why VMRUN is refused the hypervisor's own rules say
 * (svm/check.c), which are part of this program.
 */
#include <string.h>

#include <x86.h>

#include "hypervisor/svm/svm.h"
#include "trial.h"

#define VM_CR_SVMDIS	BIT64(4)
#define NPT_TABLE	7ull		/* present, writable, user */
#define ATTR_CODE16	0x009bu
#define ATTR_CODE64	0x029bu
#define ATTR_DATA	0x0093u
#define ATTR_LDT	0x0082u
#define ATTR_TSS	0x008bu
#define REAL_LIMIT	0xffffu

static uint64_t before_save;		/* VM_HSAVE_PA */

static bool svm_on(const struct trial_job *job)
{
	if ((rdmsr(MSR_VM_CR) & VM_CR_SVMDIS) != 0) {
		trial_why(&job->cpu->trial, "AMD-V is locked off (VM_CR.SVMDIS)");
		return false;
	}
	wrmsr(MSR_IA32_EFER, rdmsr(MSR_IA32_EFER) | EFER_SVME);
	before_save = rdmsr(MSR_VM_HSAVE_PA);
	wrmsr(MSR_VM_HSAVE_PA, (uint64_t)trial_page(job, PAGE_REGION));
	memset(trial_page(job, PAGE_HOST), 0, PAGE_SIZE);
	__asm__ volatile("vmsave %0" : : "a"(trial_page(job, PAGE_HOST)) : "memory");
	trial_tables(job, NPT_TABLE, NPT_TABLE);
	return true;
}

/* The guest: in real mode, as after a start-up IPI, or in long mode. */
static void svm_begin(const struct trial_job *job, bool long_mode)
{
	struct vmcb *b = (struct vmcb *)trial_page(job, PAGE_CONTROL);
	struct vmcb_seg data = { 0, ATTR_DATA, REAL_LIMIT, 0 };

	memset(b, 0, sizeof(*b));
	b->intercept_misc1 = MISC1(INTR) | MISC1(NMI) | MISC1(CPUID) | MISC1(HLT) | MISC1(IOIO) |
			     MISC1(MSR) | MISC1(SHUTDOWN);
	b->intercept_misc2 = MISC2(VMRUN);
	b->intercept_exc = ~0u;
	b->iopm_base_pa = b->msrpm_base_pa = (uint64_t)trial_page(job, PAGE_BITMAP);
	b->guest_asid = 1;
	b->tlb_control = TLB_FLUSH_ALL;
	b->int_ctl = INT_CTL_V_INTR_MASKING;
	b->np_enable = 1;
	b->n_cr3 = (uint64_t)trial_page(job, PAGE_TABLE);
	b->es = b->ss = b->ds = b->fs = b->gs = b->cs = data;
	b->cs.attrib = long_mode ? ATTR_CODE64 : ATTR_CODE16;
	b->gdtr.limit = b->idtr.limit = REAL_LIMIT;
	b->ldtr = (struct vmcb_seg) { 0, ATTR_LDT, REAL_LIMIT, 0 };
	b->tr = (struct vmcb_seg) { 0, ATTR_TSS, REAL_LIMIT, 0 };
	b->efer = EFER_SVME | (long_mode ? EFER_LME | EFER_LMA : 0);
	b->cr0 = CR0_ET | CR0_NE | (long_mode ? CR0_PG | CR0_PE : 0);
	b->cr4 = long_mode ? CR4_PAE : 0;
	b->cr3 = long_mode ? GUEST_ROOT : 0;
	b->dr6 = DR6_RESET;
	b->dr7 = DR7_RESET;
	b->rflags = RFLAGS_FIXED;
	b->g_pat = PAT_RESET;
}

static enum seen refused(struct trial *t, const struct vmcb *b)
{
	uint64_t value;
	const char *rule = svm_check_vmcb(b, cpuid(0x80000008, 0).eax & 0xff,
					  cpuid(0x8000000a, 0).ebx, &value);

	if (rule != NULL) {
		trial_why(t, "VMRUN refused: %s; the value is 0x%lx", rule, value);
	} else {
		trial_why(t, "VMRUN refused: no rule that is checked here is violated");
	}
	return SEEN_REFUSED;
}

static enum seen svm_step(const struct trial_job *job, uint64_t rip)
{
	struct vmcb *b = (struct vmcb *)trial_page(job, PAGE_CONTROL);
	struct trial *t = &job->cpu->trial;

	b->rip = rip;
	trial_svm_enter((uint64_t)b, (uint64_t)trial_page(job, PAGE_HOST));
	switch ((uint32_t)b->exitcode) {
	case SVM_EXIT_CPUID:
		return SEEN_CPUID;
	case SVM_EXIT_HLT:
		return SEEN_HLT;
	case SVM_EXIT_INVALID:
		return refused(t, b);
	case SVM_EXIT_NPF:
		if (b->exitinfo2 == GUEST_NOTHING) {
			return SEEN_NOTHING;
		}
		break;
	default:
		break;
	}
	trial_why(t, "unexpected exit code 0x%lx, information 0x%lx and 0x%lx, at 0x%lx",
		  b->exitcode, b->exitinfo1, b->exitinfo2, b->rip);
	return SEEN_OTHER;
}

/* ASID 0 is the host's own. */
static void svm_spoil(const struct trial_job *job)
{
	((struct vmcb *)trial_page(job, PAGE_CONTROL))->guest_asid = 0;
}

static void svm_off(const struct trial_job *job)
{
	if (job->cpu->trial.step >= TRIAL_ON) {
		wrmsr(MSR_VM_HSAVE_PA, before_save);
		wrmsr(MSR_IA32_EFER, rdmsr(MSR_IA32_EFER) & ~EFER_SVME);
	}
}

const struct trial_ops trial_svm = {
	.on = svm_on, .begin = svm_begin, .enter = svm_step,
	.spoil = svm_spoil, .off = svm_off,
};
