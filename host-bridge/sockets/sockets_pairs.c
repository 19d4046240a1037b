/* SPDX-License-Identifier: MIT */
/*
 * Connections from one Linux to another: two of vsock make a pair, which is counted to
 * whom it is of: who has begun it, and to whom it leads. Who is to come at the other
 * end has a time for that, and nobody else may come. One end may be the host's own
 * (sockets_own.c).
 */
#include <stdlib.h>

#include "host-bridge/loop/loop.h"
#include "host-bridge/sockets/sockets_int.h"

#define TICK_MS		1000u
#define TICKS		10u
#define LINUX_ECONNREFUSED	111u

static struct sockets_pair *pairs;
static uint64_t last_token;
static struct loop_timer timer;

/* What was on its way on this one comes soon, or never. */
static void carried(const struct sockets_pair *carrier)
{
	for (struct sockets_pair *p = pairs; p; p = p->next) {
		if (p->carrier == carrier) {
			p->carrier = NULL;
			p->ticks = TICKS;
		}
	}
}

static void on_tick(struct loop_timer *t);

static void tick_soon(void)
{
	if (timer.deadline == 0) {
		loop_timer_set(&timer, TICK_MS, on_tick);
	}
}

/** Ends both connections: what they were sent goes first. */
void sockets_pairs_end(struct sockets_pair *pair)
{
	struct sockets_pair **at = &pairs;

	while (*at != pair) {
		at = &(*at)->next;
	}
	*at = pair->next;
	for (unsigned i = 0; i < 2; i++) {
		if (pair->link[i]) {
			pair->link[i]->pair = NULL;
			sockets_let_go(pair->link[i]);
		}
	}
	pair->begun_by->begun--;
	if (pair->wanted) {
		pair->wanted->led--;
	}
	if (pair->own) {
		sockets_own_over(pair->own);
	}
	carried(pair);
	tick_soon();
	free(pair);
}

static void on_tick(struct loop_timer *t)
{
	struct sockets_pair *p, *next;
	bool waits = false;

	(void)t;
	for (p = pairs; p; p = next) {
		next = p->next;
		if (!p->link[1] && p->ticks > 0 && --p->ticks == 0) {
			sockets_pairs_end(p);
		} else {
			waits |= !p->link[1] && p->ticks > 0;
		}
	}
	if (waits) {
		tick_soon();
	}
}

/* One that has no end yet; NULL: that Linux has too many. */
static struct sockets_pair *new_pair(struct sockets_linux *by)
{
	struct sockets_pair *pair = NULL;

	if (by->begun < SOCKETS_BEGUN) {
		pair = calloc(1, sizeof(*pair));
	}
	if (pair) {
		pair->begun_by = by;
		pair->token = ++last_token;
		pair->ticks = TICKS;
		pair->next = pairs;
		pairs = pair;
		by->begun++;
		tick_soon();
	}
	return pair;
}

/* Of a Linux's; who is to come at the other end is not known yet. NULL, or why it may
 * not be. */
static const char *begin(struct sockets_link *link)
{
	struct sockets_pair *pair = new_pair(link->of);

	if (!pair) {
		return "it has too many connections";
	}
	pair->link[0] = link;
	link->pair = pair;
	link->phase = SOCKETS_RELAYS;
	return NULL;
}

/** The pair of that number, or NULL: it may be over. */
struct sockets_pair *sockets_pairs_find(uint64_t token)
{
	struct sockets_pair *p = pairs;

	while (p && p->token != token) {
		p = p->next;
	}
	return p;
}

/** From now on that Linux may come. False: too many lead to it. */
bool sockets_pairs_want(struct sockets_pair *pair, struct sockets_linux *ln)
{
	if (ln->led >= SOCKETS_LED) {
		return false;
	}
	ln->led++;
	pair->wanted = ln;
	return true;
}

/* The other end is there. What the first has sent meanwhile goes to it. */
static void join(struct sockets_pair *pair, struct sockets_link *link)
{
	pair->link[1] = link;
	link->pair = pair;
	if (pair->own) {
		link->phase = SOCKETS_OWN;
		return;
	}
	link->phase = SOCKETS_RELAYS;
	sockets_relay_go_on(pair->link[0]);
}

/* To a socket's owner, as that user. False: the pair is over. */
static bool ask(struct sockets_pair *pair, struct sockets_linux *owner,
		const struct sockets_open *as)
{
	struct sockets_open open = *as;

	if (!sockets_pairs_want(pair, owner)) {
		sockets_pairs_end(pair);
		return false;
	}
	pair->nodeid = as->node.nodeid;
	open.node.number = 0;
	open.uid = sockets_mapped(pair->begun_by, as->uid);
	open.gid = sockets_mapped(pair->begun_by, as->gid);
	open.token = pair->token;
	sockets_say(owner, SOCKETS_CONNECT, &open, sizeof(open), NULL, 0);
	return true;
}

/** The host's own end of a connection to a socket; NULL: there are too many. */
struct sockets_pair *sockets_pairs_own(struct sockets_own *own,
				       struct sockets_linux *host,
				       struct sockets_linux *owner,
				       const struct sockets_open *as)
{
	struct sockets_pair *pair = new_pair(host);

	if (pair && ask(pair, owner, as)) {
		pair->own = own;
		return pair;
	}
	return NULL;
}

/* ---- First frames: NULL, or why it may not be. What may be at another time is no
 * word worth: then the connection is let go. ---- */

/** OPEN */
const char *sockets_pairs_open(struct sockets_link *link,
			       const struct sockets_open *open)
{
	struct sockets_linux *owner;
	const char *why;

	if (!link->of->connect) {
		return "it may not connect";
	}
	if (!sockets_names_find(open->node.nodeid, open->node.type, &owner) ||
	    owner == link->of) {
		sockets_let_go(link);
		return NULL;
	}
	why = begin(link);
	if (!why && sockets_own_is_host(owner)) {
		sockets_own_came(link);
	} else if (!why) {
		(void)ask(link->pair, owner, open);
	}
	return why;
}

/* Who comes to a pair that was passed to it, or to its socket. *out NULL: that may be
 * over. */
static const char *come(struct sockets_link *link, uint64_t token, bool passed,
			struct sockets_pair **out)
{
	struct sockets_pair *pair = sockets_pairs_find(token);

	*out = NULL;
	if (!pair) {
		sockets_let_go(link);
		return NULL;
	}
	if (pair->wanted != link->of || pair->link[1] ||
	    (pair->nodeid == 0) != passed) {
		return "it takes what it was not given";
	}
	*out = pair;
	return NULL;
}

/** ACCEPT */
const char *sockets_pairs_accept(struct sockets_link *link,
				 const struct sockets_accept *accept)
{
	struct sockets_pair *pair;
	const char *why = come(link, accept->token, false, &pair);

	if (pair && accept->error == 0 && (pair->link[0] || pair->own)) {
		join(pair, link);
	} else if (pair) {
		if (accept->error == LINUX_ECONNREFUSED) {
			sockets_names_gone(link->of, pair->nodeid);
		}
		sockets_pairs_end(pair);
		sockets_let_go(link);
	}
	return why;
}

/** PASS */
const char *sockets_pairs_pass(struct sockets_link *link)
{
	const char *why = begin(link);
	struct {
		struct sockets_head head;
		struct sockets_token body;
	} answer = {
		.head = { SOCKETS_TOKEN, sizeof(answer.body) },
	};

	if (!why) {
		answer.body.token = link->pair->token;
		/* A new connection's queue takes as much, whatever its credit. */
		(void)vsock_send(link->conn, &answer, sizeof(answer));
	}
	return why;
}

/** TAKE */
const char *sockets_pairs_take(struct sockets_link *link,
			       const struct sockets_token *take)
{
	struct sockets_pair *pair;
	const char *why = come(link, take->token, true, &pair);

	if (pair) {
		join(pair, link);
	}
	return why;
}

/**
 * One connection is over, so the other one is. What a Linux was asked to do for it
 * counts until it has answered, or its time is up: who asks and goes, and again, would
 * have it begin any number of processes.
 */
void sockets_pairs_closed(struct sockets_link *link)
{
	struct sockets_pair *pair = link->pair;

	if (pair && pair->link[0] == link && !pair->link[1] &&
	    pair->nodeid != 0) {
		pair->link[0] = NULL;
		link->pair = NULL;
	} else if (pair) {
		sockets_pairs_end(pair);
	}
}

/** All that a Linux has begun, or was to come to, is over. */
void sockets_pairs_drop(const struct sockets_linux *ln)
{
	struct sockets_pair *p, *next;

	for (p = pairs; p; p = next) {
		next = p->next;
		if (p->begun_by == ln || p->wanted == ln) {
			sockets_pairs_end(p);
		}
	}
}
