/* SPDX-License-Identifier: MIT */
/* The agent's 9P server on a temporary folder: what a client sees, and that
 * no message brings it down or out of its root. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "guest/init/agent.h"
#include "guest/init/agent_9p.h"
#include "guest/init/init.h"

#define ROOT	1u
#define AT_RMDIR 0x200u

static char root[64];
static struct p9_server server;
static uint8_t request[AGENT_9P_MSIZE], reply[AGENT_9P_MSIZE];
static struct p9_writer t;		/* the request being built */
static struct p9_reader r;		/* the body of the reply */

void init_log(const char *format, ...)
{
	(void)format;
}

static void begin(uint8_t type)
{
	p9_begin(&t, request, sizeof(request), type, 0x1234);
}

/* Sends it; 0, or the error of an Rlerror. */
static int send_request(void)
{
	uint8_t type = request[4];
	size_t len = p9_end(&t);

	assert_int_not_equal(len, 0);
	len = p9_server_handle(&server, request, len, reply);
	assert_true(len >= P9_HEADER && len < server.msize);
	assert_int_equal(agent_get_le32(reply), len);
	assert_int_equal(agent_get_le16(reply + 5), 0x1234);
	r = (struct p9_reader){ .at = reply + P9_HEADER, .end = reply + len };
	if (reply[4] == P9_RLERROR) {
		assert_int_equal(len, P9_HEADER + 4);
		return (int)p9_get32(&r);
	}
	assert_int_equal(reply[4], type + 1);
	return 0;
}

static int walk(uint32_t fid, uint32_t newfid, const char *path)
{
	char copy[512], *name, *rest = copy;
	unsigned int count = 0;
	size_t mark;

	begin(P9_TWALK);
	p9_put32(&t, fid);
	p9_put32(&t, newfid);
	mark = (size_t)(t.at - request);
	p9_put16(&t, 0);
	snprintf(copy, sizeof(copy), "%s", path);
	while ((name = strsep(&rest, "/")) != NULL) {
		if (*name) {
			p9_put_text(&t, name);
			count++;
		}
	}
	request[mark] = (uint8_t)count;
	return send_request();
}

static int on_fid(uint8_t type, uint32_t fid)
{
	begin(type);
	p9_put32(&t, fid);
	return type == P9_TCLUNK || type == P9_TREADLINK ||
	       type == P9_TSTATFS ? send_request() : 0;
}

static int lopen(uint32_t fid, uint32_t flags)
{
	on_fid(P9_TLOPEN, fid);
	p9_put32(&t, flags);
	return send_request();
}

static int lcreate(uint32_t fid, const char *name, uint32_t flags)
{
	on_fid(P9_TLCREATE, fid);
	p9_put_text(&t, name);
	p9_put32(&t, flags);
	p9_put32(&t, 0640);
	p9_put32(&t, 0);
	return send_request();
}

static int io(uint8_t type, uint32_t fid, uint64_t offset, uint32_t count,
	      const void *data)
{
	on_fid(type, fid);
	p9_put64(&t, offset);
	p9_put32(&t, count);
	if (data) {
		p9_put(&t, data, count);
	}
	return send_request();
}

static int named(uint8_t type, uint32_t fid, const char *name, uint32_t value)
{
	on_fid(type, fid);
	p9_put_text(&t, name);
	p9_put32(&t, value);
	p9_put32(&t, 0);
	return send_request();
}

static uint64_t get_size(uint32_t fid)
{
	on_fid(P9_TGETATTR, fid);
	p9_put64(&t, 0x7ff);
	assert_int_equal(send_request(), 0);
	assert_int_equal((r.end - r.at), 153);
	p9_take(&r, 8 + 13 + 4 + 4 + 4 + 8 + 8);
	return p9_get64(&r);
}

static void in_root(char *path, const char *name)
{
	snprintf(path, 128, "%s/%s", root, name);
}

static int set_up(void **state)
{
	(void)state;
	strcpy(root, "/tmp/agent-9p-XXXXXX");
	assert_non_null(mkdtemp(root));
	umask(0);
	p9_server_init(&server, root);
	begin(P9_TVERSION);
	p9_put32(&t, 65536);
	p9_put_text(&t, "9P2000.L");
	assert_int_equal(send_request(), 0);
	assert_int_equal(p9_get32(&r), 65536);
	begin(P9_TATTACH);
	p9_put32(&t, ROOT);
	p9_put32(&t, P9_NOFID);
	p9_put_text(&t, "root");
	p9_put_text(&t, "");
	p9_put32(&t, 0);
	assert_int_equal(send_request(), 0);
	assert_int_equal(p9_get8(&r), 0x80);
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag,
		      struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static int tear_down(void **state)
{
	(void)state;
	p9_server_fini(&server);
	return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void test_create_write_read(void **state)
{
	char path[128];
	struct stat st;

	(void)state;
	assert_int_equal(walk(ROOT, 2, ""), 0);
	assert_int_equal(lcreate(2, "file", O_RDWR), 0);
	assert_int_equal(io(P9_TWRITE, 2, 3, 5, "hello"), 0);
	assert_int_equal(p9_get32(&r), 5);
	assert_int_equal(io(P9_TREAD, 2, 0, 100, NULL), 0);
	assert_int_equal(p9_get32(&r), 8);
	assert_memory_equal(p9_take(&r, 8), "\0\0\0hello", 8);
	assert_int_equal(get_size(2), 8);
	begin(P9_TFSYNC);
	p9_put32(&t, 2);
	p9_put32(&t, 0);
	assert_int_equal(send_request(), 0);
	assert_int_equal(on_fid(P9_TCLUNK, 2), 0);
	assert_int_equal(on_fid(P9_TCLUNK, 2), EBADF);
	in_root(path, "file");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0640);
	/* Exclusive creation of what is there. */
	assert_int_equal(walk(ROOT, 2, ""), 0);
	assert_int_equal(lcreate(2, "file", O_RDWR | O_EXCL), EEXIST);
}

/* A read larger than the reply gets what fits. */
static void test_large_read(void **state)
{
	static uint8_t data[60000];
	uint32_t got;

	(void)state;
	assert_int_equal(walk(ROOT, 2, ""), 0);
	assert_int_equal(lcreate(2, "large", O_RDWR), 0);
	assert_int_equal(io(P9_TWRITE, 2, 0, sizeof(data), data), 0);
	assert_int_equal(io(P9_TWRITE, 2, sizeof(data), sizeof(data), data),
			 0);
	assert_int_equal(io(P9_TREAD, 2, 0, 0xffffffff, NULL), 0);
	got = p9_get32(&r);
	assert_int_equal(got, 65536 - 1 - (P9_HEADER + 4));
	assert_int_equal((r.end - r.at), got);
}

static void test_directories(void **state)
{
	char name[32], seen[40] = { 0 };
	uint64_t offset = 0;
	unsigned int found = 0, rounds = 0;

	(void)state;
	assert_int_equal(named(P9_TMKDIR, ROOT, "dir", 0755), 0);
	assert_int_equal(named(P9_TMKDIR, ROOT, "dir", 0755), EEXIST);
	assert_int_equal(walk(ROOT, 2, "dir"), 0);
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "entry%02d", i);
		assert_int_equal(named(P9_TMKDIR, 2, name, 0700), 0);
	}
	assert_int_equal(lopen(2, O_RDONLY | O_DIRECTORY), 0);
	for (;;) {
		uint32_t left;

		assert_int_equal(io(P9_TREADDIR, 2, offset, 300, NULL), 0);
		left = p9_get32(&r);
		assert_int_equal(left, (r.end - r.at));
		assert_true(left <= 300);
		if (left == 0) {
			break;
		}
		rounds++;
		while (r.end > r.at) {
			assert_int_equal(p9_get8(&r), 0x80);
			p9_take(&r, 12);
			offset = p9_get64(&r);
			assert_int_equal(p9_get8(&r), 4);	/* DT_DIR */
			p9_get_text(&r, name, sizeof(name));
			if (strncmp(name, "entry", 5) == 0) {
				seen[atoi(name + 5)]++;
				found++;
			}
		}
	}
	assert_int_equal(found, 40);
	assert_true(rounds > 3);
	for (int i = 0; i < 40; i++) {
		assert_int_equal(seen[i], 1);
	}
	assert_int_equal(io(P9_TREADDIR, 2, 0, 10, NULL), EINVAL);
	assert_int_equal(named(P9_TUNLINKAT, ROOT, "dir", AT_RMDIR),
			 ENOTEMPTY);
	assert_int_equal(named(P9_TUNLINKAT, 2, "entry00", 0), EISDIR);
	assert_int_equal(named(P9_TUNLINKAT, 2, "entry00", AT_RMDIR), 0);
}

static void test_links_and_renames(void **state)
{
	char target[64];

	(void)state;
	begin(P9_TSYMLINK);
	p9_put32(&t, ROOT);
	p9_put_text(&t, "link");
	p9_put_text(&t, "/etc/passwd");
	p9_put32(&t, 0);
	assert_int_equal(send_request(), 0);
	assert_int_equal(p9_get8(&r), 0x02);
	assert_int_equal(walk(ROOT, 2, "link"), 0);
	assert_int_equal(on_fid(P9_TREADLINK, 2), 0);
	p9_get_text(&r, target, sizeof(target));
	assert_string_equal(target, "/etc/passwd");
	/* A link is never followed. */
	assert_int_equal(lopen(2, O_RDONLY), ELOOP);
	assert_int_equal(walk(ROOT, 3, ""), 0);
	assert_int_equal(lcreate(3, "link", O_RDWR), ELOOP);

	assert_int_equal(lcreate(3, "a", O_RDWR), 0);
	begin(P9_TRENAMEAT);
	p9_put32(&t, ROOT);
	p9_put_text(&t, "a");
	p9_put32(&t, ROOT);
	p9_put_text(&t, "b");
	assert_int_equal(send_request(), 0);
	/* The fid stays with its file. */
	assert_int_equal(io(P9_TWRITE, 3, 0, 3, "abc"), 0);
	assert_int_equal(get_size(3), 3);
	begin(P9_TLINK);
	p9_put32(&t, ROOT);
	p9_put32(&t, 3);
	p9_put_text(&t, "c");
	assert_int_equal(send_request(), 0);
	assert_int_equal(walk(ROOT, 4, "c"), 0);
	assert_int_equal(get_size(4), 3);
	assert_int_equal(on_fid(P9_TREADLINK, 4), EINVAL);
	assert_int_equal(on_fid(P9_TSTATFS, 4), 0);
	assert_int_equal((r.end - r.at), 60);
}

static void test_setattr(void **state)
{
	char path[128];
	struct stat st;

	(void)state;
	assert_int_equal(walk(ROOT, 2, ""), 0);
	assert_int_equal(lcreate(2, "f", O_RDWR), 0);
	on_fid(P9_TSETATTR, 2);
	p9_put32(&t, 0x001 | 0x008 | 0x020 | 0x100);
	p9_put32(&t, 0604);
	p9_put64(&t, 0);		/* uid, gid */
	p9_put64(&t, 1000);
	p9_put64(&t, 0);
	p9_put64(&t, 0);
	p9_put64(&t, 1234567890);
	p9_put64(&t, 5);
	assert_int_equal(send_request(), 0);
	in_root(path, "f");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0604);
	assert_int_equal(st.st_size, 1000);
	assert_int_equal(st.st_mtim.tv_sec, 1234567890);
	assert_int_equal(st.st_mtim.tv_nsec, 5);
}

static void test_names_stay_inside(void **state)
{
	static const char *const bad[] = { "", "a/b", "/", "../x" };
	struct stat here, there;

	(void)state;
	assert_int_equal(walk(ROOT, 2, "../../../.."), 0);
	assert_int_equal(fstat(p9_fid_find(&server, 2)->path, &here), 0);
	assert_int_equal(stat(root, &there), 0);
	assert_int_equal(here.st_ino, there.st_ino);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(named(P9_TMKDIR, ROOT, bad[i], 0755),
				 EINVAL);
	}
	/* NUL inside, and longer than a name may be. */
	on_fid(P9_TMKDIR, ROOT);
	p9_put16(&t, 3);
	p9_put(&t, "a\0b", 3);
	p9_put32(&t, 0755);
	p9_put32(&t, 0);
	assert_int_equal(send_request(), EINVAL);
	on_fid(P9_TMKDIR, ROOT);
	p9_put16(&t, 256);
	p9_put(&t, request + 1000, 256);
	p9_put32(&t, 0755);
	p9_put32(&t, 0);
	assert_int_equal(send_request(), EINVAL);
}

static void test_special_files_are_refused(void **state)
{
	char path[128];

	(void)state;
	in_root(path, "fifo");
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(walk(ROOT, 2, "fifo"), 0);
	assert_int_equal(lopen(2, O_RDONLY), EPERM);
	/* Created, they are found. */
	assert_int_equal(walk(ROOT, 3, ""), 0);
	assert_int_equal(lcreate(3, "fifo", O_RDWR), EPERM);
	assert_int_equal(named(P9_TMKDIR, ROOT, "dir", 0755), 0);
	assert_int_equal(lcreate(3, "dir", O_RDONLY), EISDIR);
	assert_int_equal(lcreate(3, "none/such", O_RDWR), EINVAL);
	/* The fid is the root still. */
	assert_int_equal(lcreate(3, "file", O_RDWR), 0);
	assert_int_equal(io(P9_TWRITE, 3, 0, 3, "abc"), 0);
	/* What is there is opened, and emptied if it is to be. */
	assert_int_equal(walk(ROOT, 4, ""), 0);
	assert_int_equal(lcreate(4, "file", O_RDWR | O_TRUNC), 0);
	assert_int_equal(get_size(3), 0);
}

static void test_walks(void **state)
{
	(void)state;
	assert_int_equal(named(P9_TMKDIR, ROOT, "d", 0755), 0);
	assert_int_equal(walk(ROOT, 2, "none"), ENOENT);
	assert_null(p9_fid_find(&server, 2));
	/* Half way: the qids so far and no fid. */
	assert_int_equal(walk(ROOT, 2, "d/none"), 0);
	assert_int_equal(p9_get16(&r), 1);
	assert_null(p9_fid_find(&server, 2));
	assert_int_equal(walk(ROOT, ROOT, "d"), 0);	/* onto itself */
	assert_int_equal(walk(ROOT, ROOT, ".."), 0);
	assert_int_equal(walk(ROOT, 2, "d"), 0);
	assert_int_equal(walk(ROOT, 2, "d"), EINVAL);	/* in use */
	assert_int_equal(walk(99, 3, "d"), EBADF);
	assert_int_equal(walk(ROOT, P9_NOFID, "d"), EINVAL);
	assert_int_equal(walk(ROOT, 3, "././././././././././././././././."),
			 EINVAL);			/* 17 names */
}

static void test_fid_limit(void **state)
{
	uint32_t made = 0;
	int error;

	(void)state;
	while ((error = walk(ROOT, 100 + made, "")) == 0) {
		made++;
		assert_true(made < 10000);
	}
	assert_int_equal(error, ENFILE);
	assert_int_equal(made, P9_FIDS_MAX - 1);
	/* Tversion frees them all. */
	begin(P9_TVERSION);
	p9_put32(&t, 8192);
	p9_put_text(&t, "9P2000.u");
	assert_int_equal(send_request(), 0);
	assert_null(p9_fid_find(&server, ROOT));
}

static void test_unknown_and_short(void **state)
{
	(void)state;
	for (unsigned int type = 0; type < 256; type += 2) {
		begin((uint8_t)type);	/* no body at all */
		if (type != P9_TFLUSH) {
			assert_int_not_equal(send_request(), 0);
		}
	}
	begin(P9_TFLUSH);
	p9_put16(&t, 1);
	assert_int_equal(send_request(), 0);
}

/* Requests that were right, with bytes changed and cut at any place. */
static void test_mutated_requests(void **state)
{
	static const uint8_t types[] = { 8, 12, 14, 16, 22, 24, 26, 40, 50,
					 70, 72, 74, 76, 104, 110, 116, 118,
					 120 };

	(void)state;
	srandom(2);
	for (int i = 0; i < 30000; i++) {
		size_t len = P9_HEADER + (size_t)random() % 64;

		begin(types[(size_t)random() % sizeof(types)]);
		p9_put32(&t, (uint64_t)random() % 4);
		while ((size_t)(t.at - request) < len) {
			p9_put8(&t, random() % 3 ? (uint64_t)random() % 5 :
			       (uint64_t)random());
		}
		t.at = request + len;
		send_request();
	}
}

/* Over a socket: whole session, then a stream that cannot be framed. */
static void test_stream(void **state)
{
	static const uint8_t version[] = { 21, 0, 0, 0, 100, 0xff, 0xff,
		0, 0, 1, 0, 8, 0, '9', 'P', '2', '0', '0', '0', '.', 'L' };
	static const uint8_t broken[] = { 6, 0, 0, 0, 100, 0, 0 };
	uint8_t answer[21];
	int pair[2], status;
	pid_t pid;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	pid = fork();
	if (pid == 0) {
		close(pair[0]);
		agent_9p_serve(pair[1], root);
		_exit(0);
	}
	close(pair[1]);
	assert_true(agent_write_full(pair[0], version, sizeof(version)));
	assert_true(agent_read_full(pair[0], answer, sizeof(answer)));
	assert_int_equal(answer[4], 101);
	assert_true(agent_write_full(pair[0], broken, sizeof(broken)));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	close(pair[0]);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_create_write_read), TEST(test_large_read),
		TEST(test_directories), TEST(test_links_and_renames),
		TEST(test_setattr), TEST(test_names_stay_inside),
		TEST(test_special_files_are_refused), TEST(test_walks),
		TEST(test_fid_limit), TEST(test_unknown_and_short),
		TEST(test_mutated_requests), TEST(test_stream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
