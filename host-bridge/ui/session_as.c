/* SPDX-License-Identifier: MIT */
/* Options of exec and of Linux's console. What they say is for the agent to judge,
 * which knows its users and folders. */
#include <stdio.h>
#include <string.h>

#include "host-bridge/ui/session_as.h"
#include "host-bridge/ui/words.h"

static const char *const options[] = { "user", "dir", "env", "distro" };

/** See session_as.h. */
void session_as_begin(struct session_as *as, const char *const *fixed)
{
	memset(as, 0, sizeof(*as));
	while (fixed[as->count]) {
		as->field[as->count] = fixed[as->count];
		as->count++;
	}
}

/* Without the hyphens; NULL: there is no such option. */
static const char *key_of(const char *option)
{
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		if (strncmp(option, "--", 2) == 0 &&
		    strcmp(option + 2, options[i]) == 0) {
			return options[i];
		}
	}
	return NULL;
}

/** See session_as.h. */
bool session_as_add(struct session_as *as, const char *option, const char *value)
{
	const char *key = key_of(option);
	size_t room = sizeof(as->text) - as->len;
	int len;

	if (!key) {
		printf("there is no option %s; --user, --dir, --env and --distro "
		       "are\n", option);
		return false;
	}
	if (!value || !value[0]) {
		printf("%s: a value expected\n", option);
		return false;
	}
	len = snprintf(as->text + as->len, room, "%s=%s", key, value);
	if (as->count == SESSION_FIELDS || (size_t)len >= room) {
		printf("there are too many options\n");
		return false;
	}
	as->field[as->count++] = as->text + as->len;
	as->len += (size_t)len + 1;
	return true;
}

/** See session_as.h. */
bool session_as_read(struct session_as *as, const char **line)
{
	char option[SESSION_LINE], value[SESSION_LINE];

	if (strlen(*line) >= SESSION_LINE) {
		printf("the line is too long\n");
		return false;
	}
	while (**line == '-') {
		if (!words_first(line, option) ||
		    (strcmp(option, "--") != 0 && !words_first(line, value))) {
			printf("a quote is not closed\n");
			return false;
		}
		if (strcmp(option, "--") == 0) {
			break;
		}
		if (!session_as_add(as, option, value)) {
			return false;
		}
	}
	return true;
}
