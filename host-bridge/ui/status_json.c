/* SPDX-License-Identifier: MIT */
/*
 * `status --json`: what `status` and `memory` show, for programs: one object on
 * one line. Times are milliseconds, memory is bytes. What is added later has new
 * names; "version" counts changes of what is there.
 */
#include <stdio.h>

#include "drivers/nic.h"
#include "host-bridge/guest/linux.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/net/lwip_port.h"
#include "host-bridge/net/stack.h"
#include "host-bridge/rt/hc.h"
#include "host-bridge/rt/heap.h"
#include "host-bridge/ui/commands.h"

#define VERSION		1

/* , "name": number; the first of an object goes without the comma. */
static void number(const char *name, uint64_t n, bool first)
{
	printf("%s\"%s\": %llu", first ? "" : ", ", name,
	       (unsigned long long)n);
}

/* Firmware and manifest say what they like. [RFC 8259 "Strings"] */
static void text(const char *name, const char *value)
{
	printf(", \"%s\": \"", name);
	for (; *value; value++) {
		unsigned char c = (unsigned char)*value;

		if (c < ' ' || c == '"' || c == '\\' || c > '~') {
			printf("\\u%04x", c);
		} else {
			putchar(c);
		}
	}
	putchar('"');
}

/* , "name": true or false */
static void truth(const char *name, bool is)
{
	printf(", \"%s\": %s", name, is ? "true" : "false");
}

static bool print_partition(const struct command_env *env, uint64_t id)
{
	struct hc_regs name, state, mem, r;

	if (hc_query(HC_QUERY_NAME, id, 0, &name) != HC_OK ||
	    hc_query(HC_QUERY_STATE, id, 0, &state) != HC_OK ||
	    hc_query(HC_QUERY_MEMORY, id, 0, &mem) != HC_OK) {
		return false;
	}
	printf("%s{", id == 0 ? "" : ", ");
	number("id", id, true);
	text("name", commands_name(name.rdi, name.rsi));
	text("state", commands_state(state.rdi));
	number("vcpus", mem.r10, false);
	number("memory", mem.rdi, false);
	number("cap", mem.rsi, false);
	number("populated", mem.rdx, false);
	number("uptime", loop_ticks_to_ms(mem.r8), false);
	number("starts", state.r8, false);
	for (unsigned i = 0; i < env->count; i++) {
		if (env->all[i].guest->want->id == id) {
			truth("agent", linux_ready(env->all[i].guest));
		}
	}
	printf(", \"exits\": {");
	for (uint64_t i = 0; hc_query(HC_QUERY_EXITS, id, i, &r) == HC_OK;
	     i++) {
		number(commands_name(r.rsi, r.rdx), r.rdi, i == 0);
	}
	printf("}}");
	return true;
}

/* Who has the machine's pages, all of one instant. */
static void print_memory(void)
{
	struct hc_regs r;
	uint64_t sum = 0;

	printf(", \"memory\": {");
	for (uint64_t i = 0; hc_query(HC_QUERY_OWNER, i, 0, &r) == HC_OK;
	     i++) {
		number(commands_name(r.rsi, r.rdx), r.rdi, i == 0);
		sum += r.rdi;
	}
	number("all", sum, false);
	printf("}, \"heap\": {");
	number("used", heap_used(), true);
	number("room", heap_room(), false);
	printf("}");
}

static void print_cpus(void)
{
	struct hc_regs r;

	printf(", \"cpus\": [");
	for (uint64_t i = 0; hc_query(HC_QUERY_CPU, i, 0, &r) == HC_OK; i++) {
		printf("%s{", i == 0 ? "" : ", ");
		number("apic", r.r10, true);
		number("up", loop_ticks_to_ms(r.rdx), false);
		number("in_partitions", loop_ticks_to_ms(r.rsi), false);
		number("idle", loop_ticks_to_ms(r.rdi), false);
		printf("}");
	}
	printf("]");
}

/* Of a machine with a card. */
static void print_network(void)
{
	const struct lwip_port_heap *heap = lwip_port_heap();
	struct stack_status s;

	stack_get_status(&s);
	if (!s.nic) {
		return;
	}
	printf(", \"network\": {");
	number("connections", s.connections, true);
	truth("link", s.nic->link);
	text("address", s.address);
	text("gateway", s.gateway);
	printf(", \"address6\": [");
	for (unsigned i = 0; i < STACK_ADDRESSES && s.address6[i][0]; i++) {
		printf("%s\"%s\"", i == 0 ? "" : ", ", s.address6[i]);
	}
	printf("], \"dns\": [");
	for (unsigned i = 0; i < STACK_SERVERS && s.dns[i][0]; i++) {
		printf("%s\"%s\"", i == 0 ? "" : ", ", s.dns[i]);
	}
	printf("]");
	number("rx_packets", s.nic->rx_packets, false);
	number("rx_bytes", s.nic->rx_bytes, false);
	number("tx_packets", s.nic->tx_packets, false);
	number("tx_bytes", s.nic->tx_bytes, false);
	number("heap", heap->used, false);
	number("refused", heap->refused, false);
	printf("}");
}

/** Prints the object. */
void commands_status_json(const struct command_env *env)
{
	printf("{");
	number("version", VERSION, true);
	number("uptime", loop_uptime_ms(), false);
	text("platform", env->config->info->platform);
	printf(", \"partitions\": [");
	for (uint64_t id = 0; id < BOOT_MAX_PARTITIONS &&
	     print_partition(env, id); id++) {
	}
	printf("]");
	print_memory();
	print_cpus();
	print_network();
	truth("agent", linux_ready(env->guest));
	printf("}\n");
}
