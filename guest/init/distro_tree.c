/* SPDX-License-Identifier: MIT */
/* What walks through trees have in common: folders, the path for people, what is done
 * of how much. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "distro_tree.h"

/** A descriptor on a folder, to be read. -1 with errno. */
int distro_tree_folder(int dir, const char *name)
{
	return openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC |
		      O_NOATIME);
}

/** tree->path goes on by a name. False with errno; *before is for the way back. */
bool distro_tree_push(struct distro_tree *tree, const char *name, size_t *before)
{
	int len = snprintf(tree->path + tree->length,
			   sizeof(tree->path) - tree->length, "%s%s",
			   tree->length ? "/" : "", name);

	*before = tree->length;
	if ((size_t)len >= sizeof(tree->path) - tree->length) {
		tree->path[tree->length] = '\0';
		errno = ENAMETOOLONG;
		return false;
	}
	tree->length += (size_t)len;
	return true;
}

void distro_tree_pop(struct distro_tree *tree, size_t before)
{
	tree->length = before;
	tree->path[before] = '\0';
}

/** Whether what only the new tree has stays: ext4's own folder in its root. */
bool distro_tree_kept(const struct distro_tree *tree, const char *name)
{
	return tree->length == 0 && strcmp(name, "lost+found") == 0;
}

static uint64_t bytes_of(const struct stat *st)
{
	uint64_t blocks = (uint64_t)st->st_blocks * 512;

	if (!S_ISREG(st->st_mode)) {
		return 0;
	}
	return blocks < (uint64_t)st->st_size ? blocks : (uint64_t)st->st_size;
}

/** An entry is done. */
void distro_tree_count(struct distro_tree *tree, const struct stat *st)
{
	tree->done.files++;
	tree->done.bytes += bytes_of(st);
	tree->progress(tree);
}

/** Whether a folder's entry is itself, or the one above. */
bool distro_tree_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/** Adds up what is in a folder. False with errno. */
bool distro_tree_measure(int from, struct distro_amount *all)
{
	int fd = distro_tree_folder(from, ".");
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	bool good = dir;

	while (good && (errno = 0, entry = readdir(dir))) {
		struct stat st;
		int sub;

		if (distro_tree_dots(entry->d_name)) {
			continue;
		}
		good = fstatat(from, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0;
		if (good && S_ISDIR(st.st_mode)) {
			sub = distro_tree_folder(from, entry->d_name);
			good = sub >= 0 && distro_tree_measure(sub, all);
			if (sub >= 0) {
				close(sub);
			}
		}
		all->files++;
		all->bytes += good ? bytes_of(&st) : 0;
	}
	good = good && errno == 0;
	if (dir) {
		closedir(dir);
	}
	return good;
}
