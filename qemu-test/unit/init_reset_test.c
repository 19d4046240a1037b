/* SPDX-License-Identifier: MIT */
/*
 * A child's connections of before (net_reset.c, diag.c), with this machine's kernel,
 * in a network of the test's own: those from the addresses that are given end at
 * once, of TCP and UDP, IPv4 and IPv6; all others stay.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "guest/init/net.h"

#define PORT	7777

static struct net_side sides[2] = {
	{ .family = AF_INET, .address = { 127, 0, 0, 2 }, .size = 4,
	  .there = true },
	{ .family = AF_INET6, .address = { [15] = 1 }, .size = 16,
	  .there = true },
};

static bool alone(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int s;

	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET)) {
		return false;
	}
	s = socket(AF_INET, SOCK_DGRAM, 0);
	return ioctl(s, SIOCSIFFLAGS, &lo) == 0 && close(s) == 0;
}

/* A socket from one address to another; all of it is on this machine. */
static int make(int type, const char *from, const char *to)
{
	bool six = strchr(from, ':') != NULL;
	struct sockaddr_in a = { .sin_family = AF_INET };
	struct sockaddr_in6 b = { .sin6_family = AF_INET6 };
	struct sockaddr *at = six ? (void *)&b : (void *)&a;
	socklen_t len = six ? sizeof(b) : sizeof(a);
	void *bytes = six ? (void *)&b.sin6_addr : (void *)&a.sin_addr;
	int s = socket(six ? AF_INET6 : AF_INET, type, 0);

	assert_int_equal(inet_pton(six ? AF_INET6 : AF_INET, from, bytes), 1);
	assert_int_equal(bind(s, at, len), 0);
	assert_int_equal(inet_pton(six ? AF_INET6 : AF_INET, to, bytes), 1);
	a.sin_port = b.sin6_port = htons(PORT);
	assert_int_equal(connect(s, at, len), 0);
	return s;
}

/* It is over; 0: it is not. */
static int error_of(int s)
{
	int error = 0;
	socklen_t len = sizeof(error);

	assert_int_equal(getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &len), 0);
	return error;
}

static void connections(void **state)
{
	struct sockaddr_in6 all = { .sin6_family = AF_INET6,
				    .sin6_port = htons(PORT) };
	int listener, gone[5], stay[3], error;

	(void)state;
	if (!alone()) {
		skip();
	}
	listener = socket(AF_INET6, SOCK_STREAM, 0);
	assert_int_equal(bind(listener, (void *)&all, sizeof(all)), 0);
	assert_int_equal(listen(listener, 16), 0);
	gone[0] = make(SOCK_STREAM, "127.0.0.2", "127.0.0.1");
	gone[1] = make(SOCK_STREAM, "::ffff:127.0.0.2", "::ffff:127.0.0.1");
	gone[2] = make(SOCK_STREAM, "::1", "::1");
	gone[3] = make(SOCK_DGRAM, "127.0.0.2", "127.0.0.1");
	gone[4] = make(SOCK_DGRAM, "::1", "::1");
	stay[0] = make(SOCK_STREAM, "127.0.0.3", "127.0.0.1");
	stay[1] = make(SOCK_DGRAM, "127.0.0.3", "127.0.0.2");
	stay[2] = make(SOCK_STREAM, "::ffff:127.0.0.4", "::ffff:127.0.0.2");
	net_reset(sides);
	error = error_of(gone[0]);
	if (!error) {		/* CONFIG_INET_DIAG_DESTROY is not set */
		skip();
	}
	assert_int_equal(error, ECONNABORTED);
	assert_int_equal(error_of(gone[1]), ECONNABORTED);
	assert_true(error_of(gone[2]));		/* both its ends were there */
	assert_int_equal(error_of(gone[3]), ECONNABORTED);
	assert_int_equal(error_of(gone[4]), ECONNABORTED);
	assert_int_equal(error_of(stay[0]), 0);
	assert_int_equal(error_of(stay[1]), 0);
	/* its other end was at that address */
	assert_int_equal(error_of(stay[2]), ECONNRESET);
	/* who listens listens on */
	(void)make(SOCK_STREAM, "127.0.0.2", "127.0.0.1");
	sides[0].there = sides[1].there = false;
	net_reset(sides);
	assert_int_equal(error_of(stay[0]), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
