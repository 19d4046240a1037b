/* SPDX-License-Identifier: MIT */
/*
 * CPUID as guests see it: a table of leaves, each with masks for what may
 * pass; everything else reads zero. A feature is shown only if its state is
 * switched (vcpu_switch()), its instructions do no harm, and nothing else of
 * it must be emulated. What is hidden and has a switch of its own (a bit of
 * CR4 or XCR0, an MSR) is refused there too. Constant after start-up, so no
 * locks. [SDM2 "CPUID"]
 */
#include <hv.h>
#include <partition.h>
#include <x86.h>

#define MAX_BASIC	0x0du
#define MAX_EXTENDED	0x80000008u
#define HV_BASE		0x40000000u	/* KVM's paravirtual leaves */
#define KVM_CLOCKSOURCE2	BIT32(3)
#define KVM_CLOCK_STABLE	BIT32(24)

#define LEAF1_ECX_X2APIC	BIT32(21)
#define LEAF1_ECX_DEADLINE	BIT32(24)
#define LEAF1_ECX_OSXSAVE	BIT32(27)
#define LEAF1_ECX_HYPERVISOR	BIT32(31)
#define LEAF7_EBX_ERMS		BIT32(9)

/* What is added to a leaf after its mask. */
enum leaf_fix {
	FIX_NONE, FIX_FEATURES, FIX_TOPOLOGY, FIX_XSTATE,
};

struct leaf_mask {
	uint32_t leaf;
	uint32_t last;		/* subleaf; ALL: which one does not matter */
	uint32_t eax, ebx, ecx, edx;	/* bits that may pass */
	enum leaf_fix fix;
	uint32_t set_eax;		/* bits that are added */
};

#define ALL	0xffffffffu

static struct leaf_mask table[] = {
	{ 0x00000000, ALL, 0, ALL, ALL, ALL, FIX_NONE, MAX_BASIC },
	/* SSE3 PCLMUL SSSE3 FMA CX16 PCID SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE
	 * AVX F16C RDRAND; FPU VME DE PSE TSC MSR PAE CX8 SEP PGE CMOV PAT
	 * PSE36 CLFSH MMX FXSR SSE SSE2. EBX: the size of CLFLUSH only;
	 * leaf_features() adds the rest */
	{ 0x00000001, ALL, ALL, 0x0000ff00, 0x76da3203, 0x078ba97f,
	  FIX_FEATURES, 0 },
	{ 0x00000004, 3, 0x000003ff, ALL, ALL, ALL, FIX_NONE, 0 },	/* caches, one core */
	{ 0x00000006, ALL, BIT32(2), 0, 0, 0, FIX_NONE, 0 },		/* ARAT */
	/* FSGSBASE BMI1 AVX2 SMEP BMI2 ERMS INVPCID RDSEED ADX SMAP CLFLUSHOPT
	 * CLWB SHA and AVX512 F DQ IFMA CD BW VL; UMIP */
	{ 0x00000007, 0, 0, 0xf1bf07a9, BIT32(2), 0, FIX_NONE, 0 },
	{ 0x0000000b, ALL, 0, 0, 0, 0, FIX_TOPOLOGY, 0 },
	{ 0x0000000d, 8, ALL, ALL, ALL, ALL, FIX_XSTATE, 0 },
	{ 0x80000000, ALL, 0, ALL, ALL, ALL, FIX_NONE, MAX_EXTENDED },
	/* LAHF ABM SSE4A MISALIGNSSE PREFETCHW; SYSCALL NX
	 * PDPE1GB RDTSCP LM */
	{ 0x80000001, ALL, ALL, 0, 0x000001e1, 0x2c100800, FIX_NONE, 0 },
	{ 0x80000002, ALL, ALL, ALL, ALL, ALL, FIX_NONE, 0 },		/* brand string */
	{ 0x80000003, ALL, ALL, ALL, ALL, ALL, FIX_NONE, 0 },
	{ 0x80000004, ALL, ALL, ALL, ALL, ALL, FIX_NONE, 0 },
	{ 0x80000006, ALL, 0, 0, ALL, 0, FIX_NONE, 0 },		/* L2 */
	{ 0x80000007, ALL, 0, 0, 0, BIT32(8), FIX_NONE, 0 },		/* invariant TSC */
	{ 0x80000008, ALL, 0x0000ffff, 0, 0, 0, FIX_NONE, 0 },		/* address sizes */
};

/* Of this machine, from cpuid_policy_init() on. */

/** All XCR0 bits that it has and guests may use; also what XSAVE switches. */
uint64_t xstate_mask;
/** Is there an IA32_TSC_AUX to switch? Reading it elsewhere would be a #GP. */
bool cpu_has_tsc_aux;
/**
 * Do XSAVE and XRSTOR leave the x87 instruction and data pointers alone unless
 * an exception is pending? Then the next vCPU would find the last one's. [APM2
 * "FXSAVE and FXRSTOR Instructions", APM3 "Function 8000_0008h": XSaveErPtr]
 */
bool cpu_keeps_x87_pointers;

/* AuthenticAMD, HygonGenuine: EBX tells. */
static bool is_amd(void)
{
	uint32_t name = cpuid(0, 0).ebx;

	return name == 0x68747541 || name == 0x6f677948;
}

/**
 * Fits the table to this machine, as boot/ and the boot CPU see it; all CPUs
 * are taken to be alike. Boot CPU, once, before any guest runs.
 */
void cpuid_policy_init(void)
{
	struct cpuid_regs d = cpuid(0x0d, 0);

	xstate_mask = d.eax & (XCR0_X87 | XCR0_SSE | XCR0_AVX);
	/* all three parts or none, as XSETBV wants it */
	if ((d.eax & XCR0_AVX512) == XCR0_AVX512 &&
	    (xstate_mask & XCR0_AVX)) {
		xstate_mask |= XCR0_AVX512;
	}
	/* RDTSCP */
	cpu_has_tsc_aux = (cpuid(0x80000001, 0).edx & BIT32(27)) != 0;
	cpu_keeps_x87_pointers = is_amd() &&
				 !(cpuid(0x80000008, 0).ebx & BIT32(2));
	if (boot.flags & BOOT_FLAG_ERMS_SLOW) {
		/* ERMS promises fast byte strings; boot/ measured that they
		 * are not on this processor */
		table[4].ebx &= ~LEAF7_EBX_ERMS;
	}
	/* table[4] is leaf 7: the AVX-512 features go with their state */
	if (!(xstate_mask & XCR0_AVX512)) {
		table[4].ebx &= ~(BIT32(16) | BIT32(17) | BIT32(21) |
				  BIT32(28) | BIT32(30) | BIT32(31));
	}
}

/* The table's word on a leaf; NULL: it reads zero. */
static const struct leaf_mask *find(uint32_t leaf, uint32_t sub)
{
	const struct leaf_mask *m;

	for (m = table; m < table + ARRAY_SIZE(table); m++) {
		if (m->leaf == leaf) {
			return sub <= m->last ? m : NULL;
		}
	}
	return NULL;
}

/* Leaf 1: what is v's own (APIC id, number of vCPUs), and what is emulated
 * whether or not the machine has it: x2APIC and TSC deadlines. */
static void leaf_features(struct vcpu *v, struct cpuid_regs *r)
{
	r->ebx |= v->lapic.id << 24 | v->partition->vcpu_count << 16;
	r->ecx |= LEAF1_ECX_X2APIC | LEAF1_ECX_DEADLINE | LEAF1_ECX_HYPERVISOR;
	/* APIC, while it is not disabled [SDM3 "Enabling or Disabling the
	 * Local APIC"] */
	r->edx |= v->lapic.base & APIC_BASE_EN ? BIT32(9) : 0;
	r->edx |= v->partition->vcpu_count > 1 ? BIT32(28) : 0;
	if (hvm->vcpu_get(v, VCPU_CR4) & CR4_OSXSAVE) {
		r->ecx |= LEAF1_ECX_OSXSAVE;
	}
}

/* Every vCPU is a core of one package [SDM2 "CPUID", leaf 0BH]. */
static void leaf_topology(struct vcpu *v, uint32_t sub, struct cpuid_regs *r)
{
	r->ecx = sub & 0xff;
	r->edx = v->lapic.id;
	if (sub == 0) {
		r->ebx = 1;
		r->ecx |= 1 << 8;
	} else if (sub == 1) {
		r->eax = 3;	/* PARTITION_MAX_VCPUS is 8 */
		r->ebx = v->partition->vcpu_count;
		r->ecx |= 2 << 8;
	}
}

/* Bytes that XSAVEC writes for the XCR0 that is loaded, v's: the parts in their
 * order, one after the other. Reckoned here, since Bochs 2.7 tells the size of
 * XSAVE's area instead. [SDM1 "Extended Region of an XSAVE Area"] */
static uint32_t compact_size(void)
{
	uint64_t parts = xgetbv(0) & xstate_mask;
	uint32_t size = 512 + 64;	/* x87, SSE, header */

	for (uint32_t i = 2; i < 63; i++) {
		if (parts & BIT64(i)) {
			struct cpuid_regs part = cpuid(0x0d, i);

			if (part.ecx & BIT32(1)) {
				size = (size + 63) & ~63u;
			}
			size += part.eax;
		}
	}
	return size;
}

/* Leaf 0DH: other sizes come from the processor, which reckons them for the
 * same XCR0; parts that guests may not use read zero. */
static void leaf_xstate(uint32_t sub, struct cpuid_regs *r)
{
	if (sub == 0) {
		r->eax = (uint32_t)xstate_mask;
		r->edx = 0;
	} else if (sub == 1) {
		r->eax &= 7;	/* XSAVEOPT, XSAVEC, XGETBV(1); no XSAVES */
		r->ebx = r->eax & BIT32(1) ? compact_size() : 0;
		r->ecx = r->edx = 0;
	} else if (sub > 63 || !(xstate_mask & BIT64(sub))) {
		*r = (struct cpuid_regs){ 0, 0, 0, 0 };
	}
}

static inline struct cpuid_regs masked(const struct leaf_mask *m, uint32_t sub)
{
	struct cpuid_regs r = cpuid(m->leaf, sub);

	r.eax = (r.eax & m->eax) | m->set_eax;
	r.ebx &= m->ebx;
	r.ecx &= m->ecx;
	r.edx &= m->edx;
	return r;
}

static inline void answer(struct vcpu *v, struct cpuid_regs r)
{
	v->regs.rax = r.eax;
	v->regs.rbx = r.ebx;
	v->regs.rcx = r.ecx;
	v->regs.rdx = r.edx;
}

/* KVM's leaves: Linux takes its clock from them, see kvmclock.c. [Linux
 * Documentation/virt/kvm/x86/cpuid.rst] */
static struct cpuid_regs paravirt(uint32_t leaf)
{
	struct cpuid_regs r = { 0, 0, 0, 0 };

	if (leaf == HV_BASE) {
		r.eax = HV_BASE + 1;
		r.ebx = 0x4b4d564b;	/* "KVMKVMKVM\0\0\0" */
		r.ecx = 0x564b4d56;
		r.edx = 0x0000004d;
	} else if (leaf == HV_BASE + 1) {
		r.eax = KVM_CLOCKSOURCE2 | KVM_CLOCK_STABLE;
	}
	return r;
}

/* The leaves that are more than a mask. */
static NOINLINE void emulate_fixed(struct vcpu *v, const struct leaf_mask *m,
				   uint32_t sub)
{
	struct cpuid_regs r = masked(m, sub);

	switch (m->fix) {
	case FIX_FEATURES:
		leaf_features(v, &r);
		break;
	case FIX_TOPOLOGY:
		leaf_topology(v, sub, &r);
		break;
	case FIX_XSTATE:
		leaf_xstate(sub, &r);
		break;
	default:
		break;
	}
	answer(v, r);
}

/**
 * Answers CPUID in v's registers, with the upper halves cleared. On v's CPU,
 * v's XCR0 loaded. Any leaf and subleaf may be asked.
 */
NOINLINE void cpuid_emulate(struct vcpu *v)
{
	uint32_t leaf = (uint32_t)v->regs.rax, sub = (uint32_t)v->regs.rcx;
	const struct leaf_mask *m = find(leaf, sub);

	if (!m) {
		answer(v, (leaf >> 16) == (HV_BASE >> 16) ? paravirt(leaf) :
		       (struct cpuid_regs){ 0, 0, 0, 0 });
	} else if (m->fix == FIX_NONE) {
		answer(v, masked(m, sub));
	} else {
		emulate_fixed(v, m, sub);
	}
}
