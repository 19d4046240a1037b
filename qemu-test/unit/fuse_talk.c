/* SPDX-License-Identifier: MIT */
/* Linux's end of FUSE, for tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qemu-test/unit/fuse_talk.h"

struct fixture f;
struct fuse_server *server;
struct mount a, b;
static struct mount *mounts;
const char *talk_options = "";
struct volume_turns *talk_turns;
void (*talk_inside)(bool inside);
void (*talk_settle)(void);

/* fuse_conn_ops.send: every byte of a message is looked at. */
/* Bytes of a reply's body without what is told of directories behind it. */
static size_t without_dirs(const struct mount *m, uint64_t unique, size_t len)
{
	const struct fuse_in_header *in = (const void *)m->request;
	size_t own = sizeof(struct fuse_entry_out);

	if (in->unique != unique) {
		return len;
	}
	switch (in->opcode) {
	case FUSE_CREATE:
		own += sizeof(struct fuse_open_out);
		break;
	case FUSE_MKNOD:
	case FUSE_MKDIR:
	case FUSE_SYMLINK:
	case FUSE_LINK:
		break;
	case FUSE_UNLINK:
	case FUSE_RMDIR:
	case FUSE_RENAME:
	case FUSE_RENAME2:
		own = 0;
		break;
	default:
		return len;
	}
	return len < own ? len : own;
}

static bool on_send(void *arg, const struct volume_seg *segs, unsigned count)
{
	static uint8_t all[MESSAGE_MAX + 16];
	struct fuse_out_header header;
	struct mount *m = arg;
	size_t len = 0;

	assert_false(m->ended);
	for (unsigned i = 0; i < count; i++) {
		assert_true(segs[i].len <= sizeof(all) - len);
		memcpy(all + len, segs[i].data, segs[i].len);
		len += segs[i].len;
	}
	assert_true(len >= sizeof(header));
	memcpy(&header, all, sizeof(header));
	assert_int_equal(header.len, len);
	len -= sizeof(header);
	if (header.unique == 0) {
		assert_true(len <= sizeof(m->notice));
		m->code = header.error;
		m->notice_len = (uint32_t)len;
		memcpy(m->notice, all + sizeof(header), len);
		m->notices++;
		m->told++;
	} else {
		assert_true(header.error <= 0 && header.error > -200);
		m->error = -header.error;
		m->reply_unique = header.unique;
		m->reply_len = (uint32_t)without_dirs(m, header.unique, len);
		memcpy(m->reply, all + sizeof(header), len);
		len -= m->reply_len;
		m->dir_count = (unsigned)(len / sizeof(m->dirs[0]));
		assert_true(len <= sizeof(m->dirs) &&
			    len % sizeof(m->dirs[0]) == 0);
		memcpy(m->dirs, m->reply + m->reply_len, len);
		m->replies++;
	}
	return !m->stop;
}

static void on_end(void *arg)
{
	struct mount *m = arg;

	m->ended = true;
}

static const struct fuse_conn_ops ops = { .send = on_send, .end = on_end };

int begin(struct mount *m, uint32_t opcode, uint64_t nodeid)
{
	struct fuse_in_header in = {
		.opcode = opcode, .unique = m->unique += 2, .nodeid = nodeid,
		.uid = m->uid, .gid = m->gid, .pid = m->pid,
		.padding = m->kill,
	};

	memcpy(m->request, &in, sizeof(in));
	m->len = sizeof(in);
	return 0;
}

void put_bytes(struct mount *m, const void *data, size_t len)
{
	assert_true(len <= sizeof(m->request) - m->len);
	if (len > 0) {
		memcpy(m->request + m->len, data, len);
	}
	m->len += (uint32_t)len;
}

void put_text(struct mount *m, const char *text)
{
	put_bytes(m, text, strlen(text) + 1);
}

/* From memory of just that size, so that reading behind it is seen. */
int feed(struct mount *m, const void *data, size_t len)
{
	const uint8_t *bytes = data;
	int error = 0;

	while (error == 0 && len > 0) {
		size_t n = m->piece != 0 && m->piece < len ? m->piece : len;
		uint8_t *copy = malloc(n);
		size_t used;

		/* fuse_memory_test.c's is one that may fail, once. */
		copy = copy != NULL ? copy : malloc(n);
		memcpy(copy, bytes, n);
		if (talk_inside != NULL) {
			talk_inside(true);
		}
		error = fuse_conn_input(m->conn, copy, n, FOREVER, &used);
		if (talk_inside != NULL) {
			talk_settle();
			talk_inside(false);
		}
		free(copy);
		if (error == 0) {
			assert_int_equal(used, n);
		}
		bytes += n;
		len -= n;
	}
	return error;
}

int say(struct mount *m)
{
	memcpy(m->request, &m->len, sizeof(m->len));
	return feed(m, m->request, m->len);
}

void obey(void)
{
	for (struct mount *m = mounts; m != NULL; m = m->next) {
		struct {
			struct fuse_in_header header;
			struct fuse_channel_done in;
		} done = {
			.header = { .len = sizeof(done), .unique = m->unique + 1,
				    .opcode = FUSE_NOTIFY_REPLY },
			.in = { .notified = m->told },
		};

		if (m->conn != NULL && m->done < m->told) {
			m->done = m->told;
			assert_true(feed(m, &done, sizeof(done)) == 0 ||
				    m->ended);
		}
	}
}

int talk(struct mount *m)
{
	unsigned replies = m->replies;
	uint64_t unique;

	memcpy(&unique, m->request + 8, sizeof(unique));
	assert_int_equal(say(m), 0);
	if (m->replies == replies) {
		obey();
	}
	assert_int_equal(m->replies, replies + 1);
	assert_int_equal(m->reply_unique, unique);
	return m->error;
}

int ask(struct mount *m, uint32_t opcode, uint64_t nodeid, const void *arg,
	size_t len, const char *name, const char *name2)
{
	begin(m, opcode, nodeid);
	put_bytes(m, arg, len);
	if (name != NULL) {
		put_text(m, name);
	}
	if (name2 != NULL) {
		put_text(m, name2);
	}
	return talk(m);
}

void connect_to(struct mount *m)
{
	struct mount **link = &mounts;

	while (*link != NULL && *link != m) {
		link = &(*link)->next;
	}
	*link = m;
	m->ended = false;
	m->conn = fuse_conn_new(server, &ops, m,
				m->peer != NULL ? m->peer : m);
	assert_non_null(m->conn);
}

void disconnect(struct mount *m)
{
	if (m->conn != NULL) {
		fuse_conn_free(m->conn);
	}
	m->conn = NULL;
}

int hello(struct mount *m, uint64_t notified)
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
	unsigned replies = m->replies;

	m->told = m->done = notified;
	/* The last request stays as it is, to be sent again. */
	if (feed(m, &hi, sizeof(hi)) != 0) {
		return -1;
	}
	assert_true(m->replies > replies);
	return m->error;
}

int init(struct mount *m, uint32_t minor, uint64_t flags)
{
	struct fuse_init_in in = {
		.major = 7, .minor = minor, .max_readahead = 1 << 20,
		.flags = (uint32_t)flags | (1u << 30),
		.flags2 = (uint32_t)(flags >> 32),
	};

	return ask(m, FUSE_INIT, 0, &in, sizeof(in), NULL, NULL);
}

void mount_it(struct mount *m, uint64_t session)
{
	m->session = session;
	connect_to(m);
	assert_int_equal(hello(m, 0), 0);
	assert_int_equal(init(m, 41, UINT64_MAX), 0);
}

int lookup(struct mount *m, uint64_t dir, const char *name)
{
	return ask(m, FUSE_LOOKUP, dir, NULL, 0, name, NULL);
}

uint64_t lookup_id(struct mount *m, uint64_t dir, const char *name)
{
	assert_int_equal(lookup(m, dir, name), 0);
	assert_int_equal(m->reply_len, sizeof(struct fuse_entry_out));
	return ((const struct fuse_entry_out *)m->reply)->nodeid;
}

void forget(struct mount *m, uint64_t node, uint64_t count)
{
	struct fuse_forget_in in = { .nlookup = count };
	unsigned replies = m->replies;

	begin(m, FUSE_FORGET, node);
	put_bytes(m, &in, sizeof(in));
	assert_int_equal(say(m), 0);
	assert_int_equal(m->replies, replies);
}

int make_file(struct mount *m, uint64_t dir, const char *name, uint64_t *node,
	      uint64_t *fh)
{
	struct fuse_create_in in = { .flags = 2, .mode = 0100644 };
	int error = ask(m, FUSE_CREATE, dir, &in, sizeof(in), name, NULL);

	if (error == 0) {
		const struct fuse_entry_out *entry = (const void *)m->reply;
		const struct fuse_open_out *out = (const void *)(entry + 1);

		assert_int_equal(m->reply_len, sizeof(*entry) + sizeof(*out));
		*node = entry->nodeid;
		if (fh != NULL) {
			*fh = out->fh;
		}
	}
	return error;
}

int make_dir(struct mount *m, uint64_t dir, const char *name, uint64_t *node)
{
	struct fuse_mkdir_in in = { .mode = 0755 };
	int error = ask(m, FUSE_MKDIR, dir, &in, sizeof(in), name, NULL);

	if (error == 0) {
		*node = ((const struct fuse_entry_out *)m->reply)->nodeid;
	}
	return error;
}

int open_file(struct mount *m, uint64_t node, uint32_t flags, uint64_t *fh)
{
	struct fuse_open_in in = { .flags = flags };
	int error = ask(m, FUSE_OPEN, node, &in, sizeof(in), NULL, NULL);

	if (error == 0) {
		assert_int_equal(m->reply_len, sizeof(struct fuse_open_out));
		*fh = ((const struct fuse_open_out *)m->reply)->fh;
	}
	return error;
}

int release(struct mount *m, uint64_t node, uint64_t fh, uint64_t owner,
	    uint32_t flags)
{
	struct fuse_release_in in = {
		.fh = fh, .lock_owner = owner, .release_flags = flags,
	};

	return ask(m, FUSE_RELEASE, node, &in, sizeof(in), NULL, NULL);
}

int write_file(struct mount *m, uint64_t node, uint64_t offset,
	       const void *data, uint32_t len, uint32_t flags)
{
	struct fuse_write_in in = {
		.offset = offset, .size = len, .write_flags = flags,
	};

	begin(m, FUSE_WRITE, node);
	put_bytes(m, &in, sizeof(in));
	put_bytes(m, data, len);
	return talk(m);
}

int read_file(struct mount *m, uint64_t node, uint64_t offset, uint32_t len)
{
	struct fuse_read_in in = { .offset = offset, .size = len };

	return ask(m, FUSE_READ, node, &in, sizeof(in), NULL, NULL);
}

int getattr(struct mount *m, uint64_t node, struct fuse_attr *attr)
{
	struct fuse_getattr_in in = { 0 };
	int error = ask(m, FUSE_GETATTR, node, &in, sizeof(in), NULL, NULL);

	if (error == 0) {
		assert_int_equal(m->reply_len, sizeof(struct fuse_attr_out));
		*attr = ((const struct fuse_attr_out *)m->reply)->attr;
	}
	return error;
}

int setxattr(struct mount *m, uint64_t node, const char *name,
	     const void *value, size_t len, uint32_t flags)
{
	struct fuse_setxattr_in in = {
		.size = (uint32_t)len, .flags = flags,
	};

	begin(m, FUSE_SETXATTR, node);
	put_bytes(m, &in, sizeof(in));
	put_text(m, name);
	put_bytes(m, value, len);
	return talk(m);
}

int lock(struct mount *m, uint32_t opcode, uint64_t node, uint64_t owner,
	 uint32_t type, uint64_t start, uint64_t end, uint32_t flags)
{
	struct fuse_lk_in in = {
		.fh = m->fh, .owner = owner, .lk_flags = flags,
		.lk = { .start = start, .end = end, .type = type, .pid = 42 },
	};
	unsigned replies = m->replies;

	begin(m, opcode, node);
	put_bytes(m, &in, sizeof(in));
	assert_int_equal(say(m), 0);
	return m->replies == replies ? -1 : m->error;
}

int unlink_name(struct mount *m, uint64_t dir, const char *name)
{
	return ask(m, FUSE_UNLINK, dir, NULL, 0, name, NULL);
}

int setup(void **state)
{
	(void)state;
	fixture_open(&f, 16, talk_options);
	server = fuse_server_new(f.vol, talk_turns);
	assert_non_null(server);
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	mount_it(&a, 1001);
	return 0;
}

/* Everything must come back: ASan looks, and e2fsck at the volume. */
int teardown(void **state)
{
	(void)state;
	disconnect(&a);
	disconnect(&b);
	fuse_server_free(server);
	fixture_check(&f);
	fixture_close(&f);
	return 0;
}
