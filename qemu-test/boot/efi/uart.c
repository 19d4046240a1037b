/* SPDX-License-Identifier: MIT */
/*
 * Makes memory of a second display look like a 16550 that can always send and
 * never hears: its line status, and its modem status as the loader's test wants it.
 * Then starts the real loader. cases_serial.py says the rest.
 */
#include "real.h"

#include <efipciio.h>

#define DISPLAY		0x11111234u	/* device, vendor */
#define DISPLAY_CLASS	0x0380u
#define UNSEEN		0xf00000u

static EFI_GUID pci_guid = EFI_PCI_IO_PROTOCOL_GUID;

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
	EFI_BOOT_SERVICES *bs = table->BootServices;
	EFI_HANDLE handles[64];
	UINTN size = sizeof(handles);
	UINT32 config[5];
	EFI_PCI_IO *pci;

	if (bs->LocateHandle(ByProtocol, &pci_guid, NULL, &size, handles)) {
		return EFI_NOT_FOUND;
	}
	for (UINTN i = 0; i < size / sizeof(handles[0]); i++) {
		if (bs->HandleProtocol(handles[i], &pci_guid, (void **)&pci) ||
		    pci->Pci.Read(pci, EfiPciIoWidthUint32, 0, 5, config)) {
			continue;
		}
		if (config[0] == DISPLAY && config[2] >> 16 == DISPLAY_CLASS) {
			volatile UINT8 *uart = (volatile UINT8 *)
				((UINT64)(config[4] & ~0xfu) + UNSEEN);

			uart[5] = 0x60;
			uart[6] = 0x90;
		}
	}
	return start_real(image, bs);
}
