/* SPDX-License-Identifier: MIT */
/*
 * Reads a black box. Its content is whatever memory held over a reset: nothing
 * in it is believed but what its sums vouch for, every length is ours, and text
 * comes out as printable ASCII. That somebody has made up a box with right sums is
 * no harm either: it is text, told to people.
 */
#include <string.h>

#include "proto/black_box.h"

#define CPUS_MAX	64u
#define MARK_BYTE	0x1e	/* and behind it the run's secret, */
#define MARK_LEN	16u	/* which is not shown */

#define PANIC		"isthmus: PANIC in the hypervisor: "
#define FAILED		"isthmus: FAILED stage "
#define STAGE		"isthmus: stage "

/* enum vm_exit_code */
static const char *const exits[] = {
	"ext-intr", "nmi", "intr-window", "timer", "exception", "machine-check", "cpuid", "hlt",
	"io", "msr-read", "msr-write", "memory", "hypercall", "cr-access", "xsetbv", "dr-access",
	"undefined", "skip", "again", "triple-fault", "entry-failed", "unknown",
};

static const char *const doings[] = {
	[BOX_STARTING] = "starting", [BOX_IDLE] = "idle", [BOX_GUEST] = "in a guest",
	[BOX_HYPERVISOR] = "in the hypervisor",
};

struct line {
	size_t used;
	char text[BLACK_BOX_LINE];	/* cut, and ends with NUL */
};

static void add(struct line *l, const char *text)
{
	for (; *text != '\0' && *text != '\n' && l->used + 1 < sizeof(l->text); text++) {
		l->text[l->used++] = *text;
	}
	l->text[l->used] = '\0';
}

static void add_number(struct line *l, uint64_t value, unsigned base)
{
	char digits[21] = "";
	char *p = digits + sizeof(digits) - 1;

	do {
		*--p = "0123456789abcdef"[value % base];
		value /= base;
	} while (value != 0);
	add(l, base == 16 ? "0x" : "");
	add(l, p);
}

/** See black_box.h. */
uint32_t black_box_sum(const struct black_box *box)
{
	const uint8_t *at = (const uint8_t *)box;
	uint32_t sum = BOX_VERSION;

	for (size_t i = 0; i < offsetof(struct black_box, sum); i++) {
		sum = sum * 31 + at[i] + 1;
	}
	return sum;
}

/** Whether there is a box at that address, all of which is in room bytes. */
bool black_box_is(const struct black_box *box, uint64_t room)
{
	return room >= sizeof(*box) && box->magic == BOX_MAGIC && box->version == BOX_VERSION &&
	       box->cpus <= CPUS_MAX && box->sum == black_box_sum(box) &&
	       room - sizeof(*box) >= box->cpus * sizeof(box->cpu[0]);
}

/* How much of a block can be believed. In the last one its writer may have been
 * between the sum and the head. */
static uint32_t block_size(const struct box_log *log, uint64_t block, uint64_t head)
{
	uint32_t len = block < head / BOX_BLOCK ? BOX_BLOCK : (uint32_t)(head % BOX_BLOCK);

	if (box_block_is(log, block, len)) {
		return len;
	}
	return len < BOX_BLOCK && box_block_is(log, block, len + 1) ? len + 1 : 0;
}

/* The readable text of a log, in its order, ends with NUL. What is damaged is
 * told in less room than it has. */
static void view(const struct box_log *log, char *out)
{
	const uint64_t head = log->head, last = head / BOX_BLOCK;
	uint64_t block = last < BOX_TEXT / BOX_BLOCK ? 0 : last - BOX_TEXT / BOX_BLOCK + 1;
	uint32_t mark = 0;
	bool damaged = false;

	for (; block <= last; block++) {
		uint32_t size = block_size(log, block, head);

		if (size == 0 && (block < last || head % BOX_BLOCK != 0) && !damaged) {
			memcpy(out, "\n[damaged]\n", 11);
			out += 11;
		}
		damaged = size == 0;
		for (uint32_t i = 0; i < size; i++) {
			char c = log->text[block % (BOX_TEXT / BOX_BLOCK) * BOX_BLOCK + i];

			mark = c == MARK_BYTE ? MARK_LEN + 1 : mark > 0 ? mark - 1 : 0;
			if (mark == 0) {
				*out++ = c == '\n' || (c >= ' ' && c <= '~') ? c : '?';
			}
		}
	}
	*out = '\0';
}

static bool starts(const char *text, const char *with)
{
	while (*with != '\0' && *text == *with) {
		text++;
		with++;
	}
	return *with == '\0';
}

/* What follows prefix in the last line that begins with it; NULL: none does. */
static const char *last_line(const char *text, const char *prefix)
{
	const char *found = NULL;
	bool begins = true;

	for (; *text != '\0'; text++) {
		if (begins && starts(text, prefix)) {
			found = text + strlen(prefix);
		}
		begins = *text == '\n';
	}
	return found;
}

/* No word of the cause: what the CPUs did. */
static void silent_cause(const struct black_box_read *r, struct line *cause)
{
	const struct black_box *box = r->box;
	bool busy = false;

	for (uint32_t i = 0; i < box->cpus; i++) {
		busy |= box->cpu[i].doing == BOX_HYPERVISOR;
	}
	add(cause, r->watchdog ? "the chipset's watchdog has reset the machine: " :
	    "a reset without a word: ");
	add(cause, r->watchdog ? "CPU 0, or all, did nothing any more, "
	    "or a triple fault came before" :
	    busy ? "a triple fault in the hypervisor, or from outside while it hung" :
	    "from outside, or a triple fault on the way to the next stage");
}

/**
 * Reads the logs of r->box, which black_box_is(), and of r->host: r->stage is the
 * last stage that the run had reached or has failed in, as "48 partitions built",
 * r->cause what it ended of; "" if it was brought to its end by somebody.
 */
void black_box_look(struct black_box_read *r)
{
	struct line stage = { 0 }, cause = { 0 };
	const char *panic, *failed, *host, *reached;

	view(&r->box->log, r->log);
	view(&r->host->log, r->host_log);
	panic = last_line(r->log, PANIC);
	failed = last_line(r->log, FAILED);
	host = last_line(r->host_log, FAILED);
	reached = last_line(r->host_log, STAGE);
	/* host-bridge goes on after most of its failures */
	host = host > reached ? host : NULL;
	add(&stage, failed ? failed : host && !panic ? host : reached ? reached :
	    (reached = last_line(r->log, STAGE)) ? reached : "unknown");
	if (panic) {
		add(&cause, "panic in the hypervisor: ");
		add(&cause, panic);
	} else if (failed || host) {
		char *why = stage.text;

		while (*why != '\0' && !starts(why, ": ")) {
			why++;
		}
		add(&cause, *why != '\0' ? why + 2 : "it failed");
		*why = '\0';
	} else {
		silent_cause(r, &cause);
	}
	if (r->host->end == BOX_CLEAN) {
		cause.text[0] = '\0';
	}
	memcpy(r->stage, stage.text, sizeof(r->stage));
	memcpy(r->cause, cause.text, sizeof(r->cause));
}

static void put(struct black_box_out *out, struct line *l)
{
	add(l, "");
	if (l->used + 1 < sizeof(l->text)) {
		l->text[l->used++] = '\n';
	}
	out->text(out, l->text, l->used);
	*l = (struct line) { 0 };
}

static void tell(struct black_box_out *out, const char *what, const char *more)
{
	struct line l = { 0 };

	add(&l, what);
	add(&l, more);
	put(out, &l);
}

static void tell_log(struct black_box_out *out, const char *what, const char *text)
{
	tell(out, "", "");
	tell(out, what, text[0] != '\0' ? ":" : ": nothing");
	while (*text != '\0') {
		size_t size = 1;

		while (text[size - 1] != '\n' && text[size] != '\0') {
			size++;
		}
		out->text(out, text, size);
		text += size;
	}
}

static void tell_exit(struct black_box_out *out, const struct box_exit *x)
{
	uint32_t code = x->what & 0xff;
	struct line l = { 0 };

	add(&l, "  ");
	add_number(&l, x->tsc, 10);
	add(&l, " ");
	add_number(&l, x->what >> 8 & 0xff, 10);
	add(&l, "/");
	add_number(&l, x->what >> 16 & 0xff, 10);
	add(&l, " ");
	add(&l, code < sizeof(exits) / sizeof(exits[0]) ? exits[code] : "?");
	add(&l, " at ");
	add_number(&l, x->rip, 16);
	add(&l, " ");
	add_number(&l, x->detail, 16);
	put(out, &l);
}

static void tell_cpu(struct black_box_out *out, const struct black_box *box, uint32_t i)
{
	const struct box_cpu *cpu = &box->cpu[i];
	const uint64_t count = cpu->count;
	uint64_t first = count < BOX_EXITS ? 0 : count - BOX_EXITS, broken = 0;
	struct line l = { 0 };

	tell(out, "", "");
	add(&l, "CPU ");
	add_number(&l, i, 10);
	add(&l, ", ");
	add(&l, cpu->doing <= BOX_HYPERVISOR ? doings[cpu->doing] : "?");
	add(&l, "; its last exits of ");
	add_number(&l, count, 10);
	add(&l, " (TSC, partition/vCPU, code, RIP, detail), the latest last:");
	put(out, &l);
	for (; first < count; first++) {
		/* read once: it is looked at again below */
		struct box_exit x = cpu->exit[first % BOX_EXITS];

		if (x.sum == box_exit_sum(&x)) {
			tell_exit(out, &x);
		} else {
			broken++;
		}
	}
	if (broken != 0) {
		add(&l, "  damaged: ");
		add_number(&l, broken, 10);
		put(out, &l);
	}
}

/** All of it as a text, after black_box_look(). */
void black_box_tell(const struct black_box_read *r, struct black_box_out *out)
{
	struct line l = { 0 };

	tell(out, "Isthmus: how the last run ended", "");
	tell(out, "stage: ", r->stage);
	tell(out, "cause: ", r->cause);
	add(&l, "boots since the machine was off: ");
	add_number(&l, r->box->boots, 10);
	put(out, &l);
	tell_log(out, "The log of the loader and the hypervisor", r->log);
	tell_log(out, "What host-bridge has said", r->host_log);
	for (uint32_t i = 0; i < r->box->cpus; i++) {
		tell_cpu(out, r->box, i);
	}
}
