/* SPDX-License-Identifier: MIT */
/*
 * The host partition, started again: what it finds is what the loader had left, but
 * for what outlives it; nothing of its RAM is lost or in two places, and others are
 * as they were.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "hv_memory.h"

#include <pci.h>

#define LOADED	0x10000ull	/* guest-physical */
#define ELSE	0x400000ull

static uint32_t stops;
static bool started, poor;

void pci_stop(void)
{
	/* before anything of it changes */
	assert_int_equal(host->state, HC_STATE_CRASHED);
	assert_false(gpm_range_empty(host, GPA(ELSE)));
	stops++;
	if (poor) {
		host->pages_cap = 0;
	}
}

void start_host(void)
{
	const struct vcpu_start s = { .kind = VCPU_RESET_LONG, .rip = 0x400000 };

	assert_int_equal(partition_start(host, &s), HC_OK);
	started = true;
}

static bool is_loaded(void)
{
	struct gpm_entry e;
	const uint8_t *p;
	uint64_t at, i;

	for (at = 0; at < 0x10000; at += PAGE_SIZE) {
		/* with no more rights than it had */
		assert_true(gpm_lookup(host, GPA(LOADED + at), &e));
		assert_true(e.present && e.write && !e.exec);
		p = partition_memory(host, GPA(LOADED + at), PAGE_SIZE);
		for (i = 0; p && i < PAGE_SIZE && p[i] == 0x5a + at / PAGE_SIZE; i++) {
		}
		if (!p || i < PAGE_SIZE) {
			return false;
		}
	}
	return true;
}

/* Uses its memory, and ends. */
static void end(void)
{
	struct vcpu *v = host->vcpus[0];

	assert_true(populate(host, ELSE));
	memset(partition_memory(host, GPA(ELSE), PAGE_SIZE), 0xee, PAGE_SIZE);
	memset(partition_memory(host, GPA(LOADED + 0x3000), PAGE_SIZE), 0xee,
	       PAGE_SIZE);
	v->running = 1;
	v->attention = v->kept = VCPU_ATT_NMI;
	host->events = ~0ull;
	started = false;
	fake.dumps = 0;
	fake.reg[VCPU_RIP] = 0x401234;
	partition_kill(v, HC_REASON_TRIPLE_FAULT, 7);
}

static void again(void)
{
	uint64_t starts = host->start_count, free = owned(FRAME_FREE);
	uint64_t epoch = host->gpm_epoch;
	struct vcpu *v = host->vcpus[0];
	uint32_t before = stops;
	struct gpm_entry e;

	end();
	assert_int_equal(stops, before + 1);
	assert_true(started);
	assert_int_equal(fake.dumps, 1);
	assert_int_equal(fake.lock_depth, 0);
	assert_int_equal(host->state, HC_STATE_RUNNING);
	assert_int_equal(host->start_count, starts + 1);
	assert_int_equal(host->crash_rip, 0x401234);
	assert_int_equal(host->crash_detail, 7);
	assert_int_equal(v->state, VCPU_RUNNABLE);
	assert_true(v->attention & VCPU_ATT_RESET);
	assert_int_equal(host->events, HC_EVENT_IOREQ | HC_EVENT_PARTITION);
	/* what a vCPU has cached of its map is void */
	assert_true(host->gpm_epoch > epoch);
	/* nothing is left, nothing is lost */
	assert_true(gpm_range_empty(host, GPA(ELSE)));
	assert_true(is_loaded());
	assert_true(owned(FRAME_FREE) + 2 * BIG_PAGE_PAGES > free);
	assert_true(host->pages_populated <= owned(FRAME_PARTITION0));
	check_accounts();
	/* its device is there still */
	assert_true(gpm_lookup(host, GPA(0xb0000000), &e) && e.present);
	v->running = 0;
}

static void started_again(void **state)
{
	uint64_t linux_has, table;
	struct gpm_entry e;
	uint32_t *words;

	(void)state;
	assert_true(populate(linux_p, LINUX_RAM));
	linux_has = owned(FRAME_PARTITION0 + 1);
	/* its channels stay, down, of a new generation, and their sections clear */
	assert_true(gpm_lookup(host, GPA(0xa0000000), &e));
	table = e.pa.v;
	words = hpa_ptr(HPA(table));
	words[CHANNEL_ST_STATE(0)] = 2;	/* ready */
	memset(words + PAGE_SIZE / 4, 0xcc, section_size);
	again();
	assert_int_equal(words[CHANNEL_ST_STATE(0)], CHANNEL_STATE_DOWN);
	assert_int_equal(words[CHANNEL_ST_GENERATION], 2);
	assert_true(all_zero(table + PAGE_SIZE, section_size));
	assert_true(gpm_lookup(host, GPA(0xa0000000), &e));
	assert_int_equal(e.pa.v, table);
	assert_int_equal(owned(FRAME_PARTITION0 + 1), linux_has);
	again();
}

/* There is no page for it: that is the end of the machine, and not half of a host
 * partition. In a process of its own, whose host partition is lost. */
static void without_memory(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	pid = fork();
	if (pid == 0) {
		poor = true;
		assert_panics(end());
		_exit(!started && strstr(fake.panic_said, "no memory to start") ?
		      0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* As often as the manifest says. */
static void not_for_ever(void **state)
{
	(void)state;
	again();
	assert_panics(end());
	assert_false(started);
	assert_non_null(strstr(fake.panic_said, "the host partition crashed"));
}

static int begin(void **state)
{
	host_restarts = 3;
	more_linux = 1;
	return make_machine(state);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(started_again),
		cmocka_unit_test(without_memory),
		cmocka_unit_test(not_for_ever),	/* last: it leaves locks */
	};

	return cmocka_run_group_tests(tests, begin, NULL);
}
