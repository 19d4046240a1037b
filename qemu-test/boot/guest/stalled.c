/* SPDX-License-Identifier: MIT */
/*
 * stalled DIR SECONDS NAME: once the host has made NAME below DIR, in a folder of which
 * Linux knows nothing and so is told nothing, this takes Linux's processor for itself
 * and for interrupts for so long: whatever else Linux has to do, such as to forget a
 * name, waits. Begin and end are in Linux's log. Says "in time" if the host has removed
 * NAME in the meantime.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Files that there may still be. By a descriptor: a path would want attributes, of
 * which Linux is told more than it asked. */
static unsigned long left(int dir)
{
	struct statvfs st;

	if (fstatvfs(dir, &st) != 0) {
		perror("fstatvfs");
		exit(1);
	}
	return st.f_ffree;
}

/* Nanoseconds; no call of the kernel's, and so no sleep. */
static unsigned long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (unsigned long)t.tv_sec * 1000000000ul + (unsigned long)t.tv_nsec;
}

/* Of real time, and without what such processes leave to others. Interrupt threads
 * come before. (musl's own function only says ENOSYS.) */
static int real_time(void)
{
	struct sched_param least = { .sched_priority = 1 };
	int f = open("/proc/sys/kernel/sched_rt_runtime_us", O_WRONLY);

	return f < 0 || write(f, "-1", 2) != 2 || close(f) != 0 ||
	       syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &least) != 0;
}

int main(int argc, char **argv)
{
	static const char begun[] = "<2>stalled has begun\n";
	static const char ended[] = "<2>stalled has ended\n";
	int log = open("/dev/kmsg", O_WRONLY), dir;
	unsigned long before, end;

	setvbuf(stdout, NULL, _IONBF, 0);
	dir = argc == 4 ? open(argv[1], O_RDONLY) : -1;
	if (dir < 0 || real_time() != 0) {
		perror("stalled");
		return 1;
	}
	before = left(dir);
	printf("ready\n");
	while (left(dir) + 2 > before) {
		usleep(1000);
	}
	if (log < 0 || write(log, begun, sizeof(begun) - 1) < 0) {
		perror("/dev/kmsg");
		return 1;
	}
	end = now() + (unsigned long)atoi(argv[2]) * 1000000000ul;
	while (now() < end) {
	}
	if (write(log, ended, sizeof(ended) - 1) < 0) {
		perror("/dev/kmsg");
		return 1;
	}
	printf("%s\n", faccessat(dir, argv[3], F_OK, 0) != 0 ? "in time" : "too late");
	return 0;
}
