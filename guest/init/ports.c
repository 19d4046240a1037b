/* SPDX-License-Identifier: MIT */
/*
 * Tells the host which ports programs listen on: a process of the agent's that sleeps
 * until the kernel says that one is another (ports_bpf.c), or that the interface has
 * got its carrier, for then the host begins with nothing. A connection for each
 * report: one that stayed would keep the channel driver loaded. What the host refuses
 * goes to the kernel's log, once.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <linux/rtnetlink.h>
#include <linux/vm_sockets.h>

#include "agent.h"
#include "init.h"
#include "ports.h"

#define NAME		"isthmus-ports"
#define INTERFACE	"isthmus0"
#define RETRY_MS	1000
#define ANSWER_SECONDS	5
/* The reserved ports that a report comes from: not the agent's nor the driver's. */
#define PORT_FIRST	700u
#define PORT_LAST	899u

struct reporter {
	struct ports_bpf bpf;
	int links;		/* of rtnetlink */
	bool carrier;
	bool deaf;		/* the host wants no reports */
	struct ports_set now, told;
	struct ports_head refused;
	struct ports_refusal refusal[PORTS_MAX];
};

/* ---- What there is ---- */

static void own_addresses(struct ports_own *own)
{
	struct ifaddrs *list;

	*own = (struct ports_own){ 0 };
	if (getifaddrs(&list) != 0) {
		return;
	}
	for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
		const void *address = i->ifa_addr;

		if (!address || strcmp(i->ifa_name, INTERFACE) != 0) {
			continue;
		}
		if (i->ifa_addr->sa_family == AF_INET && own->count4 < 4) {
			own->ip4[own->count4++] =
				((const struct sockaddr_in *)address)->sin_addr;
		} else if (i->ifa_addr->sa_family == AF_INET6 &&
			   own->count6 < 4) {
			own->ip6[own->count6++] =
				((const struct sockaddr_in6 *)address)->sin6_addr;
		}
	}
	freeifaddrs(list);
}

/* All ports that there are now. A socket that is closed meanwhile begins the walk
 * anew, which has its bound. */
static void collect(struct reporter *r)
{
	struct ports_own own;
	struct ports_socket s;
	uint64_t cookie;
	bool room = true;

	own_addresses(&own);
	r->now.count = 0;
	for (unsigned i = 0; i < 4 * PORTS_SOCKETS && room &&
	     ports_bpf_next(&r->bpf, &cookie, &s, i == 0); i++) {
		room = ports_set_add(&r->now, &own, &s);
	}
}

/* ---- The report ---- */

static int connect_host(void)
{
	const struct sockaddr_vm host = { .svm_family = AF_VSOCK,
		.svm_cid = VMADDR_CID_HOST, .svm_port = PORTS_PORT };
	const struct timeval limit = { .tv_sec = ANSWER_SECONDS };
	struct sockaddr_vm own = { .svm_family = AF_VSOCK,
		.svm_cid = VMADDR_CID_ANY, .svm_port = PORT_FIRST };
	int s = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (s < 0) {
		return -1;
	}
	while (bind(s, (struct sockaddr *)&own, sizeof(own)) != 0 &&
	       errno == EADDRINUSE && own.svm_port < PORT_LAST) {
		own.svm_port++;
	}
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(s, (const struct sockaddr *)&host, sizeof(host)) != 0) {
		int error = errno;

		close(s);
		errno = error;
		return -1;
	}
	return s;
}

static bool was_refused(const struct ports_refusal *old, uint32_t count,
			const struct ports_refusal *new)
{
	for (uint32_t i = 0; i < count; i++) {
		if (memcmp(&old[i], new, sizeof(*new)) == 0) {
			return true;
		}
	}
	return false;
}

/* Those that are not known are said. The host is believed: it has all power here. */
static bool read_answer(struct reporter *r, int s)
{
	static struct ports_refusal old[PORTS_MAX];
	uint32_t known = r->refused.count;

	memcpy(old, r->refusal, known * sizeof(*old));
	r->refused.count = 0;
	if (!agent_read_full(s, &r->refused, sizeof(r->refused)) ||
	    r->refused.count > PORTS_MAX ||
	    !agent_read_full(s, r->refusal,
			     r->refused.count * sizeof(*r->refusal))) {
		r->refused.count = 0;
		return false;
	}
	for (uint32_t i = 0; i < r->refused.count; i++) {
		struct ports_refusal *f = &r->refusal[i];

		f->text[PORTS_TEXT - 1] = '\0';
		if (!was_refused(old, known, f)) {
			init_log("port %u of %s is not forwarded: %s",
				 f->listener.port,
				 f->listener.proto == IPPROTO_TCP ? "TCP" : "UDP",
				 f->text);
		}
	}
	return true;
}

/* A host that has no network for this Linux, or does not want this, refuses: then
 * the next carrier is waited for. */
static void report(struct reporter *r)
{
	const struct ports_head head = { .count = r->now.count };
	int s = connect_host();

	if (s < 0) {
		r->deaf = errno == ECONNREFUSED || errno == ECONNRESET;
		return;
	}
	if (agent_write_full(s, &head, sizeof(head)) &&
	    agent_write_full(s, r->now.listener,
			     head.count * sizeof(*r->now.listener)) &&
	    read_answer(r, s)) {
		r->told = r->now;
	}
	close(s);
}

/* ---- The process ---- */

static int listen_for_links(void)
{
	const struct sockaddr_nl all = { .nl_family = AF_NETLINK,
					 .nl_groups = RTMGRP_LINK };
	int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
		       NETLINK_ROUTE);

	if (s >= 0 && bind(s, (const struct sockaddr *)&all, sizeof(all)) != 0) {
		close(s);
		return -1;
	}
	return s;
}

/* Whether packets pass. */
static bool has_carrier(int s)
{
	struct ifreq request = { .ifr_name = INTERFACE };

	return ioctl(s, SIOCGIFFLAGS, &request) == 0 &&
	       (request.ifr_flags & IFF_RUNNING) != 0;
}

/* What it was that changed is not read: the interface is asked. */
static void look_at_link(struct reporter *r)
{
	char data[8192];
	bool had = r->carrier;

	while (recv(r->links, data, sizeof(data), 0) > 0 || errno == ENOBUFS) {
	}
	r->carrier = has_carrier(r->links);
	if (r->carrier && !had) {
		r->told.count = 0;
		r->refused.count = 0;
		r->deaf = false;
	}
}

static bool is_due(const struct reporter *r)
{
	return r->carrier && !r->deaf && !ports_set_same(&r->now, &r->told);
}

/* Before there has been a network nothing is asked of the kernel. */
static void run(struct reporter *r)
{
	struct pollfd p[2] = { { .fd = r->links, .events = POLLIN },
			       { .fd = -1, .events = POLLIN } };
	const char *missing;

	do {
		look_at_link(r);
		if (r->carrier && p[1].fd < 0) {
			missing = ports_bpf_start(&r->bpf);
			if (missing) {
				init_log("ports are not forwarded by "
					 "themselves: %s: %s", missing,
					 strerror(errno));
				return;
			}
			p[1].fd = r->bpf.ring;
			ports_diag_add(&r->bpf);
		}
		if (p[1].fd >= 0) {
			(void)ports_bpf_changed(&r->bpf);
			collect(r);
		}
		if (is_due(r)) {
			report(r);
		}
	} while (poll(p, 2, is_due(r) ? RETRY_MS : -1) >= 0 || errno == EINTR);
}

/**
 * Starts the process, if there is the interface; returns its id, else -1. It ends with
 * the caller.
 */
pid_t ports_start(void)
{
	static struct reporter r;
	pid_t self = getpid(), pid;

	if (if_nametoindex(INTERFACE) == 0) {
		return -1;
	}
	pid = fork();
	if (pid != 0) {
		return pid;
	}
	prctl(PR_SET_NAME, NAME);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	r.links = listen_for_links();
	if (r.links >= 0 && getppid() == self) {
		run(&r);
	}
	_exit(1);
}
