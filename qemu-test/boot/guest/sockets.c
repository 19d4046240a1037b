/* SPDX-License-Identifier: MIT */
/*
 * sockets: AF_VSOCK with the host's services. 32 connections at a time echo
 * 2 MiB each, checked byte by byte; then half-close, discard, chargen,
 * refusal and reset. Prints the first thing that is wrong, or "all passed".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#define CONNECTIONS	32
#define BYTES		(2u << 20)
#define CHUNK		32768
#define ECHO		7
#define DISCARD		9
#define CHARGEN		19
#define NOBODY		4711

#define CHECK(truth) check((truth), #truth, __LINE__)

static void check(int truth, const char *text, int line)
{
	if (!truth) {
		printf("sockets: line %d: %s (errno %d, %s)\n", line, text,
		       errno, strerror(errno));
		exit(1);
	}
}

/* A stream of bytes that differs for each seed; CHUNK bytes at a time. */
struct stream {
	uint64_t state;
	uint32_t done;
	uint32_t used;
	uint8_t data[CHUNK];
};

static void stream_next(struct stream *s)
{
	for (int i = 0; i < CHUNK; i += 8) {
		s->state ^= s->state << 13;
		s->state ^= s->state >> 7;
		s->state ^= s->state << 17;
		memcpy(s->data + i, &s->state, 8);
	}
	s->used = 0;
}

static void stream_start(struct stream *s, int seed)
{
	s->state = 0x9e3779b97f4a7c15ull * (uint64_t)(seed + 1);
	s->done = 0;
	stream_next(s);
}

static void stream_advance(struct stream *s, uint32_t n)
{
	s->done += n;
	s->used += n;
	if (s->used == CHUNK) {
		stream_next(s);
	}
}

static int try_connect(unsigned int port)
{
	struct sockaddr_vm to = {
		.svm_family = AF_VSOCK,
		.svm_cid = VMADDR_CID_HOST,
		.svm_port = port,
	};
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

	CHECK(fd >= 0);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		int error = errno;

		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

static int connect_to(unsigned int port)
{
	int fd = try_connect(port);

	CHECK(fd >= 0);
	return fd;
}

static struct stream out[CONNECTIONS], in[CONNECTIONS];

/* One step of an echo connection; POLLOUT is no longer asked for when all is
 * written, and the writing side is closed then. */
static void echo_step(int i, struct pollfd *p)
{
	static uint8_t got[CHUNK];
	ssize_t n;

	if (p->revents & POLLOUT) {
		n = write(p->fd, out[i].data + out[i].used, CHUNK - out[i].used);
		CHECK(n > 0 || errno == EAGAIN);
		if (n > 0) {
			stream_advance(&out[i], (uint32_t)n);
		}
		if (out[i].done == BYTES) {
			p->events = POLLIN;
			CHECK(shutdown(p->fd, SHUT_WR) == 0);
		}
	}
	if (p->revents & (POLLIN | POLLHUP)) {
		n = read(p->fd, got, CHUNK - in[i].used);
		CHECK(n >= 0 || errno == EAGAIN);
		if (n == 0) {
			CHECK(in[i].done == BYTES);
			close(p->fd);
			p->fd = -1;
		} else if (n > 0) {
			CHECK(memcmp(got, in[i].data + in[i].used,
				     (size_t)n) == 0);
			stream_advance(&in[i], (uint32_t)n);
			CHECK(in[i].done <= BYTES);
		}
	}
	CHECK((p->revents & (POLLERR | POLLNVAL)) == 0);
}

static void echo_many(void)
{
	struct pollfd polls[CONNECTIONS];
	int open_count = CONNECTIONS;

	for (int i = 0; i < CONNECTIONS; i++) {
		polls[i].fd = connect_to(ECHO);
		polls[i].events = POLLIN | POLLOUT;
		CHECK(fcntl(polls[i].fd, F_SETFL, O_NONBLOCK) == 0);
		stream_start(&out[i], i);
		stream_start(&in[i], i);
	}
	while (open_count > 0) {
		CHECK(poll(polls, CONNECTIONS, 60000) > 0);
		open_count = 0;
		for (int i = 0; i < CONNECTIONS; i++) {
			if (polls[i].fd >= 0 && polls[i].revents) {
				echo_step(i, &polls[i]);
			}
			open_count += polls[i].fd >= 0;
		}
	}
}

static void half_close(void)
{
	char text[16];
	int fd = connect_to(ECHO);

	CHECK(write(fd, "last words", 10) == 10);
	CHECK(shutdown(fd, SHUT_WR) == 0);
	CHECK(write(fd, "x", 1) < 0 && errno == EPIPE);
	CHECK(recv(fd, text, sizeof(text), MSG_WAITALL) == 10);
	CHECK(memcmp(text, "last words", 10) == 0);
	CHECK(read(fd, text, 1) == 0);
	close(fd);
}

static void discard(void)
{
	static char zeros[CHUNK];
	int fd = connect_to(DISCARD);

	for (int i = 0; i < 32; i++) {
		CHECK(write(fd, zeros, CHUNK) == CHUNK);
	}
	CHECK(shutdown(fd, SHUT_WR) == 0);
	CHECK(read(fd, zeros, 1) == 0);
	close(fd);
}

/* Lines of 72 characters that rotate through the printable ones; it is left
 * with data under way, which must cost the host nothing. */
static void chargen(void)
{
	static char text[74 * 1000];
	int fd = connect_to(CHARGEN);

	CHECK(recv(fd, text, sizeof(text), MSG_WAITALL) == sizeof(text));
	for (int i = 0; i < 1000; i++) {
		CHECK(memcmp(text + 74 * i + 72, "\r\n", 2) == 0);
	}
	CHECK(memcmp(text + 1, text + 74, 71) == 0);
	close(fd);
}

static void refusal_and_reset(void)
{
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };

	CHECK(try_connect(NOBODY) < 0 &&
	      (errno == ECONNRESET || errno == ECONNREFUSED));
	for (int i = 0; i < 100; i++) {
		int fd = connect_to(ECHO);

		setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
		CHECK(write(fd, "gone", 4) == 4);
		close(fd);
	}
}

int main(void)
{
	/* What a closed connection answers is an errno, not a signal. */
	signal(SIGPIPE, SIG_IGN);
	echo_many();
	half_close();
	discard();
	chargen();
	refusal_and_reset();
	half_close();
	printf("sockets: all passed\n");
	return 0;
}
