/* SPDX-License-Identifier: MIT */
/*
 * A firmware that does not come back from Stall(), in which the loader measures
 * time, and tells on the serial line when its watchdog is turned off.
 */
#include "real.h"

#define SERIAL_PORT	0x3f8

static EFIAPI EFI_STATUS stall(UINTN us)
{
	(void)us;
	for (;;) {
		__asm__ volatile("pause");
	}
	return EFI_SUCCESS;
}

static EFIAPI EFI_STATUS watchdog(UINTN seconds, UINT64 code, UINTN size,
				  CHAR16 *data)
{
	const char *text = "watchdog off\n";

	(void)code;
	(void)size;
	(void)data;
	for (; seconds == 0 && *text; text++) {
		UINT8 status;

		do {
			__asm__ volatile("inb %1, %0" : "=a"(status)
					 : "Nd"((UINT16)(SERIAL_PORT + 5)));
		} while (!(status & 0x20));	/* THRE */
		__asm__ volatile("outb %0, %1" : : "a"(*text),
				 "Nd"((UINT16)SERIAL_PORT));
	}
	return EFI_SUCCESS;
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
	table->BootServices->Stall = stall;
	table->BootServices->SetWatchdogTimer = watchdog;
	return start_real(image, table->BootServices);
}
