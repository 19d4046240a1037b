/* SPDX-License-Identifier: MIT */
/*
 * AMD's IOMMU against a unit that does what [AMD-Vi] says: it keeps what it has
 * read until a command makes it forget just that, works later than it is told, lets
 * through whatever an entry that is not valid says nothing of, and logs what it
 * blocks. What devices reach is asked of the unit, never of our tables.
 */
#include "hv_check.h"

#define DISK	0x00fau
#define NIC	0x0200u
#define USB	0x00a0u			/* has reserved memory */
#define IOAPIC	0x00a1u
#define SELF	0x0010u

static struct unit {
	uint64_t devtab, commands, events, control, exclusion, features;
	uint32_t head, tail, event_head, event_tail, status, sleep;
	bool hangs;
	struct kept entries[KEPT], pages[KEPT], irtes[KEPT];
	uint32_t forgotten;		/* devices, of a unit that has to be told each */
} unit;
static struct boot_info bi;

static void forget(struct kept *k, uint64_t mask, uint64_t key)
{
	for (unsigned i = 0; i < KEPT; i++) {
		k[i].valid = k[i].valid && (k[i].key & mask) != key;
	}
}

static void command(uint64_t low, uint64_t high)
{
	switch (low >> 60) {
	case 1:
		assert_int_equal(low & 7, 1);
		unit_store(low & 0xffffffffffff8ull, high, 8);
		break;
	case 2:
		unit.forgotten++;
		forget(unit.entries, ~0ull, low & 0xffff);
		break;
	case 3:
		assert_int_equal(high, 0x7ffffffffffff003);
		forget(unit.pages, 0xffffull << 48, (low >> 32 & 0xffff) << 48);
		break;
	case 5:
		forget(unit.irtes, 0xffffull << 16, (low & 0xffff) << 16);
		break;
	case 8:
		assert_true(unit.features & 1 << 6);
		memset(unit.entries, 0, sizeof(unit.entries));
		memset(unit.pages, 0, sizeof(unit.pages));
		memset(unit.irtes, 0, sizeof(unit.irtes));
		break;
	default:
		fail_msg("a command that there is not");
	}
}

void unit_works(void)
{
	bool on = (unit.control & 0x1001) == 0x1001;

	/* the rings stop, and start, later than they are told */
	if (unit.sleep++ % 2) {
		unit.status = (unit.status & ~0x18u) | (on ? 0x10 : 0) |
			      ((unit.control & 5) == 5 ? 8 : 0);
	}
	for (unsigned n = 0; n < 64 && on && !unit.hangs && unit.head != unit.tail; n++) {
		uint64_t at = (unit.commands & 0xffffffffff000ull) + unit.head;

		command(unit_load(at), unit_load(at + 8));
		unit.head = (unit.head + 16) % 4096;
	}
}

void unit_write(uint32_t n, uint32_t at, uint64_t v, unsigned bytes)
{
	(void)bytes;
	assert_int_equal(n, 0);
	switch (at) {
	/* while something is on, what it uses stays */
	case 0x00: assert_false(unit.control & 1); unit.devtab = v; break;
	case 0x08: assert_false(unit.status & 0x10); unit.commands = v; break;
	case 0x10: assert_false(unit.status & 8); unit.events = v; break;
	case 0x18: unit.control = v; break;
	case 0x20: unit.exclusion = v; break;
	case 0x2000: unit.head = (uint32_t)v; break;
	case 0x2008: unit.tail = (uint32_t)v; break;
	case 0x2010: unit.event_head = (uint32_t)v; break;
	case 0x2018: unit.event_tail = (uint32_t)v; break;
	case 0x2020: unit.status &= ~((uint32_t)v & 7); break;
	default: fail_msg("register 0x%x is written", at);
	}
}

uint64_t unit_read(uint32_t n, uint32_t at)
{
	assert_int_equal(n, 0);
	switch (at) {
	case 0x00: return unit.devtab;
	case 0x18: return unit.control;
	case 0x20: return unit.exclusion;
	case 0x30: return unit.features;
	case 0x2010: return unit.event_head;
	case 0x2018: return unit.event_tail;
	case 0x2020: return unit.status;
	default: fail_msg("register 0x%x is read", at); return 0;
	}
}

static uint64_t blocked(uint32_t function, uint64_t at, bool write)
{
	uint64_t to = (unit.events & 0xffffffffff000ull) + unit.event_tail;

	if (!(unit.control & 4) || unit.status & 1) {
		return NOTHING;
	}
	if ((unit.event_tail + 16) % 4096 == unit.event_head) {
		unit.status |= 1;
		return NOTHING;
	}
	unit_store(to + 8, at, 8);
	unit_store(to, 2ull << 60 | (uint64_t)write << 53 | function, 8);
	unit.event_tail = (unit.event_tail + 16) % 4096;
	return NOTHING;
}

/* The device table entry, as it was read first. key + 0x10000: its third word. */
static struct kept *entry_of(uint32_t function)
{
	struct kept *k = kept_find(unit.entries, function);
	uint64_t at = (unit.devtab & 0xffffffffff000ull) + function * 32;

	assert_int_equal(unit.devtab & 0x1ff, 511);
	return k ? k : kept_add(unit.entries, function, unit_load(at), unit_load(at + 16));
}

static uint64_t access(uint32_t function, uint64_t at, bool write)
{
	struct kept *e, *p;
	uint64_t bit = write ? 1ull << 62 : 1ull << 61, domain, pte;
	unsigned level;

	if (!(unit.control & 1)) {
		return at;
	}
	if (unit.exclusion & 1) {
		return at;
	}
	e = entry_of(function);
	if (!(e->low & 1)) {
		return at;
	}
	assert_true(e->low & 2);
	if (!(e->low & bit)) {
		return blocked(function, at, write);
	}
	level = e->low >> 9 & 7;
	if (!level) {
		return at;
	}
	if (level < 6 && at >> (12 + 9 * level)) {
		return blocked(function, at, write);
	}
	domain = unit_load((unit.devtab & 0xffffffffff000ull) + function * 32 + 8) & 0xffff;
	p = kept_find(unit.pages, domain << 48 | at >> 12);
	if (!p) {
		for (pte = e->low; level > 0; level--) {
			assert_int_equal(pte >> 9 & 7, level);
			pte = unit_load((pte & 0xffffffffff000ull) +
					(at >> (3 + 9 * level) & 511) * 8);
			if (!(pte & 1) || !(pte & (3ull << 61))) {
				return blocked(function, at, write);
			}
		}
		assert_int_equal(pte >> 9 & 7, 0);
		p = kept_add(unit.pages, domain << 48 | at >> 12, pte, 0);
	}
	return p->low & bit ? (p->low & 0xffffffffff000ull) | (at & 0xfff) :
			      blocked(function, at, write);
}

/* vector | destination << 8, of a message with these data. */
static uint64_t message(uint32_t function, uint32_t data)
{
	struct kept *e = entry_of(function), *i;
	bool wide = unit.control & 1 << 17;
	uint64_t at = e->high & 0xfffffffffffc0ull, index = data & 0x7ff;

	if (!(e->high & 1)) {
		return data;		/* as it is */
	}
	if (e->high >> 60 != 2) {
		assert_int_equal(e->high >> 60, 0);
		return blocked(function, 0xfee00000, true);
	}
	if (index >= 1u << (e->high >> 1 & 15)) {
		return blocked(function, 0xfee00000, true);
	}
	i = kept_find(unit.irtes, (uint64_t)function << 16 | index);
	if (!i) {
		uint64_t low = unit_load(wide ? at + index * 16 : (at + index * 4) & ~7ull);

		low = wide ? low : index % 2 ? low >> 32 : (uint32_t)low;
		if (!(low & 1)) {
			return blocked(function, 0xfee00000, true);
		}
		i = kept_add(unit.irtes, (uint64_t)function << 16 | index, low,
			     wide ? unit_load(at + index * 16 + 8) : 0);
	}
	assert_int_equal(i->low & 0xfe, 0);	/* fixed, physical */
	return wide ? (i->high & 0xff) | (i->low >> 8 & 0xffffff) << 8 | i->high >> 56 << 32 :
	       (i->low >> 16 & 0xff) | (i->low >> 8 & 0xff) << 8;
}

static int machine(void **state)
{
	struct boot_iommus *i = &bi.iommus;

	(void)state;
	iommu_machine();
	iommu_snoops = true;
	memset(&unit, 0, sizeof(unit));
	memset(&bi, 0, sizeof(bi));
	unit.features = 1 << 6;
	i->kind = BOOT_IOMMU_AMD;
	i->flags = BOOT_IOMMUS_INTERRUPTS;
	i->unit_count = 1;
	i->units[0] = (struct boot_iommu){ .base = 0xfed80000, .function = SELF,
		.flags = BOOT_IOMMU_ALL, .settings = 2 };
	i->ioapic_function = IOAPIC;
	i->reserved_count = 1;
	i->reserved[0] = (struct boot_reserved){ .base = 0x3000000, .size = 0x1000,
		.first = USB, .last = USB };
	fake_cpu[0].apic_id = 5;
	return 0;
}

static void denied_at_first(void **state)
{
	(void)state;
	iommu_init(&bi);
	assert_int_equal(iommu_state(), HC_IOMMU_ON);
	assert_int_equal(unit.control & 2, 2);
	for (uint32_t f = 0; f < 0x10000; f += 0x555) {
		assert_int_equal(access(f, 0x100000, true), NOTHING);
		assert_int_equal(access(f, POOL_GPA, false), NOTHING);
		assert_int_equal(message(f, 0x41), NOTHING);
		forget(unit.entries, 0, 0);
	}
}

/* On, with rings in use and everything cached; and a unit that must be told each
 * entry, for it has no command for all. */
static void taken_over(void **state)
{
	(void)state;
	unit.features = 0;
	unit.control = 0x1005;
	unit.status = 0x18 | 1;
	unit.exclusion = 1;
	kept_add(unit.entries, DISK, 0, 0);
	kept_add(unit.entries, NIC, 3 | 4 << 9 | 3ull << 61, 1);
	kept_add(unit.pages, 1ull << 48 | 0x700, 0x700001 | 3ull << 61, 0);
	iommu_init(&bi);
	assert_int_equal(iommu_state(), HC_IOMMU_ON);
	assert_non_null(strstr(iommu_log, "firmware has left the IOMMU at 0xfed80000 on"));
	assert_int_equal(unit.forgotten, 0x10000);
	assert_int_equal(access(DISK, 0x700000, true), NOTHING);
	assert_int_equal(access(NIC, 0x700000, true), NOTHING);
	assert_int_equal(iommu_attach(&iommu_partition, DISK, &iommu_pool), HC_OK);
	assert_int_equal(access(DISK, 0x700000, true), NOTHING);
	assert_int_equal(iommu_detach(DISK), HC_OK);
}

static void pool_only(void **state)
{
	static const uint64_t other[] = { 0, 0x1000, POOL_HPA, POOL_GPA - 1,
		POOL_GPA + POOL_SIZE, 0xfee00000, 0x3000000, 1ull << 39, 1ull << 50 };

	(void)state;
	iommu_init(&bi);
	assert_int_equal(iommu_attach(&iommu_partition, SELF, &iommu_pool), HC_EINVAL);
	assert_int_equal(iommu_attach(&iommu_partition, DISK, &iommu_pool), HC_OK);
	assert_non_null(strstr(iommu_log, "0000:00:1f.2 of partition host may write 0xb8000000 "
			       "to 0xb81fffff, at physical 0x2000000\n"));
	assert_int_equal(access(DISK, POOL_GPA + 0x1234, true), POOL_HPA + 0x1234);
	assert_int_equal(access(DISK, POOL_GPA + POOL_SIZE - 1, false), POOL_HPA + POOL_SIZE - 1);
	for (unsigned i = 0; i < ARRAY_SIZE(other); i++) {
		assert_int_equal(access(DISK, other[i], false), NOTHING);
		assert_int_equal(access(DISK, other[i], true), NOTHING);
		assert_int_equal(access(NIC, other[i], true), NOTHING);
	}
	iommu_report_poll(0x100000000);
	assert_non_null(strstr(iommu_log, "0000:00:1f.2 of partition host tried to read 0 "));
	assert_int_equal(iommu_attach(&iommu_partition, USB, &iommu_pool), HC_OK);
	assert_int_equal(access(USB, 0x3000000, false), 0x3000000);
	assert_int_equal(access(USB, 0x3000000, true), NOTHING);
	assert_int_equal(access(DISK, 0x3000000, false), NOTHING);
	assert_int_equal(iommu_detach(DISK), HC_OK);
	assert_int_equal(access(DISK, POOL_GPA + 0x1234, true), NOTHING);
	assert_int_equal(access(USB, POOL_GPA, true), POOL_HPA);
	assert_int_equal(iommu_detach(USB), HC_OK);
	/* its domain's number is another's, without what it reached */
	bi.iommus.reserved[0].first = bi.iommus.reserved[0].last = NIC;
	bi.iommus.reserved[0].base = 0x3004000;
	assert_int_equal(iommu_attach(&iommu_partition, NIC, &iommu_pool), HC_OK);
	assert_int_equal(access(NIC, 0x3000000, false), NOTHING);
	assert_int_equal(iommu_detach(NIC), HC_OK);
}

static void messages(void **state)
{
	uint64_t address;
	uint32_t data;

	(void)state;
	iommu_init(&bi);
	assert_int_equal(iommu_attach(&iommu_partition, DISK, &iommu_pool), HC_OK);
	assert_int_equal(iommu_attach(&iommu_partition, NIC, &iommu_pool), HC_OK);
	assert_int_equal(message(DISK, 0x50), NOTHING);
	assert_int_equal(iommu_msi(DISK, 0x50, &address, &data), HC_OK);
	assert_int_equal(address, 0xfee00000);
	assert_int_equal(data, 0x50);
	assert_int_equal(message(DISK, data), 0x50 | 5 << 8);
	assert_int_equal(message(DISK, 0x51), NOTHING);
	assert_int_equal(message(NIC, data), NOTHING);
	assert_int_equal(iommu_msi(NIC, 0x51, &address, &data), HC_OK);
	assert_int_equal(message(NIC, data), 0x51 | 5 << 8);
	assert_int_equal(message(NIC, 0x50), NOTHING);
	assert_int_equal(message(NIC, 0x551), NOTHING);
	assert_int_equal(iommu_ioapic(0x44, true), 0);
	assert_int_equal(message(IOAPIC, 0x44), 0x44 | 5 << 8);
	assert_int_equal(message(IOAPIC, 0x50), NOTHING);
	/* they end with it, and do not come back */
	assert_int_equal(iommu_detach(DISK), HC_OK);
	assert_int_equal(message(DISK, 0x50), NOTHING);
	assert_int_equal(iommu_attach(&iommu_partition, DISK, &iommu_pool), HC_OK);
	assert_int_equal(iommu_msi(DISK, 0x52, &address, &data), HC_OK);
	assert_int_equal(message(DISK, 0x52), 0x52 | 5 << 8);
	assert_int_equal(message(DISK, 0x50), NOTHING);
	assert_int_equal(iommu_detach(DISK), HC_OK);
	assert_int_equal(iommu_detach(NIC), HC_OK);
}

/* CPU 0 with an id of more than 8 bits: only a unit that can name it is of use. */
static void wide_ids(void **state)
{
	uint64_t address;
	uint32_t data;

	(void)state;
	fake_cpu[0].apic_id = 0x02345678;
	iommu_init(&bi);
	assert_int_equal(iommu_state(), HC_IOMMU_NONE);
	assert_non_null(strstr(iommu_log, "too large"));
	machine(NULL);
	fake_cpu[0].apic_id = 0x02345678;
	unit.features |= 1 << 2 | 1 << 7;
	iommu_init(&bi);
	assert_true((unit.control >> 50 & 1) && (unit.control >> 17 & 1));
	assert_int_equal(iommu_attach(&iommu_partition, DISK, &iommu_pool), HC_OK);
	assert_int_equal(iommu_msi(DISK, 0x50, &address, &data), HC_OK);
	assert_int_equal(message(DISK, 0x50), 0x50 | 0x345678ull << 8 | 2ull << 32);
	assert_int_equal(message(DISK, 0x51), NOTHING);
	assert_int_equal(iommu_detach(DISK), HC_OK);
}

/* A log that runs over goes on after it has been read. */
static void log_runs_over(void **state)
{
	struct guest_regs r;

	(void)state;
	iommu_init(&bi);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 1000; i++) {
			access(NIC, 0x123456, true);
		}
		assert_int_equal(unit.status & 1, 1);
		for (unsigned i = 0; i < 40; i++) {
			iommu_report_poll(0x200000000);
		}
		assert_int_equal(unit.status & 1, 0);
	}
	access(NIC, 0x654321, true);
	assert_int_equal(iommu_report_query(0, &r), HC_OK);
	assert_int_equal(r.rdi, HC_IOMMU_ON | HC_IOMMU_INTERRUPTS | HC_IOMMU_AMD |
			 2ull << HC_IOMMU_OVERFLOWS);
	assert_int_equal(r.rdx, 2 * 255 + 1);
	assert_int_equal(r.r10, NIC | HC_IOMMU_WRITE);
	assert_int_equal(r.r8, 0x654321);
	message(NIC, 0x41);
	assert_int_equal(iommu_report_query(0, &r), HC_OK);
	assert_int_equal(r.r10, NIC | HC_IOMMU_WRITE | HC_IOMMU_MESSAGE);
}

/* The checker: it holds; one thing after the other is wrong, and is named. */
static void isolated(void **state)
{
	static const uint32_t OWNED[] = { DISK, NIC, USB };
	static const char *const other = "a device is not translated",
		*const reach = "a device reaches what is not the pool",
		*const sends = "a device can send an interrupt that is not its own";
	uint64_t address, *t, *disk, *nic, *pte;
	uint32_t data, *irte;

	(void)state;
	iommu_init(&bi);
	assert_string_equal(isolation(&bi, OWNED, 3), "");
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(iommu_attach(&iommu_partition, OWNED[i], &iommu_pool), HC_OK);
	}
	assert_int_equal(iommu_msi(DISK, 0x50, &address, &data), HC_OK);
	(void)iommu_ioapic(0x44, true);
	assert_string_equal(isolation(&bi, OWNED, 3), "");
	t = iommu_units[0].table;
	disk = &t[DISK * 4];
	nic = &t[NIC * 4];
	/* entries: nobody's, not valid, pass-through, translated by the device, guests' tables */
	BROKEN(t[0x300 * 4], disk[0], "a function that nobody has reaches memory");
	BROKEN(disk[0], 0, other);
	BROKEN(t[0x300 * 4], 0, other);
	BROKEN(disk[0], disk[0] & ~1ull, other);
	BROKEN(disk[0], disk[0] & ~(7ull << 9), other);
	BROKEN(disk[0], disk[0] | 1ull << 55, other);
	BROKEN(disk[1], disk[1] | 1ull << 32, other);
	BROKEN(disk[3], 1, other);
	/* what they reach: another's, beyond the pool, elsewhere in it, a table of a device's */
	BROKEN(nic[0], t[USB * 4], reach);
	pte = table_entry(disk[0], 4, POOL_GPA);
	BROKEN(pte[0], pte[1], reach);
	BROKEN(pte[0], pte[0] & ~IOMMU_ADDRESS, reach);
	BROKEN(*table_entry(disk[0], 4, POOL_GPA + POOL_SIZE - 1), pte[0] | 0x3ff000, reach);
	BROKEN(*table_entry(disk[0], 2, POOL_GPA), *table_entry(disk[0], 2, POOL_GPA) & ~0xe00ull,
	       reach);
	BROKEN(*table_entry(disk[0], 2, POOL_GPA), *table_entry(disk[0], 2, POOL_GPA) | 0xe00,
	       "an entry names another level");
	BROKEN(*table_entry(disk[0], 3, POOL_GPA), (pte[0] & IOMMU_ADDRESS) | 3ull << 61 | 0x201,
	       "a table is not memory of its owner's");
	BROKEN(*table_entry(t[USB * 4], 4, 0x3000000), *table_entry(t[USB * 4], 4, 0x3000000) |
	       1ull << 62, reach);
	/* interrupts: as they are, NMIs, more than the table has, another's vector, to others */
	BROKEN(nic[2], 0, other);
	BROKEN(nic[2], 1 | 1ull << 60, other);
	BROKEN(nic[2], nic[2] | 1ull << 58, other);
	BROKEN(disk[2], disk[2] | 1 << 1, other);
	BROKEN(disk[2], (disk[2] & ~0xffffff000ull) | POOL_HPA, "an IOMMU's table is nobody's");
	irte = hpa_ptr(HPA(disk[2] & 0xffffffffff000));
	BROKEN(irte[0x50], irte[0x50] + 0x10000, sends);
	BROKEN(irte[0x50], irte[0x50] + 0x100, sends);
	BROKEN(irte[0x50], irte[0x50] | 4 << 2, sends);
	BROKEN(irte[0x50], irte[0x50] | 0x80, sends);
	BROKEN(irte[0xf1], irte[0x50] | 0xf1 << 16, sends);
	BROKEN(t[0x300 * 4 + 2], disk[2], sends);
	/* the unit */
	BROKEN(unit.control, unit.control & ~1ull, "an IOMMU is off");
	BROKEN(unit.devtab, unit.devtab + 0x1000, "device table");
	BROKEN(unit.exclusion, 1, "exclusion range");
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(iommu_detach(OWNED[i]), HC_OK);
	}
	assert_string_equal(isolation(&bi, OWNED, 0), "");
}

static void hangs(void **state)
{
	(void)state;
	iommu_init(&bi);
	assert_int_equal(iommu_attach(&iommu_partition, DISK, &iommu_pool), HC_OK);
	unit.hangs = true;
	assert_int_equal(iommu_detach(DISK), HC_EBUSY);
	assert_int_equal(iommu_state(), HC_IOMMU_FAILED);
	assert_int_equal(iommu_attach(&iommu_partition, NIC, &iommu_pool), HC_EBUSY);
}

#define TEST(f)	cmocka_unit_test_setup(f, machine)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(denied_at_first), TEST(taken_over), TEST(pool_only), TEST(messages),
		TEST(wide_ids), TEST(log_runs_over), TEST(isolated), TEST(hangs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
