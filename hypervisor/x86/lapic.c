/* SPDX-License-Identifier: MIT */
/*
 * The CPU's own local APIC: EOI, IPIs and the timer that ends idleness. In
 * x2APIC mode if firmware left the boot CPU so or a CPU's id needs it, else
 * through its page: on all CPUs the same, whatever firmware left there. The timer is
 * one-shot on the TSC deadline where the CPU has it, else counts the APIC
 * clock, measured against the TSC. No guest reaches it: guests have vlapic.c.
 * All on the CPU itself, interrupts off but in start-up. [SDM3 "Local APIC",
 * "APIC Timer"]
 */
#include <hv.h>
#include <percpu.h>
#include <x86.h>

/* Offsets in the page; MSR numbers are 0x800 + offset / 16. */
enum {
	REG_ID = 0x20, REG_VERSION = 0x30, REG_TPR = 0x80, REG_EOI = 0xb0, REG_SVR = 0xf0,
	REG_ICR_LO = 0x300, REG_ICR_HI = 0x310, REG_LVT_TIMER = 0x320,
	REG_LVT_CMCI = 0x2f0, REG_LVT_THERMAL = 0x330, REG_LVT_PERF = 0x340,
	REG_LVT_LINT0 = 0x350, REG_LVT_LINT1 = 0x360, REG_LVT_ERROR = 0x370,
	REG_TIMER_INITIAL = 0x380, REG_TIMER_CURRENT = 0x390,
	REG_TIMER_DIVIDE = 0x3e0,
};

#define LVT_MASKED	BIT32(16)
#define LVT_DEADLINE	BIT32(18)

#define APIC_ID_MAX	254u		/* in xAPIC mode */

static volatile uint32_t *lapic_page;
static bool x2apic, mode_chosen, has_deadline;
static uint64_t clock_ratio;	/* APIC ticks per 2^32 TSC ticks */

static uint32_t lapic_read(uint32_t reg)
{
	return x2apic ? (uint32_t)rdmsr(MSR_X2APIC_FIRST + reg / 16) :
	       lapic_page[reg / 4];
}

static void lapic_write(uint32_t reg, uint32_t v)
{
	if (x2apic) {
		wrmsr(MSR_X2APIC_FIRST + reg / 16, v);
	} else {
		lapic_page[reg / 4] = v;
	}
}

/* APIC timer ticks per 2^32 TSC ticks, over 2^20 TSC ticks. */
static void measure_clock(void)
{
	uint64_t t0, t1;
	uint32_t left;

	lapic_write(REG_TIMER_DIVIDE, 0xb);	/* divide by 1 */
	lapic_write(REG_LVT_TIMER, LVT_MASKED | VECTOR_TIMER);
	lapic_write(REG_TIMER_INITIAL, 0xffffffff);
	t0 = rdtsc();
	do {
		t1 = rdtsc();
	} while (t1 - t0 < BIT64(20));
	left = lapic_read(REG_TIMER_CURRENT);
	lapic_write(REG_TIMER_INITIAL, 0);
	clock_ratio = ((uint64_t)(0xffffffff - left) << 32) / (t1 - t0);
}

/* The mode for all CPUs, on the boot CPU: in xAPIC mode an IPI's destination has
 * 8 bits, and 255 is everybody. */
static void choose_mode(const struct boot_info *bi)
{
	uint32_t i, highest = 0;

	for (i = 0; i < bi->cpu_count; i++) {
		highest = bi->apic_id[i] > highest ? bi->apic_id[i] : highest;
	}
	x2apic = highest > APIC_ID_MAX ||
		 (rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_EXTD);
	if (highest > APIC_ID_MAX && !(cpuid(1, 0).ecx & BIT32(21))) {
		panic("a CPU has APIC id %u, which needs x2APIC mode, and this "
		      "processor has none", highest);
	}
	if (!x2apic) {
		lapic_page = paging_map_device(bi->lapic_phys, false);
	}
}

/* Firmware may have left this CPU in the other mode, or its LAPIC off. Out of
 * x2APIC mode it goes only by way of "disabled", and from there only to xAPIC
 * mode. [SDM3 "x2APIC State Transitions"] */
static void enter_mode(void)
{
	uint64_t base = rdmsr(MSR_IA32_APIC_BASE);

	if (!x2apic && (base & APIC_BASE_EXTD)) {
		base &= ~(APIC_BASE_EXTD | APIC_BASE_EN);
		wrmsr(MSR_IA32_APIC_BASE, base);
	}
	if (!(base & APIC_BASE_EN)) {
		base |= APIC_BASE_EN;
		wrmsr(MSR_IA32_APIC_BASE, base);
	}
	if (x2apic && !(base & APIC_BASE_EXTD)) {
		wrmsr(MSR_IA32_APIC_BASE, base | APIC_BASE_EXTD);
	}
}

/**
 * Prepares this CPU's local APIC: the mode that all have, LINT0 (the 8259)
 * masked, LINT1 as NMI, no priority held back. The boot CPU comes first: it
 * chooses the mode, maps the page and measures the timer's rate. An APIC id that
 * cannot be reached is a panic.
 */
void lapic_init(const struct boot_info *bi)
{
	/* the firmware's, with vectors of its own: the first is entry 4 */
	static const uint32_t others[] = {
		REG_LVT_PERF, REG_LVT_THERMAL, REG_LVT_CMCI,
	};
	uint32_t most, i;

	if (!mode_chosen) {
		choose_mode(bi);
		mode_chosen = true;
	}
	enter_mode();
	has_deadline = (cpuid(1, 0).ecx & BIT32(24)) != 0;
	lapic_write(REG_SVR, 0x100 | VECTOR_SPURIOUS);
	lapic_write(REG_TPR, 0);
	lapic_write(REG_LVT_LINT0, LVT_MASKED);
	lapic_write(REG_LVT_LINT1, 0x400);	/* NMI */
	lapic_write(REG_LVT_ERROR, LVT_MASKED);
	/* those that there are [SDM3 "Local APIC Version Register"] */
	most = lapic_read(REG_VERSION) >> 16 & 0xff;
	for (i = 0; i < ARRAY_SIZE(others) && i + 4 <= most; i++) {
		lapic_write(others[i], LVT_MASKED);
	}
	if (!has_deadline && !clock_ratio) {
		measure_clock();
	}
	lapic_write(REG_LVT_TIMER, VECTOR_TIMER |
				   (has_deadline ? LVT_DEADLINE : 0));
	/* a deadline that overtakes this store to the page would be ignored
	 * [SDM3 "TSC-Deadline Mode"] */
	cpu_wrmsr_fence();
}

/** Ends the interrupt being served, so that others of its priority can come. */
void lapic_eoi(void)
{
	lapic_write(REG_EOI, 0);
}

/* One IPI. In xAPIC mode the two halves are two stores, and a busy sender must
 * be waited for; interrupts are off in between. apic_id: 8 bits there. */
static void icr_write(uint32_t apic_id, uint32_t low)
{
	if (x2apic) {
		wrmsr(MSR_X2APIC_FIRST + REG_ICR_LO / 16,
		      (uint64_t)apic_id << 32 | low);
		return;
	}
	while (lapic_page[REG_ICR_LO / 4] & BIT32(12)) {
		cpu_pause();	/* delivery pending */
	}
	lapic_page[REG_ICR_HI / 4] = apic_id << 24;
	lapic_page[REG_ICR_LO / 4] = low;
}

/**
 * Sends a fixed interrupt to another CPU, which sees all that was stored
 * before. Any CPU.
 */
void lapic_ipi(uint32_t apic_id, uint8_t vector)
{
	cpu_wrmsr_fence();
	icr_write(apic_id, 0x4000u | vector);
}

/** Spins for a time; only while CPUs are started. */
static void delay_us(uint64_t us)
{
	uint64_t end = rdtsc() + boot.tsc_hz / 1000000 * us;

	while (rdtsc() < end) {
		cpu_pause();
	}
}

/**
 * INIT, then SIPI twice, with the waits that the SDM prescribes; the CPU
 * starts in real mode at page << 12. Boot CPU, while CPUs are started. A CPU
 * that started at the first SIPI ignores the second. [SDM3 "MP Initialization
 * Protocol Algorithm for MP Systems"]
 */
void lapic_init_sipi(uint32_t apic_id, uint8_t page)
{
	icr_write(apic_id, 0x4500);	/* INIT, assert */
	delay_us(10000);
	icr_write(apic_id, 0x4600u | page);
	delay_us(200);
	icr_write(apic_id, 0x4600u | page);
}

/** Sends an NMI: it reaches a CPU whatever it does. For panic. */
void lapic_nmi(uint32_t apic_id)
{
	icr_write(apic_id, 0x4400);
}

/**
 * Starts the one-shot timer of this CPU: VECTOR_TIMER at this TSC value, at
 * once if that is past. It may come early, where the APIC clock's counter is
 * too short, or because it was set for an earlier time: so whoever wakes looks
 * at the time. A timer that is late enough off is not set anew, since each
 * setting may cost an exit of our own, and an early one costs one once.
 */
void lapic_timer_start(uint64_t tsc_deadline)
{
	struct percpu *pc = this_cpu();
	uint64_t now, ticks;

	if (timer_is_set(pc, tsc_deadline)) {
		return;
	}
	pc->timer_armed = tsc_deadline;
	now = rdtsc();

	if (has_deadline) {
		/* 0 would be "never" */
		wrmsr(MSR_IA32_TSC_DEADLINE, tsc_deadline ? tsc_deadline : 1);
		return;
	}
	ticks = tsc_deadline > now ? tsc_deadline - now : 1;
	/* minutes at least: so the result fits 64 bits */
	ticks = u64_min(ticks, BIT64(40));
	ticks = (uint64_t)(((unsigned __int128)ticks * clock_ratio) >> 32) + 1;
	lapic_write(REG_TIMER_INITIAL, (uint32_t)u64_min(ticks, 0xffffffff));
}

/** No VECTOR_TIMER any more; one that is pending may still come. */
void lapic_timer_stop(void)
{
	this_cpu()->timer_armed = 0;
	if (has_deadline) {
		wrmsr(MSR_IA32_TSC_DEADLINE, 0);
	} else {
		lapic_write(REG_TIMER_INITIAL, 0);
	}
}
