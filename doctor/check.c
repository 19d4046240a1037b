/* SPDX-License-Identifier: MIT */
/*
 * How a check is done: by a rule for a field of every CPU, or by a function.
 * Pure.
 */
#include <string.h>

#include "text/fmt.h"
#include "check.h"

#define ECX_VMX		(1u << 5)	/* CPUID.1 */
#define ECX_SVM		(1u << 2)	/* CPUID.80000001H */

const struct check_list *const check_lists[] = {
	&check_firmware, &check_memory, &check_cpu, &check_types, &check_acpi, &check_iommu,
	&check_pci, &check_virt, &check_trial,
};
const size_t check_list_count = sizeof(check_lists) / sizeof(check_lists[0]);

/** What was found; formats as for fmt_va(). */
void check_say(struct text *t, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	fmt_va(t->found, sizeof(t->found), format, ap);
	va_end(ap);
}

/** Whether this is to be a machine with VT-x; the hypervisor's own choice. */
bool check_has_vmx(const struct facts *f)
{
	return (f->cpu[0].leaf1_ecx & ECX_VMX) != 0;
}

bool check_has_svm(const struct facts *f)
{
	return !check_has_vmx(f) && (f->cpu[0].ext1_ecx & ECX_SVM) != 0;
}

/** Whether there is more than one CPU to be compared. */
bool check_several(const struct facts *f)
{
	return f->cpu_count > 1;
}

static uint64_t field_of(const struct facts *f, uint32_t cpu, const struct check *c)
{
	uint64_t v;

	memcpy(&v, (const uint8_t *)&f->cpu[cpu] + c->field, sizeof(v));
	return v & c->bits;
}

/* A rule for a field, for each CPU: says how many break it, and the first. */
static bool cpus_agree(const struct check *c, const struct facts *f, struct text *t)
{
	uint64_t want = c->kind == CHECK_SAME ? field_of(f, 0, c) :
			c->kind == CHECK_HAS ? c->bits : 0;
	uint32_t bad = 0, first = 0;

	for (uint32_t i = f->cpu_count; i-- > 0;) {
		if (field_of(f, i, c) != want) {
			bad++;
			first = i;
		}
	}
	if (bad == 0) {
		check_say(t, c->kind == CHECK_SAME ? "0x%lx on %u CPU%s" :
			  c->kind == CHECK_HAS ? "bits 0x%lx on %u CPU%s" :
			  "none of bits 0x%lx on %u CPU%s",
			  c->kind == CHECK_SAME ? want : c->bits, f->cpu_count,
			  f->cpu_count == 1 ? "" : "s");
	} else {
		check_say(t, c->kind == CHECK_SAME ?
			  "0x%lx on CPU %u, not 0x%lx; so on %u of %u" :
			  "0x%lx on CPU %u, of bits 0x%lx; so on %u of %u",
			  field_of(f, first, c), first, c->kind == CHECK_SAME ? want : c->bits,
			  bad, f->cpu_count);
	}
	return bad == 0;
}

/** Does one check. */
void check_run(const struct check *c, const struct facts *f, struct finding *out)
{
	memset(out, 0, sizeof(*out));
	if (c->applies != NULL && !c->applies(f)) {
		out->verdict = VERDICT_ABSENT;
	} else if (c->kind == CHECK_LOOK ? c->look(f, &out->text) : cpus_agree(c, f, &out->text)) {
		out->verdict = VERDICT_OK;
	} else {
		out->verdict = c->bad;
	}
}
