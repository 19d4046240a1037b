/* SPDX-License-Identifier: MIT */
/*
 * In Linux: ports ADDRESS PORT says how long after listen() the port answers at that
 * address, the host partition's, and how long after close() it does no more, and of
 * UDP how long after bind(), each some times; then listens on 7 and 23 too and on UDP
 * 5353, in the background, and sends back what comes to PORT.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LIMIT_MS	10000
#define TIMES		5

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int bound(int type, unsigned port)
{
	const struct sockaddr_in any = { .sin_family = AF_INET,
					 .sin_port = htons((uint16_t)port) };
	int s = socket(AF_INET, type, 0), one = 1;

	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(s, (const struct sockaddr *)&any, sizeof(any)) != 0 ||
	    (type == SOCK_STREAM && listen(s, 8) != 0)) {
		perror("bind");
		exit(1);
	}
	return s;
}

static bool answers(const struct sockaddr_in *to)
{
	int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct pollfd p = { .fd = s, .events = POLLOUT };
	int error = -1;
	socklen_t len = sizeof(error);

	connect(s, (const struct sockaddr *)to, sizeof(*to));
	if (poll(&p, 1, 20) == 1) {
		getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &len);
	}
	close(s);
	return error == 0;
}

static void wait_for(const struct sockaddr_in *to, bool open)
{
	double from = now_ms();

	while (answers(to) != open && now_ms() - from < LIMIT_MS) {
	}
	printf("%s after %.1f ms\n", open ? "open" : "closed", now_ms() - from);
}

/* What it sends to the port there comes to the socket itself. */
static void wait_for_udp(const struct sockaddr_in *to, int s)
{
	struct pollfd p = { .fd = s, .events = POLLIN };
	int sender = socket(AF_INET, SOCK_DGRAM, 0);
	double from = now_ms();

	do {
		(void)!sendto(sender, "?", 1, 0, (const struct sockaddr *)to,
			      sizeof(*to));
	} while (poll(&p, 1, 20) == 0 && now_ms() - from < LIMIT_MS);
	printf("open after %.1f ms\n", now_ms() - from);
	close(sender);
}

static void serve(int s)
{
	char data[4096];
	ssize_t n;

	for (;;) {
		int connection = accept(s, NULL, NULL);

		while ((n = read(connection, data, sizeof(data))) > 0) {
			(void)!write(connection, data, (size_t)n);
		}
		close(connection);
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	unsigned port;
	int s;

	if (argc != 3 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1) {
		return 1;
	}
	port = (unsigned)atoi(argv[2]);
	to.sin_port = htons((uint16_t)port);
	for (int i = 0; i < TIMES; i++) {
		s = bound(SOCK_STREAM, port);
		wait_for(&to, true);
		close(s);
		wait_for(&to, false);
		s = bound(SOCK_DGRAM, port);
		wait_for_udp(&to, s);
		close(s);
	}
	s = bound(SOCK_STREAM, port);
	bound(SOCK_STREAM, 7);
	bound(SOCK_STREAM, 23);
	bound(SOCK_DGRAM, 5353);
	fflush(stdout);
	if (daemon(0, 0) == 0) {
		serve(s);
	}
	return 0;
}
