/* SPDX-License-Identifier: MIT */
/*
 * Whether a processor has the virtualization that the hypervisor needs.
 */
#ifndef ISTHMUS_BOOT_VIRT_H
#define ISTHMUS_BOOT_VIRT_H

#include <stdbool.h>
#include <stdint.h>

#define VIRT_ECX_VMX	(1u << 5)	/* CPUID.1:ECX */
#define VIRT_ECX_SVM	(1u << 2)	/* CPUID.80000001H:ECX */
#define VIRT_ECX_XSAVE	(1u << 26)	/* CPUID.1:ECX */

/* What CPUID and MSRs say; 0 where the processor lacks them. */
struct virt_raw {
	uint64_t cr4;			/* as the firmware left it */
	uint32_t leaf1_ecx;
	uint32_t leaf80000001_ecx;
	uint32_t leaf80000001_edx;
	uint32_t leaf8000000a_edx;
	uint64_t feature_control;	/* IA32_FEATURE_CONTROL */
	uint64_t pinbased;		/* IA32_VMX_PINBASED_CTLS */
	uint64_t procbased;		/* IA32_VMX_PROCBASED_CTLS */
	uint64_t procbased2;		/* IA32_VMX_PROCBASED_CTLS2 */
	uint64_t ept_vpid_cap;		/* IA32_VMX_EPT_VPID_CAP */
	uint64_t vm_cr;			/* VM_CR */
	uint32_t leafd1_eax;		/* CPUID.(0DH,1):EAX: XSAVEOPT .. */
	bool tcg;			/* QEMU's emulation says its name */
};

bool virt_has_secondary(const struct virt_raw *raw);
bool virt_has_ept(const struct virt_raw *raw);
const char *virt_check(const struct virt_raw *raw);

#endif
