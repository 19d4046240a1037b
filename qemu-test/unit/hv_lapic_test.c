/* SPDX-License-Identifier: MIT */
/*
 * The CPUs' own interrupt controllers and clocks as firmware may leave them:
 * another mode on each CPU, large APIC ids, TSCs that were moved.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "hv_fakes.h"

#define EN	APIC_BASE_EN
#define EXTD	APIC_BASE_EXTD
#define LAPIC	0xfee00000ull

static uint64_t base, adjust, x2apic_icr, deadline;
static uint32_t page[1024], maps, x2apic_writes, lines;
static bool has_x2apic, has_adjust;

struct cpuid_regs cpuid(uint32_t leaf, uint32_t sub)
{
	(void)sub;
	return (struct cpuid_regs){
		.eax = leaf ? 0 : 7,
		.ebx = leaf == 7 && has_adjust ? BIT32(1) : 0,
		.ecx = leaf == 1 ? BIT32(24) | (has_x2apic ? BIT32(21) : 0) : 0,
	};
}

/* [SDM3 "x2APIC State Transitions"]: all others are #GP. */
static void base_write(uint64_t v)
{
	uint64_t from = base & (EN | EXTD), to = v & (EN | EXTD);

	assert_int_not_equal(to, EXTD);
	assert_false(from == (EN | EXTD) && to == EN);
	assert_false(from == 0 && to == (EN | EXTD));
	assert_true(has_x2apic || !(to & EXTD));
	assert_int_equal(v & ~(EN | EXTD), LAPIC);
	base = v;
}

uint64_t rdmsr(uint32_t msr)
{
	switch (msr) {
	case MSR_IA32_APIC_BASE:
		return base;
	case MSR_IA32_TSC_ADJUST:
		assert_true(has_adjust);
		return adjust;
	case MSR_X2APIC_FIRST + 3:	/* version: 6 LVT entries */
		assert_int_equal(base & (EN | EXTD), EN | EXTD);
		return 0x50014;
	default:
		fail_msg("RDMSR %#x", msr);
		return 0;
	}
}

void wrmsr(uint32_t msr, uint64_t v)
{
	if (msr == MSR_IA32_APIC_BASE) {
		base_write(v);
	} else if (msr == MSR_IA32_TSC_ADJUST) {
		assert_true(has_adjust);
		adjust = v;
	} else if (msr == MSR_IA32_TSC_DEADLINE) {
		deadline = v;
	} else if (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST) {
		/* #GP in any other mode */
		assert_int_equal(base & (EN | EXTD), EN | EXTD);
		x2apic_writes++;
		x2apic_icr = msr == 0x830 ? v : x2apic_icr;
	}
}

void *paging_map_device(uint64_t pa, bool through)
{
	assert_false(through);
	assert_int_equal(pa, LAPIC);
	maps++;
	return page;
}

static uint32_t fenced;		/* LVT timer, as seen behind the fence */
static uint64_t unfenced_icr;

void cpu_wrmsr_fence(void)
{
	fenced = page[0x320 / 4];
	unfenced_icr = x2apic_icr;
}

void log_write(const char *fmt, ...)
{
	(void)fmt;
	lines++;
}

/* The mode is chosen once in a machine's life: each test has a process. */
static struct boot_info machine(uint32_t ids, uint32_t highest)
{
	struct boot_info bi = { .lapic_phys = LAPIC, .cpu_count = ids };

	fakes_reset();
	page[0x30 / 4] = 0x50014;
	bi.apic_id[ids - 1] = highest;
	return bi;
}

static void ap_modes(const struct boot_info *bi, uint64_t want)
{
	static const uint64_t left[] = { 0, EN, EN | EXTD };
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(left); i++) {
		if ((left[i] & EXTD) && !has_x2apic) {
			continue;
		}
		base = LAPIC | left[i];
		lapic_init(bi);
		assert_int_equal(base, LAPIC | want);
	}
}

/* Firmware's mode of the boot CPU counts, and the page is mapped once. */
static void xapic(void **state)
{
	struct boot_info bi = machine(3, 254);

	(void)state;
	has_x2apic = true;
	base = LAPIC | EN;
	lapic_init(&bi);
	ap_modes(&bi, EN);
	assert_int_equal(maps, 1);
	assert_int_equal(x2apic_writes, 0);
	/* a WRMSR of a deadline comes after the LVT's mode */
	assert_int_equal(fenced, 0x40000 | VECTOR_TIMER);
	lapic_ipi(254, 0x55);
	assert_int_equal(page[0x310 / 4], 254u << 24);
	assert_int_equal(page[0x300 / 4], 0x4055);
}

static void x2apic(void **state)
{
	struct boot_info bi = machine(2, 1);

	(void)state;
	has_x2apic = true;
	base = LAPIC | EN | EXTD;
	lapic_init(&bi);
	ap_modes(&bi, EN | EXTD);
	assert_int_equal(maps, 0);
}

static void large_ids(void **state)
{
	struct boot_info bi = machine(2, 0x1234);

	(void)state;
	has_x2apic = true;
	base = LAPIC | EN;
	lapic_init(&bi);
	ap_modes(&bi, EN | EXTD);
	unfenced_icr = 1;
	lapic_ipi(0x1234, 0x55);
	assert_int_equal(x2apic_icr, 0x123400004055);
	assert_int_equal(unfenced_icr, 0);	/* what was stored came first */
	assert_int_equal(maps, 0);
}

static void large_ids_refused(void **state)
{
	struct boot_info bi = machine(2, 255);

	(void)state;
	base = LAPIC | EN;
	assert_panics(lapic_init(&bi));
}

static void clocks(void **state)
{
	(void)state;
	machine(1, 0);
	/* without the MSR it is not touched */
	tsc_align(0);
	tsc_align(1);
	has_adjust = true;
	adjust = 500;
	tsc_align(0);
	assert_int_equal(adjust, 500);
	tsc_align(1);
	assert_int_equal(lines, 0);
	adjust = 400;
	tsc_align(2);
	assert_int_equal(adjust, 500);
	assert_int_equal(lines, 1);
}

/* A time that is past, the first of all too, is now: a guest can choose it, and
 * must not run without a limit. [SDM3 "TSC-Deadline Mode"] */
static void past_is_now(void **state)
{
	static const uint64_t times[] = { 0, 1, 999, 1000 };
	struct boot_info bi = machine(1, 0);
	uint32_t i;

	(void)state;
	base = LAPIC | EN;
	lapic_init(&bi);
	for (i = 0; i < ARRAY_SIZE(times); i++) {
		fake.tsc = 1000;
		deadline = 0;
		fake_cpu[0].timer_armed = 0;	/* its interrupt has come */
		lapic_timer_start(times[i]);
		assert_in_range(deadline, 1, 1000);
	}
	lapic_timer_stop();
	assert_int_equal(deadline, 0);
}

#define TEST(f)	{ #f, f, NULL, NULL, NULL }

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(xapic), TEST(x2apic), TEST(large_ids),
		TEST(large_ids_refused), TEST(clocks), TEST(past_is_now),
	};
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		pid_t child = fork();
		int status;

		if (child == 0) {
			_exit(_cmocka_run_group_tests(tests[i].name, &tests[i],
						      1, NULL, NULL));
		}
		if (waitpid(child, &status, 0) != child || status != 0) {
			return 1;
		}
	}
	return 0;
}
