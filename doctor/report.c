/* SPDX-License-Identifier: MIT */
/*
 * All checks, and the report as JSON. Numbers of 64 bits are text ("0x.."): many
 * readers keep 53. Pure.
 */
#include <string.h>

#include "text/fmt.h"
#include "report.h"

const char *const report_verdict[VERDICTS] = {
	[VERDICT_OK] = "ok", [VERDICT_WARNING] = "warning", [VERDICT_FAILURE] = "failure",
	[VERDICT_ABSENT] = "not there",
};

/** Does all checks, in the order of their tables. */
void report_make(const struct facts *f, struct report *r)
{
	memset(r, 0, sizeof(*r));
	for (size_t l = 0; l < check_list_count; l++) {
		for (size_t i = 0; i < check_lists[l]->count && r->count < REPORT_FINDINGS; i++) {
			struct finding *found = &r->finding[r->count];

			r->check[r->count++] = &check_lists[l]->check[i];
			check_run(&check_lists[l]->check[i], f, found);
			r->verdicts[found->verdict]++;
		}
	}
}

struct sink {
	char *out;
	size_t used, size;		/* used may be more: then it is too small */
};

static void put(struct sink *s, char c)
{
	if (s->used < s->size) {
		s->out[s->used] = c;
	}
	s->used++;
}

static void raw(struct sink *s, const char *text)
{
	for (; *text != '\0'; text++) {
		put(s, *text);
	}
}

/* All but printable ASCII was replaced when the text was made. */
static void quoted(struct sink *s, const char *text)
{
	put(s, '"');
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\') {
			put(s, '\\');
		}
		put(s, *text >= ' ' && *text <= '~' ? *text : '?');
	}
	put(s, '"');
}

static void text_member(struct sink *s, const char *name, const char *value, const char *end)
{
	quoted(s, name);
	raw(s, ": ");
	quoted(s, value);
	raw(s, end);
}

static void hex(struct sink *s, const char *name, uint64_t value, const char *end)
{
	char text[24];

	fmt(text, sizeof(text), "0x%lx", value);
	text_member(s, name, text, end);
}

static void number(struct sink *s, const char *name, uint64_t value, const char *end)
{
	char text[24];

	fmt(text, sizeof(text), "%lu", value);
	quoted(s, name);
	raw(s, ": ");
	raw(s, text);
	raw(s, end);
}

static void checks(struct sink *s, const struct report *r)
{
	raw(s, "  \"checks\": [\n");
	for (uint32_t i = 0; i < r->count; i++) {
		const struct check *c = r->check[i];
		enum verdict v = r->finding[i].verdict;
		bool bad = v == VERDICT_WARNING || v == VERDICT_FAILURE;

		raw(s, "    {");
		text_member(s, "id", c->id, ", ");
		text_member(s, "verdict", report_verdict[v], ", ");
		text_member(s, "what", c->what, ",\n     ");
		text_member(s, "found", r->finding[i].text.found, ",\n     ");
		text_member(s, "advice", bad ? c->advice : "", ",\n     ");
		text_member(s, "manual", c->manual, i + 1 < r->count ? "},\n" : "}\n");
	}
	raw(s, "  ],\n");
}

#define FIELD(name)	{ #name, offsetof(struct cpu_facts, name) },
static const struct {
	const char *name;
	size_t at;
} fields[] = { FACTS_CPU(FIELD) };
#define FIELDS	(sizeof(fields) / sizeof(fields[0]))

static void cpus(struct sink *s, const struct facts *f)
{
	raw(s, "  \"cpus\": [\n");
	for (uint32_t i = 0; i < f->cpu_count; i++) {
		raw(s, "    {");
		for (size_t k = 0; k < FIELDS; k++) {
			uint64_t v;

			memcpy(&v, (const uint8_t *)&f->cpu[i] + fields[k].at, sizeof(v));
			hex(s, fields[k].name, v, k + 1 == FIELDS ? "" : k % 4 == 3 ? ",\n     "
										   : ", ");
		}
		raw(s, i + 1 < f->cpu_count ? "},\n" : "}\n");
	}
	raw(s, "  ],\n");
}

static void memory(struct sink *s, const struct facts *f)
{
	raw(s, "  \"memory\": [\n");
	for (uint32_t i = 0; i < f->range_count; i++) {
		raw(s, "    {");
		hex(s, "base", f->range[i].base, ", ");
		hex(s, "size", f->range[i].size, ", ");
		text_member(s, "use", f->range[i].type == BOOT_MEM_FREE ? "free" : "firmware",
			    i + 1 < f->range_count ? "},\n" : "}\n");
	}
	raw(s, "  ],\n  \"pci\": [\n");
	for (uint32_t i = 0; i < f->pci_count; i++) {
		raw(s, "    {");
		hex(s, "address", f->pci[i].address, ", ");
		hex(s, "vendor", f->pci[i].id & 0xffff, ", ");
		hex(s, "device", f->pci[i].id >> 16, ", ");
		hex(s, "class", f->pci[i].class >> 8, i + 1 < f->pci_count ? "},\n" : "}\n");
	}
	raw(s, "  ]\n");
}

/**
 * Writes the report at out; returns its length, without a NUL. More than size: it
 * did not fit, and is of no use.
 */
size_t report_json(const struct facts *f, const struct report *r, char *out, size_t size)
{
	struct sink s = { out, 0, size };

	raw(&s, "{\n  ");
	number(&s, "version", REPORT_VERSION, ",\n  ");
	raw(&s, "\"machine\": {");
	text_member(&s, "maker", f->maker, ", ");
	text_member(&s, "product", f->product, ", ");
	text_member(&s, "firmware", f->firmware, ",\n    ");
	text_member(&s, "processor", f->processor, ", ");
	text_member(&s, "time", f->time, ",\n    ");
	number(&s, "cpus", f->cpu_count, ", ");
	number(&s, "tsc_khz", f->tsc_hz / 1000, ", ");
	number(&s, "memory_mib", f->memory >> 20, "},\n  ");
	raw(&s, "\"counts\": {");
	for (uint32_t v = 0; v < VERDICTS; v++) {
		number(&s, report_verdict[v], r->verdicts[v], v + 1 < VERDICTS ? ", " : "},\n");
	}
	checks(&s, r);
	cpus(&s, f);
	memory(&s, f);
	raw(&s, "}\n");
	return s.used;
}
