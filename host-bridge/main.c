/* SPDX-License-Identifier: MIT */
/*
 * The host partition's program, from its entry on: processor tables, serial
 * lines, volume, for each Linux its channel with its services, and itself, and
 * then either the console or the one command that this run is for.
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

#include "drivers/power.h"
#include "proto/host_info.h"
#include "host-bridge/agent/agent.h"
#include "host-bridge/agent/control.h"
#include "host-bridge/blk/disks.h"
#include "host-bridge/blk/volume_dev.h"
#include "host-bridge/dev/dma.h"
#include "host-bridge/dev/keyboard.h"
#include "host-bridge/dev/pci.h"
#include "host-bridge/dev/rtc.h"
#include "host-bridge/dev/screen.h"
#include "host-bridge/dev/serial.h"
#include "host-bridge/dev/usb.h"
#include "host-bridge/nbd/nbd_server.h"
#include "host-bridge/net/echo.h"
#include "host-bridge/net/linux_net.h"
#include "host-bridge/net/measure.h"
#include "host-bridge/net/netconsole.h"
#include "host-bridge/net/nics.h"
#include "host-bridge/net/ports.h"
#include "host-bridge/net/ntp.h"
#include "host-bridge/net/stack.h"
#include "host-bridge/net/syslog.h"
#include "host-bridge/files/fuse_server.h"
#include "host-bridge/files/fuse_service.h"
#include "host-bridge/fs/volume.h"
#include "host-bridge/fs/volume_loop.h"
#include "host-bridge/guest/linux.h"
#include "host-bridge/guest/linux_clock.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/rt/black_box.h"
#include "host-bridge/rt/config.h"
#include "host-bridge/rt/cpu.h"
#include "host-bridge/rt/heap.h"
#include "host-bridge/rt/hc.h"
#include "host-bridge/rt/hv_log.h"
#include "host-bridge/rt/legacy.h"
#include "host-bridge/rt/notice.h"
#include "host-bridge/rt/notice_log.h"
#include "host-bridge/rt/stage.h"
#include "host-bridge/rt/syscalls.h"
#include "host-bridge/rt/wall.h"
#include "host-bridge/sockets/sockets.h"
#include "host-bridge/ui/commands.h"
#include "host-bridge/ui/commands_linux.h"
#include "host-bridge/ui/console.h"
#include "host-bridge/ui/host_commands.h"
#include "host-bridge/ui/host_socket.h"
#include "host-bridge/ui/places.h"
#include "host-bridge/ui/run_once.h"
#include "host-bridge/ui/samples.h"
#include "host-bridge/vsock/vsock_endpoint.h"

#define STDOUT_BUFFER	4096

void main_entry(const struct host_info *info) __attribute__((noreturn));

static struct config config;

/* What the console's commands work on: the machine, and for each Linux of the
 * manifest itself, its channel, its agent, its disks. */
static struct places places;
static struct console console;
static struct command_env base = { .config = &config, .places = &places };
static struct command_env linuxes[CONFIG_GUESTS];

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
	error = volume_loop_open(dev, &base.volume, &base.turns, why);
	if (error != 0) {
		base.volume = NULL;
		stage_failed(STAGE_VOLUME_READY, "disk %s: %s", dev->name, why);
		return;
	}
	stage_reached(STAGE_VOLUME_READY);
}

static struct console_remote remote = {
	.line = netconsole_line,
	.done = netconsole_done,
	.serial = &netconsole_serial,
};

/* For sessions from outside: a Linux by its name, the first without. */
static bool find_linux(const char *name, struct guest **guest, struct vsock **vs)
{
	const struct command_env *of = name[0] ?
		commands_linux_named(linuxes, name) : linuxes;

	if (!of || !of->vsock) {
		return false;
	}
	*guest = of->guest;
	*vs = of->vsock;
	return true;
}

/* The time of day is another one, or goes faster or slower. */
static void on_clock(void)
{
	linux_clock_tell();
	for (unsigned i = 0; i < base.count; i++) {
		if (linuxes[i].agent) {
			agent_clock(linuxes[i].agent);
		}
	}
}

/* Who knows better may say how long exactly. */
static void on_stood_still(int64_t ns)
{
	notice("clock: the machine stood still for %lld s",
	       (long long)((ns + 500000000) / 1000000000));
	wall_adjust(wall_left_ns() + ns);
	on_clock();
	ntp_ask();
}

/* The stack, for Linuxes, and on the first card if there is one; and what this
 * partition has to say there. */
static void start_network(void)
{
	const struct config_network *want = &config.network;
	int error;

	stack_init();
	if (want->off) {
		return;
	}
	error = linux_net_start(&(struct linux_net_policy){ want->echo });
	if (error == 0 && want->echo) {
		error = echo_start();
	}
	if (error == 0 && want->echo) {
		error = measure_start();
	}
	if (error == 0 && !nics_get(0)) {
		return;
	}
	if (error == 0) {
		error = stack_start(nics_get(0), want);
	}
	if (error != 0) {
		notice("network: %s", strerror(error));
		return;
	}
	ntp_start(want->ntp, on_clock);
	if (want->console || want->password || want->key) {
		netconsole_start(want->console, want->password, want->key);
		console_add_remote(&remote);
	}
	if (want->control || want->control_key) {
		control_start(want->control, want->control_key, find_linux);
	}
	if (want->syslog) {
		syslog_start(want->syslog, hv_log_read);
	}
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
	if (module && legacy_lives() > 0) {
		notice("isthmus: the volume was in memory, and is lost with "
		       "the program that had it");
		return;
	}
	if (!module) {
		return;
	}
	error = volume_mem_open((void *)(uintptr_t)module->gpa, module->size,
				&dev);
	if (error == 0) {
		volume_mem_limit(dev, heap_room() / 4 * 3);
		error = volume_open(dev, &base.volume);
		if (error != 0) {
			volume_why(dev, why);
		}
	}
	if (error != 0) {
		base.volume = NULL;
		stage_failed(STAGE_VOLUME_READY, "module \"volume\": %s",
			     error == ENOMEM ? strerror(error) : why);
		return;
	}
	stage_reached(STAGE_VOLUME_READY);
}

/* What a Linux's mounts had is over with it; the next may have files, and a
 * network. */
static void on_linux_down(void *arg)
{
	const struct command_env *env = arg;

	if (env->share) {
		fuse_server_peer_gone(env->files, env->vsock);
	}
	fuse_service_give(env->share, VOLUME_ROOT, false);
	linux_net_reach(env->net, LINUX_NET_ALL);
	host_commands_reach(env->host, true);
	sockets_down(env->sockets);
}

/* The volume's files for a Linux: all have one server, which tells each what the
 * others change. Returns whether they are served. */
static bool serve_files(struct command_env *env, uint32_t id)
{
	if (!base.files) {
		base.files = fuse_server_new(base.volume, base.turns);
		if (!base.files || fuse_service_run(base.files) != 0) {
			return false;
		}
	}
	env->files = base.files;
	fuse_server_peer(env->files, env->vsock, id);
	env->share = fuse_service_start(env->vsock, env->files);
	return env->share != NULL;
}

/* Sockets among the volume's files, between Linuxes. */
static void serve_sockets(struct command_env *env,
			  const struct config_guest *want)
{
	int error = env->files && want->sockets
		    ? sockets_new(env->files, env->vsock, want->sockets,
				  want->title, &env->sockets) : 0;

	if (error != 0) {
		notice("%s has no sockets: %s", want->title, error == EINVAL ?
		       "\"sockets\" has a word that is none" :
		       strerror(error));
	}
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

	if (!base.volume) {
		return "there is no volume";
	}
	for (const struct config_disk *d = config.disks; d < disk; d++) {
		if (d->file && strcmp(d->file, disk->file) == 0) {
			return "another disk is in that file";
		}
	}
	error = nbd_file_open(base.volume, base.turns, disk->file, disk->size,
			      store);
	if (error == 0) {
		(*store)->leaves = legacy_on();
	}
	return error == 0 ? NULL : strerror(error);
}

/* A disk that the manifest gives a Linux. One that cannot be is said and left
 * out. */
static void serve_disk(struct command_env *env, const struct config_disk *disk)
{
	struct nbd_store *store = NULL;
	const char *why = disk->device ? open_device(disk, &store) :
					 open_file(disk, &store);
	int error = 0;

	if (!why && !env->disks) {
		error = nbd_service_start(env->vsock, &env->disks);
	}
	if (!why && error == 0) {
		error = nbd_service_add(env->disks, disk->name, store);
	}
	if (why || error != 0) {
		notice("disk \"%s\": %s: %s", disk->name, disk->device
		       ? disk->device : disk->file,
		       why ? why : strerror(error));
	}
}

/* A word of the manifest's about its ports, if there is one. */
static void tell_wrong(const struct config_guest *want, const char *property,
		       const char *word, const char *so)
{
	if (word) {
		notice("ports of %s: %s: \"%.*s\" is none, or one too many; %s",
		       want->title, property, (int)strcspn(word, " "), word,
		       so);
	}
}

/* Ports that lead to it, as the manifest says. */
static int serve_ports(struct command_env *env, const struct config_guest *want)
{
	struct ports_rules *rules = calloc(1, sizeof(*rules));
	const char *wrong[2];

	if (!rules) {
		return ENOMEM;
	}
	if (!ports_rules_read(rules, want->publish, want->hide, wrong)) {
		tell_wrong(want, "publish", wrong[0],
			   "nor is what follows forwarded");
		tell_wrong(want, "hide", wrong[1], "all are hidden");
	}
	return linux_net_ports(env->net, env->vsock, want->title, rules);
}

/* A network for a Linux; without one it runs as well. */
static void serve_network(struct command_env *env,
			  const struct config_guest *want)
{
	int error = linux_net_new(env->vsock, want->id, want->name,
				  &env->net);

	if (error == 0) {
		error = serve_ports(env, want);
	}
	if (error == 0) {
		linux_words(env->guest, linux_net_words(env->net));
	} else {
		notice("network of %s: %s", want->title, strerror(error));
	}
}

/* What CPU 0, which is ours, has been idle. */
static uint64_t idle_ticks(void)
{
	struct hc_regs r;

	return hc_query(HC_QUERY_CPU, 0, 0, &r) == HC_OK ? r.rdi : 0;
}

/* A Linux that is not started yet. No channel in the manifest is no error: it can
 * run without. The services listen before any connection can come. */
static void open_channel(struct command_env *env,
			 const struct config_guest *want)
{
	if (want->channel >= 0) {
		env->vsock = vsock_channel_open((unsigned)want->channel);
	}
	if (places_add(&places, want->name, env->vsock) != 0) {
		cpu_fatal("no memory for %s", want->title);
	}
	if (!env->vsock) {
		return;
	}
	linux_on_down(env->guest, on_linux_down, env);
	env->agent = agent_new(env->guest, env->vsock);
	if (!env->agent || services_init(env->vsock, idle_ticks) != 0 ||
	    host_commands_new(env, want->host_commands, &env->host) != 0 ||
	    (base.volume && !serve_files(env, want->id))) {
		cpu_fatal("the channel's endpoint could not be set up");
	}
	serve_sockets(env, want);
	if (!config.network.off) {
		serve_network(env, want);
	}
	for (unsigned i = 0; i < config.disk_count; i++) {
		if (config.disks[i].partition == want->id) {
			serve_disk(env, &config.disks[i]);
		}
	}
}

/* All Linuxes, before any of them runs. */
static void make_linuxes(void)
{
	places_init(&places, base.volume, base.turns, NULL);
	base.all = linuxes;
	base.count = config.guest_count;
	for (unsigned i = 0; i < base.count; i++) {
		linuxes[i] = base;
		linuxes[i].guest = calloc(1, sizeof(struct guest));
		if (!linuxes[i].guest) {
			cpu_fatal("no memory for %s", config.guests[i].title);
		}
		open_channel(&linuxes[i], &config.guests[i]);
		linux_init(linuxes[i].guest, &config, &config.guests[i],
			   !config.exec);
	}
	/* Of the first with a channel on; the console's is everybody's. */
	for (unsigned i = 0; i < base.count; i++) {
		linuxes[i].files = base.files;
	}
	places.files = base.files;
	if (base.files) {
		fuse_server_peers_known(base.files);
	}
}

/* What outlives this program, if there is a next one, or was one before. */
static void open_legacy(const struct host_info *info)
{
	struct hc_regs self = { 0 }, r;
	uint64_t ended = 0;

	(void)hc_call(HC_INFO, &self);
	if (hc_query(HC_QUERY_STATE, self.rsi, 0, &r) == HC_OK && r.r8 > 0) {
		ended = r.r8 - 1;
	}
	legacy_init(NULL, 0, ended);
	for (uint32_t i = 0; i < info->module_count; i++) {
		const struct host_module *m = &info->modules[i];

		if (strcmp(m->name, HOST_LEGACY_MODULE) == 0) {
			legacy_init((void *)(uintptr_t)m->gpa, m->size, ended);
		}
	}
}

/* After the end of another program: what was said of it, and what it may have left
 * masked is as at the machine's start. */
static void follow(void)
{
	const char *said = legacy_said();

	if (legacy_lives() == 0) {
		return;
	}
	for (unsigned line = 0; line < HC_LINE_MSI; line++) {
		(void)hc_irq(line, 1);
	}
	notice("isthmus: host-bridge was started again, the %llu. time: %s",
	       (unsigned long long)legacy_lives(),
	       said[0] ? said : "\"log\" says why");
}

/* The host's own socket among the volume's files. */
static void serve_socket(void)
{
	int error = config.socket ? host_socket_serve(linuxes, config.socket)
				  : 0;

	if (error != 0) {
		notice("host-socket \"%s\": %s", config.socket,
		       strerror(error));
	}
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
	serial_init(&info->uart, info->uart_line);
	/* After serial_init(), which is needed to say so: the calls above
	 * take a wrong structure's numbers without harm to anybody but this
	 * program. */
	if (info->magic != HOST_INFO_MAGIC ||
	    info->version != HOST_INFO_VERSION) {
		cpu_fatal("struct host_info is not of version %d",
			  HOST_INFO_VERSION);
	}
	screen_init(&info->framebuffer);
	cpu_init(info);
	setvbuf(stdout, stdout_buffer, _IOLBF, sizeof(stdout_buffer));
	notice_log_init();
	black_box_init(info);
	open_legacy(info);
	stage_reached(STAGE_HOST_STARTED);
	config_read(info, &config);
	stage_set_mark(config.mark);
	follow();
	black_box_set_reset(config.panic_resets ? power_reboot : NULL);
	if (!config.exec && !config.quiet) {
		console_banner(info);
	}
	keyboard_init(config.keyboard, config.keyboard_line);
	dma_init();
	pci_init();
	usb_init();
	nics_init();
	disks_init(config.writable);
	start_network();
	open_volume();
	make_linuxes();
	serve_socket();
	linux_clock_tell();
	rtc_watch(on_stood_still);
	/* The one command is the first one's. */
	for (unsigned i = 0; i < base.count; i++) {
		if (linux_take_up(linuxes[i].guest) ||
		    (config.exec && i == 0 && legacy_lives() == 0)) {
			(void)linux_start(linuxes[i].guest);
		}
	}
	if (config.samples && !samples_every(linuxes, config.samples)) {
		notice("samples: sample-seconds \"%s\" is no number of seconds",
		       config.samples);
	}
	host_commands_serve();
	if (config.exec) {
		run_once(linuxes);
	}
	console_run(&console, SERIAL_CONSOLE, linuxes);
}
