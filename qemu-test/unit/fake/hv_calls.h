/* SPDX-License-Identifier: MIT */
/*
 * What hypercalls act on, each a fake that tells what it was asked for. For one
 * program, hv_hypercall_test.c, which has the partitions.
 */
#ifndef HV_CALLS_H
#define HV_CALLS_H

#include "hv_fakes.h"

#include <iommu.h>

static struct partition part[2];

/* What the acting functions were called with. */
static struct {
	uint32_t calls;
	const void *who, *to;
	uint64_t a, b, n;
	struct vcpu_start start;
	hv_status_t answer;
} asked;

const char *const vm_exit_names[VM_EXIT_COUNT] = {
	[0 ... VM_EXIT_CPUID - 1] = "name",
	[VM_EXIT_CPUID] = "exactly16letters, then more",
	[VM_EXIT_CPUID + 1 ... VM_EXIT_COUNT - 1] = "name",
};

static hv_status_t note(const void *who, const void *to, uint64_t a,
			uint64_t b, uint64_t n)
{
	asked.calls++;
	asked.who = who;
	asked.to = to;
	asked.a = a;
	asked.b = b;
	asked.n = n;
	return asked.answer;
}

hv_status_t partition_start(struct partition *p, const struct vcpu_start *s)
{
	asked.start = *s;
	return note(p, NULL, 0, 0, 0);
}

hv_status_t partition_stop(struct partition *p)
{
	return note(p, NULL, 0, 0, 0);
}

hv_status_t donate_memory(struct partition *from, gpa_t src,
			     struct partition *to, gpa_t dst, uint64_t pages)
{
	/* its to check */
	return to ? note(from, to, src.v, dst.v, pages) : HC_EINVAL;
}

hv_status_t release_memory(struct vcpu *v, const uint64_t block[5])
{
	LOCK_HELD(&v->partition->lock);
	assert_int_equal(fake.lock_depth, 1);
	/* the registers in their order, none left out */
	assert_true(block[0] + 1 == block[1] && block[1] + 1 == block[2] &&
		    block[2] + 1 == block[3] && block[3] + 1 == block[4]);
	return note(v->partition, NULL, block[0], v->index, 0);
}

hv_status_t channel_doorbell(struct partition *p, uint64_t n)
{
	/* a remote call waits for nobody's lock */
	assert_int_equal(fake.locks, 0);
	asked.calls++;
	asked.who = p;
	asked.a = n;
	return asked.answer;
}

hv_status_t channel_set_state(struct partition *p, uint64_t n, uint32_t value)
{
	return note(p, NULL, n, value, 0);
}

hv_status_t iommu_report_query(uint64_t index, struct guest_regs *r)
{
	if (index) {
		return HC_ENOENT;
	}
	r->rdi = 200;
	r->r8 = 204;
	return HC_OK;
}

hv_status_t check_query(struct guest_regs *r)
{
	r->rdi = 300;
	return HC_OK;
}

hv_status_t check_query_map(uint64_t index, struct guest_regs *r)
{
	if (index != 1) {
		return HC_ENOENT;
	}
	r->rdi = r->rdx + 400;
	return HC_OK;
}

hv_status_t channel_query(struct partition *p, uint64_t n, struct guest_regs *r)
{
	if (!asked.answer) {
		r->rdi = 100;
		r->r8 = 104;
	}
	return note(p, NULL, n, 0, 0);
}

hv_status_t kvmclock_set_wall(uint64_t ns)
{
	return note(NULL, NULL, ns, 0, 0);
}

hv_status_t irq_control(uint64_t line, uint64_t unmask)
{
	return note(NULL, NULL, line, unmask, 0);
}

static uint64_t moved;		/* pages, since the test began */

uint64_t frame_owned(uint8_t who)
{
	return (who + moved) * PAGE_SIZE;
}

static uint64_t pages_owned;

uint64_t promise_owned(const struct partition *p)
{
	assert_ptr_equal(p, &part[1]);
	return pages_owned;
}

uint64_t promise_sure(const struct partition *p)
{
	return p->pages_cap - 3;
}

uint32_t log_read(uint64_t *cursor, char *out, uint32_t len)
{
	assert_int_equal(len, 24);
	memcpy(out, "0123456789abcdefghijklmn", 24);
	*cursor += 24;
	return 24;
}

#endif
