/* SPDX-License-Identifier: MIT */
/*
 * Who gets how much of one CPU: the scheduler under guests that compute and make
 * requests, and a host partition that serves them, as seeded runs. One guest
 * works; what the others do, however much, may take no more from it than their
 * shares, and the host partition's.
 */
#include "hv_fakes.h"

#include <iommu.h>

#define GUESTS		5u
#define MS		1000000ull
#define SLICE		(5 * MS)
#define CHUNK		(MS / 8)	/* of host-bridge's, for one guest */
#define LAG		MS		/* host-bridge's AHEAD_MS */
#define RUNS		60u
#define TIME		(2000 * MS)

/* Computes, makes a request, and so on; waits while it has depth of them made and
 * not answered. */
struct guest {
	uint64_t compute, cost;
	uint32_t depth;
	uint64_t left;			/* to compute, until the next request */
	uint32_t waiting;		/* requests not answered .. */
	uint64_t served;		/* .. the host's time for the first */
	uint64_t host_time, done;
	uint64_t since;			/* it can run, and does not */
	uint64_t longest;
};

static struct boot_partition config;
static struct partition parts[GUESTS + 1];
static struct vcpu vcpus[GUESTS + 1];	/* the host partition's is first */
static struct guest guests[GUESTS + 1], works;
static uint32_t count, host_serves;	/* 0: nobody */
static uint64_t chunk_left, turn = CHUNK, last_time, end;
static bool waits, device;		/* it has always something for the host */
static jmp_buf out;
static uint32_t seed;

static uint64_t between(uint64_t least, uint64_t most)
{
	seed = seed * 1664525u + 1013904223u;
	return least + (seed >> 8) % (most - least + 1);
}

void lapic_ipi(uint32_t apic_id, uint8_t vector)
{
	(void)apic_id;
	(void)vector;
	fail_msg("another CPU");
}

void lapic_timer_start(uint64_t at)
{
	(void)at;
}

void lapic_timer_stop(void)
{
}

void channel_poll(void)
{
}

uint64_t iommu_report_at = ~0ull;

void iommu_report_poll(uint64_t now)
{
	(void)now;
}

void vlapic_timer_check(struct vcpu *x, uint64_t now)
{
	(void)x;
	(void)now;
}

bool frame_zero_one(void)
{
	return false;
}

void cpu_sti_hlt_cli(void)
{
	fail_msg("nobody can run");
}

static void can_run(struct vcpu *v)
{
	v->state = VCPU_RUNNABLE;
	guests[v - vcpus].since = fake.tsc;
	sched_kick(v);
}

/* The one that has had least of the host's time, as host-bridge's loop does. */
static uint32_t next_served(void)
{
	uint32_t i, least = 0;

	for (i = 1; i <= count; i++) {
		if (guests[i].waiting && (!least ||
		    guests[i].host_time < guests[least].host_time)) {
			least = i;
		}
	}
	return least;
}

/* HC_WAIT as core/vcpu.c does it. Who had nothing to ask has saved nothing. */
bool vcpu_prepare(struct vcpu *v)
{
	uint64_t events = v->partition->events | device;
	struct guest *g;
	bool blocks;

	if (v != vcpus || !waits) {
		return true;
	}
	host_serves = next_served();
	blocks = !events && !host_serves;
	if (blocks || v->told) {
		v->payer = NULL;
		v->told = false;
		v->state = blocks ? VCPU_WAITING : VCPU_RUNNABLE;
		return false;
	}
	v->told = true;
	v->partition->events = 0;
	waits = false;
	chunk_left = turn;
	g = &guests[host_serves];
	if (g->host_time + LAG < last_time) {
		g->host_time = last_time - LAG;
	}
	last_time = g->host_time > last_time ? g->host_time : last_time;
	return true;
}

static void answer(struct guest *g)
{
	struct vcpu *v = &vcpus[g - guests];

	g->served = 0;
	g->waiting--;
	g->done++;
	if (v->state == VCPU_HALTED) {
		can_run(v);
	}
}

static void host_runs(uint64_t limit, struct vm_exit *e)
{
	struct guest *g = &guests[host_serves];

	while (fake.tsc < limit && chunk_left && g->waiting) {
		uint64_t n = g->cost - g->served;

		n = n < limit - fake.tsc ? n : limit - fake.tsc;
		n = n < chunk_left ? n : chunk_left;
		fake.tsc += n;
		chunk_left -= n;
		g->served += n;
		g->host_time += n;
		if (g->served == g->cost) {
			answer(g);
		}
	}
	waits = !chunk_left || !g->waiting;
	e->code = waits ? VM_EXIT_HYPERCALL : VM_EXIT_TIMER;
}

static void enter(struct vcpu *v, uint64_t limit, struct vm_exit *e)
{
	struct guest *g = &guests[v - vcpus];
	uint64_t n = limit > fake.tsc ? limit - fake.tsc : 0;

	if (fake.tsc >= end) {
		longjmp(out, 1);
	}
	if (v == vcpus) {
		host_runs(limit, e);
		return;
	}
	if (fake.tsc - g->since > g->longest) {
		g->longest = fake.tsc - g->since;
	}
	n = n < g->left ? n : g->left;
	fake.tsc += n;
	g->left -= n;
	g->since = fake.tsc;
	e->code = g->left ? VM_EXIT_TIMER : VM_EXIT_IO;
}

static const struct hvm_ops ops = { .vcpu_run = enter };
const struct hvm_ops *hvm = &ops;

/* A request is partition_event() of core/partition.c. */
void exit_handle(struct vcpu *v, const struct vm_exit *e)
{
	struct guest *g = &guests[v - vcpus];

	if (e->code == VM_EXIT_TIMER) {
		this_cpu()->resched = 1;
		return;
	}
	if (e->code == VM_EXIT_HYPERCALL) {
		return;			/* HC_WAIT: vcpu_prepare() */
	}
	g->left = g->compute;
	g->waiting++;
	if (g->waiting >= g->depth) {
		v->state = VCPU_HALTED;
	}
	parts[0].events = 1;
	sched_event(vcpus);
	if (vcpus->state == VCPU_WAITING) {
		can_run(vcpus);
	}
}

/* What the one that works gets done in TIME, the last of the queue, beside the
 * first n of the others. */
static uint64_t run(uint32_t n)
{
	uint32_t i;

	fakes_reset();
	fake_cpu[0].current = NULL;
	count = n + 1;
	guests[count] = works;
	host_serves = 0;
	last_time = 0;
	waits = true;
	end = fake.tsc + TIME;
	memset(parts, 0, sizeof(parts));
	guests[0] = (struct guest){ .cost = CHUNK };
	for (i = 0; i <= count; i++) {
		struct guest *g = &guests[i];

		parts[i].config = &config;
		parts[i].flags = i ? 0 : BOOT_PARTITION_HOST;
		parts[i].state = HC_STATE_RUNNING;
		fake_vcpu_init(&vcpus[i], &parts[i], 0);
		sched_add(&vcpus[i]);
		vcpus[i].state = VCPU_RUNNABLE;
		g->left = g->compute;
		g->waiting = i ? 0 : 1u << 31;
		g->served = g->host_time = g->done = g->longest = 0;
		g->since = fake.tsc;
	}
	if (!setjmp(out)) {
		sched_loop();
	}
	return guests[count].done;
}

/* Many small requests, few large ones, many at once, none at all. */
static void make_flood(struct guest *g)
{
	g->compute = between(0, 1) ? between(200, 20000) : between(2000, MS);
	g->cost = between(0, 1) ? between(500, 20000) : between(20000, 2 * MS);
	g->depth = (uint32_t)(between(0, 1) ? between(1, 4) : between(5, 500));
	if (!between(0, 4)) {
		g->compute = 100 * TIME;
	}
}

static void a_share_each(void **state)
{
	(void)state;
	for (seed = 1; seed <= RUNS; seed++) {
		uint32_t saved = seed, i, n;
		struct guest others[GUESTS];
		uint64_t alone;

		works = (struct guest){
			.compute = between(1000, 200000),
			.cost = between(2000, 50000), .depth = 1,
		};
		for (i = 1; i < GUESTS; i++) {
			make_flood(&others[i]);
		}
		alone = run(0);
		for (n = 1; n < GUESTS; n++) {
			uint64_t done;

			memcpy(&guests[1], &others[1], n * sizeof(others[0]));
			done = run(n);

			/* n others, itself, and the host partition, in which
			 * many may be before it */
			assert_true(done * (n + 2) * (n == 1 ? 21 : 25) / 20 >=
				    alone);
			for (i = 1; i <= n + 1; i++) {
				assert_true(guests[i].longest <=
					    (n + 2) * SLICE + CHUNK);
			}
		}
		seed = saved;
	}
}

/* However much a device has for it, the host partition has its share, and no more;
 * nor have those who ask it for something meanwhile. */
static void a_device(void **state)
{
	uint32_t n;

	(void)state;
	for (n = 1; n <= RUNS; n++) {
		struct guest flood;
		uint64_t alone;

		seed = n;
		works = (struct guest){
			.compute = between(1000, MS), .cost = 1000, .depth = 1,
		};
		make_flood(&flood);
		device = false;
		alone = run(0);
		device = true;
		guests[1] = flood;
		assert_true(run(1) * 3 * 21 / 20 >= alone);
		device = false;
	}
}

/* A turn of the host partition's that takes long, for another, keeps nobody from
 * his share. */
static void a_long_turn(void **state)
{
	(void)state;
	works = (struct guest){ .compute = 100 * TIME, .depth = 1 };
	guests[1] = (struct guest){
		.compute = 1000, .cost = 100 * MS, .depth = 2,
	};
	turn = 100 * MS;
	run(1);
	turn = CHUNK;
	assert_true(guests[2].longest <= 4 * SLICE);
	assert_true(vcpus[2].ticks_run * 3 * 21 / 20 >= TIME);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_share_each), cmocka_unit_test(a_device),
		cmocka_unit_test(a_long_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
