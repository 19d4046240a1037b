/* SPDX-License-Identifier: MIT */
/* `net --json`: what `net`, `net ports` and the counts of `net nat` show. */
#include "drivers/nic.h"
#include "host-bridge/guest/linux.h"
#include "host-bridge/net/linux_net.h"
#include "host-bridge/net/lwip_port.h"
#include "host-bridge/net/names.h"
#include "host-bridge/net/nat.h"
#include "host-bridge/net/ntp.h"
#include "host-bridge/net/ports.h"
#include "host-bridge/net/stack.h"
#include "host-bridge/net/syslog.h"
#include "host-bridge/rt/wall.h"
#include "host-bridge/ui/documents.h"

/** The host partition's place on the network. */
void documents_addresses(struct json *j, const struct stack_status *s)
{
	json_text(j, "address", s->address);
	json_text(j, "gateway", s->gateway);
	json_begin(j, "address6", '[');
	for (unsigned i = 0; i < STACK_ADDRESSES && s->address6[i][0]; i++) {
		json_text(j, NULL, s->address6[i]);
	}
	json_end(j, ']');
	json_begin(j, "dns", '[');
	for (unsigned i = 0; i < STACK_SERVERS && s->dns[i][0]; i++) {
		json_text(j, NULL, s->dns[i]);
	}
	json_end(j, ']');
}

static void put_nic(struct json *j, const struct nic *nic)
{
	static const char *const states[] = {
		[NIC_STARTING] = "starting", [NIC_READY] = "ready",
		[NIC_STOPPING] = "stopping", [NIC_FAILED] = "failed",
	};

	json_begin(j, "nic", '{');
	json_text(j, "name", nic->name);
	json_text(j, "model", nic->known ? nic->model : "");
	json_text(j, "state", states[nic->state]);
	json_text(j, "why", nic->state == NIC_FAILED ? nic->why : "");
	json_truth(j, "link", nic->link);
	json_number(j, "mtu", nic->mtu);
	json_number(j, "rx_packets", nic->rx_packets);
	json_number(j, "rx_bytes", nic->rx_bytes);
	json_number(j, "rx_dropped", nic->rx_dropped);
	json_number(j, "tx_packets", nic->tx_packets);
	json_number(j, "tx_bytes", nic->tx_bytes);
	json_number(j, "tx_dropped", nic->tx_dropped);
	json_number(j, "errors", nic->errors);
	json_number(j, "nonsense", nic->nonsense);
	json_number(j, "hangs", nic->hangs);
	json_number(j, "resets", nic->resets);
	json_number(j, "interrupts", nic->interrupts);
	json_number(j, "link_changes", nic->link_changes);
	json_end(j, '}');
}

/* lwIP, for all who have connections here. */
static void put_stack(struct json *j, const struct stack_status *s)
{
	const struct lwip_port_heap *heap = lwip_port_heap();

	json_begin(j, "stack", '{');
	json_number(j, "connections", s->connections);
	json_number(j, "refused", s->refused);
	json_number(j, "memory", heap->used);
	json_number(j, "memory_most", heap->most);
	json_number(j, "memory_room", LWIP_PORT_HEAP);
	json_number(j, "memory_refused", heap->refused);
	json_end(j, '}');
}

static void put_services(struct json *j)
{
	struct names_status n;
	struct ntp_status ntp;
	struct syslog_status log;

	names_get_status(&n);
	json_begin(j, "names", '{');
	json_number(j, "asked", n.asked);
	json_number(j, "own", n.own);
	json_number(j, "passed", n.passed);
	json_number(j, "answered", n.answered);
	json_number(j, "failed", n.failed);
	json_number(j, "dropped", n.dropped);
	json_number(j, "refused", n.refused);
	json_end(j, '}');
	ntp_get_status(&ntp);
	json_begin(j, "clock", '{');
	json_number(j, "answers", ntp.answers);
	json_number(j, "refused", ntp.refused);
	json_signed(j, "offset", ntp.offset_ns / 1000000);
	json_signed(j, "left", wall_left_ns() / 1000000);
	json_end(j, '}');
	syslog_get_status(&log);
	json_begin(j, "syslog", '{');
	json_number(j, "sent", log.sent);
	json_number(j, "lost", log.lost);
	json_end(j, '}');
}

/* What the NAT has done, by its own words. */
static void put_counts(struct json *j, unsigned which)
{
	const uint64_t *counts = nat_counts(linux_net_nat(), which);

	json_begin(j, "counts", '{');
	for (unsigned i = 0; i < NAT_COUNTS; i++) {
		json_number(j, nat_count_name(i), counts[i]);
	}
	json_end(j, '}');
}

static void put_linux(struct json *j, const struct command_env *of)
{
	struct linux_net_status s;

	linux_net_status(of->net, &s);
	json_begin(j, NULL, '{');
	json_text(j, "partition", of->guest->want->name);
	json_truth(j, "up", s.link.up);
	json_number(j, "starts", s.link.starts);
	json_number(j, "sessions", s.sessions);
	json_number(j, "sessions_room", s.most);
	json_number(j, "rx_packets", s.link.rx_packets);
	json_number(j, "rx_bytes", s.link.rx_bytes);
	json_number(j, "rx_nonsense", s.link.rx_nonsense);
	json_number(j, "tx_packets", s.link.tx_packets);
	json_number(j, "tx_bytes", s.link.tx_bytes);
	json_number(j, "tx_dropped", s.link.tx_dropped);
	put_counts(j, s.which);
	json_end(j, '}');
}

static void put_port(void *arg, const struct ports_line *l)
{
	struct json *j = arg;

	json_begin(j, NULL, '{');
	json_text(j, "protocol", l->proto == 6 ? "tcp" : "udp");
	json_number(j, "outside", l->outside);
	json_text(j, "partition", l->name);
	json_number(j, "inside", l->inside);
	json_truth(j, "ipv4", l->families & 1);
	json_truth(j, "ipv6", l->families & 2);
	json_truth(j, "manifest", l->fixed);
	json_text(j, "refused", l->refused);
	json_end(j, '}');
}

/** `net --json`. */
void documents_net(const struct command_env *env)
{
	struct stack_status s;
	struct json j;

	stack_get_status(&s);
	documents_begin(&j);
	if (s.nic) {
		put_nic(&j, s.nic);
		documents_addresses(&j, &s);
	}
	put_stack(&j, &s);
	put_services(&j);
	json_begin(&j, "linuxes", '[');
	for (unsigned i = 0; i < env->count; i++) {
		if (env->all[i].net) {
			put_linux(&j, &env->all[i]);
		}
	}
	json_end(&j, ']');
	if (linux_net_nat()) {
		json_begin(&j, "outside", '{');
		put_counts(&j, NAT_LINUXES);
		json_end(&j, '}');
	}
	json_begin(&j, "ports", '[');
	ports_each(put_port, &j);
	json_end(&j, ']');
	documents_end(&j);
}
