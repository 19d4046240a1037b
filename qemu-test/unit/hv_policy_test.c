/* SPDX-License-Identifier: MIT */
/*
 * What guests see and may write: CPUID, MSRs, control registers, XCR0. The
 * CPUID table is tried on a processor that has everything (all ones) and on
 * the build machine's own.
 */
#include "hv_fakes.h"

#define XCR0_ALL	(XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512)

static struct partition part;
static struct vcpu vcpu;
static uint64_t last_base, last_tsc_update, x2apic_value;

bool vlapic_base_write(struct vcpu *v, uint64_t value)
{
	(void)v;
	last_base = value;
	return value != 0xbad;
}

uint64_t vlapic_deadline_read(const struct vcpu *v)
{
	(void)v;
	return 0xdead;
}

void vlapic_deadline_write(struct vcpu *v, uint64_t value)
{
	v->lapic.deadline = value;
}

bool vlapic_msr_read(struct vcpu *v, uint32_t msr, uint64_t *value)
{
	(void)v;
	*value = x2apic_value;
	return msr != 0x8ff;
}

bool vlapic_msr_write(struct vcpu *v, uint32_t msr, uint64_t value)
{
	(void)v;
	x2apic_value = value;
	return msr != 0x8ff;
}

void vlapic_set_tpr(struct vcpu *v, uint32_t tpr)
{
	v->lapic.tpr = tpr;
}

void kvmclock_update(struct vcpu *v, bool paused)
{
	(void)paused;
	last_tsc_update = v->tsc_offset;
}

bool kvmclock_msr_write(struct vcpu *v, uint32_t msr, uint64_t value)
{
	(void)v;
	(void)value;
	return msr == 0x4b564d01;
}

static uint32_t vendor, leaf_8_ebx;

struct cpuid_regs cpuid(uint32_t leaf, uint32_t sub)
{
	struct cpuid_regs r = machine_cpuid(leaf, sub);

	if (fake.cpuid_ones) {
		r = (struct cpuid_regs){ ~0u, ~0u, ~0u, ~0u };
	}
	if (vendor && leaf == 0) {
		r.ebx = vendor;
	}
	if (vendor && leaf == 0x80000008) {
		r.ebx = leaf_8_ebx;
	}
	return r;
}

static int make(void **state)
{
	(void)state;
	fakes_reset();
	memset(&part, 0, sizeof(part));
	fake_vcpu_init(&vcpu, &part, 0);
	fake.cpuid_ones = true;
	cpuid_policy_init();
	return 0;
}

static struct cpuid_regs ask(uint32_t leaf, uint32_t sub)
{
	/* only EAX and ECX count */
	vcpu.regs.rax = 0xdeadbeef00000000 | leaf;
	vcpu.regs.rcx = 0xdeadbeef00000000 | sub;
	cpuid_emulate(&vcpu);
	assert_int_equal((vcpu.regs.rax | vcpu.regs.rbx | vcpu.regs.rcx |
			  vcpu.regs.rdx) >> 32, 0);
	return (struct cpuid_regs){ (uint32_t)vcpu.regs.rax,
		(uint32_t)vcpu.regs.rbx, (uint32_t)vcpu.regs.rcx,
		(uint32_t)vcpu.regs.rdx };
}

/* Bits that no guest may ever see, whatever the processor has. */
static void check_forbidden(void)
{
	struct cpuid_regs r = ask(1, 0);

	/* DTES64 MONITOR DS-CPL VMX SMX EIST TM2 SDBG xTPR PDCM DCA */
	assert_int_equal(r.ecx & 0x0004c9fc, 0);
	/* MCE MTRR MCA PSN DS ACPI SS TM PBE */
	assert_int_equal(r.edx & 0xb8645080, 0);
	r = ask(7, 0);
	/* TSC_ADJUST SGX HLE RTM PQM MPX PQE PT; PKU and all but UMIP */
	assert_int_equal(r.ebx & 0x0200d854, 0);
	assert_int_equal(r.eax | (r.ecx & ~4u) | r.edx, 0);
	r = ask(7, 1);			/* another leaf altogether */
	assert_int_equal(r.eax | r.ebx | r.ecx | r.edx, 0);
	r = ask(0x80000001, 0);
	/* SVM and what goes with it; IBS, SKINIT, WDT, LWP .. */
	assert_int_equal(r.ecx & ~0x1e1u, 0);
	assert_int_equal(r.edx & ~0x2c100800u, 0);
	r = ask(0x80000008, 0);
	assert_int_equal((r.eax >> 16) | r.ebx | r.ecx | r.edx, 0);
	assert_int_equal(ask(6, 0).eax & ~4u, 0);
	assert_int_equal(ask(0x80000007, 0).edx & ~0x100u, 0);
	/* XSAVES and supervisor states */
	r = ask(0xd, 1);
	assert_int_equal((r.eax & ~7u) | r.ecx | r.edx, 0);
	/* with XSAVEC goes the size of its area */
	assert_true((r.eax & 2) ? r.ebx != 0 : r.ebx == 0);
}

static bool empty(struct cpuid_regs r)
{
	return !(r.eax | r.ebx | r.ecx | r.edx);
}

static void cpuid_forbidden(void **state)
{
	(void)state;
	check_forbidden();
	assert_int_equal(ask(0, 0).eax, 0x0d);
	assert_int_equal(ask(0x80000000, 0).eax, 0x80000008);
	fake.cpuid_ones = false;
	cpuid_policy_init();
	check_forbidden();
}

/* Which processors keep x87 pointers over XRSTOR: AMD's and Hygon's that do
 * not say otherwise. */
static void x87_pointers(void **state)
{
	static const struct {
		uint32_t vendor, ebx;
		bool keeps;
	} t[] = {
		{ 0x68747541, 0, true }, { 0x68747541, 4, false },
		{ 0x6f677948, ~4u, true }, { 0x6f677948, ~0u, false },
		{ 0x756e6547, 0, false },	/* GenuineIntel */
	};
	uint32_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		vendor = t[i].vendor;
		leaf_8_ebx = t[i].ebx;
		cpuid_policy_init();
		assert_int_equal(cpu_keeps_x87_pointers, t[i].keeps);
	}
	vendor = 0;
}

static void cpuid_unlisted(void **state)
{
	static const uint32_t shown[] = {
		0, 1, 4, 6, 7, 0xb, 0xd, 0x40000000, 0x40000001, 0x80000000,
		0x80000001, 0x80000002, 0x80000003, 0x80000004, 0x80000006,
		0x80000007, 0x80000008,
	};
	static const uint32_t bases[] = {
		0, 0x40000000, 0x80000000, 0x8fffff80, 0xc0000000, 0xffffff80,
	};
	uint32_t b, i, k, sub;

	(void)state;
	for (b = 0; b < ARRAY_SIZE(bases); b++) {
		for (i = 0; i < 128; i++) {
			uint32_t leaf = bases[b] + i;

			for (k = 0; k < ARRAY_SIZE(shown); k++) {
				if (shown[k] == leaf) {
					break;
				}
			}
			for (sub = 0; k == ARRAY_SIZE(shown) && sub < 64;
			     sub++) {
				assert_true(empty(ask(leaf, sub)));
			}
		}
	}
}

static void cpuid_subleaves(void **state)
{
	uint32_t sub;

	(void)state;
	for (sub = 0; sub < 70; sub++) {
		assert_int_equal(empty(ask(4, sub)), sub >= 4);
		/* x87, SSE, AVX, AVX-512; PKRU, PT, AMX never */
		assert_int_equal(empty(ask(0xd, sub)), sub != 0 && sub != 1 &&
				 sub != 2 && !(sub >= 5 && sub <= 7));
	}
	assert_true(empty(ask(4, ~0u)));
	assert_true(empty(ask(0xd, ~0u)));
	assert_int_equal(ask(0xd, 0).eax, XCR0_ALL);
	/* one core, whatever the processor has */
	assert_int_equal(ask(4, 0).eax >> 14, 0);
}

static void cpuid_own_facts(void **state)
{
	struct cpuid_regs r;

	(void)state;
	part.vcpu_count = 2;
	vcpu.lapic.id = 5;
	r = ask(1, 0);
	assert_int_equal(r.ebx >> 16, 5 << 8 | 2);
	assert_true(r.edx & BIT32(28));
	assert_true(r.ecx & BIT32(31) && r.ecx & BIT32(21) &&
		    r.ecx & BIT32(24));
	assert_false(r.ecx & BIT32(27));
	/* an APIC as long as it is not disabled */
	vcpu.lapic.base = APIC_BASE_EN;
	assert_true(ask(1, 0).edx & BIT32(9));
	vcpu.lapic.base = 0;
	assert_false(ask(1, 0).edx & BIT32(9));
	fake.reg[VCPU_CR4] = CR4_OSXSAVE;
	assert_true(ask(1, 0).ecx & BIT32(27));
	part.vcpu_count = 1;
	assert_false(ask(1, 0).edx & BIT32(28));
	assert_int_equal(ask(0xb, 0).edx, 5);
	assert_int_equal(ask(0xb, 1).ebx, 1);
	r = ask(0x40000000, 0);
	assert_int_equal(r.eax, 0x40000001);
	assert_memory_equal(&r.ebx, "KVMKVMKVM\0\0\0", 12);
	assert_int_equal(ask(0x40000001, 0).eax, BIT32(3) | BIT32(24));
}

static void msr_reads(void **state)
{
	uint64_t value, msr;

	(void)state;
	/* all that exit in the ranges of the hostile-guest list */
	for (msr = 0; msr < 0xc0012000; msr++) {
		bool ok = msr == MSR_IA32_TSC || msr == MSR_IA32_APIC_BASE ||
			  msr == MSR_IA32_PLATFORM_ID ||
			  msr == MSR_IA32_BIOS_SIGN_ID ||
			  msr == MSR_IA32_MISC_ENABLE || msr == MSR_IA32_PAT ||
			  msr == MSR_IA32_TSC_DEADLINE ||
			  msr == MSR_IA32_EFER ||
			  (msr >= MSR_IA32_STAR && msr <= MSR_IA32_FMASK) ||
			  (msr == MSR_IA32_TSC_AUX && cpu_has_tsc_aux) ||
			  (msr >= 0xc0010000 && msr <= 0xc0010007) ||
			  (msr >= 0x800 && msr < 0x8ff);

		value = 0x5ec7e7;
		assert_int_equal(msr_read(&vcpu, (uint32_t)msr, &value), ok);
		if (!ok) {
			assert_true(value == 0x5ec7e7 || msr == 0x8ff);
		}
		msr = msr == 0x2000 ? 0x3fffffff : msr == 0x40002000 ?
		      0xbfffffff : msr == 0xc0002000 ? 0xc000ffff : msr;
	}
	vcpu.tsc_offset = 5;
	assert_true(msr_read(&vcpu, MSR_IA32_TSC, &value));
	assert_int_equal(value, fake.tsc + 5);
}

static uint8_t map_page[2 * PAGE_SIZE];

hpa_t frame_boot(uint8_t owner, uint64_t bytes, const char *what)
{
	assert_true(owner == FRAME_HYPERVISOR && bytes == hvm->msr_bytes && what);
	return ptr_hpa(map_page);
}

/* The native ones, none of which is a machine's own, as both vendors want them. [SDM3
 * "MSR-Bitmap Address"; APM2 "MSR Intercepts"] */
static void msr_maps(void **state)
{
	static const struct hvm_ops formats[] = {
		{ .msr_bytes = PAGE_SIZE, .msr_step = 1, .msr_write = 0x4000 },
		{ .msr_bytes = 2 * PAGE_SIZE, .msr_step = 2, .msr_write = 1 },
	};
	const struct hvm_ops *before = hvm;
	uint8_t want[2 * PAGE_SIZE] = { 0 };

	(void)state;
	memset(want, 0xff, PAGE_SIZE);
	want[0x2e] = want[2048 + 0x2e] = 0x8f;		/* 0x174 to 0x176 */
	want[1024 + 0x20] = want[3072 + 0x20] = 0xf8;	/* 0xc0000100 to .. 102 */
	hvm = &formats[0];
	assert_ptr_equal(msr_map(), map_page);
	assert_memory_equal(map_page, want, sizeof(want));
	memset(want, 0xff, sizeof(want));
	want[0x5d] = 0xc0;	/* two bits each */
	want[2048 + 0x40] = 0xc0;
	hvm = &formats[1];
	assert_ptr_equal(msr_map(), map_page);
	assert_memory_equal(map_page, want, sizeof(want));
	hvm = before;
}

static void msr_writes_refused(void **state)
{
	static const uint32_t msrs[] = {
		0, 0x17, 0x1b, 0x3a, 0x79, 0xc1, 0x186, 0x1d9, 0x200, 0x277,
		0x2ff, 0x38f, 0x480, 0x491, 0x7ff, 0x8ff, 0x900, 0xd90, 0xda0,
		0x4b564d00, 0xc0000080, 0xc0000100, 0xc000ffff, 0xc0010008,
		0xc0010114, 0xc0010117, 0xffffffff,
	};
	uint32_t i;

	(void)state;
	fake.reg[VCPU_EFER] = EFER_LME | EFER_LMA;
	for (i = 0; i < ARRAY_SIZE(msrs); i++) {
		assert_false(msr_write(&vcpu, msrs[i], 0xbad));
	}
	assert_int_equal(fake.reg[VCPU_PAT], 0);
	assert_int_equal(fake.reg[VCPU_EFER], EFER_LME | EFER_LMA);
}

/* What the processor would refuse is refused: it would be our #GP. */
static void syscall_msrs(void **state)
{
	static const uint64_t values[] = {
		0, 0x47700, 0xffffffff, 1ull << 32, 0x7fffffffffff,
		0x800000000000, 0xffff7fffffffffff, 0xffff800000000000, ~0ull,
	};
	uint64_t value;
	uint32_t i, msr;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(values); i++) {
		uint64_t v = values[i];
		bool canonical = v <= 0x7fffffffffff ||
				 v >= 0xffff800000000000;

		for (msr = MSR_IA32_STAR; msr <= MSR_IA32_FMASK; msr++) {
			bool ok = msr == MSR_IA32_STAR ||
				  (msr == MSR_IA32_FMASK ? !(v >> 32) :
				   canonical);

			fake.reg[VCPU_STAR + msr - MSR_IA32_STAR] = 0x55;
			assert_int_equal(msr_write(&vcpu, msr, v), ok);
			assert_true(msr_read(&vcpu, msr, &value));
			assert_int_equal(value, ok ? v : 0x55);
		}
		vcpu.tsc_aux = fake_cpu[0].tsc_aux = 0x55;
		assert_int_equal(msr_write(&vcpu, MSR_IA32_TSC_AUX, v),
				 cpu_has_tsc_aux && !(v >> 32));
		assert_int_equal(vcpu.tsc_aux, fake_cpu[0].tsc_aux);
	}
}

static void pat(void **state)
{
	uint32_t i, type;

	(void)state;
	for (i = 0; i < 8; i++) {
		for (type = 0; type < 256; type++) {
			uint64_t value = (PAT_RESET & ~(0xffull << i * 8)) |
					 (uint64_t)type << i * 8;

			assert_int_equal(msr_write(&vcpu, MSR_IA32_PAT, value),
					 type < 8 && type != 2 && type != 3);
		}
	}
	assert_true(msr_write(&vcpu, MSR_IA32_PAT, PAT_RESET));
	assert_int_equal(fake.reg[VCPU_PAT], PAT_RESET);
}

static void efer(void **state)
{
	static const struct {
		uint64_t cr0, old, value;
		bool ok;
		uint64_t after;
	} t[] = {
		{ 0, 0, EFER_LME | EFER_NXE | EFER_SCE, true,
		  EFER_LME | EFER_NXE | EFER_SCE },
		{ 0, EFER_LME, 0, true, 0 },
		/* LMA is not written: it stays as it is */
		{ 0, 0, EFER_LMA | EFER_LME, true, EFER_LME },
		{ CR0_PE | CR0_PG, 0x500, EFER_LME, true, 0x500 },
		/* LME cannot change under paging */
		{ CR0_PE | CR0_PG, 0x500, EFER_SCE, false, 0x500 },
		{ CR0_PE | CR0_PG, 0, EFER_LME, false, 0 },
		{ 0, 0, EFER_SVME, false, 0 }, { 0, 0, BIT64(13), false, 0 },
		{ 0, 0, BIT64(63), false, 0 }, { 0, 0, 2, false, 0 },
	};
	uint32_t i;

	(void)state;
	fake.reg[VCPU_CR4] = CR4_PAE;
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		fake.reg[VCPU_CR0] = t[i].cr0;
		fake.reg[VCPU_EFER] = t[i].old;
		assert_int_equal(msr_write(&vcpu, MSR_IA32_EFER, t[i].value),
				 t[i].ok);
		assert_int_equal(fake.reg[VCPU_EFER], t[i].after);
	}
}

static void tsc_write(void **state)
{
	uint64_t value;

	(void)state;
	assert_true(msr_write(&vcpu, MSR_IA32_TSC, 7));
	assert_int_equal(fake.reg[VCPU_TSC_OFFSET], vcpu.tsc_offset);
	assert_int_equal(last_tsc_update, vcpu.tsc_offset);
	assert_true(msr_read(&vcpu, MSR_IA32_TSC, &value));
	assert_int_equal(value, 7);
}

static bool mov_cr(uint8_t cr, uint64_t value)
{
	struct vm_exit e = { .cr = { .cr = cr, .gpr = 3, .write = true } };

	vcpu.regs.rbx = value;
	return cr_access(&vcpu, &e);
}

static void cr0(void **state)
{
	static const struct {
		uint64_t old, cr4, efer, cs, value;
		bool ok;
		uint64_t efer_after;
	} t[] = {
		{ 0, 0, 0, 0x9b, CR0_PE, true, 0 },
		{ 0, 0, 0, 0x9b, CR0_PG, false, 0 },
		{ 0, 0, 0, 0x9b, CR0_NW, false, 0 },
		{ 0, 0, 0, 0x9b, CR0_NW | CR0_CD, true, 0 },
		{ 0, 0, 0, 0x9b, BIT64(32), false, 0 },
		{ 0, 0, 0, 0x9b, BIT64(63) | CR0_PE, false, 0 },
		/* into IA-32e mode: with PAE, from CS without L */
		{ CR0_PE, CR4_PAE, EFER_LME, 0xc09b, CR0_PE | CR0_PG, true,
		  0x500 },
		{ CR0_PE, 0, EFER_LME, 0xc09b, CR0_PE | CR0_PG, false,
		  EFER_LME },
		{ CR0_PE, CR4_PAE, EFER_LME, 0xa09b, CR0_PE | CR0_PG, false,
		  EFER_LME },
		/* out of it: not from 64-bit code, not with PCIDs */
		{ CR0_PE | CR0_PG, CR4_PAE, 0x500, 0xc09b, CR0_PE, true,
		  EFER_LME },
		{ CR0_PE | CR0_PG, CR4_PAE, 0x500, 0xa09b, CR0_PE, false,
		  0x500 },
		{ CR0_PE | CR0_PG, CR4_PAE | CR4_PCIDE, 0x500, 0xc09b, CR0_PE,
		  false, 0x500 },
	};
	uint32_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		fake.reg[VCPU_CR0] = t[i].old;
		fake.reg[VCPU_CR4] = t[i].cr4;
		fake.reg[VCPU_EFER] = t[i].efer;
		fake.reg[VCPU_CS_ATTR] = t[i].cs;
		assert_int_equal(mov_cr(0, t[i].value), t[i].ok);
		assert_int_equal(fake.reg[VCPU_CR0], t[i].ok ? t[i].value :
				 t[i].old);
		assert_int_equal(fake.reg[VCPU_EFER], t[i].efer_after);
	}
}

static void cr4(void **state)
{
	uint64_t never = ~0ull & ~(CR4_VME | CR4_PVI | CR4_TSD | CR4_DE |
		CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_OSFXSR |
		CR4_OSXMMEXCPT | CR4_UMIP | CR4_FSGSBASE | CR4_PCIDE | CR4_OSXSAVE |
		CR4_SMEP | CR4_SMAP);
	uint32_t bit;

	(void)state;
	fake.reg[VCPU_CR4] = CR4_PAE;
	for (bit = 0; bit < 64; bit++) {
		bool ok = mov_cr(4, CR4_PAE | BIT64(bit));

		assert_int_equal(ok, !(never >> bit & 1));
		fake.reg[VCPU_CR4] = CR4_PAE;
	}
	/* IA-32e mode needs PAE; PCIDs need IA-32e mode and CR3[11:0] 0 */
	assert_false(mov_cr(4, 0));
	fake.reg[VCPU_CR3] = 0x1001;
	assert_false(mov_cr(4, CR4_PAE | CR4_PCIDE));
	fake.reg[VCPU_CR3] = 0x1000;
	assert_true(mov_cr(4, CR4_PAE | CR4_PCIDE));
	fake.reg[VCPU_EFER] = 0;
	fake.reg[VCPU_CR4] = 0;
	assert_false(mov_cr(4, CR4_PCIDE | CR4_PAE));
	assert_true(mov_cr(4, 0));
}

static void other_cr_accesses(void **state)
{
	struct vm_exit e = { .cr = { .cr = 8, .gpr = 4 } };
	uint32_t value;

	(void)state;
	for (value = 0; value < 16; value++) {
		assert_true(mov_cr(8, value));
		assert_int_equal(vcpu.lapic.tpr, value << 4);
	}
	assert_false(mov_cr(8, 16));
	assert_false(mov_cr(8, BIT64(63)));
	vcpu.lapic.tpr = 0x5f;
	assert_true(cr_access(&vcpu, &e));	/* MOV RSP, CR8 */
	assert_int_equal(fake.reg[VCPU_RSP], 5);
	e.cr.cr = 4;		/* MOV RSP, CR4: as the backend shows it */
	fake.reg[VCPU_CR4] = CR4_PAE | CR4_PGE;
	assert_true(cr_access(&vcpu, &e));
	assert_int_equal(fake.reg[VCPU_RSP], CR4_PAE | CR4_PGE);
	/* no other register exits: if one does, it is not CR8 */
	assert_false(mov_cr(3, 0x1000));
	assert_int_equal(vcpu.lapic.tpr, 0x5f);
	/* LMSW sets PE but does not clear it */
	e.cr.cr = 0;
	e.cr.write = e.cr.lmsw = true;
	fake.reg[VCPU_CR0] = CR0_PG | CR0_PE | CR0_ET | CR0_TS;
	e.cr.lmsw_value = 0xfff6;
	assert_true(cr_access(&vcpu, &e));
	assert_int_equal(fake.reg[VCPU_CR0], CR0_PG | CR0_PE | CR0_ET |
			 CR0_MP | CR0_EM);
	e.cr.lmsw = false;
	e.cr.clts = true;
	fake.reg[VCPU_CR0] = CR0_PG | CR0_PE | CR0_TS;
	assert_true(cr_access(&vcpu, &e));
	assert_int_equal(fake.reg[VCPU_CR0], CR0_PG | CR0_PE);
}

static bool legal_xcr0(uint64_t v)
{
	return (v & XCR0_X87) && !(v & ~XCR0_ALL) &&
	       (!(v & XCR0_AVX) || (v & XCR0_SSE)) &&
	       (!(v & XCR0_AVX512) ||
		((v & XCR0_AVX512) == XCR0_AVX512 && (v & XCR0_AVX)));
}

static void xcr0(void **state)
{
	uint64_t value;

	(void)state;
	for (value = 0; value < 1024; value++) {
		fake.xcr0 = 0;
		vcpu.regs.rcx = 0;
		vcpu.regs.rax = value;
		vcpu.regs.rdx = 0;
		assert_int_equal(xsetbv_emulate(&vcpu), legal_xcr0(value));
		assert_int_equal(fake.xcr0, legal_xcr0(value) ? value : 0);
	}
	vcpu.regs.rax = 3;
	vcpu.regs.rdx = 1;
	assert_false(xsetbv_emulate(&vcpu));
	vcpu.regs.rdx = 0;
	vcpu.regs.rcx = 1;
	assert_false(xsetbv_emulate(&vcpu));
	vcpu.regs.rcx = 0;
	fake.reg[VCPU_CPL] = 3;
	assert_false(xsetbv_emulate(&vcpu));
}

#define TEST(f)	cmocka_unit_test_setup(f, make)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(cpuid_unlisted), TEST(cpuid_subleaves),
		TEST(cpuid_own_facts), TEST(msr_reads), TEST(msr_maps),
		TEST(msr_writes_refused), TEST(syscall_msrs), TEST(pat), TEST(efer),
		TEST(tsc_write), TEST(cr0), TEST(cr4),
		TEST(other_cr_accesses), TEST(xcr0),
		TEST(x87_pointers), TEST(cpuid_forbidden),	/* last: it fits the table anew */
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
