/* SPDX-License-Identifier: MIT */
/*
 * stalled DIR COUNT: once the host has made a folder in DIR, this makes one, "stalled",
 * and takes Linux's processor for itself and for interrupts, until it has asked the
 * host COUNT times how many files there may be: whatever else Linux has to do, such as
 * to forget a name, waits so long.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

static unsigned long left(void)
{
	struct statvfs st;

	if (statvfs(".", &st) != 0) {
		perror("statvfs");
		exit(1);
	}
	return st.f_ffree;
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
	unsigned long before;

	setvbuf(stdout, NULL, _IONBF, 0);
	if (argc != 3 || chdir(argv[1]) != 0 || real_time() != 0) {
		perror("stalled");
		return 1;
	}
	before = left();
	printf("ready\n");
	while (left() >= before) {
		usleep(1000);
	}
	if (mkdir("stalled", 0755) != 0) {
		perror("mkdir");
		return 1;
	}
	for (int i = atoi(argv[2]); i > 0; i--) {
		(void)left();
	}
	return 0;
}
