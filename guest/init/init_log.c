/* SPDX-License-Identifier: MIT */
/* What PID 1 and the agent have to say, on the kernel's log. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "init.h"

/**
 * One line to the kernel's log and so to the console, marked as ours. Opened
 * anew each time: the kernel's limit on messages is one of the open file.
 */
void init_log(const char *format, ...)
{
	int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	/* <3>, an error's level, is printed even with `quiet`. */
	char line[256] = "<3>isthmus-init: ";
	size_t len = strlen(line);
	va_list ap;

	if (fd < 0) {
		return;
	}
	va_start(ap, format);
	vsnprintf(line + len, sizeof(line) - len - 1, format, ap);
	va_end(ap);
	/* One write is one line. Without its end the next one might go on with
	 * it, so nobody would be shown it before there is a next one. */
	strcat(line, "\n");
	(void)!write(fd, line, strlen(line));
	close(fd);
}
