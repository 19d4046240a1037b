/* SPDX-License-Identifier: MIT */
/*
 * The console's commands for programs in a Linux (proto/host_commands.h), as far as
 * the manifest gives them to that Linux, which is known by its channel. Nothing of
 * what it sends is believed: a line is bounded, has no control characters, and its
 * first word must be among the manifest's.
 *
 * Two kinds. Those that only show how things are end at once: they run in the loop,
 * whatever the console does, into memory that is sent as Linux takes it; any process
 * may have them. All others take the console, when it waits for a line, as another
 * line typed there, or for a command or a shell in a Linux, whose user may be the one
 * who asks: then handlers, which bring about what that prints, have the console while
 * the loop runs. They are for Linux's root, each is a notice, and one whose output
 * nobody takes for a second is ended, so that the console is not kept.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/host_commands.h"
#include "host-bridge/agent/agent.h"
#include "host-bridge/dev/serial.h"
#include "host-bridge/guest/linux.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/rt/container.h"
#include "host-bridge/rt/notice.h"
#include "host-bridge/ui/commands.h"
#include "host-bridge/ui/console.h"
#include "host-bridge/ui/host_commands.h"
#include "host-bridge/ui/outbox.h"
#include "host-bridge/vsock/vsock.h"

#define DEFAULT_WORDS	"status memory disk net top help"
#define SESSIONS	4u		/* of one Linux */
#define STALL_MS	1000u
#define CTRL_BRACKET	29
/* So much may wait before a command pauses; what it prints at most, all the same. */
#define BUSY		(32u << 10)

enum session_state { READING, WAITING, RUNNING, DONE };

struct session {
	struct session *next;		/* of those that wait for the console */
	struct host_commands *of;
	struct vsock_conn *conn;	/* NULL: it is gone */
	enum session_state state;
	char line[HOST_COMMANDS_LINE];
	size_t len;
	struct outbox out;
	bool stalled;
	bool within;			/* goes_within() */
	bool kept;			/* of host_commands_show(): no conn, all is */
	struct loop_timer timer;	/* RUNNING: Linux takes nothing */
};

struct host_commands {
	const struct command_env *env;
	const char *words;
	bool closed;
	struct host_commands_status status;
};

/* Whose output it is that is printed; NULL: nobody's here. */
static struct session *printing;
/* Those for the console, in the order in which they came; the one that runs is off
 * the list. */
static struct session *waiting, *running;

/* ---- What a Linux may have ---- */

/* Those that end at once and change nothing, in these forms. */
static bool only_shows(int argc, char *const *argv)
{
	static const struct {
		const char *name, *args;	/* args: or none */
	} forms[] = {
		{ "status", "--json" }, { "memory", "--json" },
		{ "disk", "--json" }, { "net", "--json" }, { "net", "ports" },
		{ "channel", "" }, { "pci", "" }, { "vdisk", "" },
	};

	if (strcmp(argv[0], "help") == 0 || (argc > 1 &&
	    strcmp(argv[0], "top") == 0 && strcmp(argv[1], "--once") == 0)) {
		return true;
	}
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (strcmp(argv[0], forms[i].name) == 0 && (argc == 1 ||
		    (argc == 2 && strcmp(argv[1], forms[i].args) == 0))) {
			return true;
		}
	}
	return false;
}

/* Those of which a Linux can have no other form: the rest is for who is at the
 * console. */
static bool shows_at_most(const char *name)
{
	static const char *const names[] = {
		"status", "memory", "disk", "net", "channel", "pci", "vdisk",
		"top",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(name, names[i]) == 0) {
			return true;
		}
	}
	return false;
}

/* Those that end by themselves and use no agent: others have an agent already, which
 * has one user at a time. */
static bool goes_within(const char *name)
{
	static const char *const names[] = {
		"cp", "mv", "rm", "mkdir", "ls", "cat", "sync", "fsck", "log",
		"ping", "resolve", "sample",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(name, names[i]) == 0) {
			return true;
		}
	}
	return false;
}

/* Whether the console can be had for it. */
static bool console_free(const char *name)
{
	return console_waits() ||
	       (!running && agent_waits() && goes_within(name));
}

static bool among(const char *words, const char *name)
{
	size_t len = strlen(name);

	for (; *words; words += strspn(words, " ")) {
		size_t n = strcspn(words, " ");

		if (n == len && memcmp(words, name, len) == 0) {
			return true;
		}
		words += n;
	}
	return false;
}

/* ---- Output ---- */

static size_t waits_in(const struct session *s)
{
	const uint8_t *data;

	return outbox_rest(&s->out, &data);
}

/* Sends what there is; the end of it is the connection's. */
static void send_out(struct session *s)
{
	const uint8_t *data;
	size_t len = 0, sent;

	while (s->conn && (len = outbox_rest(&s->out, &data)) > 0 &&
	       (sent = vsock_send(s->conn, data, len)) > 0) {
		outbox_sent(&s->out, sent);
		if (s->state == RUNNING) {
			loop_timer_cancel(&s->timer);
		}
	}
	if (s->conn && len == 0 && s->state == DONE) {
		vsock_shutdown(s->conn, VSOCK_SHUT_SEND | VSOCK_SHUT_RCV);
	}
}

static void on_stall(struct loop_timer *timer)
{
	struct session *s = CONTAINER(timer, struct session, timer);

	s->stalled = true;
	serial_drained(SERIAL_CONSOLE);
}

/* The console's text; LF came as CR LF, which a terminal wants and nobody here. */
static void write_bytes(const void *data, size_t len)
{
	struct session *s = printing;
	bool crlf = len == 2 && memcmp(data, "\r\n", 2) == 0;

	outbox_frame(&s->out, AGENT_STDOUT, crlf ? "\n" : data,
		     crlf ? 1 : len);
	if (s == running) {
		send_out(s);
	}
}

/* Nobody types: who waits for keys is told to end. */
static int read_byte(void)
{
	return CTRL_BRACKET;
}

/* Ctrl-c, when nobody wants the output any more. */
static bool typed(uint8_t byte)
{
	(void)byte;
	return (!printing->conn && !printing->kept) || printing->stalled;
}

static bool busy(void)
{
	struct session *s = printing;

	if (!s->conn || s->stalled || waits_in(s) <= BUSY) {
		return false;
	}
	if (s->timer.deadline == 0) {
		loop_timer_set(&s->timer, STALL_MS, on_stall);
	}
	return true;
}

static void drop(void)
{
}

static const struct serial_other session_serial = {
	.write = write_bytes, .read = read_byte, .typed = typed, .busy = busy,
	.drop = drop,
};

/* ---- Lines ---- */

static void put_exit(struct session *s, uint32_t status)
{
	outbox_frame(&s->out, AGENT_EXIT, &status, sizeof(status));
	s->state = DONE;
}

static void refuse(struct session *s, uint32_t status, const char *name,
		   const char *why)
{
	char text[400];
	int len = snprintf(text, sizeof(text), "%.32s: %s\n", name, why);

	s->of->status.refused++;
	outbox_frame(&s->out, AGENT_STDERR, text, (size_t)len);
	put_exit(s, status);
}

/* It has run. */
static void finish(struct session *s)
{
	bool cut = s->stalled || s->out.lost;

	if (cut) {
		static const char why[] = "host: the output was cut short\n";

		outbox_frame(&s->out, AGENT_STDERR, why, sizeof(why) - 1);
	}
	put_exit(s, cut || !s->conn || commands_failed() ?
		 HOST_COMMANDS_FAILED : 0);
}

/* One that ends at once, in the loop. */
static void run(struct session *s)
{
	struct session *before = printing;
	const struct serial_other *was;

	s->of->status.run++;
	fflush(stdout);
	printing = s;
	was = serial_divert(&session_serial);
	commands_run(s->of->env, s->line);
	fflush(stdout);
	(void)serial_divert(was);
	printing = before;
	finish(s);
}

/* Behind the others that wait. */
static void wait_for_console(struct session *s)
{
	struct session **at = &waiting;

	while (*at) {
		at = &(*at)->next;
	}
	s->next = NULL;
	*at = s;
	s->state = WAITING;
	loop_turn();
}

/* Characters only, in UTF-8: it will be shown to people. */
static bool is_text(const struct session *s)
{
	size_t n;

	for (size_t at = 0; at < s->len - 1; at += n) {
		n = words_visible(s->line + at, s->len - 1 - at);
		if (n == 0) {
			return false;
		}
	}
	return true;
}

/* Its line is there. What is refused is so in words. */
static void decide(struct session *s)
{
	struct host_commands *hc = s->of;
	char copy[HOST_COMMANDS_LINE];
	char *words[WORDS_MAX];
	int count;

	snprintf(copy, sizeof(copy), "%s", s->line);
	count = is_text(s) ? words_split(copy, words) : -1;
	if (count < 1) {
		refuse(s, HOST_COMMANDS_REFUSED, "host", "that is no line for "
		       "the console: nothing, too many words, a quote that is "
		       "not closed, or what nobody can type");
	} else if (hc->closed || !among(hc->words, words[0])) {
		char why[300];

		snprintf(why, sizeof(why), "not among the host's commands for "
			 "this Linux: %.200s", hc->closed ? "none" : hc->words);
		refuse(s, HOST_COMMANDS_REFUSED, words[0], why);
	} else if (!commands_known(words[0])) {
		refuse(s, HOST_COMMANDS_UNKNOWN, words[0],
		       "no such command of the host's");
	} else if (only_shows(count, words)) {
		run(s);
	} else if (shows_at_most(words[0])) {
		refuse(s, HOST_COMMANDS_REFUSED, words[0],
		       "not in this form from a Linux");
	} else if (!s->conn) {
		refuse(s, HOST_COMMANDS_REFUSED, words[0],
		       "not over a socket, but by isthmus");
	} else if (vsock_peer_port(s->conn) >= HOST_COMMANDS_RIGHT) {
		refuse(s, HOST_COMMANDS_REFUSED, words[0],
		       "only for root in this Linux");
	} else if (!console_free(words[0])) {
		refuse(s, HOST_COMMANDS_BUSY, words[0],
		       "the host's console does another command; try again");
	} else {
		s->within = goes_within(words[0]);
		wait_for_console(s);
	}
}

/* Takes what has come of the line; its end is cut off. False: it is too long, or goes
 * on behind its end. */
static bool take_line(struct session *s, const uint8_t *data, size_t len)
{
	const uint8_t *end = memchr(data, '\n', len);

	if (len > sizeof(s->line) - s->len || (end && end + 1 != data + len)) {
		return false;
	}
	memcpy(s->line + s->len, data, len);
	s->len += len;
	if (end) {
		s->line[s->len - 1] = '\0';
	}
	return end || s->len < sizeof(s->line);
}

static void on_data(struct vsock_conn *conn, const void *data, size_t len)
{
	struct session *s = vsock_arg(conn);

	if (!s || s->state != READING || !take_line(s, data, len)) {
		vsock_reset(conn);
		return;
	}
	if (((const char *)data)[len - 1] == '\n') {
		decide(s);
		send_out(s);
	}
}

static void on_writable(struct vsock_conn *conn)
{
	struct session *s = vsock_arg(conn);

	if (s) {
		send_out(s);
		if (s == running && waits_in(s) <= BUSY) {
			serial_drained(SERIAL_CONSOLE);
		}
	}
}

/* A session that is one too many is reset. */
static void on_open(struct vsock_conn *conn)
{
	struct host_commands *hc = vsock_arg(conn);
	struct session *s = NULL;

	/* on_close comes for a refused one too, and must find nothing. */
	vsock_set_arg(conn, NULL);
	if (hc->status.sessions < SESSIONS) {
		s = calloc(1, sizeof(*s));
	}
	if (!s) {
		hc->status.refused++;
		vsock_reset(conn);
		return;
	}
	s->of = hc;
	s->conn = conn;
	hc->status.sessions++;
	vsock_set_arg(conn, s);
}

/* A peer that sends no more may still listen. */
static void on_shutdown(struct vsock_conn *conn, unsigned flags)
{
	const struct session *s = vsock_arg(conn);

	if ((flags & VSOCK_SHUT_RCV) != 0 || !s || s->state == READING) {
		vsock_shutdown(conn, VSOCK_SHUT_SEND | VSOCK_SHUT_RCV);
	}
}

static void end(struct session *s)
{
	loop_timer_cancel(&s->timer);
	s->of->status.sessions--;
	outbox_free(&s->out);
	free(s);
}

/* One whose command runs ends with that, which is told by typed(). */
static void on_close(struct vsock_conn *conn, int error)
{
	struct session *s = vsock_arg(conn);
	struct session **at = &waiting;

	(void)error;
	if (!s) {
		return;
	}
	s->conn = NULL;
	if (s->state == RUNNING) {
		serial_drained(SERIAL_CONSOLE);
		return;
	}
	while (*at && *at != s) {
		at = &(*at)->next;
	}
	if (*at) {
		*at = s->next;
	}
	end(s);
}

static const struct vsock_ops service_ops = {
	.on_open = on_open, .on_data = on_data, .on_writable = on_writable,
	.on_shutdown = on_shutdown, .on_close = on_close, .reads_once = true,
	.credit = 4096,
};

/** See host_commands.h. Before the Linux is started. */
int host_commands_new(const struct command_env *env, const char *words,
		      struct host_commands **out)
{
	struct host_commands *hc = calloc(1, sizeof(*hc));
	int error = ENOMEM;

	if (hc) {
		hc->env = env;
		hc->words = words ? words : DEFAULT_WORDS;
		error = vsock_listen(env->vsock, HOST_COMMANDS_PORT,
				     &service_ops, hc);
	}
	if (error != 0) {
		free(hc);
		return error;
	}
	*out = hc;
	return 0;
}

/** See host_commands.h. */
void host_commands_show(struct host_commands *hc, const char *line, size_t len,
			struct outbox *out)
{
	struct session s = { .of = hc, .len = len + 1, .kept = true };

	memcpy(s.line, line, len);
	decide(&s);
	outbox_text(&s.out);
	*out = s.out;
}

/** See host_commands.h. Until it is told again. */
void host_commands_reach(struct host_commands *hc, bool any)
{
	if (hc) {
		hc->closed = !any;
	}
}

/** See host_commands.h. */
void host_commands_get_status(const struct host_commands *hc,
			      struct host_commands_status *status)
{
	*status = hc->status;
}

/* console_remote.line: the next that waits for the console. */
static bool next_line(char *line, size_t size)
{
	struct session *s = waiting;

	if (!s) {
		return false;
	}
	waiting = s->next;
	running = printing = s;
	s->state = RUNNING;
	s->of->status.run++;
	notice("%s: host command: %s", s->of->env->guest->want->title, s->line);
	snprintf(line, size, "%s", s->line);
	return true;
}

/* console_remote.done */
static void line_done(void)
{
	struct session *s = running;

	running = printing = NULL;
	loop_timer_cancel(&s->timer);
	finish(s);
	if (s->conn) {
		send_out(s);
	} else {
		end(s);
	}
}

static struct console_remote remote = {
	.line = next_line, .done = line_done, .serial = &session_serial,
};

/* While handlers run the console is whose it was. */
static const struct serial_other *outer;

static void put_aside(void)
{
	fflush(stdout);
	(void)serial_divert(outer);
}

static void take_up(void)
{
	fflush(stdout);
	outer = serial_divert(&session_serial);
}

/* agent_on_wait: the next runs within the command that waits for a Linux. */
static void run_within(void)
{
	char line[HOST_COMMANDS_LINE];

	if (running || !waiting || !waiting->within ||
	    !next_line(line, sizeof(line))) {
		return;
	}
	take_up();
	loop_around(put_aside, take_up);
	commands_run(running->of->env->all, line);
	loop_around(NULL, NULL);
	put_aside();
	line_done();
}

/** See host_commands.h. */
void host_commands_serve(void)
{
	console_add_remote(&remote);
	agent_on_wait(run_within);
}
