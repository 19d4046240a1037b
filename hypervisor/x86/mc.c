/* SPDX-License-Identifier: MIT */
/*
 * Machine checks: errors of the processor and of memory that the processor
 * reports, at the moment it meets them, with details in banks of MSRs. On
 * many processors one reaches every CPU, and most find nothing of their own.
 * What a bank says is believed. What is corrected is not an exception, and
 * nobody looks for it. All on the CPU itself; banks that CPUs share are read
 * by whoever comes first, so no lock. [SDM3 "Machine-Check Architecture",
 * "Writing Machine-Check Software"; APM2 "Machine Check Architecture"]
 */
#include <hv.h>
#include <mc.h>
#include <x86.h>

#define CPUID1_EDX_MCA	BIT32(14)
#define MCG_CAP_COUNT	0xffu
#define MCG_CAP_CTL_P	BIT64(8)
#define MCG_CAP_SER_P	BIT64(24)	/* software error recovery */
#define BANKS_MAX	32u	/* this many lie at MC0_CTL, four MSRs each */

#define MC_STATUS_ADDRV	BIT64(58)
#define MC_STATUS_MISCV	BIT64(59)

static uint32_t bank_count(void)
{
	return cpuid(1, 0).edx & CPUID1_EDX_MCA ?
	       u64_min(rdmsr(MSR_IA32_MCG_CAP) & MCG_CAP_COUNT, BANKS_MAX) : 0;
}

static bool has_recovery(void)
{
	return bank_count() && (rdmsr(MSR_IA32_MCG_CAP) & MCG_CAP_SER_P);
}

/* The MSR that a valid status does not promise must not be read. */
static void read_bank(uint32_t i, struct mc_bank *b)
{
	b->number = i;
	b->status = rdmsr(MSR_IA32_MC_STATUS(i));
	b->addr = b->misc = 0;
	if (b->status & MC_STATUS_VAL) {
		b->addr = b->status & MC_STATUS_ADDRV ?
			  rdmsr(MSR_IA32_MC_ADDR(i)) : 0;
		b->misc = b->status & MC_STATUS_MISCV ?
			  rdmsr(MSR_IA32_MC_MISC(i)) : 0;
	}
}

/**
 * How bad is what a bank's status tells? recovery: the processor tells errors
 * that have been used from those that have only been found, which count as
 * corrected. Pure. [SDM3 "IA32_MCi_STATUS MSRS", "Recovery of Uncorrected
 * Recoverable (UCR) Errors"]
 */
enum mc_severity mc_severity(uint64_t status, bool recovery)
{
	if (!(status & MC_STATUS_VAL)) {
		return MC_NONE;
	}
	/* what is not enabled has not raised the exception */
	if (!(status & MC_STATUS_UC) || !(status & MC_STATUS_EN)) {
		return MC_CORRECTED;
	}
	/* after an overflow nobody knows of the error that was lost */
	if (status & (MC_STATUS_PCC | MC_STATUS_OVER)) {
		return MC_FATAL;
	}
	return recovery && !(status & MC_STATUS_AR) ? MC_CORRECTED :
	       MC_UNCORRECTED;
}

/**
 * What follows from IA32_MCG_STATUS and the worst bank: in_guest tells what
 * was interrupted. With recovery, RIPV without EIPV is a CPU that is only told
 * of another's error, which is in a bank of both. A guest need not go on where
 * it was, so for its end it is enough that the error is its own. Pure. [SDM3
 * "IA32_MCG_STATUS MSR"]
 */
enum mc_verdict mc_judge(uint64_t mcg_status, enum mc_severity worst,
			 bool recovery, bool in_guest)
{
	bool restart = (mcg_status & MCG_STATUS_RIPV) != 0;
	bool here = (mcg_status & MCG_STATUS_EIPV) != 0;

	if (worst == MC_FATAL || (!restart && !here)) {
		return MC_PANIC;
	}
	if (restart && (worst != MC_UNCORRECTED || (recovery && !here))) {
		return MC_GO_ON;
	}
	return in_guest ? MC_END_PARTITION : MC_PANIC;
}

/* Reads all banks; *worst is the worst one. */
static enum mc_verdict collect(struct mc_bank *worst, bool in_guest)
{
	uint64_t mcg_status = rdmsr(MSR_IA32_MCG_STATUS);
	uint32_t n = bank_count(), i;
	bool recovery = has_recovery();
	struct mc_bank b;

	*worst = (struct mc_bank){ 0 };
	for (i = 0; i < n; i++) {
		read_bank(i, &b);
		if (mc_severity(b.status, recovery) >
		    mc_severity(worst->status, recovery)) {
			*worst = b;
		}
	}
	/* the next one would be a shutdown else */
	wrmsr(MSR_IA32_MCG_STATUS, 0);
	return mc_judge(mcg_status, mc_severity(worst->status, recovery),
			recovery, in_guest);
}

static void log_and_clear(const char *when)
{
	uint32_t n = bank_count(), i;
	struct mc_bank b;

	for (i = 0; i < n; i++) {
		read_bank(i, &b);
		if (b.status & MC_STATUS_VAL) {
			log_write("isthmus: machine check%s: bank %u status "
				  "%#lx address %#lx misc %#lx", when, b.number,
				  b.status, b.addr, b.misc);
		}
		wrmsr(MSR_IA32_MC_STATUS(i), 0);
	}
}

static void NORETURN give_up(const struct mc_bank *worst, const char *where)
{
	panic("machine check in %s: the processor or the memory has failed: "
	      "bank %u status %#lx address %#lx misc %#lx", where,
	      worst->number, worst->status, worst->addr, worst->misc);
}

/**
 * Makes this CPU report machine checks in all banks; what they hold from
 * before is logged. CR4.MCE is the caller's to set, afterwards. [SDM3
 * "Machine-Check Initialization"]
 */
void mc_init(void)
{
	uint32_t n = bank_count(), i;

	if (n && (rdmsr(MSR_IA32_MCG_CAP) & MCG_CAP_CTL_P)) {
		wrmsr(MSR_IA32_MCG_CTL, ~0ull);
	}
	log_and_clear(" before the start");
	for (i = 0; i < n; i++) {
		wrmsr(MSR_IA32_MC_CTL(i), ~0ull);
	}
}

/**
 * A machine check has ended a guest's run: logs and clears the banks. true: no
 * error is this CPU's, the guest may go on; false: its partition must end,
 * *status is the bank's. A panic if the processor is not to be trusted.
 */
bool mc_in_guest(uint64_t *status)
{
	struct mc_bank worst;
	enum mc_verdict verdict = collect(&worst, true);

	/* another CPU's error is left to that CPU, in a bank of both */
	if (verdict != MC_GO_ON ||
	    mc_severity(worst.status, has_recovery()) < MC_UNCORRECTED) {
		log_and_clear("");
	}
	if (verdict == MC_PANIC) {
		give_up(&worst, "a partition");
	}
	*status = worst.status;
	return verdict == MC_GO_ON;
}

/**
 * A machine check in the hypervisor: a panic, unless no error is this CPU's.
 * From trap_handle(): it may have interrupted anything, so nothing is logged,
 * and the banks are left for the firmware, or the next start, to find.
 */
void mc_in_hypervisor(void)
{
	struct mc_bank worst;

	if (collect(&worst, false) != MC_GO_ON) {
		give_up(&worst, "the hypervisor");
	}
}
