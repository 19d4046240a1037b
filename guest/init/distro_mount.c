/* SPDX-License-Identifier: MIT */
/*
 * A distribution's root is mounted; and a new image is made for one. Who only looks at
 * a root, or fills it, is in a mount namespace of its own first: what it has mounted
 * goes with it, whatever ends it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/loop.h>

#include "distro.h"

#define TRIES		16	/* to get a loop device */
#define FREE_TRIES	100	/* until nobody has an image mounted */
#define FREE_US		100000

/* A device for the image, which goes when nobody has it open or mounted; its path. A
 * descriptor on it; -1 with errno. */
static int loop_device(int image, char *path, size_t size)
{
	const struct loop_config config = {
		.fd = (uint32_t)image,
		.info = { .lo_flags = LO_FLAGS_AUTOCLEAR },
	};
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), fd = -1;

	/* Another may be faster with the one that is free. */
	for (int i = 0; i < TRIES && control >= 0 && fd < 0; i++) {
		int number = ioctl(control, LOOP_CTL_GET_FREE);

		snprintf(path, size, "/dev/loop%d", number);
		fd = number < 0 ? -1 : open(path, O_RDWR | O_CLOEXEC);
		if (fd >= 0 && ioctl(fd, LOOP_CONFIGURE, &config)) {
			int error = errno;

			close(fd);
			fd = -1;
			errno = error;
			if (error != EBUSY) {
				break;
			}
		}
	}
	if (control >= 0) {
		close(control);
	}
	return fd;
}

/* Waits until nobody has the image mounted, and has it, as long as the descriptor, or
 * a loop device of it, is open: who had it may be dead and its mount still ending.
 * False with errno. */
static bool take_image(int image)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	for (int i = 0; fcntl(image, F_OFD_SETLK, &whole); i++) {
		if (i == FREE_TRIES || (errno != EAGAIN && errno != EACCES)) {
			return false;
		}
		usleep(FREE_US);
	}
	return true;
}

static bool mount_image(int image, const char *where, unsigned long flags)
{
	char path[40];
	int fd = take_image(image) ? loop_device(image, path, sizeof(path)) : -1;
	bool done = fd >= 0 && mount(path, where, "ext4", flags, "") == 0;
	int error = errno;

	if (fd >= 0) {
		close(fd);
	}
	errno = error;
	return done;
}

/** Mounts the root at that place on a folder. False with errno. */
bool distro_mount(const struct distro_place *place, const char *where,
		  unsigned long flags)
{
	char path[64];

	switch (place->form) {
	case DISTRO_FILES:
		snprintf(path, sizeof(path), "/proc/self/fd/%d", place->fd);
		/* The host's files have no set-user-ID programs and no devices
		 * elsewhere; this is a root. */
		return mount(path, where, NULL, MS_BIND, NULL) == 0 &&
		       mount(NULL, where, NULL, MS_REMOUNT | MS_BIND | flags,
			     NULL) == 0;
	case DISTRO_IMAGE:
		return mount_image(place->fd, where, flags);
	default:
		snprintf(path, sizeof(path), "/dev/%s", place->device);
		return mount(path, where, "ext4", flags, "") == 0;
	}
}

/** This process has a mount namespace of its own. False with errno. */
bool distro_mount_apart(void)
{
	return unshare(CLONE_NEWNS) == 0 &&
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static void point_of(const char *name, const char *point, char path[80])
{
	snprintf(path, 80, DISTRO_RUN "/%.31s/%.8s", name, point);
}

/**
 * Opens the root at that place as a folder, to read or to fill it: nothing in it can
 * be run or is a device. Its times of access stay. The distribution is locked, and the
 * process apart. -1 with errno; to be closed by distro_mount_close().
 */
int distro_mount_open(const char *name, const struct distro_place *place,
		      const char *point, bool write)
{
	unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME |
			      MS_NODIRATIME | (write ? 0 : MS_RDONLY);
	char path[80];

	point_of(name, point, path);
	mkdir(path, 0700);
	if (!distro_mount(place, path, flags)) {
		return -1;
	}
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/** With that, all that was written is where the root is. False with errno. */
bool distro_mount_close(const char *name, const char *point, int root)
{
	bool synced = syncfs(root) == 0;
	char path[80];

	point_of(name, point, path);
	close(root);
	return umount2(path, 0) == 0 && synced;
}

/* In a child: mke2fs, of the archive for distributions, on an open file. */
static void run_mke2fs(int image, const char *label, uint64_t inodes)
{
	char count[24], name[17];

	snprintf(count, sizeof(count), "%llu", (unsigned long long)inodes);
	snprintf(name, sizeof(name), "%s", label);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* What is there is zero, and takes no room as long as it stays so. */
	dup2(image, STDIN_FILENO);
	execlp("mke2fs", "mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-I",
	       "256", "-m", "1", "-L", name, "-N", count, "-O",
	       "^metadata_csum_seed,^orphan_file", "-E",
	       "nodiscard,lazy_itable_init=1,lazy_journal_init=1,"
	       "assume_storage_prezeroed=1", "/proc/self/fd/0", (char *)NULL);
	fprintf(stderr, "distro: mke2fs: %s\n", strerror(errno));
	_exit(127);
}

/**
 * Makes the image `file` in a folder, with an empty ext4 of that size. It has its name
 * when it is whole. False: said on stderr, or with errno.
 */
bool distro_mount_format(int folder, const char *file, const char *label,
			 uint64_t mib, uint64_t files)
{
	uint64_t inodes = mib * 64 > 2 * files ? mib * 64 : 2 * files;
	char part[32];
	int fd, status = -1;
	pid_t pid;

	snprintf(part, sizeof(part), "%.24s.part", file);
	if (unlinkat(folder, part, 0) && errno != ENOENT) {
		return false;
	}
	fd = openat(folder, part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)(mib << 20))) {
		return false;
	}
	pid = fork();
	if (pid == 0) {
		run_mke2fs(fd, label, inodes);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0 ||
	    fsync(fd)) {
		fprintf(stderr, "distro: mke2fs has failed; busybox' own is not "
			"enough, that of e2fsprogs is in initrd-distro.cpio, "
			"behind the initramfs (`isthmus boot --distro`)\n");
		close(fd);
		errno = EIO;
		return false;
	}
	close(fd);
	return renameat(folder, part, folder, file) == 0;
}
