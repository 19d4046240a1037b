/* SPDX-License-Identifier: MIT */
/*
 * What the checker says of a CPU and its vCPUs: nothing while all is as it must be; with
 * any one bit changed of what it looks at, which that is, but where the bit is the
 * guest's to have either way. The bits that must be are the manuals' numbers, once more.
 */
#include <stdio.h>

#include "hv_fakes.h"
#include "hypervisor/check/check.h"
#include "hypervisor/svm/svm.h"
#include "hypervisor/vmx/vmx.h"

#define ROOT	0x12345000ull
#define CR3	0x6000ull
#define CR0	0x80050033ull
#define CR4	0x3420a0ull
#define EFER	0xd01ull	/* SCE, LME, LMA, NXE */
#define PAT	0x0007040600070406ull

static uint64_t vmcs[0x8000], cr0, cr3, efer;
static struct vmx_vcpu intel;
static struct svm_vcpu amd;
static struct vmcb vmcb_page;
static struct partition part;
static struct boot_partition config = { .name = "linux1" };
static struct vcpu vcpu;
static uint64_t loaded;
static char said[256];
static struct pt_format ept, npt;

const struct hvm_ops hvm_vmx = { .gpm_format = &ept };
const struct hvm_ops hvm_svm = { .gpm_format = &npt };
const struct hvm_ops *hvm;
uint64_t paging_cr3 = CR3;
struct idt_gate idt[256];
uint64_t check_ram, *check_tables, *check_writable;
struct lock frame_lock;

/* The fields that are looked at, by the names of their rules; `must` are the bits that
 * are 1, `may` those that are as they like. [SDM3 "Field Encoding in VMCS"] */
static struct {
	const char *what;
	enum vmcs_field field;
	uint64_t must, may;
} fields[] = {
	{ "EPT pointer", 0x201a, ROOT | 0x1e, 0 },
	{ "I/O bitmap A", 0x2000, 0, 0 },		/* make() */
	{ "I/O bitmap B", 0x2002, 0, 0 },
	{ "MSR bitmap", 0x2004, 0, 0 },
	{ "VMCS link pointer", 0x2800, ~0ull, 0 },
	{ "VPID", 0x0000, 7, 0 },
	{ "host CR3", 0x6c02, CR3, 0 },
	{ "host CR4", 0x6c04, CR4, 0 },
	{ "host EFER", 0x2c02, EFER, 0 },
	{ "host PAT", 0x2c00, PAT, 0 },
	{ "host RIP", 0x6c16, 0, 0 },
	{ "host GS base", 0x6c08, 0, 0 },
	{ "host GDTR", 0x6c0c, 0, 0 },
	{ "host IDTR", 0x6c0e, 0, 0 },
	{ "host TR", 0x6c0a, 0, 0 },
	{ "host CS, SS, TR", 0x0c02, 0x08, 0 },
	{ "host CS, SS, TR", 0x0c04, 0x10, 0 },
	{ "host CS, SS, TR", 0x0c0c, 0x18, 0 },
	{ "host SYSENTER", 0x4c00, 0, 0 },
	{ "host SYSENTER", 0x6c10, 0, 0 },
	{ "host SYSENTER", 0x6c12, 0, 0 },
	/* PE, NE, NW, CD, PG; PSE, PAE, MCE, VMXE, PCIDE, OSXSAVE, SMEP, SMAP */
	{ "CR0 mask", 0x6000, 0xe0000021, ~0ull },
	{ "CR4 mask", 0x6002, 0x362070, ~0ull },
	/* #DB, #AC, #MC */
	{ "exception bitmap", 0x4004, 0x60002, 0 },
	/* bits 0, 3, 5, 6, and those that are 1 */
	{ "pin-based controls", 0x4000, 0x69, 0x16 },
	/* 3, 7, 10, 11, 19, 20, 25, 28, 29, 31; windows and MOV DR */
	{ "processor-based controls", 0x4002, 0xb2180c88, 0x00c00004 | 0x0401e172 },
	/* EPT, VPID, WBINVD, unrestricted; RDTSCP, INVPCID */
	{ "secondary controls", 0x401e, 0xe2, 0x1008 },
	{ "exit controls", 0x400c, 0x3c8204, 0x36dff & ~0x4ull },
	{ "entry controls", 0x4012, 0xc004, (0x11ff & ~0x4ull) | 0x200 },
	{ "lists of MSRs, CR3 targets", 0x400e, 0, 0 },
	{ "lists of MSRs, CR3 targets", 0x4010, 0, 0 },
	{ "lists of MSRs, CR3 targets", 0x4014, 0, 0 },
	{ "lists of MSRs, CR3 targets", 0x400a, 0, 0 },
};

/* The same of a VMCB, of so many bytes. [APM2 "VMCB Layout, Control Area"] */
static struct {
	const char *what;
	uint32_t at, bytes;
	uint64_t must, may;
} controls[] = {
	{ "nCR3", 0xb0, 8, ROOT, 0 },
	{ "nested paging", 0x90, 8, 1, 0 },
	{ "I/O permissions map", 0x40, 8, 0, 0 },		/* make() */
	{ "MSR permissions map", 0x48, 8, 0, 0 },
	{ "ASID", 0x58, 4, 3, 0 },
	/* writes of CR0, CR4, CR8, reads of CR4, CR8 */
	{ "intercepts of control registers", 0x00, 4, 0x01110110, ~0ull },
	{ "intercepts of exceptions", 0x08, 4, 0x60002, ~0ull },
	/* all but SMI, VINTR, CR0 of LMSW, reads and writes of descriptor tables, RDTSC,
	 * PUSHF, POPF, IRET, INTn, PAUSE, INVLPG, FERR */
	{ "intercepts 1", 0x0c, 4, 0xbd4c800b, ~0ull },
	/* all but RDTSCP, ICEBP, armed MWAIT */
	{ "intercepts 2", 0x10, 4, 0x6e7f, ~0ull },
	{ "interrupt control", 0x60, 4, 0x01000000, 0x001001ff },
	{ "virtualization of branches and more", 0xb8, 8, 0, 0 },
	{ "virtualization of branches and more", 0xc0, 4, 0, 0 },
	{ "EFER", 0x4d0, 8, 0x1000, ~0ull },
};

uint64_t vmread(enum vmcs_field f)
{
	assert_int_equal(loaded, intel.vmcs.v);
	return vmcs[f];
}

void vmptrld(hpa_t v)
{
	loaded = v.v;
}

void vmx_exit_point(void)
{
}

uint64_t read_cr0(void)
{
	return cr0;
}

uint64_t read_cr3(void)
{
	return cr3;
}

uint64_t read_cr4(void)
{
	return CR4;
}

uint64_t rdmsr(uint32_t msr)
{
	assert_int_equal(msr, MSR_IA32_EFER);
	return efer;
}

void log_write(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(said, sizeof(said), fmt, ap);
	va_end(ap);
}

/* --- what of the checker is not looked at here ----------------------------- */

const uint8_t *frame_owners(uint64_t *pages)
{
	static uint8_t owners[64];

	*pages = ARRAY_SIZE(owners);
	return owners;
}

hpa_t frame_boot(uint8_t owner, uint64_t bytes, const char *what)
{
	(void)owner;
	(void)bytes;
	(void)what;
	return HPA(0x1000);
}

void check_maps(bool mark)
{
	(void)mark;
}

void check_permissions(const struct partition *p)
{
	(void)p;
}

void check_iommus(void)
{
}

uint64_t check_meaning(void)
{
	return 0;
}

enum hc_iommu iommu_state(void)
{
	return HC_IOMMU_NONE;
}

void lapic_ipi(uint32_t apic_id, uint8_t vector)
{
	fail_msg("CPU %u is asked: %u", apic_id, vector);
}

/* --- the machine ----------------------------------------------------------- */

static void set(const char *what, uint64_t value)
{
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(fields); i++) {
		fields[i].must = strcmp(fields[i].what, what) ? fields[i].must : value;
	}
	for (i = 0; i < ARRAY_SIZE(controls); i++) {
		controls[i].must = strcmp(controls[i].what, what) ? controls[i].must : value;
	}
}

static int make(void **state)
{
	struct percpu *pc = &fake_cpu[0];
	uint64_t ports, msrs;
	uint32_t i;

	(void)state;
	fakes_reset();
	fake_memory_map(64 * PAGE_SIZE);
	part.config = &config;
	part.gpm_root = HPA(ROOT);
	part.native_ports = hpa_ptr(HPA(0x8000));
	part.native_msrs = hpa_ptr(HPA(0xb000));
	ports = ptr_hpa(part.native_ports).v;
	msrs = ptr_hpa(part.native_msrs).v;
	fake_vcpu_init(&vcpu, &part, 0);
	pc->vcpus[0] = &vcpu;
	pc->vcpu_count = 1;
	pc->backend_current = NULL;
	cpu_count = 1;
	partition_count = 0;
	cr0 = CR0;
	cr3 = CR3;
	efer = EFER;
	set("I/O bitmap A", ports);
	set("I/O bitmap B", ports + PAGE_SIZE);
	set("MSR bitmap", msrs);
	set("I/O permissions map", ports);
	set("MSR permissions map", msrs);
	set("host RIP", (uintptr_t)vmx_exit_point);
	set("host GS base", (uintptr_t)pc);
	set("host GDTR", (uintptr_t)pc->gdt);
	set("host IDTR", (uintptr_t)idt);
	set("host TR", (uintptr_t)&pc->tss);
	memset(vmcs, 0, sizeof(vmcs));
	for (i = 0; i < ARRAY_SIZE(fields); i++) {
		vmcs[fields[i].field] = fields[i].must;
	}
	memset(&vmcb_page, 0, sizeof(vmcb_page));
	for (i = 0; i < ARRAY_SIZE(controls); i++) {
		memcpy((uint8_t *)&vmcb_page + controls[i].at, &controls[i].must,
		       controls[i].bytes);
	}
	intel = (struct vmx_vcpu){ .vmcs = HPA(0x2000), .launched = 1, .vpid = 7 };
	amd = (struct svm_vcpu){ .vmcb = &vmcb_page, .asid = 3 };
	check_init();
	return 0;
}

static void on_intel(void)
{
	hvm = &hvm_vmx;
	vcpu.backend = &intel;
}

static void on_amd(void)
{
	hvm = &hvm_svm;
	vcpu.backend = &amd;
}

/* What is wrong, "" if nothing. */
static const char *look(void)
{
	struct guest_regs r;

	loaded = 0;
	assert_int_equal(check_query(&r), HC_OK);
	assert_int_equal(r.rdi, strstr(said, "isolation holds") == NULL);
	return r.rdi ? said : "";
}

static void finds(const char *what, const char *who)
{
	const char *found = look();

	if (!strstr(found, what) || !strstr(found, who)) {
		fail_msg("not \"%s\": \"%s\"", what, found);
	}
}

/* With each bit of a value of so many bytes changed, in turn. */
static void each_bit(void *at, uint32_t bytes, const char *what, uint64_t must, uint64_t may)
{
	uint64_t old = 0, value;
	uint32_t i;

	memcpy(&old, at, bytes);
	for (i = 0; i < 8 * bytes; i++) {
		value = old ^ BIT64(i);
		memcpy(at, &value, bytes);
		if ((must | ~may) & BIT64(i)) {
			finds(what, "linux1: ");
		} else {
			assert_string_equal(look(), "");
		}
	}
	memcpy(at, &old, bytes);
	assert_string_equal(look(), "");
}

/* --- tests ----------------------------------------------------------------- */

static void fields_of_vmcs(void **state)
{
	static const uint32_t bytes[] = { 2, 8, 4, 8 };
	uint32_t i;

	(void)state;
	on_intel();
	assert_string_equal(look(), "");
	for (i = 0; i < ARRAY_SIZE(fields); i++) {
		/* how wide it is, its number says */
		each_bit(&vmcs[fields[i].field], bytes[fields[i].field >> 13 & 3],
			 fields[i].what, fields[i].must, fields[i].may);
	}
}

static void controls_of_vmcb(void **state)
{
	uint32_t i;

	(void)state;
	on_amd();
	assert_string_equal(look(), "");
	for (i = 0; i < ARRAY_SIZE(controls); i++) {
		each_bit((uint8_t *)&vmcb_page + controls[i].at, controls[i].bytes,
			 controls[i].what, controls[i].must, controls[i].may);
	}
}

/* PG, WP and PE, NXE, and the map that all CPUs share. */
static void own_registers(void **state)
{
	(void)state;
	for (int vendor = 0; vendor < 2; vendor++) {
		vendor ? on_amd() : on_intel();
		vmcs[0x6c02] = cr3 = CR3 + PAGE_SIZE;
		finds("a CPU's CR3", "ISOLATION: a CPU");
		vmcs[0x6c02] = cr3 = CR3;
		cr0 = CR0 & ~BIT64(31);
		finds("a CPU's CR0", "ISOLATION: a CPU");
		cr0 = CR0 & ~BIT64(16);
		finds("a CPU's CR0", "ISOLATION: a CPU");
		cr0 = CR0 & ~BIT64(0);
		finds("a CPU's CR0", "ISOLATION: a CPU");
		cr0 = CR0 ^ BIT64(5);
		assert_string_equal(look(), "");
		cr0 = CR0;
		vmcs[0x2c02] = efer = EFER & ~BIT64(11);
		finds("a CPU's EFER", "ISOLATION: a CPU");
		vmcs[0x2c02] = efer = EFER;
		assert_string_equal(look(), "");
	}
}

/* Before its first run there is nothing to look at; afterwards the VMCS that was current
 * is so again. */
static void others(void **state)
{
	static struct vmx_vcpu current = { .vmcs = { 0x5000 } };

	(void)state;
	on_intel();
	fake_cpu[0].backend_current = &current;
	assert_string_equal(look(), "");
	assert_int_equal(loaded, 0x5000);
	vmcs[0x201a] ^= PAGE_SIZE;
	finds("EPT pointer", "linux1: ");
	assert_int_equal(loaded, 0x5000);
	intel.launched = 0;
	assert_string_equal(look(), "");
	on_amd();
	loaded = 0;
	vmcb_page.n_cr3 ^= PAGE_SIZE;
	finds("nCR3", "linux1: ");
	assert_int_equal(loaded, 0);
	vmcb_page.guest_asid = 0;
	assert_string_equal(look(), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(fields_of_vmcs, make),
		cmocka_unit_test_setup(controls_of_vmcb, make),
		cmocka_unit_test_setup(own_registers, make),
		cmocka_unit_test_setup(others, make),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
