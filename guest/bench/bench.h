/* SPDX-License-Identifier: MIT */
/*
 * What the parts of hvbench share: the clock, the lines they print, and
 * phases, a list of figures each of which finds what the one before has left.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>

#define CHUNK		65536u		/* bytes of a large read or write */
#define PATH_LEN	600

/* Where one process carries out phases, and how much of them. */
struct phase_place {
	const char *dir;	/* is there; what is made in it is removed */
	unsigned int part;	/* counts are divided by that */
	int file;		/* what a phase has opened for the next one */
};

/* A figure: its work is measured, what comes before is not. Both return false
 * with errno. Without a name it is no figure: its work clears up. */
struct phase {
	const char *name;
	unsigned int count;	/* rounds the ticks are divided by */
	bool (*before)(struct phase_place *place);	/* or NULL */
	bool (*work)(struct phase_place *place);
};

extern const struct phase files_known[], files_more[], dirs_phases[],
	disks_phases[];

/* The host's port that tells how long the machine was idle, which is left out of
 * figures then; 0: it is in them. */
extern unsigned int bench_idle_port;
/* Bytes for everybody to write and read into. */
extern unsigned char bench_buffer[1u << 20];

void bench_begin(void);
void bench_end(const char *name, unsigned long count, const char *unit);
void bench_skip(const char *what, const char *why);

bool phases_run(const struct phase *list, const char *dir,
		const char *prefix);
bool phases_run_many(const struct phase *list, const char *dir,
		     unsigned int part, bool in_turn);

bool net_run(const char *address, int first, const char *figure);

bool files_touch_memory(const char *dir);
/* Writes back and forgets what Linux keeps of files, names and attributes. */
bool files_cold(void);
/* Waits until Linux has given memory back for what it has forgotten: inodes and
 * names go when RCU's time has come, some clock ticks later, hundreds of them in
 * one go, at the cost of whoever is at work then. The end of an AIO context comes
 * behind them there, and is waited for. False with errno. */
bool files_freed(void);

#endif
