// SPDX-License-Identifier: MIT
/*
 * Ports that lead to a Linux: ports.h. A report is taken when it is whole: what is
 * in it no more is closed first, then what is new is opened. Both lists are in
 * order, so one walk finds the difference.
 *
 * One connection at a time: who reports too often waits, by its own credit, for its
 * turn as others do.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/net/nat.h"
#include "host-bridge/net/ports.h"
#include "host-bridge/vsock/vsock.h"

#define TCP		6u
#define UDP		17u
#define FAMILIES	(PORTS_IPV4 | PORTS_IPV6)
#define HEAD		sizeof(struct ports_head)

/* As Linux numbers them. */
#define LINUX_EACCES	13u
#define LINUX_ENOSPC	28u
#define LINUX_EADDRINUSE 98u

struct entry {
	struct ports_listener is;	/* port: the outside's */
	uint16_t inside;
	uint8_t open;			/* families that the NAT has */
	uint32_t error;			/* why it has not all; as Linux numbers it */
	char text[PORTS_TEXT];
};

struct table {
	unsigned count;
	struct entry entry[PORTS_MAX];
};

struct ports_conn {
	struct vsock_conn *vsock;
	bool done;			/* the report is here; the answer follows */
	size_t at;
	struct {
		struct ports_head head;
		struct ports_listener listener[PORTS_MAX];
	} in;
	size_t out_at, out_len;
	struct {
		struct ports_head head;
		struct ports_refusal refusal[PORTS_MAX];
	} out;
};

struct ports {
	struct ports *next;
	struct nat *nat;
	unsigned which;
	const char *name;
	const struct ports_rules *rules;
	bool up;
	struct table fixed, told, new;	/* new: while a report is dealt with */
	struct ports_conn *conn;	/* NULL: none */
};

static struct ports *all;

/* ---- One port ---- */

static unsigned order(const struct ports_listener *l)
{
	return (unsigned)l->proto << 16 | l->port;
}

static bool has(const struct table *t, const struct ports_listener *l)
{
	for (unsigned i = 0; i < t->count; i++) {
		if (order(&t->entry[i].is) == order(l) && t->entry[i].open != 0) {
			return true;
		}
	}
	return false;
}

/* Who has that port, of those who are known here. */
static void say_taken(const struct ports *p, struct entry *e)
{
	e->error = LINUX_EADDRINUSE;
	for (const struct ports *o = all; o; o = o->next) {
		if (has(&o->fixed, &e->is) && o == p) {
			snprintf(e->text, sizeof(e->text),
				 "the manifest has the port for another one");
			return;
		}
		if (o != p && (has(&o->told, &e->is) || has(&o->fixed, &e->is))) {
			snprintf(e->text, sizeof(e->text), "%.40s has the port",
				 o->name);
			return;
		}
	}
	snprintf(e->text, sizeof(e->text), "the host partition has the port");
}

/* Opens what of it is not open yet, if it may be; else says why. */
static void open_entry(struct ports *p, struct entry *e, bool fixed)
{
	e->error = 0;
	e->text[0] = '\0';
	if (!fixed && ports_rules_denied(p->rules, e->is.proto, e->is.port)) {
		e->error = LINUX_EACCES;
		snprintf(e->text, sizeof(e->text), "the manifest hides the port");
		return;
	}
	for (unsigned six = 0; six < 2; six++) {
		uint8_t family = six ? PORTS_IPV6 : PORTS_IPV4;
		int error = 0;

		if ((e->is.families & family & ~e->open) == 0) {
			continue;
		}
		error = nat_forward(p->nat, p->which, six == 1, e->is.proto,
				    e->is.port, e->inside);
		if (error == 0) {
			e->open |= family;
		} else if (error == EADDRINUSE) {
			say_taken(p, e);
		} else {
			e->error = LINUX_ENOSPC;
			snprintf(e->text, sizeof(e->text),
				 "there are too many ports");
		}
	}
}

/* Not for these families any more. */
static void close_entry(struct ports *p, struct entry *e, uint8_t families)
{
	for (unsigned six = 0; six < 2; six++) {
		uint8_t family = six ? PORTS_IPV6 : PORTS_IPV4;

		if ((e->open & families & family) != 0) {
			nat_unforward(p->nat, six == 1, e->is.proto, e->is.port);
			e->open &= (uint8_t)~family;
		}
	}
}

/* What the manifest forwards there anyway, for it is the same. */
static bool is_fixed(const struct ports *p, const struct ports_listener *l)
{
	for (unsigned i = 0; i < p->fixed.count; i++) {
		const struct entry *e = &p->fixed.entry[i];

		if (order(&e->is) == order(l) && e->inside == l->port) {
			return true;
		}
	}
	return false;
}

/* ---- A report ---- */

/* Whether it can be one: ports, in order. */
static bool valid(const struct ports_conn *conn)
{
	unsigned last = 0;

	for (unsigned i = 0; i < conn->in.head.count; i++) {
		const struct ports_listener *l = &conn->in.listener[i];

		if ((l->proto != TCP && l->proto != UDP) || l->port == 0 ||
		    l->families == 0 || (l->families & ~FAMILIES) != 0 ||
		    order(l) <= last) {
			return false;
		}
		last = order(l);
	}
	return true;
}

/* Closes what is reported no more, and makes the new table: what stays is as it
 * was. */
static void take_over(struct ports *p, const struct ports_listener *listener,
		      unsigned count)
{
	struct entry *old = p->told.entry, *end = old + p->told.count;

	p->new.count = 0;
	for (unsigned i = 0; i < count; i++) {
		struct entry *e = &p->new.entry[p->new.count];

		for (; old < end && order(&old->is) < order(&listener[i]);
		     old++) {
			close_entry(p, old, FAMILIES);
		}
		if (is_fixed(p, &listener[i])) {
			continue;
		}
		*e = (struct entry){ .inside = listener[i].port };
		if (old < end && order(&old->is) == order(&listener[i])) {
			close_entry(p, old, (uint8_t)~listener[i].families);
			*e = *old++;
		}
		e->is = listener[i];
		if (e->open == e->is.families) {
			e->error = 0;
			e->text[0] = '\0';
		}
		p->new.count++;
	}
	for (; old < end; old++) {
		close_entry(p, old, FAMILIES);
	}
	p->told = p->new;
}

/* Opens what there is; what cannot be says why. */
static void open_all(struct ports *p, struct table *table, bool fixed)
{
	for (unsigned i = 0; p->up && i < table->count; i++) {
		struct entry *e = &table->entry[i];

		if (e->open != e->is.families) {
			open_entry(p, e, fixed);
		}
	}
}

static void flush(struct ports_conn *conn)
{
	conn->out_at += vsock_send(conn->vsock,
				   (const uint8_t *)&conn->out + conn->out_at,
				   conn->out_len - conn->out_at);
}

static void answer(struct ports *p, struct ports_conn *conn)
{
	for (unsigned i = 0; i < p->told.count; i++) {
		const struct entry *e = &p->told.entry[i];

		if (e->error != 0) {
			struct ports_refusal *r =
				&conn->out.refusal[conn->out.head.count++];

			r->listener = e->is;
			r->listener.families &= (uint8_t)~e->open;
			r->error = e->error;
			memcpy(r->text, e->text, sizeof(r->text));
		}
	}
	conn->out_len = HEAD + conn->out.head.count * sizeof(*conn->out.refusal);
	flush(conn);
}

/* ---- The connection ---- */

static void on_data(struct vsock_conn *vsock, const void *data, size_t len)
{
	struct ports *p = vsock_arg(vsock);
	struct ports_conn *conn = p->conn;
	size_t all_of_it, n = sizeof(conn->in) - conn->at;
	uint32_t count;

	n = n < len ? n : len;
	memcpy((uint8_t *)&conn->in + conn->at, data, n);
	conn->at += n;
	if (conn->at < HEAD) {
		return;
	}
	count = conn->in.head.count;
	all_of_it = HEAD + (size_t)count * sizeof(*conn->in.listener);
	if (conn->done || n < len || count > PORTS_MAX || conn->at > all_of_it ||
	    (conn->at == all_of_it && !valid(conn))) {
		vsock_reset(vsock);
	} else if (conn->at == all_of_it) {
		conn->done = true;
		take_over(p, conn->in.listener, count);
		open_all(p, &p->told, false);
		answer(p, conn);
	}
}

static void on_writable(struct vsock_conn *vsock)
{
	struct ports *p = vsock_arg(vsock);

	flush(p->conn);
}

/* Only the agent, and root, can have a reserved port there. */
static void on_open(struct vsock_conn *vsock)
{
	struct ports *p = vsock_arg(vsock);
	struct ports_conn *conn = NULL;

	/* on_close comes for a refused one too, and must find nothing. */
	vsock_set_arg(vsock, NULL);
	if (!p->conn && vsock_peer_port(vsock) < VSOCK_PORT_RIGHT) {
		conn = calloc(1, sizeof(*conn));
	}
	if (!conn) {
		vsock_reset(vsock);
		return;
	}
	conn->vsock = vsock;
	p->conn = conn;
	vsock_set_arg(vsock, p);
}

static void on_shutdown(struct vsock_conn *vsock, unsigned flags)
{
	if ((flags & VSOCK_SHUT_SEND) != 0) {
		vsock_shutdown(vsock, VSOCK_SHUT_SEND | VSOCK_SHUT_RCV);
	}
}

static void on_close(struct vsock_conn *vsock, int error)
{
	struct ports *p = vsock_arg(vsock);

	(void)error;
	if (p) {
		free(p->conn);
		p->conn = NULL;
	}
}

static const struct vsock_ops ports_ops = {
	.on_open = on_open,
	.on_data = on_data,
	.on_writable = on_writable,
	.on_shutdown = on_shutdown,
	.on_close = on_close,
	.reads_once = true,	/* copied by on_data() */
};

/* ---- The calls ---- */

/** See ports.h. */
int ports_new(struct vsock *vs, struct nat *nat, unsigned which,
	      const char *name, const struct ports_rules *rules,
	      struct ports **out)
{
	struct ports *p = calloc(1, sizeof(*p));
	int error;

	if (!p) {
		return ENOMEM;
	}
	*p = (struct ports){ .next = all, .nat = nat, .which = which,
			     .name = name, .rules = rules };
	for (unsigned i = 0; i < rules->fixed_count; i++) {
		const struct ports_rule *rule = &rules->fixed[i];

		p->fixed.entry[p->fixed.count++] = (struct entry){
			.is = { rule->first, rule->proto, FAMILIES },
			.inside = rule->inside,
		};
	}
	error = vsock_listen(vs, PORTS_PORT, &ports_ops, p);
	if (error != 0) {
		free(p);
		return error;
	}
	all = *out = p;
	return 0;
}

/** See ports.h. What it has reported already is opened too. */
void ports_linux_up(struct ports *p)
{
	p->up = true;
	open_all(p, &p->fixed, true);
	open_all(p, &p->told, false);
}

/** See ports.h. The NAT has closed all; what it has reported is forgotten. */
void ports_linux_down(struct ports *p)
{
	p->up = false;
	p->told.count = 0;
	for (unsigned i = 0; i < p->fixed.count; i++) {
		p->fixed.entry[i].open = 0;
	}
}

/** See ports.h. Who had a port may have left it. */
void ports_tick(void)
{
	for (struct ports *p = all; p; p = p->next) {
		open_all(p, &p->fixed, true);
		open_all(p, &p->told, false);
	}
}

static void each(const struct ports *p, const struct table *t, bool fixed,
		 void (*line)(void *arg, const struct ports_line *line),
		 void *arg)
{
	for (unsigned i = 0; i < t->count; i++) {
		const struct entry *e = &t->entry[i];

		line(arg, &(struct ports_line){
			.name = p->name, .proto = e->is.proto,
			.outside = e->is.port, .inside = e->inside,
			.fixed = fixed, .families = e->open,
			.refused = p->up ? e->text : "it is not there",
		});
	}
}

/** For the console: the manifest's first, then by number. */
void ports_each(void (*line)(void *arg, const struct ports_line *line),
		void *arg)
{
	for (const struct ports *p = all; p; p = p->next) {
		each(p, &p->fixed, true, line, arg);
		each(p, &p->told, false, line, arg);
	}
}
