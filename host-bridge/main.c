/* SPDX-License-Identifier: MIT */
/*
 * The host partition's program, from its entry on: processor tables, serial
 * lines, volume, channel with its services, Linux, and then either the console
 * or the one command that this run is for.
 *
 * What it is given by boot/ (struct host_info, the manifest) is trusted; the
 * modules' content and everything from Linux is not, and is checked where it is
 * parsed. A part that cannot be set up is reported and left out, so that the
 * console comes up if anything does.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/host_info.h"
#include "host-bridge/agent/agent.h"
#include "host-bridge/blk/disks.h"
#include "host-bridge/blk/volume_dev.h"
#include "host-bridge/dev/dma.h"
#include "host-bridge/dev/pci.h"
#include "host-bridge/dev/serial.h"
#include "host-bridge/nbd/nbd_server.h"
#include "host-bridge/files/fuse_server.h"
#include "host-bridge/files/fuse_service.h"
#include "host-bridge/fs/volume.h"
#include "host-bridge/fs/volume_loop.h"
#include "host-bridge/guest/linux.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/rt/config.h"
#include "host-bridge/rt/cpu.h"
#include "host-bridge/rt/heap.h"
#include "host-bridge/rt/notice.h"
#include "host-bridge/rt/stage.h"
#include "host-bridge/rt/syscalls.h"
#include "host-bridge/ui/commands.h"
#include "host-bridge/ui/console.h"
#include "host-bridge/ui/places.h"
#include "host-bridge/ui/run_once.h"
#include "host-bridge/vsock/vsock_endpoint.h"

#define CHANNEL		0u	/* the one to the Linux */
#define STDOUT_BUFFER	4096

void main_entry(const struct host_info *info) __attribute__((noreturn));

static struct config config;

/* The Linux of the manifest, and what the console's commands work on: it, its
 * channel, its agent. A second Linux would have a set of these of its own. */
static struct guest guest;
static struct places places;
static struct console console;
static struct command_env env = {
	.config = &config, .guest = &guest, .places = &places,
};

/* The volume of the manifest's word. If it cannot be used, no other is in its place:
 * what is written there would be lost. */
static void open_disk_volume(const char *word)
{
	struct block_dev *dev = disks_open(word);
	char why[JOURNAL_WHY];
	int error;

	if (!dev) {
		stage_failed(STAGE_VOLUME_READY, "volume-disk \"%s\": there is "
			     "no such disk, or more than one", word);
		return;
	}
	if (!dev->writable) {
		stage_failed(STAGE_VOLUME_READY, "disk %s: it cannot be written "
			     "to", dev->name);
		return;
	}
	(void)disks_claim(dev, "the volume");
	error = volume_loop_open(dev, &env.volume, &env.turns, why);
	if (error != 0) {
		env.volume = NULL;
		stage_failed(STAGE_VOLUME_READY, "disk %s: %s", dev->name, why);
		return;
	}
	stage_reached(STAGE_VOLUME_READY);
}

/* Without a volume, or with a broken one, everything else still works: the file
 * service and the commands on files are then not there. The volume lives in its
 * module's memory, which cpu.c maps writable, and in three quarters of the heap. */
static void open_volume(void)
{
	const struct host_module *module = config_module(&config, "volume");
	char why[VOLUME_WHY] = "its sparse image is damaged, or its blocks are "
			       "not of 4096 bytes";
	struct volume_dev *dev;
	int error;

	if (config.volume_disk) {
		open_disk_volume(config.volume_disk);
		return;
	}
	if (!module) {
		return;
	}
	error = volume_mem_open((void *)(uintptr_t)module->gpa, module->size,
				&dev);
	if (error == 0) {
		volume_mem_limit(dev, heap_room() / 4 * 3);
		error = volume_open(dev, &env.volume);
		if (error != 0) {
			volume_why(dev, why);
		}
	}
	if (error != 0) {
		env.volume = NULL;
		stage_failed(STAGE_VOLUME_READY, "module \"volume\": %s",
			     error == ENOMEM ? strerror(error) : why);
		return;
	}
	stage_reached(STAGE_VOLUME_READY);
}

/* What Linux's mounts had is over with it. */
static void on_linux_down(void *arg)
{
	fuse_server_peer_gone(arg, env.vsock);
}

/* The volume's files for Linux. Returns whether they are served. */
static bool serve_files(void)
{
	struct fuse_server *files = fuse_server_new(env.volume, env.turns);

	if (!files || fuse_service_start(env.vsock, files) != 0) {
		return false;
	}
	linux_on_down(&guest, on_linux_down, files);
	env.files = files;
	return true;
}

/* A disk of the machine's, or a part of one, as a disk of Linux's. Returns NULL, or
 * why it cannot be, as the end of a sentence. */
static const char *open_device(const struct config_disk *disk,
			       struct nbd_store **store)
{
	static char text[64];
	struct block_dev *dev = disks_find(disk->device);
	const char *user;
	int error;

	if (!dev) {
		return "there is no such disk, or more than one";
	}
	if (dev->features & BLOCK_READ_ONLY) {
		return "it can only be read";
	}
	if (!dev->writable) {
		return "it is not among \"writable-disks\"";
	}
	user = disks_claim(dev, disk->name);
	if (user) {
		snprintf(text, sizeof(text), "it, or a part of it, is used by %s",
			 user);
		return text;
	}
	error = nbd_device_open(dev, store);
	return error == 0 ? NULL : error == EINVAL
	       ? "only sectors of 512 to 4096 bytes can be passed on"
	       : strerror(error);
}

static const char *open_file(const struct config_disk *disk,
			     struct nbd_store **store)
{
	int error;

	if (!env.volume) {
		return "there is no volume";
	}
	error = nbd_file_open(env.volume, env.turns, disk->file, disk->size,
			      store);
	return error == 0 ? NULL : strerror(error);
}

/* The disks that the manifest gives Linux. One that cannot be is said and left
 * out. */
static void serve_disks(void)
{
	for (unsigned i = 0; i < config.disk_count; i++) {
		const struct config_disk *disk = &config.disks[i];
		struct nbd_store *store = NULL;
		const char *why = disk->device ? open_device(disk, &store)
					       : open_file(disk, &store);
		int error = 0;

		if (!why && !env.disks) {
			error = nbd_service_start(env.vsock, &env.disks);
		}
		if (!why && error == 0) {
			error = nbd_service_add(env.disks, disk->name, store);
		}
		if (why || error != 0) {
			notice("disk \"%s\": %s: %s", disk->name, disk->device
			       ? disk->device : disk->file,
			       why ? why : strerror(error));
		}
	}
}

/* What CPU 0, which is ours, has been idle. */
static uint64_t idle_ticks(void)
{
	struct hc_regs r;

	return hc_query(HC_QUERY_CPU, 0, 0, &r) == HC_OK ? r.rdi : 0;
}

/* Linux is not started yet. No channel in the manifest is no error: Linux can
 * run without. The services listen before any connection can come. */
static void open_channel(void)
{
	env.vsock = vsock_channel_open(CHANNEL);
	if (!env.vsock) {
		return;
	}
	env.agent = agent_new(&guest, env.vsock);
	if (!env.agent || services_init(env.vsock, idle_ticks) != 0 ||
	    (env.volume && !serve_files())) {
		cpu_fatal("the channel's endpoint could not be set up");
	}
	serve_disks();
}

/**
 * Called by crt0.S with the address of struct host_info. Never returns. The
 * order matters: nothing may print before serial_init(), nothing may fault
 * before cpu_init() and be reported, and Linux comes last, for its first
 * packets find all services listening.
 */
void main_entry(const struct host_info *info)
{
	static char stdout_buffer[STDOUT_BUFFER];

	loop_init(info->tsc_hz);
	syscalls_init(info);
	serial_init((uint16_t)info->serial_port);
	/* After serial_init(), which is needed to say so: the calls above
	 * take a wrong structure's numbers without harm to anybody but this
	 * program. */
	if (info->magic != HOST_INFO_MAGIC ||
	    info->version != HOST_INFO_VERSION) {
		cpu_fatal("struct host_info is not of version %d",
			  HOST_INFO_VERSION);
	}
	cpu_init(info);
	setvbuf(stdout, stdout_buffer, _IOLBF, sizeof(stdout_buffer));
	stage_reached(STAGE_HOST_STARTED);
	config_read(info, &config);
	stage_set_mark(config.mark);
	if (!config.exec && !config.quiet) {
		console_banner(info);
	}
	dma_init();
	pci_init();
	disks_init(config.writable);
	open_volume();
	open_channel();
	places_init(&places, env.volume, env.turns, env.files, env.vsock);
	linux_init(&guest, &config, !config.exec);
	(void)linux_start(&guest);
	if (config.exec) {
		run_once(&env);
	}
	console_run(&console, SERIAL_CONSOLE, &env);
}
