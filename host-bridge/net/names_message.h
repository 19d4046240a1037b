/* SPDX-License-Identifier: MIT */
/*
 * Messages of DNS [RFC 1035], as far as a relay has to know them: the header and the
 * question. And the answers that are made here. No lwIP, no state: what comes is
 * bytes, whoever sent them.
 */
#ifndef ISTHMUS_NAMES_MESSAGE_H
#define ISTHMUS_NAMES_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAMES_HEADER	12u
#define NAMES_NAME	255u		/* of a name, as it is in a message */
/* Of an answer made here: the question, and at most two records of those below. */
#define NAMES_MADE	512u

/* The last four bits of a header's flags [RFC 1035 "Header section format"]. */
enum names_code { NAMES_OK = 0, NAMES_FORMERR = 1, NAMES_SERVFAIL = 2,
		  NAMES_NXDOMAIN = 3 };

/* What a message asks. A name's letters are small here. */
struct names_question {
	uint8_t name[NAMES_NAME];
	size_t name_len;
	uint16_t type, class;
	unsigned count;			/* of questions: 0 or 1 */
	size_t end;			/* where the message goes on after it */
	unsigned opcode;
	bool edns;			/* [RFC 6891] */
};

/* Who is at the two ends of a link, and how Linux is called besides "linux". */
struct names_ends {
	uint8_t host4[4], host6[16], linux4[4], linux6[16];
	const char *title;
};

/* Whether it is at least a header, of a query or of an answer. */
bool names_is(const uint8_t *message, size_t len, bool answer);
/* What it asks; false: it is malformed, or asks more than one thing [RFC 9619]. */
bool names_parse(const uint8_t *message, size_t len, struct names_question *q);
/* Whether an answer is one to a query that asks *q and has that id. */
bool names_answers(const uint8_t *answer, size_t len, uint16_t id,
		   const struct names_question *q);
/* An answer that says only how it went. q is NULL if the query is malformed. Returns
 * its length, at most NAMES_MADE. */
size_t names_refuse(const uint8_t *query, const struct names_question *q,
		    enum names_code code, uint8_t *out);
/* The answer to what is asked of this machine itself, or 0: others know. */
size_t names_own(const uint8_t *query, const struct names_question *q,
		 const struct names_ends *ends, uint8_t *out);
/* The address of one of the two, by its name as text; false: it is not theirs.
 * address: 4 bytes, of IPv6 16. */
bool names_of_ends(const char *name, bool six, const struct names_ends *ends,
		   uint8_t *address);

#endif
