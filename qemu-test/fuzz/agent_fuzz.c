// SPDX-License-Identifier: MIT
/*
 * libFuzzer target: what the agent reads of its clients, and of users. The input is a
 * request, a stream of frames in pieces, or passwd and group. What must hold: no bad
 * access; a request is understood or refused in words; the collector of frames always
 * has room or a frame; a user has groups within bounds, and texts that end.
 */
#include <stdlib.h>
#include <string.h>

#include "guest/init/agent.h"
#include "guest/init/user.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
	if (!ok) {
		abort();
	}
}

/* A copy whose end is watched, with room for a NUL. */
static char *copy(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	check(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

static void request(const uint8_t *data, size_t size)
{
	char *text = copy(data, size);
	struct agent_request req;

	agent_parse_request(text, size, &req);
	check((req.verb == AGENT_VERB_BAD) == (req.error != NULL));
	check(!req.error || strlen(req.error) < AGENT_WORDS_MAX);
	check(req.env_count <= AGENT_ENV_MAX);
	for (unsigned i = 0; i < req.env_count; i++) {
		check(strchr(req.env[i], '=') > req.env[i]);
	}
	if (req.verb == AGENT_VERB_SHELL || req.verb == AGENT_VERB_EXEC) {
		check(!req.tty || (req.rows && req.cols));
		check(!req.dir || req.dir[0] == '/');
		check(!req.distro || strlen(req.distro) <= AGENT_DISTRO_MAX);
		check((req.verb == AGENT_VERB_EXEC) == (req.command != NULL));
	}
	free(text);
}

/* The pieces are as long as the bytes before them say. */
static void frames(const uint8_t *data, size_t size)
{
	static struct agent_parser parser;
	enum agent_parse result = AGENT_PARSE_MORE;

	parser.have = 0;
	while (size > 1 && result != AGENT_PARSE_BAD) {
		size_t piece = data[0] < size - 1 ? data[0] : size - 1, room;
		struct agent_frame f;
		uint8_t *where;

		room = agent_parser_room(&parser, &where);
		check(room > 0);
		piece = piece < room ? piece : room;
		memcpy(where, data + 1, piece);
		parser.have += piece;
		data += piece + 1;
		size -= piece + 1;
		while ((result = agent_parse_frame(&parser, &f)) ==
		       AGENT_PARSE_FRAME) {
			check(f.length <= AGENT_PAYLOAD_MAX);
			check(f.type != AGENT_SIGNAL ||
			      agent_signal_known(f.payload[0]));
			agent_parser_drop(&parser, &f);
		}
	}
}

static void users(const uint8_t *data, size_t size)
{
	size_t half = size / 2;
	char *passwd = copy(data, half), *group = copy(data + half, size - half);
	static const char *const who[] = { "root", "a", "1", "1:2", "bob" };
	struct user u;

	for (size_t i = 0; i < sizeof(who) / sizeof(who[0]); i++) {
		if (!user_find(passwd, half, who[i], &u)) {
			continue;
		}
		user_groups(group, size - half, &u);
		check(u.group_count >= 1 && u.group_count <= USER_GROUPS_MAX);
		check(u.groups[0] == u.gid && u.uid != (uid_t)-1);
		check(memchr(u.name, '\0', sizeof(u.name)) != NULL);
		check(u.home[0] == '/' && u.shell[0] == '/');
	}
	free(passwd);
	free(group);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0) {
		return 0;
	}
	(data[0] % 3 == 0 ? request : data[0] % 3 == 1 ? frames : users)
		(data + 1, size - 1);
	return 0;
}
