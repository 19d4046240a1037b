/* SPDX-License-Identifier: MIT */
/*
 * `status --json` and `memory --json`: what `status` and `memory` show, for
 * programs. Times are milliseconds, memory is bytes. What is added later has new
 * names; "version" counts changes of what is there.
 */
#include "drivers/nic.h"
#include "host-bridge/dev/dma.h"
#include "host-bridge/fs/volume_loop.h"
#include "host-bridge/guest/linux.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/net/linux_net.h"
#include "host-bridge/net/lwip_port.h"
#include "host-bridge/net/stack.h"
#include "host-bridge/rt/hc.h"
#include "host-bridge/rt/heap.h"
#include "host-bridge/rt/latency.h"
#include "host-bridge/rt/wall.h"
#include "host-bridge/sockets/sockets.h"
#include "host-bridge/ui/documents.h"
#include "host-bridge/ui/host_commands.h"
#include "host-bridge/vsock/vsock_endpoint.h"

/** See documents.h. */
void documents_begin(struct json *j)
{
	*j = (struct json){ .to = stdout };
	json_begin(j, NULL, '{');
	json_number(j, "version", DOCUMENTS_VERSION);
	json_number(j, "uptime", loop_uptime_ms());
	json_number(j, "time", (uint64_t)wall_now_ns() / 1000000);
}

/** See documents.h. */
void documents_end(struct json *j)
{
	json_end(j, '}');
	fputc('\n', j->to);
}

/* Ticks are far fewer than 2^54: of half a year at 1 GHz. */
static uint64_t us(uint64_t ticks)
{
	return ticks * 1000 / loop_ms_to_ticks(1);
}

/** See documents.h. */
void documents_latency(struct json *j, const char *name,
		       const struct latency *latency)
{
	json_begin(j, name, '{');
	json_number(j, "count", latency->count);
	json_number(j, "p50", us(latency_of(latency, 500)));
	json_number(j, "p99", us(latency_of(latency, 990)));
	json_number(j, "max", us(latency->most));
	json_end(j, '}');
}

/* The Linux of that number; NULL: it is none. */
static const struct command_env *linux_of(const struct command_env *env,
					  uint64_t id)
{
	for (unsigned i = 0; i < env->count; i++) {
		if (env->all[i].guest->want->id == id) {
			return &env->all[i];
		}
	}
	return NULL;
}

/* What has gone over the channel to a Linux, files, disks and packets included. */
static void put_channel(struct json *j, const struct vsock *vs)
{
	struct vsock_status s;

	vsock_get_status(vs, &s);
	json_begin(j, "channel", '{');
	json_truth(j, "up", s.up);
	json_number(j, "connections", s.connections);
	json_number(j, "rx_packets", s.rx_packets);
	json_number(j, "rx_bytes", s.rx_bytes);
	json_number(j, "tx_packets", s.tx_packets);
	json_number(j, "tx_bytes", s.tx_bytes);
	json_end(j, '}');
}

static void put_network_of(struct json *j, const struct linux_net *net)
{
	struct linux_net_status s;

	linux_net_status(net, &s);
	json_begin(j, "network", '{');
	json_truth(j, "up", s.link.up);
	json_number(j, "sessions", s.sessions);
	json_number(j, "rx_packets", s.link.rx_packets);
	json_number(j, "rx_bytes", s.link.rx_bytes);
	json_number(j, "tx_packets", s.link.tx_packets);
	json_number(j, "tx_bytes", s.link.tx_bytes);
	json_end(j, '}');
}

/* What host-bridge knows of a Linux. */
static void put_linux(struct json *j, const struct command_env *of)
{
	json_truth(j, "agent", linux_ready(of->guest));
	if (of->vsock) {
		put_channel(j, of->vsock);
	}
	if (of->net) {
		put_network_of(j, of->net);
	}
	if (of->host) {
		struct host_commands_status s;

		host_commands_get_status(of->host, &s);
		json_begin(j, "host_commands", '{');
		json_number(j, "run", s.run);
		json_number(j, "refused", s.refused);
		json_number(j, "sessions", s.sessions);
		json_end(j, '}');
	}
	if (of->sockets) {
		struct sockets_status s;

		sockets_get_status(of->sockets, &s);
		json_begin(j, "sockets", '{');
		json_number(j, "made", s.made);
		json_number(j, "begun", s.begun);
		json_number(j, "led", s.led);
		json_number(j, "refused", s.refused);
		json_end(j, '}');
	}
}

/* Its memory; false past the last partition. */
static bool put_sizes(struct json *j, uint64_t id, uint64_t *uptime)
{
	struct hc_regs name, mem;

	if (hc_query(HC_QUERY_NAME, id, 0, &name) != HC_OK ||
	    hc_query(HC_QUERY_MEMORY, id, 0, &mem) != HC_OK) {
		return false;
	}
	json_begin(j, NULL, '{');
	json_number(j, "id", id);
	json_text(j, "name", commands_name(name.rdi, name.rsi));
	json_number(j, "vcpus", mem.r10);
	json_number(j, "memory", mem.rdi);
	json_number(j, "cap", mem.rsi);
	json_number(j, "populated", mem.rdx);
	*uptime = loop_ticks_to_ms(mem.r8);
	return true;
}

static bool put_partition(struct json *j, const struct command_env *env,
			  uint64_t id)
{
	const struct command_env *of = linux_of(env, id);
	struct hc_regs state, r;
	uint64_t uptime;

	if (hc_query(HC_QUERY_STATE, id, 0, &state) != HC_OK ||
	    !put_sizes(j, id, &uptime)) {
		return false;
	}
	json_text(j, "state", commands_state(state.rdi));
	json_number(j, "uptime", uptime);
	json_number(j, "starts", state.r8);
	if (of) {
		put_linux(j, of);
	}
	json_begin(j, "exits", '{');
	for (uint64_t i = 0; hc_query(HC_QUERY_EXITS, id, i, &r) == HC_OK;
	     i++) {
		json_number(j, commands_name(r.rsi, r.rdx), r.rdi);
	}
	json_end(j, '}');
	json_end(j, '}');
	return true;
}

/** Who has the machine's pages, all of one instant. */
void documents_owners(struct json *j)
{
	struct hc_regs r;
	uint64_t sum = 0;

	json_begin(j, "memory", '{');
	for (uint64_t i = 0; hc_query(HC_QUERY_OWNER, i, 0, &r) == HC_OK;
	     i++) {
		json_number(j, commands_name(r.rsi, r.rdx), r.rdi);
		sum += r.rdi;
	}
	json_number(j, "all", sum);
	json_end(j, '}');
	json_begin(j, "heap", '{');
	json_number(j, "used", heap_used());
	json_number(j, "room", heap_room());
	json_end(j, '}');
}

static void put_cpus(struct json *j)
{
	struct hc_regs r;

	json_begin(j, "cpus", '[');
	for (uint64_t i = 0; hc_query(HC_QUERY_CPU, i, 0, &r) == HC_OK; i++) {
		json_begin(j, NULL, '{');
		json_number(j, "apic", r.r10);
		json_number(j, "up", loop_ticks_to_ms(r.rdx));
		json_number(j, "in_partitions", loop_ticks_to_ms(r.rsi));
		json_number(j, "idle", loop_ticks_to_ms(r.rdi));
		json_end(j, '}');
	}
	json_end(j, ']');
}

/* Of a machine with a card; `net --json` has more. */
static void put_network(struct json *j)
{
	struct stack_status s;

	stack_get_status(&s);
	if (!s.nic) {
		return;
	}
	json_begin(j, "network", '{');
	json_number(j, "connections", s.connections);
	json_truth(j, "link", s.nic->link);
	documents_addresses(j, &s);
	json_number(j, "rx_packets", s.nic->rx_packets);
	json_number(j, "rx_bytes", s.nic->rx_bytes);
	json_number(j, "tx_packets", s.nic->tx_packets);
	json_number(j, "tx_bytes", s.nic->tx_bytes);
	json_number(j, "heap", lwip_port_heap()->used);
	json_number(j, "refused", lwip_port_heap()->refused);
	json_end(j, '}');
}

/** `status --json`. */
void documents_status(const struct command_env *env)
{
	struct json j;

	documents_begin(&j);
	json_text(&j, "platform", env->config->info->platform);
	json_begin(&j, "partitions", '[');
	for (uint64_t id = 0; id < BOOT_MAX_PARTITIONS &&
	     put_partition(&j, env, id); id++) {
	}
	json_end(&j, ']');
	documents_owners(&j);
	put_cpus(&j);
	documents_io(&j, env);
	put_network(&j);
	json_truth(&j, "agent", linux_ready(env->guest));
	documents_end(&j);
}

/* The volume's blocks in memory, of one on a disk. */
static void put_cache(struct json *j)
{
	struct volume_disk_state state;
	const struct cache_stats *c = &state.cache;

	if (!volume_loop_look(&state)) {
		return;
	}
	json_begin(j, "cache", '{');
	json_number(j, "size", (uint64_t)c->frames * state.block_size);
	json_number(j, "dirty", (uint64_t)c->dirty * state.block_size);
	json_number(j, "journal", (uint64_t)c->held * state.block_size);
	json_number(j, "hits", c->hits);
	json_number(j, "misses", c->misses);
	json_number(j, "ahead", c->ahead);
	json_number(j, "written", c->written);
	json_number(j, "failed", c->failed);
	json_end(j, '}');
}

/** `memory --json`. */
void documents_memory(const struct command_env *env)
{
	struct json j;
	uint64_t uptime;

	(void)env;
	documents_begin(&j);
	documents_owners(&j);
	json_begin(&j, "partitions", '[');
	for (uint64_t id = 0; id < BOOT_MAX_PARTITIONS &&
	     put_sizes(&j, id, &uptime); id++) {
		json_end(&j, '}');
	}
	json_end(&j, ']');
	json_begin(&j, "dma", '{');
	json_number(&j, "size", dma_size());
	json_number(&j, "free", dma_room());
	json_end(&j, '}');
	put_cache(&j);
	documents_end(&j);
}
