/* SPDX-License-Identifier: MIT */
/*
 * What a firmware does that protects itself from devices: leaves the IOMMU on, VT-d
 * or AMD-Vi, where QEMU has it, with tables of its own that let everything through,
 * a queue in use, and interrupts remapped by a table in which nothing is; then
 * starts the real loader. [VT-d "Register Descriptions"], [AMD-Vi "IOMMU MMIO
 * Registers"]
 */
#include "real.h"

#define VTD	0xfed90000ull
#define AMDVI	0xfed80000ull
#define PAGES	520		/* AMD's device table, and more than others need */

static void write32(UINT64 at, UINT32 v)
{
	*(volatile UINT32 *)at = v;
}

static void write64(UINT64 at, UINT64 v)
{
	*(volatile UINT64 *)at = v;
}

static UINT32 read32(UINT64 at)
{
	return *(volatile UINT32 *)at;
}

/* One command, and what is on besides stays on. */
static void vtd_command(UINT32 bit)
{
	write32(VTD + 0x18, (read32(VTD + 0x1c) & 0x96ffffff) | bit);
	while (!(read32(VTD + 0x1c) & bit)) {
	}
}

/* Every bus has the same context table, in which all pass. */
static void vtd_on(UINT64 page)
{
	UINT64 *root = (UINT64 *)page, *context = (UINT64 *)(page + 0x1000);

	for (unsigned i = 0; i < 256; i++) {
		root[2 * i] = (UINT64)context | 1;
		context[2 * i] = 2 << 2 | 1;
		context[2 * i + 1] = 7 << 8 | 1;
	}
	write64(VTD + 0x88, 0);
	write64(VTD + 0x90, page + 0x2000);
	vtd_command(1u << 26);
	/* a wait, without which the queue could not be turned off again */
	*(UINT64 *)(page + 0x2000) = 0x25;
	*(UINT64 *)(page + 0x2008) = page + 0x4000;
	write64(VTD + 0x88, 16);
	write64(VTD + 0xb8, page + 0x3000);
	vtd_command(1u << 24);
	vtd_command(1u << 25);
	write64(VTD + 0x20, (UINT64)root);
	vtd_command(1u << 30);
	vtd_command(1u << 31);
}

/* Entries that are not valid let everything through. */
static void amdvi_on(UINT64 page)
{
	write64(AMDVI + 0x00, page | 511);
	write64(AMDVI + 0x08, (page + 0x200000) | 8ull << 56);
	write64(AMDVI + 0x10, (page + 0x201000) | 8ull << 56);
	write64(AMDVI + 0x18, 1 << 12 | 1 << 2 | 1);
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
	EFI_BOOT_SERVICES *bs = table->BootServices;
	EFI_PHYSICAL_ADDRESS page = 0xffffffff;

	if (bs->AllocatePages(AllocateMaxAddress, EfiReservedMemoryType, PAGES,
			      &page) != EFI_SUCCESS) {
		return EFI_OUT_OF_RESOURCES;
	}
	bs->SetMem((void *)page, PAGES * 4096, 0);
	if (read32(VTD) != 0 && read32(VTD) != 0xffffffff) {
		vtd_on(page);
	} else {
		amdvi_on(page);
	}
	return start_real(image, bs);
}
