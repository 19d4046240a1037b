/* SPDX-License-Identifier: MIT */
/*
 * The tables of what devices reach: the DMA pool of the partition that has them,
 * at its guest-physical addresses, once for all; and for a function for which the
 * firmware has reserved memory the same with those ranges, in tables of its own.
 * Walked and made by one piece of code: how an entry is written is the vendor's
 * data. On CPU 0.
 */
#include <hv.h>
#include <x86.h>

#include "iommu_int.h"

#define DOMAIN_POOL	1u
#define DOMAINS		16u	/* what the least of units can tell apart */
#define ENTRIES		512u

/* Addresses that all tables have, of 3 levels too; those that are messages. */
#define BUS_END		BIT64(39)
#define MESSAGES	0xfee00000ull
#define MESSAGES_END	0xff000000ull

static struct iommu_pool the_pool;	/* size 0: not known yet */
static struct iommu_domain pool_domain;
static uint32_t used;			/* bits: numbers of domains */

static uint64_t *entry_table(uint64_t entry)
{
	return hpa_ptr(HPA(entry & IOMMU_ADDRESS));
}

static uint32_t index_at(uint64_t bus, uint32_t level)
{
	return (uint32_t)(bus >> (3 + 9 * level)) & (ENTRIES - 1);
}

/* One page; false: no memory for a table. */
static bool map_page(const struct iommu_domain *d, uint64_t bus, hpa_t pa,
		     bool write)
{
	const struct iommu_format *f = iommu_ops->format;
	uint64_t *table = hpa_ptr(d->root), *entry;
	uint32_t level;

	for (level = IOMMU_LEVELS; level > 1; level--) {
		entry = &table[index_at(bus, level)];
		if (!(*entry & f->present)) {
			hpa_t page = frame_alloc(FRAME_HYPERVISOR, true);

			if (page.v == FRAME_NULL) {
				return false;
			}
			iommu_written(hpa_ptr(page), PAGE_SIZE);
			*entry = page.v | f->every | f->write |
				 (level - 1) * f->level;
			iommu_written(entry, sizeof(*entry));
		}
		table = entry_table(*entry);
	}
	entry = &table[index_at(bus, 1)];
	*entry = pa.v | f->every | f->leaf | (write ? f->write : 0);
	iommu_written(entry, sizeof(*entry));
	return true;
}

static bool map_range(const struct iommu_domain *d, uint64_t bus, hpa_t pa,
		      uint64_t size, bool write)
{
	uint64_t at;

	for (at = 0; at < size; at += PAGE_SIZE) {
		if (!map_page(d, bus + at, HPA(pa.v + at), write)) {
			return false;
		}
	}
	return true;
}

static void free_table(uint64_t entry)
{
	lock_take(&frame_lock);
	frame_free(FRAME_HYPERVISOR, HPA(entry & IOMMU_ADDRESS), PAGE_SIZE);
	lock_drop(&frame_lock);
}

/* One of level 3, and those below. */
static void free_third(uint64_t entry)
{
	const uint64_t *third = entry_table(entry), *second;
	uint64_t present = iommu_ops->format->present;
	uint32_t j, k;

	for (j = 0; j < ENTRIES; j++) {
		if (!(third[j] & present)) {
			continue;
		}
		second = entry_table(third[j]);
		for (k = 0; k < ENTRIES; k++) {
			if (second[k] & present) {
				free_table(second[k]);
			}
		}
		free_table(third[j]);
	}
	free_table(entry);
}

/* All tables of a domain, which no unit knows any more. */
static void domain_free(struct iommu_domain *d)
{
	const uint64_t *root = hpa_ptr(d->root);
	uint32_t i;

	for (i = 0; i < ENTRIES; i++) {
		if (root[i] & iommu_ops->format->present) {
			free_third(root[i]);
		}
	}
	free_table(d->root.v);
	used &= ~BIT32(d->id);
	d->id = 0;
}

static bool is_for(const struct boot_reserved *r, uint32_t function)
{
	return function >= r->first && function <= r->last;
}

/* The firmware's ranges of a function; how many there are. d: they are mapped
 * there, too. *full: for one there was no memory. */
static uint32_t reserved_of(uint32_t function, const struct iommu_domain *d,
			    bool *full)
{
	uint32_t i, count = 0;

	*full = false;
	for (i = 0; i < iommu_told->reserved_count && !*full; i++) {
		const struct boot_reserved *r = &iommu_told->reserved[i];

		if (!is_for(r, function)) {
			continue;
		}
		count++;
		*full = d && !map_range(d, r->base, HPA(r->base), r->size,
					r->flags & BOOT_MAP_WRITE);
	}
	return count;
}

/* Tables with the pool in them, and for a function that has some its reserved
 * ranges. */
static hv_status_t domain_make(struct iommu_domain *d, uint32_t id,
			       uint32_t function)
{
	bool full = false;

	d->root = frame_alloc(FRAME_HYPERVISOR, true);
	if (d->root.v == FRAME_NULL) {
		return HC_ENOMEM;
	}
	iommu_written(hpa_ptr(d->root), PAGE_SIZE);
	d->id = id;
	used |= BIT32(id);
	if (id != DOMAIN_POOL) {
		reserved_of(function, d, &full);
	}
	if (full || !map_range(d, the_pool.gpa.v, the_pool.hpa, the_pool.size,
			       true)) {
		domain_free(d);
		return HC_ENOMEM;
	}
	return HC_OK;
}

static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

/* A pool that can be mapped for this function: whole pages, within every table's
 * reach, at no address that is a message or is reserved. */
static bool pool_fits(const struct iommu_pool *pool, uint32_t function)
{
	uint32_t i;

	if (((pool->hpa.v | pool->gpa.v | pool->size) & PAGE_MASK) ||
	    !pool->size || pool->size > BUS_END ||
	    pool->gpa.v > BUS_END - pool->size ||
	    overlap(pool->gpa.v, pool->size, MESSAGES,
		    MESSAGES_END - MESSAGES)) {
		return false;
	}
	for (i = 0; i < iommu_told->reserved_count; i++) {
		const struct boot_reserved *r = &iommu_told->reserved[i];

		if (is_for(r, function) &&
		    (overlap(pool->gpa.v, pool->size, r->base, r->size) ||
		     r->base + r->size > BUS_END)) {
			log_write("isthmus: " IOMMU_FUNCTION " cannot be given "
				  "away: the firmware reserves %#llx for it, "
				  "which is in the way",
				  IOMMU_FUNCTION_ARGS(function),
				  (unsigned long long)r->base);
			return false;
		}
	}
	return !the_pool.size || (the_pool.hpa.v == pool->hpa.v &&
				  the_pool.gpa.v == pool->gpa.v &&
				  the_pool.size == pool->size);
}

/**
 * The domain that a function is to have: the pool's, or one of its own if the
 * firmware has reserved memory for it. HC_EINVAL: the pool cannot be mapped, or is
 * another than before. HC_ENOMEM.
 */
hv_status_t iommu_domain_get(uint32_t function, const struct iommu_pool *pool,
			     struct iommu_domain *d)
{
	hv_status_t st = HC_OK;
	uint32_t id = DOMAIN_POOL + 1;
	bool full;

	if (!pool_fits(pool, function)) {
		return HC_EINVAL;
	}
	the_pool = *pool;
	if (reserved_of(function, NULL, &full)) {
		while (id < DOMAINS && (used & BIT32(id))) {
			id++;
		}
		return id < DOMAINS ? domain_make(d, id, function) : HC_ENOMEM;
	}
	if (!pool_domain.id) {
		st = domain_make(&pool_domain, DOMAIN_POOL, function);
	}
	*d = pool_domain;
	return st;
}

/** No unit uses the domain for that function any more. The pool's stays. */
void iommu_domain_put(struct iommu_domain *d)
{
	if (d->id != DOMAIN_POOL) {
		domain_free(d);
	}
}

/**
 * The entry that decides on a bus address, and the bytes it decides on; 0: there
 * is none. root: of that many levels.
 */
uint64_t iommu_domain_walk(uint64_t root, uint32_t levels, uint64_t bus,
			   uint64_t *span)
{
	const struct iommu_format *f = iommu_ops->format;
	uint64_t entry = root;
	uint32_t level;

	for (level = levels; level; level--) {
		entry = entry_table(entry)[index_at(bus, level)];
		*span = BIT64(3 + 9 * level);
		if (!(entry & f->present)) {
			return 0;
		}
	}
	return entry;
}
