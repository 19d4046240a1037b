/* SPDX-License-Identifier: MIT */
/*
 * States that an entry into a guest must pass on or refuse: single steps in the shadow
 * of what blocks them, instructions at the end of the address space, segments that are
 * none; and registers that a switch to others must keep.
 */
#include "cpu.h"
#include "payload.h"

#define NO_DETAIL	(~0ull)
#define SPARE_RAM	0x10000000ull	/* its own, and of no use to it */
#define PAGE_ALL	0x67ull		/* present, writable, user, used */
#define PAGE_LARGE	0x80ull
#define LAST_2M		0x7fffffe00000ull	/* of the lower half */
#define HV_CODE		0xffffffff80001000ull
#define MSR_EFER	0xc0000080u
#define CR4_OSXSAVE	(1ull << 18)
#define CR4_OSFXSR	(1ull << 9)
#define SECRET		0x5ec4e75ec4e75ec4ull
#define EXITS		2000u

struct attempt {
	const char *name;
	void (*run)(void *arg);
};

static void run_attempts(const struct attempt *a, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		report(a[i].name, NO_DETAIL, guarded(a[i].run, NULL));
		__asm__ volatile("cli");
	}
}

#define TF_ON	"pushfq; orl $0x100, (%%rsp); popfq; "

/* #DB is due at the end of each, merged with what exits there. */
INSN(do_icebp, ".byte 0xf1")
INSN(do_ss_icebp, "movl %%ss, %%ebx; " TF_ON "movl %%ebx, %%ss; .byte 0xf1")
INSN(do_ss_cpuid, "movl %%ss, %%ebx; " TF_ON "movl %%ebx, %%ss; cpuid; nop")
INSN(do_sti_cpuid, TF_ON "sti; cpuid; nop")
INSN(do_sti_in, TF_ON "sti; inb $0x80, %%al; nop")
INSN(do_step_cpuid, TF_ON "cpuid; nop")
INSN(do_step_in, TF_ON "inb $0x80, %%al; nop")
INSN(do_step_forwarded, "movw $0x3fd, %%dx; " TF_ON "inb %%dx, %%al; nop")
INSN(do_step_rdmsr, "movl $0x1b, %%ecx; " TF_ON "rdmsr; nop")
INSN(do_step_wbinvd, TF_ON "wbinvd; nop")
INSN(do_step_cr0, "movq %%cr0, %%rax; " TF_ON "movq %%rax, %%cr0; nop")
INSN(do_ss_int3, "movl %%ss, %%ebx; " TF_ON "movl %%ebx, %%ss; int3")
INSN(do_branch_step, "movl $0x1d9, %%ecx; movl $2, %%eax; wrmsr; nop")

/** Single steps, ICEBP, the shadows of MOV SS and STI, over what exits. */
void run_steps(uint64_t unused)
{
	static const struct attempt steps[] = {
		{ "icebp", do_icebp }, { "ss-icebp", do_ss_icebp },
		{ "ss-cpuid", do_ss_cpuid }, { "sti-cpuid", do_sti_cpuid },
		{ "sti-in", do_sti_in }, { "step-cpuid", do_step_cpuid },
		{ "step-in", do_step_in },
		{ "step-forwarded", do_step_forwarded },
		{ "step-rdmsr", do_step_rdmsr },
		{ "step-wbinvd", do_step_wbinvd },
		{ "step-cr0", do_step_cr0 }, { "ss-int3", do_ss_int3 },
		{ "branch-step", do_branch_step },
	};

	(void)unused;
	run_attempts(steps, sizeof(steps) / sizeof(steps[0]));
}

/* The last bytes of the lower half, as its own spare RAM. */
static uint8_t *map_last(void)
{
	static uint64_t tables[2][512] __attribute__((aligned(4096)));
	uint64_t *pml4 = (uint64_t *)(uintptr_t)(cr3_get() & ~0xfffull);

	pml4[255] = (uintptr_t)tables[0] | PAGE_ALL;
	tables[0][511] = (uintptr_t)tables[1] | PAGE_ALL;
	tables[1][511] = SPARE_RAM | PAGE_ALL | PAGE_LARGE;
	cr3_set(cr3_get());
	return (uint8_t *)(uintptr_t)LAST_2M;
}

static void do_jump(void *arg)
{
	/* what it reads and writes is as after INSN */
	__asm__ volatile("call *%0" : : "r"(arg), "a"(0), "c"(0), "d"(0x80)
			 : "rbx", "memory");
}

INSN(do_iret, "movl %%ss, %%eax; movq %%rsp, %%rcx; pushq %%rax; pushq %%rcx; "
     "pushfq; movl %%cs, %%eax; pushq %%rax; movq $1, %%rax; shlq $47, %%rax; "
     "pushq %%rax; iretq")
INSN(do_sysret, "movq $1, %%rcx; shlq $47, %%rcx; movq $2, %%r11; sysretq")

/** Instructions that exit, as the last ones below the hole; returns into the hole. */
void run_ends(uint64_t unused)
{
	static const struct {
		const char *name;
		uint8_t size, bytes[3];
	} ends[] = {
		{ "end-cpuid", 2, { 0x0f, 0xa2 } },
		{ "end-in", 1, { 0xec } },
		{ "end-out", 1, { 0xee } },
		{ "end-rdtsc", 2, { 0x0f, 0x31 } },
		{ "end-wbinvd", 2, { 0x0f, 0x09 } },
		{ "end-vmcall", 3, { 0x0f, 0x01, 0xc1 } },
		{ "end-vmmcall", 3, { 0x0f, 0x01, 0xd9 } },
		{ "end-rdmsr", 2, { 0x0f, 0x32 } },
		{ "end-clts", 2, { 0x0f, 0x06 } },
	};
	uint8_t *end = map_last() + (2 << 20);

	(void)unused;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		uint8_t *at = end - ends[i].size;

		for (uint32_t k = 0; k < ends[i].size; k++) {
			at[k] = ends[i].bytes[k];
		}
		report(ends[i].name, NO_DETAIL, guarded(do_jump, at));
	}
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | 1);
	report("iret-hole", NO_DETAIL, guarded(do_iret, NULL));
	report("sysret-hole", NO_DETAIL, guarded(do_sysret, NULL));
}

/* After each an exit: the entry behind it must pass. */
INSN(do_null_ss, "movl %%eax, %%ss; cpuid")
INSN(do_null_all, "movl %%eax, %%ds; movl %%eax, %%es; movl %%eax, %%fs; "
     "movl %%eax, %%gs; xorl %%eax, %%eax; cpuid")
INSN(do_null_ldt, "lldt %%ax; cpuid")
INSN(do_busy_tss, "movl $0x30, %%eax; ltr %%ax; cpuid")
INSN(do_code_as_tss, "movl $0x10, %%eax; ltr %%ax")
INSN(do_data_as_ldt, "movl $0x18, %%eax; lldt %%ax")
INSN(do_user_ss, "movl $0x23, %%eax; movl %%eax, %%ss")
INSN(do_nt_iret, "pushfq; orl $0x4000, (%%rsp); popfq; iretq")
INSN(do_no_gdt, "subq $16, %%rsp; movq $0, 2(%%rsp); movw $0, (%%rsp); "
     "sgdt -16(%%rsp); lgdt (%%rsp); cpuid; lgdt -16(%%rsp); addq $16, %%rsp")
INSN(do_odd_flags, "pushfq; orl $0x43000, (%%rsp); popfq; cpuid")
INSN(do_far_tss, "int $0x81")

/** Segments that are none or odd, then an exit. */
void run_segments(uint64_t unused)
{
	static const struct attempt segments[] = {
		{ "null-ss", do_null_ss }, { "null-all", do_null_all },
		{ "null-ldt", do_null_ldt }, { "busy-tss", do_busy_tss },
		{ "code-as-tss", do_code_as_tss },
		{ "data-as-ldt", do_data_as_ldt }, { "user-ss", do_user_ss },
		{ "nt-iret", do_nt_iret }, { "no-gdt", do_no_gdt },
		{ "odd-flags", do_odd_flags }, { "no-gate", do_far_tss },
	};
	uint32_t ss = 0x18;

	(void)unused;
	run_attempts(segments, sizeof(segments) / sizeof(segments[0]));
	__asm__ volatile("movl %0, %%ss; movl %0, %%ds; movl %0, %%es; "
			 "pushq $2; popfq" : : "r"(ss) : "memory");
}

INSN(do_detect, "movq %%dr7, %%rax; btsq $13, %%rax; movq %%rax, %%dr7; "
     "movq %%dr0, %%rax")

/** Breakpoints at the hypervisor's addresses, on its stack and its tables, through
 * many exits; then general detect. */
void run_debug_registers(uint64_t unused)
{
	uint64_t on;
	uint32_t r[4];

	(void)unused;
	/* QEMU's AMD-V before 9.1 loads DR7 and leaves the breakpoints of before in
	 * force, those of another guest and of the hypervisor; and takes a
	 * breakpoint of one for a watchpoint of the other, which ends QEMU */
	get_cpuid(0, 0, r);
	on = r[1] == 0x756e6547 ? 0x3f : 0;	/* "Genu" */
	dr0_set(HV_CODE);
	dr1_set(HV_CODE + 0x800);
	dr2_set(0xffff888000000000ull);
	dr3_set((uintptr_t)r & ~7ull);
	/* locally and globally: executing, executing, writing and reading 8
	 * bytes, the last off */
	dr7_set(0x0b000400ull | on);
	for (uint32_t i = 0; i < EXITS; i++) {
		get_cpuid(i & 7, 0, r);
	}
	report_value("dr0", NO_DETAIL, 0, dr0_get() ^ HV_CODE);
	report_value("dr2", NO_DETAIL, 0, dr2_get() ^ 0xffff888000000000ull);
	report_value("dr7", NO_DETAIL, 0, dr7_get() ^ on);
	report_value("breakpoints", NO_DETAIL, 0, on);
	report("detect", NO_DETAIL, guarded(do_detect, NULL));
	dr7_set(0x400);
	dr6_set(0xffff0ff0);
}

/* Of x87's, SSE's and AVX's registers in an XSAVE area: how many words are not of a
 * number, all of it. */
static uint32_t not_all(const uint64_t *area, uint64_t number)
{
	uint32_t n = 0;

	for (uint32_t i = 20; i < 104; i = i == 51 ? 72 : i + 1) {
		n += area[i] != number;
	}
	return n;
}

/* The other registers with numbers of its own, over many turns of others: how many
 * were others' then. */
static void keep_others(void)
{
	static const struct msr msrs[] = {
		{ MSR_EFER, 0xd01 },	/* NX, LMA, LME, SCE */
		{ 0xc0000081, SECRET }, { 0xc0000082, 0x7ec4e75ec4e7 },
		{ 0xc0000084, 0x5ec4e75e }, { 0xc0000102, 0x7ec4e75ec4e8 },
		{ 0xc0000103, 0x5ec4e75e }, { 0x277, 0x0007040600070406 },
	};
	enum { MSRS = sizeof(msrs) / sizeof(msrs[0]) };
	uint64_t was[MSRS];
	uint32_t wrong = 0, r[4];

	for (uint32_t i = 0; i < MSRS; i++) {
		was[i] = rdmsr(msrs[i].number);
		wrmsr(msrs[i].number, msrs[i].value);
	}
	dr0_set(SECRET >> 20);
	dr3_set(SECRET >> 21);
	cr2_set(SECRET);
	for (uint32_t i = 0; i < EXITS; i++) {
		get_cpuid(0, 0, r);
		for (volatile uint32_t k = 0; k < 500; k++) {
		}
		/* again, in any instant of others' rounds */
		for (uint32_t k = 0; i % 16 == 0 && k < MSRS; k++) {
			wrong += rdmsr(msrs[k].number) != msrs[k].value;
			wrmsr(msrs[k].number, msrs[k].value);
		}
	}
	wrong += dr0_get() != SECRET >> 20;
	wrong += dr3_get() != SECRET >> 21;
	wrong += cr2_get() != SECRET;
	for (uint32_t i = 0; i < MSRS; i++) {
		wrong += rdmsr(msrs[i].number) != msrs[i].value;
		wrmsr(msrs[i].number, was[i]);
	}
	report_value("registers-then", NO_DETAIL, 0, wrong);
}

/* All vector registers, from the area and into it. */
static void vectors_set(uint64_t *area)
{
	for (uint32_t i = 20; i < 104; i++) {
		area[i] = i < 52 || i >= 72 ? SECRET : 0;
	}
	area[64] = 7;
	__asm__ volatile("xrstor64 %0" : : "m"(*(uint64_t (*)[128])area), "a"(7), "d"(0));
}

static uint32_t vectors_wrong(uint64_t *area)
{
	for (uint32_t i = 0; i < 128; i++) {
		area[i] = 0;
	}
	__asm__ volatile("xsave64 %0" : "+m"(*(uint64_t (*)[128])area) : "a"(7), "d"(0) :
			 "memory");
	return not_all(area, SECRET);
}

/** Vector registers: nothing in them at first, and nobody else's after a while of
 * others' turns. They are set again and again, so that those whose turn comes in between
 * would find these in theirs. */
void run_vectors(uint64_t unused)
{
	static uint64_t area[128] __attribute__((aligned(64)));
	uint64_t cr4 = cr4_get();
	uint32_t r[4], wrong = 0;

	(void)unused;
	cr4_set(cr4 | CR4_OSXSAVE | CR4_OSFXSR);
	__asm__ volatile("xsave64 %0" : "+m"(area) : "a"(7), "d"(0) : "memory");
	report_value("vectors-first", NO_DETAIL, 0, not_all(area, 0));
	for (uint32_t i = 0; i < EXITS; i++) {
		vectors_set(area);
		get_cpuid(0, 0, r);
		for (volatile uint32_t k = 0; k < 500; k++) {
		}
		wrong |= vectors_wrong(area);
	}
	report_value("vectors-then", NO_DETAIL, 0, wrong);
	cr4_set(cr4);
	keep_others();
}
