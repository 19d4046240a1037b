/* SPDX-License-Identifier: MIT */
/*
 * Means harm to the host's service for its console's commands: too many connections,
 * too long lines, bytes that nobody can type, answers that are not taken. Says what
 * came of each.
 */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

#define PORT		568u
#define MANY		12
#define WAIT_MS		2000

/* A connection; -1: the host will have no more of them. */
static int reach(void)
{
	const struct sockaddr_vm host = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST,
		.svm_port = PORT,
	};
	struct sockaddr_vm own = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY,
		.svm_port = 800,
	};
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

	/* As root: a reserved port. */
	while (bind(fd, (struct sockaddr *)&own, sizeof(own)) &&
	       errno == EADDRINUSE) {
		own.svm_port++;
	}
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&host,
			       sizeof(host)) == 0) {
		return fd;
	}
	if (fd < 0 || errno != ECONNRESET) {
		perror("enemy: connect");
		exit(1);
	}
	close(fd);
	return -1;
}

/* Whether the host has ended it, or does within a while; what it says is dropped. */
static int ended(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char buf[4096];

	while (poll(&p, 1, WAIT_MS) > 0) {
		if (read(fd, buf, sizeof(buf)) <= 0) {
			return 1;
		}
	}
	return 0;
}

/* Those that the host has not ended of so many at once. */
static int many(void)
{
	int fds[MANY], left = 0;

	for (int i = 0; i < MANY; i++) {
		fds[i] = reach();
		(void)!send(fds[i], "sta", 3, MSG_NOSIGNAL);
	}
	usleep(WAIT_MS * 1000);
	for (int i = 0; i < MANY; i++) {
		struct pollfd p = { .fd = fds[i], .events = POLLIN };

		/* One that is refused has an end to read. */
		left += fds[i] >= 0 && poll(&p, 1, 0) == 0;
	}
	for (int i = 0; i < MANY; i++) {
		close(fds[i]);
	}
	usleep(100000);
	return left;
}

static int one(const char *bytes, size_t len)
{
	int fd = reach(), is;

	(void)!send(fd, bytes, len, MSG_NOSIGNAL);
	is = ended(fd);
	close(fd);
	return is;
}

int main(int argc, char **argv)
{
	static char lines[8192];

	if (argc > 1 && strcmp(argv[1], "hold") == 0) {
		/* Asks for what is long and takes nothing, until it is ended. */
		int fd = reach();

		dprintf(fd, "%s\n", argv[2]);
		pause();
	}
	printf("many %d\n", many());
	memset(lines, 'x', sizeof(lines));
	printf("long %d\n", one(lines, sizeof(lines)));
	printf("two %d\n", one("help\nhelp\n", 10));
	printf("nul %d\n", one("he\0lp\n", 6));
	printf("escape %d\n", one("help \033[2J\n", 10));
	printf("bytes %d\n", one("help \x9b" "2J\n", 9));
	printf("nothing %d\n", one("\n", 1));
	return 0;
}
