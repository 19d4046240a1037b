/* SPDX-License-Identifier: MIT */
/*
 * Instructions and register names of x86-64, as the SDM and the APM write
 * them. Ring 0 only.
 */
#ifndef ISTHMUS_X86_H
#define ISTHMUS_X86_H

#include <types.h>

#define CR0_PE		BIT64(0)
#define CR0_MP		BIT64(1)
#define CR0_EM		BIT64(2)
#define CR0_TS		BIT64(3)
#define CR0_ET		BIT64(4)
#define CR0_NE		BIT64(5)
#define CR0_WP		BIT64(16)
#define CR0_AM		BIT64(18)
#define CR0_NW		BIT64(29)
#define CR0_CD		BIT64(30)
#define CR0_PG		BIT64(31)

#define CR4_VME		BIT64(0)
#define CR4_PVI		BIT64(1)
#define CR4_TSD		BIT64(2)
#define CR4_DE		BIT64(3)
#define CR4_PSE		BIT64(4)
#define CR4_PAE		BIT64(5)
#define CR4_MCE		BIT64(6)
#define CR4_PGE		BIT64(7)
#define CR4_OSFXSR	BIT64(9)
#define CR4_OSXMMEXCPT	BIT64(10)
#define CR4_UMIP	BIT64(11)
#define CR4_VMXE	BIT64(13)
#define CR4_FSGSBASE	BIT64(16)
#define CR4_PCIDE	BIT64(17)
#define CR4_OSXSAVE	BIT64(18)
#define CR4_SMEP	BIT64(20)
#define CR4_SMAP	BIT64(21)

#define EFER_SCE	BIT64(0)
#define EFER_LME	BIT64(8)
#define EFER_LMA	BIT64(10)
#define EFER_NXE	BIT64(11)
#define EFER_SVME	BIT64(12)

#define RFLAGS_FIXED	BIT64(1)
#define RFLAGS_TF	BIT64(8)
#define RFLAGS_IF	BIT64(9)

#define XCR0_X87	BIT64(0)
#define XCR0_SSE	BIT64(1)
#define XCR0_AVX	BIT64(2)
#define XCR0_AVX512	(BIT64(5) | BIT64(6) | BIT64(7))

#define DR6_RESET	0xffff0ff0ull
#define DR6_BS		BIT64(14)
#define DR7_RESET	0x400ull
#define DR7_ENABLED	0xffull	/* L0, G0 to L3, G3 */

enum {	/* MSRs by number [SDM4] */
	MSR_IA32_TSC = 0x10, MSR_IA32_PLATFORM_ID = 0x17,
	MSR_IA32_APIC_BASE = 0x1b, MSR_IA32_FEATURE_CONTROL = 0x3a,
	MSR_IA32_TSC_ADJUST = 0x3b, MSR_IA32_BIOS_SIGN_ID = 0x8b,
	MSR_IA32_ARCH_CAPABILITIES = 0x10a, MSR_IA32_SYSENTER_CS = 0x174,
	MSR_IA32_SYSENTER_ESP = 0x175, MSR_IA32_SYSENTER_EIP = 0x176,
	MSR_IA32_MCG_CAP = 0x179, MSR_IA32_MCG_STATUS = 0x17a,
	MSR_IA32_MCG_CTL = 0x17b, MSR_IA32_MISC_ENABLE = 0x1a0,
	MSR_IA32_PAT = 0x277, MSR_IA32_TSC_DEADLINE = 0x6e0,
	MSR_X2APIC_FIRST = 0x800, MSR_X2APIC_LAST = 0x8ff,
	MSR_PERF_EVT_SEL0 = 0xc0010000, MSR_PERF_CTR3 = 0xc0010007,
	MSR_VM_CR = 0xc0010114, MSR_VM_HSAVE_PA = 0xc0010117,
	MSR_IA32_EFER = 0xc0000080, MSR_IA32_STAR = 0xc0000081,
	MSR_IA32_LSTAR = 0xc0000082, MSR_IA32_CSTAR = 0xc0000083,
	MSR_IA32_FMASK = 0xc0000084, MSR_IA32_FS_BASE = 0xc0000100,
	MSR_IA32_GS_BASE = 0xc0000101, MSR_IA32_KERNEL_GS_BASE = 0xc0000102,
	MSR_IA32_TSC_AUX = 0xc0000103,
};
#define MSR_IA32_MC_CTL(bank)		(0x400 + 4 * (bank))
#define MSR_IA32_MC_STATUS(bank)	(0x401 + 4 * (bank))
#define MSR_IA32_MC_ADDR(bank)		(0x402 + 4 * (bank))
#define MSR_IA32_MC_MISC(bank)		(0x403 + 4 * (bank))

#define APIC_BASE_BSP		BIT64(8)
#define APIC_BASE_EXTD		BIT64(10)
#define APIC_BASE_EN		BIT64(11)

/* Value of IA32_PAT after reset [SDM3 "Programming the PAT"]. */
#define PAT_RESET		0x0007040600070406ull

/* Types 2, 3 and above 7 are reserved. [SDM3 "Page Attribute Table (PAT)"] What
 * is left when an entry is bad is not 0. */
static inline bool pat_valid(uint64_t pat)
{
	while (pat && (pat & 0xff) <= 7 && (pat & 0xfe) != 2) {
		pat >>= 8;
	}
	return !pat;
}

/* A linear address of 48 bits. */
static inline bool canonical(uint64_t at)
{
	return (uint64_t)((int64_t)(at << 16) >> 16) == at;
}

enum x86_exception {
	X86_EXC_DB = 1, X86_EXC_NMI = 2, X86_EXC_BP = 3, X86_EXC_OF = 4,
	X86_EXC_UD = 6, X86_EXC_DF = 8, X86_EXC_GP = 13, X86_EXC_PF = 14,
	X86_EXC_AC = 17, X86_EXC_MC = 18,
};

struct cpuid_regs {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid_regs cpuid(uint32_t leaf, uint32_t sub)
{
	struct cpuid_regs r;

	__asm__ volatile("cpuid"
			 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "a"(leaf), "c"(sub));
	return r;
}

/* Registers that ECX numbers, in EDX:EAX. */
#define X86_NUMBERED(read, write)					\
static inline uint64_t read(uint32_t reg)				\
{									\
	uint32_t lo, hi;						\
	__asm__ volatile(#read : "=a"(lo), "=d"(hi) : "c"(reg));	\
	return (uint64_t)hi << 32 | lo;					\
}									\
static inline void write(uint32_t reg, uint64_t v)			\
{									\
	__asm__ volatile(#write : : "c"(reg), "a"((uint32_t)v),		\
			 "d"((uint32_t)(v >> 32)) : "memory");		\
}
X86_NUMBERED(rdmsr, wrmsr) X86_NUMBERED(xgetbv, xsetbv)

static inline uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

#define X86_PORTS(size, type)						\
static inline type in##size(uint16_t port)				\
{									\
	type v;								\
	__asm__ volatile("in" #size " %1, %0" : "=a"(v) : "Nd"(port));	\
	return v;							\
}									\
static inline void out##size(uint16_t port, type v)			\
{									\
	__asm__ volatile("out" #size " %0, %1" : : "a"(v), "Nd"(port));	\
}
X86_PORTS(b, uint8_t) X86_PORTS(w, uint16_t) X86_PORTS(l, uint32_t)

/* Registers of a device, uncached. */
#define X86_DEVICE(bits)						\
static inline uint##bits##_t read_device##bits(const volatile uint8_t *at) \
{									\
	return *(const volatile uint##bits##_t *)at;			\
}									\
static inline void write_device##bits(volatile uint8_t *at, uint##bits##_t v) \
{									\
	*(volatile uint##bits##_t *)at = v;				\
}
X86_DEVICE(32) X86_DEVICE(64)

/* Writes one line of the cache back to memory. */
static inline void cache_flush(const void *at)
{
	__asm__ volatile("clflush (%0)" : : "r"(at) : "memory");
}

#define X86_RW_REG(name, reg)						\
static inline uint64_t read_##name(void)				\
{									\
	uint64_t v;							\
	__asm__ volatile("mov %%" reg ", %0" : "=r"(v));		\
	return v;							\
}									\
static inline void write_##name(uint64_t v)				\
{									\
	__asm__ volatile("mov %0, %%" reg : : "r"(v) : "memory");	\
}
X86_RW_REG(cr0, "cr0") X86_RW_REG(cr2, "cr2") X86_RW_REG(cr3, "cr3")
X86_RW_REG(cr4, "cr4") X86_RW_REG(dr0, "dr0") X86_RW_REG(dr1, "dr1")
X86_RW_REG(dr2, "dr2") X86_RW_REG(dr3, "dr3") X86_RW_REG(dr6, "dr6")
X86_RW_REG(dr7, "dr7")

#define X86_XSTATE(name, area_type)					\
static inline void name(area_type *area, uint64_t mask)			\
{									\
	__asm__ volatile(#name "64 (%0)" : : "r"(area), "a"((uint32_t)mask), \
			 "d"((uint32_t)(mask >> 32)) : "memory");	\
}
X86_XSTATE(xsave, void) X86_XSTATE(xrstor, const void)

/**
 * Puts addresses of the hypervisor's, always the same, into the x87
 * instruction and data pointers; the rest of the x87 state is void
 * afterwards. No exception may be pending at the load: hence FNCLEX.
 */
static inline void x87_clear_pointers(void)
{
	static const int32_t zero;

	__asm__ volatile("fnclex; emms; fildl %0" : : "m"(zero));
}

#define X86_INSN(name, insn)						\
static inline void name(void)						\
{									\
	__asm__ volatile(insn : : : "memory");				\
}
X86_INSN(cpu_pause, "pause") X86_INSN(cpu_sti, "sti") X86_INSN(cpu_cli, "cli")
/** Before a WRMSR to the LAPIC, which does not wait for earlier stores by itself:
 * now they are seen. [SDM3 "MSR Access in x2APIC Mode"] */
X86_INSN(cpu_wrmsr_fence, "mfence; lfence")
/** Stores of weak order, too, are in memory before any that follow. */
X86_INSN(cpu_store_fence, "sfence")
/** Waits for an interrupt; STI's shadow closes the gap before HLT. */
X86_INSN(cpu_sti_hlt_cli, "sti; hlt; cli")
/**
 * Takes the interrupts that are pending: STI's shadow covers the NOP, so they
 * come before CLI.
 */
X86_INSN(cpu_sti_cli, "sti; nop; cli")

/** The end of this CPU: only an NMI wakes it, for another round. */
static inline void NORETURN cpu_halt_forever(void)
{
	for (;;) {
		__asm__ volatile("cli; hlt" : : : "memory");
	}
}

/** a * b / c with a 128-bit product; all ones when the quotient overflows. */
static inline uint64_t u64_muldiv(uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t lo, hi;

	__asm__("mulq %3" : "=a"(lo), "=d"(hi) : "a"(a), "r"(b) : "cc");
	if (hi >= c) {
		return ~0ull;
	}
	__asm__("divq %2" : "+a"(lo), "+d"(hi) : "r"(c) : "cc");
	return lo;
}

/* One REP STOSQ: bytes a multiple of 8. */
static inline void zero_memory(void *p, uint64_t bytes)
{
	uint64_t n = bytes / 8;

	__asm__ volatile("rep stosq" : "+D"(p), "+c"(n) : "a"(0ull) : "memory");
}

#endif
