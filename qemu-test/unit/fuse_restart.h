/* SPDX-License-Identifier: MIT */
/* For fuse_restart_test.c: what programs in a Linux have of files, and another Linux
 * believes of them. */
#ifndef ISTHMUS_FUSE_RESTART_H
#define ISTHMUS_FUSE_RESTART_H

#include "qemu-test/unit/fuse_restart_world.h"

#define WORKERS		6u
#define FILES		8u
#define NAMES		5u
#define SIZE		5000u

struct file {
	bool used, linkable, open, attr;
	uint64_t id;			/* 0: Linux does not know it */
	uint64_t node;			/* its id, known or not */
	uint64_t count;			/* of what has named it */
	uint64_t fh;
	unsigned links;
	uint32_t size;
	uint8_t data[SIZE];
};

struct worker {
	uint64_t dir;
	uint64_t sub;			/* in there; 0: there is none */
	struct file files[FILES];
	struct file *names[2][NAMES];
	struct call *call;
	void (*then)(struct worker *w);	/* it was answered */
	/* What then() is to know. */
	int error;			/* as it should be */
	struct file *file;
	unsigned in, name, in2, name2, flags;
	uint32_t len;
};

extern struct worker workers[WORKERS];
extern uint64_t the_seed;
extern const char *doing;

const char *restart_name(unsigned name);
uint64_t restart_dir(const struct worker *w, unsigned in);
/* Fails the test if they are not the same. */
void is(uint64_t a, uint64_t b, const char *what, const struct worker *w);
#define IS(a, b) is((a), (b), #a, w)

/* fuse_restart_ops.c: a request of a worker's, or a FORGET; or nothing. */
void ops_act(struct worker *w);
/* Looks w->name up in w->in. */
void ops_look_up(struct worker *w);
void ops_read(struct worker *w, struct file *file);
void ops_get_attr(struct worker *w, struct file *file);
void ops_send(struct worker *w, void (*then)(struct worker *w), int error);

/* fuse_restart_other.c: nothing is believed yet; it looks, or hears what it has
 * found; of a worker that was answered, what it believes is so. */
void other_begin(void);
void other_look(void);
void other_is_right(const struct worker *w);
/* A directory that is no more. */
void other_unsee(uint64_t dir, const char *name, size_t len);

#endif
