/* SPDX-License-Identifier: MIT */
/*
 * The controller: its start, its rings, its events. One command at a time, and one
 * control transfer; for each keyboard and hub one report is asked for. In each
 * event is looked at whose it can be; others are dropped.
 * [xHCI 1.2 "Operational Model", "Register Interface", "Data Structures"]
 */
#include <stdlib.h>
#include <string.h>

#include "drivers/xhci_int.h"
#include "host-bridge/dev/dma.h"

#define PAGE		4096u
#define RING		32u		/* TRBs, the last a link */
#define EVENTS		256u
#define EVENTS_TURN	64u
#define SCRATCH_MAX	256u		/* pages */
#define RESET_MS	500u
#define TICK_MS		20u
#define PORTS		0x400u		/* behind the operational registers */

#define HCSPARAMS1	0x04
#define HCSPARAMS2	0x08
#define HCCPARAMS1	0x10
#define DBOFF		0x14
#define RTSOFF		0x18
#define USBCMD		0x00		/* operational */
#define USBCMD_RUN	0x1u
#define USBCMD_RESET	0x2u
#define USBCMD_INTERRUPTS 0x4u
#define USBSTS		0x04
#define USBSTS_HALTED	0x1u
#define USBSTS_EVENT	0x8u
#define USBSTS_NOT_READY 0x800u
#define PAGESIZE	0x08
#define CRCR		0x18
#define DCBAAP		0x30
#define CONFIG		0x38
#define IMAN		0x20		/* runtime: interrupter 0 */
#define ERSTSZ		0x28
#define ERSTBA		0x30
#define ERDP		0x38
#define ERDP_BUSY	0x8u
#define IMAN_ON		0x3u		/* enabled; pending is cleared */

#define TRB_CYCLE	0x1u
#define TRB_TOGGLE	0x2u
#define TRB_INTERRUPT	0x20u
#define TRB_IMMEDIATE	0x40u
#define TRB_IN		0x10000u
#define TRB_SETUP_IN	0x30000u
#define TRB_TYPE(t)	((uint32_t)(t) << 10)

#define EVENT_TRANSFER	32u
#define EVENT_COMMAND	33u
#define EVENT_PORT	34u
#define SUCCESS		1u
#define SHORT_PACKET	13u

static uint32_t get(struct xhci *x, uint32_t at)
{
	return mmio_in32(x->regs.base, at);
}

static void put(struct xhci *x, uint32_t at, uint32_t value)
{
	mmio_out32(x->regs.base, at, value);
}

static void put64(struct xhci *x, uint32_t at, uint64_t value)
{
	put(x, at, (uint32_t)value);
	put(x, at + 4, (uint32_t)(value >> 32));
}

/** PORTSC of a root port, from 1 on. */
uint32_t xhci_port(struct xhci *x, unsigned port)
{
	return get(x, x->op + PORTS + (port - 1) * 16);
}

/** Sets bits of it, or clears changes; written back is only what does nothing. */
void xhci_port_set(struct xhci *x, unsigned port, uint32_t bits)
{
	put(x, x->op + PORTS + (port - 1) * 16, PORT_POWER | bits);
}

/** For good: nothing is asked of it any more, and it reaches no memory. */
void xhci_die(struct xhci *x)
{
	x->dead = true;
	x->job = NULL;
	loop_timer_cancel(&x->timer);
	put(x, x->op + USBCMD, 0);
	x->regs.cut(x->regs.arg);
}

/** memory: RING * 16 bytes, zero. */
void xhci_ring_init(struct ring *ring, void *memory)
{
	*ring = (struct ring){ .trbs = memory, .cycle = TRB_CYCLE };
}

/* Returns where it is, for its event. */
static uint64_t add(struct ring *ring, uint64_t parameter, uint32_t status,
		    uint32_t control)
{
	volatile struct trb *trb = &ring->trbs[ring->at];
	uint64_t at = dma_bus((const void *)(uintptr_t)trb);

	trb->parameter = parameter;
	trb->status = status;
	mmio_order();
	trb->control = control | ring->cycle;
	if (++ring->at == RING - 1) {
		trb = &ring->trbs[ring->at];
		trb->parameter = dma_bus((const void *)(uintptr_t)ring->trbs);
		trb->status = 0;
		mmio_order();
		trb->control = TRB_TYPE(TRB_LINK) | TRB_TOGGLE | ring->cycle;
		ring->at = 0;
		ring->cycle ^= TRB_CYCLE;
	}
	return at;
}

/** One command; usb_command_done() hears of it. */
void xhci_command(struct xhci *x, unsigned type, uint64_t parameter,
		  unsigned slot)
{
	x->command = add(&x->commands, parameter, 0,
			 TRB_TYPE(type) | (uint32_t)slot << 24);
	put(x, x->doorbells, 0);
}

/**
 * A control transfer; usb_control_done() hears of it. request: bmRequestType, and
 * bRequest << 8. What is read comes into x->data, which is zero before.
 */
void xhci_control(struct xhci *x, struct usb_device *d, uint16_t request,
		  uint16_t value, uint16_t index, uint16_t length)
{
	uint32_t in = request & 0x80;

	memset(x->data, 0, XHCI_DATA);
	x->asked = true;
	(void)add(&d->control, request | (uint64_t)value << 16 |
		  (uint64_t)index << 32 | (uint64_t)length << 48, 8,
		  TRB_TYPE(TRB_SETUP) | TRB_IMMEDIATE |
		  (length && in ? TRB_SETUP_IN : 0));
	if (length) {
		(void)add(&d->control, dma_bus(x->data), length,
			  TRB_TYPE(TRB_DATA) | TRB_IN);
	}
	(void)add(&d->control, 0, 0, TRB_TYPE(TRB_STATUS) | TRB_INTERRUPT |
		  (length && in ? 0 : TRB_IN));
	put(x, x->doorbells + 4u * d->slot, 1);
}

/** The next report of a keyboard or hub; usb_report() hears of it. */
void xhci_ask_report(struct xhci *x, struct usb_device *d)
{
	uint8_t *report = d->page + PAGE / 2;

	memset(report, 0, XHCI_REPORT);
	d->pending = add(&d->reports, dma_bus(report), d->packet,
			 TRB_TYPE(TRB_NORMAL) | TRB_INTERRUPT);
	put(x, x->doorbells + 4u * d->slot, 2u * d->endpoint + 1);
}

/* Of a device: its endpoint 0, or the one that its reports come from. */
static void transfer_event(struct xhci *x, const struct trb *event)
{
	unsigned slot = event->control >> 24, endpoint = event->control >> 16 & 0x1f;
	unsigned code = event->status >> 24;
	bool ok = code == SUCCESS || code == SHORT_PACKET;

	for (unsigned i = 0; slot > 0 && i < XHCI_DEVICES; i++) {
		struct usb_device *d = &x->devices[i];

		if (!d->used || d->slot != slot) {
			continue;
		}
		if (endpoint == 1) {
			usb_control_done(x, d, ok);
		} else if (endpoint == 2u * d->endpoint + 1 && d->pending &&
			   event->parameter == d->pending) {
			d->pending = 0;
			usb_report(x, d, ok);
		}
		return;
	}
}

static void handle(struct xhci *x, const struct trb *event)
{
	switch (event->control >> 10 & 0x3f) {
	case EVENT_TRANSFER:
		transfer_event(x, event);
		break;
	case EVENT_COMMAND:
		if (x->command && event->parameter == x->command) {
			x->command = 0;
			usb_command_done(x, event->status >> 24 == SUCCESS,
					 event->control >> 24);
		}
		break;
	case EVENT_PORT:
		usb_look(x);
		break;
	}
}

/**
 * Looks what has happened; with more than a turn's share the controller interrupts
 * again, for it is told how far we are.
 */
void xhci_interrupt(struct xhci *x)
{
	if (x->dead) {
		return;
	}
	put(x, x->op + USBSTS, USBSTS_EVENT);
	put(x, x->runtime + IMAN, IMAN_ON);
	for (unsigned i = 0; i < EVENTS_TURN && !x->dead; i++) {
		volatile struct trb *at = &x->events[x->event];
		struct trb event = { .control = at->control };

		if ((event.control & TRB_CYCLE) != x->event_cycle) {
			break;
		}
		mmio_order();
		event.parameter = at->parameter;
		event.status = at->status;
		if (++x->event == EVENTS) {
			x->event = 0;
			x->event_cycle ^= TRB_CYCLE;
		}
		handle(x, &event);
	}
	if (!x->dead) {
		put64(x, x->runtime + ERDP, dma_bus((const void *)(uintptr_t)
		      &x->events[x->event]) | ERDP_BUSY);
	}
}

static void on_timer(struct loop_timer *timer)
{
	struct xhci *x = (struct xhci *)((char *)timer -
					 offsetof(struct xhci, timer));

	/* an interrupt that did not come costs a tick, not the keyboard */
	xhci_interrupt(x);
	if (!x->dead) {
		usb_tick(x);
	}
	if (!x->dead && x->job) {
		loop_timer_set(timer, TICK_MS, on_timer);
	}
}

/* Waits until the bits are so; false: not in time. */
static bool settles(struct xhci *x, uint32_t at, uint32_t bits, uint32_t value)
{
	uint64_t until = loop_uptime_ms() + RESET_MS;

	while ((get(x, at) & bits) != value) {
		if (loop_uptime_ms() > until) {
			return false;
		}
	}
	return true;
}

/* Where its registers are: all in the BAR. */
static bool find_registers(struct xhci *x)
{
	uint32_t params = get(x, HCSPARAMS1);

	x->op = get(x, 0) & 0xff;
	x->doorbells = get(x, DBOFF) & ~3u;
	x->runtime = get(x, RTSOFF) & ~0x1fu;
	x->root_ports = params >> 24;
	x->slots = params & 0xff;
	x->slots = x->slots < XHCI_DEVICES ? x->slots : XHCI_DEVICES;
	x->context = get(x, HCCPARAMS1) & 4 ? 64 : 32;
	return x->op >= 0x20 && x->root_ports > 0 && x->slots > 0 &&
	       x->op + PORTS + x->root_ports * 16 <= x->regs.size &&
	       x->doorbells < x->regs.size &&
	       x->regs.size - x->doorbells >= 4 * (x->slots + 1) &&
	       x->runtime < x->regs.size && x->regs.size - x->runtime >= 0x40;
}

static bool reset(struct xhci *x)
{
	put(x, x->op + USBCMD, 0);
	if (!settles(x, x->op + USBSTS, USBSTS_HALTED, USBSTS_HALTED)) {
		return false;
	}
	put(x, x->op + USBCMD, USBCMD_RESET);
	return settles(x, x->op + USBCMD, USBCMD_RESET, 0) &&
	       settles(x, x->op + USBSTS, USBSTS_NOT_READY, 0);
}

/* The pages that it wants for itself. */
static bool give_scratch(struct xhci *x)
{
	uint32_t params = get(x, HCSPARAMS2);
	uint32_t count = (params >> 27) | (params >> 21 & 0x1f) << 5;
	uint64_t *list;
	uint8_t *pages;

	if (!count) {
		return true;
	}
	if (count > SCRATCH_MAX || !(get(x, x->op + PAGESIZE) & 1)) {
		return false;
	}
	list = dma_alloc(PAGE, PAGE);
	pages = dma_alloc(count * PAGE, PAGE);
	if (!list || !pages) {
		dma_free(list, PAGE);
		dma_free(pages, count * PAGE);
		return false;
	}
	for (uint32_t i = 0; i < count; i++) {
		list[i] = dma_bus(pages) + i * PAGE;
	}
	x->contexts[0] = dma_bus(list);
	return true;
}

/* Memory: a page of contexts' addresses, at its half the event ring's one piece;
 * one of commands; one of events; one of a job's. */
static bool give_memory(struct xhci *x)
{
	uint8_t *pages = dma_alloc(4 * PAGE, 4 * PAGE);
	uint64_t *piece;

	if (!pages) {
		return false;
	}
	x->contexts = (volatile uint64_t *)pages;
	piece = (uint64_t *)(pages + PAGE / 2);
	xhci_ring_init(&x->commands, pages + PAGE);
	x->events = (volatile struct trb *)(pages + 2 * PAGE);
	x->event_cycle = TRB_CYCLE;
	x->input = pages + 3 * PAGE;
	x->data = x->input + PAGE - XHCI_DATA;
	piece[0] = dma_bus(pages + 2 * PAGE);
	piece[1] = EVENTS;
	if (!give_scratch(x)) {
		dma_free(pages, 4 * PAGE);
		return false;
	}
	put(x, x->op + CONFIG, x->slots);
	put64(x, x->op + DCBAAP, dma_bus(pages));
	put64(x, x->op + CRCR, dma_bus(pages + PAGE) | TRB_CYCLE);
	put(x, x->runtime + ERSTSZ, 1);
	put64(x, x->runtime + ERDP, piece[0]);
	put64(x, x->runtime + ERSTBA, dma_bus(piece));
	return true;
}

/** See xhci.h. The bus is the controller's already. */
struct xhci *xhci_new(const struct xhci_regs *regs,
		      void (*key)(unsigned key, bool down), const char **why)
{
	struct xhci *x = calloc(1, sizeof(*x));

	*why = "there is no memory for it";
	if (!x) {
		return NULL;
	}
	x->regs = *regs;
	x->key = key;
	if (!find_registers(x)) {
		*why = "its registers are not where it says";
	} else if (!reset(x)) {
		*why = "it does not become ready";
	} else if (give_memory(x)) {
		put(x, x->runtime + IMAN, IMAN_ON);
		put(x, x->op + USBCMD, USBCMD_RUN | USBCMD_INTERRUPTS);
		usb_look(x);
		return x;
	}
	x->regs.cut(x->regs.arg);
	free(x);
	return NULL;
}

/** usb_look.c: there is a job now, which must end some time. */
void xhci_watch(struct xhci *x)
{
	if (!x->timer.deadline) {
		loop_timer_set(&x->timer, TICK_MS, on_timer);
	}
}
