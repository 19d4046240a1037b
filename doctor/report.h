/* SPDX-License-Identifier: MIT */
/* What was found, as a document of JSON: docs/schema/doctor.json. Pure. */
#ifndef ISTHMUS_DOCTOR_REPORT_H
#define ISTHMUS_DOCTOR_REPORT_H

#include "check.h"

#define REPORT_FINDINGS	160
#define REPORT_VERSION	1

struct report {
	uint32_t count;
	const struct check *check[REPORT_FINDINGS];
	struct finding finding[REPORT_FINDINGS];
	uint32_t verdicts[VERDICTS];	/* how many of each */
};

extern const char *const report_verdict[VERDICTS];

void report_make(const struct facts *f, struct report *r);
size_t report_json(const struct facts *f, const struct report *r, char *out, size_t size);

#endif
