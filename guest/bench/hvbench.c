/* SPDX-License-Identifier: MIT */
/*
 * hvbench: what Linux in a partition pays for the things a hypervisor makes
 * dear, in ticks of the time stamp counter. On Bochs a tick is an instruction,
 * of everything in the machine, so the figures repeat exactly.
 *
 *   hvbench [DIR|- [PORT [TMPFS]]]
 *   hvbench tcp ADDRESS [PORT [FIGURE]]	(net.c)
 *
 * DIR: a folder of the host's; PORT: an echo service on the host's vsock;
 * TMPFS: a folder on a tmpfs, for the same figures of files with "tmpfs:"
 * before their names. Each figure is a line "BENCH name value unit"; a group
 * that cannot run says "BENCH-SKIP". Loops are fixed: published figures of
 * other hypervisors were taken with the same ones. So a change of a count, an
 * order or a flag here makes a new benchmark, and what is new comes last.
 *
 * Others: `disk DEVICE`, `dirs DIR`, `memory` (which needs 600 MiB), `remote PORT`.
 *
 * With HVBENCH_IDLE=PORT in the environment what the host says there to have been
 * idle time is not counted: waiting for a disk is no instruction.
 *
 * The counter is read on whatever CPU the process is; it is the same on all.
 * Children end by _exit(), so that buffered output is not printed twice.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/vm_sockets.h>
#include <x86intrin.h>

#include "bench.h"

#define PAGE		4096u
#define TOUCH_BYTES	(48u << 20)
#define BACK_BYTES	(512u << 20)
#define BACK_SECONDS	4u	/* Linux waits for two before it gives back */
#define UART_LSR	0x3fd

unsigned char bench_buffer[1u << 20] __attribute__((aligned(4096)));
unsigned int bench_idle_port;
static unsigned long start, idle;

/* A connected socket, or -1 with errno. */
static int connect_host(unsigned int port)
{
	struct sockaddr_vm host = {
		.svm_family = AF_VSOCK,
		.svm_cid = VMADDR_CID_HOST,
		.svm_port = port,
	};
	int s = socket(AF_VSOCK, SOCK_STREAM, 0);

	if (s >= 0 && connect(s, (struct sockaddr *)&host, sizeof(host))) {
		close(s);
		s = -1;
	}
	return s;
}

/* The ticks so far in which the machine's CPU had nothing to do. */
static unsigned long idle_now(void)
{
	char line[24] = "";
	ssize_t n = 0, got;
	int s;

	if (bench_idle_port == 0) {
		return 0;
	}
	s = connect_host(bench_idle_port);
	while (s >= 0 && n < (ssize_t)sizeof(line) - 1 &&
	       (got = read(s, line + n, sizeof(line) - 1 - (size_t)n)) > 0) {
		n += got;
	}
	if (n == 0) {
		bench_skip("idle", "the host's service");
		exit(1);
	}
	close(s);
	return strtoul(line, NULL, 10);
}

/**
 * bench_begin() and bench_end() enclose what is measured; not nested. Their own
 * cost, two RDTSC, is in the figure, divided by the rounds.
 */
void bench_begin(void)
{
	idle = idle_now();
	start = __rdtsc();
}

/**
 * Prints the ticks since bench_begin() for each of count rounds: at the end, for
 * whoever passes lines on would be in the figures.
 */
void bench_end(const char *name, unsigned long count, const char *unit)
{
	unsigned long ticks = __rdtsc() - start;

	ticks -= idle_now() - idle;
	printf("BENCH %s %.1f %s\n", name, (double)ticks / (double)count,
	       unit);
}

/**
 * Says that a group ends here. why: the step that failed; errno is its reason.
 */
void bench_skip(const char *what, const char *why)
{
	printf("BENCH-SKIP %s: %s: %s\n", what, why, strerror(errno));
	fflush(stdout);
}

/* CPUID always exits under VT-x, and here under AMD-V: the bare way into the
 * hypervisor and out again. */
static void cpuid_zero(unsigned int count)
{
	unsigned int a, b, c, d;

	for (unsigned int i = 0; i < count; i++) {
		__cpuid_count(0, 0, a, b, c, d);
	}
}

/* Exits: answered by the hypervisor (CPUID), by whoever models the serial port
 * (here the host partition); and a system call, which must cost none. */
static void bench_cpu(void)
{
	const unsigned int cpuids = 2000, uart_reads = 300, calls = 20000;

	/* The first rounds meet cold caches. */
	cpuid_zero(50);
	bench_begin();
	cpuid_zero(cpuids);
	bench_end("exit_cpuid", cpuids, "ticks");
	/* Root only; a figure that is missing is no error. */
	if (iopl(3) == 0) {
		for (unsigned int i = 0; i < 10; i++) {
			inb(UART_LSR);
		}
		bench_begin();
		for (unsigned int i = 0; i < uart_reads; i++) {
			inb(UART_LSR);
		}
		bench_end("exit_uart_lsr", uart_reads, "ticks");
	}
	bench_begin();
	for (unsigned int i = 0; i < calls; i++) {
		syscall(SYS_getppid);
	}
	bench_end("syscall", calls, "ticks");
}

/* One write to each page of 4 KiB. */
static void touch(char *area, size_t bytes, const char *name)
{
	bench_begin();
	for (size_t at = 0; at < bytes; at += PAGE) {
		area[at] = 1;
	}
	bench_end(name, bytes / PAGE, "ticks");
}

/* Memory of which pages come one by one, whatever the kernel's default. */
static char *area_of(size_t bytes)
{
	char *area = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (area == MAP_FAILED) {
		bench_skip("memory", "mmap");
		return NULL;
	}
	madvise(area, bytes, MADV_NOHUGEPAGE);
	return area;
}

/* First touch: a page fault in Linux and, where the partition never had that
 * memory, one in the second level; again: neither; reused: in Linux only. */
static void bench_memory(void)
{
	char *area = area_of(TOUCH_BYTES);

	if (!area) {
		return;
	}
	/* In this order: each leaves the state that the next one measures. */
	touch(area, TOUCH_BYTES, "touch_page_first");
	touch(area, TOUCH_BYTES, "touch_page_again");
	madvise(area, TOUCH_BYTES, MADV_DONTNEED);
	touch(area, TOUCH_BYTES, "touch_page_reused");
	munmap(area, TOUCH_BYTES);
}

/* The ticks of some seconds in which somebody in the machine was at work. */
static unsigned long at_work(unsigned int seconds)
{
	unsigned long from = __rdtsc(), before = idle_now();

	sleep(seconds);
	before = idle_now() - before;
	return __rdtsc() - from - before;
}

/* Memory that goes back to the machine and comes again: the pages never had, the
 * giving back (Linux's part too, but not what an idle Linux costs anyway), and
 * the pages once more. */
static int bench_given_back(void)
{
	unsigned long nothing;

	for (int again = 0; again < 2; again++) {
		char *area = area_of(BACK_BYTES);

		if (!area) {
			return 1;
		}
		nothing = at_work(BACK_SECONDS);
		touch(area, BACK_BYTES, again ? "refault" : "first_touch");
		munmap(area, BACK_BYTES);
		printf("BENCH %s %ld ticks\n",
		       again ? "revoke_512m_again" : "revoke_512m",
		       (long)(at_work(BACK_SECONDS) - nothing));
	}
	return 0;
}

/* One byte out, one byte back, count times; first: who begins. False when the
 * other side has gone. */
static bool ping_pong(int in, int out, unsigned int count, bool first)
{
	char c = 0;

	for (unsigned int i = 0; i < count; i++) {
		if (first ? write(out, &c, 1) != 1 || read(in, &c, 1) != 1 :
			    read(in, &c, 1) != 1 || write(out, &c, 1) != 1) {
			return false;
		}
	}
	return true;
}

/* Switches between two processes, and short-lived children: much that a
 * hypervisor can make dear (page tables, timers, IPIs) without asking for
 * it. */
static void bench_process(void)
{
	const unsigned int rounds = 1000, forks = 20;
	int there[2], back[2];
	pid_t pid;

	if (pipe(there) || pipe(back)) {
		bench_skip("process", "pipe");
		return;
	}
	pid = fork();
	if (pid == 0) {
		_exit(!ping_pong(there[0], back[1], rounds, false));
	}
	bench_begin();
	/* The child has begun to wait, or soon does: the first round is
	 * longer. */
	ping_pong(back[0], there[1], rounds, true);
	bench_end("pipe_round_trip", rounds, "ticks");
	waitpid(pid, NULL, 0);
	bench_begin();
	for (unsigned int i = 0; i < forks; i++) {
		/* The parent stands still until the child has ended: the figure
		 * is of both. */
		pid = vfork();
		if (pid == 0) {
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
	bench_end("vfork_exit", forks, "ticks");
}

/* In a child: sends count chunks and exits. Separate, since an echo that is not
 * read back fills both directions and would stop a single process. */
static void send_chunks(int s, unsigned int count)
{
	for (size_t left = (size_t)count * CHUNK; left > 0; ) {
		size_t part = left % CHUNK ? left % CHUNK : CHUNK;
		ssize_t n = write(s, bench_buffer, part);

		if (n <= 0) {
			_exit(1);
		}
		left -= (size_t)n;
	}
	_exit(0);
}

/* One process sends and another takes what comes back. The fork is in the
 * figure. */
static bool bench_echo(int s)
{
	const unsigned int chunks = 64;
	unsigned char *back = malloc(CHUNK);
	pid_t pid;

	if (!back) {
		return false;
	}
	bench_begin();
	pid = fork();
	if (pid == 0) {
		send_chunks(s, chunks);
	}
	/* Reads as they come: an echo's pieces need not be those sent. */
	for (size_t left = (size_t)chunks * CHUNK; left > 0; ) {
		ssize_t n = read(s, back, CHUNK);

		if (n <= 0) {
			return false;
		}
		left -= (size_t)n;
	}
	bench_end("vsock_echo_64k", chunks, "ticks/64KiB both ways");
	waitpid(pid, NULL, 0);
	free(back);
	return true;
}

/* Round trip, throughput, and connections made and closed. */
static void bench_sockets(unsigned int port)
{
	const unsigned int rounds = 200, connects = 50;
	int s;

	memset(bench_buffer, 0, CHUNK);
	s = connect_host(port);
	if (s < 0) {
		bench_skip("sockets", "connect");
		return;
	}
	bench_begin();
	if (!ping_pong(s, s, rounds, true)) {
		bench_skip("sockets", "echo");
		return;
	}
	bench_end("vsock_round_trip", rounds, "ticks");
	if (!bench_echo(s)) {
		bench_skip("sockets", "echo of chunks");
		return;
	}
	close(s);
	bench_begin();
	for (unsigned int i = 0; i < connects; i++) {
		s = connect_host(port);
		if (s < 0) {
			bench_skip("sockets", "connect again");
			return;
		}
		close(s);
	}
	bench_end("vsock_connect", connects, "ticks");
}

/* Of eight processes in turn, and then the same at once. */
static bool bench_eight(const char *dir)
{
	for (int in_turn = 1; in_turn >= 0; in_turn--) {
		if (!phases_run_many(files_known, dir, 1, in_turn) ||
		    !phases_run_many(files_more, dir, 1, in_turn) ||
		    !phases_run_many(dirs_phases, dir, 4, in_turn)) {
			return false;
		}
	}
	return true;
}

/* What came after figures were published. */
static void bench_more(const char *dir, const char *tmpfs)
{
	if (phases_run(files_more, dir, "") &&
	    phases_run(dirs_phases, dir, "") &&
	    files_touch_memory(dir) && bench_eight(dir) && tmpfs &&
	    phases_run(files_known, tmpfs, "tmpfs:") &&
	    phases_run(files_more, tmpfs, "tmpfs:")) {
		phases_run(dirs_phases, tmpfs, "tmpfs:");
	}
}

/* "now" is the counter itself at this moment: what it all cost until here. */
int main(int argc, char **argv)
{
	static char lines[16384];
	const char *port = getenv("HVBENCH_IDLE");
	bool files = argc > 1 && strcmp(argv[1], "-") != 0;

	setvbuf(stdout, lines, _IOFBF, sizeof(lines));
	bench_idle_port = port ? (unsigned int)atoi(port) : 0;
	/* What a copy of this program is executed for. */
	if (argc > 1 && strcmp(argv[1], "true") == 0) {
		_exit(0);
	}
	/* Of a device, or of a file system on it. */
	if (argc > 2 && strcmp(argv[1], "disk") == 0) {
		return phases_run(disks_phases, argv[2], "") ? 0 : 1;
	}
	if (argc > 2 && strcmp(argv[1], "tcp") == 0) {
		return net_run(argv[2], argc > 3 ? atoi(argv[3]) : 0,
			       argc > 4 ? argv[4] : NULL) ? 0 : 1;
	}
	if (argc > 2 && strcmp(argv[1], "dirs") == 0) {
		return phases_run(dirs_phases, argv[2], "ext4:") ? 0 : 1;
	}
	if (argc > 1 && strcmp(argv[1], "memory") == 0) {
		return bench_given_back();
	}
	if (argc > 2 && strcmp(argv[1], "remote") == 0) {
		bench_sockets((unsigned int)atoi(argv[2]));
		return 0;
	}
	start = 0;
	bench_end("now", 1, "ticks");
	bench_cpu();
	bench_memory();
	bench_process();
	if (files) {
		files = phases_run(files_known, argv[1], "");
	}
	if (argc > 2) {
		bench_sockets((unsigned int)atoi(argv[2]));
	}
	if (files) {
		bench_more(argv[1], argc > 3 ? argv[3] : NULL);
	}
	return 0;
}
