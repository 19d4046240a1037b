/* SPDX-License-Identifier: MIT */
/*
 * newlib has no directories for this target, but its <dirent.h> wants this
 * header, and libext2fs includes <dirent.h>: the types, and no functions.
 */
#ifndef COMPAT_SYS_DIRENT_H
#define COMPAT_SYS_DIRENT_H

#include <sys/types.h>

struct dirent {
	ino_t d_ino;
	char d_name[256];
};

typedef struct compat_dir DIR;

#endif
