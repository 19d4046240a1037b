/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's own address space, made once on the boot CPU and shared by
 * all: its image at HV_IMAGE_BASE, each section with its own rights, and
 * memory one to one at DMAP_BASE, never executable, without the image. No page
 * is both writable and executable, and no page of the image, its tables included,
 * has a second, writable address. The memory of all partitions is in it, so that pages can
 * be zeroed and filled; the firmware's is not. So is the framebuffer, uncached.
 *
 * boot_info is trusted: boot/ has sorted and checked it. No locks: after
 * start-up nothing changes. [SDM3 "4-Level Paging and 5-Level Paging"]
 */
#include <hv.h>
#include <x86.h>

#define PTE_P	BIT64(0)
#define PTE_W	BIT64(1)
#define PTE_PWT	BIT64(3)
#define PTE_PCD	BIT64(4)
#define PTE_PS	BIT64(7)
#define PTE_G	BIT64(8)
#define PTE_NX	BIT64(63)
#define PTE_ADDR 0x000ffffffffff000ull

/* LAPIC and I/O APIC, page by page: see paging_map_device(). */
#define DEVICE_BASE	0xfffffe8000000000ull

/* The last page of the table that the pages before are in: see paging_window(). */
#define DEVICE_WINDOW		(DEVICE_BASE + 511 * PAGE_SIZE)

#define PTE_DATA	(PTE_P | PTE_W | PTE_G | PTE_NX)
#define GIB_PAGE_SIZE	BIT64(30)

/* Tables for edges of ranges, and without 1 GiB pages for each GiB, lie behind the
 * image, in its 2 MiB; more is a panic that says so. Those that are not used are
 * given to the pool, but for some: of devices, of the start-up page. */
#define TABLES		((uint64_t (*)[512])(uintptr_t)image_end)
#define TABLES_LATER	12u

/* hypervisor.lds; each at a page. */
extern const char image_start[], text_end[], rodata_end[], image_end[];

static uint32_t tables_used;
static uint64_t largest_page;
static uint32_t device_pages;
uint64_t paging_cr3;	/* APs load 32 bits of it */

static uint64_t image_va_to_pa(const void *p)
{
	return (uint64_t)(uintptr_t)p - HV_IMAGE_BASE + boot.image_phys;
}

/* Tables are reached in the image, where they lie: boot/'s tables map it too,
 * so this works before and after the switch. */
static uint64_t *table_at(uint64_t entry)
{
	uint64_t pa = entry & PTE_ADDR;

	return (uint64_t *)(uintptr_t)(pa - boot.image_phys + HV_IMAGE_BASE);
}

/* The table below an entry, made if there is none. Rights are the leaves'
 * alone. */
static uint64_t *table_next(uint64_t *entry)
{
	uint64_t *t;

	if (*entry & PTE_P) {
		return table_at(*entry);
	}
	if (image_va_to_pa(TABLES[tables_used]) - image_va_to_pa(image_start) >=
	    BIG_PAGE_SIZE) {
		panic("the hypervisor's own map needs more than its %u page "
		      "tables: %s", tables_used, largest_page == GIB_PAGE_SIZE ?
		      "the memory map is in too many pieces" :
		      "with a processor that has no 1 GiB pages, memory may "
		      "be no more than about 400 GiB");
	}
	t = TABLES[tables_used++];
	*entry = image_va_to_pa(t) | PTE_P | PTE_W;
	return t;
}

/* One page of 4 KiB, 2 MiB or 1 GiB. No flush: the caller knows if something
 * else was there. */
static void map_one(uint64_t va, uint64_t pa, uint64_t bits, uint64_t size)
{
	uint64_t *t = TABLES[0];
	uint32_t shift;

	for (shift = 39; BIT64(shift) > size; shift -= 9) {
		t = table_next(&t[(va >> shift) & 511]);
	}
	t[(va >> shift) & 511] = pa | bits | (size > PAGE_SIZE ? PTE_PS : 0);
}

/* [pa, end), if that is any, one to one by the largest pages that fit. */
static void map_range(uint64_t pa, uint64_t end, uint64_t bits)
{
	uint64_t step;

	for (; pa < end; pa += step) {
		for (step = largest_page; (pa & (step - 1)) || end - pa < step;) {
			step >>= 9;
		}
		map_one(DMAP_BASE + pa, pa, bits, step);
	}
}

/* By 4 KiB: sections end at pages, not at 2 MiB. */
static void map_image(const char *from, const char *to, uint64_t bits)
{
	uint64_t va;

	for (va = (uintptr_t)from; va < (uintptr_t)to; va += PAGE_SIZE) {
		map_one(va, va - HV_IMAGE_BASE + boot.image_phys, bits,
			PAGE_SIZE);
	}
}

/* RAM of the page pool, of partitions and of our own structures; not the
 * firmware's memory, and not the image. */
static void map_memory(const struct boot_mem *m)
{
	uint64_t end = m->base + m->size;
	uint64_t img = boot.image_phys;

	if (m->type != BOOT_MEM_FIRMWARE) {
		map_range(m->base, u64_min(end, img), PTE_DATA);
		map_range(u64_max(m->base, img + BIG_PAGE_SIZE), end, PTE_DATA);
	}
}

/* What the tables leave of the image's 2 MiB is memory like other memory. */
static void map_rest(void)
{
	const char *end = (const char *)TABLES[tables_used + TABLES_LATER];
	uint64_t img = boot.image_phys;

	boot.image_size = u64_min((uint64_t)(end - image_start), BIG_PAGE_SIZE);
	map_image(image_end, image_start + boot.image_size, PTE_DATA);
	map_range(img + boot.image_size, img + BIG_PAGE_SIZE, PTE_DATA);
}

/**
 * Builds the tables and switches to them. Boot CPU, once, before any other use
 * of DMAP_BASE, on boot/'s tables. bi->mem is sorted and 4 KiB granular. Out
 * of tables is a panic.
 */
void paging_init(const struct boot_info *bi)
{
	tables_used = 1;	/* the root */
	largest_page = cpuid(0x80000000, 0).eax >= 0x80000001 &&
		       (cpuid(0x80000001, 0).edx & BIT32(26)) ?
		       GIB_PAGE_SIZE : BIG_PAGE_SIZE;
	map_image(image_start, text_end, PTE_P | PTE_G);
	map_image(text_end, rodata_end, PTE_P | PTE_G | PTE_NX);
	map_image(rodata_end, image_end, PTE_DATA);
	for (uint32_t i = 0; i < bi->mem_count; i++) {
		map_memory(&bi->mem[i]);
	}
	map_range(bi->screen.base, bi->screen.base + bi->screen.size,
		  PTE_DATA | PTE_PCD | PTE_PWT);
	map_rest();
	/* before CR3: without NXE the NX bit is a reserved one, a page fault */
	wrmsr(MSR_IA32_EFER, rdmsr(MSR_IA32_EFER) | EFER_NXE);
	write_cr0(read_cr0() | CR0_WP);
	paging_cr3 = image_va_to_pa(TABLES[0]);
	write_cr3(paging_cr3);
	write_cr4(read_cr4() | CR4_PGE);
}

/**
 * Maps one page of device memory, uncached, for good; or of memory, so that writes
 * go through caches. pa: host-physical;
 * returns the address of its page's first byte. Boot CPU, before other CPUs
 * run, so nobody has cached the absence.
 */
void *paging_map_device(uint64_t pa, bool through)
{
	uint64_t va = DEVICE_BASE + device_pages++ * PAGE_SIZE;

	map_one(va, pa & ~PAGE_MASK, PTE_P | PTE_W | PTE_NX | PTE_PWT |
		(through ? 0 : PTE_PCD), PAGE_SIZE);
	return (void *)(uintptr_t)va;
}

/**
 * Device memory at pa, host-physical, uncached, until the next call: one page, of
 * which the address of that byte is returned. On CPU 0: what it knows of the page
 * before goes with the load of CR3.
 */
void *paging_window(uint64_t pa)
{
	map_one(DEVICE_WINDOW, pa & ~PAGE_MASK,
		PTE_P | PTE_W | PTE_NX | PTE_PCD | PTE_PWT, PAGE_SIZE);
	write_cr3(paging_cr3);
	return (void *)(uintptr_t)(DEVICE_WINDOW + (pa & PAGE_MASK));
}

/**
 * Maps the trampoline page one to one, executable and read-only, while APs
 * start; on = false takes it away. An AP jumps through it with paging just
 * turned on. Boot CPU: the APs' TLBs may keep it for a while, where nothing
 * jumps to it any more.
 */
void paging_trampoline(uint64_t pa, bool on)
{
	map_one(pa, pa, on ? PTE_P : 0, PAGE_SIZE);
	write_cr3(paging_cr3);
}
