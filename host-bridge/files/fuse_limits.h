/* SPDX-License-Identifier: MIT */
/*
 * What the FUSE server allows, and how large its tables are. The fuzzer has a
 * header of its own instead (qemu-test/fuzz/fuse_small.h).
 */
#ifndef ISTHMUS_FUSE_LIMITS_H
#define ISTHMUS_FUSE_LIMITS_H

#include "proto/fuse_channel.h"

#define FUSE_SESSIONS_MAX	64u	/* as many as Linux makes mounts */
#define FUSE_NODES_MAX		(1u << 18)	/* of one session, and so on */
#define FUSE_OPENS_MAX		65536u
#define FUSE_OPEN_BITS		8u
#define FUSE_LOCKS_MAX		8192u
#define FUSE_WAITS_MAX		FUSE_CHANNEL_WAITS_MAX
#define FUSE_USER_BITS		8u
#define FUSE_LOCK_FILE_BITS	8u
#define FUSE_REQUEST_MAX	8192u	/* of a message, but for data */
#define FUSE_XATTR_MAX		65536u	/* bytes of one attribute's value */
#define FUSE_READDIR_MAX	4096u	/* of a reply that is kept */
#define FUSE_NOTIFY_QUEUE_MAX	16384u	/* notifications not sent yet */
#define FUSE_NOTIFY_BYTES_MAX	(4u << 20)	/* of those not done yet */
#define FUSE_AGAIN_MAX		128u	/* requests that wait for blocks */
#define FUSE_ANSWERS_BYTES_MAX	(1u << 20)	/* that wait for room */

#endif
