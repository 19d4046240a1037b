/* SPDX-License-Identifier: MIT */
/*
 * The host's file server by raw FUSE messages, its disk server, and its services: what
 * no Linux says; then the service that one who has been attacked is owed, which the
 * enemy's next life asks for itself.
 */
#include "cpu.h"
#include "files.h"
#include "link.h"
#include "payload.h"
#include "proto/fuse.h"
#include "proto/fuse_channel.h"
#include "proto/nbd.h"

#define NO_DETAIL	(~0ull)
#define MESSAGE_MAX	8192u
#define FILES		50u
#define FILE_BYTES	3000u
#define CONNECTIONS	100u
#define NODES		3000u
#define DEPTH		120u

static struct stream files;
static uint32_t next_port = 600;
static uint64_t unique, session;
static uint8_t out[MESSAGE_MAX], in[MESSAGE_MAX];

/* One request, as it is; its answer's error, or FILES_LOST. The body of it is at in.
 * len is what the header says. */
static int64_t ask(uint32_t op, uint64_t node, uint64_t number,
		   const void *body, uint32_t size, uint32_t len)
{
	struct fuse_in_header h = {
		.len = len, .opcode = op, .unique = number, .nodeid = node,
	};
	struct fuse_out_header r;

	memcpy(out, &h, sizeof(h));
	memcpy(out + sizeof(h), body, size);
	if (!stream_put(&files, out, sizeof(h) + size)) {
		return FILES_LOST;
	}
	do {
		if (!stream_get(&files, &r, sizeof(r)) || r.len < sizeof(r) ||
		    r.len > sizeof(in) ||
		    !stream_get(&files, in, r.len - (uint32_t)sizeof(r))) {
			return FILES_LOST;
		}
	} while (r.unique != number);
	return r.error;
}

/** A request as it is to be: its answer's error, or FILES_LOST. */
int64_t files_do(uint32_t op, uint64_t node, const void *body, uint32_t size)
{
	unique += 2;
	return ask(op, node, unique, body, size,
		   (uint32_t)sizeof(struct fuse_in_header) + size);
}

/** Is there that name? One that is not is answered, too, by node 0. size counts the
 * name's end. */
bool files_find(uint64_t parent, const char *name, uint32_t size)
{
	return files_do(FUSE_LOOKUP, parent, name, size) == 0 &&
	       files_node() != 0;
}

/* A connection with a session of its own, ready for requests. */
static bool files_up(void)
{
	struct fuse_channel_hello hello = { .version = FUSE_CHANNEL_VERSION };
	struct fuse_init_in init = {
		.major = FUSE_KERNEL_VERSION, .minor = 36,
		.flags = FUSE_INIT_EXT,
	};

	hello.session = session = mixed(rdtsc()) | 1;
	unique = 0;
	next_port = next_port == 663 ? 600 : next_port + 1;
	return stream_open(&files, next_port, FUSE_CHANNEL_PORT) &&
	       ask(FUSE_CHANNEL_HELLO, 0, ~0ull, &hello, sizeof(hello),
		   sizeof(struct fuse_in_header) + sizeof(hello)) == 0 &&
	       files_do(FUSE_INIT, 0, &init, sizeof(init)) == 0;
}

/** The connection, if it is gone: what makes no sense ends it, and no more. */
void files_again(void)
{
	if (files.ended && !files_up()) {
		report_value("files-lost", NO_DETAIL, 0, 0xbad);
	}
}

/** An attempt's line: its error, 0xdead if the connection has ended by it. */
void files_tell(const char *name, uint64_t detail, int64_t error)
{
	report_value(name, detail, 0,
		     (uint64_t)(error == FILES_LOST ? 0xdead : -error));
	files_again();
}

/** The last answer's body; what is behind it is of the one before. */
void *files_answer(void)
{
	return in;
}

/** The node that a LOOKUP or the like has answered. */
uint64_t files_node(void)
{
	return ((const struct fuse_entry_out *)in)->nodeid;
}

/** Names that lead elsewhere, or are none. */
void run_names(uint64_t unused)
{
	static const char *const names[] = {
		"..", ".", "", "a/b", "/", "../..", "a/../..",
	};
	static char longer[300];

	(void)unused;
	report_value("files", NO_DETAIL, 0, link_up() && files_up());
	for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		uint32_t n = 1;

		for (const char *c = names[i]; *c; c++) {
			n++;
		}
		files_tell("lookup-", i,
			   files_do(FUSE_LOOKUP, 1, names[i], n));
		/* and as a name to make */
		memcpy(longer, "\x7f\x01\x00\x00\x12\x00\x00\x00", 8);
		memcpy(longer + 8, names[i], n);
		files_tell("mkdir-", i,
			   files_do(FUSE_MKDIR, 1, longer, 8 + n));
	}
	memset(longer, 'x', 256);
	longer[256] = '\0';
	files_tell("lookup-", 256, files_do(FUSE_LOOKUP, 1, longer, 257));
	files_tell("lookup-", 300, files_do(FUSE_LOOKUP, 1, "open end", 8));
	for (uint32_t up = 0; up < 64; up++) {
		if (files_do(FUSE_LOOKUP, 1, "..", 3) == 0 &&
		    files_node() != 1) {
			report_value("above", up, 0, files_node());
		}
		files_again();
	}
}

/** A directory; size counts the name's end. */
int64_t files_make_dir(uint64_t parent, const char *name, uint32_t size)
{
	uint8_t body[64] = { 0xed, 0x01, 0, 0, 0x12, 0, 0, 0 };

	memcpy(body + 8, name, size);
	return files_do(FUSE_MKDIR, parent, body, 8 + size);
}

/** Directories moved into themselves, over the root; links of directories; files that
 * are devices. */
void run_moves(uint64_t unused)
{
	static const uint32_t kinds[] = { 0010644, 0020644, 0060644, 0140644 };
	struct { uint64_t dir; char names[24]; } move;
	struct { struct fuse_mknod_in in; char name[8]; } node;
	uint64_t outer;

	(void)unused;
	(void)files_make_dir(1, "outer", 6);
	outer = files_node();
	(void)files_make_dir(outer, "inner", 6);
	move.dir = files_node();
	memcpy(move.names, "outer\0x", 8);
	files_tell("into-itself", NO_DETAIL,
		   files_do(FUSE_RENAME, 1, &move, 16));
	move.dir = 1;
	memcpy(move.names, "outer\0..", 9);
	files_tell("over-root", NO_DETAIL,
		   files_do(FUSE_RENAME, 1, &move, 17));
	memcpy(move.names, "inner\0.", 8);
	files_tell("over-dot", NO_DETAIL,
		   files_do(FUSE_RENAME, outer, &move, 16));
	move.dir = outer;
	files_tell("link-dir", NO_DETAIL,
		   files_do(FUSE_LINK, 1, &move, 16));
	move.dir = 0x123456789ull;
	files_tell("into-nothing", NO_DETAIL,
		   files_do(FUSE_RENAME, 1, &move, 16));
	for (uint32_t i = 0; i < 4; i++) {
		struct fuse_open_in open = { 0 };

		node.in = (struct fuse_mknod_in){ .mode = kinds[i] };
		memcpy(node.name, "node0", 6);
		node.name[4] = (char)('0' + i);
		if (files_do(FUSE_MKNOD, 1, &node, sizeof(node.in) + 6) == 0) {
			files_tell("open-special-", i,
				   files_do(FUSE_OPEN, files_node(), &open,
					    sizeof(open)));
		}
	}
}

/** Nodes without FORGET, nodes that are none, INIT amid it, numbers that come twice. */
void run_nodes(uint64_t unused)
{
	struct fuse_init_in init = { .major = 7, .minor = 36 };
	struct fuse_getattr_in attr = { 0 };
	uint64_t seed = 1, twice;
	uint32_t good = 0;

	(void)unused;
	(void)files_make_dir(1, "known", 6);
	for (uint32_t i = 0; i < NODES; i++) {
		good += files_find(1, "known", 6);
	}
	report_value("lookups", NO_DETAIL, 0, good);
	good = 0;
	for (uint32_t i = 0; i < 200; i++) {
		good += files_do(FUSE_GETATTR, next_random(&seed), &attr,
				 sizeof(attr)) == 0;
		files_again();
	}
	report_value("nodes-of-nobody", NO_DETAIL, 0, good);
	twice = unique += 2;
	(void)ask(FUSE_GETATTR, 1, twice, &attr, sizeof(attr),
		  sizeof(struct fuse_in_header) + sizeof(attr));
	(void)stream_put(&files, out, sizeof(struct fuse_in_header) +
			 sizeof(attr));
	files_tell("after-twice", NO_DETAIL,
		   files_do(FUSE_GETATTR, 1, &attr, sizeof(attr)));
	/* no answer to this one */
	memcpy(out, &(struct fuse_in_header){ .len = 48, .unique = unique + 1,
	       .opcode = FUSE_INTERRUPT }, 40);
	(void)stream_put(&files, out, 48);
	(void)files_do(FUSE_INIT, 0, &init, sizeof(init));
	files_again();
	files_tell("after-init", NO_DETAIL,
		   files_do(FUSE_GETATTR, 1, &attr, sizeof(attr)));
}

/** Lengths that are not the message's, sizes and offsets that no file has, any
 * operation with any body. */
void run_sizes(uint64_t unused)
{
	static const uint32_t lens[] = { 0, 1, 39, 41, 0x30000, 0xffffffff };
	struct fuse_read_in read = { .size = ~0u, .offset = ~0ull };
	struct fuse_setxattr_in xattr = { .size = ~0u };
	struct fuse_getattr_in attr = { 0 };
	uint8_t body[200];
	uint64_t seed = 7;
	uint32_t ended = 0;

	(void)unused;
	for (uint32_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		struct fuse_in_header h = { .len = lens[i],
					    .opcode = FUSE_GETATTR };

		(void)stream_put(&files, &h, sizeof(h));
		stream_close(&files);
		files_again();
	}
	(void)files_do(FUSE_READ, 1, &read, sizeof(read));
	files_again();
	(void)files_do(FUSE_WRITE, 1, &read, sizeof(read));
	files_again();
	(void)files_do(FUSE_READDIR, 1, &read, sizeof(read));
	files_again();
	(void)files_do(FUSE_SETXATTR, 1, &xattr, sizeof(xattr));
	files_again();
	for (uint32_t i = 0; i < 400; i++) {
		uint32_t size = (uint32_t)(next_random(&seed) % sizeof(body));
		uint32_t op = (uint32_t)(next_random(&seed) % 56);

		for (uint32_t k = 0; k < size; k++) {
			body[k] = (uint8_t)next_random(&seed);
		}
		/* these have no answer, or one that may be long in coming */
		if (op == FUSE_FORGET || op == FUSE_BATCH_FORGET ||
		    op == FUSE_INTERRUPT || op == FUSE_NOTIFY_REPLY ||
		    op == FUSE_SETLKW || op == FUSE_DESTROY) {
			continue;
		}
		ended += files_do(op, i & 1, body, size) == FILES_LOST;
		files_again();
	}
	report_value("ended", NO_DETAIL, 0, ended <= 400);
	files_tell("sizes", NO_DETAIL,
		   files_do(FUSE_GETATTR, 1, &attr, sizeof(attr)));
}

/** A directory in a directory, and so on; and again out of it. */
void run_depth(uint64_t unused)
{
	uint64_t at[DEPTH + 1] = { 1 };
	uint32_t depth = 0;

	(void)unused;
	while (depth < DEPTH && files_make_dir(at[depth], "deep", 5) == 0) {
		at[++depth] = files_node();
	}
	report_value("depth", NO_DETAIL, 0, depth);
	while (depth-- > 0) {
		if (files_do(FUSE_RMDIR, at[depth], "deep", 5) != 0) {
			report_value("deep-left", depth, 0, 0xbad);
			return;
		}
	}
}

/** Another's disk by name, options that make no sense, and from a port that may not. */
void run_disks(uint64_t unused)
{
	static const char *const names[] = { "", "../..", "isthmus", "0" };
	uint32_t flags = NBD_BE32(NBD_FIXED_NEWSTYLE), given = 0;
	struct nbd_hello hello;
	struct stream s;

	(void)unused;
	for (uint32_t i = 0; i < 8; i++) {
		const char *name = names[i % 4];
		struct nbd_option o = {
			.magic = NBD_BE64(NBD_OPTION_MAGIC),
			.option = NBD_BE32(i < 4 ? NBD_OPT_EXPORT_NAME : 77),
			.len = NBD_BE32(i < 4 ? 5 : 0xfffffff0),
		};
		uint8_t word;

		if (!stream_open(&s, 664 + i, NBD_PORT) ||
		    !stream_get(&s, &hello, sizeof(hello))) {
			continue;
		}
		(void)stream_put(&s, &flags, 4);
		(void)stream_put(&s, &o, sizeof(o));
		(void)stream_put(&s, name, 5);
		given += i < 4 && stream_get(&s, &word, 1);
		stream_close(&s);
	}
	report_value("disks-given", NO_DETAIL, 0, given);
	report_value("disks-any-port", NO_DETAIL, 0,
		     stream_open(&s, 5000, NBD_PORT));
	report_value("files-any-port", NO_DETAIL, 0,
		     stream_open(&s, 5001, FUSE_CHANNEL_PORT));
	report_value("net-any-port", NO_DETAIL, 0,
		     stream_open(&s, 5002, 566));
	for (uint32_t i = 0; i < 200; i++) {
		static const uint32_t ports[] = { 566, 567, 568, 20 };
		uint64_t junk[16];

		for (uint32_t k = 0; k < 16; k++) {
			junk[k] = mixed(i * 16 + k);
		}
		if (stream_open(&s, i & 4 ? 672 : 700 + i, ports[i & 3])) {
			(void)stream_put(&s, junk, sizeof(junk));
			stream_close(&s);
		}
	}
	report_value("echo", NO_DETAIL, 0, stream_echoes(6000, 1000));
}

static int64_t file_io(uint64_t node, uint64_t fh, uint32_t n, bool *same)
{
	static uint8_t data[sizeof(struct fuse_write_in) + FILE_BYTES];
	struct fuse_write_in w = { .fh = fh, .size = FILE_BYTES };
	struct fuse_read_in r = { .fh = fh, .size = FILE_BYTES };
	int64_t error;

	memcpy(data, &w, sizeof(w));
	for (uint32_t i = 0; i < FILE_BYTES; i++) {
		data[sizeof(w) + i] = (uint8_t)mixed(n * FILE_BYTES + i);
	}
	error = files_do(FUSE_WRITE, node, data, sizeof(data));
	error = error ? error : files_do(FUSE_READ, node, &r, sizeof(r));
	*same = true;
	for (uint32_t i = 0; i < FILE_BYTES; i++) {
		*same = *same && in[i] == data[sizeof(w) + i];
	}
	return error;
}

/* A file of its own: made, written, read, asked for, closed, removed. */
static bool file_works(uint32_t n)
{
	struct { struct fuse_create_in in; char name[8]; } c = {
		.in = { .flags = 0x42, .mode = 0100644 }, .name = "fileAA",
	};
	struct fuse_getattr_in attr = { 0 };
	struct fuse_release_in release = { 0 };
	uint64_t node;
	bool same, good;

	c.name[4] = (char)('A' + n / 26);
	c.name[5] = (char)('A' + n % 26);
	/* a life that ended amid it has left it */
	(void)files_do(FUSE_UNLINK, 1, c.name, 7);
	if (files_do(FUSE_CREATE, 1, &c, sizeof(c.in) + 7) != 0) {
		return false;
	}
	node = files_node();
	release.fh = *(uint64_t *)(in + sizeof(struct fuse_entry_out));
	good = file_io(node, release.fh, n, &same) == 0 && same;
	for (uint32_t i = 0; i < 14; i++) {
		good = good && files_do(FUSE_GETATTR, node, &attr,
					sizeof(attr)) == 0 &&
		       ((struct fuse_attr_out *)in)->attr.size == FILE_BYTES;
	}
	return files_do(FUSE_RELEASE, node, &release, sizeof(release)) == 0 &&
	       files_find(1, c.name, 7) &&
	       files_do(FUSE_UNLINK, 1, c.name, 7) == 0 && good;
}

/** O4: 1,000 operations on files and 100 connections, each looked at. */
void run_service(uint64_t unused)
{
	uint32_t good = 0;

	(void)unused;
	report_value("service-up", NO_DETAIL, 0, link_up() && files_up());
	for (uint32_t n = 0; n < FILES; n++) {
		good += file_works(n);
	}
	report_value("service-files", NO_DETAIL, 0, good);
	good = 0;
	for (uint32_t n = 0; n < CONNECTIONS; n++) {
		good += stream_echoes(3000 + n, 500 + n);
	}
	report_value("service-sockets", NO_DETAIL, 0, good);
	link_down();
}
