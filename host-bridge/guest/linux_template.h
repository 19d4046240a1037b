/* SPDX-License-Identifier: MIT */
/* A template's memory and record, taken out and given back: linux_template.c. */
#ifndef ISTHMUS_LINUX_TEMPLATE_H
#define ISTHMUS_LINUX_TEMPLATE_H

#include "host-bridge/guest/linux.h"
#include "host-bridge/guest/linux_save.h"

/* What s says of a partition and of this machine; of a template, too, of its time
 * and its devices. */
void linux_template_facts(const struct guest *guest, struct linux_save *s);
/* A page of a template's memory, at gpa, into page, an own page of memory that has
 * been touched: 1; 0: there is nothing, up to *next. Negative: no RAM. */
int linux_template_page(const struct guest *guest, uint64_t gpa, uint8_t *page,
			uint64_t *next);
/* A page of its record. False: it is no template any more. */
bool linux_template_record(const struct guest *guest, uint32_t n,
			   uint8_t *page, uint64_t *start_tsc);
/* The first RAM from gpa on; all ones: there is none. */
uint64_t linux_template_ram(const struct linux_save *s, uint64_t gpa);

/* One that is down gets a piece of memory, up to 2 MiB from gpa on, which is a whole
 * page. NULL, or why not, as the end of a sentence about it. */
const char *linux_template_give(const struct guest *guest, uint64_t gpa,
				const uint8_t *data, uint64_t size);
/* .. becomes a template with that record, of which pages are in page, an own page.
 * Waits, with the loop. */
const char *linux_template_begin(struct guest *guest);
const char *linux_template_put(struct guest *guest, uint32_t n,
			       const uint8_t *page, uint64_t start_tsc);
void linux_template_end(struct guest *guest, const struct linux_save *s);
/* .. or is down again, and has nothing. */
void linux_template_drop(struct guest *guest);

#endif
