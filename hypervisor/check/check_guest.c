/* SPDX-License-Identifier: MIT */
/*
 * What a partition may have, by the manifest: memory, channels, devices, ports, MSRs.
 * boot_info is the manifest's meaning as the loader, which parses it, has put it down.
 */
#include <abi/channel.h>

#include "check.h"

#define PORTS		(0x10000u + 32)	/* with what an access at the last one reaches */

uint64_t check_ram;
struct check_range check_last;

/* What is loaded takes precedence. */
static void find_ram(const struct partition *p, uint64_t at)
{
	const struct boot_demand *d = p->config->demand;
	const struct boot_region *r = p->config->regions;

	check_last = (struct check_range){ p, at, at + PAGE_SIZE, 0 };
	for (; d < p->config->demand + p->config->demand_count; d++) {
		if (check_within(at, PAGE_SIZE, d->gpa, d->size)) {
			check_last.end = d->gpa + d->size;
			check_last.may = CHECK_RWX;
		}
	}
	for (; r < p->config->regions + p->config->region_count; r++) {
		if (check_within(at, PAGE_SIZE, r->gpa, r->size)) {
			check_last.end = r->gpa + r->size;
			check_last.may = check_rights(r->flags);
			return;
		}
		check_last.end = r->gpa > at ? u64_min(check_last.end, r->gpa) : check_last.end;
	}
}

/* A part of a channel's, its region or an end's MSI-X page, lies where it was seen first,
 * and in no other part. */
static bool channel_part(uint32_t which, uint64_t begin, uint64_t size)
{
	static uint64_t begins[3 * BOOT_MAX_CHANNELS], ends[3 * BOOT_MAX_CHANNELS];

	for (uint32_t i = 0; !ends[which] && i < ARRAY_SIZE(ends); i++) {
		if (begin < ends[i] && begin + size > begins[i]) {
			return false;
		}
	}
	if (!ends[which] && check_owned(FRAME_CHANNEL, begin, size)) {
		begins[which] = begin;
		ends[which] = begin + size;
	}
	return begins[which] == begin && ends[which];
}

/* A page of one of p's channels, at its place. */
static bool channel_page(const struct partition *p, uint64_t at, uint64_t pa, uint64_t size,
			 uint32_t rights)
{
	uint32_t i, n = 0;

	for (i = 0; i < 2 * boot.channel_count; i++) {
		const struct boot_channel *c = &boot.channels[i / 2];
		uint64_t s = c->output_size, all = CHANNEL_REGION_SIZE(s), in = at - c->gpa[i % 2];

		if (c->peer[i % 2] != p->id) {
			continue;
		}
		if (check_within(in, size, 0, all)) {
			bool mine = check_within(in, size, CHANNEL_OUTPUT_OFFSET(i % 2, s), s);

			return !(rights & ~(CHECK_R | (mine ? CHECK_W : 0u))) &&
			       channel_part(i / 2, pa - in, all);
		}
		if (at == CHANNEL_GUEST_MSIX_GPA + n++ * PAGE_SIZE && !partition_is_host(p)) {
			return size == PAGE_SIZE && !(rights & CHECK_X) &&
			       channel_part(BOOT_MAX_CHANNELS + i, pa, size);
		}
	}
	return false;
}

/** A page that p's map says it can reach: must be what it is given, and nobody else's
 * to write, and none of the tables. */
void check_guest_page(const struct partition *p, uint64_t at, uint64_t pa, uint64_t size,
		      uint32_t rights)
{
	uint64_t page = pa / PAGE_SIZE, end = page + size / PAGE_SIZE, here = at, twice = 0, set;
	bool own = check_owned(partition_frames(p), pa, size), right = rights & CHECK_R;

	if (own || (p->template && !(rights & CHECK_W) &&
		    check_owned(partition_frames(p->template), pa, size))) {
		for (; right && here < at + size; here = check_last.end) {
			if (p != check_last.of ||
			    here - check_last.from >= check_last.end - check_last.from) {
				find_ram(p, here);
			}
			right = check_last.may && !(rights & ~check_last.may);
		}
		check_ram += own ? size / PAGE_SIZE : 0;
	} else {
		right = right && (check_owned(FRAME_CHANNEL, pa, size) ?
				  channel_page(p, at, pa, size, rights) :
				  check_device_memory(p, at, pa, size, rights));
	}
	for (; page < end && page < check_pages; page += 64) {
		set = size > PAGE_SIZE ? ~0ull : BIT64(page % 64);
		right = right && !(check_tables[page / 64] & set);
		if (rights & CHECK_W) {
			twice |= check_writable[page / 64] & set;
			check_writable[page / 64] |= set;
		}
	}
	if (!right || twice) {
		check_found(right ? "a page that another can write, too" : "it reaches a page that "
			    "is not its own, or with more rights", p, at, pa | rights);
	}
}

/* Nobody else's, and not the configuration space's. [PCI 3.0 "Configuration Mechanism"] */
static bool may_port(const struct partition *p, uint32_t port)
{
	uint64_t owners = 0;

	for (uint32_t i = 0; i < partition_count; i++) {
		const struct boot_port *r = partitions[i]->config->ports;

		for (uint32_t k = partitions[i]->config->port_count; k--; r++) {
			owners |= port >= r->first && port <= r->last &&
				  r->policy == BOOT_PORT_NATIVE ? BIT64(i) : 0;
		}
	}
	return owners == BIT64(p->id) && port != 0xcf8 && (port & ~3u) != 0xcfc;
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
	uint32_t msr = CHECK_VMX ? first[bit / 8192 & 1] + bit % 8192 :
		       first[bit / 16384] + bit % 16384 / 2;

	return (msr >= MSR_IA32_SYSENTER_CS && msr <= MSR_IA32_SYSENTER_EIP) ||
	       (msr >= MSR_IA32_FS_BASE && msr <= MSR_IA32_KERNEL_GS_BASE);
}

/** The bitmaps of p's that its processors look into: ports and MSRs that do not
 * exit. [SDM3 "I/O-Bitmap Addresses"; APM2 "I/O Permissions Map"] */
void check_permissions(const struct partition *p)
{
	const uint32_t bits = CHECK_VMX ? 4 * 8192 : 3 * 16384;

	for (uint32_t bit = 0; (bit = next_open(p->native_ports, bit, PORTS)) < PORTS; bit++) {
		if (!may_port(p, bit)) {
			check_found("a port is open", p, bit, 0);
		}
	}
	for (uint32_t bit = 0; (bit = next_open(p->native_msrs, bit, bits)) < bits; bit++) {
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

	for (uint32_t i = 0; i < boot.partition_count; i++) {
		c = boot.partitions[i];
		c.start_cr3 = c.start_rsi = c.start_gdt = 0;
		for (uint32_t k = 0; k < BOOT_MAX_REGIONS; k++) {
			c.regions[k].hpa = 0;
		}
		mix(&hash, &c, sizeof(c));
	}
	mix(&hash, boot.channels, boot.channel_count * sizeof(*boot.channels));
	return hash;
}
