/* SPDX-License-Identifier: MIT */
/*
 * What a remote call costs in instructions that leave for the hypervisor
 * around us, where we are nested: the doorbell of a partition, its way to the
 * host partition, and back. Counted by kind. A number that grows here makes
 * every call slower there, by a microsecond or more each; one that shrinks is
 * written down. Built for each vendor.
 */
#include "hv_fakes.h"
#include "cost.h"

#define CALLS	10u

struct cost cost;
static struct boot_partition config[2];
static struct partition part[2];
static struct vcpu host, linux_vcpu;
static uint8_t area[2][PAGE_SIZE] __attribute__((aligned(64)));
uint64_t cost_msr[0x1000];
static uint64_t dr[7], xcr0;

/* --- counted ------------------------------------------------------------- */

uint64_t rdmsr(uint32_t n)
{
	cost.rdmsr++;
	if (n == MSR_IA32_APIC_BASE) {
		return APIC_BASE_EN | APIC_BASE_EXTD;
	}
	return cost_msr[n & 0xfff];
}

void wrmsr(uint32_t n, uint64_t v)
{
	cost.wrmsr++;
	cost_msr[n & 0xfff] = v;
}

void xsetbv(uint32_t reg, uint64_t v)
{
	(void)reg;
	cost.xsetbv++;
	xcr0 = v;
}

uint64_t xgetbv(uint32_t reg)
{
	(void)reg;
	return xcr0;
}

#define DR(n)								\
uint64_t read_dr##n(void)						\
{									\
	cost.dr++;							\
	return dr[n];							\
}									\
void write_dr##n(uint64_t v)						\
{									\
	cost.dr++;							\
	dr[n] = v;							\
}
DR(0)
DR(1)
DR(2)
DR(3)
DR(6)

/* --- free of cost, or not of this test ------------------------------------ */

uint64_t read_cr2(void)
{
	return 0;
}

void write_cr2(uint64_t v)
{
	(void)v;
}

void xsave(void *p, uint64_t mask)
{
	(void)p;
	assert_int_equal(xcr0, mask);
}

void xrstor(const void *p, uint64_t mask)
{
	(void)p;
	assert_int_equal(xcr0, mask);
}

uint64_t xstate_mask = XCR0_X87 | XCR0_SSE | XCR0_AVX;
bool cpu_has_tsc_aux = true;

void guest_fetch_forget(struct vcpu *v)
{
	(void)v;
}

int vlapic_pending(const struct vcpu *v)
{
	(void)v;
	return -1;
}

void vlapic_accept(struct vcpu *v, uint8_t vector)
{
	(void)v;
	(void)vector;
}

void vlapic_reset(struct vcpu *v, bool x2apic)
{
	(void)v;
	(void)x2apic;
}

/* The doorbell: the host partition has something to do. */
bool channel_io(struct vcpu *v, const struct vm_exit *e)
{
	assert_int_equal(e->io.port, COST_PORT);
	assert_ptr_equal(v, &linux_vcpu);
	part[0].events |= 1;
	vcpu_wake(&host, VCPU_WAITING, 0);
	return true;
}

/* --- one call, as sched.c makes it -------------------------------------- */

static void run(struct vcpu *v, enum cost_exit what)
{
	struct vm_exit e;

	assert_true(vcpu_prepare(v));
	fake.tsc += 1000;
	cost_next = what;
	hvm->vcpu_run(v, fake.tsc + v->slice_left, &e);
	assert_int_equal(e.code, what == COST_DOORBELL ? VM_EXIT_IO :
			 what == COST_DR ? VM_EXIT_DR_ACCESS :
			 VM_EXIT_HYPERCALL);
	exit_handle(v, &e);
	v->slice_left -= 1000;
}

/* The host partition does what it is asked to, and waits again. */
static void host_serves(void)
{
	run(&host, COST_WAIT);
	assert_false(vcpu_prepare(&host));
	assert_int_equal(host.state, VCPU_WAITING);
}

static void remote_call(void)
{
	run(&linux_vcpu, COST_DOORBELL);
	host_serves();
}

static void vcpu_of(struct vcpu *v, uint32_t i, uint64_t efer)
{
	memset(&part[i], 0, sizeof(part[i]));
	part[i].config = &config[i];
	part[i].id = i;
	part[i].state = HC_STATE_RUNNING;
	part[i].flags = i ? 0 : BOOT_PARTITION_HOST;
	fake_vcpu_init(v, &part[i], 0);
	v->fpu = area[i];
	v->state = VCPU_RUNNABLE;
	v->wait_deadline = ~0ull;
	v->slice_left = 5000000;
	v->xcr0 = xstate_mask;	/* as a long-mode start has it */
	cost_vcpu(v, i);
	assert_true(vcpu_prepare(v));
	hvm->vcpu_set(v, VCPU_EFER, EFER_LME | EFER_LMA | efer);
}

static int make(void **state)
{
	(void)state;
	fakes_reset();
	memset(cost_msr, 0x55, sizeof(cost_msr));
	memset(dr, 0x55, sizeof(dr));
	memset(area, 0, sizeof(area));
	lapic_init(&boot);
	vcpu_of(&host, 0, 0);
	vcpu_of(&linux_vcpu, 1, EFER_SCE);
	/* Linux is up: it has its MSRs, the host partition waits */
	assert_true(msr_write(&linux_vcpu, MSR_IA32_STAR, 1ull << 48));
	assert_true(msr_write(&linux_vcpu, MSR_IA32_LSTAR, ~0xfffull));
	assert_true(msr_write(&linux_vcpu, MSR_IA32_CSTAR, ~0xfffull));
	assert_true(msr_write(&linux_vcpu, MSR_IA32_FMASK, 0x47700));
	host_serves();
	remote_call();
	memset(&cost, 0, sizeof(cost));
	return 0;
}

static void limits(const struct cost *most, const char *what)
{
	const uint32_t *is = (const uint32_t *)&cost;
	const uint32_t *may = (const uint32_t *)most;
	size_t i;

	for (i = 0; i < sizeof(cost) / sizeof(*is); i++) {
		if (is[i] != may[i] * CALLS) {
			fail_msg("%u %s cost %u %s, not %u", CALLS, what,
				 is[i], cost_names[i], may[i] * CALLS);
		}
	}
}

/* Who uses debug registers pays for the moves, and nobody else does. */
static void debug_registers(void **state)
{
	(void)state;
	run(&linux_vcpu, COST_DR);
	remote_call();
	assert_int_equal(cost.dr, 5 + 5);	/* loaded, then saved */
	remote_call();
	assert_int_equal(cost.dr, 10);
}

static void call(void **state)
{
	uint32_t i;

	(void)state;
	for (i = 0; i < CALLS; i++) {
		remote_call();
	}
	limits(&cost_of_call, "remote calls");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(call, make),
		cmocka_unit_test_setup(debug_registers, make),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
