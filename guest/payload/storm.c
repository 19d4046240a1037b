/* SPDX-License-Identifier: MIT */
/*
 * The same again and again: what is dear, what is an error, what ends the run at once.
 * Others' time is what the canary shows; how long one takes, the oracle.
 */
#include "cpu.h"
#include "payload.h"
#include "abi/channel.h"
#include "abi/hypercall.h"

#define NO_DETAIL	(~0ull)
#define TIMES		20000u
#define SPINS		20000000u
#define FRESH_RAM	0x11000000ull	/* nobody has touched it yet */
#define FRESH_END	0x16000000ull
#define SIZE_2M		(2ull << 20)

/** Caches dropped, written back; lines of them. */
void run_cache_storm(uint64_t unused)
{
	uint8_t line[64];

	(void)unused;
	for (uint32_t i = 0; i < row_times(TIMES); i++) {
		__asm__ volatile("invd; wbinvd; .byte 0xf3, 0x0f, 0x09; "
				 "clflush %0" : : "m"(line) : "memory");
	}
}

static volatile uint32_t steps;

struct frame {
	uint64_t ip, cs, flags, sp, ss;
};

static __attribute__((interrupt)) void on_step(struct frame *f)
{
	f->flags &= ++steps % 50 ? ~0ull : ~0x100ull;
}

INSN(do_ud, "ud2")
INSN(do_icebp, ".byte 0xf1")
INSN(do_wild, "movq $1, %%rax; shlq $62, %%rax; movb (%%rax), %%al")

/** #DB by steps and by ICEBP, one upon the other. */
void run_exception_storm(uint64_t unused)
{
	uint32_t icebps = 0;

	(void)unused;
	machine_set_handler(1, (const void *)on_step);
	for (uint32_t i = 0; i < row_times(TIMES) / 50; i++) {
		__asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq; .rept 60; "
				 "nop; .endr" : : : "memory");
	}
	report_value("steps", NO_DETAIL, 0, steps);
	/* where there is no ICEBP, #UD ends the first */
	while (icebps < row_times(TIMES) && guarded(do_icebp, NULL) == 0) {
		icebps++;
	}
	machine_set_handler(1, trap_stubs + 16);
	report_value("icebps", NO_DETAIL, 0, icebps);
}

/** The processor kept with interrupts off: a loop, PAUSE, fresh memory; then asked to
 * wait as no guest may. */
void run_hogs(uint64_t unused)
{
	uint32_t n = SPINS;

	(void)unused;
	__asm__ volatile("cli; 1: decl %0; jnz 1b" : "+r"(n));
	for (n = 0; n < SPINS / 20; n++) {
		__asm__ volatile("pause");
	}
	for (uint64_t at = FRESH_RAM; at < FRESH_END; at += SIZE_2M) {
		for (uint64_t page = 0; page < SIZE_2M; page += 4096 * 7) {
			(*(volatile uint8_t *)(uintptr_t)(at + page))++;
		}
	}
}

/** Errors of each kind: none may be a line of the log. */
void run_error_storm(uint64_t unused)
{
	uint64_t none = ~0ull;
	uint32_t wrong = 0;

	(void)unused;
	for (uint32_t i = 0; i < row_times(TIMES); i++) {
		struct msr m = { .number = 0x1000 + i };

		wrong += guarded(do_rdmsr, &m) != 0x10d;
		wrong += guarded(do_wrmsr, &m) != 0x10d;
		wrong += guarded(do_ud, NULL) != 0x106;
		wrong += guarded(do_cr4, &none) != 0x10d;
		wrong += guarded(do_wild, NULL) != 0x10d;
	}
	report_value("errors", NO_DETAIL, 0, wrong);
}

/** Exits without an end, of the kinds that cost least. */
void run_exits(uint64_t unused)
{
	uint32_t r[4];

	(void)unused;
	for (uint32_t i = 0; i < row_times(TIMES); i++) {
		get_cpuid(0, 0, r);
		(void)port_in8(0x80);
		(void)payload_call(HC_COUNT, 0, 0, 0, 0, 0);
	}
}

/** The most that one call can be asked for: memory released, all of it touched. */
void run_largest_calls(uint64_t unused)
{
	uint64_t at = FRESH_RAM, units = (FRESH_END - FRESH_RAM) / SIZE_2M;
	uint64_t status, n = units < HC_RELEASE_UNITS ? units :
			     HC_RELEASE_UNITS;
	uint32_t tries = 0;

	(void)unused;
	do {
		status = payload_call(HC_MEM_RELEASE, at + n, at + n * SIZE_2M + n,
				   0, 0, 0);
		tries++;
	} while (status == (uint64_t)HC_EAGAIN);
	report_value("release-most", NO_DETAIL, 0, status);
	report_value("release-left", NO_DETAIL, 0,
		     *(volatile uint8_t *)(uintptr_t)at);
}
