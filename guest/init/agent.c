/* SPDX-License-Identifier: MIT */
/*
 * The agent: what the host reaches in Linux over vsock. Control sessions on
 * AGENT_PORT, Linux's files on AGENT_PORT_9P; a process for each connection, so
 * that no client can hold up or bring down another. Only the host may connect:
 * both services are worth root. A connection to AGENT_PORT_CLOCK says all by itself.
 *
 * A peer's CID comes from the kernel's transport: no process in Linux can
 * connect as the host's. PID 1 starts this again when it ends; sessions that
 * run go on without it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

#include "agent.h"
#include "init.h"

/* Connections that the kernel completes before we accept them. */
#define BACKLOG		64
#define SESSIONS_MAX	256	/* processes */

static const unsigned int ports[] = { AGENT_PORT, AGENT_PORT_9P,
				     AGENT_PORT_CLOCK };
#define PORT_COUNT	(sizeof(ports) / sizeof(ports[0]))

/* A listening socket on the port of every local address, -1 with a line in the
 * kernel's log. A port below 1024: privileged, like this process. */
static int listen_on(unsigned int port)
{
	struct sockaddr_vm addr = {
		.svm_family = AF_VSOCK,
		.svm_cid = VMADDR_CID_ANY,
		.svm_port = port,
	};
	int s = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (s < 0 || bind(s, (struct sockaddr *)&addr, sizeof(addr)) ||
	    listen(s, BACKLOG)) {
		init_log("agent: vsock port %u: %s", port, strerror(errno));
		return -1;
	}
	return s;
}

/* Goes before all that is of no real-time class; what is started from here does not.
 * Time in which the machine stood still is time to the kernel that who ran then has
 * used, and others have first as much: beside one that computes, the host would wait
 * for as long as that. Who goes first is charged an 88th. [sched(7) "The nice value"] */
static void go_first(void)
{
	const struct sched_param param = { 0 };

	/* The C library's own has only an error for it. */
	(void)syscall(SYS_sched_setscheduler, 0,
		      SCHED_OTHER | SCHED_RESET_ON_FORK, &param);
	(void)setpriority(PRIO_PROCESS, 0, -20);
}

/* Serves one accepted connection; in the child, until the client leaves. */
static void serve(int sock, unsigned int port)
{
	go_first();
	if (port == AGENT_PORT) {
		agent_session(sock);
	} else {
		agent_9p_serve(sock, "/");
	}
}

/* Takes one connection; returns by how much the session count grew. Peers that
 * are not the host, and one too many, are closed without a word. */
static int take(const int *listeners, size_t which, int sessions)
{
	struct sockaddr_vm peer;
	socklen_t len = sizeof(peer);
	int started = 0;
	int sock = accept4(listeners[which], (struct sockaddr *)&peer, &len,
			   SOCK_CLOEXEC);

	/* It may have gone again before we came. */
	if (sock < 0) {
		return 0;
	}
	if (peer.svm_cid == VMADDR_CID_HOST && ports[which] == AGENT_PORT_CLOCK) {
		agent_clock_soon();
	} else if (peer.svm_cid == VMADDR_CID_HOST && sessions < SESSIONS_MAX) {
		pid_t pid = fork();

		if (pid == 0) {
			for (size_t i = 0; i < PORT_COUNT; i++) {
				close(listeners[i]);
			}
			serve(sock, ports[which]);
			_exit(0);
		}
		started = pid > 0;
	}
	close(sock);
	return started;
}

/**
 * Runs the agent; returns only if it cannot work (a status for _exit()). Called
 * in a child of PID 1, with default signals, when the channel driver is loaded:
 * the channel itself may still be down.
 */
int agent_run(void)
{
	static const struct sockaddr_vm host = {
		.svm_family = AF_VSOCK,
		.svm_cid = VMADDR_CID_HOST,
		.svm_port = AGENT_PORT_READY,
	};
	int listeners[PORT_COUNT];
	struct agent_ready ready;
	int sessions = 0;
	/* Before there is anything here that it should not have open. */
	pid_t cache = cache_start(), reporter = ports_start();
	pid_t sockets = sockets_start_agent(), pid;

	go_first();
	for (size_t i = 0; i < PORT_COUNT; i++) {
		listeners[i] = listen_on(ports[i]);
		if (listeners[i] < 0) {
			return 1;
		}
	}
	/* The host then shows the agent as ready and lets commands through. */
	agent_ready_init(&ready, &host, sizeof(host));
	for (;;) {
		struct pollfd p[PORT_COUNT + 1];
		int timeout = agent_ready_poll(&ready, &p[PORT_COUNT]);
		int clock = agent_clock_step();

		for (size_t i = 0; i < PORT_COUNT; i++) {
			p[i] = (struct pollfd){ .fd = listeners[i],
						.events = POLLIN };
		}
		if (timeout < 0 || (clock >= 0 && clock < timeout)) {
			timeout = clock;
		}
		/* A signal is no reason to end: nothing is blocked. */
		if (poll(p, PORT_COUNT + 1, timeout) < 0) {
			if (errno != EINTR) {
				return 1;
			}
			continue;
		}
		agent_ready_step(&ready, &p[PORT_COUNT]);
		/* Ended sessions wait for the next connection to be counted:
		 * SIGCHLD does not end poll(), and a zombie costs nothing. */
		while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
			sessions -= pid != cache && pid != reporter &&
				    pid != sockets;
		}
		for (size_t i = 0; i < PORT_COUNT; i++) {
			if (p[i].revents) {
				sessions += take(listeners, i, sessions);
			}
		}
	}
}
