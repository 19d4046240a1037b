/* SPDX-License-Identifier: MIT */
/*
 * Process 1 of a distribution that has no init: it collects the dead, and ends all
 * others when it is told to, by the signals that process 1 of our Linux obeys.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

#include "distro.h"

#define PATIENCE_MS	10000u	/* for who is asked to end */

/* In a pid namespace reboot() ends that namespace only, and who keeps it learns
 * which way. [reboot(2) "Behavior inside PID namespaces"] */
static void end(int how)
{
	processes_end(0, PATIENCE_MS, true);
	sync();
	reboot(how);
	_exit(0);
}

/** Does not return. */
void distro_init(void)
{
	sigset_t all;

	/* Another name for it: distro_stop_signal(). */
	prctl(PR_SET_NAME, "distro-init");
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	for (;;) {
		switch (sigwaitinfo(&all, NULL)) {
		case SIGCHLD:
			while (waitpid(-1, NULL, WNOHANG) > 0) {
			}
			break;
		case INIT_SIG_REBOOT:
			end(RB_AUTOBOOT);
			break;
		case INIT_SIG_POWEROFF:
		case INIT_SIG_HALT:
		case SIGPWR:
			end(RB_POWER_OFF);
			break;
		default:
			break;
		}
	}
}
