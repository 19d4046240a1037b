/* SPDX-License-Identifier: MIT */
/*
 * Figures of directories of small files, and of the work of programs that
 * have many of them: tar, find, git, a database. Their method is iobench's,
 * which other hypervisors were measured with: its sizes, its order, and when
 * the caches are cold.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"

#define FOLDERS		20u
#define FILES		500u
#define OBJECT_FOLDERS	16u
#define OBJECTS		100u
#define COMMITS		20u
#define PAGE		4096u
#define DB_PAGES	256u
#define COMMIT_PAGES	3u
/* A page in a rollback journal, with its number and its sum. */
#define RECORD		(PAGE + 8)
#define DAY_0		1700000000

static unsigned long seed = 88172645463325252ul;

/* Offset of any page of the database: xorshift64, the same ones each time. */
static off_t any_page(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (off_t)(seed % DB_PAGES * PAGE);
}

/* The folder of it all, and paths in there: made by one call of snprintf()
 * each, which is in the figures. */
static char top[PATH_LEN / 2];
static char path[PATH_LEN], aside[PATH_LEN];

static char *named(const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", top, name);
	return path;
}

static char *folder(unsigned int i)
{
	snprintf(path, sizeof(path), "%s/d%02u", top, i);
	return path;
}

static char *source(const struct phase_place *place, unsigned int i)
{
	snprintf(path, sizeof(path), "%s/d%02u/file-%03u.c", top,
		 i % (FOLDERS / place->part), i);
	return path;
}

/* What git calls file i once it is an object, and before. */
static char *object(unsigned int i)
{
	snprintf(path, sizeof(path), "%s/%02x/%038u", top,
		 i % OBJECT_FOLDERS, i);
	return path;
}

static char *object_aside(unsigned int i)
{
	snprintf(aside, sizeof(aside), "%s/%02x/tmp_obj_%06u", top,
		 i % OBJECT_FOLDERS, i);
	return aside;
}

static char *object_folder(unsigned int i)
{
	snprintf(path, sizeof(path), "%s/%02x", top, i);
	return path;
}

/* 3.5 KB in the middle, as sources are. */
static ssize_t length(unsigned int i)
{
	return 500 + i * 7919 % 6000;
}

/* What was done before is not in the figure of what there is to sync then. */
static bool make_top(struct phase_place *place)
{
	memset(bench_buffer, 0x5a, sizeof(bench_buffer));
	snprintf(top, sizeof(top), "%s/iobench.d", place->dir);
	if (mkdir(top, 0755)) {
		return false;
	}
	sync();
	return true;
}

/* A file as tar makes one. */
static bool unpack(const char *name, unsigned int i)
{
	struct timespec times[2] = {
		{ .tv_sec = DAY_0 }, { .tv_sec = DAY_0 + i }
	};
	int f = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);

	return f >= 0 &&
	       write(f, bench_buffer, (size_t)length(i)) == length(i) &&
	       futimens(f, times) == 0 && fchmod(f, 0644) == 0 &&
	       close(f) == 0;
}

static bool untar(struct phase_place *place)
{
	for (unsigned int i = 0; i < FOLDERS / place->part; i++) {
		if (mkdir(folder(i), 0755)) {
			return false;
		}
	}
	for (unsigned int i = 0; i < FILES / place->part; i++) {
		if (!unpack(source(place, i), i)) {
			return false;
		}
	}
	return true;
}

static bool sync_all(struct phase_place *place)
{
	(void)place;
	int f = open(top, O_RDONLY);
	bool ok = f >= 0 && syncfs(f) == 0;

	close(f);
	return ok;
}

static bool stat_all(struct phase_place *place)
{
	struct stat st;

	for (unsigned int i = 0; i < FILES / place->part; i++) {
		if (lstat(source(place, i), &st)) {
			return false;
		}
	}
	return true;
}

static bool read_all(struct phase_place *place)
{
	struct stat st;

	for (unsigned int i = 0; i < FILES / place->part; i++) {
		int f = open(source(place, i), O_RDONLY);

		if (f < 0 || fstat(f, &st)) {
			return false;
		}
		while (read(f, bench_buffer, CHUNK) > 0) {
		}
		close(f);
	}
	return true;
}

/* A folder as find and `ls -l` go through it; adds up what is in there. */
static bool list(const char *name, unsigned int *found)
{
	DIR *dir = opendir(name);
	struct dirent *entry;
	struct stat st;

	if (!dir) {
		return false;
	}
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.') {
			continue;
		}
		if (fstatat(dirfd(dir), entry->d_name, &st,
			    AT_SYMLINK_NOFOLLOW)) {
			return false;
		}
		(*found)++;
	}
	return closedir(dir) == 0;
}

static bool list_all(struct phase_place *place)
{
	unsigned int found = 0;

	for (unsigned int i = 0; i < FOLDERS / place->part; i++) {
		if (!list(folder(i), &found)) {
			return false;
		}
	}
	errno = ENOTUNIQ;
	return found == FILES / place->part;
}

static bool cold(struct phase_place *place)
{
	(void)place;
	return files_cold();
}

static bool object_folders(struct phase_place *place)
{
	(void)place;
	for (unsigned int i = 0; i < OBJECT_FOLDERS; i++) {
		if (mkdir(object_folder(i), 0755)) {
			return false;
		}
	}
	return true;
}

/* A file made aside and moved to its place. */
static bool replace(const char *from, const char *to, size_t bytes,
		    mode_t mode, bool safely)
{
	int f = open(from, O_RDWR | O_CREAT | O_EXCL, mode);

	return f >= 0 && write(f, bench_buffer, bytes) == (ssize_t)bytes &&
	       (!safely || fdatasync(f) == 0) && close(f) == 0 &&
	       rename(from, to) == 0;
}

/* `git add` of a new file: read; is it there already; made. */
static bool add(const struct phase_place *place, unsigned int i)
{
	struct stat st;
	int f = open(source(place, i), O_RDONLY);

	return f >= 0 && fstat(f, &st) == 0 &&
	       read(f, bench_buffer, CHUNK) > 0 && close(f) == 0 &&
	       lstat(object(i), &st) != 0 && errno == ENOENT &&
	       replace(object_aside(i), path, 700, 0444, false);
}

static bool git_add(struct phase_place *place)
{
	for (unsigned int i = 0; i < OBJECTS / place->part; i++) {
		if (!add(place, i)) {
			return false;
		}
	}
	snprintf(aside, sizeof(aside), "%s/index.lock", top);
	return replace(aside, named("index"), 50000 / place->part, 0644,
		       false);
}

static bool make_db(struct phase_place *place)
{
	place->file = open(named("db"), O_RDWR | O_CREAT, 0644);
	return place->file >= 0 &&
	       write(place->file, bench_buffer, DB_PAGES * PAGE) ==
	       (ssize_t)(DB_PAGES * PAGE) && fdatasync(place->file) == 0 &&
	       files_freed();
}

/* A transaction with a rollback journal: pages kept, then written. */
static bool commit(int db, const char *journal)
{
	int f = open(journal, O_RDWR | O_CREAT, 0644);

	if (f < 0 || pwrite(f, bench_buffer, 512, 0) != 512) {
		return false;
	}
	for (unsigned int i = 0; i < COMMIT_PAGES; i++) {
		if (pread(db, bench_buffer, PAGE, any_page()) != PAGE ||
		    pwrite(f, bench_buffer, RECORD, 512 + i * RECORD) !=
		    RECORD) {
			return false;
		}
	}
	if (fdatasync(f)) {
		return false;
	}
	for (unsigned int i = 0; i < COMMIT_PAGES; i++) {
		if (pwrite(db, bench_buffer, PAGE, any_page()) != PAGE) {
			return false;
		}
	}
	return fdatasync(db) == 0 && close(f) == 0 && unlink(journal) == 0;
}

static bool commits(struct phase_place *place)
{
	for (unsigned int i = 0; i < COMMITS / place->part; i++) {
		if (!commit(place->file, named("db-journal"))) {
			return false;
		}
	}
	return true;
}

static bool close_db(struct phase_place *place)
{
	return close(place->file) == 0;
}

static bool replaces(struct phase_place *place)
{
	for (unsigned int i = 0; i < COMMITS / place->part; i++) {
		snprintf(aside, sizeof(aside), "%s/db.new", top);
		if (!replace(aside, named("db"), COMMIT_PAGES * PAGE, 0644,
			     true)) {
			return false;
		}
	}
	return true;
}

static bool unlink_all(struct phase_place *place)
{
	for (unsigned int i = 0; i < FILES / place->part; i++) {
		if (unlink(source(place, i))) {
			return false;
		}
	}
	for (unsigned int i = 0; i < FOLDERS / place->part; i++) {
		if (rmdir(folder(i))) {
			return false;
		}
	}
	return true;
}

static bool clear_up(struct phase_place *place)
{
	bool ok = true;

	for (unsigned int i = 0; i < OBJECTS / place->part; i++) {
		ok &= unlink(object(i)) == 0;
	}
	for (unsigned int i = 0; i < OBJECT_FOLDERS; i++) {
		ok &= rmdir(object_folder(i)) == 0;
	}
	ok &= unlink(named("index")) == 0;
	ok &= unlink(named("db")) == 0;
	return ok && rmdir(top) == 0;
}

const struct phase dirs_phases[] = {
	{ "dir_untar", FILES, make_top, untar },
	{ "dir_sync", FILES, NULL, sync_all },
	{ "dir_stat", FILES, NULL, stat_all },
	{ "dir_read", FILES, NULL, read_all },
	{ "dir_ls", FILES, NULL, list_all },
	{ "dir_stat_cold", FILES, cold, stat_all },
	{ "dir_read_cold", FILES, cold, read_all },
	{ "git_add", OBJECTS, object_folders, git_add },
	{ "sqlite_commit", COMMITS, make_db, commits },
	{ "replace_fsync_rename", COMMITS, close_db, replaces },
	{ "dir_unlink", FILES, cold, unlink_all },
	{ NULL, 0, NULL, clear_up },
	{ 0 }
};
