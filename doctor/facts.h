/* SPDX-License-Identifier: MIT */
/*
 * What the doctor has read of a machine: plain values, which the checks judge.
 * look_*.c and trial*.c fill it in; tests make machines up.
 */
#ifndef ISTHMUS_DOCTOR_FACTS_H
#define ISTHMUS_DOCTOR_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "hypervisor/include/abi/boot_info.h"

#define FACTS_CPUS	BOOT_MAX_CPUS
#define FACTS_PCI	256
#define FACTS_MTRRS	32
#define FACTS_FIXED	11		/* MTRRs of the first MiB */
#define FACTS_RANGES	64		/* of memory, in the report */

/* Of each CPU: leaves of CPUID, registers. One that the CPU does not have is
 * 0. */
#define FACTS_CPU(F)							\
	F(apic_id) F(signature) F(leaf1_ecx) F(leaf1_edx) F(leaf6_eax)	\
	F(leaf7_ebx) F(leaf7_edx) F(leafd1_eax) F(ext1_ecx) F(ext1_edx)	\
	F(ext7_edx) F(ext8_eax) F(svm_ebx) F(svm_edx) F(cr0) F(cr4)	\
	F(efer) F(pat) F(mtrr_cap) F(mtrr_def) F(mtrr_fixed_sum)	\
	F(mtrr_variable_sum) F(apic_base) F(microcode) F(arch_cap)	\
	F(tsc_adjust) F(tsc_back) F(feature_control) F(vm_cr)		\
	F(vmx_basic) F(vmx_pin) F(vmx_proc) F(vmx_proc2) F(vmx_exit)	\
	F(vmx_entry) F(vmx_misc) F(vmx_ept_vpid) F(cr0_fixed0)		\
	F(cr0_fixed1) F(cr4_fixed0) F(cr4_fixed1)

/* How far a CPU's trial of its virtualization came: each step is one that was
 * done. Without a preemption timer (AMD-V) TRIAL_TIMER is passed over. */
enum trial_step {
	TRIAL_NONE,		/* not begun */
	TRIAL_BEGUN,
	TRIAL_ON,		/* VMXON, or EFER.SVME */
	TRIAL_ENTERED,		/* a guest in real mode ran .. */
	TRIAL_EXITS,		/* .. and came back as it should */
	TRIAL_TIMER,		/* the preemption timer ended it */
	TRIAL_LONG,		/* the same in long mode */
	TRIAL_REFUSED,		/* a wrong entry was refused */
	TRIAL_LEFT,		/* VMXOFF, or EFER.SVME 0 */
};

#define TRIAL_WHY	176

struct trial {
	uint32_t step;		/* enum trial_step */
	uint32_t exception;	/* vector + 1 of one that nobody expected */
	uint64_t timer_ticks;	/* TSC ticks of TRIAL_TIMER .. */
	uint64_t timer_asked;	/* .. and what was asked for */
	char why[TRIAL_WHY];	/* it went no further */
	char refusal[TRIAL_WHY];	/* how the wrong entry was explained */
	char changed[32];	/* what was not as before afterwards; "": all
				 * was */
};

#define FACTS_MEMBER(name)	uint64_t name;
struct cpu_facts {
	FACTS_CPU(FACTS_MEMBER)
	struct trial trial;
};

struct pci_facts {
	uint32_t address;	/* segment 0: bus, device, function */
	uint32_t id, class;	/* class: code and revision, as the register */
	bool msi;		/* or MSI-X */
	bool unplaced;		/* a BAR that the firmware gave no address */
	bool shared;		/* behind a bridge to conventional PCI */
};

struct facts {
	/* the machine's names */
	char firmware[64], processor[52], maker[64], product[64], time[24];
	char vendor[16];	/* of the processor */
	/* firmware */
	uint32_t uefi_revision, year;
	bool table_sound, secure_boot, mp;
	struct boot_uart serial;
	uint32_t screen_width, screen_height;
	uint32_t watchdog_left;	/* it could not be turned off */
	/* CPUs: seen by us; told by MP services; of these, of no use, silent */
	uint32_t cpu_count, mp_count, mp_unusable, mp_silent;
	struct cpu_facts cpu[FACTS_CPUS];
	/* memory: sizes in bytes */
	bool map_sound, low_page, ranges_left_out;
	uint32_t map_ranges, descriptors;
	uint64_t memory, free, low_block, top, unusable;
	uint64_t uncached, uncached_first;	/* free, but not write-back */
	uint32_t range_count;
	struct { uint64_t base, size; uint32_t type; } range[FACTS_RANGES];
	/* memory types, of the boot CPU */
	uint32_t mtrr_count;
	uint64_t mtrr_base[FACTS_MTRRS], mtrr_mask[FACTS_MTRRS];
	uint64_t mtrr_fixed[FACTS_FIXED];
	uint64_t screen_at, lapic_at, ioapic_at;
	/* time */
	uint64_t tsc_hz, tsc_hz_told;	/* told: CPUID 15H; 0: not */
	uint32_t stall_permille;	/* Stall() against the PM timer */
	bool pm_runs, hypervisor;
	/* ACPI */
	bool rsdp, madt, madt_sound, fadt, mcfg;
	uint32_t tables, tables_bad, madt_cpus, madt_unknown;
	char table_bad[8];
	uint32_t ioapics, ioapic_version, pm_timer, mcfg_windows;
	bool mcfg_agrees;
	/* IOMMUs */
	uint32_t iommu_kind, iommu_units, iommu_dead, iommu_reserved_bad;
	bool iommu_table, iommu_interrupts, iommu_opt_out;
	const char *iommu_wrong;
	uint64_t iommu_cap, iommu_ecap;	/* VT-d: what all units have */
	/* PCI */
	uint32_t pci_count, pci_all;
	struct pci_facts pci[FACTS_PCI];
};

#endif
