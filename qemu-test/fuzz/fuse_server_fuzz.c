/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer on the FUSE server: the input is a list of what two mounts do. Most
 * of their messages have the right form, with node ids, numbers and names that
 * mean something, and fields as the input has them; some are raw bytes. Between
 * them connections are reset, requests come again, the peer does not read,
 * notifications are sent, the device fails. Run by make fuzz-files;
 * FUSE_FUZZ_IMAGE names the ext4 image.
 */
#include <sanitizer/asan_interface.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/blk/volume_dev.h"
#include "host-bridge/files/fuse_server_int.h"
#include "host-bridge/rt/seed.h"

#define NODES		16u
#define MOUNTS		2u
#define REDZONE		64u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__asan_default_options(void);

/* A run is over soon: what it has freed need not be remembered for long. */
const char *__asan_default_options(void)
{
	return "malloc_context_size=2:quarantine_size_mb=2";
}

static uint8_t *pristine, *image;
static size_t image_size;
static bool *written;		/* blocks of image that may not be as pristine */

struct input {
	const uint8_t *at, *end;
};

struct mount {
	struct fuse_conn *conn;
	uint64_t session, unique, done;
	bool ended, stop;
	uint32_t len;			/* of the last request */
	_Alignas(8) uint8_t request[2 * FUSE_CHANNEL_DATA_MAX];
};

static struct fuse_server *server;
static struct mount mounts[MOUNTS];
static uint64_t nodes[NODES], handles[NODES];
static unsigned next_node;
static uint8_t sum;
static int64_t now;

int64_t volume_now_ns(void)
{
	return now += 1000;
}

static uint64_t take(struct input *in, unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes && in->at < in->end; i++) {
		value |= (uint64_t)*in->at++ << (8 * i);
	}
	return value;
}

/* Every byte must be there to be read, and the reply be one; what it tells is
 * used again. */
static bool on_send(void *arg, const struct volume_seg *segs, unsigned count)
{
	struct mount *m = arg;
	struct fuse_out_header header;
	struct fuse_entry_out entry;
	size_t all = 0;

	if (m->ended || segs[0].len < sizeof(header)) {
		abort();
	}
	memcpy(&header, segs[0].data, sizeof(header));
	for (unsigned i = 0; i < count; i++) {
		const uint8_t *bytes = segs[i].data;

		for (size_t n = 0; n < segs[i].len; n += 64) {
			sum ^= bytes[n];
		}
		all += segs[i].len;
	}
	if (all != header.len || header.len > sizeof(m->request)) {
		abort();
	}
	if (header.unique == 0) {
		m->done++;
	} else if (header.error == 0 &&
		   segs[0].len >= sizeof(header) + sizeof(entry)) {
		memcpy(&entry, (const uint8_t *)segs[0].data + sizeof(header),
		       sizeof(entry));
		nodes[next_node++ % NODES] = entry.nodeid;
	} else if (header.error == 0 &&
		   segs[0].len == sizeof(header) +
				  sizeof(struct fuse_open_out)) {
		memcpy(&handles[next_node % NODES],
		       (const uint8_t *)segs[0].data + sizeof(header), 8);
	}
	/* In a way that is not seen through. */
	return !m->stop && (sum != 0 || all != 0);
}

static void on_end(void *arg)
{
	((struct mount *)arg)->ended = true;
}

static const struct fuse_conn_ops ops = { .send = on_send, .end = on_end };

static void disconnect(struct mount *m)
{
	if (m->conn != NULL) {
		fuse_conn_free(m->conn);
	}
	m->conn = NULL;
}

/* From memory of just that size: what is around it is poisoned, and all of it
 * afterwards. A connection that has ended is replaced. */
static bool feed(struct mount *m, const uint8_t *data, size_t len)
{
	static _Alignas(8) uint8_t memory[REDZONE + sizeof(m->request)];
	uint8_t *copy = memory + sizeof(memory) - len;
	uint8_t *from = copy - REDZONE + 8 - (uintptr_t)copy % 8;
	size_t at = 0, used;
	int error = 0;

	ASAN_POISON_MEMORY_REGION(from, (size_t)(copy - from));
	ASAN_UNPOISON_MEMORY_REGION(copy, len);
	memcpy(copy, data, len);
	while (error == 0 && at < len) {
		error = fuse_conn_input(m->conn, copy + at, len - at,
					UINT64_MAX, &used);
		at += used;
		if (error == 0 && used == 0) {
			m->stop = false;
			fuse_conn_writable(m->conn);
		}
	}
	ASAN_POISON_MEMORY_REGION(copy, len);
	return error == 0;
}

static void connect_to(struct mount *m, uint64_t notified)
{
	struct {
		struct fuse_in_header header;
		struct fuse_channel_hello in;
	} hi = {
		.header = { .len = sizeof(hi), .opcode = FUSE_CHANNEL_HELLO,
			    .unique = UINT64_MAX },
		.in = { .version = FUSE_CHANNEL_VERSION,
			.session = m->session, .notified = notified },
	};

	disconnect(m);
	m->ended = m->stop = false;
	m->done = notified;
	m->conn = fuse_conn_new(server, &ops, m, m);
	if (m->conn == NULL || !feed(m, (void *)&hi, sizeof(hi))) {
		/* As a new mount the next time. */
		disconnect(m);
		m->session += MOUNTS;
		m->done = 0;
	}
}

static void put(struct mount *m, const void *data, size_t len)
{
	if (len <= sizeof(m->request) - m->len) {
		memcpy(m->request + m->len, data, len);
		m->len += (uint32_t)len;
	}
}

static uint64_t node(struct input *in)
{
	uint8_t which = (uint8_t)take(in, 1);

	return which < 128 ? FUSE_ROOT_ID : which < 250 ? nodes[which % NODES]
							: take(in, 8);
}

/* Fixed part and names of each, as the server's own table has them. */
static const struct form {
	uint8_t opcode, size, names;
} forms[] = {
	{ FUSE_LOOKUP, 0, 1 }, { FUSE_FORGET, 8, 0 }, { FUSE_GETATTR, 16, 0 },
	{ FUSE_SETATTR, 88, 0 }, { FUSE_READLINK, 0, 0 },
	{ FUSE_SYMLINK, 0, 2 }, { FUSE_MKNOD, 16, 1 }, { FUSE_MKDIR, 8, 1 },
	{ FUSE_UNLINK, 0, 1 }, { FUSE_RMDIR, 0, 1 }, { FUSE_RENAME, 8, 2 },
	{ FUSE_LINK, 8, 1 }, { FUSE_OPEN, 8, 0 }, { FUSE_READ, 40, 0 },
	{ FUSE_STATFS, 0, 0 }, { FUSE_RELEASE, 24, 0 }, { FUSE_FSYNC, 16, 0 },
	{ FUSE_GETXATTR, 8, 1 }, { FUSE_LISTXATTR, 8, 0 },
	{ FUSE_REMOVEXATTR, 0, 1 }, { FUSE_FLUSH, 24, 0 },
	{ FUSE_INIT, 64, 0 }, { FUSE_READDIR, 40, 0 }, { FUSE_GETLK, 48, 0 },
	{ FUSE_SETLK, 48, 0 }, { FUSE_SETLKW, 48, 0 }, { FUSE_CREATE, 16, 1 },
	{ FUSE_INTERRUPT, 8, 0 }, { FUSE_IOCTL, 32, 0 },
	{ FUSE_NOTIFY_REPLY, 8, 0 }, { FUSE_FALLOCATE, 32, 0 },
	{ FUSE_READDIRPLUS, 40, 0 }, { FUSE_RENAME2, 16, 2 },
	{ FUSE_LSEEK, 24, 0 }, { FUSE_COPY_FILE_RANGE, 56, 0 },
	{ FUSE_SYNCFS, 8, 0 }, { FUSE_TMPFILE, 16, 1 }, { FUSE_STATX, 24, 0 },
	{ FUSE_DESTROY, 0, 0 }, { FUSE_WRITE, 40, 0 }, { FUSE_SETXATTR, 16, 0 },
	{ FUSE_BATCH_FORGET, 8, 0 },
};

static const char *const names[] = {
	"a", "b", "c", "d", ".", "..", "", "user.a", "security.capability",
	"system.posix_acl_access", "system.posix_acl_default", "trusted.b",
	"a-name-that-is-longer-than-the-others-are", "x/y",
};

/* What makes fields of the fixed part meaningful: a node id where one is, sizes
 * that fit, what the input has in the rest. */
static void put_fixed(struct mount *m, struct input *in, const struct form *f,
		      uint32_t data)
{
	_Alignas(8) uint8_t fixed[96] = { 0 };
	uint64_t id;

	for (unsigned i = 0; i < f->size; i++) {
		uint8_t byte = (uint8_t)take(in, 1);

		/* Mostly zeros, so that fields are small. */
		if (byte == 255) {
			memset(fixed + i, (int)take(in, 1), 8);
			i += 7;
		} else if (byte >= 128) {
			i += byte & 7;
		} else {
			fixed[i] = byte;
		}
	}
	id = node(in);
	switch (f->opcode) {
	case FUSE_RENAME:
	case FUSE_RENAME2:
	case FUSE_LINK:
		memcpy(fixed, &id, sizeof(id));
		break;
	case FUSE_COPY_FILE_RANGE:
		memcpy(fixed + 16, &id, sizeof(id));
		break;
	case FUSE_INTERRUPT:
		id = m->unique - 2 * (id % 16);
		memcpy(fixed, &id, sizeof(id));
		break;
	case FUSE_RELEASE:
		memcpy(fixed, &handles[id % NODES], sizeof(id));
		break;
	case FUSE_WRITE:
		memcpy(fixed + 16, &data, sizeof(data));
		break;
	case FUSE_SETXATTR:
		memcpy(fixed, &data, sizeof(data));
		break;
	case FUSE_IOCTL:
		memcpy(fixed + 24, &data, sizeof(data));
		break;
	case FUSE_BATCH_FORGET:
		data /= 16;
		memcpy(fixed, &data, sizeof(data));
		break;
	}
	put(m, fixed, f->size);
}

static uint32_t data_of(struct input *in, uint8_t opcode)
{
	switch (opcode) {
	case FUSE_WRITE:
		return (uint32_t)take(in, 2) % (FUSE_CHANNEL_DATA_MAX * 3 / 2);
	case FUSE_SETXATTR:
		return (uint32_t)take(in, 1);
	case FUSE_IOCTL:
		return take(in, 1) % 2 != 0 ? 4 : 28;
	case FUSE_BATCH_FORGET:
		return (uint32_t)take(in, 1) % 8 * 16;
	default:
		return 0;
	}
}

/* A message; bit 7 of how: with a wrong length, or bytes that are none of it. */
static void message(struct mount *m, struct input *in)
{
	uint8_t how = (uint8_t)take(in, 1);
	const struct form *f = &forms[take(in, 1) %
				      (sizeof(forms) / sizeof(forms[0]))];
	struct fuse_in_header header = {
		.opcode = how == 255 ? (uint32_t)take(in, 2) : f->opcode,
		.unique = m->unique += 2, .nodeid = node(in),
		.uid = how & 3, .gid = how & 3,
	};
	uint32_t data = data_of(in, f->opcode);
	static uint8_t bytes[256];

	m->len = 0;
	put(m, &header, sizeof(header));
	put_fixed(m, in, f, data);
	for (unsigned i = 0; i < f->names || (i == 0 && f->opcode ==
					      FUSE_SETXATTR); i++) {
		const char *name = names[take(in, 1) % (sizeof(names) /
							sizeof(names[0]))];

		put(m, name, strlen(name) + 1);
	}
	for (unsigned i = 0; i < sizeof(bytes) && i < data; i++) {
		bytes[i] = (uint8_t)take(in, 1);
	}
	for (uint32_t left = data; left > 0; ) {
		uint32_t n = left < sizeof(bytes) ? left : sizeof(bytes);

		put(m, bytes, n);
		left -= n;
	}
	header.len = (how & 0x80) != 0 ? m->len + (uint32_t)take(in, 1) - 16
				       : m->len;
	memcpy(m->request, &header.len, sizeof(header.len));
	if (!feed(m, m->request, m->len)) {
		connect_to(m, m->done);
	}
}

static void notify(struct mount *m, struct input *in)
{
	struct fuse_notify_inval_inode_out body = { .ino = node(in) };

	for (struct fuse_session *s = server->sessions; s != NULL; s = s->next) {
		if (s->id == m->session) {
			(void)fuse_notify(s, 2 + take(in, 1) % 3, &body,
					  sizeof(body), "name", 4);
		}
	}
}

/* It has carried out what it was told. */
static void acknowledge(struct mount *m)
{
	struct {
		struct fuse_in_header header;
		struct fuse_channel_done in;
	} done = {
		.header = { .len = sizeof(done), .opcode = FUSE_NOTIFY_REPLY },
		.in = { .notified = m->done },
	};

	if (!feed(m, (void *)&done, sizeof(done))) {
		connect_to(m, m->done);
	}
}

/* What goes between the mounts, and the console. */
static void between(struct mount *m, struct input *in)
{
	switch (take(in, 1) % 5) {
	case 0:
		notify(m, in);
		break;
	case 1:
		fuse_server_tick(server);
		break;
	case 2:
		fuse_server_recall(server);
		(void)fuse_server_recalled(server);
		(void)fuse_server_settled(server);
		break;
	case 3:
		(void)volume_unlink(server->vol, VOLUME_ROOT, "a", 1);
		break;
	default:
		acknowledge(m);
	}
}

static void action(struct mount *m, uint8_t what, struct input *in)
{
	uint8_t raw[64];
	size_t n = 0;

	if (m->conn == NULL || m->ended) {
		connect_to(m, m->done);
	}
	if (m->conn == NULL) {
		return;
	}
	switch (what) {
	case 0:
		connect_to(m, take(in, 1) % 2 == 0 ? m->done : take(in, 1));
		break;
	case 1:
		if (m->len > 0 && !feed(m, m->request, m->len)) {
			connect_to(m, m->done);
		}
		break;
	case 2:
		m->stop = !m->stop;
		if (!m->stop) {
			fuse_conn_writable(m->conn);
		}
		break;
	case 3:
		between(m, in);
		break;
	case 4:
		(void)fuse_server_end_some(server, 0);
		break;
	case 5:
		while (n < sizeof(raw) && in->at < in->end) {
			raw[n++] = *in->at++;
		}
		if (n > 0 && !feed(m, raw, n)) {
			connect_to(m, m->done);
		}
		break;
	case 6:
		disconnect(m);
		m->session = 2 + take(in, 1) % 3;
		m->done = 0;
		break;
	case 7:
		fuse_server_peer_gone(server, server);
		break;
	default:
		message(m, in);
	}
}

/* The same for each run, so that one that fails fails again. */
uint64_t seed_make(void)
{
	return 0x9e3779b97f4a7c15ull;
}

#define BLOCK	4096u			/* of the image */

static const struct volume_dev_ops *mem_ops;

static void mark(const uint8_t *block)
{
	uintptr_t at = (uintptr_t)block - (uintptr_t)image;

	if (at < image_size) {
		written[at / BLOCK] = true;
	}
}

static uint8_t *on_poke(struct volume_dev *dev, uint64_t block, bool whole)
{
	uint8_t *data = mem_ops->poke(dev, block, whole);

	mark(data);
	return data;
}

/* Memory that is free is written too. */
static void on_discard(struct volume_dev *dev, uint64_t block, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		mark(mem_ops->peek(dev, block + i));
	}
	mem_ops->discard(dev, block, count);
}

/* A device of the image as it was; only what was written since is copied. */
static struct volume_dev *open_image(void)
{
	static struct volume_dev_ops marking;
	struct volume_dev *dev;

	for (size_t i = 0; i < image_size / BLOCK; i++) {
		if (written[i]) {
			written[i] = false;
			memcpy(image + i * BLOCK,
			       pristine + i * BLOCK, BLOCK);
		}
	}
	if (volume_mem_open(image, image_size, &dev) != 0) {
		abort();
	}
	mem_ops = dev->ops;
	marking = *mem_ops;
	marking.poke = marking.change = on_poke;
	marking.discard = on_discard;
	dev->ops = &marking;
	return dev;
}

static void load_image(void)
{
	const char *path = getenv("FUSE_FUZZ_IMAGE");
	FILE *file = path != NULL ? fopen(path, "rb") : NULL;

	if (file == NULL) {
		fprintf(stderr, "FUSE_FUZZ_IMAGE: no such image\n");
		exit(2);
	}
	fseek(file, 0, SEEK_END);
	image_size = (size_t)ftell(file);
	rewind(file);
	pristine = malloc(image_size);
	image = malloc(image_size);
	if (fread(pristine, 1, image_size, file) != image_size) {
		exit(2);
	}
	fclose(file);
	memcpy(image, pristine, image_size);
	written = calloc(image_size / BLOCK, sizeof(*written));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { .at = data, .end = data + size };
	struct fuse_init_in init = {
		.major = 7, .minor = 41, .flags = UINT32_MAX,
		.flags2 = UINT32_MAX,
	};
	struct volume_dev *dev;
	struct volume *vol;

	if (pristine == NULL) {
		load_image();
	}
	now = 1700000000000000000ll;
	dev = open_image();
	if (volume_open(dev, &vol) != 0) {
		abort();
	}
	server = fuse_server_new(vol, NULL);
	next_node = 0;
	memset(nodes, 0, sizeof(nodes));
	for (unsigned i = 0; i < MOUNTS; i++) {
		struct mount *m = &mounts[i];
		struct fuse_in_header header = {
			.len = sizeof(header) + sizeof(init),
			.opcode = FUSE_INIT, .unique = 2,
		};

		m->conn = NULL;
		m->session = i + 1;
		m->unique = 2;
		m->done = m->len = 0;
		connect_to(m, 0);
		put(m, &header, sizeof(header));
		put(m, &init, sizeof(init));
		feed(m, m->request, m->len);
	}
	while (in.at < in.end) {
		uint8_t what = (uint8_t)take(&in, 1);

		action(&mounts[what & 1], what >> 1 < 96 ? 8 : what >> 1 & 7,
		       &in);
	}
	for (unsigned i = 0; i < MOUNTS; i++) {
		disconnect(&mounts[i]);
	}
	fuse_server_free(server);
	if (volume_close(vol) != 0) {
		abort();
	}
	dev->ops->close(dev);
	return 0;
}
