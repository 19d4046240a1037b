/* SPDX-License-Identifier: MIT */
/* Paths on the volume, or in Linux through the agent's 9P server. */
#include <errno.h>
#include <string.h>

#include "host-bridge/places.h"

#define LINUX_PREFIX	"linux:"

static struct volume *volume;

/** Which sides there are. */
void places_init(struct volume *use_volume, struct vsock *vs)
{
	volume = use_volume;
	(void)vs;
}

/** Whether the path names a file in Linux. */
bool place_in_linux(const char *path)
{
	return strncmp(path, LINUX_PREFIX, strlen(LINUX_PREFIX)) == 0;
}

static int volume_find(const char *path, bool follow, uint32_t *ino)
{
	if (place_in_linux(path) || !volume) {
		return ENODEV;
	}
	return volume_path(volume, path, follow, ino);
}

/** What is at path; follow decides about a link in the last component. */
int place_stat(const char *path, bool follow, struct place_stat *st)
{
	struct volume_attr attr;
	uint32_t ino;
	int error = volume_find(path, follow, &ino);

	if (error == 0) {
		error = volume_getattr(volume, ino, &attr);
	}
	if (error == 0) {
		*st = (struct place_stat){
			.id = ino,
			.mode = attr.mode,
			.size = attr.size,
			.mtime = attr.mtime,
		};
	}
	return error;
}

struct list_arg {
	bool (*fn)(void *arg, const char *name, size_t len);
	void *arg;
};

static bool list_entry(void *arg, const struct volume_entry *entry)
{
	const struct list_arg *list = arg;

	return list->fn(list->arg, entry->name, entry->name_len);
}

/** Names in a directory, in the order the file system has them. */
int place_list(const char *path,
	       bool (*fn)(void *arg, const char *name, size_t len), void *arg)
{
	struct list_arg list = { fn, arg };
	uint32_t ino;
	int error = volume_find(path, true, &ino);

	return error ? error : volume_readdir(volume, ino, 0, list_entry,
					      &list);
}

/** Opens for reading and writing; close it with place_close(). */
int place_open(const char *path, bool create, struct place_file *file)
{
	const struct volume_attr empty = { .size = 0 };
	const struct volume_make make = { .mode = VOLUME_S_IFREG | 0644 };
	struct volume_attr attr;
	const char *name;
	uint32_t ino, dir;
	size_t len;
	int error = volume_find(path, true, &ino);

	if (error == ENOENT && create) {
		error = volume_path_parent(volume, path, &dir, &name, &len);
		if (error == 0) {
			error = volume_create(volume, dir, name, len, &make,
					      &ino);
		}
	} else if (error == 0 && create) {
		error = volume_setattr(volume, ino, VOLUME_SET_SIZE, &empty);
	}
	if (error == 0) {
		error = volume_getattr(volume, ino, &attr);
	}
	if (error == 0 && (attr.mode & VOLUME_S_IFMT) != VOLUME_S_IFREG) {
		error = (attr.mode & VOLUME_S_IFMT) == VOLUME_S_IFDIR ?
			EISDIR : EINVAL;
	}
	if (error == 0) {
		error = volume_hold(volume, ino);
	}
	*file = (struct place_file){ .id = ino };
	return error;
}

/** Reads up to len bytes; *done 0 is the end of the file. */
int place_read(struct place_file *file, uint64_t offset, void *buf,
	       size_t len, size_t *done)
{
	return volume_read(volume, file->id, offset, buf, len, done);
}

/** Writes up to len bytes; *done may be less. */
int place_write(struct place_file *file, uint64_t offset, const void *buf,
		size_t len, size_t *done)
{
	return volume_write(volume, file->id, offset, buf, len, done);
}

/** Ends the use of an open file. */
void place_close(struct place_file *file)
{
	volume_release(volume, file->id);
}

/** Makes a directory whose parent exists. */
int place_mkdir(const char *path)
{
	const struct volume_make make = { .mode = VOLUME_S_IFDIR | 0755 };
	const char *name;
	uint32_t ino, dir;
	size_t len;
	int error = volume_find(path, true, &ino);

	if (error != ENOENT) {
		return error ? error : EEXIST;
	}
	error = volume_path_parent(volume, path, &dir, &name, &len);
	return error ? error : volume_create(volume, dir, name, len, &make,
					     &ino);
}

/** Removes a name: unlink, or rmdir for a directory. */
int place_remove(const char *path)
{
	const char *name;
	uint32_t dir;
	size_t len;
	int error = place_in_linux(path) || !volume ? ENODEV :
		    volume_path_parent(volume, path, &dir, &name, &len);

	if (error == 0) {
		error = volume_unlink(volume, dir, name, len);
	}
	return error == EISDIR ? volume_rmdir(volume, dir, name, len) : error;
}
