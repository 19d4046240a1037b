/* SPDX-License-Identifier: MIT */
/*
 * The virtual local APIC: registers, priorities, IPIs, timer. A vCPU's LAPIC
 * belongs to the CPU it is pinned to; other CPUs only set IRR bits (atomic)
 * and raise attention (and note an ESR bit for a message with a bad vector: if
 * it gets lost, no harm is done). Reached through x2APIC MSRs, or through its
 * page by mmio.c. No locks, but for a start-up IPI (vcpu_sipi()). Values written
 * are the guest's; whatever they name as destination, only vCPUs of its own
 * partition are meant.
 * [SDM3 "Advanced Programmable Interrupt Controller (APIC)"]
 */
#include <hv.h>
#include <partition.h>
#include <percpu.h>
#include <x86.h>

enum {	/* register numbers: page offset / 16 */
	R_ID = 0x02, R_VERSION = 0x03, R_TPR = 0x08, R_PPR = 0x0a,
	R_EOI = 0x0b, R_LDR = 0x0d, R_DFR = 0x0e, R_SVR = 0x0f,
	R_ISR = 0x10, R_ESR = 0x28,
	R_ICR = 0x30, R_ICR_HIGH = 0x31, R_LVT = 0x32, R_LVT_ERROR = 0x37,
	R_TIMER_INITIAL = 0x38, R_TIMER_CURRENT = 0x39,
	R_TIMER_DIVIDE = 0x3e, R_SELF_IPI = 0x3f,
};

/* Those that can be read. */
#define READABLE	(BIT64(R_ID) | BIT64(R_VERSION) | BIT64(R_TPR) | \
			 BIT64(R_PPR) | BIT64(R_LDR) | BIT64(R_DFR) | \
			 BIT64(R_SVR) | (BIT64(R_ESR + 1) - BIT64(R_ISR)) | \
			 (BIT64(R_TIMER_CURRENT + 1) - BIT64(R_ICR)) | \
			 BIT64(R_TIMER_DIVIDE))
#define LAPIC_VERSION	0x00050014u	/* integrated, 6 LVT entries */
#define LVT_MASKED	BIT32(16)
#define LVT_MODE(l)	((l) >> 17 & 3)
enum { MODE_ONESHOT, MODE_PERIODIC, MODE_DEADLINE };
#define SVR_ENABLED	BIT32(8)
#define ESR_SEND_ILLEGAL	BIT32(5)
#define ESR_RECV_ILLEGAL	BIT32(6)

/* The timer counts at this rate; a period below MIN_PERIOD is raised. */
#define TIMER_HZ	100000000ull
#define MIN_PERIOD	(boot.tsc_hz / 1000000 * 50)	/* 50 us */
#define LATE		(boot.tsc_hz * 4)	/* as long as no vCPU waits for its CPU */

enum { ICR_FIXED, ICR_LOWEST, ICR_SMI, ICR_NMI = 4, ICR_INIT, ICR_SIPI };

/* The bits that a WRMSR may not set, and of the LVT what is only status. */
static const uint32_t reserved[0x40] = {
	[R_TPR] = ~0xffu, [R_EOI] = ~0u,
	[R_SVR] = ~0x3ffu,	/* bit 9, focus checking, does nothing */
	[R_ESR] = ~0u, [R_ICR] = 0xfff32000u,
	[R_LVT] = ~0x750ffu, ~0x157ffu, ~0x157ffu, ~0x1f7ffu, ~0x1f7ffu, ~0x150ffu,
	[R_TIMER_DIVIDE] = ~0xbu, [R_SELF_IPI] = ~0xffu,
};
#define LVT_READ_ONLY	(BIT32(12) | BIT32(14))

static bool is_x2apic(const struct vcpu *v)
{
	return (v->lapic.base & APIC_BASE_EXTD) != 0;
}

/* The highest bit, -1: none. Looks at the words in pairs: this is done at every
 * switch of vCPUs, and mostly all are empty. */
static int highest(const uint32_t bits[8])
{
	typedef uint64_t __attribute__((may_alias)) pair_t;
	const pair_t *pairs = (const pair_t *)bits;
	int i;

	for (i = 3; i >= 0; i--) {
		uint64_t w = __atomic_load_n(&pairs[i], __ATOMIC_ACQUIRE);

		if (w) {
			return i * 64 + 63 - __builtin_clzll(w);
		}
	}
	return -1;
}

/* [SDM3 "Task and Processor Priorities"] */
static uint32_t ppr(const struct vlapic *l)
{
	uint32_t isr = l->isr_top < 0 ? 0 : (uint32_t)l->isr_top & 0xf0;

	return (l->tpr & 0xf0) >= isr ? l->tpr : isr;
}

/** The state after power-up or INIT, timer off, in that mode. On v's CPU. */
void vlapic_reset(struct vcpu *v, bool x2apic)
{
	struct vlapic *l = &v->lapic;
	uint32_t i, id = v->index;

	zero_memory(l, sizeof(*l) & ~7ull);
	l->isr_top = -1;
	l->id = id;
	l->version = LAPIC_VERSION;
	l->base = 0xfee00000ull | APIC_BASE_EN |
		  (x2apic ? APIC_BASE_EXTD : 0) | (id == 0 ? APIC_BASE_BSP : 0);
	l->ldr = x2apic ? (id >> 4) << 16 | BIT32(id & 15) : 0;
	l->dfr = 0xffffffff;
	l->svr = 0xff;
	for (i = 0; i < ARRAY_SIZE(l->lvt); i++) {
		l->lvt[i] = LVT_MASKED;
	}
	l->deadline = VLAPIC_OFF;
}

/**
 * Makes of anything in l what the LAPIC of that number can be, its timer off: what
 * no register takes is cut. Pure.
 */
void vlapic_cut(struct vlapic *l, uint32_t id)
{
	uint64_t mode = l->base & APIC_BASE_EN ?
			l->base & (APIC_BASE_EN | APIC_BASE_EXTD) : 0, i;

	for (i = 0; i < ARRAY_SIZE(l->reg); i++) {
		l->reg[i] &= ~(reserved[i] | (i >= R_LVT && i <= R_LVT_ERROR ?
					      LVT_READ_ONLY : 0));
	}
	l->base = 0xfee00000ull | mode | (id == 0 ? APIC_BASE_BSP : 0);
	l->id = id;
	l->version = LAPIC_VERSION;
	l->irr[0] &= 0xffff0000;
	l->isr[0] &= 0xffff0000;
	l->isr_top = highest(l->isr);
	l->timer_period = u64_max(l->timer_period, MIN_PERIOD);
	l->deadline = VLAPIC_OFF;
}

/** Raises a vector in v's IRR; below 16: an error. Any CPU, any context. */
void vlapic_post(struct vcpu *v, uint8_t vector)
{
	if (vector < 16) {
		v->lapic.esr_pending |= ESR_RECV_ILLEGAL;
		return;
	}
	__atomic_fetch_or(&v->lapic.irr[vector / 32], BIT32(vector % 32),
			  __ATOMIC_SEQ_CST);
	vcpu_attention(v, VCPU_ATT_INTR);
}

/** The vector to deliver next, -1: none beats the priority. On v's CPU. */
int vlapic_pending(const struct vcpu *v)
{
	const struct vlapic *l = &v->lapic;
	int vector = highest(l->irr);

	if (vector < 0 || !(l->svr & SVR_ENABLED) ||
	    !(l->base & APIC_BASE_EN) ||
	    ((uint32_t)vector & 0xf0) <= (ppr(l) & 0xf0)) {
		return -1;
	}
	return vector;
}

/** The vector has been delivered: IRR to ISR. On v's CPU. */
void vlapic_accept(struct vcpu *v, uint8_t vector)
{
	__atomic_fetch_and(&v->lapic.irr[vector / 32], ~BIT32(vector % 32),
			   __ATOMIC_SEQ_CST);
	v->lapic.isr[vector / 32] |= BIT32(vector % 32);
	v->lapic.isr_top = vector;	/* it has beaten what was there */
}

/* Ends the service of the highest vector; none in service: nothing. */
static void eoi(struct vcpu *v)
{
	struct vlapic *l = &v->lapic;

	if (l->isr_top < 0) {
		return;
	}
	l->isr[l->isr_top / 32] &= ~BIT32(l->isr_top % 32);
	l->isr_top = highest(l->isr);
	if (vlapic_pending(v) >= 0) {
		vcpu_attention(v, VCPU_ATT_INTR);
	}
}

/** TPR, by MSR, page or CR8: a lower one may let a vector through. */
void vlapic_set_tpr(struct vcpu *v, uint32_t tpr)
{
	v->lapic.tpr = tpr & 0xff;
	vcpu_attention(v, VCPU_ATT_INTR);
}

/* Clusters of 16; xAPIC: flat or of 4. [SDM3 "Logical Destination Mode"] */
static bool match_logical(const struct vcpu *t, uint32_t dest, bool x2apic)
{
	const struct vlapic *l = &t->lapic;

	if (x2apic) {
		return l->ldr >> 16 == dest >> 16 && (l->ldr & dest & 0xffff);
	}
	if (l->dfr >> 28 == 0xf) {
		return (l->ldr >> 24 & dest) != 0;
	}
	return (l->ldr >> 28) == (dest >> 4 & 15) && (l->ldr >> 24 & dest & 15);
}

static bool match(const struct vcpu *t, uint32_t dest, bool logical,
		  bool x2apic)
{
	if (dest == (x2apic ? 0xffffffff : 0xff)) {
		return true;	/* everybody */
	}
	return logical ? match_logical(t, dest, x2apic) : t->lapic.id == dest;
}

/* One IPI or message to one vCPU, on the sender's CPU; what it means is done on
 * t's, by vcpu_prepare(). */
static void send_one(struct vcpu *t, uint32_t mode, uint8_t vector)
{
	switch (mode) {
	case ICR_FIXED:
	case ICR_LOWEST:
		vlapic_post(t, vector);
		break;
	case ICR_NMI:
		vcpu_attention(t, VCPU_ATT_NMI);
		break;
	case ICR_INIT:
		if (t->index != 0) {	/* 0: only HC_PARTITION_START */
			vcpu_attention(t, VCPU_ATT_INIT);
		}
		break;
	case ICR_SIPI:
		vcpu_sipi(t, vector);
		break;
	default:	/* SMI and reserved modes: not ours to have */
		break;
	}
}

/* To vCPUs of v's own partition alone; lowest priority: to the first that
 * matches. [SDM3 "Interrupt Command Register (ICR)"] */
static void send_ipi(struct vcpu *v, uint64_t icr)
{
	uint32_t low = (uint32_t)icr, mode = low >> 8 & 7;
	bool x2 = is_x2apic(v);
	uint32_t dest = (uint32_t)(icr >> 32) >> (x2 ? 0 : 24);
	uint32_t shorthand = low >> 18 & 3, i;

	if (mode == ICR_INIT && !(low & BIT32(14)) && (low & BIT32(15))) {
		return;		/* INIT level de-assert: ignored */
	}
	if ((mode == ICR_FIXED || mode == ICR_LOWEST) && (low & 0xff) < 16) {
		v->lapic.esr_pending |= ESR_SEND_ILLEGAL;
		return;
	}
	for (i = 0; i < v->partition->vcpu_count; i++) {
		struct vcpu *t = v->partition->vcpus[i];
		bool hit = shorthand == 1 ? t == v :	/* self, all, others */
			   shorthand == 2 ? true :
			   shorthand == 3 ? t != v :
			   match(t, dest, (low & BIT32(11)) != 0, x2);

		if (hit) {
			send_one(t, mode, (uint8_t)low);
			if (mode == ICR_LOWEST) {
				return;
			}
		}
	}
}

/**
 * A message-signalled interrupt to the partition of any, one of its vCPUs: only
 * its own vCPUs can be meant, whatever it wrote into the address. Fixed and
 * lowest-priority messages, as edges; others (NMI, INIT..) are dropped. Any
 * CPU, no lock. [SDM3 "Message Address Register Format"]
 */
void vlapic_msi(uint64_t address, uint32_t data, struct vcpu *any)
{
	struct partition *p = any->partition;
	uint32_t dest = (uint32_t)(address >> 12 & 0xff);
	uint32_t mode = data >> 8 & 7, i;

	if ((address & 0xfff00000u) != 0xfee00000u) {
		return;
	}
	for (i = 0; i < p->vcpu_count; i++) {
		struct vcpu *t = p->vcpus[i];
		bool logical = (address & 4) != 0;
		bool hit = logical && is_x2apic(t) ?
			   (t->lapic.ldr & dest & 0xff) != 0 :
			   match(t, dest, logical, false);

		if (hit && (mode == ICR_FIXED || mode == ICR_LOWEST)) {
			vlapic_post(t, (uint8_t)data);
			if (mode == ICR_LOWEST) {
				return;
			}
		}
	}
}

/* log2 of the divisor. [SDM3 "APIC Timer"] */
static uint32_t divide_shift(const struct vlapic *l)
{
	uint32_t d = (l->timer_divide & 3) | (l->timer_divide >> 1 & 4);

	return (d + 1) & 7;
}

/* The first tick, counted from now. An initial count of 0 stops the timer. */
static void timer_arm(struct vcpu *v)
{
	struct vlapic *l = &v->lapic;

	l->deadline = VLAPIC_OFF;
	if (!l->timer_initial) {
		return;
	}
	l->timer_period = u64_muldiv((uint64_t)l->timer_initial <<
				     divide_shift(l), boot.tsc_hz, TIMER_HZ);
	if (LVT_MODE(l->lvt[0]) == MODE_PERIODIC) {
		l->timer_period = u64_max(l->timer_period, MIN_PERIOD);
	}
	l->deadline = rdtsc() + l->timer_period;
	sched_timer(v->cpu, l->deadline);
}

static uint32_t timer_current(const struct vlapic *l)
{
	uint64_t now = rdtsc();

	if (l->deadline == VLAPIC_OFF || l->deadline <= now) {
		return 0;
	}
	return (uint32_t)(u64_muldiv(l->deadline - now, TIMER_HZ,
				     boot.tsc_hz) >> divide_shift(l));
}

/** Fires v's timer if it is due at host TSC now. On v's CPU. */
void vlapic_timer_check(struct vcpu *v, uint64_t now)
{
	struct vlapic *l = &v->lapic;

	if (l->deadline > now) {
		return;
	}
	/* the machine stood still: its watchdogs are not to bark */
	if (now - l->deadline > LATE) {
		vcpu_attention(v, VCPU_ATT_LATE);
	}
	l->deadline = VLAPIC_OFF;
	if (LVT_MODE(l->lvt[0]) == MODE_PERIODIC && l->timer_initial) {
		/* ticks that could not be delivered are lost, as in a CPU
		 * whose interrupts were off */
		l->deadline = now + l->timer_period;
	}
	if (!(l->lvt[0] & LVT_MASKED)) {
		vlapic_post(v, (uint8_t)l->lvt[0]);
	}
}

/** RDMSR of IA32_TSC_DEADLINE, in v's TSC; 0: disarmed, or another mode. */
uint64_t vlapic_deadline_read(const struct vcpu *v)
{
	const struct vlapic *l = &v->lapic;

	if (LVT_MODE(l->lvt[0]) != MODE_DEADLINE || l->deadline == VLAPIC_OFF) {
		return 0;
	}
	return l->deadline + v->tsc_offset;
}

/** WRMSR of IA32_TSC_DEADLINE; value in v's TSC, 0 disarms. On v's CPU. */
void vlapic_deadline_write(struct vcpu *v, uint64_t value)
{
	struct vlapic *l = &v->lapic;

	if (LVT_MODE(l->lvt[0]) != MODE_DEADLINE) {
		return;
	}
	if (!value) {
		l->deadline = VLAPIC_OFF;
		return;
	}
	/* what lies beyond the end of the host's TSC never comes */
	l->deadline = value - v->tsc_offset;
	if ((int64_t)v->tsc_offset < 0 && l->deadline < value) {
		l->deadline = VLAPIC_OFF;
	}
	sched_timer(v->cpu, l->deadline);	/* this run ends by then */
}

/** WRMSR of IA32_APIC_BASE: mode changes as the SDM allows, no moving.
 * false: #GP. On v's CPU. [SDM3 "x2APIC State Transitions"] */
bool vlapic_base_write(struct vcpu *v, uint64_t value)
{
	uint64_t mode = value & (APIC_BASE_EN | APIC_BASE_EXTD);
	uint64_t old = v->lapic.base & (APIC_BASE_EN | APIC_BASE_EXTD);

	if ((value & ~0xfffull) != 0xfee00000ull || (value & 0x2ff & ~0x100u) ||
	    mode == APIC_BASE_EXTD ||
	    (mode == APIC_BASE_EN && (old & APIC_BASE_EXTD)) ||
	    (!old && (mode & APIC_BASE_EXTD))) {
		return false;
	}
	/* disabled it has lost what it was, with the interrupts that waited
	 * [SDM3 "x2APIC State Transitions"] */
	if (!old) {
		vlapic_reset(v, false);
	}
	v->lapic.base = (value & ~APIC_BASE_BSP) |
			(v->index == 0 ? APIC_BASE_BSP : 0);
	if (is_x2apic(v)) {
		v->lapic.ldr = (v->lapic.id >> 4) << 16 |
			       BIT32(v->lapic.id & 15);
	}
	return true;
}

/** Reads register number reg (page offset / 16). false: there is none now. */
bool vlapic_reg_read(struct vcpu *v, uint32_t reg, uint32_t *value)
{
	const struct vlapic *l = &v->lapic;
	bool x2 = is_x2apic(v);

	if (reg >= ARRAY_SIZE(l->reg) || !(READABLE & BIT64(reg)) ||
	    (x2 && (reg == R_DFR || reg == R_ICR_HIGH))) {
		return false;
	}
	*value = reg == R_ID && !x2 ? l->id << 24 :
		 reg == R_PPR ? ppr(l) :
		 reg == R_TIMER_CURRENT ? timer_current(l) :
		 __atomic_load_n(&l->reg[reg], __ATOMIC_RELAXED);
	return true;
}

/* Masked while software-disabled; a change of the timer's mode disarms it. */
static void write_lvt(struct vcpu *v, uint32_t i, uint32_t value)
{
	struct vlapic *l = &v->lapic;
	uint32_t old = l->lvt[0];

	l->lvt[i] = value & ~(reserved[R_LVT + i] | LVT_READ_ONLY);
	if (!(l->svr & SVR_ENABLED)) {
		l->lvt[i] |= LVT_MASKED;
	}
	if (i == 0 && LVT_MODE(old) != LVT_MODE(l->lvt[0])) {
		l->deadline = VLAPIC_OFF;
	}
}

/* [SDM3 "Local APIC State After It Has Been Software Disabled"] */
static void write_svr(struct vcpu *v, uint32_t value)
{
	uint32_t i;

	v->lapic.svr = value & 0x1ff;
	for (i = 0; !(value & SVR_ENABLED) && i < 6; i++) {
		v->lapic.lvt[i] |= LVT_MASKED;
	}
	vcpu_attention(v, VCPU_ATT_INTR);
}

/** Writes register number reg. false: there is none, or it is read-only. */
bool vlapic_reg_write(struct vcpu *v, uint32_t reg, uint32_t value)
{
	struct vlapic *l = &v->lapic;

	if (is_x2apic(v) ? reg == R_LDR || reg == R_DFR || reg == R_ICR_HIGH :
			   reg == R_SELF_IPI) {
		return false;	/* not in this mode */
	}
	switch (reg) {
	case R_EOI:
		eoi(v);
		return true;
	case R_TPR:
		vlapic_set_tpr(v, value);
		return true;
	case R_LDR:
		l->ldr = value & 0xff000000;
		return true;
	case R_DFR:
		l->dfr = value | 0x0fffffff;
		return true;
	case R_SVR:
		write_svr(v, value);
		return true;
	case R_ESR:
		l->esr = l->esr_pending;	/* now it can be read */
		l->esr_pending = 0;
		return true;
	case R_ICR:
		l->icr = (l->icr & ~0xffffffffull) | (value & ~BIT32(12));
		send_ipi(v, l->icr);
		return true;
	case R_ICR_HIGH:
		l->icr = (l->icr & 0xffffffff) | (uint64_t)value << 32;
		return true;
	case R_LVT ... R_LVT_ERROR:
		write_lvt(v, reg - R_LVT, value);
		return true;
	case R_TIMER_INITIAL:
		/* not used, and not written, with TSC deadlines */
		if (LVT_MODE(l->lvt[0]) != MODE_DEADLINE) {
			l->timer_initial = value;
			timer_arm(v);
		}
		return true;
	case R_TIMER_DIVIDE:
		l->timer_divide = value & 0xb;
		return true;
	case R_SELF_IPI:
		vlapic_post(v, (uint8_t)value);
		return true;
	default:
		return false;
	}
}

/** RDMSR of 800H-8FFH; false: #GP. [SDM3 "x2APIC Register Address Space"] */
bool vlapic_msr_read(struct vcpu *v, uint32_t msr, uint64_t *value)
{
	uint32_t reg = msr - MSR_X2APIC_FIRST, low = 0;

	if (!is_x2apic(v) || reg == R_EOI || reg == R_SELF_IPI ||
	    !vlapic_reg_read(v, reg, &low)) {
		return false;
	}
	*value = reg == R_ICR ? v->lapic.icr : low;
	return true;
}

/** WRMSR of 800H-8FFH. false: #GP, for reserved bits too. On v's CPU. */
bool vlapic_msr_write(struct vcpu *v, uint32_t msr, uint64_t value)
{
	uint32_t reg = msr - MSR_X2APIC_FIRST;

	if (!is_x2apic(v)) {
		return false;
	}
	if (reg == R_EOI && value == 0) {	/* by far the most frequent */
		eoi(v);
		return true;
	}
	if (reg >= ARRAY_SIZE(reserved) || (value & reserved[reg])) {
		return false;
	}
	if (reg == R_ICR) {
		v->lapic.icr = value & ~BIT64(12);
		send_ipi(v, v->lapic.icr);
		return true;
	}
	return !(value >> 32) && vlapic_reg_write(v, reg, (uint32_t)value);
}
