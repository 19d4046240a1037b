/* SPDX-License-Identifier: MIT */
/*
 * What this run is to do: from struct host_info and the manifest, which
 * boot/ has checked (docs/manifest.md).
 */
#ifndef ISTHMUS_CONFIG_H
#define ISTHMUS_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/boot_info.h"
#include "abi/channel.h"
#include "proto/host_info.h"

/* A channel, as one end of it sees it. */
struct config_channel {
	uint32_t output_size;	/* bytes of a section */
	bool host;		/* the other end is ours */
};

/* A Linux partition, as the manifest has it. */
struct config_guest {
	const char *absent;	/* why it cannot be started; NULL: it can */
	const char *name;
	/* In sentences: "Linux", or of several "Linux NAME". */
	char title[8 + BOOT_NAME_LEN];
	bool several;		/* it is not the only one */
	uint32_t id;
	bool on_demand;		/* it is not started at boot */
	/* As it numbers them; and by our own number the first that leads to us,
	 * -1: none does. */
	struct config_channel channels[CHANNEL_GUEST_MAX];
	unsigned channel_count;
	int channel;
	const char *bootargs;
	const char *publish, *hide;	/* of its ports, words; NULL: none */
	const char *host_commands;	/* that it may have, words; or NULL */
	const char *sockets;	/* what it may of these, words; NULL: none */
	const char *kernel;	/* names of modules */
	const char *initrd;	/* NULL: none wanted */
};

#define CONFIG_GUESTS	(BOOT_MAX_PARTITIONS - 1)
#define CONFIG_DISKS	32

/* A disk for it, in a file of the volume's, or a disk or part of the machine's. */
struct config_disk {
	uint32_t partition;	/* its id */
	const char *name, *file, *device;	/* one of the two; a word */
	uint64_t size;		/* bytes, if the file is not there yet */
};

/* The machine's place on a network, as the manifest's /network has it. NULL: it
 * says nothing of that. */
struct config_network {
	const char *hostname;		/* by which it asks for an address */
	const char *address;		/* "192.0.2.1/24"; NULL: DHCP */
	const char *gateway, *dns;	/* words in dns */
	const char *address6;		/* besides those of routers' prefixes */
	const char *ntp;		/* words; NULL: what DHCP names */
	const char *syslog;		/* where the log goes: "192.0.2.9 514" */
	const char *console;		/* a port, and what opens it: */
	const char *password, *key;	/* .. key: 64 hexadecimal digits */
	const char *control, *control_key;	/* likewise: sessions with agents */
	bool echo;			/* a service on TCP port 7 */
	bool off;			/* no network at all */
};

struct config {
	const struct host_info *info;
	const char *exec;	/* command to run in Linux, then power off */
	const char *sandbox;	/* .. in a child, with these options; or NULL */
	const char *samples;	/* seconds between lines of samples; or NULL */
	bool quiet;		/* no banner */
	const char *socket;	/* a path of the volume's, for lines; or NULL */
	bool panic_resets;	/* what ends with this program */
	const char *mark;	/* see stage.h; NULL: none */
	const char *volume_disk;	/* word; NULL: the module "volume" */
	const char *writable;	/* words for disks to write to; NULL: none */
	const char *keyboard;	/* its layout; NULL: the usual */
	int keyboard_line;	/* that the PS/2 keyboard interrupts on; -1: none */
	/* In the manifest's order; at least one, be it absent. */
	struct config_guest guests[CONFIG_GUESTS];
	unsigned guest_count;
	struct config_disk disks[CONFIG_DISKS];
	unsigned disk_count;
	struct config_network network;
};

void config_read(const struct host_info *info, struct config *config);
/* The module of that name, or NULL. */
const struct host_module *config_module(const struct config *config,
					const char *name);

#endif
