/* SPDX-License-Identifier: MIT */
/*
 * Extended attributes of an entry, ACLs among them, which Linux lists as
 * system.posix_acl_*. By a path through the folder's descriptor: of links there is
 * no other way to them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <linux/limits.h>

#include "distro_tree.h"

#define PATH_LEN	(NAME_MAX + 40)

/* There are no threads: not on the stack. */
static char names[2][XATTR_LIST_MAX], values[2][XATTR_SIZE_MAX];

static void path_of(int dir, const char *name, char path[PATH_LEN])
{
	snprintf(path, PATH_LEN, "/proc/self/fd/%d/%s", dir, name);
}

/* All names, each with its NUL; a file system without has none. -1 with errno. */
static ssize_t list(const char *path, char to[XATTR_LIST_MAX])
{
	ssize_t n = llistxattr(path, to, XATTR_LIST_MAX);

	return n < 0 && errno == EOPNOTSUPP ? 0 : n;
}

static bool among(const char *name, const char *list_of, ssize_t size)
{
	for (ssize_t i = 0; i < size; i += (ssize_t)strlen(list_of + i) + 1) {
		if (strcmp(list_of + i, name) == 0) {
			return true;
		}
	}
	return false;
}

static bool value_same(const char *a, const char *b, const char *name)
{
	ssize_t n = lgetxattr(a, name, values[0], sizeof(values[0]));

	return n >= 0 &&
	       n == lgetxattr(b, name, values[1], sizeof(values[1])) &&
	       memcmp(values[0], values[1], (size_t)n) == 0;
}

/** Whether both entries have the same ones; false, too, if that cannot be known. */
bool distro_xattr_same(const struct distro_pair *pair)
{
	char a[PATH_LEN], b[PATH_LEN];
	ssize_t of_a, of_b;

	path_of(pair->from, pair->name, a);
	path_of(pair->to, pair->name, b);
	of_a = list(a, names[0]);
	of_b = list(b, names[1]);
	/* Names are different ones: as many bytes, and each there, is the
	 * same set. */
	if (of_a < 0 || of_a != of_b) {
		return false;
	}
	for (ssize_t i = 0; i < of_a; i += (ssize_t)strlen(names[0] + i) + 1) {
		const char *name = names[0] + i;

		if (!among(name, names[1], of_b) || !value_same(a, b, name)) {
			return false;
		}
	}
	return true;
}

/* What it has got from its folder's default ACL, or had before. */
static bool remove_others(const char *b, ssize_t of_a)
{
	ssize_t of_b = list(b, names[1]);

	for (ssize_t i = 0; i < of_b; i += (ssize_t)strlen(names[1] + i) + 1) {
		if (!among(names[1] + i, names[0], of_a) &&
		    lremovexattr(b, names[1] + i)) {
			return false;
		}
	}
	return of_b >= 0;
}

/** The new entry has those of the old one and no others. False with errno. */
bool distro_xattr_copy(const struct distro_pair *pair)
{
	char a[PATH_LEN], b[PATH_LEN];
	ssize_t of_a;

	path_of(pair->from, pair->name, a);
	path_of(pair->to, pair->name, b);
	of_a = list(a, names[0]);
	if (of_a < 0 || !remove_others(b, of_a)) {
		return false;
	}
	for (ssize_t i = 0; i < of_a; i += (ssize_t)strlen(names[0] + i) + 1) {
		const char *name = names[0] + i;
		ssize_t n = lgetxattr(a, name, values[0], sizeof(values[0]));

		if (n < 0 || lsetxattr(b, name, values[0], (size_t)n, 0)) {
			return false;
		}
	}
	return true;
}
