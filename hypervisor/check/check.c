/* SPDX-License-Identifier: MIT */
/*
 * A look at all of it: each CPU at its own state, then, with everything standing
 * still, the tables. The first thing that is wrong is what is told.
 */
#include <abi/hypercall.h>
#include <iommu.h>

#include "check.h"

const uint8_t *check_owners;
uint64_t check_pages;

static struct {
	const char *what, *name;	/* NULL: nothing is wrong; with whom */
	uint64_t at, value;
	uint32_t taken;			/* (any) by who has found it */
} found;
static uint32_t asked[BOOT_MAX_CPUS];	/* (any) a CPU is to look at itself */

/** Something is wrong: what, with which partition or NULL, at which address and
 * with which value. Any CPU. */
void check_found(const char *what, const struct partition *p, uint64_t at, uint64_t value)
{
	if (__atomic_exchange_n(&found.taken, 1, __ATOMIC_SEQ_CST)) {
		return;
	}
	found.at = at;
	found.value = value;
	found.name = p ? p->config->name : "";
	__atomic_store_n(&found.what, what, __ATOMIC_RELEASE);
}

/** Finds the rules that are broken. */
void check_rules(const struct check_rule *r, uint32_t n, const struct partition *p, uint64_t at)
{
	for (; n--; r++) {
		if ((r->must & ~r->is) || (r->is & ~(r->must | r->may))) {
			check_found(r->what, p, at, r->is);
		}
	}
}

/** Memory for its marks, two bits for each page. Boot CPU, once, after frame_init(). */
void check_init(void)
{
	check_owners = frame_owners(&check_pages);
	check_tables = hpa_ptr(frame_boot(FRAME_HYPERVISOR, check_pages / 4, "checker's marks"));
	check_writable = check_tables + check_pages / 64;
}

/** This CPU has been interrupted to look at itself, or for nothing. Interrupts off. */
void check_cpu(void)
{
	uint32_t *mine = &asked[this_cpu()->index];

	if (__atomic_load_n(mine, __ATOMIC_ACQUIRE)) {
		check_cpu_state();
		__atomic_store_n(mine, 0, __ATOMIC_RELEASE);
	}
}

/* The other CPUs look at themselves. No lock is held: they may be waiting for one. */
static void ask_others(void)
{
	uint64_t until = rdtsc() + boot.tsc_hz;

	for (uint32_t i = 1; i < cpu_count; i++) {
		__atomic_store_n(&asked[i], 1, __ATOMIC_SEQ_CST);
		lapic_ipi(cpus[i]->apic_id, VECTOR_CHECK);
		while (__atomic_load_n(&asked[i], __ATOMIC_ACQUIRE)) {
			if (rdtsc() > until) {
				check_found("a CPU does not answer", NULL, i, 0);
				break;
			}
		}
	}
}

/* With all that changes tables held up. On CPU 0. */
static void look(void)
{
	check_cpu_state();
	for (uint32_t i = 0; i < partition_count; i++) {
		lock_take(&partitions[i]->lock);
	}
	lock_take(&frame_lock);
	zero_memory(check_tables, check_pages / 4);
	check_ram = 0;
	check_maps(true);
	check_maps(false);
	for (uint32_t i = 0; i < partition_count; i++) {
		check_permissions(partitions[i]);
	}
	check_iommus();
	lock_drop(&frame_lock);
	for (uint32_t i = partition_count; i-- > 0;) {
		lock_drop(&partitions[i]->lock);
	}
	if (found.what) {
		log_write("isthmus: ISOLATION: %s%s%s (at %#lx: %#lx)", found.name,
			  *found.name ? ": " : "", found.what, found.at, found.value);
		return;
	}
	log_write("isthmus: isolation holds: %u partitions, %lu MiB, DMA %s; manifest %016lx",
		  partition_count, check_ram / 256,
		  iommu_state() == HC_IOMMU_ON ? "confined" : "NOT CONFINED", check_meaning());
}

/** Before anybody runs: what is wrong then ends the start-up. Boot CPU. */
void check_boot(void)
{
	look();
	if (found.what) {
		panic("partitions are not apart");
	}
}

/**
 * HC_QUERY_ISOLATION: looks, with the machine standing still for some milliseconds a GiB;
 * the log has the words. No lock held, on CPU 0.
 */
hv_status_t check_query(struct guest_regs *r)
{
	__builtin_memset(&found, 0, sizeof(found));
	ask_others();
	look();
	r->rdi = found.what ? 1 : 0;
	r->rsi = found.at;
	r->rdx = found.value;
	r->r10 = check_meaning();
	r->r8 = check_ram;
	return HC_OK;
}
