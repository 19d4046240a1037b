/* SPDX-License-Identifier: MIT */
/*
 * The manifest decoder: the default manifest decodes to what it says, and
 * each way to spoil it is refused with a message that names the place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libfdt.h>

#include "boot/manifest.h"

#define SPACE		(64u << 10)

static uint8_t *blob;			/* SPACE bytes, open for changes */
static struct manifest m;
static char error[MANIFEST_ERROR_LEN];

static int node_at(const char *path)
{
	int node = fdt_path_offset(blob, path);

	assert_true(node >= 0);
	return node;
}

static void disk_add(const char *name)
{
	int node = fdt_add_subnode(blob, node_at("/disks"), name);

	assert_true(node > 0);
	assert_int_equal(fdt_setprop_u32(blob, node, "partition", 1), 0);
	assert_int_equal(fdt_setprop_string(blob, node, "file", "/linux-disk"), 0);
}

/* The default manifest, completed with digests and a disk as the image tool
 * does. */
static int blob_make(void **state)
{
	static const char *const modules[] = { "hypervisor", "host-bridge", "kernel", "initrd",
					       "volume" };
	uint8_t digest[32];
	uint8_t *file = calloc(1, SPACE);
	FILE *f = fopen("build/unit/isthmus.dtb", "rb");

	(void)state;
	assert_non_null(f);
	assert_true(fread(file, 1, SPACE, f) > 0);
	fclose(f);
	blob = calloc(1, SPACE);
	assert_int_equal(fdt_open_into(file, blob, SPACE), 0);
	free(file);
	for (unsigned i = 0; i < sizeof(modules) / sizeof(modules[0]); i++) {
		char path[64];

		memset(digest, (int)i, sizeof(digest));
		snprintf(path, sizeof(path), "/modules/%s", modules[i]);
		assert_int_equal(fdt_setprop(blob, node_at(path), "sha256", digest, 32), 0);
	}
	assert_true(fdt_add_subnode(blob, 0, "disks") > 0);
	assert_true(fdt_add_subnode(blob, 0, "network") > 0);
	disk_add("root");
	return 0;
}

static int blob_free(void **state)
{
	(void)state;
	free(blob);
	return 0;
}

static bool decode(void)
{
	error[0] = '\0';
	return manifest_decode(blob, SPACE, &m, error);
}

static void default_is_right(void **state)
{
	const struct boot_partition *host = &m.partition[0], *linux_ = &m.partition[1];

	(void)state;
	if (!decode()) {
		fail_msg("%s", error);
	}
	assert_int_equal(m.module_count, 5);
	assert_string_equal(m.module[m.hypervisor].path, "\\isthmus\\hypervisor.elf");
	assert_string_equal(m.module[m.host_image].name, "host-bridge");
	assert_int_equal(m.module[3].sha256[31], 3);
	assert_int_equal(m.partition_count, 2);
	assert_string_equal(host->name, "host");
	assert_int_equal(host->flags, BOOT_PARTITION_HOST);
	assert_int_equal(host->mem_cap, 512u << 20);
	assert_int_equal(host->irqs[0].gsi, 4);
	assert_int_equal(host->ports[0].first, 0x3f8);
	assert_int_equal(host->ports[0].policy, BOOT_PORT_NATIVE);
	assert_string_equal(linux_->name, "linux");
	assert_int_equal(linux_->flags, 0);
	assert_int_equal(linux_->demand_count, 1);
	assert_int_equal(linux_->demand[0].size, 384u << 20);
	assert_int_equal(linux_->ports[1].last, 0xcff);
	assert_int_equal(linux_->ports[1].policy, BOOT_PORT_FORWARD);
	assert_int_equal(m.disk_count, 1);
	assert_int_equal(m.channel_count, 1);
	assert_int_equal(m.channel[0].gpa[0], 0x140000000ull);
	assert_int_equal(m.channel[0].gpa[1], 0xe4000000u);
	assert_int_equal(m.channel[0].output_size, 1028u << 10);
	assert_int_equal(m.min_memory, 448u << 20);
	assert_int_equal(host->mem_min, 320u << 20);
	/* storage, network, USB */
	assert_int_equal(m.pci_rule_count, 3);
	assert_int_equal(m.pci_rule[0].mask, 0xff000000);
	assert_int_equal(m.pci_rule[0].value, 0x01000000);
	assert_int_equal(m.pci_rule[2].mask, 0xffff0000);
	assert_int_equal(m.pci_rule[2].value, 0x0c030000);
	assert_int_equal(m.dma_mib, 32);
}

/* One change to the default each, and a piece of the message it must cause.
 * The value: 32-bit numbers, or text, or (neither) the property goes. */
static const struct spoiled {
	const char *node, *prop;
	unsigned cells;
	uint32_t cell[6];
	const char *text, *message;
} spoiled[] = {
	{ "/", "compatible", 0, { 0 }, "isthmus,manifest-2", "compatible" },
	{ "/", "model", 0, { 0 }, "x", "/: unknown property \"model\"" },
	{ "/chosen", "loud", 0, { 0 }, "", "/chosen: unknown property \"loud\"" },
	{ "/chosen", "quiet", 1, { 1 }, NULL, "\"quiet\": it takes no value" },
	{ "/chosen", "panic-resets", 1, { 1 }, NULL, "\"panic-resets\": it takes no value" },
	{ "/chosen", "exec", 0, { 0 }, "", "\"exec\": it takes one string" },
	{ "/chosen", "sandbox", 0, { 0 }, "", "\"sandbox\": it takes one string" },
	{ "/chosen", "writable-disks", 0, { 0 }, "", "\"writable-disks\": it takes one string" },
	{ "/chosen", "writable-disks", 2, { 0x61006100, 0 }, NULL, "\"writable-disks\"" },
	{ "/chosen", "host-socket", 0, { 0 }, "", "\"host-socket\": it takes one string" },
	{ "/chosen", "volume-disk", 0, { 0 }, "", "\"volume-disk\": it takes one string" },
	{ "/chosen", "volume-disk", 2, { 0x61006100, 0 }, NULL, "\"volume-disk\"" },
	{ "/chosen", "mark", 0, { 0 }, "0123456789abcde", "\"mark\": it takes one printable" },
	{ "/chosen", "mark", 0, { 0 }, "0123456789abcdef0", "\"mark\"" },
	{ "/chosen", "mark", 0, { 0 }, "0123456789abcde\036", "\"mark\"" },
	{ "/chosen", "serial", 0, { 0 }, "com5", "\"serial\": it takes \"com1\" to \"com4\"" },
	{ "/chosen", "serial", 0, { 0 }, "mmio:0xfee00000", "\"serial\": it takes" },
	{ "/chosen", "serial-speed", 1, { 49 }, NULL, "\"serial-speed\": it takes one number" },
	{ "/chosen", "serial-clock", 1, { 0 }, NULL, "\"serial-clock\": it takes one number" },
	{ "/modules/kernel", "sha256", 0, { 0 }, NULL, "\"sha256\": it is missing" },
	{ "/modules/kernel", "sha256", 1, { 1 }, NULL, "\"sha256\": it takes bytes" },
	{ "/modules/kernel", "path", 0, { 0 }, "isthmus/kernel", "begin with a backslash" },
	{ "/modules/kernel", "path", 0, { 0 }, "\\\033[2J", "\"path\": it takes one printable" },
	{ "/partitions/host", "host", 0, { 0 }, NULL, "\"id\": it takes one number (1 to 17)" },
	{ "/partitions/host", "id", 1, { 1 }, NULL, "\"id\"" },
	{ "/partitions/host", "module", 0, { 0 }, "nothing", "the name of one of /modules" },
	{ "/partitions/host", "memory-mib", 1, { 2000 }, NULL, "one number (16 to 1024)" },
	{ "/partitions/host", "memory-mib", 2, { 64, 64 }, NULL, "one number" },
	{ "/partitions/host", "vcpus", 1, { 2 }, NULL, "\"vcpus\"" },
	{ "/partitions/host", "bootargs", 0, { 0 }, "x", "unknown property \"bootargs\"" },
	{ "/partitions/host", "publish", 0, { 0 }, "tcp:80", "unknown property" },
	{ "/partitions/linux", "publish", 0, { 0 }, "", "\"publish\": it takes one string" },
	{ "/partitions/linux", "host-commands", 0, { 0 }, "",
	  "\"host-commands\": it takes one string" },
	{ "/partitions/linux", "sockets", 0, { 0 }, "",
	  "\"sockets\": it takes one string" },
	{ "/chosen", "sample-seconds", 1, { 5 }, NULL, "\"sample-seconds\": it takes one string" },
	{ "/partitions/linux", "hide", 1, { 22 }, NULL, "\"hide\": it takes one string" },
	{ "/partitions/host", "ports", 3, { 1, 2, 3 }, NULL, "pairs of numbers" },
	{ "/partitions/host", "ports", 2, { 2, 1 }, NULL, "out of range" },
	{ "/partitions/host", "ports", 2, { 1, 0x10000 }, NULL, "out of range" },
	{ "/partitions/host", "ports", 4, { 1, 9, 9, 10 }, NULL,
	  "0x9 to 0xa overlaps 0x1 to 0x9" },
	{ "/partitions/host", "irqs", 2, { 256, 0 }, NULL, "\"irqs\": <0x100 0x0> is out of" },
	{ "/partitions/host", "irqs", 2, { 5, 4 }, NULL, "\"irqs\"" },
	{ "/partitions/host", "irqs", 4, { 5, 0, 5, 1 }, NULL, "overlaps" },
	{ "/partitions/host", "mmio", 2, { 0xa0000000, 0x1000 }, NULL, "\"mmio\"" },
	{ "/partitions/host", "mmio", 2, { 0xfffff000, 0x2000 }, NULL, "\"mmio\"" },
	{ "/partitions/host", "mmio", 2, { 0xd0000000, 0 }, NULL, "\"mmio\"" },
	{ "/partitions/host", "mmio", 2, { 0xd0000000, 0x800 }, NULL, "\"mmio\"" },
	{ "/partitions/host", "mmio", 4, { 0xd0000000, 0x2000, 0xd0001000, 0x1000 }, NULL,
	  "overlaps" },
	{ "/partitions/host", "ports", 2, { 0xcf8, 0xcf8 }, NULL, "which are the hypervisor's" },
	{ "/partitions/host", "ports", 2, { 0xcf9, 0xcfa }, NULL, "which are the hypervisor's" },
	{ "/partitions/host", "ports", 2, { 0xc00, 0xcff }, NULL, "which are the hypervisor's" },
	{ "/partitions/linux", "ports", 2, { 0xcfc, 0xcfc }, NULL, "which are the hypervisor's" },
	{ "/partitions/host", "pci", 0, { 0 }, "class:1", "\"pci\": it takes at most 16" },
	{ "/partitions/host", "pci", 0, { 0 }, "class:010g", "\"pci\"" },
	{ "/partitions/host", "pci", 0, { 0 }, "class:01060102", "\"pci\"" },
	{ "/partitions/host", "pci", 0, { 0 }, "8086:100", "\"pci\"" },
	{ "/partitions/host", "pci", 0, { 0 }, "0000:00:20.0", "\"pci\"" },
	{ "/partitions/host", "pci", 0, { 0 }, "0000:00:1f.8", "\"pci\"" },
	{ "/partitions/host", "pci", 0, { 0 }, "0000:00:1f.2 ", "\"pci\"" },
	{ "/partitions/host", "pci", 1, { 0x41424344 }, NULL, "\"pci\"" },
	{ "/partitions/host", "dma-mib", 1, { 513 }, NULL, "one number (2 to 512)" },
	{ "/partitions/host", "restarts", 1, { 1001 }, NULL, "one number (0 to 1000)" },
	{ "/partitions/linux", "pci", 0, { 0 }, "class:01", "unknown property \"pci\"" },
	{ "/partitions/linux", "id", 1, { 0 }, NULL, "another partition has the same" },
	{ "/partitions/linux", "id", 1, { 2 }, NULL, "\"peers\": there is no partition 1" },
	{ "/partitions/linux", "id", 1, { 18 }, NULL, "\"id\": it takes one number" },
	{ "/partitions/linux", "vcpus", 1, { 0 }, NULL, "\"vcpus\"" },
	{ "/partitions/linux", "memory-mib", 1, { 64 }, NULL, "exceeds \"memory-mib\"" },
	{ "/partitions/linux", "kernel", 0, { 0 }, NULL, "\"kernel\": it is missing" },
	{ "/partitions/linux", "kernel", 0, { 0 }, "kern", "the name of one of /modules" },
	{ "/partitions/linux", "irqs", 2, { 9, 0 }, NULL, "unknown property \"irqs\"" },
	{ "/partitions/linux", "ports", 2, { 0x3fb, 0x3fb }, NULL, "overlaps" },
	{ "/partitions/linux", "ports", 2, { 0x2f8, 0x2f8 }, NULL, "which partition 0 has" },
	{ "/partitions/linux", "ports", 2, { 0xc020, 0xc020 }, NULL, "overlaps" },
	{ "/channels/files", "peers", 2, { 0, 0 }, NULL, "peers are the same" },
	{ "/channels/files", "peers", 2, { 0, 2 }, NULL, "there is no partition 2" },
	{ "/channels/files", "peers", 2, { 0, 18 }, NULL, "\"peers\": it takes two numbers" },
	{ "/disks/root", "partition", 1, { 2 }, NULL, "no such partition" },
	{ "/disks/root", "partition", 1, { 0 }, NULL, "it takes one number (1 to 17)" },
	{ "/disks/root", "size-mib", 1, { 1 << 24 }, NULL, "it takes one number" },
	{ "/disks/root", "file", 0, { 0 }, "disk", "does not begin with a slash" },
	{ "/disks/root", "file", 0, { 0 }, NULL, "either \"file\"" },
	{ "/disks/root", "device", 0, { 0 }, "nvme0", "either \"file\"" },
	{ "/disks/root", "device", 0, { 0 }, "", "\"device\"" },
	{ "/network", "address", 0, { 0 }, "", "\"address\": it takes one string" },
	{ "/network", "password", 0, { 0 }, "short", "(8 to 127)" },
	{ "/network", "console", 0, { 0 }, "123456", "(1 to 5)" },
	{ "/network", "key", 0, { 0 }, "0123456789abcdef", "(64 to 64)" },
	{ "/network", "control-key", 0, { 0 }, "0123456789abcdef", "(64 to 64)" },
	{ "/network", "control", 0, { 0 }, "123456", "(1 to 5)" },
	{ "/network", "echo", 1, { 1 }, NULL, "\"echo\": it takes no value" },
	{ "/network", "address4", 0, { 0 }, "10.0.2.9/24", "unknown property" },
	{ "/channels/files", "output-kib", 1, { 1024 }, NULL, "4 more than a power of two" },
	{ "/channels/files", "output-kib", 1, { 132 }, NULL,
	  "\"output-kib\": it takes one number (260 to 16388)" },
};

static void each_change_is_refused(void **state)
{
	for (unsigned i = 0; i < sizeof(spoiled) / sizeof(spoiled[0]); i++) {
		const struct spoiled *s = &spoiled[i];
		fdt32_t cell[6];
		int node;

		blob_free(state);
		blob_make(state);
		node = node_at(s->node);
		for (unsigned j = 0; j < s->cells; j++) {
			cell[j] = cpu_to_fdt32(s->cell[j]);
		}
		if (s->cells > 0) {
			assert_int_equal(fdt_setprop(blob, node, s->prop, cell,
						     (int)s->cells * 4), 0);
		} else if (s->text != NULL) {
			assert_int_equal(fdt_setprop_string(blob, node, s->prop, s->text), 0);
		} else {
			assert_int_equal(fdt_delprop(blob, node, s->prop), 0);
		}
		if (decode() || strstr(error, s->message) == NULL) {
			fail_msg("%s %s: wanted \"%s\", got \"%s\"", s->node, s->prop,
				 s->message, error);
		}
	}
}

static void disks_are_bounded(void **state)
{
	char name[2] = "A";

	(void)state;
	for (; name[0] < 'A' + MANIFEST_MAX_DISKS - 1; name[0]++) {
		disk_add(name);
		assert_true(decode());
	}
	assert_int_equal(m.disk_count, MANIFEST_MAX_DISKS);
	disk_add(name);
	assert_false(decode());
	assert_non_null(strstr(error, "one disk too many"));
	blob_free(state);
	blob_make(state);
	disk_add("a-name-that-has-thirty-two-bytes");
	assert_false(decode());
}

/* A disk of the machine's has no file, and its own size. */
static void a_disk_may_be_a_device(void **state)
{
	int node = node_at("/disks/root");

	(void)state;
	assert_int_equal(fdt_delprop(blob, node, "file"), 0);
	assert_int_equal(fdt_setprop_string(blob, node, "device", "label:data"), 0);
	assert_true(decode());
	assert_int_equal(m.disk_count, 1);
	assert_int_equal(fdt_setprop_u32(blob, node, "size-mib", 4), 0);
	assert_false(decode());
	assert_non_null(strstr(error, "either \"file\""));
}

static void the_mark_is_kept(void **state)
{
	(void)state;
	assert_true(decode());
	assert_null(m.mark);
	assert_false(m.panic_resets);
	assert_int_equal(fdt_setprop(blob, node_at("/chosen"), "panic-resets", NULL, 0), 0);
	assert_int_equal(fdt_setprop_string(blob, node_at("/chosen"), "mark",
					    "0123456789abcdef"), 0);
	assert_true(decode());
	assert_string_equal(m.mark, "0123456789abcdef");
	assert_true(m.panic_resets);
}

static void the_port_is_read(void **state)
{
	int node = node_at("/chosen");

	(void)state;
	assert_int_equal(fdt_setprop_string(blob, node, "serial", "com2"), 0);
	assert_int_equal(fdt_setprop_u32(blob, node, "serial-speed", 9600), 0);
	assert_int_equal(fdt_setprop_u32(blob, node, "serial-clock", 24000000), 0);
	assert_true(decode());
	assert_true(m.serial_uart.base == 0x2f8 && m.serial_rule.mask == 0);
	assert_true(m.serial_speed == 9600 && m.serial_clock == 24000000);
	assert_int_equal(fdt_setprop_string(blob, node, "serial", "pci:0000:00:03.0"), 0);
	assert_true(decode());
	assert_true(m.serial_rule.field == PCI_BY_ADDRESS && m.serial_rule.value == 0x18);
	/* it is no rule of the host partition's */
	assert_int_equal(m.pci_rule_count, 3);
}

static void functions_are_chosen(void **state)
{
	static const char rules[] = "8086:100E\0class:010802\0abcd:7f:1F.2";
	int node = node_at("/partitions/host");

	(void)state;
	assert_int_equal(fdt_setprop(blob, node, "pci", rules, sizeof(rules)), 0);
	assert_true(decode());
	assert_int_equal(m.pci_rule_count, 3);
	assert_int_equal(m.pci_rule[0].field, PCI_BY_ID);
	assert_int_equal(m.pci_rule[0].value, 0x100e8086);
	assert_int_equal(m.pci_rule[1].field, PCI_BY_CLASS);
	assert_int_equal(m.pci_rule[1].mask, 0xffffff00);
	assert_int_equal(m.pci_rule[1].value, 0x01080200);
	assert_int_equal(m.pci_rule[2].field, PCI_BY_ADDRESS);
	assert_int_equal(m.pci_rule[2].value, 0xabcd7ffa);
	/* none is a choice, too */
	assert_int_equal(fdt_setprop(blob, node, "pci", NULL, 0), 0);
	assert_true(decode());
	assert_int_equal(m.pci_rule_count, 0);
}

static void nodes_must_be_known(void **state)
{
	(void)state;
	assert_true(fdt_add_subnode(blob, 0, "devices") >= 0);
	assert_false(decode());
	assert_string_equal(error, "/devices: the node is unknown, or there twice");
}

/* libfdt does not make these; it finds the first, whatever the second has. */
static void nothing_is_there_twice(void **state)
{
	struct fdt_property *p;
	int len;

	(void)state;
	disk_add("roou");
	assert_true(decode());
	assert_int_equal(fdt_set_name(blob, node_at("/disks/roou"), "root"), 0);
	assert_false(decode());
	assert_string_equal(error, "/disks/root: the node is there twice");
	assert_int_equal(fdt_del_node(blob, node_at("/disks/root")), 0);
	assert_true(decode());
	assert_int_equal(fdt_setprop_u32(blob, node_at("/disks/root"), "x", 1), 0);
	p = fdt_get_property_w(blob, node_at("/disks/root"), "x", &len);
	p->nameoff = fdt_get_property(blob, node_at("/disks/root"), "partition",
				      &len)->nameoff;
	assert_false(decode());
	assert_non_null(strstr(error, "\"partition\": it is there twice"));
}

static void groups_have_no_strangers(void **state)
{
	(void)state;
	assert_true(fdt_add_subnode(blob, node_at("/chosen"), "x") >= 0);
	assert_false(decode());
	assert_string_equal(error, "/chosen/x: the node is unknown");
}

static void hypervisor_is_needed(void **state)
{
	(void)state;
	assert_int_equal(fdt_del_node(blob, node_at("/modules/hypervisor")), 0);
	assert_false(decode());
	assert_string_equal(error, "/modules/hypervisor: it is missing");
}

static void ids_have_no_gap(void **state)
{
	(void)state;
	assert_int_equal(fdt_del_node(blob, node_at("/channels")), 0);
	assert_int_equal(fdt_del_node(blob, node_at("/disks")), 0);
	assert_int_equal(fdt_setprop_u32(blob, node_at("/partitions/linux"), "id", 2), 0);
	assert_false(decode());
	assert_non_null(strstr(error, "/partitions: there is none with the \"id\" 1"));
}

static void partition_add(uint32_t id)
{
	static const char name[][4] = { "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l",
					"m", "n", "o", "p", "q", "r" };
	int node = fdt_add_subnode(blob, node_at("/partitions"), name[id - 2]);

	assert_true(node > 0);
	assert_int_equal(fdt_setprop_u32(blob, node, "id", id), 0);
	assert_int_equal(fdt_setprop_u32(blob, node, "vcpus", 1), 0);
	assert_int_equal(fdt_setprop_u32(blob, node, "memory-mib", 64), 0);
	assert_int_equal(fdt_setprop_string(blob, node, "kernel", "kernel"), 0);
}

/* In front of those that are there. */
static void channel_add(const char *name, uint32_t a, uint32_t b)
{
	fdt32_t peers[2] = { cpu_to_fdt32(a), cpu_to_fdt32(b) };
	int node = fdt_add_subnode(blob, node_at("/channels"), name);

	assert_true(node > 0);
	assert_int_equal(fdt_setprop(blob, node, "peers", peers, sizeof(peers)), 0);
	assert_int_equal(fdt_setprop_u32(blob, node, "output-kib", 260), 0);
}

/* Each from 0 on, so that none needs to know how many others there are. */
static void partitions_number_their_channels(void **state)
{
	static const uint64_t gpa[][2] = {
		{ 0xe4000000, 0xe4000000 }, { 0x140000000, 0xe8000000 },
		{ 0x144000000, 0xe8000000 },
	};

	(void)state;
	partition_add(2);
	channel_add("c", 0, 2);
	channel_add("b", 1, 2);
	assert_true(decode());
	assert_int_equal(m.channel_count, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(m.channel[i].gpa[0], gpa[i][0]);
		assert_int_equal(m.channel[i].gpa[1], gpa[i][1]);
	}
}

/* As many as there can be; one more of either is refused. */
static void partitions_and_channels_are_bounded(void **state)
{
	char name[4] = "aa";

	(void)state;
	for (uint32_t id = 2; id < 18; id++) {
		partition_add(id);
	}
	for (uint32_t i = 0; i < 31; i++) {
		name[1] = (char)('A' + i);
		channel_add(name, 0, 2 + i % 16);
	}
	assert_true(decode());
	assert_int_equal(m.partition_count, 18);
	assert_int_equal(m.channel_count, 32);
	assert_int_equal(m.min_memory, (448u + 16 * 16) << 20);
	channel_add("b", 0, 9);
	assert_false(decode());
	assert_non_null(strstr(error, "one channel too many"));
	assert_int_equal(fdt_del_node(blob, node_at("/channels/b")), 0);
	partition_add(18);
	assert_false(decode());
	assert_non_null(strstr(error, "/partitions/r: property \"id\": "
			       "it takes one number (1 to 17)"));
}

/* There is room for four in a guest's address space, and its ports. */
static void a_guest_has_four_channels(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 3; i++) {
		channel_add((char [2]){ (char)('a' + i), 0 }, 0, 1);
	}
	assert_true(decode());
	channel_add("d", 1, 0);
	assert_false(decode());
	assert_non_null(strstr(error, "it has 4 channels already"));
}

static void forwarded_ports_may_be_shared(void **state)
{
	static const char props[] = "forward-ports";
	fdt32_t cell[2] = { cpu_to_fdt32(0x2f8), cpu_to_fdt32(0x2ff) };

	(void)state;
	assert_int_equal(fdt_setprop(blob, node_at("/partitions/linux"), props, cell, 8), 0);
	assert_true(decode());
	assert_int_equal(m.partition[1].port_count, 1);
}

static void big_guests_get_memory_above_the_hole(void **state)
{
	(void)state;
	assert_int_equal(fdt_setprop_u32(blob, node_at("/partitions/linux"), "memory-mib", 8192),
			 0);
	assert_true(decode());
	assert_int_equal(m.partition[1].demand_count, 2);
	assert_int_equal(m.partition[1].demand[0].size, 0xe0000000u);
	assert_int_equal(m.partition[1].demand[1].gpa, 4ull << 30);
	assert_int_equal(m.partition[1].demand[1].size,
			 (8ull << 30) - 0xe0000000u);
}

static void too_many_ports_are_refused(void **state)
{
	fdt32_t cell[2 * (24 + 1)];

	(void)state;
	for (uint32_t i = 0; i < 24 + 1; i++) {
		cell[2 * i] = cell[2 * i + 1] = cpu_to_fdt32(0x1000 + i);
	}
	assert_int_equal(fdt_setprop(blob, node_at("/partitions/host"), "ports", cell,
				     sizeof(cell)), 0);
	assert_false(decode());
	assert_non_null(strstr(error, "one pair too many"));
}

/* Every blob cut short, and every one with a byte changed, is either refused
 * or decodes; the sanitizers see to it that nothing is read outside. */
/* Damage that no rule about properties would see. */
static void structure_is_checked(void **state)
{
	static const fdt32_t nops[] = { 0x04000000, 0x04000000 };	/* FDT_NOP */
	struct fdt_property *p;
	int node, len;

	(void)state;
	assert_true(manifest_blob_ok(blob, SPACE));
	/* a length that wraps to none, before what might be anything */
	assert_int_equal(fdt_setprop(blob, 0, "x", nops, sizeof(nops)), 0);
	assert_true(manifest_blob_ok(blob, SPACE));
	p = fdt_get_property_w(blob, 0, "x", &len);
	assert_int_equal(len, sizeof(nops));
	p->len = cpu_to_fdt32(0xfffffffd);
	assert_false(manifest_blob_ok(blob, SPACE));
	p->len = cpu_to_fdt32(len);
	/* nodes four deep */
	node = fdt_add_subnode(blob, node_at("/partitions/linux"), "deep");
	assert_true(node > 0);
	assert_false(manifest_blob_ok(blob, SPACE));
	assert_int_equal(fdt_del_node(blob, node), 0);
	assert_true(manifest_blob_ok(blob, SPACE));
}

static void damaged_blobs_are_survived(void **state)
{
	uint32_t size;

	(void)state;
	assert_int_equal(fdt_pack(blob), 0);
	size = fdt_totalsize(blob);
	for (uint32_t i = 0; i < size; i += 3) {
		uint8_t *cut = malloc(i + 1);

		memcpy(cut, blob, i);
		assert_false(manifest_decode(cut, i, &m, error));
		free(cut);
	}
	for (uint32_t i = 0; i < size; i++) {
		for (unsigned v = 0; v < 3; v++) {
			uint8_t *bad = malloc(size);

			memcpy(bad, blob, size);
			bad[i] = v == 0 ? 0xff : v == 1 ? 0x00 : (uint8_t)(bad[i] + 1);
			manifest_decode(bad, size, &m, error);
			free(bad);
		}
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, blob_make, blob_free)
	const struct CMUnitTest tests[] = {
		TEST(default_is_right), TEST(each_change_is_refused), TEST(disks_are_bounded),
		TEST(a_disk_may_be_a_device),
		TEST(the_mark_is_kept),
		TEST(functions_are_chosen), TEST(the_port_is_read),
		TEST(nodes_must_be_known),
		TEST(groups_have_no_strangers), TEST(hypervisor_is_needed),
		TEST(ids_have_no_gap), TEST(partitions_number_their_channels),
		TEST(partitions_and_channels_are_bounded), TEST(a_guest_has_four_channels),
		TEST(forwarded_ports_may_be_shared), TEST(big_guests_get_memory_above_the_hole),
		TEST(too_many_ports_are_refused), TEST(structure_is_checked),
		TEST(nothing_is_there_twice),
		TEST(damaged_blobs_are_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
