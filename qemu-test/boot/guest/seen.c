/* SPDX-License-Identifier: MIT */
/*
 * seen: what a program sees of itself and of its mappings, while the host console
 * changes the files. Steps are the files /tmp/1, /tmp/2 and so on, which somebody
 * makes.
 *   run         says which version of itself this is
 *   stay        the same, and again after step 1
 *   map FILE    says how a shared mapping of it begins, at once and after step
 *               2; then writes to it, and stays until step 3
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define WORD	5

static const char version[] = "version A\n";	/* the test knows it */

static void until(const char *step)
{
	while (access(step, F_OK) != 0) {
		usleep(1000);
	}
}

static int map(const char *name)
{
	int fd = open(name, O_RDWR);
	char *at = mmap(NULL, WORD, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED) {
		perror(name);
		return 1;
	}
	close(fd);
	printf("map %.*s\n", WORD, at);
	until("/tmp/2");
	printf("map %.*s\n", WORD, at);
	memcpy(at, "Zebra", WORD);
	printf("written\n");
	until("/tmp/3");
	return 0;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	if (argc == 3 && strcmp(argv[1], "map") == 0) {
		return map(argv[2]);
	}
	printf("%s", version);
	if (argc == 2 && strcmp(argv[1], "stay") == 0) {
		until("/tmp/1");
		printf("%s", version);
	}
	return 0;
}
