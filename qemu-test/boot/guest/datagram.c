/* SPDX-License-Identifier: MIT */
/*
 * datagram ADDRESS PORT SIZE...: sends a datagram of each size to a service that
 * sends it back, and says of each whether the same came.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	struct timeval patience = { .tv_sec = 20 };
	static unsigned char out[65536], in[65536];
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	if (argc < 4 || s < 0 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1) {
		return 2;
	}
	to.sin_port = htons((unsigned short)atoi(argv[2]));
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	for (int i = 3; i < argc; i++) {
		size_t size = (size_t)atoi(argv[i]);
		ssize_t n;

		for (size_t at = 0; at < size; at++) {
			out[at] = (unsigned char)((at + size) * 2654435761u >> 9);
		}
		if (connect(s, (struct sockaddr *)&to, sizeof(to)) ||
		    send(s, out, size, 0) != (ssize_t)size) {
			perror("datagram");
			return 1;
		}
		n = recv(s, in, sizeof(in), 0);
		printf("%zu bytes: %s\n", size, n == (ssize_t)size &&
		       memcmp(in, out, size) == 0 ? "the same" : "not so");
	}
	return 0;
}
