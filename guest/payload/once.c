/* SPDX-License-Identifier: MIT */
/*
 * Is an interrupt delivered once, and as its handler is left alone, whatever ends
 * the guest's run meanwhile? A timer that is set to one moment after another ends
 * it there: before the interrupt, with it, within its handler, after that.
 */
#include "cpu.h"
#include "payload.h"

#define MSR_TSC_DEADLINE	0x6e0u
#define MSR_EOI			0x80bu
#define MSR_SVR			0x80fu
#define MSR_LVT_TIMER		0x832u
#define MSR_SELF_IPI		0x83fu
#define SVR_ENABLED		0x1ffu
#define LVT_DEADLINE		(2u << 17)
#define VECTOR			0x40u
#define VECTOR_TIMER		0x50u
#define ROUNDS			4096u	/* each a tick later than the one before */
#define HANDLER			100u	/* rounds of its loop, of a few instructions */

struct frame;

static volatile uint32_t taken, within, again, ticks;

/* Interrupts are off until its IRET. */
static __attribute__((interrupt)) void take(struct frame *frame)
{
	(void)frame;
	taken++;
	again += within;
	within = 1;
	for (volatile uint32_t i = 0; i < HANDLER; i++) {
	}
	within = 0;
	wrmsr(MSR_EOI, 0);
}

static __attribute__((interrupt)) void tick(struct frame *frame)
{
	(void)frame;
	ticks++;
	wrmsr(MSR_EOI, 0);
}

/** Says how many it took too many, within another's handler and in all, and how
 * often the timer came. */
void run_once(uint64_t unused)
{
	(void)unused;
	machine_set_handler(VECTOR, (const void *)take);
	machine_set_handler(VECTOR_TIMER, (const void *)tick);
	wrmsr(MSR_SVR, SVR_ENABLED);
	wrmsr(MSR_LVT_TIMER, LVT_DEADLINE | VECTOR_TIMER);
	__asm__ volatile("sti");
	for (uint32_t i = 0; i < ROUNDS; i++) {
		wrmsr(MSR_TSC_DEADLINE, rdtsc() + i);
		wrmsr(MSR_SELF_IPI, VECTOR);
		while (taken < i + 1 || ticks < i + 1) {
		}
	}
	__asm__ volatile("cli");
	report_value("once-again", ~0ull, 0, again);
	report_value("once-more", ~0ull, 0, taken - ROUNDS);
	report_value("once-ticks", ~0ull, 0, ticks);
}
