/* SPDX-License-Identifier: MIT */
/*
 * connects serve PORT: in the background, sends back what comes by TCP, a connection
 * at a time.
 * connects vsock COUNT, connects tcp ADDRESS COUNT: as many connections to the host's
 * echo, in turn; each has its number sent back, and its end. Says how many went well.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#define ECHO	7

static void serve(unsigned short port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons(port) };
	int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	char data[4096];

	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(s, (struct sockaddr *)&at, sizeof(at)) || listen(s, 64) ||
	    daemon(0, 0)) {
		perror("connects: serve");
		exit(1);
	}
	for (;;) {
		int c = accept(s, NULL, NULL);
		ssize_t n;

		while (c >= 0 && (n = recv(c, data, sizeof(data), 0)) > 0 &&
		       send(c, data, (size_t)n, MSG_NOSIGNAL) == n) {
		}
		close(c);
	}
}

/* One connection; NULL, or what does not go. */
static const char *one(const struct sockaddr *to, socklen_t len, int number)
{
	int s = socket(to->sa_family, SOCK_STREAM, 0), back = -1;
	const char *wrong = NULL;
	char end;

	if (s < 0 || connect(s, to, len)) {
		wrong = "connect";
	} else if (send(s, &number, sizeof(number), MSG_NOSIGNAL) !=
		   sizeof(number)) {
		wrong = "send";
	} else if (recv(s, &back, sizeof(back), MSG_WAITALL) != sizeof(back) ||
		   back != number) {
		wrong = "recv";
	} else if (shutdown(s, SHUT_WR) || recv(s, &end, 1, 0) != 0) {
		wrong = "its end";
	}
	if (s >= 0) {
		close(s);
	}
	return wrong;
}

int main(int argc, char **argv)
{
	struct sockaddr_vm host = { .svm_family = AF_VSOCK,
				    .svm_cid = VMADDR_CID_HOST,
				    .svm_port = ECHO };
	struct sockaddr_in far = { .sin_family = AF_INET,
				   .sin_port = htons(ECHO) };
	const struct sockaddr *to = (struct sockaddr *)&host;
	socklen_t len = sizeof(host);
	int count;

	if (argc == 3 && strcmp(argv[1], "serve") == 0) {
		serve((unsigned short)atoi(argv[2]));
	}
	if (argc == 4 && inet_pton(AF_INET, argv[2], &far.sin_addr) == 1) {
		to = (struct sockaddr *)&far;
		len = sizeof(far);
	} else if (argc != 3) {
		return 2;
	}
	count = atoi(argv[argc - 1]);
	for (int i = 0; i < count; i++) {
		const char *wrong = one(to, len, i);

		if (wrong) {
			printf("the %dth: %s: %s\n", i, wrong, strerror(errno));
			return 1;
		}
	}
	printf("%d connections\n", count);
	return 0;
}
