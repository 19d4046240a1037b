// SPDX-License-Identifier: MIT
/*
 * Commands of the host for programs in a Linux: who may have which, how much of it,
 * and what becomes of those who break the rules or take nothing.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/host_commands.h"
#include "host-bridge/agent/agent.h"
#include "host-bridge/dev/serial.h"
#include "host-bridge/guest/linux.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/rt/notice.h"
#include "host-bridge/ui/commands.h"
#include "host-bridge/ui/console.h"
#include "host-bridge/ui/host_commands.h"
#include "host-bridge/ui/outbox.h"
#include "qemu-test/unit/fake/vsock.h"

/* ---- What is below and above, as far as it is used ---- */

static const struct serial_other *diverted;
static bool waits;
static unsigned drained;
static char noticed[200], ran[200];
static struct loop_timer *set;
/* What a command prints, how often, if its console lets it. */
static const char *prints;
static unsigned times, printed;
static bool obeys;			/* it pauses, and ends at ctrl-c */

const struct serial_other *serial_divert(const struct serial_other *to)
{
	const struct serial_other *was = diverted;

	diverted = to;
	return was;
}

void serial_drained(enum serial_line line)
{
	(void)line;
	drained++;
}

bool console_waits(void)
{
	return waits;
}

static struct console_remote *remote;
static void (*waited)(void), (*before)(void), (*after)(void);
static bool in_agent;

void console_add_remote(struct console_remote *r)
{
	remote = r;
}

void agent_on_wait(void (*fn)(void))
{
	waited = fn;
}

bool agent_waits(void)
{
	return in_agent;
}

void loop_around(void (*b)(void), void (*a)(void))
{
	before = b;
	after = a;
}

bool commands_known(const char *name)
{
	return strcmp(name, "nonsense") != 0;
}

static bool fails;

bool commands_failed(void)
{
	return fails;
}

void commands_run(const struct command_env *env, char *line)
{
	(void)env;
	snprintf(ran, sizeof(ran), "%s", line);
	for (printed = 0; printed < times; printed++) {
		if (obeys && (diverted->busy() || diverted->typed(3))) {
			return;
		}
		diverted->write(prints, strlen(prints));
		if (before) {		/* it waits in the loop */
			before();
			assert_null(diverted);
			after();
		}
		diverted->write("\r\n", 2);
	}
}

void notice(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(noticed, sizeof(noticed), fmt, ap);
	va_end(ap);
}

void loop_timer_set(struct loop_timer *timer, uint64_t ms,
		    void (*fn)(struct loop_timer *timer))
{
	assert_in_range(ms, 1, 5000);
	timer->fn = fn;
	timer->deadline = 1;
	set = timer;
}

void loop_timer_cancel(struct loop_timer *timer)
{
	timer->deadline = 0;
	set = set == timer ? NULL : set;
}

void loop_turn(void)
{
}

/* ---- A Linux ---- */

static const struct config_guest want = { .name = "a", .title = "Linux a" };
static struct guest guest = { .want = &want };
static struct command_env env = { .guest = &guest };
static struct host_commands *hc;

static void start(const char *words)
{
	fake_vsock_setup();
	free(hc);
	waits = true;
	ran[0] = noticed[0] = '\0';
	prints = "one";
	times = 1;
	obeys = false;
	set = NULL;
	in_agent = fails = false;
	assert_int_equal(host_commands_new(&env, words, &hc), 0);
	host_commands_serve();
	assert_int_equal(fake_vsock.listens, HOST_COMMANDS_PORT);
}

static void say(struct vsock_conn *c, const void *data, size_t len)
{
	c->ops->on_data(c, data, len);
}

static void gone(struct vsock_conn *c)
{
	fake_vsock_gone(c, 0);
}

/* The status in the last frame, and the text of those of a type. */
static uint32_t answer(const struct vsock_conn *c, enum agent_type type,
		       char *text)
{
	uint32_t len, status = UINT32_MAX;
	size_t out = 0;

	for (size_t at = 0; at < c->out_len; at += AGENT_HEADER + len) {
		memcpy(&len, c->out + at + 1, 4);
		assert_true(at + AGENT_HEADER + len <= c->out_len);
		assert_int_equal(status, UINT32_MAX);
		if (c->out[at] == AGENT_EXIT) {
			memcpy(&status, c->out + at + AGENT_HEADER, 4);
		} else if ((enum agent_type)c->out[at] == type) {
			memcpy(text + out, c->out + at + AGENT_HEADER, len);
			out += len;
		}
	}
	text[out] = '\0';
	return status;
}

/* The status of a line from a port, and what was said about it. */
static uint32_t ask(const char *line, uint32_t port, char *text)
{
	struct vsock_conn *c = fake_vsock_reach(port);
	uint32_t status;

	ran[0] = '\0';
	say(c, line, strlen(line));
	status = answer(c, AGENT_STDERR, text);
	assert_true(c->shut == (status != UINT32_MAX));
	gone(c);
	return status;
}

static char said[1 << 20];

static void test_shows(void **state)
{
	struct vsock_conn *c;

	(void)state;
	start(NULL);
	waits = false;			/* they need no console */
	c = fake_vsock_reach(5000);
	say(c, "stat", 4);
	say(c, "us --json\n", 10);
	assert_int_equal(answer(c, AGENT_STDOUT, said), 0);
	assert_string_equal(said, "one\n");
	assert_string_equal(ran, "status --json");
	assert_true(c->shut && !c->gone);
	assert_null(diverted);
	assert_string_equal(noticed, "");
	gone(c);
	assert_int_equal(ask("top --once 20 70\n", 5000, said), 0);
	assert_int_equal(ask("help cp\n", 5000, said), 0);
	fails = true;
	assert_int_equal(ask("help\n", 5000, said), HOST_COMMANDS_FAILED);
	assert_string_equal(said, "");
}

/* A line over the host's own socket: text comes of it, whoever asks for what. */
static const char *show(const char *line)
{
	struct outbox out = { 0 };
	const uint8_t *data;
	size_t len;

	ran[0] = '\0';
	host_commands_show(hc, line, strlen(line), &out);
	len = outbox_rest(&out, &data);
	memcpy(said, data, len);
	said[len] = '\0';
	outbox_free(&out);
	return said;
}

static void test_show(void **state)
{
	(void)state;
	start("status cp");
	obeys = true;
	times = 3;
	assert_string_equal(show("status --json"), "one\none\none\n");
	assert_string_equal(ran, "status --json");
	assert_null(diverted);
	assert_string_equal(show("cp a b"),
			    "cp: not over a socket, but by isthmus\n");
	assert_string_equal(show("memory"), "memory: not among the host's "
			    "commands for this Linux: status cp\n");
	assert_memory_equal(show(""), "host: that is no line", 21);
	assert_memory_equal(show("status\b"), "host: that is no line", 21);
	assert_string_equal(ran, "");
	host_commands_reach(hc, false);
	assert_memory_equal(show("status"), "status: not among", 17);
}

/* Nothing but what the manifest has, and of that no form that changes something. */
static void test_rights(void **state)
{
	static const struct {
		const char *words, *line;
		uint32_t port, status;
	} cases[] = {
		{ NULL, "cp a b\n", 900, HOST_COMMANDS_REFUSED },
		{ NULL, "poweroff\n", 900, HOST_COMMANDS_REFUSED },
		{ NULL, "disk write d 0 x\n", 900, HOST_COMMANDS_REFUSED },
		{ NULL, "disk read d 0\n", 900, HOST_COMMANDS_REFUSED },
		{ NULL, "disk --json x\n", 900, HOST_COMMANDS_REFUSED },
		{ NULL, "'disk' grow d 9\n", 900, HOST_COMMANDS_REFUSED },
		{ NULL, "net nat\n", 900, HOST_COMMANDS_REFUSED },
		{ NULL, "top\n", 900, HOST_COMMANDS_REFUSED },
		{ NULL, "statu\n", 900, HOST_COMMANDS_REFUSED },
		{ NULL, "status memory\n", 900, HOST_COMMANDS_REFUSED },
		{ NULL, "\n", 900, HOST_COMMANDS_REFUSED },
		{ NULL, "status 'x\n", 900, HOST_COMMANDS_REFUSED },
		{ "none", "status\n", 900, HOST_COMMANDS_REFUSED },
		{ "status", "memory\n", 900, HOST_COMMANDS_REFUSED },
		{ "xcp cpx", "cp a b\n", 900, HOST_COMMANDS_REFUSED },
		{ "cp", "cp a b\n", 1024, HOST_COMMANDS_REFUSED },
		{ "vdisk", "vdisk grow d 9\n", 900, HOST_COMMANDS_REFUSED },
		{ "nonsense", "nonsense\n", 900, HOST_COMMANDS_UNKNOWN },
	};
	struct host_commands_status status;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		start(cases[i].words);
		assert_int_equal(ask(cases[i].line, cases[i].port, said),
				 cases[i].status);
		assert_true(said[0] && said[strlen(said) - 1] == '\n');
		assert_string_equal(ran, "");
		host_commands_get_status(hc, &status);
		assert_int_equal(status.refused, 1);
		assert_int_equal(status.run + status.sessions, 0);
	}
	start("status");
	host_commands_reach(hc, false);
	assert_int_equal(ask("status\n", 900, said), HOST_COMMANDS_REFUSED);
	host_commands_reach(hc, true);
	assert_int_equal(ask("status\n", 900, said), 0);
}

/* What is no line, or is not one alone, ends the connection. */
static void test_lines(void **state)
{
	static const char wild[][16] = {
		"help \033[2J\n", "help \x7f\n", "help \x9b" "2J\n", "help \xc3\n",
		"help \xc2\x9b\n", "a\tb\n",
	};
	static char line[HOST_COMMANDS_LINE + 1];
	struct vsock_conn *c;

	(void)state;
	for (size_t i = 0; i < sizeof(wild) / sizeof(wild[0]); i++) {
		start(NULL);
		assert_int_equal(ask(wild[i], 900, said),
				 HOST_COMMANDS_REFUSED);
	}
	start(NULL);
	c = fake_vsock_reach(900);
	say(c, "he\0lp\n", 6);
	assert_int_equal(answer(c, AGENT_STDERR, said), HOST_COMMANDS_REFUSED);
	gone(c);
	memset(line, ' ', sizeof(line));
	memcpy(line, "status", 6);
	line[HOST_COMMANDS_LINE - 1] = '\n';
	c = fake_vsock_reach(900);
	say(c, line, HOST_COMMANDS_LINE);
	assert_int_equal(answer(c, AGENT_STDOUT, said), 0);
	gone(c);
	line[HOST_COMMANDS_LINE - 1] = ' ';
	line[HOST_COMMANDS_LINE] = '\n';
	for (unsigned i = 0; i < 3; i++) {
		c = fake_vsock_reach(900);
		if (i == 0) {
			say(c, line, HOST_COMMANDS_LINE + 1);
		} else if (i == 1) {
			say(c, line, HOST_COMMANDS_LINE);
		} else {
			say(c, "help\nhelp\n", 10);
		}
		assert_true(c->gone);
		gone(c);
	}
	c = fake_vsock_reach(900);
	say(c, "help\n", 5);
	say(c, "help\n", 5);	/* behind its end */
	assert_true(c->gone);
	gone(c);
}

static void test_sessions(void **state)
{
	struct host_commands_status status;

	(void)state;
	start(NULL);
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(fake_vsock_reach(900)->gone, i >= 4);
	}
	for (unsigned i = 0; i < 6; i++) {
		gone(&fake_vsock.end[i]);
	}
	host_commands_get_status(hc, &status);
	assert_int_equal(status.sessions, 0);
	assert_int_equal(status.refused, 2);
	assert_false(fake_vsock_reach(900)->gone);
	gone(fake_vsock.end);
}

/* As the console does it: the next line, its command, and that it is done. */
static bool console_turn(void)
{
	char line[1024];

	if (!remote->line(line, sizeof(line))) {
		return false;
	}
	(void)serial_divert(remote->serial);
	commands_run(&env, line);
	(void)serial_divert(NULL);
	remote->done();
	return true;
}

static void test_console(void **state)
{
	struct vsock_conn *c, *d, *e;

	(void)state;
	start("cp");
	waits = false;
	assert_int_equal(ask("cp a b\n", 900, said), HOST_COMMANDS_BUSY);
	waits = true;
	c = fake_vsock_reach(900);
	d = fake_vsock_reach(900);
	e = fake_vsock_reach(900);
	say(c, "cp a b\n", 7);
	say(d, "cp c d\n", 7);
	say(e, "cp e f\n", 7);
	assert_string_equal(ran, "");
	gone(d);			/* before its turn */
	assert_true(console_turn());
	assert_string_equal(ran, "cp a b");
	assert_string_equal(noticed, "Linux a: host command: cp a b");
	assert_int_equal(answer(c, AGENT_STDOUT, said), 0);
	assert_string_equal(said, "one\n");
	assert_true(console_turn());
	assert_string_equal(ran, "cp e f");
	assert_false(console_turn());
	gone(c);
	gone(e);
}

/* Much output goes as it is taken; who takes none is given up, and one who is gone
 * ends it. */
static void test_stall(void **state)
{
	static char much[1000];
	char line[1024];
	struct vsock_conn *c;

	(void)state;
	start("cat");
	memset(much, 'x', sizeof(much) - 1);
	prints = much;
	times = 500;
	c = fake_vsock_reach(900);
	say(c, "cat a\n", 6);
	assert_true(console_turn());
	assert_int_equal(answer(c, AGENT_STDOUT, said), 0);
	assert_int_equal(strlen(said), 500 * 1000);
	gone(c);

	/* Takes nothing: after 32 KiB it is busy, after a second over. */
	c = fake_vsock_reach(900);
	c->takes = 100;
	say(c, "cat a\n", 6);
	assert_true(remote->line(line, sizeof(line)));
	(void)serial_divert(remote->serial);
	obeys = true;
	commands_run(&env, line);
	assert_in_range(printed, 30, 40);
	assert_true(diverted->busy() && !diverted->typed(3));
	assert_non_null(set);
	/* It takes some: the time begins anew. */
	drained = 0;
	c->takes = 20000;
	c->ops->on_writable(c);
	assert_true(drained > 0 && !diverted->busy() && !set);
	commands_run(&env, line);
	assert_true(diverted->busy() && set);
	set->fn(set);
	assert_true(!diverted->busy() && diverted->typed(3));
	(void)serial_divert(NULL);
	remote->done();
	c->takes = SIZE_MAX;
	c->ops->on_writable(c);
	assert_int_equal(answer(c, AGENT_STDERR, said), HOST_COMMANDS_FAILED);
	assert_true(c->shut);
	gone(c);

	c = fake_vsock_reach(900);
	say(c, "cat a\n", 6);
	assert_true(remote->line(line, sizeof(line)));
	(void)serial_divert(remote->serial);
	gone(c);
	assert_true(diverted->typed(3) && !diverted->busy());
	(void)serial_divert(NULL);
	remote->done();	/* frees it: ASan sees what does not */
}

/* One that only shows may come while another's command has the console. */
static void test_within(void **state)
{
	char line[1024];
	struct vsock_conn *c, *d;

	(void)state;
	start("cat status");
	c = fake_vsock_reach(900);
	d = fake_vsock_reach(5000);
	say(c, "cat a\n", 6);
	assert_true(remote->line(line, sizeof(line)));
	(void)serial_divert(remote->serial);
	prints = "status";
	say(d, "status\n", 7);
	assert_int_equal(answer(d, AGENT_STDOUT, said), 0);
	assert_string_equal(said, "status\n");
	assert_ptr_equal(diverted, remote->serial);
	prints = "cat";
	commands_run(&env, line);
	(void)serial_divert(NULL);
	remote->done();
	assert_int_equal(answer(c, AGENT_STDOUT, said), 0);
	assert_string_equal(said, "cat\n");
	gone(c);
	gone(d);
}

/* While the console waits for a Linux, what needs no agent runs within; else it is
 * busy. */
static void test_in_agent(void **state)
{
	struct vsock_conn *c;

	(void)state;
	start("cp exec poweroff");
	waits = false;
	in_agent = true;
	assert_int_equal(ask("exec ls\n", 900, said), HOST_COMMANDS_BUSY);
	assert_int_equal(ask("poweroff\n", 900, said), HOST_COMMANDS_BUSY);
	waited();
	c = fake_vsock_reach(900);
	times = 3;
	say(c, "cp a b\n", 7);
	assert_string_equal(ran, "");
	waited();
	assert_string_equal(ran, "cp a b");
	assert_true(!diverted && !before && !after);
	assert_int_equal(answer(c, AGENT_STDOUT, said), 0);
	assert_string_equal(said, "one\none\none\n");
	gone(c);
	in_agent = false;
	assert_int_equal(ask("cp a b\n", 900, said), HOST_COMMANDS_BUSY);
	/* One that needs an agent, and has come before: not within. */
	waits = true;
	c = fake_vsock_reach(900);
	say(c, "exec ls\n", 8);
	waits = false;
	in_agent = true;
	ran[0] = '\0';
	waited();
	assert_string_equal(ran, "");
	assert_true(console_turn());
	assert_string_equal(ran, "exec ls");
	gone(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shows),
		cmocka_unit_test(test_show),
		cmocka_unit_test(test_rights),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_sessions),
		cmocka_unit_test(test_console),
		cmocka_unit_test(test_stall),
		cmocka_unit_test(test_within),
		cmocka_unit_test(test_in_agent),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	free(hc);
	return failed;
}
