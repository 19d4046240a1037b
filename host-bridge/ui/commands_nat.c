/* SPDX-License-Identifier: MIT */
/*
 * `net nat`: what the NAT has of each Linux, and why it dropped what it did.
 * Sessions are copied first, for the table may be another one as they are printed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lwip/ip_addr.h"

#include "host-bridge/guest/linux.h"
#include "host-bridge/net/link.h"
#include "host-bridge/net/linux_net.h"
#include "host-bridge/net/nat.h"
#include "host-bridge/net/stack.h"
#include "host-bridge/ui/commands_nat.h"
#include "host-bridge/ui/console.h"

#define SHOWN	256u		/* sessions */

struct session {
	struct nat_line is;
	struct nat_addr remote;		/* of that */
};

struct sessions {
	struct session *session;
	unsigned count, all;
};

static void take(void *arg, const struct nat_line *line)
{
	struct sessions *s = arg;

	if (line->fixed || s->all++ >= SHOWN) {
		return;
	}
	s->session[s->count] = (struct session){ *line, *line->remote };
	s->count++;
}

/* What has happened, as far as it has. */
static void print_counts(const struct nat *nat, unsigned which)
{
	const uint64_t *counts = nat_counts(nat, which);
	bool any = false;

	for (unsigned i = 0; i < NAT_COUNTS; i++) {
		if (counts[i] != 0) {
			printf("%s%s %llu", any ? ", " : "    ",
			       nat_count_name(i),
			       (unsigned long long)counts[i]);
			any = true;
		}
	}
	printf("%s", any ? "\n" : "");
}

static void print_linux(const struct command_env *env)
{
	struct linux_net_status s;

	linux_net_status(env->net, &s);
	printf("  %s: %u of %u sessions; interface %s, %llu packets from it, "
	       "%llu malformed; %llu to it, %llu dropped\n",
	       env->guest->want->title, s.sessions, s.most,
	       s.link.up ? "up" : "down", (unsigned long long)s.link.rx_packets,
	       (unsigned long long)s.link.rx_nonsense,
	       (unsigned long long)s.link.tx_packets,
	       (unsigned long long)s.link.tx_dropped);
	print_counts(linux_net_nat(), s.which);
}

/* The name of the Linux with that number. */
static const char *name_of(const struct command_env *env, unsigned which)
{
	struct linux_net_status s;

	for (unsigned i = 0; i < env->count; i++) {
		if (env->all[i].net) {
			linux_net_status(env->all[i].net, &s);
			if (s.which == which) {
				return env->all[i].guest->want->title;
			}
		}
	}
	return "-";
}

static void print_session(const struct command_env *env,
			  const struct session *s)
{
	static const char *const classes[NAT_CLASSES] = {
		[NAT_TCP_NEW] = "not open", [NAT_ICMP] = "",
		[NAT_UDP_NEW] = "no answer yet", [NAT_UDP] = "answered",
		[NAT_TCP] = "open",
	};
	const char *proto = s->is.proto == 6 ? "TCP" :
			    s->is.proto == 17 ? "UDP" : "ICMP";
	ip_addr_t remote;
	char text[STACK_TEXT];

	stack_address_of(&remote, s->is.six, s->remote.b);
	stack_text(&remote, text);
	printf("  %-4s %s, %u -> %u, %s", proto, name_of(env, s->is.which),
	       s->is.inside, s->is.outside, text);
	if (s->is.proto == 6) {
		printf(" port %u", s->is.port);
	}
	printf("%s%s; idle %llu s\n", classes[s->is.class][0] ? "; " : "",
	       classes[s->is.class], (unsigned long long)(s->is.idle / 1000));
}

/** See commands_nat.h. */
void commands_nat(const struct command_env *env)
{
	struct sessions s = { 0 };

	if (!linux_net_nat()) {
		printf("  no Linux has a network\n");
		return;
	}
	for (unsigned i = 0; i < env->count; i++) {
		if (env->all[i].net) {
			print_linux(&env->all[i]);
		}
	}
	printf("  from outside:\n");
	print_counts(linux_net_nat(), NAT_LINUXES);
	s.session = calloc(SHOWN, sizeof(*s.session));
	if (!s.session) {
		printf("no memory\n");
		return;
	}
	nat_each(linux_net_nat(), take, &s);
	for (unsigned i = 0; i < s.count && console_go_on(); i++) {
		print_session(env, &s.session[i]);
	}
	if (s.all > s.count) {
		printf("  .. and %u more\n", s.all - s.count);
	}
	free(s.session);
}
