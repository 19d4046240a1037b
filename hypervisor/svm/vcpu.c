/* SPDX-License-Identifier: MIT */
/*
 * vCPU state in the VMCB: initial state as constants, registers, events, and
 * the instruction facts that poorer processors leave to us. The VMCB is memory
 * of the hypervisor's, used by the vCPU's CPU alone; clean bits are not used,
 * so every VMRUN reads all of it.
 */
#include <hv.h>
#include <percpu.h>
#include <x86.h>
#include "svm.h"

/* Attributes as in descriptors, the two nibbles put together.
 * [APM2 "Segment State in the VMCB"] */
#define ATTR_CODE64	0x0a9bu
#define ATTR_CODE16	0x009bu
#define ATTR_DATA32	0x0c93u
#define ATTR_DATA16	0x0093u
#define ATTR_TSS_BUSY	0x008bu
/* Of the state save area, up to what is not used here. */
#define STATE_BYTES	(offsetof(struct vmcb, dbgctl) - offsetof(struct vmcb, es))

#define ATTR_LDT	0x0082u

/* Constant for every vCPU and every start; each intercept with its reason:
 * what belongs to the hypervisor, and what a guest must not have. */
static const struct vmcb init_common = {
	/* CR0, CR4: msr.c checks them, and the guest's CR4.MCE is not the
	 * real one; CR8: the TPR is virtual */
	.intercept_cr = CR_WRITE(0) | CR_WRITE(4) | CR_READ(4) | CR_READ(8) |
			CR_WRITE(8),
	.intercept_dr = ~0u,	/* see vcpu_load_dr() */
	/* #DB, #AC: see exit_exception(); #MC is the machine's */
	.intercept_exc = BIT32(X86_EXC_DB) | BIT32(X86_EXC_AC) |
			 BIT32(X86_EXC_MC),
	/* interrupts, NMI, INIT are the machine's; INVD would lose what others
	 * have written, a shutdown would reset all */
	.intercept_misc1 = MISC1(INTR) | MISC1(NMI) | MISC1(INIT) | MISC1(RDPMC) |
			   MISC1(CPUID) | MISC1(RSM) | MISC1(INVD) | MISC1(HLT) |
			   MISC1(INVLPGA) | MISC1(IOIO) | MISC1(MSR) |
			   MISC1(TASK_SWITCH) | MISC1(FERR_FREEZE) |
			   MISC1(SHUTDOWN),
	/* SVM's own instructions; caches and idle time are everybody's */
	.intercept_misc2 = MISC2(VMRUN) | MISC2(VMMCALL) | MISC2(VMLOAD) |
			   MISC2(VMSAVE) | MISC2(STGI) | MISC2(CLGI) |
			   MISC2(SKINIT) | MISC2(WBINVD) | MISC2(MONITOR) |
			   MISC2(MWAIT) | MISC2(XSETBV) | MISC2(RDPRU),
	/* the guest's IF does not hold back the machine's interrupts */
	.int_ctl = INT_CTL_V_INTR_MASKING,
	.np_enable = 1,
	.gdtr = { .limit = 0xffff }, .idtr = { .limit = 0xffff },
	.ldtr = { .limit = 0xffff, .attrib = ATTR_LDT },
	.tr = { .limit = 0xffff, .attrib = ATTR_TSS_BUSY },
	.dr6 = DR6_RESET, .dr7 = DR7_RESET,
	.rflags = RFLAGS_FIXED,
	.g_pat = PAT_RESET,
};

/* Machine checks are the machine's, whatever a guest says. */
static uint64_t machine_cr4(void)
{
	return read_cr4() & CR4_MCE;
}

/* The guest's own RAX is in v->regs between runs. */
static struct vmcb *vmcb_of(struct vcpu *v)
{
	return ((struct svm_vcpu *)v->backend)->vmcb;
}

static void set_data(struct vmcb *b, struct vmcb_seg s)
{
	b->es = b->ss = b->ds = b->fs = b->gs = s;
}

/* Flat segments with the boot protocols' selectors; see struct vcpu_start. */
static void reset_long(struct vmcb *b, const struct vcpu_start *s)
{
	set_data(b, (struct vmcb_seg){ 0x18, ATTR_DATA32, 0xffffffff, 0 });
	b->cs = (struct vmcb_seg){ 0x10, ATTR_CODE64, 0xffffffff, 0 };
	b->gdtr.base = s->gdt;
	b->gdtr.limit = 0x1f;
	b->rip = s->rip;
	b->rflags |= s->interrupts ? RFLAGS_IF : 0;
	b->cr3 = s->cr3;
	/* VMRUN wants SVME; svm_vcpu_get() hides it */
	b->efer = EFER_SVME | EFER_LME | EFER_LMA;
	b->cr4 = CR4_PAE;
	b->cr0 = CR0_PG | CR0_PE | CR0_ET | CR0_NE;
}

/* Start-up IPI. [APM2 "Processor Initialization State"] */
static void reset_real(struct vmcb *b, const struct vcpu_start *s)
{
	set_data(b, (struct vmcb_seg){ 0, ATTR_DATA16, 0xffff, 0 });
	b->cs = (struct vmcb_seg){ (uint16_t)(s->sipi_vector << 8),
				   ATTR_CODE16, 0xffff,
				   (uint64_t)s->sipi_vector << 12 };
	b->efer = EFER_SVME;
	b->cr0 = CR0_ET;
}

/* What is v's own for good, whatever state its guest is in. */
static void set_own(struct vcpu *v)
{
	const struct svm_vcpu *x = v->backend;
	struct vmcb *b = x->vmcb;

	b->iopm_base_pa = ptr_hpa(v->partition->native_ports).v;
	b->msrpm_base_pa = ptr_hpa(v->partition->native_msrs).v;
	b->tsc_offset = v->tsc_offset;
	b->guest_asid = x->asid;
	b->n_cr3 = v->partition->gpm_root.v;
	v->gpm_epoch = 0;	/* a flush before the first entry */
}

/**
 * hvm_ops.vcpu_reset: the whole VMCB anew, guest state as s says. s has been
 * checked. On v's CPU.
 */
void svm_vcpu_reset(struct vcpu *v, const struct vcpu_start *s)
{
	struct svm_vcpu *x = v->backend;
	struct vmcb *b = x->vmcb;

	*b = init_common;
	x->nmi_blocked = false;
	x->iret_rip = x->step_dr6 = 0;
	set_own(v);
	if (s->kind == VCPU_RESET_LONG) {
		reset_long(b, s);
	} else {
		reset_real(b, s);
	}
	b->cr4 |= machine_cr4();
	x->cr4_mce = 0;
}

/** hvm_ops.vcpu_copy: a VMCB is open to all CPUs as it is. */
void svm_vcpu_copy(struct vcpu *v, const struct vcpu *from)
{
	const struct svm_vcpu *f = from ? from->backend : NULL;
	struct svm_vcpu *x = v->backend;

	if (!f) {
		return;
	}
	*x->vmcb = *f->vmcb;
	x->nmi_blocked = f->nmi_blocked;
	x->cr4_mce = f->cr4_mce;
	x->iret_rip = f->iret_rip;
	set_own(v);
}

/**
 * hvm_ops.vcpu_record: four words, and the state save area as far as it is a
 * guest's. The controls are ours again.
 */
bool svm_vcpu_record(struct vcpu *v, void *record, bool load)
{
	struct svm_vcpu *x = v->backend;
	struct vmcb *b = x->vmcb;
	uint64_t *own = record, rule;

	_Static_assert(STATE_BYTES + 32 <= HVM_RECORD_BYTES, "a record");
	if (!load) {
		own[0] = b->int_state;
		own[1] = (uint64_t)b->eventinj_error << 32 | b->eventinj;
		own[2] = x->nmi_blocked;
		own[3] = x->cr4_mce;
		__builtin_memcpy(own + 4, &b->es, STATE_BYTES);
		return true;
	}
	*b = init_common;
	set_own(v);
	__builtin_memcpy(&b->es, own + 4, STATE_BYTES);
	b->int_state = own[0] & INT_STATE_SHADOW;
	b->eventinj = (uint32_t)own[1];
	b->eventinj_error = own[1] >> 32;
	x->nmi_blocked = own[2] & 1;
	x->iret_rip = 0;	/* it exits once more */
	b->intercept_misc1 |= x->nmi_blocked ? MISC1(IRET) : 0;
	x->cr4_mce = own[3] & CR4_MCE;
	b->cr4 = (b->cr4 & ~CR4_MCE) | machine_cr4();
	return b->cpl < 4 && syscall_valid(&b->star) &&
	       cr_valid(b->cr0, b->cr4, b->efer & ~EFER_SVME, b->g_pat) &&
	       !svm_check_vmcb(b, cpuid(0x80000008, 0).eax & 0xff, svm_asids, &rule);
}

/* Registers that are just 64 bits in the VMCB; those whose writes mean more are
 * in svm_vcpu_set(). */
static const uint16_t plain_field[] = {
	[VCPU_RIP] = offsetof(struct vmcb, rip),
	[VCPU_RSP] = offsetof(struct vmcb, rsp),
	[VCPU_RFLAGS] = offsetof(struct vmcb, rflags),
	[VCPU_CR0] = offsetof(struct vmcb, cr0),
	[VCPU_CR3] = offsetof(struct vmcb, cr3),
	[VCPU_DR7] = offsetof(struct vmcb, dr7),
	[VCPU_PAT] = offsetof(struct vmcb, g_pat),
	[VCPU_CS_BASE] = offsetof(struct vmcb, cs.base),
	[VCPU_TSC_OFFSET] = offsetof(struct vmcb, tsc_offset),
};

/* NULL: it is none of them. */
static uint64_t *plain(struct vmcb *b, enum vcpu_reg reg)
{
	return reg < ARRAY_SIZE(plain_field) && plain_field[reg] ?
	       (uint64_t *)((uint8_t *)b + plain_field[reg]) : NULL;
}

/** hvm_ops.vcpu_get: the value as the guest would see it. On v's CPU. */
uint64_t svm_vcpu_get(struct vcpu *v, enum vcpu_reg reg)
{
	const struct svm_vcpu *x = v->backend;
	struct vmcb *b = x->vmcb;

	switch (reg) {
	case VCPU_CR4:
		return (b->cr4 & ~CR4_MCE) | x->cr4_mce;
	case VCPU_EFER:
		return b->efer & ~EFER_SVME;
	case VCPU_CPL:
		return b->cpl;
	case VCPU_CS_ATTR:
		/* the neutral form has the two nibbles apart, as VT-x does */
		return (b->cs.attrib & 0xff) | (b->cs.attrib & 0xf00) << 4;
	case VCPU_KERNEL64:
		return b->cpl == 0 && (b->efer & EFER_LMA) &&
		       (b->cs.attrib & ATTR_L);
	case VCPU_STAR ... VCPU_FMASK:
		return (&b->star)[reg - VCPU_STAR];
	default:
		return plain(b, reg) ? *plain(b, reg) : 0;
	}
}

/** hvm_ops.vcpu_set: values have been checked by the caller. */
void svm_vcpu_set(struct vcpu *v, enum vcpu_reg reg, uint64_t value)
{
	struct svm_vcpu *x = v->backend;
	struct vmcb *b = x->vmcb;

	switch (reg) {
	case VCPU_CR0:
		/* caches stay on whatever the guest thinks [XSA-60]; a change
		 * of paging drops the guest's cached translations */
		if ((b->cr0 ^ value) & (CR0_PG | CR0_WP)) {
			v->gpm_epoch = 0;
		}
		b->cr0 = (value & ~(CR0_CD | CR0_NW)) | CR0_ET;
		break;
	case VCPU_CR4:
		x->cr4_mce = value & CR4_MCE;
		value |= machine_cr4();
		if (b->cr4 != value) {
			v->gpm_epoch = 0;
		}
		b->cr4 = value;
		break;
	case VCPU_EFER:
		b->efer = value | EFER_SVME;
		break;
	case VCPU_STAR ... VCPU_FMASK:
		(&b->star)[reg - VCPU_STAR] = value;
		break;
	case VCPU_DR_EXITS:
		b->intercept_dr = value ? ~0u : 0;
		break;
	default:
		if (plain(b, reg)) {
			*plain(b, reg) = value;
		}
		break;
	}
}

/* VMRUN itself injects whatever it is told, so this is looked at here. */
static bool can_take(const struct svm_vcpu *x, const struct vm_event *ev)
{
	return ev->type == VM_EVENT_EXCEPTION ||
	       (!(x->vmcb->int_state & INT_STATE_SHADOW) &&
		(ev->type == VM_EVENT_NMI ? !x->nmi_blocked :
		 (x->vmcb->rflags & RFLAGS_IF) != 0));
}

/**
 * hvm_ops.vcpu_inject: false if the guest cannot take it now, or another event
 * waits. An NMI blocks others from here on: see track_nmi(). One that comes
 * meanwhile is let in by a trap behind the IRET that stands next, as no exit tells
 * when that is done; not with IF set, as an interrupt's delivery would push our TF.
 * On v's CPU. [APM2 "Event Injection", "IRET Intercept"]
 */
bool svm_vcpu_inject(struct vcpu *v, struct vm_event ev)
{
	struct svm_vcpu *x = v->backend;
	struct vmcb *b = x->vmcb;

	if ((b->eventinj & EVENTINJ_VALID) || !can_take(x, &ev)) {
		if (ev.type == VM_EVENT_NMI && x->nmi_blocked && x->iret_rip == b->rip &&
		    !(b->rflags & (RFLAGS_IF | RFLAGS_TF))) {
			x->step_dr6 = b->dr6;
		}
		return false;
	}
	b->eventinj_error = ev.error;
	b->eventinj = EVENTINJ_VALID | ev.vector | (uint32_t)ev.type << 8 |
		      (ev.has_error ? EVENTINJ_ERROR : 0);
	if (ev.type == VM_EVENT_NMI) {
		x->nmi_blocked = true;
		x->iret_rip = 0;
		b->intercept_misc1 |= MISC1(IRET);
	}
	return true;
}

/** hvm_ops.vcpu_intr_window: a virtual interrupt that is never delivered;
 * its intercept tells that one could be. */
void svm_vcpu_intr_window(struct vcpu *v)
{
	struct vmcb *b = vmcb_of(v);

	b->int_ctl |= INT_CTL_V_IRQ | INT_CTL_V_IGN_TPR;
	b->intercept_misc1 |= MISC1(VINTR);
}

/** hvm_ops.vcpu_advance_rip. The trap may merge with a #DB that waits already.
 * [APM2 "Single-Step"] */
void svm_vcpu_advance_rip(struct vcpu *v, uint64_t rip, uint32_t len)
{
	const struct vm_event step = {
		.type = VM_EVENT_EXCEPTION, .vector = X86_EXC_DB,
	};
	struct vmcb *b = vmcb_of(v);

	b->rip = rip + len;
	b->int_state &= ~INT_STATE_SHADOW;
	if (len && (b->rflags & RFLAGS_TF)) {
		b->dr6 |= DR6_BS;
		(void)svm_vcpu_inject(v, step);
	}
}

/* The instruction at RIP, if it is the one that exited. */
static bool find_insn(struct vcpu *v, const struct vmcb *b,
		      struct svm_insn *insn)
{
	bool long_mode = (b->cs.attrib & ATTR_L) != 0;
	uint8_t bytes[FETCH_MAX];
	/* linear addresses have 32 bits outside 64-bit mode */
	uint32_t n = guest_fetch(v, long_mode ? b->rip :
				 (uint32_t)(b->rip + b->cs.base), b->cr3,
				 bytes, FETCH_MAX);

	return svm_insn_match(b->exitcode, b->exitinfo1, bytes, n, long_mode,
			      insn);
}

/* svm_complete() for what the processor has not told. */
static NOINLINE void complete_by_bytes(struct vcpu *v, const struct vmcb *b,
				       struct vm_exit *e)
{
	struct svm_insn insn;
	bool again = false;

	if (e->code == VM_EXIT_CR_ACCESS) {
		guest_fetch_forget(v);	/* operands: only the true bytes */
	}
	/* the kept translation may be out of date: once more with a new one */
	while (!find_insn(v, b, &insn)) {
		if (again) {
			e->code = e->code == VM_EXIT_CR_ACCESS ?
				  VM_EXIT_UNKNOWN : VM_EXIT_AGAIN;
			return;
		}
		again = true;
		guest_fetch_forget(v);
	}
	e->insn_len = insn.length;
	if (e->code == VM_EXIT_CR_ACCESS) {
		e->cr.gpr = insn.gpr;
		e->cr.clts = insn.clts;
		e->cr.lmsw = insn.lmsw;
		e->cr.lmsw_value = (uint16_t)(insn.gpr == 4 ? b->rsp :
					      (&v->regs.rax)[insn.gpr]);
	}
}

/**
 * Adds to an exit of SVM_INSTRUCTIONS what the processor may not have told: the
 * instruction's length, and which register a MOV to or from CR names. If the bytes are not the
 * instruction that exited, another vCPU has changed them, or the page's
 * mapping, meanwhile: VM_EXIT_AGAIN, and the processor finds what is there now.
 * Accesses to CRs, which no process makes, become VM_EXIT_UNKNOWN: of those
 * some forms are not known here.
 */
void svm_complete(struct vcpu *v, const struct vmcb *b, struct vm_exit *e)
{
	if (e->code == VM_EXIT_IO) {
		e->insn_len = (uint32_t)(b->exitinfo2 - b->rip);
	} else if (e->code == VM_EXIT_CR_ACCESS ?
		   (svm_features & SVM_DECODE) && (b->exitinfo1 >> 63) :
		   (svm_features & SVM_NRIP) != 0) {
		e->insn_len = (uint32_t)(b->nrip - b->rip);
	} else {
		complete_by_bytes(v, b, e);
	}
}

/**
 * hvm_ops.dump: the first rule of VMRUN that is violated, if one is, and what
 * tells most. On v's CPU.
 */
void svm_dump(struct vcpu *v)
{
	const struct vmcb *b = vmcb_of(v);
	uint64_t value;
	const char *why = svm_check_vmcb(b, cpuid(0x80000008, 0).eax & 0xff,
					 svm_asids, &value);

	if (why) {
		log_write("  VMRUN rule violated: %s (%#lx)", why, value);
	}
	log_write("  VMCB exitcode %#lx exitinfo1 %#lx exitinfo2 %#lx "
		  "exitintinfo %#x", b->exitcode, b->exitinfo1, b->exitinfo2,
		  b->exitintinfo);
	log_write("  VMCB eventinj %#x int_ctl %#x int_state %#lx asid %u "
		  "tlb_control %u n_cr3 %#lx", b->eventinj, b->int_ctl,
		  b->int_state, b->guest_asid, b->tlb_control, b->n_cr3);
	log_write("  VMCB cs %#x attrib %#x base %#lx ss attrib %#x tr attrib "
		  "%#x cpl %u", b->cs.selector, b->cs.attrib, b->cs.base,
		  b->ss.attrib, b->tr.attrib, b->cpl);
	log_write("  VMCB cr0 %#lx cr4 %#lx efer %#lx dr6 %#lx dr7 %#lx",
		  b->cr0, b->cr4, b->efer, b->dr6, b->dr7);
}
