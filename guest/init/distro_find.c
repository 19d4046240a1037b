/* SPDX-License-Identifier: MIT */
/*
 * Where distributions are: disks of this Linux's that the host calls distro-NAME, and
 * folders of the host's volume. What is in the volume anybody may have written, a
 * distribution too: no link is followed there.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/openat2.h>

#include "distro.h"

#define DISK	"distro-"	/* begins the name of a disk */

/**
 * open() of a path below dir that leads nowhere else: a link on the way, or at the
 * end, is an error. Close-on-exec, and never waits. -1 with errno.
 */
int distro_open(int dir, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC | O_NONBLOCK),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};

	/* What only names a file takes no such flag. */
	if (flags & O_PATH) {
		how.flags &= ~(uint64_t)O_NONBLOCK;
	}
	return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

/** The text of a file below dir, as distro_open() finds it; "" and false if there is
 * none, or if it is too long. */
bool distro_read(int dir, const char *path, char text[DISTRO_TEXT_MAX])
{
	int fd = distro_open(dir, path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, text, DISTRO_TEXT_MAX);

	if (fd >= 0) {
		close(fd);
	}
	if (n < 0 || n >= (ssize_t)DISTRO_TEXT_MAX) {
		n = -1;
	}
	text[n < 0 ? 0 : n] = '\0';
	return n >= 0;
}

/* A descriptor on something in the distribution's folder on the volume, or -1. */
static int open_in(const char *name, const char *file, int flags)
{
	char path[DISTRO_NAME_MAX + 32];
	int dir = open(DISTRO_DIR, O_PATH | O_DIRECTORY | O_CLOEXEC), fd;

	snprintf(path, sizeof(path), "%s/%s", name, file);
	fd = dir < 0 ? -1 : distro_open(dir, path, flags);
	if (dir >= 0) {
		close(dir);
	}
	return fd;
}

/* Was the distribution on the machine's disk made files? Then that is what it was. */
static bool moved(const char *name)
{
	int fd = open_in(name, "moved", O_PATH);

	if (fd >= 0) {
		close(fd);
	}
	return fd >= 0;
}

/** Where the root of that name is; its descriptor is the caller's to close. */
bool distro_find(const char *name, struct distro_place *place)
{
	char disk[DISTRO_NAME_MAX + sizeof(DISK)];

	*place = (struct distro_place){ .form = DISTRO_NOWHERE, .fd = -1 };
	snprintf(disk, sizeof(disk), DISK "%s", name);
	if (!moved(name) && root_disk(disk, place->device)) {
		place->form = DISTRO_DISK;
	} else if ((place->fd = open_in(name, "root",
					O_PATH | O_DIRECTORY)) >= 0) {
		place->form = DISTRO_FILES;
	} else if ((place->fd = open_in(name, "disk.img", O_RDWR)) >= 0) {
		place->form = DISTRO_IMAGE;
	}
	return place->form != DISTRO_NOWHERE;
}

static void each_disk(void (*take)(void *arg, const char *name), void *arg)
{
	DIR *dir = opendir("/sys/block");
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		char path[300], text[64] = "";
		const char *name;
		FILE *f;

		snprintf(path, sizeof(path), "/sys/block/%s/name",
			 entry->d_name);
		f = fopen(path, "re");
		if (f) {
			(void)!fgets(text, sizeof(text), f);
			fclose(f);
		}
		text[strcspn(text, "\n")] = '\0';
		name = cmdline_after(text, DISK);
		if (name && distro_name_ok(name) && !moved(name)) {
			take(arg, name);
		}
	}
	if (dir) {
		closedir(dir);
	}
}

/** Has take() see the name of each distribution there is; one that is on a disk and
 * on the volume, twice. */
void distro_each(void (*take)(void *arg, const char *name), void *arg)
{
	DIR *dir = opendir(DISTRO_DIR);
	struct dirent *entry;

	each_disk(take, arg);
	while (dir && (entry = readdir(dir))) {
		struct distro_place place;

		if (distro_name_ok(entry->d_name) &&
		    distro_find(entry->d_name, &place)) {
			if (place.form != DISTRO_DISK) {
				close(place.fd);
				take(arg, entry->d_name);
			}
		}
	}
	if (dir) {
		closedir(dir);
	}
}

/**
 * Its settings. To be called twice: before its root is entered, for what lies in the
 * volume beside it, and after, for what a disk itself holds; each time *config keeps
 * what it has.
 */
void distro_settings(const char *name, enum distro_form form,
		     struct distro_config *config)
{
	char text[DISTRO_TEXT_MAX];
	int dir = -1;

	if (!name && form == DISTRO_DISK) {
		dir = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		(void)distro_read(dir, DISTRO_CONFIG, text);
	} else if (name && form != DISTRO_DISK) {
		char path[DISTRO_NAME_MAX + 16];

		dir = open(DISTRO_DIR, O_PATH | O_DIRECTORY | O_CLOEXEC);
		snprintf(path, sizeof(path), "%s/config", name);
		(void)distro_read(dir, path, text);
	}
	if (dir >= 0) {
		close(dir);
		distro_config_parse(text, config);
	}
}
