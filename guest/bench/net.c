/* SPDX-License-Identifier: MIT */
/*
 * What TCP to the host partition costs, to its services for measuring: echo (port
 * 7), one that takes all there is and closes when that has ended (9), and one that
 * sends a mebibyte and closes (19).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define ECHO		7
#define DISCARD		9
#define CHARGEN		19
#define MEBIBYTE	(1u << 20)

static struct in_addr to;

/* A connected socket, or -1 with errno. */
static int dial(int port)
{
	struct sockaddr_in host = {
		.sin_family = AF_INET, .sin_addr = to,
		.sin_port = htons((unsigned short)port),
	};
	int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	if (s >= 0 && connect(s, (struct sockaddr *)&host, sizeof(host))) {
		close(s);
		return -1;
	}
	if (s >= 0) {
		setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	}
	return s;
}

static bool take(int s, size_t left)
{
	while (left > 0) {
		ssize_t n = read(s, bench_buffer, left < CHUNK ? left : CHUNK);

		if (n <= 0) {
			return false;
		}
		left -= (size_t)n;
	}
	return true;
}

static bool give(int s, size_t left)
{
	while (left > 0) {
		ssize_t n = write(s, bench_buffer, left < CHUNK ? left : CHUNK);

		if (n <= 0) {
			return false;
		}
		left -= (size_t)n;
	}
	return true;
}

static bool connects(unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		int s = dial(ECHO);

		if (s < 0) {
			return false;
		}
		close(s);
	}
	return true;
}

static bool trips(int s, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		if (!give(s, 1) || !take(s, 1)) {
			return false;
		}
	}
	return true;
}

/* One process sends and another takes what comes back; the fork is in the figure. */
static bool echo(int s, unsigned int chunks)
{
	pid_t pid = fork();
	bool good;

	if (pid == 0) {
		_exit(!give(s, (size_t)chunks * CHUNK));
	}
	good = take(s, (size_t)chunks * CHUNK);
	return waitpid(pid, NULL, 0) == pid && good;
}

/* All of it has arrived when the other end closes. */
static bool sends(unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		int s = dial(DISCARD);

		if (s < 0 || !give(s, MEBIBYTE) || shutdown(s, SHUT_WR) ||
		    take(s, 1)) {
			return false;
		}
		close(s);
	}
	return true;
}

static bool receives(unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		int s = dial(CHARGEN);

		if (s < 0 || !take(s, MEBIBYTE)) {
			return false;
		}
		close(s);
	}
	return true;
}

/**
 * The figures, or as many as there are services for. False: the one that failed is
 * said.
 */
bool net_run(const char *address)
{
	const unsigned int connections = 50, rounds = 200, chunks = 64, each = 4;
	bool good;
	int s;

	/* The first one meets cold caches. */
	if (inet_pton(AF_INET, address, &to) != 1 || !connects(1)) {
		bench_skip("network", "connect");
		return false;
	}
	bench_begin();
	good = connects(connections);
	bench_end("tcp_connect_close", connections, "ticks");
	s = dial(ECHO);
	good = good && s >= 0 && trips(s, 10);
	bench_begin();
	good = good && trips(s, rounds);
	bench_end("tcp_round_trip", rounds, "ticks");
	bench_begin();
	good = good && echo(s, chunks);
	bench_end("tcp_echo_64k", chunks, "ticks/64KiB both ways");
	close(s);
	bench_begin();
	good = good && sends(each);
	bench_end("tcp_send_1m", each, "ticks");
	bench_begin();
	good = good && receives(each);
	bench_end("tcp_recv_1m", each, "ticks");
	if (!good) {
		bench_skip("network", "a service");
	}
	return good;
}
