/* SPDX-License-Identifier: MIT */
/*
 * What a firmware does that has "virtualization" turned off in its setup:
 * locks IA32_FEATURE_CONTROL with VMXON disabled, then starts the real
 * loader. [SDM3 "Enabling and Entering VMX Operation"]
 */
#include "real.h"

#define MSR_IA32_FEATURE_CONTROL	0x3a
#define FEATURE_CONTROL_LOCK		1

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
	__asm__ volatile("wrmsr" : : "c"(MSR_IA32_FEATURE_CONTROL),
			 "a"(FEATURE_CONTROL_LOCK), "d"(0));
	return start_real(image, table->BootServices);
}
