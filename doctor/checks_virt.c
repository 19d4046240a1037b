/* SPDX-License-Identifier: MIT */
/*
 * Checks of virtualization: what the processor has, after the registers; and what
 * came of the trial, in which each CPU entered a guest and left it. Pure. [SDM3
 * "VMX Capability Reporting Facility", APM2 "Enabling SVM"]
 */
#include "check.h"
#include "hypervisor/vmx/vmcs.h"

#define FEATURE_LOCK	BIT64(0)
#define FEATURE_VMXON	BIT64(2)
#define VM_CR_SVMDIS	BIT64(4)

/* Four-level walk, write-back, 2 MiB pages; INVEPT and INVVPID of one context */
#define EPT_NEEDED	(BIT64(6) | BIT64(14) | BIT64(16))
#define EPT_FLUSH	(BIT64(20) | BIT64(25) | BIT64(32) | BIT64(41))

/* As vmx/vmx.c chooses them */
#define PIN_NEEDED	(PIN_EXT_INTR_EXIT | PIN_NMI_EXIT)
#define PROC_NEEDED	(PROC_TSC_OFFSETTING | PROC_HLT_EXIT | PROC_MWAIT_EXIT |	\
			 PROC_MONITOR_EXIT | PROC_RDPMC_EXIT | PROC_CR8_LOAD_EXIT |	\
			 PROC_CR8_STORE_EXIT | PROC_MOV_DR_EXIT | PROC_IO_BITMAPS |	\
			 PROC_MSR_BITMAPS | PROC_SECONDARY)
#define EXIT_NEEDED	(EXIT_SAVE_DEBUG | EXIT_HOST_64 | EXIT_ACK_INTR | EXIT_SAVE_PAT | \
			 EXIT_LOAD_PAT | EXIT_SAVE_EFER | EXIT_LOAD_EFER)
#define ENTRY_NEEDED	(ENTRY_LOAD_DEBUG | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER)
#define ALLOWED(bits)	((uint64_t)(bits) << 32)	/* "may be 1" of a capability */

/* CPUID.8000000AH:EDX */
#define SVM_NP		BIT64(0)
#define SVM_NRIPS	BIT64(3)
#define SVM_FLUSH	BIT64(6)
#define SVM_DECODES	BIT64(7)

static bool there(const struct facts *f, struct text *t)
{
	for (uint32_t i = 0; i < f->cpu_count; i++) {
		bool vmx = (f->cpu[i].leaf1_ecx & BIT64(5)) != 0;
		bool svm = (f->cpu[i].ext1_ecx & BIT64(2)) != 0;

		if (check_has_vmx(f) ? !vmx : !svm) {
			check_say(t, "neither VT-x nor AMD-V on CPU %u", i);
			return false;
		}
	}
	check_say(t, "%s, CPUs %u", check_has_vmx(f) ? "VT-x" : "AMD-V", f->cpu_count);
	return true;
}

static bool vmx_unlocked(const struct facts *f, struct text *t)
{
	for (uint32_t i = 0; i < f->cpu_count; i++) {
		uint64_t v = f->cpu[i].feature_control;

		if ((v & FEATURE_LOCK) != 0 && (v & FEATURE_VMXON) == 0) {
			check_say(t, "IA32_FEATURE_CONTROL is 0x%lx on CPU %u", v, i);
			return false;
		}
	}
	check_say(t, "IA32_FEATURE_CONTROL is 0x%lx", f->cpu[0].feature_control);
	return true;
}

static bool vmx_several(const struct facts *f)
{
	return check_several(f) && check_has_vmx(f);
}

static bool has_proc2(const struct facts *f)
{
	return check_has_vmx(f) && (f->cpu[0].vmx_proc & ALLOWED(PROC_SECONDARY)) != 0;
}

static bool has_ept(const struct facts *f)
{
	return has_proc2(f) && (f->cpu[0].vmx_proc2 & ALLOWED(PROC2_EPT)) != 0;
}

/* CR4 as the firmware has it, with VMXE, must be one that VMX operation lets be. */
static bool fixed(const struct facts *f, struct text *t)
{
	const struct cpu_facts *c = &f->cpu[0];
	uint64_t wrong = c->cr4 & ~c->cr4_fixed1;

	check_say(t, "CR4 is 0x%lx, 0x%lx of it must be 0", c->cr4, wrong);
	return wrong == 0;
}

static bool asids(const struct facts *f, struct text *t)
{
	check_say(t, "%lu", f->cpu[0].svm_ebx);
	return f->cpu[0].svm_ebx >= 2;
}

static const struct check virt[] = {
	{ "virt", "VT-x or AMD-V", "SDM3 \"Discovering Support for VMX\", APM2 \"Enabling SVM\"",
	  "Turn virtualization on in the set-up: \"Intel Virtualization Technology\" (VT-x), or "
	  "\"SVM Mode\" (AMD). A virtual machine needs a processor model that has it.",
	  VERDICT_FAILURE, CHECK_BY(there) },
	{ "vmx-unlocked", "VT-x is not locked off",
	  "SDM3 \"Enabling and Entering VMX Operation\"",
	  "Turn \"Intel Virtualization Technology\" on in the set-up, then power the machine off "
	  "and on.", VERDICT_FAILURE, check_has_vmx, CHECK_BY(vmx_unlocked) },
	{ "vmx-lock-same", "it is locked alike on all CPUs",
	  "SDM3 \"Enabling and Entering VMX Operation\"", "Update the firmware.",
	  VERDICT_WARNING, vmx_several, CHECK_CPUS(CHECK_SAME, feature_control, ~0ull) },
	{ "vmx-same", "VT-x has the same controls on all CPUs",
	  "SDM3 \"Basic VMX Information\"", "Update the firmware: its microcode differs.",
	  VERDICT_FAILURE, vmx_several, CHECK_CPUS(CHECK_SAME, vmx_proc2, ~0ull) },
	{ "vmx-secondary", "VT-x has secondary controls",
	  "SDM3 \"Processor-Based VM-Execution Controls\"",
	  "A newer processor is needed, or an emulated one that has them.", VERDICT_FAILURE,
	  check_has_vmx, CHECK_CPUS(CHECK_HAS, vmx_proc, ALLOWED(PROC_SECONDARY)) },
	{ "vmx-ept", "extended page tables", "SDM3 \"The Extended Page Table Mechanism (EPT)\"",
	  "A newer processor is needed, or an emulated one that has them.", VERDICT_FAILURE,
	  has_proc2, CHECK_CPUS(CHECK_HAS, vmx_proc2, ALLOWED(PROC2_EPT)) },
	{ "vmx-unrestricted", "unrestricted guest", "SDM3 \"Unrestricted Guests\"",
	  "A newer processor is needed (Westmere or later), or an emulated one that has it.",
	  VERDICT_FAILURE, has_proc2,
	  CHECK_CPUS(CHECK_HAS, vmx_proc2, ALLOWED(PROC2_UNRESTRICTED)) },
	{ "vmx-vpid", "VPIDs", "SDM3 \"Virtual Processor Identifiers (VPIDs)\"",
	  "A newer processor is needed, or an emulated one that has them.", VERDICT_FAILURE,
	  has_proc2, CHECK_CPUS(CHECK_HAS, vmx_proc2, ALLOWED(PROC2_VPID)) },
	{ "vmx-wbinvd", "WBINVD of a guest can exit", "SDM3 \"WBINVD\"",
	  "A newer processor is needed.", VERDICT_FAILURE, has_proc2,
	  CHECK_CPUS(CHECK_HAS, vmx_proc2, ALLOWED(PROC2_WBINVD_EXIT)) },
	{ "vmx-ept-tables", "EPT of four levels, write-back, with 2 MiB pages",
	  "SDM3 \"VPID and EPT Capabilities\"", "A newer processor is needed.", VERDICT_FAILURE,
	  has_ept, CHECK_CPUS(CHECK_HAS, vmx_ept_vpid, EPT_NEEDED) },
	{ "vmx-flush", "INVEPT and INVVPID of one context", "SDM3 \"VPID and EPT Capabilities\"",
	  "A newer processor is needed.", VERDICT_FAILURE, has_ept,
	  CHECK_CPUS(CHECK_HAS, vmx_ept_vpid, EPT_FLUSH) },
	{ "vmx-timer", "a preemption timer", "SDM3 \"VMX-Preemption Timer\"",
	  "A newer processor is needed.", VERDICT_FAILURE, check_has_vmx,
	  CHECK_CPUS(CHECK_HAS, vmx_pin, ALLOWED(PIN_PREEMPTION_TIMER)) },
	{ "vmx-nmis", "virtual NMIs", "SDM3 \"Pin-Based VM-Execution Controls\"",
	  "A newer processor is needed.", VERDICT_FAILURE, check_has_vmx,
	  CHECK_CPUS(CHECK_HAS, vmx_pin, ALLOWED(PIN_VIRTUAL_NMIS)) },
	{ "vmx-pin", "interrupts and NMIs can exit",
	  "SDM3 \"Pin-Based VM-Execution Controls\"", "Another processor is needed.",
	  VERDICT_FAILURE, check_has_vmx, CHECK_CPUS(CHECK_HAS, vmx_pin, ALLOWED(PIN_NEEDED)) },
	{ "vmx-proc", "what Isthmus lets exit can exit",
	  "SDM3 \"Processor-Based VM-Execution Controls\"", "Another processor is needed.",
	  VERDICT_FAILURE, check_has_vmx, CHECK_CPUS(CHECK_HAS, vmx_proc, ALLOWED(PROC_NEEDED)) },
	{ "vmx-exit", "an exit changes PAT, EFER and DR7", "SDM3 \"VM-Exit Controls\"",
	  "A newer processor is needed.", VERDICT_FAILURE, check_has_vmx,
	  CHECK_CPUS(CHECK_HAS, vmx_exit, ALLOWED(EXIT_NEEDED)) },
	{ "vmx-entry", "an entry changes PAT, EFER and DR7", "SDM3 \"VM-Entry Controls\"",
	  "A newer processor is needed.", VERDICT_FAILURE, check_has_vmx,
	  CHECK_CPUS(CHECK_HAS, vmx_entry, ALLOWED(ENTRY_NEEDED)) },
	{ "vmx-fixed", "CR4 suits VMX operation", "SDM3 \"Restrictions on VMX Operation\"",
	  "Update the firmware: it leaves something on that VT-x does not allow.",
	  VERDICT_WARNING, check_has_vmx, CHECK_BY(fixed) },
	{ "svm-unlocked", "AMD-V is not locked off", "APM2 \"Enabling SVM\"",
	  "Turn \"SVM Mode\" on in the set-up, then power the machine off and on.",
	  VERDICT_FAILURE, check_has_svm, CHECK_CPUS(CHECK_LACKS, vm_cr, VM_CR_SVMDIS) },
	{ "svm-paging", "nested paging", "APM2 \"Nested Paging\"",
	  "A newer processor is needed, or an emulated one that has it.", VERDICT_FAILURE,
	  check_has_svm, CHECK_CPUS(CHECK_HAS, svm_edx, SVM_NP) },
	{ "svm-asids", "an ASID for guests", "APM3 \"Function 8000_000Ah-SVM Features\"",
	  "A newer processor is needed.", VERDICT_FAILURE, check_has_svm, CHECK_BY(asids) },
	{ "svm-next-rip", "an exit tells the next instruction", "APM2 \"State Saved on Exit\"",
	  "Nothing can be set: instructions are fetched and looked up, and guests with 32-bit "
	  "paging do not run.", VERDICT_WARNING, check_has_svm,
	  CHECK_CPUS(CHECK_HAS, svm_edx, SVM_NRIPS) },
	{ "svm-flush", "a TLB can be flushed for one guest", "APM2 \"TLB Control\"",
	  "Nothing can be set: flushes drop everybody's translations.", VERDICT_WARNING,
	  check_has_svm, CHECK_CPUS(CHECK_HAS, svm_edx, SVM_FLUSH) },
	{ "svm-decode", "an exit tells what was decoded", "APM2 \"Decode Assists\"",
	  "Nothing can be set: instructions are fetched and looked up.", VERDICT_WARNING,
	  check_has_svm, CHECK_CPUS(CHECK_HAS, svm_edx, SVM_DECODES) },
	{ "svm-same", "AMD-V has the same features on all CPUs",
	  "APM3 \"Function 8000_000Ah-SVM Features\"", "Update the firmware.", VERDICT_FAILURE,
	  check_several, CHECK_CPUS(CHECK_SAME, svm_edx, ~0ull) },
};
const struct check_list check_virt = { virt, sizeof(virt) / sizeof(virt[0]) };

/* Whether all CPUs came to that step; says of the first that did not why. */
static bool all_came(const struct facts *f, enum trial_step step, struct text *t)
{
	for (uint32_t i = 0; i < f->cpu_count; i++) {
		const struct trial *trial = &f->cpu[i].trial;

		if (trial->step >= (uint32_t)step) {
			continue;
		}
		if (trial->exception != 0) {
			check_say(t, "CPU %u: exception %u", i, trial->exception - 1);
		} else {
			check_say(t, "CPU %u: %s", i, trial->why);
		}
		return false;
	}
	check_say(t, "on all CPUs: %u", f->cpu_count);
	return true;
}

/* A step was tried where all CPUs had done the one before. */
static bool tried(const struct facts *f, enum trial_step before)
{
	struct text none;

	return f->cpu_count != 0 && f->cpu[0].trial.step != TRIAL_NONE &&
	       all_came(f, before, &none);
}

static bool on_tried(const struct facts *f)
{
	return tried(f, TRIAL_BEGUN);
}

static bool enter_tried(const struct facts *f)
{
	return tried(f, TRIAL_ON);
}

static bool exits_tried(const struct facts *f)
{
	return tried(f, TRIAL_ENTERED);
}

static bool timer_tried(const struct facts *f)
{
	return tried(f, TRIAL_EXITS) && check_has_vmx(f);
}

static bool long_tried(const struct facts *f)
{
	return tried(f, TRIAL_TIMER);
}

static bool refusal_tried(const struct facts *f)
{
	return tried(f, TRIAL_LONG);
}

static bool leave_tried(const struct facts *f)
{
	return tried(f, TRIAL_ON);
}

static bool on(const struct facts *f, struct text *t)
{
	return all_came(f, TRIAL_ON, t);
}

static bool entered(const struct facts *f, struct text *t)
{
	return all_came(f, TRIAL_ENTERED, t);
}

static bool exits(const struct facts *f, struct text *t)
{
	return all_came(f, TRIAL_EXITS, t);
}

/* It ends the guest, and neither early nor ten times as late as it should. */
static bool timer(const struct facts *f, struct text *t)
{
	if (!all_came(f, TRIAL_TIMER, t)) {
		return false;
	}
	for (uint32_t i = 0; i < f->cpu_count; i++) {
		const struct trial *r = &f->cpu[i].trial;

		check_say(t, "%lu ticks of the TSC on CPU %u, %lu were asked for", r->timer_ticks,
			  i, r->timer_asked);
		if (r->timer_ticks < r->timer_asked / 2 ||
		    r->timer_ticks > r->timer_asked * 10) {
			return false;
		}
	}
	return true;
}

static bool long_mode(const struct facts *f, struct text *t)
{
	return all_came(f, TRIAL_LONG, t);
}

static bool refused(const struct facts *f, struct text *t)
{
	if (!all_came(f, TRIAL_REFUSED, t)) {
		return false;
	}
	check_say(t, "%s", f->cpu[0].trial.refusal);
	return true;
}

static bool left(const struct facts *f, struct text *t)
{
	for (uint32_t i = 0; i < f->cpu_count; i++) {
		if (f->cpu[i].trial.changed[0] != '\0') {
			check_say(t, "%s of CPU %u is not as before", f->cpu[i].trial.changed, i);
			return false;
		}
	}
	check_say(t, "all registers are as before, CPUs %u", f->cpu_count);
	return true;
}

static const struct check trials[] = {
	{ "virt-on", "virtualization can be turned on on every CPU",
	  "SDM3 \"Enabling and Entering VMX Operation\", APM2 \"Enabling SVM\"",
	  "Turn virtualization on in the set-up; power off and on; update the firmware.",
	  VERDICT_FAILURE, on_tried, CHECK_BY(on) },
	{ "virt-entered", "a guest is entered on every CPU",
	  "SDM3 \"VM Entries\", APM2 \"VMRUN Instruction\"",
	  "Report this, with the rule that is named.", VERDICT_FAILURE, enter_tried,
	  CHECK_BY(entered) },
	{ "virt-exits", "it exits for what it should", "SDM3 \"VM Exits\", APM2 \"#VMEXIT\"",
	  "Report this, with what was found.", VERDICT_FAILURE, exits_tried, CHECK_BY(exits) },
	{ "virt-timer", "the preemption timer ends it in time", "SDM3 \"VMX-Preemption Timer\"",
	  "Report this: time slices of guests would not end.", VERDICT_FAILURE, timer_tried,
	  CHECK_BY(timer) },
	{ "virt-long", "a guest in long mode runs and exits",
	  "SDM3 \"IA-32e Mode Guests\", APM2 \"Nested Paging\"",
	  "Report this, with the rule that is named.", VERDICT_FAILURE, long_tried,
	  CHECK_BY(long_mode) },
	{ "virt-refused", "a wrong entry is refused, and explained",
	  "SDM3 \"VM-Entry Failures During or After Loading Guest State\", APM2 "
	  "\"Canonicalization and Consistency Checks\"",
	  "Nothing needs to be done; other failures may not be explained.", VERDICT_WARNING,
	  refusal_tried, CHECK_BY(refused) },
	{ "virt-left", "afterwards every CPU is as it was", "SDM3 \"VMXOFF\", APM2 \"EFER\"",
	  "Report this; switch the machine off and on before using it.", VERDICT_FAILURE,
	  leave_tried, CHECK_BY(left) },
};
const struct check_list check_trial = { trials, sizeof(trials) / sizeof(trials[0]) };
