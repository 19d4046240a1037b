/* SPDX-License-Identifier: MIT */
/*
 * What the loader finds of a black box: the input is laid into it in pieces (where,
 * 3 bytes; how much, 2 bytes; the bytes), then the head's sum, and those of what
 * logs and exits are said to have, are made right by a last byte's bits.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/black_box.h"

#define CPUS	2u
#define ROOM	(sizeof(struct black_box) + CPUS * sizeof(struct box_cpu))

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *memory;
static size_t told;

static void take(struct black_box_out *out, const char *text, size_t size)
{
	(void)out;
	for (size_t i = 0; i < size; i++) {
		if (text[i] != '\n' && (text[i] < ' ' || text[i] > '~')) {
			abort();
		}
	}
	told += size;
}

static void lay(const uint8_t *data, size_t size)
{
	while (size > 5) {
		size_t at = (data[0] | data[1] << 8 | data[2] << 16) %
			    (sizeof(struct box_host) + ROOM);
		size_t n = data[3] | data[4] << 8;

		data += 5;
		size -= 5;
		n = n < size ? n : size;
		n = n < sizeof(struct box_host) + ROOM - at ? n :
		    sizeof(struct box_host) + ROOM - at;
		memcpy(memory + at, data, n);
		data += n;
		size -= n;
	}
}

/* As if its writer had written what is there. */
static void put_right(struct box_log *log)
{
	const uint64_t head = log->head;
	char *text = malloc(BOX_TEXT);

	memcpy(text, log->text, BOX_TEXT);
	log->head = head < BOX_TEXT ? 0 : (head - BOX_TEXT) & ~(uint64_t)(BOX_BLOCK - 1);
	while (log->head < head) {
		box_put(log, text[log->head % BOX_TEXT]);
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct black_box_read r;
	static struct black_box_out out = { take };
	uint8_t right = size > 0 ? data[size - 1] : 0;
	struct black_box *box;
	struct box_host *host;

	free(memory);
	memory = calloc(1, sizeof(*host) + ROOM);
	host = (struct box_host *)memory;
	box = (struct black_box *)(host + 1);
	box->cpus = CPUS;
	lay(data, size);
	box->magic = right & 1 ? BOX_MAGIC : box->magic;
	box->version = right & 1 ? BOX_VERSION : box->version;
	box->sum = right & 1 ? black_box_sum(box) : box->sum;
	for (unsigned i = 0; right & 2 && i < CPUS * BOX_EXITS; i++) {
		struct box_exit *x = &box->cpu[i / BOX_EXITS].exit[i % BOX_EXITS];

		x->sum = box_exit_sum(x);
	}
	if (right & 4) {
		put_right(&box->log);
		put_right(&host->log);
	}
	if (!black_box_is(box, ROOM)) {
		return 0;
	}
	r = (struct black_box_read){ .box = box, .host = host, .watchdog = right & 8 };
	told = 0;
	black_box_look(&r);
	black_box_tell(&r, &out);
	if (strlen(r.log) > BOX_TEXT || strlen(r.host_log) > BOX_TEXT || told > 400000) {
		abort();
	}
	return 0;
}
