/* SPDX-License-Identifier: MIT */
/*
 * traps: what an ordinary user may do and a hypervisor must bear: a program
 * that single-steps itself, a debugger that steps another, accesses that
 * alignment checks refuse, CPUID behind odd prefixes. Prints what is wrong, or
 * "all passed".
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define STEPS		2500
#define PTRACE_STEPS	1000
#define ALIGN_CHECKS	1000

static volatile long traps, bus_errors;
static sigjmp_buf refused;

static void check(int truth, const char *what, long is)
{
	if (!truth) {
		printf("traps: %s: %ld\n", what, is);
		exit(1);
	}
}

static void on_trap(int s)
{
	(void)s;
	traps++;
}

static void on_bus_error(int s)
{
	/* the flags are not the handler's to restore, and the C library has
	 * misaligned accesses of its own */
	__asm__ volatile("pushfq; andq $~0x40000, (%%rsp); popfq"
			 : : : "memory", "cc");
	(void)s;
	bus_errors++;
	siglongjmp(refused, 1);
}

/* Three instructions a round, with TF set. */
static void step_itself(void)
{
	long rounds = STEPS / 3 + 1;

	signal(SIGTRAP, on_trap);
	__asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq;"
			 "1: nop; dec %0; jnz 1b;"
			 "pushfq; andq $~0x100, (%%rsp); popfq"
			 : "+r"(rounds) : : "memory", "cc");
	check(traps >= STEPS, "single steps", traps);
	signal(SIGTRAP, SIG_DFL);
}

static void step_another(void)
{
	int status, i;
	pid_t child = fork();

	if (!child) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		for (;;) {
			__asm__ volatile("nop");
		}
	}
	waitpid(child, &status, 0);
	for (i = 0; i < PTRACE_STEPS; i++) {
		check(!ptrace(PTRACE_SINGLESTEP, child, 0, 0), "ptrace", i);
		waitpid(child, &status, 0);
		check(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP,
		      "status of the stepped", status);
	}
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
}

static void misalign(void)
{
	static char words[64] __attribute__((aligned(64)));

	signal(SIGBUS, on_bus_error);
	sigsetjmp(refused, 1);
	if (bus_errors < ALIGN_CHECKS) {
		__asm__ volatile("pushfq; orq $0x40000, (%%rsp); popfq;"
				 "movl 1(%0), %%eax;"
				 "pushfq; andq $~0x40000, (%%rsp); popfq"
				 : : "r"(words) : "rax", "memory", "cc");
	}
	/* an emulator may not know alignment checks at all */
	check(bus_errors == ALIGN_CHECKS || !bus_errors, "bus errors",
	      bus_errors);
}

/* CPUID(0) behind these bytes answers as it does without. */
static void prefixed_cpuid(const uint8_t *prefix, size_t n)
{
	uint32_t want, got, b, c, d;
	uint8_t *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(code != MAP_FAILED, "mmap", 0);
	memcpy(code, prefix, n);
	memcpy(code + n, "\x0f\xa2\xc3", 3);	/* CPUID, RET */
	__asm__ volatile("cpuid" : "=a"(want), "=b"(b), "=c"(c), "=d"(d)
			 : "a"(0), "c"(0));
	__asm__ volatile("call *%4" : "=a"(got), "=b"(b), "=c"(c), "=d"(d)
			 : "r"(code), "0"(0), "2"(0) : "memory");
	check(got == want, "CPUID behind prefixes", n);
	munmap(code, 4096);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (setgid(65534) || setuid(65534)) {
		perror("traps: setuid");
		return 1;
	}
	step_itself();
	step_another();
	misalign();
	prefixed_cpuid((const uint8_t *)"\x40\x40", 2);
	prefixed_cpuid((const uint8_t *)"\x48\x66\x2e\x41", 4);
	prefixed_cpuid((const uint8_t *)"\xf3\x66\x67\x3e\x65", 5);
	printf("all passed, %ld bus errors\n", bus_errors);
	return 0;
}
