/* SPDX-License-Identifier: MIT */
/*
 * The scheduler's way into a guest and into HLT, and how another CPU gets it
 * back: one interrupt, only when it is needed, and none that is needed missing.
 */
#include "hv_fakes.h"

#include <iommu.h>

static struct boot_partition config;
static struct partition part;
static struct vcpu v, far;
static uint32_t ipis, ipi_to, entries, halts, prepares, exit_kicks;
static jmp_buf out;

/* What other CPUs do while vcpu_prepare() works, by call. */
static struct {
	uint32_t attention[4];
	uint32_t kick[4];
} meanwhile;

void lapic_ipi(uint32_t apic_id, uint8_t vector)
{
	assert_int_equal(vector, VECTOR_KICK);
	ipis++;
	ipi_to = apic_id;
}

static uint64_t timer_at;	/* of the last idle CPU; 0: none */

void lapic_timer_start(uint64_t at)
{
	timer_at = at;
}

void lapic_timer_stop(void)
{
}

void channel_poll(void)
{
}

/* Devices are asked about seldom, on CPU 0, with the lock held. */
uint64_t iommu_report_at = ~0ull;
static uint32_t reports;

void iommu_report_poll(uint64_t now)
{
	assert_true(now >= iommu_report_at);
	assert_int_equal(this_cpu()->index, 0);
	iommu_report_at = ~0ull;
	reports++;
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

/* The CPU halts, and nothing comes: the end of the test. */
void cpu_sti_hlt_cli(void)
{
	assert_int_equal(this_cpu()->away, 1);
	halts++;
	longjmp(out, 1);
}

bool vcpu_prepare(struct vcpu *x)
{
	assert_int_equal(this_cpu()->away, 0);
	assert_true(x->running);
	x->attention = 0;
	if (prepares < 4) {
		x->attention |= meanwhile.attention[prepares];
		if (meanwhile.kick[prepares]) {
			this_cpu()->resched = 1;
		}
	}
	prepares++;
	return true;
}

static uint64_t takes;		/* ticks of each run */

static void enter(struct vcpu *x, uint64_t limit, struct vm_exit *e)
{
	fake.tsc += takes;
	if (takes) {
		assert_in_range(limit, 1, fake.tsc + boot.tsc_hz);
		assert_ptr_equal(x, &v);
	}
	assert_int_equal(this_cpu()->away, 1);
	assert_int_equal(x->attention, 0);
	assert_int_equal(x->fault_streak, 0);
	assert_int_equal(this_cpu()->resched, 0);
	entries++;
	e->code = VM_EXIT_CPUID;
}

static const struct hvm_ops ops = { .vcpu_run = enter };
const struct hvm_ops *hvm = &ops;

void exit_handle(struct vcpu *x, const struct vm_exit *e)
{
	(void)e;
	assert_int_equal(this_cpu()->away, 0);
	if (exit_kicks) {
		exit_kicks--;
		this_cpu()->resched = 1;
		return;
	}
	/* it blocks: the CPU has nothing else to do */
	x->state = VCPU_HALTED;
}

static int make(void **state)
{
	(void)state;
	fakes_reset();
	memset(&part, 0, sizeof(part));
	memset(&meanwhile, 0, sizeof(meanwhile));
	ipis = ipi_to = entries = halts = prepares = exit_kicks = 0;
	timer_at = takes = 0;
	iommu_report_at = ~0ull;
	reports = 0;
	part.config = &config;
	part.state = HC_STATE_RUNNING;
	fake_vcpu_init(&v, &part, 0);
	fake_vcpu_init(&far, &part, 1);
	far.cpu = &fake_cpu[1];
	sched_add(&v);
	sched_add(&far);
	v.state = VCPU_RUNNABLE;
	v.fault_streak = 77;		/* of a turn before */
	return 0;
}

/* Runs until the CPU halts. */
static void go(void)
{
	if (!setjmp(out)) {
		sched_loop();
	}
}

static void one_interrupt(void **state)
{
	(void)state;
	/* it looks by itself */
	sched_interrupt(&far);
	sched_kick(&far);
	assert_int_equal(ipis, 0);
	assert_int_equal(fake_cpu[1].resched, 1);
	/* in a guest, or halted: the first one interrupts, for all */
	fake_cpu[1].away = 1;
	sched_kick(&far);
	sched_kick(&far);
	sched_interrupt(&far);
	assert_int_equal(ipis, 1);
	assert_int_equal(ipi_to, fake_cpu[1].apic_id);
	assert_int_equal(fake_cpu[1].away, 0);
	fake_cpu[1].away = 1;
	sched_interrupt(&far);
	assert_int_equal(ipis, 2);
	/* this CPU is not away while it does this */
	fake_cpu[0].away = 1;
	sched_kick(&v);
	assert_int_equal(ipis, 2);
	assert_int_equal(fake_cpu[0].resched, 1);
}

static void plain_run(void **state)
{
	(void)state;
	go();
	assert_int_equal(entries, 1);
	assert_int_equal(prepares, 1);
	assert_int_equal(halts, 1);
	assert_false(v.running);
}

static uint64_t turn_by = 1ull << 60;

/* An idle CPU wakes up for its next turn, too. */
uint64_t box_turn(struct percpu *pc, uint64_t now)
{
	assert_ptr_equal(pc, &fake_cpu[0]);
	assert_true(now <= rdtsc());
	return turn_by;
}

/* What devices have tried is looked at when that is due, by CPU 0. */
static void reports_due(void **state)
{
	(void)state;
	assert_int_equal(reports, 0);
	iommu_report_at = rdtsc();
	go();
	assert_int_equal(reports, 1);
	assert_int_equal(entries, 1);
}

/* And an idle CPU 0 wakes up for it. */
static void reports_wake(void **state)
{
	(void)state;
	go();
	assert_int_equal(timer_at, turn_by);
	iommu_report_at = turn_by - 1;
	go();
	assert_int_equal(reports, 0);
	assert_int_equal(timer_at, turn_by - 1);
}

/* A bit raised after vcpu_prepare() has looked, by who finds the CPU here. */
static void late_attention(void **state)
{
	(void)state;
	meanwhile.attention[0] = VCPU_ATT_INTR;
	go();
	assert_int_equal(prepares, 2);
	assert_int_equal(entries, 1);
}

/* So with the queue: another vCPU may be more urgent. */
static void late_kick(void **state)
{
	(void)state;
	meanwhile.kick[0] = 1;
	go();
	assert_int_equal(prepares, 2);
	assert_int_equal(entries, 1);
}

/* So by the exit itself: it is seen before the next entry. */
static void kick_in_exit(void **state)
{
	(void)state;
	exit_kicks = 1;
	go();
	assert_int_equal(prepares, 2);
	assert_int_equal(entries, 2);
}

/* The host partition's after a panic, on its CPU alone: a second of it at most, and
 * once, though somebody has its lock; nobody else's. */
static void last_turn(void **state)
{
	static struct partition other = { .state = HC_STATE_RUNNING };

	(void)state;
	boot.tsc_hz = 1000000;
	takes = 10000;
	exit_kicks = 1000;
	assert_panics(sched_last_turn());	/* there is none */
	part.flags = BOOT_PARTITION_HOST;
	part.vcpu_count = 1;
	part.vcpus[0] = &v;
	partitions[0] = &part;
	partition_count = 1;
	fake_cpu[0].index = 1;
	assert_panics(sched_last_turn());
	assert_int_equal(entries, 0);
	fake_cpu[0].index = 0;
	assert_panics(sched_last_turn());	/* it has not begun yet */
	assert_int_equal(entries, 0);
	fake_cpu[0].online = 1;
	far.partition = &other;
	far.cpu = &fake_cpu[0];
	far.slice_left = 1000;
	far.state = VCPU_RUNNABLE;
	sched_add(&far);
	lock_take(&part.lock);
	lock_take(&frame_lock);		/* who zeroed a page is no more */
	assert_panics(sched_last_turn());
	assert_int_equal(entries, 100);
	assert_ptr_equal(fake.event_to, &part);
	lock_take(&part.lock);
	lock_take(&frame_lock);
	lock_drop(&frame_lock);
	lock_drop(&part.lock);
	assert_panics(sched_last_turn());
	assert_int_equal(entries, 100);
}

static uint32_t pauses;
static jmp_buf waiting;

/* CPU 1 waits for the lock, which CPU 0 has: CPU 2 comes. It waits too: CPU 0
 * leaves. Whose is it now? */
void cpu_pause(void)
{
	switch (pauses++) {
	case 0:
		lock_take(&frame_lock);
		fail_msg("CPU 2 has it before CPU 1");
		break;
	case 1:
		lock_drop(&frame_lock);
		break;
	default:
		longjmp(waiting, 1);
	}
}

static void fair(void **state)
{
	(void)state;
	lock_take(&frame_lock);
	if (!setjmp(waiting)) {
		lock_take(&frame_lock);
	}
	/* CPU 1 has it and CPU 2 waits: idle work gets nothing */
	assert_int_equal(pauses, 3);
	assert_false(lock_try(&frame_lock));
	lock_drop(&frame_lock);
	assert_false(lock_try(&frame_lock));
	lock_drop(&frame_lock);
	/* now it is free */
	assert_true(lock_try(&frame_lock));
	lock_drop(&frame_lock);
	lock_take(&frame_lock);
	assert_int_equal(pauses, 3);
	lock_drop(&frame_lock);
}

#define TEST(f)	cmocka_unit_test_setup(f, make)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(one_interrupt), TEST(plain_run), TEST(reports_due), TEST(reports_wake),
		TEST(late_attention), TEST(late_kick), TEST(kick_in_exit),
		TEST(last_turn), TEST(fair),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
