/* SPDX-License-Identifier: MIT */
/*
 * Sessions with the agent: a vsock connection to its control port. Output that
 * the serial line cannot take at once waits here, and is not credited back to
 * Linux: so a slow line slows the command and nothing else, what waits is
 * bounded by the credit, and none of it is shown to whoever types ctrl-c. In a shell
 * ctrl-c is Linux's: what its terminal drops then is dropped here as well, and what
 * is on the way until it knows is little: TERMINAL_CREDIT.
 *
 * One session at a time for each agent: sessions belong to top-level code, of
 * which there is one. The agent is in Linux and not trusted: its
 * frames are checked by agent_frame.c, its output goes to the terminal as it
 * is, and whatever it does ends this session at most.
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/agent/agent.h"
#include "host-bridge/agent/agent_frame.h"
#include "host-bridge/dev/serial.h"
#include "host-bridge/guest/linux.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/rt/stage.h"
#include "host-bridge/vsock/vsock.h"

#define REQUEST_MAX	16640u	/* what the manifest allows, and a verb */
#define FRAME_MAX	4096u
#define INPUT_MAX	0x40000u	/* all the credit that vsock gives */
#define SHOW_STEP	256u	/* bytes shown between looks at the line */
#define TERMINAL_CREDIT	512u	/* in the shell's output: what ctrl-c cannot stop */
#define KEY_CTRL_C	0x03
#define KEY_DETACH	0x1d	/* ctrl-] */

/* Written by top-level code and by the callbacks, which never run at the same
 * time: callbacks come from the loop. */
struct session {
	struct vsock_conn *conn;	/* NULL: no session */
	enum agent_mode mode;
	struct agent_decoder decoder;
	/* The request, the frame that ends its input, and room for keys. */
	uint8_t out[REQUEST_MAX + 2 * AGENT_HEADER]; /* not yet sent */
	size_t out_len;
	const char *ended;	/* the connection did: why, or NULL */
	/* How it ended. An EXIT frame counts even if something failed before
	 * it; the connection is of no more use either way. */
	bool exited;
	bool failed;
	uint32_t status;
	char error[AGENT_TEXT_MAX + 1];
	/* Received, not credited back and not yet looked at; there is memory for
	 * it while there is any. */
	size_t in_at, in_len;
	uint8_t *in;
};

struct agent {
	struct guest *guest;
	struct vsock *vs;
	uint8_t ahead[AGENT_AHEAD];
	size_t ahead_len;
	struct session session;
};

static void (*on_wait)(void);
static bool waits;		/* in agent_run() */

/** See agent.h. */
void agent_on_wait(void (*fn)(void))
{
	on_wait = fn;
}

/** See agent.h. */
bool agent_waits(void)
{
	return waits;
}

/* The first thing that goes wrong is what the user is told. */
static void fail(struct session *s, const char *text)
{
	if (!s->failed && !s->exited) {
		s->failed = true;
		snprintf(s->error, sizeof(s->error), "%s", text);
	}
}

/* One frame for the tool on the build machine, at most FRAME_MAX bytes. Between
 * frames the console's own text (notices) goes on. */
static void send_frame_line(char type, const void *data, size_t len)
{
	char head[AGENT_TOOL_HEAD];

	serial_write(SERIAL_CONSOLE, head,
		     agent_tool_frame(head, stage_mark(), type, len));
	serial_write(SERIAL_CONSOLE, data, len);
}

/* Output, SHOW_STEP bytes of it at most, so that the line's queue has room. What
 * Linux sends can move the cursor and more: to the user it is as if he had
 * logged in there. */
static void show(void *arg, enum agent_type type, const void *data,
		 size_t len)
{
	struct session *s = arg;
	const char *at = data;

	if (s->mode == AGENT_PLAIN) {
		serial_text(data, len);
	} else if (s->mode == AGENT_TERMINAL) {
		serial_write(SERIAL_CONSOLE, data, len);
	} else {
		while (len > 0) {
			size_t part = len < FRAME_MAX ? len : FRAME_MAX;

			send_frame_line(type == AGENT_STDERR ? 'e' : 'o', at,
					part);
			at += part;
			len -= part;
		}
	}
}

/* The decoder's other two results. What follows them in the same turn is still
 * taken; the session is left when the loop returns. */
static void exited(void *arg, uint32_t status)
{
	struct session *s = arg;

	s->exited = true;
	s->status = status;
}

/* The text is Linux's, the line in which it is shown is ours. */
static void failed(void *arg, const char *text)
{
	char clean[AGENT_TEXT_MAX + 1];
	size_t n = 0;

	for (; text[n] && n < AGENT_TEXT_MAX; n++) {
		clean[n] = text[n] >= ' ' && text[n] < 0x7f ? text[n] : '?';
	}
	clean[n] = '\0';
	fail(arg, clean);
}

/* The shell's terminal has dropped what it had: ctrl-c, most of the time. */
static void flushed(void *arg)
{
	const struct session *s = arg;

	if (s->mode == AGENT_TERMINAL) {
		serial_drop(SERIAL_CONSOLE);
	}
}

/* Gives vsock what it takes; the rest goes when on_writable comes. */
static void flush_out(struct session *s)
{
	size_t sent = vsock_send(s->conn, s->out, s->out_len);

	s->out_len -= sent;
	memmove(s->out, s->out + sent, s->out_len);
}

/* Queues a frame if there is room for it; keys typed into a connection that
 * takes nothing are lost, as on a serial line. */
static void send_frame(struct session *s, enum agent_type type,
		       const void *data, size_t len)
{
	if (!s->conn || s->out_len + AGENT_HEADER + len > sizeof(s->out)) {
		return;
	}
	agent_frame_header(s->out + s->out_len, type, (uint32_t)len);
	memcpy(s->out + s->out_len + AGENT_HEADER, data, len);
	s->out_len += AGENT_HEADER + len;
	flush_out(s);
}

/* ---- Callbacks; the argument is NULL once the session was left. ---- */

static void on_open(struct vsock_conn *conn)
{
	struct session *s = vsock_arg(conn);

	if (s) {
		flush_out(s);
	}
}

/* Looks at bytes until the line has enough to do; returns how many. What
 * follows the end of the command or an error is of no interest. */
static size_t look(struct session *s, const uint8_t *data, size_t len)
{
	const struct agent_sink sink = {
		.output = show, .exited = exited, .failed = failed,
		.flushed = flushed, .arg = s,
	};
	size_t done = 0;

	while (done < len && !serial_busy(SERIAL_CONSOLE)) {
		size_t n = len - done < SHOW_STEP ? len - done : SHOW_STEP;

		if (s->failed || s->exited) {
			return len;
		}
		if (agent_decode(&s->decoder, &sink, data + done, n) != 0) {
			fail(s, "the agent sent something that is no frame");
		}
		done += n;
	}
	return done;
}

/* What waits is of no more use. */
static void forget(struct session *s)
{
	free(s->in);
	s->in = NULL;
	s->in_at = s->in_len = 0;
}

/* The line can take more: what waited, then whatever Linux sends for it. With
 * the last of it a connection that has ended is at its end for us too. */
static void pump(struct session *s)
{
	size_t n = s->in ? look(s, s->in + s->in_at, s->in_len - s->in_at) : 0;

	s->in_at += n;
	if (s->conn && n > 0) {
		vsock_release(s->conn, n);
	}
	if (s->in_at == s->in_len) {
		forget(s);
		if (s->ended) {
			fail(s, s->ended);
		}
	}
}

static void on_data(struct vsock_conn *conn, const void *data, size_t len)
{
	struct session *s = vsock_arg(conn);
	size_t rest;

	if (!s) {
		return;
	}
	rest = len - (s->in_len == 0 ? look(s, data, len) : 0);
	if (rest == 0) {
		return;
	}
	if (!s->in) {
		s->in = malloc(INPUT_MAX);
	}
	if (s->in && rest > INPUT_MAX - s->in_len) {
		memmove(s->in, s->in + s->in_at, s->in_len - s->in_at);
		s->in_len -= s->in_at;
		s->in_at = 0;
	}
	/* It does: none of what waits was credited back. */
	if (!s->in || rest > INPUT_MAX - s->in_len) {
		fail(s, s->in ? "the agent sent more than it may" :
				"there is no memory for what it sent");
		return;
	}
	memcpy(s->in + s->in_len, (const uint8_t *)data + len - rest, rest);
	s->in_len += rest;
	vsock_hold(conn, rest);
}

static void on_writable(struct vsock_conn *conn)
{
	on_open(conn);
}

/* The end of the connection, expected or not: after an EXIT frame, which may
 * wait still, fail() does nothing. */
static void on_close(struct vsock_conn *conn, int error)
{
	struct session *s = vsock_arg(conn);

	if (!s) {
		return;
	}
	s->conn = NULL;
	s->ended = error == ECONNREFUSED ? "the agent does not listen" :
		   error == 0 ? "the agent closed the connection" :
		   "the connection to the agent broke";
	pump(s);
}

static const struct vsock_ops session_ops = {
	.on_open = on_open,
	.on_data = on_data,
	.on_writable = on_writable,
	.on_close = on_close,
};

/* The same for who sits before it. */
static const struct vsock_ops terminal_ops = {
	.on_open = on_open,
	.on_data = on_data,
	.on_writable = on_writable,
	.on_close = on_close,
	.credit = TERMINAL_CREDIT,
};

/* The console has room again: let Linux send on. */
static void on_drained(void *arg)
{
	struct agent *agent = arg;

	pump(&agent->session);
}

/* Sets the one session up and asks for a connection; the request waits in
 * s->out until it is open. Returns 0, E2BIG or ENOTCONN, with the reason in
 * s->error. Whether anybody listens in Linux is not known yet. */
static int begin(struct agent *agent, const char *const *fields,
		 enum agent_mode mode)
{
	struct session *s = &agent->session;

	memset(s, 0, offsetof(struct session, in));
	/* Of several agents the one that is talked with. */
	serial_on_drained(SERIAL_CONSOLE, on_drained, agent);
	s->mode = mode;
	s->out_len = agent_request(s->out, REQUEST_MAX, fields);
	if (s->out_len == 0) {
		fail(s, "the command is too long");
		return E2BIG;
	}
	if (linux_state(agent->guest) != LINUX_RUNNING) {
		fail(s, "Linux is not running");
		return ENOTCONN;
	}
	s->conn = vsock_connect(agent->vs, AGENT_PORT, mode == AGENT_TERMINAL ?
				&terminal_ops : &session_ops, s);
	if (!s->conn) {
		fail(s, "Linux's side of the channel is not up");
		return ENOTCONN;
	}
	return 0;
}

/* Lets go of the session's connection, if it still has one, and of what waits:
 * callbacks that are yet to come find no session. */
static void leave(struct session *s)
{
	struct vsock_conn *conn = s->conn;

	s->conn = NULL;
	forget(s);
	if (conn) {
		vsock_set_arg(conn, NULL);
		vsock_reset(conn);
	}
}

/* Keys for the shell in Linux, at most 64 in a frame; all there are, since no
 * event may come for those that would stay. True when the user wants to leave
 * it: keys before ctrl-] are sent. */
static bool pass_keys(struct session *s)
{
	uint8_t keys[64];
	int key;

	do {
		size_t n = 0;

		while (n < sizeof(keys) &&
		       (key = serial_read(SERIAL_CONSOLE)) >= 0 &&
		       key != KEY_DETACH) {
			keys[n++] = (uint8_t)key;
		}
		if (n > 0) {
			send_frame(s, AGENT_STDIN, keys, n);
		}
	} while (key >= 0 && key != KEY_DETACH);
	return key == KEY_DETACH;
}

/** See agent.h. */
void agent_typed_ahead(struct agent *agent, const uint8_t *keys, size_t len)
{
	agent->ahead_len = len < AGENT_AHEAD ? len : AGENT_AHEAD;
	memcpy(agent->ahead, keys, agent->ahead_len);
}

/**
 * Runs one request to its end: fields as the agent's protocol has them. Waits
 * by running the event loop, so only top-level code may call it. The result
 * says how it ended; *status is set for AGENT_EXITED only, agent_error()
 * speaks for AGENT_FAILED.
 */
enum agent_result agent_run(struct agent *agent, const char *const *fields,
			    enum agent_mode mode, uint32_t *status)
{
	struct session *s = &agent->session;
	bool left = false;

	if (begin(agent, fields, mode) != 0) {
		return AGENT_FAILED;
	}
	if (mode != AGENT_TERMINAL) {		/* there is no input */
		agent_frame_header(s->out + s->out_len, AGENT_STDIN, 0);
		s->out_len += AGENT_HEADER;
	} else if (agent->ahead_len > 0) {
		send_frame(s, AGENT_STDIN, agent->ahead, agent->ahead_len);
		agent->ahead_len = 0;
	}
	waits = true;
	while (!s->exited && !s->failed && !left) {
		loop_step(LOOP_FOREVER);
		if (on_wait) {
			on_wait();
		}
		left = mode == AGENT_TERMINAL ? pass_keys(s) :
		       mode == AGENT_PLAIN && serial_typed(SERIAL_CONSOLE, KEY_CTRL_C);
	}
	waits = false;
	leave(s);
	if (s->exited) {
		*status = s->status;
		if (mode == AGENT_FRAMES) {
			char text[12];

			snprintf(text, sizeof(text), "%u",
				 (unsigned)s->status);
			send_frame_line('x', text, strlen(text));
		}
		return AGENT_EXITED;
	}
	/* Who has seen enough wants to see no more. */
	if (left && mode == AGENT_PLAIN) {
		serial_drop(SERIAL_CONSOLE);
	}
	return left ? AGENT_DETACHED : AGENT_FAILED;
}

/**
 * Sends a request whose outcome is not what is waited for (shutdown): waits until
 * the agent answers or closes the connection, at most a second. Returns 0 when
 * the request was on its way, even if nobody took it, else an errno value (see
 * begin()). *status is the answer, 0 without one. Top-level code only.
 */
int agent_tell(struct agent *agent, const char *const *fields, uint32_t *status)
{
	uint64_t until = loop_now() + loop_ms_to_ticks(1000);
	int error = begin(agent, fields, AGENT_PLAIN);
	struct session *s = &agent->session;

	while (error == 0 && s->conn && !s->exited && loop_now() < until) {
		loop_step(until);
	}
	*status = 0;
	if (error == 0) {
		leave(s);
		*status = s->exited ? s->status : 0;
	}
	return error;
}

/**
 * Why the last session failed: a sentence for the user, or "". Valid until the
 * next session begins.
 */
const char *agent_error(const struct agent *agent)
{
	return agent->session.error;
}

/* ---- AGENT_PORT_CLOCK ---- */

static void clock_on_open(struct vsock_conn *conn)
{
	vsock_shutdown(conn, VSOCK_SHUT_SEND | VSOCK_SHUT_RCV);
}

static void clock_on_data(struct vsock_conn *conn, const void *data, size_t len)
{
	(void)data;
	(void)len;
	vsock_reset(conn);
}

static void clock_on_close(struct vsock_conn *conn, int error)
{
	(void)conn;
	(void)error;
}

static const struct vsock_ops clock_ops = {
	.on_open = clock_on_open,
	.on_data = clock_on_data,
	.on_close = clock_on_close,
};

/**
 * See agent.h. A Linux that cannot be told now looks by itself, later; one without
 * such an agent refuses the connection.
 */
void agent_clock(struct agent *agent)
{
	if (linux_ready(agent->guest)) {
		(void)vsock_connect(agent->vs, AGENT_PORT_CLOCK, &clock_ops,
				    NULL);
	}
}

/* ---- AGENT_PORT_READY: "ready" ---- */

/* A connection to it. */
struct report {
	struct agent *agent;
	size_t matched;		/* bytes of the text */
};

/* Refused without memory; on_close then finds nothing. */
static void ready_on_open(struct vsock_conn *conn)
{
	struct report *report = malloc(sizeof(*report));

	if (!report) {
		vsock_set_arg(conn, NULL);
		vsock_reset(conn);
		return;
	}
	report->agent = vsock_arg(conn);
	report->matched = 0;
	vsock_set_arg(conn, report);
}

/* Any process in Linux can connect here and say "ready": then the agent is
 * believed to be there, and commands that need it fail. Other text: the
 * connection is reset. The text may come in pieces, so the connection's
 * report counts. The answer, the same text, ends the agent's attempts. */
static void ready_on_data(struct vsock_conn *conn, const void *data,
			  size_t len)
{
	struct report *report = vsock_arg(conn);
	const char *text = data;

	for (size_t i = 0; report && i < len &&
	     report->matched < strlen(AGENT_READY); i++) {
		if (text[i] != AGENT_READY[report->matched]) {
			vsock_reset(conn);
			return;
		}
		report->matched++;
	}
	if (report && report->matched == strlen(AGENT_READY)) {
		linux_set_ready(report->agent->guest);
		vsock_send(conn, AGENT_READY, strlen(AGENT_READY));
		vsock_shutdown(conn, VSOCK_SHUT_SEND | VSOCK_SHUT_RCV);
	}
}

static void ready_on_close(struct vsock_conn *conn, int error)
{
	(void)error;
	free(vsock_arg(conn));
}

static const struct vsock_ops ready_ops = {
	.on_open = ready_on_open,
	.on_data = ready_on_data,
	.on_close = ready_on_close,
};

/**
 * Offers the port on which Linux reports its agent ready, and keeps both for
 * later sessions. Once for each Linux, before it starts; stays for ever. NULL
 * when there is no memory or vsock_listen() fails.
 */
struct agent *agent_new(struct guest *guest, struct vsock *vs)
{
	struct agent *agent = calloc(1, sizeof(*agent));

	if (!agent) {
		return NULL;
	}
	agent->guest = guest;
	agent->vs = vs;
	if (vsock_listen(vs, AGENT_PORT_READY, &ready_ops, agent) != 0) {
		free(agent);
		return NULL;
	}
	return agent;
}
