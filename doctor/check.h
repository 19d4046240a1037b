/* SPDX-License-Identifier: MIT */
/*
 * Checks: each looks at facts and says whether a machine will do. All pure.
 */
#ifndef ISTHMUS_DOCTOR_CHECK_H
#define ISTHMUS_DOCTOR_CHECK_H

#include <stddef.h>

#include "facts.h"

enum verdict { VERDICT_OK, VERDICT_WARNING, VERDICT_FAILURE, VERDICT_ABSENT, VERDICTS };

#define FOUND_MAX	224

struct text {
	char found[FOUND_MAX];
};

/* What every CPU's field must be: bits that are 1, that are 0, that are as the
 * boot CPU's; or a function says. */
enum check_kind { CHECK_LOOK, CHECK_HAS, CHECK_LACKS, CHECK_SAME };

struct check {
	const char *id, *what;
	const char *manual;		/* and section, or our own document */
	const char *advice;		/* what to change when it is not good */
	enum verdict bad;		/* the verdict then */
	bool (*applies)(const struct facts *f);	/* NULL: to all machines */
	enum check_kind kind;
	size_t field;			/* of struct cpu_facts */
	uint64_t bits;
	/* CHECK_LOOK: is it good? says what was found. */
	bool (*look)(const struct facts *f, struct text *t);
};

struct check_list {
	const struct check *check;
	size_t count;
};

struct finding {
	enum verdict verdict;
	struct text text;
};

/* Rows of a table of checks */
#define CHECK_BY(function)	.kind = CHECK_LOOK, .look = (function)
#define CHECK_CPUS(how, name, mask)					\
	.kind = (how), .field = offsetof(struct cpu_facts, name), .bits = (mask)

/* The tables, in the order of the report */
extern const struct check_list check_firmware, check_memory, check_cpu, check_types,
	check_acpi, check_iommu, check_pci, check_virt, check_trial;
extern const struct check_list *const check_lists[];
extern const size_t check_list_count;

void check_say(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool check_has_vmx(const struct facts *f);
bool check_has_svm(const struct facts *f);
bool check_several(const struct facts *f);
void check_run(const struct check *c, const struct facts *f, struct finding *out);

/* mtrr.c */
uint32_t mtrr_type(const struct facts *f, uint64_t at, uint64_t *end);
uint64_t mtrr_not_cached(const struct facts *f, uint64_t base, uint64_t end, uint64_t *first);

#endif
