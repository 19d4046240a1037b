// SPDX-License-Identifier: MIT
/*
 * libFuzzer target: "linux save" and "linux restore", with small pieces and units,
 * over a file that anybody may have made. The input is a list of steps: a template
 * is saved, its file changed, its checksums made right or not, and restored where
 * things are as they were or not; calls fail, and the file changes meanwhile. What
 * must hold: no access outside; memory goes where RAM is, whole pages, each once;
 * what becomes a template is what the checksums are of; what does not has nothing;
 * there is one sentence of printable text; and its devices take any access.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/rt/crc32c.h"
#include "host-bridge/ui/commands_fork.h"
#include "qemu-test/fuzz/save_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool good;			/* nobody has touched the file */

/* The checksum of a record and of memory, as docs/templates.md has it; *count: pages
 * of memory, of which that at address 0 is page first. */
static uint32_t sum(const struct linux_save *s, uint8_t own[][PAGE],
		    const struct pages *p, uint64_t first, uint64_t *count)
{
	const uint64_t none = UINT64_MAX;
	uint64_t number = first;
	uint32_t crc = ~0u;
	int i;

	for (unsigned n = 0; n < 2 * s->vcpus && n < OWN_MAX; n++) {
		crc = crc32c(crc32c(crc, &none, 8), own[n], PAGE);
	}
	*count = 0;
	while ((i = world_next_page(p, number)) >= 0) {
		uint64_t gpa = (p->number[i] - first) * PAGE;

		number = p->number[i] + 1;
		if (world_is_ram(gpa, s->ram)) {
			crc = crc32c(crc32c(crc, &gpa, 8), p->data[i], PAGE);
			++*count;
		}
	}
	return crc;
}

/* The checksum of a first page. */
static uint32_t first_sum(const uint8_t *page)
{
	uint8_t copy[PAGE];

	memcpy(copy, page, PAGE);
	memset(copy + offsetof(struct linux_save, crc), 0, 4);
	return crc32c(~0u, copy, PAGE);
}

/* ---- What the file is made into ---- */

/* Checksums that are right: of the first page, and of the data before. */
static void sign(bool data)
{
	static uint8_t own[OWN_MAX][PAGE];
	uint8_t *page = world_find(&w.file, 0, true);
	struct linux_save s;

	if (!page) {
		return;
	}
	memcpy(&s, page, sizeof(s));
	for (unsigned n = 0; data && n < 2 * s.vcpus && n < OWN_MAX; n++) {
		const uint8_t *there = world_find(&w.file, 1 + n, false);

		memset(own[n], 0, PAGE);
		if (there) {
			memcpy(own[n], there, PAGE);
		}
	}
	if (data) {
		s.data_crc = sum(&s, own, &w.file, 1 + 2 * (uint64_t)s.vcpus,
				 &s.pages);
	}
	memcpy(page, &s, sizeof(s));
	s.crc = first_sum(page);
	memcpy(page, &s, sizeof(s));
}

/* Numbers at which something ends. */
static uint64_t number(void)
{
	static const uint64_t edges[] = {
		0, 1, 2, 8, 9, PAGE, HZ, 1ull << 32, 1ull << 40, 1ull << 63,
		HOLE, UINT64_MAX, INT64_MAX, LONG_AGO * 1000000000,
	};
	unsigned kind = world_take();

	return kind & 1 ? world_take() :
	       edges[kind / 2 % 14] + (uint64_t)world_take() - 2;
}

/* Where memory is, or is not: the beginning, the ends of both ranges. */
static uint64_t any_gpa(void)
{
	static const uint64_t from[] = { 0, HOLE - 4 * PAGE, HIGH };
	unsigned kind = world_take();

	return from[kind % 3] + (uint64_t)(kind / 3 % 16) * PAGE;
}

static void change(void)
{
	const uint64_t memory_at = (1 + 2 * (uint64_t)w.vcpus) * PAGE;
	uint64_t value;
	uint8_t byte[BLOCK];

	good = false;
	switch (world_take() % 6) {
	case 0:		/* a field */
		value = number();
		world_put(world_take() % 58 * 4, &value, world_take() & 1 ? 4 : 8);
		break;
	case 1:		/* of the first page or the record */
		byte[0] = (uint8_t)world_take();
		world_put(world_take() * 64 + world_take() % 64, byte, 1);
		break;
	case 2:
		memset(byte, (int)world_take(), sizeof(byte));
		world_put(memory_at + any_gpa() + world_take() % 4 * BLOCK,
			  byte, BLOCK);
		break;
	case 3: {	/* a hole */
		uint8_t *page = world_find(&w.file, world_take() % 80, false);

		if (page) {
			w.file.there[(page - w.file.data[0]) / PAGE] = 0;
			memset(page, 0, PAGE);
		}
		break;
	}
	case 4:
		w.file_size = memory_at + any_gpa() - world_take() % 3 * 512;
		for (unsigned i = 0; i < w.file.count; i++) {
			if (w.file.number[i] >= w.file_size / PAGE) {
				memset(w.file.data[i], 0, PAGE);
				w.file.there[i] = 0;
			}
		}
		break;
	default:
		sign(world_take() & 1);
	}
}

/* ---- What is done ---- */

static void asked(void *arg, enum linux_request request)
{
}

static void said(void *arg, const char *reason)
{
}

/* A partition, and what there may be of it. */
static void begin(void)
{
	static const uint64_t rams[] = { PAGE, 2 * PAGE, 5 * PAGE, 16 * PAGE,
		HOLE - PAGE, HOLE, HOLE + PAGE, HOLE + 16 * PAGE };

	w.file.count = w.memory.count = w.given.count = 0;
	w.file_size = 0;
	w.calls = 0;
	w.named = w.held = w.restoring = w.begun = false;
	w.ram = rams[world_take() % 8];
	w.vcpus = 1 + world_take() % 8;
	w.vcpus = w.vcpus < 7 ? (w.vcpus + 1) / 2 : 8;
	w.start = world_take() * HZ;
	w.now = w.start + world_take() * HZ;
	w.zero_ns = world_take() * 10000000000000000ull;
	w.want = (struct config_guest){ .name = "a", .title = "Linux a", .id = 1,
				      .channel_count = world_take() % 5 };
	for (unsigned i = 0; i < w.want.channel_count; i++) {
		w.want.channels[i] = (struct config_channel){
			PAGE * (1 + world_take() % 2), world_take() & 1 };
	}
	w.guest.want = &w.want;
	w.guest.state = LINUX_FROZEN;
	linux_io_init(&w.guest.io, &w.want, asked, said, NULL);
	w.env = (struct command_env){ .volume = (struct volume *)&w.file,
				    .guest = &w.guest };
	for (unsigned i = 0; i < 2 * w.vcpus; i++) {
		memset(w.record[i], (int)(i + 1), PAGE);
	}
	for (unsigned n = world_take() % 16; n > 0; n--) {
		uint64_t gpa = any_gpa();

		if (world_is_ram(gpa, w.ram)) {
			memset(world_find(&w.memory, gpa / PAGE, true),
			       (int)world_take() & 3, PAGE);
		}
	}
}

/* A command has said one sentence, of its file or of the Linux, in one line. */
static void check_text(void)
{
	size_t len = strlen(w.text);

	MUST(len > 3 && w.text[len - 1] == '\n' && !w.held);
	for (size_t i = 0; i < len - 1; i++) {
		MUST(w.text[i] >= ' ' && w.text[i] <= '~');
	}
	MUST(!memcmp(w.text, "f: ", 3) || !memcmp(w.text, "Linux a ", 8) ||
	     !memcmp(w.text, "no Linux ", 9));
	w.text[0] = 0;
}

/* What has become a template is what the file said when it was opened. */
static void check_template(void)
{
	struct linux_save s;
	uint64_t count;
	uint8_t io[2][LINUX_SAVE_IO] = { { 0 } };

	memcpy(&s, w.opened, sizeof(s));
	MUST(s.crc == first_sum(w.opened));
	MUST(w.begun && !w.between && s.ram == w.ram && s.vcpus == w.vcpus &&
	     w.written_count == 2 * w.vcpus);
	MUST(sum(&s, w.written, &w.given, 0, &count) == s.data_crc &&
	     count == s.pages);
	w.accesses = world_take() % 8;
	w.on_ioreq(NULL);
	linux_io_save(&w.guest.io, io[0]);
	linux_io_restore(&w.guest.io, io[0]);
	linux_io_save(&w.guest.io, io[1]);
	MUST(memcmp(io[0], io[1], LINUX_SAVE_IO) == 0);
}

/* Which call is to fail; mostly none. */
static unsigned which_fails(void)
{
	unsigned n = world_take();

	return n < 64 ? n : ~0u;
}

static void save(void)
{
	w.calls = 0;
	w.fails = which_fails();
	commands_save(&w.env, "f");
	MUST(w.named || !strstr(w.text, "is saved in"));
	check_text();
	if (!w.named) {
		w.file.count = 0;
		w.file_size = 0;
	}
}

static void restore(void)
{
	w.guest.state = LINUX_STOPPED;
	w.restoring = true;
	w.named = true;
	w.written_count = w.calls = 0;
	w.given.count = 0;
	w.fails = which_fails();
	w.again = world_take() % 4;
	w.changes = world_take() % 3;
	w.now_ns = number();
	commands_restore(&w.env, "f", world_take() & 1 ? "a" : NULL);
	MUST((w.guest.state == LINUX_FROZEN) ==
	     (strstr(w.text, "is a template again") != NULL));
	MUST(w.guest.state == LINUX_FROZEN || !good || w.fails != ~0u ||
	     w.now_ns > w.zero_ns);
	check_text();
	if (w.guest.state == LINUX_FROZEN) {
		check_template();
		linux_stop(&w.guest);
	}
	MUST(w.given.count == 0 && !w.begun && !w.between);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	w.at = data;
	w.end = data + size;
	w.change = change;
	begin();
	save();
	good = w.named;
	for (unsigned n = world_take() % 8; n > 0; n--) {
		change();
	}
	if (world_take() % 8 == 7) {		/* it is to be another's */
		w.vcpus = 1 + world_take() % 8;
		good = false;
	}
	restore();
	restore();
	return 0;
}
