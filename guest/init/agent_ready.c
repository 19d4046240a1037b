/* SPDX-License-Identifier: MIT */
/*
 * Tells the host that Linux is up: a connection says so, and is over when the
 * host has answered. If none can be made, because nobody listens there yet or
 * the channel is down, or it breaks before the answer, another is made, a second
 * later, for as long as it takes. Nothing here waits: the caller's poll() does.
 * No connection stays: it would keep the channel driver loaded.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "init.h"

#define RETRY_MS	1000

static const char text[] = AGENT_READY;

static void try_connect(struct agent_ready *r)
{
	r->said = false;
	r->sock = socket(r->host.ss_family, SOCK_STREAM | SOCK_CLOEXEC |
			 SOCK_NONBLOCK, 0);
	if (r->sock >= 0 &&
	    connect(r->sock, (struct sockaddr *)&r->host, r->len) &&
	    errno != EINPROGRESS) {
		int error = errno;

		close(r->sock);
		r->sock = -1;
		errno = error;
	}
	/* Once is enough: the host may be away for long. */
	if (r->sock < 0 && !r->complained) {
		init_log("agent: cannot tell the host yet: %s",
			 strerror(errno));
		r->complained = true;
	}
}

/**
 * Begins to tell the host, at its address; then agent_ready_poll() and
 * agent_ready_step() go on.
 */
void agent_ready_init(struct agent_ready *r, const void *host, socklen_t len)
{
	*r = (struct agent_ready){ .len = len };
	memcpy(&r->host, host, len);
	try_connect(r);
}

/** What is waited for now: fills *p, and returns poll()'s timeout. */
int agent_ready_poll(const struct agent_ready *r, struct pollfd *p)
{
	*p = (struct pollfd){ .fd = r->sock,
			      .events = r->said ? POLLIN : POLLOUT };
	return r->sock < 0 && !r->done ? RETRY_MS : -1;
}

/**
 * Goes on after poll(), whatever ended it, p as it left it. Without a
 * connection each call tries to make one, until the host has answered.
 */
void agent_ready_step(struct agent_ready *r, const struct pollfd *p)
{
	char answer[sizeof(text)];
	ssize_t n;

	if (r->done) {
		return;
	}
	if (r->sock < 0) {
		try_connect(r);
		return;
	}
	if (p->revents == 0) {
		return;
	}
	/* A connection that was refused says so here. The text fits in any
	 * buffer. */
	n = r->said ? recv(r->sock, answer, sizeof(answer), 0) :
		      send(r->sock, text, sizeof(text) - 1, MSG_NOSIGNAL);
	if (n > 0 && !r->said) {
		r->said = true;
	} else if (n >= 0 || errno != EAGAIN) {
		r->done = n > 0;
		close(r->sock);
		r->sock = -1;
	}
}
