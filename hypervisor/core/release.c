/* SPDX-License-Identifier: MIT */
/*
 * Memory that a partition gives back while it runs (HC_MEM_RELEASE): taken out
 * of its map, in quarantine until no CPU can use it any more, then the pool's.
 *
 * What a vCPU has cached of the map it drops at an entry, when it finds that
 * p->gpm_epoch has grown; then it says so in v->gpm_epoch. Outside its run loop
 * (v->running) it uses nothing. Inside, between an exit and an entry, it may
 * hold a pointer of partition_memory()'s, which it forgets before that entry.
 * So the quarantine ends when each vCPU has been seen out of its run loop, or
 * has said the new epoch: that is right for caches and pointers alike. Those in
 * their guest are called out of it.
 *
 * Entries change before the epoch grows, and only then the vCPUs are looked at;
 * a vCPU says that it runs before it looks at the epoch. The growth, the looks
 * at running and its stores are sequentially consistent, so one of the two sees
 * the other. What the guest has written is in memory by then, weakly ordered
 * stores too: a locked instruction, or a fence, is on each way. [SDM3 "Operations that
 * Invalidate Cached Mappings", "Buffering of Write Combining Memory Locations";
 * APM2 "TLB Control"] The model is qemu-test/spin/revoke.pml.
 *
 * Nobody waits here: the caller asks again. Until then the frames are the
 * partition's, in the accounts too, and with their content: who touches the
 * stretch has it back. One call's are under way at a time, so what is found
 * revoked is of p->release_epoch. All under p->lock.
 */
#include <abi/hypercall.h>
#include <hv.h>
#include <partition.h>
#include <x86.h>

/* A block is the address of its first 2 MiB, and in the bits below their
 * number. */
static gpa_t first_of(uint64_t block)
{
	return GPA(block & ~BIG_PAGE_MASK);
}

static uint64_t units_of(uint64_t block)
{
	return block & BIG_PAGE_MASK;
}

/* Has every vCPU of me's partition let go of what it had before epoch? me, and
 * those that wait for others themselves, hold no pointer, and look at the epoch
 * before they go on. */
static bool all_passed(const struct vcpu *me, uint64_t epoch)
{
	struct partition *p = me->partition;
	bool passed = true;

	for (uint32_t i = 0; i < p->vcpu_count; i++) {
		struct vcpu *v = p->vcpus[i];

		if (v != me && __atomic_load_n(&v->running, __ATOMIC_SEQ_CST) &&
		    !__atomic_load_n(&v->waits, __ATOMIC_SEQ_CST) &&
		    __atomic_load_n(&v->gpm_epoch, __ATOMIC_ACQUIRE) < epoch) {
			sched_interrupt(v);
			passed = false;
		}
	}
	return passed;
}

/* Takes the blocks out of the map, all for one new epoch. */
static void take(struct partition *p, const uint64_t block[HC_RELEASE_BLOCKS],
		 int *budget)
{
	bool taken = false;
	uint64_t n;

	for (uint32_t i = 0; i < HC_RELEASE_BLOCKS; i++) {
		p->release[i] = block[i];
		for (n = 0; n < units_of(block[i]); n++) {
			taken |= gpm_revoke(p, GPA(first_of(block[i]).v +
						   n * BIG_PAGE_SIZE));
		}
		*budget -= (int)n;
	}
	if (taken) {
		p->release_epoch = __atomic_add_fetch(&p->gpm_epoch, 1,
						      __ATOMIC_SEQ_CST);
	} else if (!p->template) {	/* what a child has not it may share */
		zero_memory(p->release, sizeof(p->release));
	}
}

/* The quarantine is over. HC_EAGAIN: for a part, so far. HC_ENOMEM: see
 * gpm_reclaim(). */
static hv_status_t give_back(struct partition *p, int *budget)
{
	hv_status_t st;

	for (uint32_t i = 0; i < HC_RELEASE_BLOCKS; i++) {
		while (units_of(p->release[i])) {
			st = gpm_reclaim(p, first_of(p->release[i]), budget);
			if (st) {
				return st;
			}
			/* one unit on, one less */
			p->release[i] += BIG_PAGE_SIZE - 1;
		}
	}
	return HC_OK;
}

/**
 * HC_MEM_RELEASE of a vCPU, in this call. HC_EINVAL: a block is too long, or no
 * RAM of its partition's; device and channel pages are none, nor is what is set
 * aside for DMA. HC_EAGAIN: vCPUs have not passed yet, or there is more than one
 * call gives back, or than another vCPU's call has left. HC_ENOMEM: a child's map
 * lacks a page for a table, so that its template's memory would be there again;
 * what is not given back stays. Its lock held.
 */
hv_status_t release_memory(struct vcpu *me,
			   const uint64_t block[HC_RELEASE_BLOCKS])
{
	struct partition *p = me->partition;
	int budget = GPM_BUDGET;
	bool before = false;
	hv_status_t st;

	for (uint32_t i = 0; i < HC_RELEASE_BLOCKS; i++) {
		uint64_t units = units_of(block[i]);

		if (block[i] && (!units || units > HC_RELEASE_UNITS ||
				 !partition_has_ram(p, first_of(block[i]),
						    units * BIG_PAGE_SIZE))) {
			return HC_EINVAL;
		}
		before |= units_of(p->release[i]) != 0;
	}
	if (!before) {
		take(p, block, &budget);
	}
	st = all_passed(me, p->release_epoch) ? give_back(p, &budget) : HC_EAGAIN;
	return before && !st ? HC_EAGAIN : st;
}

/**
 * A page has been taken in the place of one that was shared, and the epoch raised:
 * waits until no other vCPU reads the old one. Only then me, or any other, may
 * write to the new one; else a third could read the old and see by other ways what
 * was done after it. Two may wait for each other: who waits is out of its guest
 * and counts as passed. On me's CPU, between an exit and an entry, no
 * lock held, or the others might be in need of it. The model is
 * qemu-test/spin/cow.pml.
 */
void release_wait(struct vcpu *me)
{
	uint64_t epoch = me->partition->gpm_epoch;

	__atomic_store_n(&me->waits, true, __ATOMIC_SEQ_CST);
	while (!all_passed(me, epoch)) {
		cpu_pause();
	}
	__atomic_store_n(&me->waits, false, __ATOMIC_SEQ_CST);
	lock_take(&me->partition->lock);
	gpm_copied(me->partition, me->copied);
	lock_drop(&me->partition->lock);
}
