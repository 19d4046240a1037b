/* SPDX-License-Identifier: MIT */
/*
 * answers DIR: asks a file system everything that programs ask, also what it
 * must refuse, and prints each answer. What is right is what ext4 answers in
 * the same Linux: the test compares the two outputs. So nothing is printed
 * that two file systems may have different: inode numbers, sizes of folders,
 * times that nobody set.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>
#include <linux/falloc.h>
#include <linux/fs.h>

#define NOREPLACE	1u
#define EXCHANGE	2u
#define KEEP		FALLOC_FL_KEEP_SIZE
#define PUNCH		(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define ZERO		FALLOC_FL_ZERO_RANGE

#define ASK(call) ask(#call, (long)(call))

static char big[70000];

/* A call as it is written, its value or its error. */
static long ask(const char *text, long value)
{
	printf("%s: %ld%s%s\n", text, value, value < 0 ? " " : "",
	       value < 0 ? strerror(errno) : "");
	return value;
}

static int make(const char *name, const char *text)
{
	int f = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);

	if (f < 0 || write(f, text, strlen(text)) != (ssize_t)strlen(text)) {
		ask(name, -1);
		exit(1);
	}
	return f;
}

/* What of a file's status must be equal. */
static void show(const char *name)
{
	struct stat st;

	if (lstat(name, &st)) {
		printf("%s: %s\n", name, strerror(errno));
		return;
	}
	printf("%s: mode %o, owner %u:%u, %u links", name, st.st_mode,
	       st.st_uid, st.st_gid, S_ISDIR(st.st_mode) ? 0u :
	       (unsigned int)st.st_nlink);
	printf(S_ISREG(st.st_mode) ? ", %ld bytes\n" : "\n",
	       (long)st.st_size);
}

/* An FNV-1a sum of what is in a file and its size. */
static void show_sum(int f)
{
	uint64_t sum = 0xcbf29ce484222325;
	off_t size = lseek(f, 0, SEEK_END);

	for (off_t at = 0; at < size; ) {
		ssize_t n = pread(f, big, sizeof(big), at);

		for (ssize_t i = 0; i < n; i++) {
			sum = (sum ^ (unsigned char)big[i]) * 0x100000001b3;
		}
		if (n <= 0) {
			break;
		}
		at += n;
	}
	printf("  %ld bytes, sum %016lx\n", (long)size, (unsigned long)sum);
}

/* That, its blocks when it is on the disk, and where data and holes are. */
static void show_content(int f)
{
	struct stat st;

	show_sum(f);
	/* What is only in the cache may count as data or not. */
	fsync(f);
	posix_fadvise(f, 0, 0, POSIX_FADV_DONTNEED);
	fstat(f, &st);
	printf("  %ld blocks;", (long)st.st_blocks);
	for (off_t at = 0; (at = lseek(f, at, SEEK_DATA)) >= 0; ) {
		printf(" data at %ld", (long)at);
		at = lseek(f, at, SEEK_HOLE);
		printf(" to %ld", (long)at);
	}
	printf("\n");
}

/* Extended attributes: every error, all name spaces. */
static void attributes(void)
{
	char value[64];
	static char name[300] = "user.";
	int f = make("x", "x");

	memset(name + 5, 'n', 251);
	ASK(setxattr("x", "user.a", "1", 1, 0));
	ASK(setxattr("x", "user.a", "2", 1, XATTR_CREATE));
	ASK(setxattr("x", "user.no", "2", 1, XATTR_REPLACE));
	ASK(getxattr("x", "user.no", value, sizeof(value)));
	ASK(setxattr("x", "user.big", big, 10000, 0));
	ASK(getxattr("x", "user.big", NULL, 0));
	ASK(setxattr("x", "user.huge", big, 65537, 0));
	ASK(removexattr("x", "user.no"));
	ASK(fsetxattr(f, "user.empty", "", 0, 0));
	ASK(fgetxattr(f, "user.empty", value, sizeof(value)));
	ASK(setxattr("x", name, "long", 4, 0));
	name[260] = 'n';
	ASK(setxattr("x", name, "too long", 8, 0));
	ASK(setxattr("x", "user.", "no name", 7, 0));
	ASK(setxattr("x", "other.a", "1", 1, 0));
	ASK(setxattr("x", "trusted.a", "1", 1, 0));
	ASK(setxattr("x", "security.a", "1", 1, 0));
	ASK(getxattr("x", "security.a", value, sizeof(value)));
	ASK(setxattr("x", "user.four", "four", 4, 0));
	ASK(getxattr("x", "user.four", value, 3));
	ASK(listxattr("x", NULL, 0));
	ASK(listxattr("x", value, 3));
	ASK(symlink("x", "xl"));
	ASK(lsetxattr("xl", "user.a", "1", 1, 0));
	ASK(lsetxattr("xl", "trusted.a", "1", 1, 0));
	ASK(mkfifo("xf", 0600));
	ASK(setxattr("xf", "user.a", "1", 1, 0));
	ASK(removexattr("x", "user.a"));
	ASK(getxattr("x", "user.a", value, sizeof(value)));
	for (int i = 0; i < 100; i++) {
		snprintf(value, sizeof(value), "user.many%d", i);
		if (setxattr("x", value, big, 500, 0)) {
			ask("setxattr of one more", -1);
			break;
		}
	}
	ASK(getxattr("x", "user.many0", NULL, 0));
	ASK(close(f));
}

/* Times: the whole range, nanoseconds, what each call leaves alone. */
static void times(void)
{
	static const long seconds[] = {
		0, 1, 1700000000, -1, -86400, -2147483648L, 2147483648L,
		4294967296L, 10000000000L, 15032385535L, 15032385536L,
		-2147483649L, 100000000000L
	};
	int f = make("t", "t");
	struct stat st;

	for (unsigned int i = 0; i < sizeof(seconds) / sizeof(long); i++) {
		struct timespec set[2] = { { seconds[i], 123456789 },
					   { seconds[i], 999999999 } };

		ask("futimens", futimens(f, set));
		fstat(f, &st);
		printf("  %ld: %ld.%09ld %ld.%09ld\n", seconds[i],
		       (long)st.st_atim.tv_sec, st.st_atim.tv_nsec,
		       (long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	}
	ASK(futimens(f, (struct timespec[2]){ { 5, 6 }, { 7, UTIME_OMIT } }));
	ASK(futimens(f, (struct timespec[2]){ { 8, UTIME_OMIT }, { 9, 1 } }));
	ASK(fchmod(f, 0600));
	ASK(link("t", "t2"));
	ASK(futimens(f, (struct timespec[2]){ { 0, 1000000000 }, { 0, 0 } }));
	stat("t2", &st);
	printf("  %ld.%09ld %ld.%09ld\n", (long)st.st_atim.tv_sec,
	       st.st_atim.tv_nsec, (long)st.st_mtim.tv_sec,
	       st.st_mtim.tv_nsec);
	ASK(symlink("t", "tl"));
	ASK(utimensat(AT_FDCWD, "tl", (struct timespec[2]){ { 3, 4 }, { 5, 6 } },
		      AT_SYMLINK_NOFOLLOW));
	lstat("tl", &st);
	printf("  link %ld.%09ld\n", (long)st.st_mtim.tv_sec,
	       st.st_mtim.tv_nsec);
	close(f);
}

/* Times that nobody set are those of Linux's clock, to a tick or two. */
static void clocks(void)
{
	struct timespec before, after;
	struct stat st;
	int f;

	for (int i = 0; i < 20; i++) {
		char name[16];
		long long low, high, at;

		snprintf(name, sizeof(name), "now%d", i);
		clock_gettime(CLOCK_REALTIME, &before);
		f = make(name, i % 2 ? "text" : "");
		fstat(f, &st);
		clock_gettime(CLOCK_REALTIME, &after);
		close(f);
		low = before.tv_sec * 1000000000LL + before.tv_nsec;
		high = after.tv_sec * 1000000000LL + after.tv_nsec;
		at = st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec;
		if (at < low - 25000000 || at > high + 1000000) {
			printf("a file's time is %lld us before, %lld us "
			       "after the clock\n", (low - at) / 1000,
			       (at - high) / 1000);
		}
		unlink(name);
		usleep(3000);
	}
}

static void appending(void)
{
	char text[32] = "";
	int f = open("ap", O_RDWR | O_CREAT | O_APPEND, 0644);
	int g = open("ap", O_RDWR);

	ASK(write(f, "abcd", 4));
	ASK(fcntl(f, F_SETFL, 0));
	ASK(lseek(f, 0, SEEK_SET));
	ASK(write(f, "66", 2));
	ASK(pread(f, text, 8, 0));
	printf("  %s\n", text);
	ASK(fcntl(f, F_SETFL, O_APPEND));
	ASK(write(f, "end", 3));
	ASK(pwrite(f, "pw", 2, 0));
	ASK(write(g, "G", 1));
	ASK(write(f, "!", 1));
	ASK(lseek(f, 0, SEEK_CUR));
	memset(text, 0, sizeof(text));
	ASK(pread(g, text, 31, 0));
	printf("  %s\n", text);
	close(f);
	close(g);
}

static long rename2(const char *from, const char *to, unsigned int flags)
{
	return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

static void renames(void)
{
	close(make("ra", "a"));
	close(make("rb", "bb"));
	ASK(mkdir("rd", 0755));
	ASK(mkdir("rd/in", 0755));
	ASK(rename2("ra", "rb", NOREPLACE));
	ASK(rename2("ra", "free", NOREPLACE));
	ASK(rename2("free", "ra", 0));
	ASK(rename2("ra", "rb", EXCHANGE));
	show("ra");
	ASK(rename2("ra", "rd", EXCHANGE));
	show("ra");
	show("rd");
	ASK(rename2("ra", "ra/in", EXCHANGE));
	ASK(rename2("ra/in", "rb", EXCHANGE));
	show("ra/in");
	ASK(rename2("ra", "absent", EXCHANGE));
	ASK(rename2("absent", "ra", NOREPLACE));
	ASK(rename2("ra", "rb", NOREPLACE | EXCHANGE));
	ASK(rename2("ra", "ra/in/x", 0));
}

static void unnamed(void)
{
	char path[64];
	int f = open(".", O_TMPFILE | O_RDWR, 0640);

	ask("O_TMPFILE", f < 0 ? -1 : 0);
	ASK(write(f, "unnamed", 7));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", f);
	ask("linkat", linkat(AT_FDCWD, path, AT_FDCWD, "named",
			     AT_SYMLINK_FOLLOW));
	show("named");
	show_content(f);
	close(f);
	f = open(".", O_TMPFILE | O_RDWR | O_EXCL, 0600);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", f);
	ask("linkat of O_EXCL", linkat(AT_FDCWD, path, AT_FDCWD, "named2",
				       AT_SYMLINK_FOLLOW));
	close(f);
	ASK(open("named", O_TMPFILE | O_RDWR, 0600));
}

/* Room made and taken away; all data within blocks of 4 KiB. */
static void allocation(void)
{
	int f = make("fa", ""), g = make("fb", "");
	off_t from = 4096, to = 0;

	memset(big, 'f', 65536);
	ASK(fallocate(f, 0, 0, 65536));
	show_content(f);
	ASK(pwrite(f, big, 65536, 0));
	ASK(fallocate(f, PUNCH, 4096, 8192));
	show_content(f);
	ASK(fallocate(f, PUNCH, 20000, 5000));
	show_content(f);
	ASK(fallocate(f, KEEP, 65536, 65536));
	show_content(f);
	ASK(fallocate(f, ZERO, 30000, 10000));
	show_content(f);
	ASK(fallocate(f, ZERO | KEEP, 65536, 100));
	ASK(fallocate(f, 0, 100, 0));
	ASK(fallocate(f, 0, -1, 10));
	ASK(fallocate(f, FALLOC_FL_PUNCH_HOLE, 0, 10));
	ASK(ftruncate(f, 200000));
	ASK(pwrite(f, "end", 3, 300000));
	show_content(f);
	ASK(lseek(f, 400000, SEEK_DATA));
	ASK(lseek(f, 400000, SEEK_HOLE));
	ASK(copy_file_range(f, &from, g, &to, 40000, 0));
	ASK(copy_file_range(f, &from, g, &to, 40000, 0));
	from = 300001;
	ASK(copy_file_range(f, &from, g, &to, 40000, 0));
	ASK(copy_file_range(f, &from, g, &to, 40000, 0));
	from = 0;
	to = 100;
	ASK(copy_file_range(f, &from, f, &to, 1000, 0));
	/* A copy may have the holes of what it is of, or not. */
	show_sum(g);
	close(f);
	f = open("fa", O_RDONLY);
	ASK(fallocate(f, 0, 0, 10));
	close(f);
	close(g);
}

static void flags(void)
{
	int f = make("fl", "text"), value = 0, g;

	ASK(ioctl(f, FS_IOC_GETFLAGS, &value));
	printf("  %x\n", value & (FS_APPEND_FL | FS_IMMUTABLE_FL));
	/* What is not written yet is seen, and not lost. */
	ASK(pwrite(f, "more", 4, 100000));
	printf("  data at %ld, hole at %ld\n",
	       (long)lseek(f, 10000, SEEK_DATA), (long)lseek(f, 0, SEEK_HOLE));
	ASK(pwrite(f, "late", 4, 2));
	value |= FS_APPEND_FL;
	ASK(ioctl(f, FS_IOC_SETFLAGS, &value));
	ASK(fsync(f));
	ASK(open("fl", O_WRONLY));
	g = open("fl", O_WRONLY | O_APPEND);
	ask("open to append", g < 0 ? -1 : 0);
	close(g);
	ASK(unlink("fl"));
	ASK(truncate("fl", 0));
	ASK(utimensat(AT_FDCWD, "fl", NULL, 0));
	ASK(utimensat(AT_FDCWD, "fl", (struct timespec[2]){ { 3, 4 }, { 5, 6 } },
		      0));
	ASK(utimensat(AT_FDCWD, "fl",
		      (struct timespec[2]){ { 3, UTIME_OMIT }, { 5, 6 } }, 0));
	ASK(chmod("fl", 0600));
	ASK(chown("fl", 1, 1));
	value &= ~FS_APPEND_FL;
	ASK(ioctl(f, FS_IOC_SETFLAGS, &value));
	ASK(pwrite(f, "last", 4, 0));
	value |= FS_IMMUTABLE_FL;
	ASK(ioctl(f, FS_IOC_SETFLAGS, &value));
	ASK(fsync(f));
	show_content(f);
	ASK(open("fl", O_WRONLY | O_APPEND));
	ASK(chmod("fl", 0600));
	ASK(link("fl", "fl2"));
	ASK(rename("fl", "fl2"));
	ASK(setxattr("fl", "user.a", "1", 1, 0));
	value &= ~FS_IMMUTABLE_FL;
	ASK(ioctl(f, FS_IOC_SETFLAGS, &value));
	ASK(ioctl(f, FS_IOC_GETFLAGS, &value));
	printf("  %x\n", value & (FS_APPEND_FL | FS_IMMUTABLE_FL));
	ASK(unlink("fl"));
	close(f);
}

/* An ACL as the kernel takes it: version 2, entries of tag, rights and id. */
struct acl {
	uint32_t version;
	struct {
		uint16_t tag, perm;
		uint32_t id;
	} entry[5];
};

#define ACL(user, named, group, mask, other) \
	{ 2, { { 1, user, ~0u }, { 2, named, 1000 }, { 4, group, ~0u }, \
	       { 16, mask, ~0u }, { 32, other, ~0u } } }

static void show_acl(const char *name, const char *kind)
{
	struct acl acl;
	long n = ask(kind, getxattr(name, kind, &acl, sizeof(acl)));

	for (long i = 0; i < (n - 4) / 8; i++) {
		printf("  %u %u %d\n", acl.entry[i].tag, acl.entry[i].perm,
		       (int)acl.entry[i].id);
	}
	show(name);
}

/* Opens a file as another user: only the ACL can let it. */
static void open_as(unsigned int uid, const char *name, int how)
{
	int status = 0;

	fflush(stdout);
	if (fork() == 0) {
		_exit(setgid(uid) || setuid(uid) ? 99 :
		      open(name, how) >= 0 ? 0 : errno);
	}
	wait(&status);
	printf("opened by %u: %s\n", uid, strerror(WEXITSTATUS(status)));
}

static void acls(void)
{
	static const char access_acl[] = "system.posix_acl_access";
	static const char default_acl[] = "system.posix_acl_default";
	struct acl some = ACL(6, 6, 4, 6, 0), bad = some;
	struct acl inherited = ACL(7, 5, 5, 7, 0);

	close(make("ac", "text"));
	ASK(chown("ac", 500, 500));
	ASK(setxattr("ac", access_acl, &some, sizeof(some), 0));
	show_acl("ac", access_acl);
	open_as(1000, "ac", O_RDWR);
	open_as(1001, "ac", O_RDONLY);
	ASK(chmod("ac", 0640));
	show_acl("ac", access_acl);
	open_as(1000, "ac", O_RDWR);
	open_as(1000, "ac", O_RDONLY);
	bad.entry[4].tag = 16;
	ASK(setxattr("ac", access_acl, &bad, sizeof(bad), 0));
	ASK(setxattr("ac", default_acl, &some, sizeof(some), 0));
	ASK(mkdir("acd", 0755));
	ASK(setxattr("acd", default_acl, &inherited, sizeof(inherited), 0));
	umask(077);
	close(make("acd/file", "text"));
	ASK(mkdir("acd/dir", 0777));
	umask(022);
	show_acl("acd/file", access_acl);
	show_acl("acd/dir", access_acl);
	show_acl("acd/dir", default_acl);
	ASK(removexattr("acd", default_acl));
	ASK(removexattr("ac", access_acl));
	show_acl("ac", access_acl);
}

/* Rights that a change of the file takes away. */
static void privileges(void)
{
	static const char caps[20] = { 1, 0, 0, 2, 0, 4 };

	for (int i = 0; i < 4; i++) {
		int f = make("pr", "text");

		fchown(f, 1000, 1000);
		fchmod(f, 06777);
		ask("capability", setxattr("pr", "security.capability", caps,
					   sizeof(caps), 0));
		close(f);
		fflush(stdout);
		if (fork() == 0) {
			f = i ? 0 : setgid(1000) || setuid(1000);
			f = open("pr", O_RDWR | (i == 1 ? O_TRUNC : 0));
			f = i == 0 ? (int)write(f, "x", 1) :
			    i == 2 ? chown("pr", 1001, 1001) :
			    i == 3 ? truncate("pr", 1) : f;
			_exit(f < 0);
		}
		wait(NULL);
		show("pr");
		ask("capability", getxattr("pr", "security.capability", NULL,
					   0));
	}
}

/* Names that are not where one expects them. */
static void places(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = "so" };
	int s = socket(AF_UNIX, SOCK_STREAM, 0);
	int c = socket(AF_UNIX, SOCK_STREAM, 0);
	char path[300];
	struct stat st;

	ask("bind", bind(s, (struct sockaddr *)&at, sizeof(at)));
	ASK(listen(s, 1));
	ASK(link("so", "so2"));
	strcpy(at.sun_path, "so2");
	ask("connect", connect(c, (struct sockaddr *)&at, sizeof(at)));
	show("so2");
	close(s);
	close(c);
	memset(path, 'n', 256);
	path[256] = 0;
	ASK(open(path, O_CREAT, 0600));
	path[255] = 0;
	ASK(mkdir(path, 0700));
	ASK(rmdir(path));
	ASK(mknod("dev", S_IFCHR | 0600, 0x103));
	show("dev");
	ASK(mkdir("gone", 0755));
	ASK(chdir("gone"));
	ASK(rmdir("../gone"));
	ASK(stat(".", &st));
	printf("  %u links\n", (unsigned int)st.st_nlink);
	ASK(open("new", O_CREAT, 0600));
	ask("getcwd", getcwd(path, sizeof(path)) ? 0 : -1);
	ASK(chdir(".."));
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOFBF, 65536);
	umask(022);
	if (argc != 2 || mkdir(argv[1], 0755) || chdir(argv[1])) {
		perror("answers");
		return 1;
	}
	attributes();
	times();
	clocks();
	appending();
	renames();
	unnamed();
	allocation();
	flags();
	acls();
	privileges();
	places();
	printf("answers: done\n");
	return 0;
}
