/* SPDX-License-Identifier: MIT */
/*
 * flood KIND COUNT DIR: COUNT processes that do one thing without end, until
 * they are killed: "exits" of the processor, small "files" made and removed,
 * "reads" of a file past Linux's cache, "sends" of single bytes to the host,
 * a "storm" of the program driver's, of 12 processes.
 * flood work COUNT DIR: makes, reads and removes COUNT small files, with some
 * computing between, and prints the us that it took.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#define DISCARD	9
#define CHUNK	(64u << 10)
#define CHUNKS	32
#define COMPUTE	5000		/* rounds of a few instructions */

static char data[CHUNK], name[256];

static void must(int truth, const char *what)
{
	if (!truth) {
		perror(what);
		exit(1);
	}
}

static void exits(void)
{
	unsigned a, b, c, d;

	for (;;) {
		__cpuid(0, a, b, c, d);
	}
}

static void file(void)
{
	int fd = open(name, O_CREAT | O_TRUNC | O_RDWR, 0600);

	must(fd >= 0, name);
	must(write(fd, data, 512) == 512, "write");
	must(pread(fd, data, 512, 0) == 512, "read");
	close(fd);
	must(unlink(name) == 0, "unlink");
}

static void files(void)
{
	for (;;) {
		file();
	}
}

static void reads(void)
{
	int fd = open(name, O_CREAT | O_TRUNC | O_RDWR, 0600);

	must(fd >= 0, name);
	for (int i = 0; i < CHUNKS; i++) {
		must(write(fd, data, CHUNK) == CHUNK, "write");
	}
	must(fsync(fd) == 0, "fsync");
	for (;;) {
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		for (int i = 0; i < CHUNKS; i++) {
			must(pread(fd, data, CHUNK, (off_t)i * CHUNK) == CHUNK,
			     "read");
		}
	}
}

static void sends(void)
{
	struct sockaddr_vm to = {
		.svm_family = AF_VSOCK,
		.svm_cid = VMADDR_CID_HOST,
		.svm_port = DISCARD,
	};
	int s = socket(AF_VSOCK, SOCK_STREAM, 0);

	must(s >= 0 && connect(s, (struct sockaddr *)&to, sizeof(to)) == 0,
	     "connect");
	for (;;) {
		must(write(s, data, 1) == 1, "send");
	}
}

static void storm(void)
{
	mkdir(name, 0700);
	for (;;) {
		pid_t pid = fork();

		if (pid == 0) {
			execlp("driver", "driver", "storm", name, NULL);
			_exit(1);
		}
		waitpid(pid, NULL, 0);
	}
}

static const struct {
	const char *name;
	void (*fn)(void);
} kinds[] = {
	{ "exits", exits }, { "files", files }, { "reads", reads },
	{ "sends", sends }, { "storm", storm },
};

static void work(int count)
{
	struct timespec a, b;
	volatile unsigned sum = 0;

	clock_gettime(CLOCK_MONOTONIC, &a);
	for (int i = 0; i < count; i++) {
		file();
		for (unsigned k = 0; k < COMPUTE; k++) {
			sum += k;
		}
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("%lld us\n", (b.tv_sec - a.tv_sec) * 1000000ll +
	       (b.tv_nsec - a.tv_nsec) / 1000);
}

int main(int argc, char **argv)
{
	int count = argc == 4 ? atoi(argv[2]) : 0;

	must(count > 0, "usage: flood KIND COUNT DIR");
	snprintf(name, sizeof(name), "%s/work", argv[3]);
	if (strcmp(argv[1], "work") == 0) {
		work(count);
		return 0;
	}
	for (int n = 0; n < count; n++) {
		snprintf(name, sizeof(name), "%s/flood%d", argv[3], n);
		if (fork()) {
			continue;
		}
		/* the shell that began this has no more to wait for */
		must(freopen("/dev/null", "w", stdout) != NULL &&
		     freopen("/dev/null", "w", stderr) != NULL, "/dev/null");
		for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
			if (strcmp(argv[1], kinds[k].name) == 0) {
				kinds[k].fn();
			}
		}
		return 1;
	}
	return 0;
}
