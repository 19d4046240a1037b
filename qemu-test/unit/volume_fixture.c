/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "qemu-test/unit/volume_fixture.h"

static int64_t fake_time;

int64_t volume_now_ns(void)
{
	if (fake_time == 0) {
		fake_time = 1700000000000000000ll;
	}
	return fake_time += 1000;
}

static struct fixture *of(struct volume_dev *dev)
{
	return (struct fixture *)((char *)dev - offsetof(struct fixture, dev));
}

static bool fails(struct volume_dev *dev)
{
	struct fixture *f = of(dev);

	return f->fail_after >= 0 && f->fail_after-- == 0;
}

bool fixture_waits, fixture_passes;

/* Whether a block has to be waited for. */
static bool absent(struct volume_dev *dev, uint64_t block)
{
	struct fixture *f = of(dev);
	bool was = !fixture_waits || f->poked[block] ||
		   f->there[block] != 0;

	f->there[block] = f->turn;
	dev->full = false;
	dev->absent = !was;
	return dev->absent;
}

/* Forgets some of what was not asked for in this turn. */
static void evict(struct fixture *f)
{
	static uint32_t seed = 1;

	for (uint64_t i = 0; i < f->dev.blocks; i++) {
		seed = seed * 1664525 + 1013904223;
		if (f->there[i] != f->turn && seed >> 31 != 0) {
			f->there[i] = 0;
		}
	}
}

void fixture_again(struct volume_dev *dev)
{
	evict(of(dev));
}

void fixture_turn(struct volume_dev *dev)
{
	of(dev)->turn++;
	if (of(dev)->turn % 4 == 0) {
		evict(of(dev));
	}
}

static const uint8_t *dev_peek(struct volume_dev *dev, uint64_t block)
{
	of(dev)->asked++;
	if (block >= dev->blocks ||
	    (!of(dev)->poked[block] && fails(dev)) || absent(dev, block)) {
		return NULL;
	}
	return of(dev)->mem->ops->peek(of(dev)->mem, block);
}

static uint8_t *dev_poke(struct volume_dev *dev, uint64_t block, bool whole)
{
	uint8_t *data;

	of(dev)->asked++;
	if (block >= dev->blocks || (!of(dev)->poked[block] && fails(dev)) ||
	    (!whole && absent(dev, block))) {
		return NULL;
	}
	of(dev)->poked[block] = true;
	of(dev)->there[block] = of(dev)->turn;
	data = of(dev)->mem->ops->poke(of(dev)->mem, block, whole);
	if (whole && data != NULL) {
		memset(data, 0xdb, dev->block_size);	/* as a disk might */
	}
	return data;
}

static void dev_discard(struct volume_dev *dev, uint64_t block,
			uint64_t count)
{
	/* Keeps the old content, as a device may. */
	(void)dev;
	(void)block;
	(void)count;
}

static void dev_numbers(struct fixture *f)
{
	f->dev.blocks = f->mem->blocks;
	f->dev.block_size = f->mem->block_size;
	f->dev.block_shift = f->mem->block_shift;
	free(f->poked);
	f->poked = calloc(f->mem->blocks, sizeof(*f->poked));
	free(f->there);
	f->there = calloc(f->mem->blocks, sizeof(*f->there));
	f->turn = 1;
}

static int dev_set_block(struct volume_dev *dev, uint32_t shift)
{
	int error = of(dev)->mem->ops->set_block(of(dev)->mem, shift);

	dev_numbers(of(dev));
	return error;
}

static int dev_flush(struct volume_dev *dev)
{
	if (fails(dev)) {
		return EIO;
	}
	memset(of(dev)->poked, 0, of(dev)->dev.blocks);
	return 0;
}

static const struct volume_dev_ops dev_ops = {
	.peek = dev_peek,
	.poke = dev_poke,
	.change = dev_poke,
	.discard = dev_discard,
	.set_block = dev_set_block,
	.flush = dev_flush,
};

void fixture_run(const struct fixture *f, const char *command)
{
	char line[512];

	snprintf(line, sizeof(line), "cd %s && (%s) >log 2>&1", f->folder,
		 command);
	if (system(line) != 0) {
		snprintf(line, sizeof(line), "tail -n 12 %s/log", f->folder);
		if (system(line) != 0) {
			print_message("no log\n");
		}
		fail_msg("%s: failed", command);
	}
}

static void load(struct fixture *f)
{
	char path[96];
	FILE *file;

	snprintf(path, sizeof(path), "%s/image", f->folder);
	file = fopen(path, "rb");
	assert_non_null(file);
	fseek(file, 0, SEEK_END);
	f->size = (size_t)ftell(file);
	rewind(file);
	f->image = malloc(f->size);
	assert_non_null(f->image);
	assert_int_equal(fread(f->image, 1, f->size, file), f->size);
	fclose(file);
	assert_int_equal(volume_mem_open(f->image, f->size, &f->mem), 0);
	f->dev = (struct volume_dev){
		.ops = &dev_ops, .instant = !fixture_waits,
	};
	dev_numbers(f);
	f->fail_after = -1;
	assert_int_equal(volume_open(&f->dev, &f->vol), 0);
}

void fixture_write(const struct fixture *f, const char *name,
		   struct volume_dev *dev)
{
	char path[96];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", f->folder, name);
	file = fopen(path, "wb");
	assert_non_null(file);
	for (uint64_t i = 0; i < dev->blocks; i++) {
		const uint8_t *data = dev->ops->peek(dev, i);

		assert_int_equal(fwrite(data, dev->block_size, 1, file), 1);
	}
	fclose(file);
}

void fixture_copy(struct fixture *f, const char *file)
{
	fixture_write(f, file, f->mem);
}

uint8_t *fixture_image(struct fixture *f, size_t *size)
{
	uint32_t block = f->mem->block_size;
	uint8_t *image = malloc(f->mem->blocks * block);

	assert_non_null(image);
	for (uint64_t i = 0; i < f->mem->blocks; i++) {
		memcpy(image + i * block, f->mem->ops->peek(f->mem, i), block);
	}
	*size = f->mem->blocks * block;
	return image;
}

static void unload(struct fixture *f)
{
	f->mem->ops->close(f->mem);
	free(f->poked);
	free(f->there);
	f->poked = NULL;
	f->there = NULL;
	free(f->image);
	f->image = NULL;
}

void fixture_crash(struct fixture *f)
{
	fixture_copy(f, "image");
	/* For its memory: nobody reads what it writes. */
	volume_close(f->vol);
	unload(f);
	load(f);
}

static void save(struct fixture *f)
{
	fixture_copy(f, "image");
	unload(f);
}

void fixture_open(struct fixture *f, unsigned mib, const char *options)
{
	char command[256];

	memset(f, 0, sizeof(*f));
	strcpy(f->folder, "/tmp/isthmus-volume-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(command, sizeof(command),
		 "/sbin/mke2fs -q -t ext4 -b 4096 -m 0 %s image %uM", options,
		 mib);
	fixture_run(f, command);
	load(f);
}

void fixture_command(struct fixture *f, const char *command)
{
	assert_int_equal(volume_close(f->vol), 0);
	save(f);
	fixture_run(f, command);
	load(f);
}

void fixture_check(struct fixture *f)
{
	assert_int_equal(volume_close(f->vol), 0);
	save(f);
	fixture_run(f, "/sbin/e2fsck -fn image");
}

void fixture_reopen(struct fixture *f)
{
	fixture_check(f);
	load(f);
}

void fixture_close(struct fixture *f)
{
	char command[96];

	if (f->image != NULL) {
		fixture_check(f);
	}
	snprintf(command, sizeof(command), "rm -r %s", f->folder);
	assert_int_equal(system(command), 0);
}

const struct volume_make file_make = {
	.mode = VOLUME_S_IFREG | 0644, .uid = 100000, .gid = 70000,
};
const struct volume_make dir_make = { .mode = VOLUME_S_IFDIR | 0755 };

uint32_t new_file(struct volume *vol, uint32_t dir, const char *name)
{
	uint32_t ino;

	assert_int_equal(volume_create(vol, dir, NAME(name), &file_make, &ino),
			 0);
	return ino;
}

uint32_t new_dir(struct volume *vol, uint32_t dir, const char *name)
{
	uint32_t ino;

	assert_int_equal(volume_create(vol, dir, NAME(name), &dir_make, &ino),
			 0);
	return ino;
}

uint32_t find(struct volume *vol, uint32_t dir, const char *name)
{
	uint32_t ino;

	return volume_lookup(vol, dir, NAME(name), &ino) == 0 ? ino : 0;
}

void put(struct volume *vol, uint32_t ino, uint64_t at,
		const void *data, size_t len)
{
	size_t done;

	assert_int_equal(volume_write(vol, ino, at, data, len, &done), 0);
	assert_int_equal(done, len);
}

struct volume_attr attr_of(struct volume *vol, uint32_t ino)
{
	struct volume_attr attr;

	assert_int_equal(volume_getattr(vol, ino, &attr), 0);
	return attr;
}

uint64_t blocks_free(struct volume *vol)
{
	struct volume_stat st;

	volume_statfs(vol, &st);
	return st.blocks_free;
}

int move(struct volume *vol, uint32_t od, const char *on, uint32_t nd,
		const char *nn)
{
	return volume_rename(vol, od, NAME(on), nd, NAME(nn), 0);
}
