/* SPDX-License-Identifier: MIT */
/*
 * making DIR: opens with O_CREAT what is there and what is not, of each kind, once
 * where Linux has never heard of the names and once where it knows them. As
 * answers.c it prints what must be the same on every file system.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/fs.h>

#define ROOT	0u
#define OWNER	1000u
#define OTHER	2000u

static bool forget;		/* names, before each call */

/* Linux forgets all names and files that nobody uses. */
static void drop_caches(void)
{
	int f = open("/proc/sys/vm/drop_caches", O_WRONLY);

	sync();
	if (f < 0 || write(f, "3", 1) != 1) {
		perror("drop_caches");
	}
	close(f);
}

static void make(const char *name, mode_t mode)
{
	int f = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (f < 0 || write(f, "before", 6) != 6 || fchown(f, OWNER, OWNER) ||
	    fchmod(f, mode)) {
		perror(name);
	}
	close(f);
}

/* Opens as a user, writes if it can, and shows what is there then. */
static void try(unsigned int uid, const char *name, int how)
{
	struct stat st = { 0 };
	int status = 0, f;

	if (forget) {
		drop_caches();
	}
	fflush(stdout);
	if (fork() == 0) {
		if (setgid(uid) || setuid(uid)) {
			_exit(99);
		}
		f = open(name, how, 0640);
		if (f >= 0 && (how & O_ACCMODE) && write(f, "new", 3) < 0) {
			f = -1;
		}
		_exit(f >= 0 ? 0 : errno);
	}
	wait(&status);
	printf("%u, %.20s, %o: %s", uid, name, (unsigned int)how,
	       strerror(WEXITSTATUS(status)));
	if (stat(name, &st) == 0) {
		printf("; %o, %u", st.st_mode, st.st_uid);
		if (S_ISREG(st.st_mode)) {
			printf(", %ld bytes", (long)st.st_size);
		}
	}
	printf("\n");
}

static void each_kind(void)
{
	const int write_it = O_CREAT | O_WRONLY;
	char text[300];

	make("file", 0644);
	try(ROOT, "file", O_CREAT | O_RDONLY);
	try(ROOT, "file", write_it | O_APPEND);
	try(ROOT, "file", write_it | O_EXCL);
	try(ROOT, "file", write_it | O_TRUNC | O_NOFOLLOW);
	try(ROOT, "absent", write_it);
	try(ROOT, "absent", write_it | O_EXCL);
	mkdir("dir", 0755);
	try(ROOT, "dir", O_CREAT | O_RDONLY);
	try(ROOT, "dir", write_it | O_EXCL);
	try(ROOT, "dir/absent", write_it | O_EXCL | O_TRUNC);
	mkfifo("fifo", 0666);
	try(ROOT, "fifo", O_CREAT | O_RDWR);
	symlink("file", "link");
	symlink("none", "loose");
	try(ROOT, "link", write_it);
	try(ROOT, "link", write_it | O_NOFOLLOW);
	try(ROOT, "link", write_it | O_EXCL);
	try(ROOT, "loose", write_it | O_EXCL);
	try(ROOT, "loose", write_it | O_NOFOLLOW);
	try(ROOT, "loose", write_it);
	memset(text, 'n', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	try(ROOT, text, write_it);
	text[255] = '\0';
	try(ROOT, text, write_it);
	unlink(text);
}

/* Who may not make may perhaps open, and the other way round. */
static void rights(void)
{
	int protect = open("/proc/sys/fs/protected_regular", O_WRONLY);

	mkdir("all", 0777);
	chmod("all", 0777);
	make("all/mine", 0600);
	make("all/ours", 0666);
	make("all/seen", 0444);
	try(OTHER, "all/mine", O_CREAT | O_RDWR);
	try(OTHER, "all/ours", O_CREAT | O_RDWR);
	try(OTHER, "all/seen", O_CREAT | O_RDWR);
	try(OTHER, "all/seen", O_CREAT | O_RDONLY | O_TRUNC);
	try(OTHER, "all/seen", O_CREAT | O_RDONLY);
	try(OTHER, "all/made", O_CREAT | O_RDWR);
	try(OWNER, "all/made", O_CREAT | O_RDWR);
	/* Where all may write, and each only removes what is his. */
	if (protect < 0 || write(protect, "1", 1) != 1) {
		perror("protected_regular");
	}
	close(protect);
	chmod("all", 01777);
	try(OTHER, "all/ours", O_CREAT | O_RDWR);
	try(OTHER, "all/ours", O_RDWR);
	try(OWNER, "all/ours", O_CREAT | O_RDWR);
	make("ours", 0666);
	try(OTHER, "ours", O_CREAT | O_RDWR);
	try(OTHER, "absent too", O_CREAT | O_RDWR);
}

static void set_immutable(const char *name, bool set)
{
	int f = open(name, O_RDONLY), flags = 0;

	ioctl(f, FS_IOC_GETFLAGS, &flags);
	flags = set ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
	if (ioctl(f, FS_IOC_SETFLAGS, &flags)) {
		perror("FS_IOC_SETFLAGS");
	}
	close(f);
}

/* A directory that takes no name has its files all the same. */
static void immutable(void)
{
	mkdir("fixed", 0755);
	make("fixed/file", 0666);
	set_immutable("fixed", true);
	try(ROOT, "fixed/file", O_CREAT | O_WRONLY);
	try(ROOT, "fixed/file", O_CREAT | O_WRONLY | O_EXCL);
	try(ROOT, "fixed/absent", O_CREAT | O_WRONLY);
	set_immutable("fixed", false);
}

int main(int argc, char **argv)
{
	umask(022);
	if (argc != 2 || mkdir(argv[1], 0755) || chdir(argv[1])) {
		perror("making");
		return 1;
	}
	for (int i = 0; i < 2; i++) {
		const char *folder = i == 0 ? "unknown" : "known";

		forget = i == 0;
		if (mkdir(folder, 0755) || chdir(folder)) {
			perror(folder);
			return 1;
		}
		each_kind();
		rights();
		immutable();
		if (chdir("..")) {
			return 1;
		}
	}
	printf("making: done\n");
	return 0;
}
