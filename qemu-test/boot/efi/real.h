/* SPDX-License-Identifier: MIT */
/* For programs that stand in for the loader: starts the real one, which the
 * test keeps as \EFI\BOOT\REAL.EFI. */
#include <efi.h>

#define PATH	L"\\EFI\\BOOT\\REAL.EFI"

/* One file path node and the end node. [UEFI "Device Path Protocol"] */
static struct {
	UINT8 type, subtype;
	UINT8 length[2];
	CHAR16 name[sizeof(PATH) / sizeof(CHAR16)];
	UINT8 end[4];
} __attribute__((packed)) node = {
	4, 4, { 4 + sizeof(PATH), 0 }, PATH, { 0x7f, 0xff, 4, 0 },
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

static EFI_STATUS start_real(EFI_HANDLE image, EFI_BOOT_SERVICES *bs)
{
	EFI_GUID loaded_guid = LOADED_IMAGE_PROTOCOL;
	EFI_GUID path_guid = DEVICE_PATH_PROTOCOL;
	EFI_LOADED_IMAGE *loaded;
	EFI_DEVICE_PATH *device;
	EFI_HANDLE real;
	EFI_STATUS status;

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
