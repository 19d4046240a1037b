/* SPDX-License-Identifier: MIT */
/*
 * fileops DIR: does every file operation once in DIR and checks what POSIX
 * promises of it. Prints the first thing that is wrong, or "all passed".
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

#define NAMES 10000

#define CHECK(truth) check((truth), #truth, __LINE__)

static void check(int truth, const char *text, int line)
{
	if (!truth) {
		printf("fileops: line %d: %s (errno %d, %s)\n", line, text,
		       errno, strerror(errno));
		exit(1);
	}
}

static void put(const char *name, const char *text)
{
	int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0644);

	CHECK(fd >= 0);
	CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	CHECK(close(fd) == 0);
}

static int holds(const char *name, const char *text)
{
	char got[256];
	int fd = open(name, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, got, sizeof(got));

	close(fd);
	return n == (ssize_t)strlen(text) && memcmp(got, text, (size_t)n) == 0;
}

static struct stat status(const char *name)
{
	struct stat st;

	CHECK(lstat(name, &st) == 0);
	return st;
}

static void contents(void)
{
	int fd = open("new", O_CREAT | O_EXCL | O_RDWR, 0640);
	char two[2];

	CHECK(fd >= 0);
	CHECK(open("new", O_CREAT | O_EXCL | O_RDWR, 0640) < 0 &&
	      errno == EEXIST);
	CHECK(pwrite(fd, "0123456789", 10, 0) == 10);
	CHECK(pread(fd, two, 2, 4) == 2 && memcmp(two, "45", 2) == 0);
	CHECK(ftruncate(fd, 4) == 0);
	CHECK(lseek(fd, 0, SEEK_END) == 4);
	CHECK(pwrite(fd, "x", 1, 100000) == 1);
	CHECK(status("new").st_size == 100001);
	CHECK(pread(fd, two, 2, 50000) == 2 && two[0] == 0 && two[1] == 0);
	CHECK(fsync(fd) == 0);
	CHECK(close(fd) == 0);
	CHECK(truncate("new", 3) == 0);
	CHECK(holds("new", "012"));
	fd = open("new", O_WRONLY | O_APPEND);
	CHECK(fd >= 0 && write(fd, "end", 3) == 3 && close(fd) == 0);
	CHECK(holds("new", "012end"));
	CHECK((status("new").st_mode & 07777) == 0640);
	CHECK(open("absent", O_RDONLY) < 0 && errno == ENOENT);
	CHECK(open("new/below", O_RDONLY) < 0 && errno == ENOTDIR);
}

static void names(void)
{
	char target[64];
	struct stat st;

	put("a", "A");
	put("b", "B");
	CHECK(rename("a", "b") == 0);
	CHECK(holds("b", "A") && access("a", F_OK) < 0);
	CHECK(link("b", "c") == 0);
	CHECK(status("b").st_nlink == 2);
	CHECK(status("b").st_ino == status("c").st_ino);
	CHECK(unlink("b") == 0 && holds("c", "A"));
	CHECK(status("c").st_nlink == 1);
	CHECK(symlink("c", "s") == 0);
	CHECK(readlink("s", target, sizeof(target)) == 1 && target[0] == 'c');
	CHECK(holds("s", "A") && S_ISLNK(status("s").st_mode));
	CHECK(mkdir("d", 0755) == 0 && mkdir("d/e", 0700) == 0);
	CHECK(mkdir("d", 0755) < 0 && errno == EEXIST);
	CHECK(rename("c", "d/e/c") == 0 && holds("d/e/c", "A"));
	CHECK(rmdir("d/e") < 0 && errno == ENOTEMPTY);
	CHECK(rename("d", "d/e/d") < 0 && errno == EINVAL);
	CHECK(rename("d/e", "f") == 0 && holds("f/c", "A"));
	CHECK(unlink("f") < 0 && (errno == EISDIR || errno == EPERM));
	CHECK(rmdir("f/c") < 0 && errno == ENOTDIR);
	CHECK(unlink("f/c") == 0 && rmdir("f") == 0 && rmdir("d") == 0);
	CHECK(unlink("s") == 0 && lstat("s", &st) < 0);
	CHECK(mkfifo("p", 0600) == 0 && S_ISFIFO(status("p").st_mode));
	CHECK(unlink("p") == 0);
}

/* A file that is gone by name lives on while it is open. */
static void open_unlinked(void)
{
	char text[4];
	int fd = open("ghost", O_CREAT | O_RDWR, 0600);

	CHECK(fd >= 0 && unlink("ghost") == 0);
	CHECK(write(fd, "boo", 3) == 3);
	CHECK(pread(fd, text, 3, 0) == 3 && memcmp(text, "boo", 3) == 0);
	CHECK(close(fd) == 0 && access("ghost", F_OK) < 0);
}

static void attributes(void)
{
	struct timespec times[2] = { { 1600000000, 0 }, { 1500000000, 0 } };
	struct statvfs fs;
	struct stat st;

	put("m", "m");
	CHECK(chmod("m", 0751) == 0);
	CHECK((status("m").st_mode & 07777) == 0751);
	CHECK(chown("m", 12, 34) == 0);
	st = status("m");
	CHECK(st.st_uid == 12 && st.st_gid == 34);
	CHECK(utimensat(AT_FDCWD, "m", times, 0) == 0);
	st = status("m");
	CHECK(st.st_atime == 1600000000 && st.st_mtime == 1500000000);
	CHECK(statvfs(".", &fs) == 0);
	CHECK(fs.f_bsize > 0 && fs.f_blocks > 0 && fs.f_bfree < fs.f_blocks);
	CHECK(fs.f_namemax == 255);
	CHECK(unlink("m") == 0);
}

/* What setxattr says is what has happened. */
static void extended_attributes(void)
{
	static char big[10000];
	char value[16];

	put("x", "x");
	CHECK(setxattr("x", "user.k", "v", 1, 0) == 0);
	CHECK(setxattr("x", "user.k", "w", 1, XATTR_CREATE) < 0);
	CHECK(errno == EEXIST);
	CHECK(getxattr("x", "user.k", value, sizeof(value)) == 1);
	CHECK(value[0] == 'v');
	CHECK(setxattr("x", "user.no", "v", 1, XATTR_REPLACE) < 0);
	CHECK(errno == ENODATA);
	CHECK(setxattr("x", "user.big", big, sizeof(big), 0) < 0);
	CHECK(errno == ENOSPC);
	CHECK(getxattr("x", "user.big", NULL, 0) < 0 && errno == ENODATA);
	CHECK(removexattr("x", "user.no") < 0 && errno == ENODATA);
	CHECK(removexattr("x", "user.k") == 0);
	CHECK(getxattr("x", "user.k", NULL, 0) < 0 && errno == ENODATA);
	CHECK(unlink("x") == 0);
}

/* A lock held by another process is seen, and waited for. */
static void locks(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int ready[2], fd = open("l", O_CREAT | O_RDWR, 0644);
	pid_t child;
	char c;

	CHECK(fd >= 0 && pipe(ready) == 0);
	child = fork();
	if (child == 0) {
		CHECK(fcntl(fd, F_SETLKW, &lock) == 0);
		CHECK(write(ready[1], "x", 1) == 1);
		usleep(200000);
		_exit(0);
	}
	CHECK(read(ready[0], &c, 1) == 1);
	CHECK(fcntl(fd, F_SETLK, &lock) < 0 &&
	      (errno == EAGAIN || errno == EACCES));
	CHECK(fcntl(fd, F_SETLKW, &lock) == 0);
	CHECK(waitpid(child, NULL, 0) == child);
	/* The other kind does not see it. */
	CHECK(flock(fd, LOCK_EX) == 0 && flock(fd, LOCK_UN) == 0);
	lock.l_type = F_UNLCK;
	CHECK(fcntl(fd, F_SETLK, &lock) == 0);
	CHECK(close(fd) == 0 && unlink("l") == 0);
}

static void mapping(void)
{
	static char data[3 * 4096 + 100];
	int fd = open("map", O_CREAT | O_RDWR, 0644);
	char *seen;

	for (size_t i = 0; i < sizeof(data); i++) {
		data[i] = (char)(i * 7 + i / 251);
	}
	CHECK(fd >= 0);
	CHECK(write(fd, data, sizeof(data)) == (ssize_t)sizeof(data));
	seen = mmap(NULL, sizeof(data), PROT_READ, MAP_PRIVATE, fd, 0);
	CHECK(seen != MAP_FAILED);
	CHECK(memcmp(seen, data, sizeof(data)) == 0);
	CHECK(munmap(seen, sizeof(data)) == 0 && close(fd) == 0);
	CHECK(unlink("map") == 0);
}

/* Each name once in a listing, none twice, none foreign. */
static void listing(void)
{
	static unsigned char seen[NAMES];
	struct dirent *entry;
	char name[32];
	int count = 0;
	DIR *dir;

	CHECK(mkdir("many", 0755) == 0 && chdir("many") == 0);
	for (int i = 0; i < NAMES; i++) {
		snprintf(name, sizeof(name), "name-%05d", i);
		CHECK(mknod(name, S_IFREG | 0644, 0) == 0);
	}
	dir = opendir(".");
	CHECK(dir != NULL);
	while ((entry = readdir(dir)) != NULL) {
		int i = -1;

		if (entry->d_name[0] == '.') {
			continue;
		}
		CHECK(sscanf(entry->d_name, "name-%d", &i) == 1);
		CHECK(i >= 0 && i < NAMES && !seen[i]);
		seen[i] = 1;
		count++;
	}
	CHECK(count == NAMES && closedir(dir) == 0);
	for (int i = 0; i < NAMES; i++) {
		snprintf(name, sizeof(name), "name-%05d", i);
		CHECK(unlink(name) == 0);
	}
	CHECK(chdir("..") == 0 && rmdir("many") == 0);
}

static void limits(void)
{
	char name[300];

	memset(name, 'n', sizeof(name));
	name[255] = '\0';
	put(name, "long");
	CHECK(holds(name, "long") && unlink(name) == 0);
	memset(name, 'n', 256);
	name[256] = '\0';
	CHECK(open(name, O_CREAT | O_WRONLY, 0644) < 0 &&
	      errno == ENAMETOOLONG);
	put("gr\xc3\xbc\xc3\x9f" "e \n'\"", "odd");
	CHECK(unlink("gr\xc3\xbc\xc3\x9f" "e \n'\"") == 0);
}

int main(int argc, char **argv)
{
	umask(0);
	CHECK(argc == 2 && chdir(argv[1]) == 0);
	contents();
	names();
	open_unlinked();
	attributes();
	extended_attributes();
	locks();
	mapping();
	limits();
	listing();
	printf("fileops: all passed\n");
	return 0;
}
