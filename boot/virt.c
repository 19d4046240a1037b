/* SPDX-License-Identifier: MIT */
/*
 * The verdict on a processor's virtualization, from its registers. It comes
 * early and in words that people can act on; the hypervisor's backends look at
 * more (VPID, virtual NMIs) and have the last word. Pure. [SDM3 "Discovering
 * Support for VMX", "VMX Capability Reporting Facility"; APM2 "Enabling SVM"]
 */
#include <stddef.h>

#include "virt.h"

#define CR4_LA57		(1ull << 12)
#define EDX_NX			(1u << 20)	/* CPUID.80000001H:EDX */
#define EDX_NP			(1u << 0)	/* CPUID.8000000AH:EDX */
#define FEATURE_CONTROL_LOCK	(1ull << 0)
#define FEATURE_CONTROL_VMXON	(1ull << 2)	/* outside SMX */
#define VM_CR_SVMDIS		(1ull << 4)

/* Allowed-1 settings are the upper half of a capability MSR. */
#define ALLOWED(bit)		(1ull << (32 + (bit)))
#define PIN_PREEMPTION_TIMER	ALLOWED(6)
#define PROC_SECONDARY		ALLOWED(31)
#define PROC2_EPT		ALLOWED(1)
#define PROC2_UNRESTRICTED	ALLOWED(7)

/* Four-level walk, write-back, 2 MiB pages, INVEPT. */
#define EPT_CAP_NEEDED	(1ull << 6 | 1ull << 14 | 1ull << 16 | 1ull << 20)

/** Whether IA32_VMX_PROCBASED_CTLS2 exists. */
bool virt_has_secondary(const struct virt_raw *raw)
{
	return (raw->procbased & PROC_SECONDARY) != 0;
}

/** Whether IA32_VMX_EPT_VPID_CAP exists, as far as EPT goes. */
bool virt_has_ept(const struct virt_raw *raw)
{
	return (raw->procbased2 & PROC2_EPT) != 0;
}

/** Returns NULL if the processor will do, else what it lacks and what to do. */
const char *virt_check(const struct virt_raw *raw)
{
	bool vmx = (raw->leaf1_ecx & VIRT_ECX_VMX) != 0;
	/* the order of the hypervisor's own choice */
	bool svm = !vmx && (raw->leaf80000001_ecx & VIRT_ECX_SVM) != 0;
	const struct {
		bool missing;
		const char *message;
	} checks[] = {
		{ !vmx && !svm, "no VT-x (and no AMD-V): the processor does not show "
		  "CPUID.1:ECX.VMX; turn virtualization on in the firmware's setup, and inside a "
		  "virtual machine use a processor model that has it (nested virtualization)" },
		{ vmx && (raw->feature_control & FEATURE_CONTROL_LOCK) != 0 &&
		  (raw->feature_control & FEATURE_CONTROL_VMXON) == 0,
		  "VT-x is locked off by the firmware (IA32_FEATURE_CONTROL); turn on \"Intel "
		  "Virtualization Technology\" in its setup and power the machine off and on" },
		{ vmx && !virt_has_ept(raw), "the processor's VT-x has no EPT (extended page "
		  "tables); a newer processor is needed, or an emulated one that has it" },
		{ vmx && (raw->procbased2 & PROC2_UNRESTRICTED) == 0, "the processor's VT-x has no "
		  "unrestricted guest mode; a newer processor is needed (Westmere or later), or "
		  "an emulated one that has it" },
		{ vmx && (raw->ept_vpid_cap & EPT_CAP_NEEDED) != EPT_CAP_NEEDED, "the processor's "
		  "EPT lacks 4-level tables, write-back memory, 2 MiB pages or INVEPT; a newer "
		  "processor is needed" },
		{ vmx && (raw->pinbased & PIN_PREEMPTION_TIMER) == 0, "the processor's VT-x has no "
		  "preemption timer; a newer processor is needed" },
		{ svm && (raw->vm_cr & VM_CR_SVMDIS) != 0, "AMD-V is locked off by the firmware "
		  "(VM_CR.SVMDIS); turn on \"SVM\" in its setup" },
		{ svm && (raw->leaf8000000a_edx & EDX_NP) == 0, "the processor's AMD-V has no "
		  "nested paging; a newer processor is needed, or an emulated one that has it" },
		{ (raw->leaf1_ecx & VIRT_ECX_XSAVE) == 0, "the processor has no XSAVE "
		  "(CPUID.1:ECX), by which the state of its FPU is switched; a newer processor "
		  "is needed, or an emulated one that has it" },
		/* QEMU, 7.2 to 10.0 at least, takes CR4.OSXSAVE for reserved
		 * when this leaf is empty, and then repeats MOV to CR4 for
		 * ever: docs/platforms.md. Processors without XSAVEOPT are
		 * all right. */
		{ raw->tcg && raw->leafd1_eax == 0, "QEMU emulates this processor model with an "
		  "XSAVE that cannot be turned on (it has no XSAVEOPT); add \",+xsaveopt\" to "
		  "the model, or use EPYC-Rome" },
		{ (raw->leaf80000001_edx & EDX_NX) == 0, "the processor shows no execute-disable "
		  "bit; turn it on in the firmware's setup" },
		{ (raw->cr4 & CR4_LA57) != 0, "the firmware runs with 5-level paging; turn it off "
		  "in its setup" },
	};

	/* the first is told: later ones may only follow from it */
	for (unsigned i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		if (checks[i].missing) {
			return checks[i].message;
		}
	}
	return NULL;
}
