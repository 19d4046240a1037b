/* SPDX-License-Identifier: MIT */
/*
 * The bytes of the instruction a vCPU stands at, read once into a private
 * copy. Used only where the processor does not tell what is needed: the LAPIC
 * page, and instruction lengths on processors without next-RIP save.
 *
 * The guest's tables and code are its own to change at any time, from another
 * vCPU too: every entry and byte is read once, each address goes through
 * partition_memory(), so only RAM of its own partition is ever read, and a
 * guest that cheats gets an answer that fits other bytes of its own.
 */
#include <hv.h>
#include <partition.h>
#include <x86.h>

/* Guest page tables. [SDM3 "4-Level Paging and 5-Level Paging"] */
#define PTE_P		BIT64(0)
#define PTE_PS		BIT64(7)
#define PTE_ADDR	0x000ffffffffff000ull

/* Anywhere in a page, read once. */
typedef const volatile uint64_t __attribute__((aligned(1))) eight_bytes;

/* The host's view of the page around a linear address: paging off, or the guest's
 * 4-level tables. Other paging modes are not needed by what we run: NULL. */
static const uint8_t *page_of(struct vcpu *v, uint64_t va, uint64_t cr3)
{
	bool paging = hvm->vcpu_get(v, VCPU_CR0) & CR0_PG;
	uint64_t at = (paging ? cr3 : (uint32_t)va) & PTE_ADDR, off, size, e, *t;
	int level;

	if (paging && !(hvm->vcpu_get(v, VCPU_EFER) & EFER_LMA)) {
		return NULL;
	}
	for (level = paging ? 3 : -1; level >= 0; level--) {
		off = (va >> (12 + 9 * level) & 511) * 8;
		t = partition_memory(v, GPA(at + off), 8, false);
		e = t ? __atomic_load_n(t, __ATOMIC_RELAXED) : 0;
		if (!(e & PTE_P)) {
			return NULL;
		}
		at = e & PTE_ADDR;
		if (level && level < 3 && (e & PTE_PS)) {
			size = BIT64(12 + 9 * level) - 1;
			at = (at & ~size) | (va & size & PTE_ADDR);
			break;
		}
	}
	return partition_memory(v, GPA(at), 1, false);
}

/* The last page again? A guest that has changed its tables meanwhile gets
 * the bytes that were there: they are its own, of memory it still owns (the
 * epoch), and guest_fetch_forget() follows if they make no sense. */
static inline bool fetch_again(struct vcpu *v, uint64_t at, uint64_t cr3,
			       uint8_t *bytes, uint32_t max)
{
	uint64_t off = at & PAGE_MASK, first, last;

	if (v->fetch_va != (at & ~PAGE_MASK) || max != FETCH_MAX ||
	    off > PAGE_SIZE - FETCH_MAX ||
	    v->fetch_epoch != v->partition->gpm_epoch || v->fetch_cr3 != cr3) {
		return false;
	}
	/* the two share a byte */
	first = *(eight_bytes *)(v->fetch_page + off);
	last = *(eight_bytes *)(v->fetch_page + off + FETCH_MAX - 8);
	__builtin_memcpy(bytes, &first, 8);
	__builtin_memcpy(bytes + FETCH_MAX - 8, &last, 8);
	return true;
}

/**
 * The next guest_fetch() translates anew: for callers to whom bytes of a
 * moment ago will not do, and at a reset. On v's CPU.
 */
void guest_fetch_forget(struct vcpu *v)
{
	v->fetch_va = ~0ull;
}

/* By a walk of the tables; the first page's translation is kept. */
static __attribute__((noinline)) uint32_t
fetch_anew(struct vcpu *v, uint64_t at, uint64_t cr3, uint8_t *bytes,
	   uint32_t max)
{
	/* what is looked up later is good for as long at least */
	uint64_t epoch = __atomic_load_n(&v->partition->gpm_epoch,
					 __ATOMIC_ACQUIRE);
	const uint8_t *page = NULL;
	uint32_t n;

	for (n = 0; n < max; n++) {
		/* an instruction may cross into another page */
		if (!page || !((at + n) & PAGE_MASK)) {
			page = page_of(v, at + n, cr3);
			if (!page) {
				break;
			}
		}
		if (n == 0) {
			v->fetch_va = at & ~PAGE_MASK;
			v->fetch_cr3 = cr3;
			v->fetch_epoch = epoch;
			v->fetch_page = page;
		}
		bytes[n] = *(const volatile uint8_t *)
			   &page[(at + n) & PAGE_MASK];
	}
	return n;
}

/**
 * Copies up to max bytes (FETCH_MAX is the most an instruction has) from the
 * linear address at on, by the page tables of cr3, v's own; returns how many
 * could be read: fewer, also none, where the page is not there, no RAM, or the
 * paging mode is not known to page_of(). Rights (user, NX) are not looked at: the
 * processor has fetched from there already. On v's CPU, no lock held.
 */
uint32_t guest_fetch(struct vcpu *v, uint64_t at, uint64_t cr3, uint8_t *bytes,
		     uint32_t max)
{
	return fetch_again(v, at, cr3, bytes, max) ? max :
	       fetch_anew(v, at, cr3, bytes, max);
}
