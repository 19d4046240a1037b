/* SPDX-License-Identifier: MIT */
/* The host's file server by raw FUSE messages, on a connection of files.c's. */
#ifndef GUEST_PAYLOAD_FILES_H
#define GUEST_PAYLOAD_FILES_H

#include <stdbool.h>
#include <stdint.h>

#define FILES_LOST	1	/* no errno: the connection has ended */

int64_t files_do(uint32_t op, uint64_t node, const void *body, uint32_t size);
void files_again(void);
void files_tell(const char *name, uint64_t detail, int64_t error);
void *files_answer(void);
uint64_t files_node(void);
bool files_find(uint64_t parent, const char *name, uint32_t size);
int64_t files_make_dir(uint64_t parent, const char *name, uint32_t size);

#endif
