/* SPDX-License-Identifier: MIT */
/*
 * The host partition, started again when its program has ended: docs/restart.md.
 * Others run on meanwhile, and are not asked.
 *
 * Its devices reach nothing first; then its RAM goes back to the pool, and gets what
 * the loader had put there from a copy of ours. What lies beside its RAM stays as it
 * is: modules, DMA pool, channels. So do accesses that wait for an answer: they are
 * given out anew. All on CPU 0, where its one vCPU is.
 */
#include <hv.h>
#include <partition.h>
#include <pci.h>

/* What the loader had put into its RAM is there again, page by page, with the rights
 * of then. */
static void load(struct vcpu *v, const struct boot_region *r, const uint8_t *copy)
{
	struct partition *p = v->partition;
	struct boot_region page = { .size = PAGE_SIZE };
	struct gpm_entry e;
	uint64_t at;
	void *to;

	for (at = 0; copy && at < r->size; at += PAGE_SIZE) {
		page.gpa = r->gpa + at;
		to = partition_memory(v, GPA(page.gpa), PAGE_SIZE, true);
		lock_take(&p->lock);
		if (!to || gpm_split(p, GPA(page.gpa)) ||
		    !gpm_lookup(p, GPA(page.gpa), &e)) {
			panic("no memory to start the host partition again");
		}
		__builtin_memcpy(to, copy + at, PAGE_SIZE);
		page.hpa = e.pa.v;
		gpm_clear(p, GPA(page.gpa));
		partition_map(p, &page, r->flags);
		lock_drop(&p->lock);
	}
}

/**
 * The host partition has ended, by what its vCPU v did, and its channels are down: it
 * is started again. v is in its run loop, and goes on there with the reset. No lock
 * held.
 */
void restart_host(struct vcpu *v)
{
	struct partition *p = v->partition;
	const struct boot_demand *ram = &p->config->demand[0];
	uint64_t at;

	log_write("isthmus: the host partition is started again, for the %lu. time "
		  "of %u", p->start_count, p->config->restarts);
	pci_stop();
	for (at = ram->gpa; at < ram->gpa + ram->size;) {
		lock_take(&p->lock);
		at = gpm_teardown(p, at, ram->gpa + ram->size);
		lock_drop(&p->lock);
	}
	p->gpm_epoch++;
	p->pages_populated = 0;
	for (at = 0; !channel_clear(p, &at);) {
	}
	for (uint32_t i = 0; i < p->config->region_count; i++) {
		load(v, &p->config->regions[i], p->copies[i]);
	}
	p->events = HC_EVENT_IOREQ | HC_EVENT_PARTITION;
	p->state = HC_STATE_STOPPED;
	v->state = VCPU_STOPPED;
	start_host();
}
