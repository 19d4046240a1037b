/* SPDX-License-Identifier: MIT */
/*
 * Runs in Linux, in a folder of the file system under test: does what programs
 * do with files and compares. Says OK or what went wrong, and exits so.
 *
 *     fs_check FOLDER
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define NAMES	10000
#define FILE_MAX	400000

#define NEED(condition) need((condition), #condition, __LINE__)

static void need(int condition, const char *text, int line)
{
	if (!condition) {
		fprintf(stderr, "fs_check: line %d: %s (errno %s)\n", line,
			text, strerror(errno));
		exit(1);
	}
}

/* Random reads, writes, truncations and mappings against a copy. */
static void check_io(void)
{
	static unsigned char model[FILE_MAX], buf[FILE_MAX];
	off_t size = 0;
	int fd = open("io", O_RDWR | O_CREAT | O_TRUNC, 0644);

	NEED(fd >= 0);
	srand(7);
	for (int i = 0; i < 600; i++) {
		off_t at = rand() % FILE_MAX;
		size_t len = (size_t)(rand() % (i % 3 ? 5000 : 150000)) + 1;
		struct stat st;

		len = len > (size_t)(FILE_MAX - at) ? (size_t)(FILE_MAX - at)
						    : len;
		switch (rand() % 5) {
		case 0:
			NEED(ftruncate(fd, at) == 0);
			if (at < size) {
				memset(model + at, 0, (size_t)(size - at));
			}
			size = at;
			break;
		case 1: case 2:
			for (size_t n = 0; n < len; n++) {
				model[(size_t)at + n] = (unsigned char)rand();
			}
			NEED(pwrite(fd, model + at, len, at) == (ssize_t)len);
			size = at + (off_t)len > size ? at + (off_t)len : size;
			break;
		default: {
			ssize_t want = at >= size ? 0
				: (off_t)len < size - at ? (ssize_t)len
				: (ssize_t)(size - at);

			NEED(pread(fd, buf, len, at) == want);
			NEED(memcmp(buf, model + at, (size_t)want) == 0);
		}
		}
		NEED(fstat(fd, &st) == 0 && st.st_size == size);
	}
	NEED(ftruncate(fd, 200001) == 0);
	NEED(close(fd) == 0);
}

/* What a mapping shows is what was written. */
static void check_mmap(void)
{
	unsigned char *map, buf[100000];
	int fd = open("mmap", O_RDWR | O_CREAT | O_TRUNC, 0644);

	for (size_t i = 0; i < sizeof(buf); i++) {
		buf[i] = (unsigned char)(i * 7 >> 4);
	}
	NEED(write(fd, buf, sizeof(buf)) == sizeof(buf));
	map = mmap(NULL, sizeof(buf), PROT_READ, MAP_PRIVATE, fd, 0);
	NEED(map != MAP_FAILED);
	NEED(memcmp(map, buf, sizeof(buf)) == 0);
	NEED(munmap(map, sizeof(buf)) == 0 && close(fd) == 0);
	NEED(unlink("mmap") == 0);
}

static void check_append(void)
{
	char buf[16] = "";
	int a = open("append", O_WRONLY | O_CREAT | O_APPEND, 0644);
	int b = open("append", O_RDWR | O_APPEND);

	NEED(a >= 0 && b >= 0);
	NEED(write(a, "one", 3) == 3 && write(b, "two", 3) == 3);
	NEED(write(a, "three", 5) == 5);
	NEED(pread(b, buf, sizeof(buf), 0) == 11);
	NEED(strcmp(buf, "onetwothree") == 0);
	NEED(close(a) == 0 && close(b) == 0 && unlink("append") == 0);
}

static void check_names(void)
{
	static char seen[NAMES];
	char name[32];
	struct dirent *entry;
	DIR *dir;
	int n = 0, number;

	NEED(mkdir("many", 0755) == 0 && chdir("many") == 0);
	for (int i = 0; i < NAMES; i++) {
		snprintf(name, sizeof(name), "name-%d", i);
		NEED(mknod(name, S_IFREG | 0600, 0) == 0);
	}
	dir = opendir(".");
	NEED(dir != NULL);
	while ((entry = readdir(dir)) != NULL) {
		if (sscanf(entry->d_name, "name-%d", &number) == 1) {
			NEED(!seen[number]++);
			n++;
			if (number % 3 == 0) {
				NEED(unlink(entry->d_name) == 0);
			}
		}
	}
	NEED(n == NAMES && closedir(dir) == 0);
	for (int i = 0; i < NAMES; i++) {
		snprintf(name, sizeof(name), "name-%d", i);
		NEED(i % 3 == 0 || unlink(name) == 0);
	}
	NEED(chdir("..") == 0 && rmdir("many") == 0);
}

/* Names moved about, over each other, and into directories. */
static void check_rename(void)
{
	struct stat a, b;
	int fd = open("r0", O_RDWR | O_CREAT, 0644);

	NEED(fd >= 0 && write(fd, "x", 1) == 1);
	NEED(mkdir("d1", 0755) == 0 && mkdir("d1/d2", 0755) == 0);
	for (int i = 0; i < 300; i++) {
		const char *from = i % 2 ? "d1/d2/r1" : "r0";
		const char *to = i % 2 ? "r0" : "d1/d2/r1";

		NEED(rename(from, to) == 0);
		NEED(stat(to, &a) == 0 && access(from, F_OK) != 0);
		NEED(fstat(fd, &b) == 0 && a.st_ino == b.st_ino);
	}
	NEED(rename("d1", "d1/d2/d3") != 0 && errno == EINVAL);
	NEED(mkdir("d4", 0755) == 0 && rename("d4", "d1") != 0);
	NEED(errno == ENOTEMPTY || errno == EEXIST);
	NEED(rename("d1/d2", "d4") == 0);
	NEED(stat("d4/..", &a) == 0 && stat(".", &b) == 0);
	NEED(a.st_ino == b.st_ino);
	NEED(rmdir("d4") == 0 && rmdir("d1") == 0);
	NEED(link("r0", "r2") == 0 && fstat(fd, &a) == 0 && a.st_nlink == 2);
	NEED(rename("r0", "r2") == 0);
	NEED(unlink("r0") == 0 && unlink("r2") == 0);
	/* Open and without a name, it still works. */
	NEED(pwrite(fd, "yz", 2, 1) == 2 && fstat(fd, &a) == 0);
	NEED(a.st_size == 3 && close(fd) == 0);
}

static void check_attributes(void)
{
	/* Whole seconds after 1970: v9fs cuts others in its own kernel. */
	struct timespec times[2] = { { 1000, 0 }, { 5, 0 } };
	char buf[5000], text[600];
	struct statvfs vfs;
	struct stat st;
	int fd = open("attr", O_RDWR | O_CREAT | O_TRUNC, 0600);

	NEED(fd >= 0 && fchmod(fd, 04751) == 0);
	NEED(chown("attr", 1234, 99999) == 0);
	NEED(chmod("attr", 02640) == 0);
	NEED(futimens(fd, times) == 0 && fstat(fd, &st) == 0);
	NEED((st.st_mode & 07777) == 02640 && st.st_uid == 1234);
	NEED(st.st_gid == 99999 && st.st_atim.tv_sec == 1000);
	NEED(st.st_mtim.tv_sec == 5);
	memset(text, 'p', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	NEED(symlink(text, "link") == 0);
	NEED(readlink("link", buf, sizeof(buf)) == sizeof(text) - 1);
	NEED(unlink("link") == 0);
	NEED(mkfifo("fifo", 0600) == 0 && stat("fifo", &st) == 0);
	NEED(S_ISFIFO(st.st_mode) && unlink("fifo") == 0);
	NEED(statvfs(".", &vfs) == 0 && vfs.f_bsize == 4096);
	NEED(vfs.f_bfree > 0 && vfs.f_bfree < vfs.f_blocks);
	NEED(setxattr("attr", "user.test", "value", 5, 0) == 0);
	NEED(getxattr("attr", "user.test", buf, sizeof(buf)) == 5);
	NEED(listxattr("attr", buf, sizeof(buf)) == 10);
	NEED(removexattr("attr", "user.test") == 0);
	NEED(getxattr("attr", "user.test", buf, 9) < 0 && errno == ENODATA);
	NEED(fsync(fd) == 0 && close(fd) == 0 && unlink("attr") == 0);
}

static void check_locks(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_start = 10, .l_len = 10 };
	int fd = open("lock", O_RDWR | O_CREAT, 0644), status;
	pid_t pid;

	NEED(fcntl(fd, F_SETLK, &lock) == 0);
	pid = fork();
	if (pid == 0) {
		int other = open("lock", O_RDWR);
		int blocked = fcntl(other, F_SETLK, &lock) != 0;

		lock.l_start = 20;
		_exit(blocked && fcntl(other, F_SETLK, &lock) == 0 ? 0 : 1);
	}
	NEED(waitpid(pid, &status, 0) == pid && status == 0);
	NEED(flock(fd, LOCK_UN) == 0 && close(fd) == 0 && unlink("lock") == 0);
}

static void check_errors(void)
{
	char name[300];

	memset(name, 'n', sizeof(name));
	name[256] = '\0';
	NEED(mkdir(name, 0755) != 0 && errno == ENAMETOOLONG);
	name[255] = '\0';
	NEED(mkdir(name, 0755) == 0 && mkdir(name, 0755) != 0);
	NEED(errno == EEXIST && rmdir(name) == 0 && rmdir(name) != 0);
	NEED(errno == ENOENT && unlink("io/x") != 0 && errno == ENOTDIR);
	NEED(open("io", O_CREAT | O_EXCL | O_RDWR, 0600) < 0);
	NEED(errno == EEXIST && open(".", O_RDWR) < 0 && errno == EISDIR);
}

int main(int argc, char **argv)
{
	NEED(argc == 2 && chdir(argv[1]) == 0);
	umask(0);
	check_io();
	check_mmap();
	check_append();
	check_rename();
	check_attributes();
	check_locks();
	check_errors();
	check_names();
	puts("fs_check: OK");
	return 0;
}
