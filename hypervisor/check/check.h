/* SPDX-License-Identifier: MIT */
/* Between the files of the checker. */
#ifndef ISTHMUS_CHECK_H
#define ISTHMUS_CHECK_H

#include <hv.h>
#include <partition.h>
#include <percpu.h>
#include <x86.h>

enum { CHECK_R = 1, CHECK_W = 2, CHECK_X = 4, CHECK_RWX = 7, CHECK_UC = 8, CHECK_BAD_TYPE = 16 };

#define CHECK_ADDR	0x000ffffffffff000ull	/* in entries of all tables */
/* Whose processors these are; hvm itself may be a copy that traces. */
#define CHECK_VMX	(hvm->gpm_format == hvm_vmx.gpm_format)

/* Who uses tables: what is looked for in them. */
enum check_user { CHECK_GUEST, CHECK_OWN, CHECK_INTEL, CHECK_AMD };

/* What is mapped in one piece, as a list of all tells. */
struct check_piece {
	uint64_t from, at, pa, size;
	uint32_t rights, pages;
	bool done;
};

struct check_scan {
	enum check_user user;
	bool mark;			/* a first pass: tables only */
	uint8_t owner;			/* of the tables */
	const struct partition *p;	/* GUEST's .. */
	struct check_piece *list;	/* .. and it is only listed */
	uint32_t function;		/* INTEL's, AMD's */
};

/* A number that must have these bits, and may have those besides. */
struct check_rule {
	uint64_t is, must, may;
	const char *what;
};

extern const uint8_t *check_owners;	/* frame.c's, of so many pages */
extern uint64_t check_pages, check_ram;	/* .. and those that partitions have been seen to have */
extern uint64_t *check_tables, *check_writable;	/* marks: a bit for each page */

/* check.c: the first thing that is wrong is kept */
void check_found(const char *what, const struct partition *p, uint64_t at, uint64_t value);
void check_rules(const struct check_rule *r, uint32_t n, const struct partition *p, uint64_t at);

/* check_map.c */
bool check_owned_all(uint8_t owner, uint64_t pa, uint64_t size);
void check_scan(const struct check_scan *s, uint64_t table, uint32_t level, uint64_t at,
		uint32_t rights);
void check_maps(bool mark);

/** Does all of that memory belong to the owner? size: a multiple of 4 KiB. */
static inline bool check_owned(uint8_t owner, uint64_t pa, uint64_t size)
{
	return size > PAGE_SIZE ? check_owned_all(owner, pa, size) :
	       pa / PAGE_SIZE < check_pages && check_owners[pa / PAGE_SIZE] == owner;
}

static inline bool check_within(uint64_t at, uint64_t size, uint64_t base, uint64_t bytes)
{
	return at >= base && size <= bytes && at - base <= bytes - size;
}

/* BOOT_MAP_* to CHECK_*. */
static inline uint32_t check_rights(uint32_t flags)
{
	return CHECK_R | (flags & BOOT_MAP_WRITE ? CHECK_W : 0) |
	       (flags & BOOT_MAP_EXEC ? CHECK_X : 0);
}

/* check_guest.c: what the manifest lets a partition have; what its RAM may be used for
 * from one address to another, as it was looked up last: pages come in the order of their
 * addresses. 0: there is to be none. */
extern struct check_range {
	const struct partition *of;
	uint64_t from, end;
	uint32_t may;
} check_last;
void check_guest_page(const struct partition *p, uint64_t at, uint64_t pa, uint64_t size,
		      uint32_t rights);
void check_permissions(const struct partition *p);
uint64_t check_meaning(void);

/** What most pages are: 4 KiB of RAM where the one before was, that nobody has yet. false:
 * check_guest_page() says what it is. */
static inline bool check_usual(const struct partition *p, uint64_t at, uint64_t pa)
{
	uint64_t page = pa / PAGE_SIZE, bit = BIT64(page % 64);

	if (p != check_last.of || at - check_last.from >= check_last.end - check_last.from ||
	    check_last.may != CHECK_RWX || !check_owned(partition_frames(p), pa, PAGE_SIZE) ||
	    ((check_tables[page / 64] | check_writable[page / 64]) & bit)) {
		return false;
	}
	check_writable[page / 64] |= bit;
	check_ram++;
	return true;
}

/* check_cpu.c: on the CPU itself */
void check_cpu_state(void);

/* iommu/iommu_check.c */
bool check_overlap(uint64_t a, uint64_t size, uint64_t b, uint64_t bytes);
bool check_machine(uint64_t pa, uint64_t size);
bool check_device_memory(const struct partition *p, uint64_t at, uint64_t pa, uint64_t size,
			 uint32_t rights);
void check_device_page(uint32_t function, uint64_t at, uint64_t pa, uint64_t size,
		       uint32_t rights);
void check_iommus(void);

#endif
