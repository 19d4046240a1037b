/* SPDX-License-Identifier: MIT */
/*
 * The names of the network in a distribution: what our own root has in /etc/hosts and
 * /etc/resolv.conf, which net_names.c keeps right. Lines of ours in hosts are marked,
 * and the others are the distribution's; resolv.conf is ours while it begins with
 * our words, or there is none, or a link to nothing.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "distro.h"

#define HOSTS		"/etc/hosts"
#define RESOLV		"/etc/resolv.conf"
#define MARK		"# By Isthmus, which writes it anew unless this line goes.\n"

static char hosts[DISTRO_TEXT_MAX], resolv[DISTRO_TEXT_MAX];

/* What the file says; "" if it says nothing, or too much. */
static void read_text(const char *path, char text[DISTRO_TEXT_MAX])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd < 0 ? 0 : read(fd, text, DISTRO_TEXT_MAX);

	text[n > 0 && n < (ssize_t)DISTRO_TEXT_MAX ? n : 0] = '\0';
	if (fd >= 0) {
		close(fd);
	}
}

/* A file, or what a link leads to, has that text. */
static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC |
		      O_NONBLOCK, 0644);

	if (fd >= 0) {
		(void)!write(fd, text, strlen(text));
		close(fd);
	}
}

/** Takes up what our own root says: to be called there. */
void distro_names_read(void)
{
	read_text(HOSTS, hosts);
	read_text(RESOLV, resolv);
	if (!hosts[0]) {
		strcpy(hosts, "127.0.0.1 localhost\n::1 localhost\n");
	}
}

static bool dangles(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISLNK(st.st_mode) &&
	       stat(path, &st) && errno == ENOENT;
}

/** Has the distribution's files say so: to be called in its root. */
void distro_names_write(void)
{
	char old[DISTRO_TEXT_MAX], new[DISTRO_TEXT_MAX], ours[DISTRO_TEXT_MAX];
	char self[65] = "";

	gethostname(self, sizeof(self) - 1);
	if (snprintf(ours, sizeof(ours), "%s127.0.1.1 %s\n", hosts, self) >=
	    (int)sizeof(ours)) {
		return;
	}
	read_text(HOSTS, old);
	if (distro_hosts_text(old, ours, new, sizeof(new)) &&
	    strcmp(old, new) != 0) {
		write_text(HOSTS, new);
	}
	if (dangles(RESOLV)) {
		unlink(RESOLV);
	}
	read_text(RESOLV, old);
	if (resolv[0] && (!old[0] || cmdline_after(old, MARK)) &&
	    snprintf(new, sizeof(new), "%s%s", MARK, resolv) <
	    (int)sizeof(new) && strcmp(old, new) != 0) {
		write_text(RESOLV, new);
	}
}

/* In a process of its own: that distribution's files. */
static void write_there(const char *name)
{
	pid_t init;
	int fd = distro_init_of(name, &init);

	if (fd >= 0 && setns(fd, CLONE_NEWNS | CLONE_NEWUTS) == 0) {
		distro_names_write();
	}
}

/** The network has changed: whatever distribution runs learns of it. */
void distro_names_all(void)
{
	DIR *dir = opendir(DISTRO_RUN);
	struct dirent *entry;

	/* Most Linuxes never had one. */
	if (!dir) {
		return;
	}
	distro_names_read();
	while ((entry = readdir(dir))) {
		pid_t pid = distro_name_ok(entry->d_name) ? fork() : -1;

		if (pid == 0) {
			write_there(entry->d_name);
			_exit(0);
		}
		if (pid > 0) {
			waitpid(pid, NULL, 0);
		}
	}
	closedir(dir);
}
