/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's checker, from the console: docs/isolation.md. It stands the
 * machine still while it looks; what partitions have is asked for afterwards, piece
 * by piece, and may have changed by then.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "host-bridge/loop/loop.h"
#include "host-bridge/rt/hc.h"
#include "host-bridge/rt/hv_log.h"
#include "host-bridge/ui/commands.h"
#include "host-bridge/ui/documents.h"

#define LINE		200u
#define PIECES_MAX	4096u	/* of all partitions' memory that are told */

/* Begins the line that the checker has left in the log. */
#define SAYS		"isthmus: ISOLATION: "

/* The last line of the log that begins so, without that; "": there is none. */
static void last_words(char to[LINE])
{
	char line[LINE], buf[480];
	uint64_t at = 0;
	size_t len = 0, n;

	to[0] = '\0';
	while ((n = hv_log_read(NULL, &at, buf, sizeof(buf))) > 0) {
		for (size_t i = 0; i < n; i++) {
			if (buf[i] != '\n') {
				line[len] = buf[i];
				len += len < LINE - 1;
				continue;
			}
			line[len] = '\0';
			len = 0;
			if (strncmp(line, SAYS, strlen(SAYS)) == 0) {
				strcpy(to, line + strlen(SAYS));
			}
		}
	}
}

static void put_piece(struct json *j, const struct hc_regs *r)
{
	char rights[4] = "---";

	for (unsigned i = 0; i < 3; i++) {
		rights[i] = r->r10 >> i & 1 ? "rwx"[i] : '-';
	}
	json_begin(j, NULL, '{');
	json_number(j, "at", r->rdi);
	json_number(j, "size", r->rsi);
	json_number(j, "physical", r->rdx);
	json_text(j, "rights", rights);
	json_end(j, '}');
}

/* What each partition can reach. True: there is more than is told. */
static bool put_maps(struct json *j)
{
	unsigned left = PIECES_MAX;
	struct hc_regs name, r;

	json_begin(j, "partitions", '[');
	for (uint64_t id = 0;
	     hc_query(HC_QUERY_NAME, id, 0, &name) == HC_OK; id++) {
		json_begin(j, NULL, '{');
		json_number(j, "id", id);
		json_text(j, "name", commands_name(name.rdi, name.rsi));
		json_begin(j, "memory", '[');
		for (uint64_t at = 0; left > 0 && hc_query(HC_QUERY_MAP, id, at,
		     &r) == HC_OK; left--, at = r.rdi + r.rsi) {
			put_piece(j, &r);
		}
		json_end(j, ']');
		json_end(j, '}');
	}
	json_end(j, ']');
	return left == 0;
}

static void put_document(const struct hc_regs *r, uint64_t ticks)
{
	char text[LINE];
	struct json j;

	documents_begin(&j);
	json_truth(&j, "holds", r->rdi == 0);
	last_words(text);
	json_text(&j, "violation", r->rdi ? text : "");
	snprintf(text, sizeof(text), "%016" PRIx64, r->r10);
	json_text(&j, "manifest", text);
	json_number(&j, "memory", r->r8 * 4096);
	json_number(&j, "ticks", ticks);
	json_truth(&j, "more", put_maps(&j));
	documents_end(&j);
}

static void run_isolation(const struct command_env *env, int argc, char **argv,
			  const char *rest)
{
	char text[LINE];
	struct hc_regs r;
	uint64_t from;

	(void)env;
	(void)rest;
	if (argc > 1 && strcmp(argv[1], "--json") != 0) {
		printf("\"%s\" is not --json\n", argv[1]);
		commands_fail();
		return;
	}
	from = loop_now();
	if (hc_query(HC_QUERY_ISOLATION, 0, 0, &r) != HC_OK) {
		printf("the hypervisor has no checker\n");
		commands_fail();
		return;
	}
	if (argc > 1) {
		put_document(&r, loop_now() - from);
	} else if (r.rdi == 0) {
		printf("isolation holds: %" PRIu64 " MiB looked at in %" PRIu64
		       " ticks; manifest %016" PRIx64 "\n", r.r8 / 256,
		       loop_now() - from, r.r10);
	} else {
		last_words(text);
		printf("ISOLATION IS BROKEN: %s\n", text);
	}
	if (r.rdi != 0) {
		commands_fail();
	}
}

const struct command commands_isolation[] = {
	{ "isolation", "[--json]", "whether partitions are apart, by the live tables",
	  "  The hypervisor's checker walks what the processors and the IOMMUs use.\n"
	  "  --json   for programs: all of it in one line, with what each can reach\n",
	  0, 1, run_isolation, NULL },
	{ 0 }
};
