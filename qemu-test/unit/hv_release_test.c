/* SPDX-License-Identifier: MIT */
/*
 * Memory given back while vCPUs run (core/release.c), on the fake machine: which
 * frames are in quarantine, for how long, and that no vCPU ever holds a
 * translation to, or a pointer into, what is not its partition's any more. The
 * vCPUs' caches are kept here: a list of what each has seen.
 */
#include <stdlib.h>

#include "hv_memory.h"

#define UNIT(n)		(LINUX_RAM + (n) * BIG_PAGE_SIZE)
#define BLOCK(n, units)	(UNIT(n) + (units))

static struct vcpu *v0, *v1;

static int machine(void **state)
{
	int st = make_machine(state);

	v0 = linux_p->vcpus[0];
	v1 = linux_p->vcpus[1];
	return st;
}

static void stop(void)
{
	v0->running = v1->running = 0;
	(void)stop_linux();
}

static void each(void **state)
{
	(void)state;
	stop();
	v0->running = 1;
	v1->running = 0;
	v0->gpm_epoch = v1->gpm_epoch = linux_p->gpm_epoch;
	fake.interrupts = 0;
}

static hv_status_t release(struct vcpu *v, uint64_t a, uint64_t b)
{
	const uint64_t blocks[HC_RELEASE_BLOCKS] = { 0, a, 0, 0, b };

	return release_memory(v, blocks);
}

static void release_all(uint64_t a, uint64_t b)
{
	hv_status_t st;
	uint32_t calls = 0;

	while ((st = release(v0, a, b)) == HC_EAGAIN) {
		assert_true(++calls < 100);
	}
	assert_int_equal(st, HC_OK);
	check_accounts();
}

/* One large page, of a unit that was zeroed. */
static hpa_t make_large(uint64_t gpa)
{
	struct gpm_entry e;
	uint32_t i;

	for (i = 0; i < BIG_PAGE_PAGES; i++) {
		(void)frame_zero_one();
	}
	assert_true(populate(linux_p, gpa));
	assert_true(gpm_lookup(linux_p, GPA(gpa), &e));
	assert_int_equal(e.size, BIG_PAGE_SIZE);
	memset(hpa_ptr(e.pa), 0x55, BIG_PAGE_SIZE);
	return e.pa;
}

/* A table: 16 pages present, the others reserved; or (small) one page alone. */
static hpa_t make_table(uint64_t gpa, bool small)
{
	uint64_t min = linux_p->pages_cap;
	struct gpm_entry e;
	bool zeroed;
	hpa_t a[8];
	uint32_t n = 0;

	/* those that were zeroed, out of the way */
	while ((a[n] = alloc_big(FRAME_CHANNEL, &zeroed)).v !=
	       FRAME_NULL && zeroed) {
		n++;
	}
	free_pages(FRAME_CHANNEL, a[n], BIG_PAGE_SIZE);
	if (small) {
		linux_p->pages_cap = promise_owned(linux_p) -
				     linux_p->pages_tables + 1;
	}
	assert_true(populate(linux_p, gpa));
	linux_p->pages_cap = min;
	while (n) {
		free_pages(FRAME_CHANNEL, a[--n], BIG_PAGE_SIZE);
	}
	assert_true(gpm_lookup(linux_p, GPA(gpa), &e));
	assert_int_equal(e.size, PAGE_SIZE);
	memset(hpa_ptr(e.pa), 0x66, PAGE_SIZE);
	return e.pa;
}

/* Idle work makes nobody wait. */
static void idle_work(void **state)
{
	each(state);
	fake.lock_busy = true;
	assert_false(frame_zero_one());
	fake.lock_busy = false;
	assert_true(frame_zero_one());
}

/* The caller's vCPU is the only one that runs: nobody is to be waited for. */
static void alone(void **state)
{
	uint64_t before = (each(state), promise_owned(linux_p)), epoch;
	hpa_t large = make_large(UNIT(1)), small = make_table(UNIT(2), false);
	struct gpm_entry e;

	epoch = linux_p->gpm_epoch;
	release_all(BLOCK(1, 2), 0);
	assert_int_equal(linux_p->gpm_epoch, epoch + 1);
	assert_int_equal(fake.interrupts, 0);
	/* the upper tables stay */
	assert_in_range(promise_owned(linux_p), before, before + 2);
	assert_int_equal(owner_of(large.v), FRAME_FREE);
	assert_int_equal(owner_of(small.v), FRAME_FREE);
	assert_true(gpm_range_empty(linux_p, GPA(UNIT(1))));
	assert_true(gpm_range_empty(linux_p, GPA(UNIT(2))));
	check_accounts();
	/* nothing is there any more: no flush for nothing */
	assert_int_equal(release(v0, BLOCK(1, 2), BLOCK(7, 1)), HC_OK);
	assert_int_equal(linux_p->gpm_epoch, epoch + 1);
	/* touched again: a whole unit, zeroed */
	assert_true(populate(linux_p, UNIT(1)));
	assert_true(gpm_lookup(linux_p, GPA(UNIT(1)), &e));
	assert_true(all_zero(e.pa.v, PAGE_SIZE));
	assert_in_range(promise_owned(linux_p), before + 512, before + 515);
	stop();
}

static void quarantine(void **state)
{
	hpa_t large = (each(state), make_large(UNIT(1)));
	hpa_t small = make_table(UNIT(2), false);
	uint64_t owned_before = promise_owned(linux_p), i;
	struct gpm_entry e;

	v1->running = 1;
	for (i = 1; i < 4; i++) {
		assert_int_equal(release(v0, BLOCK(1, 1), BLOCK(2, 1)),
				 HC_EAGAIN);
		/* asked each time, as it may have entered just before */
		assert_int_equal(fake.interrupts, i);
		assert_int_equal(promise_owned(linux_p), owned_before);
		assert_int_equal(owner_of(large.v), FRAME_PARTITION0 + 1);
		assert_int_equal(owner_of(small.v), FRAME_PARTITION0 + 1);
		assert_true(gpm_lookup(linux_p, GPA(UNIT(1)), &e));
		assert_true(e.reserved && !e.present);
		assert_true(gpm_lookup(linux_p, GPA(UNIT(2)), &e));
		assert_true(e.reserved && !e.present);
	}
	/* a flush that is due for another reason says nothing */
	v1->gpm_epoch = 0;
	assert_int_equal(release(v0, BLOCK(1, 1), BLOCK(2, 1)), HC_EAGAIN);
	/* what one has passed the other need not have: v1 calls, v0 is away */
	assert_int_equal(release(v1, BLOCK(1, 1), 0), HC_EAGAIN);
	assert_int_equal(owner_of(large.v), FRAME_PARTITION0 + 1);
	v1->gpm_epoch = linux_p->gpm_epoch;
	release_all(BLOCK(1, 1), BLOCK(2, 1));
	assert_int_equal(owner_of(large.v), FRAME_FREE);
	assert_int_equal(owner_of(small.v), FRAME_FREE);
	stop();
	/* or it has left its run loop */
	each(state);
	large = make_large(UNIT(1));
	v1->running = 1;
	assert_int_equal(release(v0, BLOCK(1, 1), 0), HC_EAGAIN);
	v1->running = 0;
	release_all(BLOCK(1, 1), 0);
	assert_int_equal(owner_of(large.v), FRAME_FREE);
	stop();
}

/* What is touched in quarantine comes back as it was, and stays. */
static void touched(void **state)
{
	static const uint64_t units[] = { UNIT(1), UNIT(2), UNIT(3) };
	hpa_t pa[3];
	uint32_t i;

	each(state);
	pa[0] = make_large(units[0]);
	pa[1] = make_table(units[1], false);
	pa[2] = make_table(units[2], true);
	v1->running = 1;
	assert_int_equal(release(v0, BLOCK(1, 3), 0), HC_EAGAIN);
	/* a page that was reserved, and one that was not there */
	assert_true(populate(linux_p, units[1] + 0x70000));
	assert_true(populate(linux_p, units[2] + 0x70000));
	assert_true(populate(linux_p, units[0] + 0x1000));
	for (i = 0; i < 3; i++) {
		uint8_t *p = partition_memory(linux_p, GPA(units[i]), 8);

		assert_ptr_equal(p, hpa_ptr(pa[i]));
		assert_int_equal(*p, i ? 0x66 : 0x55);
	}
	check_accounts();
	v1->running = 0;
	assert_int_equal(release(v0, 0, 0), HC_EAGAIN);
	assert_int_equal(release(v0, 0, 0), HC_OK);
	for (i = 0; i < 3; i++) {
		assert_int_equal(owner_of(pa[i].v), FRAME_PARTITION0 + 1);
	}
	check_accounts();
	stop();
}

/* A large page that must be split to be executed is one after it came back. */
static void touched_split(void **state)
{
	each(state);
	fake_format.split_exec = true;
	make_large(UNIT(1));
	v1->running = 1;
	assert_int_equal(release(v0, BLOCK(1, 1), 0), HC_EAGAIN);
	check_accounts();
	/* nothing to split there now */
	assert_int_equal(gpm_split(linux_p, GPA(UNIT(1))), HC_OK);
	assert_int_equal(gpm_map(linux_p, GPA(UNIT(1)), HPA(0xfd000000),
				 PAGE_SIZE, GPM_READ), HC_EBUSY);
	assert_true(populate(linux_p, UNIT(1)));
	check_accounts();
	assert_int_equal(gpm_execute(linux_p, GPA(UNIT(1))), HC_OK);
	check_accounts();
	stop();
	fake_format.split_exec = false;
}

/* Refusals change nothing; another block that is right is not taken either. */
static void refused(void **state)
{
	static const uint64_t bad[] = {
		UNIT(1),			/* no number */
		BLOCK(1, HC_RELEASE_UNITS + 1), BLOCK(1, 0x1fffff),
		UNIT(1) + 0x1000,		/* not aligned */
		1, 0x9f001,			/* RAM of less than 2 MiB */
		UNIT(-1) + 1, UNIT(12) + 1, BLOCK(11, 2),
		0xe4000001, 0xfee00001,		/* the channel, the LAPIC */
		~0ull, ~0x1fffffull + 1, BIT64(63) + 1, BIT64(48) + 16,
	};
	uint64_t epoch = (each(state), linux_p->gpm_epoch), i;
	struct boot_demand *ram =
		(struct boot_demand *)&linux_p->config->demand[1];
	hpa_t pa = make_large(UNIT(1));

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(release(v0, BLOCK(1, 1), bad[i]), HC_EINVAL);
		assert_int_equal(release(v0, bad[i], BLOCK(1, 1)), HC_EINVAL);
	}
	/* more than a call takes, though all of it is RAM */
	ram->size = 64 * MIB;
	assert_int_equal(release(v0, BLOCK(1, HC_RELEASE_UNITS + 1), 0),
			 HC_EINVAL);
	ram->size = LINUX_RAM_SIZE;
	/* the host partition's DMA pool and devices: nobody's RAM */
	assert_int_equal(release(host->vcpus[0], 0xb0000001, 0), HC_EINVAL);
	assert_int_equal(release(host->vcpus[0], HOST_RAM + 1, 0), HC_EINVAL);
	assert_int_equal(linux_p->gpm_epoch, epoch);
	assert_int_equal(owner_of(pa.v), FRAME_PARTITION0 + 1);
	assert_ptr_equal(partition_memory(linux_p, GPA(UNIT(1)), 1),
			 hpa_ptr(pa));
	stop();
}

/* Pages that are mapped among RAM and not owned: they keep their owner, and
 * nobody gets more rights to them. */
static void foreign(void **state)
{
	hpa_t ch = (each(state), frame_alloc_run(FRAME_CHANNEL, BIG_PAGE_SIZE));
	struct gpm_entry e;

	assert_int_equal(gpm_map(linux_p, GPA(UNIT(1)), ch, BIG_PAGE_SIZE,
				 GPM_READ), HC_OK);
	assert_int_equal(gpm_map(linux_p, GPA(UNIT(2)), ch, PAGE_SIZE,
				 GPM_READ), HC_OK);
	/* nor does the hypervisor write there for it */
	assert_null(partition_memory(linux_p, GPA(UNIT(1)), 8));
	assert_null(partition_memory(linux_p, GPA(UNIT(2)), 8));
	v1->running = 1;
	assert_int_equal(release(v0, BLOCK(1, 2), 0), HC_EAGAIN);
	assert_true(gpm_lookup(linux_p, GPA(UNIT(1)), &e));
	assert_true(e.present && !e.write);
	lock_take(&linux_p->lock);
	gpm_restore(linux_p, GPA(UNIT(2)));
	lock_drop(&linux_p->lock);
	assert_true(gpm_lookup(linux_p, GPA(UNIT(2)), &e));
	assert_true(e.present && !e.write);
	v1->running = 0;
	(void)release(v0, 0, 0);
	assert_int_equal(release(v0, BLOCK(1, 2), 0), HC_OK);
	assert_false(gpm_lookup(linux_p, GPA(UNIT(2)), &e));
	assert_int_equal(owner_of(ch.v), FRAME_CHANNEL);
	stop();
	free_pages(FRAME_CHANNEL, ch, BIG_PAGE_SIZE);
}

/* The same from two vCPUs, and others meanwhile. */
static void two_callers(void **state)
{
	hpa_t a = (each(state), make_large(UNIT(1))), b = make_large(UNIT(2));

	v1->running = 1;
	assert_int_equal(release(v0, BLOCK(1, 1), BLOCK(1, 1)), HC_EAGAIN);
	/* v1 exits and calls; v0 has entered: it is to be waited for no more */
	v0->gpm_epoch = linux_p->gpm_epoch;
	assert_int_equal(release(v1, BLOCK(1, 1), BLOCK(2, 1)), HC_EAGAIN);
	assert_int_equal(owner_of(a.v), FRAME_FREE);
	assert_int_equal(owner_of(b.v), FRAME_PARTITION0 + 1);
	/* now its own: v0 is in its guest with translations of before */
	assert_int_equal(release(v1, BLOCK(1, 1), BLOCK(2, 1)), HC_EAGAIN);
	assert_int_equal(owner_of(b.v), FRAME_PARTITION0 + 1);
	v0->gpm_epoch = linux_p->gpm_epoch;
	assert_int_equal(release(v1, BLOCK(1, 1), BLOCK(2, 1)), HC_EAGAIN);
	assert_int_equal(release(v1, BLOCK(1, 1), BLOCK(2, 1)), HC_OK);
	assert_int_equal(owner_of(b.v), FRAME_FREE);
	stop();
}

/* No call does much: eight large pages, or 64 small ones. It goes on where it was
 * in a table, which has lost by then what has been given back. */
static void in_pieces(void **state)
{
	uint64_t left = (each(state), 0), before;
	hpa_t small = make_table(UNIT(2), false);
	uint32_t calls = 0;
	struct gpm_entry e;
	hv_status_t st;

	do {
		left = promise_owned(linux_p);
		st = release(v0, BLOCK(2, 1), 0);
		assert_in_range(left - promise_owned(linux_p), 60, 65);
	} while (++calls < 2);
	assert_int_equal(st, HC_EAGAIN);
	assert_int_equal(owner_of(small.v), FRAME_FREE);
	/* what is left of it can come back */
	assert_true(populate(linux_p, UNIT(2) + BIG_PAGE_SIZE - PAGE_SIZE));
	assert_false(gpm_lookup(linux_p, GPA(UNIT(2)), &e));
	check_accounts();
	/* and is not given back then */
	before = promise_owned(linux_p);
	release_all(0, 0);
	assert_int_equal(promise_owned(linux_p), before);
	release_all(BLOCK(2, 1), 0);
	assert_true(gpm_range_empty(linux_p, GPA(UNIT(2))));
	stop();
}

/* All that a call can name, most of it absent, and that is once enough. */
static void much(void **state)
{
	struct boot_demand *ram =
		(struct boot_demand *)&linux_p->config->demand[1];
	uint64_t block[HC_RELEASE_BLOCKS], i;
	uint32_t calls = 0;

	each(state);
	ram->size = 160 * MIB;
	make_large(UNIT(5));
	for (i = 0; i < HC_RELEASE_BLOCKS; i++) {
		block[i] = BLOCK(i * HC_RELEASE_UNITS, HC_RELEASE_UNITS);
	}
	while (release_memory(v0, block) == HC_EAGAIN) {
		assert_true(++calls < 10);
	}
	assert_int_equal(release_memory(v0, block), HC_OK);
	ram->size = LINUX_RAM_SIZE;
	assert_true(gpm_range_empty(linux_p, GPA(UNIT(5))));
	stop();
}

/* The end in quarantine. */
static void bounded(void **state)
{
	uint64_t left = (each(state), 0), i;
	uint32_t calls = 0;
	hv_status_t st;

	for (i = 0; i < 6; i++) {
		make_large(UNIT(i));
	}
	do {
		left = promise_owned(linux_p);
		st = release(v0, BLOCK(0, 4), BLOCK(4, 2));
		assert_in_range(left - promise_owned(linux_p), 0,
				8 * BIG_PAGE_PAGES);
		check_accounts();
		calls++;
	} while (st == HC_EAGAIN);
	assert_int_equal(st, HC_OK);
	assert_int_equal(calls, 1);
	make_large(UNIT(0));
	v1->running = 1;
	assert_int_equal(release(v0, BLOCK(0, 1), 0), HC_EAGAIN);
	v1->lapic.deadline = 77;
	stop();
	/* nothing of it is left for the next life, and nobody is woken */
	assert_int_equal(v1->lapic.deadline, VLAPIC_OFF);
	each(state);
	make_large(UNIT(0));
	assert_int_equal(release(v0, BLOCK(1, 1), 0), HC_OK);
	assert_true(populate(linux_p, UNIT(0)));
	stop();
}

/* What a vCPU's CPU has cached, and what its exit has a pointer to. */
struct agent {
	struct vcpu *v;
	bool in_guest;
	uint32_t count;
	hpa_t cached[64];
	hpa_t pointer;
};

static void use(struct agent *a)
{
	uint32_t i;

	for (i = 0; a->in_guest && i < a->count; i++) {
		assert_int_equal(owner_of(a->cached[i].v),
				 FRAME_PARTITION0 + 1);
	}
	if (a->pointer.v != FRAME_NULL) {
		assert_int_equal(owner_of(a->pointer.v),
				 FRAME_PARTITION0 + 1);
	}
}

/* One step of a vCPU, as sched.c's run() and the backends do them. */
static void step(struct agent *a)
{
	uint64_t gpa = UNIT(0) + (uint64_t)rand() % (6 * 512) * PAGE_SIZE;
	struct gpm_entry e;
	enum hc_reason why;

	if (!a->v->running) {
		a->v->running = rand() % 2;
	} else if (!a->in_guest && rand() % 4) {
		a->pointer = HPA(FRAME_NULL);
		if (a->v->gpm_epoch != linux_p->gpm_epoch) {
			a->count = 0;
			a->v->gpm_epoch = linux_p->gpm_epoch;
		}
		a->in_guest = true;
	} else if (a->in_guest && rand() % 4) {
		if (gpm_lookup(linux_p, GPA(gpa), &e) && e.present) {
			if (a->count < ARRAY_SIZE(a->cached)) {
				a->cached[a->count++] = e.pa;
			}
		} else {
			a->in_guest = false;
			(void)partition_populate(linux_p, GPA(gpa), &why);
		}
	} else if (a->in_guest) {
		a->in_guest = false;
	} else if (rand() % 2) {
		void *p = partition_memory(linux_p, GPA(gpa), 8);

		a->pointer = p ? ptr_hpa(p) : HPA(FRAME_NULL);
	} else {
		a->pointer = HPA(FRAME_NULL);
		a->v->running = 0;
	}
}

/* vCPUs that enter, exit, touch and release by chance. */
static void agents(void **state)
{
	struct agent a[2] = { 0 };
	uint32_t ways[3] = { 0 }, n, i;

	for (n = 0; n < 2; n++) {
		each(state);
		v0->running = 0;
		fake_format.split_exec = n;
		a[0] = (struct agent){ .v = v0, .pointer = { FRAME_NULL } };
		a[1] = (struct agent){ .v = v1, .pointer = { FRAME_NULL } };
		srand(10 + n);
		for (i = 0; i < 60000; i++) {
			struct agent *x = &a[rand() % 2];

			if (x->v->running && !x->in_guest && rand() % 3 == 0) {
				uint64_t u = (uint64_t)rand() % 6;
				hv_status_t st;

				/* its exit is this call: it holds nothing */
				x->pointer = HPA(FRAME_NULL);
				st = release(x->v, BLOCK(u, 1 + u % 2),
					     BLOCK((uint64_t)rand() % 6, 1));
				ways[0] += st == HC_OK;
				ways[1] += st == HC_EAGAIN;
				assert_true(st == HC_OK || st == HC_EAGAIN);
			} else {
				step(x);
			}
			use(&a[0]);
			use(&a[1]);
			ways[2] += a[0].count && a[1].count;
			assert_int_equal(promise_owned(linux_p),
					 owned(FRAME_PARTITION0 + 1));
			if (i % 4 == 0) {
				(void)frame_zero_one();
			}
		}
		stop();
	}
	fake_format.split_exec = false;
	assert_in_range(ways[0], 50, ~0u);
	assert_in_range(ways[1], 500, ~0u);
	assert_in_range(ways[2], 1000, ~0u);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(idle_work),
		cmocka_unit_test(alone),
		cmocka_unit_test(quarantine),
		cmocka_unit_test(touched),
		cmocka_unit_test(touched_split),
		cmocka_unit_test(refused),
		cmocka_unit_test(foreign),
		cmocka_unit_test(two_callers),
		cmocka_unit_test(in_pieces), cmocka_unit_test(much),
		cmocka_unit_test(bounded),
		cmocka_unit_test(agents),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
