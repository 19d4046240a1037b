/* SPDX-License-Identifier: MIT */
/*
 * Included before all of the driver: what it allows, so little that a script of
 * some hundred bytes reaches each limit, and that a run does not spend its time on
 * clearing tables.
 */
#ifndef DRIVER_SMALL_H
#define DRIVER_SMALL_H

#include "proto/fuse_channel.h"

#undef FUSE_CHANNEL_DATA_MAX
#define FUSE_CHANNEL_DATA_MAX	16384u
#undef FUSE_CHANNEL_OUT_MAX
#define FUSE_CHANNEL_OUT_MAX	12u
#undef FUSE_CHANNEL_WAITS_MAX
#define FUSE_CHANNEL_WAITS_MAX	4u
#undef FUSE_CHANNEL_NOTIFY_MAX
#define FUSE_CHANNEL_NOTIFY_MAX	8u

#endif
