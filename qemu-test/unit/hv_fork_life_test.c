/* SPDX-License-Identifier: MIT */
/*
 * What becomes a template and what a child, and when not (core/fork.c): how vCPUs
 * are parked, what of them a child's have, its channels, and all that is refused.
 */
#include <abi/channel.h>
#include "proto/channel_device.h"

#include "hv_fork.h"

/* Runs on another CPU as soon as a vCPU has been woken; NULL: nothing does. */
static void (*woken)(struct vcpu *v);

void vcpu_wake(struct vcpu *v, enum vcpu_state from, uint32_t attention)
{
	v->attention |= attention;
	if (v->state == from) {
		v->state = VCPU_RUNNABLE;
		if (woken) {
			woken(v);
		}
	}
}

static void refused(void **state)
{
	struct boot_partition *c;
	uint32_t i;

	(void)state;
	template(state);
	assert_int_equal(fork_call(5, 1, 2), HC_EINVAL);
	assert_int_equal(fork_call(HC_FORK_READ, 1, 2), HC_EINVAL);
	assert_int_equal(fork_call(HC_FORK_RESTORE, 4, 0), HC_EINVAL);
	assert_int_equal(fork_call(HC_FORK_RESTORE, 1, 0), HC_EBUSY);
	assert_int_equal(fork_call(HC_FORK_RESTORE, 0, 0), HC_EBUSY);
	assert_int_equal(fork_call(~0ull, 1, 2), HC_EINVAL);
	assert_int_equal(fork_call(HC_FORK_FREEZE, 4, 0), HC_EINVAL);
	assert_int_equal(fork_call(HC_FORK_FREEZE, ~0ull, 0), HC_EINVAL);
	assert_int_equal(fork_call(HC_FORK_CHILD, 1, 4), HC_EINVAL);
	assert_int_equal(fork_call(HC_FORK_CHILD, BIT64(32) + 1, 2),
			 HC_EINVAL);
	assert_int_equal(fork_call(HC_FORK_FREEZE, 0, 0), HC_EPERM);
	/* no template, or one already */
	assert_int_equal(fork_call(HC_FORK_FREEZE, 1, 0), HC_EBUSY);
	assert_int_equal(fork_call(HC_FORK_FREEZE, 2, 0), HC_EBUSY);
	assert_int_equal(fork_call(HC_FORK_CHILD, 2, 3), HC_EBUSY);
	assert_int_equal(fork_call(HC_FORK_CHILD, 0, 3), HC_EBUSY);
	assert_int_equal(fork_call(HC_FORK_CHILD, 1, 1), HC_EBUSY);
	assert_int_equal(fork_call(HC_FORK_CHILD, 1, 0), HC_EBUSY);
	/* it never runs again, nor is it given memory */
	assert_int_equal(partition_start(linux_p, &(struct vcpu_start){ 0 }),
			 HC_EBUSY);
	assert_true(populate(host, 0x8000));
	assert_int_equal(donate_memory(host, GPA(0x8000), linux_p,
					  GPA(UNIT(4)), 1), HC_EBUSY);
	/* another shape */
	c = (struct boot_partition *)child[0]->config;
	c->demand[1].size -= BIG_PAGE_SIZE;
	assert_int_equal(fork_call(HC_FORK_CHILD, 1, 2), HC_EINVAL);
	c->demand[1].size += BIG_PAGE_SIZE;
	c->demand[0].gpa += PAGE_SIZE;
	assert_int_equal(fork_call(HC_FORK_CHILD, 1, 2), HC_EINVAL);
	c->demand[0].gpa -= PAGE_SIZE;
	for (i = 1; i < 4; i += 2) {
		c->demand_count = i;
		assert_int_equal(fork_call(HC_FORK_CHILD, 1, 2), HC_EINVAL);
	}
	c->demand_count = 2;
	child[0]->vcpu_count = 1;
	assert_int_equal(fork_call(HC_FORK_CHILD, 1, 2), HC_EINVAL);
	child[0]->vcpu_count = 2;
	child[0]->channel_count = 0;
	assert_int_equal(fork_call(HC_FORK_CHILD, 1, 2), HC_EINVAL);
	child[0]->channel_count = 1;
	/* what has been donated is in the way */
	assert_int_equal(donate_memory(host, GPA(0x8000), child[0],
					  GPA(UNIT(4)), 1), HC_OK);
	assert_int_equal(fork_call(HC_FORK_CHILD, 1, 2), HC_EBUSY);
	stop(child[0]);
	assert_int_equal(linux_p->children, 0);
	/* a template stays while it has children, one that has ended too */
	forked(0);
	forked(1);
	assert_int_equal(fork_call(HC_FORK_CHILD, 1, 2), HC_EBUSY);
	assert_int_equal(fork_call(HC_FORK_FREEZE, 2, 0), HC_EPERM);
	assert_int_equal(partition_stop(linux_p), HC_EBUSY);
	assert_int_equal(linux_p->state, HC_STATE_FROZEN);
	stop(child[0]);
	partition_kill(child[1]->vcpus[0], HC_REASON_NO_MEMORY, 0);
	assert_int_equal(partition_stop(linux_p), HC_EBUSY);
	assert_int_equal(linux_p->state, HC_STATE_FROZEN);
	stop(child[1]);
	assert_null(child[1]->template);
	stop(linux_p);
	assert_int_equal(fork_call(HC_FORK_CHILD, 1, 2), HC_EBUSY);
	/* one that has ended is none any more */
	assert_int_equal(partition_start(linux_p, &(struct vcpu_start){ 0 }),
			 HC_OK);
	partition_kill(linux_p->vcpus[0], HC_REASON_NO_MEMORY, 0);
	assert_int_equal(fork_call(HC_FORK_FREEZE, 1, 0), HC_EBUSY);
	stop(linux_p);
}

/* What is done to a vCPU's state besides, in order. */
static struct {
	const char *what;
	const void *v, *from;
} done[4];
static uint32_t dones;
static struct hvm_ops ops;

static void note(const char *what, const void *v, const void *from)
{
	if (dones < ARRAY_SIZE(done)) {
		done[dones].what = what;
		done[dones].v = v;
		done[dones++].from = from;
	}
}

void vcpu_unload(struct vcpu *v)
{
	note("unload", v, NULL);
}

void kvmclock_update(struct vcpu *v, bool paused)
{
	note(paused ? "paused" : "clock", v, NULL);
}

static void copy(struct vcpu *v, const struct vcpu *from)
{
	note("copy", v, from);
}

static void was_done(uint32_t n, const char *what, const void *v,
		     const void *from)
{
	assert_string_equal(done[n].what, what);
	assert_ptr_equal(done[n].v, v);
	assert_ptr_equal(done[n].from, from);
}

/* Which vCPUs are asked, and what is kept of what they had before them. */
static void parking(void **state)
{
	struct vcpu *a = linux_p->vcpus[0], *b = linux_p->vcpus[1];
	uint32_t i;

	template(state);
	stop(linux_p);
	assert_int_equal(partition_start(linux_p, &(struct vcpu_start){ 0 }),
			 HC_OK);
	a->attention = b->attention = 0;
	a->state = VCPU_IOREQ;
	b->state = VCPU_WAIT_SIPI;
	a->running = 1;
	for (i = 0; i < 2; i++) {
		assert_int_equal(fork_call(HC_FORK_FREEZE, 1, 0), HC_EAGAIN);
		assert_int_equal(linux_p->state, HC_STATE_RUNNING);
		assert_int_equal(a->state, VCPU_RUNNABLE);
		assert_int_equal(a->attention, VCPU_ATT_PARK);
		assert_int_equal(b->state, VCPU_WAIT_SIPI);
	}
	a->lapic.deadline = 777;
	a->lapic.irr[2] = 5;
	a->halted = a->halt_if = true;
	a->tsc_offset = 42;
	a->kvmclock_msr = 0x5001;
	a->regs.r15 = 15;
	memset(a->fpu, 0x46, PAGE_SIZE);
	a->xcr0 = 3;
	a->dr[3] = 4;
	a->dr6 = 6;
	a->dr_armed = true;
	a->cr2 = 2;
	a->tsc_aux = 8;
	ops = *hvm;
	ops.vcpu_copy = copy;
	hvm = &ops;
	dones = 0;
	fork_park(a, VCPU_ATT_PARK | VCPU_ATT_IOREQ | VCPU_ATT_NMI);
	was_done(0, "unload", a, NULL);
	was_done(1, "copy", a, NULL);
	assert_int_equal(a->state, VCPU_PARKED);
	assert_int_equal(a->lapic.deadline, VLAPIC_OFF);
	/* not yet out of its run loop */
	assert_int_equal(fork_call(HC_FORK_FREEZE, 1, 0), HC_EAGAIN);
	a->running = 0;
	/* a message, meanwhile, and it was asked again as it parked */
	a->attention = VCPU_ATT_INTR | VCPU_ATT_PARK;
	/* woken by a's last words: it is asked like any other */
	b->state = VCPU_RUNNABLE;
	assert_int_equal(fork_call(HC_FORK_FREEZE, 1, 0), HC_EAGAIN);
	b->state = VCPU_WAIT_SIPI;
	b->attention = 0;
	assert_int_equal(fork_call(HC_FORK_FREEZE, 1, 0), HC_OK);
	assert_int_equal(linux_p->state, HC_STATE_FROZEN);
}

/* What it had, a child's vCPU has; the clock goes on. */
static void running_on(void **state)
{
	struct vcpu *a = linux_p->vcpus[0], *v;

	(void)state;		/* as parking() has left it */
	fake.tsc += 5000;
	child[0]->vcpus[0]->lapic.irr[3] = 1;	/* of an earlier life */
	assert_int_equal(fork_call(HC_FORK_CHILD, 1, 2), HC_OK);
	v = child[0]->vcpus[0];
	assert_int_equal(v->state, VCPU_RUNNABLE);
	assert_int_equal(v->attention, VCPU_ATT_FORK | VCPU_ATT_INTR |
			 VCPU_ATT_NMI);
	assert_int_equal(v->lapic.irr[2], 5);
	assert_int_equal(v->lapic.irr[3], 0);
	assert_int_equal(v->tsc_offset, 42);
	assert_int_equal(v->kvmclock_msr, 0x5001);
	assert_int_equal(child[0]->start_tsc, linux_p->start_tsc);
	assert_int_equal(child[0]->begin_tsc, fake.tsc);
	assert_int_equal(child[0]->vcpus[1]->state, VCPU_WAIT_SIPI);
	assert_int_equal(child[0]->vcpus[1]->attention, 0);
	assert_false(v->halted);
	dones = 0;
	fork_vcpu(v);
	was_done(0, "copy", v, a);
	was_done(1, "paused", v, NULL);
	assert_int_equal(v->lapic.deadline, 777);
	assert_true(v->halted && v->halt_if);
	assert_memory_equal(&v->regs, &a->regs, sizeof(v->regs));
	assert_memory_equal(v->fpu, a->fpu, PAGE_SIZE);
	assert_int_equal(v->xcr0, 3);
	assert_int_equal(v->dr[3], 4);
	assert_int_equal(v->dr6, 6);
	assert_true(v->dr_armed && !v->dr_loaded);
	assert_int_equal(v->cr2, 2);
	assert_int_equal(v->tsc_aux, 8);
	v->kept = VCPU_ATT_NMI;
	stop(child[0]);
	assert_int_equal(v->attention, 0);
	assert_int_equal(v->kept, 0);	/* nothing for the next life */
	/* one that was begun and not ended: it can only be stopped */
	stop(linux_p);
	assert_int_equal(partition_start(linux_p, &(struct vcpu_start){ 0 }),
			 HC_OK);
	a->attention = 0;
	assert_int_equal(fork_call(HC_FORK_FREEZE, 1, 0), HC_EAGAIN);
	fork_park(a, VCPU_ATT_PARK);
	stop(linux_p);
	assert_int_equal(a->state, VCPU_STOPPED);
}

/* A child's first vCPU sends the other one an interrupt and a start-up IPI before
 * HC_FORK has gone on. */
static void calls(struct vcpu *v)
{
	struct vcpu *other = child[0]->vcpus[1];

	woken = NULL;
	assert_ptr_equal(v, child[0]->vcpus[0]);
	assert_int_equal(child[0]->state, HC_STATE_RUNNING);
	other->lapic.irr[7] |= 8;
	vcpu_attention(other, VCPU_ATT_INTR);
	vcpu_sipi(other, 9);
}

/* What it sends is there, whether the other one runs or waits to be started. */
static void siblings(void **state)
{
	struct vcpu *other = child[0]->vcpus[1];
	uint32_t i;

	template(state);
	for (i = 0; i < 2; i++) {
		woken = calls;
		assert_int_equal(fork_call(HC_FORK_CHILD, 1, 2), HC_OK);
		assert_null(woken);
		assert_int_equal(other->lapic.irr[7], 8);
		assert_int_equal(other->state, VCPU_RUNNABLE);
		assert_int_equal(other->attention, VCPU_ATT_INTR |
				 (i ? VCPU_ATT_RESET : VCPU_ATT_FORK));
		stop(child[0]);
		linux_p->vcpus[1]->state = VCPU_WAIT_SIPI;
	}
	stop(linux_p);
}

static struct partition *told;
static uint32_t told_data, tellings;

void vlapic_msi(uint64_t address, uint32_t data, struct vcpu *any)
{
	(void)address;
	told = any->partition;
	told_data = data;
	tellings++;
}

/* Where end 1 of channel n has its page, and the state table. */
static uint32_t *msix_of(struct partition *p)
{
	struct gpm_entry e;

	assert_true(gpm_lookup(p, GPA(CHANNEL_GUEST_MSIX_GPA), &e));
	assert_true(e.write);
	return hpa_ptr(e.pa);
}

static uint32_t generation(uint32_t n)
{
	struct guest_regs r;

	assert_int_equal(channel_query(host, n, &r), HC_OK);
	return (uint32_t)r.rdi;
}

/* Linux starts, its channel comes up; interrupts are on, but for the doorbell's if
 * masked. Returns the generation that its driver knows. */
static uint32_t start_with_channel(bool masked)
{
	struct vm_exit on = { .io = { CHANNEL_GUEST_IO_PORT +
				      CHANNEL_IO_INT_CONTROL, 4 } };
	struct vcpu *v = linux_p->vcpus[0];
	uint32_t *table;

	assert_int_equal(partition_start(linux_p, &(struct vcpu_start){ 0 }),
			 HC_OK);
	assert_int_equal(channel_set_state(linux_p, 0, CHANNEL_STATE_READY),
			 HC_OK);
	table = msix_of(linux_p);
	table[2] = 0x41;	/* state */
	table[3] = 0;
	table[6] = 0x42;	/* doorbell */
	table[7] = masked;
	v->regs.rax = 1;
	assert_true(channel_io(v, &on));
	linux_p->vcpus[1]->state = VCPU_HALTED;
	return generation(0);
}

/* A child's channel is its own, reset, at the same place; its driver is told by
 * an interrupt that it had set up in the template. */
static void channels(void **state)
{
	struct gpm_entry t, e;
	uint32_t i, known;

	template(state);
	stop(linux_p);
	for (i = 0; i < 2; i++) {
		/* generations apart, either way */
		while (i && generation(1) + 3 > generation(0)) {
			channel_partition_down(linux_p);
		}
		while (!i && generation(1) < generation(0) + 3) {
			channel_partition_down(child[0]);
		}
		known = start_with_channel(i);
		host->events = 0;
		assert_int_equal(freeze(), HC_OK);
		assert_true(host->events & HC_EVENT_STATE(0));
		assert_int_not_equal(generation(0), known);
		tellings = 0;
		assert_int_equal(channel_doorbell(host, 0), HC_OK);
		assert_int_equal(tellings, 0);	/* it will never hear */
		host->events = 0;
		forked(0);
		assert_int_not_equal(generation(1), known);
		assert_true(host->events & HC_EVENT_STATE(1));
		assert_memory_equal(msix_of(child[0]), msix_of(linux_p), 64);
		assert_true(gpm_lookup(linux_p, GPA(0xe4000000), &t));
		assert_true(gpm_lookup(child[0], GPA(0xe4000000), &e));
		assert_int_not_equal(t.pa.v, e.pa.v);
		assert_false(e.shared);
		channel_poll();
		assert_int_equal(tellings, 1);
		assert_ptr_equal(told, child[0]);
		assert_int_equal(told_data, 0x41);
		assert_int_equal(channel_doorbell(host, 1), HC_OK);
		assert_int_equal(tellings, 2 - i);
		stop(child[0]);
		stop(linux_p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refused),
		cmocka_unit_test(parking),
		cmocka_unit_test(running_on),
		cmocka_unit_test(siblings),
		cmocka_unit_test(channels),
	};

	return cmocka_run_group_tests(tests, fork_machine, NULL);
}
