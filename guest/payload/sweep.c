/* SPDX-License-Identifier: MIT */
/*
 * Whole ranges: MSRs, CPUID leaves, ports, bits of control registers, masks of XCR0.
 * What was answered is told in runs, bit masks and sums, for a character is two exits.
 * The rules are qemu-test/boot/hostile_rules.py's.
 */
#include "cpu.h"
#include "payload.h"
#include "qemu-test/hostile/ports.h"

#define NO_DETAIL	(~0ull)
#define RANDOM_MSRS	0x4000u
#define MSR_EFER	0xc0000080u
#define MSR_PAT		0x277u
#define MSR_APIC_BASE	0x1bu
#define CR4_OSXSAVE	(1ull << 18)
#define CR4_OSFXSR	(1ull << 9)
#define XCR0_MASKS	512u
#define CD_TOGGLES	20000u

/* Numbers that were answered, one after another, told as runs. */
struct run {
	const char *name;
	uint64_t first, count;
};

static void run_end(struct run *r)
{
	if (r->count) {
		report_value(r->name, r->first, 0, r->count);
	}
	r->count = 0;
}

static void run_add(struct run *r, uint64_t n)
{
	if (r->count && n != r->first + r->count) {
		run_end(r);
	}
	r->first = r->count ? r->first : n;
	r->count++;
}

/** RDMSR of all ranges that mean something, and of numbers anywhere. */
void run_msr_reads(uint64_t unused)
{
	static const uint32_t ranges[][2] = {
		{ 0, 0x2000 }, { 0x40000000, 0x40001000 },
		{ 0x4b564d00, 0x4b564d10 }, { 0xc0000000, 0xc0002000 },
		{ 0xc0010000, 0xc0012000 },
	};
	struct run answered = { .name = "msr-answered-" };
	uint64_t seed = 1, any = 0;

	(void)unused;
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		for (uint32_t n = ranges[i][0]; n < ranges[i][1]; n++) {
			struct msr m = { .number = n };

			if (guarded(do_rdmsr, &m) == 0) {
				run_add(&answered, n);
			}
		}
		run_end(&answered);
	}
	for (uint32_t i = 0; i < row_times(RANDOM_MSRS); i++) {
		struct msr m = { .number = (uint32_t)next_random(&seed) };

		any += guarded(do_rdmsr, &m) == 0;
	}
	report_value("msr-answered-anywhere", NO_DETAIL, 0, any);
}

/* One MSR: each bit by itself (of what it was, where others must stay), none, all. */
static void write_bits(uint32_t number, uint64_t was)
{
	struct msr m = { .number = number };
	uint64_t taken = 0;

	for (uint32_t bit = 0; bit < 64; bit++) {
		m.value = was ^ 1ull << bit;
		if (guarded(do_wrmsr, &m) == 0) {
			taken |= 1ull << bit;
		}
	}
	report_value("msr-bits-", number, 0, taken);
	m.value = 0;
	taken = guarded(do_wrmsr, &m) == 0;
	m.value = ~0ull;
	taken |= guarded(do_wrmsr, &m) == 0 ? 2 : 0;
	report_value("msr-ends-", number, 0, taken);
	m.value = was;
	(void)guarded(do_wrmsr, &m);
}

/** WRMSR: what a kernel sets, and what nobody may. */
void run_msr_writes(uint64_t unused)
{
	static const uint32_t numbers[] = {
		0x17, MSR_APIC_BASE, 0x3a, 0x79, 0x8b, 0x9b, 0x175, 0x176,
		0x1a0, 0x1d9, 0x200, MSR_PAT, 0x2ff, 0x38f, 0x400, 0x480,
		0x48b, 0x570, 0x600, 0xc80, 0xd90, 0xda0, 0x40000000,
		0x40000073, MSR_EFER, 0xc0000081, 0xc0000082, 0xc0000083,
		0xc0000084, 0xc0000102, 0xc0000103, 0xc0000104, 0xc0010015,
		0xc001001f, 0xc0010058, 0xc0010111, 0xc0010114, 0xc0010117,
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		uint32_t n = numbers[i];
		struct msr m = { .number = n };
		bool keep = n == MSR_EFER || n == MSR_PAT ||
			    n == MSR_APIC_BASE;

		(void)guarded(do_rdmsr, &m);
		write_bits(n, keep ? m.value : 0);
	}
}

static void do_xsetbv(void *arg)
{
	const struct msr *m = arg;

	__asm__ volatile("xsetbv" : : "a"((uint32_t)m->value),
			 "d"((uint32_t)(m->value >> 32)), "c"(m->number));
}

INSN(do_xrstor, "movq %0, %%rbx; movl $-1, %%eax; movl %%eax, %%edx; "
     "xrstor64 (%%rbx)")

/** All low masks of XCR0, other registers than it, from CPL 3, without OSXSAVE; and
 * an XSAVE area whose header no processor writes. */
void run_xcr0(uint64_t unused)
{
	static uint8_t area[1024] __attribute__((aligned(64)));
	struct run taken = { .name = "xcr0-" };
	struct msr m = { 0 };
	uint64_t cr4 = cr4_get(), last = 1;

	(void)unused;
	m.value = 1;
	report("xsetbv-off", NO_DETAIL, guarded(do_xsetbv, &m));
	cr4_set(cr4 | CR4_OSXSAVE | CR4_OSFXSR);
	for (m.value = 0; m.value < XCR0_MASKS; m.value++) {
		if (guarded(do_xsetbv, &m) == 0) {
			run_add(&taken, m.value);
			last = m.value;
		}
	}
	run_end(&taken);
	m.value = 1ull << 62;
	report("xsetbv-high", NO_DETAIL, guarded(do_xsetbv, &m));
	m.value = last;
	report("xsetbv-user", NO_DETAIL, guarded_user(do_xsetbv, &m));
	for (m.number = 1; m.number; m.number <<= 1) {
		if (guarded(do_xsetbv, &m) == 0) {
			report("xsetbv-register-", m.number, 0);
		}
	}
	for (uint32_t byte = 512; byte < 576; byte += 8) {
		*(uint64_t *)(area + byte) = ~0ull;
		report("xrstor-", byte, guarded(do_xrstor, area));
		*(uint64_t *)(area + byte) = 0;
	}
	cr4_set(cr4);
}

/* A control register: each bit but those that would end the program (all its pages
 * are a user's); what was taken is put back at once. */
static void control_bits(const char *name, uint64_t (*get)(void),
			 void (*set)(void *), uint64_t skip)
{
	uint64_t was = get(), taken = 0;

	for (uint32_t bit = 0; bit < 64; bit++) {
		uint64_t v = was ^ 1ull << bit;

		if ((skip >> bit & 1) == 0 && guarded(set, &v) == 0) {
			taken |= 1ull << bit;
			v = was;
			(void)guarded(set, &v);
		}
	}
	report_value(name, NO_DETAIL, 0, taken);
}

/** Every bit of CR0, CR4, CR8; LMSW, CLTS; CR0.CD on and off
 * for long. */
void run_controls(uint64_t unused)
{
	uint64_t was = cr0_get(), cd;

	(void)unused;
	control_bits("cr0-bits", cr0_get, do_cr0, 0);
	control_bits("cr4-bits", cr4_get, do_cr4, 3ull << 20);
	control_bits("cr8-bits", cr8_get, do_cr8, 0);
	for (uint32_t i = 0; i < 16; i++) {
		__asm__ volatile("lmsw %w0; clts" : : "r"(i));
	}
	cd = was | 1u << 30;
	for (uint32_t i = 0; i < row_times(CD_TOGGLES); i++) {
		do_cr0(i & 1 ? &was : &cd);
	}
	do_cr0(&was);
	report_value("cr0-then", NO_DETAIL, 0, cr0_get() ^ was);
}

/** CPUID: a sum of each class of leaves with 64 subleaves, and what must be hidden. */
void run_cpuid(uint64_t unused)
{
	static const uint32_t classes[] = { 0, 0x40000000, 0x80000000 };
	uint64_t vmx = 0;
	uint32_t r[4];

	(void)unused;
	for (uint32_t i = 0; i < 3; i++) {
		uint64_t sum = 0;

		for (uint32_t n = 0; n <= 0x40 * 64; n++) {
			/* APIC ids and the like are the vCPU's own */
			get_cpuid(classes[i] + n / 64, n % 64, r);
			for (uint32_t k = 0; k < 4; k++) {
				sum = (sum ^ r[k]) * 0x100000001b3ull;
			}
		}
		report_value("cpuid-", classes[i], 0, sum);
	}
	get_cpuid(1, 0, r);
	vmx |= r[2] >> 5 & 3;			/* VMX, SMX */
	get_cpuid(0x80000001, 0, r);
	vmx |= r[2] & 1 << 2;			/* SVM */
	get_cpuid(7, 0, r);
	vmx |= (r[1] & 1 << 2) << 1;		/* SGX */
	vmx |= r[1] >> 25 & 1 ? 0x10 : 0;	/* PT */
	report_value("cpuid-hidden", NO_DETAIL, 0, vmx);
}

/* Serial port, PCI, power, the channel, and the oracle's: answered by somebody. */
static bool is_answered(uint32_t port)
{
	return (port & ~7u) == 0x3f8 || (port & ~7u) == 0xcf8 ||
	       (port & ~15u) == 0x600 || (port & ~31u) == 0xc000 ||
	       port == HOSTILE_ROW;
}

/* An input, and whether what it must not touch of RAX is as it was. */
static bool in_is_nobody(uint32_t port, uint32_t size)
{
	uint64_t rax = 0x1122334455667788ull, want;

	if (size == 1) {
		__asm__ volatile("inb %w1, %b0" : "+a"(rax) : "d"(port));
		want = 0x11223344556677ffull;
	} else if (size == 2) {
		__asm__ volatile("inw %w1, %w0" : "+a"(rax) : "d"(port));
		want = 0x112233445566ffffull;
	} else {
		__asm__ volatile("inl %w1, %k0" : "+a"(rax) : "d"(port));
		want = 0xffffffff;
	}
	return rax == want;
}

static void out_harm(uint32_t port, uint32_t size)
{
	if (size == 1) {
		port_out8((uint16_t)port, 0xff);
	} else if (size == 2) {
		port_out16((uint16_t)port, 0xffff);
	} else {
		port_out32((uint16_t)port, 0xffffffff);
	}
}

INSN(do_insb, "movw $0x80, %%dx; movq $-1, %%rcx; shrq %%rcx; incq %%rcx; rep insb")
INSN(do_insl, "movw $0xfffe, %%dx; movl $64, %%ecx; rep insl")
INSN(do_outsw, "movw $0x3f7, %%dx; movq $-1, %%rcx; rep outsw")

/** Every port nobody has, in and out, in each width; strings. */
void run_all_ports(uint64_t unused)
{
	struct run other = { .name = "port-answered-" };

	(void)unused;
	for (uint32_t size = 1; size <= 4; size *= 2) {
		for (uint32_t port = 0; port < 0x10000; port++) {
			if (is_answered(port)) {
				continue;
			}
			out_harm(port, size);
			if (!in_is_nobody(port, size)) {
				run_add(&other, port);
			}
		}
		run_end(&other);
	}
	report("ins-byte", NO_DETAIL, guarded(do_insb, NULL));
	report("ins-end", NO_DETAIL, guarded(do_insl, NULL));
	report("outs-across", NO_DETAIL, guarded(do_outsw, NULL));
}
