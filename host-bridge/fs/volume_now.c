/* SPDX-License-Identifier: MIT */
/* The volume's clock, in a file of its own: tests have another. */
#include <sys/time.h>

#include "host-bridge/fs/volume.h"

/** The time of day for the volume's files, in ns since 1970. */
int64_t volume_now_ns(void)
{
	struct timeval tv;

	gettimeofday(&tv, NULL);
	return (tv.tv_sec * 1000000ll + tv.tv_usec) * 1000;
}
