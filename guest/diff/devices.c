/* SPDX-License-Identifier: MIT */
/*
 * Ports, the channel, hypercalls, memory that comes when it is touched. What
 * host-bridge answers is compared as well; it is the same program on both.
 */
#include "abi/channel.h"
#include "proto/channel_device.h"
#include "abi/hypercall.h"
#include "diff.h"

/* Places in the partition's memory that nothing has touched before: neither the
 * program, at 2 MiB, nor what host-bridge prepares. */
#define PAGE		4096ull
#define MIB		(1ull << 20)
#define LARGE_UNITS	(64 * MIB)	/* whole units of 2 MiB, untouched */
#define SMALL_PAGES	(96 * MIB)	/* the last MiB: pages of 4 KiB */
#define PTE		0x67ull		/* present, writable, user, A, D */
#define VA_FREE		(5ull << 30)	/* nothing is mapped there */
#define PFN(a)		((a) & 0x000ffffffffff000ull)

static uint16_t inw(uint16_t port)
{
	uint16_t v;

	__asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

/* The same access three wide, RAX full before it: 1 and 2 bytes leave the rest
 * as it was, 4 bytes clear the upper half. */
static void in_all(uint16_t port)
{
	uint64_t a;

	__asm__ volatile("inb %1, %%al" : "=a"(a) : "d"(port),
			 "a"(0x1122334455667788ull));
	result(a);
	__asm__ volatile("inw %1, %%ax" : "=a"(a) : "d"(port),
			 "a"(0x1122334455667788ull));
	result(a);
	__asm__ volatile("inl %1, %%eax" : "=a"(a) : "d"(port),
			 "a"(0x1122334455667788ull));
	result(a);
}

/* String I/O, which is #GP where the port exits. */
static void do_rep_insb(void *arg)
{
	uint64_t n = 4;

	__asm__ volatile("rep insb" : "+D"(arg), "+c"(n) : "d"(0x80)
			 : "memory");
}

static void do_outsl(void *arg)
{
	__asm__ volatile("outsl" : "+S"(arg) : "d"(0x80) : "memory");
}

/**
 * Denied, forwarded and the hypervisor's own, all widths. Denied ones read as
 * all ones; forwarded ones as host-bridge's models have them.
 */
void test_ports(void)
{
	static const uint16_t denied[] = {
		0x20, 0x40, 0x64, 0x71, 0x80, 0x2f8, 0x402, 0xe9, 0x604,
		0xb004, 0xffff,
	};
	/* serial port's scratch register, chipset's reset (which wants bit 2),
	 * PCI configuration, power */
	static const uint16_t forwarded[] = { 0x3ff, 0xcf9, 0xcfb, 0x608 };
	static uint32_t buf[4];

	for (size_t i = 0; i < sizeof(denied) / sizeof(denied[0]); i++) {
		in_all(denied[i]);
		port_out8(denied[i], 0xfe);
		port_out16(denied[i], 0xfefe);
		port_out32(denied[i], 0xfefefefe);
	}
	for (size_t i = 0; i < sizeof(forwarded) / sizeof(forwarded[0]); i++) {
		port_out8(forwarded[i], 0x5a);
		in_all(forwarded[i]);
	}
	port_out32(0xcf8, 0x80000000);	/* bus 0, device 0, function 0 */
	result(port_in32(0xcfc));
	result(inw(0xcfe));
	port_out32(0xcf8, 0);
	result(guarded(do_rep_insb, buf));
	result(guarded(do_outsl, buf));
}

/**
 * Registers at every width, doorbells, the region's own words. The state goes
 * to INIT and back to DOWN, never READY: host-bridge may follow, and there is
 * no traffic.
 */
void test_channel(void)
{
	const volatile uint32_t *table = (const volatile uint32_t *)
		CHANNEL_GUEST_REGION_GPA;
	uint16_t io = CHANNEL_GUEST_IO_PORT;
	uint64_t own;

	for (uint16_t reg = 0; reg < CHANNEL_IO_SIZE; reg += 4) {
		result(port_in32((uint16_t)(io + reg)));
	}
	result(port_in8(io));
	result(inw(io));
	result(port_in32((uint16_t)(io + CHANNEL_IO_SIZE)));	/* no such channel */
	port_out8((uint16_t)(io + CHANNEL_IO_DOORBELL), 1);	/* not a doorbell */
	port_out32((uint16_t)(io + CHANNEL_IO_INT_CONTROL), 3);
	result(port_in32((uint16_t)(io + CHANNEL_IO_INT_CONTROL)));
	port_out32((uint16_t)(io + CHANNEL_IO_STATE), CHANNEL_STATE_INIT);
	result(port_in32((uint16_t)(io + CHANNEL_IO_STATE)));
	own = port_in32(io) & 1;
	result(table[CHANNEL_ST_MAGIC]);
	result(table[CHANNEL_ST_VERSION]);
	result(table[CHANNEL_ST_GENERATION]);
	result(table[CHANNEL_ST_STATE(own)]);
	/* The own section may be written. */
	*(volatile uint32_t *)(CHANNEL_GUEST_REGION_GPA + CHANNEL_OUTPUT_OFFSET(
		own, (uint64_t)table[CHANNEL_ST_OUTPUT_SIZE])) = 0;
	for (int i = 0; i < 8; i++) {
		port_out32((uint16_t)(io + CHANNEL_IO_DOORBELL), 1);
	}
	port_out32((uint16_t)(io + CHANNEL_IO_STATE), CHANNEL_STATE_DOWN);
	result(table[CHANNEL_ST_STATE(own)]);
	port_out32((uint16_t)(io + CHANNEL_IO_INT_CONTROL), 0);
}

static void do_hypercall(void *arg)
{
	hypercall((uintptr_t)arg, 0, 0);
}

/**
 * All numbers without and with rights, wrong arguments, from CPL 3 (#UD). This
 * is not the host partition: most are HC_EPERM.
 */
void test_hypercalls(void)
{
	for (uint64_t nr = 0; nr < HC_COUNT + 2; nr++) {
		result(hypercall(nr, 0, 0));
	}
	result(hypercall(HC_DOORBELL, 9, 0));
	result(hypercall(HC_DOORBELL, ~0ull, 0));
	result(hypercall(HC_CHANNEL_STATE, 0, 1ull << 32));
	result(hypercall(~0ull, ~0ull, ~0ull));
	result(guarded_user(do_hypercall, NULL));
}

/* For guarded(): in case the page is not there. */
static void do_read(void *arg)
{
	(void)*(volatile uint64_t *)arg;
}

/* Tables for one page at VA_FREE; the last one is at table, a guest-physical
 * address that need not have been touched. */
static void map_through(uint64_t *pd, uint64_t table)
{
	uint64_t cr3, *pml4, *pdpt;

	__asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
	pml4 = (uint64_t *)PFN(cr3);
	pdpt = (uint64_t *)PFN(pml4[0]);
	pdpt[VA_FREE >> 30] = (uintptr_t)pd | PTE;
	pd[0] = table | PTE;
	__asm__ volatile("mov %0, %%cr3" : : "r"(cr3) : "memory");
}

/**
 * First touches: by read, write, both, execution, across pages, by the page
 * walk; 4 KiB and 2 MiB. Each is an exit with the address and the kind of
 * access, and everything must read as zero.
 */
void test_populate(void)
{
	volatile uint64_t *p = (volatile uint64_t *)SMALL_PAGES;
	uint8_t *page = (uint8_t *)SMALL_PAGES;
	static uint64_t pd[512] __attribute__((aligned(4096)));
	static uint64_t scratch;

	result(p[0]);				/* reads zero */
	p[512] = 1;
	known(KNOWN_ACCESS);
	__atomic_fetch_add(&p[1024], 1, __ATOMIC_SEQ_CST);
	known(0);
	/* Over the border of two pages, both absent: two exits for one
	 * instruction. */
	result(*(volatile uint64_t *)(page + 4 * PAGE - 4));
	*(volatile uint64_t *)(page + 6 * PAGE - 4) = ~0ull;
	page[9 * PAGE] = 0xc3;			/* RET, after zeroes */
	call_zero_page(page + 9 * PAGE - 2, &scratch);
	/* Absent pages in the middle of a string instruction, which goes on
	 * where it was. */
	__asm__ volatile("rep movsq" : : "S"(page + 16 * PAGE),
			 "D"(page + 20 * PAGE), "c"(PAGE / 8) : "memory");
	map_through(pd, SMALL_PAGES + 32 * PAGE);
	known(KNOWN_ACCESS);
	result(guarded(do_read, (void *)VA_FREE));	/* an empty table */
	known(0);
	((uint64_t *)(page + 32 * PAGE))[0] = (SMALL_PAGES + 33 * PAGE) | PTE;
	result(guarded(do_read, (void *)VA_FREE));
	for (uint64_t i = 40; i < 200; i += 8) {
		result(*(volatile uint64_t *)(page + i * PAGE));
	}
	/* The page read is there with the one written, whether the unit was
	 * zeroed in an idle moment or is filled in pieces. */
	for (uint64_t at = LARGE_UNITS; at < LARGE_UNITS + 16 * MIB;
	     at += 2 * MIB) {
		*(volatile uint64_t *)at = at;
		result(*(volatile uint64_t *)(at + 7 * PAGE));
	}
}
