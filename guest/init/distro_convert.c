/* SPDX-License-Identifier: MIT */
/*
 * A distribution gets its other form: files on the host's volume, or an image there.
 * The new one grows beside the old one, which nothing changes, is compared with it,
 * and only then takes its place (distro_switch.c). Ended at any point, by ctrl-c or by
 * power, it goes on when it is called again.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "distro.h"
#include "distro_tree.h"

#define ROUNDS		3	/* until copy and original are the same */
#define TOLD_MAX	10u	/* differences that are said */
#define FILE_COST	16384u	/* an entry takes as long as so many bytes */
/* Of an image's own: a part of its content, for each entry, and to begin with. */
#define ROOM_PART	16u
#define FILE_ROOM	512u
#define ROOM_LEAST	(8u << 20)
#define SIZE_MIB	8192u	/* of an image, if nobody says */

struct convert {
	const char *name;
	bool to_disk;
	uint64_t size;
	struct distro_place place;	/* of the old form */
	struct distro_place image;	/* of the new one, if it is one */
	int folder, from;
	struct distro_tree tree;
};

static struct convert convert;
static const char *doing;

static void progress(const struct distro_tree *tree)
{
	const struct distro_amount *all = &tree->all, *done = &tree->done;
	bool end = done->files == all->files;
	static time_t last;
	uint64_t percent = 100;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec == last && !end) {
		return;
	}
	last = now.tv_sec;
	if (!end) {
		percent = 100 * (done->bytes + done->files * FILE_COST) /
			  (all->bytes + all->files * FILE_COST + 1);
	}
	printf("%s: %" PRIu64 " of %" PRIu64 " files, %" PRIu64 " of %" PRIu64
	       " MiB, %" PRIu64 " %%\n", doing, done->files, all->files,
	       done->bytes >> 20, all->bytes >> 20, percent);
	fflush(stdout);
}

static void differs(const char *path, const char *what)
{
	if (convert.tree.differences <= TOLD_MAX) {
		printf("/%s: %s\n", path, what);
	}
}

/* Says where it failed. Always false. */
static bool failed_at(const struct convert *c, const char *what)
{
	fprintf(stderr, "distro: %s: %s /%s: %s; called again it goes on\n",
		c->name, what, c->tree.path, strerror(errno));
	return false;
}

static bool failed(const struct convert *c, const char *what)
{
	distro_change_failed(c->name, what);
	return false;
}

/* Opens the new form, made if it is missing. */
static bool open_new(struct convert *c)
{
	uint64_t mib = 2 * (c->tree.all.bytes >> 20) + 64;
	const char *file = "disk.img.new";

	if (!c->to_disk) {
		(void)mkdirat(c->folder, "root.new", 0700);
		c->tree.root = distro_tree_folder(c->folder, "root.new");
		/* A write of somebody who was killed may have failed, and nobody
		 * have heard of it: whoever asks first does, with a descriptor that
		 * is newer, too. That is not to be us, at the end. [Linux
		 * Documentation/core-api/errseq.rst] */
		if (c->tree.root >= 0) {
			(void)syncfs(c->tree.root);
		}
		return c->tree.root >= 0 || failed(c, "the new root");
	}
	if (c->size) {
		mib = c->size;
	} else if (mib < SIZE_MIB) {
		mib = SIZE_MIB;
	}
	c->image = (struct distro_place){
		.form = DISTRO_IMAGE,
		.fd = distro_open(c->folder, file, O_RDWR),
	};
	if (c->image.fd < 0) {
		if (!distro_mount_format(c->folder, file, c->name, mib,
					 c->tree.all.files)) {
			return failed(c, "the new image");
		}
		c->image.fd = distro_open(c->folder, file, O_RDWR);
	}
	c->tree.root = distro_mount_open(c->name, &c->image, "to", true);
	return c->tree.root >= 0 || failed(c, "the new image");
}

/* All of the new form is written, and Linux has forgotten it. */
static bool close_new(struct convert *c)
{
	bool done;

	if (!c->to_disk) {
		done = syncfs(c->tree.root) == 0;
		close(c->tree.root);
	} else {
		done = distro_mount_close(c->name, "to", c->tree.root) &&
		       fsync(c->image.fd) == 0;
		close(c->image.fd);
	}
	return done || failed(c, "the new form cannot be written");
}

/* A copy, and a look at it from the start. */
static bool round_of(struct convert *c)
{
	doing = "copied";
	if (!open_new(c)) {
		return false;
	}
	if (!distro_tree_copy(&c->tree, c->from)) {
		return failed_at(c, "copying");
	}
	if (!close_new(c) || !open_new(c)) {
		return false;
	}
	doing = "compared";
	return (distro_tree_compare(&c->tree, c->from) ||
		failed_at(c, "comparing")) && close_new(c);
}

/* An image finds out late that it has no room, and is then of no use. */
static bool room(const struct convert *c)
{
	uint64_t bytes = c->tree.all.bytes, need, have;
	struct statvfs volume;
	struct stat st;

	if (!c->to_disk || fstatvfs(c->folder, &volume)) {
		return true;
	}
	need = bytes + bytes / ROOM_PART + c->tree.all.files * FILE_ROOM +
	       ROOM_LEAST;
	have = (uint64_t)volume.f_bavail * volume.f_frsize;
	if (fstatat(c->folder, "disk.img.new", &st, AT_SYMLINK_NOFOLLOW) == 0) {
		have += (uint64_t)st.st_blocks * 512;
	}
	if (have < need) {
		fprintf(stderr, "distro: %s: %" PRIu64 " MiB of room on the "
			"host's volume are wanted, %" PRIu64 " are there\n",
			c->name, need >> 20, have >> 20);
	}
	return have >= need;
}

/* The new form is made, and is equal. */
static bool make_equal(struct convert *c)
{
	for (int i = 0; i < ROUNDS; i++) {
		if (!round_of(c)) {
			return false;
		}
		if (c->tree.differences == 0) {
			return true;
		}
		printf("%" PRIu64 " differences: once more\n",
		       c->tree.differences);
	}
	errno = 0;
	return failed(c, "the new form does not become as the old one, which "
		      "stays");
}

/* For who finds the disk on the build machine; nothing depends on it. */
static void mark_disk(const struct convert *c)
{
	static const char text[] =
		"This distribution was converted to files: they are below "
		"/distros on the host's volume.\n";
	int root = distro_mount_open(c->name, &c->place, "from", true), fd;

	if (root < 0) {
		return;
	}
	fd = distro_open(root, "etc", O_RDONLY | O_DIRECTORY);
	if (fd >= 0) {
		(void)distro_switch_write(fd, "isthmus-moved", text);
		close(fd);
	}
	(void)distro_mount_close(c->name, "from", root);
}

/* The new form takes the old one's place, which goes. */
static bool take_place(struct convert *c)
{
	bool disk = c->place.form == DISTRO_DISK;

	if (!distro_change_config(c->folder, c->from)) {
		return failed(c, "its settings");
	}
	distro_mount_close(c->name, "from", c->from);
	if (!distro_switch(c->folder, c->to_disk ? "disk" :
			   disk ? "moved" : "files")) {
		return failed(c, "the new form cannot take the old one's place");
	}
	if (disk) {
		mark_disk(c);
	}
	printf("%s is %s now\n", c->name, c->to_disk ? "an image" : "files");
	fflush(stdout);
	return distro_tree_clear(c->folder, "root.old") ||
	       failed(c, "not all of the old form is gone; called again it "
		      "goes on");
}

/* What is left of earlier conversions goes, but for what this one goes on with. */
static bool clear_rest(const struct convert *c, bool same)
{
	return (distro_tree_clear(c->folder, "root.old") &&
		((!same && !c->to_disk) ||
		 distro_tree_clear(c->folder, "root.new")) &&
		distro_tree_clear(c->folder, "disk.img.new.part") &&
		((!same && c->to_disk) ||
		 distro_tree_clear(c->folder, "disk.img.new"))) ||
	       failed(c, "what is left of an earlier conversion");
}

/* Nothing of the host's is in the new form's place. */
static bool place_free(const struct convert *c)
{
	const char *file = c->to_disk ? "disk.img" : "root";
	struct stat st;

	if (fstatat(c->folder, file, &st, AT_SYMLINK_NOFOLLOW)) {
		return true;
	}
	fprintf(stderr, "distro: %s: " DISTRO_DIR "/%s/%s is there and is not "
		"this distribution: remove or rename it\n", c->name, c->name,
		file);
	return false;
}

/** Has it become files, or an image. */
int distro_convert(const struct distro_words *words)
{
	struct convert *c = &convert;
	bool same;

	*c = (struct convert){
		.name = words->word[0], .size = words->size,
		.to_disk = strcmp(words->to, "disk") == 0,
		.tree = { .progress = progress, .differs = differs },
	};
	if (!distro_change_begin(c->name, &c->place, &c->folder)) {
		return 1;
	}
	if (c->folder < 0) {
		c->folder = distro_switch_folder(c->name, true);
	}
	if (c->folder < 0) {
		return distro_change_failed(c->name, "its folder");
	}
	same = c->to_disk == (c->place.form != DISTRO_FILES);
	if (!clear_rest(c, same)) {
		return 1;
	}
	if (same) {
		printf("%s is %s already\n", c->name,
		       c->to_disk ? "on a disk" : "files");
		return 0;
	}
	if (!place_free(c)) {
		return 1;
	}
	c->from = distro_mount_open(c->name, &c->place, "from", false);
	if (c->from < 0 || !distro_tree_measure(c->from, &c->tree.all)) {
		return distro_change_failed(c->name, "its root cannot be read");
	}
	return room(c) && make_equal(c) && take_place(c) ? 0 : 1;
}
