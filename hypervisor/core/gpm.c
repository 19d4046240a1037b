/* SPDX-License-Identifier: MIT */
/*
 * Guest-physical memory: a partition's 4-level second-level map, with 4 KiB
 * and 2 MiB pages. The format of entries is the backend's data (struct
 * pt_format); the walk is the same for all. A last-level entry that is not
 * present but carries SW_RESERVED names a page that belongs to the partition
 * and has not been zeroed yet: gpm_fill() turns it into a present one. An entry
 * of a 2 MiB stretch that carries it has been revoked: what it names, a large
 * page or a table with its pages, is in quarantine (see release.c).
 *
 * Which page may be mapped where is the caller's to decide; here, an address
 * that is taken is never mapped over. Additions need no flush: absent entries
 * are not cached. Whoever takes a mapping away raises p->gpm_epoch, and every
 * vCPU of p flushes before its next entry. Where vCPUs may run in between,
 * that is gpm_revoke(), and the frames stay the partition's until all have
 * flushed; else callers see to it that none does.
 *
 * Where the format says so, a 2 MiB page is never executable: one that may be
 * carries SW_EXEC, and is split when it is executed (exit.c).
 *
 * What a child (p->template) has not touched is absent in its map, and what it
 * has only read is its template's, not to be written, and carries SW_SHARED: it
 * is not in the child's accounts. Absent with SW_EMPTY is what it has given back:
 * there it does not have its template's again. A template's map does not change.
 *
 * All under p->lock (partition.h). Table pages are the partition's, in the
 * accounts too; none is taken that another partition is promised, and those that
 * executing may need one day are reckoned with: p->pages_splits, which changes in
 * one hold of frame_lock with what it is for.
 */
#include <hv.h>
#include <partition.h>
#include <x86.h>

#define ENTRY_ADDR	0x000ffffffffff000ull
#define SW_RESERVED	BIT64(52)	/* ignored by hardware when absent */
#define SW_EXEC		BIT64(53)	/* ignored by hardware too */
#define SW_SHARED	BIT64(54)
#define SW_EMPTY	BIT64(55)	/* in no entry together with others */
#define LEVELS		4

/* Of a budget: a page costs 1. */
#define FREE_LARGE	8
#define FREE_TABLE	8
#define FREE_SHARED	16	/* a table that is shared in part */

#define AROUND		64u	/* pages that a child reads for an exit */

/* Level 0 is the last, of 4 KiB entries. */
static uint32_t index_at(uint64_t gpa, int level)
{
	return (uint32_t)(gpa >> (12 + 9 * level)) & 511;
}

static bool is_present(uint64_t e)
{
	return (e & hvm->gpm_format->present) != 0;
}

static uint64_t *table_of(uint64_t entry)
{
	return hpa_ptr(HPA(entry & ENTRY_ADDR));
}

/* flags: GPM_*; every mapping is readable. */
static uint64_t leaf(hpa_t pa, uint32_t flags, bool big)
{
	const struct pt_format *f = hvm->gpm_format;
	bool exec = (flags & GPM_EXEC) != 0;
	bool later = exec && big && f->split_exec;

	return pa.v | f->leaf | (big ? f->large : 0) |
	       (flags & GPM_SHARED ? SW_SHARED : 0) |
	       (flags & GPM_WRITE ? f->write : 0) |
	       (exec && !later ? f->exec : f->no_exec) | (later ? SW_EXEC : 0) |
	       (flags & GPM_UNCACHED ? f->uncached : f->cached);
}

static void put_entry(uint64_t *e, uint64_t entry)
{
	__atomic_store_n(e, entry, __ATOMIC_RELEASE);
}

/* A table of p's own, empty, put into *entry; NULL: the pool is empty, or the
 * rest of it is promised to others. split: it is of those that executing needs.
 * It has all rights: leaves alone say what is allowed. Where the entry was empty
 * for good, so are its. */
static uint64_t *new_table(struct partition *p, uint64_t *entry, bool split)
{
	hpa_t pa = HPA(FRAME_NULL);
	uint64_t *t, i;

	lock_take(&frame_lock);
	if (promise_spare(p)) {
		pa = frame_take(partition_frames(p));
	}
	p->pages_splits -= split && pa.v != FRAME_NULL;
	lock_drop(&frame_lock);
	if (pa.v == FRAME_NULL) {
		return NULL;
	}
	t = hpa_ptr(pa);
	zero_memory(t, PAGE_SIZE);
	for (i = 0; *entry == SW_EMPTY && i < BIG_PAGE_PAGES; i++) {
		t[i] = SW_EMPTY;
	}
	p->pages_tables++;
	*entry = pa.v | hvm->gpm_format->table;
	return t;
}

/**
 * Pages of p's go back to the pool; with them, its executing may need so many
 * tables more.
 */
void gpm_give(struct partition *p, hpa_t pa, uint64_t bytes, int splits)
{
	lock_take(&frame_lock);
	frame_free(partition_frames(p), pa, bytes);
	p->pages_splits += (uint64_t)(int64_t)splits;
	lock_drop(&frame_lock);
}

static void give_table(struct partition *p, uint64_t entry, int splits)
{
	gpm_give(p, HPA(entry & ENTRY_ADDR), PAGE_SIZE, splits);
	p->pages_tables--;
}

/* The entry for gpa at a level (0: 4 KiB, 1: 2 MiB). Tables on the way are
 * made when make is set; NULL: absent, or out of memory. *big: a bigger page,
 * or a revoked stretch, is in the way, and it is its entry. */
static uint64_t *entry_at(struct partition *p, uint64_t gpa, int level,
			  bool make, bool *big)
{
	uint64_t *t = hpa_ptr(p->gpm_root);

	LOCK_HELD(&p->lock);
	*big = false;
	for (int l = LEVELS - 1; l > level; l--) {
		uint64_t *e = &t[index_at(gpa, l)];

		if (*e && !(make && *e == SW_EMPTY) &&
		    (!is_present(*e) || (*e & hvm->gpm_format->large))) {
			*big = true;
			return e;
		}
		if (!is_present(*e) && (!make || !new_table(p, e, false))) {
			return NULL;
		}
		t = table_of(*e);
	}
	return &t[index_at(gpa, level)];
}

/**
 * Maps [gpa, +size) to [pa, +size), by 2 MiB where both are aligned; all three
 * are multiples of 4 KiB. flags: GPM_*. HC_EBUSY: something is mapped or
 * reserved there; HC_ENOMEM: no page for a table. In both cases what was
 * mapped until then stays. Owners are not looked at, and p->pages_splits is the
 * caller's to change, before.
 */
hv_status_t gpm_map(struct partition *p, gpa_t gpa, hpa_t pa, uint64_t size,
		    uint32_t flags)
{
	uint64_t done = 0, *e = NULL;
	bool in_way = false;

	while (done < size) {
		uint64_t g = gpa.v + done, h = pa.v + done;
		bool big = !((g | h) & BIG_PAGE_MASK) &&
			   size - done >= BIG_PAGE_SIZE;

		/* in the table of the one before? */
		e = e && (g & BIG_PAGE_MASK) ? e + 1 :
		    entry_at(p, g, big, true, &in_way);
		if (!e || in_way || (*e & ~SW_EMPTY)) {
			return e ? HC_EBUSY : HC_ENOMEM;
		}
		put_entry(e, leaf(HPA(h), flags, big));
		done += big ? BIG_PAGE_SIZE : PAGE_SIZE;
	}
	return HC_OK;
}

/**
 * Gives an empty 2 MiB stretch of guest memory its frames without making them
 * present: gpm_fill() does that piecewise, so that no exit has to zero 2 MiB.
 * gpa, pa: 2 MiB aligned. HC_ENOMEM: no page for a table; nothing is reserved.
 */
hv_status_t gpm_reserve_big(struct partition *p, gpa_t gpa, hpa_t pa)
{
	bool in_way;
	uint64_t *e = entry_at(p, gpa.v, 0, true, &in_way);

	for (uint32_t i = 0; e && i < BIG_PAGE_PAGES; i++) {
		e[i] = (pa.v + i * PAGE_SIZE) | SW_RESERVED;
	}
	return e ? HC_OK : HC_ENOMEM;
}

/**
 * Zeroes the reserved pages among those from gpa on and makes them present with
 * these rights; the others stay as they are. pages: a power of two, gpa aligned
 * to so many, so that one table has them. Zeroed first: another vCPU of p may
 * walk the table at this moment and must not see what was there before.
 */
void gpm_fill(struct partition *p, gpa_t gpa, uint32_t pages, uint32_t flags)
{
	bool in_way;
	uint64_t *e = entry_at(p, gpa.v, 0, false, &in_way);
	uint64_t *end = e + (e && !in_way ? pages : 0);
	uint64_t rights = leaf(HPA(0), flags, false);

	for (; e < end; e++) {
		if (!is_present(*e) && (*e & SW_RESERVED)) {
			hpa_t pa = HPA(*e & ENTRY_ADDR);

			zero_memory(hpa_ptr(pa), PAGE_SIZE);
			*e = pa.v | rights;
		}
	}
}

/**
 * What is at gpa? false: nothing, not even reserved. out->pa is the 4 KiB page
 * of gpa, also within a 2 MiB one.
 */
bool gpm_lookup(struct partition *p, gpa_t gpa, struct gpm_entry *out)
{
	bool big;
	uint64_t *e = entry_at(p, gpa.v, 0, false, &big);

	out->empty = e && *e == SW_EMPTY;
	if (!e || !*e) {
		return false;
	}
	out->raw = *e;
	out->present = is_present(*e);
	out->reserved = !out->present && (*e & SW_RESERVED);
	out->write = (*e & hvm->gpm_format->write) != 0;
	/* one vendor has a bit that allows, the other one that forbids */
	out->exec = (*e & SW_EXEC) ||
		    (*e & (hvm->gpm_format->exec | hvm->gpm_format->no_exec))
		    == hvm->gpm_format->exec;
	out->split = (*e & SW_EXEC) != 0;
	out->shared = (*e & SW_SHARED) != 0;
	out->size = big ? BIG_PAGE_SIZE : PAGE_SIZE;
	out->pa = HPA((*e & ENTRY_ADDR & ~(out->size - 1)) +
		      (gpa.v & (out->size - 1) & ~PAGE_MASK));
	return out->present || out->reserved;
}

/**
 * Is nothing mapped or reserved in the 2 MiB stretch around gpa? A table there
 * counts as something, even if it is empty: see gpm_tidy().
 */
bool gpm_range_empty(struct partition *p, gpa_t gpa)
{
	bool big;
	uint64_t *e = entry_at(p, gpa.v, 1, false, &big);

	return !e || (!big && !(*e & ~SW_EMPTY));
}

/**
 * Breaks the 2 MiB page around gpa into 4 KiB pages with its rights; HC_OK too
 * if there is none. HC_ENOMEM: no page for the table, nothing changed. The
 * vCPUs of p may run: they find the large page or the complete table, both of
 * which say the same, but for executing, which is allowed from now on. No flush:
 * what a vCPU has cached of less rights goes with the exit that it causes.
 */
hv_status_t gpm_split(struct partition *p, gpa_t gpa)
{
	const struct pt_format *f = hvm->gpm_format;
	bool big;
	uint64_t *e = entry_at(p, gpa.v, 0, false, &big);
	uint64_t small, entry = 0, *t;

	if (!e || !big || !is_present(*e)) {
		return HC_OK;
	}
	t = new_table(p, &entry, (*e & SW_EXEC) != 0);
	if (!t) {
		return HC_ENOMEM;
	}
	small = *e & ~f->large;
	if (small & SW_EXEC) {
		small = (small & ~(SW_EXEC | f->no_exec)) | f->exec;
	}
	for (uint32_t i = 0; i < BIG_PAGE_PAGES; i++) {
		t[i] = small + i * PAGE_SIZE;
	}
	put_entry(e, entry);
	return HC_OK;
}

/** The copy at gpa may be written to from now on, if it is there still. */
void gpm_copied(struct partition *p, gpa_t gpa)
{
	bool big;
	uint64_t *e = entry_at(p, gpa.v, 0, false, &big);

	if (e && !big && is_present(*e) && !(*e & SW_SHARED)) {
		put_entry(e, *e | hvm->gpm_format->write);
	}
}

/**
 * Lets p, a child that has nothing at gpa, read what its template has there, and
 * then also what it has around: who touches one page will touch others, each an
 * exit. A large page as such, if it can be executed and p has nothing in its place.
 * HC_OK too if the template has nothing. HC_ENOMEM: no page for a table.
 */
hv_status_t gpm_share(struct partition *p, gpa_t gpa)
{
	uint64_t rights = leaf(HPA(0), GPM_SHARED_ALL, false), t, i;
	uint64_t at = gpa.v & ~(AROUND * PAGE_SIZE - 1);
	bool big, in_way;
	uint64_t *theirs = entry_at(p->template, at, 0, false, &big), *e;

	if (!theirs || !is_present(theirs[big ? 0 : (gpa.v - at) / PAGE_SIZE])) {
		return HC_OK;
	}
	if (big && !(*theirs & SW_EXEC) && gpm_range_empty(p, gpa)) {
		return gpm_map(p, GPA(gpa.v & ~BIG_PAGE_MASK),
			       HPA(*theirs & ENTRY_ADDR), BIG_PAGE_SIZE,
			       GPM_SHARED_ALL);
	}
	e = entry_at(p, at, 0, true, &in_way);
	for (i = 0; e && i < AROUND; i++) {
		t = big ? *theirs + (at & BIG_PAGE_MASK) + i * PAGE_SIZE :
		    theirs[i];
		if (!e[i] && is_present(t) &&
		    frame_is_owner(partition_frames(p->template),
				   HPA(t & ENTRY_ADDR))) {
			put_entry(&e[i], (t & ENTRY_ADDR) | rights);
		}
	}
	return e ? HC_OK : HC_ENOMEM;
}

/**
 * Puts the 2 MiB stretch around gpa into its shortest form: no table when it
 * is empty, one large page when its small ones are all present, ordinary RAM
 * and in one piece. Without it a stretch once split would be populated by 4
 * KiB for ever. No vCPU of p may run; p->gpm_epoch as for gpm_clear().
 */
void gpm_tidy(struct partition *p, gpa_t gpa)
{
	const struct pt_format *f = hvm->gpm_format;
	bool big, empty = true, whole;
	uint64_t *e = entry_at(p, gpa.v, 1, false, &big);
	uint64_t *t, base;

	if (!e || big || !is_present(*e) || (*e & f->large)) {
		return;
	}
	t = table_of(*e);
	base = t[0] & ENTRY_ADDR;
	whole = !(base & BIG_PAGE_MASK);
	for (uint32_t i = 0; i < BIG_PAGE_PAGES && (empty || whole); i++) {
		uint64_t want = leaf(HPA(base + i * PAGE_SIZE), GPM_ALL, false);

		empty = empty && !t[i];
		/* what the processor adds, accessed and dirty, is no matter */
		whole = whole && (t[i] & (want | ENTRY_ADDR | f->no_exec |
					  f->uncached)) == want;
	}
	if (empty || whole) {
		give_table(p, *e, !empty && f->split_exec);
		put_entry(e, empty ? 0 : leaf(HPA(base), GPM_ALL, true));
	}
}

/**
 * Removes the entry (4 KiB or 2 MiB) at gpa; the frames and p->pages_splits are
 * the caller's to account for, and p->gpm_epoch must grow before a vCPU of p
 * runs.
 */
void gpm_clear(struct partition *p, gpa_t gpa)
{
	bool big;
	uint64_t *e = entry_at(p, gpa.v, 0, false, &big);

	if (e) {
		put_entry(e, 0);
	}
}

/* The frames of a leaf, present or reserved, go back to the pool. */
static void free_leaf(struct partition *p, uint64_t e, uint64_t size)
{
	hpa_t pa = HPA(e & ENTRY_ADDR & ~(size - 1));

	/* channel pages, device memory and a template's are mapped, not owned */
	if (frame_is_owner(partition_frames(p), pa)) {
		gpm_give(p, pa, size, e & SW_EXEC ? -1 : 0);
	}
}

/* What the entry of a 2 MiB stretch names, revoked or not, goes back, as far as
 * the budget lasts; false: it has not lasted for all. */
static bool free_stretch(struct partition *p, uint64_t *pde, int *budget)
{
	uint64_t *t = table_of(*pde);

	if (*pde & hvm->gpm_format->large) {
		free_leaf(p, *pde, BIG_PAGE_SIZE);
		*budget -= FREE_LARGE;
	} else if (*pde & ~SW_EMPTY) {
		for (uint32_t i = 0; i < BIG_PAGE_PAGES; i++) {
			if (!(t[i] & ~SW_EMPTY) || (t[i] & SW_SHARED)) {
				continue;
			}
			if (--*budget < 0) {
				return false;
			}
			free_leaf(p, t[i], PAGE_SIZE);
			t[i] = p->template ? SW_EMPTY : 0;
		}
		give_table(p, *pde, 0);
		*budget -= p->template ? FREE_SHARED : FREE_TABLE;
	}
	put_entry(pde, 0);
	return true;
}

/**
 * Takes the 2 MiB stretch at gpa away while vCPUs of p may run, and keeps its
 * frames and its table: a processor that has cached the way to the table may
 * still read it, and mark entries there. They stay until gpm_reclaim() or
 * gpm_restore(). false: nothing is there, or it is no RAM of p's own. The caller
 * raises p->gpm_epoch afterwards. [SDM3 "Caching Translation Information"; APM2
 * "TLB Management"]
 */
bool gpm_revoke(struct partition *p, gpa_t gpa)
{
	bool big;
	uint64_t *e = entry_at(p, gpa.v, 1, false, &big);

	if (!e || !is_present(*e) ||
	    ((*e & hvm->gpm_format->large) && !(*e & SW_SHARED) &&
	     !frame_is_owner(partition_frames(p), HPA(*e & ENTRY_ADDR)))) {
		return false;
	}
	put_entry(e, (*e & ~hvm->gpm_format->present) | SW_RESERVED);
	return true;
}

/**
 * Undoes gpm_revoke() of the stretch around gpa, if it has been revoked and not
 * reclaimed: its pages have had no other owner. No flush, as for any addition.
 */
void gpm_restore(struct partition *p, gpa_t gpa)
{
	bool big;
	uint64_t *e = entry_at(p, gpa.v, 1, false, &big);

	if (e && (*e & ~SW_EMPTY) && !is_present(*e)) {
		put_entry(e, *e & hvm->gpm_format->large ?
			  leaf(HPA(*e & ENTRY_ADDR), *e & SW_SHARED ?
			       GPM_SHARED_ALL : GPM_ALL, true) :
			  (*e & ENTRY_ADDR) | hvm->gpm_format->table);
	}
}

/**
 * Gives what gpm_revoke() has taken from gpa back to the pool, unless it has
 * come back since: every vCPU of p has flushed. HC_EAGAIN: the budget, see
 * GPM_BUDGET, was not enough, and there is more. A stretch that comes back then has
 * lost the pages that were given back. A child does not see its template's memory
 * there again; HC_ENOMEM: it lacks a page for the table that says so.
 */
hv_status_t gpm_reclaim(struct partition *p, gpa_t gpa, int *budget)
{
	bool big;
	uint64_t *e = entry_at(p, gpa.v, 1, p->template != NULL, &big);

	if (!e) {
		return p->template ? HC_ENOMEM : HC_OK;
	}
	if (--*budget < 0 || (!is_present(*e) && !free_stretch(p, e, budget))) {
		return HC_EAGAIN;
	}
	if (!*e && p->template) {
		*e = SW_EMPTY;
	}
	return HC_OK;
}

/**
 * Takes memory back from 2 MiB stretch to 2 MiB stretch, beginning at gpa,
 * until GPM_BUDGET is used up. Returns the gpa to go on at, or ~0 when all below
 * end is done (upper tables stay for the next start). No vCPU of p runs, and
 * p->gpm_epoch grows before one does. Channels and devices are unmapped too and
 * keep their owners.
 */
uint64_t gpm_teardown(struct partition *p, uint64_t gpa, uint64_t end)
{
	int budget = GPM_BUDGET;

	LOCK_HELD(&p->lock);
	while (gpa < end) {
		int level = LEVELS - 1;
		uint64_t *t = hpa_ptr(p->gpm_root), *e;

		/* down to the 2 MiB entry, or to a higher one that is absent:
		 * then the whole stretch below that is skipped in one step */
		for (;; level--) {
			e = &t[index_at(gpa, level)];
			if (level == 1 || !*e) {
				break;
			}
			t = table_of(*e);
		}
		if (--budget < 0 || !free_stretch(p, e, &budget)) {
			return gpa;
		}
		gpa = (gpa | (BIT64(12 + 9 * level) - 1)) + 1;
	}
	return ~0ull;
}
