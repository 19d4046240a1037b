/* SPDX-License-Identifier: MIT */
/*
 * The command `watch`: what happens to a file, or in a directory, as lines until
 * ctrl-c: of the volume, whoever does it, or in Linux, whose agent tells it by
 * the same words (guest/init/agent_watch.c).
 *
 * The volume's changes come while others run: they are kept as text until the
 * line has room, and what does not fit is dropped, and said.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/agent/agent.h"
#include "host-bridge/fs/volume_call.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/rt/container.h"
#include "host-bridge/ui/commands.h"
#include "host-bridge/ui/commands_linux.h"
#include "host-bridge/ui/commands_watch.h"
#include "host-bridge/ui/console.h"
#include "host-bridge/ui/places.h"

#define TEXT_MAX	65536u	/* bytes of lines that wait */
#define LINE_MAX	600u	/* two names and more */
#define NAMES_MAX	(16u << 20)	/* bytes of names, and what leads to them */

struct name {
	uint32_t ino;
	uint32_t len;
	char *text;
};

struct watch {
	struct volume_observer observer;
	struct volume *volume;
	uint32_t ino;			/* what is watched */
	bool lost;			/* a line, since the last that fitted */
	bool gone;			/* what is watched */
	/* The names in it, sorted by inode number: to look for one when it has
	 * changed might be to wait for the disk, in the midst of the change. */
	struct name *names;
	size_t count, space, bytes;
	uint64_t cookie;		/* of the last that was found */
	size_t last;			/* where the last line begins */
	size_t len;
	char text[TEXT_MAX];
};

/* ---- Which files are in the directory ---- */

/* The place of a number's first name, or where it would be. */
static size_t place_of(const struct watch *w, uint32_t ino)
{
	size_t low = 0, high = w->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (w->names[middle].ino < ino) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

/* Room for a name more. */
static bool make_room(struct watch *w, size_t len)
{
	size_t space = 2 * w->space + 64;
	struct name *names;

	if (w->bytes + sizeof(*names) + len > NAMES_MAX) {
		return false;
	}
	if (w->count == w->space) {
		names = realloc(w->names, space * sizeof(*names));
		if (!names) {
			return false;
		}
		w->names = names;
		w->space = space;
	}
	return true;
}

/* A name more. Without memory its changes will not be seen. */
static void enter(struct watch *w, uint32_t ino, const char *name, size_t len)
{
	size_t at = place_of(w, ino);
	char *text = make_room(w, len) ? malloc(len) : NULL;

	if (!text) {
		w->lost = true;
		return;
	}
	memcpy(text, name, len);
	memmove(w->names + at + 1, w->names + at,
		(w->count - at) * sizeof(*w->names));
	w->names[at] = (struct name){ ino, (uint32_t)len, text };
	w->count++;
	w->bytes += sizeof(*w->names) + len;
}

static void leave(struct watch *w, uint32_t ino, const char *name, size_t len)
{
	size_t at = place_of(w, ino);

	while (at < w->count && w->names[at].ino == ino &&
	       (w->names[at].len != len ||
		memcmp(w->names[at].text, name, len) != 0)) {
		at++;
	}
	if (at < w->count && w->names[at].ino == ino) {
		free(w->names[at].text);
		w->count--;
		w->bytes -= sizeof(*w->names) + len;
		memmove(w->names + at, w->names + at + 1,
			(w->count - at) * sizeof(*w->names));
	}
}

static bool enter_entry(void *arg, const struct volume_entry *entry)
{
	struct watch *w = arg;

	w->cookie = entry->cookie;
	if (entry->name[0] != '.' || (entry->name_len != 1 &&
	    (entry->name_len != 2 || entry->name[1] != '.'))) {
		enter(w, entry->ino, entry->name, entry->name_len);
	}
	return true;
}

/* ---- Lines ---- */

/* A name without what a terminal would obey. Returns its bytes. */
static size_t clean(char *to, const char *name, size_t len)
{
	size_t done = 0;

	for (size_t i = 0; i < len; ) {
		size_t n = words_visible(name + i, len - i);

		to[done] = '?';
		memcpy(to + done, n ? name + i : "?", n ? n : 1);
		done += n ? n : 1;
		i += n ? n : 1;
	}
	return done;
}

/* Adds a line; new may be NULL. The same as the one before, which was not shown
 * yet, says nothing new. */
static void line(struct watch *w, const char *word, const char *name,
		 size_t len, const char *new, size_t new_len)
{
	static const char lost[] = "events were lost\n";
	char text[LINE_MAX];
	size_t n = (size_t)snprintf(text, sizeof(text), "%-7s", word);

	n += clean(text + n, name, len);
	if (new) {
		memcpy(text + n, " -> ", 4);
		n += 4;
		n += clean(text + n, new, new_len);
	}
	text[n++] = '\n';
	if (w->len - w->last == n && memcmp(w->text + w->last, text, n) == 0) {
		return;
	}
	if (w->lost && w->len + sizeof(lost) - 1 + n <= TEXT_MAX) {
		memcpy(w->text + w->len, lost, sizeof(lost) - 1);
		w->len += sizeof(lost) - 1;
		w->lost = false;
	}
	if (w->lost || w->len + n > TEXT_MAX) {
		w->lost = true;
		return;
	}
	w->last = w->len;
	memcpy(w->text + w->len, text, n);
	w->len += n;
}

/* A file has changed: itself, or one whose name is in the directory. */
static void changed(struct watch *w, uint32_t ino, const char *word)
{
	size_t at = place_of(w, ino);

	if (ino == w->ino) {
		line(w, word, ".", 1, NULL, 0);
	} else if (at < w->count && w->names[at].ino == ino) {
		line(w, word, w->names[at].text, w->names[at].len, NULL, 0);
	}
}

static void moved(struct watch *w, const struct volume_event *e)
{
	bool from = e->dir == w->ino, to = e->new_dir == w->ino;

	if (from) {
		leave(w, e->ino, e->name, e->len);
	}
	if (to && e->victim && !e->exchanged) {
		leave(w, e->victim, e->new_name, e->new_len);
	}
	if (to) {
		enter(w, e->ino, e->new_name, e->new_len);
	}
	if (from || to) {
		line(w, "move", from ? e->name : "", from ? e->len : 0,
		     to ? e->new_name : "", to ? e->new_len : 0);
	}
	if (e->ino == w->ino) {
		line(w, "move", ".", 1, NULL, 0);
	}
}

static void observed(struct volume_observer *observer,
		     const struct volume_event *e)
{
	struct watch *w = CONTAINER(observer, struct watch, observer);

	switch (e->what) {
	case VOLUME_CREATED:
		if (e->dir == w->ino) {
			enter(w, e->ino, e->name, e->len);
			line(w, "create", e->name, e->len, NULL, 0);
		}
		break;
	case VOLUME_DELETED:
		if (e->dir == w->ino) {
			leave(w, e->ino, e->name, e->len);
			line(w, "delete", e->name, e->len, NULL, 0);
		} else if (e->ino == w->ino) {
			struct volume_attr attr;

			line(w, "delete", ".", 1, NULL, 0);
			w->gone = e->is_dir ||
				  volume_getattr(w->volume, w->ino, &attr) ||
				  attr.nlink == 0;
		}
		break;
	case VOLUME_MOVED:
		moved(w, e);
		break;
	case VOLUME_MODIFIED:
		changed(w, e->ino, "modify");
		break;
	case VOLUME_ATTRIB:
		changed(w, e->ino, "attrib");
		break;
	}
}

/* ---- The command ---- */

/* Shows lines as they come, until ctrl-c or the end of what is watched. */
static void show(struct watch *w)
{
	while (console_go_on()) {
		if (w->len > 0) {
			fwrite(w->text, 1, w->len, stdout);
			w->len = w->last = 0;
		} else if (w->gone) {
			return;
		} else if (w->lost) {
			w->lost = false;
			printf("events were lost\n");
		} else {
			loop_step(LOOP_FOREVER);
		}
	}
}

static void watch_volume(const struct command_env *env, const char *path)
{
	struct watch *w = calloc(1, sizeof(*w));
	int error = !w ? ENOMEM : !env->volume ? ENODEV : 0;
	uint64_t shown;

	if (error == 0) {
		w->volume = env->volume;
		w->observer.fn = observed;
		error = VOLUME_LOOK(env->turns, volume_path(w->volume, path,
							    true, &w->ino));
	}
	if (error == 0) {
		error = VOLUME_LOOK(env->turns, volume_hold(w->volume,
							    w->ino));
	}
	if (error != 0) {
		printf("%s: %s\n", path, error == ENODEV ?
		       "there is no volume" : strerror(error));
		free(w);
		return;
	}
	/* ENOTDIR: it is a file. On a disk it may be shown in parts. */
	do {
		shown = w->cookie;
		error = VOLUME_LOOK(env->turns,
				    volume_readdir(w->volume, w->ino, shown,
						   enter_entry, w));
	} while (error == 0 && env->turns && w->cookie != shown);
	printf("watching %s; ctrl-c ends it\n", path);
	volume_observe(w->volume, &w->observer);
	show(w);
	volume_unobserve(w->volume, &w->observer);
	volume_release(w->volume, w->ino);
	for (size_t i = 0; i < w->count; i++) {
		free(w->names[i].text);
	}
	free(w->names);
	free(w);
}

static void watch_linux(const struct command_env *env, const char *path)
{
	const char *const request[] = { "watch", place_path(path), NULL };
	uint32_t status;

	env = commands_linux_find(env, path);
	if (!commands_linux_wait(env)) {
		return;
	}
	fflush(stdout);
	switch (agent_run(env->agent, request, AGENT_PLAIN, &status)) {
	case AGENT_EXITED:
		break;
	case AGENT_DETACHED:
		printf("^C\n");
		break;
	default:
		printf("%s\n", agent_error(env->agent));
		break;
	}
}

/** The command; without Linux's word before the path it is the volume's. */
void commands_watch(const struct command_env *env, int argc, char **argv,
		    const char *rest)
{
	(void)argc;
	(void)rest;
	if (place_in_linux(argv[1])) {
		watch_linux(env, argv[1]);
	} else {
		watch_volume(env, argv[1]);
	}
}
