// SPDX-License-Identifier: GPL-2.0-only
/*
 * isthmus: sets Linux's clock once, when the driver is loaded.
 *
 * Linux reads the machine's time early in its boot and then counts ticks; but
 * there is nothing that ticks until it has set up its local APIC's timer, for
 * this machine has no PIT, and a tick that comes late while interrupts are off is
 * one for several. So Linux's clock is behind by what its boot took until then:
 * seconds, on a busy emulator. Files of the host, which has the machine's clock,
 * would be newer than now.
 */
#include <linux/kvm_para.h>
#include <linux/ktime.h>
#include <linux/timekeeping.h>
#include <asm/x86_init.h>

#include "isthmus.h"

#define CLOSE_NS	100000
#define TRIES		10

/**
 * Brings the time of day up to kvmclock's, which host-bridge's files follow. Only
 * forward: ticks are lost, never won, and who has set the clock ahead meant it.
 * Without kvmclock ("no-kvmclock") there is no other clock to read: 1970.
 */
void isthmus_clock_set(void)
{
	struct timespec64 now, wall;

	if (!kvm_para_available()) {
		return;
	}
	/* In this order, so that a pause in between makes the distance look
	 * larger, and the next turn sees the truth. */
	for (int i = 0; i < TRIES; i++) {
		ktime_get_real_ts64(&now);
		x86_platform.get_wallclock(&wall);
		if (timespec64_to_ns(&wall) - timespec64_to_ns(&now) <
		    CLOSE_NS) {
			return;
		}
		x86_platform.get_wallclock(&wall);
		do_settimeofday64(&wall);
	}
}
