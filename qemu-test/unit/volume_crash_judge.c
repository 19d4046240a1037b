/* SPDX-License-Identifier: MIT */
/*
 * The judges of what a power cut has left: our recovery, e2fsck, and the model: a
 * volume as it was between two operations, no older than was promised, in which no
 * byte of a file is what it never was. The image lies in a file without a name, so
 * that e2fsck reads what is in our memory. A state that was judged is not judged
 * again.
 */
#define _GNU_SOURCE			/* memfd_create() */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "qemu-test/unit/volume_crash.h"

#define SEEN		(1u << 16)	/* states of a workload */
#define TWICE		16u		/* of so many one is cut in its recovery */

extern char **environ;

static struct image cut;
static int cut_file;
static struct crash_counts *count;
static uint64_t seen[SEEN];
static unsigned seen_count;

void judge_open(const struct image *image, struct crash_counts *counts)
{
	count = counts;
	image_copy(&cut, image);
	free(cut.data);
	cut_file = memfd_create("cut", 0);
	assert_true(cut_file >= 0);
	assert_int_equal(ftruncate(cut_file, (off_t)cut.size), 0);
	cut.data = mmap(NULL, cut.size, PROT_READ | PROT_WRITE, MAP_SHARED,
			cut_file, 0);
	assert_true(cut.data != MAP_FAILED);
}

void judge_close(void)
{
	munmap(cut.data, cut.size);
	close(cut_file);
	cut.data = NULL;
	image_free(&cut);
}

__attribute__((no_sanitize("address", "undefined")))
static uint64_t hash(uint64_t from)
{
	const uint64_t *words = (const uint64_t *)cut.data;
	uint64_t a = from + 1, b = ~from;

	for (size_t i = 0; i < cut.size / 8; i += 2) {
		a = (a ^ words[i]) * 0x9e3779b97f4a7c15ull;
		b = (b ^ words[i + 1]) * 0xc2b2ae3d27d4eb4full;
		a ^= a >> 29;
		b ^= b >> 31;
	}
	return (a ^ b >> 17) | 1;
}

static bool seen_before(uint64_t value)
{
	unsigned at = (unsigned)(value >> 1) % SEEN;

	for (; seen[at] != 0; at = (at + 1) % SEEN) {
		if (seen[at] == value) {
			return true;
		}
	}
	assert_true(++seen_count < SEEN / 2);
	seen[at] = value;
	return false;
}

static int e2fsck(bool loud)
{
	char path[32];
	char *args[] = { "e2fsck", "-fn", path, NULL };
	posix_spawn_file_actions_t files;
	int status;
	pid_t pid;

	sprintf(path, "/proc/self/fd/%d", cut_file);
	posix_spawn_file_actions_init(&files);
	if (!loud) {
		posix_spawn_file_actions_addopen(&files, 1, "/dev/null",
						 O_WRONLY, 0);
		posix_spawn_file_actions_adddup2(&files, 1, 2);
	}
	assert_int_equal(posix_spawnp(&pid, args[0], &files, NULL, args,
				      environ), 0);
	posix_spawn_file_actions_destroy(&files);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Whether each byte of a file is what it was after that operation or a later one. */
static bool content_right(const struct run *r, unsigned k,
			  const struct tree_file *file)
{
	const struct tree_file *same = tree_file(&r->trees[k], file->ino,
						 file->gen);

	if (same != NULL && same->size == file->size &&
	    memcmp(same->data, file->data, file->size) == 0) {
		return true;
	}
	for (uint64_t at = 0; at < file->size; at++) {
		bool right = false;

		for (unsigned i = k; i <= r->done && !right; i++) {
			const struct tree_file *was =
				tree_file(&r->trees[i], file->ino, file->gen);

			right = was != NULL && file->data[at] ==
				(at < was->size ? was->data[at] : 0);
		}
		if (!right) {
			return false;
		}
	}
	return true;
}

static bool is_state(const struct run *r, unsigned k, const struct tree *tree)
{
	if (strcmp(tree->text, r->trees[k].text) != 0) {
		return false;
	}
	for (unsigned i = 0; i < tree->count; i++) {
		if (!content_right(r, k, &tree->files[i])) {
			return false;
		}
	}
	return true;
}

static void never(void *arg)
{
	(void)arg;
	fail_msg("a volume in memory has no block that is absent");
}

static unsigned promised(const struct run *r, unsigned time)
{
	unsigned least = 0;

	for (unsigned i = 0; i < r->promised && r->promises[i].at <= time;
	     i++) {
		if (r->promises[i].least > least) {
			least = r->promises[i].least;
		}
	}
	return least;
}

/* Opens what was brought back, as it would be opened from a disk. */
static void judge_tree(struct run *r, unsigned time, unsigned least)
{
	static struct tree tree;
	struct volume_dev *mem;
	struct volume *vol;
	bool right = false;

	assert_int_equal(volume_mem_open(cut.data, cut.size, &mem), 0);
	assert_int_equal(volume_open(mem, &vol), 0);
	tree_take(&tree, vol, never, NULL);
	assert_int_equal(volume_close(vol), 0);
	mem->ops->close(mem);
	if (e2fsck(false) != 0) {
		e2fsck(true);
		fail_msg("at %u: e2fsck finds something", time);
	}
	for (unsigned k = least; k <= r->done && !right; k++) {
		right = is_state(r, k, &tree);
	}
	if (!right) {
		print_message("is:\n%swas, after %u:\n%s", tree.text, least,
			      r->trees[least].text);
		fail_msg("at %u: not what it was at any time", time);
	}
	tree_free(&tree);
}

/* The power goes again while the volume is being opened. */
static void cut_again(uint64_t *seed)
{
	size_t bytes = FRAMES * cut.block_size;
	uint8_t *memory = malloc(bytes);
	struct fake_cuts cuts;
	struct volume_disk *vd;
	char why[JOURNAL_WHY];
	struct fake_disk disk;
	struct volume *vol;
	int error;

	assert_non_null(memory);
	fake_disk_open(&disk, cut.data, cut.size, 512, BLOCK_HAS_FLUSH);
	disk.seed = *seed;
	assert_int_equal(volume_disk_new(&disk.dev, memory, bytes, &vd), 0);
	while ((error = volume_disk_open(vd, &vol, why)) == EAGAIN) {
		if (volume_disk_due(vd)) {
			volume_disk_run(vd);
		} else if (!fake_disk_step(&disk)) {
			fail_msg("nothing is under way, and the volume waits");
		}
	}
	if (error != 0) {
		fail_msg("%d: %s", error, why);
	}
	fake_disk_settle(&disk);
	fake_cuts_begin(&cuts, &disk);
	fake_cuts_to(&cuts, (unsigned)(fake_chance(seed) % (disk.time + 1)));
	fake_cuts_make(&cuts, (enum fake_cut)(fake_chance(seed) % FAKE_CUTS),
		       seed, cut.data);
	fake_cuts_end(&cuts);
	volume_disk_free(vd);
	fake_disk_close(&disk);
	free(memory);
}

static void judge(struct run *r, unsigned time, uint64_t *seed)
{
	unsigned least = promised(r, time);
	struct journal_found found;
	struct image_dev dev;
	char why[JOURNAL_WHY];

	__atomic_add_fetch(&count->states, 1, __ATOMIC_RELAXED);
	if (fake_chance(seed) % TWICE == 0) {
		__atomic_add_fetch(&count->twice, 1, __ATOMIC_RELAXED);
		cut_again(seed);
	}
	if (seen_before(hash(least))) {
		return;
	}
	__atomic_add_fetch(&count->judged, 1, __ATOMIC_RELAXED);
	image_dev_open(&dev, &cut);
	if (image_recover(&dev, &found, why) != 0) {
		fail_msg("at %u: %s", time, why);
	}
	image_needs_recovery(&cut, false);
	judge_tree(r, time, least);
}

/* One way through the instants; the second and later ones leave out the cuts that
 * have no chance in them. */
static void pass(struct run *r, unsigned from, unsigned every, uint64_t *seed,
		 bool first)
{
	unsigned span = (r->disk.time - from + 1) * FAKE_CUTS;
	struct fake_cuts cuts;

	fake_cuts_begin(&cuts, &r->disk);
	for (unsigned at = (unsigned)(fake_chance(seed) % every); at < span;
	     at += every) {
		unsigned time = from + at / FAKE_CUTS;
		enum fake_cut how = (enum fake_cut)(at % FAKE_CUTS);

		if (!first && (how == FAKE_NONE || how == FAKE_ALL)) {
			continue;
		}
		fake_cuts_to(&cuts, time);
		if (fake_cuts_make(&cuts, how, seed, cut.data)) {
			judge(r, time, seed);
		}
	}
	fake_cuts_end(&cuts);
}

/* Until there were enough, or hardly a new one was found. */
void judge_all(struct run *r, unsigned from, unsigned wanted)
{
	unsigned span = (r->disk.time - from + 1) * FAKE_CUTS, before, every;
	uint64_t seed = r->disk.seed;

	memset(seen, 0, sizeof(seen));
	seen_count = 0;
	do {
		before = seen_count;
		every = span / (wanted - seen_count) + 1;
		pass(r, from, every, &seed, before == 0);
	} while (seen_count < wanted &&
		 seen_count - before > span / every / 16);
}

void judge_damaged(struct run *r, unsigned n)
{
	uint64_t seed = r->disk.seed;
	struct fake_cuts cuts;

	fake_cuts_begin(&cuts, &r->disk);
	for (unsigned i = 0; i < n; i++) {
		unsigned time = r->disk.time / 4 + r->disk.time * 3 / 4 * i / n;
		struct journal_found found;
		struct image_dev dev;
		char why[JOURNAL_WHY];
		uint64_t block;
		int error;

		fake_cuts_to(&cuts, time);
		fake_cuts_make(&cuts, FAKE_ALL, &seed, cut.data);
		block = cut.log[1 + fake_chance(&seed) % 100];
		cut.data[block * cut.block_size +
			 fake_chance(&seed) % cut.block_size] ^= 1;
		image_dev_open(&dev, &cut);
		error = image_recover(&dev, &found, why);
		count->states++;
		count->judged++;
		if (error != 0) {
			assert_int_equal(error, EIO);
			count->refused++;
			continue;
		}
		image_needs_recovery(&cut, false);
		judge_tree(r, time, 0);
	}
	fake_cuts_end(&cuts);
}
