/* SPDX-License-Identifier: MIT */
/*
 * Templates and their children (HC_FORK). A running partition is frozen: each of
 * its vCPUs parks itself, out of its guest and with its state laid open, and
 * none ever runs again. A stopped partition of the same shape becomes its child:
 * its vCPUs begin with the state of the template's, its map is empty, and what it
 * touches it has as the template does (gpm.c, partition_populate()). The
 * template does not change while it has children, so what they read of it needs
 * no lock.
 *
 * Time goes on in a child as if it had been off its CPUs. Its channels are its
 * own, and have been reset. What had been asked of the host partition and was not
 * answered is asked anew; what was being given back is gone.
 *
 * On CPU 0, as the host partition alone calls; but for fork_park() and
 * fork_vcpu(), which are a vCPU's own, and fork_share().
 */
#include <hv.h>
#include <partition.h>
#include <percpu.h>
#include <x86.h>

/* What is before is copied on the vCPU's own CPU, the rest before others may send it
 * interrupts. */
#define FORK_LATER	offsetof(struct vcpu, tsc_offset)

/* Is v out of its guest for good? One that waits for a start-up IPI has no state
 * to lay open; vcpu_sipi() comes under its partition's lock, which is held. The
 * others are asked. */
static bool parked(struct vcpu *v)
{
	if ((v->state == VCPU_PARKED || v->state == VCPU_WAIT_SIPI) &&
	    !__atomic_load_n(&v->running, __ATOMIC_ACQUIRE)) {
		return true;
	}
	vcpu_attention(v, VCPU_ATT_PARK);
	vcpu_wake(v, VCPU_IOREQ, 0);
	return false;
}

/**
 * VCPU_ATT_PARK: v's state is in memory, for any CPU to read; of what was due,
 * att, the rest is the children's. The timer has its time still, but nobody is
 * to be woken by it. On v's CPU.
 */
void fork_park(struct vcpu *v, uint32_t att)
{
	vcpu_unload(v);
	hvm->vcpu_copy(v, NULL);
	v->kept = att & (VCPU_ATT_INTR | VCPU_ATT_NMI);
	v->parked_deadline = v->lapic.deadline;
	v->lapic.deadline = VLAPIC_OFF;
	__atomic_store_n(&v->state, VCPU_PARKED, __ATOMIC_SEQ_CST);
}

/* HC_EAGAIN: not all are parked yet. */
static hv_status_t freeze(struct partition *p)
{
	hv_status_t st;

	lock_take(&p->lock);
	st = partition_is_host(p) || p->template ? HC_EPERM :
	     p->state == HC_STATE_RUNNING ? HC_OK : HC_EBUSY;
	for (uint32_t i = 0; (!st || st == HC_EAGAIN) && i < p->vcpu_count; i++) {
		st = parked(p->vcpus[i]) ? st : HC_EAGAIN;
	}
	if (!st) {
		channel_partition_down(p);
		__atomic_store_n(&p->state, HC_STATE_FROZEN, __ATOMIC_SEQ_CST);
	}
	lock_drop(&p->lock);
	return st;
}

/* Memory, vCPUs and channels: what a guest knows of its machine. */
static bool same_shape(const struct partition *a, const struct partition *b)
{
	const struct boot_partition *c = a->config, *d = b->config;
	bool same = c->demand_count == d->demand_count &&
		    a->vcpu_count == b->vcpu_count && channel_same(a, b);

	for (uint32_t i = 0; same && i < c->demand_count; i++) {
		same = c->demand[i].gpa == d->demand[i].gpa &&
		       c->demand[i].size == d->demand[i].size;
	}
	return same;
}

/* What v, of a child that is to begin, has of t before any of its vCPUs runs, for
 * they interrupt each other; the rest is fork_vcpu()'s, on its CPU. */
static void begin(struct vcpu *v, const struct vcpu *t)
{
	bool waits = t->state == VCPU_WAIT_SIPI;

	__builtin_memcpy((uint8_t *)v + FORK_LATER, (const uint8_t *)t + FORK_LATER,
			 offsetof(struct vcpu, backend) - FORK_LATER);
	/* it may have been asked to park once more when it did */
	v->attention = waits ? 0 : VCPU_ATT_FORK |
		       ((t->attention | t->kept) & ~VCPU_ATT_PARK);
	v->state = waits ? VCPU_WAIT_SIPI : VCPU_STOPPED;
}

static hv_status_t child(struct partition *t, struct partition *p)
{
	if (t->state != HC_STATE_FROZEN || p->state != HC_STATE_STOPPED ||
	    promise_owned(p) != p->pages_tables) {
		return HC_EBUSY;
	}
	if (!same_shape(t, p)) {
		return HC_EINVAL;
	}
	p->template = t;
	t->children++;
	partition_begin(p, t->start_tsc);
	for (uint32_t i = 0; i < p->vcpu_count; i++) {
		begin(p->vcpus[i], t->vcpus[i]);
	}
	channel_fork(t, p);
	/* as in partition_start() */
	__atomic_store_n(&p->state, HC_STATE_RUNNING, __ATOMIC_SEQ_CST);
	for (uint32_t i = 0; i < p->vcpu_count; i++) {
		vcpu_wake(p->vcpus[i], VCPU_STOPPED, 0);
	}
	return HC_OK;
}

/* A stopped partition, with what it was given, becomes a template that has not
 * run: its vCPUs park as they are after a reset. Then it is frozen like any. */
static hv_status_t restore(struct partition *p)
{
	if (p->state != HC_STATE_STOPPED) {
		return HC_EBUSY;
	}
	partition_begin(p, rdtsc());
	__atomic_store_n(&p->state, HC_STATE_RUNNING, __ATOMIC_SEQ_CST);
	for (uint32_t i = 0; i < p->vcpu_count; i++) {
		p->vcpus[i]->kvmclock_msr = 0;
		p->vcpus[i]->start = (struct vcpu_start){ .kind = VCPU_RESET_LONG };
		vcpu_wake(p->vcpus[i], VCPU_STOPPED, VCPU_ATT_RESET | VCPU_ATT_PARK);
	}
	return freeze(p);
}

/**
 * HC_FORK, but for records. HC_EINVAL: no such call or partition, or the two are
 * not of the same shape. HC_EPERM: the host partition, or a child, is to be a template. HC_EBUSY:
 * the template does not run, or is none; or the child does, or owns memory.
 * HC_EAGAIN: the template's vCPUs have been asked. On CPU 0.
 */
hv_status_t fork_call(uint64_t what, uint64_t which, uint64_t with)
{
	struct partition *t = partition_get(which), *p = partition_get(with);

	return t && what == HC_FORK_FREEZE ? freeze(t) :
	       t && what == HC_FORK_RESTORE ? restore(t) :
	       t && p && what == HC_FORK_CHILD ? child(t, p) : HC_EINVAL;
}

/**
 * VCPU_ATT_FORK: v goes on where its template's was parked. On v's CPU, v not
 * loaded, no lock held.
 */
void fork_vcpu(struct vcpu *v)
{
	const struct vcpu *t = v->partition->template->vcpus[v->index];

	vcpu_reset(v, &t->start);	/* then all of it changes */
	v->lapic.deadline = t->parked_deadline;
	__builtin_memcpy(v, t, FORK_LATER);
	__builtin_memcpy(v->fpu, t->fpu, PAGE_SIZE);
	hvm->vcpu_copy(v, t);
	kvmclock_update(v, true);
}
