/* SPDX-License-Identifier: MIT */
/*
 * The rows of the hostile tests that an enemy lives through, in groups, and what goes
 * before each: the oracle is told its name, and so is the serial line, by which
 * qemu-test/boot/hostile.py knows whose attempts the next lines are.
 */
#include "payload.h"
#include "qemu-test/hostile/ports.h"

struct row {
	const char *name;	/* four characters, and what for */
	void (*run)(uint64_t unused);
};

#define ROWS(rows)	(sizeof(rows) / sizeof((rows)[0]))

static const struct row cpu_rows[] = {
	{ "HG03 xcr0", run_xcr0 },
	{ "HG05 cpuid", run_cpuid },
	{ "HG01 msr reads", run_msr_reads },
	{ "HG02 msr writes", run_msr_writes },
	{ "HG04 controls", run_controls },
	{ "HG06 instructions", run_modes },
	{ "HG10 steps", run_steps },
	{ "HG11 ends", run_ends },
	{ "HG24 segments", run_segments },
	{ "HG22 debug registers", run_debug_registers },
	{ "HG23 registers", run_vectors },
	{ "HC01 hypercalls", run_call_numbers },
	{ "HG12 starts", run_starts },
	{ "HG13 NMIs", run_nmis },
	{ "HG16 commands", run_commands },
	{ "HG15 timers", run_timers },
	{ "NKVC clock pages", run_clock_pages },
	{ "HG05 cpuid again", run_cpuid },
};

/* For hypervisors that do not switch a register. */
static const struct row register_rows[] = {
	{ "HG22 debug registers", run_debug_registers },
	{ "HG23 registers", run_vectors },
};

static const struct row storm_rows[] = {
	{ "HG17 ports", run_all_ports },
	{ "HG07 caches", run_cache_storm },
	{ "HG09 exceptions", run_exception_storm },
	{ "HG14 processor hogs", run_hogs },
	{ "HG25 errors", run_error_storm },
	{ "HG26 exits", run_exits },
	{ "HC04 largest calls", run_largest_calls },
};

/* What is done again and again, for a factor. */
static const struct row long_rows[] = {
	{ "HG01 msr reads", run_msr_reads },
	{ "HG04 controls", run_controls },
	{ "HG07 caches", run_cache_storm },
	{ "HG09 exceptions", run_exception_storm },
	{ "HG15 timers", run_timers },
	{ "HG25 errors", run_error_storm },
	{ "HG26 exits", run_exits },
	{ "HC01 hypercalls", run_call_numbers },
	{ "RG05 doorbells", run_bells },
	{ "RG08 reconnects", run_reconnects },
};

static const struct row channel_rows[] = {
	{ "RG01 indices", run_bad_indices },
	{ "RG02 packets", run_bad_packets },
	{ "RG05 doorbells", run_bells },
	{ "RG07 unread answers", run_unread },
	{ "RG08 reconnects", run_reconnects },
	{ "RG09 leftovers", run_leftovers },
	{ "RG10 credit", run_credit },
	{ "NP01 names", run_names },
	{ "NP02 links", run_links },
	{ "NP03 moves", run_moves },
	{ "NP05 nodes", run_nodes },
	{ "NP06 sizes", run_sizes },
	{ "NP08 attributes", run_attributes },
	{ "NP10 depth", run_depth },
	{ "NBLK disks", run_disks },
	{ "NPCI configuration", run_pci },
	{ "HG27 service", run_service },
};

static const struct row two_rows[] = {
	{ "HG21 replaced instructions", run_replaced },
	{ "RG03 flipped headers", run_flipped },
};

/** A row begins: its name's first four characters are told to the oracle. The canary is
 * to be there first; all ones: there is no oracle. */
void row_begin(const char *name)
{
	uint32_t word = 0;

	while (port_in32(HOSTILE_ROW) == 0) {
		__asm__ volatile("pause");
	}
	for (uint32_t i = 0; i < 4; i++) {
		word |= (uint32_t)(uint8_t)name[i] << 8 * i;
	}
	print("PAYLOAD row ");
	print(name);
	print("\n");
	port_out32(HOSTILE_ROW, word);
}

static uint32_t factor = 1;

/** So many times as usual, and as the group's argument says. */
uint32_t row_times(uint32_t usual)
{
	return usual * factor;
}

/* by: a factor for what is done again and again; 0 is 1. */
static void run_rows(const struct row *rows, size_t count, uint64_t by)
{
	factor = by ? (uint32_t)by : 1;
	for (size_t i = 0; i < count; i++) {
		row_begin(rows[i].name);
		rows[i].run(0);
	}
	port_out32(HOSTILE_ROW, HOSTILE_END);
}

/** For the last of several lives, whose row is HOSTILE_END. */
void run_nothing(uint64_t unused)
{
	(void)unused;
}

void run_cpu_rows(uint64_t by)
{
	run_rows(cpu_rows, ROWS(cpu_rows), by);
}

void run_register_rows(uint64_t by)
{
	run_rows(register_rows, ROWS(register_rows), by);
}

void run_channel_rows(uint64_t by)
{
	run_rows(channel_rows, ROWS(channel_rows), by);
}

void run_storm_rows(uint64_t by)
{
	run_rows(storm_rows, ROWS(storm_rows), by);
}

void run_two_rows(uint64_t by)
{
	run_rows(two_rows, ROWS(two_rows), by);
}

void run_long_rows(uint64_t by)
{
	run_rows(long_rows, ROWS(long_rows), by);
}
