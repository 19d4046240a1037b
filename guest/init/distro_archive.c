/* SPDX-License-Identifier: MIT */
/*
 * Distributions from tar archives and into them, by the GNU tar of the archive for
 * distributions. It runs with the distribution's root as its root, so that nothing of
 * an archive leads out of there, and where no device can be opened.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "distro.h"
#include "distro_tree.h"

#define SIZE_MIB	8192u
#define MAGIC_MAX	6u

extern char **environ;

/* A program that another's bytes go through; both read and write their standard
 * streams. */
struct packer {
	const char *program, *end;	/* of an archive's name */
	size_t length;
	char magic[MAGIC_MAX];
};

static const struct packer packers[] = {
	{ "gzip", ".gz", 2, "\x1f\x8b" },
	{ "bzip2", ".bz2", 3, "BZh" },
	{ "xz", NULL, 6, { '\xfd', '7', 'z', 'X', 'Z', 0 } },
};

static const char zstd[] = { '\x28', '\xb5', '\x2f', '\xfd' };

/* busybox' own cannot keep what a root has. -1, said: GNU tar is not there. */
static int open_tar(const char *name)
{
	static const char *const places[] = { "/bin/tar", "/usr/bin/tar" };

	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		int fd = open(places[i], O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

		if (fd >= 0) {
			return fd;
		}
	}
	errno = 0;
	distro_change_failed(name, "GNU tar is not there: it is in "
			     "initrd-distro.cpio, behind the initramfs "
			     "(`isthmus boot` with --distro)");
	return -1;
}

static pid_t run_packer(const char *program, const char *option, int in, int out)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(in, STDIN_FILENO);
		dup2(out, STDOUT_FILENO);
		execlp(program, program, option, (char *)NULL);
		fprintf(stderr, "distro: %s: %s\n", program, strerror(errno));
		_exit(127);
	}
	return pid;
}

static pid_t run_tar(int tar, int root, int in, int out, char *const *argv)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (fchdir(root) == 0 && chroot(".") == 0 && chdir("/") == 0) {
			dup2(in, STDIN_FILENO);
			dup2(out, STDOUT_FILENO);
			fexecve(tar, argv, environ);
		}
		fprintf(stderr, "distro: tar: %s\n", strerror(errno));
		_exit(127);
	}
	return pid;
}

static bool ended_well(pid_t pid)
{
	int status;

	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

/* tar and, if there is one, a packer at its outer end. False: said, mostly. */
static bool run_both(int tar, int root, char *const *argv,
		     const struct packer *packer, int archive, bool extract)
{
	int pipes[2] = { -1, -1 };
	pid_t one, other = 0;

	if (!packer) {
		return ended_well(run_tar(tar, root, extract ? archive : 0,
					  extract ? 1 : archive, argv));
	}
	if (pipe2(pipes, O_CLOEXEC)) {
		return false;
	}
	if (extract) {
		other = run_packer(packer->program, "-dc", archive, pipes[1]);
		one = run_tar(tar, root, pipes[0], 1, argv);
	} else {
		other = run_packer(packer->program, "-c", pipes[0], archive);
		one = run_tar(tar, root, 0, pipes[1], argv);
	}
	close(pipes[0]);
	close(pipes[1]);
	/* Both are waited for. */
	return (int)ended_well(one) & (int)ended_well(other);
}

/* How the archive is packed. False, said: in a way that nothing here reads. */
static bool packed(const char *path, int fd, const struct packer **packer)
{
	char begin[MAGIC_MAX] = "";

	*packer = NULL;
	(void)!pread(fd, begin, sizeof(begin), 0);
	for (size_t i = 0; i < sizeof(packers) / sizeof(*packers); i++) {
		if (memcmp(begin, packers[i].magic, packers[i].length) == 0) {
			*packer = &packers[i];
		}
	}
	errno = 0;
	if (memcmp(begin, zstd, sizeof(zstd)) == 0) {
		distro_change_failed(path, "nothing here reads zstd: the build "
				     "machine's `isthmus distro import` does");
		return false;
	}
	return true;
}

static int open_archive(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st)) {
		distro_change_failed(path, "it cannot be read");
		return -1;
	}
	errno = 0;
	if (S_ISDIR(st.st_mode)) {
		distro_change_failed(path, "folders with OCI images are for the "
				     "build machine's `isthmus distro import`");
		return -1;
	}
	if (!S_ISREG(st.st_mode)) {
		distro_change_failed(path, "it is no archive");
		return -1;
	}
	return fd;
}

static bool has_root(int root)
{
	struct stat st;

	return fstatat(root, "bin", &st, AT_SYMLINK_NOFOLLOW) == 0 ||
	       fstatat(root, "usr", &st, AT_SYMLINK_NOFOLLOW) == 0 ||
	       fstatat(root, "sbin", &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool unpack(const char *name, int folder, int root, int tar, int archive,
		   const struct packer *packer)
{
	static char *const argv[] = {
		"tar", "-xpf", "-", "--same-owner", "--numeric-owner", "--acls",
		"--xattrs", "--xattrs-include=*", "--delay-directory-restore",
		"--warning=no-timestamp", NULL
	};

	errno = 0;
	if (!run_both(tar, root, argv, packer, archive, true)) {
		distro_change_failed(name, "the archive cannot be unpacked");
		return false;
	}
	if (!has_root(root)) {
		errno = 0;
		distro_change_failed(name, "there is no root file system in it");
		return false;
	}
	if (!distro_change_config(folder, root)) {
		distro_change_failed(name, "its settings");
		return false;
	}
	return true;
}

/* The form is made in the folder and filled. */
static bool fill(const struct distro_words *words, int folder, int tar, int archive,
		 const struct packer *packer)
{
	struct distro_place place = { .form = DISTRO_IMAGE, .fd = -1 };
	const char *name = words->word[1];
	bool files = strcmp(words->to, "files") == 0, done;
	int root;

	if (files) {
		(void)mkdirat(folder, "root", 0755);
		root = distro_tree_folder(folder, "root");
	} else {
		root = -1;
		if (distro_mount_format(folder, "disk.img", name, words->size ?
					words->size : SIZE_MIB, 0)) {
			place.fd = distro_open(folder, "disk.img", O_RDWR);
			root = distro_mount_open(name, &place, "to", true);
		}
	}
	if (root < 0) {
		distro_change_failed(name, "its root cannot be made");
		return false;
	}
	done = unpack(name, folder, root, tar, archive, packer);
	if (files) {
		done = syncfs(root) == 0 && done;
		close(root);
	} else {
		done = distro_mount_close(name, "to", root) &&
		       fsync(place.fd) == 0 && done;
	}
	return done && fsync(folder) == 0;
}

/* Makes it beside all others, in a folder that gets its name when it is whole. */
static int import_into(const struct distro_words *words, int dir, int tar, int archive,
		       const struct packer *packer)
{
	const char *name = words->word[1];
	char new[DISTRO_NAME_MAX + 16];
	int folder = -1;

	snprintf(new, sizeof(new), ".import-%.31s", name);
	if (!distro_tree_clear(dir, new) || mkdirat(dir, new, 0755) ||
	    (folder = distro_tree_folder(dir, new)) < 0 ||
	    !distro_mount_apart()) {
		return distro_change_failed(name, "its folder cannot be made");
	}
	if (!fill(words, folder, tar, archive, packer)) {
		(void)distro_tree_clear(dir, new);
		return 1;
	}
	if (renameat(dir, new, dir, name) || fsync(dir)) {
		return distro_change_failed(name, "its folder cannot get its name");
	}
	return 0;
}

/** Makes a distribution of an archive. */
int distro_archive_import(const struct distro_words *words)
{
	const char *name = words->word[1];
	const struct packer *packer;
	int archive = open_archive(words->word[0]), tar, dir;
	struct stat st;

	if (archive < 0 || !packed(words->word[0], archive, &packer)) {
		return 1;
	}
	errno = 0;
	if (!distro_name_ok(name)) {
		return distro_change_failed(name, "no name for a distribution");
	}
	tar = open_tar(name);
	if (tar < 0) {
		return 1;
	}
	mkdir(DISTRO_DIR, 0755);
	dir = open(DISTRO_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) {
		return distro_change_failed(name, DISTRO_DIR);
	}
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ||
	    !distro_lock_change(name)) {
		errno = 0;
		return distro_change_failed(name, "it is there already");
	}
	return import_into(words, dir, tar, archive, packer);
}

static bool pack(int root, int tar, int archive, const struct packer *packer)
{
	static char *const argv[] = {
		"tar", "-cf", "-", "--format=posix", "--numeric-owner", "--acls",
		"--xattrs", "--xattrs-include=*", "--sparse",
		"--pax-option=delete=atime,delete=ctime",
		"--exclude=./lost+found", "-C", "/", ".", NULL
	};

	return run_both(tar, root, argv, packer, archive, false) &&
	       fsync(archive) == 0;
}

/* The packer that the archive's name asks for. */
static const struct packer *packer_of(const char *path)
{
	for (size_t i = 0; i < sizeof(packers) / sizeof(*packers); i++) {
		const char *end = packers[i].end;

		if (end && strlen(path) > strlen(end) &&
		    strcmp(path + strlen(path) - strlen(end), end) == 0) {
			return &packers[i];
		}
	}
	return NULL;
}

/** Writes all of it into an archive, which has its name when it is whole. */
int distro_archive_export(const struct distro_words *words)
{
	const char *name = words->word[0], *path = words->word[1];
	struct distro_place place;
	char part[PATH_MAX];
	int folder, root, tar, archive;

	if (!distro_change_begin(name, &place, &folder)) {
		return 1;
	}
	tar = open_tar(name);
	if (tar < 0) {
		return 1;
	}
	root = distro_mount_open(name, &place, "from", false);
	if (root < 0) {
		return distro_change_failed(name, "its root cannot be read");
	}
	snprintf(part, sizeof(part), "%s.part", path);
	archive = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (archive < 0) {
		return distro_change_failed(path, "it cannot be written");
	}
	errno = 0;
	if (!pack(root, tar, archive, packer_of(path)) || rename(part, path)) {
		distro_change_failed(path, "it cannot be written");
		(void)unlink(part);
		return 1;
	}
	return 0;
}
