/* SPDX-License-Identifier: MIT */
/*
 * The boot processor: what it must be able to do, and what it is measured for.
 * The other processors are taken to be like it. Measured on a quiet machine:
 * the firmware's timer interrupt is all that can come between.
 */
#include <stddef.h>

#include "io.h"
#include "loader.h"
#include "virt.h"

#define MSR_IA32_FEATURE_CONTROL	0x3a
#define MSR_IA32_VMX_PINBASED_CTLS	0x481
#define MSR_IA32_VMX_PROCBASED_CTLS	0x482
#define MSR_IA32_VMX_PROCBASED_CTLS2	0x48b
#define MSR_IA32_VMX_EPT_VPID_CAP	0x48c
#define MSR_VM_CR			0xc0010114

#define CPUID_ECX_HYPERVISOR		(1u << 31)

#define PM_TIMER_HZ	3579545ull
#define PM_TIMER_MASK	0xffffffu	/* 24 bits everywhere */
#define MEASURE_US	50000u
#define ACCURACY	65536u	/* 15 ppm */
#define SHORT_US	5000u	/* see processor_tsc_hz() */
#define TRIES		8
#define COPY_SIZE	16384u

/* Does QEMU's emulation (TCG) give its name in the hypervisor's leaf? */
static bool is_tcg(void)
{
	struct cpuid name = cpuid(0x40000000);

	return (cpuid(1).ecx & CPUID_ECX_HYPERVISOR) != 0 && name.ebx == 0x54474354 &&
	       name.ecx == 0x43544743 && name.edx == 0x47435447;
}

/**
 * Refuses a processor that cannot run the hypervisor, with what it lacks and
 * what can be done (virt.c). An MSR is read only if an earlier register says
 * that it exists: there is nobody to take a #GP.
 */
void processor_check(void)
{
	struct virt_raw raw = { .leaf1_ecx = cpuid(1).ecx, .tcg = is_tcg() };
	const char *wrong;

	__asm__ volatile("mov %%cr4, %0" : "=r"(raw.cr4));
	if (cpuid(0).eax >= 0xd) {
		raw.leafd1_eax = cpuid_sub(0xd, 1).eax;
	}
	if (cpuid(0x80000000).eax >= 0x80000001) {
		raw.leaf80000001_ecx = cpuid(0x80000001).ecx;
		raw.leaf80000001_edx = cpuid(0x80000001).edx;
	}
	if ((raw.leaf1_ecx & VIRT_ECX_VMX) != 0) {
		raw.feature_control = rdmsr(MSR_IA32_FEATURE_CONTROL);
		raw.pinbased = rdmsr(MSR_IA32_VMX_PINBASED_CTLS);
		raw.procbased = rdmsr(MSR_IA32_VMX_PROCBASED_CTLS);
		if (virt_has_secondary(&raw)) {
			raw.procbased2 = rdmsr(MSR_IA32_VMX_PROCBASED_CTLS2);
		}
		if (virt_has_ept(&raw)) {
			raw.ept_vpid_cap = rdmsr(MSR_IA32_VMX_EPT_VPID_CAP);
		}
	} else if ((raw.leaf80000001_ecx & VIRT_ECX_SVM) != 0) {
		raw.vm_cr = rdmsr(MSR_VM_CR);
		raw.leaf8000000a_edx = cpuid(0x8000000a).edx;
	}
	wrong = virt_check(&raw);
	if (wrong != NULL) {
		console_fail("%s", wrong);
	}
}

/** APIC id of the processor this runs on, 32 bits where leaf 0BH has them. */
uint32_t processor_apic_id(void)
{
	return cpuid(0).eax >= 0xb && cpuid(0xb).ebx != 0 ? cpuid(0xb).edx : cpuid(1).ebx >> 24;
}

/* Reads timer and TSC together: of several pairs, the one read quickest. */
static uint32_t pm_read(uint16_t port, uint64_t *tsc)
{
	uint64_t best = UINT64_MAX;
	uint32_t value = 0;

	for (unsigned i = 0; i < TRIES; i++) {
		uint64_t before = rdtsc();
		uint32_t v = port_in32(port);
		uint64_t took = rdtsc() - before;

		if (took < best) {
			best = took;
			*tsc = before + took / 2;
			value = v;
		}
	}
	return value;
}

/* 50 ms are 179,000 timer ticks: one more or less is 6 ppm, and the interval
 * ends where it is read, however late that is. 0: the timer does not run. */
static uint64_t tsc_by_pm_timer(uint16_t port)
{
	uint64_t start, end;
	uint32_t from = pm_read(port, &start);
	uint32_t ticks;

	efi_bs->Stall(MEASURE_US);
	ticks = (pm_read(port, &end) - from) & PM_TIMER_MASK;
	return ticks < PM_TIMER_HZ * MEASURE_US / 2000000 ? 0
							  : (end - start) * PM_TIMER_HZ / ticks;
}

/* TSC ticks of Stall(us), the quickest of three. */
static uint64_t stall_ticks(uint32_t us)
{
	uint64_t best = UINT64_MAX;

	for (unsigned i = 0; i < 3; i++) {
		uint64_t start = rdtsc();

		efi_bs->Stall(us);
		start = rdtsc() - start;
		best = start < best ? start : best;
	}
	return best;
}

/**
 * Measures the TSC, in Hz: against the ACPI PM timer if there is one at that
 * port (0: there is none), else against the firmware's Stall(). A long and a
 * short stall are compared, so that what a call costs in itself cancels out,
 * and the quickest of three is taken, which no interrupt has lengthened.
 */
uint64_t processor_tsc_hz(uint16_t pm_timer)
{
	uint64_t hz = pm_timer != 0 ? tsc_by_pm_timer(pm_timer) : 0;
	const char *by = hz != 0 ? "the ACPI PM timer" : "the firmware's Stall()";
	uint64_t whole, step;

	if (hz == 0) {
		hz = (stall_ticks(MEASURE_US) - stall_ticks(SHORT_US)) * 1000000 /
		     (MEASURE_US - SHORT_US);
	}
	/* nearer to whole megahertz than it was measured: it is that */
	whole = (hz + 500000) / 1000000 * 1000000;
	if (whole - hz + hz / ACCURACY <= 2 * (hz / ACCURACY)) {
		hz = whole;
	}
	/* Linux counts whole kHz, and above 2 GHz of the half, or quarter:
	 * what it takes for the rate shall be what the others reckon with */
	step = hz > 2000000000 ? 4000 : 1000;
	hz = (hz + step / 2) / step * step;
	if (hz < 1000000 || hz > 100000000000ull) {
		console_fail("the time stamp counter seems to run at %lu Hz, measured against %s: "
			     "it must run evenly, at 1 MHz to 100 GHz", hz, by);
	}
	console_say("TSC %lu kHz, measured against %s", hz / 1000, by);
	return hz;
}

/* TSC ticks of one copy of COPY_SIZE bytes within buffer, the quickest of
 * TRIES. */
static uint64_t copy_ticks(uint8_t *buffer, bool bytes)
{
	uint64_t best = UINT64_MAX;

	for (unsigned i = 0; i < TRIES; i++) {
		uint8_t *to = buffer + COPY_SIZE, *from = buffer;
		uint64_t count = bytes ? COPY_SIZE : COPY_SIZE / 8;
		uint64_t start = rdtsc();

		if (bytes) {
			__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count)
					 : : "memory");
		} else {
			__asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(count)
					 : : "memory");
		}
		start = rdtsc() - start;
		best = start < best ? start : best;
	}
	return best;
}

/**
 * Whether REP MOVSB takes noticeably longer than REP MOVSQ for the same
 * bytes (emulators: eight times), whatever CPUID says of it.
 */
bool processor_erms_slow(void)
{
	static uint8_t buffer[2 * COPY_SIZE];

	return copy_ticks(buffer, true) > copy_ticks(buffer, false) * 3 / 2;
}
