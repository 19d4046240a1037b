/* SPDX-License-Identifier: MIT */
/* Checks of the firmware, and of the memory that it hands out. Pure. */
#include "boot/memmap.h"
#include "check.h"

#define MIB		(1ul << 20)
#define UEFI_2_0	(2u << 16)
#define FREE_NEEDED	(448 * MIB)	/* memory-min-mib of the default manifest */
#define FREE_WANTED	(768 * MIB)	/* and its memory-mib */
#define BLOCK_NEEDED	(64 * MIB)	/* a module, below 4 GiB */
#define NO_GIB_PAGES_TOP	(150ull << 30)	/* of the hypervisor's map */
#define EDX_GIB_PAGES	(1u << 26)	/* CPUID.80000001H */

static bool uefi(const struct facts *f, struct text *t)
{
	check_say(t, "UEFI %u.%u, %s", f->uefi_revision >> 16, (f->uefi_revision & 0xffff) / 10,
		  f->firmware);
	return f->uefi_revision >= UEFI_2_0;
}

static bool table(const struct facts *f, struct text *t)
{
	check_say(t, "its checksum is %s", f->table_sound ? "right" : "wrong");
	return f->table_sound;
}

static bool secure_boot(const struct facts *f, struct text *t)
{
	check_say(t, "Secure Boot is %s", f->secure_boot ? "on" : "off");
	return !f->secure_boot;
}

static bool watchdog(const struct facts *f, struct text *t)
{
	check_say(t, "it could %sbe turned off", f->watchdog_left ? "not " : "");
	return !f->watchdog_left;
}

static bool screen(const struct facts *f, struct text *t)
{
	check_say(t, "%u x %u pixels at 0x%lx", f->screen_width, f->screen_height, f->screen_at);
	return f->screen_width != 0 && f->screen_at != 0;
}

static bool serial(const struct facts *f, struct text *t)
{
	check_say(t, f->serial.base == 0 ? "none answers" : "a 16550 %s 0x%lx",
		  f->serial.kind == BOOT_UART_PORTS ? "at port" : "in memory at",
		  f->serial.base);
	return f->serial.base != 0;
}

static bool clock(const struct facts *f, struct text *t)
{
	check_say(t, "%s", f->time);
	return f->year >= 2024 && f->year < 2100;
}

static bool mp_services(const struct facts *f, struct text *t)
{
	check_say(t, "%s", f->mp ? "there" : "only the boot CPU can be looked at");
	return f->mp;
}

static bool cpus_usable(const struct facts *f, struct text *t)
{
	check_say(t, "%u of %u are disabled or ill", f->mp_unusable, f->mp_count);
	return f->mp_unusable == 0;
}

static bool cpus_answer(const struct facts *f, struct text *t)
{
	check_say(t, "%u of %u did not come back in time", f->mp_silent, f->mp_count);
	return f->mp_silent == 0;
}

static bool pm_timer_runs(const struct facts *f, struct text *t)
{
	check_say(t, "port 0x%x %s", f->pm_timer, f->pm_runs ? "counts" : "stands still");
	return f->pm_runs;
}

static bool has_pm_timer(const struct facts *f)
{
	return f->pm_timer != 0;
}

static bool stall(const struct facts *f, struct text *t)
{
	check_say(t, "%u of 1000 parts of the time that was asked for", f->stall_permille);
	return f->stall_permille >= 900 && f->stall_permille <= 1500;
}

static bool pm_counts(const struct facts *f)
{
	return f->pm_runs;
}

static const struct check firmware[] = {
	{ "uefi-revision", "UEFI of 2.0 or later", "UEFI 2.10 \"EFI System Table\"",
	  "Update the firmware: its UEFI is too old.", VERDICT_FAILURE, CHECK_BY(uefi) },
	{ "uefi-table", "the system table is whole", "UEFI 2.10 \"EFI Table Header\"",
	  "Update the firmware.", VERDICT_WARNING, CHECK_BY(table) },
	{ "secure-boot", "Secure Boot is off", "UEFI 2.10 \"Secure Boot and Driver Signing\"",
	  "Turn Secure Boot off in the set-up (Security or Boot): the loader is not signed.",
	  VERDICT_FAILURE, CHECK_BY(secure_boot) },
	{ "watchdog", "the firmware's watchdog can be turned off",
	  "UEFI 2.10 \"EFI_BOOT_SERVICES.SetWatchdogTimer()\"",
	  "Update the firmware: it may reset the machine five minutes after the start.",
	  VERDICT_WARNING, CHECK_BY(watchdog) },
	{ "screen", "a screen with a frame buffer", "UEFI 2.10 \"Graphics Output Protocol\"",
	  "Attach a screen, or turn the graphics adapter's UEFI driver on (CSM off).",
	  VERDICT_WARNING, CHECK_BY(screen) },
	{ "serial", "a serial port that can be the console", "PC16550D \"Registers\"",
	  "Turn a serial port on in the set-up (I/O: COM1, 0x3f8): without one only the screen "
	  "tells of a failure.", VERDICT_WARNING, CHECK_BY(serial) },
	{ "clock", "the clock is set", "UEFI 2.10 \"GetTime()\"",
	  "Set date and time in the set-up; replace the battery if they are lost.",
	  VERDICT_WARNING, CHECK_BY(clock) },
	{ "mp-services", "the firmware runs a check on every CPU",
	  "PI 1.8 volume 2 \"MP Services Protocol\"",
	  "Update the firmware; or believe that all CPUs are like the first.",
	  VERDICT_WARNING, CHECK_BY(mp_services) },
	{ "cpus-usable", "no CPU is disabled or ill", "PI 1.8 volume 2 \"MP Services Protocol\"",
	  "Turn all cores on in the set-up; a CPU that fails its self-test is broken.",
	  VERDICT_WARNING, CHECK_BY(cpus_usable) },
	{ "cpus-answer", "every CPU comes back", "PI 1.8 volume 2 \"MP Services Protocol\"",
	  "Update the firmware; turn hyperthreading off and try again.",
	  VERDICT_FAILURE, CHECK_BY(cpus_answer) },
	{ "timer-pm", "the ACPI PM timer counts", "ACPI 6.5 \"Power Management Timer\"",
	  "Update the firmware: the TSC is measured against this timer.", VERDICT_WARNING,
	  has_pm_timer, CHECK_BY(pm_timer_runs) },
	{ "timer-stall", "the firmware waits as long as it says", "UEFI 2.10 \"Stall()\"",
	  "Update the firmware: one of its two clocks runs wrongly.", VERDICT_WARNING,
	  pm_counts, CHECK_BY(stall) },
};
const struct check_list check_firmware = { firmware, sizeof(firmware) / sizeof(firmware[0]) };

static bool map_sound(const struct facts *f, struct text *t)
{
	check_say(t, "%u descriptors, %u ranges of %u at most", f->descriptors, f->map_ranges,
		  BOOT_MAX_MEM);
	return f->map_sound;
}

static bool map_ranges(const struct facts *f, struct text *t)
{
	check_say(t, "%u ranges of %u", f->map_ranges, BOOT_MAX_MEM);
	return f->map_ranges <= BOOT_MAX_MEM * 3 / 4;
}

static bool has_map(const struct facts *f)
{
	return f->map_sound;
}

static bool free_needed(const struct facts *f, struct text *t)
{
	check_say(t, "%lu MiB free of %lu MiB", f->free / MIB, f->memory / MIB);
	return f->free >= FREE_NEEDED;
}

static bool free_wanted(const struct facts *f, struct text *t)
{
	check_say(t, "%lu MiB free", f->free / MIB);
	return f->free >= FREE_WANTED;
}

static bool block(const struct facts *f, struct text *t)
{
	check_say(t, "the largest is of %lu MiB", f->low_block / MIB);
	return f->low_block >= BLOCK_NEEDED;
}

static bool low_page(const struct facts *f, struct text *t)
{
	check_say(t, "%s", f->low_page ? "there is one" : "the firmware keeps them all");
	return f->low_page;
}

static bool reach(const struct facts *f, struct text *t)
{
	check_say(t, "memory ends at 0x%lx", f->top);
	return f->top <= MEMMAP_LIMIT;
}

static bool gib_pages(const struct facts *f, struct text *t)
{
	bool has = (f->cpu[0].ext1_edx & EDX_GIB_PAGES) != 0;

	check_say(t, "memory ends at 0x%lx, pages of 1 GiB: %s", f->top, has ? "yes" : "no");
	return has || f->top <= NO_GIB_PAGES_TOP;
}

static bool width(const struct facts *f, struct text *t)
{
	uint32_t bits = f->cpu[0].ext8_eax & 0xff;

	check_say(t, "addresses have %u bits, memory ends at 0x%lx", bits, f->top);
	return bits >= 36 && bits <= 52 && f->top >> bits == 0;
}

static bool unusable(const struct facts *f, struct text *t)
{
	check_say(t, "%lu KiB", f->unusable / 1024);
	return f->unusable == 0;
}

static const struct check memory[] = {
	{ "memory-map", "the memory map can be understood", "UEFI 2.10 \"GetMemoryMap()\"",
	  "Update the firmware: its map of memory is malformed, or has too many pieces.",
	  VERDICT_FAILURE, CHECK_BY(map_sound) },
	{ "memory-pieces", "memory is in few pieces", "UEFI 2.10 \"GetMemoryMap()\"",
	  "Update the firmware; turn off devices that are not needed.", VERDICT_WARNING,
	  has_map, CHECK_BY(map_ranges) },
	{ "memory-needed", "enough memory to start", "docs/manifest.md",
	  "Give the machine more memory, or lower memory-min-mib in the manifest.",
	  VERDICT_FAILURE, CHECK_BY(free_needed) },
	{ "memory-wanted", "enough memory for the manifest's defaults", "docs/manifest.md",
	  "Give the machine more memory, or lower memory-mib in the manifest.", VERDICT_WARNING,
	  CHECK_BY(free_wanted) },
	{ "memory-block", "a block of 64 MiB below 4 GiB", "UEFI 2.10 \"AllocatePages()\"",
	  "Set the graphics adapter's memory (and \"TOLUD\") smaller in the set-up.",
	  VERDICT_FAILURE, CHECK_BY(block) },
	{ "memory-low-page", "a free page below 640 KiB to start CPUs from",
	  "SDM3 \"MP Initialization Protocol Algorithm\"",
	  "Update the firmware; turn the CSM (legacy BIOS) off.", VERDICT_FAILURE,
	  CHECK_BY(low_page) },
	{ "memory-reach", "all memory is below 64 TiB", "CAVEATS.md \"Processors\"",
	  "What is beyond is left out; nothing needs to be done.", VERDICT_WARNING,
	  CHECK_BY(reach) },
	{ "memory-gib-pages", "the hypervisor's map has room", "SDM3 \"Paging\"",
	  "Take memory out: without pages of 1 GiB 150 GiB are the most.", VERDICT_FAILURE,
	  CHECK_BY(gib_pages) },
	{ "memory-width", "the CPU reaches all memory", "SDM2 \"CPUID\", leaf 80000008H",
	  "Turn memory encryption (TME, SME) off in the set-up; update the firmware.",
	  VERDICT_FAILURE, CHECK_BY(width) },
	{ "memory-broken", "no memory is marked as broken", "UEFI 2.10 \"Memory Type Usage\"",
	  "Test the memory; replace the module that fails.", VERDICT_WARNING,
	  CHECK_BY(unusable) },
};
const struct check_list check_memory = { memory, sizeof(memory) / sizeof(memory[0]) };
