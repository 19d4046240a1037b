/* SPDX-License-Identifier: MIT */
/*
 * echoes PORT: sends each datagram that comes to that port of UDP back.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET }, from;
	static char data[65536];
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	if (argc != 2 || s < 0) {
		return 2;
	}
	at.sin_port = htons((unsigned short)atoi(argv[1]));
	if (bind(s, (struct sockaddr *)&at, sizeof(at))) {
		return 1;
	}
	for (;;) {
		socklen_t size = sizeof(from);
		ssize_t n = recvfrom(s, data, sizeof(data), 0,
				     (struct sockaddr *)&from, &size);

		if (n < 0 || sendto(s, data, (size_t)n, 0,
				    (struct sockaddr *)&from, size) != n) {
			return 1;
		}
	}
}
