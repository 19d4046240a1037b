// SPDX-License-Identifier: MIT
/*
 * Ports that lead to a Linux: what the manifest's words mean, reports of an agent,
 * whole and in pieces, who is refused, and reports that are none. The NAT is real.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* With its state. */
#include "host-bridge/net/ports.c"
#include "qemu-test/unit/fake/vsock.h"
#undef TCP
#undef UDP
#include "qemu-test/unit/nat_fixture.h"

#define GO	assert_int_equal
#define BOTH	FAMILIES

static struct ports_rules rules[2];
static struct ports *linuxes[2];
static void *services[2];
static struct ports_refusal refusal[PORTS_MAX];
static unsigned lines, refused;
static char last[PORTS_TEXT];

/* The first word that is none. */
static const char *read_rules(struct ports_rules *r, const char *publish,
			      const char *hide)
{
	const char *wrong[2];
	bool right = ports_rules_read(r, publish, hide, wrong);

	GO(right, !wrong[0] && !wrong[1]);
	return wrong[0] ? wrong[0] : wrong[1];
}

static int setup(void **state)
{
	static const char *const names[] = { "Linux a", "Linux b" };
	const struct nat_config config = fixture_config(100);

	(void)state;
	fixture_begin(&config);
	assert_null(read_rules(&rules[0], "tcp:8080:80 udp:53",
			       "tcp:22 udp:1000-2000"));
	memset(&rules[1], 0, sizeof(rules[1]));
	for (unsigned i = 0; i < 2; i++) {
		GO(ports_new(NULL, nat, i, names[i], &rules[i], &linuxes[i]), 0);
		GO(fake_vsock.listens, PORTS_PORT);
		services[i] = fake_vsock.service;
		ports_linux_up(linuxes[i]);
	}
	fake_vsock_setup();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		free(linuxes[i]);
	}
	all = NULL;
	fixture_end();
	return 0;
}

static void begin(unsigned which)
{
	fake_vsock.service = services[which];
	fake_vsock_open();
}

/* A report; returns how many were refused, which are in refusal then. */
static unsigned report(unsigned which, const struct ports_listener *l,
		       uint32_t count)
{
	static uint8_t answer[sizeof(struct ports_head) + sizeof(refusal)];
	size_t len = 0;

	begin(which);
	fake_vsock_send(&count, sizeof(count));
	fake_vsock_send(l, count * sizeof(*l));
	while (fake_vsock.end->len > 0 || fake_vsock.end->want_room) {
		fake_vsock_step();
		len += fake_vsock_take(answer + len);
	}
	len += fake_vsock_take(answer + len);
	assert_false(fake_vsock.end->gone);
	fake_vsock_close();
	assert_true(len >= sizeof(count));
	memcpy(&count, answer, sizeof(count));
	GO(len, sizeof(count) + count * sizeof(*refusal));
	memcpy(refusal, answer + sizeof(count), len - sizeof(count));
	return count;
}

#define REPORT(which, ...) report(which, (struct ports_listener[]){ __VA_ARGS__ }, \
	sizeof((struct ports_listener[]){ __VA_ARGS__ }) / sizeof(struct ports_listener))

static void the_difference_is_taken(void **state)
{
	(void)state;
	GO(REPORT(0, { 80, TCP, BOTH }, { 443, TCP, PORTS_IPV4 },
		  { 5353, UDP, PORTS_IPV6 }), 0);
	assert_true(nat_uses(nat, false, TCP, 80) && nat_uses(nat, true, TCP, 80));
	assert_true(nat_uses(nat, false, TCP, 443));
	assert_false(nat_uses(nat, true, TCP, 443));
	assert_true(nat_uses(nat, true, UDP, 5353));
	assert_false(nat_uses(nat, false, UDP, 5353));
	/* Between, at both ends, and another family. */
	GO(REPORT(0, { 70, TCP, BOTH }, { 443, TCP, PORTS_IPV6 },
		  { 6000, UDP, BOTH }), 0);
	assert_false(nat_uses(nat, false, TCP, 80) || nat_uses(nat, true, TCP, 80));
	assert_true(nat_uses(nat, false, TCP, 70));
	assert_true(nat_uses(nat, true, TCP, 443));
	assert_false(nat_uses(nat, false, TCP, 443));
	assert_false(nat_uses(nat, true, UDP, 5353));
	assert_true(nat_uses(nat, false, UDP, 6000));
	GO(report(0, NULL, 0), 0);
	assert_false(nat_uses(nat, false, TCP, 70) || nat_uses(nat, true, TCP, 443) ||
		     nat_uses(nat, false, UDP, 6000));
}

static void in_pieces(void **state)
{
	static struct ports_listener l[PORTS_MAX];

	(void)state;
	for (unsigned i = 0; i < PORTS_MAX; i++) {
		l[i] = (struct ports_listener){ (uint16_t)(9000 + i), TCP, BOTH };
	}
	/* Answers are longer than there is room for at once. */
	taken_from = 9000;
	taken_to = 9999;
	for (fake_vsock.chunk = 1; fake_vsock.chunk < 9; fake_vsock.chunk++) {
		fake_vsock.room = 2500;
		GO(report(0, l, PORTS_MAX), PORTS_MAX);
	}
	taken_from = taken_to = 0;
	/* Two are the manifest's, for each family. */
	ports_tick();
	GO(report(0, l, PORTS_MAX), PORTS_MAX - (NAT_FIXED - 4) / 2);
	assert_string_equal(refusal[0].text, "there are too many ports");
	GO(refusal[0].error, 28);
}

static void taken_ones(void **state)
{
	(void)state;
	GO(REPORT(0, { 80, TCP, BOTH }), 0);
	GO(REPORT(1, { 80, TCP, PORTS_IPV4 }, { 81, TCP, PORTS_IPV4 },
		  { 8080, TCP, PORTS_IPV6 }), 2);
	GO(refusal[0].listener.port, 80);
	GO(refusal[0].listener.families, PORTS_IPV4);
	GO(refusal[0].error, 98);
	assert_string_equal(refusal[0].text, "Linux a has the port");
	assert_string_equal(refusal[1].text, "Linux a has the port");
	GO(REPORT(0, { 8080, TCP, BOTH }), 1);
	assert_string_equal(refusal[0].text,
			    "the manifest has the port for another one");
	/* 80 is free now. */
	assert_false(nat_uses(nat, false, TCP, 80));
	ports_tick();
	assert_true(nat_uses(nat, false, TCP, 80));
	taken_from = 7;
	taken_to = 8;
	GO(REPORT(1, { 7, TCP, PORTS_IPV4 }), 1);
	assert_string_equal(refusal[0].text, "the host partition has the port");
	taken_from = taken_to = 0;
	ports_tick();
	assert_true(nat_uses(nat, false, TCP, 7));
	GO(REPORT(1, { 7, TCP, PORTS_IPV4 }), 0);
}

static void the_manifest(void **state)
{
	(void)state;
	assert_true(nat_uses(nat, false, TCP, 8080) &&
		    nat_uses(nat, true, UDP, 53));
	/* A listener on a fixed port that is the same; hidden ones. */
	GO(REPORT(0, { 22, TCP, BOTH }, { 53, UDP, BOTH }, { 999, UDP, BOTH },
		  { 1000, UDP, BOTH }, { 2000, UDP, BOTH }, { 2001, UDP, BOTH }), 3);
	GO(refusal[0].listener.port, 22);
	GO(refusal[0].error, 13);
	assert_string_equal(refusal[0].text, "the manifest hides the port");
	assert_false(nat_uses(nat, false, TCP, 22) ||
		     nat_uses(nat, false, UDP, 2000));
	assert_true(nat_uses(nat, false, UDP, 2001) &&
		    nat_uses(nat, false, UDP, 999));
	GO(report(0, NULL, 0), 0);
	assert_true(nat_uses(nat, false, UDP, 53));
}

static void words(void **state)
{
	static const char *const wrong[] = {
		"x", "tcp", "tcp:", "tcp:0", "tcp:65536", "tcp:1:", "tcp:1:0",
		"tcp:1-2", "tcp:1x", "icmp:1", "tcp:-1", "udp:1:2:3", "all", "t",
	};
	static const char *const hide[] = {
		"x", "tcp:", "tcp:0", "tcp:2-1", "tcp:1-", "alle", "tcpx", "u",
	};
	struct ports_rules r;
	char many[400] = "";

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		assert_ptr_equal(read_rules(&r, wrong[i], NULL), wrong[i]);
		GO(r.fixed_count, 0);
	}
	for (size_t i = 0; i < sizeof(hide) / sizeof(*hide); i++) {
		assert_ptr_equal(read_rules(&r, NULL, hide[i]), hide[i]);
	}
	assert_null(read_rules(&r, "", "  all "));
	assert_non_null(ports_rules_denied(&r, TCP, 1));
	assert_non_null(ports_rules_denied(&r, UDP, 65535));
	assert_null(read_rules(&r, " tcp:1  udp:65535:2 ", "udp tcp:5-7"));
	GO(r.fixed_count, 2);
	GO(r.fixed[1].first, 65535);
	GO(r.fixed[1].inside, 2);
	assert_non_null(ports_rules_denied(&r, UDP, 1));
	assert_null(ports_rules_denied(&r, TCP, 4));
	assert_non_null(ports_rules_denied(&r, TCP, 7));
	assert_null(ports_rules_denied(&r, TCP, 8));
	for (unsigned i = 0; i <= PORTS_RULES; i++) {
		strcat(many, "tcp:9 ");
	}
	assert_ptr_equal(read_rules(&r, many, NULL),
			 many + PORTS_RULES * 6);
	GO(r.fixed_count, PORTS_RULES);
}

/* Who mistypes what is to be hidden has nothing in the open. */
static void wrong_ones_hide_all(void **state)
{
	static const char publish[] = "tcp:80 tcp:x tcp:81";
	static const char hide[] = "udp:1 tpc:22 tcp:23";
	const char *wrong[2];
	struct ports_rules r;

	(void)state;
	assert_false(ports_rules_read(&r, publish, hide, wrong));
	assert_ptr_equal(wrong[0], publish + 7);
	assert_ptr_equal(wrong[1], hide + 6);
	GO(r.fixed_count, 1);
	assert_non_null(ports_rules_denied(&r, TCP, 22));
	assert_non_null(ports_rules_denied(&r, UDP, 9999));
	assert_true(ports_rules_read(&r, NULL, NULL, wrong));
	assert_null(ports_rules_denied(&r, TCP, 22));
}

static void no_report(void **state)
{
	static const struct {
		uint32_t count;
		struct ports_listener l[2];
	} bad[] = {
		{ PORTS_MAX + 1, { { 0 } } }, { UINT32_MAX, { { 0 } } },
		{ 2, { { 5, 6, 3 }, { 5, 6, 3 } } },	/* twice */
		{ 2, { { 6, 6, 3 }, { 5, 6, 3 } } },	/* in no order */
		{ 2, { { 6, 17, 3 }, { 7, 6, 3 } } },
		{ 2, { { 0, 6, 3 }, { 7, 6, 3 } } },	/* no port */
		{ 2, { { 5, 6, 0 }, { 7, 6, 3 } } },	/* no family */
		{ 2, { { 5, 6, 4 }, { 7, 6, 3 } } },
		{ 2, { { 5, 1, 3 }, { 7, 6, 3 } } },
		{ 1, { { 5, 6, 3 }, { 7, 6, 3 } } },	/* too long */
	};

	(void)state;
	GO(REPORT(0, { 80, TCP, BOTH }), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		for (fake_vsock.chunk = 1; fake_vsock.chunk < 20;
		     fake_vsock.chunk += 11) {
			begin(0);
			fake_vsock_send(&bad[i], sizeof(bad[i]));
			while (fake_vsock.end->len > 0 && !fake_vsock.end->gone) {
				fake_vsock_step();
			}
			assert_true(fake_vsock.end->gone);
			fake_vsock_close();
		}
	}
	/* Another process, and a second connection. */
	fake_vsock_setup();
	fake_vsock.port = 1024;
	begin(0);
	assert_true(fake_vsock.end->gone);
	fake_vsock_close();
	assert_null(linuxes[0]->conn);
	fake_vsock_setup();
	begin(0);
	begin(0);
	assert_true(fake_vsock.end->gone);
	fake_vsock_close();
	fake_vsock.end->arg = linuxes[0];
	fake_vsock_close();
	GO(REPORT(0, { 80, TCP, BOTH }), 0);
}

static void line(void *arg, const struct ports_line *l)
{
	(void)arg;
	lines++;
	refused += l->refused[0] != '\0';
	snprintf(last, sizeof(last), "%s %u %u>%u %u", l->name, l->proto,
		 l->outside, l->inside, l->families);
}

static void comes_and_goes(void **state)
{
	const struct nat_link link = {
		{ whos[LINUX_0][0], whos[LINUX_0][1] },
		{ whos[GATE_0][0], whos[GATE_0][1] },
	};

	(void)state;
	GO(REPORT(0, { 80, TCP, BOTH }, { 5, UDP, PORTS_IPV4 }), 0);
	lines = refused = 0;
	ports_each(line, NULL);
	GO(lines, 4);
	GO(refused, 0);
	assert_string_equal(last, "Linux a 17 5>5 1");
	nat_linux_down(nat, 0);
	ports_linux_down(linuxes[0]);
	ports_tick();
	assert_false(nat_uses(nat, false, TCP, 8080));
	/* A report from before the link is there. */
	GO(REPORT(0, { 81, TCP, BOTH }), 0);
	lines = 0;
	ports_each(line, NULL);
	GO(lines, 3);
	GO(refused, 3);
	GO(nat_linux_up(nat, 0, &link), 0);
	ports_linux_up(linuxes[0]);
	assert_true(nat_uses(nat, false, TCP, 8080) &&
		    nat_uses(nat, true, TCP, 81));
	assert_false(nat_uses(nat, false, TCP, 80));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(the_difference_is_taken), T(in_pieces), T(taken_ones),
		T(the_manifest), T(words), T(wrong_ones_hide_all),
		T(no_report), T(comes_and_goes),
	};

	return cmocka_run_group_tests_name("net ports", tests, NULL, NULL);
}
