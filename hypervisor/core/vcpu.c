/* SPDX-License-Identifier: MIT */
/*
 * A vCPU between its runs: waking, blocking, what is due before the next
 * entry, and the switch of the state that stays in the CPU across exits.
 *
 * A vCPU belongs to the CPU that it is pinned to. Other CPUs only set bits of
 * attention and change state from a blocked one to RUNNABLE, both atomically;
 * whatever they want done is then done here, on its own CPU. The wake-ups may
 * be used with locks held or without; the rest is called without.
 */
#include <hv.h>
#include <partition.h>
#include <percpu.h>
#include <x86.h>

/* What no remote call needs. */
#define ATT_SELDOM	(VCPU_ATT_INIT | VCPU_ATT_RESET | VCPU_ATT_NMI | \
			 VCPU_ATT_IOREQ | VCPU_ATT_OTHERS | VCPU_ATT_PARK | \
			 VCPU_ATT_FORK | VCPU_ATT_LATE)

/**
 * Raises attention bits, then lets v run if it is blocked in state from. Any
 * CPU, any context. The block side sets its state before it looks a last time
 * for what it waits for, so that this is not lost: either it sees the reason,
 * or the state is seen here. In another state v is left as it is.
 */
NOINLINE void vcpu_wake(struct vcpu *v, enum vcpu_state from, uint32_t attention)
{
	uint32_t expect = from;

	if (attention) {
		__atomic_fetch_or(&v->attention, attention, __ATOMIC_SEQ_CST);
	}
	if (__atomic_compare_exchange_n(&v->state, &expect, VCPU_RUNNABLE,
					false, __ATOMIC_SEQ_CST,
					__ATOMIC_SEQ_CST)) {
		sched_kick(v);
	}
}

/**
 * Raises attention bits on v from its own CPU, outside its guest: it looks at them
 * before the next entry, and nobody need be told. Not inline: what every exit does
 * is the shorter for it.
 */
NOINLINE void vcpu_next(struct vcpu *v, uint32_t bits)
{
	__atomic_fetch_or(&v->attention, bits, __ATOMIC_SEQ_CST);
}

/**
 * Raises attention bits on a vCPU that may be running or halted. Any CPU, any
 * context. If it is in its guest it is made to exit, once: who finds the bits
 * raised already leaves it to the one who did. If it only waits for its turn,
 * or is between an exit and an entry, it looks at the bits by itself before it
 * enters; it says that it is running before that look, and what the bits stand
 * for was stored before them.
 */
void vcpu_attention(struct vcpu *v, uint32_t bits)
{
	uint32_t old = __atomic_fetch_or(&v->attention, bits, __ATOMIC_SEQ_CST);

	vcpu_wake(v, VCPU_HALTED, 0);
	if ((old & bits) != bits &&
	    __atomic_load_n(&v->running, __ATOMIC_SEQ_CST)) {
		sched_interrupt(v);
	}
}

/**
 * A start-up IPI for v: counts once after an INIT, whether v's CPU has done that
 * (the state) or has it before it still (the bit). The two change together, and
 * under the partition's lock, on both sides. Any CPU, no lock held.
 */
void vcpu_sipi(struct vcpu *v, uint8_t vector)
{
	lock_take(&v->partition->lock);
	if (v->state == VCPU_WAIT_SIPI || (v->attention & VCPU_ATT_INIT)) {
		v->start.kind = VCPU_RESET_SIPI;
		v->start.sipi_vector = vector;
		vcpu_wake(v, VCPU_WAIT_SIPI, VCPU_ATT_RESET);
	}
	lock_drop(&v->partition->lock);
}

/**
 * Queues an exception for the next entry; RIP stays at the instruction unless
 * the caller has moved it. If another event is queued already, v's partition
 * is ended. On v's CPU, no lock held.
 */
void vcpu_inject_exception(struct vcpu *v, uint8_t vector, bool has_error,
			   uint32_t error)
{
	struct vm_event ev = {
		.type = VM_EVENT_EXCEPTION,
		.vector = vector,
		/* none in real mode [SDM3 "Injected-Event Checks"] */
		.has_error = has_error && (hvm->vcpu_get(v, VCPU_CR0) & CR0_PE),
		.error = error,
	};

	/* An exception while another event is being delivered is what the
	 * SDM calls a double fault; nothing we emulate can meet one. */
	if (!hvm->vcpu_inject(v, ev)) {
		partition_kill(v, HC_REASON_UNKNOWN_EXIT, vector);
	}
}

/** #GP(0): the answer to a privileged instruction that asks for too much. */
void vcpu_inject_gp(struct vcpu *v)
{
	vcpu_inject_exception(v, X86_EXC_GP, true, 0);
}

/** #UD: the processor that v sees does not have this instruction. */
void vcpu_inject_ud(struct vcpu *v)
{
	vcpu_inject_exception(v, X86_EXC_UD, false, 0);
}

/**
 * All registers as after a reset, or as s has them, the FPU's included: nothing
 * of an earlier life is left. On v's CPU.
 */
void vcpu_reset(struct vcpu *v, const struct vcpu_start *s)
{
	zero_memory(&v->regs, sizeof(v->regs));
	zero_memory(v->fpu, PAGE_SIZE);
	((uint32_t *)v->fpu)[6] = 0x1f80;	/* MXCSR after reset */
	v->regs.rsi = s->kind == VCPU_RESET_LONG ? s->rsi : 0;
	v->regs.rdx = cpuid(1, 0).eax;	/* [SDM3 "Processor State After
					 * Reset"]: family, model, stepping */
	/* a long-mode start finds all enabled: nothing to change at a switch to
	 * one that never uses it */
	v->xcr0 = s->kind == VCPU_RESET_LONG ? xstate_mask : XCR0_X87;
	zero_memory(v->dr, sizeof(v->dr));
	v->dr6 = DR6_RESET;
	v->dr_loaded = v->dr_armed = false;
	v->cr2 = 0;
	v->tsc_aux = 0;
	v->halted = false;
	guest_fetch_forget(v);
	/* what the CPU still holds is of before: not to be saved over this */
	if (this_cpu()->loaded == v) {
		this_cpu()->loaded = NULL;
	}
	hvm->vcpu_reset(v, s);
}

/* The host partition's answer goes into RAX and the instruction is done. The
 * value is its word, taken as it is; the size is the request's. */
static void complete_ioreq(struct vcpu *v)
{
	uint64_t mask = BIT64(HC_IOREQ_SIZE(v->ioreq.word) * 8) - 1;

	if (v->ioreq.word & HC_IOREQ_IN) {
		/* 4 bytes clear the upper half, 1 and 2 keep the rest */
		v->regs.rax = (mask > 0xffff ? 0 : v->regs.rax & ~mask) |
			      (v->ioreq.value & mask);
	}
	v->ioreq.word = 0;
	hvm->vcpu_advance_rip(v, v->ioreq.rip, v->ioreq.insn_len);
}

/* HC_WAIT: are its events there, or is its time over? false: not yet. If it
 * blocks, its state is set before the last look at events: partition_event() sets
 * them before it looks at the state, so one of the two sees the other. Where it
 * need not block, but what it has done was another's to pay, and that one has no
 * new event for it, its turn is by its own time from here on, and it is told then
 * what has come until then. */
static bool complete_wait(struct vcpu *v, uint32_t att)
{
	struct partition *p = v->partition;
	uint64_t ev = v->told ? 0 :
		      __atomic_exchange_n(&p->events, 0, __ATOMIC_SEQ_CST);
	bool blocks = !ev && rdtsc() < v->wait_deadline;

	if (blocks || v->told) {
		/* what is due with it, too, waits for its end */
		__atomic_fetch_or(&v->attention, att, __ATOMIC_SEQ_CST);
		v->payer = NULL;
		v->told = false;
		__atomic_store_n(&v->state, blocks ? VCPU_WAITING :
				 VCPU_RUNNABLE, __ATOMIC_SEQ_CST);
		if (__atomic_load_n(&p->events, __ATOMIC_SEQ_CST)) {
			vcpu_wake(v, VCPU_WAITING, 0);
		}
		return false;
	}
	v->told = true;
	v->wait_deadline = ~0ull;
	v->regs.rax = HC_OK;
	v->regs.rdi = ev;
	return true;
}

/* Halted: leave only for an interrupt that can be taken. Looks for one
 * again after the state is set, as complete_wait() does. */
static bool complete_halt(struct vcpu *v)
{
	if (v->halt_if && vlapic_pending(v) >= 0) {
		v->halted = false;
		return true;
	}
	__atomic_store_n(&v->state, VCPU_HALTED, __ATOMIC_SEQ_CST);
	/* who raised a bit before that store found a vCPU that was running */
	if (__atomic_load_n(&v->attention, __ATOMIC_SEQ_CST) ||
	    (v->halt_if && vlapic_pending(v) >= 0)) {
		vcpu_wake(v, VCPU_HALTED, 0);
	}
	return false;
}

/* Injects the virtual LAPIC's vector if the guest can take one now; if not, or
 * if more wait behind it, asks to be told when it can. */
static void deliver_interrupt(struct vcpu *v)
{
	int vector = vlapic_pending(v);
	struct vm_event ev = { .type = VM_EVENT_INTR };

	if (vector < 0) {
		return;
	}
	ev.vector = (uint8_t)vector;
	if (hvm->vcpu_inject(v, ev)) {
		vlapic_accept(v, ev.vector);
		if (vlapic_pending(v) < 0) {
			return;
		}
	}
	hvm->vcpu_intr_window(v);
}

/* Ends a halt. If it cannot be taken now, it stays for the next exit, which the
 * backend has come as soon as it can be, if that is possible (CAVEATS.md). */
static void deliver_nmi(struct vcpu *v)
{
	struct vm_event ev = { .type = VM_EVENT_NMI, .vector = 2 };

	v->halted = false;
	if (!hvm->vcpu_inject(v, ev)) {
		v->kept = VCPU_ATT_NMI;
	}
}

/* The bits that are due. INIT and start-up change the state with them: see
 * vcpu_sipi(). */
static uint32_t take_attention(struct vcpu *v)
{
	uint32_t att;

	lock_take(&v->partition->lock);
	att = __atomic_exchange_n(&v->attention, 0, __ATOMIC_SEQ_CST);
	if (att & VCPU_ATT_INIT) {
		__atomic_store_n(&v->state, att & VCPU_ATT_RESET ?
				 VCPU_RUNNABLE : VCPU_WAIT_SIPI,
				 __ATOMIC_SEQ_CST);
	}
	lock_drop(&v->partition->lock);
	return att;
}

/* INIT and start-up: true when the vCPU goes on to run. */
static bool handle_reset(struct vcpu *v, uint32_t att)
{
	if (att & VCPU_ATT_INIT) {
		vlapic_reset(v, (v->lapic.base & APIC_BASE_EXTD) != 0 ||
				 v->start.kind == VCPU_RESET_SIPI);
	}
	if (!(att & VCPU_ATT_RESET)) {
		return false;
	}
	if (v->start.kind == VCPU_RESET_LONG) {
		vlapic_reset(v, true);
	}
	vcpu_reset(v, &v->start);
	return true;
}

/* What is due at each switch and each wait, att, and the switch. */
static NOINLINE bool prepare_often(struct vcpu *v, uint32_t att)
{
	struct vcpu *loaded = this_cpu()->loaded;

	if (loaded != v) {
		vcpu_switch(loaded, v);
	}
	if ((att & VCPU_ATT_WAIT) && !complete_wait(v, att)) {
		return false;
	}
	if (v->halted) {
		if (!complete_halt(v)) {
			return false;
		}
		att |= VCPU_ATT_INTR;
	}
	/* without the bit, what there is to deliver has its window already */
	if (att & VCPU_ATT_INTR) {
		deliver_interrupt(v);
	}
	return true;
}

/* Whatever is due, ATT_SELDOM among it. */
static NOINLINE bool prepare_all(struct vcpu *v)
{
	uint32_t att = take_attention(v) | v->kept;

	v->kept = 0;
	if (att & VCPU_ATT_OTHERS) {
		release_wait(v);
	}
	if (att & VCPU_ATT_FORK) {
		fork_vcpu(v);
	}
	if (att & (VCPU_ATT_INIT | VCPU_ATT_RESET)) {
		if (!handle_reset(v, att)) {
			return false;
		}
		att &= VCPU_ATT_PARK;	/* what else was due before is void */
	}
	/* a single step's trap changes debug registers: they must be its own */
	vcpu_switch(this_cpu()->loaded, v);
	if (att & VCPU_ATT_IOREQ) {
		complete_ioreq(v);
	}
	if (att & VCPU_ATT_LATE) {
		kvmclock_update(v, true);
	}
	if (att & VCPU_ATT_PARK) {
		fork_park(v, att);
		return false;
	}
	if (att & VCPU_ATT_NMI) {
		att |= VCPU_ATT_INTR;	/* it may be in that one's way */
		deliver_nmi(v);
	}
	return prepare_often(v, att & ~ATT_SELDOM);
}

/**
 * Does what is due before v enters its guest: others that are to be waited for,
 * a fork, INIT and start-up, the switch of state, an ioreq's answer, that it comes
 * late, parking, NMI, HC_WAIT, HLT, interrupt, in this order.
 * false: it blocks, its state says for what. On v's CPU, v being RUNNABLE,
 * no lock held.
 */
bool vcpu_prepare(struct vcpu *v)
{
	uint32_t att = v->attention, due = att | v->kept;

	/* nearly every time; a bit set after this look is seen by the
	 * scheduler's, just before the entry */
	if (!due && !v->halted && this_cpu()->loaded == v) {
		return true;
	}
	/* one question for all that is seldom; one that comes just now too */
	if ((due & ATT_SELDOM) ||
	    !__atomic_compare_exchange_n(&v->attention, &att, 0, false,
					 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
		return prepare_all(v);
	}
	return prepare_often(v, att);
}

/**
 * Makes the CPU's debug registers v's, until another vCPU is loaded. Before, v
 * has not used them since it was loaded: its moves exited, and what the CPU
 * holds is of somebody else. On v's CPU, v's state loaded.
 */
void vcpu_load_dr(struct vcpu *v)
{
	if (v->dr_loaded) {
		return;
	}
	write_dr0(v->dr[0]);
	write_dr1(v->dr[1]);
	write_dr2(v->dr[2]);
	write_dr3(v->dr[3]);
	write_dr6(v->dr6);
	v->dr_loaded = true;
	hvm->vcpu_set(v, VCPU_DR_EXITS, false);
}

/* Breakpoints that DR7 enables are wanted in the CPU from the start on. */
static void save_dr(struct vcpu *v)
{
	if (!v->dr_loaded) {
		return;
	}
	v->dr[0] = read_dr0();
	v->dr[1] = read_dr1();
	v->dr[2] = read_dr2();
	v->dr[3] = read_dr3();
	v->dr6 = read_dr6();
	v->dr_loaded = false;
	v->dr_armed = (hvm->vcpu_get(v, VCPU_DR7) & DR7_ENABLED) != 0;
	hvm->vcpu_set(v, VCPU_DR_EXITS, true);
}

/* From the CPU into v: what neither entry code nor backend switches. The
 * hypervisor itself uses none of it (-mgeneral-regs-only). */
static void save_state(struct vcpu *v)
{
	/* not every processor lets XSETBV exit */
	v->xcr0 = xgetbv(0);
	if (v->xcr0 != xstate_mask) {
		xsetbv(0, xstate_mask);
	}
	xsave(v->fpu, xstate_mask);
	save_dr(v);
	v->cr2 = read_cr2();
}

/* From v into the CPU. XCR0 must have all bits for XRSTOR to reach everything,
 * AVX state that v has turned off included; v's own XCR0 comes after. known:
 * the CPU is as save_state() has left it. */
static void load_state(struct vcpu *v, bool known)
{
	struct percpu *pc = this_cpu();

	if (!known) {
		xsetbv(0, xstate_mask);
	}
	if (cpu_keeps_x87_pointers) {
		x87_clear_pointers();
	}
	xrstor(v->fpu, xstate_mask);
	if (v->xcr0 != xstate_mask) {
		xsetbv(0, v->xcr0);
	}
	if (cpu_has_tsc_aux && (!known || pc->tsc_aux != v->tsc_aux)) {
		wrmsr(MSR_IA32_TSC_AUX, v->tsc_aux);
		pc->tsc_aux = v->tsc_aux;
	}
	if (v->dr_armed) {
		vcpu_load_dr(v);
	}
	write_cr2(v->cr2);
}

/**
 * Makes to's FPU state, MSRs and debug registers the CPU's own, after saving
 * from's (NULL: nobody's). Eager: no state of one vCPU is ever left in the
 * CPU for another. On their CPU.
 */
void vcpu_switch(struct vcpu *from, struct vcpu *to)
{
	if (from == to) {
		return;
	}
	if (from) {
		save_state(from);
	}
	load_state(to, from != NULL);
	this_cpu()->loaded = to;
}

/** What vcpu_switch() leaves in the CPU of v is in memory afterwards. On v's CPU. */
void vcpu_unload(struct vcpu *v)
{
	if (this_cpu()->loaded == v) {
		save_state(v);
		this_cpu()->loaded = NULL;
	}
}

/** Everything about a vCPU, into the log. On its CPU. */
void vcpu_dump(struct vcpu *v)
{
	const uint64_t *r = &v->regs.rax;
	static const char *const names[16] = {
		"RAX", "RCX", "RDX", "RBX", "-", "RBP", "RSI", "RDI",
		"R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15",
	};
	uint32_t i;

	log_write("vCPU %s/%u: RIP %#lx RSP %#lx RFLAGS %#lx CPL %lu",
		  v->partition->config->name, v->index,
		  hvm->vcpu_get(v, VCPU_RIP), hvm->vcpu_get(v, VCPU_RSP),
		  hvm->vcpu_get(v, VCPU_RFLAGS), hvm->vcpu_get(v, VCPU_CPL));
	log_write("  CR0 %#lx CR3 %#lx CR4 %#lx EFER %#lx",
		  hvm->vcpu_get(v, VCPU_CR0), hvm->vcpu_get(v, VCPU_CR3),
		  hvm->vcpu_get(v, VCPU_CR4), hvm->vcpu_get(v, VCPU_EFER));
	for (i = 0; i < 16; i += 4) {
		log_write("  %s %#lx %s %#lx %s %#lx %s %#lx", names[i], r[i],
			  names[i + 1], r[i + 1], names[i + 2], r[i + 2],
			  names[i + 3], r[i + 3]);
	}
	hvm->dump(v);
}
