/* SPDX-License-Identifier: MIT */
/*
 * When how much of an idle Linux's page cache is given up: a function of what
 * was seen, without a clock or a file.
 *
 * Idle is what the processors say: this holds for a build that sleeps for its
 * disk no more than for one that computes, as waiting for a disk is no idle time
 * of Linux's. Pressure (PSI) would say less, for who reads what was just given up
 * waits on an otherwise idle machine, and not each kernel has it. That what was
 * given up is wanted again is seen by Linux's count of refaults.
 *
 * An eighth of what is above the floor goes with each look, so that of a large
 * cache little is left within a minute, and what is in use has time to be read
 * again and so to stop this. Then the next run waits twice as long, up to a
 * minute; one that nobody minded makes it short again.
 */
#include "cache.h"

#define IDLE_PERCENT	90	/* of the time of all CPUs */
#define QUIET		3	/* looks that must see it idle */
#define MORE_MAX	32	/* looks more, when what goes comes back */
#define PART		8	/* that much of what is too much, in a step */
#define STEP_MIN_KIB	4096u
#define MINDED_KIB	256u	/* fewer refaults are chance */
#define WRITE_KIB	64u	/* dirty pages that are worth a sync() */
#define VAIN_MAX	2
/* Below that above the floor it is not worth while. */
#define SLACK_KIB	1024u

/* a - b of two readings of something that grows. */
static uint64_t grown(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static bool idle(const struct cache_sample *now,
		 const struct cache_sample *last)
{
	uint64_t all = grown(now->ms, last->ms) * now->cpus;

	return all > 0 && grown(now->idle_ms, last->idle_ms) * 100 >=
			  all * IDLE_PERCENT;
}

/* There is more than has to stay, or could not be had when last tried. */
static bool worth(const struct cache_policy *p, uint64_t file_kib)
{
	uint64_t stays = p->left_kib > p->floor_kib ? p->left_kib :
						      p->floor_kib;

	return file_kib > stays + SLACK_KIB;
}

/* Whether so much of what was taken came back that the cache is in use. */
static bool minded(const struct cache_policy *p,
		   const struct cache_sample *now)
{
	return p->taken_kib > 0 && grown(now->refault_kib, p->refaults_kib) >
				   MINDED_KIB + p->taken_kib / PART;
}

static unsigned int longer(unsigned int more)
{
	if (more == 0) {
		return QUIET;
	}
	return more * 2 < MORE_MAX ? more * 2 : MORE_MAX;
}

/* From here on it is seen who minds. */
static void count_anew(struct cache_policy *p, const struct cache_sample *now)
{
	p->taken_kib = 0;
	p->refaults_kib = now->refault_kib;
}

static struct cache_step end(struct cache_policy *p)
{
	p->timed = false;
	p->looking = false;
	return (struct cache_step){ .watch = true };
}

static struct cache_step take(struct cache_policy *p,
			      const struct cache_sample *now)
{
	uint64_t excess = now->file_kib - p->floor_kib;
	uint64_t part = excess / PART;

	if (part < STEP_MIN_KIB) {
		part = excess < STEP_MIN_KIB ? excess : STEP_MIN_KIB;
	}
	p->asked_kib = part;
	return (struct cache_step){ .reclaim_kib = part,
				    .write = now->dirty_kib >= WRITE_KIB };
}

/**
 * The first part of a look, for which of a sample only the time is needed, and
 * what was idle of it on how many CPUs: true when Linux has been idle for long
 * enough, and the rest is to be read for cache_look(). Else the next look is wanted
 * after the usual time, the same each time.
 */
bool cache_quiet(struct cache_policy *p, const struct cache_sample *now)
{
	p->quiet = p->timed && idle(now, &p->last) ? p->quiet + 1 : 0;
	p->timed = true;
	p->last = *now;
	return p->quiet >= QUIET + p->more;
}

/**
 * What to do then. The next look is wanted after the usual time; or, with `watch`,
 * when Linux has been at work for a moment, however late: then there is nothing to
 * be had, and an idle machine must not be woken for that.
 */
struct cache_step cache_look(struct cache_policy *p,
			     const struct cache_sample *now)
{
	struct cache_step step = { 0 };

	/* Less than what could not be had: that may have been mapped, and the
	 * floor is what counts again. */
	if (now->file_kib + SLACK_KIB < p->left_kib) {
		p->left_kib = 0;
	}
	p->last = *now;
	if (minded(p, now)) {
		p->more = longer(p->more);
		/* What is read while a run goes on, is read now. */
		p->quiet = p->looking ? 0 : p->quiet;
		count_anew(p, now);
	} else if (!p->looking) {
		p->more = 0;
		count_anew(p, now);
	}
	if (!p->looking) {
		p->looking = true;
		p->vain = 0;
	}
	if (!worth(p, now->file_kib)) {
		return end(p);
	}
	return p->quiet >= QUIET + p->more ? take(p, now) : step;
}

/**
 * What has come of a step, right after it: it took time itself, in which Linux was
 * not at work.
 */
void cache_done(struct cache_policy *p, const struct cache_sample *now)
{
	uint64_t got = grown(p->last.file_kib, now->file_kib);

	p->taken_kib += got;
	p->vain = got < p->asked_kib / PART ? p->vain + 1 : 0;
	if (p->vain >= VAIN_MAX) {
		p->left_kib = now->file_kib;
	}
	p->last = *now;
}
