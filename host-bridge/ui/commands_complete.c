/* SPDX-License-Identifier: MIT */
/* Completion of paths, as they are typed at the console. */
#include <string.h>

#include "host-bridge/guest/linux.h"
#include "host-bridge/ui/commands.h"
#include "host-bridge/ui/commands_linux.h"
#include "host-bridge/ui/places.h"

struct path_completion {
	struct completion *c;
	size_t dir_len;		/* of the prefix: up to the last slash */
	unsigned seen;		/* names */
};

/* A name of the directory. Names that begin with a dot are offered to those who
 * type the dot; ones with blanks are completed without quotes. Of too many
 * names nobody knows what they have in common: then there is nothing to
 * offer. */
static bool complete_entry(void *arg, const char *name, size_t len)
{
	struct path_completion *path = arg;
	const struct completion *c = path->c;
	bool dot = path->dir_len < c->prefix_len &&
		   c->prefix[path->dir_len] == '.';
	char full[COMMANDS_PATH];

	if (++path->seen > COMMANDS_NAMES) {
		completion_init(path->c, c->prefix, c->prefix_len);
		return false;
	}
	for (size_t i = 0, n; i < len; i += n) {
		n = words_visible(name + i, len - i);
		if (n == 0) {
			return true;	/* not to be typed by anybody */
		}
	}
	if ((name[0] != '.' || dot) && path->dir_len + len < sizeof(full)) {
		memcpy(full, c->prefix, path->dir_len);
		memcpy(full + path->dir_len, name, len);
		completion_add(path->c, full, path->dir_len + len);
	}
	return true;
}

/**
 * Completes the last component; what is before it is kept as typed. Linux is
 * asked only when it is up: nobody waits for it at a tab. Errors show as no
 * candidates.
 */
void commands_complete_path(const struct command_env *env,
			    struct completion *c)
{
	struct path_completion path = { c, c->prefix_len, 0 };
	const struct command_env *of;
	char dir[COMMANDS_PATH];
	struct place_stat st;

	while (path.dir_len > 0 && c->prefix[path.dir_len - 1] != '/' &&
	       c->prefix[path.dir_len - 1] != ':') {
		path.dir_len--;
	}
	if (path.dir_len >= sizeof(dir)) {
		return;
	}
	memcpy(dir, c->prefix, path.dir_len);
	dir[path.dir_len] = '\0';
	/* Nothing typed before the name: the root's names, and the Linuxes'. */
	if (path.dir_len == 0) {
		strcpy(dir, "/");
		commands_linux_names(env, c, ":");
	}
	if (place_in_linux(dir)) {
		of = commands_linux_named(env, dir);
		if (!of || !linux_ready(of->guest)) {
			return;
		}
	}
	(void)place_list(env->places, dir, complete_entry, &path);
	/* A directory is gone on with: its slash is added, and the console
	 * leaves the blank out. */
	if (c->count == 1 && c->common_len + 1 < sizeof(c->common)) {
		c->common[c->common_len] = '\0';
		if (place_stat(env->places, c->common, true, &st) == 0 &&
		    (st.mode & VOLUME_S_IFMT) == VOLUME_S_IFDIR &&
		    c->common[c->common_len - 1] != ':') {
			c->common[c->common_len++] = '/';
		}
	}
}
