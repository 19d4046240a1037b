/* SPDX-License-Identifier: MIT */
/*
 * One session of the control protocol, in a process of its own: reads the
 * request, has the command or the shell started, and relays bytes both ways until
 * it ends. Input that the command does not take waits, as much as a client may send
 * ahead and no more; of output there is one frame. So memory is bounded, and a
 * client that keeps to its window is always heard.
 *
 * The client is the host: it may run anything anyhow, and its frames are
 * checked so that a mistake ends its session and nothing else. The command is
 * not trusted to end, to read or to close its streams.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"
#include "init.h"

#define TTY_EOF		0x04	/* control-D: end of file typed at a tty */
#define TTY_PIECE	256u	/* of a tty's output: what ctrl-c cannot stop */
#define TTY_HELD	4095u	/* in a tty when it is full [n_tty.c] */
#define IN_MAX		(2 * AGENT_STDIN_WINDOW)
#define TAKEN_STEP	(AGENT_STDIN_WINDOW / 4)	/* told at once */

/* Indices in the table for poll(): client, two outputs, input, news of the
 * command. */
enum { FD_SOCK, FD_OUT, FD_ERR, FD_IN, FD_CHILD, FD_COUNT };

/* One in each process: static, with all its buffers. */
struct session {
	int sock;
	int out[2];		/* the command's stdout, stderr; -1: ended */
	int in;			/* the command's stdin; -1: closed */
	int child;		/* SIGCHLD; -1: the command has ended */
	pid_t pid;
	bool tty;		/* in and out[0] are one pty master */
	bool dropped;		/* it has dropped what it had, but for TTY_HELD */
	uint32_t status;	/* of EXIT */
	size_t in_at, in_len;	/* of in_buf: what the command has not taken */
	bool in_ended;		/* nothing follows that */
	size_t taken;		/* bytes that the client has not been told of */
	/* One frame on its way to the client; while out_len is not 0 nothing
	 * more is read of the command. */
	size_t out_len, out_sent;
	struct agent_parser parser;
	uint8_t out_buf[AGENT_HEADER + AGENT_PAYLOAD_MAX];
	uint8_t in_buf[IN_MAX];
};

/**
 * Reads exactly len bytes, waiting for them; false at end of file or on an
 * error, and then some may have been read.
 */
bool agent_read_full(int fd, void *buf, size_t len)
{
	uint8_t *p = buf;

	while (len > 0) {
		ssize_t n = read(fd, p, len);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			return false;
		}
		p += n;
		len -= (size_t)n;
	}
	return true;
}

/**
 * Sends all of buf on a socket, waiting for room; false if the peer has gone.
 * No SIGPIPE.
 */
bool agent_write_full(int fd, const void *buf, size_t len)
{
	const uint8_t *p = buf;

	while (len > 0) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			return false;
		}
		p += n;
		len -= (size_t)n;
	}
	return true;
}

/* A whole frame, waiting; for use outside the relay only. A client that has
 * gone is not told anything, nor is anybody else. */
static void send_frame(int sock, enum agent_type type, const void *data,
		       uint32_t len)
{
	uint8_t header[AGENT_HEADER];

	agent_frame_header(header, type, len);
	if (agent_write_full(sock, header, sizeof(header))) {
		agent_write_full(sock, data, len);
	}
}

/* Ends the session, in words for the user. */
static void send_error(int sock, const char *text)
{
	send_frame(sock, AGENT_ERROR, text, (uint32_t)strlen(text));
}

static void send_exit(int sock, uint32_t status)
{
	uint8_t le[4];

	agent_put_le32(le, status);
	send_frame(sock, AGENT_EXIT, le, sizeof(le));
}

/* Of what is done at once: 0, or what went wrong. */
static void send_result(int sock, int error)
{
	if (error) {
		send_error(sock, strerror(error));
	} else {
		send_exit(sock, 0);
	}
}

/* A child has neither a disk of its template's nor what was open on the host's volume:
 * no root for a distribution that runs. */
static void freeze(int sock)
{
	if (distro_seconds() > 0) {
		send_error(sock, "a distribution runs, or is being changed; no "
			   "child could have it: \"distro stop\" ends it");
	} else {
		send_result(sock, agent_freeze());
	}
}

/* End of file for the command; what it has not taken nobody will. A pty's master
 * stays open for its output. */
static void close_in(struct session *s)
{
	if (s->in >= 0 && !s->tty) {
		close(s->in);
	}
	s->in = -1;
	s->taken += s->in_len;
	s->in_len = 0;
}

/* A frame of STDIN waits for the command; false: there is no room yet. One that is
 * empty is the end, which at a tty is a key. */
static bool take_input(struct session *s, const struct agent_frame *f)
{
	static const uint8_t tty_eof = TTY_EOF;
	bool key = f->length == 0 && s->tty;
	size_t len = key ? 1 : f->length;

	if (s->in < 0 || s->in_ended) {
		s->taken += f->length;
		return true;	/* nobody reads it: dropped */
	}
	if (len > IN_MAX - s->in_len) {
		return false;
	}
	if (len > IN_MAX - s->in_at - s->in_len) {
		memmove(s->in_buf, s->in_buf + s->in_at, s->in_len);
		s->in_at = 0;
	}
	memcpy(s->in_buf + s->in_at + s->in_len, key ? &tty_eof : f->payload,
	       len);
	s->in_len += len;
	s->in_ended = len == 0;
	return true;
}

/* Gives the command what it takes of what waits for it. */
static void give_input(struct session *s)
{
	while (s->in >= 0 && s->in_len > 0) {
		/* O_NONBLOCK: takes what there is room for. */
		ssize_t n = write(s->in, s->in_buf + s->in_at, s->in_len);

		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			return;
		}
		/* It has closed its input: EPIPE. Its output still counts. */
		if (n < 0) {
			close_in(s);
			return;
		}
		s->in_at += (size_t)n;
		s->in_len -= (size_t)n;
		s->taken += (size_t)n;
	}
	if (s->in_ended) {
		close_in(s);
	}
	s->in_at = 0;
}

static void set_window(struct session *s, const uint8_t *payload)
{
	struct winsize size = {
		.ws_row = agent_get_le16(payload),
		.ws_col = agent_get_le16(payload + 2),
	};

	if (s->tty && s->out[0] >= 0) {
		ioctl(s->out[0], TIOCSWINSZ, &size);
	}
}

/* To who is before the terminal, else to the command's group; it may not have made
 * that one yet. */
static void send_signal(struct session *s, int number)
{
	pid_t group = s->tty && s->out[0] >= 0 ? tcgetpgrp(s->out[0]) : 0;

	if (kill(group > 0 ? -group : -s->pid, number) && s->child >= 0) {
		kill(s->pid, number);
	}
}

/* Uses the frame at the head of the parser. False: it has to wait. */
static bool use_frame(struct session *s, const struct agent_frame *f)
{
	if (f->type == AGENT_WINDOW) {
		set_window(s, f->payload);
	} else if (f->type == AGENT_SIGNAL) {
		send_signal(s, f->payload[0]);
	} else {
		return take_input(s, f);
	}
	return true;
}

/* Uses every whole frame there is, as far as there is room for them. False: the
 * client broke the protocol. */
static bool use_frames(struct session *s)
{
	struct agent_frame f;
	enum agent_parse parse;

	while ((parse = agent_parse_frame(&s->parser, &f)) ==
	       AGENT_PARSE_FRAME && use_frame(s, &f)) {
		agent_parser_drop(&s->parser, &f);
	}
	return parse != AGENT_PARSE_BAD;
}

/* Takes what the client sent, without waiting. False: it has gone. */
static bool receive(struct session *s)
{
	uint8_t *where;
	size_t room = agent_parser_room(&s->parser, &where);
	ssize_t n = recv(s->sock, where, room, MSG_DONTWAIT);

	if (n < 0) {
		return errno == EAGAIN || errno == EINTR;
	}
	s->parser.have += (size_t)n;
	return n > 0;
}

/* A frame of type with len bytes, which are in out_buf already. */
static void put_frame(struct session *s, enum agent_type type, size_t len)
{
	agent_frame_header(s->out_buf, type, (uint32_t)len);
	s->out_len = AGENT_HEADER + len;
	s->out_sent = 0;
}

/* Whether there is enough that the client has to be told of, and room for it. */
static bool owes_taken(const struct session *s)
{
	return s->taken >= TAKEN_STEP && s->out_len == 0;
}

static void put_taken(struct session *s)
{
	agent_put_le32(s->out_buf + AGENT_HEADER, (uint32_t)s->taken);
	put_frame(s, AGENT_TAKEN, 4);
	s->taken = 0;
}

/* When a tty drops its output for a key, what had come as far as to be read stays:
 * how many of these bytes, which are all, are older than the key. It is echoed
 * behind them; where there was no room for that, all are. */
static size_t older(const uint8_t *data, size_t len)
{
	for (size_t i = len; i-- > 1;) {
		if (data[i - 1] == '^' && memchr("C\\Z", data[i], 3)) {
			return i - 1;
		}
	}
	return len >= TTY_HELD ? len : 0;
}

/* Makes a frame of n bytes at out_buf's payload, and what is in front of them, of a
 * tty: its news, 0, and its output, or its news alone. What the tty has dropped, the
 * host drops, too; of its other news nobody wants to know. */
static void put_tty(struct session *s, size_t n)
{
	uint8_t *at = s->out_buf + AGENT_HEADER, news = at[-1];
	size_t skip = s->dropped ? older(at, n) : 0;

	if (n > skip && news == TIOCPKT_DATA) {
		memmove(at, at + skip, n - skip);
		put_frame(s, AGENT_STDOUT, n - skip);
	} else if (news & TIOCPKT_FLUSHWRITE) {
		put_frame(s, AGENT_FLUSH, 0);
	}
	s->dropped = news & TIOCPKT_FLUSHWRITE;
}

/* Makes a frame of what a stream of the command has. At its end, or, once the
 * command is dead, when it is empty, the stream is over: what a process it left
 * in the background writes later is lost. Only when out_buf is free. */
static void collect(struct session *s, int stream)
{
	/* A tty's news is where the header ends. */
	uint8_t *at = s->out_buf + AGENT_HEADER - s->tty;
	ssize_t n = read(s->out[stream], at, s->tty && !s->dropped ?
			 TTY_PIECE : AGENT_PAYLOAD_MAX);

	if (n > 0 && s->tty) {
		put_tty(s, (size_t)n - 1);
	} else if (n > 0) {
		put_frame(s, stream ? AGENT_STDERR : AGENT_STDOUT, (size_t)n);
	/* A pty's end is EIO, when the last process has closed it. */
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR) ||
		   s->child < 0) {
		if (s->tty) {
			s->in = -1;
		}
		close(s->out[stream]);
		s->out[stream] = -1;
	}
}

/* Sends what is waiting for the client. False: it has gone. */
static bool transmit(struct session *s)
{
	ssize_t n = send(s->sock, s->out_buf + s->out_sent,
			 s->out_len - s->out_sent,
			 MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0) {
		return errno == EAGAIN || errno == EINTR;
	}
	s->out_sent += (size_t)n;
	if (s->out_sent == s->out_len) {
		s->out_len = s->out_sent = 0;
	}
	return true;
}

/* SIGCHLD: if the command is dead, and not only stopped, its status, as a shell
 * would say. It stays a zombie until this process ends, so that no other gets
 * its number: relay() may send a signal there. */
static void take_status(struct session *s)
{
	struct signalfd_siginfo news;
	siginfo_t info = { 0 };

	(void)!read(s->child, &news, sizeof(news));
	if (waitid(P_PID, (id_t)s->pid, &info,
		   WEXITED | WNOWAIT | WNOHANG) || info.si_pid == 0) {
		return;
	}
	s->status = (uint32_t)info.si_status +
		    (info.si_code == CLD_EXITED ? 0 : 128);
	close(s->child);
	s->child = -1;
}

/* What is waited for follows from what could be used now. */
static void prepare_poll(const struct session *s, struct pollfd *p)
{
	struct agent_frame f;
	/* A whole frame for which there is no room: no more is read from the
	 * client, only its going is noticed. */
	bool stuck = agent_parse_frame(&s->parser, &f) == AGENT_PARSE_FRAME;
	bool sending = s->out_len > 0;

	p[FD_SOCK] = (struct pollfd){ .fd = s->sock, .events =
		(short)((stuck ? POLLRDHUP : POLLIN) |
			(sending ? POLLOUT : 0)) };
	for (int i = 0; i < 2; i++) {
		p[FD_OUT + i] = (struct pollfd){
			.fd = sending ? -1 : s->out[i], .events = POLLIN };
	}
	/* Writable is of interest only while something waits to be written. */
	p[FD_IN] = (struct pollfd){ .fd = s->in_len > 0 ? s->in : -1,
				    .events = POLLOUT };
	p[FD_CHILD] = (struct pollfd){ .fd = s->child, .events = POLLIN };
}

/* One round of the relay: waits, then a step of each kind. False: the client
 * has gone, or broke the protocol. */
static bool relay_once(struct session *s)
{
	struct pollfd p[FD_COUNT];
	bool dead = s->child < 0 && s->out_len == 0;

	prepare_poll(s, p);
	/* A dead command's streams are emptied without waiting for more. */
	if (poll(p, FD_COUNT, dead || owes_taken(s) ? 0 : -1) < 0) {
		return errno == EINTR;
	}
	/* Its going counts more than what it may still have sent. */
	if (p[FD_SOCK].revents & (POLLERR | POLLHUP | POLLRDHUP) ||
	    ((p[FD_SOCK].revents & POLLIN) && !receive(s))) {
		return false;
	}
	if (p[FD_CHILD].revents) {
		take_status(s);
	}
	if (!use_frames(s)) {
		return false;
	}
	give_input(s);
	if (owes_taken(s)) {
		put_taken(s);
	}
	for (int i = 0; i < 2; i++) {
		if (s->out_len == 0 && s->out[i] >= 0 &&
		    (p[FD_OUT + i].revents || s->child < 0)) {
			collect(s, i);
		}
	}
	return s->out_len == 0 || transmit(s);
}

/* Relays until the command is dead and its output delivered, then sends EXIT. A
 * client that goes first: SIGHUP for the command's process group, as when a
 * terminal is lost; who ignores it lives on. */
static void relay(struct session *s)
{
	fcntl(s->in, F_SETFL, O_NONBLOCK);
	fcntl(s->out[0], F_SETFL, O_NONBLOCK);
	if (s->out[1] >= 0) {
		fcntl(s->out[1], F_SETFL, O_NONBLOCK);
	}
	while (s->child >= 0 || s->out[0] >= 0 || s->out[1] >= 0 ||
	       s->out_len > 0) {
		if (!relay_once(s)) {
			kill(-s->pid, SIGHUP);
			return;
		}
	}
	send_exit(s->sock, s->status);
}

/* For poll(): the death of a child as a descriptor, without a handler. Before
 * there is a child: without this its end would not be seen. -1 with errno. */
static int watch_children(void)
{
	sigset_t chld;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	return signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* EXEC, WATCH or SHELL. Why it could not be started is told in an ERROR frame. */
static void run(int sock, const struct agent_request *req)
{
	/* Zero, as it has no other use in this process: its buffers are not
	 * touched before they are needed. */
	static struct session s;
	char words[AGENT_WORDS_MAX];
	struct agent_child child;

	s.sock = sock;
	s.tty = req->tty;
	s.child = watch_children();
	if (s.child < 0) {
		send_error(sock, strerror(errno));
	} else if (!agent_start(req, sock, &child, words)) {
		send_error(sock, words);
	} else {
		s.pid = child.pid;
		s.in = child.in;
		s.out[0] = child.out;
		s.out[1] = child.err;
		/* When Linux shuts down all are asked to end. A session ends
		 * with its command, which else would lose its terminal while
		 * it still obeys. */
		signal(SIGTERM, SIG_IGN);
		relay(&s);
	}
}

/* What ends the Linux of this PID 1: ours, or busybox', or systemd, whose signals
 * are counted from glibc's SIGRTMIN. [systemd(1) "SIGNALS"] */
static int stop_signal(bool again)
{
	if (access("/run/systemd/system", F_OK) == 0) {
		return 34 + (again ? 5 : 4);
	}
	return again ? INIT_SIG_REBOOT : INIT_SIG_POWEROFF;
}

/**
 * Serves one client on a connected socket; returns when the session is over and
 * leaves the socket open. To be called in a process of its own: the command
 * becomes its child. Every request that was read gets one EXIT or ERROR frame,
 * unless the client goes before.
 */
void agent_session(int sock)
{
	static char text[AGENT_REQUEST_MAX + 1];
	struct agent_request req;
	uint8_t le[4];
	uint32_t len;

	signal(SIGPIPE, SIG_IGN);
	if (!agent_read_full(sock, le, sizeof(le))) {
		return;
	}
	len = agent_get_le32(le);
	/* Not read any further: the stream's rest has no frame to begin at. */
	if (len > AGENT_REQUEST_MAX) {
		send_error(sock, "the request is too long");
		return;
	}
	if (!agent_read_full(sock, text, len)) {
		return;
	}
	text[len] = '\0';
	agent_parse_request(text, len, &req);
	switch (req.verb) {
	case AGENT_VERB_BAD:
		send_error(sock, req.error);
		break;
	case AGENT_VERB_PING:
		send_exit(sock, 0);
		break;
	case AGENT_VERB_POWEROFF:
	case AGENT_VERB_REBOOT:
		send_exit(sock, distro_seconds());
		/* After the answer: PID 1 ends this process among the first. */
		kill(1, stop_signal(req.verb == AGENT_VERB_REBOOT));
		break;
	case AGENT_VERB_FREEZE:
		freeze(sock);
		break;
	case AGENT_VERB_FORK:
		send_result(sock, agent_fork(req.name, req.seed, req.net));
		break;
	case AGENT_VERB_MOUNT:
		send_result(sock, agent_mount());
		break;
	case AGENT_VERB_EXEC:
	case AGENT_VERB_WATCH:
	case AGENT_VERB_SHELL:
		run(sock, &req);
		break;
	}
}
