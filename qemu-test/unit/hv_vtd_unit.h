/* SPDX-License-Identifier: MIT */
/*
 * Two units that do what [VT-d] says, and no more: they keep what they have read
 * until they are told to forget it, work later than they are told, see memory and
 * not the CPU's cache, and do only what their status says is on.
 */
#ifndef HV_VTD_UNIT_H
#define HV_VTD_UNIT_H

#include "hv_iommu.h"

enum { TE = 31, RTP = 30, WBF = 27, QIE = 26, IRE = 25, IRTP = 24, CFI = 23 };

struct unit {
	uint64_t cap, ecap, rtaddr, root, irta, remap, iqa, fault_low, fault_high;
	uint32_t gsts, fsts, fectl, pmen, head, tail, sleep, last;
	bool hangs;
	struct kept contexts[KEPT], pages[KEPT], entries[KEPT];
};

static struct unit units[2];
static uint32_t compat_passed;		/* format that is not remapped */

static bool is_on(const struct unit *u, unsigned bit)
{
	return u->gsts >> bit & 1;
}

/* ---- the unit: commands ---- */

static void descriptor(struct unit *u, uint64_t low, uint64_t high)
{
	u->last = low & 0xf;
	switch (low & 0xf) {
	case 1:
		assert_int_equal(low >> 4 & 3, 1);
		memset(u->contexts, 0, sizeof(u->contexts));
		break;
	case 2:
		assert_int_equal(low >> 4 & 3, 1);
		memset(u->pages, 0, sizeof(u->pages));
		break;
	case 4:
		assert_int_equal(low >> 4, 0);
		memset(u->entries, 0, sizeof(u->entries));
		break;
	case 5:
		assert_true(low & 0x20);
		unit_store(high, low >> 32, 4);
		break;
	default:
		fail_msg("an invalidation that there is not");
	}
}

void unit_works(void)
{
	for (struct unit *u = units; u < units + 2; u++) {
		if (u->hangs || !is_on(u, QIE) || u->head == u->tail) {
			continue;
		}
		/* later than it was told */
		if (u->sleep++ % 3 == 2) {
			uint64_t at = (u->iqa & ~0xfffull) + u->head;

			descriptor(u, unit_load(at), unit_load(at + 8));
			u->head = (u->head + 16) % 4096;
		}
	}
}

static void command(struct unit *u, uint32_t v)
{
	static const unsigned lasting[] = { TE, QIE, IRE, CFI };
	uint32_t changed = v ^ (u->gsts & 0x96ffffff);

	/* one thing at a time [VT-d "Global Command Register"] */
	assert_false(changed & (changed - 1));
	for (unsigned i = 0; i < 4; i++) {
		u->gsts = (u->gsts & ~(1u << lasting[i])) | (v & 1u << lasting[i]);
	}
	if (v >> RTP & 1) {
		/* another mode only while it is off */
		assert_true(!is_on(u, TE) || !((u->rtaddr ^ u->root) & 0xc00));
		u->root = u->rtaddr;
		u->gsts |= 1u << RTP;
	}
	if (v >> IRTP & 1) {
		u->remap = u->irta;
		u->gsts |= 1u << IRTP;
	}
	if (changed >> QIE & 1) {
		/* off when all is done, and the last was a wait [VT-d "Queued
		 * Invalidation Interface"] */
		assert_true(is_on(u, QIE) ? !u->tail : u->head == u->tail && u->last == 5);
		u->head = 0;
	}
	if (changed >> TE & 1 && is_on(u, TE)) {
		assert_true(is_on(u, RTP));
	}
}

void unit_write(uint32_t n, uint32_t at, uint64_t v, unsigned bytes)
{
	struct unit *u = &units[n];

	switch (at) {
	case 0x18:
		assert_int_equal(bytes, 4);
		if (!u->hangs) {
			command(u, (uint32_t)v);
		}
		break;
	case 0x20: u->rtaddr = v; break;
	case 0x34: u->fsts &= ~(uint32_t)v; break;
	case 0x38: u->fectl = (uint32_t)v; break;
	case 0x64: u->pmen = (uint32_t)v & 1u << 31 ? ~0u : 0; break;
	case 0x88: u->tail = (uint32_t)v; break;
	case 0x90: u->iqa = v; break;
	case 0xb8: u->irta = v; break;
	case 0x22c:
		if (v >> 31 & 1) {
			u->fault_high &= ~(1ull << 63);
		}
		break;
	default: fail_msg("register 0x%x is written", at);
	}
}

uint64_t unit_read(uint32_t n, uint32_t at)
{
	const struct unit *u = &units[n];

	switch (at) {
	case 0x08: return u->cap;
	case 0x10: return u->ecap;
	case 0x18: return (uint64_t)u->gsts << 32;
	case 0x20: return u->rtaddr;
	case 0x30: return (uint64_t)u->fsts << 32;
	case 0x60: return (uint64_t)u->pmen << 32;
	case 0x80: return u->head;
	case 0x88: return u->tail;
	case 0xb8: return u->irta;
	case 0x220: return u->fault_low;
	case 0x228: return u->fault_high;
	default: fail_msg("register 0x%x is read", at); return 0;
	}
}

/* ---- the unit: devices ---- */

static uint64_t blocked(struct unit *u, uint32_t function, uint64_t at, bool write, uint64_t why)
{
	if (u->fault_high >> 63) {
		u->fsts |= 1;		/* overflow */
		return NOTHING;
	}
	u->fault_low = at & ~0xfffull;
	u->fault_high = 1ull << 63 | (uint64_t)!write << 62 | why << 32 | function;
	return NOTHING;
}

/* Where a function's access goes: an address, or NOTHING. */
static uint64_t dma(uint32_t n, uint32_t function, uint64_t at, bool write)
{
	struct unit *u = &units[n];
	struct kept *c, *p;
	uint64_t entry, root;

	if (!is_on(u, TE)) {
		return at;
	}
	if (u->pmen) {
		return NOTHING;
	}
	c = kept_find(u->contexts, function);
	if (!c) {
		root = unit_load((u->root & ~0xfffull) + (function >> 8) * 16);
		if (!(root & 1)) {
			return blocked(u, function, at, write, 1);
		}
		entry = (root & ~0xfffull) + (function & 0xff) * 16;
		if (!(unit_load(entry) & 1)) {
			return blocked(u, function, at, write, 2);
		}
		c = kept_add(u->contexts, function, unit_load(entry), unit_load(entry + 8));
	}
	assert_int_equal(c->low & 0xe, 0);
	p = kept_find(u->pages, (c->high >> 8 & 0xffff) << 52 | at >> 12);
	if (!p) {
		unsigned levels = (c->high & 7) + 2;

		assert_true(u->cap >> (6 + levels) & 1);
		if (at >> (12 + 9 * levels)) {
			return blocked(u, function, at, write, 4);
		}
		entry = (c->low & ~0xfffull) | 3;
		for (unsigned level = levels; level > 0; level--) {
			entry = unit_load((entry & 0xffffffffff000ull) +
					  (at >> (3 + 9 * level) & 511) * 8);
			if (!(entry & 3)) {
				return blocked(u, function, at, write, write ? 5 : 6);
			}
		}
		p = kept_add(u->pages, (c->high >> 8 & 0xffff) << 52 | at >> 12, entry, 0);
	}
	if (!(p->low & (write ? 2 : 1))) {
		return blocked(u, function, at, write, write ? 5 : 6);
	}
	return (p->low & 0xffffffffff000ull) | (at & 0xfff);
}

/* The vector and destination that a message leads to: vector | dest << 8. */
static uint64_t message(uint32_t n, uint32_t function, uint64_t at, uint32_t data)
{
	struct unit *u = &units[n];
	struct kept *e;
	uint64_t index;

	if (!is_on(u, IRE)) {
		return (data & 0xff) | (at >> 12 & 0xff) << 8;
	}
	if (!(at & 0x10)) {
		compat_passed += is_on(u, CFI);
		return is_on(u, CFI) ? data & 0xff : blocked(u, function, 0, true, 0x25);
	}
	index = (at >> 5 & 0x7fff) | (at >> 2 & 1) << 15;
	if (index >= 2ull << (u->remap & 0xf)) {
		return blocked(u, function, index << 48, true, 0x21);
	}
	e = kept_find(u->entries, index);
	if (!e) {
		uint64_t pa = (u->remap & ~0xfffull) + index * 16;

		if (!(unit_load(pa) & 1)) {
			return blocked(u, function, index << 48, true, 0x22);
		}
		e = kept_add(u->entries, index, unit_load(pa), unit_load(pa + 8));
	}
	if ((e->high >> 18 & 3) != 1 || (e->high >> 16 & 3) || (e->high & 0xffff) != function) {
		return blocked(u, function, index << 48, true, 0x26);
	}
	/* physical, fixed */
	assert_int_equal(e->low & 0xe, 0);
	assert_int_equal(e->low >> 5 & 7, 0);
	return (e->low >> 16 & 0xff) |
	       (u->remap >> 11 & 1 ? e->low >> 32 : e->low >> 40 & 0xff) << 8;
}

#endif
