/* SPDX-License-Identifier: MIT */
/*
 * One walk for all kinds of tables: the partitions' second-level maps, the
 * hypervisor's own, the devices'. What a table says is not believed: an address is
 * looked at only if it is memory of who should have it, and no table is entered
 * twice. [SDM3 "4-Level Paging and 5-Level Paging", "EPT Translation Mechanism"; APM2
 * "Nested Paging"; VT-d "Second-Stage Paging Entries"; AMD-Vi "I/O Page Tables for
 * Host Translations"]
 */
#include <abi/hypercall.h>

#include "check.h"

#define TOP		3u		/* level of the first table */
#define LARGE		BIT64(7)
#define NO_EXEC		BIT64(63)
#define PIECE		512u		/* pages at most */
#define DEVICES		0xfffffe8000000000ull	/* registers, in the hypervisor's map */

uint64_t *check_tables, *check_writable;

extern const char text_end[], rodata_end[];

/** check_owned() of more than a page. */
bool check_owned_all(uint8_t owner, uint64_t pa, uint64_t size)
{
	uint64_t page = pa / PAGE_SIZE, end = page + size / PAGE_SIZE;

	while (end <= check_pages && page < end && check_owners[page] == owner) {
		page += !(page & 7) && end - page >= 8 && *(const uint64_t *)&check_owners[page] ==
			owner * 0x0101010101010101ull ? 8 : 1;
	}
	return page == end;
}

static uint32_t rights_of(enum check_user user, uint64_t e)
{
	return user == CHECK_AMD ? e >> 61 & 3 :
	       CHECK_R | (e & CHECK_W) | (e & NO_EXEC ? 0 : CHECK_X);
}

/* Memory of a guest's is write-back, a device's uncached, whatever the guest's PAT says: what
 * of a page is not so. [SDM3 "EPT and Memory Typing"; APM2 "Nested Paging and Memory Typing"] */
static uint32_t type_of(uint64_t e)
{
	uint64_t not_wb = CHECK_VMX ? (e & 0x78) ^ 0x70 : e & 0x18;

	return !not_wb ? 0 : not_wb == (CHECK_VMX ? 0x30 : 0x18) ? CHECK_UC : CHECK_BAD_TYPE;
}

/* Is it a page, at this level? AMD-Vi's say of which level the table is. */
static bool is_page(enum check_user user, uint64_t e, uint32_t level)
{
	return user == CHECK_AMD ? !(e >> 9 & 7) : !level || (e & LARGE);
}

/* Is it the hypervisor's to touch? Not firmware's memory, nor by a second way its image. */
static bool is_memory(uint64_t pa, uint64_t size)
{
	const struct boot_mem *m = boot.mem;

	for (; m < boot.mem + boot.mem_count && (m->type == BOOT_MEM_FIRMWARE ||
	       pa < m->base || pa + size > m->base + m->size); m++) {
	}
	return m < boot.mem + boot.mem_count &&
	       (pa >= boot.image_phys + boot.image_size || pa + size <= boot.image_phys);
}

/* One page of the hypervisor's own map: where it is to be, with no more rights. */
static void own_page(uint64_t at, uint64_t pa, uint64_t size, uint32_t rights)
{
	uint64_t va = at >> 47 ? at | ~(BIT64(48) - 1) : at, in = va - HV_IMAGE_BASE;
	uint64_t on = pa - boot.screen.base, may = CHECK_R | CHECK_W;
	bool right = va - DMAP_BASE == pa && (is_memory(pa, size) ||
		     (on < boot.screen.size && size <= boot.screen.size - on));

	if (in < boot.image_size) {
		may = va < (uintptr_t)text_end ? CHECK_R | CHECK_X :
		      va < (uintptr_t)rodata_end ? CHECK_R : may;
		right = pa == boot.image_phys + in && size == PAGE_SIZE;
	} else if (va - DEVICES < BIG_PAGE_SIZE) {
		right = pa / PAGE_SIZE >= check_pages || check_owned(FRAME_NONE, pa, size);
	}
	if (!right || (rights & ~may)) {
		check_found("the hypervisor maps what it should not", NULL, va, pa | rights);
	}
}

/* Adds a page to a piece that is in one, or begins it. One exit's worth at most. */
static void list(struct check_piece *l, uint64_t at, uint64_t pa, uint64_t size, uint32_t rights)
{
	if (!l->pages++) {
		*l = (struct check_piece){ l->from, at, pa, 0, rights, 1, false };
	}
	l->done = at != l->at + l->size || pa != l->pa + l->size || rights != l->rights ||
		  l->pages > PIECE;
	l->size += l->done ? 0 : size;
}

static void page_of(const struct check_scan *s, uint64_t at, uint64_t e, uint64_t size,
		    uint32_t rights)
{
	uint64_t pa = e & CHECK_ADDR & ~(size - 1);

	if (s->list) {
		list(s->list, at, pa, size, rights);
	} else if (s->user == CHECK_GUEST) {
		check_guest_page(s->p, at, pa, size, rights | type_of(e));
	} else if (s->user == CHECK_OWN) {
		own_page(at, pa, size, rights);
	} else {
		check_device_page(s->function, at, pa, size, rights);
	}
}

/* A table, where it can be looked at; NULL: it cannot be one. */
static const volatile uint64_t *table_at(const struct check_scan *s, uint64_t pa)
{
	uint64_t in = pa - boot.image_phys, bit = BIT64(pa / PAGE_SIZE % 64);

	if (!check_owned(s->owner, pa, PAGE_SIZE)) {
		check_found("a table is not memory of its owner's", s->p, pa, s->owner);
		return NULL;
	}
	if (s->mark && (check_tables[pa / PAGE_SIZE / 64] & bit)) {
		check_found("a table is used twice", s->p, pa, s->owner);
		return NULL;
	}
	check_tables[pa / PAGE_SIZE / 64] |= bit;
	return in < boot.image_size ? (uint64_t *)(uintptr_t)(HV_IMAGE_BASE + in) :
	       hpa_ptr(HPA(pa));
}

/**
 * Looks through a table, whose entries each stand for 4 KiB << 9 * level, the
 * first one for address at; rights: what the entries above allow. Nothing changes
 * meanwhile but what processors mark in entries.
 */
void check_scan(const struct check_scan *s, uint64_t table, uint32_t level, uint64_t at,
		uint32_t rights)
{
	const volatile uint64_t *t = table_at(s, table);
	const uint64_t span = BIT64(12 + 9 * level);
	/* those have a bit for each right, and are present by any */
	const bool intel = s->user == CHECK_INTEL || (s->user == CHECK_GUEST && CHECK_VMX);
	/* a small page of a guest's, write-back, with all rights: most are, and then usual */
	const uint64_t mask = intel ? 0x7f : NO_EXEC | 0x1b, all = intel ? 0x77 : 3;
	const struct partition *p = level || s->list || rights != CHECK_RWX ? NULL : s->p;
	/* of the last tables the first pass needs no more than that they are */
	uint32_t i = t && (level || !s->mark) ? 0 : 512, r;

	for (; i < 512 && !(s->list && s->list->done); i++, at += span) {
		uint64_t e = t[i];

		if ((p && (e & mask) == all && check_usual(p, at, e & CHECK_ADDR)) ||
		    !(e & (intel ? CHECK_RWX : 1)) || (s->list && at + span <= s->list->from)) {
			continue;
		}
		r = rights & (intel ? (uint32_t)e : rights_of(s->user, e));
		if (!is_page(s->user, e, level)) {
			if (s->user == CHECK_AMD && (e >> 9 & 7) != level) {
				check_found("an entry names another level", NULL, at, e);
				return;
			}
			check_scan(s, e & CHECK_ADDR, level - 1, at, r);
		} else if (!s->mark) {
			page_of(s, at, e, span, r);
		}
	}
}

/** The hypervisor's own map, and those of all partitions: first marking all tables, then
 * what they map. All partitions' locks and frame_lock held. */
void check_maps(bool mark)
{
	struct check_scan s = { .user = CHECK_OWN, .mark = mark, .owner = FRAME_HYPERVISOR };

	check_scan(&s, read_cr3() & CHECK_ADDR, TOP, 0, CHECK_RWX);
	s.user = CHECK_GUEST;
	for (uint32_t i = 0; i < partition_count; i++) {
		s.p = partitions[i];
		s.owner = partition_frames(s.p);
		check_scan(&s, s.p->gpm_root.v, TOP, 0, CHECK_RWX);
	}
}

/**
 * HC_QUERY_MAP: the next piece of a partition's memory from RDX on: where it is, its
 * bytes, which memory, which rights. HC_ENOENT: there is no more. No lock held.
 */
hv_status_t check_query_map(uint64_t index, struct guest_regs *r)
{
	struct partition *p = partition_get(index);
	struct check_piece piece = { .from = r->rdx };
	struct check_scan s = { .user = CHECK_GUEST, .p = p, .list = &piece };

	if (!p || r->rdx >> 48) {
		return HC_ENOENT;
	}
	s.owner = partition_frames(p);
	lock_take(&p->lock);
	check_scan(&s, p->gpm_root.v, TOP, 0, CHECK_RWX);
	lock_drop(&p->lock);
	r->rdi = piece.at;
	r->rsi = piece.size;
	r->rdx = piece.pa;
	r->r10 = piece.rights;
	return piece.size ? HC_OK : HC_ENOENT;
}
