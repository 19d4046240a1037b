/* SPDX-License-Identifier: MIT */
/*
 * The checker of isolation against a machine that the hypervisor's own code makes: a
 * host, a template, its child, channels. It holds; then one entry after the other is
 * broken by hand, and each is found, by name. Once with each vendor's entries.
 */
#include <asm/prctl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hv_fork.h"
#include "hypervisor/check/check.h"
#include "hypervisor/iommu/iommu_int.h"

#define PAGE	"it reaches a page that is not its own, or with more rights"
#define TWICE	"a page that another can write, too"
#define TABLE	"a table is not memory of its owner's"
#define USED	"a table is used twice"
#define OWN	"the hypervisor maps what it should not"
#define ADDR	0x000ffffffffff000ull
#define NX	BIT64(63)

#define HOST_CHANNEL	0xa0000000ull
#define GUEST_CHANNEL	0xe4000000ull
#define SECTION		(BIG_PAGE_SIZE + PAGE_SIZE)
#define HOST_MMIO	0xb0000000ull
#define TEXT		2u		/* pages of the image, then one of constants .. */
#define IMAGE		5u		/* .. and data, so many in all */

/* hypervisor.lds: where these end. */
__asm__(".globl text_end, rodata_end\n"
	".set text_end, 0xffffffff80002000\n"
	".set rodata_end, 0xffffffff80003000\n");

struct iommu_unit iommu_units[BOOT_MAX_IOMMUS];
uint32_t iommu_unit_count;
const struct iommu_ops *iommu_ops, iommu_vtd;
uint64_t paging_cr3;
static char said[256];
static bool answers = true;
static uint32_t looked[2];
static uint64_t own_root, image;

static struct pt_format ept = {
	.table = 7, .present = 7, .leaf = BIT64(0) | BIT64(6), .large = BIT64(7),
	.write = BIT64(1), .exec = BIT64(2), .cached = 6ull << 3,
};
static struct pt_format npt = {
	.table = 7, .present = 1, .leaf = BIT64(0) | BIT64(2), .large = BIT64(7),
	.write = BIT64(1), .no_exec = BIT64(63), .uncached = BIT64(3) | BIT64(4),
};

/* Bitmaps of MSRs: all exit, but FS_BASE. */
uint8_t *msr_map(void)
{
	uint8_t *map = hpa_ptr(frame_boot(FRAME_HYPERVISOR, 2 * PAGE_SIZE, "MSRs"));

	memset(map, 0xff, 2 * PAGE_SIZE);
	if (hvm == &hvm_vmx) {
		map[1024 + 0x100 / 8] &= 0xfe;
	} else {
		map[2048 + 0x100 / 4] &= 0xfc;
	}
	return map;
}

static void vcpu_ok(struct vcpu *v)
{
	(void)v;
}

static void copy(struct vcpu *v, const struct vcpu *from)
{
	(void)v;
	(void)from;
}

static uint64_t reg_of(struct vcpu *v, enum vcpu_reg reg)
{
	(void)v;
	(void)reg;
	return 0;
}

const struct hvm_ops hvm_vmx = {
	.gpm_format = &ept, .vcpu_init = vcpu_ok,
	.vcpu_copy = copy, .vcpu_get = reg_of,
};
const struct hvm_ops hvm_svm = {
	.gpm_format = &npt, .vcpu_init = vcpu_ok,
	.vcpu_copy = copy, .vcpu_get = reg_of,
};
const struct hvm_ops *hvm = &FORMAT;

void log_write(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(said, sizeof(said), fmt, ap);
	va_end(ap);
}

enum hc_iommu iommu_state(void)
{
	return HC_IOMMU_NONE;
}

uint32_t read_device32(const volatile uint8_t *at)
{
	return *at;
}

uint64_t read_device64(const volatile uint8_t *at)
{
	return *at;
}

uint64_t read_cr3(void)
{
	return own_root;
}

uint64_t rdtsc(void)
{
	return fake.tsc += 100000;
}

void check_cpu_state(void)
{
	looked[this_cpu()->index]++;
}

void lapic_ipi(uint32_t apic_id, uint8_t vector)
{
	assert_int_equal(apic_id, cpus[1]->apic_id);
	assert_int_equal(vector, VECTOR_CHECK);
	if (answers) {
		syscall(SYS_arch_prctl, ARCH_SET_GS, &fake_cpu[1]);
		check_cpu();
		syscall(SYS_arch_prctl, ARCH_SET_GS, &fake_cpu[0]);
	}
}

/* --- looking and breaking ----------------------------------------------- */

/* The words: "" if all is right. */
static const char *look(void)
{
	struct guest_regs r;

	assert_int_equal(check_query(&r), HC_OK);
	assert_int_equal(r.rdi, strstr(said, "isolation holds") == NULL);
	return r.rdi ? said : "";
}

static void finds(const char *words, const struct partition *p)
{
	const char *found = look();

	if (!strstr(found, words) || (p && !strstr(found, p->config->name))) {
		fail_msg("not \"%s\": \"%s\"", words, found);
	}
}

/* With *e another value. */
static void broken(uint64_t *e, uint64_t value, const char *words, const struct partition *p)
{
	uint64_t old = *e;

	assert_int_not_equal(value, old);
	*e = value;
	finds(words, p);
	*e = old;
	assert_string_equal(look(), "");
}

static uint64_t *entry_of(uint64_t root, uint64_t at, int level)
{
	uint64_t *t = hpa_ptr(HPA(root));
	int l;

	for (l = 3; l > level; l--) {
		uint64_t e = t[at >> (12 + 9 * l) & 511];

		assert_true(e & 1 && !(e & BIT64(7)));
		t = hpa_ptr(HPA(e & ADDR));
	}
	return &t[at >> (12 + 9 * level) & 511];
}

static uint64_t *entry(struct partition *p, uint64_t gpa, int level)
{
	return entry_of(p->gpm_root.v, gpa, level);
}

/* Small RAM: a page to be read, written and executed. */
static uint64_t ram(uint64_t pa)
{
	return (*entry(linux_p, UNIT(2), 0) & ~ADDR) | pa;
}

static uint64_t large(uint64_t pa)
{
	return ram(pa) | BIT64(7);
}

static uint64_t exec(uint64_t e)
{
	return hvm == &hvm_vmx ? e | BIT64(2) : e & ~NX;
}

static uint64_t page_owned_by(uint32_t owner)
{
	uint64_t pa = 0x100000;

	while (owner_of(pa) != owner) {
		pa += PAGE_SIZE;
	}
	return pa;
}

/* --- the machine ---------------------------------------------------------- */

static void own_map(uint64_t va, uint64_t pa, uint64_t bits)
{
	uint64_t *t = hpa_ptr(HPA(own_root));
	int l;

	for (l = 3; l > 0; l--) {
		uint64_t *e = &t[va >> (12 + 9 * l) & 511];

		*e = *e ? *e : frame_alloc(FRAME_HYPERVISOR, true).v | 3;
		t = hpa_ptr(HPA(*e & ADDR));
	}
	t[va >> 12 & 511] = pa | bits;
}

static bool is_mapped(uint64_t pa)
{
	return (pa < 0xa0000 || pa >= 0x100000) &&
	       (pa < image || pa >= image + IMAGE * PAGE_SIZE) &&
	       (pa < MACHINE - 2 * MIB || pa >= MACHINE - MIB);
}

static int machine(void **state)
{
	uint64_t pa;

	section_size = SECTION;
	host_restarts = 1;
	if (fork_machine(state)) {
		return -1;
	}
	template(state);
	put(forked(0), UNIT(1), 1);
	(void)get(child[0]->vcpus[0], UNIT(2));
	own_root = frame_alloc(FRAME_HYPERVISOR, true).v;
	image = frame_alloc_run(FRAME_HYPERVISOR, BIG_PAGE_SIZE).v;
	boot.image_phys = image;
	boot.image_size = IMAGE * PAGE_SIZE;
	for (pa = 0; pa < MACHINE; pa += PAGE_SIZE) {
		if (is_mapped(pa)) {
			own_map(DMAP_BASE + pa, pa, NX | 3);
		}
	}
	for (pa = 0; pa < IMAGE; pa++) {
		own_map(HV_IMAGE_BASE + pa * PAGE_SIZE, image + pa * PAGE_SIZE,
			pa < TEXT ? 1 : pa == TEXT ? NX | 1 : NX | 3);
	}
	own_map(0xfffffe8000000000, 0xfee00000, NX | 0x1b);
	check_init();
	return 0;
}

/* --- what is found --------------------------------------------------------- */

/* Before the checker knows where channels lie: an MSI-X page that is a state table, which
 * nobody may write. */
static void first_look(void **state)
{
	uint64_t *e = entry(linux_p, CHANNEL_GUEST_MSIX_GPA, 0), old = *e;

	(void)state;
	*e = (*e & ~ADDR) | (*entry(host, HOST_CHANNEL, 0) & ADDR);
	finds(PAGE, linux_p);
	*e = old;
	assert_string_equal(look(), "");
	assert_non_null(strstr(said, "isolation holds: 4 partitions"));
	check_boot();
}

static void pages(void **state)
{
	uint64_t *small = entry(linux_p, UNIT(2), 0), *big = entry(linux_p, UNIT(0), 1);

	(void)state;
	broken(small, ram(*entry(host, 0x10000, 0) & ADDR), PAGE, linux_p);
	broken(small, ram(page_owned_by(FRAME_FREE)), PAGE, linux_p);
	broken(small, ram(page_owned_by(FRAME_HYPERVISOR)), PAGE, linux_p);
	broken(small, ram(0xa0000), PAGE, linux_p);
	broken(small, ram(0xfd000000), PAGE, linux_p);
	broken(small, ram(MACHINE), PAGE, linux_p);
	broken(small, ram(ADDR), PAGE, linux_p);
	broken(small, ram(*entry(host, HOST_CHANNEL, 0) & ADDR), PAGE, linux_p);
	broken(small, small[1], TWICE, linux_p);
	broken(small, ram(linux_p->gpm_root.v), PAGE, linux_p);
	broken(small, ram(*entry(linux_p, UNIT(2), 1) & ADDR), PAGE, linux_p);
	/* where there is to be none */
	broken(entry(linux_p, 0x5000, 0) + 0x9f - 5, ram(*small & ADDR), PAGE, linux_p);
	/* large ones, of which one page is another's */
	broken(big, large(0), PAGE, linux_p);
	broken(big, large(*entry(linux_p, UNIT(1), 1) & ADDR & ~BIG_PAGE_MASK), TWICE, linux_p);
	broken(entry(linux_p, LINUX_RAM, 2), large(0), PAGE, linux_p);
	broken(entry(linux_p, LINUX_RAM, 3), large(0), PAGE, linux_p);
	/* what is loaded, with more rights */
	broken(entry(host, 0x10000, 0), exec(*entry(host, 0x10000, 0)), PAGE, host);
	if (hvm == &hvm_vmx) {
		/* misconfigured, and what can be executed only */
		broken(small, (*small & ~7ull) | 2, PAGE, linux_p);
		broken(small, (*small & ~7ull) | 6, PAGE, linux_p);
		broken(small, (*small & ~7ull) | 4, PAGE, linux_p);
		broken(entry(linux_p, UNIT(2), 1), *entry(linux_p, UNIT(2), 1) & ~1ull, PAGE,
		       linux_p);
	}
}

static void tables(void **state)
{
	uint64_t *e = entry(linux_p, UNIT(2), 1);

	(void)state;
	broken(e, (*entry(host, 0x10000, 1) & ADDR) | 7, TABLE, linux_p);
	broken(e, page_owned_by(FRAME_FREE) | 7, TABLE, linux_p);
	broken(e, ADDR | 7, TABLE, linux_p);
	broken(e, MACHINE | 7, TABLE, linux_p);
	broken(e + 1, *e, USED, linux_p);
	broken(e, linux_p->gpm_root.v | 7, USED, linux_p);
	broken(&linux_p->gpm_root.v, child[0]->gpm_root.v, TABLE, linux_p);
	broken(entry(linux_p, LINUX_RAM, 3) + 1, *entry(linux_p, LINUX_RAM, 3), USED, linux_p);
}

static void childs(void **state)
{
	struct partition *c = child[0];
	uint64_t *shared = entry(c, UNIT(2), 0), *own = entry(c, UNIT(1), 0);

	(void)state;
	assert_int_equal(owner_of(*shared & ADDR), FRAME_PARTITION0 + 1);
	assert_int_equal(owner_of(*own & ADDR), FRAME_PARTITION0 + 2);
	broken(shared, *shared | 2, PAGE, c);
	broken(shared, (*shared & ~ADDR) | (*entry(linux_p, UNIT(2), 1) & ADDR), PAGE, c);
	broken(entry(linux_p, UNIT(2), 0), ram(*own & ADDR), PAGE, linux_p);
	broken((uint64_t *)&c->template, 0, PAGE, c);
}

static void channels(void **state)
{
	uint64_t theirs = *entry(host, HOST_CHANNEL + 0x4000000, 0) & ADDR, *e;
	uint64_t region = *entry(host, HOST_CHANNEL, 0) & ADDR;

	(void)state;
	/* the state table, a section of either end */
	e = entry(linux_p, GUEST_CHANNEL, 0);
	broken(e, *e | 2, PAGE, linux_p);
	broken(e, exec(*e), PAGE, linux_p);
	broken(e, (*e & ~ADDR) | theirs, PAGE, linux_p);
	broken(e + 1, e[1] | 2, PAGE, linux_p);
	broken(e + 1, e[2], PAGE, linux_p);
	e = entry(linux_p, GUEST_CHANNEL + PAGE_SIZE + SECTION, 0);
	broken(e, exec(*e), PAGE, linux_p);
	broken(e, (*e & ~ADDR) | (theirs + PAGE_SIZE + SECTION), PAGE, linux_p);
	e = entry(host, HOST_CHANNEL + PAGE_SIZE + SECTION, 0);
	broken(e, *e | 2, PAGE, host);
	/* the last page, and one more */
	e = entry(linux_p, GUEST_CHANNEL + 2 * SECTION, 0);
	assert_true(*e && !e[1]);
	broken(e, *e & ~ADDR, PAGE, linux_p);
	broken(e + 1, *e + PAGE_SIZE, PAGE, linux_p);
	/* the MSI-X page: of another end, of the host's, which nobody has */
	e = entry(linux_p, CHANNEL_GUEST_MSIX_GPA, 0);
	broken(e, *entry(child[0], CHANNEL_GUEST_MSIX_GPA, 0), PAGE, linux_p);
	broken(e, (*e & ~ADDR) | page_owned_by(FRAME_CHANNEL), PAGE, linux_p);
	broken(e, (*e & ~ADDR) | region, PAGE, linux_p);
	broken(e, exec(*e), PAGE, linux_p);
	broken(e + 1, *e, PAGE, linux_p);
	/* a large page whose begin alone is in p's section */
	assert_int_equal(region & BIG_PAGE_MASK, 0);
	broken(entry(host, HOST_CHANNEL + BIG_PAGE_SIZE, 1), (*entry(host, HOST_CHANNEL + PAGE_SIZE,
	       0) & ~ADDR) | BIT64(7) | (region + BIG_PAGE_SIZE), PAGE, host);
}

static void devices(void **state)
{
	struct boot_partition *c = &boot.partitions[0], *other = &boot.partitions[3];
	uint64_t *e = entry(host, HOST_MMIO, 0);

	(void)state;
	broken(e, *e + 2 * PAGE_SIZE, PAGE, host);
	broken(e, exec(*e), PAGE, host);
	broken(e + 2, e[1] + PAGE_SIZE, PAGE, host);
	/* a large one, given; then it has something in it */
	c->mmio[1] = (struct boot_region){ HOST_MMIO + BIG_PAGE_SIZE, 0xfe000000, BIG_PAGE_SIZE,
					   BOOT_MAP_WRITE, 0 };
	c->mmio_count = 2;
	*entry(host, HOST_MMIO + BIG_PAGE_SIZE, 1) = (*e & ~ADDR) | 0xfe000000 | BIT64(7);
	assert_string_equal(look(), "");
	broken(&boot.lapic_phys, 0xfe1ff000, PAGE, host);
	broken(&boot.ioapic_phys, 0xfe0c0400, PAGE, host);
	boot.iommus.unit_count = 1;
	broken(&boot.iommus.units[0].base, 0xfe1fc000, PAGE, host);
	boot.ecam_count = 1;
	boot.ecam[0] = (struct boot_ecam){ 0xd0000000, 0, 0x10, 0x1f, 0 };
	broken(&boot.ecam[0].base, 0xfc200000, PAGE, host);
	boot.pci_count = 1;
	boot.pci[0].msix = 0x70;
	boot.pci[0].msix_count = 4;
	broken(&boot.pci[0].msix_table, 0xfe003000, PAGE, host);
	other->mmio[0] = (struct boot_region){ HOST_MMIO, 0xfe1ff000, PAGE_SIZE, 0, 0 };
	other->mmio_count = 1;
	finds(PAGE, host);
	other->mmio_count = 0;
	/* memory of ours is no device's, whatever the manifest says */
	c->mmio[1].hpa = MACHINE - 2 * BIG_PAGE_SIZE;
	*entry(host, HOST_MMIO + BIG_PAGE_SIZE, 1) ^= 0xfe000000 ^ c->mmio[1].hpa;
	finds(PAGE, host);
}

static void own(void **state)
{
	uint64_t *text = entry_of(own_root, HV_IMAGE_BASE, 0), *e;

	(void)state;
	broken(text, text[0] | 2, OWN, NULL);
	broken(text, text[1], OWN, NULL);
	broken(text + TEXT, text[TEXT] & ~NX, OWN, NULL);
	broken(text + TEXT, text[TEXT] | 2, OWN, NULL);
	broken(text + TEXT + 1, text[TEXT + 1] & ~NX, OWN, NULL);
	/* behind the image; all of it as text */
	broken(text + IMAGE, (image + IMAGE * PAGE_SIZE) | NX | 3, OWN, NULL);
	broken(entry_of(own_root, HV_IMAGE_BASE, 1), image | 0x81, OWN, NULL);
	e = entry_of(own_root, DMAP_BASE + image, 0);
	broken(e, image | NX | 3, OWN, NULL);
	broken(e + IMAGE, e[IMAGE] & ~NX, OWN, NULL);
	broken(e + IMAGE, e[IMAGE + 1], OWN, NULL);
	broken(entry_of(own_root, DMAP_BASE, 0) + 0xa0, 0xa0000 | NX | 3, OWN, NULL);
	broken(entry_of(own_root, DMAP_BASE + MACHINE - BIG_PAGE_SIZE, 0),
	       (MACHINE - BIG_PAGE_SIZE) | NX | 3, OWN, NULL);
	/* where programs are; the devices' place for memory */
	broken(hpa_ptr(HPA(own_root)), *entry_of(own_root, DMAP_BASE, 3), USED, NULL);
	e = entry_of(own_root, 0xfffffe8000000000, 0);
	broken(e, *e & ~NX, OWN, NULL);
	broken(e, page_owned_by(FRAME_FREE) | NX | 3, OWN, NULL);
	/* no table of the hypervisor's is a partition's */
	broken(entry_of(own_root, DMAP_BASE, 1), linux_p->gpm_root.v | 3, TABLE, NULL);
	broken(entry(linux_p, UNIT(2), 0), ram(own_root), PAGE, linux_p);
}

static void open_bit(uint8_t *map, uint32_t bit, const char *words)
{
	map[bit / 8] &= (uint8_t)~(1u << bit % 8);
	finds(words, linux_p);
	map[bit / 8] |= (uint8_t)(1u << bit % 8);
}

static void bitmaps(void **state)
{
	static const uint32_t port[] = { 0, 0x60, 0x3f8, 0xcf8, 0xcff, 0xffff, 0x10000, 0x10002 };
	struct boot_partition *c = &boot.partitions[1];
	uint8_t *map = linux_p->native_ports;
	uint32_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(port); i++) {
		open_bit(map, port[i], "a port is open");
	}
	/* given: alone, to another, to both, and what cannot be given */
	c->port_count = 1;
	c->ports[0] = (struct boot_port){ 0x60, 0x64, BOOT_PORT_NATIVE };
	open_bit(map, 0x65, "a port is open");
	map[0x60 / 8] &= 0xfe;
	assert_string_equal(look(), "");
	boot.partitions[0].port_count = 1;
	boot.partitions[0].ports[0] = c->ports[0];
	finds("a port is open", linux_p);
	boot.partitions[0].port_count = 0;
	map[0x60 / 8] |= 1;
	c->ports[0].policy = BOOT_PORT_FORWARD;
	open_bit(map, 0x62, "a port is open");
	c->ports[0] = (struct boot_port){ 0xcf8, 0xcff, BOOT_PORT_NATIVE };
	open_bit(map, 0xcf8, "a port is open");
	open_bit(map, 0xcfc, "a port is open");
	c->port_count = 0;
	for (i = 0; i < 8; i++) {
		open_bit(linux_p->native_msrs, i * 4096 + 0x82, "an MSR is open");
	}
}

/* --- the list ---------------------------------------------------------------- */

static void list(void **state)
{
	static const uint64_t end[] = { BIT64(48), ~0ull, BIT64(63), BIT64(48) - 1, BIT64(47) };
	struct gpm_entry e;
	struct guest_regs r;
	uint64_t at, last, listed = 0, present = 0;
	uint32_t i, n = 0;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(end); i++) {
		r.rdx = end[i];
		assert_int_equal(check_query_map(1, &r), HC_ENOENT);
	}
	r.rdx = 0;
	assert_int_equal(check_query_map(4, &r), HC_ENOENT);
	assert_int_equal(check_query_map(~0ull, &r), HC_ENOENT);
	for (at = last = 0; (r.rdx = at, check_query_map(1, &r)) == HC_OK; n++) {
		assert_true(r.rdi >= at && r.rsi && !(r.rsi & PAGE_MASK));
		at = r.rdi + r.rsi;
		for (uint64_t in = 0; in < r.rsi; in += PAGE_SIZE) {
			assert_true(gpm_lookup(linux_p, GPA(r.rdi + in), &e) && e.present);
			assert_int_equal(e.pa.v, r.rdx + in);
			assert_int_equal(r.r10, 1 | (e.write ? 2 : 0) | (e.exec ? 4 : 0));
			listed++;
		}
	}
	for (at = 0; at < 0x100000000; at += PAGE_SIZE) {
		present += gpm_lookup(linux_p, GPA(at), &e) && e.present;
	}
	assert_int_equal(listed, present);
	assert_in_range(n, 5, 40);
	/* from within a large page, and from its last byte */
	for (at = UNIT(0) + 0x1234; at < UNIT(1); at += BIG_PAGE_SIZE - 0x1235) {
		r.rdx = at;
		assert_int_equal(check_query_map(1, &r), HC_OK);
		assert_true(r.rdi <= at && r.rdi + r.rsi > at);
	}
	assert_int_equal(fake.lock_depth, 0);
}

static void cpus_asked(void **state)
{
	(void)state;
	looked[0] = looked[1] = 0;
	assert_string_equal(look(), "");
	assert_int_equal(looked[0], 1);
	assert_int_equal(looked[1], 1);
	answers = false;
	finds("a CPU does not answer", NULL);
	answers = true;
	assert_string_equal(look(), "");
}

/* --- the host partition, started again ------------------------------------------ */

void start_host(void)
{
	const struct vcpu_start s = { .kind = VCPU_RESET_LONG };

	assert_int_equal(partition_start(host, &s), HC_OK);
}

static void started_again(void **state)
{
	struct vcpu *v = host->vcpus[0];

	(void)state;
	v->running = 1;
	partition_kill(v, HC_REASON_TRIPLE_FAULT, 0);
	assert_int_equal(host->state, HC_STATE_RUNNING);
	assert_string_equal(look(), "");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_look),
		cmocka_unit_test(pages),
		cmocka_unit_test(tables),
		cmocka_unit_test(childs),
		cmocka_unit_test(channels),
		cmocka_unit_test(own),
		cmocka_unit_test(bitmaps),
		cmocka_unit_test(list),
		cmocka_unit_test(cpus_asked),
		cmocka_unit_test(started_again),
		cmocka_unit_test(devices),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
