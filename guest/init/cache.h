/* SPDX-License-Identifier: MIT */
/*
 * The page cache of an idle Linux: when how much of it is given up
 * (cache_policy.c, pure), and the process that looks and does it (cache.c).
 */
#ifndef GUEST_CACHE_H
#define GUEST_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#define CACHE_FLOOR_KIB		(16u << 10)	/* if nobody says else */
#define CACHE_LOOK_MS		2000u

/* What a look at Linux sees. */
struct cache_sample {
	uint64_t ms;		/* of time, from anywhere */
	uint64_t idle_ms;	/* of all CPUs, together */
	unsigned int cpus;
	uint64_t file_kib;	/* pages of files, without those that must stay */
	uint64_t dirty_kib;	/* of these */
	uint64_t refault_kib;	/* read anew after they were given up; grows */
};

/* What is to be done then. */
struct cache_step {
	uint64_t reclaim_kib;	/* 0: nothing */
	bool write;		/* first what is not on a disk yet */
	bool watch;		/* no look again before Linux works */
};

/* Begins as zeros but for floor_kib. */
struct cache_policy {
	uint64_t floor_kib;	/* as much stays */
	struct cache_sample last;
	bool timed;		/* last is of the look before */
	bool looking;		/* a run has begun */
	unsigned int quiet;	/* looks in a row that saw Linux idle */
	unsigned int more;	/* as many as that are wanted more than QUIET */
	uint64_t asked_kib;	/* by the last step */
	uint64_t taken_kib;	/* by this run of steps, or the last */
	uint64_t refaults_kib;	/* sample's, as the run began */
	unsigned int vain;	/* steps in a row that got little */
	uint64_t left_kib;	/* what could not be had */
};

bool cache_quiet(struct cache_policy *p, const struct cache_sample *now);
struct cache_step cache_look(struct cache_policy *p,
			     const struct cache_sample *now);
void cache_done(struct cache_policy *p, const struct cache_sample *now);

#endif
