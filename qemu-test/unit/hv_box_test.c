/* SPDX-License-Identifier: MIT */
/* The hypervisor's part of the black box: exits, who watches whom, the end. */
#include <stdarg.h>
#include <stdio.h>

#include "hv_fakes.h"

#define SECOND	1000000000ull
#define DEVICE	((void *)0x1000000)

static char said[200];
static uint32_t nmi_to, nmis, kicks, maps;
static uint32_t resets[8], reset_count;
static uint64_t reset_at;	/* the first part */
static bool interrupts;

void panic(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(said, sizeof(said), fmt, ap);
	va_end(ap);
	cpu_halt_forever();
}

void lapic_nmi(uint32_t apic_id)
{
	nmi_to = apic_id;
	nmis++;
}

void cpu_cli(void)
{
	interrupts = false;
}

void cpu_pause(void)
{
	fake.tsc += SECOND / 100;
}

void outw(uint16_t port, uint16_t v)
{
	assert_int_equal(port, 0x660);
	assert_int_equal(v, 1);
	kicks++;
}

void outb(uint16_t port, uint8_t v)
{
	assert_int_equal(port, 0xcf9);
	assert_false(interrupts);
	reset_at = reset_count ? reset_at : fake.tsc;
	resets[reset_count++] = v;
}

/* All are of the one piece, and go through caches. */
void *paging_map_device(uint64_t pa, bool through)
{
	assert_true(through);
	assert_int_equal(pa, 0x2000000 + maps * PAGE_SIZE);
	return (uint8_t *)DEVICE + maps++ * PAGE_SIZE;
}

static int make(void **state)
{
	static uint64_t now;

	(void)state;
	fakes_reset();
	fake.tsc = now += 100000 * SECOND;
	said[0] = 0;
	nmis = kicks = maps = reset_count = 0;
	return 0;
}

static void mapped(void **state)
{
	(void)state;
	boot.box = 0x2000000;
	boot.box_size = 5 * PAGE_SIZE;
	box_init();
	assert_int_equal(maps, 5);
	assert_ptr_equal(box, DEVICE);
}

static void exits(void **state)
{
	static struct partition p = { .id = 3 };
	struct vcpu v = { .partition = &p, .name = 3 << 8 | 2 << 16 };
	struct vm_exit e = { .code = VM_EXIT_GPM_FAULT };
	struct box_cpu *b = fake_cpu[0].box;
	uint32_t i;

	(void)state;
	v.regs.rax = 0x12300000005;
	v.regs.rcx = 0x4567c0000080;
	for (i = 0; i < 300; i++) {
		e.fault.gpa = GPA(0x1000 + i);
		e.rip = 0x400000 + i;
		box_exit(&fake_cpu[0], &v, &e);
	}
	assert_int_equal(b->count, 300);
	assert_int_equal(b->doing, BOX_HYPERVISOR);
	for (i = 44; i < 300; i++) {
		const struct box_exit *x = &b->exit[i % BOX_EXITS];

		assert_int_equal(x->rip, 0x400000 + i);
		assert_int_equal(x->detail, 0x1000 + i);
		assert_int_equal(x->what, VM_EXIT_GPM_FAULT | 3 << 8 | 2 << 16);
		assert_int_equal(x->sum, box_exit_sum(x));
	}
	e.code = VM_EXIT_MSR_READ;
	box_exit(&fake_cpu[0], &v, &e);
	assert_int_equal(b->exit[300 % BOX_EXITS].detail, 0x00000005c0000080);
}

/* CPU 0 has turns, CPU 1 as others says; for so many seconds. */
static void run(uint32_t seconds, bool others)
{
	uint64_t end = fake.tsc + seconds * SECOND;

	for (; fake.tsc < end; fake.tsc += SECOND / 10) {
		(void)box_turn(&fake_cpu[0], fake.tsc);
		if (others) {
			(void)box_turn(&fake_cpu[1], fake.tsc);
		}
	}
}

static void hangs(void **state)
{
	(void)state;
	run(60, true);
	assert_int_equal(nmis, 0);
	/* the machine stands still: all of it */
	fake.tsc += 1000 * SECOND;
	run(60, true);
	assert_int_equal(nmis, 0);
	run(12, false);
	run(1, true);
	run(12, false);
	assert_int_equal(nmis, 0);
	run(6, false);
	assert_int_equal(nmis, 1);
	assert_int_equal(nmi_to, fake_cpu[1].apic_id);
	assert_int_equal(kicks, 0);		/* there is none */
	/* an NMI of nobody's, on this CPU */
	box_nmi(0x1234);
	/* without an answer */
	assert_panics(run(6, false));
	assert_string_equal(said, "CPU 1 hangs, and takes no NMI");
}

static void answers(void **state)
{
	(void)state;
	cpu_count = 1;
	run(60, false);
	assert_int_equal(nmis, 0);		/* it cannot watch itself */
	cpu_count = 2;
	/* CPU 1 has turns, 0 none: it is who runs here */
	for (uint32_t i = 0; i < 200; i++, fake.tsc += SECOND / 10) {
		if (nmis) {
			break;
		}
		(void)box_turn(&fake_cpu[1], fake.tsc);
	}
	assert_int_equal(nmi_to, fake_cpu[0].apic_id);
	assert_panics(box_nmi(0xffffffff80001234));
	assert_string_equal(said, "CPU 0 hangs at 0xffffffff80001234");
}

/* By CPU 0 alone, well before 24 s are over. */
static void watchdog(void **state)
{
	uint64_t until;

	(void)state;
	boot.watchdog = 0x660;
	(void)box_turn(&fake_cpu[0], fake.tsc += 100 * SECOND);
	(void)box_turn(&fake_cpu[1], fake.tsc);
	kicks = 0;
	until = box_turn(&fake_cpu[0], fake.tsc);
	assert_in_range(until - fake.tsc, SECOND, 5 * SECOND);
	assert_int_equal(kicks, 0);
	(void)box_turn(&fake_cpu[1], until + SECOND);
	assert_int_equal(kicks, 0);
	(void)box_turn(&fake_cpu[0], until);
	assert_int_equal(kicks, 1);
	box_alive();
	assert_int_equal(kicks, 2);
}

static void ends(void **state)
{
	uint64_t began;

	(void)state;
	assert_panics(box_end());
	assert_int_equal(reset_count, 0);
	boot.flags = BOOT_FLAG_RESET;
	interrupts = true;
	began = fake.tsc;
	assert_panics(box_end());
	assert_int_equal(reset_count, 2);
	/* the host partition's last turn */
	assert_in_range(reset_at - began, 2 * SECOND, 3 * SECOND);
	assert_int_equal(resets[0], 2);
	assert_int_equal(resets[1], 6);
}

#define TEST(f)	cmocka_unit_test_setup(f, make)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(mapped), TEST(exits), TEST(hangs), TEST(answers),
		TEST(watchdog), TEST(ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
