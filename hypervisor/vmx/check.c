/* SPDX-License-Identifier: MIT */
/*
 * A VM entry failed: which rule is violated, by which field? The processor
 * tells only "controls" or "guest state". The rules are those of [SDM3
 * "Checks on VMX Controls and Host-State Area", "Checking and Loading Guest
 * State"] for the features that this backend uses; the simple ones are a
 * table. Not looked at: host state (ours, constant), PDPTEs, MSR lists (we
 * have none). vmx_check_rules() is pure; only vmx_check_log() touches the
 * machine.
 */
#include <hv.h>
#include <x86.h>
#include "check.h"
#include "vmx.h"

/* Segment access rights as in the VMCS. [SDM3 "Guest Register State"] */
enum {	/* access rights, and other bits that only rules look at */
	AR_S = 1 << 4, AR_P = 1 << 7, AR_L = 1 << 13, AR_D = 1 << 14,
	AR_G = 1 << 15, AR_UNUSABLE = 1 << 16,
	RFLAGS_VM = 1 << 17, DEBUGCTL_BTF = 1 << 1, PENDING_BS = 1 << 14,
};
#define AR_DPL(ar)	((ar) >> 5 & 3)
#define AR_RESERVED	0xfffe0f00ull
#define TYPE_DATA	3u	/* of CS: only with unrestricted guest */
/* #DF, #TS, #NP, #SS, #GP, #PF, #AC push an error code. */
#define PUSH_ERROR	0x00027d00u

/* Conditions under which a rule holds; several: all of them. */
enum {
	IF_IA32E = 1, IF_NOT_IA32E = 2, IF_PG = 4, IF_REAL = 8,
	IF_64BIT = 16, IF_NOT_64BIT = 32,	/* IA-32e and CS.L, or not */
	IF_DEBUG = 64, IF_PAT = 128, IF_EFER = 256,	/* loaded */
	IF_VPID = 512, IF_EPT = 1024, IF_IO = 2048, IF_MSR = 4096,
	IF_INTR = 8192,				/* an interrupt is injected */
};

/* What a rule demands of its field; arg: the bits, or the largest value. */
enum rule_kind { BITS_0, BITS_1, CANONICAL, LINEAR, PHYSICAL, PAT_TYPES,
		 NOT_0, AT_MOST };

/* Completes "must be"; log_write() adds arg where it is not 0. */
static const char *const kind_text[] = {
	[BITS_0] = "0 in bits", [BITS_1] = "1 in bits",
	[CANONICAL] = "canonical",
	[LINEAR] = "alike in the bits that linear addresses have not",
	[PHYSICAL] = "a physical address, 0 in bits",
	[PAT_TYPES] = "types 0, 1, 4 to 7", [NOT_0] = "not 0",
	[AT_MOST] = "at most",
};

/* The rules that look at one field alone: controls, control registers and
 * MSRs, descriptor tables, RIP and RFLAGS, the rest. 0xfa1 and 0x1e of the EPT
 * pointer: memory type 6, four levels (3 in bits 3 to 5), reserved bits 0. */
#define R(field, kind, when, arg)	{ CHECK_##field, kind, when, arg }
static const struct rule {
	uint8_t field, kind;
	uint16_t when;
	uint64_t arg;
} rules[] = {
	R(VPID, NOT_0, IF_VPID, 0), R(EPT_POINTER, PHYSICAL, IF_EPT, 0xfa1),
	R(EPT_POINTER, BITS_1, IF_EPT, 0x1e), R(IO_BITMAP_A, PHYSICAL, IF_IO, 0xfff),
	R(IO_BITMAP_B, PHYSICAL, IF_IO, 0xfff), R(MSR_BITMAP, PHYSICAL, IF_MSR, 0xfff),
	R(CR3_TARGET_COUNT, AT_MOST, 0, 4), R(GUEST_CR0, BITS_1, IF_PG, CR0_PE),
	R(GUEST_CR0, BITS_1, IF_IA32E, CR0_PG), R(GUEST_CR4, BITS_1, IF_IA32E, CR4_PAE),
	R(GUEST_CR4, BITS_0, IF_NOT_IA32E, CR4_PCIDE), R(GUEST_CR3, PHYSICAL, 0, 0),
	R(GUEST_DR7, AT_MOST, IF_DEBUG, 0xffffffff),
	R(GUEST_IA32_DEBUGCTL, BITS_0, IF_DEBUG, ~0xffc7ull),
	R(GUEST_IA32_PAT, PAT_TYPES, IF_PAT, 0), R(GUEST_IA32_EFER, BITS_0, IF_EFER, ~0xd01ull),
	R(GUEST_IA32_EFER, BITS_1, IF_EFER | IF_IA32E, EFER_LMA),
	R(GUEST_IA32_EFER, BITS_0, IF_EFER | IF_NOT_IA32E, EFER_LMA),
	R(GUEST_IA32_EFER, BITS_1, IF_EFER | IF_IA32E | IF_PG, EFER_LME),
	R(GUEST_IA32_EFER, BITS_0, IF_EFER | IF_NOT_IA32E | IF_PG, EFER_LME),
	R(GUEST_SYSENTER_ESP, CANONICAL, 0, 0), R(GUEST_SYSENTER_EIP, CANONICAL, 0, 0),
	R(GUEST_GDTR_BASE, CANONICAL, 0, 0), R(GUEST_IDTR_BASE, CANONICAL, 0, 0),
	R(GUEST_GDTR_LIMIT, AT_MOST, 0, 0xffff), R(GUEST_IDTR_LIMIT, AT_MOST, 0, 0xffff),
	R(GUEST_RIP, AT_MOST, IF_NOT_64BIT, 0xffffffff), R(GUEST_RIP, LINEAR, IF_64BIT, 0),
	R(GUEST_RFLAGS, BITS_0, 0, ~0x3f7fd7ull), R(GUEST_RFLAGS, BITS_1, 0, RFLAGS_FIXED),
	R(GUEST_RFLAGS, BITS_0, IF_IA32E, RFLAGS_VM), R(GUEST_RFLAGS, BITS_0, IF_REAL, RFLAGS_VM),
	R(GUEST_RFLAGS, BITS_1, IF_INTR, RFLAGS_IF),
	R(GUEST_INTERRUPTIBILITY, BITS_0, 0, ~0x1full),
	R(GUEST_INTERRUPTIBILITY, BITS_0, IF_INTR, GUEST_BLOCK_SHADOW),
	R(GUEST_ACTIVITY, AT_MOST, 0, 3), R(LINK_POINTER, BITS_1, 0, ~0ull),
	R(GUEST_PENDING_DEBUG, BITS_0, 0, ~0x1500full),
};

#define FIELD(n)	{ VMCS_##n, #n },
static const struct {
	uint16_t encoding;
	const char *name;
} fields[CHECK_FIELDS] = { VMX_CHECK_FIELDS(FIELD) };

/* Notes a violation; those beyond VMX_CHECK_MAX are left out. */
static void expect(struct vmx_check_report *r, uint32_t field, bool ok,
		   const char *rule, uint64_t arg)
{
	if (!ok && r->count < VMX_CHECK_MAX) {
		r->v[r->count].field = field;
		r->v[r->count].rule = rule;
		r->v[r->count++].arg = arg;
	}
}

/* All bits from that one on are alike. An address is canonical if they are from the
 * highest linear one on; RIP may be the one behind the last. */
static bool alike(uint64_t v, uint32_t from)
{
	return v >> from == 0 || v >> from == ~0ull >> from;
}

static bool is_canonical(const struct vmx_check_state *s, uint64_t v)
{
	return alike(v, s->linear_bits - 1);
}

/* Whether u's field is as u demands; its condition is the caller's to look
 * at. */
static bool rule_holds(const struct vmx_check_state *s, const struct rule *u)
{
	uint64_t v = s->f[u->field];

	switch (u->kind) {
	case BITS_0:
		return !(v & u->arg);
	case BITS_1:
		return (v & u->arg) == u->arg;
	case CANONICAL:
		return is_canonical(s, v);
	case LINEAR:
		return alike(v, s->linear_bits);
	case PHYSICAL:
		return !(v >> s->physical_bits) && !(v & u->arg);
	case PAT_TYPES:
		return pat_valid(v);
	case NOT_0:
		return v != 0;
	default:
		return v <= u->arg;
	}
}

/* The secondary controls count only where they are activated. */
static uint64_t proc2_of(const struct vmx_check_state *s)
{
	return s->f[CHECK_PROC_BASED_CTLS] & PROC_SECONDARY ?
	       s->f[CHECK_PROC_BASED_CTLS2] : 0;
}

static bool real_mode(const struct vmx_check_state *s)
{
	return !(s->f[CHECK_GUEST_CR0] & CR0_PE);
}

/* Which IF_ conditions are true. */
static uint32_t conditions(const struct vmx_check_state *s)
{
	uint64_t proc = s->f[CHECK_PROC_BASED_CTLS], proc2 = proc2_of(s);
	uint64_t entry = s->f[CHECK_ENTRY_CTLS];
	uint32_t info = (uint32_t)s->f[CHECK_ENTRY_INTR_INFO];
	bool ia32e = entry & ENTRY_IA32E;
	bool wide = ia32e && (s->f[CHECK_GUEST_CS_AR] & AR_L);

	return (ia32e ? IF_IA32E : IF_NOT_IA32E) |
	       (wide ? IF_64BIT : IF_NOT_64BIT) |
	       (s->f[CHECK_GUEST_CR0] & CR0_PG ? IF_PG : 0) |
	       (real_mode(s) ? IF_REAL : 0) |
	       (entry & ENTRY_LOAD_DEBUG ? IF_DEBUG : 0) |
	       (entry & ENTRY_LOAD_PAT ? IF_PAT : 0) |
	       (entry & ENTRY_LOAD_EFER ? IF_EFER : 0) |
	       (proc2 & PROC2_VPID ? IF_VPID : 0) |
	       (proc2 & PROC2_EPT ? IF_EPT : 0) |
	       (proc & PROC_IO_BITMAPS ? IF_IO : 0) |
	       (proc & PROC_MSR_BITMAPS ? IF_MSR : 0) |
	       ((info & INTR_INFO_VALID) &&
		INTR_INFO_TYPE(info) == VM_EVENT_INTR ? IF_INTR : 0);
}

/* A rule that looks at more than its field. */
#define F(field)	(s->f[CHECK_##field])
#define SEG(i, what)	(s->f[CHECK_SEG(i, what)])
#define MUST(field, ok, rule, arg)	expect(r, CHECK_##field, ok, rule, arg)
#define MUST_SEG(what, ok, rule, arg)	expect(r, CHECK_SEG(i, what), ok, rule, arg)

/* Controls, CR0 and CR4 against what the processor allows. An unrestricted
 * guest may have CR0.PE and PG 0. [SDM3 "Reserved Controls and Default
 * Settings", "Restrictions on VMX Operation"] */
static void check_fixed(const struct vmx_check_state *s,
			struct vmx_check_report *r)
{
	bool free_mode = proc2_of(s) & PROC2_UNRESTRICTED;
	uint32_t i;

	/* low half of a capability: must be 1; high half: may be 1 */
	for (i = 0; i < CHECK_CTLS; i++) {
		uint64_t v = s->f[i], must = (uint32_t)s->ctl_cap[i];

		expect(r, i, !(must & ~v), kind_text[BITS_1], must);
		expect(r, i, !(v & ~(s->ctl_cap[i] >> 32)), kind_text[BITS_0],
		       (uint32_t)~(s->ctl_cap[i] >> 32));
	}
	for (i = 0; i < 2; i++) {
		uint32_t field = i ? CHECK_GUEST_CR4 : CHECK_GUEST_CR0;
		/* 0 in FIXED0: free to be 0; 1 in FIXED1: free to be 1 */
		uint64_t must = s->cr_fixed0[i] &
			~(!i && free_mode ? CR0_PE | CR0_PG : 0);

		expect(r, field, !(must & ~s->f[field]), kind_text[BITS_1],
		       must);
		expect(r, field, !(s->f[field] & ~s->cr_fixed1[i]),
		       kind_text[BITS_0], ~s->cr_fixed1[i]);
	}
	MUST(PROC_BASED_CTLS2, !free_mode || (proc2_of(s) & PROC2_EPT),
	     "with EPT", PROC2_EPT);
}

/* [SDM3 "VM-Entry Control Fields": event injection] */
static void check_injection(const struct vmx_check_state *s,
			    struct vmx_check_report *r)
{
	uint32_t info = (uint32_t)F(ENTRY_INTR_INFO);
	uint32_t type = INTR_INFO_TYPE(info), vector = info & 0xff;
	uint64_t len = F(ENTRY_INSN_LEN);
	bool error = info & INTR_INFO_ERROR;
	/* in real mode nothing pushes an error code */
	bool pushes = type == VM_EVENT_EXCEPTION && vector < 32 &&
		      (PUSH_ERROR >> vector & 1) && !real_mode(s);

	if (!(info & INTR_INFO_VALID)) {
		return;
	}
	/* bits 12 to 30 and type 1 are reserved; type 7 is never ours */
	MUST(ENTRY_INTR_INFO, !(info & 0x7ffff000) && type != 1 && type != 7 &&
	     (type != VM_EVENT_NMI || vector == 2) &&
	     (type != VM_EVENT_EXCEPTION || vector < 32),
	     "an event that can be injected", 0);
	MUST(ENTRY_INTR_INFO, error == pushes,
	     "with an error code just where the exception pushes one", 0);
	MUST(ENTRY_EXCEPTION_ERROR, !error || !(F(ENTRY_EXCEPTION_ERROR) >> 16),
	     kind_text[AT_MOST], 0xffff);
	MUST(ENTRY_INSN_LEN, type < INTR_TYPE_SOFT_FIRST || (len >= 1 && len <= 15), "1 to 15", 0);
	MUST(GUEST_INTERRUPTIBILITY, type != VM_EVENT_NMI ||
	     !(F(GUEST_INTERRUPTIBILITY) & (GUEST_BLOCK_MOVSS | GUEST_BLOCK_NMI)),
	     kind_text[BITS_0], GUEST_BLOCK_MOVSS | GUEST_BLOCK_NMI);
}

/* [SDM3 "Checks on Guest Non-Register State"] */
static void check_non_register(const struct vmx_check_state *s,
			       struct vmx_check_report *r)
{
	uint64_t block = F(GUEST_INTERRUPTIBILITY);
	uint64_t activity = F(GUEST_ACTIVITY);
	uint64_t flags = F(GUEST_RFLAGS);
	bool bs = F(GUEST_PENDING_DEBUG) & PENDING_BS;
	bool step = (flags & RFLAGS_TF) && !(F(GUEST_IA32_DEBUGCTL) & DEBUGCTL_BTF);

	/* one of the two shadows at a time, and STI's only with interrupts
	 * on */
	MUST(GUEST_INTERRUPTIBILITY, !(block & GUEST_BLOCK_STI) ||
	     (!(block & GUEST_BLOCK_MOVSS) && (flags & RFLAGS_IF)),
	     "STI blocking alone, and with RFLAGS.IF", 0);
	MUST(GUEST_ACTIVITY, !activity || !(block & GUEST_BLOCK_SHADOW),
	     "0 under STI or MOV SS blocking", 0);
	MUST(GUEST_ACTIVITY, activity != 1 || !AR_DPL(F(GUEST_SS_AR)), "HLT only with SS.DPL 0", 0);
	/* in a shadow, or halted, a pending single-step must agree with TF */
	MUST(GUEST_PENDING_DEBUG, bs == step || (!(block & GUEST_BLOCK_SHADOW) &&
	     activity != 1),
	     "with BS as RFLAGS.TF under STI or MOV SS blocking", 0);
}

/* What holds for each segment in use outside virtual-8086 mode. */
static void check_segment(const struct vmx_check_state *s,
			  struct vmx_check_report *r, uint32_t i)
{
	uint64_t limit = SEG(i, LIMIT);
	uint64_t base = SEG(i, BASE);
	uint64_t ar = SEG(i, AR);
	/* system descriptors have S = 0 */
	bool system = i == SEG_LDTR || i == SEG_TR;
	bool used = i == SEG_CS || i == SEG_TR || !(ar & AR_UNUSABLE);

	if (used || i == SEG_FS || i == SEG_GS) {	/* in 64-bit mode */
		MUST_SEG(BASE, i >= SEG_FS ? is_canonical(s, base) :
			 !(base >> 32), kind_text[i >= SEG_FS ? CANONICAL :
			 AT_MOST], i >= SEG_FS ? 0 : 0xffffffff);
	}
	if (!used) {
		return;
	}
	MUST_SEG(AR, !(ar & AR_S) == system && (ar & AR_P) &&
		 !(ar & AR_RESERVED), "present, S as its kind, reserved bits 0", 0);
	/* a limit counts bytes, or pages of 4 KiB with their low bits 1 */
	MUST_SEG(AR, ar & AR_G ? (limit & 0xfff) == 0xfff : !(limit >> 20),
		 "with G as its limit", limit);
	MUST_SEG(SELECTOR, !system || !(SEG(i, SELECTOR) & 4), kind_text[BITS_0], 4);
	MUST_SEG(AR, system || i == SEG_CS || i == SEG_SS || ((ar & 1) &&
		 (ar & 10) != 8), "accessed, readable if code", 0);
}

/* Type and privilege of CS and SS, which hang together. Type bits: 1 accessed,
 * 2 writable or readable, 4 expand-down or conforming, 8 code. [SDM3 "Checks
 * on Guest Segment Registers"] */
static void check_types(const struct vmx_check_state *s,
			struct vmx_check_report *r)
{
	uint64_t cs = F(GUEST_CS_AR), ss = F(GUEST_SS_AR);
	bool free_mode = proc2_of(s) & PROC2_UNRESTRICTED;
	bool ia32e = F(ENTRY_CTLS) & ENTRY_IA32E;
	uint64_t type = cs & 15;

	MUST(GUEST_CS_AR, (type & 9) == 9 || (free_mode && type == TYPE_DATA),
	     "accessed code", 0);
	MUST(GUEST_CS_AR, type == TYPE_DATA ? !AR_DPL(cs) : type >= 13 ?
	     AR_DPL(cs) <= AR_DPL(ss) : AR_DPL(cs) == AR_DPL(ss),
	     "with a DPL that suits SS.DPL", ss);
	MUST(GUEST_CS_AR, !ia32e || !(cs & AR_L) || !(cs & AR_D), "without D when L", AR_D);
	MUST(GUEST_SS_AR, (ss & AR_UNUSABLE) || (ss & 11) == 3, "accessed writable data", 0);
	MUST(GUEST_SS_AR, free_mode || AR_DPL(ss) == (F(GUEST_SS_SELECTOR) & 3),
	     "with DPL as RPL", 0);
	MUST(GUEST_SS_AR, !AR_DPL(ss) || (type != TYPE_DATA && !real_mode(s)),
	     "of DPL 0 without CR0.PE, and when CS is data", 0);
}

/* Virtual-8086 mode fixes the first six segments; TR and LDTR follow the same
 * rules in every mode. */
static void check_segments(const struct vmx_check_state *s,
			   struct vmx_check_report *r)
{
	uint64_t tr = F(GUEST_TR_AR), ldtr = F(GUEST_LDTR_AR);
	bool ia32e = F(ENTRY_CTLS) & ENTRY_IA32E;
	bool vm86 = F(GUEST_RFLAGS) & RFLAGS_VM;
	uint32_t i;

	for (i = 0; i < SEG_COUNT; i++) {
		if (!vm86 || i >= SEG_LDTR) {
			check_segment(s, r, i);
			continue;
		}
		MUST_SEG(AR, SEG(i, AR) == 0xf3, "0xf3 in virtual-8086 mode", 0);
		MUST_SEG(LIMIT, SEG(i, LIMIT) == 0xffff,
			 "0xffff in virtual-8086 mode", 0);
		MUST_SEG(BASE, SEG(i, BASE) == SEG(i, SELECTOR) << 4,
			 "16 times the selector in virtual-8086 mode", 0);
	}
	if (!vm86) {
		check_types(s, r);
	}
	/* types: 11 and 3 are busy TSSs of 64 or 32, and of 16 bits; 2 is an
	 * LDT */
	MUST(GUEST_TR_AR, !(tr & AR_UNUSABLE) && ((tr & 15) == 11 || (!ia32e &&
	     (tr & 15) == 3)), "a busy TSS, in IA-32e mode of type 11", 0);
	MUST(GUEST_LDTR_AR, (ldtr & AR_UNUSABLE) || (ldtr & 15) == 2, "an LDT", 0);
}

/**
 * Applies every rule to s; r tells which are violated, in the order above, at
 * most VMX_CHECK_MAX. An empty report does not prove the state good: not all
 * rules are known here. Pure.
 */
void vmx_check_rules(const struct vmx_check_state *s,
		     struct vmx_check_report *r)
{
	uint32_t now = conditions(s);
	size_t i;

	r->count = 0;
	check_fixed(s, r);
	for (i = 0; i < ARRAY_SIZE(rules); i++) {
		expect(r, rules[i].field, (rules[i].when & ~now) ||
		       rule_holds(s, &rules[i]), kind_text[rules[i].kind],
		       rules[i].arg);
	}
	check_injection(s, r);
	check_segments(s, r);
	check_non_register(s, r);
}

/* The current VMCS and this CPU's limits. Fields of features that the
 * processor lacks read as anything; no rule looks at them then. */
static void read_state(struct vmx_check_state *s)
{
	uint32_t widths = cpuid(0x80000008, 0).eax, i;

	for (i = 0; i < CHECK_FIELDS; i++) {
		s->f[i] = vmread(fields[i].encoding);
	}
	for (i = 0; i < CHECK_CTLS; i++) {
		s->ctl_cap[i] = vmx_ctl_cap(i);
	}
	for (i = 0; i < 2; i++) {	/* CR0's pair, then CR4's */
		s->cr_fixed0[i] = rdmsr(MSR_IA32_VMX_CR0_FIXED0 + 2 * i);
		s->cr_fixed1[i] = rdmsr(MSR_IA32_VMX_CR0_FIXED1 + 2 * i);
	}
	s->physical_bits = widths & 0xff;
	s->linear_bits = widths >> 8 & 0xff;
}

/**
 * Logs each rule that the current VMCS violates, with the field's value. On
 * the vCPU's CPU, one at a time (partition_kill()): the two structures are
 * static, to spare the stack.
 */
void vmx_check_log(void)
{
	static struct vmx_check_state s;
	static struct vmx_check_report r;
	uint32_t i;

	read_state(&s);
	vmx_check_rules(&s, &r);
	for (i = 0; i < r.count; i++) {
		log_write(r.v[i].arg ? "  VM entry refused: %s is %#lx, must "
			  "be %s %#lx" : "  VM entry refused: %s is %#lx, "
			  "must be %s", fields[r.v[i].field].name,
			  s.f[r.v[i].field], r.v[i].rule, r.v[i].arg);
	}
	if (!r.count) {
		log_write("  VM entry refused: no rule that is checked here "
			  "is violated");
	}
}
