/* SPDX-License-Identifier: MIT */
/*
 * Life cycle of Linux. It is not trusted; the hypervisor's answers are believed.
 * State changes from top-level code (commands) and from the loop's handlers,
 * which never run at the same time.
 */
#include <stdio.h>
#include <string.h>

#include "host-bridge/guest/linux.h"
#include "host-bridge/guest/linux_image.h"
#include "host-bridge/guest/linux_io.h"
#include "host-bridge/guest/linux_load.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/rt/container.h"
#include "host-bridge/rt/hc.h"
#include "host-bridge/rt/notice.h"

#define QUICK_MS	10000u	/* a crash so soon after the start ... */
#define QUICK_CRASHES	3u	/* ... so often in a row: leave it down */
#define READY_REPORT_MS	60000u

/* All of them: changes of every partition come by one event. */
static struct guest *all;

/* enum hc_reason in words (abi/hypercall.h). */
static const char *const reasons[] = {
	[HC_REASON_NONE] = "no reason given",
	[HC_REASON_TRIPLE_FAULT] = "triple fault",
	[HC_REASON_GPM_FAULT] = "access to memory it does not have",
	[HC_REASON_ENTRY_FAILED] = "VM entry failed",
	[HC_REASON_UNKNOWN_EXIT] = "an exit the hypervisor does not know",
	[HC_REASON_NO_MEMORY] = "out of memory",
	[HC_REASON_HOST_REQUEST] = "stopped by the host",
	[HC_REASON_BAD_INSTRUCTION] = "device access by a strange instruction",
	[HC_REASON_MACHINE_CHECK] = "machine check",
};

/* A stage of a Linux's; of several it is said whose. */
static void reached(const struct guest *guest, enum stage stage)
{
	stage_reached_by(stage, guest->want->several ? guest->want->name :
						       NULL);
}

/** See linux.h. */
bool linux_give(const struct guest *guest, uint64_t gpa, const uint8_t *data,
		uint64_t size)
{
	return linux_load_data(guest->want, gpa, gpa + size, data, size) ==
	       HC_OK;
}

/* Stopping is done in steps, so that one hypercall never takes long. Whatever
 * state the partition is in, it is stopped and owns nothing afterwards. That it
 * cannot be is a bug of ours, told and otherwise passed over; but a template that
 * has children is not stopped: false. */
static bool take_back(const struct guest *guest)
{
	struct hc_regs regs;
	int64_t status;

	do {
		regs = (struct hc_regs){ .rdi = guest->want->id };
		status = hc_call(HC_PARTITION_STOP, &regs);
	} while (status == HC_EAGAIN);
	if (status != HC_OK && guest->state != LINUX_FROZEN) {
		notice("isthmus: stopping %s: %s", guest->want->title,
		       linux_load_status(status));
	}
	return status == HC_OK;
}

/* Only a report: a Linux without our agent is a Linux all the same. */
static void on_ready_late(struct loop_timer *timer)
{
	const struct guest *guest = CONTAINER(timer, struct guest, ready_timer);

	notice("isthmus: %s has not reported its agent ready after %u s; "
	       "\"linux log\" shows what it printed", guest->want->title,
	       READY_REPORT_MS / 1000);
}

/**
 * Loads and starts Linux; every failure is printed with its stage, and all
 * memory that was handed over already is taken back. Does not wait for anything
 * but hypercalls: callable from event handlers, after linux_init(). True when
 * vCPU 0 runs, which says nothing of the kernel yet: linux_ready() does. False
 * also when it runs already.
 */
bool linux_start(struct guest *guest)
{
	struct linux_layout layout = { 0 };
	struct hc_regs regs;
	int64_t status;

	if (guest->state == LINUX_RUNNING || guest->state == LINUX_FROZEN) {
		return false;
	}
	/* Until proved otherwise: all ways out below leave it so. */
	guest->state = LINUX_FAILED;
	guest->ready = false;
	linux_leave(guest, true);
	if (guest->want->absent) {
		linux_load_failed(guest->want, STAGE_LINUX_LOADED, "%s",
			     guest->want->absent);
		return false;
	}
	if (!linux_load(guest->config, guest->want, guest->words, &layout)) {
		(void)take_back(guest);
		return false;
	}
	reached(guest, STAGE_LINUX_LOADED);
	/* Before the first instruction of Linux can meet a device. */
	linux_io_reset(&guest->io);
	/* Entry state as HC_PARTITION_START has it: long mode, these page
	 * tables and this GDT, RSI = boot parameters, as the protocol asks for.
	 * [Linux "The Linux/x86 Boot Protocol", "64-bit Boot Protocol"] */
	regs = (struct hc_regs){
		.rdi = guest->want->id,
		.rsi = layout.entry,
		.rdx = LINUX_PML4_GPA,
		.r10 = LINUX_BOOT_PARAMS_GPA,
		.r8 = LINUX_GDT_GPA,
	};
	status = hc_call(HC_PARTITION_START, &regs);
	if (status != HC_OK) {
		linux_load_failed(guest->want, STAGE_LINUX_STARTED, "%s",
			     linux_load_status(status));
		(void)take_back(guest);
		return false;
	}
	guest->state = LINUX_RUNNING;
	guest->started_ms = loop_uptime_ms();
	reached(guest, STAGE_LINUX_STARTED);
	loop_timer_set(&guest->ready_timer, READY_REPORT_MS, on_ready_late);
	return true;
}

/* Linux is gone, whatever the reason: its memory comes back, the channel resets
 * (HC_PARTITION_STOP does both; the endpoint sees the new generation in its
 * next turn). Port accesses that waited for an answer are dropped with their
 * vCPUs. */
static void down(struct guest *guest, enum linux_state new_state)
{
	loop_timer_cancel(&guest->ready_timer);
	(void)take_back(guest);
	guest->state = new_state;
	guest->ready = guest->child = false;
	if (guest->on_down != NULL) {
		guest->on_down(guest->down_arg);
	}
}

/**
 * Calls fn(arg) whenever this Linux is gone, from within what takes it down: what
 * somebody had for it can be given back.
 */
void linux_on_down(struct guest *guest, void (*fn)(void *arg), void *arg)
{
	guest->on_down = fn;
	guest->down_arg = arg;
}

/**
 * Stops Linux at once, as pulling the plug would: what it had not written back
 * is lost. A no-op when it is down, but for the count of crashes: who stops it
 * by hand begins anew. False: a template that has children.
 */
bool linux_stop(struct guest *guest)
{
	guest->quick_crashes = 0;
	linux_leave(guest, false);
	if (guest->state == LINUX_RUNNING) {
		down(guest, LINUX_STOPPED);
	} else if (guest->state == LINUX_FROZEN) {
		if (!take_back(guest)) {
			return false;
		}
		guest->state = LINUX_STOPPED;
	}
	return true;
}

/* Linux went down by itself; start it again, unless it never got as far as its
 * agent, soon after the start, several times in a row. A reset that it asked
 * for counts too: a kernel that panics at once resets for ever. */
static void start_again(struct guest *guest)
{
	bool quick = !guest->ready &&
		     loop_uptime_ms() - guest->started_ms < QUICK_MS;
	/* Its own kernel is not what a child is there for. */
	bool again = guest->restart && !guest->child;

	guest->quick_crashes = quick ? guest->quick_crashes + 1 : 0;
	down(guest, LINUX_FAILED);
	if (!again) {
		return;
	}
	if (guest->quick_crashes >= QUICK_CRASHES) {
		stage_failed(STAGE_AGENT_READY, "%s went down %u times "
			     "within %u s of its start; it stays down until "
			     "\"linux start\"", guest->want->title,
			     QUICK_CRASHES, QUICK_MS / 1000);
		guest->quick_crashes = 0;
		linux_leave(guest, false);
		return;
	}
	(void)linux_start(guest);
}

/* Looks whether a Linux has crashed. Changes that we asked for are known
 * already; a bit that comes late, after a restart, finds no crash and does
 * nothing. */
static void look(struct guest *guest)
{
	struct hc_regs regs;
	uint64_t reason;

	if (guest->state != LINUX_RUNNING ||
	    hc_query(HC_QUERY_STATE, guest->want->id, 0, &regs) != HC_OK ||
	    regs.rdi != HC_STATE_CRASHED) {
		return;
	}
	reason = regs.rsi;
	/* A Linux whose agent was there had reached the last stage. */
	stage_failed(guest->ready ? STAGE_LINUX_STARTED : STAGE_AGENT_READY,
		     "%s crashed: %s, at %llx, detail %llx (\"log\" and "
		     "\"linux log\" tell more)", guest->want->title,
		     reason < sizeof(reasons) / sizeof(reasons[0]) ?
		     reasons[reason] : "unknown reason",
		     (unsigned long long)regs.rdx,
		     (unsigned long long)regs.r10);
	start_again(guest);
}

/* The hypervisor reports a change of some partition's state. */
static void on_partition(void *arg)
{
	(void)arg;
	for (struct guest *guest = all; guest; guest = guest->next) {
		look(guest);
	}
}

/* Linux wrote a power register (from linux_io.c, in a handler). Its vCPU waits
 * for an answer that never comes: the partition ends first. */
static void on_request(void *arg, enum linux_request request)
{
	struct guest *guest = arg;

	if (request == LINUX_REQUEST_POWER_OFF) {
		linux_leave(guest, false);
		down(guest, LINUX_STOPPED);
		notice("isthmus: %s powered off", guest->want->title);
	} else {
		notice("isthmus: %s asked for a reset", guest->want->title);
		start_again(guest);
	}
}

/* From linux_io.c, in a handler, once after each start at most. Linux may go on
 * all the same, as without a part of its files. */
static void on_reason(void *arg, const char *reason)
{
	const struct guest *guest = arg;

	if (guest->ready) {
		notice("isthmus: %s says: %s", guest->want->title, reason);
	} else {
		stage_failed(STAGE_AGENT_READY, "%s says: %s",
			     guest->want->title, reason);
	}
}

/** From anywhere; valid until the next start. */
const char *linux_said(const struct guest *guest)
{
	return guest->io.says.reason;
}

/**
 * Keeps the configuration, which must stay, and takes the events; starts
 * nothing. Once for each, zeroed before, after serial_init() and before
 * linux_start(). restart: false for a run that only executes one command, where
 * a second start would hide the failure.
 */
void linux_init(struct guest *guest, const struct config *config,
		const struct config_guest *want, bool restart)
{
	guest->config = config;
	guest->want = want;
	guest->restart = restart;
	guest->state = LINUX_STOPPED;
	guest->next = all;
	all = guest;
	linux_io_init(&guest->io, want, on_request, on_reason, guest);
	loop_on_event(HC_EVENT_PARTITION, on_partition, NULL);
}

/** See linux.h. Before the next start, which goes by it. */
void linux_words(struct guest *guest, const char *words)
{
	guest->words = words;
}

/** Up, down, or down for good. From anywhere. */
enum linux_state linux_state(const struct guest *guest)
{
	return guest->state;
}

/** Whether the agent has reported since the last start. From anywhere. */
bool linux_ready(const struct guest *guest)
{
	return guest->ready;
}

/**
 * The agent's report arrived (agent.c, in a callback); counts once for each
 * start, and not for a Linux that went down meanwhile.
 */
void linux_set_ready(struct guest *guest)
{
	if (guest->state == LINUX_RUNNING && !guest->ready) {
		guest->ready = true;
		linux_leave(guest, true);
		loop_timer_cancel(&guest->ready_timer);
		reached(guest, STAGE_AGENT_READY);
	}
}
