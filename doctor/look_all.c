/* SPDX-License-Identifier: MIT */
/*
 * All CPUs, by the firmware's MP services: each reads itself and does its trial,
 * one after the other; then each shows its TSC beside the boot CPU's. [PI 1.8
 * volume 2 "MP Services Protocol"]
 */
#include <string.h>

#include "boot/loader.h"
#include "hypervisor/include/x86.h"
#include "look.h"
#include "trial.h"

#define MP_USABLE	0x6u		/* enabled, healthy */
#define MP_BSP		0x1u
#define WAIT_US		5000000u	/* for a CPU */
#define POLL_US		1000u
#define ROUNDS		64u		/* of TSCs */
#define SPINS		(1u << 22)	/* for the other's turn */
#define NOT_MET		UINT64_MAX

static EFI_GUID mp_guid = {
	0x3fdda605, 0xa76e, 0x4f46, { 0xad, 0x29, 0x12, 0xf4, 0x53, 0x1b, 0x3d, 0x08 } };

/* EFI_PROCESSOR_INFORMATION. */
struct mp_processor {
	uint64_t apic_id;
	uint32_t flags;
	uint8_t rest[76];		/* location, and room for later versions */
};

typedef EFIAPI void mp_procedure(void *arg);

struct mp_services {
	EFI_STATUS (EFIAPI *count)(struct mp_services *self, UINTN *count, UINTN *enabled);
	EFI_STATUS (EFIAPI *info)(struct mp_services *self, UINTN number,
				  struct mp_processor *info);
	void *start_all;
	EFI_STATUS (EFIAPI *start)(struct mp_services *self, mp_procedure *procedure,
				   UINTN number, EFI_EVENT event, UINTN timeout_us, void *arg,
				   BOOLEAN *finished);
};

/* Two CPUs in turn: the one that waits sees the other's TSC of before. */
struct race {
	volatile uint64_t turn, tsc;
};

static uint8_t *trial_pages;

/* On the CPU itself. */
static EFIAPI void examine(void *arg)
{
	struct cpu_facts *c = arg;

	trap_enter_world();
	look_cpu(c);
	trial_run(c, trial_pages);
	trap_leave_world();
}

/* Time as both see it must not run back; returns the most that it did, in ticks.
 * mine: 0 for the boot CPU, 1 for the other. NOT_MET: the other did not come. */
static uint64_t race(struct race *r, uint64_t mine)
{
	uint64_t back = 0;

	for (uint64_t turn = mine; turn < 2 * ROUNDS; turn += 2) {
		uint64_t now;

		for (uint32_t i = 0; r->turn != turn; i++) {
			if (i == SPINS) {
				return NOT_MET;
			}
			cpu_pause();
		}
		__asm__ volatile("lfence" : : : "memory");
		now = rdtsc();
		back = turn > 0 && now < r->tsc && r->tsc - now > back ? r->tsc - now : back;
		r->tsc = now;
		r->turn = turn + 1;
	}
	return back;
}

struct race_job {
	struct race race;
	uint64_t back;
};

static EFIAPI void race_other(void *arg)
{
	struct race_job *job = arg;

	job->back = race(&job->race, 1);
}

/* Both run at once: the event is signalled when the other has come back. */
static uint64_t race_with(struct mp_services *mp, UINTN number)
{
	static struct race_job job;
	EFI_EVENT done;
	uint64_t back;

	memset(&job, 0, sizeof(job));
	if (EFI_ERROR(efi_bs->CreateEvent(0, 0, NULL, NULL, &done))) {
		return NOT_MET;
	}
	if (EFI_ERROR(mp->start(mp, race_other, number, done, WAIT_US, &job, NULL))) {
		efi_bs->CloseEvent(done);
		return NOT_MET;
	}
	back = race(&job.race, 0);
	for (uint32_t us = 0; efi_bs->CheckEvent(done) == EFI_NOT_READY && us < 2 * WAIT_US;
	     us += POLL_US) {
		efi_bs->Stall(POLL_US);
	}
	efi_bs->CloseEvent(done);
	return back > job.back ? back : job.back;
}

/* One that is not the boot CPU. */
static void other(struct facts *f, struct mp_services *mp, UINTN number)
{
	struct cpu_facts *c = &f->cpu[f->cpu_count];
	BOOLEAN finished = FALSE;

	if (f->cpu_count == FACTS_CPUS) {
		return;
	}
	/* a sign of life: the console watches for silence */
	console_write(".");
	if (EFI_ERROR(mp->start(mp, examine, number, NULL, WAIT_US, c, &finished))) {
		f->mp_silent++;
		memset(c, 0, sizeof(*c));
		return;
	}
	c->tsc_back = race_with(mp, number);
	f->cpu_count++;
}

/** Looks at all CPUs, the boot CPU (as number 0) first; pages: for the trials. */
void look_all_cpus(struct facts *f, uint8_t *pages)
{
	struct mp_services *mp;
	struct mp_processor p;
	UINTN count = 0, enabled;

	trial_pages = pages;
	trap_init(trial_page(&(struct trial_job) { NULL, pages }, PAGE_WORLD));
	trap_enter_world();
	look_cpu(&f->cpu[0]);
	look_processor(f);
	trial_run(&f->cpu[0], pages);
	trap_leave_world();
	f->cpu_count = f->mp_count = 1;
	f->mp = !EFI_ERROR(efi_bs->LocateProtocol(&mp_guid, NULL, (void **)&mp)) &&
		!EFI_ERROR(mp->count(mp, &count, &enabled));
	if (!f->mp) {
		return;
	}
	f->mp_count = (uint32_t)count;
	for (UINTN i = 0; i < count; i++) {
		if (EFI_ERROR(mp->info(mp, i, &p)) || (p.flags & MP_USABLE) != MP_USABLE) {
			f->mp_unusable++;
		} else if ((p.flags & MP_BSP) == 0) {
			other(f, mp, i);
		}
	}
	console_write("\n");
}
