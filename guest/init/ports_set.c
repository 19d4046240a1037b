/* SPDX-License-Identifier: MIT */
/* Of sockets that listen, the ports that the outside may reach. Pure: no I/O. */
#include <string.h>
#include <sys/socket.h>

#include "ports.h"

static bool own4(const struct ports_own *own, uint32_t ip4)
{
	bool found = ip4 == INADDR_ANY;

	for (unsigned i = 0; i < own->count4; i++) {
		found |= own->ip4[i].s_addr == ip4;
	}
	return found;
}

static bool own6(const struct ports_own *own, const struct in6_addr *ip6)
{
	bool found = false;

	for (unsigned i = 0; i < own->count6; i++) {
		found |= memcmp(&own->ip6[i], ip6, sizeof(*ip6)) == 0;
	}
	return found;
}

/* By which kinds of IP it can be reached: [RFC 3493 "Compatibility with IPv4
 * Nodes"]. One of :: that is for IPv6 alone refuses IPv4 itself. */
static uint8_t families(const struct ports_own *own,
			const struct ports_socket *s)
{
	struct in6_addr ip6;

	memcpy(&ip6, s->ip6, sizeof(ip6));
	if (s->family == AF_INET) {
		return own4(own, s->ip4) ? PORTS_IPV4 : 0;
	}
	if (s->family != AF_INET6) {
		return 0;
	}
	if (IN6_IS_ADDR_UNSPECIFIED(&ip6)) {
		return PORTS_IPV4 | PORTS_IPV6;
	}
	if (IN6_IS_ADDR_V4MAPPED(&ip6)) {
		return own4(own, s->ip6[3]) ? PORTS_IPV4 : 0;
	}
	return own6(own, &ip6) ? PORTS_IPV6 : 0;
}

static unsigned order(const struct ports_listener *l)
{
	return (unsigned)l->proto << 16 | l->port;
}

/**
 * One more socket, if it is for the outside. False: there is no room for its port.
 */
bool ports_set_add(struct ports_set *set, const struct ports_own *own,
		   const struct ports_socket *s)
{
	struct ports_listener new = {
		.port = (uint16_t)s->port, .proto = (uint8_t)s->proto,
		.families = families(own, s),
	};
	uint32_t low = 0, high = set->count;

	if (new.families == 0 || new.port == 0) {
		return true;
	}
	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (order(&set->listener[middle]) < order(&new)) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	if (low < set->count && order(&set->listener[low]) == order(&new)) {
		set->listener[low].families |= new.families;
		return true;
	}
	if (set->count == PORTS_MAX) {
		return false;
	}
	memmove(&set->listener[low + 1], &set->listener[low],
		(set->count - low) * sizeof(new));
	set->listener[low] = new;
	set->count++;
	return true;
}

/** Whether both are the same ports. */
bool ports_set_same(const struct ports_set *a, const struct ports_set *b)
{
	return a->count == b->count &&
	       memcmp(a->listener, b->listener,
		      a->count * sizeof(*a->listener)) == 0;
}
