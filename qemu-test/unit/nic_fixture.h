/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the drivers of network cards share: a wire with frames of the
 * test's own on it, and what each card must do. The card itself is the test's.
 */
#ifndef NIC_FIXTURE_H
#define NIC_FIXTURE_H

#include "fake/device.h"
#include "drivers/nic.h"

/* What a frame looks like when it comes to be sent by a card: with what is still
 * to be done to it. */
struct sent {
	uint8_t *data;
	size_t len;
	struct nic_offload off;
};

/* The card of a test, by the test. */
struct card {
	/* Does what the driver has told it to do. */
	void (*step)(void);
	/* A frame comes from the wire; false: it has no place for it. */
	bool (*arrive)(const uint8_t *data, size_t len);
	void (*set_link)(bool up);
	unsigned depth;			/* frames that it has places for */
	/* The driver's interrupts: raised, and for what. */
	bool interrupt, link_interrupt;
	bool hangs;			/* sends nothing */
	bool stuck;			/* does not come out of a reset */
	unsigned resets;
};

extern struct card card;

/* For the card: it sends; the fixture keeps it. */
void wire_out(const uint8_t *data, size_t len, const struct nic_offload *off);

/* Starts it, with callbacks of the fixture's; ready, with its link up. */
struct nic *nic_ready(void **state);
void nic_run(struct nic *nic, unsigned ms);
/* Its start fails. */
void nic_refused(struct nic *nic, const char *why);
/* Sends a frame of len bytes with content of its own, in pieces of "piece". */
int send_frame(struct nic *nic, size_t len, size_t piece);
/* So many frames sent are on the wire as they were, in order, since last time. */
void on_wire(unsigned count);
/* A frame comes in; true: the card had a place for it. */
bool come_frame(size_t len);
/* So many have been handed on as they were, in order, since last time. */
void handed_on(unsigned count);
extern unsigned told_changed, told_room;
extern unsigned got_flags;		/* of the last one */

/* The tests that are the same for all cards; each of an object made by new(). */
void both_ways(void **state);
void each_size(void **state);
void others(void **state);
void many_rounds(void **state);
void full_queue(void **state);
void flood(void **state);
void link_goes(void **state);
void hangs_and_again(void **state);
void reset_in_flight(void **state);
void never_resets(void **state);
void polled(void **state);
void chaotic(void **state);

#define NIC_TESTS TEST(both_ways), TEST(each_size), TEST(others), \
	TEST(many_rounds), TEST(full_queue), TEST(flood), TEST(link_goes), \
	TEST(hangs_and_again), TEST(reset_in_flight), TEST(never_resets), \
	TEST(polled), TEST(chaotic)

int nic_setup(void **state, struct nic *nic);
int nic_teardown(void **state);

#endif
