/* SPDX-License-Identifier: MIT */
/*
 * MSRs, control registers and XCR0 of guests. Everything not named here is
 * #GP. Native MSRs live in backend state.
 *
 * Values are the guest's. Whatever is handed on to the backend has passed the
 * checks that the processor itself would make, so that no VM entry fails for
 * it: that would end the partition, where a #GP is the answer.
 * All on the vCPU's CPU, no lock held.
 */
#include <hv.h>
#include <partition.h>
#include <percpu.h>
#include <x86.h>

#define EFER_GUEST	(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)
#define MISC_ENABLE_GUEST	0x1801ull /* fast strings; no BTS, no PEBS */

/* Guests read and write these without an exit; the backend keeps each vCPU's
 * values apart. Those of SYSCALL and TSC_AUX are written once in a kernel's
 * life: they exit, so that they need not be read at each switch of vCPUs. */
static const uint32_t native[] = {
	MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
	MSR_IA32_FS_BASE, MSR_IA32_GS_BASE, MSR_IA32_KERNEL_GS_BASE,
};

/**
 * A partition's map of MSRs: all ones, they exit, but for the native ones. Its first
 * half is for those from 0 on, the other for those from 0xc0000000 on. At boot. [SDM3
 * "MSR-Bitmap Address"; APM2 "MSR Intercepts"]
 */
uint8_t *msr_map(void)
{
	uint8_t *map = hpa_ptr(frame_boot(FRAME_HYPERVISOR, hvm->msr_bytes,
					  "a partition's MSRs"));
	uint32_t i, n;

	__builtin_memset(map, 0xff, hvm->msr_bytes);
	for (i = 0; i < ARRAY_SIZE(native); i++) {
		n = (native[i] & 0x1fff) | native[i] >> 31 << 13;
		clear_bit(map, n * hvm->msr_step);
		clear_bit(map, n * hvm->msr_step + hvm->msr_write);
	}
	return map;
}

/** Would the processor take these as SYSCALL's MSRs? In the order of their
 * numbers. Pure. */
bool syscall_valid(const uint64_t *msr)
{
	return canonical(msr[1]) && canonical(msr[2]) && !(msr[3] >> 32);
}

static bool syscall_write(struct vcpu *v, uint32_t msr, uint64_t value)
{
	uint64_t all[4] = { 0 };

	all[msr - MSR_IA32_STAR] = value;
	if (!syscall_valid(all)) {
		return false;
	}
	hvm->vcpu_set(v, VCPU_STAR + (msr - MSR_IA32_STAR), value);
	return true;
}

static bool tsc_aux_write(struct vcpu *v, uint64_t value)
{
	if (!cpu_has_tsc_aux || value >> 32) {
		return false;
	}
	v->tsc_aux = this_cpu()->tsc_aux = value;
	wrmsr(MSR_IA32_TSC_AUX, value);
	return true;
}

/**
 * RDMSR that exits. false: #GP. Some are here only because kernels access them;
 * they have a harmless value. AMD's first four performance counters have no bit
 * in CPUID: a kernel takes them to be there [APM2 "Performance Monitoring
 * Counters"]. On v's CPU.
 */
bool msr_read(struct vcpu *v, uint32_t msr, uint64_t *value)
{
	switch (msr) {
	case MSR_IA32_TSC:
		*value = rdtsc() + v->tsc_offset;
		return true;
	case MSR_IA32_APIC_BASE:
		*value = v->lapic.base;
		return true;
	case MSR_IA32_TSC_DEADLINE:
		*value = vlapic_deadline_read(v);
		return true;
	case MSR_IA32_EFER:
		*value = hvm->vcpu_get(v, VCPU_EFER);
		return true;
	case MSR_IA32_PAT:
		*value = hvm->vcpu_get(v, VCPU_PAT);
		return true;
	case MSR_IA32_STAR ... MSR_IA32_FMASK:
		*value = hvm->vcpu_get(v, VCPU_STAR + (msr - MSR_IA32_STAR));
		return true;
	case MSR_IA32_TSC_AUX:
		*value = v->tsc_aux;
		return cpu_has_tsc_aux;
	case MSR_IA32_MISC_ENABLE:
		*value = MISC_ENABLE_GUEST;
		return true;
	case MSR_IA32_PLATFORM_ID:
	case MSR_IA32_BIOS_SIGN_ID:
	case MSR_PERF_EVT_SEL0 ... MSR_PERF_CTR3:
		*value = 0;
		return true;
	default:
		if (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST) {
			return vlapic_msr_read(v, msr, value);
		}
		return false;
	}
}

/* Do these go together, with CR4's bits known? LMA follows PG; PCIDs are for IA-32e
 * mode alone. [SDM3 "Control Registers", "IA-32e Mode Operation"] */
static bool modes_valid(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
	bool lma = (efer & EFER_LMA) != 0, pg = (cr0 & CR0_PG) != 0;

	return !(cr0 >> 32) && (!pg || (cr0 & CR0_PE)) &&
	       !(efer & ~EFER_GUEST) && lma == (pg && (efer & EFER_LME)) &&
	       (lma ? (cr4 & CR4_PAE) != 0 : !(cr4 & CR4_PCIDE));
}

/* The CR4 bits that go with what CPUID shows; others are #GP, VMXE among
 * them. */
static uint64_t cr4_allowed(void)
{
	struct cpuid_regs l1 = cpuid(1, 0), l7 = cpuid(7, 0);

	return CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE |
	       CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_MCE |
	       (l1.ecx & BIT32(17) ? CR4_PCIDE : 0) |
	       (l7.ebx & BIT32(0) ? CR4_FSGSBASE : 0) |
	       (l7.ecx & BIT32(2) ? CR4_UMIP : 0) |
	       (l7.ebx & BIT32(7) ? CR4_SMEP : 0) |
	       (l7.ebx & BIT32(20) ? CR4_SMAP : 0);
}

/**
 * Can a guest have come to these by the writes that are allowed here? The caches
 * on, as it has them in truth.
 */
bool cr_valid(uint64_t cr0, uint64_t cr4, uint64_t efer, uint64_t pat)
{
	return !(cr0 & (CR0_CD | CR0_NW)) && !(cr4 & ~cr4_allowed()) &&
	       modes_valid(cr0, cr4, efer) && pat_valid(pat);
}

/* EFER as the guest may write it; SVME and the rest is not offered. */
static bool efer_write(struct vcpu *v, uint64_t value)
{
	uint64_t old = hvm->vcpu_get(v, VCPU_EFER);

	/* LMA cannot be written; so LME cannot change under paging */
	value = (value & ~EFER_LMA) | (old & EFER_LMA);
	if (!modes_valid(hvm->vcpu_get(v, VCPU_CR0),
			 hvm->vcpu_get(v, VCPU_CR4), value)) {
		return false;
	}
	hvm->vcpu_set(v, VCPU_EFER, value);
	return true;
}

/** WRMSR that exits. false: #GP. On v's CPU. */
bool msr_write(struct vcpu *v, uint32_t msr, uint64_t value)
{
	if (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST) {
		return vlapic_msr_write(v, msr, value);
	}
	switch (msr) {
	case MSR_IA32_TSC_DEADLINE:
		vlapic_deadline_write(v, value);
		return true;
	case MSR_IA32_TSC:
		/* its kvmclock page must go with it, timers stay where they
		 * are */
		v->tsc_offset = value - rdtsc();
		hvm->vcpu_set(v, VCPU_TSC_OFFSET, v->tsc_offset);
		kvmclock_update(v, false);
		return true;
	case MSR_IA32_APIC_BASE:
		return vlapic_base_write(v, value);
	case MSR_IA32_EFER:
		return efer_write(v, value);
	case MSR_IA32_PAT:
		if (!pat_valid(value)) {
			return false;
		}
		hvm->vcpu_set(v, VCPU_PAT, value);
		return true;
	case MSR_IA32_STAR ... MSR_IA32_FMASK:
		return syscall_write(v, msr, value);
	case MSR_IA32_TSC_AUX:
		return tsc_aux_write(v, value);
	case MSR_IA32_MISC_ENABLE:
	case MSR_IA32_BIOS_SIGN_ID:
	case MSR_PERF_EVT_SEL0 ... MSR_PERF_CTR3:
		return true;	/* nothing there can be changed */
	default:
		return kvmclock_msr_write(v, msr, value);
	}
}

/* CR0 as the guest may have it. Entering and leaving IA-32e mode happens here,
 * by PG, as EFER.LMA is ours to keep; not from 64-bit code. [SDM3 "IA-32e Mode
 * Operation"] */
static bool cr0_write(struct vcpu *v, uint64_t value)
{
	uint64_t old = hvm->vcpu_get(v, VCPU_EFER);
	bool lma = (value & CR0_PG) && (old & EFER_LME);
	uint64_t efer = lma ? old | EFER_LMA : old & ~EFER_LMA;

	if (!modes_valid(value, hvm->vcpu_get(v, VCPU_CR4), efer) ||
	    ((value & CR0_NW) && !(value & CR0_CD)) ||
	    (efer != old && (hvm->vcpu_get(v, VCPU_CS_ATTR) & BIT64(13)))) {
		return false;
	}
	if (efer != old) {
		hvm->vcpu_set(v, VCPU_EFER, efer);
	}
	hvm->vcpu_set(v, VCPU_CR0, value);
	return true;
}

/* PCIDE comes only with PCID 0. [SDM3 "Control Registers"] */
static bool cr4_write(struct vcpu *v, uint64_t value)
{
	bool pcids = value & ~hvm->vcpu_get(v, VCPU_CR4) & CR4_PCIDE;

	if ((value & ~cr4_allowed()) ||
	    !modes_valid(hvm->vcpu_get(v, VCPU_CR0), value,
			 hvm->vcpu_get(v, VCPU_EFER)) ||
	    (pcids && (hvm->vcpu_get(v, VCPU_CR3) & 0xfff))) {
		return false;
	}
	hvm->vcpu_set(v, VCPU_CR4, value);
	return true;
}

/**
 * MOV to or from CR0, CR4, CR8, LMSW, CLTS that exited. false: #GP; nothing
 * has changed then. CPL is not looked at: the processor raises #GP before it
 * exits. On v's CPU.
 */
bool cr_access(struct vcpu *v, const struct vm_exit *e)
{
	uint64_t *gpr = &v->regs.rax + e->cr.gpr;
	uint64_t value, cr0;

	if (e->cr.lmsw || e->cr.clts) {
		cr0 = hvm->vcpu_get(v, VCPU_CR0);
		if (e->cr.clts) {
			return cr0_write(v, cr0 & ~CR0_TS);
		}
		/* LMSW can set PE, not clear it */
		return cr0_write(v, (cr0 & ~0xeull) | (e->cr.lmsw_value & 0xf));
	}
	if (!e->cr.write) {
		/* no other reads exit */
		value = e->cr.cr == 4 ? hvm->vcpu_get(v, VCPU_CR4) :
			v->lapic.tpr >> 4;
		if (e->cr.gpr == 4) {
			hvm->vcpu_set(v, VCPU_RSP, value);
		} else {
			*gpr = value;
		}
		return true;
	}
	value = e->cr.gpr == 4 ? hvm->vcpu_get(v, VCPU_RSP) : *gpr;
	switch (e->cr.cr) {
	case 0:
		return cr0_write(v, value);
	case 4:
		return cr4_write(v, value);
	case 8:
		if (value > 15) {
			return false;
		}
		vlapic_set_tpr(v, (uint32_t)value << 4);
		return true;
	default:
		return false;
	}
}

/** Would a processor with just xstate_mask take this as XCR0? [SDM2 "XSETBV"] */
bool xcr0_valid(uint64_t value)
{
	return !(value & ~xstate_mask) && (value & XCR0_X87) &&
	       (!(value & XCR0_AVX) || (value & XCR0_SSE)) &&
	       (!(value & XCR0_AVX512) ||
		((value & XCR0_AVX512) == XCR0_AVX512 && (value & XCR0_AVX)));
}

/**
 * Makes of anything in an XSAVE area what XRSTOR takes: MXCSR, and the header.
 * [SDM1 "Operation of XRSTOR"] Pure.
 */
void xsave_cut(void *area)
{
	uint64_t *header = (uint64_t *)area + 64;

	((uint32_t *)area)[6] &= 0xffff;
	header[0] &= xstate_mask;
	zero_memory(header + 1, 56);
}

/**
 * XSETBV. false: #GP, where the processor would raise it for a machine with
 * just xstate_mask. The new XCR0 is loaded at once. On v's CPU, with v's
 * state loaded. [SDM2 "XSETBV"]
 */
bool xsetbv_emulate(struct vcpu *v)
{
	uint64_t value = (v->regs.rdx << 32) | (uint32_t)v->regs.rax;

	if ((uint32_t)v->regs.rcx != 0 || !xcr0_valid(value) ||
	    hvm->vcpu_get(v, VCPU_CPL)) {
		return false;
	}
	v->xcr0 = value;
	xsetbv(0, value);
	return true;
}
