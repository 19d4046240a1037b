/* SPDX-License-Identifier: MIT */
/*
 * Several CPUs at once, each a thread, with the locks as they are: partitions that
 * touch memory, give it back, end and are started again, under what memory there
 * is for all, and an idle CPU that zeroes. Who has what adds up at every moment;
 * nobody is refused what he is promised; locks are taken in their order, and held
 * where the code says so. Built with ThreadSanitizer, which finds what is changed
 * without one; and what a vCPU writes through a pointer into a page that another
 * one of its partition gives back meanwhile, if that is somebody's too early.
 */
#include <asm/prctl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hv_fakes.h"

#define MIB		0x100000ull
#define MACHINE		(25 * MIB)
#define RAM		0x40000000ull
#define RAM_SIZE	(32 * MIB)
#define GUESTS		3u
#define VCPUS		(GUESTS + 1)	/* the first has two */
#define PACE		20u		/* touches of the guests' for a call */
#define MIN		(5 * MIB)

static struct boot_info info;
static struct partition *host, *guest[GUESTS];
static struct percpu cpu[VCPUS + 2];
static uint32_t over;
static uint64_t did[5];		/* touches, refusals, releases, lives, waits */

void __real_lock_take(struct lock *l);
bool __real_lock_try(struct lock *l);
void __real_lock_drop(struct lock *l);
void __wrap_lock_take(struct lock *l);
bool __wrap_lock_try(struct lock *l);
void __wrap_lock_drop(struct lock *l);

void __wrap_lock_take(struct lock *l)
{
	fake_lock_takes(l);
	__real_lock_take(l);
}

bool __wrap_lock_try(struct lock *l)
{
	bool got = __real_lock_try(l);

	if (got) {
		fake_lock_takes(l);
	}
	return got;
}

void __wrap_lock_drop(struct lock *l)
{
	__real_lock_drop(l);
	fake_lock_drops(l);
}

void vlapic_msi(uint64_t address, uint32_t data, struct vcpu *any)
{
	(void)address;
	(void)data;
	(void)any;
}

void vcpu_wake(struct vcpu *v, enum vcpu_state from, uint32_t attention)
{
	(void)v;
	(void)from;
	(void)attention;
}

void sched_kick(struct vcpu *v)
{
	(void)v;
}

void sched_interrupt(const struct vcpu *v)
{
	(void)v;
}

void vcpu_dump(struct vcpu *v)
{
	(void)v;
}

/* Other CPUs need the processor more, which they may share. */
void cpu_pause(void)
{
	sched_yield();
}

static void count(uint32_t what)
{
	__atomic_fetch_add(&did[what], 1, __ATOMIC_RELAXED);
}

static int make(void **state)
{
	uint32_t i;

	(void)state;
	fakes_reset();
	fake_memory_map(MACHINE);
	fake_format.split_exec = true;
	for (i = 0; i < ARRAY_SIZE(cpu); i++) {
		cpu[i].self = &cpu[i];
		cpu[i].index = i;
		cpus[i] = &cpu[i];
	}
	cpu_count = ARRAY_SIZE(cpu);
	syscall(SYS_arch_prctl, ARCH_SET_GS, &cpu[0]);
	info.mem_count = 1;
	info.mem[0] = (struct boot_mem){ 0, MACHINE, BOOT_MEM_FREE, 0 };
	info.partition_count = GUESTS + 1;
	info.channel_count = GUESTS;
	for (i = 0; i <= GUESTS; i++) {
		struct boot_partition *p = &info.partitions[i];

		p->id = i;
		p->flags = i ? 0 : BOOT_PARTITION_HOST;
		p->vcpus = i == 1 ? 2 : 1;
		p->mem_cap = RAM_SIZE;
		p->mem_min = MIN;
		p->demand_count = 1;
		p->demand[0] = (struct boot_demand){ RAM, RAM_SIZE };
		if (i) {
			info.channels[i - 1] = (struct boot_channel){
				{ 0, i }, { 0xa0000000 + i * MIB, 0xe4000000 },
				16 * 1024 + PAGE_SIZE };
		}
	}
	frame_init(&info);
	partition_create_all(&info);
	channel_create_all(&info);
	host = partitions[0];
	for (i = 0; i < GUESTS; i++) {
		guest[i] = partitions[i + 1];
	}
	return partition_start(host, &(struct vcpu_start){ 0 });
}

/* What all have and are promised, of one moment. */
static void check(void)
{
	uint64_t sum = 0, kept = 0, i;

	lock_take(&frame_lock);
	for (i = FRAME_FREE; i < FRAME_PARTITION0; i++) {
		sum += frame_owned((uint8_t)i);
	}
	for (i = 0; i < partition_count; i++) {
		const struct partition *p = partitions[i];
		uint64_t has = promise_owned(p);

		sum += has * PAGE_SIZE;
		kept += u64_max(p->pages_splits, p->pages_min > has ?
				p->pages_min - has : 0);
	}
	assert_int_equal(sum, MACHINE);
	assert_true(kept <= frame_owned(FRAME_FREE) / PAGE_SIZE);
	lock_drop(&frame_lock);
}

static void touch(struct vcpu *v, uint64_t gpa)
{
	struct partition *p = v->partition;
	enum hc_reason why;
	struct gpm_entry e;
	hv_status_t st;
	bool ok;

	lock_take(&p->lock);
	ok = partition_populate(v, GPA(gpa), true, &why);
	if (ok) {
		assert_true(gpm_lookup(p, GPA(gpa), &e));
		if (gpa & BIG_PAGE_SIZE) {
			st = gpm_execute(p, GPA(gpa));
			assert_true(st == HC_OK || st == HC_ENOMEM);
		}
	} else {
		/* the last few are not given */
		assert_int_equal(why, HC_REASON_NO_MEMORY);
		assert_true(promise_owned(p) + p->pages_splits + 8 >=
			    p->pages_min);
	}
	lock_drop(&p->lock);
	count(!ok);
}

static void release(struct vcpu *v, uint64_t gpa)
{
	const uint64_t block[HC_RELEASE_BLOCKS] = {
		(gpa & ~BIG_PAGE_MASK) + 1 };
	hv_status_t st;

	lock_take(&v->partition->lock);
	st = release_memory(v, block);
	lock_drop(&v->partition->lock);
	assert_true(st == HC_OK || st == HC_EAGAIN);
	count(2);
	if (st == HC_EAGAIN) {
		count(4);
	}
}

static bool runs(const struct partition *p)
{
	return __atomic_load_n(&p->state, __ATOMIC_SEQ_CST) ==
	       HC_STATE_RUNNING;
}

/* A CPU that runs a guest's vCPU whenever it may, as sched.c has it. */
static void *run(void *arg)
{
	struct percpu *c = arg;
	struct vcpu *v = c->index > GUESTS ? guest[0]->vcpus[1] :
			 guest[c->index - 1]->vcpus[0];
	struct partition *p = v->partition;
	unsigned int seed = c->index;
	uint64_t gpa, *word;

	syscall(SYS_arch_prctl, ARCH_SET_GS, c);
	while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE)) {
		if (!runs(p)) {
			sched_yield();
			continue;
		}
		__atomic_store_n(&v->running, 1, __ATOMIC_SEQ_CST);
		if (runs(p)) {
			gpa = RAM + (uint64_t)rand_r(&seed) % RAM_SIZE;
			gpa &= ~PAGE_MASK;
			if (rand_r(&seed) % 8) {
				touch(v, gpa);
			} else if (rand_r(&seed) % 8 == 0) {
				release(v, gpa);
			} else if (rand_r(&seed) % 128) {
				(void)channel_set_state(p, 0,
						(uint32_t)rand_r(&seed));
				(void)channel_doorbell(p, 0);
			} else {
				partition_kill(v, HC_REASON_GPM_FAULT, 1);
			}
			/* each vCPU has its own */
			word = partition_memory(v, GPA(gpa + v->index * 8), 8,
						true);
			if (rand_r(&seed) % 4 == 0) {
				sched_yield();	/* others have theirs */
			}
			if (word) {
				*word += 1;
			}
			__atomic_store_n(&v->gpm_epoch,
				__atomic_load_n(&p->gpm_epoch,
						__ATOMIC_SEQ_CST),
				__ATOMIC_RELEASE);
		}
		__atomic_store_n(&v->running, 0, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void *idle(void *arg)
{
	syscall(SYS_arch_prctl, ARCH_SET_GS, arg);
	while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE)) {
		if (!frame_zero_one()) {
			sched_yield();
		}
	}
	return NULL;
}

/* Until the guests have gone on a little, however fast who is: so all run out of
 * memory now and then. None runs: at once. */
static void pace(void)
{
	uint64_t until = __atomic_load_n(&did[0], __ATOMIC_RELAXED) +
			 __atomic_load_n(&did[1], __ATOMIC_RELAXED) + PACE;

	while ((runs(guest[0]) || runs(guest[1]) || runs(guest[2])) &&
	       __atomic_load_n(&did[0], __ATOMIC_RELAXED) +
	       __atomic_load_n(&did[1], __ATOMIC_RELAXED) < until) {
		sched_yield();
	}
}

/* CPU 0: the host partition's calls. */
static void all_at_once(void **state)
{
	pthread_t thread[VCPUS + 1];
	unsigned int seed = 9;
	uint32_t i, n;

	(void)state;
	for (i = 0; i < VCPUS; i++) {
		pthread_create(&thread[i], NULL, run, &cpu[i + 1]);
	}
	pthread_create(&thread[VCPUS], NULL, idle, &cpu[VCPUS + 1]);
	for (n = 0; n < 5000; n++) {
		struct partition *p = guest[(uint32_t)rand_r(&seed) % GUESTS];
		uint64_t at = (uint64_t)rand_r(&seed) % 4 * BIG_PAGE_SIZE;
		hv_status_t st;

		check();
		pace();
		touch(host->vcpus[0], RAM + at);
		if (!runs(p) || rand_r(&seed) % 128 == 0) {
			while (partition_stop(p) == HC_EAGAIN) {
			}
			st = donate_memory(host, GPA(RAM + at), p, GPA(RAM), 4);
			assert_true(st == HC_OK || st == HC_ENOMEM ||
				    st == HC_EINVAL);
			assert_int_equal(partition_start(p,
					 &(struct vcpu_start){ 0 }), HC_OK);
			count(3);
		}
		(void)promise_sure(host);
	}
	__atomic_store_n(&over, 1, __ATOMIC_RELEASE);
	for (i = 0; i <= VCPUS; i++) {
		pthread_join(thread[i], NULL);
	}
	check();
	for (i = 0; i < GUESTS; i++) {
		while (partition_stop(guest[i]) == HC_EAGAIN) {
		}
		assert_int_equal(promise_owned(guest[i]), guest[i]->pages_tables);
	}
	check();
	for (i = 0; i < ARRAY_SIZE(did); i++) {
		print_message("%llu ", (unsigned long long)did[i]);
		assert_true(did[i] > 20);
	}
	print_message("\n");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_at_once),
	};

	return cmocka_run_group_tests(tests, make, NULL);
}
