/* SPDX-License-Identifier: MIT */
/*
 * A run of the VT-x backend: the flush that a new epoch asks for, and when it is
 * said; the time limit; the MSRs that no VMCS field switches; the event that an
 * exit has broken off. INVEPT and INVVPID end in a signal here, which counts
 * them. (hv_vmcs_test.c: registers and injection.)
 */
#include <signal.h>
#include <ucontext.h>

#include "hv_fakes.h"
#include "hypervisor/vmx/vmx.h"

static uint64_t vmcs[3][0x8000], *current, msr[0x1000], dr6;
static struct partition part;
static struct vcpu vcpu[3];
static struct vmx_vcpu backend[3];
static uint32_t invepts, invvpids;
static uint64_t epoch_then;		/* vCPU 0's at the INVEPT */
static uint64_t swapped;		/* by SWAPGS, in the next run; 0: not */
static uint8_t msr_bitmap[PAGE_SIZE];

uint64_t vmread(enum vmcs_field f)
{
	return current[f];
}

void vmwrite(enum vmcs_field f, uint64_t v)
{
	current[f] = v;
}

void vmptrld(hpa_t v)
{
	current = vmcs[v.v];
}

void vmclear(hpa_t v)
{
	(void)v;
}

uint64_t rdmsr(uint32_t n)
{
	return msr[n & 0xfff];
}

void wrmsr(uint32_t n, uint64_t v)
{
	msr[n & 0xfff] = v;
}

uint64_t read_dr6(void)
{
	return dr6;
}

void write_dr6(uint64_t v)
{
	dr6 = v;
}

void vmx_exit_point(void)
{
}

void vmx_check_log(void)
{
}

uint64_t vmx_enter(struct guest_regs *regs, uint64_t launched)
{
	(void)regs;
	(void)launched;
	if (swapped) {
		wrmsr(MSR_IA32_KERNEL_GS_BASE, swapped);
		swapped = 0;
	}
	return 0;
}

/* At boot, or of records: nobody asks here. */
hpa_t frame_boot(uint8_t owner, uint64_t bytes, const char *what)
{
	fail_msg("%u %lu %s", owner, bytes, what);
	return HPA(0);
}

bool cr_valid(uint64_t cr0, uint64_t cr4, uint64_t efer, uint64_t pat)
{
	fail_msg("%lu", cr0 | cr4 | efer | pat);
	return false;
}

bool syscall_valid(const uint64_t *value)
{
	fail_msg("%p", (const void *)value);
	return false;
}

/* Over an INVEPT or INVVPID of a register and memory. */
static void no_such_instruction(int sig, siginfo_t *info, void *context)
{
	ucontext_t *c = context;
	uint8_t *p = (uint8_t *)c->uc_mcontext.gregs[REG_RIP];
	uint8_t modrm;

	(void)info;
	p += *p == 0x66;
	p += (*p & 0xf0) == 0x40;
	if (p[0] != 0x0f || p[1] != 0x38 || (p[2] & 0xfe) != 0x80) {
		signal(sig, SIG_DFL);
		return;
	}
	if (p[2] == 0x80) {
		invepts++;
		epoch_then = vcpu[0].gpm_epoch;
	} else {
		invvpids++;
	}
	modrm = p[3];
	p += 4;
	if ((modrm & 7) == 4) {			/* a SIB byte */
		modrm |= (*p++ & 7) == 5 ? 5 : 0;
	}
	p += modrm >> 6 == 1 ? 1 : modrm >> 6 == 2 || (modrm & 0xc7) == 5 ? 4 :
	     0;
	c->uc_mcontext.gregs[REG_RIP] = (greg_t)p;
}

static int make(void **state)
{
	struct sigaction act = { .sa_sigaction = no_such_instruction,
				 .sa_flags = SA_SIGINFO };
	uint32_t i;

	(void)state;
	fakes_reset();
	memset(vmcs, 0, sizeof(vmcs));
	memset(msr, 0, sizeof(msr));
	memset(&part, 0, sizeof(part));
	memset(backend, 0, sizeof(backend));
	part.native_msrs = msr_bitmap;
	part.gpm_root = HPA(0x7000);
	for (i = 0; i < ARRAY_SIZE(vcpu); i++) {
		fake_vcpu_init(&vcpu[i], &part, i);
		backend[i].vmcs = HPA(i);
		backend[i].vpid = (uint16_t)(i + 1);
		vcpu[i].backend = &backend[i];
		vmcs[i][VMCS_EXIT_REASON] = VMX_EXIT_REASON_EXT_INTR;
	}
	this_cpu()->backend_current = NULL;
	invepts = invvpids = 0;
	dr6 = swapped = 0;
	/* VMX is not on here, and this is no CPL 0 */
	assert_int_equal(sigaction(SIGILL, &act, NULL), 0);
	assert_int_equal(sigaction(SIGSEGV, &act, NULL), 0);
	return 0;
}

static struct vm_exit run(uint32_t i, uint64_t limit)
{
	struct vm_exit e = { .rip = ~0ull };

	hvm_vmx.vcpu_run(&vcpu[i], limit, &e);
	assert_int_equal(e.rip, vmcs[i][VMCS_GUEST_RIP]);
	return e;
}

/* A mapping was taken away: the entry flushes, and says so when it has. */
static void epoch(void **state)
{
	(void)make(state);	/* cmocka has its own handlers by now */
	vcpu[0].gpm_epoch = 1;
	part.gpm_epoch = 2;
	(void)run(0, 0);
	assert_int_equal(invepts, 1);
	assert_int_equal(epoch_then, 1);
	assert_int_equal(vcpu[0].gpm_epoch, 2);
	(void)run(0, 0);
	assert_int_equal(invepts, 1);
	assert_int_equal(invvpids, 0);
	vmx_flush_vpid(1);
	assert_int_equal(invvpids, 1);
}

/* A limit that is past ends the run at once, one too far for the timer earlier
 * than it need. */
static void limits(void **state)
{
	static const struct {
		uint64_t after, timer;
	} t[] = {
		{ 5, 5 }, { 0xffffffff, 0xffffffff },
		{ 0x100000007, 7 }, { 0x123400000000, 0 },
	};
	uint32_t i;

	(void)make(state);
	fake.tsc = 1000;
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		(void)run(0, fake.tsc + t[i].after);
		/* a field of 32 bits takes so many [SDM3 "VMWRITE"] */
		assert_int_equal((uint32_t)vmcs[0][VMCS_PREEMPTION_TIMER],
				 t[i].timer);
	}
	(void)run(0, 1000);
	assert_int_equal(vmcs[0][VMCS_PREEMPTION_TIMER], 0);
	(void)run(0, 999);
	assert_int_equal(vmcs[0][VMCS_PREEMPTION_TIMER], 0);
}

/* Each has its own GS base for SWAPGS, and SYSCALL's MSRs if it may use them. */
static void msrs(void **state)
{
	uint32_t i, k;

	(void)make(state);
	for (i = 0; i < ARRAY_SIZE(vcpu); i++) {
		backend[i].g.kernel_gs_base = 0x1000 * (i + 1);
		backend[i].g.syscalls = i < 2;
		for (k = 0; k < 4; k++) {
			backend[i].g.syscall_msr[k] = 0x100 * (i + 1) + k;
		}
	}
	for (i = 0; i < 6; i++) {
		(void)run(i % 2, 0);
		assert_int_equal(rdmsr(MSR_IA32_KERNEL_GS_BASE),
				 0x1000 * (i % 2 + 1));
		for (k = 0; k < 4; k++) {
			assert_int_equal(rdmsr(MSR_IA32_STAR + k),
					 0x100 * (i % 2 + 1) + k);
		}
	}
	/* one that may not needs none, and finds its own GS base */
	(void)run(2, 0);
	assert_int_equal(rdmsr(MSR_IA32_KERNEL_GS_BASE), 0x3000);
	swapped = 0x7777;
	(void)run(0, 0);
	(void)run(1, 0);
	assert_int_equal(rdmsr(MSR_IA32_KERNEL_GS_BASE), 0x2000);
	assert_int_equal(rdmsr(MSR_IA32_STAR), 0x200);
	(void)run(0, 0);
	assert_int_equal(rdmsr(MSR_IA32_KERNEL_GS_BASE), 0x7777);
	assert_int_equal(rdmsr(MSR_IA32_STAR), 0x100);
}

/* What the next entry injects after an EPT violation in this event's delivery. */
static uint64_t again(uint32_t info)
{
	uint64_t *v = vmcs[0];

	v[VMCS_EXIT_REASON] = VMX_EXIT_REASON_EPT_VIOLATION;
	v[VMCS_IDT_VECTORING_INFO] = info;
	v[VMCS_IDT_VECTORING_ERROR] = 0x18;
	v[VMCS_EXIT_INSN_LEN] = 2;
	v[VMCS_ENTRY_INTR_INFO] = v[VMCS_ENTRY_INSN_LEN] =
		v[VMCS_ENTRY_EXCEPTION_ERROR] = 0;
	v[VMCS_GUEST_INTERRUPTIBILITY] = GUEST_BLOCK_NMI;
	backend[0].g.event_pending = false;
	(void)run(0, 0);
	assert_int_equal(backend[0].g.event_pending,
			 (info & INTR_INFO_VALID) != 0);
	return v[VMCS_ENTRY_INTR_INFO];
}

static void broken_off(void **state)
{
	const uint32_t soft = INTR_INFO_VALID | INTR_TYPE_SOFT_FIRST << 8;
	const uint32_t nmi = INTR_INFO_VALID | VM_EVENT_NMI << 8 | 2;
	const uint64_t *v = vmcs[0];

	(void)make(state);
	(void)run(0, 0);
	assert_int_equal(again(0), 0);
	/* an interrupt: bits that are undefined there are 0 here */
	assert_int_equal(again(INTR_INFO_VALID | 0x7ffff000 | 0x41),
			 INTR_INFO_VALID | 0x41);
	assert_int_equal(v[VMCS_ENTRY_INSN_LEN], 0);
	assert_int_equal(v[VMCS_GUEST_INTERRUPTIBILITY], GUEST_BLOCK_NMI);
	/* INT n pushes the RIP behind it */
	assert_int_equal(again(soft | 0x80), soft | 0x80);
	assert_int_equal(v[VMCS_ENTRY_INSN_LEN], 2);
	/* an NMI's delivery blocks NMIs: they must not be before it */
	assert_int_equal(again(nmi), nmi);
	assert_int_equal(v[VMCS_GUEST_INTERRUPTIBILITY], 0);
	/* a page fault, with its error code */
	assert_int_equal(again(INTR_INFO_VALID | INTR_INFO_ERROR | 3 << 8 | 14),
			 INTR_INFO_VALID | INTR_INFO_ERROR | 3 << 8 | 14);
	assert_int_equal(v[VMCS_ENTRY_EXCEPTION_ERROR], 0x18);
}

/* The #DB that is given back finds DR6 and DR7 as the processor would have made
 * them. */
static void debug_exit(void **state)
{
	uint64_t *v = vmcs[0];
	struct vm_exit e;

	(void)make(state);
	v[VMCS_EXIT_REASON] = VMX_EXIT_REASON_EXCEPTION_NMI;
	v[VMCS_EXIT_INTR_INFO] = INTR_INFO_VALID | 3 << 8 | X86_EXC_DB;
	v[VMCS_EXIT_QUALIFICATION] = 0x4002;
	v[VMCS_GUEST_DR7] = BIT64(13) | 0x400;
	dr6 = 0xffff0ff5;
	e = run(0, 0);
	assert_int_equal(e.code, VM_EXIT_EXCEPTION);
	assert_int_equal(e.exc.vector, X86_EXC_DB);
	assert_int_equal(dr6, 0xffff4ff2);
	assert_int_equal(v[VMCS_GUEST_DR7], 0x400);
	assert_int_equal(fake.dr_loads, 1);
}

/* An exit for either window closes both: what still waits opens its own again. */
static void windows(void **state)
{
	uint64_t reason;

	for (reason = VMX_EXIT_REASON_INTR_WINDOW;
	     reason <= VMX_EXIT_REASON_NMI_WINDOW; reason++) {
		(void)make(state);
		vmcs[0][VMCS_PROC_BASED_CTLS] = PROC_HLT_EXIT | PROC_INTR_WINDOW |
						PROC_NMI_WINDOW;
		vmcs[0][VMCS_EXIT_REASON] = reason;
		assert_int_equal(run(0, 0).code, VM_EXIT_INTR_WINDOW);
		assert_int_equal(vmcs[0][VMCS_PROC_BASED_CTLS], PROC_HLT_EXIT);
	}
}

#define TEST(f)	cmocka_unit_test_setup(f, make)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(epoch), TEST(limits), TEST(msrs), TEST(broken_off),
		TEST(debug_exit), TEST(windows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
