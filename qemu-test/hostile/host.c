/* SPDX-License-Identifier: MIT */
/*
 * host-bridge with an enemy in it: half a second after its start, with the others
 * running, it asks the hypervisor for what no host partition may have (row HC02), and
 * for what fails within, at each place where memory can run out (HC03); and says what
 * it got, a line each. Each refusal must leave everything as it was. docs/hostile.md
 *
 * Its own end it could have by far simpler means. What it may do to partition 1, which
 * it stops and fills, host-bridge's own code does not know of.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/boot_info.h"
#include "abi/channel.h"
#include "drivers/portio.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/rt/hc.h"
#include "qemu-test/hostile/ports.h"

#define BEGIN_MS	500u
#define RANDOM		20000u
#define VICTIM		1u		/* partition */
#define NOBODY		77u
#define PAGE		4096ull
#define BIG		(2ull << 20)
#define VICTIM_RAM	0x100000ull	/* its RAM from there on */
#define ODD_PAGES	300u

void __real_pci_init(void);
void __wrap_pci_init(void);

static uint8_t *pages;		/* a large one of its own */
static uint64_t seed = 1;

static void say(const char *what, uint64_t result)
{
	printf("HOST %s ok 0x%llx\n", what, (unsigned long long)result);
}

static void row(const char *name)
{
	uint32_t word;

	memcpy(&word, name, 4);
	printf("HOST row %s\n", name);
	port_out32(HOSTILE_ROW, word);
}

static uint64_t next(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* Addresses that are none, of nobody, of others, not to be given. */
static uint64_t wild(void)
{
	static const uint64_t some[] = {
		1, 0xfff, 0xa0001, 0xfee00000, 0xfec00000, 0x3f000001,
		CHANNEL_GUEST_REGION_GPA, CHANNEL_GUEST_MSIX_GPA, 1ull << 40,
		1ull << 47, 1ull << 52, 1ull << 63, ~0ull, ~0ull - 4095,
		0x7ffffffffffff000, 0xffffffff80000000, 0xffff888000000000,
	};
	uint64_t n = next() >> 8;

	return n % 3 ? some[n / 3 % (sizeof(some) / sizeof(some[0]))] :
	       next() | 1ull << (40 + n % 23);
}

/* Registers in the ABI's order; those left out are 0. */
#define ARGS(...)	((struct hc_regs)ARGS5(__VA_ARGS__, 0, 0, 0, 0, 0))
#define ARGS5(a, b, c, d, e, ...)	{ a, b, c, d, e }

/* One call that must be refused, and then have changed no register: 0 if so. */
static uint32_t refused(uint64_t nr, struct hc_regs regs)
{
	const struct hc_regs before = regs;
	int64_t status = hc_call((enum hypercall)nr, &regs);

	if (status < 0 && !memcmp(&regs, &before, sizeof(regs))) {
		return 0;
	}
	printf("HOST taken %llu(%llx, %llx, %llx, %llx, %llx): %lld\n",
	       (unsigned long long)nr, (unsigned long long)before.rdi,
	       (unsigned long long)before.rsi, (unsigned long long)before.rdx,
	       (unsigned long long)before.r10, (unsigned long long)before.r8,
	       (long long)status);
	return 1;
}

/* Calls that concern memory and partitions, with one argument or more that cannot be;
 * as long as partitions 1 and 2 run, or one of them is stopped. */
static uint32_t wild_memory(bool stopped)
{
	static const uint64_t counts[] = { 0, 513, 1ull << 52, ~0ull, 1ull << 63 };
	uint64_t own = (uintptr_t)pages, n = next() >> 8, to = n % 4;
	uint32_t taken = 0;

	taken += refused(HC_MEM_DONATE, ARGS(to, wild(), wild(), 1 + n % 512));
	taken += refused(HC_MEM_DONATE, ARGS(to, own, VICTIM_RAM, counts[n % 5]));
	taken += refused(HC_MEM_DONATE, ARGS(to, wild(), VICTIM_RAM, 1));
	taken += refused(HC_MEM_DONATE, ARGS(to, own, wild(), 1));
	taken += refused(HC_PARTITION_START, ARGS(to, wild() | 1ull << 47));
	taken += refused(HC_PARTITION_START, ARGS(to, VICTIM_RAM, wild() | 1));
	taken += refused(HC_PARTITION_START,
			 ARGS(to, VICTIM_RAM, 0, 0, wild() | 1ull << 60));
	/* 0 freezes who runs, 2 makes a template of who does not */
	taken += refused(HC_FORK, ARGS(n & 4 ? 1 : 3 + n / 8 % 2, to, n % 7,
				       wild(), wild()));
	taken += refused(HC_FORK, ARGS(5 + (wild() >> 1), to, n % 7, wild()));
	if (!stopped) {
		taken += refused(HC_MEM_DONATE,
				 ARGS(to, own, VICTIM_RAM, 1 + n % 512));
		taken += refused(HC_PARTITION_START, ARGS(to, VICTIM_RAM));
	}
	return taken;
}

/* The other calls likewise. */
static uint32_t wild_others(void)
{
	uint64_t n = next() >> 8, any = NOBODY + (next() >> 1);
	uint32_t taken = 0;

	taken += refused(HC_COUNT + (next() >> 1), ARGS(next(), next()));
	taken += refused(HC_IOREQ_DONE, ARGS((NOBODY + n) << 16, next()));
	taken += refused(HC_IOREQ_DONE,
			 ARGS((n % 3) << 16 | (1 + n % 60000), next()));
	taken += refused(HC_PARTITION_STOP, ARGS(any));
	taken += refused(HC_PARTITION_STOP, ARGS(0));
	taken += refused(HC_QUERY, ARGS(11 + any, next()));
	taken += refused(HC_QUERY, ARGS(n % 9, any, next()));
	taken += refused(HC_DOORBELL, ARGS(any));
	taken += refused(HC_CHANNEL_STATE, ARGS(any, n));
	taken += refused(HC_CHANNEL_STATE, ARGS(0, 1ull << (32 + n % 32)));
	taken += refused(HC_IRQ, ARGS(any, n & 1));
	taken += refused(HC_IRQ, ARGS(n % 32, 2 + any));
	taken += refused(HC_PCI, ARGS(1 + n % 6, any << 16, n, 4));
	taken += refused(HC_PCI, ARGS(8 + any, n));
	taken += refused(HC_CLOCK, ARGS(1ull << 62 | n));
	taken += refused(HC_MEM_RELEASE, ARGS(wild() | 1ull << 46));
	taken += refused(HC_MEM_RELEASE,
			 ARGS((uintptr_t)pages | (17 + n % 400)));
	return taken;
}

static void stop_victim(void)
{
	struct hc_regs regs;

	do {
		regs = ARGS(VICTIM);
	} while (hc_call(HC_PARTITION_STOP, &regs) == HC_EAGAIN);
}

/* Pages are in their places again, and what is nobody's is told. */
static uint64_t free_bytes(void)
{
	struct hc_regs regs;

	for (uint64_t at = 0; at < BIG; at += PAGE) {
		*(volatile uint8_t *)(pages + at) = 1;
	}
	(void)hc_query(HC_QUERY_OWNER, 0, 0, &regs);
	return regs.rdi;
}

static uint64_t state(void)
{
	struct hc_regs regs;

	(void)hc_query(HC_QUERY_STATE, VICTIM, 0, &regs);
	return regs.rdi;
}

/* The call with the first, second, third.. page that it takes not to be had, until it
 * has all it wants: how often that was; *wrong: other than it should be, then says so.
 */
static uint32_t without_memory(enum hypercall nr, struct hc_regs args,
			       int64_t then, uint64_t *wrong)
{
	struct hc_regs regs = args;
	uint64_t before;

	/* once as it is: what stays behind then, stays */
	*wrong += hc_call(nr, &regs) != HC_OK;
	stop_victim();
	before = free_bytes();
	for (uint32_t n = 1;; n++) {
		int64_t status;
		bool failed;

		regs = args;
		port_out32(HOSTILE_NO_PAGE, n);
		status = hc_call(nr, &regs);
		failed = port_in32(HOSTILE_NO_PAGE) == 0;
		port_out32(HOSTILE_NO_PAGE, 0);
		*wrong += status != (failed ? then : HC_OK);
		*wrong += status != HC_OK && state() != HC_STATE_STOPPED;
		stop_victim();
		*wrong += free_bytes() != before;
		if (!failed) {
			return n - 1;
		}
	}
}

/* A large page of one's own, of which a small one is given: it stays large. */
static uint64_t without_split(void)
{
	struct hc_regs regs = ARGS(VICTIM, (uintptr_t)pages, VICTIM_RAM, 1);
	uint64_t before = free_bytes();
	int64_t status;

	port_out32(HOSTILE_NO_PAGE, 1);
	status = hc_call(HC_MEM_DONATE, &regs);
	port_out32(HOSTILE_NO_PAGE, 0);
	return (status != HC_ENOMEM) + (free_bytes() != before);
}

static void attack(struct loop_timer *timer)
{
	uint64_t own = (uintptr_t)pages, taken = 0, wrong = 0;

	(void)timer;
	(void)free_bytes();
	row("HC02");
	for (uint32_t i = 0; i < RANDOM / 2; i++) {
		taken += wild_memory(false) + wild_others();
	}
	stop_victim();
	for (uint32_t i = 0; i < RANDOM / 2; i++) {
		taken += wild_memory(true);
	}
	say("calls-taken", taken);
	row("HC03");
	say("split-wrong", without_split());
	/* small pages to two places that have no tables */
	say("donate-failed", without_memory(HC_MEM_DONATE,
		ARGS(VICTIM, own + PAGE, VICTIM_RAM + BIG - 8 * PAGE,
		     ODD_PAGES), HC_ENOMEM, &wrong));
	/* without its channel, which the log says */
	say("start-failed", without_memory(HC_PARTITION_START,
		ARGS(VICTIM, VICTIM_RAM, 0, 0, VICTIM_RAM), HC_OK, &wrong));
	say("failures-wrong", wrong);
	port_out32(HOSTILE_ROW, HOSTILE_END);
	printf("HOST end\n");
}

/** In front of pci_init(), which is early and seldom. */
void __wrap_pci_init(void)
{
	static struct loop_timer timer;
	uint8_t *room = malloc(2 * BIG);

	__real_pci_init();
	if (!room) {
		printf("HOST no memory\n");
		return;
	}
	pages = room + (BIG - (uintptr_t)room % BIG);
	loop_timer_set(&timer, BEGIN_MS, attack);
}
