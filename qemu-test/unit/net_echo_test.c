/* SPDX-License-Identifier: MIT */
/*
 * Datagrams of all lengths that the host partition sends back, in one piece or in
 * fragments, from the wire and from a Linux.
 */
#include "net_fixture.h"

#include "host-bridge/net/echo.h"
#include "host-bridge/net/stack.h"

#define GO	assert_int_equal
#define LINK_IP	0x0a4d0101u
#define PIECE	1480u
#define LARGE	9008u			/* with its header */
#define MORE	0x2000u

static struct {
	uint8_t data[65535];
	size_t len;
	uint32_t from;
} back;

static void fill(uint8_t *udp, uint16_t from, size_t len)
{
	for (size_t i = 8; i < len; i++) {
		udp[i] = (uint8_t)(i * 2654435761u >> 11);
	}
	put16(udp, from);
	put16(udp + 2, 7);
	put16(udp + 4, (uint16_t)len);
	put16(udp + 6, 0);
}

/* Fragments have their place, and the last one says how long it all is. */
static void gather(const uint8_t *ip, size_t len)
{
	size_t at = (get16(ip + 6) & 0x1fffu) * 8;

	if (ip[0] >> 4 != 4 || ip[9] != 17) {
		return;
	}
	assert_true(at + len - 20 <= sizeof(back.data));
	memcpy(back.data + at, ip + 20, len - 20);
	back.from = get32(ip + 12);
	if (!(get16(ip + 6) & MORE)) {
		back.len = at + len - 20;
	}
}

/* What has come back is what was sent, address and ports the other way round. */
static bool came_back(uint32_t to, const uint8_t *udp, size_t len)
{
	bool same = back.len == len && back.from == to && get16(back.data) == 7 &&
		    get16(back.data + 2) == get16(udp) &&
		    memcmp(back.data + 4, udp + 4, 2) == 0 &&
		    memcmp(back.data + 8, udp + 8, len - 8) == 0;

	memset(&back, 0, sizeof(back));
	return same;
}

static void send_piece(unsigned i, const uint8_t *udp, uint16_t id)
{
	size_t at = i * PIECE, len = LARGE - at < PIECE ? LARGE - at : PIECE;

	net_fragment(17, ROUTER_IP, HOST_IP, id,
		     (uint16_t)(at / 8 | (at + len < LARGE ? MORE : 0)),
		     udp + at, len);
}

/* Takes fragments until the first has come, and gives them back then. */
static struct { uint8_t data[1600]; size_t len; } kept[8];
static unsigned keeps;
static bool giving;

static bool keep_later(void *arg, struct net_packet *packet)
{
	(void)arg;
	assert_false(giving);
	if ((get16(packet->data + 6) & 0x1fff) != 0) {
		assert_true(keeps < 8);
		memcpy(kept[keeps].data, packet->data, packet->len);
		kept[keeps++].len = packet->len;
		return true;
	}
	while (keeps > 0) {
		struct net_packet p = { .data = kept[--keeps].data,
					.len = kept[keeps].len };

		giving = true;
		assert_true(stack_to_host(NULL, &p));
		giving = false;
	}
	return false;
}

static void datagrams_come_back(void **state)
{
	static const uint8_t order[3][7] = {
		{ 0, 1, 2, 3, 4, 5, 6 }, { 6, 5, 4, 3, 2, 1, 0 },
		{ 3, 1, 5, 0, 6, 2, 4 },
	};
	static uint8_t udp[LARGE];

	(void)state;
	router.packet = gather;
	for (unsigned round = 0; round < 6; round++) {
		stack_set_hooks(&(struct stack_hooks){
			.from_wire = round % 2 ? keep_later : NULL });
		fill(udp, (uint16_t)(50000 + round), LARGE);
		for (unsigned i = 0; i < 7; i++) {
			send_piece(order[round / 2][i], udp,
				   (uint16_t)(100 + round));
			/* The hook is for what comes before the first alone. */
			if (order[round / 2][i] == 0) {
				stack_set_hooks(&(struct stack_hooks){ 0 });
			}
		}
		net_run(5);
		GO(keeps, 0);
		assert_true(came_back(HOST_IP, udp, LARGE));
	}
	/* One that is lost is not made up for. */
	for (unsigned i = 0; i < 6; i++) {
		send_piece(i, udp, 200);
	}
	net_run(20000);
	GO(back.len, 0);
	router.packet = NULL;
}

static void keep_datagram(uint16_t port, const uint8_t *data, size_t len)
{
	GO(port, 50000);
	GO(len, 4);
	assert_memory_equal(data, "ping", 4);
	back.len++;
}

/* Who is a service himself, or speaks to many, gets nothing back. */
static void a_service_is_not_answered(void **state)
{
	uint8_t udp[12] = { 0 };

	(void)state;
	router.datagram = keep_datagram;
	net_udp(ROUTER_IP, 50000, 7, "ping", 4);
	net_run(1);
	GO(back.len, 1);
	net_udp(ROUTER_IP, 7, 7, "ping", 4);
	net_udp(ROUTER_IP, 1023, 7, "ping", 4);
	fill(udp, 50000, sizeof(udp));
	net_ip(17, ROUTER_IP, 0xffffffff, udp, sizeof(udp));
	net_ip(17, ROUTER_IP, 0x0a0002ff, udp, sizeof(udp));
	net_run(1);
	GO(back.len, 1);
	router.datagram = NULL;
	back.len = 0;
}

static struct stack_link *link_to_linux;

/* From 10.77.1.2; frag: as in the header. */
static void from_linux(uint32_t to, uint16_t frag, const void *payload,
		       size_t len)
{
	static uint8_t data[65536];
	struct net_packet p = { .data = data, .len = 20 + len };

	memset(data, 0, 20);
	data[0] = 0x45;
	put16(data + 2, (uint16_t)p.len);
	put16(data + 6, frag);
	data[8] = 64;
	data[9] = 17;
	put32(data + 12, 0x0a4d0102);
	put32(data + 16, to);
	put16(data + 10, test_sum(data, 20, 0));
	memcpy(data + 20, payload, len);
	assert_true(stack_to_host(link_to_linux, &p));
}

static bool link_send(void *arg, const struct net_packet *packet)
{
	bool fragment = (get16(packet->data + 6) & 0x3fff) != 0;

	(void)arg;
	GO(packet->flags, fragment ? 0 : NET_NEEDS_CSUM);
	gather(packet->data, packet->len);
	return true;
}

/* As long as there are any, in two packets to and fro: no checksum is written
 * into a fragment. */
static void a_linux_gets_its_datagrams_back(void **state)
{
	static const struct stack_link_user user = {
		.send = link_send, .address4 = { 10, 77, 1, 1 },
		.address6 = { 0xfd, 1, [15] = 1 },
	};
	static uint8_t udp[65515];

	(void)state;
	GO(stack_link_new(&user, &link_to_linux), 0);
	fill(udp, 50000, sizeof(udp));
	from_linux(LINK_IP, 65496 / 8, udp + 65496, sizeof(udp) - 65496);
	from_linux(LINK_IP, MORE, udp, 65496);
	assert_true(came_back(LINK_IP, udp, sizeof(udp)));
	fill(udp, 50000, 9000);
	from_linux(LINK_IP, 0, udp, 9000);
	assert_true(came_back(LINK_IP, udp, 9000));
	/* From where it was sent to. */
	from_linux(HOST_IP, 0, udp, 9000);
	assert_true(came_back(HOST_IP, udp, 9000));
}

static int begin(void **state)
{
	static const struct config_network want = { .echo = true };

	(void)state;
	net_begin();
	stack_init();
	GO(stack_start(&net_nic, &want), 0);
	GO(echo_start(), 0);
	net_plug();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First: the router's address is not known yet, and seven frames
		 * wait for it. */
		cmocka_unit_test(datagrams_come_back),
		cmocka_unit_test(a_service_is_not_answered),
		cmocka_unit_test(a_linux_gets_its_datagrams_back),
	};

	return cmocka_run_group_tests(tests, begin, NULL);
}
