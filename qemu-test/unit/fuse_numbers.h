/* SPDX-License-Identifier: MIT */
/* For fuse_proto_test.c: what two headers are compared by. */
#ifndef ISTHMUS_FUSE_NUMBERS_H
#define ISTHMUS_FUSE_NUMBERS_H

struct fuse_number {
	const char *name;
	unsigned long long value;
};

/* Linux's, of the build machine, and how many. */
const struct fuse_number *fuse_numbers_linux(unsigned *count);

#endif
