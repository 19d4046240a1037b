/* SPDX-License-Identifier: MIT */
/*
 * A vCPU between its runs: waking and blocking, resets, what is due before an
 * entry, and the switch of the CPU's state: none of one vCPU's is left for
 * another.
 */
#include "hv_fakes.h"
#include "hv_interleave.h"
#include "hv_registers.h"

static struct boot_partition config;
static struct partition part;
static struct vcpu a, b;
static uint8_t area[2][PAGE_SIZE] __attribute__((aligned(64)));
static int pending;
static uint32_t accepted, lapic_resets, cpu_resets;
static bool lapic_x2;

void guest_fetch_forget(struct vcpu *v)
{
	v->fetch_va = ~0ull;
	cpu_resets++;		/* nobody else does this here */
}

static uint32_t raise_at_look;

int vlapic_pending(const struct vcpu *v)
{
	if (raise_at_look) {		/* another CPU, just now */
		vcpu_attention((struct vcpu *)(uintptr_t)v, raise_at_look);
		raise_at_look = 0;
	}
	(void)v;
	return pending;
}

void vlapic_accept(struct vcpu *v, uint8_t vector)
{
	(void)v;
	assert_int_equal(vector, pending);
	accepted++;
	pending = -1;
}

void vlapic_reset(struct vcpu *v, bool x2apic)
{
	(void)v;
	lapic_resets++;
	lapic_x2 = x2apic;
}

static int make(void **state)
{
	(void)state;
	fakes_reset();
	memset(&hw, 0, sizeof(hw));
	memset(&part, 0, sizeof(part));
	memset(area, 0, sizeof(area));
	part.config = &config;
	fake_vcpu_init(&a, &part, 0);
	fake_vcpu_init(&b, &part, 1);
	a.fpu = area[0];
	b.fpu = area[1];
	a.xcr0 = b.xcr0 = XMASK;
	a.state = b.state = VCPU_RUNNABLE;
	a.wait_deadline = b.wait_deadline = ~0ull;
	hw.xcr0 = XMASK;
	pending = -1;
	accepted = lapic_resets = cpu_resets = 0;
	return 0;
}

static void switching(void **state)
{
	(void)state;
	a.xcr0 = XCR0_X87;
	a.tsc_aux = 5;
	vcpu_switch(NULL, &a);
	assert_int_equal(hw.tsc_aux, 5);
	assert_int_equal(hw.xcr0, XCR0_X87);
	hw.xcr0 = XCR0_X87 | XCR0_SSE;	/* where XSETBV does not exit */
	hw.cr2 = hw.fpu = 0x11;
	vcpu_switch(&a, &b);
	/* all that is b's is there, nothing of a's */
	assert_int_equal(hw.cr2 | hw.fpu | hw.tsc_aux, 0);
	assert_int_equal(hw.xcr0, XMASK);
	assert_ptr_equal(fake_cpu[0].loaded, &b);
	hw.cr2 = hw.fpu = 0x22;
	vcpu_switch(&b, &a);
	assert_int_equal(hw.cr2, 0x11);
	assert_int_equal(hw.fpu, 0x11);
	assert_int_equal(hw.tsc_aux, 5);
	assert_int_equal(hw.xcr0, XCR0_X87 | XCR0_SSE);
	vcpu_switch(&a, &a);
	assert_int_equal(b.cr2, 0x22);
	/* what XRSTOR does not load on some processors is not a's to see */
	cpu_keeps_x87_pointers = true;
	hw.x87_pointers = 0x401000;
	vcpu_switch(&a, &b);
	assert_int_equal(hw.x87_pointers, 0);
	vcpu_switch(&b, &a);
	assert_int_equal(hw.fpu, 0x11);
	cpu_keeps_x87_pointers = false;
	/* what is there already is not written again */
	a.tsc_aux = writes = 0;
	vcpu_switch(&a, &b);
	vcpu_switch(&b, &a);
	assert_int_equal(writes, 1);
}

/* Debug registers are loaded and saved for who uses them; whose are not in the
 * CPU exits. */
static void debug_registers(void **state)
{
	(void)state;
	vcpu_switch(NULL, &a);
	memset(hw.dr, 0x33, sizeof(hw.dr));	/* somebody's */
	vcpu_switch(&a, &b);
	vcpu_switch(&b, &a);
	assert_int_equal(a.dr[0] | b.dr[0] | a.dr6, 0);
	fake.reg[VCPU_DR_EXITS] = true;
	a.dr[3] = 7;
	vcpu_load_dr(&a);
	assert_false(fake.reg[VCPU_DR_EXITS]);
	assert_int_equal(hw.dr[0] | hw.dr[1] | hw.dr[2] | hw.dr[6], 0);
	assert_int_equal(hw.dr[3], 7);
	memset(hw.dr, 0x11, sizeof(hw.dr));
	vcpu_load_dr(&a);			/* they are its own already */
	assert_int_equal(hw.dr[3], 0x1111111111111111);
	/* saved, and from then on they exit */
	vcpu_switch(&a, &b);
	assert_true(fake.reg[VCPU_DR_EXITS]);
	assert_int_equal(a.dr[0] & a.dr[1] & a.dr[2] & a.dr[3] & a.dr6,
			 0x1111111111111111);
	memset(hw.dr, 0x22, sizeof(hw.dr));
	vcpu_switch(&b, &a);
	assert_true(fake.reg[VCPU_DR_EXITS]);
	vcpu_load_dr(&a);
	/* breakpoints that are on are on from the first instruction */
	fake.reg[VCPU_DR7] = DR7_RESET | BIT64(2);
	vcpu_switch(&a, &b);
	memset(hw.dr, 0x22, sizeof(hw.dr));
	vcpu_switch(&b, &a);
	assert_false(fake.reg[VCPU_DR_EXITS]);
	assert_int_equal(hw.dr[1] & hw.dr[6], 0x1111111111111111);
	/* until they are off again */
	fake.reg[VCPU_DR7] = DR7_RESET;
	vcpu_switch(&a, &b);
	vcpu_switch(&b, &a);
	assert_true(fake.reg[VCPU_DR_EXITS]);
}

static void runs_at_once(void **state)
{
	(void)state;
	assert_true(vcpu_prepare(&a));
	assert_int_equal(fake.injected, 0);
}

static void interrupts(void **state)
{
	(void)state;
	pending = 0x55;
	a.attention = VCPU_ATT_INTR;
	assert_true(vcpu_prepare(&a));
	assert_int_equal(fake.injected, 1);
	assert_int_equal(fake.event.type, VM_EVENT_INTR);
	assert_int_equal(fake.event.vector, 0x55);
	assert_int_equal(accepted, 1);
	assert_int_equal(fake.windows, 0);
	/* it cannot be taken now: it stays, and a window is asked for */
	pending = 0x66;
	a.attention = VCPU_ATT_INTR;
	fake.inject_refused = true;
	assert_true(vcpu_prepare(&a));
	assert_int_equal(accepted, 1);
	assert_int_equal(fake.windows, 1);
	/* a mere switch looks at nothing: the bit would say so */
	pending = 0x77;
	fake.inject_refused = false;
	a.attention = 0;
	this_cpu()->loaded = NULL;
	assert_true(vcpu_prepare(&a));
	assert_int_equal(accepted, 1);
	/* with HC_WAIT that blocks, it is for the run after */
	a.attention = VCPU_ATT_INTR | VCPU_ATT_WAIT;
	a.wait_deadline = ~0ull;
	assert_false(vcpu_prepare(&a));
	assert_int_equal(accepted, 1);
	a.state = VCPU_RUNNABLE;
	part.events = 1;
	assert_true(vcpu_prepare(&a));
	assert_int_equal(accepted, 2);
	fake.inject_refused = true;
	/* an NMI that is not taken is not lost, nor in the way of the entry */
	pending = -1;
	a.attention = VCPU_ATT_NMI;
	assert_true(vcpu_prepare(&a));
	assert_int_equal(a.attention, 0);
	assert_int_equal(a.kept, VCPU_ATT_NMI);
	fake.inject_refused = false;
	assert_true(vcpu_prepare(&a));
	assert_int_equal(fake.event.type, VM_EVENT_NMI);
	assert_int_equal(a.attention, 0);
	assert_int_equal(a.kept, 0);
	/* nor with HC_WAIT that blocks; interrupts are looked at after it */
	fake.event.type = VM_EVENT_INTR;
	a.attention = VCPU_ATT_NMI | VCPU_ATT_WAIT;
	assert_false(vcpu_prepare(&a));
	assert_int_equal(fake.event.type, VM_EVENT_NMI);
	assert_int_equal(a.attention, VCPU_ATT_INTR | VCPU_ATT_WAIT);
}

static void halting(void **state)
{
	(void)state;
	a.halted = a.halt_if = true;
	assert_false(vcpu_prepare(&a));
	assert_int_equal(a.state, VCPU_HALTED);
	pending = 0x40;
	vcpu_attention(&a, VCPU_ATT_INTR);
	assert_int_equal(a.state, VCPU_RUNNABLE);
	assert_true(vcpu_prepare(&a));
	assert_false(a.halted);
	assert_int_equal(fake.event.vector, 0x40);
	/* HLT with interrupts off: only an NMI ends it */
	a.halted = true;
	a.halt_if = false;
	pending = 0x40;
	a.attention = VCPU_ATT_INTR;
	assert_false(vcpu_prepare(&a));
	vcpu_attention(&a, VCPU_ATT_NMI);
	assert_true(vcpu_prepare(&a));
	assert_int_equal(a.state, VCPU_RUNNABLE);
	/* an NMI between the last look and the halt wakes it as well */
	a.halted = a.halt_if = true;
	pending = -1;
	raise_at_look = VCPU_ATT_NMI;
	assert_false(vcpu_prepare(&a));
	assert_int_equal(a.state, VCPU_RUNNABLE);
	assert_true(vcpu_prepare(&a));
	assert_false(a.halted);
}

/* Another CPU raises bits: one interrupt, and only if v is in its run loop. */
static void raising(void **state)
{
	(void)state;
	a.cpu = &fake_cpu[1];
	a.state = VCPU_RUNNABLE;
	vcpu_attention(&a, VCPU_ATT_INTR);
	assert_int_equal(a.attention, VCPU_ATT_INTR);
	assert_int_equal(fake.interrupts + fake.kicks, 0);
	a.attention = 0;
	a.running = 1;
	vcpu_attention(&a, VCPU_ATT_INTR);
	assert_int_equal(fake.interrupts, 1);
	vcpu_attention(&a, VCPU_ATT_INTR);
	assert_int_equal(fake.interrupts, 1);
	vcpu_attention(&a, VCPU_ATT_NMI);
	assert_int_equal(fake.interrupts, 2);
	assert_int_equal(a.attention, VCPU_ATT_INTR | VCPU_ATT_NMI);
	/* halted: its CPU must look at its queue, whoever raised it before */
	a.running = 0;
	a.state = VCPU_HALTED;
	assert_int_equal(fake.kicks, 0);
	vcpu_attention(&a, VCPU_ATT_INTR);
	assert_int_equal(a.state, VCPU_RUNNABLE);
	assert_int_equal(fake.kicks, 1);
}

static void waiting(void **state)
{
	(void)state;
	/* nothing there: it blocks, and an event wakes it */
	a.attention = VCPU_ATT_WAIT;
	a.wait_deadline = fake.tsc + 1000;
	a.regs.rdi = 99;
	assert_false(vcpu_prepare(&a));
	assert_int_equal(a.state, VCPU_WAITING);
	part.events = 0x30;
	vcpu_wake(&a, VCPU_WAITING, 0);
	assert_true(vcpu_prepare(&a));
	assert_int_equal(a.regs.rdi, 0x30);
	assert_int_equal(a.regs.rax, HC_OK);
	assert_int_equal(part.events, 0);
	/* its time is over, or it never blocks: if it was before others that is
	 * over too, and then it is told what has come meanwhile */
	for (uint32_t i = 0; i < 4; i++) {
		a.attention = VCPU_ATT_WAIT;
		a.wait_deadline = i & 1 ? fake.tsc : 0;
		a.payer = &b;
		a.regs.rdi = 99;
		assert_false(vcpu_prepare(&a));
		assert_int_equal(a.state, VCPU_RUNNABLE);
		assert_ptr_not_equal(a.payer, &b);
		assert_int_equal(a.regs.rdi, 99);
		part.events = i & 2 ? 0x40 : 0;
		assert_true(vcpu_prepare(&a));
		assert_int_equal(a.regs.rdi, i & 2 ? 0x40 : 0);
		assert_int_equal(part.events, 0);
	}
	/* an event leaves it before others, once */
	a.attention = VCPU_ATT_WAIT;
	a.wait_deadline = fake.tsc + 1000;
	a.payer = &b;
	a.told = false;
	part.events = 1;
	assert_true(vcpu_prepare(&a));
	assert_ptr_equal(a.payer, &b);
	assert_int_equal(a.regs.rdi, 1);
	a.attention = VCPU_ATT_WAIT;
	part.events = 2;
	assert_false(vcpu_prepare(&a));
	assert_int_equal(a.state, VCPU_RUNNABLE);
	assert_ptr_not_equal(a.payer, &b);
	assert_true(vcpu_prepare(&a));
	assert_int_equal(a.regs.rdi, 2);
	/* nothing does not */
	a.attention = VCPU_ATT_WAIT;
	a.wait_deadline = fake.tsc + 1000;
	assert_false(vcpu_prepare(&a));
	assert_int_equal(a.state, VCPU_WAITING);
	assert_ptr_not_equal(a.payer, &b);
	/* of a remote call, so it takes no lock */
	assert_int_equal(fake.locks, 0);
}

static void ioreq_done(void **state)
{
	static const struct {
		uint32_t size;
		bool in;
		uint64_t rax;
	} t[] = {
		{ 1, true, 0x11223344556677ff }, { 2, true, 0x112233445566eeff },
		{ 4, true, 0xccddeeff }, { 1, false, 0x1122334455667788 },
		{ 4, false, 0x1122334455667788 },
	};
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		make(state);
		a.regs.rax = 0x1122334455667788;
		a.ioreq = (struct ioreq){ .rip = 0x4000, .insn_len = 2,
			.value = 0xffffffffccddeeff,	/* more than asked */
			.word = 0x3f8 | t[i].size << 16 |
				(t[i].in ? HC_IOREQ_IN : 0) };
		a.attention = VCPU_ATT_IOREQ;
		vcpu_switch(NULL, &b);
		assert_true(vcpu_prepare(&a));
		assert_int_equal(a.regs.rax, t[i].rax);
		assert_int_equal(fake.advanced, 2);
		assert_int_equal(fake.reg[VCPU_RIP], 0x4002);
		/* a single step there changes the CPU's debug registers */
		assert_ptr_equal(fake.advanced_as, &a);
	}
}

static void resets(void **state)
{
	uint32_t i;

	(void)state;
	/* INIT: it waits for a SIPI, whatever it did */
	b.attention = VCPU_ATT_INIT;
	b.halted = true;
	assert_false(vcpu_prepare(&b));
	assert_int_equal(b.state, VCPU_WAIT_SIPI);
	assert_int_equal(lapic_resets, 1);
	/* SIPI: nothing of its former life is left */
	memset(&b.regs, 0xff, sizeof(b.regs));
	memset(b.fpu, 0xff, PAGE_SIZE);
	b.cr2 = b.dr[0] = b.tsc_aux = ~0ull;
	b.dr_armed = true;
	b.start.kind = VCPU_RESET_SIPI;
	vcpu_wake(&b, VCPU_WAIT_SIPI, VCPU_ATT_RESET);
	assert_true(vcpu_prepare(&b));
	assert_false(b.halted);
	assert_int_equal(b.regs.rbx | b.regs.rsi | b.regs.r15, 0);
	assert_int_equal(hw.cr2 | b.dr[0] | hw.tsc_aux, 0);
	assert_false(b.dr_armed || b.dr_loaded);
	assert_int_equal(b.xcr0, XCR0_X87);
	assert_int_equal(hw.xcr0, XCR0_X87);
	/* of the XSAVE area only MXCSR has a value: all states are initial */
	assert_int_equal(((uint32_t *)b.fpu)[6], 0x1f80);
	((uint32_t *)b.fpu)[6] = 0;
	for (i = 0; i < PAGE_SIZE / 4; i++) {
		assert_int_equal(((uint32_t *)b.fpu)[i], 0);
	}
	/* and of what the CPU still holds, which is not saved over it */
	hw.cr2 = hw.fpu = 0x33;
	b.fetch_va = 0x1000;
	b.attention = VCPU_ATT_INIT | VCPU_ATT_RESET;
	assert_true(vcpu_prepare(&b));
	assert_int_equal(hw.cr2 | hw.fpu | b.cr2, 0);
	assert_int_equal(b.fetch_va, ~0ull);
	/* a start in long mode, its LAPIC in x2APIC mode */
	a.start.kind = VCPU_RESET_LONG;
	a.start.rsi = 0x1234;
	a.attention = VCPU_ATT_RESET;
	assert_true(vcpu_prepare(&a));
	assert_int_equal(a.regs.rsi, 0x1234);
	assert_int_equal(hw.xcr0, XMASK);
	assert_true(lapic_x2);
}

/* INIT and SIPI while the host partition answers an access: the answer is
 * for a life that has ended. */
static void reset_under_ioreq(void **state)
{
	(void)state;
	b.ioreq = (struct ioreq){ .word = 0x3f8 | 1 << 16 | HC_IOREQ_IN,
				  .value = 0xff, .insn_len = 2 };
	b.start.kind = VCPU_RESET_SIPI;
	b.attention = VCPU_ATT_INIT | VCPU_ATT_RESET | VCPU_ATT_IOREQ |
		      VCPU_ATT_NMI;
	assert_true(vcpu_prepare(&b));
	assert_int_equal(fake.advanced, 0);
	assert_int_equal(b.regs.rax, 0);
	assert_int_equal(fake.injected, 0);
}

static void prepare_b(void)
{
	(void)vcpu_prepare(&b);
}

static void sipi_to_b(void)
{
	vcpu_sipi(&b, 8);
}

static void sipis_to_b(void)
{
	vcpu_sipi(&b, 8);
	vcpu_sipi(&b, 8);
}

static void init_to_b(void)
{
	vcpu_attention(&b, VCPU_ATT_INIT);
}

/* As the scheduler does. */
static void settle_b(void)
{
	while (b.state == VCPU_RUNNABLE && b.attention) {
		prepare_b();
	}
}

/* A start-up IPI that meets the INIT before it on its way: the vCPU starts
 * once, whichever is first at each point, and so with the second one that
 * everybody sends. */
static void sipi_meets_init(void **state)
{
	uint32_t n, kind;
	bool more;

	for (kind = 0; kind < 2; kind++) {
		for (n = 1, more = true; more; n++) {
			make(state);
			b.attention = VCPU_ATT_INIT;
			more = interleave(kind ? sipis_to_b : sipi_to_b,
					  prepare_b, n);
			settle_b();
			assert_int_equal(cpu_resets, 1);
			assert_int_equal(b.state, VCPU_RUNNABLE);
			assert_int_equal(b.start.sipi_vector, 8);
		}
		assert_true(n > 10);
	}
}

/* An INIT while the vCPU's CPU works at something else. */
static void init_meets_prepare(void **state)
{
	uint32_t n;

	for (n = 1;; n++) {
		make(state);
		b.attention = VCPU_ATT_INTR;
		if (!interleave(prepare_b, init_to_b, n)) {
			break;
		}
		settle_b();
		assert_int_equal(b.state, VCPU_WAIT_SIPI);
		assert_int_equal(cpu_resets, 0);
		sipis_to_b();
		settle_b();
		assert_int_equal(b.state, VCPU_RUNNABLE);
		assert_int_equal(cpu_resets, 1);
	}
	assert_true(n > 10);
}

static void exceptions(void **state)
{
	(void)state;
	vcpu_inject_gp(&a);
	assert_int_equal(fake.event.vector, X86_EXC_GP);
	assert_true(fake.event.has_error);
	/* none in real mode: an entry with one is refused */
	fake.reg[VCPU_CR0] = 0;
	vcpu_inject_gp(&a);
	assert_false(fake.event.has_error);
	vcpu_inject_ud(&a);
	assert_false(fake.event.has_error);
	/* not deliverable: the partition's end */
	fake.inject_refused = true;
	vcpu_inject_ud(&a);
	assert_ptr_equal(fake.killed, &a);
	assert_int_equal(fake.lock_depth, 0);
}

#define TEST(f)	cmocka_unit_test_setup(f, make)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(switching), TEST(debug_registers), TEST(runs_at_once),
		TEST(interrupts),
		TEST(halting), TEST(waiting), TEST(ioreq_done), TEST(resets),
		TEST(reset_under_ioreq), TEST(exceptions), TEST(raising),
		TEST(sipi_meets_init), TEST(init_meets_prepare),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
