/* SPDX-License-Identifier: MIT */
/*
 * Bare test payload: a partition without Linux that tries what a partition
 * must not get. It prints a line for each attempt on the serial port:
 *   PAYLOAD <name> <result>
 * Results: "ok", "ok <value>", or the exception ("#GP", "#UD", "#PF" ...).
 * The attempt is picked by isthmus.test=NAME[:ADDRESS] on the command line; of
 * several, with commas between, each life of the partition has the next.
 */
#ifndef GUEST_PAYLOAD_H
#define GUEST_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drivers/portio.h"

/* header.S */
unsigned int guarded(void (*fn)(void *), void *arg);
unsigned int guarded_user(void (*fn)(void *), void *arg);
extern const uint8_t trap_stubs[], trap_stack_top[];

/* A function of one instruction (or few) for guarded(). %0 is its argument in
 * memory; rax, rcx and rdx are 0, and rbx is free for it. */
#define INSN(id, text) \
	static void id(void *arg) \
	{ \
		uint64_t operand = (uintptr_t)arg; \
		__asm__ volatile(text : "+m"(operand) : \
				 "a"(0), "c"(0), "d"(0) : "rbx", "memory"); \
	}

/* machine.c */
void machine_init(void);
void machine_set_handler(unsigned int vector, const void *handler);
volatile uint8_t *machine_map(uint64_t gpa);
void print(const char *text);
void print_hex(uint64_t value);
void report(const char *name, uint64_t detail, unsigned int trap);
void report_value(const char *name, uint64_t detail, unsigned int trap,
		  uint64_t value);

/* All argument registers, as they go in and come out. */
struct hypercall_args {
	uint64_t rax, rdi, rsi, rdx, r10, r8;
};

/* attempts.c */
bool attempt_run(const char *test);
void (*attempts_call(void))(void *);	/* for guarded() */

/* once.c */
void run_once(uint64_t unused);

/* random.c */
void run_random(uint64_t order);

/* hostile.c: groups of rows, each of one of the functions below. */
void run_cpu_rows(uint64_t by);
void run_storm_rows(uint64_t by);
void run_register_rows(uint64_t by);
void run_channel_rows(uint64_t by);
void run_two_rows(uint64_t by);
void run_long_rows(uint64_t by);
void row_begin(const char *name);
uint32_t row_times(uint32_t usual);
void run_nothing(uint64_t unused);

/* sweep.c */
void run_msr_reads(uint64_t unused);
void run_msr_writes(uint64_t unused);
void run_xcr0(uint64_t unused);
void run_controls(uint64_t unused);
void run_cpuid(uint64_t unused);
void run_all_ports(uint64_t unused);

/* modes.c */
void run_modes(uint64_t unused);
void run_call_numbers(uint64_t unused);
void run_protected(uint64_t which);
uint64_t payload_call(uint64_t nr, uint64_t rdi, uint64_t rsi, uint64_t rdx,
		      uint64_t a10, uint64_t a8);
extern uint64_t payload_call_rdx;

/* state.c */
void run_steps(uint64_t unused);
void run_ends(uint64_t unused);
void run_segments(uint64_t unused);
void run_debug_registers(uint64_t unused);
void run_vectors(uint64_t unused);

/* storm.c */
void run_cache_storm(uint64_t unused);
void run_exception_storm(uint64_t unused);
void run_hogs(uint64_t unused);
void run_error_storm(uint64_t unused);
void run_exits(uint64_t unused);
void run_largest_calls(uint64_t unused);

/* lives.c */
void run_touch(uint64_t what);
void run_endless_debug(uint64_t unused);
void run_endless_steps(uint64_t unused);
void run_execute_sizes(uint64_t unused);
void run_reset_itself(uint64_t way);

/* apic.c */
void run_starts(uint64_t unused);
void run_nmis(uint64_t unused);
void run_commands(uint64_t unused);
void run_timers(uint64_t unused);
void run_clock_pages(uint64_t unused);

/* second.c */
void run_replaced(uint64_t unused);
void run_flipped(uint64_t unused);

/* rings.c */
void run_bad_indices(uint64_t unused);
void run_bad_packets(uint64_t unused);
void run_bells(uint64_t unused);
void run_unread(uint64_t unused);
void run_reconnects(uint64_t unused);
void run_leftovers(uint64_t unused);
void run_credit(uint64_t unused);
void run_pci(uint64_t unused);

/* files.c */
void run_names(uint64_t unused);
void run_moves(uint64_t unused);
void run_nodes(uint64_t unused);
void run_sizes(uint64_t unused);
void run_depth(uint64_t unused);
void run_disks(uint64_t unused);
void run_service(uint64_t unused);

/* links.c */
void run_links(uint64_t unused);
void run_attributes(uint64_t unused);

#endif
