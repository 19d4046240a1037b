/* SPDX-License-Identifier: MIT */
/*
 * Commands about the machine as a whole, and its end. Figures come from the
 * hypervisor by HC_QUERY, one at a time: a table's lines are not of the same
 * instant, but for those of memory. Lists are read until the hypervisor says that there is no more.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "drivers/power.h"
#include "host-bridge/dev/serial.h"
#include "host-bridge/files/fuse_service.h"
#include "host-bridge/fs/volume.h"
#include "host-bridge/fs/volume_call.h"
#include "host-bridge/fs/volume_loop.h"
#include "host-bridge/guest/linux.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/rt/black_box.h"
#include "host-bridge/rt/hc.h"
#include "host-bridge/rt/heap.h"
#include "host-bridge/rt/hv_log.h"
#include "host-bridge/rt/notice.h"
#include "host-bridge/rt/notice_log.h"
#include "host-bridge/ui/commands.h"
#include "host-bridge/ui/commands_linux.h"
#include "host-bridge/ui/documents.h"
#include "host-bridge/ui/log_view.h"
#include "host-bridge/ui/system.h"
#include "host-bridge/vsock/vsock_endpoint.h"

#define POWER_MS	1000u	/* what the machine may take to obey */
#define CLOSE_MS	60000u	/* and a disk, to take all that is written */

/** A 16-byte name in two registers, first character in the lowest byte. Valid
 * until the next call. */
const char *commands_name(uint64_t lo, uint64_t hi)
{
	static char name[17];

	memcpy(name, &lo, 8);
	memcpy(name + 8, &hi, 8);
	return name;
}

/** The word for an hc_state. */
const char *commands_state(uint64_t state)
{
	static const char *const states[] = { "stopped", "running", "crashed",
					      "stopping", "frozen" };

	return state < sizeof(states) / sizeof(states[0]) ? states[state] : "?";
}

/* Hours, minutes, seconds, thousandths. Valid until the next call. */
static const char *time_text(uint64_t ms)
{
	static char text[32];
	uint64_t s = ms / 1000;

	snprintf(text, sizeof(text), "%llu:%02u:%02u.%03u",
		 (unsigned long long)(s / 3600), (unsigned)(s / 60 % 60),
		 (unsigned)(s % 60), (unsigned)(ms % 1000));
	return text;
}

/* Exits by reason, five to a line; reasons that never occurred are left
 * out. */
static void print_exits(uint64_t partition)
{
	struct hc_regs r;
	int shown = 0;

	/* The kinds of exit are the hypervisor's: it names them, in its
	 * order. */
	for (uint64_t i = 0;
	     hc_query(HC_QUERY_EXITS, partition, i, &r) == HC_OK; i++) {
		if (r.rdi > 0) {
			printf("%s%s %llu", shown++ % 5 ? ", " :
			       shown > 1 ? "\n      " : "    exits: ",
			       commands_name(r.rsi, r.rdx),
			       (unsigned long long)r.rdi);
		}
	}
	printf(shown ? "\n" : "    no exits yet\n");
}

/* A line, then its exits; memory in MiB with one decimal, rounded down. False
 * past the last partition. Uptime is 0 unless it runs. */
static bool print_partition(uint64_t id)
{
	struct hc_regs name, state, mem;

	if (hc_query(HC_QUERY_NAME, id, 0, &name) != HC_OK ||
	    hc_query(HC_QUERY_STATE, id, 0, &state) != HC_OK ||
	    hc_query(HC_QUERY_MEMORY, id, 0, &mem) != HC_OK) {
		return false;
	}
	printf("  %llu %-15s %-8s %6u %10llu.%u %8llu  %-15s %6llu\n",
	       (unsigned long long)id, commands_name(name.rdi, name.rsi),
	       commands_state(state.rdi), (unsigned)mem.r10,
	       (unsigned long long)(mem.rdi >> 20),
	       (unsigned)((mem.rdi & 0xfffff) * 10 >> 20),
	       (unsigned long long)(mem.rsi >> 20),
	       time_text(loop_ticks_to_ms(mem.r8)),
	       (unsigned long long)state.r8);
	print_exits(id);
	return true;
}

/* Shares of the time since the CPU came up; what lacks to 100 is the
 * hypervisor's own. */
static void print_cpus(void)
{
	struct hc_regs r;

	for (uint64_t i = 0; hc_query(HC_QUERY_CPU, i, 0, &r) == HC_OK; i++) {
		/* A CPU that has just come up: no division by zero. */
		uint64_t total = r.rdx ? r.rdx : 1;

		printf("  CPU %llu (APIC %llu): %llu%% in partitions, "
		       "%llu%% idle\n", (unsigned long long)i,
		       (unsigned long long)r.r10,
		       (unsigned long long)(r.rsi * 100 / total),
		       (unsigned long long)(r.rdi * 100 / total));
	}
}

/* What keeps devices from memory that is not theirs, or that nothing does. */
static void print_iommus(void)
{
	struct hc_regs r;
	uint64_t i;

	for (i = 0; hc_query(HC_QUERY_IOMMU, i, 0, &r) == HC_OK; i++) {
		uint64_t overflows = r.rdi >> HC_IOMMU_OVERFLOWS;

		printf("  IOMMU %llu: %s at 0x%llx, %s, %llu accesses blocked",
		       (unsigned long long)i,
		       r.rdi & HC_IOMMU_AMD ? "AMD-Vi" : "VT-d",
		       (unsigned long long)r.rsi,
		       (r.rdi & 0xff) == HC_IOMMU_FAILED ? "DOES NOT ANSWER" :
		       r.rdi & HC_IOMMU_INTERRUPTS ? "memory and interrupts checked" :
		       "memory checked, INTERRUPTS NOT",
		       (unsigned long long)r.rdx);
		if (overflows) {
			printf(", %llu times more than it can record",
			       (unsigned long long)overflows);
		}
		printf("\n");
		if (r.rdx) {
			printf("    the last: %04llx:%02llx:%02llx.%llu, %s 0x%llx\n",
			       (unsigned long long)(r.r10 >> 16 & 0xffff),
			       (unsigned long long)(r.r10 >> 8 & 0xff),
			       (unsigned long long)(r.r10 >> 3 & 0x1f),
			       (unsigned long long)(r.r10 & 7),
			       r.r10 & HC_IOMMU_MESSAGE ? "an interrupt by" :
			       r.r10 & HC_IOMMU_WRITE ? "a write to" : "a read of",
			       (unsigned long long)r.r8);
		}
	}
	if (i == 0) {
		printf("  no IOMMU: device drivers are inside the trusted base\n");
	}
}

/* Where the volume is, if it is not in memory. */
static void print_volume(void)
{
	char text[120];

	volume_loop_describe(text, sizeof(text));
	if (*text) {
		printf("  volume: %s\n", text);
	}
}

/* The machine, each partition, each CPU, IOMMUs, the volume, and whether the
 * agent is there. */
static void run_status(const struct command_env *env, int argc, char **argv,
		       const char *rest)
{
	time_t now = time(NULL);
	char clock[32];
	struct tm tm;

	(void)rest;
	if (argc > 1) {
		if (strcmp(argv[1], "--json") == 0) {
			documents_status(env);
		} else {
			printf("\"%s\" is not --json\n", argv[1]);
		}
		return;
	}
	strftime(clock, sizeof(clock), "%Y-%m-%d %H:%M:%S",
		 gmtime_r(&now, &tm));
	printf("%s UTC, up %s, %s, %u CPU, %llu MiB\n", clock,
	       time_text(loop_uptime_ms()), env->config->info->platform,
	       (unsigned)env->config->info->machine_cpus,
	       (unsigned long long)(env->config->info->machine_memory >> 20));
	printf("  partition         state     vCPUs   memory MiB  cap MiB  "
	       "uptime          starts\n");
	for (uint64_t id = 0; id < BOOT_MAX_PARTITIONS; id++) {
		if (!print_partition(id)) {
			break;
		}
	}
	print_cpus();
	print_iommus();
	print_volume();
	for (unsigned i = 0; i < env->count; i++) {
		const struct guest *guest = env->all[i].guest;

		printf("  %s agent: %s\n", guest->want->title,
		       linux_ready(guest) ? "ready" : "not ready");
	}
}

/* Pages are 4 KiB, so this is exact: a page lost would show. */
static void print_owner(const char *name, uint64_t bytes)
{
	printf("  %-16s %10llu KiB\n", name,
	       (unsigned long long)(bytes >> 10));
}

/* All owners of the machine's pages, of one instant: the sum is all memory. */
static void run_memory(const struct command_env *env, int argc, char **argv,
		       const char *rest)
{
	char text[240];
	struct hc_regs r;
	uint64_t sum = 0;

	(void)rest;
	if (argc > 1) {
		if (strcmp(argv[1], "--json") == 0) {
			documents_memory(env);
		} else {
			printf("\"%s\" is not --json\n", argv[1]);
		}
		return;
	}
	for (uint64_t i = 0; hc_query(HC_QUERY_OWNER, i, 0, &r) == HC_OK;
	     i++) {
		print_owner(commands_name(r.rsi, r.rdx), r.rdi);
		sum += r.rdi;
	}
	print_owner("all", sum);
	printf("  host-bridge's heap, within host: %llu KiB, at most %llu\n",
	       (unsigned long long)(heap_used() >> 10),
	       (unsigned long long)((heap_used() + heap_room()) >> 10));
	volume_loop_describe_cache(text, sizeof(text));
	if (text[0]) {
		printf("  %s\n", text);
	}
}

/* Our end of the channel to a Linux. */
static void print_link(const struct vsock *vs)
{
	struct vsock_status s;

	vsock_get_status(vs, &s);
	printf("  link %s, resets %u (last: %s), connections %u\n",
	       s.up ? "up" : "down", (unsigned)s.resets, s.reason,
	       (unsigned)s.connections);
	printf("  sent %llu packets, %llu bytes; %u bytes in the ring\n",
	       (unsigned long long)s.tx_packets,
	       (unsigned long long)s.tx_bytes, (unsigned)s.tx_used);
	printf("  received %llu packets, %llu bytes; %u bytes in the ring\n",
	       (unsigned long long)s.rx_packets,
	       (unsigned long long)s.rx_bytes, (unsigned)s.rx_used);
	printf("  doorbells rung %llu, packets dropped %llu, peer's liveness "
	       "word %u\n", (unsigned long long)s.doorbells,
	       (unsigned long long)s.dropped, (unsigned)s.peer_live);
}

/* Each of our channels: the hypervisor's view, then our end's, if a Linux is at
 * the other. */
static void run_channel(const struct command_env *env, int argc, char **argv,
			const char *rest)
{
	struct hc_regs r;

	(void)argc;
	(void)argv;
	(void)rest;
	for (int c = 0; c < BOOT_MAX_CHANNELS &&
	     hc_query(HC_QUERY_CHANNEL, (uint64_t)c, 0, &r) == HC_OK; c++) {
		const struct command_env *to = env->all;

		while (to < env->all + env->count &&
		       to->guest->want->channel != c) {
			to++;
		}
		to = to < env->all + env->count ? to : NULL;
		printf("  channel %d%s%s: generation %llu, sections of %llu KiB, "
		       "doorbells sent %llu, received %llu\n", c,
		       to && env->count > 1 ? " to " : "",
		       to && env->count > 1 ? to->guest->want->name : "",
		       (unsigned long long)r.rdi,
		       (unsigned long long)(r.rdx >> 10),
		       (unsigned long long)r.r10, (unsigned long long)r.r8);
		if (to && to->vsock) {
			print_link(to->vsock);
		}
	}
}

/* From the oldest line that there still is. */
static void run_log(const struct command_env *env, int argc, char **argv,
		    const char *rest)
{
	bool host = argc > 1 && strcmp(argv[1], "host") == 0;
	const char *lines = argc > 1 + host ? argv[1 + host] : NULL;

	(void)env;
	(void)rest;
	if (argc > 2 + host) {
		printf("usage: log [host] [LINES]\n");
	} else if (!log_view(host ? notice_log_read : hv_log_read, NULL,
			     lines)) {
		printf("\"%s\" is no number of lines\n", lines);
	}
}

/* Nobody uses it any more. */
static void close_volume(const struct command_env *env)
{
	int error = 0;

	if (env->turns) {
		(void)volume_loop_close(CLOSE_MS);	/* it says so itself */
	} else if (env->volume) {
		error = volume_close(env->volume);
	}
	if (error != 0) {
		notice("isthmus: the volume could not be closed: %s",
		       strerror(error));
	}
}

/**
 * The end of the system: Linux, then the volume (everything written is made
 * lasting), then the machine. Never returns. Where the machine cannot do it by
 * itself the user is told, and the console stays dead but for that. What goes
 * wrong on the way is printed and does not stop it. Top level only.
 */
void system_down(const struct command_env *env, bool reboot)
{
	uint64_t until;

	(void)commands_linux_shutdown(env->all, env->count);
	/* Where Linux was stopped hard nothing has run since: the channel's end
	 * sees it now, and lets go of the files that Linux had open, however
	 * many: after this nobody may have one. */
	until = loop_now() + loop_ms_to_ticks(POWER_MS);
	do {
		loop_step(0);
	} while (loop_busy() && loop_now() < until);
	close_volume(env);
	/* All text must be out before the machine is gone. */
	fflush(stdout);
	serial_drain();
	black_box_clean();
	if (reboot) {
		power_reboot();
	} else {
		power_off();
	}
	until = loop_now() + loop_ms_to_ticks(POWER_MS);
	/* Emulators obey at once, chipsets may take their time. */
	while (loop_now() < until) {
		loop_step(until);
	}
	notice("isthmus: this machine cannot %s by itself; "
	       "it is safe to switch it off", reboot ? "restart" : "power off");
	for (;;) {
		loop_step(LOOP_FOREVER);
	}
}

/* What Linux has not written yet, too. */
static void run_sync(const struct command_env *env, int argc, char **argv,
		     const char *rest)
{
	int error;

	(void)argc;
	(void)argv;
	(void)rest;
	if (!env->volume) {
		printf("there is no volume\n");
		return;
	}
	fuse_service_recall(env->files);
	error = volume_call_sync(env->volume, env->turns);
	if (error != 0) {
		printf("not all could be written: %s\n", strerror(error));
		commands_fail();
	} else if (!env->turns) {
		printf("the volume is in memory, and ends with the machine\n");
	}
}

/* Both do not return; see system_down(). */
static void run_reboot(const struct command_env *env, int argc, char **argv,
		       const char *rest)
{
	(void)argc;
	(void)argv;
	(void)rest;
	system_down(env, true);
}

static void run_poweroff(const struct command_env *env, int argc, char **argv,
			 const char *rest)
{
	(void)argc;
	(void)argv;
	(void)rest;
	system_down(env, false);
}

const struct command commands_system[] = {
	{ "status", "[--json]", "partitions, CPUs, memory, exits by reason",
	  "  --json   for programs: all of it in one line\n",
	  0, 1, run_status, NULL },
	{ "memory", "[--json]", "who owns the machine's memory",
	  "  --json   for programs: all of it in one line\n",
	  0, 1, run_memory, NULL },
	{ "channel", "", "the channels to Linux: rings, counters, liveness", "",
	  0, 0, run_channel, NULL },
	{ "log", "[host] [LINES]", "the hypervisor's log, or its last lines",
	  "  host: what the host partition itself has said, with the time, such as\n"
	  "  who was at the network console, and what it did.\n",
	  0, 2, run_log, NULL },
	{ "sync", "", "make lasting what is written to the volume", "",
	  0, 0, run_sync, NULL },
	{ "reboot", "", "shut Linux down and restart the machine", "",
	  0, 0, run_reboot, NULL },
	{ "poweroff", "", "shut Linux down and power the machine off", "",
	  0, 0, run_poweroff, NULL },
	{ 0 }
};
