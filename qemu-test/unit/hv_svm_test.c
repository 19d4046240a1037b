/* SPDX-License-Identifier: MIT */
/*
 * The AMD-V backend's pure parts: exit decoding, the instruction table, the
 * rules of VMRUN.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "hypervisor/include/x86.h"
#include "hypervisor/svm/svm.h"

static struct vm_exit decode(uint64_t code, uint64_t info1, uint64_t info2)
{
	const struct vmcb b = {
		.exitcode = code, .exitinfo1 = info1, .exitinfo2 = info2,
	};
	struct vm_exit e;

	memset(&e, 0xa5, sizeof(e));
	svm_exit_decode(&b, &e);
	if (e.code == VM_EXIT_UNKNOWN || e.code == VM_EXIT_ENTRY_FAIL) {
		assert_int_equal(e.raw_code, code);
	}
	assert_int_equal(e.insn_len, 0);
	return e;
}

static void test_simple_codes(void **state)
{
	static const struct {
		uint64_t code;
		enum vm_exit_code want;
	} table[] = {
		{ 0x61, VM_EXIT_NMI }, { 0x64, VM_EXIT_INTR_WINDOW },
		{ 0x72, VM_EXIT_CPUID }, { 0x78, VM_EXIT_HLT },
		{ 0x7f, VM_EXIT_SHUTDOWN }, { 0x81, VM_EXIT_HYPERCALL },
		{ 0x8d, VM_EXIT_XSETBV }, { 0x76, VM_EXIT_SKIP },
		{ 0x89, VM_EXIT_SKIP }, { 0x6f, VM_EXIT_UNDEFINED },
		{ 0x73, VM_EXIT_UNDEFINED }, { 0x7a, VM_EXIT_UNDEFINED },
		{ 0x80, VM_EXIT_UNDEFINED }, { 0x82, VM_EXIT_UNDEFINED },
		{ 0x83, VM_EXIT_UNDEFINED }, { 0x84, VM_EXIT_UNDEFINED },
		{ 0x85, VM_EXIT_UNDEFINED }, { 0x86, VM_EXIT_UNDEFINED },
		{ 0x8a, VM_EXIT_UNDEFINED }, { 0x8b, VM_EXIT_UNDEFINED },
		{ 0x8c, VM_EXIT_UNDEFINED }, { 0x8e, VM_EXIT_UNDEFINED },
		{ 0x7d, VM_EXIT_UNKNOWN },
		{ 0x63, VM_EXIT_UNKNOWN }, { 0x20, VM_EXIT_DR_ACCESS },
		{ 0x3f, VM_EXIT_DR_ACCESS }, { 0x60, VM_EXIT_EXT_INTR },
		{ 0x401, VM_EXIT_UNKNOWN }, { 0xffffffff, VM_EXIT_ENTRY_FAIL },
		{ ~0ull, VM_EXIT_ENTRY_FAIL }, { 0x52, VM_EXIT_MACHINE_CHECK },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		assert_int_equal(decode(table[i].code, 0, 0).code,
				 table[i].want);
	}
}

static void test_operands(void **state)
{
	struct vm_exit e = decode(0x7b, 0x03f80000 | 1 << 4 | 1, 0x1234);

	(void)state;
	assert_int_equal(e.code, VM_EXIT_IO);
	assert_int_equal(e.io.port, 0x3f8);
	assert_int_equal(e.io.size, 1);
	assert_true(e.io.in && !e.io.string);
	e = decode(0x7b, 0xffff0000u | 1 << 6 | 1 << 2 | 1 << 3, 0);
	assert_int_equal(e.io.port, 0xffff);
	assert_int_equal(e.io.size, 4);
	assert_true(!e.io.in && e.io.string);
	assert_int_equal(decode(0x7c, 0, 0).code, VM_EXIT_MSR_READ);
	assert_int_equal(decode(0x7c, 1, 0).code, VM_EXIT_MSR_WRITE);
	e = decode(0x60, 0, 0);
	assert_int_equal(e.code, VM_EXIT_EXT_INTR);
	assert_int_equal(e.vector, VM_NO_VECTOR);
	e = decode(0x400, NPF_PRESENT | NPF_WRITE, 0xfee00300);
	assert_int_equal(e.code, VM_EXIT_GPM_FAULT);
	assert_int_equal(e.fault.gpa.v, 0xfee00300);
	assert_int_equal(e.fault.access, GPM_WRITE);
	assert_int_equal(decode(0x400, 0, 0).fault.access, GPM_READ);
	assert_int_equal(decode(0x400, NPF_FETCH, 0).fault.access, GPM_EXEC);
	e = decode(0x51, 0, 0);
	assert_int_equal(e.code, VM_EXIT_EXCEPTION);
	assert_int_equal(e.exc.vector, X86_EXC_AC);
	assert_true(e.exc.has_error);
	e = decode(0x41, 0, 0);
	assert_int_equal(e.exc.vector, X86_EXC_DB);
	assert_false(e.exc.has_error);
	e = decode(0x18, 0, 0);
	assert_int_equal(e.code, VM_EXIT_CR_ACCESS);
	assert_int_equal(e.cr.cr, 8);
	assert_true(e.cr.write);
	assert_false(decode(0x08, 0, 0).cr.write);
}

struct bytes {
	uint64_t code, info1;
	uint8_t b[8];
	uint32_t n;
	bool long_mode;
	uint32_t length;	/* 0: no match */
	uint8_t gpr;
};

static const struct bytes insns[] = {
	{ 0x72, 0, { 0x0f, 0xa2 }, 2, true, 2, 0 },
	{ 0x72, 0, { 0xf3, 0x48, 0x0f, 0xa2 }, 4, true, 4, 0 },
	{ 0x72, 0, { 0x48, 0x0f, 0xa2 }, 3, false, 0, 0 },	/* DEC EAX */
	/* prefixes in any order; of REX the last, if nothing follows it */
	{ 0x72, 0, { 0x40, 0x40, 0x0f, 0xa2 }, 4, true, 4, 0 },
	{ 0x72, 0, { 0x4f, 0x66, 0x2e, 0x48, 0x0f, 0xa2 }, 6, true, 6, 0 },
	{ 0x72, 0, { 0x66, 0xf3, 0x67, 0x0f, 0xa2 }, 5, false, 5, 0 },
	{ 0x10, 0, { 0x40, 0x41, 0x0f, 0x22, 0xc3 }, 5, true, 5, 11 },
	{ 0x10, 0, { 0x41, 0x40, 0x0f, 0x22, 0xc3 }, 5, true, 5, 3 },
	{ 0x10, 0, { 0x41, 0x66, 0x0f, 0x22, 0xc3 }, 5, true, 5, 3 },
	{ 0x78, 0, { 0x41, 0x2e, 0x48, 0xf4 }, 4, true, 4, 0 },
	{ 0x72, 0, { 0x0f }, 1, true, 0, 0 },
	{ 0x72, 0, { 0x0f, 0xa3 }, 2, true, 0, 0 },
	{ 0x78, 0, { 0xf4 }, 1, true, 1, 0 },
	{ 0x7c, 0, { 0x0f, 0x32 }, 2, true, 2, 0 },
	{ 0x7c, 1, { 0x0f, 0x30 }, 2, true, 2, 0 },
	{ 0x7c, 0, { 0x0f, 0x30 }, 2, true, 0, 0 },
	{ 0x81, 0, { 0x0f, 0x01, 0xd9 }, 3, true, 3, 0 },
	{ 0x81, 0, { 0x0f, 0x01, 0xc1 }, 3, true, 0, 0 },	/* VMCALL */
	{ 0x8d, 0, { 0x0f, 0x01, 0xd1 }, 3, true, 3, 0 },
	{ 0x10, 0, { 0x0f, 0x22, 0xc3 }, 3, true, 3, 3 },
	{ 0x14, 0, { 0x41, 0x0f, 0x22, 0xe7 }, 4, true, 4, 15 },
	{ 0x10, 0, { 0x0f, 0x06 }, 2, true, 2, 0 },
	{ 0x10, 0, { 0x0f, 0x01, 0xf0 }, 3, true, 3, 0 },
	{ 0x10, 0, { 0x0f, 0x01, 0x30 }, 3, true, 0, 0 },	/* LMSW m16 */
	{ 0x08, 0, { 0x0f, 0x20, 0xc1 }, 3, true, 3, 1 },
	{ 0x04, 0, { 0x0f, 0x20, 0xe2 }, 3, true, 3, 2 },
	{ 0x89, 0, { 0x0f, 0x08 }, 2, true, 2, 0 },
	{ 0x72, 0, { 0x66, 0x66, 0x66, 0x66 }, 4, true, 0, 0 },
	{ 0x72, 0, { 0 }, 0, true, 0, 0 },
};

/* n bytes of t, and nothing may be read behind them: the sanitizer watches. */
static bool match(const struct bytes *t, uint32_t n, struct svm_insn *out)
{
	uint8_t room[15];

	memcpy(&room[15 - n], t->b, n);
	return svm_insn_match(t->code, t->info1, &room[15 - n], n, t->long_mode,
			      out);
}

static void test_instruction_table(void **state)
{
	uint32_t n;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(insns) / sizeof(insns[0]); i++) {
		const struct bytes *t = &insns[i];
		struct svm_insn out;
		bool found = match(t, (uint32_t)t->n, &out);

		assert_int_equal(found, t->length != 0);
		if (found) {
			assert_int_equal(out.length, t->length);
			assert_int_equal(out.gpr, t->gpr);
		}
		/* less of it is nothing */
		for (n = 0; n < t->length; n++) {
			assert_false(match(t, n, &out));
		}
	}
}

static bool again(uint64_t exit, uint32_t info)
{
	const struct vmcb b = { .exitcode = exit, .exitintinfo = info };

	return svm_delivers_again(&b);
}

/* What a process can break off a delivery with must not lose the event; a
 * second benign exception takes its place. */
static void test_interrupted_delivery(void **state)
{
	static const uint32_t infos[] = { 0, 2, 3 };	/* types */
	uint32_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(infos); i++) {
		uint32_t info = EVENTINJ_VALID | infos[i] << 8 | 14;
		uint64_t exit = SVM_EXIT_NPF;

		assert_true(again(exit, info));
		assert_false(again(exit, info & ~EVENTINJ_VALID));
		exit = 0x40 + X86_EXC_MC;
		assert_true(again(exit, info));
		exit = 0x40 + X86_EXC_DB;
		assert_false(again(exit, info));
		exit = 0x40 + X86_EXC_AC;
		assert_false(again(exit, info));
		exit = SVM_EXIT_NPF;
		info = EVENTINJ_VALID | EVENT_TYPE_SOFT << 8 | 0x80;
		assert_false(again(exit, info));
		/* INT3 and INTO run again; no external interrupt is theirs */
		info = EVENTINJ_VALID | infos[i] << 8;
		assert_int_equal(again(exit, info | X86_EXC_BP),
				 infos[i] != VM_EVENT_EXCEPTION);
		assert_int_equal(again(exit, info | X86_EXC_OF),
				 infos[i] != VM_EVENT_EXCEPTION);
	}
}

static struct vmcb good;

static int make_good(void **state)
{
	(void)state;
	memset(&good, 0, sizeof(good));
	good.intercept_misc2 = MISC2(VMRUN);
	good.guest_asid = 1;
	good.np_enable = 1;
	good.n_cr3 = 0x1000;
	good.efer = EFER_SVME | EFER_LME | EFER_LMA;
	good.cr0 = CR0_PG | CR0_PE | CR0_ET;
	good.cr4 = CR4_PAE;
	good.cs.attrib = 0x0a9b;
	good.dr6 = DR6_RESET;
	good.dr7 = DR7_RESET;
	return 0;
}

#define REFUSED(change, word)						\
	do {								\
		struct vmcb b = good;					\
		const char *why;					\
		uint64_t value;						\
		b.change;						\
		why = svm_check_vmcb(&b, 40, 16, &value);		\
		assert_non_null(why);					\
		assert_non_null(strstr(why, word));			\
	} while (0)

static void test_vmrun_rules(void **state)
{
	uint64_t value;

	(void)state;
	assert_null(svm_check_vmcb(&good, 40, 16, &value));
	REFUSED(efer &= ~EFER_SVME, "SVME");
	REFUSED(efer |= BIT64(20), "EFER");
	REFUSED(cr0 |= CR0_NW, "CR0.NW");
	REFUSED(cr0 |= BIT64(32), "CR0[63:32]");
	REFUSED(cr0 &= ~CR0_PE, "CR0.PE");
	REFUSED(cr4 = 0, "CR4.PAE");
	REFUSED(cr4 |= BIT64(40), "CR4");
	REFUSED(cr3 = BIT64(40), "CR3");
	REFUSED(dr6 |= BIT64(32), "DR6");
	REFUSED(dr7 |= BIT64(63), "DR7");
	REFUSED(cs.attrib |= BIT32(10), "CS.L");
	REFUSED(intercept_misc2 = 0, "VMRUN intercept");
	REFUSED(guest_asid = 0, "ASID");
	REFUSED(guest_asid = 16, "ASID");
	REFUSED(iopm_base_pa = BIT64(40) - 0x1000, "I/O");
	REFUSED(msrpm_base_pa = BIT64(40), "MSR");
	REFUSED(n_cr3 = 0x1001, "nCR3");
	REFUSED(eventinj = EVENTINJ_VALID | 1u << 8, "TYPE");
	REFUSED(eventinj = EVENTINJ_VALID | 3u << 8 | 2, "no exception");
	REFUSED(eventinj = EVENTINJ_VALID | 3u << 8 | 32, "no exception");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_simple_codes),
		cmocka_unit_test(test_operands),
		cmocka_unit_test(test_instruction_table),
		cmocka_unit_test(test_interrupted_delivery),
		cmocka_unit_test_setup(test_vmrun_rules, make_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
