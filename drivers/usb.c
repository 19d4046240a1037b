/* SPDX-License-Identifier: MIT */
/*
 * What is on the bus: one job at a time, in steps, each of which ends by an event or
 * by its time. A device that fails a step is let alone until it is out of its port;
 * a controller that does not answer a command is done with.
 * [USB 2.0 "USB Device Framework", "Hub Specification"; HID 1.11 "Requests"]
 */
#include <string.h>

#include "drivers/xhci_int.h"
#include "host-bridge/dev/dma.h"

#define PAGE		4096u
#define HALF		(PAGE / 2)
#define STEP_MS		1000u
#define RESET_MS	500u
#define SETTLE_MS	120u		/* after power, and after a reset */

#define FULL_SPEED	1u
#define LOW_SPEED	2u
#define HIGH_SPEED	3u
#define SUPER_SPEED	4u

#define CLASS_HUB	9u
#define GET_DESCRIPTOR	0x0680u		/* bmRequestType | bRequest << 8 */
#define SET_CONFIGURATION 0x0900u
#define SET_PROTOCOL	0x0b21u
#define HUB_DESCRIPTOR	0x06a0u
#define PORT_STATUS	0x00a3u
#define PORT_SET	0x0323u
#define PORT_CLEAR	0x0123u
#define FEATURE_RESET	4u
#define FEATURE_POWER	8u
#define FEATURE_CONNECTION 16u		/* has changed */
#define FEATURE_RESET_DONE 20u
#define STATUS_LOW	0x200u
#define STATUS_HIGH	0x400u
#define STATUS_CHANGED	0x10000u
#define HUB_PORTS	15u

static void wait_ms(struct xhci *x, uint64_t ms)
{
	x->until = loop_uptime_ms() + ms;
}

/* The input context: which contexts count, and the slot's. [xHCI 1.2 "Input
 * Context", "Slot Context"] */
static uint32_t *input(struct xhci *x, const struct usb_device *d,
		       uint32_t contexts, unsigned last)
{
	uint32_t *words = (uint32_t *)x->input;
	uint32_t *slot = words + x->context / 4;
	const struct usb_device *hub = d->hub;

	memset(x->input, 0, PAGE - XHCI_DATA);
	words[1] = contexts;
	slot[0] = d->port | (uint32_t)d->speed << 20 |
		  (d->is_hub ? 1u << 26 : 0) | (uint32_t)last << 27;
	slot[1] = (uint32_t)d->root_port << 16 | (uint32_t)d->ports << 24;
	if (hub && hub->speed == HIGH_SPEED && d->speed < HIGH_SPEED) {
		slot[2] = hub->slot | (uint32_t)d->port << 8;
	}
	return slot;
}

/* An endpoint's context. type: 4 is control, 7 interrupts from it. */
static void endpoint(struct xhci *x, uint32_t *slot, unsigned index,
		     uint32_t type, const struct usb_device *d)
{
	const struct ring *ring = type == 4 ? &d->control : &d->reports;
	uint32_t *words = slot + index * x->context / 4;
	uint32_t packet = type == 4 ? d->control_packet : d->packet;
	uint64_t bus = dma_bus((const void *)(uintptr_t)ring->trbs);

	words[0] = type == 4 ? 0 : (uint32_t)d->interval << 16;
	words[1] = 3u << 1 | type << 3 | packet << 16;
	words[2] = (uint32_t)bus | 1;
	words[3] = (uint32_t)(bus >> 32);
	words[4] = type == 4 ? 8 : packet << 16 | packet;
}

/* Memory of a device, the same for all that have been in its place. */
static bool give_memory(struct xhci *x, struct usb_device *d)
{
	if (!d->page) {
		d->page = dma_alloc(2 * PAGE, 2 * PAGE);
		if (!d->page) {
			return false;
		}
	}
	memset(d->page, 0, 2 * PAGE);
	d->rings = d->page + PAGE;
	xhci_ring_init(&d->control, d->rings);
	xhci_ring_init(&d->reports, d->rings + HALF);
	x->contexts[d->slot] = dma_bus(d->page);
	return true;
}

static void address(struct xhci *x, struct usb_device *d)
{
	d->control_packet = d->speed >= SUPER_SPEED ? 512 :
			    d->speed == HIGH_SPEED ? 64 : 8;
	if (!give_memory(x, d)) {
		usb_give_up(x, d);
		return;
	}
	endpoint(x, input(x, d, 3, 1), 1, 4, d);
	xhci_command(x, TRB_ADDRESS, dma_bus(x->input), d->slot);
}

static void configure_endpoint(struct xhci *x, struct usb_device *d)
{
	unsigned index = 2u * d->endpoint + 1;

	endpoint(x, input(x, d, 1 | 1u << index, index), index, 7, d);
	xhci_command(x, TRB_CONFIGURE, dma_bus(x->input), d->slot);
}

/* Puts a root port right: one of USB 3 is ready by itself. */
static void reset_port(struct xhci *x, struct usb_device *d)
{
	if (!(xhci_port(x, d->root_port) & PORT_ENABLED)) {
		xhci_port_set(x, d->root_port, PORT_RESET);
	}
	wait_ms(x, RESET_MS);
}

/* A request to a hub about the port that is looked at. */
static void port_request(struct xhci *x, uint16_t request, uint16_t feature)
{
	struct usb_device *d = x->job;

	xhci_control(x, d, request, feature, d->at_port,
		     request == PORT_STATUS ? 4 : 0);
}

/** What a step asks for. */
void usb_begin(struct xhci *x, enum usb_step step)
{
	struct usb_device *d = x->job;

	x->step = step;
	wait_ms(x, STEP_MS);
	switch (step) {
	case RESET:
		reset_port(x, d);
		break;
	case SETTLE:
	case POWERED:
		wait_ms(x, SETTLE_MS);
		break;
	case ENABLE:
		xhci_command(x, TRB_ENABLE, 0, 0);
		break;
	case ADDRESS:
		address(x, d);
		break;
	case FIRST:
		xhci_control(x, d, GET_DESCRIPTOR, 1 << 8, 0, 8);
		break;
	case PACKET:
		endpoint(x, input(x, d, 2, 1), 1, 4, d);
		xhci_command(x, TRB_EVALUATE, dma_bus(x->input), d->slot);
		break;
	case DESCRIPTORS:
		xhci_control(x, d, GET_DESCRIPTOR, 2 << 8, 0, XHCI_DATA);
		break;
	case CONFIGURE:
		xhci_control(x, d, SET_CONFIGURATION, d->configuration, 0, 0);
		break;
	case PROTOCOL:
		xhci_control(x, d, SET_PROTOCOL, 0, d->interface, 0);
		break;
	case HUB:
		xhci_control(x, d, HUB_DESCRIPTOR, 0x29 << 8, 0, 8);
		break;
	case ENDPOINT:
		configure_endpoint(x, d);
		break;
	case POWER:
		port_request(x, PORT_SET, FEATURE_POWER);
		break;
	case LOOK:
	case PORT_LOOK:
		port_request(x, PORT_STATUS, 0);
		break;
	case FORGET:
		port_request(x, PORT_CLEAR, FEATURE_CONNECTION);
		break;
	case PORT_RESETS:
		port_request(x, PORT_SET, FEATURE_RESET);
		break;
	case PORT_DONE:
		port_request(x, PORT_CLEAR, FEATURE_RESET_DONE);
		break;
	case DISABLE:
		xhci_command(x, TRB_DISABLE, 0, d->slot);
		break;
	}
}

/* The number that the xHCI has for how often a report is asked for. [xHCI 1.2
 * "Endpoint Context" "Interval"] */
static uint8_t interval_of(unsigned speed, uint8_t told)
{
	uint8_t n = 3;

	if (speed >= HIGH_SPEED) {
		return told < 1 ? 0 : told > 16 ? 15 : (uint8_t)(told - 1);
	}
	while (n < 10 && (2u << n) <= told * 8u) {
		n++;
	}
	return n;
}

/* Finds the interface in the descriptors that are in x->data: of a keyboard, or of a
 * hub. Nothing in them is believed but what is within. */
static bool read_descriptors(struct xhci *x, struct usb_device *d)
{
	uint8_t data[XHCI_DATA];
	bool found = false;
	size_t end, i;

	memcpy(data, x->data, sizeof(data));
	end = data[2] | (size_t)data[3] << 8;
	end = end < sizeof(data) ? end : sizeof(data);
	d->configuration = data[5];
	for (i = 0; i + 2 <= end && data[i] >= 2 && i + data[i] <= end; i += data[i]) {
		const uint8_t *p = data + i;

		if (p[1] == 4 && p[0] >= 9) {
			found = d->is_hub ? p[5] == CLASS_HUB :
				p[5] == 3 && p[6] == 1 && p[7] == 1;
			d->interface = p[2];
		} else if (p[1] == 5 && p[0] >= 7 && found && (p[2] & 0x80) &&
			   (p[3] & 3) == 3 && (p[2] & 15) > 0) {
			d->endpoint = p[2] & 15;
			d->packet = (uint16_t)((p[4] | p[5] << 8) & 0x7ff);
			d->packet = d->packet < XHCI_REPORT ? d->packet : XHCI_REPORT;
			d->interval = interval_of(d->speed, p[6]);
			return d->packet > 0;
		}
	}
	return false;
}

/* The first eight bytes: a hub or not, and what fits a packet. */
static void read_first(struct xhci *x, struct usb_device *d)
{
	uint8_t packet = x->data[7];

	d->is_hub = x->data[4] == CLASS_HUB;
	if (d->is_hub && (d->hub || d->speed >= SUPER_SPEED)) {
		usb_give_up(x, d);		/* behind a hub; or it has one for USB 2 */
	} else if (d->speed == FULL_SPEED && packet != 8 &&
		   (packet == 16 || packet == 32 || packet == 64)) {
		d->control_packet = packet;
		usb_begin(x, PACKET);
	} else {
		usb_begin(x, DESCRIPTORS);
	}
}

/* The job is over, and the device at work; of a hub the ports are next. */
static void becomes_ready(struct xhci *x, struct usb_device *d)
{
	if (d->is_hub) {
		d->at_port = 1;
		usb_begin(x, POWER);
		return;
	}
	d->ready = true;
	xhci_ask_report(x, d);
	usb_end_job(x);
}

/* The hub's next port, or the end of the look. */
static void next_port(struct xhci *x, struct usb_device *d, enum usb_step each,
		      enum usb_step then)
{
	if (d->at_port < d->ports) {
		d->at_port++;
		usb_begin(x, each);
	} else if (then != each) {
		usb_begin(x, then);
	} else {
		if (!d->pending) {
			xhci_ask_report(x, d);
		}
		usb_end_job(x);
	}
}

/* A hub's port: x->data has its status. */
static void look_at_hub(struct xhci *x, struct usb_device *d)
{
	uint32_t status = x->data[0] | (uint32_t)x->data[1] << 8 |
			  (uint32_t)x->data[2] << 16;
	struct usb_device *there = usb_at(x, d, d->root_port, d->at_port);

	if (there && (!(status & PORT_CONNECTED) || (status & STATUS_CHANGED))) {
		usb_take_out(x, there);
		d->scan = true;		/* again, when it is away */
	}
	if (status & STATUS_CHANGED) {
		usb_begin(x, FORGET);
	} else if (!there && (status & PORT_CONNECTED)) {
		usb_begin(x, PORT_RESETS);
	} else {
		next_port(x, d, LOOK, LOOK);
	}
}

/* After the reset of a hub's port, again and again until it is over. */
static void look_at_reset(struct xhci *x, struct usb_device *d)
{
	uint32_t status = x->data[0] | (uint32_t)x->data[1] << 8;
	unsigned speed = status & STATUS_LOW ? LOW_SPEED :
			 status & STATUS_HIGH ? HIGH_SPEED : FULL_SPEED;
	struct usb_device *new;

	if (status & PORT_RESET) {
		x->step = PORT_RESETS;	/* the next tick asks again */
		return;
	}
	new = status & PORT_ENABLED ?
	      usb_add(x, d, d->root_port, d->at_port, speed) : NULL;
	if (!new) {
		next_port(x, d, LOOK, LOOK);
		return;
	}
	usb_begin(x, PORT_DONE);
}

/* Its reset has been told to the hub: now the device itself. The hub's other ports
 * are looked at after it. */
static void after_reset(struct xhci *x, struct usb_device *d)
{
	struct usb_device *new = usb_at(x, d, d->root_port, d->at_port);

	d->scan = true;
	if (new) {
		usb_start(x, new, SETTLE);
	} else {
		usb_end_job(x);
	}
}

/** A command has been answered. */
void usb_command_done(struct xhci *x, bool ok, unsigned slot)
{
	struct usb_device *d = x->job;

	if (!d) {
		return;
	}
	if (x->step == DISABLE) {
		d->slot = 0;
		d->pending = 0;
		usb_end_job(x);
	} else if (d->gone || !ok) {
		usb_give_up(x, d);
	} else if (x->step == ENABLE) {
		for (unsigned i = 0; i < XHCI_DEVICES; i++) {
			ok &= !x->devices[i].used || x->devices[i].slot != slot;
		}
		if (!ok || slot == 0 || slot > x->slots) {
			usb_give_up(x, d);
			return;
		}
		d->slot = (uint8_t)slot;
		usb_begin(x, ADDRESS);
	} else if (x->step == ADDRESS) {
		usb_begin(x, FIRST);
	} else if (x->step == PACKET) {
		usb_begin(x, DESCRIPTORS);
	} else if (x->step == ENDPOINT) {
		becomes_ready(x, d);
	}
}

/** A device has answered a request. */
void usb_control_done(struct xhci *x, struct usb_device *d, bool ok)
{
	if (x->job != d || !x->asked) {
		return;
	}
	x->asked = false;
	if (!ok || d->gone) {
		usb_give_up(x, d);
		return;
	}
	switch (x->step) {
	case FIRST:
		read_first(x, d);
		break;
	case DESCRIPTORS:
		if (read_descriptors(x, d)) {
			usb_begin(x, CONFIGURE);
		} else {
			usb_give_up(x, d);
		}
		break;
	case CONFIGURE:
		usb_begin(x, d->is_hub ? HUB : PROTOCOL);
		break;
	case HUB:
		d->ports = x->data[2] < HUB_PORTS ? x->data[2] : HUB_PORTS;
		usb_begin(x, ENDPOINT);
		break;
	case PROTOCOL:
		usb_begin(x, ENDPOINT);
		break;
	case POWER:
		next_port(x, d, POWER, POWERED);
		break;
	case LOOK:
		look_at_hub(x, d);
		break;
	case FORGET:
		usb_begin(x, LOOK);
		break;
	case PORT_LOOK:
		look_at_reset(x, d);
		break;
	case PORT_DONE:
		after_reset(x, d);
		break;
	default:
		break;			/* the tick goes on */
	}
}

/** A keyboard's keys, or a hub that has something to say. */
void usb_report(struct xhci *x, struct usb_device *d, bool ok)
{
	uint8_t report[8];

	if (!d->ready || d->gone) {
		return;
	}
	if (!ok) {
		usb_give_up(x, d);
		if (!x->job) {
			usb_look(x);
		}
		return;
	}
	memcpy(report, d->page + HALF, sizeof(report));
	if (!d->is_hub) {
		usb_keys(x, d, report);
		xhci_ask_report(x, d);
		return;
	}
	d->scan = true;			/* it is asked again after the look */
	if (!x->job) {
		usb_look(x);
	}
}

/* The steps that wait for a port or for time. */
static void poll(struct xhci *x, bool late)
{
	struct usb_device *d = x->job;
	uint32_t v;

	switch (x->step) {
	case RESET:
		v = xhci_port(x, d->root_port);
		if ((v & (PORT_ENABLED | PORT_RESET)) == PORT_ENABLED) {
			d->speed = PORT_SPEED(v);
			usb_begin(x, SETTLE);
		} else if (late) {
			usb_give_up(x, d);
		}
		break;
	case SETTLE:
		if (late) {
			usb_begin(x, ENABLE);
		}
		break;
	case POWERED:
		if (late) {
			d->ready = true;
			d->at_port = 1;
			usb_begin(x, LOOK);
		}
		break;
	case PORT_RESETS:
		if (late) {
			next_port(x, d, LOOK, LOOK);
		} else if (!x->asked) {
			/* begin() would give it more time */
			x->step = PORT_LOOK;
			port_request(x, PORT_STATUS, 0);
		}
		break;
	default:
		break;
	}
}

/** Now and then while there is a job. */
void usb_tick(struct xhci *x)
{
	bool late = loop_uptime_ms() > x->until;
	struct usb_device *d = x->job;

	if (!d) {
		return;
	}
	if (x->command && late) {
		xhci_die(x);
	} else if (!x->command && d->gone && d->slot) {
		usb_give_up(x, d);
	} else if (x->step == RESET || x->step == SETTLE || x->step == POWERED ||
		   x->step == PORT_RESETS) {
		poll(x, late);
	} else if (late) {
		usb_give_up(x, d);
	}
}
