/* SPDX-License-Identifier: MIT */
/*
 * How long locks are held, and hypercalls last, in instructions: the code is
 * compiled as the hypervisor's, and the processor's single step counts what it
 * does; a string instruction is one for each 8 bytes, as on Bochs. Each case is
 * the longest way that is known, with all partitions and channels that there can
 * be, fragmented memory, and no table ready.
 */
#include <stdio.h>

#include "hv_steps.h"

#define MIB		0x100000ull
#define MACHINE		(512 * MIB)
#define RAM		0x40000000ull		/* guest-physical, of each */
#define RAM_SIZE	(320 * MIB)
#define UNIT(n)		(RAM + (n) * BIG_PAGE_SIZE)
#define SECTION		(BIG_PAGE_SIZE + PAGE_SIZE)

static struct boot_info info;
static struct partition *host, *guest;

void vlapic_msi(uint64_t address, uint32_t data, struct vcpu *any)
{
	(void)address;
	(void)data;
	(void)any;
}

/* --- the machine ---------------------------------------------------------- */

static int make(void **state)
{
	uint32_t i;

	(void)state;
	steps_start();
	fakes_reset();
	fake_memory_map(MACHINE);
	info.mem_count = 1;
	info.mem[0] = (struct boot_mem){ 0, MACHINE, BOOT_MEM_FREE, 0 };
	info.partition_count = BOOT_MAX_PARTITIONS;
	for (i = 0; i < BOOT_MAX_PARTITIONS; i++) {
		struct boot_partition *p = &info.partitions[i];

		p->name[0] = (char)('a' + i);
		p->id = i;
		p->flags = i ? 0 : BOOT_PARTITION_HOST;
		p->vcpus = i ? PARTITION_MAX_VCPUS : 1;
		p->mem_cap = RAM_SIZE;
		p->demand_count = 1;
		p->demand[0] = (struct boot_demand){ RAM, RAM_SIZE };
	}
	info.channel_count = BOOT_MAX_CHANNELS;
	for (i = 0; i < BOOT_MAX_CHANNELS; i++) {
		info.channels[i] = (struct boot_channel){
			{ 0, 1 }, { 0xa0000000 + i * 8 * MIB,
				    0xc0000000 + i * 8 * MIB },
			i ? 64 * 1024 + PAGE_SIZE : SECTION };
	}
	frame_init(&info);
	partition_create_all(&info);
	channel_create_all(&info);
	host = partitions[0];
	guest = partitions[1];
	assert_int_equal(partition_start(host, &(struct vcpu_start){ 0 }), 0);
	return 0;
}

/* A touch, as exit_fault() has it. */
static void touch(struct partition *p, uint64_t gpa)
{
	enum hc_reason why;
	struct gpm_entry e;

	lock_take(&p->lock);
	assert_true(partition_populate(p->vcpus[0], GPA(gpa), true, &why));
	assert_true(gpm_lookup(p, GPA(gpa), &e));
	assert_int_equal(gpm_execute(p, GPA(gpa)), HC_OK);
	lock_drop(&p->lock);
}

static void zero_ahead(void)
{
	uint32_t i;

	for (i = 0; i < BIG_PAGE_PAGES; i++) {
		(void)frame_zero_one();
	}
}

/* Units with one free page each, the last. */
static uint32_t fragment(hpa_t *page)
{
	uint64_t n = 0, i, kept = 0;

	while ((page[n] = frame_alloc(FRAME_CHANNEL, false)).v != FRAME_NULL) {
		n++;
	}
	for (i = 0; i < n; i++) {
		if (page[i].v / PAGE_SIZE % 512 == 511) {
			lock_take(&frame_lock);
			frame_free(FRAME_CHANNEL, page[i], PAGE_SIZE);
			lock_drop(&frame_lock);
		} else {
			page[kept++] = page[i];
		}
	}
	return (uint32_t)kept;
}

static void give_back(const hpa_t *page, uint32_t n)
{
	while (n) {
		lock_take(&frame_lock);
		frame_free(FRAME_CHANNEL, page[--n], PAGE_SIZE);
		lock_drop(&frame_lock);
	}
}

static void touches(void **state)
{
	static hpa_t page[MACHINE / PAGE_SIZE];
	uint32_t n;

	(void)state;
	WATCH("a dirty unit, all tables new", touch(guest, UNIT(0)));
	WATCH("16 pages of it", touch(guest, UNIT(0) + 0x10000));
	zero_ahead();
	WATCH("a zeroed unit", touch(guest, UNIT(1)));
	zero_ahead();
	fake_format.split_exec = true;
	WATCH("a zeroed unit, executed", touch(guest, UNIT(2)));
	fake_format.split_exec = false;
	n = fragment(page);
	WATCH("one page, fragmented, a new table", touch(guest, UNIT(3)));
	WATCH("one page, fragmented", touch(guest, UNIT(3) + PAGE_SIZE));
	give_back(page, n);
	WATCH("a page zeroed ahead", assert_true(frame_zero_one()));
	WATCH("what is sure", assert_true(promise_sure(guest)));
}

static hv_status_t release_some(struct partition *p, uint64_t first,
				uint64_t units)
{
	const uint64_t block[HC_RELEASE_BLOCKS] = {
		first + units, first + units * BIG_PAGE_SIZE + units,
		first + 2 * units * BIG_PAGE_SIZE + units,
		first + 3 * units * BIG_PAGE_SIZE + units,
		first + 4 * units * BIG_PAGE_SIZE + units,
	};
	hv_status_t st;

	lock_take(&p->lock);
	st = release_memory(p->vcpus[0], block);
	lock_drop(&p->lock);
	return st;
}

static void release_all(struct partition *p, uint64_t first, uint64_t units)
{
	hv_status_t st;

	while ((st = release_some(p, first, units)) == HC_EAGAIN) {
	}
	assert_int_equal(st, HC_OK);
}

static void releases(void **state)
{
	static hpa_t page[MACHINE / PAGE_SIZE];
	uint64_t i;
	uint32_t n;

	(void)state;
	guest->vcpus[0]->running = 1;
	for (i = 0; i < 80; i++) {
		touch(guest, UNIT(i));
	}
	WATCH("160 MiB of tables, revoked", release_some(guest, UNIT(0), 16));
	WATCH("a part of them, given back", release_some(guest, UNIT(0), 16));
	release_all(guest, UNIT(0), 16);
	for (i = 0; i < 20; i++) {
		zero_ahead();
		touch(guest, UNIT(i));
	}
	WATCH("40 MiB of large pages", release_some(guest, UNIT(0), 4));
	release_all(guest, UNIT(0), 4);
	n = fragment(page);
	for (i = 0; i < 100; i++) {
		touch(guest, UNIT(0) + i * PAGE_SIZE);
	}
	WATCH("scattered pages", release_some(guest, UNIT(0), 1));
	release_all(guest, UNIT(0), 1);
	give_back(page, n);
}

static uint64_t teardown(struct partition *p, uint64_t gpa)
{
	lock_take(&p->lock);
	gpa = gpm_teardown(p, gpa, BIT64(48));
	lock_drop(&p->lock);
	return gpa;
}

/* A child has all of its template's small pages, in tables of its own. */
static void children(void **state)
{
	struct partition *child = partitions[2];
	uint64_t i;

	(void)state;
	for (i = 0; i < 30 * BIG_PAGE_PAGES; i++) {
		touch(guest, UNIT(100) + i * PAGE_SIZE);
	}
	child->template = guest;
	WATCH("a table of a template's, and a copy", touch(child, UNIT(100)));
	for (i = 1; i < 30; i++) {
		touch(child, UNIT(100 + i));
	}
	WATCH("such tables, revoked", release_some(child, UNIT(100), 3));
	WATCH("some of them, given back", release_some(child, UNIT(100), 3));
	release_all(child, UNIT(100), 3);
	WATCH("others, at a child's end", i = teardown(child, 0));
	while (i != ~0ull) {
		i = teardown(child, i);
	}
	child->template = NULL;
}

static void lives(void **state)
{
	uint64_t i, most = 0;
	hv_status_t st;

	(void)state;
	guest->vcpus[0]->running = 0;
	WATCH("a start with 32 channels", assert_int_equal(
		partition_start(guest, &(struct vcpu_start){ 0 }), HC_OK));
	WATCH("a channel's word", assert_int_equal(
		channel_set_state(guest, 0, 1), HC_OK));
	WATCH("an end", partition_kill(guest->vcpus[0],
				       HC_REASON_GPM_FAULT, 1));
	touch(guest, RAM);
	/* no lock, but CPU 0 does nothing else meanwhile */
	for (i = 0; (st = partition_stop(guest)) == HC_EAGAIN; i++) {
		if (i % 16 < 2) {
			most = u64_max(most, WHOLE("a call of a stop",
				st = partition_stop(guest)));
		}
	}
	assert_int_equal(st, HC_OK);
	assert_in_range(most, 1000, HOLD_MOST);
	for (i = 0; i < BIG_PAGE_SIZE; i += PAGE_SIZE) {
		touch(host, RAM + i);
	}
	WATCH("a donation of 511 pages", assert_int_equal(
		donate_memory(host, GPA(RAM), guest, GPA(RAM), 511), HC_OK));
	for (i = 0; i < BIG_PAGE_SIZE; i += PAGE_SIZE) {
		touch(host, UNIT(1) + i);
	}
	WATCH("one of 512 in one piece", assert_int_equal(
		donate_memory(host, GPA(UNIT(1)), guest, GPA(UNIT(1)), 512),
		HC_OK));
}

int main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(touches),
		cmocka_unit_test(releases),
		cmocka_unit_test(children),
		cmocka_unit_test(lives),
	};

	return cmocka_run_group_tests(tests, make, NULL);
}
