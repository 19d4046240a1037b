/* SPDX-License-Identifier: MIT */
/*
 * The trial of a CPU's virtualization: what the parts of it share. One CPU at a
 * time, interrupts off, in a world of our own (trap.c).
 */
#ifndef ISTHMUS_DOCTOR_TRIAL_H
#define ISTHMUS_DOCTOR_TRIAL_H

#include "facts.h"

/* Pages that the trials use, one after the other. The world's own stays for good:
 * see trap.c. */
enum trial_page {
	PAGE_WORLD,		/* GDT and TSS */
	PAGE_REGION,		/* VMXON region, or where VMRUN keeps the host */
	PAGE_CONTROL,		/* VMCS or VMCB */
	PAGE_HOST,		/* VMSAVE of the host */
	PAGE_BITMAP,		/* ones: all ports and MSRs exit */
	PAGE_TABLE = PAGE_BITMAP + 3,	/* second level, the root first */
	PAGE_CODE = PAGE_TABLE + 4,	/* the guest's page 0 */
	PAGE_GUEST,		/* the guest's pages 2 to 4: its own tables */
	PAGE_COUNT = PAGE_GUEST + 3,
};

/* Guest-physical: page 1 is nothing. */
#define GUEST_NOTHING	0x1000ull
#define GUEST_ROOT	0x2000ull
#define GUEST_TABLES	3u

/* Where the guest's instructions lie, in either mode. */
enum guest_at {
	AT_CPUID = 0,		/* CPUID */
	AT_READ = 2,		/* MOV AL, [RDI or BX] */
	AT_HLT = 4,		/* HLT */
	AT_LOOP = 5,		/* JMP to itself */
};

/* What an entry led to. */
enum seen {
	SEEN_CPUID, SEEN_NOTHING,	/* GUEST_NOTHING was read */
	SEEN_HLT, SEEN_TIMER, SEEN_OTHER, SEEN_REFUSED,
};

struct trial_job {
	struct cpu_facts *cpu;
	uint8_t *pages;		/* PAGE_COUNT of them */
};

/* A vendor's part. Each works on job->cpu->trial. */
struct trial_ops {
	bool (*on)(const struct trial_job *job);
	void (*begin)(const struct trial_job *job, bool long_mode);
	enum seen (*enter)(const struct trial_job *job, uint64_t rip);
	void (*spoil)(const struct trial_job *job);	/* the next entry is wrong */
	void (*off)(const struct trial_job *job);
	bool timer;
};

extern const struct trial_ops trial_vmx, trial_svm;

static inline uint8_t *trial_page(const struct trial_job *job, uint32_t page)
{
	return job->pages + page * 4096ul;
}

void trial_why(struct trial *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void trial_tables(const struct trial_job *job, uint64_t table, uint64_t leaf);
void trial_run(struct cpu_facts *cpu, uint8_t *pages);

/* entry.S */
uint64_t trial_vmx_enter(uint64_t again);
void trial_svm_enter(uint64_t vmcb, uint64_t host);

/* trap.c */
void trap_init(uint8_t *page);
void trap_enter_world(void);
void trap_leave_world(void);
uint32_t trap_try(void (*function)(void *arg), void *arg);
bool trap_rdmsr(uint32_t msr, uint64_t *value);
bool trap_read32(uint64_t at, uint32_t *value);
bool trap_read64(uint64_t at, uint64_t *value);

#endif
