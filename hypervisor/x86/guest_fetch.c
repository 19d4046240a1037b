/* SPDX-License-Identifier: MIT */
/*
 * The bytes of the instruction a vCPU stands at, read once into a private
 * copy. Used only where the processor does not tell what is needed: the
 * LAPIC page, and instruction lengths on processors without next-RIP save.
 */
#include <hv.h>
#include <partition.h>
#include <x86.h>

#define PTE_P		BIT64(0)
#define PTE_PS		BIT64(7)
#define PTE_ADDR	0x000ffffffffff000ull

/* Linear to guest-physical: paging off, or the guest's 4-level tables. Other
 * paging modes are not needed by what we run: false. */
static bool walk(struct vcpu *v, uint64_t va, uint64_t *gpa)
{
	uint64_t at = hvm->vcpu_get(v, VCPU_CR3) & PTE_ADDR, *t;
	int level;

	if (!(hvm->vcpu_get(v, VCPU_CR0) & CR0_PG)) {
		*gpa = (uint32_t)va;
		return true;
	}
	if (!(hvm->vcpu_get(v, VCPU_EFER) & EFER_LMA)) {
		return false;
	}
	for (level = 3; level >= 0; level--) {
		uint64_t off = (va >> (12 + 9 * level) & 511) * 8, e;

		t = partition_memory(v->partition, GPA(at + off), 8);
		if (!t) {
			return false;
		}
		e = __atomic_load_n(t, __ATOMIC_RELAXED);
		if (!(e & PTE_P)) {
			return false;
		}
		if (level && level < 3 && (e & PTE_PS)) {
			uint64_t size = BIT64(12 + 9 * level);

			*gpa = (e & PTE_ADDR & ~(size - 1)) |
			       (va & (size - 1));
			return true;
		}
		at = e & PTE_ADDR;
	}
	*gpa = at | (va & PAGE_MASK);
	return true;
}

/**
 * Copies up to max bytes from CS:RIP on; returns how many could be read. On
 * v's CPU, hv_lock not held.
 */
uint32_t guest_fetch(struct vcpu *v, uint8_t *bytes, uint32_t max)
{
	uint64_t at = hvm->vcpu_get(v, VCPU_RIP), gpa;
	const uint8_t *p = NULL;
	uint32_t n;

	if (!(hvm->vcpu_get(v, VCPU_CS_ATTR) & BIT64(13))) {
		at += hvm->vcpu_get(v, VCPU_CS_BASE);
	}
	hv_lock();
	for (n = 0; n < max; n++, p++) {
		if (!p || !((at + n) & PAGE_MASK)) {
			if (!walk(v, at + n, &gpa)) {
				break;
			}
			p = partition_memory(v->partition, GPA(gpa), 1);
			if (!p) {
				break;
			}
		}
		bytes[n] = *(const volatile uint8_t *)p;
	}
	hv_unlock();
	return n;
}
