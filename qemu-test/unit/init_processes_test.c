/* SPDX-License-Identifier: MIT */
/*
 * The end of all processes, for real: in a PID namespace of its own, so that
 * "all" is what the test started. Processes say by a letter in a pipe what came
 * to them.
 */
#define _GNU_SOURCE
#include <assert.h>
#include <errno.h>
#include <pty.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "guest/init/init.h"

#define CROWD	60
#define PATIENCE_MS	2000u

static int said[2];

static void say(char letter)
{
	(void)!write(said[1], &letter, 1);
}

static void sleep_ms(int ms)
{
	struct timespec t = { .tv_sec = ms / 1000,
			      .tv_nsec = ms % 1000 * 1000000L };

	while (nanosleep(&t, &t) && errno == EINTR) {
	}
}

static void on_signal(int signal)
{
	if (signal == SIGTERM) {
		sleep_ms(500);		/* much to write back */
		say('t');
	} else {
		say('h');
	}
	_exit(0);
}

/* A process that obeys `obeyed` and ignores `ignored`, each 0 for none. Ready
 * when this returns. */
static pid_t start(int obeyed, int ignored)
{
	int ready[2];
	pid_t pid;
	char c;

	assert(!pipe(ready));
	pid = fork();
	if (pid == 0) {
		sigset_t none;

		sigemptyset(&none);
		if (obeyed) {
			signal(obeyed, on_signal);
		}
		if (ignored) {
			signal(ignored, SIG_IGN);
		}
		sigprocmask(SIG_SETMASK, &none, NULL);
		(void)!write(ready[1], "", 1);
		for (;;) {
			pause();
		}
	}
	close(ready[1]);
	(void)!read(ready[0], &c, 1);
	close(ready[0]);
	return pid;
}

/* Ends one after the other: each end wakes PID 1. */
static void start_crowd(void)
{
	for (int i = 0; i < CROWD; i++) {
		if (fork() == 0) {
			signal(SIGTERM, SIG_IGN);
			sleep_ms(200 + 5 * i);
			_exit(0);
		}
	}
}

/* What the agent's session with a shell is: a process with a terminal, which ends
 * with the shell, and at that a shell, which may have something run. */
static void start_session(bool with_job)
{
	int ready[2];
	char c;

	assert(!pipe(ready));
	if (fork() == 0) {
		sigset_t none;
		int master;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		if (forkpty(&master, NULL, NULL, NULL) == 0) {
			if (with_job) {
				start(SIGTERM, 0);
			}
			signal(SIGHUP, on_signal);
			signal(SIGTERM, SIG_IGN);
			(void)!write(ready[1], "", 1);
			/* It waits for what it runs, or for a key. */
			while (wait(NULL) > 0 || pause()) {
			}
		}
		signal(SIGTERM, SIG_IGN);
		wait(NULL);
		_exit(0);
	}
	(void)!read(ready[0], &c, 1);
	close(ready[0]);
	close(ready[1]);
}

/* What the processes said that `before` starts as PID 1's children; it returns
 * the shell on the console. Skips where there are no PID namespaces. */
static void in_namespace(pid_t (*before)(void), bool entered, char *letters, size_t size)
{
	pid_t outer;
	ssize_t n;
	int status;

	memset(letters, 0, size);
	assert_int_equal(pipe(said), 0);
	outer = fork();
	assert_true(outer >= 0);
	if (outer == 0) {
		pid_t one;

		if (unshare(CLONE_NEWPID | CLONE_NEWNS) &&
		    unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS)) {
			_exit(77);
		}
		one = fork();
		if (one == 0) {
			sigset_t all;

			/* Its own processes are what it sees. */
			if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
			    mount("proc", "/proc", "proc", 0, NULL)) {
				_exit(0);
			}
			sigfillset(&all);
			sigprocmask(SIG_BLOCK, &all, NULL);
			processes_end(before(), PATIENCE_MS, entered);
			/* Nobody is left. */
			say(waitpid(-1, NULL, WNOHANG) < 0 ? '.' : '!');
			_exit(0);
		}
		waitpid(one, NULL, 0);
		_exit(0);
	}
	close(said[1]);
	while ((n = read(said[0], letters, size - 1)) > 0) {
		letters += n;
		size -= (size_t)n;
	}
	close(said[0]);
	assert_int_equal(waitpid(outer, &status, 0), outer);
	if (WEXITSTATUS(status) == 77) {
		skip();
	}
}

static pid_t with_service(void)
{
	start(SIGTERM, 0);
	start_crowd();
	return 0;
}

/* SIGTERM, and then time; whoever else ends meanwhile. */
static void test_service_ends_in_its_way(void **state)
{
	char letters[16];

	(void)state;
	in_namespace(with_service, false, letters, sizeof(letters));
	assert_string_equal(letters, "t.");
}

static pid_t with_stopped(void)
{
	kill(start(SIGTERM, 0), SIGSTOP);
	return 0;
}

static void test_stopped(void **state)
{
	char letters[16];

	(void)state;
	in_namespace(with_stopped, false, letters, sizeof(letters));
	assert_string_equal(letters, "t.");
}

static pid_t with_stubborn(void)
{
	start(0, SIGTERM);
	return 0;
}

static void test_stubborn(void **state)
{
	char letters[16];

	(void)state;
	in_namespace(with_stubborn, false, letters, sizeof(letters));
	assert_string_equal(letters, ".");
}

static pid_t with_console(void)
{
	pid_t shell = start(SIGHUP, SIGTERM);

	setpgid(shell, shell);
	return shell;
}

static void test_shell_on_console(void **state)
{
	char letters[16];

	(void)state;
	in_namespace(with_console, false, letters, sizeof(letters));
	assert_string_equal(letters, "h.");
}

static pid_t with_session(void)
{
	start_session(false);
	return 0;
}

static void test_shell_in_session(void **state)
{
	char letters[16];

	(void)state;
	in_namespace(with_session, false, letters, sizeof(letters));
	assert_string_equal(letters, "h.");
}

static pid_t with_job(void)
{
	start_session(true);
	return 0;
}

/* What a shell at a terminal runs has its time, and then the shell goes: the
 * terminal is not lost before. */
static void test_job_in_session(void **state)
{
	char letters[16];

	(void)state;
	in_namespace(with_job, false, letters, sizeof(letters));
	assert_string_equal(letters, "th.");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_service_ends_in_its_way),
		cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_stubborn),
		cmocka_unit_test(test_shell_on_console),
		cmocka_unit_test(test_shell_in_session),
		cmocka_unit_test(test_job_in_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
