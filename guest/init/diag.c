/* SPDX-License-Identifier: MIT */
/*
 * Asks the kernel for its sockets (sock_diag(7)), and has it end one. A kernel that
 * cannot do it has none for us, and ends none, without a word.
 */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>

#include "diag.h"

struct request {
	struct nlmsghdr head;
	struct inet_diag_req_v2 want;
};

static struct request make(uint16_t type, uint16_t flags, uint8_t family,
			   uint8_t proto)
{
	return (struct request){
		.head = { .nlmsg_len = sizeof(struct request),
			  .nlmsg_type = type,
			  .nlmsg_flags = NLM_F_REQUEST | flags },
		.want = { .sdiag_family = family, .sdiag_protocol = proto },
	};
}

static int open_diag(void)
{
	return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
}

/**
 * Calls take for each socket of that family and protocol in one of the states,
 * bits by their numbers.
 */
void diag_each(uint8_t family, uint8_t proto, uint32_t states,
	       void (*take)(void *arg, uint8_t proto,
			    const struct inet_diag_msg *m), void *arg)
{
	struct request request = make(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, family,
				      proto);
	char data[16384] __attribute__((aligned(8)));
	/* One for each: what is left of an answer is nobody's. */
	int s = open_diag();
	ssize_t len;
	bool more;

	request.want.idiag_states = states;
	more = s >= 0 && send(s, &request, sizeof(request), 0) > 0;
	while (more && (len = recv(s, data, sizeof(data), 0)) > 0) {
		const struct nlmsghdr *h = (const void *)data;

		for (; more && NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
			more = h->nlmsg_type == SOCK_DIAG_BY_FAMILY &&
			       h->nlmsg_len >= NLMSG_LENGTH(
					       sizeof(struct inet_diag_msg));
			if (more) {
				take(arg, proto, NLMSG_DATA(h));
			}
		}
	}
	if (s >= 0) {
		close(s);
	}
}

/**
 * Ends the connection of a socket that was listed: whoever has it hears
 * ECONNABORTED. Only where the kernel has CONFIG_INET_DIAG_DESTROY.
 */
void diag_end(const struct inet_diag_msg *m, uint8_t proto)
{
	struct request request = make(SOCK_DESTROY, NLM_F_ACK, m->idiag_family,
				      proto);
	char answer[256];
	int s = open_diag();

	request.want.id = m->id;
	if (s >= 0) {
		if (send(s, &request, sizeof(request), 0) > 0) {
			(void)!recv(s, answer, sizeof(answer), 0);
		}
		close(s);
	}
}
