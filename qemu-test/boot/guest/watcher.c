/* SPDX-License-Identifier: MIT */
/*
 * watcher DIR...: prints what inotify says of directories, a line each, for ever.
 * watcher -f DIR...: the same by fanotify, each line beginning with "fan".
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <unistd.h>

/* The bits are the same ones for both. */
static const struct { uint64_t bits; const char *name; } events[] = {
	{ IN_CREATE, "create" }, { IN_DELETE, "delete" },
	{ IN_MODIFY, "modify" }, { IN_ATTRIB, "attrib" },
	{ IN_MOVE, "move" }, { IN_Q_OVERFLOW, "lost" },
};
#define EVENTS	(IN_CREATE | IN_DELETE | IN_MODIFY | IN_ATTRIB | IN_MOVE)

static void show(const char *by, uint64_t mask, const char *name)
{
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		if (mask & events[i].bits) {
			printf("%s%s %s\n", by, events[i].name, name);
		}
	}
}

/* Several changes of one name may come as one. */
static void show_fan(const struct fanotify_event_metadata *ev)
{
	const struct fanotify_event_info_fid *fid = (const void *)(ev + 1);
	const struct file_handle *handle = (const void *)fid->handle;
	const char *name = (const char *)handle->f_handle +
			   handle->handle_bytes;
	int has_name = ev->event_len > sizeof(*ev) &&
		       fid->hdr.info_type == FAN_EVENT_INFO_TYPE_DFID_NAME;

	show("fan ", ev->mask, has_name ? name : ".");
}

static int by_fanotify(char **dirs)
{
	static _Alignas(struct fanotify_event_metadata) char buf[16384];
	int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME,
			       O_RDONLY);
	ssize_t n;

	for (; *dirs; dirs++) {
		if (fd < 0 || fanotify_mark(fd, FAN_MARK_ADD, EVENTS |
					    FAN_EVENT_ON_CHILD | FAN_ONDIR,
					    AT_FDCWD, *dirs) < 0) {
			perror("fanotify");
			return 1;
		}
	}
	printf("on\n");
	fflush(stdout);
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		struct fanotify_event_metadata *ev = (void *)buf;

		for (; FAN_EVENT_OK(ev, n); ev = FAN_EVENT_NEXT(ev, n)) {
			show_fan(ev);
		}
		fflush(stdout);
	}
	return 0;
}

static int by_inotify(char **dirs)
{
	static _Alignas(struct inotify_event) char buf[16384];
	int fd = inotify_init();
	ssize_t n;

	for (; *dirs; dirs++) {
		if (inotify_add_watch(fd, *dirs, EVENTS) < 0) {
			perror("inotify");
			return 1;
		}
	}
	printf("on\n");
	fflush(stdout);
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		for (char *at = buf; at < buf + n; ) {
			struct inotify_event *ev = (void *)at;

			show("", ev->mask, ev->len ? ev->name : ".");
			at += sizeof(*ev) + ev->len;
		}
		fflush(stdout);
	}
	return 0;
}

int main(int argc, char **argv)
{
	return argc > 1 && strcmp(argv[1], "-f") == 0
	       ? by_fanotify(argv + 2) : by_inotify(argv + 1);
}
