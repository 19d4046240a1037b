/* SPDX-License-Identifier: MIT */
/*
 * The attempts. Groups that a partition survives run together ("all", or one by
 * name); what ends the partition, or takes the processor for good, is a test of
 * its own and must be named.
 *
 * This file judges nothing: it prints what happened, and what should have
 * happened is the boot tests' (qemu-test/boot/cases_isolation.py). "No
 * exception" is a good answer only where that file says so.
 */
#include "cpu.h"
#include "payload.h"
#include "abi/channel.h"
#include "abi/hypercall.h"

#define NO_DETAIL	(~0ull)
#define CHANNEL_TABLE	CHANNEL_GUEST_REGION_GPA
#define X2APIC_FIRST	0x800u
#define X2APIC_END	0xc00u
/* A value that most MSRs refuse: reserved bits, or an address that is none. */
#define NON_CANONICAL	0x8000000000000000ull
#define HYPERCALLS	32u	/* twice what the design allows */
#define SPARE_RAM	0x10000000ull	/* its own, and of no use to it */

struct instruction {
	const char *name;
	void (*run)(void *arg);
};

/* Both vendors' virtualization instructions, whatever the processor is: a guest
 * must have neither's. */
INSN(do_vmxon, "vmxon %0")
INSN(do_vmxoff, "vmxoff")
INSN(do_vmclear, "vmclear %0")
INSN(do_vmptrld, "vmptrld %0")
INSN(do_vmptrst, "vmptrst %0")
INSN(do_vmread, "vmread %%rax, %%rbx")
INSN(do_vmwrite, "vmwrite %%rax, %%rbx")
INSN(do_vmlaunch, "vmlaunch")
INSN(do_vmresume, "vmresume")
INSN(do_vmfunc, "vmfunc")
INSN(do_invept, "invept %0, %%rax")
INSN(do_invvpid, "invvpid %0, %%rax")
INSN(do_vmrun, "vmrun")
INSN(do_vmload, "vmload")
INSN(do_vmsave, "vmsave")
INSN(do_stgi, "stgi")
INSN(do_clgi, "clgi")
INSN(do_invlpga, "invlpga")
INSN(do_skinit, "skinit")
/* Not virtualization, but as far reaching: measured launch, SMM's return,
 * counters, MONITOR, caches dropped, XCR0 = 0 (x87 must stay on). */
INSN(do_getsec, "getsec")
INSN(do_rsm, "rsm")
INSN(do_rdpmc, "rdpmc")
INSN(do_monitor, "monitor")
INSN(do_invd, "invd")
INSN(do_wbinvd, "wbinvd")
INSN(do_xsetbv_zero, "xsetbv")
/* CR4 bits that would open the instructions above. */
INSN(do_smxe, "mov %%cr4, %%rax; bts $14, %%rax; mov %%rax, %%cr4")
INSN(do_vmxe, "mov %%cr4, %%rax; bts $13, %%rax; mov %%rax, %%cr4")
INSN(do_cr8_zero, "mov %%rax, %%cr8")

static const struct instruction instructions[] = {
	{ "vmxon", do_vmxon },		{ "vmxoff", do_vmxoff },
	{ "vmclear", do_vmclear },	{ "vmptrld", do_vmptrld },
	{ "vmptrst", do_vmptrst },	{ "vmread", do_vmread },
	{ "vmwrite", do_vmwrite },	{ "vmlaunch", do_vmlaunch },
	{ "vmresume", do_vmresume },	{ "vmfunc", do_vmfunc },
	{ "invept", do_invept },	{ "invvpid", do_invvpid },
	{ "vmrun", do_vmrun },		{ "vmload", do_vmload },
	{ "vmsave", do_vmsave },	{ "stgi", do_stgi },
	{ "clgi", do_clgi },		{ "invlpga", do_invlpga },
	{ "skinit", do_skinit },	{ "getsec", do_getsec },
	{ "rsm", do_rsm },		{ "rdpmc", do_rdpmc },
	{ "monitor", do_monitor },	{ "invd", do_invd },
	{ "wbinvd", do_wbinvd },	{ "xsetbv-zero", do_xsetbv_zero },
	{ "cr4-smxe", do_smxe },	{ "cr4-vmxe", do_vmxe },
	{ "cr8", do_cr8_zero },
};

/* Each by itself: what one leaves changed (CR8 = 0, caches) hurts no other. */
static void run_instructions(uint64_t unused)
{
	(void)unused;
	for (size_t i = 0; i < sizeof(instructions) / sizeof(instructions[0]);
	     i++) {
		report(instructions[i].name, NO_DETAIL,
		       guarded(instructions[i].run, NULL));
	}
}

/* Reset, keyboard controller, CMOS, SMI, power, PIC, PIT, host's consoles and
 * disk, emulator back doors: with a value that would do harm. A port that let
 * it through would end the test, or the machine. At 0xcf9 one that changes
 * nothing: with bit 2 it resets this partition, as it should. */
static const struct {
	uint16_t port;
	uint8_t harm;
} ports[] = {
	{ 0xcf9, 0x02 }, { 0x64, 0xfe }, { 0x92, 0x01 }, { 0x70, 0x8f },
	{ 0x71, 0x00 }, { 0xb2, 0x01 }, { 0xb3, 0x01 }, { 0x20, 0x13 },
	{ 0x21, 0xff }, { 0x43, 0x34 }, { 0x40, 0x01 }, { 0x60, 0xff },
	{ 0x61, 0x03 }, { 0x80, 0xaa }, { 0xe9, 0x21 }, { 0x1f0, 0xff },
	{ 0x1f7, 0xe7 }, { 0x2f8, 0x21 }, { 0x3b0, 0x21 }, { 0x402, 0x21 },
	{ 0xfff0, 0x21 },
};

/* In, out, in: a port that kept what was written would show. */
static void run_ports(uint64_t unused)
{
	(void)unused;
	for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
		uint16_t port = ports[i].port;

		report_value("port-in-", port, 0, port_in8(port));
		port_out8(port, ports[i].harm);
		report("port-out-", port, 0);
		report_value("port-in-", port, 0, port_in8(port));
	}
	report_value("port-in32-", 0xcf9, 0, port_in32(0xcf9));
	/* The machine's register is not ours: this goes to host-bridge's model,
	 * which knows bytes only. */
	port_out16(0x604, 0x2000);	/* QEMU's power-off */
	report("port-out-", 0x604, 0);
	/* Reaching the end of this function is the result. */
	for (const char *s = "Shutdown"; *s; s++) {
		port_out8(0x8900, (uint8_t)*s);	/* Bochs' power-off */
	}
	report("port-out-", 0x8900, 0);
}

/* Virtualization, debug store, microcode, thermal, machine check, trace, SMM,
 * counters, AMD's SVM registers; and numbers that hypervisors use (Hyper-V's,
 * KVM's clock). */
static const uint32_t msrs[] = {
	0x17, 0x34, 0x3a, 0x79, 0x8b, 0x9b, 0x9e, 0xc1, 0xce, 0x122, 0x176,
	0x179, 0x186, 0x198, 0x19c, 0x1a0, 0x1d9, 0x1f2, 0x345, 0x38f, 0x400,
	0x480, 0x48b, 0x491, 0x570, 0x600, 0x6e0, 0xd90, 0xc0000080,
	0xc0010015, 0xc0010111, 0xc0010114, 0xc0010117, 0x40000000,
	0x40000001, 0x4b564d02, 0x4b564d06,
};

static void run_msrs(uint64_t unused)
{
	(void)unused;
	for (size_t i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++) {
		struct msr m = { .number = msrs[i] };
		unsigned int trap = guarded(do_rdmsr, &m);

		report_value("msr-read-", m.number, trap, m.value);
		m.value = NON_CANONICAL;
		report("msr-write-", m.number, guarded(do_wrmsr, &m));
	}
	/* The range whose end a hypervisor once got wrong, and let guests
	 * read behind the page that held the registers. [Xen Security
	 * Advisory 108] */
	for (uint32_t n = X2APIC_FIRST; n < X2APIC_END; n++) {
		struct msr m = { .number = n };

		if (guarded(do_rdmsr, &m) == 0) {
			report_value("msr-read-", n, 0, m.value);
		}
	}
}

/* The two instructions with all registers of the ABI; for guarded(). */
#define HYPERCALL(id, text) \
	static void id(void *arg) \
	{ \
		struct hypercall_args *a = arg; \
		register uint64_t r10 __asm__("r10") = a->r10; \
		register uint64_t r8 __asm__("r8") = a->r8; \
		__asm__ volatile(text : "+a"(a->rax), "+D"(a->rdi), \
				 "+S"(a->rsi), "+d"(a->rdx), "+r"(r10), \
				 "+r"(r8) : : "memory"); \
	}

HYPERCALL(do_vmcall, "vmcall")
HYPERCALL(do_vmmcall, "vmmcall")

/* Whichever instruction is the vendor's. HC_INFO first, as the ABI says: what
 * came of it is in *trap and *a. */
static void (*find_call(unsigned int *trap, struct hypercall_args *a))(void *)
{
	*a = (struct hypercall_args){ .rax = HC_INFO };
	*trap = guarded(do_vmcall, a);
	if (!*trap) {
		return do_vmcall;
	}
	*a = (struct hypercall_args){ .rax = HC_INFO };
	*trap = guarded(do_vmmcall, a);
	return do_vmmcall;
}

/** That instruction, found once. */
void (*attempts_call(void))(void *)
{
	static void (*call)(void *);
	struct hypercall_args a;
	unsigned int trap;

	if (!call) {
		call = find_call(&trap, &a);
	}
	return call;
}

static uint64_t release(void (*call)(void *), uint64_t one, uint64_t other)
{
	struct hypercall_args a;

	do {
		a = (struct hypercall_args){ .rax = HC_MEM_RELEASE,
					     .rdi = one, .r8 = other };
	} while (guarded(call, &a) == 0 && (int64_t)a.rax == HC_EAGAIN);
	return a.rax;
}

/* What is no RAM of its own, or no block; then RAM of its own, named twice. */
static void run_release(void (*call)(void *))
{
	static const uint64_t bad[] = {
		SPARE_RAM, SPARE_RAM + HC_RELEASE_UNITS + 1,
		SPARE_RAM + 0x1001, 0x18000001, 0xfec00001, 0xfee00001,
		CHANNEL_TABLE + 1, CHANNEL_GUEST_MSIX_GPA + 1,
		NON_CANONICAL + 1, ~0ull, ~0x1fffffull + 1,
	};
	volatile uint64_t *ram = (volatile uint64_t *)SPARE_RAM;

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		report_value("release-bad", bad[i], 0,
			     release(call, SPARE_RAM + 1, bad[i]));
	}
	*ram = 0x1234;
	report_value("release-own", NO_DETAIL, 0,
		     release(call, SPARE_RAM + 2, SPARE_RAM + 1));
	report_value("release-content", NO_DETAIL, 0, *ram);
}

/* Every number with harmless and with wild arguments. Nearly all must be
 * refused: this is not the host partition. */
static void run_hypercalls(uint64_t unused)
{
	struct hypercall_args a;
	unsigned int trap;
	void (*call)(void *) = find_call(&trap, &a);

	(void)unused;
	report("hypercall-info", NO_DETAIL, trap);
	report_value("hypercall-own-id", NO_DETAIL, trap, a.rsi);
	run_release(call);
	for (unsigned int nr = 1; nr < HYPERCALLS; nr++) {
		/* R10 = 1 would be its first 2 MiB for HC_MEM_RELEASE */
		a = (struct hypercall_args){ .rax = nr,
					     .r10 = nr != HC_MEM_RELEASE };
		trap = guarded(call, &a);
		report_value("hypercall-", nr, trap, a.rax);
		/* A number of which all 64 bits count: not call nr, but
		 * none. */
		a = (struct hypercall_args){ nr | 1ull << 32, ~0ull, ~0ull,
					     ~0ull, ~0ull, ~0ull };
		trap = guarded(call, &a);
		report_value("hypercall-wild-", nr, trap, a.rax);
	}
	a = (struct hypercall_args){ .rax = HC_INFO };
	/* From CPL 3 the instruction itself must fail (#UD). */
	report("hypercall-cpl3", NO_DETAIL, guarded_user(call, &a));
}

/* Its own program, tables and stack, which are in use. */
static void run_release_self(uint64_t unused)
{
	struct hypercall_args a;
	unsigned int trap;
	void (*call)(void *) = find_call(&trap, &a);

	(void)unused;
	(void)release(call, ((uint64_t)run_release_self & ~0x1fffffull) + 1,
		      ((uint64_t)&a & ~0x1fffffull) + 1);
}

/* Accesses for guarded(); arg is the address. */
static void do_read(void *arg)
{
	(void)*(volatile uint8_t *)arg;
}

static void do_write(void *arg)
{
	*(volatile uint8_t *)arg = 0x5a;
}

static void do_exec(void *arg)
{
	__asm__ volatile("call *%0" : : "r"(arg) : "memory");
}

/* A forbidden access ends the partition before the second line: the first says
 * what was tried. */
static void touch(const char *name, uint64_t gpa, void (*how)(void *))
{
	void *at = (void *)(uintptr_t)machine_map(gpa);

	print("PAYLOAD trying ");
	print(name);
	print_hex(gpa);
	print("\n");
	report(name, gpa, guarded(how, at));
}

static void run_read(uint64_t gpa)
{
	touch("read-", gpa, do_read);
}

static void run_write(uint64_t gpa)
{
	touch("write-", gpa, do_write);
}

static void run_exec(uint64_t gpa)
{
	touch("exec-", gpa, do_exec);
}

/* The output section of the other end of channel 0: readable, not writable. */
static uint64_t peer_section(void)
{
	const volatile uint32_t *table = (const volatile uint32_t *)
		(uintptr_t)CHANNEL_TABLE;
	uint32_t own = port_in32(CHANNEL_GUEST_IO_PORT + CHANNEL_IO_ID);
	uint32_t size = table[CHANNEL_ST_OUTPUT_SIZE];

	return CHANNEL_TABLE + CHANNEL_OUTPUT_OFFSET(1 - own, (uint64_t)size);
}

/* What of the channel may be read: state table and the other end's section. */
static void run_channel(uint64_t unused)
{
	uint64_t peer = peer_section();

	(void)unused;
	run_read(CHANNEL_TABLE);
	run_read(peer);
	report_value("channel-generation", NO_DETAIL, 0,
		     *(volatile uint32_t *)(uintptr_t)
		     (CHANNEL_TABLE + 4 * CHANNEL_ST_GENERATION));
}

/* What of it must not be: each of these ends the partition. */
static void run_write_state(uint64_t unused)
{
	(void)unused;
	run_write(CHANNEL_TABLE);
}

/* offset is from the section's beginning, to reach data as well as header. */
static void run_write_peer(uint64_t offset)
{
	run_write(peer_section() + offset);
}

static void run_exec_channel(uint64_t unused)
{
	(void)unused;
	run_exec(peer_section());
}

/* String I/O to a port that exits, which nobody emulates: #GP. It is not
 * guarded, so what the program does after that is not defined. */
static void run_rep_ins(uint64_t port)
{
	static uint8_t buf[64];
	void *to = buf;
	uint64_t count = sizeof(buf);

	__asm__ volatile("rep insb" : "+D"(to), "+c"(count) :
			 "d"((uint16_t)port) : "memory");
	report_value("rep-ins-", port, 0, buf[0]);
}

/* No IDT: #UD cannot be delivered, nor can what follows from that. */
static void run_triple_fault(uint64_t unused)
{
	static const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) none;

	(void)unused;
	__asm__ volatile("lidt %0; ud2" : : "m"(none));
}

/* The next three take the processor, as far as they get it: the host partition
 * must go on all the same. Asleep with interrupts off; busy with interrupts
 * off; an exit each few instructions. */
static void run_halt(uint64_t unused)
{
	(void)unused;
	__asm__ volatile("cli; hlt");
}

static void run_spin(uint64_t unused)
{
	(void)unused;
	__asm__ volatile("cli; 1: jmp 1b");
}

/* Each CPUID is an exit: the partition spends its slices in the hypervisor. */
static void run_exit_storm(uint64_t unused)
{
	(void)unused;
	for (;;) {
		__asm__ volatile("cpuid" : : "a"(0), "c"(0) : "rbx", "rdx");
	}
}

static void run_all(uint64_t unused)
{
	run_instructions(unused);
	run_ports(unused);
	run_msrs(unused);
	run_hypercalls(unused);
	run_channel(unused);
}

static const struct {
	const char *name;
	void (*run)(uint64_t address);
} tests[] = {
	{ "all", run_all },
	{ "instructions", run_instructions },
	{ "ports", run_ports },
	{ "msrs", run_msrs },
	{ "hypercalls", run_hypercalls },
	{ "channel", run_channel },
	{ "once", run_once },
	{ "random", run_random },	/* its ADDRESS is seed and steps */
	{ "cpu-rows", run_cpu_rows },
	{ "register-rows", run_register_rows },
	{ "storm-rows", run_storm_rows },
	{ "channel-rows", run_channel_rows },
	{ "two-rows", run_two_rows },
	{ "long-rows", run_long_rows },	/* its ADDRESS, as theirs, a factor */
	/* From here on: one a life. */
	{ "read", run_read },
	{ "write", run_write },
	{ "exec", run_exec },
	{ "write-state", run_write_state },
	{ "write-peer", run_write_peer },
	{ "exec-channel", run_exec_channel },
	{ "rep-ins", run_rep_ins },
	{ "release-self", run_release_self },
	{ "triple-fault", run_triple_fault },
	{ "protected", run_protected },
	{ "touch", run_touch },
	{ "endless-debug", run_endless_debug },
	{ "endless-steps", run_endless_steps },
	{ "execute-sizes", run_execute_sizes },
	{ "reset-itself", run_reset_itself },
	{ "service", run_service },
	{ "end", run_nothing },
	{ "halt", run_halt },
	{ "spin", run_spin },
	{ "exit-storm", run_exit_storm },
};

/* The end of name in test if test begins with it and goes on with ':' or
 * ends; else NULL. */
static const char *match_name(const char *test, const char *name)
{
	while (*name && *test == *name) {
		test++;
		name++;
	}
	return *name == '\0' && (*test == '\0' || *test == ':') ? test : NULL;
}

/* What is no hexadecimal digit, the ':' before it included, is skipped. */
static uint64_t parse_hex(const char *text)
{
	uint64_t v = 0;

	for (; *text; text++) {
		char c = *text | 0x20;

		if (c >= '0' && c <= '9') {
			v = v << 4 | (uint64_t)(c - '0');
		} else if (c >= 'a' && c <= 'f') {
			v = v << 4 | (uint64_t)(c - 'a' + 10);
		}
	}
	return v;
}

/**
 * Runs NAME or NAME:ADDRESS (hexadecimal without 0x; "write-peer" takes an
 * offset, "rep-ins" a port; 0 when there is none), after "ROW/" as a row of that
 * name. False if there is no such test. May well not return.
 */
bool attempt_run(const char *test)
{
	if (test[0] && test[1] && test[2] && test[3] && test[4] == '/') {
		row_begin(test);
		test += 5;
	}
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		const char *rest = match_name(test, tests[i].name);

		if (rest) {
			tests[i].run(parse_hex(rest));
			return true;
		}
	}
	return false;
}
