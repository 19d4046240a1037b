/* SPDX-License-Identifier: MIT */
/*
 * A machine and a backend for unit tests of the hypervisor. What the code
 * under test asks of its surroundings is counted in `fake`. All functions are
 * weak: a test that links the real ones gets those.
 */
#ifndef HV_FAKES_H
#define HV_FAKES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <hv.h>
#include <partition.h>
#include <percpu.h>

#define FAKE_REGS	(VCPU_DR_EXITS + 1)

struct fakes {
	uint64_t tsc;
	uint64_t reg[FAKE_REGS];	/* the backend's, of every vCPU */
	bool inject_refused;
	uint32_t injected;
	struct vm_event event;		/* the last one */
	uint32_t advanced;		/* bytes, all calls */
	struct vcpu *advanced_as;	/* whose state the CPU had then */
	uint32_t dr_loads;
	uint32_t windows, dumps, kicks, interrupts;
	int lock_depth;
	bool lock_busy;			/* another CPU has them all */
	uint32_t locks;
	uint32_t wakes;
	uint32_t interrupt_gaps;	/* moments with interrupts on */
	struct partition *event_to;
	uint64_t events;		/* all bits since reset */
	struct vcpu *killed;
	uint32_t kill_reason;
	uint64_t kill_detail;
	uint64_t timer_at;		/* of the last sched_timer() */
	uint64_t xcr0;
	bool cpuid_ones;		/* CPUID answers all ones */
	char serial[4096];
	uint32_t serial_len;
	jmp_buf panic;			/* where panic() goes .. */
	bool panic_expected;		/* .. if set, else the test fails */
	char panic_said[200];
};

extern struct fakes fake;
extern struct percpu fake_cpu[2];
extern struct pt_format fake_format;	/* the backend's */

void fakes_reset(void);
extern __thread uint32_t fake_locks;	/* held by this CPU */
void fake_lock_takes(const struct lock *l);
void fake_lock_drops(const struct lock *l);
void fake_lock_held(const struct lock *l);
void fake_memory_map(uint64_t bytes);
void fake_vcpu_init(struct vcpu *v, struct partition *p, uint32_t index);

/* p executes at gpa, as exit_fault() has it; p's lock held. */
static inline hv_status_t gpm_execute(struct partition *p, gpa_t gpa)
{
	struct gpm_entry e;

	return gpm_lookup(p, gpa, &e) && e.split ? gpm_split(p, gpa) : HC_OK;
}

/* Runs code that must end in panic(). */
#define assert_panics(code) do {					\
	volatile uint32_t held_ = fake_locks;				\
									\
	fake.panic_expected = true;					\
	if (!setjmp(fake.panic)) {					\
		code;							\
		fail_msg("no panic");					\
	}								\
	fake.panic_expected = false;					\
	fake_locks = held_;						\
} while (0)

#endif
