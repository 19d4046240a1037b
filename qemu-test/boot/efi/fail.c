/* SPDX-License-Identifier: MIT */
/*
 * A machine that fails in a stage of the loader's (STAGE) where the loader itself
 * could not: 16, the firmware does not let itself be left; 17, a triple fault at the
 * first access to the 8259s.
 */
#include "real.h"

#define PIC_DATA	0x21

static EFI_STATUS (EFIAPI *real_leave)(EFI_HANDLE image, UINTN key);

/* Each exception is a triple fault from now on. */
static void no_handlers(void)
{
	static const struct __attribute__((packed)) {
		UINT16 limit;
		UINT64 base;
	} none;

	__asm__ volatile("lidt %0" : : "m"(none));
}

/* A breakpoint at a port needs CR4.DE. [SDM3 "Debug Registers"] */
static void trap_port(UINT64 port)
{
	UINT64 cr4;

	__asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
	__asm__ volatile("mov %0, %%cr4" : : "r"(cr4 | 8));
	__asm__ volatile("mov %0, %%dr0" : : "r"(port));
	/* enabled, of one byte, in I/O */
	__asm__ volatile("mov %0, %%dr7" : : "r"((UINT64)0x20402));
}

static EFIAPI EFI_STATUS leave(EFI_HANDLE image, UINTN key)
{
	EFI_STATUS status;

	if (STAGE == 16) {
		return EFI_DEVICE_ERROR;
	}
	status = real_leave(image, key);
	if (status == EFI_SUCCESS) {
		no_handlers();
		trap_port(PIC_DATA);
	}
	return status;
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
	real_leave = table->BootServices->ExitBootServices;
	table->BootServices->ExitBootServices = leave;
	return start_real(image, table->BootServices);
}
