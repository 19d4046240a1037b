/* SPDX-License-Identifier: MIT */
/* The canary's registers, which regs.S loads, leaves alone for a while and reads. */
#ifndef GUEST_CANARY_H
#define GUEST_CANARY_H

#include <stdint.h>

#define CANARY_GPRS	15u		/* all but RSP */
#define CANARY_AREA	832u		/* XSAVE: x87, SSE, AVX */

struct canary_regs {
	uint64_t gpr[CANARY_GPRS];	/* rax rbx rcx rdx rsi rdi rbp r8.. */
	uint64_t flags;
	uint8_t area[CANARY_AREA] __attribute__((aligned(64)));
};

/* regs.S. asleep: until a timer's interrupt has come; else for that many rounds of a
 * loop. All vectors have a gate at canary_stubs, 16 bytes each. */
void canary_wait(const struct canary_regs *in, struct canary_regs *out,
		 uint32_t asleep, uint32_t rounds);
extern const uint8_t canary_stubs[];
/* For SYSCALL: two places 16 bytes apart, of which the second has bit 4 set in its
 * address; they go back with 0 and 1 in RAX. */
extern const uint8_t canary_syscall[];
extern volatile uint32_t canary_ticks;

#endif
