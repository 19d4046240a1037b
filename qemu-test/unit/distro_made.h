/* SPDX-License-Identifier: MIT */
/* Trees of files for tests: distro_made.c. */
#ifndef DISTRO_MADE_H
#define DISTRO_MADE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "guest/init/distro_tree.h"

#define MADE_ENTRIES	7000u
#define MADE_PATH	300

struct made {
	const char *where;		/* the ext4 */
	const char *old, *new;		/* the trees there */
	int top, from, to;		/* of these; from -1: skipped */
	const char *file;		/* some file's path in them */
	char told[100];			/* the last difference */
};

extern struct made made;
extern struct distro_tree made_trees;

uint64_t made_any(uint64_t below);
void made_fill(const char *path, unsigned pieces, off_t apart);
void made_set(const char *path, const char *name, const void *value, size_t size);
void made_begin(const char *a, const char *b);
int made_set_up(void **state);
int made_take_down(void **state);
void made_need(void);
void made_copy(void);
uint64_t made_compare(void);
void made_empty(void);

#endif
