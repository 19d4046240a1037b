/* SPDX-License-Identifier: MIT */
/*
 * What a peer may do to its channel's device, its ring and connections: indices,
 * lengths and headers that are none, doorbells for nothing, answers that nobody takes,
 * connections in every state. After each the channel must be as good as before: the
 * echo says so.
 */
#include "cpu.h"
#include "link.h"
#include "payload.h"
#include "abi/channel.h"

#define NO_DETAIL	(~0ull)
#define BELLS		20000u
#define RECONNECTS	100u
#define HALF_OPEN	400u
#define ECHO_BYTES	1000u
#define PCI_ADDRESS	0xcf8u
#define PCI_DATA	0xcfcu

static uint32_t next_port = 2000;

/* The channel works (again), with new rings or as it is. */
static void works(const char *name, uint64_t detail, bool anew)
{
	bool good = (!anew || link_up()) &&
		    stream_echoes(next_port++, ECHO_BYTES);

	if (!good) {
		report_value(name, detail, 0, 0xbad);
	}
}

/* The host looks at cons when it wants room: somebody has much to say. */
static void bad_index(const char *name, uint32_t *word, uint32_t value)
{
	struct stream s;

	if (!link_up()) {
		report_value("link-broken", NO_DETAIL, 0, 0xbad);
		return;
	}
	(void)stream_open(&s, next_port++, PORT_CHARGEN);
	ring_store(word, *word + value);
	if (!link_goes_down()) {
		report_value(name, value, 0, 0xbad);
	}
}

/** Indices that cannot be: the host resets the channel, and reads nothing by them. */
void run_bad_indices(uint64_t unused)
{
	static const uint32_t prods[] = {
		1, 4, 0x7ffffff8, 0x80000000, 0xffffffff,
	};
	uint32_t size;

	(void)unused;
	report_value("link", NO_DETAIL, 0, link_up());
	size = link_ring.size;
	for (uint32_t i = 0; i < sizeof(prods) / sizeof(prods[0]); i++) {
		bad_index("prod-", &link_ring.own->prod,
			  prods[i]);
		bad_index("cons-", &link_ring.own->cons,
			  prods[i]);
	}
	bad_index("prod-", &link_ring.own->prod, size + 8);
	bad_index("prod-", &link_ring.own->prod, -8u);
	works("indices", NO_DETAIL, true);
}

/* One packet as it is not to be; whether the channel goes down by it. */
static bool send_odd(uint32_t len, uint32_t type, uint32_t op, uint32_t cid)
{
	struct ring_packet p = {
		.src_cid = cid, .dst_cid = 2, .src_port = next_port++,
		.dst_port = PORT_ECHO, .len = 0, .type = (uint16_t)type,
		.op = (uint16_t)op, .flags = ~0u, .buf_alloc = ~0u,
		.fwd_cnt = ~0u,
	};

	(void)ring_tx_begin(&link_ring, 64);
	p.len = len;
	ring_tx_put(&link_ring, 0, &p, RING_PACKET_HEADER);
	ring_tx_end(&link_ring, 64);
	(void)ring_tx_commit(&link_ring);
	link_bell();
	return len > 64 && link_goes_down();
}

/** Lengths, types, operations, CIDs; a packet of which only a part is there. */
void run_bad_packets(uint64_t unused)
{
	static const uint32_t lengths[] = {
		69, 0x10000, 0x10001, 0x7fffffff, 0x80000000, 0xffffffd4,
		0xffffffff,
	};
	struct stream s;

	(void)unused;
	for (uint32_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		if (!link_up() || !send_odd(lengths[i], TYPE_STREAM, OP_RW, 3)) {
			report_value("length-", lengths[i], 0, 0xbad);
		}
	}
	(void)link_up();
	for (uint32_t type = 0; type < 8; type++) {
		for (uint32_t op = 0; op < 12; op++) {
			(void)send_odd(64, type, op, 3);
			(void)send_odd(64, type, op, type);
		}
	}
	works("types", NO_DETAIL, false);
	/* empty ones on a connection that lives */
	if (stream_open(&s, next_port++, PORT_ECHO)) {
		for (uint32_t i = 0; i < 1000; i++) {
			(void)link_send(&s, OP_RW, NULL, 0);
		}
		stream_close(&s);
	}
	works("empty", NO_DETAIL, false);
}

/** Doorbells for nothing, and again when there is something. */
void run_bells(uint64_t unused)
{
	(void)unused;
	(void)link_up();
	for (uint32_t i = 0; i < row_times(BELLS); i++) {
		link_bell();
		port_out32(CHANNEL_GUEST_IO_PORT + CHANNEL_IO_INT_CONTROL,
			   i & 1);
	}
	works("bells", NO_DETAIL, false);
}

/** Answers that nobody takes: the host's memory for them has a bound. */
void run_unread(uint64_t unused)
{
	static uint8_t data[RING_PAYLOAD_MAX];
	struct stream s[16];
	uint32_t sent = 0;

	(void)unused;
	(void)link_up();
	for (uint32_t i = 0; i < 16; i++) {
		(void)stream_open(&s[i], next_port++,
				  i & 1 ? PORT_CHARGEN : PORT_ECHO);
	}
	for (uint32_t round = 0; round < 64; round++) {
		for (uint32_t i = 0; i < 16; i += 2) {
			sent += link_send(&s[i], OP_RW, data, 16384);
		}
	}
	report_value("unread", NO_DETAIL, 0, sent > 0);
	works("unread-then", NO_DETAIL, true);
}

/** The channel reset again and again, amid a packet, with headers of nobody. */
void run_reconnects(uint64_t unused)
{
	struct stream s;
	uint32_t up = 0;

	(void)unused;
	for (uint32_t i = 0; i < row_times(RECONNECTS); i++) {
		up += link_up();
		(void)stream_open(&s, next_port++, PORT_ECHO);
		ring_tx_put(&link_ring, 0, &s, sizeof(s));
		if (i % 3 == 0) {
			link_ring.own->magic ^= i;
			link_ring.own->version += i;
		}
	}
	report_value("up", NO_DETAIL, 0, up);
	works("reconnects", NO_DETAIL, true);
}

/** What the host's section and its own have beside live data: nothing of before. */
void run_leftovers(uint64_t unused)
{
	const uint64_t *rx;
	uint32_t words, from;

	(void)unused;
	(void)link_up();
	(void)stream_echoes(next_port++, ECHO_BYTES);
	(void)link_up();
	rx = (const uint64_t *)link_ring.rx_data;
	/* what it may have said already, and while this looks, is not counted */
	do {
		words = 0;
		from = ring_load(&link_ring.peer->prod);
		for (uint32_t i = from / 8; i < link_ring.size / 8; i++) {
			words += rx[i] != 0;
		}
	} while (ring_load(&link_ring.peer->prod) != from);
	report_value("leftovers", NO_DETAIL, 0, words);
}

/** Connections that never get further, more bytes than there is credit for, credit
 * that cannot be, an end in each state; another connection goes on. */
void run_credit(uint64_t unused)
{
	static uint8_t data[RING_PAYLOAD_MAX];
	static const uint32_t ops[] = {
		OP_RESPONSE, OP_RST, OP_SHUTDOWN, OP_RW, OP_CREDIT_UPDATE,
		OP_CREDIT_REQUEST, OP_REQUEST,
	};
	struct stream s;

	(void)unused;
	(void)link_up();
	for (uint32_t i = 0; i < HALF_OPEN; i++) {
		s = (struct stream){ .local = 20000 + i, .remote = PORT_ECHO };
		while (!link_send(&s, OP_REQUEST, NULL, 0)) {
			struct ring_packet p;

			(void)link_next(&p, data, 100);
		}
	}
	/* all the places may be taken: these make room */
	(void)link_up();
	for (uint32_t first = 0; first < 7; first++) {
		for (uint32_t then = 0; then < 7; then++) {
			s = (struct stream){ .local = next_port++,
					     .remote = PORT_ECHO };
			(void)link_send(&s, ops[first], data, first == 3);
			(void)link_send(&s, ops[then], data, then == 3);
		}
	}
	works("states", NO_DETAIL, false);
	if (stream_open(&s, next_port++, PORT_DISCARD)) {
		for (uint32_t i = 0; i < 40; i++) {
			(void)link_send(&s, OP_RW, data, 32768);
		}
	}
	works("beyond", NO_DETAIL, false);
	if (stream_open(&s, next_port++, PORT_ECHO)) {
		s.got = 0x80000000;
		(void)link_send(&s, OP_CREDIT_UPDATE, NULL, 0);
	}
	works("consumed", NO_DETAIL, false);
}

static uint32_t pci(uint32_t address, uint32_t size)
{
	port_out32(PCI_ADDRESS, 1u << 31 | (address & 0xfffffc));
	return size == 4 ? port_in32(PCI_DATA) :
	       port_in8((uint16_t)(PCI_DATA + (address & 3)));
}

static void pci_write(uint32_t address, uint32_t v)
{
	port_out32(PCI_ADDRESS, 1u << 31 | (address & 0xfffffc));
	port_out32(PCI_DATA, v);
}

/** Its configuration space: who is there, all that can be written, BARs that would
 * move. */
void run_pci(uint64_t unused)
{
	uint32_t found = 0, bars[6];

	(void)unused;
	for (uint32_t f = 0; f < 0x100; f++) {
		found += pci(f << 8, 4) != 0xffffffff;
		found += pci((f | 0x100) << 8, 4) != 0xffffffff;
	}
	report_value("functions", NO_DETAIL, 0, found);
	for (uint32_t device = 0; device < 3; device++) {
		uint32_t at = device << 11;

		for (uint32_t i = 0; i < 6; i++) {
			bars[i] = pci(at + 0x10 + 4 * i, 4);
		}
		for (uint32_t reg = 0; reg < 256; reg++) {
			(void)pci(at + reg, 1);
			if ((reg & 3) == 0) {
				pci_write(at + reg, 0xffffffff);
				pci_write(at + reg, 0x18000000 | reg);
				pci_write(at + reg, 0);
			}
		}
		for (uint32_t i = 0; i < 6; i++) {
			if (bars[i]) {
				pci_write(at + 0x10 + 4 * i, 0x20000000);
			}
			pci_write(at + 0x10 + 4 * i, bars[i]);
			report_value("bar-", device * 16 + i, 0,
				     pci(at + 0x10 + 4 * i, 4) ^ bars[i]);
		}
	}
	report_value("pci-then", NO_DETAIL, 0, link_up() &&
		     stream_echoes(900, 500));
	link_down();
}
