/* SPDX-License-Identifier: MIT */
/*
 * What happens at a VM exit: answer it here, hand it to the host partition, or
 * stop the partition. The default is to stop. On the vCPU's CPU, no lock held:
 * what needs one takes it. Everything in a struct vm_exit, and every register, is
 * the guest's choice.
 */
#include <hv.h>
#include <mc.h>
#include <partition.h>
#include <percpu.h>
#include <x86.h>

/* This many reflected #DB or #AC in one turn may be a debugger's steps, or an
 * endless loop of delivery [XSA-156]: the others get their turn, as they do at the
 * end of a slice. */
#define FAULT_STREAK_MAX	100u

/* For HC_QUERY_EXITS: at most 16 characters. */
const char *const vm_exit_names[VM_EXIT_COUNT] = {
	[VM_EXIT_EXT_INTR] = "ext-intr", [VM_EXIT_NMI] = "nmi",
	[VM_EXIT_INTR_WINDOW] = "intr-window", [VM_EXIT_TIMER] = "timer",
	[VM_EXIT_EXCEPTION] = "exception",
	[VM_EXIT_MACHINE_CHECK] = "machine-check",
	[VM_EXIT_CPUID] = "cpuid", [VM_EXIT_HLT] = "hlt", [VM_EXIT_IO] = "io",
	[VM_EXIT_MSR_READ] = "msr-read", [VM_EXIT_MSR_WRITE] = "msr-write",
	[VM_EXIT_GPM_FAULT] = "memory", [VM_EXIT_HYPERCALL] = "hypercall",
	[VM_EXIT_CR_ACCESS] = "cr-access", [VM_EXIT_XSETBV] = "xsetbv",
	[VM_EXIT_DR_ACCESS] = "dr-access",
	[VM_EXIT_UNDEFINED] = "undefined", [VM_EXIT_SKIP] = "skip",
	[VM_EXIT_AGAIN] = "again", [VM_EXIT_SHUTDOWN] = "triple-fault",
	[VM_EXIT_ENTRY_FAIL] = "entry-failed", [VM_EXIT_UNKNOWN] = "unknown",
};

/* The rest of v's slice goes to the others: what it does may go on for ever,
 * and without an exit that would let anybody in. Interrupts that wait are
 * taken now. */
static void yield(struct vcpu *v)
{
	cpu_sti_cli();
	v->slice_left = 0;
	this_cpu()->resched = 1;
}

/* The instruction has been done for the guest. */
static void advance(struct vcpu *v, const struct vm_exit *e)
{
	hvm->vcpu_advance_rip(v, e->rip, e->insn_len);
}

/* An instruction that the hypervisor has carried out, or (ok false) refused:
 * then RIP stays at it, and the guest's handler finds it there. */
static void finish(struct vcpu *v, const struct vm_exit *e, bool ok)
{
	if (ok) {
		advance(v, e);
	} else {
		vcpu_inject_gp(v);
	}
}

/* IF is taken down now: vcpu_prepare() decides later, and with IF=0 only an
 * NMI, or INIT, ends the wait. */
static NOINLINE void exit_hlt(struct vcpu *v, const struct vm_exit *e)
{
	uint64_t flags = hvm->vcpu_get(v, VCPU_RFLAGS);

	v->halt_if = (flags & RFLAGS_IF) != 0;
	v->halted = !(flags & RFLAGS_TF);	/* its trap ends the halt */
	advance(v, e);
}

/* The manifest's word on an access, which must lie in one range as a whole; 0:
 * not listed. One that begins in a native range and reaches beyond it exits. */
static uint32_t port_policy(const struct partition *p, uint16_t port,
			    uint32_t size)
{
	uint32_t i;

	for (i = 0; i < p->config->port_count; i++) {
		const struct boot_port *r = &p->config->ports[i];

		if (port >= r->first && port + size - 1 <= r->last) {
			return r->policy;
		}
	}
	return 0;
}

/* The vCPU stops at its instruction until HC_IOREQ_DONE. The request is
 * complete before the state says so: hc_ioreq_get() on another CPU goes by the
 * state. */
static void forward_io(struct vcpu *v, const struct vm_exit *e)
{
	uint64_t mask = e->io.size == 4 ? 0xffffffff :
			BIT64(e->io.size * 8) - 1;

	v->ioreq.word = e->io.port | (uint64_t)e->io.size << 16 |
			(e->io.in ? HC_IOREQ_IN : 0);
	v->ioreq.value = v->regs.rax & mask;
	v->ioreq.rip = e->rip;
	v->ioreq.insn_len = e->insn_len;
	v->ioreq.taken = 0;
	__atomic_store_n(&v->state, VCPU_IOREQ, __ATOMIC_SEQ_CST);
	partition_event(partition_host(), HC_EVENT_IOREQ);
}

static NOINLINE void exit_io(struct vcpu *v, const struct vm_exit *e)
{
	if (e->io.string) {
		/* needs guest memory: no device of ours is used so */
		vcpu_inject_gp(v);
		return;
	}
	if (channel_io(v, e)) {
		advance(v, e);
		return;
	}
	if (port_policy(v->partition, e->io.port, e->io.size) ==
	    BOOT_PORT_FORWARD) {
		forward_io(v, e);
		return;
	}
	/* denied: all ones, as from a bus with nobody on it */
	if (e->io.in) {
		v->regs.rax = (e->io.size == 4 ? 0 : v->regs.rax) |
			      (BIT64(e->io.size * 8) - 1);
	}
	advance(v, e);
}

/* Only ECX names the MSR; the upper halves of RAX, RDX are not looked at. */
static NOINLINE void exit_msr(struct vcpu *v, const struct vm_exit *e)
{
	uint32_t msr = (uint32_t)v->regs.rcx;
	uint64_t value = (v->regs.rdx << 32) | (uint32_t)v->regs.rax;
	bool ok;

	if (e->code == VM_EXIT_MSR_WRITE) {
		ok = msr_write(v, msr, value);
	} else {
		ok = msr_read(v, msr, &value);
		if (ok) {
			v->regs.rax = (uint32_t)value;
			v->regs.rdx = value >> 32;
		}
	}
	finish(v, e, ok);
}

/* Every mapping is readable: writing and executing are what can be forbidden; but
 * a child may write to all its RAM, be it once it has been copied. */
static bool access_allowed(const struct partition *p, const struct gpm_entry *g,
			   uint32_t access)
{
	return g->present && (!(access & GPM_EXEC) || g->exec) &&
	       (!(access & GPM_WRITE) || g->write || p->template);
}

/* A touch of memory that the second-level map does not allow. On success the
 * guest simply runs its instruction again. Two vCPUs may touch the same page
 * at once: the second finds it present, which is as good. */
static NOINLINE void exit_fault(struct vcpu *v, const struct vm_exit *e)
{
	struct partition *p = v->partition;
	enum hc_reason why;
	struct gpm_entry g;
	bool ok;

	if (mmio_lapic(v, e)) {
		return;
	}
	lock_take(&p->lock);
	ok = partition_populate(v, e->fault.gpa, e->fault.access & GPM_WRITE,
				&why) && gpm_lookup(p, e->fault.gpa, &g) &&
	     access_allowed(p, &g, e->fault.access);
	if (ok && (e->fault.access & GPM_EXEC) && g.split &&
	    gpm_split(p, e->fault.gpa)) {
		why = HC_REASON_NO_MEMORY;
		ok = false;
	}
	lock_drop(&p->lock);
	if (!ok) {
		/* its LAPIC is there, but not for this instruction */
		if (mmio_is_lapic(v, e->fault.gpa)) {
			why = HC_REASON_BAD_INSTRUCTION;
		}
		partition_kill(v, why, e->fault.gpa.v);
	}
}

/* #DB and #AC are intercepted only because a guest can make their delivery
 * recurse for ever inside the processor; they are given back to it, however
 * many: any process in Linux can raise them. */
static NOINLINE void exit_exception(struct vcpu *v, const struct vm_exit *e)
{
	if (e->exc.vector != X86_EXC_DB && e->exc.vector != X86_EXC_AC) {
		partition_kill(v, HC_REASON_UNKNOWN_EXIT, e->exc.vector);
		return;
	}
	if (++v->fault_streak >= FAULT_STREAK_MAX) {
		yield(v);
	}
	vcpu_inject_exception(v, e->exc.vector, e->exc.has_error, e->exc.error);
	/* also ends a MOV SS or STI shadow, which cannot outlive the delivery
	 * and would forbid the entry while TF is set [XSA-308]; after the
	 * injection, in whose place no trap of a single step comes */
	advance(v, e);
}

/* Taken by the exit, or still waiting at the LAPIC. */
static NOINLINE void exit_interrupt(const struct vm_exit *e)
{
	if (e->vector != VM_NO_VECTOR) {
		irq_handle(e->vector);
	} else {
		cpu_sti_cli();
	}
}

/* The banks are logged whatever follows. */
static NOINLINE void exit_machine_check(struct vcpu *v)
{
	uint64_t status;

	if (!mc_in_guest(&status)) {
		partition_kill(v, HC_REASON_MACHINE_CHECK, status);
	}
}

/* What is pending is taken now: Bochs 2.7 does not end a guest that runs with
 * IF=0 for an interrupt (docs/platforms.md). */
static NOINLINE void exit_timer(void)
{
	cpu_sti_cli();
	this_cpu()->resched = 1;
}

static NOINLINE void exit_register(struct vcpu *v, const struct vm_exit *e)
{
	finish(v, e, e->code == VM_EXIT_XSETBV ? xsetbv_emulate(v) :
	       cr_access(v, e));
}

/**
 * Handles one exit; afterwards the vCPU can run, blocks (its state tells), or
 * its partition has been stopped. On v's CPU, no lock held, interrupts
 * off. What the guest may not do ends as an exception in it or as its end,
 * never as a panic. The handlers are no part of it: a frequent exit saves no
 * registers for what others do.
 */
void exit_handle(struct vcpu *v, const struct vm_exit *e)
{
	v->exits[e->code]++;
	switch (e->code) {
	case VM_EXIT_CPUID:
		cpuid_emulate(v);
		advance(v, e);
		break;
	case VM_EXIT_MSR_READ:
	case VM_EXIT_MSR_WRITE:
		exit_msr(v, e);
		break;
	case VM_EXIT_IO:
		exit_io(v, e);
		break;
	case VM_EXIT_GPM_FAULT:
		exit_fault(v, e);
		break;
	case VM_EXIT_HLT:
		exit_hlt(v, e);
		break;
	case VM_EXIT_HYPERCALL:
		hypercall_handle(v, e);
		break;
	case VM_EXIT_EXT_INTR:
		exit_interrupt(e);
		break;
	case VM_EXIT_NMI:
		log_nmi(e->rip);
		break;
	case VM_EXIT_TIMER:
		exit_timer();
		break;
	case VM_EXIT_INTR_WINDOW:
		vcpu_next(v, VCPU_ATT_INTR);
		break;
	case VM_EXIT_EXCEPTION:
		exit_exception(v, e);
		break;
	case VM_EXIT_MACHINE_CHECK:
		exit_machine_check(v);
		break;
	case VM_EXIT_CR_ACCESS:
	case VM_EXIT_XSETBV:
		exit_register(v, e);
		break;
	case VM_EXIT_DR_ACCESS:	/* and the instruction runs again */
		vcpu_load_dr(v);
		break;
	case VM_EXIT_UNDEFINED:
		vcpu_inject_ud(v);
		break;
	case VM_EXIT_SKIP:	/* INVD, WBINVD: coherent caches need neither */
		advance(v, e);
		break;
	case VM_EXIT_AGAIN:
		yield(v);
		break;
	case VM_EXIT_SHUTDOWN:
		partition_kill(v, HC_REASON_TRIPLE_FAULT, 0);
		break;
	case VM_EXIT_ENTRY_FAIL:
		partition_kill(v, HC_REASON_ENTRY_FAILED, e->raw_code);
		break;
	default:
		partition_kill(v, HC_REASON_UNKNOWN_EXIT, e->raw_code);
		break;
	}
}
