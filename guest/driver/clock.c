// SPDX-License-Identifier: GPL-2.0-only
/*
 * isthmus: sets Linux's clock once, when the driver is loaded, and says from then on
 * how far it is from the machine's.
 *
 * Linux reads the machine's time early in its boot and then counts ticks; but
 * there is nothing that ticks until it has set up its local APIC's timer, for
 * this machine has no PIT, and a tick that comes late while interrupts are off is
 * one for several. So Linux's clock is behind by what its boot took until then:
 * seconds, on a busy emulator. Files of the host, which has the machine's clock,
 * would be newer than now. And the machine's may be put right later, by the network:
 * what to do about that is the agent's to say, for the kernel does not let modules
 * slew its clock.
 */
#include <linux/kvm_para.h>
#include <linux/ktime.h>
#include <linux/moduleparam.h>
#include <linux/sysfs.h>
#include <linux/timekeeping.h>
#include <asm/x86_init.h>

#include "isthmus.h"

#define CLOSE_NS	100000
#define LOOKS		3
#define TRIES		10

/* How far Linux's clock is behind kvmclock's. */
static s64 behind_ns(void)
{
	struct timespec64 now, wall;
	s64 least = S64_MAX;

	/* In this order, so that a pause in between makes the distance look
	 * larger, and another look sees the truth. */
	for (int i = 0; i < LOOKS; i++) {
		ktime_get_real_ts64(&now);
		x86_platform.get_wallclock(&wall);
		least = min(least, timespec64_to_ns(&wall) -
				   timespec64_to_ns(&now));
	}
	return least;
}

/* /sys/module/isthmus/parameters/clock_behind_ns; negative: it is ahead. */
static int behind_get(char *text, const struct kernel_param *param)
{
	return kvm_para_available() ? sysfs_emit(text, "%lld\n", behind_ns()) :
				      -ENODEV;
}

static const struct kernel_param_ops behind_ops = { .get = behind_get };
module_param_cb(clock_behind_ns, &behind_ops, NULL, 0444);

/**
 * Brings the time of day up to kvmclock's, which host-bridge's files follow. Only
 * forward: ticks are lost, never won, and who has set the clock ahead meant it.
 * Without kvmclock ("no-kvmclock") there is no other clock to read: 1970.
 */
void isthmus_clock_set(void)
{
	struct timespec64 wall;

	if (!kvm_para_available()) {
		return;
	}
	for (int i = 0; i < TRIES && behind_ns() >= CLOSE_NS; i++) {
		x86_platform.get_wallclock(&wall);
		do_settimeofday64(&wall);
	}
}
