/* SPDX-License-Identifier: MIT */
/* Talk through the NAT of nat_fixture.h, for tests with cmocka. */
#ifndef NAT_TALK_H
#define NAT_TALK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qemu-test/unit/nat_fixture.h"

#define GO	assert_int_equal

static struct packet packet;

static inline int begin(void **state)
{
	struct nat_config config = fixture_config(64);

	(void)state;
	fixture_begin(&config);
	return 0;
}

static inline int end(void **state)
{
	(void)state;
	fixture_end();
	return 0;
}

static inline uint64_t count(unsigned which, enum nat_count what)
{
	return nat_counts(nat, which)[what];
}

/* Linux sends; the port that the wire sees, or 0. */
static inline uint16_t send_from(unsigned which, bool six, uint8_t proto, enum who peer,
			  uint16_t from, uint16_t port, uint8_t flags)
{
	struct spec s = { .six = six, .proto = proto, .from = LINUX_0 + which,
			  .to = peer, .sport = from, .dport = port,
			  .flags = flags, .payload = 5, .seq = 100 };

	make(&packet, &s);
	if (out(which, &packet) != NAT_WIRE) {
		return 0;
	}
	assert_true(is_from(&packet, OUTSIDE) && is_to(&packet, peer));
	GO(dport(&packet), port);
	assert_true(sums_right(packet.p.data, packet.p.len, false));
	return sport(&packet);
}

static inline uint16_t udp(bool six, enum who peer, uint16_t from, uint16_t port)
{
	return send_from(0, six, UDP, peer, from, port, 0);
}

/* The wire sends to the outside address; Linux's port that gets it, or 0. */
static inline uint16_t come(bool six, uint8_t proto, enum who peer, uint16_t from,
		     uint16_t port, uint8_t flags)
{
	struct spec s = { .six = six, .proto = proto, .from = peer,
			  .to = OUTSIDE, .sport = from, .dport = port,
			  .flags = flags, .payload = 9, .seq = 7000, .ack = 101 };

	make(&packet, &s);
	if (in(&packet) != NAT_LINUX) {
		return 0;
	}
	assert_true(is_from(&packet, peer) && is_to(&packet, LINUX_0 + to));
	GO(sport(&packet), from);
	assert_true(sums_right(packet.p.data, packet.p.len, false));
	return dport(&packet);
}

#define BOTH	for (unsigned six = 0; six < 2; six++)

#define TEST(name)	cmocka_unit_test_setup_teardown(name, begin, end)

#endif
