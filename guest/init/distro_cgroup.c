/* SPDX-License-Identifier: MIT */
/*
 * The control group of a distribution, distro-NAME: it has limits that are ours, and
 * controllers that are the distribution's to give on. With cgroup2's `nsdelegate`
 * nobody whose namespace begins there can change the limits, or go elsewhere.
 * [Linux "Documentation/admin-guide/cgroup-v2.rst", "Delegation"]
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "distro.h"

#define TOP		"/sys/fs/cgroup"
#define PATH_LEN	512
#define TRIES		20		/* to remove it */
#define TRY_US		100000
#define KILL_AT		10		/* of these tries */
#define USER_SHARE	3		/* of what all may have: a third */

/* The first ones are for its users' parts, too. */
static const char *const controllers[] = {
	"+cpu", "+pids", "+cpuset", "+io", "+memory",
};
#define ALL		(sizeof(controllers) / sizeof(*controllers))
#define FOR_USERS	2

static bool put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 &&
		    write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0) {
		close(fd);
	}
	return done;
}

/* One by one: a kernel may lack some. */
static void give_on(const char *folder, size_t count)
{
	char path[PATH_LEN];

	snprintf(path, sizeof(path), "%s/cgroup.subtree_control", folder);
	for (size_t i = 0; i < count; i++) {
		(void)put(path, controllers[i]);
	}
}

static void folder_of(const char *name, const char *part, char to[PATH_LEN])
{
	snprintf(to, PATH_LEN, TOP "/distro-%.31s/%s", name, part);
}

static void limit(const char *name, const char *file, uint64_t value)
{
	char path[PATH_LEN], text[24];

	folder_of(name, file, path);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	if (!put(path, text)) {
		init_log("distribution %s: no %s: %s", name, file,
			 strerror(errno));
	}
}

/* The number in a file, or 0. */
static uint64_t number_in(const char *path)
{
	unsigned long long n = 0;
	FILE *f = fopen(path, "re");

	if (f) {
		if (fscanf(f, "%llu", &n) != 1) {
			n = 0;
		}
		fclose(f);
	}
	return n;
}

/* Half of what processes there can be. */
static uint64_t pids(void)
{
	uint64_t threads = number_in("/proc/sys/kernel/threads-max");
	uint64_t numbers = number_in("/proc/sys/kernel/pid_max");

	return (threads < numbers ? threads : numbers) / 2;
}

/** Makes the group, with its limits. What does not go is said. */
void distro_cgroup_make(const char *name)
{
	struct sysinfo info;
	char path[PATH_LEN];

	give_on(TOP, ALL);
	folder_of(name, "", path);
	if (mkdir(path, 0755) && errno != EEXIST) {
		init_log("distribution %s: no control group: %s", name,
			 strerror(errno));
		return;
	}
	limit(name, "pids.max", pids());
	if (sysinfo(&info) == 0) {
		limit(name, "memory.max",
		      distro_memory_max((uint64_t)info.totalram *
					info.mem_unit));
	}
}

/** A part of the group, made if it is missing, "" is the group itself: a process that
 * writes "0" here goes into it, whatever it can see by then. -1 with errno. */
int distro_cgroup_open(const char *name, const char *part)
{
	char path[PATH_LEN];

	folder_of(name, part, path);
	mkdir(path, 0755);
	strncat(path, "/cgroup.procs", sizeof(path) - strlen(path) - 1);
	return open(path, O_WRONLY | O_CLOEXEC);
}

/** This process goes into a part of the group. */
void distro_cgroup_enter(const char *name, const char *part)
{
	int fd = distro_cgroup_open(name, part);

	(void)!write(fd, "0", 1);
	if (fd >= 0) {
		close(fd);
	}
}

/**
 * The distribution may divide what it has; no process is in the group itself. Its init
 * may also take from the parts what it has no use for, as systemd does with the
 * processor, for which all processes would then compete one by one: not what the
 * parts of its users have.
 */
void distro_cgroup_delegate(const char *name)
{
	char path[PATH_LEN];

	folder_of(name, "", path);
	give_on(path, ALL);
	folder_of(name, DISTRO_ENTERED, path);
	mkdir(path, 0755);
	give_on(path, FOR_USERS);
}

/** A descriptor for distro_cgroup_user(), also when this process is in its root, or -1. */
int distro_cgroup_parts(const char *name)
{
	char path[PATH_LEN];

	folder_of(name, DISTRO_ENTERED, path);
	return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static void limit_user(int parts, const char *file)
{
	char text[24] = "";
	int from = openat(parts, "../pids.max", O_RDONLY | O_CLOEXEC);
	int to = openat(parts, file, O_WRONLY | O_CLOEXEC);
	unsigned long long all;

	if (read(from, text, sizeof(text) - 1) > 0 &&
	    sscanf(text, "%llu", &all) == 1) {
		dprintf(to, "%llu", all / USER_SHARE);
	}
	if (from >= 0) {
		close(from);
	}
	if (to >= 0) {
		close(to);
	}
}

/**
 * This process goes into the part of a user, made if it is missing, which may have but
 * a share of the distribution's processes: services and other users have theirs. It is
 * let in however many there are. 0 or an errno value.
 */
int distro_cgroup_user(int parts, uint32_t uid)
{
	char part[12], file[32];
	int fd, error;

	snprintf(part, sizeof(part), "%u", uid);
	if (mkdirat(parts, part, 0755) == 0) {
		snprintf(file, sizeof(file), "%s/pids.max", part);
		limit_user(parts, file);
	}
	snprintf(file, sizeof(file), "%s/cgroup.procs", part);
	fd = openat(parts, file, O_WRONLY | O_CLOEXEC);
	error = write(fd, "0", 1) == 1 ? 0 : errno;
	if (fd >= 0) {
		close(fd);
	}
	return error;
}

static void each_in(const char *part, void (*take)(pid_t pid))
{
	char path[PATH_LEN + 16];
	FILE *f;
	int pid;

	snprintf(path, sizeof(path), "%s/cgroup.procs", part);
	f = fopen(path, "re");
	while (f && fscanf(f, "%d", &pid) == 1) {
		if (pid > 0) {
			take(pid);
		}
	}
	if (f) {
		fclose(f);
	}
}

/** Has take() see the processes that were entered from outside. */
void distro_cgroup_each(const char *name, void (*take)(pid_t pid))
{
	char path[PATH_LEN], part[PATH_LEN];
	struct dirent *entry;
	DIR *dir;

	folder_of(name, DISTRO_ENTERED, path);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.' &&
		    snprintf(part, sizeof(part), "%s/%s", path,
			     entry->d_name) < (int)sizeof(part)) {
			each_in(part, take);
		}
	}
	if (dir) {
		closedir(dir);
	}
}

/** Kills all in a part. */
void distro_cgroup_kill(const char *name, const char *part)
{
	char path[PATH_LEN];

	folder_of(name, part, path);
	strncat(path, "/cgroup.kill", sizeof(path) - strlen(path) - 1);
	(void)put(path, "1");
}

/* Removes the groups below, and then this one; false if a process is left. */
static bool remove_groups(const char *path, int depth)
{
	DIR *dir = depth < 32 ? opendir(path) : NULL;
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		char below[PATH_LEN];

		if (entry->d_type == DT_DIR && entry->d_name[0] != '.' &&
		    snprintf(below, sizeof(below), "%s/%s", path,
			     entry->d_name) < (int)sizeof(below)) {
			(void)remove_groups(below, depth + 1);
		}
	}
	if (dir) {
		closedir(dir);
	}
	return rmdir(path) == 0 || errno == ENOENT;
}

/**
 * Its processes have ended, or will: after a second who is left is killed. Then the
 * group goes.
 */
void distro_cgroup_end(const char *name)
{
	char path[PATH_LEN];

	folder_of(name, "", path);
	for (int i = 0; i < TRIES; i++) {
		if (remove_groups(path, 0)) {
			return;
		}
		if (i == KILL_AT) {
			distro_cgroup_kill(name, "");
		}
		usleep(TRY_US);
	}
	init_log("distribution %s: its control group stays: %s", name,
		 strerror(errno));
}
