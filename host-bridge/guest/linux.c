/* SPDX-License-Identifier: MIT */
/*
 * Loading and life cycle of Linux. Everything Linux finds in its memory is
 * prepared in windows of our own memory and then donated: the pages change
 * owner, and the next touch of the window gives us zeroed ones. So after the
 * start nothing of Linux is in our reach, and nothing is left to free.
 *
 * Linux is not trusted, nor is its kernel image (linux_image.c checks it); the
 * hypervisor's answers are believed. State changes from top-level code
 * (commands) and from the loop's handlers, which never run at the same time.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/sockets.h"
#include "host-bridge/guest/linux.h"
#include "host-bridge/guest/linux_acpi.h"
#include "host-bridge/guest/linux_image.h"
#include "host-bridge/guest/linux_initrd.h"
#include "host-bridge/guest/linux_io.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/rt/container.h"
#include "host-bridge/rt/hc.h"
#include "host-bridge/rt/notice.h"
#include "host-bridge/rt/stage.h"

#define PAGE		4096ull
#define UNIT		(2ull << 20)	/* stage_big: what one call donates */
#define SMALL		(64ull << 10)	/* stage_small */
#define MIB		(1ull << 20)

#define QUICK_MS	10000u	/* a crash so soon after the start ... */
#define QUICK_CRASHES	3u	/* ... so often in a row: leave it down */
#define READY_REPORT_MS	60000u

/* The windows, host-bridge.lds. Outside of a load both are all zeroes: what was
 * donated came back so, and who fails clears up. */
extern uint8_t stage_small[], stage_big[];
extern const uint8_t linux_dsdt[], linux_dsdt_end[];

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

/* HC_OK downwards; a newer hypervisor may know more. */
static const char *const hc_errors[] = {
	"success", "invalid argument", "not permitted", "no such thing",
	"busy", "out of memory", "try again", "no such hypercall",
};

static unsigned long long in_mib(uint64_t bytes)
{
	return bytes / MIB;
}

static const char *hc_error(int64_t status)
{
	size_t i = (size_t)-status;

	return i < sizeof(hc_errors) / sizeof(hc_errors[0]) ? hc_errors[i] :
							      "unknown error";
}

/* A stage of a Linux's, and a failure; of several it is said whose. */
static void reached(const struct guest *guest, enum stage stage)
{
	stage_reached_by(stage, guest->want->several ? guest->want->name :
						       NULL);
}

__attribute__((format(printf, 3, 4)))
static void failed(const struct guest *guest, enum stage stage,
		   const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	stage_failed(stage, "%s%s%s",
		     guest->want->several ? guest->want->title : "",
		     guest->want->several ? ": " : "", text);
}

/* Moves bytes at own (page aligned, with the rest of the last page zero) to
 * Linux: at most 2 MiB, HC_DONATE_MAX pages. HC_OK or a status; on HC_ENOMEM
 * some of the pages may have gone. [docs/hypercalls.md "HC_MEM_DONATE"] */
static int64_t donate(const struct guest *guest, const uint8_t *own,
		      uint64_t gpa, uint64_t bytes)
{
	struct hc_regs regs = {
		.rdi = guest->want->id,
		.rsi = (uintptr_t)own,
		.rdx = gpa,
		.r10 = (bytes + PAGE - 1) / PAGE,
	};

	return hc_call(HC_MEM_DONATE, &regs);
}

/* Copies data to Linux's memory at gpa (page aligned), which ends at ram_end.
 * Aligned units of 2 MiB, the last one too if most of it is used, go through
 * the big window: they stay large pages, and the window is populated again in
 * few exits. The rest goes through the small one. Zeroes fill up what is
 * donated beyond the data. */
static int64_t load(const struct guest *guest, uint64_t gpa, uint64_t ram_end,
		    const uint8_t *data, uint64_t size)
{
	while (size > 0) {
		bool whole = (gpa & (UNIT - 1)) == 0 && size > UNIT / 2 &&
			     ram_end - gpa >= UNIT;
		uint8_t *window = whole ? stage_big : stage_small;
		/* Pieces of the small window end where its size divides the
		 * address, so that later units begin on 2 MiB. */
		uint64_t room = whole ? UNIT : SMALL - (gpa & (SMALL - 1));
		uint64_t part = size < room ? size : room;
		uint64_t moved = whole ? UNIT : (part + PAGE - 1) & ~(PAGE - 1);
		int64_t status;

		memcpy(window, data, part);
		memset(window + part, 0, moved - part);
		status = donate(guest, window, gpa, moved);
		if (status != HC_OK) {
			/* Zero again, whether these pages are still ours or
			 * come anew; and no part of a file stays behind. */
			memset(window, 0, moved);
			return status;
		}
		gpa += part;
		data += part;
		size -= part;
	}
	return HC_OK;
}

/** See linux.h. */
bool linux_give(const struct guest *guest, uint64_t gpa, const uint8_t *data,
		uint64_t size)
{
	return load(guest, gpa, gpa + size, data, size) == HC_OK;
}

/* Linux's command line: what is too long is so with a byte more, too, which
 * linux_image_low() refuses. */
static const char *command_line(const struct guest *guest)
{
	static char line[LINUX_CMDLINE_SIZE + 1];

	snprintf(line, sizeof(line), "%s%s%s%s", guest->words ? guest->words : "",
		 guest->words ? " " : "",
		 guest->want->sockets ? SOCKETS_WORD " " : "",
		 guest->want->bootargs);
	return line;
}

/* Low memory, ACPI tables and the reset vector's page, built side by side in the
 * small window (36, 16 and 4 KiB of its 64). NULL, or what went wrong, as a
 * clause for stage_failed(). */
static const char *load_tables(const struct guest *guest,
			       const struct linux_image *image,
			       const struct linux_layout *layout,
			       unsigned vcpus)
{
	const size_t low_size = LINUX_LOW_END - LINUX_LOW_GPA;
	uint8_t *acpi = stage_small + low_size;
	uint8_t *bios = acpi + LINUX_ACPI_SIZE;
	const char *wrong = linux_image_low(stage_small, image, layout,
					    command_line(guest));
	size_t acpi_size = linux_acpi_build(acpi, LINUX_ACPI_SIZE,
		LINUX_ACPI_GPA, vcpus, linux_dsdt,
		(size_t)(linux_dsdt_end - linux_dsdt));

	if (!wrong && acpi_size == 0) {
		wrong = "the ACPI tables do not fit their area";
	}
	linux_image_bios(bios);
	if (!wrong &&
	    (donate(guest, stage_small, LINUX_LOW_GPA, low_size) != HC_OK ||
	     donate(guest, acpi, LINUX_ACPI_GPA, acpi_size) != HC_OK ||
	     donate(guest, bios, LINUX_BIOS_GPA, PAGE) != HC_OK)) {
		wrong = "low memory could not be donated";
	}
	if (wrong) {		/* the next try finds the window clean */
		memset(stage_small, 0, low_size + LINUX_ACPI_SIZE + PAGE);
	}
	return wrong;
}

/* The modules named by the manifest; false with a message. */
static bool find_modules(const struct guest *guest,
			 const struct host_module **kernel,
			 const struct host_module **initrd)
{
	const struct config_guest *want = guest->want;

	*kernel = config_module(guest->config, want->kernel);
	*initrd = config_module(guest->config, want->initrd);
	if (!*kernel || (want->initrd && !*initrd)) {
		failed(guest, STAGE_LINUX_LOADED, "module \"%s\" is missing",
			     *kernel ? want->initrd : want->kernel);
		return false;
	}
	return true;
}

/* Whether Linux can unpack its initrd in ram bytes; false with a message. */
static bool check_initrd(const struct guest *guest, uint64_t ram,
			 const struct linux_image *image,
			 const struct host_module *initrd)
{
	uint64_t files = linux_initrd_unpacked(
		(const void *)(uintptr_t)initrd->gpa, initrd->size);
	uint64_t room = linux_initrd_room(ram, image->kernel_size,
					  initrd->size, guest->want->bootargs);

	if (files > room) {
		failed(guest, STAGE_LINUX_LOADED, "initrd \"%s\" (%llu MiB) "
			     "unpacks to %llu MiB or more, for which Linux "
			     "with %llu MiB has %llu MiB beside it: raise "
			     "\"memory-mib\" in the manifest", initrd->name,
			     in_mib(initrd->size + MIB - 1),
			     in_mib(files + MIB - 1), in_mib(ram),
			     in_mib(room));
	}
	return files <= room;
}

/* Everything into Linux's memory; *layout tells where. False, with a message,
 * when something is missing, broken, or does not fit: some memory may have
 * moved already, and the caller takes it back. */
static bool load_all(const struct guest *guest, struct linux_layout *layout)
{
	const struct host_module *kernel, *initrd;
	struct linux_image image;
	struct hc_regs mem;
	const char *wrong;
	uint64_t ram_end;
	int64_t status;

	if (!find_modules(guest, &kernel, &initrd)) {
		return false;
	}
	/* The manifest's cap and number of vCPUs. It does not fail for a
	 * partition that boot/ has found in the manifest. */
	(void)hc_query(HC_QUERY_MEMORY, guest->want->id, 0, &mem);
	layout->ram = mem.rsi;
	layout->initrd_size = initrd ? initrd->size : 0;
	wrong = linux_image_parse((const void *)(uintptr_t)kernel->gpa,
				  kernel->size, &image);
	if (!wrong) {
		wrong = linux_image_place(&image, layout);
	}
	if (!wrong) {
		wrong = load_tables(guest, &image, layout, (unsigned)mem.r10);
	}
	if (wrong) {
		failed(guest, STAGE_LINUX_LOADED, "kernel \"%s\" (%llu bytes): "
			     "%s", kernel->name,
			     (unsigned long long)kernel->size, wrong);
		return false;
	}
	if (initrd && !check_initrd(guest, layout->ram, &image, initrd)) {
		return false;
	}
	ram_end = linux_image_ram_end(layout);
	status = load(guest, layout->kernel_gpa, ram_end,
		      image.file + image.kernel_offset, image.kernel_size);
	if (status == HC_OK && initrd) {
		status = load(guest, layout->initrd_gpa, ram_end,
			      (const void *)(uintptr_t)initrd->gpa,
			      initrd->size);
	}
	if (status != HC_OK) {
		failed(guest, STAGE_LINUX_LOADED, "memory of kernel and initrd "
			     "could not be donated: %s", hc_error(status));
	}
	return status == HC_OK;
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
		       hc_error(status));
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
	if (guest->want->absent) {
		failed(guest, STAGE_LINUX_LOADED, "%s", guest->want->absent);
		return false;
	}
	if (!load_all(guest, &layout)) {
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
		failed(guest, STAGE_LINUX_STARTED, "%s", hc_error(status));
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
		loop_timer_cancel(&guest->ready_timer);
		reached(guest, STAGE_AGENT_READY);
	}
}
