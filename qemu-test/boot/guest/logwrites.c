/* SPDX-License-Identifier: MIT */
/*
 * logwrites make DEVICE LOG: /dev/dm-0 is the device, and all that is written to it
 *   goes to the log, too, by Linux's dm-log-writes
 * logwrites mark N: each line of the input becomes a mark in the log, up to the N-th
 *   that begins with "log-"
 * logwrites end: all of the log is written
 * [Linux "dm-log-writes", <linux/dm-ioctl.h>]
 */
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define NAME	"logged"

static union {
	struct dm_ioctl head;
	char bytes[4096];
} request;

static void must(int ok, const char *what)
{
	if (ok < 0) {
		perror(what);
		exit(1);
	}
}

/* One request, with what follows its head already there. */
static void ask(unsigned long what, uint32_t flags, const char *name)
{
	int fd = open("/dev/mapper/control", O_RDWR);

	must(fd, "/dev/mapper/control");
	request.head.version[0] = DM_VERSION_MAJOR;
	request.head.data_size = sizeof(request);
	request.head.data_start = sizeof(request.head);
	request.head.flags = flags;
	strcpy(request.head.name, NAME);
	must(ioctl(fd, what, &request), name);
	close(fd);
	memset(&request, 0, sizeof(request));
}

static void make(const char *device, const char *log)
{
	struct dm_target_spec *spec = (void *)(&request.head + 1);
	int fd = open(device, O_RDONLY);
	uint64_t size;

	must(fd, device);
	must(ioctl(fd, BLKGETSIZE64, &size), device);
	close(fd);
	ask(DM_DEV_CREATE, 0, "create");
	request.head.target_count = 1;
	spec->length = size / 512;
	strcpy(spec->target_type, "log-writes");
	snprintf((char *)(spec + 1), 256, "%s %s", device, log);
	ask(DM_TABLE_LOAD, 0, "load");
	ask(DM_DEV_SUSPEND, 0, "resume");
}

static void mark(unsigned most)
{
	char line[64];

	for (unsigned n = 0; n < most && fgets(line, sizeof(line), stdin);
	     n += strncmp(line, "log-", 4) == 0) {
		struct dm_target_msg *message = (void *)(&request.head + 1);

		line[strcspn(line, "\n")] = '\0';
		sprintf(message->message, "mark %s", line);
		ask(DM_TARGET_MSG, 0, "message");
	}
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "make") == 0) {
		make(argv[2], argv[3]);
	} else if (argc == 3 && strcmp(argv[1], "mark") == 0) {
		mark((unsigned)strtoul(argv[2], NULL, 10));
	} else if (argc == 2 && strcmp(argv[1], "end") == 0) {
		ask(DM_DEV_REMOVE, 0, "remove");
	} else {
		fprintf(stderr, "usage: logwrites make|mark|end ...\n");
		return 2;
	}
	return 0;
}
