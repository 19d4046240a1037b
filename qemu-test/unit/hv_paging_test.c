/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's own address space: what of the machine's memory it maps and
 * with which rights, up to terabytes; and that it says where it ends.
 */
#include "hv_fakes.h"

#define GIB		BIT64(30)
#define TIB		BIT64(40)
#define IMAGE		0x40000000ull	/* physical */
#define SCREEN		0xd0001000ull
#define TABLES		508u		/* what its 2 MiB have room for */

#define PTE_P		BIT64(0)
#define PTE_W		BIT64(1)
#define PTE_PS		BIT64(7)
#define PTE_NX		BIT64(63)
#define PTE_ADDR	0x000ffffffffff000ull

/* The image: a page of code, one of constants, two of data; its tables. */
__asm__(".pushsection .data\n"
	".balign 4096\n"
	".globl image_start, text_end, rodata_end, image_end\n"
	"image_start: .skip 4096\n"
	"text_end: .skip 4096\n"
	"rodata_end: .skip 8192\n"
	"image_end: .skip 508 * 4096\n"
	".popsection");
extern char image_start[], text_end[], rodata_end[], image_end[];
extern uint64_t paging_cr3;

static bool gib_pages;
static uint64_t efer, cr3, flushes;

struct cpuid_regs cpuid(uint32_t leaf, uint32_t sub)
{
	(void)sub;
	return (struct cpuid_regs){ .eax = 0x80000008,
		.edx = leaf == 0x80000001 && gib_pages ? BIT32(26) : 0 };
}

uint64_t rdmsr(uint32_t msr)
{
	assert_int_equal(msr, MSR_IA32_EFER);
	return efer;
}

void wrmsr(uint32_t msr, uint64_t v)
{
	assert_int_equal(msr, MSR_IA32_EFER);
	efer = v;
}

uint64_t read_cr0(void)
{
	return CR0_PE | CR0_PG;
}

void write_cr0(uint64_t v)
{
	assert_true(v & CR0_WP);
}

void write_cr3(uint64_t v)
{
	/* NX bits are reserved ones without NXE */
	assert_true(efer & EFER_NXE);
	cr3 = v;
	flushes++;
}

uint64_t read_cr4(void)
{
	return CR4_PAE;
}

void write_cr4(uint64_t v)
{
	assert_true(v & CR4_PGE);
}

static uint64_t *table(uint64_t entry)
{
	return (uint64_t *)(uintptr_t)((entry & PTE_ADDR) - IMAGE +
				       HV_IMAGE_BASE);
}

/* The leaf for va, and what it is of; 0: none. */
static uint64_t leaf(uint64_t va, uint64_t *size)
{
	uint64_t e = cr3 | PTE_P;
	int level;

	for (level = 3; level >= 0; level--) {
		e = table(e)[(va >> (12 + 9 * level)) & 511];
		*size = BIT64(12 + 9 * level);
		if (!(e & PTE_P)) {
			return 0;
		}
		if (e & PTE_PS) {
			break;
		}
	}
	return e;
}

/* Memory at pa is mapped to itself, to be read and written only. */
static void assert_memory(uint64_t pa)
{
	uint64_t size, e = leaf(DMAP_BASE + pa, &size);

	assert_int_not_equal(e, 0);
	assert_int_equal(e & PTE_ADDR & ~(size - 1), pa & ~(size - 1));
	assert_int_equal(e & (PTE_W | PTE_NX), PTE_W | PTE_NX);
}

static void assert_absent(uint64_t pa)
{
	uint64_t size;

	assert_int_equal(leaf(DMAP_BASE + pa, &size), 0);
}

/* A machine with memory up to top, which is beyond 4 GiB. */
static void machine(uint64_t top)
{
	static struct boot_info info;

	if (cr3) {
		memset(image_end, 0, TABLES * PAGE_SIZE);
	}
	boot.image_phys = IMAGE;
	boot.image_size = BIG_PAGE_SIZE;
	memset(&info, 0, sizeof(info));
	info.mem[0] = (struct boot_mem){ 0x1000, 0x9e000, BOOT_MEM_FREE, 0 };
	info.mem[1] = (struct boot_mem){ 0x100000, 3 * GIB - 0x100000,
					 BOOT_MEM_FREE, 0 };
	info.mem[2] = (struct boot_mem){ 3 * GIB, 0x200000,
					 BOOT_MEM_FIRMWARE, 0 };
	info.mem[3] = (struct boot_mem){ 4 * GIB, top - 4 * GIB - PAGE_SIZE,
					 BOOT_MEM_FREE, 0 };
	info.mem_count = 4;
	info.screen = (struct boot_screen){ SCREEN, 3 * BIG_PAGE_SIZE + PAGE_SIZE,
					    800, 600, 800, 1 };
	paging_init(&info);
	assert_int_equal(cr3, paging_cr3);
}

static void terabytes(void **state)
{
	static const uint64_t there[] = {
		0x1000, 0x9e000, 0x100000, 2 * GIB, 3 * GIB - PAGE_SIZE,
		4 * GIB, 511 * GIB, 512 * GIB, 513 * GIB + 0x1234000,
		3 * TIB - 2 * PAGE_SIZE,
	};
	static const uint64_t absent[] = {
		0, 0x9f000, 0xff000, IMAGE, IMAGE + 4 * PAGE_SIZE,
		3 * GIB, 3 * GIB + 0x300000, 3 * TIB - PAGE_SIZE, 3 * TIB,
	};
	uint64_t size, e;
	uint32_t i;

	(void)state;
	fakes_reset();
	gib_pages = true;
	machine(3 * TIB);
	for (i = 0; i < ARRAY_SIZE(there); i++) {
		assert_memory(there[i]);
	}
	for (i = 0; i < ARRAY_SIZE(absent); i++) {
		assert_absent(absent[i]);
	}
	/* of the image's 2 MiB, what no table needs, and some to come */
	assert_in_range(boot.image_size, 16 * PAGE_SIZE, 40 * PAGE_SIZE);
	assert_absent(IMAGE + boot.image_size - PAGE_SIZE);
	e = leaf((uintptr_t)image_start + boot.image_size - 1, &size);
	assert_int_equal(e & (PTE_W | PTE_NX), PTE_W | PTE_NX);
	assert_int_equal(leaf((uintptr_t)image_start + boot.image_size, &size), 0);
	assert_memory(IMAGE + boot.image_size);
	assert_memory(IMAGE + BIG_PAGE_SIZE - PAGE_SIZE);
	leaf(DMAP_BASE + TIB, &size);
	assert_int_equal(size, GIB);
	/* the image: nothing both writable and executable */
	e = leaf((uintptr_t)image_start, &size);
	assert_int_equal(e & (PTE_W | PTE_NX), 0);
	e = leaf((uintptr_t)text_end, &size);
	assert_int_equal(e & (PTE_W | PTE_NX), PTE_NX);
	e = leaf((uintptr_t)image_end - 1, &size);
	assert_int_equal(e & (PTE_W | PTE_NX), PTE_W | PTE_NX);
}

static void without_gib_pages(void **state)
{
	uint64_t size;

	(void)state;
	fakes_reset();
	gib_pages = false;
	machine(140 * GIB);
	assert_memory(139 * GIB + 0x1234000);
	leaf(DMAP_BASE + 100 * GIB, &size);
	assert_int_equal(size, BIG_PAGE_SIZE);
	/* it says where it ends */
	assert_panics(machine(600 * GIB));
}

/* The page that shows device memory in turn: never executable, flushed each time,
 * and in the way of no other. */
static void a_window(void **state)
{
	uint64_t size, e, lapic, before;
	uint8_t *p;

	(void)state;
	fakes_reset();
	gib_pages = true;
	machine(5 * GIB);
	lapic = (uintptr_t)paging_map_device(0xfee00000, false);
	before = flushes;
	p = paging_window(0xe00fa044);
	assert_int_equal((uintptr_t)p & PAGE_MASK, 0x44);
	e = leaf((uintptr_t)p, &size);
	assert_int_equal(e & PTE_ADDR, 0xe00fa000);
	assert_int_equal(size, PAGE_SIZE);
	assert_int_equal(e & (PTE_W | PTE_NX | BIT64(3) | BIT64(4) | BIT64(8)),
			 PTE_W | PTE_NX | BIT64(3) | BIT64(4));
	assert_ptr_equal(paging_window(0x8000000000), p - 0x44);
	e = leaf((uintptr_t)p, &size);
	assert_int_equal(e & PTE_ADDR, 0x8000000000);
	assert_int_equal(flushes, before + 2);
	e = leaf(lapic, &size);
	assert_int_equal(e & PTE_ADDR, 0xfee00000);
}

/* The framebuffer is device memory: uncached, all of it, and nothing beside it. */
static void a_screen(void **state)
{
	const uint64_t end = SCREEN + 3 * BIG_PAGE_SIZE + PAGE_SIZE;
	uint64_t size, e, at;

	(void)state;
	fakes_reset();
	gib_pages = true;
	machine(5 * GIB);
	for (at = SCREEN; at < end; at += PAGE_SIZE) {
		assert_memory(at);
		e = leaf(DMAP_BASE + at, &size);
		assert_int_equal(e & (BIT64(3) | BIT64(4)), BIT64(3) | BIT64(4));
	}
	assert_absent(SCREEN - PAGE_SIZE);
	assert_absent(end);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(terabytes),
		cmocka_unit_test(without_gib_pages),
		cmocka_unit_test(a_window),
		cmocka_unit_test(a_screen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
