/* SPDX-License-Identifier: MIT */
/*
 * The DMAR of Intel's IOMMUs and the IVRS of AMD's, decoded to what the
 * hypervisor needs: units, which functions are behind them, as which function
 * the I/O APIC's interrupts come, and memory that devices of the firmware's go
 * on using. Lengths in a table are not trusted, and everything that is taken
 * over has been checked; the decoders take plain bytes and are tested and
 * fuzzed on the build machine.
 *
 * Each decoder returns NULL, or what is wrong as the middle of a sentence; *out
 * is then of no use. It is zeroed by the caller. What a later revision has added
 * is passed over.
 */
#include <stddef.h>
#include <string.h>

#include "iommu.h"

#define PAGE		4096ull
#define LIMIT		(1ull << 52)	/* of physical addresses */

/* [VT-d "DMA Remapping Reporting Structure"] */
#define DMAR_FLAGS	37u
#define DMAR_INTR_REMAP	0x1u
#define DMAR_FIRST	48u
#define DMAR_DRHD	0
#define DMAR_RMRR	1
#define DRHD_SCOPES	16u
#define DRHD_ALL	0x1u
#define RMRR_SCOPES	24u
#define SCOPE_ENDPOINT	1
#define SCOPE_BRIDGE	2
#define SCOPE_IOAPIC	3

/* [AMD I/O Virtualization "I/O Virtualization Reporting Structure (IVRS)"] */
#define IVRS_FIRST	48u
#define IVHD_10		0x10
#define IVHD_11		0x11
#define IVHD_40		0x40
#define IVMD_ALL	0x20
#define IVMD_ONE	0x21
#define IVMD_RANGE	0x22
#define IVMD_UNITY	0x1u
#define IVMD_WRITE	0x4u
#define IVMD_EXCLUDED	0x8u
/* flags of the bus's ordering, to where the control register has them */
#define CONTROL_OF(f)	(((f) & 0x1u) << 1 | ((f) & 0x6u) << 7 | ((f) & 0x8u) << 8)
#define IVHD_SPECIAL	72
#define IVHD_ACPI_HID	240
#define SPECIAL_IOAPIC	1

#define PCI_BUSES	0x18		/* primary, secondary, subordinate */
#define PCI_HEADER	0x0c
#define PCI_IS_BRIDGE(h) (((h) >> 16 & 0x7f) == 1)

#define TOO_MANY_UNITS	"it describes more units than there is room for"
#define TOO_MANY_SCOPES	"it names more devices than there is room for"
#define TOO_MANY_RANGES	"it reserves more ranges than there is room for"
#define MALFORMED	"it is malformed"
#define BAD_RANGE	"it reserves a range that is none"
#define BAD_UNIT	"it puts a unit where none can be"

/* Fields lie at any alignment. */
static uint64_t get(const uint8_t *p, unsigned bytes)
{
	uint64_t v = 0;

	memcpy(&v, p, bytes);
	return v;
}

static const char *add_scope(struct boot_iommus *out, uint32_t first, uint32_t last)
{
	if (out->scope_count == BOOT_MAX_SCOPES) {
		return TOO_MANY_SCOPES;
	}
	out->scopes[out->scope_count++] = (struct boot_scope) {
		.unit = out->unit_count - 1, .first = first, .last = last };
	return NULL;
}

static const char *add_reserved(struct boot_iommus *out, const struct boot_reserved *r)
{
	if (out->reserved_count == BOOT_MAX_RESERVED) {
		return TOO_MANY_RANGES;
	}
	/* no word on a range that wraps, reaches beyond memory, or is in pieces
	 * of pages */
	if (r->size == 0 || (r->base | r->size) % PAGE != 0 || r->size > LIMIT ||
	    r->base > LIMIT - r->size) {
		return BAD_RANGE;
	}
	out->reserved[out->reserved_count++] = *r;
	return NULL;
}

/* The next unit, BOOT_FUNCTION_NONE behind it so far. */
static const char *add_unit(struct boot_iommus *out, const struct boot_iommu *unit)
{
	if (out->unit_count == BOOT_MAX_IOMMUS) {
		return TOO_MANY_UNITS;
	}
	if (unit->base == 0 || unit->base % PAGE != 0 || unit->base >= LIMIT) {
		return BAD_UNIT;
	}
	out->units[out->unit_count++] = *unit;
	return NULL;
}

/* The function at the end of a path, which goes by way of bridges, each of which
 * knows the bus behind it; BOOT_FUNCTION_NONE: there is no such bridge. at: the
 * entry, of len bytes. [VT-d "Device Scope Structure"] */
static uint32_t path_end(uint32_t segment, const uint8_t *at, uint32_t len, iommu_config *config)
{
	uint32_t function = BOOT_FUNCTION_NONE, bus = at[5];

	for (uint32_t i = 6; i + 2 <= len; i += 2) {
		if (i > 6) {
			if (!PCI_IS_BRIDGE(config(function, PCI_HEADER))) {
				return BOOT_FUNCTION_NONE;
			}
			bus = config(function, PCI_BUSES) >> 8 & 0xff;
		}
		function = segment << 16 | bus << 8 | (at[i] & 0x1fu) << 3 | (at[i + 1] & 7u);
	}
	return function;
}

/* The functions that one entry of a device scope names, in first and last; false:
 * none that is there. A bridge's own is apart: *bridge. */
static bool scope_range(uint32_t segment, const uint8_t *at, uint32_t len, iommu_config *config,
			uint32_t *first, uint32_t *last, uint32_t *bridge)
{
	uint32_t function = path_end(segment, at, len, config), buses;

	*first = *last = function;
	*bridge = BOOT_FUNCTION_NONE;
	if (function == BOOT_FUNCTION_NONE || at[0] != SCOPE_BRIDGE) {
		return function != BOOT_FUNCTION_NONE;
	}
	if (!PCI_IS_BRIDGE(config(function, PCI_HEADER))) {
		return false;
	}
	buses = config(function, PCI_BUSES);
	*bridge = function;
	*first = segment << 16 | (buses >> 8 & 0xff) << 8;
	*last = segment << 16 | (buses >> 16 & 0xff) << 8 | 0xff;
	return true;
}

/* The entries of a device scope, in [at, end) of a structure. range: what they
 * may reach; NULL: they are behind the last unit. */
static const char *scopes(uint32_t segment, const uint8_t *at, const uint8_t *end,
			  uint32_t ioapic_id, iommu_config *config, struct boot_reserved *range,
			  struct boot_iommus *out)
{
	uint32_t first, last, bridge;
	const char *wrong = NULL;

	for (; at < end && wrong == NULL; at += at[1]) {
		if (end - at < 6 || at[1] < 6 || at[1] > end - at) {
			return MALFORMED;
		}
		if (!scope_range(segment, at, at[1], config, &first, &last, &bridge)) {
			continue;
		}
		if (at[0] == SCOPE_IOAPIC && range == NULL && at[4] == ioapic_id) {
			out->ioapic_unit = out->unit_count - 1;
			out->ioapic_function = first;
		} else if (at[0] == SCOPE_ENDPOINT || at[0] == SCOPE_BRIDGE) {
			if (range != NULL) {
				range->first = first;
				range->last = last;
				wrong = add_reserved(out, range);
			} else {
				wrong = add_scope(out, first, last);
				if (wrong == NULL && bridge != BOOT_FUNCTION_NONE) {
					wrong = add_scope(out, bridge, bridge);
				}
			}
		}
	}
	return wrong;
}

/* One structure of the DMAR, of len bytes. */
static const char *dmar_one(const uint8_t *e, uint32_t len, uint32_t ioapic_id,
			    iommu_config *config, struct boot_iommus *out)
{
	uint32_t type = (uint32_t)get(e, 2), segment;
	struct boot_reserved range;
	struct boot_iommu unit;
	const char *wrong;

	if (type > DMAR_RMRR) {
		return NULL;
	}
	if (len < (type == DMAR_DRHD ? DRHD_SCOPES : RMRR_SCOPES)) {
		return MALFORMED;
	}
	segment = (uint32_t)get(e + 6, 2);
	if (type == DMAR_RMRR) {
		/* the limit is the last byte */
		range = (struct boot_reserved) {
			.base = get(e + 8, 8), .size = get(e + 16, 8) + 1 - get(e + 8, 8),
			.flags = BOOT_MAP_WRITE };
		return scopes(segment, e + RMRR_SCOPES, e + len, ioapic_id, config, &range, out);
	}
	unit = (struct boot_iommu) {
		.base = get(e + 8, 8), .segment = segment, .function = BOOT_FUNCTION_NONE,
		.flags = e[4] & DRHD_ALL ? BOOT_IOMMU_ALL : 0 };
	/* firmware is known to tell of a unit that is off in this way */
	if (unit.base == 0) {
		return NULL;
	}
	wrong = add_unit(out, &unit);
	return wrong != NULL ? wrong :
	       scopes(segment, e + DRHD_SCOPES, e + len, ioapic_id, config, NULL, out);
}

/**
 * Decodes a DMAR of size bytes. ioapic_id: of the I/O APIC that is used; config
 * reads configuration space, for the buses behind bridges.
 */
const char *iommu_dmar(const uint8_t *table, uint32_t size, uint32_t ioapic_id,
		       iommu_config *config, struct boot_iommus *out)
{
	const char *wrong = NULL;
	uint32_t len;

	if (size < DMAR_FIRST) {
		return MALFORMED;
	}
	out->kind = BOOT_IOMMU_INTEL;
	out->flags = table[DMAR_FLAGS] & DMAR_INTR_REMAP ? BOOT_IOMMUS_INTERRUPTS : 0;
	out->ioapic_function = BOOT_FUNCTION_NONE;
	for (uint32_t at = DMAR_FIRST; at < size && wrong == NULL; at += len) {
		len = size - at < 4 ? 0 : (uint32_t)get(table + at + 2, 2);
		/* a length of 0 would go on for ever */
		if (len < 4 || len > size - at) {
			return MALFORMED;
		}
		wrong = dmar_one(table + at, len, ioapic_id, config, out);
	}
	return wrong;
}

/* Bytes of one device entry, which its type tells; 0: nobody knows. */
static uint32_t device_entry_size(const uint8_t *e, uint32_t left)
{
	if (e[0] == IVHD_ACPI_HID) {
		return left < 22 ? 0 : 22u + e[21];
	}
	return e[0] < 64 ? 4 : e[0] < 128 ? 8 : e[0] < 192 ? 16 : e[0] < 240 ? 32 : 0;
}

/* Of all the entries of a unit's only one tells something that is wanted: as
 * which function the I/O APIC comes. Whatever else they say, every function of
 * the segment is denied. [AMD I/O Virtualization "IVHD Device Entries"] */
static const char *device_entries(const uint8_t *e, const uint8_t *end, uint32_t segment,
				  uint32_t unit, uint32_t ioapic_id, struct boot_iommus *out)
{
	while (e < end) {
		uint32_t len = device_entry_size(e, (uint32_t)(end - e));

		if (len == 0 || len > (uint32_t)(end - e)) {
			return MALFORMED;
		}
		if (e[0] == IVHD_SPECIAL && e[7] == SPECIAL_IOAPIC && e[4] == ioapic_id) {
			out->ioapic_unit = unit;
			out->ioapic_function = segment << 16 | (uint32_t)get(e + 5, 2);
		}
		e += len;
	}
	return NULL;
}

/* One unit's block, which may be there twice or thrice, in newer forms with the
 * same unit. */
static const char *ivhd(const uint8_t *e, uint32_t len, uint32_t ioapic_id,
			struct boot_iommus *out)
{
	uint32_t first = e[0] == IVHD_10 ? 24 : 40, at = 0;
	struct boot_iommu unit;
	const char *wrong;

	if (len < first) {
		return MALFORMED;
	}
	unit = (struct boot_iommu) {
		.base = get(e + 8, 8), .segment = (uint32_t)get(e + 16, 2),
		.flags = BOOT_IOMMU_ALL, .settings = CONTROL_OF(e[1]) };
	unit.function = unit.segment << 16 | (uint32_t)get(e + 4, 2);
	while (at < out->unit_count && out->units[at].function != unit.function) {
		at++;
	}
	if (at == out->unit_count) {
		wrong = add_unit(out, &unit);
		if (wrong != NULL) {
			return wrong;
		}
	}
	return device_entries(e + first, e + len, unit.segment, at, ioapic_id, out);
}

/* A range that must stay reachable. An "exclusion range" is one too, in the words
 * of an older revision. [AMD I/O Virtualization "I/O Virtualization Memory
 * Definition (IVMD) Blocks"] */
static const char *ivmd(const uint8_t *e, uint32_t len, struct boot_iommus *out)
{
	struct boot_reserved range;

	if (len < 32) {
		return MALFORMED;
	}
	if ((e[1] & (IVMD_UNITY | IVMD_EXCLUDED)) == 0) {
		return NULL;
	}
	range = (struct boot_reserved) {
		.base = get(e + 16, 8), .size = get(e + 24, 8), .last = 0xffff,
		.flags = e[1] & (IVMD_WRITE | IVMD_EXCLUDED) ? BOOT_MAP_WRITE : 0 };
	if (e[0] != IVMD_ALL) {
		range.first = (uint32_t)get(e + 4, 2);
		range.last = e[0] == IVMD_ONE ? range.first : (uint32_t)get(e + 6, 2);
	}
	return add_reserved(out, &range);
}

/** Decodes an IVRS of size bytes, as iommu_dmar() does the other. */
const char *iommu_ivrs(const uint8_t *table, uint32_t size, uint32_t ioapic_id,
		       struct boot_iommus *out)
{
	const char *wrong = NULL;
	uint32_t len;

	if (size < IVRS_FIRST) {
		return MALFORMED;
	}
	out->kind = BOOT_IOMMU_AMD;
	out->flags = BOOT_IOMMUS_INTERRUPTS;
	out->ioapic_function = BOOT_FUNCTION_NONE;
	for (uint32_t at = IVRS_FIRST; at < size && wrong == NULL; at += len) {
		const uint8_t *e = table + at;

		len = size - at < 4 ? 0 : (uint32_t)get(e + 2, 2);
		if (len < 4 || len > size - at) {
			return MALFORMED;
		}
		if (e[0] == IVHD_10 || e[0] == IVHD_11 || e[0] == IVHD_40) {
			wrong = ivhd(e, len, ioapic_id, out);
		} else if (e[0] >= IVMD_ALL && e[0] <= IVMD_RANGE) {
			wrong = ivmd(e, len, out);
		}
	}
	return wrong;
}

/** Whether any part of [base, end) may be registers of a unit. */
bool iommu_overlaps(const struct boot_iommus *iommus, uint64_t base, uint64_t end)
{
	bool overlaps = false;

	for (uint32_t i = 0; i < iommus->unit_count; i++) {
		overlaps |= iommus->units[i].base < end &&
			    iommus->units[i].base + BOOT_IOMMU_REGISTERS > base;
	}
	return overlaps;
}
