/* SPDX-License-Identifier: MIT */
/*
 * The sockets that Linuxes have made in the volume, from MKNOD until their agents say
 * that nobody has them open: an inode is bound once. Those that listen are offered to
 * all other Linuxes that may connect. A Linux has so many, and hears of so many as the
 * others may have.
 */
#include <stdlib.h>
#include <string.h>

#include "host-bridge/sockets/sockets_int.h"

struct name {
	struct name *next;
	struct sockets_linux *owner;
	uint64_t nodeid;
	uint32_t uid, gid;		/* who made it */
	uint32_t type;			/* 0: it does not listen, yet */
	uint32_t number;		/* of what stands in for it; 0: nothing */
	size_t len;
	char text[];			/* its last part, at first */
};

static struct name *names;
static uint32_t last_number;

static struct sockets_node node_of(const struct name *n)
{
	return (struct sockets_node){ .nodeid = n->nodeid, .type = n->type,
				      .number = n->number };
}

/* Whether it is anything to a Linux. */
static bool is_for(const struct name *n, const struct sockets_linux *ln)
{
	return n->owner != ln && n->type != 0 && ln->connect && !ln->shut;
}

static void watch(const struct name *n)
{
	struct sockets_node node = { .nodeid = n->nodeid };

	sockets_say(n->owner, SOCKETS_WATCH, &node, sizeof(node), n->text,
		    n->len);
}

static void offer(const struct name *n, struct sockets_linux *to)
{
	struct sockets_open open = {
		.node = node_of(n),
		.uid = sockets_mapped(n->owner, n->uid),
		.gid = sockets_mapped(n->owner, n->gid),
	};

	if (is_for(n, to)) {
		sockets_say(to, SOCKETS_OFFER, &open, sizeof(open), NULL, 0);
	}
}

/* It listens no more. */
static void withdraw(struct name *n)
{
	struct sockets_node node = node_of(n);

	for (struct sockets_linux *ln = sockets_all(); ln; ln = ln->next) {
		if (is_for(n, ln)) {
			sockets_say(ln, SOCKETS_WITHDRAW, &node, sizeof(node),
				    NULL, 0);
		}
	}
	n->type = 0;
	n->number = 0;
}

static void forget(struct name **at)
{
	struct name *n = *at;

	withdraw(n);
	*at = n->next;
	n->owner->names--;
	free(n);
}

static struct name **find(const struct sockets_linux *owner, uint64_t nodeid)
{
	struct name **at = &names;

	while (*at && ((*at)->owner != owner || (*at)->nodeid != nodeid)) {
		at = &(*at)->next;
	}
	return at;
}

static struct name *new_name(struct sockets_linux *owner, uint64_t nodeid,
			     size_t len)
{
	struct name *n = calloc(1, sizeof(*n) + len);

	if (n) {
		n->owner = owner;
		n->nodeid = nodeid;
		n->len = len;
		n->next = names;
		names = n;
		owner->names++;
	}
	return n;
}

/* From now on it is offered. */
static void listens(struct name *n, uint32_t type)
{
	n->type = type;
	last_number = last_number % 999999999 + 1;
	n->number = last_number;
	for (struct sockets_linux *to = sockets_all(); to; to = to->next) {
		offer(n, to);
	}
}

/* ---- Of the FUSE server ---- */

/* fuse_sockets.made: one more than may be is a file like any other. */
static void made(void *arg, const void *peer, const struct fuse_made *m)
{
	struct sockets_linux *ln = sockets_all();
	struct name *n;

	(void)arg;
	while (ln && ln->vs != peer) {
		ln = ln->next;
	}
	if (!ln || !ln->offer || ln->shut || ln->names >= SOCKETS_NAMES ||
	    m->len > SOCKETS_NAME_MAX || *find(ln, m->nodeid)) {
		return;
	}
	n = new_name(ln, m->nodeid, m->len);
	if (n) {
		n->uid = m->uid;
		n->gid = m->gid;
		memcpy(n->text, m->name, m->len);
		watch(n);
	}
}

/* fuse_sockets.stands_for */
static uint64_t stands_for(void *arg, const void *peer, uint32_t number)
{
	const struct sockets_linux *ln = sockets_all();
	const struct name *n = names;

	(void)arg;
	while (ln && ln->vs != peer) {
		ln = ln->next;
	}
	while (n && n->number != number) {
		n = n->next;
	}
	return ln && n && is_for(n, ln) ? n->nodeid : 0;
}

/** The server tells us from now on. */
void sockets_names_init(struct fuse_server *server)
{
	static const struct fuse_sockets ops = {
		.made = made, .stands_for = stands_for,
	};

	fuse_server_sockets(server, &ops);
}

/* ---- Of the agents ---- */

/** Who has a socket that listens, of that type. */
bool sockets_names_find(uint64_t nodeid, uint32_t type,
			struct sockets_linux **owner)
{
	const struct name *n = names;

	while (n && (n->nodeid != nodeid || n->type != type)) {
		n = n->next;
	}
	if (!n || type == 0) {
		return false;
	}
	*owner = n->owner;
	return true;
}

/** The type of the socket that listens there; 0: none does. */
uint32_t sockets_names_type(uint64_t nodeid)
{
	const struct name *n = names;

	while (n && (n->nodeid != nodeid || n->type == 0)) {
		n = n->next;
	}
	return n ? n->type : 0;
}

/** A stream socket of the host's own. False: there is no memory. */
bool sockets_names_own(struct sockets_linux *host, uint64_t nodeid)
{
	struct name *n = new_name(host, nodeid, 0);

	if (n) {
		listens(n, SOCKETS_STREAM);
	}
	return n != NULL;
}

/** A Linux's agent is there: all that it has to know. */
void sockets_names_tell(struct sockets_linux *ln)
{
	for (const struct name *n = names; n; n = n->next) {
		if (n->owner == ln) {
			watch(n);
		}
		offer(n, ln);
	}
}

/** A socket of a Linux's listens. False: that cannot be. */
bool sockets_names_listens(struct sockets_linux *ln, uint64_t nodeid,
			   uint32_t type)
{
	struct name *n = *find(ln, nodeid);

	if (type != SOCKETS_STREAM && type != SOCKETS_SEQPACKET) {
		return false;
	}
	/* It may have gone for us, and the agent not have heard so. */
	if (n && n->type == 0) {
		listens(n, type);
	}
	return true;
}

/** A socket of a Linux's is closed. */
void sockets_names_gone(struct sockets_linux *ln, uint64_t nodeid)
{
	struct name **at = find(ln, nodeid);

	if (*at) {
		forget(at);
	}
}

/** A Linux's agent is not there: what it has said is void. */
void sockets_names_deaf(struct sockets_linux *ln)
{
	for (struct name *n = names; n; n = n->next) {
		if (n->owner == ln && n->type != 0) {
			withdraw(n);
		}
	}
}

/** A Linux is not there. */
void sockets_names_end(struct sockets_linux *ln)
{
	struct name **at = &names;

	while (*at) {
		if ((*at)->owner == ln) {
			forget(at);
		} else {
			at = &(*at)->next;
		}
	}
}
