/* SPDX-License-Identifier: MIT */
/*
 * promises DIR: changes files without end, in ways that show in the files
 * themselves, and says what the file system has promised as soon as it has.
 *
 *   data-N   DIR/data was replaced for the N-th time: written beside it, fsync,
 *            rename, fsync of the directory
 *   log-N    DIR/log has its N-th line: appended, fsync
 *   tree-N   DIR/dN with its files is there, by sync; then d(N-2) is removed
 *
 * What must be in the files is in power.py.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES	24		/* of a tree */

static void must(long ok, const char *what)
{
	if (ok < 0) {
		perror(what);
		exit(1);
	}
}

/* A file of so many bytes, the text again and again. */
static int fill(const char *name, int flags, const char *text, size_t size)
{
	static char data[1 << 16];
	size_t len = strlen(text);
	int fd = open(name, O_WRONLY | O_CREAT | flags, 0644);

	must(fd, name);
	for (size_t i = 0; i < size; i++) {
		data[i] = text[i % len];
	}
	must(write(fd, data, size) == (ssize_t)size ? 0 : -1, name);
	return fd;
}

static void replace(unsigned n)
{
	char text[32];
	int dir = open(".", O_RDONLY), fd;

	snprintf(text, sizeof(text), "data %u\n", n);
	fd = fill("data.new", O_TRUNC, text, 100 + n * 577 % 9000);
	must(fsync(fd), "fsync");
	close(fd);
	must(rename("data.new", "data"), "rename");
	must(dir, "directory");
	must(fsync(dir), "fsync of the directory");
	close(dir);
	printf("data-%u\n", n);
}

static void append(unsigned n)
{
	char text[32];
	int fd;

	snprintf(text, sizeof(text), "line %10u\n", n);
	fd = fill("log", O_APPEND, text, strlen(text));
	must(fsync(fd), "fsync");
	close(fd);
	printf("log-%u\n", n);
}

static void tree(unsigned n)
{
	char name[48], text[64];

	snprintf(name, sizeof(name), "d%u", n);
	must(mkdir(name, 0755), name);
	for (unsigned i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "d%u/f%u", n, i);
		snprintf(text, sizeof(text), "%s\n", name);
		close(fill(name, O_TRUNC, text, 50 + i * 733 % 7000));
	}
	sync();
	printf("tree-%u\n", n);
	for (unsigned i = 0; n > 2 && i < FILES; i++) {
		snprintf(name, sizeof(name), "d%u/f%u", n - 2, i);
		must(unlink(name), name);
	}
	if (n > 2) {
		snprintf(name, sizeof(name), "d%u", n - 2);
		must(rmdir(name), name);
	}
}

int main(int argc, char **argv)
{
	if (argc != 2 || chdir(argv[1]) != 0) {
		fprintf(stderr, "usage: promises DIR\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (unsigned n = 1;; n++) {
		replace(n);
		append(n);
		if (n % 4 == 0) {
			tree(n / 4);
		}
	}
}
