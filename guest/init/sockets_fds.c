/* SPDX-License-Identifier: MIT */
/*
 * Descriptors from one Linux to another: what they are is told, and made anew there.
 * A file of the host's is opened again, by its node id; a connected socket becomes a
 * connection of its own. All else is refused: it is nothing outside this kernel.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent.h"
#include "init.h"
#include "sockets.h"

/* Of those that fcntl() tells, what a new open file can have, too. */
#define FLAGS	(O_ACCMODE | O_APPEND | O_NONBLOCK | O_DIRECT | O_DIRECTORY | \
		 O_NOATIME)

static bool refuse(const char *what)
{
	init_log("sockets: %s cannot be passed to another Linux", what);
	return false;
}

static int option(int fd, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &len) == 0 ? value : -1;
}

static bool tell_file(int fd, struct sockets_fd *to)
{
	int flags = fcntl(fd, F_GETFL);
	off_t offset = lseek(fd, 0, SEEK_CUR);

	if (flags < 0 || (flags & O_PATH) || !sockets_node_of(fd, &to->id)) {
		return refuse("a file that is not the host's");
	}
	to->kind = SOCKETS_FD_FILE;
	to->flags = (uint32_t)(flags & FLAGS);
	to->offset = offset > 0 ? (uint64_t)offset : 0;
	return true;
}

/* It becomes a connection that who gets it asks the host for. */
static bool tell_socket(int fd, struct sockets_fd *to, sockets_start *start)
{
	struct { struct sockets_head head; struct sockets_token body; } answer;
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	int type = option(fd, SO_TYPE), vsock;

	if (option(fd, SO_DOMAIN) != AF_UNIX ||
	    (type != SOCK_STREAM && type != SOCK_SEQPACKET) ||
	    getpeername(fd, (struct sockaddr *)&peer, &len) != 0) {
		return refuse("a socket that is not a connected AF_UNIX one");
	}
	vsock = sockets_host();
	if (vsock < 0 || !sockets_send(vsock, SOCKETS_PASS, NULL, 0) ||
	    !agent_read_full(vsock, &answer, sizeof(answer)) ||
	    answer.head.type != SOCKETS_TOKEN) {
		close(vsock);
		return refuse("a socket, as there are too many,");
	}
	*to = (struct sockets_fd){
		.kind = SOCKETS_FD_SOCKET, .id = answer.body.token,
		.flags = (uint32_t)type,
	};
	start(fd, vsock);
	close(vsock);
	return true;
}

/** What they are, to be sent. False: one cannot be passed, as the log says. */
bool sockets_fds_tell(const int *fds, unsigned count, struct sockets_fd *to,
		      sockets_start *start)
{
	for (unsigned i = 0; i < count; i++) {
		struct stat st;
		bool good;

		to[i] = (struct sockets_fd){ 0 };
		if (fstat(fds[i], &st) != 0) {
			return refuse("what cannot be looked at");
		}
		if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) {
			good = tell_file(fds[i], &to[i]);
		} else if (S_ISSOCK(st.st_mode)) {
			good = tell_socket(fds[i], &to[i], start);
		} else {
			good = refuse(S_ISFIFO(st.st_mode) ? "a pipe" :
				      S_ISCHR(st.st_mode) ||
				      S_ISBLK(st.st_mode) ? "a device" :
				      "a file of the kernel's own");
		}
		if (!good) {
			return false;
		}
	}
	return true;
}

/* A name may be anything by now, or have been: to open a pipe could wait for ever. */
static int make_file(const struct sockets_fd *from)
{
	int flags = (int)from->flags & FLAGS;
	int fd = sockets_open_node(from->id, flags | O_NONBLOCK);
	struct stat st;

	if (fd >= 0 && (fstat(fd, &st) != 0 || fcntl(fd, F_SETFL, flags) != 0 ||
	    !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))) {
		close(fd);
		errno = EINVAL;
		return -1;
	}
	if (fd >= 0 && from->offset > 0) {
		(void)lseek(fd, (off_t)from->offset, SEEK_SET);
	}
	return fd;
}

/* Whose the other end is nobody here knows, so it is nobody's (SO_PEERCRED). */
static int make_socket(const struct sockets_fd *from, sockets_start *start)
{
	const struct sockets_token take = { .token = from->id };
	int pair[2], vsock;
	bool good = sockets_become(SOCKETS_NOBODY, SOCKETS_NOBODY) &&
		    socketpair(AF_UNIX, (int)from->flags | SOCK_CLOEXEC, 0,
			       pair) == 0;

	sockets_be_root();
	if (!good) {
		return -1;
	}
	vsock = sockets_host();
	if (vsock >= 0 && sockets_send(vsock, SOCKETS_TAKE, &take,
				       sizeof(take))) {
		start(pair[1], vsock);
	} else {
		close(pair[0]);
		pair[0] = -1;
	}
	close(pair[1]);
	close(vsock);
	return pair[0];
}

/** Makes what was sent. False: one could not be made, and there is none. */
bool sockets_fds_make(const struct sockets_fd *from, unsigned count, int *fds,
		      sockets_start *start)
{
	for (unsigned i = 0; i < count; i++) {
		fds[i] = from[i].kind == SOCKETS_FD_FILE ? make_file(&from[i])
			 : make_socket(&from[i], start);
		if (fds[i] < 0) {
			init_log("sockets: what another Linux has passed is not "
				 "there: %m");
			while (i-- > 0) {
				close(fds[i]);
			}
			return false;
		}
	}
	return true;
}
