/* SPDX-License-Identifier: MIT */
/* Sessions of the agent: as whom and where commands begin, signals, what is said
 * when they cannot; real commands. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent_client.h"

/* With options; exec's command comes first. */
static void options_session(struct client *c, const char *text, size_t len)
{
	open_session(c);
	request(c, text, len);
}

#define OPTIONS(c, text) options_session(c, text, sizeof(text) - 1)

static void test_options(void **state)
{
	struct client c;

	(void)state;
	OPTIONS(&c, "exec\0pwd; echo \"$A|$B\"\0dir=/usr/bin\0env=A=1 =2\0env=B=");
	take_all(&c);
	assert_string_equal(c.out[0], "/usr/bin\n1 =2|\n");
	assert_int_equal(c.status, 0);
	close_session(&c);
	OPTIONS(&c, "exec\0true\0dir=/does/not/exist");
	take_all(&c);
	assert_string_equal(c.error, "/does/not/exist: No such file or "
			    "directory");
	assert_int_equal(c.status, NO_STATUS);
	close_session(&c);
	OPTIONS(&c, "exec\0true\0distro=debian");
	take_all(&c);
	assert_string_equal(c.error, "distribution debian: none here");
	close_session(&c);
	OPTIONS(&c, "exec\0exit 3\0distro=-");
	take_all(&c);
	assert_int_equal(c.status, 3);
	close_session(&c);
	OPTIONS(&c, "exec\0true\0usr=x");
	take_all(&c);
	assert_string_equal(c.error, "usr: there is no such option");
	close_session(&c);
	/* On a terminal of its own. */
	OPTIONS(&c, "exec\0stty size; exit 4\0tty=30x100");
	take_all(&c);
	assert_non_null(strstr(c.out[0], "30 100\r\n"));
	assert_int_equal(c.status, 4);
	close_session(&c);
}

/* As somebody else; only root can. */
static void test_user(void **state)
{
	struct client c;

	(void)state;
	OPTIONS(&c, "exec\0true\0user=nobody-of-that-name");
	take_all(&c);
	assert_string_equal(c.error, "user: there is none of that name");
	close_session(&c);
	if (getuid() != 0) {
		printf("SKIPPED: another user's commands: this is not root\n");
		return;
	}
	OPTIONS(&c, "exec\0id -u; id -g; id -G; pwd; echo $HOME $SHELL; umask; "
		"cat /proc/self/status | grep CapEff\0user=4321:8765");
	take_all(&c);
	assert_string_equal(c.error, "");
	assert_string_equal(c.out[0], "4321\n8765\n8765\n/\n/ /bin/sh\n0022\n"
			    "CapEff:\t0000000000000000\n");
	close_session(&c);
	OPTIONS(&c, "exec\0echo $USER $LOGNAME $HOME $MORE; id -un; exit 9"
		"\0user=daemon\0env=MORE=x");
	take_all(&c);
	assert_string_equal(c.out[0], "daemon daemon /usr/sbin x\ndaemon\n");
	assert_int_equal(c.status, 9);
	close_session(&c);
	/* His rights count for the folder, too. */
	OPTIONS(&c, "exec\0true\0user=daemon\0dir=/root");
	take_all(&c);
	assert_string_equal(c.error, "/root: Permission denied");
	close_session(&c);
}

static void send_signal(struct client *c, uint8_t number)
{
	send_frame(c, AGENT_SIGNAL, &number, 1);
}

/* To the command and what it started; at once, in order, before a terminal too. */
static void test_signals(void **state)
{
	struct client c;

	(void)state;
	exec_session(&c, "sleep 100");
	send_signal(&c, SIGTERM);
	take_all(&c);
	assert_int_equal(c.status, 128 + SIGTERM);
	close_session(&c);
	exec_session(&c, "trap 'echo int; exit 5' INT; echo go; "
		     "while :; do sleep 0.1; done");
	assert_true(take_frame(&c));
	send_signal(&c, SIGINT);
	take_all(&c);
	assert_string_equal(c.out[0], "go\nint\n");
	assert_int_equal(c.status, 5);
	close_session(&c);
	OPTIONS(&c, "exec\0echo go; exec sleep 100\0tty=24x80");
	assert_true(take_frame(&c));
	send_signal(&c, SIGQUIT);
	take_all(&c);
	assert_int_equal(c.status, 128 + SIGQUIT);
	close_session(&c);
}

/* Who keeps to the window is heard, whatever the command leaves unread. */
static void test_heard_behind_input(void **state)
{
	static char chunk[AGENT_STDIN_WINDOW];
	struct client c;

	(void)state;
	exec_session(&c, "trap 'head -c 200000 | wc -c; exit 6' USR1; echo go; "
		     "while :; do sleep 0.1; done");
	assert_true(take_frame(&c));
	/* The pipe takes the first 64 KiB, and that is told. */
	send_frame(&c, AGENT_STDIN, chunk, sizeof(chunk));
	while (c.taken < sizeof(chunk)) {
		assert_true(take_frame(&c));
	}
	send_frame(&c, AGENT_STDIN, chunk, sizeof(chunk));
	send_frame(&c, AGENT_STDIN, "", 0);
	send_signal(&c, SIGUSR1);
	take_all(&c);
	assert_string_equal(c.out[0], "go\n131072\n");
	assert_int_equal(c.status, 6);
	close_session(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_user),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_heard_behind_input),
	};

	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_DFL);	/* even if run by nohup */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
