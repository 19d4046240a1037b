// SPDX-License-Identifier: MIT
/*
 * A connection of AF_UNIX by way of two of the agent's processes, with a host between
 * them that passes on what each sends: what programs at both ends see must be what they
 * would see of each other.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "guest/init/sockets.h"
#include "host-bridge/sockets/sockets_frame.h"

#define FILE_NODE	77u
#define PIPE_NODE	78u
#define LONG		1000000u

/* ---- What is below sockets_relay.c ---- */

static char file_path[] = "/tmp/isthmus-sockets-XXXXXX";
static char pipe_path[sizeof(file_path) + 2];
static dev_t file_dev;
static ino_t file_ino;

void init_log(const char *format, ...)
{
	(void)format;
}

int sockets_open_node(uint64_t nodeid, int flags)
{
	errno = ESTALE;
	return nodeid == FILE_NODE ? open(file_path, flags | O_CLOEXEC) :
	       nodeid == PIPE_NODE ? open(pipe_path, flags | O_CLOEXEC) : -1;
}

bool sockets_become(uint32_t uid, uint32_t gid)
{
	return uid == SOCKETS_NOBODY && gid == SOCKETS_NOBODY;
}

void sockets_be_root(void)
{
}

bool sockets_node_of(int fd, uint64_t *nodeid)
{
	struct stat st;

	*nodeid = FILE_NODE;
	return fstat(fd, &st) == 0 && st.st_dev == file_dev &&
	       st.st_ino == file_ino;
}

int sockets_host(void)
{
	errno = ECONNREFUSED;
	return -1;
}

bool sockets_send(int vsock, uint32_t type, const void *body, size_t len)
{
	(void)vsock;
	(void)type;
	(void)body;
	(void)len;
	return false;
}

bool agent_read_full(int fd, void *buf, size_t len);
bool agent_read_full(int fd, void *buf, size_t len)
{
	(void)fd;
	(void)buf;
	(void)len;
	return false;
}

/* ---- Two Linuxes and a host ---- */

/* One way. */
struct way {
	struct sockets_frame frame;
	uint8_t data[30000];
	size_t at, len;
};

/* What was read is looked at for END. */
static void look(struct way *w)
{
	struct sockets_frame *f = &w->frame;

	for (size_t at = 0, used; at < w->len; ) {
		size_t rest = w->len - at;

		if (f->through > 0) {
			used = rest < f->through ? rest : f->through;
			f->through -= (uint32_t)used;
		} else if (sockets_frame_take(f, SOCKETS_RELAYS, w->data + at,
					      rest, &used) != SOCKETS_FRAME) {
			return;
		}
		at += used;
		if (f->through == 0) {
			sockets_frame_next(f);
		}
	}
}

/* Passes bytes on, neither way waiting for the other; ends both when both have said
 * END. */
static void host(int one, int other)
{
	const int end[2] = { one, other };
	static struct way way[2];

	while (!way[0].frame.ended || !way[1].frame.ended ||
	       way[0].at < way[0].len || way[1].at < way[1].len) {
		struct pollfd p[2] = { { .fd = end[0] }, { .fd = end[1] } };

		for (unsigned i = 0; i < 2; i++) {
			bool waits = way[i].at < way[i].len;

			p[i].events |= waits ? 0 : POLLIN;
			p[1 - i].events |= waits ? POLLOUT : 0;
		}
		poll(p, 2, -1);
		for (unsigned i = 0; i < 2; i++) {
			struct way *w = &way[i];
			ssize_t n;

			if (w->at < w->len) {
				n = send(end[1 - i], w->data + w->at,
					 w->len - w->at, MSG_DONTWAIT);
				w->at += n > 0 ? (size_t)n : 0;
			} else if (p[i].revents & (POLLIN | POLLHUP)) {
				n = read(end[i], w->data, sizeof(w->data));
				if (n <= 0) {
					return;
				}
				w->at = 0;
				w->len = (size_t)n;
				look(w);
			}
		}
	}
}

struct pair {
	int end[2];		/* the programs' */
	pid_t pid[3];
};

/* A process of its own, which has of these only the two. */
static pid_t process(const int all[4][2], int one, int other,
		     void (*run)(int one, int other))
{
	pid_t pid = fork();

	if (pid == 0) {
		for (unsigned i = 0; i < 8; i++) {
			int fd = all[i / 2][i % 2];

			if (fd != one && fd != other) {
				close(fd);
			}
		}
		run(one, other);
		_exit(0);
	}
	return pid;
}

static struct pair make(int type)
{
	enum { A, B, HOST_A, HOST_B };
	int all[4][2];
	struct pair p;

	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(socketpair(AF_UNIX, i < HOST_A ? type :
					    SOCK_STREAM, 0, all[i]), 0);
	}
	p.end[0] = all[A][0];
	p.end[1] = all[B][0];
	p.pid[0] = process(all, all[A][1], all[HOST_A][1], sockets_relay);
	p.pid[1] = process(all, all[B][1], all[HOST_B][1], sockets_relay);
	p.pid[2] = process(all, all[HOST_A][0], all[HOST_B][0], host);
	for (unsigned i = 1; i < 8; i++) {
		if (i != 2) {
			close(all[i / 2][i % 2]);
		}
	}
	return p;
}

/* All processes end, when the programs' ends are closed; nobody hangs. */
static void over(struct pair *p)
{
	close(p->end[0]);
	close(p->end[1]);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(waitpid(p->pid[i], NULL, 0), p->pid[i]);
	}
}

static void put(int s, const void *data, size_t len)
{
	for (size_t at = 0; at < len; ) {
		ssize_t n = send(s, (const char *)data + at, len - at,
				 MSG_NOSIGNAL);

		assert_true(n > 0);
		at += (size_t)n;
	}
}

static void test_stream(void **state)
{
	struct pair p = make(SOCK_STREAM);
	static uint8_t data[LONG], got[LONG];
	pid_t writer = fork();
	size_t at = 0;

	(void)state;
	for (size_t i = 0; i < LONG; i++) {
		data[i] = (uint8_t)(i * 31 >> 3);
	}
	if (writer == 0) {
		put(p.end[0], data, LONG);
		shutdown(p.end[0], SHUT_WR);
		_exit(0);
	}
	for (ssize_t n; at < LONG; at += (size_t)n) {
		n = recv(p.end[1], got + at, LONG - at, 0);
		assert_true(n > 0);
	}
	assert_memory_equal(got, data, LONG);
	assert_int_equal(recv(p.end[1], got, 1, 0), 0);
	/* The other way is open still. */
	put(p.end[1], "back", 4);
	assert_int_equal(recv(p.end[0], got, 10, 0), 4);
	waitpid(writer, NULL, 0);
	over(&p);
}

static void test_packets(void **state)
{
	static uint8_t data[SOCKETS_DATA_MAX];
	struct pair p = make(SOCK_SEQPACKET);
	static const size_t sizes[] = { 1, 5, 0, 100, 65537, 200000, 3 };
	size_t size = 2 * sizeof(data);

	(void)state;
	setsockopt(p.end[0], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(int));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_int_equal(send(p.end[0], data, sizes[i], 0), sizes[i]);
		assert_int_equal(recv(p.end[1], data, sizeof(data), 0),
				 sizes[i]);
	}
	shutdown(p.end[0], SHUT_WR);
	assert_int_equal(recv(p.end[1], data, 10, 0), 0);
	put(p.end[1], "back", 4);
	assert_int_equal(recv(p.end[0], data, 10, 0), 4);
	over(&p);
}

/* What was sent before the end arrives before it; then nothing can be sent. */
static void test_closed(void **state)
{
	static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET };
	static uint8_t data[50000];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct pair p = make(types[i]);
		struct pollfd hup = { .fd = p.end[1] };
		size_t got = 0;
		ssize_t n;

		put(p.end[0], data, sizeof(data));
		close(p.end[0]);
		while ((n = recv(p.end[1], data, sizeof(data), 0)) > 0) {
			got += (size_t)n;
		}
		assert_int_equal(got, sizeof(data));
		assert_int_equal(n, 0);
		assert_int_equal(poll(&hup, 1, 5000), 1);
		assert_true(hup.revents & POLLHUP);
		assert_int_equal(send(p.end[1], "x", 1, MSG_NOSIGNAL), -1);
		assert_int_equal(errno, EPIPE);
		over(&p);
	}
}

/* Who shuts his ear still speaks. */
static void test_deaf(void **state)
{
	struct pair p = make(SOCK_STREAM);
	char got[10];
	ssize_t n = 1;

	(void)state;
	shutdown(p.end[0], SHUT_RD);
	for (unsigned i = 0; i < 1000 && n == 1; i++) {
		n = send(p.end[1], "x", 1, MSG_NOSIGNAL);
		usleep(1000);
	}
	assert_int_equal(errno, EPIPE);
	put(p.end[0], "heard", 5);
	assert_int_equal(recv(p.end[1], got, sizeof(got), 0), 5);
	over(&p);
}

/* Nobody reads: who sends is held up, and all ends all the same. */
static void test_full(void **state)
{
	struct pair p = make(SOCK_STREAM);
	static uint8_t data[65536];
	size_t sent = 0;
	ssize_t n;

	(void)state;
	for (unsigned quiet = 0; quiet < 20; ) {
		n = send(p.end[0], data, sizeof(data),
			 MSG_DONTWAIT | MSG_NOSIGNAL);
		sent += n > 0 ? (size_t)n : 0;
		quiet = n > 0 ? 0 : quiet + 1;
		usleep(5000);
	}
	assert_true(sent < 4u << 20);
	/* The other way goes on. */
	put(p.end[1], "back", 4);
	assert_int_equal(recv(p.end[0], data, 10, 0), 4);
	over(&p);
}

static void pass(int s, const int *fd, unsigned count)
{
	union {
		struct cmsghdr c;
		char b[CMSG_SPACE(40 * sizeof(int))];
	} room;
	struct iovec iov = { "x", 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1,
			    .msg_control = &room,
			    .msg_controllen = CMSG_SPACE(count * sizeof(int)) };

	memset(&room, 0, sizeof(room));
	room.c.cmsg_level = SOL_SOCKET;
	room.c.cmsg_type = SCM_RIGHTS;
	room.c.cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(&room.c), fd, count * sizeof(int));
	assert_int_equal(sendmsg(s, &m, MSG_NOSIGNAL), 1);
}

static int take(int s)
{
	union { struct cmsghdr c; char b[CMSG_SPACE(2 * sizeof(int))]; } room;
	char text[10];
	struct iovec iov = { text, sizeof(text) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1,
			    .msg_control = &room,
			    .msg_controllen = sizeof(room) };
	int fd = -1;

	assert_int_equal(recvmsg(s, &m, 0), 1);
	if (CMSG_FIRSTHDR(&m)) {
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	}
	return fd;
}

/* A file comes with its byte, with the access and place that it had. */
static void test_file(void **state)
{
	struct pair p = make(SOCK_STREAM);
	int fd = open(file_path, O_WRONLY | O_APPEND), got;

	(void)state;
	put(p.end[0], "a", 1);
	assert_int_equal(take(p.end[1]), -1);
	pass(p.end[0], &fd, 1);
	put(p.end[0], "b", 1);
	got = take(p.end[1]);
	assert_true(got >= 0);
	assert_int_equal(fcntl(got, F_GETFL) & (O_ACCMODE | O_APPEND),
			 O_WRONLY | O_APPEND);
	close(got);
	close(fd);
	fd = open(file_path, O_RDONLY);
	lseek(fd, 3, SEEK_SET);
	assert_int_equal(take(p.end[1]), -1);
	pass(p.end[0], &fd, 1);
	got = take(p.end[1]);
	assert_int_equal(lseek(got, 0, SEEK_CUR), 3);
	assert_int_equal(fcntl(got, F_GETFL) & O_ACCMODE, O_RDONLY);
	close(got);
	close(fd);
	over(&p);
}

/* Everything else ends the connection, at both ends. */
static void test_refused(void **state)
{
	int pipes[2], udp = socket(AF_INET, SOCK_DGRAM, 0), many[33];
	int alone = socket(AF_UNIX, SOCK_STREAM, 0);
	int what[] = { -1, eventfd(0, 0), memfd_create("m", 0), udp, alone,
		       open("/dev/null", O_RDONLY), open("/", O_RDONLY),
		       open(file_path, O_PATH) };
	char c;

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	what[0] = pipes[0];
	for (size_t i = 0; i < sizeof(what) / sizeof(what[0]); i++) {
		struct pair p = make(i & 1 ? SOCK_STREAM : SOCK_SEQPACKET);

		pass(p.end[0], &what[i], 1);
		assert_true(recv(p.end[0], &c, 1, 0) <= 0);
		assert_true(recv(p.end[1], &c, 1, 0) <= 0);
		over(&p);
		close(what[i]);
	}
	for (unsigned i = 0; i < 33; i++) {
		many[i] = open(file_path, O_RDONLY);
	}
	struct pair p = make(SOCK_STREAM);

	pass(p.end[0], many, 33);
	assert_true(recv(p.end[0], &c, 1, 0) <= 0);
	over(&p);
}

static void start(int unix_fd, int vsock)
{
	(void)unix_fd;
	(void)vsock;
	fail();
}

/* What another Linux says is a file may be a pipe that nobody writes to. */
static void test_pipe(void **state)
{
	struct sockets_fd from = { .kind = SOCKETS_FD_FILE, .id = FILE_NODE };
	static const uint32_t flags[] = { O_RDONLY, O_WRONLY, O_RDWR };
	int fd;

	(void)state;
	assert_true(sockets_fds_make(&from, 1, &fd, start));
	assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	close(fd);
	from.id = PIPE_NODE;
	for (unsigned i = 0; i < 3; i++) {
		from.flags = flags[i];
		assert_false(sockets_fds_make(&from, 1, &fd, start));
	}
}

static int setup(void **state)
{
	int fd = mkstemp(file_path);
	struct stat st;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	alarm(60);
	if (fd < 0 || write(fd, "0123456789", 10) != 10 ||
	    fstat(fd, &st) != 0) {
		return -1;
	}
	file_dev = st.st_dev;
	file_ino = st.st_ino;
	snprintf(pipe_path, sizeof(pipe_path), "%s.p", file_path);
	return close(fd) | mkfifo(pipe_path, 0600);
}

static int teardown(void **state)
{
	(void)state;
	return unlink(file_path) | unlink(pipe_path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stream),
		cmocka_unit_test(test_packets),
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_deaf),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_pipe),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
