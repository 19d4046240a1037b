/* SPDX-License-Identifier: MIT */
/*
 * CPUID, MSRs, exceptions, XCR0 and the state behind it. Every answer is
 * written to RESULT_PORT, or is in the exit's own trace line; what exits do not
 * show (an exception of the guest's own) is reported by result().
 */
#include "diff.h"

#define CR0_AM		(1ull << 18)
#define CR4_OSXSAVE	(1ull << 18)
#define RFLAGS_TF	0x100ull
#define RFLAGS_RF	0x10000ull
#define RFLAGS_AC	0x40000ull
#define DR6_RESET	0xffff0ff0ull
#define MSR_FS_BASE	0xc0000100u

/* The answers are in the trace, with the exit. */
static void cpuid(uint32_t leaf, uint32_t sub, uint32_t out[4])
{
	__asm__ volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]),
			 "=d"(out[3]) : "a"(leaf), "c"(sub));
}

/**
 * Every leaf that is shown, and neighbours that must read as nothing: subleaves
 * past the last, the hypervisor's leaves, ranges of other vendors.
 */
void test_cpuid(void)
{
	static const struct {
		uint32_t first, last, subs;
	} ranges[] = {
		{ 0, 3, 1 }, { 4, 4, 5 }, { 5, 6, 1 }, { 7, 7, 2 },
		{ 8, 0xa, 1 }, { 0xb, 0xb, 3 }, { 0xc, 0xc, 1 },
		{ 0xd, 0xd, 10 }, { 0xe, 0x10, 1 }, { 0x14, 0x16, 1 },
		{ 0x1f, 0x20, 1 }, { 0x40000000, 0x40000002, 1 },
		{ 0x40000100, 0x40000100, 1 }, { 0x80000000, 0x8000000a, 1 },
		{ 0x8000001d, 0x8000001f, 1 }, { 0xc0000000, 0xc0000000, 1 },
		{ 0xffffffff, 0xffffffff, 1 },
	};
	uint32_t out[4];

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		uint32_t leaf = ranges[i].first;

		/* Until last itself, which may be the largest number there
		 * is. */
		do {
			for (uint32_t s = 0; s < ranges[i].subs; s++) {
				cpuid(leaf, s, out);
			}
		} while (leaf++ != ranges[i].last);
	}
}

/** RDMSR for guarded(); arg is a struct msr, which gets the value. */
void do_rdmsr(void *arg)
{
	struct msr *m = arg;

	m->value = rdmsr(m->number);
}

/** WRMSR for guarded(); arg is a struct msr. */
void do_wrmsr(void *arg)
{
	const struct msr *m = arg;

	wrmsr(m->number, m->value);
}

/**
 * Allowed and denied, with good and bad values: registers of the system, of
 * power, counters, virtualization, the x2APIC range and its gaps, AMD's, KVM's.
 * Each answer is a value or #GP, and must be the same one.
 */
void test_msrs(void)
{
	static const uint32_t reads[] = {
		0x10, 0x17, 0x1b, 0x3a, 0x79, 0x8b, 0xce, 0xfe, 0x174, 0x179,
		0x1a0, 0x1d9, 0x277, 0x2ff, 0x345, 0x400, 0x480, 0x570, 0x6e0,
		0x7ff, 0x800, 0x802, 0x803, 0x808, 0x80a, 0x80b, 0x80d, 0x80f,
		0x810, 0x820, 0x828, 0x82f, 0x830, 0x831, 0x832, 0x837, 0x838,
		0x83e, 0x83f, 0x840, 0x8ff, 0x900, 0xc0000080, 0xc0000081,
		0xc0000100, 0xc0000104, 0xc0010015, 0xc0010114, 0xc0010117,
		0x40000000, 0x4b564d00, 0x4b564d01, 0xffffffff,
	};
	static const struct msr writes[] = {
		/* APIC base: without the boot processor's bit; straight back to
		 * xAPIC mode; off, and at another address. */
		{ 0x1b, 0xfee00c00 }, { 0x1b, 0xfee00900 }, { 0x1b, 0 },
		{ 0x8b, 0 }, { 0x1a0, 0 }, { 0x3a, 5 }, { 0x1d9, 1 },
		/* PAT: good, and with types that are reserved. */
		{ 0x277, 0x0007010600070106 }, { 0x277, 2 }, { 0x277, 8 },
		{ 0x277, 0x0007040600070406 }, { 0x2ff, 0xc00 },
		/* x2APIC: the ID, which is read-only, EOI with a value, TPR,
		 * spurious vector, error status, timer masked, a count and a
		 * divider. */
		{ 0x802, 1 }, { 0x80b, 1 }, { 0x808, 0x20 }, { 0x808, 0x100 },
		{ 0x808, 0 }, { 0x80f, 0x1ff }, { 0x828, 1 }, { 0x828, 0 },
		{ 0x832, 0x10030 }, { 0x838, 1ull << 32 }, { 0x83e, 0xb },
		/* The LVT's error entry. EFER: with SCE; without LME under
		 * paging; with SVME, which no guest has; without NXE. */
		{ 0x837, 0x100fe }, { 0xc0000080, 0xd01 },
		{ 0xc0000080, 0xc01 }, { 0xc0000080, 0x1d01 },
		{ 0xc0000080, 0x500 }, { 0xc0000080, 0x501 },
		{ 0xc0010114, 0 }, { 0x4b564d00, 2 }, { 0x4b564d01, 2 },
		{ 0x4b564d01, 0 }, { 0x6e0, 0 }, { 0xffffffff, 0 },
	};
	struct msr m;

	for (size_t i = 0; i < sizeof(reads) / sizeof(reads[0]); i++) {
		m = (struct msr){ .number = reads[i] };
		result(guarded(do_rdmsr, &m));
	}
	for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++) {
		m = writes[i];
		result(guarded(do_wrmsr, &m));
	}
	/* one that is switched with the vCPU: no exit, its own value */
	wrmsr(MSR_FS_BASE, 0x1234567);
	result(rdmsr(MSR_FS_BASE));
	wrmsr(MSR_FS_BASE, 0);
	m = (struct msr){ MSR_FS_BASE, 1ull << 63 };
	known(KNOWN_CANONICAL);
	result(guarded(do_wrmsr, &m));
	known(0);
}

INSN(do_ud2, "ud2")
INSN(do_int3, "int3")
INSN(do_de, "xor %%ebx, %%ebx; div %%ebx")
INSN(do_gp, "movabs $0x8000000000000000, %%rbx; mov (%%rbx), %%rbx")
INSN(do_np, "movabs $0x7f8000000000, %%rbx; mov (%%rbx), %%rbx")
INSN(do_int, "int $0x55")
INSN(do_cli, "cli")
INSN(do_hlt, "hlt")
INSN(do_in, "inb $0x80, %%al")
INSN(do_cpuid, "cpuid")
INSN(do_rdpmc, "rdpmc")
INSN(do_rsm, "rsm")
INSN(do_invd, "invd")
INSN(do_wbinvd, "wbinvd")
INSN(do_xsetbv, "xsetbv")
INSN(do_cr0, "mov %%cr0, %%rbx")
/* A load across a multiple of 8 with RFLAGS.AC: #AC at CPL 3. */
INSN(do_align, "pushfq; orl $0x40000, (%%rsp); popfq; mov -7(%%rsp), %%rbx")

static uint64_t flags_get(void)
{
	uint64_t flags;

	__asm__ volatile("pushfq; popq %0" : "=r"(flags) : : "memory");
	return flags;
}

static void flags_set(uint64_t flags)
{
	__asm__ volatile("pushq %0; popfq" : : "r"(flags) : "memory", "cc");
}

/* What happened since it was last taken; the bits are sticky. */
static uint64_t dr6_take(void)
{
	uint64_t dr6;

	__asm__ volatile("mov %%dr6, %0; mov %1, %%dr6"
			 : "=&r"(dr6) : "r"(DR6_RESET));
	return dr6;
}

static volatile uint32_t debug_left;

/* Reports cause and place; lets the interrupted code go on. After debug_left of
 * them single stepping ends. */
HANDLER on_debug(struct frame *f)
{
	result(dr6_take());
	result(f->ip);
	f->flags |= RFLAGS_RF;		/* an instruction breakpoint: once */
	if (--debug_left == 0) {
		f->flags &= ~RFLAGS_TF;
	}
}

static volatile uint32_t watched_word;

/* Single steps and breakpoints. They must reach the guest's own handler, with
 * DR6 and the place right, and exits must not change DR0 to DR7. */
static void debug_exceptions(void)
{
	extern const uint8_t trap_stubs[];
	uint64_t dr7;

	set_handler(1, on_debug);
	debug_left = 4;			/* single step */
	__asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq; nop; nop; nop; "
			 "nop; nop" : : : "memory", "cc");
	debug_left = 1;			/* an exit under single step */
	__asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq; cpuid; nop"
			 : : "a"(0), "c"(0) : "rbx", "rdx", "memory", "cc");
	debug_left = 100;		/* write to a watched word */
	__asm__ volatile("mov %0, %%dr0; mov %1, %%dr7"
			 : : "r"(&watched_word), "r"(0xd0402ull));
	watched_word = 1;
	__asm__ volatile("mov %%dr7, %0; mov %1, %%dr7"
			 : "=&r"(dr7) : "r"(0x400ull));
	result(dr7);
	__asm__ volatile("lea 1f(%%rip), %%rax; mov %%rax, %%dr1; "
			 "mov %0, %%dr7; nop; 1: nop; mov %1, %%dr7"
			 : : "r"(0x408ull), "r"(0x400ull) : "rax");
	result(watched_word);
	set_handler(1, trap_stubs + 16);
}

/**
 * Exceptions that are the guest's own, and those the hypervisor gives back or
 * raises: at CPL 0, at CPL 3, debug exceptions, alignment. flags are put back
 * after each: an exception leaves IF and others changed.
 */
void test_exceptions(void)
{
	static void (*const kernel[])(void *) = {
		do_ud2, do_int3, do_de, do_gp, do_np, do_int, do_rdpmc,
		do_rsm, do_invd, do_wbinvd,
	};
	static void (*const user[])(void *) = {
		do_ud2, do_de, do_cli, do_hlt, do_in, do_cpuid, do_cr0,
		do_rdpmc,
	};
	uint64_t flags = flags_get(), cr0;

	for (size_t i = 0; i < sizeof(kernel) / sizeof(kernel[0]); i++) {
		result(guarded(kernel[i], NULL));
		flags_set(flags);
	}
	for (size_t i = 0; i < sizeof(user) / sizeof(user[0]); i++) {
		result(guarded_user(user[i], NULL));
		flags_set(flags);
	}
	known(KNOWN_CPL);
	result(guarded_user(do_invd, NULL));
	known(0);
	flags_set(flags);
	debug_exceptions();
	__asm__ volatile("mov %%cr0, %0; mov %1, %%cr0"
			 : "=&r"(cr0) : "r"(0x80000031 | CR0_AM));
	/* CR0.AM on: #AC is the hypervisor's to give back (it is
	 * intercepted). */
	known(KNOWN_ALIGNMENT);
	result(guarded_user(do_align, NULL));
	known(0);
	flags_set(flags);
	__asm__ volatile("mov %0, %%cr0" : : "r"(cr0));
}

/* For XSETBV under guarded(). */
struct xcr {
	uint32_t number;
	uint64_t value;
};

static void do_xsetbv_value(void *arg)
{
	const struct xcr *x = arg;

	__asm__ volatile("xsetbv" : : "c"(x->number),
			 "a"((uint32_t)x->value),
			 "d"((uint32_t)(x->value >> 32)));
}

static uint64_t xgetbv(void)
{
	uint32_t low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return low | (uint64_t)high << 32;
}

/**
 * XCR0 with good and bad values; XSAVE and XRSTOR around exits: the registers
 * are the guest's own across them.
 */
void test_xsave(void)
{
	/* x87; SSE; AVX; none and SSE without x87: #GP; AVX without SSE: #GP; a
	 * reserved bit, a register that is not there: #GP; and all of it, for
	 * below. */
	static const struct xcr values[] = {
		{ 0, 1 }, { 0, 3 }, { 0, 7 }, { 0, 0 }, { 0, 2 }, { 0, 5 },
		{ 0, 1ull << 63 | 1 }, { 1, 1 }, { 0, 7 },
	};
	static uint8_t area[4096] __attribute__((aligned(64)));
	uint64_t cr4, seen;
	uint32_t out[4];

	known(KNOWN_CR_READS);
	__asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
	__asm__ volatile("mov %0, %%cr4" : : "r"(cr4 | CR4_OSXSAVE | 0x600));
	known(0);
	cpuid(1, 0, out);		/* OSXSAVE shows */
	result(out[2] >> 26 & 3);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		struct xcr x = values[i];

		result(guarded(do_xsetbv_value, &x));
		result(xgetbv());
	}
	result(guarded_user(do_xsetbv, NULL));
	cpuid(0xd, 0, out);
	result(out[1]);			/* size for the XCR0 set now */
	__asm__ volatile("movq %0, %%xmm5" : : "r"(0x1122334455667788ull));
	cpuid(0, 0, out);
	__asm__ volatile("xsave64 (%0)" : : "r"(area), "a"(7), "d"(0)
			 : "memory");
	__asm__ volatile("pxor %%xmm5, %%xmm5" : : );
	cpuid(0, 0, out);
	__asm__ volatile("xrstor64 (%0)" : : "r"(area), "a"(7), "d"(0)
			 : "memory");
	__asm__ volatile("movq %%xmm5, %0" : "=r"(seen));
	result(seen);
	result(*(uint64_t *)(void *)&area[512] & 2);	/* XSTATE_BV: SSE */
}
