/* SPDX-License-Identifier: MIT */
/*
 * vCPU state in the VMCS: initial state as a table, registers, events. All
 * on the vCPU's CPU.
 */
#include <hv.h>
#include <partition.h>
#include <percpu.h>
#include <x86.h>
#include "check.h"
#include "vmx.h"

/* Guests change these CR0 and CR4 bits without an exit; all others are
 * checked in msr.c. */
#define CR0_GUEST_OWNED	(CR0_MP | CR0_EM | CR0_TS | CR0_WP | CR0_AM)
#define CR4_GUEST_OWNED	(CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PGE | \
			 CR4_OSFXSR | CR4_OSXMMEXCPT)

/* Segment access rights: type and S, DPL 0, P; L, D/B, G where the name says
 * so. [SDM3 "Guest Register State"] */
#define AR_CODE64	0xa09bu
#define AR_CODE16	0x009bu
#define AR_DATA32	0xc093u
#define AR_DATA16	0x0093u
#define AR_TSS_BUSY	0x008bu
#define AR_LDT		0x0082u
#define AR_L		BIT32(13)
#define AR_TYPE		0xfu

struct field_init {
	enum vmcs_field field;
	uint64_t value;
};

/* A segment as after a reset: from 0 on. */
#define SEG(s, selector, limit, ar) \
	{ VMCS_GUEST_##s##_SELECTOR, selector }, { VMCS_GUEST_##s##_BASE, 0 }, \
	{ VMCS_GUEST_##s##_LIMIT, limit }, { VMCS_GUEST_##s##_AR, ar }
#define DATA_SEGS(selector, limit, ar) \
	SEG(ES, selector, limit, ar), SEG(SS, selector, limit, ar), \
	SEG(DS, selector, limit, ar), SEG(FS, selector, limit, ar), \
	SEG(GS, selector, limit, ar)

/* Constant for every vCPU and every start. */
static const struct field_init init_common[] = {
	/* no VMCS shadowing: all ones [SDM3 "Guest Non-Register State"] */
	{ VMCS_LINK_POINTER, ~0ull },
	/* #DB, #AC: see exit_exception(); #MC is the machine's */
	{ VMCS_EXCEPTION_BITMAP, BIT32(X86_EXC_DB) | BIT32(X86_EXC_AC) |
				 BIT32(X86_EXC_MC) },
	/* no #PF exits: they are the guest's own */
	{ VMCS_PF_ERROR_MASK, 0 }, { VMCS_PF_ERROR_MATCH, 0 },
	{ VMCS_CR3_TARGET_COUNT, 0 }, { VMCS_EXIT_MSR_STORE_COUNT, 0 },
	{ VMCS_EXIT_MSR_LOAD_COUNT, 0 }, { VMCS_ENTRY_MSR_LOAD_COUNT, 0 },
	{ VMCS_ENTRY_INTR_INFO, 0 },
	/* bits set here are ours: a write that changes one exits, a read gives
	 * the shadow */
	{ VMCS_CR0_MASK, ~CR0_GUEST_OWNED }, { VMCS_CR4_MASK,
					       ~CR4_GUEST_OWNED },
	{ VMCS_GUEST_IA32_DEBUGCTL, 0 }, { VMCS_GUEST_IA32_PAT, PAT_RESET },
	{ VMCS_GUEST_INTERRUPTIBILITY, 0 }, { VMCS_GUEST_ACTIVITY, 0 },
	{ VMCS_GUEST_PENDING_DEBUG, 0 }, { VMCS_GUEST_DR7, DR7_RESET },
	{ VMCS_GUEST_SYSENTER_CS, 0 }, { VMCS_GUEST_SYSENTER_ESP, 0 },
	{ VMCS_GUEST_SYSENTER_EIP, 0 },
	{ VMCS_GUEST_RSP, 0 }, { VMCS_GUEST_CR3, 0 },
	/* TR must be a busy TSS in every mode */
	SEG(LDTR, 0, 0xffff, AR_LDT), SEG(TR, 0, 0xffff, AR_TSS_BUSY),
	{ VMCS_GUEST_IDTR_BASE, 0 }, { VMCS_GUEST_IDTR_LIMIT, 0xffff },
	{ VMCS_GUEST_GDTR_BASE, 0 }, { VMCS_GUEST_GDTR_LIMIT, 0xffff },
	/* desc.c's; a VM exit resets the limits of GDT and IDT to 0xffff */
	{ VMCS_HOST_CS_SELECTOR, 0x08 }, { VMCS_HOST_SS_SELECTOR, 0x10 },
	{ VMCS_HOST_DS_SELECTOR, 0x10 }, { VMCS_HOST_ES_SELECTOR, 0x10 },
	{ VMCS_HOST_FS_SELECTOR, 0 }, { VMCS_HOST_GS_SELECTOR, 0 },
	{ VMCS_HOST_TR_SELECTOR, 0x18 }, { VMCS_HOST_FS_BASE, 0 },
	{ VMCS_HOST_SYSENTER_CS, 0 }, { VMCS_HOST_SYSENTER_ESP, 0 },
	{ VMCS_HOST_SYSENTER_EIP, 0 },
};

/* Long-mode start: flat segments with the boot protocols' selectors. */
static const struct field_init init_long[] = {
	SEG(CS, 0x10, 0xffffffff, AR_CODE64),
	DATA_SEGS(0x18, 0xffffffff, AR_DATA32), { VMCS_GUEST_GDTR_LIMIT, 0x1f },
};

/* Start-up IPI: real mode. [SDM3 "Processor State After Reset"] */
static const struct field_init init_real[] = {
	SEG(CS, 0, 0xffff, AR_CODE16), DATA_SEGS(0, 0xffff, AR_DATA16),
	{ VMCS_GUEST_RIP, 0 }, { VMCS_GUEST_RFLAGS, RFLAGS_FIXED },
};

/* The vCPU's VMCS is current, here and in the static functions below. */
static void apply(const struct field_init *f, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		vmwrite(f[i].field, f[i].value);
	}
}

/* What a VM exit loads: this CPU's own state, which never changes again. The
 * stack pointer is only an address of its stack: vmx_enter() has the true one
 * in struct percpu, which costs less than a VMWRITE. */
static void set_host_state(void)
{
	struct percpu *pc = this_cpu();
	struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t base;
	} idtr;

	__asm__ volatile("sidt %0" : "=m"(idtr));
	vmwrite(VMCS_HOST_CR0, read_cr0());
	vmwrite(VMCS_HOST_CR3, read_cr3());
	vmwrite(VMCS_HOST_CR4, read_cr4());
	vmwrite(VMCS_HOST_IA32_EFER, rdmsr(MSR_IA32_EFER));
	vmwrite(VMCS_HOST_IA32_PAT, rdmsr(MSR_IA32_PAT));
	vmwrite(VMCS_HOST_GS_BASE, (uintptr_t)pc);
	vmwrite(VMCS_HOST_TR_BASE, (uintptr_t)&pc->tss);
	vmwrite(VMCS_HOST_GDTR_BASE, (uintptr_t)pc->gdt);
	vmwrite(VMCS_HOST_IDTR_BASE, idtr.base);
	vmwrite(VMCS_HOST_RSP, pc->stack_top);
	vmwrite(VMCS_HOST_RIP, (uintptr_t)vmx_exit_point);
}

static void set_controls(struct vcpu *v, struct vmx_vcpu *x)
{
	vmwrite(VMCS_PIN_BASED_CTLS, vmx_ctls[CTL_PIN]);
	vmwrite(VMCS_PROC_BASED_CTLS, vmx_ctls[CTL_PROC]);
	vmwrite(VMCS_PROC_BASED_CTLS2, vmx_ctls[CTL_PROC2]);
	vmwrite(VMCS_EXIT_CTLS, vmx_ctls[CTL_EXIT]);
	vmwrite(VMCS_ENTRY_CTLS, vmx_ctls[CTL_ENTRY]);
	vmwrite(VMCS_VPID, x->vpid);
	vmwrite(VMCS_EPT_POINTER, vmx_eptp(v->partition));
	vmwrite(VMCS_IO_BITMAP_A, ptr_hpa(v->partition->native_ports).v);
	vmwrite(VMCS_IO_BITMAP_B,
		ptr_hpa(v->partition->native_ports).v + PAGE_SIZE);
	vmwrite(VMCS_MSR_BITMAP, ptr_hpa(v->partition->native_msrs).v);
	vmwrite(VMCS_TSC_OFFSET, v->tsc_offset);
}

/**
 * hvm_ops.vcpu_reset: the whole VMCS anew, guest state as s says. s has been
 * checked. On v's CPU.
 */
void vmx_vcpu_reset(struct vcpu *v, const struct vcpu_start *s)
{
	struct vmx_vcpu *x = v->backend;

	vmclear(x->vmcs);
	if (this_cpu()->backend_current == x) {
		this_cpu()->backend_current = NULL;
	}
	__builtin_memset(&x->g, 0, sizeof(x->g));
	x->launched = 0;
	x->entry_failed = false;
	(void)vmx_load(v);
	apply(init_common, ARRAY_SIZE(init_common));
	set_controls(v, x);
	set_host_state();
	if (s->kind == VCPU_RESET_LONG) {
		apply(init_long, ARRAY_SIZE(init_long));
		vmwrite(VMCS_GUEST_GDTR_BASE, s->gdt);
		vmwrite(VMCS_GUEST_RIP, s->rip);
		vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED |
			(s->interrupts ? RFLAGS_IF : 0));
		vmwrite(VMCS_GUEST_CR3, s->cr3);
		vmx_vcpu_set(v, VCPU_EFER, EFER_LME | EFER_LMA);
		vmx_vcpu_set(v, VCPU_CR4, CR4_PAE);
		vmx_vcpu_set(v, VCPU_CR0, CR0_PG | CR0_PE | CR0_ET | CR0_NE);
	} else {
		apply(init_real, ARRAY_SIZE(init_real));
		vmwrite(VMCS_GUEST_CS_SELECTOR, (uint64_t)s->sipi_vector << 8);
		vmwrite(VMCS_GUEST_CS_BASE, (uint64_t)s->sipi_vector << 12);
		vmx_vcpu_set(v, VCPU_EFER, 0);
		vmx_vcpu_set(v, VCPU_CR4, 0);
		vmx_vcpu_set(v, VCPU_CR0, CR0_ET | CR0_CD | CR0_NW);
	}
	/* INVEPT before the first entry; setting CR4 has dropped this VPID's
	 * translations of an earlier start */
	v->gpm_epoch = 0;
}

/* What a guest's state is in a VMCS: stretches of fields, whose encodings are
 * two apart. The controls are those that depend on it. */
static const struct {
	enum vmcs_field first;
	uint32_t count;
} guest_fields[] = {
	{ VMCS_GUEST_ES_SELECTOR, 8 },
	{ VMCS_GUEST_IA32_DEBUGCTL, 3 },	/* PAT, EFER */
	{ VMCS_PROC_BASED_CTLS, 1 }, { VMCS_ENTRY_CTLS, 1 },
	{ VMCS_ENTRY_INTR_INFO, 3 },		/* error, length */
	{ VMCS_GUEST_ES_LIMIT, 20 },	/* access rights, interruptibility,
					 * activity */
	{ VMCS_GUEST_SYSENTER_CS, 1 }, { VMCS_CR0_SHADOW, 2 },
	{ VMCS_GUEST_CR0, 20 },	/* CRs, bases, DR7, RSP to SYSENTER_EIP */
};

/**
 * hvm_ops.vcpu_copy. A VMCS can be read only where it is current, so to lay it
 * open is to write it down.
 */
void vmx_vcpu_copy(struct vcpu *v, const struct vcpu *from)
{
	const struct vmx_vcpu *f = from ? from->backend : NULL;
	struct vmx_vcpu *x = vmx_load(v);
	uint32_t i, k, n = 0;

	for (i = 0; i < ARRAY_SIZE(guest_fields); i++) {
		for (k = 0; k < guest_fields[i].count; k++, n++) {
			enum vmcs_field field = guest_fields[i].first + 2 * k;

			if (f) {
				vmwrite(field, f->open.field[n]);
			} else {
				x->open.field[n] = vmread(field);
			}
		}
	}
	if (!f) {
		x->g.kernel_gs_base = rdmsr(MSR_IA32_KERNEL_GS_BASE);
		x->open.g = x->g;
		return;
	}
	x->g = f->open.g;
	wrmsr(MSR_IA32_KERNEL_GS_BASE, x->g.kernel_gs_base);
	if (x->g.syscalls) {
		vmx_load_syscalls(x);
	}
}

/* A field of a guest that is laid open. */
static uint64_t *open_field(struct vmx_open *o, enum vmcs_field field)
{
	uint32_t i, n = 0;

	for (i = 0; field < guest_fields[i].first || field >=
	     guest_fields[i].first + 2 * guest_fields[i].count; i++) {
		n += guest_fields[i].count;
	}
	return &o->field[n + (field - guest_fields[i].first) / 2];
}

/**
 * hvm_ops.vcpu_record. The controls are ours again, and what follows from the
 * rest; what else a VM entry refuses ends the child.
 */
bool vmx_vcpu_record(struct vcpu *v, void *record, bool load)
{
	struct vmx_open *o = &((struct vmx_vcpu *)v->backend)->open;
	uint64_t *efer = open_field(o, VMCS_GUEST_IA32_EFER);
	uint64_t *cr4 = open_field(o, VMCS_GUEST_CR4);

	_Static_assert(sizeof(*o) <= HVM_RECORD_BYTES, "a record");
	__builtin_memcpy(load ? (void *)o : record, load ? record : (void *)o,
			 sizeof(*o));
	if (!load) {
		return true;
	}
	*open_field(o, VMCS_PROC_BASED_CTLS) = vmx_ctls[CTL_PROC];
	*open_field(o, VMCS_ENTRY_CTLS) = vmx_ctls[CTL_ENTRY] |
		(*efer & EFER_LMA ? ENTRY_IA32E : 0);
	*open_field(o, VMCS_GUEST_IA32_DEBUGCTL) = 0;
	*open_field(o, VMCS_GUEST_ACTIVITY) = 0;
	*cr4 &= ~(CR4_VMXE | CR4_MCE);
	o->g.event_pending = (*open_field(o, VMCS_ENTRY_INTR_INFO) &
			      INTR_INFO_VALID) != 0;
	o->g.window = false;
	o->g.syscalls = (*efer & EFER_SCE) != 0;
	if (!cr_valid(*open_field(o, VMCS_GUEST_CR0), *cr4, *efer,
		      *open_field(o, VMCS_GUEST_IA32_PAT)) ||
	    !syscall_valid(o->g.syscall_msr) || !canonical(o->g.kernel_gs_base)) {
		return false;
	}
	*cr4 |= read_cr4() & (CR4_VMXE | CR4_MCE);
	return true;
}

/* A CR as the guest reads it. [SDM3 "Guest/Host Masks and Read Shadows for CR0
 * and CR4"] */
static uint64_t shadowed(enum vmcs_field real, enum vmcs_field shadow,
			 uint64_t guest_owned)
{
	return (vmread(real) & guest_owned) | (vmread(shadow) & ~guest_owned);
}

/* Registers that are just a field; those whose writes mean more are in
 * vmx_vcpu_set(). */
static const uint16_t plain_field[] = {
	[VCPU_RIP] = VMCS_GUEST_RIP, [VCPU_RSP] = VMCS_GUEST_RSP,
	[VCPU_RFLAGS] = VMCS_GUEST_RFLAGS, [VCPU_CR3] = VMCS_GUEST_CR3,
	[VCPU_EFER] = VMCS_GUEST_IA32_EFER, [VCPU_DR7] = VMCS_GUEST_DR7,
	[VCPU_PAT] = VMCS_GUEST_IA32_PAT, [VCPU_CS_ATTR] = VMCS_GUEST_CS_AR,
	[VCPU_CS_BASE] = VMCS_GUEST_CS_BASE,
	[VCPU_TSC_OFFSET] = VMCS_TSC_OFFSET,
};

/** hvm_ops.vcpu_get: the value as the guest would see it. On v's CPU. */
uint64_t vmx_vcpu_get(struct vcpu *v, enum vcpu_reg reg)
{
	(void)vmx_load(v);
	switch (reg) {
	case VCPU_CR0:
		return shadowed(VMCS_GUEST_CR0, VMCS_CR0_SHADOW,
				CR0_GUEST_OWNED);
	case VCPU_CR4:
		return shadowed(VMCS_GUEST_CR4, VMCS_CR4_SHADOW,
				CR4_GUEST_OWNED);
	case VCPU_CPL:
		/* SS.DPL is the CPL [SDM3 "Guest Register State"] */
		return vmread(VMCS_GUEST_SS_AR) >> 5 & 3;
	case VCPU_KERNEL64:
		return !(vmread(VMCS_GUEST_SS_AR) >> 5 & 3) &&
		       (vmread(VMCS_GUEST_IA32_EFER) & EFER_LMA) &&
		       (vmread(VMCS_GUEST_CS_AR) & AR_L);
	case VCPU_STAR ... VCPU_FMASK:
		return ((struct vmx_vcpu *)v->backend)
			->g.syscall_msr[reg - VCPU_STAR];
	default:
		return reg < ARRAY_SIZE(plain_field) ?
		       vmread(plain_field[reg]) : 0;
	}
}

/* The entry control "IA-32e mode guest" must agree with LMA. */
static void set_efer(uint64_t value)
{
	uint64_t entry = vmread(VMCS_ENTRY_CTLS) & ~(uint64_t)ENTRY_IA32E;

	vmwrite(VMCS_GUEST_IA32_EFER, value);
	if (!(value & EFER_LMA)) {
		vmwrite(VMCS_ENTRY_CTLS, entry);
		return;
	}
	vmwrite(VMCS_ENTRY_CTLS, entry | ENTRY_IA32E);
	/* a guest that comes with a 16-bit TSS must not make entries fail
	 * [SDM3 "Checks on Guest Segment Registers"] */
	vmwrite(VMCS_GUEST_TR_AR, vmread(VMCS_GUEST_TR_AR) | (AR_TYPE &
							AR_TSS_BUSY));
}

/* Turns exits by a primary control on or off. */
static void set_proc(uint64_t control, bool on)
{
	uint64_t proc = vmread(VMCS_PROC_BASED_CTLS);

	vmwrite(VMCS_PROC_BASED_CTLS, on ? proc | control : proc & ~control);
}

/** hvm_ops.vcpu_set: values have been checked by the caller. On v's CPU. */
void vmx_vcpu_set(struct vcpu *v, enum vcpu_reg reg, uint64_t value)
{
	struct vmx_vcpu *x = vmx_load(v);

	switch (reg) {
	case VCPU_CR0:
		/* a change of paging drops the translations of this VPID
		 * [SDM3 "Operations that Invalidate TLBs and
		 * Paging-Structure Caches"] */
		if ((vmread(VMCS_GUEST_CR0) ^ value) & CR0_PG) {
			vmx_flush_vpid(x->vpid);
		}
		/* caches stay on whatever the guest thinks [XSA-60]; NE and ET
		 * are fixed */
		vmwrite(VMCS_GUEST_CR0, (value & ~(CR0_CD | CR0_NW)) |
			CR0_NE | CR0_ET);
		vmwrite(VMCS_CR0_SHADOW, value);
		break;
	case VCPU_CR4:
		vmx_flush_vpid(x->vpid);	/* as for CR0.PG; it is rare */
		/* VMX operation wants VMXE, and machine checks are the
		 * machine's; the guest reads its own value */
		vmwrite(VMCS_GUEST_CR4, value | (vmread(VMCS_HOST_CR4) &
						 (CR4_VMXE | CR4_MCE)));
		vmwrite(VMCS_CR4_SHADOW, value);
		break;
	case VCPU_EFER:
		set_efer(value);
		x->g.syscalls = (value & EFER_SCE) != 0;
		if (x->g.syscalls) {
			vmx_load_syscalls(x);
		}
		break;
	case VCPU_STAR ... VCPU_FMASK:
		x->g.syscall_msr[reg - VCPU_STAR] = value;
		if (x->g.syscalls) {
			vmx_load_syscalls(x);
		}
		break;
	case VCPU_DR_EXITS:
		set_proc(PROC_MOV_DR_EXIT, value);
		break;
	default:
		if (reg < ARRAY_SIZE(plain_field) && plain_field[reg]) {
			vmwrite(plain_field[reg], value);
		}
		break;
	}
}

/* Entries refuse what blocking forbids. [SDM3 "Checks on Guest Non-Register
 * State"] */
static bool can_take(const struct vm_event *ev)
{
	uint64_t block = vmread(VMCS_GUEST_INTERRUPTIBILITY);

	return ev->type == VM_EVENT_EXCEPTION ||
	       (!(block & GUEST_BLOCK_SHADOW) &&
		(ev->type == VM_EVENT_NMI ? !(block & GUEST_BLOCK_NMI) :
		 (vmread(VMCS_GUEST_RFLAGS) & RFLAGS_IF) != 0));
}

/**
 * hvm_ops.vcpu_inject: false if the guest cannot take it now, or another event
 * waits, e.g. one whose delivery an exit has broken off. An exit tells when an
 * NMI can be taken: behind the IRET that ends their blocking; behind STI's shadow,
 * through which some processors would exit for ever, by the window of interrupts.
 * On v's CPU. [SDM3 "Other Causes of VM Exits": NMI-window exiting]
 */
bool vmx_vcpu_inject(struct vcpu *v, struct vm_event ev)
{
	struct vmx_vcpu *x = vmx_load(v);

	if (x->g.event_pending || !can_take(&ev)) {
		if (ev.type == VM_EVENT_NMI) {
			set_proc(vmread(VMCS_GUEST_INTERRUPTIBILITY) & GUEST_BLOCK_STI ?
				 PROC_INTR_WINDOW : PROC_NMI_WINDOW, true);
		}
		return false;
	}
	if (ev.has_error) {
		vmwrite(VMCS_ENTRY_EXCEPTION_ERROR, ev.error);
	}
	vmwrite(VMCS_ENTRY_INTR_INFO, INTR_INFO_VALID | ev.vector |
		(uint32_t)ev.type << 8 | (ev.has_error ? INTR_INFO_ERROR : 0));
	x->g.event_pending = true;
	return true;
}

/** No more exits for windows, of either kind. x's VMCS is current. */
void vmx_close_windows(struct vmx_vcpu *x)
{
	set_proc(PROC_INTR_WINDOW | PROC_NMI_WINDOW, false);
	x->g.window = false;
}

/**
 * hvm_ops.vcpu_intr_window: until the next VM_EXIT_INTR_WINDOW. Often asked
 * for again: x->g.window spares the VMWRITE.
 */
void vmx_vcpu_intr_window(struct vcpu *v)
{
	struct vmx_vcpu *x = vmx_load(v);

	if (!x->g.window) {
		set_proc(PROC_INTR_WINDOW, true);
		x->g.window = true;
	}
}

/* next is beyond a 2 GiB boundary. Outside 64-bit mode it wraps at 4 GiB. Behind
 * an instruction that ends where the canonical addresses do, the guest's next fetch
 * is #GP; a VM entry takes that RIP, as it looks at bits 63:N alone [SDM3 "Checks on
 * Guest RIP, RFLAGS, and SSP"]. */
static uint64_t wrapped_rip(uint64_t next)
{
	return vmread(VMCS_GUEST_CS_AR) & AR_L ? next : (uint32_t)next;
}

/* The trap after an instruction that an exit has completed; not after INT1, whose
 * #DB waits already, and clears TF as it is delivered. The processor's own record of
 * it, which Bochs leaves, must not raise it twice. [SDM3 "Single-Step Exception
 * Condition"] */
static NOINLINE void single_step(struct vcpu *v)
{
	struct vm_event ev = {
		.type = VM_EVENT_EXCEPTION, .vector = X86_EXC_DB,
	};

	vmwrite(VMCS_GUEST_PENDING_DEBUG, 0);
	if (vmx_vcpu_inject(v, ev)) {
		vcpu_load_dr(v);
		write_dr6(read_dr6() | DR6_BS);
	}
}

/* The rest, once RIP is next. */
static inline void step_to(struct vcpu *v, uint32_t len, uint64_t next)
{
	uint64_t block = vmread(VMCS_GUEST_INTERRUPTIBILITY);

	vmwrite(VMCS_GUEST_RIP, next);
	if (block & GUEST_BLOCK_SHADOW) {
		vmwrite(VMCS_GUEST_INTERRUPTIBILITY,
			block & ~GUEST_BLOCK_SHADOW);
	}
	if ((vmread(VMCS_GUEST_RFLAGS) & RFLAGS_TF) && len) {
		single_step(v);
	}
}

/* The parts of vmx_vcpu_advance_rip() that are seldom. */
static NOINLINE void advance_far(struct vcpu *v, uint64_t rip, uint32_t len)
{
	uint64_t next = rip + len;

	(void)vmx_load(v);
	if ((rip ^ next) >> 31) {
		next = wrapped_rip(next);
	}
	step_to(v, len, next);
}

/** hvm_ops.vcpu_advance_rip. After most exits: no register is saved here. */
void vmx_vcpu_advance_rip(struct vcpu *v, uint64_t rip, uint32_t len)
{
	uint64_t next = rip + len;

	if (this_cpu()->backend_current == v->backend &&
	    !((rip ^ next) >> 31)) {
		step_to(v, len, next);
	} else {
		advance_far(v, rip, len);
	}
}

#define F(n)	{ VMCS_##n, #n }
static const struct {
	enum vmcs_field field;
	const char *name;
} dump_fields[] = {
	F(INSN_ERROR), F(EXIT_REASON), F(EXIT_QUALIFICATION),
	F(GUEST_PHYSICAL_ADDRESS), F(EXIT_INTR_INFO), F(IDT_VECTORING_INFO),
	F(EXIT_INSN_LEN), F(ENTRY_INTR_INFO), F(ENTRY_CTLS), F(EXIT_CTLS),
	F(PIN_BASED_CTLS), F(PROC_BASED_CTLS), F(PROC_BASED_CTLS2),
	F(GUEST_CR0), F(GUEST_CR4), F(GUEST_IA32_EFER), F(GUEST_RFLAGS),
	F(GUEST_INTERRUPTIBILITY), F(GUEST_ACTIVITY), F(GUEST_PENDING_DEBUG),
	F(GUEST_CS_SELECTOR), F(GUEST_CS_AR), F(GUEST_CS_BASE), F(GUEST_SS_AR),
	F(GUEST_TR_AR), F(GUEST_LDTR_AR),
};

/**
 * hvm_ops.dump: what tells most; the rules only after a refused entry. On v's
 * CPU.
 */
void vmx_dump(struct vcpu *v)
{
	struct vmx_vcpu *x = vmx_load(v);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(dump_fields); i++) {
		log_write("  VMCS %s %#lx", dump_fields[i].name,
			  vmread(dump_fields[i].field));
	}
	if (x->entry_failed) {
		vmx_check_log();
	}
}
