/* SPDX-License-Identifier: MIT */
/*
 * How the hostile tests' programs speak to the hypervisor's oracle (oracle.c): ports
 * that nobody has, dwords. The enemy has its own, the canary its own, and neither is
 * heard at the other's. docs/hostile.md
 */
#ifndef HOSTILE_PORTS_H
#define HOSTILE_PORTS_H

/* Partitions, as qemu-test/boot/hostile.py numbers them. */
#define HOSTILE_ENEMY	1u
#define HOSTILE_CANARY	2u

/* The enemy. OUT: a row begins, its name in four characters, and the one before is
 * told in the log. IN: beats of the canary so far, ~0 without an oracle. */
#define HOSTILE_ROW	0xd1f0u
#define HOSTILE_END	0x2e444e45u	/* "END.": no row */

/* The host partition, which may begin rows, too. OUT: so many pages from now on there
 * is none, once; 0: there always is. IN: how many are to go until then. */
#define HOSTILE_NO_PAGE	0xd1f4u

/* The canary. */
#define CANARY_BEAT	0xd1e0u	/* its TSC's low half; IN: ticks in a ms */
#define CANARY_MEMORY	0xd1e4u	/* all looked at; not 0: where it has changed */
#define CANARY_REGISTERS	0xd1e8u	/* looked at; not 0: which differs */
#define CANARY_STRAY	0xd1ecu	/* an interrupt that it has not asked for */

#endif
