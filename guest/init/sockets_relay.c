/* SPDX-License-Identifier: MIT */
/*
 * One connection, in a process of its own: what comes from a socket of this Linux goes
 * to the host in frames (proto/sockets.h), and the other way round. Nothing is read
 * from one end while the other has not taken what was read before, so each sender is
 * held up as its reader is, and one way does not wait for the other.
 *
 * The host is believed; the socket's owner is any program.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "init.h"
#include "sockets.h"

#define STREAM_MAX	65536u		/* bytes at a time */
#define HEAD		sizeof(struct sockets_head)
/* Data lies behind room for what goes before it; END and NOREAD may follow. */
#define OUT_DATA	(2 * HEAD + SOCKETS_FDS_MAX * sizeof(struct sockets_fd))

static struct relay {
	int socket, vsock;
	bool packets;			/* SOCK_SEQPACKET */
	bool over;
	bool sent_end, got_end;
	bool deaf, sent_deaf;		/* the socket takes no more */
	size_t out_at, out_end;		/* to the host */
	struct sockets_head head;	/* from the host, */
	size_t have;			/* of it and in */
	bool whole;			/* DATA, to be written from at on */
	size_t at;
	int fds[SOCKETS_FDS_MAX];	/* that go with it */
	unsigned fd_count;
} r;

static uint8_t out[OUT_DATA + SOCKETS_DATA_MAX + 2 * HEAD];
static uint8_t in[SOCKETS_DATA_MAX];

static void start(int unix_fd, int vsock)
{
	if (fork() == 0) {
		close(r.socket);
		close(r.vsock);
		sockets_relay(unix_fd, vsock);
		_exit(0);
	}
}

/* ---- To the host ---- */

static void put_head(size_t at, uint32_t type, size_t len)
{
	struct sockets_head head = { .type = type, .len = (uint32_t)len };

	memcpy(out + at, &head, HEAD);
}

static void put_word(uint32_t type)
{
	if (r.out_at == r.out_end) {
		r.out_at = r.out_end = 0;
	}
	put_head(r.out_end, type, 0);
	r.out_end += HEAD;
}

/* What was received, and the descriptors with it, before it. */
static void put_data(size_t len, const int *fds, unsigned count)
{
	const size_t size = count * sizeof(struct sockets_fd);
	struct sockets_fd told[SOCKETS_FDS_MAX];

	r.out_at = OUT_DATA - HEAD;
	r.out_end = OUT_DATA + len;
	put_head(r.out_at, SOCKETS_DATA, len);
	if (count == 0) {
		return;
	}
	if (!sockets_fds_tell(fds, count, told, start)) {
		r.over = true;
		return;
	}
	r.out_at -= size;
	memcpy(out + r.out_at, told, size);
	r.out_at -= HEAD;
	put_head(r.out_at, SOCKETS_FDS, size);
}

/* Whether nothing more will come; an empty message looks the same. */
static bool is_end(void)
{
	struct pollfd p = { .fd = r.socket, .events = POLLRDHUP };

	return !r.packets || (poll(&p, 1, 0) == 1 &&
			      (p.revents & (POLLRDHUP | POLLHUP)));
}

static unsigned take_fds(struct msghdr *msg, int *fds)
{
	unsigned count = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
			count = (unsigned)((c->cmsg_len - CMSG_LEN(0)) /
					   sizeof(int));
			memcpy(fds, CMSG_DATA(c), count * sizeof(int));
		}
	}
	return count;
}

static void read_socket(void)
{
	union { struct cmsghdr c; char b[CMSG_SPACE(sizeof(r.fds))]; } room;
	struct iovec iov = { out + OUT_DATA,
			     r.packets ? SOCKETS_DATA_MAX : STREAM_MAX };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
			      .msg_control = &room,
			      .msg_controllen = sizeof(room) };
	int fds[SOCKETS_FDS_MAX];
	ssize_t n = recvmsg(r.socket, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	unsigned count;

	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR) {
			r.deaf = true;
			r.sent_end = true;
			put_word(SOCKETS_END);
		}
		return;
	}
	count = take_fds(&msg, fds);
	if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		init_log("sockets: a message that is too long, or has more "
			 "than %u descriptors", SOCKETS_FDS_MAX);
		r.over = true;
	} else if (n == 0 && count == 0 && is_end()) {
		r.sent_end = true;
		put_word(SOCKETS_END);
	} else {
		put_data((size_t)n, fds, count);
	}
	while (count > 0) {
		close(fds[--count]);
	}
}

static void write_host(void)
{
	ssize_t n = send(r.vsock, out + r.out_at, r.out_end - r.out_at,
			 MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n > 0) {
		r.out_at += (size_t)n;
	} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
		r.over = true;
	}
}

/* ---- From the host ---- */

static void drop_fds(void)
{
	while (r.fd_count > 0) {
		close(r.fds[--r.fd_count]);
	}
}

static void next(void)
{
	r.have = 0;
	r.at = 0;
	r.whole = false;
}

static void write_socket(void)
{
	union { struct cmsghdr c; char b[CMSG_SPACE(sizeof(r.fds))]; } room;
	struct iovec iov = { in + r.at, r.head.len - r.at };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (r.fd_count > 0) {
		msg.msg_control = &room;
		msg.msg_controllen = CMSG_SPACE(r.fd_count * sizeof(int));
		memset(&room, 0, sizeof(room));
		room.c.cmsg_level = SOL_SOCKET;
		room.c.cmsg_type = SCM_RIGHTS;
		room.c.cmsg_len = CMSG_LEN(r.fd_count * sizeof(int));
		memcpy(CMSG_DATA(&room.c), r.fds, r.fd_count * sizeof(int));
	}
	n = sendmsg(r.socket, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	drop_fds();
	if (n < 0) {
		r.deaf = true;
		next();
		return;
	}
	r.at += (size_t)n;
	if (r.at == r.head.len) {
		next();
	}
}

/* A frame is there. */
static void take_frame(void)
{
	switch (r.head.type) {
	case SOCKETS_DATA:
		if (!r.deaf && (r.head.len > 0 || r.packets)) {
			r.whole = true;
			return;
		}
		drop_fds();
		break;
	case SOCKETS_FDS:
		drop_fds();
		r.fd_count = r.head.len / sizeof(struct sockets_fd);
		if (r.fd_count > SOCKETS_FDS_MAX ||
		    !sockets_fds_make((void *)in, r.fd_count, r.fds, start)) {
			r.fd_count = 0;
			r.over = true;
		}
		break;
	case SOCKETS_END:
		r.got_end = true;
		shutdown(r.socket, SHUT_WR);
		break;
	case SOCKETS_NOREAD:
		shutdown(r.socket, SHUT_RD);
		break;
	}
	next();
}

static void read_host(void)
{
	bool head = r.have < HEAD;
	uint8_t *to = head ? (uint8_t *)&r.head + r.have : in + r.have - HEAD;
	size_t want = (head ? HEAD : HEAD + r.head.len) - r.have;
	ssize_t n = recv(r.vsock, to, want, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	if (n <= 0) {
		r.over = true;
		return;
	}
	r.have += (size_t)n;
	if (r.have >= HEAD && r.head.len > sizeof(in)) {
		r.over = true;
	} else if (r.have >= HEAD && r.have == HEAD + r.head.len) {
		take_frame();
	}
}

/* ---- Both ---- */

/* Of the socket also that it has been closed, when all of it was read. */
static void ask(struct pollfd *socket, struct pollfd *vsock)
{
	bool waits = r.out_at < r.out_end;

	socket->events = (short)((!waits && !r.sent_end ? POLLIN : 0) |
				 (r.whole ? POLLOUT : 0));
	socket->fd = socket->events || (!waits && !r.deaf && !r.got_end)
		     ? r.socket : -1;
	vsock->fd = r.vsock;
	vsock->events = (short)((waits ? POLLOUT : 0) | (r.whole ? 0 : POLLIN));
}

static void step(void)
{
	struct pollfd p[2] = { 0 };

	if (r.deaf && !r.sent_deaf) {
		r.sent_deaf = true;
		put_word(SOCKETS_NOREAD);
	}
	ask(&p[0], &p[1]);
	if (poll(p, 2, -1) < 0) {
		return;
	}
	if (p[0].events & POLLIN && p[0].revents & ~POLLOUT) {
		read_socket();
	} else if (!p[0].events && p[0].revents) {
		r.deaf = true;
	}
	if (r.whole && p[0].revents & ~POLLIN) {
		write_socket();
	}
	if (p[1].events & POLLOUT && p[1].revents & ~POLLIN) {
		write_host();
	}
	if (p[1].events & POLLIN && p[1].revents & ~POLLOUT) {
		read_host();
	}
}

/**
 * Serves a connection until it is over: the host's end of it has ended, or something
 * came that cannot be passed on.
 */
void sockets_relay(int unix_fd, int vsock)
{
	int type = 0, size = 2 * SOCKETS_DATA_MAX;
	socklen_t len = sizeof(type);

	memset(&r, 0, sizeof(r));
	r.socket = unix_fd;
	r.vsock = vsock;
	getsockopt(unix_fd, SOL_SOCKET, SO_TYPE, &type, &len);
	r.packets = type == SOCK_SEQPACKET;
	setsockopt(unix_fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	signal(SIGCHLD, SIG_IGN);
	while (!r.over) {
		step();
	}
}
