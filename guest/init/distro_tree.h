/* SPDX-License-Identifier: MIT */
/*
 * Trees of files that are to be the same: one is copied to where the other grows
 * (distro_tree_copy.c), compared with it (distro_tree_compare.c), removed
 * (distro_tree_clear.c); what these have in common (distro_tree.c), what an entry is
 * beside its name (distro_entry.c, distro_xattr.c), which names are one file
 * (distro_links.c). Nobody else changes either tree meanwhile. What is in them may be
 * anybody's: a name is looked up in the folder that holds it, no link is followed,
 * nothing is opened but folders and regular files.
 */
#ifndef GUEST_INIT_DISTRO_TREE_H
#define GUEST_INIT_DISTRO_TREE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#define DISTRO_TREE_PIECE	(256u << 10)	/* read and written at once */

/* An entry of both trees: in these folders, with that name. */
struct distro_pair {
	int from, to;
	const char *name;
	struct stat a, b;	/* of from, of to */
};

/* A file of several names. */
struct distro_link {
	ino_t from, to;
	nlink_t names, links;	/* found; that the file in `to` has */
	char *path;		/* the first, below the root; NULL: a free place */
};

struct distro_links {
	struct distro_link *at;
	size_t count, places;
};

struct distro_amount {
	uint64_t files, bytes;
};

/* A copy, or a comparison. */
struct distro_tree {
	int root;			/* of the new tree */
	struct distro_amount all, done;
	void (*progress)(const struct distro_tree *tree);
	/* Of a difference; only a comparison's. */
	void (*differs)(const char *path, const char *what);
	uint64_t differences;
	struct distro_links links;
	char path[PATH_MAX];		/* of what is at work, for people */
	size_t length;
};

/* distro_links.c */
struct distro_link *distro_links_find(const struct distro_links *links, ino_t from);
struct distro_link *distro_links_add(struct distro_links *links, ino_t from, ino_t to,
				     const char *path);
void distro_links_free(struct distro_links *links);

/* distro_entry.c */
const char *distro_entry_differs(const struct distro_pair *pair);
const char *distro_entry_content(const struct distro_pair *pair);
bool distro_entry_make(const struct distro_pair *pair);
bool distro_entry_settle(const struct distro_pair *pair);

/* distro_xattr.c */
bool distro_xattr_same(const struct distro_pair *pair);
bool distro_xattr_copy(const struct distro_pair *pair);

/* distro_tree.c */
int distro_tree_folder(int dir, const char *name);
bool distro_tree_push(struct distro_tree *tree, const char *name, size_t *before);
void distro_tree_pop(struct distro_tree *tree, size_t before);
bool distro_tree_kept(const struct distro_tree *tree, const char *name);
bool distro_tree_dots(const char *name);
void distro_tree_count(struct distro_tree *tree, const struct stat *st);
bool distro_tree_measure(int from, struct distro_amount *all);

/* distro_tree_copy.c */
bool distro_tree_copy(struct distro_tree *tree, int from);

/* distro_tree_compare.c */
bool distro_tree_compare(struct distro_tree *tree, int from);

/* distro_tree_clear.c */
bool distro_tree_clear(int dir, const char *name);

#endif
