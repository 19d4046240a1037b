/* SPDX-License-Identifier: MIT */
/*
 * What TCP costs to three services for measuring: echo, one that takes all there is
 * and closes when that has ended, and one that sends a mebibyte and closes. The host
 * partition has them at ports 7, 9 and 19.
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

#define MEBIBYTE	(1u << 20)

enum { ECHO, DISCARD, SENDER, SERVICES };

static struct in_addr to;
static int ports[SERVICES] = { 7, 9, 19 };
static int line;			/* to the echo */
static const char *only;		/* the figure that is wanted; NULL: all */

/* A connected socket, or -1 with errno. */
static int dial(int service)
{
	struct sockaddr_in host = {
		.sin_family = AF_INET, .sin_addr = to,
		.sin_port = htons((unsigned short)ports[service]),
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

static bool trips(unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		if (!give(line, 1) || !take(line, 1)) {
			return false;
		}
	}
	return true;
}

/* One process sends and another takes what comes back; the fork is in the figure. */
static bool echo(unsigned int chunks)
{
	pid_t pid = fork();
	bool good;

	if (pid == 0) {
		_exit(!give(line, (size_t)chunks * CHUNK));
	}
	good = take(line, (size_t)chunks * CHUNK);
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
		int s = dial(SENDER);

		if (s < 0 || !take(s, MEBIBYTE)) {
			return false;
		}
		close(s);
	}
	return true;
}

/* A figure, unless it is another one that is wanted. */
static bool measured(const char *name, unsigned int count, const char *unit,
		     bool (*work)(unsigned int count))
{
	bool good;

	if (only && strcmp(only, name) != 0) {
		return true;
	}
	bench_begin();
	good = work(count);
	bench_end(name, count, unit);
	return good;
}

/**
 * The figures, up to one that there is no service for, which is said: then false.
 * first: the port of the echo, with the other two behind it; 0: those of the host
 * partition. figure: only this one, or NULL.
 */
bool net_run(const char *address, int first, const char *figure)
{
	bool good;

	for (int i = 0; first && i < SERVICES; i++) {
		ports[i] = first + i;
	}
	only = figure;
	/* The first one meets cold caches. */
	if (inet_pton(AF_INET, address, &to) != 1 || !connects(1)) {
		bench_skip("network", "connect");
		return false;
	}
	good = measured("tcp_connect_close", 50, "ticks", connects);
	line = dial(ECHO);
	good = good && line >= 0 && trips(10) &&
	       measured("tcp_round_trip", 200, "ticks", trips) &&
	       measured("tcp_echo_64k", 64, "ticks/64KiB both ways", echo);
	close(line);
	good = good && measured("tcp_send_1m", 4, "ticks", sends) &&
	       measured("tcp_recv_1m", 4, "ticks", receives);
	if (!good) {
		bench_skip("network", "a service");
	}
	return good;
}
