/* SPDX-License-Identifier: MIT */
/*
 * The command "sample", and "top": the whole machine on one screen, painted anew each second. The
 * terminal on the console's line is asked for its size each time, by where the cursor
 * gets to when it is sent far away; one that does not answer has 24 lines of 80
 * characters. What is shown is ASCII, and never more than fits.
 * [ECMA-48 "CUP", "DSR", "CPR", "ED", "EL"]
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/blk/disks.h"
#include "host-bridge/guest/linux.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/nbd/nbd_server.h"
#include "host-bridge/net/stack.h"
#include "host-bridge/rt/hc.h"
#include "host-bridge/rt/heap.h"
#include "host-bridge/ui/commands.h"
#include "host-bridge/ui/console.h"
#include "host-bridge/ui/samples.h"
#include "host-bridge/ui/screen_size.h"
#include "host-bridge/ui/usage.h"

#define PAINT_MS	1000u
#define ANSWER_MS	300u	/* of a terminal, when it is left */

/* Where lines go: rows of a screen, or text. */
struct view {
	unsigned rows, cols, at;
	bool paint;
};

static void line(struct view *v, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* One more, as far as it fits. The last row of a screen has no end of line, which
 * would move all up; and the last column nothing, for behind it terminals differ in
 * what they erase. */
static void line(struct view *v, const char *fmt, ...)
{
	char text[SCREEN_COLS_MAX + 1];
	va_list ap;

	if (v->at == v->rows) {
		return;
	}
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (char *c = text; *c; c++) {
		*c = *c >= ' ' && *c <= '~' ? *c : '?';
	}
	if (v->paint) {
		printf("%s%.*s\033[K", v->at > 0 ? "\n" : "",
		       (int)v->cols - 1, text);
	} else {
		printf("%.*s\n", (int)v->cols, text);
	}
	v->at++;
}

/* Both are of a second. */
static unsigned kib(uint64_t before, uint64_t now, uint64_t ms)
{
	return (unsigned)(usage_rate(before, now, ms) >> 10);
}

static void head(struct view *v, const struct command_env *env,
		 const struct usage *a, const struct usage *b)
{
	uint64_t up = b->up > a->up ? b->up - a->up : 1, ms = b->ms - a->ms;
	uint64_t s = loop_uptime_ms() / 1000;
	struct hc_regs r;
	uint64_t owner[3] = { 0 };

	line(v, "Isthmus on %s, up %llu:%02u:%02u; rates over %u.%u s",
	     env->config->info->platform, (unsigned long long)(s / 3600),
	     (unsigned)(s / 60 % 60), (unsigned)(s % 60),
	     (unsigned)(ms / 1000), (unsigned)(ms / 100 % 10));
	line(v, "CPUs: %u, %u%% in partitions, %u%% idle",
	     (unsigned)env->config->info->machine_cpus,
	     (unsigned)((b->busy - a->busy) * 100 / up),
	     (unsigned)((b->idle - a->idle) * 100 / up));
	for (uint64_t i = 0; i < 3 &&
	     hc_query(HC_QUERY_OWNER, i, 0, &r) == HC_OK; i++) {
		owner[i] = r.rdi >> 10;
	}
	line(v, "memory KiB: %llu free, %llu hypervisor, %llu channels; heap "
	     "%llu of host", (unsigned long long)owner[0],
	     (unsigned long long)owner[1], (unsigned long long)owner[2],
	     (unsigned long long)(heap_used() >> 10));
}

/* The reason that it has left for most; empty: none. */
static void most(uint64_t id, const struct usage_partition *a,
		 const struct usage_partition *b, uint64_t ms, char text[40])
{
	uint64_t best = 0, rate;
	unsigned which = 0;
	struct hc_regs r;

	for (unsigned i = 0; i < USAGE_REASONS; i++) {
		rate = usage_rate(a->exits[i], b->exits[i], ms);
		which = rate > best ? i : which;
		best = rate > best ? rate : best;
	}
	text[0] = '\0';
	if (best > 0 && hc_query(HC_QUERY_EXITS, id, which, &r) == HC_OK) {
		snprintf(text, 40, "%s %llu", commands_name(r.rsi, r.rdx),
			 (unsigned long long)best);
	}
}

/* False past the last. */
static bool partition(struct view *v, uint64_t id, const struct usage *a,
		      const struct usage *b)
{
	const struct usage_partition *pa = &a->partition[id];
	const struct usage_partition *pb = &b->partition[id];
	uint64_t exits = 0, ms = b->ms - a->ms;
	struct hc_regs name, state, mem;
	char what[40], title[17];

	if (hc_query(HC_QUERY_NAME, id, 0, &name) != HC_OK ||
	    hc_query(HC_QUERY_STATE, id, 0, &state) != HC_OK ||
	    hc_query(HC_QUERY_MEMORY, id, 0, &mem) != HC_OK) {
		return false;
	}
	for (unsigned i = 0; i < USAGE_REASONS; i++) {
		exits += usage_rate(pa->exits[i], pb->exits[i], ms);
	}
	strlcpy(title, commands_name(name.rdi, name.rsi), sizeof(title));
	most(id, pa, pb, ms, what);
	line(v, "%-15s %-8s %6u.%u %6u %8llu %7u %7u %7u %7u  %s", title,
	     commands_state(state.rdi), (unsigned)(mem.rdi >> 20),
	     (unsigned)((mem.rdi & 0xfffff) * 10 >> 20),
	     (unsigned)(mem.rsi >> 20), (unsigned long long)exits,
	     kib(pa->from, pb->from, ms), kib(pa->to, pb->to, ms),
	     kib(pa->net_from, pb->net_from, ms),
	     kib(pa->net_to, pb->net_to, ms), what);
	return true;
}

static void disk(struct view *v, const char *name, const char *of,
		 const struct usage_disk *a, const struct usage_disk *b,
		 uint64_t ms)
{
	line(v, "%-15s %-15s %10u %10u %8u", name, of,
	     kib(a->read, b->read, ms), kib(a->written, b->written, ms),
	     (unsigned)usage_rate(a->flushes, b->flushes, ms));
}

/* In usage.c's order. */
static void disks(struct view *v, const struct command_env *env,
		  const struct usage *a, const struct usage *b)
{
	uint64_t ms = b->ms - a->ms;
	const struct nbd_disk *nbd;
	struct disks_disk *d;
	unsigned n = 0;

	line(v, "%-15s %-15s %10s %10s %8s", "disk", "of", "read KiB/s",
	     "written", "flushes");
	for (unsigned i = 0; n < USAGE_DISKS && (d = disks_get(i)); i++, n++) {
		disk(v, d->disk->dev.name, "", &a->disk[n], &b->disk[n], ms);
	}
	for (unsigned i = 0; i < env->count; i++) {
		for (unsigned k = 0; n < USAGE_DISKS && env->all[i].disks &&
		     (nbd = nbd_service_get(env->all[i].disks, k)); k++, n++) {
			disk(v, nbd->name, env->all[i].guest->want->name,
			     &a->disk[n], &b->disk[n], ms);
		}
	}
}

static void show(struct view *v, const struct command_env *env)
{
	const struct usage *a, *b;

	usage_look(env, &a, &b);
	head(v, env, a, b);
	line(v, "%s", "");
	line(v, "%-15s %-8s %8s %6s %8s %7s %7s %7s %7s  %s", "partition",
	     "state", "MiB", "cap", "exits/s", "from", "to", "net<", "net>",
	     "most exits");
	for (uint64_t id = 0; id < BOOT_MAX_PARTITIONS &&
	     partition(v, id, a, b); id++) {
	}
	line(v, "%s", "");
	if (disks_get(0) || env->disks) {
		disks(v, env, a, b);
	}
	if (stack_nic()) {
		line(v, "network card: %u KiB/s in, %u out",
		     kib(a->rx, b->rx, b->ms - a->ms),
		     kib(a->tx, b->tx, b->ms - a->ms));
	}
	line(v, "from, to: KiB/s over its channel, files and disks included; "
	     "net< from it, net> to it");
}

/* Looks at keys until the time. True: one of them says that it is enough. */
static bool keys(struct screen_size *size, uint64_t until)
{
	do {
		int key;

		while ((key = console_key()) >= 0) {
			if (screen_size_key(size, (uint8_t)key) &&
			    strchr("qQ\x03\x1d", key)) {
				return true;
			}
		}
		loop_step(until);
	} while (loop_now() < until && !console_interrupted());
	return console_interrupted();
}

static void paint(const struct command_env *env, struct screen_size *size)
{
	struct view v = { .paint = true };

	screen_size_get(size, &v.rows, &v.cols);
	printf("\033[H");
	show(&v, env);
	printf("\033[J");
	if (!console_is_remote()) {
		screen_size_ask(size);
	}
	fflush(stdout);
}

/* An answer on its way would be a line's first keys. */
static void leave(struct screen_size *size)
{
	uint64_t until = loop_now() + loop_ms_to_ticks(ANSWER_MS);

	printf("\033[?25h\033[?1049l");
	fflush(stdout);
	while (size->asked && loop_now() < until) {
		int key = console_key();

		if (key < 0) {
			loop_step(until);
		} else {
			(void)screen_size_key(size, (uint8_t)key);
		}
	}
}

static bool read_size(const char *text, unsigned at_most, unsigned *to)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	*to = n < at_most ? (unsigned)n : at_most;
	return *text >= '1' && *text <= '9' && !*end;
}

static void run_top(const struct command_env *env, int argc, char **argv,
		    const char *rest)
{
	struct screen_size size = { 0 };
	struct view v = { .rows = SCREEN_ROWS, .cols = SCREEN_COLS };

	(void)rest;
	if (argc == 3 || (argc > 1 && strcmp(argv[1], "--once") != 0) ||
	    (argc == 4 && (!read_size(argv[2], SCREEN_ROWS_MAX, &v.rows) ||
			   !read_size(argv[3], SCREEN_COLS_MAX, &v.cols)))) {
		printf("usage: top [--once [ROWS COLUMNS]]\n");
		return;
	}
	if (argc > 1) {
		show(&v, env);
		return;
	}
	printf("\033[?1049h\033[?25l");
	do {
		paint(env, &size);
	} while (!keys(&size, loop_now() + loop_ms_to_ticks(PAINT_MS)));
	leave(&size);
}

static void run_sample(const struct command_env *env, int argc, char **argv,
		       const char *rest)
{
	(void)argc;
	(void)rest;
	if (!samples_every(env, argv[1])) {
		printf("usage: sample SECONDS (at most %u), or sample off\n",
		       SAMPLES_MOST);
	}
}

const struct command commands_top[] = {
	{ "top", "[--once [ROWS COLUMNS]]", "all of it on the screen; q ends",
	  "  Each partition's memory, exits and what goes over its channel, disks,\n"
	  "  the network; anew each second. --once: as text, once.\n",
	  0, 3, run_top, NULL },
	{ "sample", "SECONDS|off", "status --json, for \"isthmus picture\"",
	  "  A line now and then, behind \"isthmus: sample\", on the serial line: of\n"
	  "  its log the tool's picture is drawn.\n",
	  1, 1, run_sample, NULL },
	{ 0 }
};
