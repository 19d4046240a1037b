/* SPDX-License-Identifier: MIT */
/*
 * The cache before the recording disk: what is fetched and for whom it stays, what
 * is written and when, what is told of errors; and at random against an array.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/blk/cache.h"
#include "qemu-test/unit/fake/disk.h"

#define BLOCK		1024u
#define BLOCKS		256u
#define FRAMES		32u

static uint8_t image[BLOCKS * BLOCK], memory[FRAMES * BLOCK];
static struct fake_disk disk;
static struct cache *cache;
static struct volume_dev *dev;

/* Each block begins with its number. */
static void open_cache(void)
{
	for (uint32_t i = 0; i < BLOCKS; i++) {
		memcpy(image + i * BLOCK, &i, sizeof(i));
	}
	fake_disk_open(&disk, image, sizeof(image), 512, BLOCK_HAS_FLUSH);
	assert_int_equal(cache_open(&disk.dev, memory, sizeof(memory), &cache),
			 0);
	dev = cache_dev(cache);
	assert_int_equal(dev->ops->set_block(dev, 10), 0);
	assert_int_equal(dev->blocks, BLOCKS);
}

static bool step(void)
{
	if (cache_due(cache)) {
		cache_run(cache);
		return true;
	}
	return fake_disk_step(&disk);
}

static void settle(void)
{
	while (step()) {
	}
}

static void close_cache(void)
{
	settle();
	cache_close(cache);
	fake_disk_close(&disk);
}

struct waiter {
	struct volume_wait wait;	/* first */
	unsigned told;
};

static void ready(struct volume_wait *wait)
{
	((struct waiter *)wait)->told++;
}

static struct waiter new_waiter(void)
{
	return (struct waiter){ .wait = { .ready = ready } };
}

static uint32_t word(const uint8_t *data)
{
	uint32_t w;

	memcpy(&w, data, sizeof(w));
	return w;
}

static uint32_t on_disk(uint32_t block)
{
	return word(disk.now + block * BLOCK);
}

/* The block, however often it takes. */
static uint8_t *must_poke(uint32_t block)
{
	uint8_t *data;

	while ((data = dev->ops->poke(dev, block, false)) == NULL) {
		assert_true(dev->absent);
		assert_true(step());
	}
	return data;
}

static void put(uint32_t block, uint32_t value)
{
	memcpy(must_poke(block), &value, sizeof(value));
}

static int flush(void)
{
	int error;

	while ((error = dev->ops->flush(dev)) == EAGAIN) {
		assert_true(step());
	}
	return error;
}

static void test_fetch(void **state)
{
	struct waiter a = new_waiter(), b = new_waiter();
	struct cache_stats before, after;

	(void)state;
	open_cache();
	cache_turn(cache, &a.wait);
	assert_null(dev->ops->peek(dev, 7));
	assert_true(dev->absent);
	assert_null(dev->ops->peek(dev, 9));
	cache_turn(cache, &b.wait);
	assert_null(dev->ops->peek(dev, 9));	/* one read for both */
	assert_int_equal(disk.pending_count, 2);
	settle();
	/* Told once, when all is there. */
	assert_int_equal(a.told, 1);
	assert_int_equal(b.told, 1);
	cache_turn(cache, &a.wait);
	assert_int_equal(word(dev->ops->peek(dev, 7)), 7);
	assert_int_equal(word(dev->ops->peek(dev, 9)), 9);
	assert_null(dev->ops->peek(dev, BLOCKS));
	assert_false(dev->absent);
	cache_wait_end(cache, &a.wait);
	cache_wait_end(cache, &b.wait);
	/* Neighbours go in one request, as many as one may have. */
	cache_ahead(cache, 100, 8);
	assert_int_equal(disk.pending_count, 1);
	assert_int_equal(disk.pending[0]->sectors, 16);
	settle();
	/* And lie in one piece. */
	for (uint32_t i = 100; i < 108; i++) {
		assert_int_equal(word(dev->ops->peek(dev, i)), i);
		assert_ptr_equal(dev->ops->peek(dev, i),
				 dev->ops->peek(dev, 100) + (i - 100) * BLOCK);
	}
	/* What is there is not fetched, what is looked at twice in a turn is
	 * looked for once. */
	dev->ops->ahead(dev, 100, 8);
	assert_int_equal(disk.pending_count, 0);
	cache_stats(cache, &before);
	assert_int_equal(before.ahead, 8);
	dev->ops->peek(dev, 104);
	cache_stats(cache, &after);
	assert_int_equal(after.hits, before.hits);
	/* Never more than a quarter of the memory. */
	cache_ahead(cache, 0, BLOCKS);
	settle();
	assert_null(dev->ops->peek(dev, FRAMES / 4));
	close_cache();
}

/* Two that each need most of the memory both come to their end. */
static void test_pins(void **state)
{
	struct waiter w[2] = { new_waiter(), new_waiter() };
	unsigned done = 0;

	(void)state;
	open_cache();
	for (unsigned tries = 0; done != 3; tries++) {
		unsigned who = tries % 2;
		uint32_t missing = 0;

		assert_true(tries < 100);
		if ((done >> who & 1) != 0) {
			continue;
		}
		cache_turn(cache, &w[who].wait);
		for (uint32_t i = 0; i < 14; i++) {
			missing += dev->ops->peek(dev, who * 100 + i) == NULL;
		}
		if (missing == 0) {
			cache_wait_end(cache, &w[who].wait);
			done |= 1u << who;
		} else {
			/* Others come by. */
			for (uint32_t i = 0; i < 3; i++) {
				cache_turn(cache, NULL);
				dev->ops->peek(dev, 200 + tries * 3 % 50 + i);
				settle();
			}
		}
	}
	close_cache();
}

/* What was looked at in a turn stays where it is until the next. */
static void test_turn(void **state)
{
	const uint8_t *first;

	(void)state;
	open_cache();
	for (uint32_t i = 0; i < FRAMES; i++) {
		dev->ops->peek(dev, i);
		settle();
	}
	cache_turn(cache, NULL);
	first = dev->ops->peek(dev, 0);
	assert_non_null(first);
	for (uint32_t i = 1; i < FRAMES; i++) {
		assert_non_null(dev->ops->peek(dev, i));
	}
	for (uint32_t i = FRAMES; i < 2 * FRAMES; i++) {
		assert_null(dev->ops->peek(dev, i));
		settle();
	}
	assert_int_equal(word(first), 0);
	cache_turn(cache, NULL);
	dev->ops->peek(dev, FRAMES);
	settle();
	assert_int_equal(word(dev->ops->peek(dev, FRAMES)), FRAMES);
	close_cache();
}

static void test_write_back(void **state)
{
	struct cache_stats stats;

	(void)state;
	open_cache();
	cache_tick(cache, 100);
	put(5, 500);
	cache_tick(cache, 104);
	put(6, 600);
	settle();
	assert_int_equal(on_disk(5), 5);
	cache_tick(cache, 105);
	settle();
	assert_int_equal(on_disk(5), 500);
	assert_int_equal(on_disk(6), 6);
	cache_tick(cache, 109);
	settle();
	assert_int_equal(on_disk(6), 600);
	/* What is of no more use is not written; and reads as anything. */
	put(7, 700);
	dev->ops->discard(dev, 7, 1);
	assert_int_equal(flush(), 0);
	assert_int_equal(on_disk(7), 7);
	/* Changed as it is written, it is written again. */
	put(8, 800);
	assert_int_equal(dev->ops->flush(dev), EAGAIN);
	put(8, 801);
	assert_int_equal(flush(), 0);
	assert_int_equal(flush(), 0);
	assert_int_equal(on_disk(8), 801);
	/* Neighbours together, whatever the order in which they were changed. */
	settle();
	cache_stats(cache, &stats);
	assert_int_equal(stats.dirty, 0);
	for (uint32_t i = 0; i < 8; i++) {
		put(50 + (i * 5) % 8, i);
	}
	settle();
	disk.dev.stats.writes = 0;
	assert_int_equal(flush(), 0);
	assert_int_equal(disk.dev.stats.writes, 1);
	/* More than there is memory for: written as it fills. */
	for (uint32_t i = 0; i < BLOCKS; i++) {
		cache_turn(cache, NULL);
		put(i, i + 1000);
	}
	assert_int_equal(flush(), 0);
	for (uint32_t i = 0; i < BLOCKS; i++) {
		assert_int_equal(on_disk(i), i + 1000);
	}
	close_cache();
}

static bool fails(struct fake_disk *d, const struct block_req *req)
{
	return req->op == *(enum block_op *)d->arg;
}

static void test_errors(void **state)
{
	struct waiter a = new_waiter(), b = new_waiter();
	enum block_op failing = BLOCK_READ;

	(void)state;
	open_cache();
	disk.fails = fails;
	disk.arg = &failing;
	cache_turn(cache, &a.wait);
	assert_null(dev->ops->peek(dev, 3));
	cache_turn(cache, &b.wait);
	assert_null(dev->ops->poke(dev, 3, false));
	settle();
	/* EIO for both, and for nobody later. */
	assert_int_equal(a.told, 1);
	assert_null(dev->ops->peek(dev, 3));
	assert_false(dev->absent);
	assert_null(dev->ops->poke(dev, 3, false));
	assert_false(dev->absent);
	cache_wait_end(cache, &a.wait);
	cache_wait_end(cache, &b.wait);
	cache_turn(cache, NULL);
	assert_null(dev->ops->peek(dev, 3));
	assert_true(dev->absent);
	settle();
	assert_null(dev->ops->peek(dev, 3));	/* who has no wait, too */
	assert_false(dev->absent);
	disk.fails = NULL;
	put(3, 300);
	/* A write that fails is told to the next flush, once. */
	failing = BLOCK_WRITE;
	disk.fails = fails;
	cache_tick(cache, 100);
	settle();
	assert_int_equal(on_disk(3), 3);
	disk.fails = NULL;
	assert_int_equal(flush(), EIO);
	assert_int_equal(flush(), 0);
	/* And so is a flush. */
	failing = BLOCK_FLUSH;
	disk.fails = fails;
	assert_int_equal(flush(), EIO);
	disk.fails = NULL;
	assert_int_equal(flush(), 0);
	close_cache();
	/* What must not be written to is not. */
	open_cache();
	dev->read_only = true;
	assert_null(dev->ops->poke(dev, 3, false));
	assert_false(dev->absent);
	assert_int_equal(dev->ops->set_block(dev, 8), EINVAL);
	close_cache();
}

static bool touches(struct fake_disk *d, const struct block_req *req)
{
	uint64_t bad = *(uint64_t *)d->arg * (BLOCK / d->dev.sector_size);

	return req->op != BLOCK_FLUSH && bad >= req->sector &&
	       bad < req->sector + req->sectors;
}

/* A bad block fails alone, whatever was to be read or written with it. */
static void test_bad_block(void **state)
{
	struct waiter a = new_waiter();
	uint64_t bad = 13;

	(void)state;
	open_cache();
	disk.arg = &bad;
	disk.fails = touches;
	cache_turn(cache, &a.wait);
	cache_ahead(cache, 10, 7);
	assert_null(dev->ops->peek(dev, 10));
	settle();
	for (uint32_t block = 10; block < 17; block++) {
		const uint8_t *data = dev->ops->peek(dev, block);

		assert_false(dev->absent);
		assert_true(block == bad ? data == NULL : data != NULL &&
			    word(data) == block);
	}
	disk.fails = NULL;
	for (uint32_t block = 10; block < 17; block++) {
		put(block, block * 100);
	}
	disk.fails = touches;
	assert_int_equal(flush(), EIO);
	for (uint32_t block = 10; block < 17; block++) {
		assert_int_equal(on_disk(block),
				 block == bad ? block : block * 100);
	}
	/* Changed again while it is tried again. */
	put(12, 5);
	put(13, 5);
	put(14, 5);
	cache_tick(cache, 200);
	assert_true(fake_disk_step(&disk));
	put(14, 6);
	assert_int_equal(flush(), EIO);
	assert_int_equal(on_disk(12), 5);
	assert_int_equal(on_disk(13), 13);
	assert_int_equal(on_disk(14), 6);
	assert_int_equal(flush(), 0);
	cache_wait_end(cache, &a.wait);
	close_cache();
}

/* At random, against an array; and after each flush the disk has it. */
static void test_random(void **state)
{
	static uint32_t want[BLOCKS];
	uint64_t seed = 5;

	(void)state;
	open_cache();
	for (uint32_t i = 0; i < BLOCKS; i++) {
		want[i] = i;
	}
	for (uint32_t n = 1; n < 20000; n++) {
		uint32_t block = (uint32_t)(fake_chance(&seed) % 60);

		cache_turn(cache, NULL);
		switch (fake_chance(&seed) % 8) {
		case 0:
			cache_tick(cache, n / 100);
			break;
		case 1:
			if (n % 5 == 0) {
				assert_int_equal(flush(), 0);
				for (uint32_t i = 0; i < BLOCKS; i++) {
					assert_int_equal(on_disk(i), want[i]);
				}
			}
			break;
		case 2:
		case 3:
		case 4:
			put(block, n);
			want[block] = n;
			break;
		default:
			while (dev->ops->peek(dev, block) == NULL) {
				assert_true(step());
			}
			assert_int_equal(word(dev->ops->peek(dev, block)),
					 want[block]);
			break;
		}
		while (fake_chance(&seed) % 2 == 0 && step()) {
		}
	}
	close_cache();
}

/* Whether what was written last to a block is lasting. */
static bool lasts(uint32_t block)
{
	unsigned written = 0;
	bool yes = false;

	for (unsigned i = 0; i < disk.count; i++) {
		const struct fake_write *w = &disk.log[i];

		if (w->op == BLOCK_FLUSH) {
			yes |= w->done != 0 && written != 0 &&
			       w->submitted > written;
		} else if (block * BLOCK / 512 - w->sector < w->sectors) {
			written = w->done;
			yes = false;
		}
	}
	return yes;
}

static int flush_of(struct waiter *w)
{
	cache_turn(cache, &w->wait);
	return dev->ops->flush(dev);
}

/* Each gets the flush that has what he has written, whoever asks first when one has
 * ended, and the result of that one. */
static void test_flushes(void **state)
{
	struct waiter a = new_waiter(), b = new_waiter(), c = new_waiter();
	enum block_op failing = BLOCK_FLUSH;

	(void)state;
	open_cache();
	put(1, 11);
	assert_int_equal(flush_of(&a), EAGAIN);
	put(2, 22);
	assert_int_equal(flush_of(&b), EAGAIN);
	while (!lasts(1)) {
		assert_true(step());
	}
	assert_false(lasts(2));
	/* That one has ended, and nobody has asked. */
	put(3, 33);
	assert_int_equal(flush_of(&c), EAGAIN);
	assert_int_equal(flush_of(&b), EAGAIN);
	disk.fails = fails;
	disk.arg = &failing;
	settle();
	disk.fails = NULL;
	assert_int_equal(flush_of(&b), EIO);
	assert_int_equal(flush_of(&c), EIO);
	assert_int_equal(flush_of(&a), 0);
	assert_int_equal(flush(), 0);
	assert_true(lasts(2) && lasts(3));
	cache_wait_end(cache, &a.wait);
	cache_wait_end(cache, &b.wait);
	cache_wait_end(cache, &c.wait);
	close_cache();
}

/* All memory is dirty, and several wait for some: they are told when there is some
 * for all of them, not at each block that was written. */
static void test_wait_for_memory(void **state)
{
	struct waiter w[FRAMES / 8];
	unsigned tries = 0, got = 0;
	bool has[FRAMES / 8] = { false };

	(void)state;
	open_cache();
	for (uint32_t i = 0; i < FRAMES; i++) {
		cache_turn(cache, NULL);
		assert_non_null(dev->ops->poke(dev, 2 * i, true));
	}
	for (unsigned i = 0; i < FRAMES / 8; i++) {
		w[i] = new_waiter();
		w[i].told = 1;
	}
	while (got < FRAMES / 8) {
		for (unsigned i = 0; i < FRAMES / 8; i++) {
			if (has[i] || w[i].told == 0) {
				continue;
			}
			w[i].told = 0;
			tries++;
			cache_turn(cache, &w[i].wait);
			has[i] = dev->ops->poke(dev, 101 + 2 * i, true) != NULL;
			got += has[i];
			if (has[i]) {
				cache_wait_end(cache, &w[i].wait);
			}
		}
		assert_true(got == FRAMES / 8 || step());
	}
	assert_int_equal(tries, 2 * FRAMES / 8);
	close_cache();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wait_for_memory),
		cmocka_unit_test(test_fetch),
		cmocka_unit_test(test_pins),
		cmocka_unit_test(test_turn),
		cmocka_unit_test(test_write_back),
		cmocka_unit_test(test_flushes),
		cmocka_unit_test(test_errors), cmocka_unit_test(test_bad_block),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
