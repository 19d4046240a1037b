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

#include "host-bridge/fs/jbd2/jbd2_int.h"
#include "qemu-test/unit/journal_world.h"

#define SECTOR		512u
#define MOST		6u		/* blocks that an action says it changes */
#define MORE		32u		/* and that some do, if all has room */

static unsigned chance(struct world *w, unsigned n)
{
	return (unsigned)(fake_chance(&w->seed) % n);
}

/* What a sector of a block has in a role and version; block 0 is always our own, and
 * says which round it is. */
static void make_sector(uint8_t *to, enum role role, unsigned block,
			uint32_t version, unsigned sector)
{
	uint32_t words[SECTOR / 4];
	uint32_t x = role * 77777u + block * 1234567u + version * 2654435761u;

	for (unsigned i = 0; i < SECTOR / 4; i++) {
		words[i] = x + i * (sector + 1);
	}
	words[1] = version;
	words[2] = (uint32_t)role << 16 | block;
	if (sector == 0 && version % 5 == 0) {
		be32_t magic = to_be32(JBD2_MAGIC);

		memcpy(words, &magic, sizeof(magic));
	}
	memcpy(to, words, SECTOR);
}

static void make_block(const struct world *w, uint8_t *to, unsigned block)
{
	for (unsigned s = 0; s < w->image->block_size / SECTOR; s++) {
		make_sector(to + s * SECTOR, w->blocks[block].role, block,
			    w->blocks[block].version, s);
	}
}

/* journal_ops: the round's own block, and the snapshot. */
static int world_close_round(void *arg)
{
	struct world *w = arg;
	struct volume_dev *dev = cache_dev(w->cache);
	uint8_t *data = dev->ops->change(dev, w->base, false);

	if (data == NULL) {
		return dev->absent ? EAGAIN : EIO;
	}
	while (w->round_count <= dev->running) {
		w->rounds = realloc(w->rounds, (w->round_count + 1) *
				    sizeof(*w->rounds));
		assert_non_null(w->rounds);
		memset(&w->rounds[w->round_count++], 0, sizeof(*w->rounds));
	}
	w->blocks[0] = (struct world_block){ OWN, (uint32_t)dev->running, 0 };
	make_block(w, data, 0);
	memcpy(w->rounds[dev->running].blocks, w->blocks, sizeof(w->blocks));
	w->rounds[dev->running].frozen = w->disk.time;
	return 0;
}

static void world_lasting(void *arg, uint64_t round)
{
	struct world *w = arg;

	w->rounds[round].lasting = w->disk.time;
}

static void world_failed(void *arg)
{
	((struct world *)arg)->failed = true;
}

static int64_t world_now(void *arg)
{
	return 1700000000000000000ll + (int64_t)
	       ((struct world *)arg)->disk.time * 1000000;
}

static void ready(struct volume_wait *wait)
{
	(void)wait;
}

/* One turn of the machine: the disk ends something, or the journal begins it. */
static bool step(struct world *w)
{
	if (chance(w, 2) && cache_due(w->cache)) {
		cache_run(w->cache);
		return true;
	}
	if (w->journal != NULL && journal_due(w->journal)) {
		journal_run(w->journal);
		return true;
	}
	if (fake_disk_step(&w->disk)) {
		return true;
	}
	if (cache_due(w->cache)) {
		cache_run(w->cache);
		return true;
	}
	return false;
}

/* Waits for something to happen; if nothing can, that is a dead end. */
static void must_step(struct world *w)
{
	w->waits++;
	if (!step(w)) {
		fail_msg("nothing is under way, and somebody waits");
	}
}

void world_open(struct world *w, struct image *image, uint64_t base,
		unsigned frames, unsigned features, uint64_t seed)
{
	struct journal_ops ops = {
		world_close_round, world_lasting, world_failed, world_now, w,
	};
	struct volume_dev *dev;
	char why[JOURNAL_WHY];
	int error;

	memset(w, 0, sizeof(*w));
	w->image = image;
	w->base = base;
	w->seed = seed;
	fake_disk_open(&w->disk, image->data, image->size, SECTOR, features);
	w->disk.seed = seed;
	w->disk.unfair = seed / 2 % 3;
	w->memory = malloc((size_t)frames * image->block_size);
	assert_non_null(w->memory);
	assert_int_equal(cache_open(&w->disk.dev, w->memory, (size_t)frames *
				    image->block_size, &w->cache), 0);
	dev = cache_dev(w->cache);
	assert_int_equal(dev->ops->set_block(dev, image->block_size == 1024
					     ? 10 : 12), 0);
	do {
		error = journal_open(w->cache, &image->place, &ops,
				     &w->journal, why);
	} while (error == EAGAIN && step(w));
	if (error != 0) {
		fail_msg("%d: %s", error, why);
	}
	w->rounds = calloc(1, sizeof(*w->rounds));
	w->round_count = 1;
	assert_non_null(w->rounds);
	/* Round 0: what was there before. */
}

/* A block in a role, by chance; 0: there is none. */
static unsigned pick(struct world *w, enum role role)
{
	uint64_t lasting = cache_dev(w->cache)->lasting;
	unsigned at = chance(w, WORLD_BLOCKS);

	for (unsigned i = 0; i < WORLD_BLOCKS; i++) {
		unsigned b = (at + i) % WORLD_BLOCKS;

		/* What was freed is used again when that is lasting. */
		if (b != 0 && w->blocks[b].role == role &&
		    (role != FREE || w->blocks[b].freed <= lasting)) {
			return b;
		}
	}
	return 0;
}

/* Gets memory to change a block in its new role; waits as long as it takes, and
 * then all the others are asked for again. */
static uint8_t *get(struct world *w, unsigned block, enum role role)
{
	struct volume_dev *dev = cache_dev(w->cache);
	uint8_t *data = (role == OWN ? dev->ops->change : dev->ops->poke)
			(dev, w->base + block, chance(w, 2));

	if (data == NULL && !dev->absent && !w->failed) {
		fail_msg("block %u: no memory", block);
	}
	return data;
}

/* What an action does, decided before; then all memory for it; then the change. */
static void act(struct world *w, struct volume_wait *wait)
{
	unsigned blocks[MORE], n = 1 + chance(w, w->large ? MORE : MOST);
	enum role roles[MORE];

	for (unsigned i = 0; i < n; i++) {
		enum role from = (enum role)chance(w, w->large ? 2 : 3);

		blocks[i] = pick(w, from);
		roles[i] = from != FREE ? from
			   : w->large || chance(w, 2) ? OWN : DATA;
		for (unsigned k = 0; k < i; k++) {
			blocks[i] = blocks[k] == blocks[i] ? 0 : blocks[i];
		}
	}
	for (;;) {
		const struct volume_dev *dev = cache_dev(w->cache);
		uint8_t *data[MORE];
		unsigned i = 0;

		int error = journal_begin(w->journal, MOST + 2, wait);

		if (error == EAGAIN) {
			must_step(w);
			continue;
		}
		assert_true(error == 0 || w->failed);
		/* A transaction has room for twice as much as it says; one block
		 * of it is the round's own. */
		while (n > MOST && dev->changed + n + 2 > 2 * dev->most) {
			n--;
		}
		cache_turn(w->cache, wait);
		for (; i < n; i++) {
			data[i] = blocks[i] != 0
				  ? get(w, blocks[i], roles[i]) : NULL;
			if (blocks[i] != 0 && data[i] == NULL) {
				break;
			}
		}
		if (i < n && !w->failed) {
			must_step(w);
			continue;
		}
		for (i = 0; i < n && !w->failed; i++) {
			if (blocks[i] != 0) {
				w->blocks[blocks[i]] = (struct world_block){
					roles[i], ++w->version, 0,
				};
				make_block(w, data[i], blocks[i]);
			}
		}
		break;
	}
	cache_wait_end(w->cache, wait);
}

static void give_free(struct world *w)
{
	struct volume_dev *dev = cache_dev(w->cache);
	unsigned block = pick(w, chance(w, 3) ? OWN : DATA);

	if (block != 0) {
		cache_turn(w->cache, NULL);
		dev->ops->discard(dev, w->base + block, 1);
		w->blocks[block] = (struct world_block){
			FREE, 0, dev->running,
		};
	}
}

int world_sync(struct world *w)
{
	struct volume_wait wait = { .ready = ready };
	int error;

	while ((error = journal_sync(w->journal, &wait)) == EAGAIN) {
		must_step(w);
	}
	cache_wait_end(w->cache, &wait);
	return error;
}

void world_play(struct world *w, unsigned steps)
{
	struct volume_wait wait = { .ready = ready };

	for (unsigned i = 0; i < steps && !w->failed; i++) {
		switch (chance(w, 16)) {
		case 0:
			world_sync(w);
			break;
		case 1:
		case 2:
		case 3:
			give_free(w);
			break;
		case 4:
			w->seconds += chance(w, 12);
			journal_tick(w->journal, w->seconds);
			break;
		default:
			act(w, &wait);
			break;
		}
		for (unsigned n = chance(w, 6); n > 0 && step(w); n--) {
		}
	}
}

int world_close(struct world *w)
{
	struct volume_wait wait = { .ready = ready };
	int error;

	while ((error = journal_close(w->journal, &wait)) == EAGAIN) {
		must_step(w);
	}
	cache_wait_end(w->cache, &wait);
	return error;
}

void world_quiet(struct world *w)
{
	while (step(w)) {
	}
}

void world_free(struct world *w)
{
	world_quiet(w);
	journal_free(w->journal);
	cache_close(w->cache);
	fake_disk_close(&w->disk);
	free(w->memory);
	free(w->rounds);
}

/* Whether a sector is a block's in that role, of a version not older and not newer
 * than those. */
static bool sector_is(const uint8_t *at, enum role role, unsigned block,
		      uint32_t oldest, uint32_t newest, unsigned sector)
{
	uint8_t want[SECTOR];
	uint32_t version;

	memcpy(&version, at + 4, sizeof(version));
	if (version < oldest || version > newest) {
		return false;
	}
	make_sector(want, role, block, version, sector);
	return memcmp(at, want, SECTOR) == 0;
}

const char *world_judge(const struct world *w, const struct image *im,
			unsigned time)
{
	static char text[128];
	const uint8_t *ours = im->data + w->base * im->block_size;
	uint32_t round, promised = 0;

	memcpy(&round, ours + 4, sizeof(round));
	for (uint32_t r = 0; r < w->round_count; r++) {
		if (w->rounds[r].lasting != 0 && w->rounds[r].lasting <= time) {
			promised = r;
		}
	}
	if (round < promised || round >= w->round_count ||
	    (round > 0 && w->rounds[round].frozen > time)) {
		snprintf(text, sizeof(text), "round %u, %u was promised",
			 round, promised);
		return text;
	}
	for (unsigned b = 0; round > 0 && b < WORLD_BLOCKS; b++) {
		const struct world_block *want = &w->rounds[round].blocks[b];
		bool data = want->role == DATA;

		for (unsigned s = 0; want->role != FREE &&
		     s < im->block_size / SECTOR; s++) {
			if (!sector_is(ours + b * im->block_size + s * SECTOR,
				       want->role, b, want->version,
				       data ? w->version : want->version, s)) {
				snprintf(text, sizeof(text), "round %u: %s "
					 "block %u is not of version %u", round,
					 data ? "data" : "own", b,
					 want->version);
				return text;
			}
		}
	}
	return NULL;
}
