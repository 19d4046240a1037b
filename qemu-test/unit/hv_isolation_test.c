/* SPDX-License-Identifier: MIT */
/*
 * The checker of isolation against a machine that the hypervisor's own code makes: a
 * host, a template, its child, channels. It holds; then one entry after the other is
 * broken by hand, and each is found, by name. Once with each vendor's entries.
 */
#include "hv_isolation.h"

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

static uint64_t memory_type(void)
{
	return hvm == &hvm_vmx ? 0x70 : 0;
}

/* Each memory type but the right one, of which some are none; with EPT also the right one
 * if the guest's PAT may make it another. */
static void types(uint64_t *e, const struct partition *p, uint64_t right)
{
	uint64_t bits = hvm == &hvm_vmx ? 0x78 : 0x18, type;

	assert_int_equal(*e & bits, right);
	for (type = 0; type <= bits; type += 8) {
		if (type != right) {
			broken(e, (*e & ~bits) | type, PAGE, p);
		}
	}
}

static void pages(void **state)
{
	uint64_t *small = entry(linux_p, UNIT(2), 0), *big = entry(linux_p, UNIT(0), 1);
	struct boot_partition *c = &boot.partitions[1];
	uint8_t *owner;

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
	/* what is loaded, with more rights, there and amid RAM */
	broken(entry(host, 0x10000, 0), exec(*entry(host, 0x10000, 0)), PAGE, host);
	c->regions[c->region_count++] = (struct boot_region){ UNIT(2) + 2 * PAGE_SIZE, 0,
							      PAGE_SIZE, BOOT_MAP_WRITE, 0 };
	check_last.of = NULL;
	finds(PAGE, linux_p);
	c->region_count--;
	check_last.of = NULL;
	assert_string_equal(look(), "");
	/* one page of a large one is another's */
	owner = (uint8_t *)&check_owners[(*big & ADDR) / PAGE_SIZE + 16 + 5];
	*owner = FRAME_PARTITION0;
	finds(PAGE, linux_p);
	*owner = FRAME_PARTITION0 + 1;
	types(small, linux_p, memory_type());
	types(big, linux_p, memory_type());
	types(entry(host, 0x10000, 0), host, memory_type());
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
	/* the last partition's */
	broken((uint64_t *)hpa_ptr(child[1]->gpm_root) + 511, page_owned_by(FRAME_FREE) | 7, TABLE,
	       child[1]);
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
	types(e, linux_p, memory_type());
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
	broken(e, *e + PAGE_SIZE, PAGE, host);
	broken(e, exec(*e), PAGE, host);
	types(e, host, hvm == &hvm_vmx ? 0x40 : 0x18);
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

/* A device reaches the pool, at its place, to its end. */
static void pool(void **state)
{
	uint64_t pa = *entry(host, 0x10000, 0) & ADDR, at = 0x40000000;
	const struct { uint64_t at, pa, size; bool right; } page[] = {
		{ at, pa, PAGE_SIZE, true },
		{ at, pa, 2 * PAGE_SIZE, false },
		{ at + PAGE_SIZE, pa + PAGE_SIZE, PAGE_SIZE, false },
		{ at + PAGE_SIZE, pa, PAGE_SIZE, false },
		{ at - PAGE_SIZE, pa - PAGE_SIZE, PAGE_SIZE, false },
	};

	(void)state;
	boot.dma = (struct boot_region){ at, pa, PAGE_SIZE, BOOT_MAP_WRITE, 0 };
	assert_int_equal(owner_of(pa + PAGE_SIZE), FRAME_PARTITION0);
	assert_string_equal(look(), "");
	for (uint32_t i = 0; i < ARRAY_SIZE(page); i++) {
		check_device_page(0, page[i].at, page[i].pa, page[i].size, 3);
		if (page[i].right) {
			check_boot();
		} else {
			assert_panics(check_boot());
			assert_non_null(strstr(said, "a device reaches what is not the pool"));
		}
		assert_string_equal(look(), "");
	}
	memset(&boot.dma, 0, sizeof(boot.dma));
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
	for (i = 0xcfc; i < 0xd00; i++) {
		open_bit(map, i, "a port is open");
	}
	c->port_count = 0;
	for (i = 0; i < 8; i++) {
		open_bit(linux_p->native_msrs, i * 4096 + 0x82, "an MSR is open");
	}
	/* beside SYSENTER's; AMD's have two bits each */
	for (i = 0x173; i < 0x178; i += 4) {
		open_bit(linux_p->native_msrs, hvm == &hvm_vmx ? i : 2 * i, "an MSR is open");
	}
	/* .. and beside the bases' */
	for (i = 0xff; i < 0x104; i += 4) {
		open_bit(linux_p->native_msrs, hvm == &hvm_vmx ? 8192 + i : 16384 + 2 * i,
			 "an MSR is open");
	}
}

/* --- the manifest's meaning ------------------------------------------------- */

/* Who has what, where, with which rights changes it; which memory that is does not. */
static void meaning(void **state)
{
	struct boot_partition *c = &boot.partitions[1];
	uint64_t was = check_meaning();

	(void)state;
	c->regions[0].hpa ^= PAGE_SIZE;
	c->start_cr3 ^= PAGE_SIZE;
	assert_true(check_meaning() == was);
	c->regions[0].hpa ^= PAGE_SIZE;
	c->start_cr3 ^= PAGE_SIZE;
	c->ports[0].last ^= 1;
	assert_true(check_meaning() != was);
	c->ports[0].last ^= 1;
	boot.channels[boot.channel_count - 1].peer[1] ^= 1;
	assert_true(check_meaning() != was);
	boot.channels[boot.channel_count - 1].peer[1] ^= 1;
	boot.channels[0].output_size ^= PAGE_SIZE;
	assert_true(check_meaning() != was);
	boot.channels[0].output_size ^= PAGE_SIZE;
	boot.partition_count--;
	assert_true(check_meaning() != was);
	boot.partition_count++;
	assert_true(check_meaning() == was);
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
		cmocka_unit_test(meaning),
		cmocka_unit_test(pool),
		cmocka_unit_test(list),
		cmocka_unit_test(cpus_asked),
		cmocka_unit_test(started_again),
		cmocka_unit_test(devices),
	};

	return cmocka_run_group_tests(tests, machine, NULL);
}
