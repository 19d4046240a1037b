/* SPDX-License-Identifier: MIT */
/* The machine behind hv_memory.h. */
#include "hv_memory.h"

struct partition *host, *linux_p;
uint32_t more_linux, host_restarts;
uint64_t section_size = 0x11000;

/* A machine with a hole, firmware beyond all RAM, and two partitions. */
static void describe_machine(void)
{
	static const struct boot_mem mem[] = {
		{ 0, 0x9f000, BOOT_MEM_FREE, 0 },
		{ 0x9f000, 0x1000, BOOT_MEM_HYPERVISOR, 0 },
		{ 0xa0000, 0x60000, BOOT_MEM_FIRMWARE, 0 },
		{ 0x100000, 0x100000, BOOT_MEM_FREE, 0 },
		{ HOST_REGION, 0x10000, BOOT_MEM_PARTITION, 0 },
		{ 0x210000, MACHINE - 0x210000 - 2 * MIB, BOOT_MEM_FREE, 0 },
		{ MACHINE - MIB, MIB, BOOT_MEM_FREE, 0 },
		/* far beyond RAM: flash */
		{ 0xffc00000, 0x400000, BOOT_MEM_FIRMWARE, 0 },
	};
	struct boot_partition *h = &boot.partitions[0];
	struct boot_partition *l = &boot.partitions[1];

	memcpy(boot.mem, mem, sizeof(mem));
	boot.mem_count = ARRAY_SIZE(mem);
	boot.partition_count = 2;
	strcpy(h->name, "host");
	h->flags = BOOT_PARTITION_HOST;
	h->vcpus = 1;
	h->restarts = host_restarts;
	h->mem_cap = MACHINE * 5 / 8;
	h->region_count = 1;
	h->regions[0] = (struct boot_region){ 0x10000, HOST_REGION, 0x10000,
					      BOOT_MAP_WRITE, 0 };
	h->mmio_count = 1;
	h->mmio[0] = (struct boot_region){ 0xb0000000, 0xfd000000, 0x2000,
					   BOOT_MAP_WRITE, 0 };
	h->demand_count = 1;
	h->demand[0] = (struct boot_demand){ 0, HOST_RAM };
	strcpy(l->name, "linux");
	l->id = 1;
	l->vcpus = 2;
	l->mem_cap = LINUX_CAP;
	l->demand_count = 2;
	l->demand[0] = (struct boot_demand){ 0, 0x9f000 };
	l->demand[1] = (struct boot_demand){ LINUX_RAM, LINUX_RAM_SIZE };
	for (; boot.partition_count < 2 + more_linux; boot.partition_count++) {
		boot.partitions[boot.partition_count] = *l;
		boot.partitions[boot.partition_count].id = boot.partition_count;
	}
	for (; more_linux && boot.channel_count <= more_linux;
	     boot.channel_count++) {
		boot.channels[boot.channel_count] = (struct boot_channel){
			{ 0, 1 + boot.channel_count },
			{ 0xa0000000 + boot.channel_count * 0x4000000,
			  0xe4000000 }, section_size };
	}
}

/* The machine is made once: its sources keep state of their own. Each test
 * leaves it as it found it. */
int make_machine(void **state)
{
	(void)state;
	fakes_reset();
	fake_memory_map(MACHINE);
	describe_machine();
	/* what was in memory before is nobody's to see */
	memset(hpa_ptr(HPA(0x211000)), 0xaa, MACHINE - 0x211000);
	/* what the loader has put there, in each page something else */
	for (uint8_t i = 0; i < 0x10000 / PAGE_SIZE; i++) {
		memset(hpa_ptr(HPA(HOST_REGION + i * PAGE_SIZE)), 0x5a + i,
		       PAGE_SIZE);
	}
	frame_init(&boot);
	partition_create_all(&boot);
	channel_create_all(&boot);
	host = partitions[0];
	linux_p = partitions[1];
	return partition_start(host, &(struct vcpu_start){ 0 });
}

uint64_t owned(uint32_t who)
{
	return frame_owned((uint8_t)who) / PAGE_SIZE;
}

uint32_t owner_of(uint64_t pa)
{
	uint32_t who, found = ~0u;

	for (who = FRAME_NONE; who < FRAME_PARTITION0 + 4; who++) {
		if (frame_is_owner((uint8_t)who, HPA(pa))) {
			assert_int_equal(found, ~0u);	/* exactly one */
			found = who;
		}
	}
	return found;
}

bool all_zero(uint64_t pa, uint64_t bytes)
{
	const uint64_t *p = hpa_ptr(HPA(pa));
	uint64_t i;

	for (i = 0; i < bytes / 8; i++) {
		if (p[i]) {
			return false;
		}
	}
	return true;
}

/*
 * The accounts against the tables: each page has one owner; what a partition
 * is charged is what it owns; each RAM page mapped or reserved in a map
 * belongs to that partition, and no page is in two places; but what a child
 * shares is its template's, at the same address, and not to be written.
 */
void check_accounts(void)
{
	static uint8_t mapped[PAGES];
	uint64_t count[FRAME_PARTITION0 + 4] = { 0 }, pa, gpa, ram, splits;
	struct gpm_entry e, t;
	uint32_t i, who;

	for (pa = 0; pa < MACHINE; pa += PAGE_SIZE) {
		who = owner_of(pa);
		assert_int_not_equal(who, ~0u);
		count[who]++;
	}
	for (who = FRAME_FREE; who < FRAME_PARTITION0 + 4; who++) {
		assert_int_equal(count[who], owned(who));
	}
	memset(mapped, 0, sizeof(mapped));
	for (i = 0; i < partition_count; i++) {
		struct partition *p = partitions[i];

		assert_int_equal(promise_owned(p), owned(FRAME_PARTITION0 + i));
		ram = splits = 0;
		for (gpa = 0; gpa < 0x100000000; gpa += PAGE_SIZE) {
			if (gpm_range_empty(p, GPA(gpa)) &&
			    !(gpa & BIG_PAGE_MASK)) {
				gpa += BIG_PAGE_SIZE - PAGE_SIZE;
				continue;
			}
			if (!gpm_lookup(p, GPA(gpa), &e) || e.pa.v >= MACHINE) {
				continue;
			}
			if (owner_of(e.pa.v) == FRAME_CHANNEL) {
				continue;
			}
			if (e.shared) {
				assert_true(gpm_lookup(p->template, GPA(gpa),
						       &t));
				assert_int_equal(e.pa.v, t.pa.v);
				assert_false(e.write);
				continue;
			}
			assert_int_equal(owner_of(e.pa.v),
					 FRAME_PARTITION0 + i);
			assert_int_equal(mapped[e.pa.v / PAGE_SIZE]++, 0);
			ram++;
			/* a large page that is to be split, gpm.c's bit */
			splits += (e.raw & BIT64(53)) && !(gpa & BIG_PAGE_MASK);
		}
		assert_int_equal(splits, p->pages_splits);
		/* the rest is tables; they do not count against the cap */
		assert_int_equal(ram + p->pages_tables, promise_owned(p));
		assert_true(ram <= p->pages_cap);
	}
}

hpa_t alloc_big(uint8_t who, bool *zeroed)
{
	hpa_t pa;

	lock_take(&frame_lock);
	pa = frame_take_big(who, zeroed);
	lock_drop(&frame_lock);
	return pa;
}

void free_pages(uint8_t who, hpa_t pa, uint64_t bytes)
{
	lock_take(&frame_lock);
	frame_free(who, pa, bytes);
	lock_drop(&frame_lock);
}

bool populate(struct partition *p, uint64_t gpa)
{
	enum hc_reason why;
	struct gpm_entry e;

	if (!partition_populate(p, GPA(gpa), &why)) {
		return false;
	}
	assert_true(gpm_lookup(p, GPA(gpa), &e));
	assert_true(e.present && e.write && e.exec);
	return true;
}

/* Everything back from Linux; what stays is its root and upper tables. */
uint64_t stop_linux(void)
{
	hv_status_t st;
	uint32_t calls = 0;

	do {
		st = partition_stop(linux_p);
		assert_true(++calls < 1000);
	} while (st == HC_EAGAIN);
	assert_int_equal(st, HC_OK);
	assert_int_equal(linux_p->state, HC_STATE_STOPPED);
	check_accounts();
	return promise_owned(linux_p);
}
