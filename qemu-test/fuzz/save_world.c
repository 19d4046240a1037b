// SPDX-License-Identifier: MIT
/*
 * The world of save_fuzz.c: what "linux save" and "linux restore" call, over one
 * file and one partition. It ends the program where a call is not as it must be.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/dev/serial.h"
#include "host-bridge/fs/volume_call.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/rt/wall.h"
#include "host-bridge/ui/commands_linux.h"
#include "host-bridge/ui/console.h"
#include "qemu-test/fuzz/save_world.h"

#define HOST_HC_SAVES
#include "qemu-test/unit/host_hc.h"

const char *__asan_default_options(void);
int __wrap_printf(const char *format, ...);

struct save_world w;

/* What is freed is a record and a unit, again and again. */
const char *__asan_default_options(void)
{
	return "quarantine_size_mb=1";
}

unsigned world_take(void)
{
	return w.at < w.end ? *w.at++ : 0;
}

/* ---- Pages ---- */

uint8_t *world_find(struct pages *p, uint64_t number, bool make)
{
	unsigned i = 0;

	while (i < p->count && p->number[i] != number) {
		i++;
	}
	if (i == p->count) {
		if (!make || i == PAGES) {
			return NULL;
		}
		p->count++;
		p->number[i] = number;
		p->there[i] = 0;
		memset(p->data[i], 0, PAGE);
	}
	if (make) {
		p->there[i] = 0xf;
	}
	return p->data[i];
}

static bool zero(const uint8_t *page)
{
	return page[0] == 0 && memcmp(page, page + 1, PAGE - 1) == 0;
}

/* The bytes from offset on that are in its page, len at most. */
static size_t in_page(uint64_t offset, size_t len)
{
	size_t left = PAGE - offset % PAGE;

	return len < left ? len : left;
}

bool world_is_ram(uint64_t gpa, uint64_t bytes)
{
	return gpa < HOLE ? gpa < bytes :
	       gpa >= HIGH && gpa - HIGH + HOLE < bytes;
}

/* The least number that is not below, of those that are not all zeros. */
int world_next_page(const struct pages *p, uint64_t number)
{
	int best = -1;

	for (unsigned i = 0; i < p->count; i++) {
		if (p->number[i] >= number && !zero(p->data[i]) && (best < 0 ||
		    p->number[i] < p->number[best])) {
			best = (int)i;
		}
	}
	return best;
}

void world_put(uint64_t offset, const void *data, size_t len)
{
	const uint8_t *from = data;

	for (size_t n; len > 0; len -= n, from += n, offset += n) {
		uint8_t *page = world_find(&w.file, offset / PAGE, true);

		n = in_page(offset, len);
		if (page) {
			memcpy(page + offset % PAGE, from, n);
		}
	}
	w.file_size = offset > w.file_size ? offset : w.file_size;
}

/* ---- What the commands call ---- */

/* Whether this call is to fail. */
static bool fail(void)
{
	return w.calls++ == w.fails;
}

int __wrap_printf(const char *format, ...)
{
	size_t len = strlen(w.text);
	va_list args;

	if (format[0] == '\r') {
		return 0;		/* how far it is */
	}
	va_start(args, format);
	vsnprintf(w.text + len, sizeof(w.text) - len, format, args);
	va_end(args);
	return 0;
}

int volume_call_turn(struct volume_call *call)
{
	return 0;
}

bool volume_call_again(struct volume_call *call, int error)
{
	return false;
}

int volume_call_sync(struct volume *vol, struct volume_turns *turns)
{
	return fail() ? 5 : 0;
}

int volume_path(struct volume *vol, const char *path, bool follow,
		uint32_t *ino)
{
	*ino = 12;
	return w.named ? 0 : 2;
}

int volume_path_parent(struct volume *vol, const char *path, uint32_t *dir,
		       const char **name, size_t *len)
{
	*dir = 2;
	*name = path;
	*len = strlen(path);
	return 0;
}

int volume_lookup(struct volume *vol, uint32_t dir, const char *name, size_t len,
		  uint32_t *ino)
{
	return volume_path(vol, name, true, ino);
}

int volume_getattr(struct volume *vol, uint32_t ino, struct volume_attr *attr)
{
	attr->mode = VOLUME_S_IFREG | 0600;
	attr->size = w.file_size;
	return fail() ? 5 : 0;
}

int volume_hold(struct volume *vol, uint32_t ino)
{
	MUST(!w.held);
	w.held = true;
	return 0;
}

void volume_release(struct volume *vol, uint32_t ino)
{
	MUST(w.held);
	w.held = false;
}

int volume_tmpfile(struct volume *vol, uint32_t dir,
		   const struct volume_make *make, uint32_t *ino)
{
	*ino = 12;
	return volume_hold(vol, *ino);
}

int volume_link(struct volume *vol, uint32_t ino, uint32_t dir,
		const char *name, size_t len)
{
	MUST(w.held);
	w.named = !fail();
	return w.named ? 0 : 28;
}

int volume_write(struct volume *vol, uint32_t ino, uint64_t offset,
		 const void *buf, size_t len, size_t *done)
{
	MUST(!w.restoring);
	*done = len > 1500 && w.calls % 3 == 0 ? 1500 : len;
	if (fail()) {
		return 28;
	}
	world_put(offset, buf, *done);
	return 0;
}

int volume_read(struct volume *vol, uint32_t ino, uint64_t offset, void *buf,
		size_t len, size_t *done)
{
	size_t left = offset < w.file_size ? w.file_size - offset : 0;
	uint8_t *to = buf;

	MUST(w.held && w.restoring);
	len = len < left ? len : left;
	*done = len > 1500 && w.calls % 3 == 0 ? 1500 : len;
	if (fail()) {
		return 5;
	}
	for (size_t n, i = 0; i < *done; i += n, offset += n) {
		const uint8_t *page = world_find(&w.file, offset / PAGE, false);

		n = in_page(offset, *done - i);
		if (page) {
			memcpy(to + i, page + offset % PAGE, n);
		} else {
			memset(to + i, 0, n);
		}
		if (offset < PAGE) {
			memcpy(w.opened + offset, to + i, n);
		}
	}
	return 0;
}

int volume_seek(struct volume *vol, uint32_t ino, uint64_t offset,
		unsigned whence, uint64_t *found)
{
	MUST(whence == VOLUME_SEEK_DATA && offset <= INT64_MAX);
	*found = UINT64_MAX;
	for (unsigned i = 0; i < w.file.count; i++) {
		for (unsigned k = 0; k < PAGE / BLOCK; k++) {
			uint64_t block = w.file.number[i] * PAGE + k * BLOCK;

			if ((w.file.there[i] >> k & 1) && block + BLOCK > offset &&
			    block < *found && block < w.file_size) {
				*found = block;
			}
		}
	}
	*found = *found < offset ? offset : *found;
	return fail() ? 5 : *found == UINT64_MAX || offset >= w.file_size ? 6 : 0;
}

uint64_t tsc_now(void)
{
	return w.now;
}

uint64_t loop_uptime_ms(void)
{
	return w.calls * 100;
}

uint64_t loop_ms_to_ticks(uint64_t ms)
{
	return ms;
}

/* Others have their turn: who can write to the file. */
void loop_step(uint64_t deadline)
{
	if (w.restoring && w.changes > 0) {
		w.changes--;
		w.change();
	}
}

void loop_on_event(uint64_t event, void (*fn)(void *arg), void *arg)
{
	w.on_ioreq = fn;
}

void loop_again(uint64_t event)
{
}

bool console_interrupted(void)
{
	return fail();
}

int64_t wall_now_ns(void)
{
	return (int64_t)w.now_ns;
}

int64_t wall_zero_ns(void)
{
	return (int64_t)w.zero_ns;
}

void serial_write(enum serial_line line, const void *data, size_t len)
{
}

bool serial_busy(enum serial_line line)
{
	return false;
}

void serial_on_drained(enum serial_line line, void (*fn)(void *arg), void *arg)
{
}

const struct command_env *commands_linux_find(const struct command_env *one,
					      const char *name)
{
	if (strcmp(name, w.want.name) == 0) {
		return one;
	}
	__wrap_printf("no Linux \"%s\"\n", name);
	return NULL;
}

enum linux_state linux_state(const struct guest *g)
{
	return g->state;
}

bool linux_give(const struct guest *g, uint64_t gpa, const uint8_t *data,
		uint64_t size)
{
	MUST(w.restoring && !w.begun && g->state == LINUX_STOPPED);
	MUST(size > 0 && size % PAGE == 0 && size <= UNIT_PAGES * PAGE);
	for (uint64_t i = 0; i < size; i += PAGE) {
		MUST(gpa % PAGE == 0 && world_is_ram(gpa + i, w.ram));
		MUST(!world_find(&w.given, gpa / PAGE + i / PAGE, false));
		memcpy(world_find(&w.given, gpa / PAGE + i / PAGE, true), data + i, PAGE);
	}
	return !fail();
}

void linux_leave(struct guest *g, bool wanted)
{
	MUST(w.restoring && g->state == LINUX_FROZEN && !wanted);
}

void linux_between(struct guest *g, bool between)
{
	(void)g;
	w.between = between;
}

bool linux_stop(struct guest *g)
{
	MUST(w.restoring && g->state == LINUX_FROZEN);
	g->state = LINUX_STOPPED;
	w.given.count = 0;
	w.begun = false;
	return true;
}

/* ---- The hypervisor ---- */

static int64_t read_call(struct hc_regs *r)
{
	const uint64_t n = r->rdx & ~HC_FORK_RECORD;
	uint8_t *page, *to = (uint8_t *)r->r10;	/* NOLINT */
	int next;

	if (fail()) {
		return HC_EBUSY;
	}
	if (n != r->rdx) {
		MUST(n < 2 * w.vcpus);
		memcpy(to, w.record[n], PAGE);
		r->rdx = w.start;
		return HC_OK;
	}
	MUST(n % PAGE == 0 && world_is_ram(n, w.ram));
	page = world_find(&w.memory, n / PAGE, false);
	next = world_next_page(&w.memory, n / PAGE + 1);
	r->rsi = page != NULL;
	r->rdi = page ? n + PAGE : next < 0 ? 1ull << 41 :
		 w.memory.number[next] * PAGE;
	if (page) {
		memcpy(to, page, PAGE);
	}
	return HC_OK;
}

static int64_t fork_call(struct hc_regs *r)
{
	uint64_t n = r->rdx & ~HC_FORK_RECORD;

	switch (r->rdi) {
	case HC_FORK_READ:
		MUST(!w.restoring);
		return read_call(r);
	case HC_FORK_RESTORE:
		MUST(w.restoring && !w.begun && w.between);
		w.begun = true;
		return w.again > 0 ? HC_EAGAIN : fail() ? HC_EBUSY : HC_OK;
	case HC_FORK_FREEZE:
		MUST(w.restoring && w.begun && w.again > 0);
		return --w.again > 0 ? HC_EAGAIN : HC_OK;
	default:
		MUST(r->rdi == HC_FORK_WRITE && w.begun && w.between && w.again == 0);
		MUST(n != r->rdx && n < 2 * w.vcpus && n == w.written_count);
		MUST(w.now - r->r8 <= LONG_AGO * HZ);
		memcpy(w.written[w.written_count++], (const void *)r->r10, PAGE);
		return fail() ? HC_EINVAL : HC_OK;
	}
}

/* Any accesses of the child's. */
static int64_t access_call(struct hc_regs *r)
{
	if (w.accesses == 0) {
		return HC_ENOENT;
	}
	w.accesses--;
	r->rdi = 1 << 16;
	r->rsi = world_take();		/* a port of PCI or of the UART, and how */
	r->rsi = (r->rsi & 1 ? 0xcf8 : 0x3f8) + (r->rsi >> 1 & 7) +
		 (1ull << (16 + (r->rsi >> 4) % 3)) +
		 (r->rsi >> 7 ? HC_IOREQ_IN : 0);
	r->rdx = 0x80000000u | world_take() << 8;
	r->rdx |= world_take();
	return HC_OK;
}

int64_t hypercall(enum hypercall nr, struct hc_regs *r)
{
	switch (nr) {
	case HC_INFO:
		r->rdx = HZ;
		return HC_OK;
	case HC_QUERY:
		MUST(r->rdi == HC_QUERY_MEMORY);
		r->rsi = w.ram;
		r->r10 = w.vcpus;
		return HC_OK;
	case HC_FORK:
		return fork_call(r);
	case HC_IOREQ_GET:
		return access_call(r);
	default:
		MUST(nr == HC_IOREQ_DONE);
		return HC_OK;
	}
}
