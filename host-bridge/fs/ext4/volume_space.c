/* SPDX-License-Identifier: MIT */
/*
 * The space of files: blocks before they are written, holes, and copies.
 */
#include <errno.h>

#include "host-bridge/fs/ext4/volume_int.h"

/**
 * Changes which blocks a range of a regular file has, by mode
 * (VOLUME_FALLOC_*). Without PUNCH, COLLAPSE, ZERO or INSERT it has blocks after
 * it; those that are new read as zeros. PUNCH (with KEEP_SIZE) and ZERO make it
 * zeros, without blocks or with; COLLAPSE takes it out of the file, INSERT puts
 * a hole there, and what follows moves: both only in whole blocks, and within
 * the file. The file grows to the range's end unless KEEP_SIZE is set. Returns
 * 0, EINVAL (no length; not in whole blocks; COLLAPSE to or beyond the end,
 * INSERT at or beyond it), EOPNOTSUPP (a combination that Linux has not; block
 * maps), EFBIG, ENOSPC, EISDIR or ENODEV (no regular file), EPERM (immutable;
 * append-only), EROFS, ESTALE, EIO or ENOMEM. ENOSPC in a long range leaves some
 * blocks behind, as Linux does; else nothing has changed.
 */
int volume_fallocate(struct volume *vol, uint32_t ino, unsigned mode,
		     uint64_t offset, uint64_t len)
{
	(void)vol;
	(void)ino;
	(void)mode;
	(void)offset;
	(void)len;
	return EOPNOTSUPP;
}

/**
 * The first byte from offset on that is in data (VOLUME_SEEK_DATA) or in a hole
 * (VOLUME_SEEK_HOLE; the file's end is one). Blocks not yet written are holes.
 * Returns 0, ENXIO (offset at or beyond the end; no more data), EINVAL (whence,
 * no regular file), EISDIR, EOPNOTSUPP (block maps), ESTALE, EIO or ENOMEM.
 */
int volume_seek(struct volume *vol, uint32_t ino, uint64_t offset,
		unsigned whence, uint64_t *found)
{
	(void)vol;
	(void)ino;
	(void)offset;
	(void)whence;
	(void)found;
	return EOPNOTSUPP;
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
	(void)vol;
	(void)from;
	(void)from_offset;
	(void)to;
	(void)to_offset;
	(void)len;
	(void)done;
	return EOPNOTSUPP;
}
