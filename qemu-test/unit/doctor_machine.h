/* SPDX-License-Identifier: MIT */
/* Machines made up for the doctor's tests, on which nothing is wrong. */
#ifndef ISTHMUS_DOCTOR_MACHINE_H
#define ISTHMUS_DOCTOR_MACHINE_H

#include <string.h>

#include "doctor/check.h"

#define MACHINE_CPUS	4u

static inline void machine_cpu(struct cpu_facts *c, uint32_t id)
{
	*c = (struct cpu_facts) {
		.apic_id = id, .signature = 0x906ea, .leaf1_ecx = 1u << 21 | 1u << 24 | 1u << 26,
		.leaf1_edx = 1u << 12 | 1u << 16, .leaf6_eax = 4, .leaf7_ebx = 2,
		.leaf7_edx = 1u << 29, .ext1_edx = 1u << 20 | 1u << 26 | 1u << 27,
		.ext7_edx = 1u << 8, .ext8_eax = 39, .cr0 = 0x80010033, .cr4 = 0x668,
		.efer = 0xd00, .pat = 0x0007040600070406, .mtrr_cap = 0x508, .mtrr_def = 0xc06,
		.mtrr_fixed_sum = 1, .mtrr_variable_sum = 2, .apic_base = 0xfee00800,
		.microcode = 0xf4, .arch_cap = 1u << 6,
	};
	c->apic_base |= id == 0 ? 0x100 : 0;
	c->trial = (struct trial) { .step = TRIAL_LEFT, .timer_ticks = 1 << 20,
				    .timer_asked = 1 << 20, .refusal = "a rule" };
}

/* The rest of it: 4 GiB, a window for devices below 4 GiB, which is uncached. */
static inline void machine_board(struct facts *f)
{
	*f = (struct facts) {
		.firmware = "F", .processor = "P", .maker = "M", .product = "Q",
		.time = "2026-11-30 12:00:00", .uefi_revision = 2u << 16 | 70, .year = 2026,
		.table_sound = true, .serial = { .base = 0x3f8 }, .mp = true, .screen_width = 1024,
		.screen_height = 768, .cpu_count = MACHINE_CPUS, .mp_count = MACHINE_CPUS,
		.map_sound = true, .low_page = true, .map_ranges = 9, .descriptors = 99,
		.memory = 4ull << 30, .free = 3ull << 30, .low_block = 1ull << 30,
		.top = 5ull << 30, .mtrr_count = 1, .mtrr_base = { 0xc0000000 },
		.mtrr_mask = { 0x7fc0000800 }, .screen_at = 0xd0000000, .lapic_at = 0xfee00000,
		.ioapic_at = 0xfec00000, .tsc_hz = 3000000000, .tsc_hz_told = 3000000000,
		.stall_permille = 1001, .pm_runs = true, .rsdp = true, .madt = true,
		.madt_sound = true, .fadt = true, .mcfg = true, .tables = 9,
		.madt_cpus = MACHINE_CPUS, .ioapics = 1, .ioapic_version = 0x170020,
		.pm_timer = 0x608, .mcfg_windows = 1, .mcfg_agrees = true, .iommu_units = 1,
		.iommu_kind = BOOT_IOMMU_INTEL, .iommu_table = true, .iommu_interrupts = true,
		.iommu_cap = 3ull << 9, .iommu_ecap = 0xf, .range_count = 1,
		.range = { { 0x1000, 0x1000, BOOT_MEM_FREE } }, .pci_count = 3, .pci_all = 3,
		.pci = { { .address = 0xfa, .id = 0x29228086, .class = 0x01060100, .msi = true },
			 { .address = 0x10, .id = 0x10d38086, .class = 0x02000000, .msi = true },
			 { .address = 0x20, .id = 0xa36d8086, .class = 0x0c033010, .msi = true } },
	};
	for (uint32_t i = 0; i < FACTS_FIXED; i++) {
		f->mtrr_fixed[i] = 0x0606060606060606;
	}
	for (uint32_t i = 0; i < MACHINE_CPUS; i++) {
		machine_cpu(&f->cpu[i], i);
	}
}

static inline void machine_intel(struct facts *f)
{
	machine_board(f);
	strcpy(f->vendor, "GenuineIntel");
	for (uint32_t i = 0; i < MACHINE_CPUS; i++) {
		struct cpu_facts *c = &f->cpu[i];

		c->leaf1_ecx |= 1u << 5;
		c->feature_control = 5;
		c->vmx_basic = 1ull << 55;
		c->vmx_pin = c->vmx_proc = c->vmx_proc2 = c->vmx_exit = c->vmx_entry =
			~0ull << 32;
		c->vmx_ept_vpid = ~0ull;
		c->cr4_fixed1 = c->cr0_fixed1 = ~0ull;
	}
}

static inline void machine_amd(struct facts *f)
{
	machine_board(f);
	strcpy(f->vendor, "AuthenticAMD");
	f->iommu_kind = BOOT_IOMMU_AMD;
	for (uint32_t i = 0; i < MACHINE_CPUS; i++) {
		f->cpu[i].signature = 0x830f10;
		f->cpu[i].ext1_ecx = 1u << 2;
		f->cpu[i].svm_ebx = 16;
		f->cpu[i].svm_edx = 1u << 0 | 1u << 3 | 1u << 6 | 1u << 7;
	}
}

#endif
