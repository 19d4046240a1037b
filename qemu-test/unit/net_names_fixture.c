/* SPDX-License-Identifier: MIT */
/* See net_names_fixture.h. */
#include <errno.h>

#include "lwip/udp.h"

#include "net_names_fixture.h"

const struct names_ends ends = {
	.host4 = { 10, 77, 1, 1 }, .linux4 = { 10, 77, 1, 2 },
	.host6 = { 0xfd, 0x69, 0x73, 0x74, 0x68, 0x6d, 0, 1, [15] = 1 },
	.linux6 = { 0xfd, 0x69, 0x73, 0x74, 0x68, 0x6d, 0, 1, [15] = 2 },
	.title = "Work",
};
struct stack_link *link_to_linux;
struct names *names;

void (*linux_packet)(const uint8_t *ip, size_t len);
struct got got;
struct asked asked;

static bool link_send(void *arg, const struct net_packet *packet)
{
	bool six = packet->data[0] >> 4 == 6;
	const uint8_t *udp = packet->data + (six ? 40 : 20);

	(void)arg;
	if (packet->data[six ? 6 : 9] != 17) {
		if (linux_packet) {
			linux_packet(packet->data, packet->len);
		}
		return true;
	}
	GO(get16(udp), 53);
	got.count++;
	got.port = get16(udp + 2);
	got.len = get16(udp + 4) - 8u;
	memcpy(got.data, udp + 8, got.len);
	return true;
}

static void on_query(uint32_t to, uint16_t port, const uint8_t *data, size_t len)
{
	asked.count++;
	asked.server = to;
	asked.port = port;
	asked.len = len;
	memcpy(asked.data, data, len);
}

/* ---- What Linux says ---- */

void linux_sends(bool six, uint8_t last, uint8_t proto, const void *payload,
		 size_t len)
{
	static uint8_t ip[65536];
	size_t header = six ? 40 : 20;
	struct net_packet p = { .data = ip, .len = header + len };

	memset(ip, 0, header);
	if (six) {
		ip[0] = 0x60;
		put16(ip + 4, (uint16_t)len);
		ip[6] = proto;
		ip[7] = 64;
		memcpy(ip + 8, ends.linux6, 16);
		ip[23] = last;
		memcpy(ip + 24, ends.host6, 16);
	} else {
		ip[0] = 0x45;
		put16(ip + 2, (uint16_t)p.len);
		ip[8] = 64;
		ip[9] = proto;
		memcpy(ip + 12, ends.linux4, 4);
		ip[15] = last;
		memcpy(ip + 16, ends.host4, 4);
		put16(ip + 10, test_sum(ip, 20, 0));
	}
	memcpy(ip + header, payload, len);
	(void)stack_to_host(link_to_linux, &p);
}

void say(bool six, uint8_t last, uint16_t port, const void *data, size_t len)
{
	static uint8_t udp[65536];

	put16(udp, port);
	put16(udp + 2, 53);
	put16(udp + 4, (uint16_t)(8 + len));
	put16(udp + 6, 0);
	memcpy(udp + 8, data, len);
	linux_sends(six, last, 17, udp, 8 + len);
}

size_t make(uint8_t *out, uint16_t id, const char *name, uint16_t type)
{
	size_t len = QUESTION;

	memset(out, 0, QUESTION);
	put16(out, id);
	put16(out + 2, 0x0100);
	put16(out + 4, 1);
	while (*name) {
		size_t n = strcspn(name, ".");

		out[len++] = (uint8_t)n;
		memcpy(out + len, name, n);
		len += n;
		name += n + (name[n] == '.');
	}
	out[len++] = 0;
	put16(out + len, type);
	put16(out + len + 2, 1);
	return len + 4;
}

int ask(const char *name, uint16_t type)
{
	uint8_t query[600];
	size_t len = make(query, 0x1234, name, type);

	got.count = asked.count = 0;
	say(false, 2, 5000, query, len);
	net_run(2);
	if (got.count == 0) {
		return -1;
	}
	GO(got.count, 1);
	GO(got.port, 5000);
	GO(get16(got.data), 0x1234);
	assert_true(got.data[2] & 0x80);
	GO(get16(got.data + 4), 1);
	assert_memory_equal(got.data + QUESTION, query + QUESTION,
			    len - QUESTION);
	return got.data[3] & 15;
}

void answer(uint32_t from, uint16_t from_port, uint16_t to_port,
	    const uint8_t *data, size_t len)
{
	net_udp(from, from_port, to_port, data, len);
	net_run(1);
}

size_t make_answer(uint8_t *out)
{
	memcpy(out, asked.data, asked.len);
	put16(out + 2, 0x8180);
	put16(out + 6, 1);
	memcpy(out + asked.len, "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\7", 16);
	return asked.len + 16;
}

int names_setup(void **state)
{
	(void)state;
	router.query = on_query;
	router.deaf = false;
	if (names) {
		names_linux_down(names);
		net_run(1000);	/* the rate begins anew */
	}
	got.count = asked.count = 0;
	return 0;
}

unsigned sockets(void)
{
	unsigned count = 0;

	for (const struct udp_pcb *u = udp_pcbs; u; u = u->next) {
		count++;
	}
	return count;
}

void names_begin(void)
{
	static const struct stack_link_user user = {
		.send = link_send, .address4 = { 10, 77, 1, 1 },
		.address6 = { 0xfd, 0x69, 0x73, 0x74, 0x68, 0x6d, 0, 1,
			      [15] = 1 },
	};

	net_begin();
	router.query = on_query;
	stack_init();
	GO(stack_link_new(&user, &link_to_linux), 0);
	GO(names_new(link_to_linux, &ends, &names), 0);
	/* Twice there is none. */
	GO(names_new(link_to_linux, &ends, &names), EADDRINUSE);
}

void names_wire(void)
{
	static const struct config_network want = { 0 };

	GO(stack_start(&net_nic, &want), 0);
	net_plug();
}
