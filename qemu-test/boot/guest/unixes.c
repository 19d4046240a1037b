/* SPDX-License-Identifier: MIT */
/*
 * Sockets of AF_UNIX, as programs use them: `unixes serve TYPE PATH` answers whoever
 * connects, each in a process of its own; the other words are clients of it. TYPE is
 * "s", a stream, or "p", packets. All that a client sees goes to standard output.
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
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

#include "../../../proto/sockets.h"

#define MANY	100

static const char *path;
static int type;

/* What it was is what counts: the status is 0. */
static void fail(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	exit(0);
}

static struct sockaddr_un address(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	return a;
}

static int try_reach(void)
{
	struct sockaddr_un a = address();
	int s = socket(AF_UNIX, type, 0), on = 1;

	setsockopt(s, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
	if (connect(s, (struct sockaddr *)&a, sizeof(a)) != 0) {
		int error = errno;

		close(s);
		errno = error;
		return -1;
	}
	return s;
}

static int reach(void)
{
	int s = try_reach();

	if (s < 0) {
		fail("connect");
	}
	return s;
}

/* Whose the last message was, as the kernel says. */
static struct ucred sender;

/* Who is at the other end, and, if they differ, whose its last message was. */
static const char *peer(int s)
{
	static char text[60];
	struct ucred c;
	socklen_t len = sizeof(c);

	if (getsockopt(s, SOL_SOCKET, SO_PEERCRED, &c, &len) != 0) {
		fail("SO_PEERCRED");
	}
	snprintf(text, sizeof(text), c.uid == sender.uid && c.gid == sender.gid
		 ? "%u:%u" : "%u:%u, by the message %u:%u", c.uid, c.gid,
		 sender.uid, sender.gid);
	return text;
}

static void pass(int s, int fd, const char *text)
{
	union { struct cmsghdr c; char b[CMSG_SPACE(sizeof(int))]; } room;
	struct iovec iov = { (void *)text, strlen(text) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1,
			    .msg_control = &room,
			    .msg_controllen = sizeof(room.b) };

	memset(&room, 0, sizeof(room));
	room.c.cmsg_level = SOL_SOCKET;
	room.c.cmsg_type = SCM_RIGHTS;
	room.c.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&room.c), &fd, sizeof(int));
	if (sendmsg(s, &m, MSG_NOSIGNAL) < 0) {
		fail("sendmsg");
	}
}

/* A message, and the descriptor with it, or -1. */
static ssize_t get(int s, void *to, size_t size, int *fd)
{
	union {
		struct cmsghdr c;
		char b[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(sender))];
	} room;
	struct iovec iov = { to, size };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1,
			    .msg_control = &room,
			    .msg_controllen = sizeof(room.b) };
	ssize_t n = recvmsg(s, &m, 0);

	*fd = -1;
	for (struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&m); c;
	     c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_type == SCM_RIGHTS) {
			memcpy(fd, CMSG_DATA(c), sizeof(int));
		} else if (c->cmsg_type == SCM_CREDENTIALS) {
			memcpy(&sender, CMSG_DATA(c), sizeof(sender));
		}
	}
	return n;
}

static void put(int s, const void *data, size_t len)
{
	for (size_t at = 0; at < len; ) {
		ssize_t n = send(s, (const char *)data + at, len - at,
				 MSG_NOSIGNAL);

		if (n < 0) {
			fail("send");
		}
		at += (size_t)n;
	}
}

/* ---- The server: what a client's first byte says ---- */

static void given(int s, int fd)
{
	struct ucred c = { 0 };
	socklen_t len = sizeof(c);
	struct stat st;
	char text[100];
	ssize_t n;

	fstat(fd, &st);
	if (S_ISSOCK(st.st_mode)) {
		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &len);
		put(fd, "hello over what was passed", 26);
		dprintf(s, "took a socket of %u:%u", c.uid, c.gid);
		shutdown(fd, SHUT_WR);
		while (read(fd, text, sizeof(text)) > 0) {
		}
		return;
	}
	n = read(fd, text, sizeof(text) - 1);
	n = n < 0 ? 0 : n;
	text[n] = '\0';
	dprintf(s, "read %zd at %ld, access %d: %s", n,
		(long)lseek(fd, 0, SEEK_CUR), fcntl(fd, F_GETFL) & O_ACCMODE,
		text);
}

static void answer(int s)
{
	static char data[70000];
	int fd = -1;
	ssize_t n = get(s, data, sizeof(data), &fd);

	if (fd >= 0) {
		given(s, fd);
	} else if (n > 0 && data[0] == 'w') {
		dprintf(s, "you are %s", peer(s));
	} else if (n > 0 && data[0] == 'f') {
		/* More than anybody holds, to one who may not read. */
		memset(data, 'f', sizeof(data));
		while (send(s, data, sizeof(data), MSG_NOSIGNAL) > 0) {
		}
	} else if (n > 0 && data[0] == 'g') {
		pass(s, open("/mnt/host/given", O_RDONLY), "here");
	} else {
		while (n > 0 && send(s, data, (size_t)n, MSG_NOSIGNAL) == n) {
			n = recv(s, data, sizeof(data), 0);
		}
		put(s, "end", 3);
	}
}

static void serve(void)
{
	struct sockaddr_un a = address();
	int l = socket(AF_UNIX, type, 0), on = 1;

	setsockopt(l, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
	unlink(path);
	umask(0);
	if (bind(l, (struct sockaddr *)&a, sizeof(a)) != 0 ||
	    listen(l, 50) != 0) {
		fail("listen");
	}
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int s = accept(l, NULL, NULL);

		if (fork() == 0) {
			close(l);
			answer(s);
			exit(0);
		}
		close(s);
	}
}

/* ---- Clients ---- */

/* Sends size bytes, or messages of growing sizes, and gets them back; then only one
 * way is shut. */
static void echo(size_t size)
{
	int s = reach();
	uint32_t sent = 1, got = 1, bad = 0;

	if (fork() == 0) {
		uint8_t b[4096];

		for (size_t at = 0; at < size; ) {
			size_t n = type == SOCK_STREAM ? sizeof(b)
						       : at % sizeof(b) + 1;

			n = n < size - at ? n : size - at;
			for (size_t i = 0; i < n; i++) {
				sent = sent * 1103515245 + 12345;
				b[i] = (uint8_t)(sent >> 16);
			}
			b[0] = at == 0 ? 'e' : b[0];
			put(s, b, n);
			at += n;
		}
		shutdown(s, SHUT_WR);
		exit(0);
	}
	for (size_t at = 0; ; ) {
		uint8_t b[8192];
		size_t n = type == SOCK_STREAM ? sizeof(b) : at % 4096 + 1;
		ssize_t is = recv(s, b, sizeof(b), 0);

		if (is == 3 && at == size && memcmp(b, "end", 3) == 0) {
			printf("%zu bytes came back, %u wrong, then the end\n",
			       at, bad);
			break;
		}
		if (is <= 0) {
			printf("%zu bytes came back, then %zd\n", at, is);
			break;
		}
		n = n < size - at ? n : size - at;
		bad += type != SOCK_STREAM && (size_t)is != n;
		if (type == SOCK_STREAM && at + (size_t)is == size + 3) {
			is -= 3;
		}
		for (ssize_t i = 0; i < is; i++) {
			got = got * 1103515245 + 12345;
			bad += at + (size_t)i > 0 && b[i] != (uint8_t)(got >> 16);
		}
		at += (size_t)is;
		if (type == SOCK_STREAM && at == size && is < 8192 - 3 &&
		    memcmp(b + is, "end", 3) == 0) {
			printf("%zu bytes came back, %u wrong, then the end\n",
			       at, bad);
			break;
		}
	}
	wait(NULL);
}

static void who(void)
{
	char text[100] = "";
	int s = reach(), fd;

	put(s, "w", 1);
	get(s, text, sizeof(text) - 1, &fd);
	printf("the server is %s\n%s\n", peer(s), text);
}

/* One after the other, and some at once. */
static void many(void)
{
	int all[30], good = 0;
	char b;

	for (int i = 0; i < MANY; i++) {
		int s = reach();

		put(s, "e", 1);
		good += recv(s, &b, 1, 0) == 1 && b == 'e';
		close(s);
	}
	for (int i = 0; i < 30; i++) {
		all[i] = reach();
		put(all[i], "e", 1);
	}
	for (int i = 0; i < 30; i++) {
		good += recv(all[i], &b, 1, 0) == 1 && b == 'e';
	}
	printf("%d of %d answered\n", good, MANY + 30);
}

/* Reads nothing, then all it can, and looks whether others go on meanwhile. */
static void flood(void)
{
	int s = reach();

	put(s, "f", 1);
	sleep(1);
	who();
	close(s);
	printf("the flood is over\n");
}

/* Sends a line; shows the answer to its end, and whose it was. */
static void line(const char *text)
{
	char answer[4096];
	int s = reach(), fd;
	ssize_t n;

	put(s, text, strlen(text));
	put(s, "\n", 1);
	while ((n = get(s, answer, sizeof(answer), &fd)) > 0) {
		fwrite(answer, 1, (size_t)n, stdout);
	}
	printf("the server is %s\n", peer(s));
}

static void give(const char *what)
{
	char text[200] = "";
	int s = reach(), pair[2], fd = -1;
	ssize_t n;

	if (strcmp(what, "socket") == 0) {
		socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
		pass(s, pair[1], "x");
		close(pair[1]);
		n = read(pair[0], text, sizeof(text) - 1);
		printf("%s, then %zd\n", text, n > 0 ? read(pair[0], text, 1) : n);
		memset(text, 0, sizeof(text));
	} else if (strcmp(what, "pipe") == 0) {
		fd = pipe(pair) == 0 ? pair[0] : -1;
	} else if (strcmp(what, "event") == 0) {
		fd = eventfd(0, 0);
	} else if (strcmp(what, "memory") == 0) {
		fd = memfd_create("m", 0);
	} else {
		fd = open(what, O_RDONLY);
		lseek(fd, 2, SEEK_SET);
	}
	if (fd >= 0) {
		pass(s, fd, "x");
	}
	n = recv(s, text, sizeof(text) - 1, 0);
	printf("%s\n", n > 0 ? text : n == 0 ? "it was closed"
					     : strerror(errno));
}

static void ask(void)
{
	char text[100] = "";
	int s = reach(), fd;

	put(s, "g", 1);
	get(s, text, sizeof(text), &fd);
	printf("%s: ", text);
	memset(text, 0, sizeof(text));
	if (read(fd, text, sizeof(text) - 1) < 0) {
		fail("read");
	}
	printf("%s", text);
}

/* Says to the host, as the agent does, that a user connects. */
static void lie(uint32_t uid, uint32_t port)
{
	const struct sockaddr_vm own = { .svm_family = AF_VSOCK,
		.svm_cid = VMADDR_CID_ANY, .svm_port = port };
	const struct sockaddr_vm host = { .svm_family = AF_VSOCK,
		.svm_cid = VMADDR_CID_HOST, .svm_port = SOCKETS_PORT };
	struct { struct file_handle head; uint32_t id[3]; } h = {
		.head = { .handle_bytes = sizeof(h.id) } };
	struct {
		struct sockets_head head;
		struct sockets_open open;
		struct sockets_head data;
		char text[100];
	} says = {
		.head = { SOCKETS_OPEN, sizeof(says.open) },
		.open = { .node = { .type = (uint32_t)type },
			  .uid = uid, .gid = uid },
		.data = { SOCKETS_DATA, 1 }, .text = "w",
	};
	int s = socket(AF_VSOCK, SOCK_STREAM, 0), mount;

	if (name_to_handle_at(AT_FDCWD, path, &h.head, &mount, 0) != 0) {
		fail("name_to_handle_at");
	}
	says.open.node.nodeid = (uint64_t)h.id[0] << 32 | h.id[1];
	if (bind(s, (const struct sockaddr *)&own, sizeof(own)) != 0) {
		fail("bind");
	}
	if (connect(s, (const struct sockaddr *)&host, sizeof(host)) != 0) {
		fail("connect");
	}
	put(s, &says, (size_t)((uint8_t *)says.text + 1 - (uint8_t *)&says));
	if (recv(s, &says.data, sizeof(says.data), MSG_WAITALL) !=
	    sizeof(says.data)) {
		printf("it was closed\n");
		return;
	}
	read(s, says.text, sizeof(says.text));
	printf("%.*s\n", (int)says.data.len, says.text);
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	type = argv[2][0] == 'p' ? SOCK_SEQPACKET : SOCK_STREAM;
	path = argv[3];
	if (strcmp(argv[1], "serve") == 0) {
		serve();
	} else if (strcmp(argv[1], "echo") == 0) {
		echo((size_t)atol(argv[4]));
	} else if (strcmp(argv[1], "who") == 0) {
		who();
	} else if (strcmp(argv[1], "many") == 0) {
		many();
	} else if (strcmp(argv[1], "flood") == 0) {
		flood();
	} else if (strcmp(argv[1], "give") == 0) {
		give(argv[4]);
	} else if (strcmp(argv[1], "line") == 0) {
		line(argv[4]);
	} else if (strcmp(argv[1], "lie") == 0) {
		lie((uint32_t)atoll(argv[4]), (uint32_t)atoi(argv[5]));
	} else if (strcmp(argv[1], "ask") == 0) {
		ask();
	} else if (strcmp(argv[1], "wait") == 0) {
		for (int s = -1; s < 0; s = try_reach()) {
			usleep(10000);
		}
		printf("it is there\n");
	}
	return 0;
}
