/* SPDX-License-Identifier: MIT */
/*
 * An NBD client: fake/nbd.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/loop/loop.h"
#include "qemu-test/unit/fake/nbd.h"

#define GO	assert_int_equal

uint8_t nbd_got[FAKE_QUEUE];
size_t nbd_got_len;
uint32_t nbd_sector_size = 512;
static uint64_t cookie;
struct volume_turns *nbd_turns;
void (*nbd_settle)(void);

/* From top-level code that waits. */
void loop_step(uint64_t deadline)
{
	(void)deadline;
}

/* Sends all of it, while answers are read, and waits until `want` bytes of those
 * have come. False: the connection is gone. */
bool nbd_talk(const void *data, size_t len, size_t want)
{
	size_t sent = 0;

	nbd_got_len = 0;
	for (int i = 0; sent < len || nbd_got_len < want; i++) {
		assert_true(i < 1000000);
		sent += fake_vsock_send((const uint8_t *)data + sent,
					len - sent);
		fake_vsock_step();
		if (nbd_settle != NULL) {
			nbd_settle();
		}
		nbd_got_len += fake_vsock_take(nbd_got + nbd_got_len);
		if (fake_vsock.end->gone) {
			return false;
		}
	}
	return true;
}

bool nbd_option(uint32_t number, const void *data, size_t len, size_t want)
{
	uint8_t message[sizeof(struct nbd_option) + 1000];
	struct nbd_option head = {
		.magic = NBD_BE64(NBD_OPTION_MAGIC),
		.option = NBD_BE32(number), .len = NBD_BE32((uint32_t)len),
	};

	memcpy(message, &head, sizeof(head));
	if (len > 0) {
		memcpy(message + sizeof(head), data, len);
	}
	return nbd_talk(message, sizeof(head) + len, want);
}

/** The reply at *at; its data follow. Moves *at behind them. */
uint32_t nbd_reply(size_t *at, uint32_t number, const uint8_t **data,
		      uint32_t *len)
{
	struct nbd_option_reply head;

	assert_true(nbd_got_len - *at >= sizeof(head));
	memcpy(&head, nbd_got + *at, sizeof(head));
	GO(NBD_BE64(head.magic), NBD_REPLY_MAGIC);
	GO(NBD_BE32(head.option), number);
	*len = NBD_BE32(head.len);
	*data = nbd_got + *at + sizeof(head);
	*at += sizeof(head) + *len;
	assert_true(*at <= nbd_got_len);
	return NBD_BE32(head.type);
}

/** An option whose answer is one reply without data. */
uint32_t nbd_short_option(uint32_t number, const void *data, size_t len)
{
	const uint8_t *reply_data;
	uint32_t reply_len, type;
	size_t at = 0;

	assert_true(nbd_option(number, data, len,
			   sizeof(struct nbd_option_reply)));
	type = nbd_reply(&at, number, &reply_data, &reply_len);
	GO(reply_len, 0);
	GO(nbd_got_len, at);
	return type;
}

void nbd_connect(void)
{
	const uint32_t flags = NBD_BE32(NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES);
	struct nbd_hello hello;

	fake_vsock_open();
	assert_true(nbd_talk(NULL, 0, sizeof(hello)));
	GO(nbd_got_len, sizeof(hello));
	memcpy(&hello, nbd_got, sizeof(hello));
	GO(NBD_BE64(hello.magic), NBD_MAGIC);
	GO(NBD_BE64(hello.option_magic), NBD_OPTION_MAGIC);
	GO(NBD_BE16(hello.flags), NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES);
	assert_true(nbd_talk(&flags, sizeof(flags), 0));
}

/** INFO's or GO's data, for a name. */
size_t nbd_go_data(uint8_t *data, const char *name)
{
	uint32_t len = (uint32_t)strlen(name), swapped = NBD_BE32(len);

	memcpy(data, &swapped, 4);
	memcpy(data + 4, name, len);
	memset(data + 4 + len, 0, 2);
	return 4 + len + 2;
}

/** Asks for a disk by INFO or GO; its size and flags. */
void nbd_go(uint32_t number, const char *name, uint64_t *size,
	       uint16_t *flags)
{
	struct nbd_info_export info;
	struct nbd_info_block_size block;
	const uint8_t *data;
	uint8_t ask[64];
	uint32_t len;
	size_t at = 0;

	assert_true(nbd_option(number, ask, nbd_go_data(ask, name),
			   3 * sizeof(struct nbd_option_reply) +
			   sizeof(info) + sizeof(block)));
	GO(nbd_reply(&at, number, &data, &len), NBD_REP_INFO);
	GO(len, sizeof(info));
	memcpy(&info, data, len);
	GO(NBD_BE16(info.type), NBD_INFO_EXPORT);
	GO(nbd_reply(&at, number, &data, &len), NBD_REP_INFO);
	GO(len, sizeof(block));
	memcpy(&block, data, len);
	GO(NBD_BE16(block.type), NBD_INFO_BLOCK_SIZE);
	GO(NBD_BE32(block.least), nbd_sector_size);
	GO(NBD_BE32(block.most), NBD_DATA_MAX);
	GO(nbd_reply(&at, number, &data, &len), NBD_REP_ACK);
	GO(at, nbd_got_len);
	*size = NBD_BE64(info.size);
	*flags = NBD_BE16(info.flags);
}

/** A request with its data; its error, or -1 if the connection is gone. What was
 * read is in got. */
int nbd_request(uint16_t type, uint16_t flags, uint64_t offset,
		   uint32_t len, const void *data)
{
	static uint8_t message[sizeof(struct nbd_request) + NBD_DATA_MAX + 1];
	struct nbd_request head = {
		.magic = NBD_BE32(NBD_REQUEST_MAGIC),
		.flags = NBD_BE16(flags), .type = NBD_BE16(type),
		.cookie = ++cookie, .offset = NBD_BE64(offset),
		.len = NBD_BE32(len),
	};
	struct nbd_answer answer;
	size_t more = type == NBD_WRITE && len <= NBD_DATA_MAX ? len : 0;

	memcpy(message, &head, sizeof(head));
	if (data != NULL) {
		memcpy(message + sizeof(head), data, more);
	}
	if (!nbd_talk(message, sizeof(head) + more, sizeof(answer))) {
		return -1;
	}
	memcpy(&answer, nbd_got, sizeof(answer));
	GO(NBD_BE32(answer.magic), NBD_ANSWER_MAGIC);
	GO(answer.cookie, cookie);
	nbd_got_len -= sizeof(answer);
	memmove(nbd_got, nbd_got + sizeof(answer), nbd_got_len);
	if (type == NBD_READ && answer.error == 0) {
		size_t have = nbd_got_len;
		uint8_t *rest = malloc(have + 1);
		bool whole;

		memcpy(rest, nbd_got, have);
		whole = nbd_talk(NULL, 0, len - have);
		memmove(nbd_got + have, nbd_got, nbd_got_len);
		memcpy(nbd_got, rest, have);
		nbd_got_len += have;
		free(rest);
		if (!whole) {
			return -1;
		}
		GO(nbd_got_len, len);
	} else {
		GO(nbd_got_len, 0);
	}
	return (int)NBD_BE32(answer.error);
}
