/* SPDX-License-Identifier: MIT */
/*
 * What a CPU says of itself: CPUID and MSRs. On that CPU, in our world: an MSR
 * that it does not have is an exception, and reads 0.
 */
#include <string.h>

#include "hypervisor/include/x86.h"
#include "hypervisor/vmx/vmcs.h"
#include "look.h"
#include "trial.h"

#define MSR_MTRR_CAP		0xfeu
#define MSR_MTRR_BASE		0x200u		/* then the mask, in turn */
#define MSR_MTRR_DEF_TYPE	0x2ffu
#define ECX_VMX			BIT32(5)
#define ECX_SVM			BIT32(2)

static const uint32_t fixed_msr[FACTS_FIXED] = {
	0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f,
};

static uint32_t most, most_extended;

static struct cpuid_regs leaf(uint32_t n, uint32_t sub)
{
	if (n > (n >= 0x80000000 ? most_extended : most)) {
		return (struct cpuid_regs) { 0, 0, 0, 0 };
	}
	return cpuid(n, sub);
}

static uint64_t msr(uint32_t n)
{
	uint64_t v;

	trap_rdmsr(n, &v);
	return v;
}

/* One number that differs, very likely, where one of many does [FNV-1a]. */
static uint64_t mixed(uint64_t sum, uint64_t v)
{
	return (sum ^ v) * 0x100000001b3ull;
}

static void leaves(struct cpu_facts *c)
{
	struct cpuid_regs one, seven, ext, svm;

	most = cpuid(0, 0).eax;
	most_extended = cpuid(0x80000000, 0).eax;
	one = leaf(1, 0);
	seven = leaf(7, 0);
	ext = leaf(0x80000001, 0);
	svm = leaf(0x8000000a, 0);
	c->apic_id = most >= 0xb && cpuid(0xb, 0).ebx != 0 ? cpuid(0xb, 0).edx : one.ebx >> 24;
	c->signature = one.eax;
	c->leaf1_ecx = one.ecx;
	c->leaf1_edx = one.edx;
	c->leaf6_eax = leaf(6, 0).eax;
	c->leaf7_ebx = seven.ebx;
	c->leaf7_edx = seven.edx;
	c->leafd1_eax = leaf(0xd, 1).eax;
	c->ext1_ecx = ext.ecx;
	c->ext1_edx = ext.edx;
	c->ext7_edx = leaf(0x80000007, 0).edx;
	c->ext8_eax = leaf(0x80000008, 0).eax;
	if ((ext.ecx & ECX_SVM) != 0) {
		c->svm_ebx = svm.ebx;
		c->svm_edx = svm.edx;
		c->vm_cr = msr(MSR_VM_CR);
	}
}

static void types(struct cpu_facts *c)
{
	c->pat = msr(MSR_IA32_PAT);
	c->mtrr_cap = msr(MSR_MTRR_CAP);
	c->mtrr_def = msr(MSR_MTRR_DEF_TYPE);
	for (uint32_t i = 0; i < FACTS_FIXED && (c->mtrr_cap & BIT64(8)) != 0; i++) {
		c->mtrr_fixed_sum = mixed(c->mtrr_fixed_sum, msr(fixed_msr[i]));
	}
	for (uint32_t i = 0; i < 2 * (c->mtrr_cap & 0xff); i++) {
		c->mtrr_variable_sum = mixed(c->mtrr_variable_sum, msr(MSR_MTRR_BASE + i));
	}
}

/* The update's revision is there after CPUID has been executed [SDM3 "Update
 * Signature and Verification"]; AMD's processors have it at once. */
static uint64_t microcode(void)
{
	uint64_t v = msr(MSR_IA32_BIOS_SIGN_ID);

	return v >> 32 != 0 ? v >> 32 : v;
}

static void vmx(struct cpu_facts *c)
{
	uint32_t far;

	c->feature_control = msr(MSR_IA32_FEATURE_CONTROL);
	c->vmx_basic = msr(MSR_IA32_VMX_BASIC);
	far = (c->vmx_basic & BIT64(55)) != 0 ? VMX_TRUE_CTLS_OFFSET : 0;
	c->vmx_pin = msr(MSR_IA32_VMX_PINBASED_CTLS + far);
	c->vmx_proc = msr(MSR_IA32_VMX_PROCBASED_CTLS + far);
	c->vmx_proc2 = msr(MSR_IA32_VMX_PROCBASED_CTLS2);
	c->vmx_exit = msr(MSR_IA32_VMX_EXIT_CTLS + far);
	c->vmx_entry = msr(MSR_IA32_VMX_ENTRY_CTLS + far);
	c->vmx_misc = msr(MSR_IA32_VMX_MISC);
	c->vmx_ept_vpid = msr(MSR_IA32_VMX_EPT_VPID_CAP);
	c->cr0_fixed0 = msr(MSR_IA32_VMX_CR0_FIXED0);
	c->cr0_fixed1 = msr(MSR_IA32_VMX_CR0_FIXED1);
	c->cr4_fixed0 = msr(MSR_IA32_VMX_CR4_FIXED0);
	c->cr4_fixed1 = msr(MSR_IA32_VMX_CR4_FIXED1);
}

/** Reads this CPU. */
void look_cpu(struct cpu_facts *c)
{
	leaves(c);
	c->cr0 = read_cr0();
	c->cr4 = read_cr4();
	c->efer = msr(MSR_IA32_EFER);
	c->apic_base = msr(MSR_IA32_APIC_BASE);
	c->microcode = microcode();
	types(c);
	if ((c->leaf7_edx & BIT64(29)) != 0) {
		c->arch_cap = msr(MSR_IA32_ARCH_CAPABILITIES);
	}
	if ((c->leaf7_ebx & BIT64(1)) != 0) {
		c->tsc_adjust = msr(MSR_IA32_TSC_ADJUST);
	}
	if ((c->leaf1_ecx & ECX_VMX) != 0) {
		vmx(c);
	}
}

static void put(char *to, const uint32_t *words, uint32_t count)
{
	memcpy(to, words, count * sizeof(*words));
	to[count * sizeof(*words)] = '\0';
}

/** What of the processor is wanted once: names, MTRRs, the TSC's rate as it tells
 * it [SDM3 "Determining the Processor Base Frequency"]. After look_cpu(). */
void look_processor(struct facts *f)
{
	struct cpuid_regs zero = cpuid(0, 0), rate = leaf(0x15, 0);
	uint32_t name[12] = { 0 };

	put(f->vendor, (uint32_t[]) { zero.ebx, zero.edx, zero.ecx }, 3);
	for (uint32_t i = 0; i < 3; i++) {
		struct cpuid_regs r = leaf(0x80000002 + i, 0);

		memcpy(&name[4 * i], &r, sizeof(r));
	}
	put(f->processor, name, 12);
	f->hypervisor = (f->cpu[0].leaf1_ecx & BIT64(31)) != 0;
	if (rate.eax != 0 && rate.ebx != 0 && rate.ecx != 0) {
		f->tsc_hz_told = (uint64_t)rate.ecx * rate.ebx / rate.eax;
	}
	f->mtrr_count = f->cpu[0].mtrr_cap & 0xff;
	f->mtrr_count = f->mtrr_count < FACTS_MTRRS ? f->mtrr_count : FACTS_MTRRS;
	for (uint32_t i = 0; i < f->mtrr_count; i++) {
		f->mtrr_base[i] = msr(MSR_MTRR_BASE + 2 * i);
		f->mtrr_mask[i] = msr(MSR_MTRR_BASE + 2 * i + 1);
	}
	for (uint32_t i = 0; i < FACTS_FIXED && (f->cpu[0].mtrr_cap & BIT64(8)) != 0; i++) {
		f->mtrr_fixed[i] = msr(fixed_msr[i]);
	}
}
