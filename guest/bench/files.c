/* SPDX-License-Identifier: MIT */
/*
 * Figures of single files. files_known are those that other hypervisors were
 * measured with; files_more came later, and leave them alone.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/aio_abi.h>

#include "bench.h"

#define FILE_BYTES	(8u << 20)
#define CHUNKS		(FILE_BYTES / CHUNK)
#define SMALL_BYTES	1000u
#define SMALL_FILES	100u
#define STATS		200u
#define EXECS		20u
#define TOUCHES		9u		/* large files */

/* A path in the place's folder, good until the next call. */
static const char *in(const struct phase_place *place, const char *name,
		      unsigned int i)
{
	static char path[PATH_LEN];

	snprintf(path, sizeof(path), "%s/%s%u", place->dir, name, i);
	return path;
}

/* The large file. */
static const char *large(const struct phase_place *place)
{
	static char path[PATH_LEN];

	snprintf(path, sizeof(path), "%s/bench.tmp", place->dir);
	return path;
}

bool files_cold(void)
{
	int f = open("/proc/sys/vm/drop_caches", O_WRONLY);
	bool ok;

	sync();
	ok = f >= 0 && write(f, "3", 1) == 1;
	close(f);
	return ok;
}

bool files_freed(void)
{
	aio_context_t context = 0;

	return syscall(SYS_io_setup, 1, &context) == 0 &&
	       syscall(SYS_io_destroy, context) == 0;
}

static bool open_new(struct phase_place *place)
{
	memset(bench_buffer, 0x5a, CHUNK);
	place->file = open(large(place), O_CREAT | O_RDWR | O_TRUNC, 0644);
	return place->file >= 0;
}

/* With fsync and close. */
static bool write_all(struct phase_place *place)
{
	for (unsigned int i = 0; i < CHUNKS / place->part; i++) {
		if (write(place->file, bench_buffer, CHUNK) != CHUNK) {
			return false;
		}
	}
	fsync(place->file);
	close(place->file);
	return true;
}

static bool open_large(struct phase_place *place)
{
	place->file = open(large(place), O_RDONLY);
	return place->file >= 0;
}

/* And out of Linux's cache, as far as it is in there. */
static bool open_cold(struct phase_place *place)
{
	return open_large(place) &&
	       posix_fadvise(place->file, 0, 0, POSIX_FADV_DONTNEED) == 0;
}

static bool open_again(struct phase_place *place)
{
	return close(place->file) == 0 && open_large(place);
}

static bool read_all(struct phase_place *place)
{
	for (unsigned int i = 0; i < CHUNKS / place->part; i++) {
		if (read(place->file, bench_buffer, CHUNK) != CHUNK) {
			return false;
		}
	}
	return true;
}

/**
 * Both partitions have once had the memory that the large files of eight
 * processes take: who touches a page first pays for it, and touch_page_first is
 * the figure of that. False with errno.
 */
bool files_touch_memory(const char *dir)
{
	struct phase_place place = { .dir = dir, .part = 1 };
	bool ok = open_new(&place);

	for (unsigned int i = 0; i < TOUCHES * CHUNKS; i++) {
		ok = ok && write(place.file, bench_buffer, CHUNK) == CHUNK;
	}
	/* The second time they go to Linux's cache. */
	for (unsigned int i = 0; ok && i < 2 * TOUCHES; i++) {
		ok = (i % TOUCHES != 0 ||
		      lseek(place.file, 0, SEEK_SET) == 0) && read_all(&place);
	}
	return ok && close(place.file) == 0 && unlink(large(&place)) == 0;
}

static bool close_file(struct phase_place *place)
{
	return close(place->file) == 0;
}

static bool stat_known(struct phase_place *place)
{
	const char *path = large(place);
	struct stat st;

	for (unsigned int i = 0; i < STATS / place->part; i++) {
		if (stat(path, &st)) {
			return false;
		}
	}
	return true;
}

static bool create_small(struct phase_place *place)
{
	for (unsigned int i = 0; i < SMALL_FILES / place->part; i++) {
		int f = open(in(place, "b", i), O_CREAT | O_WRONLY, 0644);

		if (f < 0 ||
		    write(f, bench_buffer, SMALL_BYTES) != SMALL_BYTES) {
			return false;
		}
		close(f);
	}
	return true;
}

static bool unlink_small(struct phase_place *place)
{
	for (unsigned int i = 0; i < SMALL_FILES / place->part; i++) {
		if (unlink(in(place, "b", i))) {
			return false;
		}
	}
	return true;
}

const struct phase files_known[] = {
	{ "file_write_64k", CHUNKS, open_new, write_all },
	{ "file_read_64k", CHUNKS, open_cold, read_all },
	{ "file_stat", STATS, close_file, stat_known },
	{ "file_create_1k", SMALL_FILES, NULL, create_small },
	{ "file_unlink", SMALL_FILES, NULL, unlink_small },
	{ 0 }
};

static bool open_close(struct phase_place *place)
{
	const char *path = large(place);

	for (unsigned int i = 0; i < STATS / place->part; i++) {
		int f = open(path, O_RDONLY);

		if (f < 0) {
			return false;
		}
		close(f);
	}
	return true;
}

/* Files whose names Linux has forgotten; what it owes the other side for that
 * is paid by one more request. */
static bool forget_names(struct phase_place *place)
{
	struct stat st;

	return create_small(place) && files_cold() && files_freed() &&
	       stat(large(place), &st) == 0;
}

static bool stat_first(struct phase_place *place)
{
	struct stat st;

	for (unsigned int i = 0; i < SMALL_FILES / place->part; i++) {
		if (stat(in(place, "b", i), &st)) {
			return false;
		}
	}
	return true;
}

/* Runs the copy of this program, whose main() ends at once. */
static bool exec_once(const char *path)
{
	int status;
	pid_t pid = vfork();

	if (pid == 0) {
		execl(path, path, "true", (char *)NULL);
		_exit(127);
	}
	return waitpid(pid, &status, 0) == pid && status == 0;
}

static bool make_program(struct phase_place *place)
{
	int from = open("/proc/self/exe", O_RDONLY);
	int to = open(in(place, "exec", 0), O_CREAT | O_WRONLY | O_TRUNC, 0755);
	ssize_t n;

	if (from < 0 || to < 0) {
		return false;
	}
	while ((n = read(from, bench_buffer, CHUNK)) > 0) {
		if (write(to, bench_buffer, (size_t)n) != n) {
			return false;
		}
	}
	close(from);
	close(to);
	errno = ENOEXEC;
	return exec_once(in(place, "exec", 0));
}

static bool exec_again(struct phase_place *place)
{
	for (unsigned int i = 0; i < EXECS / place->part; i++) {
		if (!exec_once(in(place, "exec", 0))) {
			return false;
		}
	}
	return true;
}

static bool clear_up(struct phase_place *place)
{
	return unlink_small(place) && unlink(in(place, "exec", 0)) == 0 &&
	       unlink(large(place)) == 0;
}

const struct phase files_more[] = {
	/* The second time it goes to Linux's cache, and is there since. */
	{ "file_read_64k_2nd", CHUNKS, open_large, read_all },
	{ "file_reread_64k", CHUNKS, open_again, read_all },
	{ "file_open_close", STATS, close_file, open_close },
	{ "file_lookup_first", SMALL_FILES, forget_names, stat_first },
	{ "file_exec", EXECS, make_program, exec_again },
	{ NULL, 0, NULL, clear_up },
	{ 0 }
};
