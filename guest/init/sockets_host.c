/* SPDX-License-Identifier: MIT */
/*
 * What the processes for sockets have of the host: its files by their node ids, and
 * connections to it, which come from reserved ports: only root and the kernel have
 * these, so the host believes what is said there of other users.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

#include "agent.h"
#include "init.h"
#include "sockets.h"

#define PORT_FIRST	200u	/* the driver's and others' are above */
#define PORT_LAST	599u
#define SECONDS		10
#define FUSE_HANDLE	0x81	/* FILEID_INO64_GEN */

/* What a handle of FUSE's is. [Linux fs/fuse/inode.c, fuse_encode_fh()] */
struct fuse_handle {
	struct file_handle head;
	uint32_t id[3];		/* node id, high and low half; generation */
};

static int mount_fd = -1;
static dev_t mount_dev;

/** Opens the mount, by which all files of the host's are found; anew, too, for in a
 * template's child it is another. */
bool sockets_mount(void)
{
	struct stat st;

	close(mount_fd);
	mount_fd = open(INIT_HOST_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mount_fd < 0 || fstat(mount_fd, &st) != 0) {
		return false;
	}
	mount_dev = st.st_dev;
	return true;
}

/** Opens a file of the host's anew; -1 with errno. */
int sockets_open_node(uint64_t nodeid, int flags)
{
	struct fuse_handle h = {
		.head = { .handle_bytes = sizeof(h.id),
			  .handle_type = FUSE_HANDLE },
		.id = { (uint32_t)(nodeid >> 32), (uint32_t)nodeid,
			nodeid == 1 ? 0 : (uint32_t)(nodeid >> 32) },
	};

	return open_by_handle_at(mount_fd, &h.head, flags | O_CLOEXEC);
}

/** Whether an open file is the host's, and which. */
bool sockets_node_of(int fd, uint64_t *nodeid)
{
	struct fuse_handle h = { .head = { .handle_bytes = sizeof(h.id) } };
	struct stat st;
	int id;

	if (fstat(fd, &st) != 0 || st.st_dev != mount_dev ||
	    name_to_handle_at(fd, "", &h.head, &id, AT_EMPTY_PATH) != 0 ||
	    h.head.handle_type != FUSE_HANDLE) {
		return false;
	}
	*nodeid = (uint64_t)h.id[0] << 32 | h.id[1];
	return true;
}

/** A connection to the host's service; -1 with errno. */
int sockets_host(void)
{
	const struct sockaddr_vm host = { .svm_family = AF_VSOCK,
		.svm_cid = VMADDR_CID_HOST, .svm_port = SOCKETS_PORT };
	struct sockaddr_vm own = { .svm_family = AF_VSOCK,
		.svm_cid = VMADDR_CID_ANY };
	int s = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unsigned first = (unsigned)getpid();
	int error;

	if (s < 0) {
		return -1;
	}
	for (unsigned i = 0; i <= PORT_LAST - PORT_FIRST; i++) {
		own.svm_port = PORT_FIRST +
			       (first + i) % (PORT_LAST - PORT_FIRST + 1);
		if (bind(s, (struct sockaddr *)&own, sizeof(own)) == 0 ||
		    errno != EADDRINUSE) {
			break;
		}
	}
	if (connect(s, (const struct sockaddr *)&host, sizeof(host)) == 0) {
		return s;
	}
	error = errno;
	close(s);
	errno = error;
	return -1;
}

/** A frame, whole. */
bool sockets_send(int vsock, uint32_t type, const void *body, size_t len)
{
	struct sockets_head head = { .type = type, .len = (uint32_t)len };
	uint8_t frame[sizeof(head) + sizeof(struct sockets_open)];

	memcpy(frame, &head, sizeof(head));
	if (len > 0) {
		memcpy(frame + sizeof(head), body, len);
	}
	return agent_write_full(vsock, frame, sizeof(head) + len);
}

/**
 * From now on this process' files and calls are that user's. False: it is still
 * root's. A number that says "as before" is none.
 */
bool sockets_become(uint32_t uid, uint32_t gid)
{
	if (uid == UINT32_MAX || gid == UINT32_MAX ||
	    setgroups(0, NULL) != 0 || setegid(gid) != 0) {
		return false;
	}
	if (seteuid(uid) != 0) {
		sockets_be_root();
		return false;
	}
	return true;
}

void sockets_be_root(void)
{
	if (seteuid(0) != 0 || setegid(0) != 0) {
		_exit(1);
	}
}

/**
 * What this process sends from now on is that user's to whoever asks the kernel who
 * sent it (SO_PASSCRED); it has root's rights as before.
 */
void sockets_speak_as(uint32_t uid, uint32_t gid)
{
	if (setresgid(gid, 0, 0) != 0 || setresuid(uid, 0, 0) != 0) {
		_exit(1);
	}
}
