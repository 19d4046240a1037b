// SPDX-License-Identifier: MIT
/*
 * The doctor's checks: a machine on which all is right; for each check, one on
 * which that is wrong, which that check must find; the MTRRs; the report.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "doctor/report.h"
#include "doctor_machine.h"

#define UP(bits)	((uint64_t)(bits) << 32)

typedef void maker(struct facts *f);

struct broken {
	const char *id;
	maker *machine;
	void (*change)(struct facts *f);
};

/* What is changed on a good machine, a line for each. */
#define CHANGE(name, ...)	static void name(struct facts *f) { __VA_ARGS__; }
#define C(i)	f->cpu[i]
CHANGE(old_uefi, f->uefi_revision = 1u << 16 | 10)
CHANGE(bad_table, f->table_sound = false)
CHANGE(secure, f->secure_boot = true)
CHANGE(watched, f->watchdog_left = 1)
CHANGE(blind, f->screen_width = 0)
CHANGE(mute, f->serial.base = 0)
CHANGE(no_time, f->year = 1980)
CHANGE(no_mp, f->mp = false)
CHANGE(ill, f->mp_unusable = 1)
CHANGE(silent, f->mp_silent = 1)
CHANGE(pm_stands, f->pm_runs = false)
CHANGE(lazy, f->stall_permille = 2000)
CHANGE(bad_map, f->map_sound = false)
CHANGE(pieces, f->map_ranges = BOOT_MAX_MEM - 1)
CHANGE(tiny, f->free = 100ull << 20)
CHANGE(small, f->free = 500ull << 20)
CHANGE(no_block, f->low_block = 1 << 20)
CHANGE(no_low, f->low_page = false)
CHANGE(beyond, f->top = 65ull << 40; C(0).ext8_eax = 52)
CHANGE(no_gib_far, f->top = 200ull << 30; C(0).ext1_edx &= ~(1ull << 26))
CHANGE(narrow, C(0).ext8_eax = 36; f->top = 1ull << 37)
CHANGE(bad_memory, f->unusable = 4096)
CHANGE(other_maker, strcpy(f->vendor, "CentaurHauls"))
CHANGE(virtual, f->hypervisor = true)
CHANGE(many, f->mp_count = 65)
CHANGE(stepping, C(2).signature++)
CHANGE(features1, C(3).leaf1_ecx ^= 1)
CHANGE(features7, C(3).leaf7_ebx ^= 4)
CHANGE(codes, C(1).microcode--)
CHANGE(no_code, for (int i = 0; i < 4; i++) { C(i).microcode = 0; })
CHANGE(no_xsave, C(1).leaf1_ecx &= ~(1ull << 26))
CHANGE(no_nx, C(1).ext1_edx &= ~(1ull << 20))
CHANGE(no_gib, C(1).ext1_edx &= ~(1ull << 26))
CHANGE(no_rdtscp, C(1).ext1_edx &= ~(1ull << 27))
CHANGE(five, C(0).cr4 |= 1ull << 12)
CHANGE(no_arat, C(1).leaf6_eax = 0)
CHANGE(multihit, C(0).arch_cap = 0)
CHANGE(nehalem, C(0).signature = 0x106a5)
CHANGE(barcelona, C(0).signature = 0x100f42)
CHANGE(uneven, C(1).ext7_edx = 0)
CHANGE(no_rate, f->tsc_hz = 0)
CHANGE(other_rate, f->tsc_hz = 3100000000)
CHANGE(moved, C(2).tsc_adjust = 1000)
CHANGE(back, C(2).tsc_back = 5)
CHANGE(no_deadline, C(0).leaf1_ecx &= ~(1ull << 24))
CHANGE(apic_off, C(1).apic_base &= ~0x800ull)
CHANGE(mixed_modes, C(1).apic_base |= 0x400)
CHANGE(apic_moved, C(0).apic_base = 0xfed00900)
CHANGE(apic_apart, C(1).apic_base = 0xfef00800)
CHANGE(two_boot, C(1).apic_base |= 0x100)
CHANGE(twins, C(1).apic_id = 3)
CHANGE(far_ids, C(1).apic_id = 300; C(0).leaf1_ecx &= ~(1ull << 21))
CHANGE(no_mtrr, C(0).leaf1_edx &= ~(1ull << 12))
CHANGE(mtrr_off, C(1).mtrr_def = 0)
CHANGE(def_differs, C(1).mtrr_def = 0xc00)
CHANGE(fixed_differs, C(1).mtrr_fixed_sum++)
CHANGE(variable_differs, C(1).mtrr_variable_sum++)
CHANGE(slow_memory, f->uncached = 1 << 20)
CHANGE(cached_apic, f->mtrr_count = 0)
CHANGE(cached_screen, f->screen_at = 0x80000000)
CHANGE(no_pat, C(0).leaf1_edx &= ~(1ull << 16))
CHANGE(bad_pat, C(1).pat = 0x0207040600070406)
CHANGE(other_pat, C(1).pat = 0x0007040601070406)
CHANGE(pats, C(1).pat = 0x0007010600070406)
CHANGE(no_acpi, f->rsdp = false)
CHANGE(bad_sum, f->tables_bad = 1)
CHANGE(no_madt, f->madt = false)
CHANGE(madt_more, f->madt_cpus = 8)
CHANGE(no_ioapic, f->ioapic_version = ~0u)
CHANGE(one_input, f->ioapic_version = 0x20)
CHANGE(ioapics, f->ioapics = 2)
CHANGE(no_pm, f->pm_timer = 0)
CHANGE(no_mcfg, f->mcfg = false)
CHANGE(elsewhere, f->mcfg_agrees = false)
CHANGE(no_iommu, f->iommu_table = false)
CHANGE(odd_iommu, f->iommu_wrong = "it is too long"; f->iommu_units = 0)
CHANGE(dead, f->iommu_dead = 1)
CHANGE(no_queue, f->iommu_ecap = 1)
CHANGE(levels, f->iommu_cap = 0)
CHANGE(incoherent, f->iommu_ecap = 2)
CHANGE(no_remapping, f->iommu_interrupts = false)
CHANGE(opted_out, f->iommu_opt_out = true)
CHANGE(reserved, f->iommu_reserved_bad = 1)
CHANGE(no_pci, f->pci_all = f->pci_count = 0)
CHANGE(too_many, f->pci_all = 300)
CHANGE(no_disk, f->pci[0].class = 0x07000000)
CHANGE(raid, f->pci[2].class = 0x01040000)
CHANGE(no_card, f->pci[1].id = 0x81681022)
CHANGE(no_usb, f->pci[2].class = 0x0c032000)
CHANGE(no_msi, f->pci[0].msi = false)
CHANGE(homeless, f->pci[1].unplaced = true)
CHANGE(shared, f->pci[1].shared = true)
CHANGE(no_virt, for (int i = 0; i < 4; i++) { C(i).leaf1_ecx &= ~32ull; })
CHANGE(no_svm, for (int i = 0; i < 4; i++) { C(i).ext1_ecx = 0; })
CHANGE(locked, C(3).feature_control = 1)
CHANGE(locks, C(1).feature_control = 0)
CHANGE(vmx_differs, C(1).vmx_proc2 ^= UP(1 << 20))
CHANGE(no_proc2, C(1).vmx_proc &= ~UP(1u << 31))
CHANGE(no_ept, C(1).vmx_proc2 &= ~UP(1 << 1))
CHANGE(no_real, C(1).vmx_proc2 &= ~UP(1 << 7))
CHANGE(no_vpid, C(1).vmx_proc2 &= ~UP(1 << 5))
CHANGE(no_wbinvd, C(1).vmx_proc2 &= ~UP(1 << 6))
CHANGE(ept_small, C(1).vmx_ept_vpid &= ~(1ull << 16))
CHANGE(no_invept, C(1).vmx_ept_vpid &= ~(1ull << 20))
CHANGE(no_timer, C(1).vmx_pin &= ~UP(1 << 6))
CHANGE(no_nmis, C(1).vmx_pin &= ~UP(1 << 5))
CHANGE(no_intr, C(1).vmx_pin &= ~UP(1))
CHANGE(no_bitmap, C(1).vmx_proc &= ~UP(1 << 28))
CHANGE(no_exit_pat, C(1).vmx_exit &= ~UP(1 << 19))
CHANGE(no_entry_efer, C(1).vmx_entry &= ~UP(1 << 15))
CHANGE(cr4_wrong, C(0).cr4_fixed1 = 0x27ff & ~8ull)
CHANGE(svm_locked, C(1).vm_cr = 0x10)
CHANGE(no_np, C(1).svm_edx &= ~1ull)
CHANGE(no_asid, C(0).svm_ebx = 1)
CHANGE(no_nrip, C(1).svm_edx &= ~8ull)
CHANGE(no_flush, C(1).svm_edx &= ~64ull)
CHANGE(no_decode, C(1).svm_edx &= ~128ull)
CHANGE(svm_differs, C(1).svm_edx ^= 1 << 20)
CHANGE(not_on, C(2).trial.step = TRIAL_BEGUN; C(2).trial.exception = 14)
CHANGE(not_entered, C(2).trial.step = TRIAL_ON; strcpy(C(2).trial.why, "GUEST_RFLAGS is 0"))
CHANGE(wrong_exit, C(2).trial.step = TRIAL_ENTERED)
CHANGE(timer_early, C(2).trial.timer_ticks = 1)
CHANGE(not_long, C(2).trial.step = TRIAL_TIMER)
CHANGE(not_refused, C(2).trial.step = TRIAL_LONG)
CHANGE(not_left, strcpy(C(2).trial.changed, "CR4"))

static const struct broken all[] = {
	{ "uefi-revision", machine_intel, old_uefi }, { "uefi-table", machine_amd, bad_table },
	{ "secure-boot", machine_intel, secure }, { "watchdog", machine_intel, watched },
	{ "screen", machine_intel, blind }, { "serial", machine_intel, mute },
	{ "clock", machine_intel, no_time }, { "mp-services", machine_intel, no_mp },
	{ "cpus-usable", machine_intel, ill }, { "cpus-answer", machine_intel, silent },
	{ "timer-pm", machine_intel, pm_stands }, { "timer-stall", machine_intel, lazy },
	{ "memory-map", machine_intel, bad_map }, { "memory-pieces", machine_intel, pieces },
	{ "memory-needed", machine_intel, tiny }, { "memory-wanted", machine_intel, small },
	{ "memory-block", machine_intel, no_block }, { "memory-low-page", machine_intel, no_low },
	{ "memory-reach", machine_intel, beyond }, { "memory-gib-pages", machine_amd, no_gib_far },
	{ "memory-width", machine_intel, narrow }, { "memory-broken", machine_intel, bad_memory },
	{ "cpu-vendor", machine_intel, other_maker }, { "cpu-real", machine_intel, virtual },
	{ "cpu-count", machine_intel, many }, { "cpu-model-same", machine_intel, stepping },
	{ "cpu-features-1-same", machine_intel, features1 },
	{ "cpu-features-7-same", machine_amd, features7 },
	{ "cpu-microcode-same", machine_intel, codes }, { "cpu-microcode", machine_intel, no_code },
	{ "cpu-xsave", machine_amd, no_xsave }, { "cpu-nx", machine_intel, no_nx },
	{ "cpu-gib-pages", machine_intel, no_gib }, { "cpu-rdtscp", machine_intel, no_rdtscp },
	{ "cpu-levels", machine_intel, five }, { "cpu-arat", machine_intel, no_arat },
	{ "erratum-page-size", machine_intel, multihit },
	{ "erratum-vmx-timer", machine_intel, nehalem },
	{ "erratum-amd-383", machine_amd, barcelona }, { "tsc-invariant", machine_amd, uneven },
	{ "tsc-rate", machine_intel, no_rate }, { "tsc-rate-told", machine_intel, other_rate },
	{ "tsc-adjust", machine_intel, moved }, { "tsc-same", machine_intel, back },
	{ "tsc-deadline", machine_intel, no_deadline }, { "apic-on", machine_intel, apic_off },
	{ "apic-mode-same", machine_intel, mixed_modes },
	{ "apic-address", machine_intel, apic_moved },
	{ "apic-address-same", machine_intel, apic_apart },
	{ "apic-boot-cpu", machine_intel, two_boot }, { "apic-ids", machine_intel, twins },
	{ "apic-x2apic", machine_intel, far_ids }, { "mtrr", machine_intel, no_mtrr },
	{ "mtrr-on", machine_intel, mtrr_off }, { "mtrr-default-same", machine_intel, def_differs },
	{ "mtrr-fixed-same", machine_intel, fixed_differs },
	{ "mtrr-variable-same", machine_intel, variable_differs },
	{ "mtrr-memory", machine_intel, slow_memory },
	{ "mtrr-devices", machine_intel, cached_apic },
	{ "mtrr-screen", machine_intel, cached_screen }, { "pat", machine_intel, no_pat },
	{ "pat-valid", machine_intel, bad_pat }, { "pat-used", machine_intel, other_pat },
	{ "pat-same", machine_intel, pats }, { "acpi", machine_intel, no_acpi },
	{ "acpi-sums", machine_intel, bad_sum }, { "acpi-madt", machine_intel, no_madt },
	{ "acpi-madt-cpus", machine_intel, madt_more }, { "ioapic", machine_intel, no_ioapic },
	{ "ioapic", machine_amd, one_input },
	{ "ioapic-one", machine_intel, ioapics }, { "acpi-pm-timer", machine_intel, no_pm },
	{ "acpi-mcfg", machine_intel, no_mcfg }, { "acpi-mcfg-agrees", machine_intel, elsewhere },
	{ "iommu", machine_intel, no_iommu }, { "iommu-table", machine_amd, odd_iommu },
	{ "iommu-units", machine_amd, dead }, { "iommu-queue", machine_intel, no_queue },
	{ "iommu-levels", machine_intel, levels }, { "iommu-coherent", machine_intel, incoherent },
	{ "iommu-interrupts", machine_amd, no_remapping },
	{ "iommu-opt-out", machine_intel, opted_out },
	{ "iommu-reserved", machine_intel, reserved },
	{ "pci", machine_intel, no_pci }, { "pci-room", machine_intel, too_many },
	{ "pci-disk", machine_intel, no_disk }, { "pci-raid", machine_intel, raid },
	{ "pci-network", machine_intel, no_card }, { "pci-usb", machine_intel, no_usb },
	{ "pci-messages", machine_intel, no_msi }, { "pci-placed", machine_intel, homeless },
	{ "pci-alone", machine_intel, shared }, { "virt", machine_intel, no_virt },
	{ "virt", machine_amd, no_svm }, { "vmx-unlocked", machine_intel, locked },
	{ "vmx-lock-same", machine_intel, locks }, { "vmx-same", machine_intel, vmx_differs },
	{ "vmx-secondary", machine_intel, no_proc2 }, { "vmx-ept", machine_intel, no_ept },
	{ "vmx-unrestricted", machine_intel, no_real }, { "vmx-vpid", machine_intel, no_vpid },
	{ "vmx-wbinvd", machine_intel, no_wbinvd }, { "vmx-ept-tables", machine_intel, ept_small },
	{ "vmx-flush", machine_intel, no_invept }, { "vmx-timer", machine_intel, no_timer },
	{ "vmx-nmis", machine_intel, no_nmis }, { "vmx-pin", machine_intel, no_intr },
	{ "vmx-proc", machine_intel, no_bitmap }, { "vmx-exit", machine_intel, no_exit_pat },
	{ "vmx-entry", machine_intel, no_entry_efer }, { "vmx-fixed", machine_intel, cr4_wrong },
	{ "svm-unlocked", machine_amd, svm_locked }, { "svm-paging", machine_amd, no_np },
	{ "svm-asids", machine_amd, no_asid }, { "svm-next-rip", machine_amd, no_nrip },
	{ "svm-flush", machine_amd, no_flush }, { "svm-decode", machine_amd, no_decode },
	{ "svm-same", machine_amd, svm_differs }, { "virt-on", machine_amd, not_on },
	{ "virt-entered", machine_intel, not_entered }, { "virt-exits", machine_amd, wrong_exit },
	{ "virt-timer", machine_intel, timer_early }, { "virt-long", machine_amd, not_long },
	{ "virt-refused", machine_amd, not_refused }, { "virt-left", machine_intel, not_left },
};
#define COUNT	(sizeof(all) / sizeof(all[0]))

static struct facts facts;
static struct report report;

static const struct finding *found(const char *id)
{
	for (uint32_t i = 0; i < report.count; i++) {
		if (strcmp(report.check[i]->id, id) == 0) {
			return &report.finding[i];
		}
	}
	fail_msg("there is no check %s", id);
	return NULL;
}

/* The verdict that a check has in store. */
static enum verdict bad_of(const char *id)
{
	for (uint32_t i = 0; i < report.count; i++) {
		if (strcmp(report.check[i]->id, id) == 0) {
			return report.check[i]->bad;
		}
	}
	return VERDICT_OK;
}

static void good(void **state)
{
	maker *const machines[] = { machine_intel, machine_amd };

	(void)state;
	for (unsigned m = 0; m < 2; m++) {
		machines[m](&facts);
		report_make(&facts, &report);
		for (uint32_t i = 0; i < report.count; i++) {
			if (report.finding[i].verdict == VERDICT_WARNING ||
			    report.finding[i].verdict == VERDICT_FAILURE) {
				fail_msg("machine %u, %s: %s", m, report.check[i]->id,
					 report.finding[i].text.found);
			}
		}
		assert_true(report.verdicts[VERDICT_OK] > 80);
	}
}

/* Each broken machine is found broken by that check, which has passed before. */
static void each_fails(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT; i++) {
		all[i].machine(&facts);
		report_make(&facts, &report);
		if (found(all[i].id)->verdict != VERDICT_OK &&
		    strcmp(all[i].id, "apic-x2apic") != 0) {
			fail_msg("%s does not pass on a good machine", all[i].id);
		}
		all[i].change(&facts);
		report_make(&facts, &report);
		if (found(all[i].id)->verdict != bad_of(all[i].id)) {
			fail_msg("%s: verdict %s, %s", all[i].id,
				 report_verdict[found(all[i].id)->verdict],
				 found(all[i].id)->text.found);
		}
	}
}

/* No check without a machine on which it fails, none twice, none without words. */
static void all_are_tried(void **state)
{
	(void)state;
	machine_intel(&facts);
	report_make(&facts, &report);
	assert_true(report.count >= 60);
	for (uint32_t i = 0; i < report.count; i++) {
		const struct check *c = report.check[i];
		bool tried = false;

		for (size_t k = 0; k < COUNT; k++) {
			tried |= strcmp(all[k].id, c->id) == 0;
		}
		if (!tried) {
			fail_msg("no machine is broken for %s", c->id);
		}
		for (uint32_t k = 0; k < i; k++) {
			assert_string_not_equal(c->id, report.check[k]->id);
		}
		assert_true(strlen(c->what) > 2 && strlen(c->manual) > 2 &&
			    strlen(c->advice) > 2);
		assert_true(c->bad == VERDICT_WARNING || c->bad == VERDICT_FAILURE);
	}
}

/* A step that was not reached is told once, with its reason; later ones are not
 * there, and the first machine that has none has no trial at all. */
static void trial_reasons(void **state)
{
	(void)state;
	machine_intel(&facts);
	not_entered(&facts);
	report_make(&facts, &report);
	assert_non_null(strstr(found("virt-entered")->text.found, "CPU 2: GUEST_RFLAGS is 0"));
	assert_int_equal(found("virt-exits")->verdict, VERDICT_ABSENT);
	machine_amd(&facts);
	not_on(&facts);
	report_make(&facts, &report);
	assert_non_null(strstr(found("virt-on")->text.found, "CPU 2: exception 13"));
	machine_amd(&facts);
	assert_int_equal(facts.cpu[0].leaf1_ecx & 32, 0);
	no_svm(&facts);
	memset(&facts.cpu[0].trial, 0, sizeof(facts.cpu[0].trial));
	report_make(&facts, &report);
	assert_int_equal(found("virt-on")->verdict, VERDICT_ABSENT);
	assert_int_equal(found("svm-paging")->verdict, VERDICT_ABSENT);
	assert_int_equal(found("vmx-ept")->verdict, VERDICT_ABSENT);
}

/* x2APIC ids are all right where they can be reached. */
static void far_ids_reached(void **state)
{
	(void)state;
	machine_intel(&facts);
	facts.cpu[3].apic_id = 300;
	report_make(&facts, &report);
	assert_int_equal(found("apic-x2apic")->verdict, VERDICT_OK);
	facts.cpu[0].apic_id = 301;
	facts.iommu_interrupts = false;
	report_make(&facts, &report);
	assert_int_equal(found("apic-x2apic")->verdict, VERDICT_FAILURE);
}

static void mtrrs(void **state)
{
	uint64_t end, first = 0;

	(void)state;
	machine_intel(&facts);
	assert_int_equal(mtrr_type(&facts, 0x80000000, &end), 6);
	assert_int_equal(end, 0xc0000000);
	assert_int_equal(mtrr_type(&facts, 0xc0000000, &end), 0);
	assert_int_equal(end, 0x100000000);
	assert_int_equal(mtrr_type(&facts, 0x100000000, &end), 6);
	/* the fixed ones, of three sizes */
	facts.mtrr_fixed[0] = 0x0006060606060606;
	facts.mtrr_fixed[2] = 0x0606060606060604;
	facts.mtrr_fixed[10] = 0x0506060606060606;
	assert_int_equal(mtrr_type(&facts, 0x7ffff, &end), 0);
	assert_int_equal(end, 0x80000);
	assert_int_equal(mtrr_type(&facts, 0xa0000, &end), 4);
	assert_int_equal(end, 0xa4000);
	assert_int_equal(mtrr_type(&facts, 0xff000, &end), 5);
	assert_int_equal(end, 0x100000);
	/* where ranges overlap: uncached wins, and write-through over -back */
	facts.mtrr_count = 3;
	facts.mtrr_base[1] = 0x40000000 | 4;
	facts.mtrr_base[2] = 0x40000000 | 6;
	facts.mtrr_mask[1] = facts.mtrr_mask[2] = 0x7fc0000000 | 0x800;
	assert_int_equal(mtrr_type(&facts, 0x40001000, &end), 4);
	facts.mtrr_base[2] = 0x40000000;
	assert_int_equal(mtrr_type(&facts, 0x40001000, &end), 0);
	assert_int_equal(mtrr_not_cached(&facts, 0x30000000, 0x90000000, &first), 0x40000000);
	assert_int_equal(first, 0x40000000);
	assert_int_equal(mtrr_not_cached(&facts, 0x80000000, 0xc0000000, &first), 0);
	/* off: nothing is cached */
	facts.cpu[0].mtrr_def = 6;
	assert_int_equal(mtrr_not_cached(&facts, 0, 0x1000, &first), 0x1000);
}

/* Written for the schema, which Python looks at (doctor_test.py); too little room
 * is told. */
static void json(void **state)
{
	static char out[1 << 20];
	const char *path = getenv("DOCTOR_JSON");
	size_t n;

	(void)state;
	machine_intel(&facts);
	strcpy(facts.product, "a \"quoted\\ name");
	not_entered(&facts);
	report_make(&facts, &report);
	n = report_json(&facts, &report, out, sizeof(out));
	assert_true(n > 10000 && n < sizeof(out));
	assert_int_equal(report_json(&facts, &report, out, 100), n);
	report_json(&facts, &report, out, sizeof(out));
	assert_non_null(strstr(out, "a \\\"quoted\\\\ name"));
	if (path != NULL) {
		FILE *f = fopen(path, "w");

		assert_non_null(f);
		assert_int_equal(fwrite(out, 1, n, f), n);
		fclose(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good), cmocka_unit_test(each_fails),
		cmocka_unit_test(all_are_tried), cmocka_unit_test(trial_reasons),
		cmocka_unit_test(far_ids_reached), cmocka_unit_test(mtrrs),
		cmocka_unit_test(json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
