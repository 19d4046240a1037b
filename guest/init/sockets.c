/* SPDX-License-Identifier: MIT */
/*
 * The process that has sockets under /mnt/host passed to and from other Linuxes, in a
 * Linux that may have them by the manifest: the host's word on the command line says
 * so. It hears from the host what to watch, what to stand in for and whom to connect
 * to, and has a process of its own for each connection. docs/sockets.md
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"
#include "init.h"
#include "sockets.h"

#define NAME		"isthmus-sockets"
#define AGAIN_S		60u	/* between two tries, at most */
/* Clients at a time: less than the host allows, whom what is passed counts, too. */
#define CLIENTS_MAX	40u
#define FULL_MS		50	/* until one may have gone */
#define FILES_MAX	8192u
#define CONNECT_S	5

static int control = -1;
static pid_t clients[CLIENTS_MAX];
static unsigned client_count;
static bool wanted;

/* In a process of a connection's: what only the first one may hold open. */
static void let_go(void)
{
	close(control);
	sockets_stand_end();
	sockets_watch_end();
}

/* ---- Connections ---- */

/* A client of a socket that this stands in for: the server's user is whose bytes he
 * gets. */
static void serve_client(int s, const struct sockets_open *offer)
{
	struct sockets_open open = { .node = offer->node };
	struct ucred who;
	socklen_t len = sizeof(who);
	int vsock;

	let_go();
	if (getsockopt(s, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0) {
		return;
	}
	open.node.number = 0;
	open.uid = who.uid;
	open.gid = who.gid;
	vsock = sockets_host();
	if (vsock >= 0 &&
	    sockets_send(vsock, SOCKETS_OPEN, &open, sizeof(open))) {
		sockets_speak_as(offer->uid, offer->gid);
		sockets_relay(s, vsock);
	}
}

static void take_client(unsigned i)
{
	struct sockets_open offer;
	int s = accept4(sockets_stand_fd(i, &offer), NULL, NULL, SOCK_CLOEXEC);
	pid_t pid;

	if (s < 0) {
		return;
	}
	pid = fork();
	if (pid == 0) {
		serve_client(s, &offer);
		_exit(0);
	}
	if (pid > 0) {
		clients[client_count++] = pid;
	}
	close(s);
}

/* As that user, to a socket of this Linux's. -1 with errno. */
static int connect_as(int inode, const struct sockets_open *ask)
{
	const struct timeval limit = { .tv_sec = CONNECT_S };
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, (int)ask->node.type | SOCK_CLOEXEC, 0);
	int error = 0;

	snprintf(to.sun_path, sizeof(to.sun_path), "/proc/self/fd/%d", inode);
	setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (!sockets_become(ask->uid, ask->gid)) {
		error = EPERM;
	} else if (connect(s, (struct sockaddr *)&to, sizeof(to)) != 0) {
		error = errno;
	}
	sockets_be_root();
	if (error != 0) {
		close(s);
		errno = error;
		return -1;
	}
	return s;
}

/* A client of another Linux's, for a socket of this one. */
static void serve_server(const struct sockets_open *ask)
{
	struct sockets_accept answer = { .token = ask->token };
	int inode = sockets_watch_fd(ask->node.nodeid), vsock;
	int s = -1;

	errno = ECONNREFUSED;
	if (inode >= 0) {
		s = connect_as(inode, ask);
	}
	answer.error = s < 0 ? (uint32_t)errno : 0;
	let_go();
	vsock = sockets_host();
	if (vsock >= 0 &&
	    sockets_send(vsock, SOCKETS_ACCEPT, &answer, sizeof(answer)) &&
	    s >= 0) {
		sockets_speak_as(ask->uid, ask->gid);
		sockets_relay(s, vsock);
	}
}

/* ---- The host's words ---- */

static void obey(uint32_t type, const uint8_t *body, size_t len)
{
	struct sockets_open open = { .node = { .nodeid = 0 } };
	size_t least = type == SOCKETS_OFFER || type == SOCKETS_CONNECT
		       ? sizeof(open) : sizeof(open.node);

	if (len < least) {
		return;
	}
	memcpy(&open, body, least);
	switch (type) {
	case SOCKETS_WATCH:
		sockets_watch(&open.node, (const char *)body + least,
			      len - least);
		break;
	case SOCKETS_OFFER:
		sockets_stand(&open);
		break;
	case SOCKETS_WITHDRAW:
		sockets_stand_down(open.node.nodeid);
		break;
	case SOCKETS_CONNECT:
		if (fork() == 0) {
			serve_server(&open);
			_exit(0);
		}
		break;
	}
}

/* One frame. False: the host is not there any more. */
static bool hear(void)
{
	uint8_t body[sizeof(struct sockets_open) + SOCKETS_NAME_MAX];
	struct sockets_head head;

	if (!agent_read_full(control, &head, sizeof(head)) ||
	    head.len > sizeof(body) ||
	    !agent_read_full(control, body, head.len)) {
		return false;
	}
	obey(head.type, body, head.len);
	return true;
}

/* ---- The process ---- */

static void reap(void)
{
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
		for (unsigned i = 0; i < client_count; i++) {
			if (clients[i] == pid) {
				clients[i] = clients[--client_count];
				break;
			}
		}
	}
}

static void take_clients(const struct pollfd *p, unsigned count)
{
	for (unsigned i = 0; i < count && client_count < CLIENTS_MAX; i++) {
		if (p[i].revents) {
			take_client(i);
		}
	}
}

/* As long as there are too many clients, others wait in the backlog. */
static bool step(struct pollfd *p)
{
	unsigned listeners = client_count < CLIENTS_MAX ?
			     sockets_stand_count() : 0;
	int timeout = sockets_watch_look(control);
	struct sockets_open offer;

	if (client_count >= CLIENTS_MAX && (timeout < 0 || timeout > FULL_MS)) {
		timeout = FULL_MS;
	}
	p[0] = (struct pollfd){ .fd = control, .events = POLLIN };
	for (unsigned i = 0; i < listeners; i++) {
		p[i + 1] = (struct pollfd){ .fd = sockets_stand_fd(i, &offer),
					    .events = POLLIN };
	}
	if (poll(p, listeners + 1, timeout) < 0) {
		return errno == EINTR;
	}
	reap();
	take_clients(p + 1, listeners);
	return !p[0].revents || hear();
}

/* Until the host is gone. */
static void serve(void)
{
	static struct pollfd p[FILES_MAX];

	if (!sockets_send(control, SOCKETS_CONTROL, NULL, 0)) {
		return;
	}
	while (step(p)) {
	}
	sockets_stand_end();
	sockets_watch_end();
}

static void run(void)
{
	const struct rlimit files = { FILES_MAX, FILES_MAX };
	unsigned again = 1;

	setrlimit(RLIMIT_NOFILE, &files);
	for (;;) {
		control = sockets_mount() ? sockets_host() : -1;
		if (control >= 0) {
			serve();
			close(control);
			control = -1;
		}
		sleep(again);
		again = again * 2 < AGAIN_S ? again * 2 : AGAIN_S;
	}
}

static void take_word(const char *word)
{
	wanted |= strcmp(word, SOCKETS_WORD) == 0;
}

/**
 * Starts the process, if this Linux may have sockets; returns its id, else -1. It ends
 * with the caller.
 */
pid_t sockets_start_agent(void)
{
	char line[4096];
	pid_t self = getpid(), pid;

	cmdline_words(line, sizeof(line), take_word);
	pid = wanted ? fork() : -1;
	if (pid != 0) {
		return pid;
	}
	prctl(PR_SET_NAME, NAME);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == self) {
		run();
	}
	_exit(1);
}
