/* SPDX-License-Identifier: MIT */
/*
 * What templates and children bring with them for a vCPU before its entry
 * (core/vcpu.c): others that it waits for, its beginning, its parking, in their
 * order; and a CPU whose vCPU leaves it to nobody.
 */
#include "hv_registers.h"

static struct boot_partition config;
static struct partition part;
static struct vcpu a, b;
static uint8_t area[2][PAGE_SIZE] __attribute__((aligned(64)));
static int pending;

int vlapic_pending(const struct vcpu *v)
{
	(void)v;
	return pending;
}

void vlapic_accept(struct vcpu *v, uint8_t vector)
{
	(void)v;
	(void)vector;
	pending = -1;
}

void vlapic_reset(struct vcpu *v, bool x2apic)
{
	(void)v;
	(void)x2apic;
}

void guest_fetch_forget(struct vcpu *v)
{
	(void)v;
}

static int make(void **state)
{
	(void)state;
	fakes_reset();
	part.config = &config;
	fake_vcpu_init(&a, &part, 0);
	fake_vcpu_init(&b, &part, 1);
	a.fpu = area[0];
	b.fpu = area[1];
	a.xcr0 = b.xcr0 = hw.xcr0 = XMASK;
	a.state = b.state = VCPU_RUNNABLE;
	pending = -1;
	return 0;
}

static char order[8];
static uint32_t parked_att;

static void note(char what)
{
	order[strlen(order)] = what;
}

void release_wait(struct vcpu *me)
{
	assert_ptr_equal(me, &a);
	assert_int_equal(fake.lock_depth, 0);
	note('o');
}

void fork_vcpu(struct vcpu *v)
{
	assert_ptr_not_equal(fake_cpu[0].loaded, v);
	v->halted = true;
	note('f');
}

void fork_park(struct vcpu *v, uint32_t att)
{
	/* what was asked for it has been answered; it need not be loaded */
	parked_att = att;
	v->state = VCPU_PARKED;
	note('p');
}

/* What templates and children bring with them. */
static void forking(void **state)
{
	(void)state;
	memset(order, 0, sizeof(order));
	a.attention = VCPU_ATT_OTHERS;
	assert_true(vcpu_prepare(&a));
	assert_string_equal(order, "o");
	/* a child begins as its template's was: halted, and an interrupt wakes
	 * it */
	vcpu_unload(&a);
	assert_null(fake_cpu[0].loaded);
	a.attention = VCPU_ATT_FORK;
	assert_false(vcpu_prepare(&a));
	assert_string_equal(order, "of");
	assert_int_equal(a.state, VCPU_HALTED);
	pending = 0x55;
	vcpu_unload(&a);
	a.halt_if = true;
	a.state = VCPU_RUNNABLE;
	a.attention = VCPU_ATT_FORK | VCPU_ATT_INTR;
	assert_true(vcpu_prepare(&a));
	assert_int_equal(fake.event.vector, 0x55);
	/* an INIT that comes after it counts */
	vcpu_unload(&a);
	a.attention = VCPU_ATT_FORK | VCPU_ATT_INIT;
	assert_false(vcpu_prepare(&a));
	assert_int_equal(a.state, VCPU_WAIT_SIPI);
	assert_string_equal(order, "offf");
	/* parked: halted it stays, with what it had to do; an answer is not kept
	 * from it */
	a.state = VCPU_RUNNABLE;
	a.halted = true;
	a.ioreq.word = HC_IOREQ_IN | 4 << 16;
	a.ioreq.value = 0x1234;
	a.ioreq.insn_len = 1;
	a.attention = VCPU_ATT_PARK | VCPU_ATT_IOREQ | VCPU_ATT_NMI;
	assert_false(vcpu_prepare(&a));
	assert_string_equal(order, "offfp");
	assert_int_equal(a.regs.rax, 0x1234);
	assert_true(parked_att & VCPU_ATT_NMI);
	assert_true(a.halted);
	assert_int_equal(a.state, VCPU_PARKED);
	assert_int_equal(fake.injected, 1);
	/* what the CPU held of who has left it for nobody is not the next one's,
	 * and is not saved twice */
	memset(&hw, 0, sizeof(hw));
	hw.xcr0 = XMASK;
	vcpu_switch(NULL, &a);
	hw.cr2 = hw.fpu = 0x11;
	vcpu_unload(&a);
	assert_int_equal(a.cr2, 0x11);
	hw.cr2 = 0x22;
	vcpu_unload(&a);
	assert_int_equal(a.cr2, 0x11);
	hw.cr2 = 0x11;
	hw.tsc_aux = 4;
	vcpu_switch(NULL, &b);
	assert_int_equal(hw.cr2 | hw.fpu | hw.tsc_aux, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(forking, make),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
