/* SPDX-License-Identifier: MIT */
/*
 * For tests of trees that are copied and compared: an ext4 of their own, two folders
 * on it, entries of every kind. For root, and where loop devices are; else such a test
 * is skipped.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "guest/init/distro.h"
#include "qemu-test/unit/distro_made.h"

#define FOLDERS_MAX	600u
#define IMAGE_BYTES	(1ll << 30)

static char where[] = "/tmp/isthmus-tree-XXXXXX";
static uint64_t seed = 1;
static char folders[FOLDERS_MAX][MADE_PATH], files[MADE_ENTRIES][MADE_PATH];
static unsigned folder_count, file_count;
struct made made = { .where = where, .from = -1, .to = -1 };

/** A number below that one, always the same ones. */
uint64_t made_any(uint64_t below)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (seed >> 33) % below;
}

/* ---- A tree ---- */

/** Makes a file in the old tree: so many pieces, so many bytes apart. */
void made_fill(const char *path, unsigned pieces, off_t apart)
{
	int fd = openat(made.from, path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	char bytes[5000];
	off_t at = 0;

	assert_true(fd >= 0);
	for (unsigned i = 0; i < pieces; i++) {
		size_t len = 1 + made_any(sizeof(bytes));

		memset(bytes, (int)(1 + made_any(255)), len);
		assert_int_equal(pwrite(fd, bytes, len, at), len);
		at += (off_t)len + apart;
	}
	assert_int_equal(ftruncate(fd, at), 0);
	close(fd);
	strcpy(files[file_count++], path);
	made.file = files[0];
}

static void make_one(const char *path)
{
	static const mode_t nodes[] = { S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK };
	uint64_t kind = made_any(100);
	mode_t type;

	if (kind < 8 && folder_count < FOLDERS_MAX) {
		assert_int_equal(mkdirat(made.from, path, 0700), 0);
		strcpy(folders[folder_count++], path);
	} else if (kind < 65) {
		made_fill(path, (unsigned)made_any(4), 0);
	} else if (kind < 70) {
		made_fill(path, 1 + (unsigned)made_any(3), (off_t)made_any(1 << 30));
	} else if (kind < 78 && file_count > 0) {
		assert_int_equal(linkat(made.from, files[made_any(file_count)], made.from, path,
					0), 0);
	} else if (kind < 88) {
		assert_int_equal(symlinkat(made_any(2) ? "/etc/passwd" : "../nothing",
					   made.from, path), 0);
	} else {
		type = nodes[made_any(4)];
		assert_int_equal(mknodat(made.from, path, type | 0600,
			type == S_IFCHR || type == S_IFBLK ?
			makedev(made_any(4000), made_any(100000)) : 0), 0);
	}
}

/* ACLs as Linux has them: user 1000 may more than the group. */
static const uint8_t acl[] =
	"\2\0\0\0" "\1\0\6\0\377\377\377\377" "\2\0\5\0\350\3\0\0"
	"\4\0\4\0\377\377\377\377" "\20\0\5\0\377\377\377\377"
	"\40\0\0\0\377\377\377\377";
static const uint8_t capability[] =
	"\0\0\0\2" "\0\4\0\0" "\0\0\0\0" "\0\0\0\0" "\0\0\0\0";

/** Gives an entry of the old tree an attribute. */
void made_set(const char *path, const char *name, const void *value,
	      size_t size)
{
	char whole[MADE_PATH + 60];

	snprintf(whole, sizeof(whole), "%s/%s/%s", where, made.old, path);
	assert_int_equal(lsetxattr(whole, name, value, size, 0), 0);
}

static void dress(const char *path)
{
	static const mode_t modes[] = { 0, 0644, 04755, 02775, 01777, 0600 };
	struct timespec times[] = { { 1, 2 }, { 0 } };
	struct stat st;

	assert_int_equal(fstatat(made.from, path, &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(fchownat(made.from, path, (uid_t)made_any(70000), (gid_t)made_any(70000),
				  AT_SYMLINK_NOFOLLOW), 0);
	if (!S_ISLNK(st.st_mode)) {
		assert_int_equal(fchmodat(made.from, path, modes[made_any(6)], 0), 0);
	}
	if (made_any(6) == 0) {
		made_set(path, "trusted.t", path, strlen(path));
	}
	if (made_any(6) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))) {
		made_set(path, "user.u", folders, made_any(700));
		made_set(path, "system.posix_acl_access", acl, sizeof(acl) - 1);
	}
	if (made_any(4) == 0 && S_ISDIR(st.st_mode)) {
		made_set(path, "system.posix_acl_default", acl, sizeof(acl) - 1);
	}
	if (made_any(20) == 0 && S_ISREG(st.st_mode)) {
		made_set(path, "security.capability", capability,
		    sizeof(capability) - 1);
	}
	times[1].tv_sec = (time_t)made_any(1ull << 31) - 1000000;
	times[1].tv_nsec = (long)made_any(1000000000);
	assert_int_equal(utimensat(made.from, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

static void make_tree(void)
{
	static char paths[MADE_ENTRIES][MADE_PATH];
	char name[MADE_PATH];

	for (unsigned i = 0; i < MADE_ENTRIES; i++) {
		const char *in = folder_count && made_any(8) ?
				 folders[made_any(folder_count)] : "";

		if (strlen(in) > 200) {
			in = "";
		}
		snprintf(name, sizeof(name), "%.200s%s%u%s", in, in[0] ? "/" : "",
			 i, made_any(10) ? "" : " \n\xff-");
		make_one(name);
		strcpy(paths[i], name);
	}
	/* What is in a folder changes its time. */
	for (unsigned i = MADE_ENTRIES; i-- > 0;) {
		dress(paths[i]);
	}
}

static int make_ext4(void)
{
	struct distro_place place = { .form = DISTRO_IMAGE };
	char path[80], command[200];

	snprintf(path, sizeof(path), "%s.img", where);
	snprintf(command, sizeof(command), "PATH=$PATH:/sbin:/usr/sbin mke2fs -q "
		 "-F -t ext4 -N 40000 %s >/dev/null 2>&1", path);
	place.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (place.fd < 0 || ftruncate(place.fd, IMAGE_BYTES) ||
	    system(command) != 0) {
		return -1;
	}
	unlink(path);
	return distro_mount(&place, where, MS_NODEV) ? 0 : -1;
}

/** These two are the trees from now on, and empty. */
void made_begin(const char *a, const char *b)
{
	made.old = a;
	made.new = b;
	assert_int_equal(mkdirat(made.top, made.old, 0700), 0);
	assert_int_equal(mkdirat(made.top, made.new, 0700), 0);
	made.from = distro_tree_folder(made.top, made.old);
	made.to = distro_tree_folder(made.top, made.new);
}

/** A group's: makes the first two, "from" with MADE_ENTRIES entries. */
int made_set_up(void **state)
{
	(void)state;
	if (!mkdtemp(where) || geteuid() != 0 || !distro_mount_apart() ||
	    make_ext4()) {
		print_message("SKIPPED: trees: this is not root, or no loop "
			      "device can be mounted: %s\n", strerror(errno));
		return 0;
	}
	umask(0);
	made.top = open(where, O_RDONLY | O_DIRECTORY);
	made_begin("from", "to");
	make_tree();
	return 0;
}

/** A group's. */
int made_take_down(void **state)
{
	(void)state;
	close(made.from);
	close(made.to);
	umount2(where, MNT_DETACH);
	rmdir(where);
	return 0;
}

/** Skips the test if there are no trees. */
void made_need(void)
{
	if (made.from < 0) {
		skip();
	}
}

/* ---- Copies ---- */

static void none(const struct distro_tree *tree)
{
	(void)tree;
}

static void tell(const char *path, const char *what)
{
	(void)path;
	snprintf(made.told, sizeof(made.told), "%s", what);
}

struct distro_tree made_trees = { .progress = none, .differs = tell };

/** Copies, and counts. */
void made_copy(void)
{
	struct distro_amount all = { 0 };

	assert_true(distro_tree_measure(made.from, &all));
	made_trees.root = made.to;
	assert_true(distro_tree_copy(&made_trees, made.from));
	assert_int_equal(made_trees.done.files, all.files);
	assert_int_equal(made_trees.done.bytes, all.bytes);
}

/** How many differences there are. */
uint64_t made_compare(void)
{
	made.told[0] = '\0';
	assert_true(distro_tree_compare(&made_trees, made.from));
	return made_trees.differences;
}

/* Away with the new tree. */
void made_empty(void)
{
	close(made.to);
	assert_true(distro_tree_clear(made.top, made.new));
	assert_int_equal(faccessat(made.top, made.new, F_OK, 0), -1);
	assert_int_equal(mkdirat(made.top, made.new, 0700), 0);
	made.to = distro_tree_folder(made.top, made.new);
}
