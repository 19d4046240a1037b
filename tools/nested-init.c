/* SPDX-License-Identifier: MIT */
/*
 * Process 1 of level 1, the machine in the middle of a nested platform
 * (isthmus_lib/nested.py): loads KVM, runs level 2's QEMU, ends the machine.
 *
 *   init MODULE[:PARAMETERS]...
 *
 * /level2 holds QEMU's arguments, each ended by a NUL. What is said here goes
 * into the kernel's log, whose console is polled. So no terminal is open on
 * the first serial port, whose interrupt is also the third one's, and that is
 * level 2's.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KVM_COUNTERS	"/sys/kernel/debug/kvm"
#define REPORT_SECONDS	5
#define BOCHS_POWER	0x8900

static void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("level 1: ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
	fflush(stdout);
}

/* Seconds since the kernel began. */
static double uptime(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static void mount_at(const char *type, const char *where)
{
	mkdir(where, 0755);
	if (mount(type, where, type, 0, NULL) && errno != EBUSY) {
		say("%s: %s", where, strerror(errno));
	}
}

/* module: a file below /modules, with its parameters after a colon. */
static void load(char *module)
{
	const char *parameters = "";
	char *colon = strchr(module, ':');
	char path[256];
	int fd;

	if (colon) {
		*colon = '\0';
		parameters = colon + 1;
	}
	snprintf(path, sizeof(path), "/modules/%s", module);
	fd = open(path, O_RDONLY);
	if (fd < 0 || syscall(SYS_finit_module, fd, parameters, 0)) {
		say("%s: %s", module, strerror(errno));
	}
	close(fd);
}

/* One of KVM's counters, all virtual machines together. */
static long long counter(const char *name)
{
	char path[64], value[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), KVM_COUNTERS "/%s", name);
	f = fopen(path, "r");
	if (f) {
		fgets(value, sizeof(value), f);
		fclose(f);
	}
	return atoll(value);
}

/* Waits for the child; tells every while how much KVM has had to do, since
 * its counters end with the virtual machine. Returns its exit status. */
static int wait_for(pid_t child)
{
	const struct timespec pause_s = { .tv_sec = REPORT_SECONDS };
	double began = uptime();
	int status = 0;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	while (waitpid(child, &status, WNOHANG) != child) {
		if (sigtimedwait(&set, NULL, &pause_s) != SIGCHLD) {
			say("after %.0f s: %lld exits, %lld nested entries",
			    uptime() - began, counter("exits"),
			    counter("nested_run"));
		}
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) :
	       128 + WTERMSIG(status);
}

/* Runs QEMU; returns its exit status. */
static int run(void)
{
	static char text[8192];
	char *args[256];
	size_t at, n = 0;
	ssize_t size;
	sigset_t set;
	pid_t child;

	size = read(open("/level2", O_RDONLY), text, sizeof(text) - 1);
	for (at = 0; (ssize_t)at < size && n < 255;
	     at += strlen(text + at) + 1) {
		args[n++] = text + at;
	}
	args[n] = NULL;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	child = fork();
	if (!child) {
		sigprocmask(SIG_UNBLOCK, &set, NULL);
		execv(args[0], args);
		say("%s: %s", args[0], strerror(errno));
		_exit(127);
	}
	return wait_for(child);
}

int main(int argc, char **argv)
{
	const char *word = "Shutdown";
	double began;
	int i, log, status;

	mount_at("devtmpfs", "/dev");
	mount_at("proc", "/proc");
	mount_at("sysfs", "/sys");
	mount_at("debugfs", "/sys/kernel/debug");
	mount_at("tmpfs", "/tmp");
	log = open("/dev/kmsg", O_WRONLY);
	dup2(open("/dev/null", O_RDONLY), 0);
	dup2(log, 1);
	dup2(log, 2);
	for (i = 1; i < argc; i++) {
		load(argv[i]);
	}
	began = uptime();
	say("level 2 begins, up %.1f s", began);
	status = run();
	say("level 2 ended with status %d after %.1f s", status,
	    uptime() - began);
	/* the power switch of Bochs; nobody's port in QEMU */
	if (!iopl(3)) {
		while (*word) {
			outb(*word++, BOCHS_POWER);
		}
	}
	reboot(RB_POWER_OFF);
	for (;;) {
		pause();
	}
}
