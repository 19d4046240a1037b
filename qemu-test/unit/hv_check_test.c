/* SPDX-License-Identifier: MIT */
/*
 * The rules of a VM entry: good states violate none, and each change for the
 * worse is reported by the field that was changed.
 */
#include <stdio.h>

#include "hv_fakes.h"
#include "hypervisor/vmx/check.h"
#include "hypervisor/vmx/vmx.h"

#define AR_UNUSABLE	0x10000u
#define F(name)		CHECK_##name

static struct vmx_check_state s;
static struct vmx_check_report r;

/* For vmx_check_log(): the VMCS and MSRs are the state above. */
uint64_t vmread(enum vmcs_field f)
{
	return f == VMCS_GUEST_TR_AR ? s.f[F(GUEST_TR_AR)] :
	       f == VMCS_LINK_POINTER ? ~0ull : f == VMCS_GUEST_RFLAGS ? 2 :
	       f == VMCS_GUEST_RIP ? 0x5a5a : 0;
}

uint64_t vmx_ctl_cap(enum vmx_ctl c)
{
	(void)c;
	return ~0ull << 32;
}

uint64_t rdmsr(uint32_t msr)
{
	return msr == MSR_IA32_VMX_CR0_FIXED1 ||
	       msr == MSR_IA32_VMX_CR4_FIXED1 ? ~0ull : 0;
}

static char logged[4096];

void log_write(const char *fmt, ...)
{
	va_list ap;
	size_t at = strlen(logged);

	va_start(ap, fmt);
	vsnprintf(logged + at, sizeof(logged) - at, fmt, ap);
	va_end(ap);
	strncat(logged, "\n", sizeof(logged) - strlen(logged) - 1);
}

static void segment(uint32_t i, uint64_t selector, uint64_t limit,
		    uint64_t ar, uint64_t base)
{
	s.f[CHECK_SEG(i, SELECTOR)] = selector;
	s.f[CHECK_SEG(i, LIMIT)] = limit;
	s.f[CHECK_SEG(i, AR)] = ar;
	s.f[CHECK_SEG(i, BASE)] = base;
}

/* 64-bit mode, as vCPU 0 of a partition starts. */
static void make_long(void)
{
	static const uint32_t must[CHECK_CTLS] = { 0x16, 0x401e172, 0, 0x36dff,
						   0x11ff };
	uint32_t i;

	memset(&s, 0, sizeof(s));
	for (i = 0; i < CHECK_CTLS; i++) {
		s.ctl_cap[i] = 0xffffffffull << 32 | must[i];
		s.f[i] = must[i];
	}
	s.ctl_cap[F(PIN_BASED_CTLS)] = 0xffull << 32 | 0x16;
	s.f[F(PIN_BASED_CTLS)] |= PIN_NMI_EXIT | PIN_VIRTUAL_NMIS;
	s.f[F(PROC_BASED_CTLS)] |= PROC_SECONDARY | PROC_IO_BITMAPS |
				   PROC_MSR_BITMAPS;
	s.f[F(PROC_BASED_CTLS2)] |= PROC2_EPT | PROC2_VPID |
				    PROC2_UNRESTRICTED;
	s.f[F(ENTRY_CTLS)] |= ENTRY_LOAD_DEBUG | ENTRY_LOAD_PAT |
			      ENTRY_LOAD_EFER | ENTRY_IA32E;
	s.cr_fixed0[0] = CR0_PE | CR0_NE | CR0_PG;
	s.cr_fixed1[0] = 0xffffffff;
	s.cr_fixed0[1] = CR4_VMXE;
	s.cr_fixed1[1] = 0x3727ff;
	s.physical_bits = 40;
	s.linear_bits = 48;
	s.f[F(VPID)] = 1;
	s.f[F(EPT_POINTER)] = 0x12345000 | 0x1e;
	s.f[F(IO_BITMAP_A)] = 0x1000;
	s.f[F(IO_BITMAP_B)] = 0x2000;
	s.f[F(MSR_BITMAP)] = 0x3000;
	s.f[F(GUEST_CR0)] = CR0_PE | CR0_PG | CR0_NE | CR0_ET;
	s.f[F(GUEST_CR3)] = 0x5000;
	s.f[F(GUEST_CR4)] = CR4_PAE | CR4_VMXE;
	s.f[F(GUEST_DR7)] = DR7_RESET;
	s.f[F(GUEST_IA32_PAT)] = PAT_RESET;
	s.f[F(GUEST_IA32_EFER)] = EFER_LME | EFER_LMA;
	s.f[F(GUEST_RIP)] = 0xffffffff81000000;
	s.f[F(GUEST_RFLAGS)] = 2;
	s.f[F(LINK_POINTER)] = ~0ull;
	for (i = 0; i < SEG_LDTR; i++) {
		segment(i, 0x18, 0xffffffff, 0xc093, 0);
	}
	segment(SEG_CS, 0x10, 0xffffffff, 0xa09b, 0);
	segment(SEG_LDTR, 0, 0xffff, 0x82, 0);
	segment(SEG_TR, 0, 0xffff, 0x8b, 0);
	s.f[CHECK_SEG(SEG_GS, BASE)] = 0xffff888000000000;
}

/* Real mode, as after a start-up IPI; unrestricted guest. */
static void make_real(void)
{
	uint32_t i;

	make_long();
	s.f[F(ENTRY_CTLS)] &= ~(uint64_t)ENTRY_IA32E;
	s.f[F(GUEST_CR0)] = CR0_NE | CR0_ET;
	s.f[F(GUEST_CR4)] = CR4_VMXE;
	s.f[F(GUEST_IA32_EFER)] = 0;
	s.f[F(GUEST_RIP)] = 0;
	for (i = 0; i < SEG_LDTR; i++) {
		segment(i, 0, 0xffff, 0x93, 0);
	}
	segment(SEG_CS, 0x9900, 0xffff, 0x9b, 0x99000);
}

static void make_vm86(void)
{
	uint32_t i;

	make_real();
	s.f[F(GUEST_CR0)] |= CR0_PE | CR0_PG;
	s.f[F(GUEST_RFLAGS)] |= BIT64(17);
	for (i = 0; i < SEG_LDTR; i++) {
		segment(i, 0x1230 + i, 0xffff, 0xf3, (0x1230 + i) << 4);
	}
}

enum mode { LONG, REAL, VM86 };

static void make(enum mode m)
{
	(m == LONG ? make_long : m == REAL ? make_real : make_vm86)();
}

static void good_states(void **state)
{
	static const uint32_t segs[] = { SEG_ES, SEG_SS, SEG_DS, SEG_FS,
					 SEG_GS, SEG_LDTR };
	enum mode m;
	uint32_t i;

	(void)state;
	for (m = LONG; m <= VM86; m++) {
		make(m);
		vmx_check_rules(&s, &r);
		if (r.count) {
			fail_msg("mode %d: %u %s", m, r.v[0].field,
				 r.v[0].rule);
		}
	}
	/* null selectors in 64-bit mode; ring 3; compatibility mode */
	make_long();
	for (i = 0; i < ARRAY_SIZE(segs); i++) {
		s.f[CHECK_SEG(segs[i], AR)] = AR_UNUSABLE;
	}
	vmx_check_rules(&s, &r);
	assert_int_equal(r.count, 0);
	make_long();
	segment(SEG_CS, 0x33, 0xffffffff, 0xc0fb, 0);
	segment(SEG_SS, 0x2b, 0xffffffff, 0xc0f3, 0);
	s.f[F(GUEST_RIP)] = 0x8048000;
	s.f[F(GUEST_RFLAGS)] = 0x3f7fd7 & ~BIT64(17);
	vmx_check_rules(&s, &r);
	assert_int_equal(r.count, 0);
}

/* One field set to a value that is wrong in that mode. */
static const struct {
	enum mode mode;
	uint32_t field;
	uint64_t value;
} worse[] = {
	/* controls */
	{ LONG, F(PIN_BASED_CTLS), 0 }, { LONG, F(PIN_BASED_CTLS), 0x13e },
	{ LONG, F(EXIT_CTLS), 0 }, { LONG, F(ENTRY_CTLS), 0 },
	{ LONG, F(PROC_BASED_CTLS2), PROC2_UNRESTRICTED },
	{ LONG, F(VPID), 0 }, { LONG, F(EPT_POINTER), 0x1000 },
	{ LONG, F(EPT_POINTER), 0x101e | BIT64(40) },
	{ LONG, F(EPT_POINTER), 0x1f }, { LONG, F(EPT_POINTER), 0x9e },
	{ LONG, F(EPT_POINTER), 0x3e }, { LONG, F(EPT_POINTER), 0x18 },
	{ LONG, F(IO_BITMAP_A), 0x1001 }, { LONG, F(IO_BITMAP_B), BIT64(40) },
	{ LONG, F(MSR_BITMAP), 0x800 }, { LONG, F(CR3_TARGET_COUNT), 5 },
	/* control and debug registers, MSRs */
	{ LONG, F(GUEST_CR0), CR0_PG | CR0_NE },	/* PG without PE */
	{ LONG, F(GUEST_CR0), CR0_PE | CR0_NE },	/* IA-32e without PG */
	{ LONG, F(GUEST_CR0), CR0_PE | CR0_PG },	/* NE is fixed */
	{ LONG, F(GUEST_CR0), CR0_PE | CR0_PG | CR0_NE | BIT64(32) },
	{ LONG, F(GUEST_CR4), CR4_VMXE }, { LONG, F(GUEST_CR4), CR4_PAE },
	{ LONG, F(GUEST_CR4), CR4_PAE | CR4_VMXE | BIT64(12) },
	{ REAL, F(GUEST_CR4), CR4_VMXE | CR4_PCIDE },
	{ LONG, F(GUEST_CR3), BIT64(40) }, { LONG, F(GUEST_CR3), BIT64(63) },
	{ LONG, F(GUEST_DR7), 0x100000400 },
	{ LONG, F(GUEST_IA32_DEBUGCTL), 0x8 },
	{ LONG, F(GUEST_IA32_DEBUGCTL), BIT64(16) },
	{ LONG, F(GUEST_IA32_PAT), 0x0007040600070402 },
	{ LONG, F(GUEST_IA32_PAT), 0x0307040600070406 },
	{ LONG, F(GUEST_IA32_PAT), 0x0807040600070406 },
	{ LONG, F(GUEST_IA32_EFER), EFER_LME },
	{ LONG, F(GUEST_IA32_EFER), EFER_LMA },
	{ LONG, F(GUEST_IA32_EFER), 0x502 },
	{ LONG, F(GUEST_IA32_EFER), 0x500 | EFER_SVME },
	{ REAL, F(GUEST_IA32_EFER), EFER_LMA },
	{ VM86, F(GUEST_IA32_EFER), EFER_LME },
	{ LONG, F(GUEST_SYSENTER_ESP), BIT64(47) },
	{ LONG, F(GUEST_SYSENTER_EIP), 0x7fffffffffffffff },
	/* segments */
	{ LONG, F(GUEST_CS_AR), 0xa093 | 0x60 },	/* data, DPL 3 */
	{ LONG, F(GUEST_CS_AR), 0xa09a },	/* not accessed */
	{ LONG, F(GUEST_CS_AR), 0xa097 },	/* expand-down data */
	{ LONG, F(GUEST_CS_AR), 0xe09b },	/* D with L */
	{ LONG, F(GUEST_CS_AR), 0xa0fb },	/* DPL not SS.DPL */
	{ LONG, F(GUEST_CS_AR), 0xa0ff },	/* conforming, DPL above */
	{ LONG, F(GUEST_CS_AR), 0xa01b },	/* not present */
	{ LONG, F(GUEST_CS_AR), 0xa08b },	/* system */
	{ LONG, F(GUEST_CS_AR), 0xa19b },	/* reserved */
	{ LONG, F(GUEST_CS_AR), 0x2a09b },	/* reserved */
	{ LONG, F(GUEST_CS_AR), 0x209b },	/* G with that limit */
	{ LONG, F(GUEST_CS_BASE), BIT64(32) },
	{ LONG, F(GUEST_SS_AR), 0xc091 }, { LONG, F(GUEST_SS_AR), 0xc099 },
	{ REAL, F(GUEST_SS_AR), 0xf3 }, { LONG, F(GUEST_DS_AR), 0xc092 },
	{ LONG, F(GUEST_ES_AR), 0xc099 }, { LONG, F(GUEST_ES_AR), 0xc013 },
	{ LONG, F(GUEST_FS_AR), 0xc083 }, { LONG, F(GUEST_DS_BASE), ~0ull },
	{ LONG, F(GUEST_FS_BASE), BIT64(47) },
	{ LONG, F(GUEST_GS_BASE), BIT64(63) },
	{ LONG, F(GUEST_TR_AR), 0x83 },		/* 16-bit TSS */
	{ LONG, F(GUEST_TR_AR), 0x89 },		/* not busy */
	{ LONG, F(GUEST_TR_AR), 0x0b }, { LONG, F(GUEST_TR_AR), 0x9b },
	{ LONG, F(GUEST_TR_AR), 0x8b | AR_UNUSABLE },
	{ LONG, F(GUEST_TR_AR), 0x808b },	/* G with that limit: fine */
	{ REAL, F(GUEST_TR_AR), 0x89 }, { LONG, F(GUEST_TR_SELECTOR), 4 },
	{ LONG, F(GUEST_TR_BASE), BIT64(47) },
	{ LONG, F(GUEST_LDTR_AR), 0x8b }, { LONG, F(GUEST_LDTR_AR), 0x02 },
	{ LONG, F(GUEST_LDTR_SELECTOR), 4 },
	{ LONG, F(GUEST_LDTR_BASE), BIT64(48) },
	{ VM86, F(GUEST_CS_AR), 0x9b }, { VM86, F(GUEST_ES_LIMIT), 0xfffff },
	{ VM86, F(GUEST_SS_BASE), 0 }, { VM86, F(GUEST_LDTR_AR), 0x8b },
	/* descriptor tables, RIP, RFLAGS */
	{ LONG, F(GUEST_GDTR_BASE), BIT64(47) },
	{ LONG, F(GUEST_IDTR_BASE), BIT64(62) },
	{ LONG, F(GUEST_GDTR_LIMIT), 0x10000 },
	{ LONG, F(GUEST_IDTR_LIMIT), 0xffffffff },
	{ LONG, F(GUEST_RIP), 0x0001000000000000 },
	{ LONG, F(GUEST_RIP), 0xfffeffffffffffff },
	{ LONG, F(GUEST_RIP), 0xfeff800000000000 },
	{ REAL, F(GUEST_RIP), 0x100000000 },
	{ LONG, F(GUEST_RFLAGS), 0 }, { LONG, F(GUEST_RFLAGS), 0xa },
	{ LONG, F(GUEST_RFLAGS), 0x22 }, { LONG, F(GUEST_RFLAGS), 0x8002 },
	{ LONG, F(GUEST_RFLAGS), BIT64(22) | 2 },
	{ LONG, F(GUEST_RFLAGS), BIT64(17) | 2 },
	{ REAL, F(GUEST_RFLAGS), BIT64(17) | 2 },
	/* non-register state */
	{ LONG, F(GUEST_ACTIVITY), 4 },
	{ LONG, F(GUEST_INTERRUPTIBILITY), 0x20 },
	{ LONG, F(GUEST_INTERRUPTIBILITY), GUEST_BLOCK_STI },	/* IF=0 */
	{ LONG, F(GUEST_INTERRUPTIBILITY), 3 },
	{ LONG, F(GUEST_PENDING_DEBUG), 0x10 },
	{ LONG, F(GUEST_PENDING_DEBUG), BIT64(13) },
	{ LONG, F(GUEST_PENDING_DEBUG), BIT64(17) },
	{ LONG, F(LINK_POINTER), 0 },
};

static bool reports(uint32_t field)
{
	uint32_t i;

	vmx_check_rules(&s, &r);
	for (i = 0; i < r.count; i++) {
		if (r.v[i].field == field) {
			return true;
		}
	}
	return false;
}

/* The address behind the last, where an instruction there has left it: the next
 * fetch is #GP, not the entry refused. [SDM3 "Checks on Guest RIP, RFLAGS, and
 * SSP"] */
static void rip_behind_the_last(void **state)
{
	(void)state;
	make(LONG);
	s.f[F(GUEST_RIP)] = 0x0000800000000000;
	assert_false(reports(F(GUEST_RIP)));
	s.f[F(GUEST_RIP)] = 0xffff7fffffffffff;
	assert_false(reports(F(GUEST_RIP)));
	s.linear_bits = 57;
	s.f[F(GUEST_RIP)] = 0x0100000000000000;
	assert_false(reports(F(GUEST_RIP)));
	s.f[F(GUEST_RIP)] = 0x0200000000000000;
	assert_true(reports(F(GUEST_RIP)));
}

static void each_rule(void **state)
{
	uint32_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(worse); i++) {
		make(worse[i].mode);
		s.f[worse[i].field] = worse[i].value;
		if (worse[i].field == F(GUEST_TR_AR) &&
		    worse[i].value == 0x808b) {
			s.f[F(GUEST_TR_LIMIT)] = 0xffff0;
		}
		if (!reports(worse[i].field)) {
			fail_msg("%u: field %u, %#llx", i, worse[i].field,
				 (unsigned long long)worse[i].value);
		}
	}
}

/* Every bit that is reserved, one at a time, in all modes. */
static void reserved_bits(void **state)
{
	static const struct {
		uint32_t field;
		uint64_t bits;
	} t[] = {
		{ F(GUEST_RFLAGS), ~0x3f7fd5ull },
		{ F(GUEST_INTERRUPTIBILITY), ~0x1full },
		{ F(GUEST_PENDING_DEBUG), ~0x1500full },
		{ F(GUEST_IA32_EFER), ~0xd01ull },
		{ F(GUEST_IA32_DEBUGCTL), ~0xffc7ull },
		{ F(GUEST_DR7), ~0xffffffffull },
	};
	uint32_t i, bit;
	enum mode m;

	(void)state;
	for (m = LONG; m <= VM86; m++) {
		for (i = 0; i < ARRAY_SIZE(t); i++) {
			for (bit = 0; bit < 64; bit++) {
				make(m);
				s.f[t[i].field] ^= t[i].bits & BIT64(bit);
				assert_int_equal(reports(t[i].field),
						 t[i].bits >> bit & 1);
			}
		}
	}
}

static void injections(void **state)
{
	static const struct {
		enum mode mode;
		uint32_t info, error, len;
		uint64_t flags, block;
		uint32_t field;		/* ~0: nothing wrong */
	} t[] = {
		{ LONG, 0x800000ec, 0, 0, 0x202, 0, ~0u },
		{ LONG, 0x800000ec, 0, 0, 2, 0, F(GUEST_RFLAGS) },
		{ LONG, 0x800000ec, 0, 0, 0x202, 1,
		  F(GUEST_INTERRUPTIBILITY) },
		{ LONG, 0x800000ec, 0, 0, 0x202, 2,
		  F(GUEST_INTERRUPTIBILITY) },
		{ LONG, 0x80000202, 0, 0, 2, 0, ~0u },
		{ LONG, 0x80000203, 0, 0, 2, 0, F(ENTRY_INTR_INFO) },
		{ LONG, 0x80000202, 0, 0, 2, 8, F(GUEST_INTERRUPTIBILITY) },
		{ LONG, 0x80000202, 0, 0, 2, 2, F(GUEST_INTERRUPTIBILITY) },
		{ LONG, 0x80000b0d, 0, 0, 2, 0, ~0u },	/* #GP(0) */
		{ LONG, 0x8000030d, 0, 0, 2, 0, F(ENTRY_INTR_INFO) },
		{ REAL, 0x80000b0d, 0, 0, 2, 0, F(ENTRY_INTR_INFO) },
		{ REAL, 0x8000030d, 0, 0, 2, 0, ~0u },
		{ LONG, 0x80000306, 0, 0, 2, 0, ~0u },	/* #UD */
		{ LONG, 0x80000b06, 0, 0, 2, 0, F(ENTRY_INTR_INFO) },
		{ LONG, 0x80000b0d, 0x10000, 0, 2, 0,
		  F(ENTRY_EXCEPTION_ERROR) },
		{ LONG, 0x80000320, 0, 0, 2, 0, F(ENTRY_INTR_INFO) },
		{ LONG, 0x80000121, 0, 0, 2, 0, F(ENTRY_INTR_INFO) },
		{ LONG, 0x80001306, 0, 0, 2, 0, F(ENTRY_INTR_INFO) },
		{ LONG, 0x80000480, 0, 2, 2, 0, ~0u },	/* INT n */
		{ LONG, 0x80000480, 0, 0, 2, 0, F(ENTRY_INSN_LEN) },
		{ LONG, 0x80000480, 0, 16, 2, 0, F(ENTRY_INSN_LEN) },
		{ LONG, 0x00000480, 0, 99, 2, 0, ~0u },	/* not valid */
	};
	uint32_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		make(t[i].mode);
		s.f[F(ENTRY_INTR_INFO)] = t[i].info;
		s.f[F(ENTRY_EXCEPTION_ERROR)] = t[i].error;
		s.f[F(ENTRY_INSN_LEN)] = t[i].len;
		s.f[F(GUEST_RFLAGS)] = t[i].flags;
		s.f[F(GUEST_INTERRUPTIBILITY)] = t[i].block;
		if (t[i].field == ~0u) {
			vmx_check_rules(&s, &r);
			assert_int_equal(r.count, 0);
		} else if (!reports(t[i].field)) {
			fail_msg("event %u: %#x", i, t[i].info);
		}
	}
}

/* [XSA-308]: single step, a shadow, and no pending BS. */
static void pending_step(void **state)
{
	uint32_t i;

	(void)state;
	for (i = 0; i < 32; i++) {
		bool tf = i & 1, bs = i & 2, btf = i & 4;
		bool shadow = i & 8, halted = i & 16;

		if (shadow && halted) {
			continue;
		}
		make_long();
		s.f[F(GUEST_RFLAGS)] = 0x202 | (tf ? RFLAGS_TF : 0);
		s.f[F(GUEST_PENDING_DEBUG)] = bs ? BIT64(14) : 0;
		s.f[F(GUEST_IA32_DEBUGCTL)] = btf ? 2 : 0;
		s.f[F(GUEST_INTERRUPTIBILITY)] = shadow ? 1 + (i >> 1 & 1) :
						 0;
		s.f[F(GUEST_ACTIVITY)] = halted;
		assert_int_equal(reports(F(GUEST_PENDING_DEBUG)),
				 (shadow || halted) && bs != (tf && !btf));
	}
	make_long();
	s.f[F(GUEST_ACTIVITY)] = 1;
	s.f[F(GUEST_RFLAGS)] = 0x202;
	s.f[F(GUEST_INTERRUPTIBILITY)] = 1;
	assert_true(reports(F(GUEST_ACTIVITY)));
	s.f[F(GUEST_INTERRUPTIBILITY)] = 0;
	segment(SEG_CS, 0x33, 0xffffffff, 0xa0fb, 0);
	segment(SEG_SS, 0x2b, 0xffffffff, 0xc0f3, 0);
	assert_true(reports(F(GUEST_ACTIVITY)));
}

/* Without unrestricted guest the older, stricter rules hold. */
static void restricted(void **state)
{
	(void)state;
	make_long();
	s.f[F(PROC_BASED_CTLS2)] = PROC2_EPT | PROC2_VPID;
	vmx_check_rules(&s, &r);
	assert_int_equal(r.count, 0);
	s.f[F(GUEST_SS_SELECTOR)] = 0x1b;
	assert_true(reports(F(GUEST_SS_AR)));
	make_real();
	s.f[F(PROC_BASED_CTLS2)] = PROC2_EPT | PROC2_VPID;
	assert_true(reports(F(GUEST_CR0)));
	make_long();
	s.f[F(GUEST_CS_AR)] = 0xc093;
	s.f[F(GUEST_RIP)] = 0x1000;
	vmx_check_rules(&s, &r);
	assert_int_equal(r.count, 0);
	s.f[F(PROC_BASED_CTLS2)] = PROC2_EPT | PROC2_VPID;
	assert_true(reports(F(GUEST_CS_AR)));
}

/* A state that is wrong everywhere: the report is full, not beyond. */
static void full_report(void **state)
{
	(void)state;
	make_long();
	memset(s.f, 0xff, sizeof(s.f));
	vmx_check_rules(&s, &r);
	assert_int_equal(r.count, VMX_CHECK_MAX);
}

/* From the VMCS to the log: field by field, by name, with its value. */
static void log_lines(void **state)
{
	(void)state;
	fakes_reset();
	logged[0] = 0;
	make_long();
	s.f[F(GUEST_TR_AR)] = 0x83;
	vmx_check_log();
	assert_non_null(strstr(logged, "VM entry refused: GUEST_CS_AR is 0"));
	assert_null(strstr(logged, "GUEST_TR_AR"));	/* not IA-32e there */
	assert_null(strstr(logged, "GUEST_RIP"));
	logged[0] = 0;
	s.f[F(GUEST_TR_AR)] = 0x89;
	vmx_check_log();
	assert_non_null(strstr(logged, "VM entry refused: GUEST_TR_AR is "
			       "0x89, must be a busy TSS"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_states),
		cmocka_unit_test(each_rule),
		cmocka_unit_test(rip_behind_the_last),
		cmocka_unit_test(reserved_bits),
		cmocka_unit_test(injections),
		cmocka_unit_test(pending_step),
		cmocka_unit_test(restricted),
		cmocka_unit_test(full_report),
		cmocka_unit_test(log_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
