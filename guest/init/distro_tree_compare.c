/* SPDX-License-Identifier: MIT */
/*
 * Two trees are compared, all of it: who trusts the answer removes the old one. What
 * differs is told, and what of it is no folder removed from the new tree, so that the
 * next copy makes it again.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "distro_tree.h"

static void differ(struct distro_tree *tree, const char *what)
{
	tree->differences++;
	tree->differs(tree->path, what);
}

static bool compare_in(struct distro_tree *tree, int from, int to);

static bool compare_folder(struct distro_tree *tree, const struct distro_pair *p)
{
	int from = distro_tree_folder(p->from, p->name);
	int to = distro_tree_folder(p->to, p->name);
	bool good = from >= 0 && to >= 0 && compare_in(tree, from, to);

	if (from >= 0) {
		close(from);
	}
	if (to >= 0) {
		close(to);
	}
	return good;
}

/* Of a file with several names: the new tree's are one file, too. False: no memory. */
static bool compare_names(struct distro_tree *tree, const struct distro_pair *p,
			  const char **what)
{
	struct distro_link *link = distro_links_find(&tree->links, p->a.st_ino);

	if (link && link->to != p->b.st_ino) {
		*what = "hard link";
	} else if (link) {
		link->names++;
	} else {
		link = distro_links_add(&tree->links, p->a.st_ino,
					p->b.st_ino, tree->path);
		if (link) {
			link->links = p->b.st_nlink;
		}
	}
	return link;
}

/* What is there in both. What a further name shows is what the first one showed. */
static bool compare_pair(struct distro_tree *tree, const struct distro_pair *p)
{
	const char *what = distro_entry_differs(p);
	bool folder = S_ISDIR(p->a.st_mode);

	if (!what && !folder && p->a.st_nlink > 1) {
		if (!compare_names(tree, p, &what)) {
			return false;
		}
	} else if (!what && !folder && p->b.st_nlink > 1) {
		what = "hard link";
	}
	if (!what && S_ISREG(p->a.st_mode)) {
		what = distro_entry_content(p);
	}
	if (what) {
		differ(tree, what);
		if (!folder || !S_ISDIR(p->b.st_mode)) {
			return distro_tree_clear(p->to, p->name);
		}
	}
	return !folder || compare_folder(tree, p);
}

static bool compare_one(struct distro_tree *tree, int from, int to, const char *name)
{
	struct distro_pair p = { .from = from, .to = to, .name = name };
	size_t before;
	bool good = true;

	if (!distro_tree_push(tree, name, &before) ||
	    fstatat(from, name, &p.a, AT_SYMLINK_NOFOLLOW)) {
		return false;
	}
	if (fstatat(to, name, &p.b, AT_SYMLINK_NOFOLLOW)) {
		differ(tree, "missing");
	} else {
		good = compare_pair(tree, &p);
	}
	if (good) {
		distro_tree_count(tree, &p.a);
		distro_tree_pop(tree, before);
	}
	return good;
}

/* An entry that only the new tree has, or that both have. */
static bool compare_other(struct distro_tree *tree, int from, int to, const char *name)
{
	size_t before;
	struct stat st;

	if (distro_tree_kept(tree, name) ||
	    fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		return true;
	}
	if (!distro_tree_push(tree, name, &before)) {
		return false;
	}
	differ(tree, "not in the old one");
	distro_tree_pop(tree, before);
	return distro_tree_clear(to, name);
}

/* Has one of these look at each name of a folder. */
static bool each(struct distro_tree *tree, int of, int from, int to,
		 bool (*look)(struct distro_tree *, int, int, const char *))
{
	int fd = distro_tree_folder(of, ".");
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	bool good = dir;
	int error;

	while (good && (errno = 0, entry = readdir(dir))) {
		if (!distro_tree_dots(entry->d_name)) {
			good = look(tree, from, to, entry->d_name);
		}
	}
	good = good && errno == 0;
	error = errno;
	if (dir) {
		closedir(dir);
	}
	errno = error;
	return good;
}

static bool compare_in(struct distro_tree *tree, int from, int to)
{
	return each(tree, from, from, to, compare_one) &&
	       each(tree, to, from, to, compare_other);
}

/* As many names were found of each file as it has. */
static void compare_links(struct distro_tree *tree)
{
	for (size_t i = 0; i < tree->links.places; i++) {
		const struct distro_link *link = &tree->links.at[i];

		if (link->path && link->names != link->links) {
			tree->differences++;
			tree->differs(link->path, "number of links");
		}
	}
}

/**
 * Compares the tree at tree->root with what is at from: tree->differences says how
 * many entries differ. False with errno, and tree->path says where: it cannot be.
 */
bool distro_tree_compare(struct distro_tree *tree, int from)
{
	struct distro_pair p = { .from = from, .to = tree->root, .name = "." };
	const char *what;
	bool good;

	tree->done = (struct distro_amount){ 0 };
	tree->differences = 0;
	distro_tree_pop(tree, 0);
	good = fstat(from, &p.a) == 0 && fstat(tree->root, &p.b) == 0;
	what = good ? distro_entry_differs(&p) : NULL;
	if (what) {
		differ(tree, what);
	}
	good = good && compare_in(tree, from, tree->root);
	compare_links(tree);
	distro_links_free(&tree->links);
	return good;
}
