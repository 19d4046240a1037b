/* SPDX-License-Identifier: MIT */
/*
 * Paths, for the console. The path still to be walked is kept in one buffer: a
 * link's text is put before the rest of it. So links within links need no
 * recursion, and the buffer's size bounds what they can grow to.
 *
 * Links are Linux's to make; here they are followed within the volume, from its
 * root: none leads anywhere else.
 */
#include <errno.h>
#include <string.h>

#include "host-bridge/fs/volume.h"

#define PATH_BYTES	8192u		/* with the texts of links */
#define LINKS_MAX	40		/* as Linux has it */

struct walk {
	struct volume *vol;
	uint32_t dir;			/* where we are */
	int links;			/* followed so far */
	char path[PATH_BYTES];		/* still to go */
};

/* Puts the text of link ino before what is still to go; an absolute one begins
 * at the root. Returns 0, ELOOP, ENAMETOOLONG, or as volume_readlink(). */
static int walk_link(struct walk *walk, uint32_t ino)
{
	char text[4096];
	size_t len, rest = strlen(walk->path) + 1;
	int error = volume_readlink(walk->vol, ino, text, sizeof(text), &len);

	if (error != 0) {
		return error;
	}
	if (++walk->links > LINKS_MAX) {
		return ELOOP;
	}
	if (len + 1 + rest > sizeof(walk->path)) {
		return ENAMETOOLONG;
	}
	memmove(walk->path + len + 1, walk->path, rest);
	memcpy(walk->path, text, len);
	walk->path[len] = '/';
	if (text[0] == '/') {
		walk->dir = VOLUME_ROOT;
	}
	return 0;
}

/* Takes the next name off the path: its length, 0 at the end. name has room for
 * all of the path. */
static size_t walk_next(struct walk *walk, char *name)
{
	size_t skip = strspn(walk->path, "/");
	size_t len = strcspn(walk->path + skip, "/");

	memcpy(name, walk->path + skip, len);
	memmove(walk->path, walk->path + skip + len,
		strlen(walk->path + skip + len) + 1);
	return len;
}

/* Walks all of the path; walk->dir is its end. follow decides about a link in
 * the last place; slashes behind a name change nothing. */
static int walk_path(struct walk *walk, bool follow)
{
	char name[PATH_BYTES];
	size_t len;

	while ((len = walk_next(walk, name)) > 0) {
		bool last = walk->path[strspn(walk->path, "/")] == '\0';
		struct volume_attr attr;
		uint32_t ino;
		int error = volume_lookup(walk->vol, walk->dir, name, len,
					  &ino);

		/* Whether it is a link, only its mode tells. */
		if (error == 0) {
			error = volume_getattr(walk->vol, ino, &attr);
		}
		if (error == 0 &&
		    (attr.mode & VOLUME_S_IFMT) == VOLUME_S_IFLNK &&
		    (follow || !last)) {
			error = walk_link(walk, ino);
			ino = walk->dir;
		}
		if (error != 0) {
			return error;
		}
		walk->dir = ino;
	}
	return 0;
}

/* Walks the first len bytes of a path. *ino means something only with 0. */
static int walk_from_root(struct volume *vol, const char *path, size_t len,
			  bool follow, uint32_t *ino)
{
	struct walk walk = { .vol = vol, .dir = VOLUME_ROOT };
	int error;

	if (len >= sizeof(walk.path)) {
		return ENAMETOOLONG;
	}
	memcpy(walk.path, path, len);
	error = walk_path(&walk, follow);
	*ino = walk.dir;
	return error;
}

/**
 * The inode at the end of a path, which begins at the root whether it says so
 * or not. It is not held. Returns 0, ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG,
 * ESTALE, EIO or ENOMEM.
 */
int volume_path(struct volume *vol, const char *path, bool follow,
		uint32_t *ino)
{
	return walk_from_root(vol, path, strlen(path), follow, ino);
}

/**
 * The directory of a path's last name, and that name within the path, which
 * need not exist; it may be "." or "..", and is not checked. Returns as
 * volume_path(), or EINVAL for a path without a last name.
 */
int volume_path_parent(struct volume *vol, const char *path, uint32_t *dir,
		       const char **name, size_t *len)
{
	size_t end = strlen(path), start;

	while (end > 0 && path[end - 1] == '/') {
		end--;
	}
	for (start = end; start > 0 && path[start - 1] != '/'; ) {
		start--;
	}
	if (start == end) {
		return EINVAL;
	}
	*name = path + start;
	*len = end - start;
	return walk_from_root(vol, path, start, true, dir);
}
