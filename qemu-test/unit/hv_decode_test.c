/* SPDX-License-Identifier: MIT */
/* Tables for the VT-x exit decoder and the adjustment of controls. */
#include "hv_fakes.h"

static struct vm_exit decode(struct vmx_exit_raw raw)
{
	struct vm_exit e;

	memset(&e, 0x5a, sizeof(e));
	vmx_exit_decode(&raw, &e);
	assert_int_equal(e.raw_code, raw.reason);
	return e;
}

/* Every basic reason up to beyond the last that the SDM defines. */
static enum vm_exit_code expected_code(uint32_t reason)
{
	switch (reason) {
	case 0:
		return VM_EXIT_EXCEPTION;
	case 1:
		return VM_EXIT_EXT_INTR;
	case 2:
		return VM_EXIT_SHUTDOWN;
	case 7:
	case 8:
		return VM_EXIT_INTR_WINDOW;
	case 10:
		return VM_EXIT_CPUID;
	case 12:
		return VM_EXIT_HLT;
	case 13:	/* INVD */
	case 54:	/* WBINVD */
		return VM_EXIT_SKIP;
	case 11:	/* GETSEC */
	case 15:	/* RDPMC */
	case 17:	/* RSM */
	case 19 ... 27:	/* VMX instructions */
	case 36:	/* MWAIT */
	case 39:	/* MONITOR */
	case 50:	/* INVEPT */
	case 53:	/* INVVPID */
	case 59:	/* VMFUNC */
	case 76:	/* SEAMCALL */
	case 77:	/* TDCALL */
		return VM_EXIT_UNDEFINED;
	case 18:
		return VM_EXIT_HYPERCALL;
	case 28:
		return VM_EXIT_CR_ACCESS;
	case 29:
		return VM_EXIT_DR_ACCESS;
	case 30:
		return VM_EXIT_IO;
	case 31:
		return VM_EXIT_MSR_READ;
	case 32:
		return VM_EXIT_MSR_WRITE;
	case 48:
		return VM_EXIT_GPM_FAULT;
	case 52:
		return VM_EXIT_TIMER;
	case 55:
		return VM_EXIT_XSETBV;
	default:	/* what we never enable, and what does not exist */
		return VM_EXIT_UNKNOWN;
	}
}

static void every_reason(void **state)
{
	uint32_t r;

	(void)state;
	for (r = 0; r < 0x10000; r++) {
		struct vm_exit e = decode((struct vmx_exit_raw){
			.reason = r, .insn_len = 3,
			.intr_info = INTR_INFO_VALID | 3 << 8 | 6,
		});

		if (e.code != expected_code(r)) {
			fail_msg("reason %u: code %d", r, e.code);
		}
		/* an exception's length would be a stale one */
		assert_int_equal(e.insn_len, r == 0 ? 0 : 3);
	}
}

static void entry_failures(void **state)
{
	static const uint32_t basic[] = { 0, 1, 30, 33, 34, 48, 0xffff };
	uint32_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(basic); i++) {
		struct vm_exit e = decode((struct vmx_exit_raw){
			.reason = BIT32(31) | basic[i], .qualification = 4,
		});

		assert_int_equal(e.code, VM_EXIT_ENTRY_FAIL);
	}
	/* the machine has failed, not the state */
	assert_int_equal(decode((struct vmx_exit_raw){
		.reason = BIT32(31) | 41 }).code, VM_EXIT_MACHINE_CHECK);
}

static void io(void **state)
{
	static const struct {
		uint64_t q;
		uint16_t port;
		uint8_t size;
		bool in, string;
	} t[] = {
		{ 0x03f80000, 0x3f8, 1, false, false },
		{ 0x03f80008, 0x3f8, 1, true, false },
		{ 0x0cfc0003, 0xcfc, 4, false, false },
		{ 0x0cfc000b, 0xcfc, 4, true, false },
		{ 0xffff0001, 0xffff, 2, false, false },
		{ 0x00600049, 0x60, 2, true, false },	/* immediate */
		{ 0x01f00019, 0x1f0, 2, true, true },
		{ 0x01f00031, 0x1f0, 2, false, true },
		{ 0x000000000000003bull, 0, 4, true, true },
		{ 0xffffffff00800000ull, 0x80, 1, false, false },
	};
	uint32_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		struct vm_exit e = decode((struct vmx_exit_raw){
			.reason = 30, .qualification = t[i].q });

		assert_int_equal(e.code, VM_EXIT_IO);
		assert_int_equal(e.io.port, t[i].port);
		assert_int_equal(e.io.size, t[i].size);
		assert_int_equal(e.io.in, t[i].in);
		assert_int_equal(e.io.string, t[i].string);
	}
}

static void control_registers(void **state)
{
	static const struct {
		uint64_t q;
		uint8_t cr, gpr;
		bool write, clts, lmsw;
		uint16_t value;
	} t[] = {
		{ 0x000, 0, 0, true, false, false, 0 },
		{ 0x304, 4, 3, true, false, false, 0 },
		{ 0xf08, 8, 15, true, false, false, 0 },
		{ 0xc18, 8, 12, false, false, false, 0 },
		{ 0x413, 3, 4, false, false, false, 0 },
		{ 0x020, 0, 0, true, true, false, 0 },
		{ 0xbeef0030, 0, 0, true, false, true, 0xbeef },
		{ 0x00010070, 0, 0, true, false, true, 1 },	/* memory */
	};
	uint32_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		struct vm_exit e = decode((struct vmx_exit_raw){
			.reason = 28, .qualification = t[i].q });

		assert_int_equal(e.code, VM_EXIT_CR_ACCESS);
		assert_int_equal(e.cr.cr, t[i].cr);
		assert_int_equal(e.cr.gpr, t[i].gpr);
		assert_int_equal(e.cr.write, t[i].write);
		assert_int_equal(e.cr.clts, t[i].clts);
		assert_int_equal(e.cr.lmsw, t[i].lmsw);
		if (t[i].lmsw) {
			assert_int_equal(e.cr.lmsw_value, t[i].value);
		}
	}
}

static void ept_violations(void **state)
{
	uint64_t q;

	(void)state;
	for (q = 0; q < 0x2000; q++) {
		struct vm_exit e = decode((struct vmx_exit_raw){
			.reason = 48, .qualification = q,
			.gpa = 0x123456789abc });

		assert_int_equal(e.code, VM_EXIT_GPM_FAULT);
		assert_int_equal(e.fault.gpa.v, 0x123456789abc);
		/* only the access counts, not what would be allowed */
		assert_int_equal(e.fault.access, (q & 1 ? GPM_READ : 0) |
				 (q & 2 ? GPM_WRITE : 0) |
				 (q & 4 ? GPM_EXEC : 0));
	}
}

static void exceptions(void **state)
{
	static const struct {
		uint32_t info;
		enum vm_exit_code code;
		uint8_t vector;
		bool error;
		uint32_t len;
	} t[] = {
		{ 0x80000202, VM_EXIT_NMI, 0, false, 0 },
		{ 0x80000301, VM_EXIT_EXCEPTION, 1, false, 0 },
		{ 0x80000501, VM_EXIT_EXCEPTION, 1, false, 1 },	/* INT1 */
		{ 0x80000b11, VM_EXIT_EXCEPTION, 17, true, 0 },
		{ 0x80000312, VM_EXIT_MACHINE_CHECK, 0, false, 0 },
		{ 0x80001b11, VM_EXIT_EXCEPTION, 17, true, 0 },	/* IRET */
		{ 0x80000603, VM_EXIT_EXCEPTION, 3, false, 1 },	/* INT3 */
	};
	uint32_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		struct vm_exit e = decode((struct vmx_exit_raw){
			.reason = 0, .insn_len = 1, .intr_info = t[i].info,
			.intr_error = 0x55, .qualification = ~0ull });

		assert_int_equal(e.code, t[i].code);
		if (e.code != VM_EXIT_EXCEPTION) {
			continue;
		}
		assert_int_equal(e.exc.vector, t[i].vector);
		assert_int_equal(e.exc.has_error, t[i].error);
		assert_int_equal(e.exc.error, t[i].error ? 0x55 : 0);
		/* INT1 is no step */
		assert_int_equal(e.exc.info, t[i].len ? 0xf : 0x600f);
		assert_int_equal(e.insn_len, t[i].len);
	}
}

/* An event whose delivery has met an exit comes again, but for what takes its
 * place: a benign exception. */
static void interrupted_delivery(void **state)
{
	static const struct {
		uint32_t reason, info;
		bool again;
	} t[] = {
		{ 48, 0, true }, { 0, 0x80000202, true },	/* NMI */
		{ 0, 0x80000312, true },			/* #MC */
		{ 0, 0x80000301, false }, { 0, 0x80000501, false },
		{ 0, 0x80000b11, false },
	};
	uint32_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		struct vmx_exit_raw raw = { .reason = t[i].reason,
					    .intr_info = t[i].info };

		assert_int_equal(vmx_delivers_again(&raw, 0x80000020),
				 t[i].again);
		assert_int_equal(vmx_delivers_again(&raw, 0x80000b0e),
				 t[i].again);
		assert_false(vmx_delivers_again(&raw, 0x20));
	}
}

/* An IRET that faulted after it had let NMIs in runs again. */
static void undone_iret(void **state)
{
	struct vmx_exit_raw ept = { .reason = 48, .qualification = 0x1181 };
	struct vmx_exit_raw ac = { .reason = 0, .intr_info = 0x80001b11 };

	(void)state;
	assert_true(vmx_iret_undone(&ept, 0));
	assert_true(vmx_iret_undone(&ac, 0x20));
	/* in the middle of a delivery the bit says nothing */
	assert_false(vmx_iret_undone(&ept, 0x80000020));
	assert_false(vmx_iret_undone(&ac, 0x80000b0e));
	ept.qualification = 0x181;
	assert_false(vmx_iret_undone(&ept, 0));
	ac.intr_info = 0x80000b11;
	assert_false(vmx_iret_undone(&ac, 0));
	ac.intr_info = 0x80001b08;	/* a double fault: it was no IRET's */
	assert_false(vmx_iret_undone(&ac, 0));
	ac.reason = 30;			/* fields of another exit */
	ac.qualification = ~0ull;
	assert_false(vmx_iret_undone(&ac, 0));
}

static void external_interrupts(void **state)
{
	uint32_t vector;
	struct vm_exit e;

	(void)state;
	for (vector = 0; vector < 256; vector++) {
		e = decode((struct vmx_exit_raw){ .reason = 1,
			.intr_info = INTR_INFO_VALID | vector });
		assert_int_equal(e.vector, vector);
	}
	e = decode((struct vmx_exit_raw){ .reason = 1, .intr_info = 0x40 });
	assert_int_equal(e.vector, VM_NO_VECTOR);
}

static void controls(void **state)
{
	static const struct {
		uint32_t must, may, want, wish;
		bool ok;
		uint32_t out;
	} t[] = {
		{ 0x16, 0xff, 0x01, 0x00, true, 0x17 },
		{ 0x16, 0xff, 0x01, 0x80, true, 0x97 },
		{ 0x16, 0x7f, 0x01, 0x80, true, 0x17 },	/* wish not to be had */
		{ 0x16, 0x7e, 0x01, 0x00, false, 0x17 },	/* want neither */
		{ 0x00, 0x00, 0x00, 0x00, true, 0x00 },
		{ 0x16, 0x16, 0x00, ~0u, true, 0x16 },
		{ 0x00, ~0u, ~0u, 0x00, true, ~0u },
		{ 0x00, 0x7fffffff, 0x80000000, 0x00, false, 0x80000000 },
	};
	uint32_t i, out;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		uint64_t cap = (uint64_t)t[i].may << 32 | t[i].must;

		out = 0x5a5a5a5a;
		assert_int_equal(vmx_adjust_ctls(cap, t[i].want, t[i].wish,
						 &out), t[i].ok);
		if (t[i].ok) {
			assert_int_equal(out, t[i].out);
			assert_int_equal(out & t[i].must, t[i].must);
			assert_int_equal(out & ~t[i].may, 0);
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_reason),
		cmocka_unit_test(entry_failures),
		cmocka_unit_test(io),
		cmocka_unit_test(control_registers),
		cmocka_unit_test(ept_violations),
		cmocka_unit_test(exceptions),
		cmocka_unit_test(interrupted_delivery),
		cmocka_unit_test(undone_iret),
		cmocka_unit_test(external_interrupts),
		cmocka_unit_test(controls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
