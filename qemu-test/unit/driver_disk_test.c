/* SPDX-License-Identifier: MIT */
/*
 * The driver's disks, with a host on the other end of the channel that serves
 * them, and one that does not do as it should.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "driver_disk.h"

static void disks_are_found(void **state)
{
	char name[64];

	(void)state;
	GO(host.lists, 1);
	assert_non_null(fake_disks[0]);
	assert_non_null(fake_disks[1]);
	assert_null(fake_disks[2]);
	GO(fake_disks[0]->sectors, DISK / 512);
	GO(fake_disks[0]->limits.features, BLK_FEAT_WRITE_CACHE | BLK_FEAT_FUA);
	GO(fake_disks[0]->limits.max_hw_sectors, NBD_DATA_MAX / 512);
	GO(fake_disks[0]->limits.logical_block_size, 512);
	assert_true(fake_disks[0]->limits.max_hw_discard_sectors > 0);
	assert_false(fake_disks[0]->read_only);
	for (int i = 0; i < 2; i++) {
		struct device_attribute *attr = container_of(
			fake_disks[i]->groups[0]->attrs[0],
			struct device_attribute, attr);

		GO(attr->show(&fake_disks[i]->dev, attr, name), 5);
		assert_memory_equal(name, host.names[i], 4);
	}
}

static void what_is_written_is_read(void **state)
{
	static struct page copy[NBD_DATA_MAX / 4096];

	(void)state;
	for (unsigned int how = 0; how < 4; how++) {
		host.piece = how == 1 ? 700 : how == 2 ? 7 : 0;
		fill(how);
		memcpy(copy, pages, NBD_DATA_MAX);
		GO(one(how % 2, REQ_OP_WRITE, how == 3 ? REQ_FUA : 0, 8,
		       NBD_DATA_MAX, 1 + how), BLK_STS_OK);
		assert_memory_equal(host.data[how % 2] + 4096, copy,
				    NBD_DATA_MAX);
		fill(how + 50);
		GO(one(how % 2, REQ_OP_READ, 0, 8, how == 2 ? 8192 :
		       NBD_DATA_MAX, 1 + how), BLK_STS_OK);
		assert_memory_equal(pages, copy, how == 2 ? 8192 :
				    NBD_DATA_MAX);
	}
	GO(host.fuas, 1);
	GO(one(0, REQ_OP_FLUSH, 0, 77, 0, 0), BLK_STS_OK);
	GO(host.flushes, 1);
	GO(one(0, REQ_OP_DISCARD, 0, 8, DISK / 2, 0), BLK_STS_OK);
	GO(host.trims, 1);
	GO(one(0, REQ_OP_WRITE_ZEROES, 0, 8, 8192, 0), BLK_STS_OK);
	GO(one(0, REQ_OP_WRITE_ZEROES, REQ_NOUNMAP, 8, 8192, 0), BLK_STS_OK);
	GO(host.zeroes, 101);
}

/* The answer is there when the doorbell returns: no interrupt, no work. */
static void who_sends_ends_it(void **state)
{
	struct request rq = make(1, REQ_OP_READ, 0, 4096, 1);

	(void)state;
	fake.doorbell = host_serve;
	GO(issue(0, &rq, true), BLK_STS_OK);
	GO(rq.ended, 1);
	GO(rq.status, BLK_STS_OK);
	fake.doorbell = host_doorbell;
	drop(&rq);
}

static void many_have_one_doorbell(void **state)
{
	struct request rq[8];

	(void)state;
	fake.doorbell = host_doorbell;
	host_doorbells = 0;
	for (int i = 0; i < 8; i++) {
		rq[i] = make(i, REQ_OP_WRITE, 8 * (u64)i, 4096, 1);
		GO(issue(0, &rq[i], i == 3), BLK_STS_OK);
	}
	GO(host_doorbells, 1);
	host_serve();
	GO(host.requests, 4);
	fake_disks[0]->set->ops->commit_rqs(&fake_disks[0]->hctx);
	GO(host_doorbells, 2);
	turn();
	GO(host.requests, 8);
	for (int i = 0; i < 8; i++) {
		GO(rq[i].ended, 1);
		drop(&rq[i]);
	}
}

static void errors_are_passed_on(void **state)
{
	static const struct {
		u32 error;
		blk_status_t status;
	} errors[] = {
		{ NBD_EIO, BLK_STS_IOERR }, { NBD_ENOSPC, BLK_STS_NOSPC },
		{ NBD_ENOTSUP, BLK_STS_NOTSUPP }, { NBD_EPERM, BLK_STS_IOERR },
		{ NBD_ENOMEM, BLK_STS_RESOURCE }, { 9999, BLK_STS_IOERR },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		host.error = errors[i].error;
		GO(one(0, REQ_OP_READ, 0, 0, 4096, 1), errors[i].status);
		GO(one(0, REQ_OP_WRITE, 0, 0, 4096, 1), errors[i].status);
	}
	host.error = 0;
	GO(one(0, REQ_OP_READ, 0, 0, 4096, 1), BLK_STS_OK);
}

static void without_credit_requests_wait(void **state)
{
	struct request a = make(1, REQ_OP_WRITE, 0, 65536, 1),
		       b = make(2, REQ_OP_WRITE, 128, 65536, 1);

	(void)state;
	host.credit = 70000;
	GO(one(0, REQ_OP_READ, 0, 0, 4096, 1), BLK_STS_OK);
	host.silent = true;
	GO(issue(0, &a, true), BLK_STS_OK);
	GO(issue(0, &b, true), BLK_STS_OK);
	turn();
	GO(a.ended + b.ended, 0);
	GO(host.conn[0].have, sizeof(struct nbd_request) + 65536);
	host.silent = false;
	turn();
	GO(a.ended, 1);
	GO(b.ended, 1);
	drop(&a);
	drop(&b);
}

static void requests_outlive_a_reset(void **state)
{
	struct request rq[6];
	u64 cookies[6];

	(void)state;
	fill(3);
	for (unsigned int when = 0; when < 60; when += 7) {
		host.silent = true;
		for (int i = 0; i < 6; i++) {
			rq[i] = make(i + 10, i % 2 ? REQ_OP_READ :
				     REQ_OP_WRITE, 16 * (u64)i, 8192, 2);
			turn_bios(&rq[i]);
			GO(issue(0, &rq[i], true), BLK_STS_OK);
		}
		/* Some are answered, one perhaps in part. */
		host.silent = false;
		host.requests = 0;
		host_serve();
		memcpy(cookies, host.cookies, sizeof(cookies));
		GO(host.requests, 6);
		for (unsigned int k = 0; k < when / 10; k++) {
			ring_linux();
		}
		reset();
		reconnect();
		for (int i = 0; i < 6; i++) {
			GO(rq[i].ended, 1);
			GO(rq[i].status, BLK_STS_OK);
			drop(&rq[i]);
		}
	}
	/* In the middle of an answer. */
	for (int cut = 1; cut < 40; cut += 3) {
		struct nbd_answer answer = {
			.magic = NBD_BE32(NBD_ANSWER_MAGIC) };
		static u8 message[64];

		host.silent = true;
		rq[0] = make(1, REQ_OP_READ, 0, 4096, 1);
		GO(issue(0, &rq[0], true), BLK_STS_OK);
		host_serve();
		memcpy(&answer.cookie, host.conn[0].stream +
		       offsetof(struct nbd_request, cookie), 8);
		memcpy(message, &answer, sizeof(answer));
		memset(message + sizeof(answer), 0xee, 48);
		host_say(&host.conn[0], message, (u32)cut);
		ring_linux();
		GO(rq[0].ended, 0);
		host.silent = false;
		reset();
		reconnect();
		GO(rq[0].ended, 1);
		assert_memory_equal(pages, host.data[0], 4096);
		drop(&rq[0]);
	}
	GO(host.lists, 1);
	assert_non_null(fake_disks[0]);
}

/* What a hostile host may send instead of an answer. */
static unsigned int trick;

static void tricks(struct conn *c, const struct nbd_request *rq)
{
	static u8 junk[4096];
	struct nbd_answer answer = {
		.magic = NBD_BE32(NBD_ANSWER_MAGIC), .cookie = rq->cookie,
	};

	switch (trick) {
	case 0:
		answer.magic = 1;
		break;
	case 1:
		answer.cookie++;
		break;
	case 2:
		answer.cookie += 64;
		break;
	case 3:
		answer.cookie = 0;
		break;
	case 4:
		answer.cookie = ~0ull;
		break;
	case 5:		/* the same twice */
		host_say(c, &answer, sizeof(answer));
		host_say(c, junk, 4096);
		break;
	case 6:		/* more data than were asked for */
		host_say(c, &answer, sizeof(answer));
		host_say(c, junk, 4096);
		host_say(c, junk, 100);
		return;
	case 7:		/* credit that cannot be */
		c->received += 1u << 30;
		host_say(c, &answer, 1);
		c->received -= 1u << 30;
		return;
	case 8:
		host_packet(c, VIRTIO_VSOCK_OP_RESPONSE, NULL, 0);
		return;
	default:
		host_packet(c, VIRTIO_VSOCK_OP_SHUTDOWN, NULL, 0);
		c->open = false;
		return;
	}
	host_say(c, &answer, sizeof(answer));
}

static void a_host_that_lies_loses_the_connection(void **state)
{
	(void)state;
	for (trick = 0; trick < 10; trick++) {
		struct request rq = make(3, REQ_OP_READ, 8, 4096, 1);
		struct page guard = pages[1];

		host.instead = tricks;
		GO(issue(0, &rq, true), BLK_STS_OK);
		host_serve();
		host.instead = NULL;
		ring_linux();
		turn();
		/* It has the request again when it has come back. */
		reconnect();
		GO(rq.ended, 1);
		GO(rq.status, BLK_STS_OK);
		assert_memory_equal(&guard, &pages[1], sizeof(guard));
		drop(&rq);
		GO(one(1, REQ_OP_READ, 0, 0, 4096, 1), BLK_STS_OK);
	}
}

static void a_disk_that_cannot_be_is_left_out(void **state)
{
	static const char *const names[] = {
		"", "a/b", "a b", "\x7f", "\x80",
		"0123456789012345678901234567890x",
	};

	(void)state;
	teardown(NULL);
	for (unsigned int i = 0; i < 6 + 4 + 7; i++) {
		set_host();
		if (i < 6) {
			host.names[0] = names[i];
		} else if (i < 6 + 4) {
			host.size = ((const u64[]){ 0, 1000, 1ull << 63,
						    ~0ull })[i - 6];
		} else {
			host.size = i % 2 ? DISK : DISK + 512;
			host.sector = ((const u32[]){ 4096, 0, 4096, 511, 768,
						      8192, ~0u })[i - 10];
		}
		driver_start();
		fake.doorbell = host_doorbell;
		turn();
		assert_null(fake_disks[0]);
		assert_null(fake_disks[1]);
		teardown(NULL);
	}
	/* Nobody serves any; there are none; and more than there is room for. */
	for (unsigned int i = 0; i < 3; i++) {
		set_host();
		host.refuses = i == 0;
		host.disks = i == 1 ? 0 : 10;
		for (unsigned int n = 0; n < 10; n++) {
			static char text[10][2];

			text[n][0] = (char)('a' + n);
			host.names[n] = text[n];
		}
		driver_start();
		fake.doorbell = host_doorbell;
		reconnect();
		assert_true((fake_disks[0] != NULL) == (i == 2));
		assert_true((fake_disks[7] != NULL) == (i == 2));
		GO(host.lists, i != 0);
		teardown(NULL);
	}
	set_host();
	fake_no_disk = true;
	driver_start();
	fake.doorbell = host_doorbell;
	turn();
	assert_null(fake_disks[0]);
	fake_no_disk = false;
}

static void without_the_device_requests_fail(void **state)
{
	struct request rq = make(1, REQ_OP_READ, 0, 4096, 1),
		       waits = make(2, REQ_OP_READ, 0, 4096, 1);

	(void)state;
	host.silent = true;
	GO(issue(0, &rq, true), BLK_STS_OK);
	turn();
	fake_remove();
	fake_run_queues();
	GO(rq.ended, 1);
	GO(rq.status, BLK_STS_IOERR);
	GO(issue(0, &waits, true), BLK_STS_IOERR);
	/* It comes back, and so do the disks. */
	host.silent = false;
	for (int i = 0; i < 8; i++) {
		host.conn[i].open = false;
	}
	*host_word(0) = CHANNEL_STATE_DOWN;
	GO(fake_probe(), 0);
	settle();
	reconnect();
	GO(one(0, REQ_OP_READ, 0, 0, 4096, 1), BLK_STS_OK);
	GO(one(1, REQ_OP_READ, 0, 0, 4096, 1), BLK_STS_OK);
	drop(&rq);
	drop(&waits);
}

/* Sectors are as the host says, and stay: one that comes back with others does not
 * serve. */
static void sectors_are_the_hosts(void **state)
{
	struct request rq = make(1, REQ_OP_READ, 0, 4096, 1);

	(void)state;
	teardown(NULL);
	set_host();
	host.sector = 4096;
	driver_start();
	fake.doorbell = host_doorbell;
	turn();
	GO(fake_disks[0]->limits.logical_block_size, 4096);
	GO(fake_disks[0]->sectors, DISK / 512);
	GO(one(0, REQ_OP_WRITE, 0, 8, 8192, 1), BLK_STS_OK);
	host.sector = 512;
	reset();
	GO(issue(0, &rq, true), BLK_STS_OK);
	reconnect();
	GO(rq.ended, 0);
	host.sector = 4096;
	reconnect();
	GO(rq.ended, 1);
	GO(rq.status, BLK_STS_OK);
	drop(&rq);
}

static void a_disk_grows(void **state)
{
	struct request rq = make(1, REQ_OP_READ, 0, 4096, 1);

	(void)state;
	host.size = DISK / 2;
	host_packet(&host.conn[1], VIRTIO_VSOCK_OP_RST, NULL, 0);
	host.conn[1].open = false;
	ring_linux();
	/* Meanwhile requests wait. */
	GO(issue(1, &rq, true), BLK_STS_OK);
	turn();
	GO(rq.ended, 0);
	fake_run_work();
	turn();
	GO(rq.ended, 1);
	GO(fake_disks[1]->resized, 1);
	GO(fake_disks[1]->sectors, DISK / 2 / 512);
	GO(fake_disks[0]->resized, 0);
	GO(fake_disks[0]->sectors, DISK / 512);
	drop(&rq);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(disks_are_found),
		TEST(what_is_written_is_read),
		TEST(who_sends_ends_it),
		TEST(many_have_one_doorbell),
		TEST(errors_are_passed_on),
		TEST(without_credit_requests_wait),
		TEST(requests_outlive_a_reset),
		TEST(a_host_that_lies_loses_the_connection),
		TEST(a_disk_that_cannot_be_is_left_out),
		TEST(without_the_device_requests_fail),
		TEST(sectors_are_the_hosts),
		TEST(a_disk_grows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
