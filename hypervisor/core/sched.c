/* SPDX-License-Identifier: MIT */
/*
 * The scheduler. vCPUs are pinned to CPUs at boot; each CPU runs those that
 * are its own: who has most left of his slice goes first, and all get a new one
 * when nobody who can run has time left, so nobody is starved. A request to the
 * host partition is answered before the requester goes on, and on his time: so
 * who asks much has less for himself, and takes nothing from others. The time
 * limit of vcpu_run ends slices and serves virtual timers; the CPU's own timer
 * is used only while it is idle.
 */
#include <hv.h>
#include <iommu.h>
#include <partition.h>
#include <percpu.h>
#include <x86.h>

#define SLICE_PER_SECOND	200u	/* slices of 5 ms */

static bool last_turn;		/* after a panic, on CPU 0 */

/**
 * Puts a new vCPU on its CPU's queue, the host partition's first; queues never
 * change afterwards, so they are read without a lock. Boot CPU.
 */
void sched_add(struct vcpu *v)
{
	struct percpu *pc = v->cpu;
	uint32_t i = pc->vcpu_count++;

	for (; partition_is_host(v->partition) && i > 0; i--) {
		pc->vcpus[i] = pc->vcpus[i - 1];
	}
	pc->vcpus[i] = v;
	v->wait_deadline = ~0ull;
	v->lapic.deadline = VLAPIC_OFF;
}

/**
 * Interrupts v's CPU if it is away, in a guest or halted. Any CPU, any lock.
 *
 * Who wants something of another CPU stores what it is (resched, a vCPU's
 * attention or state) and then looks here whether it is away; that CPU stores
 * that it is away and then looks for such reasons once more (go_away()). All
 * four accesses are sequentially consistent, so one of the two sees the other:
 * either the interrupt is sent, or nobody enters or halts. The first who finds
 * it away takes the mark, and answers for all who come until the CPU is back:
 * one interrupt, however many reasons. It may arrive when the CPU has come back
 * by itself, and then ends its next run too early, no more. The model is
 * qemu-test/spin/kick.pml.
 */
void sched_interrupt(const struct vcpu *v)
{
	struct percpu *pc = v->cpu;

	if (pc != this_cpu() && __atomic_load_n(&pc->away, __ATOMIC_SEQ_CST) &&
	    __atomic_exchange_n(&pc->away, 0, __ATOMIC_SEQ_CST)) {
		lapic_ipi(pc->apic_id, VECTOR_KICK);
	}
}

/**
 * Makes v's CPU look at its queue again: ends its idling, or the run of the
 * vCPU that is on it. Any CPU, any lock.
 */
void sched_kick(struct vcpu *v)
{
	__atomic_store_n(&v->cpu->resched, 1, __ATOMIC_SEQ_CST);
	sched_interrupt(v);
}

/**
 * The host partition's vCPU v has an event. If a vCPU of its CPU's has brought it
 * about, v goes before all others, on that one's time, until it has been told and
 * waits again; else it has its turn by its own time. Any CPU, any lock.
 */
void sched_event(struct vcpu *v)
{
	struct percpu *pc = this_cpu();

	if (pc == v->cpu && pc->current != v) {
		v->payer = pc->current;
		v->told = false;
		pc->resched = 1;
	}
}

/* This CPU is about to enter v, or to halt (NULL). true: it may; whatever
 * happens to it from here on comes with an interrupt. */
static bool go_away(struct percpu *pc, const struct vcpu *v)
{
	__atomic_store_n(&pc->away, 1, __ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&pc->resched, __ATOMIC_SEQ_CST) &&
	    !(v && __atomic_load_n(&v->attention, __ATOMIC_SEQ_CST))) {
		return true;
	}
	pc->away = 0;
	return false;
}

/**
 * A timer of a vCPU on this CPU is due at host TSC at: the present run ends no
 * later. One that is put off or disarmed meanwhile costs an exit for nothing;
 * the next pass of sched_loop() finds the true time.
 */
void sched_timer(struct percpu *pc, uint64_t at)
{
	if (at < pc->timer_at) {
		pc->timer_at = at;
	}
}

/* The partition's state comes second: see all_stopped() in partition.c. */
static bool runnable(const struct vcpu *v)
{
	return __atomic_load_n(&v->state, __ATOMIC_SEQ_CST) == VCPU_RUNNABLE &&
	       v->partition->state == HC_STATE_RUNNING;
}

/* Fires what is due now; returns when the next timer of this CPU is, in host TSC.
 * Timers of vCPUs that run nowhere are fired here too. */
static uint64_t run_timers(struct percpu *pc, uint64_t now)
{
	uint64_t next = box_turn(pc, now);
	uint32_t i;

	channel_poll();
	if (now >= iommu_report_at && pc->index == 0) {
		iommu_report_poll(now);
	}
	for (i = 0; i < pc->vcpu_count; i++) {
		struct vcpu *v = pc->vcpus[i];

		if (v->lapic.deadline <= now) {
			vlapic_timer_check(v, now);
		}
		if (v->wait_deadline <= now) {
			vcpu_wake(v, VCPU_WAITING, 0);
		} else {
			next = u64_min(next, v->wait_deadline);
		}
		next = u64_min(next, v->lapic.deadline);
	}
	return next;
}

/* Nobody who can run has time left: all get a new slice, but for the last one. */
static NOINLINE void refill(struct percpu *pc)
{
	if (last_turn) {
		box_end();
	}
	for (uint32_t i = 0; i < pc->vcpu_count; i++) {
		pc->vcpus[i]->slice_left = boot.tsc_hz / SLICE_PER_SECOND;
	}
}

/* The vCPU to run, NULL: nobody can. The host partition's if another pays for it;
 * else who has most time left. */
static struct vcpu *pick(struct percpu *pc)
{
	struct vcpu *v, *best = NULL;

	for (uint32_t i = 0; i < pc->vcpu_count; i++) {
		v = pc->vcpus[i];
		if (!runnable(v)) {
			continue;
		}
		if (v->payer && v->payer->slice_left) {
			return v;
		}
		if (!best || v->slice_left > best->slice_left) {
			best = v;
		}
	}
	if (best ? !best->slice_left : last_turn) {
		refill(pc);
	}
	return best;
}

/* Waits until an interrupt sets resched, or host TSC until. Interrupts are
 * open only in cpu_sti_cli() and cpu_sti_hlt_cli(), so one between the look at
 * resched and HLT is held back until HLT can take it. t0: now; returns the
 * later now. */
static uint64_t idle(struct percpu *pc, uint64_t until, uint64_t t0)
{
	bool work = true;
	uint64_t now;

	/* what devices have tried is told soon, also when all sleep */
	if (pc->index == 0) {
		until = u64_min(until, iommu_report_at);
	}
	lapic_timer_start(until);
	while (go_away(pc, NULL)) {
		pc->box->doing = BOX_IDLE;
		/* one page at a time, with interrupts let in after each */
		if (work) {
			work = frame_zero_one();
			cpu_sti_cli();
		} else {
			cpu_sti_hlt_cli();
		}
	}
	lapic_timer_stop();
	pc->box->doing = BOX_HYPERVISOR;
	now = rdtsc();
	pc->idle_ticks += now - t0;
	return now;
}

/* Runs v until it blocks, its slice ends, or the queue needs a look, which it
 * does when a timer is due at host TSC next. t0: now; returns the later now. */
static uint64_t run(struct percpu *pc, struct vcpu *v, uint64_t next,
		    uint64_t t0)
{
	struct vcpu *payer = v->payer && v->payer->slice_left ? v->payer : v;
	struct vm_exit e;
	uint64_t now, used;

	pc->timer_at = u64_min(next, t0 + payer->slice_left);
	__atomic_store_n(&v->running, 1, __ATOMIC_SEQ_CST);
	pc->current = v;
	v->fault_streak = 0;
	while (runnable(v) && vcpu_prepare(v)) {
		if (go_away(pc, v)) {
			pc->box->doing = BOX_GUEST;
			hvm->vcpu_run(v, pc->timer_at, &e);
			/* a mark that somebody has taken stays taken */
			pc->away = 0;
			box_exit(pc, v, &e);
			exit_handle(v, &e);
		}
		if (pc->resched) {
			break;
		}
	}
	pc->current = NULL;
	/* what the guest wrote is in memory before: see release.c */
	cpu_store_fence();
	__atomic_store_n(&v->running, 0, __ATOMIC_RELEASE);
	now = rdtsc();
	used = now - t0;
	v->ticks_run += used;
	payer->slice_left -= u64_min(used, payer->slice_left);
	return now;
}

/**
 * What every CPU does for ever, once the machine is up. On its own stack,
 * interrupts off, no lock held.
 */
void sched_loop(void)
{
	struct percpu *pc = this_cpu();
	uint64_t now = rdtsc();
	struct vcpu *v;

	for (;;) {
		uint64_t next;

		/* before timers and states are looked at: what changes after
		 * this sets it again */
		__atomic_store_n(&pc->resched, 0, __ATOMIC_SEQ_CST);
		next = run_timers(pc, now);
		v = pick(pc);
		if (v) {
			now = run(pc, v, next, now);
		} else {
			now = idle(pc, next, now);
		}
	}
}

/**
 * The end of a panic. On CPU 0 the host partition's program gets an NMI, and a second
 * to send on what the log says, if it has run; once it stops, or with another panic,
 * that is over.
 * This CPU may have been anywhere: the others stop, so no lock is anybody's.
 */
void sched_last_turn(void)
{
	struct partition *host = partition_host();
	struct percpu *pc = this_cpu();

	if (host && pc->index == 0 && pc->online && !last_turn) {
		last_turn = true;
		host->lock = frame_lock = (struct lock){ 0 };
		host->start_count = ~0ull;	/* it has no next */
		pc->vcpu_count = 1;	/* its own, the first */
		pc->vcpus[0]->slice_left = boot.tsc_hz;
		vcpu_attention(pc->vcpus[0], VCPU_ATT_NMI);
		partition_event(host, HC_EVENT_LOG);	/* ends HC_WAIT */
		sched_loop();
	}
	box_end();
}
