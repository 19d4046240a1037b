/* SPDX-License-Identifier: MIT */
/*
 * Decodes the manifest: the tables of each node's properties, and what follows
 * from them for partitions and channels. The blob is not trusted: its
 * structure has been checked (fdt_check.c), each property goes through a table
 * (manifest_props.c), and what no table knows is refused. docs/manifest.md
 * describes the same for people. No EFI: tested and fuzzed on the build
 * machine.
 */
#include <string.h>

#include <libfdt.h>

#include "hypervisor/include/abi/channel.h"
#include "proto/host_info.h"
#include "manifest_impl.h"

#define MIB		(1ull << 20)
#define MIN_MIB_DEFAULT	16u
#define DMA_MIB_DEFAULT	32u
#define GUEST_HOLE	0xe0000000ull	/* a guest's RAM leaves out from */
#define GUEST_HIGH	0x100000000ull	/* here to here */
#define CHANNEL_STRIDE	0x04000000ull	/* of guest-physical address space */
#define VCPUS_MAX	8
#define COUNT(array)	((unsigned)(sizeof(array) / sizeof((array)[0])))

/* What the tables fill in before it is reckoned into p. */
struct raw_partition {
	struct boot_partition p;
	uint32_t memory_mib, min_mib, dma_mib;
	uint32_t kernel, initrd;	/* modules, checked only */
	uint32_t module;
};

struct raw_channel {
	uint32_t peer[2];
	uint32_t output_kib;
};

/* For the host partition's program; checked here, used there. */
struct raw_disk {
	uint32_t partition, size_mib;
	const char *file, *device;
};

/* Where a value goes. Properties that are not stored have 0 there. */
#define MODULE(field)	offsetof(struct manifest_module, field)
#define RAW(field)	offsetof(struct raw_partition, field)
#define CHANNEL(field)	offsetof(struct raw_channel, field)
#define DISK(field)	offsetof(struct raw_disk, field)

/* Each line: name, kind, required?, least, most, place; see struct prop. */
static const struct prop root_props[] = {
	{ "compatible", PROP_STRING, true, 1, 63, 0 },
};

/* For the host partition's program; checked here, used there. The mark is for
 * the hypervisor too, the serial port for all three. */
static const struct prop chosen_props[] = {
	{ "writable-disks", PROP_TEXT, false, 1, 255, 0 },
	{ "keyboard", PROP_TEXT, false, 2, 15, 0 },
	{ "volume-disk", PROP_TEXT, false, 1, 255, 0 },
	{ "exec", PROP_TEXT, false, 1, 16383, 0 },
	{ "sandbox", PROP_TEXT, false, 1, 1023, 0 },
	{ "mark", PROP_STRING, false, BOOT_MARK_LEN, BOOT_MARK_LEN,
	  offsetof(struct manifest, mark) },
	{ "panic-resets", PROP_FLAG, false, 0, 0, offsetof(struct manifest, panic_resets) },
	{ "serial", PROP_SERIAL, false, 3, 31, offsetof(struct manifest, serial) },
	{ "serial-speed", PROP_U32, false, 50, 4000000, offsetof(struct manifest, serial_speed) },
	{ "serial-clock", PROP_U32, false, 100000, 1000000000,
	  offsetof(struct manifest, serial_clock) },
	{ "quiet", PROP_FLAG, false, 0, 0, 0 },
	{ "sample-seconds", PROP_TEXT, false, 1, 4, 0 },
	{ "host-socket", PROP_TEXT, false, 1, 255, 0 },
};

/* Of every module: nothing is loaded whose digest is not known. */
static const struct prop module_props[] = {
	{ "path", PROP_STRING, true, 2, 127, MODULE(path) },
	{ "sha256", PROP_BYTES, true, 32, 32, MODULE(sha256) },
};

/* Only the host partition has interrupts and device memory. */
static const struct prop host_props[] = {
	{ "host", PROP_FLAG, true, 0, 0, 0 },
	{ "id", PROP_U32, true, 0, 0, RAW(p.id) },
	{ "vcpus", PROP_U32, true, 1, 1, RAW(p.vcpus) },
	{ "memory-mib", PROP_U32, true, 16, HOST_RAM_END_MAX / MIB, RAW(memory_mib) },
	{ "memory-min-mib", PROP_U32, false, 1, 65536, RAW(min_mib) },
	{ "module", PROP_MODULE, true, 0, 0, RAW(module) },
	{ "ports", PROP_PORTS, false, 0, 0, 0 },
	{ "irqs", PROP_IRQS, false, 0, 0, 0 },
	{ "mmio", PROP_MMIO, false, 0, 0, 0 },
	{ "pci", PROP_PCI, false, 0, 0, 0 },
	{ "dma-mib", PROP_U32, false, 2, HOST_DMA_MAX / MIB, RAW(dma_mib) },
	{ "restarts", PROP_U32, false, 0, 1000, RAW(p.restarts) },
};

/* Functions of PCI for the host partition, if it does not say: storage, network,
 * USB [PCI Code and ID Assignment "Class Codes"]. */
static const char pci_default[] = "class:01\0class:02\0class:0c03";

/* What a guest may be given; its program is host-bridge's matter, so kernel
 * and initrd are only looked up. */
static const struct prop guest_props[] = {
	{ "id", PROP_U32, true, 1, BOOT_MAX_PARTITIONS - 1, RAW(p.id) },
	{ "vcpus", PROP_U32, true, 1, VCPUS_MAX, RAW(p.vcpus) },
	{ "memory-mib", PROP_U32, true, 16, 65536, RAW(memory_mib) },
	{ "memory-min-mib", PROP_U32, false, 1, 65536, RAW(min_mib) },
	{ "kernel", PROP_MODULE, true, 0, 0, RAW(kernel) },
	{ "initrd", PROP_MODULE, false, 0, 0, RAW(initrd) },
	{ "bootargs", PROP_TEXT, false, 0, 2047, 0 },
	{ "ports", PROP_PORTS, false, 0, 0, 0 },
	{ "forward-ports", PROP_FORWARD, false, 0, 0, 0 },
	{ "publish", PROP_TEXT, false, 1, 1023, 0 },
	{ "hide", PROP_TEXT, false, 1, 1023, 0 },
	{ "host-commands", PROP_TEXT, false, 1, 255, 0 },
	{ "sockets", PROP_TEXT, false, 1, 255, 0 },
	{ "on-demand", PROP_FLAG, false, 0, 0, 0 },
};

/* 16 MiB of data at most: two sections fit into CHANNEL_STRIDE. */
static const struct prop channel_props[] = {
	{ "peers", PROP_PAIR, true, 0, BOOT_MAX_PARTITIONS - 1, CHANNEL(peer) },
	/* The least that a ring takes (proto/ring.h); two of the most fit the stride. */
	{ "output-kib", PROP_U32, true, 260, 16388, CHANNEL(output_kib) },
};

/* Where Linux's disk is: on the host's volume, 16 TiB at most; or a disk of the
 * machine's, or a part of one. */
static const struct prop disk_props[] = {
	{ "partition", PROP_U32, true, 1, BOOT_MAX_PARTITIONS - 1, DISK(partition) },
	{ "file", PROP_STRING, false, 2, 255, DISK(file) },
	{ "device", PROP_STRING, false, 1, 255, DISK(device) },
	{ "size-mib", PROP_U32, false, 1, (1u << 24) - 1, DISK(size_mib) },
};

/* For the host partition's program, which reads the addresses in it. */
static const struct prop network_props[] = {
	{ "off", PROP_FLAG, false, 0, 0, 0 },
	{ "hostname", PROP_TEXT, false, 1, 63, 0 },
	{ "address", PROP_TEXT, false, 1, 63, 0 },
	{ "gateway", PROP_TEXT, false, 1, 63, 0 },
	{ "address6", PROP_TEXT, false, 1, 63, 0 },
	{ "dns", PROP_TEXT, false, 1, 255, 0 },
	{ "ntp", PROP_TEXT, false, 1, 255, 0 },
	{ "syslog", PROP_TEXT, false, 1, 63, 0 },
	{ "console", PROP_TEXT, false, 1, 5, 0 },
	{ "password", PROP_TEXT, false, 8, 127, 0 },
	{ "key", PROP_TEXT, false, 64, 64, 0 },
	{ "control", PROP_TEXT, false, 1, 5, 0 },
	{ "control-key", PROP_TEXT, false, 64, 64, 0 },
	{ "echo", PROP_FLAG, false, 0, 0, 0 },
};

/* A guest's channel registers: no other ports of it may lie there. */
static const struct prop channel_ports = { "channels", PROP_FORWARD, false, 0, 0, 0 };

/* One of /modules. Its file is looked for later. */
static bool module_read(struct decode *d, int node)
{
	struct manifest *m = d->manifest;
	struct manifest_module *module = &m->module[m->module_count];

	if (m->module_count == MANIFEST_MAX_MODULES || strlen(d->name) > 31 ||
	    strcmp(d->name, "manifest") == 0 || strcmp(d->name, HOST_BOX_MODULE) == 0 ||
	    strcmp(d->name, HOST_LEGACY_MODULE) == 0) {
		return manifest_error(d, NULL, "it is one module too many, or its name is "
				      "reserved or longer than 31 characters");
	}
	if (!manifest_props(d, node, module_props, COUNT(module_props), module)) {
		return false;
	}
	if (module->path[0] != '\\') {
		return manifest_error(d, "path", "it does not begin with a backslash");
	}
	module->name = d->name;
	/* by its name; that it is there at all is whole_check()'s */
	if (strcmp(d->name, "hypervisor") == 0) {
		m->hypervisor = m->module_count;
	}
	m->module_count++;
	return true;
}

/* RAM from 0 on, around the hole below 4 GiB, where channels and LAPIC are. */
static void demand_set(struct boot_partition *p)
{
	uint64_t low = p->mem_cap < GUEST_HOLE ? p->mem_cap : GUEST_HOLE;

	p->demand[p->demand_count++] = (struct boot_demand) { 0, low };
	if (p->mem_cap > low) {
		p->demand[p->demand_count++] =
			(struct boot_demand) { GUEST_HIGH, p->mem_cap - low };
	}
}

/* One of /partitions, host or guest by its property "host". Regions and start
 * state are partitions.c's to add. */
static bool partition_read(struct decode *d, int node)
{
	bool host = fdt_getprop(d->blob, node, "host", NULL) != NULL;
	struct raw_partition raw = { .min_mib = MIN_MIB_DEFAULT, .dma_mib = DMA_MIB_DEFAULT };
	struct manifest *m = d->manifest;
	int len;
	const fdt32_t *id = fdt_getprop(d->blob, node, "id", &len);

	/* The id comes first: claims are made in its name. If it is out of
	 * range the table refuses it. */
	raw.p.id = id != NULL && len == 4 ? fdt32_ld(id) : 0;
	if (raw.p.id < BOOT_MAX_PARTITIONS && m->partition[raw.p.id].name[0] != '\0') {
		return manifest_error(d, "id", "another partition has the same");
	}
	d->partition = &raw.p;
	/* before its lists: they may not have these; as forwarded, since other
	 * guests have the same */
	if (!host && !manifest_claim(d, &channel_ports, CHANNEL_GUEST_IO_PORT,
				     CHANNEL_GUEST_IO_PORT +
				     CHANNEL_GUEST_MAX * CHANNEL_IO_SIZE - 1)) {
		return false;
	}
	if (!manifest_props(d, node, host ? host_props : guest_props,
			    host ? COUNT(host_props) : COUNT(guest_props), &raw)) {
		return false;
	}
	if (strlen(d->name) >= BOOT_NAME_LEN || raw.min_mib > raw.memory_mib) {
		return manifest_error(d, NULL, "its name is longer than %u characters, or "
				      "\"memory-min-mib\" exceeds \"memory-mib\"",
				      BOOT_NAME_LEN - 1);
	}
	/* its length was checked above */
	memcpy(raw.p.name, d->name, strlen(d->name) + 1);
	raw.p.mem_cap = raw.memory_mib * MIB;
	raw.p.mem_min = raw.min_mib * MIB;
	demand_set(&raw.p);
	if (host) {
		raw.p.flags = BOOT_PARTITION_HOST;
		m->host_image = raw.module;
		m->dma_mib = raw.dma_mib;
	}
	if (host && fdt_getprop(d->blob, node, "pci", NULL) == NULL &&
	    !manifest_pci(d, NULL, pci_default, sizeof(pci_default))) {
		return false;
	}
	m->min_memory += raw.min_mib * MIB;
	m->partition[raw.p.id] = raw.p;
	m->partition_count++;
	return true;
}

/* How many channels a partition has so far. */
static uint32_t channels_of(const struct manifest *m, uint32_t id)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < m->channel_count; i++) {
		n += m->channel[i].peer[0] == id || m->channel[i].peer[1] == id;
	}
	return n;
}

/* Output sections are one header page and a data area, a power of two. */
static bool channel_read(struct decode *d, int node)
{
	struct manifest *m = d->manifest;
	struct boot_channel *c = &m->channel[m->channel_count];
	struct raw_channel raw = { 0 };

	if (!manifest_props(d, node, channel_props, COUNT(channel_props), &raw)) {
		return false;
	}
	if (m->channel_count == BOOT_MAX_CHANNELS || raw.peer[0] == raw.peer[1] ||
	    ((raw.output_kib - 4) & (raw.output_kib - 5)) != 0) {
		return manifest_error(d, NULL, "it is one channel too many, or its peers are the "
				      "same, or \"output-kib\" is not 4 more than a power of two");
	}
	for (uint32_t i = 0; i < 2; i++) {
		const struct boot_partition *p = &m->partition[raw.peer[i]];
		bool host = (p->flags & BOOT_PARTITION_HOST) != 0;
		uint64_t n = channels_of(m, raw.peer[i]);

		if (p->name[0] == '\0' || (!host && n == CHANNEL_GUEST_MAX)) {
			return manifest_error(d, "peers", "there is no partition %u, or it has %u "
					      "channels already", raw.peer[i], CHANNEL_GUEST_MAX);
		}
		c->peer[i] = raw.peer[i];
		/* each partition numbers its own */
		c->gpa[i] = host ? HOST_CHANNEL_GPA + n * HOST_CHANNEL_STRIDE
				 : CHANNEL_GUEST_REGION_GPA + n * CHANNEL_STRIDE;
	}
	c->output_size = raw.output_kib * 1024ull;
	m->channel_count++;
	return true;
}

static bool disk_read(struct decode *d, int node)
{
	struct raw_disk raw = { 0 };

	if (!manifest_props(d, node, disk_props, COUNT(disk_props), &raw)) {
		return false;
	}
	if ((raw.file == NULL) == (raw.device == NULL) || (raw.device != NULL && raw.size_mib)) {
		return manifest_error(d, NULL, "a disk has either \"file\", perhaps with "
				      "\"size-mib\", or \"device\"");
	}
	return (d->manifest->disk_count++ < MANIFEST_MAX_DISKS && strlen(d->name) <= 31 &&
		(raw.file == NULL || raw.file[0] == '/') &&
		d->manifest->partition[raw.partition].name[0] != '\0') ||
	       manifest_error(d, NULL, "it is one disk too many, its name is longer than 31 "
			      "characters, \"file\" does not begin with a slash, or there is no "
			      "such partition");
}

/* /chosen and /network have properties, no nodes. */
static bool chosen_read(struct decode *d, int node)
{
	(void)node;
	return manifest_error(d, NULL, "the node is unknown");
}

/* The groups below the root, read in this order: channels and disks refer to
 * partitions and these to modules. */
static const struct group {
	const char *name;
	bool (*element)(struct decode *d, int node);
	const struct prop *props;
	unsigned prop_count;
} groups[] = {
	{ "chosen", chosen_read, chosen_props, COUNT(chosen_props) },
	{ "modules", module_read, NULL, 0 },
	{ "partitions", partition_read, NULL, 0 },
	{ "channels", channel_read, NULL, 0 },
	{ "disks", disk_read, NULL, 0 },
	{ "network", chosen_read, network_props, COUNT(network_props) },
};

/* A group's own properties, then its elements in their order. */
static bool group_read(struct decode *d, int node, const struct group *g)
{
	int child;

	d->group = g->name;
	d->name = "";
	if (!manifest_props(d, node, g->props, g->prop_count, d->manifest)) {
		return false;
	}
	fdt_for_each_subnode(child, d->blob, node) {
		d->name = fdt_get_name(d->blob, child, NULL);
		/* libfdt finds the first of that name */
		if (fdt_subnode_offset(d->blob, node, d->name) != child) {
			return manifest_error(d, NULL, "the node is there twice");
		}
		if (!g->element(d, child)) {
			return false;
		}
	}
	return true;
}

/* Every node below the root must be a group, and there once. */
static bool groups_known(struct decode *d)
{
	int node;

	fdt_for_each_subnode(node, d->blob, 0) {
		unsigned i = 0;

		d->group = fdt_get_name(d->blob, node, NULL);
		while (i < COUNT(groups) && strcmp(d->group, groups[i].name) != 0) {
			i++;
		}
		/* libfdt finds the first of that name */
		if (i == COUNT(groups) || fdt_subnode_offset(d->blob, 0, d->group) != node) {
			return manifest_error(d, NULL, "the node is unknown, or there twice");
		}
	}
	return true;
}

/* What only the whole shows: the hypervisor's module, and ids without gap,
 * which later serve as indices. */
static bool whole_check(struct decode *d)
{
	struct manifest *m = d->manifest;

	d->group = "modules";
	d->name = "hypervisor";
	if (m->module_count == 0 || strcmp(m->module[m->hypervisor].name, d->name) != 0) {
		return manifest_error(d, NULL, "it is missing");
	}
	d->group = "partitions";
	d->name = "";
	for (uint32_t i = 0; i < m->partition_count || i == 0; i++) {
		if (m->partition[i].name[0] == '\0') {
			return manifest_error(d, NULL, "there is none with the \"id\" %u (0 is the "
					      "host's, the others follow without gap)", i);
		}
	}
	return true;
}

/**
 * Decodes and checks the manifest of size bytes at blob (8-byte aligned)
 * into *manifest, whose strings then point into the blob. Returns false with
 * a sentence in error that names node and property and says what is wrong.
 */
bool manifest_decode(const void *blob, uint64_t size, struct manifest *manifest,
		     char error[MANIFEST_ERROR_LEN])
{
	struct decode d = { .blob = blob, .manifest = manifest, .error = error,
			    .group = "", .name = "" };
	const char *compatible = "";

	memset(manifest, 0, sizeof(*manifest));
	if (!manifest_blob_ok(blob, size)) {
		return manifest_error(&d, NULL, "it is no device tree blob of version 17, or is "
				      "damaged, nested too deeply or larger than %u KiB",
				      MANIFEST_MAX_SIZE / 1024);
	}
	if (!manifest_props(&d, 0, root_props, COUNT(root_props), &compatible) ||
	    !groups_known(&d)) {
		return false;
	}
	if (strcmp(compatible, "isthmus,manifest-1") != 0) {
		return manifest_error(&d, "compatible", "it is not \"isthmus,manifest-1\"");
	}
	for (unsigned i = 0; i < COUNT(groups); i++) {
		int node = fdt_subnode_offset(blob, 0, groups[i].name);

		if (node >= 0 && !group_read(&d, node, &groups[i])) {
			return false;
		}
	}
	return whole_check(&d);
}
