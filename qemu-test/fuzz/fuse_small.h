/* SPDX-License-Identifier: MIT */
/*
 * Included before all of the FUSE server and the volume, instead of
 * host-bridge/files/fuse_limits.h: limits so small that a script of some hundred
 * bytes reaches each of them, and tables that it costs little to clear.
 */
#ifndef FUSE_SMALL_H
#define FUSE_SMALL_H

#include "host-bridge/fs/ext4/volume_int.h"
#include "proto/fuse_channel.h"

#undef FUSE_CHANNEL_DATA_MAX
#define FUSE_CHANNEL_DATA_MAX	16384u
#undef FUSE_CHANNEL_OUT_MAX
#define FUSE_CHANNEL_OUT_MAX	8u
#undef FUSE_CHANNEL_WAITS_MAX
#define FUSE_CHANNEL_WAITS_MAX	8u
#undef FUSE_CHANNEL_NOTIFY_MAX
#define FUSE_CHANNEL_NOTIFY_MAX	8u
#undef VOLUME_VNODES
#define VOLUME_VNODES		16u

#define ISTHMUS_FUSE_LIMITS_H
#define FUSE_SESSIONS_MAX	3u
#define FUSE_NODES_MAX		24u
#define FUSE_OPENS_MAX		12u
#define FUSE_OPEN_BITS		2u
#define FUSE_LOCKS_MAX		12u
#define FUSE_WAITS_MAX		FUSE_CHANNEL_WAITS_MAX
#define FUSE_USER_BITS		2u
#define FUSE_LOCK_FILE_BITS	2u
#define FUSE_AGAIN_MAX		4u
#define FUSE_REQUEST_MAX	1024u
#define FUSE_XATTR_MAX		8192u
#define FUSE_READDIR_MAX	512u
#define FUSE_NOTIFY_QUEUE_MAX	24u
#define FUSE_NOTIFY_BYTES_MAX	2048u
#define FUSE_ANSWERS_BYTES_MAX	512u

#endif
