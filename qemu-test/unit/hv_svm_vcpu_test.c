/* SPDX-License-Identifier: MIT */
/*
 * What the AMD-V backend makes of a VMCB when registers change, events are
 * injected, and a run ends: VMRUN takes what it is told, so all that a guest
 * must not do, or must not lose, is looked at here. (hv_vmcs_test.c: the
 * other vendor's.)
 */
#include "hv_fakes.h"
#include "hypervisor/svm/svm.h"

#define HERE	0x401000ull

static struct partition part;
static struct vcpu vcpu;
static struct vmcb vmcb, exits;		/* what the next run ends with */
static struct svm_vcpu backend;
static const char *code;		/* at RIP; NULL: nothing is there */
static const char *then;		/* after the next forget; NULL: as it is */
static uint32_t forgets;
static uint64_t entered_flags;

void svm_enter(struct guest_regs *regs, uint64_t vmcb_pa, uint64_t host_pa)
{
	(void)regs;
	(void)vmcb_pa;
	(void)host_pa;
	entered_flags = vmcb.rflags;
	vmcb.dr6 = exits.dr6 ? exits.dr6 : vmcb.dr6;
	vmcb.exitcode = exits.exitcode;
	vmcb.exitintinfo = exits.exitintinfo;
	vmcb.exitintinfo_error = exits.exitintinfo_error;
	vmcb.rip = exits.rip;
}

void guest_fetch_forget(struct vcpu *v)
{
	assert_ptr_equal(v, &vcpu);
	forgets++;
	if (then) {
		code = then;
	}
}

uint32_t guest_fetch(struct vcpu *v, uint64_t at, uint64_t cr3,
		     uint8_t *bytes, uint32_t max)
{
	assert_ptr_equal(v, &vcpu);
	assert_int_equal(at, vmcb.rip);
	assert_int_equal(cr3, vmcb.cr3);
	memset(bytes, 0x90, max);
	memcpy(bytes, code, strlen(code));
	return max;
}

void lapic_timer_start(uint64_t tsc_deadline)
{
	(void)tsc_deadline;
}

void lapic_timer_stop(void)
{
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

bool syscall_valid(const uint64_t *msr)
{
	fail_msg("%p", (const void *)msr);
	return false;
}

uint64_t read_cr4(void)
{
	return CR4_PAE | CR4_PGE | CR4_MCE;
}

static int make(void **state)
{
	struct vcpu_start s = { .kind = VCPU_RESET_LONG, .rip = HERE,
				.interrupts = true };

	(void)state;
	fakes_reset();
	memset(&part, 0, sizeof(part));
	memset(&exits, 0, sizeof(exits));
	part.native_ports = (uint8_t *)hpa_ptr(HPA(0x1000));
	part.native_msrs = hpa_ptr(HPA(0x2000));
	part.gpm_epoch = 1;
	fake_vcpu_init(&vcpu, &part, 0);
	backend = (struct svm_vcpu){ .vmcb = &vmcb, .asid = 1 };
	vcpu.backend = &backend;
	svm_asids = 8;
	svm_features = 0;
	svm_vcpu_reset(&vcpu, &s);
	vcpu.gpm_epoch = 1;
	exits.exitcode = SVM_EXIT_INTR;
	exits.rip = HERE;
	code = then = NULL;
	forgets = 0;
	return 0;
}

static struct vm_exit run(void)
{
	struct vm_exit e = { .rip = ~0ull };

	hvm_svm.vcpu_run(&vcpu, 0, &e);
	assert_int_equal(e.rip, vmcb.rip);
	return e;
}

/* What a guest must not do without an exit. */
static void intercepts(void **state)
{
	static const uint32_t misc1[] = {
		MISC1(INTR), MISC1(NMI), MISC1(INIT), MISC1(RDPMC), MISC1(CPUID),
		MISC1(RSM), MISC1(INVD), MISC1(HLT), MISC1(INVLPGA),
		MISC1(IOIO), MISC1(MSR), MISC1(TASK_SWITCH),
		MISC1(FERR_FREEZE), MISC1(SHUTDOWN),
	}, misc2[] = {
		MISC2(VMRUN), MISC2(VMMCALL), MISC2(VMLOAD), MISC2(VMSAVE),
		MISC2(STGI), MISC2(CLGI), MISC2(SKINIT), MISC2(WBINVD),
		MISC2(MONITOR), MISC2(MWAIT), MISC2(XSETBV), MISC2(RDPRU),
	}, cr[] = {
		CR_WRITE(0), CR_WRITE(4), CR_READ(4), CR_READ(8), CR_WRITE(8),
	};
	uint32_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(misc1); i++) {
		assert_true(vmcb.intercept_misc1 & misc1[i]);
	}
	for (i = 0; i < ARRAY_SIZE(misc2); i++) {
		assert_true(vmcb.intercept_misc2 & misc2[i]);
	}
	for (i = 0; i < ARRAY_SIZE(cr); i++) {
		assert_true(vmcb.intercept_cr & cr[i]);
	}
	/* the numbers of [APM2 "VMCB Layout, Control Area"], and no more */
	assert_int_equal(vmcb.intercept_misc1, 0xfd4c800bu);
	assert_int_equal(vmcb.intercept_misc2, 0x6e7fu);
	assert_int_equal(vmcb.intercept_dr, ~0u);
	assert_int_equal(vmcb.intercept_exc, BIT32(X86_EXC_DB) |
			 BIT32(X86_EXC_AC) | BIT32(X86_EXC_MC));
	assert_int_equal(vmcb.np_enable, 1);
	assert_int_equal(vmcb.int_ctl, INT_CTL_V_INTR_MASKING);
}

/* An interrupt not with IF clear nor in STI's or MOV SS's shadow, an NMI not in
 * another's handler nor there, and nothing over an event that waits. */
static void injection(void **state)
{
	const struct vm_event intr = { .type = VM_EVENT_INTR, .vector = 0x41 };
	const struct vm_event nmi = { .type = VM_EVENT_NMI, .vector = 2 };
	const struct vm_event gp = { .type = VM_EVENT_EXCEPTION, .vector = 13,
				     .has_error = true, .error = 0x18 };

	(void)state;
	vmcb.rflags &= ~RFLAGS_IF;
	assert_false(svm_vcpu_inject(&vcpu, intr));
	vmcb.rflags |= RFLAGS_IF;
	vmcb.int_state = INT_STATE_SHADOW;
	assert_false(svm_vcpu_inject(&vcpu, intr));
	assert_false(svm_vcpu_inject(&vcpu, nmi));
	assert_int_equal(vmcb.eventinj, 0);
	/* the instruction in the shadow may have its own exception */
	assert_true(svm_vcpu_inject(&vcpu, gp));
	assert_int_equal(vmcb.eventinj, EVENTINJ_VALID | EVENTINJ_ERROR |
			 VM_EVENT_EXCEPTION << 8 | 13);
	assert_int_equal(vmcb.eventinj_error, 0x18);
	vmcb.int_state = 0;
	assert_false(svm_vcpu_inject(&vcpu, intr));
	assert_false(svm_vcpu_inject(&vcpu, gp));
	assert_int_equal(vmcb.eventinj & 0xff, 13);
	(void)run();
	assert_int_equal(vmcb.eventinj, 0);
	assert_true(svm_vcpu_inject(&vcpu, intr));
	assert_int_equal(vmcb.eventinj, EVENTINJ_VALID | 0x41);
}

/* NMIs stay blocked until the handler's IRET has been executed. */
static void nmi(void **state)
{
	const struct vm_event ev = { .type = VM_EVENT_NMI, .vector = 2 };

	(void)state;
	assert_true(svm_vcpu_inject(&vcpu, ev));
	(void)run();
	assert_int_equal(vmcb.eventinj, 0);
	assert_false(svm_vcpu_inject(&vcpu, ev));
	exits.exitcode = SVM_EXIT_IRET;
	exits.rip = HERE + 0x100;
	assert_int_equal(run().code, VM_EXIT_NMI);
	assert_false(vmcb.intercept_misc1 & MISC1(IRET));
	/* an exit before it: it still stands there */
	exits.exitcode = SVM_EXIT_INTR;
	(void)run();
	assert_false(svm_vcpu_inject(&vcpu, ev));
	exits.rip = HERE;
	(void)run();
	assert_true(svm_vcpu_inject(&vcpu, ev));
	assert_true(vmcb.intercept_misc1 & MISC1(IRET));
}

/* One that comes while a handler runs is let in right behind its IRET, by a step over
 * that, of which the guest sees nothing. */
static void nmi_behind_iret(void **state)
{
	const struct vm_event ev = { .type = VM_EVENT_NMI, .vector = 2 };
	struct vm_exit e;

	(void)state;
	vmcb.rflags &= ~RFLAGS_IF;
	assert_true(svm_vcpu_inject(&vcpu, ev));
	(void)run();
	/* in the handler: nothing to step over yet */
	assert_false(svm_vcpu_inject(&vcpu, ev));
	exits.exitcode = SVM_EXIT_IRET;
	exits.rip = HERE + 0x100;
	(void)run();
	assert_false(entered_flags & RFLAGS_TF);
	/* an exit before the IRET */
	assert_false(svm_vcpu_inject(&vcpu, ev));
	exits.exitcode = SVM_EXIT_INTR;
	(void)run();
	assert_true(entered_flags & RFLAGS_TF);
	assert_false(vmcb.rflags & RFLAGS_TF);
	/* its trap */
	assert_false(svm_vcpu_inject(&vcpu, ev));
	exits.exitcode = SVM_EXIT_EXCP0 + X86_EXC_DB;
	exits.rip = HERE;
	exits.dr6 = DR6_RESET | DR6_BS;
	e = run();
	assert_int_equal(e.code, VM_EXIT_NMI);
	assert_int_equal(vmcb.dr6, DR6_RESET);
	assert_true(svm_vcpu_inject(&vcpu, ev));
	/* no other #DB is ours */
	assert_int_equal(run().code, VM_EXIT_EXCEPTION);
	/* what else is delivered before the IRET would push our TF; a TF of the
	 * guest's is its own */
	exits.exitcode = SVM_EXIT_IRET;
	for (uint64_t own = RFLAGS_TF; own <= RFLAGS_IF; own <<= 1) {
		(void)run();
		vmcb.rflags = RFLAGS_FIXED | own;
		assert_false(svm_vcpu_inject(&vcpu, ev));
		(void)run();
		assert_int_equal(entered_flags, RFLAGS_FIXED | own);
	}
}

/* What an exit has broken off comes again, and once. */
static void broken_off(void **state)
{
	(void)state;
	exits.exitcode = SVM_EXIT_NPF;
	exits.exitintinfo = EVENTINJ_VALID | EVENTINJ_ERROR |
			    VM_EVENT_EXCEPTION << 8 | 14;
	exits.exitintinfo_error = 6;
	(void)run();
	assert_int_equal(vmcb.eventinj, exits.exitintinfo);
	assert_int_equal(vmcb.eventinj_error, 6);
	exits.exitintinfo = 0;
	(void)run();
	assert_int_equal(vmcb.eventinj, 0);
	/* VMRUN refused: it is where it was */
	vmcb.eventinj = EVENTINJ_VALID | 0x41;
	exits.exitcode = SVM_EXIT_INVALID;
	assert_int_equal(run().code, VM_EXIT_ENTRY_FAIL);
	assert_int_equal(vmcb.eventinj, EVENTINJ_VALID | 0x41);
}

/* Whether that write drops what the TLB has of the guest's. */
static bool drops(enum vcpu_reg reg, uint64_t value)
{
	vcpu.gpm_epoch = 1;
	svm_vcpu_set(&vcpu, reg, value);
	return vcpu.gpm_epoch == 0;
}

static void control_registers(void **state)
{
	const uint64_t cr0 = vmcb.cr0, cr4 = vmcb.cr4;

	(void)state;
	/* its own machine checks, not the machine's */
	assert_true(cr4 & CR4_MCE);
	assert_int_equal(svm_vcpu_get(&vcpu, VCPU_CR4), CR4_PAE);
	assert_false(drops(VCPU_CR4, cr4));
	assert_int_equal(svm_vcpu_get(&vcpu, VCPU_CR4), CR4_PAE | CR4_MCE);
	assert_false(drops(VCPU_CR4, CR4_PAE));
	assert_int_equal(vmcb.cr4, cr4);
	assert_int_equal(svm_vcpu_get(&vcpu, VCPU_CR4), CR4_PAE);
	assert_true(drops(VCPU_CR4, CR4_PAE | CR4_PGE));
	assert_int_equal(vmcb.cr4, cr4 | CR4_PGE);
	/* caches stay on; paging, and what it lets be written */
	assert_false(drops(VCPU_CR0, cr0 | CR0_CD | CR0_NW));
	assert_int_equal(vmcb.cr0, cr0);
	assert_true(drops(VCPU_CR0, cr0 | CR0_WP));
	assert_true(drops(VCPU_CR0, cr0));
	assert_true(drops(VCPU_CR0, cr0 & ~CR0_PG));
	assert_true(drops(VCPU_CR0, cr0));
	assert_false(drops(VCPU_CR0, cr0 & ~CR0_ET));
	assert_int_equal(vmcb.cr0, cr0);
	/* VMRUN wants SVME, which the guest does not see */
	svm_vcpu_set(&vcpu, VCPU_EFER, EFER_LME);
	assert_int_equal(vmcb.efer, EFER_LME | EFER_SVME);
	assert_int_equal(svm_vcpu_get(&vcpu, VCPU_EFER), EFER_LME);
}

/* A reset asks for a flush before the first entry, and undoes what a life has
 * left. */
static void resets(void **state)
{
	struct vcpu_start s = { .kind = VCPU_RESET_SIPI, .sipi_vector = 9 };

	(void)state;
	backend.nmi_blocked = true;
	backend.cr4_mce = CR4_MCE;
	backend.iret_rip = 7;
	memset(&vmcb, 0xff, sizeof(vmcb));
	svm_vcpu_reset(&vcpu, &s);
	assert_int_equal(vcpu.gpm_epoch, 0);
	assert_false(backend.nmi_blocked);
	assert_int_equal(backend.cr4_mce | backend.iret_rip, 0);
	assert_int_equal(vmcb.eventinj | vmcb.clean | vmcb.int_state, 0);
	assert_int_equal(vmcb.cs.base, 0x9000);
	assert_int_equal(vmcb.cr4, CR4_MCE);
	assert_int_equal(svm_vcpu_get(&vcpu, VCPU_CR4), 0);
	assert_int_equal(vmcb.guest_asid, 1);
}

/* Who may call: 64-bit code at CPL 0. */
static void kernel64(void **state)
{
	(void)state;
	assert_true(svm_vcpu_get(&vcpu, VCPU_KERNEL64));
	vmcb.cpl = 3;
	assert_false(svm_vcpu_get(&vcpu, VCPU_KERNEL64));
	vmcb.cpl = 0;
	vmcb.cs.attrib &= (uint16_t)~ATTR_L;	/* compatibility mode */
	assert_false(svm_vcpu_get(&vcpu, VCPU_KERNEL64));
	vmcb.cs.attrib |= ATTR_L;
	vmcb.efer &= ~EFER_LMA;
	assert_false(svm_vcpu_get(&vcpu, VCPU_KERNEL64));
}

/* The exit with this code, and bytes there, then others. */
static struct vm_exit completed(uint64_t exitcode, const char *first,
				const char *second)
{
	code = first;
	then = second;
	forgets = 0;
	exits.exitcode = exitcode;
	return run();
}

/* Without next-RIP save the bytes tell; what another vCPU has changed is looked
 * at once more, and then left to the processor. */
static void by_bytes(void **state)
{
	const uint64_t mov = SVM_EXIT_CR0_WRITE;
	struct vm_exit e;

	(void)state;
	e = completed(SVM_EXIT_CPUID, "\x0f\xa2", NULL);
	assert_int_equal(e.code, VM_EXIT_CPUID);
	assert_int_equal(e.insn_len, 2);
	assert_int_equal(forgets, 0);
	e = completed(SVM_EXIT_CPUID, "\xf4", "\x66\x0f\xa2");
	assert_int_equal(e.code, VM_EXIT_CPUID);
	assert_int_equal(e.insn_len, 3);
	assert_int_equal(forgets, 1);
	e = completed(SVM_EXIT_CPUID, "\xf4", NULL);
	assert_int_equal(e.code, VM_EXIT_AGAIN);
	/* an operand is read from the true bytes at once */
	e = completed(mov, "\x0f\x22\xc1", "\x0f\x22\xc2");	/* ecx, edx */
	assert_int_equal(e.code, VM_EXIT_CR_ACCESS);
	assert_int_equal(e.insn_len, 3);
	assert_int_equal(e.cr.gpr, 2);
	assert_true(forgets >= 1);
	vmcb.rsp = 0x12345;
	e = completed(mov, "\x0f\x01\xf4", NULL);		/* lmsw sp */
	assert_true(e.cr.lmsw);
	assert_int_equal(e.cr.lmsw_value, 0x2345);
	e = completed(mov, "\x90", NULL);
	assert_int_equal(e.code, VM_EXIT_UNKNOWN);
	/* where the processor tells, nobody looks */
	svm_features = SVM_NRIP;
	vmcb.nrip = HERE + 5;
	e = completed(SVM_EXIT_CPUID, NULL, NULL);
	assert_int_equal(e.insn_len, 5);
	assert_int_equal(forgets, 0);
}

#define TEST(f)	cmocka_unit_test_setup(f, make)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(intercepts), TEST(injection), TEST(nmi),
		TEST(nmi_behind_iret), TEST(broken_off),
		TEST(control_registers), TEST(resets), TEST(kernel64),
		TEST(by_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
