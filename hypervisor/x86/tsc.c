/* SPDX-License-Identifier: MIT */
/*
 * One time on all CPUs. They leave reset together, with their TSCs at 0, and
 * IA32_TSC_ADJUST keeps the sum of what has been done to a TSC since then: as
 * long as it is the same on all, so are the TSCs. [SDM3 "IA32_TSC_ADJUST MSR"]
 */
#include <hv.h>
#include <x86.h>

/* Called where no guest has a time yet. */
static uint64_t boot_cpu;

/**
 * Compares what firmware has done to this CPU's TSC with the boot CPU's (0),
 * which is called first; a difference is logged and undone. Without the MSR the
 * TSCs are taken to be equal. On the CPU itself, while CPUs are started.
 */
void tsc_align(uint32_t cpu)
{
	uint64_t mine;

	if (cpuid(0, 0).eax < 7 || !(cpuid(7, 0).ebx & BIT32(1))) {
		return;
	}
	mine = rdmsr(MSR_IA32_TSC_ADJUST);
	if (cpu == 0) {
		boot_cpu = mine;
	} else if (mine != boot_cpu) {
		log_write("isthmus: firmware has moved the TSC of CPU %u by "
			  "%#lx ticks against CPU 0's: set right", cpu,
			  mine - boot_cpu);
		wrmsr(MSR_IA32_TSC_ADJUST, boot_cpu);
	}
}
