/* SPDX-License-Identifier: MIT */
/*
 * recover IMAGE: opens the ext4 file system in the file as host-bridge would open it
 * on a disk, after a power cut too; says of each file its path, size and checksum
 * (a CRC-32), and closes it properly. The file is then what the disk would be.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host-bridge/fs/volume_disk.h"
#include "qemu-test/unit/fake/disk.h"

#define CACHE_BYTES	(8u << 20)
#define PIECE		(64u << 10)
#define NAMES		4096u
#define PATH		1024u

static struct fake_disk disk;
static struct volume_disk *vd;
static struct volume *vol;
static uint32_t table[256];

int64_t volume_now_ns(void)
{
	return 1800000000000000000ll;
}

static void end(const char *what, const char *why)
{
	fprintf(stderr, "recover: %s: %s\n", what, why);
	exit(1);
}

static void again(void)
{
	if (volume_disk_due(vd)) {
		volume_disk_run(vd);
	} else if (!fake_disk_step(&disk)) {
		end("the volume", "it waits, and nothing is under way");
	}
}

static void ready(struct volume_wait *wait)
{
	(void)wait;
}

/* What a function of the volume says in the end. */
#define WHEN_THERE(call) __extension__({ \
	int error_; \
	\
	volume_disk_look(vd, NULL); \
	while ((error_ = (call)) == EAGAIN) { \
		again(); \
		volume_disk_look(vd, NULL); \
	} \
	error_; \
})

static void must(int error, const char *what)
{
	if (error != 0) {
		end(what, strerror(error));
	}
}

static uint32_t crc32(uint32_t crc, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		crc = crc >> 8 ^ table[(crc ^ data[i]) & 0xff];
	}
	return crc;
}

static void say_file(const char *path, const struct volume_attr *attr)
{
	static uint8_t data[PIECE];
	uint32_t crc = ~0u;
	size_t done;

	for (uint64_t at = 0; at < attr->size; at += done) {
		size_t len = attr->size - at < PIECE ? attr->size - at : PIECE;

		must(WHEN_THERE(volume_read(vol, attr->ino, at, data, len,
					    &done)), path);
		if (done == 0) {
			end(path, "it ends too early");
		}
		crc = crc32(crc, data, done);
	}
	printf("%s\t%llu\t%u\n", path, (unsigned long long)attr->size, ~crc);
}

struct names {
	char *text[NAMES];
	unsigned count;
};

static bool take(void *arg, const struct volume_entry *entry)
{
	struct names *n = arg;

	if (n->count == NAMES) {
		end("a directory", "it has too many names");
	}
	n->text[n->count++] = strndup(entry->name, entry->name_len);
	return true;
}

static void drop(struct names *n)
{
	while (n->count > 0) {
		free(n->text[--n->count]);
	}
}

static void say_dir(uint32_t dir, const char *path)
{
	struct names *n = calloc(1, sizeof(*n));
	int error;

	if (n == NULL) {
		end(path, strerror(ENOMEM));
	}
	volume_disk_look(vd, NULL);
	while ((error = volume_readdir(vol, dir, 0, take, n)) == EAGAIN) {
		drop(n);
		again();
		volume_disk_look(vd, NULL);
	}
	must(error, path);
	for (unsigned i = 0; i < n->count; i++) {
		const char *name = n->text[i];
		struct volume_attr attr;
		char below[PATH];
		uint32_t ino;

		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
			continue;
		}
		snprintf(below, sizeof(below), "%s%s%s", path,
			 path[0] != '\0' ? "/" : "", name);
		must(WHEN_THERE(volume_lookup(vol, dir, name, strlen(name),
					      &ino)), below);
		must(WHEN_THERE(volume_getattr(vol, ino, &attr)), below);
		if ((attr.mode & VOLUME_S_IFMT) == VOLUME_S_IFREG) {
			say_file(below, &attr);
		} else if ((attr.mode & VOLUME_S_IFMT) == VOLUME_S_IFDIR) {
			say_dir(ino, below);
		}
	}
	drop(n);
	free(n);
}

static void close_volume(void)
{
	struct volume_wait wait = { .ready = ready };
	int error;

	while ((error = volume_disk_close(vd, &wait)) == EAGAIN) {
		again();
	}
	must(error, "closing");
	volume_disk_end(vd, &wait);
	while (volume_disk_due(vd) || fake_disk_step(&disk)) {
		if (volume_disk_due(vd)) {
			volume_disk_run(vd);
		}
	}
}

static void make_table(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		table[i] = i;
		for (unsigned k = 0; k < 8; k++) {
			table[i] = table[i] >> 1 ^
				   (table[i] & 1 ? 0xedb88320u : 0);
		}
	}
}

int main(int argc, char **argv)
{
	char why[JOURNAL_WHY] = "";
	uint8_t *image, *memory = malloc(CACHE_BYTES);
	struct stat st;
	int fd, error;

	fd = argc == 2 ? open(argv[1], O_RDWR | O_CLOEXEC) : -1;
	if (fd < 0 || fstat(fd, &st) != 0) {
		end(argc == 2 ? argv[1] : "recover IMAGE", strerror(errno));
	}
	image = malloc((size_t)st.st_size);
	if (image == NULL || memory == NULL ||
	    pread(fd, image, (size_t)st.st_size, 0) != st.st_size) {
		end(argv[1], "it cannot be read");
	}
	make_table();
	fake_disk_open(&disk, image, (size_t)st.st_size, 512, BLOCK_HAS_FLUSH);
	must(volume_disk_new(&disk.dev, memory, CACHE_BYTES, &vd), argv[1]);
	while ((error = volume_disk_open(vd, &vol, why)) == EAGAIN) {
		again();
	}
	if (error != 0) {
		end(argv[1], why[0] != '\0' ? why : strerror(error));
	}
	say_dir(VOLUME_ROOT, "");
	close_volume();
	if (pwrite(fd, disk.now, (size_t)st.st_size, 0) != st.st_size) {
		end(argv[1], strerror(errno));
	}
	volume_disk_free(vd);
	fake_disk_close(&disk);
	free(image);
	free(memory);
	return close(fd);
}
