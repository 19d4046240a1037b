/* SPDX-License-Identifier: MIT */
/*
 * Inside the xHCI driver: the controller (xhci_rings.c), what is on the bus
 * (usb_look.c), how it is made ready (usb.c), and keyboards (usb_keys.c).
 */
#ifndef ISTHMUS_XHCI_INT_H
#define ISTHMUS_XHCI_INT_H

#include "drivers/mmio.h"
#include "drivers/xhci.h"
#include "host-bridge/loop/loop.h"

#define XHCI_DEVICES	16u
#define XHCI_DATA	512u		/* of a control transfer, bytes */
#define XHCI_REPORT	64u		/* of an interrupt transfer */

/* "TRB Types" */
#define TRB_NORMAL	1u
#define TRB_SETUP	2u
#define TRB_DATA	3u
#define TRB_STATUS	4u
#define TRB_LINK	6u
#define TRB_ENABLE	9u
#define TRB_DISABLE	10u
#define TRB_ADDRESS	11u
#define TRB_CONFIGURE	12u
#define TRB_EVALUATE	13u

struct trb {
	uint64_t parameter;
	uint32_t status, control;
};

/* One that we fill; the device reads it. Where we are is ours to know. */
struct ring {
	volatile struct trb *trbs;
	unsigned at;
	uint32_t cycle;
};

/* What is at a port, at a root port (hub NULL) or at a hub's. */
struct usb_device {
	bool used;
	bool gone;			/* out of the port */
	bool useless;			/* or broken: let alone until it is gone */
	bool ready;
	bool is_hub, scan;		/* its ports are to be looked at */
	struct usb_device *hub;
	uint8_t root_port, port;	/* port: the hub's; 0: none */
	uint8_t speed;			/* "Default Speed ID": 1 full, 2 low .. */
	uint8_t slot;			/* 0: none yet */
	uint8_t ports, at_port;		/* of a hub; the one that is looked at */
	uint8_t configuration, interface, endpoint, interval;
	uint16_t packet, control_packet;
	uint64_t pending;		/* bus address of the transfer of a report */
	struct ring control, reports;
	uint8_t *page;			/* context, and the report at 2048 */
	uint8_t *rings;
	uint8_t held[8];		/* a keyboard's last report */
};

enum usb_step {
	/* a device from its port to its first report */
	RESET, SETTLE, ENABLE, ADDRESS, FIRST, PACKET, DESCRIPTORS, CONFIGURE,
	PROTOCOL, HUB, ENDPOINT,
	/* a hub's ports: power for all, then each looked at */
	POWER, POWERED, LOOK, FORGET, PORT_RESETS, PORT_LOOK, PORT_DONE,
	/* the end of a slot */
	DISABLE,
};

struct xhci {
	struct xhci_regs regs;
	void (*key)(unsigned key, bool down);
	bool dead;
	uint32_t op, runtime, doorbells;	/* offsets of registers */
	unsigned root_ports, slots, context;	/* bytes of one */
	struct ring commands;
	volatile struct trb *events;
	unsigned event;
	uint32_t event_cycle;
	volatile uint64_t *contexts;	/* the devices', by slot */
	uint8_t *input, *data;		/* one job's at a time */
	uint64_t command;		/* bus address of the one under way; 0 */
	bool asked;			/* a control transfer is under way */
	struct loop_timer timer;
	struct usb_device devices[XHCI_DEVICES];
	struct usb_device *job;		/* the device that is worked on; or NULL */
	enum usb_step step;
	uint64_t until;			/* ms of the loop's */
};

/* xhci_rings.c: what a device is told */
void xhci_ring_init(struct ring *ring, void *memory);
void xhci_command(struct xhci *x, unsigned type, uint64_t parameter,
		  unsigned slot);
void xhci_control(struct xhci *x, struct usb_device *d, uint16_t request,
		  uint16_t value, uint16_t index, uint16_t length);
void xhci_ask_report(struct xhci *x, struct usb_device *d);
uint32_t xhci_port(struct xhci *x, unsigned port);
void xhci_port_set(struct xhci *x, unsigned port, uint32_t bits);
void xhci_die(struct xhci *x);
void xhci_watch(struct xhci *x);

/* usb.c: what has happened */
void usb_command_done(struct xhci *x, bool ok, unsigned slot);
void usb_control_done(struct xhci *x, struct usb_device *d, bool ok);
void usb_report(struct xhci *x, struct usb_device *d, bool ok);
void usb_tick(struct xhci *x);
void usb_begin(struct xhci *x, enum usb_step step);

/* usb_look.c */
void usb_look(struct xhci *x);
void usb_start(struct xhci *x, struct usb_device *d, enum usb_step step);
void usb_end_job(struct xhci *x);
void usb_give_up(struct xhci *x, struct usb_device *d);
void usb_take_out(struct xhci *x, struct usb_device *d);
struct usb_device *usb_at(struct xhci *x, struct usb_device *hub, unsigned root,
			  unsigned port);
struct usb_device *usb_add(struct xhci *x, struct usb_device *hub, unsigned root,
			   unsigned port, unsigned speed);

/* usb_keys.c */
void usb_let_go(struct xhci *x, struct usb_device *d);
void usb_keys(struct xhci *x, struct usb_device *d, const uint8_t report[8]);

/* PORTSC */
#define PORT_CONNECTED	0x1u
#define PORT_ENABLED	0x2u
#define PORT_RESET	0x10u
#define PORT_POWER	0x200u
#define PORT_SPEED(v)	((v) >> 10 & 0xf)
#define PORT_CHANGED	0x20000u	/* connection */
#define PORT_CHANGES	0xfe0000u

#endif
