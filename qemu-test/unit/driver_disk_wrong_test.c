/* SPDX-License-Identifier: MIT */
/*
 * The driver's disks beside a host that says what no server says: replies that do
 * not fit, disks that cannot be, answers to what was not asked now.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "driver_disk.h"

/* ---- Replies to options ---- */

static void name(struct conn *c, const char *text, u32 len, u32 said)
{
	u8 data[64];

	memcpy(data, &(u32){ NBD_BE32(said) }, sizeof(said));
	memcpy(data + sizeof(said), text, len);
	host_reply(c, NBD_OPT_LIST, NBD_REP_SERVER, data, sizeof(said) + len);
}

static void head(struct conn *c, u32 option, u32 type, u32 len)
{
	struct nbd_option_reply reply = {
		.magic = NBD_BE64(NBD_REPLY_MAGIC),
		.option = NBD_BE32(option), .type = NBD_BE32(type),
		.len = NBD_BE32(len),
	};

	host_say(c, &reply, sizeof(reply));
}

/* The whole place, and a byte more. */
static void says_too_much(struct conn *c, u32 option)
{
	head(c, option, NBD_REP_INFO, sizeof(isthmus_disks[0].rx.data) + 1);
}

static void says_no_name(struct conn *c, u32 option)
{
	head(c, option, NBD_REP_SERVER, 3);
	host_say(c, "abc", 3);
}

/* What the name before has left lies behind the short one. Who asks for that gets
 * it. */
static void says_half_a_name(struct conn *c, u32 option)
{
	host.says = NULL;
	host.names[0] = "0123456789";
	host.names[1] = "ab2";
	name(c, "0123456789", 10, 10);
	name(c, "ab", 2, 3);
	host_reply(c, option, NBD_REP_ACK, NULL, 0);
}

/* In place of what only GO says, and only LIST. */
static void says_it_of_another(struct conn *c, u32 option)
{
	struct nbd_info_export info = { .type = NBD_BE16(NBD_INFO_EXPORT),
					.size = NBD_BE64(DISK) };

	if (option == NBD_OPT_LIST) {
		host_reply(c, option, NBD_REP_INFO, &info, sizeof(info));
	}
}

static void a_reply_that_cannot_be_ends_it(void **state)
{
	static void (*const wrong[])(struct conn *, u32) = {
		says_too_much, says_no_name, says_half_a_name,
		says_it_of_another,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		set_host();
		host.says = wrong[i];
		driver_start();
		fake.doorbell = host_doorbell;
		turn();
		assert_null(fake_disks[0]);
		assert_null(fake_disks[1]);
		/* It was greeted, and then told that it is over. */
		assert_true(host.conn[0].greeted);
		assert_false(host.conn[0].open);
		teardown(NULL);
	}
}

/* ---- A disk that there was ---- */

/* It comes back without a size, or sectors, and later as it was: who reads waits for
 * that. */
static void a_disk_comes_back_wrong(void **state)
{
	static const struct {
		u64 size;
		u32 sector;
	} wrong[] = { { 0, 512 }, { DISK, 0 }, { DISK + 1, 512 },
		      { ~0ull, 512 } };

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct request rq = make(1, REQ_OP_READ, 0, 4096, 1);

		host.size = wrong[i].size;
		host.sector = wrong[i].sector;
		reset();
		GO(issue(0, &rq, true), BLK_STS_OK);
		reconnect();
		GO(rq.ended, 0);
		host.size = DISK;
		host.sector = 512;
		reconnect();
		GO(rq.ended, 1);
		GO(rq.status, BLK_STS_OK);
		GO(fake_disks[0]->sectors, DISK / 512);
		drop(&rq);
	}
}

/* A request waits for credit on the new connection, and the host answers what it
 * was sent on the last one. */
static void an_answer_of_before_is_none(void **state)
{
	struct request rq = make(1, REQ_OP_WRITE, 8, 65536, 1);
	struct nbd_request sent;

	(void)state;
	fill(1);
	host.silent = true;
	GO(issue(0, &rq, true), BLK_STS_OK);
	host_serve();
	memcpy(&sent, host.conn[0].stream, sizeof(sent));
	GO(sent.magic, NBD_BE32(NBD_REQUEST_MAGIC));
	host.credit = 60000;
	reset();
	reconnect();
	assert_true(host.conn[0].going);
	GO(host.conn[0].have, 0);
	host_answer(&host.conn[0], sent.cookie, 0, NULL, 0);
	ring_linux();
	fake_run();
	fake_run_queues();
	GO(rq.ended, 0);
	host.silent = false;
	host.credit = 0x100000;
	reconnect();
	GO(rq.ended, 1);
	GO(rq.status, BLK_STS_OK);
	assert_memory_equal(host.data[0] + 4096, pages, 65536);
	drop(&rq);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reply_that_cannot_be_ends_it),
		TEST(a_disk_comes_back_wrong),
		TEST(an_answer_of_before_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
