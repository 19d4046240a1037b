/* SPDX-License-Identifier: MIT */
/* The machine behind hv_fork.h. */
#include "hv_fork.h"

#define TLB		8u

struct partition *child[2];

static struct {
	uint64_t gpa, pa;
	bool valid, write;
} tlb[4][2][TLB];			/* partition, vCPU */
uint32_t waits;

/* v's guest is entered: caches of before are dropped if they must be. */
static void enter(struct vcpu *v)
{
	if (v->gpm_epoch != v->partition->gpm_epoch) {
		memset(tlb[v->partition->id][v->index], 0, sizeof(tlb[0][0]));
		v->gpm_epoch = v->partition->gpm_epoch;
	}
}

/* Called by who waits for v: it leaves its guest, and enters again. */
void sched_interrupt(const struct vcpu *v)
{
	waits++;
	enter(v->partition->vcpus[v->index]);
}

/* Any vCPU comes through here before it goes on. */
void prepare(struct vcpu *v)
{
	if (v->attention & VCPU_ATT_OTHERS) {
		v->attention &= ~VCPU_ATT_OTHERS;
		release_wait(v);
		assert_false(v->waits);		/* or nobody waited for it again */
	}
	enter(v);
}

/* One access of v's guest, through its TLB, with an exit if need be. NULL: v's
 * partition would be ended for why. */
uint8_t *touch_at(struct vcpu *v, uint64_t gpa, bool write, enum hc_reason *why)
{
	uint64_t page = gpa & ~PAGE_MASK;
	uint32_t slot = (uint32_t)(page / PAGE_SIZE) % TLB;
	__auto_type t = &tlb[v->partition->id][v->index][slot];
	struct gpm_entry e;

	enter(v);
	while (!t->valid || t->gpa != page || (write && !t->write)) {
		if (gpm_lookup(v->partition, GPA(gpa), &e) && e.present &&
		    (e.write || !write)) {
			t->valid = true;
			t->gpa = page;
			t->pa = e.pa.v;
			t->write = e.write;
			break;
		}
		if (!LOCKED(v->partition, (partition_populate)(v, GPA(gpa),
							write, why))) {
			return NULL;
		}
		prepare(v);
	}
	return (uint8_t *)hpa_ptr(HPA(t->pa)) + (gpa & PAGE_MASK);
}

uint8_t get(struct vcpu *v, uint64_t gpa)
{
	enum hc_reason why;
	uint8_t *p = touch_at(v, gpa, false, &why);

	assert_non_null(p);
	return *p;
}

void put(struct vcpu *v, uint64_t gpa, uint8_t value)
{
	enum hc_reason why;
	uint8_t *p = touch_at(v, gpa, true, &why);

	assert_non_null(p);
	*p = value;
}

void stop(struct partition *p)
{
	hv_status_t st;
	uint32_t i;

	for (i = 0; i < p->vcpu_count; i++) {
		p->vcpus[i]->running = 0;
	}
	while ((st = partition_stop(p)) == HC_EAGAIN) {
	}
	assert_int_equal(st, HC_OK);
	assert_int_equal(p->state, HC_STATE_STOPPED);
	check_accounts();
}

/* Large pages, and (small) 16 pages of a table of which the rest is reserved. */
static void fill_unit(uint32_t unit, bool small, uint8_t value)
{
	struct gpm_entry e;
	bool zeroed;
	hpa_t a[8];
	uint32_t i, n = 0;

	for (i = 0; !small && i < BIG_PAGE_PAGES; i++) {
		(void)frame_zero_one();
	}
	/* those that were zeroed, out of the way */
	while (small && (a[n] = alloc_big(FRAME_CHANNEL, &zeroed)).v !=
	       FRAME_NULL && zeroed) {
		n++;
	}
	if (small) {
		free_pages(FRAME_CHANNEL, a[n], BIG_PAGE_SIZE);
	}
	put(linux_p->vcpus[0], UNIT(unit), value);
	while (n) {
		free_pages(FRAME_CHANNEL, a[--n], BIG_PAGE_SIZE);
	}
	assert_true(gpm_lookup(linux_p, GPA(UNIT(unit)), &e));
	assert_int_equal(e.size, small ? PAGE_SIZE : BIG_PAGE_SIZE);
}

int fork_machine(void **state)
{
	int st;

	more_linux = 2;
	st = make_machine(state);
	child[0] = partitions[2];
	child[1] = partitions[3];
	return st;
}

/* Its vCPUs do as they are told. */
hv_status_t freeze(void)
{
	hv_status_t st;
	uint32_t i;

	while ((st = fork_call(HC_FORK_FREEZE, 1, 0)) == HC_EAGAIN) {
		for (i = 0; i < 2; i++) {
			struct vcpu *v = linux_p->vcpus[i];

			v->running = 0;
			if (v->attention & VCPU_ATT_PARK) {
				fork_park(v, v->attention);
				v->attention = 0;
			}
		}
	}
	return st;
}

/* A template: units 0 and 1 large, 2 in small pages, 3 not touched, some of what
 * lies below; each page with something of its own. */
void template(void **state)
{
	struct vcpu *v = linux_p->vcpus[0];
	uint32_t i;

	(void)state;
	for (i = 3; i > 0; i--) {	/* children first */
		if (partitions[i]->state) {
			stop(partitions[i]);
		}
	}
	memset(tlb, 0, sizeof(tlb));
	assert_int_equal(partition_start(linux_p, &(struct vcpu_start){ 0 }),
			 HC_OK);
	linux_p->vcpus[1]->state = VCPU_HALTED;
	fill_unit(0, false, 1);
	fill_unit(1, false, 2);
	fill_unit(2, true, 3);
	for (i = 0; i < 2 * BIG_PAGE_PAGES + 16; i++) {
		put(v, LINUX_RAM + i * PAGE_SIZE + 8, (uint8_t)(i % 251 + 1));
		put(v, LINUX_RAM + i * PAGE_SIZE + PAGE_SIZE - 1,
		    (uint8_t)(i % 241 + 1));
	}
	put(v, 0x5000, 0x55);
	assert_int_equal(freeze(), HC_OK);
	check_accounts();
}

uint64_t checksum(void)
{
	uint64_t gpa, sum = 0, i;
	struct gpm_entry e;

	for (gpa = 0; gpa < LINUX_RAM + LINUX_RAM_SIZE; gpa += PAGE_SIZE) {
		if (gpa == 0x9f000) {
			gpa = LINUX_RAM;
		}
		if (gpm_lookup(linux_p, GPA(gpa), &e) && e.present) {
			const uint64_t *p = hpa_ptr(e.pa);

			assert_int_equal(owner_of(e.pa.v),
					 FRAME_PARTITION0 + 1);
			for (i = 0; i < PAGE_SIZE / 8; i++) {
				sum = sum * 31 + p[i];
			}
		}
	}
	return sum;
}

struct vcpu *forked(uint32_t i)
{
	uint32_t k;

	assert_int_equal(fork_call(HC_FORK_CHILD, 1, 2 + i), HC_OK);
	for (k = 0; k < 2; k++) {
		struct vcpu *v = child[i]->vcpus[k];

		assert_true(v->attention & VCPU_ATT_FORK);
		v->attention = 0;
		v->running = 1;
		v->gpm_epoch = 0;
	}
	return child[i]->vcpus[0];
}
