/* SPDX-License-Identifier: MIT */
/*
 * A mutant for one boot test, linked only into hypervisor-stuck.elf: start-up
 * stops in one of three ways, by the number of the machine's CPUs. What is
 * here stands in front of the functions it is named after (--wrap).
 */
#include <hv.h>
#include <percpu.h>

void __real_paging_init(const struct boot_info *bi);
void __wrap_paging_init(const struct boot_info *bi);
void __real_cpuid_policy_init(void);
void __wrap_cpuid_policy_init(void);
void __wrap_cpu_ap_entry(struct percpu *pc) NORETURN;

/* One CPU: it hangs where nothing looks at the time. */
void __wrap_cpuid_policy_init(void)
{
	while (boot.cpu_count == 1) {
		__asm__ volatile("");
	}
	__real_cpuid_policy_init();
}

/* Two CPUs: the other one does not answer. */
void __wrap_cpu_ap_entry(struct percpu *pc)
{
	(void)pc;
	for (;;) {
		__asm__ volatile("");
	}
}

/* Three CPUs: an exception before there are page tables of our own. */
void __wrap_paging_init(const struct boot_info *bi)
{
	if (boot.cpu_count == 3) {
		__asm__ volatile("ud2");
	}
	__real_paging_init(bi);
}
