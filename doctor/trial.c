/* SPDX-License-Identifier: MIT */
/*
 * One CPU's trial: virtualization on, a guest of four instructions in real mode
 * and in long mode, a wrong entry, off; and whether all is as before. The guest
 * has five pages of its own, by tables that map nothing else.
 */
#include <string.h>

#include "text/fmt.h"
#include "hypervisor/include/x86.h"
#include "trial.h"

#define PTE_RW		3ull		/* present, writable */
#define PTE_2M		0xe3ull		/* besides: accessed, dirty, large */

/* CPUID; MOV AL, [BX] in 16-bit code and [RDI] in 64-bit code; HLT; JMP $ */
static const uint8_t code[] = { 0x0f, 0xa2, 0x8a, 0x07, 0xf4, 0xeb, 0xfe };

static const char *const seen_name[] = {
	[SEEN_CPUID] = "CPUID", [SEEN_NOTHING] = "a read of memory that it has not",
	[SEEN_HLT] = "HLT", [SEEN_TIMER] = "the preemption timer",
	[SEEN_OTHER] = "something else", [SEEN_REFUSED] = "nothing",
};

/** Notes why a trial ended; the first reason stays. Formats as for fmt_va(). */
void trial_why(struct trial *t, const char *format, ...)
{
	va_list ap;

	if (t->why[0] == '\0') {
		va_start(ap, format);
		fmt_va(t->why, sizeof(t->why), format, ap);
		va_end(ap);
	}
}

/**
 * The second-level tables, by the bits that entries of tables and of pages have:
 * the guest's page 0 and its pages 2 to 4, no other. Its own tables and code are
 * put into them.
 */
void trial_tables(const struct trial_job *job, uint64_t table, uint64_t leaf)
{
	uint64_t *level = (uint64_t *)trial_page(job, PAGE_TABLE);
	uint64_t *guest = (uint64_t *)trial_page(job, PAGE_GUEST);

	memset(level, 0, 4 * 4096ul);
	memset(guest, 0, GUEST_TABLES * 4096ul);
	for (uint32_t i = 0; i < 3; i++) {
		level[i * 512] = (uint64_t)&level[(i + 1) * 512] | table;
	}
	level[3 * 512] = (uint64_t)trial_page(job, PAGE_CODE) | leaf;
	for (uint32_t i = 0; i < GUEST_TABLES; i++) {
		level[3 * 512 + 2 + i] = (uint64_t)trial_page(job, PAGE_GUEST + i) | leaf;
	}
	guest[0] = (GUEST_ROOT + 0x1000) | PTE_RW;
	guest[512] = (GUEST_ROOT + 0x2000) | PTE_RW;
	guest[1024] = PTE_2M;
	memset(trial_page(job, PAGE_CODE), 0, 4096);
	memcpy(trial_page(job, PAGE_CODE), code, sizeof(code));
	memset(trial_page(job, PAGE_BITMAP), 0xff, 3 * 4096ul);
}

/* Enters at rip, where the guest should exit for `want`. */
static bool step(const struct trial_ops *ops, const struct trial_job *job, uint64_t rip,
		 enum seen want)
{
	enum seen seen = ops->enter(job, rip);

	if (seen == want) {
		return true;
	}
	trial_why(&job->cpu->trial, "the guest should have exited for %s, and did for %s",
		  seen_name[want], seen_name[seen]);
	return false;
}

static bool exits(const struct trial_ops *ops, const struct trial_job *job)
{
	return step(ops, job, AT_READ, SEEN_NOTHING) && step(ops, job, AT_HLT, SEEN_HLT);
}

/* The timer of VT-x alone: on AMD-V only an interrupt would end the loop. */
static bool timer(const struct trial_ops *ops, const struct trial_job *job)
{
	uint64_t start = rdtsc();
	bool ok = step(ops, job, AT_LOOP, SEEN_TIMER);

	job->cpu->trial.timer_ticks = rdtsc() - start;
	return ok;
}

/* The explanation goes where the report has it: being refused is good here. */
static bool refusal(const struct trial_ops *ops, const struct trial_job *job)
{
	struct trial *t = &job->cpu->trial;
	enum seen seen;

	ops->spoil(job);
	seen = ops->enter(job, AT_CPUID);
	if (seen != SEEN_REFUSED) {
		trial_why(t, "a wrong entry was not refused, but exited for %s", seen_name[seen]);
		return false;
	}
	memcpy(t->refusal, t->why, sizeof(t->refusal));
	memset(t->why, 0, sizeof(t->why));
	return true;
}

/* All of it, until a step is not done. */
static void steps(const struct trial_ops *ops, const struct trial_job *job)
{
	struct trial *t = &job->cpu->trial;

	t->step = TRIAL_BEGUN;
	if (!ops->on(job)) {
		return;
	}
	t->step = TRIAL_ON;
	ops->begin(job, false);
	if (!step(ops, job, AT_CPUID, SEEN_CPUID)) {
		return;
	}
	t->step = TRIAL_ENTERED;
	if (!exits(ops, job)) {
		return;
	}
	t->step = TRIAL_EXITS;
	if (ops->timer && !timer(ops, job)) {
		return;
	}
	t->step = TRIAL_TIMER;
	ops->begin(job, true);
	if (!step(ops, job, AT_CPUID, SEEN_CPUID) || !exits(ops, job)) {
		return;
	}
	t->step = TRIAL_LONG;
	t->step = refusal(ops, job) ? TRIAL_REFUSED : TRIAL_LONG;
}

static void vmx_steps(void *arg)
{
	steps(&trial_vmx, arg);
}

static void svm_steps(void *arg)
{
	steps(&trial_svm, arg);
}

static void vmx_off(void *arg)
{
	trial_vmx.off(arg);
}

static void svm_off(void *arg)
{
	trial_svm.off(arg);
}

/* What must be as before. Not IA32_FEATURE_CONTROL, which is locked for good. */
struct before {
	uint64_t cr0, cr3, cr4, dr7, efer, pat, gs_base, kernel_gs_base, star, lstar;
};

static void take_down(struct before *b)
{
	*b = (struct before) {
		.cr0 = read_cr0(), .cr3 = read_cr3(), .cr4 = read_cr4(), .dr7 = read_dr7(),
		.efer = rdmsr(MSR_IA32_EFER), .gs_base = rdmsr(MSR_IA32_GS_BASE),
		.kernel_gs_base = rdmsr(MSR_IA32_KERNEL_GS_BASE),
		.star = rdmsr(MSR_IA32_STAR), .lstar = rdmsr(MSR_IA32_LSTAR),
		.pat = rdmsr(MSR_IA32_PAT),
	};
}

static void compare(struct trial *t, const struct before *was)
{
	struct before is;
	const char *name;

	take_down(&is);
	name = is.cr0 != was->cr0 ? "CR0" : is.cr3 != was->cr3 ? "CR3" :
	       is.cr4 != was->cr4 ? "CR4" : is.dr7 != was->dr7 ? "DR7" :
	       is.efer != was->efer ? "IA32_EFER" : is.pat != was->pat ? "IA32_PAT" :
	       is.gs_base != was->gs_base || is.kernel_gs_base != was->kernel_gs_base ?
	       "the base of GS" : is.star != was->star || is.lstar != was->lstar ? "IA32_STAR" : "";
	fmt(t->changed, sizeof(t->changed), "%s", name);
}

static void restore(void *arg)
{
	const struct before *was = arg;

	write_cr4(was->cr4);
	write_cr0(was->cr0);
	write_dr7(was->dr7);
}

/**
 * The trial of this CPU, whose facts are known; pages: PAGE_COUNT of them. In our
 * world. Where there is no virtualization nothing is done.
 */
void trial_run(struct cpu_facts *cpu, uint8_t *pages)
{
	struct trial_job job = { cpu, pages };
	bool vmx = (cpu->leaf1_ecx & BIT64(5)) != 0;
	struct before before;

	if (!vmx && (cpu->ext1_ecx & BIT64(2)) == 0) {
		return;
	}
	take_down(&before);
	cpu->trial.exception = trap_try(vmx ? vmx_steps : svm_steps, &job);
	if (trap_try(vmx ? vmx_off : svm_off, &job) == 0 &&
	    cpu->trial.step == TRIAL_REFUSED) {
		cpu->trial.step = TRIAL_LEFT;
	}
	trap_try(restore, &before);
	compare(&cpu->trial, &before);
}
