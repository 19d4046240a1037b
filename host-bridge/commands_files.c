/* SPDX-License-Identifier: MIT */
/* Commands on files: the volume's and, with "linux:" before the path,
 * Linux's. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host-bridge/commands.h"
#include "host-bridge/console.h"
#include "host-bridge/places.h"

#define CHUNK		(32u << 10)
#define PATH_SIZE	1024

static void report(const char *path, int error)
{
	printf("%s: %s\n", path, strerror(error));
}

/* Directory and name joined; false when that is too long. */
static bool join(char out[PATH_SIZE], const char *dir, const char *name,
		 size_t len)
{
	const char *slash = dir[0] && dir[strlen(dir) - 1] != '/' &&
			    dir[strlen(dir) - 1] != ':' ? "/" : "";

	return snprintf(out, PATH_SIZE, "%s%s%.*s", dir, slash, (int)len,
			name) < PATH_SIZE;
}

/* ---- ls ---- */

struct names {
	char *bytes;		/* each NUL terminated */
	size_t len, size;
	bool failed;
};

/* Names are kept until the listing is over: looking at a file meanwhile would
 * use the volume inside its own callback. */
static bool collect(void *arg, const char *name, size_t len)
{
	struct names *names = arg;

	if ((len == 1 && name[0] == '.') ||
	    (len == 2 && memcmp(name, "..", 2) == 0)) {
		return true;
	}
	if (names->len + len + 1 > names->size) {
		size_t size = names->size ? 2 * names->size : 4096;
		char *bytes = realloc(names->bytes, size);

		if (!bytes) {
			names->failed = true;
			return false;
		}
		names->bytes = bytes;
		names->size = size;
	}
	memcpy(names->bytes + names->len, name, len);
	names->bytes[names->len + len] = '\0';
	names->len += len + 1;
	return true;
}

/* One line: type and permissions, size, time, name. */
static void print_entry(const char *path, const char *name)
{
	static const char types[16] = "?pc?d?b?-?l?s???";
	static const char rwx[] = "rwxrwxrwx";
	struct place_stat st;
	char mode[11], when[20];
	time_t seconds;
	struct tm tm;
	int error = place_stat(path, false, &st);

	if (error != 0) {
		printf("?          %12s %16s  %s: %s\n", "", "", name,
		       strerror(error));
		return;
	}
	mode[0] = types[st.mode >> 12 & 15];
	for (int i = 0; i < 9; i++) {
		mode[1 + i] = st.mode >> (8 - i) & 1 ? rwx[i] : '-';
	}
	mode[10] = '\0';
	seconds = (time_t)(st.mtime / 1000000000);
	strftime(when, sizeof(when), "%Y-%m-%d %H:%M",
		 gmtime_r(&seconds, &tm));
	printf("%s %12llu %s  %s\n", mode, (unsigned long long)st.size, when,
	       name);
}

static void run_ls(const struct command_env *env, int argc, char **argv,
		   const char *rest)
{
	const char *path = argc > 1 ? argv[1] : "/";
	struct names names = { 0 };
	char full[PATH_SIZE];
	int error = place_list(path, collect, &names);

	(void)env;
	(void)rest;
	if (error == ENOTDIR) {
		print_entry(path, path);
	} else if (error != 0 || names.failed) {
		report(path, error ? error : ENOMEM);
	} else {
		for (size_t at = 0; at < names.len && !console_interrupted();
		     at += strlen(names.bytes + at) + 1) {
			const char *name = names.bytes + at;

			if (join(full, path, name, strlen(name))) {
				print_entry(full, name);
			}
		}
	}
	free(names.bytes);
}

/* ---- cat, cp ---- */

static void run_cat(const struct command_env *env, int argc, char **argv,
		    const char *rest)
{
	static char buf[CHUNK];
	struct place_file file;
	uint64_t offset = 0;
	size_t done = 1;
	int error = place_open(argv[1], false, &file);

	(void)env;
	(void)argc;
	(void)rest;
	if (error != 0) {
		report(argv[1], error);
		return;
	}
	while (error == 0 && done > 0 && !console_interrupted()) {
		error = place_read(&file, offset, buf, sizeof(buf), &done);
		if (error == 0) {
			fwrite(buf, 1, done, stdout);
			offset += done;
		}
	}
	place_close(&file);
	if (error != 0) {
		report(argv[1], error);
	}
}

/* Copies all of one open file to another; *size counts the bytes. */
static int copy(struct place_file *from, struct place_file *to,
		uint64_t *size)
{
	static char buf[CHUNK];
	size_t got, put;
	int error;

	for (*size = 0;; *size += got) {
		error = place_read(from, *size, buf, sizeof(buf), &got);
		if (error != 0 || got == 0) {
			return error;
		}
		if (console_interrupted()) {
			return EINTR;
		}
		for (size_t at = 0; at < got; at += put) {
			error = place_write(to, *size + at, buf + at,
					    got - at, &put);
			if (error != 0 || put == 0) {
				return error ? error : EIO;
			}
		}
	}
}

/* Where a copy of from goes: to itself, or a name in it when it is a
 * directory. Also refuses to copy a file onto itself. */
static int copy_target(const char *from, const char *to, char full[PATH_SIZE])
{
	const char *slash = strrchr(from, '/');
	const char *base = slash ? slash + 1 : from;
	struct place_stat source, target;
	int error = place_stat(from, true, &source);

	if (error == 0 && place_stat(to, true, &target) == 0 &&
	    (target.mode & VOLUME_S_IFMT) == VOLUME_S_IFDIR) {
		error = join(full, to, base, strlen(base)) ? 0 : ENAMETOOLONG;
	} else if (strlcpy(full, to, PATH_SIZE) >= PATH_SIZE) {
		error = ENAMETOOLONG;
	}
	if (error == 0 && place_stat(full, true, &target) == 0 &&
	    target.id == source.id &&
	    target.linux_side == source.linux_side) {
		error = EEXIST;
	}
	return error;
}

static void run_cp(const struct command_env *env, int argc, char **argv,
		   const char *rest)
{
	struct place_file from, to;
	char full[PATH_SIZE];
	uint64_t size;
	int error = copy_target(argv[1], argv[2], full);

	(void)env;
	(void)argc;
	(void)rest;
	if (error == 0) {
		error = place_open(argv[1], false, &from);
	}
	if (error != 0) {
		report(argv[1], error);
		return;
	}
	error = place_open(full, true, &to);
	if (error == 0) {
		error = copy(&from, &to, &size);
		place_close(&to);
	}
	place_close(&from);
	if (error != 0) {
		report(full, error);
	} else {
		printf("%llu bytes\n", (unsigned long long)size);
	}
}

/* ---- rm, mkdir ---- */

static void run_each(int argc, char **argv, int (*fn)(const char *path))
{
	for (int i = 1; i < argc; i++) {
		int error = fn(argv[i]);

		if (error != 0) {
			report(argv[i], error);
		}
	}
}

static void run_rm(const struct command_env *env, int argc, char **argv,
		   const char *rest)
{
	(void)env;
	(void)rest;
	run_each(argc, argv, place_remove);
}

static void run_mkdir(const struct command_env *env, int argc, char **argv,
		      const char *rest)
{
	(void)env;
	(void)rest;
	run_each(argc, argv, place_mkdir);
}

/* ---- Completion of paths on the volume ---- */

struct path_completion {
	struct completion *c;
	const char *dir;	/* with the slash behind it */
	size_t dir_len;
};

static bool complete_entry(void *arg, const struct volume_entry *entry)
{
	const struct path_completion *path = arg;
	char full[PATH_SIZE];
	int len = snprintf(full, sizeof(full), "%.*s%.*s%s",
			   (int)path->dir_len, path->dir, entry->name_len,
			   entry->name, entry->type == 4 ? "/" : "");

	if (entry->name[0] != '.' && len < (int)sizeof(full)) {
		completion_add(path->c, full, (size_t)len);
	}
	return true;
}

/* Completes the last component; what is before it is kept as typed. Only on
 * the volume: asking Linux at each tab would be slow. */
static void complete_path(const struct command_env *env, struct completion *c)
{
	struct path_completion path = { c, c->prefix, c->prefix_len };
	char dir[PATH_SIZE] = "/";
	uint32_t ino;

	while (path.dir_len > 0 && path.dir[path.dir_len - 1] != '/') {
		path.dir_len--;
	}
	if (path.dir_len > 0 && path.dir_len < sizeof(dir)) {
		memcpy(dir, path.dir, path.dir_len);
		dir[path.dir_len] = '\0';
	}
	if (env->volume && volume_path(env->volume, dir, true, &ino) == 0) {
		(void)volume_readdir(env->volume, ino, 0, complete_entry,
				     &path);
	}
}

const struct command commands_files[] = {
	{ "ls", "[PATH]", "list a directory",
	  "  A path is on the volume; linux:PATH is in Linux.\n",
	  0, 1, run_ls, complete_path },
	{ "cat", "PATH", "show a file", "", 1, 1, run_cat, complete_path },
	{ "cp", "FROM TO", "copy a file", "  One or both may be linux:PATH; "
	  "TO may be a directory.\n", 2, 2, run_cp, complete_path },
	{ "rm", "PATH...", "remove files or empty directories", "",
	  1, WORDS_MAX, run_rm, complete_path },
	{ "mkdir", "PATH...", "make directories", "", 1, WORDS_MAX,
	  run_mkdir, complete_path },
	{ 0 }
};
