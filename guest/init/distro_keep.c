/* SPDX-License-Identifier: MIT */
/*
 * Who keeps a distribution: it makes its process 1, waits for its end, and makes
 * another when that one has asked for a reboot. At SIGTERM it has it end in the way
 * that its init knows, and kills it when that takes too long. What the distribution
 * had is free when this process ends.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "distro.h"

#define ENTERED_SECONDS	10	/* for what was entered from outside */
#define AGAIN_SECONDS	5	/* until an init is asked again */
#define FREE_TRIES	50		/* until nobody has a device mounted */
#define FREE_US		100000
#define FIND_US		10000		/* until its disk is looked for again */

static const char *const inits[] = { "/sbin/init", "/etc/init", "/bin/init" };

struct keeper {
	const char *name;
	int said;		/* to who asked for it; -1: told all */
	int notify;		/* what its init says; -1: nothing can be */
	struct distro_place place;
};

/* Says why it cannot be, to who asked or to the log. */
static void say(const struct keeper *k, const char *why)
{
	if (k->said < 0) {
		init_log("distribution %s: %s", k->name, why);
	} else {
		(void)!write(k->said, why, strlen(why));
	}
}

/* The name that it has itself, or ours for it. */
static void set_name(const char *name)
{
	char text[DISTRO_TEXT_MAX];
	int etc = open("/etc", O_PATH | O_DIRECTORY | O_CLOEXEC);

	(void)distro_read(etc, "hostname", text);
	text[strcspn(text, " \t\n")] = '\0';
	if (text[0] == '\0' || strlen(text) > 63) {
		snprintf(text, sizeof(text), "%s", name);
	}
	(void)sethostname(text, strlen(text));
	if (etc >= 0) {
		close(etc);
	}
}

/* In its own root: becomes its init. Only "none" is ours. */
static void run_init(const struct keeper *k, const char *init)
{
	char *const env[] = {
		"container=isthmus", "TERM=linux", "HOME=/root",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:"
		"/sbin:/bin", distro_ready_bind(k->notify) ?
		"NOTIFY_SOCKET=" DISTRO_NOTIFY : NULL, NULL
	};
	const char *one = init;
	struct stat st;
	char why[320];

	for (size_t i = 0; !one[0] && i < sizeof(inits) / sizeof(*inits); i++) {
		one = stat(inits[i], &st) == 0 && S_ISREG(st.st_mode) ?
		      inits[i] : "";
	}
	if (one[0] && strcmp(one, "none") != 0) {
		execve(one, (char *const[]){ (char *)one, NULL }, env);
		snprintf(why, sizeof(why), "its init %s: %s", one,
			 strerror(errno));
		say(k, why);
		_exit(1);
	}
	/* What a program's start would close; this says that it is there. */
	(void)syscall(SYS_close_range, 3u, ~0u, 0u);
	distro_init();
}

/* The new process 1: goes into its groups, namespaces and root. No return. */
static void begin(const struct keeper *k)
{
	struct distro_config config = { .user = "root" };
	struct distro_place place;
	char why[160];
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* Its namespace begins at the group itself; it is where systemd would
	 * put itself, and no process may be where controllers are given on. */
	distro_cgroup_enter(k->name, "");
	if (unshare(CLONE_NEWCGROUP)) {
		say(k, strerror(errno));
		_exit(1);
	}
	distro_cgroup_enter(k->name, "init.scope");
	distro_cgroup_delegate(k->name);
	distro_names_read();
	/* Anew: of what is mounted elsewhere nothing can be mounted here. */
	distro_find(k->name, &place);
	distro_settings(k->name, place.form, &config);
	if (!distro_root_enter(&place, why, sizeof(why))) {
		say(k, why);
		_exit(1);
	}
	distro_settings(NULL, place.form, &config);
	set_name(k->name);
	distro_names_write();
	distro_spare();
	run_init(k, config.init);
}

static time_t seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

/* Whether a process has a signal in one of these sets of its. */
static bool expects(pid_t pid, int signal)
{
	char path[40], line[128];
	unsigned long long set;
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "SigBlk: %llx", &set) == 1 ||
		    sscanf(line, "SigCgt: %llx", &set) == 1) {
			found |= set >> (signal - 1) & 1;
		}
	}
	if (f) {
		fclose(f);
	}
	return found;
}

/* Asks the init to end, in its own way. False: it may not have heard. A process 1 that
 * has only begun loses a signal that it has no use for yet; one that waits for a
 * signal does not show which. */
static bool ask(pid_t init)
{
	char path[40], comm[32] = "", exe[256] = "";
	int signal;
	bool heard;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)init);
	f = fopen(path, "re");
	if (f) {
		(void)!fgets(comm, sizeof(comm), f);
		comm[strcspn(comm, "\n")] = '\0';
		fclose(f);
	}
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)init);
	(void)!readlink(path, exe, sizeof(exe) - 1);
	signal = distro_stop_signal(comm, exe);
	if (signal == SIGPWR && distro_initctl_halt(init)) {
		return false;		/* while it starts it forgets that */
	}
	heard = expects(init, signal);
	kill(init, signal);
	return heard;
}

static void end_one(pid_t pid)
{
	kill(pid, SIGTERM);
}

/* How the end goes on. */
struct end {
	bool wanted, heard, killed;
	time_t since, ask_at;
};

/* A step of it. What was entered from outside its init knows nothing of, or ends last:
 * it has its time, a shell at a terminal ends by itself, and then it is killed. */
static void press(const char *name, pid_t init, struct end *end)
{
	time_t waited = seconds() - end->since;

	if (!end->heard && waited >= end->ask_at) {
		end->heard = ask(init);
		end->ask_at = waited + AGAIN_SECONDS;
	}
	distro_cgroup_each(name, processes_hang_up);
	if (waited >= ENTERED_SECONDS) {
		distro_cgroup_kill(name, DISTRO_ENTERED);
	}
	if (waited >= DISTRO_STOP_SECONDS && !end->killed) {
		init_log("distribution %s: not ended after %d s; killed", name,
			 DISTRO_STOP_SECONDS);
		kill(init, SIGKILL);
		end->killed = true;
	}
}

/* Is it dead? It stays a zombie. */
static bool dead(pid_t init)
{
	siginfo_t info = { 0 };

	return waitid(P_PID, (id_t)init, &info, WEXITED | WNOWAIT | WNOHANG) ||
	       info.si_pid;
}

/* Waits for the init's end; its status as of waitpid(). Sets *asked if it ended
 * because this process was told to end it. */
static int attend(const char *name, pid_t init, int notify, bool *asked)
{
	const struct timespec tick = { .tv_nsec = 200000000 };
	struct end end = { .wanted = false };
	sigset_t set;
	int status;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGIO);
	while (!dead(init)) {
		if (distro_ready_hear(notify)) {
			distro_say_ready(name);
		}
		if (sigtimedwait(&set, NULL, end.wanted ? &tick : NULL) ==
		    SIGTERM && !end.wanted) {
			end = (struct end){ .wanted = true,
					    .since = seconds() };
			distro_cgroup_each(name, end_one);
		}
		if (end.wanted) {
			press(name, init, &end);
		}
	}
	*asked = end.wanted;
	/* Before its number is free. */
	distro_unsay(name);
	waitpid(init, &status, 0);
	return status;
}

/* The device has been mounted, and is to be free: the last process of a namespace
 * may be dead while its mounts are still being undone. */
static void wait_free(const struct keeper *k)
{
	char path[40];

	if (k->place.form != DISTRO_DISK) {
		return;
	}
	snprintf(path, sizeof(path), "/dev/%s", k->place.device);
	for (int i = 0; i < FREE_TRIES; i++) {
		int fd = open(path, O_RDONLY | O_EXCL | O_CLOEXEC);

		if (fd >= 0 || errno != EBUSY) {
			close(fd);
			return;
		}
		usleep(FREE_US);
	}
	init_log("distribution %s: %s is mounted still", k->name, path);
}

/* Makes its process 1, and waits until that is its init: nobody may enter before
 * that has its root. -1, said: it cannot be. */
static pid_t make_init(struct keeper *k)
{
	char why[200];
	size_t len = 0;
	int tells[2];
	ssize_t n;
	pid_t pid;

	if (pipe2(tells, O_CLOEXEC)) {
		say(k, strerror(errno));
		return -1;
	}
	pid = (pid_t)syscall(SYS_clone, CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS |
			     CLONE_NEWIPC | SIGCHLD, 0, 0, 0, 0);
	if (pid == 0) {
		k->said = tells[1];
		begin(k);
	}
	close(tells[1]);
	/* Until its init's start has closed it, or it is dead. */
	while (pid > 0 && len < sizeof(why) - 1 &&
	       (n = read(tells[0], why + len, sizeof(why) - 1 - len)) > 0) {
		len += (size_t)n;
	}
	close(tells[0]);
	why[len] = '\0';
	if (pid < 0 || len > 0 || !distro_say(k->name, pid)) {
		say(k, len > 0 ? why : strerror(errno));
	}
	return pid;
}

/* One life of it. True: it wants another. */
static bool live(struct keeper *k)
{
	bool asked;
	int status;
	pid_t pid;

	distro_cgroup_make(k->name);
	k->notify = distro_ready_socket();
	pid = make_init(k);
	if (k->said >= 0) {
		close(k->said);
		k->said = -1;
	}
	status = pid < 0 ? 0 : attend(k->name, pid, k->notify, &asked);
	if (k->notify >= 0) {
		close(k->notify);
	}
	if (pid < 0) {
		return false;
	}
	distro_cgroup_end(k->name);
	wait_free(k);
	return !asked && WIFSIGNALED(status) && WTERMSIG(status) == SIGHUP;
}

/* A conversion may have been ended in its last moment. */
static void settle(const struct keeper *k)
{
	int folder = distro_switch_folder(k->name, false);

	if (folder >= 0) {
		if (!distro_switch_settle(folder)) {
			init_log("distribution %s: its conversion: %s", k->name,
				 strerror(errno));
		}
		close(folder);
	}
}

/**
 * Keeps it, in a process that is for that only, and has the lock; said is where it
 * says why it cannot, and is closed when it can.
 */
void distro_keep(const char *name, int wait_seconds, int said)
{
	struct keeper k = { .name = name, .said = said };
	time_t until = seconds() + wait_seconds;
	sigset_t all;
	bool found;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	prctl(PR_SET_NAME, "distro-keep");
	settle(&k);
	do {
		while (!(found = distro_find(name, &k.place)) &&
		       seconds() < until) {
			usleep(FIND_US);
		}
		if (!found) {
			say(&k, "there is no such distribution");
		} else if (k.place.fd >= 0) {
			close(k.place.fd);
		}
	} while (found && live(&k));
	_exit(0);
}
