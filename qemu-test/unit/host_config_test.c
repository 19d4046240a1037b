/* SPDX-License-Identifier: MIT */
/*
 * The manifest as host-bridge reads it: several Linuxes, each with its own
 * channels by its own numbers, and those of ours that lead to it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libfdt.h>

#include "host-bridge/rt/config.h"

#define SPACE	(64u << 10)

static uint8_t *blob;
static struct config config;

/* The default manifest, open for changes. */
static int make(void **state)
{
	uint8_t *file = calloc(1, SPACE);
	FILE *f = fopen("build/unit/isthmus.dtb", "rb");

	(void)state;
	assert_non_null(f);
	assert_true(fread(file, 1, SPACE, f) > 0);
	fclose(f);
	blob = calloc(1, SPACE);
	assert_int_equal(fdt_open_into(file, blob, SPACE), 0);
	free(file);
	return 0;
}

static int drop(void **state)
{
	(void)state;
	free(blob);
	return 0;
}

static void read_it(void)
{
	static struct host_info info;

	info.manifest_gpa = (uintptr_t)blob;
	info.manifest_size = SPACE;
	config_read(&info, &config);
}

static int child(const char *parent, const char *name)
{
	int node = fdt_add_subnode(blob, fdt_path_offset(blob, parent), name);

	assert_true(node > 0);
	return node;
}

static void partition(const char *name, uint32_t id, const char *flag)
{
	int node = child("/partitions", name);

	assert_int_equal(fdt_setprop_u32(blob, node, "id", id), 0);
	assert_int_equal(fdt_setprop_string(blob, node, "kernel", "k"), 0);
	if (flag) {
		assert_int_equal(fdt_setprop_empty(blob, node, flag), 0);
	}
}

/* libfdt puts it before those that are there. */
static void channel(const char *name, uint32_t a, uint32_t b, uint32_t kib)
{
	fdt32_t peers[2] = { cpu_to_fdt32(a), cpu_to_fdt32(b) };
	int node = child("/channels", name);

	assert_int_equal(fdt_setprop(blob, node, "peers", peers, 8), 0);
	assert_int_equal(fdt_setprop_u32(blob, node, "output-kib", kib), 0);
}

static void one_is_linux(void **state)
{
	const struct config_guest *g = &config.guests[0];

	(void)state;
	read_it();
	assert_int_equal(config.guest_count, 1);
	assert_string_equal(g->name, "linux");
	assert_string_equal(g->title, "Linux");
	assert_false(g->several || g->on_demand);
	assert_int_equal(g->id, 1);
	assert_int_equal(g->channel, 0);
	assert_int_equal(g->channel_count, 1);
	assert_int_equal(g->channels[0].output_size, 1028u << 10);
	assert_true(g->channels[0].host);
	assert_null(g->absent);
}

/* In the manifest's order the channels are 2-1, 0-2, 0-1: ours are the last two,
 * and the first of partition 1 does not lead to us. */
static void several_have_names(void **state)
{
	const struct config_guest *b = &config.guests[0];
	const struct config_guest *first = &config.guests[1];
	int node;

	(void)state;
	partition("b", 2, "on-demand");
	channel("x", 0, 2, 516);
	channel("y", 2, 1, 260);
	assert_true(fdt_add_subnode(blob, 0, "disks") > 0);
	node = child("/disks", "d");
	assert_int_equal(fdt_setprop_u32(blob, node, "partition", 2), 0);
	assert_int_equal(fdt_setprop_string(blob, node, "file", "/d"), 0);
	node = fdt_path_offset(blob, "/partitions/b");
	assert_int_equal(fdt_setprop_string(blob, node, "publish", "tcp:80"), 0);
	assert_int_equal(fdt_setprop_string(blob, node, "hide", "all"), 0);
	read_it();
	assert_string_equal(b->publish, "tcp:80");
	assert_string_equal(b->hide, "all");
	assert_true(!first->publish && !first->hide && !first->host_commands &&
		    !first->sockets);
	node = fdt_path_offset(blob, "/partitions/b");
	assert_int_equal(fdt_setprop_string(blob, node, "host-commands",
					    "status cp"), 0);
	read_it();
	assert_string_equal(b->host_commands, "status cp");
	node = fdt_path_offset(blob, "/partitions/b");
	assert_int_equal(fdt_setprop_string(blob, node, "sockets", "offer"), 0);
	read_it();
	assert_string_equal(b->sockets, "offer");
	assert_int_equal(config.guest_count, 2);
	assert_string_equal(b->title, "Linux b");
	assert_true(b->on_demand && b->several);
	assert_false(first->on_demand);
	assert_string_equal(first->title, "Linux linux");
	assert_int_equal(b->channel, 0);
	assert_int_equal(b->channel_count, 2);
	assert_false(b->channels[0].host);
	assert_int_equal(b->channels[0].output_size, 260u << 10);
	assert_true(b->channels[1].host);
	assert_int_equal(b->channels[1].output_size, 516u << 10);
	assert_int_equal(first->channel, 1);
	assert_false(first->channels[0].host);
	assert_true(first->channels[1].host);
	assert_int_equal(config.disk_count, 1);
	assert_int_equal(config.disks[0].partition, 2);
}

static void seventeen_at_most(void **state)
{
	char name[2] = "a";

	(void)state;
	for (; name[0] < 'a' + CONFIG_GUESTS + 3; name[0]++) {
		partition(name, 2u + (uint32_t)(name[0] - 'a'), NULL);
	}
	read_it();
	assert_int_equal(config.guest_count, CONFIG_GUESTS);
}

static void a_network_may_be_told(void **state)
{
	int node;

	(void)state;
	read_it();
	assert_null(config.network.address);
	assert_false(config.network.echo);
	node = fdt_add_subnode(blob, 0, "network");
	assert_int_equal(fdt_setprop_string(blob, node, "address",
					    "192.0.2.1/24"), 0);
	assert_int_equal(fdt_setprop_string(blob, node, "dns", "192.0.2.2"), 0);
	assert_int_equal(fdt_setprop_string(blob, node, "hostname", "box"), 0);
	assert_int_equal(fdt_setprop_empty(blob, node, "echo"), 0);
	read_it();
	assert_string_equal(config.network.address, "192.0.2.1/24");
	assert_string_equal(config.network.dns, "192.0.2.2");
	assert_string_equal(config.network.hostname, "box");
	assert_null(config.network.ntp);
	assert_true(config.network.echo);
	assert_false(config.network.off);
}

static void a_command_may_have_a_child(void **state)
{
	int node;

	(void)state;
	read_it();
	assert_true(!config.exec && !config.sandbox && !config.samples &&
		    !config.socket);
	node = fdt_path_offset(blob, "/chosen");
	assert_int_equal(fdt_setprop_string(blob, node, "sample-seconds", "5"), 0);
	assert_int_equal(fdt_setprop_string(blob, node, "host-socket", "/s"), 0);
	node = fdt_path_offset(blob, "/chosen");
	assert_int_equal(fdt_setprop_string(blob, node, "exec", "ls"), 0);
	node = fdt_path_offset(blob, "/chosen");
	assert_int_equal(fdt_setprop_string(blob, node, "sandbox",
					    "--net out"), 0);
	read_it();
	assert_string_equal(config.samples, "5");
	assert_string_equal(config.socket, "/s");
	assert_string_equal(config.exec, "ls");
	assert_string_equal(config.sandbox, "--net out");
}

static void none_is_missed(void **state)
{
	(void)state;
	assert_int_equal(fdt_del_node(blob, fdt_path_offset(
			 blob, "/partitions/linux")), 0);
	read_it();
	assert_int_equal(config.guest_count, 1);
	assert_non_null(strstr(config.guests[0].absent, "no partition"));
	assert_int_equal(config.guests[0].channel, -1);
	memset(blob, 0, 8);
	read_it();
	assert_int_equal(config.guest_count, 1);
	assert_non_null(strstr(config.guests[0].absent, "not a device tree"));
}

/* The keyboard's line is where its input is in the list; a list without it, or that
 * is cut off, has none. */
static void keyboard(void **state)
{
	int host = fdt_path_offset(blob, "/partitions/host");
	fdt32_t irqs[3] = { cpu_to_fdt32(1), 0, cpu_to_fdt32(1) };

	(void)state;
	read_it();
	assert_int_equal(config.keyboard_line, 2);
	assert_null(config.keyboard);
	assert_int_equal(fdt_setprop(blob, host, "irqs", irqs, sizeof(irqs)), 0);
	assert_int_equal(fdt_setprop_string(blob, fdt_path_offset(blob, "/chosen"),
					    "keyboard", "de"), 0);
	read_it();
	assert_int_equal(config.keyboard_line, 0);
	assert_string_equal(config.keyboard, "de");
	irqs[0] = cpu_to_fdt32(4);
	host = fdt_path_offset(blob, "/partitions/host");
	assert_int_equal(fdt_setprop(blob, host, "irqs", irqs, sizeof(irqs)), 0);
	read_it();
	assert_int_equal(config.keyboard_line, -1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make, drop)
	const struct CMUnitTest tests[] = {
		TEST(one_is_linux), TEST(several_have_names),
		TEST(seventeen_at_most), TEST(none_is_missed),
		TEST(a_network_may_be_told), TEST(a_command_may_have_a_child),
		TEST(keyboard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
