/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "qemu-test/unit/volume_sparse.h"

struct file_disk {
	struct block_dev dev;
	int fd;
	struct block_req *first, **last;
};

struct volume_disk *sparse_disk;
struct volume *sparse_vol;
uint64_t sparse_requests;
uint32_t sparse_sector = 512;

static struct file_disk disk;
static char folder[] = "/tmp/isthmus-sparse-XXXXXX";
static bool made, told;
static void *blocks;

int64_t volume_now_ns(void)
{
	return 1700000000000000000ll;
}

static void submit(struct block_dev *dev, struct block_req *req)
{
	(void)dev;
	req->next = NULL;
	*disk.last = req;
	disk.last = &req->next;
}

static const struct block_ops ops = { .submit = submit };

static bool disk_step(void)
{
	struct block_req *req = disk.first;
	off_t sector = disk.dev.sector_size, at;

	if (req == NULL) {
		return false;
	}
	sparse_requests++;
	if (req->op == BLOCK_DISCARD) {
		assert_int_equal(fallocate(disk.fd, FALLOC_FL_PUNCH_HOLE |
					   FALLOC_FL_KEEP_SIZE,
					   (off_t)req->sector * sector,
					   (off_t)req->sectors * sector), 0);
	}
	disk.first = req->next;
	if (disk.first == NULL) {
		disk.last = &disk.first;
	}
	at = (off_t)req->sector * sector;
	for (unsigned i = 0; i < req->seg_count; i++) {
		ssize_t len = req->segs[i].len;

		assert_true((req->op == BLOCK_READ
			     ? pread(disk.fd, req->segs[i].data, (size_t)len, at)
			     : pwrite(disk.fd, req->segs[i].data, (size_t)len,
				      at)) == len);
		at += len;
	}
	block_done(&disk.dev, req, 0);
	return true;
}

static void ready(struct volume_wait *wait)
{
	(void)wait;
	told = true;
}

static void step(void)
{
	if (volume_disk_due(sparse_disk)) {
		volume_disk_run(sparse_disk);
	} else if (!disk_step()) {
		fail_msg("nothing is under way, and somebody waits");
	}
}

static void wait_told(void)
{
	while (!told) {
		step();
	}
	told = false;
}

int sparse_change(int (*op)(void))
{
	struct volume_wait wait = { .ready = ready };
	int error;

	told = false;
	for (;;) {
		error = volume_disk_begin(sparse_disk, &wait);
		error = error == 0 ? op() : error;
		if (error != EAGAIN) {
			break;
		}
		wait_told();
	}
	volume_disk_end(sparse_disk, &wait);
	return error;
}

int sparse_look(int (*op)(void))
{
	struct volume_wait wait = { .ready = ready };
	int error;

	told = false;
	for (;;) {
		volume_disk_look(sparse_disk, &wait);
		error = op();
		if (error != EAGAIN) {
			break;
		}
		wait_told();
	}
	volume_disk_end(sparse_disk, &wait);
	return error;
}

void sparse_sync(void)
{
	struct volume_wait wait = { .ready = ready };
	int error;

	told = false;
	while ((error = volume_disk_sync(sparse_disk, &wait)) == EAGAIN) {
		wait_told();
	}
	volume_disk_end(sparse_disk, &wait);
	assert_int_equal(error, 0);
}

int sparse_shell(const char *command, const char *size)
{
	char line[1024];

	if (!made) {
		assert_non_null(mkdtemp(folder));
		made = true;
	}
	snprintf(line, sizeof(line), "cd %s && PATH=$PATH:/sbin:/usr/sbin && "
		 "size=%s && { %s; } >log 2>&1 || { tail -n 9 log; exit 1; }",
		 folder, size, command);
	return system(line);
}

static void open_image(void)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/image", folder);
	disk = (struct file_disk){
		.dev = {
			.ops = &ops, .name = "file", .sector_size = sparse_sector,
			.features = BLOCK_HAS_FLUSH | BLOCK_HAS_DISCARD,
			.max_sectors = 128,
			.max_segs = 32, .depth = 8,
		},
		.fd = open(path, O_RDWR), .last = &disk.first,
	};
	assert_true(disk.fd >= 0);
	disk.dev.sectors = (uint64_t)lseek(disk.fd, 0, SEEK_END) /
			   sparse_sector;
	block_init(&disk.dev);
	block_open_write(&disk.dev);
}

uint64_t sparse_size(void)
{
	return disk.dev.sectors * disk.dev.sector_size;
}

uint64_t sparse_used(void)
{
	struct stat st;

	assert_int_equal(fstat(disk.fd, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

void sparse_tick(uint32_t seconds)
{
	volume_disk_tick(sparse_disk, seconds);
	while (volume_disk_due(sparse_disk) || block_due(&disk.dev) ||
	       disk.first != NULL) {
		if (volume_disk_due(sparse_disk)) {
			volume_disk_run(sparse_disk);
		} else if (!disk_step()) {
			block_run(&disk.dev);
		}
	}
}

static void free_all(void)
{
	while (disk_step()) {
	}
	volume_disk_free(sparse_disk);
	close(disk.fd);
	free(blocks);
}

int sparse_open(size_t memory, char why[JOURNAL_WHY])
{
	int error;

	open_image();
	blocks = malloc(memory);
	assert_non_null(blocks);
	assert_int_equal(volume_disk_new(&disk.dev, blocks, memory,
					 &sparse_disk), 0);
	while ((error = volume_disk_open(sparse_disk, &sparse_vol, why)) ==
	       EAGAIN) {
		step();
	}
	if (error != 0) {
		free_all();
	}
	return error;
}

void sparse_close(void)
{
	struct volume_wait wait = { .ready = ready };
	int error;

	told = false;
	while ((error = volume_disk_close(sparse_disk, &wait)) == EAGAIN) {
		wait_told();
	}
	assert_int_equal(error, 0);
	volume_disk_end(sparse_disk, &wait);
	free_all();
}

void sparse_end(void)
{
	if (made) {
		assert_int_equal(sparse_shell("rm -r $PWD", ""), 0);
	}
}
