/* SPDX-License-Identifier: MIT */
/*
 * The memory type of an address by the MTRRs of the boot CPU. Pure. [SDM3
 * "Memory Type Range Registers (MTRRs)"]
 */
#include "check.h"

#define MTRR_ENABLE	(1ull << 11)	/* IA32_MTRR_DEF_TYPE */
#define MTRR_FIXED	(1ull << 10)
#define MTRR_VALID	(1ull << 11)	/* of a mask */
#define TYPE_UC		0u
#define TYPE_WT		4u
#define TYPE_WB		6u
#define MIB_1		(1ull << 20)

/* The fixed ranges: one register has eight; 64 KiB, 16 KiB, 4 KiB each. */
static uint32_t fixed_type(const struct facts *f, uint64_t at, uint64_t *end)
{
	uint64_t size = at < 0x80000 ? 0x10000 : at < 0xc0000 ? 0x4000 : 0x1000;
	uint64_t first = at < 0x80000 ? 0 : at < 0xc0000 ? 0x80000 : 0xc0000;
	uint32_t n = (uint32_t)((at - first) / size);
	uint32_t reg = (at < 0x80000 ? 0 : at < 0xc0000 ? 1 : 3) + n / 8;

	*end = first + (n + 1) * size;
	return f->mtrr_fixed[reg] >> (n % 8 * 8) & 0xff;
}

/** The type of the byte at an address; *end is where it may change next. */
uint32_t mtrr_type(const struct facts *f, uint64_t at, uint64_t *end)
{
	uint64_t def = f->cpu[0].mtrr_def;
	uint32_t type = 256;	/* no range has it yet */

	*end = UINT64_MAX;
	if ((def & MTRR_ENABLE) == 0) {
		return TYPE_UC;
	}
	if (at < MIB_1 && (def & MTRR_FIXED) != 0) {
		return fixed_type(f, at, end);
	}
	for (uint32_t i = 0; i < f->mtrr_count; i++) {
		uint64_t mask = f->mtrr_mask[i] & ~0xfffull, base = f->mtrr_base[i] & mask;
		uint32_t mine = f->mtrr_base[i] & 0xff;
		uint64_t size = mask & -mask;

		if ((f->mtrr_mask[i] & MTRR_VALID) == 0 || mask == 0) {
			continue;
		}
		if ((at & mask) == base) {
			uint64_t last = at | (size - 1);

			*end = last + 1 < *end ? last + 1 : *end;
			/* where several have it: UC, or WT over WB */
			type = type == 256 || mine == TYPE_UC ||
			       (mine == TYPE_WT && type == TYPE_WB) ? mine : type;
		} else if (base > at && base < *end) {
			*end = base;
		}
	}
	return type == 256 ? def & 0xff : type;
}

/** Bytes of [base, end) that are not write-back, and the first of them. */
uint64_t mtrr_not_cached(const struct facts *f, uint64_t base, uint64_t end, uint64_t *first)
{
	uint64_t bytes = 0, next;

	for (uint64_t at = base; at < end; at = next) {
		bool cached = mtrr_type(f, at, &next) == TYPE_WB;

		next = next < end ? next : end;
		if (!cached && bytes == 0) {
			*first = at;
		}
		bytes += cached ? 0 : next - at;
	}
	return bytes;
}
