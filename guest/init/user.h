/* SPDX-License-Identifier: MIT */
/*
 * Users, as /etc/passwd and /etc/group have them [passwd(5), group(5)]. The files
 * may be anybody's: lines that are none are passed over.
 */
#ifndef GUEST_USER_H
#define GUEST_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define USER_FILE_MAX	(1u << 20)	/* bytes; what is behind is not read */
#define USER_NAME_MAX	32u		/* of a user's name [useradd(8)] */
#define USER_TEXT_MAX	255u		/* of a home, of a shell */
#define USER_GROUPS_MAX	256u

struct user {
	uid_t uid;
	gid_t gid;
	char name[USER_NAME_MAX + 1];	/* "": there is none */
	char home[USER_TEXT_MAX + 1];
	char shell[USER_TEXT_MAX + 1];
	gid_t groups[USER_GROUPS_MAX];	/* gid is the first */
	size_t group_count;
};

bool user_find(const char *passwd, size_t len, const char *who, struct user *u);
void user_groups(const char *group, size_t len, struct user *u);

/* With the files of the root that this process is in; its own again each. */
bool user_look_up(const char *who, struct user *u);
int user_become(const struct user *u);
void user_environment(const struct user *u);

#endif
