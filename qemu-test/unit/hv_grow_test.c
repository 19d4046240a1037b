/* SPDX-License-Identifier: MIT */
/*
 * What partitions get done on 1, 2, 4 and 8 CPUs: does it grow with them, or do
 * they wait for each other? No emulator tells: none runs several CPUs by an exact
 * clock. So each thing that a partition asks for is done once, its instructions
 * counted, with the locks that it takes and when; and then these traces run
 * against each other on CPUs that are reckoned, one tick an instruction, where who
 * finds a lock taken waits his turn. What is left out: cache lines on their way
 * between CPUs, and what host-bridge does, on CPU 0 alone.
 *
 * With one lock in the place of all the last of them is done once more, to see
 * that waiting is reckoned.
 */
#include "hv_steps.h"

#define MIB		0x100000ull
#define MACHINE		(256 * MIB)
#define RAM		0x40000000ull
#define RAM_SIZE	(64 * MIB)
#define PARTS		4u		/* beside the host partition */
#define VCPUS		8u		/* of them together */
#define POOL		PARTS
/* Around each thing an exit, an entry, and who wanted it; of a remote call's 12,000
 * (README) the half that is not host-bridge's. */
#define EXIT		1000u
#define CALL_WORK	5000u
#define ROUNDS		40u

static struct boot_info info;
static struct partition *part[PARTS];

void vlapic_msi(uint64_t address, uint32_t data, struct vcpu *any)
{
	(void)address;
	(void)data;
	(void)any;
}

static int make(void **state)
{
	uint32_t i;

	(void)state;
	steps_start();
	fakes_reset();
	fake_memory_map(MACHINE);
	info.mem_count = 1;
	info.mem[0] = (struct boot_mem){ 0, MACHINE, BOOT_MEM_FREE, 0 };
	info.partition_count = PARTS + 1;
	info.channel_count = PARTS;
	for (i = 0; i <= PARTS; i++) {
		struct boot_partition *p = &info.partitions[i];

		p->id = i;
		p->flags = i ? 0 : BOOT_PARTITION_HOST;
		p->vcpus = i ? VCPUS / PARTS : 1;
		p->mem_cap = RAM_SIZE;
		p->demand_count = 1;
		p->demand[0] = (struct boot_demand){ RAM, RAM_SIZE };
		if (i) {
			info.channels[i - 1] = (struct boot_channel){
				{ 0, i }, { 0xa0000000 + i * MIB, 0xe4000000 },
				64 * 1024 + PAGE_SIZE };
		}
	}
	frame_init(&info);
	partition_create_all(&info);
	channel_create_all(&info);
	assert_int_equal(partition_start(partitions[0],
					 &(struct vcpu_start){ 0 }), HC_OK);
	for (i = 0; i < PARTS; i++) {
		part[i] = partitions[i + 1];
		assert_int_equal(partition_start(part[i],
				 &(struct vcpu_start){ 0 }), HC_OK);
		part[i]->vcpus[0]->running = 1;
	}
	return 0;
}

/* --- what is done, and its traces --------------------------------------- */

enum what { CALL, WORD, UNIT_TOUCH, RELEASE, PAGE_TOUCH, WHATS };

struct trace {
	uint64_t length;
	uint32_t events;
	struct {
		uint32_t lock;		/* of a partition, or POOL */
		bool take;
		uint64_t at;
	} event[16];
};

static struct trace traces[PARTS][WHATS];

static void touch(struct partition *p, uint64_t gpa)
{
	enum hc_reason why;
	struct gpm_entry e;

	lock_take(&p->lock);
	assert_true(partition_populate(p->vcpus[0], GPA(gpa), true, &why));
	assert_true(gpm_lookup(p, GPA(gpa), &e));
	lock_drop(&p->lock);
}

static void release(struct partition *p, uint64_t gpa)
{
	const uint64_t block[HC_RELEASE_BLOCKS] = { gpa + 1 };

	lock_take(&p->lock);
	assert_int_equal(release_memory(p->vcpus[0], block), HC_OK);
	lock_drop(&p->lock);
}

static void keep(uint32_t i, enum what what)
{
	struct trace *t = &traces[i][what];
	uint32_t n;

	t->length = steps;
	t->events = step_events;
	assert_true(step_events <= ARRAY_SIZE(t->event));
	for (n = 0; n < step_events; n++) {
		bool pool = step_trace[n].l == &frame_lock;

		/* its own partition's, or the pool's: no other's at all */
		assert_true(pool || step_trace[n].l == &part[i]->lock);
		t->event[n].lock = pool ? POOL : i;
		t->event[n].take = step_trace[n].take;
		t->event[n].at = step_trace[n].at;
	}
}

static void record(void **state)
{
	uint32_t i, n;
	uint64_t unit;

	(void)state;
	for (i = 0; i < PARTS; i++) {
		unit = RAM + i * BIG_PAGE_SIZE;
		for (n = 0; n < 2 * BIG_PAGE_PAGES; n++) {
			(void)frame_zero_one();
		}
		touch(part[i], unit + 8 * BIG_PAGE_SIZE);	/* its tables */
		WHOLE("a doorbell", assert_int_equal(
			channel_doorbell(part[i], 0), HC_OK));
		keep(i, CALL);
		/* a remote call takes no lock at all */
		assert_int_equal(traces[i][CALL].events, 0);
		WHOLE("a channel's word", assert_int_equal(
			channel_set_state(part[i], 0, 1), HC_OK));
		keep(i, WORD);
		WHOLE("2 MiB touched", touch(part[i], unit));
		keep(i, UNIT_TOUCH);
		WHOLE("2 MiB released", release(part[i], unit));
		keep(i, RELEASE);
		/* a page alone, in a table that is there */
		touch(part[i], unit);
		lock_take(&part[i]->lock);
		assert_int_equal(gpm_split(part[i], GPA(unit)), HC_OK);
		gpm_clear(part[i], GPA(unit + PAGE_SIZE));
		lock_drop(&part[i]->lock);
		WHOLE("4 KiB touched", touch(part[i], unit + PAGE_SIZE));
		keep(i, PAGE_TOUCH);
	}
}

/* --- CPUs that are reckoned --------------------------------------------- */

static struct cpu {
	uint64_t now, waited;
	uint32_t vcpu, round, step;	/* what it is at .. */
	uint32_t event;			/* .. and the next event of that */
	uint64_t began;			/* that */
	uint32_t wants;			/* blocked: a lock + 1 */
	uint64_t since;
} sim[VCPUS];

static uint32_t sim_cpus, owner_of[PARTS + 1];	/* CPU + 1 */
static bool one_lock;
static const enum what *program;
static uint32_t program_length;

static uint32_t lock_of(uint32_t lock)
{
	return one_lock ? 0 : lock;
}

static void hand_over(uint32_t lock, uint64_t now)
{
	struct cpu *next = NULL;
	uint32_t i;

	owner_of[lock] = 0;
	for (i = 0; i < sim_cpus; i++) {
		if (sim[i].wants == lock + 1 &&
		    (!next || sim[i].since < next->since)) {
			next = &sim[i];
		}
	}
	if (next) {
		owner_of[lock] = (uint32_t)(next - sim) + 1;
		next->waited += now - next->since;
		/* what comes later in its trace comes so much later */
		next->began += now - next->since;
		next->now = now;
		next->wants = 0;
	}
}

static const struct trace *trace_of(const struct cpu *c)
{
	return &traces[c->vcpu % PARTS][program[c->step]];
}

/* When is a CPU's next event? */
static uint64_t next_at(const struct cpu *c)
{
	const struct trace *t = trace_of(c);

	return c->began + (c->event < t->events ? t->event[c->event].at :
			   t->length + EXIT +
			   (program[c->step] == CALL ? CALL_WORK : 0));
}

/* That event. */
static void go_on(struct cpu *c, uint32_t *depth)
{
	const struct trace *t = trace_of(c);
	uint32_t me = (uint32_t)(c - sim), lock;

	c->now = next_at(c);
	if (c->event == t->events) {
		c->began = c->now;
		c->event = 0;
		if (++c->step == program_length) {
			c->step = 0;
			c->vcpu += sim_cpus;
			if (c->vcpu >= VCPUS) {
				c->vcpu = me;
				c->round++;
			}
		}
		return;
	}
	lock = lock_of(t->event[c->event].lock);
	if (t->event[c->event].take) {
		/* one lock: what is taken inside is the same */
		if (!depth[me]++ || !one_lock) {
			if (owner_of[lock]) {
				c->wants = lock + 1;
				c->since = c->now;
			} else {
				owner_of[lock] = me + 1;
			}
		}
	} else if (!--depth[me] || !one_lock) {
		hand_over(lock, c->now);
	}
	c->event++;
}

/* Ticks until all vCPUs have done their rounds. */
static uint64_t simulate(uint32_t count, bool one, uint64_t *waited)
{
	uint32_t depth[VCPUS] = { 0 }, i;
	struct cpu *c;
	uint64_t end = 0;

	sim_cpus = count;
	one_lock = one;
	memset(sim, 0, sizeof(sim));
	memset(owner_of, 0, sizeof(owner_of));
	for (i = 0; i < count; i++) {
		sim[i].vcpu = i;
	}
	for (;;) {
		c = NULL;
		for (i = 0; i < count; i++) {
			if (sim[i].round < ROUNDS && !sim[i].wants &&
			    (!c || next_at(&sim[i]) < next_at(c))) {
				c = &sim[i];
			}
		}
		if (!c) {
			break;
		}
		go_on(c, depth);
	}
	for (*waited = 0, i = 0; i < count; i++) {
		assert_int_equal(sim[i].wants, 0);
		end = u64_max(end, sim[i].now);
		*waited += sim[i].waited;
	}
	return end;
}

/* How many times as much CPUs get done, in hundredths, at least. */
static void grows(const char *what, const enum what *p, uint32_t length,
		  bool one, const uint32_t least[4])
{
	uint64_t alone, waited, ticks, times;
	uint32_t i;

	program = p;
	program_length = length;
	alone = simulate(1, one, &waited);
	assert_int_equal(waited, 0);
	print_message("%-28s", what);
	for (i = 0; i < 4; i++) {
		ticks = simulate(1u << i, one, &waited);
		times = alone * 100 / ticks;
		print_message(" %u CPUs: %llu.%02llu", 1u << i,
			      (unsigned long long)times / 100,
			      (unsigned long long)times % 100);
		assert_true(times >= least[i]);
		assert_true(times <= (100u << i));
	}
	print_message("\n");
}

static void growth(void **state)
{
	static const enum what calls[] = { CALL };
	/* memory that moves, between calls */
	static const enum what mixed[] = {
		CALL, CALL, CALL, CALL, WORD, UNIT_TOUCH, CALL, CALL, CALL,
		CALL, RELEASE, CALL, CALL, CALL, CALL, PAGE_TOUCH,
	};
	static const enum what pages[] = { PAGE_TOUCH };
	static const enum what units[] = { UNIT_TOUCH, RELEASE };
	static const uint32_t all[] = { 100, 200, 400, 800 };
	static const uint32_t most[] = { 100, 195, 380, 700 };
	static const uint32_t some[] = { 100, 180, 250, 250 };
	static const uint32_t none[4] = { 0 };

	(void)state;
	grows("remote calls", calls, 1, false, all);
	grows("calls, memory between", mixed, ARRAY_SIZE(mixed), false, most);
	grows("pages touched, only", pages, 1, false, some);
	grows("2 MiB touched and released", units, 2, false, some);
	grows("the same with one lock", units, 2, true, none);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(record),
		cmocka_unit_test(growth),
	};

	return cmocka_run_group_tests(tests, make, NULL);
}
