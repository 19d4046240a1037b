/* SPDX-License-Identifier: MIT */
/*
 * A tree is copied to where a new one grows. What is there already and does not
 * differ, as far as can be known without reading it, is kept: so a copy that was
 * interrupted goes on where it was. Folders get their times when all in them is done.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "distro_tree.h"

static bool copy_in(struct distro_tree *tree, int from, int to);

static bool copy_folder(struct distro_tree *tree, const struct distro_pair *p, bool have)
{
	int from, to;
	bool good;

	if (have && !S_ISDIR(p->b.st_mode)) {
		if (!distro_tree_clear(p->to, p->name)) {
			return false;
		}
		have = false;
	}
	if (!have && mkdirat(p->to, p->name, 0700)) {
		return false;
	}
	from = distro_tree_folder(p->from, p->name);
	to = distro_tree_folder(p->to, p->name);
	good = from >= 0 && to >= 0 && copy_in(tree, from, to);
	if (from >= 0) {
		close(from);
	}
	if (to >= 0) {
		close(to);
	}
	return good && distro_entry_settle(p);
}

/* Another name of a file that the new tree has. */
static bool copy_name(struct distro_tree *tree, const struct distro_pair *p,
		      const struct distro_link *link, bool have)
{
	if (have && p->b.st_ino == link->to) {
		return true;
	}
	return (!have || distro_tree_clear(p->to, p->name)) &&
	       linkat(tree->root, link->path, p->to, p->name, 0) == 0;
}

static bool copy_file(struct distro_tree *tree, struct distro_pair *p, bool have)
{
	if (!have || distro_entry_differs(p)) {
		if ((have && !distro_tree_clear(p->to, p->name)) ||
		    !distro_entry_make(p) || !distro_entry_settle(p)) {
			return false;
		}
	}
	if (p->a.st_nlink < 2) {
		return true;
	}
	return fstatat(p->to, p->name, &p->b, AT_SYMLINK_NOFOLLOW) == 0 &&
	       distro_links_add(&tree->links, p->a.st_ino, p->b.st_ino,
				tree->path);
}

static bool copy_one(struct distro_tree *tree, int from, int to, const char *name)
{
	struct distro_pair p = { .from = from, .to = to, .name = name };
	const struct distro_link *link;
	size_t before;
	bool have, good;

	if (!distro_tree_push(tree, name, &before) ||
	    fstatat(from, name, &p.a, AT_SYMLINK_NOFOLLOW)) {
		return false;
	}
	have = fstatat(to, name, &p.b, AT_SYMLINK_NOFOLLOW) == 0;
	link = p.a.st_nlink < 2 ? NULL :
	       distro_links_find(&tree->links, p.a.st_ino);
	if (S_ISDIR(p.a.st_mode)) {
		good = copy_folder(tree, &p, have);
	} else if (link) {
		good = copy_name(tree, &p, link, have);
	} else {
		good = copy_file(tree, &p, have);
	}
	/* What failed keeps its path, for people. */
	if (good) {
		distro_tree_count(tree, &p.a);
		distro_tree_pop(tree, before);
	}
	return good;
}

/* What the old folder has not goes: it has changed since an earlier copy. */
static bool remove_others(const struct distro_tree *tree, int from, int to)
{
	int fd = distro_tree_folder(to, ".");
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	bool good = dir;
	struct stat st;

	while (good && (errno = 0, entry = readdir(dir))) {
		if (!distro_tree_dots(entry->d_name) &&
		    fstatat(from, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) &&
		    !distro_tree_kept(tree, entry->d_name)) {
			good = distro_tree_clear(to, entry->d_name);
		}
	}
	good = good && errno == 0;
	if (dir) {
		closedir(dir);
	}
	return good;
}

static bool copy_in(struct distro_tree *tree, int from, int to)
{
	int fd = distro_tree_folder(from, ".");
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	bool good = dir;

	while (good && (errno = 0, entry = readdir(dir))) {
		if (!distro_tree_dots(entry->d_name)) {
			good = copy_one(tree, from, to, entry->d_name);
		}
	}
	good = good && errno == 0;
	if (dir) {
		int error = errno;

		closedir(dir);
		errno = error;
	}
	return good && remove_others(tree, from, to);
}

/**
 * Has the tree at tree->root become what is at from. False with errno, and
 * tree->path says where; then it may be called again.
 */
bool distro_tree_copy(struct distro_tree *tree, int from)
{
	struct distro_pair p = { .from = from, .to = tree->root, .name = "." };
	bool good;

	tree->done = (struct distro_amount){ 0 };
	distro_tree_pop(tree, 0);
	good = copy_in(tree, from, tree->root) && fstat(from, &p.a) == 0 &&
	       distro_entry_settle(&p);
	distro_links_free(&tree->links);
	return good;
}
