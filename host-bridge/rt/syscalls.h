/* SPDX-License-Identifier: MIT */
/* The C library's ground: see syscalls.c. */
#ifndef ISTHMUS_SYSCALLS_H
#define ISTHMUS_SYSCALLS_H

struct host_info;

/* Before the first malloc(): the heap and the time of day. */
void syscalls_init(const struct host_info *info);

#endif
