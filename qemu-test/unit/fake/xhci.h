/* SPDX-License-Identifier: MIT */
/*
 * An xHCI controller with two root ports, and devices of a test's: each is what it
 * says it is, and the controller holds the driver to the form of what it is told.
 */
#ifndef FAKE_XHCI_H
#define FAKE_XHCI_H

#include "drivers/xhci.h"
#include "fake/device.h"

#define PLAYED_SIZE	0x1000u
#define PLAYED_PORTS	2u
#define PLAYED_DEVICES	4u

enum played_kind { NOTHING, KEYBOARD, HUB, STICK };

struct played_device {
	enum played_kind kind;
	unsigned root, port;		/* port: of the hub at that root port; or 0 */
	unsigned speed;
	bool silent;			/* answers no request */
	bool liar;			/* its descriptors have no end */
	/* as the driver has made it */
	unsigned slot;
	bool configured, boot_protocol;
	uint64_t ring, reports;		/* where it reads next; of the latter 0: nowhere */
	uint32_t cycle, reports_cycle;
	unsigned endpoint;
	bool wants;			/* the doorbell of its reports was rung */
};

struct played {
	struct played_device device[PLAYED_DEVICES];
	unsigned context;		/* bytes of one: 32 or 64 */
	bool never_ready, deaf;		/* deaf: answers no command */
	uint32_t doorbells_at;		/* what it says of them */
	uint32_t command, config;
	uint32_t portsc[PLAYED_PORTS + 1];
	uint32_t hub_port[5];		/* status of a hub's ports, from 1 on */
	uint64_t contexts, commands, table, dequeue;
	uint32_t commands_cycle, events_cycle;
	unsigned event;
	bool pending;
	unsigned enabled, disabled;	/* slots */
};

extern struct played played;

void played_reset(void);
/* Into a port, and out of it. */
struct played_device *played_plug(enum played_kind kind, unsigned root,
				  unsigned port, unsigned speed);
void played_unplug(struct played_device *d);
/* What a device says unasked; false: nobody has asked for a report. */
bool played_report(struct played_device *d, const void *data, size_t len);
/* The same, and the controller says that it went wrong. */
bool played_fault(struct played_device *d);
/* So many milliseconds: timers and interrupts. */
void played_run(struct xhci *x, unsigned ms);

#endif
