/* SPDX-License-Identifier: MIT */
/*
 * Channels over the lives of their ends: what a partition has written is gone
 * before it starts again, and no call takes long. Who reaches which, by which
 * number. With it: where the vCPUs of
 * several partitions are pinned, as this machine has three.
 */
#include <abi/channel.h>
#include "proto/channel_device.h"

#include "hv_fakes.h"

#define MIB		0x100000ull
#define MACHINE		(64 * MIB)
#define SECTION		(8 * MIB + PAGE_SIZE)
#define SMALL		(64 * 1024 + PAGE_SIZE)
#define PIECE		(64 * 1024)

static struct boot_info info;
static struct partition *host, *guest, *other;

static void free_pages(uint8_t who, hpa_t pa, uint64_t bytes)
{
	lock_take(&frame_lock);
	frame_free(who, pa, bytes);
	lock_drop(&frame_lock);
}

/* How much zeroing one hypercall may do is measured by what it leaves. */
static uint64_t nonzero(uint64_t pa, uint64_t bytes)
{
	const uint64_t *p = hpa_ptr(HPA(pa));
	uint64_t i, n = 0;

	for (i = 0; i < bytes / 8; i++) {
		n += p[i] != 0;
	}
	return n * 8;
}

/* Where p sees its own, or its peer's, section of the channel at gpa. */
static uint64_t section(struct partition *p, uint64_t gpa, uint32_t end,
			uint64_t size)
{
	struct gpm_entry e;

	lock_take(&p->lock);
	assert_true(gpm_lookup(p, GPA(gpa + CHANNEL_OUTPUT_OFFSET(end, size)),
			       &e));
	lock_drop(&p->lock);
	return e.pa.v;
}

/* The last message, and to whom. */
static struct partition *told;
static uint32_t told_data;

void vlapic_msi(uint64_t address, uint32_t data, struct vcpu *any)
{
	(void)address;
	told = any->partition;
	told_data = data;
}

static void partition(uint32_t i, const char *name, uint32_t vcpus)
{
	struct boot_partition *p = &info.partitions[i];

	strcpy(p->name, name);
	p->id = i;
	p->flags = i ? 0 : BOOT_PARTITION_HOST;
	p->vcpus = vcpus;
	p->mem_cap = 4 * MIB;
}

static int make_machine(void **state)
{
	(void)state;
	fakes_reset();
	cpu_count = 2;
	fake_memory_map(MACHINE);
	memset(hpa_ptr(HPA(0x100000)), 0xaa, MACHINE - 0x100000);
	info.mem_count = 1;
	info.mem[0] = (struct boot_mem){ 0x100000, MACHINE - 0x100000,
					 BOOT_MEM_FREE, 0 };
	info.partition_count = 3;
	partition(0, "host", 1);
	partition(1, "linux", 1);
	partition(2, "other", 2);
	info.channel_count = 4;
	info.channels[0] = (struct boot_channel){
		{ 0, 1 }, { 0xa0000000, 0xe4000000 }, SECTION };
	info.channels[1] = (struct boot_channel){
		{ 0, 1 }, { 0xa4000000, 0xe8000000 }, SMALL };
	info.channels[2] = (struct boot_channel){
		{ 1, 2 }, { 0xec000000, 0xe4000000 }, SMALL };
	info.channels[3] = (struct boot_channel){
		{ 2, 0 }, { 0xe8000000, 0xa8000000 }, SMALL };
	frame_init(&info);
	partition_create_all(&info);
	channel_create_all(&info);
	host = partitions[0];
	guest = partitions[1];
	other = partitions[2];
	assert_int_equal(partition_start(host, &(struct vcpu_start){ 0 }), 0);
	return 0;
}

/* What boot cannot do without is there, zeroed, or is missed by name. */
static void at_boot(void **state)
{
	uint64_t before = frame_owned(FRAME_HYPERVISOR);
	hpa_t page = frame_boot(FRAME_HYPERVISOR, PAGE_SIZE, "a page");
	hpa_t run = frame_boot(FRAME_HYPERVISOR, 3 * PAGE_SIZE, "a run");

	(void)state;
	assert_int_equal(nonzero(page.v, PAGE_SIZE), 0);
	assert_int_equal(nonzero(run.v, 3 * PAGE_SIZE), 0);
	assert_true(frame_is_owner(FRAME_HYPERVISOR, page));
	assert_true(frame_is_owner(FRAME_HYPERVISOR,
				   HPA(run.v + 2 * PAGE_SIZE)));
	assert_panics(frame_boot(FRAME_HYPERVISOR, MACHINE, "too much"));
	free_pages(FRAME_HYPERVISOR, page, PAGE_SIZE);
	free_pages(FRAME_HYPERVISOR, run, 3 * PAGE_SIZE);
	assert_int_equal(frame_owned(FRAME_HYPERVISOR), before);
}

/* Less than a unit takes no more than itself, of a unit that others use too, and
 * nothing that is somebody's. */
static void small_runs(void **state)
{
	static hpa_t page[MACHINE / PAGE_SIZE];
	uint64_t before = frame_owned(FRAME_FREE), n = 0, i;
	hpa_t run[8], a, b;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(run); i++) {
		run[i] = frame_alloc_run(FRAME_CHANNEL, 3 * PAGE_SIZE - 1);
		memset(hpa_ptr(run[i]), 0xdd, 3 * PAGE_SIZE);
		assert_int_equal(run[i].v, run[0].v + 3 * PAGE_SIZE * i);
	}
	assert_int_equal(frame_owned(FRAME_FREE), before - 24 * PAGE_SIZE);
	/* a whole one begins with one */
	a = frame_alloc_run(FRAME_CHANNEL, BIG_PAGE_SIZE);
	assert_int_equal(a.v & BIG_PAGE_MASK, 0);
	free_pages(FRAME_CHANNEL, a, BIG_PAGE_SIZE);
	/* a gap of two pages is too small for three, and zeroed for two */
	free_pages(FRAME_CHANNEL, run[2], 2 * PAGE_SIZE);
	a = frame_alloc_run(FRAME_CHANNEL, 3 * PAGE_SIZE);
	assert_int_equal(a.v, run[7].v + 3 * PAGE_SIZE);
	b = frame_alloc_run(FRAME_CHANNEL, 2 * PAGE_SIZE);
	assert_int_equal(b.v, run[2].v);
	assert_int_equal(nonzero(b.v, 2 * PAGE_SIZE), 0);
	free_pages(FRAME_CHANNEL, a, 3 * PAGE_SIZE);
	for (i = 0; i < ARRAY_SIZE(run); i++) {
		free_pages(FRAME_CHANNEL, run[i], 3 * PAGE_SIZE);
	}
	assert_int_equal(frame_owned(FRAME_FREE), before);
	/* single pages in between: no three in a row are left */
	while ((page[n] = frame_alloc(FRAME_CHANNEL, false)).v != FRAME_NULL) {
		n++;
	}
	for (i = 0; i < n; i++) {
		if (page[i].v / PAGE_SIZE % 3) {
			free_pages(FRAME_CHANNEL, page[i], PAGE_SIZE);
		}
	}
	assert_int_equal(frame_alloc_run(FRAME_CHANNEL, 3 * PAGE_SIZE).v,
			 FRAME_NULL);
	a = frame_alloc_run(FRAME_CHANNEL, 2 * PAGE_SIZE);
	assert_int_not_equal(a.v, FRAME_NULL);
	free_pages(FRAME_CHANNEL, a, 2 * PAGE_SIZE);
	for (i = 0; i < n; i++) {
		if (page[i].v / PAGE_SIZE % 3 == 0) {
			free_pages(FRAME_CHANNEL, page[i], PAGE_SIZE);
		}
	}
	assert_int_equal(frame_owned(FRAME_FREE), before);
}

/* Each guest's vCPUs go on where the last ones ended. */
static void pinning(void **state)
{
	(void)state;
	assert_ptr_equal(host->vcpus[0]->cpu, &fake_cpu[0]);
	assert_ptr_equal(guest->vcpus[0]->cpu, &fake_cpu[1]);
	assert_ptr_equal(other->vcpus[0]->cpu, &fake_cpu[0]);
	assert_ptr_equal(other->vcpus[1]->cpu, &fake_cpu[1]);
}

static void sections_are_cleared(void **state)
{
	uint64_t mine, small, hosts, epoch, left, before;
	hv_status_t st;

	(void)state;
	assert_int_equal(partition_start(guest, &(struct vcpu_start){ 0 }), 0);
	mine = section(guest, 0xe4000000, 1, SECTION);
	small = section(guest, 0xe8000000, 1, SMALL);
	hosts = section(host, 0xa0000000, 0, SECTION);
	assert_int_equal(section(host, 0xa0000000, 1, SECTION), mine);
	/* the region was made clear */
	assert_int_equal(nonzero(mine, SECTION), 0);
	assert_int_equal(nonzero(hosts, SECTION), 0);
	memset(hpa_ptr(HPA(mine)), 0x55, SECTION);
	memset(hpa_ptr(HPA(small)), 0x55, SMALL);
	memset(hpa_ptr(HPA(hosts)), 0x66, SECTION);
	epoch = guest->gpm_epoch;
	do {
		before = nonzero(mine, SECTION) + nonzero(small, SMALL);
		st = partition_stop(guest);
		left = nonzero(mine, SECTION) + nonzero(small, SMALL);
		assert_true(before - left <= PIECE);
	} while (st == HC_EAGAIN);
	assert_int_equal(st, HC_OK);
	assert_int_equal(left, 0);
	/* the other end's is its own matter */
	assert_int_equal(nonzero(hosts, SECTION), SECTION);
	/* no translation of this life reaches the next */
	assert_true(guest->gpm_epoch > epoch);
	assert_int_equal(partition_start(guest, &(struct vcpu_start){ 0 }), 0);
	assert_int_equal(nonzero(mine, SECTION) + nonzero(small, SMALL), 0);
	/* and once more: each stop begins at the beginning */
	memset(hpa_ptr(HPA(mine)), 0x55, SECTION);
	while ((st = partition_stop(guest)) == HC_EAGAIN) {
	}
	assert_int_equal(st, HC_OK);
	assert_int_equal(nonzero(mine, SECTION), 0);
}

/* Of an ended partition a vCPU may still be on its way here: it changes nothing
 * any more, or the word would be up when the next life begins. */
static void down_stays_down(void **state)
{
	static const uint32_t ends[] = { HC_STATE_CRASHED, HC_STATE_STOPPING,
					 HC_STATE_STOPPED };
	const uint32_t *word;
	struct gpm_entry e;
	uint32_t i;

	(void)state;
	assert_true(gpm_lookup(host, GPA(0xa0000000), &e));
	word = (uint32_t *)hpa_ptr(e.pa) + CHANNEL_ST_STATE(1);
	for (i = 0; i < ARRAY_SIZE(ends); i++) {
		guest->state = HC_STATE_RUNNING;
		assert_int_equal(channel_set_state(guest, 0,
						   CHANNEL_STATE_READY), 0);
		assert_int_equal(*word, CHANNEL_STATE_READY);
		guest->state = ends[i];
		channel_partition_down(guest);
		assert_int_equal(*word, CHANNEL_STATE_DOWN);
		host->events = 0;
		assert_int_equal(channel_set_state(guest, 0,
						   CHANNEL_STATE_READY),
				 HC_EBUSY);
		assert_int_equal(*word, CHANNEL_STATE_DOWN);
		assert_int_equal(host->events, 0);
	}
}

/* A vCPU's dword access to a register of its channel n. */
static bool io(struct partition *p, uint32_t n, uint32_t reg, bool in,
	       uint32_t value)
{
	struct vm_exit e = { .io = {
		.port = (uint16_t)(CHANNEL_GUEST_IO_PORT +
				   n * CHANNEL_IO_SIZE + reg),
		.size = 4, .in = in } };

	p->vcpus[0]->regs.rax = value;
	return channel_io(p->vcpus[0], &e);
}

/* Entry 1 of the MSI-X table of p's channel n, with this data. */
static void entry(struct partition *p, uint32_t n, uint32_t data, bool masked)
{
	struct gpm_entry e;
	uint32_t *table;

	lock_take(&p->lock);
	assert_true(gpm_lookup(p, GPA(CHANNEL_GUEST_MSIX_GPA + n * PAGE_SIZE),
			       &e));
	lock_drop(&p->lock);
	table = hpa_ptr(e.pa);
	table[6] = data;
	table[7] = masked;
}

/* Lets vector 1 of p's channel n through, with this data. */
static void unmask(struct partition *p, uint32_t n, uint32_t data)
{
	entry(p, n, data, false);
	assert_true(io(p, n, CHANNEL_IO_INT_CONTROL, false, 1));
}

/* The guest's next life. */
static void restart(void)
{
	hv_status_t st;

	while (guest->state != HC_STATE_STOPPED &&
	       (st = partition_stop(guest)) == HC_EAGAIN) {
	}
	assert_int_equal(partition_start(guest, &(struct vcpu_start){ 0 }), 0);
	told = NULL;
}

/* Each partition numbers its own channels, and finds no others: not by a
 * number, not by a port. What it rings is heard at the other end only, by that
 * one's number. */
static void own_numbers(void **state)
{
	struct guest_regs r;

	(void)state;
	if (guest->state != HC_STATE_RUNNING) {
		assert_int_equal(partition_start(guest,
				 &(struct vcpu_start){ 0 }), 0);
	}
	assert_int_equal(partition_start(other, &(struct vcpu_start){ 0 }), 0);
	unmask(guest, 2, 0x31);
	unmask(other, 0, 0x41);
	told = NULL;
	host->events = 0;
	/* between the guests: the host partition hears nothing */
	assert_int_equal(channel_doorbell(guest, 2), HC_OK);
	assert_ptr_equal(told, other);
	assert_int_equal(told_data, 0x41);
	assert_true(io(other, 0, CHANNEL_IO_DOORBELL, false, 0));
	assert_ptr_equal(told, guest);
	assert_int_equal(told_data, 0x31);
	assert_int_equal(host->events, 0);
	/* the host's third is the other's second */
	assert_true(io(other, 1, CHANNEL_IO_DOORBELL, false, 0));
	assert_int_equal(host->events, HC_EVENT_DOORBELL(2));
	assert_true(io(other, 1, CHANNEL_IO_ID, true, 7));
	assert_int_equal(other->vcpus[0]->regs.rax, 0);
	assert_int_equal(channel_query(host, 2, &r), HC_OK);
	assert_int_equal(r.rsi, 1);
	assert_int_equal(r.r8, 1);
	/* what is not its own is not there */
	assert_int_equal(channel_doorbell(other, 2), HC_ENOENT);
	assert_int_equal(channel_doorbell(guest, 3), HC_ENOENT);
	assert_int_equal(channel_doorbell(host, 3), HC_ENOENT);
	assert_int_equal(channel_set_state(other, 2, 1), HC_ENOENT);
	assert_int_equal(channel_query(other, 2, &r), HC_ENOENT);
	assert_int_equal(channel_doorbell(other, ~0ull), HC_ENOENT);
	assert_false(io(other, 2, CHANNEL_IO_DOORBELL, false, 0));
	/* its end changes nothing of the others */
	assert_int_equal(channel_query(host, 0, &r), HC_OK);
	channel_partition_down(other);
	assert_int_equal(channel_query(host, 2, &r), HC_OK);
	assert_int_equal(r.rdi, 2);
	host->events = 0;
	channel_partition_down(other);
	assert_int_equal(host->events, HC_EVENT_STATE(2));
}

/* What is rung while a driver takes no interrupts waits until it does. */
static void off_waits(void **state)
{
	(void)state;
	restart();
	entry(guest, 0, 0x31, false);
	assert_int_equal(channel_doorbell(host, 0), HC_OK);
	assert_null(told);
	assert_true(io(guest, 0, CHANNEL_IO_INT_CONTROL, false, 1));
	assert_ptr_equal(told, guest);
	assert_int_equal(told_data, 0x31);
	told = NULL;
	assert_true(io(guest, 0, CHANNEL_IO_INT_CONTROL, false, 1));
	assert_null(told);
}

/* So does what is rung while its vector is masked, as each is at a start: it is
 * looked at again and again, and told once. */
static void masked_waits(void **state)
{
	(void)state;
	restart();
	assert_true(io(guest, 0, CHANNEL_IO_INT_CONTROL, false, 1));
	assert_int_equal(channel_doorbell(host, 0), HC_OK);
	channel_poll();
	channel_poll();
	assert_null(told);
	entry(guest, 0, 0x32, false);
	channel_poll();
	assert_ptr_equal(told, guest);
	assert_int_equal(told_data, 0x32);
	told = NULL;
	channel_poll();
	assert_null(told);
}

/* Nothing of that reaches the next life. */
static void next_life(void **state)
{
	(void)state;
	restart();
	unmask(guest, 0, 0x33);
	entry(guest, 0, 0x33, true);
	assert_int_equal(channel_doorbell(host, 0), HC_OK);
	restart();
	assert_true(io(guest, 0, CHANNEL_IO_INT_CONTROL, true, 7));
	assert_int_equal(guest->vcpus[0]->regs.rax, 0);
	entry(guest, 0, 0x34, false);
	channel_poll();
	assert_true(io(guest, 0, CHANNEL_IO_INT_CONTROL, false, 1));
	assert_null(told);
}

/* The registers are dwords: another access is the manifest's matter. */
static void dwords_only(void **state)
{
	struct vm_exit e = { .io = { .port = CHANNEL_GUEST_IO_PORT } };

	(void)state;
	for (e.io.size = 1; e.io.size <= 4; e.io.size *= 2) {
		assert_int_equal(channel_io(guest->vcpus[0], &e),
				 e.io.size == 4);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(at_boot),
		cmocka_unit_test(small_runs),
		cmocka_unit_test(pinning),
		cmocka_unit_test(sections_are_cleared),
		cmocka_unit_test(own_numbers),
		cmocka_unit_test(down_stays_down),
		cmocka_unit_test(off_waits),
		cmocka_unit_test(masked_waits),
		cmocka_unit_test(next_life),
		cmocka_unit_test(dwords_only),
	};

	return cmocka_run_group_tests(tests, make_machine, NULL);
}
