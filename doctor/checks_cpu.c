/* SPDX-License-Identifier: MIT */
/*
 * Checks of the CPUs: what they have, that all are alike, errata that matter here,
 * their time, their local APICs. Pure.
 */
#include <string.h>

#include "check.h"
#include "hypervisor/include/x86.h"

/* CPUID: leaf 1 */
#define ECX1_X2APIC	BIT64(21)
#define ECX1_DEADLINE	BIT64(24)
#define ECX1_XSAVE	BIT64(26)
#define ECX1_SAME	0x77ffffffull	/* not OSXSAVE, which is of CR4 */
/* leaves 6, 7, 80000001H, 80000007H */
#define EAX6_ARAT	BIT64(2)
#define EBX7_TSC_ADJUST	BIT64(1)
#define EDX7_ARCH_CAP	BIT64(29)
#define EDX_NX		BIT64(20)
#define EDX_GIB		BIT64(26)
#define EDX_RDTSCP	BIT64(27)
#define EDX_TSC_INVARIANT	BIT64(8)

#define CR4_LA57	BIT64(12)
#define ARCH_CAP_PSCHANGE_MC_NO	BIT64(6)
#define SIGNATURE	0x0fff3fffull	/* without type and reserved bits */
#define APIC_MODE	(APIC_BASE_EN | APIC_BASE_EXTD)
#define APIC_ADDRESS	0x000ffffffffff000ul
#define APIC_ID_MAX	254u		/* in xAPIC mode */
#define APIC_DEFAULT	0xfee00000ull

static bool is_intel(const struct facts *f)
{
	return strcmp(f->vendor, "GenuineIntel") == 0;
}

static bool is_amd(const struct facts *f)
{
	return strcmp(f->vendor, "AuthenticAMD") == 0;
}

static bool vendor(const struct facts *f, struct text *t)
{
	check_say(t, "%s: %s", f->vendor, f->processor);
	return is_intel(f) || is_amd(f);
}

static bool real(const struct facts *f, struct text *t)
{
	check_say(t, "CPUID.1:ECX.31 is %u", f->hypervisor);
	return !f->hypervisor;
}

static bool count(const struct facts *f, struct text *t)
{
	check_say(t, "%u, of which %u can be used", f->mp_count, FACTS_CPUS);
	return f->mp_count <= FACTS_CPUS;
}

/* Family as the manuals reckon it, the extended one added. */
static uint32_t family(const struct facts *f)
{
	uint32_t s = (uint32_t)f->cpu[0].signature, base = s >> 8 & 0xf;

	return base == 0xf ? base + (s >> 20 & 0xff) : base;
}

/* Processors whose preemption timer does not count at the rate that
 * IA32_VMX_MISC says [Intel specification updates: AAJ124, AAK139, AAM126, AAN92,
 * AAO95, AAP86, AAT59, AAU65, AAX65, BA86] */
static bool timer_erratum(const struct facts *f, struct text *t)
{
	static const uint32_t wrong[] = {
		0x106a0, 0x106a1, 0x106a4, 0x106a5, 0x106e5, 0x20652, 0x20655, 0x206e6,
	};
	bool known = false;

	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		known |= (f->cpu[0].signature & SIGNATURE) == wrong[i];
	}
	check_say(t, "signature 0x%lx is %samong those that have it", f->cpu[0].signature,
		  known ? "" : "not ");
	return !known;
}

/* [AMD "Revision Guide for AMD Family 10h Processors": erratum 383] */
static bool erratum_383(const struct facts *f, struct text *t)
{
	uint32_t fam = family(f);

	check_say(t, "family 0x%x", fam);
	return fam != 0x10 && fam != 0x12 && fam != 0x14;
}

static bool no_multihit(const struct facts *f, struct text *t)
{
	bool told = (f->cpu[0].leaf7_edx & EDX7_ARCH_CAP) != 0;

	check_say(t, "IA32_ARCH_CAPABILITIES: 0x%lx%s", f->cpu[0].arch_cap,
		  told ? "" : ", there is none");
	return told && (f->cpu[0].arch_cap & ARCH_CAP_PSCHANGE_MC_NO) != 0;
}

static bool microcode(const struct facts *f, struct text *t)
{
	check_say(t, "revision 0x%lx", f->cpu[0].microcode);
	return f->cpu[0].microcode != 0;
}

static bool bare(const struct facts *f)
{
	return !f->hypervisor;
}

static bool rate(const struct facts *f, struct text *t)
{
	check_say(t, "%lu kHz", f->tsc_hz / 1000);
	return f->tsc_hz >= 1000000 && f->tsc_hz <= 100000000000ull;
}

static bool rate_told(const struct facts *f, struct text *t)
{
	uint64_t more = f->tsc_hz > f->tsc_hz_told ? f->tsc_hz - f->tsc_hz_told
						   : f->tsc_hz_told - f->tsc_hz;

	check_say(t, "measured %lu kHz, told %lu kHz", f->tsc_hz / 1000, f->tsc_hz_told / 1000);
	return more <= f->tsc_hz_told / 200;
}

static bool is_rate_told(const struct facts *f)
{
	return f->tsc_hz_told != 0;
}

static bool has_adjust(const struct facts *f)
{
	return check_several(f) && (f->cpu[0].leaf7_ebx & EBX7_TSC_ADJUST) != 0;
}

/* What firmware has moved the hypervisor sets right (x86/tsc.c): then the TSCs
 * need not agree now. */
static bool adjust_same(const struct facts *f)
{
	bool same = true;

	for (uint32_t i = 0; i < f->cpu_count; i++) {
		same &= f->cpu[i].tsc_adjust == f->cpu[0].tsc_adjust;
	}
	return check_several(f) && (same || !has_adjust(f));
}

static bool together(const struct facts *f, struct text *t)
{
	for (uint32_t i = 0; i < f->cpu_count; i++) {
		if (f->cpu[i].tsc_back == UINT64_MAX) {
			check_say(t, "CPU %u did not meet the boot CPU", i);
			return false;
		}
		if (f->cpu[i].tsc_back != 0) {
			check_say(t, "by %lu ticks, from CPU %u to the boot CPU or back",
				  f->cpu[i].tsc_back, i);
			return false;
		}
	}
	check_say(t, "on none of %u CPUs", f->cpu_count);
	return true;
}

static bool one_boot_cpu(const struct facts *f, struct text *t)
{
	uint32_t boot = 0;

	for (uint32_t i = 0; i < f->cpu_count; i++) {
		boot += (f->cpu[i].apic_base & APIC_BASE_BSP) != 0;
	}
	check_say(t, "%u of %u CPUs say that they are it", boot, f->cpu_count);
	return boot == 1 && (f->cpu[0].apic_base & APIC_BASE_BSP) != 0;
}

static bool ids_differ(const struct facts *f, struct text *t)
{
	for (uint32_t i = 0; i < f->cpu_count; i++) {
		for (uint32_t k = 0; k < i; k++) {
			if (f->cpu[i].apic_id == f->cpu[k].apic_id) {
				check_say(t, "CPUs %u and %u both have 0x%lx", k, i,
					  f->cpu[i].apic_id);
				return false;
			}
		}
	}
	check_say(t, "%u different ones", f->cpu_count);
	return true;
}

static bool apic_address(const struct facts *f, struct text *t)
{
	check_say(t, "0x%lx", f->cpu[0].apic_base & APIC_ADDRESS);
	return (f->cpu[0].apic_base & APIC_ADDRESS) == APIC_DEFAULT;
}

static uint64_t highest_id(const struct facts *f)
{
	uint64_t highest = 0;

	for (uint32_t i = 0; i < f->cpu_count; i++) {
		highest = f->cpu[i].apic_id > highest ? f->cpu[i].apic_id : highest;
	}
	return highest;
}

static bool needs_x2apic(const struct facts *f)
{
	return highest_id(f) > APIC_ID_MAX;
}

static bool x2apic(const struct facts *f, struct text *t)
{
	bool has = (f->cpu[0].leaf1_ecx & ECX1_X2APIC) != 0;

	check_say(t, "the highest id is %lu, x2APIC: %s, remapping: %s", highest_id(f),
		  has ? "yes" : "no", f->iommu_interrupts ? "yes" : "no");
	return has && (f->cpu[0].apic_id <= APIC_ID_MAX || f->iommu_interrupts);
}

static const struct check cpu[] = {
	{ "cpu-vendor", "an Intel or AMD processor", "SDM2 \"CPUID\"",
	  "Nothing can be set: other makers' processors were never tried.", VERDICT_WARNING,
	  CHECK_BY(vendor) },
	{ "cpu-real", "this is no virtual machine", "SDM2 \"CPUID\", leaf 1",
	  "Nothing: what is found here is what another hypervisor shows.", VERDICT_WARNING,
	  CHECK_BY(real) },
	{ "cpu-count", "no more CPUs than can be used", "CAVEATS.md \"Processors\"",
	  "Turn hyperthreading off, or leave the others idle.", VERDICT_WARNING,
	  CHECK_BY(count) },
	{ "cpu-model-same", "all CPUs are of one model and stepping", "SDM2 \"CPUID\", leaf 1",
	  "Use processors of one stepping.", VERDICT_WARNING, check_several,
	  CHECK_CPUS(CHECK_SAME, signature, ~0ull) },
	{ "cpu-features-1-same", "all CPUs have the same features (leaf 1)",
	  "SDM2 \"CPUID\", leaf 1", "Update the firmware: it sets CPUs up differently.",
	  VERDICT_FAILURE, check_several, CHECK_CPUS(CHECK_SAME, leaf1_ecx, ECX1_SAME) },
	{ "cpu-features-7-same", "all CPUs have the same features (leaf 7)",
	  "SDM2 \"CPUID\", leaf 7", "Update the firmware: it sets CPUs up differently.",
	  VERDICT_FAILURE, check_several, CHECK_CPUS(CHECK_SAME, leaf7_ebx, ~0ull) },
	{ "cpu-microcode-same", "all CPUs have the same microcode",
	  "SDM3 \"Microcode Update Facilities\"",
	  "Update the firmware: it loads microcode into some CPUs only.", VERDICT_WARNING,
	  check_several, CHECK_CPUS(CHECK_SAME, microcode, ~0ull) },
	{ "cpu-microcode", "there is microcode of an update",
	  "SDM3 \"Microcode Update Facilities\"", "Update the firmware.", VERDICT_WARNING, bare,
	  CHECK_BY(microcode) },
	{ "cpu-xsave", "XSAVE", "SDM1 \"Managing State Using the XSAVE Feature Set\"",
	  "A newer processor is needed.", VERDICT_FAILURE,
	  CHECK_CPUS(CHECK_HAS, leaf1_ecx, ECX1_XSAVE) },
	{ "cpu-nx", "pages can be marked as not executable", "SDM3 \"Access Rights\"",
	  "Turn the execute-disable bit (XD, NX) on in the set-up.", VERDICT_FAILURE,
	  CHECK_CPUS(CHECK_HAS, ext1_edx, EDX_NX) },
	{ "cpu-gib-pages", "pages of 1 GiB", "SDM3 \"4-Level Paging and 5-Level Paging\"",
	  "Nothing can be set: the hypervisor's map needs more tables.", VERDICT_WARNING,
	  CHECK_CPUS(CHECK_HAS, ext1_edx, EDX_GIB) },
	{ "cpu-rdtscp", "RDTSCP", "SDM2 \"RDTSCP\"",
	  "Nothing can be set: Linux reads the time by a slower way.", VERDICT_WARNING,
	  CHECK_CPUS(CHECK_HAS, ext1_edx, EDX_RDTSCP) },
	{ "cpu-levels", "page tables of four levels", "SDM3 \"5-Level Paging\"",
	  "Turn 5-level paging (LA57) off in the set-up.", VERDICT_FAILURE,
	  CHECK_CPUS(CHECK_LACKS, cr4, CR4_LA57) },
	{ "cpu-arat", "the local timer runs while a CPU idles",
	  "SDM2 \"CPUID\", leaf 6 (ARAT)",
	  "Turn C1E and deeper C-states off in the set-up.", VERDICT_WARNING,
	  CHECK_CPUS(CHECK_HAS, leaf6_eax, EAX6_ARAT) },
	{ "erratum-page-size", "a page may change its size",
	  "Intel \"Machine Check Error on Page Size Change\", CVE-2018-12207",
	  "Nothing: executable pages of guests are of 4 KiB here, which is slower.",
	  VERDICT_WARNING, is_intel, CHECK_BY(no_multihit) },
	{ "erratum-vmx-timer", "the preemption timer keeps its rate",
	  "Intel specification updates, \"VMX-Preemption Timer\"",
	  "Nothing can be set: time slices have another length than they should.",
	  VERDICT_WARNING, is_intel, CHECK_BY(timer_erratum) },
	{ "erratum-amd-383", "changed page tables cause no machine check",
	  "AMD \"Revision Guide for AMD Family 10h Processors\", 383",
	  "Use a newer processor: this one may stop when a guest's memory changes.",
	  VERDICT_FAILURE, is_amd, CHECK_BY(erratum_383) },
	{ "tsc-invariant", "the TSC runs evenly in all states", "SDM3 \"Invariant TSC\"",
	  "Turn C-states and frequency changes off in the set-up.", VERDICT_WARNING,
	  CHECK_CPUS(CHECK_HAS, ext7_edx, EDX_TSC_INVARIANT) },
	{ "tsc-rate", "the TSC's rate makes sense", "SDM3 \"Time-Stamp Counter\"",
	  "Update the firmware.", VERDICT_FAILURE, CHECK_BY(rate) },
	{ "tsc-rate-told", "it is the rate that the processor tells",
	  "SDM2 \"CPUID\", leaf 15H", "Update the firmware; do not overclock the base clock.",
	  VERDICT_WARNING, is_rate_told, CHECK_BY(rate_told) },
	{ "tsc-adjust", "the firmware has moved no TSC", "SDM3 \"IA32_TSC_ADJUST MSR\"",
	  "Update the firmware; Isthmus sets it right.", VERDICT_WARNING, has_adjust,
	  CHECK_CPUS(CHECK_SAME, tsc_adjust, ~0ull) },
	{ "tsc-same", "time does not run back from CPU to CPU", "SDM3 \"Time-Stamp Counter\"",
	  "Update the firmware: TSCs that differ make Linux's time jump.", VERDICT_FAILURE,
	  adjust_same, CHECK_BY(together) },
	{ "tsc-deadline", "the local timer takes a TSC deadline", "SDM3 \"TSC-Deadline Mode\"",
	  "Nothing can be set: the timer is counted, which is less exact.", VERDICT_WARNING,
	  CHECK_CPUS(CHECK_HAS, leaf1_ecx, ECX1_DEADLINE) },
	{ "apic-on", "the local APICs are on", "SDM3 \"Local APIC Status and Location\"",
	  "Update the firmware; Isthmus turns them on.", VERDICT_WARNING,
	  CHECK_CPUS(CHECK_HAS, apic_base, APIC_BASE_EN) },
	{ "apic-mode-same", "they are in one mode", "SDM3 \"x2APIC State Transitions\"",
	  "Set x2APIC to on, or to off, not to auto; Isthmus puts all into one mode.",
	  VERDICT_WARNING, check_several, CHECK_CPUS(CHECK_SAME, apic_base, APIC_MODE) },
	{ "apic-address", "they are where they are after a reset",
	  "SDM3 \"Relocating the Local APIC Registers\"", "Update the firmware.",
	  VERDICT_FAILURE, CHECK_BY(apic_address) },
	{ "apic-address-same", "they are at one address",
	  "SDM3 \"Relocating the Local APIC Registers\"", "Update the firmware.",
	  VERDICT_FAILURE, check_several, CHECK_CPUS(CHECK_SAME, apic_base, APIC_ADDRESS) },
	{ "apic-boot-cpu", "one CPU is the boot CPU, and it is this one",
	  "SDM3 \"MP Initialization Protocol Algorithm\"", "Update the firmware.",
	  VERDICT_WARNING, CHECK_BY(one_boot_cpu) },
	{ "apic-ids", "each CPU has an APIC id of its own", "SDM3 \"Local APIC ID\"",
	  "Update the firmware.", VERDICT_FAILURE, CHECK_BY(ids_differ) },
	{ "apic-x2apic", "ids above 254 can be reached",
	  "SDM3 \"Extended XAPIC (x2APIC)\"",
	  "Turn x2APIC and interrupt remapping (VT-d, AMD IOMMU) on in the set-up.",
	  VERDICT_FAILURE, needs_x2apic, CHECK_BY(x2apic) },
};
const struct check_list check_cpu = { cpu, sizeof(cpu) / sizeof(cpu[0]) };
