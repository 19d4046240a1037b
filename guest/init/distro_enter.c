/* SPDX-License-Identifier: MIT */
/*
 * The way into a distribution, and which one is meant when nobody says.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "distro.h"

#define WORD		"isthmus.distro="
#define DISK_SECONDS	10	/* a disk comes when the host has said so */
#define BUSY_SECONDS	120	/* another is starting it, or stopping */
#define ENDED_TRIES	50	/* it ended when it was to be entered */
#define LOOK_US		50000

static struct {
	char line[4096];
	const char *word;
} said;

static void take(const char *word)
{
	const char *value = cmdline_after(word, WORD);

	said.word = value ? value : said.word;
}

static bool from_command_line(char *name, char *user)
{
	cmdline_words(said.line, sizeof(said.line), take);
	return said.word && distro_word_parse(said.word, name, user);
}

/**
 * The one that is meant when nobody says, and its user, "" if that is not said: of the
 * command line, else of the host's volume. False: none.
 */
bool distro_default(char name[DISTRO_NAME_MAX + 1],
		    char user[DISTRO_USER_MAX + 1])
{
	char text[DISTRO_TEXT_MAX];
	int dir;

	if (from_command_line(name, user)) {
		return true;
	}
	dir = open(DISTRO_DIR, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) {
		return false;
	}
	(void)distro_read(dir, "default", text);
	close(dir);
	text[strcspn(text, "\n")] = '\0';
	return distro_word_parse(text, name, user);
}

/* A descriptor on its process 1, which is made if there is none; -1, and why. */
static int reach(const char *name, int wait_seconds, char *why, size_t size)
{
	for (int i = 0; i < BUSY_SECONDS * 1000000 / LOOK_US; i++) {
		pid_t init;
		int fd = distro_init_of(name, &init);

		if (fd >= 0) {
			distro_ready_wait(name, init, fd);
			return fd;
		}
		if (distro_start(name, wait_seconds, why, size) ==
		    DISTRO_FAILED) {
			return -1;
		}
		if (distro_changer(name) > 0) {
			snprintf(why, size, "it is being changed");
			return -1;
		}
		usleep(LOOK_US);
	}
	snprintf(why, size, "it does not come up");
	return -1;
}

/* Into its namespaces, if it comes up, and then its group: who is in the group of one
 * that ends is killed. One that has died since it was found is nobody's way, and the
 * next one is waited for. *parts are then for its users. False, and why. */
static bool go_in(const char *name, struct distro_place *place,
		  struct distro_config *config, int *parts, char *why,
		  size_t size)
{
	for (int i = 0; i < ENDED_TRIES; i++) {
		int fd = reach(name, 0, why, size), group, left;

		if (fd < 0) {
			return false;
		}
		if (distro_find(name, place) && place->fd >= 0) {
			close(place->fd);
		}
		distro_settings(name, place->form, config);
		group = distro_cgroup_open(name, DISTRO_SESSIONS);
		*parts = distro_cgroup_parts(name);
		left = setns(fd, CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS |
			     CLONE_NEWIPC | CLONE_NEWCGROUP) ? errno : 0;
		close(fd);
		if (left == 0 && (write(group, "0", 1) != 1 || *parts < 0 ||
				  chdir("/"))) {
			snprintf(why, size, "no way in: %m");
			left = -1;
		}
		if (group >= 0) {
			close(group);
		}
		if (left != ESRCH) {
			return left == 0;
		}
		if (*parts >= 0) {
			close(*parts);
		}
		usleep(LOOK_US);
	}
	snprintf(why, size, "each time it has ended");
	return false;
}

/**
 * Takes this process into the distribution, which is started if it does not run: to
 * its root, names and limits; its children are processes in there, it itself is none.
 * Not to be undone. False, and why: it may be half in.
 */
bool distro_enter(const char *name, struct distro_entry *entry)
{
	struct distro_config config = { .user = "root" };
	struct distro_place place;
	char why[100];

	if (!go_in(name, &place, &config, &entry->parts, why, sizeof(why))) {
		snprintf(entry->why, sizeof(entry->why), "distribution %.31s: %s",
			 name, why);
		return false;
	}
	distro_settings(NULL, place.form, &config);
	strcpy(entry->user, config.user);
	return true;
}

/** The one of the command line starts with Linux; why it does not, the log says. */
void distro_boot(void)
{
	char name[DISTRO_NAME_MAX + 1], user[DISTRO_USER_MAX + 1], why[100];

	if (!from_command_line(name, user)) {
		if (said.word) {
			init_log(WORD "%s: no name", said.word);
		}
	} else if (distro_start(name, DISK_SECONDS, why, sizeof(why)) ==
		   DISTRO_FAILED) {
		init_log("distribution %s: %s", name, why);
	}
}
