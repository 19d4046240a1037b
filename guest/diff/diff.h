/* SPDX-License-Identifier: MIT */
/*
 * The program of the differential test: the same instructions on every
 * processor, so that the hypervisor's exit traces can be compared. It runs
 * on the payload's start-up (payload/header.S, machine.c). It writes what it
 * finds to ports that nobody has: those accesses are in the trace too.
 */
#ifndef GUEST_DIFF_H
#define GUEST_DIFF_H

#include "../payload/payload.h"

#define MARK_PORT	0xd1f0u	/* a section begins; MARK_END: all done */
#define RESULT_PORT	0xd1f4u	/* a value, low half first */
#define MARK_END	0xe0du

/* What is not the same everywhere and is not our doing: the comparison
 * knows these numbers, and the reasons (qemu-test/diff/rules.py). */
enum known {
	KNOWN_CANONICAL = 1, KNOWN_ALIGNMENT, KNOWN_CACHE_BITS,
	KNOWN_ACCESS, KNOWN_CPL, KNOWN_CR_READS,
};

/* entry.S */
extern const uint8_t ap_trampoline[], ap_trampoline_end[];
extern uint8_t hypercall_insn[], ap_long_start[];
extern uint64_t ap_stack, hypercall_rdx;
uint64_t hypercall(uint64_t nr, uint64_t rdi, uint64_t rsi);
void compat_trip(void *arg);
void legacy_trip(void *arg);
void call_zero_page(void *at, void *scratch);

/* cpu.c */
void test_cpuid(void);
void test_msrs(void);
void test_exceptions(void);
void test_xsave(void);
/* system.c */
void test_paging(void);
void test_timer(void);
void test_xapic(void);
void test_ipi(void);
void ap_main(void);
/* devices.c */
void test_ports(void);
void test_channel(void);
void test_hypercalls(void);
void test_populate(void);

struct msr {
	uint32_t number;
	uint64_t value;
};

/* guarded() calls these */
void do_rdmsr(void *arg);
void do_wrmsr(void *arg);

static inline void mark(uint32_t section)
{
	port_out32(MARK_PORT, section);
}

/* From here to known(0) there may be a difference of that kind. */
static inline void known(uint32_t what)
{
	port_out32(MARK_PORT, 0x100 | what);
}

static inline void result(uint64_t v)
{
	port_out32(RESULT_PORT, (uint32_t)v);
	if (v >> 32) {
		port_out32(RESULT_PORT, (uint32_t)(v >> 32));
	}
}

static inline uint64_t rdmsr(uint32_t number)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(number));
	return low | (uint64_t)high << 32;
}

static inline void wrmsr(uint32_t number, uint64_t v)
{
	__asm__ volatile("wrmsr" : : "a"((uint32_t)v),
			 "d"((uint32_t)(v >> 32)), "c"(number) : "memory");
}

static inline uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return low | (uint64_t)high << 32;
}

/* The frame of an exception or interrupt, as GCC's handlers get it. */
struct frame {
	uint64_t ip, cs, flags, sp, ss;
};

#define HANDLER __attribute__((interrupt)) static void

void set_handler(unsigned int vector, const void *handler);

#define X2APIC_EOI	0x80bu
#define EOI()		wrmsr(X2APIC_EOI, 0)

#endif
