/* SPDX-License-Identifier: MIT */
/* The volume on a disk in the loop: how long its end may take, and what is said
 * when it does not come, or when the disk fails before. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "host-bridge/dev/dma.h"
#include "host-bridge/fs/volume_loop.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/rt/notice.h"

static struct {
	uint64_t now;			/* ms */
	int close;			/* what it answers */
	unsigned steps;
	struct volume_disk_state state;
	void (*on_failure)(void);
} world;
static char said[512];

void notice(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(said, sizeof(said), fmt, ap);
	va_end(ap);
}

uint64_t tsc_now(void)
{
	return world.now;
}

uint64_t loop_ms_to_ticks(uint64_t ms)
{
	return ms;
}

uint64_t loop_uptime_ms(void)
{
	return world.now;
}

/* Something happens every 3 s, or it is time. */
void loop_step(uint64_t deadline)
{
	world.steps++;
	world.now = deadline < world.now + 3000 ? deadline : world.now + 3000;
}

void loop_turn(void)
{
}

void loop_work_add(struct loop_work *w)
{
	(void)w;
}

void loop_timer_set(struct loop_timer *timer, uint64_t delay_ms,
		    void (*fn)(struct loop_timer *timer))
{
	timer->deadline = world.now + delay_ms;
	timer->fn = fn;
}

void loop_timer_cancel(struct loop_timer *timer)
{
	timer->deadline = 0;
}

size_t dma_room(void)
{
	return 1 << 20;
}

void *dma_alloc(size_t size, size_t align)
{
	return aligned_alloc(align, size);
}

void dma_free(void *data, size_t size)
{
	(void)size;
	free(data);
}

static struct volume_disk *const fake = (struct volume_disk *)&world;
static void *memory;

int volume_disk_new(struct block_dev *dev, void *data, size_t bytes,
		    struct volume_disk **out)
{
	(void)dev;
	(void)bytes;
	memory = data;
	*out = fake;
	return 0;
}

void volume_disk_follow(struct volume_disk *d,
			void (*settle)(uint32_t first_lost))
{
	(void)d;
	(void)settle;
	fail();			/* no program has ended before */
}

void volume_disk_on_failure(struct volume_disk *d, void (*fn)(void))
{
	(void)d;
	world.on_failure = fn;
}

int volume_disk_open(struct volume_disk *d, struct volume **out,
		     char why[JOURNAL_WHY])
{
	(void)d;
	(void)out;
	(void)why;
	return 0;
}

struct volume_turns *volume_disk_turns(struct volume_disk *d)
{
	(void)d;
	return NULL;
}

int volume_disk_close(struct volume_disk *d, struct volume_wait *wait)
{
	(void)d;
	(void)wait;
	return world.close;
}

void volume_disk_look_at(const struct volume_disk *d,
			 struct volume_disk_state *state)
{
	(void)d;
	*state = world.state;
}

void volume_disk_tick(struct volume_disk *d, uint32_t seconds)
{
	(void)d;
	(void)seconds;
}

bool volume_disk_due(const struct volume_disk *d)
{
	(void)d;
	return false;
}

bool volume_disk_run(struct volume_disk *d)
{
	(void)d;
	return false;
}

static int setup(void **state)
{
	struct block_dev dev = { .name = "fake7" };
	struct volume_turns *turns;
	char why[JOURNAL_WHY];
	struct volume *vol;

	(void)state;
	memset(&world, 0, sizeof(world));
	said[0] = '\0';
	return volume_loop_open(&dev, &vol, &turns, why);
}

static int teardown(void **state)
{
	(void)state;
	free(memory);
	return 0;
}

static void describe(const char *want)
{
	char text[120];

	volume_loop_describe(text, sizeof(text));
	assert_string_equal(text, want);
}

/* What `disk` and `memory` say of the cache. */
static void its_cache_is_described(void **state)
{
	char text[240];

	(void)state;
	world.state.block_size = 4096;
	world.state.cache = (struct cache_stats){
		.frames = 100, .dirty = 3, .held = 2, .hits = 1ull << 40,
		.misses = 5, .ahead = 6, .written = 7, .failed = 8,
	};
	volume_loop_describe_cache(text, sizeof(text));
	assert_string_equal(text, "the volume's blocks in memory: at most 400 "
			    "KiB, 12 KiB dirty, 8 KiB the journal's; "
			    "1099511627776 hits, 5 misses, 6 read ahead, "
			    "7 written, 8 failed");
	assert_int_equal(volume_loop_close(60000), 0);
	volume_loop_describe_cache(text, sizeof(text));
	assert_string_equal(text, "");
}

static void closes(void **state)
{
	(void)state;
	describe("on disk fake7, 0 blocks not written yet");
	assert_int_equal(volume_loop_close(60000), 0);
	assert_string_equal(said, "");
	describe("");
}

/* A disk that never comes to an end holds the machine up for a minute. */
static void does_not_close(void **state)
{
	(void)state;
	world.close = EAGAIN;
	world.state.unwritten = 12;
	assert_int_equal(volume_loop_close(59999), ETIMEDOUT);
	assert_int_equal(world.now, 59999);
	assert_int_equal(world.steps, 20);
	assert_non_null(strstr(said, "disk fake7: "));
	assert_non_null(strstr(said, "timed out"));
	assert_non_null(strstr(said, "up to 12 blocks"));
}

static void fails(void **state)
{
	(void)state;
	world.on_failure();
	assert_non_null(strstr(said, "disk fake7 "));
	world.state = (struct volume_disk_state){
		.failed = true, .unwritten = 3,
	};
	describe("on disk fake7, READ ONLY: it could not be written, 3 blocks "
		 "not written yet");
	world.close = EIO;
	assert_int_equal(volume_loop_close(60000), EIO);
	assert_int_equal(world.now, 0);
	assert_non_null(strstr(said, "up to 3 blocks"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(its_cache_is_described, setup,
						teardown),
		cmocka_unit_test_setup_teardown(closes, setup, teardown),
		cmocka_unit_test_setup_teardown(does_not_close, setup,
						teardown),
		cmocka_unit_test_setup_teardown(fails, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
