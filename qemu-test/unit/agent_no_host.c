/* SPDX-License-Identifier: MIT */
/* For the agent's parts on a machine that is no partition: it has no host's
 * files, and is never asked for them. */
#include <errno.h>

#include "guest/init/init.h"

bool boot_mount_host(void)
{
	errno = ENODEV;
	return false;
}
