/* SPDX-License-Identifier: MIT */
/* For tests: all of a volume as it is, to be compared with what it was. */
#ifndef ISTHMUS_VOLUME_TREE_H
#define ISTHMUS_VOLUME_TREE_H

#include "host-bridge/fs/volume.h"

#define TREE_FILES	64u
#define TREE_TEXT	16384u

struct tree_file {
	uint32_t ino, gen;
	uint64_t size;
	uint8_t *data;
};

/* A line for each name: where, what, and all that is said of it but times. */
struct tree {
	char text[TREE_TEXT];
	size_t len;
	struct tree_file files[TREE_FILES];
	unsigned count;
};

/* again: called after EAGAIN, brings about what was missing. */
void tree_take(struct tree *tree, struct volume *vol, void (*again)(void *arg),
	       void *arg);
void tree_free(struct tree *tree);
void tree_say(struct tree *tree, const char *format, ...);
const struct tree_file *tree_file(const struct tree *tree, uint32_t ino,
				  uint32_t gen);

#endif
