/* SPDX-License-Identifier: MIT */
/*
 * The canary: a partition beside the one that attacks. For ever, in pieces of a
 * millisecond at most: it says that it lives, with its clock; looks at a piece of its
 * memory; loads all registers, lets others run, and looks at them. It tells the oracle
 * what has changed, by a number (qemu-test/hostile/ports.h), and makes it right again.
 * It has no channel's driver and prints nothing.
 */
#include "../payload/cpu.h"
#include "../payload/payload.h"
#include "canary.h"
#include "qemu-test/hostile/ports.h"

#define REGION		0x2000000ull
#define REGION_WORDS	(16u << 20 >> 3)
#define PIECE_WORDS	(32u << 10 >> 3)
#define MSR_TSC_DEADLINE	0x6e0u
#define MSR_SVR		0x80fu
#define MSR_LVT_TIMER	0x832u
#define LVT_DEADLINE	(2u << 17)
#define TIMER_VECTOR	0x40u
#define CR4_OSFXSR	(1ull << 9)
#define CR4_OSXSAVE	(1ull << 18)
#define CR0_WP		(1ull << 16)
#define XCR0_ALL	7u
#define XCR0_AVX	4u
#define BUSY_ROUNDS	4096u
#define FLAGS_IF	0x200ull
#define FLAGS_CHECKED	0x8d5ull	/* OF SF ZF AF PF CF */
#define MXCSR_MASKED	0x1f80u

void payload_main(const uint8_t *boot_params);

extern const uint64_t image_start[], image_end[];

static uint32_t crc(uint32_t sum, const volatile uint64_t *at, uint64_t words)
{
	uint64_t v = sum;

	for (; words--; at++) {
		__asm__("crc32q %1, %0" : "+r"(v) : "r"(*at));
	}
	return (uint32_t)v;
}

static uint64_t xcr0_get(void)
{
	uint32_t low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return low | (uint64_t)high << 32;
}

static void xcr0_set(uint64_t v)
{
	__asm__ volatile("xsetbv" : : "a"((uint32_t)v),
			 "d"((uint32_t)(v >> 32)), "c"(0));
}

/* What each is set to: by a mask, of a number of the round's, over what it must be. */
static const struct control {
	uint64_t (*get)(void);
	void (*set)(uint64_t v);
	uint64_t free, fixed;
} controls[] = {
	{ cr2_get, cr2_set, ~0ull, 0 },
	{ cr8_get, cr8_set, 3, 0 },	/* vector 0x40 comes through */
	{ dr0_get, dr0_set, 0x7ffffffffff8ull, 0 },
	{ dr1_get, dr1_set, 0x7ffffffffff8ull, 0 },
	{ dr2_get, dr2_set, 0x7ffffffffff8ull, 0 },
	{ dr3_get, dr3_set, 0x7ffffffffff8ull, 0 },
	{ dr6_get, dr6_set, 0xf, 0xffff0ff0 },
	{ dr7_get, dr7_set, 0xffff0000, 0x400 },	/* none enabled */
	{ cr0_get, cr0_set, CR0_WP, 0x80000033 },
	{ cr4_get, cr4_set, 0x80, 0x20 | CR4_OSFXSR | CR4_OSXSAVE },
	{ xcr0_get, xcr0_set, XCR0_AVX, XCR0_ALL & ~XCR0_AVX },
};

static const struct {
	uint32_t number;
	uint64_t free, fixed;
} msrs[] = {
	{ 0xc0000100, 0x7fffffffffff, 0 },		/* FS base */
	{ 0xc0000101, 0x7fffffffffff, 0 },		/* GS base */
	{ 0xc0000102, 0x7fffffffffff, 0xffff800000000000 }, /* KERNEL_GS */
	{ 0x174, 0xffff, 0 }, { 0x175, 0x7fffffffffff, 0 },
	{ 0x176, 0x7fffffffffff, 0 },			/* SYSENTER */
	{ 0xc0000081, 0xffff0000ffffffff, 0x10ull << 32 }, /* STAR: its CS */
	{ 0xc0000082, 0x10, (uintptr_t)canary_syscall },   /* LSTAR: either */
	{ 0xc0000083, 0x7fffffffffff, 0 },		/* CSTAR */
	{ 0xc0000084, 0xffffffff, 0 },			/* FMASK */
	{ 0x277, 0x0404040404040404, 0x0101010101010101 },	/* PAT: WC, WP */
	{ 0xc0000103, 0xffffffff, 0 },			/* TSC_AUX */
};

#define CONTROLS	(sizeof(controls) / sizeof(controls[0]))
#define MSRS		(sizeof(msrs) / sizeof(msrs[0]))
#define XCR0		(CONTROLS - 1)
#define LSTAR		(CONTROLS + 7)
#define TSC_AUX		(CONTROLS + 11)
#define EFER		0xc0000080u
#define EFER_SCE	1ull

static struct canary_regs in, out;
static uint64_t ticks_ms, tables;
static bool has_rdtscp;

/* All set for a round. SYSCALL's exit, so they take their turn: one each round, and
 * what was set last stays. */
static void set_all(uint64_t round, uint64_t *expected)
{
	uint64_t *area = (uint64_t *)in.area;
	uint32_t i;

	for (i = 0; i < CANARY_GPRS; i++) {
		in.gpr[i] = mixed(round * 64 + i);
	}
	in.flags = 2 | (mixed(round * 64 + 60) & FLAGS_CHECKED);
	for (i = 0; i < CANARY_AREA / 8; i++) {
		area[i] = mixed(round * 256 + i + 64);
	}
	/* FCW, FSW, FTW, FOP, then the pointers: none; MXCSR; the header */
	area[0] = 0xff0000037full;
	area[1] = area[2] = 0;
	area[3] = 0xffff00000000ull | MXCSR_MASKED;
	for (i = 4; i < 20; i += 2) {	/* ten bytes each */
		area[i + 1] &= 0xffff;
	}
	for (i = 65; i < 72; i++) {
		area[i] = 0;
	}
	for (i = 0; i < CONTROLS; i++) {
		expected[i] = controls[i].fixed |
			      (mixed(round * 64 + 20 + i) & controls[i].free);
		controls[i].set(expected[i]);
	}
	area[64] = expected[XCR0];
	i = (uint32_t)(round % MSRS);
	expected[CONTROLS + i] = msrs[i].fixed |
				 (mixed(round * 64 + 40 + i) & msrs[i].free);
	wrmsr(msrs[i].number, expected[CONTROLS + i]);
}

/* Where SYSCALL leads: which of the two. Reading its MSRs exits, and says what the
 * hypervisor knows; this is what the processor has. */
static uint64_t syscall_leads(void)
{
	uint64_t v;

	__asm__ volatile("syscall" : "=a"(v) : : "rcx", "r11", "memory");
	return v;
}

static uint32_t tsc_aux(void)
{
	uint32_t v;

	__asm__ volatile("rdtscp" : "=c"(v) : : "eax", "edx");
	return v;
}

/* 0, or what is not as it was set: 1 a general register, 2 flags, 3 of the XSAVE
 * area, 4 CR3, 5 where SYSCALL leads, 6 what RDTSCP says, 0x10 + a control register,
 * 0x20 + an MSR; from bit 16 on which. */
static uint32_t differs(const uint64_t *expected)
{
	const uint64_t *a = (const uint64_t *)in.area;
	const uint64_t *b = (const uint64_t *)out.area;
	uint32_t i;

	for (i = 0; i < CANARY_GPRS; i++) {
		if (in.gpr[i] != out.gpr[i]) {
			return 1 | i << 16;
		}
	}
	if ((in.flags ^ out.flags) & FLAGS_CHECKED) {
		return 2;
	}
	for (i = 0; i < CANARY_AREA / 8; i++) {
		/* what is behind the registers is software's; MXCSR's mask; AVX's
		 * are not saved where XCR0 has them not */
		bool is = i < 52 || (i >= 72 && (expected[XCR0] & XCR0_AVX));

		if (is && ((a[i] ^ b[i]) & (i == 3 ? 0xffffffff : ~0ull))) {
			return 3 | i << 16;
		}
	}
	for (i = 0; i < CONTROLS; i++) {
		if (controls[i].get() != expected[i]) {
			return (0x10 + i) | 1 << 16;
		}
	}
	for (i = 0; i < MSRS; i++) {
		if (rdmsr(msrs[i].number) != expected[CONTROLS + i]) {
			return (0x20 + i) | 1 << 16;
		}
	}
	if (syscall_leads() != (expected[LSTAR] >> 4 & 1)) {
		return 5;
	}
	if (has_rdtscp && tsc_aux() != expected[TSC_AUX]) {
		return 6;
	}
	return cr3_get() == tables ? 0 : 4;
}

static void look_at_registers(uint64_t round, uint64_t *expected)
{
	set_all(round, expected);
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + ticks_ms);
	canary_wait(&in, &out, round & 1, BUSY_ROUNDS);
	port_out32(CANARY_REGISTERS, differs(expected));
}

/* A piece of the memory each time; at the end of all of it, its own program. */
static void look_at_memory(uint64_t piece, uint32_t program)
{
	volatile uint64_t *at = (volatile uint64_t *)REGION;
	uint64_t words = (uint64_t)(image_end - image_start), first, i;

	first = piece % (REGION_WORDS / PIECE_WORDS) * PIECE_WORDS;
	for (i = first; i < first + PIECE_WORDS; i++) {
		if (at[i] != ((i + 1) * 0x9e3779b97f4a7c15ull)) {
			port_out32(CANARY_MEMORY, (uint32_t)(i + 1));
			at[i] = (i + 1) * 0x9e3779b97f4a7c15ull;
		}
	}
	if (first == 0) {
		port_out32(CANARY_MEMORY,
			   crc(~0u, image_start, words) == program ? 0 : ~0u);
	}
}

static void start(void)
{
	volatile uint64_t *at = (volatile uint64_t *)REGION;
	uint32_t r[4];

	machine_init();
	get_cpuid(0x80000001, 0, r);
	has_rdtscp = (r[3] & 1u << 27) != 0;
	wrmsr(EFER, rdmsr(EFER) | EFER_SCE);
	for (uint32_t i = 0; i < 256; i++) {
		machine_set_handler(i, canary_stubs + 16 * i);
	}
	for (uint64_t i = 0; i < REGION_WORDS; i++) {
		at[i] = (i + 1) * 0x9e3779b97f4a7c15ull;
	}
	cr0_set(0x80000033);
	cr4_set(cr4_get() | CR4_OSFXSR | CR4_OSXSAVE);
	xcr0_set(XCR0_ALL);
	wrmsr(MSR_SVR, 0x1ff);
	wrmsr(MSR_LVT_TIMER, LVT_DEADLINE | TIMER_VECTOR);
	ticks_ms = port_in32(CANARY_BEAT);
	tables = cr3_get();
}

/* From header.S. Never returns. */
void payload_main(const uint8_t *boot_params)
{
	static uint64_t expected[CONTROLS + MSRS];
	uint64_t words, round;
	uint32_t program;

	(void)boot_params;
	start();
	words = (uint64_t)(image_end - image_start);
	program = crc(~0u, image_start, words);
	for (uint32_t i = 0; i < MSRS; i++) {
		expected[CONTROLS + i] = msrs[i].fixed;
		wrmsr(msrs[i].number, msrs[i].fixed);
	}
	for (round = 0;; round++) {
		port_out32(CANARY_BEAT, (uint32_t)rdtsc());
		look_at_memory(round, program);
		look_at_registers(round, expected);
	}
}
