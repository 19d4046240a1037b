/* SPDX-License-Identifier: MIT */
/*
 * The LAPIC page: the table of MOV forms, every truncation of them, and the
 * fetch of the bytes through a guest's page tables.
 */
#include <mmio.h>

#include "hv_fakes.h"

#define GUEST_PAGES	16u
#define LAPIC_GPA	0xfee00000ull

static uint8_t guest[GUEST_PAGES * PAGE_SIZE];	/* guest-physical from 0 */
static struct partition part;
static struct vcpu vcpu;
static uint32_t last_reg, last_value, accesses;
static uint32_t looked_up;		/* pointers asked for */
static bool moves;			/* each time memory is given back */

void *partition_memory(struct vcpu *v, gpa_t gpa, uint64_t len, bool write)
{
	assert_ptr_equal(v, &vcpu);
	assert_false(write);
	assert_int_equal(fake.lock_depth, 0);	/* it takes one */
	looked_up++;
	part.gpm_epoch += moves;
	return gpa.v + len <= sizeof(guest) ? &guest[gpa.v] : NULL;
}

bool vlapic_reg_read(struct vcpu *v, uint32_t reg, uint32_t *value)
{
	(void)v;
	last_reg = reg;
	*value = 0xcafe0000 | reg;
	accesses++;
	return true;
}

bool vlapic_reg_write(struct vcpu *v, uint32_t reg, uint32_t value)
{
	(void)v;
	last_reg = reg;
	last_value = value;
	accesses++;
	return true;
}

static const struct {
	uint32_t len;
	uint8_t b[12];
	bool write, has_imm;
	uint32_t gpr, imm;
} good[] = {
	{ 2, { 0x89, 0x00 }, true, false, 0, 0 },	/* [rax], eax */
	{ 2, { 0x8b, 0x38 }, false, false, 7, 0 },	/* edi, [rax] */
	{ 3, { 0x44, 0x89, 0x38 }, true, false, 15, 0 },	/* r15d */
	{ 3, { 0x41, 0x8b, 0x00 }, false, false, 0, 0 },	/* [r8] */
	{ 3, { 0x40, 0x8b, 0x26 }, false, false, 4, 0 },	/* esp */
	{ 3, { 0x8b, 0x40, 0xb0 }, false, false, 0, 0 },	/* disp8 */
	{ 6, { 0x8b, 0x80, 0, 1, 0, 0 }, false, false, 0, 0 },	/* disp32 */
	{ 6, { 0x89, 0x05, 1, 2, 3, 4 }, true, false, 0, 0 },	/* RIP */
	{ 7, { 0x41, 0x89, 0x05, 1, 2, 3, 4 }, true, false, 0, 0 },
	{ 3, { 0x8b, 0x04, 0x24 }, false, false, 0, 0 },	/* [rsp] */
	{ 7, { 0x8b, 0x04, 0x25, 0, 0, 0xe0, 0xfe }, false, false, 0, 0 },
	{ 7, { 0x89, 0x0c, 0xcd, 0, 0, 0, 0 }, true, false, 1, 0 },
	{ 4, { 0x89, 0x54, 0x24, 8 }, true, false, 2, 0 },
	{ 7, { 0x89, 0x94, 0x24, 8, 0, 0, 0 }, true, false, 2, 0 },
	{ 6, { 0xc7, 0x00, 0x78, 0x56, 0x34, 0x12 }, true, true, 0,
	  0x12345678 },
	{ 10, { 0xc7, 0x83, 0xb0, 0, 0, 0, 0, 0, 0, 0x80 }, true, true, 0,
	  0x80000000 },
	{ 11, { 0xc7, 0x04, 0x25, 0xb0, 0, 0xe0, 0xfe, 1, 0, 0, 0 }, true,
	  true, 0, 1 },
	{ 8, { 0x41, 0xc7, 0x04, 0x24, 1, 0, 0, 0 }, true, true, 0, 1 },
	/* an address of 64 bits, EAX whatever REX says */
	{ 9, { 0xa1, 0x20, 0, 0xe0, 0xfe }, false, false, 0, 0 },
	{ 9, { 0xa3, 0xb0, 0, 0xe0, 0xfe }, true, false, 0, 0 },
	{ 10, { 0x44, 0xa1, 0x20, 0, 0xe0, 0xfe }, false, false, 0, 0 },
};

static const struct {
	uint32_t len;
	uint8_t b[12];
} bad[] = {
	{ 2, { 0x89, 0xc0 } },			/* register operand */
	{ 2, { 0x8b, 0xff } },
	{ 3, { 0x48, 0x89, 0x00 } },		/* 64 bits */
	{ 3, { 0x4f, 0x8b, 0x00 } },
	{ 3, { 0x66, 0x89, 0x00 } },		/* 16 bits */
	{ 3, { 0x67, 0x89, 0x00 } },		/* 32-bit address */
	{ 3, { 0xf0, 0x89, 0x00 } },		/* LOCK */
	{ 3, { 0xf3, 0x89, 0x00 } },		/* XRELEASE */
	{ 4, { 0x65, 0x8b, 0x00, 0x90 } },	/* GS: */
	{ 4, { 0x40, 0x40, 0x89, 0x00 } },	/* two REX */
	{ 2, { 0x88, 0x00 } },			/* 8 bits */
	{ 2, { 0x8a, 0x00 } },
	{ 2, { 0xa0, 0x20 } },
	{ 10, { 0x48, 0xa1, 0x20, 0, 0xe0, 0xfe } },
	{ 10, { 0x67, 0xa1, 0x20, 0, 0xe0, 0xfe } },
	{ 6, { 0xc7, 0x08, 0, 0, 0, 0 } },	/* C7 /1 */
	{ 6, { 0xc7, 0xf8, 0, 0, 0, 0 } },	/* XBEGIN */
	{ 6, { 0xc7, 0xc0, 0, 0, 0, 0 } },	/* register */
	{ 3, { 0x0f, 0xb6, 0x00 } },		/* MOVZX */
	{ 2, { 0x01, 0x00 } },			/* ADD */
	{ 2, { 0x87, 0x00 } },			/* XCHG */
	{ 2, { 0xff, 0x30 } },			/* PUSH */
	{ 1, { 0xa5 } },			/* MOVS */
	{ 0, { 0 } },
};

/* n bytes, and nothing may be read behind them: the sanitizer watches. */
static bool decode(const uint8_t *bytes, uint32_t n, struct mmio_mov *m)
{
	uint8_t room[15];

	memcpy(&room[15 - n], bytes, n);
	return mmio_decode(&room[15 - n], n, m);
}

static void table(void **state)
{
	struct mmio_mov m;
	uint8_t bytes[15];
	uint32_t i, n;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(good); i++) {
		uint32_t len = good[i].len;

		memset(bytes, 0x90, sizeof(bytes));
		memcpy(bytes, good[i].b, len);
		assert_true(mmio_decode(bytes, 15, &m));
		assert_int_equal(m.length, len);
		assert_int_equal(m.write, good[i].write);
		assert_int_equal(m.has_imm, good[i].has_imm);
		if (m.has_imm) {
			assert_int_equal(m.imm, good[i].imm);
		} else {
			assert_int_equal(m.gpr, good[i].gpr);
		}
		assert_true(decode(bytes, len, &m));
		/* bytes that could not be fetched: never a guess */
		for (n = 0; n < len; n++) {
			assert_false(decode(bytes, n, &m));
		}
	}
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		memset(bytes, 0, sizeof(bytes));
		memcpy(bytes, bad[i].b, bad[i].len);
		assert_false(mmio_decode(bytes, 15, &m));
		assert_false(decode(bytes, bad[i].len, &m));
	}
}

/* Each first byte with each ModRM and SIB: nothing is read beyond the end, and
 * no length is beyond what there is. */
static void exhaustive(void **state)
{
	uint32_t op, modrm, sib, n;
	struct mmio_mov m;

	(void)state;
	for (op = 0; op < 256; op++) {
		for (modrm = 0; modrm < 256; modrm++) {
			for (sib = 0; sib < 256; sib += 5) {
				for (n = 0; n < 12; n++) {
					uint8_t b[12] = { (uint8_t)op,
						(uint8_t)modrm, (uint8_t)sib };

					if (decode(b, n, &m)) {
						assert_in_range(m.length, 2,
								n);
						assert_in_range(m.gpr, 0, 15);
					}
				}
			}
		}
	}
}

static void put64(uint64_t at, uint64_t v)
{
	memcpy(&guest[at], &v, 8);
}

/* Tables at 0x1000.., code at 0x8000; its linear page and the next one. */
static int make(void **state)
{
	(void)state;
	fakes_reset();
	memset(guest, 0, sizeof(guest));
	memset(&part, 0, sizeof(part));
	fake_vcpu_init(&vcpu, &part, 0);
	vcpu.lapic.base = 0xfee00000 | APIC_BASE_EN;
	accesses = 0;
	fake.reg[VCPU_CR3] = 0x1000 | 0x18;	/* PWT, PCD do not matter */
	put64(0x1000, 0x2000 | 1);
	put64(0x2000, 0x3000 | 1);
	put64(0x3000, 0x4000 | 1);
	put64(0x4000 + 8 * 8, 0x8000 | 1);	/* 0x8000 -> 0x8000 */
	put64(0x4000 + 9 * 8, 0x6000 | 1 | BIT64(63));	/* -> 0x6000 */
	put64(0x3000 + 8, 0x00000000 | 0x81);	/* 2 MiB -> 0 */
	put64(0x2000 + 8, 0x00000000 | 0x81);	/* 1 GiB -> 0 */
	put64(0x1000 + 8 * 511, 0x2000 | 1);
	fake.reg[VCPU_RIP] = 0x8010;
	return 0;
}

static bool run(uint64_t gpa)
{
	struct vm_exit e = { .code = VM_EXIT_GPM_FAULT };

	e.fault.gpa = GPA(gpa);
	e.rip = fake.reg[VCPU_RIP];
	return mmio_lapic(&vcpu, &e);
}

static void accesses_work(void **state)
{
	static const uint64_t where[] = {
		0x8010, 0x200000 + 0x8010, 0x40000000 + 0x8010,
		0xffffff8000000000 + 0x8010,
	};
	uint32_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(where); i++) {
		memcpy(&guest[0x8010], "\x44\x89\x40\xb0", 4); /* r8d -> */
		vcpu.regs.r8 = 0x1122334455667788;
		fake.reg[VCPU_RIP] = where[i];
		assert_true(run(LAPIC_GPA + 0xb0));
		assert_int_equal(last_reg, 0xb);
		assert_int_equal(last_value, 0x55667788);
		assert_int_equal(fake.reg[VCPU_RIP], where[i] + 4);
	}
	memcpy(&guest[0x8010], "\x8b\x18", 2);
	fake.reg[VCPU_RIP] = 0x8010;
	vcpu.regs.rbx = ~0ull;
	assert_true(run(LAPIC_GPA + 0x20));
	assert_int_equal(vcpu.regs.rbx, 0xcafe0002);	/* upper half clear */
	/* ESP lives in the backend */
	memcpy(&guest[0x8010], "\x8b\x20", 2);
	fake.reg[VCPU_RIP] = 0x8010;
	assert_true(run(LAPIC_GPA + 0x30));
	assert_int_equal(fake.reg[VCPU_RSP], 0xcafe0003);
	/* over a page's end, the next page lies elsewhere */
	memcpy(&guest[0x8ffe], "\xc7\x00", 2);
	memcpy(&guest[0x6000], "\x78\x56\x34\x12", 4);
	fake.reg[VCPU_RIP] = 0x8ffe;
	assert_true(run(LAPIC_GPA + 0x80));
	assert_int_equal(last_value, 0x12345678);
	/* another vCPU has changed the tables: not the bytes of before */
	memcpy(&guest[0x8010], "\x8b\x18", 2);	/* ebx */
	memcpy(&guest[0x6010], "\x8b\x08", 2);	/* ecx */
	fake.reg[VCPU_RIP] = 0x8010;
	assert_true(run(LAPIC_GPA + 0x20));
	put64(0x4000 + 8 * 8, 0x6000 | 1);
	fake.reg[VCPU_RIP] = 0x8010;
	assert_true(run(LAPIC_GPA + 0x30));
	assert_int_equal(vcpu.regs.rbx, 0xcafe0002);
	assert_int_equal(vcpu.regs.rcx, 0xcafe0003);
}

static void accesses_refused(void **state)
{
	uint32_t before;

	(void)state;
	memcpy(&guest[0x8010], "\x89\x00", 2);
	assert_false(run(LAPIC_GPA - 0x10));
	assert_false(run(LAPIC_GPA + PAGE_SIZE));
	assert_false(run(LAPIC_GPA + 4));	/* between the registers */
	vcpu.lapic.base |= APIC_BASE_EXTD;
	assert_false(run(LAPIC_GPA));
	vcpu.lapic.base = 0xfee00000;
	assert_false(run(LAPIC_GPA));
	vcpu.lapic.base |= APIC_BASE_EN;
	fake.reg[VCPU_CS_ATTR] = 0xc09b;	/* not 64-bit code */
	assert_false(run(LAPIC_GPA));
	fake.reg[VCPU_CS_ATTR] = 0xa09b;
	part.flags = BOOT_PARTITION_HOST;
	assert_false(run(LAPIC_GPA));
	part.flags = 0;
	assert_int_equal(accesses, 0);
	assert_int_equal(fake.advanced, 0);
	/* page tables that lead nowhere: not present, or not in RAM */
	before = accesses;
	put64(0x4000 + 8 * 8, 0x8000);
	assert_false(run(LAPIC_GPA));
	put64(0x4000 + 8 * 8, 0x7ffffff000 | 1);
	assert_false(run(LAPIC_GPA));
	put64(0x3000, 0xfffffffffff000 | 1);
	assert_false(run(LAPIC_GPA));
	fake.reg[VCPU_CR3] = ~0ull;
	assert_false(run(LAPIC_GPA));
	assert_int_equal(accesses, before);
	assert_int_equal(fake.lock_depth, 0);
	/* the second page of an instruction missing: not half of it */
	make(state);
	memcpy(&guest[0x8ffe], "\xc7\x00", 2);
	put64(0x4000 + 9 * 8, 0);
	fake.reg[VCPU_RIP] = 0x8ffe;
	assert_false(run(LAPIC_GPA));
	assert_int_equal(accesses, 0);
}

static void fetch_without_paging(void **state)
{
	uint8_t b[4];

	(void)state;
	memcpy(&guest[0x7020], "abcd", 4);
	fake.reg[VCPU_CR0] = 0;
	fake.reg[VCPU_EFER] = 0;
	assert_int_equal(guest_fetch(&vcpu, 0x7020, 0, b, 4), 4);
	assert_memory_equal(b, "abcd", 4);
	/* the end of memory ends it */
	assert_int_equal(guest_fetch(&vcpu, sizeof(guest) - 2, 0, b, 4), 2);
	/* paging forms that are not understood */
	fake.reg[VCPU_CR0] = CR0_PE | CR0_PG;
	assert_int_equal(guest_fetch(&vcpu, 0x7020, 0, b, 4), 0);
}

/* The last page's pointer is kept, and is good while nothing was taken from the
 * partition since before it was asked for, and for the same tables. */
static void fetch_again(void **state)
{
	uint8_t b[FETCH_MAX];

	(void)state;
	memset(&guest[0x8000], 'a', PAGE_SIZE);
	memset(&guest[0x6000], 'b', PAGE_SIZE);
	guest_fetch_forget(&vcpu);
	looked_up = 0;
	assert_int_equal(guest_fetch(&vcpu, 0x8010, 0x1000, b, FETCH_MAX),
			 FETCH_MAX);
	assert_in_range(looked_up, 5, FETCH_MAX);
	looked_up = 0;
	assert_int_equal(guest_fetch(&vcpu, 0x8020, 0x1000, b, FETCH_MAX),
			 FETCH_MAX);
	assert_int_equal(looked_up, 0);
	/* something was given back: that page, for all that is known */
	part.gpm_epoch++;
	put64(0x4000 + 8 * 8, 0x6000 | 1);
	assert_int_equal(guest_fetch(&vcpu, 0x8020, 0x1000, b, FETCH_MAX),
			 FETCH_MAX);
	assert_int_equal(b[0], 'b');
	/* while it was looked up */
	moves = true;
	guest_fetch_forget(&vcpu);
	(void)guest_fetch(&vcpu, 0x8020, 0x1000, b, FETCH_MAX);
	moves = false;
	put64(0x4000 + 8 * 8, 0x8000 | 1);
	(void)guest_fetch(&vcpu, 0x8020, 0x1000, b, FETCH_MAX);
	assert_int_equal(b[0], 'a');
	/* other tables, another page, over its end, at a reset */
	put64(0x5000, 0x2000 | 1);
	put64(0x4000 + 8 * 8, 0x6000 | 1);
	(void)guest_fetch(&vcpu, 0x8020, 0x5000, b, FETCH_MAX);
	assert_int_equal(b[0], 'b');
	(void)guest_fetch(&vcpu, 0x8ffe, 0x5000, b, FETCH_MAX);
	assert_int_equal(b[FETCH_MAX - 1], 'b');
	put64(0x4000 + 8 * 8, 0x8000 | 1);
	(void)guest_fetch(&vcpu, 0x9000, 0x5000, b, FETCH_MAX);
	assert_int_equal(b[0], 'b');
	guest_fetch_forget(&vcpu);
	(void)guest_fetch(&vcpu, 0x8000, 0x5000, b, FETCH_MAX);
	assert_int_equal(b[0], 'a');
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),
		cmocka_unit_test(exhaustive),
		cmocka_unit_test_setup(accesses_work, make),
		cmocka_unit_test_setup(accesses_refused, make),
		cmocka_unit_test_setup(fetch_without_paging, make),
		cmocka_unit_test_setup(fetch_again, make),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
