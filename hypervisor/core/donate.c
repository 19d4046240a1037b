/* SPDX-License-Identifier: MIT */
/*
 * HC_MEM_DONATE: pages of the host partition's become another's, with their
 * content. Addresses and counts come from a guest, and are checked here before a
 * table or an owner changes.
 *
 * No partition's lock is held: the one's only vCPU is in this call, the other is
 * stopped, so both are CPU 0's (partition.h).
 */
#include <hv.h>
#include <partition.h>

/* Moves one page of 4 KiB or 2 MiB, of those that are reckoned with in to's
 * pages_splits. Mapped at the new place first, as only that can fail; no vCPU
 * sees the page twice, since from's one is in this call and to is stopped. */
static hv_status_t donate_one(struct partition *from, gpa_t src,
			      struct partition *to, gpa_t dst, uint64_t size)
{
	struct gpm_entry e;
	hv_status_t st;

	if (!gpm_lookup(from, src, &e)) {
		return HC_EINVAL;
	}
	if (size < e.size) {
		st = gpm_split(from, src);
		if (st) {
			return st;
		}
		e.split = false;
	}
	st = gpm_map(to, dst, e.pa, size, GPM_ALL);
	if (st) {
		return st;
	}
	gpm_clear(from, src);
	lock_take(&frame_lock);
	frame_move(partition_frames(from), partition_frames(to), e.pa, size);
	from->pages_splits -= e.split;
	to->pages_splits -= size / PAGE_SIZE;
	to->pages_splits += size > PAGE_SIZE && hvm->gpm_format->split_exec;
	lock_drop(&frame_lock);
	return HC_OK;
}

/* Donation checked before anything changes: every page is from's own RAM
 * and present, and nothing is at its new place. */
static hv_status_t check_donation(struct partition *from, gpa_t src,
				  struct partition *to, gpa_t dst,
				  uint64_t bytes)
{
	struct gpm_entry e;
	uint64_t at;

	for (at = 0; at < bytes; at += PAGE_SIZE) {
		if (!gpm_lookup(from, GPA(src.v + at), &e) || !e.present ||
		    !frame_is_owner(partition_frames(from), e.pa)) {
			return HC_EINVAL;
		}
		if (gpm_lookup(to, GPA(dst.v + at), &e)) {
			return HC_EBUSY;
		}
	}
	return HC_OK;
}

/* Moves what has been checked. All of it is reckoned with before the first page
 * moves: nobody takes meanwhile what from is promised in their place. */
static hv_status_t donate_all(struct partition *from, gpa_t src,
			      struct partition *to, gpa_t dst, uint64_t pages)
{
	uint64_t done = 0, step;
	struct gpm_entry e;
	hv_status_t st;

	lock_take(&frame_lock);
	st = promise_allows(to, pages) ? HC_OK : HC_ENOMEM;
	to->pages_splits += st ? 0 : pages;
	lock_drop(&frame_lock);
	if (st) {
		return st;
	}
	/* the caller's vCPU flushes before it goes on */
	from->gpm_epoch++;
	for (; !st && done < pages; done += st ? 0 : step / PAGE_SIZE) {
		gpa_t s = GPA(src.v + done * PAGE_SIZE);
		gpa_t d = GPA(dst.v + done * PAGE_SIZE);

		/* 2 MiB as one if both places are aligned so and the pages lie
		 * in one piece, which gpm_tidy() finds out */
		step = PAGE_SIZE;
		if (!((s.v | d.v) & BIG_PAGE_MASK) &&
		    pages - done >= BIG_PAGE_PAGES) {
			gpm_tidy(from, s);
			if (gpm_lookup(from, s, &e)) {
				step = e.size;
			}
		}
		st = donate_one(from, s, to, d, step);
	}
	lock_take(&frame_lock);
	to->pages_splits -= pages - done;
	lock_drop(&frame_lock);
	return st;
}

/**
 * HC_MEM_DONATE: pages of from's RAM, present ones, become to's at dst.
 * HC_EINVAL: a range is no RAM, not aligned, too long, or a page is not from's
 * own and present. HC_EBUSY: to is not stopped, or has something there.
 * HC_ENOMEM: beyond to's cap, or into what others are promised, for from gets
 * new ones in their place. All or none; but when no page is left for a
 * table, also HC_ENOMEM, those before it have moved. from must have one vCPU,
 * the caller's: its tables change under it. On CPU 0.
 */
hv_status_t donate_memory(struct partition *from, gpa_t src,
			  struct partition *to, gpa_t dst, uint64_t pages)
{
	hv_status_t st;

	if (!to || pages == 0 || pages > HC_DONATE_MAX || from == to ||
	    ((src.v | dst.v) & PAGE_MASK) || from->vcpu_count != 1 ||
	    !partition_has_ram(to, dst, pages * PAGE_SIZE) ||
	    !partition_has_ram(from, src, pages * PAGE_SIZE)) {
		return HC_EINVAL;
	}
	if (to->state != HC_STATE_STOPPED) {
		return HC_EBUSY;
	}
	st = check_donation(from, src, to, dst, pages * PAGE_SIZE);
	if (!st) {
		st = donate_all(from, src, to, dst, pages);
	}
	if (!st) {	/* an empty stretch is populated by units again */
		gpm_tidy(from, src);
		gpm_tidy(from, GPA(src.v + (pages - 1) * PAGE_SIZE));
	}
	return st;
}
