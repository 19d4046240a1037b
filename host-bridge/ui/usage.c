/* SPDX-License-Identifier: MIT */
/* Looks at the machine's counts: see usage.h. */
#include <string.h>

#include "drivers/nic.h"
#include "host-bridge/blk/disks.h"
#include "host-bridge/guest/linux.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/nbd/nbd_server.h"
#include "host-bridge/net/linux_net.h"
#include "host-bridge/net/stack.h"
#include "host-bridge/rt/hc.h"
#include "host-bridge/ui/commands.h"
#include "host-bridge/ui/usage.h"
#include "host-bridge/vsock/vsock_endpoint.h"

#define LOOK_MS		1000u

static struct usage looks[2];
static unsigned newest;

static void look_at_cpus(struct usage *u)
{
	struct hc_regs r;

	for (uint64_t i = 0; hc_query(HC_QUERY_CPU, i, 0, &r) == HC_OK; i++) {
		u->up += loop_ticks_to_ms(r.rdx);
		u->busy += loop_ticks_to_ms(r.rsi);
		u->idle += loop_ticks_to_ms(r.rdi);
	}
}

static void look_at_exits(struct usage *u)
{
	struct hc_regs r;

	for (uint64_t id = 0; id < BOOT_MAX_PARTITIONS; id++) {
		for (uint64_t i = 0; i < USAGE_REASONS &&
		     hc_query(HC_QUERY_EXITS, id, i, &r) == HC_OK; i++) {
			u->partition[id].exits[i] = r.rdi;
		}
	}
}

static void look_at_linux(struct usage *u, const struct command_env *of)
{
	struct usage_partition *p;
	struct linux_net_status net;
	struct vsock_status vs;

	if (of->guest->want->id >= BOOT_MAX_PARTITIONS) {
		return;
	}
	p = &u->partition[of->guest->want->id];
	if (of->vsock) {
		vsock_get_status(of->vsock, &vs);
		p->from = vs.rx_bytes;
		p->to = vs.tx_bytes;
	}
	if (of->net) {
		linux_net_status(of->net, &net);
		p->net_from = net.link.rx_bytes;
		p->net_to = net.link.tx_bytes;
	}
}

/* In the order in which commands_top.c shows them. */
static void look_at_disks(struct usage *u, const struct command_env *env)
{
	const struct nbd_disk *nbd;
	struct disks_disk *d;
	unsigned n = 0;

	for (unsigned i = 0; n < USAGE_DISKS && (d = disks_get(i)); i++) {
		const struct block_dev *dev = &d->disk->dev;

		u->disk[n++] = (struct usage_disk){
			dev->stats.sectors_read * dev->sector_size,
			dev->stats.sectors_written * dev->sector_size,
			dev->stats.flushes,
		};
	}
	for (unsigned i = 0; i < env->count; i++) {
		for (unsigned k = 0; n < USAGE_DISKS && env->all[i].disks &&
		     (nbd = nbd_service_get(env->all[i].disks, k)); k++) {
			u->disk[n++] = (struct usage_disk){
				nbd->read_bytes, nbd->written_bytes,
				nbd->flushes,
			};
		}
	}
}

/** See usage.h. */
void usage_look(const struct command_env *env, const struct usage **before,
		const struct usage **now)
{
	uint64_t ms = loop_uptime_ms();

	if (looks[newest].ms == 0 || ms - looks[newest].ms >= LOOK_MS) {
		struct nic *nic = stack_nic();
		struct usage *u = &looks[newest ^= 1];

		*u = (struct usage){ .ms = ms };
		look_at_cpus(u);
		look_at_exits(u);
		for (unsigned i = 0; i < env->count; i++) {
			look_at_linux(u, &env->all[i]);
		}
		look_at_disks(u, env);
		u->rx = nic ? nic->rx_bytes : 0;
		u->tx = nic ? nic->tx_bytes : 0;
	}
	*before = &looks[newest ^ 1];
	*now = &looks[newest];
}
