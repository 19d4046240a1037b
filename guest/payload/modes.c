/* SPDX-License-Identifier: MIT */
/*
 * Instructions that no guest may have, in every mode there is: 64-bit at CPL 0 and 3,
 * compatibility, protected, real; and what only the older modes have: hardware tasks,
 * virtual-8086 tasks, 16-bit segments, handlers of CPL 3.
 */
#include "cpu.h"
#include "payload.h"
#include "abi/hypercall.h"

#define NO_DETAIL	(~0ull)
#define REAL		0x8000u		/* legacy.S */
#define REAL_CODE	0x9000u
#define RET		0xc3u
#define CALL_NUMBERS	0x10000u
#define CALL_RANDOMS	20000u

/* legacy.S */
extern const uint8_t real_begin[], real_end[];
extern uint8_t legacy_stubs[], legacy_done[];
extern uint64_t legacy_gdt[], legacy_idt[];
extern uint32_t legacy_tss[], legacy_other[];
extern uint8_t try_task_jump[], try_task_call[], try_task_gate[],
	try_nt_iret[], try_vm86[], try_code16[], try_alignment[],
	try_null_ss[];
void compat_call(void *code);
unsigned int legacy_run(uint32_t real, uint32_t code);

/* The same bytes mean the same in each mode; operands are registers, or memory at
 * [EAX] or [BX+SI], which is 0. */
static const struct {
	const char *name;
	uint8_t size, bytes[5];
} forbidden[] = {
	{ "vmcall", 3, { 0x0f, 0x01, 0xc1 } },
	{ "vmlaunch", 3, { 0x0f, 0x01, 0xc2 } },
	{ "vmresume", 3, { 0x0f, 0x01, 0xc3 } },
	{ "vmxoff", 3, { 0x0f, 0x01, 0xc4 } },
	{ "vmfunc", 3, { 0x0f, 0x01, 0xd4 } },
	{ "vmrun", 3, { 0x0f, 0x01, 0xd8 } },
	{ "vmmcall", 3, { 0x0f, 0x01, 0xd9 } },
	{ "vmload", 3, { 0x0f, 0x01, 0xda } },
	{ "vmsave", 3, { 0x0f, 0x01, 0xdb } },
	{ "stgi", 3, { 0x0f, 0x01, 0xdc } },
	{ "clgi", 3, { 0x0f, 0x01, 0xdd } },
	{ "skinit", 3, { 0x0f, 0x01, 0xde } },
	{ "invlpga", 3, { 0x0f, 0x01, 0xdf } },
	{ "tdcall", 4, { 0x66, 0x0f, 0x01, 0xcc } },
	{ "seamcall", 4, { 0x66, 0x0f, 0x01, 0xcf } },
	{ "encls", 3, { 0x0f, 0x01, 0xcf } },
	{ "pconfig", 3, { 0x0f, 0x01, 0xc5 } },
	{ "rdpru", 3, { 0x0f, 0x01, 0xfd } },
	{ "monitor", 3, { 0x0f, 0x01, 0xc8 } },
	{ "mwait", 3, { 0x0f, 0x01, 0xc9 } },
	{ "getsec", 2, { 0x0f, 0x37 } },
	{ "rsm", 2, { 0x0f, 0xaa } },
	{ "vmread", 3, { 0x0f, 0x78, 0xc0 } },
	{ "vmwrite", 3, { 0x0f, 0x79, 0xc0 } },
	{ "vmptrld", 3, { 0x0f, 0xc7, 0x30 } },
	{ "vmptrst", 3, { 0x0f, 0xc7, 0x38 } },
	{ "vmclear", 4, { 0x66, 0x0f, 0xc7, 0x30 } },
	{ "vmxon", 4, { 0xf3, 0x0f, 0xc7, 0x30 } },
	{ "invept", 5, { 0x66, 0x0f, 0x38, 0x80, 0x00 } },
	{ "invvpid", 5, { 0x66, 0x0f, 0x38, 0x81, 0x00 } },
};

#define FORBIDDEN	(sizeof(forbidden) / sizeof(forbidden[0]))

static void put_code(volatile uint8_t *to, size_t i)
{
	for (uint32_t k = 0; k < forbidden[i].size; k++) {
		to[k] = forbidden[i].bytes[k];
	}
	to[forbidden[i].size] = RET;
}

/* Descriptors and gates that have addresses in pieces. */
static void legacy_init(void)
{
	uint64_t tss[2] = { (uintptr_t)legacy_tss, (uintptr_t)legacy_other };

	for (uint32_t i = 0; i < 2; i++) {
		legacy_gdt[6 + i] = 0x0000890000000067ull |
				    (tss[i] & 0xffffff) << 16;
	}
	legacy_tss[1] = (uint32_t)(uintptr_t)legacy_idt + 32 * 8 + 2048;
	legacy_tss[2] = 0x18;
	legacy_tss[25] = 0x680000;	/* no map of ports */
	for (uint32_t i = 0; i < 32; i++) {
		uint64_t at = (uintptr_t)legacy_stubs + 16 * i;

		legacy_idt[i] = (at & 0xffff) | 0x08ull << 16 |
				0x8e00ull << 32 | (at & 0xffff0000) << 32;
	}
	for (const uint8_t *from = real_begin; from < real_end; from++) {
		((volatile uint8_t *)REAL)[from - real_begin] = *from;
	}
}

static void call_code(void *code)
{
	((void (*)(void))(uintptr_t)code)();
}

/* One mode: how many gave #UD, and the others by name. */
static void tell_mode(const char *mode, size_t i, unsigned int trap,
		      uint32_t *undefined)
{
	if (trap == 0x106) {
		++*undefined;
		return;
	}
	print("PAYLOAD mode ");
	print(mode);
	print("\n");
	report(forbidden[i].name, NO_DETAIL, trap);
}

/** Each of them in each mode. */
void run_modes(uint64_t unused)
{
	static uint8_t code[8];
	static const char *const names[] = {
		"kernel", "user", "compat", "protected", "real",
	};

	(void)unused;
	legacy_init();
	for (uint32_t mode = 0; mode < 5; mode++) {
		uint32_t undefined = 0;

		for (size_t i = 0; i < FORBIDDEN; i++) {
			unsigned int trap;

			put_code(mode == 4 ? (volatile uint8_t *)REAL_CODE :
				 code, i);
			trap = mode == 0 ? guarded(call_code, code) :
			       mode == 1 ? guarded_user(call_code, code) :
			       mode == 2 ? guarded(compat_call, code) :
			       legacy_run(mode == 4,
					  (uint32_t)(uintptr_t)code);
			tell_mode(names[mode], i, trap, &undefined);
		}
		report_value(names[mode], NO_DETAIL, 0, undefined);
	}
}

uint64_t payload_call_rdx;

/** A call, by the instruction of whose the processor is; RDX is kept beside. */
uint64_t payload_call(uint64_t nr, uint64_t rdi, uint64_t rsi, uint64_t rdx,
		      uint64_t a10, uint64_t a8)
{
	static uint32_t vendor[4];
	register uint64_t r10 __asm__("r10") = a10;
	register uint64_t r8 __asm__("r8") = a8;

	if (!vendor[1]) {
		get_cpuid(0, 0, vendor);
	}
	if (vendor[1] == 0x756e6547) {		/* "Genu" */
		__asm__ volatile("vmcall" : "+a"(nr), "+D"(rdi), "+S"(rsi),
				 "+d"(rdx), "+r"(r10), "+r"(r8) : : "memory");
	} else {
		__asm__ volatile("vmmcall" : "+a"(nr), "+D"(rdi), "+S"(rsi),
				 "+d"(rdx), "+r"(r10), "+r"(r8) : : "memory");
	}
	payload_call_rdx = rdx;
	return nr;
}

/** All numbers of 16 bits, then any argument for those there are: none of a guest's
 * calls may do anything but for itself. */
void run_call_numbers(uint64_t unused)
{
	uint64_t seed = 1, other = 0, taken = 0;

	(void)unused;
	for (uint64_t nr = HC_COUNT; nr < CALL_NUMBERS; nr++) {
		other += payload_call(nr, ~0ull, nr, 0, 0, 0) !=
			 (uint64_t)HC_ENOSYS;
	}
	report_value("calls-other", NO_DETAIL, 0, other);
	for (uint32_t i = 0; i < row_times(CALL_RANDOMS); i++) {
		uint64_t nr = next_random(&seed) % HC_COUNT;
		uint64_t shift = next_random(&seed) % 64;

		/* these are its own to call: see run_release() */
		if (nr == HC_INFO || nr == HC_MEM_RELEASE) {
			continue;
		}
		if (payload_call(nr, next_random(&seed) >> shift,
			      next_random(&seed) >> shift,
			      next_random(&seed) >> shift,
			      next_random(&seed) >> shift,
			      next_random(&seed) >> shift) == 0) {
			taken |= 1ull << nr;
		}
	}
	report_value("calls-taken", NO_DETAIL, 0, taken);
}

/** In protected mode, one a life: a name's number in legacy.S' order. Those that it
 * lives through say what they were. */
void run_protected(uint64_t which)
{
	/* hlt, which a virtual-8086 task may not; 16 bits: cpuid, and back */
	static const uint8_t vm86[] = { 0xf4 };
	static const uint8_t code16[] = {
		0x66, 0x31, 0xc0, 0x0f, 0xa2, 0x66, 0xea,
	};
	uint8_t *const tries[] = {
		try_task_jump, try_task_call, try_task_gate, try_nt_iret,
		try_vm86, try_code16, try_alignment, try_null_ss,
	};
	volatile uint8_t *to = (volatile uint8_t *)REAL_CODE;
	uint64_t done = (uintptr_t)legacy_done;

	legacy_init();
	for (uint32_t i = 0; i < sizeof(code16); i++) {
		to[i] = which == 5 ? code16[i] : vm86[0];
	}
	for (uint32_t i = 0; i < 4 && which == 5; i++) {
		to[sizeof(code16) + i] = (uint8_t)(done >> 8 * i);
	}
	if (which == 5) {
		to[sizeof(code16) + 4] = 8;	/* CODE32 */
		to[sizeof(code16) + 5] = 0;
	}
	report("protected-", which, legacy_run(0,
		(uint32_t)(uintptr_t)tries[which % 8]));
}
