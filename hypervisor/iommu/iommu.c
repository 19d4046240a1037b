/* SPDX-License-Identifier: MIT */
/*
 * The part of the IOMMUs that knows no vendor: which functions are whose, the
 * tables of what they reach, the faults.
 *
 * There are two answers to a device: nothing, and the DMA pool of the partition
 * that has it. A function for which the firmware has reserved memory gets tables
 * of its own, with those ranges at their own addresses besides; nobody else sees
 * them. Every change waits until the units have dropped what they had cached.
 *
 * A unit that does not answer within a second is never asked again: nobody knows
 * what its devices reach, so no device is given any more. On CPU 0.
 */
#include <hv.h>
#include <partition.h>
#include <percpu.h>
#include <x86.h>

#include "iommu_int.h"

#define FUNCTIONS_MAX	64u
#define MESSAGES	0xfee00000ull	/* addresses from here on are messages */
#define MSI_DEST(id)	(MESSAGES | (uint64_t)(id) << 12)

/* A remappable MSI names its entry in the address [VT-d "Interrupt Requests in
 * Remappable Format"]; on AMD the data do, in the old form. */
#define MSI_REMAPPED(i)	(MESSAGES | BIT64(4) | (uint64_t)(i) << 5)
#define REDIR_REMAPPED(i) ((uint32_t)(i) << 17 | BIT32(16))

struct given {
	uint32_t function;
	const struct partition *owner;
	struct iommu_domain domain;
};

struct iommu_unit iommu_units[BOOT_MAX_IOMMUS];
uint32_t iommu_unit_count;
const struct iommu_ops *iommu_ops;
const struct boot_iommus *iommu_told;
bool iommu_interrupts;

static struct given given[FUNCTIONS_MAX];
static uint32_t given_count;
static bool coherent;			/* all see what is in the cache */

/** A zeroed page for a unit, for ever; a panic if there is none. Boot time. */
uint64_t *iommu_frame(void)
{
	return hpa_ptr(frame_boot(FRAME_HYPERVISOR, PAGE_SIZE,
				  "an IOMMU's tables"));
}

/**
 * What the units read has been written: they see it from here on. [VT-d
 * "Coherency of Remapping Structures"]
 */
void iommu_written(const void *from, uint64_t bytes)
{
	const uint8_t *at = from, *end = at + bytes;

	for (; !coherent && at < end; at += 16) {
		cache_flush(at);
	}
	cpu_wrmsr_fence();
}

static bool late(struct iommu_unit *u, uint64_t from)
{
	if (rdtsc() - from < boot.tsc_hz) {
		cpu_pause();
		return false;
	}
	u->failed = true;
	log_write("isthmus: the IOMMU at %#llx does not answer: no device is "
		  "given to anybody any more",
		  (unsigned long long)u->boot->base);
	return true;
}

/** Waits until the masked bits of a register are value; false: in vain. */
bool iommu_wait(struct iommu_unit *u, uint32_t reg, uint32_t mask,
		uint32_t value)
{
	uint64_t from = rdtsc();

	while ((read_device32(u->regs + reg) & mask) != value) {
		if (u->failed || late(u, from)) {
			return false;
		}
	}
	return !u->failed;
}

/** Waits until the unit has written the number of the last wait command. */
bool iommu_wait_done(struct iommu_unit *u)
{
	uint64_t from = rdtsc();

	while ((uint32_t)*u->done != (uint32_t)u->waits) {
		if (u->failed || late(u, from)) {
			return false;
		}
	}
	return !u->failed;
}

/* ---- who has what ---- */

static struct given *given_find(uint32_t function)
{
	uint32_t i;

	for (i = 0; i < given_count; i++) {
		if (given[i].function == function) {
			return &given[i];
		}
	}
	return NULL;
}

/** The partition that has a function, by name; NULL: nobody. */
const char *iommu_owner(uint32_t function)
{
	const struct given *g = given_find(function);

	return g ? g->owner->config->name : NULL;
}

static bool in_scope(uint32_t unit, uint32_t function)
{
	uint32_t i;

	for (i = 0; i < iommu_told->scope_count; i++) {
		if (iommu_told->scopes[i].unit == unit &&
		    function >= iommu_told->scopes[i].first &&
		    function <= iommu_told->scopes[i].last) {
			return true;
		}
	}
	return false;
}

/* Is the function behind this unit, or may it be? */
static bool serves(uint32_t unit, uint32_t function)
{
	uint32_t i;

	if (function == iommu_told->ioapic_function) {
		return unit == iommu_told->ioapic_unit;
	}
	if (iommu_units[unit].boot->segment != function >> 16) {
		return false;
	}
	if (in_scope(unit, function)) {
		return true;
	}
	for (i = 0; i < iommu_unit_count; i++) {
		if (in_scope(i, function)) {
			return false;
		}
	}
	return iommu_units[unit].boot->flags & BOOT_IOMMU_ALL;
}

/* What units are told of a function: a domain, NULL: it reaches nothing; or the
 * entry of a vector that is not 0. */
struct order {
	const struct iommu_domain *d;
	uint8_t vector;
	bool level;
};

/* Every unit that may have the function is told. */
static hv_status_t tell_all(uint32_t function, struct order o)
{
	hv_status_t st = HC_ENOENT;
	bool full;
	uint32_t i;

	for (i = 0; i < iommu_unit_count; i++) {
		struct iommu_unit *u = &iommu_units[i];

		if (!serves(i, function)) {
			continue;
		}
		if (u->failed || !(o.vector ?
		    iommu_ops->interrupt(u, function, o.vector, o.level,
					 cpus[0]->apic_id, &full) :
		    iommu_ops->set(u, function, o.d, &full))) {
			return HC_EBUSY;
		}
		if (full) {
			return HC_ENOMEM;
		}
		st = HC_OK;
	}
	return st;
}

/**
 * Lets a function reach the pool, and nothing else but what the firmware has
 * reserved for it; HC_OK without an IOMMU, too: then it reaches everything, at
 * physical addresses. There is one pool: HC_EINVAL for another, for one that
 * cannot be mapped, and for an IOMMU itself; HC_EBUSY: the function is given, or
 * a unit does not answer; HC_ENOENT: it is behind no unit; HC_ENOMEM. Nothing is
 * changed then, but that the function may reach the pool if the unit fails.
 */
hv_status_t iommu_attach(struct partition *p, uint32_t function,
			 const struct iommu_pool *pool)
{
	struct iommu_domain d;
	hv_status_t st;
	uint32_t i;

	if (iommu_state() == HC_IOMMU_NONE) {
		return HC_OK;
	}
	if (iommu_is_unit(function) ||
	    function == iommu_told->ioapic_function) {
		return HC_EINVAL;
	}
	if (iommu_state() == HC_IOMMU_FAILED || given_find(function)) {
		return HC_EBUSY;
	}
	if (given_count == FUNCTIONS_MAX) {
		return HC_ENOMEM;
	}
	st = iommu_domain_get(function, pool, &d);
	if (st) {
		return st;
	}
	st = tell_all(function, (struct order){ .d = &d });
	if (st) {
		/* a unit that does not answer may know the tables */
		if (st != HC_EBUSY) {
			iommu_domain_put(&d);
		}
		return st;
	}
	given[given_count++] = (struct given){ function, p, d };
	for (i = 0; !serves(i, function); i++) {
	}
	iommu_report_reach(&iommu_units[i], function);
	return HC_OK;
}

/**
 * Takes a function back: it reaches nothing and interrupts nobody when this
 * returns HC_OK. HC_ENOENT: it was not given. HC_EBUSY: a unit does not answer,
 * and what the function reached must never be anybody else's.
 */
hv_status_t iommu_detach(uint32_t function)
{
	struct given *g = given_find(function);
	hv_status_t st;

	if (iommu_state() == HC_IOMMU_NONE) {
		return HC_OK;
	}
	if (!g) {
		return HC_ENOENT;
	}
	st = tell_all(function, (struct order){ .d = NULL });
	if (st) {
		return st;
	}
	iommu_domain_put(&g->domain);
	*g = given[--given_count];
	return HC_OK;
}

/* ---- interrupts ---- */

/* Which form a message that is remapped has. */
static bool intel(void)
{
	return iommu_told->kind == BOOT_IOMMU_INTEL;
}

/**
 * The message by which a function that has been given interrupts CPU 0 with this
 * vector; nobody else can send it, where interrupts are remapped. HC_ENOENT: the
 * function is not given. HC_EINVAL: CPU 0 cannot be reached without remapping.
 */
hv_status_t iommu_msi(uint32_t function, uint8_t vector, uint64_t *address,
		      uint32_t *data)
{
	hv_status_t st;

	if (iommu_state() != HC_IOMMU_NONE && !given_find(function)) {
		return HC_ENOENT;
	}
	if (!iommu_interrupts) {
		*address = MSI_DEST(cpus[0]->apic_id);
		*data = vector;
		return cpus[0]->apic_id > 254 ? HC_EINVAL : HC_OK;
	}
	st = tell_all(function, (struct order){ .vector = vector });
	*address = intel() ? MSI_REMAPPED(vector) : MESSAGES;
	*data = intel() ? 0 : vector;
	return st;
}

/**
 * The high word of the I/O APIC's entry whose low word has this vector, so that
 * it reaches CPU 0. The entry of the remapping table has the vector's number: so
 * the vector in the low word is also the one that the EOI names, as it must be for
 * a level-triggered input. A unit that does not answer, or an APIC id that has no
 * room: a panic. Boot time.
 */
uint32_t iommu_ioapic(uint8_t vector, bool level)
{
	if (iommu_interrupts) {
		if (tell_all(iommu_told->ioapic_function, (struct order){
			.vector = vector, .level = level })) {
			panic("the I/O APIC's interrupts cannot be remapped");
		}
		return intel() ? REDIR_REMAPPED(vector) : 0;
	}
	/* its entries have 8 bits for a destination */
	if (cpus[0]->apic_id > 254) {
		panic("interrupts cannot reach CPU 0: APIC id %u needs "
		      "interrupt remapping (IOMMU)", cpus[0]->apic_id);
	}
	return cpus[0]->apic_id << 24;
}

/* ---- start-up ---- */

/** Of all units: one that does not answer counts for all. */
enum hc_iommu iommu_state(void)
{
	uint32_t i;

	for (i = 0; i < iommu_unit_count; i++) {
		if (iommu_units[i].failed) {
			return HC_IOMMU_FAILED;
		}
	}
	return iommu_ops ? HC_IOMMU_ON : HC_IOMMU_NONE;
}

/** Is this function an IOMMU? It is nobody's. */
bool iommu_is_unit(uint32_t function)
{
	uint32_t i;

	for (i = 0; i < iommu_unit_count; i++) {
		if (iommu_units[i].boot->function == function) {
			return true;
		}
	}
	return false;
}

/* All units, before any is touched: one that cannot be used leaves memory open,
 * and then the others are of little use. */
static bool probe_all(const struct iommu_ops *o)
{
	const char *missing;
	uint32_t i, page;

	for (i = 0; i < iommu_told->unit_count; i++) {
		struct iommu_unit *u = &iommu_units[i];

		u->boot = &iommu_told->units[i];
		for (page = 0; page < BOOT_IOMMU_REGISTERS; page += PAGE_SIZE) {
			volatile uint8_t *at =
				paging_map_device(u->boot->base + page, false);

			/* they lie one after the other */
			u->regs = page ? u->regs : at;
		}
		missing = o->probe(u);
		if (missing) {
			log_write("isthmus: the IOMMU (%s) at %#llx is of no use: "
				  "%s", o->name,
				  (unsigned long long)u->boot->base, missing);
			return false;
		}
		iommu_interrupts &= u->interrupts;
		coherent &= u->coherent;
	}
	return iommu_told->unit_count > 0;
}

/* One after the other, from whatever firmware left. */
static void take_over_all(void)
{
	struct iommu_fault f;
	uint32_t i, k, n;

	for (i = 0; i < iommu_unit_count; i++) {
		struct iommu_unit *u = &iommu_units[i];

		u->interrupts = iommu_interrupts;
		/* a table of all of a segment's functions serves all its units */
		for (k = 0; k < i; k++) {
			if (iommu_units[k].boot->segment == u->boot->segment) {
				u->table = iommu_units[k].table;
			}
		}
		if (!iommu_ops->take_over(u)) {
			continue;
		}
		/* what was recorded before is nobody's here */
		for (n = 0; n < 1024 && iommu_ops->fault(u, &f); n++) {
		}
		u->overflows = 0;
		log_write("isthmus: IOMMU %u: %s at %#llx, devices reach nothing"
			  "%s", i, iommu_ops->name,
			  (unsigned long long)u->boot->base,
			  iommu_interrupts ? " and interrupt nobody" : "");
	}
}

/**
 * Takes the units over: from here on no function reaches anything, and none
 * interrupts, where that can be. Boot CPU, frames can be had, no partition runs,
 * no interrupt of a device is routed. What protection there is not, a line says
 * at every boot.
 */
void iommu_init(const struct boot_info *bi)
{
	static const struct iommu_ops *const kinds[] = {
		[BOOT_IOMMU_INTEL] = &iommu_vtd, [BOOT_IOMMU_AMD] = &iommu_amdvi,
	};

	iommu_told = &bi->iommus;
	coherent = true;
	/* whose interrupts nobody knows must not be blocked */
	iommu_interrupts = (iommu_told->flags & BOOT_IOMMUS_INTERRUPTS) &&
			   iommu_told->ioapic_function != BOOT_FUNCTION_NONE;
	if (iommu_told->kind >= ARRAY_SIZE(kinds) || !kinds[iommu_told->kind] ||
	    !probe_all(kinds[iommu_told->kind])) {
		iommu_interrupts = false;
		log_write("isthmus: NO IOMMU: a driver of a device that reads or "
			  "writes memory by itself is inside the trusted base");
		return;
	}
	iommu_ops = kinds[iommu_told->kind];
	iommu_unit_count = iommu_told->unit_count;
	take_over_all();
	iommu_report_at = 0;
	if (!iommu_interrupts) {
		log_write("isthmus: NO INTERRUPT REMAPPING: the driver of a "
			  "device can forge interrupts");
	}
}
