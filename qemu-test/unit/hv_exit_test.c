/* SPDX-License-Identifier: MIT */
/* What becomes of each exit: answered, forwarded, or the partition's end. */
#include "hv_fakes.h"

static struct boot_partition config[2];
static struct partition part[2];
static struct vcpu vcpu;
static struct gpm_entry entry;
static bool populated, lapic_page, msr_ok, cr_ok, xsetbv_ok, channel_port;
static bool populated_write;
static uint32_t hypercalls, vectors, cpuids;
static enum hc_reason populate_why;
static bool machine_ok;
static uint32_t executions;
static hv_status_t execute_status;

bool mc_in_guest(uint64_t *status)
{
	*status = 0xb0c0;
	return machine_ok;
}

void cpuid_emulate(struct vcpu *v)
{
	(void)v;
	cpuids++;
}

bool msr_read(struct vcpu *v, uint32_t msr, uint64_t *value)
{
	(void)v;
	*value = 0x1122334455667788ull + msr;
	return msr_ok;
}

bool msr_write(struct vcpu *v, uint32_t msr, uint64_t value)
{
	(void)v;
	assert_int_equal(msr, 0x10);
	assert_int_equal(value, 0xaabbccdd00112233);
	return msr_ok;
}

bool cr_access(struct vcpu *v, const struct vm_exit *e)
{
	(void)v;
	(void)e;
	return cr_ok;
}

bool xsetbv_emulate(struct vcpu *v)
{
	(void)v;
	return xsetbv_ok;
}

bool channel_io(struct vcpu *v, const struct vm_exit *e)
{
	(void)v;
	(void)e;
	return channel_port;
}

bool mmio_is_lapic(const struct vcpu *v, gpa_t gpa)
{
	(void)v;
	return gpa.v >> 12 == 0xfee00;
}

bool mmio_lapic(struct vcpu *v, const struct vm_exit *e)
{
	(void)v;
	(void)e;
	return lapic_page;
}

bool partition_populate(struct vcpu *v, gpa_t gpa, bool write,
			enum hc_reason *why)
{
	(void)v;
	(void)gpa;
	populated_write = write;
	assert_int_equal(fake.lock_depth, 1);
	*why = populate_why;
	return populated;
}

bool gpm_lookup(struct partition *p, gpa_t gpa, struct gpm_entry *e)
{
	(void)p;
	(void)gpa;
	*e = entry;
	return true;
}

hv_status_t gpm_split(struct partition *p, gpa_t gpa)
{
	(void)p;
	(void)gpa;
	assert_int_equal(fake.lock_depth, 1);
	executions++;
	return execute_status;
}

void irq_handle(uint32_t vector)
{
	vectors += vector;
}

void hypercall_handle(struct vcpu *v, const struct vm_exit *e)
{
	(void)v;
	(void)e;
	hypercalls++;
}

static int make(void **state)
{
	(void)state;
	fakes_reset();
	memset(part, 0, sizeof(part));
	memset(config, 0, sizeof(config));
	part[0].config = &config[0];
	part[0].flags = BOOT_PARTITION_HOST;
	part[1].config = &config[1];
	part[1].id = 1;
	part[1].state = HC_STATE_RUNNING;
	partitions[0] = &part[0];
	partitions[1] = &part[1];
	partition_count = 2;
	config[1].port_count = 1;
	config[1].ports[0] = (struct boot_port){ 0x3f8, 0x3ff,
						 BOOT_PORT_FORWARD };
	fake_vcpu_init(&vcpu, &part[1], 0);
	vcpu.state = VCPU_RUNNABLE;
	populated = lapic_page = msr_ok = cr_ok = xsetbv_ok = false;
	channel_port = false;
	hypercalls = vectors = cpuids = 0;
	populate_why = HC_REASON_GPM_FAULT;
	return 0;
}

static void take(struct vm_exit e)
{
	uint64_t count = vcpu.exits[e.code];

	e.insn_len = e.insn_len ? e.insn_len : 2;
	e.rip = 0x4567;
	exit_handle(&vcpu, &e);
	assert_int_equal(vcpu.exits[e.code], count + 1);
	assert_int_equal(fake.lock_depth, 0);
}

static void answered(void **state)
{
	take((struct vm_exit){ .code = VM_EXIT_CPUID });
	assert_int_equal(fake.advanced, 2);
	assert_int_equal(cpuids, 1);
	take((struct vm_exit){ .code = VM_EXIT_SKIP });
	assert_int_equal(fake.advanced, 4);
	take((struct vm_exit){ .code = VM_EXIT_HYPERCALL });
	assert_int_equal(hypercalls, 1);
	take((struct vm_exit){ .code = VM_EXIT_EXT_INTR, .vector = 0x41 });
	assert_int_equal(vectors, 0x41);
	take((struct vm_exit){ .code = VM_EXIT_TIMER });
	assert_int_equal(fake_cpu[0].resched, 1);
	assert_int_equal(fake.interrupt_gaps, 1);
	take((struct vm_exit){ .code = VM_EXIT_INTR_WINDOW });
	assert_int_equal(vcpu.attention, VCPU_ATT_INTR);
	take((struct vm_exit){ .code = VM_EXIT_NMI });
	assert_int_equal(fake.injected, 0);
	take((struct vm_exit){ .code = VM_EXIT_DR_ACCESS });
	assert_int_equal(fake.dr_loads, 1);
	assert_int_equal(fake.advanced, 4);	/* it runs again */
	take((struct vm_exit){ .code = VM_EXIT_UNDEFINED });
	assert_int_equal(fake.event.vector, X86_EXC_UD);
	assert_int_equal(fake.advanced, 4);
	assert_null(fake.killed);
	make(state);
	fake.reg[VCPU_RFLAGS] = RFLAGS_IF;
	take((struct vm_exit){ .code = VM_EXIT_HLT, .insn_len = 1 });
	assert_true(vcpu.halted && vcpu.halt_if);
	assert_int_equal(fake.advanced, 1);
	fake.reg[VCPU_RFLAGS] = 0;
	take((struct vm_exit){ .code = VM_EXIT_HLT, .insn_len = 1 });
	assert_false(vcpu.halt_if);
	fake.reg[VCPU_RFLAGS] = RFLAGS_TF;	/* its trap ends the halt */
	take((struct vm_exit){ .code = VM_EXIT_HLT, .insn_len = 1 });
	assert_false(vcpu.halted);
}

/* Where the policy says no: #GP, and the instruction has not happened. */
static void refused(void **state)
{
	static const enum vm_exit_code codes[] = {
		VM_EXIT_MSR_READ, VM_EXIT_MSR_WRITE, VM_EXIT_CR_ACCESS,
		VM_EXIT_XSETBV,
	};
	uint32_t i;

	(void)state;
	vcpu.regs.rcx = 0xffffffff00000010;	/* ECX counts */
	vcpu.regs.rax = 0xffffffff00112233;
	vcpu.regs.rdx = 0xffffffffaabbccdd;
	for (i = 0; i < ARRAY_SIZE(codes); i++) {
		take((struct vm_exit){ .code = codes[i] });
		assert_int_equal(fake.injected, i + 1);
		assert_int_equal(fake.event.vector, X86_EXC_GP);
		assert_true(fake.event.has_error);
		assert_int_equal(fake.advanced, 0);
		assert_int_equal(vcpu.regs.rax, 0xffffffff00112233);
		assert_int_equal(vcpu.regs.rdx, 0xffffffffaabbccdd);
	}
	msr_ok = cr_ok = xsetbv_ok = true;
	for (i = 0; i < ARRAY_SIZE(codes); i++) {
		vcpu.regs.rax = 0xffffffff00112233;
		vcpu.regs.rdx = 0xffffffffaabbccdd;
		take((struct vm_exit){ .code = codes[i] });
		assert_int_equal(fake.advanced, 2 * (i + 1));
	}
	vcpu.regs.rax = vcpu.regs.rdx = ~0ull;
	take((struct vm_exit){ .code = VM_EXIT_MSR_READ });
	assert_int_equal(vcpu.regs.rax, 0x55667798);	/* upper halves 0 */
	assert_int_equal(vcpu.regs.rdx, 0x11223344);
}

static struct vm_exit io(uint16_t port, uint8_t size, bool in)
{
	return (struct vm_exit){ .code = VM_EXIT_IO, .insn_len = 1,
		.io = { .port = port, .size = size, .in = in } };
}

static void ports_of_nobody(void **state)
{
	uint32_t port;

	(void)state;
	for (port = 0; port < 65536; port++) {
		if (port >= 0x3f8 && port <= 0x3ff) {
			continue;
		}
		vcpu.regs.rax = 0x1111111122222200;
		take(io((uint16_t)port, 1, true));
		assert_int_equal(vcpu.regs.rax, 0x11111111222222ff);
		take(io((uint16_t)port, 2, true));
		assert_int_equal(vcpu.regs.rax, 0x111111112222ffff);
		take(io((uint16_t)port, 4, true));
		assert_int_equal(vcpu.regs.rax, 0xffffffff);
		take(io((uint16_t)port, 4, false));
		assert_int_equal(vcpu.regs.rax, 0xffffffff);
	}
	assert_int_equal(vcpu.state, VCPU_RUNNABLE);
	assert_int_equal(fake.events, 0);
	/* half inside the range: nobody's */
	take(io(0x3ff, 2, true));
	take(io(0x3f7, 2, true));
	take(io(0x3f6, 4, true));
	take(io(0xffff, 4, true));
	assert_int_equal(vcpu.state, VCPU_RUNNABLE);
}

static void ports_forwarded(void **state)
{
	static const uint64_t mask[] = { 0, 0xff, 0xffff, 0, 0xffffffff };
	uint8_t size;

	for (size = 1; size <= 4; size *= 2) {
		make(state);
		vcpu.regs.rax = 0x1122334455667788;
		vcpu.ioreq.taken = true;	/* of the one before */
		take(io(0x3f8, size, size == 2));
		assert_int_equal(vcpu.state, VCPU_IOREQ);
		assert_int_equal(HC_IOREQ_PORT(vcpu.ioreq.word), 0x3f8);
		assert_int_equal(HC_IOREQ_SIZE(vcpu.ioreq.word), size);
		assert_int_equal(!!(vcpu.ioreq.word & HC_IOREQ_IN), size == 2);
		assert_int_equal(vcpu.ioreq.value,
				 0x1122334455667788 & mask[size]);
		assert_int_equal(vcpu.ioreq.rip, 0x4567);
		assert_false(vcpu.ioreq.taken);
		assert_int_equal(fake.advanced, 0);	/* when it is done */
		assert_ptr_equal(fake.event_to, &part[0]);
		assert_int_equal(fake.events, HC_EVENT_IOREQ);
	}
}

static void ports_special(void **state)
{
	struct vm_exit e = io(0x3f8, 1, true);

	(void)state;
	e.io.string = true;
	take(e);
	assert_int_equal(fake.event.vector, X86_EXC_GP);
	assert_int_equal(vcpu.state, VCPU_RUNNABLE);
	channel_port = true;
	take(io(0xc00c, 4, false));
	assert_int_equal(fake.advanced, 1);
}

static void memory(void **state)
{
	static const struct {
		bool populated, present, write, exec;
		uint32_t access;
		bool ok;
	} t[] = {
		{ false, false, false, false, GPM_READ, false },
		{ true, true, true, true, GPM_READ, true },
		{ true, true, true, true, GPM_WRITE, true },
		{ true, true, true, true, GPM_EXEC, true },
		{ true, true, false, true, GPM_READ, true },
		{ true, true, false, true, GPM_WRITE, false },
		{ true, true, false, true, GPM_READ | GPM_WRITE, false },
		{ true, true, true, false, GPM_EXEC, false },
		{ true, false, true, true, GPM_READ, false },
	};
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		struct vm_exit e = { .code = VM_EXIT_GPM_FAULT };

		make(state);
		populated = t[i].populated;
		entry = (struct gpm_entry){ .present = t[i].present,
			.write = t[i].write, .exec = t[i].exec };
		e.fault.gpa = GPA(0xabc000);
		e.fault.access = t[i].access;
		take(e);
		assert_int_equal(populated_write,
				 (t[i].access & GPM_WRITE) != 0);
		assert_ptr_equal(fake.killed, t[i].ok ? NULL : &vcpu);
		if (!t[i].ok) {
			assert_int_equal(fake.kill_reason,
					 HC_REASON_GPM_FAULT);
			assert_int_equal(fake.kill_detail, 0xabc000);
		}
		assert_int_equal(fake.advanced, 0);	/* it runs again */
	}
	/* executing a page that must be split for it, and memory runs out */
	make(state);
	populated = true;
	entry = (struct gpm_entry){ .present = true, .exec = true,
				    .split = true };
	executions = 0;
	take((struct vm_exit){ .code = VM_EXIT_GPM_FAULT });
	assert_int_equal(executions, 0);
	take((struct vm_exit){ .code = VM_EXIT_GPM_FAULT,
			       .fault.access = GPM_EXEC });
	assert_int_equal(executions, 1);
	assert_null(fake.killed);
	execute_status = HC_ENOMEM;
	take((struct vm_exit){ .code = VM_EXIT_GPM_FAULT,
			       .fault.access = GPM_EXEC });
	assert_int_equal(fake.kill_reason, HC_REASON_NO_MEMORY);
	execute_status = HC_OK;
	make(state);
	populate_why = HC_REASON_NO_MEMORY;
	take((struct vm_exit){ .code = VM_EXIT_GPM_FAULT });
	assert_int_equal(fake.kill_reason, HC_REASON_NO_MEMORY);
	make(state);
	lapic_page = true;
	take((struct vm_exit){ .code = VM_EXIT_GPM_FAULT });
	assert_null(fake.killed);
}

static struct vm_exit exception(uint8_t vector)
{
	struct vm_exit e = { .code = VM_EXIT_EXCEPTION };

	e.exc.vector = vector;
	e.exc.has_error = vector == X86_EXC_AC;
	return e;
}

/* #DB and #AC go back to the guest, all of them; but others get their turn. */
static void reflected(void **state)
{
	struct vm_exit int1 = exception(X86_EXC_DB);
	uint32_t i;

	vcpu.slice_left = 1000;
	for (i = 1; i <= 10000; i++) {
		struct vm_exit e = exception(i & 1 ? X86_EXC_DB : X86_EXC_AC);

		exit_handle(&vcpu, &e);
		assert_int_equal(fake.injected, i);
		assert_int_equal(fake.event.vector, e.exc.vector);
		assert_int_equal(fake.event.has_error, e.exc.has_error);
		assert_null(fake.killed);
		assert_int_equal(fake_cpu[0].resched, i % 100 == 0);
		assert_int_equal(vcpu.slice_left, i % 100 ? 1000 : 0);
		assert_int_equal(fake.interrupt_gaps, i / 100);
		if (fake_cpu[0].resched) {	/* its next turn */
			vcpu.fault_streak = 0;
		}
		fake_cpu[0].resched = 0;
		vcpu.slice_left = 1000;
	}
	assert_int_equal(fake.advanced, 0);
	/* an exit that nothing can be made of ends the slice at once */
	take((struct vm_exit){ .code = VM_EXIT_AGAIN });
	assert_int_equal(vcpu.slice_left, 0);
	assert_int_equal(fake_cpu[0].resched, 1);
	assert_null(fake.killed);
	make(state);
	/* INT1 is behind its #DB, a debug trap or fault has no length */
	int1.insn_len = 1;
	exit_handle(&vcpu, &int1);
	assert_int_equal(fake.advanced, 1);
	assert_int_equal(fake.injected, 1);
}

/* Another CPU's error: nothing happens. Its own: the partition's end. */
static void machine_checks(void **state)
{
	(void)state;
	machine_ok = true;
	take((struct vm_exit){ .code = VM_EXIT_MACHINE_CHECK });
	assert_null(fake.killed);
	machine_ok = false;
	take((struct vm_exit){ .code = VM_EXIT_MACHINE_CHECK });
	assert_ptr_equal(fake.killed, &vcpu);
	assert_int_equal(fake.kill_reason, HC_REASON_MACHINE_CHECK);
	assert_int_equal(fake.kill_detail, 0xb0c0);
	assert_int_equal(fake.advanced, 0);
	assert_int_equal(fake.injected, 0);
}

static void deadly(void **state)
{
	static const struct {
		enum vm_exit_code code;
		enum hc_reason reason;
		uint64_t raw;
	} t[] = {
		{ VM_EXIT_SHUTDOWN, HC_REASON_TRIPLE_FAULT, 0 },
		{ VM_EXIT_ENTRY_FAIL, HC_REASON_ENTRY_FAILED, 0x80000021 },
		{ VM_EXIT_UNKNOWN, HC_REASON_UNKNOWN_EXIT, 49 },
		{ VM_EXIT_EXCEPTION, HC_REASON_UNKNOWN_EXIT, X86_EXC_MC },
	};
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		struct vm_exit e = exception(X86_EXC_MC);

		make(state);
		e.code = t[i].code;
		e.raw_code = t[i].raw;
		take(e);
		assert_ptr_equal(fake.killed, &vcpu);
		assert_int_equal(fake.kill_reason, t[i].reason);
		assert_int_equal(fake.kill_detail, t[i].raw);
		assert_int_equal(fake.injected, 0);
		assert_int_equal(fake.advanced, 0);
	}
}

static void names(void **state)
{
	uint32_t i, k;

	(void)state;
	for (i = 0; i < VM_EXIT_COUNT; i++) {
		assert_non_null(vm_exit_names[i]);
		assert_in_range(strlen(vm_exit_names[i]), 1, 16);
		for (k = 0; k < i; k++) {
			assert_string_not_equal(vm_exit_names[i],
						vm_exit_names[k]);
		}
	}
}

#define TEST(f)	cmocka_unit_test_setup(f, make)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(answered), TEST(refused), TEST(ports_of_nobody),
		TEST(ports_forwarded), TEST(ports_special), TEST(memory),
		TEST(reflected), TEST(machine_checks), TEST(deadly), TEST(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
