/* SPDX-License-Identifier: MIT */
/*
 * The 9P server as a program of the build machine: an ext4 image on a TCP port
 * of this host, so that a stock Linux can mount it (trans=tcp) and be the
 * judge. Ends when its input does; then the image is written back.
 *
 *     p9_tcp IMAGE PORT
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "host-bridge/files/p9_server.h"
#include "host-bridge/blk/volume_dev.h"

#define CLIENTS	8

struct client {
	int fd;				/* 0: free */
	struct p9_session *session;
};

static struct client clients[CLIENTS];
static struct p9_server *server;

int64_t volume_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000000000ll + now.tv_nsec;
}

static bool client_send(void *arg, const struct volume_seg *segs,
			unsigned count)
{
	const struct client *client = arg;

	for (unsigned i = 0; i < count; i++) {
		const char *data = segs[i].data;
		size_t done = 0;

		while (done < segs[i].len) {
			ssize_t n = send(client->fd, data + done,
					 segs[i].len - done,
					 i + 1 < count ? MSG_MORE : 0);

			if (n <= 0) {
				return true;	/* poll() will tell */
			}
			done += (size_t)n;
		}
	}
	return true;
}

static void client_drop(struct client *client)
{
	p9_session_free(client->session);
	close(client->fd);
	client->fd = 0;
}

static void client_serve(struct client *client)
{
	static uint8_t data[65536];
	ssize_t n = recv(client->fd, data, sizeof(data), 0);
	size_t used;

	if (n <= 0 || p9_session_input(client->session, data, (size_t)n,
				       &used) != 0) {
		client_drop(client);
	}
}

static void client_accept(int listener)
{
	int on = 1, fd = accept(listener, NULL, NULL);

	for (int i = 0; fd >= 0 && i < CLIENTS; i++) {
		if (clients[i].fd == 0) {
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on,
				   sizeof(on));
			clients[i].fd = fd;
			clients[i].session = p9_session_new(server,
							    client_send,
							    &clients[i]);
			return;
		}
	}
	close(fd);
}

static void serve(int listener)
{
	struct pollfd polls[CLIENTS + 2];

	for (;;) {
		polls[CLIENTS] = (struct pollfd){ listener, POLLIN, 0 };
		polls[CLIENTS + 1] = (struct pollfd){ 0, POLLIN, 0 };
		for (int i = 0; i < CLIENTS; i++) {
			int fd = clients[i].fd != 0 ? clients[i].fd : -1;

			polls[i] = (struct pollfd){ fd, POLLIN, 0 };
		}
		poll(polls, CLIENTS + 2, -1);
		if (polls[CLIENTS + 1].revents != 0) {
			return;
		}
		if (polls[CLIENTS].revents != 0) {
			client_accept(listener);
		}
		for (int i = 0; i < CLIENTS; i++) {
			if (polls[i].revents != 0) {
				client_serve(&clients[i]);
			}
		}
	}
}

static int fail(const char *what)
{
	perror(what);
	return 1;
}

int main(int argc, char **argv)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1, error;
	struct volume_dev *dev;
	struct volume *vol;
	uint8_t *image;
	size_t size;
	FILE *file;

	if (argc != 3 || (file = fopen(argv[1], "r+b")) == NULL) {
		return fail("p9_tcp IMAGE PORT");
	}
	fseek(file, 0, SEEK_END);
	size = (size_t)ftell(file);
	rewind(file);
	image = malloc(size);
	if (image == NULL || fread(image, 1, size, file) != size) {
		return fail(argv[1]);
	}
	error = volume_mem_open(image, size, &dev);
	errno = error != 0 ? error : volume_open(dev, &vol);
	if (errno != 0) {
		return fail(argv[1]);
	}
	server = p9_server_new(vol);
	addr.sin_port = htons((uint16_t)atoi(argv[2]));
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (void *)&addr, sizeof(addr)) != 0 ||
	    listen(listener, CLIENTS) != 0) {
		return fail(argv[2]);
	}
	serve(listener);
	errno = volume_close(vol);
	rewind(file);
	for (uint64_t i = 0; i < dev->blocks; i++) {
		fwrite(dev->ops->peek(dev, i), VOLUME_BLOCK, 1, file);
	}
	fclose(file);
	return errno != 0 ? fail("close") : 0;
}
