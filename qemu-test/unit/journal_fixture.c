/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "host-bridge/fs/jbd2/jbd2_int.h"
#include "qemu-test/unit/journal_fixture.h"

#define SUPER		1024u
#define INCOMPAT	(SUPER + 0x60)
#define RECOVER		4u
#define PAYLOAD		16u		/* blocks of each file for debugfs */

static char folder[64];

static void in_folder(void)
{
	if (folder[0] == '\0') {
		strcpy(folder, "/tmp/isthmus-journal-XXXXXX");
		assert_non_null(mkdtemp(folder));
	}
}

__attribute__((destructor))
static void no_folder(void)
{
	char line[96];

	if (folder[0] != '\0') {
		snprintf(line, sizeof(line), "rm -r %s", folder);
		if (system(line) != 0) {
			perror(folder);
		}
	}
}

static FILE *file_open(const char *name, const char *how)
{
	char path[96];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, how);
	assert_non_null(file);
	return file;
}

static int run(const char *command)
{
	char line[1024];
	int status;

	snprintf(line, sizeof(line), "cd %s && image=image && "
		 "PATH=$PATH:/sbin:/usr/sbin && { %s; } >log 2>&1", folder,
		 command);
	status = system(line);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void must(const char *command, int worst)
{
	char line[128];

	if (run(command) > worst) {
		snprintf(line, sizeof(line), "tail -n 12 %s/log", folder);
		if (system(line) != 0) {
			print_message("no log\n");
		}
		fail_msg("%s: failed", command);
	}
}

static uint64_t log_block(void *arg, uint32_t n)
{
	const struct image *im = arg;

	return n < im->place.blocks ? im->log[n] : 0;
}

static void load(struct image *im)
{
	FILE *file = file_open("image", "rb");

	fseek(file, 0, SEEK_END);
	im->size = (size_t)ftell(file);
	rewind(file);
	im->data = realloc(im->data, im->size);
	assert_non_null(im->data);
	assert_int_equal(fread(im->data, 1, im->size, file), im->size);
	fclose(file);
	im->blocks = im->size / im->block_size;
}

static void save(const struct image *im)
{
	FILE *file = file_open("image", "wb");

	assert_int_equal(fwrite(im->data, 1, im->size, file), im->size);
	fclose(file);
}

/* Where inode 8 lies, by debugfs: "(0-10):100-110, (IND):111, ..." */
static void find_log(struct image *im)
{
	unsigned long from, to, at, end;
	int used;
	char text[1 << 14];
	char *p;
	FILE *file;

	must("debugfs -R 'stat <8>' image | sed -n '/^EXTENTS/,$p' | "
	     "tr -d '\\n' | sed 's/^EXTENTS://' >map", 0);
	file = file_open("map", "r");
	assert_non_null(fgets(text, sizeof(text), file));
	fclose(file);
	im->log = NULL;
	im->place.blocks = 0;
	for (p = text; *p != '\0'; p += strcspn(p, ",") + strspn(p +
	     strcspn(p, ","), ", ")) {
		if (sscanf(p, "(%lu-%lu):%lu-%lu%n", &from, &to, &at, &end,
			   &used) != 4) {
			if (sscanf(p, "(%lu):%lu", &from, &at) != 2) {
				continue;	/* of the tree */
			}
			to = from;
		}
		im->log = realloc(im->log, (to + 1) * sizeof(*im->log));
		assert_non_null(im->log);
		for (; from <= to; from++, at++) {
			im->log[from] = at;
		}
		im->place.blocks = (uint32_t)to + 1;
	}
	assert_true(im->place.blocks >= 1024);
	im->place.block = log_block;
	im->place.arg = im;
	im->place.block_size = im->block_size;
}

static void payload(const char *name, uint32_t block_size)
{
	FILE *file = file_open(name, "wb");

	for (unsigned i = 0; i < PAYLOAD; i++) {
		struct jbd2_header head = {
			to_be32(JBD2_MAGIC), to_be32(JBD2_COMMIT), to_be32(1),
		};
		char block[4096];

		memset(block, name[0] + (int)i, sizeof(block));
		if (name[0] == 'd') {
			memcpy(block, &head, sizeof(head));
		}
		assert_int_equal(fwrite(block, block_size, 1, file), 1);
	}
	fclose(file);
}

void image_make(struct image *im, uint32_t block_size, const char *size,
		const char *options, const char *script)
{
	char command[256];
	FILE *file;

	in_folder();
	memset(im, 0, sizeof(*im));
	im->block_size = block_size;
	snprintf(command, sizeof(command), "rm -f image; mke2fs -q -t ext4 "
		 "-b %u %s image %s", block_size, options, size);
	must(command, 0);
	if (script != NULL) {
		payload("a", block_size);
		payload("b", block_size);
		payload("c", block_size);
		payload("d", block_size);
		file = file_open("script", "w");
		fputs(script, file);
		fclose(file);
		must("debugfs -w -f script image", 0);
	}
	load(im);
	find_log(im);
}

void image_blank(struct image *im, uint32_t block_size, uint64_t blocks,
		 uint32_t log_blocks)
{
	struct jbd2_super sb = {
		.header = { to_be32(JBD2_MAGIC), to_be32(JBD2_SUPER_V2),
			    to_be32(0) },
		.block_size = to_be32(block_size),
		.blocks = to_be32(log_blocks), .first = to_be32(1),
		.users = to_be32(1), .uuid = "isthmus's test",
	};

	*im = (struct image){
		.size = blocks * block_size, .block_size = block_size,
		.blocks = blocks,
		.place = { log_block, im, log_blocks, block_size },
	};
	im->data = calloc(blocks, block_size);
	im->log = calloc(log_blocks, sizeof(*im->log));
	assert_true(im->data != NULL && im->log != NULL);
	for (uint32_t i = 0; i < log_blocks; i++) {
		im->log[i] = 1 + i;
	}
	jbd2_super_set(&sb, 1, 0);
	memcpy(im->data + block_size, &sb, sizeof(sb));
}

void image_copy(struct image *to, const struct image *from)
{
	*to = *from;
	to->data = malloc(from->size);
	to->log = malloc(from->place.blocks * sizeof(*to->log));
	assert_true(to->data != NULL && to->log != NULL);
	memcpy(to->data, from->data, from->size);
	memcpy(to->log, from->log, from->place.blocks * sizeof(*to->log));
	to->place.arg = to;
}

void image_free(struct image *im)
{
	free(im->data);
	free(im->log);
}

int image_run(struct image *im, const char *command)
{
	int status;

	save(im);
	status = run(command);
	load(im);
	return status;
}

void image_e2fsck(struct image *im)
{
	save(im);
	must("e2fsck -fy -E journal_only $image", 1);
	load(im);
}

/* The superblock's own checksum is e2fsck's to look at. */
void image_needs_recovery(struct image *im, bool needs)
{
	uint8_t *sb = im->data + SUPER;
	uint32_t crc;

	im->data[INCOMPAT] = (uint8_t)((im->data[INCOMPAT] & ~RECOVER) |
				       (needs ? RECOVER : 0));
	crc = jbd2_crc(~0u, sb, 0x3fc);
	memcpy(sb + 0x3fc, &crc, sizeof(crc));
}

void image_shorten_log(struct image *im, uint32_t blocks)
{
	struct jbd2_super *sb = (void *)(im->data +
					 im->log[0] * im->block_size);

	sb->blocks = to_be32(blocks);
	jbd2_super_set(sb, be32(sb->sequence), be32(sb->start));
}

static bool of_log(const struct image *im, uint64_t block)
{
	for (uint32_t i = 0; i < im->place.blocks; i++) {
		if (im->log[i] == block) {
			return true;
		}
	}
	return false;
}

bool image_same(const struct image *a, const struct image *b)
{
	assert_int_equal(a->size, b->size);
	for (uint64_t i = SUPER / a->block_size + 1; i < a->blocks; i++) {
		size_t at = i * a->block_size;

		if (memcmp(a->data + at, b->data + at, a->block_size) != 0 &&
		    !of_log(a, i)) {
			print_message("block %lu differs\n", (unsigned long)i);
			return false;
		}
	}
	return true;
}

/* What was missing is there from then on. */
static bool misses(struct image_dev *d, uint64_t block)
{
	d->dev.absent = d->absent != 0 && block < sizeof(d->fetched) &&
			!d->fetched[block] && ++d->looks % d->absent == 0;
	if (d->dev.absent) {
		d->fetched[block] = true;
	}
	return d->dev.absent;
}

static const uint8_t *dev_peek(struct volume_dev *dev, uint64_t block)
{
	struct image_dev *d = (struct image_dev *)dev;

	return misses(d, block) || block >= dev->blocks ? NULL
	       : d->image->data + block * d->image->block_size;
}

static uint8_t *dev_poke(struct volume_dev *dev, uint64_t block, bool whole)
{
	struct image_dev *d = (struct image_dev *)dev;

	(void)whole;
	if (misses(d, block) || block >= dev->blocks ||
	    (d->fail_after >= 0 && d->fail_after-- == 0)) {
		return NULL;
	}
	return d->image->data + block * d->image->block_size;
}

static int dev_flush(struct volume_dev *dev)
{
	((struct image_dev *)dev)->flushes++;
	return 0;
}

static const struct volume_dev_ops dev_ops = {
	.peek = dev_peek, .poke = dev_poke, .flush = dev_flush,
};

void image_dev_open(struct image_dev *dev, struct image *image)
{
	*dev = (struct image_dev){
		.dev = {
			.ops = &dev_ops, .blocks = image->blocks,
			.block_size = image->block_size,
		},
		.image = image, .fail_after = -1,
	};
}

int image_recover(struct image_dev *dev, struct journal_found *found,
		  char why[JOURNAL_WHY])
{
	struct journal_recovery *r =
		journal_recovery_new(&dev->dev, &dev->image->place, NULL);
	int error;

	assert_non_null(r);
	do {
		error = journal_recover(r, found, why);
	} while (error == EAGAIN);
	journal_recovery_free(r);
	return error;
}
