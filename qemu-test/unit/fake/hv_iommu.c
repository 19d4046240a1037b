/* SPDX-License-Identifier: MIT */
/* The machine behind hv_iommu.h. */
#include "hv_iommu.h"

#include <stdio.h>
#include <stdlib.h>

#define FIRST_FRAME	0x100000ull

static uint8_t registers[BOOT_MAX_IOMMUS * BOOT_IOMMU_REGISTERS];
static uint32_t mapped;
static uint8_t *seen;			/* memory without the caches */
static uint8_t taken[IOMMU_MEMORY / PAGE_SIZE];
static const struct boot_partition host_config = { .name = "host" };
struct partition iommu_partition = { .config = &host_config };
const struct iommu_pool iommu_pool = { { POOL_HPA }, { POOL_GPA }, POOL_SIZE };
bool iommu_snoops;
uint32_t iommu_frames_used, iommu_frames_left;
char iommu_log[1 << 16];

struct kept *kept_find(struct kept k[KEPT], uint64_t key)
{
	for (unsigned i = 0; i < KEPT; i++) {
		if (k[i].valid && k[i].key == key) {
			return &k[i];
		}
	}
	return NULL;
}

struct kept *kept_add(struct kept k[KEPT], uint64_t key, uint64_t low,
		      uint64_t high)
{
	for (unsigned i = 0; i < KEPT; i++) {
		if (!k[i].valid) {
			k[i] = (struct kept){ true, key, low, high };
			return &k[i];
		}
	}
	fail_msg("the unit's cache is full");
	return NULL;
}

void iommu_machine(void)
{
	fakes_reset();
	if (!seen) {
		fake_memory_map(IOMMU_MEMORY);
		seen = calloc(1, IOMMU_MEMORY);
	}
	memset(iommu_units, 0, sizeof(iommu_units));
	iommu_unit_count = 0;
	iommu_ops = NULL;
	memset(iommu_log, 0, sizeof(iommu_log));
	mapped = 0;
	iommu_frames_left = ~0u;
	iommu_snoops = false;
	boot.tsc_hz = 1000000000;
	cpus[0] = &fake_cpu[0];
}

void *paging_map_device(uint64_t pa, bool through)
{
	assert_false(through);
	(void)pa;
	return registers + mapped++ * PAGE_SIZE;
}

static uint32_t offset(const volatile uint8_t *at, uint32_t *unit)
{
	uint32_t o = (uint32_t)((const uint8_t *)at - registers);

	*unit = o / BOOT_IOMMU_REGISTERS;
	return o % BOOT_IOMMU_REGISTERS;
}

uint32_t read_device32(const volatile uint8_t *at)
{
	uint32_t unit, o = offset(at, &unit);
	uint64_t v = unit_read(unit, o & ~7u);

	return (uint32_t)(o & 4 ? v >> 32 : v);
}

uint64_t read_device64(const volatile uint8_t *at)
{
	uint32_t unit, o = offset(at, &unit);

	return unit_read(unit, o);
}

void write_device32(volatile uint8_t *at, uint32_t v)
{
	uint32_t unit, o = offset(at, &unit);

	unit_write(unit, o, v, 4);
}

void write_device64(volatile uint8_t *at, uint64_t v)
{
	uint32_t unit, o = offset(at, &unit);

	unit_write(unit, o, v, 8);
}

/* A line, as far as memory goes. */
void cache_flush(const void *at)
{
	uint64_t pa = ptr_hpa(at).v & ~63ull;

	assert_true(pa < IOMMU_MEMORY);
	memcpy(seen + pa, hpa_ptr(HPA(pa)), 64);
}

uint64_t unit_load(uint64_t pa)
{
	uint64_t v;

	assert_true(pa % 8 == 0 && pa < IOMMU_MEMORY);
	memcpy(&v, iommu_snoops ? hpa_ptr(HPA(pa)) : (void *)(seen + pa), 8);
	return v;
}

void unit_store(uint64_t pa, uint64_t v, unsigned bytes)
{
	assert_true(pa < IOMMU_MEMORY);
	memcpy(hpa_ptr(HPA(pa)), &v, bytes);
	memcpy(seen + pa, &v, bytes);
}

/* Time passes with each look at the clock, and units work. */
uint64_t rdtsc(void)
{
	fake.tsc += 100000;
	unit_works();
	return fake.tsc;
}

static hpa_t take(uint64_t pages)
{
	uint64_t at = FIRST_FRAME / PAGE_SIZE, i;

	if (iommu_frames_left < pages) {
		return HPA(FRAME_NULL);
	}
	for (i = 0; i < pages; i++) {
		if (taken[at + i]) {
			at += i + 1;
			i = ~0ull;
		}
		assert_true((at + pages) * PAGE_SIZE < POOL_HPA);
	}
	memset(taken + at, 1, pages);
	iommu_frames_used += pages;
	iommu_frames_left -= pages;
	memset(hpa_ptr(HPA(at * PAGE_SIZE)), 0, pages * PAGE_SIZE);
	/* what the unit finds there until it is flushed */
	memset(seen + at * PAGE_SIZE, 0xff, pages * PAGE_SIZE);
	return HPA(at * PAGE_SIZE);
}

hpa_t frame_alloc(uint8_t owner, bool zero)
{
	assert_true(zero);
	assert_int_equal(owner, FRAME_HYPERVISOR);
	return take(1);
}

hpa_t frame_boot(uint8_t owner, uint64_t bytes, const char *what)
{
	assert_non_null(what);
	assert_int_equal(owner, FRAME_HYPERVISOR);
	return take((bytes + PAGE_SIZE - 1) / PAGE_SIZE);
}

void frame_free(uint8_t owner, hpa_t pa, uint64_t bytes)
{
	uint64_t i;

	LOCK_HELD(&frame_lock);
	assert_int_equal(owner, FRAME_HYPERVISOR);
	for (i = 0; i < bytes / PAGE_SIZE; i++) {
		assert_int_equal(taken[pa.v / PAGE_SIZE + i], 1);
		taken[pa.v / PAGE_SIZE + i] = 0;
		iommu_frames_used--;
		/* somebody else's from now on */
		memset(hpa_ptr(HPA(pa.v + i * PAGE_SIZE)), 0x5a, PAGE_SIZE);
		memset(seen + pa.v + i * PAGE_SIZE, 0x5a, PAGE_SIZE);
	}
}

void log_write(const char *fmt, ...)
{
	size_t used = strlen(iommu_log);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(iommu_log + used, sizeof(iommu_log) - used - 1, fmt, ap);
	va_end(ap);
	strcat(iommu_log, "\n");
}
