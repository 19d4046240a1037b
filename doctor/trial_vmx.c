/* SPDX-License-Identifier: MIT */
/*
 * The trial's part for VT-x, with the controls that the hypervisor chooses
 * (vmx/vmx.c). Why an entry is refused the hypervisor's own rules say
 * (vmx/check.c), which are part of this program.
 */
#include <string.h>

#include <hv.h>
#include <x86.h>

#include "text/fmt.h"
#include "hypervisor/vmx/check.h"
#include "hypervisor/vmx/vmx.h"
#include "trial.h"

#define FEATURE_LOCK	BIT64(0)
#define FEATURE_VMXON	BIT64(2)
#define TIMER_TICKS	BIT64(20)	/* of the TSC */
#define EPT_TABLE	7ull		/* read, write, execute */
#define EPT_LEAF	(7ull | 6 << 3)	/* write-back */
#define AR_CODE64	0xa09bu
#define AR_CODE16	0x009bu
#define AR_DATA		0x0093u
#define AR_TSS		0x008bu
#define AR_UNUSABLE	BIT32(16)
#define SELECTOR	0xfff8u		/* of the host: no RPL, GDT */
#define TSS_IN_PAGE	3072u		/* as trap.c has it */

static struct trial *now;	/* whose entry is explained */
static uint32_t controls[5];	/* pin, proc, proc2, exit, entry */
static bool launched;
static uint64_t before_feature;

/* [SDM3 "VM-Instruction Error Numbers"] */
static const char *const instruction_error[] = {
	[2] = "VMCLEAR with an invalid address", [3] = "VMCLEAR with the VMXON region",
	[4] = "VMLAUNCH of a VMCS that is not clear", [5] = "VMRESUME of one not launched",
	[7] = "a control field is invalid", [8] = "a field of the host's state is invalid",
	[9] = "VMPTRLD with an invalid address", [10] = "VMPTRLD with the VMXON region",
	[11] = "VMPTRLD of a VMCS of another revision", [12] = "a VMCS field that there is not",
	[13] = "VMWRITE to a field that can only be read", [26] = "events blocked by MOV SS",
};

/* What vmx/check.c says; only the first line is kept. Its formats know '#'. */
void log_write(const char *format, ...)
{
	char plain[128], line[TRIAL_WHY];
	size_t n = 0;
	va_list ap;

	for (; *format != '\0' && n < sizeof(plain) - 3; format++) {
		if (format[0] == '%' && format[1] == '#') {
			plain[n++] = '0';
			plain[n++] = 'x';
			plain[n++] = '%';
			format++;
		} else if (*format != ' ' || n != 0) {
			plain[n++] = *format;
		}
	}
	plain[n] = '\0';
	va_start(ap, format);
	fmt_va(line, sizeof(line), plain, ap);
	va_end(ap);
	trial_why(now, "%s", line);
}

/* In the order of enum vmx_ctl. */
static const struct {
	uint32_t msr, want;
	const char *name;
} wanted[VMX_CTLS] = {
	{ MSR_IA32_VMX_PINBASED_CTLS, PIN_EXT_INTR_EXIT | PIN_NMI_EXIT |
	  PIN_VIRTUAL_NMIS | PIN_PREEMPTION_TIMER, "pin-based" },
	{ MSR_IA32_VMX_PROCBASED_CTLS, PROC_HLT_EXIT | PROC_IO_BITMAPS | PROC_MSR_BITMAPS |
	  PROC_SECONDARY, "processor-based" },
	{ MSR_IA32_VMX_PROCBASED_CTLS2, PROC2_EPT | PROC2_VPID | PROC2_UNRESTRICTED,
	  "secondary" },
	{ MSR_IA32_VMX_EXIT_CTLS, EXIT_SAVE_DEBUG | EXIT_HOST_64 | EXIT_SAVE_PAT |
	  EXIT_LOAD_PAT | EXIT_SAVE_EFER | EXIT_LOAD_EFER, "exit" },
	{ MSR_IA32_VMX_ENTRY_CTLS, ENTRY_LOAD_DEBUG | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER,
	  "entry" },
};

/* As vmx/vmx.c has it; for vmx/check.c, too. */
uint64_t vmx_ctl_cap(enum vmx_ctl c)
{
	bool true_ctls = c != CTL_PROC2 && (rdmsr(MSR_IA32_VMX_BASIC) & BIT64(55));

	return rdmsr(wanted[c].msr + (true_ctls ? VMX_TRUE_CTLS_OFFSET : 0));
}

static bool choose_controls(struct trial *t)
{
	for (uint32_t i = 0; i < VMX_CTLS; i++) {
		uint64_t cap = vmx_ctl_cap(i);

		if (!vmx_adjust_ctls(cap, wanted[i].want, 0, &controls[i])) {
			trial_why(t, "the %s controls allow 0x%lx, 0x%x are needed",
				  wanted[i].name, cap >> 32, wanted[i].want);
			return false;
		}
	}
	return true;
}

static bool vmxon(uint64_t region)
{
	uint8_t failed;

	__asm__ volatile("vmxon %1; setna %0" : "=r"(failed) : "m"(region) : "cc", "memory");
	return !failed;
}

/* VMX operation; an unlocked IA32_FEATURE_CONTROL is locked, as the hypervisor
 * does it, and stays so until the power is off. */
static bool vmx_on(const struct trial_job *job)
{
	struct trial *t = &job->cpu->trial;
	uint32_t revision = (uint32_t)rdmsr(MSR_IA32_VMX_BASIC) & 0x7fffffff;

	now = t;
	before_feature = rdmsr(MSR_IA32_FEATURE_CONTROL);
	if ((before_feature & FEATURE_LOCK) == 0) {
		wrmsr(MSR_IA32_FEATURE_CONTROL, before_feature | FEATURE_LOCK | FEATURE_VMXON);
	} else if ((before_feature & FEATURE_VMXON) == 0) {
		trial_why(t, "VT-x is locked off (IA32_FEATURE_CONTROL is 0x%lx)", before_feature);
		return false;
	}
	if (!choose_controls(t)) {
		return false;
	}
	write_cr0((read_cr0() | rdmsr(MSR_IA32_VMX_CR0_FIXED0)) & rdmsr(MSR_IA32_VMX_CR0_FIXED1));
	write_cr4(((read_cr4() | CR4_VMXE) | rdmsr(MSR_IA32_VMX_CR4_FIXED0)) &
		  rdmsr(MSR_IA32_VMX_CR4_FIXED1));
	memset(trial_page(job, PAGE_REGION), 0, PAGE_SIZE);
	memcpy(trial_page(job, PAGE_REGION), &revision, sizeof(revision));
	memset(trial_page(job, PAGE_CONTROL), 0, PAGE_SIZE);
	memcpy(trial_page(job, PAGE_CONTROL), &revision, sizeof(revision));
	if (!vmxon((uint64_t)trial_page(job, PAGE_REGION))) {
		trial_why(t, "VMXON failed");
		return false;
	}
	trial_tables(job, EPT_TABLE, EPT_LEAF);
	return true;
}

/* What a new region holds is the processor's business. [SDM3 "Initializing a
 * VMCS"] */
static void put_zeros(void)
{
	static const uint16_t zero[] = {
		VMCS_PF_ERROR_MASK, VMCS_PF_ERROR_MATCH, VMCS_CR3_TARGET_COUNT,
		VMCS_EXIT_MSR_STORE_COUNT, VMCS_EXIT_MSR_LOAD_COUNT, VMCS_ENTRY_MSR_LOAD_COUNT,
		VMCS_ENTRY_INTR_INFO, VMCS_TSC_OFFSET, VMCS_CR0_MASK, VMCS_CR4_MASK,
		VMCS_CR0_SHADOW, VMCS_CR4_SHADOW, VMCS_GUEST_IA32_DEBUGCTL,
		VMCS_GUEST_INTERRUPTIBILITY, VMCS_GUEST_ACTIVITY, VMCS_GUEST_PENDING_DEBUG,
		VMCS_GUEST_SYSENTER_CS, VMCS_GUEST_SYSENTER_ESP, VMCS_GUEST_SYSENTER_EIP,
		VMCS_GUEST_GDTR_BASE, VMCS_GUEST_IDTR_BASE, VMCS_GUEST_RSP,
	};

	for (uint32_t i = 0; i < ARRAY_SIZE(zero); i++) {
		vmwrite(zero[i], 0);
	}
}

static void put_controls(const struct trial_job *job)
{
	vmwrite(VMCS_PIN_BASED_CTLS, controls[0]);
	vmwrite(VMCS_PROC_BASED_CTLS, controls[1]);
	vmwrite(VMCS_PROC_BASED_CTLS2, controls[2]);
	vmwrite(VMCS_EXIT_CTLS, controls[3]);
	vmwrite(VMCS_VPID, 1);
	vmwrite(VMCS_EPT_POINTER, (uint64_t)trial_page(job, PAGE_TABLE) | 6 | 3 << 3);
	vmwrite(VMCS_IO_BITMAP_A, (uint64_t)trial_page(job, PAGE_BITMAP));
	vmwrite(VMCS_IO_BITMAP_B, (uint64_t)trial_page(job, PAGE_BITMAP + 1));
	vmwrite(VMCS_MSR_BITMAP, (uint64_t)trial_page(job, PAGE_BITMAP + 2));
	vmwrite(VMCS_LINK_POINTER, ~0ull);
	vmwrite(VMCS_EXCEPTION_BITMAP, ~0u);
}

static uint64_t segment(uint32_t n)
{
	uint64_t v;

	switch (n) {
	case 0: __asm__ volatile("mov %%es, %0" : "=r"(v)); break;
	case 1: __asm__ volatile("mov %%cs, %0" : "=r"(v)); break;
	case 2: __asm__ volatile("mov %%ss, %0" : "=r"(v)); break;
	case 3: __asm__ volatile("mov %%ds, %0" : "=r"(v)); break;
	case 4: __asm__ volatile("mov %%fs, %0" : "=r"(v)); break;
	case 5: __asm__ volatile("mov %%gs, %0" : "=r"(v)); break;
	default: __asm__ volatile("str %0" : "=r"(v)); break;
	}
	return v & SELECTOR;
}

/* What an exit loads: this CPU as it is, with our GDT, IDT and TSS. */
static void put_host(const struct trial_job *job)
{
	struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t base;
	} idtr;

	__asm__ volatile("sidt %0" : "=m"(idtr));
	for (uint32_t i = 0; i < 7; i++) {
		vmwrite(VMCS_HOST_ES_SELECTOR + 2 * i, segment(i));
	}
	vmwrite(VMCS_HOST_CR0, read_cr0());
	vmwrite(VMCS_HOST_CR3, read_cr3());
	vmwrite(VMCS_HOST_CR4, read_cr4());
	vmwrite(VMCS_HOST_IA32_EFER, rdmsr(MSR_IA32_EFER));
	vmwrite(VMCS_HOST_IA32_PAT, rdmsr(MSR_IA32_PAT));
	vmwrite(VMCS_HOST_FS_BASE, rdmsr(MSR_IA32_FS_BASE));
	vmwrite(VMCS_HOST_GS_BASE, rdmsr(MSR_IA32_GS_BASE));
	vmwrite(VMCS_HOST_SYSENTER_CS, rdmsr(MSR_IA32_SYSENTER_CS));
	vmwrite(VMCS_HOST_SYSENTER_ESP, rdmsr(MSR_IA32_SYSENTER_ESP));
	vmwrite(VMCS_HOST_SYSENTER_EIP, rdmsr(MSR_IA32_SYSENTER_EIP));
	vmwrite(VMCS_HOST_TR_BASE, (uint64_t)trial_page(job, PAGE_WORLD) + TSS_IN_PAGE);
	vmwrite(VMCS_HOST_GDTR_BASE, (uint64_t)trial_page(job, PAGE_WORLD));
	vmwrite(VMCS_HOST_IDTR_BASE, idtr.base);
}

/* The guest: in real mode, as after a start-up IPI, or in long mode. */
static void put_guest(bool long_mode)
{
	uint64_t cr0 = long_mode ? CR0_PG | CR0_PE | CR0_ET | CR0_NE : CR0_ET | CR0_NE;
	uint64_t cr4 = long_mode ? CR4_PAE : 0;
	uint64_t free_mode = CR0_PE | CR0_PG;	/* unrestricted guest */

	for (uint32_t i = 0; i < 8; i++) {
		vmwrite(VMCS_GUEST_ES_SELECTOR + 2 * i, 0);
		vmwrite(VMCS_GUEST_ES_BASE + 2 * i, 0);
		vmwrite(VMCS_GUEST_ES_LIMIT + 2 * i, 0xffff);
		vmwrite(VMCS_GUEST_ES_AR + 2 * i, AR_DATA);
	}
	vmwrite(VMCS_GUEST_CS_AR, long_mode ? AR_CODE64 : AR_CODE16);
	vmwrite(VMCS_GUEST_CS_LIMIT, long_mode ? 0xffffffff : 0xffff);
	vmwrite(VMCS_GUEST_LDTR_AR, AR_UNUSABLE);
	vmwrite(VMCS_GUEST_TR_AR, AR_TSS);
	vmwrite(VMCS_GUEST_GDTR_LIMIT, 0xffff);
	vmwrite(VMCS_GUEST_IDTR_LIMIT, 0xffff);
	vmwrite(VMCS_GUEST_CR0, cr0 | (rdmsr(MSR_IA32_VMX_CR0_FIXED0) & ~free_mode));
	vmwrite(VMCS_GUEST_CR4, cr4 | rdmsr(MSR_IA32_VMX_CR4_FIXED0));
	vmwrite(VMCS_GUEST_CR3, long_mode ? GUEST_ROOT : 0);
	vmwrite(VMCS_GUEST_IA32_EFER, long_mode ? EFER_LME | EFER_LMA : 0);
	vmwrite(VMCS_GUEST_IA32_PAT, PAT_RESET);
	vmwrite(VMCS_GUEST_DR7, DR7_RESET);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED);
	vmwrite(VMCS_ENTRY_CTLS, controls[4] | (long_mode ? ENTRY_IA32E : 0));
}

static void vmx_begin(const struct trial_job *job, bool long_mode)
{
	hpa_t vmcs = HPA((uint64_t)trial_page(job, PAGE_CONTROL));
	uint32_t revision = (uint32_t)rdmsr(MSR_IA32_VMX_BASIC) & 0x7fffffff;

	vmclear(vmcs);
	memset(trial_page(job, PAGE_CONTROL), 0, PAGE_SIZE);
	memcpy(trial_page(job, PAGE_CONTROL), &revision, sizeof(revision));
	vmclear(vmcs);
	vmptrld(vmcs);
	launched = false;
	put_zeros();
	put_controls(job);
	put_host(job);
	put_guest(long_mode);
}

/* Which rule was broken; the number alone, in words, if none is known. */
static enum seen refused(struct trial *t, bool instruction)
{
	uint32_t error = (uint32_t)vmread(VMCS_INSN_ERROR);
	uint32_t reason = (uint32_t)vmread(VMCS_EXIT_REASON) & 0xffff;
	bool known = error < ARRAY_SIZE(instruction_error) && instruction_error[error] != NULL;

	vmx_check_log();
	if (instruction) {
		trial_why(t, "VM-instruction error %u: %s", error,
			  known ? instruction_error[error] : "see the SDM");
	} else {
		trial_why(t, "exit reason %u at VM entry: %s", reason,
			  reason == 33 ? "invalid guest state" : reason == 34 ?
			  "an MSR could not be loaded" : "machine check");
	}
	return SEEN_REFUSED;
}

static enum seen vmx_step(const struct trial_job *job, uint64_t rip)
{
	struct trial *t = &job->cpu->trial;
	uint32_t shift = (uint32_t)rdmsr(MSR_IA32_VMX_MISC) & 0x1f, reason;

	now = t;
	t->timer_asked = TIMER_TICKS;
	vmwrite(VMCS_GUEST_RIP, rip);
	vmwrite(VMCS_PREEMPTION_TIMER, TIMER_TICKS >> shift);
	if (trial_vmx_enter(launched) != 0) {
		return refused(t, true);
	}
	reason = (uint32_t)vmread(VMCS_EXIT_REASON);
	if ((reason & VMX_EXIT_ENTRY_FAILURE) != 0) {
		return refused(t, false);
	}
	launched = true;
	switch (reason) {
	case VMX_EXIT_REASON_CPUID:
		return SEEN_CPUID;
	case VMX_EXIT_REASON_HLT:
		return SEEN_HLT;
	case VMX_EXIT_REASON_PREEMPTION_TIMER:
		return SEEN_TIMER;
	case VMX_EXIT_REASON_EPT_VIOLATION:
		if (vmread(VMCS_GUEST_PHYSICAL_ADDRESS) == GUEST_NOTHING) {
			return SEEN_NOTHING;
		}
		break;
	default:
		break;
	}
	trial_why(t, "unexpected exit reason %u, qualification 0x%lx, at 0x%lx", reason,
		  vmread(VMCS_EXIT_QUALIFICATION), vmread(VMCS_GUEST_RIP));
	return SEEN_OTHER;
}

/* A reserved bit of RFLAGS that must be 1. */
static void vmx_spoil(const struct trial_job *job)
{
	(void)job;
	vmwrite(VMCS_GUEST_RFLAGS, 0);
}

static void vmx_off(const struct trial_job *job)
{
	if (job->cpu->trial.step >= TRIAL_ON) {
		vmclear(HPA((uint64_t)trial_page(job, PAGE_CONTROL)));
		__asm__ volatile("vmxoff" : : : "cc");
	}
}

const struct trial_ops trial_vmx = {
	.on = vmx_on, .begin = vmx_begin, .enter = vmx_step,
	.spoil = vmx_spoil, .off = vmx_off, .timer = true,
};
