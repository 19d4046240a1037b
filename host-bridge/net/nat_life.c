// SPDX-License-Identifier: MIT
/* The NAT's life: the tables, Linuxes that come and go, the outside address; and
 * what people see of it. */
#include <errno.h>
#include <stdlib.h>

#include "host-bridge/net/nat_int.h"

/** One without a Linux and without an outside address; NULL: no memory. */
struct nat *nat_new(const struct nat_config *config)
{
	static const uint32_t usual[NAT_CLASSES] = {
		[NAT_TCP_NEW] = 240000, [NAT_ICMP] = 60000,
		[NAT_UDP_NEW] = 120000, [NAT_UDP] = 300000,
		[NAT_TCP] = 7440000,
	};
	struct nat *n = calloc(1, sizeof(*n));

	if (n == NULL) {
		return NULL;
	}
	n->config = *config;
	n->random = config->seed[2];
	for (unsigned i = 0; i < NAT_CLASSES; i++) {
		n->config.timeout[i] = config->timeout[i] != 0 ?
				       config->timeout[i] : usual[i];
	}
	for (n->bits = 4; 1u << n->bits < config->sessions; n->bits++) {
	}
	n->sessions = calloc((size_t)3 << n->bits, sizeof(*n->sessions));
	if (n->sessions == NULL) {
		free(n);
		return NULL;
	}
	n->inside = (struct nat_mapping **)n->sessions + ((size_t)1 << n->bits);
	n->outer = n->inside + ((size_t)1 << n->bits);
	return n;
}

/** All goes. */
void nat_free(struct nat *n)
{
	for (unsigned i = 0; i < NAT_LINUXES; i++) {
		nat_linux_down(n, i);
	}
	nat_frag_expire(n, NAT_LINUXES, true);
	free(n->sessions);
	free(n);
}

/** A Linux starts, with nothing of an earlier one. Returns 0 or ENOMEM. */
int nat_linux_up(struct nat *n, unsigned which, const struct nat_link *link)
{
	struct nat_part *part = &n->part[which];
	unsigned sessions = n->config.sessions;

	nat_linux_down(n, which);
	part->sessions = (struct pool){ sizeof(struct nat_session), sessions,
					NULL, NULL };
	part->mappings = (struct pool){ sizeof(struct nat_mapping),
					sessions + NAT_FIXED, NULL, NULL };
	if (!pool_grow(&part->sessions) || !pool_grow(&part->mappings)) {
		nat_linux_down(n, which);
		return ENOMEM;
	}
	part->link = *link;
	part->up = part->known = true;
	n->links = which < n->links ? n->links : which + 1;
	return 0;
}

/** It has ended: what was its is nobody's, and who still speaks to it is answered
 * by the host's stack. */
void nat_linux_down(struct nat *n, unsigned which)
{
	struct nat_part *part = &n->part[which];

	if (part->up) {
		nat_forget(n, which, false, true);
		nat_forget(n, which, true, true);
	}
	nat_frag_expire(n, which, true);
	pool_end(&part->sessions);
	pool_end(&part->mappings);
	*part = (struct nat_part){ .link = part->link, .known = part->known };
}

/** The outside address of each family is another, or none: what was of the old
 * one ends, but for fixed mappings. */
void nat_outside(struct nat *n, const struct nat_addr addr[2], unsigned mtu)
{
	static const struct nat_addr none;

	n->mtu = mtu;
	for (unsigned six = 0; six < 2; six++) {
		if (memcmp(&n->outside[six], &addr[six], sizeof(none)) == 0) {
			continue;
		}
		n->outside[six] = addr[six];
		n->has[six] = memcmp(&addr[six], &none, sizeof(none)) != 0;
		for (unsigned i = 0; i <= NAT_LINUXES; i++) {
			nat_forget(n, i, six == 1, false);
			nat_frag_expire(n, i, true);
		}
	}
}

/* ---- What people see ---- */

/** NAT_COUNTS of them. */
const uint64_t *nat_counts(const struct nat *n, unsigned which)
{
	return n->part[which].counts;
}

/** How many sessions a Linux has. */
unsigned nat_sessions(const struct nat *n, unsigned which)
{
	return n->part[which].count;
}

/** In words. */
const char *nat_count_name(enum nat_count count)
{
	static const char *const names[NAT_COUNTS] = {
		"packets passed", "hairpins", "sessions begun", "ended by time",
		"ended for others", "ICMP errors made", "later fragments",
		"malformed", "not its own source", "no such destination",
		"not opened to Linux", "IP options", "unknown protocols",
		"no outside address", "too many hops", "too big",
		"of no session", "filtered", "table full", "too many new ones",
		"no free port", "fragments lost",
	};

	return names[count];
}

/** One line for each fixed mapping and for each session, in no order. */
void nat_each(const struct nat *n, void (*line)(void *arg, const struct nat_line *),
	      void *arg)
{
	for (size_t i = 0; i < (size_t)1 << n->bits; i++) {
		for (const struct nat_mapping *m = n->outer[i]; m != NULL; m = m->outer) {
			if (m->fixed) {
				line(arg, &(struct nat_line){
					.which = m->which, .six = m->six, .fixed = true,
					.proto = m->proto, .inside = m->inside,
					.outside = m->outside });
			}
		}
		for (const struct nat_session *s = n->sessions[i]; s != NULL; s = s->next) {
			line(arg, &(struct nat_line){
				.which = s->key.which, .six = s->key.six,
				.proto = s->key.proto, .inside = s->key.inside,
				.outside = s->mapping->outside,
				.remote = (const void *)s->key.remote,
				.port = s->key.port, .isn = s->isn, .class = s->class,
				.idle = n->now - s->used });
		}
	}
}
