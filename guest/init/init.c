/* SPDX-License-Identifier: MIT */
/*
 * PID 1 of the Linux partition: mounts, modules, the host's files, the agent, a
 * shell on the console when the channel is not there; then it reaps and waits
 * to be told to stop. All signals it obeys stay blocked and are taken one by
 * one with sigtimedwait(): there are no handlers, so no races.
 *
 * It never exits, which would be a kernel panic: whatever fails is reported to
 * the kernel's log (and so to the serial line) and gone on without.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/vm_sockets.h>
#include <x86intrin.h>

#include "init.h"

#define RESPAWN_SECONDS	1	/* pause before a child is started again */
#define PATIENCE_MS	2000u	/* for who is asked to end */

/* 0: none is wanted; -1: there was no process for it, to be tried again. */
static pid_t agent_pid;		/* where there is a channel */
static pid_t shell_pid;		/* on the console, where there is none */

/* All signals there are; children must undo it, or could not be ended. */
static void block_signals(int how)
{
	sigset_t set;

	sigfillset(&set);
	sigprocmask(how, &set, NULL);
}

/* fork() whose child has default signal handling. 0 in the child; -1, reported,
 * without one. */
static pid_t spawn(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		block_signals(SIG_UNBLOCK);
	} else if (pid < 0) {
		init_log("fork: %s", strerror(errno));
	}
	return pid;
}

/* The agent is this program: a child that goes on in agent_run(). */
static void start_agent(void)
{
	agent_pid = spawn();
	if (agent_pid == 0) {
		_exit(agent_run());
	}
}

/* The agent under another init: this process starts it anew, and ends with all
 * others when that one shuts down. */
static void start_agent_alone(void)
{
	agent_pid = spawn();
	while (agent_pid == 0) {
		pid_t pid = fork();

		if (pid == 0) {
			_exit(agent_run());
		}
		while (pid > 0 && waitpid(pid, NULL, 0) < 0 &&
		       errno == EINTR) {
		}
		sleep(RESPAWN_SECONDS);
	}
}

/* A login shell with the console as its controlling terminal, as root: who is
 * at the console has the machine anyway. */
static void start_shell(void)
{
	shell_pid = spawn();
	if (shell_pid == 0) {
		int fd;

		/* A session leader without a terminal may take one. */
		setsid();
		fd = open("/dev/console", O_RDWR);
		if (fd >= 0) {
			ioctl(fd, TIOCSCTTY, 1);
			dup2(fd, STDIN_FILENO);
			dup2(fd, STDOUT_FILENO);
			dup2(fd, STDERR_FILENO);
			if (fd > STDERR_FILENO) {
				close(fd);
			}
		}
		execl("/bin/sh", "-sh", (char *)NULL);
		_exit(127);
	}
}

/* The channel driver is there once vsock knows a CID of this partition: 3 or
 * more, where a kernel without transport says "any" or the local CID. Whether
 * the channel is up is not asked. */
static bool channel_present(void)
{
	unsigned int cid = VMADDR_CID_ANY;
	int fd = open("/dev/vsock", O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		return false;
	}
	if (ioctl(fd, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid)) {
		cid = VMADDR_CID_ANY;
	}
	close(fd);
	return cid != VMADDR_CID_ANY && cid > VMADDR_CID_HOST;
}

/* Collects dead children, orphans of others included; starts again those that
 * must not die. The pause keeps one that dies at once from taking the
 * processor; signals wait as long. */
static void reap(void)
{
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
		if (pid == agent_pid) {
			init_log("the agent died; starting it again");
			sleep(RESPAWN_SECONDS);
			start_agent();
		} else if (pid == shell_pid) {
			sleep(RESPAWN_SECONDS);
			start_shell();
		}
	}
}

/* The distribution that is to be there from the beginning, in a process that ends
 * when it is. */
static void start_distribution(void)
{
	if (spawn() == 0) {
		distro_boot();
		_exit(0);
	}
}

/* Ends every process, writes everything back and leaves; never returns. how is
 * reboot()'s: RB_AUTOBOOT, RB_POWER_OFF. The kernel then writes the ACPI reset
 * or sleep register, which host-bridge answers by ending the partition. */
static void shut_down(int how)
{
	init_log(how == RB_AUTOBOOT ? "restarting" : "powering off");
	distro_stop_all();
	processes_end(shell_pid, PATIENCE_MS, false);
	boot_unmount_all();
	reboot(how);
	init_log("reboot: %s", strerror(errno));
	for (;;) {
		pause();
	}
}

/* Tries once more what fork() had no process for. */
static void start_missing(void)
{
	if (agent_pid < 0) {
		start_agent();
	}
	if (shell_pid < 0) {
		start_shell();
	}
}

/* The rest of the life: one signal after the other. Others than these are
 * ignored. Without a child that must be there, it does not wait for long. */
static void serve(void)
{
	const struct timespec soon = { .tv_sec = RESPAWN_SECONDS };
	sigset_t all;

	sigfillset(&all);
	for (;;) {
		bool missing = agent_pid < 0 || shell_pid < 0;

		switch (sigtimedwait(&all, NULL, missing ? &soon : NULL)) {
		case -1:
			start_missing();
			break;
		case SIGCHLD:
			reap();
			break;
		case INIT_SIG_REBOOT:
		case SIGINT:
			shut_down(RB_AUTOBOOT);
			break;
		case INIT_SIG_POWEROFF:
		case INIT_SIG_HALT:
			shut_down(RB_POWER_OFF);
			break;
		default:
			break;
		}
	}
}

/* Never returns as PID 1. The order matters: mounts before what reads /proc,
 * /sys or writes /dev, modules before the channel is looked for. */
int main(int argc, char **argv)
{
	/* Instructions since the kernel's entry, on Bochs: guest/build.mk. */
	unsigned long long tsc = __rdtsc();
	bool channel;

	if (strcmp(basename(argv[0]), "isthmus") == 0) {
		return host_run(argc, argv);
	}
	if (strcmp(basename(argv[0]), "distro") == 0) {
		return distro_main(argc, argv);
	}
	/* Mounting over a running system by mistake would be hard to undo. */
	if (getpid() != 1) {
		fprintf(stderr, "init: runs as process 1 only\n");
		return 1;
	}
	block_signals(SIG_BLOCK);
	init_log("up, tsc %llu", tsc);
	setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:"
	       "/sbin:/bin", 1);
	setenv("HOME", "/root", 1);
	setenv("TERM", "linux", 1);
	boot_mount_all();
	boot_tune();
	boot_load_modules(INIT_MODULE_LIST);
	boot_hostname();
	boot_loopback_up();
	channel = channel_present();
	if (channel) {
		net_start();
		net_names();
		(void)boot_mount_host();
	}
	if (root_wanted() && root_enter()) {
		net_names();
		if (channel) {
			start_agent_alone();
		}
		block_signals(SIG_UNBLOCK);
		root_init();
		block_signals(SIG_BLOCK);
	} else if (channel) {
		start_agent();
		start_distribution();
	} else {
		init_log("no channel: shell on the console");
		start_shell();
	}
	serve();
}
