/* SPDX-License-Identifier: MIT */
/*
 * Intel's IOMMU: what devices reach, and whom they interrupt, from the take-over to
 * a unit that hangs. It is asked of the unit (hv_vtd_unit.h), never of our tables.
 */
#include <signal.h>
#include <ucontext.h>

#include "hv_check.h"
#include "hv_vtd_unit.h"

#define DISK	0x00fau			/* 00:1f.2 */
#define CARD	0x0310u			/* 03:02.0, behind the other unit */
#define USB	0x00a0u			/* has reserved memory */
#define IOAPIC	0xff00u

static struct boot_info bi;

/* Two units: the second has all that the first has not. */
static int machine(void **state)
{
	struct boot_iommus *i = &bi.iommus;

	(void)state;
	iommu_machine();
	memset(units, 0, sizeof(units));
	memset(&bi, 0, sizeof(bi));
	compat_passed = 0;
	for (unsigned n = 0; n < 2; n++) {
		/* 3 levels; 4 and coherent */
		units[n].cap = 0x22ull << 24 | 1ull << (9 + n) | (n ? 0 : 1ull << 4) | 3ull << 5;
		units[n].ecap = 2 | 8 | 16 | n;
		i->units[n] = (struct boot_iommu){ .base = 0xfed90000 + n * 0x1000,
			.function = BOOT_FUNCTION_NONE, .flags = n ? BOOT_IOMMU_ALL : 0 };
	}
	i->kind = BOOT_IOMMU_INTEL;
	i->flags = BOOT_IOMMUS_INTERRUPTS;
	i->unit_count = 2;
	i->scope_count = 1;
	i->scopes[0] = (struct boot_scope){ 0, 0x0300, 0x03ff };
	i->ioapic_unit = 1;
	i->ioapic_function = IOAPIC;
	i->reserved_count = 2;
	i->reserved[0] = (struct boot_reserved){ .base = 0x3000000, .size = 0x2000,
		.first = USB, .last = USB, .flags = BOOT_MAP_WRITE };
	i->reserved[1] = (struct boot_reserved){ .base = 0x3010000, .size = 0x1000,
		.first = USB, .last = USB };
	fake_cpu[0].apic_id = 5;
	return 0;
}

/* Addresses that nobody may reach, whoever has what. */
static void nothing_else(uint32_t n, uint32_t function)
{
	static const uint64_t at[] = { 0, 0x1000, 0x100000, POOL_HPA, POOL_GPA - 1,
		POOL_GPA + POOL_SIZE, 0xfee00000, 0x3000000, 0x7fffffffff, 1ull << 39,
		1ull << 47 };

	for (unsigned i = 0; i < ARRAY_SIZE(at); i++) {
		assert_int_equal(dma(n, function, at[i], false), NOTHING);
		assert_int_equal(dma(n, function, at[i], true), NOTHING);
	}
}

static void reaches_pool(uint32_t n, uint32_t function)
{
	static const uint64_t at[] = { 0, 0x1234, POOL_SIZE - 1 };

	for (unsigned i = 0; i < ARRAY_SIZE(at); i++) {
		assert_int_equal(dma(n, function, POOL_GPA + at[i], true), POOL_HPA + at[i]);
		assert_int_equal(dma(n, function, POOL_GPA + at[i], false), POOL_HPA + at[i]);
	}
}

static void denied_at_first(void **state)
{
	(void)state;
	iommu_init(&bi);
	assert_int_equal(iommu_state(), HC_IOMMU_ON);
	for (unsigned n = 0; n < 2; n++) {
		assert_true(is_on(&units[n], TE) && is_on(&units[n], IRE));
		assert_int_equal(units[n].fectl, 1u << 31);
		for (uint32_t f = 0; f < 0x10000; f += 0x101) {
			assert_int_equal(dma(n, f, 0x100000, true), NOTHING);
			assert_int_equal(dma(n, f, POOL_GPA, false), NOTHING);
			assert_int_equal(message(n, f, 0xfee05000, 0x41), NOTHING);
			assert_int_equal(message(n, f, 0xfee00010 | f % 256 << 5, 0), NOTHING);
		}
	}
	assert_non_null(strstr(iommu_log, "reach nothing and interrupt nobody"));
}

/* Translation, remapping, a queue in use, a protected range, recorded faults. */
static void taken_over(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 2; n++) {
		struct unit *u = &units[n];

		u->gsts = 1u << TE | 1u << RTP | 1u << QIE | 1u << IRE | 1u << IRTP |
			  (n ? 1u << CFI : 0);
		u->iqa = 0x500000;
		u->tail = 0x30;
		/* what it is still to do: wait descriptors */
		for (unsigned k = 0; k < 3; k++) {
			unit_store(0x500000 + k * 16, 0x25, 8);
			unit_store(0x500008 + k * 16, 0x501000, 8);
		}
		/* everything of DISK's, as it was */
		kept_add(u->contexts, DISK, 0x600001, 2 | 7 << 8);
		kept_add(u->pages, 7ull << 52 | 0x700, 0x700003, 0);
		kept_add(u->pages, 1ull << 52 | 0x701, 0x701003, 0);
		kept_add(u->entries, 0x50, 0x500001, 1 << 18 | DISK);
		u->pmen = ~0u;
		u->fault_high = 1ull << 63;
		u->fsts = 1;
	}
	/* the second in another mode, which must not change while it is on */
	units[1].rtaddr = units[1].root = 0x600400;
	iommu_init(&bi);
	assert_int_equal(iommu_state(), HC_IOMMU_ON);
	assert_non_null(strstr(iommu_log, "firmware has left the IOMMU at 0xfed91000 on"));
	for (unsigned n = 0; n < 2; n++) {
		assert_int_equal(units[n].pmen, 0);
		assert_int_equal(units[n].fault_high >> 63, 0);
		assert_int_equal(dma(n, DISK, 0x700000, true), NOTHING);
		assert_int_equal(message(n, DISK, 0xfee00010 | 0x50 << 5, 0), NOTHING);
		assert_int_equal(message(n, DISK, 0xfee00000, 0x50), NOTHING);
	}
	assert_int_equal(compat_passed, 0);
	/* the firmware's first domain is not ours */
	assert_int_equal(iommu_attach(&iommu_partition, DISK, &iommu_pool), HC_OK);
	assert_int_equal(dma(1, DISK, 0x701000, true), NOTHING);
	assert_int_equal(iommu_detach(DISK), HC_OK);
}

/* One function has the pool, its neighbour nothing; afterwards nobody. */
static void pool_only(void **state)
{
	struct guest_regs r;

	(void)state;
	iommu_init(&bi);
	assert_int_equal(iommu_attach(&iommu_partition, DISK, &iommu_pool), HC_OK);
	assert_non_null(strstr(iommu_log, "0000:00:1f.2 of partition host may write 0xb8000000 "
			       "to 0xb81fffff, at physical 0x2000000\n"));
	reaches_pool(1, DISK);
	nothing_else(1, DISK);
	assert_int_equal(dma(1, DISK + 1, POOL_GPA, false), NOTHING);
	/* it says so, and who it was */
	assert_int_equal(units[1].fault_high >> 63, 1);
	iommu_report_poll(0x100000000);
	assert_non_null(strstr(iommu_log, "IOMMU: 0000:00:1f.2 of partition host tried to read 0 "
			       "(reason 0x6): blocked"));
	assert_int_equal(iommu_report_query(1, &r), HC_OK);
	assert_true(r.rdx >= 1);
	assert_int_equal(iommu_report_query(2, &r), HC_ENOENT);
	/* by the unit that has no 4 levels, and sees no caches */
	assert_int_equal(iommu_attach(&iommu_partition, CARD, &iommu_pool), HC_OK);
	reaches_pool(0, CARD);
	nothing_else(0, CARD);
	/* who is in the same table, and no line of it that was written */
	assert_int_equal(dma(0, CARD ^ 0x80, POOL_GPA, true), NOTHING);
	assert_int_equal(iommu_attach(&iommu_partition, CARD, &iommu_pool), HC_EBUSY);
	/* translations that are in use are forgotten */
	reaches_pool(1, DISK);
	assert_int_equal(iommu_detach(DISK), HC_OK);
	assert_int_equal(dma(1, DISK, POOL_GPA, true), NOTHING);
	assert_int_equal(dma(1, DISK, POOL_GPA + 0x1000, false), NOTHING);
	reaches_pool(0, CARD);
	assert_int_equal(iommu_detach(CARD), HC_OK);
	assert_int_equal(dma(0, CARD, POOL_GPA, true), NOTHING);
	assert_int_equal(iommu_detach(CARD), HC_ENOENT);
}

/* Ranges of the firmware's are for who declares them, and nobody else. */
static void reserved_memory(void **state)
{
	uint32_t before, first;

	(void)state;
	iommu_init(&bi);
	assert_int_equal(iommu_attach(&iommu_partition, DISK, &iommu_pool), HC_OK);
	before = iommu_frames_used;
	assert_int_equal(iommu_attach(&iommu_partition, USB, &iommu_pool), HC_OK);
	assert_non_null(strstr(iommu_log, "0000:00:14.0 of partition host may write 0x3000000 to "
			       "0x3001fff, at physical 0x3000000\n"));
	assert_non_null(strstr(iommu_log, "may read 0x3010000 to 0x3010fff, at"));
	reaches_pool(1, USB);
	assert_int_equal(dma(1, USB, 0x3001008, true), 0x3001008);
	assert_int_equal(dma(1, USB, 0x3002000, true), NOTHING);
	assert_int_equal(dma(1, USB, 0x3010000, false), 0x3010000);
	assert_int_equal(dma(1, USB, 0x3010000, true), NOTHING);
	assert_int_equal(dma(1, DISK, 0x3000000, true), NOTHING);
	reaches_pool(1, DISK);
	assert_int_equal(iommu_detach(USB), HC_OK);
	assert_int_equal(dma(1, USB, 0x3000000, true), NOTHING);
	assert_int_equal(iommu_frames_used, before);
	/* nor for who comes after it */
	bi.iommus.reserved[1].first = bi.iommus.reserved[1].last = USB + 1;
	assert_int_equal(iommu_attach(&iommu_partition, USB + 1, &iommu_pool), HC_OK);
	assert_int_equal(dma(1, USB + 1, 0x3010000, false), 0x3010000);
	assert_int_equal(dma(1, USB + 1, 0x3001008, true), NOTHING);
	assert_int_equal(iommu_detach(USB + 1), HC_OK);
	/* in the pool's way */
	bi.iommus.reserved[0].base = POOL_GPA + 0x1000;
	assert_int_equal(iommu_attach(&iommu_partition, USB, &iommu_pool), HC_EINVAL);
	bi.iommus.reserved[0].base = 0x3000000;
	/* memory that runs out leaves nothing behind */
	for (first = 0;; first++) {
		iommu_frames_left = first;
		if (iommu_attach(&iommu_partition, USB, &iommu_pool) == HC_OK) {
			break;
		}
		assert_int_equal(iommu_frames_used, before);
		assert_int_equal(dma(1, USB, POOL_GPA, true), NOTHING);
	}
	assert_true(first > 3);
	assert_int_equal(iommu_detach(USB), HC_OK);
	assert_int_equal(iommu_detach(DISK), HC_OK);
}

/* A message is its function's own, to CPU 0, and ends with it. */
static void messages(void **state)
{
	uint64_t address;
	uint32_t data, redir;

	(void)state;
	iommu_init(&bi);
	assert_int_equal(iommu_msi(DISK, 0x50, &address, &data), HC_ENOENT);
	assert_int_equal(iommu_attach(&iommu_partition, DISK, &iommu_pool), HC_OK);
	assert_int_equal(iommu_attach(&iommu_partition, CARD, &iommu_pool), HC_OK);
	assert_int_equal(iommu_msi(DISK, 0x50, &address, &data), HC_OK);
	assert_int_equal(data, 0);
	assert_int_equal(message(1, DISK, address, data), 0x50 | 5 << 8);
	assert_int_equal(message(1, USB, address, data), NOTHING);
	assert_int_equal(message(0, CARD, address, data), NOTHING);
	assert_int_equal(message(1, DISK, 0xfee05000, 0x50), NOTHING);
	assert_int_equal(message(1, DISK, address + 32, data), NOTHING);
	/* it goes to another */
	assert_int_equal(iommu_attach(&iommu_partition, DISK + 1, &iommu_pool), HC_OK);
	assert_int_equal(iommu_msi(DISK + 1, 0x50, &address, &data), HC_OK);
	assert_int_equal(message(1, DISK, address, data), NOTHING);
	assert_int_equal(message(1, DISK + 1, address, data), 0x50 | 5 << 8);
	assert_int_equal(iommu_detach(DISK + 1), HC_OK);
	assert_int_equal(iommu_msi(DISK, 0x50, &address, &data), HC_OK);
	/* the I/O APIC's, level-triggered, which nobody else can send */
	redir = iommu_ioapic(0x44, true);
	assert_int_equal(redir & 0x10000, 0x10000);
	assert_int_equal(message(1, IOAPIC, 0xfee00010 | redir >> 17 << 5, 0), 0x44 | 5 << 8);
	assert_int_equal(kept_find(units[1].entries, 0x44)->low & 0x10, 0x10);
	assert_int_equal(message(1, DISK, 0xfee00010 | 0x44 << 5, 0), NOTHING);
	assert_int_equal(iommu_attach(&iommu_partition, IOAPIC, &iommu_pool), HC_EINVAL);
	assert_int_equal(iommu_detach(DISK), HC_OK);
	assert_int_equal(message(1, DISK, address, data), NOTHING);
	assert_int_equal(message(1, IOAPIC, 0xfee00010 | 0x44 << 5, 0), 0x44 | 5 << 8);
	assert_int_equal(iommu_detach(CARD), HC_OK);
}

/* What the unit may find in an entry, at each instruction: low, high. */
static const volatile uint64_t *watched;
static uint64_t found[8][2];
static uint32_t finds;

static void look(int number, siginfo_t *info, void *context)
{
	greg_t *flags = &((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL];
	uint64_t low, high;

	(void)number;
	(void)info;
	*flags = watched ? *flags | 0x100 : *flags & ~0x100;
	if (!watched) {
		return;
	}
	low = watched[0];
	high = watched[1];
	if ((low & 1) && finds < ARRAY_SIZE(found) &&
	    (!finds || found[finds - 1][0] != low || found[finds - 1][1] != high)) {
		found[finds][0] = low;
		found[finds++][1] = high;
	}
}

/* A message that goes to another: it is the first's, nobody's, then the other's. */
static void whole_entries(void **state)
{
	const struct sigaction sa = { .sa_sigaction = look, .sa_flags = SA_SIGINFO };
	uint64_t address, *entry, before[2];
	uint32_t data;

	(void)state;
	iommu_init(&bi);
	assert_int_equal(iommu_attach(&iommu_partition, DISK, &iommu_pool), HC_OK);
	assert_int_equal(iommu_attach(&iommu_partition, DISK + 1, &iommu_pool), HC_OK);
	assert_int_equal(iommu_msi(DISK, 0x50, &address, &data), HC_OK);
	entry = &iommu_units[1].remap[0x50 * 2];
	memcpy(before, entry, sizeof(before));
	fake_cpu[0].apic_id = 6;	/* both words change */
	finds = 0;
	watched = entry;
	sigaction(SIGTRAP, &sa, NULL);
	(void)raise(SIGTRAP);
	assert_int_equal(iommu_msi(DISK + 1, 0x50, &address, &data), HC_OK);
	watched = NULL;
	assert_int_equal(finds, 2);
	assert_memory_equal(found[0], before, sizeof(before));
	assert_memory_equal(found[1], entry, sizeof(before));
	assert_int_equal(iommu_detach(DISK), HC_OK);
	assert_int_equal(iommu_detach(DISK + 1), HC_OK);
}

/* Faults without end: counted, and a few lines. */
static void faults_are_bounded(void **state)
{
	struct guest_regs r;
	unsigned lines = 0;

	(void)state;
	iommu_init(&bi);
	iommu_log[0] = '\0';
	for (unsigned i = 0; i < 1000; i++) {
		dma(1, CARD + 8, 0x123456, true);
		message(1, CARD + 8, 0xfee00000, 0x41);
		iommu_report_poll(0x200000000 + i * 1000000ull);
	}
	for (const char *at = iommu_log; (at = strchr(at, '\n')); at++) {
		lines++;
	}
	assert_in_range(lines, 9, 11);
	assert_non_null(strstr(iommu_log, "0000:03:03.0 of nobody tried to write 0x123000"));
	assert_non_null(strstr(iommu_log, "blocked; 99 more"));
	assert_int_equal(iommu_report_query(1, &r), HC_OK);
	assert_int_equal(r.rdi & UINT32_MAX, HC_IOMMU_ON | HC_IOMMU_INTERRUPTS);
	assert_int_equal(r.rsi, 0xfed91000);
	assert_int_equal(r.rdx, 1000);
	assert_int_equal(r.r10, (CARD + 8) | HC_IOMMU_WRITE);
	assert_int_equal(r.r8, 0x123000);
	message(1, CARD + 8, 0xfee00000, 0x41);
	assert_int_equal(iommu_report_query(1, &r), HC_OK);
	assert_int_equal(r.r10, (CARD + 8) | HC_IOMMU_WRITE | HC_IOMMU_MESSAGE);
	/* the unit has one register, and each round had two for it; one by one is
	 * no more than it can record */
	assert_int_equal(r.rdi >> HC_IOMMU_OVERFLOWS, 1000);
}

/* Pools that cannot be, each by itself, before there is one, and then too. */
static void bad_pools(void **state)
{
	static const struct iommu_pool bad[] = {
		{ { 0x2000800 }, { POOL_GPA }, POOL_SIZE }, { { POOL_HPA }, { POOL_GPA }, 0 },
		{ { POOL_HPA }, { 1ull << 39 }, POOL_SIZE },
		{ { POOL_HPA }, { ~0xfffull }, POOL_SIZE },
		{ { POOL_HPA }, { 0xfed00000 }, POOL_SIZE },
		{ { POOL_HPA }, { 0xfeefffff & ~0xfffull }, POOL_SIZE },
		{ { POOL_HPA }, { 1ull << 38 }, (1ull << 39) + 0x1000 },
		{ { POOL_HPA }, { 0x1000 }, POOL_SIZE },	/* not the first */
	};

	(void)state;
	iommu_init(&bi);
	for (unsigned i = 0; i < ARRAY_SIZE(bad) - 1; i++) {
		assert_int_equal(iommu_attach(&iommu_partition, CARD, &bad[i]), HC_EINVAL);
	}
	assert_int_equal(iommu_attach(&iommu_partition, DISK, &iommu_pool), HC_OK);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(iommu_attach(&iommu_partition, CARD, &bad[i]), HC_EINVAL);
	}
	/* another segment: behind no unit */
	assert_int_equal(iommu_attach(&iommu_partition, 0x10000 | DISK, &iommu_pool), HC_ENOENT);
	assert_int_equal(iommu_detach(DISK), HC_OK);
}

/* A unit that cannot be used leaves all as it is, and a loud line. */
static void of_no_use(void **state)
{
	uint64_t address;
	uint32_t data;

	(void)state;
	units[1].ecap &= ~2ull;
	iommu_init(&bi);
	assert_int_equal(iommu_state(), HC_IOMMU_NONE);
	assert_int_equal(units[0].gsts, 0);
	assert_non_null(strstr(iommu_log, "0xfed91000 is of no use: it has no queued"));
	assert_non_null(strstr(iommu_log, "NO IOMMU"));
	assert_int_equal(iommu_attach(&iommu_partition, DISK, &iommu_pool), HC_OK);
	assert_int_equal(iommu_msi(DISK, 0x50, &address, &data), HC_OK);
	assert_int_equal(address, 0xfee05000);
	assert_int_equal(data, 0x50);
	assert_int_equal(iommu_ioapic(0x44, true), 5u << 24);
	fake_cpu[0].apic_id = 300;
	assert_panics(iommu_ioapic(0x44, true));
}

/* Memory is protected, interrupts are not: said, and what firmware left goes. */
static void no_remapping(void **state)
{
	(void)state;
	units[1].ecap &= ~8ull;
	units[0].gsts = 1u << IRE | 1u << IRTP;
	iommu_init(&bi);
	assert_int_equal(iommu_state(), HC_IOMMU_ON);
	assert_false(is_on(&units[0], IRE));
	assert_non_null(strstr(iommu_log, "NO INTERRUPT REMAPPING"));
	assert_int_equal(dma(0, CARD, 0x1000, true), NOTHING);
	assert_int_equal(iommu_ioapic(0x44, true), 5u << 24);
}

/* The checker: it holds; one thing after the other is wrong, and is named. */
static void isolated(void **state)
{
	static const uint32_t OWNED[] = { DISK, CARD, USB };
	static const char *const other = "a device is not translated",
		*const reach = "a device reaches what is not the pool",
		*const sends = "a device can send an interrupt that is not its own";
	uint64_t address, *disk, *card, *pte, *irte;
	uint32_t data;

	(void)state;
	iommu_init(&bi);
	assert_string_equal(isolation(&bi, OWNED, 3), "");
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(iommu_attach(&iommu_partition, OWNED[i], &iommu_pool), HC_OK);
	}
	assert_int_equal(iommu_msi(DISK, 0x50, &address, &data), HC_OK);
	(void)iommu_ioapic(0x44, true);
	assert_string_equal(isolation(&bi, OWNED, 3), "");
	/* a bus's table has two words for each function */
	disk = (uint64_t *)hpa_ptr(HPA(iommu_units[1].table[0] & IOMMU_ADDRESS)) + DISK * 2;
	card = (uint64_t *)hpa_ptr(HPA(iommu_units[0].table[6] & IOMMU_ADDRESS)) + 0x10 * 2;
	BROKEN(disk[2], disk[0], other);
	BROKEN(disk[0], disk[0] | 2 << 2, other);
	BROKEN(disk[0], disk[0] | 1 << 2, other);
	BROKEN(disk[1], disk[1] | 7, other);
	BROKEN(card[1], card[1] + 1, other);
	disk[3] = disk[1];
	BROKEN(disk[2], disk[0], "a function that nobody has reaches memory");
	BROKEN(iommu_units[1].table[0], POOL_HPA | 1, "an IOMMU's table is nobody's");
	/* what they reach: what is reserved for another, elsewhere in the pool, beyond it */
	BROKEN(disk[0], *(disk - (DISK - USB) * 2), reach);
	pte = table_entry(disk[0], 4, POOL_GPA);
	BROKEN(pte[0], pte[1], reach);
	BROKEN(pte[0], POOL_HPA + POOL_SIZE + 2, reach);
	BROKEN(*table_entry(disk[0], 3, POOL_GPA), (POOL_HPA + POOL_SIZE) | 0x83, reach);
	BROKEN(*table_entry(disk[0], 3, POOL_GPA + POOL_SIZE), POOL_HPA | 3,
	       "a table is not memory of its owner's");
	/* interrupts: vector, to whom, NMI, posted, by whom, of any */
	irte = &iommu_units[1].remap[0x50 * 2];
	BROKEN(irte[0], irte[0] + 0x10000, sends);
	BROKEN(irte[0], irte[0] + (1ull << 40), sends);
	BROKEN(irte[0], irte[0] | 4 << 5, sends);
	BROKEN(irte[0], irte[0] | 1 << 15, sends);
	BROKEN(irte[1], irte[1] + 1, sends);
	BROKEN(irte[1], irte[1] & ~(3ull << 18), sends);
	/* the unit: translation, remapping, the old format, its tables */
	BROKEN(units[0].gsts, units[0].gsts & ~(1u << TE), "an IOMMU is off");
	BROKEN(units[1].gsts, units[1].gsts & ~(1u << IRE), "an IOMMU is off");
	BROKEN(units[1].gsts, units[1].gsts | 1u << CFI, "an IOMMU is off");
	BROKEN(units[1].rtaddr, units[1].rtaddr | 0x400, "root table");
	BROKEN(units[1].irta, units[1].irta + 0x1000, "table of interrupts");
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(iommu_detach(OWNED[i]), HC_OK);
	}
	assert_string_equal(isolation(&bi, OWNED, 0), "");
}

/* It stops answering: a second, one line, and no device for anybody. */
static void hangs(void **state)
{
	uint64_t from;

	(void)state;
	iommu_init(&bi);
	assert_int_equal(iommu_attach(&iommu_partition, DISK, &iommu_pool), HC_OK);
	units[1].hangs = true;
	from = fake.tsc;
	assert_int_equal(iommu_detach(DISK), HC_EBUSY);
	assert_in_range(fake.tsc - from, boot.tsc_hz, boot.tsc_hz + 10000000);
	assert_non_null(strstr(iommu_log, "0xfed91000 does not answer"));
	assert_int_equal(iommu_state(), HC_IOMMU_FAILED);
	assert_int_equal(iommu_attach(&iommu_partition, CARD, &iommu_pool), HC_EBUSY);
	/* never asked again */
	from = fake.tsc;
	assert_int_equal(iommu_detach(DISK), HC_EBUSY);
	assert_in_range(fake.tsc - from, 0, 10000000);
}

#define TEST(f)	cmocka_unit_test_setup(f, machine)

int main(void)
{
	/* the code's own state is of one boot: each test gives back what it
	 * was given, and the last does not; the pool is that of the first that
	 * has one */
	static const struct CMUnitTest tests[] = {
		TEST(denied_at_first), TEST(bad_pools), TEST(taken_over), TEST(pool_only),
		TEST(reserved_memory), TEST(messages), TEST(whole_entries),
		TEST(faults_are_bounded), TEST(isolated), TEST(no_remapping), TEST(of_no_use),
		TEST(hangs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
