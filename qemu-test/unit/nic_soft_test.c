/* SPDX-License-Identifier: MIT */
/* Checksums and frames of TCP that nic.c makes for cards that do not, against a
 * card of the test's that takes plain frames only: what is sent must be what was
 * asked for, and right by a plain reckoning. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/nic.h"

#define TCP4	34u			/* where TCP begins behind IPv4 */
#define TCP6	54u

static struct nic nic;
static uint8_t sent[64 * 1024 / 48 + 8][NIC_FRAME_MAX];
static size_t lens[64 * 1024 / 48 + 8];
static unsigned count, places;

void loop_timer_set(struct loop_timer *timer, uint64_t delay_ms,
		    void (*fn)(struct loop_timer *timer))
{
	(void)timer;
	(void)delay_ms;
	(void)fn;
}

void loop_timer_cancel(struct loop_timer *timer)
{
	(void)timer;
}

uint64_t loop_uptime_ms(void)
{
	return 0;
}

static int send(struct nic *n, const struct nic_seg *segs, unsigned seg_count,
		size_t len, const struct nic_offload *off, size_t header)
{
	(void)n;
	(void)header;
	assert_null(off);
	assert_true(len <= NIC_HEADER + NIC_MTU);
	if (count == places) {
		return ENOBUFS;
	}
	nic_gather(sent[count], segs, seg_count, 0, len);
	lens[count++] = len;
	return 0;
}

/* The card hears of what it was given, so often; and sends so many. */
static unsigned heard, times, sends;

static void tell(struct nic *n)
{
	(void)n;
	heard = count;
	times++;
	places += sends;
}

static int setup(void **state)
{
	static const struct nic_ops ops = { .send = send, .tell = tell };

	(void)state;
	memset(&nic, 0, sizeof(nic));
	nic_init(&nic, &ops);
	nic.state = NIC_READY;
	nic.link = true;
	count = sends = 0;
	places = sizeof(lens) / sizeof(lens[0]);
	return 0;
}

static unsigned at16(const uint8_t *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

static void set16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* Adds bytes to a sum as [RFC 1071] says it, one by one. */
static unsigned add(unsigned sum, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		sum += i % 2 ? data[i] : (unsigned)data[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

/* Of all that TCP or UDP sums up, its own sum included: all ones if it is right. */
static unsigned transport_sum(const uint8_t *frame, size_t len, size_t at)
{
	const uint8_t *ip = frame + NIC_HEADER;
	bool six = at16(frame + 12) == 0x86dd;
	uint8_t tail[4] = { 0, six ? ip[6] : ip[9] };
	unsigned sum = add(0, six ? ip + 8 : ip + 12, six ? 32 : 8);

	set16(tail + 2, (unsigned)(len - at));
	return add(add(sum, tail, 4), frame + at, len - at);
}

/* A frame of TCP or UDP, with any data, and the pseudo header's part of the sum. */
static void make(uint8_t *frame, size_t len, bool six, uint8_t proto,
		 size_t sum_at)
{
	size_t at = six ? TCP6 : TCP4;
	uint8_t *ip = frame + NIC_HEADER, tail[4] = { 0, proto };

	for (size_t i = 0; i < len; i++) {
		frame[i] = (uint8_t)rand();
	}
	set16(frame + 12, six ? 0x86dd : 0x0800);
	ip[0] = six ? 0x60 : 0x45;
	if (six) {
		set16(ip + 4, (unsigned)(len - at));
		ip[6] = proto;
	} else {
		set16(ip + 2, (unsigned)(len - NIC_HEADER));
		ip[9] = proto;
		set16(ip + 10, 0);
		set16(ip + 10, ~add(0, ip, 20) & 0xffff);
	}
	set16(tail + 2, (unsigned)(len - at));
	set16(frame + at + sum_at,
	      add(add(0, six ? ip + 8 : ip + 12, six ? 32 : 8), tail, 4));
	if (proto == 6) {
		frame[at + 12] = 0x80;		/* 12 bytes of options */
	}
}

static struct nic_offload offload(bool six, size_t sum_at, uint8_t gso,
				  uint16_t size)
{
	return (struct nic_offload){
		.csum = true, .csum_start = six ? TCP6 : TCP4,
		.csum_offset = (uint16_t)sum_at, .gso = gso, .gso_size = size,
	};
}

static void checksums(void **state)
{
	uint8_t frame[NIC_FRAME_MAX];

	(void)state;
	for (unsigned i = 0; i < 4000; i++) {
		bool six = i % 2, tcp = i / 2 % 2;
		size_t len = (six ? TCP6 : TCP4) + (tcp ? 32 : 8) + i / 4;
		struct nic_offload off = offload(six, tcp ? 16 : 6, 0, 0);
		struct nic_seg segs[] = { { frame, 20 },
					  { frame + 20, len - 20 } };

		make(frame, len, six, tcp ? 6 : 17, tcp ? 16 : 6);
		count = 0;
		assert_int_equal(nic_send(&nic, segs, 2, &off), 0);
		assert_int_equal(count, 1);
		assert_int_equal(lens[0], len);
		assert_int_equal(transport_sum(sent[0], len, off.csum_start),
				 0xffff);
		set16(frame + off.csum_start + off.csum_offset, at16(sent[0] +
		      off.csum_start + off.csum_offset));
		assert_memory_equal(sent[0], frame, len);
	}
}

/* A sum that is 0 is not sent as none. */
static void never_none(void **state)
{
	uint8_t frame[60] = { 0 };
	struct nic_offload off = offload(false, 6, 0, 0);
	struct nic_seg seg = { frame, 60 };

	(void)state;
	frame[50] = frame[51] = 0xff;
	assert_int_equal(nic_send(&nic, &seg, 1, &off), 0);
	assert_int_equal(at16(sent[0] + TCP4 + 6), 0xffff);
}

static void check_frame(const uint8_t *all, unsigned i, size_t at, bool six,
			bool last)
{
	size_t tcp = six ? TCP6 : TCP4;
	const uint8_t *f = sent[i], *ip = f + NIC_HEADER;
	uint8_t flags = all[tcp + 13];

	assert_memory_equal(f, all, NIC_HEADER);
	assert_memory_equal(f + tcp + 32, all + tcp + 32 + at,
			    lens[i] - tcp - 32);
	assert_int_equal(transport_sum(f, lens[i], tcp), 0xffff);
	if (six) {
		assert_int_equal(at16(ip + 4), lens[i] - TCP6);
	} else {
		assert_int_equal(at16(ip + 2), lens[i] - NIC_HEADER);
		assert_int_equal(add(0, ip, 20), 0xffff);
		assert_int_equal(at16(ip + 4), (at16(all + 18) + i) & 0xffff);
	}
	assert_int_equal((uint32_t)(at16(f + tcp + 4) << 16 | at16(f + tcp + 6)),
			 (uint32_t)((at16(all + tcp + 4) << 16 |
				     at16(all + tcp + 6)) + at));
	flags &= (uint8_t)~(last ? 0 : 0x09);
	flags &= (uint8_t)~(i ? 0x80 : 0);
	assert_int_equal(f[tcp + 13], flags);
}

static void segments(void **state)
{
	static uint8_t all[NIC_SEND_MAX];
	static const uint16_t sizes[] = { 48, 536, 1220, 1428 };

	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		bool six = round % 2;
		size_t head = (six ? TCP6 : TCP4) + 32, at = 0;
		size_t len = round < 2 ? NIC_SEND_MAX :
			     head + 1 + (unsigned)rand() % 60000;
		uint16_t size = sizes[round / 2 % 4];
		struct nic_offload off = offload(six, 16, six ? NIC_TSO6 :
						 NIC_TSO4, size);
		struct nic_seg segs[] = { { all, 70 }, { all + 70, len - 70 } };

		make(all, len, six, 6, 16);
		count = times = 0;
		assert_int_equal(nic_send(&nic, segs, 2, &off), 0);
		assert_int_equal(count, (len - head + size - 1) / size);
		assert_int_equal(times, 1);
		assert_int_equal(heard, count);
		assert_false(nic.held);
		for (unsigned i = 0; i < count; i++) {
			check_frame(all, i, at, six, i == count - 1);
			at += lens[i] - head;
		}
		assert_int_equal(at, len - head);
	}
	assert_int_equal(nic.tx_dropped, 0);
}

/* A card that is full may send when it has heard of what it has. */
static void room_when_it_hears(void **state)
{
	static uint8_t all[10000];
	struct nic_offload off = offload(false, 16, NIC_TSO4, 1000);
	struct nic_seg seg = { all, TCP4 + 32 + 9000 };

	(void)state;
	make(all, seg.len, false, 6, 16);
	places = sends = 4;
	times = 0;
	assert_int_equal(nic_send(&nic, &seg, 1, &off), 0);
	assert_int_equal(count, 9);
	assert_int_equal(times, 3);
	assert_int_equal(nic.tx_dropped, 0);
	assert_false(nic.full);
}

/* What finds no room in the middle is lost, and said only in the counter. */
static void no_room(void **state)
{
	static uint8_t all[10000];
	struct nic_offload off = offload(false, 16, NIC_TSO4, 1000);
	struct nic_seg seg = { all, TCP4 + 32 + 9000 };

	(void)state;
	make(all, seg.len, false, 6, 16);
	places = 0;
	assert_int_equal(nic_send(&nic, &seg, 1, &off), ENOBUFS);
	assert_int_equal(nic.tx_dropped, 1);
	places = 4;
	assert_int_equal(nic_send(&nic, &seg, 1, &off), 0);
	assert_int_equal(nic.tx_dropped, 6);
	assert_int_equal(nic.tx_packets, 4);
}

/* What a Linux might ask for. */
static void refusals(void **state)
{
	static uint8_t all[4000];
	const struct nic_offload good = offload(false, 16, NIC_TSO4, 1000);
	struct nic_offload off[12];
	struct nic_seg seg = { all, 3500 };

	(void)state;
	for (unsigned i = 0; i < 12; i++) {
		off[i] = good;
	}
	off[0].csum = false;
	off[1].csum_offset = 6;
	off[2].csum_start = 30;
	off[3].csum_start = 38;
	off[4].csum_start = 3490;
	off[5].csum_start = 0;
	off[6].gso = NIC_TSO6;
	off[7].gso = NIC_TSO4 | NIC_TSO6;
	off[8].gso = 0xff;
	off[9].gso_size = 47;
	off[10].gso_size = 1449;
	off[11].csum_start = 0xffff;
	for (unsigned i = 0; i < 12; i++) {
		make(all, seg.len, false, 6, 16);
		assert_int_equal(nic_send(&nic, &seg, 1, &off[i]), EINVAL);
	}
	all[23] = 17;
	assert_int_equal(nic_send(&nic, &seg, 1, &good), EINVAL);
	make(all, seg.len, false, 6, 16);
	all[TCP4 + 12] = 0x40;
	assert_int_equal(nic_send(&nic, &seg, 1, &good), EINVAL);
	all[TCP4 + 12] = 0x80;
	seg.len = TCP4 + 32;
	assert_int_equal(nic_send(&nic, &seg, 1, &good), EINVAL);
	all[14] = 0x46;
	seg.len = 3500;
	assert_int_equal(nic_send(&nic, &seg, 1, &good), EINVAL);
	off[0] = offload(false, 16, 0, 0);
	seg.len = TCP4 + 17;
	assert_int_equal(nic_send(&nic, &seg, 1, &off[0]), EINVAL);
	off[0].csum_start = 13;
	assert_int_equal(nic_send(&nic, &seg, 1, &off[0]), EINVAL);
	/* headers that end behind the 128 bytes that are looked at */
	seg.len = 3500;
	make(all, seg.len, true, 6, 16);
	off[0] = offload(true, 16, NIC_TSO6, 1000);
	off[0].csum_start = 100;
	all[100 + 12] = 0xf0;
	assert_int_equal(nic_send(&nic, &seg, 1, &off[0]), EINVAL);
	assert_int_equal(count, 0);
	assert_int_equal(nic.tx_dropped, 19);
}

static unsigned handed;

static void hand_on(void *arg, const void *frame, size_t len, unsigned flags)
{
	(void)arg;
	(void)flags;
	/* a copy: the card may write to its own memory at any time */
	assert_ptr_equal(frame, nic.frame);
	assert_in_range(len, NIC_HEADER, NIC_FRAME_MAX);
	handed++;
}

/* What comes has a possible length, and no more is sent than was given. */
static void counts(void **state)
{
	static uint8_t frame[NIC_FRAME_MAX + 1] = { 1 };

	(void)state;
	nic.receive = hand_on;
	handed = 0;
	nic_receive(&nic, frame, NIC_HEADER, 0);
	nic_receive(&nic, frame, NIC_FRAME_MAX, 0);
	assert_int_equal(handed, 2);
	nic_receive(&nic, frame, NIC_HEADER - 1, 0);
	nic_receive(&nic, frame, NIC_FRAME_MAX + 1, 0);
	assert_int_equal(handed, 2);
	assert_int_equal(nic.rx_dropped, 2);
	assert_int_equal(nic.rx_bytes, NIC_HEADER + NIC_FRAME_MAX);
	nic.in_flight = 3;
	nic_sent(&nic, 2);
	assert_int_equal(nic.in_flight, 1);
	nic_sent(&nic, 2);
	assert_int_equal(nic.in_flight, 0);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(checksums), TEST(never_none), TEST(segments),
		TEST(room_when_it_hears), TEST(no_room), TEST(refusals),
		TEST(counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
