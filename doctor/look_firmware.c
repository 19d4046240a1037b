/* SPDX-License-Identifier: MIT */
/*
 * What the firmware tells and does: its tables, its map of memory, its clocks. On
 * the boot CPU, under boot services.
 */
#include <string.h>

#include "text/fmt.h"
#include "boot/loader.h"
#include "check.h"
#include "hypervisor/include/x86.h"
#include "look.h"

#define TABLE_BYTES	512u
#define PM_HZ		3579545ull
#define PM_MASK		0xffffffu
#define MEASURE_US	50000u
#define SMBIOS_SYSTEM	1u
#define SMBIOS_END	127u
#define LOW_END		0x9ffffull

static EFI_GUID acpi2_guid = ACPI_20_TABLE_GUID;
static EFI_GUID acpi1_guid = ACPI_TABLE_GUID;
static EFI_GUID smbios_guid = SMBIOS_TABLE_GUID;
static EFI_GUID smbios3_guid = SMBIOS3_TABLE_GUID;
static EFI_GUID graphics_guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;
static EFI_GUID global_guid = EFI_GLOBAL_VARIABLE;

static const uint8_t *config_table(const EFI_GUID *guid)
{
	for (UINTN i = 0; i < efi_st->NumberOfTableEntries; i++) {
		const EFI_CONFIGURATION_TABLE *t = &efi_st->ConfigurationTable[i];

		if (memcmp(&t->VendorGuid, guid, sizeof(*guid)) == 0) {
			return t->VendorTable;
		}
	}
	return NULL;
}

/** ACPI's root pointer, the newer one where there are two; 0: none. */
uint64_t look_rsdp(void)
{
	const uint8_t *p = config_table(&acpi2_guid);

	return (uint64_t)(p != NULL ? p : config_table(&acpi1_guid));
}

static bool table_sound(void)
{
	uint8_t copy[TABLE_BYTES];
	EFI_TABLE_HEADER *h = (EFI_TABLE_HEADER *)copy;
	UINT32 size = efi_st->Hdr.HeaderSize, sum = 0;

	if (size < sizeof(*h) || size > sizeof(copy)) {
		return false;
	}
	memcpy(copy, efi_st, size);
	h->CRC32 = 0;
	return !EFI_ERROR(efi_bs->CalculateCrc32(copy, size, &sum)) && sum == efi_st->Hdr.CRC32;
}

/* String number n behind a structure of SMBIOS; "" where there is none. */
static void smbios_string(const uint8_t *s, uint32_t n, char *to, uint32_t size)
{
	const char *text = (const char *)s + s[1];

	for (; n > 1 && *text != '\0'; n--) {
		text += strlen(text) + 1;
	}
	fmt(to, size, "%s", n == 0 ? "" : text);
}

/* Maker and product; not the serial number, which is nobody's business [SMBIOS
 * "System Information (Type 1)"]. */
static void names(struct facts *f)
{
	const uint8_t *entry = config_table(&smbios3_guid), *s = NULL, *end;
	uint64_t at = 0;
	uint32_t size = 0;

	if (entry != NULL) {
		memcpy(&size, entry + 0x0c, 4);
		memcpy(&at, entry + 0x10, 8);
	} else {
		entry = config_table(&smbios_guid);
		if (entry != NULL) {
			memcpy(&size, entry + 0x16, 2);
			memcpy(&at, entry + 0x18, 4);
		}
	}
	s = (const uint8_t *)at;
	end = s + size;
	while (s != NULL && s + 6 < end && s[1] >= 4 && s[0] != SMBIOS_END) {
		if (s[0] == SMBIOS_SYSTEM && s[1] >= 6) {
			smbios_string(s, s[4], f->maker, sizeof(f->maker));
			smbios_string(s, s[5], f->product, sizeof(f->product));
			return;
		}
		/* two NULs end its strings */
		for (s += s[1]; s + 2 < end && (s[0] != 0 || s[1] != 0); s++) {
		}
		s += 2;
	}
}

static void screen(struct facts *f)
{
	EFI_GRAPHICS_OUTPUT_PROTOCOL *gop;

	if (EFI_ERROR(efi_bs->LocateProtocol(&graphics_guid, NULL, (void **)&gop)) ||
	    gop->Mode == NULL || gop->Mode->Info == NULL ||
	    gop->Mode->Info->PixelFormat == PixelBltOnly) {
		return;
	}
	f->screen_width = gop->Mode->Info->HorizontalResolution;
	f->screen_height = gop->Mode->Info->VerticalResolution;
	f->screen_at = gop->Mode->FrameBufferBase;
}

static void time(struct facts *f)
{
	EFI_TIME t;

	if (EFI_ERROR(efi_st->RuntimeServices->GetTime(&t, NULL))) {
		fmt(f->time, sizeof(f->time), "no clock");
		return;
	}
	f->year = t.Year;
	fmt(f->time, sizeof(f->time), "%u-%u%u-%u%u %u%u:%u%u:%u%u", t.Year, t.Month / 10,
	    t.Month % 10, t.Day / 10, t.Day % 10, t.Hour / 10, t.Hour % 10, t.Minute / 10,
	    t.Minute % 10, t.Second / 10, t.Second % 10);
}

/** What the firmware says of itself and of the machine. */
void look_firmware(struct facts *f)
{
	const CHAR16 *vendor = efi_st->FirmwareVendor;
	UINT8 secure = 0;
	UINTN size = sizeof(secure);

	for (unsigned i = 0; vendor && vendor[i] && i < sizeof(f->firmware) - 1; i++) {
		f->firmware[i] = vendor[i] >= ' ' && vendor[i] < 0x7f ? (char)vendor[i] : '?';
	}
	f->uefi_revision = efi_st->Hdr.Revision;
	f->table_sound = table_sound();
	f->secure_boot = !EFI_ERROR(efi_st->RuntimeServices->GetVariable(
				L"SecureBoot", &global_guid, NULL, &size, &secure)) && secure == 1;
	f->serial = *serial_uart();
	screen(f);
	time(f);
	names(f);
	if (f->maker[0] == '\0' && f->product[0] == '\0') {
		fmt(f->product, sizeof(f->product), "unnamed machine");
	}
}

static void descriptor(struct facts *f, const EFI_MEMORY_DESCRIPTOR *d)
{
	uint64_t size = d->NumberOfPages * PAGE_SIZE, end = d->PhysicalStart + size, first = 0;

	f->unusable += d->Type == EfiUnusableMemory ? size : 0;
	if (d->Type != EfiReservedMemoryType && d->Type < EfiMemoryMappedIO &&
	    d->Type != EfiUnusableMemory) {
		f->top = end > f->top ? end : f->top;
	}
	if (d->Type == EfiConventionalMemory) {
		uint64_t bad = mtrr_not_cached(f, d->PhysicalStart, end, &first);

		f->uncached_first = f->uncached == 0 ? first : f->uncached_first;
		f->uncached += bad;
		if (end <= 1ull << 32 && size > f->low_block) {
			f->low_block = size;
		}
	}
}

static void ranges(struct facts *f, const struct memmap *map)
{
	f->map_ranges = map->count;
	f->memory = memmap_total(map, 0);
	f->free = memmap_total(map, BOOT_MEM_FREE);
	f->ranges_left_out = map->count > FACTS_RANGES;
	f->range_count = f->ranges_left_out ? FACTS_RANGES : map->count;
	for (uint32_t i = 0; i < f->range_count; i++) {
		f->range[i].base = map->mem[i].base;
		f->range[i].size = map->mem[i].size;
		f->range[i].type = map->mem[i].type;
	}
}

/** The map of memory, also in *map, and what can be had of it. After the MTRRs. */
void look_memory(struct facts *f, struct memmap *map)
{
	static uint8_t room[MEMMAP_MAX_INPUT * 64];
	EFI_PHYSICAL_ADDRESS low = LOW_END;
	UINTN size = sizeof(room), key, stride;
	UINT32 version;

	f->low_page = !EFI_ERROR(efi_bs->AllocatePages(AllocateMaxAddress, EfiLoaderData, 1,
						       &low)) && low != 0;
	if (f->low_page) {
		efi_bs->FreePages(low, 1);
	}
	if (EFI_ERROR(efi_bs->GetMemoryMap(&size, (EFI_MEMORY_DESCRIPTOR *)room, &key, &stride,
					   &version))) {
		return;
	}
	f->descriptors = (uint32_t)(size / stride);
	for (UINTN at = 0; at + stride <= size; at += stride) {
		descriptor(f, (const EFI_MEMORY_DESCRIPTOR *)(room + at));
	}
	f->map_sound = memmap_add_efi(map, room, size, stride) && memmap_make(map);
	if (f->map_sound) {
		ranges(f, map);
	}
}

/** Rates: of the TSC by the PM timer, where that counts, else by Stall(); and of
 * Stall() by the PM timer. After look_board(). */
void look_time(struct facts *f)
{
	uint16_t port = (uint16_t)f->pm_timer;
	uint32_t from = port != 0 ? inl(port) : 0, ticks;
	uint64_t start = rdtsc();

	efi_bs->Stall(MEASURE_US);
	start = rdtsc() - start;
	ticks = port != 0 ? (inl(port) - from) & PM_MASK : 0;
	f->pm_runs = ticks > 0;
	f->tsc_hz = f->pm_runs ? start * PM_HZ / ticks : start * 1000000 / MEASURE_US;
	f->stall_permille = (uint32_t)(ticks * 1000000000ull / PM_HZ / MEASURE_US);
}
