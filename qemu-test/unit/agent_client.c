/* SPDX-License-Identifier: MIT */
/* See agent_client.h. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include "agent_client.h"
#include "guest/init/init.h"

void init_log(const char *format, ...)
{
	(void)format;
}

int send_buffer;		/* of the session; 0: as usual */
rlim_t descriptors;	/* it may have; 0: as usual */
bool old_kernel;		/* without pidfd_open() */

/* A system call that this kernel does not know, from here on. */
static void forget_pidfds(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = 4, .filter = code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
		perror("seccomp");
		_exit(1);
	}
}

void open_session(struct client *c)
{
	int pair[2];

	memset(c, 0, sizeof(*c));
	c->status = NO_STATUS;
	for (int i = 0; i < 2; i++) {
		c->out[i] = calloc(1, OUTPUT_MAX);
		assert_non_null(c->out[i]);
	}
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
				    pair), 0);
	if (send_buffer > 0) {
		setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &send_buffer,
			   sizeof(send_buffer));
	}
	c->pid = fork();
	assert_true(c->pid >= 0);
	if (c->pid == 0) {
		struct rlimit limit = { descriptors, descriptors };

		close(pair[0]);
		if (descriptors != 0) {
			setrlimit(RLIMIT_NOFILE, &limit);
		}
		if (old_kernel) {
			forget_pidfds();
		}
		/* ignored by what a shell has started in the background */
		signal(SIGINT, SIG_DFL);
		signal(SIGQUIT, SIG_DFL);
		agent_session(pair[1]);
		_exit(0);
	}
	close(pair[1]);
	c->sock = pair[0];
}

void close_session(struct client *c)
{
	int status;

	close(c->sock);
	assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	for (int i = 0; i < 2; i++) {
		free(c->out[i]);
	}
}

void request(struct client *c, const char *text, size_t len)
{
	uint8_t le[4];

	agent_put_le32(le, (uint32_t)len);
	assert_true(agent_write_full(c->sock, le, 4));
	assert_true(agent_write_full(c->sock, text, len));
}

void exec_session(struct client *c, const char *command)
{
	char text[1024];
	int len = snprintf(text, sizeof(text), "exec%c%s", '\0', command);

	open_session(c);
	request(c, text, (size_t)len);
}

void send_frame(struct client *c, enum agent_type type, const void *data,
		uint32_t len)
{
	uint8_t header[AGENT_HEADER];

	agent_frame_header(header, type, len);
	assert_true(agent_write_full(c->sock, header, sizeof(header)));
	assert_true(agent_write_full(c->sock, data, len));
}

/* Takes one frame; false at the end of the stream. */
bool take_frame(struct client *c)
{
	static uint8_t payload[AGENT_PAYLOAD_MAX];
	struct pollfd p = { .fd = c->sock, .events = POLLIN };
	uint8_t header[AGENT_HEADER];
	uint32_t len;

	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	if (!agent_read_full(c->sock, header, sizeof(header))) {
		return false;
	}
	len = agent_get_le32(header + 1);
	assert_true(len <= sizeof(payload));
	assert_true(agent_read_full(c->sock, payload, len));
	assert_int_equal(c->status, NO_STATUS);	/* nothing after the exit */
	if (header[0] == AGENT_STDOUT || header[0] == AGENT_STDERR) {
		int i = header[0] == AGENT_STDERR;

		assert_true(c->len[i] + len < OUTPUT_MAX);
		memcpy(c->out[i] + c->len[i], payload, len);
		c->len[i] += len;
	} else if (header[0] == AGENT_ERROR) {
		assert_true(len < sizeof(c->error));
		memcpy(c->error, payload, len);
	} else if (header[0] == AGENT_FLUSH) {
		assert_int_equal(len, 0);
		c->flushed = c->len[0];
	} else if (header[0] == AGENT_TAKEN) {
		assert_int_equal(len, 4);
		c->taken += agent_get_le32(payload);
	} else {
		assert_int_equal(header[0], AGENT_EXIT);
		assert_int_equal(len, 4);
		c->status = agent_get_le32(payload);
	}
	return true;
}

void take_all(struct client *c)
{
	while (take_frame(c)) {
	}
}
