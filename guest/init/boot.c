/* SPDX-License-Identifier: MIT */
/*
 * What PID 1 sets up before the agent starts, and takes down at the end:
 * kernel file systems, modules, names, the host's share. Nothing here is
 * fatal: a part that is missing is reported and the rest goes on, so that
 * there is a shell to look from. Serves our kernel and a stock one alike.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init.h"

#define PATH_LEN	256
#define MAX_UNMOUNTS	128

struct mount_entry {
	const char *source;
	const char *target;
	const char *type;
	unsigned long flags;
	const char *options;
};

/* In the order they are mounted; the target is made if it is missing. No
 * set-user-ID programs and no device nodes but in /dev; /tmp and /dev/shm may
 * hold programs. */
static const struct mount_entry mounts[] = {
	{ "proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "" },
	{ "sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "" },
	{ "devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=0755" },
	{ "devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
	  "mode=0620,gid=5,ptmxmode=0666" },
	{ "tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777" },
	{ "tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755" },
	{ "tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777" },
	{ "cgroup2", "/sys/fs/cgroup", "cgroup2",
	  MS_NOSUID | MS_NODEV | MS_NOEXEC, "nsdelegate,memory_recursiveprot" },
	{ "debugfs", "/sys/kernel/debug", "debugfs",
	  MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700" },
};

/* Settings that are no boot options; a kernel may lack some. */
static const struct {
	const char *path, *value;
} settings[] = {
	/* Who is woken runs at once if he has had less than the one that runs,
	 * be it by a microsecond (the default is one millisecond). Between two
	 * processes that take turns this saves every second sleep: 1,400
	 * instructions of the 8,300 of a round trip through pipes. */
	{ "/sys/kernel/debug/sched/wakeup_granularity_ns", "0" },
	/* No look for memory to compact twice a second: it is compacted when
	 * somebody needs a large piece. */
	{ "/proc/sys/vm/compaction_proactiveness", "0" },
	/* No limit for real-time tasks, of which the driver's thread is one: time
	 * in which the machine stood still is time to the kernel that who ran
	 * just then has used, and beyond the limit all of these would rest for
	 * as long. */
	{ "/proc/sys/kernel/sched_rt_runtime_us", "-1" },
};

/* False, with a line in the log, if it cannot be done; already there is
 * done. */
static bool mount_one(const struct mount_entry *m)
{
	if (mkdir(m->target, 0755) && errno != EEXIST) {
		init_log("cannot make %s: %s", m->target, strerror(errno));
		return false;
	}
	if (mount(m->source, m->target, m->type, m->flags, m->options) &&
	    errno != EBUSY) {
		init_log("cannot mount %s on %s: %s", m->type, m->target,
			 strerror(errno));
		return false;
	}
	return true;
}

/* A command that the manifest could not hold is a file of the initramfs's. It gets a
 * name in /run, for other roots have that too. */
static void show_command(void)
{
	int fd;

	if (access(INIT_COMMAND_FILE, F_OK) != 0) {
		return;
	}
	(void)mkdir(INIT_RUN_DIR, 0755);
	fd = open(INIT_RUN_COMMAND, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd >= 0) {
		close(fd);
	}
	if (mount(INIT_COMMAND_FILE, INIT_RUN_COMMAND, NULL, MS_BIND, NULL)) {
		init_log("%s: %s", INIT_RUN_COMMAND, strerror(errno));
	}
}

/**
 * Mounts the kernel's file systems. Ones that are there already (a kernel that
 * mounts /dev itself) count as done; ones that the kernel lacks are reported
 * and left out.
 */
void boot_mount_all(void)
{
	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		mount_one(&mounts[i]);
	}
	show_command();
}

/**
 * Makes the settings above. A kernel that lacks one goes without: no report.
 */
void boot_tune(void)
{
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		int fd = open(settings[i].path, O_WRONLY | O_CLOEXEC);

		if (fd >= 0) {
			(void)!write(fd, settings[i].value,
				     strlen(settings[i].value));
			close(fd);
		}
	}
}

/* Loads one module; params as on a command line, may be empty. */
static void load_module(const char *path, const char *params)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	/* EEXIST: built in or loaded before. */
	if (fd < 0 ||
	    (syscall(SYS_finit_module, fd, params, 0) && errno != EEXIST)) {
		init_log("module %s: %s", path, strerror(errno));
	}
	if (fd >= 0) {
		close(fd);
	}
}

/**
 * Loads the kernel modules named in the file list, in its order: one a line,
 * the path, then its parameters if there are any; '#' starts a comment line. No
 * list, no modules: that is no error. A module that does not load is reported,
 * and the next is tried. The file is the initramfs's own.
 */
void boot_load_modules(const char *list)
{
	char line[PATH_LEN];
	FILE *f = fopen(list, "re");

	if (!f) {
		return;
	}
	while (fgets(line, sizeof(line), f)) {
		char *params;

		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '\0' || line[0] == '#') {
			continue;
		}
		params = line + strcspn(line, " ");
		if (*params) {
			*params++ = '\0';
		}
		load_module(line, params);
	}
	fclose(f);
}

/** Sets the host name from INIT_HOSTNAME_FILE, or to "linux". */
void boot_hostname(void)
{
	char name[65] = "linux";
	FILE *f = fopen(INIT_HOSTNAME_FILE, "re");

	if (f) {
		if (fgets(name, sizeof(name), f)) {
			name[strcspn(name, "\n")] = '\0';
		}
		fclose(f);
	}
	if (sethostname(name, strlen(name))) {
		init_log("host name: %s", strerror(errno));
	}
}

/** Brings the loopback network interface up: 127.0.0.1 is expected. */
void boot_loopback_up(void)
{
	struct ifreq ifr = { .ifr_flags = IFF_UP | IFF_RUNNING };
	/* Any socket will do to name an interface by. */
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (s < 0) {
		return;		/* a kernel without INET */
	}
	strcpy(ifr.ifr_name, "lo");
	if (ioctl(s, SIOCSIFFLAGS, &ifr)) {
		init_log("interface lo: %s", strerror(errno));
	}
	close(s);
}

/**
 * Mounts the host's files on INIT_HOST_DIR: FUSE over the channel, by the channel
 * driver. Waits up to 5 s for the channel; without the share Linux goes on: false,
 * with errno.
 */
bool boot_mount_host(void)
{
	static const struct mount_entry host = {
		"host", INIT_HOST_DIR, "isthmus", MS_NODEV | MS_NOSUID, ""
	};

	mkdir("/mnt", 0755);
	return mount_one(&host);
}

/* Reads the mount points in mount order. Returns how many; what is beyond
 * MAX_UNMOUNTS stays mounted, and the last sync() still covers it. */
static int read_mount_points(char points[][PATH_LEN])
{
	FILE *f = fopen("/proc/self/mounts", "re");
	int count = 0;

	if (!f) {
		return 0;
	}
	while (count < MAX_UNMOUNTS &&
	       fscanf(f, "%*s %255s %*[^\n]", points[count]) == 1) {
		count++;
	}
	fclose(f);
	return count;
}

/**
 * Writes everything back and unmounts, last mounted first. The kernel's own
 * file systems may stay busy; they have nothing to lose. What cannot be
 * unmounted is made read-only.
 */
void boot_unmount_all(void)
{
	static char points[MAX_UNMOUNTS][PATH_LEN];
	int count = read_mount_points(points);

	sync();
	for (int i = count - 1; i >= 0; i--) {
		if (umount2(points[i], 0)) {
			mount(NULL, points[i], NULL, MS_REMOUNT | MS_RDONLY,
			      NULL);
		}
	}
	sync();
}
