/* SPDX-License-Identifier: MIT */
/*
 * Page frames: one owner byte for each 4 KiB page of memory, and free memory
 * kept in 2 MiB units. A unit is on the free list while all of its pages are
 * free; one that is partly used serves single pages. Pages are zeroed when they
 * are handed out; idle CPUs zero free units ahead of need.
 *
 * This is where "each page has one owner" is enforced: every change of owner
 * names the owner it expects, and a surprise is our own bug and a panic. No
 * argument comes from a guest unchecked.
 *
 * All under frame_lock. It is the callers' where what they take depends on what
 * is left (frame_take()); the others take it here.
 */
#include <hv.h>
#include <partition.h>
#include <x86.h>

#define NO_UNIT		0xffffffffu
#define ZERO_TARGET	48u	/* units kept zeroed ahead of need */
#define LOW_BYTES	0x100000ull
#define EACH		0x0101010101010101ull	/* owners: eight in a word */
#define OWNERS		(FRAME_PARTITION0 + BOOT_MAX_PARTITIONS)

struct unit {
	uint32_t next, prev;	/* in the list it is on */
	uint16_t free;		/* free pages of 512 */
	uint16_t zeroed;	/* pages zeroed so far, from the start */
};

/* Both tables lie in memory of their own (place_tables()), one to one with
 * physical memory from 0 to the top of what is not firmware's. */
static uint8_t *owner;		/* by page number */
static struct unit *units;	/* by unit number */
static uint32_t unit_count;
static uint64_t owned[OWNERS];	/* pages; FRAME_NONE's are not counted */

/* Lists: whole free units not zeroed, whole zeroed, partly free. */
enum { LIST_DIRTY, LIST_ZEROED, LIST_PARTIAL, LISTS };
static uint32_t heads[LISTS] = { NO_UNIT, NO_UNIT, NO_UNIT };
static uint32_t zeroed_units;

struct lock frame_lock;

/* The list that a unit in this state belongs to; -1: none, it has no free page.
 * Callers remove a unit before they change it and insert it afterwards. */
static int list_of(uint32_t u)
{
	if (units[u].free == BIG_PAGE_PAGES) {
		return units[u].zeroed == BIG_PAGE_PAGES ? LIST_ZEROED :
		       LIST_DIRTY;
	}
	return units[u].free ? LIST_PARTIAL : -1;
}

static void list_remove(uint32_t u)
{
	int l = list_of(u);

	if (l < 0) {
		return;
	}
	if (units[u].prev == NO_UNIT) {
		heads[l] = units[u].next;
	} else {
		units[units[u].prev].next = units[u].next;
	}
	if (units[u].next != NO_UNIT) {
		units[units[u].next].prev = units[u].prev;
	}
	zeroed_units -= l == LIST_ZEROED;
}

static void list_insert(uint32_t u)
{
	int l = list_of(u);

	if (l < 0) {
		return;
	}
	units[u].prev = NO_UNIT;
	units[u].next = heads[l];
	if (heads[l] != NO_UNIT) {
		units[heads[l]].prev = u;
	}
	heads[l] = u;
	zeroed_units += l == LIST_ZEROED;
}

/* A free page of a unit is about to have an owner. */
static void take_page(uint64_t page)
{
	uint32_t u = (uint32_t)(page / BIG_PAGE_PAGES);

	list_remove(u);
	units[u].free--;
	/* one word a unit cannot say which of its pages are zeroed */
	units[u].zeroed = 0;
	list_insert(u);
}

/* The one place where the owner of n pages changes after frame_init(). */
static void set_owner(uint64_t page, uint64_t n, uint8_t from, uint8_t to)
{
	uint64_t end = page + n, *eight;

	LOCK_HELD(&frame_lock);
	while (page < end) {
		eight = (uint64_t *)&owner[page];
		for (; !(page & 7) && end - page >= 8 && *eight == from * EACH;
		     page += 8) {
			*eight++ = to * EACH;
		}
		if (page == end) {
			break;
		}
		if (owner[page] != from) {
			panic("page %#lx belongs to owner %u, not %u",
			      HPA(page * PAGE_SIZE).v, owner[page], from);
		}
		owner[page++] = to;
	}
	owned[from] -= n;
	owned[to] += n;
}

/* Where owner[] and units[] go: the first free stretch that is large
 * enough, taken from the map before any page is counted. */
static uint64_t place_tables(const struct boot_info *bi, uint64_t bytes)
{
	for (uint32_t i = 0; i < bi->mem_count; i++) {
		uint64_t base = u64_max(bi->mem[i].base, LOW_BYTES);

		if (bi->mem[i].type == BOOT_MEM_FREE &&
		    bi->mem[i].base + bi->mem[i].size >= base + bytes) {
			return base;
		}
	}
	panic("no %lu KiB of free memory in one piece for the page owners",
	      bytes / 1024);
}

/**
 * Takes over the memory map. Pages loaded for a partition get their owner when
 * partition_create_all() maps them; holes and what boot/ left out stay
 * FRAME_NONE, which nobody is given. Boot CPU, once, after paging_init(), as
 * all memory is reached through the direct map. No room for the tables is a
 * panic.
 */
void frame_init(const struct boot_info *bi)
{
	uint64_t top = 0, bytes, at;

	for (uint32_t i = 0; i < bi->mem_count; i++) {
		if (bi->mem[i].type != BOOT_MEM_FIRMWARE) {
			top = u64_max(top, bi->mem[i].base + bi->mem[i].size);
		}
	}
	unit_count = (uint32_t)((top + BIG_PAGE_MASK) / BIG_PAGE_SIZE);
	bytes = (uint64_t)unit_count * (BIG_PAGE_PAGES + sizeof(struct unit));
	bytes = (bytes + PAGE_MASK) & ~PAGE_MASK;
	at = place_tables(bi, bytes);
	owner = hpa_ptr(HPA(at));
	zero_memory(owner, bytes);
	units = (struct unit *)&owner[(uint64_t)unit_count * BIG_PAGE_PAGES];
	lock_take(&frame_lock);
	for (uint32_t i = 0; i < bi->mem_count; i++) {
		const struct boot_mem *m = &bi->mem[i];
		/* Out of use, whatever the map says: firmware and its SMM code
		 * are known to write below 1 MiB after they have given it
		 * away, and a physical address of 0 means a bug. */
		uint64_t base = u64_max(m->base, LOW_BYTES);
		uint64_t end = m->base + m->size;

		/* the rest is nobody's yet; firmware's may lie beyond top */
		if (m->type != BOOT_MEM_FREE && m->type != BOOT_MEM_HYPERVISOR) {
			continue;
		}
		base += base == at ? bytes : 0;
		base = m->type == BOOT_MEM_FREE ? u64_min(base, end) : end;
		frame_move(FRAME_NONE, FRAME_HYPERVISOR, HPA(m->base),
			   base - m->base);
		frame_free(FRAME_NONE, HPA(base), end - base);
	}
	/* what paging_init() has left of the image's 2 MiB */
	at = boot.image_phys + boot.image_size;
	frame_free(FRAME_HYPERVISOR, HPA(at), -at & BIG_PAGE_MASK);
	/* backwards: lists are filled at their heads, so low units go first */
	heads[LIST_DIRTY] = heads[LIST_PARTIAL] = NO_UNIT;
	for (uint32_t i = unit_count; i-- > 0;) {
		list_insert(i);
	}
	lock_drop(&frame_lock);
}

/**
 * Takes one page for an owner. Its content is somebody's of before, and the
 * caller must overwrite all of it before a guest can see it. HPA(FRAME_NULL):
 * none left. A unit that is partly used comes first and a zeroed one last, to
 * keep those for frame_take_big(). frame_lock held.
 */
hpa_t frame_take(uint8_t who)
{
	uint32_t u = heads[LIST_PARTIAL];
	uint64_t page, diff;

	if (u == NO_UNIT) {
		u = heads[LIST_DIRTY] != NO_UNIT ? heads[LIST_DIRTY] :
		    heads[LIST_ZEROED];
	}
	if (u == NO_UNIT) {
		return HPA(FRAME_NULL);
	}
	page = (uint64_t)u * BIG_PAGE_PAGES;
	/* ends: a unit on a list has a free page. Eight at a time: has the
	 * difference a byte that is 0? */
	for (;; page += 8) {
		diff = *(uint64_t *)&owner[page] ^ FRAME_FREE * EACH;
		if ((diff - EACH) & ~diff & EACH << 7) {
			break;
		}
	}
	while (owner[page] != FRAME_FREE) {
		page++;
	}
	take_page(page);
	set_owner(page, 1, FRAME_FREE, who);
	return HPA(page * PAGE_SIZE);
}

/** frame_take() for who needs nothing but a page, and may want it zeroed. */
hpa_t frame_alloc(uint8_t who, bool zero)
{
	hpa_t pa;

	lock_take(&frame_lock);
	pa = frame_take(who);
	lock_drop(&frame_lock);
	if (zero && pa.v != FRAME_NULL) {
		zero_memory(hpa_ptr(pa), PAGE_SIZE);
	}
	return pa;
}

/**
 * Takes a whole 2 MiB unit. *zeroed tells whether it holds only zeroes; if not,
 * the caller zeroes what it shows to a guest. HPA(FRAME_NULL): no whole unit is
 * left, though single pages may be. frame_lock held.
 */
hpa_t frame_take_big(uint8_t who, bool *zeroed)
{
	uint32_t u = heads[LIST_ZEROED];

	*zeroed = u != NO_UNIT;
	if (u == NO_UNIT) {
		u = heads[LIST_DIRTY];
	}
	if (u == NO_UNIT) {
		return HPA(FRAME_NULL);
	}
	list_remove(u);
	units[u].free = 0;
	units[u].zeroed = 0;
	set_owner((uint64_t)u * BIG_PAGE_PAGES, BIG_PAGE_PAGES, FRAME_FREE, who);
	return HPA((uint64_t)u * BIG_PAGE_SIZE);
}

/* The first of so many free pages in a row; units that are wanted whole begin
 * with one. Beyond all memory: there are none. */
static uint64_t find_run(uint64_t pages)
{
	uint64_t all = (uint64_t)unit_count * BIG_PAGE_PAGES;
	uint64_t at = 0, i;

	while (at + pages <= all) {
		for (i = 0; i < pages && owner[at + i] == FRAME_FREE; i++) {
		}
		if (i == pages) {
			return at;
		}
		at += pages < BIG_PAGE_PAGES ? i + 1 : BIG_PAGE_PAGES;
	}
	return all;
}

/**
 * Takes contiguous zeroed memory, the first that fits: from 2 MiB on it begins
 * with a unit, less is wherever there is room. Boot time only: it walks all
 * pages. HPA(FRAME_NULL): no such stretch.
 */
hpa_t frame_alloc_run(uint8_t who, uint64_t bytes)
{
	uint64_t pages = (bytes + PAGE_MASK) / PAGE_SIZE;
	uint64_t at = find_run(pages), i;

	if (at + pages > (uint64_t)unit_count * BIG_PAGE_PAGES) {
		return HPA(FRAME_NULL);
	}
	lock_take(&frame_lock);
	for (i = 0; i < pages; i++) {
		take_page(at + i);
	}
	set_owner(at, pages, FRAME_FREE, who);
	lock_drop(&frame_lock);
	zero_memory(hpa_ptr(HPA(at * PAGE_SIZE)), pages * PAGE_SIZE);
	return HPA(at * PAGE_SIZE);
}

/**
 * Memory that who keeps for ever: zeroed, contiguous, as frame_alloc_run() has
 * it. what it is for names it in the panic if there is none left:
 * nothing can go on without. Boot time only.
 */
hpa_t frame_boot(uint8_t who, uint64_t bytes, const char *what)
{
	hpa_t pa = bytes > PAGE_SIZE ? frame_alloc_run(who, bytes) :
		   frame_alloc(who, true);

	if (pa.v == FRAME_NULL) {
		panic("no memory for %s: %lu KiB in one piece; of %lu MiB that "
		      "are free, none is large enough", what, bytes / 1024,
		      frame_owned(FRAME_FREE) >> 20);
	}
	return pa;
}

/**
 * Gives pages of who back to the pool; another owner's page is a panic. They
 * are zeroed before somebody else gets them. No CPU may still have a
 * translation to them: callers raise gpm_epoch before the partition runs again.
 * frame_lock held.
 */
void frame_free(uint8_t who, hpa_t pa, uint64_t bytes)
{
	uint64_t page = pa.v / PAGE_SIZE, end = page + bytes / PAGE_SIZE, n;

	for (; page < end; page += n) {
		uint32_t u = (uint32_t)(page / BIG_PAGE_PAGES);

		n = u64_min(end - page, BIG_PAGE_PAGES - page % BIG_PAGE_PAGES);
		list_remove(u);
		set_owner(page, n, who, FRAME_FREE);
		units[u].free += (uint16_t)n;
		list_insert(u);
	}
}

/**
 * Pages change owner with their content: donation, and at boot regions, from
 * FRAME_NONE. Neither side is the pool, so units and lists do not change.
 * Memory of another owner, or none at all, is a panic: at boot that is a
 * boot_info that contradicts itself. frame_lock held.
 */
void frame_move(uint8_t from, uint8_t to, hpa_t pa, uint64_t bytes)
{
	uint64_t page = pa.v / PAGE_SIZE, n = bytes / PAGE_SIZE;

	if (page + n > (uint64_t)unit_count * BIG_PAGE_PAGES) {
		panic("page %#lx is not memory", pa.v);
	}
	set_owner(page, n, from, to);
}

/**
 * Bytes that an owner has. FRAME_FREE: what the pool has left. Without
 * frame_lock, a figure of a moment ago.
 */
uint64_t frame_owned(uint8_t who)
{
	return owned[who] * PAGE_SIZE;
}

/** The owner of each page, and how many there are, for who looks at all. */
const uint8_t *frame_owners(uint64_t *pages)
{
	*pages = (uint64_t)unit_count * BIG_PAGE_PAGES;
	return owner;
}

/**
 * Idle work: zeroes one page of a free unit. Returns false when enough units
 * are ready or none is free, or another CPU is at work here. Bounded: about 600
 * instructions, so that an interrupt, or who wants frame_lock, waits no longer
 * than that.
 */
bool frame_zero_one(void)
{
	uint32_t u;

	if (!lock_try(&frame_lock)) {
		return false;
	}
	u = zeroed_units < ZERO_TARGET ? heads[LIST_DIRTY] : NO_UNIT;
	if (u != NO_UNIT) {
		zero_memory(hpa_ptr(HPA((uint64_t)u * BIG_PAGE_SIZE +
					(uint64_t)units[u].zeroed * PAGE_SIZE)),
			    PAGE_SIZE);
		/* with its last page it belongs to another list */
		list_remove(u);
		units[u].zeroed++;
		list_insert(u);
	}
	lock_drop(&frame_lock);
	return u != NO_UNIT;
}

/**
 * Does this page belong to that owner? Addresses beyond memory (devices): no.
 * This tells own pages from channel pages and devices in a second-level map. No
 * lock: whether a page is p's changes under p's lock.
 */
bool frame_is_owner(uint8_t who, hpa_t pa)
{
	uint64_t page = pa.v / PAGE_SIZE;

	return page < (uint64_t)unit_count * BIG_PAGE_PAGES &&
	       owner[page] == who;
}
