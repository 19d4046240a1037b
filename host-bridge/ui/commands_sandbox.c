/* SPDX-License-Identifier: MIT */
/*
 * What a child for one command is to have of the host: options that stand before the
 * command, at the console or in the manifest.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "host-bridge/fs/volume_call.h"
#include "host-bridge/ui/commands_fork.h"

/* A folder of the volume, and ":ro". 0 or an errno value; EINVAL: it is no such
 * text, or there is no volume. */
static int read_mount(const struct command_env *env, const char *text,
		      struct commands_sandbox *box)
{
	size_t len = strlen(text);
	char path[COMMANDS_PATH];
	struct volume_attr attr;
	int error;

	if (len <= 3 || strcmp(text + len - 3, ":ro") != 0 || !env->volume) {
		return EINVAL;
	}
	snprintf(path, sizeof(path), "%.*s", (int)len - 3, text);
	error = VOLUME_LOOK(env->turns, volume_path(env->volume, path, true,
						    &box->root));
	if (error == 0) {
		error = VOLUME_LOOK(env->turns, volume_getattr(
			env->volume, box->root, &attr));
	}
	return error == 0 && (attr.mode & VOLUME_S_IFMT) != VOLUME_S_IFDIR ?
	       ENOTDIR : error;
}

static int read_net(const char *text, struct commands_sandbox *box)
{
	box->net = strcmp(text, "out") == 0 ? LINUX_NET_OUT : LINUX_NET_NONE;
	return box->net == LINUX_NET_OUT || strcmp(text, "none") == 0 ? 0 :
								       EINVAL;
}

/** See commands_fork.h. */
bool commands_sandbox_read(const struct command_env *env, const char **line,
			   struct commands_sandbox *box)
{
	static const char *const names[] = { "--mount", "--net" };
	static const char *const wanted[] = {
		"a folder of the volume and \":ro\" expected",
		"\"none\" or \"out\" expected",
	};
	bool given[2] = { false };

	*box = (struct commands_sandbox){ .net = LINUX_NET_NONE };
	while (**line == '-') {
		size_t len = strcspn(*line, " ");
		bool net = len == strlen(names[1]) &&
			   memcmp(*line, names[1], len) == 0;
		char text[COMMANDS_PATH];
		int error;

		if (!net && (len != strlen(names[0]) ||
			     memcmp(*line, names[0], len) != 0)) {
			printf("there is no option %.*s\n", (int)len, *line);
			return false;
		}
		if (given[net]) {
			printf("%s is there twice\n", names[net]);
			return false;
		}
		given[net] = true;
		*line = words_rest(*line, 1);
		len = strcspn(*line, " ");
		snprintf(text, sizeof(text), "%.*s", (int)len, *line);
		*line = words_rest(*line, 1);
		error = len >= sizeof(text) ? ENAMETOOLONG :
			net ? read_net(text, box) : read_mount(env, text, box);
		if (error != 0) {
			printf("%s %s: %s\n", names[net], text,
			       error == EINVAL ? wanted[net] : strerror(error));
			return false;
		}
	}
	return true;
}
