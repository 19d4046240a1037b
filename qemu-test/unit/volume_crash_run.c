/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/rt/container.h"
#include "qemu-test/unit/volume_crash.h"

static int64_t fake_time;

int64_t volume_now_ns(void)
{
	return 1700000000000000000ll + (fake_time += 1000);
}

bool crash_step(struct run *r)
{
	if (volume_disk_due(r->vd)) {
		volume_disk_run(r->vd);
		return true;
	}
	return fake_disk_step(&r->disk);
}

void again(void *arg)
{
	if (!crash_step(arg)) {
		fail_msg("nothing is under way, and somebody waits");
	}
}

static void on_ready(struct volume_wait *wait)
{
	CONTAINER(wait, struct crash_waiter, wait)->ready = true;
}

/* Sooner he would only stand in the way of what he waits for. */
void crash_wait(struct run *r, struct crash_waiter *waiter)
{
	while (!waiter->ready) {
		again(r);
	}
	waiter->ready = false;
}

static void promise(struct run *r, unsigned least)
{
	r->promises[r->promised++] = (struct promise){ r->disk.time, least };
}

/* All, or what the file server waits for at a file's fsync. */
static void sync_disk(struct run *r, uint32_t ino)
{
	struct crash_waiter waiter = { .wait.ready = on_ready };
	int error;

	waiter.wait.number = ino != 0 ? volume_round(r->vol, ino) : 0;

	while ((error = volume_disk_sync(r->vd, &waiter.wait)) == EAGAIN) {
		crash_wait(r, &waiter);
	}
	assert_int_equal(error, 0);
	volume_disk_end(r->vd, &waiter.wait);
}

void crash_sync(struct run *r)
{
	sync_disk(r, 0);
	promise(r, r->done);
}

/* What fsync makes lasting, as text: a file's line wherever it has a name; the names
 * in a directory. */
static void view(const struct tree *tree, const char *path, const char *number,
		 char text[TREE_TEXT])
{
	size_t len = strlen(path);
	char line[1024];

	text[0] = '\0';
	for (const char *at = tree->text; *at != '\0';) {
		size_t n = strcspn(at, "\n");

		assert_true(n < sizeof(line) - 1);
		memcpy(line, at, n);
		strcpy(line + n, "\n");
		at += n + 1;
		if (number[0] != '\0' ? strstr(line, number) != NULL
		    : strncmp(line, path, len) == 0 && line[len] == '/' &&
		      strcspn(line + len + 1, "/") >
		      strcspn(line + len + 1, " ")) {
			if (number[0] == '\0') {
				line[strcspn(line, " ")] = '\n';
			}
			strcat(text, line);
		}
	}
}

static bool same_view(const struct run *r, unsigned a, unsigned b,
		      const char *path, const char *number)
{
	static char one[TREE_TEXT], other[TREE_TEXT];
	const struct tree_file *x, *y;
	unsigned ino = 0, gen = 0;

	view(&r->trees[a], path, number, one);
	view(&r->trees[b], path, number, other);
	if (strcmp(one, other) != 0) {
		return false;
	}
	if (sscanf(number, " #%u.%u ", &ino, &gen) != 2) {
		return true;
	}
	x = tree_file(&r->trees[a], ino, gen);
	y = tree_file(&r->trees[b], ino, gen);
	return x != NULL && y != NULL && x->size == y->size &&
	       memcmp(x->data, y->data, x->size) == 0;
}

void crash_fsync(struct run *r, const char *path)
{
	char number[32] = "";
	struct volume_attr attr;
	unsigned least = r->done;
	uint32_t ino;
	int error;

	do {
		error = volume_path(r->vol, path, false, &ino);
		error = error == 0 ? volume_getattr(r->vol, ino, &attr) : error;
		if (error == EAGAIN) {
			again(r);
		}
	} while (error == EAGAIN);
	path = error != 0 || strcmp(path, "/") == 0 ? "" : path;
	if (error == 0 && (attr.mode & VOLUME_S_IFMT) == VOLUME_S_IFREG) {
		snprintf(number, sizeof(number), " #%u.%u ", ino, attr.gen);
	}
	sync_disk(r, error == 0 ? ino : 0);
	while (least > 0 && same_view(r, least - 1, r->done, path, number)) {
		least--;
	}
	promise(r, least);
}

int crash_only(struct run *r, operation op)
{
	struct crash_waiter waiter = { .wait.ready = on_ready };
	int error;

	for (;;) {
		error = volume_disk_begin(r->vd, &waiter.wait);
		if (error == 0) {
			error = op(r);
		}
		if (error != EAGAIN) {
			break;
		}
		crash_wait(r, &waiter);
	}
	volume_disk_end(r->vd, &waiter.wait);
	return error;
}

void crash_operate(struct run *r, operation op)
{
	int error = crash_only(r, op);

	/* What the one before has taken away cannot be done again, and so
	 * on; but nothing is wrong with the disk. */
	assert_true(error != EIO && error != EROFS && error != ENOMEM);
	r->done++;
	assert_true(r->done < MOST);
	tree_take(&r->trees[r->done], r->vol, again, r);
}

static int op_set_up(struct run *r)
{
	(void)r;
	return 0;
}

/* The seed says, too, what the disk can do and whom it lets wait. */
void crash_start(struct run *r, const struct image *image, uint64_t seed)
{
	size_t bytes = FRAMES * image->block_size;
	char why[JOURNAL_WHY];
	int error;

	memset(r, 0, sizeof(*r));
	r->image = image;
	r->memory = malloc(bytes);
	assert_non_null(r->memory);
	fake_disk_open(&r->disk, image->data, image->size, 512,
		       BLOCK_HAS_FLUSH | (seed % 2 ? 0 : BLOCK_HAS_FUA) |
		       (seed / 8 % 2 ? 0 : BLOCK_HAS_DISCARD));
	r->disk.seed = seed;
	r->disk.unfair = seed / 2 % 3;
	assert_int_equal(volume_disk_new(&r->disk.dev, r->memory, bytes,
					 &r->vd), 0);
	while ((error = volume_disk_open(r->vd, &r->vol, why)) == EAGAIN) {
		again(r);
	}
	if (error != 0) {
		fail_msg("%d: %s", error, why);
	}
	if (r->disk.dev.features & BLOCK_HAS_DISCARD) {
		crash_trim_all(r->vol);
	}
	tree_take(&r->trees[0], r->vol, again, r);
	crash_operate(r, op_set_up);
	crash_sync(r);
}

void crash_lasting(struct run *r, enum lasting how, const char *path)
{
	if (how == FSYNC) {
		crash_fsync(r, path);
	} else if (how == SYNC) {
		crash_sync(r);
	}
}

void crash_random(struct run *r, operation op, uint64_t seed)
{
	unsigned length = op == op_hashed ? HASHED_LENGTH : LENGTH;

	for (unsigned i = 0; i < length; i++) {
		unsigned how;

		r->seed = fake_chance(&seed);
		crash_operate(r, op);
		how = fake_chance(&seed) % 32;
		if (how < 2) {
			char path[8] = "/d";

			if (op == op_random) {
				sprintf(path, "/n%u", (unsigned)
					(fake_chance(&seed) % 5));
			}
			crash_lasting(r, how == 0 ? FSYNC : SYNC, path);
		}
		volume_disk_tick(r->vd, i / 4);
		for (unsigned n = fake_chance(&seed) % 8;
		     n > 0 && crash_step(r); n--) {
		}
	}
	crash_sync(r);
}

void crash_close(struct run *r)
{
	struct crash_waiter waiter = { .wait.ready = on_ready };
	int error;

	while ((error = volume_disk_close(r->vd, &waiter.wait)) == EAGAIN) {
		crash_wait(r, &waiter);
	}
	assert_int_equal(error, 0);
	volume_disk_end(r->vd, &waiter.wait);
}

void crash_finish(struct run *r)
{
	while (crash_step(r)) {
	}
	volume_disk_free(r->vd);
	fake_disk_close(&r->disk);
	for (unsigned i = 0; i <= r->done; i++) {
		tree_free(&r->trees[i]);
	}
	free(r->memory);
}
