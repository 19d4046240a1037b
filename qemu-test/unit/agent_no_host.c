/* SPDX-License-Identifier: MIT */
/* For the agent's parts on a machine that is no partition: it has no host's
 * files and no network, and is never asked for them. */
#include <errno.h>

#include "guest/init/init.h"

bool boot_mount_host(void)
{
	errno = ENODEV;
	return false;
}

void net_again(const char *word)
{
	(void)word;
}

int own_file(const char *path, const char *text)
{
	(void)path;
	(void)text;
	return ENODEV;
}
