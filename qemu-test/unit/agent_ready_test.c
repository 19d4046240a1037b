/* SPDX-License-Identifier: MIT */
/*
 * The agent's report, to a host that comes late, goes and comes again. A local
 * socket takes the place of vsock.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "guest/init/agent.h"
#include "guest/init/init.h"

static unsigned int logged;

void init_log(const char *format, ...)
{
	(void)format;
	logged++;
}

static struct sockaddr_un address = { .sun_family = AF_UNIX };
static struct agent_ready ready;

/* A host that listens. */
static int listen_there(void)
{
	int s = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_true(s >= 0);
	assert_int_equal(bind(s, (struct sockaddr *)&address,
			      sizeof(address)), 0);
	assert_int_equal(listen(s, 5), 0);
	return s;
}

static void leave(int s)
{
	close(s);
	unlink(address.sun_path);
}

/* A turn of the agent's loop, in which nothing else happens. */
static void turn(void)
{
	struct pollfd p;
	int timeout = agent_ready_poll(&ready, &p);

	/* It may try again, but not at once. */
	assert_int_equal(timeout, ready.sock < 0 ? 1000 : -1);
	assert_true(poll(&p, 1, 0) >= 0);
	agent_ready_step(&ready, &p);
}

/* What the host reads of the next connection, which stays open. */
static int expect_ready(int listener)
{
	char text[16] = "";
	int s = accept(listener, NULL, NULL);

	assert_true(s >= 0);
	turn();
	assert_int_equal(read(s, text, sizeof(text)), 6);
	assert_string_equal(text, "ready\n");
	return s;
}

/* True: the agent waits for nothing but the host's end. */
static bool at_rest(void)
{
	struct pollfd p;

	return agent_ready_poll(&ready, &p) == -1 && p.events == POLLIN &&
	       poll(&p, 1, 0) == 0;
}

static void test_report(void **state)
{
	int listener, s;

	(void)state;
	snprintf(address.sun_path, sizeof(address.sun_path),
		 "/tmp/agent_ready.%d", (int)getpid());
	/* Nobody is there: one line in the log, however long it takes. */
	agent_ready_init(&ready, &address, sizeof(address));
	turn();
	turn();
	assert_int_equal(logged, 1);

	listener = listen_there();
	turn();
	s = expect_ready(listener);
	assert_true(at_rest());

	/* The connection breaks, as when the channel is reset. */
	close(s);
	turn();
	turn();
	s = expect_ready(listener);
	assert_true(at_rest());

	/* The host's program goes, and another one comes. */
	leave(listener);
	close(s);
	turn();
	turn();
	turn();
	assert_int_equal(logged, 2);
	listener = listen_there();
	turn();
	s = expect_ready(listener);
	assert_true(at_rest());
	close(s);
	leave(listener);
	close(ready.sock);
}

/* A host that does not take it: the connection ends before the text. */
static void test_refused(void **state)
{
	int listener, s;

	(void)state;
	listener = listen_there();
	agent_ready_init(&ready, &address, sizeof(address));
	s = accept(listener, NULL, NULL);
	close(s);
	turn();
	turn();
	s = expect_ready(listener);
	assert_true(at_rest());
	close(s);
	leave(listener);
	close(ready.sock);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_report),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
