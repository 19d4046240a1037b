/* SPDX-License-Identifier: MIT */
/*
 * What is in which port, and whose turn it is: first what is gone, then new devices
 * at root ports, then hubs that have something to say.
 */
#include <stddef.h>

#include "drivers/xhci_int.h"

/** A job is over: the next. */
void usb_end_job(struct xhci *x)
{
	x->job = NULL;
	usb_look(x);
}

/** Out of its port: its slot is given back when it has its turn. */
void usb_take_out(struct xhci *x, struct usb_device *d)
{
	d->gone = true;
	d->ready = false;
	usb_let_go(x, d);
}

static void take_out_behind(struct xhci *x, const struct usb_device *hub)
{
	for (unsigned i = 0; i < XHCI_DEVICES; i++) {
		if (x->devices[i].used && x->devices[i].hub == hub) {
			usb_take_out(x, &x->devices[i]);
		}
	}
}

/** The device is nothing for us, or broken. */
void usb_give_up(struct xhci *x, struct usb_device *d)
{
	d->useless = true;
	d->ready = false;
	usb_let_go(x, d);
	take_out_behind(x, d);
	if (x->job == d) {
		usb_end_job(x);
	}
}

/** Who is at a port; NULL: nobody. */
struct usb_device *usb_at(struct xhci *x, struct usb_device *hub, unsigned root,
			  unsigned port)
{
	for (unsigned i = 0; i < XHCI_DEVICES; i++) {
		struct usb_device *d = &x->devices[i];

		if (d->used && d->hub == hub && d->root_port == root &&
		    d->port == port) {
			return d;
		}
	}
	return NULL;
}

/** A place for what is there now; NULL: there are too many. Pages stay with it. */
struct usb_device *usb_add(struct xhci *x, struct usb_device *hub, unsigned root,
			   unsigned port, unsigned speed)
{
	for (unsigned i = 0; i < XHCI_DEVICES; i++) {
		struct usb_device *d = &x->devices[i];

		if (!d->used) {
			*d = (struct usb_device){
				.used = true, .hub = hub, .page = d->page,
				.root_port = (uint8_t)root, .port = (uint8_t)port,
				.speed = (uint8_t)speed };
			return d;
		}
	}
	return NULL;
}

/** A job begins. */
void usb_start(struct xhci *x, struct usb_device *d, enum usb_step step)
{
	x->job = d;
	x->asked = false;
	usb_begin(x, step);
	xhci_watch(x);
}

/* A root port: what was there is gone, or something is there. */
static void look_at_port(struct xhci *x, unsigned port)
{
	uint32_t v = xhci_port(x, port);
	struct usb_device *d = usb_at(x, NULL, port, 0);

	if (d && (!(v & PORT_CONNECTED) || (v & PORT_CHANGED))) {
		usb_take_out(x, d);
		take_out_behind(x, d);
	}
	if (v & PORT_CHANGES) {
		xhci_port_set(x, port, v & PORT_CHANGES);
	}
	if (!(v & PORT_POWER)) {
		xhci_port_set(x, port, 0);	/* on */
	}
}

/** Ports have changed, or a job has ended: begins the next, if there is one. */
void usb_look(struct xhci *x)
{
	for (unsigned port = 1; port <= x->root_ports; port++) {
		look_at_port(x, port);
	}
	for (unsigned i = 0; !x->job && i < XHCI_DEVICES; i++) {
		struct usb_device *d = &x->devices[i];

		if (d->used && (d->gone || d->useless) && d->slot) {
			usb_start(x, d, DISABLE);
		} else if (d->used && d->gone) {
			d->used = false;
		}
	}
	for (unsigned port = 1; !x->job && port <= x->root_ports; port++) {
		if ((xhci_port(x, port) & PORT_CONNECTED) && !usb_at(x, NULL, port, 0)) {
			struct usb_device *d = usb_add(x, NULL, port, 0, 0);

			if (d) {
				usb_start(x, d, RESET);
			}
		}
	}
	for (unsigned i = 0; !x->job && i < XHCI_DEVICES; i++) {
		struct usb_device *d = &x->devices[i];

		if (d->used && d->ready && d->is_hub && d->scan) {
			d->scan = false;
			d->at_port = 1;
			usb_start(x, d, LOOK);
		}
	}
}
