/* SPDX-License-Identifier: MIT */
/*
 * What newlib asks of the system beneath it. Standard output and error go to
 * the sink; there are no other files at this level (the volume has its own
 * interface); the heap is in heap.c.
 *
 * One thread and no handlers, so nothing here is reentered, and nothing waits.
 * [newlib "System Calls", in its C library manual]
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "proto/host_info.h"
#include "host-bridge/rt/cpu.h"
#include "host-bridge/rt/hc.h"
#include "host-bridge/rt/heap.h"
#include "host-bridge/rt/sink.h"
#include "host-bridge/rt/syscalls.h"
#include "host-bridge/rt/wall.h"

#define NS_PER_S	1000000000ll

extern uint8_t heap_start[];

/** See syscalls.h. No devices: callable before all else. */
void syscalls_init(const struct host_info *info)
{
	struct hc_regs self = { 0 }, r;

	(void)hc_call(HC_INFO, &self);
	/* No answer, no heap. */
	if (hc_query(HC_QUERY_SURE, self.rsi, 0, &r) != HC_OK) {
		r = (struct hc_regs){ 0 };
	}
	heap_init((uintptr_t)heap_start, info->ram_end, r.rdi, r.rsi);
	wall_init(info->wall_seconds, info->wall_tsc, info->tsc_hz);
}

/**
 * Standard output and error; all else is EBADF. Never waits: what the console's
 * queue has no room for is lost, and console_go_on() is how commands see to it
 * that nothing is.
 */
int write(int fd, const void *data, size_t len)
{
	if (fd != STDOUT_FILENO && fd != STDERR_FILENO) {
		errno = EBADF;
		return -1;
	}
	sink_text(data, len);
	return (int)len;
}

/** The time of day, for newlib. */
int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
	int64_t now = wall_now_ns();

	(void)tz;
	tv->tv_sec = (time_t)(now / NS_PER_S);
	tv->tv_usec = (suseconds_t)(now % NS_PER_S / 1000);
	return 0;
}

/** Everything is a terminal here: stdio then buffers by lines. */
int fstat(int fd, struct stat *st)
{
	(void)fd;
	*st = (struct stat){ .st_mode = S_IFCHR };
	return 0;
}

/* Descriptors 0 to 2, by which newlib decides to buffer by lines. */
int isatty(int fd)
{
	return fd >= STDIN_FILENO && fd <= STDERR_FILENO;
}

/** There is no standard input: the console reads keys itself. */
int read(int fd, void *data, size_t len)
{
	(void)fd;
	(void)data;
	(void)len;
	return 0;
}

/* The next five are here because newlib's stdio refers to them: nothing opens
 * files by name, seeks in the console or asks for more than one process. */
int open(const char *path, int flags, ...)
{
	(void)path;
	(void)flags;
	errno = ENOENT;
	return -1;
}

int close(int fd)
{
	(void)fd;
	return 0;
}

off_t lseek(int fd, off_t offset, int whence)
{
	(void)fd;
	(void)offset;
	(void)whence;
	errno = ESPIPE;
	return -1;
}

int getpid(void)
{
	return 1;
}

/**
 * abort() ends here, by raise(). Not a way back: a signal is the program's end.
 */
int kill(int pid, int sig)
{
	(void)pid;
	cpu_fatal("host-bridge aborted (signal %d)", sig);
}

/** This program has nowhere to exit to. */
void _exit(int status)
{
	cpu_fatal("host-bridge exited with status %d", status);
}
