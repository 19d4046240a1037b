/* SPDX-License-Identifier: MIT */
/*
 * The time of day that every Linux finds in kvmclock is ours: the hypervisor has it
 * as UTC at TSC 0, and goes on from there by the TSC. While ours is put right it
 * goes faster or slower than that, and the hypervisor is told again.
 */
#include "host-bridge/guest/linux_clock.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/rt/hc.h"
#include "host-bridge/rt/wall.h"

#define AGAIN_MS	50	/* in which it changes by 0.4 ms */

static void again(struct loop_timer *timer)
{
	(void)timer;
	linux_clock_tell();
}

/** See linux_clock.h. A time that kvmclock cannot tell leaves it as it was. */
void linux_clock_tell(void)
{
	static struct loop_timer timer;

	(void)hc_clock(wall_zero_ns());
	if (wall_left_ns() != 0) {
		loop_timer_set(&timer, AGAIN_MS, again);
	}
}
