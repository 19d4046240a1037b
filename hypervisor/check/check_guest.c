/* SPDX-License-Identifier: MIT */
/*
 * What a partition may have, by the manifest: memory, channels, devices, ports, MSRs.
 * boot_info is the manifest's meaning as the loader, which parses it, has put it down.
 */
#include <abi/channel.h>

#include "check.h"

#define PORTS		0x10000u
#define PORTS_BEYOND	32u		/* an access at the last one */

uint64_t check_ram;

static bool within(uint64_t at, uint64_t size, uint64_t base, uint64_t bytes)
{
	return at >= base && size <= bytes && at - base <= bytes - size;
}

/* BOOT_MAP_* to CHECK_*. */
static uint32_t rights_of(uint32_t flags)
{
	return CHECK_R | (flags & BOOT_MAP_WRITE ? CHECK_W : 0) |
	       (flags & BOOT_MAP_EXEC ? CHECK_X : 0);
}

/* What a page of RAM may be used for; 0: there is to be none. What is loaded takes
 * precedence. */
static uint32_t ram_rights(const struct boot_partition *c, uint64_t at)
{
	uint32_t i;

	for (i = 0; i < c->region_count; i++) {
		if (within(at, PAGE_SIZE, c->regions[i].gpa, c->regions[i].size)) {
			return rights_of(c->regions[i].flags);
		}
	}
	for (i = 0; i < c->demand_count; i++) {
		if (within(at, PAGE_SIZE, c->demand[i].gpa, c->demand[i].size)) {
			return CHECK_RWX;
		}
	}
	return 0;
}

/* The page of a channel of p's that is to be at an address: its offset in what both
 * ends have, ~0: it is p's alone. Returns what p may do there, 0: there is none. */
static uint32_t channel_rights(const struct partition *p, uint64_t at, uint32_t *which,
			       uint64_t *offset)
{
	uint32_t i, n = 0;

	for (i = 0; i < 2 * boot.channel_count; i++) {
		const struct boot_channel *c = &boot.channels[i / 2];
		uint64_t s = c->output_size, in = at - c->gpa[i % 2];

		if (c->peer[i % 2] != p->id) {
			continue;
		}
		*which = i / 2;
		*offset = in < CHANNEL_REGION_SIZE(s) ? in : ~0ull;
		if (in < CHANNEL_REGION_SIZE(s)) {
			return within(in, PAGE_SIZE, CHANNEL_OUTPUT_OFFSET(i % 2, s), s) ?
			       CHECK_R | CHECK_W : CHECK_R;
		}
		if (at == CHANNEL_GUEST_MSIX_GPA + n++ * PAGE_SIZE && !partition_is_host(p)) {
			return CHECK_R | CHECK_W;
		}
	}
	return 0;
}

/* The two ends of a channel must have the same pages at the same places. */
static bool channel_page(const struct partition *p, uint64_t at, uint64_t pa, uint64_t size,
			 uint32_t rights)
{
	static uint64_t begins[BOOT_MAX_CHANNELS];	/* where each lies, in memory */
	uint64_t offset = ~0ull;
	uint32_t which = 0, may = channel_rights(p, at, &which, &offset);

	if (offset != ~0ull && size <= boot.channels[which].output_size) {
		begins[which] = begins[which] ? begins[which] : pa - offset;
		return begins[which] == pa - offset && !(rights & ~may);
	}
	return may && size == PAGE_SIZE && !(rights & ~may);
}

/* Device memory: what the manifest gives, none of the machine's own registers. */
static bool device_page(const struct partition *p, uint64_t at, uint64_t pa, uint64_t size,
			uint32_t rights)
{
	const struct boot_region *r = p->config->mmio;
	uint32_t i, left = p->config->mmio_count;
	bool machine = pa == boot.lapic_phys || pa == (boot.ioapic_phys & ~PAGE_MASK);

	for (i = 0; i < boot.iommus.unit_count; i++) {
		machine |= within(pa, size, boot.iommus.units[i].base, BOOT_IOMMU_REGISTERS);
	}
	for (; left && !(within(at, size, r->gpa, r->size) && pa - r->hpa == at - r->gpa &&
			 !(rights & ~rights_of(r->flags))); left--) {
		r++;
	}
	return left && !machine &&
	       (pa / PAGE_SIZE >= check_pages || check_owned(FRAME_NONE, pa, size));
}

/** One page that p's map says it can reach: must be what it is given, and nobody else's
 * to write, and none of the tables. */
void check_guest_page(const struct partition *p, uint64_t at, uint64_t pa, uint64_t size,
		      uint32_t rights)
{
	bool own = check_owned(partition_frames(p), pa, size);
	bool shared = !own && p->template && !(rights & CHECK_W) &&
		      check_owned(partition_frames(p->template), pa, size);
	bool right = own || shared;
	uint64_t done;

	for (done = 0; right && done < size; done += PAGE_SIZE) {
		uint32_t may = ram_rights(p->config, at + done);

		right = may && !(rights & ~may) &&
			!(check_tables[(pa + done) / PAGE_SIZE / 64] >>
			  (pa + done) / PAGE_SIZE % 64 & 1);
	}
	if (!own && !shared) {
		right = check_owned(FRAME_CHANNEL, pa, size) ?
			channel_page(p, at, pa, size, rights) :
			device_page(p, at, pa, size, rights);
	}
	if (!right || !(rights & CHECK_R)) {
		check_found("it reaches a page that is not its own, or with more rights", p, at,
			    pa | rights);
	}
	if ((rights & CHECK_W) && check_mark(check_writable, pa, size)) {
		check_found("a page that another can write, too", p, at, pa);
	}
	check_ram += own ? size / PAGE_SIZE : 0;
}

static bool has_port(const struct boot_partition *c, uint32_t port)
{
	const struct boot_port *r = c->ports;
	uint32_t left = c->port_count;

	for (; left && !(port >= r->first && port <= r->last &&
			 r->policy == BOOT_PORT_NATIVE); left--) {
		r++;
	}
	return left;
}

/* Nobody else's, and not the configuration space's. [PCI 3.0 "Configuration Mechanism"] */
static bool may_port(const struct partition *p, uint32_t port)
{
	uint32_t i, owners = 0;

	for (i = 0; i < partition_count; i++) {
		owners += has_port(partitions[i]->config, port);
	}
	return owners == 1 && has_port(p->config, port) && port != 0xcf8 && (port & ~3u) != 0xcfc;
}

/* The next bit from there on that is 0. */
static uint32_t next_open(const void *map, uint32_t bit, uint32_t end)
{
	const uint64_t *words = map;

	while (bit < end && (words[bit / 64] >> bit % 64 & 1)) {
		bit = words[bit / 64] == ~0ull ? (bit | 63) + 1 : bit + 1;
	}
	return bit;
}

/* May the MSR that a bit of a bitmap is for be used without an exit? [SDM3 "MSR-Bitmap
 * Address"; APM2 "MSR Intercepts"] */
static bool may_msr(uint32_t bit)
{
	static const uint32_t first[] = { 0, 0xc0000000, 0xc0010000 };
	uint32_t msr = hvm == &hvm_vmx ? first[bit / 8192 & 1] + bit % 8192 :
		       first[bit / 16384] + bit % 16384 / 2;

	return (msr >= MSR_IA32_SYSENTER_CS && msr <= MSR_IA32_SYSENTER_EIP) ||
	       (msr >= MSR_IA32_FS_BASE && msr <= MSR_IA32_KERNEL_GS_BASE);
}

/** The bitmaps of p's that its processors look into: ports and MSRs that do not
 * exit. [SDM3 "I/O-Bitmap Addresses"; APM2 "I/O Permissions Map"] */
void check_permissions(const struct partition *p)
{
	const uint32_t bits = hvm == &hvm_vmx ? 4 * 8192 : 3 * 16384, all = PORTS + PORTS_BEYOND;
	uint32_t bit;

	for (bit = 0; (bit = next_open(p->native_ports, bit, all)) < all; bit++) {
		if (bit >= PORTS || !may_port(p, bit)) {
			check_found("a port is open", p, bit, 0);
		}
	}
	for (bit = 0; (bit = next_open(p->backend, bit, bits)) < bits; bit++) {
		if (!may_msr(bit)) {
			check_found("an MSR is open", p, bit, 0);
		}
	}
}

static void mix(uint64_t *hash, const void *from, uint64_t bytes)
{
	for (const uint8_t *at = from; bytes--; at++) {
		*hash = (*hash ^ *at) * 0x100000001b3ull;	/* FNV-1a */
	}
}

/** A number for what the manifest means: of who has what, where, with which rights,
 * but not of which memory of the machine's that is. */
uint64_t check_meaning(void)
{
	static struct boot_partition c;
	uint64_t hash = 0xcbf29ce484222325ull;
	uint32_t i, k;

	for (i = 0; i < boot.partition_count; i++) {
		c = boot.partitions[i];
		c.start_cr3 = c.start_rsi = c.start_gdt = 0;
		for (k = 0; k < BOOT_MAX_REGIONS; k++) {
			c.regions[k].hpa = 0;
		}
		mix(&hash, &c, sizeof(c));
	}
	mix(&hash, boot.channels, boot.channel_count * sizeof(*boot.channels));
	return hash;
}
