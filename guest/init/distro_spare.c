/* SPDX-License-Identifier: MIT */
/*
 * Where memory is short Linux kills the largest process, never its own process 1. In a
 * distribution full of small ones the largest is its init, with whose end all ends; so
 * that one is taken late.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "distro.h"

/* Of a thousandth part of all memory each, less. Not -1000: where nobody else is left
 * it may be killed. What it starts would have the same; systemd is told otherwise.
 * [proc(5), systemd-system.conf(5)] */
#define LATE		"-900"
#define FOLDER		"/run/systemd/system.conf.d"
#define SETTINGS	"[Manager]\nDefaultOOMScoreAdjust=0\n"

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	if (fd >= 0) {
		(void)!write(fd, text, strlen(text));
		close(fd);
	}
}

/** This process, which becomes the init, in its own root, is killed late. */
void distro_spare(void)
{
	mkdir("/run/systemd", 0755);
	mkdir(FOLDER, 0755);
	put(FOLDER "/50-isthmus.conf", SETTINGS);
	put("/proc/self/oom_score_adj", LATE);
}
