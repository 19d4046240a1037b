/* SPDX-License-Identifier: MIT */
/*
 * Becoming a user. A static program has no NSS, so files are all there is; they are
 * of whatever root this process is in, and what they say is checked before it is
 * believed. The first two calls are pure.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user.h"

#define PASSWD_FIELDS	7
#define GROUP_FIELDS	4
#define PATH_ROOT	"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:" \
			"/sbin:/bin"
#define PATH_USER	"/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games"

/* A part of a file. */
struct piece {
	const char *at;
	size_t len;
};

/* The next line of what is left, without its end. False: there is none. One that
 * a NUL is in is no text, and empty. */
static bool next_line(struct piece *left, struct piece *line)
{
	const char *end;

	if (left->len == 0) {
		return false;
	}
	end = memchr(left->at, '\n', left->len);
	line->at = left->at;
	line->len = end ? (size_t)(end - left->at) : left->len;
	left->at += line->len + (end != NULL);
	left->len -= line->len + (end != NULL);
	if (memchr(line->at, '\0', line->len)) {
		line->len = 0;
	}
	return true;
}

/* True when the line has just so many fields, with colons between. */
static bool split(struct piece line, struct piece *field, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const char *end = memchr(line.at, ':', line.len);

		if (!end != (i + 1 == count)) {
			return false;
		}
		field[i].at = line.at;
		field[i].len = end ? (size_t)(end - line.at) : line.len;
		line.at += field[i].len + 1;
		line.len -= end ? field[i].len + 1 : field[i].len;
	}
	return true;
}

static bool is(struct piece p, const char *text)
{
	return p.len == strlen(text) && memcmp(p.at, text, p.len) == 0;
}

/* A number that an ID can be: -1 is none [credentials(7), setuid(2)]. */
static bool number(struct piece p, uint32_t *value)
{
	uint64_t v = 0;

	if (p.len == 0 || p.len > 10) {
		return false;
	}
	for (size_t i = 0; i < p.len; i++) {
		if (p.at[i] < '0' || p.at[i] > '9') {
			return false;
		}
		v = v * 10 + (uint64_t)(p.at[i] - '0');
	}
	*value = (uint32_t)v;
	return v < UINT32_MAX;
}

/* A path, or what stands for none; false: it is too long or begins nowhere. */
static bool path(struct piece p, const char *none, char text[USER_TEXT_MAX + 1])
{
	if (p.len == 0) {
		strcpy(text, none);
		return true;
	}
	if (p.len > USER_TEXT_MAX || p.at[0] != '/') {
		return false;
	}
	memcpy(text, p.at, p.len);
	text[p.len] = '\0';
	return true;
}

/* A line of passwd(5) that is in order. */
static bool read_user(struct piece line, struct user *u)
{
	struct piece f[PASSWD_FIELDS];

	if (!split(line, f, PASSWD_FIELDS) || f[0].len == 0 ||
	    f[0].len > USER_NAME_MAX || !number(f[2], &u->uid) ||
	    !number(f[3], &u->gid) || !path(f[5], "/", u->home) ||
	    !path(f[6], "/bin/sh", u->shell)) {
		return false;
	}
	memcpy(u->name, f[0].at, f[0].len);
	u->name[f[0].len] = '\0';
	return true;
}

/* "UID" or "UID:GID". */
static bool read_numbers(const char *who, uint32_t *uid, uint32_t *gid,
			 bool *has_gid)
{
	const char *colon = strchr(who, ':');
	struct piece first = { who, colon ? (size_t)(colon - who) :
					    strlen(who) };

	*has_gid = colon != NULL;
	return number(first, uid) &&
	       (!colon || number((struct piece){ colon + 1,
						 strlen(colon + 1) }, gid));
}

/* The first line that is in order and the user's: by name, or by number if that is
 * not NULL. */
static bool find_line(const char *passwd, size_t len, const char *name,
		      const uint32_t *uid, struct user *u)
{
	struct piece left = { passwd, len }, line;

	while (next_line(&left, &line)) {
		if (read_user(line, u) &&
		    (uid ? u->uid == *uid : strcmp(u->name, name) == 0)) {
			return true;
		}
	}
	return false;
}

/**
 * Finds a user by name or by numbers in passwd's len bytes, without further groups.
 * Whose number is in no line has group GID, or the same number, and no home but
 * "/"; root is there even where no line says so. False: there is no such user.
 */
bool user_find(const char *passwd, size_t len, const char *who, struct user *u)
{
	uint32_t uid = 0, gid = 0;
	bool has_gid = false;
	bool by_number = read_numbers(who, &uid, &gid, &has_gid);

	memset(u, 0, sizeof(*u));
	if (!find_line(passwd, len, who, by_number ? &uid : NULL, u)) {
		if (!by_number && strcmp(who, "root") != 0) {
			return false;
		}
		u->uid = u->gid = uid;
		strcpy(u->home, uid == 0 ? "/root" : "/");
		strcpy(u->shell, "/bin/sh");
		strcpy(u->name, uid == 0 ? "root" : "");
	}
	if (has_gid) {
		u->gid = gid;
		u->name[0] = '\0';	/* he wants no other groups */
	}
	u->groups[0] = u->gid;
	u->group_count = 1;
	return true;
}

/* Whether a list, with commas between, has the name. */
static bool among(struct piece list, const char *name)
{
	while (list.len > 0) {
		const char *end = memchr(list.at, ',', list.len);
		struct piece one = { list.at, end ? (size_t)(end - list.at) :
						    list.len };

		if (is(one, name)) {
			return true;
		}
		list.at += one.len + (end != NULL);
		list.len -= one.len + (end != NULL);
	}
	return false;
}

/**
 * Adds the groups that name the user, from group's len bytes; of more than there
 * is room for the first.
 */
void user_groups(const char *group, size_t len, struct user *u)
{
	struct piece left = { group, len }, line, f[GROUP_FIELDS];
	uint32_t gid;

	while (u->name[0] && u->group_count < USER_GROUPS_MAX &&
	       next_line(&left, &line)) {
		if (split(line, f, GROUP_FIELDS) && number(f[2], &gid) &&
		    gid != u->gid && among(f[3], u->name)) {
			u->groups[u->group_count++] = gid;
		}
	}
}

/* As much of a file as counts, up to the end of a line; 0: it is not there, or no
 * file. It is not waited for: a pipe can have that name, too. */
static size_t read_file(const char *name, char *text)
{
	int fd = open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	size_t len = 0;
	struct stat st;
	ssize_t n = 1;

	if (fd < 0) {
		return 0;
	}
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		n = 0;
	}
	while (n > 0 && len < USER_FILE_MAX) {
		n = read(fd, text + len, USER_FILE_MAX - len);
		len += n > 0 ? (size_t)n : 0;
	}
	close(fd);
	while (len == USER_FILE_MAX && text[len - 1] != '\n') {
		const char *last = memrchr(text, '\n', len);

		len = last ? (size_t)(last - text) : 0;
	}
	return len;
}

/**
 * The user of that name or number, with groups. False: there is none.
 */
bool user_look_up(const char *who, struct user *u)
{
	static char text[USER_FILE_MAX];

	if (!user_find(text, read_file("/etc/passwd", text), who, u)) {
		return false;
	}
	user_groups(text, read_file("/etc/group", text), u);
	return true;
}

/**
 * Makes this process the user's, for good, and not more than his. 0 or an errno
 * value; then it is of no use any more.
 */
int user_become(const struct user *u)
{
	umask(022);
	return setgroups(u->group_count, u->groups) ||
	       setresgid(u->gid, u->gid, u->gid) ||
	       setresuid(u->uid, u->uid, u->uid) ? errno : 0;
}

/* Where his systemd is, if one runs: it does after a login of another kind, or always
 * by `loginctl enable-linger`. His programs find all else by that. [pam_systemd(8)] */
static void find_systemd(const struct user *u)
{
	char dir[32];
	struct stat st;

	snprintf(dir, sizeof(dir), "/run/user/%u", u->uid);
	if (lstat(dir, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == u->uid) {
		setenv("XDG_RUNTIME_DIR", dir, 1);
	}
}

/**
 * A new environment, as a login has it; of the old one the terminal's kind stays.
 */
void user_environment(const struct user *u)
{
	const char *term = getenv("TERM");
	char *kept = term ? strdup(term) : NULL;

	clearenv();
	setenv("HOME", u->home, 1);
	setenv("SHELL", u->shell, 1);
	setenv("PATH", u->uid == 0 ? PATH_ROOT : PATH_USER, 1);
	if (u->name[0]) {
		setenv("USER", u->name, 1);
		setenv("LOGNAME", u->name, 1);
	}
	find_systemd(u);
	if (kept) {
		setenv("TERM", kept, 1);
		free(kept);
	}
}
