/* SPDX-License-Identifier: MIT */
/* Sessions of the agent: streams, ends, terminals, what is watched. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent_client.h"

static void test_ping(void **state)
{
	struct client c;

	(void)state;
	open_session(&c);
	request(&c, "ping", 4);
	take_all(&c);
	assert_int_equal(c.status, 0);
	close_session(&c);
}

static void test_streams_and_status(void **state)
{
	struct client c;

	(void)state;
	exec_session(&c, "echo out; echo err >&2; exit 7");
	take_all(&c);
	assert_string_equal(c.out[0], "out\n");
	assert_string_equal(c.out[1], "err\n");
	assert_int_equal(c.status, 7);
	close_session(&c);
}

static void test_signal_status(void **state)
{
	struct client c;

	(void)state;
	exec_session(&c, "kill -9 $$");
	take_all(&c);
	assert_int_equal(c.status, 128 + SIGKILL);
	close_session(&c);
}

/* A command that is stopped has not ended. */
static void test_stopped_command(void **state)
{
	struct client c;
	pid_t pid;

	(void)state;
	exec_session(&c, "echo $$; kill -STOP $$; exit 6");
	assert_true(take_frame(&c));
	pid = atoi(c.out[0]);
	assert_true(pid > 1);
	usleep(100000);
	assert_int_equal(kill(pid, SIGCONT), 0);
	take_all(&c);
	assert_int_equal(c.status, 6);
	close_session(&c);
}

/* Whatever the session lacks: the true status, or an error. */
static void test_no_invented_status(void **state)
{
	unsigned int told = 0;
	struct client c;

	(void)state;
	old_kernel = true;
	exec_session(&c, "sleep 0.1; exit 7");
	take_all(&c);
	assert_int_equal(c.status, 7);
	close_session(&c);
	old_kernel = false;
	for (descriptors = 4; descriptors < 24; descriptors++) {
		exec_session(&c, "exit 7");
		take_all(&c);
		if (c.status == NO_STATUS) {
			assert_string_not_equal(c.error, "");
		} else {
			assert_int_equal(c.status, 7);
			told++;
		}
		close_session(&c);
	}
	descriptors = 0;
	assert_in_range(told, 1, 19);
}

static void test_stdin(void **state)
{
	struct client c;

	(void)state;
	exec_session(&c, "cat; echo end");
	send_frame(&c, AGENT_STDIN, "one ", 4);
	send_frame(&c, AGENT_STDIN, "two\n", 4);
	send_frame(&c, AGENT_STDIN, "", 0);
	take_all(&c);
	assert_string_equal(c.out[0], "one two\nend\n");
	assert_int_equal(c.status, 0);
	close_session(&c);
}

/* More than any pipe or socket holds, both ways at once. */
static void test_bulk(void **state)
{
	static char chunk[AGENT_PAYLOAD_MAX];
	const unsigned int chunks = 32;
	struct client c;
	pid_t writer;

	(void)state;
	for (size_t i = 0; i < sizeof(chunk); i++) {
		chunk[i] = (char)(i * 7 + i / 251);
	}
	exec_session(&c, "cat");
	writer = fork();
	if (writer == 0) {
		for (unsigned int i = 0; i < chunks; i++) {
			send_frame(&c, AGENT_STDIN, chunk, sizeof(chunk));
		}
		send_frame(&c, AGENT_STDIN, "", 0);
		_exit(0);
	}
	take_all(&c);
	assert_int_equal(waitpid(writer, NULL, 0), writer);
	assert_int_equal(c.len[0], chunks * sizeof(chunk));
	for (unsigned int i = 0; i < chunks; i++) {
		assert_memory_equal(c.out[0] + i * sizeof(chunk), chunk,
				    sizeof(chunk));
	}
	assert_int_equal(c.status, 0);
	close_session(&c);
}

static void test_stdin_nobody_reads(void **state)
{
	static char chunk[AGENT_PAYLOAD_MAX];
	struct client c;

	(void)state;
	exec_session(&c, "exec 0<&-; sleep 0.2; echo done");
	for (int i = 0; i < 4; i++) {
		send_frame(&c, AGENT_STDIN, chunk, sizeof(chunk));
	}
	take_all(&c);
	assert_string_equal(c.out[0], "done\n");
	assert_int_equal(c.status, 0);
	close_session(&c);
}

/* A background process keeps the pipe: the session ends all the same. */
static void test_background_process(void **state)
{
	struct client c;

	(void)state;
	exec_session(&c, "sleep 30 & echo $!");
	take_all(&c);
	assert_int_equal(c.status, 0);
	assert_true(atoi(c.out[0]) > 1);
	kill(atoi(c.out[0]), SIGKILL);
	close_session(&c);
}

static bool gone(pid_t pid)
{
	char path[64], text[256];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "r");
	if (!f) {
		return true;
	}
	/* A zombie that nobody of ours reaps counts as gone. */
	if (!fgets(text, sizeof(text), f)) {
		text[0] = '\0';
	}
	fclose(f);
	return strstr(text, ") Z ") != NULL;
}

static void test_client_goes_away(void **state)
{
	struct client c;
	pid_t pid;

	(void)state;
	exec_session(&c, "echo $$; exec sleep 30");
	assert_true(take_frame(&c));
	pid = atoi(c.out[0]);
	assert_true(pid > 1);
	close_session(&c);
	for (int i = 0; i < 100 && !gone(pid); i++) {
		usleep(20000);
	}
	assert_true(gone(pid));
}

/* While a session delivers the output of a dead command it may still signal the
 * command's group: the number stays taken. */
static void test_pid_stays_taken(void **state)
{
	struct client c;
	pid_t pid;

	(void)state;
	send_buffer = 4096;
	/* Fits into the pipe, so that it ends, but not into the socket. It
	 * waits for a word, or all could come in the first frame. */
	exec_session(&c, "echo $$; read word; exec head -c 50000 /dev/zero");
	send_buffer = 0;
	assert_true(take_frame(&c));
	pid = atoi(c.out[0]);
	assert_true(pid > 1);
	send_frame(&c, AGENT_STDIN, "go\n", 3);
	usleep(300000);			/* it ends, and the session sees it */
	assert_true(gone(pid));
	assert_int_equal(kill(pid, 0), 0);
	take_all(&c);
	assert_int_equal(c.status, 0);
	close_session(&c);
}

static void test_shell_on_tty(void **state)
{
	static const uint8_t window[4] = { 30, 0, 100, 0 };
	struct client c;

	(void)state;
	open_session(&c);
	request(&c, "shell\00024\00080", 11);
	send_frame(&c, AGENT_STDIN, "stty size\n", 10);
	while (!strstr(c.out[0], "24 80")) {
		assert_true(take_frame(&c));
	}
	send_frame(&c, AGENT_WINDOW, window, sizeof(window));
	send_frame(&c, AGENT_STDIN, "stty size; tty; exit 5\n", 23);
	take_all(&c);
	assert_non_null(strstr(c.out[0], "30 100"));
	assert_non_null(strstr(c.out[0], "/dev/pts/"));
	assert_int_equal(c.status, 5);
	close_session(&c);
}

/* What a terminal drops of a flood at ctrl-c, who sits before it hears of, and
 * what comes then, he gets whole. The shell ends with what the signal says. */
static void test_shell_interrupted(void **state)
{
	struct client c;

	(void)state;
	send_buffer = 4096;
	open_session(&c);
	send_buffer = 0;
	request(&c, "shell\00024\00080", 11);
	send_frame(&c, AGENT_STDIN, "yes flood\n", 10);
	while (c.len[0] < 100000) {
		assert_true(take_frame(&c));
		assert_int_equal(c.flushed, 0);
	}
	/* All that is between it and us is full, as behind a slow line. */
	usleep(500000);
	send_frame(&c, AGENT_STDIN, "\003", 1);
	send_frame(&c, AGENT_STDIN, "exit $?\n", 8);
	usleep(500000);
	take_all(&c);
	assert_true(c.flushed > 0);
	assert_non_null(strstr(c.out[0] + c.flushed, "exit $?"));
	assert_true(c.len[0] - c.flushed < 1000);
	assert_int_equal(c.status, 128 + SIGINT);
	close_session(&c);
}

static void test_shell_end_of_file(void **state)
{
	struct client c;

	(void)state;
	open_session(&c);
	request(&c, "shell\00024\00080", 11);
	/* A shell that edits its lines drops what was typed before its prompt. */
	assert_true(take_frame(&c));
	usleep(300000);
	send_frame(&c, AGENT_STDIN, "", 0);
	take_all(&c);
	assert_int_equal(c.status, 0);
	close_session(&c);
}

/* Asks for the watching of a path, and waits until it has begun. */
static void watch_session(struct client *c, const char *path)
{
	char text[1024];
	int len = snprintf(text, sizeof(text), "watch%c%s", '\0', path);

	open_session(c);
	request(c, text, (size_t)len);
	assert_true(take_frame(c));
	c->len[0] = 0;
}

/* Does something with a folder, and waits for its last line. */
static void watch_lines(struct client *c, const char *command,
			const char *lines)
{
	c->len[0] = 0;
	memset(c->out[0], 0, OUTPUT_MAX);
	assert_int_equal(system(command), 0);
	while (c->len[0] < strlen(lines)) {
		assert_true(take_frame(c));
	}
	assert_string_equal(c->out[0], lines);
}

/* Every kind of event, as lines; the watch ends with what it watches. */
static void test_watch(void **state)
{
	char folder[] = "/tmp/watch-XXXXXX", command[64];
	struct client c;

	(void)state;
	assert_non_null(mkdtemp(folder));
	/* The session's own folder is another: who is in one keeps it. */
	watch_session(&c, folder);
	assert_int_equal(chdir(folder), 0);
	watch_lines(&c, "mkdir sub", "create sub\n");
	watch_lines(&c, "printf x > a", "create a\nmodify a\n");
	watch_lines(&c, "mv a b", "move   a -> b\n");
	watch_lines(&c, "mv b sub", "move   b -> \n");
	watch_lines(&c, "mv sub/b c", "move    -> c\n");
	watch_lines(&c, "chmod 600 c", "attrib c\n");
	watch_lines(&c, "rm c", "delete c\n");
	watch_lines(&c, "mkdir 'n\033[1m'", "create n?[1m\n");
	c.len[0] = 0;
	assert_int_equal(chdir("/"), 0);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	assert_int_equal(system(command), 0);
	take_all(&c);
	assert_non_null(strstr(c.out[0], "delete ."));
	assert_int_equal(c.status, 0);
	close_session(&c);

	watch_session(&c, "/does/not/exist");
	take_all(&c);
	assert_non_null(strstr(c.out[1], "No such file"));
	assert_int_equal(c.status, 1);
	close_session(&c);
}

/* More events than the kernel keeps while nobody takes them. */
static void test_watch_overflow(void **state)
{
	char folder[] = "/tmp/watch-XXXXXX", command[300];
	struct client c;

	(void)state;
	assert_non_null(mkdtemp(folder));
	watch_session(&c, folder);
	snprintf(command, sizeof(command), "cd %s && i=0; while [ $i -lt 60000 "
		 "]; do : >$i; i=$((i+1)); done; rm -r %s", folder, folder);
	assert_int_equal(system(command), 0);
	take_all(&c);
	assert_non_null(strstr(c.out[0], "events were lost\n"));
	close_session(&c);
}

static void test_errors(void **state)
{
	uint8_t huge[4] = { 0xff, 0xff, 0xff, 0xff };
	struct client c;

	(void)state;
	open_session(&c);
	request(&c, "nonsense", 8);
	take_all(&c);
	assert_string_equal(c.error, "unknown request");
	assert_int_equal(c.status, NO_STATUS);
	close_session(&c);

	open_session(&c);
	assert_true(agent_write_full(c.sock, huge, 4));
	take_all(&c);
	assert_string_equal(c.error, "the request is too long");
	close_session(&c);

	/* A frame a client may not send ends the session at once. */
	exec_session(&c, "sleep 30");
	send_frame(&c, AGENT_STDOUT, "x", 1);
	take_all(&c);
	assert_int_equal(c.status, NO_STATUS);
	close_session(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ping),
		cmocka_unit_test(test_streams_and_status),
		cmocka_unit_test(test_signal_status),
		cmocka_unit_test(test_stopped_command),
		cmocka_unit_test(test_no_invented_status),
		cmocka_unit_test(test_stdin),
		cmocka_unit_test(test_bulk),
		cmocka_unit_test(test_stdin_nobody_reads),
		cmocka_unit_test(test_background_process),
		cmocka_unit_test(test_client_goes_away),
		cmocka_unit_test(test_pid_stays_taken),
		cmocka_unit_test(test_shell_on_tty),
		cmocka_unit_test(test_shell_interrupted),
		cmocka_unit_test(test_shell_end_of_file),
		cmocka_unit_test(test_watch),
		cmocka_unit_test(test_watch_overflow),
		cmocka_unit_test(test_errors),
	};

	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_DFL);	/* even if run by nohup */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
