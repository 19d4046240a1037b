/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer on the 9P client and the console's commands on files above it: the
 * input is what Linux's file server answers. The first byte chooses the command
 * and how the answers are cut; then, for each request, a byte says how much of
 * the next ones is the answer's body, whose head is right, or, with the top bit
 * set, all of the answer. Whatever Linux says, the command ends.
 * Run by make fuzz-files.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/ui/words.h"
#include "qemu-test/unit/hostile_linux.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TURNS_MAX	3000u		/* then the user types ctrl-c */
#define RAW		0x80u
#define LONG		0x40u		/* the length is in KiB */

static struct {
	const uint8_t *at, *end;
} input;

int64_t volume_now_ns(void)
{
	return 1700000000000000000ll;
}

/* At the input's end Linux hangs up. */
static size_t answer(const uint8_t *request, size_t len, uint8_t *to,
		     size_t room)
{
	struct p9_writer w;
	uint32_t size;
	size_t n;
	uint8_t how;

	/* What we send is always a whole message. */
	memcpy(&size, request, sizeof(size));
	if (len < P9_HEADER || size != len) {
		abort();
	}
	if (input.at == input.end) {
		return 0;
	}
	how = *input.at++;
	n = how & (LONG - 1);
	n = how & LONG ? n * 1024 : n;
	n = n < (size_t)(input.end - input.at) ? n
					       : (size_t)(input.end - input.at);
	p9_begin(&w, to, room, (uint8_t)(request[4] + 1),
		 (uint16_t)(request[5] | request[6] << 8));
	if (how & RAW) {
		w.at = w.start;
	}
	p9_put(&w, input.at, n);
	input.at += n;
	return how & RAW ? n : p9_end(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const lines[] = {
		"ls linux:/a/b", "cat linux:/a", "cp linux:a linux:/b/c",
		"rm linux:/a linux:/b/", "mkdir linux:/a/b", "ls linux:",
	};
	static const size_t pieces[] = { 0, 1, 7, 1000 };
	static struct completion found;
	static FILE *nowhere;
	unsigned line;

	if (nowhere == NULL) {
		/* What is printed is of no interest. */
		nowhere = freopen("/dev/null", "w", stdout);
	}
	if (size < 1) {
		return 0;
	}
	input.at = data + 1;
	input.end = data + size;
	hostile_piece = pieces[data[0] & 3];
	hostile_patience = TURNS_MAX;
	line = (data[0] >> 2) % 7;
	if (line == 6) {
		hostile_complete(answer, "cat", "linux:/a/", &found);
	} else {
		hostile_command(answer, lines[line]);
	}
	return 0;
}
