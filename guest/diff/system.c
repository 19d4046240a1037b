/* SPDX-License-Identifier: MIT */
/*
 * Control registers, modes, the local APIC, the second vCPU. Where time plays a
 * part (timers, the other vCPU) it only decides when something happens: what
 * happens, and in which order on one vCPU, must be the same.
 */
#include "diff.h"
#include "abi/hypercall.h"

/* CR0 as the program runs with it. */
#define CR0_NOW		0x80000031ull	/* PG, NE, ET, PE */
/* x2APIC registers as MSRs: 0x800 + offset / 16. [SDM3 "x2APIC Register Address
 * Space"] */
#define LVT_TIMER	0x832u
#define TIMER_INITIAL	0x838u
#define TIMER_DIVIDE	0x83eu
#define SVR		0x80fu
#define ICR		0x830u
#define SELF_IPI	0x83fu
#define TSC_DEADLINE	0x6e0u
#define APIC_BASE	0x1bu
#define LVT_PERIODIC	(1u << 17)
#define LVT_DEADLINE	(2u << 17)
#define LVT_MASKED	(1u << 16)
#define ICR_SELF	(1u << 18)
#define ICR_NMI		0x400u
#define ICR_INIT	0x4500u
#define ICR_SIPI	0x4600u
#define VECTOR		0x40u
/* Below 1 MiB, free memory: the start-up vector's page. */
#define AP_PAGE		0x10000ull
#define AP_CR3_AT	(-4)		/* from the trampoline's end */
#define TICKS		3u

/* For guarded(); arg points to the value. */
#define WRITE_CR(id, name) \
	static void id(void *arg) \
	{ \
		__asm__ volatile("mov %0, %%" name \
				 : : "r"(*(uint64_t *)arg) : "memory"); \
	}

WRITE_CR(do_cr0, "cr0")
WRITE_CR(do_cr4, "cr4")
WRITE_CR(do_cr8, "cr8")

static uint64_t cr0_get(void)
{
	uint64_t v;

	__asm__ volatile("mov %%cr0, %0" : "=r"(v));
	return v;
}

static uint64_t cr4_get(void)
{
	uint64_t v;

	__asm__ volatile("mov %%cr4, %0" : "=r"(v));
	return v;
}

/* Writes each value, and reports the exception and what the register is
 * then. */
static void try_each(void (*write)(void *), uint64_t (*get)(void),
		     const uint64_t *values, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t v = values[i];

		result(guarded(write, &v));
		result(get());
	}
}

static uint64_t cr8_get(void)
{
	uint64_t v;

	__asm__ volatile("mov %%cr8, %0" : "=r"(v));
	return v;
}

/**
 * Good and bad values of CR0, CR4, CR8; LMSW, CLTS; out of 64-bit mode and
 * back. Reserved bits and forbidden combinations must be #GP, and leave the
 * register as it was.
 */
void test_paging(void)
{
	/* WP; TS; NE off; NW without CD; PE off under paging; PG off in 64-bit
	 * code; a reserved bit; MP; as it was. */
	static const uint64_t cr0[] = {
		CR0_NOW | 1 << 16, CR0_NOW | 8, CR0_NOW & ~0x20ull,
		CR0_NOW | 1u << 29, CR0_NOW & ~1ull,
		CR0_NOW & 0x7fffffff, CR0_NOW | 1ull << 32,
		CR0_NOW | 2, CR0_NOW,
	};
	/* CD, CD and NW, neither. */
	static const uint64_t caches[] = {
		CR0_NOW | 1u << 30, CR0_NOW | 3ull << 29, CR0_NOW,
	};
	/* PAE with PSE, PGE, DE, OSFXSR and OSXMMEXCPT; PAE off in long mode;
	 * VMXE, SMXE; reserved bits; FSGSBASE; as it was. */
	static const uint64_t cr4[] = {
		0x20, 0x30, 0xa0, 0x28, 0x620, 0, 0x2020, 0x4020,
		0x80000020, 1ull << 32 | 0x20, 0x10020, 0x20,
	};
	static const uint64_t cr8[] = { 3, 15, 16, ~0ull, 0 };
	uint64_t all[4];

	try_each(do_cr0, cr0_get, cr0, sizeof(cr0) / sizeof(cr0[0]));
	known(KNOWN_CACHE_BITS);
	try_each(do_cr0, cr0_get, caches, sizeof(caches) / sizeof(caches[0]));
	known(0);
	known(KNOWN_CR_READS);
	try_each(do_cr4, cr4_get, cr4, sizeof(cr4) / sizeof(cr4[0]));
	try_each(do_cr8, cr8_get, cr8, sizeof(cr8) / sizeof(cr8[0]));
	known(0);
	__asm__ volatile("lmsw %w0" : : "r"(0x39));	/* TS on */
	result(cr0_get());
	__asm__ volatile("clts");
	result(cr0_get());
	__asm__ volatile("lmsw %w0" : : "r"(0x30));	/* cannot clear PE */
	result(cr0_get());
	result(guarded(compat_trip, NULL));
	result(guarded(legacy_trip, NULL));
	/* EFER: LMA is back after the legacy trip. */
	all[0] = rdmsr(0xc0000080);
	result(all[0]);
}

/* Counted by handlers, on either vCPU; never by both at a time. */
static volatile uint32_t taken, nmis;

HANDLER on_interrupt(struct frame *f)
{
	(void)f;
	taken++;
	EOI();
}

/* The last tick ends the series before another can be due. */
HANDLER on_tick(struct frame *f)
{
	(void)f;
	if (++taken == TICKS) {
		wrmsr(TIMER_INITIAL, 0);
	}
	EOI();
}

HANDLER on_nmi(struct frame *f)
{
	(void)f;
	nmis++;
}

/* Interrupts are on for the HLT only: one HLT exit for one interrupt. STI takes
 * effect after the next instruction, so none can come before the HLT. */
static void sleep_once(void)
{
	__asm__ volatile("sti; hlt; cli" : : : "memory");
}

/* Ticks a second, by HC_INFO. */
static uint64_t tsc_hz(void)
{
	hypercall(HC_INFO, 0, 0);
	return hypercall_rdx;
}

/**
 * The local APIC's timer in its three modes: one-shot, TSC deadline (also in
 * the past), periodic. Each expiry ends one HLT.
 */
void test_timer(void)
{
	uint64_t hz = tsc_hz();

	set_handler(VECTOR, on_interrupt);
	taken = 0;
	wrmsr(SVR, 0x1ff);
	wrmsr(TIMER_DIVIDE, 0xb);
	wrmsr(LVT_TIMER, VECTOR);
	wrmsr(TIMER_INITIAL, 20000000);		/* at 100 MHz: 200 ms */
	sleep_once();
	result(taken);
	result(rdmsr(0x839));			/* has stopped at 0 */
	wrmsr(LVT_TIMER, VECTOR | LVT_DEADLINE);
	wrmsr(TSC_DEADLINE, rdtsc() + hz / 10);
	sleep_once();
	result(taken);
	result(rdmsr(TSC_DEADLINE));		/* 0: it has fired */
	wrmsr(TSC_DEADLINE, 1);			/* long past */
	sleep_once();
	result(taken);
	set_handler(VECTOR, on_tick);
	taken = 0;
	wrmsr(LVT_TIMER, VECTOR | LVT_PERIODIC);
	wrmsr(TIMER_INITIAL, 20000000);
	while (taken < TICKS) {
		sleep_once();
	}
	result(taken);
	wrmsr(LVT_TIMER, VECTOR | LVT_MASKED);
}

/* Written by the second vCPU: once when it is up, then after each interrupt. */
static volatile uint32_t ap_rounds;
uint64_t ap_stack;

/**
 * The second vCPU: from entry.S, in 64-bit mode. Reports what INIT left of the
 * IDT's limit and of its APIC's mode, takes the first vCPU's IDT, goes to
 * x2APIC mode, and then sleeps and counts. Never returns.
 */
void ap_main(void)
{
	struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t base;
	} idtr;

	__asm__ volatile("sidt %0" : "=m"(idtr));
	result(idtr.limit);			/* as after INIT */
	idtr.limit = 0xfff;
	idtr.base = *(volatile uint64_t *)(AP_PAGE + 0xff0);
	__asm__ volatile("lidt %0" : : "m"(idtr));
	result(rdmsr(APIC_BASE));
	wrmsr(APIC_BASE, 0xfee00c00);
	wrmsr(SVR, 0x1ff);
	result(rdmsr(0x802));
	for (;;) {
		ap_rounds++;
		sleep_once();
		result(taken);
	}
}

/* Waits for the other vCPU, without exits. */
static void await(volatile uint32_t *word, uint32_t value)
{
	while (*word < value) {
		__asm__ volatile("pause");
	}
}

/* Time for the other vCPU to reach its HLT; costs no exits. */
static void linger(uint64_t ticks)
{
	uint64_t until = rdtsc() + ticks;

	while (rdtsc() < until) {
		__asm__ volatile("pause");
	}
}

/* INIT and one start-up IPI to APIC id 1. The trampoline is copied anew each
 * time; 0xff0 of its page holds the IDT's address. A vCPU that runs already is
 * reset by it. */
static void start_ap(void)
{
	static uint8_t stack[4096] __attribute__((aligned(16)));
	volatile uint8_t *to = (volatile uint8_t *)AP_PAGE;
	size_t size = (size_t)(ap_trampoline_end - ap_trampoline);
	struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t base;
	} idtr;
	uint64_t cr3;

	for (size_t i = 0; i < size; i++) {
		to[i] = ap_trampoline[i];
	}
	__asm__ volatile("mov %%cr3, %0; sidt %1" : "=r"(cr3), "=m"(idtr));
	*(volatile uint32_t *)(to + size + AP_CR3_AT) = (uint32_t)cr3;
	*(volatile uint64_t *)(to + 0xff0) = idtr.base;
	ap_stack = (uintptr_t)stack + sizeof(stack);
	wrmsr(ICR, 1ull << 32 | ICR_INIT);
	wrmsr(ICR, 1ull << 32 | ICR_SIPI | AP_PAGE >> 12);
}

/**
 * To itself by both ways, an NMI, and to a second vCPU started twice. Priority:
 * what TPR holds back stays in the IRR. An illegal vector sets a bit of the
 * error status.
 */
void test_ipi(void)
{
	uint64_t hz = tsc_hz();

	set_handler(VECTOR, on_interrupt);
	set_handler(VECTOR + 1, on_interrupt);
	set_handler(2, on_nmi);
	taken = 0;
	wrmsr(SELF_IPI, VECTOR);
	__asm__ volatile("sti; nop; nop; cli");
	wrmsr(ICR, ICR_SELF | VECTOR);
	wrmsr(SELF_IPI, VECTOR + 0x10);		/* no handler yet: stays */
	set_handler(VECTOR + 0x10, on_interrupt);
	__asm__ volatile("sti; nop; nop; nop; cli");
	result(taken);
	wrmsr(0x808, 0x50);			/* TPR holds it back */
	wrmsr(SELF_IPI, VECTOR + 1);
	__asm__ volatile("sti; nop; nop; cli");
	result(taken);
	result(rdmsr(0x822));			/* in the IRR */
	wrmsr(0x808, 0);
	__asm__ volatile("sti; nop; nop; cli");
	result(taken);
	wrmsr(SELF_IPI, 3);			/* illegal vector */
	wrmsr(0x828, 0);
	result(rdmsr(0x828));
	wrmsr(ICR, ICR_SELF | ICR_NMI);
	result(nmis);
	taken = 0;
	for (uint32_t start = 0; start < 2; start++) {
		ap_rounds = 0;
		start_ap();
		await(&ap_rounds, 1);
		linger(hz / 10);
		for (uint32_t i = 2; i < 4; i++) {
			wrmsr(ICR, 1ull << 32 | VECTOR);
			await(&ap_rounds, i);
			linger(hz / 10);
		}
	}
	result(taken);
}

/* The forms of MOV that operating systems use for device registers: the only
 * ones that the hypervisor's table knows. */
static uint32_t xapic_read(uint32_t reg)
{
	uint32_t v;

	__asm__ volatile("movl (%1), %0" : "=r"(v) : "r"(0xfee00000ull + reg));
	return v;
}

static void xapic_write(uint32_t reg, uint32_t v)
{
	__asm__ volatile("movl %0, (%1)" : : "r"(v), "r"(0xfee00000ull + reg));
}

/**
 * Back from x2APIC to xAPIC mode: the APIC's page. Last: the MSRs end. From
 * x2APIC the only way is through "off"; registers are then read and written at
 * 0xfee00000. [SDM3 "x2APIC State Transitions"]
 */
void test_xapic(void)
{
	struct msr m = { APIC_BASE, 0xfee00900 };

	wrmsr(APIC_BASE, 0xfee00100);		/* off, */
	m.value = 0xfee00d00;
	result(guarded(do_wrmsr, &m));		/* not straight back, */
	wrmsr(APIC_BASE, 0xfee00900);		/* but on as xAPIC */
	result(rdmsr(APIC_BASE));
	m = (struct msr){ .number = 0x802 };
	result(guarded(do_rdmsr, &m));
	result(xapic_read(0x20));
	result(xapic_read(0x30));
	xapic_write(0xf0, 0x1ff);
	xapic_write(0x80, 0x30);
	result(xapic_read(0x80));
	xapic_write(0x80, 0);
	xapic_write(0x310, 0);
	xapic_write(0x300, ICR_SELF | VECTOR);
	result(xapic_read(0x220));
	result(xapic_read(0xff0));
}
