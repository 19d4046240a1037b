/* SPDX-License-Identifier: MIT */
/*
 * The end of the program: an exception (there are no expected ones) or a fatal
 * error. Everything is printed by polling, past the event loop, since nothing
 * can be relied on any more; behind what was queued before. An NMI is a panic of the
 * hypervisor, which has taken the serial line: this program has the last word then.
 *
 * What is read here may be broken: the dump uses static memory and the
 * exception stack, walks the stack by address only, and never follows a frame
 * pointer. Linux runs on until it needs us: the next program, if there may be one,
 * which the hypervisor starts when this one has no way to go on; else only a reset
 * of the machine brings it back.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "host-bridge/rt/black_box.h"
#include "host-bridge/rt/cpu.h"
#include "host-bridge/rt/legacy.h"
#include "host-bridge/rt/sink.h"
#include "host-bridge/rt/stage.h"

struct trap_frame {	/* built by trap_entry.S and the processor */
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};

void trap_dump(const struct trap_frame *frame) __attribute__((noreturn));

extern uint8_t image_start[], text_end[], stack_guard[], stack_bottom[];
extern uint8_t stack_top[];

/* Candidates, not frames: stale words on the stack count too. */
#define BACKTRACE_MAX	16

#define VECTOR_NMI	2

static const char *const names[32] = {
	[0] = "divide error", [1] = "debug", [3] = "breakpoint",
	[6] = "invalid opcode", [8] = "double fault", [10] = "invalid TSS",
	[11] = "segment not present", [12] = "stack fault",
	[13] = "general protection", [14] = "page fault",
	[16] = "x87 error", [17] = "alignment check", [18] = "machine check",
	[19] = "SIMD error",
};

/* Past all buffers: what is said is on the wire when it returns. First what
 * waits for it, which may leave no room. */
static void __attribute__((format(printf, 1, 2))) say(const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	sink_own(true);
	sink_drain();
	sink_text(text, strlen(text));
	sink_drain();
	sink_last(text, strlen(text));
	black_box_say(text);
}

/* Past the end there is the next program: for the hypervisor, a triple fault. */
static void next_program(void)
{
	static const struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t base;
	} no_handlers;

	if (legacy_on()) {
		__asm__ volatile("lidt %0; ud2" : : "m"(no_handlers));
	}
}

/* Gives the CPU up for good: with interrupts off a halted vCPU is never woken
 * again, and other partitions have the time. */
static void __attribute__((noreturn)) stop(void)
{
	for (;;) {
		__asm__ volatile("cli; hlt");
	}
}

/* The line that names the end: a failure, unless the next program follows. */
static void say_why(const char *why)
{
	legacy_say(why);
	if (legacy_on()) {
		say("\nisthmus: %s\n", why);
	} else {
		say("\n%sisthmus: FAILED stage %d %s: %s\n", stage_mark(),
		    stage_next(), stage_name(stage_next()), why);
	}
}

/* Every word on the stack that points into the text may be a return address;
 * the file and line are found with addr2line. rsp is not believed: what is read
 * lies within the stack's bounds, all of which is RAM. */
static void backtrace(uint64_t rsp)
{
	int printed = 0;

	/* In the guard page, or beyond: the live part of the stack is all of
	 * it. */
	if (rsp < (uintptr_t)stack_bottom) {
		rsp = (uintptr_t)stack_bottom;	/* it overflowed */
	}
	say("  calls (addr2line -fe host-bridge.elf ...):");
	for (uint64_t at = rsp & ~7ull;
	     at >= (uintptr_t)stack_bottom && at < (uintptr_t)stack_top &&
	     printed < BACKTRACE_MAX; at += 8) {
		uint64_t word = *(const uint64_t *)at;

		if (word >= (uintptr_t)image_start &&
		    word < (uintptr_t)text_end) {
			say(" %llx", (unsigned long long)word);
			printed++;
		}
	}
	say("\n");
}

/**
 * From trap_entry.S, on the exception stack; never returns. Prints the line of
 * the failed stage, the general registers and likely callers, and halts. A
 * second exception (in here) stops silently: what was printed so far is on the
 * line already, and more could only repeat itself for ever.
 */
void trap_dump(const struct trap_frame *f)
{
	static bool again;
	const char *name = f->vector < 32 ? names[f->vector] : NULL;
	char why[200];
	uint64_t cr2;

	if (again) {
		next_program();
		stop();
	}
	again = true;
	if (f->vector == VECTOR_NMI) {
		sink_panicked();
		stop();
	}
	/* Before anything else could fault. Means something for vector 14
	 * only. */
	__asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
	/* Two kinds have a page of their own, which cpu.c leaves unmapped. */
	snprintf(why, sizeof(why), "host-bridge crashed: %s (vector %d, error "
		 "%llx) at %llx, address %llx%s", name ? name : "exception",
		 (int)f->vector, (unsigned long long)f->error,
		 (unsigned long long)f->rip, (unsigned long long)cr2,
		 f->vector == 14 && cr2 - (uintptr_t)stack_guard < 4096 ?
		 ": stack overflow" : f->vector == 14 && cr2 < 4096 ?
		 ": null pointer" : "");
	say_why(why);
	for (int i = 0; i < 15; i++) {
		static const char reg[15][4] = {
			"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "r8",
			"r9", "r10", "r11", "r12", "r13", "r14", "r15"
		};

		say("%s%s %016llx", i % 4 ? " " : i ? "\n  " : "  ", reg[i],
		    (unsigned long long)(&f->rax)[i]);
	}
	say("\n  rsp %016llx rflags %llx\n", (unsigned long long)f->rsp,
	    (unsigned long long)f->rflags);
	backtrace(f->rsp);
	next_program();
	black_box_crashed();
	stop();
}

/**
 * See cpu.h: a printf format, without newline. For states that only a bug of
 * ours, or a broken hand-over, can bring about; what a peer can cause is never
 * fatal. Seen only when there is a sink (sink.h).
 */
void cpu_fatal(const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	say_why(text);
	next_program();
	black_box_crashed();
	stop();
}
