/* SPDX-License-Identifier: MIT */
/*
 * The largest machine: 1 TiB in one piece, 64 CPUs, all partitions and channels.
 * No table, pool or number of bits is in its way.
 */
#include "hv_fakes.h"

#define MIB		0x100000ull
#define GIB		(1024 * MIB)
#define MACHINE		(1024 * GIB)
#define RAM		0x100000000ull	/* guest-physical, of each */
#define RAM_SIZE	(60 * GIB)

static struct boot_info info;
static struct percpu cpu[BOOT_MAX_CPUS];

void vlapic_msi(uint64_t address, uint32_t data, struct vcpu *any)
{
	(void)address;
	(void)data;
	(void)any;
}

/* The scheduler's own: its queue is full when all are on one CPU. */
void sched_add(struct vcpu *v)
{
	assert_true(v->cpu->vcpu_count < PERCPU_QUEUE);
	v->cpu->vcpus[v->cpu->vcpu_count++] = v;
}

static int make(void **state)
{
	uint32_t i;

	(void)state;
	fakes_reset();
	fake_memory_map(MACHINE);
	cpu_count = BOOT_MAX_CPUS;
	for (i = 0; i < BOOT_MAX_CPUS; i++) {
		cpu[i].index = i;
		cpus[i] = &cpu[i];
	}
	info.mem_count = 2;
	info.mem[0] = (struct boot_mem){ 0, 3 * GIB, BOOT_MEM_FREE, 0 };
	info.mem[1] = (struct boot_mem){ 4 * GIB, MACHINE - 4 * GIB,
					 BOOT_MEM_FREE, 0 };
	info.partition_count = BOOT_MAX_PARTITIONS;
	for (i = 0; i < BOOT_MAX_PARTITIONS; i++) {
		struct boot_partition *p = &info.partitions[i];

		p->id = i;
		p->flags = i ? 0 : BOOT_PARTITION_HOST;
		p->vcpus = i ? PARTITION_MAX_VCPUS : 1;
		p->mem_cap = RAM_SIZE;
		p->mem_min = 48 * GIB;
		p->demand_count = 1;
		p->demand[0] = (struct boot_demand){ RAM, RAM_SIZE };
	}
	info.channel_count = BOOT_MAX_CHANNELS;
	for (i = 0; i < BOOT_MAX_CHANNELS; i++) {
		info.channels[i] = (struct boot_channel){
			{ i % BOOT_MAX_PARTITIONS,
			  (i + 1) % BOOT_MAX_PARTITIONS },
			{ 0xa0000000 + i * 32 * MIB, 0xa0000000 + i * 32 * MIB },
			MIB + PAGE_SIZE };
	}
	frame_init(&info);
	partition_create_all(&info);
	channel_create_all(&info);
	return 0;
}

static void all_of_it(void **state)
{
	uint64_t sum = 0, who;

	(void)state;
	for (who = FRAME_FREE; who < FRAME_PARTITION0 + BOOT_MAX_PARTITIONS;
	     who++) {
		sum += frame_owned((uint8_t)who);
	}
	assert_int_equal(sum, MACHINE - GIB);
	/* what is for knowing whose each page is: a 4,000th */
	assert_in_range(frame_owned(FRAME_HYPERVISOR), 256 * MIB, 272 * MIB);
	assert_true(frame_is_owner(FRAME_FREE, HPA(MACHINE - PAGE_SIZE)));
	assert_false(frame_is_owner(FRAME_FREE, HPA(3 * GIB)));
	assert_false(frame_is_owner(FRAME_FREE, HPA(MACHINE)));
}

/* 121 vCPUs: the host partition's alone on its CPU but for one. */
static void spread(void **state)
{
	uint32_t i, all = 0;

	(void)state;
	for (i = 0; i < BOOT_MAX_CPUS; i++) {
		assert_in_range(cpu[i].vcpu_count, 2, 3);
		all += cpu[i].vcpu_count;
	}
	assert_int_equal(all, (BOOT_MAX_PARTITIONS - 1) * PARTITION_MAX_VCPUS + 1);
	assert_ptr_equal(partition_host()->vcpus[0]->cpu, &cpu[0]);
}

/* Each has its minimum for sure, the host what all others leave. */
static void promised(void **state)
{
	uint32_t i;

	(void)state;
	for (i = 0; i < BOOT_MAX_PARTITIONS; i++) {
		assert_in_range(promise_sure(partitions[i]) * PAGE_SIZE,
				48 * GIB, RAM_SIZE);
	}
}

/* All pages but the last few are taken, by units, to the last address. */
static void taken(void **state)
{
	bool zeroed;
	hpa_t pa, last = HPA(0);
	uint64_t n = 0, before = frame_owned(FRAME_FREE);

	(void)state;
	lock_take(&frame_lock);
	while ((pa = frame_take_big(FRAME_CHANNEL, &zeroed)).v != FRAME_NULL) {
		last = pa;
		n++;
	}
	assert_int_equal(last.v, MACHINE - BIG_PAGE_SIZE);
	assert_true(frame_owned(FRAME_FREE) < 128 * MIB);
	frame_free(FRAME_CHANNEL, HPA(4 * GIB), MACHINE - 4 * GIB);
	lock_drop(&frame_lock);
	assert_true(n > 523000);
	assert_in_range(before - frame_owned(FRAME_FREE), 1, 3 * GIB);
}

/* The largest partition there can be here, touched at both its ends. */
static void touched(void **state)
{
	static const uint64_t at[] = { RAM, RAM + RAM_SIZE - PAGE_SIZE };
	struct partition *p = partitions[BOOT_MAX_PARTITIONS - 1];
	enum hc_reason why;
	uint32_t i;

	(void)state;
	lock_take(&p->lock);
	for (i = 0; i < ARRAY_SIZE(at); i++) {
		assert_true(partition_populate(p->vcpus[0], GPA(at[i]), true, &why));
	}
	assert_false(partition_populate(p->vcpus[0], GPA(RAM + RAM_SIZE), true, &why));
	lock_drop(&p->lock);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_it),
		cmocka_unit_test(spread),
		cmocka_unit_test(promised),
		cmocka_unit_test(touched),
		cmocka_unit_test(taken),
	};

	return cmocka_run_group_tests(tests, make, NULL);
}
