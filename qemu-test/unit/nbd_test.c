/* SPDX-License-Identifier: MIT */
/*
 * Disks served by NBD, from a file of a volume: a client that does all right,
 * with whole packets, few bytes at a time, without time; and clients that do
 * not.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/nbd/nbd_server.h"
#include "qemu-test/unit/fake/nbd.h"
#include "qemu-test/unit/volume_fixture.h"

#define GO	assert_int_equal
#define MIB	(1u << 20)

static struct vsock_conn *const end = fake_vsock.end;
struct fixture f;
static struct nbd_service *service;
static struct nbd_store *store;

static void attach(void)
{
	uint64_t size;
	uint16_t flags;

	nbd_connect();
	nbd_go(NBD_OPT_GO, "root", &size, &flags);
	GO(size, store->size);
}

static int setup(void **state)
{
	(void)state;
	fixture_open(&f, 16, "");
	GO(nbd_service_start(NULL, &service), 0);
	GO(fake_vsock.listens, NBD_PORT);
	GO(nbd_file_open(f.vol, nbd_turns, "/disk", 8 * MIB, &store), 0);
	GO(store->size, 8 * MIB);
	GO(nbd_service_add(service, "root", store), 0);
	fake_vsock_setup();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	GO(nbd_service_get(service, 0)->users, 0);
	volume_release(f.vol, find(f.vol, ROOT, "disk"));
	free(store);
	free(service);
	fixture_check(&f);
	fixture_close(&f);
	return 0;
}

/* ---- Handshake ---- */

static void disks_are_listed_and_described(void **state)
{
	struct nbd_store second = { .size = 4096, .read_only = true };
	const uint8_t *data;
	uint64_t size;
	uint16_t flags;
	uint32_t len;
	size_t at = 0;

	(void)state;
	GO(nbd_service_add(service, "root", &second), EINVAL);
	GO(nbd_service_add(service, "", &second), EINVAL);
	second.size = 100;
	GO(nbd_service_add(service, "b", &second), EINVAL);
	second.size = 4096;
	GO(nbd_service_add(service, "b", &second), 0);
	nbd_connect();
	assert_true(nbd_option(NBD_OPT_LIST, NULL, 0,
			   3 * sizeof(struct nbd_option_reply) + 4 + 4 + 4 +
			   1));
	GO(nbd_reply(&at, NBD_OPT_LIST, &data, &len), NBD_REP_SERVER);
	GO(len, 8);
	assert_memory_equal(data, "\0\0\0\4root", 8);
	GO(nbd_reply(&at, NBD_OPT_LIST, &data, &len), NBD_REP_SERVER);
	assert_memory_equal(data, "\0\0\0\1b", 5);
	GO(nbd_reply(&at, NBD_OPT_LIST, &data, &len), NBD_REP_ACK);
	nbd_go(NBD_OPT_INFO, "root", &size, &flags);
	GO(size, 8 * MIB);
	GO(flags, NBD_HAS_FLAGS | NBD_HAS_FLUSH | NBD_HAS_FUA | NBD_HAS_TRIM |
	   NBD_HAS_ZEROES);
	nbd_go(NBD_OPT_INFO, "b", &size, &flags);
	GO(flags, NBD_HAS_FLAGS | NBD_HAS_FLUSH | NBD_HAS_FUA |
	   NBD_HAS_READ_ONLY);
	/* INFO does not go: options are still understood. */
	GO(nbd_service_get(service, 0)->users, 0);
	nbd_go(NBD_OPT_GO, "root", &size, &flags);
	GO(nbd_service_get(service, 0)->users, 1);
	GO(nbd_request(NBD_FLUSH, 0, 0, 0, NULL), 0);
	fake_vsock_close();
	for (unsigned i = 2; i < NBD_DISKS; i++) {
		char *name = strdup((char[]){ 'c' + (char)i, '\0' });

		GO(nbd_service_add(service, name, &second), 0);
	}
	GO(nbd_service_add(service, "z", &second), ENOSPC);
	assert_null(nbd_service_get(service, NBD_DISKS));
	/* All of them fit an answer that has to wait. */
	fake_vsock.room = 64;
	nbd_connect();
	assert_true(nbd_option(NBD_OPT_LIST, NULL, 0,
			   9 * sizeof(struct nbd_option_reply) + 8 + 7 * 5));
	fake_vsock_close();
	for (unsigned i = 2; i < NBD_DISKS; i++) {
		free((char *)nbd_service_get(service, i)->name);
	}
}

static void options_that_make_no_sense_are_refused(void **state)
{
	static const uint8_t zeros[1000];
	uint8_t data[64];
	size_t len;

	(void)state;
	nbd_connect();
	GO(nbd_short_option(77, "x", 1), NBD_REP_ERR_UNSUP);
	GO(nbd_short_option(77, NULL, 0), NBD_REP_ERR_UNSUP);
	GO(nbd_short_option(NBD_OPT_LIST, "x", 1), NBD_REP_ERR_INVALID);
	len = nbd_go_data(data, "nobody");
	GO(nbd_short_option(NBD_OPT_GO, data, len), NBD_REP_ERR_UNKNOWN);
	len = nbd_go_data(data, "roo");
	GO(nbd_short_option(NBD_OPT_GO, data, len), NBD_REP_ERR_UNKNOWN);
	/* Lengths that do not fit the data: of the name, of the list. */
	len = nbd_go_data(data, "root");
	for (size_t n = 0; n < len; n++) {
		GO(nbd_short_option(NBD_OPT_GO, data, n), NBD_REP_ERR_INVALID);
	}
	GO(nbd_short_option(NBD_OPT_GO, data, len + 1), NBD_REP_ERR_INVALID);
	for (unsigned i = 0; i < 4; i++) {
		data[i] ^= 0x80;
		GO(nbd_short_option(NBD_OPT_GO, data, len), NBD_REP_ERR_INVALID);
		data[i] ^= 0x80;
	}
	data[len - 1] = 1;
	GO(nbd_short_option(NBD_OPT_INFO, data, len), NBD_REP_ERR_INVALID);
	/* Too long: skipped, and the next is understood. */
	GO(nbd_short_option(NBD_OPT_GO, zeros, sizeof(zeros)),
	   NBD_REP_ERR_TOO_BIG);
	GO(nbd_short_option(99, zeros, 257), NBD_REP_ERR_UNSUP);
	GO(nbd_short_option(NBD_OPT_GO, zeros, 256), NBD_REP_ERR_INVALID);
	GO(nbd_short_option(NBD_OPT_ABORT, NULL, 0), NBD_REP_ACK);
	/* Nobody listens any more. */
	assert_true(nbd_talk("abc", 3, 0));
	GO(nbd_got_len, 0);
	fake_vsock_close();
}

static void who_cannot_shake_hands_is_reset(void **state)
{
	static const uint32_t flags[] = { 0, 1, 2, 7, 3u << 30 | 3 };
	uint32_t word;

	(void)state;
	for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		fake_vsock_open();
		word = NBD_BE32(flags[i]);
		assert_false(nbd_talk(&word, 4, 1000));
		fake_vsock_close();
	}
	nbd_connect();
	assert_false(nbd_talk("0123456789abcdef", 16, 1));
	fake_vsock_close();
	nbd_connect();
	assert_false(nbd_option(NBD_OPT_EXPORT_NAME, "root", 4, 1));
	fake_vsock_close();
	/* A port that any process can have. */
	fake_vsock.port = 1024;
	fake_vsock_open();
	assert_true(end->gone);
	fake_vsock_close();
}

static void connections_are_bounded(void **state)
{
	static struct vsock_conn kept[2 * NBD_DISKS];

	(void)state;
	for (unsigned i = 0; i < 2 * NBD_DISKS; i++) {
		nbd_connect();
		kept[i].arg = end->arg;
	}
	fake_vsock_open();
	assert_true(end->gone);
	fake_vsock_close();
	for (unsigned i = 0; i < 2 * NBD_DISKS; i++) {
		fake_vsock.ops->on_close(&kept[i], ECONNRESET);
	}
	nbd_connect();
	fake_vsock_close();
}

/* ---- Requests ---- */

static void fill(uint8_t *data, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++) {
		data[i] = (uint8_t)((i + seed) * 2654435761u >> 13);
	}
}

static void what_is_written_is_read(void **state)
{
	static uint8_t data[NBD_DATA_MAX], zeros[NBD_DATA_MAX];

	(void)state;
	for (unsigned how = 0; how < 3; how++) {
		fake_vsock.room = how == 1 ? 3000 : FAKE_QUEUE;
		fake_vsock.chunk = how == 1 ? 700 : FAKE_QUEUE;
		fake_vsock.no_time = how == 2;
		fill(data, sizeof(data), how);
		attach();
		GO(nbd_request(NBD_WRITE, how == 1 ? NBD_FLAG_FUA : 0, MIB + 512,
			   sizeof(data), data), 0);
		GO(nbd_request(NBD_READ, 0, MIB + 512, sizeof(data), NULL), 0);
		assert_memory_equal(nbd_got, data, sizeof(data));
		GO(nbd_request(NBD_READ, 0, MIB, 1024, NULL), 0);
		assert_memory_equal(nbd_got, zeros, 512);
		assert_memory_equal(nbd_got + 512, data, 512);
		/* The last sector, and what was never written. */
		GO(nbd_request(NBD_WRITE, 0, 8 * MIB - 512, 512, data), 0);
		GO(nbd_request(NBD_READ, 0, 8 * MIB - 4096, 4096, NULL), 0);
		assert_memory_equal(nbd_got, zeros, 4096 - 512);
		assert_memory_equal(nbd_got + 4096 - 512, data, 512);
		GO(nbd_request(NBD_READ, 0, 5 * MIB, NBD_DATA_MAX, NULL), 0);
		assert_memory_equal(nbd_got, zeros, NBD_DATA_MAX);
		GO(nbd_request(NBD_FLUSH, 0, 0, 0, NULL), 0);
		GO(end->held, 0);
		fake_vsock_close();
	}
	GO(nbd_service_get(service, 0)->writes, 6);
	GO(nbd_service_get(service, 0)->reads, 12);
	GO(nbd_service_get(service, 0)->flushes, 3);
	GO(nbd_service_get(service, 0)->errors, 0);
	GO(attr_of(f.vol, find(f.vol, ROOT, "disk")).size, 8 * MIB);
}

/* Many at once, and answers that nobody reads for a while. */
static void requests_are_answered_in_their_order(void **state)
{
	static uint8_t data[65536], stream[40 * 28 + 20 * 4096];
	size_t len = 0, at = 0;

	(void)state;
	attach();
	fill(data, sizeof(data), 7);
	for (uint32_t i = 0; i < 20; i++) {
		struct nbd_request head = {
			.magic = NBD_BE32(NBD_REQUEST_MAGIC),
			.type = NBD_BE16(NBD_WRITE), .cookie = 2 * i,
			.offset = NBD_BE64(i * 4096ull),
			.len = NBD_BE32(4096),
		};

		memcpy(stream + len, &head, sizeof(head));
		memcpy(stream + len + sizeof(head), data + i * 1000, 4096);
		len += sizeof(head) + 4096;
		head.type = NBD_BE16(NBD_READ);
		head.cookie++;
		memcpy(stream + len, &head, sizeof(head));
		len += sizeof(head);
	}
	fake_vsock.room = 9000;
	assert_true(nbd_talk(stream, len, 40 * 16 + 20 * 4096));
	GO(nbd_got_len, 40 * 16 + 20 * 4096);
	for (uint32_t i = 0; i < 20; i++) {
		struct nbd_answer answer[2];

		memcpy(answer, nbd_got + at, sizeof(answer));
		GO(answer[0].cookie, 2 * i);
		GO(answer[1].cookie, 2 * i + 1);
		GO(answer[0].error | answer[1].error, 0);
		assert_memory_equal(nbd_got + at + sizeof(answer),
				    data + i * 1000, 4096);
		at += sizeof(answer) + 4096;
	}
	fake_vsock_close();
}

static uint64_t room_of_disk(void)
{
	return attr_of(f.vol, find(f.vol, ROOT, "disk")).blocks;
}

static void what_is_of_no_use_gives_its_room_back(void **state)
{
	static uint8_t data[65536];
	static const uint8_t zeros[65536];

	(void)state;
	attach();
	fill(data, sizeof(data), 3);
	for (uint64_t at = 0; at < MIB; at += sizeof(data)) {
		GO(nbd_request(NBD_WRITE, 0, at, sizeof(data), data), 0);
	}
	assert_true(room_of_disk() >= MIB / 512);
	GO(nbd_request(NBD_TRIM, 0, 4096, MIB - 8192, NULL), 0);
	assert_true(room_of_disk() <= 3 * 8);
	GO(nbd_request(NBD_READ, 0, 65536, 65536, NULL), 0);
	assert_memory_equal(nbd_got, zeros, 65536);
	GO(nbd_request(NBD_READ, 0, MIB - 4096, 4096, NULL), 0);
	assert_memory_equal(nbd_got, data + 65536 - 4096, 4096);
	/* Pieces of blocks become zeros. */
	GO(nbd_request(NBD_ZEROES, 0, 512, 1024, NULL), 0);
	GO(nbd_request(NBD_READ, 0, 0, 2048, NULL), 0);
	assert_memory_equal(nbd_got, data, 512);
	assert_memory_equal(nbd_got + 512, zeros, 1024);
	assert_memory_equal(nbd_got + 1536, data + 1536, 512);
	/* More than a message: these have no data. */
	GO(nbd_request(NBD_ZEROES, NBD_FLAG_NO_HOLE | NBD_FLAG_FUA, 2 * MIB, MIB,
		   NULL), 0);
	assert_true(room_of_disk() >= MIB / 512);
	GO(nbd_request(NBD_READ, 0, 2 * MIB, 4096, NULL), 0);
	assert_memory_equal(nbd_got, zeros, 4096);
	GO(nbd_request(NBD_ZEROES, 0, 0, 8 * MIB, NULL), 0);
	assert_true(room_of_disk() <= 8);
	GO(store->size, 8 * MIB);
	fake_vsock_close();
}

static void what_cannot_be_is_refused(void **state)
{
	static const uint8_t data[NBD_DATA_MAX];

	(void)state;
	attach();
	GO(nbd_request(NBD_READ, 0, 8 * MIB, 512, NULL), NBD_EINVAL);
	GO(nbd_request(NBD_READ, 0, 8 * MIB - 512, 1024, NULL), NBD_EINVAL);
	GO(nbd_request(NBD_READ, 0, UINT64_MAX, 512, NULL), NBD_EINVAL);
	GO(nbd_request(NBD_READ, 0, UINT64_MAX - 511, 512, NULL), NBD_EINVAL);
	GO(nbd_request(NBD_READ, 0, 0, 0, NULL), NBD_EINVAL);
	GO(nbd_request(NBD_READ, 0, 0, NBD_DATA_MAX + 1, NULL), NBD_EINVAL);
	GO(nbd_request(NBD_READ, 0, 0, UINT32_MAX, NULL), NBD_EINVAL);
	GO(nbd_request(NBD_READ, 4, 0, 512, NULL), NBD_EINVAL);
	GO(nbd_request(NBD_WRITE, 0, 8 * MIB - 512, 1024, data), NBD_ENOSPC);
	GO(nbd_request(NBD_WRITE, NBD_FLAG_NO_HOLE, 0, 512, data), NBD_EINVAL);
	GO(nbd_request(NBD_WRITE, 0, 0, 0, NULL), NBD_EINVAL);
	GO(nbd_request(NBD_TRIM, 0, 8 * MIB, 512, NULL), NBD_EINVAL);
	GO(nbd_request(NBD_TRIM, NBD_FLAG_NO_HOLE, 0, 512, NULL), NBD_EINVAL);
	GO(nbd_request(NBD_ZEROES, 0, 512, UINT32_MAX, NULL), NBD_ENOSPC);
	GO(nbd_request(5, 0, 0, 512, NULL), NBD_EINVAL);
	GO(nbd_request(7, 0, 0, 512, NULL), NBD_EINVAL);
	GO(nbd_request(0xffff, 0, 0, 512, NULL), NBD_EINVAL);
	/* And none of it did anything. */
	GO(room_of_disk(), 0);
	GO(nbd_request(NBD_WRITE, 0, 0, 512, data), 0);
	/* Nobody knows where the next request begins. */
	GO(nbd_request(NBD_WRITE, 0, 0, NBD_DATA_MAX + 1, NULL), -1);
	fake_vsock_close();
	attach();
	assert_false(nbd_talk(data, sizeof(struct nbd_request), 1));
	fake_vsock_close();
	attach();
	assert_true(nbd_talk(&(struct nbd_request){
		.magic = NBD_BE32(NBD_REQUEST_MAGIC),
		.type = NBD_BE16(NBD_DISCONNECT) },
		sizeof(struct nbd_request), 0));
	assert_true(end->shut);
	fake_vsock_close();
}

static void a_read_only_disk_stays_as_it_is(void **state)
{
	static const uint8_t data[512] = { 1 };

	(void)state;
	store->read_only = true;
	attach();
	GO(nbd_request(NBD_WRITE, 0, 0, 512, data), NBD_EPERM);
	GO(nbd_request(NBD_TRIM, 0, 0, 512, NULL), NBD_EPERM);
	GO(nbd_request(NBD_ZEROES, 0, 0, 512, NULL), NBD_EPERM);
	GO(nbd_request(NBD_READ, 0, 0, 512, NULL), 0);
	GO(nbd_got[0], 0);
	fake_vsock_close();
}

/* A full volume: who writes is told, the connection and what is there stay. */
static void a_full_volume_is_told(void **state)
{
	static uint8_t data[NBD_DATA_MAX];
	uint64_t big = 64ull * MIB, at = 0;
	int error = 0;

	(void)state;
	fill(data, sizeof(data), 9);
	GO(nbd_file_grow(store, big), 0);
	attach();
	while (error == 0) {
		assert_true(at < big);
		error = nbd_request(NBD_WRITE, 0, at, sizeof(data), data);
		at += sizeof(data);
	}
	GO(error, NBD_ENOSPC);
	GO(nbd_request(NBD_READ, 0, 0, sizeof(data), NULL), 0);
	assert_memory_equal(nbd_got, data, sizeof(data));
	GO(nbd_request(NBD_TRIM, 0, 0, MIB, NULL), 0);
	GO(nbd_request(NBD_WRITE, 0, 0, sizeof(data), data), 0);
	GO(nbd_service_get(service, 0)->errors, 1);
	fake_vsock_close();
}

/* A device that fails: the answer says so, or, when it has said already that all
 * is well, has no end. */
static void a_broken_device_is_told(void **state)
{
	static uint8_t data[NBD_DATA_MAX];
	unsigned reset = 0;

	(void)state;
	if (nbd_turns != NULL) {
		skip();		/* one that fails once is asked again there */
	}
	attach();
	GO(nbd_request(NBD_WRITE, 0, 0, sizeof(data), data), 0);
	/* What was written since the last flush does not fail. */
	GO(nbd_request(NBD_FLUSH, 0, 0, 0, NULL), 0);
	for (long after = 0; after < 40; after++) {
		int error;

		f.fail_after = after;
		error = nbd_request(NBD_READ, 0, 0, NBD_DATA_MAX, NULL);
		f.fail_after = -1;
		if (error < 0) {
			fake_vsock_close();
			attach();
			reset++;
		} else {
			assert_true(error == NBD_EIO || error == 0);
		}
	}
	GO(reset, 0);
	f.fail_after = 0;
	GO(nbd_request(NBD_WRITE, 0, 2 * MIB, sizeof(data), data), NBD_EIO);
	f.fail_after = -1;
	GO(nbd_request(NBD_READ, 0, 0, 512, NULL), 0);
	/* With no room for the answer it looks again, when it is too late to
	 * say so. */
	GO(nbd_request(NBD_FLUSH, 0, 0, 0, NULL), 0);
	fake_vsock.room = 5000;
	for (long after = 0; after < 600; after++) {
		int error;

		f.fail_after = after;
		error = nbd_request(NBD_READ, 0, 0, NBD_DATA_MAX, NULL);
		f.fail_after = -1;
		if (error < 0) {
			fake_vsock_close();
			attach();
			reset++;
		}
	}
	assert_true(reset > 0);
	fake_vsock_close();
}

static void a_disk_grows(void **state)
{
	uint64_t size;
	uint16_t flags;
	static uint8_t data[512] = { 5 };

	(void)state;
	attach();
	GO(nbd_file_grow(store, 8 * MIB), EINVAL);
	GO(nbd_file_grow(store, 8 * MIB + 100), EINVAL);
	GO(nbd_file_grow(store, 1ull << 60), EFBIG);
	GO(nbd_request(NBD_WRITE, 0, 0, 512, data), 0);
	GO(nbd_file_grow(store, 9 * MIB), 0);
	nbd_service_resized(service, 0);
	assert_true(end->gone);
	fake_vsock_close();
	nbd_connect();
	nbd_go(NBD_OPT_GO, "root", &size, &flags);
	GO(size, 9 * MIB);
	GO(nbd_request(NBD_WRITE, 0, 9 * MIB - 512, 512, data), 0);
	GO(nbd_request(NBD_READ, 0, 0, 512, NULL), 0);
	GO(nbd_got[0], 5);
	fake_vsock_close();
}

/* ---- Its file ---- */

static void a_file_is_a_disk_if_it_can_be_one(void **state)
{
	struct nbd_store *other;
	uint32_t ino = new_file(f.vol, ROOT, "odd");

	(void)state;
	put(f.vol, ino, 0, "x", 1);
	GO(nbd_file_open(f.vol, nbd_turns, "/odd", MIB, &other), EINVAL);
	put(f.vol, ino, 1000, "x", 1);
	GO(nbd_file_open(f.vol, nbd_turns, "/odd", MIB, &other), 0);
	GO(other->size, 512);
	volume_release(f.vol, ino);
	free(other);
	new_dir(f.vol, ROOT, "dir");
	GO(nbd_file_open(f.vol, nbd_turns, "/dir", MIB, &other), EINVAL);
	GO(nbd_file_open(f.vol, nbd_turns, "/no/disk", MIB, &other), ENOENT);
	GO(nbd_file_open(f.vol, nbd_turns, "/odd/disk", MIB, &other), ENOTDIR);
	/* The same again is the same disk. */
	GO(nbd_file_open(f.vol, nbd_turns, "/disk", MIB, &other), 0);
	GO(other->size, 8 * MIB);
	volume_release(f.vol, find(f.vol, ROOT, "disk"));
	free(other);
}

/* Somebody on the host makes the file shorter: an error, nothing worse. */
static void a_file_that_shrinks_is_an_error(void **state)
{
	const struct volume_attr attr = { .size = 4096 };
	static uint8_t data[8192];

	(void)state;
	attach();
	GO(nbd_request(NBD_WRITE, 0, 0, 8192, data), 0);
	GO(volume_setattr(f.vol, find(f.vol, ROOT, "disk"), VOLUME_SET_SIZE,
			  &attr), 0);
	GO(nbd_request(NBD_READ, 0, 0, 4096, NULL), 0);
	GO(nbd_request(NBD_READ, 0, 4096, 4096, NULL), NBD_EIO);
	GO(nbd_request(NBD_WRITE, 0, 4096, 4096, data), 0);
	fake_vsock_close();
}

/* Any bytes: nothing but resets, and no byte of the file beyond its end. */
static void garbage_does_no_harm(void **state)
{
	uint32_t seed = 1;
	uint8_t bytes[64];

	(void)state;
	for (unsigned i = 0; i < 3000; i++) {
		if (i % 2 == 0) {
			nbd_connect();
		} else {
			attach();
		}
		for (unsigned k = 0; k < 40 && !end->gone; k++) {
			struct nbd_request head = {
				.magic = NBD_BE32(NBD_REQUEST_MAGIC),
			};

			for (unsigned b = 0; b < sizeof(bytes); b++) {
				seed = seed * 1103515245 + 12345;
				bytes[b] = (uint8_t)(seed >> 16);
			}
			memcpy((uint8_t *)&head + 4, bytes,
			       sizeof(head) - 4);
			/* Often nearly right. */
			head.type &= NBD_BE16(bytes[40] % 2 ? 7 : 0xffff);
			head.flags &= NBD_BE16(bytes[41] % 2 ? 3 : 0xffff);
			head.len &= NBD_BE32(bytes[42] % 2 ? 0xffff : ~0u);
			head.offset &= NBD_BE64(bytes[43] % 2 ? 0x7fffffull
							      : ~0ull);
			(void)nbd_talk(&head, sizeof(head), 0);
		}
		fake_vsock_close();
	}
	GO(attr_of(f.vol, find(f.vol, ROOT, "disk")).size, 8 * MIB);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(disks_are_listed_and_described),
		TEST(options_that_make_no_sense_are_refused),
		TEST(who_cannot_shake_hands_is_reset),
		TEST(connections_are_bounded),
		TEST(what_is_written_is_read),
		TEST(requests_are_answered_in_their_order),
		TEST(what_is_of_no_use_gives_its_room_back),
		TEST(what_cannot_be_is_refused),
		TEST(a_read_only_disk_stays_as_it_is),
		TEST(a_full_volume_is_told),
		TEST(a_broken_device_is_told),
		TEST(a_disk_grows),
		TEST(a_file_is_a_disk_if_it_can_be_one),
		TEST(a_file_that_shrinks_is_an_error),
		TEST(garbage_does_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
