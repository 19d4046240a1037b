/* SPDX-License-Identifier: MIT */
/*
 * Commands on files: the volume's and, with a Linux's name and a colon before the
 * path, that one's. A command that names a path there waits until it can answer.
 *
 * Names and contents from Linux are not trusted: names are printed without
 * control characters, lengths are bounded; contents are shown as they are. One
 * static buffer serves all commands, for only one runs at a time.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host-bridge/guest/linux.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/ui/commands.h"
#include "host-bridge/ui/commands_linux.h"
#include "host-bridge/ui/commands_watch.h"
#include "host-bridge/ui/console.h"
#include "host-bridge/ui/places.h"

#define CHUNK		(64u << 10)	/* what one 9P message can carry */
#define PROGRESS_MS	1000u

static char chunk[CHUNK];

/* An error in the user's words, where errno's are those of a socket. path is
 * the one the error is about, as the user typed it. */
static void report(const char *path, int error)
{
	const char *text = strerror(error);

	if (error == EINTR) {
		text = "interrupted";
	} else if (error == ENODEV) {
		text = place_in_linux(path) ? "there is no such Linux, or no channel to "
					      "it" :
					      "there is no volume";
	} else if (place_in_linux(path) &&
		   (error == ENOTCONN || error == ECONNRESET ||
		    error == ECONNREFUSED || error == ETIMEDOUT)) {
		text = "the connection to Linux's file server broke";
	}
	printf("%s: %s\n", path, text);
	commands_fail();
}

/* Waits for each Linux that some argument is a path in. False, with the reason
 * printed: it is not to be had. Paths on the volume never wait. */
static bool reachable(const struct command_env *env, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (place_in_linux(argv[i]) &&
		    !commands_linux_wait(commands_linux_find(env, argv[i]))) {
			return false;
		}
	}
	return true;
}

/* Directory and name joined, with a slash where one is missing ("linux:" takes
 * none); false when that is too long. */
static bool join(char out[COMMANDS_PATH], const char *dir, const char *name,
		 size_t len)
{
	const char *slash = dir[0] && dir[strlen(dir) - 1] != '/' &&
			    dir[strlen(dir) - 1] != ':' ? "/" : "";

	return snprintf(out, COMMANDS_PATH, "%s%s%.*s", dir, slash, (int)len,
			name) < COMMANDS_PATH;
}

/* ---- ls ---- */

/* A directory's names as they come, in one block of growing size. */
struct names {
	char *bytes;		/* each NUL terminated */
	size_t len, size, count;
	bool failed;
	bool cut;		/* there are more than COMMANDS_NAMES */
};

/* Names are kept until the listing is over: looking at a file meanwhile would
 * use the volume inside its own callback. False ends the listing: no memory, or
 * enough of it. */
static bool collect(void *arg, const char *name, size_t len)
{
	struct names *names = arg;

	if ((len == 1 && name[0] == '.') ||
	    (len == 2 && memcmp(name, "..", 2) == 0)) {
		return true;
	}
	if (names->count == COMMANDS_NAMES) {
		names->cut = true;
		return false;
	}
	if (len >= names->size - names->len) {
		size_t size = 2 * (names->size + len) + 4096;
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
	names->count++;
	return true;
}

/* A name may hold anything, also what a terminal would obey: a '?' for each
 * such byte. */
static void print_name(const char *name)
{
	while (*name) {
		size_t n = words_visible(name, strlen(name));

		printf("%.*s", n ? (int)n : 1, n ? name : "?");
		name += n ? n : 1;
	}
}

/* One line: type and permissions, size, time (UTC), name. A link is shown as
 * itself. An entry that has gone, or cannot be looked at, is no end of the
 * list; ctrl-c while Linux is asked for it is: false. */
static bool print_entry(const struct places *places, const char *path,
			const char *name)
{
	/* By the type field of st_mode, bits 15:12: 1 FIFO, 2 character device,
	 * 4 directory, 6 block device, 8 file, 10 link, 12 socket. */
	static const char types[16] = "?pc?d?b?-?l?s???";
	static const char rwx[] = "rwxrwxrwx";
	struct place_stat st;
	char mode[11], when[20];
	time_t seconds;
	struct tm tm;
	int error = place_stat(places, path, false, &st);

	if (error == EINTR) {
		report(path, error);
		return false;
	}
	if (error != 0) {
		printf("?          %12s %16s  ", "", "");
		print_name(name);
		printf(": %s\n", strerror(error));
		return true;
	}
	mode[0] = types[st.mode >> 12 & 15];
	for (int i = 0; i < 9; i++) {
		mode[1 + i] = st.mode >> (8 - i) & 1 ? rwx[i] : '-';
	}
	mode[10] = '\0';
	seconds = (time_t)st.mtime.sec;
	strftime(when, sizeof(when), "%Y-%m-%d %H:%M",
		 gmtime_r(&seconds, &tm));
	printf("%s %12llu %s  ", mode, (unsigned long long)st.size, when);
	print_name(name);
	printf("\n");
	return true;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Prints the entries of a directory by name, until ctrl-c. In Linux each one is
 * a request of its own; names that make a path too long are left out. */
static void print_entries(const struct places *places, const char *path,
			  const struct names *names)
{
	/* Sorted by pointers; one more than needed, so that none is not "no
	 * memory". */
	const char **list = calloc(names->count + 1, sizeof(*list));
	const char *at = names->bytes;
	char full[COMMANDS_PATH];

	if (!list) {
		report(path, ENOMEM);
		return;
	}
	for (size_t i = 0; i < names->count; i++, at += strlen(at) + 1) {
		list[i] = at;
	}
	qsort(list, names->count, sizeof(*list), by_name);
	for (size_t i = 0; i < names->count && console_go_on(); i++) {
		if (join(full, path, list[i], strlen(list[i])) &&
		    !print_entry(places, full, list[i])) {
			break;
		}
	}
	if (names->cut) {
		printf("%s: there are more; these are %u of them\n", path,
		       COMMANDS_NAMES);
	}
	free(list);
}

/* Without an argument: the volume's root. A file is listed as one entry. */
static void run_ls(const struct command_env *env, int argc, char **argv,
		   const char *rest)
{
	const char *path = argc > 1 ? argv[1] : "/";
	struct names names = { 0 };
	int error;

	(void)rest;
	if (!reachable(env, argc, argv)) {
		return;
	}
	error = place_list(env->places, path, collect, &names);
	if (error == ENOTDIR) {
		(void)print_entry(env->places, path, path);
	} else if (error != 0 || names.failed) {
		report(path, error ? error : ENOMEM);
	} else {
		print_entries(env->places, path, &names);
	}
	free(names.bytes);
}

/* ---- cat, cp ---- */

/* By chunks, one 9P message each; what was shown before an error stays. */
static void run_cat(const struct command_env *env, int argc, char **argv,
		    const char *rest)
{
	struct place_file file;
	uint64_t offset = 0;
	size_t done = 1;
	int error;

	(void)rest;
	if (!reachable(env, argc, argv)) {
		return;
	}
	error = place_open(env->places, argv[1], false, &file);
	if (error != 0) {
		report(argv[1], error);
		return;
	}
	while (error == 0 && done > 0 && console_go_on()) {
		error = place_read(&file, offset, chunk, sizeof(chunk), &done);
		if (error == 0) {
			fwrite(chunk, 1, done, stdout);
			offset += done;
		}
	}
	place_close(&file);
	if (error != 0) {
		report(argv[1], error);
	}
}

struct copy {
	const struct places *places;
	const char *from, *to;	/* paths */
	const char *wrong;	/* the one an error is about */
	bool existed;		/* to did, before */
	bool begun;		/* to is open, what it held is lost */
	uint64_t size;		/* of from at the beginning */
	uint64_t done;
	uint64_t report_ms;	/* uptime of the next progress report */
	bool reported;
};

/* How far a long copy is; the next line is written over it. */
static void progress(struct copy *copy)
{
	uint64_t now = loop_uptime_ms();

	if (now >= copy->report_ms) {
		printf("\r%llu of %llu MiB",
		       (unsigned long long)(copy->done >> 20),
		       (unsigned long long)(copy->size >> 20));
		fflush(stdout);
		copy->report_ms = now + PROGRESS_MS;
		copy->reported = true;
	}
}

/* Copies all of one open file to another, until the source ends, whatever size
 * it had at first. 0, an errno value, or EINTR for ctrl-c; copy->wrong is the
 * side that failed. */
static int copy_data(struct copy *copy, struct place_file *from,
		     struct place_file *to)
{
	size_t got, put;
	int error;

	for (;; copy->done += got) {
		copy->wrong = copy->from;
		error = place_read(from, copy->done, chunk, sizeof(chunk),
				   &got);
		if (error != 0 || got == 0) {
			return error;
		}
		copy->wrong = copy->to;
		for (size_t at = 0; at < got; at += put) {
			error = place_write(to, copy->done + at, chunk + at,
					    got - at, &put);
			if (error != 0 || put == 0) {
				/* Nothing written and no error: not to be tried
				 * for ever. */
				return error ? error : EIO;
			}
		}
		progress(copy);
		loop_step(0);	/* keys, and Linux, which goes on meanwhile */
		if (console_interrupted()) {
			return EINTR;
		}
	}
}

/* One file under two names? A file of the volume's has another number when it
 * is seen through Linux's mount of it, so across sides size and time decide.
 * Taking two files for one is refused without harm; the opposite would empty
 * the file before it is read. */
static bool same_file(const struct place_stat *a, const struct place_stat *b)
{
	return (a->side != b->side || a->id == b->id) &&
	       a->size == b->size && a->mtime.sec == b->mtime.sec &&
	       a->mtime.nsec == b->mtime.nsec;
}

/* Where a copy of from goes: to itself, or a name in it when it is a directory.
 * Refuses to copy a file onto itself (EEXIST). Fills copy->size, to, existed;
 * full holds the path that copy->to points to. 0 or an errno. */
static int copy_target(struct copy *copy, const char *to,
		       char full[COMMANDS_PATH])
{
	const char *slash = strrchr(copy->from, '/');
	const char *base = slash ? slash + 1 : copy->from;
	struct place_stat source, target;
	int error;

	/* "linux:name", relative to Linux's root: the mark is no part of the
	 * name. */
	if (!slash) {
		base = place_path(base);
	}
	copy->wrong = copy->from;
	error = place_stat(copy->places, copy->from, true, &source);
	if (error != 0) {
		return error;
	}
	copy->size = source.size;
	copy->to = copy->wrong = full;
	if (strlcpy(full, to, COMMANDS_PATH) >= COMMANDS_PATH) {
		return ENAMETOOLONG;
	}
	error = place_stat(copy->places, full, true, &target);
	/* "cp a dir": the copy is dir/a. Links are followed, as everywhere in
	 * cp. */
	if (error == 0 && (target.mode & VOLUME_S_IFMT) == VOLUME_S_IFDIR) {
		if (!join(full, to, base, strlen(base))) {
			return ENAMETOOLONG;
		}
		error = place_stat(copy->places, full, true, &target);
	}
	copy->existed = error == 0;
	if (error == 0 && same_file(&source, &target)) {
		return EEXIST;
	}
	return error == ENOENT ? 0 : error;
}

/* Opens, copies, closes. The source first: if it cannot be opened the target is
 * not touched. */
static int copy_file(struct copy *copy)
{
	struct place_file from, to;
	int error;

	copy->wrong = copy->from;
	error = place_open(copy->places, copy->from, false, &from);
	if (error != 0) {
		return error;
	}
	copy->wrong = copy->to;
	error = place_open(copy->places, copy->to, true, &to);
	if (error == 0) {
		copy->begun = true;
		error = copy_data(copy, &from, &to);
		place_close(&to);
	}
	place_close(&from);
	return error;
}

/* What a failed copy leaves: nothing that was not there before, if that can be
 * helped. A file that existed has lost its content and stays, incomplete. */
static void copy_failed(const struct copy *copy, int error)
{
	printf("%s", copy->reported ? "\n" : "");
	report(copy->wrong, error);
	/* Failed before that, the target is as it was. */
	if (copy->begun) {
		bool removed = !copy->existed &&
			       place_remove(copy->places, copy->to) == 0;

		printf("%s: incomplete%s\n", copy->to,
		       removed ? ", removed" : "");
	}
}

static void run_cp(const struct command_env *env, int argc, char **argv,
		   const char *rest)
{
	struct copy copy = { .places = env->places, .from = argv[1] };
	char full[COMMANDS_PATH];
	int error;

	(void)rest;
	if (!reachable(env, argc, argv)) {
		return;
	}
	/* Quick copies go without a report. */
	copy.report_ms = loop_uptime_ms() + PROGRESS_MS;
	error = copy_target(&copy, argv[2], full);
	if (error == 0) {
		error = copy_file(&copy);
	}
	if (error == 0) {
		printf("%s%llu bytes\n", copy.reported ? "\r\x1b[K" : "",
		       (unsigned long long)copy.done);
	} else {
		copy_failed(&copy, error);
	}
}

/* ---- mv, rm, mkdir ---- */

/* "mv a dir": it is dir/a then. */
static void run_mv(const struct command_env *env, int argc, char **argv,
		   const char *rest)
{
	const char *slash = strrchr(argv[1], '/');
	const char *base = slash ? slash + 1 : argv[1];
	const char *to = argv[2];
	char full[COMMANDS_PATH];
	struct place_stat st;
	int error;

	(void)rest;
	if (!reachable(env, argc, argv)) {
		return;
	}
	if (!slash) {
		base = place_path(base);
	}
	error = place_stat(env->places, argv[1], false, &st);
	if (error == 0 && place_stat(env->places, to, true, &st) == 0 &&
	    (st.mode & VOLUME_S_IFMT) == VOLUME_S_IFDIR) {
		error = join(full, to, base, strlen(base)) ? 0 : ENAMETOOLONG;
		to = full;
	}
	if (error == 0) {
		error = place_rename(env->places, argv[1], to);
	}
	if (error == EXDEV) {
		printf("%s and %s are not on one side: cp and rm do it\n",
		       argv[1], to);
		commands_fail();
	} else if (error != 0) {
		report(argv[1], error);
	}
}

/* One function on each path; an error is printed and the others go on, but for
 * ctrl-c. */
static void run_each(const struct command_env *env, int argc, char **argv,
		     int (*fn)(const struct places *places,
			       const char *path))
{
	int error = 0;

	if (!reachable(env, argc, argv)) {
		return;
	}
	for (int i = 1; i < argc && error != EINTR; i++) {
		error = fn(env->places, argv[i]);
		if (error != 0) {
			report(argv[i], error);
		}
	}
}

static void run_rm(const struct command_env *env, int argc, char **argv,
		   const char *rest)
{
	(void)rest;
	run_each(env, argc, argv, place_remove);
}

static void run_mkdir(const struct command_env *env, int argc, char **argv,
		      const char *rest)
{
	(void)rest;
	run_each(env, argc, argv, place_mkdir);
}

const struct command commands_files[] = {
	{ "ls", "[PATH]", "list a directory",
	  "  A path is on the volume; linux:PATH is in Linux, NAME:PATH in the\n"
	  "  Linux of that name, where there are several. Quotes or a\n"
	  "  backslash keep blanks in a name.\n",
	  0, 1, run_ls, commands_complete_path },
	{ "cat", "PATH", "show a file", "  PATH may be linux:PATH.\n",
	  1, 1, run_cat, commands_complete_path },
	{ "cp", "FROM TO", "copy a file",
	  "  One or both may be linux:PATH; TO may be a directory.\n",
	  2, 2, run_cp, commands_complete_path },
	{ "mv", "FROM TO", "rename a file or directory, or move it",
	  "  Both may be linux:PATH; TO may be a directory.\n",
	  2, 2, run_mv, commands_complete_path },
	{ "rm", "PATH...", "remove files or empty directories",
	  "  PATH may be linux:PATH.\n",
	  1, WORDS_MAX, run_rm, commands_complete_path },
	{ "mkdir", "PATH...", "make directories",
	  "  PATH may be linux:PATH.\n", 1, WORDS_MAX, run_mkdir,
	  commands_complete_path },
	{ "watch", "PATH", "show what happens to a file, or in a directory",
	  "  A line for each change, whoever makes it, until ctrl-c: create,\n"
	  "  modify, attrib, move, delete. PATH may be linux:PATH.\n",
	  1, 1, commands_watch, commands_complete_path },
	{ 0 }
};
