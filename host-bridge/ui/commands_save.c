/* SPDX-License-Identifier: MIT */
/*
 * "linux save" and "linux restore": a template in a file of the volume's, and from
 * one. A file gets its name when it is whole, so that nothing half made is ever
 * found; a partition becomes a template when all that it was given has the checksum
 * that the file says. Both wait by running the event loop, after each piece, and end
 * at ctrl-c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/fs/volume_call.h"
#include "host-bridge/guest/linux.h"
#include "host-bridge/guest/linux_template.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/rt/wall.h"
#include "host-bridge/ui/commands_fork.h"
#include "host-bridge/ui/commands_linux.h"
#include "host-bridge/ui/console.h"

#define PAGE		LINUX_SAVE_PAGE
#define PIECE		(64u << 10)	/* read and written at once */
#define UNIT		(2u << 20)
#define NS_PER_S	1000000000ll
#define PROGRESS_MS	1000u

/* The hypervisor copies pages to here. */
static uint8_t piece[PIECE] __attribute__((aligned(PAGE)));

/* A save or a restore under way. why: what went wrong, as the end of a sentence
 * about its file, or (of_linux) about the Linux. */
struct work {
	const struct command_env *env;
	struct linux_save s, here;	/* of the file; of a restore, of here */
	uint32_t ino;
	uint32_t crc;
	uint64_t pages;
	uint64_t report_ms;
	bool reported, of_linux;
	const char *why;
	char text[LINUX_SAVE_WHY];
};

static bool zero(const uint8_t *data, size_t len)
{
	const uint64_t *words = (const uint64_t *)(const void *)data;

	for (size_t i = 0; i < len / 8; i++) {
		if (words[i] != 0) {
			return false;
		}
	}
	return true;
}

static bool failed(struct work *w, int error)
{
	w->why = error == 0 ? w->why : error == EINTR ? "interrupted" :
		 strerror(error);
	return w->why != NULL;
}

/* Between two pieces: others have their turn, and who waits sees how far it is. */
static bool goes_on(struct work *w, const char *what)
{
	uint64_t now = loop_uptime_ms();

	if (now >= w->report_ms) {
		printf("\r%s: %llu MiB", what,
		       (unsigned long long)(w->pages * PAGE >> 20));
		fflush(stdout);
		w->report_ms = now + PROGRESS_MS;
		w->reported = true;
	}
	loop_step(0);
	return !failed(w, console_interrupted() ? EINTR : 0);
}

static bool put(struct work *w, uint64_t offset, const uint8_t *data,
		size_t len)
{
	size_t done = 0;

	while (len > 0 && !w->why) {
		int error = VOLUME_CHANGE(w->env->turns, volume_write(
			w->env->volume, w->ino, offset, data, len, &done));

		(void)failed(w, error ? error : done == 0 ? EIO : 0);
		offset += done;
		data += done;
		len -= done;
	}
	return !w->why;
}

/* What is not there reads as zeros. */
static bool get(struct work *w, uint64_t offset, uint8_t *data, size_t len)
{
	size_t done = 0;

	while (len > 0 && !w->why) {
		int error = VOLUME_LOOK(w->env->turns, volume_read(
			w->env->volume, w->ino, offset, data, len, &done));

		if (!failed(w, error) && done == 0) {
			w->why = "is shorter than it says";
		}
		offset += done;
		data += done;
		len -= done;
	}
	return !w->why;
}

/* Pages of a template from gpa on into the piece, as many as are in a row and not
 * all 0; returns how many. *gpa: the first of them, or where to look on. */
static size_t gather(struct work *w, uint64_t *gpa)
{
	uint64_t at = *gpa, next = at;
	size_t n = 0;

	while (n < PIECE / PAGE && at == *gpa + n * PAGE &&
	       linux_template_ram(&w->s, at) == at) {
		uint8_t *page = piece + n * PAGE;
		int there = linux_template_page(w->env->guest, at, page, &next);

		if (there < 0) {
			w->why = "is no template any more";
			w->of_linux = true;
			return 0;
		}
		if (there == 0 || zero(page, PAGE)) {
			break;
		}
		w->crc = linux_save_sum(w->crc, at, page);
		n++;
		at = next;
	}
	*gpa = n > 0 ? *gpa : next;
	return n;
}

/* At most so much of what is not there is looked for between two turns. */
#define LOOKS	64u

static void save_memory(struct work *w)
{
	uint64_t gpa = linux_template_ram(&w->s, 0);
	unsigned looks = 0;

	while (!w->why && gpa != UINT64_MAX) {
		size_t n = gather(w, &gpa);

		if (n > 0) {
			(void)put(w, linux_save_memory(&w->s, gpa), piece,
				  n * PAGE);
			gpa += n * PAGE;
			w->pages += n;
		}
		if (!w->why && (n > 0 || ++looks % LOOKS == 0)) {
			(void)goes_on(w, "saved");
		}
		gpa = linux_template_ram(&w->s, gpa);
	}
}

static void save_record(struct work *w)
{
	uint64_t start = 0, now = loop_now();
	int64_t zero_ns = wall_zero_ns();

	for (uint32_t n = 0; n < 2 * w->s.vcpus && !w->why; n++) {
		if (!linux_template_record(w->env->guest, n, piece, &start)) {
			w->why = "is no template any more";
			w->of_linux = true;
			return;
		}
		w->crc = linux_save_sum(w->crc, LINUX_SAVE_OWN, piece);
		(void)put(w, linux_save_record(n), piece, PAGE);
	}
	w->s.age_ns = (int64_t)((__int128)(int64_t)(now - start) * NS_PER_S /
				(int64_t)w->s.tsc_hz);
	w->s.began_ns = zero_ns + (int64_t)((__int128)(int64_t)start *
					    NS_PER_S / (int64_t)w->s.tsc_hz);
}

/* All of it, into a file without a name. */
static void save_all(struct work *w)
{
	memset(piece, 0, sizeof(piece));	/* its pages are there */
	linux_template_facts(w->env->guest, &w->s);
	w->crc = ~0u;
	save_record(w);
	save_memory(w);
	w->s.pages = w->pages;
	w->s.data_crc = w->crc;
	linux_save_write(&w->s, piece);
	if (put(w, 0, piece, PAGE)) {
		(void)failed(w, volume_call_sync(w->env->volume,
						 w->env->turns));
	}
}

/* What became of it, on a line of its own. */
static void conclude(const struct work *w, const char *done, const char *path)
{
	const char *title = w->env->guest->want->title;

	if (w->reported) {
		printf("\r");
	}
	if (!w->why) {
		printf("%s %s %s: %llu KiB\n", title, done, path,
		       (unsigned long long)w->pages * PAGE >> 10);
	} else if (w->of_linux) {
		printf("%s %s\n", title, w->why);
	} else {
		printf("%s: %s\n", path, w->why);
	}
}

/** See commands_fork.h. */
void commands_save(const struct command_env *env, const char *path)
{
	static const struct volume_make make = { .mode = VOLUME_S_IFREG | 0600 };
	struct work w = { .env = env };
	struct volume *vol = env->volume;
	const char *name;
	uint32_t dir, ino;
	size_t len;
	int error;

	if (linux_state(env->guest) != LINUX_FROZEN) {
		printf("%s is no template; \"linux freeze\" makes it one\n",
		       env->guest->want->title);
		return;
	}
	error = !vol ? ENODEV : VOLUME_LOOK(env->turns, volume_path_parent(
		vol, path, &dir, &name, &len));
	if (error == 0) {
		error = VOLUME_LOOK(env->turns, volume_lookup(vol, dir, name,
							      len, &ino));
		error = error == 0 ? EEXIST : error == ENOENT ? 0 : error;
	}
	if (error == 0) {
		error = VOLUME_CHANGE(env->turns, volume_tmpfile(
			vol, dir, &make, &w.ino));
	}
	if (!failed(&w, error)) {
		save_all(&w);
		if (!w.why) {
			(void)failed(&w, VOLUME_CHANGE(env->turns, volume_link(
				vol, w.ino, dir, name, len)));
		}
		if (!w.why) {
			(void)failed(&w, volume_call_sync(vol, env->turns));
		}
		(void)VOLUME_CHANGE(env->turns,
				    (volume_release(vol, w.ino), 0));
	}
	conclude(&w, "is saved in", path);
}

/* A unit of 2 MiB of the file, at gpa, to the partition: whole, if most of it is
 * there, so that its children share it as one page. */
static void give_unit(struct work *w, uint64_t gpa, uint8_t *unit, size_t len)
{
	const uint64_t before = w->pages;
	bool whole;
	size_t at, n;

	for (at = 0; at < len; at += PAGE) {
		if (!zero(unit + at, PAGE)) {
			w->crc = linux_save_sum(w->crc, gpa + at, unit + at);
			w->pages++;
		}
	}
	whole = w->pages - before > UNIT / PAGE / 2 && len == UNIT;
	if (whole) {
		w->why = linux_template_give(w->env->guest, gpa, unit, UNIT);
	}
	for (at = 0; !whole && at < len && !w->why; at += n) {
		n = PAGE;
		if (zero(unit + at, PAGE)) {
			continue;
		}
		while (at + n < len && !zero(unit + at + n, PAGE)) {
			n += PAGE;
		}
		w->why = linux_template_give(w->env->guest, gpa + at, unit + at,
					     n);
	}
	w->of_linux = w->why != NULL;
}

/* Where the file has data from gpa on; all ones: nowhere. */
static uint64_t next_data(struct work *w, uint64_t gpa)
{
	const uint64_t base = linux_save_memory(&w->s, 0);
	uint64_t found;
	int error = VOLUME_LOOK(w->env->turns, volume_seek(
		w->env->volume, w->ino, base + gpa, VOLUME_SEEK_DATA, &found));

	if (error == ENXIO || failed(w, error)) {
		return UINT64_MAX;
	}
	found = (found - base) & ~(uint64_t)(UNIT - 1);
	return linux_template_ram(&w->s, found > gpa ? found : gpa);
}

static void restore_memory(struct work *w, uint64_t size, uint8_t *unit)
{
	const uint64_t base = linux_save_memory(&w->s, 0);
	uint64_t gpa = next_data(w, linux_template_ram(&w->s, 0));

	while (!w->why && gpa != UINT64_MAX) {
		size_t len = UNIT - (gpa & (UNIT - 1)), at;

		if (base + gpa >= size) {	/* data where no RAM is */
			return;
		}
		/* The last of a range, or of the file. */
		while (linux_template_ram(&w->s, gpa + len - PAGE) !=
		       gpa + len - PAGE || base + gpa + len > size) {
			len -= PAGE;
		}
		for (at = 0; at < len && !w->why; at += PIECE) {
			size_t n = len - at < PIECE ? len - at : PIECE;

			(void)(get(w, base + gpa + at, unit + at, n) &&
			       goes_on(w, "restored"));
		}
		if (!w->why) {
			give_unit(w, gpa, unit, len);
		}
		gpa = linux_template_ram(&w->s, gpa + len);
		gpa = gpa == UINT64_MAX ? gpa : next_data(w, gpa);
	}
}

/* All that is in the file is right: it becomes a template, if the hypervisor finds
 * the record to be one. */
static void restore_act(struct work *w, const uint8_t *record)
{
	struct guest *guest = w->env->guest;
	uint64_t start_tsc = 0;

	w->why = linux_save_start(&w->s, w->here.tsc_hz, wall_now_ns(),
				  loop_now(), &start_tsc);
	if (w->why) {
		return;
	}
	w->why = linux_template_begin(guest);
	for (uint32_t n = 0; n < 2 * w->s.vcpus && !w->why; n++) {
		memcpy(piece, record + n * PAGE, PAGE);
		w->why = linux_template_put(guest, n, piece, start_tsc);
	}
	w->of_linux = w->why != NULL;
	if (!w->why) {
		linux_template_end(guest, &w->s);
	}
}

/* What the file is of has been looked at. */
static void restore_all(struct work *w, uint64_t size)
{
	const size_t bytes = 2 * w->s.vcpus * PAGE;
	uint8_t *record = malloc(bytes), *unit = malloc(UNIT);

	w->crc = ~0u;
	if (!record || !unit) {
		(void)failed(w, ENOMEM);
	} else if (get(w, linux_save_record(0), record, bytes)) {
		for (size_t at = 0; at < bytes; at += PAGE) {
			w->crc = linux_save_sum(w->crc, LINUX_SAVE_OWN,
						record + at);
		}
		restore_memory(w, size, unit);
		if (!w->why && (w->crc != w->s.data_crc ||
				w->pages != w->s.pages)) {
			w->why = "is damaged: the checksum of its data is wrong";
		}
		if (!w->why) {
			restore_act(w, record);
		}
	}
	if (w->why) {
		linux_template_drop(w->env->guest);
	}
	free(unit);
	free(record);
}

/* The file, held, and what its first page says. */
static bool open_file(struct work *w, const char *path, uint64_t *size)
{
	struct volume *vol = w->env->volume;
	struct volume_attr attr = { 0 };
	int error = !vol ? ENODEV : VOLUME_LOOK(w->env->turns, volume_path(
		vol, path, true, &w->ino));

	if (error == 0) {
		error = VOLUME_LOOK(w->env->turns, volume_getattr(vol, w->ino,
								  &attr));
	}
	if (error == 0 && (attr.mode & VOLUME_S_IFMT) != VOLUME_S_IFREG) {
		error = EINVAL;
	}
	if (error == 0) {
		error = VOLUME_LOOK(w->env->turns, volume_hold(vol, w->ino));
	}
	if (failed(w, error)) {
		return false;
	}
	*size = attr.size;
	memset(piece, 0, sizeof(piece));
	if (attr.size == 0 || attr.size % PAGE != 0) {
		w->why = "is no saved template";
	} else if (get(w, 0, piece, PAGE)) {
		w->why = linux_save_read(&w->s, piece);
	}
	return true;
}

/* Whose partition it is to be, if it is to be had. */
static const struct command_env *wanted(const struct work *w,
					const char *name)
{
	const struct command_env *of = commands_linux_find(
		w->env, name ? name : w->s.name);
	enum linux_state state = of ? linux_state(of->guest) : LINUX_RUNNING;

	if (of && (state == LINUX_RUNNING || state == LINUX_FROZEN)) {
		printf("%s is not down\n", of->guest->want->title);
		return NULL;
	}
	return of;
}

/** See commands_fork.h. */
void commands_restore(const struct command_env *env, const char *path,
		      const char *name)
{
	struct work w = { .env = env };
	const struct command_env *of;
	uint64_t size;

	if (!open_file(&w, path, &size)) {
		conclude(&w, "", path);
		return;
	}
	of = w.why ? NULL : wanted(&w, name);
	if (of) {
		w.env = of;
		linux_template_facts(of->guest, &w.here);
		w.why = linux_save_differs(&w.s, &w.here, w.text);
		if (!w.why) {
			restore_all(&w, size);
		}
	}
	if (of || w.why) {
		conclude(&w, "is a template again, from", path);
	}
	(void)VOLUME_CHANGE(env->turns, (volume_release(env->volume, w.ino), 0));
}
