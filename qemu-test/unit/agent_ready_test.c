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
	assert_int_equal(timeout, ready.sock < 0 && !ready.done ? 1000 : -1);
	assert_true(poll(&p, 1, 0) >= 0);
	agent_ready_step(&ready, &p);
}

/* What the host reads of the next connection. */
static int expect_ready(int listener)
{
	char got[16] = "";
	int s = accept(listener, NULL, NULL);

	assert_true(s >= 0);
	turn();
	assert_int_equal(read(s, got, sizeof(got)), strlen(AGENT_READY));
	assert_string_equal(got, AGENT_READY);
	return s;
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

	/* The host drops it before the text, and before it has answered, as
	 * when the channel is reset. */
	listener = listen_there();
	turn();
	close(accept(listener, NULL, NULL));
	turn();
	turn();
	close(expect_ready(listener));
	turn();
	turn();

	/* Its program goes, and another one comes. */
	s = expect_ready(listener);
	leave(listener);
	close(s);
	turn();
	turn();
	listener = listen_there();
	turn();
	s = expect_ready(listener);
	assert_false(ready.done);
	assert_int_equal(write(s, AGENT_READY, strlen(AGENT_READY)),
			 strlen(AGENT_READY));
	turn();
	assert_true(ready.done);

	/* Nothing is open, and nothing comes again. */
	close(s);
	assert_int_equal(ready.sock, -1);
	turn();
	turn();
	assert_int_equal(ready.sock, -1);
	assert_int_equal(logged, 1);
	leave(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_report),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
