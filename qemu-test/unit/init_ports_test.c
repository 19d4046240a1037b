/* SPDX-License-Identifier: MIT */
/*
 * Of sockets that listen, the ports for the outside; and, where this machine's kernel
 * lets us, that it tells of sockets which come and go.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "guest/init/ports.h"

#define GO	assert_int_equal
#define TCP	IPPROTO_TCP
#define UDP	IPPROTO_UDP

static struct ports_own own;
static struct ports_set set;

static bool add(uint32_t proto, uint32_t port, const char *address)
{
	struct ports_socket s = { .port = port, .proto = proto,
				  .family = AF_INET };

	if (inet_pton(AF_INET, address, &s.ip4) != 1) {
		s.family = AF_INET6;
		/* What is of the other kind is not looked at. */
		s.ip4 = 0;
		GO(inet_pton(AF_INET6, address, s.ip6), 1);
	}
	return ports_set_add(&set, &own, &s);
}

static int setup(void **state)
{
	(void)state;
	memset(&set, 0, sizeof(set));
	memset(&own, 0, sizeof(own));
	own.count4 = own.count6 = 1;
	GO(inet_pton(AF_INET, "10.77.1.2", &own.ip4[0]), 1);
	GO(inet_pton(AF_INET6, "fd69::2", &own.ip6[0]), 1);
	return 0;
}

static void is(uint32_t at, unsigned proto, unsigned port, unsigned families)
{
	assert_true(at < set.count);
	GO(set.listener[at].proto, proto);
	GO(set.listener[at].port, port);
	GO(set.listener[at].families, families);
}

static void addresses(void **state)
{
	(void)state;
	assert_true(add(TCP, 1, "127.0.0.1") && add(TCP, 1, "10.77.1.1") &&
		    add(TCP, 1, "::1") && add(UDP, 1, "fd69::1") &&
		    add(TCP, 1, "::ffff:127.0.0.1") && add(TCP, 0, "0.0.0.0"));
	GO(set.count, 0);
	add(TCP, 10, "0.0.0.0");
	add(TCP, 11, "10.77.1.2");
	add(TCP, 12, "::");
	add(TCP, 13, "fd69::2");
	add(TCP, 14, "::ffff:0.0.0.0");
	add(TCP, 15, "::ffff:10.77.1.2");
	GO(set.count, 6);
	is(0, TCP, 10, PORTS_IPV4);
	is(1, TCP, 11, PORTS_IPV4);
	is(2, TCP, 12, PORTS_IPV4 | PORTS_IPV6);
	is(3, TCP, 13, PORTS_IPV6);
	is(4, TCP, 14, PORTS_IPV4);
	is(5, TCP, 15, PORTS_IPV4);
}

/* In any order: by protocol and port, each once. */
static void order(void **state)
{
	struct ports_set one;

	(void)state;
	add(UDP, 53, "0.0.0.0");
	add(TCP, 443, "0.0.0.0");
	add(TCP, 80, "fd69::2");
	add(UDP, 9, "::");
	add(TCP, 80, "0.0.0.0");
	add(TCP, 443, "0.0.0.0");
	GO(set.count, 4);
	is(0, TCP, 80, PORTS_IPV4 | PORTS_IPV6);
	is(1, TCP, 443, PORTS_IPV4);
	is(2, UDP, 9, PORTS_IPV4 | PORTS_IPV6);
	is(3, UDP, 53, PORTS_IPV4);
	one = set;
	assert_true(ports_set_same(&one, &set));
	add(TCP, 443, "::");
	assert_false(ports_set_same(&one, &set));
	setup(NULL);
	assert_false(ports_set_same(&one, &set));
}

static void too_many(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PORTS_MAX; i++) {
		assert_true(add(TCP, 1 + i * 7919 % 60000, "0.0.0.0"));
	}
	GO(set.count, PORTS_MAX);
	for (unsigned i = 1; i < PORTS_MAX; i++) {
		assert_true(set.listener[i - 1].port < set.listener[i].port);
	}
	assert_false(add(UDP, 1, "::"));
	assert_true(add(TCP, 1, "::"));
	is(0, TCP, 1, PORTS_IPV4 | PORTS_IPV6);
}

/* What the kernel has of that socket's port; 0 families: nothing. */
static unsigned seen(struct ports_bpf *b, int sock)
{
	struct sockaddr_in6 addr;
	socklen_t len = sizeof(addr);
	struct ports_socket s;
	uint64_t cookie, mine;
	socklen_t size = sizeof(mine);
	int type;

	GO(getsockopt(sock, SOL_SOCKET, SO_COOKIE, &mine, &size), 0);
	size = sizeof(type);
	GO(getsockopt(sock, SOL_SOCKET, SO_TYPE, &type, &size), 0);
	GO(getsockname(sock, (struct sockaddr *)&addr, &len), 0);
	(void)ports_bpf_changed(b);
	set.count = 0;
	for (bool first = true; ports_bpf_next(b, &cookie, &s, first);
	     first = false) {
		if (cookie == mine && s.port != 0) {
			GO(s.port, ntohs(addr.sin6_port));
			GO(s.proto, type == SOCK_STREAM ? TCP : UDP);
			ports_set_add(&set, &own, &s);
			return set.count == 1 ? set.listener[0].families : 64;
		}
	}
	return 0;
}

static int open_socket(int type, const char *address)
{
	struct sockaddr_in six = { .sin_family = AF_INET };
	int s = socket(AF_INET, type, 0);

	/* Of the range that nobody is given by chance. */
	for (unsigned port = 20000; port < 20100; port++) {
		six.sin_port = htons((uint16_t)port);
		GO(inet_pton(AF_INET, address, &six.sin_addr), 1);
		if (bind(s, (struct sockaddr *)&six, sizeof(six)) == 0) {
			return s;
		}
	}
	fail();
	return -1;
}

static void the_kernel_tells(void **state)
{
	const struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
	struct ports_bpf b, again;
	int early = open_socket(SOCK_STREAM, "0.0.0.0"), tcp, udp, chance, other;

	(void)state;
	GO(listen(early, 1), 0);
	if (ports_bpf_start(&b) != NULL) {
		close(early);
		skip();
	}
	GO(seen(&b, early), 0);
	ports_diag_add(&b);
	GO(seen(&b, early), PORTS_IPV4);
	tcp = open_socket(SOCK_STREAM, "0.0.0.0");
	GO(seen(&b, tcp), 0);
	GO(listen(tcp, 1), 0);
	GO(poll(&(struct pollfd){ .fd = b.ring, .events = POLLIN }, 1, 1000), 1);
	GO(seen(&b, tcp), PORTS_IPV4);
	udp = open_socket(SOCK_DGRAM, "0.0.0.0");
	GO(seen(&b, udp), PORTS_IPV4);
	chance = socket(AF_INET, SOCK_DGRAM, 0);
	GO(bind(chance, (const struct sockaddr *)&(struct sockaddr_in){
		.sin_family = AF_INET }, sizeof(struct sockaddr_in)), 0);
	GO(seen(&b, chance), 0);
	/* Without bind(); where there is IPv6. */
	other = socket(AF_INET6, SOCK_STREAM, 0);
	if (other >= 0 && bind(other, (const void *)&six, sizeof(six)) == 0) {
		GO(listen(other, 1), 0);
		GO(seen(&b, other), PORTS_IPV4 | PORTS_IPV6);
	}
	/* Closed when nobody has it any more; another then has none of it. */
	GO(ports_bpf_start(&again) == NULL, 1);
	GO(seen(&again, tcp), 0);
	close(dup(tcp));
	GO(seen(&b, tcp), PORTS_IPV4);
	{
		struct ports_socket s;
		uint64_t cookie, gone;
		socklen_t len = sizeof(gone);

		GO(getsockopt(tcp, SOL_SOCKET, SO_COOKIE, &gone, &len), 0);
		close(tcp);
		for (bool first = true; ports_bpf_next(&b, &cookie, &s, first);
		     first = false) {
			assert_true(cookie != gone);
		}
		GO(ports_bpf_changed(&b), 1);
	}
	close(udp);
	close(chance);
	close(other);
	close(early);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(addresses, setup),
		cmocka_unit_test_setup(order, setup),
		cmocka_unit_test_setup(too_many, setup),
		cmocka_unit_test_setup(the_kernel_tells, setup),
	};

	return cmocka_run_group_tests_name("init ports", tests, NULL, NULL);
}
