/* SPDX-License-Identifier: MIT */
/*
 * The network that the host offers: address, routes and names for the interface
 * isthmus0, as the host has put them on the kernel's command line:
 *
 *   isthmus.net=ADDRESS/BITS,GATEWAY[,ADDRESS6/BITS,GATEWAY6]
 *
 * The gateway is the host partition; packets to it itself do not leave the machine,
 * and may be as long as IP allows. Spoken to the kernel by rtnetlink. What a kernel
 * lacks, interface or IPv6, is left out without a word.
 * [Linux "Documentation/userspace-api/netlink/intro.rst", rtnetlink(7)]
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/rtnetlink.h>

#include "init.h"
#include "net.h"

#define INTERFACE	"isthmus0"
#define HOST_MTU	65520u	/* the largest of a route, and of the interface */

static struct net_side sides[2] = {
	{ .family = AF_INET, .size = 4 }, { .family = AF_INET6, .size = 16 },
};
static char line[4096];
static const char *wanted;
static unsigned said;			/* so many words tell of it */

/* Address, and bits behind a slash. False: they are none. */
static bool parse_side(struct net_side *side, char *address, const char *gateway)
{
	char *slash = address ? strchr(address, '/') : NULL, *end;
	unsigned long bits;

	if (!slash || !gateway) {
		return false;
	}
	*slash = '\0';
	bits = strtoul(slash + 1, &end, 10);
	if (end == slash + 1 || *end || bits > side->size * 8 ||
	    inet_pton(side->family, address, side->address) != 1 ||
	    inet_pton(side->family, gateway, side->gateway) != 1) {
		return false;
	}
	side->bits = (unsigned)bits;
	snprintf(side->address_text, NET_TEXT, "%s", address);
	snprintf(side->gateway_text, NET_TEXT, "%s", gateway);
	return true;
}

/**
 * What the word says, which is changed; IPv4 at least. False: it says nothing that
 * can be.
 */
bool net_parse(char *words)
{
	char *save = NULL, *word[4] = { NULL };

	for (int i = 0; i < 4; i++) {
		word[i] = strtok_r(i == 0 ? words : NULL, ",", &save);
	}
	sides[0].there = parse_side(&sides[0], word[0], word[1]);
	sides[1].there = sides[0].there &&
			 parse_side(&sides[1], word[2], word[3]);
	return sides[0].there;
}

/* The last one counts: the manifest's comes behind the host's own. */
static void take(const char *word)
{
	const char *value = cmdline_after(word, "isthmus.net=");

	if (value) {
		wanted = value;
		said++;
	}
}

/* ---- rtnetlink ---- */

struct message {
	struct nlmsghdr head;
	union {
		struct ifinfomsg link;
		struct ifaddrmsg address;
		struct rtmsg route;
	};
	char attributes[128];
};

/* Of a thing that may be there: changed, or else made; or gone. */
static struct message make(uint16_t type, size_t size)
{
	unsigned flags = type == RTM_NEWADDR || type == RTM_NEWROUTE ?
			 NLM_F_CREATE | NLM_F_REPLACE : 0;

	return (struct message){ .head = {
		.nlmsg_len = (uint32_t)NLMSG_LENGTH(size), .nlmsg_type = type,
		.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags),
	} };
}

/* One more attribute; there is room for all that are wanted here. */
static void add(struct message *m, unsigned short type, const void *data,
		size_t size)
{
	size_t at = NLMSG_ALIGN(m->head.nlmsg_len);
	struct rtattr attribute = {
		.rta_len = (unsigned short)RTA_LENGTH(size), .rta_type = type,
	};

	memcpy((char *)m + at, &attribute, sizeof(attribute));
	memcpy((char *)m + at + RTA_LENGTH(0), data, size);
	m->head.nlmsg_len = (uint32_t)(at + RTA_LENGTH(size));
}

/* 0 or an errno value. */
static int ask(int s, const struct message *m)
{
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
		char rest[sizeof(*m)];
	} answer;

	if (send(s, m, m->head.nlmsg_len, 0) < 0 ||
	    recv(s, &answer, sizeof(answer), 0) < 0) {
		return errno;
	}
	return answer.head.nlmsg_type == NLMSG_ERROR ? -answer.error.error
						     : EIO;
}

static int set_link(int s, unsigned index, bool up)
{
	struct message m = make(RTM_NEWLINK, sizeof(m.link));

	m.link.ifi_index = (int)index;
	m.link.ifi_change = IFF_UP;
	m.link.ifi_flags = up ? IFF_UP : 0;
	return ask(s, &m);
}

/* RTM_NEWADDR or RTM_DELADDR. */
static int set_address(int s, uint16_t type, unsigned index,
		       const struct net_side *side)
{
	struct message m = make(type, sizeof(m.address));

	m.address = (struct ifaddrmsg){
		.ifa_family = (unsigned char)side->family,
		.ifa_prefixlen = (unsigned char)side->bits,
		/* There is nobody else who could have it. */
		.ifa_flags = side->family == AF_INET6 ? IFA_F_NODAD : 0,
		.ifa_index = index,
	};
	add(&m, IFA_LOCAL, side->address, side->size);
	add(&m, IFA_ADDRESS, side->address, side->size);
	return ask(s, &m);
}

/* To the gateway itself, or by it to all others. RTM_NEWROUTE or RTM_DELROUTE. */
static int set_route(int s, uint16_t type, unsigned index,
		     const struct net_side *side, bool host)
{
	struct message m = make(type, sizeof(m.route));
	struct {
		struct rtattr head;
		uint32_t value;
	} mtu = { { sizeof(mtu), RTAX_MTU }, HOST_MTU };

	m.route = (struct rtmsg){
		.rtm_family = (unsigned char)side->family,
		.rtm_dst_len = (unsigned char)(host ? side->size * 8 : 0),
		.rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_BOOT,
		.rtm_scope = host ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
		.rtm_type = RTN_UNICAST,
	};
	add(&m, RTA_OIF, &index, sizeof(index));
	if (host) {
		add(&m, RTA_DST, side->gateway, side->size);
		add(&m, RTA_METRICS, &mtu, sizeof(mtu));
	} else {
		add(&m, RTA_GATEWAY, side->gateway, side->size);
	}
	return ask(s, &m);
}

/* Of IPv6: its addresses are the host's to give, here, and nobody else's. */
static void no_automatic(void)
{
	static const char *const paths[] = {
		"/proc/sys/net/ipv6/conf/" INTERFACE "/accept_ra",
		"/proc/sys/net/ipv6/conf/" INTERFACE "/autoconf",
	};

	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		int fd = open(paths[i], O_WRONLY | O_CLOEXEC);

		if (fd >= 0) {
			(void)!write(fd, "0", 1);
			close(fd);
		}
	}
}

static void configure(int s, unsigned index)
{
	int error;

	no_automatic();
	error = set_link(s, index, true);
	for (int i = 0; i < 2 && error == 0; i++) {
		if (!sides[i].there) {
			continue;
		}
		error = set_address(s, RTM_NEWADDR, index, &sides[i]);
		if (i == 1 && error != 0) {
			/* No IPv6 here. */
			sides[i].there = false;
			return;
		}
		if (error == 0) {
			error = set_route(s, RTM_NEWROUTE, index, &sides[i], true);
		}
		if (error == 0) {
			error = set_route(s, RTM_NEWROUTE, index, &sides[i], false);
		}
	}
	if (error != 0) {
		init_log("interface " INTERFACE ": %s", strerror(error));
	}
}

/**
 * Sets the interface up as the command line has it, if there is one.
 */
void net_start(void)
{
	unsigned index = if_nametoindex(INTERFACE);
	int s;

	cmdline_words(line, sizeof(line), take);
	if (index == 0 || !wanted) {
		return;
	}
	if (!net_parse((char *)wanted)) {
		init_log("isthmus.net: no network");
		return;
	}
	s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (s >= 0) {
		configure(s, index);
		close(s);
	}
}

/* What there is of it ends. Of IPv4 the routes go with the last address. */
static void forget(int s, unsigned index, const struct net_side *side)
{
	if (side->there) {
		(void)set_route(s, RTM_DELROUTE, index, side, false);
		(void)set_route(s, RTM_DELROUTE, index, side, true);
		(void)set_address(s, RTM_DELADDR, index, side);
	}
}

/**
 * This Linux is a child, and has what its template had; word is what the host would
 * have put on its command line, or empty; "off": there is no network, and who tries
 * is told at once. If the manifest has another word there, that is for both. What
 * the template was connected to is reset.
 */
void net_again(const char *word)
{
	struct net_side old[2] = { sides[0], sides[1] };
	const char *value = cmdline_after(word, "isthmus.net=");
	unsigned index = if_nametoindex(INTERFACE);
	bool off = value && strcmp(value, "off") == 0;
	char copy[4 * NET_TEXT];
	int s;

	if (index == 0 || !old[0].there) {
		return;
	}
	net_reset(old);
	if (said != 1 || !value) {
		return;
	}
	snprintf(copy, sizeof(copy), "%s", value);
	s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (s < 0 || (!off && !net_parse(copy))) {
		init_log("%s: no network", word);
	} else if (off) {
		(void)set_link(s, index, false);
	} else {
		forget(s, index, &old[0]);
		forget(s, index, &old[1]);
		configure(s, index);
		net_names_change(old, sides);
	}
	if (s >= 0) {
		close(s);
	}
}

/** Where they say nothing yet, files tell of the network. */
void net_names(void)
{
	if (sides[0].there) {
		net_names_make(sides);
	}
}
