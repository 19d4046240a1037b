/* SPDX-License-Identifier: MIT */
/*
 * What takes two vCPUs: one does something that others look at, and the other changes
 * it under their eyes. The second vCPU has no handlers of its own: an exception there
 * would be the first one's attempt's end.
 */
#include "cpu.h"
#include "link.h"
#include "payload.h"

#define NO_DETAIL	(~0ull)
#define SECOND		0x7000u		/* second_entry.S */
#define HEAD		14u		/* its last bytes: CR3, GDTR */
#define CODE		0x12000000ull	/* a large page of its own each */
#define OTHER_CODE	0x12200000ull
#define PAGE_ALL	0x67ull
#define PAGE_LARGE	0x80ull
#define MSR_APIC_BASE	0x1bu
#define MSR_ICR		0x830u
#define APIC_TPR	0xfee00080ull
#define ICR_INIT	0x4500u
#define ICR_SIPI	0x4600u
#define STARTED_MS	200u
#define REPLACED	4000u
#define SENT		400u
#define TAKEN_MS	12u		/* a turn of each of the others */

extern const uint8_t second_begin[], second_end[];
extern uint8_t second_idtr[];
void second_main(void);

static void (*volatile second_work)(void);
static volatile bool second_ends;
static volatile uint32_t second_rounds;

/** The second vCPU's: the work it is given, until it is told to end. */
void second_main(void)
{
	second_rounds = 1;
	while (!second_ends) {
		second_work();
		second_rounds++;
	}
	second_work = NULL;
}

static bool second_start(void (*work)(void))
{
	uint32_t size = (uint32_t)(second_end - second_begin);
	volatile uint8_t *to = (volatile uint8_t *)SECOND;
	uint32_t root = (uint32_t)cr3_get();
	uint64_t until;

	for (uint32_t i = 0; i < size; i++) {
		to[i] = second_begin[i];
	}
	memcpy((void *)(to + size - HEAD), &root, 4);
	__asm__ volatile("sgdt (%0); sidt (%1)" : :
			 "r"(to + size - HEAD + 4), "r"(second_idtr) : "memory");
	second_work = work;
	second_ends = false;
	second_rounds = 0;
	wrmsr(MSR_ICR, 1ull << 32 | ICR_INIT);
	wrmsr(MSR_ICR, 1ull << 32 | ICR_SIPI | SECOND >> 12);
	until = rdtsc() + link_ticks(STARTED_MS);
	while (!second_rounds && rdtsc() < until) {
		__asm__ volatile("pause");
	}
	return second_rounds != 0;
}

static void second_stop(void)
{
	second_ends = true;
	while (second_work) {
		__asm__ volatile("pause");
	}
}

/* Instructions at the LAPIC's page: written from EAX, read, written with a constant;
 * each returns wherever one of the others is left. */
static const uint64_t forms[] = {
	0xc3c3c3c3c3c30289, 0xc3c3c3c3c3c3028b, 0xc3c30000002002c7,
};

static uint64_t *code_entry(void)
{
	uint64_t *pml4 = (uint64_t *)(uintptr_t)(cr3_get() & ~0xfffull);
	uint64_t *pdpt = (uint64_t *)(uintptr_t)(pml4[0] & ~0xfffull);
	uint64_t *pd = (uint64_t *)(uintptr_t)(pdpt[0] & ~0xfffull);

	return pd + (CODE >> 21);
}

/* The instruction becomes another, its page another. A page that is not there would be
 * the partition's end. */
static void replace(void)
{
	volatile uint64_t *code = (volatile uint64_t *)CODE;
	volatile uint64_t *entry = code_entry();
	uint32_t n = second_rounds;

	*code = forms[n % 3];
	*entry = (n & 8 ? OTHER_CODE : CODE) | PAGE_ALL | PAGE_LARGE;
}

/* By the plain MOV that an access there must be. */
static uint32_t tpr_get(void)
{
	uint32_t v;

	__asm__ volatile("movl (%1), %0" : "=r"(v) : "r"(APIC_TPR));
	return v;
}

static void tpr_clear(void)
{
	__asm__ volatile("movl %0, (%1)" : : "r"(0), "r"(APIC_TPR));
}

static void call_code(void *unused)
{
	(void)unused;
	__asm__ volatile("call *%0" : : "r"(CODE), "a"(0x10), "d"(APIC_TPR)
			 : "memory");
}

/** An instruction that the hypervisor must fetch itself, for it is one at the LAPIC's
 * page, is replaced between its exit and that, and so are the tables that lead there. */
void run_replaced(uint64_t unused)
{
	uint32_t first = 0, third = 0, faults = 0, other = 0;

	(void)unused;
	*(volatile uint64_t *)CODE = forms[0];
	*(volatile uint64_t *)OTHER_CODE = forms[2];
	if (!second_start(replace)) {
		report_value("second", NO_DETAIL, 0, 0xbad);
		return;
	}
	/* from x2APIC's mode to the one that has a page: by way of off */
	wrmsr(MSR_APIC_BASE, 0xfee00000);
	wrmsr(MSR_APIC_BASE, 0xfee00800);
	for (uint32_t i = 0; i < row_times(REPLACED); i++) {
		unsigned int trap;

		tpr_clear();
		trap = guarded(call_code, NULL);
		first += trap == 0 && tpr_get() == 0x10;
		third += trap == 0 && tpr_get() == 0x20;
		faults += trap == 0x10e || trap == 0x10d || trap == 0x106;
		other += trap != 0 && trap != 0x10e && trap != 0x10d &&
			 trap != 0x106;
	}
	second_stop();
	*code_entry() = CODE | PAGE_ALL | PAGE_LARGE;
	cr3_set(cr3_get());
	wrmsr(MSR_APIC_BASE, 0xfee00000);
	wrmsr(MSR_APIC_BASE, 0xfee00800);
	wrmsr(MSR_APIC_BASE, 0xfee00c00);
	report_value("replaced-first", NO_DETAIL, 0, first);
	report_value("replaced-third", NO_DETAIL, 0, third);
	report_value("replaced-faults", NO_DETAIL, 0, faults);
	report_value("replaced-other", NO_DETAIL, 0, other);
	report_value("replacements", NO_DETAIL, 0, second_rounds);
}

static uint8_t *volatile flipped;	/* a packet's header in the ring */

/* What the second vCPU has seen of its packets. */
static struct {
	uint32_t sent, resets, refused;
} flips;

/* Length, type, operation, credit, port: another value each time. */
static void flip_wrong(uint32_t n)
{
	static const uint32_t lens[] = { 100, 0, 64, 0xffffffd4, 65536, 65537, 101,
					 0x80000000 };
	struct ring_packet *p = (struct ring_packet *)flipped;

	*(volatile uint32_t *)&p->len = lens[n % 8];
	*(volatile uint16_t *)&p->op = (uint16_t)(n / 8 % 9);
	*(volatile uint16_t *)&p->type = (uint16_t)(n / 72 % 3);
	*(volatile uint32_t *)&p->buf_alloc = n * 4099;
	*(volatile uint32_t *)&p->fwd_cnt = n * 17;
	*(volatile uint32_t *)&p->dst_port = n & 64 ? PORT_DISCARD : PORT_ECHO;
}

static void flip_right(void)
{
	struct ring_packet *p = (struct ring_packet *)flipped;

	*(volatile uint32_t *)&p->len = 100;
	*(volatile uint16_t *)&p->op = OP_RW;
	*(volatile uint16_t *)&p->type = TYPE_STREAM;
	*(volatile uint32_t *)&p->dst_port = PORT_ECHO;
}

static uint8_t *header_at(uint32_t prod)
{
	return link_ring.tx_data + (prod & (link_ring.size - 1));
}

/* Until the host has been at the last packet. What it refuses: only what is another
 * one than was sent. */
static void flip_taken(struct stream *s, uint32_t local)
{
	static uint8_t data[RING_PAYLOAD_MAX], idle[RING_PACKET_HEADER];
	uint64_t until = rdtsc() + link_ticks(TAKEN_MS);
	struct ring_packet p;
	bool ended = false;

	while (link_is_up() && rdtsc() < until &&
	       ring_load(&link_ring.peer->cons) != link_ring.prod) {
		__asm__ volatile("pause");
	}
	while (link_is_up() && link_next(&p, data, 0)) {
		flips.refused += p.op == OP_RST;
		ended |= p.op == OP_RST && p.src_port == PORT_ECHO;
	}
	if (link_is_up() && !ended) {
		return;
	}
	flipped = idle;
	if (!link_is_up()) {
		flips.resets += link_up();
	}
	(void)stream_open(s, local, PORT_ECHO);
}

/* The second vCPU's work, once: all packets. */
static void flip_send(void)
{
	static const uint8_t data[100];
	struct stream s;

	(void)stream_open(&s, 40000, PORT_ECHO);
	for (uint32_t i = 0; i < row_times(SENT); i++) {
		/* a header that would cross the end would not lie in one piece */
		if ((link_ring.prod & (link_ring.size - 1)) <
		    link_ring.size - 256) {
			flipped = header_at(link_ring.prod);
		}
		if (link_is_up() && link_send(&s, OP_RW, data, sizeof(data))) {
			flips.sent++;
			link_bell();
		}
		flip_taken(&s, 40001 + i);
	}
	second_ends = true;
}

/** The header of the packet that the host is at changes while it reads. Who changes it
 * is the first vCPU: the second one may be where the host partition is, and would stand
 * still just then. */
void run_flipped(uint64_t unused)
{
	static uint8_t idle[RING_PACKET_HEADER];
	uint32_t n = 0;

	(void)unused;
	report_value("link", NO_DETAIL, 0, link_up());
	flipped = idle;
	if (!second_start(flip_send)) {
		report_value("second", NO_DETAIL, 0, 0xbad);
		return;
	}
	while (second_work) {
		flip_wrong(n++);
		flip_right();
	}
	report_value("flips-sent", NO_DETAIL, 0, flips.sent);
	report_value("flips-resets", NO_DETAIL, 0, flips.resets);
	report_value("flips-refused", NO_DETAIL, 0, flips.refused);
	report_value("flips", NO_DETAIL, 0, n);
	report_value("flips-then", NO_DETAIL, 0,
		     link_up() && stream_echoes(50000, 1000));
	link_down();
}
