/* SPDX-License-Identifier: MIT */
/*
 * File systems of mke2fs with its default options, of 64 MiB to 1 TiB, in a sparse
 * file: opened, used and closed with as much memory for blocks each, and e2fsck finds
 * nothing. What is made is a file with a byte at the end of all that one can have.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "host-bridge/fs/volume_disk.h"

#define MEMORY	(2u << 20)		/* of the cache */
#define FEW	(4u << 20)		/* of the heap, whatever the size */
#define NAME(s)	(s), strlen(s)

/* ASan's; not every Debian has its header. */
size_t __sanitizer_get_current_allocated_bytes(void);

struct file_disk {
	struct block_dev dev;
	int fd;
	struct block_req *first, **last;
};

static struct file_disk disk;
static struct volume_disk *vd;
static struct volume *vol;
static char folder[] = "/tmp/isthmus-scale-XXXXXX";

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
	off_t at;

	if (req == NULL) {
		return false;
	}
	disk.first = req->next;
	if (disk.first == NULL) {
		disk.last = &disk.first;
	}
	at = (off_t)req->sector * 512;
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

static bool told;

static void ready(struct volume_wait *wait)
{
	(void)wait;
	told = true;
}

static void step(void)
{
	if (volume_disk_due(vd)) {
		volume_disk_run(vd);
	} else if (!disk_step()) {
		fail_msg("nothing is under way, and somebody waits");
	}
}

static uint32_t ino;
static uint64_t at;

static int op_create(void)
{
	const struct volume_make make = { .mode = VOLUME_S_IFREG | 0644 };

	return volume_create(vol, VOLUME_ROOT, NAME("f"), &make, &ino);
}

static int op_write(void)
{
	size_t done;

	return volume_write(vol, ino, at, "x", 1, &done);
}

static int op_fill(void)
{
	return volume_fallocate(vol, ino, 0, 0, 20u << 20);
}

static void operate(int (*op)(void))
{
	struct volume_wait wait = { .ready = ready };
	int error;

	for (told = false;;) {
		error = volume_disk_begin(vd, &wait);
		error = error == 0 ? op() : error;
		if (error != EAGAIN) {
			break;
		}
		while (!told) {
			step();
		}
		told = false;
	}
	assert_int_equal(error, 0);
	volume_disk_end(vd, &wait);
}

static void shell(const char *command, const char *size)
{
	char line[512];

	snprintf(line, sizeof(line), "cd %s && PATH=$PATH:/sbin && "
		 "size=%s && { %s; } >log 2>&1 || { tail -n 9 log; exit 1; }",
		 folder, size, command);
	assert_int_equal(system(line), 0);
}

static void open_image(off_t *size)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/image", folder);
	disk = (struct file_disk){
		.dev = {
			.ops = &ops, .name = "file", .sector_size = 512,
			.features = BLOCK_HAS_FLUSH, .max_sectors = 128,
			.max_segs = 32, .depth = 8,
		},
		.fd = open(path, O_RDWR), .last = &disk.first,
	};
	assert_true(disk.fd >= 0);
	*size = lseek(disk.fd, 0, SEEK_END);
	disk.dev.sectors = (uint64_t)*size / 512;
	block_init(&disk.dev);
	block_open_write(&disk.dev);
}

static void use(const char *size)
{
	struct volume_wait wait = { .ready = ready };
	void *memory = malloc(MEMORY);
	size_t before = __sanitizer_get_current_allocated_bytes(), heap;
	char why[JOURNAL_WHY] = "";
	struct volume_stat st;
	off_t bytes;
	int error;

	shell("rm -f image && truncate -s $size image && "
	      "mke2fs -q -t ext4 -F image", size);
	open_image(&bytes);
	assert_int_equal(volume_disk_new(&disk.dev, memory, MEMORY, &vd), 0);
	while ((error = volume_disk_open(vd, &vol, why)) == EAGAIN) {
		step();
	}
	if (error != 0) {
		fail_msg("%s: %d: %s", size, error, why);
	}
	assert_int_equal(volume_statfs(vol, &st), 0);
	assert_true(st.blocks * st.block_size <= (uint64_t)bytes &&
		    st.blocks * st.block_size > (uint64_t)bytes / 100 * 95);
	operate(op_create);
	operate(op_fill);
	at = (uint64_t)UINT32_MAX * st.block_size - 1;
	operate(op_write);
	heap = __sanitizer_get_current_allocated_bytes() - before;
	print_message("%s: blocks of %u, %zu KiB of the heap\n", size,
		      st.block_size, heap / 1024);
	assert_true(heap < FEW);
	told = false;
	while ((error = volume_disk_close(vd, &wait)) == EAGAIN) {
		while (!told) {
			step();
		}
		told = false;
	}
	assert_int_equal(error, 0);
	volume_disk_end(vd, &wait);
	volume_disk_free(vd);
	close(disk.fd);
	free(memory);
	shell("e2fsck -fn image", size);
}

static void test_sizes(void **state)
{
	static const char *const sizes[] = { "64M", "600M", "16G", "1T" };

	(void)state;
	assert_non_null(mkdtemp(folder));
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		use(sizes[i]);
	}
	shell("rm -f image", "0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
