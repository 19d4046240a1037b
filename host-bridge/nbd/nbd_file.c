/* SPDX-License-Identifier: MIT */
/*
 * A disk in a file of the volume. Where nothing was ever written, or what was is
 * of no more use to Linux, the file has holes: it is as large as its content.
 */
#include <errno.h>
#include <stdlib.h>

#include "host-bridge/nbd/nbd_server.h"
#include "host-bridge/fs/volume_call.h"
#include "host-bridge/rt/container.h"

#define FILE_MODE	(VOLUME_S_IFREG | 0600u)

struct nbd_file {
	struct nbd_store store;
	struct volume *vol;
	uint32_t ino;			/* held */
};

static int file_map(struct nbd_store *store, uint64_t offset, size_t len,
		    struct volume_seg *segs, unsigned max, unsigned *count,
		    size_t *done)
{
	struct nbd_file *file = CONTAINER(store, struct nbd_file, store);
	int error = volume_map(file->vol, file->ino, offset, len, segs, max,
			       count, done);

	/* Somebody has made the file shorter. */
	return error == 0 && *done == 0 ? EIO : error;
}

static int file_write(struct nbd_store *store, uint64_t offset,
		      const void *data, size_t len, size_t *done)
{
	struct nbd_file *file = CONTAINER(store, struct nbd_file, store);

	return volume_write(file->vol, file->ino, offset, data, len, done);
}

static int file_zero(struct nbd_store *store, uint64_t offset, uint64_t len,
		     bool keep)
{
	struct nbd_file *file = CONTAINER(store, struct nbd_file, store);

	return volume_fallocate(file->vol, file->ino, VOLUME_FALLOC_KEEP_SIZE |
				(keep ? VOLUME_FALLOC_ZERO
				      : VOLUME_FALLOC_PUNCH), offset, len);
}

static int file_flush(struct nbd_store *store)
{
	struct nbd_file *file = CONTAINER(store, struct nbd_file, store);

	return volume_fsync(file->vol, file->ino);
}

static const struct nbd_store_ops file_ops = {
	.map = file_map, .write = file_write, .zero = file_zero,
	.flush = file_flush,
};

/* The file of that path, made if there is none. */
static int find(struct volume *vol, struct volume_turns *turns,
		const char *path, uint32_t *ino)
{
	const struct volume_make make = { .mode = FILE_MODE };
	const char *name;
	uint32_t dir;
	size_t len;
	int error = VOLUME_LOOK(turns, volume_path(vol, path, true, ino));

	if (error != ENOENT) {
		return error;
	}
	error = VOLUME_LOOK(turns, volume_path_parent(vol, path, &dir, &name,
						      &len));
	return error != 0 ? error
			  : VOLUME_CHANGE(turns, volume_create(
					vol, dir, name, len, &make, ino));
}

/* What the file is to be: regular, and of whole sectors. A new one, which has
 * nothing in it, gets the size; another keeps its own. */
static int fit(struct volume *vol, struct volume_turns *turns, uint32_t ino,
	       uint64_t size, uint64_t *has)
{
	struct volume_attr attr;
	int error = VOLUME_LOOK(turns, volume_getattr(vol, ino, &attr));

	if (error != 0) {
		return error;
	}
	if ((attr.mode & VOLUME_S_IFMT) != VOLUME_S_IFREG) {
		return EINVAL;
	}
	if (attr.size == 0) {
		attr.size = size;
		error = VOLUME_CHANGE(turns, volume_setattr(
				vol, ino, VOLUME_SET_SIZE, &attr));
	}
	*has = attr.size / NBD_SECTOR * NBD_SECTOR;
	return error == 0 && *has == 0 ? EINVAL : error;
}

/**
 * The disk in the file of that path; one that is not there, or empty, is made
 * with size bytes of hole (multiples of NBD_SECTOR). The store lives as long as
 * the program. Returns 0, EINVAL (no regular file, or of no whole sector), or
 * what the volume's functions say of the path.
 */
int nbd_file_open(struct volume *vol, struct volume_turns *turns,
		  const char *path, uint64_t size, struct nbd_store **out)
{
	struct nbd_file *file = calloc(1, sizeof(*file));
	int error = file == NULL ? ENOMEM : find(vol, turns, path,
							&file->ino);

	if (error == 0) {
		error = VOLUME_LOOK(turns, volume_hold(vol, file->ino));
	}
	if (error == 0) {
		volume_times_rarely(vol, file->ino);
		error = fit(vol, turns, file->ino, size, &file->store.size);
		if (error != 0) {
			volume_release(vol, file->ino);
		}
	}
	if (error != 0) {
		free(file);
		return error;
	}
	file->vol = vol;
	file->store.ops = &file_ops;
	file->store.turns = turns;
	*out = &file->store;
	return 0;
}

/**
 * Makes the disk larger: size bytes, a multiple of NBD_SECTOR. Who serves it is
 * to be told. Returns 0, EINVAL (not larger, no whole sectors), or EFBIG and the
 * like of the volume's, or ENOTSUP: it is in no file.
 */
int nbd_file_grow(struct nbd_store *store, uint64_t size)
{
	struct nbd_file *file = CONTAINER(store, struct nbd_file, store);
	const struct volume_attr attr = { .size = size };
	int error;

	if (store->device) {
		return ENOTSUP;
	}
	if (size <= store->size || size % NBD_SECTOR != 0) {
		return EINVAL;
	}
	error = VOLUME_CHANGE(store->turns, volume_setattr(
			file->vol, file->ino, VOLUME_SET_SIZE, &attr));
	if (error == 0) {
		store->size = size;
	}
	return error;
}
