/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "qemu-test/unit/fake/disk.h"

uint64_t fake_chance(uint64_t *seed)
{
	uint64_t x = *seed += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

/* Memory for whole disks is used again: to get it anew costs the machine more than
 * to copy a disk. */
#define SPARES		4u

static struct {
	uint8_t *data;
	size_t size;
} spares[SPARES];

static uint8_t *whole_new(size_t size)
{
	uint8_t *data;

	for (unsigned i = 0; i < SPARES; i++) {
		data = spares[i].data;
		if (data != NULL && spares[i].size == size) {
			spares[i].data = NULL;
			return data;
		}
	}
	data = malloc(size);
	assert(data != NULL);
	return data;
}

static void whole_free(uint8_t *data, size_t size)
{
	static unsigned next;

	next = (next + 1) % SPARES;
	free(spares[next].data);
	spares[next].data = data;
	spares[next].size = size;
}

static struct fake_disk *of(struct block_dev *dev)
{
	return (struct fake_disk *)((char *)dev -
				    offsetof(struct fake_disk, dev));
}

/* Copies between the disk and a request's memory. */
static void copy(struct fake_disk *disk, const struct block_req *req,
		 uint8_t *out)
{
	uint8_t *at = disk->now + req->sector * disk->dev.sector_size;

	for (unsigned i = 0; i < req->seg_count; i++) {
		if (out != NULL) {
			memcpy(out, req->segs[i].data, req->segs[i].len);
			out += req->segs[i].len;
		} else {
			memcpy(req->segs[i].data, at, req->segs[i].len);
			at += req->segs[i].len;
		}
	}
}

static void record(struct fake_disk *disk, const struct block_req *req)
{
	size_t len = (size_t)req->sectors * disk->dev.sector_size;
	struct fake_write *w;

	if (disk->count == disk->space) {
		disk->space = disk->space * 2 + 64;
		disk->log = realloc(disk->log,
				    disk->space * sizeof(*disk->log));
		assert(disk->log != NULL);
	}
	w = &disk->log[disk->count];
	*w = (struct fake_write){
		.op = req->op,
		.fua = req->op == BLOCK_WRITE && (req->flags & BLOCK_FUA) &&
		       (disk->dev.features & BLOCK_HAS_FUA),
		.sector = req->sector, .sectors = req->sectors,
		.submitted = ++disk->time,
	};
	if (req->op == BLOCK_FLUSH) {
		w->sectors = 0;
		return;
	}
	w->data = calloc(1, len);
	assert(w->data != NULL);
	if (req->op == BLOCK_WRITE) {
		copy(disk, req, w->data);
	} else if (req->op == BLOCK_DISCARD) {
		memset(w->data, 0xdd, len);	/* it may be anything */
	}
}

static void submit(struct block_dev *dev, struct block_req *req)
{
	struct fake_disk *disk = of(dev);
	unsigned n = disk->pending_count++;

	assert(n < FAKE_DISK_DEPTH);
	disk->pending[n] = req;
	if (req->op == BLOCK_READ) {
		return;
	}
	/* Who writes the same sectors twice at a time does not know what he
	 * will find there. */
	for (unsigned i = 0; i < n; i++) {
		const struct block_req *other = disk->pending[i];

		assert(req->op == BLOCK_FLUSH || other->op == BLOCK_FLUSH ||
		       other->op == BLOCK_READ ||
		       other->sector >= req->sector + req->sectors ||
		       req->sector >= other->sector + other->sectors);
	}
	record(disk, req);
	disk->pending_log[n] = disk->count++;
}

static const struct block_ops ops = { .submit = submit };

void fake_disk_open(struct fake_disk *disk, const void *image, size_t size,
		    uint32_t sector_size, unsigned features)
{
	*disk = (struct fake_disk){
		.dev = {
			.ops = &ops, .name = "fake", .sector_size = sector_size,
			.sectors = size / sector_size, .features = features,
			.max_sectors = 128, .max_segs = 32,
			.depth = FAKE_DISK_DEPTH,
		},
		.size = size, .seed = 1,
	};
	disk->first = whole_new(size);
	disk->now = whole_new(size);
	memcpy(disk->first, image, size);
	memcpy(disk->now, image, size);
	block_init(&disk->dev);
	block_open_write(&disk->dev);
}

void fake_disk_close(struct fake_disk *disk)
{
	for (unsigned i = 0; i < disk->count; i++) {
		free(disk->log[i].data);
	}
	free(disk->log);
	whole_free(disk->first, disk->size);
	whole_free(disk->now, disk->size);
}

/* Which of those that are pending is not served when others are. */
static unsigned victim(const struct fake_disk *disk)
{
	unsigned found = FAKE_DISK_DEPTH;

	if (disk->unfair == 1) {
		return 0;
	}
	for (unsigned i = 0; disk->unfair == 2 && i < disk->pending_count;
	     i++) {
		const struct block_req *req = disk->pending[i];

		if ((req->op == BLOCK_FLUSH ||
		     (req->op == BLOCK_WRITE && (req->flags & BLOCK_FUA))) &&
		    (found == FAKE_DISK_DEPTH ||
		     disk->pending_log[i] < disk->pending_log[found])) {
			found = i;
		}
	}
	return found;
}

bool fake_disk_step(struct fake_disk *disk)
{
	struct block_req *req;
	int error = 0;
	unsigned n;

	if (block_due(&disk->dev)) {
		block_run(&disk->dev);
		return true;
	}
	if (disk->pending_count == 0) {
		return false;
	}
	n = (unsigned)(fake_chance(&disk->seed) % disk->pending_count);
	if (n == victim(disk) && fake_chance(&disk->seed) % 64 != 0) {
		n = (n + 1) % disk->pending_count;
	}
	req = disk->pending[n];
	if (disk->fails != NULL && disk->fails(disk, req)) {
		error = EIO;
	} else if (req->op == BLOCK_READ) {
		copy(disk, req, NULL);
	} else {
		struct fake_write *w = &disk->log[disk->pending_log[n]];

		w->done = ++disk->time;
		if (w->data != NULL) {
			memcpy(disk->now + w->sector * disk->dev.sector_size,
			       w->data, (size_t)w->sectors *
			       disk->dev.sector_size);
		}
	}
	disk->pending_count--;
	disk->pending[n] = disk->pending[disk->pending_count];
	disk->pending_log[n] = disk->pending_log[disk->pending_count];
	block_done(&disk->dev, req, error);
	return true;
}

void fake_disk_settle(struct fake_disk *disk)
{
	while (fake_disk_step(disk)) {
	}
}

/* Older writes to the sectors of one that is lasting: as good as lasting, for
 * what they wrote will not be seen again. */
static void mark_older(struct fake_disk *disk, unsigned newer)
{
	const struct fake_write *n = &disk->log[newer];

	for (unsigned i = 0; i < newer; i++) {
		struct fake_write *w = &disk->log[i];

		if (w->op != BLOCK_FLUSH && w->sector >= n->sector &&
		    w->sector + w->sectors <= n->sector + n->sectors &&
		    (w->lasting == 0 || n->lasting < w->lasting)) {
			w->lasting = n->lasting;
		}
	}
}

/* From when on each write lasts. */
static void mark_lasting(struct fake_disk *disk)
{
	bool cached = (disk->dev.features & BLOCK_HAS_FLUSH) != 0;

	for (unsigned i = 0; i < disk->count; i++) {
		struct fake_write *w = &disk->log[i];

		w->lasting = w->op != BLOCK_FLUSH && (w->fua || !cached)
			     ? w->done : 0;
	}
	for (unsigned i = 0; i < disk->count; i++) {
		const struct fake_write *f = &disk->log[i];

		if (f->op != BLOCK_FLUSH || f->done == 0) {
			continue;
		}
		for (unsigned k = 0; k < disk->count; k++) {
			struct fake_write *w = &disk->log[k];

			if (w->op != BLOCK_FLUSH && w->done != 0 &&
			    w->done < f->submitted &&
			    (w->lasting == 0 || f->done < w->lasting)) {
				w->lasting = f->done;
			}
		}
	}
	for (unsigned i = 0; i < disk->count; i++) {
		if (disk->log[i].fua && disk->log[i].lasting != 0) {
			mark_older(disk, i);
		}
	}
}

static const struct fake_disk *sorted;

static int by_lasting(const void *a, const void *b)
{
	unsigned i = *(const unsigned *)a, k = *(const unsigned *)b;
	unsigned x = sorted->log[i].lasting - 1, y = sorted->log[k].lasting - 1;

	return x != y ? (x < y ? -1 : 1) : i < k ? -1 : i > k;
}

void fake_cuts_begin(struct fake_cuts *cuts, struct fake_disk *disk)
{
	*cuts = (struct fake_cuts){ .disk = disk };
	mark_lasting(disk);
	cuts->lasting = whole_new(disk->size);
	cuts->order = malloc((disk->count + 1) * sizeof(*cuts->order));
	cuts->open = malloc((disk->count + 1) * sizeof(*cuts->open));
	assert(cuts->order != NULL && cuts->open != NULL);
	memcpy(cuts->lasting, disk->first, disk->size);
	for (unsigned i = 0; i < disk->count; i++) {
		cuts->order[i] = i;
	}
	sorted = disk;
	qsort(cuts->order, disk->count, sizeof(*cuts->order), by_lasting);
}

static void apply(const struct fake_cuts *cuts, const struct fake_write *w,
		  uint8_t *image, uint64_t *torn)
{
	uint32_t size = cuts->disk->dev.sector_size;

	for (uint32_t i = 0; i < w->sectors; i++) {
		if (torn == NULL || fake_chance(torn) % 2 == 0) {
			memcpy(image + (w->sector + i) * size,
			       w->data + (size_t)i * size, size);
		}
	}
}

void fake_cuts_to(struct fake_cuts *cuts, unsigned time)
{
	const struct fake_disk *disk = cuts->disk;

	/* What became lasting at one instant did so in the order in which it
	 * was written. */
	for (; cuts->next < disk->count; cuts->next++) {
		const struct fake_write *w =
			&disk->log[cuts->order[cuts->next]];

		if (w->lasting == 0 || w->lasting > time) {
			break;
		}
		apply(cuts, w, cuts->lasting, NULL);
	}
	cuts->time = time;
	cuts->open_count = 0;
	while (cuts->low < disk->count &&
	       (disk->log[cuts->low].op == BLOCK_FLUSH ||
		(disk->log[cuts->low].lasting != 0 &&
		 disk->log[cuts->low].lasting <= time))) {
		cuts->low++;
	}
	for (unsigned i = cuts->low; i < disk->count; i++) {
		const struct fake_write *w = &disk->log[i];

		if (w->submitted > time) {
			break;
		}
		if (w->op != BLOCK_FLUSH &&
		    (w->lasting == 0 || w->lasting > time)) {
			cuts->open[cuts->open_count++] = i;
		}
	}
}

bool fake_cuts_make(const struct fake_cuts *cuts, enum fake_cut how,
		    uint64_t *seed, uint8_t *image)
{
	unsigned one = cuts->open_count > 0
		       ? (unsigned)(fake_chance(seed) % cuts->open_count) : 0;

	memcpy(image, cuts->lasting, cuts->disk->size);
	if (how == FAKE_NONE) {
		return true;
	}
	if (cuts->open_count == 0 || (cuts->open_count == 1 &&
	    how != FAKE_ALL && how != FAKE_TORN)) {
		return false;
	}
	for (unsigned i = 0; i < cuts->open_count; i++) {
		const struct fake_write *w =
			&cuts->disk->log[cuts->open[i]];

		if ((how == FAKE_ALL_BUT_ONE && i == one) ||
		    (how == FAKE_ONLY_ONE && i != one) ||
		    (how == FAKE_SOME && fake_chance(seed) % 2 == 0)) {
			continue;
		}
		apply(cuts, w, image, how == FAKE_TORN ? seed : NULL);
	}
	return true;
}

void fake_cuts_end(struct fake_cuts *cuts)
{
	whole_free(cuts->lasting, cuts->disk->size);
	free(cuts->order);
	free(cuts->open);
}
