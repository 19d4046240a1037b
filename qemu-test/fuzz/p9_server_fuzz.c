/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer on the 9P server: the input is a stream of messages, cut into
 * pieces and answered on a volume that a small image gives anew each time.
 * The first byte chooses how the stream is cut and whether the device fails.
 * Run by make fuzz-files; P9_FUZZ_IMAGE names the ext4 image.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/files/p9_server.h"
#include "host-bridge/blk/volume_dev.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *pristine, *image;
static size_t image_size;

int64_t volume_now_ns(void)
{
	static int64_t now = 1700000000000000000ll;

	return now += 1000;
}

static bool on_reply(void *arg, const struct volume_seg *segs, unsigned count)
{
	uint32_t *sum = arg;

	/* Every byte of the reply must be there to be read. */
	for (unsigned i = 0; i < count; i++) {
		const uint8_t *bytes = segs[i].data;

		for (size_t n = 0; n < segs[i].len; n++) {
			*sum += bytes[n];
		}
	}
	return *sum % 7 != 0;
}

static void load_image(void)
{
	const char *path = getenv("P9_FUZZ_IMAGE");
	FILE *file = path != NULL ? fopen(path, "rb") : NULL;

	if (file == NULL) {
		fprintf(stderr, "P9_FUZZ_IMAGE: no such image\n");
		exit(2);
	}
	fseek(file, 0, SEEK_END);
	image_size = (size_t)ftell(file);
	rewind(file);
	pristine = malloc(image_size);
	image = malloc(image_size);
	if (fread(pristine, 1, image_size, file) != image_size) {
		exit(2);
	}
	fclose(file);
}

/* Tversion and Tattach with fid 0, so that the input can begin with work. */
static const uint8_t hello[] = {
	21, 0, 0, 0, 100, 255, 255, 0, 0, 8, 0,
	8, 0, '9', 'P', '2', '0', '0', '0', '.', 'L',
	23, 0, 0, 0, 104, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255,
	0, 0, 0, 0, 0, 0, 0, 0,
};

static void feed(struct p9_session *session, const uint8_t *data, size_t size,
		 size_t piece)
{
	size_t used;

	while (size > 0) {
		size_t n = size < piece ? size : piece;

		if (p9_session_input(session, data, n, UINT64_MAX,
				     &used) != 0) {
			return;
		}
		data += used;
		size -= used;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct p9_session *session;
	struct p9_server *server;
	struct volume_dev *dev;
	struct volume *vol;
	uint32_t sum = 0;

	if (pristine == NULL) {
		load_image();
	}
	if (size < 1) {
		return 0;
	}
	memcpy(image, pristine, image_size);
	if (volume_mem_open(image, image_size, &dev) != 0 ||
	    volume_open(dev, &vol) != 0) {
		abort();
	}
	server = p9_server_new(vol);
	session = p9_session_new(server, on_reply, &sum);
	feed(session, hello, 21, 21);
	feed(session, hello + 21, sizeof(hello) - 21, 100);
	feed(session, data + 1, size - 1, data[0] == 0 ? size : data[0]);
	p9_session_free(session);
	p9_server_free(server);
	if (volume_close(vol) != 0) {
		abort();
	}
	dev->ops->close(dev);
	return 0;
}
