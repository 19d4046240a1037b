/* SPDX-License-Identifier: MIT */
/*
 * Copies between files of the volume, straight from block to block. Where the
 * source has a hole and the target has no data, nothing is written.
 * [Linux man-pages "copy_file_range(2)"]
 */
#include <errno.h>

#include "host-bridge/fs/ext4/volume_int.h"

/* How far, up to len bytes, a file is a hole from offset on; 0: it is data. */
static uint64_t copy_hole(const struct volume *vol, struct vnode *vn,
			  uint64_t offset, uint64_t len)
{
	uint32_t lblk = (uint32_t)(offset >> vol->shift);
	const struct run *run = run_find(vn, lblk);
	uint64_t end = UINT64_MAX;

	if (run != NULL && run->lblk <= lblk) {
		end = run->unwritten ? (uint64_t)run->lblk + run->len : lblk;
	} else if (run != NULL) {
		end = run->lblk;
	}
	if (end <= lblk) {
		return 0;
	}
	return end > UINT32_MAX ||
	       (end << vol->shift) - offset > len
	       ? len : (end << vol->shift) - offset;
}

/* Copies one piece, at least a byte. Data is read where it lies: the target's
 * blocks are others, or another part of the same. */
static int copy_piece(struct volume *vol, struct vnode *from, uint64_t offset,
		      struct vnode *to, uint64_t to_offset, size_t len,
		      size_t *done)
{
	uint64_t hole = copy_hole(vol, from, offset, len);
	uint64_t skip = hole > 0 ? copy_hole(vol, to, to_offset, hole) : 0;
	const uint8_t *data;
	int error;

	if (skip > 0) {
		*done = (size_t)skip;
		if (to_offset + skip > vnode_size(to)) {
			vnode_set_size(vol, to, to_offset + skip);
		}
		return 0;
	}
	error = file_peek(vol, from, offset, &len, &data);
	return error != 0 ? error
			  : file_write(vol, to, to_offset, data, len, done);
}

/* Both files, and how much there is to copy: as much as the source has, and as
 * one call should. */
static int copy_begin(struct volume *vol, uint32_t from, uint64_t from_offset,
		      uint32_t to, uint64_t to_offset, uint64_t *len,
		      struct vnode *files[2])
{
	uint64_t apart = from_offset > to_offset ? from_offset - to_offset
						 : to_offset - from_offset;
	uint64_t size;
	int error = vol->dev->read_only ? EROFS
					: file_get(vol, from, &files[0]);

	if (error == 0) {
		error = file_get(vol, to, &files[1]);
	}
	if (error != 0) {
		return error;
	}
	size = vnode_size(files[0]);
	if (from_offset >= size) {
		*len = 0;
	} else if (*len > size - from_offset) {
		*len = size - from_offset;
	}
	if (to_offset >= file_max(vol) || *len > file_max(vol) - to_offset) {
		return EFBIG;
	}
	if (from == to && apart < *len) {
		return EINVAL;
	}
	*len = *len < VOLUME_COPY_MAX ? *len : VOLUME_COPY_MAX;
	return to_offset < vnode_size(files[1]) ? flags_free(files[1])
						: flags_growing(files[1]);
}

/* Has read what is copied and where it goes: pieces begin and end within
 * blocks. */
static int copy_ready(struct volume *vol, struct vnode *files[2],
		      uint64_t from_offset, uint64_t to_offset, uint64_t len)
{
	int from = file_touch(vol, files[0], from_offset, len);
	int to = file_touch(vol, files[1], to_offset, len);
	int error = file_write_ready(vol, files[1], to_offset, (size_t)len);

	return from != 0 ? from : to != 0 ? to : error;
}

/**
 * Copies up to len bytes of a regular file into another, or elsewhere into
 * itself; at most VOLUME_COPY_MAX at once, so that nobody waits long. *done says
 * how many: the caller goes on from there; 0 at the end of from. Times are as
 * with volume_write(). Returns 0, EINVAL (no regular file; the ranges overlap),
 * EISDIR, or as volume_write() if not even one byte was copied.
 */
int volume_copy(struct volume *vol, uint32_t from, uint64_t from_offset,
		uint32_t to, uint64_t to_offset, uint64_t len, size_t *done)
{
	struct vnode *files[2];
	int error;

	*done = 0;
	volume_trim(vol);
	error = copy_begin(vol, from, from_offset, to, to_offset, &len, files);
	if (error == 0) {
		error = copy_ready(vol, files, from_offset, to_offset, len);
	}
	while (error == 0 && *done < len) {
		size_t n = 0;

		error = copy_piece(vol, files[0], from_offset + *done,
				   files[1], to_offset + *done,
				   (size_t)(len - *done), &n);
		*done += n;
		if (!file_room(vol)) {
			break;
		}
	}
	if (*done > 0) {
		vnode_touch(files[1], VNODE_MTIME | VNODE_CTIME);
		event_modified(vol, files[1], to_offset, *done);
		error = 0;
	}
	return error;
}
