/* SPDX-License-Identifier: MIT */
/*
 * Starting what a session is for: a command with a pipe for each of its streams, or
 * on a terminal, as whom and where the request says; or a login shell; or the
 * watching of a path. What of the request cannot be is told in words before the
 * command begins. The child does it all: it is in its own root by then, and its
 * user's rights are what counts for its folder.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent.h"
#include "init.h"
#include "user.h"

/* The first byte of what the child tells; else it is words. */
#define TOLD_GO		'\0'

/* What the child needs besides the request. */
struct way {
	int tell;	/* where what fails before is told; -1: nothing can */
	int parts;	/* of the group of its distribution; -1: it is in none */
};

/* In the child: ends it, after telling why. */
static void give_up(int tell, const char *what, const char *why)
{
	dprintf(tell, "%s: %s", what, why);
	_exit(127);
}

/* Variables that were asked for come last: they count more. */
static void set_variables(const struct agent_request *req)
{
	for (unsigned i = 0; i < req->env_count; i++) {
		/* In the request, which stays: NAME=VALUE as it is. */
		putenv((char *)(uintptr_t)req->env[i]);
	}
}

/* Ignored and blocked signals stay so over an exec; a command expects these. */
static void plain_signals(void)
{
	sigset_t none;

	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* "-sh" for "/bin/sh": a login shell. */
static void exec_login(const char *shell)
{
	char name[USER_TEXT_MAX + 2];
	const char *slash = strrchr(shell, '/');

	snprintf(name, sizeof(name), "-%s", slash + 1);
	execl(shell, name, (char *)NULL);
	dprintf(STDERR_FILENO, "agent: %s: %s\n", shell, strerror(errno));
}

/* In the child: the user, and his part of the limits. */
static void be_somebody(const struct agent_request *req, const struct way *way,
			struct user *user)
{
	bool somebody = req->user || req->verb == AGENT_VERB_SHELL;
	int error;

	if (somebody &&
	    !user_look_up(req->user ? req->user : "root", user)) {
		give_up(way->tell, "user", "there is none of that name");
	}
	error = way->parts >= 0 ? distro_cgroup_user(way->parts, user->uid) : 0;
	if (error != 0) {
		give_up(way->tell, "control group", strerror(error));
	}
	error = somebody ? user_become(user) : 0;
	if (error != 0) {
		give_up(way->tell, "user", strerror(error));
	}
	if (somebody) {
		user_environment(user);
	}
}

/* In the child: the command's surroundings, then the command, or a login shell. No
 * return. All other descriptors are close-on-exec. */
static void run_it(const struct agent_request *req, const struct way *way)
{
	static struct user user = { .home = "/root" };	/* nobody said who */
	const char *home = user.home;
	int tell = way->tell;

	plain_signals();
	be_somebody(req, way, &user);
	set_variables(req);
	if (req->dir && chdir(req->dir)) {
		give_up(tell, req->dir, strerror(errno));
	}
	if (!req->dir && chdir(home)) {
		(void)!chdir("/");
	}
	if (tell >= 0) {
		(void)!write(tell, &(char){ TOLD_GO }, 1);
	}
	if (req->verb == AGENT_VERB_SHELL) {
		exec_login(user.shell);
	} else {
		execl("/bin/sh", "sh", "-c", req->command, (char *)NULL);
		dprintf(STDERR_FILENO, "agent: /bin/sh: %s\n", strerror(errno));
	}
	_exit(127);
}

/* With a pipe for each stream. False with errno; what is open then ends with this
 * process. */
static bool start_piped(const struct agent_request *req, int sock,
			const struct way *way, struct agent_child *child)
{
	int in[2], out[2], err[2];

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) ||
	    pipe2(err, O_CLOEXEC)) {
		return false;
	}
	child->pid = fork();
	if (child->pid == 0) {
		/* A group of its own, for kill(-pid); no terminal. */
		setsid();
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		dup2(err[1], STDERR_FILENO);
		if (req->verb == AGENT_VERB_WATCH) {
			close(sock);
			_exit(agent_watch(req->command));
		}
		run_it(req, way);
	}
	close(in[0]);
	close(out[1]);
	close(err[1]);
	child->in = in[1];
	child->out = out[0];
	child->err = err[0];
	return child->pid > 0;
}

/* On a pty of its own, of the size asked for; its master has news of the tty in front
 * of what it reads. False with errno. [ioctl_tty(2) "Packet mode"] */
static bool start_tty(const struct agent_request *req, const struct way *way,
		      struct agent_child *child)
{
	struct winsize size = { .ws_row = req->rows, .ws_col = req->cols };
	const int packets = 1;
	int master;

	child->pid = forkpty(&master, NULL, NULL, &size);
	if (child->pid == 0) {
		run_it(req, way);
	}
	if (child->pid < 0) {
		return false;
	}
	fcntl(master, F_SETFD, FD_CLOEXEC);
	ioctl(master, TIOCPKT, &packets);
	child->in = child->out = master;
	child->err = -1;
	return true;
}

/* What the child has to say before it is the command: true if nothing. */
static bool hear(int told, char words[AGENT_WORDS_MAX])
{
	size_t len = 0;
	ssize_t n = 1;

	while (n > 0 && len < AGENT_WORDS_MAX - 1) {
		n = read(told, words + len, AGENT_WORDS_MAX - 1 - len);
		len += n > 0 ? (size_t)n : 0;
		if (len > 0 && words[0] == TOLD_GO) {
			break;
		}
		if (n < 0 && errno == EINTR) {
			n = 1;
		}
	}
	words[len] = '\0';
	return len == 0 || words[0] == TOLD_GO;
}

/* Into the distribution that the request names, or the default one, if there is one
 * and a command is what it is for: *in is the request as it is then. False, and why.
 * This process itself goes, for a pid namespace is for children only, and the terminal
 * is to be one of the distribution's. *parts stays if it goes nowhere. */
static bool enter(const struct agent_request *req, struct agent_request *in,
		  int *parts, char words[AGENT_WORDS_MAX])
{
	static char name[DISTRO_NAME_MAX + 1], user[DISTRO_USER_MAX + 1];
	static struct distro_entry entry;

	*in = *req;
	if (req->verb == AGENT_VERB_WATCH ||
	    (req->distro ? strcmp(req->distro, "-") == 0 :
			   !distro_default(name, user))) {
		return true;
	}
	if (!distro_enter(req->distro ? req->distro : name, &entry)) {
		snprintf(words, AGENT_WORDS_MAX, "%s", entry.why);
		return false;
	}
	*parts = entry.parts;
	if (!in->user && user[0]) {
		in->user = user;
	} else if (!in->user && strcmp(entry.user, "root") != 0) {
		in->user = entry.user;
	}
	return true;
}

/**
 * Starts what the request, EXEC, SHELL or WATCH, asks for. False: it cannot be, for
 * the reason in words. sock is the client's: not the child's. Waits for the child only
 * where there is something that it may have to tell.
 */
bool agent_start(const struct agent_request *asked, int sock,
		 struct agent_child *child, char words[AGENT_WORDS_MAX])
{
	struct agent_request in, *req = &in;
	struct way way = { .parts = -1 };
	int told[2] = { -1, -1 };
	bool doubtful, ok;

	*child = (struct agent_child){ -1, -1, -1, -1 };
	if (!enter(asked, &in, &way.parts, words)) {
		return false;
	}
	doubtful = req->user || req->dir || way.parts >= 0;
	ok = !doubtful || pipe2(told, O_CLOEXEC) == 0;
	way.tell = told[1];
	ok = ok && (req->tty ? start_tty(req, &way, child) :
			       start_piped(req, sock, &way, child));
	if (!ok) {
		snprintf(words, AGENT_WORDS_MAX, "%s", strerror(errno));
	}
	if (doubtful) {
		close(told[1]);
		ok = ok && hear(told[0], words);
		close(told[0]);
	}
	return ok;
}
