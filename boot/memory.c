/* SPDX-License-Identifier: MIT */
/*
 * Memory: allocations that outlive the firmware, and the way out of it.
 * Everything allocated here is remembered with its type and added to the
 * firmware's map when that is read, in which it is only "loader data". The map
 * itself is not trusted as to its form: memmap.c.
 */
#include <stddef.h>

#include "loader.h"

#define KEPT_MAX	48	/* at most 23 are needed */
#define EXIT_TRIES	8

static struct boot_mem kept[KEPT_MAX];
static unsigned kept_count;
static EFI_MEMORY_DESCRIPTOR *descriptors;
static UINTN descriptors_size;

/** Notes a block for the map; returns its base. */
uint64_t memory_keep(uint64_t base, uint64_t size, uint32_t type)
{
	if (kept_count == KEPT_MAX) {
		console_fail("more than %u memory blocks: use fewer modules", KEPT_MAX);
	}
	kept[kept_count++] = (struct boot_mem) { .base = base, .size = size, .type = type };
	return base;
}

/**
 * Allocates size bytes, rounded up to pages, contiguous and aligned (a power
 * of two, at least a page), to be kept with that type (enum boot_mem_type).
 * The content is undefined. what names it in the message if there is no room.
 * Below 4 GiB, where the hypervisor's page tables must be: the start-up code of
 * the other processors loads 32 bits of CR3.
 */
void *memory_alloc(uint64_t size, uint64_t align, uint32_t type, const char *what)
{
	uint64_t base, slack = align - PAGE_SIZE;
	EFI_PHYSICAL_ADDRESS at = 0xffffffff;

	size = round_up(size, PAGE_SIZE);
	if (EFI_ERROR(efi_bs->AllocatePages(AllocateMaxAddress, EfiLoaderData,
					    (size + slack) / PAGE_SIZE, &at))) {
		console_fail("too little memory: no %lu KiB in one piece for %s; give the machine "
			     "more memory", (size + slack) / 1024, what);
	}
	/* what was taken for the alignment only goes back */
	base = round_up(at, align);
	if (base > at) {
		efi_bs->FreePages(at, (base - at) / PAGE_SIZE);
	}
	if (at + slack > base) {
		efi_bs->FreePages(base + size, (at + slack - base) / PAGE_SIZE);
	}
	return (void *)memory_keep(base, size, type);
}

/** Whether all pages from there on were free; they are the caller's, to keep or free. */
bool memory_at(uint64_t at, uint64_t size)
{
	EFI_PHYSICAL_ADDRESS place = at;

	return !EFI_ERROR(efi_bs->AllocatePages(AllocateAddress, EfiLoaderData, size / PAGE_SIZE,
						&place));
}

/** Whole pages that are not kept. */
void memory_free(uint64_t at, uint64_t size)
{
	efi_bs->FreePages(at, size / PAGE_SIZE);
}

/**
 * A page below 640 KiB, where processors can start in real mode: a start-up
 * IPI names a page below 1 MiB. Not page 0. Ends the boot if there is none.
 */
uint64_t memory_alloc_low_page(void)
{
	EFI_PHYSICAL_ADDRESS at = 0x9ffff;

	if (EFI_ERROR(efi_bs->AllocatePages(AllocateMaxAddress, EfiLoaderData, 1, &at)) ||
	    at == 0) {
		console_fail("no free page below 640 KiB to start processors from: the firmware "
			     "keeps it all; update the firmware");
	}
	return memory_keep(at, PAGE_SIZE, BOOT_MEM_HYPERVISOR);
}

/* Reads the firmware's descriptors; *key is for ExitBootServices(). */
static bool descriptors_read(UINTN *size, UINTN *key, UINTN *stride)
{
	UINT32 version;

	*size = descriptors_size;
	return !EFI_ERROR(efi_bs->GetMemoryMap(size, descriptors, key, stride, &version));
}

/* The firmware's descriptors with what is kept on top: types of ours are
 * higher than "free" and win. A map that cannot be made ends the boot. */
static void map_make(struct memmap *map, UINTN size, UINTN stride)
{
	bool ok;

	map->inputs = 0;
	ok = memmap_add_efi(map, descriptors, size, stride) &&
	     memmap_add(map, 0, PAGE_SIZE, BOOT_MEM_FIRMWARE);	/* page 0: never free */
	for (unsigned i = 0; i < kept_count; i++) {
		ok = ok && memmap_add(map, kept[i].base, kept[i].size, kept[i].type);
	}
	if (!ok || !memmap_make(map)) {
		console_fail("the firmware's memory map is malformed, or has more than %u "
			     "descriptors or %u ranges; update the firmware", MEMMAP_MAX_INPUT,
			     BOOT_MAX_MEM);
	}
}

/**
 * Reads the map as it is now, for checks and sums. It may still change in
 * small ways, and does with every allocation; memory_leave_firmware() makes
 * the one that counts.
 */
void memory_read_map(struct memmap *map)
{
	UINTN size, key, stride = 0;

	if (descriptors == NULL) {
		/* Room for twice as many descriptors as there are now: the
		 * map must still fit at the end, when allocating is over. */
		descriptors_read(&size, &key, &stride);
		descriptors_size = 2 * size + 16 * stride;
		if (EFI_ERROR(efi_bs->AllocatePool(EfiLoaderData, descriptors_size,
						   (void **)&descriptors))) {
			console_fail("too little memory for the memory map");
		}
	}
	if (!descriptors_read(&size, &key, &stride)) {
		console_fail("the firmware does not give its memory map; update the firmware");
	}
	map_make(map, size, stride);
}

/**
 * Leaves the firmware and makes the final map; interrupts are off afterwards.
 * The map may change while the firmware lets go, in which case it wants to be
 * asked again; nothing may be allocated in between. If it refuses for good,
 * the boot ends [UEFI 2.10 "EFI_BOOT_SERVICES.ExitBootServices()"].
 */
void memory_leave_firmware(struct memmap *map)
{
	UINTN size, key, stride;

	/* Even a refused call may have taken the screen away. */
	console_leave_firmware();
	for (unsigned i = 0; i < EXIT_TRIES; i++) {
		if (descriptors_read(&size, &key, &stride) &&
		    !EFI_ERROR(efi_bs->ExitBootServices(efi_image, key))) {
			__asm__ volatile("cli");
			map_make(map, size, stride);
			return;
		}
	}
	console_fail("the firmware refused %u times to let go (ExitBootServices); update the "
		     "firmware", EXIT_TRIES);
}
