/* SPDX-License-Identifier: MIT */
/*
 * What a firmware does that has "virtualization" turned off in its setup:
 * locks IA32_FEATURE_CONTROL with VMXON disabled, then starts the real
 * loader, which the test keeps as \EFI\BOOT\REAL.EFI.
 * [SDM3 "Enabling and Entering VMX Operation"]
 */
#include <efi.h>

#define MSR_IA32_FEATURE_CONTROL	0x3a
#define FEATURE_CONTROL_LOCK		1

static CHAR16 path[] = L"\\EFI\\BOOT\\REAL.EFI";

/* One file path node and the end node. [UEFI "Device Path Protocol"] */
static struct {
	UINT8 type, subtype;
	UINT8 length[2];
	CHAR16 name[sizeof(path) / sizeof(path[0])];
	UINT8 end[4];
} __attribute__((packed)) node = {
	4, 4, { 4 + sizeof(path), 0 }, L"\\EFI\\BOOT\\REAL.EFI",
	{ 0x7f, 0xff, 4, 0 },
};

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table);

/* The device's path with ours put in the place of its end node. */
static EFI_DEVICE_PATH *join(EFI_BOOT_SERVICES *bs, EFI_DEVICE_PATH *device)
{
	UINT8 *from = (UINT8 *)device, *whole;
	UINTN size = 0;

	while (from[size] != 0x7f) {
		size += from[size + 2] | (UINTN)from[size + 3] << 8;
	}
	if (bs->AllocatePool(EfiLoaderData, size + sizeof(node),
			     (void **)&whole) != EFI_SUCCESS) {
		return NULL;
	}
	bs->CopyMem(whole, from, size);
	bs->CopyMem(whole + size, &node, sizeof(node));
	return (EFI_DEVICE_PATH *)whole;
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
	EFI_GUID loaded_guid = LOADED_IMAGE_PROTOCOL;
	EFI_GUID path_guid = DEVICE_PATH_PROTOCOL;
	EFI_BOOT_SERVICES *bs = table->BootServices;
	EFI_LOADED_IMAGE *loaded;
	EFI_DEVICE_PATH *device;
	EFI_HANDLE real;
	EFI_STATUS status;

	__asm__ volatile("wrmsr" : : "c"(MSR_IA32_FEATURE_CONTROL),
			 "a"(FEATURE_CONTROL_LOCK), "d"(0));
	status = bs->HandleProtocol(image, &loaded_guid, (void **)&loaded);
	if (status == EFI_SUCCESS) {
		status = bs->HandleProtocol(loaded->DeviceHandle, &path_guid,
					    (void **)&device);
	}
	if (status == EFI_SUCCESS) {
		status = bs->LoadImage(FALSE, image, join(bs, device), NULL, 0,
				       &real);
	}
	if (status == EFI_SUCCESS) {
		status = bs->StartImage(real, NULL, NULL);
	}
	return status;
}
