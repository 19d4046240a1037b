/* SPDX-License-Identifier: MIT */
/*
 * Templates on their way to a file and back. What they are is the hypervisor's to
 * tell and to check (docs/hypercalls.md "HC_FORK"); it copies into pages of ours,
 * and memory goes back as it does when a Linux is loaded. Top-level code only; it
 * does not wait but where linux_template.h says so.
 */
#include <string.h>

#include "host-bridge/guest/linux_image.h"
#include "host-bridge/guest/linux_template.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/rt/hc.h"

#define HIGH_GPA	0x100000000ull

/* Leaf and subleaf, and which of EAX to EDX count, as linux_save.c names them: what
 * a Linux has looked at when it came up. */
static void cpu_words(uint32_t words[LINUX_SAVE_CPU])
{
	static const struct {
		uint32_t leaf, sub, which;
	} leaves[] = {
		{ 0, 0, 0xe }, { 1, 0, 0xd }, { 7, 0, 0xe }, { 0xd, 0, 0x1 },
		{ 0xd, 1, 0x1 }, { 0x80000001, 0, 0xc }, { 0x80000008, 0, 0x1 },
	};
	unsigned n = 0;

	for (unsigned i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++) {
		uint32_t r[4];

		__asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]),
				 "=d"(r[3]) : "a"(leaves[i].leaf),
				 "c"(leaves[i].sub));
		for (unsigned k = 0; k < 4 && n < LINUX_SAVE_CPU; k++) {
			if (leaves[i].which >> k & 1) {
				words[n++] = r[k];
			}
		}
	}
}

/** See linux_template.h. */
void linux_template_facts(const struct guest *guest, struct linux_save *s)
{
	const struct config_guest *want = guest->want;
	struct hc_regs regs = { 0 };

	memset(s, 0, sizeof(*s));
	(void)hc_call(HC_INFO, &regs);
	s->tsc_hz = regs.rdx;
	(void)hc_query(HC_QUERY_MEMORY, want->id, 0, &regs);
	s->ram = regs.rsi;
	s->vcpus = (uint32_t)regs.r10;
	s->channels = want->channel_count;
	for (unsigned i = 0; i < want->channel_count; i++) {
		s->output_size[i] = want->channels[i].output_size;
		s->host[i] = want->channels[i].host;
	}
	strncpy(s->name, want->name, sizeof(s->name) - 1);
	cpu_words(s->cpu);
	if (guest->state == LINUX_FROZEN) {
		linux_io_save(&guest->io, s->io);
	}
}

/** See linux_template.h. */
uint64_t linux_template_ram(const struct linux_save *s, uint64_t gpa)
{
	if (gpa < (s->ram < LINUX_MMIO_GPA ? s->ram : LINUX_MMIO_GPA)) {
		return gpa;
	}
	gpa = gpa > HIGH_GPA ? gpa : HIGH_GPA;
	return s->ram > LINUX_MMIO_GPA &&
	       gpa - HIGH_GPA < s->ram - LINUX_MMIO_GPA ? gpa : UINT64_MAX;
}

static int64_t fork_call(enum hc_fork what, const struct guest *guest,
			 uint64_t which, const uint8_t *page,
			 struct hc_regs *regs)
{
	regs->rdi = what;
	regs->rsi = guest->want->id;
	regs->rdx = which;
	regs->r10 = (uintptr_t)page;
	return hc_call(HC_FORK, regs);
}

/** See linux_template.h. */
int linux_template_page(const struct guest *guest, uint64_t gpa, uint8_t *page,
			uint64_t *next)
{
	struct hc_regs regs = { 0 };

	if (fork_call(HC_FORK_READ, guest, gpa, page, &regs) != HC_OK) {
		return -1;
	}
	*next = regs.rdi;
	return regs.rsi != 0;
}

/** See linux_template.h. */
bool linux_template_record(const struct guest *guest, uint32_t n,
			   uint8_t *page, uint64_t *start_tsc)
{
	struct hc_regs regs = { 0 };

	if (fork_call(HC_FORK_READ, guest, HC_FORK_RECORD | n, page, &regs) !=
	    HC_OK) {
		return false;
	}
	*start_tsc = regs.rdx;
	return true;
}

/** See linux_template.h. */
const char *linux_template_give(const struct guest *guest, uint64_t gpa,
				const uint8_t *data, uint64_t size)
{
	return linux_give(guest, gpa, data, size) ? NULL :
	       "cannot have the memory that was saved: the machine has no more";
}

/** See linux_template.h. */
const char *linux_template_begin(struct guest *guest)
{
	struct hc_regs regs = { 0 };
	int64_t status;

	linux_between(guest, true);
	status = fork_call(HC_FORK_RESTORE, guest, 0, NULL, &regs);

	while (status == HC_EAGAIN) {	/* they may be on our CPU */
		loop_step(loop_now() + loop_ms_to_ticks(1));
		status = fork_call(HC_FORK_FREEZE, guest, 0, NULL, &regs);
	}
	return status == HC_OK ? NULL : "cannot become a template now";
}

/** See linux_template.h. */
const char *linux_template_put(struct guest *guest, uint32_t n,
			       const uint8_t *page, uint64_t start_tsc)
{
	struct hc_regs regs = { .r8 = start_tsc };

	return fork_call(HC_FORK_WRITE, guest, HC_FORK_RECORD | n, page,
			 &regs) == HC_OK ? NULL :
	       "was not restored: the hypervisor has refused the record";
}

/** See linux_template.h. */
void linux_template_end(struct guest *guest, const struct linux_save *s)
{
	linux_io_restore(&guest->io, s->io);
	guest->state = LINUX_FROZEN;
	guest->ready = guest->child = false;
	linux_leave(guest, false);
	linux_between(guest, false);
}

/** See linux_template.h. */
void linux_template_drop(struct guest *guest)
{
	guest->state = LINUX_FROZEN;	/* as far as stopping goes */
	(void)linux_stop(guest);
	linux_between(guest, false);
}
