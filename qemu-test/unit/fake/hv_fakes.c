/* SPDX-License-Identifier: MIT */
/* The machine behind hv_fakes.h. */
#include <asm/prctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hv_fakes.h"
#include <pci.h>

#define WEAK	__attribute__((weak))

WEAK struct fakes fake;
struct percpu fake_cpu[2];
static struct box_cpu fake_box[2];
WEAK struct boot_info boot;
WEAK struct percpu *cpus[BOOT_MAX_CPUS];
WEAK uint32_t cpu_count;
WEAK struct partition *partitions[BOOT_MAX_PARTITIONS];
WEAK uint32_t partition_count;

static uint64_t get(struct vcpu *v, enum vcpu_reg reg)
{
	(void)v;
	if (reg == VCPU_KERNEL64) {
		return !fake.reg[VCPU_CPL] &&
		       (fake.reg[VCPU_EFER] & EFER_LMA) &&
		       (fake.reg[VCPU_CS_ATTR] & BIT64(13));
	}
	return fake.reg[reg];
}

static void set(struct vcpu *v, enum vcpu_reg reg, uint64_t value)
{
	(void)v;
	fake.reg[reg] = value;
}

static bool inject(struct vcpu *v, struct vm_event ev)
{
	(void)v;
	if (fake.inject_refused) {
		return false;
	}
	fake.injected++;
	fake.event = ev;
	return true;
}

static void window(struct vcpu *v)
{
	(void)v;
	fake.windows++;
}

static void advance(struct vcpu *v, uint64_t rip, uint32_t len)
{
	(void)v;
	fake.reg[VCPU_RIP] = rip + len;
	fake.advanced += len;
	fake.advanced_as = this_cpu()->loaded;
}

static void dump(struct vcpu *v)
{
	(void)v;
	fake.dumps++;
}

static void reset(struct vcpu *v, const struct vcpu_start *s)
{
	(void)v;
	(void)s;
}

static void copy(struct vcpu *v, const struct vcpu *from)
{
	(void)v;
	(void)from;
}

static void vcpu_ok(struct vcpu *v)
{
	(void)v;
}

/* Entries as EPT has them. */
struct pt_format fake_format = {
	.table = 7, .present = 7, .leaf = BIT64(0) | BIT64(6),
	.large = BIT64(7), .write = BIT64(1), .exec = BIT64(2),
	.cached = 6ull << 3,
};

static const struct hvm_ops fake_ops = {
	.name = "fake", .gpm_format = &fake_format, .vcpu_init = vcpu_ok,
	.vcpu_get = get, .vcpu_set = set, .vcpu_inject = inject, .vcpu_intr_window = window,
	.vcpu_advance_rip = advance, .dump = dump,
	.vcpu_reset = reset, .vcpu_copy = copy,
};
WEAK const struct hvm_ops *hvm = &fake_ops;

/** Everything as at the start of a test; this thread is CPU 0. */
void fakes_reset(void)
{
	uint32_t i;

	memset(&fake, 0, sizeof(fake));
	memset(&boot, 0, sizeof(boot));
	memset(fake_cpu, 0, sizeof(fake_cpu));
	memset(fake_box, 0, sizeof(fake_box));
	fake_format.split_exec = false;
	for (i = 0; i < 2; i++) {
		fake_cpu[i].self = &fake_cpu[i];
		fake_cpu[i].index = i;
		fake_cpu[i].apic_id = i * 2;
		fake_cpu[i].box = &fake_box[i];
		cpus[i] = &fake_cpu[i];
	}
	cpu_count = 2;
	fake_locks = 0;
	boot.tsc_hz = 1000000000;
	fake.tsc = 1000000;
	fake.reg[VCPU_CR0] = CR0_PE | CR0_PG;
	fake.reg[VCPU_EFER] = EFER_LME | EFER_LMA;
	fake.reg[VCPU_CS_ATTR] = 0xa09b;
	syscall(SYS_arch_prctl, ARCH_SET_GS, &fake_cpu[0]);
}

/** Physical memory 0..bytes, at DMAP_BASE, zeroed. */
void fake_memory_map(uint64_t bytes)
{
	void *p = mmap((void *)DMAP_BASE, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
		       MAP_FIXED, -1, 0);

	assert_ptr_equal(p, (void *)DMAP_BASE);
}

/** A vCPU of p on CPU 0, its LAPIC as after reset in x2APIC mode. */
void fake_vcpu_init(struct vcpu *v, struct partition *p, uint32_t index)
{
	memset(v, 0, sizeof(*v));
	v->partition = p;
	v->index = index;
	v->cpu = &fake_cpu[0];
	v->lapic.id = index;
	v->lapic.isr_top = -1;
	v->lapic.deadline = VLAPIC_OFF;
	v->lapic.base = 0xfee00000 | APIC_BASE_EN | APIC_BASE_EXTD;
	p->vcpus[index] = v;
	p->vcpu_count = index + 1 > p->vcpu_count ? index + 1 : p->vcpu_count;
}

WEAK struct cpuid_regs cpuid(uint32_t leaf, uint32_t sub)
{
	return fake.cpuid_ones ? (struct cpuid_regs){ ~0u, ~0u, ~0u, ~0u } :
	       machine_cpuid(leaf, sub);
}

WEAK uint8_t *msr_map(void)
{
	return NULL;
}

WEAK uint64_t rdmsr(uint32_t msr)
{
	(void)msr;
	return 0;
}

WEAK void wrmsr(uint32_t msr, uint64_t v)
{
	(void)msr;
	(void)v;
}

WEAK uint64_t rdtsc(void)
{
	return fake.tsc;
}

WEAK uint8_t inb(uint16_t port)
{
	(void)port;
	return 0xff;
}

WEAK void outw(uint16_t port, uint16_t v)
{
	(void)port;
	(void)v;
}

WEAK void outb(uint16_t port, uint8_t v)
{
	(void)port;
	if (fake.serial_len < sizeof(fake.serial) - 1) {
		fake.serial[fake.serial_len++] = (char)v;
	}
}

WEAK void cpu_pause(void)
{
}

WEAK void cpu_wrmsr_fence(void)
{
}

/* Interrupts that wait are taken: here, counted only. */
WEAK void cpu_sti_cli(void)
{
	fake.interrupt_gaps++;
}

WEAK void xsetbv(uint32_t reg, uint64_t v)
{
	assert_int_equal(reg, 0);
	fake.xcr0 = v;
}

WEAK uint64_t read_cr0(void)
{
	return CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_PE;
}

WEAK uint64_t read_cr3(void)
{
	return 0x1000;
}

WEAK uint64_t read_cr4(void)
{
	return CR4_PAE | CR4_PGE | CR4_MCE | CR4_VMXE;
}

WEAK void write_cr0(uint64_t v)
{
	(void)v;
}

WEAK void write_cr4(uint64_t v)
{
	(void)v;
}

WEAK bool cpu_keeps_x87_pointers;

WEAK void x87_clear_pointers(void)
{
}

WEAK uint64_t xgetbv(uint32_t reg)
{
	return machine_xgetbv(reg);
}

WEAK void vmptrld(hpa_t vmcs)
{
	(void)vmcs;
}

WEAK void vmclear(hpa_t vmcs)
{
	(void)vmcs;
}

void cpu_halt_forever(void)
{
	if (!fake.panic_expected) {
		fprintf(stderr, "the CPU halted\n");
		abort();
	}
	longjmp(fake.panic, 1);
}

WEAK void panic(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(fake.panic_said, sizeof(fake.panic_said), fmt, ap);
	va_end(ap);
	if (!fake.panic_expected) {
		fprintf(stderr, "%s", fake.panic_said);
	}
	cpu_halt_forever();
}

WEAK void log_write(const char *fmt, ...)
{
	(void)fmt;
}

WEAK void log_nmi(uint64_t rip)
{
	(void)rip;
}

WEAK void sched_last_turn(void)
{
	cpu_halt_forever();
}

/*
 * Locks, as hv.h has their order: partitions' by id, frame_lock, others.
 */
WEAK struct lock frame_lock;
static __thread const struct lock *held[BOOT_MAX_PARTITIONS + 2];
__thread uint32_t fake_locks;

static uint32_t rank(const struct lock *l)
{
	uint32_t i;

	for (i = 0; i < partition_count; i++) {
		if (l == &partitions[i]->lock) {
			return i;
		}
	}
	return l == &frame_lock ? BOOT_MAX_PARTITIONS : ~0u;
}

/** This CPU is to wait for l: none that comes after it is held, nor itself. */
void fake_lock_takes(const struct lock *l)
{
	uint32_t i;

	for (i = 0; i < fake_locks; i++) {
		assert_ptr_not_equal(held[i], l);
		assert_true(rank(held[i]) <= rank(l));
	}
	assert_true(fake_locks < ARRAY_SIZE(held));
	held[fake_locks++] = l;
}

void fake_lock_drops(const struct lock *l)
{
	uint32_t i;

	for (i = 0; i < fake_locks && held[i] != l; i++) {
	}
	assert_true(i < fake_locks);
	held[i] = held[--fake_locks];
}

/* A partition that does not run, or the host partition, is CPU 0's. */
static bool is_mine(const struct partition *p)
{
	return !this_cpu()->index &&
	       (partition_is_host(p) ||
		__atomic_load_n(&p->state, __ATOMIC_SEQ_CST) !=
		HC_STATE_RUNNING);
}

WEAK void fake_lock_held(const struct lock *l)
{
	uint32_t i;

	for (i = 0; i < fake_locks; i++) {
		if (held[i] == l) {
			return;
		}
	}
	assert_true(rank(l) < BOOT_MAX_PARTITIONS);
	assert_true(is_mine(partitions[rank(l)]));
}

WEAK void lock_take(struct lock *l)
{
	fake.lock_depth++;	/* first, for hv_interleave.h */
	fake.locks++;
	fake_lock_takes(l);
}

WEAK bool lock_try(struct lock *l)
{
	if (fake.lock_busy) {
		return false;
	}
	lock_take(l);
	return true;
}

WEAK void lock_drop(struct lock *l)
{
	fake_lock_drops(l);
	fake.lock_depth--;
}

WEAK void sched_event(struct vcpu *v)
{
	(void)v;
}

WEAK void sched_kick(struct vcpu *v)
{
	(void)v;
	fake.kicks++;
}

WEAK void sched_interrupt(const struct vcpu *v)
{
	(void)v;
	fake.interrupts++;
}

WEAK void sched_timer(struct percpu *pc, uint64_t at)
{
	(void)pc;
	fake.timer_at = at;
}

WEAK void sched_add(struct vcpu *v)
{
	(void)v;
}

WEAK void vcpu_wake(struct vcpu *v, enum vcpu_state from, uint32_t attention)
{
	v->attention |= attention;
	if (v->state == from) {
		v->state = VCPU_RUNNABLE;
		fake.wakes++;
	}
}

WEAK void vcpu_next(struct vcpu *v, uint32_t bits)
{
	v->attention |= bits;
}

WEAK void vcpu_attention(struct vcpu *v, uint32_t bits)
{
	vcpu_wake(v, VCPU_HALTED, bits);
}

WEAK void vcpu_sipi(struct vcpu *v, uint8_t vector)
{
	if (v->state == VCPU_WAIT_SIPI) {
		v->start.kind = VCPU_RESET_SIPI;
		v->start.sipi_vector = vector;
		vcpu_wake(v, VCPU_WAIT_SIPI, VCPU_ATT_RESET);
	}
}

WEAK void vcpu_inject_exception(struct vcpu *v, uint8_t vector,
				bool has_error, uint32_t error)
{
	(void)inject(v, (struct vm_event){ VM_EVENT_EXCEPTION, vector,
					   has_error, error });
}

WEAK void vcpu_inject_gp(struct vcpu *v)
{
	vcpu_inject_exception(v, X86_EXC_GP, true, 0);
}

WEAK void vcpu_inject_ud(struct vcpu *v)
{
	vcpu_inject_exception(v, X86_EXC_UD, false, 0);
}

WEAK void vcpu_load_dr(struct vcpu *v)
{
	(void)v;
	fake.dr_loads++;
}

WEAK void vcpu_dump(struct vcpu *v)
{
	(void)v;
	fake.dumps++;
}

WEAK void partition_event(struct partition *p, uint64_t bits)
{
	fake.event_to = p;
	fake.events |= bits;
}

WEAK void partition_kill(struct vcpu *v, enum hc_reason reason,
			 uint64_t detail)
{
	assert_int_equal(fake.lock_depth, 0);
	fake.killed = v;
	fake.kill_reason = reason;
	fake.kill_detail = detail;
}

WEAK struct partition *partition_get(uint64_t id)
{
	return id < partition_count ? partitions[id] : NULL;
}

WEAK struct partition *partition_host(void)
{
	return partition_count ? partitions[0] : NULL;
}

WEAK void vlapic_msi(uint64_t address, uint32_t data, struct vcpu *any)
{
	(void)address;
	(void)data;
	(void)any;
}

WEAK void channel_create_all(const struct boot_info *bi)
{
	(void)bi;
}

WEAK void channel_map_all(struct partition *p)
{
	(void)p;
}

WEAK bool channel_same(const struct partition *a, const struct partition *b)
{
	(void)a;
	(void)b;
	return true;
}

WEAK void channel_fork(const struct partition *t, struct partition *p)
{
	(void)t;
	(void)p;
}

WEAK void kvmclock_update(struct vcpu *v, bool paused)
{
	(void)v;
	(void)paused;
}

WEAK void vcpu_unload(struct vcpu *v)
{
	(void)v;
	this_cpu()->loaded = NULL;
}

WEAK void vcpu_reset(struct vcpu *v, const struct vcpu_start *s)
{
	(void)s;
	memset(&v->regs, 0, sizeof(v->regs));
}

WEAK void release_wait(struct vcpu *me)
{
	(void)me;
}

WEAK void fork_park(struct vcpu *v, uint32_t att)
{
	(void)v;
	(void)att;
}

WEAK void fork_vcpu(struct vcpu *v)
{
	(void)v;
}

WEAK hv_status_t fork_call(uint64_t what, uint64_t which, uint64_t with)
{
	(void)what;
	(void)which;
	(void)with;
	return HC_EINVAL;
}

WEAK void channel_partition_down(struct partition *p)
{
	(void)p;
}

WEAK bool channel_clear(struct partition *p, uint64_t *at)
{
	(void)p;
	(void)at;
	return true;
}

WEAK hv_status_t pci_call(struct vcpu *v)
{
	(void)v;
	return HC_ENOENT;
}

WEAK void cpu_stop_others(void)
{
}
