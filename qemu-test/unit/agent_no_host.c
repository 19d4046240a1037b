/* SPDX-License-Identifier: MIT */
/* For the agent's parts on a machine that is no partition: it has no host's
 * files, no network and no distributions, and is never asked for them. */
#include <errno.h>
#include <stdio.h>

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

bool distro_default(char name[DISTRO_NAME_MAX + 1],
		    char user[DISTRO_USER_MAX + 1])
{
	(void)name;
	(void)user;
	return false;
}

bool distro_enter(const char *name, struct distro_entry *entry)
{
	snprintf(entry->why, sizeof(entry->why), "distribution %s: none here",
		 name);
	return false;
}

int distro_cgroup_user(int parts, uint32_t uid)
{
	(void)parts;
	(void)uid;
	return ENOENT;
}

void distro_names_all(void)
{
}

unsigned distro_seconds(void)
{
	return 0;
}
