/* SPDX-License-Identifier: MIT */
/* Changes of a copied tree, each of which the comparison must find and name, and the
 * next copy undo. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "qemu-test/unit/distro_made.h"

/* ACLs as Linux has them: user 1000 may more than the group. */
static const uint8_t acl[] =
	"\2\0\0\0" "\1\0\6\0\377\377\377\377" "\2\0\5\0\350\3\0\0"
	"\4\0\4\0\377\377\377\377" "\20\0\5\0\377\377\377\377"
	"\40\0\0\0\377\377\377\377";
#define P	"mutant"	/* a folder of the original's, for these */

static void put_time(const char *path, const struct stat *st, long add)
{
	struct timespec times[] = { st->st_atim, st->st_mtim };

	times[1].tv_nsec += add;
	utimensat(made.to, path, times, AT_SYMLINK_NOFOLLOW);
}

static void path_of(const char *path, char whole[MADE_PATH + 60])
{
	snprintf(whole, MADE_PATH + 60, "%s/%s/%s", made.where, made.new, path);
}

static void mutate_owner(void)
{
	fchownat(made.to, P "/file", 1, 7, 0);
}

static void mutate_group(void)
{
	fchownat(made.to, P "/link", 7, 1, AT_SYMLINK_NOFOLLOW);
}

static void mutate_mode(void)
{
	fchmodat(made.to, P "/file", 0640, 0);
}

static void mutate_suid(void)
{
	fchmodat(made.to, P "/program", 0755, 0);
}

static void mutate_device(void)
{
	unlinkat(made.to, P "/null", 0);
	mknodat(made.to, P "/null", S_IFCHR | 0666, makedev(1, 4));
}

static void mutate_kind(void)
{
	unlinkat(made.to, P "/null", 0);
	mknodat(made.to, P "/null", S_IFBLK | 0666, makedev(1, 3));
}

static void mutate_target(void)
{
	unlinkat(made.to, P "/link", 0);
	symlinkat("tarGet", made.to, P "/link");
}

static void mutate_missing(void)
{
	unlinkat(made.to, P "/file", 0);
}

static void mutate_more(void)
{
	mknodat(made.to, P "/more", S_IFREG | 0600, 0);
}

static void mutate_folder(void)
{
	fchmodat(made.to, P, 0700, 0);
}

static void mutate_size(void)
{
	char whole[MADE_PATH + 60];

	path_of(P "/file", whole);
	(void)!truncate(whole, 3);
}

static void mutate_byte(void)
{
	int fd = openat(made.to, P "/holes", O_WRONLY);

	(void)!pwrite(fd, "x", 1, 5000000);
	close(fd);
}

static void mutate_holes(void)
{
	static const char zero[1 << 20];
	int fd = openat(made.to, P "/holes", O_WRONLY);

	for (int i = 1; i < 4; i++) {
		(void)!pwrite(fd, zero, sizeof(zero), (off_t)i << 20);
	}
	close(fd);
}

static void mutate_split(void)
{
	unlinkat(made.to, P "/two", 0);
	mknodat(made.to, P "/two", S_IFREG | 0600, 0);
}

static void mutate_join(void)
{
	unlinkat(made.to, P "/same", 0);
	linkat(made.to, P "/alike", made.to, P "/same", 0);
}

static void mutate_xattr_gone(void)
{
	char whole[MADE_PATH + 60];

	path_of(P "/file", whole);
	removexattr(whole, "user.a");
}

static void mutate_xattr_more(void)
{
	char whole[MADE_PATH + 60];

	path_of(P "/link", whole);
	lsetxattr(whole, "trusted.b", "", 0, 0);
}

static void mutate_xattr_value(void)
{
	char whole[MADE_PATH + 60];

	path_of(P "/file", whole);
	setxattr(whole, "user.a", "W", 1, 0);
}

static void mutate_acl(void)
{
	char whole[MADE_PATH + 60];

	path_of(P "/program", whole);
	removexattr(whole, "system.posix_acl_access");
}

static void mutate_default_acl(void)
{
	char whole[MADE_PATH + 60];

	path_of(P, whole);
	removexattr(whole, "system.posix_acl_default");
}

/* What is changed, and what is said; times are as before the change, but where they
 * are what is changed. */
static const struct {
	const char *path, *says;
	void (*mutate)(void);
	long add;
	bool anew;
} mutants[] = {
	{ P "/file", "owner", mutate_owner, 0, false },
	{ P "/link", "owner", mutate_group, 0, false },
	{ P "/file", "mode", mutate_mode, 0, false },
	{ P "/program", "mode", mutate_suid, 0, false },
	{ P, "mode", mutate_folder, 0, false },
	{ P "/file", "time", NULL, 1, false },
	{ P "/link", "time", NULL, 1, false },
	{ P, "time", NULL, 1, false },
	{ P "/null", "device", mutate_device, 0, true },
	{ P "/null", "type", mutate_kind, 0, true },
	{ P "/link", "target", mutate_target, 0, true },
	{ P "/file", "missing", mutate_missing, 0, false },
	{ P, "not in the old one", mutate_more, 0, false },
	{ P "/file", "size", mutate_size, 0, false },
	{ P "/holes", "content", mutate_byte, 0, false },
	{ P "/holes", "holes", mutate_holes, 0, false },
	{ P "/two", "hard link", mutate_split, 0, true },
	{ P "/same", "hard link", mutate_join, 0, true },
	{ P "/file", "attributes", mutate_xattr_gone, 0, false },
	{ P "/link", "attributes", mutate_xattr_more, 0, false },
	{ P "/file", "attributes", mutate_xattr_value, 0, false },
	{ P "/program", "attributes", mutate_acl, 0, false },
	{ P, "attributes", mutate_default_acl, 0, false },
};

static void make_mutable(void)
{
	static const struct timespec times[2] = { { 5, 6 }, { 7, 8 } };

	assert_int_equal(mkdirat(made.from, P, 0755), 0);
	made_fill(P "/file", 1, 0);
	made_fill(P "/same", 0, 0);
	made_fill(P "/alike", 0, 0);
	utimensat(made.from, P "/same", times, 0);
	utimensat(made.from, P "/alike", times, 0);
	made_fill(P "/program", 1, 0);
	made_fill(P "/holes", 2, 6000000);
	made_fill(P "/one", 0, 0);
	assert_int_equal(linkat(made.from, P "/one", made.from, P "/two", 0), 0);
	assert_int_equal(symlinkat("target", made.from, P "/link"), 0);
	assert_int_equal(mknodat(made.from, P "/null", S_IFCHR | 0666,
				 makedev(1, 3)), 0);
	made_set(P "/file", "user.a", "v", 1);
	made_set(P "/program", "system.posix_acl_access", acl, sizeof(acl) - 1);
	made_set(P, "system.posix_acl_default", acl, sizeof(acl) - 1);
	assert_int_equal(fchmodat(made.from, P "/program", 04750, 0), 0);
}

/* A replaced one has owner and mode of the old one, and no ACL of its folder's. */
static void restore(const char *path, const struct stat *st)
{
	char whole[MADE_PATH + 60];
	struct stat now;

	path_of(path, whole);
	if (fstatat(made.to, path, &now, AT_SYMLINK_NOFOLLOW) == 0) {
		lremovexattr(whole, "system.posix_acl_access");
		fchownat(made.to, path, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW);
		if (!S_ISLNK(now.st_mode)) {
			fchmodat(made.to, path, st->st_mode & 07777, 0);
		}
	}
}

static void test_mutants(void **state)
{
	(void)state;
	made_need();
	made_begin("small", "new");
	make_mutable();
	made_copy();
	assert_int_equal(made_compare(), 0);
	/* One file by two names of which one is another: a copy sees that. */
	mutate_split();
	made_copy();
	assert_int_equal(made_compare(), 0);
	for (size_t i = 0; i < sizeof(mutants) / sizeof(mutants[0]); i++) {
		const char *path = mutants[i].path;
		struct stat st, above;

		assert_int_equal(fstatat(made.to, path, &st, AT_SYMLINK_NOFOLLOW), 0);
		assert_int_equal(fstatat(made.to, P, &above, 0), 0);
		if (mutants[i].mutate) {
			mutants[i].mutate();
		}
		if (mutants[i].anew) {
			restore(path, &st);
		}
		put_time(P, &above, 0);
		put_time(path, &st, mutants[i].add);
		if (made_compare() == 0 || strcmp(made.told, mutants[i].says) != 0) {
			fail_msg("%s of %s: found %llu, \"%s\"", mutants[i].says,
				 path, (unsigned long long)made_trees.differences,
				 made.told);
		}
		/* And the next copy makes it right. */
		made_copy();
		assert_int_equal(made_compare(), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mutants),
	};

	return cmocka_run_group_tests(tests, made_set_up, made_take_down);
}
