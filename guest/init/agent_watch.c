/* SPDX-License-Identifier: MIT */
/*
 * `watch linux:PATH` of the host's console: what happens to a file, or in a
 * directory, as lines on standard output, until the host has gone (SIGHUP) or
 * the file. By inotify; when the kernel had to drop events a line says so. In a
 * process of its own, as root; a name is printed without control characters.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent.h"

#define EVENTS	(IN_CREATE | IN_DELETE | IN_MODIFY | IN_ATTRIB | IN_MOVE | \
		 IN_DELETE_SELF | IN_MOVE_SELF)

struct watch {
	int fd, wd;			/* of inotify */
	const char *path;
	/* A name that moved away: where to may follow. */
	uint32_t cookie;		/* 0: none */
	char from[NAME_MAX + 1];
};

static const struct {
	uint32_t mask;
	const char *word;
} words[] = {
	{ IN_CREATE, "create" }, { IN_DELETE | IN_DELETE_SELF, "delete" },
	{ IN_MODIFY, "modify" }, { IN_ATTRIB, "attrib" },
	{ IN_MOVE_SELF, "move" },
};

/* One line; NULL is no name. */
static void line(const char *word, const char *name, const char *to)
{
	printf("%-7s", word);
	for (; name && *name; name++) {
		putchar((unsigned char)*name < ' ' || *name == 0x7f ? '?' :
			*name);
	}
	if (to) {
		printf(" -> ");
		for (; *to; to++) {
			putchar((unsigned char)*to < ' ' || *to == 0x7f ? '?' :
				*to);
		}
	}
	putchar('\n');
}

/* The name that moved away went out of what is watched. */
static void gone(struct watch *w)
{
	if (w->cookie != 0) {
		line("move", w->from, "");
		w->cookie = 0;
	}
}

/* One event; false: there is nothing to watch any more. */
static bool tell(struct watch *w, const struct inotify_event *ev)
{
	const char *name = ev->len > 0 ? ev->name : ".";

	if ((ev->mask & IN_MOVED_TO) && w->cookie == ev->cookie &&
	    w->cookie != 0) {
		w->cookie = 0;
		line("move", w->from, name);
		return true;
	}
	gone(w);
	if (ev->mask & IN_MOVED_FROM) {
		w->cookie = ev->cookie;
		snprintf(w->from, sizeof(w->from), "%s", name);
	} else if (ev->mask & IN_MOVED_TO) {
		line("move", "", name);
	}
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (ev->mask & words[i].mask) {
			line(words[i].word, name, NULL);
		}
	}
	if (ev->mask & IN_Q_OVERFLOW) {
		printf("events were lost\n");
		/* The end of the watch may be one of them. */
		return inotify_add_watch(w->fd, w->path, EVENTS) == w->wd;
	}
	return !(ev->mask & IN_IGNORED);
}

/**
 * Watches a path and prints what happens, until it is gone; returns a status
 * for _exit(). A link is followed.
 */
int agent_watch(const char *path)
{
	static _Alignas(struct inotify_event) char buf[16384];
	struct watch w = { .fd = inotify_init1(IN_CLOEXEC), .path = path };
	bool more = true;
	int left = 0;
	ssize_t n;

	w.wd = inotify_add_watch(w.fd, path, EVENTS);
	if (w.wd < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return 1;
	}
	printf("watching %s; ctrl-c ends it\n", path);
	fflush(stdout);
	while (more && (n = read(w.fd, buf, sizeof(buf))) > 0) {
		const char *at = buf;

		while (more && at < buf + n) {
			const struct inotify_event *ev = (const void *)at;

			more = tell(&w, ev);
			at += sizeof(*ev) + ev->len;
		}
		/* Both halves of a move are in the queue at the same time, but
		 * may not have fitted into one read. */
		if (ioctl(w.fd, FIONREAD, &left) != 0 || left == 0) {
			gone(&w);
		}
		fflush(stdout);
	}
	return 0;
}
