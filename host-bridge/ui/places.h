/* SPDX-License-Identifier: MIT */
/*
 * Files as the console's user names them: a path on the volume, or, behind
 * the name of a Linux and a colon, a path in that one's own file system. All
 * functions are for top-level code (they may run the event loop) and return 0
 * or an errno value.
 */
#ifndef ISTHMUS_PLACES_H
#define ISTHMUS_PLACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host-bridge/fs/volume.h"
#include "host-bridge/vsock/vsock.h"

struct fuse_server;
struct p9_client;

#define PLACE_LINUX	"linux"	/* the first, whatever its name */

struct place_stat {
	const void *side;	/* NULL: the volume's; else of one Linux */
	uint64_t id;		/* one file, one number, on its side */
	uint32_t mode;		/* type and permissions, VOLUME_S_* */
	uint64_t size;
	struct volume_time mtime;
};

/* One Linux's files. */
struct place_linux {
	struct place_linux *next;
	const char *name;
	struct p9_client *client;	/* NULL: they are not there */
};

/* The sides; NULL: that one is not there (ENODEV). A file of the volume that
 * is opened for writing is Linux's again with fuse_service_settle(). */
struct places {
	struct volume *volume;
	struct volume_turns *turns;	/* of one on a disk; or NULL */
	struct fuse_server *files;	/* who serves it to Linux, or NULL */
	struct place_linux *linuxes;	/* in the manifest's order */
};

struct place_file {
	const struct places *places;
	struct p9_client *client;	/* NULL: it is on the volume */
	uint32_t id;		/* inode number, or 9P fid */
};

/* volume may be NULL: that side is then not there; files too. */
void places_init(struct places *places, struct volume *volume,
		 struct volume_turns *turns, struct fuse_server *files);
/* One Linux more, at the other end of vs, or of nothing: its side is not there.
 * Returns 0 or ENOMEM. */
int places_add(struct places *places, const char *name, struct vsock *vs);
bool place_in_linux(const char *path);
/* The path without the name of a Linux. */
const char *place_path(const char *path);
int place_stat(const struct places *places, const char *path, bool follow,
	       struct place_stat *st);
/* Calls fn for each name in the directory until it returns false; fn must
 * not use places. */
int place_list(const struct places *places, const char *path,
	       bool (*fn)(void *arg, const char *name, size_t len),
	       void *arg);
/* Opens a regular file; create makes or empties it. */
int place_open(const struct places *places, const char *path, bool create,
	       struct place_file *file);
int place_read(struct place_file *file, uint64_t offset, void *buf,
	       size_t len, size_t *done);
int place_write(struct place_file *file, uint64_t offset, const void *buf,
		size_t len, size_t *done);
void place_close(struct place_file *file);
int place_mkdir(const struct places *places, const char *path);
/* Removes a file, or an empty directory. */
int place_remove(const struct places *places, const char *path);
/* Another name for a file or directory of one side; replaces what has it. */
int place_rename(const struct places *places, const char *from,
		 const char *to);

#endif
