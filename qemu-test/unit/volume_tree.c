/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qemu-test/unit/volume_tree.h"

#define NAMES		32u

struct walk {
	struct tree *tree;
	struct volume *vol;
	void (*again)(void *arg);
	void *arg;
};

struct names {
	struct volume_entry entries[NAMES];
	char text[NAMES][VOLUME_NAME_MAX + 1];
	unsigned count;
};

/* Until it is something else than EAGAIN. */
#define MUST(w, call) \
	do { \
		int error_; \
		\
		while ((error_ = (call)) == EAGAIN) { \
			(w)->again((w)->arg); \
		} \
		if (error_ != 0) { \
			fail_msg("%s: %d", #call, error_); \
		} \
	} while (0)

static bool take_name(void *arg, const struct volume_entry *entry)
{
	struct names *n = arg;

	if (entry->name[0] != '.') {
		assert_true(n->count < NAMES);
		n->entries[n->count] = *entry;
		memcpy(n->text[n->count], entry->name, entry->name_len);
		n->text[n->count++][entry->name_len] = '\0';
	}
	return true;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

void tree_say(struct tree *tree, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tree->len += (size_t)vsnprintf(tree->text + tree->len,
				       TREE_TEXT - tree->len, format, args);
	va_end(args);
	assert_true(tree->len < TREE_TEXT);
}

static void take_content(struct walk *w, const struct volume_attr *attr)
{
	struct tree *tree = w->tree;
	struct tree_file *file = &tree->files[tree->count];
	size_t done;

	if (tree_file(tree, attr->ino, attr->gen) != NULL) {
		return;
	}
	assert_true(tree->count < TREE_FILES);
	tree->count++;
	*file = (struct tree_file){ attr->ino, attr->gen, attr->size, NULL };
	file->data = malloc(attr->size + 1);
	assert_non_null(file->data);
	for (uint64_t at = 0; at < attr->size; at += done) {
		MUST(w, volume_read(w->vol, attr->ino, at, file->data + at,
				    attr->size - at, &done));
		assert_true(done > 0);
	}
}

static void take_xattr(struct walk *w, uint32_t ino)
{
	void *value = NULL;
	size_t len = 0;
	int error;

	while ((error = volume_xattr_get(w->vol, ino, "user.x", &value,
					 &len)) == EAGAIN) {
		w->again(w->arg);
	}
	if (error == 0) {
		tree_say(w->tree, " x=%.*s", (int)len, (char *)value);
		free(value);
	}
}

static void take_dir(struct walk *w, uint32_t dir, const char *path)
{
	struct names *n = calloc(1, sizeof(*n));
	char below[512], target[256];
	struct volume_attr attr;
	size_t len;

	assert_non_null(n);
	for (;;) {
		int error = volume_readdir(w->vol, dir, 0, take_name, n);

		if (error != EAGAIN) {
			assert_int_equal(error, 0);
			break;
		}
		w->again(w->arg);
		n->count = 0;
	}
	qsort(n->text, n->count, sizeof(n->text[0]), by_name);
	for (unsigned i = 0; i < n->count; i++) {
		uint32_t ino;

		MUST(w, volume_lookup(w->vol, dir, n->text[i],
				      strlen(n->text[i]), &ino));
		MUST(w, volume_getattr(w->vol, ino, &attr));
		snprintf(below, sizeof(below), "%s/%s", path, n->text[i]);
		tree_say(w->tree, "%s %o %u %u", below, attr.mode, attr.nlink,
			 attr.uid);
		if ((attr.mode & VOLUME_S_IFMT) == VOLUME_S_IFREG) {
			tree_say(w->tree, " #%u.%u %lu", ino, attr.gen,
				 (unsigned long)attr.size);
			take_content(w, &attr);
		} else if ((attr.mode & VOLUME_S_IFMT) == VOLUME_S_IFLNK) {
			MUST(w, volume_readlink(w->vol, ino, target,
						sizeof(target), &len));
			tree_say(w->tree, " -> %.*s", (int)len, target);
		}
		take_xattr(w, ino);
		tree_say(w->tree, "\n");
		if ((attr.mode & VOLUME_S_IFMT) == VOLUME_S_IFDIR) {
			take_dir(w, ino, below);
		}
	}
	free(n);
}

void tree_take(struct tree *tree, struct volume *vol, void (*again)(void *arg),
	       void *arg)
{
	struct walk w = { tree, vol, again, arg };

	tree->len = 0;
	tree->count = 0;
	tree->text[0] = '\0';
	take_dir(&w, VOLUME_ROOT, "");
}

void tree_free(struct tree *tree)
{
	for (unsigned i = 0; i < tree->count; i++) {
		free(tree->files[i].data);
	}
	tree->count = 0;
}

const struct tree_file *tree_file(const struct tree *tree, uint32_t ino,
				  uint32_t gen)
{
	for (unsigned i = 0; i < tree->count; i++) {
		if (tree->files[i].ino == ino && tree->files[i].gen == gen) {
			return &tree->files[i];
		}
	}
	return NULL;
}
