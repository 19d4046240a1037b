/* SPDX-License-Identifier: MIT */
/*
 * Programs in Linux make, link, move, remove, write and read files, also such without
 * a name, while the host's program ends at any instant, as it begins, too: what each
 * is answered is what it would be without that, and so is what is there at the end.
 * Each has a directory of its own, and knows what is in there. Another Linux looks
 * into these, and believes what it has seen until it is told otherwise: nobody is
 * answered before that.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qemu-test/unit/fuse_restart.h"

struct worker workers[WORKERS];
uint64_t the_seed;
const char *doing;
static struct image made;

uint64_t restart_dir(const struct worker *w, unsigned in)
{
	return in == 0 ? w->dir : w->sub;
}

const char *restart_name(unsigned name)
{
	static const char *const names[NAMES] = {
		"a", "b", "a-longer-name", "d", "e",
	};

	return names[name];
}

void is(uint64_t a, uint64_t b, const char *what, const struct worker *w)
{
	if (a != b) {
		fail_msg("seed %lu, worker %u: %s: %s is %lu, not %lu, after %u "
			 "ends", (unsigned long)the_seed,
			 (unsigned)(w - workers), doing, what,
			 (unsigned long)a, (unsigned long)b, counts.ends);
	}
}

static void is_error(const struct worker *w)
{
	if (w->call->error != w->error) {
		fail_msg("seed %lu, worker %u: %s: errno %d, not %d, after %u "
			 "ends", (unsigned long)the_seed,
			 (unsigned)(w - workers), doing, w->call->error,
			 w->error, counts.ends);
	}
}

/* Waits for a worker's answer. */
static void finish(struct worker *w, bool ends)
{
	while (w->call != NULL && !w->call->answered) {
		world_turn(ends);
	}
}

static const char *name_of(const struct worker *w)
{
	static char said[32];
	struct fuse_in_header head;

	memcpy(&head, w->call->bytes, sizeof(head));
	snprintf(said, sizeof(said), "opcode %u", head.opcode);
	return said;
}

static void settle(struct worker *w)
{
	if (w->call != NULL && w->call->answered) {
		doing = name_of(w);
		is_error(w);
		if (w->then != NULL) {
			w->then(w);
		}
		world_done(w->call);
		w->call = NULL;
		other_is_right(w);
	}
}

static void step_into(struct worker *w)
{
	w->dir = ((const struct fuse_entry_out *)w->call->reply)->nodeid;
}

/* The mount, and a directory for each. */
static void set_up(void)
{
	struct fuse_init_in init = {
		.major = 7, .minor = 41, .max_readahead = 1 << 20,
		.flags = UINT32_MAX, .flags2 = UINT32_MAX,
	};
	struct fuse_mkdir_in in = { .mode = 0755 };

	memset(workers, 0, sizeof(workers));
	other_begin();
	for (unsigned i = 0; i < GUESTS; i++) {
		workers[0].call = world_call(i, FUSE_INIT, 0);
		call_put(workers[0].call, &init, sizeof(init));
		ops_send(&workers[0], NULL, 0);
		finish(&workers[0], false);
		settle(&workers[0]);
	}
	for (unsigned i = 0; i < WORKERS; i++) {
		struct worker *w = &workers[i];
		char name[8];

		snprintf(name, sizeof(name), "w%u", i);
		w->call = world_call(0, FUSE_MKDIR, FUSE_ROOT_ID);
		call_put(w->call, &in, sizeof(in));
		call_name(w->call, name);
		ops_send(w, step_into, 0);
		finish(w, false);
		settle(w);
	}
}

static void look_at_all(struct worker *w)
{
	for (w->in = 0; w->in < 1 + (w->sub != 0); w->in++) {
		for (w->name = 0; w->name < NAMES; w->name++) {
			ops_look_up(w);
			finish(w, false);
			settle(w);
		}
	}
	for (unsigned i = 0; i < FILES; i++) {
		if (w->files[i].used) {
			ops_read(w, &w->files[i]);
			finish(w, false);
			settle(w);
			ops_get_attr(w, &w->files[i]);
			finish(w, false);
			settle(w);
		}
	}
}

static void play(uint64_t seed, unsigned turns)
{
	struct image image;

	the_seed = seed;
	world_begin(&made, BLOCK_HAS_FLUSH | (seed % 2 ? BLOCK_HAS_FUA : 0),
		    seed);
	set_up();
	for (unsigned i = 0; i < turns; i++) {
		struct worker *w = &workers[world_chance(WORKERS)];

		settle(w);
		if (w->call == NULL) {
			ops_act(w);
		}
		if (world_chance(4) == 0) {
			other_look();
		}
		world_turn(true);
	}
	for (unsigned i = 0; i < WORKERS; i++) {
		finish(&workers[i], true);
		settle(&workers[i]);
		look_at_all(&workers[i]);
	}
	world_end(&image);
	if (image_run(&image, "e2fsck -fn image") != 0) {
		fail_msg("seed %lu: e2fsck", (unsigned long)seed);
	}
	image_free(&image);
}

static void over_ends(void **state)
{
	const char *many = getenv("RESTARTS"), *from = getenv("SEED");
	uint64_t first = from != NULL ? strtoull(from, NULL, 0) : 1;
	unsigned rounds = many != NULL ? (unsigned)atoi(many) : 24;
	struct restart_counts all = { 0 };

	(void)state;
	image_make(&made, 1024, "2600K", "-N 256 -J size=1", NULL);
	for (uint64_t seed = first; seed < first + rounds; seed++) {
		play(seed, 40000);
		all.ends += counts.ends;
		all.early += counts.early;
		all.met += counts.met;
		all.again += counts.again;
		all.requests += counts.requests;
	}
	print_message("%u requests; %u ends, %u of them as it began, %u in the "
		      "middle of requests, %u of which went again\n",
		      all.requests, all.ends, all.early, all.met, all.again);
	image_free(&made);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(over_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
