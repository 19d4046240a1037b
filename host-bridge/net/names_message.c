// SPDX-License-Identifier: MIT
/*
 * See names_message.h. A question is the first name in a message, so nothing before
 * it can be pointed to: a pointer in it is an error, and none is ever followed
 * [RFC 1035 "Message compression"]. The records after it are not read but for the
 * one of EDNS, where a query has no other.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "host-bridge/net/names_message.h"
#include "host-bridge/net/packet.h"

#define LABEL		63u
#define QR		0x8000u
#define AA		0x0400u
#define RD		0x0100u
#define RA		0x0080u
#define CD		0x0010u		/* [RFC 4035 "The CD Bit"] */
#define OPCODE(flags)	((flags) >> 11 & 15u)
#define CODE(flags)	((flags) & 15u)
#define POINTER		0xc000u
#define ANSWERS		6u		/* where the header counts them */
#define AUTHORITIES	8u
#define CLASS_IN	1u
#define EDNS_SIZE	1232u
#define TTL		60u		/* of names here, in seconds */
#define ZONE		"isthmus.internal"

enum type { A = 1, SOA = 6, PTR = 12, AAAA = 28, OPT = 41, ANY = 255 };

/* A name as messages have it, of one with dots. Returns its length. */
static size_t put_name(uint8_t *out, const char *text)
{
	size_t len = 0;

	while (*text) {
		size_t n = strcspn(text, ".");

		n = n < LABEL ? n : LABEL;
		out[len++] = (uint8_t)n;
		for (size_t i = 0; i < n; i++) {
			out[len++] = (uint8_t)tolower((unsigned char)text[i]);
		}
		text += n;
		text += *text == '.';
	}
	out[len++] = 0;
	return len;
}

/** See names_message.h. */
bool names_is(const uint8_t *message, size_t len, bool answer)
{
	return len >= NAMES_HEADER &&
	       ((net_get16(message + 2) & QR) != 0) == answer;
}

/* The name at q->end. */
static bool read_name(const uint8_t *message, size_t len,
		      struct names_question *q)
{
	size_t at = q->end, label;

	q->name_len = 0;
	do {
		if (at >= len || message[at] > LABEL) {
			return false;
		}
		label = message[at] + 1u;
		if (label > len - at || label > NAMES_NAME - q->name_len) {
			return false;
		}
		/* The label's length is no letter. */
		for (size_t i = 0; i < label; i++) {
			q->name[q->name_len++] =
				(uint8_t)tolower(message[at + i]);
		}
		at += label;
	} while (label > 1);
	q->end = at;
	return true;
}

/** See names_message.h. */
bool names_parse(const uint8_t *message, size_t len, struct names_question *q)
{
	q->count = net_get16(message + 4);
	q->opcode = OPCODE(net_get16(message + 2));
	q->end = NAMES_HEADER;
	q->edns = false;
	if (q->count > 1) {
		return false;
	}
	if (q->count == 1) {
		if (!read_name(message, len, q) || len - q->end < 4) {
			return false;
		}
		q->type = net_get16(message + q->end);
		q->class = net_get16(message + q->end + 2);
		q->end += 4;
	}
	/* No answers, no authorities, one more: of the root, OPT. */
	q->edns = net_get32(message + 6) == 0 && net_get16(message + 10) == 1 &&
		  len - q->end >= 11 && message[q->end] == 0 &&
		  net_get16(message + q->end + 1) == OPT;
	return true;
}

/** See names_message.h. Some servers do not repeat the question of what they do not
 * understand: that it was malformed, who guesses may say too. */
bool names_answers(const uint8_t *answer, size_t len, uint16_t id,
		   const struct names_question *q)
{
	struct names_question a;

	if (!names_is(answer, len, true) || net_get16(answer) != id ||
	    !names_parse(answer, len, &a) || a.opcode != q->opcode) {
		return false;
	}
	if (a.count == 0) {
		return q->count == 0 ||
		       CODE(net_get16(answer + 2)) == NAMES_FORMERR;
	}
	return q->count == 1 && a.type == q->type && a.class == q->class &&
	       a.name_len == q->name_len &&
	       memcmp(a.name, q->name, a.name_len) == 0;
}

/* Header and question; returns where it goes on. */
static size_t begin(const uint8_t *query, const struct names_question *q,
		    unsigned flags, uint8_t *out)
{
	size_t len = q ? q->end : NAMES_HEADER;
	uint16_t asked = net_get16(query + 2);

	memset(out, 0, NAMES_HEADER);
	net_put16(out, net_get16(query));
	net_put16(out + 2, (uint16_t)(QR | RA | flags |
		  (asked & (RD | CD | 15u << 11))));
	net_put16(out + 4, q ? (uint16_t)q->count : 0);
	memcpy(out + NAMES_HEADER, query + NAMES_HEADER, len - NAMES_HEADER);
	return len;
}

/* Who speaks EDNS is answered in it, or would think that nobody here does. */
static size_t end(const struct names_question *q, uint8_t *out, size_t len)
{
	if (q && q->edns) {
		memset(out + len, 0, 11);
		net_put16(out + len + 1, OPT);
		net_put16(out + len + 3, EDNS_SIZE);
		net_put16(out + 10, 1);
		len += 11;
	}
	return len;
}

/** See names_message.h. */
size_t names_refuse(const uint8_t *query, const struct names_question *q,
		    enum names_code code, uint8_t *out)
{
	return end(q, out, begin(query, q, code, out));
}

/* A record of the name that stands there in the question; section: of its count. */
static size_t put_record(uint8_t *out, size_t len, size_t owner, size_t section,
			 enum type type, const void *data, size_t size)
{
	net_put16(out + len, (uint16_t)(POINTER | owner));
	net_put16(out + len + 2, type);
	net_put16(out + len + 4, CLASS_IN);
	net_put16(out + len + 6, 0);
	net_put16(out + len + 8, TTL);
	net_put16(out + len + 10, (uint16_t)size);
	memcpy(out + len + 12, data, size);
	net_put16(out + section, (uint16_t)(net_get16(out + section) + 1));
	return len + 12 + size;
}

/* The zone's SOA: an answer, or how long it is known that there is none [RFC 2308
 * "Negative Answers from Authoritative Servers"]. */
static size_t put_soa(uint8_t *out, size_t len, size_t zone, size_t section)
{
	static const uint8_t times[20] = {
		[3] = 1, [6] = 0x0e, [7] = 0x10, [10] = 0x0e, [11] = 0x10,
		[14] = 0x0e, [15] = 0x10, [19] = TTL,
	};
	uint8_t data[64];
	size_t size = put_name(data, "host." ZONE);

	data[size++] = 0;		/* nobody's mailbox */
	memcpy(data + size, times, sizeof(times));
	return put_record(out, len, zone, section, SOA, data,
			  size + sizeof(times));
}

/* Whether the name's last labels are these, which begin at *at then. */
static bool ends_in(const struct names_question *q, const char *text, size_t *at)
{
	uint8_t name[NAMES_NAME];
	size_t len = put_name(name, text);

	for (*at = 0; *at < q->name_len; *at += q->name[*at] + 1u) {
		if (q->name_len - *at == len) {
			return memcmp(q->name + *at, name, len) == 0;
		}
	}
	return false;
}

/* The name that an address has [RFC 1035 "IN-ADDR.ARPA domain", RFC 3596 "IP6.ARPA
 * Domain"]; size: 4 or 16. */
static bool is_reverse(const struct names_question *q, const uint8_t *address,
		       size_t size)
{
	char text[80];
	size_t len = 0, at;

	for (size_t i = size; i-- > 0;) {
		len += (size_t)(size == 4 ?
			snprintf(text + len, sizeof(text) - len, "%u.",
				 address[i]) :
			snprintf(text + len, sizeof(text) - len, "%x.%x.",
				 address[i] & 15u, address[i] >> 4u));
	}
	snprintf(text + len, sizeof(text) - len, "%s.arpa",
		 size == 4 ? "in-addr" : "ip6");
	return ends_in(q, text, &at) && at == 0;
}

static bool is_label(const struct names_question *q, const char *label)
{
	size_t len = strlen(label);

	return q->name[0] == len &&
	       strncasecmp((const char *)q->name + 1, label, len) == 0;
}

/* Who has the name. */
enum who { OTHERS, NOBODY, APEX, HOST, LINUX, HOSTS_ADDRESS, LINUXES_ADDRESS };

static enum who find(const struct names_question *q,
		     const struct names_ends *ends, size_t *zone)
{
	if (ends_in(q, ZONE, zone)) {
		return *zone == 0 ? APEX : *zone != q->name[0] + 1u ? NOBODY :
		       is_label(q, "host") ? HOST :
		       is_label(q, "linux") || is_label(q, ends->title) ?
		       LINUX : NOBODY;
	}
	*zone = 0;
	return is_reverse(q, ends->host4, 4) || is_reverse(q, ends->host6, 16) ?
	       HOSTS_ADDRESS :
	       is_reverse(q, ends->linux4, 4) || is_reverse(q, ends->linux6, 16) ?
	       LINUXES_ADDRESS : OTHERS;
}

/** See names_message.h. */
bool names_of_ends(const char *name, bool six, const struct names_ends *ends,
		   uint8_t *address)
{
	struct names_question q = { 0 };
	const uint8_t *end;
	enum who who;
	size_t zone;

	if (strlen(name) + 2 > sizeof(q.name)) {
		return false;
	}
	q.name_len = put_name(q.name, name);
	who = find(&q, ends, &zone);
	if (who != HOST && who != LINUX) {
		return false;
	}
	end = who == HOST ? (six ? ends->host6 : ends->host4) :
	      six ? ends->linux6 : ends->linux4;
	memcpy(address, end, six ? 16 : 4);
	return true;
}

static bool wants(const struct names_question *q, enum type type)
{
	return q->type == type || q->type == ANY;
}

/** See names_message.h. */
size_t names_own(const uint8_t *query, const struct names_question *q,
		 const struct names_ends *ends, uint8_t *out)
{
	uint8_t name[64];
	size_t zone, len, empty;
	enum who who;

	if (q->opcode != 0 || q->count != 1 || q->class != CLASS_IN) {
		return 0;
	}
	who = find(q, ends, &zone);
	if (who == OTHERS) {
		return 0;
	}
	zone += NAMES_HEADER;
	len = empty = begin(query, q, AA | (who == NOBODY ? NAMES_NXDOMAIN : 0),
			    out);
	if ((who == HOST || who == LINUX) && wants(q, A)) {
		len = put_record(out, len, NAMES_HEADER, ANSWERS, A,
				 who == HOST ? ends->host4 : ends->linux4, 4);
	}
	if ((who == HOST || who == LINUX) && wants(q, AAAA)) {
		len = put_record(out, len, NAMES_HEADER, ANSWERS, AAAA,
				 who == HOST ? ends->host6 : ends->linux6, 16);
	}
	if (who >= HOSTS_ADDRESS && wants(q, PTR)) {
		size_t size = put_name(name, who == HOSTS_ADDRESS ?
				       "host." ZONE : "linux." ZONE);

		len = put_record(out, len, NAMES_HEADER, ANSWERS, PTR, name,
				 size);
	}
	if (who == APEX && wants(q, SOA)) {
		len = put_soa(out, len, zone, ANSWERS);
	}
	if (len == empty) {
		len = put_soa(out, len, zone, AUTHORITIES);
	}
	return end(q, out, len);
}
