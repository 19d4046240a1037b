/* SPDX-License-Identifier: MIT */
/*
 * What is in a saved template's first page, and whether it goes with this machine.
 * The file may be anybody's: everything is looked at before anything is used. That
 * the checksums are right says that it is whole, not who made it; what the record
 * says is the hypervisor's to check. Pure.
 */
#include <stdio.h>
#include <string.h>

#include "abi/hypercall.h"
#include "host-bridge/guest/linux_save.h"
#include "host-bridge/rt/crc32c.h"

#define VCPUS_MAX	8u
#define NS_PER_S	1000000000ll
#define AGE_MAX_NS	(30ll * 366 * 86400 * NS_PER_S)

static const char magic[8] = "ISTHTMPL";

_Static_assert(sizeof(struct linux_save) <= LINUX_SAVE_PAGE, "its page");
_Static_assert(10 + 4 + 5 * CHANNEL_GUEST_MAX <= LINUX_SAVE_IO, "its devices");

static uint32_t page_crc(const uint8_t page[LINUX_SAVE_PAGE])
{
	static const uint8_t none[4];
	const size_t at = offsetof(struct linux_save, crc);
	uint32_t crc = crc32c(~0u, page, at);

	crc = crc32c(crc, none, sizeof(none));
	return crc32c(crc, page + at + 4, LINUX_SAVE_PAGE - at - 4);
}

/** See linux_save.h. */
void linux_save_write(struct linux_save *s, uint8_t page[LINUX_SAVE_PAGE])
{
	memcpy(s->magic, magic, sizeof(magic));
	s->version = LINUX_SAVE_VERSION;
	s->record = HC_RECORD_VERSION;
	memset(page, 0, LINUX_SAVE_PAGE);
	memcpy(page, s, sizeof(*s));
	s->crc = page_crc(page);
	memcpy(page, s, sizeof(*s));
}

/* What every one of ours keeps to. */
static int sane(const struct linux_save *s)
{
	for (uint32_t i = 0; i < s->channels && i < CHANNEL_GUEST_MAX; i++) {
		if (s->host[i] > 1) {
			return 0;
		}
	}
	/* It is printed. */
	for (size_t i = 0; i < sizeof(s->name) && s->name[i]; i++) {
		if (s->name[i] <= ' ' || s->name[i] > '~') {
			return 0;
		}
	}
	return s->ram > 0 && s->ram % LINUX_SAVE_PAGE == 0 &&
	       s->ram <= 1ull << 40 && s->pages <= s->ram / LINUX_SAVE_PAGE &&
	       s->vcpus >= 1 && s->vcpus <= VCPUS_MAX &&
	       s->channels <= CHANNEL_GUEST_MAX &&
	       memchr(s->name, 0, sizeof(s->name)) && s->tsc_hz > 0 &&
	       s->age_ns >= 0 && s->age_ns <= AGE_MAX_NS;
}

/** See linux_save.h. */
const char *linux_save_read(struct linux_save *s,
			    const uint8_t page[LINUX_SAVE_PAGE])
{
	memcpy(s, page, sizeof(*s));
	if (memcmp(s->magic, magic, sizeof(magic)) != 0) {
		return "is no saved template";
	}
	if (s->version != LINUX_SAVE_VERSION ||
	    s->record != HC_RECORD_VERSION) {
		return "was saved by another version of Isthmus";
	}
	if (s->crc != page_crc(page)) {
		return "is damaged: the checksum of its first page is wrong";
	}
	for (size_t i = sizeof(*s); i < LINUX_SAVE_PAGE; i++) {
		if (page[i] != 0) {
			return "says what this version does not know";
		}
	}
	return sane(s) ? NULL : "says what cannot be";
}

/* Which word of CPUID differs. */
static const char *cpu_differs(const struct linux_save *s,
			       const struct linux_save *here,
			       char text[LINUX_SAVE_WHY])
{
	static const char *const names[LINUX_SAVE_CPU] = {
		"0 EBX", "0 ECX", "0 EDX", "1 EAX", "1 ECX", "1 EDX",
		"7 EBX", "7 ECX", "7 EDX", "0xd EAX", "0xd/1 EAX",
		"0x80000001 ECX", "0x80000001 EDX", "0x80000008 EAX",
	};

	for (unsigned i = 0; i < LINUX_SAVE_CPU; i++) {
		if (s->cpu[i] != here->cpu[i]) {
			snprintf(text, LINUX_SAVE_WHY, "is of another processor: "
				 "CPUID leaf %s was %#x there and is %#x here",
				 names[i], (unsigned)s->cpu[i],
				 (unsigned)here->cpu[i]);
			return text;
		}
	}
	return NULL;
}

static const char *channels_differ(const struct linux_save *s,
				   const struct linux_save *here)
{
	for (unsigned i = 0; i < s->channels && s->channels == here->channels;
	     i++) {
		if (s->output_size[i] != here->output_size[i] ||
		    s->host[i] != here->host[i]) {
			return "is of one with other channels";
		}
	}
	return s->channels == here->channels ? NULL :
	       "is of one with other channels";
}

/** See linux_save.h. A clock's rate is measured anew each time: by 1 % it may
 * differ. */
const char *linux_save_differs(const struct linux_save *s,
			       const struct linux_save *here,
			       char text[LINUX_SAVE_WHY])
{
	uint64_t rate = s->tsc_hz > here->tsc_hz ? s->tsc_hz - here->tsc_hz :
						    here->tsc_hz - s->tsc_hz;
	const char *why = cpu_differs(s, here, text);

	if (why) {
		return why;
	}
	if (rate > here->tsc_hz / 100) {
		snprintf(text, LINUX_SAVE_WHY, "is of a machine whose TSC counts "
			 "%llu kHz, and here it is %llu kHz",
			 (unsigned long long)s->tsc_hz / 1000,
			 (unsigned long long)here->tsc_hz / 1000);
		return text;
	}
	if (s->ram != here->ram || s->vcpus != here->vcpus) {
		snprintf(text, LINUX_SAVE_WHY, "is of one with %llu MiB and %u "
			 "vCPUs, which here has %llu MiB and %u",
			 (unsigned long long)s->ram >> 20, (unsigned)s->vcpus,
			 (unsigned long long)here->ram >> 20,
			 (unsigned)here->vcpus);
		return text;
	}
	return channels_differ(s, here);
}

/** See linux_save.h. */
uint32_t linux_save_sum(uint32_t crc, uint64_t gpa, const uint8_t *page)
{
	return crc32c(crc32c(crc, &gpa, sizeof(gpa)), page, LINUX_SAVE_PAGE);
}

/** See linux_save.h. Where this machine's clock is behind what it was when it was
 * saved, no time has passed. */
const char *linux_save_start(const struct linux_save *s, uint64_t hz,
			     int64_t now_ns, uint64_t now_tsc,
			     uint64_t *start_tsc)
{
	int64_t since;

	if (__builtin_sub_overflow(now_ns, s->began_ns, &since) ||
	    since < s->age_ns) {
		since = s->age_ns;
	}
	if (since > AGE_MAX_NS) {
		return "is older than 30 years, by this machine's clock";
	}
	*start_tsc = now_tsc - (uint64_t)((unsigned __int128)since * hz /
					  NS_PER_S);
	return NULL;
}
