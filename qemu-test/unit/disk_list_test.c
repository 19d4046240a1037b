/* SPDX-License-Identifier: MIT */
/* Which disks there are, what they are called, and which of them, and of their
 * parts, the manifest's words open for writing. */
#include <stdio.h>

#include "disk_fixture.h"
#include "disk_gpt.h"
#include "host-bridge/blk/disks.c"

#define DISKS	3u
#define SECTORS	2048u

static struct {
	struct disk disk;
	uint8_t bytes[SECTORS * 512];
	uint64_t given;
	int begins;			/* what it answers */
} disks[DISKS];
static char said[4096];
static unsigned present;
static void (*on_blocks)(void *arg);
static bool blocks;

void notice(const char *fmt, ...)
{
	size_t len = strlen(said);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(said + len, sizeof(said) - len, fmt, ap);
	va_end(ap);
}

static bool no_device(void)
{
	return false;
}

void loop_step(uint64_t deadline)
{
	(void)deadline;
	fake_device = no_device;
	for (unsigned i = 0; i < present; i++) {
		if (disks[i].disk.dev.queue_end) {
			disk_interrupt(&disks[i].disk);
		}
	}
	/* What block.c has finished by itself is the loop's work to tell. */
	if (blocks) {
		blocks = false;
		on_blocks(NULL);
	}
	fake_run(&disks[0].disk, 1);
}

void loop_on_event(uint64_t event, void (*fn)(void *arg), void *arg)
{
	(void)arg;
	assert_int_equal(event, LOOP_EVENT_BLOCKS);
	on_blocks = fn;
}

void loop_again(uint64_t event)
{
	assert_int_equal(event, LOOP_EVENT_BLOCKS);
	blocks = true;
}

static int begin(struct disk *disk)
{
	unsigned i = disk == &disks[0].disk ? 0 :
		     disk == &disks[1].disk ? 1 : 2;

	disk->absent = disks[i].begins == ENODEV;
	disk->why = "a test";
	disk->dev.sector_size = 512;
	disk->dev.sectors = SECTORS;
	disk->dev.max_sectors = 64;
	disk->dev.max_segs = 4;
	disk->dev.depth = 4;
	strcpy(disk->dev.model, "model");
	return disks[i].begins;
}

static void give(struct disk *disk, unsigned tag)
{
	(void)disk;
	(void)tag;
}

static bool look(struct disk *disk)
{
	for (unsigned i = 0; i < DISKS; i++) {
		if (disk != &disks[i].disk) {
			continue;
		}
		for (unsigned tag = 0; tag < 4; tag++) {
			struct block_req *req = disk->cmds[tag].req;

			if (!(disk->given >> tag & 1)) {
				continue;
			}
			if (req->op == BLOCK_READ) {
				memcpy(req->segs->data, disks[i].bytes +
				       req->sector * 512, req->segs->len);
			}
			disk_end(disk, tag, 0);
		}
	}
	return true;
}

static bool stop(struct disk *disk, bool at_last)
{
	(void)disk;
	(void)at_last;
	return true;
}

void disks_probe(void)
{
	static const struct disk_ops ops = { begin, give, look, stop };

	for (unsigned i = 0; i < present; i++) {
		disk_init(&disks[i].disk, &ops);
		disks_add(&disks[i].disk, "fake", i);
	}
}

/* A table with one part, and the first copy only. */
static void table(uint8_t *bytes, const char *label, uint8_t id)
{
	uint8_t *h = bytes + 512, *e = bytes + 1024;

	put(bytes + 510, 0xaa55, 2);
	bytes[450] = 0xee;
	memcpy(h, "EFI PART\0\0\1\0\x5c\0\0\0", 16);
	put(h + 24, 1, 8);
	put(h + 32, SECTORS - 1, 8);
	put(h + 40, 40, 8);
	put(h + 48, SECTORS - 40, 8);
	put(h + 72, 2, 8);
	put(h + 80, 4, 4);
	put(h + 84, 128, 4);
	memset(e, 1, 16);
	for (unsigned i = 0; i < 16; i++) {
		e[16 + i] = (uint8_t)(id + i);
	}
	put(e + 32, 100, 8);
	put(e + 40, 199, 8);
	for (unsigned i = 0; label[i]; i++) {
		put(e + 56 + 2 * i, (uint8_t)label[i], 2);
	}
	put(h + 88, crc(e, 512), 4);
	put(h + 16, crc(h, 92), 4);
}

static void forget(void)
{
	while (first) {
		struct disks_disk *d = first;

		first = d->next;
		free(d);
	}
	end = &first;
}

static int setup(void **state)
{
	(void)state;
	memset(disks, 0, sizeof(disks));
	memset(said, 0, sizeof(said));
	blocks = false;
	present = DISKS;
	strcpy(disks[0].disk.dev.serial, "S0");
	strcpy(disks[1].disk.dev.serial, "S1");
	strcpy(disks[2].disk.dev.serial, "S1");
	table(disks[0].bytes, "alpha", 0x10);
	table(disks[1].bytes, "beta", 0x40);
	table(disks[2].bytes, "beta", 0x80);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	forget();
	fake_over();
	return 0;
}

static unsigned open_count(void)
{
	struct disks_disk *d;
	unsigned count = 0;

	for (unsigned i = 0; (d = disks_get(i)); i++) {
		count += d->disk->dev.writable;
		for (unsigned p = 0; p < d->table.count; p++) {
			count += d->parts[p].writable;
		}
	}
	return count;
}

static void nothing_is_named(void **state)
{
	(void)state;
	/* One without a serial number, its part without a label. */
	disks[2].disk.dev.serial[0] = 0;
	memset(disks[2].bytes, 0, sizeof(disks[2].bytes));
	table(disks[2].bytes, "", 0x80);
	disks_init(NULL);
	assert_int_equal(open_count(), 0);
	assert_non_null(disks_find("fake2"));
	assert_non_null(disks_find("fake2p1"));
	assert_null(disks_find("fake2p2"));
	assert_null(disks_find("fake3"));
	assert_null(disks_find(""));
	assert_null(disks_find("label:"));
	assert_null(disks_find("serial:"));
	assert_non_null(strstr(said, "disk fake0: model, serial S0, 1 MiB in "
			       "sectors of 512"));
	assert_non_null(strstr(said, "second copy"));
}

static void each_word(void **state)
{
	static const struct { const char *word, *name; } words[] = {
		{ "fake1", "fake1" }, { "serial:S0", "fake0" },
		{ "label:alpha", "fake0p1" }, { "fake2p1", "fake2p1" },
		{ "id:43424140-4544-4746-4849-4a4b4c4d4e4f", "fake1p1" },
	};

	for (unsigned i = 0; i < sizeof(words) / sizeof(*words); i++) {
		setup(state);
		disks_init(words[i].word);
		assert_int_equal(open_count(), 1);
		assert_true(disks_find(words[i].name)->writable);
		assert_ptr_equal(disks_find(words[i].word),
				 disks_find(words[i].name));
		forget();
	}
	setup(state);
	disks_init(" fake1  label:alpha ");
	assert_int_equal(open_count(), 2);
}

/* A foreign disk that says to be the one that is meant opens neither. */
static void several(void **state)
{
	(void)state;
	disks_init("serial:S1 label:beta");
	assert_int_equal(open_count(), 0);
	assert_null(disks_find("serial:S1"));
	assert_non_null(strstr(said, "\"serial:S1\", which several are"));
	assert_non_null(strstr(said, "\"label:beta\", which several are"));
}

static void not_there(void **state)
{
	(void)state;
	disks_init("fake7 FAKE0 fake fake0p alpha label:alph S0");
	assert_int_equal(open_count(), 0);
	assert_non_null(strstr(said, "\"fake7\", which is not there"));
	assert_non_null(strstr(said, "\"label:alph\", which is not there"));
}

/* Who has a disk has its parts, and who has a part keeps others from the disk, but
 * not from what lies beside it. */
static void one_user(void **state)
{
	struct block_dev *disk, *part, *other;

	(void)state;
	disks_init("");
	disk = disks_find("fake0");
	part = disks_find("fake0p1");
	other = disks_find("fake1");
	assert_null(disks_user(disk));
	assert_null(disks_claim(part, "me"));
	assert_string_equal(disks_claim(part, "you"), "me");
	assert_string_equal(disks_claim(disk, "you"), "me");
	assert_string_equal(disks_user(disk), "me");
	assert_null(disk->user);
	assert_null(disks_claim(other, "you"));
	assert_string_equal(disks_user(disks_find("fake1p1")), "you");
	assert_string_equal(disks_user(part), "me");
}

/* One that is of no use is named, and one that is not there is not. */
static void the_rest_goes_on(void **state)
{
	(void)state;
	disks[0].begins = ENODEV;
	disks[1].begins = EIO;
	disks_init("fake2");
	assert_int_equal(open_count(), 1);
	assert_null(strstr(said, "fake0"));
	assert_non_null(strstr(said, "disk fake1 is of no use: a test"));
	assert_ptr_equal(disks_get(0)->disk, &disks[2].disk);
	assert_null(disks_get(1));
}

/* One that never says is not waited for. */
static void too_slow(void **state)
{
	(void)state;
	disks[1].begins = EAGAIN;
	disks_init("fake1 fake0");
	assert_int_equal(open_count(), 1);
	assert_non_null(strstr(said, "fake1 is of no use: it takes too long"));
}

static void no_disks(void **state)
{
	(void)state;
	present = 0;
	disks_init("fake0");
	assert_null(disks_get(0));
}

/* A device's words: as many as there is room for, and an end. */
static void words_end(void **state)
{
	char to[8];

	(void)state;
	memset(to, 'x', sizeof(to));
	disk_text(to, 4, "  ab\x01" "defg", 9);
	assert_memory_equal(to, "ab?\0xxxx", 8);
	disk_text(to, sizeof(to), "ab   \0", 6);
	assert_string_equal(to, "ab");
	disk_text(to, sizeof(to), "    ", 4);
	assert_string_equal(to, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_named), TEST(each_word), TEST(several),
		TEST(not_there), TEST(the_rest_goes_on), TEST(too_slow),
		TEST(no_disks), TEST(words_end), TEST(one_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
