/* SPDX-License-Identifier: MIT */
/* watcher DIR: prints what inotify says of a directory, a line each, for ever. */
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static _Alignas(struct inotify_event) char buf[16384];
	int fd = inotify_init();
	ssize_t n;

	if (argc < 2 || inotify_add_watch(fd, argv[1], IN_ALL_EVENTS &
					  ~(IN_ACCESS | IN_OPEN |
					    IN_CLOSE)) < 0) {
		perror("inotify");
		return 1;
	}
	printf("on\n");
	fflush(stdout);
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		for (char *at = buf; at < buf + n; ) {
			struct inotify_event *ev = (void *)at;

			printf("%s%s%s%s%s%s %s\n",
			       ev->mask & IN_CREATE ? "create" : "",
			       ev->mask & IN_DELETE ? "delete" : "",
			       ev->mask & IN_MODIFY ? "modify" : "",
			       ev->mask & IN_ATTRIB ? "attrib" : "",
			       ev->mask & IN_MOVE ? "move" : "",
			       ev->mask & IN_Q_OVERFLOW ? "lost" : "",
			       ev->len ? ev->name : ".");
			at += sizeof(*ev) + ev->len;
		}
		fflush(stdout);
	}
	return 0;
}
