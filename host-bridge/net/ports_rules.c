// SPDX-License-Identifier: MIT
/* What the manifest says of ports that lead to a Linux: ports.h, docs/manifest.md. */
#include <stdlib.h>
#include <string.h>

#include "host-bridge/net/ports.h"

#define TCP	6u
#define UDP	17u

/* A port, up to what is no digit; 0: none. */
static uint16_t port(const char **at)
{
	char *end;
	unsigned long value = **at >= '0' && **at <= '9' ?
			      strtoul(*at, &end, 10) : 0;

	if (value == 0 || value > UINT16_MAX) {
		return 0;
	}
	*at = end;
	return (uint16_t)value;
}

/* "tcp" or "udp", and what is behind a colon. */
static bool protocol(const char **at, struct ports_rule *rule)
{
	rule->proto = strncmp(*at, "tcp", 3) == 0 ? TCP :
		      strncmp(*at, "udp", 3) == 0 ? UDP : 0;
	*at += 3;
	return rule->proto != 0;
}

static bool ends(const char *at)
{
	return *at == '\0' || *at == ' ';
}

/* tcp:OUTSIDE[:INSIDE] */
static bool read_fixed(const char *at, struct ports_rule *rule)
{
	if (!protocol(&at, rule) || *at++ != ':') {
		return false;
	}
	rule->first = rule->last = rule->inside = port(&at);
	if (rule->first != 0 && *at == ':') {
		at++;
		rule->inside = port(&at);
	}
	return rule->inside != 0 && ends(at);
}

/* all, tcp, tcp:PORT, tcp:FIRST-LAST */
static bool read_denied(const char *at, struct ports_rule *rule)
{
	*rule = (struct ports_rule){ .first = 1, .last = UINT16_MAX };
	if (strncmp(at, "all", 3) == 0 && ends(at + 3)) {
		return true;
	}
	if (!protocol(&at, rule)) {
		return false;
	}
	if (*at == ':') {
		at++;
		rule->first = rule->last = port(&at);
		if (rule->first != 0 && *at == '-') {
			at++;
			rule->last = port(&at);
		}
	}
	return rule->first != 0 && rule->first <= rule->last && ends(at);
}

/* The first word that is none, or is one too many. */
static const char *read_words(const char *words,
			      bool (*read)(const char *, struct ports_rule *),
			      struct ports_rule *rule, unsigned *count)
{
	*count = 0;
	while (words && *(words += strspn(words, " "))) {
		if (*count == PORTS_RULES || !read(words, &rule[*count])) {
			return words;
		}
		(*count)++;
		words += strcspn(words, " ");
	}
	return NULL;
}

/** See ports.h. What cannot be read may have meant any port. */
bool ports_rules_read(struct ports_rules *rules, const char *publish,
		      const char *hide, const char *wrong[2])
{
	wrong[0] = read_words(publish, read_fixed, rules->fixed,
			      &rules->fixed_count);
	wrong[1] = read_words(hide, read_denied, rules->denied,
			      &rules->denied_count);
	if (wrong[1]) {
		(void)read_denied("all", &rules->denied[0]);
		rules->denied_count = 1;
	}
	return !wrong[0] && !wrong[1];
}

/** The rule by which a port is not forwarded by itself, or NULL. */
const struct ports_rule *ports_rules_denied(const struct ports_rules *rules,
					    uint8_t proto, uint16_t number)
{
	for (unsigned i = 0; i < rules->denied_count; i++) {
		const struct ports_rule *rule = &rules->denied[i];

		if ((rule->proto == 0 || rule->proto == proto) &&
		    rule->first <= number && number <= rule->last) {
			return rule;
		}
	}
	return NULL;
}
