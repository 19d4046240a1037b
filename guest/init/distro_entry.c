/* SPDX-License-Identifier: MIT */
/*
 * One entry of a tree: how two differ, and how one is made as the other is. Its time
 * of change is set last: what was interrupted has another, and is made again.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "distro_tree.h"

/* A file's own tables and long attributes take blocks, too; so much more than the
 * old one has, and an eighth, is no hole that was filled. */
#define BLOCKS_MORE	128	/* of 512 bytes */

static char pieces[2][DISTRO_TREE_PIECE];

static bool link_same(const struct distro_pair *p)
{
	ssize_t n = readlinkat(p->from, p->name, pieces[0], PATH_MAX);

	return n >= 0 && n == readlinkat(p->to, p->name, pieces[1], PATH_MAX) &&
	       memcmp(pieces[0], pieces[1], (size_t)n) == 0;
}

/**
 * What is different in two entries, in a word; NULL: nothing, as far as can be known
 * without reading what is in a file. Times are those of the last change of content;
 * of folders neither sizes nor numbers of links count.
 */
const char *distro_entry_differs(const struct distro_pair *p)
{
	mode_t type = p->a.st_mode & S_IFMT;

	if (type != (p->b.st_mode & S_IFMT)) {
		return "type";
	}
	if (type != S_IFLNK && p->a.st_mode != p->b.st_mode) {
		return "mode";
	}
	if (p->a.st_uid != p->b.st_uid || p->a.st_gid != p->b.st_gid) {
		return "owner";
	}
	if (p->a.st_mtim.tv_sec != p->b.st_mtim.tv_sec ||
	    p->a.st_mtim.tv_nsec != p->b.st_mtim.tv_nsec) {
		return "time";
	}
	if (type == S_IFREG && p->a.st_size != p->b.st_size) {
		return "size";
	}
	if ((type == S_IFCHR || type == S_IFBLK) &&
	    p->a.st_rdev != p->b.st_rdev) {
		return "device";
	}
	if (type == S_IFLNK && !link_same(p)) {
		return "target";
	}
	return distro_xattr_same(p) ? NULL : "attributes";
}

/* Where data is at or behind an offset, or the end. False with errno. */
static bool next_data(int fd, off_t at, off_t size, off_t *data)
{
	*data = lseek(fd, at, SEEK_DATA);
	if (*data < 0 && errno == ENXIO) {
		*data = size;
	}
	return *data >= 0;
}

static bool read_all(int fd, char *to, size_t size, off_t at)
{
	while (size > 0) {
		ssize_t n = pread(fd, to, size, at);

		if (n <= 0) {
			return false;
		}
		to += n;
		at += n;
		size -= (size_t)n;
	}
	return true;
}

/* Two files of that size; where neither has data both have zeros. */
static bool bytes_same(int a, int b, off_t size)
{
	off_t at = 0, in_a, in_b;

	while (at < size) {
		size_t len = DISTRO_TREE_PIECE;

		if (!next_data(a, at, size, &in_a) ||
		    !next_data(b, at, size, &in_b)) {
			return false;
		}
		at = in_a < in_b ? in_a : in_b;
		if ((off_t)len > size - at) {
			len = (size_t)(size - at);
		}
		if (!read_all(a, pieces[0], len, at) ||
		    !read_all(b, pieces[1], len, at) ||
		    memcmp(pieces[0], pieces[1], len) != 0) {
			return false;
		}
		at += (off_t)len;
	}
	return true;
}

static int open_old(int dir, const char *name)
{
	return openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOATIME |
		      O_NONBLOCK);
}

/** The same, of what is in two regular files that do not differ otherwise; as the
 * disk has it, if all was written. */
const char *distro_entry_content(const struct distro_pair *p)
{
	int a = open_old(p->from, p->name), b = open_old(p->to, p->name);
	bool same = false;

	if (a >= 0 && b >= 0) {
		(void)posix_fadvise(b, 0, 0, POSIX_FADV_DONTNEED);
		same = bytes_same(a, b, p->a.st_size);
	}
	if (a >= 0) {
		close(a);
	}
	if (b >= 0) {
		close(b);
	}
	if (!same) {
		return "content";
	}
	return p->b.st_blocks > p->a.st_blocks + p->a.st_blocks / 8 +
	       BLOCKS_MORE ? "holes" : NULL;
}

static bool write_all(int fd, const char *from, size_t size, off_t at)
{
	while (size > 0) {
		ssize_t n = pwrite(fd, from, size, at);

		if (n < 0) {
			return false;
		}
		from += n;
		at += n;
		size -= (size_t)n;
	}
	return true;
}

/* What has data; the rest is a hole. False with errno. */
static bool copy_bytes(int a, int b, off_t size)
{
	off_t at = 0, end;

	if (ftruncate(b, size)) {
		return false;
	}
	while (next_data(a, at, size, &at) && at < size) {
		end = lseek(a, at, SEEK_HOLE);
		if (end < 0) {
			return false;
		}
		while (at < end) {
			size_t len = DISTRO_TREE_PIECE;

			if ((off_t)len > end - at) {
				len = (size_t)(end - at);
			}
			errno = EIO;
			if (!read_all(a, pieces[0], len, at) ||
			    !write_all(b, pieces[0], len, at)) {
				return false;
			}
			at += (off_t)len;
		}
	}
	return at >= size;
}

static bool make_file(const struct distro_pair *p)
{
	int a = open_old(p->from, p->name), b, error;
	bool done;

	if (a < 0) {
		return false;
	}
	b = openat(p->to, p->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
		   0600);
	done = b >= 0 && copy_bytes(a, b, p->a.st_size);
	error = errno;
	close(a);
	if (b >= 0) {
		close(b);
	}
	errno = error;
	return done;
}

static bool make_link(const struct distro_pair *p)
{
	ssize_t n = readlinkat(p->from, p->name, pieces[0], PATH_MAX);

	if (n < 0) {
		return false;
	}
	pieces[0][n] = '\0';
	return symlinkat(pieces[0], p->to, p->name) == 0;
}

/**
 * Makes what is no folder in the new tree, where nothing has that name, as pair->a
 * says; owners and all that must be set yet. False with errno.
 */
bool distro_entry_make(const struct distro_pair *p)
{
	switch (p->a.st_mode & S_IFMT) {
	case S_IFREG:
		return make_file(p);
	case S_IFLNK:
		return make_link(p);
	default:
		return mknodat(p->to, p->name, (p->a.st_mode & S_IFMT) | 0600,
			       p->a.st_rdev) == 0;
	}
}

/** The new entry has owner, mode, attributes and times of the old one. False with
 * errno. In this order: an owner's change takes from the mode, the mode is part of an
 * ACL, and all of them count as changes. */
bool distro_entry_settle(const struct distro_pair *p)
{
	const struct timespec times[] = { p->a.st_atim, p->a.st_mtim };

	return fchownat(p->to, p->name, p->a.st_uid, p->a.st_gid,
			AT_SYMLINK_NOFOLLOW) == 0 &&
	       (S_ISLNK(p->a.st_mode) ||
		fchmodat(p->to, p->name, p->a.st_mode & 07777, 0) == 0) &&
	       distro_xattr_copy(p) &&
	       utimensat(p->to, p->name, times, AT_SYMLINK_NOFOLLOW) == 0;
}
