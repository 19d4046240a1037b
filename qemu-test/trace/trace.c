/* SPDX-License-Identifier: MIT */
/*
 * The exit trace, linked only into hypervisor-trace.elf: one line on the
 * second serial port for each exit of a partition that is not the host's,
 * with what it asked and what it got. The linker puts the functions here in
 * front of those they are named after (--wrap); nothing else is changed, and
 * hypervisor.elf has no trace of it. docs/debugging.md explains the lines.
 *
 * Lines are written byte by byte and waited for: none is lost, guests pay.
 * A vCPU's slot belongs to the CPU it is pinned to.
 */
#include <hv.h>
#include <partition.h>
#include <percpu.h>
#include <x86.h>

#define COM2			0x2f8u
#define UART_LSR		5u
#define LSR_THRE		0x20u
#define LSR_EMPTY		0x60u	/* shift register too */
#define UART_FIFO		16u
#define EVENTS_PER_EXIT		2u

void __real_exit_handle(struct vcpu *v, const struct vm_exit *e);
void __wrap_exit_handle(struct vcpu *v, const struct vm_exit *e);
bool __real_vcpu_prepare(struct vcpu *v);
bool __wrap_vcpu_prepare(struct vcpu *v);
void __real_partition_create_all(const struct boot_info *bi);
void __wrap_partition_create_all(const struct boot_info *bi);

/* Registers whose change an exit's line shows. */
static const struct {
	const char *name;
	enum vcpu_reg reg;
} watched[] = {
	{ "cr0", VCPU_CR0 }, { "cr4", VCPU_CR4 }, { "efer", VCPU_EFER },
	{ "pat", VCPU_PAT }, { "rsp", VCPU_RSP },
};

struct slot {
	struct vm_exit exit;
	struct guest_regs regs;
	uint64_t rip, xcr0, reg[ARRAY_SIZE(watched)];
	bool handling;		/* inside exit_handle() */
	bool open;		/* its access is with the host partition */
	struct vm_event events[EVENTS_PER_EXIT];
	uint32_t event_count;
};

static struct slot slots[BOOT_MAX_PARTITIONS][PARTITION_MAX_VCPUS];
static struct hvm_ops traced;		/* the backend's, inject replaced */
static const struct hvm_ops *backend;
static uint32_t line_lock;
static uint32_t fifo_room;

static const char *const gpr_names[16] = {
	"rax", "rcx", "rdx", "rbx", "-", "rbp", "rsi", "rdi",
	"r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
};

static void put_byte(char c)
{
	if (!fifo_room) {
		while (!(inb(COM2 + UART_LSR) & LSR_THRE)) {
			cpu_pause();
		}
		fifo_room = UART_FIFO;
	}
	outb(COM2, (uint8_t)c);
	fifo_room--;
}

static void put(const char *text)
{
	for (; *text; text++) {
		put_byte(*text);
	}
}

static void put_hex(uint64_t value)
{
	int shift = 60;

	while (shift && !(value >> shift)) {
		shift -= 4;
	}
	for (; shift >= 0; shift -= 4) {
		put_byte("0123456789abcdef"[value >> shift & 15]);
	}
}

static void field(const char *name, uint64_t value)
{
	put_byte(' ');
	put(name);
	put_byte('=');
	put_hex(value);
}

/* The lock is held from here to line_end(): lines stay whole. */
static void line_begin(const struct vcpu *v, const char *what)
{
	while (__atomic_exchange_n(&line_lock, 1, __ATOMIC_ACQUIRE)) {
		cpu_pause();
	}
	/* what the host partition has put into the FIFO goes out first */
	while ((inb(COM2 + UART_LSR) & LSR_EMPTY) != LSR_EMPTY) {
		cpu_pause();
	}
	fifo_room = UART_FIFO;
	put("\nT");
	put_hex(v->partition->id);
	put_byte('.');
	put_hex(v->index);
	put_byte(' ');
	put(what);
}

static void line_end(void)
{
	put_byte('\n');
	__atomic_store_n(&line_lock, 0, __ATOMIC_RELEASE);
}

static void put_event(const struct vm_event *ev)
{
	put(ev->type == VM_EVENT_INTR ? " intr=" :
	    ev->type == VM_EVENT_NMI ? " nmi=" : " exception=");
	put_hex(ev->vector);
	if (ev->has_error) {
		field("error", ev->error);
	}
}

static void put_access(const struct vm_exit *e)
{
	field("gpa", e->fault.gpa.v);
	put(" access=");
	put(e->fault.access & GPM_READ ? "r" : "");
	put(e->fault.access & GPM_WRITE ? "w" : "");
	put(e->fault.access & GPM_EXEC ? "x" : "");
}

static void put_io(const struct vm_exit *e, uint64_t rax)
{
	put(e->io.in ? " in" : " out");
	put(e->io.string ? "s" : "");
	field("port", e->io.port);
	field("size", e->io.size);
	if (!e->io.in && !e->io.string) {
		field("value", rax & (e->io.size == 4 ? 0xffffffff :
				      BIT64(e->io.size * 8) - 1));
	}
}

static void put_cr(const struct slot *s)
{
	const struct vm_exit *e = &s->exit;

	put(e->cr.clts ? " clts" : e->cr.lmsw ? " lmsw" :
	    e->cr.write ? " write" : " read");
	field("cr", e->cr.cr);
	if (e->cr.write && !e->cr.clts) {
		field("value", e->cr.lmsw ? e->cr.lmsw_value :
		      (&s->regs.rax)[e->cr.gpr]);
	}
}

/* What the exit asked for. */
static void put_operands(const struct slot *s)
{
	const struct guest_regs *r = &s->regs;
	uint64_t edx_eax = r->rdx << 32 | (uint32_t)r->rax;

	switch (s->exit.code) {
	case VM_EXIT_CPUID:
		field("leaf", (uint32_t)r->rax);
		field("sub", (uint32_t)r->rcx);
		break;
	case VM_EXIT_IO:
		put_io(&s->exit, r->rax);
		break;
	case VM_EXIT_MSR_WRITE:
	case VM_EXIT_XSETBV:
		field("reg", (uint32_t)r->rcx);
		field("value", edx_eax);
		break;
	case VM_EXIT_MSR_READ:
		field("reg", (uint32_t)r->rcx);
		break;
	case VM_EXIT_GPM_FAULT:
		put_access(&s->exit);
		break;
	case VM_EXIT_HYPERCALL:
		field("nr", r->rax);
		field("rdi", r->rdi);
		field("rsi", r->rsi);
		break;
	case VM_EXIT_CR_ACCESS:
		put_cr(s);
		break;
	case VM_EXIT_EXCEPTION:
		field("vector", s->exit.exc.vector);
		break;
	default:
		break;
	}
}

/* Registers an exit always answers in, changed or not: a bit each. */
static uint32_t answers(const struct vm_exit *e)
{
	switch (e->code) {
	case VM_EXIT_CPUID:
		return BIT32(0) | BIT32(1) | BIT32(2) | BIT32(3);
	case VM_EXIT_MSR_READ:
		return BIT32(0) | BIT32(2);
	case VM_EXIT_IO:
		return e->io.in ? BIT32(0) : 0;
	default:
		return 0;
	}
}

/* What it got: everything of the vCPU that is now different. */
static void put_effects(const struct slot *s, struct vcpu *v)
{
	const uint64_t *was = &s->regs.rax, *is = &v->regs.rax;
	uint64_t rip = hvm->vcpu_get(v, VCPU_RIP);
	uint32_t shown = s->event_count ? 0 : answers(&s->exit), i;

	put(" ->");
	for (i = 0; i < 16; i++) {
		if (was[i] != is[i] || (shown & BIT32(i))) {
			field(gpr_names[i], is[i]);
		}
	}
	for (i = 0; i < ARRAY_SIZE(watched); i++) {
		uint64_t value = hvm->vcpu_get(v, watched[i].reg);

		if (s->reg[i] != value) {
			field(watched[i].name, value);
		}
	}
	if (s->xcr0 != v->xcr0) {
		field("xcr0", v->xcr0);
	}
	if (rip != s->rip) {
		put(" next+");
		put_hex(rip - s->rip);
	}
	for (i = 0; i < s->event_count; i++) {
		put_event(&s->events[i]);
	}
	put(v->halted ? " halts" : "");
	put(s->open ? " by-host" : "");
	if (v->partition->state == HC_STATE_CRASHED) {
		field("stopped", v->partition->reason);
	}
}

static void begin(struct slot *s, struct vcpu *v, const struct vm_exit *e)
{
	uint32_t i;

	s->exit = *e;
	s->regs = v->regs;
	s->rip = hvm->vcpu_get(v, VCPU_RIP);
	s->xcr0 = v->xcr0;
	s->event_count = 0;
	for (i = 0; i < ARRAY_SIZE(watched); i++) {
		s->reg[i] = hvm->vcpu_get(v, watched[i].reg);
	}
}

static void finish(struct slot *s, struct vcpu *v)
{
	line_begin(v, vm_exit_names[s->exit.code]);
	field("rip", s->rip);
	put_operands(s);
	put_effects(s, v);
	line_end();
	s->open = false;
}

static struct slot *slot_of(const struct vcpu *v)
{
	return partition_is_host(v->partition) ? NULL :
	       &slots[v->partition->id][v->index];
}

/** In front of exit_handle(). An access that the host partition answers
 * gets its line when the answer is there. */
void __wrap_exit_handle(struct vcpu *v, const struct vm_exit *e)
{
	struct slot *s = slot_of(v);

	if (!s) {
		__real_exit_handle(v, e);
		return;
	}
	begin(s, v, e);
	s->handling = true;
	__real_exit_handle(v, e);
	s->handling = false;
	s->open = e->code == VM_EXIT_IO && v->ioreq.word != 0;
	if (!s->open) {
		finish(s, v);
	}
}

/* In front of the backend's inject: part of an exit's effect, or an event
 * line when something asynchronous is delivered. */
static bool trace_inject(struct vcpu *v, struct vm_event ev)
{
	struct slot *s = slot_of(v);
	bool taken = backend->vcpu_inject(v, ev);

	if (!s || !taken) {
		return taken;
	}
	if (s->handling) {
		if (s->event_count < EVENTS_PER_EXIT) {
			s->events[s->event_count++] = ev;
		}
		return true;
	}
	if (s->open && !v->ioreq.word) {
		finish(s, v);
	}
	line_begin(v, "event");
	field("rip", hvm->vcpu_get(v, VCPU_RIP));
	put_event(&ev);
	line_end();
	return true;
}

/** In front of vcpu_prepare(): answered accesses and fresh starts. */
bool __wrap_vcpu_prepare(struct vcpu *v)
{
	struct slot *s = slot_of(v);
	bool fresh = (v->attention & VCPU_ATT_RESET) != 0;
	bool runs = __real_vcpu_prepare(v);

	if (!s) {
		return runs;
	}
	if (s->open && !v->ioreq.word) {
		finish(s, v);
	}
	if (fresh && runs) {
		line_begin(v, "start");
		field("rip", hvm->vcpu_get(v, VCPU_RIP));
		field("cs-base", hvm->vcpu_get(v, VCPU_CS_BASE));
		field("cr0", hvm->vcpu_get(v, VCPU_CR0));
		line_end();
	}
	return runs;
}

/** In front of partition_create_all(): the backend is chosen, no partition
 * exists yet. */
void __wrap_partition_create_all(const struct boot_info *bi)
{
	backend = hvm;
	traced = *hvm;
	traced.vcpu_inject = trace_inject;
	hvm = &traced;
	__real_partition_create_all(bi);
}
