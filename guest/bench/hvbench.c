/* SPDX-License-Identifier: MIT */
/*
 * hvbench: what Linux in a partition pays for the things a hypervisor makes
 * dear, in ticks of the time stamp counter. On Bochs a tick is an instruction,
 * of everything in the machine, so the figures repeat exactly.
 *
 *   hvbench [DIR|- [PORT]]
 *
 * DIR: a folder on the 9P mount; PORT: an echo service on the host's vsock.
 * Each figure is a line "BENCH name value unit"; a group that cannot run says
 * "BENCH-SKIP". Loops and names are fixed: published figures of other
 * hypervisors were taken with the same ones. So a change of a count, an order
 * or a flag here makes a new benchmark.
 *
 * The counter is read on whatever CPU the process is; it is the same on all.
 * Children end by _exit(), so that buffered output is not printed twice.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/vm_sockets.h>
#include <x86intrin.h>

#define PAGE		4096u
/* Bytes, unless a name says otherwise. */
#define CHUNK		65536u		/* bytes of a large read or write */
#define TOUCH_BYTES	(48u << 20)
#define FILE_BYTES	(8u << 20)
#define SMALL_BYTES	1000u
#define SMALL_FILES	100u
#define UART_LSR	0x3fd
#define PATH_LEN	600

static unsigned char buffer[CHUNK];
static unsigned long start;

/* begin() and end() enclose what is measured; not nested. Their own cost, two
 * RDTSC, is in the figure, divided by the rounds. */
static void begin(void)
{
	start = __rdtsc();
}

/* Prints the ticks since begin() for each of count rounds. */
static void end(const char *name, unsigned long count, const char *unit)
{
	unsigned long ticks = __rdtsc() - start;

	printf("BENCH %s %.1f %s\n", name, (double)ticks / (double)count,
	       unit);
	fflush(stdout);
}

/* why: the step that failed; errno is its reason. */
static void skip(const char *what, const char *why)
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
	begin();
	cpuid_zero(cpuids);
	end("exit_cpuid", cpuids, "ticks");
	/* Root only; a figure that is missing is no error. */
	if (iopl(3) == 0) {
		for (unsigned int i = 0; i < 10; i++) {
			inb(UART_LSR);
		}
		begin();
		for (unsigned int i = 0; i < uart_reads; i++) {
			inb(UART_LSR);
		}
		end("exit_uart_lsr", uart_reads, "ticks");
	}
	begin();
	for (unsigned int i = 0; i < calls; i++) {
		syscall(SYS_getppid);
	}
	end("syscall", calls, "ticks");
}

/* One write to each page of 4 KiB. */
static void touch(char *area, const char *name)
{
	begin();
	for (size_t at = 0; at < TOUCH_BYTES; at += PAGE) {
		area[at] = 1;
	}
	end(name, TOUCH_BYTES / PAGE, "ticks");
}

/* First touch: a page fault in Linux and, where the partition never had that
 * memory, one in the second level; again: neither; reused: in Linux only. */
static void bench_memory(void)
{
	char *area = mmap(NULL, TOUCH_BYTES, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (area == MAP_FAILED) {
		skip("memory", "mmap");
		return;
	}
	/* Pages one by one, whatever the kernel's default. */
	madvise(area, TOUCH_BYTES, MADV_NOHUGEPAGE);
	/* In this order: each leaves the state that the next one measures. */
	touch(area, "touch_page_first");
	touch(area, "touch_page_again");
	madvise(area, TOUCH_BYTES, MADV_DONTNEED);
	touch(area, "touch_page_reused");
	munmap(area, TOUCH_BYTES);
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
		skip("process", "pipe");
		return;
	}
	pid = fork();
	if (pid == 0) {
		_exit(!ping_pong(there[0], back[1], rounds, false));
	}
	begin();
	/* The child has begun to wait, or soon does: the first round is
	 * longer. */
	ping_pong(back[0], there[1], rounds, true);
	end("pipe_round_trip", rounds, "ticks");
	waitpid(pid, NULL, 0);
	begin();
	for (unsigned int i = 0; i < forks; i++) {
		/* The parent stands still until the child has ended: the figure
		 * is of both. */
		pid = vfork();
		if (pid == 0) {
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
	end("vfork_exit", forks, "ticks");
}

/* Writes a file in chunks; the figure includes fsync and close. The file stays
 * for bench_read(). False: errno says why. */
static bool bench_write(const char *path)
{
	int f = open(path, O_CREAT | O_RDWR | O_TRUNC, 0644);

	if (f < 0) {
		return false;
	}
	begin();
	for (unsigned int at = 0; at < FILE_BYTES; at += CHUNK) {
		if (write(f, buffer, CHUNK) != CHUNK) {
			return false;
		}
	}
	fsync(f);
	close(f);
	end("9p_write_64k", FILE_BYTES / CHUNK, "ticks/64KiB");
	return true;
}

/* Reads it back, dropped from Linux's cache as far as it is in there. */
static bool bench_read(const char *path)
{
	int f = open(path, O_RDONLY);

	if (f < 0) {
		return false;
	}
	/* On a mount with cache=none nothing is there anyway. */
	posix_fadvise(f, 0, 0, POSIX_FADV_DONTNEED);
	begin();
	for (unsigned int at = 0; at < FILE_BYTES; at += CHUNK) {
		if (read(f, buffer, CHUNK) != CHUNK) {
			return false;
		}
	}
	end("9p_read_64k", FILE_BYTES / CHUNK, "ticks/64KiB");
	close(f);
	return true;
}

/* Name of small file i. */
static void small_path(char *out, const char *dir, unsigned int i)
{
	snprintf(out, PATH_LEN, "%s/b%u", dir, i);
}

/* Create, write, close; then unlink: several requests each. */
static bool bench_small(const char *dir)
{
	char path[PATH_LEN];

	begin();
	for (unsigned int i = 0; i < SMALL_FILES; i++) {
		int f;

		small_path(path, dir, i);
		f = open(path, O_CREAT | O_WRONLY, 0644);
		if (f < 0 || write(f, buffer, SMALL_BYTES) != SMALL_BYTES) {
			return false;
		}
		close(f);
	}
	end("9p_create_1k", SMALL_FILES, "ticks");
	begin();
	for (unsigned int i = 0; i < SMALL_FILES; i++) {
		small_path(path, dir, i);
		unlink(path);
	}
	end("9p_unlink", SMALL_FILES, "ticks");
	return true;
}

/* Files of the host. What was made is removed, but for a failure. */
static void bench_files(const char *dir)
{
	const unsigned int stats = 200;
	char path[PATH_LEN];
	struct stat st;

	snprintf(path, sizeof(path), "%s/bench.tmp", dir);
	memset(buffer, 0x5a, sizeof(buffer));
	if (!bench_write(path) || !bench_read(path)) {
		skip("files", path);
		return;
	}
	begin();
	for (unsigned int i = 0; i < stats; i++) {
		stat(path, &st);
	}
	end("9p_stat", stats, "ticks");
	if (!bench_small(dir)) {
		skip("small files", dir);
	}
	unlink(path);
}

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

/* In a child: sends count chunks and exits. Separate, since an echo that is not
 * read back fills both directions and would stop a single process. */
static void send_chunks(int s, unsigned int count)
{
	for (size_t left = (size_t)count * CHUNK; left > 0; ) {
		size_t part = left % CHUNK ? left % CHUNK : CHUNK;
		ssize_t n = write(s, buffer, part);

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
	begin();
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
	end("vsock_echo_64k", chunks, "ticks/64KiB both ways");
	waitpid(pid, NULL, 0);
	free(back);
	return true;
}

/* Round trip, throughput, and connections made and closed. */
static void bench_sockets(unsigned int port)
{
	const unsigned int rounds = 200, connects = 50;
	int s;

	memset(buffer, 0, sizeof(buffer));
	s = connect_host(port);
	if (s < 0) {
		skip("sockets", "connect");
		return;
	}
	begin();
	if (!ping_pong(s, s, rounds, true)) {
		skip("sockets", "echo");
		return;
	}
	end("vsock_round_trip", rounds, "ticks");
	if (!bench_echo(s)) {
		skip("sockets", "echo of chunks");
		return;
	}
	close(s);
	begin();
	for (unsigned int i = 0; i < connects; i++) {
		s = connect_host(port);
		if (s < 0) {
			skip("sockets", "connect again");
			return;
		}
		close(s);
	}
	end("vsock_connect", connects, "ticks");
}

/* "now" is the counter itself at this moment: what it all cost until here. */
int main(int argc, char **argv)
{
	start = 0;
	end("now", 1, "ticks");
	bench_cpu();
	bench_memory();
	bench_process();
	if (argc > 1 && strcmp(argv[1], "-") != 0) {
		bench_files(argv[1]);
	}
	if (argc > 2) {
		bench_sockets((unsigned int)atoi(argv[2]));
	}
	return 0;
}
