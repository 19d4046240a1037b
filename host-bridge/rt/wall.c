/* SPDX-License-Identifier: MIT */
/*
 * The time of day: what the firmware's clock said, and the TSC since; put right by
 * who knows better (net/ntp.c). It never goes back, for files would become newer
 * than now: one that is ahead goes slower until it is right. So does one that is
 * a little behind go faster; if it is behind by more it is set, as nobody can wait
 * for a clock that began in 1970.
 */
#include "host-bridge/rt/tsc.h"
#include "host-bridge/rt/wall.h"

#define NS_PER_S	1000000000ll
#define SHARE		128	/* of the time that passes: how fast it is put right */
#define STEP_NS		NS_PER_S

static uint64_t hz = 1;
/* At base_tsc it was base_ns, and wrong by "wrong". */
static uint64_t base_tsc;
static int64_t base_ns, wrong;

/**
 * See wall.h. A machine without a clock counts from 1970. An absurd rate: the time
 * of day is, too, and nothing is divided by zero.
 */
void wall_init(uint64_t seconds, uint64_t tsc, uint64_t rate)
{
	hz = rate > 0 ? rate : 1;
	base_tsc = tsc;
	base_ns = (int64_t)seconds * NS_PER_S;
	wrong = 0;
}

/* The rest is below a second, and boot/ takes no TSC of more than 100 GHz: 128 bits
 * for the product. */
static int64_t to_ns(uint64_t ticks)
{
	return (int64_t)(ticks / hz) * NS_PER_S +
	       (int64_t)((unsigned __int128)(ticks % hz) * NS_PER_S / hz);
}

/* Of "wrong", what has been put right in that time, of that since base_tsc. */
static int64_t righted(int64_t passed)
{
	int64_t most = passed / SHARE;

	return wrong > most ? most : wrong < -most ? -most : wrong;
}

static int64_t wall_at(uint64_t tsc)
{
	int64_t passed = to_ns(tsc - base_tsc);

	return base_ns + passed + righted(passed);
}

/** See wall.h. From anywhere. */
int64_t wall_now_ns(void)
{
	return wall_at(tsc_now());
}

/** See wall.h. */
int64_t wall_zero_ns(void)
{
	uint64_t tsc = tsc_now();

	return wall_at(tsc) - to_ns(tsc);
}

/** See wall.h. */
int64_t wall_left_ns(void)
{
	return wrong - righted(to_ns(tsc_now() - base_tsc));
}

/** See wall.h. What was to be put right before is forgotten. */
void wall_adjust(int64_t ns)
{
	/* In this order: what passes in between is lost, not won. */
	base_ns = wall_now_ns();
	base_tsc = tsc_now();
	wrong = ns;
	if (wrong > STEP_NS) {
		base_ns += wrong;
		wrong = 0;
	}
}
