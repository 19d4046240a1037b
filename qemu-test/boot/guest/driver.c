/* SPDX-License-Identifier: MIT */
/*
 * driver: what the channel driver must stand. Commands:
 *   reset      takes the channel's state word down behind the driver's back;
 *              the host resets its end, and then the driver has to
 *   storm DIR  12 processes fill the ring with file and socket traffic at
 *              once, each comparing what comes back
 *   kill DIR   kills processes in the middle of their requests, then looks
 *              whether the mount still answers
 *   locks DIR  processes that wait for locks get them, signals, are killed
 * Prints the first thing that is wrong, or "all passed".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/io.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#define PORT_STATE	0xc010	/* abi/channel.h: CHANNEL_IO_STATE */
#define STATE_DOWN	0
#define ECHO		7
#define CHUNK		(128u << 10)
#define CHUNKS		16
#define FILERS		6
#define TALKERS		6
#define KILLS		60

#define CHECK(truth) check((truth), #truth, __LINE__)

static char data[CHUNK], back[CHUNK];

static void check(int truth, const char *text, int line)
{
	if (!truth) {
		printf("driver: line %d: %s (errno %d, %s)\n", line, text,
		       errno, strerror(errno));
		exit(1);
	}
}

/* Bytes that no other process and no other chunk has. */
static void fill(uint32_t who, uint32_t chunk)
{
	uint32_t x = who * 2654435761u ^ chunk * 40503u ^ 1u;

	for (size_t i = 0; i < CHUNK; i += sizeof(x)) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		memcpy(data + i, &x, sizeof(x));
	}
}

static void file_name(char *out, size_t size, const char *dir, int who)
{
	snprintf(out, size, "%s/driver.%d", dir, who);
}

static void filer(const char *dir, int who)
{
	char name[256];
	int fd;

	file_name(name, sizeof(name), dir, who);
	fd = open(name, O_CREAT | O_TRUNC | O_RDWR, 0600);
	CHECK(fd >= 0);
	for (int i = 0; i < CHUNKS; i++) {
		fill((uint32_t)who, (uint32_t)i);
		CHECK(write(fd, data, CHUNK) == CHUNK);
	}
	CHECK(lseek(fd, 0, SEEK_SET) == 0);
	for (int i = 0; i < CHUNKS; i++) {
		fill((uint32_t)who, (uint32_t)i);
		CHECK(read(fd, back, CHUNK) == CHUNK);
		CHECK(memcmp(data, back, CHUNK) == 0);
	}
	CHECK(close(fd) == 0);
	CHECK(unlink(name) == 0);
}

static int connect_host(unsigned int port)
{
	struct sockaddr_vm host = {
		.svm_family = AF_VSOCK,
		.svm_cid = VMADDR_CID_HOST,
		.svm_port = port,
	};
	int s = socket(AF_VSOCK, SOCK_STREAM, 0);

	CHECK(s >= 0);
	CHECK(connect(s, (struct sockaddr *)&host, sizeof(host)) == 0);
	return s;
}

static void talker(int who)
{
	int s = connect_host(ECHO);

	for (int i = 0; i < CHUNKS; i++) {
		size_t sent = 0, got = 0;

		fill((uint32_t)who, (uint32_t)i);
		while (got < CHUNK) {
			ssize_t n = send(s, data + sent, CHUNK - sent,
					 MSG_DONTWAIT | MSG_NOSIGNAL);

			CHECK(n >= 0 || errno == EAGAIN);
			sent += n > 0 ? (size_t)n : 0;
			n = recv(s, back + got, CHUNK - got,
				 sent == CHUNK ? 0 : MSG_DONTWAIT);
			CHECK(n > 0 || (n < 0 && errno == EAGAIN));
			got += n > 0 ? (size_t)n : 0;
		}
		CHECK(memcmp(data, back, CHUNK) == 0);
	}
	close(s);
}

static void storm(const char *dir)
{
	int status;

	for (int who = 0; who < FILERS + TALKERS; who++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid == 0) {
			if (who < FILERS) {
				filer(dir, who);
			} else {
				talker(who);
			}
			exit(0);
		}
	}
	for (int who = 0; who < FILERS + TALKERS; who++) {
		CHECK(wait(&status) > 0);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
}

/* Reads and writes one file for ever, until it is killed. */
static void victim(const char *name)
{
	int fd = open(name, O_RDWR);

	for (;;) {
		struct stat st;

		if (fd < 0 || pread(fd, back, CHUNK, 0) != CHUNK ||
		    pwrite(fd, data, CHUNK, CHUNK) != CHUNK ||
		    stat(name, &st)) {
			exit(1);
		}
	}
}

static void kill_all(const char *dir)
{
	char name[256];
	int fd, status;

	file_name(name, sizeof(name), dir, 99);
	fd = open(name, O_CREAT | O_TRUNC | O_RDWR, 0600);
	CHECK(fd >= 0);
	fill(99, 0);
	CHECK(write(fd, data, CHUNK) == CHUNK);
	for (int i = 0; i < KILLS; i++) {
		struct timespec pause = { .tv_nsec = 100000 + i * 137000 };
		pid_t pids[3];

		for (int k = 0; k < 3; k++) {
			pids[k] = fork();
			CHECK(pids[k] >= 0);
			if (pids[k] == 0) {
				victim(name);
			}
		}
		nanosleep(&pause, NULL);
		for (int k = 0; k < 3; k++) {
			kill(pids[k], SIGKILL);
		}
		for (int k = 0; k < 3; k++) {
			CHECK(waitpid(pids[k], &status, 0) == pids[k]);
			CHECK(WIFSIGNALED(status));
		}
		CHECK(pread(fd, back, CHUNK, 0) == CHUNK);
		CHECK(memcmp(data, back, CHUNK) == 0);
	}
	CHECK(close(fd) == 0);
	CHECK(unlink(name) == 0);
}

static void nothing(int signal)
{
	(void)signal;
}

/* A process that waits for a lock which this one has, of one kind or the other.
 * Its status is 0 when it gets it, 1 when a signal ended the wait. */
static pid_t lock_waiter(const char *name, int posix)
{
	struct sigaction action = { .sa_handler = nothing };
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	pid_t pid = fork();
	int fd, got;

	CHECK(pid >= 0);
	if (pid == 0) {
		sigaction(SIGALRM, &action, NULL);
		fd = open(name, O_RDWR);
		got = posix ? fcntl(fd, F_SETLKW, &lock) : flock(fd, LOCK_EX);
		_exit(got == 0 ? 0 : errno == EINTR ? 1 : 2);
	}
	return pid;
}

/* Waiting for locks: ended by a signal, by kill -9, and by getting the lock. */
static void locks(const char *dir)
{
	struct timespec pause = { .tv_nsec = 300000000 };
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char name[256];
	int fd, status;
	pid_t pid;

	file_name(name, sizeof(name), dir, 98);
	fd = open(name, O_CREAT | O_RDWR, 0600);
	CHECK(fd >= 0);
	for (int posix = 0; posix < 2; posix++) {
		CHECK(posix ? fcntl(fd, F_SETLK, &lock) == 0 :
			      flock(fd, LOCK_EX) == 0);
		for (int how = 0; how < 4; how++) {
			pid = lock_waiter(name, posix);
			nanosleep(&pause, NULL);
			CHECK(waitpid(pid, &status, WNOHANG) == 0);
			if (how == 0 || how == 2) {
				kill(pid, SIGALRM);
			}
			if (how == 1 || how == 2) {
				kill(pid, SIGKILL);
			}
			if (how == 3) {
				lock.l_type = F_UNLCK;
				CHECK(posix ? fcntl(fd, F_SETLK, &lock) == 0 :
					      flock(fd, LOCK_UN) == 0);
				lock.l_type = F_WRLCK;
			}
			CHECK(waitpid(pid, &status, 0) == pid);
			if (how == 1 || how == 2) {
				CHECK(WIFSIGNALED(status));
			} else {
				CHECK(WIFEXITED(status) &&
				      WEXITSTATUS(status) == (how == 0));
			}
		}
	}
	CHECK(close(fd) == 0);
	CHECK(unlink(name) == 0);
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	signal(SIGPIPE, SIG_IGN);
	if (argc == 2 && strcmp(argv[1], "reset") == 0) {
		CHECK(iopl(3) == 0);
		outl(STATE_DOWN, PORT_STATE);
	} else if (argc == 3 && strcmp(argv[1], "storm") == 0) {
		storm(argv[2]);
	} else if (argc == 3 && strcmp(argv[1], "locks") == 0) {
		locks(argv[2]);
	} else if (argc == 3 && strcmp(argv[1], "kill") == 0) {
		kill_all(argv[2]);
	} else {
		printf("driver: wrong arguments\n");
		return 2;
	}
	printf("driver: all passed\n");
	return 0;
}
