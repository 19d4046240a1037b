/* SPDX-License-Identifier: MIT */
/*
 * The manifest as the host partition uses it. boot/ has checked the blob and
 * every property (boot/fdt_check.c, manifest*.c), and it is a module, mapped
 * read-only: what is tested here again is only what costs nothing.
 */
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#include "host-bridge/rt/config.h"

#define KEYBOARD_INPUT	1u

/* A string property, or NULL when it is absent or not terminated. */
static const char *string_property(const void *fdt, int node,
				   const char *name)
{
	int len;
	const char *text = fdt_getprop(fdt, node, name, &len);

	return text && len > 0 && text[len - 1] == '\0' ? text : NULL;
}

/* A number of the manifest's, or what it is without. */
static uint32_t number_property(const void *fdt, int node, const char *name,
				uint32_t absent)
{
	int len;
	const fdt32_t *cell = fdt_getprop(fdt, node, name, &len);

	return cell && len == 4 ? fdt32_to_cpu(*cell) : absent;
}

/* boot/ has checked the manifest; what is absent here is optional there. */
static void read_guest(const void *fdt, int node, struct config_guest *guest)
{
	guest->name = fdt_get_name(fdt, node, NULL);
	guest->id = number_property(fdt, node, "id", 0);
	guest->on_demand = fdt_getprop(fdt, node, "on-demand", NULL) != NULL;
	guest->channel = -1;
	guest->bootargs = string_property(fdt, node, "bootargs");
	guest->publish = string_property(fdt, node, "publish");
	guest->hide = string_property(fdt, node, "hide");
	guest->host_commands = string_property(fdt, node, "host-commands");
	guest->sockets = string_property(fdt, node, "sockets");
	guest->kernel = string_property(fdt, node, "kernel");
	guest->initrd = string_property(fdt, node, "initrd");
	if (!guest->bootargs) {
		guest->bootargs = "";
	}
	guest->absent = guest->kernel ? NULL :
		"the manifest names no kernel for it";
}

/* Our line of the I/O APIC's input 1, to which PCs have the keyboard; -1: none. */
static int keyboard_line(const void *fdt, int host)
{
	int len, count;
	const fdt32_t *irqs = fdt_getprop(fdt, host, "irqs", &len);

	count = irqs ? len / 8 : 0;
	for (int i = 0; i < count; i++) {
		if (fdt32_to_cpu(irqs[2 * i]) == KEYBOARD_INPUT) {
			return i;
		}
	}
	return -1;
}

/* All partitions but ours are Linuxes. */
static void read_guests(const void *fdt, struct config *config)
{
	int node;

	fdt_for_each_subnode(node, fdt, fdt_path_offset(fdt, "/partitions")) {
		if (fdt_getprop(fdt, node, "host", NULL)) {
			config->keyboard_line = keyboard_line(fdt, node);
		} else if (config->guest_count < CONFIG_GUESTS) {
			read_guest(fdt, node,
				   &config->guests[config->guest_count++]);
		}
	}
	for (unsigned i = 0; i < config->guest_count; i++) {
		struct config_guest *guest = &config->guests[i];

		guest->several = config->guest_count > 1;
		snprintf(guest->title, sizeof(guest->title), "Linux%s%s",
			 guest->several ? " " : "",
			 guest->several ? guest->name : "");
	}
}

static struct config_guest *find_guest(struct config *config, uint32_t id)
{
	for (unsigned i = 0; i < config->guest_count; i++) {
		if (config->guests[i].id == id) {
			return &config->guests[i];
		}
	}
	return NULL;
}

/* Who has which channels, by which number: each partition counts its own, in
 * the manifest's order. */
static void read_channels(const void *fdt, struct config *config)
{
	int node, len, own = 0;

	fdt_for_each_subnode(node, fdt, fdt_path_offset(fdt, "/channels")) {
		const fdt32_t *peers = fdt_getprop(fdt, node, "peers", &len);
		bool host;

		if (!peers || len != 8) {
			continue;
		}
		host = !find_guest(config, fdt32_to_cpu(peers[0])) ||
		       !find_guest(config, fdt32_to_cpu(peers[1]));
		for (unsigned i = 0; i < 2; i++) {
			struct config_guest *guest =
				find_guest(config, fdt32_to_cpu(peers[i]));

			if (!guest ||
			    guest->channel_count == CHANNEL_GUEST_MAX) {
				continue;
			}
			guest->channels[guest->channel_count++] =
				(struct config_channel){
				number_property(fdt, node, "output-kib", 0) << 10,
				host };
			if (host && guest->channel < 0) {
				guest->channel = own;
			}
		}
		own += host;
	}
}

#define DISK_MIB_DEFAULT	8192u	/* of hole, mostly */

/* The disks of all Linuxes. */
static void read_disks(const void *fdt, struct config *config)
{
	int node;

	fdt_for_each_subnode(node, fdt, fdt_path_offset(fdt, "/disks")) {
		struct config_disk disk = {
			.partition = number_property(fdt, node, "partition", 0),
			.name = fdt_get_name(fdt, node, NULL),
			.file = string_property(fdt, node, "file"),
			.device = string_property(fdt, node, "device"),
			.size = (uint64_t)number_property(fdt, node, "size-mib",
					DISK_MIB_DEFAULT) << 20,
		};

		if (disk.name && (disk.file || disk.device) &&
		    config->disk_count < CONFIG_DISKS) {
			config->disks[config->disk_count++] = disk;
		}
	}
}

static void read_network(const void *fdt, struct config_network *network)
{
	int node = fdt_path_offset(fdt, "/network");

	if (node < 0) {
		return;
	}
	network->hostname = string_property(fdt, node, "hostname");
	network->address = string_property(fdt, node, "address");
	network->gateway = string_property(fdt, node, "gateway");
	network->dns = string_property(fdt, node, "dns");
	network->address6 = string_property(fdt, node, "address6");
	network->ntp = string_property(fdt, node, "ntp");
	network->syslog = string_property(fdt, node, "syslog");
	network->console = string_property(fdt, node, "console");
	network->password = string_property(fdt, node, "password");
	network->key = string_property(fdt, node, "key");
	network->control = string_property(fdt, node, "control");
	network->control_key = string_property(fdt, node, "control-key");
	network->off = fdt_getprop(fdt, node, "off", NULL) != NULL;
	network->echo = fdt_getprop(fdt, node, "echo", NULL) != NULL;
}

/**
 * Reads what concerns host-bridge, into *config, all of which is set. Strings
 * point into the manifest, which stays where it is. With absent set, a guest is
 * usable for all but starting it.
 */
void config_read(const struct host_info *info, struct config *config)
{
	const void *fdt = (const void *)(uintptr_t)info->manifest_gpa;
	struct config_guest none = {
		.name = "linux", .title = "Linux", .channel = -1,
		.absent = "the manifest has no partition beside the host's",
	};
	int chosen;

	*config = (struct config){ .info = info, .keyboard_line = -1 };
	config->guests[0] = none;
	config->guest_count = 1;
	if (fdt_check_header(fdt) != 0 ||
	    fdt_totalsize(fdt) > info->manifest_size) {
		config->guests[0].absent = "the manifest is not a device tree "
					   "blob";
		return;
	}
	chosen = fdt_path_offset(fdt, "/chosen");
	if (chosen >= 0) {
		config->exec = string_property(fdt, chosen, "exec");
		config->sandbox = string_property(fdt, chosen,
						  "sandbox");
		config->samples = string_property(fdt, chosen,
						  "sample-seconds");
		config->mark = string_property(fdt, chosen, "mark");
		config->socket = string_property(fdt, chosen,
						 "host-socket");
		config->writable = string_property(fdt, chosen,
						   "writable-disks");
		config->keyboard = string_property(fdt, chosen, "keyboard");
		config->volume_disk = string_property(fdt, chosen,
						      "volume-disk");
		config->quiet = fdt_getprop(fdt, chosen, "quiet", NULL) != NULL;
		config->panic_resets = fdt_getprop(fdt, chosen,
						   "panic-resets", NULL) != NULL;
	}
	config->guest_count = 0;
	read_guests(fdt, config);
	read_channels(fdt, config);
	read_disks(fdt, config);
	read_network(fdt, &config->network);
	/* None: the one of before is there still. */
	config->guest_count += config->guest_count == 0;
}

/**
 * A module by its name in the manifest (NULL: none), or NULL. Its memory is
 * mapped, and read-only but for the module "volume".
 */
const struct host_module *config_module(const struct config *config,
					const char *name)
{
	const struct host_info *info = config->info;

	for (uint32_t i = 0; i < info->module_count; i++) {
		if (name && strcmp(info->modules[i].name, name) == 0) {
			return &info->modules[i];
		}
	}
	return NULL;
}
