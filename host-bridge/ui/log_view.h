/* SPDX-License-Identifier: MIT */
/* Showing a log of text lines on the console. */
#ifndef ISTHMUS_LOG_VIEW_H
#define ISTHMUS_LOG_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Copies up to size bytes of a log from *at on (0: its beginning, what was
 * lost is skipped) and moves *at. Returns the bytes copied, 0 at the end. */
typedef size_t (*log_view_read)(void *arg, uint64_t *at, char *buf,
				size_t size);

/* Prints a log, as read(arg, ...) gives it: all, or its last lines when lines
 * is a number. False: it is none. For top-level code. */
bool log_view(log_view_read read, void *arg, const char *lines);

#endif
