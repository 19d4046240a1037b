/* SPDX-License-Identifier: MIT */
/* The volume's clock, in a file of its own: tests have another. */
#include "host-bridge/fs/volume.h"
#include "host-bridge/rt/wall.h"

/** The time of day for the volume's files, in ns since 1970. */
int64_t volume_now_ns(void)
{
	return wall_now_ns();
}
