/* SPDX-License-Identifier: MIT */
/* The C library's ground: see syscalls.c. */
#ifndef ISTHMUS_SYSCALLS_H
#define ISTHMUS_SYSCALLS_H

#include <stdint.h>

struct host_info;

/* Before the first malloc(): the heap and the time of day. */
void syscalls_init(const struct host_info *info);
/* UTC in ns since 1970. */
int64_t syscalls_now_ns(void);

#endif
