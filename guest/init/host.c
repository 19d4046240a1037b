/* SPDX-License-Identifier: MIT */
/*
 * `isthmus` in Linux: has a command of the host's console run, shows what it prints,
 * and ends with its status. Which ones there are for whom the host says
 * (proto/host_commands.h); here nothing is asked but the kernel for a port, a
 * reserved one if it gives one to this user. `isthmus top` on a terminal is asked
 * for again and again, and painted here.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

#include "proto/host_commands.h"
#include "init.h"

#define FAILED		125	/* there is no answer of the host's */
#define PORT_FIRST	900u	/* of reserved ones: others are below and above */
#define PORT_LAST	999u
#define TOP_MS		1000
#define FRAME_MAX	65536u	/* bytes of a payload that are believed */

/* The line as it would be typed. */
struct line {
	char text[HOST_COMMANDS_LINE];
	size_t len;
};

static void put(struct line *line, char c)
{
	if (line->len < sizeof(line->text)) {
		line->text[line->len] = c;
	}
	line->len++;
}

/* An argument, so that the console takes it for one word. [ui/words.c] */
static void put_word(struct line *line, const char *word)
{
	if (line->len > 0) {
		put(line, ' ');
	}
	if (!*word) {
		put(line, '"');
		put(line, '"');
	}
	for (; *word; word++) {
		if (strchr(" '\"\\", *word)) {
			put(line, '\\');
		}
		put(line, *word);
	}
}

/* A reserved port tells the host that this is root. Without one it is anybody. */
static void take_port(int fd)
{
	struct sockaddr_vm own = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY,
	};

	for (own.svm_port = PORT_FIRST; own.svm_port <= PORT_LAST;
	     own.svm_port++) {
		if (bind(fd, (struct sockaddr *)&own, sizeof(own)) == 0 ||
		    errno != EADDRINUSE) {
			return;
		}
	}
}

/* A connection on which the line has been sent, or -1 with errno. */
static int ask(const struct line *line)
{
	const struct sockaddr_vm host = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST,
		.svm_port = HOST_COMMANDS_PORT,
	};
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		return -1;
	}
	take_port(fd);
	if (connect(fd, (const struct sockaddr *)&host, sizeof(host)) ||
	    send(fd, line->text, line->len, MSG_NOSIGNAL) !=
	    (ssize_t)line->len) {
		int error = errno;

		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

static bool read_full(int fd, void *to, size_t len)
{
	ssize_t n = 1;

	for (uint8_t *at = to; len > 0; at += n, len -= (size_t)n) {
		do {
			n = read(fd, at, len);
		} while (n < 0 && errno == EINTR);
		if (n <= 0) {
			return false;
		}
	}
	return true;
}

static bool write_full(int fd, const void *from, size_t len)
{
	ssize_t n = 0;

	for (const uint8_t *at = from; len > 0; at += n, len -= (size_t)n) {
		do {
			n = write(fd, at, len);
		} while (n < 0 && errno == EINTR);
		if (n < 0) {
			return false;
		}
	}
	return true;
}

/* Where output goes: to standard output, or to be painted. */
struct output {
	char *text;		/* NULL: standard output */
	size_t len, size;
};

static bool show(struct output *to, const void *data, size_t len)
{
	if (!to->text) {
		return write_full(STDOUT_FILENO, data, len);
	}
	len = len < to->size - to->len ? len : to->size - to->len;
	memcpy(to->text + to->len, data, len);
	to->len += len;
	return true;
}

/* Passes on what the host answers; returns the status for exit(). */
static int answer(int fd, struct output *to)
{
	static uint8_t payload[FRAME_MAX];
	uint8_t header[AGENT_HEADER];
	uint32_t len, status;

	while (read_full(fd, header, sizeof(header))) {
		memcpy(&len, header + 1, sizeof(len));
		if (len > sizeof(payload) || !read_full(fd, payload, len)) {
			break;
		}
		if (header[0] == AGENT_EXIT && len == sizeof(status)) {
			memcpy(&status, payload, sizeof(status));
			return (int)(status & 0xff);
		}
		if (!(header[0] == AGENT_STDOUT ? show(to, payload, len) :
		      write_full(STDERR_FILENO, payload, len))) {
			return FAILED;
		}
	}
	fprintf(stderr, "isthmus: the host ended the connection: it takes no "
		"more commands at a time from this Linux, or is gone\n");
	return FAILED;
}

/* One command: asked, answered. */
static int command(const struct line *line, struct output *to)
{
	int status, fd = ask(line);

	if (fd < 0) {
		fprintf(stderr, "isthmus: no way to the host: %s\n",
			strerror(errno));
		return FAILED;
	}
	status = answer(fd, to);
	close(fd);
	return status;
}

/* ---- top ---- */

static volatile sig_atomic_t resized, ended;

static void on_signal(int signal)
{
	if (signal == SIGWINCH) {
		resized = 1;
	} else {
		ended = 1;
	}
}

/* The lines of a view onto the screen, what was there before gone. None reaches the
 * last column, behind which terminals differ in what they erase. */
static void paint(const struct output *view)
{
	size_t from = 0;

	printf("\033[H");
	for (size_t i = 0; i < view->len; i++) {
		if (view->text[i] == '\n') {
			printf("%s%.*s\033[K", from ? "\r\n" : "",
			       (int)(i - from), view->text + from);
			from = i + 1;
		}
	}
	printf("\033[J");
	fflush(stdout);
}

/* Whether it is to end: a key that says so, or a second is over. */
static bool key_pressed(void)
{
	struct pollfd fd = { .fd = STDIN_FILENO, .events = POLLIN };
	char key;

	if (poll(&fd, 1, TOP_MS) <= 0) {
		return ended;	/* also of a new size: it is painted anew */
	}
	return read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 3;
}

static int paint_on(void)
{
	static char text[32768];
	struct winsize size;
	int status = 0;

	do {
		struct output view = { .text = text, .size = sizeof(text) };
		struct line line = { .len = 0 };
		char word[16];

		memset(&size, 0, sizeof(size));
		resized = 0;
		ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
		put_word(&line, "top");
		put_word(&line, "--once");
		snprintf(word, sizeof(word), "%u", size.ws_row ? size.ws_row : 24);
		put_word(&line, word);
		snprintf(word, sizeof(word), "%u", size.ws_col > 1 ? size.ws_col - 1u : 79);
		put_word(&line, word);
		put(&line, '\n');
		status = command(&line, &view);
		if (status == 0) {
			paint(&view);
		}
	} while (status == 0 && !ended && (resized || !key_pressed()));
	return status;
}

/* On another screen, with keys as they come; the terminal is as before afterwards. */
static int top(void)
{
	struct sigaction act = { .sa_handler = on_signal };
	struct termios before, raw;
	int status;

	tcgetattr(STDIN_FILENO, &before);
	raw = before;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG);
	sigaction(SIGWINCH, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGHUP, &act, NULL);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
	printf("\033[?1049h\033[?25l");
	fflush(stdout);
	status = paint_on();
	printf("\033[?25h\033[?1049l");
	fflush(stdout);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	return status;
}

/** The program `isthmus`; returns the status for exit(). */
int host_run(int argc, char **argv)
{
	static char *once[] = { "isthmus", "top", "--once", NULL };
	struct output to = { .text = NULL };
	struct line line = { .len = 0 };

	if (argc == 2 && strcmp(argv[1], "top") == 0) {
		if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)) {
			return top();
		}
		argv = once;
		argc = 3;
	}
	for (int i = 1; i < argc; i++) {
		put_word(&line, argv[i]);
	}
	if (argc == 1) {
		put_word(&line, "help");
	}
	put(&line, '\n');
	if (line.len > sizeof(line.text)) {
		fprintf(stderr, "isthmus: the host takes lines of %u bytes at "
			"most\n", HOST_COMMANDS_LINE - 1);
		return 2;
	}
	return command(&line, &to);
}
