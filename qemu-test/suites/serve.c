/* SPDX-License-Identifier: MIT */
/*
 * Serves a volume as host-bridge does, to the Linux that this runs on: its fuse
 * module stands where Linux with our driver stands. With it the suites try the
 * server and the volume in minutes, under ASan and UBSan, on a processor; of the
 * driver, and of what it and the server have to say to each other, they see
 * nothing here.
 *
 *   serve IMAGE FOLDER	(root; IMAGE is ext4, of blocks of 4096 bytes)
 *
 * Returns when FOLDER is mounted. When it is unmounted, IMAGE is as it was left
 * there; it is locked until then.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "host-bridge/blk/volume_dev.h"
#include "host-bridge/files/fuse_server_int.h"

#define MESSAGE_MAX	(FUSE_CHANNEL_DATA_MAX + FUSE_CHANNEL_HEAD_MAX)
#define PEER		((const void *)"this Linux")

static int channel;			/* /dev/fuse */
static struct fuse_in_header asked;	/* the last request's */
static struct fuse_channel_done told;	/* notifications */
static uint8_t request[MESSAGE_MAX + 4096];

static void fail(const char *what)
{
	fprintf(stderr, "serve: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* As Linux takes its file times: what it sets itself and what we set agree. */
int64_t volume_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return now.tv_sec * 1000000000ll + now.tv_nsec;
}

/* Bytes of a reply without what only our driver expects: the directories behind
 * it in which names changed. */
static uint32_t without_dirs(const struct fuse_out_header *header)
{
	uint32_t own = sizeof(*header);

	if (header->error != 0 || header->unique != asked.unique ||
	    (fuse_request_flags(asked.opcode) & FUSE_OP_NAMES) == 0) {
		return asked.opcode == FUSE_WRITE && header->error == 0 ?
		       own + (uint32_t)sizeof(struct fuse_write_out) :
		       header->len;
	}
	switch (asked.opcode) {
	case FUSE_CREATE:
		own += sizeof(struct fuse_open_out);
		/* fall through */
	case FUSE_MKNOD:
	case FUSE_MKDIR:
	case FUSE_SYMLINK:
	case FUSE_LINK:
		own += sizeof(struct fuse_entry_out);
	}
	return own;
}

/* fuse_conn_ops.send. Nobody but Linux changes anything here; of the little that it
 * is to be told all the same its fuse module takes nothing. */
static bool on_send(void *arg, const struct volume_seg *segs, unsigned count)
{
	struct fuse_out_header header;
	struct iovec pieces[FUSE_SEGS_MAX];

	(void)arg;
	memcpy(&header, segs[0].data, sizeof(header));
	if (header.unique == 0 || header.unique == UINT64_MAX) {
		told.notified += header.unique == 0;
		return true;
	}
	for (unsigned i = 0; i < count; i++) {
		pieces[i].iov_base = (void *)segs[i].data;
		pieces[i].iov_len = segs[i].len;
	}
	if (without_dirs(&header) != header.len) {
		header.len = without_dirs(&header);
		memcpy((void *)segs[0].data, &header, sizeof(header));
		pieces[0].iov_len = header.len;
	}
	/* ENOENT: who asked was killed. */
	if (writev(channel, pieces, (int)count) < 0 && errno != ENOENT) {
		fprintf(stderr, "serve: the answer to request %u of %u bytes: %s\n",
			asked.opcode, header.len, strerror(errno));
	}
	return true;
}

static void on_end(void *arg)
{
	(void)arg;
	fprintf(stderr, "serve: the server has ended the connection\n");
}

/* A message of the driver's own. */
static void say(struct fuse_conn *conn, uint32_t opcode, uint64_t unique,
		const void *body, size_t len)
{
	struct fuse_in_header header = {
		.len = (uint32_t)(sizeof(header) + len), .opcode = opcode,
		.unique = unique,
	};
	uint8_t message[sizeof(header) + 64];
	size_t used;

	memcpy(message, &header, sizeof(header));
	memcpy(message + sizeof(header), body, len);
	if (fuse_conn_input(conn, message, header.len, UINT64_MAX, &used) !=
	    0) {
		fprintf(stderr, "serve: message %u makes no sense\n", opcode);
	}
}

/* The session, as the driver begins it. */
static void hello(struct fuse_conn *conn)
{
	struct fuse_channel_hello hi = {
		.version = FUSE_CHANNEL_VERSION, .session = 1,
	};

	say(conn, FUSE_CHANNEL_HELLO, UINT64_MAX, &hi, sizeof(hi));
}

static void serve(struct volume *vol)
{
	static const struct fuse_conn_ops ops = {
		.send = on_send, .end = on_end,
	};
	struct fuse_server *server = fuse_server_new(vol, NULL);
	struct fuse_conn *conn = fuse_conn_new(server, &ops, NULL, PEER);
	uint64_t done = 0;
	ssize_t len;
	size_t used;

	hello(conn);
	while ((len = read(channel, request, sizeof(request))) > 0 ||
	       errno == EINTR || errno == ENOENT) {
		if (len <= 0) {
			continue;
		}
		memcpy(&asked, request, sizeof(asked));
		if (fuse_conn_input(conn, request, (size_t)len, UINT64_MAX,
				    &used) != 0) {
			fprintf(stderr, "serve: request %u makes no sense\n",
				asked.opcode);
			break;
		}
		if (done != told.notified) {
			done = told.notified;
			say(conn, FUSE_NOTIFY_REPLY, 0, &told, sizeof(told));
		}
	}
	fuse_conn_free(conn);
	fuse_server_free(server);
}

/* What the device holds, into the file: holes stay holes. */
static void save(struct volume_dev *dev, int file)
{
	static const uint8_t zeros[VOLUME_BLOCK_MAX];
	size_t block = dev->block_size;
	off_t size = (off_t)(dev->blocks * block);

	if (ftruncate(file, 0) != 0 || ftruncate(file, size) != 0) {
		fail("ftruncate");
	}
	for (uint64_t i = 0; i < dev->blocks; i++) {
		const uint8_t *data = dev->ops->peek(dev, i);

		if (memcmp(data, zeros, block) != 0 &&
		    pwrite(file, data, block,
			   (off_t)(i * block)) != (ssize_t)block) {
			fail("pwrite");
		}
	}
}

/* The image's content: memory of ours, as where the boot loader leaves it. */
static struct volume_dev *load(int file)
{
	struct volume_dev *dev;
	struct stat st;
	uint8_t *image;
	off_t at = 0;

	if (fstat(file, &st) != 0) {
		fail("fstat");
	}
	image = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (image == MAP_FAILED) {
		fail("mmap");
	}
	/* Of what lies between is nothing to be read. */
	while ((at = lseek(file, at, SEEK_DATA)) >= 0) {
		off_t end = lseek(file, at, SEEK_HOLE);

		while (at < end) {
			ssize_t n = pread(file, image + at, (size_t)(end - at),
					  at);

			if (n <= 0) {
				fail("pread");
			}
			at += n;
		}
	}
	if (volume_mem_open(image, (size_t)st.st_size, &dev) != 0) {
		fail("volume_mem_open");
	}
	return dev;
}

int main(int argc, char **argv)
{
	struct volume_dev *dev;
	struct volume *vol;
	char options[128];
	int file, error;

	if (argc != 3) {
		fprintf(stderr, "serve IMAGE FOLDER\n");
		return 2;
	}
	file = open(argv[1], O_RDWR);
	channel = open("/dev/fuse", O_RDWR);
	if (file < 0 || channel < 0 || flock(file, LOCK_EX) != 0) {
		fail(argv[1]);
	}
	dev = load(file);
	error = volume_open(dev, &vol);
	if (error != 0) {
		errno = error;
		fail(argv[1]);
	}
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,"
		 "group_id=0,default_permissions,allow_other", channel);
	if (mount(argv[1], argv[2], "fuse", 0, options) != 0) {
		fail(argv[2]);
	}
	if (fork() != 0) {
		_exit(0);
	}
	setsid();
	serve(vol);
	error = volume_close(vol);
	if (error != 0) {
		fprintf(stderr, "serve: volume_close: %s\n", strerror(error));
	}
	save(dev, file);
	dev->ops->close(dev);
	return error;
}
