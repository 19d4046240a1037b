/* SPDX-License-Identifier: MIT */
/*
 * What is told of devices: what the tables allow one, when it gets it, and what
 * one has tried that it may not. Units are asked for that now and then, and
 * whenever somebody wants to know, by the clock and not by their interrupt, which a
 * device could raise without end; one that goes on trying fills no log.
 * On CPU 0.
 */
#include <hv.h>
#include <partition.h>
#include <x86.h>

#include "iommu_int.h"

#define POLLS_PER_SECOND 20u
#define LINES_PER_SECOND 10u
#define FAULTS_AT_ONCE	16u
#define NEVER		~0ull

uint64_t iommu_report_at = NEVER;
static uint64_t line_at;		/* host TSC of the last fault's line */
static uint64_t lines_left_out;

/**
 * Says what the tables allow a function, read back from where its unit finds them:
 * a line for each piece.
 */
void iommu_report_reach(const struct iommu_unit *u, uint32_t function)
{
	uint64_t root = iommu_ops->root(u, function), bus = 0, span = 0, entry;
	uint64_t end = BIT64(3 + 9 * (u->levels + 1));
	uint64_t start = 0, size = 0, first = 0;

	while (root && bus <= end) {
		entry = bus == end ? 0 :
			iommu_domain_walk(root, u->levels, bus, &span);
		if (size && (!entry || entry != first + size)) {
			log_write("isthmus: " IOMMU_FUNCTION " of partition %s "
				  "may %s %#llx to %#llx, at physical %#llx",
				  IOMMU_FUNCTION_ARGS(function),
				  iommu_owner(function),
				  first & iommu_ops->format->write ? "write" :
				  "read",
				  (unsigned long long)start,
				  (unsigned long long)start + size - 1,
				  (unsigned long long)(first & IOMMU_ADDRESS));
			size = 0;
		}
		if (entry && !size) {
			start = bus;
			first = entry;
		}
		size += entry ? span : 0;
		if (bus == end) {
			break;
		}
		bus = (bus & ~(span - 1)) + span;
	}
}

static void fault_seen(struct iommu_unit *u, const struct iommu_fault *f,
		       uint64_t now)
{
	const char *owner = iommu_owner(f->function);

	u->faults++;
	u->last_address = f->address;
	u->last_what = f->function | (f->write ? HC_IOMMU_WRITE : 0) |
		       (f->interrupt ? HC_IOMMU_MESSAGE : 0);
	/* a device must not fill the log */
	if (now - line_at < boot.tsc_hz / LINES_PER_SECOND && line_at) {
		lines_left_out++;
		return;
	}
	line_at = now;
	log_write("isthmus: IOMMU: " IOMMU_FUNCTION " of %s%s tried to %s %#llx "
		  "(reason %#x): blocked; %llu more since the last such line",
		  IOMMU_FUNCTION_ARGS(f->function),
		  owner ? "partition " : "nobody", owner ? owner : "",
		  f->interrupt ? "interrupt by" : f->write ? "write" : "read",
		  (unsigned long long)f->address, f->reason,
		  (unsigned long long)lines_left_out);
	lines_left_out = 0;
}

/**
 * Takes what the units have recorded: counts it, and says so now and then. A
 * bounded number at a time. CPU 0, when iommu_report_at has come.
 */
void iommu_report_poll(uint64_t now)
{
	struct iommu_fault f;
	uint32_t i, n;

	for (i = 0; i < iommu_unit_count; i++) {
		for (n = 0; n < FAULTS_AT_ONCE && !iommu_units[i].failed &&
		     iommu_ops->fault(&iommu_units[i], &f); n++) {
			fault_seen(&iommu_units[i], &f, now);
		}
	}
	iommu_report_at = now + boot.tsc_hz / POLLS_PER_SECOND;
}

/** HC_QUERY_IOMMU, answered into r: as abi/hypercall.h has it. */
hv_status_t iommu_report_query(uint64_t index, struct guest_regs *r)
{
	const struct iommu_unit *u;

	if (index >= iommu_unit_count) {
		return HC_ENOENT;
	}
	u = &iommu_units[index];
	iommu_report_poll(rdtsc());
	r->rdi = iommu_state() | (iommu_interrupts ? HC_IOMMU_INTERRUPTS : 0) |
		 (iommu_told->kind == BOOT_IOMMU_AMD ? HC_IOMMU_AMD : 0) |
		 (uint64_t)u->overflows << HC_IOMMU_OVERFLOWS;
	r->rsi = u->boot->base;
	r->rdx = u->faults;
	r->r10 = u->last_what;
	r->r8 = u->last_address;
	return HC_OK;
}
