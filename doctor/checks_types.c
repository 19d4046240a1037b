/* SPDX-License-Identifier: MIT */
/* Checks of the types of memory, which MTRRs and PAT decide. Pure. */
#include "check.h"
#include "hypervisor/include/x86.h"

#define EDX1_MTRR	BIT64(12)	/* CPUID.1 */
#define EDX1_PAT	BIT64(16)
#define MTRR_ON		BIT64(11)
#define PAT_USED	0xff0000ffull	/* entries 0 and 3 .. */
#define PAT_WB_UC	0x00000006ull	/* .. are WB and UC */
#define MTRR_SAME	"SDM3 \"MTRR Considerations in MP Systems\""

static bool pat_valid_all(const struct facts *f, struct text *t)
{
	for (uint32_t i = 0; i < f->cpu_count; i++) {
		if (!pat_valid(f->cpu[i].pat)) {
			check_say(t, "0x%lx on CPU %u", f->cpu[i].pat, i);
			return false;
		}
	}
	check_say(t, "0x%lx", f->cpu[0].pat);
	return true;
}

static bool pat_used(const struct facts *f, struct text *t)
{
	for (uint32_t i = 0; i < f->cpu_count; i++) {
		if ((f->cpu[i].pat & PAT_USED) != PAT_WB_UC) {
			check_say(t, "0x%lx on CPU %u", f->cpu[i].pat, i);
			return false;
		}
	}
	check_say(t, "entries 0 and 3 are write-back and uncached");
	return true;
}

static bool memory_cached(const struct facts *f, struct text *t)
{
	check_say(t, "%lu KiB are not, the first at 0x%lx", f->uncached / 1024,
		  f->uncached_first);
	return f->uncached == 0;
}

static bool devices_uncached(const struct facts *f, struct text *t)
{
	const uint64_t at[] = { f->lapic_at, f->ioapic_at };
	uint64_t end;

	for (unsigned i = 0; i < 2; i++) {
		if (at[i] != 0 && mtrr_type(f, at[i], &end) != 0) {
			check_say(t, "0x%lx has type %u", at[i], mtrr_type(f, at[i], &end));
			return false;
		}
	}
	check_say(t, "0x%lx and 0x%lx are uncached", at[0], at[1]);
	return true;
}

static bool screen_not_cached(const struct facts *f, struct text *t)
{
	uint64_t end;
	uint32_t type = mtrr_type(f, f->screen_at, &end);

	check_say(t, "type %u at 0x%lx", type, f->screen_at);
	return type < 2;	/* UC or WC */
}

static bool has_screen(const struct facts *f)
{
	return f->screen_at != 0;
}

static const struct check types[] = {
	{ "mtrr", "MTRRs", "SDM3 \"Memory Type Range Registers (MTRRs)\"",
	  "A newer processor is needed, or an emulated one that has them.", VERDICT_FAILURE,
	  CHECK_CPUS(CHECK_HAS, leaf1_edx, EDX1_MTRR) },
	{ "mtrr-on", "they are on on all CPUs", "SDM3 \"IA32_MTRR_DEF_TYPE MSR\"",
	  "Update the firmware: a CPU without MTRRs has no caches, and is very slow.",
	  VERDICT_WARNING, CHECK_CPUS(CHECK_HAS, mtrr_def, MTRR_ON) },
	{ "mtrr-default-same", "their default is the same", MTRR_SAME,
	  "Update the firmware: one CPU takes for memory what is a device to another.",
	  VERDICT_WARNING, check_several, CHECK_CPUS(CHECK_SAME, mtrr_def, 0xcff) },
	{ "mtrr-fixed-same", "those of the first MiB are the same", MTRR_SAME,
	  "Update the firmware: one CPU takes for memory what is a device to another.",
	  VERDICT_WARNING, check_several, CHECK_CPUS(CHECK_SAME, mtrr_fixed_sum, ~0ull) },
	{ "mtrr-variable-same", "the others are the same", MTRR_SAME,
	  "Update the firmware: one CPU takes for memory what is a device to another.",
	  VERDICT_WARNING, check_several, CHECK_CPUS(CHECK_SAME, mtrr_variable_sum, ~0ull) },
	{ "mtrr-memory", "free memory is cached", "SDM3 \"Memory Type Range Registers (MTRRs)\"",
	  "Update the firmware; turn \"MTRR cleanup\" or \"memory remap\" on in the set-up. "
	  "Such memory is slow.", VERDICT_WARNING, CHECK_BY(memory_cached) },
	{ "mtrr-devices", "interrupt controllers are uncached",
	  "SDM3 \"Local APIC Status and Location\"", "Update the firmware.", VERDICT_FAILURE,
	  CHECK_BY(devices_uncached) },
	{ "mtrr-screen", "the frame buffer is not write-back",
	  "SDM3 \"Memory Types\"", "Update the firmware.", VERDICT_WARNING, has_screen,
	  CHECK_BY(screen_not_cached) },
	{ "pat", "a page attribute table", "SDM3 \"Page Attribute Table (PAT)\"",
	  "A newer processor is needed.", VERDICT_FAILURE,
	  CHECK_CPUS(CHECK_HAS, leaf1_edx, EDX1_PAT) },
	{ "pat-valid", "its entries are types", "SDM3 \"Page Attribute Table (PAT)\"",
	  "Update the firmware.", VERDICT_FAILURE, CHECK_BY(pat_valid_all) },
	{ "pat-used", "those that Isthmus uses are as after a reset",
	  "SDM3 \"Programming the PAT\"", "Update the firmware: it must not change them.",
	  VERDICT_FAILURE, CHECK_BY(pat_used) },
	{ "pat-same", "it is the same on all CPUs", "SDM3 \"Programming the PAT\"",
	  "Update the firmware.", VERDICT_WARNING, check_several,
	  CHECK_CPUS(CHECK_SAME, pat, ~0ull) },
};
const struct check_list check_types = { types, sizeof(types) / sizeof(types[0]) };
