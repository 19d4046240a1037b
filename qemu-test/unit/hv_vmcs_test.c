/* SPDX-License-Identifier: MIT */
/*
 * What the VT-x backend writes into a VMCS when registers change, events are
 * injected and instructions are skipped: nothing that would fail an entry.
 */
#include "hv_fakes.h"
#include "hypervisor/vmx/check.h"
#include "hypervisor/vmx/vmx.h"

#define BUSY_TSS_64	0x8bu

static uint64_t vmcs[0x8000], dr6;
static struct partition part;
static struct vcpu vcpu;
static struct vmx_vcpu backend;
static uint32_t vpid_flushes, checks;
static uint64_t pat_bitmap[1];

uint32_t vmx_ctls[VMX_CTLS] = { [CTL_PROC] = PROC_HLT_EXIT, [CTL_ENTRY] = 4 };

uint64_t vmread(enum vmcs_field f)
{
	return vmcs[f];
}

void vmwrite(enum vmcs_field f, uint64_t v)
{
	vmcs[f] = v;
}

uint64_t read_dr6(void)
{
	return dr6;
}

void write_dr6(uint64_t v)
{
	dr6 = v;
}

void vmx_switch(struct vmx_vcpu *to)
{
	this_cpu()->backend_current = to;
}

static uint32_t syscall_loads;
static const struct vmx_vcpu *loads_of;

void vmx_load_syscalls(const struct vmx_vcpu *x)
{
	assert_ptr_equal(x, loads_of);
	syscall_loads++;
}

bool kvmclock_msr_write(struct vcpu *v, uint32_t msr, uint64_t value)
{
	(void)v;
	(void)msr;
	(void)value;
	return false;
}

void vmx_flush_vpid(uint16_t vpid)
{
	assert_int_equal(vpid, backend.vpid);
	vpid_flushes++;
}

void vmx_exit_point(void)
{
}

void vmx_check_log(void)
{
	checks++;
}

hpa_t frame_boot(uint8_t owner, uint64_t bytes, const char *what)
{
	fail_msg("%u %lu %s", owner, bytes, what);
	return HPA(FRAME_NULL);
}

static int make(void **state)
{
	(void)state;
	fakes_reset();
	memset(vmcs, 0, sizeof(vmcs));
	memset(&part, 0, sizeof(part));
	memset(&backend, 0, sizeof(backend));
	part.native_msrs = (uint8_t *)pat_bitmap;
	fake_vcpu_init(&vcpu, &part, 0);
	vcpu.backend = &backend;
	backend.vpid = 7;
	vmcs[VMCS_GUEST_CS_AR] = 0xa09b;
	vmcs[VMCS_GUEST_TR_AR] = BUSY_TSS_64;
	vmcs[VMCS_GUEST_CR0] = CR0_PE | CR0_PG | CR0_NE | CR0_ET;
	vmcs[VMCS_HOST_CR4] = CR4_PAE | CR4_PGE | CR4_VMXE | CR4_MCE;
	vpid_flushes = checks = syscall_loads = 0;
	loads_of = &backend;
	return 0;
}

static uint64_t advance(uint64_t cs, uint64_t rip, uint32_t len)
{
	vmcs[VMCS_GUEST_CS_AR] = cs;
	vmcs[VMCS_GUEST_RIP] = rip;
	vmx_vcpu_advance_rip(&vcpu, rip, len);
	return vmcs[VMCS_GUEST_RIP];
}

/* RIP after an instruction is one that an entry accepts. */
static void next_rip(void **state)
{
	static const uint64_t top = 0xffffffffffffffff;

	(void)state;
	assert_int_equal(advance(0xa09b, 0x1000, 2), 0x1002);
	assert_int_equal(advance(0xa09b, 0x7ffffffe, 2), 0x80000000);
	assert_int_equal(advance(0xa09b, 0xfffffffe, 2), 0x100000000);
	assert_int_equal(advance(0xa09b, 0xffffffff80000000, 3),
			 0xffffffff80000003);
	assert_int_equal(advance(0xa09b, top - 1, 2), 0);
	/* 32 and 16-bit code wraps at 4 GiB */
	assert_int_equal(advance(0xc09b, 0xfffffffe, 2), 0);
	assert_int_equal(advance(0xc09b, 0xffffffff, 3), 2);
	assert_int_equal(advance(0xc09b, 0x7fffffff, 2), 0x80000001);
	assert_int_equal(advance(0x009b, 0xfffe, 2), 0x10000);
	/* the end of the canonical half: the processor's #GP names it */
	assert_int_equal(advance(0xa09b, 0x7ffffffffffe, 2), 0x800000000000);
	assert_int_equal(fake.injected, 0);
}

static void shadows_end(void **state)
{
	(void)state;
	vmcs[VMCS_GUEST_INTERRUPTIBILITY] = GUEST_BLOCK_STI | GUEST_BLOCK_NMI;
	advance(0xa09b, 0, 1);
	assert_int_equal(vmcs[VMCS_GUEST_INTERRUPTIBILITY], GUEST_BLOCK_NMI);
	vmcs[VMCS_GUEST_INTERRUPTIBILITY] = GUEST_BLOCK_MOVSS;
	advance(0xa09b, 0, 0);
	assert_int_equal(vmcs[VMCS_GUEST_INTERRUPTIBILITY], 0);
}

/* An instruction that began with TF set is followed by its trap, once. */
static void single_step(void **state)
{
	(void)state;
	vmcs[VMCS_GUEST_RFLAGS] = RFLAGS_FIXED | RFLAGS_TF;
	vmcs[VMCS_GUEST_PENDING_DEBUG] = DR6_BS;
	dr6 = DR6_RESET;
	advance(0xa09b, 0x1000, 0);	/* no instruction, only the shadow */
	assert_false(backend.g.event_pending);
	advance(0xa09b, 0x1000, 2);
	assert_int_equal(vmcs[VMCS_ENTRY_INTR_INFO],
			 BIT32(31) | 3 << 8 | X86_EXC_DB);
	assert_int_equal(dr6, DR6_RESET | DR6_BS);
	assert_int_equal(vmcs[VMCS_GUEST_PENDING_DEBUG], 0);
	/* behind INT1, whose #DB waits already, none */
	dr6 = DR6_RESET;
	vmcs[VMCS_GUEST_PENDING_DEBUG] = DR6_BS;
	advance(0xa09b, 0x1002, 1);
	assert_int_equal(vmcs[VMCS_ENTRY_INTR_INFO],
			 BIT32(31) | 3 << 8 | X86_EXC_DB);
	assert_int_equal(dr6, DR6_RESET);
	assert_int_equal(vmcs[VMCS_GUEST_PENDING_DEBUG], 0);
	assert_null(fake.killed);
}

static void long_mode(void **state)
{
	static const uint32_t tss[][2] = {
		{ 0x8b, 0x8b },		/* 32 or 64-bit, busy */
		{ 0x83, 0x8b },		/* 16-bit, busy */
	};
	uint32_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(tss); i++) {
		vmcs[VMCS_GUEST_TR_AR] = tss[i][0];
		vmcs[VMCS_ENTRY_CTLS] = ENTRY_LOAD_EFER;
		vmx_vcpu_set(&vcpu, VCPU_EFER, EFER_LME);
		assert_int_equal(vmcs[VMCS_ENTRY_CTLS], ENTRY_LOAD_EFER);
		assert_int_equal(vmcs[VMCS_GUEST_TR_AR], tss[i][0]);
		vmx_vcpu_set(&vcpu, VCPU_EFER, EFER_LME | EFER_LMA);
		assert_int_equal(vmcs[VMCS_ENTRY_CTLS], ENTRY_LOAD_EFER |
				 ENTRY_IA32E);
		assert_int_equal(vmcs[VMCS_GUEST_TR_AR], tss[i][1]);
		vmx_vcpu_set(&vcpu, VCPU_EFER, 0);
		assert_int_equal(vmcs[VMCS_ENTRY_CTLS], ENTRY_LOAD_EFER);
	}
}

static void control_registers(void **state)
{
	(void)state;
	/* caches stay on, NE and ET are fixed, the guest sees what it wrote */
	vmx_vcpu_set(&vcpu, VCPU_CR0, CR0_PE | CR0_PG | CR0_CD | CR0_NW);
	assert_int_equal(vmcs[VMCS_GUEST_CR0], CR0_PE | CR0_PG | CR0_NE |
			 CR0_ET);
	assert_int_equal(vmx_vcpu_get(&vcpu, VCPU_CR0), CR0_PE | CR0_PG |
			 CR0_CD | CR0_NW);
	assert_int_equal(vpid_flushes, 0);
	/* bits it owns are the VMCS's */
	vmcs[VMCS_GUEST_CR0] |= CR0_TS | CR0_WP;
	assert_true(vmx_vcpu_get(&vcpu, VCPU_CR0) & CR0_TS);
	/* a change of paging drops its translations */
	vmx_vcpu_set(&vcpu, VCPU_CR0, CR0_PE);
	assert_int_equal(vpid_flushes, 1);
	vmx_vcpu_set(&vcpu, VCPU_CR0, CR0_PE);
	assert_int_equal(vpid_flushes, 1);
	vmx_vcpu_set(&vcpu, VCPU_CR0, CR0_PE | CR0_PG);
	assert_int_equal(vpid_flushes, 2);
	vmx_vcpu_set(&vcpu, VCPU_CR4, CR4_PAE | CR4_PSE);
	assert_int_equal(vpid_flushes, 3);
	/* machine checks stay on whatever the guest says and sees */
	assert_int_equal(vmcs[VMCS_GUEST_CR4], CR4_PAE | CR4_PSE | CR4_VMXE |
			 CR4_MCE);
	assert_int_equal(vmx_vcpu_get(&vcpu, VCPU_CR4), CR4_PAE | CR4_PSE);
	vmx_vcpu_set(&vcpu, VCPU_CR4, CR4_PAE | CR4_MCE);
	assert_int_equal(vmx_vcpu_get(&vcpu, VCPU_CR4), CR4_PAE | CR4_MCE);
}

/* SYSCALL's MSRs reach the CPU only where SYSCALL is on. */
static void syscall_msrs(void **state)
{
	(void)state;
	syscall_loads = 0;
	vmx_vcpu_set(&vcpu, VCPU_LSTAR, 0x1234);
	vmx_vcpu_set(&vcpu, VCPU_EFER, EFER_LME | EFER_LMA);
	assert_int_equal(syscall_loads, 0);
	assert_int_equal(vmx_vcpu_get(&vcpu, VCPU_LSTAR), 0x1234);
	assert_int_equal(vmx_vcpu_get(&vcpu, VCPU_CSTAR), 0);
	vmx_vcpu_set(&vcpu, VCPU_EFER, EFER_LME | EFER_LMA | EFER_SCE);
	assert_int_equal(syscall_loads, 1);
	vmx_vcpu_set(&vcpu, VCPU_FMASK, 0x300);
	assert_int_equal(syscall_loads, 2);
}

static void debug_register_exits(void **state)
{
	(void)state;
	vmcs[VMCS_PROC_BASED_CTLS] = 0xf0 | PROC_MOV_DR_EXIT;
	vmx_vcpu_set(&vcpu, VCPU_DR_EXITS, false);
	assert_int_equal(vmcs[VMCS_PROC_BASED_CTLS], 0xf0);
	vmx_vcpu_set(&vcpu, VCPU_DR_EXITS, true);
	assert_int_equal(vmcs[VMCS_PROC_BASED_CTLS], 0xf0 | PROC_MOV_DR_EXIT);
}

static void injection(void **state)
{
	static const struct {
		enum vm_event_type type;
		uint64_t flags, block;
		bool ok;
	} t[] = {
		{ VM_EVENT_INTR, RFLAGS_IF, 0, true },
		{ VM_EVENT_INTR, 0, 0, false },
		{ VM_EVENT_INTR, RFLAGS_IF, GUEST_BLOCK_STI, false },
		{ VM_EVENT_INTR, RFLAGS_IF, GUEST_BLOCK_MOVSS, false },
		{ VM_EVENT_INTR, RFLAGS_IF, GUEST_BLOCK_NMI, true },
		{ VM_EVENT_NMI, 0, 0, true },
		{ VM_EVENT_NMI, 0, GUEST_BLOCK_NMI, false },
		{ VM_EVENT_NMI, 0, GUEST_BLOCK_STI, false },
		{ VM_EVENT_NMI, 0, GUEST_BLOCK_MOVSS, false },
		{ VM_EVENT_EXCEPTION, 0, GUEST_BLOCK_MOVSS, true },
	};
	struct vm_event ev = { .vector = 0x20, .error = 5 };
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		make(state);
		vmcs[VMCS_GUEST_RFLAGS] = t[i].flags;
		vmcs[VMCS_GUEST_INTERRUPTIBILITY] = t[i].block;
		ev.type = t[i].type;
		ev.has_error = t[i].type == VM_EVENT_EXCEPTION;
		assert_int_equal(vmx_vcpu_inject(&vcpu, ev), t[i].ok);
		assert_int_equal(vmcs[VMCS_ENTRY_INTR_INFO], t[i].ok ?
				 INTR_INFO_VALID | 0x20 | t[i].type << 8 |
				 (ev.has_error ? INTR_INFO_ERROR : 0) : 0);
		/* one at a time */
		assert_int_equal(backend.g.event_pending, t[i].ok);
		assert_false(t[i].ok && vmx_vcpu_inject(&vcpu, ev));
		/* told when it can be taken; in STI's shadow the other window's
		 * exit is what does not come again and again */
		assert_int_equal(vmcs[VMCS_PROC_BASED_CTLS],
				 ev.type != VM_EVENT_NMI ? 0 :
				 t[i].block == GUEST_BLOCK_STI ? PROC_INTR_WINDOW :
				 PROC_NMI_WINDOW);
	}
}

static void windows(void **state)
{
	(void)state;
	vmcs[VMCS_PROC_BASED_CTLS] = 0xf0;
	vmx_vcpu_intr_window(&vcpu);
	assert_int_equal(vmcs[VMCS_PROC_BASED_CTLS], 0xf0 | PROC_INTR_WINDOW);
	vmx_vcpu_intr_window(&vcpu);
	vmcs[VMCS_PROC_BASED_CTLS] |= PROC_NMI_WINDOW;
	vmx_close_windows(&backend);
	assert_int_equal(vmcs[VMCS_PROC_BASED_CTLS], 0xf0);
	assert_false(backend.g.window);
}

/* [SDM3 "Processor State After Reset"]; 64-bit code: flat ones. */
static void check_segments(bool long_mode)
{
	const uint64_t code = long_mode ? 0x10 : 0x9a00, data = long_mode ? 0x18 : 0;
	const uint64_t limit = long_mode ? 0xffffffff : 0xffff;
	uint32_t i;

	/* ES, CS, SS, DS, FS, GS, LDTR, TR */
	for (i = 0; i < 8; i++) {
		bool system = i >= 6, cs = i == 1;

		assert_int_equal(vmcs[VMCS_GUEST_ES_SELECTOR + 2 * i],
				 system ? 0 : cs ? code : data);
		assert_int_equal(vmcs[VMCS_GUEST_ES_BASE + 2 * i],
				 cs && !long_mode ? 0x9a000 : 0);
		assert_int_equal(vmcs[VMCS_GUEST_ES_LIMIT + 2 * i],
				 system ? 0xffff : limit);
		assert_int_equal(vmcs[VMCS_GUEST_ES_AR + 2 * i], i == 7 ? 0x8b :
				 i == 6 ? 0x82 : (cs ? 0x9b : 0x93) |
				 (!long_mode ? 0 : cs ? 0xa000 : 0xc000));
	}
}

/* A new life finds no translation of the last one, of either kind. */
static void reset(void **state)
{
	static const struct vcpu_start starts[] = {
		{ .kind = VCPU_RESET_SIPI, .sipi_vector = 0x9a },
		{ .kind = VCPU_RESET_LONG, .rip = 0x100000, .cr3 = 0x2000 },
	};
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(starts); i++) {
		make(state);
		vcpu.gpm_epoch = 5;
		backend.g.event_pending = backend.g.window = true;
		vmx_vcpu_reset(&vcpu, &starts[i]);
		assert_true(vpid_flushes);
		assert_int_equal(vcpu.gpm_epoch, 0);
		assert_false(backend.g.event_pending || backend.g.window);
		check_segments(i);
		assert_int_equal(backend.launched, 0);
		assert_int_equal(vmcs[VMCS_GUEST_CR4] & (CR4_MCE | CR4_VMXE),
				 CR4_MCE | CR4_VMXE);
		assert_int_equal(vmx_vcpu_get(&vcpu, VCPU_CR4),
				 i ? CR4_PAE : 0);
	}
}

static void dumps(void **state)
{
	(void)state;
	vmx_dump(&vcpu);
	assert_int_equal(checks, 0);
	backend.entry_failed = true;
	vmx_dump(&vcpu);
	assert_int_equal(checks, 1);
}

/* Who may call the hypervisor. */
static void kernel64(void **state)
{
	static const struct {
		uint64_t ss, efer, cs;
		bool yes;
	} t[] = {
		{ 0xc093, EFER_LMA, 0xa09b, true },
		{ 0xc0b3, EFER_LMA, 0xa09b, false },	/* CPL 1 */
		{ 0xc0f3, EFER_LMA, 0xa0fb, false },	/* CPL 3 */
		{ 0xc093, EFER_LMA, 0xc09b, false },	/* 32-bit code */
		{ 0xc093, EFER_LME, 0xa09b, false },	/* L means nothing */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		vmcs[VMCS_GUEST_SS_AR] = t[i].ss;
		vmcs[VMCS_GUEST_IA32_EFER] = t[i].efer;
		vmcs[VMCS_GUEST_CS_AR] = t[i].cs;
		assert_int_equal(vmx_vcpu_get(&vcpu, VCPU_KERNEL64), t[i].yes);
	}
}

static uint64_t gs_base;

uint64_t rdmsr(uint32_t msr)
{
	return msr == MSR_IA32_KERNEL_GS_BASE ? gs_base : 0;
}

void wrmsr(uint32_t msr, uint64_t v)
{
	assert_int_equal(msr, MSR_IA32_KERNEL_GS_BASE);
	gs_base = v;
}

/* All that the guest has, and nothing else, by way of memory that any CPU can
 * read: the VMCS that is current is another's by then. */
static void copying(void **state)
{
	static const enum vmcs_field guest[] = {
		VMCS_GUEST_ES_SELECTOR, VMCS_GUEST_CS_SELECTOR,
		VMCS_GUEST_SS_SELECTOR, VMCS_GUEST_DS_SELECTOR,
		VMCS_GUEST_FS_SELECTOR, VMCS_GUEST_GS_SELECTOR,
		VMCS_GUEST_LDTR_SELECTOR, VMCS_GUEST_TR_SELECTOR,
		VMCS_GUEST_IA32_DEBUGCTL, VMCS_GUEST_IA32_PAT,
		VMCS_GUEST_IA32_EFER, VMCS_PROC_BASED_CTLS, VMCS_ENTRY_CTLS,
		VMCS_ENTRY_INTR_INFO, VMCS_ENTRY_EXCEPTION_ERROR,
		VMCS_ENTRY_INSN_LEN, VMCS_GUEST_ES_LIMIT, VMCS_GUEST_CS_LIMIT,
		VMCS_GUEST_SS_LIMIT, VMCS_GUEST_DS_LIMIT, VMCS_GUEST_FS_LIMIT,
		VMCS_GUEST_GS_LIMIT, VMCS_GUEST_LDTR_LIMIT,
		VMCS_GUEST_TR_LIMIT, VMCS_GUEST_GDTR_LIMIT,
		VMCS_GUEST_IDTR_LIMIT, VMCS_GUEST_ES_AR, VMCS_GUEST_CS_AR,
		VMCS_GUEST_SS_AR, VMCS_GUEST_DS_AR, VMCS_GUEST_FS_AR,
		VMCS_GUEST_GS_AR, VMCS_GUEST_LDTR_AR, VMCS_GUEST_TR_AR,
		VMCS_GUEST_INTERRUPTIBILITY, VMCS_GUEST_ACTIVITY,
		VMCS_GUEST_SYSENTER_CS, VMCS_CR0_SHADOW, VMCS_CR4_SHADOW,
		VMCS_GUEST_CR0, VMCS_GUEST_CR3, VMCS_GUEST_CR4,
		VMCS_GUEST_ES_BASE, VMCS_GUEST_CS_BASE, VMCS_GUEST_SS_BASE,
		VMCS_GUEST_DS_BASE, VMCS_GUEST_FS_BASE, VMCS_GUEST_GS_BASE,
		VMCS_GUEST_LDTR_BASE, VMCS_GUEST_TR_BASE,
		VMCS_GUEST_GDTR_BASE, VMCS_GUEST_IDTR_BASE, VMCS_GUEST_DR7,
		VMCS_GUEST_RSP, VMCS_GUEST_RIP, VMCS_GUEST_RFLAGS,
		VMCS_GUEST_PENDING_DEBUG, VMCS_GUEST_SYSENTER_ESP,
		VMCS_GUEST_SYSENTER_EIP,
	};
	static struct vmx_vcpu other_backend;
	static struct vcpu other;
	static uint64_t was[0x8000];
	uint64_t i;

	(void)state;
	assert_int_equal(ARRAY_SIZE(guest), VMX_GUEST_FIELDS);
	for (i = 0; i < ARRAY_SIZE(vmcs); i++) {
		was[i] = vmcs[i] = i * 0x9e3779b97f4a7c15;
	}
	gs_base = 0x1234;
	backend.g.event_pending = backend.g.window = backend.g.syscalls = true;
	backend.g.syscall_msr[0] = 5;
	backend.g.syscall_msr[3] = 6;
	vmx_vcpu_copy(&vcpu, NULL);
	assert_memory_equal(vmcs, was, sizeof(was));
	fake_vcpu_init(&other, &part, 1);
	other.backend = &other_backend;
	other_backend.vpid = 9;
	other_backend.vmcs = HPA(0x9000);
	memset(vmcs, 0xee, sizeof(vmcs));
	gs_base = 0;
	loads_of = &other_backend;
	vmx_vcpu_copy(&other, &vcpu);
	assert_ptr_equal(fake_cpu[0].backend_current, &other_backend);
	for (i = 0; i < ARRAY_SIZE(guest); i++) {
		assert_int_equal(vmcs[guest[i]], was[guest[i]]);
		vmcs[guest[i]] = 0xeeeeeeeeeeeeeeee;
	}
	for (i = 0; i < ARRAY_SIZE(vmcs); i++) {
		assert_int_equal(vmcs[i], 0xeeeeeeeeeeeeeeee);
	}
	assert_int_equal(gs_base, 0x1234);
	assert_true(other_backend.g.event_pending && other_backend.g.window &&
		    other_backend.g.syscalls);
	assert_memory_equal(other_backend.g.syscall_msr, backend.g.syscall_msr,
			    sizeof(backend.g.syscall_msr));
	assert_int_equal(syscall_loads, 1);
	assert_int_equal(other_backend.vpid, 9);
	assert_int_equal(other_backend.vmcs.v, 0x9000);
	assert_int_equal(other_backend.launched, 0);
}

/* A record's: what is ours is ours again, and what would harm more than a guest is
 * refused. */
static void recording(void **state)
{
	static struct vmx_open good, *o = &backend.open;
	static uint64_t record[HVM_RECORD_BYTES / 8];
	static const struct {
		enum vmcs_field field;
		uint64_t value;
	} bad[] = {
		{ VMCS_GUEST_CR0, CR0_PE | CR0_PG | CR0_CD },
		{ VMCS_GUEST_CR0, CR0_PG }, { VMCS_GUEST_CR0, BIT64(32) },
		{ VMCS_GUEST_CR4, 0 },		/* no PAE */
		{ VMCS_GUEST_CR4, CR4_PAE | BIT64(22) },
		{ VMCS_GUEST_IA32_EFER, EFER_LME | EFER_LMA | BIT64(1) },
		{ VMCS_GUEST_IA32_EFER, EFER_LME },
		{ VMCS_GUEST_IA32_EFER, EFER_LMA },
		{ VMCS_GUEST_IA32_PAT, 2 },
	};
	uint32_t i, n;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(vmcs); i++) {
		vmcs[i] = 0x1000 + i;
	}
	vmcs[VMCS_GUEST_CR0] = CR0_PE | CR0_PG | CR0_NE;
	vmcs[VMCS_GUEST_CR4] = CR4_PAE | CR4_VMXE;
	vmcs[VMCS_GUEST_IA32_EFER] = EFER_LME | EFER_LMA | EFER_SCE;
	vmcs[VMCS_GUEST_IA32_PAT] = PAT_RESET;
	vmcs[VMCS_ENTRY_INTR_INFO] = INTR_INFO_VALID | 0x41;
	vmx_vcpu_copy(&vcpu, NULL);
	assert_true(vmx_vcpu_record(&vcpu, record, false));
	good = *o;
	memset(o, 0xee, sizeof(*o));
	assert_true(vmx_vcpu_record(&vcpu, record, true));
	assert_true(o->g.event_pending && o->g.syscalls && !o->g.window);
	vmx_vcpu_copy(&vcpu, &vcpu);
	assert_int_equal(vmcs[VMCS_PROC_BASED_CTLS], PROC_HLT_EXIT);
	assert_int_equal(vmcs[VMCS_ENTRY_CTLS], 4 | ENTRY_IA32E);
	assert_int_equal(vmcs[VMCS_GUEST_IA32_DEBUGCTL], 0);
	assert_int_equal(vmcs[VMCS_GUEST_ACTIVITY], 0);
	assert_int_equal(vmcs[VMCS_GUEST_RIP], 0x1000 + VMCS_GUEST_RIP);
	assert_int_equal(vmcs[VMCS_GUEST_CR4] & CR4_PAE, CR4_PAE);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		/* where it is in a record: what alone differs */
		vmcs[bad[i].field] ^= 1;
		for (n = 0; n < VMX_GUEST_FIELDS; n++) {
			vmx_vcpu_copy(&vcpu, NULL);
			if (o->field[n] != good.field[n] &&
			    o->field[n] == vmcs[bad[i].field] &&
			    (vmcs[bad[i].field] ^ 1) == good.field[n]) {
				break;
			}
		}
		vmcs[bad[i].field] ^= 1;
		assert_true(n < VMX_GUEST_FIELDS || bad[i].field ==
			    VMCS_GUEST_CR4);
		*o = good;
		if (n < VMX_GUEST_FIELDS) {
			o->field[n] = bad[i].value;
		} else {	/* its host bits are put in anew */
			for (n = 0; o->field[n] != good.field[n] ||
			     good.field[n] != (CR4_PAE | CR4_VMXE); n++) {
			}
			o->field[n] = bad[i].value;
		}
		memcpy(record, o, sizeof(*o));
		assert_false(vmx_vcpu_record(&vcpu, record, true));
	}
	*o = good;
	o->g.kernel_gs_base = BIT64(47);
	memcpy(record, o, sizeof(*o));
	assert_false(vmx_vcpu_record(&vcpu, record, true));
	*o = good;
	o->g.syscall_msr[1] = BIT64(50);
	memcpy(record, o, sizeof(*o));
	assert_false(vmx_vcpu_record(&vcpu, record, true));
	*o = good;
	o->g.syscall_msr[3] = BIT64(32);
	memcpy(record, o, sizeof(*o));
	assert_false(vmx_vcpu_record(&vcpu, record, true));
}

#define TEST(f)	cmocka_unit_test_setup(f, make)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(next_rip), TEST(shadows_end), TEST(single_step), TEST(long_mode),
		TEST(control_registers), TEST(syscall_msrs),
		TEST(debug_register_exits), TEST(injection), TEST(windows),
		TEST(reset), TEST(dumps), TEST(kernel64), TEST(copying),
		TEST(recording),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
