/* SPDX-License-Identifier: MIT */
/* Files of several names, found by their number in the old tree: a table that
 * doubles. Pure. */
#include <stdlib.h>
#include <string.h>

#include "distro_tree.h"

#define PLACES_FIRST	256u

/* Where it is, or where it would be: there is a free place. */
static struct distro_link *place(const struct distro_links *links, ino_t from)
{
	size_t i = (size_t)(from * 0x9e3779b97f4a7c15ull >> 20);

	for (;; i++) {
		struct distro_link *link = &links->at[i & (links->places - 1)];

		if (!link->path || link->from == from) {
			return link;
		}
	}
}

/** The file with that number in the old tree; NULL: it was not met yet. */
struct distro_link *distro_links_find(const struct distro_links *links, ino_t from)
{
	struct distro_link *link = links->places ? place(links, from) : NULL;

	return link && link->path ? link : NULL;
}

/* At most half of the places are taken. */
static bool grow(struct distro_links *links)
{
	struct distro_links more = {
		.places = links->places ? 2 * links->places : PLACES_FIRST,
		.count = links->count,
	};

	if (2 * links->count < links->places) {
		return true;
	}
	more.at = calloc(more.places, sizeof(*more.at));
	if (!more.at) {
		return false;
	}
	for (size_t i = 0; i < links->places; i++) {
		if (links->at[i].path) {
			*place(&more, links->at[i].from) = links->at[i];
		}
	}
	free(links->at);
	*links = more;
	return true;
}

/** Takes up a file by the first of its names, which has been found once. NULL: there
 * is no memory. The next call makes the answer void. */
struct distro_link *distro_links_add(struct distro_links *links, ino_t from, ino_t to,
				     const char *path)
{
	struct distro_link *link;
	char *copy;

	if (!grow(links)) {
		return NULL;
	}
	copy = strdup(path);
	if (!copy) {
		return NULL;
	}
	link = place(links, from);
	*link = (struct distro_link){ .from = from, .to = to, .names = 1,
				      .path = copy };
	links->count++;
	return link;
}

void distro_links_free(struct distro_links *links)
{
	for (size_t i = 0; i < links->places; i++) {
		free(links->at[i].path);
	}
	free(links->at);
	*links = (struct distro_links){ 0 };
}
