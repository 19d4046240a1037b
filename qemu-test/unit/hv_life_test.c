/* SPDX-License-Identifier: MIT */
/*
 * The start and the end of a partition, and its next life: who is told, and what
 * of this one must not be found in that.
 */
#include "hv_memory.h"

static uint32_t downs;

void channel_partition_down(struct partition *p)
{
	downs += p == linux_p;
}

static void start_and_stop(void **state)
{
	struct vcpu_start s = { .kind = VCPU_RESET_LONG, .rip = 0x100000 };
	uint64_t count = linux_p->start_count;

	(void)state;
	assert_int_equal(partition_start(linux_p, &s), HC_OK);
	assert_int_equal(partition_start(linux_p, &s), HC_EBUSY);
	assert_int_equal(linux_p->start_count, count + 1);
	assert_int_equal(linux_p->vcpus[0]->state, VCPU_RUNNABLE);
	assert_int_equal(linux_p->vcpus[0]->attention, VCPU_ATT_RESET);
	assert_int_equal(linux_p->vcpus[1]->attention, VCPU_ATT_INIT);
	/* guests' TSC starts at 0 */
	assert_int_equal(linux_p->vcpus[0]->tsc_offset + fake.tsc, 0);
	/* a vCPU still in its run loop: nothing is taken from it */
	assert_true(populate(linux_p, LINUX_RAM));
	linux_p->vcpus[1]->running = 1;
	assert_int_equal(partition_stop(linux_p), HC_EAGAIN);
	assert_int_equal(linux_p->state, HC_STATE_STOPPING);
	assert_int_equal(linux_p->reason, HC_REASON_HOST_REQUEST);
	assert_true(promise_owned(linux_p) > 512);
	linux_p->vcpus[1]->running = 0;
	stop_linux();
	assert_int_equal(linux_p->vcpus[0]->attention, 0);
	assert_int_equal(linux_p->vcpus[0]->state, VCPU_STOPPED);
	assert_int_equal(partition_stop(host), HC_EPERM);
	assert_int_equal(host->state, HC_STATE_RUNNING);
}

static void killed(void **state)
{
	struct vcpu_start s = { .kind = VCPU_RESET_LONG };

	(void)state;
	assert_int_equal(partition_start(linux_p, &s), HC_OK);
	fake.reg[VCPU_RIP] = 0x1234;
	fake.dumps = 0;
	partition_kill(linux_p->vcpus[0], HC_REASON_GPM_FAULT, 0x9999);
	/* a second vCPU's death is not told again */
	partition_kill(linux_p->vcpus[1], HC_REASON_TRIPLE_FAULT, 1);
	assert_int_equal(linux_p->state, HC_STATE_CRASHED);
	assert_int_equal(linux_p->reason, HC_REASON_GPM_FAULT);
	assert_int_equal(linux_p->crash_detail, 0x9999);
	assert_int_equal(linux_p->crash_rip, 0x1234);
	assert_int_equal(fake.dumps, 1);
	assert_true(host->events & HC_EVENT_PARTITION);
	stop_linux();
	assert_panics(partition_kill(host->vcpus[0], HC_REASON_GPM_FAULT, 0));
	host->state = HC_STATE_RUNNING;
}

static void start(void)
{
	struct vcpu_start s = { .kind = VCPU_RESET_LONG };

	assert_int_equal(partition_start(linux_p, &s), HC_OK);
	downs = fake.kicks = 0;
	host->events = 0;
}

/* A crash is the end of its channels, and of its other vCPUs, at once; the host
 * hears of it. The stop that follows tells nobody again. */
static void crash(void **state)
{
	(void)state;
	start();
	partition_kill(linux_p->vcpus[1], HC_REASON_TRIPLE_FAULT, 0);
	assert_int_equal(downs, 1);
	assert_int_equal(fake.kicks, linux_p->vcpu_count);
	assert_int_equal(host->events, HC_EVENT_PARTITION);
	assert_int_equal(fake.lock_depth, 0);
	stop_linux();
	assert_int_equal(downs, 1);
}

/* So is a stop. */
static void stopped(void **state)
{
	(void)state;
	start();
	linux_p->vcpus[0]->running = 1;
	assert_int_equal(partition_stop(linux_p), HC_EAGAIN);
	assert_int_equal(fake.kicks, 1);
	linux_p->vcpus[0]->running = 0;
	stop_linux();
	assert_int_equal(downs, 1);
}

/* A request that was under way, a timer, a clock page: all are of the life
 * before. */
static void next_life(void **state)
{
	uint32_t i;

	(void)state;
	start();
	for (i = 0; i < linux_p->vcpu_count; i++) {
		struct vcpu *v = linux_p->vcpus[i];

		v->kvmclock_msr = 0x1001;
		v->ioreq.word = 0x3f8 | 1 << 16 | HC_IOREQ_IN;
		v->lapic.deadline = 1000;
		v->attention = v->kept = VCPU_ATT_NMI;
	}
	stop_linux();
	for (i = 0; i < linux_p->vcpu_count; i++) {
		assert_int_equal(linux_p->vcpus[i]->attention, 0);
		assert_int_equal(linux_p->vcpus[i]->kept, 0);
		assert_int_equal(linux_p->vcpus[i]->lapic.deadline, VLAPIC_OFF);
	}
	start();
	for (i = 0; i < linux_p->vcpu_count; i++) {
		assert_int_equal(linux_p->vcpus[i]->kvmclock_msr, 0);
		assert_int_equal(linux_p->vcpus[i]->ioreq.word, 0);
	}
	stop_linux();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(start_and_stop),
		cmocka_unit_test(crash),
		cmocka_unit_test(stopped),
		cmocka_unit_test(next_life),
		cmocka_unit_test(killed),	/* last: a panic leaves locks */
	};

	return cmocka_run_group_tests(tests, make_machine, NULL);
}
