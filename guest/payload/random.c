/* SPDX-License-Identifier: MIT */
/*
 * A guest that does what a generator of numbers says: MSRs, ports, control
 * registers, instructions, hypercalls, CPUID, its own memory. What comes of a
 * step is the same on every processor, for it is the hypervisor's answer and no
 * processor's; so the sums of all answers are, too. What is the processor's own
 * (values of MSRs that are native, of CPUID's leaves, of the clock) is not asked,
 * or not looked at; what would end the life of the guest, by its own right, is
 * left out.
 */
#include "payload.h"
#include "abi/hypercall.h"

#define PART		0x4000u		/* steps between two lines */
#define TRACED		0x200u		/* as few of them have a line each */
#define WORDS		4096u
/* Without the upper half, which QEMU's TCG takes in any form. */
#define CANONICAL	0x00007fffffffffffull

struct msr {
	uint32_t number;
	uint64_t value;
};

enum kind {
	KIND_MSR_READ, KIND_MSR_WRITE, KIND_PORT_IN, KIND_PORT_OUT, KIND_CR,
	KIND_INSN, KIND_HYPERCALL, KIND_CPUID, KIND_MEMORY, KINDS,
};

static const char *const names[KINDS] = {
	"random-msr-read-", "random-msr-write-", "random-port-in-",
	"random-port-out-", "random-cr-", "random-insn-", "random-hypercall-",
	"random-cpuid-", "random-memory-",
};

static uint64_t state;
static uint64_t words[WORDS];

/* Marsaglia's xorshift: never 0. */
static uint64_t next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static uint64_t below(uint64_t n)
{
	return (next() >> 16) % n;
}

static void do_rdmsr(void *arg)
{
	struct msr *m = arg;
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(m->number));
	m->value = low | (uint64_t)high << 32;
}

static void do_wrmsr(void *arg)
{
	const struct msr *m = arg;

	__asm__ volatile("wrmsr" : : "a"((uint32_t)m->value),
			 "d"((uint32_t)(m->value >> 32)), "c"(m->number));
}

static uint32_t msr_number(void)
{
	static const uint32_t begin[] = {
		0, 0x80, 0x170, 0x1d0, 0x200, 0x270, 0x3f0, 0x480, 0x6c0, 0x800,
		0xc00, 0xd80, 0x40000000, 0xc0000080, 0xc0000100, 0xc0010000,
		0xc0010110, 0xc0011020,
	};

	if (below(16) == 0) {
		return (uint32_t)next();
	}
	return begin[below(sizeof(begin) / sizeof(begin[0]))] +
	       (uint32_t)below(96);
}

/* Time, the LAPIC's mode and what makes it interrupt, the mode of the
 * processor. */
static bool acts(uint32_t msr)
{
	return msr == 0x10 || msr == 0x1b || msr == 0x6e0 ||
	       (msr >= 0x800 && msr < 0x900) || msr == 0xc0000080;
}

static uint64_t step_msr(bool write, uint64_t *what)
{
	struct msr m = { .number = msr_number() };

	*what = m.number;
	m.value = (below(2) ? next() : below(256)) & CANONICAL;
	if (write && acts(m.number)) {
		return 0;
	}
	return guarded(write ? do_wrmsr : do_rdmsr, &m);
}

/* The serial port, PCI, the reset and sleep registers, the channel. */
static bool has_device(uint32_t port)
{
	return (port >= 0x3f0 && port < 0x400) ||
	       (port >= 0x5fd && port < 0x610) ||
	       (port >= 0xcf0 && port < 0xd00) ||
	       (port >= 0xbffd && port < 0xc100);
}

static uint64_t step_port(bool in, uint64_t *what)
{
	uint16_t port = (uint16_t)(below(2) ? below(0x1000) : below(0x10000));
	uint32_t value = (uint32_t)next(), size = (uint32_t)below(3);

	*what = port | (uint64_t)size << 16;
	if (has_device(port)) {
		return 0;
	}
	if (!in) {
		size == 0 ? port_out8(port, (uint8_t)value) :
		size == 1 ? port_out16(port, (uint16_t)value) :
			    port_out32(port, value);
		return 0;
	}
	return size == 0 ? port_in8(port) : size == 1 ? port_in16(port) :
							port_in32(port);
}

static void flip_cr0(void *arg)
{
	uint64_t was;

	__asm__ volatile("mov %%cr0, %0" : "=r"(was));
	__asm__ volatile("mov %0, %%cr0" : : "r"(was ^ *(uint64_t *)arg));
	__asm__ volatile("mov %0, %%cr0" : : "r"(was));
}

static void flip_cr4(void *arg)
{
	uint64_t was;

	__asm__ volatile("mov %%cr4, %0" : "=r"(was));
	__asm__ volatile("mov %0, %%cr4" : : "r"(was ^ *(uint64_t *)arg));
	__asm__ volatile("mov %0, %%cr4" : : "r"(was));
}

static void set_cr8(void *arg)
{
	__asm__ volatile("mov %0, %%cr8" : : "r"(*(uint64_t *)arg));
}

/* Bits that every processor has, or that no guest gets. */
static uint64_t step_cr(uint64_t *what)
{
	/* MP, EM, TS, NE, WP, AM; bits that must be 0 */
	static const uint8_t cr0[] = { 1, 2, 3, 5, 16, 18, 32, 63 };
	/* TSD, DE, PSE, MCE, PGE, PCE, OSFXSR, OSXMMEXCPT; VMXE, SMXE, and
	 * what must be 0 */
	static const uint8_t cr4[] = {
		2, 3, 4, 6, 7, 8, 9, 10, 13, 14, 15, 26, 31, 32, 63,
	};
	uint32_t which = (uint32_t)below(3);
	uint64_t bits = which == 0 ? 1ull << cr0[below(sizeof(cr0))] :
			which == 1 ? 1ull << cr4[below(sizeof(cr4))] :
				     below(32);

	*what = bits ^ which;
	return guarded(which == 0 ? flip_cr0 : which == 1 ? flip_cr4 : set_cr8,
		       &bits);
}

INSN(insn_vmxon, "vmxon %0")
INSN(insn_vmclear, "vmclear %0")
INSN(insn_vmptrld, "vmptrld %0")
INSN(insn_vmlaunch, "vmlaunch")
INSN(insn_vmread, "vmread %%rax, %%rbx")
INSN(insn_vmrun, "vmrun %%rax")
INSN(insn_vmload, "vmload %%rax")
INSN(insn_vmsave, "vmsave %%rax")
INSN(insn_stgi, "stgi")
INSN(insn_clgi, "clgi")
INSN(insn_invlpga, "invlpga %%rax, %%ecx")
INSN(insn_getsec, "getsec")
INSN(insn_rsm, "rsm")
INSN(insn_monitor, "monitor")
INSN(insn_mwait, "mwait")
INSN(insn_rdpmc, "rdpmc")
INSN(insn_xsetbv, "xsetbv")
INSN(insn_wbinvd, "wbinvd")
INSN(insn_invd, "invd")
INSN(insn_insb, "rep insb")
INSN(insn_ud2, "ud2")
INSN(insn_int3, "int3")
INSN(insn_far, "int $0x70")

static uint64_t step_insn(uint64_t *what)
{
	static void (*const insns[])(void *) = {
		insn_vmxon, insn_vmclear, insn_vmptrld, insn_vmlaunch,
		insn_vmread, insn_vmrun, insn_vmload, insn_vmsave, insn_stgi,
		insn_clgi, insn_invlpga, insn_getsec, insn_rsm, insn_monitor,
		insn_mwait, insn_rdpmc, insn_xsetbv, insn_wbinvd, insn_invd,
		insn_insb, insn_ud2, insn_int3, insn_far,
	};
	static uint64_t operand;

	*what = below(sizeof(insns) / sizeof(insns[0]));
	return guarded(insns[*what], &operand);
}

/* Memory given back, and the clock, are other tests'. */
static uint64_t step_hypercall(uint64_t *what)
{
	bool wild = below(2) != 0;
	uint64_t nr = below(24);
	struct hypercall_args a = {
		.rax = wild && below(4) == 0 ? next() : nr,
		.rdi = wild ? next() : below(4), .rsi = wild ? next() : below(4),
		.rdx = wild ? next() : below(4), .r10 = wild ? next() : 0,
		.r8 = wild ? next() : 0,
	};

	*what = a.rax;
	if (a.rax == HC_MEM_RELEASE || a.rax == HC_CLOCK) {
		return 0;
	}
	return guarded(attempts_call(), &a) ? 1 : a.rax;
}

/* Leaves that the table of the hypervisor's does not have: all zero. */
static uint64_t step_cpuid(uint64_t *what)
{
	uint32_t leaf = (uint32_t)next(), ebx, ecx = (uint32_t)below(4), edx;
	uint32_t eax;

	leaf |= 0x00100000;
	if (leaf >> 16 == 0x4000) {
		leaf ^= 0x10000000;
	}
	*what = eax = leaf;
	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	return eax | ebx | ecx | edx;
}

/* A word of its own is what it was made; then it is made anew. */
static uint64_t step_memory(uint64_t *what)
{
	uint64_t at = below(WORDS), was = words[at];

	*what = at;
	words[at] = next();
	return was;
}

static uint64_t step(enum kind kind, uint64_t *what)
{
	switch (kind) {
	case KIND_MSR_READ:
	case KIND_MSR_WRITE:
		return step_msr(kind == KIND_MSR_WRITE, what);
	case KIND_PORT_IN:
	case KIND_PORT_OUT:
		return step_port(kind == KIND_PORT_IN, what);
	case KIND_CR:
		return step_cr(what);
	case KIND_INSN:
		return step_insn(what);
	case KIND_HYPERCALL:
		return step_hypercall(what);
	case KIND_CPUID:
		return step_cpuid(what);
	default:
		return step_memory(what);
	}
}

static uint64_t mix(uint64_t sum, uint64_t value)
{
	return (sum ^ value) * 0x100000001b3ull;
}

/** order: how many steps, and in bits 32 to 63 the seed. */
void run_random(uint64_t order)
{
	uint64_t steps = order & 0xffffffff, sums[KINDS] = { 0 };

	state = (order >> 32) + 0x9e3779b97f4a7c15ull;
	for (uint64_t n = 1; n <= steps; n++) {
		enum kind kind = (enum kind)below(KINDS);
		uint64_t what, answer = step(kind, &what);

		sums[kind] = mix(mix(sums[kind], what), answer);
		if (steps <= TRACED) {
			report_value(names[kind], what, 0, answer);
		}
		if (n % PART == 0 || n == steps) {
			for (unsigned int i = 0; i < KINDS; i++) {
				report_value(names[i], n, 0, sums[i]);
			}
		}
	}
}
