/* SPDX-License-Identifier: MIT */
/*
 * Sessions with an agent that prints more than the serial line takes: the line
 * has little queued at any time, the credit stays with what waits, the end comes
 * after the last byte, and ctrl-c before it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "host-bridge/agent/agent.h"
#include "host-bridge/agent/agent_frame.h"
#include "host-bridge/dev/serial.h"
#include "host-bridge/guest/linux.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/rt/stage.h"
#include "host-bridge/vsock/vsock.h"

#define CREDIT		0x40000u
#define BUSY		4096u
#define CTRL_C		0x03

static struct vsock_conn {
	const struct vsock_ops *ops;
	void *arg;
	bool there;
	size_t held;
} conn;

static struct agent *agent;
static void (*line_drained)(void *arg);
static void *line_arg;
static size_t queued, most_queued, shown;	/* bytes on the line */
static size_t speed;			/* bytes it sends in a turn */
static uint8_t sent[CREDIT], *todo;	/* by the agent */
static size_t todo_len;
static bool hangs_up;			/* once all is sent */
static unsigned turns, ctrl_c_at;
static bool dropped;
static size_t keys, passed_on;		/* 'k's typed, and sent to the agent */
static bool ctrl_bracket;		/* typed after them */

int vsock_listen(struct vsock *vs, uint32_t port, const struct vsock_ops *ops,
		 void *arg)
{
	(void)vs;
	(void)port;
	(void)ops;
	(void)arg;
	return 0;
}

static uint32_t connected_to;
static bool ready;

struct vsock_conn *vsock_connect(struct vsock *vs, uint32_t port,
				 const struct vsock_ops *ops, void *arg)
{
	(void)vs;
	connected_to = port;
	conn = (struct vsock_conn){ ops, arg, true, 0 };
	return &conn;
}

size_t vsock_send(struct vsock_conn *to, const void *data, size_t len)
{
	const char *bytes = data;

	(void)to;
	for (size_t i = 0; i < len; i++) {
		passed_on += bytes[i] == 'k';
	}
	return len;
}

void vsock_hold(struct vsock_conn *of, size_t bytes)
{
	of->held += bytes;
	assert_true(of->held <= CREDIT);
}

void vsock_release(struct vsock_conn *of, size_t bytes)
{
	assert_true(of->there && bytes <= of->held);
	of->held -= bytes;
}

void vsock_shutdown(struct vsock_conn *of, unsigned flags)
{
	(void)of;
	(void)flags;
}

void vsock_reset(struct vsock_conn *of)
{
	of->there = false;
}

void *vsock_arg(const struct vsock_conn *of)
{
	return of->arg;
}

void vsock_set_arg(struct vsock_conn *of, void *arg)
{
	of->arg = arg;
}

void serial_write(enum serial_line line, const void *data, size_t len)
{
	assert_int_equal(line, SERIAL_CONSOLE);
	(void)data;
	queued += len;
	shown += len;
	most_queued = queued > most_queued ? queued : most_queued;
}

void serial_text(const char *text, size_t len)
{
	serial_write(SERIAL_CONSOLE, text, len);
}

bool serial_busy(enum serial_line line)
{
	assert_int_equal(line, SERIAL_CONSOLE);
	return queued > BUSY;
}

void serial_on_drained(enum serial_line line, void (*fn)(void *arg), void *arg)
{
	assert_int_equal(line, SERIAL_CONSOLE);
	line_drained = fn;
	line_arg = arg;
}

void serial_drop(enum serial_line line)
{
	assert_int_equal(line, SERIAL_CONSOLE);
	queued = 0;
	dropped = true;
}

int serial_read(enum serial_line line)
{
	assert_int_equal(line, SERIAL_CONSOLE);
	if (keys > 0) {
		keys--;
		return 'k';
	}
	return ctrl_bracket ? 0x1d : -1;
}

bool serial_typed(enum serial_line line, uint8_t byte)
{
	assert_int_equal(line, SERIAL_CONSOLE);
	return byte == CTRL_C && ctrl_c_at != 0 && turns >= ctrl_c_at;
}

enum linux_state linux_state(const struct guest *guest)
{
	(void)guest;
	return LINUX_RUNNING;
}

bool linux_ready(const struct guest *guest)
{
	(void)guest;
	return ready;
}

void linux_set_ready(struct guest *guest)
{
	(void)guest;
}

const char *stage_mark(void)
{
	return "";
}

uint64_t loop_ms_to_ticks(uint64_t ms)
{
	return ms;
}

/* The line sends some; the agent sends what its credit allows. */
void loop_step(uint64_t deadline)
{
	bool was_busy = queued > BUSY;
	size_t n = CREDIT - conn.held;

	(void)deadline;
	turns++;
	assert_true(turns < 100000);
	queued -= queued < speed ? queued : speed;
	if (was_busy && queued <= BUSY) {
		line_drained(line_arg);
	}
	n = n < todo_len ? n : todo_len;
	n = n < 65536 ? n : 65536;
	if (conn.there && n > 0) {
		conn.ops->on_data(&conn, todo, n);
		todo += n;
		todo_len -= n;
	} else if (conn.there && todo_len == 0 && hangs_up) {
		conn.there = false;
		conn.ops->on_close(&conn, 0);
	}
}

/* One frame of len bytes of output, and its end with status 7. */
static void prints(size_t len)
{
	const uint32_t status = 7;

	memset(sent, 'x', sizeof(sent));
	agent_frame_header(sent, AGENT_STDOUT, (uint32_t)len);
	agent_frame_header(sent + AGENT_HEADER + len, AGENT_EXIT, 4);
	memcpy(sent + 2 * AGENT_HEADER + len, &status, 4);
	todo = sent;
	todo_len = 2 * AGENT_HEADER + len + 4;
}

static int setup(void **state)
{
	(void)state;
	agent = agent_new(NULL, NULL);
	queued = most_queued = shown = 0;
	turns = ctrl_c_at = 0;
	dropped = hangs_up = ctrl_bracket = false;
	keys = passed_on = 0;
	speed = 64;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(agent);
	return 0;
}

static const char *const request[] = { "exec", "yes", NULL };

/* All of it is shown, however slowly, also when the agent has long hung up. */
static void test_slow_line(void **state)
{
	static const enum agent_mode modes[] = { AGENT_PLAIN, AGENT_TERMINAL };
	uint32_t status;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		shown = turns = 0;
		hangs_up = i == 1;
		prints(200000);
		assert_int_equal(agent_run(agent, request, modes[i], &status),
				 AGENT_EXITED);
		assert_int_equal(status, 7);
		assert_int_equal(shown, 200000);
		assert_true(most_queued <= BUSY + 2048);
		assert_true(turns > (200000 - BUSY) / speed - 100);
	}
	assert_false(dropped);
}

/* A line that stands still holds up neither the loop nor ctrl-c. */
static void test_interrupt(void **state)
{
	uint32_t status;

	(void)state;
	speed = 0;
	prints(CREDIT - 100);
	ctrl_c_at = 10;
	assert_int_equal(agent_run(agent, request, AGENT_PLAIN, &status),
			 AGENT_DETACHED);
	assert_int_equal(turns, 10);
	assert_true(dropped);
	assert_true(most_queued <= BUSY + 2048);
	/* Nothing of it comes up later. */
	shown = 0;
	line_drained(line_arg);
	assert_int_equal(shown, 0);
}

/* What is no frame, or no status, behind output that waits. */
static void test_nonsense(void **state)
{
	uint32_t status;

	(void)state;
	prints(20000);
	sent[AGENT_HEADER + 20000] = 0x77;
	assert_int_equal(agent_run(agent, request, AGENT_PLAIN, &status),
			 AGENT_FAILED);
	assert_int_equal(shown, 20000);
	assert_string_equal(agent_error(agent),
			    "the agent sent something that is no frame");
	/* Its words are shown, what a terminal would obey is not. */
	agent_frame_header(sent, AGENT_ERROR, 6);
	memcpy(sent + AGENT_HEADER, "a\x1e\x1b[\x9b" "b", 6);
	todo = sent;
	todo_len = AGENT_HEADER + 6;
	assert_int_equal(agent_run(agent, request, AGENT_PLAIN, &status),
			 AGENT_FAILED);
	assert_string_equal(agent_error(agent), "a??[?b");
	hangs_up = true;
	todo_len = 0;
	assert_int_equal(agent_run(agent, request, AGENT_PLAIN, &status),
			 AGENT_FAILED);
	assert_string_equal(agent_error(agent),
			    "the agent closed the connection");
}

/* All that was typed goes to the shell in the turn in which it is there: an
 * event may be long in coming. */
static void test_keys(void **state)
{
	static const size_t typed[] = { 1, 63, 64, 65, 128, 1000 };
	uint32_t status;

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(typed) / sizeof(typed[0]); i++) {
		turns = 0;
		passed_on = 0;
		keys = typed[i / 2];
		ctrl_bracket = i % 2;
		todo_len = 0;
		if (!ctrl_bracket) {
			prints(0);
		}
		assert_int_equal(agent_run(agent, request, AGENT_TERMINAL,
					   &status), ctrl_bracket ?
				 AGENT_DETACHED : AGENT_EXITED);
		assert_int_equal(turns, 1);
		assert_int_equal(passed_on, typed[i / 2]);
		assert_int_equal(keys, 0);
	}
}

/* What was typed before there was a shell is its first input, once. */
static void test_ahead(void **state)
{
	uint32_t status;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		passed_on = 0;
		keys = 3;
		ctrl_bracket = true;
		todo_len = 0;
		if (i == 0) {
			agent_typed_ahead(agent, (const uint8_t *)"kk", 2);
		}
		assert_int_equal(agent_run(agent, request, AGENT_TERMINAL,
					   &status), AGENT_DETACHED);
		assert_int_equal(passed_on, i == 0 ? 5 : 3);
	}
}

/* A Linux that is up hears of another time of day, beside a session. */
static void test_clock(void **state)
{
	(void)state;
	connected_to = 0;
	agent_clock(agent);
	assert_int_equal(connected_to, 0);
	ready = true;
	agent_clock(agent);
	assert_int_equal(connected_to, AGENT_PORT_CLOCK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_slow_line),
		TEST(test_interrupt),
		TEST(test_nonsense),
		TEST(test_keys),
		TEST(test_ahead),
		TEST(test_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
