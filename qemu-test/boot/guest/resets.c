/* SPDX-License-Identifier: MIT */
/*
 * resets: what programs have of files while the channel is reset. Commands:
 *   make N OVER  resets the channel N times as soon as it is up again, or some
 *                milliseconds later, and says how many met requests; then it
 *                makes the file OVER
 *   crash N OVER, of SEED   the same, by host-bridge's end, wherever it is then:
 *                qemu-test/mutants/restart.c
 *   hold DIR OVER   has files open, locked, mapped and without a name until
 *                OVER is there, and looks all the time whether they are what
 *                they were
 *   disk DEVICE OVER   writes past the cache and reads back until then
 *   once DIR OVER   four processes that do until then what shows when it is
 *                done twice or not at all
 * Prints the first thing that is wrong, or what was done.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include <linux/fs.h>

#define PORT_STATE	0xc010	/* abi/channel.h: CHANNEL_IO_STATE */
#define STATE_DOWN	0
#define PORT_LOST	0x60d	/* the mutant's: host-bridge's end */
#define PORT_FAULT	0x60e
#define WORKERS		4
#define PAGE		4096
#define TURNS		3	/* at least */

#define CHECK(truth) check((truth), #truth, __LINE__)

static void check(int truth, const char *text, int line)
{
	if (!truth) {
		printf("resets: line %d: %s (errno %d, %s)\n", line, text,
		       errno, strerror(errno));
		exit(1);
	}
}

static void pause_us(unsigned int us)
{
	struct timespec t = { us / 1000000, us % 1000000 * 1000 };

	nanosleep(&t, NULL);
}

static uint32_t x = 2463534242u;

static unsigned int pick(unsigned int count)
{
	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return x % count;
}

/* ---- make ---- */

/* What the driver says of a channel that went down and came up. Returns the
 * number of requests that had been sent. */
static unsigned int until_up(int kmsg)
{
	char text[2048];
	unsigned int waiting = 0;

	for (;;) {
		ssize_t n = read(kmsg, text, sizeof(text) - 1);
		char *found;

		CHECK(n > 0 || errno == EPIPE);		/* overwritten */
		text[n > 0 ? n : 0] = '\0';
		found = strstr(text, "channel down: ");
		if (found && (found = strchr(found, ';')) != NULL) {
			waiting = (unsigned int)atoi(found + 1);
		}
		if (strstr(text, "channel up, ")) {
			return waiting;
		}
	}
}

static void end_host(void)
{
	outb((unsigned char)pick(256), pick(4) != 0 ? PORT_FAULT : PORT_LOST);
}

static void make(unsigned int wanted, const char *over, int ends)
{
	unsigned int met = 0, waiting, again = 0;
	int kmsg = open("/dev/kmsg", O_RDONLY);

	CHECK(kmsg >= 0 && lseek(kmsg, 0, SEEK_END) == 0);
	CHECK(iopl(3) == 0);
	for (unsigned int i = 0; i < wanted; i++) {
		if (ends) {
			end_host();
		} else {
			outl(STATE_DOWN, PORT_STATE);
		}
		waiting = until_up(kmsg);
		met += waiting != 0;
		again += waiting;
		/* In the middle of the new connection, or of what is done
		 * when it is there. */
		if (pick(4) != 0) {
			pause_us(pick(200000));
		}
	}
	printf("resets: %u, in the middle of requests: %u, of %u in all\n",
	       wanted, met, again);
	CHECK(creat(over, 0600) >= 0);
}

/* ---- hold ---- */

static int held_open(const char *name, int flags)
{
	int fd = open(name, flags | O_CREAT | O_RDWR, 0600);

	CHECK(fd >= 0);
	return fd;
}

/* Another process cannot have the lock, of either kind, as long as we have. */
static void is_locked(const char *name)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int status;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		int fd = open(name, O_RDWR);

		CHECK(fd >= 0);
		CHECK(flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK);
		CHECK(fcntl(fd, F_SETLK, &lock) < 0 &&
		      (errno == EAGAIN || errno == EACCES));
		exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

/* A process that waits for the lock gets it when we let go, not before. */
static pid_t wait_for_lock(const char *name)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		int fd = open(name, O_RDWR);

		CHECK(fd >= 0 && flock(fd, LOCK_EX) == 0);
		exit(0);
	}
	return pid;
}

static void hold(const char *over)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int nameless = held_open("nameless", 0), other = held_open("locked", 0);
	int shared = held_open("mapped", 0), status;
	uint64_t turns = 0, value;
	struct stat st;
	char *map;
	pid_t waiter;

	CHECK(unlink("nameless") == 0);
	CHECK(flock(other, LOCK_EX) == 0);
	CHECK(fcntl(other, F_SETLK, &lock) == 0);
	waiter = wait_for_lock("locked");
	CHECK(ftruncate(shared, 8 * PAGE) == 0);
	map = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, shared,
		   0);
	CHECK(map != MAP_FAILED);
	while (access(over, F_OK) != 0 || turns < TURNS) {
		CHECK(pwrite(nameless, &turns, sizeof(turns),
			     turns % 512 * 8) == sizeof(turns));
		CHECK(pread(nameless, &value, sizeof(value),
			    turns % 512 * 8) == sizeof(value));
		CHECK(value == turns);
		CHECK(fstat(nameless, &st) == 0 && st.st_nlink == 0);
		is_locked("locked");
		memcpy(map + turns % 8 * PAGE, &turns, sizeof(turns));
		CHECK(msync(map, 8 * PAGE, MS_SYNC) == 0);
		/* Past the cache: what the host has. */
		CHECK(pread(shared, &value, sizeof(value),
			    (off_t)(turns % 8 * PAGE)) == sizeof(value));
		CHECK(value == turns);
		CHECK(waitpid(waiter, &status, WNOHANG) == 0);
		turns++;
		pause_us(1000);
	}
	CHECK(posix_fadvise(nameless, 0, 0, POSIX_FADV_DONTNEED) == 0);
	CHECK(fstat(nameless, &st) == 0 &&
	      st.st_size == (off_t)(turns < 512 ? turns : 512) * 8);
	CHECK(flock(other, LOCK_UN) == 0);
	CHECK(waitpid(waiter, &status, 0) == waiter && status == 0);
	printf("resets: held for %llu turns\n", (unsigned long long)turns);
}

/* ---- disk ---- */

#define BLOCKS	512u

/* Blocks in a row that a seeded choice picks, each with its number and that of the
 * write; all of them are looked at now and then. */
static void disk(const char *device, const char *over)
{
	static uint64_t written[BLOCKS];
	int fd = open(device, O_RDWR | O_DIRECT);
	unsigned int turns = 0, n, i;
	uint64_t *block;

	CHECK(fd >= 0);
	CHECK(posix_memalign((void **)&block, PAGE, PAGE) == 0);
	for (; access(over, F_OK) != 0 || turns < TURNS; turns++) {
		n = pick(BLOCKS);
		for (i = 0; i < PAGE / 8; i++) {
			block[i] = (uint64_t)turns << 32 | n;
		}
		CHECK(pwrite(fd, block, PAGE, (off_t)n * PAGE) == PAGE);
		written[n] = block[0];
		n = pick(BLOCKS);
		if (written[n] != 0) {
			CHECK(pread(fd, block, PAGE, (off_t)n * PAGE) == PAGE);
			CHECK(block[0] == written[n] &&
			      block[PAGE / 8 - 1] == written[n]);
		}
	}
	for (n = 0; n < BLOCKS; n++) {
		CHECK(pread(fd, block, PAGE, (off_t)n * PAGE) == PAGE);
		CHECK(written[n] == 0 || (block[0] == written[n] &&
		      block[PAGE / 8 - 1] == written[n]));
	}
	printf("resets: disk right, %u turns\n", turns);
}

/* ---- once ---- */

static void put(const char *name, const char *text)
{
	int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0644);

	CHECK(fd >= 0);
	CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	CHECK(close(fd) == 0);
}

static int rename_so(const char *from, const char *to, unsigned int flags)
{
	return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

static char first_of(const char *name)
{
	int fd = open(name, O_RDONLY);
	char c;

	CHECK(fd >= 0 && read(fd, &c, 1) == 1 && close(fd) == 0);
	return c;
}

/* One round, in a directory of our own: all of it fails when it is done twice,
 * and the next thing when it is not done. */
static void round_of(unsigned int n)
{
	static const char *const pair = "ab";
	char name[32], value[16];
	struct stat st;
	int fd;

	snprintf(name, sizeof(name), "f%u", n);
	put(name, name);
	CHECK(mkdir("d", 0755) == 0);
	CHECK(link(name, "d/l") == 0);
	CHECK(stat(name, &st) == 0 && st.st_nlink == 2 &&
	      st.st_size == (off_t)strlen(name));
	CHECK(symlink(name, "s") == 0);
	CHECK(rename_so("a", "b", RENAME_EXCHANGE) == 0);
	CHECK(first_of("a") == pair[(n + 1) & 1] &&
	      first_of("b") == pair[n & 1]);
	CHECK(rename_so("d/l", "d/m", RENAME_NOREPLACE) == 0);
	snprintf(value, sizeof(value), "%u", n);
	CHECK(setxattr("d/m", "user.n", value, strlen(value),
		       XATTR_CREATE) == 0);
	CHECK(removexattr("d/m", "user.n") == 0);
	fd = open("log", O_WRONLY | O_APPEND);
	CHECK(fd >= 0);
	CHECK(write(fd, &n, sizeof(n)) == sizeof(n));
	CHECK(fsync(fd) == 0 && close(fd) == 0);
	CHECK(rmdir("d") < 0 && errno == ENOTEMPTY);
	CHECK(unlink("d/m") == 0);
	CHECK(rmdir("d") == 0);
	CHECK(unlink("s") == 0);
	CHECK(stat(name, &st) == 0 && st.st_nlink == 1);
	CHECK(unlink(name) == 0);
	CHECK(access(name, F_OK) < 0 && errno == ENOENT);
}

/* The log has each number once, in order. */
static void look_at_log(unsigned int rounds)
{
	int fd = open("log", O_RDONLY);
	unsigned int n;

	CHECK(fd >= 0);
	CHECK(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
	for (unsigned int i = 0; i < rounds; i++) {
		CHECK(read(fd, &n, sizeof(n)) == sizeof(n) && n == i);
	}
	CHECK(read(fd, &n, sizeof(n)) == 0);
}

static void worker(int who, const char *over)
{
	unsigned int n;
	char name[16];

	snprintf(name, sizeof(name), "w%d", who);
	CHECK(mkdir(name, 0755) == 0 && chdir(name) == 0);
	put("a", "a");
	put("b", "b");
	put("log", "");
	for (n = 0; access(over, F_OK) != 0 || n < TURNS; n++) {
		round_of(n);
	}
	look_at_log(n);
	printf("resets: each once, in %u turns\n", n);
	exit(0);
}

static void once(const char *over)
{
	int status;

	for (int who = 0; who < WORKERS; who++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid == 0) {
			worker(who, over);
		}
	}
	for (int who = 0; who < WORKERS; who++) {
		CHECK(wait(&status) > 0);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	if (argc == 4 && strcmp(argv[1], "make") == 0) {
		make((unsigned int)atoi(argv[2]), argv[3], 0);
	} else if (argc == 5 && strcmp(argv[1], "crash") == 0) {
		x += (uint32_t)atoi(argv[4]);
		make((unsigned int)atoi(argv[2]), argv[3], 1);
	} else if (argc == 4 && strcmp(argv[1], "hold") == 0) {
		CHECK(chdir(argv[2]) == 0);
		hold(argv[3]);
	} else if (argc == 4 && strcmp(argv[1], "disk") == 0) {
		disk(argv[2], argv[3]);
	} else if (argc == 4 && strcmp(argv[1], "once") == 0) {
		CHECK(chdir(argv[2]) == 0);
		once(argv[3]);
	} else {
		printf("resets: wrong arguments\n");
		return 2;
	}
	return 0;
}
