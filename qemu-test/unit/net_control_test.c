/* SPDX-License-Identifier: MIT */
/*
 * The control service between peers on the wire and an agent of the test's: who
 * gets in, what passes, what is kept when one end takes nothing, and who ends what.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "net_fixture.h"
#include "net_peers.h"

#include "host-bridge/agent/control.h"
#include "host-bridge/guest/linux.h"
#include "host-bridge/net/stack.h"
#include "host-bridge/rt/hmac.h"
#include "qemu-test/unit/fake/vsock.h"

#define PORT	4243u
#define KEY	"4a65666500000000000000000000000000000000000000000000000000000000"
#define CREDIT	65536u
#define WINDOW	65535u
#define FIN_ACK	0x11
#define PSH_ACK	0x18

static const struct config_network want;

static struct guest guest;
static enum linux_state state = LINUX_RUNNING;
static bool ready = true;

enum linux_state linux_state(const struct guest *of)
{
	assert_ptr_equal(of, &guest);
	return state;
}

bool linux_ready(const struct guest *of)
{
	assert_ptr_equal(of, &guest);
	return ready;
}

static bool find(const char *name, struct guest **of, struct vsock **vs)
{
	*of = &guest;
	*vs = (struct vsock *)&guest;
	return strcmp(name, "") == 0 || strcmp(name, "linux") == 0;
}

/* The agent says something, or ends. */
static void agent_says(struct vsock_conn *c, const void *data, size_t len)
{
	c->ops->on_data(c, data, len);
	net_run(100);
}

static bool agent_got(const struct vsock_conn *c, const char *text)
{
	return c->out_len == strlen(text) &&
	       memcmp(c->out, text, c->out_len) == 0;
}

static void agent_ends(struct vsock_conn *c, int error)
{
	fake_vsock_gone(c, error);
	net_run(100);
}

static const struct control_status *status(void)
{
	static struct control_status s;

	control_get_status(&s);
	return &s;
}

/* What the peer was asked, answered; behind that anything. */
static void answer(struct peer *p, const char *behind)
{
	static const uint8_t key[SHA256_SIZE] = "Jefe";
	uint8_t digest[SHA256_SIZE];
	char text[512];

	assert_memory_equal(p->said, "isthmus control, challenge ", 27);
	assert_string_equal(p->said + 27 + 32, ": ");
	hmac(key, p->said + 27, 32, digest);
	for (unsigned i = 0; i < SHA256_SIZE; i++) {
		sprintf(text + 2 * i, "%02x", digest[i]);
	}
	snprintf(text + 64, sizeof(text) - 64, "%s", behind);
	peer_say(p, text);
}

/* A session that has begun: peers[i] and the first free one to the agent. */
static struct vsock_conn *begin(unsigned i)
{
	struct vsock_conn *c = fake_vsock.end;

	while (c->used) {
		c++;
	}
	peer_connect(i, PORT);
	answer(&peers[i], "\n");
	assert_string_equal(peers[i].said, "ok\n");
	assert_true(c->used && c->ops->credit == CREDIT);
	assert_ptr_equal(fake_vsock.called, &guest);
	assert_int_equal(fake_vsock.calls, 1023);
	c->ops->on_open(c);
	peers[i].len = 0;
	return c;
}

static void go(unsigned i, struct vsock_conn *c)
{
	agent_ends(c, 0);
	assert_true(peers[i].ended);
	peer_segment(&peers[i], FIN_ACK, "");
	net_run(100);
}

static void it_is_off_by_itself(void **s)
{
	(void)s;
	net_begin();
	stack_init();
	assert_int_equal(stack_start(&net_nic, &want), 0);
	net_plug();
	router.packet = peers_take;
	assert_int_equal(status()->port, 0);
	assert_true(peer_connect(0, PORT)->reset);
	control_start(NULL, KEY, find);
	assert_non_null(strstr(net_said, "it takes a port in the manifest"));
	control_start("4243", NULL, find);
	assert_non_null(strstr(net_said, "it takes a control-key in the"));
	control_start("4243", KEY "0", find);
	control_start("4243", "xyz", find);
	assert_non_null(strstr(net_said, "it is not 64 hexadecimal digits"));
	control_start("65536", KEY, find);
	control_start("42x", KEY, find);
	assert_non_null(strstr(net_said, "\"42x\" cannot be had"));
	assert_true(peer_connect(0, PORT)->reset);
	control_start("4243", KEY, find);
	assert_int_equal(status()->port, PORT);
}

static void only_the_key_opens(void **s)
{
	static const char *const wrong[] = {
		"\n", "x\n", "linux\n", " \n",
		"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n",
	};
	struct vsock_conn *c = begin(1);

	(void)s;
	for (unsigned i = 0; i < 5; i++) {
		peer_connect(0, PORT);
		peer_say(&peers[0], wrong[i]);
		assert_string_equal(peers[0].said, "wrong\n");
		assert_true(peers[0].ended);
		assert_int_equal(status()->wrong, i + 1);
		peer_segment(&peers[0], FIN_ACK, "");
		/* Nobody for a while, whatever he knows; who is in stays. */
		assert_true(peer_connect(2, PORT)->reset);
		agent_says(c, "x", 1);
		net_run(5000);
	}
	assert_int_equal(peers[1].len, 5);
	assert_int_equal(status()->refused, 5);
	/* An answer is good for its challenge alone; it need not be whole at
	 * once. */
	peer_connect(0, PORT);
	answer(&peers[0], " no");
	peer_say(&peers[0], "ne\n");
	assert_memory_equal(peers[0].said, "ok\n\6", 4);
	assert_memory_equal(peers[0].said + 3 + 5, "there is no Linux of that "
			    "name", 29);
	assert_true(peers[0].ended);
	peer_segment(&peers[0], FIN_ACK, "");
	/* A line without an end. */
	peer_connect(0, PORT);
	memset(peers[0].said, 'x', 130);
	peers[0].said[130] = '\0';
	peer_segment(&peers[0], PSH_ACK, peers[0].said);
	net_run(100);
	assert_true(peers[0].reset);
	go(1, c);
	assert_int_equal(status()->sessions, 0);
	assert_non_null(strstr(net_said, "control: 10.0.2.2: wrong answer\n"));
	assert_non_null(strstr(net_said, "control: 10.0.2.2 is in\n"));
}

static void bytes_pass_both_ways(void **s)
{
	struct vsock_conn *c;

	(void)s;
	/* What comes with the answer is the agent's already. */
	peer_connect(0, PORT);
	answer(&peers[0], " linux\nrequest");
	c = fake_vsock.end;
	c->ops->on_open(c);
	assert_true(agent_got(c, "request"));
	peer_say(&peers[0], " and more");
	assert_true(agent_got(c, "request and more"));
	agent_says(c, "said", 4);
	assert_string_equal(peers[0].said, "said");
	assert_int_equal(c->held, 0);
	/* The last words arrive before the end. */
	c->ops->on_data(c, " bye", 4);
	go(0, c);
	assert_string_equal(peers[0].said, "said bye");
	assert_false(peers[0].reset);
	assert_int_equal(status()->sessions, 0);
}

static void what_cannot_begin_says_so(void **s)
{
	(void)s;
	state = LINUX_STOPPED;
	peer_connect(0, PORT);
	answer(&peers[0], "\n");
	assert_memory_equal(peers[0].said, "ok\n\6\24\0\0\0", 8);
	assert_string_equal(peers[0].said + 8, "Linux is not running");
	assert_true(peers[0].ended);
	peer_segment(&peers[0], FIN_ACK, "");
	state = LINUX_RUNNING;
	fake_vsock.down = true;
	peer_connect(0, PORT);
	answer(&peers[0], "\n");
	assert_memory_equal(peers[0].said + 8, "Linux's side", 12);
	peer_segment(&peers[0], FIN_ACK, "");
	fake_vsock.down = false;
	/* While Linux comes up it waits. */
	ready = false;
	peer_connect(0, PORT);
	answer(&peers[0], "\nfirst");
	net_run(60000);
	assert_string_equal(peers[0].said, "ok\n");
	assert_false(fake_vsock.end->used);
	ready = true;
	net_run(200);
	assert_true(fake_vsock.end->used);
	agent_ends(fake_vsock.end, ECONNREFUSED);
	assert_string_equal(peers[0].said + 8, "the agent does not listen");
	peer_segment(&peers[0], FIN_ACK, "");
	net_run(100);
	assert_int_equal(status()->sessions, 0);
}

/* An agent that takes nothing: the peer may send a window and no more. */
static void the_peer_waits_for_the_agent(void **s)
{
	static char much[1400];
	struct vsock_conn *c = begin(0);
	struct peer *p = &peers[0];
	uint32_t start = p->next, sent;

	(void)s;
	memset(much, 'm', sizeof(much));
	c->takes = 0;
	while (p->room >= sizeof(much)) {
		peer_send(p, PSH_ACK, much, sizeof(much));
		net_run(20);
		assert_true(p->next - start <= WINDOW);
	}
	sent = p->next - start;
	assert_true(sent > WINDOW - 2 * sizeof(much));
	net_run(1000);
	assert_int_equal(c->out_len, 0);
	/* It takes some: so much more may come, and nothing is lost. */
	c->takes = 20000;
	c->ops->on_writable(c);
	net_run(1000);
	assert_int_equal(c->out_len, 20000);
	assert_in_range(p->room, 20000, WINDOW - sent + 20000);
	c->takes = SIZE_MAX;
	c->ops->on_writable(c);
	net_run(1000);
	assert_int_equal(c->out_len, sent);
	go(0, c);
}

/* A peer that takes nothing: the agent's credit does not come back. */
static void the_agent_waits_for_the_peer(void **s)
{
	static char much[CREDIT];
	struct vsock_conn *c = begin(0), *other;

	(void)s;
	memset(much, 'y', sizeof(much));
	peers[0].deaf = true;
	agent_says(c, much, 30000);
	agent_says(c, much, sizeof(much) - 30000);
	net_run(1000);
	assert_int_equal(c->held, sizeof(much));
	/* Others do not wait for it. */
	other = begin(1);
	agent_says(other, much, sizeof(much));
	net_run(1000);
	assert_int_equal(other->held, 0);
	assert_int_equal(peers[1].len, sizeof(much));
	go(1, other);
	peers[0].deaf = false;
	net_run(60000);
	assert_int_equal(c->held, 0);
	assert_int_equal(peers[0].len, sizeof(much));
	/* Its end waits likewise. */
	peers[0].deaf = true;
	agent_says(c, much, sizeof(much));
	agent_ends(c, 0);
	net_run(30000);
	assert_false(peers[0].ended || peers[0].reset);
	peers[0].deaf = false;
	net_run(60000);
	assert_int_equal(peers[0].len, 2 * sizeof(much));
	assert_true(peers[0].ended);
	peer_segment(&peers[0], FIN_ACK, "");
	net_run(100);
	assert_int_equal(status()->sessions, 0);
}

/* An agent that sends more than it has credit for: its session ends, and no other. */
static void the_agent_sends_more_than_it_may(void **s)
{
	static char much[CREDIT];
	struct vsock_conn *c = begin(0), *other = begin(1);
	size_t sent = 0;

	(void)s;
	peers[0].deaf = true;
	for (; !c->gone && sent < 32 * CREDIT; sent += CREDIT) {
		agent_says(c, much, CREDIT);
	}
	assert_true(c->gone && !c->arg);
	assert_true(peers[0].reset);
	/* What is under way to the peer, and its place. */
	assert_in_range(sent, CREDIT + 1, TCP_SND_BUF + 2 * CREDIT);
	agent_says(other, "x", 1);
	assert_string_equal(peers[1].said, "ok\nx");
	go(1, other);
	c->used = peers[0].deaf = false;
	assert_int_equal(status()->sessions, 0);
}

static void who_goes_takes_his_session_along(void **s)
{
	struct vsock_conn *c = begin(0);

	(void)s;
	peer_segment(&peers[0], FIN_ACK, "");
	net_run(100);
	assert_true(c->gone && !c->arg);
	c->used = false;
	c = begin(0);
	peer_segment(&peers[0], 4, "");
	net_run(100);
	assert_true(c->gone && !c->arg);
	/* What comes of it after that finds nobody. */
	c->ops->on_data(c, "x", 1);
	c->ops->on_writable(c);
	c->ops->on_close(c, 0);
	c->used = false;
	/* An agent that breaks off in the midst. */
	c = begin(0);
	agent_says(c, "some", 4);
	agent_ends(c, ECONNRESET);
	assert_string_equal(peers[0].said, "ok\nsome");
	assert_true(peers[0].ended);
	/* And a peer that does not end when all is over. */
	net_run(11000);
	assert_true(peers[0].reset);
	assert_int_equal(status()->sessions, 0);
}

static void places_are_few(void **s)
{
	struct vsock_conn *c[32];

	(void)s;
	/* Of strangers the one who waits longest makes room. */
	for (unsigned i = 40; i < 44; i++) {
		peer_connect(i, PORT);
	}
	assert_int_equal(status()->sessions, 4);
	assert_false(peers[40].reset);
	peer_connect(44, PORT);
	assert_true(peers[40].reset);
	assert_false(peers[41].reset || peers[44].reset);
	assert_int_equal(status()->sessions, 4);
	/* Who says nothing goes. */
	net_run(16000);
	assert_int_equal(status()->sessions, 0);
	for (unsigned i = 0; i < 32; i++) {
		c[i] = begin(i);
	}
	assert_true(peer_connect(40, PORT)->reset);
	agent_says(c[31], "x", 1);
	assert_int_equal(peers[31].len, 1);
	go(0, c[0]);
	c[0] = begin(0);
	for (unsigned i = 0; i < 32; i++) {
		go(i, c[i]);
	}
	assert_int_equal(status()->sessions, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_off_by_itself),
		cmocka_unit_test(only_the_key_opens),
		cmocka_unit_test(bytes_pass_both_ways),
		cmocka_unit_test(what_cannot_begin_says_so),
		cmocka_unit_test(the_peer_waits_for_the_agent),
		cmocka_unit_test(the_agent_waits_for_the_peer),
		cmocka_unit_test(the_agent_sends_more_than_it_may),
		cmocka_unit_test(who_goes_takes_his_session_along),
		cmocka_unit_test(places_are_few),
	};

	fake_vsock_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
