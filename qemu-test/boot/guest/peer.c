/* SPDX-License-Identifier: MIT */
/*
 * In Linux, between two machines:
 *
 * peer serve PORT			in the background: sends back what comes by TCP, and
 *				each datagram, of IPv4 and IPv6
 * peer call ADDRESS PORT KIB COUNT	COUNT connections at once, each with KIB of its
 *				own bytes out and back; says how many were right
 * peer slow ADDRESS PORT SECONDS	one connection, a KiB out and back each 100 ms;
 *				says how it ended
 * peer datagrams ADDRESS PORT SIZE...	each there and back
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define KIB		1024u
#define PATIENCE	60		/* seconds for a datagram's way, of a busy machine */

static unsigned char out[65536], in[65536];

/* Bytes that no other place of no other connection has. */
static void fill(unsigned char *to, size_t len, uint32_t seed)
{
	for (size_t i = 0; i < len; i++) {
		seed = seed * 1664525u + 1013904223u;
		to[i] = (unsigned char)(seed >> 24);
	}
}

static int bound(int type, unsigned port)
{
	const struct sockaddr_in6 any = { .sin6_family = AF_INET6,
					  .sin6_port = htons((uint16_t)port) };
	int s = socket(AF_INET6, type, 0);

	if (s < 0 || bind(s, (const struct sockaddr *)&any, sizeof(any)) != 0 ||
	    (type == SOCK_STREAM && listen(s, 64) != 0)) {
		perror("peer: bind");
		exit(1);
	}
	return s;
}

static int joined(const char *address, const char *port, int type)
{
	const struct addrinfo want = { .ai_socktype = type,
				       .ai_flags = AI_NUMERICHOST };
	struct addrinfo *to;
	int s;

	if (getaddrinfo(address, port, &want, &to) != 0) {
		exit(2);
	}
	s = socket(to->ai_family, type, 0);
	if (s < 0 || connect(s, to->ai_addr, to->ai_addrlen) != 0) {
		perror("peer: connect");
		exit(1);
	}
	return s;
}

static int send_all(int s, const unsigned char *from, size_t len)
{
	while (len > 0) {
		ssize_t n = send(s, from, len, MSG_NOSIGNAL);

		if (n <= 0) {
			return -1;
		}
		from += n;
		len -= (size_t)n;
	}
	return 0;
}

static void serve(unsigned port)
{
	int tcp = bound(SOCK_STREAM, port), udp = bound(SOCK_DGRAM, port);
	struct sockaddr_in6 from;
	socklen_t len = sizeof(from);
	ssize_t n;

	if (daemon(0, 0) != 0) {
		exit(1);
	}
	if (fork() == 0) {
		while ((n = recvfrom(udp, in, sizeof(in), 0,
				     (struct sockaddr *)&from, &len)) >= 0) {
			sendto(udp, in, (size_t)n, 0,
			       (const struct sockaddr *)&from, len);
		}
		exit(1);
	}
	for (;;) {
		int s = accept(tcp, NULL, NULL);

		if (s >= 0 && fork() == 0) {
			while ((n = recv(s, in, sizeof(in), 0)) > 0 &&
			       send_all(s, in, (size_t)n) == 0) {
			}
			exit(0);
		}
		close(s);
	}
}

/* One process sends, and another looks at what comes back. */
static int call(char **argv, uint32_t seed)
{
	size_t kib = (size_t)atoi(argv[2]), have = 0;
	int s = joined(argv[0], argv[1], SOCK_STREAM), status;
	ssize_t n;

	if (fork() == 0) {
		for (uint32_t i = 0; i < kib; i++) {
			fill(out, KIB, seed + i);
			if (send_all(s, out, KIB) != 0) {
				exit(1);
			}
		}
		shutdown(s, SHUT_WR);
		exit(0);
	}
	for (uint32_t i = 0; i < kib; i++) {
		fill(out, KIB, seed + i);
		if (recv(s, in, KIB, MSG_WAITALL) != (ssize_t)KIB ||
		    memcmp(in, out, KIB) != 0) {
			perror("peer: not what was sent");
			return 1;
		}
		have++;
	}
	n = recv(s, in, 1, 0);
	return wait(&status) < 0 || status != 0 || n != 0 || have != kib;
}

static int calls(char **argv)
{
	int count = atoi(argv[3]), good = 0, status;

	for (int i = 0; i < count; i++) {
		if (fork() == 0) {
			exit(call(argv, (uint32_t)i << 20));
		}
	}
	while (wait(&status) > 0) {
		good += status == 0;
	}
	printf("%d of %d connections: the same\n", good, count);
	return good != count;
}

static int slow(char **argv)
{
	int s = joined(argv[0], argv[1], SOCK_STREAM);

	for (int i = 0; i < atoi(argv[2]) * 10; i++) {
		fill(out, KIB, (uint32_t)i);
		errno = 0;
		if (send_all(s, out, KIB) != 0 ||
		    recv(s, in, KIB, MSG_WAITALL) != (ssize_t)KIB) {
			printf("ended after %d: %s\n", i, strerror(errno));
			return 1;
		}
		if (memcmp(in, out, KIB) != 0) {
			printf("%d is not what was sent\n", i);
			return 1;
		}
		usleep(100000);
	}
	printf("lasted\n");
	return 0;
}

static int datagrams(char **argv)
{
	const struct timeval patience = { .tv_sec = PATIENCE };
	int s = joined(argv[0], argv[1], SOCK_DGRAM);

	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	for (argv += 2; *argv; argv++) {
		size_t size = (size_t)atoi(*argv);
		ssize_t n;

		fill(out, size, (uint32_t)size);
		n = send(s, out, size, 0);
		n = n < 0 ? n : recv(s, in, sizeof(in), 0);
		printf("%zu bytes: %s\n", size,
		       n == (ssize_t)size && memcmp(in, out, size) == 0 ?
		       "the same" : n < 0 ? strerror(errno) : "not so");
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "serve") == 0) {
		serve((unsigned)atoi(argv[2]));
	}
	if (argc == 6 && strcmp(argv[1], "call") == 0) {
		return calls(argv + 2);
	}
	if (argc == 5 && strcmp(argv[1], "slow") == 0) {
		return slow(argv + 2);
	}
	if (argc > 4 && strcmp(argv[1], "datagrams") == 0) {
		return datagrams(argv + 2);
	}
	return 2;
}
