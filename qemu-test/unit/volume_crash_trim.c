/* SPDX-License-Identifier: MIT */
/* A file of its own, for names of the volume's inside are also the tests'. */
#include "host-bridge/fs/ext4/volume_int.h"

void crash_trim_all(struct volume *vol);

/* The disk is told of each block that is free. */
void crash_trim_all(struct volume *vol)
{
	vol->dev->trim_least = 1;
}
