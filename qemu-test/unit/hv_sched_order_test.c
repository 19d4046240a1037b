/* SPDX-License-Identifier: MIT */
/*
 * In which order the scheduler says that a vCPU runs, and no longer, and who does
 * not run at all: what
 * core/release.c and a stop of a partition rely on. This machine shows no other
 * order by itself, so the stores and their kind are written down. That the order
 * is enough is the model's to say: qemu-test/spin/revoke.pml.
 */
#include "hv_fakes.h"

#include <iommu.h>

static void note(const volatile void *at, uint64_t value, int order);
static void fence(void);

#define __atomic_store_n(at, value, order)				\
	(note((at), (value), (order)),					\
	 *(volatile __typeof__(*(at)) *)(at) = (value))
#define cpu_store_fence	fence
#include "hypervisor/core/sched.c"
#undef __atomic_store_n

static struct boot_partition config;
static struct partition part;
static struct vcpu v;
static jmp_buf out;
static char steps[64];	/* R, r: it runs, and no longer; P: prepared; G: in
			 * the guest; F: its stores are in memory */

static void step(char what)
{
	assert_true(strlen(steps) < sizeof(steps) - 1);
	steps[strlen(steps)] = what;
}

static void note(const volatile void *at, uint64_t value, int order)
{
	if (at != &v.running) {
		return;
	}
	step(value ? 'R' : 'r');
	if (value) {
		assert_int_equal(order, __ATOMIC_SEQ_CST);
	} else {
		assert_true(order == __ATOMIC_SEQ_CST ||
			    order == __ATOMIC_RELEASE);
	}
}

static void fence(void)
{
	step('F');
}

uint64_t iommu_report_at = ~0ull;

void iommu_report_poll(uint64_t now)
{
	(void)now;
}

void lapic_ipi(uint32_t apic_id, uint8_t vector)
{
	(void)apic_id;
	(void)vector;
}

void lapic_timer_start(uint64_t at)
{
	(void)at;
}

void lapic_timer_stop(void)
{
}

static bool kicks;		/* another CPU, while timers are looked at */

void channel_poll(void)
{
	this_cpu()->resched |= kicks;
	kicks = false;
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
	longjmp(out, 1);
}

bool vcpu_prepare(struct vcpu *x)
{
	(void)x;
	step('P');
	return true;
}

static void enter(struct vcpu *x, uint64_t limit, struct vm_exit *e)
{
	(void)x;
	(void)limit;
	step('G');
	e->code = VM_EXIT_CPUID;
}

static const struct hvm_ops ops = { .vcpu_run = enter };
const struct hvm_ops *hvm = &ops;

void exit_handle(struct vcpu *x, const struct vm_exit *e)
{
	(void)e;
	x->state = VCPU_HALTED;
}

static int make(void **state)
{
	(void)state;
	fakes_reset();
	memset(steps, 0, sizeof(steps));
	part.config = &config;
	part.state = HC_STATE_RUNNING;
	fake_vcpu_init(&v, &part, 0);
	sched_add(&v);
	v.state = VCPU_RUNNABLE;
	kicks = false;
	return 0;
}

/* Until the CPU halts. */
static void go(void)
{
	if (!setjmp(out)) {
		sched_loop();
	}
}

static void order(void **state)
{
	(void)state;
	go();
	assert_string_equal(steps, "RPGFr");
}

/* A kick that comes while timers are looked at: they are looked at again. */
static void kicked(void **state)
{
	(void)state;
	kicks = true;
	go();
	assert_string_equal(steps, "RPFrRPGFr");
}

/* Nobody who has ended runs, whatever its vCPU says. */
static void ended(void **state)
{
	(void)state;
	part.state = HC_STATE_CRASHED;
	go();
	assert_string_equal(steps, "");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(order, make),
		cmocka_unit_test_setup(kicked, make),
		cmocka_unit_test_setup(ended, make),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
