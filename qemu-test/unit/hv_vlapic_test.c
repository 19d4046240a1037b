/* SPDX-License-Identifier: MIT */
/* The virtual LAPIC: priorities, EOI, destinations, timer, x2APIC rules. */
#include "hv_fakes.h"

#define X2(reg)	(MSR_X2APIC_FIRST + (reg))

enum { ID = 0x02, VERSION = 0x03, TPR = 0x08, PPR = 0x0a, EOI = 0x0b,
       LDR = 0x0d, DFR = 0x0e, SVR = 0x0f, ISR = 0x10, IRR = 0x20,
       ESR = 0x28, ICR = 0x30, ICR_HIGH = 0x31, LVT_TIMER = 0x32,
       LVT_LINT0 = 0x35, LVT_ERROR = 0x37, INITIAL = 0x38, CURRENT = 0x39,
       DIVIDE = 0x3e, SELF = 0x3f };

#define PERIODIC	0x20000u
#define DEADLINE	0x40000u
#define MASKED		0x10000u

static struct partition part;
static struct vcpu cpu[4];

static void make_mode(bool x2apic)
{
	uint32_t i;

	fakes_reset();
	memset(&part, 0, sizeof(part));
	for (i = 0; i < 4; i++) {
		fake_vcpu_init(&cpu[i], &part, i);
		vlapic_reset(&cpu[i], x2apic);
		cpu[i].lapic.svr |= 0x100;
	}
}

static int make(void **state)
{
	(void)state;
	make_mode(true);
	return 0;
}

static uint32_t rd(struct vcpu *v, uint32_t reg)
{
	uint32_t value = 0x5a5a5a5a;

	assert_true(vlapic_reg_read(v, reg, &value));
	return value;
}

static bool irr(const struct vcpu *v, uint32_t vector)
{
	return v->lapic.irr[vector / 32] >> vector % 32 & 1;
}

static void after_reset(void **state)
{
	uint32_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		make_mode(i == 1);
		cpu[3].lapic.svr = 0x1ff;
		cpu[3].lapic.tpr = 0x20;
		cpu[3].lapic.irr[2] = 1;
		vlapic_reset(&cpu[3], i == 1);
		assert_int_equal(rd(&cpu[3], ID), i ? 3 : 3 << 24);
		assert_int_equal(rd(&cpu[3], VERSION) & 0xff, 0x14);
		assert_int_equal(rd(&cpu[3], SVR), 0xff);
		assert_int_equal(rd(&cpu[3], TPR), 0);
		assert_int_equal(rd(&cpu[3], IRR + 2), 0);
		assert_int_equal(rd(&cpu[3], LVT_TIMER), MASKED);
		assert_int_equal(rd(&cpu[3], LDR), i ? 8 : 0);
		assert_int_equal(cpu[3].lapic.base, 0xfee00800ull |
				 (i ? APIC_BASE_EXTD : 0));
		assert_true(cpu[0].lapic.base & APIC_BASE_BSP);
		assert_int_equal(cpu[3].lapic.deadline, VLAPIC_OFF);
	}
}

/* All pairs of a vector in service and one that comes. */
static void priorities(void **state)
{
	uint32_t a, b;

	for (a = 16; a < 256; a += 5) {
		for (b = 16; b < 256; b += 7) {
			make(state);
			vlapic_post(&cpu[0], (uint8_t)a);
			assert_int_equal(vlapic_pending(&cpu[0]), a);
			vlapic_accept(&cpu[0], (uint8_t)a);
			assert_int_equal(vlapic_pending(&cpu[0]), -1);
			assert_int_equal(rd(&cpu[0], PPR), a & 0xf0);
			vlapic_post(&cpu[0], (uint8_t)b);
			assert_int_equal(vlapic_pending(&cpu[0]),
					 b >> 4 > a >> 4 ? (int)b : -1);
			assert_true(vlapic_reg_write(&cpu[0], EOI, 0));
			assert_int_equal(vlapic_pending(&cpu[0]), b);
		}
	}
}

static void task_priority(void **state)
{
	uint32_t tpr, vector;

	for (tpr = 0; tpr < 256; tpr++) {
		for (vector = 16; vector < 256; vector += 15) {
			make(state);
			vlapic_post(&cpu[0], (uint8_t)vector);
			vlapic_set_tpr(&cpu[0], tpr);
			assert_int_equal(vlapic_pending(&cpu[0]),
					 vector >> 4 > tpr >> 4 ?
					 (int)vector : -1);
			assert_int_equal(rd(&cpu[0], PPR), tpr);
		}
	}
	/* a vector that the new TPR allows gets looked at */
	make(state);
	vlapic_set_tpr(&cpu[0], 0xf0);
	vlapic_post(&cpu[0], 0x80);
	cpu[0].attention = 0;
	vlapic_set_tpr(&cpu[0], 0);
	assert_int_equal(cpu[0].attention, VCPU_ATT_INTR);
}

static void nested_eoi(void **state)
{
	static const uint8_t up[] = { 0x31, 0x52, 0x93, 0xff };
	uint32_t i;

	(void)state;
	for (i = 0; i < 4; i++) {
		vlapic_post(&cpu[0], up[i]);
		assert_int_equal(vlapic_pending(&cpu[0]), up[i]);
		vlapic_accept(&cpu[0], up[i]);
		assert_true(rd(&cpu[0], ISR + up[i] / 32) >> up[i] % 32 & 1);
		assert_false(irr(&cpu[0], up[i]));
	}
	vlapic_post(&cpu[0], 0x60);
	for (i = 4; i-- > 0;) {
		assert_int_equal(cpu[0].lapic.isr_top, up[i]);
		assert_int_equal(vlapic_pending(&cpu[0]),
				 0x60 > (i == 3 ? 0xff : up[i] | 15) ? 0x60 :
				 -1);
		cpu[0].attention = 0;
		assert_true(vlapic_msr_write(&cpu[0], X2(EOI), 0));
	}
	/* the last EOIs opened the way for 0x60 */
	assert_int_equal(cpu[0].attention, VCPU_ATT_INTR);
	assert_int_equal(vlapic_pending(&cpu[0]), 0x60);
	assert_int_equal(cpu[0].lapic.isr_top, -1);
	assert_true(vlapic_reg_write(&cpu[0], EOI, 0));	/* nothing in service */
	assert_int_equal(cpu[0].lapic.isr_top, -1);
}

static void software_disabled(void **state)
{
	(void)state;
	assert_true(vlapic_reg_write(&cpu[0], LVT_ERROR, 0xfe));
	vlapic_post(&cpu[0], 0x80);
	assert_true(vlapic_reg_write(&cpu[0], SVR, 0xff));
	assert_int_equal(vlapic_pending(&cpu[0]), -1);
	assert_int_equal(rd(&cpu[0], LVT_ERROR), MASKED | 0xfe);
	/* LVT entries cannot be unmasked while it is off */
	assert_true(vlapic_reg_write(&cpu[0], LVT_ERROR, 0xfe));
	assert_int_equal(rd(&cpu[0], LVT_ERROR), MASKED | 0xfe);
	assert_true(vlapic_reg_write(&cpu[0], SVR, 0x1ff));
	assert_int_equal(vlapic_pending(&cpu[0]), 0x80);
}

static void illegal_vectors(void **state)
{
	uint32_t vector;

	(void)state;
	for (vector = 0; vector < 16; vector++) {
		vlapic_post(&cpu[1], (uint8_t)vector);
		assert_int_equal(cpu[1].lapic.irr[0], 0);
		assert_true(vlapic_msr_write(&cpu[1], X2(ESR), 0));
		assert_int_equal(rd(&cpu[1], ESR), 0x40);
		assert_true(vlapic_msr_write(&cpu[0], X2(ICR),
					     1ull << 32 | vector));
		assert_true(vlapic_msr_write(&cpu[0], X2(ESR), 0));
		assert_int_equal(rd(&cpu[0], ESR), 0x20);
	}
	assert_true(vlapic_msr_write(&cpu[0], X2(ESR), 0));
	assert_int_equal(rd(&cpu[0], ESR), 0);
}

/* Which vCPUs have vector 0x77 now; it is taken away again. */
static uint32_t hit(void)
{
	uint32_t i, mask = 0;

	for (i = 0; i < 4; i++) {
		mask |= (uint32_t)irr(&cpu[i], 0x77) << i;
		memset(cpu[i].lapic.irr, 0, 32);
	}
	return mask;
}

static void x2apic_destinations(void **state)
{
	static const struct {
		uint64_t icr;
		uint32_t mask;	/* sent by vCPU 1 */
	} t[] = {
		{ 0x0000000000000077, 1 }, { 0x0000000300000077, 8 },
		{ 0x0000000400000077, 0 }, { 0x0300000000000077, 0 },
		{ 0xffffffff00000077, 15 }, { 0x000000ff00000077, 0 },
		/* logical: cluster 0, members as bits */
		{ 0x0000000f00000877, 15 }, { 0x0000000500000877, 5 },
		{ 0x0001000f00000877, 0 }, { 0x0000fff000000877, 0 },
		{ 0xffffffff00000877, 15 },
		/* shorthands: self, all, all but self; destination ignored */
		{ 0x0000000300040077, 2 }, { 0x0000000000080077, 15 },
		{ 0x00000001000c0077, 13 },
		/* lowest priority: one of them */
		{ 0x0000000e00000977, 2 },
		/* SMI, reserved, ExtINT: dropped */
		{ 0x0000000000000277, 0 }, { 0x0000000000000377, 0 },
		{ 0x0000000000000777, 0 },
	};
	uint32_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		assert_true(vlapic_msr_write(&cpu[1], X2(ICR), t[i].icr));
		if (hit() != t[i].mask) {
			fail_msg("ICR %#llx", (unsigned long long)t[i].icr);
		}
	}
	assert_true(vlapic_msr_write(&cpu[2], X2(SELF), 0x77));
	assert_int_equal(hit(), 4);
}

static void xapic_destinations(void **state)
{
	static const struct {
		uint32_t high, low, dfr, mask;
	} t[] = {
		{ 0x02000000, 0x77, ~0u, 4 }, { 0xff000000, 0x77, ~0u, 15 },
		{ 0x04000000, 0x77, ~0u, 0 },
		/* flat: LDR is 1 << n */
		{ 0x0a000000, 0x877, ~0u, 10 }, { 0xf0000000, 0x877, ~0u, 0 },
		/* cluster model: upper 4 bits a cluster, lower ones members */
		{ 0x02000000, 0x877, 0x0fffffff, 2 },
		{ 0x12000000, 0x877, 0x0fffffff, 0 },
	};
	uint32_t i, k;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		make_mode(false);
		for (k = 0; k < 4; k++) {
			assert_true(vlapic_reg_write(&cpu[k], LDR,
						     1u << (24 + k)));
			assert_true(vlapic_reg_write(&cpu[k], DFR, t[i].dfr));
		}
		assert_true(vlapic_reg_write(&cpu[0], ICR_HIGH, t[i].high));
		assert_true(vlapic_reg_write(&cpu[0], ICR, t[i].low));
		assert_int_equal(hit(), t[i].mask);
	}
	/* there is no self-IPI register in this mode */
	assert_false(vlapic_reg_write(&cpu[0], SELF, 0x77));
	assert_int_equal(hit(), 0);
	assert_false(vlapic_msr_write(&cpu[0], X2(TPR), 0));
	assert_false(vlapic_msr_read(&cpu[0], X2(TPR), &(uint64_t){ 0 }));
}

static void init_and_sipi(void **state)
{
	(void)state;
	/* SIPI to a vCPU that does not wait for one: nothing */
	cpu[1].state = VCPU_RUNNABLE;
	assert_true(vlapic_msr_write(&cpu[0], X2(ICR), 1ull << 32 | 0x608));
	assert_int_equal(cpu[1].attention, 0);
	/* INIT, its de-assertion, SIPI */
	assert_true(vlapic_msr_write(&cpu[0], X2(ICR), 1ull << 32 | 0xc500));
	assert_int_equal(cpu[1].attention, VCPU_ATT_INIT);
	cpu[1].attention = 0;
	assert_true(vlapic_msr_write(&cpu[0], X2(ICR), 1ull << 32 | 0x8500));
	assert_int_equal(cpu[1].attention, 0);
	cpu[1].state = VCPU_WAIT_SIPI;
	assert_true(vlapic_msr_write(&cpu[0], X2(ICR), 1ull << 32 | 0x699));
	assert_int_equal(cpu[1].attention, VCPU_ATT_RESET);
	assert_int_equal(cpu[1].start.kind, VCPU_RESET_SIPI);
	assert_int_equal(cpu[1].start.sipi_vector, 0x99);
	assert_int_equal(cpu[1].state, VCPU_RUNNABLE);
	/* the first vCPU is not reset by its own partition's IPIs */
	assert_true(vlapic_msr_write(&cpu[1], X2(ICR), 0x4500));
	assert_int_equal(cpu[0].attention, 0);
	assert_true(vlapic_msr_write(&cpu[1], X2(ICR), 0x4400));
	assert_int_equal(cpu[0].attention, VCPU_ATT_NMI);
}

/* Off and on again is as after a reset: nothing waits without being told. */
static void off_and_on(void **state)
{
	struct vcpu *v = &cpu[1];

	(void)state;
	make_mode(false);
	vlapic_post(v, 0x80);
	vlapic_set_tpr(v, 0x20);
	assert_true(vlapic_base_write(v, 0xfee00000));
	assert_int_equal(vlapic_pending(v), -1);
	assert_true(vlapic_base_write(v, 0xfee00000 | APIC_BASE_EN));
	assert_false(irr(v, 0x80));
	assert_int_equal(rd(v, TPR), 0);
	assert_int_equal(rd(v, SVR), 0xff);
	assert_int_equal(v->lapic.base, 0xfee00000 | APIC_BASE_EN);
	/* but not for a change of mode alone */
	vlapic_post(v, 0x80);
	assert_true(vlapic_base_write(v, 0xfee00000 | APIC_BASE_EN |
				      APIC_BASE_EXTD));
	assert_true(irr(v, 0x80));
}

static void x2apic_reserved(void **state)
{
	static const struct {
		uint32_t reg;
		uint64_t bad;	/* each single bit of it is #GP */
	} t[] = {
		{ TPR, ~0xffull }, { EOI, ~0ull }, { ESR, ~0ull },
		{ SVR, ~0x3ffull }, { SELF, ~0xffull }, { DIVIDE, ~0xbull },
		{ LVT_TIMER, ~0x750ffull }, { LVT_LINT0, ~0x1f7ffull },
		{ LVT_ERROR, ~0x150ffull }, { INITIAL, ~0xffffffffull },
		{ ICR, 0xfff32000 },
		/* not there, or read-only */
		{ ID, ~0ull }, { VERSION, ~0ull }, { PPR, ~0ull },
		{ LDR, ~0ull }, { DFR, ~0ull }, { ISR, ~0ull },
		{ IRR, ~0ull }, { ICR_HIGH, ~0ull }, { CURRENT, ~0ull },
		{ 0, ~0ull }, { 0x2f, ~0ull }, { 0x3d, ~0ull },
		{ 0x40, ~0ull }, { 0xff, ~0ull },
	};
	struct vlapic before;
	uint32_t i, bit;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		for (bit = 0; bit < 64; bit++) {
			if (!(t[i].bad >> bit & 1)) {
				continue;
			}
			before = cpu[0].lapic;
			if (vlapic_msr_write(&cpu[0], X2(t[i].reg),
					     BIT64(bit))) {
				fail_msg("register %#x bit %u", t[i].reg, bit);
			}
			assert_memory_equal(&before, &cpu[0].lapic,
					    sizeof(before));
		}
	}
}

static void x2apic_reads(void **state)
{
	uint64_t value;
	uint32_t reg;

	(void)state;
	for (reg = 0; reg < 0x100; reg++) {
		bool there = reg == ID || reg == VERSION || reg == TPR ||
			     reg == PPR || reg == LDR || reg == SVR ||
			     (reg >= ISR && reg <= ESR) || reg == ICR ||
			     (reg >= LVT_TIMER && reg <= CURRENT) ||
			     reg == DIVIDE;

		assert_int_equal(vlapic_msr_read(&cpu[0], X2(reg), &value),
				 there);
	}
	assert_true(vlapic_msr_write(&cpu[0], X2(ICR), 0x12345678000000f1));
	assert_true(vlapic_msr_read(&cpu[0], X2(ICR), &value));
	assert_int_equal(value, 0x12345678000000f1);
}

/* Register, what is written, what is read: what is only status is not written. */
static void xapic_reads_back(void **state)
{
	static const uint32_t t[][3] = {
		{ TPR, 0x3f, 0x3f }, { LDR, ~0u, 0xff000000 },
		{ DFR, 0x10000000, 0x1fffffff }, { SVR, ~0u, 0x1ff },
		{ ICR_HIGH, 0x12345678, 0x12345678 }, { ICR, 0x500, 0x500 },
		{ INITIAL, 77, 77 }, { DIVIDE, ~0u, 0xb },
		{ LVT_TIMER, ~0u, 0x700ff }, { LVT_TIMER + 1, ~0u, 0x107ff },
		{ LVT_LINT0, ~0u, 0x1a7ff }, { LVT_ERROR, ~0u, 0x100ff },
	};
	uint32_t i;

	(void)state;
	make_mode(false);
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		assert_true(vlapic_reg_write(&cpu[0], t[i][0], t[i][1]));
		assert_int_equal(rd(&cpu[0], t[i][0]), t[i][2]);
	}
}

static void base_register(void **state)
{
	enum { OFF, XAPIC = 0x800, X2APIC = 0xc00, INVALID = 0x400 };
	static const struct {
		uint32_t from, to;
		bool ok;
	} t[] = {
		{ XAPIC, XAPIC, true }, { XAPIC, X2APIC, true },
		{ XAPIC, OFF, true }, { XAPIC, INVALID, false },
		{ X2APIC, X2APIC, true }, { X2APIC, OFF, true },
		{ X2APIC, XAPIC, false }, { X2APIC, INVALID, false },
		{ OFF, OFF, true }, { OFF, XAPIC, true },
		{ OFF, X2APIC, false }, { OFF, INVALID, false },
	};
	uint32_t i, bit;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		cpu[1].lapic.base = 0xfee00000 | t[i].from;
		assert_int_equal(vlapic_base_write(&cpu[1], 0xfee00000 |
						   t[i].to), t[i].ok);
		assert_int_equal(cpu[1].lapic.base, 0xfee00000 |
				 (t[i].ok ? t[i].to : t[i].from));
	}
	/* it cannot be moved, reserved bits stay 0, BSP is not its to say */
	cpu[1].lapic.base = 0xfee00800;
	for (bit = 0; bit < 64; bit++) {
		uint64_t value = 0xfee00800 ^ BIT64(bit);

		if (bit == 8 || bit == 10 || bit == 11) {
			continue;
		}
		assert_false(vlapic_base_write(&cpu[1], value));
		assert_int_equal(cpu[1].lapic.base, 0xfee00800);
	}
	assert_true(vlapic_base_write(&cpu[1], 0xfee00900));
	assert_int_equal(cpu[1].lapic.base, 0xfee00800);
	assert_true(vlapic_base_write(&cpu[0], 0xfee00c00));
	assert_true(cpu[0].lapic.base & APIC_BASE_BSP);
}

static void timer_one_shot(void **state)
{
	static const uint32_t shift[16] = {
		[0] = 1, [1] = 2, [2] = 3, [3] = 4,
		[8] = 5, [9] = 6, [10] = 7, [11] = 0,
	};
	uint32_t i;

	(void)state;
	assert_true(vlapic_reg_write(&cpu[0], LVT_TIMER, 0xec));
	for (i = 0; i < 16; i++) {
		uint64_t ticks;

		if (i & 4) {
			continue;
		}
		assert_true(vlapic_reg_write(&cpu[0], DIVIDE, i));
		assert_true(vlapic_reg_write(&cpu[0], INITIAL, 1000));
		/* 100 MHz against a TSC of 1 GHz */
		ticks = (1000ull << shift[i]) * 10;
		assert_int_equal(cpu[0].lapic.deadline, fake.tsc + ticks);
		assert_int_equal(fake.timer_at, fake.tsc + ticks);
		assert_int_equal(rd(&cpu[0], CURRENT), 1000);
		fake.tsc += ticks / 4;
		assert_int_equal(rd(&cpu[0], CURRENT), 750);
		vlapic_timer_check(&cpu[0], fake.tsc);
		assert_false(irr(&cpu[0], 0xec));
		fake.tsc += ticks;
		assert_int_equal(rd(&cpu[0], CURRENT), 0);
		vlapic_timer_check(&cpu[0], fake.tsc);
		assert_true(irr(&cpu[0], 0xec));
		assert_int_equal(cpu[0].lapic.deadline, VLAPIC_OFF);
		memset(cpu[0].lapic.irr, 0, 32);
	}
	/* 1 tick is 1 tick, and 0 stops it */
	assert_true(vlapic_reg_write(&cpu[0], DIVIDE, 11));
	assert_true(vlapic_reg_write(&cpu[0], INITIAL, 1));
	assert_int_equal(cpu[0].lapic.deadline, fake.tsc + 10);
	assert_true(vlapic_reg_write(&cpu[0], INITIAL, 0));
	assert_int_equal(cpu[0].lapic.deadline, VLAPIC_OFF);
	assert_true(vlapic_reg_write(&cpu[0], INITIAL, ~0u));
	assert_int_equal(cpu[0].lapic.deadline, fake.tsc + 42949672950ull);
}

static void timer_periodic(void **state)
{
	uint64_t at, minimum = 50000;	/* 50 us */

	(void)state;
	assert_true(vlapic_reg_write(&cpu[0], DIVIDE, 11));
	assert_true(vlapic_reg_write(&cpu[0], LVT_TIMER, PERIODIC | 0xec));
	assert_true(vlapic_reg_write(&cpu[0], INITIAL, 1));
	assert_int_equal(cpu[0].lapic.deadline, fake.tsc + minimum);
	assert_true(vlapic_reg_write(&cpu[0], INITIAL, 100000));
	at = fake.tsc + 1000000;
	assert_int_equal(cpu[0].lapic.deadline, at);
	vlapic_timer_check(&cpu[0], at);
	assert_true(irr(&cpu[0], 0xec));
	assert_int_equal(cpu[0].lapic.deadline, at + 1000000);
	/* a long time without the CPU: one interrupt, no catching up */
	at += 1000000000;
	vlapic_timer_check(&cpu[0], at);
	assert_int_equal(cpu[0].lapic.deadline, at + 1000000);
	/* masked, it goes on silently */
	memset(cpu[0].lapic.irr, 0, 32);
	assert_true(vlapic_reg_write(&cpu[0], LVT_TIMER,
				     PERIODIC | MASKED | 0xec));
	vlapic_timer_check(&cpu[0], at + 1000000);
	assert_false(irr(&cpu[0], 0xec));
	assert_int_equal(cpu[0].lapic.deadline, at + 2000000);
	/* another mode stops it */
	assert_true(vlapic_reg_write(&cpu[0], LVT_TIMER, 0xec));
	assert_int_equal(cpu[0].lapic.deadline, VLAPIC_OFF);
}

static void timer_deadline(void **state)
{
	struct vcpu *v = &cpu[0];

	(void)state;
	v->tsc_offset = -500000ull;	/* started at host TSC 500000 */
	vlapic_deadline_write(v, 700000);	/* not in this mode */
	assert_int_equal(v->lapic.deadline, VLAPIC_OFF);
	assert_int_equal(vlapic_deadline_read(v), 0);
	assert_true(vlapic_reg_write(v, LVT_TIMER, DEADLINE | 0xec));
	vlapic_deadline_write(v, 700000);
	assert_int_equal(v->lapic.deadline, 1200000);
	assert_int_equal(fake.timer_at, 1200000);
	assert_int_equal(vlapic_deadline_read(v), 700000);
	/* the counter is not used in this mode, and disturbs nothing */
	assert_true(vlapic_reg_write(v, INITIAL, 5));
	assert_int_equal(v->lapic.deadline, 1200000);
	assert_int_equal(rd(v, INITIAL), 0);
	vlapic_timer_check(v, 1199999);
	assert_false(irr(v, 0xec));
	vlapic_timer_check(v, 1200000);
	assert_true(irr(v, 0xec));
	assert_int_equal(vlapic_deadline_read(v), 0);
	vlapic_deadline_write(v, 900000);
	vlapic_deadline_write(v, 0);
	assert_int_equal(v->lapic.deadline, VLAPIC_OFF);
	vlapic_deadline_write(v, ~0ull);	/* beyond the end of time */
	assert_int_equal(v->lapic.deadline, VLAPIC_OFF);
	/* a deadline in the past fires at once */
	memset(v->lapic.irr, 0, 32);
	vlapic_deadline_write(v, 1);
	vlapic_timer_check(v, fake.tsc);
	assert_true(irr(v, 0xec));
}

static void messages(void **state)
{
	static const struct {
		uint64_t address;
		uint32_t data, mask, xapic_mask;
	} t[] = {
		{ 0xfee00000, 0x77, 1, 1 }, { 0xfee03000, 0x77, 8, 8 },
		{ 0xfee04000, 0x77, 0, 0 }, { 0xfeeff000, 0x77, 15, 15 },
		{ 0xfee06004, 0x77, 6, 6 },	/* logical */
		{ 0xfee0e004, 0x177, 2, 2 },	/* lowest priority */
		{ 0xfee0600c, 0x4077, 6, 6 },	/* redirection hint, level */
		/* not the LAPICs' window; modes that are not ours to have */
		{ 0xfed00000, 0x77, 0, 0 }, { 0, 0x77, 0, 0 },
		{ 0xfee00000, 0x277, 0, 0 }, { 0xfee00000, 0x477, 0, 0 },
		{ 0xfee00000, 0x577, 0, 0 }, { 0xfee00000, 0x777, 0, 0 },
	};
	uint32_t i, k, m;

	(void)state;
	for (m = 0; m < 2; m++) {
		make_mode(m == 0);
		for (k = 0; m == 1 && k < 4; k++) {
			assert_true(vlapic_reg_write(&cpu[k], LDR,
						     1u << (24 + k)));
		}
		for (i = 0; i < ARRAY_SIZE(t); i++) {
			vlapic_msi(t[i].address, t[i].data, &cpu[0]);
			assert_int_equal(hit(), m ? t[i].xapic_mask : t[i].mask);
			for (k = 0; k < 4; k++) {
				assert_int_equal(cpu[k].attention &
						 ~VCPU_ATT_INTR, 0);
			}
		}
	}
}

#define TEST(f)	cmocka_unit_test_setup(f, make)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(after_reset), TEST(priorities), TEST(task_priority),
		TEST(nested_eoi), TEST(software_disabled),
		TEST(illegal_vectors), TEST(x2apic_destinations),
		TEST(xapic_destinations), TEST(init_and_sipi), TEST(off_and_on),
		TEST(x2apic_reserved), TEST(x2apic_reads),
		TEST(xapic_reads_back), TEST(base_register),
		TEST(timer_one_shot), TEST(timer_periodic), TEST(timer_deadline), TEST(messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
