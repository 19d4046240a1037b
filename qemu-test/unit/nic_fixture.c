/* SPDX-License-Identifier: MIT */
/* See nic_fixture.h. */
#include "nic_fixture.h"

#define KEPT	2048u

struct card card;
unsigned told_changed, told_room;

static struct sent wire[KEPT];
static unsigned wire_count, wire_seen;
static struct sent wanted[KEPT];	/* what was sent, and not looked for */
static unsigned wanted_count;
static struct sent came[KEPT], got[KEPT];
static unsigned came_count, got_count;
static bool echo;

static void keep(struct sent *list, unsigned *count, const void *data,
		 size_t len)
{
	struct sent *s = &list[*count];

	assert_true(*count < KEPT);
	*s = (struct sent){ .data = malloc(len ? len : 1), .len = len };
	memcpy(s->data, data, len);
	(*count)++;
}

static void drop(struct sent *list, unsigned *count)
{
	while (*count > 0) {
		free(list[--*count].data);
	}
}

void wire_out(const uint8_t *data, size_t len, const struct nic_offload *off)
{
	if (chaos) {
		return;
	}
	keep(wire, &wire_count, data, len);
	if (off) {
		wire[wire_count - 1].off = *off;
	}
}

unsigned got_flags;

static void receive(void *arg, const void *frame, size_t len, unsigned flags)
{
	struct nic_seg seg = { frame, len };

	got_flags = flags;
	assert_true(len >= NIC_HEADER && len <= NIC_FRAME_MAX);
	if (!chaos) {
		keep(got, &got_count, frame, len);
	}
	if (echo) {
		(void)nic_send(arg, &seg, 1, NULL);
	}
}

static void changed(void *arg)
{
	(void)arg;
	told_changed++;
}

static void room(void *arg)
{
	(void)arg;
	told_room++;
}

static void again(void *arg)
{
	*(bool *)arg = true;
}

static bool more;

static void turn(struct nic *nic)
{
	if (more) {
		more = false;
		nic_interrupt(nic);
	}
	if (card.interrupt) {
		card.interrupt = false;
		nic_interrupt(nic);
	}
	if (card.link_interrupt) {
		card.link_interrupt = false;
		nic_link_interrupt(nic);
	}
}

void nic_run(struct nic *nic, unsigned ms)
{
	while (ms-- > 0) {
		fake_tick();
		if (chaos) {
			card.interrupt = chaos_step();
			card.link_interrupt = rand() % 8 == 0;
		} else {
			card.step();
		}
		turn(nic);
	}
}

int nic_setup(void **state, struct nic *nic)
{
	nic->receive = receive;
	nic->changed = changed;
	nic->room = room;
	nic->arg = nic;
	nic->again = again;
	nic->again_arg = &more;
	told_changed = told_room = 0;
	more = echo = false;
	*state = nic;
	return 0;
}

int nic_teardown(void **state)
{
	drop(wire, &wire_count);
	drop(wanted, &wanted_count);
	drop(came, &came_count);
	drop(got, &got_count);
	wire_seen = 0;
	free(*state);
	fake_none();
	return 0;
}

static void settle(struct nic *nic)
{
	for (unsigned i = 0; nic->state == NIC_STARTING ||
	     nic->state == NIC_STOPPING; i++) {
		assert_true(i < 20000);
		nic_run(nic, 1);
	}
}

struct nic *nic_ready(void **state)
{
	struct nic *nic = *state;

	nic_start(nic);
	settle(nic);
	assert_int_equal(nic->state, NIC_READY);
	card.set_link(true);
	nic_run(nic, 5);
	assert_true(nic->link);
	return nic;
}

void nic_refused(struct nic *nic, const char *why)
{
	nic->why = NULL;
	nic_start(nic);
	settle(nic);
	assert_int_equal(nic->state, NIC_FAILED);
	assert_string_equal(nic->why, why);
	assert_int_equal(cuts, 1);
}

static void make(uint8_t *data, size_t len)
{
	static uint32_t seed;

	for (size_t i = 0; i < len; i++) {
		seed = seed * 1103515245 + 12345;
		data[i] = (uint8_t)(seed >> 16);
	}
}

int send_frame(struct nic *nic, size_t len, size_t piece)
{
	uint8_t data[NIC_FRAME_MAX + 100];
	struct nic_seg segs[NIC_SEGS_MAX];
	unsigned count = 0;
	int error;

	assert_true(len <= sizeof(data) && len <= piece * NIC_SEGS_MAX);
	make(data, len);
	for (size_t at = 0; at < len; at += piece) {
		segs[count++] = (struct nic_seg){
			data + at, len - at < piece ? len - at : piece };
	}
	error = nic_send(nic, segs, count, NULL);
	if (error == 0 && !chaos) {
		keep(wanted, &wanted_count, data, len);
	}
	return error;
}

static void equal(const struct sent *a, const struct sent *b)
{
	assert_int_equal(a->len, b->len);
	assert_memory_equal(a->data, b->data, a->len);
}

void on_wire(unsigned count)
{
	assert_int_equal(wire_count, count);
	assert_int_equal(wanted_count, count);
	for (unsigned i = 0; i < count; i++) {
		equal(&wire[i], &wanted[i]);
	}
	drop(wire, &wire_count);
	drop(wanted, &wanted_count);
}

bool come_frame(size_t len)
{
	uint8_t data[4096];

	make(data, len);
	data[0] |= 1;			/* a group's */
	if (!card.arrive(data, len)) {
		return false;
	}
	keep(came, &came_count, data, len);
	return true;
}

void handed_on(unsigned count)
{
	assert_int_equal(got_count, count);
	assert_int_equal(came_count, count);
	for (unsigned i = 0; i < count; i++) {
		equal(&got[i], &came[i]);
	}
	drop(got, &got_count);
	drop(came, &came_count);
}

/* Nothing of what it did was wrong. */
static void no_complaint(const struct nic *nic)
{
	assert_int_equal(nic->nonsense, 0);
	assert_int_equal(nic->errors, 0);
	assert_int_equal(nic->resets, 0);
	assert_int_equal(nic->hangs, 0);
	assert_int_equal(nic->state, NIC_READY);
}

void both_ways(void **state)
{
	struct nic *nic = nic_ready(state);

	assert_int_equal(send_frame(nic, 60, 60), 0);
	assert_true(come_frame(60));
	nic_run(nic, 2);
	on_wire(1);
	handed_on(1);
	assert_int_equal(nic->tx_packets, 1);
	assert_int_equal(nic->rx_packets, 1);
	assert_int_equal(nic->tx_bytes, 60);
	assert_int_equal(nic->rx_bytes, 60);
	nic_run(nic, 200);
	assert_int_equal(nic->in_flight, 0);
	no_complaint(nic);
}

void each_size(void **state)
{
	struct nic *nic = nic_ready(state);

	for (size_t len = NIC_HEADER; len <= NIC_HEADER + NIC_MTU; len++) {
		assert_int_equal(send_frame(nic, len, len / 40 + 1), 0);
		nic_run(nic, 1);
		on_wire(1);
	}
	for (size_t len = NIC_HEADER; len <= NIC_FRAME_MAX; len++) {
		assert_true(come_frame(len));
		nic_run(nic, 1);
		handed_on(1);
	}
	assert_int_equal(send_frame(nic, NIC_HEADER - 1, 100), EMSGSIZE);
	assert_int_equal(send_frame(nic, NIC_HEADER + NIC_MTU + 1, 100),
			 EMSGSIZE);
	assert_int_equal(nic->tx_dropped, 2);
	no_complaint(nic);
}

/* What is for another station is nobody's here. */
void others(void **state)
{
	struct nic *nic = nic_ready(state);
	uint8_t frame[60];

	memset(frame, 0, sizeof(frame));
	memcpy(frame, nic->mac, 6);
	assert_true(card.arrive(frame, sizeof(frame)));
	frame[5] ^= 1;
	assert_true(card.arrive(frame, sizeof(frame)));
	nic_run(nic, 1);
	assert_int_equal(nic->rx_packets, 1);
	assert_int_equal(nic->rx_dropped, 1);
}

/* Longer than any counter of a queue. */
void many_rounds(void **state)
{
	struct nic *nic = nic_ready(state);

	for (unsigned round = 0; round < 3000; round++) {
		unsigned count = round % 37;

		for (unsigned i = 0; i < count; i++) {
			assert_int_equal(send_frame(nic, 60 + i, 90), 0);
			assert_true(come_frame(80 + i));
		}
		nic_run(nic, 1);
		on_wire(count);
		handed_on(count);
	}
	no_complaint(nic);
}

/* A card that takes its time has so many, then there is room again. */
void full_queue(void **state)
{
	struct nic *nic = nic_ready(state);
	unsigned count = 0;

	card.hangs = true;
	while (send_frame(nic, 100, 100) == 0) {
		count++;
		assert_true(count < KEPT);
	}
	assert_true(count >= card.depth - 1 && count <= card.depth);
	assert_int_equal(send_frame(nic, 100, 100), ENOBUFS);
	nic_run(nic, 50);
	assert_int_equal(told_room, 0);
	card.hangs = false;
	nic_run(nic, 1);
	on_wire(count);
	/* by the card's own interrupt, before any timer */
	assert_int_equal(told_room, 1);
	assert_int_equal(send_frame(nic, 100, 100), 0);
	nic_run(nic, 200);
	on_wire(1);
	assert_int_equal(told_room, 1);
	no_complaint(nic);
}

/* More than is handed on in a turn comes in several; what finds no place is the
 * card's to drop. */
void flood(void **state)
{
	struct nic *nic = nic_ready(state);

	for (unsigned round = 0; round < 20; round++) {
		unsigned count = 0;
		uint64_t before = nic->rx_packets;

		while (come_frame(200)) {
			count++;
			assert_true(count < KEPT);
		}
		assert_true(count >= card.depth - 1);
		turn(nic);
		assert_int_equal(nic->rx_packets - before, NIC_BUDGET);
		assert_true(more);
		nic_run(nic, 10);
		handed_on(count);
		assert_false(more);
	}
	no_complaint(nic);
}

void link_goes(void **state)
{
	struct nic *nic = nic_ready(state);
	unsigned before = told_changed;

	card.hangs = true;
	assert_int_equal(send_frame(nic, 60, 60), 0);
	card.set_link(false);
	nic_run(nic, 2);
	assert_false(nic->link);
	assert_int_equal(told_changed, before + 1);
	assert_int_equal(send_frame(nic, 60, 60), ENETDOWN);
	/* without a link nothing hangs */
	nic_run(nic, 2 * NIC_SEND_MS);
	assert_int_equal(nic->hangs, 0);
	card.set_link(true);
	nic_run(nic, 2);
	assert_true(nic->link);
	assert_int_equal(told_changed, before + 2);
	card.hangs = false;
	nic_run(nic, 2);
	on_wire(1);
	for (unsigned i = 0; i < 100; i++) {
		card.set_link(i % 2);
		nic_run(nic, 1);
	}
	assert_int_equal(nic->link_changes, 103);
	no_complaint(nic);
}

/* What it had is lost, and it goes on; as often as it likes. */
void hangs_and_again(void **state)
{
	struct nic *nic = nic_ready(state);

	for (unsigned i = 1; i < 5; i++) {
		uint64_t lost = nic->tx_dropped;

		card.hangs = true;
		assert_int_equal(send_frame(nic, 60, 60), 0);
		assert_int_equal(send_frame(nic, 60, 60), 0);
		nic_run(nic, NIC_SEND_MS + 1200);
		assert_int_equal(nic->hangs, i);
		assert_int_equal(nic->resets, i);
		assert_int_equal(nic->tx_dropped, lost + 2);
		drop(wanted, &wanted_count);
		card.hangs = false;
		settle(nic);
		card.set_link(true);
		nic_run(nic, 2);
		assert_int_equal(send_frame(nic, 600, 60), 0);
		assert_true(come_frame(600));
		nic_run(nic, 2);
		on_wire(1);
		handed_on(1);
	}
	assert_int_equal(cuts, 0);
}

/* It is lost with both queues full. */
void reset_in_flight(void **state)
{
	struct nic *nic = nic_ready(state);

	card.hangs = true;
	while (send_frame(nic, 100, 100) == 0) {
	}
	while (come_frame(100)) {
	}
	nic_start(nic);
	card.interrupt = true;
	nic_run(nic, 1);
	assert_int_equal(send_frame(nic, 100, 100), ENETDOWN);
	settle(nic);
	drop(wanted, &wanted_count);
	drop(came, &came_count);
	assert_int_equal(got_count, 0);
	card.hangs = false;
	card.set_link(true);
	nic_run(nic, 3);
	assert_int_equal(told_room, 1);
	for (unsigned i = 0; i < 500; i++) {
		assert_int_equal(send_frame(nic, 100, 100), 0);
		assert_true(come_frame(100));
		nic_run(nic, 1);
		on_wire(1);
		handed_on(1);
	}
	assert_int_equal(nic->nonsense, 0);
}

void never_resets(void **state)
{
	struct nic *nic = nic_ready(state);

	card.hangs = card.stuck = true;
	assert_int_equal(send_frame(nic, 60, 60), 0);
	nic_run(nic, NIC_SEND_MS + 1000);
	settle(nic);
	assert_int_equal(nic->state, NIC_FAILED);
	assert_string_equal(nic->why, "it does not answer");
	assert_int_equal(cuts, 1);
	assert_int_equal(send_frame(nic, 60, 60), ENETDOWN);
	assert_false(nic->link);
}

/* As in a panic: no interrupts, no timers. */
void polled(void **state)
{
	struct nic *nic = nic_ready(state);

	for (unsigned i = 0; i < 1000; i++) {
		assert_int_equal(send_frame(nic, 100, 100), 0);
		card.step();
		assert_true(come_frame(100));
		nic_poll(nic);
		on_wire(1);
		handed_on(1);
	}
	no_complaint(nic);
}

/* A card that is quite mad reaches nothing, and holds up nobody. */
void chaotic(void **state)
{
	struct nic *nic = nic_ready(state);

	echo = true;
	for (unsigned seed = 1; seed < 30; seed++) {
		srand(seed);
		chaos = true;
		for (unsigned round = 0; round < 300; round++) {
			for (unsigned i = (unsigned)rand() % 20; i > 0; i--) {
				(void)send_frame(nic, 14 +
					(unsigned)rand() % 1500, 100);
			}
			nic_run(nic, rand() % 100 ? 3 : 3000);
		}
		chaos = false;
		cuts = 0;
		nic->why = NULL;
		nic_start(nic);
		settle(nic);
		assert_int_equal(nic->state, NIC_READY);
	}
	/* As good as new. */
	echo = false;
	drop(wire, &wire_count);
	drop(got, &got_count);
	card.set_link(true);
	nic_run(nic, 5);
	assert_int_equal(send_frame(nic, 100, 100), 0);
	assert_true(come_frame(100));
	nic_run(nic, 2);
	on_wire(1);
	handed_on(1);
}
