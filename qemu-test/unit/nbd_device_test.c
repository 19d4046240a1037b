/* SPDX-License-Identifier: MIT */
/*
 * A block device as a disk of Linux's: what it is asked, in what pieces; several
 * requests at a time and answers as they end; errors; and what a connection that
 * is lost leaves.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/dev/dma.h"
#include "host-bridge/nbd/nbd_server.h"
#include "qemu-test/unit/fake/disk.h"
#include "qemu-test/unit/fake/nbd.h"

#define GO	assert_int_equal
#define KIB	1024u
#define SIZE	(1024u * KIB)

int64_t volume_now_ns(void)
{
	return 0;
}

static struct nbd_service *service;
static struct nbd_store *store;
static struct fake_disk disk;
static uint8_t image[SIZE], block[128 * KIB];

static void step_disk(void)
{
	fake_disk_step(&disk);
}

static void begin(unsigned features, uint32_t sectors)
{
	uint64_t size;
	uint16_t flags;

	for (unsigned i = 0; i < SIZE; i++) {
		image[i] = (uint8_t)(i >> 9) ^ (uint8_t)i;
	}
	memset(&disk, 0, sizeof(disk));
	fake_disk_open(&disk, image, SIZE, nbd_sector_size, features);
	disk.dev.max_sectors = sectors;
	GO(nbd_service_start(NULL, &service), 0);
	GO(nbd_device_open(&disk.dev, &store), 0);
	GO(nbd_service_add(service, "part", store), 0);
	fake_vsock_setup();
	nbd_settle = step_disk;
	nbd_connect();
	nbd_go(NBD_OPT_GO, "part", &size, &flags);
	GO(size, SIZE);
	GO(flags, NBD_HAS_FLAGS | NBD_HAS_FLUSH | NBD_HAS_FUA |
	   (features & BLOCK_HAS_DISCARD ? NBD_HAS_TRIM : 0) |
	   (features & BLOCK_HAS_ZERO ? NBD_HAS_ZEROES : 0));
}

static void end(void)
{
	nbd_settle = NULL;
	if (!fake_vsock.end->gone) {
		fake_vsock_close();
	}
	fake_disk_settle(&disk);
	GO(nbd_service_get(service, 0)->users, 0);
	fake_disk_close(&disk);
	nbd_device_close(store);
	free(service);
}

/* All kinds of requests, each in the pieces that the device takes. */
static void requests_go_to_the_device(void **state)
{
	const struct nbd_disk *counts;

	(void)state;
	begin(BLOCK_HAS_FLUSH | BLOCK_HAS_DISCARD | BLOCK_HAS_ZERO, 100);
	GO(nbd_request(NBD_READ, 0, 4096, sizeof(block), NULL), 0);
	assert_memory_equal(nbd_got, image + 4096, sizeof(block));
	memset(block, 0x5a, sizeof(block));
	GO(nbd_request(NBD_WRITE, 0, 512, 512, block), 0);
	GO(disk.count, 1);
	GO(nbd_request(NBD_WRITE, 0, 100 * KIB, sizeof(block), block), 0);
	GO(disk.count, 4);			/* of 100 sectors, 256 */
	assert_memory_equal(disk.now + 512, block, 512);
	assert_memory_equal(disk.now + 100 * KIB, block, sizeof(block));
	assert_memory_equal(disk.now + 1024, image + 1024, 99 * KIB);
	GO(nbd_request(NBD_WRITE, NBD_FLAG_FUA, SIZE - 512, 512, block), 0);
	GO(disk.log[disk.count - 1].op, BLOCK_FLUSH);	/* it has no FUA */
	GO(nbd_request(NBD_FLUSH, 0, 0, 0, NULL), 0);
	GO(disk.log[disk.count - 1].op, BLOCK_FLUSH);
	GO(nbd_request(NBD_TRIM, 0, 0, 512 * KIB, NULL), 0);
	GO(disk.log[disk.count - 1].op, BLOCK_DISCARD);
	GO(disk.log[disk.count - 1].sectors, 1024);
	GO(nbd_request(NBD_ZEROES, NBD_FLAG_NO_HOLE | NBD_FLAG_FUA, 1024, 1024,
		       NULL), 0);
	GO(disk.log[disk.count - 2].op, BLOCK_ZERO);
	GO(disk.log[disk.count - 1].op, BLOCK_FLUSH);
	counts = nbd_service_get(service, 0);
	GO(counts->reads, 1);
	GO(counts->writes, 3);
	GO(counts->written_bytes, 1024 + sizeof(block));
	GO(counts->flushes, 1);
	GO(counts->errors, 0);
	end();
}

static bool all(struct fake_disk *d, const struct block_req *req)
{
	(void)d;
	return req->sector < 8;
}

/* Of the device, and what it is not asked. */
static void errors_are_told(void **state)
{
	(void)state;
	begin(0, 256);
	GO(nbd_request(NBD_TRIM, 0, 0, 512, NULL), NBD_ENOTSUP);
	GO(nbd_request(NBD_ZEROES, 0, 0, 512, NULL), NBD_ENOTSUP);
	GO(nbd_request(NBD_READ, 0, 100, 512, NULL), NBD_EINVAL);
	GO(nbd_request(NBD_WRITE, 0, 0, 100, block), NBD_EINVAL);
	GO(nbd_request(NBD_READ, 0, SIZE, 512, NULL), NBD_EINVAL);
	GO(nbd_request(NBD_WRITE, 0, SIZE, 512, block), NBD_ENOSPC);
	GO(disk.count, 0);
	disk.fails = all;
	GO(nbd_request(NBD_READ, 0, 0, 512, NULL), NBD_EIO);
	GO(nbd_request(NBD_WRITE, 0, 0, 512, block), NBD_EIO);
	GO(nbd_request(NBD_READ, 0, 4096, 512, NULL), 0);
	disk.dev.writable = false;
	GO(nbd_request(NBD_WRITE, 0, 4096, 512, block), NBD_EPERM);
	GO(nbd_service_get(service, 0)->errors, 9);
	end();
}

#define MANY	40u

static size_t many(uint8_t *to, uint64_t first)
{
	size_t at = 0;

	for (unsigned i = 0; i < MANY; i++) {
		const struct nbd_request head = {
			.magic = NBD_BE32(NBD_REQUEST_MAGIC),
			.type = NBD_BE16(i % 2 ? NBD_WRITE : NBD_READ),
			.cookie = first + i, .offset = NBD_BE64(i * 8192ull),
			.len = NBD_BE32(4096u),
		};

		memcpy(to + at, &head, sizeof(head));
		at += sizeof(head);
		if (i % 2) {
			memset(to + at, (int)i, 4096);
			at += 4096;
		}
	}
	return at;
}

/* Eight are under way at once, and each has its answer with its own data, in
 * whatever order the device ends them and however little room there is. */
static void several_at_a_time(void **state)
{
	static const size_t rooms[] = { FAKE_QUEUE, 5000, 33 };
	static uint8_t message[MANY * 5000];
	unsigned most = 0;

	(void)state;
	begin(BLOCK_HAS_FLUSH, 256);
	nbd_settle = NULL;
	for (unsigned r = 0; r < 3; r++) {
		size_t len = many(message, r * 1000), sent = 0, got = 0;
		size_t want = MANY * sizeof(struct nbd_answer) + MANY / 2 * 4096;
		bool seen[MANY] = { 0 };

		fake_vsock.room = rooms[r];
		for (unsigned turn = 0; sent < len || got < want; turn++) {
			assert_true(turn < 1000000);
			sent += fake_vsock_send(message + sent, len - sent);
			fake_vsock_step();
			most = disk.pending_count > most ? disk.pending_count
							 : most;
			if (turn % 3 == 2) {
				fake_disk_step(&disk);
			}
			got += fake_vsock_take(nbd_got + got);
		}
		for (size_t at = 0; at < got;) {
			struct nbd_answer answer;
			uint64_t i;

			memcpy(&answer, nbd_got + at, sizeof(answer));
			at += sizeof(answer);
			i = answer.cookie - r * 1000;
			GO(answer.error, 0);
			assert_true(i < MANY && !seen[i]);
			seen[i] = true;
			if (i % 2 == 0) {
				assert_memory_equal(nbd_got + at,
						    image + i * 8192, 4096);
				at += 4096;
			} else {
				memset(block, (int)i, 4096);
				assert_memory_equal(disk.now + i * 8192, block,
						    4096);
			}
		}
	}
	GO(most, 8);
	fake_vsock.room = FAKE_QUEUE;
	end();
}

/* What is under way when a connection is lost ends before the next one's begins. */
static void a_lost_connection_waits(void **state)
{
	static uint8_t message[MANY * 5000];
	uint64_t size;
	uint16_t flags;
	size_t len;

	(void)state;
	begin(BLOCK_HAS_FLUSH, 256);
	nbd_settle = NULL;
	len = many(message, 0);
	fake_vsock_send(message, len);
	for (unsigned i = 0; i < 100; i++) {
		fake_vsock_step();
	}
	GO(disk.pending_count, 8);
	fake_vsock_close();
	nbd_connect();
	nbd_go(NBD_OPT_GO, "part", &size, &flags);
	fake_vsock_send(message, len);
	for (unsigned i = 0; i < 100; i++) {
		fake_vsock_step();
	}
	GO(disk.pending_count, 8);
	while (disk.pending_count > 1) {
		fake_disk_step(&disk);
		fake_vsock_step();
		assert_true(disk.pending_count < 8);
	}
	fake_disk_step(&disk);
	for (unsigned i = 0; i < 100; i++) {
		fake_vsock_step();
	}
	GO(disk.pending_count, 8);
	end();
}

/* Sectors of 4096 bytes: Linux is told, and requests are of whole ones. */
static void large_sectors(void **state)
{
	(void)state;
	nbd_sector_size = 4096;
	begin(BLOCK_HAS_FLUSH | BLOCK_HAS_DISCARD, 10);
	GO(nbd_request(NBD_READ, 0, 512, 4096, NULL), NBD_EINVAL);
	GO(nbd_request(NBD_READ, 0, 4096, 512, NULL), NBD_EINVAL);
	GO(nbd_request(NBD_WRITE, 0, 4096, 4608, block), NBD_EINVAL);
	GO(nbd_request(NBD_TRIM, 0, 4096, 512, NULL), NBD_EINVAL);
	GO(nbd_request(NBD_READ, 0, 8192, sizeof(block), NULL), 0);
	assert_memory_equal(nbd_got, image + 8192, sizeof(block));
	memset(block, 0x5a, sizeof(block));
	GO(nbd_request(NBD_WRITE, 0, SIZE - sizeof(block), sizeof(block),
		       block), 0);
	GO(disk.count, 4);			/* of 10 sectors, 32 */
	assert_memory_equal(disk.now + SIZE - sizeof(block), block,
			    sizeof(block));
	assert_memory_equal(disk.now, image, SIZE - sizeof(block));
	GO(nbd_request(NBD_TRIM, 0, 4096, 8192, NULL), 0);
	GO(disk.log[disk.count - 1].sectors, 2);
	end();
	nbd_sector_size = 512;
}

static void others_are_refused(void **state)
{
	struct fake_disk other;

	(void)state;
	memset(&other, 0, sizeof(other));
	fake_disk_open(&other, image, SIZE, 8192, 0);
	GO(nbd_device_open(&other.dev, &store), EINVAL);
	fake_disk_close(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_go_to_the_device),
		cmocka_unit_test(errors_are_told),
		cmocka_unit_test(several_at_a_time),
		cmocka_unit_test(a_lost_connection_waits),
		cmocka_unit_test(large_sectors),
		cmocka_unit_test(others_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
