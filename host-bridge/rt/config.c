/* SPDX-License-Identifier: MIT */
/*
 * The manifest as the host partition uses it. boot/ has checked the blob and
 * every property (boot/fdt_check.c, manifest*.c), and it is a module, mapped
 * read-only: what is tested here again is only what costs nothing.
 */
#include <libfdt.h>
#include <string.h>

#include "host-bridge/rt/config.h"

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
	guest->id = number_property(fdt, node, "id", 0);
	guest->bootargs = string_property(fdt, node, "bootargs");
	guest->kernel = string_property(fdt, node, "kernel");
	guest->initrd = string_property(fdt, node, "initrd");
	if (!guest->bootargs) {
		guest->bootargs = "";
	}
	guest->absent = guest->kernel ? NULL :
		"the manifest names no kernel for the Linux partition";
}

#define DISK_MIB_DEFAULT	8192u	/* of hole, mostly */

/* The disks of the Linux that there is. */
static void read_disks(const void *fdt, struct config *config)
{
	int node;

	fdt_for_each_subnode(node, fdt, fdt_path_offset(fdt, "/disks")) {
		struct config_disk disk = {
			.name = fdt_get_name(fdt, node, NULL),
			.file = string_property(fdt, node, "file"),
			.device = string_property(fdt, node, "device"),
			.size = (uint64_t)number_property(fdt, node, "size-mib",
					DISK_MIB_DEFAULT) << 20,
		};

		if (disk.name && (disk.file || disk.device) &&
		    config->disk_count < CONFIG_DISKS &&
		    number_property(fdt, node, "partition", 0) ==
		    config->guest.id) {
			config->disks[config->disk_count++] = disk;
		}
	}
}

/**
 * Reads what concerns host-bridge, into *config, all of which is set. Strings
 * point into the manifest, which stays where it is. With guest.absent set,
 * *config is usable for all but starting Linux.
 */
void config_read(const struct host_info *info, struct config *config)
{
	const void *fdt = (const void *)(uintptr_t)info->manifest_gpa;
	int node, chosen;

	*config = (struct config){ .info = info };
	if (fdt_check_header(fdt) != 0 ||
	    fdt_totalsize(fdt) > info->manifest_size) {
		config->guest.absent = "the manifest is not a device tree blob";
		return;
	}
	config->guest.absent = "the manifest has no partition beside the host's";
	chosen = fdt_path_offset(fdt, "/chosen");
	if (chosen >= 0) {
		config->exec = string_property(fdt, chosen, "exec");
		config->mark = string_property(fdt, chosen, "mark");
		config->writable = string_property(fdt, chosen,
						   "writable-disks");
		config->volume_disk = string_property(fdt, chosen,
						      "volume-disk");
		config->quiet = fdt_getprop(fdt, chosen, "quiet", NULL) != NULL;
	}
	fdt_for_each_subnode(node, fdt, fdt_path_offset(fdt, "/partitions")) {
		/* The first one that is not ours; others in the manifest stay
		 * empty. */
		if (!fdt_getprop(fdt, node, "host", NULL)) {
			read_guest(fdt, node, &config->guest);
			break;
		}
	}
	read_disks(fdt, config);
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
