/* SPDX-License-Identifier: MIT */
/*
 * The host's 9P client against the agent's 9P server, which serves a temporary
 * folder from a process of its own, as in Linux. Between them is a vsock of this
 * test's own that takes and gives as few bytes at a time as it likes.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
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
#include "guest/init/init.h"
#include "host-bridge/files/p9_client.h"
#include "proto/agent.h"

#define GO	assert_int_equal
#define ALL	(256u << 10)

/* The one connection, and the server at its other end. */
struct vsock_conn {
	const struct vsock_ops *ops;
	void *arg;
	int sock;
	pid_t server;
	bool there, opened, want_room;
};

static struct vsock_conn conn;
static struct p9_client *client;
static char root[64];
static size_t chunk;			/* bytes taken or given at a time */
static bool stop_waiting;

void init_log(const char *format, ...)
{
	(void)format;
}

struct vsock_conn *vsock_connect(struct vsock *vs, uint32_t port,
				 const struct vsock_ops *ops, void *arg)
{
	int pair[2];

	assert_null(vs);
	GO(port, AGENT_PORT_9P);
	assert_false(conn.there);
	GO(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	conn = (struct vsock_conn){
		.ops = ops, .arg = arg, .sock = pair[0], .there = true,
		.server = fork(),
	};
	if (conn.server == 0) {
		close(pair[0]);
		agent_9p_serve(pair[1], root);
		_exit(0);
	}
	close(pair[1]);
	return &conn;
}

size_t vsock_send(struct vsock_conn *to, const void *data, size_t len)
{
	ssize_t n = send(to->sock, data, len < chunk ? len : chunk,
			 MSG_DONTWAIT | MSG_NOSIGNAL);

	assert_true(to->there);
	n = n < 0 ? 0 : n;
	to->want_room = (size_t)n < len;
	return (size_t)n;
}

void vsock_reset(struct vsock_conn *to)
{
	assert_true(to->there);
	to->there = false;
	close(to->sock);
	GO(waitpid(to->server, NULL, 0), to->server);
}

void vsock_shutdown(struct vsock_conn *to, unsigned flags)
{
	(void)flags;
	vsock_reset(to);
}

void *vsock_arg(const struct vsock_conn *of)
{
	return of->arg;
}

void vsock_set_arg(struct vsock_conn *of, void *arg)
{
	of->arg = arg;
}

/* The event loop's next round. */
static bool wait_step(void *arg)
{
	static uint8_t data[ALL];
	struct pollfd fd = {
		.fd = conn.sock,
		.events = (short)(POLLIN | (conn.want_room ? POLLOUT : 0)),
	};
	ssize_t n;

	assert_ptr_equal(arg, root);
	if (stop_waiting) {
		return false;
	}
	if (!conn.opened) {
		conn.opened = true;
		conn.ops->on_open(&conn);
		return true;
	}
	GO(poll(&fd, 1, 60000), 1);
	/* What has come first: of a server that is gone, that it is. */
	if (fd.revents == POLLOUT) {
		conn.want_room = false;		/* the client tries again */
	} else {
		n = read(conn.sock, data, chunk);
		if (n > 0) {
			conn.ops->on_data(&conn, data, (size_t)n);
		} else {
			vsock_reset(&conn);
			conn.ops->on_close(&conn, ECONNRESET);
		}
	}
	return true;
}

static void in_root(char *path, size_t size, const char *name)
{
	snprintf(path, size, "%s/%s", root, name);
}

static int setup(void **state)
{
	(void)state;
	strcpy(root, "/tmp/p9-agent-XXXXXX");
	assert_non_null(mkdtemp(root));
	chunk = ALL;
	stop_waiting = false;
	client = p9_client_new(NULL, AGENT_PORT_9P, wait_step, root);
	return 0;
}

static int teardown(void **state)
{
	struct dirent *entry;
	char path[400];
	DIR *dir = opendir(root);

	(void)state;
	p9_client_free(client);
	if (conn.there) {
		vsock_reset(&conn);
	}
	while ((entry = readdir(dir)) != NULL) {
		in_root(path, sizeof(path), entry->d_name);
		remove(path);
	}
	closedir(dir);
	return rmdir(root);
}

/* A group of calls over a transport that takes so many bytes at a time. */
static void use_files(void)
{
	static uint8_t data[150000], back[150000];
	struct p9_attr attr;
	uint32_t fid;
	size_t at, n;

	for (at = 0; at < sizeof(data); at++) {
		data[at] = (uint8_t)(at * 13 >> 4);
	}
	GO(p9_client_mkdir(client, "/dir"), 0);
	GO(p9_client_mkdir(client, "dir/"), EEXIST);
	GO(p9_client_open(client, "dir/file", false, &fid), ENOENT);
	GO(p9_client_open(client, "dir/file", true, &fid), 0);
	for (at = 0; at < sizeof(data); at += n) {
		GO(p9_client_write(client, fid, at, data + at,
				   sizeof(data) - at, &n), 0);
		assert_true(n > 0);
	}
	p9_client_close(client, fid);
	GO(p9_client_stat(client, "dir/../dir/file", true, &attr), 0);
	GO(attr.size, sizeof(data));
	GO(p9_client_open(client, "dir/file", false, &fid), 0);
	for (at = 0; at < sizeof(data); at += n) {
		GO(p9_client_read(client, fid, at, back + at,
				  sizeof(back) - at, &n), 0);
		assert_true(n > 0);
	}
	assert_memory_equal(data, back, sizeof(data));
	GO(p9_client_read(client, fid, at, back, 1, &n), 0);
	GO(n, 0);
	p9_client_close(client, fid);
	GO(p9_client_remove(client, "dir"), ENOTEMPTY);
	GO(p9_client_rename(client, "dir/none", "other"), ENOENT);
	GO(p9_client_rename(client, "dir/file", "none/other"), ENOENT);
	GO(p9_client_rename(client, "dir/file", "other"), 0);
	GO(p9_client_stat(client, "dir/file", true, &attr), ENOENT);
	GO(p9_client_rename(client, "other", "dir/file"), 0);
	GO(p9_client_rename(client, "dir", "dir/in"), EINVAL);
	GO(p9_client_remove(client, "dir/file"), 0);
	GO(p9_client_remove(client, "dir"), 0);
	GO(p9_client_stat(client, "dir", true, &attr), ENOENT);
}

static void files_come_and_go(void **state)
{
	(void)state;
	use_files();
}

static void the_same_in_small_pieces(void **state)
{
	(void)state;
	chunk = 500;
	use_files();
}

static bool count_names(void *arg, const char *name, size_t len)
{
	unsigned *count = arg;

	assert_true(len > 0 && name[0] != '\0');
	return ++*count < 900;
}

static void lists_and_links(void **state)
{
	struct p9_attr attr;
	unsigned count = 0;
	char name[16], path[400];

	(void)state;
	for (unsigned i = 0; i < 800; i++) {
		snprintf(name, sizeof(name), "name-%u", i);
		in_root(path, sizeof(path), name);
		GO(mknod(path, S_IFREG | 0644, 0), 0);
	}
	in_root(path, sizeof(path), "one");
	GO(symlink("./two", path), 0);
	in_root(path, sizeof(path), "two");
	GO(symlink("/../name-7", path), 0);
	in_root(path, sizeof(path), "loop");
	GO(symlink("loop", path), 0);
	GO(p9_client_list(client, "/", count_names, &count), 0);
	GO(count, 800 + 5);			/* . .. and the links */
	GO(p9_client_stat(client, "one", true, &attr), 0);
	GO(attr.mode & S_IFMT, S_IFREG);
	GO(p9_client_stat(client, "one", false, &attr), 0);
	GO(attr.mode & S_IFMT, S_IFLNK);
	GO(p9_client_stat(client, "loop", true, &attr), ELOOP);
	GO(p9_client_list(client, "one", count_names, &count), ENOTDIR);
}

/* The user gives up, and comes back. */
static void waiting_can_be_given_up(void **state)
{
	struct p9_attr attr;
	siginfo_t gone;
	uint32_t fid;
	size_t n;

	(void)state;
	GO(p9_client_open(client, "file", true, &fid), 0);
	stop_waiting = true;
	GO(p9_client_stat(client, "/", true, &attr), EINTR);
	stop_waiting = false;
	GO(p9_client_write(client, fid, 0, "x", 1, &n), EBADF);
	GO(p9_client_stat(client, "file", true, &attr), 0);
	/* The server is gone. */
	kill(conn.server, SIGKILL);
	GO(waitid(P_PID, (id_t)conn.server, &gone, WEXITED | WNOWAIT), 0);
	GO(p9_client_stat(client, "/", true, &attr), ECONNRESET);
	GO(p9_client_stat(client, "file", true, &attr), 0);
}

int main(void)
{
#define T(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(files_come_and_go),
		T(the_same_in_small_pieces),
		T(lists_and_links),
		T(waiting_can_be_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
